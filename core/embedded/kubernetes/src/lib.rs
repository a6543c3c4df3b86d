//! A Kubernetes API with logical clusters.
//!
//! [`Kubernetes::router`] serves `/clusters/{name}/…`, each `{name}` a Kubernetes
//! API of its own; `/clusters/*/…` lists and watches across all of them, for
//! administrators only. A request goes through one path, one file a step:
//! [`request`] (what is asked) → [`authenticate`] → [`authorize`] → `decode` →
//! `admit` → `validate` → the store → `encode`; `pipeline` strings them together.
//!
//! The binary builds a [`Config`], serves the router over TLS, and keeps the
//! [`Tasks`] of [`Kubernetes::start`] (garbage collection, namespaces, workload
//! controllers, the end of events) for as long as the API should live.
//!
//! What must stay true: an acknowledged write is on disk; a resource version
//! is the store's revision of the last write; nothing of one logical cluster
//! is reachable through another's path.

pub mod authenticate;
pub mod authorize;
pub mod request;

mod admit;
mod catalog;
mod clusters;
mod collector;
mod context;
mod controllers;
mod crd;
mod decode;
mod defaults;
mod delete;
mod discovery;
mod encode;
mod expiry;
mod identity;
mod merge;
mod object;
mod openapi;
mod pipeline;
mod pods;
mod protobuf;
mod quality;
mod quota;
mod read;
mod remaining;
mod reviews;
mod schemas;
mod selector;
mod standing;
mod state;
mod status;
mod table;
mod validate;
mod watch;
mod write;

use std::sync::Arc;

use axum::Router;
use catalyst_store::Store;
use serde_json::Value;

pub use authenticate::{Authenticators, OidcConfig};
pub use identity::Identity;
pub use pods::{
    ExecRequest, ExecSession, LogRequest, LogStream, PodBackend, PodError, PortConnection,
    PortRequest, PortStream,
};
pub use schemas::schema_set;
pub use standing::{Standing, Stands};
pub use status::ApiError;

/// What the API is built from.
#[derive(Clone)]
pub struct Config {
    /// Where everything is kept, below `kubernetes/`.
    pub store: Store,
    /// How requests are authenticated.
    pub authenticators: Authenticators,
    /// Secret that signs service account tokens; at least 32 bytes, the same
    /// at every start.
    pub token_key: Vec<u8>,
    /// PEM of the certificate authority that clients inside a cluster trust,
    /// for `kube-root-ca.crt`.
    pub root_ca: String,
    /// What reaches running pods, for `log`, `exec` and `portforward`.
    pub pods: Option<Arc<dyn PodBackend>>,
}

/// The API; clones share it.
#[derive(Clone)]
pub struct Kubernetes {
    inner: Arc<state::Inner>,
}

/// Background work; it stops when this is dropped.
pub struct Tasks {
    _tasks: tokio::task::JoinSet<()>,
}

impl Kubernetes {
    /// Builds the API over what the store already holds.
    pub fn new(config: Config) -> Self {
        Self {
            inner: Arc::new(state::Inner::new(config)),
        }
    }

    /// Serves `/clusters/{cluster}/…`.
    pub fn router(&self) -> Router {
        let inner = Arc::clone(&self.inner);
        Router::new().fallback(move |request: axum::extract::Request| {
            let inner = Arc::clone(&inner);
            async move { pipeline::serve(inner, request).await }
        })
    }

    /// Starts the background work. Needs a tokio runtime.
    pub fn start(&self) -> Tasks {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(collector::run(Arc::clone(&self.inner)));
        tasks.spawn(controllers::run(Arc::clone(&self.inner)));
        tasks.spawn(expiry::run(Arc::clone(&self.inner)));
        Tasks { _tasks: tasks }
    }

    /// Makes a logical cluster with what every cluster has and `bootstrap`
    /// objects, in their order; objects that exist are left as they are.
    /// Returns whether the cluster is new.
    pub async fn create_cluster(&self, name: &str, bootstrap: &[Value]) -> Result<bool, ApiError> {
        clusters::create(&self.inner, name, bootstrap).await
    }

    /// Removes a logical cluster with everything in it. Returns whether it existed.
    pub async fn delete_cluster(&self, name: &str) -> Result<bool, ApiError> {
        clusters::delete(&self.inner, name).await
    }

    /// Names of the logical clusters.
    pub fn clusters(&self) -> Vec<String> {
        self.inner.clusters()
    }
}
