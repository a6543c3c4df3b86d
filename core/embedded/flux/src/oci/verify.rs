//! Whether an artifact carries a signature by one of the trusted signers.
//!
//! Both of cosign's forms count: the `.sig` tag and sigstore bundles that
//! refer to the manifest. What must stay true:
//! - Fail-closed; when nothing counts, or the registry cannot be asked, the
//!   artifact is not used.
//! - One good signature is enough, as it is for cosign: one that is broken,
//!   foreign or lost is one that does not count, so that nobody can spoil the
//!   good one beside it.
//! - What is looked at is bounded in number and size (`catalyst_signature`'s search)
//!   and in time, and within these bounds nobody hides the good one by what they put
//!   in front of it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use catalyst_signature::{
    Budget, Expected, MAX_SIGNATURE, Refusal, Refusals, SMALL, Signer, Signers, bundle, in_order,
    simple,
};
use serde_json::Value;

use super::registry::{PullError, Repository};
use crate::json::{integer, list, text};

/// The longest that the search for a good signature may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// The most reasons that are told.
const MAX_REASONS: usize = 16;
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

/// Every reason once, or the most telling ones.
fn told(refusals: &[Refusal]) -> String {
    let mut known = BTreeSet::new();
    let mut reasons = Vec::new();
    for refusal in refusals {
        let reason: String = refusal.to_string().chars().take(MAX_REASON).collect();
        if known.insert(reason.clone()) {
            reasons.push(reason);
        }
    }
    let more = reasons.len().saturating_sub(MAX_REASONS);
    if more > 0 {
        reasons.truncate(MAX_REASONS);
        reasons.push(format!("and {more} more reasons of this kind"));
    }
    reasons.join("; ")
}

/// Who signed `manifest`, of those who are trusted.
pub async fn verify(
    repository: &Repository,
    manifest: &[u8],
    digest: &str,
    signers: &Signers<'_>,
) -> Result<Signer, VerifyError> {
    verify_within(PATIENCE, repository, manifest, digest, signers).await
}

async fn verify_within(
    patience: Duration,
    repository: &Repository,
    manifest: &[u8],
    digest: &str,
    signers: &Signers<'_>,
) -> Result<Signer, VerifyError> {
    let mut search = Search {
        repository,
        manifest,
        signers,
        expected: Expected {
            digest,
            name: repository.artifact(),
        },
        refusals: Refusals::default(),
        away: None,
    };
    let signer = tokio::time::timeout(patience, search.signer()).await;
    match signer {
        Ok(Some(signer)) => Ok(signer),
        Ok(None) => Err(search.verdict()),
        Err(_) => Err(PullError::Answer {
            what: format!("{}/{}@{digest}", repository.host, repository.name),
            why: format!(
                "its signatures could not be looked at within {} s",
                patience.as_secs()
            ),
        }
        .into()),
    }
}

/// What of an artifact's signatures was found so far, none of them good.
struct Search<'a> {
    repository: &'a Repository,
    manifest: &'a [u8],
    signers: &'a Signers<'a>,
    expected: Expected<'a>,
    /// Why those that were looked at do not count.
    refusals: Refusals,
    /// Why one could not be looked at.
    away: Option<PullError>,
}

