//! A chart and values → manifests, as `helm template` makes them.
//!
//! The crate's entry. What must stay true: the same input gives the same
//! output, but for what a template takes from `Host`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use crate::chart::{Chart, Kept};
use crate::exec::{Engine, Failure, Limits, Set};
use crate::functions::semver::Version;
use crate::objects::{CHART, KUBE_VERSION, Object};
use crate::value::Value;
use crate::warnings::Warnings;
use crate::{manifest, schema, values};

pub use crate::manifest::{Hook, Manifest};

/// Stack for one rendering; `Limits::depth` keeps within it.
const STACK: usize = 512 << 20;

/// What `.Release` says.
#[derive(Debug, Clone)]
pub struct ReleaseOptions {
    pub name: String,
    pub namespace: String,
    pub revision: u64,
    pub is_upgrade: bool,
    /// Helm says `Helm`.
    pub service: String,
}

/// What `.Capabilities` says.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// For example `v1.34.0`.
    pub kube_version: String,
    /// `v1`, `apps/v1`, `apps/v1/Deployment`.
    pub api_versions: Vec<String>,
    pub helm_version: String,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            kube_version: "v1.34.0".to_owned(),
            api_versions: ["v1", "apps/v1", "batch/v1", "networking.k8s.io/v1"]
                .map(str::to_owned)
                .to_vec(),
            helm_version: "v3.22.0".to_owned(),
        }
    }
}

/// Answers `lookup` from objects that the caller already has.
pub trait Lookup: Sync {
    /// The object, or for an empty `name` the list; `None` where there is none.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Json>, String>;
}

/// Finds nothing, like `helm template` without a cluster.
pub struct NoLookup;

impl Lookup for NoLookup {
    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<Option<Json>, String> {
        Ok(None)
    }
}

/// What templates may take from outside: the time, randomness, certificates.
pub trait Host: Sync {
    /// Seconds since 1970 in UTC, and nanoseconds.
    fn now(&self) -> Result<(i64, u32), String> {
        Err("this rendering is not given the time".to_owned())
    }

    /// Fills `bytes` with unpredictable ones.
    fn random(&self, _bytes: &mut [u8]) -> Result<(), String> {
        Err("this rendering is not given random numbers; put the value into a Secret".to_owned())
    }

    /// An address of the machine `name`, for `getHostByName`: empty, as in Helm unless
    /// told otherwise, where names are not looked up.
    fn address(&self, _name: &str) -> Result<String, String> {
        Ok(String::new())
    }

    /// A private key in PEM, for `genPrivateKey`; `kind` is `rsa` or empty, `dsa`,
    /// `ecdsa` or `ed25519`.
    fn private_key(&self, kind: &str) -> Result<String, String> {
        Err(format!(
            "genPrivateKey {kind:?} is not available here; let a Secret hold the key"
        ))
    }

    /// A certificate and its key in PEM, for `genCA` and its relatives; `args` are
    /// the function's arguments, null for what has no JSON.
    fn certificate(&self, function: &str, _args: &[Json]) -> Result<(String, String), String> {
        Err(format!(
            "{function} is not available here; let cert-manager or a Secret hold the certificate"
        ))
    }
}

/// Gives nothing: rendering is a pure function.
pub struct NoHost;

impl Host for NoHost {}

/// Everything but chart and values that a rendering depends on.
pub struct Environment<'a> {
    pub release: &'a ReleaseOptions,
    pub capabilities: &'a Capabilities,
    pub lookup: &'a dyn Lookup,
    pub host: &'a dyn Host,
    pub limits: Limits,
}

/// Why a chart could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("cannot render chart {chart}: {message}")]
    Template {
        chart: String,
        /// As Helm words it, with file, line and column.
        message: String,
    },
    #[error(
        "values don't meet the specifications of the schema(s) in the following chart(s):\n{0}"
    )]
    Schema(String),
    #[error("the values do not fit the charts: {0}")]
    Values(String),
    #[error("cannot install chart {chart}: it needs Kubernetes {wanted}, the cluster has {found}")]
    KubeVersion {
        chart: String,
        wanted: String,
        found: String,
    },
    #[error(
        "cannot render chart {0}: the engine failed; this is a fault of Catalyst's, please report the chart"
    )]
    Broken(String),
    #[error("cannot render chart {0}: library charts are not installable")]
    Library(String),
    #[error("cannot read what {path} of chart {chart} rendered: {source}")]
    Manifest {
        chart: String,
        path: String,
        #[source]
        source: catalyst_yaml::Error,
    },
}

