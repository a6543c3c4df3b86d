//! For tests of reconcilers: a Kubernetes API in memory, a spine that remembers
//! what was published, and a context whose other parts answer nobody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use catalyst_api::DeletionView;
use catalyst_commands::{Commands, CommandsConfig};
use catalyst_ports::{
    BucketChange, BucketRecord, Clusters, Forge, Identity, PortError, RegistryAdmin, Spine,
    SpineMessage, Tokens, Vault,
};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::application::Remembered;
use crate::clock;
use crate::context::{Addresses, Context};
use crate::controllers::Shared;
use crate::kubernetes::Cluster;
use crate::leaving::Leaving;
use crate::object::{array, is_deleting, label, text};
use crate::queue::Queue;
use crate::runtime::Slot;
use crate::vclusters::Vclusters;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

/// The request for the vcluster of acme on its host cluster.
pub const VCLUSTER_REQUEST: &str =
    "/apis/infrastructure.cluster.x-k8s.io/v1alpha1/namespaces/acme/vclusters/acme";
/// The namespace that the vcluster of acme has there.
pub const VCLUSTER_SPACE: &str = "/api/v1/namespaces/acme";

/// A Kubernetes API in memory: objects by path, merge patches that fail when they name
/// an older version, and deletions that finalizers hold up. Clones share it.
#[derive(Clone, Default)]
pub struct Memory {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Memory {
    /// Puts an object there as it is, whatever stood at its path.
    pub fn put(&self, path: &str, object: Value) {
        self.objects.lock().unwrap().insert(path.to_owned(), object);
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(path).cloned()
    }

    /// Merges into an object, as somebody else would.
    pub fn merge(&self, path: &str, patch: &Value) {
        let mut objects = self.objects.lock().unwrap();
        patched(&mut objects, path, patch).expect("the object is there");
    }

    /// A host cluster with the vcluster of acme, whose request somebody holds.
    pub fn with_held_vcluster() -> Self {
        let memory = Self::default();
        memory.put(
            VCLUSTER_REQUEST,
            json!({
                "apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha1", "kind": "VCluster",
                "metadata": {"name": "acme", "namespace": "acme", "finalizers": ["example.com/hold"]},
            }),
        );
        memory.put(
            VCLUSTER_SPACE,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "acme"}}),
        );
        memory
    }

    /// A client of it.
    pub fn cluster(&self) -> Cluster {
        Cluster::new("memory", self.client())
    }

    fn client(&self) -> kube::Client {
        let memory = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let memory = memory.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let query = parts.uri.query().unwrap_or_default();
                let (status, answer) = memory.answer(&parts.method, parts.uri.path(), query, &body);
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        kube::Client::new(service, "default")
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut objects = self.objects.lock().unwrap();
        let path = path.strip_suffix("/status").unwrap_or(path);
        let not_there = || failure(StatusCode::NOT_FOUND, "NotFound", path);
        match *method {
            Method::GET => match objects.get(path) {
                Some(object) => (StatusCode::OK, object.clone()),
                None if is_collection(path) => (
                    StatusCode::OK,
                    json!({"items": listed(&objects, path, query)}),
                ),
                None => not_there(),
            },
            Method::PATCH => {
                let named = text(body, "/metadata/resourceVersion");
                let current = objects.get(path);
                if current.is_some_and(|current| {
                    !named.is_empty() && named != text(current, "/metadata/resourceVersion")
                }) {
                    return failure(StatusCode::CONFLICT, "Conflict", path);
                }
                match patched(&mut objects, path, body) {
                    Some(object) => (StatusCode::OK, object),
                    None => not_there(),
                }
            }
            Method::POST => {
                let at = format!("{path}/{}", text(body, "/metadata/name"));
                objects.insert(at, body.clone());
                (StatusCode::CREATED, body.clone())
            }
            Method::DELETE => {
                let Some(object) = objects.get_mut(path) else {
                    return not_there();
                };
                if array(object, "/metadata/finalizers").is_empty() {
                    objects.remove(path);
                } else {
                    object["metadata"]["deletionTimestamp"] = json!(clock::now());
                }
                (
                    StatusCode::OK,
                    json!({"kind": "Status", "status": "Success"}),
                )
            }
            _ => panic!("no test needs {method} {path}"),
        }
    }
}

