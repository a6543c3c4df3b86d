//! Reading Kubernetes objects that are JSON values.

use serde_json::Value;

/// A string by JSON pointer; empty when it is not there.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A list by JSON pointer; empty when it is not there.
pub fn array<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The object's name.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The object's namespace; empty for cluster-wide kinds.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// A label or nothing.
pub fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    entry(object, "labels", key)
}

/// An annotation or nothing.
pub fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    entry(object, "annotations", key)
}

fn entry<'a>(object: &'a Value, map: &str, key: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(map))
        .and_then(|map| map.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether somebody asked for the object's deletion.
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// What `metadata.generation` says; 0 for kinds without.
pub fn generation(object: &Value) -> i64 {
    object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0)
}

/// Whether the object carries a finalizer.
pub fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    array(object, "/metadata/finalizers")
        .iter()
        .any(|one| one.as_str() == Some(finalizer))
}

/// The condition of a type, if the object has it.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    array(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
}
