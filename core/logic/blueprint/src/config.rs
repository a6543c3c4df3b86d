//! The config schema of a Blueprint: JSON Schema 2020-12 with Catalyst's own
//! `x-catalyst-*` words, compiled without any way to reach the network.

use catalyst_yaml::pointer::{escape, parts};
use jsonschema::{Draft, PatternOptions, Validator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{Problem, locate, suggest};

/// The word that marks a property whose value never enters Git.
pub(crate) const SECRET: &str = "x-catalyst-secret";
/// The word that marks a property that promotion leaves alone.
pub(crate) const PER_ENVIRONMENT: &str = "x-catalyst-per-environment";
/// The word that says how a form asks for a property.
pub(crate) const UI_HINT: &str = "x-catalyst-ui-hint";
/// The word that orders the properties of a form.
pub(crate) const UI_ORDER: &str = "x-catalyst-ui-order";
/// The deepest schema that is walked; deeper ones are refused when compiled.
pub(crate) const MAX_DEPTH: usize = 64;

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It reaches outside itself.
    #[error(
        "configSchema refers to `{reference}` at {place}: only references inside the schema (`#/…`) are followed; copy the definition into $defs"
    )]
    RemoteReference {
        /// The reference.
        reference: String,
        /// Where it stands.
        place: String,
    },
    /// It is nested beyond reason.
    #[error("configSchema is nested deeper than {MAX_DEPTH} levels; make it flatter")]
    TooDeep,
    /// It is not JSON Schema.
    #[error("configSchema is not a JSON Schema at {place}: {reason}")]
    Invalid {
        /// Where it is wrong.
        place: String,
        /// Why.
        reason: String,
    },
}

/// What a config is about to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigForm {
    /// As a user submits it: a secret is its value, or a reference kept from before.
    Submitted,
    /// As it stands in Git: a secret is `{secretRef: name}` and nothing else.
    Committed,
}

/// One thing wrong with a config. Never quotes a value. Written out, it begins with
/// the place, such as `config.title`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ConfigProblem {
    /// JSON pointer inside the config.
    pub pointer: String,
    /// The schema word that was broken.
    pub keyword: String,
    /// What is wrong there, and what to do; does not say the place again.
    pub message: String,
}

impl std::fmt::Display for ConfigProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", place_name(&self.pointer), self.message)
    }
}

impl ConfigProblem {
    /// The same as a finding in an `application.yaml`, with its line.
    pub fn in_file(&self, file: &str, text: &str) -> Problem {
        Problem {
            file: file.to_owned(),
            line: locate::line_of_pointer(text, &format!("/spec/config{}", self.pointer)),
            rule: "config",
            message: self.to_string(),
            fix: "see the Blueprint's configSchema".to_owned(),
        }
    }
}

/// A compiled config schema.
#[derive(Debug)]
pub struct ConfigSchema {
    source: Value,
    submitted: Validator,
    committed: Validator,
}

impl ConfigSchema {
    /// Everything for which a schema cannot be used; nothing of one that
    /// [`Self::compile`] takes.
    pub fn errors(schema: &Value) -> Vec<SchemaError> {
        let first = match Self::compile(schema) {
            Ok(_) => return Vec::new(),
            Err(first) => first,
        };
        let mut errors = outside_references(schema, "#", 0);
        // What is too deep is not walked any further.
        if first != SchemaError::TooDeep {
            let meta = jsonschema::draft202012::meta::validator();
            errors.extend(meta.iter_errors(schema).map(|error| invalid(&error)));
        }
        if !errors.contains(&first) {
            errors.insert(0, first);
        }
        errors
    }

