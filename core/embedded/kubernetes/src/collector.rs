//! Garbage collection by owner references, and the end of namespaces.
//!
//! Level-based: an event only says which key to look at; what is done follows
//! from the objects as they are then. At start every object is looked at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use catalyst_store::Entry;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalog::split_api_version;
use crate::context::Context;
use crate::delete::{self, FOREGROUND, ORPHAN};
use crate::merge::Writer;
use crate::object::{array, finalizers, is_deleting, metadata_mut, set, set_finalizers, text, uid};
use crate::remaining::Remaining;
use crate::state::{Inner, OBJECTS, ObjectKey, now, range_prefix};
use crate::status::ApiError;
use crate::write;

/// The part of an object that decides about its end.
#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    metadata: HeadMetadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMetadata {
    #[serde(default)]
    uid: String,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    uid: String,
}

fn head(entry: &Entry) -> HeadMetadata {
    serde_json::from_slice::<Head>(&entry.value)
        .unwrap_or_default()
        .metadata
}

/// Objects that have owners, both ways around.
#[derive(Default)]
struct Graph {
    dependents: HashMap<String, HashSet<ObjectKey>>,
    owners: HashMap<ObjectKey, Vec<String>>,
    /// Objects whose deletion has begun, by uid.
    deleting: HashMap<String, ObjectKey>,
}

impl Graph {
    fn update(&mut self, key: &ObjectKey, owners: Vec<String>) {
        for owner in self.owners.remove(key).unwrap_or_default() {
            if let Some(all) = self.dependents.get_mut(&owner) {
                all.remove(key);
                if all.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
        for owner in &owners {
            self.dependents
                .entry(owner.clone())
                .or_default()
                .insert(key.clone());
        }
        if !owners.is_empty() {
            self.owners.insert(key.clone(), owners);
        }
    }

    fn dependents(&self, uid: &str, cluster: &str) -> Vec<ObjectKey> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .filter(|key| key.cluster == cluster)
            .cloned()
            .collect()
    }
}

/// Runs until it is dropped.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        // The history was outrun, or this is the start: look at everything.
        let mut graph = Graph::default();
        let mut queue = BTreeSet::new();
        let page = inner.config.store.range(OBJECTS, None, 0);
        for entry in &page.entries {
            note(&mut graph, &mut queue, entry);
        }
        let revision = page.revision;
        drop(page);
        let Ok(mut watch) = inner.config.store.watch(OBJECTS.as_bytes(), revision) else {
            continue;
        };
        loop {
            // A failed key comes back with the next event or the next sweep.
            let mut failed = BTreeSet::new();
            for key in std::mem::take(&mut queue) {
                if let Err(error) = settle(&inner, &graph, &key).await {
                    tracing::debug!(?key, %error, "settling an object's end will be tried again");
                    failed.insert(key);
                }
            }
            let retry = !failed.is_empty();
            let pause = tokio::time::sleep(std::time::Duration::from_millis(500));
            let events = tokio::select! {
                events = watch.next() => events,
                () = pause, if retry => Ok(Vec::new()),
            };
            queue.append(&mut failed);
            let Ok(events) = events else { break };
            for event in events {
                match (&event.current, &event.previous) {
                    (Some(entry), _) => note(&mut graph, &mut queue, entry),
                    (None, Some(previous)) => {
                        let Some(key) = ObjectKey::parse(&event.key) else {
                            continue;
                        };
                        let gone = head(previous);
                        queue.extend(graph.dependents(&gone.uid, &key.cluster));
                        let owners = graph.owners.get(&key).cloned().unwrap_or_default();
                        graph.update(&key, Vec::new());
                        graph.deleting.remove(&gone.uid);
                        // An owner or the namespace may have waited for this object.
                        queue.extend(
                            owners
                                .iter()
                                .filter_map(|owner| graph.deleting.get(owner).cloned()),
                        );
                        if !key.namespace.is_empty() {
                            queue.insert(key);
                        }
                    }
                    (None, None) => {}
                }
            }
        }
    }
}

fn note(graph: &mut Graph, queue: &mut BTreeSet<ObjectKey>, entry: &Entry) {
    let Some(key) = ObjectKey::parse(&entry.key) else {
        return;
    };
    let head = head(entry);
    let owned = !head.owner_references.is_empty();
    graph.update(
        &key,
        head.owner_references
            .into_iter()
            .map(|owner| owner.uid)
            .collect(),
    );
    if head.deletion_timestamp.is_some() {
        queue.extend(graph.dependents(&head.uid, &key.cluster));
        graph.deleting.insert(head.uid, key.clone());
        queue.insert(key);
    } else if owned {
        queue.insert(key);
    }
}

