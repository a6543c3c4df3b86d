//! OCI manifests as written here, and the media types in them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The media types of model.md's artifact and of OCI.
pub mod media {
    /// An OCI image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A Helm chart's metadata.
    pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
    /// A packaged Helm chart.
    pub const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    /// The config Flux gives its artifacts.
    pub const FLUX_CONFIG: &str = "application/vnd.cncf.flux.config.v1+json";
    /// A tree of manifests for Flux.
    pub const FLUX_CONTENT: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
    /// `blueprint.yaml`.
    pub const BLUEPRINT: &str = "application/vnd.openova.blueprint.v1+yaml";
    /// The card.
    pub const CARD: &str = "application/vnd.openova.blueprint.card.v1.tar+gzip";
    /// Crossplane compositions.
    pub const COMPOSITIONS: &str = "application/vnd.openova.blueprint.compositions.v1.tar+gzip";
    /// The empty config of a referrer.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A CycloneDX document.
    pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
    /// An SPDX document.
    pub const SPDX: &str = "application/spdx+json";
    /// An image's config.
    pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An image's layer.
    pub const IMAGE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
}

/// Points at bytes by their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: String,
    /// `sha256:<hex>` of them.
    pub digest: String,
    /// How many there are.
    pub size: u64,
    /// The kind of artifact, in an index of referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An OCI image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media::MANIFEST`].
    #[serde(default)]
    pub media_type: String,
    /// The kind of artifact, for referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The layers.
    pub layers: Vec<Descriptor>,
    /// What a referrer is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Bytes with what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What points at them.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Bytes,
}

impl Blob {
    /// Names the bytes by their digest.
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            descriptor: Descriptor {
                media_type: media_type.to_owned(),
                digest: digest(&bytes),
                size: bytes.len() as u64,
                artifact_type: None,
                annotations: BTreeMap::new(),
            },
            bytes,
        }
    }

    /// The config of artifacts that have none: `{}`.
    pub fn empty() -> Self {
        Self::new(media::EMPTY, Bytes::from_static(b"{}"))
    }

    /// Adds a note to the descriptor.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.descriptor
            .annotations
            .insert(key.to_owned(), value.to_owned());
        self
    }
}

impl Manifest {
    /// A manifest over a config and layers.
    pub fn new(config: &Blob, layers: &[Blob]) -> Self {
        Self {
            schema_version: 2,
            media_type: media::MANIFEST.to_owned(),
            artifact_type: None,
            config: config.descriptor.clone(),
            layers: layers
                .iter()
                .map(|layer| layer.descriptor.clone())
                .collect(),
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The bytes that are pushed and signed.
    pub fn to_blob(&self) -> Result<Blob, serde_json::Error> {
        Ok(Blob::new(media::MANIFEST, serde_json::to_vec(self)?))
    }
}

/// `sha256:<hex>` over bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
