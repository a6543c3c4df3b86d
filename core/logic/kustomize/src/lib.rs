//! Kustomize: bases and overlays in, manifests out.
//!
//! Answers as `kubectl kustomize <folder>` does (kustomize 5.5). Called by the
//! Flux stand-in for Kustomizations, and by the planner to show what a
//! Kustomize Blueprint will create. Pure: files come as a map, nothing is read
//! from disk or network.
//!
//! What must stay true:
//! - The same files give the same bytes; the output does not depend on the
//!   order of files in the map or on time.
//! - A file outside the kustomization's own folder is not read unless
//!   [`Options::load_from_anywhere`] allows it, and a remote base is never
//!   fetched: the caller provides it or the build is refused.
//!
//! Where it differs from kubectl:
//! - `managedByLabel` writes a version that the API takes as a label; kubectl's is
//!   `(devel)`, which it refuses.
//! - Of `generators` and `transformers` only kustomize's own are run (`apiVersion:
//!   builtin`), and of those not `HelmChartInflationGenerator`, `IAMPolicyGenerator`,
//!   `HashTransformer`, `SortOrderTransformer` and `ValueAddTransformer`; no `validators`.
//! - No Helm charts, no remote bases, no programs.
//!
//! The path of a build: [`target`] walks folders and runs each kustomization's
//! fields in kustomize's fixed order: `resources`, `configurations`, `crds`,
//! generators, `components`, then transformers; names are hashed, references
//! to changed names repaired ([`references`]), variables written in ([`vars`]) and the
//! result sorted ([`order`]) once, at the root.

mod config;
mod error;
mod field;
mod files;
mod generate;
mod identity;
mod kustomization;
mod merge;
mod merge_keys;
mod order;
mod patch;
mod path;
mod plugin;
mod references;
mod replacement;
mod resource;
mod selector;
mod target;
mod transform;
mod vars;

use std::collections::BTreeMap;

use serde_json::Value;

pub use error::Error;

/// How a build may read files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Lets a kustomization name files outside its own folder (patches, data
    /// files, single resources). `kubectl` refuses that; Flux allows it.
    pub load_from_anywhere: bool,
    /// Folders (keys of the file map's tree) that stand for remote bases, by
    /// the address exactly as `resources` writes it. An address that is not
    /// here is refused: a build never opens the network.
    pub remote_folders: BTreeMap<String, String>,
}

/// Builds the kustomization in `folder`, as `kubectl kustomize <folder>` does.
///
/// `files` maps slash-separated paths, relative to one common root, to their
/// content; `folder` is such a path too (`""` or `"."` for the root). The
/// objects come in kustomize's output order.
///
/// # Errors
/// Names the kustomization file, the field and what is wrong there.
pub fn build(
    files: &BTreeMap<String, Vec<u8>>,
    folder: &str,
    options: &Options,
) -> Result<Vec<Value>, Error> {
    target::run(files, folder, options)
}

/// Like [`build`], written as `kubectl kustomize` prints it: one YAML document
/// an object, separated by `---`.
///
/// # Errors
/// As [`build`].
pub fn build_text(
    files: &BTreeMap<String, Vec<u8>>,
    folder: &str,
    options: &Options,
) -> Result<String, Error> {
    let objects = build(files, folder, options)?;
    let documents: Vec<String> = objects.iter().map(catalyst_yaml::to_string).collect();
    Ok(documents.join("---\n"))
}
