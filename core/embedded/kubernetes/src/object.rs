//! Reading and changing Kubernetes objects held as JSON.
//!
//! Objects come from outside, so nothing here assumes a shape: a read of a
//! missing or mistyped field gives an empty value, a write replaces what is in
//! the way.

use serde_json::{Map, Value, json};

/// The string at a JSON pointer, or "".
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The integer at a JSON pointer.
pub fn integer(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The array at a JSON pointer, or an empty one.
pub fn array<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`, "" when cluster-scoped.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `metadata.uid`.
pub fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// Whether deletion has begun.
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> Vec<String> {
    array(object, "/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Replaces `metadata.finalizers`; an empty list removes the field.
pub fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        metadata_mut(object).remove("finalizers");
    } else {
        metadata_mut(object).insert("finalizers".into(), json!(finalizers));
    }
}

/// `value` as a map, made one if it is not.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object just above"),
    }
}

/// The map under `field`, made if missing.
pub fn child_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    as_map(as_map(object).entry(field).or_insert_with(|| json!({})))
}

/// The metadata, made if missing.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(object, "metadata")
}

/// Sets the field at `path`, making maps on the way.
pub fn set(object: &mut Value, path: &[&str], value: Value) {
    match path {
        [] => *object = value,
        [field, rest @ ..] => {
            let child = as_map(object).entry(*field).or_insert(Value::Null);
            set(child, rest, value);
        }
    }
}

/// Sets the field unless it is there already.
pub fn set_default(object: &mut Value, path: &[&str], value: Value) {
    let pointer: String = path.iter().map(|field| format!("/{field}")).collect();
    if object.pointer(&pointer).is_none_or(Value::is_null) {
        set(object, path, value);
    }
}

/// Sets `status.conditions[type]`, keeping the transition time unless the
/// status changes. Returns whether anything changed.
pub fn set_condition(
    object: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) -> bool {
    let conditions = child_mut(object, "status")
        .entry("conditions")
        .or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else {
        return false;
    };
    let mut fresh = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    if let Some(existing) = list.iter_mut().find(|one| text(one, "/type") == kind) {
        if text(existing, "/status") == status {
            if text(existing, "/reason") == reason && text(existing, "/message") == message {
                return false;
            }
            set(
                &mut fresh,
                &["lastTransitionTime"],
                existing
                    .pointer("/lastTransitionTime")
                    .cloned()
                    .unwrap_or(json!(now)),
            );
        }
        *existing = fresh;
    } else {
        list.push(fresh);
    }
    true
}

/// Whether `status.conditions` holds `kind` with status `True`.
pub fn has_condition(object: &Value, kind: &str) -> bool {
    array(object, "/status/conditions")
        .iter()
        .any(|one| text(one, "/type") == kind && text(one, "/status") == "True")
}
