//! Rendered files → manifests, hooks and notes, in Helm's order.
//!
//! Called by the renderer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::chart::Chart;
use crate::render::{RenderError, Rendered};

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
    /// The text as read; null where it is only comments.
    pub object: Value,
    pub kind: String,
    pub name: String,
}

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

pub fn sort(chart: &Chart, files: BTreeMap<String, String>) -> Result<Rendered, RenderError> {
    let mut rendered = Rendered {
        manifests: Vec::new(),
        hooks: Vec::new(),
        crds: Vec::new(),
        notes: None,
    };
    let notes = format!("{}/templates/NOTES.txt", chart.name);
    for (path, text) in files {
        if path.ends_with("NOTES.txt") {
            if path == notes {
                rendered.notes = Some(text);
            }
            continue;
        }
        for document in split(&text) {
            let manifest = read(&chart.name, &path, document)?;
            match hook(&manifest) {
                Some(hook) => rendered.hooks.push(hook),
                None => rendered.manifests.push(manifest),
            }
        }
    }
    rendered.manifests.sort_by_key(|m| rank(&m.kind));
    rendered.hooks.sort_by_key(|hook| rank(&hook.manifest.kind));
    crds(chart, &chart.name, &mut rendered.crds)?;
    Ok(rendered)
}

fn rank(kind: &str) -> (usize, String) {
    match INSTALL_ORDER.iter().position(|known| *known == kind) {
        Some(place) => (place, String::new()),
        None => (INSTALL_ORDER.len(), kind.to_owned()),
    }
}

fn crds(chart: &Chart, path: &str, out: &mut Vec<Manifest>) -> Result<(), RenderError> {
    for (name, text) in &chart.crds {
        for document in split(text) {
            out.push(read(&chart.name, &format!("{path}/{name}"), document)?);
        }
    }
    for sub in &chart.subcharts {
        crds(sub, &format!("{path}/charts/{}", sub.name), out)?;
    }
    Ok(())
}

/// Cuts at lines that start with `---`, as Helm does.
fn split(text: &str) -> Vec<String> {
    let mut documents = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        match line.strip_prefix("---") {
            Some(rest) => {
                documents.push(std::mem::take(&mut current));
                current.push_str(rest.trim_start());
                current.push('\n');
            }
            None => {
                current.push_str(line);
                current.push('\n');
            }
        }
    }
    documents.push(current);
    documents
        .iter()
        .map(|document| document.trim().to_owned())
        .filter(|document| !document.is_empty())
        .collect()
}

fn read(chart: &str, path: &str, content: String) -> Result<Manifest, RenderError> {
    let object = catalyst_yaml::from_str(&content).map_err(|source| RenderError::Manifest {
        chart: chart.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Manifest {
        path: path.to_owned(),
        kind: text(object.get("kind")),
        name: text(object.pointer("/metadata/name")),
        content,
        object,
    })
}

fn hook(manifest: &Manifest) -> Option<Hook> {
    let annotations = manifest.object.pointer("/metadata/annotations")?;
    let list = |key: &str| -> Vec<String> {
        annotations
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .split(',')
            .map(|word| word.trim().to_lowercase())
            .filter(|word| !word.is_empty())
            .collect()
    };
    let events = list("helm.sh/hook");
    if events.is_empty() {
        return None;
    }
    Some(Hook {
        manifest: manifest.clone(),
        events,
        weight: annotations
            .get("helm.sh/hook-weight")
            .and_then(Value::as_str)
            .and_then(|weight| weight.parse().ok())
            .unwrap_or(0),
        delete_policies: list("helm.sh/hook-delete-policy"),
    })
}
