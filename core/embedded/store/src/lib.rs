//! One durable, revisioned key-value store under every embedded part.
//!
//! A write is a [`Transaction`]: conditions, then puts and deletes, all or
//! nothing. Writers are collected by one thread and committed together (group
//! commit); a transaction is answered only after the batch is on disk, so what
//! was acknowledged survives `kill -9`. Every committed transaction gets the
//! next [`Revision`]; there is one sequence for the whole store.
//!
//! Reads never touch the disk: the current state is held in memory, beside a
//! bounded ring of recent events that serves [`Store::watch`] and consistent
//! reads at an earlier revision. Keys are byte strings, by convention
//! `part/…`; a part reads and writes only below its own prefix.

mod commit;
mod disk;
mod state;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

pub use watch::Watch;

/// Position in the store's single sequence of commits; 0 is the empty store.
pub type Revision = u64;

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The full key.
    pub key: Bytes,
    /// The value as written.
    pub value: Bytes,
    /// Revision at which the key came into being (after its last delete).
    pub created: Revision,
    /// Revision of the last write.
    pub modified: Revision,
}

/// What must hold for a transaction to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key does not exist.
    Absent(Bytes),
    /// The key exists.
    Present(Bytes),
    /// The key exists and was last written at this revision.
    Unmodified(Bytes, Revision),
    /// No key exists below the prefix.
    Empty(Bytes),
}

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Write a value.
    Put(Bytes, Bytes),
    /// Remove a key; removing an absent key changes nothing.
    Delete(Bytes),
    /// Remove every key below a prefix.
    DeletePrefix(Bytes),
}

/// Conditions and changes that are applied together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Checked in order against the state left by earlier transactions.
    pub conditions: Vec<Condition>,
    /// Applied in order.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// An empty transaction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Adds a write.
    #[must_use]
    pub fn put(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.operations
            .push(Operation::Put(key.into(), value.into()));
        self
    }

    /// Adds a removal.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Bytes>) -> Self {
        self.operations.push(Operation::Delete(key.into()));
        self
    }

    /// Adds the removal of everything below a prefix.
    #[must_use]
    pub fn delete_prefix(mut self, prefix: impl Into<Bytes>) -> Self {
        self.operations.push(Operation::DeletePrefix(prefix.into()));
        self
    }
}

/// One key's change, as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The commit that made the change.
    pub revision: Revision,
    /// The key that changed.
    pub key: Bytes,
    /// The entry after the change; `None` when the key was removed.
    pub current: Option<Entry>,
    /// The entry before the change; `None` when the key is new.
    pub previous: Option<Entry>,
}

/// A page of a range read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Entries in key order.
    pub entries: Vec<Entry>,
    /// The revision that this page shows.
    pub revision: Revision,
    /// How many entries of the range lie behind this page.
    pub remaining: usize,
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file.
    #[error(
        "cannot open the store {path}: another process is using it; stop that one, or use another data directory"
    )]
    Locked {
        /// The store's file.
        path: PathBuf,
    },
    /// The file was written by a later release.
    #[error(
        "cannot open the store {path}: its format is version {found}, this release reads up to {supported}; start the newer release that wrote it, or use another data directory"
    )]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The latest version that this release reads.
        supported: u32,
    },
    /// The file's contents contradict themselves.
    #[error(
        "the store {path} is damaged: {detail}; restore its data directory from a backup, or start with another one (--data)"
    )]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// The disk refused.
    #[error("cannot open the store {path}")]
    Disk {
        /// The store's file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a transaction was not applied; nothing of it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// A condition did not hold.
    #[error("the condition on {} does not hold", String::from_utf8_lossy(.key))]
    Conflict {
        /// The key, or prefix, of the first condition that failed.
        key: Bytes,
        /// The entry found there, if any.
        found: Option<Entry>,
    },
    /// The disk refused the batch (full, or failing).
    #[error("cannot write to the store: {reason}")]
    Disk {
        /// What the disk said.
        reason: Arc<str>,
        /// Whether that is that it has no room.
        is_full: bool,
    },
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl CommitError {
    /// Whether the same transaction may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => false,
            Self::Disk { .. } | Self::Closed => true,
        }
    }

    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Disk { is_full: true, .. })
    }
}

/// Whether a failure, or what caused it, is that the disk has no room: as the operating
/// system says it, or the store.
pub fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |one| one.source()).any(|one| {
        if let Some(error) = one.downcast_ref::<CommitError>() {
            return error.is_full();
        }
        let Some(error) = one.downcast_ref::<std::io::Error>() else {
            return false;
        };
        let is_full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        // What an I/O error is made of is not its source.
        is_full || error.get_ref().is_some_and(|inner| is_disk_full(inner))
    })
}

/// The revision asked for is no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("revision {requested} has been compacted; the oldest held is {oldest}")]
pub struct Compacted {
    /// The revision asked for.
    pub requested: Revision,
    /// The oldest revision that can still be served.
    pub oldest: Revision,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many recent events are held for watches and earlier reads.
    pub history: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { history: 16_384 }
    }
}

/// A handle to an open store; clones share it. Dropping the last one flushes
/// and closes the file.
#[derive(Clone)]
pub struct Store {
    inner: Arc<commit::Inner>,
}

impl Store {
    /// Opens or creates the store at `path`.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        commit::Inner::open(path.as_ref(), &options).map(|inner| Self {
            inner: Arc::new(inner),
        })
    }

    /// Applies a transaction and waits until it is on disk. A transaction that
    /// changes nothing returns the current revision and writes nothing.
    pub async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.inner.commit(transaction).await
    }

    /// The entry under a key, as of now.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Entry> {
        self.inner.state().read().get(key.as_ref())
    }

    /// The revision of the last commit.
    pub fn revision(&self) -> Revision {
        self.inner.state().read().revision()
    }

    /// Entries below `prefix` whose key is greater than `after`, at most
    /// `limit` (0: no limit), as of now.
    pub fn range(&self, prefix: impl AsRef<[u8]>, after: Option<&[u8]>, limit: usize) -> Page {
        self.inner
            .state()
            .read()
            .range(prefix.as_ref(), after, limit)
    }

    /// The same range as it was at an earlier revision.
    pub fn range_at(
        &self,
        prefix: impl AsRef<[u8]>,
        after: Option<&[u8]>,
        limit: usize,
        revision: Revision,
    ) -> Result<Page, Compacted> {
        self.inner
            .state()
            .read()
            .range_at(prefix.as_ref(), after, limit, revision)
    }

    /// Changes below `prefix` with a revision greater than `after`, in order
    /// and without gaps. A watcher that falls behind the history gets
    /// [`Compacted`] from [`Watch::next`] and must list again.
    pub fn watch(&self, prefix: impl Into<Bytes>, after: Revision) -> Result<Watch, Compacted> {
        watch::Watch::new(self.inner.state_handle(), prefix.into(), after)
    }
}
