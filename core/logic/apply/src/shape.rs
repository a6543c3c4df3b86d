//! What a value is for ownership: one leaf, a map of fields, a set of scalars,
//! or a list of entries told apart by keys.

use std::collections::BTreeMap;

use catalyst_schema::{ListType, MapType, SchemaNode};
use serde_json::Value;

use crate::fields::key_element;

/// The schema at a place; none where nothing is known.
pub(crate) type Node<'a> = Option<SchemaNode<'a>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    Leaf,
    Map,
    Set,
    Keyed,
}

/// How a value of this schema is owned. Null takes the shape its schema names,
/// so that null and an empty map or list compare alike.
pub(crate) fn shape(node: Node<'_>, value: &Value) -> Shape {
    match value {
        Value::Object(_) => match node.and_then(SchemaNode::map_type) {
            Some(MapType::Atomic) => Shape::Leaf,
            _ => Shape::Map,
        },
        Value::Array(_) => match node.and_then(SchemaNode::list_type) {
            Some(ListType::Set) => Shape::Set,
            Some(ListType::Map) => Shape::Keyed,
            _ => Shape::Leaf,
        },
        _ => Shape::Leaf,
    }
}

/// The schema of a field, and whether the schema declares it by name.
pub(crate) fn field<'a>(node: Node<'a>, name: &str) -> (Node<'a>, bool) {
    let Some(node) = node else {
        return (None, false);
    };
    match node.property(name) {
        Some(property) => (Some(property), true),
        None => (node.additional(), false),
    }
}

/// Why an entry of an associative list has no identity.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoIdentity(pub(crate) String);

/// The path element of an entry. Keys that are left out take their default.
pub(crate) fn element(list: Node<'_>, shape: Shape, item: &Value) -> Result<String, NoIdentity> {
    if shape == Shape::Set {
        return match item {
            Value::Object(_) => Err(NoIdentity(
                "associative list without keys has an element that's a map type".into(),
            )),
            Value::Array(_) => Err(NoIdentity(
                "not supported: associative list with lists as elements".into(),
            )),
            Value::Null => Err(NoIdentity(
                "associative list without keys has an element that's an explicit null".into(),
            )),
            scalar => Ok(format!("v:{scalar}")),
        };
    }
    let keys = list.map(SchemaNode::map_keys).unwrap_or_default();
    let Value::Object(map) = item else {
        return Err(NoIdentity(if item.is_null() {
            "associative list with keys may not have a null element".into()
        } else {
            "associative list with keys may not have non-map elements".into()
        }));
    };
    let items = list.and_then(SchemaNode::items);
    let mut found = BTreeMap::new();
    for key in keys {
        let value = map
            .get(key)
            .cloned()
            .or_else(|| items?.property(key)?.default_value().cloned());
        if let Some(value) = value {
            found.insert(key.clone(), value);
        }
    }
    if found.is_empty() {
        return Err(NoIdentity(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            keys.iter()
                .map(|key| format!("{key:?}"))
                .collect::<Vec<_>>()
                .join(" ")
        )));
    }
    key_element(found).ok_or_else(|| NoIdentity("unreadable keys".into()))
}
