//! `catalyst chart template`: renders a chart as `helm template` does, with its flags.
//!
//! Works without a Sovereign. A folder or an archive needs no network either; a chart in
//! the Sovereign's registry is read with the command line's sign-in, if there is one.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use catalyst_flux::ChartHost;
use catalyst_helm::{
    Capabilities, Chart, Environment, Hook, Host, Limits, NoLookup, ReleaseOptions, RenderError,
    Rendered, render, render_files,
};
use serde_json::Value;

use super::api::Connection;
use super::failure::{Hinted, hinted};
use super::output::{print, tell};
use super::set::Values;
use super::{manifests, supply};

/// What helm calls a release that is given no name.
const USUAL_NAME: &str = "release-name";
/// What the names of releases are like, in helm's words.
const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Characters of a release's name: its objects' names may grow by ten more.
const LONGEST_NAME: usize = 53;

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
    /// Name the release by a template, such as web-{{ randNumeric 3 }}, instead of NAME.
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,
    /// Leave NAME out, as in `helm template -g`: the release is called release-name.
    #[arg(long, short)]
    generate_name: bool,
    /// The version of a chart in a registry, where its address names none.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Write each template's manifests to a file below this folder instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["show_only", "post_renderer"])]
    output_dir: Option<PathBuf>,
    /// Put the release's name into the paths below --output-dir.
    #[arg(long, requires = "output_dir")]
    release_name: bool,
    /// Give the manifests, hooks aside, to a program and print what it answers.
    #[arg(long, value_name = "PROGRAM")]
    post_renderer: Option<String>,
    /// A word for the post-renderer; may be given more than once.
    #[arg(
        long,
        value_name = "WORD",
        requires = "post_renderer",
        allow_hyphen_values = true
    )]
    post_renderer_args: Vec<String>,
    /// Print what the templates made even where it is no YAML.
    #[arg(long)]
    debug: bool,
    /// Let getHostByName look names up; it is empty otherwise.
    #[arg(long)]
    enable_dns: bool,
    /// Leave the charts' schemas of values out.
    #[arg(long)]
    skip_schema_validation: bool,
    /// Speak to the registry without TLS; it is not shown the sign-in to the Sovereign then.
    #[arg(long)]
    plain_http: bool,
    #[command(flatten)]
    values: Values,
    #[command(flatten)]
    connection: Connection,
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
        let (name, place) = self.name_and_chart()?;
        check_name(&name)?;
        let mut capabilities = Capabilities {
            api_versions: API_VERSIONS.iter().map(|it| (*it).to_owned()).collect(),
            ..Capabilities::default()
        };
        capabilities.api_versions.extend(self.api_versions.clone());
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = kube_version(version)?;
        }
        let mut chart = self.load(place)?;
        if self.skip_schema_validation {
            chart = chart.without_schemas();
        }
        let missing = chart.missing_dependencies();
        if !missing.is_empty() {
            return Err(hinted(
                format!(
                    "found in Chart.yaml, but missing in charts/ directory: {}",
                    missing.join(", ")
                ),
                "fetch them with `helm dependency build`, or put them there",
            ));
        }
        if chart.metadata().get("deprecated") == Some(&Value::Bool(true)) {
            tell("warning: This chart is deprecated");
        }
        let values = Value::Object(self.values.merged()?);
        let release = ReleaseOptions {
            name,
            namespace: self.namespace.clone(),
            revision: 1,
            is_upgrade: self.is_upgrade,
            service: "Helm".to_owned(),
        };
        let mut environment = environment(&release, &capabilities);
        if self.enable_dns {
            environment.host = &Resolving;
        }
        let rendered = render(&chart, &values, &environment);
        if self.debug && matches!(rendered, Err(RenderError::Manifest { .. })) {
            let files = render_files(&chart, &values, &environment)?;
            let files = files
                .iter()
                .filter(|(path, text)| !path.ends_with("NOTES.txt") && !text.trim().is_empty());
            print(&manifests::joined(
                files.map(|(path, text)| (&**path, &**text)),
            ))?;
        }
        let rendered = rendered.map_err(|error| match error {
            error @ RenderError::Manifest { .. } if !self.debug => anyhow::Error::new(error)
                .context(Hinted::new(
                    "cannot print what the chart rendered",
                    "--debug prints it as it is",
                )),
            error => error.into(),
        })?;
        for warning in &rendered.warnings {
            tell(&format!("warning: {warning}"));
        }
        self.print(&rendered, &release.name)
    }

    /// A chart from a folder, an archive or a registry.
    fn load(&self, place: &str) -> anyhow::Result<Chart> {
        if let Some(address) = place.strip_prefix("oci://") {
            let address = versioned(address, self.version.as_deref())?;
            let archive = super::client(async {
                if self.plain_http {
                    return supply::pull_chart(None, &format!("http://{address}")).await;
                }
                // Without a sign-in, what everyone may read can still be had.
                let api = self.connection.api().await.ok();
                supply::pull_chart(api.as_ref(), &format!("oci://{address}")).await
            })?;
            return Ok(Chart::from_archive(&archive)?);
        }
        let path = Path::new(place);
        let inner = path.join("chart");
        if !path.join("Chart.yaml").exists() && inner.join("Chart.yaml").is_file() {
            return Err(hinted(
                format!("{place} is no chart, but a Blueprint with one"),
                format!("name {}", inner.display()),
            ));
        }
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

    /// As helm finds them: what is given twice is refused, and `--generate-name` makes no
    /// other name here than the usual one.
    fn name_and_chart(&self) -> anyhow::Result<(String, &str)> {
        let (name, place) = match self.words.as_slice() {
            [name, place] => (Some(name), place),
            [place] => (None, place),
            _ => bail!("a chart is needed"),
        };
        let name = match (name, &self.name_template) {
            (Some(_), Some(_)) => bail!("cannot set --name-template and also specify a name"),
            (Some(_), None) if self.generate_name => {
                bail!("cannot set --generate-name and also specify a name")
            }
            (Some(name), None) => name.clone(),
            (None, Some(template)) => named_by(template)?,
            (None, None) => USUAL_NAME.to_owned(),
        };
        Ok((name, place.as_str()))
    }

    /// Prints or writes, in helm's order.
    fn print(&self, rendered: &Rendered, name: &str) -> anyhow::Result<()> {
        let definitions = match self.include_crds {
            true => manifests::definitions(rendered),
            false => Vec::new(),
        };
        let definitions = definitions.iter().map(|(path, text)| (*path, &**text));
        let others = rendered
            .manifests
            .iter()
            .map(|it| (&*it.path, &*it.content));
        let hooks = rendered
            .hooks
            .iter()
            .filter(|hook| !(self.no_hooks || (self.skip_tests && is_test(hook))))
            .map(|hook| (&*hook.manifest.path, &*hook.manifest.content));
        if let Some(folder) = &self.output_dir {
            // Helm puts definitions beside the releases.
            let mut said = manifests::write(folder, definitions)?;
            let folder = match self.release_name {
                true => &folder.join(name),
                false => folder,
            };
            said.push_str(&manifests::write(folder, others.chain(hooks))?);
            return print(&format!("{said}\n"));
        }
        let mut text = manifests::joined(definitions.chain(others));
        if let Some(program) = &self.post_renderer {
            text = manifests::post_rendered(program, &self.post_renderer_args, &text)?;
        }
        let mut text = format!("{}\n", text.trim());
        text.push_str(&manifests::joined(hooks));
        if !self.show_only.is_empty() {
            text = manifests::chosen(&text, &self.show_only)?;
        }
        print(&text)
    }
}

