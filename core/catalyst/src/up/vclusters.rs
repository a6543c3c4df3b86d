//! Fulfils requests for vclusters: a `VCluster` object on a host cluster (the
//! shape of loft's Cluster API provider) becomes a logical cluster of the
//! embedded Kubernetes API, and its kubeconfig the Secret `vc-{name}` beside it.
//!
//! What must stay true: the object's finalizer goes only after the logical
//! cluster has gone; what the kubeconfig can do ends at its own cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalyst_kubernetes::Kubernetes;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const GROUP: &str = "infrastructure.cluster.x-k8s.io";
const VERSION: &str = "v1alpha1";
const FINALIZER: &str = "vcluster.openova.io/cluster";
const MANAGER: &str = "vcluster";
const CLUSTER: &str = "openova.io/cluster";
/// Whom the kubeconfig speaks for, in `kube-system` of the vcluster.
const ACCOUNT: &str = "catalyst";
const RETRY: Duration = Duration::from_secs(2);

/// Gives a client of one logical cluster.
pub type Connect = Arc<dyn Fn(&str) -> kube::Client + Send + Sync>;

/// What fulfilling takes.
#[derive(Clone)]
pub struct VClusters {
    /// The API in which logical clusters are made.
    pub kubernetes: Kubernetes,
    /// Lists and watches across clusters.
    pub everywhere: kube::Client,
    /// Clients of single clusters.
    pub connect: Connect,
    /// URL below which logical clusters are served.
    pub server: String,
    /// The Sovereign's certificate authority, PEM.
    pub authority: String,
    /// What every vcluster holds from its first moment.
    pub bootstrap: Arc<Vec<Value>>,
}

/// The definition of `VCluster`, for host clusters.
pub fn custom_resource_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("vclusters.{GROUP}")},
        "spec": {
            "group": GROUP,
            "names": {"kind": "VCluster", "listKind": "VClusterList", "plural": "vclusters", "singular": "vcluster"},
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION, "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Ready", "type": "boolean", "jsonPath": ".status.ready"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {"type": "object", "properties": {
                            "kubernetesVersion": {"type": "string"},
                            "controlPlaneEndpoint": {"type": "object", "properties": {
                                "host": {"type": "string"}, "port": {"type": "integer", "format": "int32"},
                            }},
                            "helmRelease": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        }},
                        "status": {"type": "object", "properties": {
                            "ready": {"type": "boolean"},
                            "initialized": {"type": "boolean"},
                            "reason": {"type": "string"},
                            "message": {"type": "string"},
                            "observedGeneration": {"type": "integer", "format": "int64"},
                            "conditions": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                        }},
                    },
                }},
            }],
        },
    })
}

