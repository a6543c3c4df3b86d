//! Content digests: parsed once, then trusted to be well-formed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// The hash algorithms that the image specification registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, the canonical one.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Both, in the order of their names.
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A digest such as `sha256:…` with lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

/// The text is not a digest that this registry understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a digest; write sha256: and 64, or sha512: and 128, lower-case hexadecimal digits"
)]
pub struct DigestError {
    text: String,
}

impl Digest {
    /// The digest of some bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut digester = Digester::new(algorithm);
        digester.update(bytes);
        digester.finish()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part after the colon.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Algorithm::ALL
            .into_iter()
            .find_map(|algorithm| {
                let hex = text.strip_prefix(algorithm.name())?.strip_prefix(':')?;
                let valid = hex.len() == algorithm.hex_length()
                    && hex
                        .bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                valid.then(|| Self {
                    algorithm,
                    hex: hex.to_owned(),
                })
            })
            .ok_or_else(|| DigestError {
                text: text.chars().take(160).collect(),
            })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// A running computation of a digest.
#[derive(Clone)]
pub(crate) enum Digester {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Digester {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Box::new(Sha512::new())),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha512(state) => state.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(state) => Digest {
                algorithm: Algorithm::Sha256,
                hex: hex::encode(state.finalize()),
            },
            Self::Sha512(state) => Digest {
                algorithm: Algorithm::Sha512,
                hex: hex::encode(state.finalize()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registered_algorithms_with_lower_case_hex_of_the_right_length_parse() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            empty.parse::<Digest>().unwrap(),
            Digest::of(Algorithm::Sha256, b"")
        );
        let long = Digest::of(Algorithm::Sha512, b"abc").to_string();
        assert_eq!(long.len(), "sha512:".len() + 128);
        assert_eq!(long.parse::<Digest>().unwrap().to_string(), long);
        for wrong in [
            "",
            "sha256",
            "sha256:",
            "sha256:abc",
            &empty.to_uppercase(),
            &empty.replace("b855", "B855"),
            &empty.replace("sha256", "md5"),
            &empty.replace("sha256", "sha512"),
            &format!("{empty}0"),
            "sha256:../../../../etc/passwd",
        ] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
