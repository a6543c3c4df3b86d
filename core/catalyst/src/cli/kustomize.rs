//! `catalyst kustomize build`: as `kubectl kustomize` prints it, without a Sovereign.

use std::path::PathBuf;

use anyhow::Context;
use catalyst_kustomize::Error;

use super::output::print;

/// Build Kustomize folders.
#[derive(Debug, clap::Args)]
pub struct Kustomize {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Build(Build),
}

/// Build a folder that has a kustomization.yaml.
#[derive(Debug, clap::Args)]
struct Build {
    /// The folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Let it name files outside its own folder.
    #[arg(long)]
    load_from_anywhere: bool,
    /// The folder that it may reach up to; unless given, its repository's, else its
    /// Blueprint's, else its parent.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Kustomize {
    /// Builds and prints.
    pub fn run(&self) -> anyhow::Result<()> {
        let What::Build(build) = &self.what;
        build.run()
    }
}

impl Build {
    fn run(&self) -> anyhow::Result<()> {
        let folder = self
            .folder
            .canonicalize()
            .with_context(|| format!("cannot read {}", self.folder.display()))?;
        let root = match &self.root {
            Some(root) => root
                .canonicalize()
                .with_context(|| format!("cannot read {}", root.display()))?,
            // Bases usually lie beside or above: `../../base`.
            None => [".git", "blueprint.yaml"]
                .into_iter()
                .find_map(|mark| folder.ancestors().find(|it| it.join(mark).exists()))
                .or_else(|| folder.parent())
                .unwrap_or(&folder)
                .to_owned(),
        };
        let inner = folder
            .strip_prefix(&root)
            .with_context(|| format!("{} is not below {}", folder.display(), root.display()))?;
        let mut files = std::collections::BTreeMap::new();
        gather(&root, &folder, &mut files)?;
        let options = catalyst_kustomize::Options {
            load_from_anywhere: self.load_from_anywhere,
            ..catalyst_kustomize::Options::default()
        };
        let inner = inner.to_string_lossy();
        let text = catalyst_kustomize::build_text(&files, &inner, &options);
        print(&text.map_err(|error| self.named(error, &inner))?)
    }

    /// The folder is called as the user called it, not as it lies below the root.
    fn named(&self, error: Error, inner: &str) -> Error {
        match error {
            Error::FindKustomization { folder, message }
                if folder == inner || (inner.is_empty() && folder == ".") =>
            {
                Error::FindKustomization {
                    folder: self.folder.display().to_string(),
                    message,
                }
            }
            other => other,
        }
    }
}

/// Names under which a kustomization is looked for.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Reads a folder and every folder below `root` that its kustomizations lead to;
/// never the whole of a repository.
fn gather(
    root: &std::path::Path,
    folder: &std::path::Path,
    files: &mut std::collections::BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<()> {
    let mut waiting = vec![folder.to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(folder) = waiting.pop() {
        if !folder.starts_with(root) || !seen.insert(folder.clone()) {
            continue;
        }
        let prefix = folder.strip_prefix(root)?.to_string_lossy().into_owned();
        for (path, bytes) in super::chart::files(&folder)? {
            let path = match prefix.is_empty() {
                true => path,
                false => format!("{prefix}/{path}"),
            };
            let is_kustomization = NAMES
                .iter()
                .any(|name| path == *name || path.ends_with(&format!("/{name}")));
            if is_kustomization {
                let own = root.join(&path);
                let own = own.parent().unwrap_or(root).to_owned();
                for named in words(&String::from_utf8_lossy(&bytes)) {
                    // Whatever is named and is there; the build decides what it is.
                    let Ok(found) = own.join(named).canonicalize() else {
                        continue;
                    };
                    match found.is_dir() {
                        true => waiting.push(found),
                        false => waiting.extend(found.parent().map(|it| it.to_owned())),
                    }
                }
            }
            files.insert(path, bytes);
        }
    }
    Ok(())
}

/// The texts of a kustomization that lead upwards.
fn words(text: &str) -> Vec<String> {
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => {
                let text = text.split_once('=').map_or(text.as_str(), |(_, file)| file);
                if text.starts_with("..") {
                    found.push(text.to_owned());
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|it| walk(it, found)),
            serde_json::Value::Object(map) => map.values().for_each(|it| walk(it, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = catalyst_yaml::from_str(text) {
        walk(&value, &mut found);
    }
    found
}
