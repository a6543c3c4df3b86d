//! What sources made: archives on disk, served over HTTP in Flux's layout, and
//! their files in memory for the reconcilers beside us.
//!
//! What must stay true: an archive is used only when its digest is the one in
//! the source's status; an archive that is missing is made again from its
//! source, so nothing here needs to be durable; an archive is served to whoever
//! may read its source's status, which alone has the whole URL.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::IntoResponse;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::json::{digest, now, text};
use crate::key::Key;

/// Path below the root → content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Bytes that an archive may unpack to.
const MAX_UNPACKED: u64 = 200 << 20;
const MAX_FILES: usize = 50_000;
/// Archives kept in memory beside the disk.
const MAX_CACHED: usize = 1 << 20;
/// The file with the key that signs URLs; a name that is never served.
const KEY_FILE: &str = ".key";

/// Why an artifact could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("could not store the artifact {path}")]
    Store {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("could not read the artifact {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "could not use the artifact {path}: its digest is {actual}, {expected} was announced; reconcile its source"
    )]
    Altered {
        path: String,
        expected: String,
        actual: String,
    },
    #[error("could not unpack the artifact: {0}")]
    Unpack(String),
    #[error("could not download the artifact {0}")]
    Download(String),
}

/// All artifacts.
pub struct Artifacts {
    folder: PathBuf,
    base: String,
    key: hmac::Key,
    cache: Mutex<HashMap<String, Bytes>>,
}

impl Artifacts {
    /// Keeps archives below `folder`; `base` is the URL under which
    /// [`Artifacts::router`] is reached.
    pub fn new(folder: PathBuf, base: &str) -> Self {
        Self {
            key: url_key(&folder),
            folder,
            base: base.trim_end_matches('/').to_owned(),
            cache: Mutex::default(),
        }
    }

    /// The URL of an archive. All Organizations' archives are on one port, and
    /// their paths can be guessed: the signature is what nobody else knows.
    fn url(&self, path: &str) -> String {
        let signature = hmac::sign(&self.key, path.as_bytes());
        format!("{}/{path}?signature={}", self.base, hex::encode(signature))
    }

    fn is_signed(&self, path: &str, query: &HashMap<String, String>) -> bool {
        query
            .get("signature")
            .and_then(|text| hex::decode(text).ok())
            .is_some_and(|tag| hmac::verify(&self.key, path.as_bytes(), &tag).is_ok())
    }

    /// Stores an archive; returns `status.artifact`.
    pub async fn put(
        &self,
        key: &Key,
        file: &str,
        revision: &str,
        archive: Vec<u8>,
        previous: Option<&Value>,
    ) -> Result<Value, ArtifactError> {
        let folder = folder_of(key);
        let path = format!("{folder}/{file}");
        let on_disk = self.folder.join(&folder);
        let failed = |source| ArtifactError::Store {
            path: path.clone(),
            source,
        };
        tokio::fs::create_dir_all(&on_disk).await.map_err(failed)?;
        let partial = on_disk.join(format!(".{file}.partial"));
        tokio::fs::write(&partial, &archive).await.map_err(failed)?;
        tokio::fs::rename(&partial, on_disk.join(file))
            .await
            .map_err(failed)?;
        let artifact = json!({
            "path": path,
            "url": self.url(&path),
            "revision": revision,
            "digest": digest(&archive),
            "size": archive.len(),
            "lastUpdateTime": now(),
        });
        // The one before stays for whoever is reading it.
        let kept = previous.map(|one| text(one, "/path").to_owned());
        if let Ok(mut entries) = tokio::fs::read_dir(&on_disk).await {
            while let Ok(Some(entry)) = entries.next_entry().await {
                let name = entry.file_name().to_string_lossy().into_owned();
                let other = format!("{folder}/{name}");
                if other != path && kept.as_ref() != Some(&other) {
                    let _ = tokio::fs::remove_file(entry.path()).await;
                }
            }
        }
        if let Ok(mut cache) = self.cache.lock() {
            cache.retain(|other, _| !other.starts_with(&format!("{folder}/")));
            if archive.len() <= MAX_CACHED {
                cache.insert(path, archive.into());
            }
        }
        Ok(artifact)
    }

    /// Whether the archive that a status announces is here.
    pub async fn has(&self, artifact: &Value) -> bool {
        self.read(artifact).await.is_ok()
    }

