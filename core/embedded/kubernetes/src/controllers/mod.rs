//! The controllers: Deployment, ReplicaSet, StatefulSet, Job, the
//! EndpointSlices of Services, the volumes of claims, and what quotas count,
//! for every logical cluster.
//!
//! Level-based: a change to an object wakes the keys that depend on it; what is
//! done follows from the objects as they are then. A failed key is tried again.
//! Each logical cluster has a task of its own, so that a busy or failing one
//! does not hold up the others.

mod deployments;
mod endpoints;
mod jobs;
mod quotas;
mod replicas;
mod statefulsets;
mod volumes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clusters::create_one;
use crate::context::Context;
use crate::delete;
use crate::merge::Writer;
use crate::object::{array, has_condition, is_deleting, name, namespace, set, text, uid};
use crate::selector::LabelSelector;
use crate::state::{Inner, OBJECTS, ObjectKey, decode_entry, range_prefix};
use crate::status::ApiError;
use crate::write;

const DEPLOYMENTS: &str = "deployments.apps";
const REPLICA_SETS: &str = "replicasets.apps";
const STATEFUL_SETS: &str = "statefulsets.apps";
const JOBS: &str = "jobs.batch";
const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";
const STORAGE_CLASSES: &str = "storageclasses.storage.k8s.io";
const QUOTAS: &str = crate::quota::STORAGE;

/// What is looked at once at the start.
const ALL: [&str; 8] = [
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    JOBS,
    "services",
    CLAIMS,
    VOLUMES,
    QUOTAS,
];

pub(crate) use volumes::PROVISIONER;

/// Runs until it is dropped.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut workers = Workers {
        inner: Arc::clone(&inner),
        queues: HashMap::new(),
        tasks: JoinSet::new(),
    };
    loop {
        let revision = inner.config.store.revision();
        for storage in ALL {
            let page = inner
                .config
                .store
                .range(range_prefix(storage, "*", None), None, 0);
            for entry in &page.entries {
                workers.extend(ObjectKey::parse(&entry.key));
            }
        }
        let Ok(mut watch) = inner.config.store.watch(OBJECTS.as_bytes(), revision) else {
            continue;
        };
        while let Ok(events) = watch.next().await {
            let mut woken = BTreeSet::new();
            for event in events {
                let Some(key) = ObjectKey::parse(&event.key) else {
                    continue;
                };
                for entry in [&event.current, &event.previous].into_iter().flatten() {
                    wake(&inner, &key, &decode_entry(entry), &mut woken);
                }
            }
            workers.extend(woken);
        }
        // The history was outrun: look at everything again.
    }
}

/// One task a logical cluster, each with its own queue; they end with this.
struct Workers {
    inner: Arc<Inner>,
    queues: HashMap<String, mpsc::UnboundedSender<ObjectKey>>,
    tasks: JoinSet<()>,
}

