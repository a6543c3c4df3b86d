//! `clusters/<sovereign-fqdn>/`: what Flux applies, from the template that the binary
//! carries. Pure but for [`write`].

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::carried::CLUSTER_TEMPLATE;
use crate::config::{self, Config};

/// A file of the folder: its path below `clusters/<sovereign-fqdn>/`, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Path, with slashes.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Why the folder was not written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Files are there that say something else.
    #[error("cannot render into {}: {} would be replaced: {}; look at the difference, then pass --force", .folder.display(), count(.files.len()), .files.join(", "))]
    Replace {
        /// The folder.
        folder: PathBuf,
        /// The files, by path below it.
        files: Vec<String>,
    },
    /// A file or folder could not be read or written.
    #[error("cannot render {}: {source}; see that the folder can be written", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn count(files: usize) -> String {
    match files {
        1 => "one file".to_owned(),
        several => format!("{several} files"),
    }
}

/// The files of a Sovereign's folder, in order of their paths.
pub fn render(config: &Config) -> Vec<Rendered> {
    let folder = format!("clusters/{}/", config.sovereign_fqdn);
    CLUSTER_TEMPLATE
        .iter()
        .map(|(path, content)| Rendered {
            path: (*path).to_owned(),
            text: match *path {
                "settings.yaml" => settings(config),
                path => pinned(
                    path,
                    String::from_utf8_lossy(content).replace("clusters/_template/", &folder),
                    config,
                ),
            },
        })
        .collect()
}

/// A file with the versions that the description names. The first control plane installs
/// them before Flux is there, and Flux would take back what it finds another version of.
fn pinned(path: &str, text: String, config: &Config) -> String {
    let (word, default, version) = match path {
        "parts/cilium/release.yaml" => (
            "version",
            config::default_cilium_version(),
            &config.cilium_version,
        ),
        "parts/gateway-api/source.yaml" => (
            "tag",
            config::default_gateway_api_version(),
            &config.gateway_api_version,
        ),
        "parts/flux/source.yaml" => ("tag", config::default_flux_version(), &config.flux_version),
        _ => return text,
    };
    text.replace(
        &format!(" {word}: {default}\n"),
        &format!(" {word}: {version}\n"),
    )
}

/// What differs from one Sovereign to the next, for Flux to substitute.
fn settings(config: &Config) -> String {
    let derived = config.derived();
    let object = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "sovereign-settings", "namespace": "flux-system"},
        "data": {
            "sovereign_fqdn": config.sovereign_fqdn,
            "sovereign_name": derived.name,
            "host_cluster": derived.host_cluster,
            "location_code": derived.location_code,
            "location": derived.location,
            "acme_email": config.acme_email,
            "pod_cidr": config.pod_cidr,
            "replicas": derived.replicas.to_string(),
            "clustered": (derived.replicas > 1).to_string(),
        },
    });
    format!(
        "# What differs from one Sovereign to the next; written by `catalyst provision render`.\n# Nothing in it is secret.\n{}",
        catalyst_yaml::to_string(&object)
    )
}

/// Names of the Flux Kustomizations that the folder has: the parts of a Sovereign.
pub fn parts() -> Vec<String> {
    kustomizations().map(|(part, _)| part.to_owned()).collect()
}

/// Names of the parts that the template holds back, since they are not to be had yet:
/// their Kustomizations are suspended.
pub fn held_back() -> Vec<String> {
    let held_back = kustomizations().filter(|(_, content)| {
        let text = String::from_utf8_lossy(content);
        text.lines().any(|line| line == "  suspend: true")
    });
    held_back.map(|(part, _)| part.to_owned()).collect()
}

/// Name and text of each.
fn kustomizations() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    CLUSTER_TEMPLATE.iter().filter_map(|(path, content)| {
        let (number, part) = path.strip_suffix(".yaml")?.split_once('-')?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some((part, *content))
    })
}

/// YAML files of the folder below `root` that the template does not have: those of an older
/// one, or somebody's own. Flux passes them over: `kustomization.yaml` does not name them.
pub fn others(config: &Config, root: &Path) -> Result<Vec<String>, RenderError> {
    let folder = root.join("clusters").join(&config.sovereign_fqdn);
    let failed = |source| RenderError::Write {
        path: folder.clone(),
        source,
    };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy().into_owned();
        let is_known = CLUSTER_TEMPLATE.iter().any(|(path, _)| *path == name);
        if name.ends_with(".yaml") && !is_known {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Writes the folder below `root` and gives its path and how many files changed.
/// Files that are as they should be are left alone; others are only replaced by `force`.
pub fn write(config: &Config, root: &Path, force: bool) -> Result<(PathBuf, usize), RenderError> {
    let folder = root.join("clusters").join(&config.sovereign_fqdn);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RenderError::Write { path, source }
    };
    let mut changes = Vec::new();
    let mut replaced = Vec::new();
    for file in render(config) {
        let path = folder.join(&file.path);
        match fs::read(&path) {
            Ok(there) if there == file.text.as_bytes() => continue,
            Ok(_) => replaced.push(file.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path)(error)),
        }
        changes.push((path, file.text));
    }
    if !force && !replaced.is_empty() {
        return Err(RenderError::Replace {
            folder,
            files: replaced,
        });
    }
    for (path, text) in &changes {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        fs::write(path, text).map_err(failed(path))?;
    }
    Ok((folder, changes.len()))
}
