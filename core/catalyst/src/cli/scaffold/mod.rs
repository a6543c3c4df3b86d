//! `catalyst blueprint new`: a Blueprint that passes lint, to begin from.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::failure::hinted;
use crate::cli::output::{print, say};

/// What a Blueprint is made of.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum Kind {
    /// A Helm chart.
    #[default]
    Helm,
    /// Kustomize bases and overlays.
    Kustomize,
}

/// Path and text; `NAME` stands for the name without `bp-`.
type File = (&'static str, &'static str);

const HELM: &[File] = &[
    ("blueprint.yaml", include_str!("helm/blueprint.yaml")),
    ("chart/Chart.yaml", include_str!("helm/chart/Chart.yaml")),
    ("chart/values.yaml", include_str!("helm/chart/values.yaml")),
    (
        "chart/templates/_helpers.tpl",
        include_str!("helm/chart/templates/_helpers.tpl"),
    ),
    (
        "chart/templates/deployment.yaml",
        include_str!("helm/chart/templates/deployment.yaml"),
    ),
    (
        "chart/templates/service.yaml",
        include_str!("helm/chart/templates/service.yaml"),
    ),
];

const KUSTOMIZE: &[File] = &[
    ("blueprint.yaml", include_str!("kustomize/blueprint.yaml")),
    (
        "manifests/base/kustomization.yaml",
        include_str!("kustomize/base/kustomization.yaml"),
    ),
    (
        "manifests/base/deployment.yaml",
        include_str!("kustomize/base/deployment.yaml"),
    ),
    (
        "manifests/base/service.yaml",
        include_str!("kustomize/base/service.yaml"),
    ),
    (
        "manifests/overlays/small/kustomization.yaml",
        include_str!("kustomize/overlays/small.yaml"),
    ),
    (
        "manifests/overlays/large/kustomization.yaml",
        include_str!("kustomize/overlays/large.yaml"),
    ),
];

const COMMON: &[File] = &[
    ("README.md", include_str!("README.md")),
    ("card/description.md", include_str!("description.md")),
    ("card/icon.svg", include_str!("icon.svg")),
];

/// Writes the folder; refuses to write over anything.
pub fn write(name: &str, kind: Kind, folder: Option<&Path>) -> anyhow::Result<()> {
    let short = name.strip_prefix("bp-").unwrap_or(name);
    let is_name = short.len() <= 50
        && short.starts_with(|c: char| c.is_ascii_lowercase())
        && !short.ends_with('-')
        && short
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_name {
        return Err(hinted(
            format!("`{name}` is not a Blueprint's name"),
            "use small letters, digits and hyphens, no more than 50 of them after bp-, such as bp-wiki",
        ));
    }
    let folder = folder.map_or_else(|| PathBuf::from(short), Path::to_owned);
    if folder.read_dir().is_ok_and(|mut it| it.next().is_some()) || folder.is_file() {
        return Err(hinted(
            format!("{} is there already", folder.display()),
            "choose another with --folder",
        ));
    }
    for (path, text) in files(kind) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {}", parent.display()))?;
        }
        std::fs::write(&path, text.replace("NAME", short))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(&format!(
        "Next: change what is in it, then `catalyst blueprint lint {0}` and `catalyst blueprint \
         publish {0} --source ORGANIZATION`",
        folder.display()
    ));
    print(&format!("{}\n", folder.display()))
}

fn files(kind: Kind) -> impl Iterator<Item = &'static File> {
    let own = match kind {
        Kind::Helm => HELM,
        Kind::Kustomize => KUSTOMIZE,
    };
    own.iter().chain(COMMON)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_begun_passes_lint_and_packs() {
        for kind in [Kind::Helm, Kind::Kustomize] {
            let files: BTreeMap<String, Vec<u8>> = files(kind)
                .map(|(path, text)| ((*path).to_owned(), text.replace("NAME", "wiki").into()))
                .collect();
            // Whose image it will be, and so its digest, is not known yet.
            let problems = catalyst_plan::lint_blueprint(&files);
            let rules: Vec<&str> = problems.iter().map(|it| it.rule).collect();
            assert_eq!(rules, ["image-digest"], "{kind:?}: {problems:?}");
            assert!(!problems.iter().any(catalyst_blueprint::Problem::is_error));
            catalyst_supply::pack(&files, &catalyst_supply::PackOptions::default()).unwrap();
        }
    }
}