    /// The archive that a source's status announces, from here or by its URL.
    pub async fn get(
        &self,
        http: &reqwest::Client,
        artifact: &Value,
    ) -> Result<Bytes, ArtifactError> {
        let url = text(artifact, "/url");
        if url.starts_with(&format!("{}/", self.base)) {
            return self.read(artifact).await;
        }
        let failed =
            |why: reqwest::Error| ArtifactError::Download(format!("{url}: {}", why.without_url()));
        let answer = http.get(url).send().await.map_err(failed)?;
        let answer = answer.error_for_status().map_err(failed)?;
        let bytes = answer.bytes().await.map_err(failed)?;
        check(artifact, bytes)
    }

    async fn read(&self, artifact: &Value) -> Result<Bytes, ArtifactError> {
        let path = text(artifact, "/path");
        let cached = self
            .cache
            .lock()
            .ok()
            .and_then(|cache| cache.get(path).cloned());
        let bytes = match cached {
            Some(bytes) => bytes,
            None if !is_safe(path) => {
                return Err(ArtifactError::Unpack(format!("{path:?} is not a path")));
            }
            None => tokio::fs::read(self.folder.join(path))
                .await
                .map_err(|source| ArtifactError::Read {
                    path: path.to_owned(),
                    source,
                })?
                .into(),
        };
        check(artifact, bytes)
    }

    /// Removes all of a source's archives.
    pub async fn remove(&self, key: &Key) {
        let folder = folder_of(key);
        if let Ok(mut cache) = self.cache.lock() {
            cache.retain(|other, _| !other.starts_with(&format!("{folder}/")));
        }
        let _ = tokio::fs::remove_dir_all(self.folder.join(folder)).await;
    }

    /// Serves `/{cluster}/{kind}/{namespace}/{name}/{file}?signature=…`. Without
    /// the signature nothing is there.
    pub fn router(self: &Arc<Self>) -> Router {
        let artifacts = Arc::clone(self);
        Router::new().route(
            "/{*path}",
            axum::routing::get(
                move |Path(path): Path<String>, Query(query): Query<HashMap<String, String>>| async move {
                    let found = if is_safe(&path) && artifacts.is_signed(&path, &query) {
                        tokio::fs::read(artifacts.folder.join(&path)).await.ok()
                    } else {
                        None
                    };
                    match found {
                        Some(bytes) => ([(http::header::CONTENT_TYPE, "application/gzip")], bytes)
                            .into_response(),
                        None => http::StatusCode::NOT_FOUND.into_response(),
                    }
                },
            ),
        )
    }
}

/// The key that signs URLs: kept beside the archives, so that URLs in statuses
/// outlive a restart; with a folder that cannot be written, until then.
fn url_key(folder: &std::path::Path) -> hmac::Key {
    let path = folder.join(KEY_FILE);
    let mut bytes = [0; 32];
    match std::fs::read(&path) {
        Ok(found) if found.len() == bytes.len() => bytes.copy_from_slice(&found),
        _ => {
            if aws_lc_rs::rand::fill(&mut bytes).is_err() || keep(&path, &bytes).is_err() {
                tracing::warn!(
                    "the key of artifact URLs is not kept; after a restart they are refused"
                );
            }
        }
    }
    hmac::Key::new(hmac::HMAC_SHA256, &bytes)
}

fn keep(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(bytes)
}

fn folder_of(key: &Key) -> String {
    format!(
        "{}/{}/{}/{}",
        key.cluster,
        key.kind.name().to_lowercase(),
        key.namespace,
        key.name
    )
}

/// Whether every part of a path is a plain name.
fn is_safe(path: &str) -> bool {
    !path.is_empty()
        && path
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']))
}

fn check(artifact: &Value, bytes: Bytes) -> Result<Bytes, ArtifactError> {
    let (expected, actual) = (text(artifact, "/digest"), digest(&bytes));
    if expected == actual {
        return Ok(bytes);
    }
    Err(ArtifactError::Altered {
        path: text(artifact, "/path").to_owned(),
        expected: expected.to_owned(),
        actual,
    })
}

/// Packs files the same way every time.
pub fn pack(files: &Files) -> Result<Vec<u8>, ArtifactError> {
    let failed = |source| ArtifactError::Store {
        path: "archive".into(),
        source,
    };
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        builder
            .append_data(&mut header, path, content.as_slice())
            .map_err(failed)?;
    }
    builder
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .map_err(failed)
}

