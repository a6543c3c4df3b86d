//! Subjects and filters, as NATS writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a subject or filter was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("subject {text:?} is not valid: {reason}")]
pub struct SubjectError {
    /// The text given.
    pub text: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

/// What a message is about: tokens joined by dots, at most 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(String);

impl Subject {
    /// Checks a subject.
    pub fn new(text: impl Into<String>) -> Result<Self, SubjectError> {
        let text = text.into();
        check(&text, false)?;
        Ok(Self(text))
    }

    /// The subject made of the given parts: an empty one becomes `_`, and what
    /// a token cannot hold is percent-encoded, so that parts never run together.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<Self, SubjectError> {
        let tokens: Vec<String> = parts.into_iter().map(token).collect();
        Self::new(tokens.join("."))
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        Self::new(text)
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0
    }
}

/// A pattern over subjects: `*` stands for one token, a final `>` for one or
/// more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// Checks a filter.
    pub fn new(text: impl Into<String>) -> Result<Self, SubjectError> {
        let text = text.into();
        check(&text, true)?;
        Ok(Self(text))
    }

    /// The filter that every subject passes.
    pub fn all() -> Self {
        Self(">".to_owned())
    }

    /// Whether a subject passes.
    pub fn matches(&self, subject: &Subject) -> bool {
        let mut tokens = subject.as_str().split('.');
        for pattern in self.0.split('.') {
            match (pattern, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (pattern, Some(token)) if pattern == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

fn token(part: &str) -> String {
    if part.is_empty() {
        return "_".to_owned();
    }
    let mut token = String::with_capacity(part.len());
    for character in part.chars() {
        match character {
            // A lone underscore stands for "none", so a real one is encoded.
            '_' if part == "_" => token.push_str("%5F"),
            '.' => token.push_str("%2E"),
            '%' => token.push_str("%25"),
            '*' => token.push_str("%2A"),
            '>' => token.push_str("%3E"),
            character if character.is_whitespace() || character.is_control() => {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    token.push_str(&format!("%{byte:02X}"));
                }
            }
            character => token.push(character),
        }
    }
    token
}

fn check(text: &str, wildcards: bool) -> Result<(), SubjectError> {
    let refuse = |reason| {
        Err(SubjectError {
            text: text.to_owned(),
            reason,
        })
    };
    if text.is_empty() || text.len() > 1024 {
        return refuse("it must have 1 to 1,024 bytes");
    }
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() {
            return refuse("a token between dots is empty");
        }
        if token
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
        {
            return refuse("it holds white space or control characters");
        }
        if !token.contains(['*', '>']) {
            continue;
        }
        match token {
            _ if !wildcards => return refuse("wildcards are for filters only"),
            "*" => {}
            ">" if tokens.peek().is_none() => {}
            ">" => return refuse("'>' must be the last token"),
            _ => return refuse("a wildcard must be a whole token"),
        }
    }
    Ok(())
}
