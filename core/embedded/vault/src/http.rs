//! The `/v1/` surface: finds out who asks, asks the policies, calls the
//! matching part, and wraps its answer in Vault's envelope.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use catalyst_store::CommitError;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::Inner;
use crate::kv::{Fate, Read};
use crate::policy::Capability;
use crate::tokens::Caller;

/// Larger requests are refused; Vault's own limit is 32 MiB, a secret's is 1.
const LARGEST: usize = 1 << 20;

type Outcome = Result<Answer, Failure>;

/// What a handler has to say.
pub(crate) enum Answer {
    /// The `data` of the envelope.
    Data(Value),
    /// Data of something that is there no more: status 404 with the envelope.
    Gone(Value),
    /// The `auth` of the envelope.
    Auth(Value),
    /// Fields beside `data`, as the system paths repeat theirs.
    Both(Value),
    /// 204.
    Nothing,
}

/// A refused or failed request.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    errors: Vec<String>,
}

/// What a client wants done, whatever verb it said it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Read,
    List,
    Write,
    Patch,
    Delete,
}

/// A request, taken apart.
struct Call {
    verb: Verb,
    /// Path below `/v1/`, decoded.
    path: String,
    query: Option<String>,
    body: Map<String, Value>,
    token: String,
    caller: Caller,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            errors: vec![message.into()],
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The one refusal, the same for everything.
    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission denied")
    }

    /// Nothing there: Vault answers with an empty list of errors.
    pub(crate) fn missing() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            errors: Vec::new(),
        }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(crate) fn sealing() -> Self {
        tracing::error!("vault record could not be sealed or opened");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the record could not be encrypted or decrypted; see the vault's log",
        )
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        tracing::error!(%error, "vault change not written");
        if error.is_full() {
            return Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "the vault's disk is full; free space and try again",
            );
        }
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the vault could not record the change; try again",
        )
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"errors": self.errors}))).into_response()
    }
}

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(serve))
        .with_state(inner)
}

async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let mut response = match dispatch(&inner, request).await {
        Ok(answer) => answer,
        Err(failure) => failure.into_response(),
    };
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn dispatch(inner: &Inner, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let path = decode(parts.uri.path().trim_start_matches("/v1/"))?;
    if path == "sys/health" || path == "sys/seal-status" {
        return Ok(state(inner, &path));
    }
    let query = parts.uri.query().map(str::to_owned);
    let verb = verb(&parts.method, query.as_deref()).ok_or_else(unsupported)?;
    let token = token(&parts.headers).ok_or_else(Failure::denied)?;
    let caller = inner.caller(&token).ok_or_else(Failure::denied)?;
    check_path(&path)?;
    let body = read_body(body).await?;
    let call = Call {
        verb,
        path,
        query,
        body,
        token,
        caller,
    };
    route(inner, &call).await.map(envelope)
}

async fn route(inner: &Inner, call: &Call) -> Outcome {
    if let Some(rest) = call.path.strip_prefix("secret/") {
        return kv(inner, call, rest).await;
    }
    if let Some(rest) = call.path.strip_prefix("auth/token/") {
        return token_route(inner, call, rest).await;
    }
    if let Some(rest) = call.path.strip_prefix("sys/") {
        return sys(inner, call, rest).await;
    }
    // Whether a mount exists is told only to those who could use it.
    allow(call, plain(call.verb))?;
    Err(Failure::new(
        StatusCode::NOT_FOUND,
        format!(
            "no handler for route {:?}. route entry not found.",
            call.path
        ),
    ))
}

// ---- KV version 2 ------------------------------------------------------------

