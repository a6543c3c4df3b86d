//! Go's regular expressions, made into ours.
//!
//! Called by the functions on text. Both engines match alike (RE2 syntax,
//! leftmost-first, linear time); the syntax differs in corners, and Go's
//! `\w`, `\d`, `\s` and `\b` are of ASCII. What must stay true: what Go
//! refuses is refused in its words.

use regex::{Regex, RegexBuilder};

use crate::format::quote;

/// Repetitions counted out, as in Go.
const MAX_REPEAT: i64 = 1000;
const MAX_DEPTH: usize = 200;
/// Bytes of a compiled expression.
const MAX_COMPILED: usize = 4 << 20;

/// `regexp.Compile`.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern)
        .map_err(|(code, part)| format!("error parsing regexp: {code}: `{part}`"))?;
    RegexBuilder::new(&translated)
        .size_limit(MAX_COMPILED)
        .build()
        .map_err(|_| format!("error parsing regexp: expression too large: `{pattern}`"))
}

/// The words of `regexp.MustCompile` when it panics.
pub fn panicked(pattern: &str, why: &str) -> String {
    let plain = !pattern
        .chars()
        .any(|c| c == '`' || c == '\u{7f}' || c == '\u{feff}' || (c < ' ' && c != '\t'));
    let shown = if plain {
        format!("`{pattern}`")
    } else {
        quote(pattern)
    };
    format!("regexp: Compile({shown}): {why}")
}

/// What compiling an expression costs, in bytes of text gone through: it grows
/// with what is counted out.
pub fn cost(pattern: &str) -> usize {
    let counts = pattern
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split(['}', ',']).next()?.parse::<usize>().ok())
        .fold(1_usize, |sum, count| sum.saturating_add(count));
    (100 + pattern.len())
        .saturating_mul(counts)
        .saturating_mul(200)
}

type Fault = (&'static str, String);

struct Translator<'a> {
    whole: &'a str,
    at: usize,
    out: String,
    groups: usize,
    /// Whether something stands before that may be repeated.
    repeatable: bool,
    names: Vec<String>,
}

fn translate(pattern: &str) -> Result<String, Fault> {
    let mut translator = Translator {
        whole: pattern,
        at: 0,
        out: String::new(),
        groups: 0,
        repeatable: false,
        names: Vec::new(),
    };
    translator.run()?;
    Ok(translator.out)
}

