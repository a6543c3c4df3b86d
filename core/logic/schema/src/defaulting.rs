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
            for (name, child) in map.iter_mut() {
                if let Some(property) = node.declared_property(name) {
                    apply_defaults(property, child);
                } else if let Some(additional) = node.additional() {
                    default_entry(additional, child);
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
