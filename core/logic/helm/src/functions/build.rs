//! text/template's own functions.

use std::cmp::Ordering;

use super::{Row, arg, text};
use crate::exec::{Engine, Outcome};
use crate::format::{show, sprint};
use crate::printf::sprintf;
use crate::value::Value;

pub const TABLE: &[Row] = &[
    // The executor treats these two itself: they stop early.
    ("and", "VV*", |_, args| Ok(arg(args, 0))),
    ("or", "VV*", |_, args| Ok(arg(args, 0))),
    ("not", "V", |_, args| {
        Ok(Value::Bool(!arg(args, 0).is_true()))
    }),
    ("eq", "VV*", eq),
    ("ne", "VV", |engine, args| match eq(engine, args)? {
        Value::Bool(equal) => Ok(Value::Bool(!equal)),
        other => Ok(other),
    }),
    ("lt", "VV", |_, args| order(args, |o| o.is_lt())),
    ("le", "VV", |_, args| order(args, |o| o.is_le())),
    ("gt", "VV", |_, args| order(args, |o| o.is_gt())),
    ("ge", "VV", |_, args| order(args, |o| o.is_ge())),
    ("len", "V", len),
    ("index", "VV*", index),
    ("print", "a*", |_, args| Ok(Value::text(sprint(args)))),
    ("println", "a*", |_, args| {
        let words: Vec<String> = args.iter().map(show).collect();
        Ok(Value::text(words.join(" ") + "\n"))
    }),
    ("printf", "sa*", |engine, args| {
        let out = sprintf(text(args, 0), args.get(1..).unwrap_or_default());
        engine.charge(out.len())?;
        Ok(Value::text(out))
    }),
    ("html", "a*", |_, args| Ok(Value::text(html(&joined(args))))),
    ("js", "a*", |_, args| Ok(Value::text(js(&joined(args))))),
    ("urlquery", "a*", |_, args| {
        Ok(Value::text(url_query(&joined(args))))
    }),
    ("call", "aa*", |_, args| {
        Err(format!("non-function of type {}", arg(args, 0).type_name()).into())
    }),
];

/// text/template's `evalArgs`: as `print`, but nil says that there is no value.
fn joined(args: &[Value]) -> String {
    let args: Vec<Value> = args
        .iter()
        .map(|arg| match arg {
            Value::Nil => Value::text("<no value>"),
            arg => arg.clone(),
        })
        .collect();
    sprint(&args)
}

#[derive(PartialEq)]
enum Basic {
    Bool,
    Int,
    Uint,
    Float,
    Text,
    Other,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(_) | Value::Int64(_) => Basic::Int,
        Value::Uint(..) => Basic::Uint,
        Value::Float(_) => Basic::Float,
        Value::Str(_) => Basic::Text,
        _ => Basic::Other,
    }
}

/// An integer of either sign.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) | Value::Int64(number) => Some(i128::from(*number)),
        Value::Uint(number, _) => Some(i128::from(*number)),
        _ => None,
    }
}

/// `%s` of a value, as the comparison's errors show it.
fn as_text(value: &Value) -> String {
    sprintf("%s", std::slice::from_ref(value))
}

/// Whether Go takes the value for nil of its type.
fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Object(object) => object.is_nil(),
        _ => false,
    }
}

