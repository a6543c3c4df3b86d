//! The stand-in for Flux's source-, kustomize- and helm-controller.
//!
//! Reconciles GitRepository, OCIRepository (`source.toolkit.fluxcd.io/v1`),
//! Kustomization (`kustomize.toolkit.fluxcd.io/v1`) and HelmRelease
//! (`helm.toolkit.fluxcd.io/v2`) of every logical cluster, over the Kubernetes
//! API alone. The binary builds a [`Config`], installs
//! [`custom_resource_definitions`] in the clusters, keeps [`Flux::run`] going,
//! and may serve [`Flux::router`] to others that consume artifacts.
//!
//! The road of a change: `watch` → `index` (whom does it concern?) → `queue`
//! (a key) → `reconcile` → one module a kind.
//!
//! What must stay true: a request is a key and the work reads everything
//! afresh; a status is written only when it changed; what one cluster's objects
//! ask for is done in that cluster alone.

mod api;
mod apply;
mod artifact;
mod crds;
mod depend;
mod events;
mod git;
mod helm;
mod index;
mod json;
mod key;
mod kustomization;
mod oci;
mod queue;
mod range;
mod readiness;
mod reconcile;
mod source;
mod state;
mod status;
mod wait;
mod watch;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use crds::custom_resource_definitions;
pub use helm::ChartHost;
pub use state::{BeginClient, Connect};

/// How many objects are worked on at once. Waiting for readiness is work too,
/// and costs next to nothing, so this is far above the number of cores.
const PARALLEL: usize = 64;

/// What the part is built from.
#[derive(Clone)]
pub struct Config {
    /// Gives the client of a logical cluster, by its name.
    pub connect: Connect,
    /// A client whose base lists and watches across all logical clusters;
    /// objects carry their cluster in the annotation `openova.io/cluster`.
    pub everywhere: kube::Client,
    /// Speaks to Git servers, registries and foreign artifact servers.
    pub http: reqwest::Client,
    /// Begins a client like it, for a source that brings a certificate authority of
    /// its own.
    pub client: BeginClient,
    /// A folder for artifacts; losing it loses nothing.
    pub data: PathBuf,
    /// As Flux's multi-tenancy lockdown asks for by `--default-service-account` and
    /// `--no-cross-namespace-refs`
    /// (<https://fluxcd.io/flux/installation/configuration/multitenancy/>): the account
    /// that a HelmRelease or Kustomization acts as, in its own namespace, where it names
    /// none; and none refers to another namespace. Without it they act as the control
    /// plane, which may do everything.
    pub default_service_account: Option<String>,
    /// The URL under which [`Flux::router`] is reached; it goes into
    /// `status.artifact.url`.
    pub artifacts_url: String,
}

/// The part; clones share it.
#[derive(Clone)]
pub struct Flux {
    inner: Arc<state::Inner>,
}

impl Flux {
    /// Builds the part; nothing happens before [`Flux::run`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let artifacts = artifact::Artifacts::new(config.data, &config.artifacts_url);
        Self {
            inner: Arc::new(state::Inner {
                connect: config.connect,
                everywhere: config.everywhere,
                http: config.http,
                client: config.client,
                default_service_account: config.default_service_account,
                index: index::Index::default(),
                queue: queue::Queue::default(),
                artifacts: Arc::new(artifacts),
                apis: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// Serves artifacts in source-controller's layout, a folder a cluster.
    pub fn router(&self) -> Router {
        self.inner.artifacts.router()
    }

    /// Reconciles until `stop`; what is then under way is dropped, and taken up
    /// again by the next start.
    pub async fn run(&self, stop: CancellationToken) {
        self.run_kinds(&key::Kind::ALL, stop).await;
    }

    /// As [`Flux::run`], of sources alone: they are fetched and served for
    /// controllers that come from elsewhere.
    pub async fn run_sources(&self, stop: CancellationToken) {
        let kinds = [key::Kind::GitRepository, key::Kind::OciRepository];
        self.run_kinds(&kinds, stop).await;
    }

    async fn run_kinds(&self, kinds: &[key::Kind], stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for kind in kinds.iter().copied() {
            tasks.spawn(watch::follow(Arc::clone(&self.inner), kind));
        }
        let inner = Arc::clone(&self.inner);
        tasks.spawn(async move {
            let slots = Arc::new(Semaphore::new(PARALLEL));
            let mut work = JoinSet::new();
            loop {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                    return;
                };
                let key = inner.queue.next().await;
                let inner = Arc::clone(&inner);
                work.spawn(async move {
                    let outcome = reconcile::reconcile(&inner, &key).await;
                    inner.queue.done(&key, outcome);
                    drop(slot);
                });
                while work.try_join_next().is_some() {}
            }
        });
        stop.cancelled().await;
    }
}

/// Runs the part until `stop`.
pub async fn run(config: Config, stop: CancellationToken) {
    Flux::new(config).run(stop).await;
}
