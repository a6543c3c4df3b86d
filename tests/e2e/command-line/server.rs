//! A server that speaks the contract: the REST API for one Environment, and the
//! issuer's endpoints for the public client `catalyst-cli`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Path, Query, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::secure::{self, Secure};

/// The token that scripts pass.
pub const TOKEN: &str = "script-token";

/// What the server was asked and what it will say.
#[derive(Default)]
pub struct Seen {
    /// Method, path and body of every call of the API, in order.
    pub calls: Vec<(String, Value)>,
    /// The challenge of the last authorization request, and its redirect URI.
    pub challenge: Option<(String, String)>,
    /// The refresh token that counts now.
    pub refresh: u32,
    /// Access tokens that were given; those below `expired` no longer count.
    pub access: u32,
    pub expired: u32,
    /// How often the device asked.
    pub polls: u32,
    /// What the application is called.
    pub name: String,
    /// Where it stands.
    pub phase: String,
    pub revision: Option<String>,
    pub installed: bool,
    /// A Blueprint of acme.
    pub blueprint: Option<Value>,
    /// The policy that there is.
    pub policy: Option<Value>,
    /// Whether no container of the Application has started.
    pub is_silent: bool,
    /// Whether acme or its Environment is on its way out.
    pub is_going: bool,
    /// The members of acme, once somebody looks.
    pub members: Vec<Value>,
    /// Answers the next change with this problem.
    pub refuse: Option<Value>,
    /// How long new access tokens last.
    pub lifetime: i64,
    pub revoked: Vec<String>,
    /// Whether the scripts' token counts no longer.
    pub is_script_over: bool,
    /// Whether the caller is acme's org-admin, and not an org-developer.
    pub is_org_admin: bool,
    /// Whether a policy wants somebody to approve what goes to acme-prod.
    pub wants_approval: bool,
    /// A change whose effects show once somebody looks.
    pending: Option<Value>,
    /// The Sovereign's trusted signers, and one that it tells of from the second look.
    signers: Vec<Value>,
    next_signer: Option<Value>,
    streams: Vec<mpsc::UnboundedSender<String>>,
}

