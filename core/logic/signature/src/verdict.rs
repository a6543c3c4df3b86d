//! What a verification is asked, and the two things it may answer.

use crate::{Identity, PublicKey, Signers};

/// What the caller holds and wants vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// `sha256:<hex>` the caller computed over the manifest bytes it holds.
    pub digest: &'a str,
    /// The artifact's name, the last part of its repository (`bp-guestbook`).
    /// Registries are mirrored, so the host and the path before it may differ
    /// from where the artifact was signed; its own name may not.
    pub name: &'a str,
}

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The digest that was vouched for.
    pub digest: String,
    /// Who did.
    pub signer: Signer,
}

/// Who made a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The holder of a key.
    Key(PublicKey),
    /// Whoever a certificate was made out to.
    Identity {
        /// The mail address or URI that the certificate names.
        subject: String,
        /// The OpenID Connect issuer that vouched for them.
        issuer: String,
    },
}

/// The name of a signer in messages and records: a key's fingerprint, or an
/// identity's claims.
impl std::fmt::Display for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => formatter.write_str(&key.fingerprint()),
            Self::Identity { subject, issuer } => write!(formatter, "{subject} by {issuer}"),
        }
    }
}

/// Why an artifact is refused. Each reason is its own, since what to do differs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature is attached at all.
    #[error(
        "refused {name}@{digest}: it carries no signature; publish it with `catalyst blueprint publish`, which signs it"
    )]
    Unsigned {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
    },
    /// Signed, but the signature is for other bytes.
    #[error(
        "refused {name}: it was altered after it was signed (its bytes are {actual}, the signature is for {signed}); publish it again"
    )]
    AlteredDigest {
        /// The artifact's name.
        name: String,
        /// The digest of the bytes held.
        actual: String,
        /// The digest the signature speaks of.
        signed: String,
    },
    /// Signed by a key the policy does not name for the source.
    #[error(
        "refused {name}@{digest}: no trusted key made its signature (trusted: {trusted}); sign it with a trusted key, or have a security-officer trust its signer"
    )]
    ForeignKey {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// Fingerprints of the keys and identities that would have counted.
        trusted: String,
    },
    /// Signed by a certificate of somebody whom the policy does not name.
    #[error(
        "refused {name}@{digest}: {signer} made its signature and is not trusted (trusted: {trusted}); have it signed by whom is trusted, or have a security-officer trust them"
    )]
    ForeignIdentity {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// Whom the certificate is made out to, and by which issuer.
        signer: String,
        /// Who would have counted.
        trusted: String,
    },
    /// Signed by a certificate that names a trusted subject, whom another issuer
    /// vouched for: it is somebody else.
    #[error(
        "refused {name}@{digest}: {signer} made its signature, and that issuer is not trusted for them (trusted: {trusted}); have it signed by whom is trusted, or have a security-officer trust them by that issuer"
    )]
    ForeignIssuer {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// Whom the certificate is made out to, and by which issuer.
        signer: String,
        /// Who would have counted.
        trusted: String,
    },
    /// The certificate was not valid when the signature was made.
    #[error(
        "refused {name}@{digest}: its certificate was not valid when it was signed ({reason}); sign it again"
    )]
    ExpiredCertificate {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// Which times do not fit.
        reason: String,
    },
    /// No authority of the trusted root made the certificate.
    #[error(
        "refused {name}@{digest}: no authority of the trusted root made its certificate ({reason}); sign it with a certificate of a trusted authority, or have the authority added to the trusted root"
    )]
    UnknownAuthority {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// What is wrong with the certificate's chain.
        reason: String,
    },
    /// No log or timestamp authority of the trusted root vouches for the signature or
    /// its certificate.
    #[error(
        "refused {name}@{digest}: nothing of the trusted root vouches that its signature was logged ({reason}); sign it again with its logs, or have these added to the trusted root"
    )]
    Unlogged {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// What is missing or does not hold.
        reason: String,
    },
    /// The log's entry beside the signature is of another one.
    #[error(
        "refused {name}@{digest}: the log's entry beside its signature is for something else ({reason}); sign it again"
    )]
    LoggedOtherwise {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// What does not fit.
        reason: String,
    },
    /// The signature cannot be read.
    #[error(
        "refused {name}@{digest}: its signature cannot be read ({reason}); publish it again with a supported signer"
    )]
    Malformed {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A good signature of the same bytes under another name.
    #[error(
        "refused {name}@{digest}: the signature names {signed_name}; publish it under the name it was signed for"
    )]
    WrongIdentity {
        /// The artifact's name here.
        name: String,
        /// Its digest.
        digest: String,
        /// The name in the signed payload.
        signed_name: String,
    },
    /// None of the signatures that were looked at counts, and there are more.
    #[error(
        "refused {name}@{digest}: it carries {found} signatures, and none of the {limit} that are looked at is by a trusted key; remove those that are of no use, or publish it anew"
    )]
    TooMany {
        /// The artifact's name.
        name: String,
        /// Its digest.
        digest: String,
        /// How many there are.
        found: usize,
        /// How many are looked at.
        limit: usize,
    },
    /// The policy trusts nobody for the source.
    #[error(
        "refused every artifact of source {source_name}: no signer is trusted for it; add one to the Sovereign's trusted signers"
    )]
    UntrustedSource {
        /// The source asked for.
        source_name: String,
    },
}

