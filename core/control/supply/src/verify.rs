//! Whether an artifact is signed by somebody trusted.
//!
//! What must stay true:
//! - Fail-closed: nothing but a signature by one of the keys ends in [`Verified`].
//! - A signature that cannot be read, or is not what the registry calls it, is one
//!   that does not count, so that nobody can spoil the good one beside it; when the
//!   registry cannot be asked, there is no verdict at all.
//! - What is looked at is bounded in number, size and time.

use bytes::Bytes;
use catalyst_signature::{Expected, PublicKey, Refusal, TrustPolicy, Verified, bundle, simple};

use crate::{
    Descriptor, Manifest, Reference, Registry, RegistryError, VerifyError, digest,
    error::malformed, reference::is_digest,
};

/// The most signatures of one artifact that are looked at, in each form.
pub(crate) const MAX_SIGNATURES: usize = 32;
/// The largest signature or bundle that is read.
const MAX_SIGNATURE: u64 = 1024 * 1024;

impl Registry {
    /// Decides whether an artifact may be used: resolves the reference, and looks
    /// for a signature, in either form, by a key that `policy` trusts for `source`.
    ///
    /// When no signature counts, the answer is the most telling reason.
    pub async fn verify(
        &self,
        at: &Reference,
        source: &str,
        policy: &TrustPolicy,
    ) -> Result<Verified, VerifyError> {
        let keys = policy.keys(source)?;
        let manifest = self.manifest(at, at.target()).await?;
        self.verify_manifest(at, &manifest, &keys).await
    }

    /// How many signatures an artifact carries, by whomever and however good: those
    /// beside the tag and those of bundles.
    pub async fn count_signatures(
        &self,
        at: &Reference,
        subject: &str,
    ) -> Result<usize, RegistryError> {
        let layers = self
            .signature_layers(at, &simple::signature_tag(subject))
            .await?;
        let is_signature =
            |layer: &&Descriptor| layer.annotations.contains_key(simple::SIGNATURE_ANNOTATION);
        let mut found = layers.iter().filter(is_signature).count();
        let referrers = self.referrers(at, subject).await?;
        for referrer in bundles_of(&referrers).take(MAX_SIGNATURES) {
            let attached = self.attached(at, referrer, MAX_SIGNATURE).await?;
            found += usize::from(bundle::is_signature(&attached));
        }
        Ok(found)
    }

    pub(crate) async fn verify_manifest(
        &self,
        at: &Reference,
        manifest: &Bytes,
        keys: &[&PublicKey],
    ) -> Result<Verified, VerifyError> {
        let verdict = self.verdict(at, manifest, keys);
        match tokio::time::timeout(self.patience.verdict, verdict).await {
            Ok(verdict) => verdict,
            Err(_) => Err(RegistryError::TimedOut {
                action: "verify",
                reference: at.to_string(),
            }
            .into()),
        }
    }

    async fn verdict(
        &self,
        at: &Reference,
        manifest: &Bytes,
        keys: &[&PublicKey],
    ) -> Result<Verified, VerifyError> {
        let actual = digest(manifest);
        let expected = Expected {
            digest: &actual,
            name: at.artifact(),
        };
        let mut refusals = Vec::new();
        let by_tag = self.signed_by_tag(at, expected, keys, &mut refusals);
        if let Some(verified) = by_tag.await? {
            return Ok(verified);
        }
        let by_referrer = self.signed_by_referrer(at, manifest, expected, keys, &mut refusals);
        if let Some(verified) = by_referrer.await? {
            return Ok(verified);
        }
        // Nothing counted. An alteration says more than a foreign signer, and
        // that more than an unreadable one.
        refusals.sort_by_key(|refusal| match refusal {
            Refusal::AlteredDigest { .. } => 0,
            Refusal::WrongIdentity { .. } => 1,
            Refusal::TooMany { .. } => 2,
            Refusal::ForeignKey { .. } => 3,
            _ => 4,
        });
        Err(refusals
            .into_iter()
            .next()
            .unwrap_or(Refusal::Unsigned {
                name: at.artifact().to_owned(),
                digest: actual.clone(),
            })
            .into())
    }

