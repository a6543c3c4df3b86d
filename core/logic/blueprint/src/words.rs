//! The words of a configSchema: whether Catalyst's own, `x-catalyst-*`, are spelt as they
//! are known and stand where they are heeded, and whether the others are JSON Schema's.
//!
//! Called by lint. What must stay true: JSON Schema passes over words that it does not
//! know, so a slip in one of these would make a secret a plain setting, which goes to Git.

use catalyst_yaml::pointer::escape;
use serde_json::Value;

use crate::config::{MAX_DEPTH, PER_ENVIRONMENT, SECRET, UI_HINT, UI_ORDER, resolve};
use crate::suggest;

/// Catalyst's own words.
const OWN: [&str; 4] = [SECRET, PER_ENVIRONMENT, UI_HINT, UI_ORDER];
/// How a form can be told to ask.
const HINTS: [&str; 3] = ["password", "domain-picker", "application-ref"];
/// The words of JSON Schema 2020-12, and two that it keeps for older schemas.
const JSON_SCHEMA: [&str; 59] = [
    "$schema",
    "$id",
    "$ref",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$vocabulary",
    "$comment",
    "$defs",
    "definitions",
    "dependencies",
    "prefixItems",
    "items",
    "contains",
    "additionalProperties",
    "properties",
    "patternProperties",
    "dependentSchemas",
    "propertyNames",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "unevaluatedItems",
    "unevaluatedProperties",
    "type",
    "const",
    "enum",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];

/// One word that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON pointer inside the schema.
    pub(crate) pointer: String,
    /// The rule that it breaks.
    pub(crate) rule: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) fix: String,
}

/// Everything wrong with the words of a schema.
pub(crate) fn faults(schema: &Value) -> Vec<Fault> {
    let mut walk = Walk {
        root: schema,
        faults: Vec::new(),
    };
    walk.schema(schema, "", true, 0);
    walk.faults
}