/// What a chart renders to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// In the order Helm installs them.
    pub manifests: Vec<Manifest>,
    pub hooks: Vec<Hook>,
    /// Files of `crds/`, subcharts' too; installed before everything else.
    pub crds: Vec<Manifest>,
    pub notes: Option<String>,
    /// What Helm warns of while it renders, in its words, each once.
    pub warnings: Vec<String>,
}

impl fmt::Display for Rendered {
    /// As `helm template` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks = self.hooks.iter().map(|hook| &hook.manifest);
        for manifest in self.manifests.iter().chain(hooks) {
            writeln!(f, "---\n# Source: {}\n{}", manifest.path, manifest.content)?;
        }
        Ok(())
    }
}

/// Renders `chart` with the user's `values` over the chart's own.
pub fn render(
    chart: &Chart,
    values: &Json,
    environment: &Environment<'_>,
) -> Result<Rendered, RenderError> {
    let mut chart = chart.clone();
    let (files, warnings) = texts(&mut chart, values, environment)?;
    manifest::sort(&chart, files, warnings)
}

/// The texts that the templates make, by the templates' paths: what [`render`] reads,
/// to show where it cannot be read.
///
/// # Errors
/// As [`render`], but for those of reading.
pub fn render_files(
    chart: &Chart,
    values: &Json,
    environment: &Environment<'_>,
) -> Result<BTreeMap<String, String>, RenderError> {
    Ok(texts(&mut chart.clone(), values, environment)?.0)
}

fn texts(
    chart: &mut Chart,
    values: &Json,
    environment: &Environment<'_>,
) -> Result<(BTreeMap<String, String>, Warnings), RenderError> {
    if !matches!(chart.meta("type"), "" | "application") {
        return Err(RenderError::Library(chart.name.clone()));
    }
    let name = chart.name.clone();
    let given = values.as_object().cloned().unwrap_or_default();
    // Templates recurse, and so does the walk: give it a stack of its own. Not a
    // thread: starting one, and the memory that it asks of the system page by page,
    // took longer than the rendering.
    stacker::grow(STACK, || {
        let work = || prepare_and_execute(chart, &given, environment);
        // A fault of ours is an error to whoever renders, not their end.
        std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(RenderError::Broken(name)))
    })
}

fn prepare_and_execute(
    chart: &mut Chart,
    given: &Map<String, Json>,
    environment: &Environment<'_>,
) -> Result<(BTreeMap<String, String>, Warnings), RenderError> {
    let mut warnings = Warnings::default();
    values::enable(chart, given, &mut warnings).map_err(RenderError::Values)?;
    let merged = values::coalesced(chart, given, &mut warnings).map_err(RenderError::Values)?;
    let merged = Value::Map(merged);
    let mut problems = String::new();
    if schema::has_any(chart)
        && let Some(plain @ Json::Object(_)) = merged.to_json()
    {
        schema::check(chart, &plain, &mut problems);
    }
    if !problems.is_empty() {
        return Err(RenderError::Schema(problems));
    }
    check_kube_version(chart, environment.capabilities)?;
    let files = execute(chart, merged, environment).map_err(|message| RenderError::Template {
        chart: chart.name.clone(),
        message,
    })?;
    Ok((files, warnings))
}

/// Helm asks the chart itself only, not its subcharts.
fn check_kube_version(chart: &Chart, capabilities: &Capabilities) -> Result<(), RenderError> {
    let wanted = chart.meta("kubeVersion");
    let fits = wanted.is_empty()
        || Version::parse(&capabilities.kube_version).is_some_and(|version| {
            crate::functions::semver::satisfies(wanted, &version).unwrap_or(false)
        });
    if !fits {
        return Err(RenderError::KubeVersion {
            chart: chart.name.clone(),
            wanted: wanted.to_owned(),
            found: capabilities.kube_version.clone(),
        });
    }
    Ok(())
}

