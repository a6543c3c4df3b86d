//! Publishing, verifying and pulling whole artifacts.

use std::collections::BTreeMap;

use bytes::Bytes;
use catalyst_blueprint::{Blueprint, Problem};
use catalyst_signature::{
    Expected, KeyError, PublicKey, Refusal, SigningKey, TrustPolicy, Verified, bundle, simple,
};
use serde_json::Value;

use crate::{
    Blob, Descriptor, Manifest, Origin, Package, Reference, Registry, RegistryError,
    archive::{self, ArchiveError},
    describe, digest, media,
};

/// The most signatures of one artifact that are looked at.
const MAX_SIGNATURES: usize = 32;
/// The largest signature or bundle that is read.
const MAX_SIGNATURE: u64 = 1024 * 1024;

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// `host/path:version`.
    pub reference: String,
    /// The artifact's digest.
    pub digest: String,
    /// Who signed it.
    pub signer: PublicKey,
}

/// Why an artifact was not published, verified or pulled.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The verdict.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An archive inside it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It is signed, but it is no Blueprint.
    #[error("could not read {reference}: {reason}; publish it again")]
    NotABlueprint {
        /// What was read.
        reference: String,
        /// Why.
        reason: String,
    },
    /// Its `blueprint.yaml` is wrong.
    #[error("could not read {reference}: its blueprint.yaml has {} problems, the first: {}", problems.len(), problems.first().map(ToString::to_string).unwrap_or_default())]
    Blueprint {
        /// What was read.
        reference: String,
        /// All of them.
        problems: Vec<Problem>,
    },
}

impl VerifyError {
    /// Whether the same may succeed later, the artifact unchanged.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Registry(error) => error.retryable(),
            Self::Refused(_)
            | Self::Key(_)
            | Self::Archive(_)
            | Self::NotABlueprint { .. }
            | Self::Blueprint { .. } => false,
        }
    }
}

/// An artifact that was verified and then read.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// Its digest and who signed it.
    pub verified: Verified,
    /// What it says of itself.
    pub blueprint: Blueprint,
    /// `blueprint.yaml` as it stands in the artifact.
    pub blueprint_yaml: String,
    /// The chart or the tree of manifests: path → bytes. A chart's paths begin
    /// with its name, as Helm packs them.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// Card files and README: path → bytes.
    pub card: BTreeMap<String, Vec<u8>>,
    /// Crossplane compositions: path → bytes.
    pub compositions: BTreeMap<String, Vec<u8>>,
}

impl Registry {
    /// Pushes a package under `<base>/<name>:<version>`, signs it in both forms,
    /// and attaches SBOMs and provenance. `base` is a registry and a source, such
    /// as `127.0.0.1:8080/catalog`. The tag is set last, so that nobody finds an
    /// artifact that is not signed yet.
    pub async fn publish(
        &self,
        base: &str,
        package: &Package,
        key: &SigningKey,
        origin: &Origin,
    ) -> Result<Published, VerifyError> {
        let name = package.blueprint.name();
        let version = package.blueprint.spec.version.to_string();
        let at = Reference::parse(&format!("{base}/{name}:{version}")).map_err(|error| {
            VerifyError::NotABlueprint {
                reference: format!("{base}/{name}:{version}"),
                reason: error.to_string(),
            }
        })?;
        for blob in &package.blobs {
            self.push_blob(&at, blob).await?;
        }
        self.push_manifest(&at, package.digest(), &package.manifest)
            .await?;
        self.sign(&at, &package.manifest.descriptor, key).await?;
        let subject = &package.manifest.descriptor;
        for (kind, document) in [
            (media::CYCLONEDX, describe::cyclonedx(package, origin)),
            (media::SPDX, describe::spdx(package, origin)),
        ] {
            let blob = Blob::new(kind, document.to_string().into_bytes());
            self.attach(&at, subject, kind, blob, BTreeMap::new())
                .await?;
        }
        let statement = describe::provenance(package, &at.name(), origin);
        self.attach_bundle(
            &at,
            subject,
            bundle::sign_statement(key, &statement)?,
            "https://slsa.dev/provenance/v1",
        )
        .await?;
        self.push_manifest(&at, &version, &package.manifest).await?;
        tracing::info!(reference = %at, digest = package.digest(), "artifact published");
        Ok(Published {
            reference: at.to_string(),
            digest: package.digest().to_owned(),
            signer: key.public().clone(),
        })
    }

    /// Signs what is already in the registry, in both forms.
    pub async fn sign_artifact(
        &self,
        at: &Reference,
        key: &SigningKey,
    ) -> Result<String, VerifyError> {
        let manifest = self.manifest(at, at.target()).await?;
        let subject = Blob::new(media::MANIFEST, manifest).descriptor;
        self.sign(at, &subject, key).await?;
        Ok(subject.digest)
    }

