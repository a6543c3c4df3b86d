//! Reading Kubernetes objects, without panics and without ceremony.

use serde_json::Value;

/// A text; empty when it is not there.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A number; 0 when it is not there.
pub fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// A list; empty when it is not there.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The condition of that type.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
}

/// Whether an object's controller has seen its newest generation.
pub fn is_observed(object: &Value) -> bool {
    let generation = number(object, "/metadata/generation");
    match object.pointer("/status/observedGeneration") {
        Some(observed) => observed.as_i64().is_some_and(|seen| seen >= generation),
        None => generation == 0,
    }
}

/// Whether an object is being deleted.
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// The commit of a Flux revision, `main@sha1:…`; the text itself otherwise.
pub fn commit_of_revision(revision: &str) -> Option<String> {
    let commit = revision.rsplit([':', '/']).next().unwrap_or(revision);
    (!commit.is_empty()).then(|| commit.to_owned())
}

/// RFC 3339 in UTC with milliseconds.
pub fn shown_time(time: jiff::Timestamp) -> String {
    format!("{time:.3}")
}
