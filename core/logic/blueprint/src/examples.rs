//! Configs that a schema allows, made up so that together they reach every branch
//! of it: what lint renders a Blueprint with.
//!
//! One property at a time departs from the least config; combinations of two are
//! not looked for. What must stay true: every config given out fits the schema as
//! one in Git must, so secrets are references; the same schema gives the same
//! configs in the same order; the work is bounded, whatever the schema says.

use std::cell::Cell;

use catalyst_yaml::pointer::{escape, parts};
use serde_json::{Map, Value, json};

use crate::config::{ConfigForm, ConfigSchema, SECRET, branches, build, resolve};
use crate::values::set;

/// The deepest properties that are varied; a schema may refer to itself.
const MAX_DEPTH: usize = 6;
/// The most properties that are varied.
const MAX_PLACES: usize = 256;
/// How often what a config lacks is filled in before it is given up.
const MAX_ROUNDS: usize = 8;
/// How many choices of a branch are made for one config.
const MAX_BRANCHES: usize = 3;
/// How often configs of one schema are validated.
const MAX_CHECKS: u32 = 20_000;
/// The most values that one property is tried with.
const MAX_VALUES: usize = 16;
/// The longest text that is made up, in characters.
const MAX_TEXT: u64 = 256;
/// Texts of which a pattern or a format often wants one.
const TEXTS: [&str; 16] = [
    "example",
    "a",
    "A",
    "1",
    "1Gi",
    "10m",
    "example.org",
    "user@example.org",
    "https://example.org/",
    "192.0.2.1",
    "192.0.2.0/24",
    "2001:db8::1",
    "1.0.0",
    "2024-01-01T00:00:00Z",
    "0 0 * * *",
    "00000000-0000-4000-8000-000000000000",
];

/// A config that fits its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigExample {
    /// What sets it apart, such as `replicas: 10`; empty for the least config.
    pub what: String,
    /// The config, with references in place of secrets.
    pub config: Value,
}

impl ConfigSchema {
    /// No more than `limit` configs: the least that is allowed, one with every
    /// property, and then one for each value worth trying (every choice, true and
    /// false, the least and the most of a number, the shortest and the longest text,
    /// lists empty and not), property by property, those of branches too.
    ///
    /// `defaults` are values that are known to do, such as those of the chart. Empty
    /// when no config that fits can be made up, as for a required text with an
    /// unusual pattern that has neither a default nor examples.
    pub fn examples(&self, defaults: &Value, limit: usize) -> Vec<ConfigExample> {
        let maker = Maker {
            schema: self,
            root: self.source(),
            defaults,
            checks: Cell::new(MAX_CHECKS),
        };
        let mut found = Vec::new();
        let Some(least) = maker.complete(json!({}), 0) else {
            return found;
        };
        add(&mut found, String::new(), Some(least.clone()));
        let mut places = Vec::new();
        maker.places(self.source(), &mut Vec::new(), 0, &mut places);
        let mut every = least.clone();
        for (path, schema) in &places {
            if every.pointer(&pointer(path)).is_none()
                && let Some(value) = maker.values(schema, path, 0).first()
            {
                set(&mut every, path, value);
            }
        }
        add(
            &mut found,
            "every property".to_owned(),
            maker.complete(every, 0),
        );
        for (path, schema) in &places {
            for value in maker.values(schema, path, 0) {
                if found.len() >= limit {
                    break;
                }
                let what = format!("{}: {}", path.join("."), shown(&value));
                // The least config may be of another branch than this one.
                let config = [least.clone(), json!({})]
                    .into_iter()
                    .find_map(|mut config| {
                        set(&mut config, path, &value);
                        maker.complete(config, 0)
                    });
                add(&mut found, what, config);
            }
        }
        found.truncate(limit);
        found
    }
}

/// Adds a config that is not there yet.
fn add(found: &mut Vec<ConfigExample>, what: String, config: Option<Value>) {
    if let Some(config) = config
        && found.iter().all(|other| other.config != config)
    {
        found.push(ConfigExample { what, config });
    }
}