fn eq(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let Some((first, rest)) = args.split_first() else {
        return Err("missing argument for comparison".into());
    };
    if rest.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in rest {
        let equal = match (first, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (a, b) if whole(a).is_some() && whole(b).is_some() => whole(a) == whole(b),
            (a, b) if basic(a) != basic(b) => {
                if !matches!(a, Value::Nil) && !matches!(b, Value::Nil) {
                    return Err(format!(
                        "incompatible types for comparison: {} and {}",
                        a.type_name(),
                        b.type_name()
                    )
                    .into());
                }
                false
            }
            (a, b) => {
                let (kind, other_kind) = (a.kind_name(), b.kind_name());
                if kind != other_kind && kind != "invalid" && other_kind != "invalid" {
                    return Err(format!(
                        "non-comparable types {}: {}, {}: {}",
                        as_text(a),
                        a.type_name(),
                        b.type_name(),
                        show(b)
                    )
                    .into());
                }
                if is_nil(a) || is_nil(b) {
                    is_nil(a) == is_nil(b)
                } else if matches!(other_kind, "slice" | "map")
                    || matches!(b, Value::Object(object) if object.has_lists())
                {
                    return Err(
                        format!("non-comparable type {}: {}", as_text(b), b.type_name()).into(),
                    );
                } else {
                    match (a, b) {
                        (Value::Object(a), Value::Object(b)) if b.kind_name() == "struct" => {
                            a.type_name() == b.type_name()
                                && Value::Object(a.clone()).deep_equal(&Value::Object(b.clone()))
                        }
                        (Value::Object(a), Value::Object(b)) => std::rc::Rc::ptr_eq(a, b),
                        _ => false,
                    }
                }
            }
        };
        if equal {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn order(args: &[Value], holds: fn(Ordering) -> bool) -> Outcome<Value> {
    let (a, b) = (arg(args, 0), arg(args, 1));
    let ordering = match (&a, &b) {
        (a, b) if whole(a).is_some() && whole(b).is_some() => whole(a).cmp(&whole(b)).into(),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Bool(_), Value::Bool(_)) => return Err("invalid type for comparison".into()),
        (a, b) if basic(a) == Basic::Other || basic(b) == Basic::Other => {
            return Err("invalid type for comparison".into());
        }
        (a, b) => {
            return Err(format!(
                "incompatible types for comparison: {} and {}",
                a.type_name(),
                b.type_name()
            )
            .into());
        }
    };
    Ok(Value::Bool(ordering.is_some_and(holds)))
}

fn len(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let value = arg(args, 0);
    let length = match &value {
        // The executor answers for nil.
        Value::Nil => return Err("len of nil pointer".into()),
        Value::Str(text) => text.len(),
        other => match (other.items(), other.entries()) {
            (Some(items), _) => items.len(),
            (_, Some(entries)) => entries.borrow().len(),
            _ => {
                // It is what a pointer leads to that has no length.
                let name = other.type_name();
                return Err(format!("len of type {}", name.trim_start_matches('*')).into());
            }
        },
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn place(index: &Value, most: usize) -> Outcome<usize> {
    match index {
        Value::Int(_) | Value::Int64(_) | Value::Uint(..) => whole(index)
            .and_then(|number| usize::try_from(number).ok())
            .filter(|place| *place <= most)
            .ok_or_else(|| format!("index out of range: {}", show(index)).into()),
        Value::Nil => Err("cannot index slice/array with nil".into()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name()).into()),
    }
}

fn index(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let mut value = arg(args, 0);
    if matches!(value, Value::Nil) {
        return Err("index of untyped nil".into());
    }
    for index in args.iter().skip(1) {
        if matches!(value, Value::Nil) {
            return Err("index of nil pointer".into());
        }
        value = if let Some(items) = value.items() {
            let at = place(index, items.len())?;
            items
                .get(at)
                .cloned()
                .ok_or("reflect: slice index out of range")?
        } else if let Some(entries) = value.entries() {
            match index {
                Value::Str(key) => {
                    let found = entries.borrow().get(key.as_ref()).cloned();
                    match (found, value.type_name()) {
                        (Some(found), _) => found,
                        (None, "map[string]string") => Value::text(""),
                        (None, "engine.files") => Value::nil_bytes(),
                        (None, _) => Value::Nil,
                    }
                }
                Value::Nil => return Err("value is nil; should be of type string".into()),
                other => {
                    return Err(
                        format!("value has type {}; should be string", other.type_name()).into(),
                    );
                }
            }
        } else if let Value::Str(text) = &value {
            let at = place(index, text.len())?;
            let byte = text
                .as_bytes()
                .get(at)
                .ok_or("reflect: string index out of range")?;
            Value::Uint(u64::from(*byte), "uint8")
        } else {
            // Go looks through a pointer first.
            let name = value.type_name();
            let name = name.strip_prefix('*').unwrap_or(name);
            return Err(format!("can't index item of type {name}").into());
        };
    }
    Ok(value)
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if !crate::format::is_print(c) && c != '\u{7f}' => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

pub fn url_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
