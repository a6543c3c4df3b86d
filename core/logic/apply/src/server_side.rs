//! Server-side apply, and the ownership that every other write leaves behind.
//!
//! The rules are those of Kubernetes' structured merge: a manager owns what it
//! last applied; applying less gives up the rest, which disappears when nobody
//! else owns it; changing what another owns is a conflict unless forced; any
//! other write silently takes what it changes.

use std::collections::BTreeMap;
use std::fmt;

use catalyst_schema::Schema;
use serde_json::{Value, json};

use crate::fields::{FieldPath, FieldSet};
use crate::managed::{
    ManagedFieldsError, ManagerEntry, OperationKind, cap_updates, decode, encode, is_reset, strip,
};
use crate::shape::Node;
use crate::walk::{compare, field_set, merge, remove, typing_problems, with_named_fields};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// The field manager; empty means `unknown`.
    pub manager: &'a str,
    /// Group and version written in, such as `apps/v1`.
    pub api_version: &'a str,
    /// The subresource written to, such as `status`; empty for the object.
    pub subresource: &'a str,
    /// Now, in RFC 3339 with seconds.
    pub time: &'a str,
    /// Fields this endpoint does not write and nobody comes to own through it:
    /// `status` for the object itself, `spec` for its status.
    pub ignored: Option<&'a FieldSet>,
}

impl Operation<'_> {
    fn entry(&self, operation: OperationKind) -> ManagerEntry {
        ManagerEntry {
            manager: if self.manager.is_empty() {
                "unknown".into()
            } else {
                self.manager.into()
            },
            operation,
            api_version: self.api_version.into(),
            subresource: self.subresource.into(),
            time: None,
            fields: FieldSet::new(),
        }
    }

    fn without_ignored(&self, set: FieldSet) -> FieldSet {
        match self.ignored {
            Some(ignored) => set.recursive_difference(ignored),
            None => set,
        }
    }
}

/// A field that another manager owns and an apply would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner's name.
    pub manager: String,
    /// How the owner came to own it.
    pub operation: OperationKind,
    /// The version the owner wrote in.
    pub api_version: String,
    /// The subresource the owner wrote to; empty for the object.
    pub subresource: String,
    /// The field.
    pub path: FieldPath,
}

impl Conflict {
    fn owner(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == OperationKind::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }

    /// The message of the status cause for this conflict
    /// (type `FieldManagerConflict`, field: the path).
    pub fn cause_message(&self) -> String {
        format!("conflict with {}", self.owner())
    }
}

