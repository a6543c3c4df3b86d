//! From a Blueprint's folder to the manifest and blobs of its artifact.

use std::collections::BTreeMap;

use catalyst_blueprint::{Blueprint, ManifestKind, Problem, lint};
use serde_json::Value;

use crate::{
    archive::{self, ArchiveError, Entry},
    manifest::{Blob, Manifest, media},
    parts::ImagePart,
};

/// Why a folder could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Lint found something.
    #[error("could not pack the Blueprint: {} problems\n{}", problems.len(), problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Lint {
        /// All of it.
        problems: Vec<Problem>,
    },
    /// An archive could not be made.
    #[error("could not pack the Blueprint: {0}")]
    Archive(#[from] ArchiveError),
    /// A file that must be YAML is not.
    #[error("could not pack the Blueprint: {file} is not YAML: {source}")]
    Yaml {
        /// The file.
        file: &'static str,
        /// Why not.
        source: catalyst_yaml::Error,
    },
    /// A value could not be written as JSON.
    #[error("could not pack the Blueprint: {0}")]
    Json(#[from] serde_json::Error),
}

/// What is known beside the folder.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// Where the source lives, for `org.opencontainers.image.source`.
    pub source_url: Option<String>,
    /// Its revision.
    pub revision: Option<String>,
    /// `repository:tag` → digest: pins the images in the chart's values whose
    /// `digest` is empty. Images are built elsewhere, so the folder cannot know.
    pub images: BTreeMap<String, String>,
    /// `repository:tag` → the packages in that image, for the SBOMs. The artifact's
    /// bytes do not depend on them.
    pub parts: BTreeMap<String, Vec<ImagePart>>,
}

/// A packed Blueprint: everything that is pushed, except what refers to it.
#[derive(Debug, Clone)]
pub struct Package {
    /// What it says of itself.
    pub blueprint: Blueprint,
    /// The manifest's bytes.
    pub manifest: Blob,
    /// Config and layers, in the manifest's order.
    pub blobs: Vec<Blob>,
    /// `repository:tag@digest` of the images in the chart's values.
    pub images: Vec<String>,
    /// The packages in those of them that are known.
    pub parts: BTreeMap<String, Vec<ImagePart>>,
    /// Path → bytes of what was packed, for SBOM and provenance.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Package {
    /// The artifact's digest.
    pub fn digest(&self) -> &str {
        &self.manifest.descriptor.digest
    }
}

/// Packs a folder in which lint finds no errors; warnings do not stand against it.
pub fn pack(
    files: &BTreeMap<String, Vec<u8>>,
    options: &PackOptions,
) -> Result<Package, PackError> {
    let mut problems = lint(files);
    problems.retain(Problem::is_error);
    if !problems.is_empty() {
        return Err(PackError::Lint { problems });
    }
    let text = String::from_utf8_lossy(files.get(Blueprint::FILE).map_or(&[], Vec::as_slice));
    let blueprint = Blueprint::parse(&text).map_err(|problems| PackError::Lint { problems })?;
    let mut files = files.clone();
    let mut images = Vec::new();
    if let Some(values) = files.get_mut("chart/values.yaml") {
        pin_images(values, &options.images, &mut images)?;
    }
    let parts = images
        .iter()
        .filter_map(|image| {
            let name = image
                .split_once('@')
                .map_or(image.as_str(), |(name, _)| name);
            Some((image.clone(), options.parts.get(name)?.clone()))
        })
        .collect();
    let (config, main) = match blueprint.spec.manifests.source.kind {
        ManifestKind::HelmChart => chart(&blueprint, &files)?,
        ManifestKind::Kustomize => tree(&files)?,
    };
    let mut layers = vec![
        main,
        Blob::new(media::BLUEPRINT, text.into_owned().into_bytes()),
    ];
    // The README is part of what the marketplace shows.
    if let Some(card) = part(&files, &["card/", "README.md"], media::CARD)? {
        layers.push(card);
    }
    if let Some(compositions) = part(&files, &["compositions/"], media::COMPOSITIONS)? {
        layers.push(compositions);
    }
    let mut manifest = Manifest::new(&config, &layers);
    manifest.annotations = annotations(&blueprint, options);
    let manifest = manifest.to_blob()?;
    let mut blobs = vec![config];
    blobs.append(&mut layers);
    Ok(Package {
        blueprint,
        manifest,
        blobs,
        images,
        parts,
        files,
    })
}

