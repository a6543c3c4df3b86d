//! The shape of `blueprint.yaml`, checked against a schema so that all mistakes
//! come out at once, each with its line and the nearest word that would be known.

use std::sync::LazyLock;

use catalyst_yaml::pointer::escape;
use jsonschema::{Validator, error::ValidationErrorKind};
use serde_json::{Value, json};

use crate::{Problem, file::Blueprint, locate, suggest};

/// The schema of the file, compiled once: a catalog of many Blueprints is read again
/// and again.
static SHAPE: LazyLock<Option<(Value, Validator)>> = LazyLock::new(|| {
    let schema = schema();
    let validator = jsonschema::options().build(&schema).ok()?;
    Some((schema, validator))
});

/// One mistake of shape.
pub(crate) struct Mistake {
    /// JSON pointer of what is not as it should be.
    pub pointer: String,
    /// What is wrong with it.
    pub what: What,
    /// How it is told, each with the JSON pointer of the place that it is about.
    pub problems: Vec<(String, Problem)>,
}

/// What is wrong with a place.
pub(crate) enum What {
    /// It has fields of these names, which nobody knows.
    Unknown(Vec<String>),
    /// It lacks the field of this name.
    Missing(String),
    /// It is not of the kind or form asked for.
    Wrong,
}

/// Every mistake of shape, in the order of the lines.
pub(crate) fn check(text: &str, value: &Value) -> Vec<Problem> {
    let mut problems: Vec<Problem> = mistakes(text, value)
        .into_iter()
        .flat_map(|mistake| mistake.problems)
        .map(|(_, problem)| problem)
        .collect();
    problems.sort();
    problems.dedup();
    problems
}

/// The same by their places.
pub(crate) fn mistakes(text: &str, value: &Value) -> Vec<Mistake> {
    let Some((_, validator)) = &*SHAPE else {
        let problem = Problem {
            file: Blueprint::FILE.to_owned(),
            line: None,
            rule: "shape",
            message: "the built-in schema of Blueprints is broken".to_owned(),
            fix: "report this as a bug of Catalyst".to_owned(),
        };
        return vec![Mistake {
            pointer: String::new(),
            what: What::Wrong,
            problems: vec![(String::new(), problem)],
        }];
    };
    validator
        .iter_errors(value)
        .map(|error| {
            let pointer = error.instance_path().to_string();
            let fallback = error.masked_with("the value").to_string();
            describe(text, pointer, error.kind(), &fallback)
        })
        .collect()
}

/// The names of the fields that are known at a place.
pub(crate) fn fields_at(pointer: &str) -> Vec<String> {
    let schema = SHAPE.as_ref().map(|(schema, _)| schema_at(schema, pointer));
    schema
        .and_then(|schema| schema.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// Whether a place takes a value of this one's type.
pub(crate) fn takes(pointer: &str, value: &Value) -> bool {
    let Some((schema, _)) = &*SHAPE else {
        return false;
    };
    let is_type = |word: &str| match word {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match schema_at(schema, pointer).get("type") {
        Some(Value::String(word)) => is_type(word),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).any(is_type),
        // One of some words.
        _ => value.is_string(),
    }
}

/// Where fields of a name are known, but for those of the items of lists.
pub(crate) fn places_of(field: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Some((schema, _)) = &*SHAPE {
        collect_places(schema, "", field, &mut found);
    }
    found
}

fn collect_places(schema: &Value, pointer: &str, field: &str, found: &mut Vec<String>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let here = format!("{pointer}/{name}");
        collect_places(inner, &here, field, found);
        if name == field {
            found.push(here);
        }
    }
}

/// A version that has the form of a semantic one and is none.
pub(crate) fn not_a_version(line: Option<usize>) -> Problem {
    let (rule, wanted) = wanted_form("/spec/version");
    Problem {
        file: Blueprint::FILE.to_owned(),
        line,
        rule,
        message: format!("spec.version is not {wanted}"),
        fix: format!("write {wanted}"),
    }
}

fn describe(text: &str, pointer: String, kind: &ValidationErrorKind, fallback: &str) -> Mistake {
    let place = if pointer.is_empty() {
        "the file".to_owned()
    } else {
        pointer.trim_start_matches('/').replace('/', ".")
    };
    let problem = |place: &str, rule, message: String, fix: String| Problem {
        file: Blueprint::FILE.to_owned(),
        line: locate::line_of_pointer(text, place),
        rule,
        message,
        fix,
    };
    let below = |field: &str| format!("{pointer}/{}", escape(field));
    let (what, problems) = match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = fields_at(&pointer);
            let problems = unexpected.iter().map(|field| {
                let here = below(field);
                let fix = match suggest::nearest(field, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("remove it; known here: {}", known.join(", ")),
                };
                let message = format!("{place} has no field `{field}`");
                let told = problem(&here, "unknown-field", message, fix);
                (here, told)
            });
            (What::Unknown(unexpected.clone()), problems.collect())
        }
        ValidationErrorKind::Required { property } => {
            let field = property.as_str().unwrap_or_default();
            let message = format!("{place} lacks the field `{field}`");
            let told = problem(&pointer, "missing-field", message, format!("add `{field}`"));
            (What::Missing(field.to_owned()), vec![(below(field), told)])
        }
        ValidationErrorKind::Pattern { .. } => {
            let (rule, wanted) = wanted_form(&pointer);
            let message = format!("{place} is not {wanted}");
            let told = problem(&pointer, rule, message, format!("write {wanted}"));
            (What::Wrong, vec![(pointer.clone(), told)])
        }
        _ => {
            let message = format!("{place}: {fallback}");
            let fix = "give a value of the kind asked for".to_owned();
            let told = problem(&pointer, "wrong-value", message, fix);
            (What::Wrong, vec![(pointer.clone(), told)])
        }
    };
    Mistake {
        pointer,
        what,
        problems,
    }
}

