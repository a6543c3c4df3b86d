//! Key-value buckets with compare-and-set and watch.

use bytes::Bytes;
use catalyst_store::{CommitError, Condition, Entry, Revision, Transaction, Watch};

use crate::{Spine, SpineError, check_name};

/// A named set of keys.
#[derive(Clone)]
pub struct Bucket {
    spine: Spine,
    prefix: String,
}

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRecord {
    /// The key within its bucket.
    pub key: String,
    /// The value as written.
    pub value: Bytes,
    /// Changes with every write of the key, and grows.
    pub revision: Revision,
}

/// A change of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketEvent {
    /// The key was written.
    Put(BucketRecord),
    /// The key was removed.
    Delete(String),
}

/// The changes of a bucket, in order.
pub struct BucketWatch {
    prefix: String,
    watch: Watch,
}

impl Spine {
    /// The bucket of that name; it needs no creation.
    pub fn bucket(&self, name: &str) -> Result<Bucket, SpineError> {
        check_name("bucket", name)?;
        Ok(Bucket {
            spine: self.clone(),
            prefix: format!("spine/kv/{name}/"),
        })
    }
}

impl Bucket {
    /// The record of a key.
    pub fn get(&self, key: &str) -> Option<BucketRecord> {
        self.spine
            .store
            .get(self.path(key))
            .map(|entry| record(&self.prefix, &entry))
    }

    /// All records, by key.
    pub fn list(&self) -> Vec<BucketRecord> {
        let page = self.spine.store.range(&self.prefix, None, 0);
        page.entries
            .iter()
            .map(|entry| record(&self.prefix, entry))
            .collect()
    }

    /// Writes a key whatever stood there; returns its revision.
    pub async fn put(&self, key: &str, value: impl Into<Bytes>) -> Result<Revision, SpineError> {
        self.commit(key, 0, Transaction::new().put(self.path(key), value))
            .await
    }

    /// Writes a key that is at `expected`; 0 means that it must be absent.
    pub async fn update(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        expected: Revision,
    ) -> Result<Revision, SpineError> {
        let path = self.path(key);
        let condition = match expected {
            0 => Condition::Absent(path.clone().into()),
            revision => Condition::Unmodified(path.clone().into(), revision),
        };
        self.commit(
            key,
            expected,
            Transaction::new().when(condition).put(path, value),
        )
        .await
    }

    /// Removes a key; an absent one stays so.
    pub async fn delete(&self, key: &str) -> Result<(), SpineError> {
        self.commit(key, 0, Transaction::new().delete(self.path(key)))
            .await
            .map(drop)
    }

    /// Everything that stands in the bucket, and a watch that goes on from there.
    pub fn watch(&self) -> Result<(Vec<BucketRecord>, BucketWatch), SpineError> {
        let page = self.spine.store.range(&self.prefix, None, 0);
        let watch = self.spine.store.watch(self.prefix.clone(), page.revision)?;
        let records = page
            .entries
            .iter()
            .map(|entry| record(&self.prefix, entry))
            .collect();
        Ok((
            records,
            BucketWatch {
                prefix: self.prefix.clone(),
                watch,
            },
        ))
    }

    fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn commit(
        &self,
        key: &str,
        expected: Revision,
        transaction: Transaction,
    ) -> Result<Revision, SpineError> {
        self.spine
            .store
            .commit(transaction)
            .await
            .map_err(|error| match error {
                CommitError::Conflict { found, .. } => SpineError::Conflict {
                    key: key.to_owned(),
                    expected,
                    found: found.map_or(0, |entry| entry.modified),
                },
                other => SpineError::Store(other),
            })
    }
}

impl BucketWatch {
    /// Waits for the next changes. A watcher that fell behind gets
    /// [`SpineError::Behind`] and watches anew.
    pub async fn next(&mut self) -> Result<Vec<BucketEvent>, SpineError> {
        let events = self.watch.next().await?;
        Ok(events
            .into_iter()
            .map(|event| match event.current {
                Some(entry) => BucketEvent::Put(record(&self.prefix, &entry)),
                None => BucketEvent::Delete(key_in(&self.prefix, &event.key)),
            })
            .collect())
    }
}

fn key_in(prefix: &str, key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned()
}

fn record(prefix: &str, entry: &Entry) -> BucketRecord {
    BucketRecord {
        key: key_in(prefix, &entry.key),
        value: entry.value.clone(),
        revision: entry.modified,
    }
}