fn annotations(blueprint: &Blueprint, options: &PackOptions) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            annotations.insert(format!("org.opencontainers.image.{name}"), value.to_owned());
        }
    };
    add("title", Some(blueprint.name()));
    add("version", Some(&blueprint.spec.version.to_string()));
    add("description", Some(&blueprint.spec.card.tagline));
    add("licenses", Some(&blueprint.spec.card.license));
    add("source", options.source_url.as_deref());
    add("revision", options.revision.as_deref());
    annotations
}

/// The chart as Helm packages it: everything under the chart's name, Chart.yaml
/// first, and its metadata as the config.
fn chart(
    blueprint: &Blueprint,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(Blob, Blob), PackError> {
    const CHART: &str = "chart/Chart.yaml";
    let name = blueprint.name();
    let metadata = String::from_utf8_lossy(files.get(CHART).map_or(&[], Vec::as_slice));
    let metadata = catalyst_yaml::from_str(&metadata).map_err(|source| PackError::Yaml {
        file: CHART,
        source,
    })?;
    let mut entries: Vec<Entry> = files
        .iter()
        .filter_map(|(path, bytes)| {
            let inner = path.strip_prefix("chart/")?;
            Some(Entry::file(format!("{name}/{inner}"), bytes.clone()))
        })
        .collect();
    let first = format!("{name}/Chart.yaml");
    entries.sort_by_key(|entry| (entry.path != first, entry.path.clone()));
    let packed = archive::gzip(&archive::tar_in_order(&entries)?)?;
    Ok((
        Blob::new(media::HELM_CONFIG, serde_json::to_vec(&metadata)?),
        Blob::new(media::HELM_CHART, packed),
    ))
}

fn tree(files: &BTreeMap<String, Vec<u8>>) -> Result<(Blob, Blob), PackError> {
    let entries: Vec<Entry> = files
        .iter()
        .filter_map(|(path, bytes)| {
            let inner = path.strip_prefix("manifests/")?;
            Some(Entry::file(inner, bytes.clone()))
        })
        .collect();
    let packed = archive::gzip(&archive::tar_bytes(&entries)?)?;
    Ok((
        Blob::new(media::FLUX_CONFIG, &b"{}"[..]),
        Blob::new(media::FLUX_CONTENT, packed),
    ))
}

fn part(
    files: &BTreeMap<String, Vec<u8>>,
    prefixes: &[&str],
    media_type: &str,
) -> Result<Option<Blob>, PackError> {
    let entries: Vec<Entry> = files
        .iter()
        .filter(|(path, _)| prefixes.iter().any(|prefix| path.starts_with(prefix)))
        .map(|(path, bytes)| Entry::file(path.clone(), bytes.clone()))
        .collect();
    if entries.is_empty() {
        return Ok(None);
    }
    let packed = archive::gzip(&archive::tar_bytes(&entries)?)?;
    Ok(Some(Blob::new(media_type, packed)))
}

/// Fills the empty digests in the chart's values and lists the images there. The
/// file is rewritten only when a digest was filled in.
fn pin_images(
    values: &mut Vec<u8>,
    known: &BTreeMap<String, String>,
    images: &mut Vec<String>,
) -> Result<(), PackError> {
    let mut parsed =
        catalyst_yaml::from_str(&String::from_utf8_lossy(values)).map_err(|source| {
            PackError::Yaml {
                file: "chart/values.yaml",
                source,
            }
        })?;
    if pin(&mut parsed, known, images) {
        *values = catalyst_yaml::to_string(&parsed).into_bytes();
    }
    images.sort();
    images.dedup();
    Ok(())
}

fn pin(value: &mut Value, known: &BTreeMap<String, String>, images: &mut Vec<String>) -> bool {
    let map = match value {
        Value::Object(map) => map,
        Value::Array(items) => {
            let mut changed = false;
            for item in items {
                changed |= pin(item, known, images);
            }
            return changed;
        }
        _ => return false,
    };
    let text = |key: &str| {
        map.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (repository, tag, digest) = (text("repository"), text("tag"), text("digest"));
    if repository.is_empty() || tag.is_empty() {
        let mut changed = false;
        for item in map.values_mut() {
            changed |= pin(item, known, images);
        }
        return changed;
    }
    let name = format!("{repository}:{tag}");
    match known.get(&name).filter(|_| digest.is_empty()) {
        Some(digest) => {
            map.insert("digest".to_owned(), Value::String(digest.clone()));
            images.push(format!("{name}@{digest}"));
            true
        }
        None if digest.is_empty() => {
            images.push(name);
            false
        }
        None => {
            images.push(format!("{name}@{digest}"));
            false
        }
    }
}