    async fn sign(
        &self,
        at: &Reference,
        subject: &Descriptor,
        key: &SigningKey,
    ) -> Result<(), VerifyError> {
        let signature = simple::sign(key, &at.name(), &subject.digest)?;
        let layer = Blob::new(simple::MEDIA_TYPE, signature.payload)
            .annotated(simple::SIGNATURE_ANNOTATION, &signature.signature);
        // cosign writes an image config here; readers of the tag look at layers only.
        let config = Blob::new(
            media::IMAGE_CONFIG,
            format!(
                r#"{{"architecture":"","os":"","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
                layer.descriptor.digest
            )
            .into_bytes(),
        );
        let blobs = [config, layer];
        for blob in &blobs {
            self.push_blob(at, blob).await?;
        }
        let [config, layer] = blobs;
        let manifest = Manifest::new(&config, &[layer])
            .to_blob()
            .map_err(|error| VerifyError::NotABlueprint {
                reference: at.to_string(),
                reason: error.to_string(),
            })?;
        let tag = simple::signature_tag(&subject.digest);
        self.push_manifest(at, &tag, &manifest).await?;
        let made = bundle::sign(key, &at.name(), &subject.digest)?;
        self.attach_bundle(at, subject, made, bundle::PREDICATE_TYPE)
            .await
    }

    async fn attach_bundle(
        &self,
        at: &Reference,
        subject: &Descriptor,
        bytes: Vec<u8>,
        predicate: &str,
    ) -> Result<(), VerifyError> {
        let notes = BTreeMap::from([
            (
                "dev.sigstore.bundle.content".to_owned(),
                "dsse-envelope".to_owned(),
            ),
            (
                "dev.sigstore.bundle.predicateType".to_owned(),
                predicate.to_owned(),
            ),
        ]);
        let blob = Blob::new(bundle::MEDIA_TYPE, bytes);
        self.attach(at, subject, bundle::MEDIA_TYPE, blob, notes)
            .await
    }

    async fn attach(
        &self,
        at: &Reference,
        subject: &Descriptor,
        kind: &str,
        blob: Blob,
        notes: BTreeMap<String, String>,
    ) -> Result<(), VerifyError> {
        let blobs = [Blob::empty(), blob];
        let [config, layer] = &blobs;
        let mut manifest = Manifest::new(config, std::slice::from_ref(layer));
        manifest.artifact_type = Some(kind.to_owned());
        manifest.subject = Some(subject.clone());
        manifest.annotations = notes;
        self.push_referrer(at, &manifest, &blobs).await?;
        Ok(())
    }

    /// Decides whether an artifact may be used: resolves the reference, and looks
    /// for a signature, in either form, by a key that `policy` trusts for `source`.
    ///
    /// Fail-closed: when no signature counts, the answer is the most telling
    /// reason; when the registry cannot be asked, there is no verdict at all.
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

