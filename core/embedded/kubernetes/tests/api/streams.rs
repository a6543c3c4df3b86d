//! What is open already ends for whoever loses the right to it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalyst_kubernetes::{
    ExecRequest, ExecSession, LogRequest, PodBackend, PodError, PortConnection, PortRequest,
    Standing, Stands,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt;

use crate::support::{Api, MAPS, Socket, TOKEN_KEY, config_map};

/// The longest that a stream may outlive a right.
const BOUND: Duration = Duration::from_secs(5);
const BINDINGS: &str = "a/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";

pub async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, waiting)
        .await
        .unwrap_or_else(|_| panic!("not within {BOUND:?}: {what}"))
}

pub async fn bind(api: &Api, subject: Value, role: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    });
    let bound = api.post(BINDINGS, binding).await;
    assert_eq!(bound.code, 201, "{}", bound.body);
}

pub fn developers() -> Value {
    json!({"kind": "Group", "name": "developers"})
}

pub fn with_token(path: &str, token: &str) -> Request<Body> {
    Request::builder()
        .uri(format!("/clusters/{path}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap()
}

/// A user who is there until told otherwise.
pub struct User {
    pub is_gone: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl User {
    pub fn new() -> Self {
        Self {
            is_gone: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub fn standing(&self) -> Standing {
        let (is_gone, asked) = (Arc::clone(&self.is_gone), Arc::clone(&self.asked));
        Standing::new(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            let is_gone = is_gone.load(Ordering::SeqCst);
            async move { if is_gone { Stands::Ended } else { Stands::Yes } }
        })
    }
}

/// A watch that is open, line by line.
struct Open {
    chunks: axum::body::BodyDataStream,
    pending: Vec<u8>,
}

impl Open {
    async fn by(api: &Api, request: Request<Body>) -> Self {
        let response = api.kubernetes.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            chunks: response.into_body().into_data_stream(),
            pending: Vec::new(),
        }
    }

    /// The next event, or nothing at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = self.chunks.next().await?.unwrap();
            self.pending.extend_from_slice(&chunk);
        }
    }

    /// Reads an object's name off the watch, to see that it is alive.
    async fn sees(&mut self, name: &str) {
        let event = within("an event", self.next()).await.unwrap();
        assert_eq!(event["object"]["metadata"]["name"], name, "{event}");
    }

    async fn ends_with(&mut self, code: u16) {
        let event = within("the end of the watch", self.next()).await.unwrap();
        assert_eq!(event["type"], "ERROR", "{event}");
        assert_eq!(event["object"]["code"], code, "{event}");
        assert_eq!(within("nothing more", self.next()).await, None);
    }
}

/// A watch of ConfigMaps made from now on, with a token.
async fn watch(api: &Api, token: &str, standing: Option<Standing>) -> Open {
    let list = api.get(MAPS).await.body;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=true&resourceVersion={version}");
    let mut request = with_token(&path, token);
    if let Some(standing) = standing {
        request.extensions_mut().insert(standing);
    }
    Open::by(api, request).await
}

#[tokio::test]
async fn a_watch_ends_when_its_user_is_gone() {
    let api = Api::start().await;
    bind(&api, developers(), "view").await;
    let user = User::new();
    let mut watch = watch(&api, "jane-token", Some(user.standing())).await;
    api.post(MAPS, config_map("x", "1")).await;
    watch.sees("x").await;
    user.is_gone.store(true, Ordering::SeqCst);
    watch.ends_with(401).await;
}

#[tokio::test]
async fn a_watch_ends_when_the_right_to_it_is_taken() {
    let api = Api::start().await;
    bind(&api, developers(), "view").await;
    let mut watch = watch(&api, "jane-token", None).await;
    // Other changes of the policy leave it open.
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "r"}, "rules": []});
    let path = "a/apis/rbac.authorization.k8s.io/v1/clusterroles";
    assert_eq!(api.post(path, role).await.code, 201);
    api.post(MAPS, config_map("x", "1")).await;
    watch.sees("x").await;
    let gone = api
        .call(Method::DELETE, &format!("{BINDINGS}/b"), Value::Null)
        .await;
    assert_eq!(gone.code, 200, "{}", gone.body);
    api.post(MAPS, config_map("y", "1")).await;
    watch.ends_with(403).await;
}

const ACCOUNT: &str = "a/api/v1/namespaces/default/serviceaccounts/ci";

