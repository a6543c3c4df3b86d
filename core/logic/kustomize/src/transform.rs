//! The transformers that change fields: namespace, names, labels,
//! annotations, images, replicas.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::error::Fault;
use crate::field::{self, FieldSpec, Make};
use crate::kustomization::{Image, Replica};
use crate::resource::{Resource, scalar_text};

/// Puts every namespaced object into `namespace`, and what says it elsewhere:
/// Namespace objects, webhook services, and the subjects named `default`.
pub fn namespace(
    resources: &mut [Resource],
    namespace: &str,
    specs: &[FieldSpec],
) -> Result<(), Fault> {
    for at in 0..resources.len() {
        let Some(object) = resources.get_mut(at) else {
            continue;
        };
        object.remember_name();
        let gvk = object.gvk();
        if !gvk.is_cluster_scoped() {
            object.set_namespace(namespace);
        }
        let is_binding = matches!(gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if is_binding && let Some(Value::Array(subjects)) = object.value.get_mut("subjects") {
            for subject in subjects {
                if let Value::Object(subject) = subject
                    && subject.get("name").and_then(Value::as_str) == Some("default")
                {
                    subject.insert("namespace".into(), Value::String(namespace.to_owned()));
                }
            }
        }
        let is_core = object.api_version() == "v1";
        for spec in specs {
            // The object's own namespace is set above, and a kind named
            // Namespace of another group keeps its name.
            if spec.path == "metadata/namespace"
                || (spec.path == "metadata/name" && !is_core)
                || (is_binding && spec.path == "subjects/namespace")
            {
                continue;
            }
            field::visit(
                &mut object.value,
                spec,
                Make::Scalar,
                &mut |value| match value {
                    Value::Object(_) | Value::Array(_) => Err(Fault::new(
                        "namespace field specifications must lead to text",
                    )),
                    value => {
                        *value = Value::String(namespace.to_owned());
                        Ok(())
                    }
                },
            )?;
        }
        let id = object.id();
        if resources
            .iter()
            .filter(|other| other.id().same_object(&id))
            .count()
            > 1
        {
            return Err(Fault::new(format!(
                "namespace transformation produces ID conflict: {id}"
            )));
        }
    }
    Ok(())
}

/// Which end of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Prefix,
    Suffix,
}