fn context(inner: &Arc<Inner>, key: &ObjectKey) -> Option<Context> {
    let resource = inner
        .catalog(&key.cluster)
        .stored()
        .into_iter()
        .find(|one| one.storage == key.storage)?;
    Some(Context::internal(
        inner,
        &key.cluster,
        resource,
        &key.namespace,
        &key.name,
    ))
}

/// Does what the object's state asks for.
async fn settle(inner: &Arc<Inner>, graph: &Graph, key: &ObjectKey) -> Result<(), ApiError> {
    if !inner.has_cluster(&key.cluster) {
        return Ok(());
    }
    let Some(object) = inner.read_key(key) else {
        return gone(inner, key).await;
    };
    let Some(mut context) = context(inner, key) else {
        return Ok(());
    };
    if is_deleting(&object) {
        let held = finalizers(&object);
        if held.iter().any(|one| one == ORPHAN) {
            orphan(inner, graph, &object, key).await?;
            release(&mut context, ORPHAN).await?;
        } else if held.iter().any(|one| one == FOREGROUND)
            && finish_foreground(inner, graph, &object, key).await?
        {
            release(&mut context, FOREGROUND).await?;
        }
        if key.storage == "namespaces" {
            empty_namespace(inner, key).await?;
        }
        return Ok(());
    }
    let owners = array(&object, "/metadata/ownerReferences");
    if !owners.is_empty() && owners.iter().all(|owner| owner_is_gone(inner, key, owner)) {
        let options =
            json!({"preconditions": {"uid": uid(&object)}, "propagationPolicy": "Background"});
        ignore_missing(delete::object(&mut context, &options).await.map(drop))?;
    } else if !owners.is_empty() {
        // Owners that wait for their dependents take them along.
        let waits = owners.iter().any(|owner| {
            let blocking = owner.get("blockOwnerDeletion") == Some(&Value::Bool(true));
            blocking
                && read_owner(inner, key, owner).is_some_and(|found| {
                    is_deleting(&found) && finalizers(&found).iter().any(|one| one == FOREGROUND)
                })
        });
        if waits && owners.len() == 1 {
            let options =
                json!({"preconditions": {"uid": uid(&object)}, "propagationPolicy": "Foreground"});
            ignore_missing(delete::object(&mut context, &options).await.map(drop))?;
        }
    }
    Ok(())
}

fn ignore_missing(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if matches!(error.code, 404 | 409) => Ok(()),
        other => other,
    }
}

fn read_owner(inner: &Arc<Inner>, key: &ObjectKey, owner: &Value) -> Option<Value> {
    let (group, version) = split_api_version(text(owner, "/apiVersion"));
    let catalog = inner.catalog(&key.cluster);
    let resource = catalog.kind(group, version, text(owner, "/kind"))?;
    let space = if resource.namespaced {
        key.namespace.as_str()
    } else {
        ""
    };
    inner
        .read_object(&resource.storage, &key.cluster, space, text(owner, "/name"))
        .filter(|found| uid(found) == text(owner, "/uid"))
}

fn owner_is_gone(inner: &Arc<Inner>, key: &ObjectKey, owner: &Value) -> bool {
    let (group, version) = split_api_version(text(owner, "/apiVersion"));
    // An owner of a kind that is not served may exist somewhere else: leave it.
    inner
        .catalog(&key.cluster)
        .kind(group, version, text(owner, "/kind"))
        .is_some()
        && read_owner(inner, key, owner).is_none()
}

async fn orphan(
    inner: &Arc<Inner>,
    graph: &Graph,
    owner: &Value,
    key: &ObjectKey,
) -> Result<(), ApiError> {
    for dependent in graph.dependents(uid(owner), &key.cluster) {
        let Some(mut context) = context(inner, &dependent) else {
            continue;
        };
        let result = write::modify(&mut context, &Writer::Update, |_, current| {
            let mut next = current.clone();
            let left: Vec<Value> = array(current, "/metadata/ownerReferences")
                .iter()
                .filter(|one| text(one, "/uid") != uid(owner))
                .cloned()
                .collect();
            if left.is_empty() {
                metadata_mut(&mut next).remove("ownerReferences");
            } else {
                set(&mut next, &["metadata", "ownerReferences"], json!(left));
            }
            Ok(next)
        });
        ignore_missing(result.await.map(drop))?;
    }
    Ok(())
}

