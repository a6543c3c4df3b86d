//! What changed between two objects, field by field, for a person to read.
//!
//! List entries are matched by the schema's keys, else by `name` where every
//! entry has one of its own, else by position.

use std::collections::BTreeSet;

use catalyst_schema::{Schema, SchemaNode};
use serde_json::Value;

use crate::shape::{Node, field};

/// How a field changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value.
    Modified,
}

/// One changed field.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where: `spec.containers[name=web].image`.
    pub path: String,
    /// How.
    pub kind: ChangeKind,
    /// The value before; none when added.
    pub before: Option<Value>,
    /// The value after; none when removed.
    pub after: Option<Value>,
}

/// The differences between two values, in the order of their fields. Added and
/// removed subtrees are one change each.
pub fn diff(before: &Value, after: &Value, schema: Option<&Schema>) -> Vec<Change> {
    let mut out = Vec::new();
    diff_at(before, after, schema.map(Schema::root), "", &mut out);
    out
}

fn push(out: &mut Vec<Change>, path: &str, before: Option<&Value>, after: Option<&Value>) {
    let kind = match (before, after) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Modified,
    };
    out.push(Change {
        path: path.to_owned(),
        kind,
        before: before.cloned(),
        after: after.cloned(),
    });
}

fn diff_at(before: &Value, after: &Value, node: Node<'_>, path: &str, out: &mut Vec<Change>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(left), Value::Object(right)) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                let at = child_path(path, name);
                match (left.get(name), right.get(name)) {
                    (Some(l), Some(r)) => diff_at(l, r, field(node, name).0, &at, out),
                    (l, r) => push(out, &at, l, r),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) => diff_lists(left, right, node, path, out),
        _ => push(out, path, Some(before), Some(after)),
    }
}

/// Names with dots or slashes stand in brackets, as `kubectl explain` users
/// write label keys.
fn child_path(path: &str, name: &str) -> String {
    if name.is_empty() || name.contains(['.', '/', '[', ' ']) {
        format!("{path}[{name}]")
    } else if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn identity(item: &Value, keys: &[String]) -> Option<String> {
    let mut parts = Vec::new();
    for key in keys {
        match item.get(key) {
            Some(Value::String(text)) => parts.push(format!("{key}={text}")),
            Some(value) if !value.is_object() && !value.is_array() => {
                parts.push(format!("{key}={value}"));
            }
            _ => {}
        }
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// The entries' identities when each has one of its own.
fn identities(list: &[Value], keys: &[String]) -> Option<Vec<String>> {
    let all: Option<Vec<String>> = list.iter().map(|item| identity(item, keys)).collect();
    let all = all?;
    let unique: BTreeSet<&String> = all.iter().collect();
    (unique.len() == all.len()).then_some(all)
}

fn diff_lists(left: &[Value], right: &[Value], node: Node<'_>, path: &str, out: &mut Vec<Change>) {
    let items = node.and_then(SchemaNode::items);
    let declared = node.map(SchemaNode::map_keys).unwrap_or_default();
    let by_name = ["name".to_owned()];
    let keys = if declared.is_empty() {
        &by_name
    } else {
        declared
    };
    let Some((left_ids, right_ids)) = identities(left, keys).zip(identities(right, keys)) else {
        for index in 0..left.len().max(right.len()) {
            let at = format!("{path}[{index}]");
            match (left.get(index), right.get(index)) {
                (Some(l), Some(r)) => diff_at(l, r, items, &at, out),
                (l, r) => push(out, &at, l, r),
            }
        }
        return;
    };
    let changes = out.len();
    for (id, item) in left_ids.iter().zip(left) {
        let at = format!("{path}[{id}]");
        let partner = right_ids.iter().zip(right).find(|(other, _)| *other == id);
        match partner {
            Some((_, other)) => diff_at(item, other, items, &at, out),
            None => push(out, &at, Some(item), None),
        }
    }
    for (id, item) in right_ids.iter().zip(right) {
        if !left_ids.contains(id) {
            push(out, &format!("{path}[{id}]"), None, Some(item));
        }
    }
    if out.len() == changes {
        // The same entries in another order: only the whole list shows that.
        let left = Value::Array(left.to_vec());
        let right = Value::Array(right.to_vec());
        push(out, path, Some(&left), Some(&right));
    }
}

/// The changes as text: `+` added, `-` removed, `~` modified, one line a scalar
/// and an indented block for anything larger.
pub fn render_changes(changes: &[Change]) -> String {
    let mut out = String::new();
    for change in changes {
        match (&change.before, &change.after) {
            (Some(before), Some(after)) if is_flat(before) && is_flat(after) => {
                out.push_str(&format!("~ {}: {before} -> {after}\n", change.path));
            }
            (before, after) => {
                if let Some(before) = before {
                    block(&mut out, '-', &change.path, before);
                }
                if let Some(after) = after {
                    block(&mut out, '+', &change.path, after);
                }
            }
        }
    }
    out
}

fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    }
}

fn block(out: &mut String, sign: char, path: &str, value: &Value) {
    if is_flat(value) {
        out.push_str(&format!("{sign} {path}: {value}\n"));
        return;
    }
    out.push_str(&format!("{sign} {path}:\n"));
    lines(out, sign, 1, value);
}

fn lines(out: &mut String, sign: char, depth: usize, value: &Value) {
    let indent = "  ".repeat(depth);
    let mut entry = |label: String, child: &Value| {
        if is_flat(child) {
            out.push_str(&format!("{sign} {indent}{label} {child}\n"));
        } else {
            out.push_str(&format!("{sign} {indent}{label}\n"));
            lines(out, sign, depth + 1, child);
        }
    };
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                entry(format!("{name}:"), child);
            }
        }
        Value::Array(list) => {
            for child in list {
                entry("-".into(), child);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_named_by_identity_and_rendered() {
        let before = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "web"}},
            "spec": {
                "replicas": 1,
                "containers": [
                    {"name": "web", "image": "a:1"},
                    {"name": "old", "image": "o:1"}
                ],
                "args": ["x", "y"]
            }
        });
        let after = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "shop"}},
            "spec": {
                "replicas": 3,
                "containers": [
                    {"name": "new", "image": "n:1", "ports": [{"containerPort": 80}]},
                    {"name": "web", "image": "a:2"}
                ],
                "args": ["x"],
                "paused": true
            }
        });
        let expected = "\
~ metadata.labels[app.kubernetes.io/name]: \"web\" -> \"shop\"
- spec.args[1]: \"y\"
~ spec.containers[name=web].image: \"a:1\" -> \"a:2\"
- spec.containers[name=old]:
-   image: \"o:1\"
-   name: \"old\"
+ spec.containers[name=new]:
+   image: \"n:1\"
+   name: \"new\"
+   ports:
+     -
+       containerPort: 80
+ spec.paused: true
~ spec.replicas: 1 -> 3
";
        assert_eq!(render_changes(&diff(&before, &after, None)), expected);
    }

    #[test]
    fn equal_values_have_no_changes_and_order_is_one() {
        let list = json!([{"name": "a"}, {"name": "b"}]);
        let turned = json!([{"name": "b"}, {"name": "a"}]);
        assert_eq!(diff(&list, &list, None), vec![]);
        let changes = diff(&json!({"l": list}), &json!({"l": turned}), None);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].path, "l");
        assert_eq!(changes[0].kind, ChangeKind::Modified);
    }
}
