//! Why an operation on the issuer failed. No variant carries a secret.

use catalyst_store::CommitError;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration contradicts itself.
    #[error("cannot open the issuer: {reason}")]
    Configuration {
        /// What does not fit.
        reason: String,
    },
    /// The signing keys were sealed with another encryption key.
    #[error(
        "cannot decrypt the signing key {key}: it was sealed with another encryption key; \
         restore that key, or remove issuer/key from the store to start with new signing keys"
    )]
    EncryptionKey {
        /// The key's identifier.
        key: String,
    },
    /// A stored record cannot be read.
    #[error("cannot read the record {record}")]
    Record {
        /// Its kind; the identifier may derive from a secret.
        record: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The store refused a write.
    #[error("cannot save to the store")]
    Store(#[from] CommitError),
    /// A cryptographic operation failed.
    #[error("cannot {attempted}: the cryptographic library refused")]
    Cryptography {
        /// What was attempted.
        attempted: &'static str,
    },
    /// Too many passwords are being checked.
    #[error("cannot check a password now: too many are being checked; try again in a few seconds")]
    Busy,
    /// No such user.
    #[error("there is no user {user}; list the users to see who exists")]
    UserUnknown {
        /// The identifier or name given.
        user: String,
    },
    /// The name is taken.
    #[error("cannot create the user {username}: the name is taken; choose another")]
    UsernameTaken {
        /// The name.
        username: String,
    },
    /// The user's properties are not acceptable.
    #[error("cannot save the user {username}: {reason}")]
    UserInvalid {
        /// The name given.
        username: String,
        /// What is wrong, and what is accepted.
        reason: &'static str,
    },
    /// The user is disabled.
    #[error("cannot invite {username}: the user is disabled; enable it first")]
    UserDisabled {
        /// The name.
        username: String,
    },
    /// A password is too weak or too long.
    #[error("cannot set the password: {reason}")]
    PasswordInvalid {
        /// What is wrong, and what is accepted.
        reason: &'static str,
    },
    /// A link must not lead elsewhere.
    #[error(
        "cannot return to {url} after the sign-in: its origin is neither the issuer's \
         nor that of a registered redirect URI"
    )]
    ReturnForeign {
        /// The URL.
        url: String,
    },
}

impl Error {
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(CommitError::Conflict { .. }))
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Store(error) => error.retryable(),
            Self::Configuration { .. }
            | Self::EncryptionKey { .. }
            | Self::Record { .. }
            | Self::Cryptography { .. }
            | Self::UserUnknown { .. }
            | Self::UsernameTaken { .. }
            | Self::UserInvalid { .. }
            | Self::UserDisabled { .. }
            | Self::PasswordInvalid { .. }
            | Self::ReturnForeign { .. } => false,
        }
    }
}
