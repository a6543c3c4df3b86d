//! Finds and removes fields a schema does not name.

use serde_json::Value;

use crate::SchemaNode;
use crate::field::Path;

/// What becomes of one field of an object.
enum Fate<'a> {
    /// Kept whole.
    Keep,
    /// Kept, and looked into.
    Descend(Option<SchemaNode<'a>>),
    /// Not part of the schema.
    Drop,
}

/// `node` is none below a place whose schema says nothing: there, objects lose
/// every field.
fn fate<'a>(node: Option<SchemaNode<'a>>, name: &str) -> Fate<'a> {
    let Some(node) = node else {
        return Fate::Drop;
    };
    if node.is_embedded_resource() && matches!(name, "apiVersion" | "kind" | "metadata") {
        // Kubernetes decodes metadata into its own type, whose unknown fields
        // go the way of any other; without that definition all is kept.
        return match node.property(name) {
            Some(meta) if name == "metadata" && node.set.is_some() => Fate::Descend(Some(meta)),
            _ => Fate::Keep,
        };
    }
    if let Some(property) = node.declared_property(name) {
        return Fate::Descend(Some(property));
    }
    if let Some(additional) = node.additional() {
        return Fate::Descend(Some(additional));
    }
    if node.allows_additional() {
        return Fate::Descend(None);
    }
    if node.preserves_unknown_fields() {
        Fate::Keep
    } else {
        Fate::Drop
    }
}

/// The schema of the items; a list under "preserve" hands the permission down
/// when its items have no schema of their own.
fn items(node: Option<SchemaNode<'_>>) -> Result<Option<SchemaNode<'_>>, ()> {
    match node {
        Some(node) => match node.items() {
            Some(items) => Ok(Some(items)),
            None if node.preserves_unknown_fields() => Err(()),
            None => Ok(None),
        },
        None => Ok(None),
    }
}

pub(crate) fn prune(root: SchemaNode<'_>, value: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    prune_value(Some(root), value, Path::root(""), &mut dropped);
    dropped
}

fn prune_value(
    node: Option<SchemaNode<'_>>,
    value: &mut Value,
    path: Path<'_>,
    dropped: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => {
            map.retain(|name, child| {
                let at = path.field(name);
                match fate(node, name) {
                    Fate::Keep => true,
                    Fate::Descend(next) => {
                        prune_value(next, child, at, dropped);
                        true
                    }
                    Fate::Drop => {
                        dropped.push(at.render());
                        false
                    }
                }
            });
        }
        Value::Array(list) => {
            let Ok(items) = items(node) else {
                return;
            };
            for (index, child) in list.iter_mut().enumerate() {
                prune_value(items, child, path.index(index), dropped);
            }
        }
        _ => {}
    }
}

pub(crate) fn unknown_fields(root: SchemaNode<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    find_unknown(Some(root), value, Path::root(""), &mut found);
    found
}

fn find_unknown(
    node: Option<SchemaNode<'_>>,
    value: &Value,
    path: Path<'_>,
    found: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                let at = path.field(name);
                match fate(node, name) {
                    Fate::Keep => {}
                    Fate::Descend(next) => find_unknown(next, child, at, found),
                    Fate::Drop => found.push(at.render()),
                }
            }
        }
        Value::Array(list) => {
            let Ok(items) = items(node) else {
                return;
            };
            for (index, child) in list.iter().enumerate() {
                find_unknown(items, child, path.index(index), found);
            }
        }
        _ => {}
    }
}
