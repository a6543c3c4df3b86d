//! What a Kustomization has applied, in Flux's form: an id
//! `namespace_name_group_kind` and the version beside it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::json::{group_version, list, text};
use crate::wait::Target;

/// One applied object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub id: String,
    pub version: String,
}

impl Entry {
    pub fn of(object: &Value) -> Self {
        let (group, version) = group_version(text(object, "/apiVersion"));
        // Colons are legal in names of RBAC objects and not in ids.
        let name = text(object, "/metadata/name").replace(':', "__");
        Self {
            id: format!(
                "{}_{name}_{group}_{}",
                text(object, "/metadata/namespace"),
                text(object, "/kind")
            ),
            version: version.to_owned(),
        }
    }

    /// The object an entry names; `None` for an id that is not one.
    pub fn target(&self) -> Option<Target> {
        // Names hold no underscore but for the coded colon, so cut the known
        // parts off both ends.
        let (namespace, rest) = self.id.split_once('_')?;
        let (rest, kind) = rest.rsplit_once('_')?;
        let (name, group) = rest.rsplit_once('_')?;
        let api_version = if group.is_empty() {
            self.version.clone()
        } else {
            format!("{group}/{}", self.version)
        };
        Some(Target {
            api_version,
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.replace("__", ":"),
        })
    }
}

/// Reads `status.inventory`.
pub fn read(status: &Value) -> BTreeSet<Entry> {
    list(status, "/inventory/entries")
        .iter()
        .map(|one| Entry {
            id: text(one, "/id").to_owned(),
            version: text(one, "/v").to_owned(),
        })
        .collect()
}

/// Writes `status.inventory`.
pub fn write(entries: &BTreeSet<Entry>) -> Value {
    let entries: Vec<Value> = entries
        .iter()
        .map(|one| json!({"id": one.id, "v": one.version}))
        .collect();
    json!({ "entries": entries })
}

/// What is no longer wanted: the same id under another version is the same
/// object.
pub fn stale(old: &BTreeSet<Entry>, new: &BTreeSet<Entry>) -> Vec<Entry> {
    old.iter()
        .filter(|entry| !new.iter().any(|other| other.id == entry.id))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_their_objects_and_back() {
        for (object, id) in [
            (
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}),
                "n_a__ConfigMap",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"}}),
                "n_web_apps_Deployment",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}),
                "_n__Namespace",
            ),
            (
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:a:b"}}),
                "_system__a__b_rbac.authorization.k8s.io_ClusterRole",
            ),
        ] {
            let entry = Entry::of(&object);
            assert_eq!(entry.id, id);
            assert_eq!(entry.target(), Some(Target::of(&object)), "{id}");
        }
    }

    #[test]
    fn another_version_of_the_same_object_is_not_stale() {
        let entry = |id: &str, version: &str| Entry {
            id: id.into(),
            version: version.into(),
        };
        let old = BTreeSet::from([entry("n_a_g_K", "v1"), entry("n_b_g_K", "v1")]);
        let new = BTreeSet::from([entry("n_a_g_K", "v2")]);
        assert_eq!(stale(&old, &new), [entry("n_b_g_K", "v1")]);
    }
}
