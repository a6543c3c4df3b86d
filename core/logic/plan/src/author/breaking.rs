//! What of a config that was valid may not be so any more.
//!
//! Called where two versions of a Blueprint are compared. Both are given as key → its
//! fields, those of [`catalyst_blueprint::ConfigKey`].

use std::collections::BTreeMap;

use serde_json::Value;

/// Limits that are narrower the lower they are.
const UPPER: [&str; 5] = [
    "maxLength",
    "maximum",
    "exclusiveMaximum",
    "maxItems",
    "maxProperties",
];
/// Limits that are narrower the higher they are.
const LOWER: [&str; 5] = [
    "minLength",
    "minimum",
    "exclusiveMinimum",
    "minItems",
    "minProperties",
];

/// A sentence for everything that takes less than before, in the order of the keys.
pub(super) fn narrowed(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, old) in before {
        match after.get(name) {
            None => found.push(format!("`{name}` is gone")),
            Some(new) => key(name, old, new, &mut found),
        }
    }
    for (name, new) in after {
        if !before.contains_key(name) && must_be_given(new) {
            found.push(format!("`{name}` is new, and must be given"));
        }
    }
    found.sort();
    found
}

/// Whether who sets nothing has no value for it.
fn must_be_given(key: &Value) -> bool {
    key.get("required") == Some(&Value::Bool(true)) && key.get("default").is_none()
}

fn key(name: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    let kind = |key: &Value| {
        let kind = key.get("type").and_then(Value::as_str);
        kind.unwrap_or("any").to_owned()
    };
    let (old_kind, new_kind) = (kind(old), kind(new));
    let is_wider = new_kind == "any" || (old_kind == "integer" && new_kind == "number");
    if old_kind != new_kind && !is_wider {
        found.push(format!("`{name}` is {new_kind}, and was {old_kind}"));
    }
    if must_be_given(new) && !must_be_given(old) {
        found.push(format!("`{name}` must be given"));
    }
    let limits = new.get("limits").and_then(Value::as_object);
    for (word, limit) in limits.into_iter().flatten() {
        let had = old.get("limits").and_then(|limits| limits.get(word));
        if !is_narrower(word, had, limit) {
            continue;
        }
        found.push(match had {
            Some(had) => format!("`{name}` has {word} {limit}, and had {had}"),
            None => format!("`{name}` has {word} {limit}, and had none"),
        });
    }
}

fn is_narrower(word: &str, old: Option<&Value>, new: &Value) -> bool {
    let Some(old) = old else {
        return *new != Value::Bool(false);
    };
    let numbers = old.as_f64().zip(new.as_f64());
    match (numbers, old, new) {
        (Some((old, new)), ..) if UPPER.contains(&word) => new < old,
        (Some((old, new)), ..) if LOWER.contains(&word) => new > old,
        (_, Value::Array(old), Value::Array(new)) if word == "enum" => {
            old.iter().any(|value| !new.contains(value))
        }
        // Whether one pattern takes what another did nobody can tell.
        (_, old, new) => old != new && *new != Value::Bool(false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_takes_less_than_before_is_told_and_what_takes_more_is_not() {
        let plain = json!({"type": "string", "required": false});
        let limited =
            |limits: Value| json!({"type": "string", "required": false, "limits": limits});
        for (old, new, expected) in [
            (plain.clone(), plain.clone(), None),
            (
                limited(json!({"maxLength": 80})),
                limited(json!({"maxLength": 60})),
                Some("`key` has maxLength 60, and had 80"),
            ),
            (
                limited(json!({"maxLength": 60})),
                limited(json!({"maxLength": 80})),
                None,
            ),
            (limited(json!({"maxLength": 60})), plain.clone(), None),
            (
                plain.clone(),
                limited(json!({"minimum": 2})),
                Some("`key` has minimum 2, and had none"),
            ),
            (
                limited(json!({"minimum": 1})),
                limited(json!({"minimum": 2})),
                Some("`key` has minimum 2, and had 1"),
            ),
            (
                limited(json!({"enum": ["a", "b"]})),
                limited(json!({"enum": ["b", "c"]})),
                Some("`key` has enum [\"b\",\"c\"], and had [\"a\",\"b\"]"),
            ),
            (
                limited(json!({"enum": ["a"]})),
                limited(json!({"enum": ["b", "a"]})),
                None,
            ),
            (
                limited(json!({"pattern": "a"})),
                limited(json!({"pattern": "b"})),
                Some("`key` has pattern \"b\", and had \"a\""),
            ),
            (
                plain.clone(),
                json!({"type": "string", "required": true}),
                Some("`key` must be given"),
            ),
            (
                plain.clone(),
                json!({"type": "string", "required": true, "default": "a"}),
                None,
            ),
            (
                plain.clone(),
                json!({"type": "integer", "required": false}),
                Some("`key` is integer, and was string"),
            ),
            (
                json!({"type": "integer", "required": false}),
                json!({"type": "number", "required": false}),
                None,
            ),
        ] {
            let one = |key: &Value| BTreeMap::from([("key".to_owned(), key.clone())]);
            let found = narrowed(&one(&old), &one(&new));
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(found, expected, "{old} -> {new}");
        }
        let required = json!({"type": "string", "required": true});
        let before = BTreeMap::from([("a".to_owned(), plain.clone())]);
        let after = BTreeMap::from([("b".to_owned(), required), ("c".to_owned(), plain)]);
        assert_eq!(
            narrowed(&before, &after),
            ["`a` is gone", "`b` is new, and must be given"]
        );
    }
}