/// All conflicts of an apply; prints as Kubernetes' message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(
                f,
                "Apply failed with 1 conflict: conflict with {}: {}",
                only.owner(),
                only.path
            );
        }
        let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for conflict in &self.0 {
            let paths = owners.entry(conflict.owner()).or_default();
            paths.push(conflict.path.to_string());
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut lines = Vec::new();
        for (owner, paths) in owners {
            lines.push(format!("conflicts with {owner}:"));
            lines.extend(paths.into_iter().map(|path| format!("- {path}")));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Why an apply was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others own what it would change (409).
    #[error("{0}")]
    Conflicts(Conflicts),
    /// The request itself is wrong (400).
    #[error("{0}")]
    BadRequest(String),
    /// The configuration does not fit the schema.
    #[error("failed to create typed patch object ({object}): {problems}")]
    Untyped {
        /// Namespace, name and kind.
        object: String,
        /// What does not fit, as Kubernetes lists it.
        problems: String,
    },
    /// The live object's ownership is unreadable.
    #[error("failed to decode managed fields")]
    ManagedFields(#[from] ManagedFieldsError),
}

/// The owners recorded in an object.
pub fn managers(object: &Value) -> Result<Vec<ManagerEntry>, ManagedFieldsError> {
    decode(object)
}

/// Applies a configuration to the live object, or creates one.
///
/// Returns the new object with its `managedFields`; it equals the live object
/// when nothing changed. Defaulting, validation and the fields the server owns
/// (uid, resourceVersion) are the caller's.
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    operation: &Operation<'_>,
    force: bool,
    schema: Option<&Schema>,
) -> Result<Value, ApplyError> {
    let node = schema.map(Schema::root);
    check_request(applied, operation, node)?;
    let empty = json!({});
    let before = live.unwrap_or(&empty);
    let mut entries = decode(before)?;
    let mut clean = before.clone();
    strip(&mut clean);
    let mut configuration = applied.clone();
    strip(&mut configuration);

    let merged = merge(&clean, &configuration, node);
    let mut own = operation.entry(OperationKind::Apply);
    own.fields = operation.without_ignored(field_set(&configuration, node));
    let mut last = FieldSet::new();
    if let Some(index) = entries.iter().position(|entry| entry.is_same_manager(&own)) {
        let previous = entries.remove(index);
        last = previous.fields;
        own.time = previous.time;
    }
    let mut after = prune(&merged, &last, &entries, &own.fields, node);

    let comparison = compare(&clean, &after, node);
    let comparison = match operation.ignored {
        Some(ignored) => comparison.without(ignored),
        None => comparison,
    };
    let changed = comparison.modified.union(&comparison.added);
    if !force {
        let conflicts = conflicts(&entries, &changed, &own, &clean, node);
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(Conflicts(conflicts)));
        }
    }
    take_over(&mut entries, &changed, &comparison.removed);

    own.fields = own.fields.difference(&server_fields());
    if live.is_none() || after != clean {
        own.time = Some(operation.time.to_owned());
    }
    if !own.fields.is_empty() {
        entries.push(own);
    }
    if operation.manager == "kubectl" {
        refresh_last_applied(&mut after, &configuration);
    }
    encode(&mut after, entries);
    Ok(after)
}

fn check_request(
    applied: &Value,
    operation: &Operation<'_>,
    node: Node<'_>,
) -> Result<(), ApplyError> {
    let text = |pointer: &str| {
        applied
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if !applied.is_object() {
        return Err(ApplyError::BadRequest(
            "the applied configuration must be an object".into(),
        ));
    }
    let version = text("/apiVersion");
    if version != operation.api_version {
        return Err(ApplyError::BadRequest(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            operation.api_version
        )));
    }
    if applied
        .pointer("/metadata/managedFields")
        .is_some_and(|value| !value.is_null())
    {
        return Err(ApplyError::BadRequest(
            "metadata.managedFields must be nil".into(),
        ));
    }
    let problems = typing_problems(applied, node);
    let problems = match problems.as_slice() {
        [] => return Ok(()),
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let version = if version.contains('/') {
        version.to_owned()
    } else {
        format!("/{version}")
    };
    Err(ApplyError::Untyped {
        object: format!(
            "{}/{}; {version}, Kind={}",
            text("/metadata/namespace"),
            text("/metadata/name"),
            text("/kind")
        ),
        problems,
    })
}

/// Removes what this manager applied last time, no longer applies, and nobody
/// else owns.
fn prune(
    merged: &Value,
    last: &FieldSet,
    others: &[ManagerEntry],
    own: &FieldSet,
    node: Node<'_>,
) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let nothing = || json!({});
    let named = |set: &FieldSet| with_named_fields(set, node);
    let all = named(&field_set(merged, node));
    let last = named(last);
    let mut owned = own.clone();
    for entry in others {
        owned.absorb(&entry.fields);
    }
    // Take out all of the last configuration, then put back what has an owner,
    // then what was not part of it but sat inside.
    let bare = remove(merged, &last, node).unwrap_or_else(nothing);
    let keep = named(&field_set(&bare, node)).union(&named(&owned));
    let with_owned = remove(merged, &all.difference(&keep), node).unwrap_or_else(nothing);
    let kept = named(&field_set(&with_owned, node));
    let drop = all.difference(&kept).intersection(&last);
    remove(merged, &drop, node).unwrap_or_else(nothing)
}

