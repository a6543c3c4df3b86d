//! Fulfils requests for vclusters: a `VCluster` object on a host cluster (the
//! shape of loft's Cluster API provider) becomes a logical cluster of the
//! embedded Kubernetes API, and its kubeconfig the Secret `vc-{name}` beside it.
//!
//! What must stay true: the object's finalizer goes only after the logical
//! cluster has gone; what the kubeconfig can do ends at its own cluster; its token
//! is renewed when half of its life is over, so that whoever reads the Secret
//! finds a good one, and whoever got hold of it once does not have it for long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalyst_kubernetes::Kubernetes;
use futures::StreamExt;
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
/// How long the kubeconfig's token is good.
const LIFE: SignedDuration = SignedDuration::from_hours(12);
/// Tokens end by the clock on the wall, which goes on while a machine sleeps and
/// its timers do not; so it is looked at this often.
const CLOCK: Duration = Duration::from_secs(30);
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
    /// Follows requests until the task is dropped.
    pub async fn run(self) {
        let mut objects: HashMap<Key, DynamicObject> = HashMap::new();
        let mut due: HashMap<Key, Timestamp> = HashMap::new();
        // Of a list under way. What it does not show went unseen, and is not to be
        // made anew when its time comes.
        let mut listed: HashSet<Key> = HashSet::new();
        let api: Api<DynamicObject> =
            Api::all_with(self.everywhere.clone(), &resource(GROUP, "VCluster"));
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        loop {
            let keys = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(Event::Apply(object) | Event::InitApply(object))) => {
                        let Some(key) = key_of(&object) else { continue };
                        objects.insert(key.clone(), object);
                        listed.insert(key.clone());
                        vec![key]
                    }
                    Some(Ok(Event::Delete(object))) => {
                        if let Some(key) = key_of(&object) {
                            objects.remove(&key);
                            listed.remove(&key);
                            due.remove(&key);
                        }
                        continue;
                    }
                    Some(Ok(Event::Init)) => {
                        listed.clear();
                        continue;
                    }
                    Some(Ok(Event::InitDone)) => {
                        objects.retain(|key, _| listed.contains(key));
                        due.retain(|key, _| listed.contains(key));
                        continue;
                    }
                    Some(Err(error)) => {
                        tracing::debug!(error = %error, "watch of vclusters ended; starting again");
                        continue;
                    }
                    None => return,
                },
                () = tokio::time::sleep(pause(due.values(), Timestamp::now())) => {
                    let now = Timestamp::now();
                    due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect()
                }
            };
            for key in keys {
                let again = match objects.get(&key) {
                    Some(object) => self.look_at(&key, object).await,
                    None => None,
                };
                match again {
                    Some(at) => due.insert(key, at),
                    None => due.remove(&key),
                };
            }
        }
    }

    /// Does what there is to do now; when there will be more without an event.
    async fn look_at(&self, key: &Key, object: &DynamicObject) -> Option<Timestamp> {
        match self.reconcile(key, object).await {
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
        }
    }

    /// Makes it so; answers when the kubeconfig is to be renewed.
    async fn reconcile(
        &self,
        (host, namespace, name): &Key,
        object: &DynamicObject,
    ) -> anyhow::Result<Option<Timestamp>> {
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
        let known = secrets.get_opt(&secret).await?;
        let renewal = renewal(known.as_ref(), &server, Timestamp::now()).filter(|_| !is_new);
        let renewal = match renewal {
            Some(at) => at,
            None => {
                let token = token(&(self.connect)(&qualified)).await?;
                let renewal = token.renewal(Timestamp::now());
                let kubeconfig = kubeconfig(&qualified, &server, &self.authority, &token.value);
                let wanted = json!({
                    "apiVersion": "v1", "kind": "Secret",
                    "metadata": {"name": secret, "namespace": namespace, "annotations": {
                        SERVER: server, RENEW: renewal.to_string(),
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

#[cfg(test)]
mod tests {
    use catalyst_kubernetes::{Authenticators, Config, Identity};
    use catalyst_store::{Options, Store};
    use tokio::task::JoinSet;

    use super::*;
    use crate::up::client::in_process;

    const HOST: &str = "lo-loc-rtz-dev";
    const VCLUSTER: &str = "lo-loc-rtz-dev-acme";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn secret(annotations: &[(&str, &str)]) -> DynamicObject {
        let mut secret = DynamicObject::new("vc-acme", &resource("", "Secret"));
        let all = annotations.iter();
        let all = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        secret.metadata.annotations = Some(all.collect());
        secret
    }

    #[test]
    fn a_kubeconfig_is_renewed_when_half_of_its_life_is_over() {
        let here = (SERVER, "https://here");
        let table = [
            ("good", vec![here, (RENEW, "2026-11-28T12:00:00Z")], true),
            (
                "just written",
                vec![here, (RENEW, "2026-11-28T16:00:00Z")],
                true,
            ),
            ("due", vec![here, (RENEW, "2026-11-28T10:00:00Z")], false),
            (
                "overdue",
                vec![here, (RENEW, "2026-11-20T10:00:00Z")],
                false,
            ),
            (
                "written by a clock ahead",
                vec![here, (RENEW, "2026-11-28T16:00:01Z")],
                false,
            ),
            (
                "of another address",
                vec![(SERVER, "https://there"), (RENEW, "2026-11-28T12:00:00Z")],
                false,
            ),
            ("of unknown age", vec![here], false),
            ("nonsense", vec![here, (RENEW, "soon")], false),
            ("nothing", vec![], false),
        ];
        let now = at("2026-11-28T10:00:00Z");
        for (case, annotations, is_good) in table {
            let found = renewal(Some(&secret(&annotations)), "https://here", now);
            assert_eq!(found.is_some(), is_good, "{case}: {found:?}");
        }
        assert_eq!(renewal(None, "https://here", now), None);
        let token = Token {
            value: String::new(),
            expires: at("2026-11-28T22:00:00Z"),
        };
        assert_eq!(token.renewal(now), at("2026-11-28T16:00:00Z"));
    }

    #[test]
    fn the_clock_is_looked_at_however_long_there_is_nothing_to_do() {
        let now = at("2026-11-28T10:00:00Z");
        for (due, seconds) in [
            (vec![], 30),
            (vec!["2026-11-28T16:00:00Z"], 30),
            (vec!["2026-11-28T16:00:00Z", "2026-11-28T10:00:02Z"], 2),
            (vec!["2026-11-28T09:00:00Z"], 0),
        ] {
            let due: Vec<Timestamp> = due.into_iter().map(at).collect();
            assert_eq!(
                pause(due.iter(), now),
                Duration::from_secs(seconds),
                "{due:?}"
            );
        }
    }

    /// A host cluster in which somebody fulfils requests for vclusters.
    struct World {
        client: kube::Client,
        router: axum::Router,
        _running: JoinSet<()>,
        _folder: tempfile::TempDir,
    }

    impl World {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
            let kubernetes = Kubernetes::new(Config {
                store,
                authenticators: Authenticators::default(),
                token_key: vec![7; 32],
                root_ca: "CA".to_owned(),
                pods: None,
            });
            let definitions = [custom_resource_definition()];
            kubernetes.create_cluster(HOST, &definitions).await.unwrap();
            let router = kubernetes.router();
            let identity = Identity::administrator("system:embedded");
            let client = in_process(&router, &identity, HOST);
            let connecting = router.clone();
            let vclusters = VClusters {
                everywhere: in_process(&router, &identity, "*"),
                connect: Arc::new(move |cluster| in_process(&connecting, &identity, cluster)),
                server: "https://here/clusters".to_owned(),
                authority: "CA".to_owned(),
                bootstrap: Arc::new(account()),
                kubernetes,
            };
            let mut running = JoinSet::new();
            running.spawn(vclusters.run());
            Self {
                client,
                router,
                _running: running,
                _folder: folder,
            }
        }

        fn api(&self, group: &str, kind: &str) -> Api<DynamicObject> {
            Api::namespaced_with(self.client.clone(), "default", &resource(group, kind))
        }

        /// Waits for a Secret with another token than one that was seen before.
        async fn token(&self, before: &str) -> (DynamicObject, String) {
            let renewed = async {
                loop {
                    let secret = self.api("", "Secret").get_opt("vc-acme").await.unwrap();
                    if let Some(secret) = secret {
                        let content = secret.data["data"]["config"].as_str().unwrap();
                        let content = String::from_utf8(STANDARD.decode(content).unwrap()).unwrap();
                        let kubeconfig: Value = catalyst_yaml::from_str(&content).unwrap();
                        let token = kubeconfig["users"][0]["user"]["token"].as_str();
                        let token = token.unwrap().to_owned();
                        if token != before {
                            return (secret, token);
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let found = tokio::time::timeout(Duration::from_secs(20), renewed).await;
            found.expect("no other token within 20 s")
        }

        /// What the vcluster answers to a token.
        async fn answer(&self, token: &str) -> u16 {
            let request = http::Request::builder()
                .uri(format!("/clusters/{VCLUSTER}/api/v1/namespaces"))
                .header("authorization", format!("Bearer {token}"))
                .body(axum::body::Body::empty())
                .unwrap();
            let answer = tower::ServiceExt::oneshot(self.router.clone(), request);
            answer.await.unwrap().status().as_u16()
        }
    }

    fn claims(token: &str) -> Value {
        let payload = token.split('.').nth(1).unwrap();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        serde_json::from_slice(&engine.decode(payload).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_vclusters_kubeconfig_holds_a_short_token_that_is_renewed() {
        let world = World::start().await;
        let object = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "VCluster",
            "metadata": {"name": "acme"}, "spec": {}});
        let object = serde_json::from_value(object).unwrap();
        let vclusters = world.api(GROUP, "VCluster");
        vclusters
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        let (secret, first) = world.token("").await;
        assert_eq!(world.answer(&first).await, 200);
        let lives = claims(&first)["exp"].as_i64().unwrap() - Timestamp::now().as_second();
        assert!(lives > 0 && lives <= LIFE.as_secs(), "{lives} s");
        let annotations = secret.metadata.annotations.unwrap();
        let renewal = at(&annotations[RENEW]).as_second() - Timestamp::now().as_second();
        assert!(renewal > 0 && renewal <= LIFE.as_secs() / 2, "{renewal} s");

        // Two tokens of one second are the same.
        let issued = claims(&first)["iat"].as_i64().unwrap();
        while Timestamp::now().as_second() == issued {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Half of its life later (the time is what the Secret says).
        let past = json!({"metadata": {"annotations": {RENEW: "2026-01-01T00:00:00Z"}}});
        let merge = Patch::Merge(&past);
        let parameters = PatchParams::default();
        let secrets = world.api("", "Secret");
        secrets.patch("vc-acme", &parameters, &merge).await.unwrap();
        let touch = json!({"metadata": {"annotations": {"touched": "now"}}});
        let merge = Patch::Merge(&touch);
        vclusters.patch("acme", &parameters, &merge).await.unwrap();
        let (_, second) = world.token(&first).await;
        // Those who hold the first one have half of its life to find the second.
        for token in [&first, &second] {
            assert_eq!(world.answer(token).await, 200);
        }
    }
}
