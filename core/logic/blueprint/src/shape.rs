//! The shape of `blueprint.yaml`, checked against a schema so that all mistakes
//! come out at once, each with its line and the nearest word that would be known.

use std::sync::LazyLock;

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

/// Every mistake of shape, in the order of the lines.
pub(crate) fn check(text: &str, value: &Value) -> Vec<Problem> {
    let Some((schema, validator)) = &*SHAPE else {
        return vec![Problem {
            file: Blueprint::FILE.to_owned(),
            line: None,
            rule: "shape",
            message: "the built-in schema of Blueprints is broken".to_owned(),
            fix: "report this as a bug of Catalyst".to_owned(),
        }];
    };
    let mut problems: Vec<Problem> = validator
        .iter_errors(value)
        .flat_map(|error| {
            let pointer = error.instance_path().to_string();
            let properties = properties_of(schema, &pointer);
            describe(
                text,
                &pointer,
                error.kind(),
                &error.masked_with("the value").to_string(),
                &properties,
            )
        })
        .collect();
    problems.sort();
    problems.dedup();
    problems
}

fn describe(
    text: &str,
    pointer: &str,
    kind: &ValidationErrorKind,
    fallback: &str,
    known: &[String],
) -> Vec<Problem> {
    let place = if pointer.is_empty() {
        "the file".to_owned()
    } else {
        pointer.trim_start_matches('/').replace('/', ".")
    };
    let problem = |line, rule, message: String, fix: String| Problem {
        file: Blueprint::FILE.to_owned(),
        line,
        rule,
        message,
        fix,
    };
    match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|field| {
                let line = locate::line_of_pointer(text, &format!("{pointer}/{field}"));
                let fix = match suggest::nearest(field, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("remove it; known here: {}", known.join(", ")),
                };
                problem(
                    line,
                    "unknown-field",
                    format!("{place} has no field `{field}`"),
                    fix,
                )
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let field = property.as_str().unwrap_or_default();
            vec![problem(
                locate::line_of_pointer(text, pointer),
                "missing-field",
                format!("{place} lacks the field `{field}`"),
                format!("add `{field}`"),
            )]
        }
        ValidationErrorKind::Pattern { .. } => {
            let (rule, wanted) = wanted_form(pointer);
            vec![problem(
                locate::line_of_pointer(text, pointer),
                rule,
                format!("{place} is not {wanted}"),
                format!("write {wanted}"),
            )]
        }
        _ => vec![problem(
            locate::line_of_pointer(text, pointer),
            "wrong-value",
            format!("{place}: {fallback}"),
            "give a value of the kind asked for".to_owned(),
        )],
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

/// The names of the fields the schema knows at a place.
fn properties_of(schema: &Value, pointer: &str) -> Vec<String> {
    let mut here = schema;
    for part in pointer.split('/').skip(1) {
        here = here
            .get("properties")
            .and_then(|properties| properties.get(part))
            .or_else(|| here.get("items"))
            .or_else(|| here.get("additionalProperties"))
            .unwrap_or(&Value::Null);
    }
    here.get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
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
