//! KV version 2, policies and tokens over the Vault HTTP API: the embedded
//! stand-in for OpenBao.
//!
//! The binary opens a [`Vault`] from a [`Config`] and nests [`Vault::router`]
//! under `/vault`, so that clients use `<base>/vault` as their Vault address.
//! It calls [`Vault::sweep`] from time to time.
//!
//! What must stay true:
//! - No value and no token is ever on disk in the clear: records are sealed
//!   with AES-256-GCM under a key derived from [`Config::root_key`], bound to
//!   the place where they are stored; of a token only a keyed hash is kept.
//! - Whatever no policy grants is refused, in the same words whether or not
//!   the thing exists.
//! - A token dies with any of its ancestors.
//! - No secret reaches a log line or an error message.

mod durations;
mod hcl;
mod http;
mod kv;
mod policy;
mod seal;
mod tokens;

use std::sync::Arc;

use axum::Router;
use catalyst_store::{CommitError, Store};
use zeroize::Zeroizing;

pub use policy::{Capability, Policy, PolicyError};

/// Tells the time; injected so that expiry can be tested without waiting.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// What a vault is built from.
#[derive(Clone)]
pub struct Config {
    /// Holds everything, sealed, below `vault/`.
    pub store: Store,
    /// The secret from which the encryption keys are derived. Losing it loses
    /// everything stored.
    pub root_key: Zeroizing<[u8; 32]>,
    /// A token that may do everything and never expires, for the control plane
    /// itself; at least 16 characters. It is not stored.
    pub root_token: Zeroizing<String>,
    /// The time.
    pub clock: Clock,
}

impl Config {
    /// A configuration with the system's clock.
    pub fn new(store: Store, root_key: Zeroizing<[u8; 32]>, root_token: Zeroizing<String>) -> Self {
        Self {
            store,
            root_key,
            root_token,
            clock: Arc::new(jiff::Timestamp::now),
        }
    }
}

/// Why a vault could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The root key is not the one that the stored records were sealed with.
    #[error(
        "cannot open the vault: its records were sealed with another root key; start with the key of this data directory"
    )]
    Key,
    /// The root token is too short to be safe.
    #[error("cannot open the vault: the root token has fewer than 16 characters")]
    RootToken,
    /// The cryptography library refused.
    #[error("cannot open the vault: no key could be derived")]
    Derivation,
    /// The mark that recognises the root key was not written.
    #[error("cannot open the vault: the store did not take its first record")]
    Store(#[from] CommitError),
}

/// An open vault; clones share it.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

/// State shared by all requests.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) seal: seal::Seal,
    pub(crate) root_hash: String,
    pub(crate) clock: Clock,
}

/// Under this key a known text is stored, sealed: it tells a wrong root key.
const MARK: &str = "vault/mark";
const MARK_TEXT: &[u8] = b"catalyst vault 1";

impl Vault {
    /// Opens the vault; with a store that another root key sealed it refuses.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        if config.root_token.len() < 16 {
            return Err(OpenError::RootToken);
        }
        let seal = seal::Seal::new(&config.root_key).ok_or(OpenError::Derivation)?;
        match config.store.get(MARK) {
            Some(entry) => {
                let text = seal.open(MARK, &entry.value).ok_or(OpenError::Key)?;
                if text.as_slice() != MARK_TEXT {
                    return Err(OpenError::Key);
                }
            }
            None => {
                let sealed = seal.close(MARK, MARK_TEXT).ok_or(OpenError::Derivation)?;
                let transaction = catalyst_store::Transaction::new()
                    .when(catalyst_store::Condition::Absent(MARK.into()))
                    .put(MARK, sealed);
                config.store.commit(transaction).await?;
            }
        }
        let root_hash = seal.hash_token(&config.root_token);
        let inner = Inner {
            store: config.store,
            seal,
            root_hash,
            clock: config.clock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The Vault HTTP API, at `/v1/` and below.
    pub fn router(&self) -> Router {
        http::router(self.inner.clone())
    }

    /// Removes the records of tokens that expired or whose ancestors are gone
    /// (none of them is accepted any more). Returns how many.
    pub async fn sweep(&self) -> Result<usize, CommitError> {
        self.inner.tokens_sweep().await
    }
}

impl Inner {
    pub(crate) fn now(&self) -> jiff::Timestamp {
        (self.clock)()
    }
}