/// A value in few characters, for people.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn pointer(path: &[String]) -> String {
    path.iter()
        .map(|part| format!("/{}", escape(part)))
        .collect()
}

struct Maker<'a> {
    schema: &'a ConfigSchema,
    root: &'a Value,
    defaults: &'a Value,
    /// How many more validations there may be.
    checks: Cell<u32>,
}

impl<'a> Maker<'a> {
    /// The config with what it lacks, once it fits; none when that cannot be done.
    fn complete(&self, mut config: Value, choices: usize) -> Option<Value> {
        for _ in 0..MAX_ROUNDS {
            self.checks.set(self.checks.get().checked_sub(1)?);
            let problems = self.schema.validate_config(&config, ConfigForm::Committed);
            if problems.is_empty() {
                return Some(config);
            }
            let mut is_changed = false;
            for problem in &problems {
                let path = parts(&problem.pointer);
                match problem.keyword.as_str() {
                    "required" => {
                        let schema = self.schema_at(&path)?;
                        let value = self.values(schema, &path, 0).into_iter().next()?;
                        set(&mut config, &path, &value);
                        is_changed = true;
                    }
                    word @ ("oneOf" | "anyOf") if choices < MAX_BRANCHES => {
                        return self.choose(&config, &path, word, choices + 1);
                    }
                    _ => return None,
                }
            }
            if !is_changed {
                return None;
            }
        }
        None
    }

    /// The config made to fit the first branch that it can be made to fit.
    fn choose(&self, config: &Value, path: &[String], word: &str, choices: usize) -> Option<Value> {
        let schema = self.schema_at(path)?;
        let branches = schema.get(word)?.as_array()?;
        branches.iter().take(MAX_VALUES).find_map(|branch| {
            let branch = resolve(self.root, branch);
            let mut config = config.clone();
            let required = branch.get("required").and_then(Value::as_array);
            for name in required.into_iter().flatten().filter_map(Value::as_str) {
                let mut place = path.to_vec();
                place.push(name.to_owned());
                let inner = match self.member(branch, name, 0) {
                    Some(inner) => inner,
                    None => self.schema_at(&place)?,
                };
                let is_fixed = resolve(self.root, inner).get("const").is_some();
                if is_fixed || config.pointer(&pointer(&place)).is_none() {
                    let value = self.values(inner, &place, 0).into_iter().next()?;
                    set(&mut config, &place, &value);
                }
            }
            self.complete(config, choices)
        })
    }