/// The token of a service account that may look.
async fn account_token(api: &Api) -> String {
    let accounts = "a/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ci"}});
    assert_eq!(api.post(accounts, account).await.code, 201);
    let subject = json!({"kind": "ServiceAccount", "namespace": "default", "name": "ci"});
    bind(api, subject, "view").await;
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = api.post(&format!("{ACCOUNT}/token"), request).await;
    answer.body["status"]["token"].as_str().unwrap().to_owned()
}

/// The token with another end, signed as the API signs.
fn ending_at(token: &str, second: i64) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let mut claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["exp"] = json!(second);
    let key = EncodingKey::from_secret(&TOKEN_KEY);
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

#[tokio::test]
async fn a_watch_ends_with_its_service_account() {
    let api = Api::start().await;
    let token = account_token(&api).await;
    let mut watch = watch(&api, &token, None).await;
    api.post(MAPS, config_map("x", "1")).await;
    watch.sees("x").await;
    api.call(Method::DELETE, ACCOUNT, Value::Null).await;
    watch.ends_with(401).await;
}

#[tokio::test]
async fn a_watch_outlives_its_token_but_not_its_service_account() {
    let api = Api::start().await;
    let token = account_token(&api).await;
    // Good for two seconds more: clocks may differ by ten.
    let token = ending_at(&token, jiff::Timestamp::now().as_second() - 8);
    let mut watch = watch(&api, &token, None).await;
    let over = async {
        while api.send(with_token(MAPS, &token)).await.code != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the end of the token", over).await;
    api.post(MAPS, config_map("x", "1")).await;
    watch.sees("x").await;
    api.call(Method::DELETE, ACCOUNT, Value::Null).await;
    watch.ends_with(401).await;
}

#[tokio::test]
async fn a_watch_ends_with_its_cluster() {
    let api = Api::start().await;
    bind(&api, developers(), "view").await;
    let mut watch = watch(&api, "jane-token", None).await;
    assert!(api.kubernetes.delete_cluster("a").await.unwrap());
    loop {
        // What goes with the cluster may still be told.
        match within("the end", watch.next()).await {
            None => return,
            Some(event) => assert!(
                event["type"] == "DELETED" || event["object"]["code"] == 404,
                "{event}"
            ),
        }
    }
}

#[tokio::test]
async fn nobody_is_asked_about_once_the_watch_is_over() {
    let api = Api::start().await;
    bind(&api, developers(), "view").await;
    let user = User::new();
    let standing = user.standing();
    let watch = watch(&api, "jane-token", Some(standing)).await;
    let asked = async {
        while user.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the first look", asked).await;
    drop(watch);
    // The one who looks lets go of what it asks by.
    let let_go = async {
        while Arc::strong_count(&user.asked) > 1 {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the looks", let_go).await;
}

/// Pods whose logs say one line and go on, whose commands run until ended, and whose
/// ports send back what they are sent.
#[derive(Default)]
pub struct Pods {
    /// Comes back when the last command that was started is ended.
    command: Mutex<Option<oneshot::Receiver<()>>>,
    /// From when on the last log was asked for.
    since: Mutex<Option<String>>,
}

impl Pods {
    /// Comes back when the command that was started last is ended.
    pub fn command(&self) -> oneshot::Receiver<()> {
        self.command.lock().unwrap().take().unwrap()
    }
}

impl PodBackend for Pods {
    fn logs(
        &self,
        request: LogRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<Bytes, std::io::Error>>, PodError>> {
        *self.since.lock().unwrap() = request.since_time;
        let line = futures::stream::iter([Ok(Bytes::from_static(b"hello\n"))]);
        Box::pin(async move { Ok(line.chain(futures::stream::pending()).boxed()) })
    }

    fn exec(&self, _: ExecRequest) -> BoxFuture<'_, Result<ExecSession, PodError>> {
        let (stdin, mut input) = mpsc::channel(1);
        let (output, stdout) = mpsc::channel(1);
        let (errors, stderr) = mpsc::channel(1);
        let (mut exited, exit) = oneshot::channel();
        let (resize, _) = mpsc::channel(1);
        let (ended, end) = oneshot::channel();
        *self.command.lock().unwrap() = Some(end);
        tokio::spawn(async move {
            let _errors = errors;
            drop(output.send(Bytes::from_static(b"hello\n")).await);
            tokio::select! {
                () = exited.closed() => drop(ended.send(())),
                () = async { while input.recv().await.is_some() {} std::future::pending().await } => {}
            }
        });
        Box::pin(async move {
            Ok(ExecSession {
                stdin,
                stdout,
                stderr,
                exit,
                resize,
            })
        })
    }

    /// Sends back what it is sent.
    fn connect(&self, _: PortRequest) -> BoxFuture<'_, Result<PortConnection, PodError>> {
        let (near, far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            drop(tokio::io::copy(&mut reader, &mut writer).await);
        });
        let connection: PortConnection = Box::new(near);
        Box::pin(async move { Ok(connection) })
    }
}

pub const POD: &str = "a/api/v1/namespaces/default/pods/p";

pub async fn with_a_pod() -> (Api, Arc<Pods>) {
    let pods = Arc::new(Pods::default());
    (with_pods(pods.clone()).await, pods)
}

/// One pod, of which somebody else knows what runs in it.
pub async fn with_pods(backend: Arc<dyn PodBackend>) -> Api {
    let api = Api::start_with(Some(backend)).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"nodeName": "local", "containers": [{"name": "c", "image": "i"}]}});
    let made = api.post("a/api/v1/namespaces/default/pods", pod).await;
    assert_eq!(made.code, 201, "{}", made.body);
    api
}

