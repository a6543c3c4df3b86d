//! A chart archive and values → the objects of a release, as Helm would store
//! them.
//!
//! Runs on a blocking thread; `lookup` asks the live cluster.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_helm::{
    Capabilities, Chart, Environment, Limits, Lookup, Manifest, ReleaseOptions, Rendered, chain,
    render,
};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::apply::mark;
use crate::artifact::Files;
use crate::json::{list, text};

use super::host::ChartHost;
use super::release::flatten;

/// A chart, read once for what is asked of it.
pub struct Package {
    pub chart: Chart,
    /// The chart as Helm's release JSON holds it.
    pub stored: Value,
}

/// Reads a packaged chart.
pub fn package(archive: &[u8]) -> Result<Package, String> {
    let chart = Chart::from_archive(archive).map_err(|why| chain(&why))?;
    let files = crate::artifact::unpack(archive).map_err(|why| why.to_string())?;
    let mut inner = Files::new();
    for (path, content) in files {
        if let Some((_, rest)) = path.split_once('/') {
            inner.insert(rest.to_owned(), content);
        }
    }
    let mut templates = Vec::new();
    let mut others = Vec::new();
    let mut schema = Value::Null;
    for (path, content) in &inner {
        let entry = json!({"name": path, "data": STANDARD.encode(content)});
        match path.as_str() {
            "Chart.yaml" | "values.yaml" | "Chart.lock" => {}
            "values.schema.json" => schema = STANDARD.encode(content).into(),
            path if path.starts_with("charts/") => {}
            path if path.starts_with("templates/") => templates.push(entry),
            _ => others.push(entry),
        }
    }
    let stored = json!({
        "metadata": chart.metadata(), "lock": null, "templates": templates,
        "values": chart.values(), "schema": schema, "files": others,
    });
    Ok(Package { chart, stored })
}

/// What a release is rendered from, beside chart and values.
pub struct Options {
    pub name: String,
    pub namespace: String,
    pub revision: i64,
    pub is_upgrade: bool,
    /// Labels and annotations that every object gets.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// `spec.postRenderers`.
    pub post_renderers: Vec<Value>,
    pub api_versions: Vec<String>,
}

/// A rendered release.
pub struct Output {
    /// As Helm stores it.
    pub manifest: String,
    /// As Helm stores them.
    pub hooks: Vec<Value>,
    /// Objects of `crds/`.
    pub crds: Vec<Value>,
    pub notes: String,
}

/// Renders a chart.
pub fn output(
    chart: &Chart,
    values: &Value,
    options: &Options,
    api: &Api,
    runtime: tokio::runtime::Handle,
) -> Result<Output, String> {
    let release = ReleaseOptions {
        name: options.name.clone(),
        namespace: options.namespace.clone(),
        revision: u64::try_from(options.revision).unwrap_or(1),
        is_upgrade: options.is_upgrade,
        service: "Helm".to_owned(),
    };
    let mut capabilities = Capabilities::default();
    for version in &options.api_versions {
        if !capabilities.api_versions.contains(version) {
            capabilities.api_versions.push(version.clone());
        }
    }
    let environment = Environment {
        release: &release,
        capabilities: &capabilities,
        lookup: &Live {
            api: api.clone(),
            runtime,
        },
        host: &ChartHost,
        limits: Limits::default(),
    };
    let rendered = render(chart, values, &environment).map_err(|why| chain(&why))?;
    finish(rendered, options)
}

