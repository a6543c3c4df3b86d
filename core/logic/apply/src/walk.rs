//! The four walks over values that server-side apply is made of: which fields a
//! value has, how two values differ, merging, and removing a set of fields.

use std::collections::HashMap;

use catalyst_schema::SchemaNode;
use serde_json::{Map, Value};

use crate::fields::{FieldSet, display_element, field_element};
use crate::shape::{Node, Shape, element, field, shape};

/// The fields a configuration speaks of: its leaves, the entries of its lists,
/// and map entries that no schema declares.
pub(crate) fn field_set(value: &Value, node: Node<'_>) -> FieldSet {
    let mut out = FieldSet::new();
    match (value, shape(node, value)) {
        (Value::Object(map), Shape::Map) => {
            for (name, child) in map {
                let (child_node, declared) = field(node, name);
                let below = field_set(child, child_node);
                let leaf = shape(child_node, child) == Shape::Leaf;
                let empty_map = child.as_object().is_some_and(Map::is_empty);
                out.put(field_element(name), leaf || empty_map || !declared, below);
            }
        }
        (Value::Array(list), kind @ (Shape::Set | Shape::Keyed)) => {
            let items = node.and_then(SchemaNode::items);
            let mut times: HashMap<String, usize> = HashMap::new();
            let elements: Vec<Option<String>> = list
                .iter()
                .map(|item| element(node, kind, item).ok())
                .collect();
            for element in elements.iter().flatten() {
                *times.entry(element.clone()).or_default() += 1;
            }
            for (item, element) in list.iter().zip(elements) {
                let Some(element) = element else { continue };
                // Of a duplicated entry only its existence can be owned.
                let below = if times.get(&element) == Some(&1) {
                    field_set(item, items)
                } else {
                    FieldSet::new()
                };
                out.put(element, true, below);
            }
        }
        _ => {}
    }
    out
}

/// How one value became another.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) removed: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) added: FieldSet,
}

impl Comparison {
    pub(crate) fn without(self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }
}

pub(crate) fn compare(before: &Value, after: &Value, node: Node<'_>) -> Comparison {
    let mut out = Comparison::default();
    compare_at(Some(before), Some(after), node, &mut Vec::new(), &mut out);
    out
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}

/// The shape shared by two sides, when one walk can serve both; null and
/// nothing go along with whatever the other side is.
fn common_shape(node: Node<'_>, left: Option<&Value>, right: Option<&Value>) -> Option<Shape> {
    match (
        left.filter(|value| !value.is_null()),
        right.filter(|value| !value.is_null()),
    ) {
        (Some(left), Some(right)) => {
            let both = shape(node, left);
            (both == shape(node, right)).then_some(both)
        }
        (Some(one), None) | (None, Some(one)) => Some(shape(node, one)),
        (None, None) => Some(Shape::Leaf),
    }
}

fn compare_at(
    left: Option<&Value>,
    right: Option<&Value>,
    node: Node<'_>,
    path: &mut Vec<String>,
    out: &mut Comparison,
) {
    match common_shape(node, left, right) {
        None => {
            // A map became a list or a scalar: what was inside is gone.
            if left.is_some() {
                compare_children(left, None, node, path, out);
            }
            if right.is_some() {
                compare_children(None, right, node, path, out);
            }
            out.modified.insert(path);
            return;
        }
        Some(Shape::Leaf) => {
            if left.is_some() && right.is_some() && left != right {
                out.modified.insert(path);
            }
        }
        Some(_) if is_empty(left) && is_empty(right) => {
            if left.is_some() && right.is_some() && left != right {
                out.modified.insert(path);
            }
        }
        Some(_) => compare_children(left, right, node, path, out),
    }
    if left.is_none() {
        out.added.insert(path);
    } else if right.is_none() {
        out.removed.insert(path);
    }
}

fn compare_children(
    left: Option<&Value>,
    right: Option<&Value>,
    node: Node<'_>,
    path: &mut Vec<String>,
    out: &mut Comparison,
) {
    let one = left.filter(|v| !v.is_null()).or(right);
    match one.map_or(Shape::Leaf, |value| shape(node, value)) {
        Shape::Leaf => {}
        Shape::Map => {
            let empty = Map::new();
            let left = left.and_then(Value::as_object).unwrap_or(&empty);
            let right = right.and_then(Value::as_object).unwrap_or(&empty);
            let new = right.keys().filter(|name| !left.contains_key(*name));
            for name in left.keys().chain(new) {
                path.push(field_element(name));
                compare_at(
                    left.get(name),
                    right.get(name),
                    field(node, name).0,
                    path,
                    out,
                );
                path.pop();
            }
        }
        kind @ (Shape::Set | Shape::Keyed) => {
            let (order, left, right) = pair_items(left, right, node, kind);
            let items = node.and_then(SchemaNode::items);
            for element in order {
                let l = left.get(&element).map(Vec::as_slice).unwrap_or_default();
                let r = right.get(&element).map(Vec::as_slice).unwrap_or_default();
                path.push(element);
                match (l, r) {
                    ([] | [_], [] | [_]) => {
                        compare_at(l.first().copied(), r.first().copied(), items, path, out);
                    }
                    ([_, _, ..], [_, _, ..]) => {
                        if l != r {
                            out.modified.insert(path);
                        }
                    }
                    ([_, _, ..], _) => {
                        if let Some(only) = r.first() {
                            compare_at(None, Some(only), items, path, out);
                        }
                        out.removed.insert(path);
                    }
                    (_, _) => {
                        if let Some(only) = l.first() {
                            compare_at(Some(only), None, items, path, out);
                        }
                        out.added.insert(path);
                    }
                }
                path.pop();
            }
        }
    }
}

