//! Fulfils requests for vclusters: a `VCluster` object on a host cluster (the
//! shape of loft's Cluster API provider) becomes a logical cluster of the
//! embedded Kubernetes API, and its kubeconfig the Secret `vc-{name}` beside it.
//!
//! What must stay true: the object's finalizer goes only after the logical
//! cluster has gone; what the kubeconfig can do ends at its own cluster; its token
//! is renewed when half of its life is over, so that whoever reads the Secret
//! finds a good one, and whoever got hold of it once does not have it for long; a
//! Secret that somebody deletes or spoils is written anew at once; a vcluster that
//! cannot be made or removed holds up no other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalyst_kubernetes::Kubernetes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};

const GROUP: &str = "infrastructure.cluster.x-k8s.io";
const VERSION: &str = "v1alpha1";
const FINALIZER: &str = "vcluster.openova.io/cluster";
const MANAGER: &str = "vcluster";
const CLUSTER: &str = "openova.io/cluster";
/// Whom the kubeconfig speaks for, in `kube-system` of the vcluster.
const ACCOUNT: &str = "catalyst";
const RETRY: SignedDuration = SignedDuration::from_secs(2);
/// How long one look at a request may take before it is given up and taken anew.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the kubeconfig's token is good.
const LIFE: SignedDuration = SignedDuration::from_hours(12);
/// Tokens end by the clock on the wall, which goes on while a machine sleeps and
/// its timers do not; so it is looked at this often.
const CLOCK: Duration = Duration::from_secs(30);
/// On the Secret, so that it can be followed among all others.
const LABELS: [(&str, &str); 2] = [
    ("app.kubernetes.io/component", "kubeconfig"),
    ("app.kubernetes.io/managed-by", MANAGER),
];
/// What the names of Secrets begin with, before the vcluster's.
const PREFIX: &str = "vc-";
/// On the Secret: the SHA-256 of the kubeconfig, as it was written.
const DIGEST: &str = "vcluster.openova.io/digest";
/// On the Secret: the URL of the vcluster.
const SERVER: &str = "vcluster.openova.io/server";
/// On the Secret: when the token is to be renewed.
const RENEW: &str = "vcluster.openova.io/renew";

