//! `replacements`: copies a value from one object into fields of others.

use serde::Deserialize;
use serde_json::Value;

use crate::error::Fault;
use crate::identity::Id;
use crate::path::{self, Create};
use crate::resource::{Resource, scalar_text};
use crate::selector::Selector;

/// An entry of the field: a replacement, or the path of a file with one or a
/// list of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplacementEntry {
    pub path: String,
    pub source: Option<Source>,
    pub targets: Vec<Target>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Source {
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
    field_path: String,
    options: Option<FieldOptions>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Target {
    select: Option<Selector>,
    reject: Vec<Selector>,
    field_paths: Vec<String>,
    options: Option<FieldOptions>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldOptions {
    delimiter: String,
    index: i64,
    /// Read for the format's sake; kustomize does not apply it either.
    #[serde(rename = "encoding")]
    _encoding: String,
    create: bool,
}

const DEFAULT_PATH: &str = "metadata.name";

/// Reads a file that an entry's path names.
pub fn parse(text: &[u8]) -> Result<Vec<ReplacementEntry>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::new("the file is not UTF-8"))?;
    let value = catalyst_yaml::from_str(text).map_err(|error| Fault::new(error.to_string()))?;
    let value = match value {
        Value::Object(_) => Value::Array(vec![value]),
        other => other,
    };
    serde_json::from_value(value).map_err(|error| Fault::new(error.to_string()))
}

/// Applies one replacement.
pub fn apply(resources: &mut [Resource], entry: &ReplacementEntry) -> Result<(), Fault> {
    let Some(source) = entry.source.as_ref().filter(|_| !entry.targets.is_empty()) else {
        return Err(Fault::new(
            "replacements must specify a source and at least one target",
        ));
    };
    let value = source.value(resources)?;
    for target in &entry.targets {
        let Some(select) = &target.select else {
            return Err(Fault::new("target must specify resources to select"));
        };
        for object in resources.iter_mut() {
            if target.means(select, object)? {
                target.write(object, &value)?;
            }
        }
    }
    Ok(())
}

impl Source {
    fn value(&self, resources: &[Resource]) -> Result<Value, Fault> {
        let selector = Selector {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            ..Selector::default()
        }
        .id();
        let mut matches = resources.iter().filter(|object| {
            object
                .all_ids()
                .iter()
                .any(|id| id.is_selected_by(&selector))
        });
        let (object, more) = (matches.next(), matches.next());
        let Some(object) = object else {
            return Err(Fault::new(format!("nothing selected by {selector}")));
        };
        if more.is_some() {
            return Err(Fault::new(format!(
                "multiple matches for selector {selector}"
            )));
        }
        let field = or_default(&self.field_path);
        let found = path::lookup(&object.value, &path::split(field))?;
        let Some(found) = found.filter(|value| !is_nothing(value)) else {
            return Err(Fault::new(format!(
                "fieldPath `{field}` is missing for replacement source {selector}"
            )));
        };
        let Some(options) = self.options.as_ref().filter(|o| !o.delimiter.is_empty()) else {
            return Ok(found.clone());
        };
        if found.is_object() || found.is_array() {
            return Err(Fault::new(
                "delimiter option can only be used with scalar nodes",
            ));
        }
        let text = scalar_text(found);
        usize::try_from(options.index)
            .ok()
            .and_then(|at| text.split(&options.delimiter).nth(at))
            .map(|part| Value::String(part.to_owned()))
            .ok_or_else(|| {
                Fault::new(format!(
                    "options.index {} is out of bounds for value {text}",
                    options.index
                ))
            })
    }
}

impl Target {
    fn means(&self, select: &Selector, object: &Resource) -> Result<bool, Fault> {
        if !select.labels_fit(object)? {
            return Ok(false);
        }
        for reject in &self.reject {
            if reject.has_requirements() && reject.labels_fit(object)? {
                return Ok(false);
            }
        }
        let ids = object.all_ids();
        let rejected = self.reject.iter().any(|reject| {
            let selector = reject.id();
            selector != Id::default() && ids.iter().any(|id| id.is_selected_by(&selector))
        });
        let selector = select.id();
        Ok(!rejected && ids.iter().any(|id| id.is_selected_by(&selector)))
    }

    fn write(&self, object: &mut Resource, value: &Value) -> Result<(), Fault> {
        let options = self.options.clone().unwrap_or_default();
        let create = match (options.create, value) {
            (false, _) => Create::Nothing,
            (true, Value::Object(_)) => Create::Map,
            (true, Value::Array(_)) => Create::List,
            (true, _) => Create::Scalar,
        };
        let paths: Vec<&str> = if self.field_paths.is_empty() {
            vec![DEFAULT_PATH]
        } else {
            self.field_paths.iter().map(String::as_str).collect()
        };
        for field in paths {
            let unable = |why: &str| {
                let or_create = if options.create {
                    "find or create"
                } else {
                    "find"
                };
                Fault::new(format!(
                    "unable to {or_create} field {field:?} in replacement target{why}"
                ))
            };
            let mut wrong = None;
            let count = path::visit(&mut object.value, &path::split(field), create, &mut |at| {
                let set = assign(at, value, &options);
                if let Err(fault) = &set {
                    wrong = Some(fault.clone());
                }
                set
            });
            match (count, wrong) {
                (_, Some(fault)) => return Err(fault),
                (Err(Fault(message)), None) => return Err(unable(&format!(": {message}"))),
                (Ok(0), None) => return Err(unable("")),
                (Ok(_), None) => {}
            }
        }
        Ok(())
    }
}

/// Puts `value` where `field` is. A scalar keeps its type: only the text goes
/// over, so that a number can land in a string and back.
fn assign(field: &mut Value, value: &Value, options: &FieldOptions) -> Result<(), Fault> {
    let mut value = value.clone();
    let is_scalar = !field.is_object() && !field.is_array();
    if !options.delimiter.is_empty() {
        if !is_scalar {
            return Err(Fault::new(
                "delimiter option can only be used with scalar nodes",
            ));
        }
        let text = scalar_text(field);
        let mut parts: Vec<String> = text.split(&options.delimiter).map(str::to_owned).collect();
        let new = scalar_text(&value);
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, new),
            Ok(at) => match parts.get_mut(at) {
                Some(part) => *part = new,
                None => parts.push(new),
            },
        }
        value = Value::String(parts.join(&options.delimiter));
    }
    if !is_scalar {
        *field = value;
        return Ok(());
    }
    let text = scalar_text(&value);
    *field = match field {
        Value::String(_) => Value::String(text),
        _ => plain(text),
    };
    Ok(())
}

/// What a text without quotes means.
fn plain(text: String) -> Value {
    match catalyst_yaml::from_str(&text) {
        Ok(value @ (Value::Number(_) | Value::Null)) => value,
        Ok(value @ Value::Bool(_))
            if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") =>
        {
            value
        }
        _ => Value::String(text),
    }
}

fn or_default(path: &str) -> &str {
    if path.is_empty() { DEFAULT_PATH } else { path }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
