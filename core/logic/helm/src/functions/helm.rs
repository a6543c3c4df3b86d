//! Helm's own functions.

use super::{Row, arg, text};
use crate::exec::{Engine, Failure, Outcome};
use crate::json::{self, Style};
use crate::objects::Object;
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
            Ok(other) => Value::list(vec![Value::text(unmarshal(&other, "[]interface {}"))]),
            Err(error) => Value::list(vec![Value::text(yaml_problem(&error))]),
        })
    }),
    ("toJson", "a", |engine, a| {
        to_json(engine, a, COMPACT, false)
    }),
    ("mustToJson", "a", |engine, a| {
        to_json(engine, a, COMPACT, true)
    }),
    ("toPrettyJson", "a", |engine, a| {
        to_json(engine, a, PRETTY, false)
    }),
    ("mustToPrettyJson", "a", |engine, a| {
        to_json(engine, a, PRETTY, true)
    }),
    ("toRawJson", "a", |engine, a| to_json(engine, a, RAW, true)),
    ("mustToRawJson", "a", |engine, a| {
        to_json(engine, a, RAW, true)
    }),
    ("fromJson", "s", |_, a| {
        Ok(match json::read(text(a, 0), "map[string]interface {}") {
            Ok(Value::Nil) => Value::object(Object::Typed {
                name: "map[string]interface {}",
                value: Value::map(Default::default()),
                nil: true,
            }),
            Ok(value @ Value::Map(_)) => value,
            Ok(other) => problem(json_mismatch(&other, "map[string]interface {}")),
            Err(why) => problem(why),
        })
    }),
    ("mustFromJson", "s", |_, a| {
        json::read(text(a, 0), "").map_err(Into::into)
    }),
    ("fromJsonArray", "s", |_, a| {
        Ok(match json::read(text(a, 0), "[]interface {}") {
            Ok(Value::Nil) => Value::nil_list("[]interface {}"),
            Ok(value @ Value::List(_)) => value,
            Ok(other) => Value::list(vec![Value::text(json_mismatch(&other, "[]interface {}"))]),
            Err(why) => Value::list(vec![Value::text(why)]),
        })
    }),
    ("toYamlPretty", "a", |engine, a| {
        let out = super::pretty::document(&arg(a, 0));
        engine.charge(out.len())?;
        ok(out.strip_suffix('\n').unwrap_or(&out))
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
    if error.message.starts_with("unsupported value") {
        return format!("error converting YAML to JSON: json: {}", error.message);
    }
    if error.message.starts_with("invalid map key") {
        return format!("error converting YAML to JSON: yaml: {}", error.message);
    }
    // go-yaml does not name the first line where the scanner fails on it.
    let scanner = ["mapping values", "found ", "could not find"]
        .iter()
        .any(|start| error.message.starts_with(start));
    if error.line <= 1 && scanner {
        return format!("error converting YAML to JSON: yaml: {}", error.message);
    }
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
    if has_control(&value) {
        return ok("");
    }
    let out = catalyst_yaml::to_string(&value);
    engine.charge(out.len())?;
    ok(out.strip_suffix('\n').unwrap_or(&out))
}

/// Characters that JSON may hold as they are and YAML may not: Go goes from one
/// to the other, fails there, and gives nothing.
fn has_control(value: &serde_json::Value) -> bool {
    let wrong = |text: &str| {
        text.chars().any(
            |c| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'),
        )
    };
    match value {
        serde_json::Value::String(text) => wrong(text),
        serde_json::Value::Array(items) => items.iter().any(has_control),
        serde_json::Value::Object(map) => map
            .iter()
            .any(|(key, value)| wrong(key) || has_control(value)),
        _ => false,
    }
}

const COMPACT: Style = Style {
    html: true,
    indent: None,
};
const PRETTY: Style = Style {
    html: true,
    indent: Some("  "),
};
const RAW: Style = Style {
    html: false,
    indent: None,
};

fn to_json(engine: &mut Engine<'_>, args: &[Value], style: Style, strict: bool) -> Outcome<Value> {
    match json::write(&arg(args, 0), style) {
        Ok(text) => {
            engine.charge(text.len())?;
            ok(text)
        }
        Err(why) if strict => Err(why.into()),
        Err(_) => ok(""),
    }
}

fn json_mismatch(value: &Value, into: &str) -> String {
    let kind = match value {
        Value::List(_) => "array",
        Value::Map(_) => "object",
        Value::Bool(_) => "bool",
        Value::Float(_) => "number",
        _ => "string",
    };
    format!("json: cannot unmarshal {kind} into Go value of type {into}")
}
