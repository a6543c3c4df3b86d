//! What the registry knows, in the store below `registry/`:
//!
//! - `registry/repository/<repository>`: the repository exists
//! - `registry/blob/<repository>@<digest>`: a blob is linked there
//! - `registry/manifest/<repository>@<digest>`: a manifest is linked there
//! - `registry/tag/<repository>:<tag>`: the manifest a tag names
//! - `registry/referrer/<repository>@<subject>@<digest>`: a manifest's
//!   descriptor, listed under its subject
//! - `registry/upload/<id>`: an unfinished upload
//!
//! Neither `@` nor `:` occurs in a repository's name, so no key of one
//! repository is a prefix of another's.

use bytes::Bytes;
use catalyst_store::{CommitError, Condition, Entry, Store, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::names::{RepositoryName, Tag};

/// A blob's link into a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BlobLink {
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) linked: u64,
}

/// A manifest's link into a repository, and what it refers to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestLink {
    pub(crate) media_type: String,
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) pushed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Digest>,
    #[serde(default)]
    pub(crate) blobs: Vec<Digest>,
    #[serde(default)]
    pub(crate) manifests: Vec<Digest>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TagRecord {
    digest: Digest,
}

/// An unfinished upload; its bytes are in the file of the same name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) repository: RepositoryName,
    /// Seconds since 1970.
    pub(crate) started: u64,
}

/// A new manifest, with what its links shall say.
pub(crate) struct NewManifest<'a> {
    pub(crate) repository: &'a RepositoryName,
    pub(crate) digest: &'a Digest,
    pub(crate) link: &'a ManifestLink,
    pub(crate) tag: Option<&'a Tag>,
    /// Whether the tag, once set, names no other manifest until it is deleted.
    pub(crate) is_tag_fixed: bool,
    /// The descriptor to list under the subject, when there is one.
    pub(crate) referrer: Option<&'a serde_json::Value>,
}

/// Why a manifest was not linked.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// Its tag names this one, and is fixed.
    Tagged(Digest),
    /// It was not recorded; a conflict names what it refers to and is not linked.
    Commit(CommitError),
}

/// Typed access to the registry's keys.
#[derive(Clone)]
pub(crate) struct Metadata {
    store: Store,
}

const REPOSITORY: &str = "registry/repository/";
const BLOB: &str = "registry/blob/";
const MANIFEST: &str = "registry/manifest/";
const TAG: &str = "registry/tag/";
const REFERRER: &str = "registry/referrer/";
const UPLOAD: &str = "registry/upload/";

impl Metadata {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    // ---- reading -------------------------------------------------------

    pub(crate) fn has_repository(&self, repository: &RepositoryName) -> bool {
        self.store
            .get(format!("{REPOSITORY}{repository}"))
            .is_some()
    }

    /// Repository names after `last`, in order.
    pub(crate) fn repositories(&self, last: Option<&str>) -> Vec<RepositoryName> {
        let after = last.map(|last| format!("{REPOSITORY}{last}"));
        let page = self
            .store
            .range(REPOSITORY, after.as_deref().map(str::as_bytes), 0);
        page.entries
            .iter()
            .filter_map(|entry| tail(entry, REPOSITORY)?.parse().ok())
            .collect()
    }

    pub(crate) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Option<BlobLink> {
        read(&self.store.get(blob_key(repository, digest))?)
    }

    pub(crate) fn blobs(&self, repository: &RepositoryName) -> Vec<(Digest, BlobLink)> {
        self.list(&format!("{BLOB}{repository}@"))
    }

    pub(crate) fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<ManifestLink> {
        read(&self.store.get(manifest_key(repository, digest))?)
    }

    pub(crate) fn manifests(&self, repository: &RepositoryName) -> Vec<(Digest, ManifestLink)> {
        self.list(&format!("{MANIFEST}{repository}@"))
    }

    pub(crate) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Option<Digest> {
        read::<TagRecord>(&self.store.get(tag_key(repository, tag))?).map(|record| record.digest)
    }

    /// Tags after `last`, at most `limit` (0: all), and whether there are more.
    pub(crate) fn tags(
        &self,
        repository: &RepositoryName,
        last: Option<&str>,
        limit: usize,
    ) -> (Vec<(String, Digest)>, bool) {
        let prefix = format!("{TAG}{repository}:");
        let after = last.map(|last| format!("{prefix}{last}"));
        let page = self
            .store
            .range(&prefix, after.as_deref().map(str::as_bytes), limit);
        let tags = page.entries.iter().filter_map(|entry| {
            Some((
                tail(entry, &prefix)?.to_owned(),
                read::<TagRecord>(entry)?.digest,
            ))
        });
        (tags.collect(), page.remaining > 0)
    }

