//! From a source's files to the objects of a Kustomization.
//!
//! Pure: files, spec and variables in, objects out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::apply::mark;
use crate::artifact::Files;
use crate::json::{describe, list, some_text, text, texts};

use super::substitute;

const GROUP: &str = "kustomize.toolkit.fluxcd.io";

/// File names that make a folder a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What a build takes from the Kustomization.
pub struct Input<'a> {
    pub spec: &'a Value,
    pub name: &'a str,
    pub namespace: &'a str,
    pub variables: &'a BTreeMap<String, String>,
}

/// Builds the objects, with the owner's labels on them.
pub fn build(files: &Files, input: &Input<'_>) -> Result<Vec<Value>, String> {
    let folder = normal(text(input.spec, "/path"))?;
    let mut files = files.clone();
    overlay(&mut files, &folder, input.spec)?;
    let options = catalyst_kustomize::Options {
        load_from_anywhere: true,
        ..catalyst_kustomize::Options::default()
    };
    let built = catalyst_kustomize::build(&files, &folder, &options)
        .map_err(|why| format!("kustomize build failed: {why}"))?;
    let mut objects = Vec::new();
    for object in built {
        let mut object = substituted(object, input)?;
        if text(&object, "/kind").is_empty() || text(&object, "/apiVersion").is_empty() {
            return Err(format!(
                "kustomize build failed: {} has no apiVersion or kind",
                describe(&object)
            ));
        }
        for place in ["labels", "annotations"] {
            let pointer = format!("/commonMetadata/{place}");
            let entries = texts(input.spec, &pointer);
            mark(&mut object, place, &entries);
        }
        let owner = BTreeMap::from([
            (format!("{GROUP}/name"), input.name.to_owned()),
            (format!("{GROUP}/namespace"), input.namespace.to_owned()),
        ]);
        mark(&mut object, "labels", &owner);
        objects.push(object);
    }
    Ok(objects)
}

/// `./a/../b/` → `b`; a path that leaves the source is refused.
fn normal(path: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(format!(
                        "kustomization path {path:?} leaves the source's folder"
                    ));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn within<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// Refuses a folder that the source does not have.
pub fn find(files: &Files, spec: &Value) -> Result<(), String> {
    let folder = normal(text(spec, "/path"))?;
    if files.keys().any(|path| within(&folder, path).is_some()) {
        return Ok(());
    }
    Err(format!(
        "kustomization path not found: the source holds no files in {:?}",
        text(spec, "/path")
    ))
}

/// Puts what the Kustomization's spec adds into the folder's own
/// kustomization, making one of all YAML files where there is none.
fn overlay(files: &mut Files, folder: &str, spec: &Value) -> Result<(), String> {
    let place = |name: &str| {
        if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        }
    };
    let existing = KUSTOMIZATIONS
        .iter()
        .map(|name| place(name))
        .find(|path| files.contains_key(path));
    let path = existing
        .clone()
        .unwrap_or_else(|| place("kustomization.yaml"));
    let mut own = match existing.and_then(|path| files.get(&path).cloned()) {
        Some(content) => {
            let content = String::from_utf8_lossy(&content).into_owned();
            catalyst_yaml::from_str(&content)
                .map_err(|why| format!("could not read {path}: {why}"))?
        }
        None => serde_json::json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": scan(files, folder)?,
        }),
    };
    let own = crate::json::as_map(&mut own);
    for (from, to) in [
        ("targetNamespace", "namespace"),
        ("namePrefix", "namePrefix"),
        ("nameSuffix", "nameSuffix"),
    ] {
        if let Some(value) = spec.get(from) {
            own.insert(to.to_owned(), value.clone());
        }
    }
    for field in ["components", "patches", "images", "buildMetadata"] {
        let Some(more) = spec.get(field).and_then(Value::as_array) else {
            continue;
        };
        let mut all = own
            .get(field)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for one in more {
            let name = one.get("name");
            if field == "images" && name.is_some() {
                all.retain(|other| other.get("name") != name);
            }
            if !(field == "components" && is_missing(files, folder, one, spec)) {
                all.push(one.clone());
            }
        }
        own.insert(field.to_owned(), Value::Array(all));
    }
    let text = Value::Object(own.clone()).to_string();
    files.insert(path, text.into_bytes());
    Ok(())
}

fn is_missing(files: &Files, folder: &str, component: &Value, spec: &Value) -> bool {
    let wanted = component.as_str().unwrap_or_default();
    crate::json::flag(spec, "/ignoreMissingComponents")
        && normal(&format!("{folder}/{wanted}"))
            .is_ok_and(|at| !files.keys().any(|path| within(&at, path).is_some()))
}

