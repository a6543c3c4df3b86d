//! A registry on a real socket, and the requests that tests make of it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use catalyst_registry::{
    Access, AccessError, Action, Algorithm, AnonymousAccess, Config, Credentials, Digest,
    Permissions, Principal, Registry, RepositoryName,
};
use catalyst_store::{Options, Store};
use futures::future::BoxFuture;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A clock that tests move.
#[derive(Clone, Default)]
pub struct Hands(Arc<AtomicU64>);

impl Hands {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub fn clock(&self) -> catalyst_registry::Clock {
        let hands = self.0.clone();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Arc::new(move || start + Duration::from_secs(hands.load(Ordering::SeqCst)))
    }
}

/// Users `ann` and `bob` (password `secret`), the administrator `root`, and
/// whatever the stored permissions say.
pub struct Users(pub Permissions);

impl Access for Users {
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Principal, AccessError>> {
        Box::pin(async move {
            match credentials {
                Credentials::Anonymous => Ok(Principal::default()),
                Credentials::Basic { username, password } if password == "secret" => {
                    let is_administrator = username == "root";
                    Ok(Principal {
                        is_administrator,
                        ..Principal::named(username)
                    })
                }
                Credentials::Bearer(token) if token == "ann-token" => Ok(Principal::named("ann")),
                Credentials::Bearer(token) if token == "down" => Err(AccessError::Unavailable(
                    "the issuer does not answer".into(),
                )),
                _ => Err(AccessError::Rejected),
            }
        })
    }

    fn allows<'a>(
        &'a self,
        principal: &'a Principal,
        repository: &'a RepositoryName,
        action: Action,
    ) -> BoxFuture<'a, Result<bool, AccessError>> {
        Box::pin(async move { Ok(self.0.allows(principal, repository, action)) })
    }
}

pub struct Served {
    pub registry: Registry,
    pub address: String,
    pub client: Client,
    pub hands: Hands,
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

/// Serves the data in `folder`, open to everyone unless `with_users`.
pub async fn serve(folder: &Path, with_users: bool, adjust: impl FnOnce(&mut Config)) -> Served {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let store = Store::open(folder.join("store"), Options::default()).unwrap();
    let hands = Hands::default();
    let access: Arc<dyn Access> = if with_users {
        Arc::new(Users(Permissions::new(store.clone())))
    } else {
        Arc::new(AnonymousAccess)
    };
    let mut config = Config::new(folder.join("registry"), store, access);
    config.anonymous_ping = !with_users;
    config.clock = hands.clock();
    adjust(&mut config);
    let registry = Registry::open(config).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = registry.router().merge(registry.projects_router());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                let _ = stopped.await;
            })
            .await
            .unwrap();
    });
    let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    Served {
        registry,
        address,
        client,
        hands,
        stop,
        task,
    }
}

impl Served {
    /// Stops serving and closes the store, as an orderly end of the process.
    pub async fn stop(self) {
        let Self {
            registry,
            client,
            stop,
            task,
            ..
        } = self;
        drop(client);
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), task)
            .await
            .unwrap()
            .unwrap();
        drop(registry);
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, format!("{}{path}", self.address))
    }

    pub async fn send(&self, method: &str, path: &str) -> Response {
        self.request(method, path).send().await.unwrap()
    }

    pub async fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = sha256(content);
        let answer = self
            .request(
                "POST",
                &format!("/v2/{repository}/blobs/uploads/?digest={digest}"),
            )
            .body(content.to_vec())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        digest
    }

    pub async fn put_manifest(&self, repository: &str, reference: &str, body: &Value) -> Response {
        let kind = body["mediaType"].as_str().unwrap_or(MANIFEST).to_owned();
        self.request("PUT", &format!("/v2/{repository}/manifests/{reference}"))
            .header("content-type", kind)
            .body(body.to_string())
            .send()
            .await
            .unwrap()
    }

    /// Pushes an image of one layer; returns its manifest's digest.
    pub async fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> Digest {
        self.push_blob(repository, b"{}").await;
        self.push_blob(repository, layer).await;
        let body = image(layer);
        let answer = self.put_manifest(repository, tag, &body).await;
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        sha256(body.to_string().as_bytes())
    }
}

pub fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

pub fn descriptor(kind: &str, content: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": sha256(content), "size": content.len()})
}

pub fn image(layer: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })
}

/// Asserts status and error code of a refusal.
pub async fn refused(answer: Response, status: u16, code: &str) {
    let found = answer.status();
    let text = answer.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(
        (found.as_u16(), body["errors"][0]["code"].as_str()),
        (status, Some(code)),
        "{text}"
    );
}

pub fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}
