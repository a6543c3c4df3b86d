//! Rendered files → manifests, hooks and notes, in Helm's order.
//!
//! Called by the renderer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::chart::Chart;
use crate::render::{RenderError, Rendered};
use crate::warnings::Warnings;

/// The order in which Helm installs kinds; others follow by name.
const INSTALL_ORDER: [&str; 36] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// One object that a chart renders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The template, for example `demo/templates/service.yaml`.
    pub path: String,
    /// The text as rendered.
    pub content: String,
    pub kind: String,
    pub name: String,
}

impl Manifest {
    /// The text as read; null where it is only comments. Read anew each time: whoever
    /// only writes the text needs no object, and reading makes most of one.
    #[must_use]
    pub fn object(&self) -> Value {
        // It was read before, or there would be no manifest.
        catalyst_yaml::from_str(&self.content).unwrap_or_default()
    }
}

/// The parts of an object that Helm looks at.
const HEAD: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// An object with the annotation `helm.sh/hook`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub manifest: Manifest,
    /// For example `pre-install`.
    pub events: Vec<String>,
    /// Lower ones run first.
    pub weight: i64,
    pub delete_policies: Vec<String>,
}

pub fn sort(
    chart: &Chart,
    files: BTreeMap<String, String>,
    mut warnings: Warnings,
) -> Result<Rendered, RenderError> {
    let mut rendered = Rendered {
        manifests: Vec::new(),
        hooks: Vec::new(),
        crds: Vec::new(),
        notes: None,
        warnings: Vec::new(),
    };
    let notes = format!("{}/templates/NOTES.txt", chart.name);
    for (path, text) in files {
        if path.ends_with("NOTES.txt") {
            if path == notes {
                rendered.notes = Some(text);
            }
            continue;
        }
        if text.trim().is_empty() {
            continue;
        }
        for document in split(&text) {
            let (manifest, head) = read(&chart.name, &path, document)?;
            match role(manifest, &head, &mut warnings) {
                Role::Hook(hook) => rendered.hooks.push(hook),
                Role::Plain(manifest) => rendered.manifests.push(manifest),
                Role::Unknown => {}
            }
        }
    }
    rendered.manifests.sort_by_cached_key(|m| rank(&m.kind));
    rendered
        .hooks
        .sort_by_cached_key(|hook| rank(&hook.manifest.kind));
    crds(chart, "", &mut rendered.crds)?;
    rendered.warnings = warnings.into_texts();
    Ok(rendered)
}

fn rank(kind: &str) -> (usize, String) {
    match INSTALL_ORDER.iter().position(|known| *known == kind) {
        Some(place) => (place, String::new()),
        None => (INSTALL_ORDER.len(), kind.to_owned()),
    }
}

fn crds(chart: &Chart, above: &str, out: &mut Vec<Manifest>) -> Result<(), RenderError> {
    for (name, text) in chart.crds.iter() {
        for document in split(text) {
            let path = format!("{above}{}/{name}", chart.name);
            out.push(read(&chart.name, &path, document)?.0);
        }
    }
    for sub in &chart.subcharts {
        crds(sub, &format!("{above}{}/charts/", chart.inner_name), out)?;
    }
    Ok(())
}

/// `SplitManifests`: cuts at `---` at the start of a line, with the blanks
/// around it; what follows it on the line belongs to the next document.
fn split(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text.trim();
    if let Some(after) = rest.strip_prefix("---") {
        rest = after.trim_start();
    }
    while let Some((before, after)) = rest.split_once("\n---") {
        documents.push(before.trim());
        rest = after.trim_start();
    }
    documents.push(rest.trim());
    documents.retain(|document| !document.is_empty());
    documents
}

/// With its head.
fn read(chart: &str, path: &str, content: &str) -> Result<(Manifest, Value), RenderError> {
    let fault = |source| RenderError::Manifest {
        chart: chart.to_owned(),
        path: path.to_owned(),
        source,
    };
    let head = catalyst_yaml::entries_from_str(content, &HEAD).map_err(fault)?;
    check_head(&head).map_err(|message| {
        fault(catalyst_yaml::Error {
            message,
            line: 1,
            column: 1,
        })
    })?;
    let text = |value: Option<&Value>| value.and_then(scalar).unwrap_or_default();
    let manifest = Manifest {
        path: path.to_owned(),
        kind: text(head.get("kind")),
        name: text(head.pointer("/metadata/name")),
        content: content.to_owned(),
    };
    Ok((manifest, head))
}

/// A scalar as text: Helm asks for text, and Kubernetes' YAML gives it for
/// numbers and booleans too.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if !number.is_i64() && !number.is_u64() => {
                catalyst_yaml::format_float(float)
            }
            _ => number.to_string(),
        }),
        _ => None,
    }
}

/// What Helm reads of an object must be of the types that it expects.
fn check_head(object: &Value) -> Result<(), String> {
    let table = |value: Option<&Value>, what: &str| match value {
        Some(value) if !value.is_object() && !value.is_null() => {
            Err(format!("{what} is not a map"))
        }
        _ => Ok(()),
    };
    let text = |value: Option<&Value>, what: &str| match value {
        Some(Value::Object(_) | Value::Array(_)) => Err(format!("{what} is not text")),
        _ => Ok(()),
    };
    table(Some(object), "the object")?;
    text(object.get("apiVersion"), "apiVersion")?;
    text(object.get("kind"), "kind")?;
    let metadata = object.get("metadata");
    table(metadata, "metadata")?;
    let field = |key: &str| metadata.and_then(|metadata| metadata.get(key));
    text(field("name"), "metadata.name")?;
    let annotations = field("annotations");
    table(annotations, "metadata.annotations")?;
    if let Some(Value::Object(annotations)) = annotations {
        for (key, value) in annotations {
            text(Some(value), &format!("the annotation {key}"))?;
        }
    }
    Ok(())
}

/// What an object is to Helm.
enum Role {
    Plain(Manifest),
    Hook(Hook),
    /// A hook of events that nobody knows: left out.
    Unknown,
}

const EVENTS: [&str; 10] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
];

fn role(manifest: Manifest, head: &Value, warnings: &mut Warnings) -> Role {
    let annotations = head.pointer("/metadata/annotations");
    let get = |key: &str| {
        let value = annotations?.get(key)?;
        // Null is an empty text.
        Some(scalar(value).unwrap_or_default())
    };
    let words = |text: &str| -> Vec<String> {
        text.split(',')
            .map(|word| word.trim().to_lowercase())
            .collect()
    };
    let Some(given) = get("helm.sh/hook") else {
        return Role::Plain(manifest);
    };
    let events = words(&given);
    if events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
        warnings.add(&format!("skipping unknown hook: {given:?}"));
        return Role::Unknown;
    }
    let events = events
        .into_iter()
        .map(|event| match event.as_str() {
            "test-success" => "test".to_owned(),
            _ => event,
        })
        .collect();
    let weight = get("helm.sh/hook-weight").and_then(|weight| weight.parse().ok());
    let delete_policies = get("helm.sh/hook-delete-policy").map(|text| words(&text));
    Role::Hook(Hook {
        manifest,
        events,
        weight: weight.unwrap_or(0),
        delete_policies: delete_policies.unwrap_or_default(),
    })
}