/// Adds a prefix or suffix to names; definitions, API services and namespaces
/// keep theirs.
pub fn rename(
    resources: &mut [Resource],
    affix: &str,
    end: End,
    specs: &[FieldSpec],
) -> Result<(), Fault> {
    for object in resources {
        let id = object.original_id();
        let keeps = matches!(
            id.gvk.kind.as_str(),
            "CustomResourceDefinition" | "Namespace"
        ) || (id.gvk.kind == "APIService" && id.gvk.group == "apiregistration.k8s.io");
        if keeps {
            continue;
        }
        for spec in specs {
            if !id.gvk.is_selected_by(&spec.gvk()) {
                continue;
            }
            if spec.path == "metadata/name" {
                match end {
                    End::Prefix => object.prefixes.push(affix.to_owned()),
                    End::Suffix => object.suffixes.push(affix.to_owned()),
                }
                object.remember_name();
            }
            field::visit(&mut object.value, spec, Make::Nothing, &mut |value| {
                let name = scalar_text(value);
                *value = Value::String(match end {
                    End::Prefix => format!("{affix}{name}"),
                    End::Suffix => format!("{name}{affix}"),
                });
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Sets labels or annotations in every field of `specs`.
pub fn set_entries(
    resources: &mut [Resource],
    entries: &BTreeMap<String, String>,
    specs: &[FieldSpec],
) -> Result<(), Fault> {
    if entries.is_empty() {
        return Ok(());
    }
    for object in resources {
        for spec in specs {
            field::visit(&mut object.value, spec, Make::Map, &mut |value| {
                if value.is_null() {
                    *value = Value::Object(Map::new());
                }
                let Value::Object(map) = value else {
                    return Err(Fault::new("it holds no map"));
                };
                for (key, text) in entries {
                    map.insert(key.clone(), Value::String(text.clone()));
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Changes name, tag or digest of images called `image.name`: those of every list that
/// is called `containers` or `initContainers`, wherever it is, then those in `specs`.
/// Twice where both lead to one, as in kustomize; only a suffix shows it.
pub fn image(resources: &mut [Resource], image: &Image, specs: &[FieldSpec]) -> Result<(), Fault> {
    // kustomize reads the name as a pattern.
    let pattern = Regex::new(&format!(
        "^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$",
        image.name
    ))
    .map_err(|_| Fault::new(format!("{:?} is not an image name", image.name)))?;
    let mut change = |value: &mut Value| {
        if value.is_object() || value.is_array() {
            return Err(Fault::new("an image must be text"));
        }
        let text = scalar_text(value);
        if pattern.is_match(&text) {
            *value = Value::String(changed_image(&text, image));
        }
        Ok(())
    };
    for object in resources {
        if object.kind() == "CustomResourceDefinition" {
            continue;
        }
        in_containers(&mut object.value, &mut change)?;
        for spec in specs {
            field::visit(&mut object.value, spec, Make::Nothing, &mut change)?;
        }
    }
    Ok(())
}

/// Calls `change` on the image of every container below `value`, inner ones first.
fn in_containers(
    value: &mut Value,
    change: &mut dyn FnMut(&mut Value) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match value {
        Value::Array(items) => {
            for item in items {
                in_containers(item, change)?;
            }
            Ok(())
        }
        Value::Object(map) => {
            for (name, field) in map.iter_mut() {
                in_containers(field, change)?;
                let is_pods = matches!(name.as_str(), "containers" | "initContainers");
                let Value::Array(containers) = field else {
                    continue;
                };
                for container in containers.iter_mut().filter(|_| is_pods) {
                    match container {
                        Value::Object(container) => {
                            if let Some(image) = container.get_mut("image") {
                                change(image)?;
                            }
                        }
                        Value::Null => {}
                        _ => return Err(Fault::new(format!("an item of {name} is no map"))),
                    }
                }
            }
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn changed_image(text: &str, image: &Image) -> String {
    let (name, mut tag, mut digest) = split_image(text);
    let mut result = if image.new_name.is_empty() {
        name
    } else {
        image.new_name.clone()
    };
    match (!image.new_tag.is_empty(), !image.digest.is_empty()) {
        (true, true) => (tag, digest) = (image.new_tag.clone(), image.digest.clone()),
        (true, false) => (tag, digest) = (image.new_tag.clone(), String::new()),
        (false, true) => (tag, digest) = (String::new(), image.digest.clone()),
        (false, false) if !image.tag_suffix.is_empty() => {
            tag.push_str(&image.tag_suffix);
            digest.clear();
        }
        (false, false) => {}
    }
    if !tag.is_empty() {
        result = format!("{result}:{tag}");
    }
    if !digest.is_empty() {
        result = format!("{result}@{digest}");
    }
    result
}

/// Name, tag, digest. A colon before the first slash belongs to the host.
fn split_image(text: &str) -> (String, String, String) {
    let (rest, digest) = text.split_once('@').unwrap_or((text, ""));
    let path_at = rest.find('/').filter(|at| *at > 0).unwrap_or(0);
    let (host, path) = rest.split_at(path_at);
    let (path, tag) = path.split_once(':').unwrap_or((path, ""));
    (format!("{host}{path}"), tag.to_owned(), digest.to_owned())
}

/// Sets the replica count of the objects called `replica.name`.
pub fn replicas(
    resources: &mut [Resource],
    replica: &Replica,
    specs: &[FieldSpec],
) -> Result<(), Fault> {
    let mut found = false;
    for spec in specs {
        for object in resources.iter_mut() {
            let fits = object
                .all_ids()
                .iter()
                .any(|id| id.name == replica.name && id.gvk.is_selected_by(&spec.gvk()));
            if fits {
                found = true;
                field::visit(&mut object.value, spec, Make::Scalar, &mut |value| {
                    *value = Value::from(replica.count);
                    Ok(())
                })?;
            }
        }
    }
    if found {
        return Ok(());
    }
    let kinds: Vec<String> = specs.iter().map(|spec| spec.gvk().to_string()).collect();
    Err(Fault::new(format!(
        "resource with name {} does not match a config with the following GVK [{}]",
        replica.name,
        kinds.join(" ")
    )))
}