/// The running server.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    pub seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// Starts one.
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// Starts one that speaks TLS, and tells the authority (PEM) of its certificate.
    pub fn start_secure() -> (Self, String) {
        let (authority, acceptor) = secure::acceptor();
        (Self::serve(Some(acceptor)), authority)
    }

    /// Serves on a runtime of its own.
    fn serve(acceptor: Option<TlsAcceptor>) -> Self {
        let seen = Arc::new(Mutex::new(Seen {
            lifetime: 300,
            name: "guests".into(),
            phase: "Running".into(),
            ..Seen::default()
        }));
        let (sender, receiver) = std::sync::mpsc::channel();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let scheme = if acceptor.is_some() { "https" } else { "http" };
                let url = format!("{scheme}://{}", listener.local_addr().unwrap());
                let server = Server {
                    url: url.clone(),
                    seen: shared,
                };
                let router = server.router();
                sender.send(url).unwrap();
                match acceptor {
                    Some(acceptor) => {
                        let listener = Secure { listener, acceptor };
                        axum::serve(listener, router).await.unwrap();
                    }
                    None => axum::serve(listener, router).await.unwrap(),
                }
            });
        });
        Server {
            url: receiver.recv().unwrap(),
            seen,
        }
    }

    /// Says a change to everybody who listens.
    pub fn say(&self, item: &Value) {
        let text = format!("id: 1\nevent: change\ndata: {item}\n\n");
        let mut seen = self.seen.lock().unwrap();
        seen.streams
            .retain(|stream| stream.send(text.clone()).is_ok());
    }

    /// Says to everybody who listens that the Application is in another phase.
    pub fn set_phase(&self, phase: &str) {
        let item = {
            let mut seen = self.seen.lock().unwrap();
            seen.phase = phase.into();
            application(&seen)
        };
        self.say(&json!({"kind": "application", "item": item}));
    }

    /// Cuts everybody off who listens.
    pub fn end_streams(&self) {
        self.seen.lock().unwrap().streams.clear();
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let started = std::time::Instant::now();
        while !holds(&self.seen.lock().unwrap()) {
            assert!(
                started.elapsed() < std::time::Duration::from_secs(30),
                "{what}: not within 30 s"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// The calls so far, without those that only read.
    pub fn writes(&self) -> Vec<(String, Value)> {
        let seen = self.seen.lock().unwrap();
        let is_write = |call: &&(String, Value)| !call.0.starts_with("GET ");
        seen.calls.iter().filter(is_write).cloned().collect()
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/stream", get(stream))
            .route("/api/v1/{*path}", axum::routing::any(api))
            .route("/git/acme/acme-dev.git/info/refs", get(references))
            .route("/oidc/.well-known/openid-configuration", get(discovery))
            .route("/oidc/authorize", get(authorize))
            .route("/oidc/token", post(token))
            .route("/oidc/device_authorization", post(device))
            .route("/oidc/revoke", post(revoke))
            .with_state(self.clone())
    }

    /// The application as the API shows it.
    pub fn application(&self) -> Value {
        let seen = self.seen.lock().unwrap();
        application(&seen)
    }
}

impl Seen {
    /// Whether somebody listens.
    pub fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }
}

pub fn application(seen: &Seen) -> Value {
    let mut application = running(seen);
    if seen.is_silent {
        application["objects"] = json!([{
            "apiVersion": "v1", "kind": "Pod", "namespace": "guests", "name": "guests-1",
            "ready": false, "observedAt": "2026-01-01T00:00:00.000Z",
            "message": "container web: ErrImagePull: cannot pull image r/x:1: r has no 1 of x",
        }]);
    }
    application
}

fn running(seen: &Seen) -> Value {
    json!({
        "environment": "acme-dev", "name": seen.name, "source": "catalog",
        "blueprint": "bp-guestbook", "version": "1.0.0",
        "health": {
            "phase": seen.phase, "reason": "X",
            "message": if seen.phase == "Failed" { "pod guests-1: exit code 1" } else { "" },
            "observedAt": "2026-01-01T00:00:00.000Z", "since": "2026-01-01T00:00:00.000Z",
        },
        "url": "http://guests.acme-dev.localhost:8080/",
        "config": {"title": "Hello", "old": 1}, "dependencies": {"db": "guests-db"},
        "dependents": [], "namespace": "guests", "appliedRevision": seen.revision,
        "objects": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "guests",
            "name": "guests", "ready": true, "message": "", "observedAt": "2026-01-01T00:00:00.000Z",
        }],
    })
}

/// A repository's branches, as Git's simple protocol has them, for who signs in as ada.
async fn references(State(server): State<Server>, headers: HeaderMap) -> Response {
    let header = headers.get("authorization").and_then(|it| it.to_str().ok());
    let given = header
        .and_then(|it| it.strip_prefix("Basic "))
        .and_then(|it| STANDARD.decode(it).ok())
        .and_then(|it| String::from_utf8(it).ok());
    let token = given
        .as_deref()
        .and_then(|given| given.strip_prefix("ada:"));
    let is_known = token.is_some_and(|token| counts(&server.seen.lock().unwrap(), token));
    if !is_known {
        let asks = [("www-authenticate", "Basic realm=\"Catalyst\"")];
        return (StatusCode::UNAUTHORIZED, asks).into_response();
    }
    format!("{}\trefs/heads/main\n", "c0ffee00".repeat(5)).into_response()
}

async fn discovery(State(server): State<Server>) -> Json<Value> {
    let issuer = format!("{}/oidc", server.url);
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "device_authorization_endpoint": format!("{issuer}/device_authorization"),
        "revocation_endpoint": format!("{issuer}/revoke"),
    }))
}

/// Somebody who is signed in already and agrees at once.
async fn authorize(
    State(server): State<Server>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    assert_eq!(query["client_id"], "catalyst-cli");
    assert_eq!(query["code_challenge_method"], "S256");
    assert!(query["redirect_uri"].starts_with("http://127.0.0.1:"));
    let mut seen = server.seen.lock().unwrap();
    seen.challenge = Some((
        query["code_challenge"].clone(),
        query["redirect_uri"].clone(),
    ));
    Redirect::to(&format!(
        "{}?code=the-code&state={}&iss={}",
        query["redirect_uri"],
        query["state"],
        format!("{}/oidc", server.url)
            .replace(':', "%3A")
            .replace('/', "%2F")
    ))
    .into_response()
}