/// Host cluster, namespace and name of a request.
type Key = (String, String, String);

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
    /// Follows requests, and the Secrets that answer them, until the task is dropped.
    pub async fn run(self) {
        let mut book = Book::default();
        let requests: Api<DynamicObject> =
            Api::all_with(self.everywhere.clone(), &resource(GROUP, "VCluster"));
        let mut requests = watcher(requests, watcher::Config::default())
            .default_backoff()
            .boxed();
        let secrets: Api<DynamicObject> =
            Api::all_with(self.everywhere.clone(), &resource("", "Secret"));
        let selector = LABELS.map(|(name, value)| format!("{name}={value}"));
        let selected = watcher::Config::default().labels(&selector.join(","));
        let mut secrets = watcher(secrets, selected).default_backoff().boxed();
        let mut running: FuturesUnordered<BoxFuture<'_, (Key, Option<Timestamp>)>> =
            FuturesUnordered::new();
        loop {
            let wait = pause(book.due.values(), Timestamp::now());
            tokio::select! {
                event = requests.next() => match event {
                    Some(Ok(event)) => book.request(event),
                    Some(Err(error)) => {
                        tracing::debug!(error = %error, "watch of vclusters ended; starting again");
                    }
                    None => return,
                },
                event = secrets.next() => match event {
                    Some(Ok(event)) => book.secret(event),
                    Some(Err(error)) => {
                        tracing::debug!(error = %error, "watch of kubeconfigs ended; starting again");
                    }
                    None => return,
                },
                Some((key, again)) = running.next() => book.done(key, again),
                () = tokio::time::sleep(wait) => book.overdue(Timestamp::now()),
            }
            for key in book.begin() {
                running.push(Box::pin(self.look_at(key)));
            }
        }
    }

    /// Does what there is to do now; when there will be more without an event.
    async fn look_at(&self, key: Key) -> (Key, Option<Timestamp>) {
        let looked = tokio::time::timeout(PATIENCE, self.reconcile(&key)).await;
        let result = looked.unwrap_or_else(|_| {
            Err(anyhow!(
                "it was not done within {} s, and was given up",
                PATIENCE.as_secs()
            ))
        });
        let again = match result {
            Ok(renewal) => renewal,
            Err(error) => {
                tracing::warn!(
                    host = key.0,
                    name = key.2,
                    error = format!("{error:#}"),
                    "vcluster not as asked for; trying again"
                );
                Timestamp::now().checked_add(RETRY).ok()
            }
        };
        (key, again)
    }

    /// Makes it so; answers when the kubeconfig is to be renewed.
    async fn reconcile(&self, (host, namespace, name): &Key) -> anyhow::Result<Option<Timestamp>> {
        let client = (self.connect)(host);
        let vclusters: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &resource(GROUP, "VCluster"));
        let secrets: Api<DynamicObject> =
            Api::namespaced_with(client, namespace, &resource("", "Secret"));
        // As it is now: what woke this may be the Secret, or the clock.
        let Some(object) = vclusters.get_opt(name).await? else {
            return Ok(None);
        };
        let qualified = format!("{host}-{name}");
        let secret = format!("{PREFIX}{name}");
        let finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        if object.metadata.deletion_timestamp.is_some() {
            if !finalizers.iter().any(|one| one == FINALIZER) {
                return Ok(None);
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
            return absent(patched).map(|()| None);
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
            return absent(patched).map(|()| None);
        }
        let is_new = self
            .kubernetes
            .create_cluster(&qualified, &self.bootstrap)
            .await?;
        let server = format!("{}/{qualified}", self.server);
        let with_token = |token: &str| kubeconfig(&qualified, &server, &self.authority, token);
        let known = secrets.get_opt(&secret).await?;
        let known = known.filter(|known| !is_new && is_intact(known, with_token));
        let renewal = match renewal(known.as_ref(), &server, Timestamp::now()) {
            Some(at) => at,
            None => {
                let token = token(&(self.connect)(&qualified)).await?;
                let renewal = token.renewal(Timestamp::now());
                let kubeconfig = with_token(&token.value);
                let labels = BTreeMap::from(LABELS);
                let wanted = json!({
                    "apiVersion": "v1", "kind": "Secret",
                    "metadata": {"name": secret, "namespace": namespace, "labels": labels, "annotations": {
                        SERVER: server, RENEW: renewal.to_string(), DIGEST: digest(&kubeconfig),
                    }},
                    "data": {"config": STANDARD.encode(kubeconfig)},
                });
                secrets
                    .patch(
                        &secret,
                        &PatchParams::apply(MANAGER).force(),
                        &Patch::Apply(&wanted),
                    )
                    .await?;
                renewal
            }
        };
        if object.data.pointer("/status/ready") == Some(&json!(true)) {
            return Ok(Some(renewal));
        }
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let status = json!({"status": {
            "ready": true, "initialized": true,
            "observedGeneration": object.metadata.generation,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Serving",
                "message": "", "lastTransitionTime": now}],
        }});
        let patched = vclusters
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await;
        absent(patched).map(|()| Some(renewal))
    }
}

/// Which requests there are, and what is to be done about them.
#[derive(Default)]
struct Book {
    known: HashSet<Key>,
    /// Of a list under way. What it does not show went unseen, and is not to be
    /// made anew when its time comes.
    listed: HashSet<Key>,
    /// To be looked at, as soon as nobody looks at them.
    waiting: HashSet<Key>,
    /// Looked at now: never twice at once.
    running: HashSet<Key>,
    /// To be looked at by the clock; none of these runs.
    due: HashMap<Key, Timestamp>,
}

