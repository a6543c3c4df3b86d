//! Fetches images over the OCI distribution protocol.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Image, ImageStore, Reference, unpack};
use crate::NodeError;

/// Largest manifest or image configuration accepted, in bytes.
const DOCUMENT_LIMIT: usize = 8 << 20;

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// How to reach one registry.
#[derive(Clone, Default)]
pub struct Registry {
    /// Base URL that stands in for the registry, such as
    /// `http://127.0.0.1:8080`; absent for `https://<host>`. With a path below
    /// `/v2/`, such as `http://127.0.0.1:8080/v2/catalyst/mirror/ghcr.io`, it
    /// keeps some of the registry's repositories below that path (containerd's
    /// `override_path`); what it does not have comes from the registry itself,
    /// without the credentials.
    pub mirror: Option<String>,
    /// Basic credentials: user and password.
    pub credentials: Option<(String, String)>,
}

/// Pulls images into a store. Concurrent pulls of one layer fetch it once.
pub struct Puller {
    store: ImageStore,
    client: reqwest::Client,
    registry_of: Arc<dyn Fn(&str) -> Registry + Send + Sync>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Puller {
    /// Creates a puller; `registry_of` is asked for each reference's host.
    pub fn new(
        store: ImageStore,
        client: reqwest::Client,
        registry_of: Arc<dyn Fn(&str) -> Registry + Send + Sync>,
    ) -> Self {
        Self {
            store,
            client,
            registry_of,
            one_at_a_time: tokio::sync::Mutex::new(()),
        }
    }

    /// The image if [`Self::pull`] would ask no registry for it.
    pub fn held(&self, text: &str, always: bool) -> Option<Image> {
        let is_pinned = || Reference::parse(text).is_ok_and(|found| found.digest.is_some());
        if always && !is_pinned() {
            return None;
        }
        self.store.get(text)
    }

    /// Returns the image, fetching what is missing. `always` asks the registry
    /// again even when the reference is known.
    pub async fn pull(&self, text: &str, always: bool) -> Result<Image, NodeError> {
        let reference = Reference::parse(text)?;
        if let Some(image) = self.held(text, always) {
            return Ok(image);
        }
        let _turn = self.one_at_a_time.lock().await;
        let session = |registry| Session {
            client: &self.client,
            registry,
            reference: &reference,
            text,
            token: tokio::sync::Mutex::new(None),
        };
        let mirror = session((self.registry_of)(&reference.registry));
        let session = if mirror.keeps_a_part() && mirror.lacks(reference.selector()).await? {
            session(Registry::default())
        } else {
            mirror
        };
        let (digest, manifest) = session.manifest(reference.selector()).await?;
        let image = self.fetch(&session, digest, &manifest).await?;
        let file = self.store.image_file(text);
        let encoded = serde_json::to_vec(&image).map_err(|e| session.fail(e.to_string()))?;
        let temporary = file.with_extension("new");
        std::fs::write(&temporary, encoded).map_err(|e| NodeError::file("write", &temporary, e))?;
        std::fs::rename(&temporary, &file).map_err(|e| NodeError::file("write", &file, e))?;
        Ok(image)
    }

    async fn fetch(
        &self,
        session: &Session<'_>,
        digest: String,
        manifest: &Value,
    ) -> Result<Image, NodeError> {
        let config_digest = manifest
            .pointer("/config/digest")
            .and_then(Value::as_str)
            .ok_or_else(|| session.fail("the manifest names no image configuration"))?;
        let text = session
            .document(&format!("blobs/{config_digest}"), Some(config_digest))
            .await?
            .1;
        let config: Value = serde_json::from_slice(&text)
            .map_err(|e| session.fail(format!("the image configuration is not JSON: {e}")))?;
        let diff_ids = strings(config.pointer("/rootfs/diff_ids"));
        let descriptors = manifest
            .get("layers")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if diff_ids.len() != descriptors.len() || diff_ids.is_empty() {
            return Err(session.fail(format!(
                "the configuration lists {} layers and the manifest {}",
                diff_ids.len(),
                descriptors.len()
            )));
        }
        let mut layers = Vec::new();
        for (diff_id, descriptor) in diff_ids.iter().zip(&descriptors) {
            let name = hex_of(diff_id)
                .ok_or_else(|| session.fail(format!("{diff_id} is not a sha256 digest")))?;
            if !self.store.layers.join(name).is_dir() {
                self.fetch_layer(session, name, descriptor).await?;
            }
            layers.push(name.to_owned());
        }
        let part = |name: &str| config.pointer(&format!("/config/{name}"));
        let word = |name: &str| {
            part(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Image {
            digest,
            layers,
            env: strings(part("Env")),
            entrypoint: strings(part("Entrypoint")),
            cmd: strings(part("Cmd")),
            working_dir: word("WorkingDir"),
            user: word("User"),
        })
    }

    async fn fetch_layer(
        &self,
        session: &Session<'_>,
        name: &str,
        descriptor: &Value,
    ) -> Result<(), NodeError> {
        let digest = descriptor
            .get("digest")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let media_type = descriptor
            .get("mediaType")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let unique = uuid::Uuid::new_v4();
        let blob = self.store.layers.join(format!(".blob-{unique}"));
        let folder = self.store.layers.join(format!(".new-{unique}"));
        let outcome = async {
            session.download(digest, &blob).await?;
            let (blob, folder, base) = (blob.clone(), folder.clone(), self.store.base);
            let expected = name.to_owned();
            tokio::task::spawn_blocking(move || {
                unpack_verified(&blob, &media_type, &folder, base, &expected)
            })
            .await
            .map_err(|e| session.fail(format!("unpacking stopped: {e}")))?
        }
        .await;
        let _ = std::fs::remove_file(&blob);
        let outcome = outcome.and_then(|()| {
            let target = self.store.layers.join(name);
            std::fs::rename(&folder, &target)
                .map_err(|e| NodeError::file("keep the layer", &target, e))
        });
        if outcome.is_err() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        outcome
    }
}

/// Unpacks a layer and checks the digest of what was unpacked.
fn unpack_verified(
    blob: &Path,
    media_type: &str,
    folder: &PathBuf,
    base: Option<u32>,
    expected: &str,
) -> Result<(), NodeError> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = std::fs::File::open(blob).map_err(|e| NodeError::file("read", blob, e))?;
    std::fs::create_dir(folder).map_err(|e| NodeError::file("create", folder, e))?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        .map_err(|e| NodeError::file("open up", folder, e))?;
    if let Some(base) = base {
        std::os::unix::fs::chown(folder, Some(base), Some(base))
            .map_err(|e| NodeError::file("give away", folder, e))?;
    }
    let mut file = std::io::BufReader::new(file);
    let magic = std::io::BufRead::fill_buf(&mut file)
        .map(|b| b.get(..4).unwrap_or_default().to_vec())
        .map_err(|e| NodeError::file("read", blob, e))?;
    let plain: Box<dyn Read> = if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else if magic == [0x28, 0xb5, 0x2f, 0xfd] || media_type.ends_with("zstd") {
        Box::new(
            zstd::stream::read::Decoder::new(file)
                .map_err(|e| NodeError::file("decompress", blob, e))?,
        )
    } else {
        Box::new(file)
    };
    let mut hashing = Hashing {
        inner: plain,
        hash: Sha256::new(),
    };
    unpack(&mut hashing, folder, base)?;
    // The digest covers the padding behind the last entry too.
    std::io::copy(&mut hashing, &mut std::io::sink())
        .map_err(|e| NodeError::file("read", blob, e))?;
    let actual = hex::encode(hashing.hash.finalize());
    if actual == expected {
        return Ok(());
    }
    Err(NodeError::Unpack {
        entry: "(archive)".to_owned(),
        reason: format!(
            "the layer's content is sha256:{actual}, the image promises sha256:{expected}"
        ),
    })
}

struct Hashing {
    inner: Box<dyn Read>,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}

/// One pull's view of one repository.
struct Session<'a> {
    client: &'a reqwest::Client,
    registry: Registry,
    reference: &'a Reference,
    text: &'a str,
    token: tokio::sync::Mutex<Option<String>>,
}

