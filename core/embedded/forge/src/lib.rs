//! A Git forge: Git smart HTTP over real Git, and Gitea's REST shapes.
//!
//! The binary opens a [`Forge`] from a [`Config`], nests [`Forge::router`]
//! below the path of `base_url` and runs [`Forge::run`] for webhooks and
//! upkeep. Repositories are bare, below `<data>/repositories`; everything else
//! is in the store below `forge/`.
//!
//! What must stay true: no ref moves before the pre-receive check has agreed;
//! what was acknowledged survives `kill -9`; somebody without a permission
//! cannot tell a private repository from one that does not exist.

// Gitea's repository object has more fields than `json!` expands by default.
#![recursion_limit = "256"]

mod access;
mod api;
mod check;
mod git;
mod merge;
mod metadata;
mod names;
mod push;
mod records;
mod shapes;
mod transport;
mod webhooks;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalyst_store::Store;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, Notify};

use crate::metadata::{Metadata, MetadataError, key_of};
use crate::records::RepoRecord;

/// Whom a bearer token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User name in the forge; the user is made on first sight.
    pub username: String,
    /// Mail address, for commits.
    pub email: Option<String>,
    /// Whether the user may do everything.
    pub admin: bool,
}

/// Recognizes tokens that the forge did not give out itself, such as those of
/// the Sovereign's issuer. Asked on every request, so a token that is no longer
/// good stops working at once.
pub trait IdentityVerifier: Send + Sync + 'static {
    /// Whom the token speaks for; `None` when it is not valid.
    fn verify<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<Identity>>;
}

/// Where the pre-receive check is asked.
#[derive(Debug, Clone)]
pub struct CheckConfig {
    /// Receives a POST before refs move.
    pub url: String,
    /// Sent as a bearer token, so that the other side knows the forge.
    pub token: Option<String>,
    /// After this time without an answer the change is refused.
    pub timeout: Duration,
    /// Content of a single file above this many bytes is left out.
    pub largest_file: u64,
    /// Content of all files together above this many bytes is left out.
    pub largest_total: u64,
}

impl CheckConfig {
    /// A check at a URL with the usual bounds: 10 s, 1 MiB a file, 16 MiB in all.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            timeout: Duration::from_secs(10),
            largest_file: 1 << 20,
            largest_total: 16 << 20,
        }
    }
}

/// What a forge is built from.
#[derive(Clone)]
pub struct Config {
    /// Directory of the forge's own; made when absent.
    pub data: PathBuf,
    /// Holds everything that is not Git.
    pub store: Store,
    /// Address of the router as clients see it, e.g. `http://127.0.0.1:8080/git`.
    pub base_url: String,
    /// A token that is always good, for the control plane; it acts as `admin_name`.
    pub admin_token: Option<String>,
    /// The administrator that comes into being with the forge.
    pub admin_name: String,
    /// Recognizes tokens from elsewhere.
    pub verifier: Option<Arc<dyn IdentityVerifier>>,
    /// Asked before refs move; without it every well-formed change passes.
    pub check: Option<CheckConfig>,
    /// Begins the client that the check and webhooks are posted by: whom it trusts
    /// and which way it goes is the assembly's to say, its bounds are the forge's.
    pub client: Arc<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    /// Largest body of a REST request, in bytes.
    pub largest_request: usize,
    /// Largest pack of a push, in bytes.
    pub largest_push: u64,
    /// How long a webhook that is not accepted is tried again.
    pub delivery_lifetime: Duration,
}

impl Config {
    /// A forge with the usual bounds, without admin token, verifier or check.
    pub fn new(data: impl Into<PathBuf>, store: Store, base_url: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            store,
            base_url: base_url.into(),
            admin_token: None,
            admin_name: "catalyst".to_owned(),
            verifier: None,
            check: None,
            client: Arc::new(reqwest::Client::builder),
            largest_request: 32 << 20,
            largest_push: 512 << 20,
            delivery_lifetime: Duration::from_secs(24 * 3600),
        }
    }
}

/// Why a forge could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory could not be made or emptied.
    #[error("cannot prepare the forge's directory {}", .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The records cannot be read.
    #[error("cannot read the forge's records")]
    Records(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// git is missing or too old.
    #[error("the forge needs git 2.38 or later on the path: {found}")]
    Git {
        /// What was found instead.
        found: String,
    },
    /// The HTTP client could not be built.
    #[error("cannot prepare the forge's HTTP client")]
    Http(#[source] reqwest::Error),
    /// A configured value is not usable.
    #[error("the forge's configuration is wrong: {0}")]
    Configuration(String),
}

impl From<MetadataError> for OpenError {
    fn from(error: MetadataError) -> Self {
        Self::Records(Box::new(error))
    }
}

/// What all handlers share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) records: Metadata,
    pub(crate) http: reqwest::Client,
    /// Wakes the background work after a change.
    pub(crate) wake: Notify,
    locks: std::sync::Mutex<HashMap<u64, Arc<RepositoryLocks>>>,
    password_cache: access::PasswordCache,
}

