//! `toYamlPretty`: go-yaml 3's style, lists set in below their key.
//!
//! Scalars are written by the YAML crate, whose go-yaml 2 quotes alike; what
//! it folds after column 80 is put together again, for go-yaml 3 does not fold.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::bounds;
use crate::objects::{CHART, Object};
use crate::value::Value;

pub fn document(value: &Value) -> String {
    let mut out = String::new();
    node(&mut out, value, 0, false, 0);
    out
}

/// Writes `value` after a key or a dash; `compact` when the line goes on.
fn node(out: &mut String, value: &Value, indent: usize, compact: bool, depth: usize) {
    bounds::visit();
    if depth > bounds::DEPTH || out.len() > bounds::TEXT {
        bounds::exceed();
        return;
    }
    let pad = |out: &mut String, first: bool| {
        if !(first && compact) {
            out.extend(std::iter::repeat_n(' ', indent));
        }
    };
    if let Value::Object(object) = value {
        match object.as_ref() {
            Object::Bytes(_) | Object::Files(_) => {
                return node(out, &object.plain(), indent, compact, depth);
            }
            // go-yaml knows times, and no other names for fields than Go's.
            Object::Time(_) => {
                let text = object.to_json(&|_| None).unwrap_or_default();
                out.push_str(text.as_str().unwrap_or_default());
                out.push('\n');
                return;
            }
            Object::Struct {
                type_name, fields, ..
            } => {
                // What is embedded is a field of its type's name.
                return match fields.split_last() {
                    Some((last, inner)) if *type_name == CHART => {
                        pad(out, true);
                        out.push_str("metadata:\n");
                        structure(out, inner, indent + 2, false, depth + 1);
                        structure(out, std::slice::from_ref(last), indent, false, depth);
                    }
                    _ => structure(out, fields, indent, compact, depth),
                };
            }
            _ => {}
        }
    }
    if let Value::Object(object) = value
        && !matches!(
            object.as_ref(),
            Object::Typed { .. } | Object::ApiVersions(_)
        )
    {
        let plain = value.to_json().unwrap_or(serde_json::Value::Null);
        return node(out, &Value::from_json(&plain), indent, compact, depth);
    }
    if let Some(entries) = value.entries() {
        let entries: Vec<(String, Value)> = entries
            .borrow()
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if entries.is_empty() {
            out.push_str("{}\n");
            return;
        }
        // The order of keys is the YAML crate's.
        let probe: serde_json::Map<String, serde_json::Value> = entries
            .iter()
            .map(|(key, _)| (key.clone(), serde_json::Value::Null))
            .collect();
        let order = catalyst_yaml::to_string(&serde_json::Value::Object(probe));
        let places: HashMap<&str, usize> = order.lines().zip(0..).collect();
        let place = |key: &str| {
            let line = format!("{}: null", scalar(&key.into()).trim_end());
            places.get(line.as_str()).copied()
        };
        let mut entries: Vec<(Option<usize>, String, Value)> = entries
            .into_iter()
            .map(|(key, value)| (place(&key), key, value))
            .collect();
        entries.sort_by_key(|entry| entry.0);
        for (at, (_, key, value)) in entries.iter().enumerate() {
            pad(out, at == 0);
            let _ = write!(out, "{}:", scalar(&key.as_str().into()).trim_end());
            below(out, value, indent, depth);
        }
    } else if let Some(items) = value.items() {
        if items.is_empty() {
            out.push_str("[]\n");
            return;
        }
        for (at, item) in items.iter().enumerate() {
            pad(out, at == 0);
            out.push_str("- ");
            node(out, item, indent + 2, true, depth + 1);
        }
    } else {
        let text = match value {
            Value::Float(number) => float(*number),
            value => scalar(&value.to_json().unwrap_or(serde_json::Value::Null)),
        };
        // A literal's further lines stand at this indent.
        let mut lines = text.lines();
        out.push_str(lines.next().unwrap_or_default());
        out.push('\n');
        for line in lines {
            let line = line.strip_prefix("  ").unwrap_or(line);
            if !line.is_empty() {
                let inner = if depth == 0 { indent + 2 } else { indent };
                out.extend(std::iter::repeat_n(' ', inner));
            }
            out.push_str(line);
            out.push('\n');
        }
    }
}

fn structure(
    out: &mut String,
    fields: &[(&'static str, Value)],
    indent: usize,
    compact: bool,
    depth: usize,
) {
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 || !compact {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        let _ = write!(out, "{}:", name.to_lowercase());
        below(out, value, indent, depth);
    }
}

fn below(out: &mut String, value: &Value, indent: usize, depth: usize) {
    let is_struct = matches!(value, Value::Object(object)
        if matches!(object.as_ref(), Object::Struct { .. }));
    let filled = is_struct
        || value.entries().is_some_and(|map| !map.borrow().is_empty())
        || value.items().is_some_and(|items| !items.is_empty());
    if filled {
        out.push('\n');
        node(out, value, indent + 2, false, depth + 1);
    } else {
        out.push(' ');
        node(out, value, indent + 2, true, depth + 1);
    }
}

fn float(number: f64) -> String {
    match () {
        () if number.is_nan() => ".nan".to_owned(),
        () if number.is_infinite() => if number > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        () => catalyst_yaml::format_float(number),
    }
}

fn scalar(value: &serde_json::Value) -> String {
    let text = catalyst_yaml::to_string(value);
    match value.as_str() {
        Some(given) if !given.contains('\n') && text.trim_end().contains('\n') => {
            // Only between double quotation marks a blank that would begin a line is
            // escaped.
            let whole = match text.starts_with('"') {
                true => text.replace("\n  \\ ", "  "),
                false => text,
            };
            format!("{}\n", whole.trim_end().replace("\n  ", " "))
        }
        _ => text,
    }
}
