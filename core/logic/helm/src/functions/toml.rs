//! TOML as BurntSushi's library writes it, and TOML read.
//!
//! Reading is `toml_edit`'s, which knows every rule of the language that a reader
//! of our own got wrong (tables defined twice, dates without a zone, control
//! characters). Writing is our own, because charts compare what Helm writes to
//! the byte and no crate writes it that way: two blanks for each level, a blank
//! line before tables of the first level and before every table of a list, plain
//! keys before tables, inline tables with what commas BurntSushi leaves in them.

use std::rc::Rc;

use toml_edit::{Document, Item, Table, TomlError};

use super::{Row, arg, text};
use crate::bounds;
use crate::objects::{CHART, Object};
use crate::value::Value;

/// Nesting written before the rest is refused; a map may hold itself.
const MAX_DEPTH: usize = 200;

pub const TABLE: &[Row] = &[
    ("toToml", "a", |engine, a| {
        let value = arg(a, 0);
        if matches!(value, Value::Nil) {
            return Err(super::data::ZERO_VALUE.into());
        }
        let mut out = String::new();
        let written = encode(&mut out, &[], &value);
        engine.charge(out.len())?;
        Ok(Value::text(match written {
            Ok(()) => out,
            Err(why) => format!("toml: {why}"),
        }))
    }),
    ("fromToml", "s", |engine, a| {
        let text = text(a, 0);
        engine.charge(text.len())?;
        Ok(match Document::parse(text) {
            Ok(document) => read_table(document.as_table()),
            Err(error) => {
                Value::map([("Error".to_owned(), Value::text(fault(text, &error)))].into())
            }
        })
    }),
];

/// An entry of a table, and its place among a struct's fields as Go counts them.
struct Entry {
    name: String,
    value: Value,
    place: usize,
}

/// What a value is to TOML.
enum Shape {
    /// Left out of tables, refused in lists.
    Nil,
    Scalar,
    List(Rc<Vec<Value>>),
    /// In the order in which Go comes to them.
    Table(Vec<Entry>),
}

