//! What people can set: a config schema as a list of its keys.
//!
//! Called by `catalyst blueprint inspect`, and where two versions are compared.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::ConfigSchema;
use crate::config::{PER_ENVIRONMENT, SECRET, branches, resolve};

/// The deepest keys that are listed; a schema may refer to itself.
const MAX_DEPTH: usize = 8;
/// The words of a schema that say which values a key takes.
const LIMITS: [&str; 16] = [
    "enum",
    "const",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// One key of a config.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigKey {
    /// Its place, `storage.size`; that of each item of a list is `users[].name`.
    pub name: String,
    /// JSON Schema's type, such as `string` or `array of string`; `any` where the
    /// schema does not say.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the group that it is in must have it.
    pub required: bool,
    /// Whether its value goes to the vault.
    pub secret: bool,
    /// Whether a promotion leaves it alone.
    pub per_environment: bool,
    /// The value when nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Which values it takes, in JSON Schema's words.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub limits: Map<String, Value>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl ConfigSchema {
    /// Every key, those of branches too, in the order of their names. Of a group its
    /// members are listed, and the group itself only where it has none.
    pub fn keys(&self) -> Vec<ConfigKey> {
        let mut found = Vec::new();
        collect(self.source(), self.source(), "", 0, true, &mut found);
        found.sort_by(|left: &ConfigKey, right| left.name.cmp(&right.name));
        // What a branch says again of a key was said of it before.
        found.dedup_by(|later, earlier| later.name == earlier.name);
        found
    }
}

fn collect(
    root: &Value,
    schema: &Value,
    prefix: &str,
    depth: usize,
    is_certain: bool,
    found: &mut Vec<ConfigKey>,
) {
    if depth > MAX_DEPTH {
        return;
    }
    let schema = resolve(root, schema);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let name_here = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let target = resolve(root, inner);
        let items = target.get("items").map(|items| resolve(root, items));
        let has_members = |schema: &Value| {
            let members = schema.get("properties").and_then(Value::as_object);
            members.is_some_and(|members| !members.is_empty())
        };
        if has_members(target) {
            collect(root, target, &name_here, depth + 1, is_certain, found);
            continue;
        }
        found.push(key(
            root,
            name_here.clone(),
            inner,
            is_certain && required.contains(&name.as_str()),
        ));
        if let Some(items) = items.filter(|items| has_members(items)) {
            let prefix = format!("{name_here}[]");
            collect(root, items, &prefix, depth + 1, is_certain, found);
        }
    }
    for branch in branches(schema) {
        collect(root, branch, prefix, depth + 1, false, found);
    }
}

fn key(root: &Value, name: String, outer: &Value, required: bool) -> ConfigKey {
    let schema = resolve(root, outer);
    // What stands beside a $ref wins over what stands behind it.
    let word = |key: &str| outer.get(key).or_else(|| schema.get(key));
    let flag = |key: &str| word(key) == Some(&Value::Bool(true));
    let text = |key: &str| word(key).and_then(Value::as_str).map(str::to_owned);
    ConfigKey {
        kind: kind(root, schema),
        required,
        secret: flag(SECRET),
        per_environment: flag(PER_ENVIRONMENT),
        default: word("default").cloned(),
        limits: LIMITS
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), word(key)?.clone())))
            .collect(),
        description: text("description").or_else(|| text("title")),
        name,
    }
}

fn kind(root: &Value, schema: &Value) -> String {
    let kinds = match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        _ => match schema.get("enum").and_then(Value::as_array) {
            Some(choices) if choices.iter().all(Value::is_string) => "string".to_owned(),
            _ => "any".to_owned(),
        },
    };
    let items = schema.get("items").map(|items| resolve(root, items));
    match items
        .and_then(|items| items.get("type"))
        .and_then(Value::as_str)
    {
        Some(item) if kinds == "array" => format!("array of {item}"),
        _ => kinds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_listed_with_what_they_take() {
        let schema = ConfigSchema::compile(&json!({
            "type": "object",
            "required": ["domain", "storage"],
            "properties": {
                "domain": {"type": "string", "format": "hostname", "description": "Where it is."},
                "storage": {"type": "object", "required": ["size"], "properties": {
                    "size": {"$ref": "#/$defs/size", "default": "1Gi"},
                }},
                "mode": {"enum": ["one", "many"]},
                "users": {"type": "array", "items": {"type": "object", "properties": {
                    "key": {"type": "string", "x-catalyst-secret": true},
                }}},
                "hosts": {"type": "array", "items": {"type": "string"}},
                "labels": {"type": ["object", "null"]},
            },
            "if": {"properties": {"mode": {"const": "many"}}},
            "then": {"required": ["copies"], "properties": {
                "copies": {"type": "integer", "minimum": 2}, "mode": {"type": "string"},
            }},
            "$defs": {"size": {"type": "string", "pattern": "Gi$"}},
        }))
        .unwrap();
        let keys = schema.keys();
        let shown: Vec<String> = keys
            .iter()
            .map(|key| {
                let (required, secret) = (
                    if key.required { " required" } else { "" },
                    if key.secret { " secret" } else { "" },
                );
                let default = key.default.as_ref().map(|it| format!(" = {it}"));
                let limits = Value::Object(key.limits.clone());
                format!(
                    "{}: {}{required}{secret}{} {limits}",
                    key.name,
                    key.kind,
                    default.unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "copies: integer {\"minimum\":2}",
                "domain: string required {\"format\":\"hostname\"}",
                "hosts: array of string {}",
                "labels: object or null {}",
                "mode: string {\"enum\":[\"one\",\"many\"]}",
                "storage.size: string required = \"1Gi\" {\"pattern\":\"Gi$\"}",
                "users: array of object {}",
                "users[].key: string secret {}",
            ]
        );
        assert_eq!(keys[1].description.as_deref(), Some("Where it is."));
    }
}