fn conflicts(
    entries: &[ManagerEntry],
    changed: &FieldSet,
    own: &ManagerEntry,
    live: &Value,
    node: Node<'_>,
) -> Vec<Conflict> {
    // kubectl may take from itself what its client-side apply wrote.
    let allowed = if own.manager == "kubectl" {
        last_applied_fields(live, node)
    } else {
        FieldSet::new()
    };
    let mut out = Vec::new();
    for entry in entries {
        let set = entry.fields.intersection(changed).difference(&allowed);
        out.extend(set.paths().into_iter().map(|path| Conflict {
            manager: entry.manager.clone(),
            operation: entry.operation,
            api_version: entry.api_version.clone(),
            subresource: entry.subresource.clone(),
            path,
        }));
    }
    out.sort_by(|a, b| (&a.manager, a.operation).cmp(&(&b.manager, b.operation)));
    out
}

/// Takes changed and removed fields from everyone; managers left with nothing go.
fn take_over(entries: &mut Vec<ManagerEntry>, changed: &FieldSet, removed: &FieldSet) {
    for entry in entries.iter_mut() {
        entry.fields = entry.fields.difference(changed).difference(removed);
    }
    entries.retain(|entry| !entry.fields.is_empty());
}

/// Fields that identify an object or belong to the server; nobody owns them.
fn server_fields() -> FieldSet {
    FieldSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

fn last_applied(object: &Value) -> Option<&str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()
        .filter(|text| !text.is_empty())
}

/// What client-side apply wrote and nobody has changed since.
fn last_applied_fields(live: &Value, node: Node<'_>) -> FieldSet {
    let Some(configuration) =
        last_applied(live).and_then(|text| serde_json::from_str::<Value>(text).ok())
    else {
        return FieldSet::new();
    };
    let since = compare(&configuration, live, node);
    field_set(&configuration, node)
        .difference(&since.modified)
        .difference(&since.added)
        .difference(&since.removed)
}

/// Keeps the annotation of client-side apply true where an object still has it.
fn refresh_last_applied(object: &mut Value, configuration: &Value) {
    if last_applied(object).is_none() {
        return;
    }
    let mut plain = configuration.clone();
    if let Some(metadata) = plain.get_mut("metadata").and_then(Value::as_object_mut) {
        let emptied = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
            .is_some_and(|annotations| {
                annotations.remove(LAST_APPLIED).is_some() && annotations.is_empty()
            });
        if emptied {
            metadata.remove("annotations");
        }
    }
    if let Some(annotation) = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(|annotations| annotations.get_mut(LAST_APPLIED))
    {
        *annotation = Value::String(format!("{plain}\n"));
    }
}

/// Records what a create, update or patch changed. `after` is the object about
/// to be stored; its `managedFields` may have been edited or cleared by the
/// client, as Kubernetes allows outside subresources.
pub fn update_managed_fields(
    before: Option<&Value>,
    after: &mut Value,
    operation: &Operation<'_>,
    schema: Option<&Schema>,
) {
    let node = schema.map(Schema::root);
    let empty = json!({});
    let before = before.unwrap_or(&empty);
    let from_live = || decode(before).unwrap_or_default();
    let mut entries = if !operation.subresource.is_empty() {
        from_live()
    } else if is_reset(after) {
        Vec::new()
    } else {
        match decode(after) {
            Ok(entries) if !entries.is_empty() => entries,
            _ => from_live(),
        }
    };
    strip(after);
    let mut clean = before.clone();
    strip(&mut clean);

    let comparison = compare(&clean, after, node);
    let comparison = match operation.ignored {
        Some(ignored) => comparison.without(ignored),
        None => comparison,
    };
    let changed = comparison.modified.union(&comparison.added);
    let mut own = operation.entry(OperationKind::Update);
    take_over(&mut entries, &changed, &comparison.removed);
    own.fields = changed.difference(&server_fields());
    if !own.fields.is_empty() {
        if let Some(index) = entries.iter().position(|entry| entry.is_same_manager(&own)) {
            let previous = entries.remove(index);
            own.fields.absorb(&previous.fields);
        }
        own.time = Some(operation.time.to_owned());
        entries.push(own);
    }
    cap_updates(&mut entries);
    encode(after, entries);
}