    /// The schema of a place in a config.
    fn schema_at(&self, path: &[String]) -> Option<&'a Value> {
        path.iter()
            .try_fold(self.root, |here, part| self.member(here, part, 0))
            .map(|schema| resolve(self.root, schema))
    }

    fn member(&self, schema: &'a Value, name: &str, depth: usize) -> Option<&'a Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        let schema = resolve(self.root, schema);
        if let Some(inner) = schema.get("properties").and_then(|all| all.get(name)) {
            return Some(inner);
        }
        branches(schema)
            .find_map(|branch| self.member(branch, name, depth + 1))
            .or_else(|| {
                let rest = schema.get("additionalProperties");
                rest.filter(|rest| rest.is_object())
            })
            .or_else(|| {
                let is_index = name.parse::<usize>().is_ok();
                schema.get("items").filter(|_| is_index)
            })
    }

    /// The properties that are varied: leaves, in branches and conditions too.
    fn places(
        &self,
        schema: &'a Value,
        path: &mut Vec<String>,
        depth: usize,
        found: &mut Vec<(Vec<String>, &'a Value)>,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        let schema = resolve(self.root, schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, inner) in properties.into_iter().flatten() {
            if found.len() >= MAX_PLACES {
                return;
            }
            path.push(name.clone());
            let target = resolve(self.root, inner);
            let is_group = target
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|members| !members.is_empty());
            // What a branch says of a property again matters where it is a choice.
            let is_choice = ["const", "enum"]
                .iter()
                .any(|key| target.get(key).is_some());
            if is_group && !self.is_secret(inner) {
                self.places(inner, path, depth + 1, found);
            } else if is_choice || found.iter().all(|(other, _)| *other != *path) {
                found.push((path.clone(), inner));
            }
            path.pop();
        }
        for branch in branches(schema).chain(schema.get("if")) {
            self.places(branch, path, depth + 1, found);
        }
    }

    fn is_secret(&self, schema: &Value) -> bool {
        let is_marked = |schema: &Value| schema.get(SECRET) == Some(&Value::Bool(true));
        is_marked(schema) || is_marked(resolve(self.root, schema))
    }

    /// The values worth trying at a place; the first is the plainest.
    fn values(&self, outer: &Value, path: &[String], depth: usize) -> Vec<Value> {
        if depth > MAX_DEPTH {
            return Vec::new();
        }
        if self.is_secret(outer) {
            return vec![json!({"secretRef": reference(path)})];
        }
        let schema = resolve(self.root, outer);
        if let Some(value) = schema.get("const") {
            return vec![value.clone()];
        }
        let list = |key: &str| schema.get(key).and_then(Value::as_array).cloned();
        let mut values = Vec::new();
        values.extend(
            outer
                .get("default")
                .or_else(|| schema.get("default"))
                .cloned(),
        );
        match list("enum") {
            Some(choices) => values.extend(choices),
            None => {
                values.extend(list("examples").unwrap_or_default());
                values.extend(self.typed(schema, path, depth));
            }
        }
        let mut seen: Vec<Value> = Vec::new();
        for value in values {
            if seen.len() < MAX_VALUES && !seen.contains(&value) {
                seen.push(value);
            }
        }
        seen
    }

    /// Values by what a schema says of their type and size.
    fn typed(&self, schema: &Value, path: &[String], depth: usize) -> Vec<Value> {
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind.as_str()],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ if schema.get("properties").is_some() => vec!["object"],
            _ => Vec::new(),
        };
        if kinds.is_empty() {
            return ["oneOf", "anyOf"]
                .iter()
                .filter_map(|word| schema.get(word).and_then(Value::as_array))
                .flatten()
                .take(MAX_VALUES)
                .flat_map(|branch| self.values(branch, path, depth + 1))
                .collect();
        }
        let known = self.defaults.pointer(&pointer(path)).cloned();
        kinds
            .into_iter()
            .flat_map(|kind| match kind {
                "boolean" => vec![json!(true), json!(false)],
                "null" => vec![Value::Null],
                "integer" | "number" => {
                    fitting(schema, known.iter().cloned().chain(numbers(schema)))
                }
                "string" => texts(schema, known.clone()),
                "array" => self.lists(schema, known.clone(), path, depth),
                "object" => self.groups(schema, path, depth),
                _ => Vec::new(),
            })
            .collect()
    }

    fn lists(
        &self,
        schema: &Value,
        known: Option<Value>,
        path: &[String],
        depth: usize,
    ) -> Vec<Value> {
        let items = match schema.get("items") {
            Some(items) => self.values(items, path, depth + 1),
            None => vec![json!("example")],
        };
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let least = usize::try_from(least).unwrap_or(MAX_VALUES).min(MAX_VALUES);
        let several: Vec<Value> = items.iter().cycle().take(least.max(1)).cloned().collect();
        let lists = [Some(Value::Array(several)), Some(json!([])), known];
        fitting(schema, lists.into_iter().flatten())
    }

    fn groups(&self, schema: &Value, path: &[String], depth: usize) -> Vec<Value> {
        let member = |name: &str, inner: &Value| {
            let mut place = path.to_vec();
            place.push(name.to_owned());
            self.values(inner, &place, depth + 1).into_iter().next()
        };
        let mut every = Map::new();
        for (name, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            every.extend(member(name, inner).map(|value| (name.clone(), value)));
        }
        if let Some(inner) = schema
            .get("additionalProperties")
            .filter(|it| it.is_object())
        {
            every.extend(member("example", inner).map(|value| ("example".to_owned(), value)));
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut least = every.clone();
        least.retain(|name, _| required.contains(&name.as_str()));
        vec![Value::Object(every), Value::Object(least)]
    }
}

