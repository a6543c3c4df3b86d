//! What a Blueprint's manifests will create, for plans, and which Service its
//! page is served on.
//!
//! Flux renders for itself; this rendering is what users see beforehand. Where
//! a chart asks for time or randomness it gets a fixed answer, so that a plan
//! is the same each time it is made.

use std::collections::BTreeMap;

use catalyst_blueprint::ManifestKind;
use catalyst_helm::{
    Capabilities, Chart, Environment, Host, Limits, NoLookup, ReleaseOptions, render,
};
use catalyst_resources::Application;
use serde_json::{Map, Value, json};

use crate::expand::{ExpandError, Expansion, expand};
use crate::{AdmittedBlueprint, ApplicationContext, HttpBackend, ResolvedDependency, delivery};

/// What a secret's value is shown as.
pub(crate) const HIDDEN: &str = "(secret)";

/// The chart or the tree of manifests of an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlueprintContent {
    /// Path → bytes. A chart's paths may begin with its name, as Helm packs
    /// them.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl BlueprintContent {
    /// That of a Blueprint's folder, whose files are given by their paths in it:
    /// what lies below `chart/` or `manifests/`.
    pub fn of_folder(kind: ManifestKind, files: &BTreeMap<String, Vec<u8>>) -> Self {
        let folder = match kind {
            ManifestKind::HelmChart => "chart/",
            ManifestKind::Kustomize => "manifests/",
        };
        let files = files
            .iter()
            .filter_map(|(path, bytes)| {
                Some((path.strip_prefix(folder)?.to_owned(), bytes.clone()))
            })
            .collect();
        Self { files }
    }
}

struct FixedHost;

impl Host for FixedHost {
    fn now(&self) -> Result<(i64, u32), String> {
        Ok((0, 0))
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        bytes.fill(0);
        Ok(())
    }

    fn certificate(&self, _: &str, _: &[Value]) -> Result<(String, String), String> {
        Ok((HIDDEN.to_owned(), HIDDEN.to_owned()))
    }
}

/// What the Blueprint's manifests will create, with namespaces and common
/// labels as Flux sets them.
pub fn render_objects(
    expansion: &Expansion,
    content: &BlueprintContent,
) -> Result<Vec<Value>, ExpandError> {
    let rendered = render_sourced(expansion, content)?;
    Ok(rendered
        .into_iter()
        .filter(|it| !it.is_hook)
        .map(|it| it.object)
        .collect())
}

/// An object, and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedObject {
    /// The template, below the chart's name: `bp-wiki/templates/service.yaml`; none
    /// for Kustomize, which does not say.
    pub template: Option<String>,
    /// Whether it is there only while a release is changed: a hook of Helm.
    pub is_hook: bool,
    /// The object, with namespace and common labels.
    pub object: Value,
}

/// The same with where each object comes from, and with Helm's hooks.
pub(crate) fn render_sourced(
    expansion: &Expansion,
    content: &BlueprintContent,
) -> Result<Vec<RenderedObject>, ExpandError> {
    let mut objects = match expansion.kind {
        ManifestKind::HelmChart => helm(expansion, content)?,
        ManifestKind::Kustomize => kustomize(expansion, content)?,
    };
    for it in &mut objects {
        finish(&mut it.object, expansion);
    }
    Ok(objects)
}

fn helm(
    expansion: &Expansion,
    content: &BlueprintContent,
) -> Result<Vec<RenderedObject>, ExpandError> {
    let fail = |reason: String| ExpandError::Render {
        application: expansion.application.to_string(),
        reason,
    };
    let chart = Chart::from_files(chart_files(content))
        .map_err(|error| fail(catalyst_helm::chain(&error)))?;
    let mut values = expansion.values.clone();
    for path in &expansion.secret_config {
        hide(&mut values, path);
    }
    let rendered = render(
        &chart,
        &values,
        &Environment {
            release: &ReleaseOptions {
                name: expansion.application.to_string(),
                namespace: expansion.workload_namespace.clone(),
                revision: 1,
                is_upgrade: false,
                service: "Helm".to_owned(),
            },
            capabilities: &Capabilities::default(),
            lookup: &NoLookup,
            host: &FixedHost,
            limits: Limits::default(),
        },
    )
    .map_err(|error| fail(error.to_string()))?;
    let manifests = rendered.crds.into_iter().chain(rendered.manifests);
    let hooks = rendered.hooks.into_iter().map(|hook| (hook.manifest, true));
    Ok(manifests
        .map(|manifest| (manifest, false))
        .chain(hooks)
        .map(|(manifest, is_hook)| RenderedObject {
            object: manifest.object(),
            template: Some(manifest.path),
            is_hook,
        })
        .filter(|rendered| !rendered.object.is_null())
        .collect())
}

/// The chart's files by path inside the chart.
pub(crate) fn chart_files(content: &BlueprintContent) -> BTreeMap<String, Vec<u8>> {
    if content.files.contains_key("Chart.yaml") {
        return content.files.clone();
    }
    let top = content
        .files
        .keys()
        .filter_map(|path| path.strip_suffix("/Chart.yaml"))
        .min_by_key(|folder| folder.len())
        .unwrap_or_default()
        .to_owned();
    content
        .files
        .iter()
        .filter_map(|(path, bytes)| {
            let inner = path.strip_prefix(top.as_str())?.strip_prefix('/')?;
            Some((inner.to_owned(), bytes.clone()))
        })
        .collect()
}