async fn kv(inner: &Inner, call: &Call, rest: &str) -> Outcome {
    let (kind, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_listing = call.verb == Verb::List;
    let exists = !is_listing && inner.kv_exists(path);
    let capability = match (kind, call.verb) {
        ("data" | "metadata", Verb::Write) if !exists => Capability::Create,
        (_, verb) => plain(verb),
    };
    allow(call, capability)?;
    let is_folder = path.is_empty() || path.ends_with('/');
    if is_folder && !is_listing {
        return Err(Failure::missing());
    }
    match (kind, call.verb) {
        ("data", Verb::Read) => {
            let number = match parameter(call, "version") {
                None => 0,
                Some(text) => text
                    .parse()
                    .map_err(|_| Failure::bad_request("`version` must be a number"))?,
            };
            match inner.kv_read(path, number) {
                Read::Found(data) => Ok(Answer::Data(data)),
                Read::Gone(data) => Ok(Answer::Gone(data)),
                Read::Missing => Err(Failure::missing()),
            }
        }
        ("data", Verb::Write | Verb::Patch) => {
            let data = call.body.get("data").filter(|data| data.is_object());
            let data = data.ok_or_else(|| Failure::bad_request("no data provided"))?;
            let options = call.body.get("options").cloned().unwrap_or_default();
            let written = match call.verb {
                Verb::Write => inner.kv_write(path, data.clone(), &options).await?,
                _ => inner.kv_patch(path, data, &options).await?,
            };
            Ok(Answer::Data(written))
        }
        ("data", Verb::Delete) => {
            inner.kv_decide(path, &[], Fate::Delete).await?;
            Ok(Answer::Nothing)
        }
        ("delete" | "undelete" | "destroy", Verb::Write) => {
            let fate = match kind {
                "delete" => Fate::Delete,
                "undelete" => Fate::Undelete,
                _ => Fate::Destroy,
            };
            inner
                .kv_decide(path, &version_numbers(&call.body)?, fate)
                .await?;
            Ok(Answer::Nothing)
        }
        ("metadata", Verb::Read) => inner
            .kv_metadata(path)
            .map(Answer::Data)
            .ok_or_else(Failure::missing),
        ("metadata", Verb::List) => {
            let is_whole = path.is_empty() || path.ends_with('/');
            let folder = if is_whole {
                path.to_owned()
            } else {
                format!("{path}/")
            };
            match inner.kv_list(&folder) {
                keys if keys.is_empty() => Err(Failure::missing()),
                keys => Ok(Answer::Data(json!({"keys": keys}))),
            }
        }
        ("metadata", verb @ (Verb::Write | Verb::Patch)) => {
            let body = Value::Object(call.body.clone());
            inner.kv_configure(path, &body, verb == Verb::Patch).await?;
            Ok(Answer::Nothing)
        }
        ("metadata", Verb::Delete) => {
            inner.kv_purge(path).await?;
            Ok(Answer::Nothing)
        }
        _ => Err(unsupported()),
    }
}

/// The `versions` of a request; they may be numbers or texts.
fn version_numbers(body: &Map<String, Value>) -> Result<Vec<u64>, Failure> {
    let numbers: Option<Vec<u64>> =
        body.get("versions")
            .and_then(Value::as_array)
            .and_then(|list| {
                list.iter()
                    .map(|item| item.as_u64().or_else(|| item.as_str()?.parse().ok()))
                    .collect()
            });
    numbers
        .filter(|numbers| !numbers.is_empty())
        .ok_or_else(|| Failure::bad_request("no version number provided"))
}

// ---- Tokens ------------------------------------------------------------------

async fn token_route(inner: &Inner, call: &Call, rest: &str) -> Outcome {
    let capability = match (rest, call.verb) {
        // Both GET and POST are in use for looking oneself up.
        ("lookup-self", Verb::Read | Verb::Write) => Capability::Read,
        (_, verb) => match plain(verb) {
            Capability::Create => Capability::Update,
            other => other,
        },
    };
    allow(call, capability)?;
    match (rest, call.verb) {
        ("create" | "create-orphan", Verb::Write) => {
            let mut body = call.body.clone();
            let is_sudo = call.caller.may(&call.path, Capability::Sudo);
            if rest == "create-orphan" {
                body.insert("no_parent".to_owned(), Value::Bool(true));
            }
            let (token, record) = inner
                .token_create(&call.caller, decoded(body)?, is_sudo)
                .await?;
            Ok(Answer::Auth(inner.token_auth(&token, &record)))
        }
        ("lookup-self", Verb::Read | Verb::Write) => lookup(inner, &call.token),
        ("lookup", Verb::Write) => lookup(inner, text(&call.body, "token")?),
        ("lookup-accessor", Verb::Write) => {
            let hash = by_accessor(inner, call)?;
            let record = inner.token_alive(&hash).ok_or_else(Failure::denied)?;
            let mut view = inner.token_view(&record);
            insert(&mut view, "id", "".into());
            Ok(Answer::Data(view))
        }
        ("renew-self", Verb::Write) => renew(inner, call, &call.token).await,
        ("renew", Verb::Write) => renew(inner, call, text(&call.body, "token")?).await,
        ("revoke-self", Verb::Write) => revoke(inner, &call.token).await,
        ("revoke", Verb::Write) => revoke(inner, text(&call.body, "token")?).await,
        ("revoke-accessor", Verb::Write) => {
            let hash = by_accessor(inner, call)?;
            inner.token_revoke(&hash).await?;
            Ok(Answer::Nothing)
        }
        _ => Err(unsupported()),
    }
}

fn lookup(inner: &Inner, token: &str) -> Outcome {
    let caller = inner
        .caller(token)
        .ok_or_else(|| Failure::new(StatusCode::FORBIDDEN, "bad token"))?;
    let mut view = match &caller.token {
        Some((_, record)) => inner.token_view(record),
        None => json!({
            "accessor": "", "creation_time": 0, "creation_ttl": 0, "display_name": "root",
            "entity_id": "", "expire_time": null, "explicit_max_ttl": 0, "issue_time": null,
            "meta": null, "num_uses": 0, "orphan": true, "path": "auth/token/root",
            "policies": ["root"], "renewable": false, "ttl": 0, "type": "service",
        }),
    };
    insert(&mut view, "id", token.into());
    Ok(Answer::Data(view))
}

async fn renew(inner: &Inner, call: &Call, token: &str) -> Outcome {
    let caller = inner.caller(token).ok_or_else(Failure::denied)?;
    let Some((hash, _)) = caller.token else {
        return Err(Failure::bad_request("lease is not renewable"));
    };
    let increment = call.body.get("increment").unwrap_or(&Value::Null);
    let record = inner.token_renew(&hash, increment).await?;
    Ok(Answer::Auth(inner.token_auth(token, &record)))
}

async fn revoke(inner: &Inner, token: &str) -> Outcome {
    // Revoking what is no token (any more) has reached its aim.
    if let Some(Caller {
        token: Some((hash, _)),
        ..
    }) = inner.caller(token)
    {
        inner.token_revoke(&hash).await?;
    }
    Ok(Answer::Nothing)
}

fn by_accessor(inner: &Inner, call: &Call) -> Result<String, Failure> {
    inner
        .token_by_accessor(text(&call.body, "accessor")?)
        .ok_or_else(|| Failure::new(StatusCode::FORBIDDEN, "invalid accessor"))
}

// ---- System ------------------------------------------------------------------

async fn sys(inner: &Inner, call: &Call, rest: &str) -> Outcome {
    if rest == "capabilities-self" && call.verb == Verb::Write {
        allow(call, Capability::Update)?;
        return capabilities(call);
    }
    if let Some(mount) = rest.strip_prefix("internal/ui/mounts/") {
        // The CLI asks this before anything else, with whatever token it has.
        if call.verb == Verb::Read && mount.split('/').next() == Some("secret") {
            let mut mount = mount_view();
            insert(&mut mount, "path", "secret/".into());
            return Ok(Answer::Data(mount));
        }
        return Err(Failure::denied());
    }
    let capability = match plain(call.verb) {
        Capability::Create => Capability::Update,
        other => other,
    };
    allow(call, capability)?;
    match (rest, call.verb) {
        ("mounts", Verb::Read) => Ok(Answer::Both(json!({"secret/": mount_view()}))),
        ("mounts/secret", Verb::Read) => Ok(Answer::Both(mount_view())),
        ("policies/acl" | "policies/acl/" | "policy", Verb::List | Verb::Read) => {
            let names = inner.policy_names();
            Ok(Answer::Data(json!({"keys": names, "policies": names})))
        }
        _ => match rest
            .strip_prefix("policies/acl/")
            .or_else(|| rest.strip_prefix("policy/"))
        {
            Some(name) => policy(inner, call, name).await,
            None => Err(unsupported()),
        },
    }
}

async fn policy(inner: &Inner, call: &Call, name: &str) -> Outcome {
    // Vault's policy names are not case-sensitive.
    let name = name.to_ascii_lowercase();
    let fits = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if !fits {
        return Err(Failure::bad_request(
            "a policy's name has letters, digits and `-_.:` only",
        ));
    }
    match call.verb {
        Verb::Read => {
            let (source, _) = inner.policy_source(&name).ok_or_else(Failure::missing)?;
            Ok(Answer::Data(
                json!({"name": name, "policy": source, "rules": source}),
            ))
        }
        Verb::Write if name == "root" => Err(Failure::bad_request("cannot update \"root\" policy")),
        Verb::Write => {
            inner.policy_put(&name, text(&call.body, "policy")?).await?;
            Ok(Answer::Nothing)
        }
        Verb::Delete if name == "root" || name == "default" => Err(Failure::bad_request(format!(
            "cannot delete {name:?} policy"
        ))),
        Verb::Delete => {
            inner.policy_delete(&name).await?;
            Ok(Answer::Nothing)
        }
        Verb::List | Verb::Patch => Err(unsupported()),
    }
}

fn capabilities(call: &Call) -> Outcome {
    let paths: Vec<String> = match (call.body.get("paths"), call.body.get("path")) {
        (Some(Value::Array(paths)), _) => paths
            .iter()
            .filter_map(|path| path.as_str().map(str::to_owned))
            .collect(),
        (_, Some(Value::String(path))) => vec![path.clone()],
        _ => return Err(Failure::bad_request("no paths provided")),
    };
    let mut answer = Map::new();
    for path in paths {
        let names: Vec<_> = if call.caller.is_root() {
            vec!["root"]
        } else {
            match call.caller.granted(&path) {
                granted if granted.is_empty() => vec!["deny"],
                granted => granted.into_iter().map(Capability::name).collect(),
            }
        };
        answer.insert("capabilities".to_owned(), json!(names));
        answer.insert(path, json!(names));
    }
    Ok(Answer::Both(Value::Object(answer)))
}

fn mount_view() -> Value {
    json!({
        "accessor": "kv_secret",
        "config": {"default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0},
        "description": "key/value secret storage",
        "external_entropy_access": false,
        "local": false,
        "options": {"version": "2"},
        "seal_wrap": false,
        "type": "kv",
        "uuid": "catalyst-kv",
    })
}

/// Answers for probes, which have no token.
fn state(inner: &Inner, path: &str) -> Response {
    let version = concat!(env!("CARGO_PKG_VERSION"), "+catalyst");
    let body = if path == "sys/health" {
        json!({
            "initialized": true, "sealed": false, "standby": false, "performance_standby": false,
            "replication_performance_mode": "disabled", "replication_dr_mode": "disabled",
            "server_time_utc": inner.now().as_second(), "version": version,
            "cluster_name": "catalyst", "cluster_id": "catalyst",
        })
    } else {
        json!({
            "type": "shamir", "initialized": true, "sealed": false, "t": 1, "n": 1,
            "progress": 0, "nonce": "", "version": version, "build_date": "",
            "migration": false, "recovery_seal": false, "storage_type": "catalyst",
        })
    };
    Json(body).into_response()
}

// ---- Taking requests apart, putting answers together ---------------------------

fn allow(call: &Call, capability: Capability) -> Result<(), Failure> {
    let mut path = call.path.clone();
    if capability == Capability::List && !path.ends_with('/') {
        path.push('/');
    }
    if call.caller.may(&path, capability) {
        Ok(())
    } else {
        Err(Failure::denied())
    }
}

fn plain(verb: Verb) -> Capability {
    match verb {
        Verb::Read => Capability::Read,
        Verb::List => Capability::List,
        Verb::Write => Capability::Update,
        Verb::Patch => Capability::Patch,
        Verb::Delete => Capability::Delete,
    }
}

fn verb(method: &Method, query: Option<&str>) -> Option<Verb> {
    let is_list = query.is_some_and(|query| query.split('&').any(|pair| pair == "list=true"));
    match method.as_str() {
        "GET" | "HEAD" if is_list => Some(Verb::List),
        "GET" | "HEAD" => Some(Verb::Read),
        "LIST" => Some(Verb::List),
        "POST" | "PUT" => Some(Verb::Write),
        "PATCH" => Some(Verb::Patch),
        "DELETE" => Some(Verb::Delete),
        _ => None,
    }
}

fn unsupported() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation")
}

fn token(headers: &HeaderMap) -> Option<String> {
    let token = match headers.get("x-vault-token") {
        Some(value) => value.to_str().ok()?,
        None => headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?,
    };
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// Percent-decoding, once; what is no UTF-8 is refused.
fn decode(path: &str) -> Result<String, Failure> {
    let wrong = || Failure::bad_request("the path is not valid");
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|it| char::from(it).to_digit(16));
        let high = digit().ok_or_else(wrong)?;
        let low = digit().ok_or_else(wrong)?;
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Paths that policies could read in two ways are refused for everyone.
fn check_path(path: &str) -> Result<(), Failure> {
    let body = path.strip_suffix('/').unwrap_or(path);
    let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
    if body.split('/').any(is_odd) || path.chars().any(char::is_control) {
        return Err(Failure::bad_request(
            "the path is not valid: it has an empty or dotted segment",
        ));
    }
    Ok(())
}

async fn read_body(body: Body) -> Result<Map<String, Value>, Failure> {
    let bytes = to_bytes(body, LARGEST).await.map_err(|_| {
        Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request is larger than {LARGEST} bytes, or it broke off"),
        )
    })?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    // The parser's own words could repeat a part of a secret.
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(Value::Null) => Ok(Map::new()),
        _ => Err(Failure::bad_request(
            "failed to parse JSON input: an object is expected",
        )),
    }
}

fn decoded<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(body))
        .map_err(|_| Failure::bad_request("a field of the request has the wrong type"))
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str, Failure> {
    body.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Failure::bad_request(format!("missing {name}")))
}

fn parameter(call: &Call, name: &str) -> Option<String> {
    call.query.as_deref()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

fn insert(view: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = view {
        fields.insert(name.to_owned(), value);
    }
}

fn envelope(answer: Answer) -> Response {
    let (status, data, auth, beside) = match answer {
        Answer::Nothing => return StatusCode::NO_CONTENT.into_response(),
        Answer::Data(data) => (StatusCode::OK, data, Value::Null, Value::Null),
        Answer::Gone(data) => (StatusCode::NOT_FOUND, data, Value::Null, Value::Null),
        Answer::Auth(auth) => (StatusCode::OK, Value::Null, auth, Value::Null),
        Answer::Both(data) => (StatusCode::OK, data.clone(), Value::Null, data),
    };
    let mut body = json!({
        "request_id": uuid::Uuid::new_v4().to_string(),
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": null,
        "auth": auth,
    });
    if let Value::Object(fields) = beside {
        for (name, value) in fields {
            insert(&mut body, &name, value);
        }
    }
    (status, Json(body)).into_response()
}
