//! JSON merge patch (RFC 7386) and JSON patch (RFC 6902), bounded, with the
//! words Kubernetes uses when they fail.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

/// Kubernetes takes no longer patches.
const MAX_OPERATIONS: usize = 10_000;
/// What `copy` operations may add in all: a request's size. Without it a few
/// dozen doublings fill the memory.
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// Why a patch was refused.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// Not a patch document (400).
    #[error("error decoding patch: {0}")]
    Malformed(String),
    /// More operations than Kubernetes allows (413).
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
    /// The patch does not fit the object (422); nothing was changed.
    #[error("{0}")]
    DoesNotApply(String),
}

/// Merges a patch into a value: null removes, objects merge, all else replaces.
pub fn json_merge_patch(original: &Value, patch: &Value) -> Value {
    let mut out = original.clone();
    json_patch::merge(&mut out, patch);
    out
}

/// Applies the operations in order, all or none.
pub fn json_patch(original: &Value, patch: &Value) -> Result<Value, PatchError> {
    let count = match patch {
        Value::Array(operations) => operations.len(),
        _ => {
            return Err(PatchError::Malformed(
                "a JSON patch is a list of operations".into(),
            ));
        }
    };
    if count > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations(count));
    }
    let Patch(operations) = Patch::deserialize_from(patch)?;
    let mut out = original.clone();
    let mut copied = 0;
    for operation in operations {
        if let PatchOperation::Copy(copy) = &operation {
            copied += out.pointer(copy.from.as_str()).map_or(0, size);
            if copied > MAX_COPIED {
                return Err(PatchError::DoesNotApply(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {MAX_COPIED}"
                )));
            }
        }
        let words = describe(&operation, &out);
        let one = [operation];
        if json_patch::patch(&mut out, &one).is_err() {
            return Err(PatchError::DoesNotApply(words));
        }
    }
    Ok(out)
}

trait Deserialize: Sized {
    fn deserialize_from(value: &Value) -> Result<Self, PatchError>;
}

impl Deserialize for Patch {
    fn deserialize_from(value: &Value) -> Result<Self, PatchError> {
        serde_json::from_value(value.clone())
            .map_err(|error| PatchError::Malformed(error.to_string()))
    }
}

/// The failure this operation would have, in the words of the Go library that
/// Kubernetes uses.
fn describe(operation: &PatchOperation, document: &Value) -> String {
    let parent_is_missing = |path: &str| {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        document.pointer(parent).is_none()
    };
    let missing = |verb: &str, path: &str| {
        let what = if parent_is_missing(path) || verb == "add" {
            "path"
        } else {
            "key"
        };
        format!("{verb} operation does not apply: doc is missing {what}: {path}: missing value")
    };
    match operation {
        PatchOperation::Add(add) => missing("add", add.path.as_str()),
        PatchOperation::Replace(replace) => missing("replace", replace.path.as_str()),
        PatchOperation::Remove(remove) => {
            let path = remove.path.as_str();
            if parent_is_missing(path) {
                missing("remove", path)
            } else {
                let key = path.rsplit('/').next().unwrap_or_default();
                format!(
                    "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
                )
            }
        }
        PatchOperation::Move(action) => missing("move", action.from.as_str()),
        PatchOperation::Copy(action) => missing("copy", action.from.as_str()),
        PatchOperation::Test(test) => {
            format!("testing value {} failed: test failed", test.path.as_str())
        }
    }
}

/// Roughly the bytes a value takes as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(map) => {
            2 + map
                .iter()
                .map(|(key, value)| key.len() + 4 + size(value))
                .sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_apply_in_order_or_not_at_all() {
        let original = json!({"a": {"b": 1}});
        let patch = json!([
            {"op": "test", "path": "/a/b", "value": 1},
            {"op": "add", "path": "/a/c", "value": [1]},
            {"op": "add", "path": "/a/c/-", "value": 2},
            {"op": "remove", "path": "/a/b"}
        ]);
        assert_eq!(
            json_patch(&original, &patch).unwrap(),
            json!({"a": {"c": [1, 2]}})
        );
    }

    #[test]
    fn failures_read_as_kubernetes() {
        let cases = [
            (
                json!([{"op": "add", "path": "/x/y", "value": 1}]),
                "add operation does not apply: doc is missing path: /x/y: missing value",
            ),
            (
                json!([{"op": "replace", "path": "/z", "value": 1}]),
                "replace operation does not apply: doc is missing key: /z: missing value",
            ),
            (
                json!([{"op": "remove", "path": "/z"}]),
                "error in remove for path: '/z': Unable to remove nonexistent key: z: missing value",
            ),
            (
                json!([{"op": "test", "path": "/a", "value": 2}]),
                "testing value /a failed: test failed",
            ),
        ];
        for (patch, expected) in cases {
            let error = json_patch(&json!({"a": 1}), &patch).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn hostile_patches_are_bounded() {
        let mut doubling =
            vec![json!({"op": "add", "path": "/a", "value": {"x": "y".repeat(1024)}})];
        for step in 0..40 {
            doubling.push(json!({"op": "copy", "from": "/a", "path": format!("/a/n{step}")}));
        }
        let error = json_patch(&json!({}), &Value::Array(doubling)).unwrap_err();
        assert!(
            error.to_string().starts_with("Unable to complete the copy"),
            "{error}"
        );

        let many = vec![json!({"op": "test", "path": "", "value": {}}); MAX_OPERATIONS + 1];
        assert!(matches!(
            json_patch(&json!({}), &Value::Array(many)),
            Err(PatchError::TooManyOperations(10_001))
        ));
        assert!(matches!(
            json_patch(&json!({}), &json!({"op": "add"})),
            Err(PatchError::Malformed(_))
        ));
    }

    #[test]
    fn merge_patch_removes_by_null() {
        let original = json!({"a": 1, "b": {"c": 2, "d": 3}, "l": [1]});
        let patch = json!({"a": null, "b": {"c": null}, "l": [2], "n": {"x": null}});
        assert_eq!(
            json_merge_patch(&original, &patch),
            json!({"b": {"d": 3}, "l": [2], "n": {}})
        );
    }
}