fn shape(value: &Value) -> Shape {
    let fields = |fields: &[(&'static str, Value)], embedded: bool| {
        let last = fields.len().saturating_sub(1);
        let entry = |(at, (name, value)): (usize, &(&'static str, Value))| Entry {
            name: (*name).to_owned(),
            value: value.clone(),
            // What a chart's metadata holds is one field of the chart.
            place: if embedded {
                usize::from(at == last)
            } else {
                at
            },
        };
        Shape::Table(fields.iter().enumerate().map(entry).collect())
    };
    match value {
        Value::Nil => return Shape::Nil,
        Value::Object(object) => match object.as_ref() {
            Object::Time(_) | Object::Version(_) => return Shape::Scalar,
            Object::Struct {
                fields: all,
                type_name,
                ..
            } => return fields(all, *type_name == CHART),
            object if object.is_nil() => return Shape::Nil,
            _ => {}
        },
        _ => {}
    }
    if let Some(items) = value.items() {
        return Shape::List(items);
    }
    match value.entries() {
        Some(map) => Shape::Table(
            map.borrow()
                .iter()
                .enumerate()
                .map(|(place, (name, value))| Entry {
                    name: name.clone(),
                    value: value.clone(),
                    place,
                })
                .collect(),
        ),
        None => Shape::Scalar,
    }
}

/// Whether a value stands in a section of its own: a table, or a list of only such.
fn is_section(value: &Value, depth: usize) -> Result<bool, String> {
    Ok(match shape(value) {
        Shape::Nil | Shape::Scalar => false,
        Shape::Table(_) => true,
        Shape::List(items) => is_table_list(&items, depth)?,
    })
}

fn is_table_list(items: &[Value], depth: usize) -> Result<bool, String> {
    let deeper = within(depth)?;
    let mut only_tables = !items.is_empty();
    for item in items {
        within(deeper)?;
        match shape(item) {
            Shape::Nil => return Err("cannot encode array with nil element".to_owned()),
            Shape::Table(_) => {}
            Shape::Scalar => only_tables = false,
            Shape::List(inner) => {
                is_table_list(&inner, deeper)?;
                only_tables = false;
            }
        }
    }
    Ok(only_tables)
}

fn within(depth: usize) -> Result<usize, String> {
    bounds::visit();
    if bounds::is_spent() {
        bounds::exceed();
        return Err("there are too many values".to_owned());
    }
    if depth > MAX_DEPTH {
        return Err("the values are nested too deep".to_owned());
    }
    Ok(depth + 1)
}

fn line_feed(out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
}

fn indent(out: &mut String, path: &[String]) {
    out.push_str(&"  ".repeat(path.len().saturating_sub(1)));
}

fn encode(out: &mut String, path: &[String], value: &Value) -> Result<(), String> {
    within(path.len())?;
    match shape(value) {
        Shape::Nil if value.entries().is_some() => Ok(()),
        Shape::Nil | Shape::Scalar => line(out, path, value),
        Shape::List(items) if is_table_list(&items, 0)? => {
            if path.is_empty() {
                return Err("top-level values must be Go maps or structs".to_owned());
            }
            for item in items.iter() {
                if let Shape::Table(entries) = shape(item) {
                    line_feed(out);
                    indent(out, path);
                    out.push_str(&format!("[[{}]]", title(path)));
                    line_feed(out);
                    section(out, path, entries)?;
                }
            }
            Ok(())
        }
        Shape::List(_) => line(out, path, value),
        Shape::Table(entries) => {
            if path.len() == 1 {
                line_feed(out);
            }
            if !path.is_empty() {
                indent(out, path);
                out.push_str(&format!("[{}]", title(path)));
                line_feed(out);
            }
            section(out, path, entries)
        }
    }
}

/// Plain keys first, then those with sections of their own.
fn sorted(entries: Vec<Entry>) -> Result<(Vec<Entry>, Vec<Entry>), String> {
    let (mut plain, mut sections) = (Vec::new(), Vec::new());
    for entry in entries {
        if is_section(&entry.value, 0)? {
            sections.push(entry);
        } else {
            plain.push(entry);
        }
    }
    Ok((plain, sections))
}

fn section(out: &mut String, path: &[String], entries: Vec<Entry>) -> Result<(), String> {
    let (plain, sections) = sorted(entries)?;
    for entry in plain.into_iter().chain(sections) {
        if !matches!(shape(&entry.value), Shape::Nil) {
            let path: Vec<String> = path.iter().cloned().chain([entry.name]).collect();
            encode(out, &path, &entry.value)?;
        }
    }
    Ok(())
}

/// `key = value`; what has no key stands by itself, although it is no TOML then.
fn line(out: &mut String, path: &[String], value: &Value) -> Result<(), String> {
    let Some(name) = path.last() else {
        return element(out, value, 0);
    };
    indent(out, path);
    out.push_str(&format!("{} = ", key(name)));
    element(out, value, 0)?;
    out.push('\n');
    Ok(())
}

fn title(path: &[String]) -> String {
    let parts: Vec<String> = path.iter().map(|part| key(part)).collect();
    parts.join(".")
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value where no section can begin.
fn element(out: &mut String, value: &Value, depth: usize) -> Result<(), String> {
    let deeper = within(depth)?;
    match (shape(value), value) {
        (Shape::List(items), _) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                element(out, item, deeper)?;
            }
            out.push(']');
        }
        (Shape::Table(entries), _) => inline(out, entries, value, deeper)?,
        (Shape::Nil, _) => out.push_str("[]"),
        (Shape::Scalar, Value::Float(number)) => float(out, *number),
        (Shape::Scalar, Value::Str(text)) => out.push_str(&quoted(text)),
        (Shape::Scalar, Value::Object(object)) => {
            let text = object.to_json(&|_| None);
            let text = text.as_ref().and_then(serde_json::Value::as_str);
            let text = text.unwrap_or_default();
            match object.as_ref() {
                Object::Time(_) => out.push_str(text),
                _ => out.push_str(&quoted(text)),
            }
        }
        (Shape::Scalar, value) => out.push_str(&crate::format::show(value)),
    }
    Ok(())
}

/// BurntSushi counts what it leaves out when it comes to commas.
fn inline(
    out: &mut String,
    entries: Vec<Entry>,
    value: &Value,
    depth: usize,
) -> Result<(), String> {
    let count = entries.len();
    let is_struct = value.entries().is_none();
    let (plain, sections) = sorted(entries)?;
    let more_follow = !sections.is_empty();
    out.push('{');
    for (entries, more_follow) in [(plain, more_follow), (sections, false)] {
        let last = entries.len().saturating_sub(1);
        for (at, entry) in entries.into_iter().enumerate() {
            if matches!(shape(&entry.value), Shape::Nil) {
                continue;
            }
            out.push_str(&format!("{} = ", key(&entry.name)));
            element(out, &entry.value, depth)?;
            let is_last = if is_struct {
                entry.place + 1 == count
            } else {
                !more_follow && at == last
            };
            if !is_last {
                out.push_str(", ");
            }
        }
    }
    out.push('}');
    Ok(())
}

fn float(out: &mut String, number: f64) {
    if !number.is_finite() {
        out.push_str(if number.is_sign_negative() { "-" } else { "" });
        out.push_str(if number.is_nan() { "nan" } else { "inf" });
        return;
    }
    let text = catalyst_yaml::format_float(number);
    out.push_str(&text);
    if !text.contains(['.', 'e']) {
        out.push_str(".0");
    }
}

fn fault(text: &str, error: &TomlError) -> String {
    let at = error.span().map_or(text.len(), |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    format!("toml: line {line}: {}", error.message())
}

fn read_table(table: &Table) -> Value {
    Value::map(
        table
            .iter()
            .map(|(name, item)| (name.to_owned(), read_item(item)))
            .collect(),
    )
}

fn read_item(item: &Item) -> Value {
    match item {
        Item::None => Value::Nil,
        Item::Value(value) => read_value(value),
        Item::Table(table) => read_table(table),
        Item::ArrayOfTables(tables) => Value::typed(
            "[]map[string]interface {}",
            tables.iter().map(read_table).collect(),
        ),
    }
}

fn read_value(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::text(text.value()),
        toml_edit::Value::Integer(number) => Value::Int64(*number.value()),
        toml_edit::Value::Float(number) => Value::Float(*number.value()),
        toml_edit::Value::Boolean(flag) => Value::Bool(*flag.value()),
        toml_edit::Value::Datetime(time) => super::date::from_toml(time.value()),
        toml_edit::Value::Array(items) => Value::list(items.iter().map(read_value).collect()),
        toml_edit::Value::InlineTable(table) => Value::map(
            table
                .iter()
                .map(|(name, value)| (name.to_owned(), read_value(value)))
                .collect(),
        ),
    }
}
