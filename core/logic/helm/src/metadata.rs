//! `Chart.yaml` and the lock file: read as Helm reads them, and held against its rules.
//!
//! Called by the chart reader. What must stay true: a chart that Helm 3 refuses to
//! load is refused, in its words.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::chart::ChartError;
use crate::functions::semver::Version;
use crate::manifest::scalar;
use crate::render::CHART_FIELDS;

/// Fields of a dependency that are text.
const DEPENDENCY_TEXTS: [&str; 5] = ["name", "version", "repository", "condition", "alias"];

/// Makes text of what is text to Helm, such as `version: 1.0`, and refuses what is of
/// another type than Helm reads.
///
/// # Errors
/// Names the field.
pub fn conform(path: &str, metadata: &mut Map<String, Value>) -> Result<(), ChartError> {
    for (_, key, kind) in CHART_FIELDS {
        let Some(value) = metadata.get_mut(*key).filter(|value| !value.is_null()) else {
            continue;
        };
        let fits = match kind {
            's' => make_text(value),
            'b' => value.is_boolean(),
            'm' => match value {
                Value::Object(map) => map.values_mut().all(|it| it.is_null() || make_text(it)),
                _ => false,
            },
            'M' => each(value, |it| texts(it, &["name", "email", "url"])),
            'D' => each(value, |it| texts(it, &DEPENDENCY_TEXTS)),
            _ => each(value, make_text),
        };
        if !fits {
            return Err(ChartError::Invalid {
                path: path.to_owned(),
                why: format!("has {key} of the wrong type: {}", wanted(*kind)),
            });
        }
    }
    Ok(())
}

fn wanted(kind: char) -> &'static str {
    match kind {
        's' => "it must be text",
        'b' => "it must be true or false",
        'm' => "it must be a map of texts",
        'M' | 'D' => "it must be a list of maps",
        _ => "it must be a list of texts",
    }
}

fn make_text(value: &mut Value) -> bool {
    let text = scalar(value);
    let is_text = text.is_some();
    if let Some(text) = text {
        *value = Value::String(text);
    }
    is_text
}

fn each(value: &mut Value, fits: impl Fn(&mut Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().all(|it| it.is_null() || fits(it)),
        _ => false,
    }
}

fn texts(value: &mut Value, keys: &[&str]) -> bool {
    let Value::Object(map) = value else {
        return false;
    };
    keys.iter().all(|key| match map.get_mut(*key) {
        None | Some(Value::Null) => true,
        Some(value) => make_text(value),
    })
}

