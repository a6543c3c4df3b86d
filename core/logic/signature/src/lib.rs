//! Signing payloads, signatures, and the verdict on them.
//!
//! Called by `catalyst-supply`, which moves the bytes over the registry's
//! protocol, and by whatever must decide whether an artifact may be installed.
//! Nothing here reads a file or the network, nor a clock but for one question that
//! decides nothing else: whether a log's entry claims to be from the future.
//!
//! What must stay true:
//! - Verification is fail-closed: every road that does not end in a signature by
//!   a key or an identity that the policy names for that source ends in a [`Refusal`].
//! - The digest is compared with the one the caller computed over the bytes it
//!   holds; a digest found in a payload is a claim, never a fact.
//! - A private key is never printed: [`SigningKey`] has no `Debug` of its bytes.
//!
//! Two forms are written and read, because the readers in the field differ:
//! cosign's *simple signing* payload beside a `sha256-<digest>.sig` tag
//! ([`simple`]), and the sigstore bundle v0.3 attached as a referrer
//! ([`bundle`]). Either may be made by a key, or by a certificate and a log's word
//! ([`Identity`], [`TrustedRoot`]); the Sovereign itself signs by keys. What is attested
//! is written as bundles, and read in cosign's older form too ([`attestation`]).

pub mod attestation;
pub mod bundle;
mod identity;
mod key;
mod keyless;
mod policy;
mod root;
mod search;
pub mod simple;
mod statement;
mod verdict;

pub use identity::{Identity, IdentityError, IdentityFields, Pattern};
pub use key::{KeyError, PemContent, PublicKey, SigningKey};
pub use policy::{Keyless, MAX_IDENTITIES, Signers, TrustPolicy};
pub use root::{MAX_TRUSTED_ROOT, TrustedRoot, TrustedRootError};
pub use search::{Budget, MAX_BYTES, MAX_SIGNATURE, MAX_SIGNATURES, Refusals, SMALL, in_order};
pub use verdict::{Expected, Refusal, Signer, Verified};
