//! Whether an artifact carries a signature by one of the trusted keys.
//!
//! Both of cosign's forms count: the `.sig` tag and sigstore bundles that
//! refer to the manifest. What must stay true:
//! - Fail-closed; when nothing counts, or the registry cannot be asked, the
//!   artifact is not used.
//! - One good signature is enough, as it is for cosign: one that is broken,
//!   foreign or lost is one that does not count, so that nobody can spoil the
//!   good one beside it.
//! - What is looked at is bounded in number and size.

use std::collections::BTreeSet;

use bytes::Bytes;
use catalyst_signature::{Expected, PublicKey, Refusal, bundle, simple};
use serde_json::Value;

use super::registry::{PullError, Repository};
use crate::json::{integer, list, text};

/// The most signatures that are looked at, in each form.
const MAX_SIGNATURES: usize = 32;
/// The largest signature or bundle that is read, in bytes.
const MAX_SIGNATURE: usize = 1 << 20;
/// The longest that one reason may be, in characters: some quote what somebody
/// attached.
const MAX_REASON: usize = 500;

/// Why no signature counted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Each signature's reason, the most telling first; never empty.
    #[error("{}", told(.0))]
    Refused(Vec<Refusal>),
    /// The registry could not be asked for all of them, so there is no verdict.
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// Every reason once.
fn told(refusals: &[Refusal]) -> String {
    let mut known = BTreeSet::new();
    let mut reasons = Vec::new();
    for refusal in refusals {
        let reason: String = refusal.to_string().chars().take(MAX_REASON).collect();
        if known.insert(reason.clone()) {
            reasons.push(reason);
        }
    }
    reasons.join("; ")
}

/// The fingerprint of the key that signed `manifest`.
pub async fn verify(
    repository: &Repository,
    manifest: &[u8],
    digest: &str,
    keys: &[PublicKey],
) -> Result<String, VerifyError> {
    let keys: Vec<&PublicKey> = keys.iter().collect();
    let expected = Expected {
        digest,
        name: repository.artifact(),
    };
    let mut search = Search {
        repository,
        expected,
        refusals: Vec::new(),
        away: None,
    };
    for layer in search.simple_layers().await {
        let Some(payload) = search.blob(&layer).await else {
            continue;
        };
        match simple::verify(&payload, signature_of(&layer), expected, &keys) {
            Ok(verified) => return Ok(verified.signer.fingerprint()),
            Err(refusal) => search.refusals.push(refusal),
        }
    }
    for referrer in search.bundles().await {
        let Some(found) = search.attached(&referrer).await else {
            continue;
        };
        if !bundle::is_signature(&found) {
            continue;
        }
        match bundle::verify(&found, manifest, expected, &keys) {
            Ok(verified) => return Ok(verified.signer.fingerprint()),
            Err(refusal) => search.refusals.push(refusal),
        }
    }
    Err(search.verdict())
}

/// What of an artifact's signatures was found so far, none of them good.
struct Search<'a> {
    repository: &'a Repository,
    expected: Expected<'a>,
    /// Why those that were looked at do not count.
    refusals: Vec<Refusal>,
    /// Why one could not be looked at.
    away: Option<PullError>,
}

