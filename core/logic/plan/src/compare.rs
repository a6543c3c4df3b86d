//! Two states of an object, or of a file, and what differs for a reader.
//!
//! What must stay true: only what we set counts, so what a server fills in is
//! no change; a Secret's values are compared but never shown.

use catalyst_api::{PlannedAction, PlannedObject};
use catalyst_apply::{diff, render_changes};
use serde_json::{Map, Value, json};

/// Which object it is, across versions of its API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    group: String,
    kind: String,
    namespace: Option<String>,
    name: String,
    api_version: ApiVersion,
}

/// Carried along, but no part of what an object is.
#[derive(Debug, Clone)]
struct ApiVersion(String);

impl PartialEq for ApiVersion {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for ApiVersion {}
impl PartialOrd for ApiVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ApiVersion {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Identity {
    pub fn of(object: &Value) -> Self {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let api_version = text("/apiVersion").unwrap_or_default();
        let group = match api_version.split_once('/') {
            Some((group, _)) => group.to_owned(),
            None => String::new(),
        };
        Self {
            group,
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
            api_version: ApiVersion(api_version),
        }
    }

    pub fn planned(self, action: PlannedAction, application: &str, diff: String) -> PlannedObject {
        PlannedObject {
            action,
            application: application.to_owned(),
            api_version: self.api_version.0,
            kind: self.kind,
            namespace: self.namespace,
            name: self.name,
            made_by: None,
            size: None,
            diff,
        }
    }
}

/// What changes when `desired` is applied over `live`; empty when nothing does.
/// `previous` is what was applied before: what it set and `desired` does not is
/// taken away.
pub(crate) fn difference(live: &Value, desired: &Value, previous: Option<&Value>) -> String {
    let (live, desired) = (masked(live), masked(desired));
    let previous = previous.map(masked);
    let before = visible(&live, &desired, previous.as_ref(), "");
    render_changes(&diff(&before, &desired, None))
}

/// The part of `live` that `desired` or `previous` speaks of, in the words of
/// `desired` where both mean the same.
fn visible(live: &Value, desired: &Value, previous: Option<&Value>, parent: &str) -> Value {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            let mut out = Map::new();
            for (key, value) in live {
                let before = previous.and_then(|previous| previous.get(key));
                match (desired.get(key), before) {
                    (Some(wanted), before) => {
                        out.insert(key.clone(), visible(value, wanted, before, key));
                    }
                    // Set before, not wanted now: it will go.
                    (None, Some(before)) => {
                        out.insert(key.clone(), visible(value, before, Some(before), key));
                    }
                    (None, None) => {}
                }
            }
            Value::Object(out)
        }
        (Value::Array(live), Value::Array(desired)) => {
            let before = previous.and_then(Value::as_array);
            let items = live
                .iter()
                .enumerate()
                .filter_map(|(index, item)| {
                    let earlier = before.and_then(|list| partner(item, list, index));
                    match (partner(item, desired, index), earlier) {
                        (Some(wanted), earlier) => Some(visible(item, wanted, earlier, parent)),
                        (None, Some(earlier)) => {
                            Some(visible(item, earlier, Some(earlier), parent))
                        }
                        // A list of plain values is one value.
                        (None, None) if name_of(item).is_none() => Some(item.clone()),
                        (None, None) => None,
                    }
                })
                .collect();
            Value::Array(items)
        }
        (live, desired) if same_quantity(live, desired, parent) => desired.clone(),
        (live, _) => live.clone(),
    }
}

fn name_of(item: &Value) -> Option<&Value> {
    ["name", "mountPath", "containerPort", "port"]
        .into_iter()
        .find_map(|key| item.get(key))
}

/// The entry of a list that means the same thing: by name, else by position.
fn partner<'a>(item: &Value, list: &'a [Value], index: usize) -> Option<&'a Value> {
    match name_of(item) {
        Some(name) => list.iter().find(|other| name_of(other) == Some(name)),
        None => list.get(index),
    }
}

/// A Secret with a digest in place of every value, in `data` whatever form it
/// came in.
fn masked(object: &Value) -> Value {
    if object.get("kind") != Some(&json!("Secret")) {
        return object.clone();
    }
    let mut masked = object.clone();
    let Some(map) = masked.as_object_mut() else {
        return masked;
    };
    let mut data = Map::new();
    for (field, is_plain) in [("data", false), ("stringData", true)] {
        let Some(Value::Object(values)) = map.remove(field) else {
            continue;
        };
        for (key, value) in values {
            let text = value.as_str().unwrap_or_default();
            let plain = if is_plain {
                text.as_bytes().to_vec()
            } else {
                base64(text).unwrap_or_else(|| text.as_bytes().to_vec())
            };
            data.insert(key, json!(shown(&plain)));
        }
    }
    if !data.is_empty() {
        map.insert("data".to_owned(), Value::Object(data));
    }
    masked
}

