//! The file: what is written, and how it is checked when read back.
//!
//! Table `current` maps a key to `crc32 | created | modified | value` (integers
//! little-endian; the checksum covers key and the rest). Table `meta` holds the
//! format's version and the last revision, written in the same transaction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use crate::{Entry, OpenError, Revision};

const CURRENT: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("current");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT: u32 = 1;
const HEADER: usize = 4 + 8 + 8;
/// All reads are served from memory, so the file's page cache stays small.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) struct Disk {
    path: PathBuf,
    database: Option<Database>,
}

/// What a file held when it was opened.
pub(crate) struct Contents {
    pub(crate) entries: BTreeMap<Bytes, Entry>,
    pub(crate) revision: Revision,
}

impl Disk {
    pub(crate) fn open(path: &Path) -> Result<(Self, Contents), OpenError> {
        let database = open_database(path)?;
        let contents = read_contents(path, &database)?;
        Ok((
            Self {
                path: path.to_owned(),
                database: Some(database),
            },
            contents,
        ))
    }

    /// Writes a batch and waits until it is durable.
    pub(crate) fn write(
        &mut self,
        changes: &BTreeMap<Bytes, Option<Entry>>,
        revision: Revision,
    ) -> Result<(), BoxError> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert(open_database(&self.path)?),
        };
        let result = write_batch(database, changes, revision).map_err(cause);
        if result.is_err() {
            // After a failed write the library refuses all others until the
            // file is opened again; the next batch does that.
            self.database = None;
        }
        result
    }

    /// The revision on disk, after a failed write whose outcome is unknown.
    pub(crate) fn written_revision(&mut self) -> Result<Revision, BoxError> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert(open_database(&self.path)?),
        };
        read_revision(database).map_err(cause)
    }
}

fn read_revision(database: &Database) -> Result<Revision, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    Ok(meta.get("revision")?.map_or(0, |value| value.value()))
}

/// What the operating system said, where the library only hands it on.
fn cause(error: redb::Error) -> BoxError {
    match error {
        redb::Error::Io(error) => error.into(),
        other => other.into(),
    }
}

fn open_database(path: &Path) -> Result<Database, OpenError> {
    Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::Locked {
                path: path.to_owned(),
            },
            DatabaseError::Storage(redb::StorageError::Corrupted(detail)) => OpenError::Damaged {
                path: path.to_owned(),
                detail,
            },
            // What is there was never a store, or its beginning is gone.
            DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                OpenError::Damaged {
                    path: path.to_owned(),
                    detail: error.to_string(),
                }
            }
            other => disk_error(path, other),
        })
}

fn disk_error(path: &Path, error: impl Into<redb::Error>) -> OpenError {
    OpenError::Disk {
        path: path.to_owned(),
        source: cause(error.into()),
    }
}

fn read_contents(path: &Path, database: &Database) -> Result<Contents, OpenError> {
    let disk = |error: redb::Error| match error {
        redb::Error::Corrupted(detail) => OpenError::Damaged {
            path: path.to_owned(),
            detail,
        },
        other => disk_error(path, other),
    };
    // Creates the tables in a new file, and marks its format.
    let transaction = database.begin_write().map_err(|error| disk(error.into()))?;
    {
        transaction
            .open_table(CURRENT)
            .map_err(|error| disk(error.into()))?;
        let mut meta = transaction
            .open_table(META)
            .map_err(|error| disk(error.into()))?;
        let found = meta
            .get("format")
            .map_err(|error| disk(error.into()))?
            .map(|value| value.value());
        match found {
            None => {
                meta.insert("format", u64::from(FORMAT))
                    .map_err(|error| disk(error.into()))?;
            }
            Some(found) if found > u64::from(FORMAT) => {
                return Err(OpenError::Newer {
                    path: path.to_owned(),
                    found: u32::try_from(found).unwrap_or(u32::MAX),
                    supported: FORMAT,
                });
            }
            Some(_) => {}
        }
    }
    transaction.commit().map_err(|error| disk(error.into()))?;

    let transaction = database.begin_read().map_err(|error| disk(error.into()))?;
    let meta = transaction
        .open_table(META)
        .map_err(|error| disk(error.into()))?;
    let revision = meta
        .get("revision")
        .map_err(|error| disk(error.into()))?
        .map_or(0, |value| value.value());
    let current = transaction
        .open_table(CURRENT)
        .map_err(|error| disk(error.into()))?;
    let mut entries = BTreeMap::new();
    for row in current.iter().map_err(|error| disk(error.into()))? {
        let (key, value) = row.map_err(|error| disk(error.into()))?;
        let entry = decode(key.value(), value.value()).ok_or_else(|| OpenError::Damaged {
            path: path.to_owned(),
            detail: format!(
                "the checksum of key {:?} does not match its value",
                String::from_utf8_lossy(key.value())
            ),
        })?;
        entries.insert(entry.key.clone(), entry);
    }
    Ok(Contents { entries, revision })
}

fn write_batch(
    database: &Database,
    changes: &BTreeMap<Bytes, Option<Entry>>,
    revision: Revision,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut current = transaction.open_table(CURRENT)?;
        for (key, change) in changes {
            match change {
                Some(entry) => {
                    current.insert(key.as_ref(), encode(entry).as_slice())?;
                }
                None => {
                    current.remove(key.as_ref())?;
                }
            }
        }
        transaction.open_table(META)?.insert("revision", revision)?;
    }
    transaction.commit()?;
    Ok(())
}

fn encode(entry: &Entry) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEADER + entry.value.len());
    row.extend_from_slice(&[0; 4]);
    row.extend_from_slice(&entry.created.to_le_bytes());
    row.extend_from_slice(&entry.modified.to_le_bytes());
    row.extend_from_slice(&entry.value);
    let sum = checksum(&entry.key, row.get(4..).unwrap_or_default());
    if let Some(head) = row.first_chunk_mut::<4>() {
        *head = sum.to_le_bytes();
    }
    row
}

fn decode(key: &[u8], row: &[u8]) -> Option<Entry> {
    let (sum, rest) = row.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(key, rest) {
        return None;
    }
    let (created, rest) = rest.split_first_chunk::<8>()?;
    let (modified, value) = rest.split_first_chunk::<8>()?;
    Some(Entry {
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(value),
        created: u64::from_le_bytes(*created),
        modified: u64::from_le_bytes(*modified),
    })
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}
