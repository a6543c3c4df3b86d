//! What a terminating namespace still holds, told as the namespace controller of
//! Kubernetes tells it: in the conditions of `status`, by resource and finalizer
//! (kubernetes `pkg/controller/namespace/deletion/status_condition_utils.go`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::Resource;
use crate::object::{finalizers, set_condition};

/// Counts of what is left.
#[derive(Debug, Default)]
pub(crate) struct Remaining {
    /// By `plural.group`, where the core group is "".
    resources: BTreeMap<String, usize>,
    /// By finalizer.
    finalizers: BTreeMap<String, usize>,
}

impl Remaining {
    /// Counts an object that is still there.
    pub fn add(&mut self, resource: &Resource, object: &Value) {
        let resource = format!("{}.{}", resource.plural, resource.group);
        *self.resources.entry(resource).or_default() += 1;
        for finalizer in finalizers(object) {
            *self.finalizers.entry(finalizer).or_default() += 1;
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Writes the conditions into a namespace; `now` is RFC 3339.
    pub fn tell(&self, namespace: &mut Value, now: &str) {
        let list = |counts: &BTreeMap<String, usize>, word: &str| {
            let lines: Vec<String> = counts
                .iter()
                .map(|(what, count)| format!("{what} {word} {count} resource instances"))
                .collect();
            lines.join(", ")
        };
        let mut tell = |kind: &str, is_true: bool, reason: &str, message: &str| {
            let status = if is_true { "True" } else { "False" };
            set_condition(namespace, kind, status, reason, message, now);
        };
        tell(
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        );
        tell(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        );
        tell(
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        );
        if self.resources.is_empty() {
            let message = "All content successfully removed";
            tell(
                "NamespaceContentRemaining",
                false,
                "ContentRemoved",
                message,
            );
        } else {
            let resources = list(&self.resources, "has");
            let message = format!("Some resources are remaining: {resources}");
            tell(
                "NamespaceContentRemaining",
                true,
                "SomeResourcesRemain",
                &message,
            );
        }
        if self.finalizers.is_empty() {
            let message = "All content-preserving finalizers finished";
            tell(
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                message,
            );
        } else {
            let finalizers = list(&self.finalizers, "in");
            let message =
                format!("Some content in the namespace has finalizers remaining: {finalizers}");
            tell(
                "NamespaceFinalizersRemaining",
                true,
                "SomeFinalizersRemain",
                &message,
            );
        }
    }
}
