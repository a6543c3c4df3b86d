//! Reading and changing objects that are plain JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The text at a pointer; "" where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The text at a pointer, unless empty.
pub fn some_text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    Some(text(value, pointer)).filter(|text| !text.is_empty())
}

pub fn integer(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

pub fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of the map at a pointer, by key; what is no text is left out.
pub fn texts(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    value
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The value's map; makes it one where it is something else.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        // Made an object just above.
        _ => unreachable!(),
    }
}

/// Sets a field below maps that are made where they lack.
pub fn set(value: &mut Value, path: &[&str], field: Value) {
    match path {
        [] => *value = field,
        [first, rest @ ..] => {
            let inner = as_map(value)
                .entry((*first).to_owned())
                .or_insert(Value::Null);
            set(inner, rest, field);
        }
    }
}

/// Removes a field; nothing where it is not there.
pub fn unset(value: &mut Value, path: &[&str]) {
    match path {
        [] => {}
        [last] => {
            if let Value::Object(map) = value {
                map.remove(*last);
            }
        }
        [first, rest @ ..] => {
            if let Some(inner) = value.get_mut(*first) {
                unset(inner, rest);
            }
        }
    }
}

/// What turns `before` into `after` as a JSON merge patch; `None` when they
/// are alike.
pub fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(left), Value::Object(right)) = (before, after) else {
        return Some(after.clone());
    };
    let mut patch = Map::new();
    for (key, value) in right {
        match left.get(key) {
            Some(old) => {
                if let Some(inner) = merge_patch(old, value) {
                    patch.insert(key.clone(), inner);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in left.keys().filter(|key| !right.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

/// Puts `over` onto `into`: maps merge, everything else replaces.
pub fn merge(into: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (into.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(other)) => merge(inner, other),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// `apiVersion` cut into group and version.
pub fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// `Kind/namespace/name` for people.
pub fn describe(object: &Value) -> String {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    match text(object, "/metadata/namespace") {
        "" => format!("{kind}/{name}"),
        namespace => format!("{kind}/{namespace}/{name}"),
    }
}

/// The time as Kubernetes writes it.
pub fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// `sha256:<hex>` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// A Go duration (`1h30m`, `500ms`).
pub fn duration(text: &str) -> Option<std::time::Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|at| *at > 0)?;
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let (unit, after) = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
            .iter()
            .find_map(|(name, unit)| Some((*unit, after.strip_prefix(name)?)))?;
        seconds += number * unit;
        rest = after;
    }
    std::time::Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("1m", Some(60_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1.5s", Some(1_500)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5x", None),
        ] {
            assert_eq!(
                duration(text).map(|found| found.as_millis()),
                millis,
                "{text}"
            );
        }
    }

    #[test]
    fn a_merge_patch_leads_from_one_to_the_other() {
        for (before, after) in [
            (json!({"a": 1}), json!({"a": 2})),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1}})),
            (json!({"a": [1]}), json!({"a": [1, 2], "b": {}})),
            (json!({"a": 1}), json!({})),
        ] {
            let patch = merge_patch(&before, &after).unwrap();
            let mut out = before.clone();
            apply(&mut out, &patch);
            assert_eq!(out, after);
        }
        assert_eq!(merge_patch(&json!({"a": 1}), &json!({"a": 1})), None);
    }

    fn apply(into: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *into = patch.clone();
            return;
        };
        as_map(into);
        for (key, value) in patch {
            if value.is_null() {
                as_map(into).remove(key);
            } else {
                apply(
                    as_map(into).entry(key.clone()).or_insert(Value::Null),
                    value,
                );
            }
        }
    }
}