/// All YAML files below a folder; a folder with a kustomization of its own
/// counts as one.
fn scan(files: &Files, folder: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let owned: Vec<String> = files
        .keys()
        .filter_map(|path| {
            let (inner, name) = within(folder, path)?.rsplit_once('/')?;
            KUSTOMIZATIONS.contains(&name).then(|| inner.to_owned())
        })
        .collect();
    // Only the outermost of nested kustomizations is named.
    let is_below = |path: &str| {
        owned
            .iter()
            .find(|inner| path.starts_with(&format!("{inner}/")))
    };
    for inner in &owned {
        if is_below(inner).is_none() && !found.contains(inner) {
            found.push(inner.clone());
        }
    }
    for (path, content) in files {
        let Some(inner) = within(folder, path) else {
            continue;
        };
        let is_yaml = inner.ends_with(".yaml") || inner.ends_with(".yml");
        if !is_yaml || inner.starts_with(".sops") || is_below(inner).is_some() {
            continue;
        }
        let content = String::from_utf8_lossy(content);
        let documents = catalyst_yaml::documents(&content)
            .map_err(|why| format!("failed to decode Kubernetes YAML from {path}: {why}"))?;
        // Nothing but comments.
        if documents.is_empty() {
            continue;
        }
        if let Some(stranger) = documents
            .iter()
            .find(|one| some_text(one, "/kind").is_none())
        {
            return Err(format!(
                "failed to decode Kubernetes YAML from {path}: it holds a document without kind ({})",
                stranger.to_string().chars().take(60).collect::<String>()
            ));
        }
        found.push(inner.to_owned());
    }
    Ok(found)
}

fn substituted(object: Value, input: &Input<'_>) -> Result<Value, String> {
    let always = text(input.spec, "/postBuild/substituteStrategy") == "Always";
    let wanted = input.spec.get("postBuild").is_some() && (always || !input.variables.is_empty());
    let disabled = crate::apply::exception(&object, GROUP, "substitute") == "disabled";
    if !wanted || disabled {
        return Ok(object);
    }
    let yaml = catalyst_yaml::to_string(&object);
    let filled = substitute::fill(&yaml, input.variables)
        .map_err(|why| format!("{}: {why}", describe(&object)))?;
    catalyst_yaml::from_str(&filled).map_err(|why| {
        format!(
            "post build failed for {}: after substitution: {why}",
            describe(&object)
        )
    })
}

/// Whether the spec asks for substitution from other objects.
pub fn substitute_from(spec: &Value) -> &[Value] {
    list(spec, "/postBuild/substituteFrom")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files(all: &[(&str, &str)]) -> Files {
        all.iter()
            .map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec()))
            .collect()
    }

    fn names(
        files: &Files,
        spec: Value,
        variables: &[(&str, &str)],
    ) -> Result<Vec<String>, String> {
        let variables = variables
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let input = Input {
            spec: &spec,
            name: "app",
            namespace: "flux",
            variables: &variables,
        };
        let mut found: Vec<String> = build(files, &input)?.iter().map(describe).collect();
        found.sort();
        Ok(found)
    }

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ";

    #[test]
    fn a_folder_without_kustomization_is_all_its_yaml() {
        let files = files(&[
            ("apps/a.yaml", &format!("{MAP}a\n---\n{MAP}b\n")),
            ("apps/deep/c.yml", &format!("{MAP}c\n")),
            (
                "apps/kept/kustomization.yaml",
                "resources: [d.yaml]\nnamePrefix: x-\n",
            ),
            ("apps/kept/d.yaml", &format!("{MAP}d\n")),
            ("apps/empty.yaml", "# nothing\n"),
            ("apps/readme.md", "no"),
            ("other.yaml", &format!("{MAP}z\n")),
        ]);
        assert_eq!(
            names(
                &files,
                json!({"path": "./apps", "targetNamespace": "shop"}),
                &[]
            )
            .unwrap(),
            [
                "ConfigMap/shop/a",
                "ConfigMap/shop/b",
                "ConfigMap/shop/c",
                "ConfigMap/shop/x-d"
            ]
        );
    }

    #[test]
    fn variables_are_filled_unless_an_object_declines() {
        let files = files(&[(
            "a.yaml",
            &format!(
                "{MAP}${{name}}\n---\n{MAP}kept\n  annotations: {{kustomize.toolkit.fluxcd.io/substitute: disabled}}\ndata: {{a: '${{name}}'}}\n"
            ),
        )]);
        let spec = json!({"path": "./", "postBuild": {"substitute": {"name": "web"}}});
        assert_eq!(
            names(&files, spec, &[("name", "web")]).unwrap(),
            ["ConfigMap/kept", "ConfigMap/web"]
        );
    }

    #[test]
    fn faults_name_the_place() {
        let broken = files(&[("a.yaml", "a: [")]);
        let error = names(&broken, json!({"path": "./"}), &[]).unwrap_err();
        assert!(error.contains("a.yaml"), "{error}");
        // Asked before anything is built: it is the artifact's fault, not the build's.
        let error = find(&broken, &json!({"path": "./nowhere"})).unwrap_err();
        assert!(error.contains("path not found"), "{error}");
        let error = names(&broken, json!({"path": "../x"}), &[]).unwrap_err();
        assert!(error.contains("leaves"), "{error}");
    }
}
