//! `.helmignore`: which files of a chart's folder are no part of the chart.
//!
//! Called by the chart reader. What must stay true: a file is left out where Helm
//! leaves it out, Helm's peculiarities included: the first rule that decides ends
//! the matter, and a rule with `!` leaves out whatever it does not match. Patterns
//! are those of Go's `filepath.Match`; those of `.Files.Glob` are others: see `pattern`.

/// Lines that are read.
const MAX_RULES: usize = 1_000;
/// What Helm says of a pattern that Go's `filepath.Match` cannot read.
const SYNTAX: &str = "syntax error in pattern";

/// The rules of one folder.
pub struct Rules(Vec<Rule>);

struct Rule {
    negated: bool,
    folder_only: bool,
    /// It is held against a path's last part only.
    name_only: bool,
    /// None matches nothing.
    pattern: Option<Pattern>,
}

impl Rules {
    /// Reads `.helmignore`, or nothing, to which Helm's own rule is added.
    ///
    /// # Errors
    /// Where a rule is not one, in Helm's words.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for line in text.lines().map(str::trim).chain(["templates/.?*"]) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains("**") {
                return Err("double-star (**) syntax is not supported".to_owned());
            }
            if rules.len() > MAX_RULES {
                return Err(format!("there are more than {MAX_RULES} rules"));
            }
            Pattern::read(line).ok_or(SYNTAX)?;
            let negated = line.starts_with('!');
            let line = line.strip_prefix('!').unwrap_or(line);
            let (folder_only, line) = match line.strip_suffix('/') {
                Some(line) => (true, line),
                None => (false, line),
            };
            rules.push(Rule {
                negated,
                folder_only,
                name_only: !line.contains('/'),
                pattern: Pattern::read(line.trim_start_matches('/')),
            });
        }
        Ok(Self(rules))
    }

    /// Whether the file at `path`, or a folder above it, is left out.
    pub fn ignores(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| (at, true));
        folders
            .chain([(path.len(), false)])
            .any(|(end, is_folder)| self.ignores_one(path.get(..end).unwrap_or(path), is_folder))
    }

    fn ignores_one(&self, path: &str, is_folder: bool) -> bool {
        for rule in &self.0 {
            let applies = is_folder || !rule.folder_only;
            if rule.negated != (applies && rule.matches(path)) {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let against = if self.name_only { name } else { path };
        self.pattern
            .as_ref()
            .is_some_and(|pattern| pattern.matches(against))
    }
}

/// What is between stars, each with whether a star stands before it.
struct Pattern(Vec<(bool, Vec<Token>)>);

enum Token {
    Is(char),
    /// One character but `/`.
    Any,
    /// Ranges of characters, and whether it is all others.
    Class(bool, Vec<(char, char)>),
}

impl Pattern {
    /// Reads a pattern; `None` where it is not one.
    fn read(text: &str) -> Option<Self> {
        let mut chunks = vec![(false, Vec::new())];
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let token = match c {
                '*' => {
                    chunks.push((true, Vec::new()));
                    continue;
                }
                '?' => Token::Any,
                '\\' => Token::Is(rest.next()?),
                '[' => {
                    let negated = rest.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
                        let first = class_char(&mut rest)?;
                        let last = match rest.next_if_eq(&'-') {
                            Some(_) => class_char(&mut rest)?,
                            None => first,
                        };
                        ranges.push((first, last));
                    }
                    Token::Class(negated, ranges)
                }
                other => Token::Is(other),
            };
            if let Some((_, tokens)) = chunks.last_mut() {
                tokens.push(token);
            }
        }
        Some(Self(chunks))
    }

    /// Whether it matches all of `text`. A star takes no `/`, and as little as it can.
    fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        for (at, (star, tokens)) in self.0.iter().enumerate() {
            let is_last = at + 1 == self.0.len();
            if *star && is_last && tokens.is_empty() {
                return !rest.contains('/');
            }
            let mut from = rest.chars();
            loop {
                let after = begins(tokens, from.as_str());
                if let Some(after) = after
                    && (!is_last || after.is_empty())
                {
                    rest = after;
                    break;
                }
                if !*star || matches!(from.next(), None | Some('/')) {
                    return false;
                }
            }
        }
        rest.is_empty()
    }
}

