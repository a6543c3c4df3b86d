//! `catalyst chart template`: renders a chart as `helm template` does, with its flags.
//!
//! Works without a Sovereign. A folder or an archive needs no network either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use catalyst_flux::ChartHost;
use catalyst_helm::{
    Capabilities, Chart, Environment, Hook, Limits, NoLookup, ReleaseOptions, Rendered, render,
};
use serde_json::Value;

use super::failure::Hinted;
use super::output::print;
use super::set::Values;
use super::supply;

/// What helm 3.22 says of `.Capabilities.APIVersions` without a cluster.
const API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// Render Helm charts.
#[derive(Debug, clap::Args)]
pub struct ChartCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Template(Template),
}

/// Render a chart as `helm template` does.
#[derive(Debug, clap::Args)]
struct Template {
    /// The release's name (optional) and the chart: a folder, a .tgz or oci://….
    #[arg(required = true, num_args = 1..=2, value_names = ["NAME", "CHART"])]
    words: Vec<String>,
    /// The release's namespace.
    #[arg(long, short, default_value = "default", value_name = "NAME")]
    namespace: String,
    /// Print the chart's CustomResourceDefinitions too.
    #[arg(long)]
    include_crds: bool,
    /// Print only these templates, such as templates/service.yaml.
    #[arg(long, short, value_name = "TEMPLATE")]
    show_only: Vec<String>,
    /// Further entries of .Capabilities.APIVersions.
    #[arg(long, short, value_name = "VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// What .Capabilities.KubeVersion says.
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// Set .Release.IsUpgrade instead of .Release.IsInstall.
    #[arg(long)]
    is_upgrade: bool,
    /// Leave hooks out.
    #[arg(long)]
    no_hooks: bool,
    /// Leave tests out.
    #[arg(long)]
    skip_tests: bool,
    #[command(flatten)]
    values: Values,
}

impl ChartCommand {
    /// Renders and prints.
    pub fn run(&self) -> anyhow::Result<()> {
        let What::Template(template) = &self.what;
        template.run()
    }
}

impl Template {
    fn run(&self) -> anyhow::Result<()> {
        let (name, place) = match self.words.as_slice() {
            [name, chart] => (name.as_str(), chart),
            [chart] => ("release-name", chart),
            _ => bail!("a chart is needed"),
        };
        let chart = load(place)?;
        let values = Value::Object(self.values.merged()?);
        let mut capabilities = Capabilities {
            api_versions: API_VERSIONS.iter().map(|it| (*it).to_owned()).collect(),
            ..Capabilities::default()
        };
        capabilities.api_versions.extend(self.api_versions.clone());
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = format!("v{}", version.trim_start_matches('v'));
        }
        let release = ReleaseOptions {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            revision: 1,
            is_upgrade: self.is_upgrade,
            service: "Helm".to_owned(),
        };
        let rendered = render(
            &chart,
            &values,
            &Environment {
                release: &release,
                capabilities: &capabilities,
                lookup: &NoLookup,
                host: &ChartHost,
                limits: Limits::default(),
            },
        )?;
        print(&self.text(&rendered)?)
    }

    /// The output, in helm's order.
    fn text(&self, rendered: &Rendered) -> anyhow::Result<String> {
        let crds = match self.include_crds {
            true => whole_files(rendered),
            false => Vec::new(),
        };
        let mut documents: Vec<(&str, &str)> = Vec::new();
        documents.extend(crds.iter().map(|(path, text)| (*path, &**text)));
        documents.extend(
            rendered
                .manifests
                .iter()
                .map(|it| (&*it.path, &*it.content)),
        );
        if !self.no_hooks {
            let hooks = rendered
                .hooks
                .iter()
                .filter(|hook| !(self.skip_tests && is_test(hook)));
            documents.extend(hooks.map(|hook| (&*hook.manifest.path, &*hook.manifest.content)));
        }
        if !self.show_only.is_empty() {
            let mut chosen = Vec::new();
            for pattern in &self.show_only {
                let before = chosen.len();
                chosen.extend(documents.iter().filter(|(path, _)| {
                    let inner = path.split_once('/').map_or(*path, |(_, inner)| inner);
                    matches(pattern, inner)
                }));
                if chosen.len() == before {
                    bail!("could not find template {pattern} in chart");
                }
            }
            documents = chosen;
        }
        let mut text = String::new();
        for (path, content) in documents {
            text.push_str(&format!("---\n# Source: {path}\n{content}\n"));
        }
        Ok(text)
    }
}