/// Order among the writers of one repository.
#[derive(Default)]
pub(crate) struct RepositoryLocks {
    /// Held by REST writes from reading the base to moving the ref.
    pub(crate) edit: Mutex<()>,
    /// Held by everybody while refs move.
    pub(crate) refs: Mutex<()>,
}

impl Inner {
    pub(crate) fn locks(&self, repository: u64) -> Arc<RepositoryLocks> {
        let mut locks = self
            .locks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(locks.entry(repository).or_default())
    }

    pub(crate) fn directory_of(&self, owner: &str, name: &str) -> PathBuf {
        let file = format!("{}.git", key_of(name));
        self.config
            .data
            .join("repositories")
            .join(key_of(owner))
            .join(file)
    }

    pub(crate) fn git(&self, record: &RepoRecord) -> git::Repository {
        git::Repository::at(self.directory_of(&record.owner, &record.name))
    }

    pub(crate) fn quarantine_directory(&self) -> PathBuf {
        self.config.data.join("quarantine")
    }

    pub(crate) fn trash_directory(&self) -> PathBuf {
        self.config.data.join("trash")
    }

    pub(crate) fn base_url(&self) -> &str {
        self.config.base_url.trim_end_matches('/')
    }
}

/// An open forge; clones share it.
#[derive(Clone)]
pub struct Forge {
    inner: Arc<Inner>,
}

impl Forge {
    /// Opens the forge: makes directories, throws away what an interrupted
    /// change left behind, makes sure of the administrator.
    pub async fn open(mut config: Config) -> Result<Self, OpenError> {
        config.data = std::path::absolute(&config.data).map_err(|source| OpenError::Directory {
            path: config.data.clone(),
            source,
        })?;
        names::check_owner(&config.admin_name)
            .map_err(|error| OpenError::Configuration(error.to_string()))?;
        git_version().await?;
        for part in ["quarantine", "trash"] {
            empty_directory(&config.data.join(part))?;
        }
        let repositories = config.data.join("repositories");
        make_directory(&repositories)?;
        remove_stale_locks(&repositories)?;
        let http = (config.client)()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .user_agent("catalyst-forge")
            .build()
            .map_err(OpenError::Http)?;
        let records = Metadata::new(config.store.clone())?;
        let inner = Inner {
            config,
            records,
            http,
            wake: Notify::new(),
            locks: std::sync::Mutex::default(),
            password_cache: access::PasswordCache::default(),
        };
        let admin = inner.config.admin_name.clone();
        access::ensure_user(&inner, &admin, None, true).await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Git smart HTTP at `/{owner}/{repo}.git` and REST at `/api/v1`.
    pub fn router(&self) -> axum::Router {
        // A push goes on by itself, once it is all there.
        let api =
            api::router(Arc::clone(&self.inner)).layer(axum::middleware::from_fn(api::to_the_end));
        transport::router(Arc::clone(&self.inner)).merge(api)
    }

    /// Delivers webhooks and tidies repositories until `shutdown` is done.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = shutdown => {}
            () = webhooks::run(&self.inner) => {}
        }
    }
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(path).map_err(|source| OpenError::Directory {
        path: path.to_owned(),
        source,
    })
}

/// Removes the locks of Git processes that were killed; while one is there, its ref
/// never moves again. The data has one owner at a time, so nobody holds any but a process
/// that outlived its forge: it is done within milliseconds, long before the first push
/// could take the same lock.
fn remove_stale_locks(repositories: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Directory { path, source }
    };
    let list = |path: &Path| -> Result<Vec<std::fs::DirEntry>, OpenError> {
        let entries = std::fs::read_dir(path).map_err(failed(path))?;
        entries.collect::<Result<_, _>>().map_err(failed(path))
    };
    let is_directory = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|it| it.is_dir());
    let owners = list(repositories)?.into_iter().filter(is_directory);
    for owner in owners {
        for repository in list(&owner.path())?.into_iter().filter(is_directory) {
            let root = repository.path();
            let mut waiting = vec![root.clone()];
            while let Some(directory) = waiting.pop() {
                for entry in list(&directory)? {
                    let path = entry.path();
                    let is_below_refs = directory != root || entry.file_name() == "refs";
                    if is_directory(&entry) && is_below_refs {
                        waiting.push(path);
                    } else if path.extension().is_some_and(|it| it == "lock") {
                        tracing::warn!(path = %path.display(), "the lock of a killed git is removed");
                        std::fs::remove_file(&path).map_err(failed(&path))?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn empty_directory(path: &Path) -> Result<(), OpenError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(OpenError::Directory {
            path: path.to_owned(),
            source,
        }),
        _ => make_directory(path),
    }
}

/// The version of the git on the path, which is one that the forge can use.
pub async fn git_version() -> Result<String, OpenError> {
    let output = tokio::process::Command::new("git")
        .arg("version")
        .output()
        .await;
    let output = output.map_err(|error| OpenError::Git {
        found: error.to_string(),
    })?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // `git version 2.39.5`
    let number = text.split_ascii_whitespace().nth(2).unwrap_or_default();
    let mut numbers = number
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (2, 38) {
        return Err(OpenError::Git { found: text });
    }
    Ok(number.to_owned())
}