    /// Compiles a schema, or says why it cannot be used.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        if let Some(error) = outside_references(schema, "#", 0).into_iter().next() {
            return Err(error);
        }
        Ok(Self {
            source: schema.clone(),
            submitted: build(&with_references(schema, ConfigForm::Submitted))?,
            committed: build(&with_references(schema, ConfigForm::Committed))?,
        })
    }

    /// The schema as it was given.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Everything wrong with a config, in the order of its pointers.
    pub fn validate_config(&self, config: &Value, form: ConfigForm) -> Vec<ConfigProblem> {
        let validator = match form {
            ConfigForm::Submitted => &self.submitted,
            ConfigForm::Committed => &self.committed,
        };
        let secrets = self.secret_pointers(config);
        let mut problems: Vec<ConfigProblem> = validator
            .iter_errors(config)
            .flat_map(|error| {
                let pointer = error.instance_path().to_string();
                let about_secret = secrets
                    .iter()
                    .any(|secret| pointer == *secret || pointer.starts_with(&format!("{secret}/")));
                let keyword = error.kind().keyword();
                let is_reference = secrets.contains(&pointer)
                    && config.pointer(&pointer).is_some_and(is_reference);
                if is_reference && !matches!(keyword, "required" | "additionalProperties") {
                    return vec![asks_for_no_reference(pointer, keyword)];
                }
                self.describe(
                    &pointer,
                    &error,
                    about_secret && form == ConfigForm::Committed,
                )
            })
            .collect();
        problems.sort();
        problems.dedup();
        problems
    }

    fn describe(
        &self,
        pointer: &str,
        error: &jsonschema::ValidationError<'_>,
        is_committed_secret: bool,
    ) -> Vec<ConfigProblem> {
        use jsonschema::error::ValidationErrorKind;
        let keyword = error.kind().keyword().to_owned();
        let problem = |pointer: String, message: String| ConfigProblem {
            pointer,
            keyword: keyword.clone(),
            message,
        };
        if is_committed_secret {
            return vec![problem(
                pointer.to_owned(),
                "it is a secret and may not stand in Git; set it in the console or with the API, which stores it in the vault and commits {secretRef: name}".to_owned(),
            )];
        }
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
                .iter()
                .map(|field| {
                    let known = self.known_properties(pointer);
                    let hint = match suggest::nearest(field, known.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if known.is_empty() => "remove it".to_owned(),
                        None => format!("known here: {}", known.join(", ")),
                    };
                    problem(
                        format!("{pointer}/{}", escape(field)),
                        format!("there is no such property; {hint}"),
                    )
                })
                .collect(),
            ValidationErrorKind::Required { property } => {
                let field = property.as_str().unwrap_or_default();
                vec![problem(
                    format!("{pointer}/{}", escape(field)),
                    "it is required; give it a value".to_owned(),
                )]
            }
            _ => vec![problem(
                pointer.to_owned(),
                error.masked_with("the value").to_string(),
            )],
        }
    }

    fn known_properties(&self, pointer: &str) -> Vec<String> {
        let mut here = &self.source;
        for name in parts(pointer) {
            here = resolve(&self.source, here);
            here = here
                .get("properties")
                .and_then(|properties| properties.get(&name))
                .or_else(|| here.get("items"))
                .unwrap_or(&Value::Null);
        }
        resolve(&self.source, here)
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Pointers of the places in `config` that hold a secret or a reference to one.
    pub fn secret_pointers(&self, config: &Value) -> Vec<String> {
        self.marked_pointers(config, SECRET)
    }

    /// Pointers of the places in `config` whose value belongs to its Environment.
    pub fn per_environment_pointers(&self, config: &Value) -> Vec<String> {
        self.marked_pointers(config, PER_ENVIRONMENT)
    }

    fn marked_pointers(&self, config: &Value, word: &str) -> Vec<String> {
        let mut found = Vec::new();
        mark(&self.source, &self.source, config, word, "", 0, &mut found);
        found.sort();
        found.dedup();
        found
    }

    /// The config with the schema's defaults filled in where it says nothing.
    pub fn with_defaults(&self, config: &Value) -> Value {
        let mut result = if config.is_null() {
            Value::Object(Map::new())
        } else {
            config.clone()
        };
        fill(&self.source, &self.source, &mut result, 0);
        result
    }
}

/// Whether a value has the form of `{secretRef: name}`.
fn is_reference(value: &Value) -> bool {
    value.get("secretRef").is_some_and(Value::is_string)
}

