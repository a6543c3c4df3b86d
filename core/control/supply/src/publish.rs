//! Publishing, signing and pulling whole artifacts.

use std::collections::BTreeMap;

use catalyst_blueprint::{Blueprint, Problem};
use catalyst_signature::{
    Expected, KeyError, MAX_SIGNATURES, PublicKey, Refusal, Refusals, Signers, SigningKey,
    TrustPolicy, Verified, bundle, simple,
};
use serde_json::{Value, json};

use crate::{
    Blob, Descriptor, Manifest, Origin, Package, Reference, Registry, RegistryError,
    archive::{self, ArchiveError},
    describe, media,
};

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
    /// The registry has the version with other content.
    #[error(
        "could not publish {reference}: the registry has that version already, with other content ({digest}); publish the changed Blueprint under a new version"
    )]
    Taken {
        /// What was to be published.
        reference: String,
        /// The digest of what is there.
        digest: String,
    },
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
            | Self::Taken { .. }
            | Self::NotABlueprint { .. }
            | Self::Blueprint { .. } => false,
        }
    }
}

/// `<base>/<name>:<version>` of a package.
pub(crate) fn place_of(base: &str, package: &Package) -> Result<Reference, VerifyError> {
    let name = package.blueprint.name();
    let version = &package.blueprint.spec.version;
    let text = format!("{base}/{name}:{version}");
    Reference::parse(&text).map_err(|error| VerifyError::NotABlueprint {
        reference: text,
        reason: error.to_string(),
    })
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
    /// attaches SBOMs, and attests these and its provenance. `base` is a registry and a source, such
    /// as `127.0.0.1:8080/catalog`. The tag is set last, so that nobody finds an
    /// artifact that is not signed yet. What the key said of it before is not said
    /// again.
    pub async fn publish(
        &self,
        base: &str,
        package: &Package,
        key: &SigningKey,
        origin: &Origin,
    ) -> Result<Published, VerifyError> {
        let at = place_of(base, package)?;
        self.push_package(&at, package).await?;
        self.sign(&at, &package.manifest, key).await?;
        let documents = describe::documents(package, origin);
        self.attach_documents(&at, package, &documents).await?;
        self.attest(&at, package, key, origin, documents).await?;
        self.push_version(&at, package).await?;
        Ok(Published {
            reference: at.to_string(),
            digest: package.digest().to_owned(),
            signer: key.public().clone(),
        })
    }

    /// Whether something that refers to an artifact is called an attestation of each of
    /// its SBOMs, as [`Self::publish`] leaves them; older artifacts have none. Nothing is
    /// verified.
    pub async fn has_attested_documents(
        &self,
        at: &Reference,
        subject: &str,
    ) -> Result<bool, RegistryError> {
        let referrers = self.referrers(at, subject).await?;
        let is_there = |predicate: &str| {
            referrers.iter().any(|referrer| {
                let named = referrer.annotations.get(bundle::PREDICATE_ANNOTATION);
                named.is_some_and(|it| it == predicate)
            })
        };
        Ok(describe::BILLS
            .into_iter()
            .all(|(_, predicate)| is_there(predicate)))
    }

    /// Attests the SBOMs and provenance, but for what the key vouches for already: no two
    /// signatures are the same, so each time would leave another behind. An SBOM that says
    /// something else than those before it is another one.
    async fn attest(
        &self,
        at: &Reference,
        package: &Package,
        key: &SigningKey,
        origin: &Origin,
        documents: describe::Documents,
    ) -> Result<(), VerifyError> {
        let signers = Signers::of_keys([key.public()]);
        let mut said = Vec::new();
        self.statements(at, package.digest(), &signers, |_, one| {
            if let Ok((statement, _)) = one {
                said.push(statement);
            }
        })
        .await?;
        let name = at.name();
        let mut lacking = Vec::new();
        if !said.iter().any(describe::is_provenance) {
            lacking.push(describe::provenance(package, &name, origin));
        }
        for bill in describe::attested_documents(package, &name, documents) {
            let is_same = |it: &Value| it.get("predicate") == bill.get("predicate");
            if !said.iter().any(is_same) {
                lacking.push(bill);
            }
        }
        for statement in lacking {
            let made = bundle::sign_statement(key, &statement)?;
            let predicate = describe::predicate_type(&statement);
            self.attach_bundle(at, &package.manifest.descriptor, made, predicate)
                .await?;
        }
        Ok(())
    }

    /// Pushes a package by its digest alone: nobody finds it by its version yet.
    pub(crate) async fn push_package(
        &self,
        at: &Reference,
        package: &Package,
    ) -> Result<(), RegistryError> {
        for blob in &package.blobs {
            self.push_blob(at, blob).await?;
        }
        self.push_manifest(at, package.digest(), &package.manifest)
            .await?;
        Ok(())
    }

    /// Attaches the SBOMs of a package that was pushed.
    pub(crate) async fn attach_documents(
        &self,
        at: &Reference,
        package: &Package,
        documents: &describe::Documents,
    ) -> Result<(), VerifyError> {
        let subject = &package.manifest.descriptor;
        for (kind, document) in documents {
            let blob = Blob::new(kind, document.to_string().into_bytes());
            self.attach(at, subject, kind, blob, BTreeMap::new())
                .await?;
        }
        Ok(())
    }

    /// Has a package that was pushed be found by its version.
    pub(crate) async fn push_version(
        &self,
        at: &Reference,
        package: &Package,
    ) -> Result<(), RegistryError> {
        let version = package.blueprint.spec.version.to_string();
        self.push_manifest(at, &version, &package.manifest).await?;
        tracing::info!(reference = %at, digest = package.digest(), "artifact published");
        Ok(())
    }

    /// Signs what is already in the registry, in both forms, beside the signatures
    /// that it has.
    pub async fn sign_artifact(
        &self,
        at: &Reference,
        key: &SigningKey,
    ) -> Result<String, VerifyError> {
        let manifest = self.manifest(at, at.target()).await?;
        let subject = Blob::new(media::MANIFEST, manifest);
        self.sign(at, &subject, key).await?;
        Ok(subject.descriptor.digest)
    }

    /// Adds what the key has not signed yet, so that publishing again adds nothing.
    async fn sign(
        &self,
        at: &Reference,
        subject: &Blob,
        key: &SigningKey,
    ) -> Result<(), VerifyError> {
        let digest = subject.descriptor.digest.as_str();
        let expected = Expected {
            digest,
            name: at.artifact(),
        };
        let signers = Signers::of_keys([key.public()]);
        let mut refusals = Refusals::default();
        if self
            .signed_by_tag(at, expected, &signers, &mut refusals)
            .await?
            .is_none()
        {
            self.sign_tag(at, digest, key).await?;
        }
        if self
            .signed_by_referrer(at, &subject.bytes, expected, &signers, &mut refusals)
            .await?
            .is_none()
        {
            let made = bundle::sign(key, &at.name(), digest)?;
            self.attach_bundle(at, &subject.descriptor, made, bundle::PREDICATE_TYPE)
                .await?;
        }
        Ok(())
    }

    /// Adds a signature to those under the tag, before them, since only so many are
    /// looked at. A tag that holds something else than signatures is set anew.
    async fn sign_tag(
        &self,
        at: &Reference,
        digest: &str,
        key: &SigningKey,
    ) -> Result<(), VerifyError> {
        let signature = simple::sign(key, &at.name(), digest)?;
        let layer = Blob::new(simple::MEDIA_TYPE, signature.payload)
            .annotated(simple::SIGNATURE_ANNOTATION, &signature.signature);
        let tag = simple::signature_tag(digest);
        let others = match self.layers_of_tag(at, &tag).await {
            Ok(layers) => layers,
            Err(error) if error.retryable() => return Err(error.into()),
            Err(_) => Vec::new(),
        };
        let layers: Vec<Descriptor> = std::iter::once(layer.descriptor.clone())
            .chain(
                others
                    .into_iter()
                    .filter(|other| other.annotations.contains_key(simple::SIGNATURE_ANNOTATION)),
            )
            .take(MAX_SIGNATURES)
            .collect();
        // cosign writes an image config here; readers of the tag look at layers only.
        let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
        let config = Blob::new(
            media::IMAGE_CONFIG,
            json!({
                "architecture": "", "os": "", "config": {},
                "rootfs": {"type": "layers", "diff_ids": digests},
            })
            .to_string()
            .into_bytes(),
        );
        let mut manifest = Manifest::new(&config, &[]);
        manifest.layers = layers;
        let manifest = manifest
            .to_blob()
            .map_err(|error| VerifyError::NotABlueprint {
                reference: at.to_string(),
                reason: error.to_string(),
            })?;
        for blob in [&config, &layer] {
            self.push_blob(at, blob).await?;
        }
        self.push_manifest(at, &tag, &manifest).await?;
        Ok(())
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
                bundle::PREDICATE_ANNOTATION.to_owned(),
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

    /// Verifies an artifact and reads it. What is read is what was verified: the
    /// manifest is fetched once, and every blob is compared with it.
    pub async fn pull(
        &self,
        at: &Reference,
        source: &str,
        policy: &TrustPolicy,
    ) -> Result<Pulled, VerifyError> {
        let signers = policy.signers(source)?;
        let bytes = self.manifest(at, at.target()).await?;
        let verified = self.verify_manifest(at, &bytes, &signers).await?;
        let opened = self.open_manifest(at, &bytes).await?;
        let not_a_blueprint = |reason: &str| VerifyError::NotABlueprint {
            reference: at.to_string(),
            reason: reason.to_owned(),
        };
        if opened.blueprint.name() != at.artifact() {
            return Err(not_a_blueprint(&format!(
                "it says it is {}",
                opened.blueprint.name()
            )));
        }
        if at
            .tag
            .as_ref()
            .is_some_and(|tag| *tag != opened.blueprint.spec.version.to_string())
        {
            return Err(not_a_blueprint(&format!(
                "it says it is version {}",
                opened.blueprint.spec.version
            )));
        }
        Ok(Pulled {
            verified,
            blueprint: opened.blueprint,
            blueprint_yaml: opened.blueprint_yaml,
            manifests: opened.manifests,
            card: opened.card,
            compositions: opened.compositions,
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
}