/// Puts a namespace with these labels there, whose deletion has begun, with an object
/// that somebody holds, and what Kubernetes says of that.
pub fn held_namespace(memory: &Memory, name: &str, labels: &Value) {
    memory.put(
        &format!("/api/v1/namespaces/{name}"),
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name, "labels": labels, "deletionTimestamp": "2026-01-01T00:00:00Z",
            },
            "status": {"phase": "Terminating", "conditions": [
                {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: pods. has 1 resource instances, widgets.example.com has 1 resource instances"},
                {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources successfully discovered"},
            ]},
        }),
    );
    memory.put(
        "/apis/example.com",
        json!({"kind": "APIGroup", "preferredVersion": {"groupVersion": "example.com/v1beta1"}}),
    );
    memory.put(
        &format!("/apis/example.com/v1beta1/namespaces/{name}/widgets/held"),
        json!({
            "apiVersion": "example.com/v1beta1", "kind": "Widget",
            "metadata": {"name": "held", "namespace": name, "finalizers": ["example.com/hold"]},
        }),
    );
}

fn failure(code: StatusCode, reason: &str, path: &str) -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": format!("{path}: {reason}"), "code": code.as_u16(),
    });
    (code, status)
}

fn is_collection(path: &str) -> bool {
    let after_version = match path.split('/').nth(1) {
        Some("api") => 3,
        _ => 4,
    };
    let rest: Vec<&str> = path.split('/').skip(after_version).collect();
    match rest.as_slice() {
        ["namespaces", _, inner @ ..] if !inner.is_empty() => inner.len() == 1,
        rest => rest.len() == 1,
    }
}

fn listed(objects: &BTreeMap<String, Value>, path: &str, query: &str) -> Vec<Value> {
    let labels = query
        .strip_prefix("labelSelector=")
        .unwrap_or_default()
        .replace("%3D", "=")
        .replace("%2C", ",")
        .replace("%2F", "/");
    let wanted: Vec<(&str, &str)> = labels
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    objects
        .iter()
        .filter(|(at, _)| {
            at.rsplit_once('/').is_some_and(|(collection, _)| {
                collection == path || of_all_namespaces(collection).as_deref() == Some(path)
            })
        })
        .map(|(_, object)| object.clone())
        .filter(|object| {
            wanted
                .iter()
                .all(|(key, value)| label(object, key) == *value)
        })
        .collect()
}

fn of_all_namespaces(collection: &str) -> Option<String> {
    let (head, rest) = collection.split_once("/namespaces/")?;
    let (_, plural) = rest.split_once('/')?;
    Some(format!("{head}/{plural}"))
}

fn patched(objects: &mut BTreeMap<String, Value>, path: &str, patch: &Value) -> Option<Value> {
    let object = objects.get_mut(path)?;
    merged(object, patch);
    let version: u64 = text(object, "/metadata/resourceVersion")
        .parse()
        .unwrap_or(0);
    object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
    let object = object.clone();
    if is_deleting(&object) && array(&object, "/metadata/finalizers").is_empty() {
        objects.remove(path);
    }
    Some(object)
}

/// RFC 7386.
fn merged(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merged(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// A spine that keeps what is published.
#[derive(Clone, Default)]
pub struct Told {
    messages: Arc<Mutex<Vec<DeletionView>>>,
}

impl Told {
    /// What was told of deletions since this was last asked.
    pub fn take(&self) -> Vec<DeletionView> {
        std::mem::take(&mut self.messages.lock().unwrap())
    }

    /// Of that, the ends.
    pub fn take_ends(&self) -> Vec<DeletionView> {
        let mut all = self.take();
        all.retain(|one| one.ended_at.is_some());
        all
    }
}

impl Spine for Told {
    fn publish<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        let view = serde_json::from_slice(&payload).unwrap();
        let mut messages = self.messages.lock().unwrap();
        messages.push(view);
        let sequence = u64::try_from(messages.len()).unwrap();
        Box::pin(async move { Ok(sequence) })
    }

    fn read<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<SpineMessage>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn follow(&self, _: &str, _: u64) -> BoxStream<'static, Result<SpineMessage, PortError>> {
        futures::stream::pending().boxed()
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<String>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn purge<'a>(
        &'a self,
        _: &'a str,
        _: Option<(&'a str, u64)>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn bucket_get<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<BucketRecord>, PortError>> {
        Box::pin(async { Ok(None) })
    }

    fn bucket_put<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Bytes,
        _: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        Box::pin(async { Ok(1) })
    }

    fn bucket_delete<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn bucket_watch(&self, _: &str) -> BoxStream<'static, Result<BucketChange, PortError>> {
        futures::stream::pending().boxed()
    }
}

