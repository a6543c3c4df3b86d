//! The values a chart receives, and the config a promotion carries over.

use std::collections::BTreeMap;

use catalyst_yaml::pointer::parts;
use serde_json::{Map, Value, json};

use crate::config::ConfigSchema;

/// What the values of a chart are made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValuesInput {
    /// The overlay of the chosen size.
    pub overlay: Map<String, Value>,
    /// The Application's config, secrets as references.
    pub config: Value,
    /// Alias → what the chart learns of the dependency, such as
    /// `{application, connectionSecret}`.
    pub dependencies: BTreeMap<String, Value>,
    /// `{organization, environment, application, domain, placement}`.
    pub catalyst: Value,
}

/// Overlay ⊕ config ⊕ `dependencies.<alias>` ⊕ `global.catalyst`; what stands
/// later wins, so a config can never pose as a dependency or as the platform.
pub fn merge_values(input: &ValuesInput) -> Value {
    let mut values = Value::Object(input.overlay.clone());
    // An Application without config has null there, which is no value to lay over.
    if input.config.is_object() {
        overlay(&mut values, &input.config);
    }
    // Ours entirely: what the config said under these names is replaced.
    if let Value::Object(map) = &mut values {
        map.insert("dependencies".to_owned(), json!(input.dependencies));
        let global = map
            .entry("global")
            .or_insert_with(|| Value::Object(Map::new()));
        if !global.is_object() {
            *global = Value::Object(Map::new());
        }
        if let Value::Object(global) = global {
            global.insert("catalyst".to_owned(), input.catalyst.clone());
        }
    }
    values
}

/// Lays `top` over `base`: maps merge, everything else is replaced. A null stands
/// as a value, because Helm reads it as "take the chart's default away".
pub fn overlay(base: &mut Value, top: &Value) {
    match (base, top) {
        (Value::Object(base), Value::Object(top)) => {
            for (key, value) in top {
                match base.get_mut(key) {
                    Some(existing) => overlay(existing, value),
                    None => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (base, top) => *base = top.clone(),
    }
}

/// The config the destination gets: the source's, with the destination's own
/// value (or absence of one) for every per-environment property.
pub fn promote_config(schema: &ConfigSchema, from: &Value, to: &Value) -> Value {
    let mut result = match from {
        Value::Null => Value::Object(Map::new()),
        other => other.clone(),
    };
    let mut own = schema.per_environment_pointers(from);
    own.extend(schema.per_environment_pointers(to));
    own.sort();
    own.dedup();
    for pointer in own {
        let parts = parts(&pointer);
        match to.pointer(&pointer) {
            Some(value) => set(&mut result, &parts, value),
            None => remove(&mut result, &parts),
        }
    }
    result
}

/// Sets the value at a place, property by property; groups on the way are made.
pub(crate) fn set(target: &mut Value, parts: &[String], value: &Value) {
    let Some((first, rest)) = parts.split_first() else {
        *target = value.clone();
        return;
    };
    match target {
        Value::Object(map) => {
            let inner = map
                .entry(first.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            set(inner, rest, value);
        }
        // List items correspond by position; one that the source does not have is not made.
        Value::Array(items) => {
            if let Some(inner) = first.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                set(inner, rest, value);
            }
        }
        other => {
            *other = Value::Object(Map::new());
            set(other, parts, value);
        }
    }
}

fn remove(target: &mut Value, parts: &[String]) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    match target {
        Value::Object(map) if rest.is_empty() => {
            map.remove(first);
        }
        Value::Object(map) => {
            if let Some(inner) = map.get_mut(first) {
                remove(inner, rest);
            }
        }
        Value::Array(items) => {
            if let Some(inner) = first.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win_and_the_platform_wins_last() {
        let input = ValuesInput {
            overlay: json!({"replicas": 2, "resources": {"cpu": "1", "memory": "1Gi"}})
                .as_object()
                .unwrap()
                .clone(),
            config: json!({
                "resources": {"cpu": "2"},
                "dependencies": {"db": {"connectionSecret": "stolen"}},
                "global": {"catalyst": {"organization": "globex"}, "imageRegistry": "r"},
            }),
            dependencies: BTreeMap::from([(
                "db".to_owned(),
                json!({"connectionSecret": "blog-db-connection"}),
            )]),
            catalyst: json!({"organization": "acme"}),
        };
        assert_eq!(
            merge_values(&input),
            json!({
                "replicas": 2,
                "resources": {"cpu": "2", "memory": "1Gi"},
                "dependencies": {"db": {"connectionSecret": "blog-db-connection"}},
                "global": {"catalyst": {"organization": "acme"}, "imageRegistry": "r"},
            })
        );
    }

    #[test]
    fn promotion_keeps_what_belongs_to_the_destination() {
        let schema = ConfigSchema::compile(&json!({
            "properties": {
                "domain": {"type": "string", "x-catalyst-per-environment": true},
                "apiKey": {"type": "string", "x-catalyst-secret": true, "x-catalyst-per-environment": true},
                "mail": {"properties": {"host": {"x-catalyst-per-environment": true}}},
                "replicas": {"type": "integer"},
            },
        }))
        .unwrap();
        let dev = json!({"domain": "dev.example", "apiKey": {"secretRef": "a"}, "replicas": 3});
        let prod = json!({"domain": "example", "replicas": 1, "mail": {"host": "mx", "port": 1}});
        assert_eq!(
            promote_config(&schema, &dev, &prod),
            json!({"domain": "example", "mail": {"host": "mx"}, "replicas": 3})
        );
        assert_eq!(
            promote_config(&schema, &dev, &Value::Null),
            json!({"replicas": 3})
        );
    }
}
