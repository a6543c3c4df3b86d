//! Values held against the charts' own JSON Schemas.
//!
//! Called by the renderer, before any template. What must stay true: a schema
//! cannot reach outside itself, its expressions match in linear time, and one that
//! would be applied more often than `MOST` is refused instead: a few references to
//! each other are enough for more than anyone can wait for.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::chart::{Chart, Kept};

/// Schemas applied to values, of one chart.
const MOST: usize = 1_000_000;
/// Schemas within each other, and values.
const MAX_DEPTH: usize = 2_000;
/// Bytes of a compiled expression.
const MAX_COMPILED: usize = 1 << 20;

/// Whether the chart or one of its subcharts has a schema.
pub fn has_any(chart: &Chart) -> bool {
    chart.schema.is_some() || chart.subcharts.iter().any(has_any)
}

/// Adds what is wrong to `problems`, a paragraph for each chart.
pub fn check(chart: &Chart, values: &Value, problems: &mut String) {
    if let Some(schema) = &chart.schema {
        let found = faults(schema, values, &chart.kept);
        if !found.is_empty() {
            problems.push_str(&format!("{}:\n{}", chart.name, found.concat()));
        }
    }
    for sub in &chart.subcharts {
        match values.get(&sub.name) {
            Some(inner @ Value::Object(_)) => check(sub, inner, problems),
            None | Some(Value::Null) => {}
            Some(_) => problems.push_str(&format!(
                "{}:\ninvalid type for values: expected object (map)\n",
                sub.name
            )),
        }
    }
}

fn faults(schema: &Value, instance: &Value, kept: &Kept) -> Vec<String> {
    let mut walk = Walk {
        root: schema,
        left: MOST,
    };
    if walk.apply(schema, instance, 0).is_none() {
        return vec![format!(
            "- the schema itself is not valid: it would be applied more than {MOST} times\n"
        )];
    }
    let validator = match kept.validator(|| compile(schema)) {
        Ok(validator) => validator,
        Err(error) => return vec![format!("- the schema itself is not valid: {error}\n")],
    };
    validator
        .iter_errors(instance)
        .map(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "/" } else { &place };
            format!("- at '{place}': {}\n", worded(&error, instance))
        })
        .collect()
}

/// What is wrong: as Helm says it of properties that may not be there, else in the
/// library's words.
fn worded(error: &ValidationError<'_>, instance: &Value) -> String {
    let of =
        |names: Vec<String>| format!("additional properties '{}' not allowed", names.join("', '"));
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => of(unexpected.clone()),
        ValidationErrorKind::FalseSchema => {
            // Where no property may be there, the error is of the first one's value, but
            // at the place of the map.
            let found = instance.pointer(error.instance_path().as_str());
            match found.and_then(Value::as_object) {
                Some(map) if found != Some(&**error.instance()) => {
                    of(map.keys().cloned().collect())
                }
                _ => "false schema".to_owned(),
            }
        }
        _ => error.to_string(),
    }
}

fn compile(schema: &Value) -> Result<Validator, String> {
    let patterns = PatternOptions::regex().size_limit(MAX_COMPILED);
    let options = jsonschema::options().with_pattern_options(patterns);
    options.build(schema).map_err(|error| error.to_string())
}

/// Goes where a validator would go, without asking what is true.
struct Walk<'a> {
    root: &'a Value,
    left: usize,
}

impl<'a> Walk<'a> {
    /// `None` where there is too much to do.
    fn apply(&mut self, schema: &'a Value, instance: &Value, depth: usize) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        if depth > MAX_DEPTH {
            return None;
        }
        let Value::Object(keys) = schema else {
            return Some(());
        };
        for (key, below) in keys {
            match (key.as_str(), below) {
                ("$ref" | "$recursiveRef" | "$dynamicRef", Value::String(reference)) => {
                    // One that leads elsewhere is refused by the validator.
                    let pointer = reference.strip_prefix('#').unwrap_or("");
                    let to = self.root.pointer(pointer).unwrap_or(self.root);
                    self.apply(to, instance, depth + 1)?;
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                    for one in all {
                        self.apply(one, instance, depth + 1)?;
                    }
                }
                ("not" | "if" | "then" | "else", one) => {
                    self.apply(one, instance, depth + 1)?;
                }
                ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                    for one in all.values() {
                        self.apply(one, instance, depth + 1)?;
                    }
                }
                ("properties", Value::Object(all)) => {
                    for (name, one) in all {
                        if let Some(value) = instance.get(name) {
                            self.apply(one, value, depth + 1)?;
                        }
                    }
                }
                ("patternProperties", Value::Object(all)) => {
                    for one in all.values() {
                        self.apply_below(one, instance, depth)?;
                    }
                }
                (
                    "additionalProperties"
                    | "unevaluatedProperties"
                    | "propertyNames"
                    | "items"
                    | "additionalItems"
                    | "unevaluatedItems"
                    | "contains",
                    one @ Value::Object(_),
                ) => self.apply_below(one, instance, depth)?,
                ("items" | "prefixItems", Value::Array(all)) => {
                    for (one, value) in all.iter().zip(instance.as_array().into_iter().flatten()) {
                        self.apply(one, value, depth + 1)?;
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn apply_below(&mut self, schema: &'a Value, instance: &Value, depth: usize) -> Option<()> {
        match instance {
            Value::Array(items) => items
                .iter()
                .try_for_each(|value| self.apply(schema, value, depth + 1)),
            Value::Object(map) => map
                .values()
                .try_for_each(|value| self.apply(schema, value, depth + 1)),
            _ => Some(()),
        }
    }
}
