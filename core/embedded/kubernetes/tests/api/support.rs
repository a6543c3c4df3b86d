//! An API of one cluster `a`, driven in process.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use catalyst_kubernetes::{
    Authenticators, Config, Identity, Kubernetes, PodBackend, Standing, Tasks,
};
use catalyst_store::{Options, Store};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
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

/// A connection that is taken over from HTTP.
pub struct Socket(pub DuplexStream);

impl Socket {
    /// A WebSocket of jane's.
    pub async fn open(api: &Api, path: &str, protocol: &str, standing: Standing) -> Self {
        let request = format!(
            "GET /clusters/{path} HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n"
        );
        let (socket, head) = Self::ask(api, &request, standing).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let chosen = format!("sec-websocket-protocol: {protocol}\r\n");
        assert!(head.contains(&chosen), "{head}");
        socket
    }

    /// Asks for an upgrade; the head of the answer.
    pub async fn ask(api: &Api, request: &str, standing: Standing) -> (Self, String) {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let router = api.kubernetes.router().layer(axum::Extension(standing));
        tokio::spawn(async move {
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(router);
            let serving = builder.serve_connection_with_upgrades(TokioIo::new(server), service);
            serving.await.unwrap();
        });
        let mut socket = Self(client);
        let request = format!(
            "{request}Host: a\r\nAuthorization: Bearer jane-token\r\nConnection: Upgrade\r\n\r\n"
        );
        socket.0.write_all(request.as_bytes()).await.unwrap();
        let reading = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.0.read_u8().await.unwrap());
            }
            String::from_utf8(head).unwrap()
        };
        let head = tokio::time::timeout(Duration::from_secs(5), reading)
            .await
            .unwrap();
        (socket, head)
    }

    /// The next frame of a WebSocket, as a server sends it: its kind and content.
    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        let reading = async {
            let kind = self.0.read_u8().await.unwrap() & 0x0f;
            let length = match self.0.read_u8().await.unwrap() {
                126 => self.0.read_u16().await.unwrap().into(),
                short => usize::from(short),
            };
            let mut content = vec![0; length];
            self.0.read_exact(&mut content).await.unwrap();
            (kind, content)
        };
        tokio::time::timeout(Duration::from_secs(5), reading)
            .await
            .unwrap()
    }

    /// Sends a short binary frame, as a client does: masked, here with nothing.
    pub async fn send(&mut self, content: &[u8]) {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 126);
        let mut frame = vec![0x82, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(content);
        self.0.write_all(&frame).await.unwrap();
    }
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

pub const MAPS: &str = "a/api/v1/namespaces/default/configmaps";