/// Renders every template; path → text.
fn execute(
    chart: &Chart,
    values: Value,
    environment: &Environment<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let release = environment.release;
    let mut shared = BTreeMap::new();
    shared.insert(
        "Release".to_owned(),
        fields([
            ("Name", Value::text(&release.name)),
            ("Namespace", Value::text(&release.namespace)),
            ("IsUpgrade", Value::Bool(release.is_upgrade)),
            ("IsInstall", Value::Bool(!release.is_upgrade)),
            (
                "Revision",
                Value::Int(i64::try_from(release.revision).unwrap_or(i64::MAX)),
            ),
            ("Service", Value::text(&release.service)),
        ]),
    );
    shared.insert(
        "Capabilities".to_owned(),
        capabilities(environment.capabilities),
    );
    let mut all = BTreeMap::new();
    let root_values = values_object(values);
    collect(chart, "", true, root_values, &shared, &mut all);

    let mut order: Vec<&String> = all.keys().collect();
    order.sort_by_cached_key(|path| Reverse((path.matches('/').count(), *path)));
    crate::bounds::begin();
    let mut set = Set::default();
    for path in &order {
        if let Some(template) = all.get(*path) {
            let parsed = (template.kept.templates(path, template.text))
                .map_err(|why| parse_message(path, &why))?;
            set.add(parsed.iter().cloned());
        }
    }
    let mut engine = Engine::new(set, &chart.kept, environment);
    let mut out = BTreeMap::new();
    for path in order {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (false, Some(template)) = (name.starts_with('_'), all.get(path)) else {
            continue;
        };
        if let Value::Map(dot) = &template.dot {
            dot.borrow_mut().insert(
                "Template".to_owned(),
                values_object(fields([
                    ("Name", Value::text(path)),
                    ("BasePath", Value::text(&template.base)),
                ])),
            );
        }
        let text = engine
            .execute(path, values_object(template.dot.clone()))
            .map_err(|failure| exec_message(&failure))?;
        out.insert(path.clone(), crate::exec::without_no_value(text));
    }
    Ok(out)
}

struct Renderable<'c> {
    text: &'c str,
    kept: &'c Kept,
    base: String,
    dot: Value,
}

fn collect<'c>(
    chart: &'c Chart,
    above: &str,
    is_root: bool,
    values: Value,
    shared: &BTreeMap<String, Value>,
    all: &mut BTreeMap<String, Renderable<'c>>,
) -> Value {
    let path = format!("{above}{}", chart.name);
    let subcharts = Value::map(BTreeMap::new());
    let mut dot = shared.clone();
    dot.insert("Chart".to_owned(), chart_object(chart, is_root));
    dot.insert(
        "Files".to_owned(),
        Value::object(Object::Files(chart.files.clone())),
    );
    dot.insert("Values".to_owned(), values.clone());
    dot.insert("Subcharts".to_owned(), subcharts.clone());
    let dot = Value::map(dot);
    for sub in &chart.subcharts {
        // The subchart's values are the parent's own table, so `set` on one
        // is seen by the other.
        let inner = values
            .entries()
            .and_then(|map| map.borrow().get(&sub.name).cloned())
            .filter(|value| matches!(value, Value::Map(_)))
            .unwrap_or_else(|| Value::map(BTreeMap::new()));
        let inner = values_object(inner);
        let below = format!("{above}{}/charts/", chart.inner_name);
        let inner = collect(sub, &below, false, inner, shared, all);
        if let Value::Map(map) = &subcharts {
            map.borrow_mut().insert(sub.name.clone(), inner);
        }
    }
    let library = chart.meta("type") == "library";
    for (name, text) in chart.templates.iter() {
        let is_partial = name.rsplit('/').next().is_some_and(|n| n.starts_with('_'));
        if library && !is_partial {
            continue;
        }
        all.insert(
            format!("{path}/{name}"),
            Renderable {
                text,
                kept: &chart.kept,
                base: format!("{path}/templates"),
                dot: dot.clone(),
            },
        );
    }
    dot
}

/// A map of the type that `.Values` has.
fn values_object(map: Value) -> Value {
    Value::object(Object::Typed {
        name: "chartutil.Values",
        value: map,
        nil: false,
    })
}