impl Session<'_> {
    fn fail(&self, reason: impl Into<String>) -> NodeError {
        NodeError::Pull {
            reference: self.text.to_owned(),
            reason: reason.into(),
        }
    }

    /// The registry did not send all of its answer.
    fn broke_off(&self, error: &reqwest::Error) -> NodeError {
        self.fail(format!(
            "the registry at {} broke off: {}",
            self.base(),
            cause(error)
        ))
    }

    fn refused(&self) -> NodeError {
        self.fail(format!(
            "the registry at {} refuses access; check the pull credentials",
            self.base()
        ))
    }

    fn base(&self) -> String {
        if let Some((base, _)) = self.part() {
            return base.to_owned();
        }
        match &self.registry.mirror {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if self.reference.registry == "docker.io" => {
                "https://registry-1.docker.io".to_owned()
            }
            None => format!("https://{}", self.reference.registry),
        }
    }

    /// The repository's name where it is asked for.
    fn repository(&self) -> String {
        let path = &self.reference.repository;
        match self.part() {
            Some((_, below)) => format!("{}/{path}", below.trim_end_matches('/')),
            None => path.clone(),
        }
    }

    /// The mirror's own address and the path below which it keeps a part.
    fn part(&self) -> Option<(&str, &str)> {
        self.registry.mirror.as_deref()?.split_once("/v2/")
    }

    fn keeps_a_part(&self) -> bool {
        self.part().is_some()
    }

    /// Whether the mirror says that it does not have the image.
    async fn lacks(&self, selector: &str) -> Result<bool, NodeError> {
        let response = self.ask(&format!("manifests/{selector}")).await?;
        Ok(response.status().as_u16() == 404)
    }

    async fn get(&self, path: &str) -> Result<reqwest::Response, NodeError> {
        let response = self.ask(path).await?;
        if response.status().as_u16() == 404 {
            return Err(self.fail(format!(
                "the registry at {} has no {} of {}; check name and tag",
                self.base(),
                self.reference.selector(),
                self.repository()
            )));
        }
        Ok(response)
    }

    /// Asks for something below the repository; the answer is 200 or 404.
    async fn ask(&self, path: &str) -> Result<reqwest::Response, NodeError> {
        let url = format!("{}/v2/{}/{path}", self.base(), self.repository());
        for attempt in 0..2 {
            let mut request = self.client.get(&url).header("accept", ACCEPT);
            let token = self.token.lock().await.clone();
            if let Some(token) = token {
                request = request.bearer_auth(token);
            } else if let Some((user, password)) = &self.registry.credentials {
                request = request.basic_auth(user, Some(password));
            }
            let response = request.send().await.map_err(|e| {
                self.fail(format!(
                    "the registry at {} cannot be reached: {}",
                    self.base(),
                    cause(&e)
                ))
            })?;
            match response.status().as_u16() {
                200 | 404 => return Ok(response),
                401 if attempt == 0 && self.authenticate(&response).await? => {}
                401 | 403 => return Err(self.refused()),
                code => {
                    let base = self.base();
                    return Err(self.fail(format!("the registry at {base} answered {code}")));
                }
            }
        }
        Err(self.refused())
    }

    /// Follows a Bearer challenge; false when there is none to follow.
    async fn authenticate(&self, response: &reqwest::Response) -> Result<bool, NodeError> {
        let header = response
            .headers()
            .get("www-authenticate")
            .and_then(|h| h.to_str().ok())
            .unwrap_or_default();
        let Some(fields) = header.strip_prefix("Bearer ") else {
            return Ok(false);
        };
        let field = |name: &str| {
            fields.split(',').find_map(|f| {
                let (key, value) = f.trim().split_once('=')?;
                (key == name).then(|| value.trim_matches('"').to_owned())
            })
        };
        let Some(realm) = field("realm") else {
            return Ok(false);
        };
        let mut query = vec![("scope", format!("repository:{}:pull", self.repository()))];
        if let Some(service) = field("service") {
            query.push(("service", service));
        }
        let mut request = self.client.get(realm).query(&query);
        if let Some((user, password)) = &self.registry.credentials {
            request = request.basic_auth(user, Some(password));
        }
        let token_service = |error: &reqwest::Error| {
            self.fail(format!(
                "the token service of the registry at {} gives no token: {}",
                self.base(),
                cause(error)
            ))
        };
        let answer = request.send().await.map_err(|e| token_service(&e))?;
        let body: Value = answer.json().await.map_err(|e| token_service(&e))?;
        let token = body
            .get("token")
            .or_else(|| body.get("access_token"))
            .and_then(Value::as_str);
        *self.token.lock().await = token.map(str::to_owned);
        Ok(token.is_some())
    }

    /// Fetches a small document and its digest, checked when one is expected.
    async fn document(
        &self,
        path: &str,
        expected: Option<&str>,
    ) -> Result<(String, Vec<u8>), NodeError> {
        let mut response = self.get(path).await?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broke_off(&e))? {
            text.extend_from_slice(&chunk);
            if text.len() > DOCUMENT_LIMIT {
                return Err(self.fail("the registry sent a document that is too large"));
            }
        }
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&text)));
        match expected {
            Some(expected) if expected != digest => Err(self.fail(format!(
                "the registry sent {digest} where {expected} was promised"
            ))),
            _ => Ok((digest, text)),
        }
    }

    /// The image manifest, chosen for this machine when there are several.
    async fn manifest(&self, selector: &str) -> Result<(String, Value), NodeError> {
        let expected = |s: &str| s.starts_with("sha256:").then(|| s.to_owned());
        let mut selector = selector.to_owned();
        for _ in 0..3 {
            let wanted = expected(&selector);
            let (digest, text) = self
                .document(&format!("manifests/{selector}"), wanted.as_deref())
                .await?;
            let value: Value = serde_json::from_slice(&text)
                .map_err(|e| self.fail(format!("the manifest is not JSON: {e}")))?;
            let Some(choices) = value.get("manifests").and_then(Value::as_array) else {
                return Ok((digest, value));
            };
            let machine = match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            };
            let fits = |m: &&Value| {
                m.pointer("/platform/architecture").and_then(Value::as_str) == Some(machine)
                    && m.pointer("/platform/os").and_then(Value::as_str) == Some("linux")
            };
            selector = choices
                .iter()
                .find(fits)
                .and_then(|m| m.get("digest"))
                .and_then(Value::as_str)
                .ok_or_else(|| self.fail(format!("there is no variant for linux/{machine}")))?
                .to_owned();
        }
        Err(self.fail("the index points to further indexes"))
    }

    async fn download(&self, digest: &str, file: &Path) -> Result<(), NodeError> {
        let expected =
            hex_of(digest).ok_or_else(|| self.fail(format!("{digest} is not a sha256 digest")))?;
        let mut response = self.get(&format!("blobs/{digest}")).await?;
        let mut target =
            std::fs::File::create_new(file).map_err(|e| NodeError::file("create", file, e))?;
        let mut hash = Sha256::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broke_off(&e))? {
            hash.update(&chunk);
            target
                .write_all(&chunk)
                .map_err(|e| NodeError::file("write", file, e))?;
        }
        let actual = hex::encode(hash.finalize());
        if actual == expected {
            return Ok(());
        }
        Err(self.fail(format!(
            "the registry sent sha256:{actual} where {digest} was promised"
        )))
    }
}

fn hex_of(digest: &str) -> Option<&str> {
    digest.strip_prefix("sha256:").filter(|h| {
        h.len() == 64
            && h.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .map(|items| {
            items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}

/// What an error comes from in the end: what lies around it repeats the address and
/// which library was asked.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