/// A schema that says of a secret what a reference to one can never be, outside of what is
/// marked as the secret: no config fits it.
fn asks_for_no_reference(pointer: String, keyword: &str) -> ConfigProblem {
    ConfigProblem {
        pointer,
        keyword: keyword.to_owned(),
        message: format!(
            "it is a secret, which stands in Git as {{secretRef: name}}, and the configSchema of the Blueprint asks by `{keyword}` for what that can never be: no value will do; take another version of the Blueprint, or tell whoever publishes it"
        ),
    }
}

pub(crate) fn build(schema: &Value) -> Result<Validator, SchemaError> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        // Patterns come from Blueprints; this engine is linear in its input.
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(schema)
        .map_err(|error| invalid(&error))
}

fn invalid(error: &jsonschema::ValidationError<'_>) -> SchemaError {
    SchemaError::Invalid {
        place: error.instance_path().to_string(),
        reason: error.to_string(),
    }
}

/// Every reference that leads out of the schema; that it is too deep to look for them
/// stands alone.
fn outside_references(schema: &Value, place: &str, depth: usize) -> Vec<SchemaError> {
    let mut found = Vec::new();
    match collect_outside_references(schema, place, depth, &mut found) {
        Ok(()) => found,
        Err(error) => vec![error],
    }
}

fn collect_outside_references(
    schema: &Value,
    place: &str,
    depth: usize,
    found: &mut Vec<SchemaError>,
) -> Result<(), SchemaError> {
    if depth > MAX_DEPTH {
        return Err(SchemaError::TooDeep);
    }
    match schema {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            if matches!(key.as_str(), "$ref" | "$dynamicRef" | "$schema")
                && let Value::String(reference) = value
            {
                let is_dialect =
                    key == "$schema" && reference == "https://json-schema.org/draft/2020-12/schema";
                if !is_dialect && (key == "$schema" || !reference.starts_with('#')) {
                    found.push(SchemaError::RemoteReference {
                        reference: reference.clone(),
                        place: place.to_owned(),
                    });
                }
            }
            let here = format!("{place}/{}", escape(key));
            collect_outside_references(value, &here, depth + 1, found)
        }),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            collect_outside_references(item, &format!("{place}/{index}"), depth + 1, found)
        }),
        _ => Ok(()),
    }
}

/// Rewrites the marked subschemas so that a secret may (or must) be a reference.
fn with_references(schema: &Value, form: ConfigForm) -> Value {
    match schema {
        Value::Object(map) => {
            let inner: Map<String, Value> = map
                .iter()
                .map(|(key, value)| {
                    // Data, not schemas: leave them as they are.
                    let is_data = matches!(key.as_str(), "default" | "const" | "enum" | "examples");
                    let value = if is_data {
                        value.clone()
                    } else {
                        with_references(value, form)
                    };
                    (key.clone(), value)
                })
                .collect();
            if map.get(SECRET) != Some(&Value::Bool(true)) {
                return Value::Object(inner);
            }
            let reference = json!({
                "type": "object",
                "required": ["secretRef"],
                "additionalProperties": false,
                "properties": {"secretRef": {
                    "type": "string", "maxLength": 63,
                    "pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
                }},
            });
            match form {
                ConfigForm::Committed => reference,
                ConfigForm::Submitted => {
                    json!({"if": {"type": "object"}, "then": reference, "else": inner})
                }
            }
        }
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| with_references(item, form))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Follows a chain of local references; a loop of them ends at its start.
pub(crate) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut here = schema;
    for _ in 0..MAX_DEPTH {
        let Some(pointer) = here
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix('#'))
        else {
            return here;
        };
        match root.pointer(pointer) {
            Some(target) => here = target,
            None => return here,
        }
    }
    schema
}

/// The subschemas that all apply at the same place.
pub(crate) fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|word| schema.get(word).and_then(Value::as_array))
        .flatten()
        .chain(
            ["then", "else"]
                .into_iter()
                .filter_map(|word| schema.get(word)),
        )
}

