//! Strategic merge patch: a merge patch that knows from the schema which lists
//! are merged by key, and takes directives (`$patch`, `$retainKeys`,
//! `$setElementOrder/…`, `$deleteFromPrimitiveList/…`).
//!
//! Only built-in kinds have what it needs; the API refuses it for custom ones.

use std::collections::HashSet;

use catalyst_schema::{Schema, SchemaNode};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

/// Why a strategic merge patch was refused; nothing was changed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum StrategicError {
    /// The patch is not an object.
    #[error("invalid JSON document")]
    NotAnObject,
    /// `$patch` says something unknown.
    #[error("unknown patch type: {directive} in map: {entry}")]
    UnknownDirective {
        /// What it says.
        directive: String,
        /// The map it stands in, as Go prints it.
        entry: String,
    },
    /// A directive has the wrong form.
    #[error("{0}")]
    BadDirective(String),
    /// An entry of a keyed list lacks its key.
    #[error("map: {entry} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The entry, as Go prints it.
        entry: String,
        /// The key it lacks.
        key: String,
    },
    /// A list is to be merged but its schema names no key.
    #[error("cannot merge lists without merge key for {0}")]
    UnkeyedList(String),
}

/// Applies a patch to an object of a built-in kind.
pub fn strategic_merge_patch(
    original: &Value,
    patch: &Value,
    schema: &Schema,
) -> Result<Value, StrategicError> {
    let (Value::Object(original), Value::Object(patch)) = (original, patch) else {
        return Err(StrategicError::NotAnObject);
    };
    let merged = merge_map(original.clone(), patch.clone(), Some(schema.root()))?;
    Ok(Value::Object(merged))
}

type Object = Map<String, Value>;
type Node<'a> = Option<SchemaNode<'a>>;

fn merge_map(
    mut original: Object,
    mut patch: Object,
    node: Node<'_>,
) -> Result<Object, StrategicError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => match decoded(Value::Object(patch)) {
                Value::Object(patch) => Ok(patch),
                _ => Ok(Object::new()),
            },
            Some("delete") => Ok(Object::new()),
            _ => {
                patch.insert(DIRECTIVE.into(), directive.clone());
                Err(unknown_directive(&directive, &Value::Object(patch)))
            }
        };
    }
    retain_keys(&mut original, &mut patch)?;
    ordered_lists(&mut original, &mut patch, node)?;
    for (name, value) in patch {
        let (key, is_deletion) = match name.strip_prefix(DELETE_PREFIX) {
            Some(key) => (key, true),
            None => (name.as_str(), false),
        };
        if value.is_null() {
            original.remove(key);
            continue;
        }
        let child = node.and_then(|node| node.field(key));
        match original.remove(key) {
            None => {
                if !is_deletion && let Some(value) = without_directives(value) {
                    original.insert(key.to_owned(), value);
                }
            }
            Some(old) => {
                if let Some(merged) = merge_value(old, value, child, key, is_deletion)? {
                    original.insert(key.to_owned(), merged);
                }
            }
        }
    }
    Ok(original)
}

fn merge_value(
    old: Value,
    new: Value,
    node: Node<'_>,
    name: &str,
    is_deletion: bool,
) -> Result<Option<Value>, StrategicError> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !is_deletion => {
            if node.is_some_and(|node| node.has_patch_strategy("replace")) {
                return Ok(Some(decoded(Value::Object(new))));
            }
            merge_map(old, new, node).map(|map| Some(Value::Object(map)))
        }
        (Value::Array(old), Value::Array(new)) => {
            merge_list(old, new, node, name, is_deletion).map(|list| Some(Value::Array(list)))
        }
        (old, _) if is_deletion => Ok(Some(old)),
        (_, new) => Ok(without_directives(new)),
    }
}

fn unknown_directive(directive: &Value, entry: &Value) -> StrategicError {
    StrategicError::UnknownDirective {
        directive: go_print(directive),
        entry: go_print(entry),
    }
}

