//! YAML documents of our kinds in Git: read with every fault's place, written
//! so that a reader's comments at the top stay.
//!
//! Used by every command that reads or writes a repository, and by the push
//! check. What must stay true: a fault never quotes a value, which could be a
//! secret at the wrong place.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use catalyst_api::Fault;
use catalyst_blueprint::line_of_pointer;
use catalyst_resources::{GROUP, VERSION, custom_resource_definitions};
use catalyst_schema::Schema;
use catalyst_yaml::pointer::escape;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A fault in a file of a repository.
pub(crate) fn fault(file: &str, text: &str, pointer: &str, message: impl Into<String>) -> Fault {
    Fault {
        file: Some(file.to_owned()),
        line: line_of_pointer(text, pointer).and_then(|line| u32::try_from(line).ok()),
        pointer: Some(pointer.to_owned()),
        message: message.into(),
    }
}

/// `applications/wiki/application.yaml:12: reason`.
pub(crate) fn line_of_fault(fault: &Fault) -> String {
    match (&fault.file, fault.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: {}", fault.message),
        (Some(file), None) => format!("{file}: {}", fault.message),
        _ => fault.message.clone(),
    }
}

/// Reads one object of a kind of ours, or says everything that is wrong with
/// its form.
pub(crate) fn parse<T: DeserializeOwned>(
    file: &str,
    text: &str,
    kind: &str,
) -> Result<T, Vec<Fault>> {
    let documents = catalyst_yaml::documents_with_lines(text).map_err(|error| {
        vec![Fault {
            file: Some(file.to_owned()),
            line: u32::try_from(error.line).ok(),
            pointer: None,
            message: format!(
                "the file is not YAML: {}; check indentation and quotes",
                error.message
            ),
        }]
    })?;
    let value = match documents.as_slice() {
        [(_, one)] => one.clone(),
        [] => return Err(vec![fault(file, text, "", "the file is empty")]),
        [_, (line, _), ..] => {
            return Err(vec![Fault {
                file: Some(file.to_owned()),
                line: u32::try_from(*line).ok(),
                pointer: None,
                message: format!(
                    "the file holds more than one document, and the second starts here; keep one {kind} a file"
                ),
            }]);
        }
    };
    let mut faults = header_faults(file, text, kind, &value);
    if let Some(schema) = schema_of(kind) {
        let declared = declared_part(&value);
        faults.extend(schema.validate(&declared).into_iter().map(|error| {
            let pointer = pointer_of(&error.path);
            let reason = if error.message.is_empty() {
                "the value does not fit".to_owned()
            } else {
                error.message
            };
            fault(file, text, &pointer, format!("{}: {reason}", error.path))
        }));
        faults.extend(schema.unknown_fields(&declared).into_iter().map(|path| {
            fault(
                file,
                text,
                &pointer_of(&path),
                format!("{path}: {kind} has no such field; remove it or correct its name"),
            )
        }));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(value).map_err(|_| {
        vec![fault(
            file,
            text,
            "",
            format!("the file cannot be read as {kind}; compare it with docs/spec"),
        )]
    })
}

fn header_faults(file: &str, text: &str, kind: &str, value: &Value) -> Vec<Fault> {
    let api_version = format!("{GROUP}/{VERSION}");
    let mut faults = Vec::new();
    for (field, expected) in [("apiVersion", api_version.as_str()), ("kind", kind)] {
        if value.get(field).and_then(Value::as_str) != Some(expected) {
            faults.push(fault(
                file,
                text,
                &format!("/{field}"),
                format!("{field} is not {expected}; write `{field}: {expected}`"),
            ));
        }
    }
    let name = value.pointer("/metadata/name").and_then(Value::as_str);
    if name.is_none_or(str::is_empty) {
        faults.push(fault(
            file,
            text,
            "/metadata/name",
            "metadata.name is missing; give the object its name",
        ));
    }
    let metadata = value.get("metadata").and_then(Value::as_object);
    for (field, under) in metadata.into_iter().flatten() {
        let pointer = format!("/metadata/{field}");
        match field.as_str() {
            "name" | "namespace" => {}
            "labels" | "annotations" => {
                let keys = under.as_object().into_iter().flatten();
                let reserved = keys.filter(|(key, value)| is_reserved(key) || !value.is_string());
                faults.extend(reserved.map(|(key, _)| {
                    fault(
                        file,
                        text,
                        &pointer,
                        format!("metadata.{field}: {key} is not for files in Git, or is no text; remove it"),
                    )
                }));
            }
            // Flux applies the file with all rights: a finalizer would hold up
            // every deletion, and an owner that is not there would begin one.
            _ => faults.push(fault(
                file,
                text,
                &pointer,
                format!("metadata.{field} is not for files in Git; remove it"),
            )),
        }
    }
    faults
}

/// Whether a label or annotation tells Flux, Kubernetes or our own controllers
/// what to do.
fn is_reserved(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else {
        return false;
    };
    [
        "fluxcd.io",
        "kubernetes.io",
        "k8s.io",
        "helm.sh",
        "openova.io",
        "external-secrets.io",
    ]
    .iter()
    .any(|one| {
        domain
            .strip_suffix(one)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// What the definition's schema speaks of: spec and status.
fn declared_part(value: &Value) -> Value {
    let mut declared = json!({});
    for field in ["spec", "status"] {
        if let (Some(part), Some(map)) = (value.get(field), declared.as_object_mut()) {
            map.insert(field.to_owned(), part.clone());
        }
    }
    declared
}

fn schema_of(kind: &str) -> Option<&'static Schema> {
    static SCHEMAS: OnceLock<BTreeMap<String, Schema>> = OnceLock::new();
    SCHEMAS
        .get_or_init(|| {
            custom_resource_definitions()
                .into_iter()
                .filter_map(|(kind, definition)| {
                    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema")?;
                    Some((kind.kind.to_owned(), Schema::parse(schema).ok()?))
                })
                .collect()
        })
        .get(kind)
}

/// `spec.ports[0].name` → `/spec/ports/0/name`.
fn pointer_of(path: &str) -> String {
    let mut pointer = String::new();
    for part in path.split(['.', '[']) {
        let part = part.trim_end_matches(']');
        if !part.is_empty() {
            pointer.push('/');
            pointer.push_str(&escape(part));
        }
    }
    pointer
}

/// An object as a file; the comment lines that `before` begins with stay.
pub(crate) fn write(object: &impl serde::Serialize, before: Option<&str>) -> String {
    // Our kinds are structs of texts, numbers and lists: they have a JSON form.
    let value = serde_json::to_value(object).unwrap_or_default();
    let head: String = before
        .unwrap_or_default()
        .lines()
        .take_while(|line| line.starts_with('#') || line.trim().is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    let head = if head.trim().is_empty() {
        String::new()
    } else {
        head
    };
    format!("{head}{}", catalyst_yaml::to_string(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_resources::Application;

    const GOOD: &str = "# kept\napiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata:\n  name: wiki\nspec:\n  blueprint:\n    source: catalog\n    name: bp-wiki\n    version: 1.0.0\n";

    fn faults(text: &str) -> Vec<String> {
        match parse::<Application>("a.yaml", text, "Application") {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(line_of_fault).collect(),
        }
    }

    #[test]
    fn a_good_file_reads_and_writes_the_same() {
        let noted = GOOD.replace("spec:", "  annotations: {example.com/owner: web}\nspec:");
        assert!(faults(&noted).is_empty());
        let read: Application = parse("a.yaml", GOOD, "Application").unwrap();
        let written = write(&read, Some(GOOD));
        assert!(written.starts_with("# kept\napiVersion:"), "{written}");
        let again: Application = parse("a.yaml", &written, "Application").unwrap();
        assert_eq!(read, again);
    }

    #[test]
    fn faults_have_their_line_and_no_value() {
        for (text, expected) in [
            (
                GOOD.replace("kind: Application", "kind: App"),
                "a.yaml:3: kind is not Application; write `kind: Application`",
            ),
            (
                GOOD.replace("  blueprint:", "  bluprint:"),
                "a.yaml:7: spec.bluprint: Application has no such field; remove it or correct its name",
            ),
            (
                GOOD.replace("name: wiki", "title: wiki"),
                "a.yaml:4: metadata.name is missing; give the object its name",
            ),
            (
                GOOD.replace("spec:", "  finalizers: [x/y]\nspec:"),
                "a.yaml:6: metadata.finalizers is not for files in Git; remove it",
            ),
            (
                GOOD.replace("spec:", "  ownerReferences: [{uid: x}]\nspec:"),
                "a.yaml:6: metadata.ownerReferences is not for files in Git; remove it",
            ),
            (
                GOOD.replace(
                    "spec:",
                    "  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}\nspec:",
                ),
                "a.yaml:6: metadata.annotations: kustomize.toolkit.fluxcd.io/prune is not for files",
            ),
            (
                GOOD.replace(
                    "spec:",
                    "  labels: {openova.io/organization: globex}\nspec:",
                ),
                "a.yaml:6: metadata.labels: openova.io/organization is not for files",
            ),
            (GOOD.replace("spec:", "spec: ["), "a.yaml:"),
            (
                format!("{GOOD}---\n{GOOD}"),
                "a.yaml:11: the file holds more than one document, and the second starts here; keep one Application a file",
            ),
            (String::new(), "a.yaml: the file is empty"),
            (
                format!("{GOOD}  size: [hunter2]\n"),
                "a.yaml:11: spec.size: ",
            ),
        ] {
            let found = faults(&text);
            assert!(
                found.iter().any(|line| line.starts_with(expected)),
                "{expected:?} is not in {found:?}"
            );
            assert!(
                found.iter().all(|line| !line.contains("hunter2")),
                "{found:?}"
            );
        }
    }
}
