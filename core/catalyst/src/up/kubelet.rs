//! Brings the Kubernetes API and the node together: pods of every logical
//! cluster run on this machine, their status and what happens to them are written
//! back, Services and NetworkPolicies reach the node's proxy.
//!
//! Level-based: any change wakes one pass over the local copies; a pass is the
//! same whatever woke it.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use catalyst_node::NodeHandle;
use catalyst_node::network::Service;
use catalyst_node::resolve::{self, Objects};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::api::{ApiClient, is_conflict, is_gone};
use super::lock;
use super::network_policy::Policies;
use super::pod_events::{self, Happening, Recorder, Told};
use super::reflector::{Key, Reflector};
use super::this_node::{self, Machine};
use super::volumes::Volumes;
use super::workloads::Workloads;

/// Name of this machine's node in every logical cluster.
pub const NODE: &str = "local";
/// The content type of a patch that names what changes.
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// What a pod lacks and has so soon is not worth telling: a claim is made just
/// before the pod that names it, and is bound a moment after.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Follows the API until its tasks are dropped.
pub struct Kubelet {
    /// Wakes the next pass.
    changed: Arc<Notify>,
    api: ApiClient,
    node: NodeHandle,
    volumes: Arc<Volumes>,
    workloads: Workloads,
    claims: Reflector,
    config_maps: Reflector,
    secrets: Reflector,
    policies: Reflector,
    namespaces: Reflector,
    recorder: Recorder,
    /// What has been told of the pods that are there, by uid.
    told: Mutex<HashMap<String, Told>>,
    /// Version of the pod that the node was last given, by uid.
    applied: Mutex<HashMap<String, String>>,
    removing: Mutex<HashSet<String>>,
    /// Services that the node was last given.
    served: Mutex<Vec<Service>>,
    /// What the last policy was made from.
    judged: Mutex<u64>,
    machine: Machine,
    /// Clusters in which this machine was shown, each with the uid of a namespace
    /// that lives as long as it does.
    shown: Mutex<HashSet<(String, String)>>,
}