fn kustomize(
    expansion: &Expansion,
    content: &BlueprintContent,
) -> Result<Vec<RenderedObject>, ExpandError> {
    let folder = match &expansion.size {
        Some(size) => format!("overlays/{size}"),
        None => "base".to_owned(),
    };
    let fail = |reason: String| ExpandError::Render {
        application: expansion.application.to_string(),
        reason,
    };
    // A packed tree lies at the top; one from a folder below `manifests/`.
    let files: BTreeMap<String, Vec<u8>> = content
        .files
        .iter()
        .map(|(path, bytes)| {
            let inner = path.strip_prefix("manifests/").unwrap_or(path);
            (inner.to_owned(), bytes.clone())
        })
        .collect();
    let objects =
        catalyst_kustomize::build(&files, &folder, &catalyst_kustomize::Options::default())
            .map_err(|error| fail(error.to_string()))?;
    let mut variables = delivery::substitutions(&expansion.values);
    for path in &expansion.secret_config {
        variables.insert(path.join("_"), json!(HIDDEN));
    }
    Ok(objects
        .into_iter()
        .map(|object| RenderedObject {
            template: None,
            is_hook: false,
            object: substitute(object, &variables),
        })
        .collect())
}

/// Flux's `postBuild.substitute` for plain `${name}` and `${name:=default}`.
fn substitute(value: Value, variables: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => Value::String(substitute_text(&text, variables)),
        Value::Array(items) => items
            .into_iter()
            .map(|item| substitute(item, variables))
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, inner)| (key, substitute(inner, variables)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn substitute_text(text: &str, variables: &Map<String, Value>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once("${") {
        out.push_str(head);
        let Some((expression, after)) = tail.split_once('}') else {
            out.push_str("${");
            rest = tail;
            continue;
        };
        let (name, default) = expression
            .split_once(":=")
            .or_else(|| expression.split_once(":-"))
            .unwrap_or((expression, ""));
        match variables.get(name).and_then(Value::as_str) {
            Some(found) if !found.is_empty() => out.push_str(found),
            _ => out.push_str(default),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn hide(target: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        *target = json!(HIDDEN);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(map) = target {
        hide(map.entry(first.clone()).or_insert(Value::Null), rest);
    }
}

/// Kinds that a plan must not put into a namespace. Others of this sort come
/// with a definition that only the cluster knows; those are rare in charts and
/// say so by having no namespace in the plan of their definition.
pub(crate) const CLUSTER_WIDE: [&str; 22] = [
    "APIService",
    "CertificateSigningRequest",
    "ClusterIssuer",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterSecretStore",
    "CSIDriver",
    "CustomResourceDefinition",
    "GatewayClass",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "VolumeAttachment",
    "VolumeSnapshotClass",
    "ValidatingWebhookConfiguration",
];

fn finish(object: &mut Value, expansion: &Expansion) {
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is_cluster_wide = CLUSTER_WIDE.contains(&kind);
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    let namespace = json!(expansion.workload_namespace);
    match expansion.kind {
        _ if is_cluster_wide => {}
        ManifestKind::HelmChart => {
            metadata.entry("namespace").or_insert(namespace);
        }
        // `targetNamespace` replaces what the manifests say.
        ManifestKind::Kustomize => {
            metadata.insert("namespace".to_owned(), namespace);
        }
    }
    let labels = metadata
        .entry("labels")
        .or_insert_with(|| Value::Object(Map::new()));
    if !labels.is_object() {
        *labels = Value::Object(Map::new());
    }
    if let Some(labels) = labels.as_object_mut() {
        for (key, value) in &expansion.common_labels {
            labels.insert(key.clone(), json!(value));
        }
    }
}

/// The whole of an Application: its expansion, with the page's route where the
/// Blueprint has one, and what its manifests will create.
pub fn expand_rendered(
    application: &Application,
    blueprint: &AdmittedBlueprint,
    dependencies: &[ResolvedDependency],
    ctx: &ApplicationContext,
    content: &BlueprintContent,
) -> Result<(Expansion, Vec<Value>), ExpandError> {
    let expansion = expand(application, blueprint, dependencies, ctx)?;
    let rendered = render_objects(&expansion, content)?;
    let http = blueprint.blueprint.spec.provides.http.as_ref();
    let Some(backend) = http.and_then(|http| http_backend(&rendered, &http.port)) else {
        return Ok((expansion, rendered));
    };
    // The backend changes nothing that the manifests are rendered from.
    let mut ctx = ctx.clone();
    ctx.http_backend = Some(backend);
    let expansion = expand(application, blueprint, dependencies, &ctx)?;
    Ok((expansion, rendered))
}

/// The Service that has the port a Blueprint provides, by name or number: the
/// first in the order of their names.
pub fn http_backend<'a>(
    objects: impl IntoIterator<Item = &'a Value>,
    port: &Value,
) -> Option<HttpBackend> {
    let mut found: Vec<HttpBackend> = objects
        .into_iter()
        .filter(|object| object.get("kind") == Some(&json!("Service")))
        .filter_map(|service| {
            let name = service.pointer("/metadata/name")?.as_str()?;
            let ports = service.pointer("/spec/ports")?.as_array()?;
            let number = ports.iter().find_map(|candidate| {
                let fits = match port {
                    Value::String(name) => candidate.get("name")?.as_str() == Some(name),
                    other => candidate.get("port") == Some(other),
                };
                let number = candidate.get("port")?.as_u64()?;
                fits.then(|| u16::try_from(number).ok()).flatten()
            })?;
            Some(HttpBackend {
                service: name.to_owned(),
                port: number,
            })
        })
        .collect();
    found.sort_by(|left, right| left.service.cmp(&right.service));
    found.into_iter().next()
}
