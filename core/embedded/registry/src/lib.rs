//! An OCI distribution registry (distribution-spec 1.1), the embedded stand-in
//! for Harbor.
//!
//! The binary builds a [`Registry`] from a [`Config`], merges
//! [`Registry::router`] (paths below `/v2/`) into its own router, and, where
//! the control plane shall manage permissions over the wire, also
//! [`Registry::projects_router`] (paths below `/api/v2.0/`, in Harbor's shape).
//! It calls [`Registry::collect_garbage`] from time to time.
//!
//! What must stay true:
//! - A blob file appears under its final name only whole, verified and synced,
//!   so a crash leaves at worst a temporary file, which the next start sweeps.
//! - A blob or manifest is visible in a repository only through a link in the
//!   store below `registry/`; the same bytes in another repository grant
//!   nothing.
//! - Every request is authorised before anything about the repository's
//!   existence is looked up, so a refusal tells nothing.
//! - Garbage collection and pushes may run at the same time: whoever adds a
//!   link holds the gate for reading, whoever removes one holds it for writing.

mod access;
mod blobs;
mod digest;
mod errors;
mod events;
mod garbage;
mod http;
mod manifests;
mod metadata;
mod names;
mod permissions;
mod projects;
mod robots;
mod uploads;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use catalyst_store::Store;

pub use access::{Access, AccessError, Action, Actions, AnonymousAccess, Credentials, Principal};
pub use digest::{Algorithm, Digest, DigestError};
pub use events::{Change, Event, Listener};
pub use garbage::{Collected, GarbageError};
pub use names::{NameError, Reference, RepositoryName, Tag};
pub use permissions::{Member, Namespace, PermissionError, Permissions};

/// Tells the time; injected so that ages can be tested without waiting.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Sizes and ages that the registry enforces.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest blob accepted, in bytes.
    pub blob_bytes: u64,
    /// Largest manifest accepted, in bytes; the specification asks for at
    /// least 4 MiB.
    pub manifest_bytes: usize,
    /// How long an upload may stay unfinished before it is dropped.
    pub upload_lifetime: Duration,
    /// How long a blob that no manifest refers to is left alone, so that a push
    /// has time to send its manifest.
    pub garbage_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob_bytes: 16 << 30,
            manifest_bytes: 4 << 20,
            upload_lifetime: Duration::from_secs(24 * 3600),
            garbage_grace: Duration::from_secs(3600),
        }
    }
}

/// What a registry is built from.
#[derive(Clone)]
pub struct Config {
    /// Folder for blobs and uploads; created when missing.
    pub data: PathBuf,
    /// Holds the metadata below `registry/`.
    pub store: Store,
    /// Decides who may do what.
    pub access: Arc<dyn Access>,
    /// The realm of the `WWW-Authenticate` challenge.
    pub realm: String,
    /// Whether `GET /v2/` without credentials succeeds. Docker decides by this
    /// one answer whether it sends credentials at all, so only a registry that
    /// is open to everyone should say yes.
    pub anonymous_ping: bool,
    /// Sizes and ages.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// Who is told of what comes and goes.
    pub listener: Option<Listener>,
}

impl Config {
    /// A configuration with the default limits, the system's clock and the
    /// realm `Catalyst registry`, which asks for credentials at `/v2/`.
    pub fn new(data: impl Into<PathBuf>, store: Store, access: Arc<dyn Access>) -> Self {
        Self {
            data: data.into(),
            store,
            access,
            realm: "Catalyst registry".to_owned(),
            anonymous_ping: false,
            limits: Limits::default(),
            clock: Arc::new(SystemTime::now),
            listener: None,
        }
    }
}

/// Why a registry could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder could not be prepared or swept.
    #[error(
        "cannot open the registry's data folder {path}; check that it is writable and has space"
    )]
    Data {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The sweep could not be recorded.
    #[error("cannot record the sweep of abandoned uploads")]
    Sweep {
        /// The cause.
        #[source]
        source: catalyst_store::CommitError,
    },
}

/// A running registry; clones share it.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// State shared by all requests.
pub(crate) struct Inner {
    pub(crate) metadata: metadata::Metadata,
    pub(crate) permissions: Permissions,
    pub(crate) blobs: blobs::Blobs,
    pub(crate) uploads: uploads::Uploads,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) realm: String,
    pub(crate) anonymous_ping: bool,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) listener: Option<Listener>,
    /// Read: about to link content. Write: about to remove links or files.
    pub(crate) gate: tokio::sync::RwLock<()>,
    /// Blobs that a client was told exist: it may rely on them without sending
    /// them again, so collection leaves them alone for the grace period.
    pub(crate) promised: Mutex<HashMap<(RepositoryName, Digest), SystemTime>>,
}

impl Registry {
    /// Opens the registry: creates its folders and sweeps what an earlier run
    /// left unfinished (uploads that are still within their lifetime stay, and
    /// can be resumed).
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let data_error = |source| OpenError::Data {
            path: config.data.clone(),
            source,
        };
        let blobs = blobs::Blobs::open(&config.data).map_err(data_error)?;
        let uploads = uploads::Uploads::open(&config.data).map_err(data_error)?;
        let inner = Inner {
            metadata: metadata::Metadata::new(config.store.clone()),
            permissions: Permissions::new(config.store.clone()),
            blobs,
            uploads,
            access: config.access.clone(),
            realm: config.realm.clone(),
            anonymous_ping: config.anonymous_ping,
            limits: config.limits.clone(),
            clock: config.clock.clone(),
            listener: config.listener.clone(),
            gate: tokio::sync::RwLock::new(()),
            promised: Mutex::new(HashMap::new()),
        };
        inner.sweep_uploads().await.map_err(|error| match error {
            GarbageError::Files { source, .. } => data_error(source),
            GarbageError::Store { source } => OpenError::Sweep { source },
        })?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The registry API, at `/v2/` and below.
    pub fn router(&self) -> Router {
        http::router(self.inner.clone())
    }

    /// Administration of namespaces and their members in the shape of Harbor's
    /// REST API, at `/api/v2.0/projects` and below; for administrators only.
    pub fn projects_router(&self) -> Router {
        projects::router(self.inner.clone())
    }

    /// The stored permissions that [`Registry::projects_router`] edits.
    pub fn permissions(&self) -> &Permissions {
        &self.inner.permissions
    }

    /// Removes blobs that no manifest refers to and uploads that were given
    /// up. Safe while pushes are running. Tagged and untagged manifests stay:
    /// they may be pinned by digest.
    pub async fn collect_garbage(&self) -> Result<Collected, GarbageError> {
        self.inner.collect_garbage().await
    }
}

impl Inner {
    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        seconds((self.clock)())
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, repository: &RepositoryName, change: Change) {
        if let Some(listener) = &self.listener {
            listener(Event {
                repository: repository.clone(),
                change,
            });
        }
    }
}

/// Seconds since 1970; a clock before that reads as 0.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