    async fn verify_manifest(
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
        for (payload, signature) in self.simple_signatures(at, &actual).await? {
            match simple::verify(&payload, &signature, expected, keys) {
                Ok(verified) => return Ok(verified),
                Err(refusal) => refusals.push(refusal),
            }
        }
        for found in self.bundles(at, &actual).await? {
            if !bundle::is_signature(&found) {
                continue;
            }
            match bundle::verify(&found, manifest, expected, keys) {
                Ok(verified) => return Ok(verified),
                Err(refusal) => refusals.push(refusal),
            }
        }
        // Nothing counted. An alteration says more than a foreign signer, and
        // that more than an unreadable one.
        refusals.sort_by_key(|refusal| match refusal {
            Refusal::AlteredDigest { .. } => 0,
            Refusal::WrongIdentity { .. } => 1,
            Refusal::ForeignKey { .. } => 2,
            _ => 3,
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

    async fn simple_signatures(
        &self,
        at: &Reference,
        subject: &str,
    ) -> Result<Vec<(Bytes, String)>, RegistryError> {
        let bytes = match self.manifest(at, &simple::signature_tag(subject)).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for layer in manifest.layers.iter().take(MAX_SIGNATURES) {
            let signature = layer.annotations.get(simple::SIGNATURE_ANNOTATION);
            if let Some(signature) = signature.filter(|_| layer.size <= MAX_SIGNATURE) {
                found.push((self.blob(at, layer).await?, signature.clone()));
            }
        }
        Ok(found)
    }

    async fn bundles(&self, at: &Reference, subject: &str) -> Result<Vec<Bytes>, RegistryError> {
        let mut found = Vec::new();
        let referrers = self.referrers(at, subject).await?;
        let bundles = referrers
            .iter()
            .filter(|referrer| referrer.artifact_type.as_deref() == Some(bundle::MEDIA_TYPE));
        for referrer in bundles.take(MAX_SIGNATURES) {
            let bytes = self.manifest(at, &referrer.digest).await?;
            let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
                continue;
            };
            for layer in manifest.layers.iter().take(1) {
                if layer.size <= MAX_SIGNATURE {
                    found.push(self.blob(at, layer).await?);
                }
            }
        }
        Ok(found)
    }

    /// Verifies an artifact and reads it. What is read is what was verified: the
    /// manifest is fetched once, and every blob is compared with it.
    pub async fn pull(
        &self,
        at: &Reference,
        source: &str,
        policy: &TrustPolicy,
    ) -> Result<Pulled, VerifyError> {
        let keys = policy.keys(source)?;
        let bytes = self.manifest(at, at.target()).await?;
        let verified = self.verify_manifest(at, &bytes, &keys).await?;
        let not_a_blueprint = |reason: &str| VerifyError::NotABlueprint {
            reference: at.to_string(),
            reason: reason.to_owned(),
        };
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| not_a_blueprint(&format!("its manifest cannot be read: {error}")))?;
        let layer = |kind: &str| {
            manifest
                .layers
                .iter()
                .find(|layer| layer.media_type == kind)
        };
        let yaml = layer(media::BLUEPRINT)
            .ok_or_else(|| not_a_blueprint("it has no layer with a blueprint.yaml"))?;
        let yaml = self.blob(at, yaml).await?;
        let blueprint_yaml = String::from_utf8(yaml.to_vec())
            .map_err(|_| not_a_blueprint("its blueprint.yaml is not UTF-8"))?;
        let blueprint =
            Blueprint::parse(&blueprint_yaml).map_err(|problems| VerifyError::Blueprint {
                reference: at.to_string(),
                problems,
            })?;
        if blueprint.name() != at.artifact() {
            return Err(not_a_blueprint(&format!(
                "it says it is {}",
                blueprint.name()
            )));
        }
        if at
            .tag
            .as_ref()
            .is_some_and(|tag| *tag != blueprint.spec.version.to_string())
        {
            return Err(not_a_blueprint(&format!(
                "it says it is version {}",
                blueprint.spec.version
            )));
        }
        let manifests = self.manifests_of(at, &manifest).await?;
        let mut parts = Vec::new();
        for kind in [media::CARD, media::COMPOSITIONS] {
            parts.push(match layer(kind) {
                Some(layer) => archive::unpack(&self.blob(at, layer).await?)?,
                None => BTreeMap::new(),
            });
        }
        let compositions = parts.pop().unwrap_or_default();
        let card = parts.pop().unwrap_or_default();
        Ok(Pulled {
            verified,
            blueprint,
            blueprint_yaml,
            manifests,
            card,
            compositions,
        })
    }

    /// The chart or the tree of manifests of a verified artifact, by digest.
    pub(crate) async fn read_manifests(
        &self,
        at: &Reference,
    ) -> Result<BTreeMap<String, Vec<u8>>, VerifyError> {
        let bytes = self.manifest(at, at.target()).await?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| VerifyError::NotABlueprint {
                reference: at.to_string(),
                reason: format!("its manifest cannot be read: {error}"),
            })?;
        self.manifests_of(at, &manifest).await
    }

    async fn manifests_of(
        &self,
        at: &Reference,
        manifest: &Manifest,
    ) -> Result<BTreeMap<String, Vec<u8>>, VerifyError> {
        let main = [media::HELM_CHART, media::FLUX_CONTENT]
            .into_iter()
            .find_map(|kind| {
                manifest
                    .layers
                    .iter()
                    .find(|layer| layer.media_type == kind)
            })
            .ok_or_else(|| VerifyError::NotABlueprint {
                reference: at.to_string(),
                reason: "it has neither a chart nor manifests".to_owned(),
            })?;
        Ok(archive::unpack(&self.blob(at, main).await?)?)
    }

    /// The documents attached to an artifact (SBOMs), by media type. They are
    /// not signed themselves; provenance is, as a bundle.
    pub async fn documents(
        &self,
        at: &Reference,
        subject: &str,
    ) -> Result<Vec<(String, Value)>, RegistryError> {
        let mut found = Vec::new();
        for referrer in self.referrers(at, subject).await? {
            let kind = referrer.artifact_type.clone().unwrap_or_default();
            if kind != media::CYCLONEDX && kind != media::SPDX {
                continue;
            }
            let bytes = self.manifest(at, &referrer.digest).await?;
            let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
                continue;
            };
            for layer in manifest.layers.iter().take(1) {
                let bytes = self.blob(at, layer).await?;
                if let Ok(document) = serde_json::from_slice(&bytes) {
                    found.push((kind.clone(), document));
                }
            }
        }
        found.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(found)
    }
}