impl Workers {
    fn extend(&mut self, keys: impl IntoIterator<Item = ObjectKey>) {
        for key in keys {
            let mut waiting = Some(key);
            // A worker ends with its cluster; one of the same name is new.
            while let Some(key) = waiting.take() {
                let cluster = key.cluster.clone();
                let sender = self.queues.entry(cluster.clone()).or_insert_with(|| {
                    let (sender, receiver) = mpsc::unbounded_channel();
                    let inner = Arc::clone(&self.inner);
                    self.tasks.spawn(work(inner, cluster.clone(), receiver));
                    sender
                });
                if let Err(mpsc::error::SendError(key)) = sender.send(key) {
                    self.queues.remove(&cluster);
                    waiting = Some(key);
                }
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Reconciles the keys of one cluster until it is gone.
async fn work(inner: Arc<Inner>, cluster: String, mut keys: mpsc::UnboundedReceiver<ObjectKey>) {
    let mut queue = BTreeSet::new();
    loop {
        // Failed keys wait a moment; new ones come first.
        let pause = tokio::time::sleep(Duration::from_millis(500));
        let retry = !queue.is_empty();
        let mut next = BTreeSet::new();
        tokio::select! {
            key = keys.recv() => match key {
                Some(key) => drop(next.insert(key)),
                None => return,
            },
            () = pause, if retry => next.append(&mut queue),
        }
        while let Ok(key) = keys.try_recv() {
            next.insert(key);
        }
        for key in next {
            if let Err(error) = reconcile(&inner, &key).await {
                tracing::debug!(?key, %error, "an object will be reconciled again");
                queue.insert(key);
            }
        }
        if !inner.has_cluster(&cluster) && keys.is_empty() {
            return;
        }
    }
}

/// Which workloads a changed object concerns.
fn wake(inner: &Inner, key: &ObjectKey, object: &Value, queue: &mut BTreeSet<ObjectKey>) {
    match key.storage.as_str() {
        DEPLOYMENTS | REPLICA_SETS | STATEFUL_SETS | JOBS | "services" | VOLUMES | QUOTAS => {
            queue.insert(key.clone());
        }
        CLAIMS => {
            queue.insert(key.clone());
            queue.insert(volumes::volume_key(key, object));
        }
        "pods" => {
            for service in inner
                .config
                .store
                .range(
                    range_prefix("services", &key.cluster, Some(&key.namespace)),
                    None,
                    0,
                )
                .entries
            {
                let service = decode_entry(&service);
                let selector = service.pointer("/spec/selector").unwrap_or(&Value::Null);
                if LabelSelector::from_labels(selector).matches(object) && selector.is_object() {
                    queue.insert(ObjectKey::new(
                        "services",
                        &key.cluster,
                        &key.namespace,
                        name(&service),
                    ));
                }
            }
        }
        _ => {}
    }
    if !key.namespace.is_empty() && crate::quota::counts(&key.storage) {
        let quotas = range_prefix(QUOTAS, &key.cluster, Some(&key.namespace));
        let page = inner.config.store.range(quotas, None, 0);
        queue.extend(
            page.entries
                .iter()
                .filter_map(|entry| ObjectKey::parse(&entry.key)),
        );
    }
    for owner in array(object, "/metadata/ownerReferences") {
        let storage = match text(owner, "/kind") {
            "Deployment" => DEPLOYMENTS,
            "ReplicaSet" => REPLICA_SETS,
            "StatefulSet" => STATEFUL_SETS,
            "Job" => JOBS,
            _ => continue,
        };
        queue.insert(ObjectKey::new(
            storage,
            &key.cluster,
            &key.namespace,
            text(owner, "/name"),
        ));
    }
}

async fn reconcile(inner: &Arc<Inner>, key: &ObjectKey) -> Result<(), ApiError> {
    if !inner.has_cluster(&key.cluster) {
        return Ok(());
    }
    // Slices go with their service, by owner reference.
    let Some(object) = inner.read_key(key).filter(|object| !is_deleting(object)) else {
        return Ok(());
    };
    match key.storage.as_str() {
        DEPLOYMENTS => deployments::reconcile(inner, key, &object).await,
        REPLICA_SETS => replicas::reconcile(inner, key, &object).await,
        STATEFUL_SETS => statefulsets::reconcile(inner, key, &object).await,
        JOBS => jobs::reconcile(inner, key, &object).await,
        "services" => endpoints::reconcile(inner, key, &object).await,
        CLAIMS => volumes::bind(inner, key, &object).await,
        VOLUMES => volumes::release(inner, key, &object).await,
        QUOTAS => quotas::reconcile(inner, key, &object).await,
        _ => Ok(()),
    }
}

/// The objects of a resource that `owner` controls.
fn controlled(inner: &Inner, storage: &str, owner_key: &ObjectKey, owner: &Value) -> Vec<Value> {
    let range = range_prefix(storage, &owner_key.cluster, Some(&owner_key.namespace));
    let page = inner.config.store.range(range, None, 0);
    page.entries
        .iter()
        .map(decode_entry)
        .filter(|object| {
            array(object, "/metadata/ownerReferences")
                .iter()
                .any(|one| {
                    text(one, "/uid") == uid(owner)
                        && one.get("controller") == Some(&Value::Bool(true))
                })
        })
        .collect()
}

fn owner_reference(owner: &Value) -> Value {
    json!([{
        "apiVersion": text(owner, "/apiVersion"), "kind": text(owner, "/kind"), "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    }])
}

/// A pod of a workload's template.
fn pod_of(owner: &Value) -> Value {
    let mut pod = owner
        .pointer("/spec/template")
        .cloned()
        .unwrap_or_else(|| json!({}));
    set(&mut pod, &["apiVersion"], json!("v1"));
    set(&mut pod, &["kind"], json!("Pod"));
    set(
        &mut pod,
        &["metadata", "namespace"],
        json!(namespace(owner)),
    );
    set(
        &mut pod,
        &["metadata", "ownerReferences"],
        owner_reference(owner),
    );
    pod
}

/// Creates an object; one that exists already is as good.
async fn ensure(inner: &Arc<Inner>, key: &ObjectKey, object: Value) -> Result<(), ApiError> {
    match create_one(inner, &key.cluster, object).await {
        Err(error) if error.reason != "AlreadyExists" => Err(error),
        _ => Ok(()),
    }
}

fn context(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    storage: &str,
    name: &str,
) -> Result<Context, ApiError> {
    let resource = crate::catalog::Catalog::builtin()
        .stored()
        .into_iter()
        .find(|one| one.storage == storage)
        .ok_or_else(ApiError::no_such_path)?;
    Ok(Context::internal(
        inner,
        &key.cluster,
        resource,
        &key.namespace,
        name,
    ))
}

async fn remove(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    storage: &str,
    object: &Value,
) -> Result<(), ApiError> {
    let mut context = context(inner, key, storage, name(object))?;
    let options = json!({"preconditions": {"uid": uid(object)}, "propagationPolicy": "Background"});
    match delete::object(&mut context, &options).await {
        Err(error) if !matches!(error.code, 404 | 409) => Err(error),
        _ => Ok(()),
    }
}

/// Changes an object, or its status, as it is at the time of writing.
async fn change(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    subresource: &str,
    apply: impl Fn(&mut Value),
) -> Result<(), ApiError> {
    let mut context = context(inner, key, &key.storage, &key.name)?;
    context.subresource = subresource.to_owned();
    let result = write::modify(&mut context, &Writer::Update, |_, current| {
        let mut next = current.clone();
        apply(&mut next);
        Ok(next)
    });
    match result.await {
        Err(error) if error.code != 404 => Err(error),
        _ => Ok(()),
    }
}

fn is_finished(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !is_deleting(pod)
}

fn is_ready(pod: &Value) -> bool {
    has_condition(pod, "Ready") && !is_deleting(pod)
}

/// A short, stable name for a template's content.
fn template_hash(template: &Value) -> String {
    use sha2::Digest;
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = sha2::Sha256::digest(template.to_string().as_bytes());
    digest
        .iter()
        .take(10)
        .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
        .map(|one| char::from(*one))
        .collect()
}