type Indexed<'a> = HashMap<String, Vec<&'a Value>>;

fn pair_items<'a>(
    left: Option<&'a Value>,
    right: Option<&'a Value>,
    node: Node<'_>,
    kind: Shape,
) -> (Vec<String>, Indexed<'a>, Indexed<'a>) {
    let mut order = Vec::new();
    let mut index = |side: Option<&'a Value>, other: Option<&Indexed<'a>>| {
        let mut map: Indexed<'a> = HashMap::new();
        for item in side.and_then(Value::as_array).into_iter().flatten() {
            let Ok(element) = element(node, kind, item) else {
                continue;
            };
            let items = map.entry(element.clone()).or_default();
            if items.is_empty() && !other.is_some_and(|other| other.contains_key(&element)) {
                order.push(element);
            }
            items.push(item);
        }
        map
    };
    let left = index(left, None);
    let right = index(right, Some(&left));
    (order, left, right)
}

/// Merges an applied configuration into the live value. Leaves of the
/// configuration win; what it does not mention stays.
pub(crate) fn merge(live: &Value, applied: &Value, node: Node<'_>) -> Value {
    match (live, applied) {
        (Value::Object(left), Value::Object(right)) if shape(node, live) == Shape::Map => {
            let mut out = left.clone();
            for (name, value) in right {
                let merged = match left.get(name) {
                    Some(old) => merge(old, value, field(node, name).0),
                    None => value.clone(),
                };
                out.insert(name.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(left), Value::Array(right)) => match shape(node, live) {
            kind @ (Shape::Set | Shape::Keyed) => merge_lists(left, right, node, kind),
            _ => applied.clone(),
        },
        // A null where a map or an associative list is changes nothing in it.
        (old, Value::Null) if shape(node, old) != Shape::Leaf && !is_empty(Some(old)) => {
            old.clone()
        }
        _ => applied.clone(),
    }
}

/// Entries of both sides in one order: the applied order decides for the
/// entries it names, live-only entries stay where they are among them.
fn merge_lists(left: &[Value], right: &[Value], node: Node<'_>, kind: Shape) -> Value {
    let items = node.and_then(SchemaNode::items);
    let keyed = |list: &[Value]| -> Vec<Option<String>> {
        list.iter()
            .map(|item| element(node, kind, item).ok())
            .collect()
    };
    let (left_keys, right_keys) = (keyed(left), keyed(right));
    let mut live: HashMap<&str, Vec<&Value>> = HashMap::new();
    for (key, item) in left_keys.iter().zip(left) {
        if let Some(key) = key {
            live.entry(key).or_default().push(item);
        }
    }
    let applied: HashMap<&str, &Value> = right_keys
        .iter()
        .zip(right)
        .filter_map(|(key, item)| Some((key.as_deref()?, item)))
        .collect();
    let merged = |key: Option<&str>, item: &Value| match key.and_then(|key| live.get(key)) {
        // Duplicated live entries have no one partner and give way.
        Some(old) => match old.as_slice() {
            [only] => merge(only, item, items),
            _ => item.clone(),
        },
        None => item.clone(),
    };
    let mut shared = right_keys
        .iter()
        .flatten()
        .map(String::as_str)
        .filter(|key| live.contains_key(key));
    let mut next_shared = shared.next();
    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let mut l = left_keys.iter().zip(left).peekable();
    let mut r = right_keys.iter().zip(right).peekable();
    let mut done: std::collections::HashSet<&str> = std::collections::HashSet::new();
    loop {
        if let (Some((lk, _)), Some((rk, item))) = (l.peek(), r.peek())
            && let (Some(lk), Some(rk)) = (lk.as_deref(), rk.as_deref())
        {
            if lk == rk {
                out.push(merged(Some(rk), item));
                done.insert(rk);
                l.next();
                r.next();
                next_shared = shared.next();
                continue;
            }
            if applied.contains_key(lk) && next_shared.is_some_and(|next| next != lk) {
                // Comes later, where the applied order wants it.
                l.next();
                continue;
            }
        }
        if let Some((lk, item)) = l.peek() {
            match lk.as_deref() {
                Some(lk) if applied.contains_key(lk) => {
                    if done.contains(lk) {
                        l.next();
                        continue;
                    }
                }
                _ => {
                    out.push((*item).clone());
                    l.next();
                    continue;
                }
            }
        }
        match r.next() {
            Some((rk, item)) => {
                let rk = rk.as_deref();
                out.push(merged(rk, item));
                if let Some(rk) = rk {
                    done.insert(rk);
                    if next_shared == Some(rk) {
                        next_shared = shared.next();
                    }
                }
            }
            None if l.peek().is_some() => {
                l.next();
            }
            None => break,
        }
    }
    Value::Array(out)
}

/// Takes the fields of a set out of a value. A map that loses all it had stays,
/// empty, because whoever owns the map itself still does; a list disappears,
/// because an empty list has no owner. None means nothing is left.
pub(crate) fn remove(value: &Value, set: &FieldSet, node: Node<'_>) -> Option<Value> {
    match (value, shape(node, value)) {
        (Value::Object(map), Shape::Map) => {
            let mut out = Map::new();
            for (name, child) in map {
                let element = field_element(name);
                if set.has(&element) {
                    continue;
                }
                let kept = match set.below(&element) {
                    Some(below) => remove(child, below, field(node, name).0),
                    None => Some(child.clone()),
                };
                if let Some(kept) = kept {
                    out.insert(name.clone(), kept);
                }
            }
            Some(Value::Object(out))
        }
        (Value::Array(list), kind @ (Shape::Set | Shape::Keyed)) => {
            let items = node.and_then(SchemaNode::items);
            let mut out = Vec::new();
            for item in list {
                let Ok(element) = element(node, kind, item) else {
                    out.push(item.clone());
                    continue;
                };
                if set.has(&element) {
                    continue;
                }
                let kept = match set.below(&element) {
                    Some(below) => remove(item, below, items),
                    None => Some(item.clone()),
                };
                out.extend(kept);
            }
            (!out.is_empty()).then_some(Value::Array(out))
        }
        // An atomic value that is to lose something inside goes as a whole.
        (Value::Object(_) | Value::Array(_), _) => None,
        (scalar, _) => Some(scalar.clone()),
    }
}

/// Adds the declared fields that have paths below them. A set of leaves thereby
/// says which structs it touches, which tells an emptied struct from one that
/// never was.
pub(crate) fn with_named_fields(set: &FieldSet, node: Node<'_>) -> FieldSet {
    let mut out = FieldSet::new();
    for (element, member, children) in set.parents() {
        let (child, declared) = match element.strip_prefix("f:") {
            Some(name) => field(node, name),
            None => (node.and_then(SchemaNode::items), false),
        };
        let named = declared && !children.is_empty();
        out.put(
            element.to_owned(),
            member || named,
            with_named_fields(children, child),
        );
    }
    out
}

/// What keeps a configuration from being applied: undeclared fields, list
/// entries without identity, entries given twice. Each is `path: reason`.
pub(crate) fn typing_problems(value: &Value, node: Node<'_>) -> Vec<String> {
    let mut out = Vec::new();
    typing_at(value, node, &mut String::new(), &mut out);
    out
}

fn typing_at(value: &Value, node: Node<'_>, path: &mut String, out: &mut Vec<String>) {
    let Some(schema) = node else { return };
    let length = path.len();
    match value {
        Value::Object(map) => {
            let open = schema.preserves_unknown_fields() || schema.is_free_form();
            for (name, child) in map {
                path.push('.');
                path.push_str(name);
                match schema.field(name) {
                    Some(child_node) => typing_at(child, Some(child_node), path, out),
                    None if open => {}
                    None => out.push(format!("{path}: field not declared in schema")),
                }
                path.truncate(length);
            }
        }
        Value::Array(list) => {
            let kind = shape(node, value);
            let mut seen = std::collections::HashSet::new();
            for (index, item) in list.iter().enumerate() {
                if kind == Shape::Leaf {
                    path.push_str(&format!("[{index}]"));
                } else {
                    match element(node, kind, item) {
                        Ok(element) => {
                            let shown = display_element(&element);
                            if !seen.insert(element) {
                                out.push(format!("{path}: duplicate entries for key {shown}"));
                            }
                            path.push_str(&shown);
                        }
                        Err(reason) => {
                            out.push(format!("{path}: element {index}: {}", reason.0));
                            continue;
                        }
                    }
                }
                typing_at(item, schema.items(), path, out);
                path.truncate(length);
            }
        }
        _ => {}
    }
}
