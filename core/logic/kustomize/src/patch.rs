//! Patches: strategic merges and JSON patches (RFC 6902), by target.

use serde_json::{Map, Value};

use crate::error::Fault;
use crate::merge::merge;
use crate::merge_keys::root;
use crate::resource::{self, Resource};
use crate::selector::Selector;

/// What a patch's text turned out to be.
enum Content {
    Merges(Vec<Resource>),
    Operations(Value),
}

/// What a strategic merge may change besides the content.
#[derive(Clone, Copy, Default)]
pub struct Allow {
    pub name: bool,
    pub kind: bool,
}

/// Applies one entry of `patches`.
pub fn apply(
    resources: &mut Vec<Resource>,
    text: &str,
    target: Option<&Selector>,
    allow: Allow,
    document: Option<&Value>,
) -> Result<(), Fault> {
    match (read(text)?, target) {
        (Content::Merges(patches), Some(target)) => {
            let [patch] = patches.as_slice() else {
                return Err(Fault::new(
                    "a patch with a target must be one object; it has several",
                ));
            };
            for at in target.select(resources)? {
                if let Some(object) = resources.get_mut(at) {
                    merge_one(object, patch, allow, true, document)?;
                }
            }
        }
        (Content::Merges(patches), None) => {
            for patch in &patches {
                merge_by_name(resources, patch, allow, document)?;
            }
        }
        (Content::Operations(_), None) => {
            return Err(Fault::new("a JSON patch needs a target"));
        }
        (Content::Operations(operations), Some(target)) => {
            operate(resources, &operations, target, true)?;
        }
    }
    drop_deleted(resources)
}

/// Applies one entry of `patchesStrategicMerge`.
pub fn apply_merges(
    resources: &mut Vec<Resource>,
    patches: &[Resource],
    document: Option<&Value>,
) -> Result<(), Fault> {
    for patch in patches {
        merge_by_name(resources, patch, Allow::default(), document)?;
        drop_deleted(resources)?;
    }
    Ok(())
}

/// Applies one entry of `patchesJson6902`.
pub fn apply_operations(
    resources: &mut [Resource],
    text: &str,
    target: &Selector,
) -> Result<(), Fault> {
    if target.name.is_empty() {
        return Err(Fault::new("must specify the target name"));
    }
    check_operations(text)?;
    let operations = catalyst_yaml::from_str(text)
        .map_err(|error| Fault::new(format!("the patch is not YAML: {error}")))?;
    if operations.as_array().is_none_or(Vec::is_empty) {
        return Err(Fault::new("the patch is not a list of operations"));
    }
    operate(resources, &operations, target, false)
}

/// True where `text` holds objects rather than a path.
pub fn is_inline(text: &str) -> bool {
    resource::parse(text.as_bytes()).is_ok_and(|found| !found.is_empty())
}

fn read(text: &str) -> Result<Content, Fault> {
    let documents = catalyst_yaml::documents(text)
        .map_err(|error| Fault::new(format!("the patch is not YAML: {error}")))?;
    match documents.first() {
        None => Err(Fault::new("the patch is empty")),
        Some(operations @ Value::Array(_)) => {
            check_operations(text)?;
            Ok(Content::Operations(operations.clone()))
        }
        Some(_) => resource::parse(text.as_bytes())
            .map(Content::Merges)
            .map_err(|Fault(message)| {
                Fault::new(format!(
                    "the patch is neither a strategic merge of an object nor a JSON patch: {message}"
                ))
            }),
    }
}

/// Operations that begin with a bracket must be JSON: kustomize takes YAML only for
/// a list of dashes.
fn check_operations(text: &str) -> Result<(), Fault> {
    if text.starts_with('[')
        && let Err(error) = serde_json::from_str::<Value>(text)
    {
        return Err(Fault::new(format!(
            "unable to parse SM or JSON patch: it begins with [ and is no JSON: {error}; \
             put quotes around its keys and texts, or write a list with dashes"
        )));
    }
    Ok(())
}

fn merge_by_name(
    resources: &mut [Resource],
    patch: &Resource,
    allow: Allow,
    document: Option<&Value>,
) -> Result<(), Fault> {
    let id = patch.id();
    let found: Vec<usize> = resources
        .iter()
        .enumerate()
        .filter(|(_, object)| object.all_ids().iter().any(|own| id.same_object(own)))
        .map(|(at, _)| at)
        .collect();
    match found.as_slice() {
        [at] => match resources.get_mut(*at) {
            Some(object) => merge_one(object, patch, allow, false, document),
            None => Ok(()),
        },
        [] => Err(Fault::new(format!(
            "no resource matches strategic merge patch {id}"
        ))),
        _ => Err(Fault::new(format!(
            "strategic merge patch {id} matches {} resources",
            found.len()
        ))),
    }
}

