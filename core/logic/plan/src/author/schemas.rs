//! What is rendered, held against the schemas of its kinds: Kubernetes' own, and those of
//! the definitions that are rendered with it.
//!
//! Called by lint and by the cases of `test`, which so say the same of an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalyst_schema::{Schema, SchemaSet};
use serde_json::Value;

use crate::RenderedObject;

/// What the schema of its kind says of an object.
pub(super) enum Finding {
    /// It does not fit.
    Fault {
        /// The place in the object, `spec.ports[0].port`; empty for the whole.
        field: String,
        /// Object, place and reason.
        message: String,
    },
    /// Nothing is known of its kind: its name, and its apiVersion.
    Unchecked(String),
}

/// Everything that the schemas say, object by object.
pub(super) fn findings<'a>(
    rendered: &'a [RenderedObject],
    schemas: &Arc<SchemaSet>,
) -> Vec<(&'a RenderedObject, Finding)> {
    let own = own_definitions(rendered, schemas);
    let groups: BTreeSet<&str> = schemas.kinds().map(|kind| kind.group.as_str()).collect();
    let mut found = Vec::new();
    for it in rendered {
        let text = |pointer: &str| {
            let value = it.object.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default()
        };
        let mut fault = |field: String, message: String| {
            found.push((it, Finding::Fault { field, message }));
        };
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let name = format!("{kind} {}", text("/metadata/name"));
        if kind.is_empty() || api_version.is_empty() {
            let lacks = if kind.is_empty() {
                "kind"
            } else {
                "apiVersion"
            };
            fault(
                String::new(),
                format!("the object `{}` has no {lacks}", name.trim()),
            );
            continue;
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let key = (group.to_owned(), version.to_owned(), kind.to_owned());
        let schema = match own.get(&key) {
            Some(schema) => Some(schema.clone()),
            None => schemas.for_kind(group, version, kind),
        };
        let Some(schema) = schema else {
            if groups.contains(group) {
                let message = format!("{name}: Kubernetes has no kind {kind} in {api_version}");
                fault("kind".to_owned(), message);
            } else {
                let object = format!("{name} ({api_version})");
                found.push((it, Finding::Unchecked(object)));
            }
            continue;
        };
        for error in schema.validate(&it.object) {
            let message = format!("{name}: {error}");
            fault(error.path, message);
        }
        for field in schema.unknown_fields(&it.object) {
            let message = format!("{name}: unknown field {field:?}");
            fault(field, message);
        }
    }
    found
}

/// The kinds that the objects define themselves.
fn own_definitions(
    rendered: &[RenderedObject],
    schemas: &Arc<SchemaSet>,
) -> BTreeMap<(String, String, String), Schema> {
    let mut found = BTreeMap::new();
    for it in rendered {
        if it.object.get("kind").and_then(Value::as_str) != Some("CustomResourceDefinition") {
            continue;
        }
        let text = |pointer: &str| {
            let value = it.object.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let versions = it
            .object
            .pointer("/spec/versions")
            .and_then(Value::as_array);
        for version in versions.into_iter().flatten() {
            let name = version.get("name").and_then(Value::as_str);
            let schema = version.pointer("/schema/openAPIV3Schema");
            let Some((name, schema)) = name.zip(schema) else {
                continue;
            };
            // One that cannot be read is found as an object of its own kind.
            if let Ok(schema) = Schema::custom_resource(schema, schemas) {
                let key = (
                    text("/spec/group"),
                    name.to_owned(),
                    text("/spec/names/kind"),
                );
                found.insert(key, schema);
            }
        }
    }
    found
}
