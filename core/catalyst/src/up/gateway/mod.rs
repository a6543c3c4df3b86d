//! Serves Applications by host name: the embedded gateway, counterpart of Cilium
//! Gateway. Follows the HTTPRoutes of all vclusters and forwards requests for
//! their host names to a ready pod of the Service they name.
//!
//! Called by the server before any other surface looks at a request. A host
//! name below the Sovereign's domain that no route claims is answered here too,
//! so that an Application's name never reaches the console.

mod forward;
mod routes;

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use catalyst_node::NodeHandle;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::api::ApiClient;
use super::reflector::{Key, Reflector};
use super::workloads::Workloads;
use forward::forward;
use routes::{Backend, Refusal, Routes, Verdict};

const CONTROLLER: &str = "openova.io/gateway";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The gateway; clones share it.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    domain: String,
    /// `.{domain}`: what the host names of Applications end with.
    suffix: String,
    routes: RwLock<Arc<Routes>>,
    workloads: Workloads,
    node: NodeHandle,
}

/// The Gateway API's definitions, for every cluster.
pub fn custom_resource_definitions() -> anyhow::Result<Vec<Value>> {
    [
        include_str!("crds/gatewayclasses.json"),
        include_str!("crds/gateways.json"),
        include_str!("crds/httproutes.json"),
    ]
    .iter()
    .map(|text| serde_json::from_str(text).context("a Gateway API definition is not JSON"))
    .collect()
}

impl Gateway {
    /// Starts following routes; returns once those that exist are known.
    pub async fn start(
        api: ApiClient,
        domain: &str,
        workloads: Workloads,
        node: NodeHandle,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let gateway = Self {
            inner: Arc::new(Inner {
                domain: domain.to_owned(),
                suffix: format!(".{domain}"),
                routes: RwLock::default(),
                workloads,
                node,
            }),
        };
        let changed = Arc::new(Notify::new());
        let routes = Reflector::start(api.clone(), ROUTES, Arc::clone(&changed), tasks).await?;
        gateway.rebuild(&routes);
        let following = gateway.clone();
        tasks.spawn(async move {
            loop {
                let verdicts = following.rebuild(&routes);
                for (key, verdict) in verdicts {
                    if let Some(route) = routes.get(&key) {
                        report(&api, &key, &route, &verdict).await;
                    }
                }
                changed.notified().await;
            }
        });
        Ok(gateway)
    }

    fn rebuild(&self, routes: &Reflector) -> Vec<Verdict> {
        let snapshot = routes.snapshot();
        let all = snapshot.iter().map(|(key, route)| (key, route.as_ref()));
        let (table, verdicts) = Routes::build(all, &self.inner.domain);
        *self
            .inner
            .routes
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        verdicts
    }

    /// The host name, when a request is for an Application.
    pub fn claims(&self, request: &Request<Body>) -> Option<String> {
        let host = request
            .uri()
            .host()
            .or_else(|| request.headers().get(HOST)?.to_str().ok())?;
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_below = name.ends_with(&self.inner.suffix);
        is_below.then_some(name)
    }

    /// Answers a request for an Application's host name.
    pub async fn answer(&self, host: &str, request: Request<Body>, is_tls: bool) -> Response {
        let routes = Arc::clone(
            &self
                .inner
                .routes
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let (method, path) = (request.method().as_str(), request.uri().path());
        let Some(backends) = routes.find(host, method, path, request.headers()) else {
            let what = if routes.knows(host) {
                format!("No route of {host} matches this path.")
            } else {
                format!(
                    "No Application answers at {host}. Its name may be misspelt, or it was removed."
                )
            };
            return explain(StatusCode::NOT_FOUND, &what);
        };
        let endpoints: Vec<_> = spread(backends)
            .into_iter()
            .filter_map(|backend| {
                self.inner.workloads.endpoints(
                    &backend.cluster,
                    &backend.namespace,
                    &backend.service,
                    backend.port,
                )
            })
            .flat_map(shuffle)
            .collect();
        for endpoint in &endpoints {
            // A pod that just ended refuses; the next may answer.
            match self.inner.node.connect(&endpoint.uid, endpoint.port).await {
                Ok(stream) => return forward(request, stream, host, is_tls).await,
                Err(error) => {
                    tracing::debug!(host, error = %error, "pod did not take a connection")
                }
            }
        }
        explain(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("{host} is there, but nothing of it is ready to answer yet."),
        )
    }
}

/// Backends in the order to try, the first drawn by weight.
fn spread(backends: &[Backend]) -> Vec<&Backend> {
    let mut order: Vec<&Backend> = backends.iter().filter(|one| one.weight > 0).collect();
    let total: u64 = order.iter().map(|one| u64::from(one.weight)).sum();
    if order.len() > 1 && total > 0 {
        let mut draw = random() % total;
        let first = order.iter().position(|one| {
            let weight = u64::from(one.weight);
            let is_here = draw < weight;
            draw = draw.saturating_sub(weight);
            is_here
        });
        if let Some(first) = first {
            order.swap(0, first);
        }
    }
    order
}

fn shuffle<T>(mut items: Vec<T>) -> Vec<T> {
    let count = items.len();
    if count > 1 {
        let by = usize::try_from(random() % u64::try_from(count).unwrap_or(1)).unwrap_or(0);
        items.rotate_left(by);
    }
    items
}

/// Good enough to spread load.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(())
}

/// A plain page for people.
fn explain(status: StatusCode, what: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    (status, headers, format!("{what}\n")).into_response()
}

/// Writes what became of a route into its status, where it says otherwise.
async fn report(
    api: &ApiClient,
    (cluster, namespace, name): &Key,
    route: &Value,
    verdict: &Result<(), Refusal>,
) {
    let (status, reason, message) = match verdict {
        Ok(()) => ("True", "Accepted", ""),
        Err(refusal) => ("False", refusal.reason, refusal.message.as_str()),
    };
    let generation = route.pointer("/metadata/generation");
    let parents: Vec<Value> = route
        .pointer("/spec/parentRefs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|parent| {
            let known = route
                .pointer("/status/parents")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .find(|one| one.get("parentRef") == Some(parent))
                .and_then(|one| one.pointer("/conditions/0"));
            let is_same = known.is_some_and(|known| {
                known.get("status").and_then(Value::as_str) == Some(status)
                    && known.get("reason").and_then(Value::as_str) == Some(reason)
                    && known.get("message").and_then(Value::as_str) == Some(message)
                    && known.get("observedGeneration") == generation
            });
            let since = match known.and_then(|known| known.get("lastTransitionTime")) {
                Some(since) if is_same => since.clone(),
                _ => json!(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            };
            json!({
                "parentRef": parent, "controllerName": CONTROLLER,
                "conditions": [{"type": "Accepted", "status": status, "reason": reason,
                    "message": message, "observedGeneration": generation, "lastTransitionTime": since}],
            })
        })
        .collect();
    let parents = Value::Array(parents);
    if route.pointer("/status/parents") == Some(&parents) {
        return;
    }
    let path = format!(
        "/clusters/{cluster}/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{name}/status"
    );
    let patch = json!({"status": {"parents": parents}});
    if let Err(error) = api
        .send(Method::PATCH, &path, MERGE_PATCH, Some(&patch))
        .await
    {
        tracing::debug!(
            path,
            error = format!("{error:#}"),
            "route status not written"
        );
    }
}