#[tokio::test]
async fn a_log_that_is_followed_ends_when_the_right_to_it_is_taken() {
    let (api, _) = with_a_pod().await;
    bind(&api, developers(), "view").await;
    let request = with_token(&format!("{POD}/log?follow=true"), "jane-token");
    let response = api.kubernetes.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut log = response.into_body().into_data_stream();
    let line = within("a line", log.next()).await.unwrap().unwrap();
    assert_eq!(line, "hello\n");
    api.call(Method::DELETE, &format!("{BINDINGS}/b"), Value::Null)
        .await;
    assert!(within("the end of the log", log.next()).await.is_none());
}

#[tokio::test]
async fn a_log_is_asked_for_from_a_time_on() {
    let (api, pods) = with_a_pod().await;
    bind(&api, developers(), "view").await;
    for (query, since) in [
        (
            "sinceTime=2026-01-02T03%3A04%3A05Z",
            Some("2026-01-02T03:04:05Z"),
        ),
        ("follow=true", None),
    ] {
        let request = with_token(&format!("{POD}/log?{query}"), "jane-token");
        let response = api.kubernetes.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(pods.since.lock().unwrap().as_deref(), since, "{query}");
    }
}

#[tokio::test]
async fn a_log_that_has_not_begun_says_why() {
    let (api, _) = with_a_pod().await;
    let status = json!({"status": {"phase": "Pending", "containerStatuses": [{
        "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {},
    }]}});
    let path = format!("{POD}/status");
    let written = api.patch(&path, "merge-patch+json", status).await;
    assert_eq!(written.code, 200, "{}", written.body);
    for query in ["", "?follow=true"] {
        let answer = api.get(&format!("{POD}/log{query}")).await;
        assert_eq!(answer.code, 400, "{}", answer.body);
        assert_eq!(answer.body["reason"], "BadRequest");
        assert_eq!(
            answer.body["message"],
            "container \"c\" in pod \"p\" is waiting to start: ContainerCreating"
        );
    }
}

#[tokio::test]
async fn a_command_ends_when_its_user_is_gone() {
    const BINARY: u8 = 2;
    const CLOSE: u8 = 8;
    let (api, pods) = with_a_pod().await;
    bind(&api, developers(), "edit").await;
    let user = User::new();
    let path = format!("{POD}/exec?command=sh&stdin=true&stdout=true");
    let mut socket = Socket::open(&api, &path, "v5.channel.k8s.io", user.standing()).await;
    let (kind, content) = within("output", socket.frame()).await;
    assert_eq!(
        (kind, content.as_slice()),
        (BINARY, b"\x01hello\n".as_slice())
    );
    let command = pods.command();
    user.is_gone.store(true, Ordering::SeqCst);
    within("the end of the command", command).await.unwrap();
    let (kind, content) = within("the reason", socket.frame()).await;
    assert_eq!((kind, content[0]), (BINARY, 3));
    let status: Value = serde_json::from_slice(&content[1..]).unwrap();
    assert_eq!(status["code"], 401);
    let (kind, _) = within("the close", socket.frame()).await;
    assert_eq!(kind, CLOSE);
    let rest = within("the end of the connection", socket.0.read_u8()).await;
    assert!(rest.is_err(), "{rest:?}");
}