impl VClusters {
    /// Follows requests until the task is dropped.
    pub async fn run(self) {
        let mut objects: HashMap<(String, String, String), DynamicObject> = HashMap::new();
        let mut retries: JoinSet<(String, String, String)> = JoinSet::new();
        let api: Api<DynamicObject> =
            Api::all_with(self.everywhere.clone(), &resource(GROUP, "VCluster"));
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        loop {
            let key = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(Event::Apply(object) | Event::InitApply(object))) => {
                        let Some(key) = key_of(&object) else { continue };
                        objects.insert(key.clone(), object);
                        key
                    }
                    Some(Ok(Event::Delete(object))) => {
                        key_of(&object).map(|key| objects.remove(&key));
                        continue;
                    }
                    Some(Ok(Event::Init | Event::InitDone)) => continue,
                    Some(Err(error)) => {
                        tracing::debug!(error = %error, "watch of vclusters ended; starting again");
                        continue;
                    }
                    None => return,
                },
                Some(Ok(key)) = retries.join_next() => key,
            };
            let Some(object) = objects.get(&key) else {
                continue;
            };
            if let Err(error) = self.reconcile(&key, object).await {
                tracing::warn!(
                    host = key.0,
                    name = key.2,
                    error = format!("{error:#}"),
                    "vcluster not as asked for; trying again"
                );
                retries.spawn(async move {
                    tokio::time::sleep(RETRY).await;
                    key
                });
            }
        }
    }

    async fn reconcile(
        &self,
        (host, namespace, name): &(String, String, String),
        object: &DynamicObject,
    ) -> anyhow::Result<()> {
        let client = (self.connect)(host);
        let vclusters: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &resource(GROUP, "VCluster"));
        let secrets: Api<DynamicObject> =
            Api::namespaced_with(client, namespace, &resource("", "Secret"));
        let qualified = format!("{host}-{name}");
        let secret = format!("vc-{name}");
        let finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        if object.metadata.deletion_timestamp.is_some() {
            if !finalizers.iter().any(|one| one == FINALIZER) {
                return Ok(());
            }
            self.kubernetes.delete_cluster(&qualified).await?;
            absent(secrets.delete(&secret, &Default::default()).await)?;
            let left: Vec<_> = finalizers
                .iter()
                .filter(|one| *one != FINALIZER)
                .cloned()
                .collect();
            let patch = json!({"metadata": {
                "finalizers": left, "resourceVersion": object.metadata.resource_version,
            }});
            let patched = vclusters
                .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            return absent(patched);
        }
        if !finalizers.iter().any(|one| one == FINALIZER) {
            let mut all = finalizers;
            all.push(FINALIZER.to_owned());
            let patch = json!({"metadata": {
                "finalizers": all, "resourceVersion": object.metadata.resource_version,
            }});
            // The change comes back as an event, and with it the next step.
            let patched = vclusters
                .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            return absent(patched);
        }
        let is_new = self
            .kubernetes
            .create_cluster(&qualified, &self.bootstrap)
            .await?;
        let server = format!("{}/{qualified}", self.server);
        let known = secrets.get_opt(&secret).await?;
        if is_new || !speaks_of(known.as_ref(), &server) {
            let token = token(&(self.connect)(&qualified)).await?;
            let kubeconfig = kubeconfig(&qualified, &server, &self.authority, &token);
            let wanted = json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": secret, "namespace": namespace, "annotations": {"vcluster.openova.io/server": server}},
                "data": {"config": STANDARD.encode(kubeconfig)},
            });
            secrets
                .patch(
                    &secret,
                    &PatchParams::apply(MANAGER).force(),
                    &Patch::Apply(&wanted),
                )
                .await?;
        }
        if object.data.pointer("/status/ready") == Some(&json!(true)) {
            return Ok(());
        }
        let now = jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let status = json!({"status": {
            "ready": true, "initialized": true,
            "observedGeneration": object.metadata.generation,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Serving",
                "message": "", "lastTransitionTime": now}],
        }});
        let patched = vclusters
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await;
        absent(patched)
    }
}

/// Bootstrap objects that give the kubeconfig's account its rights.
pub fn account() -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": "kube-system"}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "openova.io:control-plane"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "kube-system"}],
        }),
    ]
}

async fn token(client: &kube::Client) -> anyhow::Result<String> {
    // The Secret is written anew at every start, long before this ends.
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 365 * 24 * 3600},
    });
    let accounts: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        "kube-system",
        &resource("", "ServiceAccount"),
    );
    let answer: Value = accounts
        .create_subresource("token", ACCOUNT, &PostParams::default(), &request)
        .await
        .context("the vcluster gave no token")?;
    let token = answer.pointer("/status/token").and_then(Value::as_str);
    Ok(token.context("the vcluster gave no token")?.to_owned())
}

fn kubeconfig(name: &str, server: &str, authority: &str, token: &str) -> String {
    catalyst_yaml::to_string(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(authority)}}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": ACCOUNT}}],
        "current-context": name,
    }))
}

fn speaks_of(secret: Option<&DynamicObject>, server: &str) -> bool {
    secret
        .and_then(|secret| secret.metadata.annotations.as_ref())
        .and_then(|annotations| annotations.get("vcluster.openova.io/server"))
        .is_some_and(|known| known == server)
}

/// "It is gone" is as good as done.
fn absent<T>(result: Result<T, kube::Error>) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => Ok(result.map(drop)?),
    }
}

fn resource(group: &str, kind: &str) -> ApiResource {
    let version = if group.is_empty() { "v1" } else { VERSION };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn key_of(object: &DynamicObject) -> Option<(String, String, String)> {
    Some((
        object.metadata.annotations.as_ref()?.get(CLUSTER)?.clone(),
        object.metadata.namespace.clone()?,
        object.metadata.name.clone()?,
    ))
}