impl Search<'_> {
    /// The signatures under the tag; none when it is not there.
    async fn simple_layers(&mut self) -> Vec<Value> {
        let tag = simple::signature_tag(self.expected.digest);
        let bytes = match self.repository.manifest(&tag).await {
            Ok((bytes, _)) => bytes,
            Err(error) if error.is_not_found() => return Vec::new(),
            Err(error) => {
                self.passed_over(error);
                return Vec::new();
            }
        };
        let Ok(manifest) = serde_json::from_slice::<Value>(&bytes) else {
            self.malformed(format!("the tag {tag} is no manifest"));
            return Vec::new();
        };
        let layers = list(&manifest, "/layers");
        let signatures = layers
            .iter()
            .filter(|layer| !signature_of(layer).is_empty());
        self.first_of(signatures.cloned().collect())
    }

    /// The descriptors of bundles that refer to the artifact.
    async fn bundles(&mut self) -> Vec<Value> {
        match self.repository.referrers(self.expected.digest).await {
            Ok(mut referrers) => {
                referrers.retain(|one| text(one, "/artifactType") == bundle::MEDIA_TYPE);
                self.first_of(referrers)
            }
            Err(error) => {
                self.passed_over(error);
                Vec::new()
            }
        }
    }

    /// The bundle that a referrer is.
    async fn attached(&mut self, referrer: &Value) -> Option<Bytes> {
        let digest = text(referrer, "/digest");
        if !is_digest(digest) {
            self.malformed("it is not named by a digest".to_owned());
            return None;
        }
        let bytes = match self.repository.manifest(digest).await {
            Ok((bytes, _)) => bytes,
            Err(error) => {
                self.passed_over(error);
                return None;
            }
        };
        let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let Some(layer) = list(&manifest, "/layers").first() else {
            self.malformed(format!("what {digest} attaches has no layer"));
            return None;
        };
        self.blob(layer).await
    }

    /// What a descriptor names.
    async fn blob(&mut self, descriptor: &Value) -> Option<Bytes> {
        let digest = text(descriptor, "/digest");
        if !is_digest(digest) {
            self.malformed("it is not named by a digest".to_owned());
            return None;
        }
        let size = integer(descriptor, "/size");
        if !usize::try_from(size).is_ok_and(|size| size <= MAX_SIGNATURE) {
            self.malformed(format!(
                "it has {size} bytes, and {MAX_SIGNATURE} at most are read"
            ));
            return None;
        }
        match self.repository.blob(digest, MAX_SIGNATURE).await {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.passed_over(error);
                None
            }
        }
    }

    /// As many as are looked at, and says so when there are more.
    fn first_of(&mut self, mut found: Vec<Value>) -> Vec<Value> {
        if found.len() > MAX_SIGNATURES {
            self.refusals.push(Refusal::TooMany {
                name: self.expected.name.to_owned(),
                digest: self.expected.digest.to_owned(),
                found: found.len(),
                limit: MAX_SIGNATURES,
            });
            found.truncate(MAX_SIGNATURES);
        }
        found
    }

    fn malformed(&mut self, reason: String) {
        self.refusals.push(Refusal::Malformed {
            name: self.expected.name.to_owned(),
            digest: self.expected.digest.to_owned(),
            reason,
        });
    }

    /// One that the registry does not have as it says is one that does not count; a
    /// registry that cannot be asked leaves the verdict to the others.
    fn passed_over(&mut self, error: PullError) {
        let is_its_own = matches!(error, PullError::Altered { .. } | PullError::Answer { .. });
        if is_its_own || error.is_not_found() {
            self.malformed(error.to_string());
        } else {
            self.away.get_or_insert(error);
        }
    }

    /// What follows when none was good.
    fn verdict(mut self) -> VerifyError {
        if let Some(error) = self.away {
            return error.into();
        }
        if self.refusals.is_empty() {
            self.refusals.push(Refusal::Unsigned {
                name: self.expected.name.to_owned(),
                digest: self.expected.digest.to_owned(),
            });
        }
        // An alteration says more than a foreign signer, and that more than an
        // unreadable one.
        self.refusals.sort_by_key(|refusal| match refusal {
            Refusal::AlteredDigest { .. } => 0,
            Refusal::WrongIdentity { .. } => 1,
            Refusal::TooMany { .. } => 2,
            Refusal::ForeignKey { .. } => 3,
            _ => 4,
        });
        VerifyError::Refused(self.refusals)
    }
}

/// The signature that a layer of the tag's form carries; "" where it carries none.
fn signature_of(layer: &Value) -> &str {
    layer
        .get("annotations")
        .and_then(|all| all.get(simple::SIGNATURE_ANNOTATION))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether it can be asked for: no other text becomes a part of an address.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
