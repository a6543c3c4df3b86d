//! The event spine of an embedded Sovereign: ordered, durable logs, one a
//! stream (an Environment, or `sys`), consumers whose cursors survive restarts,
//! and key-value buckets that can be watched.
//!
//! Semantics follow NATS JetStream where both have a feature: dot-separated
//! subjects with `*` and `>` filters, message ids that make publishing
//! idempotent, per-consumer acknowledgement of everything up to a sequence,
//! buckets with compare-and-set. Held in the store below `spine/`.

mod bucket;
mod consumer;
mod stream;
mod subject;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use catalyst_store::{CommitError, Compacted, Store};

pub use bucket::{Bucket, BucketEvent, BucketRecord, BucketWatch};
pub use consumer::Consumer;
pub use stream::{Limits, Message, Sequence};
pub use subject::{Filter, Subject, SubjectError};

/// Why the spine refused or could not answer.
#[derive(Debug, thiserror::Error)]
pub enum SpineError {
    /// A stream, consumer or bucket name that cannot be a path element.
    #[error("{what} name {name:?} is not valid: use 1 to 128 letters, digits, '-' and '_'")]
    Name {
        /// What was named.
        what: &'static str,
        /// The name given.
        name: String,
    },
    /// A bucket's key has moved on.
    #[error("key {key:?} is at revision {found}, not {expected}")]
    Conflict {
        /// The key.
        key: String,
        /// The revision that the caller expected; 0 for "absent".
        expected: u64,
        /// The revision found; 0 for "absent".
        found: u64,
    },
    /// A watcher fell behind the store's history and must read again.
    #[error(transparent)]
    Behind(#[from] Compacted),
    /// A record in the store cannot be read.
    #[error("the record {key:?} in the store is damaged")]
    Damaged {
        /// The record's key.
        key: String,
    },
    /// The store could not write.
    #[error("cannot record in the spine")]
    Store(#[source] CommitError),
}

impl SpineError {
    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Behind(_) => true,
            Self::Store(error) => error.retryable(),
            Self::Name { .. } | Self::Conflict { .. } | Self::Damaged { .. } => false,
        }
    }
}

/// A handle to the spine; clones share it.
#[derive(Clone)]
pub struct Spine {
    store: Store,
    /// One lock a stream: sequences are given out in commit order.
    writers: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Spine {
    /// A spine on a store.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            writers: Arc::default(),
        }
    }

    fn writer(&self, stream: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(writers.entry(stream.to_owned()).or_default())
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), SpineError> {
    let fits = (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits {
        Ok(())
    } else {
        Err(SpineError::Name {
            what,
            name: name.to_owned(),
        })
    }
}
