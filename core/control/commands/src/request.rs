//! The id by which a request is found again: in the answer's header, in logs, and
//! in the trailer `Catalyst-Request` of the commits made for it.

use std::fmt;

/// The longest id that is taken over from a caller.
const LONGEST: usize = 64;

/// A request's id: 1 to 64 letters, digits, `-`, `_` and `.`, so that it is one
/// word in a header, a log line and a trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Takes over a caller's own id, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        ((1..=LONGEST).contains(&text.len()) && text.bytes().all(is_good))
            .then(|| Self(text.to_owned()))
    }

    /// An id that no other request has.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_short_word() {
        let longest = "a".repeat(LONGEST);
        for (text, is_taken) in [
            ("7f3c.retry_2-A", true),
            (longest.as_str(), true),
            (&format!("{longest}a"), false),
            ("", false),
            ("two words", false),
            ("x\nCatalyst-Plan: forged", false),
            ("käse", false),
        ] {
            let taken = RequestId::parse(text);
            assert_eq!(taken.is_some(), is_taken, "{text:?}");
            assert!(taken.is_none_or(|id| id.as_str() == text));
        }
        assert!(RequestId::parse(RequestId::random().as_str()).is_some());
    }
}