fn finish(rendered: Rendered, options: &Options) -> Result<Output, String> {
    let mut manifest = String::new();
    for (path, object) in post_rendered(rendered.manifests, options)? {
        let mut object = object;
        own(&mut object, options);
        manifest.push_str(&format!(
            "---\n# Source: {path}\n{}",
            catalyst_yaml::to_string(&object)
        ));
    }
    let mut hooks = Vec::new();
    for hook in rendered.hooks {
        let mut object = hook.manifest.object();
        own(&mut object, options);
        let mut stored = json!({
            "name": hook.manifest.name,
            "kind": hook.manifest.kind,
            "path": hook.manifest.path,
            "manifest": format!("# Source: {}\n{}", hook.manifest.path, catalyst_yaml::to_string(&object)),
            "events": hook.events,
            "last_run": {"started_at": "", "completed_at": "", "phase": ""},
        });
        if hook.weight != 0 {
            crate::json::set(&mut stored, &["weight"], hook.weight.into());
        }
        if !hook.delete_policies.is_empty() {
            crate::json::set(
                &mut stored,
                &["delete_policies"],
                hook.delete_policies.into(),
            );
        }
        hooks.push(stored);
    }
    Ok(Output {
        manifest,
        hooks,
        crds: flatten(rendered.crds.iter().map(Manifest::object).collect()),
        notes: rendered.notes.unwrap_or_default(),
    })
}

fn own(object: &mut Value, options: &Options) {
    mark(object, "labels", &options.labels);
    mark(object, "annotations", &options.annotations);
}

/// The objects with their templates' paths, after `spec.postRenderers`.
fn post_rendered(
    manifests: Vec<Manifest>,
    options: &Options,
) -> Result<Vec<(String, Value)>, String> {
    let mut objects = Vec::new();
    for one in manifests {
        for object in flatten(vec![one.object()]) {
            objects.push((one.path.clone(), object));
        }
    }
    for renderer in &options.post_renderers {
        let Some(kustomize) = renderer.get("kustomize") else {
            continue;
        };
        let all: String = objects
            .iter()
            .map(|(_, object)| format!("---\n{}", catalyst_yaml::to_string(object)))
            .collect();
        let mut kustomization = json!({"resources": ["all.yaml"]});
        for field in ["patches", "images"] {
            if let Some(value) = kustomize.get(field) {
                crate::json::set(&mut kustomization, &[field], value.clone());
            }
        }
        let files = Files::from([
            ("all.yaml".to_owned(), all.into_bytes()),
            (
                "kustomization.yaml".to_owned(),
                kustomization.to_string().into_bytes(),
            ),
        ]);
        let built = catalyst_kustomize::build(&files, "", &catalyst_kustomize::Options::default())
            .map_err(|why| format!("could not apply spec.postRenderers: {why}"))?;
        // Back into Helm's order, each under its template.
        let place = |object: &Value| {
            objects.iter().position(|(_, old)| {
                ["/kind", "/metadata/name", "/metadata/namespace"]
                    .iter()
                    .all(|pointer| text(old, pointer) == text(object, pointer))
            })
        };
        let mut next: Vec<(usize, String, Value)> = built
            .into_iter()
            .map(|object| {
                let found = place(&object);
                let path = found
                    .and_then(|at| objects.get(at))
                    .map(|one| one.0.clone());
                (
                    found.unwrap_or(usize::MAX),
                    path.unwrap_or_else(|| "postRenderers".to_owned()),
                    object,
                )
            })
            .collect();
        next.sort_by_key(|one| one.0);
        objects = next.into_iter().map(|one| (one.1, one.2)).collect();
    }
    Ok(objects)
}

/// Every `group/version` that a cluster serves.
pub async fn api_versions(api: &Api) -> Vec<String> {
    let Ok(groups) = api.list("/apis").await else {
        return Vec::new();
    };
    list(&groups, "/groups")
        .iter()
        .flat_map(|group| list(group, "/versions"))
        .map(|version| text(version, "/groupVersion").to_owned())
        .collect()
}

struct Live {
    api: Api,
    runtime: tokio::runtime::Handle,
}

impl Lookup for Live {
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, String> {
        self.runtime.block_on(async {
            let mapping = match self.api.mapping(api_version, kind).await {
                Ok(mapping) => mapping,
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error.to_string()),
            };
            self.api
                .get(&mapping.path(namespace, name))
                .await
                .map_err(|error| error.to_string())
        })
    }
}

/// An empty map, as Helm stores values that are not there.
pub fn or_empty(values: &Value) -> Value {
    match values {
        Value::Null => Value::Object(Map::new()),
        other => other.clone(),
    }
}