/// Unpacks a `.tar.gz`; links and special files are left out, as Flux does.
pub fn unpack(archive: &[u8]) -> Result<Files, ArtifactError> {
    let failed = |why: std::io::Error| ArtifactError::Unpack(why.to_string());
    let stream = flate2::read::GzDecoder::new(archive).take(MAX_UNPACKED + 1);
    let mut reader = tar::Archive::new(stream);
    let mut files = Files::new();
    let mut total = 0u64;
    for entry in reader.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./").to_owned();
        let leaves = path.is_empty()
            || path.starts_with('/')
            || path.contains(['\\', '\0'])
            || path.split('/').any(|part| part == ".." || part.is_empty());
        if leaves {
            return Err(ArtifactError::Unpack(format!(
                "the path {path:?} leaves the archive"
            )));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(failed)?;
        total += content.len() as u64;
        if total > MAX_UNPACKED || files.len() >= MAX_FILES {
            return Err(ArtifactError::Unpack(format!(
                "it unpacks to more than {MAX_UNPACKED} bytes or {MAX_FILES} files"
            )));
        }
        files.insert(path, content);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn key() -> Key {
        Key {
            cluster: "c".into(),
            kind: Kind::GitRepository,
            namespace: "n".into(),
            name: "s".into(),
        }
    }

    #[test]
    fn packing_is_deterministic_and_reversible() {
        let long = format!("{}/file.yaml", "a".repeat(150));
        let files = Files::from([
            ("b/c.yaml".into(), b"1".to_vec()),
            ("a".into(), vec![]),
            (long, vec![7; 3000]),
        ]);
        let archive = pack(&files).unwrap();
        assert_eq!(archive, pack(&files).unwrap());
        assert_eq!(unpack(&archive).unwrap(), files);
    }

    #[tokio::test]
    async fn an_altered_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path().into(), "http://x");
        let artifact = artifacts
            .put(&key(), "1.tar.gz", "main@sha1:1", vec![1, 2], None)
            .await
            .unwrap();
        let url = artifact["url"].as_str().unwrap();
        assert!(url.starts_with("http://x/c/gitrepository/n/s/1.tar.gz?signature="));
        assert!(artifacts.has(&artifact).await);
        let fresh = Artifacts::new(folder.path().into(), "http://x");
        std::fs::write(folder.path().join("c/gitrepository/n/s/1.tar.gz"), [9]).unwrap();
        assert!(matches!(
            fresh.get(&reqwest_client(), &artifact).await,
            Err(ArtifactError::Altered { .. })
        ));
    }

    #[tokio::test]
    async fn an_archive_is_served_by_its_whole_url_alone_also_after_a_restart() {
        use tower::ServiceExt as _;
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Arc::new(Artifacts::new(folder.path().into(), "http://x"));
        let mut other = key();
        other.cluster = "other".into();
        let mut urls = Vec::new();
        for key in [key(), other] {
            let artifact = artifacts
                .put(&key, "1.tar.gz", "main@sha1:1", vec![1, 2], None)
                .await
                .unwrap();
            urls.push(artifact["url"].as_str().unwrap()["http://x".len()..].to_owned());
        }
        let (path, signature) = urls[0].split_once('?').unwrap();
        let (_, foreign) = urls[1].split_once('?').unwrap();
        assert_ne!(signature, foreign);
        let restarted = Arc::new(Artifacts::new(folder.path().into(), "http://x"));
        for (url, status) in [
            (urls[0].clone(), 200),
            (path.to_owned(), 404),
            (format!("{path}?{foreign}"), 404),
            (format!("{path}?signature=00"), 404),
            (format!("/.key?{signature}"), 404),
        ] {
            let request = http::Request::get(&url)
                .body(axum::body::Body::empty())
                .unwrap();
            let answer = restarted.router().oneshot(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{url}");
        }
    }

    fn reqwest_client() -> reqwest::Client {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        reqwest::Client::new()
    }

    #[test]
    fn paths_that_leave_are_not_served() {
        for (path, safe) in [
            ("c/gitrepository/n/s/1.tar.gz", true),
            ("../secret", false),
            ("c/../../x", false),
            ("c//x", false),
            (".hidden", false),
            ("", false),
        ] {
            assert_eq!(is_safe(path), safe, "{path}");
        }
    }
}