fn class_char(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        other => Some(other),
    }
}

/// What follows in `text` after `tokens`.
fn begins<'t>(tokens: &[Token], text: &'t str) -> Option<&'t str> {
    let mut rest = text.chars();
    for token in tokens {
        let c = rest.next()?;
        let fits = match token {
            Token::Is(expected) => c == *expected,
            Token::Any => c != '/',
            Token::Class(negated, ranges) => {
                let within = |(first, last): &(char, char)| (*first..=*last).contains(&c);
                ranges.iter().any(within) != *negated
            }
        };
        if !fits {
            return None;
        }
    }
    Some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Rules};

    /// As Go's `filepath.Match` answers; None is a pattern that it cannot read.
    #[test]
    fn patterns_match_as_go_matches_them() {
        for (pattern, path, expected) in [
            ("conf/*", "conf/a.ini", Some(true)),
            ("conf/*", "conf/d/a.ini", Some(false)),
            ("*", "", Some(true)),
            ("*", "a/b", Some(false)),
            ("*a", "aa", Some(true)),
            ("a*b*c", "axbxbc", Some(true)),
            ("a*b", "ab", Some(true)),
            ("a*b/c", "axb/c", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("*.{yaml,yml}", "x.yml", Some(false)),
            ("[a-c]?.txt", "b1.txt", Some(true)),
            // Only ^ negates in Go.
            ("[!a-c]?.txt", "d1.txt", Some(false)),
            ("[^a-c]?.txt", "d1.txt", Some(true)),
            ("[\\]]", "]", Some(true)),
            ("\\*", "*", Some(true)),
            ("a?", "ä", Some(false)),
            ("?", "ä", Some(true)),
            ("?", "/", Some(false)),
            ("{a", "{a", Some(true)),
            ("[", "a", None),
            ("[]a]", "a", None),
            ("[a-]", "a", None),
            ("[-a]", "a", None),
            ("a\\", "a", None),
        ] {
            let found = Pattern::read(pattern).map(|read| read.matches(path));
            assert_eq!(found, expected, "{pattern} {path}");
        }
    }

    /// As `helm template` of 3.22 has them.
    #[test]
    fn rules_leave_out_what_helm_leaves_out() {
        for (rules, path, expected) in [
            ("a.txt", "a.txt", true),
            ("a.txt", "d/a.txt", true),
            ("/a.txt", "d/a.txt", false),
            ("d/a.txt", "d/a.txt", true),
            ("d/a.txt", "e/d/a.txt", false),
            ("d", "d/e/a.txt", true),
            ("d/", "d/a.txt", true),
            ("d/", "d", false),
            ("# a.txt\n\n", "a.txt", false),
            (" a.txt \r\n", "a.txt", true),
            (".helmignore", ".helmignore", true),
            ("", ".helmignore", false),
            ("", "templates/.hidden", true),
            ("", "templates/.d/a.txt", true),
            ("", "templates/d/.hidden", false),
            // A rule with ! leaves out all that it does not match.
            ("!a.txt", "a.txt", false),
            ("!a.txt", "Chart.yaml", true),
            ("f/\n!f/a", "f/a", true),
            ("f/\n!f/a", "Chart.yaml", true),
            ("!a/", "a", true),
        ] {
            let read = Rules::read(rules).unwrap();
            assert_eq!(read.ignores(path), expected, "{rules:?} {path}");
        }
    }

    #[test]
    fn rules_that_helm_refuses_are_refused() {
        let double = "double-star (**) syntax is not supported";
        for (rules, expected) in [
            ("**/x", double),
            ("foo/**", double),
            ("[a", "syntax error in pattern"),
            ("a\\", "syntax error in pattern"),
        ] {
            assert_eq!(Rules::read(rules).err().as_deref(), Some(expected));
        }
        assert!(Rules::read(&"a\n".repeat(1_001)).is_err());
    }
}
