//! Who or what keeps an object that is to go, for people.
//!
//! Called by deletions with what they still find. What must stay true: whatever can
//! be named is named, by kind and name, with the finalizers that hold it.

use serde_json::Value;

use crate::error::ReconcileError;
use crate::kubernetes::{Cluster, describe_object};
use crate::object::{array, condition, name, text};

/// How many objects are named; of the others the number is told.
const MOST_NAMED: usize = 10;

/// Why an object is still there, by what it says itself; `and` is what goes with it,
/// if it may be put so: "and the rest of the vcluster with it".
pub fn of(object: &Value, and: &str) -> ReconcileError {
    let reason = match finalizers(object).as_slice() {
        [] => "it is still on its way out".to_owned(),
        all => {
            let rest = if and.is_empty() {
                String::new()
            } else {
                format!(", {and}")
            };
            format!(
                "its finalizers keep it ({}); once whoever set them has removed them, it goes{rest}",
                all.join(", ")
            )
        }
    };
    remove(object, reason)
}

/// Why a namespace is still there, with the objects that are still in it.
pub async fn of_namespace(cluster: &Cluster, space: &Value) -> ReconcileError {
    if !finalizers(space).is_empty() {
        return of(space, "");
    }
    let held = inside(cluster, space).await;
    let is_by_finalizers = held.iter().any(|one| one.contains(FINALIZERS));
    // What makes no object known: an API that does not answer, a delete that fails.
    let said = array(space, "/status/conditions")
        .iter()
        .filter(|one| {
            text(one, "/status") == "True" && text(one, "/type").starts_with("NamespaceDeletion")
        })
        .map(|one| text(one, "/message").to_owned());
    let more = held.len().saturating_sub(MOST_NAMED);
    let mut parts: Vec<String> = held.into_iter().take(MOST_NAMED).collect();
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    let mut sentences: Vec<String> = Vec::new();
    if !parts.is_empty() {
        sentences.push(format!("what is in it keeps it: {}", parts.join(", ")));
    }
    if is_by_finalizers {
        sentences.push(
            "once whoever set the finalizers has removed them, the namespace goes".to_owned(),
        );
    }
    sentences.extend(said);
    if sentences.is_empty() {
        return of(space, "");
    }
    remove(space, sentences.join("; "))
}

/// What stands between an object and its finalizers.
const FINALIZERS: &str = " (finalizers: ";

/// The objects in a namespace, a text each, by what its status says is left; where
/// a kind of them cannot be listed, the name of that.
async fn inside(cluster: &Cluster, space: &Value) -> Vec<String> {
    let mut held = Vec::new();
    for (plural, group) in left(space) {
        match cluster.list_resource(group, plural, name(space)).await {
            Ok(objects) => held.extend(objects.iter().map(held_object)),
            Err(_) => held.push(format!("{plural}.{group}").trim_end_matches('.').to_owned()),
        }
    }
    held
}

fn held_object(object: &Value) -> String {
    match finalizers(object).as_slice() {
        [] => describe_object(object),
        all => format!("{}{FINALIZERS}{})", describe_object(object), all.join(", ")),
    }
}

/// The resources of which a namespace has some left, plural and group, as Kubernetes
/// words it: `secrets. has 1 resource instances, widgets.example.com has 2 …`.
fn left(space: &Value) -> Vec<(&str, &str)> {
    let Some(remaining) = condition(space, "NamespaceContentRemaining")
        .filter(|remaining| text(remaining, "/status") == "True")
    else {
        return Vec::new();
    };
    let said = text(remaining, "/message");
    let list = said.split_once(": ").map_or(said, |(_, list)| list);
    list.split(", ")
        .filter_map(|one| {
            let (resource, _) = one.split_once(" has ")?;
            resource.split_once('.')
        })
        .collect()
}

fn finalizers(object: &Value) -> Vec<&str> {
    array(object, "/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

fn remove(object: &Value, reason: String) -> ReconcileError {
    ReconcileError::missing("remove", describe_object(object), reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Memory, held_namespace};

    #[tokio::test]
    async fn what_is_in_a_namespace_that_stays_is_named_with_its_finalizers() {
        let memory = Memory::default();
        held_namespace(&memory, "wiki", &json!({}));
        memory.put(
            "/api/v1/namespaces/wiki/pods/wiki-0",
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wiki-0", "namespace": "wiki"}}),
        );
        let mut space = memory.get("/api/v1/namespaces/wiki").unwrap();
        let why = async |space: &Value| of_namespace(&memory.cluster(), space).await.chain();
        assert_eq!(
            why(&space).await,
            "could not remove Namespace wiki: what is in it keeps it: Pod wiki/wiki-0, Widget wiki/held (finalizers: example.com/hold); once whoever set the finalizers has removed them, the namespace goes"
        );
        // A kind that Kubernetes itself cannot look for.
        let conditions = &mut space["status"]["conditions"];
        conditions[1] = json!({"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": "Discovery failed for some groups"});
        assert_eq!(
            why(&space).await,
            "could not remove Namespace wiki: what is in it keeps it: Pod wiki/wiki-0, Widget wiki/held (finalizers: example.com/hold); once whoever set the finalizers has removed them, the namespace goes; Discovery failed for some groups"
        );
        // Before Kubernetes has looked, and when it has found nothing left.
        space["status"] = json!({"phase": "Terminating"});
        assert_eq!(
            why(&space).await,
            "could not remove Namespace wiki: it is still on its way out"
        );
        space["metadata"]["finalizers"] = json!(["example.com/space"]);
        assert_eq!(
            why(&space).await,
            "could not remove Namespace wiki: its finalizers keep it (example.com/space); once whoever set them has removed them, it goes"
        );
    }

    #[tokio::test]
    async fn of_many_objects_the_number_is_told() {
        let memory = Memory::default();
        held_namespace(&memory, "wiki", &json!({}));
        for number in 0..MOST_NAMED + 2 {
            let name = format!("wiki-{number:02}");
            memory.put(
                &format!("/api/v1/namespaces/wiki/pods/{name}"),
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "wiki"}}),
            );
        }
        let space = memory.get("/api/v1/namespaces/wiki").unwrap();
        let why = of_namespace(&memory.cluster(), &space).await.chain();
        assert!(why.contains("Pod wiki/wiki-09, and 3 more; once"), "{why}");
    }
}