/// `retyped`: the patch is for whatever the target selected, so it takes the
/// object's apiVersion first.
fn merge_one(
    object: &mut Resource,
    patch: &Resource,
    allow: Allow,
    retyped: bool,
    document: Option<&Value>,
) -> Result<(), Fault> {
    if object.is_empty() {
        return Ok(());
    }
    let (name, namespace, kind) = (object.name(), object.namespace(), object.kind().to_owned());
    if allow.name || allow.kind {
        object.remember_name();
    }
    let mut change = patch.value.clone();
    if retyped && let Value::Object(map) = &mut change {
        map.insert(
            "apiVersion".to_owned(),
            Value::String(object.api_version().to_owned()),
        );
    }
    let place = root(object.api_version(), &kind, document);
    let merged = merge(Some(object.value.take()), Some(change), place, "")
        .map_err(|Fault(message)| Fault::new(format!("{kind} {name:?}: {message}")))?;
    object.value = merged.unwrap_or(Value::Null);
    object.take_times(patch);
    if object.is_empty() {
        object.value = Value::Null;
        return Ok(());
    }
    if !allow.kind
        && let Value::Object(map) = &mut object.value
    {
        map.insert("kind".to_owned(), Value::String(kind));
    }
    if !allow.name {
        object.set_name(&name);
    }
    object.set_namespace(&namespace);
    Ok(())
}

fn operate(
    resources: &mut [Resource],
    operations: &Value,
    target: &Selector,
    may_rename: bool,
) -> Result<(), Fault> {
    for at in target.select(resources)? {
        let Some(object) = resources.get_mut(at) else {
            continue;
        };
        if may_rename {
            object.remember_name();
        }
        // In kustomize an object with a history has annotations, so that
        // `add /metadata/annotations/x` works on any object.
        if object.has_history() && object.annotations_mut().is_none() {
            continue;
        }
        object.write_times();
        let id = object.id();
        object.value = operations_applied(&object.value, operations)
            .map_err(|Fault(message)| Fault::new(format!("{id}: {message}")))?;
    }
    Ok(())
}

fn operations_applied(value: &Value, operations: &Value) -> Result<Value, Fault> {
    catalyst_apply::json_patch(value, operations).map_err(|error| Fault::new(error.to_string()))
}

/// Removes what a patch deleted; two objects of one name are refused.
fn drop_deleted(resources: &mut Vec<Resource>) -> Result<(), Fault> {
    resources.retain(|object| !object.is_empty());
    for (at, object) in resources.iter().enumerate() {
        let id = object.id();
        if resources
            .iter()
            .skip(at + 1)
            .any(|other| other.id().same_object(&id))
        {
            return Err(Fault::new(format!(
                "after the patch two resources have the id {id}"
            )));
        }
    }
    Ok(())
}

/// An empty map where a kustomization gives none.
pub fn allow(options: &std::collections::BTreeMap<String, bool>) -> Allow {
    let on = |name: &str| options.get(name).copied().unwrap_or(false);
    Allow {
        name: on("allowNameChange"),
        kind: on("allowKindChange"),
    }
}

/// Says where an object came from, with `buildMetadata`.
pub const ORIGIN: &str = "config.kubernetes.io/origin";
/// Says what changed it.
pub const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";
/// Annotations that are kustomize's own while it builds. Whoever wrote them, they are
/// not in what comes out.
const BUILD: [&str; 20] = [
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    ORIGIN,
    TRANSFORMATIONS,
];

/// Drops the annotations that a build keeps for itself.
pub fn drop_build_annotations(value: &mut Value) {
    if let Some(Value::Object(annotations)) = value.pointer_mut("/metadata/annotations") {
        annotations.retain(|key, _| !BUILD.contains(&key.as_str()));
    }
}

/// Drops what only the build needed and turns annotation values into texts.
pub fn tidy_annotations(value: &mut Value) {
    let Some(Value::Object(metadata)) = value.get_mut("metadata") else {
        return;
    };
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
        return;
    };
    if annotations.is_empty() {
        metadata.remove("annotations");
        return;
    }
    let texts: Map<String, Value> = annotations
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(resource::scalar_text(value))))
        .collect();
    *annotations = texts;
}
