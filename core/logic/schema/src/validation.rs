//! Checks values against a schema, with the messages of Kubernetes' validator.
//!
//! Kubernetes reports, for `anyOf` and `oneOf` that fail, the errors of the
//! alternative in which most checks ran; [`Outcome::checks`] counts them.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use crate::field::{FieldError, Path, go_quote};
use crate::node::{Additional, JsonType, ListType, Rules};
use crate::{SchemaNode, format};

#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    checks: usize,
}

impl Outcome {
    fn merge(&mut self, other: Outcome) {
        self.errors.extend(other.errors);
        self.checks += other.checks;
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

pub(crate) fn validate(root: SchemaNode<'_>, value: &Value) -> Vec<FieldError> {
    validate_under(root, "", value)
}

pub(crate) fn validate_under(node: SchemaNode<'_>, base: &str, value: &Value) -> Vec<FieldError> {
    let path = Path::root(base);
    let mut errors = check(node, value, &path).errors;
    list_topology(node, value, &path, &mut errors);
    // One cause can be found on several ways through allOf; users see it once.
    let mut seen = HashSet::new();
    errors.retain(|error| seen.insert(error.to_string()));
    errors
}

/// The type names a node allows, as Kubernetes joins them; empty for any.
fn type_names(node: SchemaNode<'_>) -> &'static [JsonType] {
    const INT_OR_STRING: &[JsonType] = &[JsonType::Integer, JsonType::String];
    if node.is_int_or_string() {
        return INT_OR_STRING;
    }
    match node.json_type() {
        None => &[],
        Some(JsonType::Object) => &[JsonType::Object],
        Some(JsonType::Array) => &[JsonType::Array],
        Some(JsonType::String) => &[JsonType::String],
        Some(JsonType::Integer) => &[JsonType::Integer],
        Some(JsonType::Number) => &[JsonType::Number],
        Some(JsonType::Boolean) => &[JsonType::Boolean],
    }
}

fn actual_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_error(path: &Path<'_>, wanted: &str, found: &str) -> FieldError {
    let at = path.render();
    let message = format!("{at} in body must be of type {wanted}: {}", go_quote(found));
    FieldError::type_invalid(at, found.into(), message)
}

fn check_type(node: SchemaNode<'_>, value: &Value, path: &Path<'_>) -> Option<FieldError> {
    let types = type_names(node);
    let found = actual_type(value);
    let joined = || {
        types
            .iter()
            .map(|one| one.as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    if value.is_null() {
        return (!types.is_empty() && !node.is_nullable())
            .then(|| type_error(path, &joined(), found));
    }
    let enforced = node.format().filter(|name| format::known(name).is_some());
    let whole = matches!(value, Value::Number(n) if n.as_f64().is_some_and(|f| f.fract() == 0.0));
    let fits = types.iter().any(|one| {
        one.as_str() == found
            || (found == "number" && whole && *one == JsonType::Integer)
            || (found == "integer" && *one == JsonType::Number)
    });
    if let Some(name) = enforced {
        // With a string format, strings (and, oddly, lists) pass here; what is
        // neither is told the format rather than the type.
        let numeric = types
            .iter()
            .any(|one| matches!(one, JsonType::Integer | JsonType::Number));
        match value {
            Value::String(_) | Value::Array(_) if !numeric => return None,
            Value::String(_) | Value::Array(_) => {}
            _ if !fits => {
                let shown = match value {
                    Value::Number(number) if number.is_f64() => "double",
                    Value::Number(_) => "int64",
                    _ => "",
                };
                return Some(type_error(path, name, shown));
            }
            _ => {}
        }
    }
    if types.is_empty() {
        return None;
    }
    (!fits).then(|| type_error(path, &joined(), found))
}

fn check(node: SchemaNode<'_>, value: &Value, path: &Path<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let typed = !type_names(node).is_empty();
    if typed || node.format().is_some() {
        outcome.checks += 2;
        outcome.errors.extend(check_type(node, value, path));
    }
    let rules = [
        node.outer.rules.as_deref(),
        if std::ptr::eq(node.outer, node.inner) {
            None
        } else {
            node.inner.rules.as_deref()
        },
    ];
    for rules in rules.into_iter().flatten() {
        outcome.checks += 1;
        if !value.is_null() {
            check_junctors(node, rules, value, path, &mut outcome);
            match value {
                Value::String(text) => check_string(rules, text, path, &mut outcome),
                Value::Number(number) => check_number(node, rules, number, path, &mut outcome),
                Value::Array(list) => check_list_size(rules, list, path, &mut outcome),
                Value::Object(map) => check_map_size(rules, map, path, &mut outcome),
                _ => {}
            }
        }
        check_enum(node, rules, value, path, &mut outcome);
    }
    match value {
        Value::String(text) => {
            if let Some(name) = node.format()
                && let Some(known) = format::known(name)
                && !format::matches(known, text)
            {
                outcome.errors.push(type_error(path, name, text));
            }
        }
        Value::Array(list) => {
            if let Some(items) = node.items() {
                for (index, item) in list.iter().enumerate() {
                    outcome.merge(check(items, item, &path.index(index)));
                }
            }
        }
        Value::Object(map) => check_object(node, map, path, &mut outcome),
        _ => {}
    }
    outcome.checks += 1;
    outcome
}

fn check_object(
    node: SchemaNode<'_>,
    map: &Map<String, Value>,
    path: &Path<'_>,
    outcome: &mut Outcome,
) {
    for (name, value) in map {
        let at = path.field(name);
        if let Some(property) = node.declared_property(name) {
            outcome.merge(check(property, value, &at));
        } else if let Some(additional) = node.additional() {
            outcome.merge(check(additional, value, &at));
        } else if matches!(node.inner.additional, Some(Additional::Allowed(false)))
            && !(node.is_embedded_resource()
                && matches!(name.as_str(), "apiVersion" | "kind" | "metadata"))
        {
            let parent = path.render();
            let message = format!("{parent}.{name} in body is a forbidden property");
            outcome
                .errors
                .push(FieldError::invalid(parent, name.as_str().into(), message));
        }
    }
    for name in &node.inner.required {
        if !map.contains_key(name) {
            let at = path.field(name).render();
            outcome.errors.push(FieldError::required(at, ""));
        }
    }
}

fn check_string(rules: &Rules, text: &str, path: &Path<'_>, outcome: &mut Outcome) {
    let length = text.chars().count() as u64;
    if let Some(max) = rules.max_length
        && length > max
    {
        outcome
            .errors
            .push(FieldError::too_long(path.render(), max));
    } else if let Some(min) = rules.min_length
        && length < min
    {
        let at = path.render();
        let message = format!("{at} in body should be at least {min} chars long");
        outcome
            .errors
            .push(FieldError::invalid(at, text.into(), message));
    } else if let Some(pattern) = &rules.pattern
        && !pattern.regex().is_some_and(|regex| regex.is_match(text))
    {
        let at = path.render();
        let message = format!("{at} in body should match '{}'", pattern.source);
        outcome
            .errors
            .push(FieldError::invalid(at, text.into(), message));
    }
}

/// A bound as Kubernetes prints it: integers without a point.
fn show(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
            format!("{}", float as i64)
        }
        _ => number.to_string(),
    }
}

fn compare(left: &Number, right: &Number) -> Option<std::cmp::Ordering> {
    if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
        return Some(a.cmp(&b));
    }
    left.as_f64()?.partial_cmp(&right.as_f64()?)
}

fn check_number(
    node: SchemaNode<'_>,
    rules: &Rules,
    number: &Number,
    path: &Path<'_>,
    outcome: &mut Outcome,
) {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let mut fail = |words: &str, bound: &Number| {
        let at = path.render();
        let message = format!("{at} in body should be {words} {}", show(bound));
        outcome.errors.push(FieldError::invalid(
            at,
            Value::Number(number.clone()),
            message,
        ));
    };
    if let Some(factor) = &rules.multiple_of
        && !is_multiple(number, factor)
    {
        fail("a multiple of", factor);
    }
    if let Some(max) = &rules.maximum {
        match (compare(number, max), rules.exclusive_maximum) {
            (Some(Greater), false) => fail("less than or equal to", max),
            (Some(Greater | Equal), true) => fail("less than", max),
            _ => {}
        }
    }
    if let Some(min) = &rules.minimum {
        match (compare(number, min), rules.exclusive_minimum) {
            (Some(Less), false) => fail("greater than or equal to", min),
            (Some(Less | Equal), true) => fail("greater than", min),
            _ => {}
        }
    }
    // An integer beyond 64 bits arrives as a float and cannot be stored.
    if node.json_type() == Some(JsonType::Integer)
        && number.is_f64()
        && number.as_f64().is_some_and(|f| f.abs() >= 9.3e18)
    {
        let message = format!(
            "Checked value must be of type integer (default format) in {}",
            path.render()
        );
        outcome
            .errors
            .push(FieldError::invalid("", "".into(), message));
    }
}

fn is_multiple(number: &Number, factor: &Number) -> bool {
    if let (Some(a), Some(b)) = (number.as_i64(), factor.as_i64()) {
        return b != 0 && a.checked_rem(b).is_none_or(|rest| rest == 0);
    }
    match (number.as_f64(), factor.as_f64()) {
        (Some(a), Some(b)) if b != 0.0 => {
            let ratio = a / b;
            (ratio - ratio.round()).abs() < 1e-9
        }
        _ => false,
    }
}

fn check_list_size(rules: &Rules, list: &[Value], path: &Path<'_>, outcome: &mut Outcome) {
    let size = list.len() as u64;
    if let Some(min) = rules.min_items
        && size < min
    {
        let at = path.render();
        let message = format!("{at} in body should have at least {min} items");
        outcome
            .errors
            .push(FieldError::invalid(at, size.into(), message));
    }
    if let Some(max) = rules.max_items
        && size > max
    {
        outcome
            .errors
            .push(FieldError::too_many(path.render(), list.len(), max));
    }
    if rules.unique_items {
        let mut seen = HashSet::new();
        if !list.iter().all(|item| seen.insert(item.to_string())) {
            let at = path.render();
            let message = format!("{at} in body shouldn't contain duplicates");
            outcome
                .errors
                .push(FieldError::invalid(at, "".into(), message));
        }
    }
}

fn check_map_size(rules: &Rules, map: &Map<String, Value>, path: &Path<'_>, outcome: &mut Outcome) {
    let size = map.len() as u64;
    if let Some(min) = rules.min_properties
        && size < min
    {
        let at = path.render();
        let message = format!("{at} in body should have at least {min} properties");
        outcome
            .errors
            .push(FieldError::invalid(at, size.into(), message));
    }
    if let Some(max) = rules.max_properties
        && size > max
    {
        outcome
            .errors
            .push(FieldError::too_many(path.render(), map.len(), max));
    }
}

fn check_enum(
    node: SchemaNode<'_>,
    rules: &Rules,
    value: &Value,
    path: &Path<'_>,
    outcome: &mut Outcome,
) {
    if rules.enumeration.is_empty() || (value.is_null() && node.is_nullable()) {
        return;
    }
    let same = |allowed: &Value| match (allowed, value) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(std::cmp::Ordering::Equal),
        (a, b) => a == b,
    };
    if rules.enumeration.iter().any(same) {
        return;
    }
    let allowed: Vec<String> = rules
        .enumeration
        .iter()
        .map(|one| match one {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    outcome.errors.push(FieldError::not_supported(
        path.render(),
        value.clone(),
        &allowed,
    ));
}

fn composite(path: &Path<'_>, words: &str) -> FieldError {
    // Kubernetes loses the field of these and names it in the text instead.
    let message = format!("{} {words}", go_quote(&path.render()));
    FieldError::invalid("", "".into(), message)
}

fn check_junctors(
    node: SchemaNode<'_>,
    rules: &Rules,
    value: &Value,
    path: &Path<'_>,
    outcome: &mut Outcome,
) {
    let run = |schema| check(SchemaNode::new(node.set, schema), value, path);
    if !rules.any_of.is_empty() {
        let mut best: Option<Outcome> = None;
        let mut valid = false;
        for schema in &rules.any_of {
            let result = run(schema);
            if result.is_valid() {
                valid = true;
                break;
            }
            if best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        if !valid {
            outcome
                .errors
                .push(composite(path, "must validate at least one schema (anyOf)"));
            if let Some(best) = best {
                outcome.merge(best);
            }
        }
    }
    if !rules.one_of.is_empty() {
        let mut best: Option<Outcome> = None;
        let mut valid = 0;
        for schema in &rules.one_of {
            let result = run(schema);
            if result.is_valid() {
                valid += 1;
                best = None;
            } else if valid == 0 && best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        if valid != 1 {
            let found = match valid {
                0 => "Found none valid".to_owned(),
                many => format!("Found {many} valid alternatives"),
            };
            let words = format!("must validate one and only one schema (oneOf). {found}");
            outcome.errors.push(composite(path, &words));
            if let Some(best) = best {
                outcome.merge(best);
            }
        }
    }
    if !rules.all_of.is_empty() {
        let mut valid = 0;
        for schema in &rules.all_of {
            let result = run(schema);
            valid += usize::from(result.is_valid());
            outcome.merge(result);
        }
        if valid != rules.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            let words = format!("must validate all the schemas (allOf){none}");
            outcome.errors.push(composite(path, &words));
        }
    }
    if let Some(schema) = &rules.not
        && run(schema).is_valid()
    {
        outcome
            .errors
            .push(composite(path, "must not validate the schema (not)"));
    }
    outcome.checks += 1;
}

/// Sets hold each value once, maps each key once.
fn list_topology(
    node: SchemaNode<'_>,
    value: &Value,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                if let Some(property) = node.declared_property(name) {
                    list_topology(property, child, &path.field(name), errors);
                } else if let Some(additional) = node.additional() {
                    list_topology(additional, child, &path.key(name), errors);
                }
            }
        }
        Value::Array(list) => {
            match node.list_type() {
                Some(ListType::Set) => {
                    duplicates(list, path, errors, Clone::clone);
                }
                Some(ListType::Map) => {
                    let stranger = list
                        .iter()
                        .enumerate()
                        .find(|(_, item)| !item.is_object() && !item.is_null());
                    if let Some((index, item)) = stranger {
                        errors.push(FieldError::invalid(
                            path.index(index).render(),
                            item.clone(),
                            "must be an object for an array of list-type map",
                        ));
                    } else {
                        duplicates(list, path, errors, |item| {
                            let keys = node.map_keys().iter().filter_map(|key| {
                                item.get(key).map(|value| (key.clone(), value.clone()))
                            });
                            Value::Object(keys.collect())
                        });
                    }
                }
                _ => {}
            }
            if let Some(items) = node.items() {
                for (index, item) in list.iter().enumerate() {
                    list_topology(items, item, &path.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

/// Reports the second of equal entries; further ones add nothing.
fn duplicates(
    list: &[Value],
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
    key: impl Fn(&Value) -> Value,
) {
    let mut seen = std::collections::HashMap::new();
    for (index, item) in list.iter().enumerate() {
        let key = key(item);
        let times = seen.entry(key.to_string()).or_insert(0_usize);
        *times += 1;
        if *times == 2 {
            errors.push(FieldError::duplicate(path.index(index).render(), key));
        }
    }
}