    /// Descriptors of the manifests whose subject this is.
    pub(crate) fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Vec<serde_json::Value> {
        let prefix = format!("{REFERRER}{repository}@{subject}@");
        self.store
            .range(prefix, None, 0)
            .entries
            .iter()
            .filter_map(read)
            .collect()
    }

    pub(crate) fn upload(&self, id: uuid::Uuid) -> Option<UploadRecord> {
        read(&self.store.get(upload_key(id))?)
    }

    pub(crate) fn uploads(&self) -> Vec<(uuid::Uuid, UploadRecord)> {
        self.list(UPLOAD)
    }

    /// Every digest that some repository links, as a blob or as a manifest.
    pub(crate) fn linked(&self) -> std::collections::HashSet<Digest> {
        [BLOB, MANIFEST]
            .into_iter()
            .flat_map(|prefix| self.store.range(prefix, None, 0).entries)
            .filter_map(|entry| {
                let text = std::str::from_utf8(&entry.key).ok()?;
                text.rsplit_once('@')?.1.parse().ok()
            })
            .collect()
    }

    // ---- writing -------------------------------------------------------

    pub(crate) async fn link_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        link: &BlobLink,
    ) -> Result<(), CommitError> {
        let transaction = self
            .with_repository(repository)
            .put(blob_key(repository, digest), write(link));
        self.store.commit(transaction).await.map(drop)
    }

    /// Links a manifest, provided that everything it refers to is still linked, and
    /// that a fixed tag names no other.
    pub(crate) async fn link_manifest(&self, new: NewManifest<'_>) -> Result<(), LinkError> {
        let fixed = new.tag.filter(|_| new.is_tag_fixed);
        let fixed = fixed.map(|tag| tag_key(new.repository, tag));
        loop {
            let mut transaction = self.linking(&new);
            if let Some(key) = &fixed {
                let entry = self.store.get(key);
                if let Some(named) = entry.as_ref().and_then(read::<TagRecord>)
                    && named.digest != *new.digest
                {
                    return Err(LinkError::Tagged(named.digest));
                }
                transaction = transaction.when(match entry {
                    Some(entry) => Condition::Unmodified(key.clone(), entry.modified),
                    None => Condition::Absent(key.clone()),
                });
            }
            match self.store.commit(transaction).await {
                Ok(_) => return Ok(()),
                // Somebody else set or deleted the same tag: look again.
                Err(CommitError::Conflict { key, .. }) if Some(&key) == fixed.as_ref() => {}
                Err(error) => return Err(LinkError::Commit(error)),
            }
        }
    }

    fn linking(&self, new: &NewManifest<'_>) -> Transaction {
        let NewManifest {
            repository,
            digest,
            link,
            tag,
            referrer,
            ..
        } = *new;
        let mut transaction = self.with_repository(repository);
        for blob in &link.blobs {
            transaction = transaction.when(Condition::Present(blob_key(repository, blob)));
        }
        for manifest in &link.manifests {
            transaction = transaction.when(Condition::Present(manifest_key(repository, manifest)));
        }
        transaction = transaction.put(manifest_key(repository, digest), write(link));
        if let Some(tag) = tag {
            let record = TagRecord {
                digest: digest.clone(),
            };
            transaction = transaction.put(tag_key(repository, tag), write(&record));
        }
        if let (Some(subject), Some(descriptor)) = (&link.subject, referrer) {
            transaction =
                transaction.put(referrer_key(repository, subject, digest), write(descriptor));
        }
        transaction
    }

    pub(crate) async fn unlink_blobs(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<(), CommitError> {
        let transaction = digests
            .iter()
            .fold(Transaction::new(), |transaction, digest| {
                transaction.delete(blob_key(repository, digest))
            });
        self.store.commit(transaction).await.map(drop)
    }

    /// Removes a manifest, the tags that name it and its entry among the
    /// referrers. The caller holds the gate for writing.
    pub(crate) async fn unlink_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        link: &ManifestLink,
    ) -> Result<(), CommitError> {
        let mut transaction = Transaction::new().delete(manifest_key(repository, digest));
        for (tag, target) in self.tags(repository, None, 0).0 {
            if target == *digest {
                transaction = transaction.delete(format!("{TAG}{repository}:{tag}"));
            }
        }
        if let Some(subject) = &link.subject {
            transaction = transaction.delete(referrer_key(repository, subject, digest));
        }
        self.store.commit(transaction).await.map(drop)
    }

    pub(crate) async fn unlink_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<(), CommitError> {
        self.store
            .commit(Transaction::new().delete(tag_key(repository, tag)))
            .await
            .map(drop)
    }

    /// Removes everything a repository holds. The caller holds the gate for
    /// writing; the files are left to garbage collection.
    pub(crate) async fn remove_repository(
        &self,
        repository: &RepositoryName,
    ) -> Result<(), CommitError> {
        let transaction = Transaction::new()
            .delete(format!("{REPOSITORY}{repository}"))
            .delete_prefix(format!("{BLOB}{repository}@"))
            .delete_prefix(format!("{MANIFEST}{repository}@"))
            .delete_prefix(format!("{TAG}{repository}:"))
            .delete_prefix(format!("{REFERRER}{repository}@"));
        self.store.commit(transaction).await.map(drop)
    }

    /// Forgets the repository if nothing is linked in it any more.
    pub(crate) async fn forget_if_empty(
        &self,
        repository: &RepositoryName,
    ) -> Result<bool, CommitError> {
        let transaction = Transaction::new()
            .when(Condition::Empty(Bytes::from(format!(
                "{BLOB}{repository}@"
            ))))
            .when(Condition::Empty(Bytes::from(format!(
                "{MANIFEST}{repository}@"
            ))))
            .delete(format!("{REPOSITORY}{repository}"));
        match self.store.commit(transaction).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn add_upload(
        &self,
        id: uuid::Uuid,
        record: &UploadRecord,
    ) -> Result<(), CommitError> {
        self.store
            .commit(Transaction::new().put(upload_key(id), write(record)))
            .await
            .map(drop)
    }

    pub(crate) async fn remove_uploads(&self, ids: &[uuid::Uuid]) -> Result<(), CommitError> {
        let transaction = ids.iter().fold(Transaction::new(), |transaction, id| {
            transaction.delete(upload_key(*id))
        });
        self.store.commit(transaction).await.map(drop)
    }

    fn with_repository(&self, repository: &RepositoryName) -> Transaction {
        if self.has_repository(repository) {
            Transaction::new()
        } else {
            Transaction::new().put(format!("{REPOSITORY}{repository}"), "{}")
        }
    }

    fn list<K: std::str::FromStr, V: DeserializeOwned>(&self, prefix: &str) -> Vec<(K, V)> {
        let page = self.store.range(prefix, None, 0);
        page.entries
            .iter()
            .filter_map(|entry| Some((tail(entry, prefix)?.parse().ok()?, read(entry)?)))
            .collect()
    }
}

