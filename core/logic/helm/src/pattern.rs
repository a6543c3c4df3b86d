//! File patterns as gobwas/glob reads and matches them with `/` as separator.
//!
//! Called by `.Files.Glob`. What must stay true: the time that a match takes is at
//! most the pattern's length times the path's, which is what a chart is charged for.

use std::iter::Peekable;
use std::str::Chars;

/// Braces within each other; a pattern with more matches nothing.
const MAX_DEPTH: usize = 64;

/// A pattern, read once for many paths.
pub struct Pattern(Vec<Node>);

enum Node {
    Char(char),
    /// `?`: no separator.
    Single,
    /// `*`: no separator in it.
    Any,
    /// `**`
    Super,
    /// `[a-c]`, `[abc]`, `[!abc]`; a separator is a character like others.
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
    /// `{a,b}`
    AnyOf(Vec<Vec<Node>>),
}

/// What is being read within braces.
#[derive(Default)]
struct Level {
    /// Alternatives before this one.
    before: Vec<Vec<Node>>,
    now: Vec<Node>,
}

impl Pattern {
    /// What is no pattern is `**` to Helm. Braces that are not closed are, at the end.
    pub fn new(text: &str) -> Self {
        Self(parse(text).unwrap_or_else(|| vec![Node::Super]))
    }

    /// Whether the whole of `path` is matched.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let mut starts = vec![false; path.len() + 1];
        if let Some(first) = starts.first_mut() {
            *first = true;
        }
        ends(&self.0, &path, starts).last() == Some(&true)
    }
}

fn parse(text: &str) -> Option<Vec<Node>> {
    let mut outer = Vec::new();
    let mut level = Level::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_inner = !outer.is_empty();
        level.now.push(match c {
            '{' if outer.len() == MAX_DEPTH => return Some(vec![Node::AnyOf(Vec::new())]),
            '{' => {
                outer.push(std::mem::take(&mut level));
                continue;
            }
            ',' if is_inner => {
                let now = std::mem::take(&mut level.now);
                level.before.push(now);
                continue;
            }
            '}' if is_inner => {
                level = closed(level, outer.pop()?);
                continue;
            }
            '[' => class(&mut chars)?,
            '?' => Node::Single,
            '*' if chars.next_if_eq(&'*').is_some() => Node::Super,
            '*' => Node::Any,
            '\\' => match chars.next() {
                Some(c) => Node::Char(c),
                None => break,
            },
            c => Node::Char(c),
        });
    }
    while let Some(around) = outer.pop() {
        level = closed(level, around);
    }
    Some(level.now)
}

/// The level around `inner`, which ends.
fn closed(mut inner: Level, mut around: Level) -> Level {
    inner.before.push(inner.now);
    around.now.push(Node::AnyOf(inner.before));
    around
}

/// What follows `[`; `None` where gobwas finds a fault.
fn class(chars: &mut Peekable<Chars<'_>>) -> Option<Node> {
    let not = chars.next_if_eq(&'!').is_some();
    let first = chars.next()?;
    if chars.next_if_eq(&'-').is_some() {
        let last = chars.next()?;
        let is_whole = first <= last && chars.next()? == ']';
        let ranges = vec![(first, last)];
        return is_whole.then_some(Node::Class { not, ranges });
    }
    let mut ranges = Vec::new();
    let mut c = first;
    while c != ']' {
        if c == '\\' {
            c = chars.next()?;
        }
        ranges.push((c, c));
        c = chars.next()?;
    }
    (!ranges.is_empty()).then_some(Node::Class { not, ranges })
}

/// Where in `path` a match of `nodes` may end that begins at one of `starts`.
fn ends(nodes: &[Node], path: &[char], starts: Vec<bool>) -> Vec<bool> {
    let mut places = starts;
    for node in nodes {
        places = match node {
            Node::Char(wanted) => step(path, &places, |c| c == *wanted),
            Node::Single => step(path, &places, |c| c != '/'),
            Node::Class { not, ranges } => step(path, &places, |c| {
                ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&c))
                    != *not
            }),
            Node::Any => stretch(path, places, |c| c != '/'),
            Node::Super => stretch(path, places, |_| true),
            Node::AnyOf(alternatives) => {
                let mut all = vec![false; places.len()];
                for nodes in alternatives {
                    let ends = ends(nodes, path, places.clone());
                    for (place, end) in all.iter_mut().zip(ends) {
                        *place |= end;
                    }
                }
                all
            }
        };
    }
    places
}

/// One character further.
fn step(path: &[char], places: &[bool], fits: impl Fn(char) -> bool) -> Vec<bool> {
    let moved = path.iter().zip(places).map(|(c, place)| *place && fits(*c));
    std::iter::once(false).chain(moved).collect()
}

/// Any number of characters further.
fn stretch(path: &[char], mut places: Vec<bool>, fits: impl Fn(char) -> bool) -> Vec<bool> {
    let mut before = false;
    for (at, place) in places.iter_mut().enumerate() {
        let fits = at
            .checked_sub(1)
            .and_then(|at| path.get(at))
            .is_some_and(|c| fits(*c));
        *place |= before && fits;
        before = *place;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    /// As the oracle of `tests/real/helm` answers.
    #[test]
    fn patterns_match_as_helm_matches_files() {
        for (pattern, path, expected) in [
            ("conf/*", "conf/a.ini", true),
            ("conf/*", "conf/d/a.ini", false),
            ("conf/**", "conf/d/a.ini", true),
            ("**.yaml", "a/b.yaml", true),
            ("*.{yaml,yml}", "x.yml", true),
            ("*.{yaml,yml}", "x.json", false),
            ("{a,b{c,d}}e", "bde", true),
            ("{a,b{c,d}}e", "be", false),
            ("{,a}b", "b", true),
            ("[a-c]?.txt", "b1.txt", true),
            ("[!a-c]?.txt", "b1.txt", false),
            ("[^b]", "^", true),
            ("[abc-e]", "d", false),
            ("a[!b]c", "a/c", true),
            ("a?c", "a/c", false),
            ("a**b", "ab", true),
            ("a,b}", "a,b}", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            // Closed at the end.
            ("{a", "a", true),
            ("c?nf/a.i{{ni", "conf/a.ini", true),
            // No patterns, and so all files.
            ("[", "any/file", true),
            ("[]", "any/file", true),
            ("[c-a]", "any/file", true),
            ("[a", "any/file", true),
            ("[a-", "any/file", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(path),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn many_braces_match_nothing_and_take_no_time() {
        let deep = "{".repeat(100_000);
        assert!(!Pattern::new(&deep).matches("a"));
        let wide = "{a,b}".repeat(1_000);
        assert!(Pattern::new(&wide).matches(&"ab".repeat(500)));
    }
}
