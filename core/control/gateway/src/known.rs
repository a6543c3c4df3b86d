//! The properties of the JSON bodies that the REST API takes, from the same declarations
//! as the OpenAPI document, and the names of all others: a slip in the name of a property
//! would else change what is done in silence.
//!
//! Called by [`crate::body`], before a body is read. What must stay true: whatever the
//! document names is let through, and so is what it leaves open, such as a config.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use catalyst_blueprint::nearest;
use catalyst_yaml::pointer::escape;
use serde_json::{Map, Value};

use crate::openapi::openapi;

/// The most characters of a name that is repeated: no property has as many, so that more
/// of them may be a secret in the wrong place.
const LONGEST: usize = 40;

/// By name.
static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut document = openapi();
    match document.pointer_mut("/components/schemas").map(Value::take) {
        Some(Value::Object(schemas)) => schemas,
        _ => Map::new(),
    }
});

/// JSON pointer and message of each property of a body that a schema of the document,
/// given by its name, does not know.
pub fn unknown(schema: &str, body: &Value) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    if let Some(schema) = SCHEMAS.get(schema) {
        judge(&SCHEMAS, &[schema], body, "", &mut faults);
    }
    faults
}

/// What a value may have by the schemas that describe it together.
#[derive(Default)]
struct Shape<'a> {
    properties: BTreeMap<&'a str, Vec<&'a Value>>,
    /// What describes the values of all other properties.
    others: Vec<&'a Value>,
    items: Vec<&'a Value>,
    /// Whether any property may be there.
    is_open: bool,
}

impl<'a> Shape<'a> {
    fn of(schemas: &'a Map<String, Value>, described: &[&'a Value], value: &Value) -> Self {
        let mut shape = Self::default();
        for &schema in described {
            shape.add(schemas, schema, value);
        }
        shape
    }

    fn add(&mut self, schemas: &'a Map<String, Value>, schema: &'a Value, value: &Value) {
        let named = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| schemas.get(reference.rsplit('/').next()?));
        if let Some(named) = named {
            self.add(schemas, named, value);
        }
        let list = |name: &str| schema.get(name).and_then(Value::as_array);
        let parts = list("allOf").into_iter().flatten();
        parts.for_each(|part| self.add(schemas, part, value));
        for union in ["oneOf", "anyOf"] {
            let all = list(union).map(Vec::as_slice).unwrap_or_default();
            let meant = |one: &&Value| is_meant(schemas, one, value);
            let is_known = all.iter().any(|one| meant(&one));
            all.iter()
                .filter(|one| !is_known || meant(one))
                .for_each(|one| self.add(schemas, one, value));
        }
        self.items.extend(schema.get("items"));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            self.properties.entry(name).or_default().push(property);
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(is_open)) => self.is_open |= is_open,
            Some(others) => self.others.push(others),
            None => self.is_open |= properties.is_none() && may_be_object(schema),
        }
    }
}

/// Whether a schema says that a value may be an object, and nothing of its properties.
fn may_be_object(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        // A schema that says nothing at all takes anything.
        _ => !["$ref", "allOf", "oneOf", "anyOf", "enum"]
            .iter()
            .any(|word| schema.get(word).is_some()),
    }
}

/// Whether one of several alternatives can be the one that is given: the word that tells
/// them apart is its own.
fn is_meant(schemas: &Map<String, Value>, alternative: &Value, value: &Value) -> bool {
    let shape = Shape::of(schemas, &[alternative], value);
    shape.properties.iter().all(|(name, described)| {
        described.iter().all(|schema| {
            let words = schema.get("enum").and_then(Value::as_array);
            match words.map(Vec::as_slice) {
                Some([word]) => value.get(name).is_none_or(|given| given == word),
                _ => true,
            }
        })
    })
}

fn judge(
    schemas: &Map<String, Value>,
    described: &[&Value],
    value: &Value,
    pointer: &str,
    faults: &mut Vec<(String, String)>,
) {
    match value {
        Value::Object(given) => {
            let shape = Shape::of(schemas, described, value);
            for (name, inner) in given {
                let at = format!("{pointer}/{}", escape(name));
                if let Some(described) = shape.properties.get(name.as_str()) {
                    judge(schemas, described, inner, &at, faults);
                } else if !shape.others.is_empty() {
                    judge(schemas, &shape.others, inner, &at, faults);
                } else if !shape.is_open && !shape.properties.is_empty() {
                    faults.push(fault(name, at, pointer, &shape));
                }
            }
        }
        Value::Array(items) => {
            let shape = Shape::of(schemas, described, value);
            for (index, item) in items.iter().enumerate() {
                let at = format!("{pointer}/{index}");
                judge(schemas, &shape.items, item, &at, faults);
            }
        }
        _ => {}
    }
}

