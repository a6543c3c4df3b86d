//! The built-in kinds' schemas, held once for all logical clusters.
//!
//! The text of the definitions is unpacked at first use, for documents that
//! embed it; the compiled form is made at the first write.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, OnceLock};

use catalyst_schema::SchemaSet;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

static SCHEMAS: &[u8] = include_bytes!("../data/schemas.json.gz");
static CORE: &[u8] = include_bytes!("../data/discovery-api.json.gz");
static GROUPS: &[u8] = include_bytes!("../data/discovery-apis.json.gz");

/// A kind of a group version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct GroupVersionKind {
    /// API group, "" for core.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// The definitions and an index of the kinds among them.
pub struct Schemas {
    raw: BTreeMap<String, Box<RawValue>>,
    kinds: HashMap<GroupVersionKind, String>,
}

#[derive(Deserialize)]
struct Kinds {
    #[serde(rename = "x-kubernetes-group-version-kind", default)]
    kinds: Vec<GroupVersionKind>,
}

pub(crate) fn unpack(packed: &[u8]) -> String {
    let mut text = String::new();
    // The bytes are part of the program and covered by a test; a fault here
    // leaves the text empty, and with it the API.
    if let Err(error) = flate2::read::GzDecoder::new(packed).read_to_string(&mut text) {
        tracing::error!(%error, "the built-in schema data does not unpack");
    }
    text
}

/// The aggregated discovery document of the core group and of the others.
pub fn discovery_documents() -> (Value, Value) {
    let parse = |packed| serde_json::from_str(&unpack(packed)).unwrap_or_default();
    (parse(CORE), parse(GROUPS))
}

/// The definitions, compiled for defaulting, pruning and validation.
pub fn schema_set() -> &'static Arc<SchemaSet> {
    static HELD: OnceLock<Arc<SchemaSet>> = OnceLock::new();
    HELD.get_or_init(|| {
        let definitions: Value = serde_json::from_str(&unpack(SCHEMAS)).unwrap_or_default();
        SchemaSet::parse(&serde_json::json!({"components": {"schemas": definitions}}))
            .unwrap_or_else(|error| {
                tracing::error!(%error, "the built-in schemas do not compile");
                Arc::default()
            })
    })
}

/// The shared definitions.
pub fn schemas() -> &'static Schemas {
    static HELD: OnceLock<Schemas> = OnceLock::new();
    HELD.get_or_init(|| {
        let raw: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&unpack(SCHEMAS)).unwrap_or_default();
        let mut kinds = HashMap::new();
        for (name, text) in &raw {
            if text.get().contains("x-kubernetes-group-version-kind")
                && let Ok(found) = serde_json::from_str::<Kinds>(text.get())
                // Shared kinds such as DeleteOptions claim every group.
                && found.kinds.len() == 1
            {
                kinds.extend(found.kinds.into_iter().map(|kind| (kind, name.clone())));
            }
        }
        Schemas { raw, kinds }
    })
}

impl Schemas {
    /// The definition's name of a kind.
    pub fn definition_of(&self, group: &str, version: &str, kind: &str) -> Option<&str> {
        self.kinds
            .get(&GroupVersionKind {
                group: group.into(),
                version: version.into(),
                kind: kind.into(),
            })
            .map(String::as_str)
    }

    /// The text of a definition, for documents that embed it.
    pub fn raw(&self, name: &str) -> Option<&RawValue> {
        self.raw.get(name).map(Box::as_ref)
    }

    /// Names of the definitions reachable from `roots`, roots included.
    pub fn closure(&self, roots: &[String]) -> Vec<String> {
        let mut found = std::collections::BTreeSet::new();
        let mut open: Vec<String> = roots.to_vec();
        while let Some(name) = open.pop() {
            let Some(text) = self.raw.get(&name) else {
                continue;
            };
            if !found.insert(name) {
                continue;
            }
            for part in text.get().split("#/components/schemas/").skip(1) {
                if let Some((reference, _)) = part.split_once('"') {
                    open.push(reference.to_owned());
                }
            }
        }
        found.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_served_kind_has_a_definition() {
        let (core, groups) = discovery_documents();
        let mut count = 0;
        for document in [core, groups] {
            for group in document["items"].as_array().unwrap() {
                let name = group["metadata"]["name"].as_str().unwrap_or("");
                for version in group["versions"].as_array().unwrap() {
                    let served = version["version"].as_str().unwrap();
                    for resource in version["resources"].as_array().unwrap() {
                        let kind = resource["responseKind"]["kind"].as_str().unwrap();
                        assert!(
                            schemas().definition_of(name, served, kind).is_some(),
                            "{name}/{served} {kind}"
                        );
                        count += 1;
                    }
                }
            }
        }
        assert!(count > 60, "{count}");
    }

    #[test]
    fn closure_reaches_nested_definitions() {
        let all = schemas().closure(&["io.k8s.api.apps.v1.Deployment".to_owned()]);
        assert!(
            all.iter()
                .any(|name| name == "io.k8s.api.core.v1.Container")
        );
    }
}