struct Walk<'a> {
    root: &'a Value,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    /// `heeded` says whether marks are looked for here once there is a config: by
    /// [`crate::ConfigSchema::secret_pointers`], which this has to agree with.
    fn schema(&mut self, schema: &Value, pointer: &str, heeded: bool, depth: usize) {
        let Value::Object(map) = schema else {
            return;
        };
        if depth > MAX_DEPTH {
            return;
        }
        // What a reference leads to is looked into in place of what stands beside it.
        let inner = heeded && !map.contains_key("$ref");
        for (word, value) in map {
            let here = format!("{pointer}/{}", escape(word));
            match word.as_str() {
                "properties" => self.each(value, &here, inner, depth),
                "$defs" | "definitions" => self.each(value, &here, true, depth),
                "patternProperties" | "dependentSchemas" => self.each(value, &here, false, depth),
                "additionalProperties" | "items" | "then" | "else" => {
                    self.schema(value, &here, inner, depth + 1);
                }
                "if"
                | "not"
                | "contains"
                | "propertyNames"
                | "unevaluatedItems"
                | "unevaluatedProperties"
                | "contentSchema" => {
                    self.schema(value, &here, false, depth + 1);
                }
                "allOf" | "anyOf" | "oneOf" => self.list(value, &here, inner, depth),
                "prefixItems" => self.list(value, &here, false, depth),
                _ => self.word(word, value, here),
            }
        }
        if heeded {
            return;
        }
        for word in [SECRET, PER_ENVIRONMENT] {
            let is_marked = |schema: &Value| schema.get(word) == Some(&Value::Bool(true));
            if is_marked(schema) || is_marked(resolve(self.root, schema)) {
                self.faults.push(Fault {
                    pointer: pointer.to_owned(),
                    rule: "catalyst-word",
                    message: format!("`{word}` stands where it is not heeded"),
                    fix: "put it on a property that `properties`, `additionalProperties` or `items` leads to"
                        .to_owned(),
                });
            }
        }
    }

    fn each(&mut self, schemas: &Value, pointer: &str, heeded: bool, depth: usize) {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            let here = format!("{pointer}/{}", escape(name));
            self.schema(schema, &here, heeded, depth + 1);
        }
    }

    fn list(&mut self, schemas: &Value, pointer: &str, heeded: bool, depth: usize) {
        for (index, schema) in schemas.as_array().into_iter().flatten().enumerate() {
            self.schema(schema, &format!("{pointer}/{index}"), heeded, depth + 1);
        }
    }

    /// A word that leads to no further schema.
    fn word(&mut self, word: &str, value: &Value, pointer: String) {
        let wanted = match word {
            SECRET | PER_ENVIRONMENT => (!value.is_boolean()).then(|| "`true`".to_owned()),
            UI_HINT => {
                let is_hint = value.as_str().is_some_and(|hint| HINTS.contains(&hint));
                (!is_hint).then(|| format!("one of {}", HINTS.join(", ")))
            }
            UI_ORDER => {
                let names = value.as_array();
                let is_names = names.is_some_and(|names| names.iter().all(Value::is_string));
                (!is_names).then(|| "a list of names".to_owned())
            }
            _ => return self.stranger(word, pointer),
        };
        if let Some(wanted) = wanted {
            self.faults.push(Fault {
                pointer,
                rule: "catalyst-word",
                message: format!("`{word}` has a value that means nothing"),
                fix: format!("give it {wanted}"),
            });
        }
    }

    /// A word that is none of Catalyst's.
    fn stranger(&mut self, word: &str, pointer: String) {
        let own = suggest::nearest(word, OWN);
        if own.is_some() || word.starts_with("x-catalyst-") {
            self.faults.push(Fault {
                pointer,
                rule: "catalyst-word",
                message: format!("there is no word `{word}`, so it would mean nothing"),
                fix: match own {
                    Some(own) => format!("did you mean `{own}`?"),
                    None => format!("remove it; known are {}", OWN.join(", ")),
                },
            });
        } else if !word.starts_with("x-") && !JSON_SCHEMA.contains(&word) {
            self.faults.push(Fault {
                pointer,
                rule: "schema-word",
                message: format!("JSON Schema has no word `{word}`, so it means nothing"),
                fix: match suggest::nearest(word, JSON_SCHEMA) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "remove it".to_owned(),
                },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(schema: &Value) -> Vec<String> {
        faults(schema)
            .iter()
            .map(|it| format!("{} {}: {}; {}", it.pointer, it.rule, it.message, it.fix))
            .collect()
    }

    #[test]
    fn slips_in_words_are_told_and_what_is_right_is_not() {
        let good = json!({
            "type": "object", "additionalProperties": false, "x-catalyst-ui-order": ["key"],
            "properties": {
                "key": {"type": "string", "x-catalyst-secret": true, "x-catalyst-ui-hint": "password", "x-other": 1},
                "titel": {"type": "string", "default": {"no": "schema"}},
                "user": {"$ref": "#/$defs/user"},
                "list": {"items": {"x-catalyst-secret": false}},
            },
            "$defs": {"user": {"properties": {"password": {"type": "string", "x-catalyst-secret": true}}}},
        });
        assert_eq!(told(&good), Vec::<String>::new());
        for (schema, expected) in [
            (
                json!({"properties": {"key": {"x-catalyst-secrt": true}}}),
                "/properties/key/x-catalyst-secrt catalyst-word: there is no word `x-catalyst-secrt`, so it would mean nothing; did you mean `x-catalyst-secret`?",
            ),
            (
                json!({"x-catalist-secret": true}),
                "/x-catalist-secret catalyst-word: there is no word `x-catalist-secret`, so it would mean nothing; did you mean `x-catalyst-secret`?",
            ),
            (
                json!({"x-catalyst-colour": "red"}),
                "/x-catalyst-colour catalyst-word: there is no word `x-catalyst-colour`, so it would mean nothing; remove it; known are x-catalyst-secret, x-catalyst-per-environment, x-catalyst-ui-hint, x-catalyst-ui-order",
            ),
            (
                json!({"x-catalyst-secret": "true"}),
                "/x-catalyst-secret catalyst-word: `x-catalyst-secret` has a value that means nothing; give it `true`",
            ),
            (
                json!({"x-catalyst-ui-hint": "slider"}),
                "/x-catalyst-ui-hint catalyst-word: `x-catalyst-ui-hint` has a value that means nothing; give it one of password, domain-picker, application-ref",
            ),
            (
                json!({"x-catalyst-ui-order": [1]}),
                "/x-catalyst-ui-order catalyst-word: `x-catalyst-ui-order` has a value that means nothing; give it a list of names",
            ),
            (
                json!({"allOf": [{"minimun": 1}]}),
                "/allOf/0/minimun schema-word: JSON Schema has no word `minimun`, so it means nothing; did you mean `minimum`?",
            ),
        ] {
            assert_eq!(told(&schema), [expected]);
        }
    }

    #[test]
    fn a_mark_that_no_config_would_heed_is_told() {
        let secret = json!({"type": "string", "x-catalyst-secret": true});
        for (schema, config) in [
            (
                json!({"patternProperties": {"^k": secret}}),
                json!({"k1": "s"}),
            ),
            (
                json!({"properties": {"a": {"prefixItems": [secret]}}}),
                json!({"a": ["s"]}),
            ),
            (
                json!({"dependentSchemas": {"a": {"properties": {"b": secret}}}}),
                json!({"a": 1, "b": "s"}),
            ),
            (
                json!({"if": {"properties": {"a": secret}}}),
                json!({"a": "s"}),
            ),
            (
                json!({"$ref": "#/$defs/o", "properties": {"a": secret}, "$defs": {"o": {}}}),
                json!({"a": "s"}),
            ),
            (
                json!({"patternProperties": {"^k": {"$ref": "#/$defs/s"}}, "$defs": {"s": secret}}),
                json!({"k1": "s"}),
            ),
        ] {
            let found = told(&schema);
            assert_eq!(found.len(), 1, "{schema}: {found:?}");
            assert!(
                found[0].contains("stands where it is not heeded"),
                "{found:?}"
            );
            // It is as lint says.
            let compiled = crate::ConfigSchema::compile(&schema).unwrap();
            assert!(compiled.secret_pointers(&config).is_empty(), "{schema}");
        }
    }
}
