//! An API of one cluster `a`, driven in process.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use catalyst_kubernetes::{Authenticators, Config, Identity, Kubernetes, PodBackend, Tasks};
use catalyst_store::{Options, Store};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Signs service accounts' tokens.
pub const TOKEN_KEY: [u8; 32] = [7; 32];

pub struct Api {
    pub kubernetes: Kubernetes,
    _tasks: Tasks,
    _folder: tempfile::TempDir,
}

pub struct Answer {
    pub code: u16,
    pub body: Value,
    pub warnings: Vec<String>,
}

impl Api {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With something that runs pods.
    pub async fn start_with(pods: Option<Arc<dyn PodBackend>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let tokens = [(
            "jane-token".to_owned(),
            Identity {
                user: "jane".into(),
                groups: vec!["developers".into()],
            },
        )];
        let kubernetes = Kubernetes::new(Config {
            store,
            authenticators: Authenticators {
                tokens: tokens.into(),
                oidc: Vec::new(),
            },
            token_key: TOKEN_KEY.to_vec(),
            root_ca: "CA".into(),
            pods,
        });
        assert!(kubernetes.create_cluster("a", &[]).await.unwrap());
        let tasks = kubernetes.start();
        Self {
            kubernetes,
            _tasks: tasks,
            _folder: folder,
        }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.kubernetes.router().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let warnings = response
            .headers()
            .get_all("warning")
            .iter()
            .map(|one| one.to_str().unwrap().to_owned())
            .collect();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer {
            code,
            body,
            warnings,
        }
    }

    pub fn request(method: Method, path: &str, kind: &str, body: Body) -> Request<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/clusters/{path}"))
            .header("content-type", kind)
            .body(body)
            .unwrap();
        request
            .extensions_mut()
            .insert(Identity::administrator("admin"));
        request
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        self.send(Self::request(method, path, "application/json", body))
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        let kind = format!("application/{kind}");
        self.send(Self::request(
            Method::PATCH,
            path,
            &kind,
            Body::from(body.to_string()),
        ))
        .await
    }

    /// Waits until a path answers as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{path}: {} {}",
                answer.code,
                answer.body
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

pub const MAPS: &str = "a/api/v1/namespaces/default/configmaps";