/// A value as Go's `%v` prints it, which is what Kubernetes' messages show.
fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(go_print).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let sorted: std::collections::BTreeMap<&String, &Value> = map.iter().collect();
            let items: Vec<String> = sorted
                .iter()
                .map(|(key, value)| format!("{key}:{}", go_print(value)))
                .collect();
            format!("map[{}]", items.join(" "))
        }
        scalar => scalar.to_string(),
    }
}

/// What a patch leaves where there was nothing: itself without its nulls and
/// without any map that is a directive.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter()
                .filter(|(name, value)| !is_directive(name) && !value.is_null())
                .filter_map(|(name, value)| Some((name, without_directives(value)?)))
                .collect(),
        )),
        Value::Array(list) => Some(Value::Array(
            list.into_iter().filter_map(without_directives).collect(),
        )),
        scalar => Some(scalar),
    }
}

/// What a list entry taken over as it is leaves: Kubernetes keeps its maps and
/// loses directives and nulls when it decodes the result.
fn decoded(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(name, value)| !is_directive(name) && !value.is_null())
                .map(|(name, value)| (name, decoded(value)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(decoded).collect()),
        scalar => scalar,
    }
}

fn is_directive(name: &str) -> bool {
    name == DIRECTIVE
        || name == RETAIN_KEYS
        || name.starts_with(DELETE_PREFIX)
        || name.starts_with(ORDER_PREFIX)
}

/// `$retainKeys` lists the fields a union may keep; the rest of the live object
/// goes. What the patch sets must be among them.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), StrategicError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let bad = || StrategicError::BadDirective("invalid patch format of retainKeys".into());
    let keys = keys.as_array().ok_or_else(bad)?;
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    for (name, value) in patch.iter() {
        let directive = name.starts_with(DELETE_PREFIX) || name.starts_with(ORDER_PREFIX);
        if !directive && !value.is_null() && !keys.contains(name.as_str()) {
            return Err(bad());
        }
    }
    original.retain(|name, _| keys.contains(name.as_str()));
    Ok(())
}

/// Merges the lists whose order the patch states with `$setElementOrder/…`.
fn ordered_lists(
    original: &mut Object,
    patch: &mut Object,
    node: Node<'_>,
) -> Result<(), StrategicError> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|name| name.starts_with(ORDER_PREFIX))
        .cloned()
        .collect();
    for directive in directives {
        let key = directive
            .strip_prefix(ORDER_PREFIX)
            .unwrap_or_default()
            .to_owned();
        let Some(Value::Array(order)) = patch.remove(&directive) else {
            return Err(StrategicError::BadDirective(
                "invalid patch format of setElementOrder list".into(),
            ));
        };
        let child = node.and_then(|node| node.field(&key));
        let merge_key = child.and_then(SchemaNode::merge_key);
        let changes = match patch.remove(&key) {
            None => None,
            Some(Value::Array(list)) => Some(list),
            Some(other) => {
                // Not a list after all: leave it to the ordinary merge.
                patch.insert(key, other);
                continue;
            }
        };
        if let Some(changes) = &changes {
            check_order(changes, &order, merge_key)?;
        }
        let live = match original.remove(&key) {
            Some(Value::Array(list)) => Some(list),
            _ => None,
        };
        let merged = match (live.clone(), changes) {
            (None, None) => continue,
            (Some(live), None) => live,
            (None, Some(changes)) => match without_directives(Value::Array(changes)) {
                Some(Value::Array(list)) => list,
                _ => Vec::new(),
            },
            (Some(live), Some(changes)) => merge_list(live, changes, child, &key, false)?,
        };
        let list = arrange(merged, &order, &live.unwrap_or_default(), merge_key);
        original.insert(key, Value::Array(list));
    }
    Ok(())
}

