//! A forge on a real listener, a receiver of hooks and checks, and git.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use base64::Engine;
use catalyst_forge::{CheckConfig, Config, Forge, Identity, IdentityVerifier};
use catalyst_store::{Options, Store, Transaction};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

const ADMIN: &str = "the-admin-token";

/// A request that the sink received.
#[derive(Clone)]
pub struct Got {
    headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).cloned().unwrap_or_default()
    }
}

#[derive(Default)]
struct Inside {
    got: HashMap<String, Vec<Got>>,
    failures: HashMap<String, usize>,
    check: String,
}

/// Receives hooks, and answers the pre-receive check.
#[derive(Clone)]
pub struct Sink {
    address: String,
    inside: Arc<Mutex<Inside>>,
    /// Lets one check go on that is `held`.
    pub release: Arc<Notify>,
}

impl Sink {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let sink = Self {
            address,
            inside: Arc::default(),
            release: Arc::default(),
        };
        let app = axum::Router::new()
            .fallback(receive)
            .with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        sink
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub fn fail_next(&self, path: &str, count: usize) {
        self.inside
            .lock()
            .unwrap()
            .failures
            .insert(path.to_owned(), count);
    }

    pub fn set_check(&self, mode: &str) {
        self.inside.lock().unwrap().check = mode.to_owned();
    }

    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Got> {
        let wait = async {
            loop {
                let got = self
                    .inside
                    .lock()
                    .unwrap()
                    .got
                    .get(path)
                    .cloned()
                    .unwrap_or_default();
                if got.len() >= count {
                    return got;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .expect("requests did not come")
    }
}

async fn receive(State(sink): State<Sink>, request: Request) -> axum::response::Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().iter();
    let headers = headers
        .map(|(k, v)| (k.to_string(), v.to_str().unwrap_or_default().to_owned()))
        .collect();
    let body = axum::body::to_bytes(request.into_body(), 64 << 20)
        .await
        .unwrap()
        .to_vec();
    let mode = {
        let mut inside = sink.inside.lock().unwrap();
        inside.got.entry(path.clone()).or_default().push(Got {
            headers,
            body: body.clone(),
        });
        if let Some(left) = inside.failures.get_mut(&path).filter(|left| **left > 0) {
            *left -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        inside.check.clone()
    };
    if path != "/check" {
        return StatusCode::OK.into_response();
    }
    if mode == "held" {
        sink.release.notified().await;
    }
    match mode.as_str() {
        "error" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "garbage" => "not json".into_response(),
        "silent" => std::future::pending().await,
        _ => {
            let question: Value = serde_json::from_slice(&body).unwrap();
            let files = question["files"].as_array().unwrap();
            let bad = files
                .iter()
                .find(|f| f["content"].as_str().is_some_and(|c| c.contains("bad")));
            let messages: Vec<String> = bad
                .iter()
                .map(|f| format!("{}:1: bad is not allowed", f["path"].as_str().unwrap()))
                .collect();
            axum::Json(json!({"allowed": bad.is_none(), "messages": messages})).into_response()
        }
    }
}

struct Issuer;

impl IdentityVerifier for Issuer {
    fn verify<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<Identity>> {
        Box::pin(async move {
            let username = token.strip_prefix("oidc-")?.to_owned();
            Some(Identity {
                username,
                email: None,
                admin: false,
            })
        })
    }
}

struct Running {
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    deliveries: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
}

pub struct Sovereign {
    _temporary: tempfile::TempDir,
    pub dir: String,
    pub base: String,
    pub sink: Sink,
    checked: bool,
    http: reqwest::Client,
    tokens: Mutex<HashMap<String, String>>,
    running: Option<Running>,
}

impl Sovereign {
    pub async fn start() -> Self {
        Self::new(false).await
    }

    pub async fn start_checked() -> Self {
        Self::new(true).await
    }

    async fn new(checked: bool) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().to_str().unwrap().to_owned();
        let mut sovereign = Self {
            _temporary: temporary,
            dir,
            base: String::new(),
            sink: Sink::start().await,
            checked,
            http: reqwest::Client::new(),
            tokens: Mutex::default(),
            running: None,
        };
        sovereign.open().await;
        sovereign
    }

    async fn open(&mut self) {
        let store = Store::open(self.path("store.redb"), Options::default()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.base = format!("http://{}/git", listener.local_addr().unwrap());
        let mut config = Config::new(self.path("data"), store, self.base.clone());
        config.admin_token = Some(ADMIN.to_owned());
        config.verifier = Some(Arc::new(Issuer));
        if self.checked {
            let mut check = CheckConfig::at(self.sink.url("/check"));
            check.timeout = Duration::from_secs(2);
            config.check = Some(check);
        }
        let forge = Forge::open(config).await.unwrap();
        let app = axum::Router::new().nest("/git", forge.router());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let done = async { drop(stopped.await) };
            tokio::select! {
                result = std::future::IntoFuture::into_future(axum::serve(listener, app)) => result.unwrap(),
                () = done => {}
            }
        });
        let (end, ended) = oneshot::channel::<()>();
        let worker = tokio::spawn(async move { forge.run(async { drop(ended.await) }).await });
        self.running = Some(Running {
            stop,
            served,
            deliveries: Some((end, worker)),
        });
    }

    pub async fn stop_deliveries(&mut self) {
        let running = self.running.as_mut().unwrap();
        let (end, worker) = running.deliveries.take().unwrap();
        end.send(()).unwrap();
        worker.await.unwrap();
    }

    /// Everything is closed and opened again from the disk.
    pub async fn restart(&mut self) {
        self.restart_after(Transaction::new()).await;
    }

    /// The same, with a change made to the store in between.
    pub async fn restart_after(&mut self, transaction: Transaction) {
        if self.running.as_ref().unwrap().deliveries.is_some() {
            self.stop_deliveries().await;
        }
        let Running { stop, served, .. } = self.running.take().unwrap();
        stop.send(()).unwrap();
        served.await.unwrap();
        // Connections still open hold the store; a new client lets go of them.
        self.http = reqwest::Client::new();
        let path = self.path("store.redb");
        let free = async {
            loop {
                match Store::open(&path, Options::default()) {
                    Ok(store) => return store,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let store = tokio::time::timeout(Duration::from_secs(20), free)
            .await
            .expect("the store stays locked");
        store.commit(transaction).await.unwrap();
        drop(store);
        self.open().await;
    }

    /// Users, the organization acme with the repository dev: alice and bob
    /// write, ruth reads, mallory is an outsider.
    pub async fn seed(&self) {
        for user in ["alice", "bob", "ruth", "mallory"] {
            let body = json!({"username": user, "email": format!("{user}@acme.example")});
            assert_eq!(self.post("admin", "/admin/users", body).await.0, 201);
            let token = json!({"name": "test", "scopes": ["all"]});
            let (status, token) = self
                .post("admin", &format!("/users/{user}/tokens"), token)
                .await;
            assert_eq!(status, 201, "{token}");
            let secret = token["sha1"].as_str().unwrap().to_owned();
            self.tokens.lock().unwrap().insert(user.to_owned(), secret);
        }
        assert_eq!(
            self.post("admin", "/orgs", json!({"username": "acme"}))
                .await
                .0,
            201
        );
        assert_eq!(
            self.post("admin", "/orgs/acme/repos", json!({"name": "dev"}))
                .await
                .0,
            201
        );
        for (name, permission, members) in [
            ("developers", "write", vec!["alice", "bob"]),
            ("readers", "read", vec!["ruth"]),
        ] {
            let body = json!({"name": name, "permission": permission});
            let (status, team) = self.post("admin", "/orgs/acme/teams", body).await;
            assert_eq!(status, 201, "{team}");
            let base = format!("/teams/{}", team["id"]);
            for user in members {
                let path = format!("{base}/members/{user}");
                assert_eq!(self.send("PUT", "admin", &path, json!({})).await.0, 204);
            }
            let path = format!("{base}/repos/acme/dev");
            assert_eq!(self.send("PUT", "admin", &path, json!({})).await.0, 204);
        }
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn token(&self, user: &str) -> Option<String> {
        match user {
            "nobody" => None,
            "admin" => Some(ADMIN.to_owned()),
            _ => Some(self.tokens.lock().unwrap()[user].clone()),
        }
    }

    pub fn remote(&self, user: &str, repo: &str) -> String {
        let token = self.token(user).unwrap();
        let address = self.base.trim_start_matches("http://");
        format!("http://{user}:{token}@{address}/{repo}.git")
    }

    pub async fn call(
        &self,
        verb: &str,
        token: Option<&str>,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(verb.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("token {token}"));
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub async fn send(&self, verb: &str, user: &str, path: &str, body: Value) -> (u16, Value) {
        self.call(verb, self.token(user).as_deref(), path, body)
            .await
    }

    pub async fn get(&self, user: &str, path: &str) -> (u16, Value) {
        self.send("GET", user, path, Value::Null).await
    }

    pub async fn post(&self, user: &str, path: &str, body: Value) -> (u16, Value) {
        self.send("POST", user, path, body).await
    }

    /// `X-Total-Count`, `Link` and the body of a listing.
    pub async fn page(&self, user: &str, path: &str) -> (String, String, Value) {
        let request = self.http.get(format!("{}/api/v1{path}", self.base));
        let response = request
            .bearer_auth(self.token(user).unwrap())
            .send()
            .await
            .unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name).unwrap();
            value.to_str().unwrap().to_owned()
        };
        (
            header("x-total-count"),
            header("link"),
            response.json().await.unwrap(),
        )
    }

    /// Writes one file, whatever is there, on a branch or a new one.
    pub async fn put_file(&self, user: &str, branch: &str, new: &str, path: &str, content: &str) {
        let url = format!("/repos/acme/dev/contents/{path}");
        let (status, old) = self.get(user, &format!("{url}?ref={branch}")).await;
        let mut body = json!({"branch": branch, "message": format!("Write {path}"), "content": base64(content)});
        if !new.is_empty() {
            body["new_branch"] = json!(new);
        }
        let verb = if status == 200 { "PUT" } else { "POST" };
        if status == 200 {
            body["sha"] = old["sha"].clone();
        }
        let (status, answer) = self.send(verb, user, &url, body).await;
        assert!(status == 200 || status == 201, "{status} {answer}");
    }
}

pub fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

pub fn hmac_hex(key: &str, body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
    hex::encode(aws_lc_rs::hmac::sign(&key, body))
}

async fn run(directory: impl AsRef<Path>, arguments: &[&str]) -> (bool, String, String) {
    let output = tokio::process::Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@acme.example"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

pub async fn git(directory: impl AsRef<Path>, arguments: &[&str]) -> String {
    let (fine, out, error) = run(directory, arguments).await;
    assert!(fine, "git {arguments:?}: {error}");
    out
}

pub async fn git_fails(directory: impl AsRef<Path>, arguments: &[&str]) -> String {
    let (fine, out, error) = run(directory, arguments).await;
    assert!(!fine, "git {arguments:?} succeeded: {out}");
    error
}
