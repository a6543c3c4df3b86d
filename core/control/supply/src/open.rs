//! What is in an artifact: its layers, read.
//!
//! Called where an artifact is pulled once it was verified, and by `catalyst
//! blueprint inspect|diff`, which look at what nobody vouches for. Reading bounds
//! what is unpacked and refuses archives that reach out, so that it is safe with
//! anybody's bytes; whether they may be used is another question.

use std::collections::BTreeMap;

use bytes::Bytes;
use catalyst_blueprint::Blueprint;

use crate::image::Image;
use crate::{
    Blob, Descriptor, Manifest, Package, Reference, Registry, VerifyError, archive, media,
};

/// The layers that an artifact is read from.
const LAYERS: [&str; 5] = [
    media::HELM_CHART,
    media::FLUX_CONTENT,
    media::BLUEPRINT,
    media::CARD,
    media::COMPOSITIONS,
];

/// An artifact that was read, by whomever it may be.
#[derive(Debug, Clone)]
pub struct Opened {
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// Its manifest.
    pub manifest: Manifest,
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

impl Opened {
    /// Reads what `catalyst blueprint package` wrote. `name` is what errors call it.
    pub fn of_image(name: &str, image: &Image) -> Result<Self, VerifyError> {
        Self::of_blobs(name, &image.manifest, &image.blobs)
    }

    /// Reads a package as those will who pull it.
    pub fn of_package(package: &Package) -> Result<Self, VerifyError> {
        Self::of_blobs(package.blueprint.name(), &package.manifest, &package.blobs)
    }

    fn of_blobs(name: &str, manifest: &Blob, blobs: &[Blob]) -> Result<Self, VerifyError> {
        let blobs = blobs
            .iter()
            .map(|blob| (blob.descriptor.digest.clone(), blob.bytes.clone()))
            .collect();
        let digest = manifest.descriptor.digest.clone();
        Self::read(name, digest, parse(name, &manifest.bytes)?, &blobs)
    }

    /// Reads a manifest whose layers are given by their digests.
    fn read(
        name: &str,
        digest: String,
        manifest: Manifest,
        blobs: &BTreeMap<String, Bytes>,
    ) -> Result<Self, VerifyError> {
        let layer = |kind: &str| {
            let layer = layer_of(&manifest, kind)?;
            blobs.get(&layer.digest)
        };
        let yaml = layer(media::BLUEPRINT)
            .ok_or_else(|| not_a_blueprint(name, "it has no layer with a blueprint.yaml"))?;
        let blueprint_yaml = String::from_utf8(yaml.to_vec())
            .map_err(|_| not_a_blueprint(name, "its blueprint.yaml is not UTF-8"))?;
        let blueprint =
            Blueprint::parse(&blueprint_yaml).map_err(|problems| VerifyError::Blueprint {
                reference: name.to_owned(),
                problems,
            })?;
        let main = layer(media::HELM_CHART)
            .or_else(|| layer(media::FLUX_CONTENT))
            .ok_or_else(|| not_a_blueprint(name, "it has neither a chart nor manifests"))?;
        let unpacked = |kind: &str| match layer(kind) {
            Some(bytes) => archive::unpack(bytes),
            None => Ok(BTreeMap::new()),
        };
        Ok(Self {
            manifests: archive::unpack(main)?,
            card: unpacked(media::CARD)?,
            compositions: unpacked(media::COMPOSITIONS)?,
            digest,
            blueprint,
            blueprint_yaml,
            manifest,
        })
    }
}

impl Registry {
    /// Reads an artifact without asking who signed it.
    pub async fn read(&self, at: &Reference) -> Result<Opened, VerifyError> {
        let bytes = self.manifest(at, at.target()).await?;
        self.open_manifest(at, &bytes).await
    }

    /// Reads the artifact of a manifest; every blob is compared with its digest.
    pub(crate) async fn open_manifest(
        &self,
        at: &Reference,
        bytes: &Bytes,
    ) -> Result<Opened, VerifyError> {
        let name = at.to_string();
        let manifest = parse(&name, bytes)?;
        let mut blobs = BTreeMap::new();
        for kind in LAYERS {
            if let Some(layer) = layer_of(&manifest, kind) {
                blobs.insert(layer.digest.clone(), self.blob(at, layer).await?);
            }
        }
        Opened::read(&name, crate::digest(bytes), manifest, &blobs)
    }
}

fn layer_of<'a>(manifest: &'a Manifest, kind: &str) -> Option<&'a Descriptor> {
    manifest
        .layers
        .iter()
        .find(|layer| layer.media_type == kind)
}

fn parse(name: &str, bytes: &[u8]) -> Result<Manifest, VerifyError> {
    serde_json::from_slice(bytes)
        .map_err(|error| not_a_blueprint(name, &format!("its manifest cannot be read: {error}")))
}

fn not_a_blueprint(name: &str, reason: &str) -> VerifyError {
    VerifyError::NotABlueprint {
        reference: name.to_owned(),
        reason: reason.to_owned(),
    }
}
