//! What keyless signatures are held against: a trusted root, the file that cosign's
//! `--trusted-root` takes (sigstore's `TrustedRoot`, JSON).

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sigstore_verify::{Verifier, trust_root};

/// The largest trusted root that is read, in bytes.
pub const MAX_TRUSTED_ROOT: usize = 256 << 10;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// Why a trusted root cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedRootError {
    /// Larger than anything that is read.
    #[error(
        "could not read the trusted root: it has {length} bytes, and at most {MAX_TRUSTED_ROOT} are read; leave out what is no longer needed"
    )]
    TooLarge {
        /// How large it is.
        length: usize,
    },
    /// Not a trusted root at all, or one with something in it that is none.
    #[error(
        "could not read the trusted root: {reason}; make one with `cosign trusted-root create`"
    )]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// It lacks what every keyless signature is held against.
    #[error(
        "could not use the trusted root: it names no {what}, and without one no keyless signature counts; add it with `cosign trusted-root create`"
    )]
    Incomplete {
        /// What is missing.
        what: &'static str,
    },
}

/// The authorities and logs that are believed, each for its time.
#[derive(Clone)]
pub struct TrustedRoot {
    verifier: Arc<Verifier>,
    has_timestamp_authorities: bool,
    /// `sha256:…` of its text.
    digest: String,
}

impl TrustedRoot {
    /// Reads one. It must name a certificate authority, a log of its certificates and
    /// a transparency log, since all three vouch for every keyless signature.
    pub fn from_json(text: &str) -> Result<Self, TrustedRootError> {
        if text.len() > MAX_TRUSTED_ROOT {
            let length = text.len();
            return Err(TrustedRootError::TooLarge { length });
        }
        let malformed = |reason: String| TrustedRootError::Malformed { reason };
        let root = trust_root::TrustedRoot::from_json(text)
            .map_err(|error| malformed(error.to_string()))?;
        if !root.media_type.starts_with(MEDIA_TYPE) {
            let found = &root.media_type;
            return Err(malformed(format!("its media type is {found:?}")));
        }
        for (is_missing, what) in [
            (
                root.certificate_authorities.is_empty(),
                "certificate authority",
            ),
            (root.ctlogs.is_empty(), "log of certificates"),
            (root.tlogs.is_empty(), "transparency log"),
        ] {
            if is_missing {
                return Err(TrustedRootError::Incomplete { what });
            }
        }
        let verifier = Verifier::new(&root).map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            verifier: Arc::new(verifier),
            has_timestamp_authorities: !root.timestamp_authorities.is_empty(),
            digest: format!("sha256:{}", hex::encode(Sha256::digest(text))),
        })
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn has_timestamp_authorities(&self) -> bool {
        self.has_timestamp_authorities
    }
}

impl std::fmt::Debug for TrustedRoot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TrustedRoot({})", self.digest)
    }
}

impl PartialEq for TrustedRoot {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for TrustedRoot {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_vouch_for_anything_is_refused_with_what_is_missing() {
        let empty = r#"{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
        let other = r#"{"mediaType": "application/json"}"#;
        let large = " ".repeat(MAX_TRUSTED_ROOT + 1);
        for (text, said) in [
            ("", "could not read the trusted root"),
            ("[]", "could not read the trusted root"),
            (other, "its media type is \"application/json\""),
            (empty, "it names no certificate authority"),
            (large.as_str(), "at most 262144 are read"),
        ] {
            let error = TrustedRoot::from_json(text).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