impl Search<'_> {
    /// Who made the first good one.
    async fn signer(&mut self) -> Option<Signer> {
        match self.signer_by_tag().await {
            Some(signer) => Some(signer),
            None => self.signer_by_bundle().await,
        }
    }

    async fn signer_by_tag(&mut self) -> Option<Signer> {
        let mut layers = self.simple_layers().await;
        in_order(&mut layers, |layer| (false, size_of(layer)));
        let mut budget = Budget::default();
        for layer in &layers {
            if !budget.begin() {
                break;
            }
            let Some(payload) = self.blob(layer, &mut budget).await else {
                continue;
            };
            let Some(annotations) = annotations_of(layer) else {
                continue;
            };
            match simple::verify(&payload, &annotations, self.expected, self.signers) {
                Ok(verified) => return Some(verified.signer),
                Err(refusal) => self.refusals.push(refusal),
            }
        }
        let too_many = budget.too_many(self.expected, layers.len());
        self.refusals.push_too_many(too_many);
        None
    }

    async fn signer_by_bundle(&mut self) -> Option<Signer> {
        let mut referrers = self.bundles().await;
        in_order(&mut referrers, |one| (is_other(one), size_of(one)));
        let mut budget = Budget::default();
        let mut larger = Vec::new();
        for referrer in &referrers {
            if !budget.begin() {
                break;
            }
            let Some(layer) = self.attached(referrer, &mut budget).await else {
                continue;
            };
            // An SBOM is no signature that is too large.
            if size_of(&layer) > MAX_SIGNATURE && is_other(referrer) {
                continue;
            }
            if size_of(&layer) > SMALL {
                larger.push(layer);
            } else if let Some(signer) = self.signer_of(&layer, &mut budget).await {
                return Some(signer);
            }
        }
        in_order(&mut larger, |layer| (false, size_of(layer)));
        for layer in &larger {
            if let Some(signer) = self.signer_of(layer, &mut budget).await {
                return Some(signer);
            }
        }
        let too_many = budget.too_many(self.expected, referrers.len());
        self.refusals.push_too_many(too_many);
        None
    }

    /// Who signed by this bundle, if that is good.
    async fn signer_of(&mut self, layer: &Value, budget: &mut Budget) -> Option<Signer> {
        let found = self.blob(layer, budget).await?;
        if !bundle::is_signature(&found) {
            return None;
        }
        match bundle::verify(&found, self.manifest, self.expected, self.signers) {
            Ok(verified) => Some(verified.signer),
            Err(refusal) => {
                self.refusals.push(refusal);
                None
            }
        }
    }

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
            .filter(|layer| annotations_of(layer).is_some());
        signatures.cloned().collect()
    }

    /// The descriptors of bundles that refer to the artifact.
    async fn bundles(&mut self) -> Vec<Value> {
        match self.repository.referrers(self.expected.digest).await {
            Ok(mut referrers) => {
                referrers.retain(|one| text(one, "/artifactType") == bundle::MEDIA_TYPE);
                referrers
            }
            Err(error) => {
                self.passed_over(error);
                Vec::new()
            }
        }
    }

    /// The descriptor of the bundle that a referrer is.
    async fn attached(&mut self, referrer: &Value, budget: &mut Budget) -> Option<Value> {
        let (digest, most) = self.wanted(referrer, budget)?;
        let bytes = match self.repository.manifest_within(digest, most).await {
            Ok((bytes, _)) => bytes,
            Err(error) => {
                self.passed_over(error);
                return None;
            }
        };
        let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let layer = list(&manifest, "/layers").first().cloned();
        if layer.is_none() {
            self.malformed(format!("what {digest} attaches has no layer"));
        }
        layer
    }

    /// What a descriptor names.
    async fn blob(&mut self, descriptor: &Value, budget: &mut Budget) -> Option<Bytes> {
        let (digest, most) = self.wanted(descriptor, budget)?;
        match self.repository.blob(digest, most).await {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.passed_over(error);
                None
            }
        }
    }

    /// The digest of what is to be read, and how many bytes of it at most; none where it
    /// is not to be read.
    fn wanted<'d>(
        &mut self,
        descriptor: &'d Value,
        budget: &mut Budget,
    ) -> Option<(&'d str, usize)> {
        let digest = text(descriptor, "/digest");
        if !is_digest(digest) {
            self.malformed("it is not named by a digest".to_owned());
            return None;
        }
        let size = size_of(descriptor);
        let most = usize::try_from(size).ok().filter(|_| size <= MAX_SIGNATURE);
        if most.is_none() {
            self.malformed(format!(
                "it has {size} bytes, and {MAX_SIGNATURE} at most are read"
            ));
        }
        most.filter(|_| budget.read(size))
            .map(|most| (digest, most))
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
    fn verdict(self) -> VerifyError {
        if let Some(error) = self.away {
            return error.into();
        }
        VerifyError::Refused(self.refusals.into_sorted(self.expected))
    }
}

/// The signature that a layer of the tag's form carries, and what lies beside it; none
/// where it carries none.
fn annotations_of(layer: &Value) -> Option<simple::Annotations<'_>> {
    let annotations = layer.get("annotations")?;
    simple::Annotations::of(|name| annotations.get(name).and_then(Value::as_str))
}

/// Whether a referrer is said to be another statement than a signature.
fn is_other(referrer: &Value) -> bool {
    referrer
        .get("annotations")
        .and_then(|all| all.get(bundle::PREDICATE_ANNOTATION))
        .is_some_and(|predicate| predicate != bundle::PREDICATE_TYPE)
}

/// The bytes that a descriptor says there are.
fn size_of(descriptor: &Value) -> u64 {
    u64::try_from(integer(descriptor, "/size")).unwrap_or(u64::MAX)
}

/// Whether it can be asked for: no other text becomes a part of an address.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
