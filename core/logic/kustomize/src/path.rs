//! Dotted paths of `replacements`: `spec.template.spec.containers.[name=web].env.0.value`.

use regex::Regex;
use serde_json::{Map, Value};

use crate::error::Fault;
use crate::field;
use crate::resource::scalar_text;

/// Splits at dots, but not within brackets; brackets around a plain name with
/// dots in it fall away.
pub fn split(path: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut pieces = field::split(path, '.').into_iter();
    while let Some(piece) = pieces.next() {
        if !piece.starts_with('[') || piece.ends_with(']') {
            parts.push(piece);
            continue;
        }
        let mut whole = piece;
        for more in pieces.by_ref() {
            whole.push('.');
            whole.push_str(&more);
            if more.ends_with(']') {
                break;
            }
        }
        parts.push(if whole.contains('=') {
            whole
        } else {
            whole.trim_matches(['[', ']']).to_owned()
        });
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// One step of a path.
enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Last,
    Every,
    /// Key (empty for lists of scalars) and value.
    Item(&'a str, &'a str),
}

fn step(part: &str) -> Result<Step<'_>, Fault> {
    if part == "*" {
        return Ok(Step::Every);
    }
    if part == "-" {
        return Ok(Step::Last);
    }
    if let Some(inner) = part.strip_prefix('[').and_then(|p| p.strip_suffix(']')) {
        return inner
            .split_once('=')
            .map(|(key, value)| Step::Item(key, value))
            .ok_or_else(|| Fault::new(format!("{part:?} should have the form [name=value]")));
    }
    if part.bytes().all(|b| b.is_ascii_digit()) {
        return part
            .parse()
            .map(Step::Index)
            .map_err(|_| Fault::new(format!("index {part} is out of bounds")));
    }
    Ok(Step::Field(part))
}

/// The one value that `path` leads to.
pub fn lookup<'a>(value: &'a Value, path: &[String]) -> Result<Option<&'a Value>, Fault> {
    let mut here = value;
    for part in path {
        let next = match step(part)? {
            Step::Every => return Err(Fault::new("wildcard is not supported in a source")),
            Step::Field(name) => here.get(name),
            Step::Index(at) => here.get(at),
            Step::Last => here.as_array().and_then(|items| items.last()),
            Step::Item(key, wanted) => here.as_array().and_then(|items| {
                items.iter().find(|item| {
                    if key.is_empty() {
                        scalar_text(item) == wanted
                    } else {
                        item.get(key).map(scalar_text).as_deref() == Some(wanted)
                    }
                })
            }),
        };
        match next {
            Some(found) => here = found,
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}

/// What to put where a target's field is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Create {
    Nothing,
    /// Null: the caller decides the scalar's type.
    Scalar,
    Map,
    List,
}

/// Calls `set` on every value `path` leads to; answers how many there were.
pub fn visit(
    value: &mut Value,
    path: &[String],
    create: Create,
    set: &mut dyn FnMut(&mut Value) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    let Some((part, rest)) = path.split_first() else {
        set(value)?;
        return Ok(1);
    };
    match step(part)? {
        Step::Field(name) => {
            let map = match value {
                Value::Object(map) => map,
                Value::Null => return Ok(0),
                _ => return Err(Fault::new(format!("{name:?} is not in a map"))),
            };
            if create == Create::Nothing {
                return match map.get_mut(name) {
                    Some(field) => visit(field, rest, create, set),
                    None => Ok(0),
                };
            }
            let field = map
                .entry(name)
                .or_insert_with(|| fresh(rest.first().map(String::as_str), create));
            visit(field, rest, create, set)
        }
        Step::Every => {
            let mut count = 0;
            for item in items(value, part)? {
                count += visit(item, rest, create, set)?;
            }
            Ok(count)
        }
        Step::Index(at) => {
            let items = items(value, part)?;
            if items.len() == at && create != Create::Nothing {
                items.push(fresh(rest.first().map(String::as_str), create));
            }
            let count = items.len();
            match items.get_mut(at) {
                Some(item) => visit(item, rest, create, set),
                None => Err(Fault::new(format!(
                    "index {at} specified but only {count} elements found"
                ))),
            }
        }
        Step::Last => match items(value, part)?.last_mut() {
            Some(item) => visit(item, rest, create, set),
            None => Ok(0),
        },
        Step::Item(key, wanted) => {
            let pattern = Regex::new(wanted)
                .map_err(|_| Fault::new(format!("{wanted:?} is not a regular expression")))?;
            let items = items(value, part)?;
            let mut count = 0;
            for round in 0..2 {
                for item in items.iter_mut() {
                    if key.is_empty() {
                        if pattern.is_match(&scalar_text(item)) {
                            set(item)?;
                            count += 1;
                        }
                    } else if item
                        .get(key)
                        .is_some_and(|field| pattern.is_match(&scalar_text(field)))
                    {
                        count += visit(item, rest, create, set)?;
                    }
                }
                if count > 0 || create == Create::Nothing || round > 0 {
                    break;
                }
                let text = Value::String(wanted.to_owned());
                items.push(if key.is_empty() {
                    text
                } else {
                    Value::Object(Map::from_iter([(key.to_owned(), text)]))
                });
            }
            Ok(count)
        }
    }
}

fn items<'a>(value: &'a mut Value, part: &str) -> Result<&'a mut Vec<Value>, Fault> {
    value
        .as_array_mut()
        .ok_or_else(|| Fault::new(format!("{part:?} is not in a list")))
}

/// What a missing field becomes, by the step after it.
fn fresh(next: Option<&str>, create: Create) -> Value {
    match next {
        None => match create {
            Create::Nothing | Create::Scalar => Value::Null,
            Create::Map => Value::Object(Map::new()),
            Create::List => Value::Array(Vec::new()),
        },
        Some(next) if next.starts_with('[') || next.bytes().all(|b| b.is_ascii_digit()) => {
            Value::Array(Vec::new())
        }
        Some(_) => Value::Object(Map::new()),
    }
}
