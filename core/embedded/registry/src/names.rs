//! Repository names, tags and references, as the specification's grammar has
//! them. Parsing here keeps path tricks and ambiguous store keys out of the
//! rest of the crate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A repository such as `acme/guestbook`: components of `[a-z0-9]+` joined by
/// `.`, `_`, `__` or dashes, separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

/// A tag: a word character, then at most 127 word characters, dots and dashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A mutable name.
    Tag(Tag),
    /// The content itself.
    Digest(Digest),
}

/// The text does not fit the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a repository name.
    #[error(
        "`{0}` is not a repository name; use lower-case letters, digits and single `.`, `_`, `__` or dashes between them, components separated by `/`, at most 255 characters"
    )]
    Repository(String),
    /// Not a tag.
    #[error(
        "`{0}` is not a tag; use at most 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag(String),
}

impl RepositoryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first component, to which permissions are given.
    pub fn namespace(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() <= MAX_NAME && text.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Repository(text.chars().take(MAX_NAME).collect()))
        }
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= MAX_TAG
            && text.bytes().next().is_some_and(is_word)
            && text
                .bytes()
                .all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Tag(text.chars().take(MAX_TAG).collect()))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse::<Digest>() {
            Ok(digest) => Ok(Self::Digest(digest)),
            Err(_) => text.parse().map(Self::Tag),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(formatter),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

/// Whether the text is one component: runs of letters and digits with one
/// separator (`.`, `_`, `__`, any number of `-`) between two runs.
pub(crate) fn is_component(text: &str) -> bool {
    let is_run = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends_fit =
        text.bytes().next().is_some_and(is_run) && text.bytes().next_back().is_some_and(is_run);
    ends_fit
        && text
            .split(|character: char| character.is_ascii() && is_run(character as u8))
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__")
                    || separator.bytes().all(|byte| byte == b'-')
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_grammar() {
        for right in [
            "a",
            "a/b/c",
            "bp-wordpress",
            "a.b",
            "a_b",
            "a__b",
            "a---b",
            "0/1",
            "a/blobs",
        ] {
            assert!(right.parse::<RepositoryName>().is_ok(), "{right}");
        }
        let long = "a".repeat(256);
        for wrong in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "-a", "a-", "_a", "a._b", "a b",
            "..", "a/../b", "ä", "a@b", "a:b", &long,
        ] {
            assert!(wrong.parse::<RepositoryName>().is_err(), "{wrong}");
        }
        let name: RepositoryName = "acme/web/site".parse().unwrap();
        assert_eq!(name.namespace(), "acme");
    }

    #[test]
    fn references_are_tags_or_digests() {
        for right in ["latest", "1.3.0", "_x", "sha256-abc.sig", "A-b.C_d"] {
            assert!(matches!(right.parse(), Ok(Reference::Tag(_))), "{right}");
        }
        let digest = Digest::of(crate::Algorithm::Sha256, b"").to_string();
        assert!(matches!(digest.parse(), Ok(Reference::Digest(_))));
        let long = "t".repeat(129);
        for wrong in ["", ".x", "-x", "a/b", "a:b", "a+b", "sha256:abc", &long] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
