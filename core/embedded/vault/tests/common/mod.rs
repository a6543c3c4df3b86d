//! A vault on a store in a temporary folder, and the requests tests make.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use catalyst_store::{Options, Store};
use catalyst_vault::{Config, Vault};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use zeroize::Zeroizing;

pub const ROOT: &str = "root-token-of-the-tests";

pub struct Opened {
    pub vault: Vault,
    pub router: Router,
    seconds: Arc<AtomicI64>,
}

pub async fn try_open(folder: &Path, key: u8) -> Result<Opened, catalyst_vault::OpenError> {
    let store = Store::open(folder.join("store"), Options::default()).unwrap();
    let mut config = Config::new(
        store,
        Zeroizing::new([key; 32]),
        Zeroizing::new(ROOT.to_owned()),
    );
    let seconds = Arc::new(AtomicI64::new(1_800_000_000));
    let hands = seconds.clone();
    config.clock =
        Arc::new(move || jiff::Timestamp::from_second(hands.load(Ordering::SeqCst)).unwrap());
    let vault = Vault::open(config).await?;
    let router = Router::new().nest("/vault", vault.router());
    Ok(Opened {
        vault,
        router,
        seconds,
    })
}

pub async fn open(folder: &Path) -> Opened {
    try_open(folder, 7).await.unwrap()
}

impl Opened {
    pub fn advance(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Status and body (`null` for none) of a request.
    pub async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/vault/v1/{path}"))
            .header("x-vault-token", token)
            .body(if body.is_null() {
                Body::empty()
            } else {
                Body::from(body.to_string())
            })
            .unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub async fn root(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.call(ROOT, method, path, body).await
    }

    pub async fn write(&self, path: &str, data: Value) {
        let (status, body) = self
            .root(
                "POST",
                &format!("secret/data/{path}"),
                json!({"data": data}),
            )
            .await;
        assert_eq!(status, 200, "{body}");
    }

    pub async fn policy(&self, name: &str, source: &str) {
        let body = json!({"policy": source});
        let (status, body) = self
            .root("PUT", &format!("sys/policies/acl/{name}"), body)
            .await;
        assert_eq!(status, 204, "{body}");
    }

    /// Makes a token; returns it.
    pub async fn token(&self, parent: &str, request: Value) -> String {
        let (status, body) = self
            .call(parent, "POST", "auth/token/create", request)
            .await;
        assert_eq!(status, 200, "{body}");
        body["auth"]["client_token"].as_str().unwrap().to_owned()
    }
}