/// `Metadata.Validate`: Helm's rules for what it read.
///
/// # Errors
/// [`ChartError::Validation`] with Helm's words.
pub fn validate(metadata: &Map<String, Value>) -> Result<(), ChartError> {
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or("");
    let list = |key: &str| {
        metadata
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let refuse = |why: String| Err(ChartError::Validation(why));
    // Helm checks what is left without characters that cannot be printed.
    let name: String = text("name").chars().filter(|c| !c.is_control()).collect();
    let version = text("version");
    match name.as_str() {
        "" => return refuse("chart.metadata.name is required".to_owned()),
        "." | ".." => return refuse(format!("chart.metadata.name {name:?} is not allowed")),
        _ if name.contains(['/', '\\']) => {
            return refuse(format!("chart.metadata.name {name:?} is invalid"));
        }
        _ => {}
    }
    if version.is_empty() {
        return refuse("chart.metadata.version is required".to_owned());
    }
    if Version::parse(version).is_none() {
        return refuse(format!("chart.metadata.version {version:?} is invalid"));
    }
    if !matches!(text("type"), "" | "application" | "library") {
        return refuse("chart.metadata.type must be application or library".to_owned());
    }
    if list("maintainers").any(Value::is_null) {
        return refuse("maintainers must not contain empty or null nodes".to_owned());
    }
    let mut seen = HashSet::new();
    for dependency in list("dependencies") {
        if dependency.is_null() {
            return refuse("dependencies must not contain empty or null nodes".to_owned());
        }
        let text = |key: &str| dependency.get(key).and_then(Value::as_str).unwrap_or("");
        let (name, alias) = (text("name"), text("alias"));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !alias.chars().all(is_plain) {
            return refuse(format!(
                "dependency {name:?} has disallowed characters in the alias"
            ));
        }
        // Each subchart is wanted once under one name.
        let key = if alias.is_empty() { name } else { alias };
        if !seen.insert(key) {
            return refuse(format!(
                "more than one dependency with name or alias {key:?}"
            ));
        }
    }
    Ok(())
}

/// Refuses a lock file that Helm cannot read; nothing else is made of it.
///
/// # Errors
/// Names the file and what is wrong in it.
pub fn check_lock(path: &str, lock: &Map<String, Value>) -> Result<(), ChartError> {
    let present = |key: &str| lock.get(key).filter(|value| !value.is_null());
    let is_time = |value: &Value| {
        let time = value.as_str().map(str::parse::<jiff::Timestamp>);
        time.is_some_and(|time| time.is_ok())
    };
    let why = if present("generated").is_some_and(|value| !is_time(value)) {
        "has a generated that is no time"
    } else if present("digest").is_some_and(|value| scalar(value).is_none()) {
        "has a digest that is not text"
    } else if present("dependencies")
        .is_some_and(|value| !each(&mut value.clone(), |it| texts(it, &DEPENDENCY_TEXTS)))
    {
        "has dependencies that are no list of maps"
    } else {
        return Ok(());
    };
    Err(ChartError::Invalid {
        path: path.to_owned(),
        why: why.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::{check_lock, conform, validate};

    fn map(text: &str) -> Map<String, Value> {
        match catalyst_yaml::from_str(text) {
            Ok(Value::Object(map)) => map,
            other => panic!("{other:?}"),
        }
    }

    /// Helm 3.22's answers.
    #[test]
    fn charts_are_held_against_helms_rules() {
        for (text, expected) in [
            ("name: a\nversion: 1.0.0", None),
            ("name: a\nversion: 1.0", None),
            ("name: a\nversion: v1.2", None),
            ("name: a\nversion: 1.02.0", None),
            ("name: a\nversion: 1.0.0\ntype: library", None),
            ("version: 1.0.0", Some("chart.metadata.name is required")),
            (
                "name: ..\nversion: 1.0.0",
                Some(r#"chart.metadata.name ".." is not allowed"#),
            ),
            (
                "name: a/b\nversion: 1.0.0",
                Some(r#"chart.metadata.name "a/b" is invalid"#),
            ),
            ("name: a", Some("chart.metadata.version is required")),
            (
                "name: a\nversion: not",
                Some(r#"chart.metadata.version "not" is invalid"#),
            ),
            (
                "name: a\nversion: no",
                Some(r#"chart.metadata.version "false" is invalid"#),
            ),
            (
                "name: a\nversion: 1.0.0\ntype: weird",
                Some("chart.metadata.type must be application or library"),
            ),
            (
                "name: a\nversion: 1.0.0\nmaintainers: [null]",
                Some("maintainers must not contain empty or null nodes"),
            ),
            (
                "name: a\nversion: 1.0.0\ndependencies: [null]",
                Some("dependencies must not contain empty or null nodes"),
            ),
            (
                "name: a\nversion: 1.0.0\ndependencies: [{name: b, version: 1, alias: b c}]",
                Some(r#"dependency "b" has disallowed characters in the alias"#),
            ),
            (
                "name: a\nversion: 1.0.0\ndependencies: [{name: b}, {name: c, alias: b}]",
                Some(r#"more than one dependency with name or alias "b""#),
            ),
        ] {
            let mut metadata = map(text);
            conform("Chart.yaml", &mut metadata).unwrap();
            let found = validate(&metadata).err().map(|error| error.to_string());
            let expected = expected.map(|why| format!("cannot read the chart: validation: {why}"));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn fields_of_the_wrong_type_are_refused_by_name() {
        for (text, key) in [
            ("keywords: x", "keywords"),
            ("name: [a]", "name"),
            ("deprecated: x", "deprecated"),
            ("annotations: {a: [1]}", "annotations"),
            ("maintainers: [x]", "maintainers"),
            ("dependencies: [{name: {}}]", "dependencies"),
        ] {
            let error = conform("Chart.yaml", &mut map(text)).unwrap_err();
            assert!(
                error.to_string().contains(&format!("has {key} of")),
                "{error}"
            );
        }
        let mut metadata = map("appVersion: 1.10\nkeywords: [1, true]");
        conform("Chart.yaml", &mut metadata).unwrap();
        assert_eq!(metadata, map("appVersion: '1.1'\nkeywords: ['1', 'true']"));
    }

    #[test]
    fn lock_files_are_read_as_helm_reads_them() {
        for (text, is_fine) in [
            (
                "digest: sha256:ab\ngenerated: \"2024-01-01T10:00:00.123456789+02:00\"",
                true,
            ),
            (
                "dependencies: [{name: a, repository: '', version: 1.0}]",
                true,
            ),
            ("generated: nope", false),
            ("generated: 1", false),
            ("digest: []", false),
            ("dependencies: x", false),
            ("dependencies: [x]", false),
        ] {
            assert_eq!(
                check_lock("Chart.lock", &map(text)).is_ok(),
                is_fine,
                "{text}"
            );
        }
    }
}
