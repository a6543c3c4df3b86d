//! Signing payloads, signatures, and the verdict on them.
//!
//! Called by `catalyst-supply`, which moves the bytes over the registry's
//! protocol, and by whatever must decide whether an artifact may be installed.
//! Nothing here reads a clock, a file or the network.
//!
//! What must stay true:
//! - Verification is fail-closed: every road that does not end in a signature by
//!   a key the policy names for that source ends in a [`Refusal`].
//! - The digest is compared with the one the caller computed over the bytes it
//!   holds; a digest found in a payload is a claim, never a fact.
//! - A private key is never printed: [`SigningKey`] has no `Debug` of its bytes.
//!
//! Two forms are written and read, because the readers in the field differ:
//! cosign's *simple signing* payload beside a `sha256-<digest>.sig` tag
//! ([`simple`]), and the sigstore bundle v0.3 attached as a referrer
//! ([`bundle`]).

pub mod bundle;
mod key;
mod policy;
mod search;
pub mod simple;
mod verdict;

pub use key::{KeyError, PemContent, PublicKey, SigningKey};
pub use policy::TrustPolicy;
pub use search::{Budget, MAX_BYTES, MAX_SIGNATURE, MAX_SIGNATURES, Refusals, SMALL, in_order};
pub use verdict::{Expected, Refusal, Verified};
