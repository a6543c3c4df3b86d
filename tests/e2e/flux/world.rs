//! What the cases stand on: the embedded Kubernetes API in process, a stock
//! Git server (`git http-backend`), a small static registry, and Flux.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_flux::{Config, Flux, custom_resource_definitions};
use catalyst_kubernetes::{Authenticators, Identity, Kubernetes, Tasks};
use catalyst_store::{Options, Store};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

/// The Git password that the cases use.
pub const PASSWORD: &str = "correct-horse";

/// The administrator's token, for programs that reach the API over TLS.
pub const TOKEN: &str = "administrator-of-the-cases";

type Blobs = Arc<Mutex<BTreeMap<String, (String, Vec<u8>)>>>;

pub struct World {
    pub kubernetes: Kubernetes,
    pub base: String,
    pub folder: tempfile::TempDir,
    pub registry: Blobs,
    _tasks: Tasks,
    _stop: DropGuard,
}

fn client(kubernetes: &Kubernetes, cluster: &str) -> kube::Client {
    let router = kubernetes.router();
    let prefix = format!("/clusters/{cluster}");
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let router = router.clone();
        let (mut parts, body) = request.into_parts();
        let path = format!("{prefix}{}", parts.uri.path_and_query().unwrap());
        parts.uri = path.parse().unwrap();
        parts.extensions.insert(Identity::administrator("flux"));
        router.oneshot(http::Request::from_parts(parts, Body::new(body)))
    });
    kube::Client::new(service, "default")
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(true).await
    }

    /// With or without the stand-ins of Flux's Kustomization and HelmRelease
    /// controllers; sources are always fetched.
    pub async fn start_with(reconcilers: bool) -> Self {
        Self::start_as(reconcilers, None).await
    }

    /// With Flux's lockdown: what names no service account acts as `default`.
    pub async fn start_locked() -> Self {
        Self::start_as(true, Some("default")).await
    }

    async fn start_as(reconcilers: bool, account: Option<&str>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let kubernetes = Kubernetes::new(catalyst_kubernetes::Config {
            store,
            authenticators: Authenticators {
                tokens: [(TOKEN.to_owned(), Identity::administrator("flux"))].into(),
                oidc: Vec::new(),
            },
            token_key: vec![7; 32],
            root_ca: "CA".into(),
            pods: None,
        });
        let bootstrap = custom_resource_definitions();
        assert!(kubernetes.create_cluster("acme", &bootstrap).await.unwrap());
        let tasks = kubernetes.start();
        let registry = Blobs::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let flux = {
            let kubernetes = kubernetes.clone();
            Flux::new(Config {
                everywhere: client(&kubernetes, "*"),
                connect: Arc::new(move |cluster| client(&kubernetes, cluster)),
                http: reqwest::Client::new(),
                client: Arc::new(reqwest::Client::builder),
                data: folder.path().join("artifacts"),
                default_service_account: account.map(str::to_owned),
                artifacts_url: format!("{base}/artifacts"),
            })
        };
        let projects = folder.path().join("git");
        std::fs::create_dir_all(&projects).unwrap();
        let blobs = Arc::clone(&registry);
        let app =
            Router::new()
                .nest("/artifacts", flux.router())
                .fallback(move |request: Request| {
                    let (projects, blobs) = (projects.clone(), Arc::clone(&blobs));
                    async move {
                        match request.uri().path().strip_prefix("/git/") {
                            Some(_) => git_backend(&projects, request).await,
                            None => static_registry(&blobs, request.uri().path()),
                        }
                    }
                });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let stop = CancellationToken::new();
        let (running, token) = (flux.clone(), stop.clone());
        tokio::spawn(async move {
            if reconcilers {
                running.run(token).await;
            } else {
                running.run_sources(token).await;
            }
        });
        Self {
            kubernetes,

            base,
            folder,
            registry,
            _tasks: tasks,
            _stop: stop.drop_guard(),
        }
    }

    /// Asks the API of `acme`; `None` for 404.
    pub async fn call(&self, method: &str, path: &str, kind: &str, body: &Value) -> Option<Value> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("/clusters/acme{path}"))
            .header("content-type", kind)
            .body(if body.is_null() {
                Body::empty()
            } else {
                Body::from(body.to_string())
            })
            .unwrap();
        request
            .extensions_mut()
            .insert(Identity::administrator("test"));
        let response = self.kubernetes.router().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        if status == 404 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    pub async fn get(&self, path: &str) -> Option<Value> {
        self.call("GET", path, "application/json", &Value::Null)
            .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.call("POST", path, "application/json", &body)
            .await
            .unwrap()
    }

    pub async fn merge(&self, path: &str, body: Value) -> Value {
        self.call("PATCH", path, "application/merge-patch+json", &body)
            .await
            .unwrap()
    }

    pub async fn delete(&self, path: &str) {
        self.call("DELETE", path, "application/json", &Value::Null)
            .await;
    }

    /// Waits until what a path answers satisfies `wanted`.
    pub async fn until(&self, path: &str, wanted: impl Fn(Option<&Value>) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let found = self.get(path).await;
            if wanted(found.as_ref()) {
                return found.unwrap_or_default();
            }
            assert!(Instant::now() < deadline, "{path}: {found:#?}");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Waits for a condition of an object.
    pub async fn condition(&self, path: &str, kind: &str, status: &str, reason: &str) -> String {
        let found = self
            .until(path, |object| {
                object.is_some_and(|object| {
                    let generation = &object["metadata"]["generation"];
                    &object["status"]["observedGeneration"] == generation
                        && of(object, kind)
                            .is_some_and(|one| one["status"] == status && one["reason"] == reason)
                })
            })
            .await;
        of(&found, kind).unwrap()["message"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub fn repository(&self, name: &str) -> Repository {
        let bare = self.folder.path().join("git").join(format!("{name}.git"));
        let work = self.folder.path().join("work").join(name);
        git(
            self.folder.path(),
            &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()],
        );
        git(
            self.folder.path(),
            &["init", "-q", "-b", "main", work.to_str().unwrap()],
        );
        git(&work, &["remote", "add", "origin", bare.to_str().unwrap()]);
        Repository {
            work,
            url: format!("{}/git/{name}.git", self.base),
        }
    }

    /// Puts an artifact with one chart layer into the registry; returns the
    /// manifest and its digest.
    pub fn push_chart(&self, repository: &str, tag: &str, chart: &[u8]) -> (Vec<u8>, String) {
        let layer = digest(chart);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": layer, "size": chart.len()}],
        })
        .to_string()
        .into_bytes();
        let name = digest(&manifest);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        self.put(
            &format!("/v2/{repository}/blobs/{layer}"),
            "application/octet-stream",
            chart,
        );
        self.put(
            &format!("/v2/{repository}/manifests/{tag}"),
            kind,
            &manifest,
        );
        self.put(
            &format!("/v2/{repository}/manifests/{name}"),
            kind,
            &manifest,
        );
        (manifest, name)
    }

    pub fn put(&self, path: &str, kind: &str, bytes: &[u8]) {
        self.registry
            .lock()
            .unwrap()
            .insert(path.to_owned(), (kind.to_owned(), bytes.to_vec()));
    }

    pub fn host(&self) -> &str {
        self.base.trim_start_matches("http://")
    }
}

