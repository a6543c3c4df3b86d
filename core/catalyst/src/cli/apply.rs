//! From an Application's manifest to the change that makes it so.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use catalyst_api::{ApplicationCommand, ApplicationView, Change, Install};
use catalyst_resources::ApplicationSpec;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::hinted;

/// An Application as a file has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Application {
    /// Its name and, where given, its Environment.
    pub metadata: Metadata,
    /// What it shall be.
    pub spec: ApplicationSpec,
}

/// An Application's name and Environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its Environment.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// Reads the documents of a YAML file (`-`: standard input) that hold something.
pub fn documents(path: &Path) -> anyhow::Result<Vec<Value>> {
    let name = path.display();
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(path),
    };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    let mut documents =
        catalyst_yaml::documents(&text).with_context(|| format!("cannot read {name}"))?;
    documents.retain(|document| !document.is_null());
    Ok(documents)
}

/// Reads the Applications of a file (`-`: standard input), one a document.
pub fn read(path: &Path) -> anyhow::Result<Vec<Application>> {
    let name = path.display();
    let mut applications = Vec::new();
    for document in documents(path)? {
        let kind = document.get("kind").and_then(Value::as_str);
        if kind != Some("Application") {
            return Err(hinted(
                match kind {
                    Some(kind) => format!("cannot apply the document of kind {kind} from {name}"),
                    None => format!("cannot apply the document without a kind from {name}"),
                },
                "only Applications are applied this way; `catalyst create` makes Organizations and Environments, `catalyst policy set` sets policies",
            ));
        }
        applications.push(
            serde_json::from_value(document)
                .with_context(|| format!("an Application in {name} is not as it must be"))?,
        );
    }
    if applications.is_empty() {
        return Err(hinted(
            format!("there is no Application in {name}"),
            "docs/spec/application.md shows one",
        ));
    }
    Ok(applications)
}

/// The change that makes an Application what the manifest says; `current` is what
/// there is now. What the manifest leaves out is taken away.
pub fn command(
    wanted: &Application,
    current: Option<&ApplicationView>,
) -> anyhow::Result<ApplicationCommand> {
    let name = wanted.metadata.name.clone();
    let spec = &wanted.spec;
    let dependencies: BTreeMap<String, String> = spec
        .dependencies
        .iter()
        .map(|(alias, link)| (alias.clone(), link.application.clone()))
        .collect();
    let reference = &spec.blueprint;
    let Some(current) = current else {
        return Ok(ApplicationCommand::Install {
            install: Install {
                name,
                source: Some(reference.source.clone()),
                blueprint: reference.name.clone(),
                version: Some(reference.version.clone()),
                size: spec.size.clone(),
                config: spec.config.clone(),
                dependencies,
            },
        });
    };
    if current.summary.blueprint != reference.name || current.summary.source != reference.source {
        return Err(hinted(
            format!(
                "cannot make {name} an Application of {}/{}: it is one of {}/{}",
                reference.source, reference.name, current.summary.source, current.summary.blueprint
            ),
            "give the new one another name, or delete this one first",
        ));
    }
    if !dependencies.is_empty() && dependencies != current.dependencies {
        return Err(hinted(
            format!("cannot change which Applications serve {name}"),
            "delete it and install it anew with other dependencies",
        ));
    }
    let before = match &current.config {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    let patch = difference(&before, &spec.config);
    Ok(ApplicationCommand::Change {
        application: name,
        change: Change {
            version: (reference.version != current.summary.version)
                .then(|| reference.version.clone()),
            size: spec
                .size
                .clone()
                .filter(|size| Some(size) != current.size.as_ref()),
            config: (!patch.is_empty()).then_some(patch),
            paused: Some(spec.paused),
        },
    })
}

/// The merge patch (RFC 7386) from one config to another.
fn difference(from: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        match (from.get(key), value) {
            (Some(old), value) if old == value => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                patch.insert(key.clone(), Value::Object(difference(old, new)));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_difference_of_two_configs_is_a_merge_patch() {
        let check = |from: Value, to: Value, expected: Value| {
            let patch = difference(from.as_object().unwrap(), to.as_object().unwrap());
            assert_eq!(Value::Object(patch), expected, "{from} → {to}");
        };
        check(json!({}), json!({}), json!({}));
        check(json!({"a": 1}), json!({"a": 1}), json!({}));
        check(json!({"a": 1}), json!({"a": 2}), json!({"a": 2}));
        check(json!({"a": 1}), json!({}), json!({"a": null}));
        check(json!({}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
        check(
            json!({"a": {"b": 1, "c": 2}, "d": [1]}),
            json!({"a": {"b": 1}, "d": [1, 2]}),
            json!({"a": {"c": null}, "d": [1, 2]}),
        );
        check(
            json!({"s": {"secretRef": "s"}}),
            json!({"s": {"secretRef": "s"}, "t": 1}),
            json!({"t": 1}),
        );
    }
}
