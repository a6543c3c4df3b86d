//! A Kubernetes API, and what the cases do with it.

use std::time::Duration;

use axum::body::Body;
use catalyst_kubernetes::{Authenticators, Identity, Kubernetes, Tasks};
use catalyst_store::{Options, Store};
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;

pub const JSON: &str = "application/json";
pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

#[derive(Clone)]
pub struct World {
    client: kube::Client,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body, when the API agreed.
    pub fn ok(self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.body);
        self.body
    }

    /// Status and reason of a refusal, whose shape is checked.
    pub fn refused(&self, status: u16, reason: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["kind"], "Status", "{}", self.body);
        assert_eq!(self.body["status"], "Failure", "{}", self.body);
        assert_eq!(self.body["reason"], reason, "{}", self.body);
        assert_eq!(self.body["code"], status, "{}", self.body);
    }
}

impl World {
    pub async fn embedded() -> (Self, (Tasks, tempfile::TempDir)) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let kubernetes = Kubernetes::new(catalyst_kubernetes::Config {
            store,
            authenticators: Authenticators {
                tokens: Default::default(),
                oidc: Vec::new(),
            },
            token_key: vec![7; 32],
            root_ca: "CA".into(),
            pods: None,
        });
        kubernetes.create_cluster("main", &[]).await.unwrap();
        let tasks = kubernetes.start();
        let router = kubernetes.router();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let router = router.clone();
            let (mut parts, body) = request.into_parts();
            let path = format!("/clusters/main{}", parts.uri.path_and_query().unwrap());
            parts.uri = path.parse().unwrap();
            parts.extensions.insert(Identity::administrator("admin"));
            router.oneshot(http::Request::from_parts(parts, Body::new(body)))
        });
        let client = kube::Client::new(service, "default");
        (Self { client }, (tasks, folder))
    }

    pub async fn named() -> Option<Self> {
        let path = std::env::var("CATALYST_TEST_KUBECONFIG").ok()?;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
        let client = kube::Client::try_from(config.await.unwrap()).unwrap();
        Some(Self { client })
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> http::Response<kube::client::Body> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(kube::client::Body::from(body)).unwrap();
        self.client.send(request).await.unwrap()
    }

    /// Asks with headers of the case's own.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let bytes = match body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            body => body.to_string().into_bytes(),
        };
        let (parts, body) = self.send(method, path, headers, bytes).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], &Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let headers = [("content-type", JSON)];
        self.ask("POST", path, &headers, &body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        let headers = [("content-type", JSON)];
        self.ask("PUT", path, &headers, &body).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        self.ask("PATCH", path, &[("content-type", kind)], &body)
            .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], &Value::Null).await
    }

    pub async fn ask_as(&self, user: &str, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", JSON), ("impersonate-user", user)];
        self.ask(method, path, &headers, body).await
    }

    /// A namespace of the case's own.
    pub async fn namespace(&self, name: &str) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.post("/api/v1/namespaces", body).await.ok();
    }

    /// A ConfigMap with a key; returns it.
    pub async fn map(&self, namespace: &str, name: &str, value: &str) -> Value {
        self.post(&maps(namespace), map(name, value)).await.ok()
    }

    /// A Secret without content; there are no others in its namespace.
    pub async fn secret(&self, namespace: &str, name: &str) -> Value {
        let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        self.post(&secrets(namespace), body).await.ok()
    }

    /// The first `count` events of a watch.
    pub async fn watch(&self, path: &str, count: usize) -> Vec<Value> {
        let work = async {
            let answer = self.send("GET", path, &[], Vec::new()).await;
            assert_eq!(answer.status(), 200);
            let mut stream = answer.into_body().into_data_stream();
            let (mut events, mut rest) = (Vec::new(), Vec::new());
            while events.len() < count {
                let bytes = stream.next().await.expect("the watch goes on").unwrap();
                rest.extend_from_slice(&bytes);
                while let Some(end) = rest.iter().position(|it| *it == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    events.push(serde_json::from_slice(&line).unwrap());
                }
            }
            events
        };
        timeout(Duration::from_secs(30), work)
            .await
            .expect("the events of the watch")
    }

    /// Waits until what a path answers satisfies.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let work = async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = timeout(Duration::from_secs(30), work).await;
        found.unwrap_or_else(|_| panic!("{path} did not become as wanted"))
    }
}

pub fn maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

pub fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

pub fn deployments(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments")
}

pub fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"key": value}})
}

pub fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}})
}

pub fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .map(|it| it["metadata"]["name"].as_str().unwrap())
        .collect()
}