fn perl_class(c: char) -> Option<&'static str> {
    Some(match c {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

impl<'a> Translator<'a> {
    fn rest(&self) -> &'a str {
        self.whole.get(self.at..).unwrap_or_default()
    }

    fn since(&self, start: usize) -> String {
        self.whole
            .get(start..self.at)
            .unwrap_or_default()
            .to_owned()
    }

    fn one(&mut self, text: &str) {
        self.out.push_str(text);
        self.repeatable = true;
    }

    fn run(&mut self) -> Result<(), Fault> {
        // Where the operator before this one began, if there was one.
        let mut last_repeat: Option<usize> = None;
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            let mut repeat = None;
            match c {
                '(' => self.open()?,
                '|' => {
                    self.at += 1;
                    self.out.push('|');
                    self.repeatable = false;
                }
                ')' => {
                    if self.groups == 0 {
                        return Err(("unexpected )", self.whole.to_owned()));
                    }
                    self.groups -= 1;
                    self.at += 1;
                    self.one(")");
                }
                '^' | '$' => {
                    self.at += 1;
                    self.one(if c == '^' { "(?:^)" } else { "(?:$)" });
                }
                '.' => {
                    self.at += 1;
                    self.one(".");
                }
                '[' => self.class()?,
                '*' | '+' | '?' => {
                    self.at += 1;
                    self.repetition(start, last_repeat, &c.to_string())?;
                    repeat = Some(start);
                }
                '{' => match self.counts() {
                    None => {
                        self.at += 1;
                        self.one("\\{");
                    }
                    Some((least, most, length)) => {
                        self.at += length;
                        let most_is_less = most.is_some_and(|most| least > most);
                        if least > MAX_REPEAT
                            || most.is_some_and(|most| most > MAX_REPEAT)
                            || most_is_less
                        {
                            return Err(("invalid repeat count", self.since(start)));
                        }
                        let text = self.since(start);
                        self.repetition(start, last_repeat, &text)?;
                        repeat = Some(start);
                    }
                },
                '\\' => self.escape()?,
                c => {
                    self.at += c.len_utf8();
                    let text = regex::escape(&c.to_string());
                    self.one(&text);
                }
            }
            last_repeat = repeat;
        }
        if self.groups > 0 {
            return Err(("missing closing )", self.whole.to_owned()));
        }
        Ok(())
    }

    fn repetition(&mut self, start: usize, last: Option<usize>, text: &str) -> Result<(), Fault> {
        let lazy = self.rest().starts_with('?');
        self.at += usize::from(lazy);
        if let Some(last) = last {
            return Err(("invalid nested repetition operator", self.since(last)));
        }
        if !self.repeatable {
            return Err(("missing argument to repetition operator", self.since(start)));
        }
        self.out.push_str(text);
        if lazy {
            self.out.push('?');
        }
        Ok(())
    }

    /// `{2,3}`: least, most and length; `None` where it is only a brace.
    fn counts(&self) -> Option<(i64, Option<i64>, usize)> {
        let (inside, _) = self.rest().strip_prefix('{')?.split_once('}')?;
        let number = |text: &str| -> Option<i64> {
            let good = !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_digit())
                && (text.len() == 1 || !text.starts_with('0'));
            good.then(|| text.parse().unwrap_or(i64::MAX))
        };
        let length = inside.len() + 2;
        match inside.split_once(',') {
            None => number(inside).map(|count| (count, Some(count), length)),
            Some((least, "")) => Some((number(least)?, None, length)),
            Some((least, most)) => Some((number(least)?, Some(number(most)?), length)),
        }
    }

    fn open(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.groups >= MAX_DEPTH {
            return Err(("expression nests too deeply", self.whole.to_owned()));
        }
        let Some(inside) = self.rest().strip_prefix("(?") else {
            self.at += 1;
            self.out.push('(');
            self.groups += 1;
            self.repeatable = false;
            return Ok(());
        };
        let named = inside
            .strip_prefix("P<")
            .or_else(|| inside.strip_prefix('<'));
        if let Some(named) = named
            && self.rest().len() > 4
        {
            let Some((name, _)) = named.split_once('>') else {
                return Err(("invalid named capture", self.rest().to_owned()));
            };
            self.at = self.whole.len() - named.len() + name.len() + 1;
            let good =
                !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
            if !good {
                return Err(("invalid named capture", self.since(start)));
            }
            if self.names.iter().any(|known| known == name) {
                return Err(("duplicate capture group name", name.to_owned()));
            }
            self.names.push(name.to_owned());
            // Go lets a name start with a digit; ours does not.
            let starts_badly = name.starts_with(|c: char| c.is_ascii_digit());
            self.out.push_str(&if starts_badly {
                "(".to_owned()
            } else {
                format!("(?P<{name}>")
            });
            self.groups += 1;
            self.repeatable = false;
            return Ok(());
        }
        self.at += 2;
        let (mut negated, mut seen) = (false, false);
        while let Some(c) = self.rest().chars().next() {
            self.at += c.len_utf8();
            match c {
                'i' | 'm' | 's' | 'U' => seen = true,
                '-' if !negated => {
                    negated = true;
                    seen = false;
                }
                ':' | ')' if !negated || seen => {
                    let text = self.since(start);
                    if c == ':' {
                        self.groups += 1;
                        self.repeatable = false;
                    }
                    // Setting nothing is refused by ours.
                    if text != "(?)" {
                        self.out.push_str(&text);
                    }
                    return Ok(());
                }
                _ => break,
            }
        }
        Err(("invalid or unsupported Perl syntax", self.since(start)))
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let next = self.rest().chars().nth(1);
        match next {
            Some('A') => {
                self.at += 2;
                self.one("(?:\\A)");
            }
            Some('z') => {
                self.at += 2;
                self.one("(?:\\z)");
            }
            Some('b') => {
                self.at += 2;
                self.one("(?-u:\\b)");
            }
            Some('B') => {
                self.at += 2;
                self.one("(?:\\B)");
            }
            Some('C') => {
                self.at += 2;
                return Err(("invalid escape sequence", "\\C".to_owned()));
            }
            Some('Q') => {
                let body = self.rest().get(2..).unwrap_or_default();
                let literal = body.split("\\E").next().unwrap_or_default();
                for c in literal.chars() {
                    let text = regex::escape(&c.to_string());
                    self.one(&text);
                }
                let closed = body.len() > literal.len();
                self.at += 2 + literal.len() + if closed { 2 } else { 0 };
            }
            Some('p' | 'P') => {
                let text = self.unicode_class()?;
                self.one(&text);
            }
            Some(c) if let Some(class) = perl_class(c) => {
                self.at += 2;
                self.one(&format!("(?-i:{class})"));
            }
            _ => {
                let c = self.character_escape()?;
                let text = regex::escape(&c.to_string());
                self.one(&text);
            }
        }
        Ok(())
    }

    fn unicode_class(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let body = self.rest().get(2..).unwrap_or_default();
        let length = if body.starts_with('{') {
            match body.find('}') {
                Some(close) => close + 1,
                None => {
                    self.at = self.whole.len();
                    return Err(("invalid character class range", self.since(start)));
                }
            }
        } else {
            body.chars().next().map_or(0, char::len_utf8)
        };
        self.at += 2 + length;
        let text = self.since(start);
        if Regex::new(&text).is_err() {
            return Err(("invalid character class range", text));
        }
        Ok(text)
    }

    /// `parseEscape`.
    fn character_escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.rest().chars().next() else {
            return Err(("trailing backslash at end of expression", String::new()));
        };
        self.at += c.len_utf8();
        let octal = |text: &str| {
            text.bytes()
                .take(2)
                .take_while(|b| (b'0'..=b'7').contains(b))
                .count()
        };
        let code = match c {
            '0'..='7' if c == '0' || octal(self.rest()) > 0 => {
                let count = octal(self.rest());
                let from = self.at - 1;
                self.at += count;
                u32::from_str_radix(&self.since(from), 8).ok()
            }
            'x' => {
                let rest = self.rest();
                let digits = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                    Some((digits, _)) => {
                        self.at += digits.len() + 2;
                        digits
                    }
                    None => {
                        let digits = rest.get(..2).unwrap_or_default();
                        self.at += digits.len();
                        digits
                    }
                };
                u32::from_str_radix(digits, 16).ok()
            }
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code.and_then(char::from_u32)
            .ok_or_else(|| ("invalid escape sequence", self.since(start)))
    }

    fn class(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let mut out = String::from("[");
        self.at += 1;
        if self.rest().starts_with('^') {
            self.at += 1;
            out.push('^');
        }
        let mut first = true;
        loop {
            let rest = self.rest();
            if rest.starts_with(']') && !first {
                self.at += 1;
                break;
            }
            first = false;
            if rest.starts_with("[:")
                && let Some(close) = rest.get(2..).and_then(|rest| rest.find(":]"))
            {
                let name = rest.get(..close + 4).unwrap_or_default();
                if Regex::new(&format!("[{name}]")).is_err() {
                    return Err(("invalid character class range", name.to_owned()));
                }
                out.push_str(name);
                self.at += name.len();
                continue;
            }
            let mut chars = rest.chars();
            if chars.next() == Some('\\') {
                match chars.next() {
                    Some('p' | 'P') => {
                        let text = self.unicode_class()?;
                        out.push_str(&text);
                        continue;
                    }
                    Some(c) if let Some(class) = perl_class(c) => {
                        self.at += 2;
                        out.push_str(class);
                        continue;
                    }
                    _ => {}
                }
            }
            let from = self.at;
            let low = self.class_character(start)?;
            let mut high = low;
            let rest = self.rest();
            if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
                self.at += 1;
                high = self.class_character(start)?;
                if high < low {
                    return Err(("invalid character class range", self.since(from)));
                }
            }
            out.push_str(&format!(
                "\\x{{{:x}}}-\\x{{{:x}}}",
                u32::from(low),
                u32::from(high)
            ));
        }
        out.push(']');
        self.one(&out);
        Ok(())
    }

    fn class_character(&mut self, start: usize) -> Result<char, Fault> {
        match self.rest().chars().next() {
            None => Err((
                "missing closing ]",
                self.whole.get(start..).unwrap_or_default().to_owned(),
            )),
            Some('\\') => self.character_escape(),
            Some(c) => {
                self.at += c.len_utf8();
                Ok(c)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::compile;

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        for (pattern, why) in [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("[a", "missing closing ]: `[a`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("x{2,1}", "invalid repeat count: `{2,1}`"),
            ("\\q", "invalid escape sequence: `\\q`"),
            ("(?=x)", "invalid or unsupported Perl syntax: `(?=`"),
            ("[b-a]", "invalid character class range: `b-a`"),
        ] {
            let error = compile(pattern).unwrap_err();
            assert_eq!(error, format!("error parsing regexp: {why}"));
        }
        assert!(!compile("^\\w$").unwrap().is_match("é"));
        assert!(compile("a{,2}").unwrap().is_match("a{,2}"));
    }
}