/// Every entry a patch sets must stand in the order list, in the same order.
fn check_order(
    changes: &[Value],
    order: &[Value],
    merge_key: Option<&str>,
) -> Result<(), StrategicError> {
    let mut rest = order.iter();
    for item in changes {
        if item.get(DIRECTIVE).is_some() {
            continue;
        }
        if !rest.any(|entry| is_same(entry, item, merge_key)) {
            return Err(StrategicError::BadDirective(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                go_print(&Value::Array(changes.to_vec())),
                go_print(&Value::Array(order.to_vec())),
            )));
        }
    }
    Ok(())
}

fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    node: Node<'_>,
    name: &str,
    is_deletion: bool,
) -> Result<Vec<Value>, StrategicError> {
    if is_deletion {
        let mut kept = original;
        kept.retain(|item| !patch.contains(item));
        return Ok(kept);
    }
    if !node.is_some_and(|node| node.has_patch_strategy("merge")) {
        return Ok(patch.into_iter().map(decoded).collect());
    }
    let has_objects = original.iter().chain(&patch).any(Value::is_object);
    if !has_objects {
        let mut merged: Vec<Value> = Vec::new();
        for item in original.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(arrange(merged, &patch, &original, None));
    }
    let Some(key) = node.and_then(SchemaNode::merge_key) else {
        return Err(StrategicError::UnkeyedList(name.to_owned()));
    };
    let (kept, changes) = special_entries(original.clone(), patch, key)?;
    let items = node.and_then(SchemaNode::items);
    let mut merged = kept;
    for item in &changes {
        require_key(item, key)?;
        let index = merged.iter().position(|old| is_same(old, item, Some(key)));
        match (index.and_then(|index| merged.get_mut(index)), item) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                *old = merge_map(std::mem::take(old), new.clone(), items)?;
            }
            _ => merged.push(decoded(item.clone())),
        }
    }
    Ok(arrange(merged, &changes, &original, Some(key)))
}

fn require_key<'a>(item: &'a Value, key: &str) -> Result<&'a Value, StrategicError> {
    item.get(key).ok_or_else(|| StrategicError::NoMergeKey {
        entry: go_print(item),
        key: key.to_owned(),
    })
}

/// Carries out the entries that are directives; the rest is left to merge.
fn special_entries(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    let mut changes = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        match item
            .get(DIRECTIVE)
            .map(|word| word.as_str().unwrap_or_default())
        {
            None => changes.push(item),
            Some("delete") => {
                require_key(&item, key)?;
                original.retain(|old| !is_same(old, &item, Some(key)));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(StrategicError::BadDirective(
                    "merging lists cannot yet be specified in the patch".into(),
                ));
            }
            Some(other) => return Err(unknown_directive(&other.into(), &item)),
        }
    }
    if replace {
        original.clear();
    }
    Ok((original, changes))
}

fn is_same(left: &Value, right: &Value, merge_key: Option<&str>) -> bool {
    match merge_key {
        Some(key) if left.is_object() || right.is_object() => {
            left.get(key).is_some() && left.get(key) == right.get(key)
        }
        _ => left == right,
    }
}

/// Puts a merged list in order: entries named by `order` follow it, the others
/// follow the live list; where both meet, an entry only the server has goes
/// first only when it stood first in the live list.
fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    live: &[Value],
    merge_key: Option<&str>,
) -> Vec<Value> {
    let position = |list: &[Value], item: &Value| {
        list.iter()
            .position(|other| is_same(other, item, merge_key))
    };
    let (mut named, mut others): (Vec<Value>, Vec<Value>) = merged
        .into_iter()
        .partition(|item| position(order, item).is_some());
    named.sort_by_key(|item| position(order, item));
    others.sort_by_key(|item| position(live, item));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    for other in others {
        while let Some(next) = named.peek() {
            let first = match (position(live, &other), position(live, next)) {
                (Some(other), Some(next)) => other < next,
                _ => false,
            };
            if first {
                break;
            }
            out.extend(named.next());
        }
        out.push(other);
    }
    out.extend(named);
    out
}