impl Refusal {
    /// A short constant for status conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned { .. } => "Unsigned",
            Self::AlteredDigest { .. } => "AlteredDigest",
            Self::ForeignKey { .. } => "ForeignKey",
            Self::ForeignIdentity { .. } => "ForeignIdentity",
            Self::ForeignIssuer { .. } => "ForeignIssuer",
            Self::ExpiredCertificate { .. } => "ExpiredCertificate",
            Self::UnknownAuthority { .. } => "UnknownAuthority",
            Self::Unlogged { .. } => "Unlogged",
            Self::LoggedOtherwise { .. } => "LoggedOtherwise",
            Self::Malformed { .. } => "MalformedSignature",
            Self::WrongIdentity { .. } => "WrongIdentity",
            Self::TooMany { .. } => "TooManySignatures",
            Self::UntrustedSource { .. } => "UntrustedSource",
        }
    }
}

/// The refusals as both formats word them.
impl Expected<'_> {
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Refusal {
        Refusal::Malformed {
            name: self.name.to_owned(),
            digest: self.digest.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn foreign(&self, signers: &Signers<'_>) -> Refusal {
        Refusal::ForeignKey {
            name: self.name.to_owned(),
            digest: self.digest.to_owned(),
            trusted: signers.told(),
        }
    }

    pub(crate) fn foreign_identity(
        &self,
        subject: &str,
        issuer: &str,
        identities: &[Identity],
    ) -> Refusal {
        let (name, digest) = (self.name.to_owned(), self.digest.to_owned());
        let signer = format!("{subject} by {issuer}");
        let told: Vec<String> = identities.iter().map(ToString::to_string).collect();
        let trusted = told.join(", ");
        match identities.iter().any(|one| one.has_subject(subject)) {
            true => Refusal::ForeignIssuer {
                name,
                digest,
                signer,
                trusted,
            },
            false => Refusal::ForeignIdentity {
                name,
                digest,
                signer,
                trusted,
            },
        }
    }

    pub(crate) fn expired(&self, reason: String) -> Refusal {
        Refusal::ExpiredCertificate {
            name: self.name.to_owned(),
            digest: self.digest.to_owned(),
            reason,
        }
    }

    pub(crate) fn unknown_authority(&self, reason: String) -> Refusal {
        Refusal::UnknownAuthority {
            name: self.name.to_owned(),
            digest: self.digest.to_owned(),
            reason,
        }
    }

    pub(crate) fn unlogged(&self, reason: impl Into<String>) -> Refusal {
        Refusal::Unlogged {
            name: self.name.to_owned(),
            digest: self.digest.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn logged_otherwise(&self, reason: String) -> Refusal {
        Refusal::LoggedOtherwise {
            name: self.name.to_owned(),
            digest: self.digest.to_owned(),
            reason,
        }
    }

    /// Compares what a signed payload claims with what the caller holds. Called
    /// only after the signature itself was found good.
    pub(crate) fn check_claims(
        &self,
        signed_digest: &str,
        signed_reference: &str,
    ) -> Result<(), Refusal> {
        if signed_digest != self.digest {
            return Err(Refusal::AlteredDigest {
                name: self.name.to_owned(),
                actual: self.digest.to_owned(),
                signed: signed_digest.to_owned(),
            });
        }
        let signed_name = reference_name(signed_reference);
        if signed_name != self.name {
            return Err(Refusal::WrongIdentity {
                name: self.name.to_owned(),
                digest: self.digest.to_owned(),
                signed_name: signed_name.to_owned(),
            });
        }
        Ok(())
    }
}

/// The artifact's own name in `host:port/path/name:tag@digest`.
fn reference_name(reference: &str) -> &str {
    let without_digest = reference
        .split_once('@')
        .map_or(reference, |(head, _)| head);
    let last = without_digest
        .rsplit_once('/')
        .map_or(without_digest, |(_, last)| last);
    last.split_once(':').map_or(last, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_last_part_of_a_reference() {
        for (reference, name) in [
            ("127.0.0.1:8080/catalog/bp-guestbook", "bp-guestbook"),
            ("ghcr.io/openova-io/bp-guestbook:1.0.0", "bp-guestbook"),
            ("h/a/b/bp-x:1@sha256:00", "bp-x"),
            ("bp-x", "bp-x"),
        ] {
            assert_eq!(reference_name(reference), name, "{reference}");
        }
    }
}