fn is_test(hook: &Hook) -> bool {
    hook.events.iter().any(|event| event.starts_with("test"))
}

/// This machine, asked for other machines' addresses too.
struct Resolving;

impl Host for Resolving {
    fn now(&self) -> Result<(i64, u32), String> {
        ChartHost.now()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        ChartHost.random(bytes)
    }

    fn address(&self, name: &str) -> Result<String, String> {
        let mut found = (name, 0)
            .to_socket_addrs()
            .map_err(|error| format!("cannot find the address of {name}: {error}"))?;
        match found.next() {
            Some(address) => Ok(address.ip().to_string()),
            None => Err(format!("{name} has no address")),
        }
    }

    fn private_key(&self, kind: &str) -> Result<String, String> {
        ChartHost.private_key(kind)
    }

    fn certificate(&self, function: &str, args: &[Value]) -> Result<(String, String), String> {
        ChartHost.certificate(function, args)
    }
}

fn environment<'a>(release: &'a ReleaseOptions, capabilities: &'a Capabilities) -> Environment<'a> {
    Environment {
        release,
        capabilities,
        lookup: &NoLookup,
        host: &ChartHost,
        limits: Limits::default(),
    }
}

/// What `--name-template` makes: a chart of that one template.
fn named_by(template: &str) -> anyhow::Result<String> {
    let chart = Chart::from_files(BTreeMap::from([
        (
            "Chart.yaml".to_owned(),
            b"apiVersion: v2\nname: name-template\nversion: 0.0.0\n".to_vec(),
        ),
        (
            "templates/NOTES.txt".to_owned(),
            template.as_bytes().to_vec(),
        ),
    ]))?;
    let release = ReleaseOptions {
        name: USUAL_NAME.to_owned(),
        namespace: "default".to_owned(),
        revision: 1,
        is_upgrade: false,
        service: "Helm".to_owned(),
    };
    let nothing = Value::Object(serde_json::Map::new());
    let capabilities = Capabilities::default();
    let rendered = render(&chart, &nothing, &environment(&release, &capabilities))
        .context("cannot make a name of --name-template")?;
    Ok(rendered.notes.unwrap_or_default())
}

