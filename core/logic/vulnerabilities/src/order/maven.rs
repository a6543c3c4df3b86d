//! Maven's versions, by the order that its reference of the POM describes: tokens
//! between dots, hyphens, and where digits meet letters.

use std::cmp::Ordering;

use super::numbers;

/// Words with a place of their own, from the lowest; the empty one is a release.
const WORDS: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];

pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (tokens(left)?, tokens(right)?);
    let longest = left.len().max(right.len());
    let order = (0..longest)
        .map(|at| match (left.get(at), right.get(at)) {
            (Some(left), Some(right)) => left.order(right),
            (Some(left), None) => left.order(&left.nothing()),
            (None, Some(right)) => right.nothing().order(right),
            (None, None) => Ordering::Equal,
        })
        .find(|order| order.is_ne());
    Some(order.unwrap_or(Ordering::Equal))
}

struct Token {
    after_dot: bool,
    is_number: bool,
    text: String,
}

impl Token {
    /// What a version that is shorter has in its place.
    fn nothing(&self) -> Self {
        Self {
            after_dot: self.after_dot,
            is_number: self.is_number,
            text: match self.is_number {
                true => "0".to_owned(),
                false => String::new(),
            },
        }
    }

    fn is_nothing(&self) -> bool {
        match self.is_number {
            true => self.text.bytes().all(|digit| digit == b'0'),
            false => self.text.is_empty(),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self.is_number, other.is_number) {
            (false, false) => place(&self.text).cmp(&place(&other.text)),
            (false, true) => Ordering::Less,
            (true, false) => Ordering::Greater,
            // A number after a hyphen stands before any after a dot.
            (true, true) => self
                .after_dot
                .cmp(&other.after_dot)
                .then_with(|| numbers(self.text.as_bytes(), other.text.as_bytes())),
        }
    }
}

/// Words that are not known stand after all that are.
fn place(word: &str) -> (usize, &str) {
    match WORDS.iter().position(|known| *known == word) {
        Some(place) => (place, ""),
        None => (WORDS.len(), word),
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.is_empty() || !text.is_ascii() || text.contains(char::is_whitespace) {
        return None;
    }
    let mut found: Vec<Token> = Vec::new();
    let mut token = String::new();
    let mut after_dot = true;
    for c in text.to_ascii_lowercase().chars().chain(['.']) {
        let is_separator = matches!(c, '.' | '-' | '_');
        let turns = token
            .chars()
            .next_back()
            .is_some_and(|last| last.is_ascii_digit() != c.is_ascii_digit());
        if is_separator || turns {
            let before_digit = c.is_ascii_digit();
            found.push(finished(
                std::mem::take(&mut token),
                after_dot,
                before_digit,
            ));
            after_dot = c == '.';
        }
        if !is_separator {
            token.push(c);
        }
    }
    trim(&mut found);
    Some(found)
}

fn finished(text: String, after_dot: bool, before_digit: bool) -> Token {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let text = match text.as_str() {
        "" => "0".to_owned(),
        "a" if before_digit => "alpha".to_owned(),
        "b" if before_digit => "beta".to_owned(),
        "m" if before_digit => "milestone".to_owned(),
        "cr" => "rc".to_owned(),
        "final" | "ga" | "release" => String::new(),
        _ => text,
    };
    Token {
        after_dot,
        is_number,
        text,
    }
}

/// Drops what says nothing at the end, and before each hyphen.
fn trim(tokens: &mut Vec<Token>) {
    let mut end = tokens.len();
    while end > 1 {
        let at = end - 1;
        let ends_a_part = tokens.get(end).is_none_or(|next| !next.after_dot);
        if ends_a_part && tokens.get(at).is_some_and(Token::is_nothing) {
            tokens.remove(at);
        }
        end = at;
    }
}