/// The files of `crds/`: helm prints each as it is, its last line's end included.
fn whole_files(rendered: &Rendered) -> Vec<(&str, String)> {
    let mut files: Vec<(&str, String)> = Vec::new();
    for crd in &rendered.crds {
        match files.last_mut() {
            Some((path, text)) if *path == crd.path => {
                text.push_str("---\n");
                text.push_str(&crd.content);
                text.push('\n');
            }
            _ => files.push((&crd.path, format!("{}\n", crd.content))),
        }
    }
    files
}

fn is_test(hook: &Hook) -> bool {
    hook.events.iter().any(|event| event.starts_with("test"))
}

/// Whether a path is like a pattern; `*` and `?` stand for anything but a slash.
fn matches(pattern: &str, path: &str) -> bool {
    fn inner(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                inner(rest, path)
                    || path
                        .split_first()
                        .is_some_and(|(first, left)| *first != b'/' && inner(pattern, left))
            }
            (Some((b'?', rest)), Some((first, left))) => *first != b'/' && inner(rest, left),
            (Some((wanted, rest)), Some((first, left))) => wanted == first && inner(rest, left),
            _ => false,
        }
    }
    inner(pattern.as_bytes(), path.as_bytes())
}

/// A chart from a folder, an archive or a registry.
fn load(place: &str) -> anyhow::Result<Chart> {
    if place.starts_with("oci://") {
        let archive = super::client(supply::pull_chart(place))?;
        return Ok(Chart::from_archive(&archive)?);
    }
    let path = Path::new(place);
    if path.is_dir() {
        return Ok(Chart::from_files(files(path)?)?);
    }
    match std::fs::read(path) {
        Ok(archive) => Ok(Chart::from_archive(&archive)?),
        Err(error) => Err(anyhow::Error::new(error).context(Hinted::new(
            format!("cannot read the chart {place}"),
            "name a folder, a .tgz or oci://…",
        ))),
    }
}

/// The files of a folder, path in it with `/` → bytes. Links are followed, as helm
/// follows them, but only to files inside the folder.
pub fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let root = folder
        .canonicalize()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found = BTreeMap::new();
    let mut folders = vec![(root.clone(), String::new())];
    let mut count = 0;
    while let Some((folder, prefix)) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                bail!("the name of {} is not UTF-8", entry.path().display());
            };
            // Only a link can lead elsewhere, and asking for each file took longer
            // than rendering the chart.
            let mut path: PathBuf = entry.path();
            let mut kind = entry.file_type()?;
            if kind.is_symlink() {
                path = path.canonicalize()?;
                if !path.starts_with(&root) {
                    bail!("{} leads out of the folder", entry.path().display());
                }
                kind = std::fs::metadata(&path)?.file_type();
            }
            count += 1;
            if count > 10_000 {
                bail!("{} holds more than 10000 files", root.display());
            }
            if kind.is_dir() {
                // Also the end of a link to a folder above itself.
                if prefix.matches('/').count() > 32 {
                    bail!("{} is too deep", path.display());
                }
                folders.push((path, format!("{prefix}{name}/")));
            } else if !kind.is_file() {
                bail!("{} is neither a file nor a folder", path.display());
            } else {
                let bytes = std::fs::read(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                found.insert(format!("{prefix}{name}"), bytes);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn templates_are_chosen_by_name_or_pattern() {
        let check = |pattern: &str, path: &str, expected: bool| {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        };
        check("templates/a.yaml", "templates/a.yaml", true);
        check("templates/*.yaml", "templates/a.yaml", true);
        check("templates/*", "templates/x/a.yaml", false);
        check("templates/?.yaml", "templates/a.yaml", true);
        check("templates/b.yaml", "templates/a.yaml", false);
        check("a", "templates/a.yaml", false);
    }
}