fn fields<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::map(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn chart_object(chart: &Chart, is_root: bool) -> Value {
    // Embedded first, as Go declares it.
    let mut entries = Vec::new();
    for (field, key, kind) in CHART_FIELDS {
        let given = chart.metadata.get(*key).filter(|value| !value.is_null());
        let list = || given.and_then(Json::as_array).cloned().unwrap_or_default();
        let value = match kind {
            // appVersion: 1.0 without quotes is still text.
            's' => match given {
                Some(Json::Number(number)) => Value::text(number.to_string()),
                Some(Json::String(text)) => Value::text(text),
                _ => Value::text(""),
            },
            'b' => Value::Bool(given.and_then(Json::as_bool).unwrap_or_default()),
            'm' => Value::object(Object::Typed {
                name: "map[string]string",
                value: Value::from_json(given.unwrap_or(&Json::Object(Map::new()))),
                nil: given.is_none(),
            }),
            kind => {
                let name = match kind {
                    'M' => "[]*chart.Maintainer",
                    'D' => "[]*chart.Dependency",
                    _ => "[]string",
                };
                let items: Vec<Value> = list().iter().map(Value::from_json).collect();
                match items.is_empty() {
                    true => Value::nil_list(name),
                    false => Value::typed(name, items),
                }
            }
        };
        entries.push((*field, value));
    }
    entries.push(("IsRoot", Value::Bool(is_root)));
    Value::object(Object::Struct {
        type_name: CHART,
        fields: entries,
        shown: None,
    })
}

/// The fields of `.Chart`, their keys in Chart.yaml, and what they hold: text,
/// bool, list of text, map, maintainers, dependencies.
pub const CHART_FIELDS: &[(&str, &str, char)] = &[
    ("Name", "name", 's'),
    ("Home", "home", 's'),
    ("Sources", "sources", 'l'),
    ("Version", "version", 's'),
    ("Description", "description", 's'),
    ("Keywords", "keywords", 'l'),
    ("Maintainers", "maintainers", 'M'),
    ("Icon", "icon", 's'),
    ("APIVersion", "apiVersion", 's'),
    ("Condition", "condition", 's'),
    ("Tags", "tags", 's'),
    ("AppVersion", "appVersion", 's'),
    ("Deprecated", "deprecated", 'b'),
    ("Annotations", "annotations", 'm'),
    ("KubeVersion", "kubeVersion", 's'),
    ("Dependencies", "dependencies", 'D'),
    ("Type", "type", 's'),
];

fn capabilities(capabilities: &Capabilities) -> Value {
    let version = Version::parse(&capabilities.kube_version);
    let part = |pick: fn(&Version) -> u64| {
        Value::text(version.as_ref().map(pick).unwrap_or_default().to_string())
    };
    let kube = Value::object(Object::Struct {
        type_name: KUBE_VERSION,
        fields: vec![
            ("Version", Value::text(&capabilities.kube_version)),
            ("Major", part(|v| v.major)),
            ("Minor", part(|v| v.minor)),
        ],
        shown: Some(capabilities.kube_version.clone()),
    });
    let structure = |type_name, fields: Vec<(&'static str, Value)>| {
        Value::object(Object::Struct {
            type_name,
            fields,
            shown: None,
        })
    };
    let helm = structure(
        "version.BuildInfo",
        vec![
            ("Version", Value::text(&capabilities.helm_version)),
            ("GitCommit", Value::text("")),
            ("GitTreeState", Value::text("")),
            ("GoVersion", Value::text("")),
        ],
    );
    let versions = Value::object(Object::ApiVersions(Rc::new(
        capabilities.api_versions.clone(),
    )));
    structure(
        "*chartutil.Capabilities",
        vec![
            ("KubeVersion", kube),
            ("APIVersions", versions),
            ("HelmVersion", helm),
        ],
    )
}

/// Helm's wording of a fault in a template's text.
fn parse_message(path: &str, why: &str) -> String {
    let mut tokens = why.split(": ");
    match (tokens.nth(1), why.rsplit(": ").next()) {
        (Some(location), Some(message)) => format!("parse error at ({location}): {message}"),
        _ => format!("parse error in ({path}): {why}"),
    }
}

/// Helm's wording of a failed execution.
fn exec_message(failure: &Failure) -> String {
    let location = failure.text.split(": ").nth(1);
    match (&failure.said, location) {
        (Some(said), Some(location)) => format!("execution error at ({location}): {said}"),
        _ => failure.text.clone(),
    }
}