/// Deletes the dependents of an owner that waits for them; whether none is left
/// that it must wait for.
async fn finish_foreground(
    inner: &Arc<Inner>,
    graph: &Graph,
    owner: &Value,
    key: &ObjectKey,
) -> Result<bool, ApiError> {
    let mut waiting = false;
    for dependent in graph.dependents(uid(owner), &key.cluster) {
        let Some(object) = inner.read_key(&dependent) else {
            continue;
        };
        waiting |= array(&object, "/metadata/ownerReferences")
            .iter()
            .any(|one| {
                text(one, "/uid") == uid(owner)
                    && one.get("blockOwnerDeletion") == Some(&Value::Bool(true))
            });
        if !is_deleting(&object)
            && let Some(mut context) = context(inner, &dependent)
        {
            let options =
                json!({"preconditions": {"uid": uid(&object)}, "propagationPolicy": "Foreground"});
            ignore_missing(delete::object(&mut context, &options).await.map(drop))?;
            waiting |= inner.read_key(&dependent).is_some() && waiting;
        }
    }
    if !waiting {
        return Ok(true);
    }
    // What has just gone needs no waiting.
    Ok(!graph
        .dependents(uid(owner), &key.cluster)
        .iter()
        .filter_map(|one| inner.read_key(one))
        .any(|object| {
            array(&object, "/metadata/ownerReferences")
                .iter()
                .any(|one| {
                    text(one, "/uid") == uid(owner)
                        && one.get("blockOwnerDeletion") == Some(&Value::Bool(true))
                })
        }))
}

async fn release(context: &mut Context, finalizer: &str) -> Result<(), ApiError> {
    let result = write::modify(context, &Writer::Update, |_, current| {
        let mut next = current.clone();
        let left: Vec<String> = finalizers(current)
            .into_iter()
            .filter(|one| one != finalizer)
            .collect();
        set_finalizers(&mut next, &left);
        Ok(next)
    });
    ignore_missing(result.await.map(drop))
}

/// Deletes what a terminating namespace holds; when nothing is left, the
/// namespace goes too, and else its status says what is.
async fn empty_namespace(inner: &Arc<Inner>, key: &ObjectKey) -> Result<(), ApiError> {
    let mut left = Remaining::default();
    for resource in inner
        .catalog(&key.cluster)
        .stored()
        .into_iter()
        .filter(|one| one.namespaced)
    {
        let range = range_prefix(&resource.storage, &key.cluster, Some(&key.name));
        for entry in inner.config.store.range(&range, None, 0).entries {
            let Some(found) = ObjectKey::parse(&entry.key) else {
                continue;
            };
            if head(&entry).deletion_timestamp.is_none() {
                let mut context = Context::internal(
                    inner,
                    &key.cluster,
                    Arc::clone(&resource),
                    &key.name,
                    &found.name,
                );
                ignore_missing(delete::object(&mut context, &json!({})).await.map(drop))?;
            }
            if let Some(object) = inner.read_key(&found) {
                left.add(&resource, &object);
            }
        }
    }
    let Some(mut context) = context(inner, key) else {
        return Ok(());
    };
    if !left.is_empty() {
        context.subresource = "status".into();
        let result = write::modify(&mut context, &Writer::Update, |_, current| {
            let mut next = current.clone();
            left.tell(&mut next, &now());
            Ok(next)
        });
        return ignore_missing(result.await.map(drop));
    }
    context.subresource = "finalize".into();
    let result = write::modify(&mut context, &Writer::Update, |_, current| {
        let mut next = current.clone();
        let kept: Vec<Value> = array(current, "/spec/finalizers")
            .iter()
            .filter(|one| one.as_str() != Some("kubernetes"))
            .cloned()
            .collect();
        set(&mut next, &["spec", "finalizers"], json!(kept));
        Ok(next)
    });
    ignore_missing(result.await.map(drop))
}

/// After an object has gone: its namespace and its owners may have waited.
async fn gone(inner: &Arc<Inner>, key: &ObjectKey) -> Result<(), ApiError> {
    let space = ObjectKey::new("namespaces", &key.cluster, "", &key.namespace);
    if let Some(found) = inner.read_key(&space)
        && is_deleting(&found)
    {
        empty_namespace(inner, &space).await?;
    }
    Ok(())
}