/// What a field with a pattern should look like, and the rule that says so.
fn wanted_form(pointer: &str) -> (&'static str, &'static str) {
    match pointer.rsplit('/').next().unwrap_or_default() {
        "name" | "blueprint" => ("name", "a Blueprint name such as `bp-wordpress`"),
        "version" => (
            "version",
            "a semantic version without build metadata such as `1.3.0`",
        ),
        "alias" => (
            "alias",
            "an alias of small letters, digits and hyphens such as `db`",
        ),
        "ttl" => ("ttl", "a duration such as `90d`"),
        _ => ("wrong-value", "in the form asked for"),
    }
}

/// What the schema says of a place.
fn schema_at<'a>(schema: &'a Value, pointer: &str) -> &'a Value {
    let mut here = schema;
    for part in pointer.split('/').skip(1) {
        here = here
            .get("properties")
            .and_then(|properties| properties.get(part))
            .or_else(|| here.get("items"))
            .or_else(|| here.get("additionalProperties"))
            .unwrap_or(&Value::Null);
    }
    here
}

/// The schema of the file. `configSchema` and `values` are open: their own rules
/// are checked by lint.
pub(crate) fn schema() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let name =
        json!({"type": "string", "pattern": "^bp-[a-z][a-z0-9]*(-[a-z0-9]+)*$", "maxLength": 63});
    let version = json!({"type": "string", "pattern": "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$"});
    let pointer = json!({"type": "string", "pattern": "^(/[^/]+)+$"});
    let closed = |required: Value, properties: Value| {
        json!({
            "type": "object", "additionalProperties": false,
            "required": required, "properties": properties,
        })
    };
    closed(
        json!(["apiVersion", "kind", "metadata", "spec"]),
        json!({
            "apiVersion": {"const": "catalyst.openova.io/v1alpha1"},
            "kind": {"const": "Blueprint"},
            "metadata": closed(json!(["name"]), json!({"name": name})),
            "spec": closed(json!(["version", "card", "manifests"]), json!({
                "version": version,
                "card": closed(json!(["title", "license"]), json!({
                    "title": {"type": "string", "minLength": 1}, "tagline": text, "category": text, "tags": texts,
                    "icon": text, "license": {"type": "string", "minLength": 1}, "documentation": text,
                })),
                "visibility": {"enum": ["listed", "unlisted", "private"]},
                "owner": closed(json!(["team"]), json!({"team": text, "contact": text})),
                "configSchema": {"type": "object"},
                "placementSchema": closed(json!([]), json!({
                    "modes": {"type": "array", "minItems": 1, "items": {"enum": ["single-region", "active-active", "active-hotstandby"]}},
                    "minRegions": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "maxRegions": {"type": "integer", "minimum": 1, "maximum": 1000},
                })),
                "depends": {"type": "array", "items": closed(json!(["blueprint", "version"]), json!({
                    "blueprint": name, "source": text, "version": {"type": "string", "minLength": 1},
                    "alias": {"type": "string", "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$", "maxLength": 20},
                    "when": text, "values": {"type": "object"},
                }))},
                "manifests": closed(json!(["source"]), json!({
                    "source": closed(json!(["kind"]), json!({"kind": {"enum": ["HelmChart", "Kustomize"]}})),
                    "overlays": {"type": "object", "additionalProperties": {"type": "object"}},
                })),
                "provides": closed(json!([]), json!({
                    "connectionSecret": closed(json!(["keys"]), json!({
                        "keys": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
                        "values": {"type": "object", "additionalProperties": text},
                    })),
                    "http": closed(json!(["port"]), json!({"port": {"type": ["string", "integer"]}})),
                })),
                "hostAccess": {"type": "array", "items": closed(json!(["kind", "reason"]), json!({
                    "kind": {"enum": ["hostNetwork", "hostPID", "hostIPC", "hostPath", "privileged", "hostPort"]},
                    "reason": {"type": "string", "minLength": 1},
                    "paths": {"type": "array", "items": {"type": "string", "pattern": "^/"}},
                    "ports": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
                }))},
                "upgrades": closed(json!([]), json!({
                    "from": texts, "blocks": texts,
                    "values": {"type": "array", "items": closed(json!(["before"]), json!({
                        "before": version, "move": pointer, "to": pointer, "remove": pointer,
                    }))},
                })),
                "rotation": {"type": "array", "items": closed(json!(["kind", "name", "ttl"]), json!({
                    "kind": text, "name": text, "ttl": {"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"},
                }))},
                "observability": closed(json!([]), json!({"metrics": text, "logs": text, "traces": text})),
            })),
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{PER_ENVIRONMENT, SECRET};

    const PAGE: &str = include_str!("../../../../docs/BLUEPRINT-AUTHORING.md");

    /// The dotted paths of what has no fields of its own; `[]` is any item of a list.
    fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let items = schema
            .get("items")
            .filter(|it| it.get("properties").is_some());
        let (schema, path) = match items {
            Some(items) => (items, format!("{path}[]")),
            None => (schema, path.to_owned()),
        };
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            found.insert(path);
            return;
        };
        for (name, inner) in properties {
            let dot = if path.is_empty() { "" } else { "." };
            leaves(inner, &format!("{path}{dot}{name}"), found);
        }
    }

    /// The rows of the page's tables that begin with a word in backticks: that word, and
    /// the other cells.
    fn rows() -> Vec<(&'static str, Vec<&'static str>)> {
        let rows = PAGE.lines().filter_map(|line| {
            let row = line.strip_prefix("| `")?.strip_suffix(" |")?;
            let (word, rest) = row.split_once("` | ")?;
            Some((word, rest.split(" | ").collect()))
        });
        rows.collect()
    }

    #[test]
    fn the_page_for_authors_has_every_field_and_no_other() {
        let mut fields = BTreeSet::new();
        leaves(&schema(), "", &mut fields);
        assert!(fields.contains("spec.depends[].when"), "{fields:?}");
        let found: BTreeSet<String> = rows()
            .into_iter()
            .filter(|(word, cells)| {
                let is_field = word.starts_with("spec.") || fields.contains(*word);
                assert!(!is_field || cells.len() == 3, "{word}: {cells:?}");
                is_field
            })
            .map(|(word, _)| word.to_owned())
            .collect();
        assert_eq!(found, fields);
        for keyword in [
            SECRET,
            PER_ENVIRONMENT,
            "x-catalyst-ui-hint",
            "x-catalyst-ui-order",
        ] {
            assert!(rows().iter().any(|(word, _)| *word == keyword), "{keyword}");
        }
    }

    #[test]
    fn the_example_on_the_page_for_authors_is_one() {
        let example = PAGE.split("```yaml\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let blueprint = Blueprint::parse(example).unwrap();
        let spec = &blueprint.spec;
        let faults = crate::upgrades::faults(&spec.version, &spec.upgrades);
        assert_eq!(faults, []);
        let schema = crate::ConfigSchema::compile(&spec.config_schema).unwrap();
        assert_eq!(schema.form().len(), 3);
    }
}
