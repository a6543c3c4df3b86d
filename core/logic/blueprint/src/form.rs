//! The form that asks for an Application's config, derived from its schema.

use catalyst_yaml::pointer::escape;
use serde::Serialize;
use serde_json::Value;

use crate::config::{ConfigSchema, PER_ENVIRONMENT, SECRET, UI_HINT, UI_ORDER, resolve};

/// The deepest group a form shows; a schema that refers to itself ends here.
const MAX_DEPTH: usize = 6;

/// What kind of control asks for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// A line of text.
    Text,
    /// A line of text that is not shown.
    Password,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// On or off.
    Toggle,
    /// One of several values.
    Choice,
    /// Several values of one kind.
    List,
    /// Fields under a heading.
    Group,
    /// A domain the Organization may use.
    DomainPicker,
    /// Another Application.
    ApplicationRef,
    /// Anything else; asked for as YAML.
    Yaml,
}

/// One field of the form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// JSON pointer inside the config; relative to an item for a list's item.
    pub pointer: String,
    /// The property's own name.
    pub name: String,
    /// What to show as its label.
    pub label: String,
    /// Help under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The control.
    pub kind: FieldKind,
    /// Whether a value must be given.
    pub required: bool,
    /// Whether the value goes to the vault.
    pub secret: bool,
    /// Whether promotion leaves the value alone.
    pub per_environment: bool,
    /// The value when nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The values of a choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// Limits a browser can check, in JSON Schema's words.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub limits: serde_json::Map<String, Value>,
    /// Members of a group, or the one item of a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

impl ConfigSchema {
    /// The fields of the form: required ones first, then by name, unless the
    /// schema gives an `x-catalyst-ui-order`.
    pub fn form(&self) -> Vec<Field> {
        members(self.source(), resolve(self.source(), self.source()), "", 0)
    }
}

fn members(root: &Value, schema: &Value, pointer: &str, depth: usize) -> Vec<Field> {
    if depth >= MAX_DEPTH {
        return Vec::new();
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let order: Vec<&str> = schema
        .get(UI_ORDER)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut fields: Vec<Field> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, inner)| {
            let here = format!("{pointer}/{}", escape(name));
            field(
                root,
                name,
                inner,
                &here,
                required.contains(&name.as_str()),
                depth,
            )
        })
        .collect();
    fields.sort_by_key(|field| {
        let position = order.iter().position(|name| *name == field.name);
        (
            position.unwrap_or(usize::MAX),
            !field.required,
            field.name.clone(),
        )
    });
    fields
}

fn field(
    root: &Value,
    name: &str,
    outer: &Value,
    pointer: &str,
    required: bool,
    depth: usize,
) -> Field {
    let schema = resolve(root, outer);
    // What stands beside a $ref wins over what stands behind it.
    let word = |key: &str| outer.get(key).or_else(|| schema.get(key));
    let text = |key: &str| word(key).and_then(Value::as_str).map(str::to_owned);
    let flag = |key: &str| word(key) == Some(&Value::Bool(true));
    let kind = kind_of(schema, text(UI_HINT).as_deref(), flag(SECRET));
    let fields = match kind {
        FieldKind::Group => members(root, schema, pointer, depth + 1),
        FieldKind::List if depth + 1 < MAX_DEPTH => schema
            .get("items")
            .map(|item| vec![self::field(root, "", item, "", true, depth + 1)])
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    let limits = [
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minItems",
        "maxItems",
    ]
    .into_iter()
    .filter_map(|key| word(key).map(|value| (key.to_owned(), value.clone())))
    .collect();
    Field {
        pointer: pointer.to_owned(),
        name: name.to_owned(),
        label: text("title").unwrap_or_else(|| label(name)),
        description: text("description"),
        kind,
        required,
        secret: flag(SECRET),
        per_environment: flag(PER_ENVIRONMENT),
        default: word("default").cloned(),
        choices: word("enum")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        limits,
        fields,
    }
}

fn kind_of(schema: &Value, hint: Option<&str>, secret: bool) -> FieldKind {
    match hint {
        Some("password") => return FieldKind::Password,
        Some("domain-picker") => return FieldKind::DomainPicker,
        Some("application-ref") => return FieldKind::ApplicationRef,
        _ if secret => return FieldKind::Password,
        _ if schema.get("enum").is_some() => return FieldKind::Choice,
        _ => {}
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => FieldKind::Text,
        Some("number") => FieldKind::Number,
        Some("integer") => FieldKind::Integer,
        Some("boolean") => FieldKind::Toggle,
        Some("array") => FieldKind::List,
        Some("object") if schema.get("properties").is_some() => FieldKind::Group,
        _ => FieldKind::Yaml,
    }
}

/// `adminPassword` → `Admin password`.
fn label(name: &str) -> String {
    let mut result = String::with_capacity(name.len() + 4);
    for (index, character) in name.chars().enumerate() {
        if index == 0 {
            result.extend(character.to_uppercase());
        } else if character.is_uppercase() {
            result.push(' ');
            result.extend(character.to_lowercase());
        } else if matches!(character, '-' | '_') {
            result.push(' ');
        } else {
            result.push(character);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_form_follows_the_schema() {
        let schema = ConfigSchema::compile(&json!({
            "type": "object",
            "required": ["siteTitle"],
            "properties": {
                "adminPassword": {"type": "string", "x-catalyst-secret": true, "minLength": 8},
                "siteTitle": {"type": "string", "description": "Shown on top."},
                "domain": {"type": "string", "x-catalyst-ui-hint": "domain-picker", "x-catalyst-per-environment": true},
                "tags": {"type": "array", "items": {"type": "string"}},
                "postgres": {"type": "object", "properties": {"mode": {"enum": ["embedded", "existing"], "default": "embedded"}}},
                "replicas": {"$ref": "#/$defs/count", "title": "Copies"},
            },
            "$defs": {"count": {"type": "integer", "minimum": 1, "maximum": 5, "title": "Count"}},
        }))
        .unwrap();
        insta::assert_json_snapshot!(schema.form());
    }
}