/// The name of a secret for a property: letters and digits of its own name.
fn reference(path: &[String]) -> String {
    let name = path.last().map_or("", String::as_str);
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if name.is_empty() {
        "secret".to_owned()
    } else {
        name.chars().take(63).collect()
    }
}

/// Those of the values that a schema takes; all of them where it cannot be asked,
/// for it refers to what stands elsewhere.
fn fitting(schema: &Value, values: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let validator = build(schema).ok();
    values
        .into_iter()
        .filter(|value| validator.as_ref().is_none_or(|it| it.is_valid(value)))
        .collect()
}

fn numbers(schema: &Value) -> Vec<Value> {
    let bound = |key: &str, step: i64| {
        let bound = schema.get(key)?.as_i64()?;
        Some(json!(bound.saturating_add(step)))
    };
    [
        schema.get("minimum").cloned(),
        bound("exclusiveMinimum", 1),
        schema.get("multipleOf").cloned(),
        Some(json!(1)),
        Some(json!(0)),
        schema.get("maximum").cloned(),
        bound("exclusiveMaximum", -1),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The plainest text that fits, and the shortest and the longest where these are
/// stated.
fn texts(schema: &Value, known: Option<Value>) -> Vec<Value> {
    let length = |key: &str| {
        let length = schema.get(key).and_then(Value::as_u64)?;
        let length = usize::try_from(length.min(MAX_TEXT)).ok()?;
        Some(json!("a".repeat(length)))
    };
    let (shortest, longest) = (length("minLength"), length("maxLength"));
    let plain = known
        .filter(|known| known.as_str().is_some_and(|text| !text.is_empty()))
        .into_iter()
        .chain(TEXTS.iter().map(|text| json!(text)))
        .chain(shortest.clone());
    let plain = fitting(schema, plain).into_iter().take(1);
    plain
        .chain(fitting(schema, shortest.into_iter().chain(longest)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sets each example apart, the configs having been looked at.
    fn examples(schema: Value, defaults: Value) -> Vec<(String, Value)> {
        let schema = ConfigSchema::compile(&schema).unwrap();
        let found = schema.examples(&defaults, 64);
        for example in &found {
            let problems = schema.validate_config(&example.config, ConfigForm::Committed);
            assert_eq!(problems, [], "{example:?}");
        }
        found
            .into_iter()
            .map(|example| (example.what, example.config))
            .collect()
    }

    fn pair(what: &str, config: Value) -> (String, Value) {
        (what.to_owned(), config)
    }

    #[test]
    fn choices_bounds_and_absence_are_reached_one_at_a_time() {
        let schema = json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "debug": {"type": "boolean"},
                "mode": {"enum": ["one", "many"], "default": "one"},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10},
                "storage": {"type": "object", "properties": {"size": {"type": "string", "pattern": "^[1-9][0-9]*Gi$"}}},
                "key": {"type": "string", "x-catalyst-secret": true},
            },
        });
        let every = json!({
            "debug": true, "mode": "one", "replicas": 2, "storage": {"size": "5Gi"},
            "key": {"secretRef": "key"},
        });
        let defaults = json!({"replicas": 2, "storage": {"size": "5Gi"}});
        assert_eq!(
            examples(schema, defaults),
            [
                pair("", json!({})),
                pair("every property", every),
                pair("debug: true", json!({"debug": true})),
                pair("debug: false", json!({"debug": false})),
                pair(
                    "key: {\"secretRef\":\"key\"}",
                    json!({"key": {"secretRef": "key"}})
                ),
                pair("mode: \"one\"", json!({"mode": "one"})),
                pair("mode: \"many\"", json!({"mode": "many"})),
                pair("replicas: 2", json!({"replicas": 2})),
                pair("replicas: 1", json!({"replicas": 1})),
                pair("replicas: 10", json!({"replicas": 10})),
                pair("storage.size: \"5Gi\"", json!({"storage": {"size": "5Gi"}})),
            ]
        );
    }

    #[test]
    fn what_a_branch_requires_comes_with_it() {
        let schema = json!({
            "type": "object",
            "required": ["domain"],
            "properties": {
                "domain": {"type": "string", "format": "hostname"},
                "database": {"enum": ["own", "existing"]},
                "host": {"type": "string", "minLength": 1},
            },
            "if": {"required": ["database"], "properties": {"database": {"const": "existing"}}},
            "then": {"required": ["host"]},
        });
        let found = examples(schema, json!({}));
        let existing = found
            .iter()
            .find(|(what, _)| what == "database: \"existing\"")
            .unwrap();
        assert_eq!(
            existing.1,
            json!({"domain": "example", "database": "existing", "host": "example"})
        );
        assert_eq!(found[0], pair("", json!({"domain": "example"})));

        let schema = json!({
            "type": "object",
            "oneOf": [
                {"required": ["path"], "properties": {"path": {"type": "string"}}},
                {"required": ["url"], "properties": {"url": {"type": "string", "format": "uri"}}},
            ],
        });
        let found = examples(schema, json!({}));
        let configs: Vec<&Value> = found.iter().map(|(_, config)| config).collect();
        assert_eq!(configs[0], &json!({"path": "example"}));
        assert!(configs.contains(&&json!({"url": "https://example.org/"})));
        assert!(
            configs
                .iter()
                .all(|config| config.as_object().unwrap().len() == 1)
        );
    }

    #[test]
    fn lists_and_groups_are_tried_empty_and_not() {
        let schema = json!({
            "type": "object",
            "properties": {
                "hosts": {"type": "array", "items": {"type": "string", "format": "hostname"}},
                "users": {"type": "array", "minItems": 1, "items": {
                    "type": "object", "required": ["name"],
                    "properties": {"name": {"type": "string"}, "admin": {"type": "boolean"}},
                }},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        });
        let found = examples(schema, json!({}));
        let configs: Vec<Value> = found.into_iter().map(|(_, config)| config).collect();
        for config in [
            json!({"hosts": ["example"]}),
            json!({"hosts": []}),
            json!({"users": [{"name": "example", "admin": true}]}),
            json!({"labels": {"example": "example"}}),
            json!({"labels": {}}),
        ] {
            assert!(configs.contains(&config), "{config} is not in {configs:?}");
        }
        assert!(!configs.contains(&json!({"users": []})));
    }

    #[test]
    fn what_cannot_be_made_up_is_nothing_and_everything_has_an_end() {
        let odd = json!({"type": "object", "required": ["code"],
            "properties": {"code": {"type": "string", "pattern": "^[QX]{7}-[0-9]{3}$"}}});
        assert!(examples(odd.clone(), json!({})).is_empty());
        let known = examples(odd, json!({"code": "QXQXQXQ-123"}));
        assert_eq!(known, [pair("", json!({"code": "QXQXQXQ-123"}))]);

        let endless = json!({
            "$defs": {"node": {"type": "object", "properties": {
                "next": {"$ref": "#/$defs/node"}, "value": {"type": "boolean"}}}},
            "$ref": "#/$defs/node",
        });
        assert!(examples(endless, json!({})).len() <= 64);
        let properties: Map<String, Value> = (0..1000)
            .map(|index| (format!("p{index}"), json!({"type": "boolean"})))
            .collect();
        let wide = json!({"type": "object", "properties": properties});
        assert_eq!(examples(wide, json!({})).len(), 64);
    }
}