fn fault(name: &str, at: String, within: &str, shape: &Shape<'_>) -> (String, String) {
    let known: Vec<&str> = shape.properties.keys().copied().collect();
    if name.chars().count() > LONGEST {
        let known = known.join(", ");
        let message = format!("it has a property with a name that none has; there are {known}");
        return (within.to_owned(), message);
    }
    let message = match nearest(name, known.iter().copied()) {
        Some(near) => format!("there is no such property; did you mean {near}?"),
        None => format!("there is no such property, only {}", known.join(", ")),
    };
    (at, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_property_that_is_not_known_is_told_with_the_nearest() {
        let long = "x".repeat(64);
        for (schema, body, expected) in [
            (
                "CreateSovereign",
                json!({"config": {"any": {"thing": 1}}, "planOnly": true}),
                vec![],
            ),
            (
                "CreateSovereign",
                json!({"config": {}, "planonly": true, "credentials": {"hetznerTokn": "x"}}),
                vec![
                    ("/credentials/hetznerTokn", "did you mean hetznerToken?"),
                    ("/planonly", "did you mean planOnly?"),
                ],
            ),
            (
                "PlanSovereign",
                json!({"create": true}),
                vec![("/create", "only config, credentials, removedByHand")],
            ),
            (
                "ResumeSovereign",
                json!({"config": null, "create": true}),
                vec![],
            ),
            (
                "ResumeSovereign",
                json!({"config": {"workerCount": 1}}),
                vec![],
            ),
            // Where the value is of another kind, reading it says so.
            (
                "CreateSovereign",
                json!({"credentials": "x", "config": []}),
                vec![],
            ),
            ("CreateSovereign", json!(["x"]), vec![]),
            // What may be a secret is not repeated.
            (
                "CreateSovereign",
                json!({"config": {}, "credentials": {(long.clone()): 1}}),
                vec![("/credentials", "there are gitPassword, ")],
            ),
            // One of several commands, beside the digest of its plan.
            (
                "Execute",
                json!({"command": "install", "name": "a", "blueprint": "bp-a", "config": {"x": 1}, "dependencies": {"db": "a"}, "plan": "d"}),
                vec![],
            ),
            (
                "Execute",
                json!({"command": "change", "application": "a", "pauzed": true}),
                vec![("/pauzed", "did you mean paused?")],
            ),
            (
                "ApplicationCommand",
                json!({"command": "promote", "application": "a", "to": "b", "data": "drop"}),
                vec![("/data", "only application, command, to")],
            ),
            (
                "StartUpgrade",
                json!({"blueprint": "bp-a", "to": "1.0.0", "plan": "d", "wave": []}),
                vec![("/wave", "did you mean waves?")],
            ),
            (
                "PolicyView",
                json!({"name": "a", "environments": [], "rules": [{"any": 1}]}),
                vec![],
            ),
        ] {
            let found = unknown(schema, &body);
            assert_eq!(found.len(), expected.len(), "{schema} {body}: {found:?}");
            for ((pointer, message), (at, said)) in found.iter().zip(expected) {
                assert_eq!(pointer, at, "{schema} {body}");
                assert!(message.contains(said), "{message}");
                assert!(!message.contains(&long), "{message}");
            }
        }
    }

    #[test]
    fn a_map_knows_every_name_and_judges_its_values() {
        let document = json!({
            "Map": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/One"}},
            "List": {"type": "array", "items": {"$ref": "#/components/schemas/One"}},
            "One": {"type": "object", "properties": {"a/b": {"type": "string"}}},
        });
        let schemas = document.as_object().unwrap();
        for (schema, body, expected) in [
            ("Map", json!({"x": {"a/b": ""}}), vec![]),
            ("Map", json!({"x": {"a/c": ""}}), vec!["/x/a~1c"]),
            ("List", json!([{}, {"c": 1}]), vec!["/1/c"]),
        ] {
            let mut found = Vec::new();
            judge(schemas, &[&schemas[schema]], &body, "", &mut found);
            let pointers: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
            assert_eq!(pointers, expected, "{schema} {body}");
        }
    }
}
