//! Whether an artifact is signed by somebody trusted.
//!
//! What must stay true:
//! - Fail-closed: nothing but a signature by one of the signers ends in [`Verified`].
//! - A signature that cannot be read, or is not what the registry calls it, is one
//!   that does not count, so that nobody can spoil the good one beside it; when the
//!   registry cannot be asked, there is no verdict at all.
//! - What is looked at is bounded in number, size and time (`catalyst_signature`'s
//!   search, and [`crate::Patience`]), and within these bounds nobody hides the good
//!   one by what they put in front of it.

use bytes::Bytes;
use catalyst_signature::{
    Budget, Expected, MAX_SIGNATURE, Refusal, Refusals, Signers, TrustPolicy, Verified, bundle,
    in_order, simple,
};

use crate::{
    Descriptor, Manifest, Reference, Registry, RegistryError, VerifyError, bundles::Bundles,
    digest, error::malformed, reference::is_digest,
};

impl Registry {
    /// Decides whether an artifact may be used: resolves the reference, and looks
    /// for a signature, in either form, by somebody whom `policy` trusts for `source`.
    ///
    /// When no signature counts, the answer is the most telling reason.
    pub async fn verify(
        &self,
        at: &Reference,
        source: &str,
        policy: &TrustPolicy,
    ) -> Result<Verified, VerifyError> {
        let signers = policy.signers(source)?;
        let manifest = self.manifest(at, at.target()).await?;
        self.verify_manifest(at, &manifest, &signers).await
    }

    /// How many signatures an artifact carries, by whomever and however good: those
    /// beside the tag and those of bundles. What cannot be read is none.
    pub async fn count_signatures(
        &self,
        at: &Reference,
        subject: &str,
    ) -> Result<usize, RegistryError> {
        let expected = Expected {
            digest: subject,
            name: at.artifact(),
        };
        let tag = simple::signature_tag(subject);
        let layers = readable_or_none(expected, self.layers_of_tag(at, &tag).await)?;
        let is_signature =
            |layer: &&Descriptor| layer.annotations.contains_key(simple::SIGNATURE_ANNOTATION);
        let mut found = layers.iter().flatten().filter(is_signature).count();
        let referrers = readable_or_none(expected, self.referrers(at, subject).await)?;
        let referrers = referrers.unwrap_or_default();
        let mut bundles = Bundles::of(self, at, &referrers);
        while let Some(attached) = bundles.following().await {
            let attached = readable_or_none(expected, attached)?;
            found += usize::from(attached.is_some_and(|it| bundle::is_signature(&it)));
        }
        Ok(found)
    }

    pub(crate) async fn verify_manifest(
        &self,
        at: &Reference,
        manifest: &Bytes,
        signers: &Signers<'_>,
    ) -> Result<Verified, VerifyError> {
        let verdict = self.verdict(at, manifest, signers);
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
        signers: &Signers<'_>,
    ) -> Result<Verified, VerifyError> {
        let actual = digest(manifest);
        let expected = Expected {
            digest: &actual,
            name: at.artifact(),
        };
        let mut refusals = Refusals::default();
        let by_tag = self.signed_by_tag(at, expected, signers, &mut refusals);
        if let Some(verified) = by_tag.await? {
            return Ok(verified);
        }
        let by_referrer = self.signed_by_referrer(at, manifest, expected, signers, &mut refusals);
        if let Some(verified) = by_referrer.await? {
            return Ok(verified);
        }
        Err(refusals.most_telling(expected).into())
    }

