//! `metadata.managedFields`: who owns which fields, read and written.

use serde_json::{Map, Value, json};

use crate::fields::{FieldSet, FieldSetError};

/// Ordinary updates keep at most this many entries; older ones are joined.
const MAX_UPDATE_MANAGERS: usize = 10;
const OLD_UPDATES: &str = "ancient-changes";

/// Why `managedFields` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManagedFieldsError {
    /// An entry lacks what it needs.
    #[error("reading metadata.managedFields entry {index}: {reason}")]
    Entry {
        /// Position in the list.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The fields of an entry are unreadable.
    #[error("reading metadata.managedFields entry {index}")]
    Fields {
        /// Position in the list.
        index: usize,
        /// What is wrong.
        #[source]
        source: FieldSetError,
    },
}

/// How a manager came to own its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl OperationKind {
    /// The word in an entry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagerEntry {
    /// The manager's name.
    pub manager: String,
    /// Apply or Update.
    pub operation: OperationKind,
    /// The version the fields are written in.
    pub api_version: String,
    /// The subresource written to; empty for the object itself.
    pub subresource: String,
    /// When the entry last changed (RFC 3339).
    pub time: Option<String>,
    /// The fields owned.
    pub fields: FieldSet,
}

impl ManagerEntry {
    /// Appliers are the same whatever version they write in.
    pub(crate) fn is_same_manager(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == OperationKind::Apply || self.api_version == other.api_version)
    }

    fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("manager".into(), self.manager.as_str().into());
        map.insert("operation".into(), self.operation.as_str().into());
        map.insert("apiVersion".into(), self.api_version.as_str().into());
        if let Some(time) = &self.time {
            map.insert("time".into(), time.as_str().into());
        }
        map.insert("fieldsType".into(), "FieldsV1".into());
        map.insert("fieldsV1".into(), self.fields.to_fields_v1());
        if !self.subresource.is_empty() {
            map.insert("subresource".into(), self.subresource.as_str().into());
        }
        Value::Object(map)
    }
}

/// Reads the entries of an object; none is an empty list.
pub(crate) fn decode(object: &Value) -> Result<Vec<ManagerEntry>, ManagedFieldsError> {
    let list = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let mut out: Vec<ManagerEntry> = Vec::new();
    for (index, entry) in list.into_iter().flatten().enumerate() {
        let text = |word: &str| {
            entry
                .get(word)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let fail = |reason| Err(ManagedFieldsError::Entry { index, reason });
        let operation = match text("operation").as_str() {
            "Apply" => OperationKind::Apply,
            "Update" => OperationKind::Update,
            _ => return fail("operation must be `Apply` or `Update`"),
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() {
            return fail("apiVersion must not be empty");
        }
        match text("fieldsType").as_str() {
            "FieldsV1" => {}
            "" => return fail("missing fieldsType"),
            _ => return fail("fieldsType must be FieldsV1"),
        }
        let empty = json!({});
        let fields = FieldSet::from_fields_v1(entry.get("fieldsV1").unwrap_or(&empty))
            .map_err(|source| ManagedFieldsError::Fields { index, source })?;
        out.push(ManagerEntry {
            manager: text("manager"),
            operation,
            api_version,
            subresource: text("subresource"),
            time: entry.get("time").and_then(Value::as_str).map(str::to_owned),
            fields,
        });
    }
    Ok(out)
}

/// A list that is empty, or holds one empty entry, asks for a fresh start.
pub(crate) fn is_reset(object: &Value) -> bool {
    match object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

/// Writes the entries into an object in Kubernetes' order.
pub(crate) fn encode(object: &mut Value, mut entries: Vec<ManagerEntry>) {
    strip(object);
    if entries.is_empty() {
        return;
    }
    entries.sort_by(|a, b| {
        (
            a.operation,
            &a.time,
            &a.manager,
            &a.api_version,
            &a.subresource,
        )
            .cmp(&(
                b.operation,
                &b.time,
                &b.manager,
                &b.api_version,
                &b.subresource,
            ))
    });
    let list = entries.iter().map(ManagerEntry::to_value).collect();
    if let Some(root) = object.as_object_mut()
        && let Some(metadata) = root
            .entry("metadata")
            .or_insert_with(|| json!({}))
            .as_object_mut()
    {
        metadata.insert("managedFields".into(), Value::Array(list));
    }
}

/// Removes `managedFields`, so that it never manages itself.
pub(crate) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// Joins the oldest ordinary updates of one version until few enough are left,
/// so that a manager that renames itself on every write cannot grow the object
/// for ever.
pub(crate) fn cap_updates(entries: &mut Vec<ManagerEntry>) {
    let mut updates: Vec<ManagerEntry> = Vec::new();
    entries.retain(|entry| {
        let update = entry.operation == OperationKind::Update;
        if update {
            updates.push(entry.clone());
        }
        !update
    });
    updates.sort_by(|a, b| (&a.time, &a.manager).cmp(&(&b.time, &b.manager)));
    let mut excess = updates.len().saturating_sub(MAX_UPDATE_MANAGERS);
    let mut kept: Vec<ManagerEntry> = Vec::new();
    for entry in updates {
        let older = (excess > 0)
            .then(|| {
                kept.iter_mut()
                    .find(|one| one.api_version == entry.api_version)
            })
            .flatten();
        match older {
            Some(bucket) => {
                bucket.manager = OLD_UPDATES.into();
                bucket.subresource.clear();
                bucket.fields.absorb(&entry.fields);
                bucket.time = entry.time;
                excess -= 1;
            }
            None => kept.push(entry),
        }
    }
    entries.append(&mut kept);
}