/// Helm's rule for the names of releases.
fn check_name(name: &str) -> anyhow::Result<()> {
    if name.is_empty() {
        bail!("release name \"\": no name provided");
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if name.len() > LONGEST_NAME || !name.split('.').all(is_label) {
        return Err(hinted(
            format!(
                "release name {name:?}: invalid release name, must match regex {NAME} and the length must not be longer than {LONGEST_NAME}"
            ),
            "take small letters and digits, with dashes and dots between them",
        ));
    }
    Ok(())
}

/// `v1.34.0` of what the user writes, as Kubernetes reads versions: two numbers or more
/// with dots between them; what follows means nothing.
fn kube_version(text: &str) -> anyhow::Result<String> {
    let wrong = |why: &str| {
        hinted(
            format!("invalid kube version '{text}': {why}"),
            "write it like 1.34.0",
        )
    };
    let written = text.trim_start();
    let written = written.strip_prefix('v').unwrap_or(written);
    let end = written
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(written.len());
    let mut numbers = Vec::new();
    for part in written.get(..end).unwrap_or_default().split('.') {
        // A dot that no number follows belongs to what means nothing.
        if part.is_empty() {
            break;
        }
        let number: u64 = part
            .parse()
            .map_err(|_| wrong("one of its numbers is too large"))?;
        numbers.push((number, part));
    }
    match numbers.as_slice() {
        [] => Err(wrong("it is no version")),
        [_] => Err(wrong("it needs two numbers at least")),
        [(_, first), ..] if first.len() > 1 && first.starts_with('0') => {
            Err(wrong("it begins with a zero"))
        }
        all => {
            let all: Vec<String> = all.iter().map(|(number, _)| number.to_string()).collect();
            Ok(format!("v{}", all.join(".")))
        }
    }
}

/// The address of a chart with the tag of its version; a tag has no plus, so helm
/// writes an underscore.
fn versioned(place: &str, version: Option<&str>) -> anyhow::Result<String> {
    let Some(version) = version else {
        return Ok(place.to_owned());
    };
    let last = place.rsplit('/').next().unwrap_or(place);
    if last.contains([':', '@']) {
        bail!("{place} names a version already; leave out --version");
    }
    Ok(format!("{place}:{}", version.replace('+', "_")))
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
    use super::*;

    #[test]
    fn names_of_releases_are_those_that_helm_takes() {
        let longest = "a".repeat(LONGEST_NAME);
        for name in ["a", "web-1", "a.b", "0", &longest] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let longer = "a".repeat(LONGEST_NAME + 1);
        for name in ["", "A", "-a", "a-", "a..b", "a_b", "ü", ".a", &longer] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn versions_of_kubernetes_are_read_as_it_reads_them() {
        for (text, expected) in [
            ("1.31.2", Some("v1.31.2")),
            ("v1.31", Some("v1.31")),
            (" v1.31.2-gke.1+x", Some("v1.31.2")),
            ("1.31.", Some("v1.31")),
            ("1.031", Some("v1.31")),
            ("1", None),
            ("01.2", None),
            ("vv1.2", None),
            ("x", None),
            ("", None),
            ("1.99999999999999999999", None),
        ] {
            assert_eq!(kube_version(text).ok().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_version_is_added_to_an_address_that_has_none() {
        let of = |place: &str, version| versioned(place, version).ok();
        let tagged = Some("oci://r:5000/c/web:1.0.0_b".to_owned());
        assert_eq!(of("oci://r:5000/c/web", Some("1.0.0+b")), tagged);
        assert_eq!(
            of("oci://r:5000/c/web:1", None).as_deref(),
            Some("oci://r:5000/c/web:1")
        );
        assert_eq!(of("oci://r:5000/c/web:1", Some("2")), None);
        assert_eq!(of("oci://r/c/web@sha256:ab", Some("2")), None);
    }
}