fn blob_key(repository: &RepositoryName, digest: &Digest) -> Bytes {
    format!("{BLOB}{repository}@{digest}").into()
}

fn manifest_key(repository: &RepositoryName, digest: &Digest) -> Bytes {
    format!("{MANIFEST}{repository}@{digest}").into()
}

fn tag_key(repository: &RepositoryName, tag: &Tag) -> Bytes {
    format!("{TAG}{repository}:{tag}").into()
}

fn referrer_key(repository: &RepositoryName, subject: &Digest, digest: &Digest) -> Bytes {
    format!("{REFERRER}{repository}@{subject}@{digest}").into()
}

fn upload_key(id: uuid::Uuid) -> Bytes {
    format!("{UPLOAD}{id}").into()
}

fn tail<'a>(entry: &'a Entry, prefix: &str) -> Option<&'a str> {
    std::str::from_utf8(&entry.key).ok()?.strip_prefix(prefix)
}

/// Reads a value that this crate wrote. One that cannot be read counts as
/// absent, with a word in the log: refusing it is safer than guessing.
pub(crate) fn read<T: DeserializeOwned>(entry: &Entry) -> Option<T> {
    match serde_json::from_slice(&entry.value) {
        Ok(value) => Some(value),
        Err(error) => {
            let key = String::from_utf8_lossy(&entry.key);
            tracing::error!(%key, %error, "registry metadata cannot be read");
            None
        }
    }
}

/// Our records have string keys and no fallible parts, so writing them cannot
/// fail; `null` would be read back as absent.
pub(crate) fn write<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value)
        .unwrap_or_else(|_| b"null".to_vec())
        .into()
}