/// What stands for a value: enough to tell that it changed. Public keys are no
/// secret, and a reader wants to see them.
fn shown(plain: &[u8]) -> String {
    let text = String::from_utf8_lossy(plain);
    if text.starts_with("-----BEGIN PUBLIC KEY-----") {
        return text.into_owned();
    }
    use sha2::{Digest, Sha256};
    // A digest of a short secret could be guessed, so only four bytes of it.
    let digest = Sha256::digest(plain);
    format!(
        "(secret {})",
        hex::encode(digest.get(..4).unwrap_or_default())
    )
}

fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// Whether two texts are one quantity, where quantities stand: servers write
/// `1024Mi` as `1Gi`.
fn same_quantity(live: &Value, desired: &Value, parent: &str) -> bool {
    const PLACES: [&str; 12] = [
        "cpu",
        "memory",
        "storage",
        "ephemeral-storage",
        "sizeLimit",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "limits.cpu",
        "limits.memory",
        "size",
        "pods",
    ];
    if live == desired || !PLACES.contains(&parent) {
        return false;
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match (
        text(live).as_deref().and_then(thousandths),
        text(desired).as_deref().and_then(thousandths),
    ) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// A quantity in thousandths.
fn thousandths(text: &str) -> Option<u128> {
    const SUFFIXES: [(&str, u128); 12] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
    ];
    if let Some(number) = text.strip_suffix('m') {
        return number.parse().ok();
    }
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 6 {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    digits
        .checked_mul(factor)?
        .checked_mul(1000)?
        .checked_div(scale)
}

/// A unified diff of a file, as `git diff` prints it; empty when nothing
/// differs.
pub(crate) fn unified(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let old = if before.is_some() {
        format!("a/{path}")
    } else {
        "/dev/null".to_owned()
    };
    let new = if after.is_some() {
        format!("b/{path}")
    } else {
        "/dev/null".to_owned()
    };
    similar::TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default())
        .unified_diff()
        .context_radius(3)
        .header(&old, &new)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_fills_in_is_no_change() {
        let desired = json!({"kind": "Deployment", "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "web", "image": "a", "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}}}]}},
        }});
        let live = json!({"kind": "Deployment", "metadata": {"uid": "x"}, "status": {"ready": 1}, "spec": {
            "replicas": 2, "revisionHistoryLimit": 10,
            "template": {"spec": {"restartPolicy": "Always", "containers": [
                {"name": "sidecar", "image": "s"},
                {"name": "web", "image": "a", "imagePullPolicy": "Always", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}},
            ]}},
        }});
        assert_eq!(difference(&live, &desired, Some(&desired)), "");
    }

    #[test]
    fn changes_and_removals_are_shown() {
        let live = json!({"spec": {"replicas": 3, "paused": true, "extra": 1}});
        let previous = json!({"spec": {"replicas": 1, "paused": true}});
        let desired = json!({"spec": {"replicas": 2}});
        assert_eq!(
            difference(&live, &desired, Some(&previous)),
            "- spec.paused: true\n~ spec.replicas: 3 -> 2\n"
        );
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let live = json!({"kind": "Secret", "data": {"a": "aHVudGVyMg==", "b": "eA=="}});
        let same = json!({"kind": "Secret", "stringData": {"a": "hunter2", "b": "x"}});
        assert_eq!(difference(&live, &same, None), "");
        let other = json!({"kind": "Secret", "stringData": {"a": "hunter3", "b": "x"}});
        let shown = difference(&live, &other, None);
        assert!(shown.contains("data.a") && !shown.contains("hunter") && !shown.contains("data.b"));
        assert!(!shown.contains("aHVudGVy"));
    }

    #[test]
    fn quantities_are_numbers() {
        for (left, right, same) in [
            ("1", "1000m", true),
            ("1Gi", "1024Mi", true),
            ("0.5", "500m", true),
            ("1.5Gi", "1536Mi", true),
            ("1G", "1Gi", false),
            ("x", "y", false),
        ] {
            assert_eq!(
                same_quantity(&json!(left), &json!(right), "cpu"),
                same,
                "{left} {right}"
            );
        }
        assert!(!same_quantity(&json!("1"), &json!("1000m"), "value"));
    }

    #[test]
    fn files_differ_as_git_shows_it() {
        assert_eq!(
            unified("a.yaml", Some("x: 1\ny: 2\n"), Some("x: 1\ny: 3\n")),
            "--- a/a.yaml\n+++ b/a.yaml\n@@ -1,2 +1,2 @@\n x: 1\n-y: 2\n+y: 3\n"
        );
        assert!(unified("a.yaml", None, Some("x\n")).starts_with("--- /dev/null\n+++ b/a.yaml\n"));
    }
}
