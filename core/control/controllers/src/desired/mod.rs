//! What the controllers want to exist, as pure functions: values in, Kubernetes
//! objects and files out. The controllers only carry it out.

pub mod access;
pub mod environment;
pub mod management;

use catalyst_names::LABEL_PREFIX;
use serde_json::{Map, Value, json};

/// Who the controllers are in `managed-by` labels.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "catalyst");

/// The namespace of Catalyst's own things, in every cluster.
pub const SYSTEM_NAMESPACE: &str = "catalyst-system";

/// The full key of one of Catalyst's labels or annotations.
pub fn key(name: &str) -> String {
    format!("{LABEL_PREFIX}{name}")
}

/// Labels by short names, and the one that says who manages the object.
pub fn labels(pairs: &[(&str, &str)]) -> Map<String, Value> {
    let mut labels: Map<String, Value> = pairs
        .iter()
        .map(|(name, value)| (key(name), json!(value)))
        .collect();
    labels.insert(MANAGED_BY.0.to_owned(), json!(MANAGED_BY.1));
    labels
}
