//! Container images without a container engine: files in, an OCI image out.
//!
//! An image is kept as one tar in the OCI image layout, which the release binary
//! can carry and any tool (skopeo, crane, `ctr image import`) can read. The same
//! entries give the same bytes.

use std::{collections::BTreeMap, io::Read};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tar::EntryType;

use crate::{
    Blob, Descriptor, Manifest, Reference, Registry, RegistryError,
    archive::{self, ArchiveError, Entry},
    digest, media,
};

/// How the image's program is started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// `NAME=value`.
    #[serde(default)]
    pub environment: Vec<String>,
    /// The user it runs as, `uid` or `uid:gid`.
    #[serde(default)]
    pub user: String,
    /// Where it starts.
    #[serde(default)]
    pub working_directory: String,
    /// The signal that asks it to end, such as `SIGINT`; SIGTERM when empty.
    #[serde(default)]
    pub stop_signal: String,
    /// Ports it listens on, such as `8080/tcp`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Notes, such as `org.opencontainers.image.licenses`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A built image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its manifest.
    pub manifest: Blob,
    /// Config and layers.
    pub blobs: Vec<Blob>,
}

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A document could not be written.
    #[error("could not build the image: {0}")]
    Json(#[from] serde_json::Error),
    /// What is in the tar is not an image.
    #[error("could not read the image: {reason}; build it again")]
    Layout {
        /// What is wrong.
        reason: String,
    },
}

/// Builds an image for linux/amd64; each list of entries becomes one layer,
/// lowest first.
pub fn build(layers: &[Vec<Entry>], config: &ImageConfig) -> Result<Image, ImageError> {
    let mut blobs = Vec::new();
    let mut uncompressed = Vec::new();
    for entries in layers {
        let tar = archive::tar_bytes(entries)?;
        uncompressed.push(digest(&tar));
        blobs.push(Blob::new(media::IMAGE_LAYER, archive::gzip(&tar)?));
    }
    let ports: BTreeMap<&str, serde_json::Value> = config
        .ports
        .iter()
        .map(|port| (port.as_str(), json!({})))
        .collect();
    let mut document = json!({
        "architecture": "amd64", "os": "linux",
        "config": {
            "Entrypoint": config.entrypoint, "Cmd": config.command, "Env": config.environment,
            "User": config.user, "WorkingDir": config.working_directory, "ExposedPorts": ports,
        },
        "rootfs": {"type": "layers", "diff_ids": uncompressed},
        "history": layers.iter().map(|_| json!({"created_by": "catalyst image"})).collect::<Vec<_>>(),
    });
    if let Some(settings) = document
        .pointer_mut("/config")
        .filter(|_| !config.stop_signal.is_empty())
        && let Some(map) = settings.as_object_mut()
    {
        map.insert("StopSignal".to_owned(), json!(config.stop_signal));
    }
    let document = Blob::new(media::IMAGE_CONFIG, serde_json::to_vec(&document)?);
    let mut manifest = Manifest::new(&document, &blobs);
    manifest.annotations.clone_from(&config.annotations);
    let manifest = manifest.to_blob()?;
    blobs.insert(0, document);
    Ok(Image { manifest, blobs })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutIndex {
    schema_version: u32,
    media_type: String,
    manifests: Vec<Descriptor>,
}

impl Image {
    /// The image's digest.
    pub fn digest(&self) -> &str {
        &self.manifest.descriptor.digest
    }

    /// The image as one tar in the OCI image layout.
    pub fn to_tar(&self) -> Result<Vec<u8>, ImageError> {
        let index = LayoutIndex {
            schema_version: 2,
            media_type: media::INDEX.to_owned(),
            manifests: vec![self.manifest.descriptor.clone()],
        };
        let mut entries = vec![
            Entry::file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
            Entry::file("index.json", serde_json::to_vec(&index)?),
        ];
        let mut known = BTreeMap::new();
        for blob in self.blobs.iter().chain([&self.manifest]) {
            known.insert(blob.descriptor.digest.replacen(':', "/", 1), &blob.bytes);
        }
        for (path, bytes) in known {
            entries.push(Entry::file(format!("blobs/{path}"), bytes.to_vec()));
        }
        Ok(archive::tar_bytes(&entries)?)
    }

    /// Reads what [`Image::to_tar`] wrote; every blob is compared with its digest.
    pub fn from_tar(bytes: &[u8]) -> Result<Self, ImageError> {
        let layout = |reason: String| ImageError::Layout { reason };
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries().map_err(ArchiveError::Read)? {
            let mut entry = entry.map_err(ArchiveError::Read)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match entry.header().entry_type() {
                EntryType::Directory => continue,
                EntryType::Regular => {}
                // A sparse one, of a few bytes, may claim to be of any size.
                _ => {
                    let reason = "is neither a file nor a folder";
                    return Err(ArchiveError::Path { path, reason }.into());
                }
            }
            let mut content = Vec::new();
            entry
                .read_to_end(&mut content)
                .map_err(ArchiveError::Read)?;
            files.insert(path, content);
        }
        let take = |files: &mut BTreeMap<String, Vec<u8>>, wanted: &Descriptor| {
            let path = format!("blobs/{}", wanted.digest.replacen(':', "/", 1));
            let bytes = files
                .remove(&path)
                .ok_or_else(|| layout(format!("{} is missing", wanted.digest)))?;
            let blob = Blob {
                descriptor: wanted.clone(),
                bytes: bytes.into(),
            };
            if digest(&blob.bytes) != wanted.digest {
                return Err(layout(format!("{} was altered", wanted.digest)));
            }
            Ok(blob)
        };
        let index = files
            .get("index.json")
            .ok_or_else(|| layout("it has no index.json".to_owned()))?;
        let index: LayoutIndex = serde_json::from_slice(index)?;
        let [descriptor] = index.manifests.as_slice() else {
            return Err(layout("it must hold exactly one manifest".to_owned()));
        };
        let manifest = take(&mut files, descriptor)?;
        let parsed: Manifest = serde_json::from_slice(&manifest.bytes)?;
        let blobs = std::iter::once(&parsed.config)
            .chain(&parsed.layers)
            .map(|descriptor| take(&mut files, descriptor))
            .collect::<Result<_, _>>()?;
        Ok(Self { manifest, blobs })
    }

    /// Pushes the image under the reference's tag.
    pub async fn push(&self, registry: &Registry, at: &Reference) -> Result<(), RegistryError> {
        for blob in &self.blobs {
            registry.push_blob(at, blob).await?;
        }
        registry
            .push_manifest(
                at,
                at.tag.as_deref().unwrap_or(self.digest()),
                &self.manifest,
            )
            .await
            .map(drop)
    }
}
