//! A config on its way from its user to a commit.
//!
//! What must stay true: what the schema calls a secret leaves it here, and a reference
//! stands in its place.

use catalyst_api::Fault;
use catalyst_blueprint::ConfigForm;
use catalyst_plan::{AdmittedBlueprint, CONNECTION};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Draft, Ground, NewSecret};
use crate::CommandError;

/// Validates a config as submitted, and puts references in the place of its
/// secrets. A secret that changes gets another name, so that Git shows that it
/// did, a rollback brings the earlier value back, and what was approved is what comes.
pub(super) fn commit_config(
    ground: &Ground<'_>,
    draft: &mut Draft,
    application: &str,
    blueprint: &AdmittedBlueprint,
    mut config: Value,
    before: &Value,
) -> Result<Map<String, Value>, CommandError> {
    let schema = ground.schema(blueprint)?;
    let problems = schema.validate_config(&config, ConfigForm::Submitted);
    if !problems.is_empty() {
        return Err(ground.faulty("the config does not fit", config_faults(problems)));
    }
    for pointer in schema.secret_pointers(&config) {
        let Some(value) = config.pointer_mut(&pointer) else {
            continue;
        };
        let text = match &*value {
            // A reference: kept from before.
            Value::Object(_) | Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let previous = before
            .pointer(&pointer)
            .and_then(|value| value.get("secretRef"))
            .and_then(Value::as_str);
        let (base, number) = secret_name(&pointer, previous);
        let name = ground.free_name(application, &base, number);
        *value = serde_json::json!({"secretRef": name});
        draft.secrets.push(NewSecret {
            application: application.to_owned(),
            name,
            value: Zeroizing::new(text),
        });
    }
    Ok(as_map(config))
}

pub(crate) fn as_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

pub(crate) fn config_faults(problems: Vec<catalyst_blueprint::ConfigProblem>) -> Vec<Fault> {
    problems
        .into_iter()
        .map(|problem| Fault {
            pointer: Some(format!("/config{}", problem.pointer)),
            message: problem.message,
            ..Fault::default()
        })
        .collect()
}

/// `/smtp/password` → `smtp-password`, then 2 of it: what the names of a secret begin
/// with, and the number of the next.
pub(super) fn secret_name(pointer: &str, previous: Option<&str>) -> (String, u64) {
    let letters: String = pointer
        .trim_start_matches('/')
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .take(50)
        .collect();
    let letters = letters.trim_matches('-');
    let base = match letters {
        "" => "secret".to_owned(),
        // That name is the generated connection's.
        CONNECTION => format!("config-{CONNECTION}"),
        other => other.to_owned(),
    };
    let number = previous.map_or(0, |previous| {
        // A push may have named it as it likes.
        let number = previous
            .strip_prefix(base.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|number| number.parse::<u32>().ok());
        u64::from(number.unwrap_or(1))
    });
    (base, number + 1)
}

/// RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
