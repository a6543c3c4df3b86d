//! Blob files, addressed by content: `<data>/blobs/<algorithm>/<aa>/<hex>`.
//!
//! A file gets its final name only after its bytes were verified and synced;
//! the folder is synced after the rename. Whether a file is needed at all is
//! the metadata's business (see `garbage`).

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::digest::{Algorithm, Digest, Digester};

/// The folder of finished blobs.
pub(crate) struct Blobs {
    root: PathBuf,
    scratch: PathBuf,
}

impl Blobs {
    /// Creates the folders and removes half-written files of an earlier run.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let root = data.join("blobs");
        let scratch = data.join("scratch");
        for algorithm in Algorithm::ALL {
            fs::create_dir_all(root.join(algorithm.name()))?;
        }
        fs::create_dir_all(&scratch)?;
        for entry in fs::read_dir(&scratch)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self { root, scratch })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let fan = digest.hex().get(..2).unwrap_or("00");
        self.root
            .join(digest.algorithm().name())
            .join(fan)
            .join(digest.hex())
    }

    /// Opens a blob for reading, with its size; `None` when there is none.
    pub(crate) async fn read(&self, digest: &Digest) -> io::Result<Option<(tokio::fs::File, u64)>> {
        match tokio::fs::File::open(self.path(digest)).await {
            Ok(file) => {
                let size = file.metadata().await?.len();
                Ok(Some((file, size)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The whole content of a small blob.
    pub(crate) async fn read_all(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        match tokio::fs::read(self.path(digest)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a verified file its final name. The caller holds the gate, so the
    /// file cannot be collected before it is linked.
    pub(crate) async fn adopt(&self, file: PathBuf, digest: &Digest) -> io::Result<()> {
        let target = self.path(digest);
        blocking(move || publish(&file, &target)).await
    }

    /// Writes small content whose digest the caller computed.
    pub(crate) async fn write(&self, digest: &Digest, bytes: bytes::Bytes) -> io::Result<()> {
        let target = self.path(digest);
        let scratch = self.scratch.join(uuid::Uuid::new_v4().to_string());
        blocking(move || {
            let mut file = fs::File::create_new(&scratch)?;
            file.write_all(&bytes)?;
            drop(file);
            publish(&scratch, &target)
        })
        .await
    }

    /// Removes a file; a missing one is as good. Returns the bytes freed.
    pub(crate) async fn remove(&self, digest: &Digest) -> io::Result<u64> {
        let path = self.path(digest);
        blocking(move || match fs::metadata(&path) {
            Ok(metadata) => {
                fs::remove_file(&path)?;
                Ok(metadata.len())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        })
        .await
    }

    /// Every blob on disk.
    pub(crate) async fn list(&self) -> io::Result<Vec<Digest>> {
        let root = self.root.clone();
        blocking(move || {
            let mut found = Vec::new();
            for algorithm in Algorithm::ALL {
                for fan in fs::read_dir(root.join(algorithm.name()))? {
                    for file in fs::read_dir(fan?.path())? {
                        let name = file?.file_name();
                        let text = format!("{}:{}", algorithm.name(), name.to_string_lossy());
                        // Anything else in the folder is not ours to touch.
                        if let Ok(digest) = text.parse() {
                            found.push(digest);
                        }
                    }
                }
            }
            Ok(found)
        })
        .await
    }
}

/// Computes the digest of a file.
pub(crate) async fn hash_file(path: PathBuf, algorithm: Algorithm) -> io::Result<Digest> {
    blocking(move || {
        let mut file = fs::File::open(path)?;
        let mut digester = Digester::new(algorithm);
        let mut buffer = vec![0_u8; 1 << 20];
        loop {
            let count = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return Ok(digester.finish());
            };
            digester.update(bytes);
        }
    })
    .await
}

/// Runs file work on the threads made for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn publish(file: &Path, target: &Path) -> io::Result<()> {
    if target.exists() {
        // The same content is there already, whole.
        return fs::remove_file(file);
    }
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if !folder.exists() {
        fs::create_dir_all(folder)?;
        if let Some(above) = folder.parent() {
            fs::File::open(above)?.sync_all()?;
        }
    }
    fs::File::open(file)?.sync_all()?;
    fs::rename(file, target)?;
    fs::File::open(folder)?.sync_all()
}
