//! Helm's own functions.

use super::{Row, arg, text};
use crate::exec::{Engine, Failure, Outcome};
use crate::format::json_text;
use crate::value::Value;

fn ok(text: impl AsRef<str>) -> Outcome<Value> {
    Ok(Value::text(text))
}

pub const TABLE: &[Row] = &[
    ("include", "sa", |engine, a| {
        let out = engine.include(text(a, 0), arg(a, 1))?;
        Ok(Value::text(out))
    }),
    ("tpl", "sa", |engine, a| {
        let out = engine.tpl(text(a, 0), arg(a, 1))?;
        Ok(Value::text(out))
    }),
    ("required", "sa", |_, a| match arg(a, 1) {
        Value::Nil => Err(said(text(a, 0))),
        Value::Str(value) if value.is_empty() => Err(said(text(a, 0))),
        value => Ok(value),
    }),
    ("fail", "s", |_, a| Err(said(text(a, 0)))),
    ("lookup", "ssss", |engine, a| {
        let found = engine
            .lookup
            .lookup(text(a, 0), text(a, 1), text(a, 2), text(a, 3))?;
        Ok(match found {
            Some(object) => Value::from_json(&object),
            None => Value::map(Default::default()),
        })
    }),
    ("toYaml", "a", to_yaml),
    ("fromYaml", "s", |_, a| {
        Ok(match catalyst_yaml::from_str(text(a, 0)) {
            Ok(serde_json::Value::Null) => Value::map(Default::default()),
            Ok(value @ serde_json::Value::Object(_)) => Value::from_json(&value),
            Ok(other) => problem(unmarshal(&other, "map[string]interface {}")),
            Err(error) => problem(yaml_problem(&error)),
        })
    }),
    ("fromYamlArray", "s", |_, a| {
        Ok(match catalyst_yaml::from_str(text(a, 0)) {
            Ok(serde_json::Value::Null) => Value::list(Vec::new()),
            Ok(value @ serde_json::Value::Array(_)) => Value::from_json(&value),
            Ok(other) => Value::texts([unmarshal(&other, "[]interface {}")]),
            Err(error) => Value::texts([yaml_problem(&error)]),
        })
    }),
    ("toJson", "a", |_, a| to_json(a, true, None)),
    ("mustToJson", "a", |_, a| to_json(a, true, None)),
    ("toPrettyJson", "a", |_, a| to_json(a, true, Some("  "))),
    ("mustToPrettyJson", "a", |_, a| to_json(a, true, Some("  "))),
    ("toRawJson", "a", |_, a| to_json(a, false, None)),
    ("mustToRawJson", "a", |_, a| to_json(a, false, None)),
    ("fromJson", "s", |_, a| {
        Ok(
            match serde_json::from_str::<serde_json::Value>(text(a, 0)) {
                Ok(serde_json::Value::Null) => Value::map(Default::default()),
                Ok(value @ serde_json::Value::Object(_)) => Value::from_json(&value),
                Ok(other) => problem(unmarshal(&other, "map[string]interface {}")),
                Err(why) => problem(why.to_string()),
            },
        )
    }),
    ("mustFromJson", "s", |_, a| {
        serde_json::from_str::<serde_json::Value>(text(a, 0))
            .map(|value| Value::from_json(&value))
            .map_err(|why| why.to_string().into())
    }),
    ("fromJsonArray", "s", |_, a| {
        Ok(
            match serde_json::from_str::<serde_json::Value>(text(a, 0)) {
                Ok(serde_json::Value::Null) => Value::list(Vec::new()),
                Ok(value @ serde_json::Value::Array(_)) => Value::from_json(&value),
                Ok(other) => Value::texts([unmarshal(&other, "[]interface {}")]),
                Err(why) => Value::texts([why.to_string()]),
            },
        )
    }),
    ("toToml", "a", |_, a| {
        let mut out = String::new();
        if let Some(serde_json::Value::Object(map)) = arg(a, 0).to_json() {
            toml_table(&mut out, &map, "");
        }
        ok(out)
    }),
];

fn said(words: &str) -> Failure {
    Failure {
        text: words.to_owned(),
        said: Some(words.to_owned()),
    }
}

fn problem(why: String) -> Value {
    Value::map([("Error".to_owned(), Value::text(why))].into())
}

fn yaml_problem(error: &catalyst_yaml::Error) -> String {
    format!(
        "error converting YAML to JSON: yaml: line {}: {}",
        error.line, error.message
    )
}

fn unmarshal(value: &serde_json::Value, into: &str) -> String {
    let kind = match value {
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Bool(_) => "bool",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::Object(_) => "object",
        _ => "string",
    };
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type {into}"
    )
}

fn to_yaml(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let Some(value) = arg(args, 0).to_json() else {
        return ok("");
    };
    let out = catalyst_yaml::to_string(&value);
    engine.charge(out.len())?;
    ok(out.strip_suffix('\n').unwrap_or(&out))
}

fn to_json(args: &[Value], html: bool, indent: Option<&str>) -> Outcome<Value> {
    ok(arg(args, 0)
        .to_json()
        .map(|value| json_text(&value, html, indent))
        .unwrap_or_default())
}

/// A table as TOML: plain entries first, then tables, each sorted by key.
fn toml_table(out: &mut String, map: &serde_json::Map<String, serde_json::Value>, prefix: &str) {
    use serde_json::Value as Json;
    let mut entries: Vec<(&String, &Json)> = map.iter().collect();
    entries.sort_by(|a, b| a.0.cmp(b.0));
    let is_tables = |value: &Json| {
        value
            .as_array()
            .is_some_and(|list| !list.is_empty() && list.iter().all(Json::is_object))
    };
    for (key, value) in &entries {
        if !value.is_object() && !value.is_null() && !is_tables(value) {
            out.push_str(&format!("{} = {}\n", toml_key(key), toml_value(value)));
        }
    }
    for (key, value) in entries {
        let name = if prefix.is_empty() {
            toml_key(key)
        } else {
            format!("{prefix}.{}", toml_key(key))
        };
        let tables: Vec<&serde_json::Map<String, Json>> = match value {
            Json::Object(map) => vec![map],
            Json::Array(list) if is_tables(value) => {
                list.iter().filter_map(Json::as_object).collect()
            }
            _ => continue,
        };
        for table in tables {
            if !out.is_empty() {
                out.push('\n');
            }
            let header = if value.is_object() {
                format!("[{name}]\n")
            } else {
                format!("[[{name}]]\n")
            };
            out.push_str(&header);
            toml_table(out, table, &name);
        }
    }
}

fn toml_key(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        key.to_owned()
    } else {
        json_text(&key.into(), false, None)
    }
}

fn toml_value(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            let parts: Vec<String> = items.iter().map(toml_value).collect();
            format!("[{}]", parts.join(", "))
        }
        serde_json::Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{} = {}", toml_key(key), toml_value(value)))
                .collect();
            format!("{{{}}}", parts.join(", "))
        }
        other => json_text(other, false, None),
    }
}
