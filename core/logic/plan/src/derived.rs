//! Objects that come to be because of others: a StatefulSet's claims, and the Secret
//! that an ExternalSecret makes.
//!
//! Nobody applies them, yet they hold what an Application cannot do without: data and
//! credentials. Pods are left out; they come and go with every rollout.

use serde_json::{Value, json};

use crate::plan::OwnedObject;

/// The most pods of a StatefulSet whose claims are listed; no Application in a vcluster
/// has as many, and a Plan has an end.
const MOST_REPLICAS: u64 = 100;

/// What controllers make because of an object; nothing of most.
///
/// The names are those of Kubernetes (`TEMPLATE-STATEFULSET-ORDINAL`) and of the
/// External Secrets Operator (`spec.target.name`, else the ExternalSecret's own).
pub fn derived(owned: &OwnedObject) -> Vec<OwnedObject> {
    let objects = match (text(&owned.object, "/kind"), group(&owned.object)) {
        (Some("StatefulSet"), "apps") => claims(&owned.object),
        (Some("ExternalSecret"), "external-secrets.io") => secret(&owned.object),
        _ => Vec::new(),
    };
    objects
        .into_iter()
        .map(|object| OwnedObject {
            application: owned.application.clone(),
            object,
        })
        .collect()
}

/// The storage that a claim asks for.
pub(crate) fn size(object: &Value) -> Option<String> {
    (text(object, "/kind") == Some("PersistentVolumeClaim"))
        .then(|| text(object, "/spec/resources/requests/storage"))
        .flatten()
        .map(str::to_owned)
}

/// The object that makes what is derived from it, for people.
pub(crate) fn maker(object: &Value) -> String {
    let part = |pointer| text(object, pointer).unwrap_or_default();
    format!("{} {}", part("/kind"), part("/metadata/name"))
}

fn claims(set: &Value) -> Vec<Value> {
    let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64);
    let Some(name) = text(set, "/metadata/name") else {
        return Vec::new();
    };
    let templates = set
        .pointer("/spec/volumeClaimTemplates")
        .and_then(Value::as_array);
    let first = number("/spec/ordinals/start").unwrap_or(0);
    let replicas = number("/spec/replicas").unwrap_or(1).min(MOST_REPLICAS);
    let ordinals = first..first.saturating_add(replicas);
    templates
        .into_iter()
        .flatten()
        .filter_map(|template| Some((text(template, "/metadata/name")?, template)))
        .flat_map(|(claim, template)| {
            ordinals.clone().map(move |ordinal| {
                let spec = template.get("spec").cloned().unwrap_or_default();
                let mut object = in_namespace_of(
                    set,
                    "PersistentVolumeClaim",
                    &format!("{claim}-{name}-{ordinal}"),
                );
                if let Some(object) = object.as_object_mut() {
                    object.insert("spec".to_owned(), spec);
                }
                object
            })
        })
        .collect()
}

fn secret(external: &Value) -> Vec<Value> {
    // `Merge` adds to a Secret that somebody else makes; `None` makes none.
    let makes = matches!(
        text(external, "/spec/target/creationPolicy"),
        None | Some("Owner" | "Orphan")
    );
    let name = text(external, "/spec/target/name").or_else(|| text(external, "/metadata/name"));
    name.filter(|_| makes)
        .map(|name| in_namespace_of(external, "Secret", name))
        .into_iter()
        .collect()
}

fn in_namespace_of(maker: &Value, kind: &str, name: &str) -> Value {
    let mut metadata = json!({"name": name});
    if let (Some(namespace), Some(metadata)) =
        (text(maker, "/metadata/namespace"), metadata.as_object_mut())
    {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    json!({"apiVersion": "v1", "kind": kind, "metadata": metadata})
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

fn group(object: &Value) -> &str {
    text(object, "/apiVersion")
        .and_then(|version| version.split_once('/'))
        .map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(object: Value) -> Vec<String> {
        let owned = OwnedObject {
            application: "guests".to_owned(),
            object,
        };
        derived(&owned)
            .iter()
            .map(|it| {
                let part = |pointer| text(&it.object, pointer).unwrap_or_default();
                let size = size(&it.object).unwrap_or_default();
                format!(
                    "{} {}/{} {size}",
                    part("/kind"),
                    part("/metadata/namespace"),
                    part("/metadata/name")
                )
            })
            .collect()
    }

    fn set(spec: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": "guests"}, "spec": spec,
        })
    }

    #[test]
    fn a_stateful_set_makes_a_claim_for_each_template_and_ordinal() {
        let template = |name: &str, size: &str| {
            json!({
                "metadata": {"name": name},
                "spec": {"resources": {"requests": {"storage": size}}},
            })
        };
        let templates = json!([template("data", "8Gi"), template("wal", "1Gi")]);
        assert_eq!(
            names(set(
                json!({"replicas": 2, "volumeClaimTemplates": templates})
            )),
            [
                "PersistentVolumeClaim guests/data-db-0 8Gi",
                "PersistentVolumeClaim guests/data-db-1 8Gi",
                "PersistentVolumeClaim guests/wal-db-0 1Gi",
                "PersistentVolumeClaim guests/wal-db-1 1Gi",
            ]
        );
        let one = json!([template("data", "8Gi")]);
        assert_eq!(
            names(set(
                json!({"ordinals": {"start": 3}, "volumeClaimTemplates": one})
            )),
            ["PersistentVolumeClaim guests/data-db-3 8Gi"]
        );
        let many = names(set(
            json!({"replicas": u64::MAX, "volumeClaimTemplates": one}),
        ));
        assert_eq!(many.len(), 100);
        let none: [Value; 3] = [
            json!({"replicas": 2}),
            json!({"replicas": 0, "volumeClaimTemplates": one}),
            json!({"volumeClaimTemplates": "data"}),
        ];
        for spec in none {
            assert_eq!(names(set(spec)), [""; 0]);
        }
    }

    #[test]
    fn an_external_secret_makes_the_secret_that_it_owns() {
        let external = |target: Value| {
            json!({
                "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
                "metadata": {"name": "db", "namespace": "guests"}, "spec": {"target": target},
            })
        };
        for (target, expected) in [
            (json!({}), Some("Secret guests/db ")),
            (json!({"name": "url"}), Some("Secret guests/url ")),
            (
                json!({"name": "url", "creationPolicy": "Owner"}),
                Some("Secret guests/url "),
            ),
            (json!({"creationPolicy": "Merge"}), None),
            (json!({"creationPolicy": "None"}), None),
        ] {
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(names(external(target.clone())), expected, "{target}");
        }
        // Others of the same kind are not ours to know.
        let mut other = external(json!({}));
        other["apiVersion"] = json!("example.org/v1");
        assert_eq!(names(other), [""; 0]);
    }
}