    /// The first good signature in the tag's form; why the others are none goes
    /// into `refusals`.
    pub(crate) async fn signed_by_tag(
        &self,
        at: &Reference,
        expected: Expected<'_>,
        keys: &[&PublicKey],
        refusals: &mut Vec<Refusal>,
    ) -> Result<Option<Verified>, RegistryError> {
        let tag = simple::signature_tag(expected.digest);
        let layers = match self.signature_layers(at, &tag).await {
            Ok(layers) => layers,
            Err(error) => {
                refusals.push(unreadable(expected, error)?);
                return Ok(None);
            }
        };
        count(expected, layers.len(), refusals);
        for layer in layers.iter().take(MAX_SIGNATURES) {
            let Some(signature) = layer.annotations.get(simple::SIGNATURE_ANNOTATION) else {
                continue;
            };
            let payload = match self.signature(at, layer).await {
                Ok(payload) => payload,
                Err(error) => {
                    refusals.push(unreadable(expected, error)?);
                    continue;
                }
            };
            match simple::verify(&payload, signature, expected, keys) {
                Ok(verified) => return Ok(Some(verified)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Ok(None)
    }

    /// The same in the bundle's form.
    pub(crate) async fn signed_by_referrer(
        &self,
        at: &Reference,
        manifest: &[u8],
        expected: Expected<'_>,
        keys: &[&PublicKey],
        refusals: &mut Vec<Refusal>,
    ) -> Result<Option<Verified>, RegistryError> {
        let referrers = match self.referrers(at, expected.digest).await {
            Ok(referrers) => referrers,
            Err(error) => {
                refusals.push(unreadable(expected, error)?);
                return Ok(None);
            }
        };
        let bundles: Vec<&Descriptor> = bundles_of(&referrers).collect();
        count(expected, bundles.len(), refusals);
        for referrer in bundles.into_iter().take(MAX_SIGNATURES) {
            let found = match self.attached(at, referrer, MAX_SIGNATURE).await {
                Ok(found) => found,
                Err(error) => {
                    refusals.push(unreadable(expected, error)?);
                    continue;
                }
            };
            if !bundle::is_signature(&found) {
                continue;
            }
            match bundle::verify(&found, manifest, expected, keys) {
                Ok(verified) => return Ok(Some(verified)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Ok(None)
    }

    /// The signatures under a tag; none when the tag is not there.
    pub(crate) async fn signature_layers(
        &self,
        at: &Reference,
        tag: &str,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let bytes = match self.manifest(at, tag).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        serde_json::from_slice::<Manifest>(&bytes)
            .map(|manifest| manifest.layers)
            .map_err(|_| malformed(at, "pull", &format!("the tag {tag} is no manifest")))
    }

    async fn signature(&self, at: &Reference, layer: &Descriptor) -> Result<Bytes, RegistryError> {
        if layer.size > MAX_SIGNATURE {
            return Err(too_large(at, layer, MAX_SIGNATURE));
        }
        self.blob(at, layer).await
    }

    /// What hangs on an artifact: the one layer of its manifest, of at most `limit`
    /// bytes.
    pub(crate) async fn attached(
        &self,
        at: &Reference,
        referrer: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        const ACTION: &str = "pull";
        if !is_digest(&referrer.digest) {
            let reason = "what is attached to it is not named by a digest";
            return Err(malformed(at, ACTION, reason));
        }
        let bytes = self.manifest(at, &referrer.digest).await?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|_| malformed(at, ACTION, "what is attached to it has no manifest"))?;
        let [layer] = manifest.layers.as_slice() else {
            let reason = "what is attached to it has not exactly one layer";
            return Err(malformed(at, ACTION, reason));
        };
        if layer.size > limit {
            return Err(too_large(at, layer, limit));
        }
        self.blob(at, layer).await
    }
}

/// Those of an artifact's referrers that are sigstore's bundles.
fn bundles_of(referrers: &[Descriptor]) -> impl Iterator<Item = &Descriptor> {
    referrers
        .iter()
        .filter(|referrer| referrer.artifact_type.as_deref() == Some(bundle::MEDIA_TYPE))
}

fn too_large(at: &Reference, layer: &Descriptor, limit: u64) -> RegistryError {
    let reason = format!(
        "what is attached to it has {} bytes, more than the {limit} that are read",
        layer.size
    );
    malformed(at, "pull", &reason)
}

/// Says so when more is there than is looked at.
fn count(expected: Expected<'_>, found: usize, refusals: &mut Vec<Refusal>) {
    if found > MAX_SIGNATURES {
        refusals.push(Refusal::TooMany {
            name: expected.name.to_owned(),
            digest: expected.digest.to_owned(),
            found,
            limit: MAX_SIGNATURES,
        });
    }
}

/// A signature that the registry does not give as it says is one that does not
/// count; a registry that cannot be asked leaves the verdict open.
fn unreadable(expected: Expected<'_>, error: RegistryError) -> Result<Refusal, RegistryError> {
    let is_its_own = matches!(
        error,
        RegistryError::Altered { .. } | RegistryError::Malformed { .. }
    );
    if !is_its_own && !error.is_not_found() {
        return Err(error);
    }
    Ok(Refusal::Malformed {
        name: expected.name.to_owned(),
        digest: expected.digest.to_owned(),
        reason: error.to_string(),
    })
}
