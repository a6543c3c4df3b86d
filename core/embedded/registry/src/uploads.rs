//! Unfinished uploads: one file each below `<data>/uploads`, appended to by
//! one request at a time. The file's length is the offset, so an upload can
//! be resumed after a restart.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::blobs::{blocking, hash_file};
use crate::digest::{Algorithm, Digest, Digester};

/// The most that is read of a body that is not kept, in bytes: several of the
/// pieces in which clients send.
const MOST_UNKEPT: usize = 64 << 20;

/// The folder of unfinished uploads and those that requests are working on.
pub(crate) struct Uploads {
    folder: PathBuf,
    live: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<Upload>>>>,
}

/// One upload; whoever holds its lock is its only writer.
pub(crate) struct Upload {
    path: PathBuf,
    offset: u64,
    /// The digest so far; `None` once it no longer follows the file (after a
    /// restart or a failed write), and then the file is read again at the end.
    digester: Option<Digester>,
    /// Set when the upload was finished or dropped while others waited, or cannot
    /// go on.
    pub(crate) is_closed: bool,
}

/// Why bytes were not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the upload is larger than the {limit} bytes allowed")]
    TooLarge { limit: u64 },
    #[error("{received} bytes arrived where the request announced {announced}")]
    Length { announced: u64, received: u64 },
    #[error("the request's body broke off after {received} bytes")]
    Interrupted { received: u64 },
    #[error("cannot write the upload")]
    Disk(#[from] io::Error),
}

impl Uploads {
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join("uploads");
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            live: Mutex::default(),
        })
    }

    /// Starts an upload with an empty file, held by the caller from the first
    /// moment, so that no sweep takes it before it is recorded.
    pub(crate) async fn create(
        &self,
        id: Uuid,
    ) -> io::Result<tokio::sync::OwnedMutexGuard<Upload>> {
        let path = self.path(id);
        let digester = Some(Digester::new(Algorithm::Sha256));
        let upload = Upload {
            path: path.clone(),
            offset: 0,
            digester,
            is_closed: false,
        };
        let upload = Arc::new(tokio::sync::Mutex::new(upload));
        let held = upload.clone().lock_owned().await;
        self.live().insert(id, upload);
        match tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .await
        {
            Ok(_) => Ok(held),
            Err(error) => {
                self.live().remove(&id);
                Err(error)
            }
        }
    }

    /// An upload that was started earlier, perhaps by an earlier process;
    /// `None` when its file is gone.
    pub(crate) async fn get(
        &self,
        id: Uuid,
    ) -> io::Result<Option<Arc<tokio::sync::Mutex<Upload>>>> {
        if let Some(upload) = self.live().get(&id) {
            return Ok(Some(upload.clone()));
        }
        let path = self.path(id);
        let offset = match tokio::fs::metadata(&path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let digester = (offset == 0).then(|| Digester::new(Algorithm::Sha256));
        let upload = Upload {
            path,
            offset,
            digester,
            is_closed: false,
        };
        // Another request may have been quicker: then its entry is the one.
        Ok(Some(
            self.live()
                .entry(id)
                .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(upload)))
                .clone(),
        ))
    }

    /// Forgets an upload and removes its file, if it is still there.
    pub(crate) async fn discard(&self, id: Uuid) -> io::Result<()> {
        self.live().remove(&id);
        match tokio::fs::remove_file(self.path(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Every upload that has a file; other files in the folder are removed.
    pub(crate) async fn list(&self) -> io::Result<Vec<Uuid>> {
        let folder = self.folder.clone();
        blocking(move || {
            let mut found = Vec::new();
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                match entry.file_name().to_string_lossy().parse() {
                    Ok(id) => found.push(id),
                    Err(_) => fs::remove_file(entry.path())?,
                }
            }
            Ok(found)
        })
        .await
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<tokio::sync::Mutex<Upload>>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes received so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends a request's body. A body that contradicts what was announced,
    /// or passes the limit, leaves the upload as it was; one that breaks off
    /// leaves what arrived, so that the client can go on from there.
    pub(crate) async fn append(
        &mut self,
        body: Body,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<(), AppendError> {
        let before = (self.offset, self.digester.clone());
        let mut file = tokio::fs::OpenOptions::new()
            .append(true)
            .open(&self.path)
            .await?;
        let mut stream = body.into_data_stream();
        let outcome = self.copy(&mut file, &mut stream, announced, limit).await;
        match outcome {
            Ok(()) => Ok(()),
            Err(AppendError::Interrupted { received }) => {
                Err(AppendError::Interrupted { received })
            }
            Err(error) => {
                // Wait for writes still under way before cutting them off.
                let _ = file.flush().await;
                if let Err(cut) = file.set_len(before.0).await {
                    // What stands in the file is not what was acknowledged.
                    tracing::error!(error = %cut, "an upload is given up");
                    self.is_closed = true;
                }
                (self.offset, self.digester) = before;
                if matches!(error, AppendError::Disk(_)) {
                    read_to_the_end(&mut stream).await;
                }
                Err(error)
            }
        }
    }

    async fn copy(
        &mut self,
        file: &mut tokio::fs::File,
        stream: &mut BodyDataStream,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<(), AppendError> {
        let mut received = 0_u64;
        let mut is_interrupted = false;
        while let Some(chunk) = stream.next().await {
            let Ok(chunk) = chunk else {
                is_interrupted = true;
                break;
            };
            received += chunk.len() as u64;
            if self.offset + chunk.len() as u64 > limit {
                return Err(AppendError::TooLarge { limit });
            }
            if let Some(announced) = announced.filter(|announced| received > *announced) {
                return Err(AppendError::Length {
                    announced,
                    received,
                });
            }
            file.write_all(&chunk).await?;
            self.offset += chunk.len() as u64;
            if let Some(digester) = &mut self.digester {
                digester.update(&chunk);
            }
        }
        file.flush().await?;
        if is_interrupted {
            return Err(AppendError::Interrupted { received });
        }
        match announced {
            Some(announced) if announced != received => Err(AppendError::Length {
                announced,
                received,
            }),
            _ => Ok(()),
        }
    }

    /// The digest of everything received.
    pub(crate) async fn digest(&self, algorithm: Algorithm) -> io::Result<Digest> {
        match &self.digester {
            Some(digester) if algorithm == Algorithm::Sha256 => Ok(digester.clone().finish()),
            _ => hash_file(self.path.clone(), algorithm).await,
        }
    }
}

/// Reads what is left of a body that cannot be kept. Most clients read no answer
/// before they have sent everything, and one whose connection is closed under its
/// hands never learns the reason.
pub(crate) async fn read_to_the_end(stream: &mut BodyDataStream) {
    let mut read = 0_usize;
    while let Some(Ok(chunk)) = stream.next().await {
        read = read.saturating_add(chunk.len());
        if read > MOST_UNKEPT {
            return;
        }
    }
}