    /// The first good signature in the tag's form; why the others are none goes
    /// into `refusals`.
    pub(crate) async fn signed_by_tag(
        &self,
        at: &Reference,
        expected: Expected<'_>,
        signers: &Signers<'_>,
        refusals: &mut Refusals,
    ) -> Result<Option<Verified>, RegistryError> {
        let tag = simple::signature_tag(expected.digest);
        let layers = match self.layers_of_tag(at, &tag).await {
            Ok(layers) => layers,
            Err(error) => {
                refusals.push(unreadable(expected, error)?);
                return Ok(None);
            }
        };
        let mut signed: Vec<(simple::Annotations<'_>, &Descriptor)> = layers
            .iter()
            .filter_map(|layer| {
                let annotations = simple::Annotations::of(|name| {
                    layer.annotations.get(name).map(String::as_str)
                })?;
                Some((annotations, layer))
            })
            .collect();
        in_order(&mut signed, |(_, layer)| (false, layer.size));
        let mut budget = Budget::default();
        for (annotations, layer) in &signed {
            if !budget.begin() {
                break;
            }
            let payload = match self.part(at, layer, &mut budget).await {
                Ok(Some(payload)) => payload,
                Ok(None) => continue,
                Err(error) => {
                    refusals.push(unreadable(expected, error)?);
                    continue;
                }
            };
            match simple::verify(&payload, annotations, expected, signers) {
                Ok(verified) => return Ok(Some(verified)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        refusals.push_too_many(budget.too_many(expected, signed.len()));
        Ok(None)
    }

    /// The same in the bundle's form.
    pub(crate) async fn signed_by_referrer(
        &self,
        at: &Reference,
        manifest: &[u8],
        expected: Expected<'_>,
        signers: &Signers<'_>,
        refusals: &mut Refusals,
    ) -> Result<Option<Verified>, RegistryError> {
        let referrers = match self.referrers(at, expected.digest).await {
            Ok(referrers) => referrers,
            Err(error) => {
                refusals.push(unreadable(expected, error)?);
                return Ok(None);
            }
        };
        let mut bundles = Bundles::of(self, at, &referrers);
        while let Some(found) = bundles.following().await {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    refusals.push(unreadable(expected, error)?);
                    continue;
                }
            };
            if !bundle::is_signature(&found) {
                continue;
            }
            match bundle::verify(&found, manifest, expected, signers) {
                Ok(verified) => return Ok(Some(verified)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        refusals.push_too_many(bundles.too_many(expected));
        Ok(None)
    }

    /// What lies under a tag; nothing when the tag is not there.
    pub(crate) async fn layers_of_tag(
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

    /// The bytes of a payload or a bundle; none where they are more than may still be
    /// read.
    pub(crate) async fn part(
        &self,
        at: &Reference,
        wanted: &Descriptor,
        budget: &mut Budget,
    ) -> Result<Option<Bytes>, RegistryError> {
        if wanted.size > budget.part() {
            return Err(too_large(at, wanted, budget.part()));
        }
        if !budget.read(wanted.size) {
            return Ok(None);
        }
        self.blob(at, wanted).await.map(Some)
    }

    /// What hangs on an artifact: the one layer of its manifest, of at most `limit`
    /// bytes.
    pub(crate) async fn attached(
        &self,
        at: &Reference,
        referrer: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let layer = self.attached_layer(at, referrer).await?;
        if layer.size > limit {
            return Err(too_large(at, &layer, limit));
        }
        self.blob(at, &layer).await
    }

    /// That layer. Of its manifest no more is read than the list says there is.
    pub(crate) async fn attached_layer(
        &self,
        at: &Reference,
        referrer: &Descriptor,
    ) -> Result<Descriptor, RegistryError> {
        const ACTION: &str = "pull";
        if !is_digest(&referrer.digest) {
            let reason = "what is attached to it is not named by a digest";
            return Err(malformed(at, ACTION, reason));
        }
        if referrer.size > MAX_SIGNATURE {
            return Err(too_large(at, referrer, MAX_SIGNATURE));
        }
        let bytes = self
            .manifest_within(at, &referrer.digest, referrer.size)
            .await?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|_| malformed(at, ACTION, "what is attached to it has no manifest"))?;
        <[Descriptor; 1]>::try_from(manifest.layers)
            .map(|[layer]| layer)
            .map_err(|_| {
                let reason = "what is attached to it has not exactly one layer";
                malformed(at, ACTION, reason)
            })
    }
}

fn too_large(at: &Reference, layer: &Descriptor, limit: u64) -> RegistryError {
    let reason = format!(
        "what is attached to it has {} bytes, more than the {limit} that are read",
        layer.size
    );
    malformed(at, "pull", &reason)
}

/// What the registry gives, or nothing where it does not give it as it says; one that
/// cannot be asked is an error.
pub(crate) fn readable_or_none<T>(
    expected: Expected<'_>,
    given: Result<T, RegistryError>,
) -> Result<Option<T>, RegistryError> {
    match given {
        Ok(given) => Ok(Some(given)),
        Err(error) => unreadable(expected, error).map(|_| None),
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
