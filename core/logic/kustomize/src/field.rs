//! Field specifications: which field of which kinds a transformer changes.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Fault;
use crate::identity::Gvk;

/// A path such as `spec/template/metadata/labels` in objects of some kinds.
/// `[]` after a name says that it holds a list; a list is walked through
/// either way. `\/` is a slash inside a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldSpec {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub path: String,
    /// Makes the field, and maps on the way to it, where it is missing.
    pub create: bool,
}

impl FieldSpec {
    pub fn any(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    pub fn of(group: &str, kind: &str, path: &str) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            path: path.to_owned(),
            ..Self::default()
        }
    }

    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    pub fn created(mut self) -> Self {
        self.create = true;
        self
    }

    pub fn gvk(&self) -> Gvk {
        Gvk {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
        }
    }
}

/// Adds a specification unless one that covers it is there.
pub fn add(specs: &mut Vec<FieldSpec>, new: FieldSpec) -> Result<(), Fault> {
    let selector = new.gvk();
    match specs
        .iter()
        .find(|old| old.path == new.path && old.gvk().is_selected_by(&selector))
    {
        Some(old) if old.create != new.create => Err(Fault::new(format!(
            "two field specifications for {:?} disagree about `create`",
            new.path
        ))),
        Some(_) => Ok(()),
        None => {
            specs.push(new);
            Ok(())
        }
    }
}

/// What to make where a field is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Nothing,
    Scalar,
    Map,
}

/// Calls `set` on every value that `spec` leads to in `object`.
pub fn visit(
    object: &mut Value,
    spec: &FieldSpec,
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or("");
    if !Gvk::of(text("apiVersion"), text("kind")).is_selected_by(&spec.gvk()) {
        return Ok(());
    }
    let path = split(&spec.path, '/');
    let make = if spec.create { make } else { Make::Nothing };
    walk(object, &path, make, set)
        .map_err(|Fault(message)| Fault::new(format!("field {:?}: {message}", spec.path)))
}

fn walk(
    value: &mut Value,
    path: &[String],
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some((name, rest)) = path.split_first() else {
        return set(value);
    };
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => {
            for item in items {
                walk(item, path, make, set)?;
            }
            Ok(())
        }
        Value::Object(map) => {
            let (name, is_list) = match name.strip_suffix("[]") {
                Some(shorter) => (shorter, true),
                None => (name.as_str(), false),
            };
            let fresh = match make {
                _ if is_list => None,
                Make::Nothing => None,
                Make::Scalar if rest.is_empty() => Some(Value::String(String::new())),
                Make::Scalar | Make::Map => Some(Value::Object(Map::new())),
            };
            match (map.get_mut(name), fresh) {
                (Some(field), fresh) => {
                    if field.is_null() {
                        if is_list {
                            *field = Value::Array(Vec::new());
                        } else if let Some(fresh) = fresh {
                            *field = fresh;
                        }
                    }
                    walk(field, rest, make, set)
                }
                (None, Some(mut fresh)) => {
                    walk(&mut fresh, rest, make, set)?;
                    map.insert(name.to_owned(), fresh);
                    Ok(())
                }
                (None, None) => Ok(()),
            }
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Err(Fault::new(format!(
            "{name:?} is looked for in something that is neither a map nor a list"
        ))),
    }
}

/// Splits at `delimiter` unless a backslash stands before it.
pub fn split(path: &str, delimiter: char) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let path = path.strip_prefix(delimiter).unwrap_or(path);
    for piece in path.split(delimiter) {
        match parts.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(piece);
            }
            _ => parts.push(piece.to_owned()),
        }
    }
    parts
}
