//! Brings the Kubernetes API and the node together: pods of every logical
//! cluster run on this machine, their status is written back, Services and
//! NetworkPolicies reach the node's proxy.
//!
//! Level-based: any change wakes one pass over the local copies; a pass is the
//! same whatever woke it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use catalyst_node::network::{Service, ServicePort};
use catalyst_node::resolve::{self, Objects};
use catalyst_node::{NodeError, NodeHandle};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::api::{ApiClient, ApiRefusal};
use super::network_policy::Policies;
use super::reflector::{Key, Reflector};

/// Name of this machine's node in every logical cluster.
const NODE: &str = "local";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Follows the API until its tasks are dropped.
pub struct Kubelet {
    api: ApiClient,
    node: NodeHandle,
    volumes: PathBuf,
    pods: Reflector,
    services: Reflector,
    config_maps: Reflector,
    secrets: Reflector,
    policies: Reflector,
    namespaces: Reflector,
    /// Version of the pod that the node was last given, by uid.
    applied: Mutex<HashMap<String, String>>,
    removing: Mutex<HashSet<String>>,
}

impl Kubelet {
    /// Starts following; returns once everything that exists has been seen.
    pub async fn start(
        api: ApiClient,
        node: NodeHandle,
        volumes: PathBuf,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let changed = Arc::new(Notify::new());
        let mut follow =
            async |path| Reflector::start(api.clone(), path, Arc::clone(&changed), tasks).await;
        let kubelet = Arc::new(Self {
            pods: follow("/api/v1/pods").await?,
            services: follow("/api/v1/services").await?,
            config_maps: follow("/api/v1/configmaps").await?,
            secrets: follow("/api/v1/secrets").await?,
            policies: follow("/apis/networking.k8s.io/v1/networkpolicies").await?,
            namespaces: follow("/api/v1/namespaces").await?,
            api: api.clone(),
            node,
            volumes,
            applied: Mutex::default(),
            removing: Mutex::default(),
        });
        let reporting = Arc::clone(&kubelet);
        tasks.spawn(async move { reporting.report().await });
        let running = Arc::clone(&kubelet);
        tasks.spawn(async move {
            // Whatever an earlier process left running and no pod claims ends
            // before anything new starts.
            let known: Vec<String> = running
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
        Ok(())
    }

    async fn pass(self: &Arc<Self>) {
        let pods = self.pods.snapshot();
        self.node
            .set_policy(Arc::new(Policies::new(
                &self.policies.snapshot(),
                &self.namespaces.snapshot(),
                &pods,
            )))
            .await;
        self.node
            .set_services(services(&self.services.snapshot(), &pods))
            .await;
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
            let node = Arc::clone(&self.node);
            tokio::spawn(async move { node.remove(&uid, Some(std::time::Duration::ZERO)).await });
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
        if let Err(error) = bound
            && !is_gone(&error)
        {
            tracing::warn!(pod = path, error = format!("{error:#}"), "pod not bound");
        }
    }

    async fn apply(&self, (cluster, namespace, name): &Key, uid: &str, pod: &Value) {
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
        let result = self.node.address(uid).and_then(|address| {
            let objects = PodObjects {
                kubelet: self,
                cluster,
                namespace,
            };
            let resolved = resolve::resolve(pod, &objects, address)?;
            self.node.apply(pod, resolved, cluster)
        });
        if let Err(error) = result {
            // Tried again at the next change, which may be the missing object.
            self.applied
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(uid);
            let status = json!({"phase": "Pending", "reason": "CreateContainerConfigError", "message": chain(&error)});
            if pod.pointer("/status/message") != status.get("message") {
                self.write_status(cluster, namespace, name, &status).await;
            }
        }
    }

    fn remove(self: &Arc<Self>, (cluster, namespace, name): &Key, uid: &str, pod: &Value) {
        if !self
            .removing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid.to_owned())
        {
            return;
        }
        let grace = pod
            .pointer("/metadata/deletionGracePeriodSeconds")
            .and_then(Value::as_u64);
        let path = pod_path(cluster, namespace, name);
        let (kubelet, uid) = (Arc::clone(self), uid.to_owned());
        tokio::spawn(async move {
            kubelet
                .node
                .remove(&uid, grace.map(std::time::Duration::from_secs))
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
                    for (_, pod) in self.pods.snapshot() {
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
        let pods = self.pods.snapshot();
        let found = pods.iter().find(|(_, pod)| uid(pod).as_deref() == Some(of));
        if let Some(((cluster, namespace, name), _)) = found {
            self.write_status(cluster, namespace, name, status).await;
        }
    }

    async fn write_status(&self, cluster: &str, namespace: &str, name: &str, status: &Value) {
        let path = format!("{}/status", pod_path(cluster, namespace, name));
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
    fn find(&self, among: &Reflector, name: &str) -> Option<Value> {
        let key = (
            self.cluster.to_owned(),
            self.namespace.to_owned(),
            name.to_owned(),
        );
        among.get(&key).map(|object| object.as_ref().clone())
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
        let folder = volume_folder(&self.kubelet.volumes, self.cluster, self.namespace, name);
        std::fs::create_dir_all(&folder).ok()?;
        Some(folder)
    }
}

fn volume_folder(volumes: &Path, cluster: &str, namespace: &str, claim: &str) -> PathBuf {
    volumes.join(cluster).join(namespace).join(claim)
}

/// Services with the pods that are ready behind them.
fn services(services: &[(Key, Arc<Value>)], pods: &[(Key, Arc<Value>)]) -> Vec<Service> {
    services
        .iter()
        .map(|((cluster, namespace, name), service)| {
            let selector = service.pointer("/spec/selector").and_then(Value::as_object);
            let behind: Vec<&Value> = pods
                .iter()
                .filter(|((pod_cluster, pod_namespace, _), _)| {
                    pod_cluster == cluster && pod_namespace == namespace
                })
                .map(|(_, pod)| pod.as_ref())
                .filter(|pod| {
                    selector
                        .is_some_and(|selector| !selector.is_empty() && has_labels(pod, selector))
                })
                .filter(|pod| is_ready(pod))
                .collect();
            let ports = service.pointer("/spec/ports").and_then(Value::as_array);
            Service {
                namespace: format!("{cluster}/{namespace}"),
                dns_namespace: namespace.clone(),
                scope: cluster.clone(),
                name: name.clone(),
                cluster_ip: address(service.pointer("/spec/clusterIP")),
                ports: ports
                    .into_iter()
                    .flatten()
                    .filter_map(|port| service_port(port, &behind))
                    .collect(),
                hostnames: hostnames(&behind),
            }
        })
        .collect()
}

fn service_port(port: &Value, pods: &[&Value]) -> Option<ServicePort> {
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    let own = number(port.get("port")?)?;
    let target = port.get("targetPort").filter(|target| !target.is_null());
    let targets = pods
        .iter()
        .filter_map(|pod| {
            let target = match target {
                None => own,
                Some(Value::String(name)) => named_port(pod, name)?,
                Some(target) => number(target)?,
            };
            Some(SocketAddrV4::new(
                address(pod.pointer("/status/podIP"))?,
                target,
            ))
        })
        .collect();
    Some(ServicePort { port: own, targets })
}

fn named_port(pod: &Value, name: &str) -> Option<u16> {
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let mut ports = containers
        .iter()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten();
    let port = ports.find(|port| port.get("name").and_then(Value::as_str) == Some(name))?;
    u16::try_from(port.get("containerPort")?.as_u64()?).ok()
}

fn hostnames(pods: &[&Value]) -> BTreeMap<String, Ipv4Addr> {
    pods.iter()
        .filter_map(|pod| {
            let name = pod
                .pointer("/spec/hostname")
                .or_else(|| pod.pointer("/metadata/name"))?
                .as_str()?;
            Some((name.to_owned(), address(pod.pointer("/status/podIP"))?))
        })
        .collect()
}

fn address(value: Option<&Value>) -> Option<Ipv4Addr> {
    value?.as_str()?.parse().ok()
}

fn has_labels(object: &Value, wanted: &serde_json::Map<String, Value>) -> bool {
    let labels = object.pointer("/metadata/labels");
    wanted
        .iter()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Ready") && text("status") == Some("True")
    })
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

fn is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<ApiRefusal>()
        .is_some_and(|refusal| refusal.status == StatusCode::NOT_FOUND)
}

fn chain(error: &NodeError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