async fn token(
    State(server): State<Server>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut seen = server.seen.lock().unwrap();
    assert_eq!(form["client_id"], "catalyst-cli");
    let refused = |error: &str| {
        let body = json!({"error": error, "error_description": format!("{error}, in words")});
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    };
    match form["grant_type"].as_str() {
        "authorization_code" => {
            let digest = aws_lc_rs::digest::digest(
                &aws_lc_rs::digest::SHA256,
                form["code_verifier"].as_bytes(),
            );
            let challenge = URL_SAFE_NO_PAD.encode(digest);
            let expected = (challenge, form["redirect_uri"].clone());
            if form["code"] != "the-code" || seen.challenge != Some(expected) {
                return refused("invalid_grant");
            }
        }
        "refresh_token" => {
            if form["refresh_token"] != format!("refresh-{}", seen.refresh) {
                return refused("invalid_grant");
            }
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            assert_eq!(form["device_code"], "the-device");
            seen.polls += 1;
            if seen.polls == 1 {
                return refused("authorization_pending");
            }
        }
        other => panic!("{other}"),
    }
    seen.refresh += 1;
    seen.access += 1;
    Json(json!({
        "access_token": format!("access-{}", seen.access), "token_type": "Bearer",
        "expires_in": seen.lifetime, "refresh_token": format!("refresh-{}", seen.refresh),
    }))
    .into_response()
}

async fn device(State(server): State<Server>) -> Json<Value> {
    Json(json!({
        "device_code": "the-device", "user_code": "BCDF-GHJK",
        "verification_uri": format!("{}/oidc/device", server.url),
        "expires_in": 60, "interval": 0,
    }))
}

async fn revoke(State(server): State<Server>, Form(form): Form<BTreeMap<String, String>>) {
    let mut seen = server.seen.lock().unwrap();
    seen.revoked.push(form["token"].clone());
}

fn is_known(seen: &Seen, headers: &HeaderMap) -> bool {
    let header = headers.get("authorization").and_then(|it| it.to_str().ok());
    header
        .and_then(|it| it.strip_prefix("Bearer "))
        .is_some_and(|token| counts(seen, token))
}

fn counts(seen: &Seen, token: &str) -> bool {
    (token == TOKEN && !seen.is_script_over)
        || token
            .strip_prefix("access-")
            .and_then(|number| number.parse::<u32>().ok())
            .is_some_and(|number| number > seen.expired && number <= seen.access)
}

