//! Fills in the defaults a structural schema declares.

use serde_json::Value;

use crate::SchemaNode;

pub(crate) fn apply_defaults(node: SchemaNode<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let resource = node.is_embedded_resource();
            for name in node.property_names() {
                let Some(property) = node.declared_property(name) else {
                    continue;
                };
                let Some(default) = property.default_value() else {
                    continue;
                };
                let wanted = match map.get(name) {
                    None => true,
                    Some(Value::Null) => !property.is_nullable(),
                    Some(_) => false,
                };
                // The API owns metadata; a schema may restrict but not fill it.
                if wanted && !(resource && name == "metadata") {
                    map.insert(name.to_owned(), default.clone());
                }
            }
            if let Some(additional) = node.additional() {
                for (name, child) in map.iter_mut() {
                    if node.declared_property(name).is_none() {
                        default_entry(additional, child);
                    }
                }
            }
            // A null that may not be, and has no default, is as if it were not
            // said: Go's clients write one for an empty field.
            map.retain(|name, child| {
                let known = node.declared_property(name).or_else(|| node.additional());
                !child.is_null() || known.is_none_or(SchemaNode::is_nullable)
            });
            for (name, child) in map.iter_mut() {
                if let Some(property) = node.declared_property(name) {
                    apply_defaults(property, child);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = node.items() {
                for child in list {
                    default_entry(items, child);
                }
            }
        }
        _ => {}
    }
}

/// An entry cannot be missing, but it can be a null that is not allowed.
fn default_entry(node: SchemaNode<'_>, value: &mut Value) {
    if value.is_null()
        && !node.is_nullable()
        && let Some(default) = node.default_value()
    {
        *value = default.clone();
    }
    apply_defaults(node, value);
}