/// Fails unless a reconcile that is begun with what controllers share leaves its
/// worker to other keys while it goes on.
pub async fn leaves_its_worker<T: Debug>(
    mut shared: Shared,
    reconcile: impl AsyncFnOnce(&Shared) -> T,
) {
    let (slot, workers) = Slot::of_one_worker();
    shared.slot = slot;
    tokio::select! {
        // Looked at first, so that a reconcile that ends soon has not kept it either.
        biased;
        worker = workers.acquire() => assert!(worker.is_ok()),
        ended = reconcile(&shared) => panic!("it ended, and had kept its worker: {ended:?}"),
    }
}

/// A part that holds nothing: it answers that nothing is there, whatever it is asked
/// for, and nobody while it is away.
pub struct Empty {
    address: String,
    is_away: Arc<AtomicBool>,
}

impl Empty {
    /// Serves one until the test ends.
    pub async fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let is_away = Arc::new(AtomicBool::new(false));
        let away = Arc::clone(&is_away);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !away.load(Ordering::SeqCst) {
                    tokio::spawn(nothing_there(stream));
                }
            }
        });
        Self { address, is_away }
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it answers nobody from now on.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }
}

async fn nothing_there(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
    let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(answer).await;
}

/// What controllers share, with these two parts; the others answer nobody.
pub fn shared(management: &Memory, told: &Told) -> Shared {
    with_parts(management, told, NOBODY, NOBODY)
}

/// The same with a forge, and with one part for all the others.
pub fn shared_with(management: &Memory, told: &Told, forge: &Empty, others: &Empty) -> Shared {
    with_parts(management, told, &forge.address, &others.address)
}

/// The same with parts at these addresses.
pub fn with_parts(management: &Memory, told: &Told, forge: &str, others: &str) -> Shared {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let tokens = || Tokens::fixed("of-nobody");
    let forge = Forge::new(http.clone(), forge.parse().unwrap(), tokens());
    let vault = Vault::new(http.clone(), others.parse().unwrap(), String::new().into());
    let identity = Identity::new(http.clone(), others.parse().unwrap(), tokens());
    let registry = Arc::new(catalyst_supply::Registry::new(
        http.clone(),
        catalyst_supply::Credentials::default(),
    ));
    let clusters = Clusters::new(management.client());
    let commands = Commands::new(CommandsConfig {
        forge: forge.clone(),
        identity: identity.clone(),
        vault: vault.clone(),
        registry: Arc::clone(&registry),
        registry_host: "127.0.0.1:9".to_owned(),
        registry_insecure: true,
        clusters: clusters.clone(),
        domain: "sovereign.example".to_owned(),
        console: NOBODY.to_owned(),
        service_user: "catalyst".to_owned(),
    });
    let ctx = Context {
        clusters,
        forge,
        vault,
        registry_admin: RegistryAdmin::new(http, others.parse().unwrap(), tokens()),
        registry,
        identity,
        spine: Arc::new(told.clone()),
        commands,
        addresses: Addresses {
            domain: "sovereign.example".to_owned(),
            registry_host: "127.0.0.1:9".to_owned(),
            registry_insecure: true,
            vault: NOBODY.to_owned(),
            webhook_url: NOBODY.to_owned(),
            webhook_secret: String::new().into(),
        },
        initial: serde_json::from_value(json!({
            "domain": "sovereign.example", "provider": "lo", "hostClusters": [],
        }))
        .unwrap(),
        repositories: Queue::default(),
    };
    let blueprints = ctx.repositories.clone();
    Shared {
        ctx,
        sovereigns: Queue::default(),
        organizations: Queue::default(),
        environments: Queue::default(),
        leaving: Leaving::default(),
        leftovers: Queue::default(),
        access: Queue::default(),
        blueprints,
        fleet_upgrades: Queue::default(),
        sources: Queue::default(),
        applications: Queue::default(),
        vclusters: Vclusters::new(tokio_util::sync::CancellationToken::new()),
        remembered: Arc::new(Remembered::default()),
        refusals: Arc::default(),
        judged: Arc::default(),
        groups: Arc::default(),
        slot: Slot::default(),
    }
}