fn mark(
    root: &Value,
    schema: &Value,
    value: &Value,
    word: &str,
    pointer: &str,
    depth: usize,
    found: &mut Vec<String>,
) {
    if depth > MAX_DEPTH {
        return;
    }
    let is_marked = |schema: &Value| schema.get(word) == Some(&Value::Bool(true));
    // A mark may stand beside a $ref as well as behind it.
    if is_marked(schema) || is_marked(resolve(root, schema)) {
        found.push(pointer.to_owned());
        return;
    }
    let schema = resolve(root, schema);
    for branch in branches(schema) {
        mark(root, branch, value, word, pointer, depth + 1, found);
    }
    match value {
        Value::Object(map) => {
            for (key, item) in map {
                let inner = schema
                    .get("properties")
                    .and_then(|properties| properties.get(key))
                    .or_else(|| schema.get("additionalProperties"));
                if let Some(inner) = inner {
                    let here = format!("{pointer}/{}", escape(key));
                    mark(root, inner, item, word, &here, depth + 1, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(inner) = schema.get("items") {
                    let here = format!("{pointer}/{index}");
                    mark(root, inner, item, word, &here, depth + 1, found);
                }
            }
        }
        _ => {}
    }
}

fn fill(root: &Value, schema: &Value, value: &mut Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let schema = resolve(root, schema);
    match value {
        Value::Object(map) => {
            for (key, inner) in schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let inner = resolve(root, inner);
                if !map.contains_key(key) {
                    if let Some(default) = inner.get("default") {
                        map.insert(key.clone(), default.clone());
                    } else if inner.get("properties").is_some() {
                        // A group whose members have defaults exists for them.
                        let mut group = Value::Object(Map::new());
                        fill(root, inner, &mut group, depth + 1);
                        if group.as_object().is_some_and(|members| !members.is_empty()) {
                            map.insert(key.clone(), group);
                        }
                        continue;
                    }
                }
                if let Some(item) = map.get_mut(key) {
                    fill(root, inner, item, depth + 1);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items {
                    fill(root, inner, item, depth + 1);
                }
            }
        }
        _ => {}
    }
}

fn place_name(pointer: &str) -> String {
    if pointer.is_empty() {
        return "config".to_owned();
    }
    format!("config.{}", parts(pointer).join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> ConfigSchema {
        ConfigSchema::compile(&json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["domain"],
            "properties": {
                "domain": {"type": "string", "x-catalyst-per-environment": true},
                "replicas": {"type": "integer", "minimum": 1, "default": 1},
                "apiKey": {"type": "string", "minLength": 8, "x-catalyst-secret": true},
                "postgres": {"type": "object", "properties": {"mode": {"enum": ["embedded", "none"], "default": "embedded"}}},
                "users": {"type": "array", "items": {"$ref": "#/$defs/user"}},
            },
            "$defs": {"user": {"type": "object", "properties": {"password": {"type": "string", "x-catalyst-secret": true}}}},
        }))
        .unwrap()
    }

    fn messages(config: &Value, form: ConfigForm) -> Vec<(String, String)> {
        schema()
            .validate_config(config, form)
            .into_iter()
            .map(|problem| (problem.pointer, problem.message))
            .collect()
    }

    #[test]
    fn all_mistakes_come_at_once_with_hints() {
        let found = messages(
            &json!({"replica": 3, "replicas": "two"}),
            ConfigForm::Committed,
        );
        assert_eq!(
            found,
            vec![
                ("/domain".into(), "it is required; give it a value".into()),
                (
                    "/replica".into(),
                    "there is no such property; did you mean `replicas`?".into()
                ),
                (
                    "/replicas".into(),
                    "the value is not of type \"integer\"".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn written_out_a_mistake_says_its_place_once() {
        let config = json!({"domain": "a", "replica": 3, "postgres": {"mode": "shared"}});
        let found = schema().validate_config(&config, ConfigForm::Committed);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("config.postgres.mode: the value is not one of"),
            "{found:?}"
        );
        assert_eq!(
            found[1],
            "config.replica: there is no such property; did you mean `replicas`?"
        );
        let whole = schema().validate_config(&json!([]), ConfigForm::Committed);
        assert!(
            whole[0].to_string().starts_with("config: the value is not"),
            "{whole:?}"
        );
    }

    #[test]
    fn a_secret_is_a_reference_in_git_and_may_be_a_value_when_submitted() {
        let by_value = json!({"domain": "a", "apiKey": "hunter2-hunter2"});
        let by_reference = json!({"domain": "a", "apiKey": {"secretRef": "apiKey"}});
        let too_short = json!({"domain": "a", "apiKey": "hunter2"});
        assert!(messages(&by_value, ConfigForm::Submitted).is_empty());
        assert!(messages(&by_reference, ConfigForm::Submitted).is_empty());
        assert!(messages(&by_reference, ConfigForm::Committed).is_empty());
        let refused = messages(&by_value, ConfigForm::Committed);
        assert!(refused[0].1.contains("may not stand in Git"), "{refused:?}");
        for form in [ConfigForm::Submitted, ConfigForm::Committed] {
            let refused = messages(&too_short, form);
            assert_eq!(refused.len(), 1, "{refused:?}");
            assert!(!refused[0].1.contains("hunter2"), "no value in {refused:?}");
        }
    }

    #[test]
    fn a_schema_that_no_reference_fits_is_told_to_be_at_fault() {
        for (word, value) in [
            ("enum", json!(["one", "two"])),
            ("const", json!("one")),
            ("type", json!("string")),
        ] {
            let schema = ConfigSchema::compile(&json!({
                "type": "object",
                "properties": {"key": {"$ref": "#/$defs/key", word: value}},
                "$defs": {"key": {"type": "string", "x-catalyst-secret": true}},
            }))
            .unwrap();
            let config = json!({"key": {"secretRef": "key"}});
            for form in [ConfigForm::Submitted, ConfigForm::Committed] {
                let found = schema.validate_config(&config, form);
                let [only] = found.as_slice() else {
                    panic!("{word}: {found:?}")
                };
                assert_eq!(
                    (only.pointer.as_str(), only.keyword.as_str()),
                    ("/key", word)
                );
                assert!(only.message.contains("no value will do"), "{only}");
            }
        }
    }

    #[test]
    fn secrets_are_found_wherever_the_schema_puts_them() {
        let config = json!({"apiKey": "x", "users": [{"password": "p"}, {}]});
        assert_eq!(
            schema().secret_pointers(&config),
            ["/apiKey", "/users/0/password"]
        );
        assert_eq!(
            schema().per_environment_pointers(&json!({"domain": "d"})),
            ["/domain"]
        );
    }

    #[test]
    fn defaults_fill_only_what_is_missing() {
        assert_eq!(
            schema().with_defaults(&json!({"replicas": 3})),
            json!({"replicas": 3, "postgres": {"mode": "embedded"}})
        );
    }

    #[test]
    fn schemas_that_reach_outside_or_are_broken_are_refused() {
        let remote = json!({"properties": {"a": {"$ref": "https://example.com/a.json"}}});
        assert!(matches!(
            ConfigSchema::compile(&remote),
            Err(SchemaError::RemoteReference { place, .. }) if place == "#/properties/a"
        ));
        assert!(matches!(
            ConfigSchema::compile(&json!({"type": "objekt"})),
            Err(SchemaError::Invalid { .. })
        ));
        let mut deep = json!({});
        for _ in 0..200 {
            deep = json!({"properties": {"a": deep}});
        }
        assert_eq!(
            ConfigSchema::compile(&deep).unwrap_err(),
            SchemaError::TooDeep
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = ConfigSchema::compile(&json!({
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
            "$ref": "#/$defs/node",
        }))
        .unwrap();
        assert!(
            schema
                .validate_config(&json!({"next": {"next": {}}}), ConfigForm::Committed)
                .is_empty()
        );
        assert_eq!(schema.with_defaults(&json!({})), json!({}));
        assert!(schema.form().len() < 100);
    }
}
