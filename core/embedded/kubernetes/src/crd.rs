//! Custom resource definitions: what they must be, and the resources they make.
//!
//! A version's compiled schema is shared by every cluster that holds the same
//! text, so a thousand clusters with the same definitions pay once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use catalyst_schema::{FieldError, Schema};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::{Resource, Subresource};
use crate::object::{array, child_mut, has_condition, name, set, set_condition, set_default, text};
use crate::schemas::schema_set;

/// Where definitions are kept.
pub(crate) const STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// One version of a custom resource, compiled.
#[derive(Debug)]
pub struct CustomVersion {
    /// Its structural schema as written.
    pub document: Value,
    /// The compiled schema; `None` when the text could not be compiled.
    pub schema: Option<Schema>,
    /// `additionalPrinterColumns`.
    pub columns: Vec<Value>,
    /// JSON paths of selectable fields.
    pub selectable: Vec<String>,
    /// `subresources.scale`.
    pub scale: Option<Value>,
}

fn compile(version: &Value) -> Arc<CustomVersion> {
    static HELD: OnceLock<Mutex<HashMap<[u8; 32], Weak<CustomVersion>>>> = OnceLock::new();
    let digest: [u8; 32] = Sha256::digest(version.to_string().as_bytes()).into();
    let held = HELD.get_or_init(Mutex::default);
    if let Ok(held) = held.lock()
        && let Some(found) = held.get(&digest).and_then(Weak::upgrade)
    {
        return found;
    }
    let document = version
        .pointer("/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_else(|| json!({"type": "object"}));
    let compiled = Arc::new(CustomVersion {
        schema: Schema::custom_resource(&document, schema_set())
            .inspect_err(
                |error| tracing::warn!(%error, "a custom resource schema does not compile"),
            )
            .ok(),
        document,
        columns: array(version, "/additionalPrinterColumns").to_vec(),
        selectable: array(version, "/selectableFields")
            .iter()
            .map(|one| text(one, "/jsonPath").to_owned())
            .collect(),
        scale: version.pointer("/subresources/scale").cloned(),
    });
    if let Ok(mut held) = held.lock() {
        held.retain(|_, one| one.strong_count() > 0);
        held.insert(digest, Arc::downgrade(&compiled));
    }
    compiled
}

/// The resources that a cluster's definitions make.
pub(crate) fn resources(definitions: &[Value]) -> Vec<Arc<Resource>> {
    let mut made = Vec::new();
    for definition in definitions
        .iter()
        .filter(|one| has_condition(one, "Established"))
    {
        let group = text(definition, "/spec/group");
        let plural = text(definition, "/spec/names/plural");
        let kind = text(definition, "/spec/names/kind");
        let strings = |pointer: &str| -> Vec<String> {
            array(definition, pointer)
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        for version in array(definition, "/spec/versions") {
            if version.get("served") != Some(&Value::Bool(true)) {
                continue;
            }
            let served = text(version, "/name");
            let verbs =
                |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
            let mut subresources = Vec::new();
            if version.pointer("/subresources/status").is_some() {
                subresources.push(Subresource {
                    name: "status".into(),
                    group: group.into(),
                    version: served.into(),
                    kind: kind.into(),
                    verbs: verbs(&["get", "patch", "update"]),
                });
            }
            if version.pointer("/subresources/scale").is_some() {
                subresources.push(Subresource {
                    name: "scale".into(),
                    group: "autoscaling".into(),
                    version: "v1".into(),
                    kind: "Scale".into(),
                    verbs: verbs(&["get", "patch", "update"]),
                });
            }
            made.push(Arc::new(Resource {
                group: group.into(),
                version: served.into(),
                plural: plural.into(),
                singular: text(definition, "/spec/names/singular").into(),
                kind: kind.into(),
                list_kind: text(definition, "/spec/names/listKind").into(),
                short_names: strings("/spec/names/shortNames"),
                categories: strings("/spec/names/categories"),
                namespaced: text(definition, "/spec/scope") == "Namespaced",
                verbs: verbs(&[
                    "delete",
                    "deletecollection",
                    "get",
                    "list",
                    "patch",
                    "create",
                    "update",
                    "watch",
                ]),
                subresources,
                storage: crate::status::qualified(plural, group),
                custom: Some(compile(version)),
                definition: None,
            }));
        }
    }
    made
}

/// Fills in what a definition may leave out.
pub(crate) fn default(definition: &mut Value) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    set_default(
        definition,
        &["spec", "names", "singular"],
        json!(kind.to_lowercase()),
    );
    set_default(
        definition,
        &["spec", "names", "listKind"],
        json!(format!("{kind}List")),
    );
    set_default(
        definition,
        &["spec", "conversion", "strategy"],
        json!("None"),
    );
}

/// Sets the conditions and names that a definition's status shows: there is no
/// delay between acceptance and service here, so both come with the write.
pub(crate) fn establish(definition: &mut Value, others: &[Value], now: &str) {
    let names = definition
        .pointer("/spec/names")
        .cloned()
        .unwrap_or_default();
    let group = text(definition, "/spec/group").to_owned();
    let clash = others.iter().find(|other| {
        name(other) != name(definition)
            && text(other, "/spec/group") == group
            && has_condition(other, "NamesAccepted")
            && (text(other, "/spec/names/kind") == text(&names, "/kind")
                || text(other, "/spec/names/listKind") == text(&names, "/listKind"))
    });
    if let Some(other) = clash {
        let message = format!("{:?} is already in use", text(&names, "/kind"));
        tracing::debug!(other = name(other), "a definition's names conflict");
        set_condition(
            definition,
            "NamesAccepted",
            "False",
            "KindConflict",
            &message,
            now,
        );
        set_condition(
            definition,
            "Established",
            "False",
            "NotAccepted",
            "not all names are accepted",
            now,
        );
    } else {
        set_condition(
            definition,
            "NamesAccepted",
            "True",
            "NoConflicts",
            "no conflicts found",
            now,
        );
        set_condition(
            definition,
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
            now,
        );
        set(definition, &["status", "acceptedNames"], names);
    }
    let storage = array(definition, "/spec/versions")
        .iter()
        .find(|one| one.get("storage") == Some(&Value::Bool(true)))
        .map(|one| text(one, "/name").to_owned())
        .unwrap_or_default();
    let stored = child_mut(definition, "status")
        .entry("storedVersions")
        .or_insert_with(|| json!([]));
    if let Some(list) = stored.as_array_mut()
        && !list.iter().any(|one| one.as_str() == Some(&storage))
    {
        list.push(json!(storage));
    }
}

/// What is wrong with a definition.
pub(crate) fn validate(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (group, plural) = (
        text(definition, "/spec/group"),
        text(definition, "/spec/names/plural"),
    );
    for field in ["group", "scope"] {
        if text(definition, &format!("/spec/{field}")).is_empty() {
            errors.push(FieldError::required(format!("spec.{field}"), ""));
        }
    }
    for field in ["plural", "kind"] {
        if text(definition, &format!("/spec/names/{field}")).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    if name(definition) != format!("{plural}.{group}") {
        errors.push(FieldError::invalid(
            "metadata.name",
            json!(name(definition)),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let scope = text(definition, "/spec/scope");
    if !matches!(scope, "" | "Namespaced" | "Cluster") {
        errors.push(FieldError::not_supported(
            "spec.scope",
            json!(scope),
            &["Cluster", "Namespaced"],
        ));
    }
    let versions = array(definition, "/spec/versions");
    let storing = versions
        .iter()
        .filter(|one| one.get("storage") == Some(&Value::Bool(true)))
        .count();
    if storing != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            definition
                .pointer("/spec/versions")
                .cloned()
                .unwrap_or_default(),
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None => errors.push(FieldError::required(path, "schemas are required")),
            Some(schema) => {
                errors.extend(catalyst_schema::structural_problems(schema, &path));
                if let Err(error) = Schema::custom_resource(schema, schema_set()) {
                    errors.push(FieldError::invalid(path, json!(""), error.to_string()));
                }
            }
        }
    }
    errors
}