impl Book {
    /// What happened to a request.
    fn request(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                if let Some(key) = key_of(&object) {
                    self.known.insert(key.clone());
                    self.listed.insert(key.clone());
                    self.waiting.insert(key);
                }
            }
            Event::Delete(object) => {
                if let Some(key) = key_of(&object) {
                    self.listed.remove(&key);
                    self.known.remove(&key);
                    self.waiting.remove(&key);
                    self.due.remove(&key);
                }
            }
            Event::Init => self.listed.clear(),
            Event::InitDone => {
                self.known.retain(|key| self.listed.contains(key));
                self.waiting.retain(|key| self.listed.contains(key));
                self.due.retain(|key, _| self.listed.contains(key));
            }
        }
    }

    /// What happened to a Secret. That it was written here comes back too, and
    /// finds nothing to do.
    fn secret(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(secret) | Event::Delete(secret) => {
                if let Some(key) = request_of(&secret)
                    && self.known.contains(&key)
                {
                    self.waiting.insert(key);
                }
            }
            // No list names what went while nobody watched.
            Event::InitDone => self.waiting.extend(self.known.iter().cloned()),
            Event::Init | Event::InitApply(_) => {}
        }
    }

    /// What is due by the clock has to be looked at.
    fn overdue(&mut self, now: Timestamp) {
        let due = self.due.iter().filter(|(_, at)| **at <= now);
        self.waiting.extend(due.map(|(key, _)| key.clone()));
    }

    /// What waits and is not looked at yet; it is from now on.
    fn begin(&mut self) -> Vec<Key> {
        let ready: Vec<Key> = self.waiting.difference(&self.running).cloned().collect();
        for key in &ready {
            self.waiting.remove(key);
            self.due.remove(key);
            self.running.insert(key.clone());
        }
        ready
    }

    /// Somebody has looked at one, and says when it will be time again.
    fn done(&mut self, key: Key, again: Option<Timestamp>) {
        self.running.remove(&key);
        if let Some(at) = again
            && self.known.contains(&key)
        {
            self.due.insert(key, at);
        }
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

/// A service account's token.
struct Token {
    value: String,
    expires: Timestamp,
}

impl Token {
    /// When half of its life will be over.
    fn renewal(&self, now: Timestamp) -> Timestamp {
        let left = now.duration_until(self.expires);
        now.checked_add(left / 2).unwrap_or(self.expires)
    }
}

async fn token(client: &kube::Client) -> anyhow::Result<Token> {
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": LIFE.as_secs()},
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
    let field = |pointer| answer.pointer(pointer).and_then(Value::as_str);
    Ok(Token {
        value: field("/status/token")
            .context("the vcluster gave no token")?
            .to_owned(),
        expires: field("/status/expirationTimestamp")
            .and_then(|at| at.parse().ok())
            .context("the vcluster does not say how long its token is good")?,
    })
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

/// When what a Secret holds is to be renewed; nothing when it is time, when it
/// leads elsewhere, or when it does not say.
fn renewal(secret: Option<&DynamicObject>, server: &str, now: Timestamp) -> Option<Timestamp> {
    let annotations = secret?.metadata.annotations.as_ref()?;
    if annotations.get(SERVER)? != server {
        return None;
    }
    let renewal: Timestamp = annotations.get(RENEW)?.parse().ok()?;
    let left = now.duration_until(renewal);
    // More than that, and the clock was ahead when it was written.
    (left.is_positive() && left <= LIFE / 2).then_some(renewal)
}

/// Whether a Secret holds what was written, and what would be written now but for
/// the token; and whether it is followed.
fn is_intact(secret: &DynamicObject, with_token: impl Fn(&str) -> String) -> bool {
    let labels = secret.metadata.labels.as_ref();
    let is_followed = LABELS.iter().all(|(name, value)| {
        labels
            .and_then(|labels| labels.get(*name))
            .is_some_and(|found| found == value)
    });
    let holds = || {
        let digested = secret.metadata.annotations.as_ref()?.get(DIGEST)?;
        let config = secret.data.pointer("/data/config")?.as_str()?;
        let config = String::from_utf8(STANDARD.decode(config).ok()?).ok()?;
        let content = catalyst_yaml::from_str(&config).ok()?;
        let token = content.pointer("/users/0/user/token")?.as_str()?;
        Some(config == with_token(token) && *digested == digest(&config))
    };
    is_followed && holds().unwrap_or(false)
}

fn digest(text: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        text.as_bytes(),
    ))
}

/// How long to wait for what is due first.
fn pause<'a>(due: impl Iterator<Item = &'a Timestamp>, now: Timestamp) -> Duration {
    let first = due.min().map(|at| now.duration_until(*at));
    // What is over-due has no length that a wait could have.
    first.map_or(CLOCK, |left| {
        Duration::try_from(left).unwrap_or_default().min(CLOCK)
    })
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

fn key_of(object: &DynamicObject) -> Option<Key> {
    Some((
        object.metadata.annotations.as_ref()?.get(CLUSTER)?.clone(),
        object.metadata.namespace.clone()?,
        object.metadata.name.clone()?,
    ))
}

/// The request that a Secret answers.
fn request_of(secret: &DynamicObject) -> Option<Key> {
    let (cluster, namespace, name) = key_of(secret)?;
    let name = name.strip_prefix(PREFIX)?.to_owned();
    Some((cluster, namespace, name))
}

#[cfg(test)]
mod tests;