fn problem(status: u16, body: Value) -> Response {
    let mut body = body;
    body["status"] = json!(status);
    (
        StatusCode::from_u16(status).unwrap(),
        [("content-type", "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}

async fn stream(State(server): State<Server>, headers: HeaderMap) -> Response {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut seen = server.seen.lock().unwrap();
    if !is_known(&seen, &headers) {
        return problem(
            401,
            json!({"type": "about:catalyst/unauthenticated", "title": "Listen", "detail": "No."}),
        );
    }
    seen.streams.push(sender);
    let body = futures::stream::unfold(receiver, |mut receiver| async move {
        let text = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(text), receiver))
    });
    // Something at once, so that clients see the head.
    let hello = futures::stream::once(async { Ok(": hello\n\n".to_owned()) });
    let body = futures::StreamExt::chain(hello, body);
    (
        [("content-type", "text/event-stream")],
        Body::from_stream(body),
    )
        .into_response()
}

async fn api(
    State(server): State<Server>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    method: http::Method,
    headers: HeaderMap,
    body: String,
) -> Response {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    if path == "sovereign" {
        let url = &server.url;
        let mut seen = server.seen.lock().unwrap();
        let signers = seen.signers.clone();
        let next = seen.next_signer.take();
        seen.signers.extend(next);
        return Json(json!({
            "name": "localhost", "domain": "localhost", "version": "0.1.0",
            "addresses": {
                "console": url, "api": format!("{url}/api/v1"), "git": format!("{url}/git"),
                "registry": url.trim_start_matches("http://"), "issuer": format!("{url}/oidc"),
                "vault": format!("{url}/vault"),
            },
            "envTypes": ["dev", "prod"], "hostClusters": [], "trustedSigners": signers,
        }))
        .into_response();
    }
    // How lists are read is nothing that tests look at.
    let is_json = query.as_deref().is_some_and(|it| it.contains("json=true"));
    let call = match query {
        Some(query) if is_json || method != http::Method::GET => format!("{method} {path}?{query}"),
        _ => format!("{method} {path}"),
    };
    let (answer, pending) = {
        let mut seen = server.seen.lock().unwrap();
        if !is_known(&seen, &headers) {
            return problem(
                401,
                json!({"type": "about:catalyst/unauthenticated", "title": "Read the API", "detail": "The token is not known or has ended."}),
            );
        }
        seen.calls.push((call.clone(), body.clone()));
        // There is one, whatever it is called.
        let called = format!("applications/{}", seen.name);
        let call = call.replace(&called, "applications/guests");
        let answer = respond(&mut seen, &call, &body);
        let pending = match call.as_str() {
            "POST environments/acme-dev/changes" if answer.status().is_success() => {
                if body["command"] == "delete" {
                    Some(body)
                } else {
                    seen.pending = Some(body);
                    None
                }
            }
            "POST trusted-signers" => {
                let key = body["publicKey"].as_str().unwrap();
                let key = catalyst_signature::PublicKey::from_pem(key).unwrap();
                let mut signer = body.clone();
                signer["fingerprint"] = json!(key.fingerprint());
                seen.next_signer = Some(signer);
                None
            }
            "POST environments/acme-dev/pull-requests/4/merge" => {
                seen.pending = Some(json!({}));
                None
            }
            "GET environments/acme-dev/applications/guests" | "GET environments/acme-dev" => {
                seen.pending.take()
            }
            "PUT organizations/acme/members/bob" | "DELETE organizations/acme/members/bob" => {
                seen.pending = Some(json!({"command": "member", "member": body}));
                None
            }
            "DELETE environments/acme-dev?applications=drop"
            | "DELETE organizations/acme?applications=drop" => {
                seen.pending = Some(json!({"command": "go"}));
                None
            }
            "PUT policies/two-eyes" | "DELETE policies/two-eyes" => {
                seen.pending = Some(json!({"command": "policy", "policy": body}));
                None
            }
            "GET organizations/acme" | "GET policies" => seen.pending.take(),
            "GET organizations/initech" => Some(json!({"command": "create-organization"})),
            _ => None,
        };
        (answer, pending)
    };
    if let Some(change) = pending {
        go_on(server.clone(), change);
    }
    answer
}

/// After a change: the steps that the projector would tell of.
fn go_on(server: Server, body: Value) {
    tokio::spawn(async move {
        if body["command"] == "create-organization" {
            server
                .say(&json!({"kind": "organization", "item": organization("initech", "Running")}));
            return;
        }
        if body["command"] == "go" {
            let item = {
                let mut seen = server.seen.lock().unwrap();
                seen.is_going = true;
                environment(&seen)
            };
            server.say(&json!({"kind": "environment", "item": item}));
            return;
        }
        if body["command"] == "policy" {
            let policy = body["policy"].clone();
            let item = match policy.is_object() {
                true => json!({"kind": "policy", "item": policy}),
                false => json!({"kind": "removed", "item": {"kind": "policy", "name": "two-eyes"}}),
            };
            server.seen.lock().unwrap().policy = Some(policy).filter(Value::is_object);
            server.say(&item);
            return;
        }
        if body["command"] == "member" {
            let item = {
                let mut seen = server.seen.lock().unwrap();
                seen.members.clear();
                if body["member"].is_object() {
                    let mut member = body["member"].clone();
                    member["user"] = json!("bob");
                    seen.members.push(member);
                }
                acme(&seen)
            };
            server.say(&json!({"kind": "organization", "item": item}));
            return;
        }
        if body["command"] == "delete" {
            let name = {
                let mut seen = server.seen.lock().unwrap();
                seen.installed &= seen.name == "guests";
                format!("acme-dev/{}", seen.name)
            };
            // What a test made is gone without a trace.
            let left: &[&str] = match name.as_str() {
                "acme-dev/guests" => &["volume data-guests-db-0"],
                _ => &[],
            };
            server.say(&json!({"kind": "deletion", "item": {
                "kind": "Application", "name": name,
                "startedAt": "2026-01-01T00:00:00.000Z", "waitingFor": "the pods of guests",
            }}));
            server.say(&json!({"kind": "deletion", "item": {
                "kind": "Application", "name": name,
                "startedAt": "2026-01-01T00:00:00.000Z", "endedAt": "2026-01-01T00:00:09.000Z",
                "leftBehind": left,
            }}));
            return;
        }
        let steps: &[&str] = match body["config"]["title"].as_str() {
            Some("Broken") => &["Installing", "Failed"],
            Some("Slow") => &["Installing"],
            _ => &["Installing", "Running"],
        };
        for phase in steps {
            let item = {
                let mut seen = server.seen.lock().unwrap();
                seen.phase = (*phase).into();
                seen.revision = Some("c0ffee0000000000".into());
                seen.installed = true;
                application(&seen)
            };
            server.say(&json!({"kind": "application", "item": item}));
        }
    });
}

fn organization(name: &str, phase: &str) -> Value {
    json!({
        "name": name, "displayName": name, "members": [], "environments": [],
        "health": {"phase": phase, "reason": "", "message": "", "observedAt": "", "since": ""},
    })
}

fn phase(seen: &Seen) -> &'static str {
    match seen.is_going {
        true => "Deleting",
        false => "Running",
    }
}

fn acme(seen: &Seen) -> Value {
    let mut acme = organization("acme", phase(seen));
    acme["members"] = json!(seen.members);
    acme
}

fn environment(seen: &Seen) -> Value {
    json!({
        "name": "acme-dev", "organization": "acme", "envType": "dev", "vclusters": [],
        "repository": "r", "appliedRevision": seen.revision, "applications": 1, "policies": [],
        "health": {"phase": phase(seen), "reason": "", "message": "", "observedAt": "", "since": ""},
    })
}

/// Changes one Application and takes another away.
const DIFF: &str = "\
diff --git a/applications/guests/application.yaml b/applications/guests/application.yaml
--- a/applications/guests/application.yaml
+++ b/applications/guests/application.yaml
@@ -8 +8 @@ spec:
-    title: Hi
+    title: Hello
diff --git a/applications/old/application.yaml b/applications/old/application.yaml
deleted file mode 100644
";

fn pull_request(environment: &str, number: u64, state: &str) -> Value {
    json!({
        "environment": environment, "number": number, "title": "Tidy up", "body": "",
        "author": "ada", "head": "ada/tidy", "createdAt": "2026-01-01T00:00:00.000Z",
        "state": state, "approvals": [], "blockedBy": [], "diff": DIFF,
    })
}

fn respond(seen: &mut Seen, call: &str, body: &Value) -> Response {
    let accepted =
        json!({"repository": "acme/acme-dev", "commit": "c0ffee0000000000", "plan": "sha256:plan"});
    match call {
        "GET me" => {
            let role = match seen.is_org_admin {
                true => "org-admin",
                false => "org-developer",
            };
            Json(json!({
                "username": "ada", "email": "ada@example.org", "sovereignAdmin": false,
                "organizations": [{"organization": "acme", "role": role}],
            }))
            .into_response()
        }
        "GET environments/acme-dev/applications/guests" => match seen.installed {
            true => Json(application(seen)).into_response(),
            false => problem(
                404,
                json!({"type": "about:catalyst/not-found", "title": "Read guests in acme-dev", "detail": "There is no such Application."}),
            ),
        },
        "GET environments/acme-dev/applications" => {
            Json(json!({"items": [application(seen)]})).into_response()
        }
        "DELETE environments/acme-dev" => problem(
            409,
            json!({
                "type": "about:catalyst/refused", "title": "Delete the Environment acme-dev",
                "detail": "There is an Application in it: acme-dev/guests",
            }),
        ),
        "DELETE environments/acme-dev?applications=drop"
        | "DELETE organizations/acme?applications=drop" => {
            (StatusCode::ACCEPTED, Json(accepted)).into_response()
        }
        "GET blueprints/acme/bp-wiki" if seen.blueprint.is_some() => {
            Json(seen.blueprint.clone()).into_response()
        }
        "GET policies" => Json(json!({"items": seen.policy.iter().collect::<Vec<_>>()})).into_response(),
        "GET environments/acme-dev" => Json(environment(seen)).into_response(),
        "GET environments" | "GET organizations/acme/environments" => {
            Json(json!({"items": [environment(seen)]})).into_response()
        }
        "POST environments/acme-dev/plans" => Json(json!({
            "digest": "sha256:plan", "environment": "acme-dev", "subject": "Install guests",
            "applications": [{
                "action": "create", "name": seen.name, "source": "catalog",
                "blueprint": "bp-guestbook", "version": "1.0.0", "because": "asked for",
            }],
            "files": [{"action": "create", "path": "applications/guests/application.yaml", "diff": "+a\n"}],
            "objects": [],
        }))
        .into_response(),
        "POST environments/acme-dev/changes" => match seen.refuse.take() {
            Some(refusal) => problem(409, refusal),
            None if body["command"] == "promote" => Json(json!({
                "repository": "acme/acme-prod", "pullRequest": 3,
            }))
            .into_response(),
            None => (StatusCode::ACCEPTED, Json(accepted)).into_response(),
        },
        "GET environments/acme-dev/applications/wiki/history" => {
            Json(json!({"items": []})).into_response()
        }
        "GET environments/acme-dev/applications/guests/logs" if seen.is_silent => {
            "".into_response()
        }
        "GET environments/acme-dev/applications/guests/logs" => "one\ntwo\n".into_response(),
        "GET environments/acme-dev/applications/guests/logs?tail=2&json=true" => {
            let line = |line: &str| json!({"time": "2026-01-01T00:00:00.5Z", "pod": "guests-1", "container": "web", "line": line});
            format!("{}\n{}\n", line("one"), line("two")).into_response()
        }
        "POST environments/acme-prod/pull-requests/3/approval" => {
            StatusCode::NO_CONTENT.into_response()
        }
        "POST environments/acme-prod/pull-requests/3/close" => {
            Json(pull_request("acme-prod", 3, "closed")).into_response()
        }
        "GET environments/acme-prod/pull-requests/3" => {
            let mut pull = pull_request("acme-prod", 3, "open");
            if seen.wants_approval {
                pull["blockedBy"] = json!(["the policy two-eyes asks for 1 approval; there are 0"]);
            }
            Json(pull).into_response()
        }
        "POST environments/acme-dev/pull-requests" => {
            let accepted = json!({"repository": "acme/acme-dev", "pullRequest": 4});
            (StatusCode::ACCEPTED, Json(accepted)).into_response()
        }
        "GET environments/acme-dev/pull-requests/4" => {
            Json(pull_request("acme-dev", 4, "open")).into_response()
        }
        "POST environments/acme-dev/pull-requests/4/merge" => {
            let mut accepted = accepted;
            accepted["pullRequest"] = json!(4);
            (StatusCode::ACCEPTED, Json(accepted)).into_response()
        }
        "GET deletions" => Json(json!({"items": [{
            "kind": "Application", "name": "acme-dev/old",
            "startedAt": "2026-01-01T00:00:00.000Z", "endedAt": "2026-01-01T00:00:09.000Z",
            "leftBehind": ["volume data-old-0"],
        }]}))
        .into_response(),
        "GET organizations/acme" => Json(acme(seen)).into_response(),
        "GET organizations/initech" => Json(organization("initech", "Installing")).into_response(),
        "POST environments/acme-prod/pull-requests/3/merge"
        | "PUT policies/two-eyes"
        | "DELETE policies/two-eyes"
        | "PUT organizations/acme/members/bob"
        | "DELETE organizations/acme/members/bob"
        | "POST trusted-signers"
        | "POST organizations" => (StatusCode::ACCEPTED, Json(accepted)).into_response(),
        "DELETE users/bob" => StatusCode::NO_CONTENT.into_response(),
        "POST users/invitations" => Json(json!({
            "username": "bob", "url": "http://x/set-password?token=t", "expiresAt": "2026-01-02T00:00:00.000Z",
        }))
        .into_response(),
        _ => problem(
            404,
            json!({"type": "about:catalyst/not-found", "title": call, "detail": "There is nothing."}),
        ),
    }
}
