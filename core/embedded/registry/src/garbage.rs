//! Removing what nothing needs: links of blobs that no manifest refers to,
//! files that no repository links, and uploads that were given up.
//!
//! Safe beside pushes. A push links content while holding the gate for
//! reading; here every removal decides anew, with the gate held for writing,
//! whether the thing is still unneeded. Work is cut into small batches so that
//! a push never waits long.

use std::collections::HashSet;
use std::io;
use std::sync::PoisonError;
use std::time::SystemTime;

use catalyst_store::CommitError;

use crate::Inner;
use crate::digest::Digest;
use crate::names::RepositoryName;

/// Files removed while the gate is held once.
const BATCH: usize = 64;

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs unlinked from a repository.
    pub links: usize,
    /// Files removed.
    pub files: usize,
    /// Bytes freed.
    pub bytes: u64,
    /// Unfinished uploads dropped.
    pub uploads: usize,
}

/// Why a collection stopped; what it removed before was not needed either way.
#[derive(Debug, thiserror::Error)]
pub enum GarbageError {
    /// The disk refused.
    #[error("cannot collect the registry's garbage: {attempted} failed; check the disk")]
    Files {
        /// What was attempted.
        attempted: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The metadata could not be written.
    #[error("cannot collect the registry's garbage: the change was not recorded; try again")]
    Store {
        /// The cause.
        #[from]
        source: CommitError,
    },
}

fn files(attempted: &'static str) -> impl FnOnce(io::Error) -> GarbageError {
    move |source| GarbageError::Files { attempted, source }
}

impl Inner {
    pub(crate) async fn collect_garbage(&self) -> Result<Collected, GarbageError> {
        let mut collected = Collected {
            uploads: self.sweep_uploads().await?,
            ..Default::default()
        };
        self.forget_promises();
        for repository in self.metadata.repositories(None) {
            collected.links += self.collect_links(&repository).await?;
        }
        let linked = self.metadata.linked();
        let mut candidates = self
            .blobs
            .list()
            .await
            .map_err(files("listing the blobs"))?;
        candidates.retain(|digest| !linked.contains(digest));
        for batch in candidates.chunks(BATCH) {
            let _gate = self.gate.write().await;
            let linked = self.metadata.linked();
            for digest in batch.iter().filter(|digest| !linked.contains(digest)) {
                let freed = self
                    .blobs
                    .remove(digest)
                    .await
                    .map_err(files("removing a blob"))?;
                collected.files += 1;
                collected.bytes += freed;
            }
        }
        Ok(collected)
    }

    /// Drops uploads past their lifetime, files without a record and records
    /// without a file. Returns how many uploads were dropped.
    pub(crate) async fn sweep_uploads(&self) -> Result<usize, GarbageError> {
        let oldest = self
            .now()
            .saturating_sub(self.limits.upload_lifetime.as_secs());
        // Records first: a file is always older than its record, so a record
        // without a file is finished or lost, never about to get one.
        let records = self.metadata.uploads();
        let present: HashSet<_> = self
            .uploads
            .list()
            .await
            .map_err(files("listing the uploads"))?
            .into_iter()
            .collect();
        let mut kept = HashSet::new();
        let mut dropped = Vec::new();
        for (id, record) in records {
            if present.contains(&id) && record.started >= oldest {
                kept.insert(id);
            } else {
                dropped.push(id);
            }
        }
        let mut count = 0;
        for id in present.difference(&kept) {
            let Some(upload) = self
                .uploads
                .get(*id)
                .await
                .map_err(files("reading an upload"))?
            else {
                continue;
            };
            // A request at work on it holds the lock.
            let Ok(mut upload) = upload.try_lock() else {
                continue;
            };
            if self
                .metadata
                .upload(*id)
                .is_some_and(|record| record.started >= oldest)
            {
                continue;
            }
            upload.is_closed = true;
            self.uploads
                .discard(*id)
                .await
                .map_err(files("removing an upload"))?;
            count += 1;
        }
        if !dropped.is_empty() {
            self.metadata.remove_uploads(&dropped).await?;
        }
        Ok(count)
    }

    /// Remembers that a client was told that the blob exists.
    pub(crate) fn promise(&self, repository: &RepositoryName, digest: &Digest) {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        promised.insert((repository.clone(), digest.clone()), (self.clock)());
    }

    fn is_promised(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        promised.contains_key(&(repository.clone(), digest.clone()))
    }

    fn forget_promises(&self) {
        let now = (self.clock)();
        let is_fresh = |told: &SystemTime| {
            now.duration_since(*told)
                .is_ok_and(|age| age < self.limits.garbage_grace)
        };
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        promised.retain(|_, told| is_fresh(told));
    }

    async fn collect_links(&self, repository: &RepositoryName) -> Result<usize, GarbageError> {
        if self.unneeded_blobs(repository).is_empty() && self.metadata_has_content(repository) {
            return Ok(0);
        }
        let _gate = self.gate.write().await;
        let unneeded = self.unneeded_blobs(repository);
        if !unneeded.is_empty() {
            self.metadata.unlink_blobs(repository, &unneeded).await?;
        }
        self.metadata.forget_if_empty(repository).await?;
        Ok(unneeded.len())
    }

    fn metadata_has_content(&self, repository: &RepositoryName) -> bool {
        !self.metadata.manifests(repository).is_empty()
            || !self.metadata.blobs(repository).is_empty()
    }

    fn unneeded_blobs(&self, repository: &RepositoryName) -> Vec<Digest> {
        let grace = self.limits.garbage_grace.as_secs();
        let youngest = self.now().saturating_sub(grace);
        let needed: HashSet<_> = self
            .metadata
            .manifests(repository)
            .into_iter()
            .flat_map(|(_, manifest)| manifest.blobs)
            .collect();
        self.metadata
            .blobs(repository)
            .into_iter()
            .filter(|(digest, link)| {
                !needed.contains(digest)
                    && link.linked <= youngest
                    && !self.is_promised(repository, digest)
            })
            .map(|(digest, _)| digest)
            .collect()
    }
}