impl Kubelet {
    /// Starts following; returns once everything that exists has been seen,
    /// with the pods and Services that it follows.
    pub async fn start(
        api: ApiClient,
        node: NodeHandle,
        volumes: PathBuf,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Workloads> {
        let recorder = Recorder::start(api.clone(), tasks);
        let changed = Arc::new(Notify::new());
        let mut follow =
            async |path| Reflector::start(api.clone(), path, Arc::clone(&changed), tasks).await;
        let workloads = Workloads {
            pods: follow("/api/v1/pods").await?,
            services: follow("/api/v1/services").await?,
        };
        let kubelet = Arc::new(Self {
            changed: Arc::clone(&changed),
            workloads: workloads.clone(),
            claims: follow("/api/v1/persistentvolumeclaims").await?,
            config_maps: follow("/api/v1/configmaps").await?,
            secrets: follow("/api/v1/secrets").await?,
            policies: follow("/apis/networking.k8s.io/v1/networkpolicies").await?,
            namespaces: follow("/api/v1/namespaces").await?,
            api: api.clone(),
            node,
            volumes: Arc::new(Volumes::open(volumes)),
            recorder,
            told: Mutex::default(),
            applied: Mutex::default(),
            removing: Mutex::default(),
            served: Mutex::default(),
            judged: Mutex::default(),
            machine: Machine::read(),
            shown: Mutex::default(),
        });
        let reporting = Arc::clone(&kubelet);
        tasks.spawn(async move { reporting.report().await });
        let running = Arc::clone(&kubelet);
        tasks.spawn(async move {
            // Whatever an earlier process left running and no pod claims ends
            // before anything new starts.
            let known: Vec<String> = running
                .workloads
                .pods
                .snapshot()
                .iter()
                .filter_map(|(_, pod)| uid(pod))
                .collect();
            running.node.retain(&known, None).await;
            loop {
                running.pass().await;
                changed.notified().await;
            }
        });
        Ok(workloads)
    }

    async fn pass(self: &Arc<Self>) {
        let pods = self.workloads.pods.snapshot();
        let namespaces = self.namespaces.snapshot();
        self.show(&namespaces);
        self.judge(&pods, &namespaces).await;
        self.serve().await;
        self.volumes
            .reclaim(&self.claims.snapshot(), |volume| self.node.holds(volume));
        let mut present = HashSet::new();
        for (key, pod) in &pods {
            let Some(uid) = uid(pod) else { continue };
            present.insert(uid.clone());
            if pod.pointer("/metadata/deletionTimestamp").is_some() {
                self.remove(key, &uid, pod);
            } else if pod.pointer("/spec/nodeName").is_none() {
                self.bind(key).await;
            } else if !is_finished(pod) {
                self.apply(key, &uid, pod).await;
            }
        }
        lock(&self.told).retain(|uid, _| present.contains(uid));
        // Deleted without grace: gone from the API, perhaps not from here.
        let gone: Vec<String> = {
            let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
            let gone: Vec<String> = applied
                .keys()
                .filter(|uid| !present.contains(*uid))
                .cloned()
                .collect();
            gone.iter().for_each(|uid| drop(applied.remove(uid)));
            gone
        };
        for uid in gone {
            let kubelet = Arc::clone(self);
            tokio::spawn(async move {
                kubelet.node.remove(&uid, Some(Duration::ZERO)).await;
                // What it held is free, and nothing in the API tells of that.
                kubelet.changed.notify_one();
            });
        }
    }

    /// Shows this machine as a Node in clusters that are new.
    fn show(self: &Arc<Self>, namespaces: &[(Key, Arc<Value>)]) {
        let there: HashSet<(String, String)> = namespaces
            .iter()
            .filter(|((_, _, name), _)| name == "default")
            .filter_map(|((cluster, ..), space)| Some((cluster.clone(), uid(space)?)))
            .collect();
        let mut shown = lock(&self.shown);
        shown.retain(|one| there.contains(one));
        for one in there {
            if !shown.insert(one.clone()) {
                continue;
            }
            let kubelet = Arc::clone(self);
            tokio::spawn(async move {
                let done = this_node::show(&kubelet.api, &one.0, &kubelet.machine).await;
                if let Err(error) = done {
                    if !is_gone(&error) {
                        let error = format!("{error:#}");
                        tracing::warn!(cluster = one.0, error, "node not shown");
                    }
                    // Tried again at the next change.
                    lock(&kubelet.shown).remove(&one);
                }
            });
        }
    }

    /// Hands the node a policy when anything that it follows from has changed.
    async fn judge(&self, pods: &[(Key, Arc<Value>)], namespaces: &[(Key, Arc<Value>)]) {
        let policies = self.policies.snapshot();
        let mut hasher = DefaultHasher::new();
        for (key, object) in policies.iter().chain(namespaces) {
            key.hash(&mut hasher);
            version(object).hash(&mut hasher);
        }
        for (key, pod) in pods {
            key.hash(&mut hasher);
            // A pod counts by its address and labels; its status changes often.
            for part in ["/metadata/labels", "/status/podIP", "/spec/containers"] {
                pod.pointer(part).map(Value::to_string).hash(&mut hasher);
            }
        }
        // Never what an empty node starts with, so that the first pass sets one.
        let now = hasher.finish() | 1;
        if std::mem::replace(&mut *lock(&self.judged), now) == now {
            return;
        }
        let policy = Policies::new(&policies, namespaces, pods);
        self.node.set_policy(Arc::new(policy)).await;
    }

    /// Hands the node its Services when they or what is behind them changed.
    async fn serve(&self) {
        let services = self.workloads.services();
        let is_same = std::mem::replace(&mut *lock(&self.served), services.clone()) == services;
        if !is_same || services.is_empty() {
            self.node.set_services(services).await;
        }
    }

    /// There is one node, so scheduling is naming it.
    async fn bind(&self, (cluster, namespace, name): &Key) {
        let path = format!("{}/binding", pod_path(cluster, namespace, name));
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        });
        let bound = self
            .api
            .send(Method::POST, &path, "application/json", Some(&binding))
            .await;
        match bound {
            // An earlier pass bound it, which the local copy does not show yet; or it
            // was written meanwhile, and that wakes the next pass.
            Err(error) if is_conflict(&error) => {
                tracing::debug!(
                    pod = path,
                    error = format!("{error:#}"),
                    "pod bound already"
                );
            }
            Err(error) if !is_gone(&error) => {
                tracing::warn!(pod = path, error = format!("{error:#}"), "pod not bound");
            }
            _ => {}
        }
    }

    async fn apply(self: &Arc<Self>, key: &Key, uid: &str, pod: &Value) {
        let (cluster, namespace, name) = key;
        let generation = pod.get("spec").map(Value::to_string).unwrap_or_default()
            + &pod
                .pointer("/metadata/labels")
                .map(Value::to_string)
                .unwrap_or_default();
        {
            let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
            if applied.get(uid) == Some(&generation) {
                return;
            }
            applied.insert(uid.to_owned(), generation);
        }
        let objects = PodObjects {
            kubelet: self,
            cluster,
            namespace,
        };
        let result = self.node.address(uid).and_then(|address| {
            let resolved = resolve::resolve(pod, &objects, address)?;
            self.node.apply(pod, resolved, cluster)
        });
        if let Err(error) = result {
            // Tried again at the next change, which may be the missing object.
            self.applied
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(uid);
            let why = error.to_string();
            let status =
                json!({"phase": "Pending", "reason": "CreateContainerConfigError", "message": why});
            if said(pod) != Some(why.as_str()) {
                let (kubelet, key, uid) = (Arc::clone(self), key.clone(), uid.to_owned());
                tokio::spawn(async move {
                    tokio::time::sleep(AT_ONCE).await;
                    kubelet.refused(&key, &uid, &why);
                });
                self.write_status(cluster, namespace, name, &status).await;
            }
        }
    }

    /// Tells of a pod that the node did not take, if it is still waiting.
    fn refused(&self, key: &Key, of: &str, why: &str) {
        let (cluster, namespace, _) = key;
        let pod = self.workloads.pods.get(key);
        let pod = pod.filter(|pod| uid(pod).as_deref() == Some(of) && said(pod) == Some(why));
        let is_taken = lock(&self.applied).contains_key(of);
        if let Some(pod) = pod.filter(|_| !is_taken) {
            let objects = PodObjects {
                kubelet: self,
                cluster,
                namespace,
            };
            let unbound: Vec<&str> = claims(&pod)
                .filter(|claim| objects.claim(claim).is_none())
                .collect();
            self.tell(key, &pod, vec![pod_events::refused(why, &unbound)]);
        }
    }

    fn remove(self: &Arc<Self>, key: &Key, uid: &str, pod: &Value) {
        if !self
            .removing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid.to_owned())
        {
            return;
        }
        self.tell(key, pod, pod_events::ending(pod));
        let (cluster, namespace, name) = key;
        let grace = pod
            .pointer("/metadata/deletionGracePeriodSeconds")
            .and_then(Value::as_u64);
        let path = pod_path(cluster, namespace, name);
        let (kubelet, uid) = (Arc::clone(self), uid.to_owned());
        tokio::spawn(async move {
            kubelet
                .node
                .remove(&uid, grace.map(Duration::from_secs))
                .await;
            let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
            let deleted = kubelet
                .api
                .send(Method::DELETE, &path, "application/json", Some(&options))
                .await;
            if let Err(error) = deleted
                && !is_gone(&error)
            {
                tracing::warn!(
                    pod = path,
                    error = format!("{error:#}"),
                    "pod not removed from the API"
                );
            }
            kubelet
                .removing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&uid);
        });
    }

    /// Writes the node's word on each pod into the API.
    async fn report(&self) {
        let mut changes = self.node.changes();
        loop {
            match changes.recv().await {
                Ok((uid, status)) => self.report_one(&uid, &status).await,
                Err(RecvError::Lagged(_)) => {
                    for (_, pod) in self.workloads.pods.snapshot() {
                        if let Some((uid, status)) =
                            uid(&pod).and_then(|uid| Some((uid.clone(), self.node.status(&uid)?)))
                        {
                            self.report_one(&uid, &status).await;
                        }
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn report_one(&self, of: &str, status: &Value) {
        let Some(key) = self.workloads.pods.key_of_uid(of) else {
            return;
        };
        if let Some(pod) = self.workloads.pods.get(&key)
            && uid(&pod).as_deref() == Some(of)
        {
            let news = lock(&self.told)
                .entry(of.to_owned())
                .or_insert_with(|| Told::of(&pod))
                .news(&pod, status);
            self.tell(&key, &pod, news);
        }
        let (cluster, namespace, name) = &key;
        self.write_status(cluster, namespace, name, status).await;
    }

    /// Has written down what happened to a pod.
    fn tell(&self, key: &Key, pod: &Value, news: Vec<Happening>) {
        if news.is_empty() {
            return;
        }
        // What ends with its namespace must not fill it again.
        let (cluster, namespace, _) = key;
        let space = (cluster.clone(), String::new(), namespace.clone());
        let lives = |space: &Value| space.pointer("/metadata/deletionTimestamp").is_none();
        if self.namespaces.get(&space).is_some_and(|it| lives(&it)) {
            self.recorder.tell(key, pod, news);
        }
    }

    async fn write_status(&self, cluster: &str, namespace: &str, name: &str, status: &Value) {
        let path = format!("{}/status", pod_path(cluster, namespace, name));
        let mut status = status.clone();
        if let Some(fields) = status.as_object_mut() {
            // A merge leaves what it does not name: an earlier reason must go.
            for field in ["reason", "message"] {
                fields.entry(field).or_insert(Value::Null);
            }
        }
        let patch = json!({"status": status});
        if let Err(error) = self
            .api
            .send(Method::PATCH, &path, MERGE_PATCH, Some(&patch))
            .await
            && !is_gone(&error)
        {
            tracing::warn!(
                pod = path,
                error = format!("{error:#}"),
                "pod status not written"
            );
        }
    }
}

/// What a pod may refer to, from the local copies.
struct PodObjects<'a> {
    kubelet: &'a Kubelet,
    cluster: &'a str,
    namespace: &'a str,
}

impl PodObjects<'_> {
    fn key(&self, name: &str) -> Key {
        (
            self.cluster.to_owned(),
            self.namespace.to_owned(),
            name.to_owned(),
        )
    }

    fn find(&self, among: &Reflector, name: &str) -> Option<Value> {
        let object = among.get(&self.key(name))?;
        Some(object.as_ref().clone())
    }
}

impl Objects for PodObjects<'_> {
    fn config_map(&self, name: &str) -> Option<Value> {
        self.find(&self.kubelet.config_maps, name)
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.find(&self.kubelet.secrets, name)
    }

    fn claim(&self, name: &str) -> Option<PathBuf> {
        let key = self.key(name);
        let claim = self.kubelet.claims.get(&key)?;
        // The node makes the folder itself, because it knows whose it must be.
        let folder = self.kubelet.volumes.folder(&key, &claim)?;
        std::fs::create_dir_all(folder.parent()?).ok()?;
        Some(folder)
    }
}

fn is_finished(pod: &Value) -> bool {
    matches!(
        pod.pointer("/status/phase").and_then(Value::as_str),
        Some("Succeeded" | "Failed")
    )
}

fn uid(pod: &Value) -> Option<String> {
    pod.pointer("/metadata/uid")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn pod_path(cluster: &str, namespace: &str, name: &str) -> String {
    format!("/clusters/{cluster}/api/v1/namespaces/{namespace}/pods/{name}")
}

fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion")?.as_str()
}

/// Why a pod does not run, as its status says it.
fn said(pod: &Value) -> Option<&str> {
    pod.pointer("/status/message")?.as_str()
}

/// The claims that a pod names.
fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().filter_map(|volume| {
        volume
            .pointer("/persistentVolumeClaim/claimName")
            .and_then(Value::as_str)
    })
}