/// A condition of an object.
pub fn of<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|one| one["type"] == kind)
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

pub struct Repository {
    work: PathBuf,
    pub url: String,
}

impl Repository {
    /// Makes the repository hold exactly `files`, pushes, returns the commit.
    pub fn push(&self, files: &[(&str, &str)]) -> String {
        for entry in std::fs::read_dir(&self.work).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() == ".git" {
            } else if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        for (path, content) in files {
            let path = self.work.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        git(&self.work, &["add", "-A"]);
        git(
            &self.work,
            &["commit", "-q", "--allow-empty", "-m", "change"],
        );
        git(&self.work, &["push", "-q", "origin", "main"]);
        git(&self.work, &["rev-parse", "HEAD"])
    }
}

/// Git's own HTTP server, behind a password.
async fn git_backend(projects: &Path, request: Request) -> Response {
    let wanted = format!("Basic {}", STANDARD.encode(format!("flux:{PASSWORD}")));
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    if header("authorization") != wanted {
        return http::StatusCode::UNAUTHORIZED.into_response();
    }
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", projects)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path().trim_start_matches("/git"))
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&body).await.unwrap();
    drop(input);
    let out = child.wait_with_output().await.unwrap().stdout;
    let cut = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&out[..cut]).into_owned();
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = if name == "Status" {
            response.status(value[..3].parse::<u16>().unwrap())
        } else {
            response.header(name, value)
        };
    }
    response.body(Body::from(out[cut + 4..].to_vec())).unwrap()
}

fn static_registry(blobs: &Blobs, path: &str) -> Response {
    match blobs.lock().unwrap().get(path) {
        Some((kind, bytes)) => ([("content-type", kind.clone())], bytes.clone()).into_response(),
        None => http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// A packaged chart.
pub fn chart(version: &str, templates: &[(&str, &str)]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    let mut files = vec![
        (
            "Chart.yaml".to_owned(),
            format!("apiVersion: v2\nname: web\nversion: {version}\nappVersion: \"1\"\n"),
        ),
        ("values.yaml".to_owned(), "greeting: hello\n".to_owned()),
    ];
    for (name, text) in templates {
        files.push((format!("templates/{name}"), (*text).to_owned()));
    }
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, format!("web/{path}"), text.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}
