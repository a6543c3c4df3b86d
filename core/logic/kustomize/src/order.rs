//! The order objects leave a build in.

use std::cmp::Ordering;

use crate::identity::{Gvk, Id};
use crate::resource::Resource;

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Sorts by kind in kustomize's "legacy" order, the default: what others need
/// comes first, admission webhooks come last, the rest by group, version,
/// kind, namespace and name.
pub fn sort(resources: &mut [Resource], first: Option<&[String]>, last: Option<&[String]>) {
    let first: Vec<&str> = match first {
        Some(kinds) => kinds.iter().map(String::as_str).collect(),
        None => FIRST.to_vec(),
    };
    let last: Vec<&str> = match last {
        Some(kinds) => kinds.iter().map(String::as_str).collect(),
        None => LAST.to_vec(),
    };
    resources.sort_by(|a, b| compare(&a.id(), &b.id(), &first, &last));
}

fn compare(a: &Id, b: &Id, first: &[&str], last: &[&str]) -> Ordering {
    let position = |list: &[&str], gvk: &Gvk| list.iter().position(|kind| *kind == gvk.kind);
    let rank = |gvk: &Gvk| -> isize {
        let signed = |at: usize| isize::try_from(at).unwrap_or(isize::MAX);
        match (position(last, gvk), position(first, gvk)) {
            (Some(at), _) => signed(at + 1),
            (None, Some(at)) => signed(at) - signed(first.len()),
            (None, None) => 0,
        }
    };
    if a.gvk != b.gvk {
        return rank(&a.gvk).cmp(&rank(&b.gvk)).then_with(|| {
            let order = gvk_text(&a.gvk).cmp(&gvk_text(&b.gvk));
            // Namespaces of Kubernetes come before any other kind of that name.
            if a.gvk.kind == "Namespace" && b.gvk.kind == "Namespace" {
                order.reverse()
            } else {
                order
            }
        });
    }
    id_text(a).cmp(&id_text(b))
}

fn or<'a>(text: &'a str, none: &'a str) -> &'a str {
    if text.is_empty() { none } else { text }
}

fn gvk_text(gvk: &Gvk) -> String {
    format!(
        "{}_{}_{}",
        or(&gvk.group, "~G"),
        or(&gvk.version, "~V"),
        or(&gvk.kind, "~K")
    )
}

fn id_text(id: &Id) -> String {
    format!(
        "{}|{}|{}",
        id.gvk,
        or(&id.namespace, "~X"),
        or(&id.name, "~N")
    )
}
