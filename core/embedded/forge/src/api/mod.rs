//! Gitea's REST API, version 1, as far as the forge has it.
//!
//! Every request is authenticated and its token's scope compared before a
//! handler runs; handlers get a [`Caller`]. Errors are Gitea's
//! `{"message", "url"}`, with `"errors": null` where nothing was found.

mod browse;
mod contents;
mod hooks;
mod orgs;
pub(crate) mod pulls;
mod repos;
mod statuses;
mod users;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument as _;

use crate::Inner;
use crate::access::{self, Caller};
use crate::git::GitError;
use crate::metadata::MetadataError;
use crate::names::NameError;
use crate::push::PushError;

/// Largest page a client gets.
const LARGEST_PAGE: usize = 50;

/// What a client is told when a request fails.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

/// Result of a handler.
pub type Reply = Result<Response, ApiError>;

impl ApiError {
    /// An error with a status and a complete sentence.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            message: message.into(),
        }
    }

    /// Something that is not the client's fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, message)
    }

    /// Something that is not there, or not for this caller.
    pub fn missing() -> Self {
        Self::new(404, "The target couldn't be found.")
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its text.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn hidden(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request not handled");
        // Whoever can make room must hear of it; from git it comes as text.
        if disk_is_full(error) {
            return Self::new(507, "the forge's disk is full; free space and try again");
        }
        Self::internal("the forge could not handle the request; its log has the cause")
    }
}

/// Whether an error, or what caused it, is a full disk; git says so in words only.
pub(crate) fn disk_is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    catalyst_store::is_disk_full(error)
        || std::iter::successors(Some(error), |one| one.source())
            .any(|one| one.to_string().contains("No space left on device"))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = match self.status {
            StatusCode::NOT_FOUND => json!({"errors": null, "message": self.message, "url": ""}),
            _ => json!({"message": self.message, "url": ""}),
        };
        (self.status, Json(body)).into_response()
    }
}

impl From<MetadataError> for ApiError {
    fn from(error: MetadataError) -> Self {
        Self::hidden(&error)
    }
}

impl From<GitError> for ApiError {
    fn from(error: GitError) -> Self {
        Self::hidden(&error)
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::new(422, error.to_string())
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Refused(_) => Self::new(403, error.to_string()),
            PushError::Moved(_) => Self::new(409, error.to_string()),
            PushError::Git(_) | PushError::Records(_) => Self::hidden(&error),
        }
    }
}

/// A JSON body that answers in Gitea's words when it cannot be read.
pub struct Input<T>(pub T);

impl<T: serde::de::DeserializeOwned> axum::extract::FromRequest<Arc<Inner>> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<Inner>) -> Result<Self, ApiError> {
        let bytes = bytes::Bytes::from_request(request, state).await;
        let bytes =
            bytes.map_err(|error| ApiError::new(error.status().as_u16(), error.body_text()))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            ApiError::new(422, format!("the request's JSON cannot be read: {error}"))
        })
    }
}

/// Who calls, or nobody.
pub struct Anyone(pub Option<Caller>);

impl FromRequestParts<Arc<Inner>> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Inner>) -> Result<Self, ApiError> {
        Ok(Self(
            parts.extensions.get::<Option<Caller>>().cloned().flatten(),
        ))
    }
}

/// Who calls; nobody is refused.
pub struct Known(pub Caller);

impl FromRequestParts<Arc<Inner>> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Inner>) -> Result<Self, ApiError> {
        let Anyone(caller) = Anyone::from_request_parts(parts, state).await?;
        caller
            .map(Self)
            .ok_or_else(|| ApiError::new(401, "token is required"))
    }
}

/// An administrator.
pub struct Admin(pub Caller);

impl FromRequestParts<Arc<Inner>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Inner>) -> Result<Self, ApiError> {
        let Known(caller) = Known::from_request_parts(parts, state).await?;
        if !caller.user.admin {
            return Err(ApiError::new(403, "user should be the site admin"));
        }
        Ok(Self(caller))
    }
}

/// `page` and `limit` of a listing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Paging {
    page: Option<usize>,
    limit: Option<usize>,
}

impl Paging {
    /// Entries to skip, and entries to give.
    pub fn window(self) -> (usize, usize) {
        let limit = self
            .limit
            .filter(|limit| *limit > 0)
            .unwrap_or(30)
            .min(LARGEST_PAGE);
        (
            self.page
                .unwrap_or(1)
                .saturating_sub(1)
                .saturating_mul(limit),
            limit,
        )
    }
}

/// Paging taken from any query.
pub struct Pages(pub Paging, pub String);

impl FromRequestParts<Arc<Inner>> for Pages {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Inner>) -> Result<Self, ApiError> {
        let Query(paging) = Query::<Paging>::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::new(422, error.body_text()))?;
        let original = parts.extensions.get::<axum::extract::OriginalUri>();
        let uri = original.map_or(&parts.uri, |uri| &uri.0);
        Ok(Self(paging, uri.to_string()))
    }
}

impl Pages {
    /// A page of a complete list.
    pub fn cut<T>(&self, all: Vec<T>) -> (Vec<T>, usize) {
        let (skip, limit) = self.0.window();
        let total = all.len();
        (all.into_iter().skip(skip).take(limit).collect(), total)
    }

    /// The answer for a page, with `X-Total-Count` and `Link`.
    pub fn answer(&self, inner: &Inner, items: &[Value], total: usize) -> Response {
        let mut response = Json(json!(items)).into_response();
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&total.to_string()) {
            headers.insert("x-total-count", value);
        }
        let expose = HeaderValue::from_static("X-Total-Count, Link");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose);
        if let Ok(value) = HeaderValue::from_str(&self.links(inner, total))
            && !value.is_empty()
        {
            headers.insert(header::LINK, value);
        }
        response
    }

    fn links(&self, inner: &Inner, total: usize) -> String {
        let (skip, limit) = self.0.window();
        let page = skip / limit + 1;
        let last = total.div_ceil(limit).max(1);
        let (path, query) = self.1.split_once('?').unwrap_or((&self.1, ""));
        let path = path
            .find("/api/v1/")
            .and_then(|at| path.get(at..))
            .unwrap_or(path);
        let other: Vec<&str> = query
            .split('&')
            .filter(|part| {
                !part.is_empty() && !part.starts_with("page=") && !part.starts_with("limit=")
            })
            .collect();
        let link = |number: usize, name: &str| {
            let mut parts: Vec<String> = other.iter().map(|part| (*part).to_owned()).collect();
            parts.extend([format!("limit={limit}"), format!("page={number}")]);
            format!(
                "<{}{path}?{}>; rel=\"{name}\"",
                inner.base_url(),
                parts.join("&")
            )
        };
        let mut links = Vec::new();
        if page < last {
            links.extend([link(page + 1, "next"), link(last, "last")]);
        }
        if page > 1 {
            links.extend([link(1, "first"), link(page.min(last + 1) - 1, "prev")]);
        }
        links.join(",")
    }
}

/// The routes of the API.
pub fn router(inner: Arc<Inner>) -> Router {
    let api = Router::new()
        .route("/version", get(version))
        .merge(users::router())
        .merge(orgs::router())
        .merge(repos::router())
        .merge(browse::router())
        .merge(contents::router())
        .merge(pulls::router())
        .merge(hooks::router())
        .merge(statuses::router())
        // Routes, and no fallback: that of a router which is nested in one that is
        // itself nested is lost.
        .route("/", any(unknown))
        .route("/{*path}", any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(inner.config.largest_request))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&inner),
            identify,
        ))
        .with_state(inner);
    Router::new()
        .nest("/api/v1", api)
        // The nested `/` is without the slash at the end.
        .route("/api/v1/", any(unknown))
}

/// Lets a write come to its end although its client has gone: what it left
/// unfinished, such as a lock of Git's or an event of which nobody knows whether it
/// happened, would stand in the way until the next start.
pub(crate) async fn to_the_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let ended = tokio::spawn(next.run(request).in_current_span()).await;
    ended.unwrap_or_else(|error| {
        tracing::error!(error = %error, "a request was not carried through");
        ApiError::new(500, "internal error of the forge").into_response()
    })
}

/// The answer for what is no path of the API.
async fn unknown() -> ApiError {
    ApiError::new(404, "not found")
}

/// The answer for a method that a path does not have.
async fn wrong_method() -> ApiError {
    ApiError::new(405, "method not allowed")
}

/// Gitea's version whose shapes are served.
async fn version() -> Json<Value> {
    Json(json!({"version": concat!("1.26.0+catalyst-", env!("CARGO_PKG_VERSION"))}))
}

async fn identify(
    State(inner): State<Arc<Inner>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let header = match header.map(HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text.to_owned()),
        Some(Err(_)) => {
            return ApiError::new(401, "the Authorization header is not text").into_response();
        }
    };
    let mut caller = match access::authenticate(&inner, header.as_deref()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    match sudo(&inner, caller.as_ref(), &request) {
        Ok(None) => {}
        Ok(Some(other)) => caller = Some(other),
        Err(error) => return error.into_response(),
    }
    if let Some(caller) = &caller {
        let write = !matches!(*request.method(), Method::GET | Method::HEAD);
        let first = request
            .uri()
            .path()
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        let category = match first {
            "admin" => "admin",
            "user" | "users" => "user",
            "org" | "orgs" | "teams" => "organization",
            "version" => "misc",
            _ => "repository",
        };
        if category != "misc" && !caller.has_scope(category, write) {
            let verb = if write { "write" } else { "read" };
            let text = format!(
                "token does not have at least one of required scope(s): [{verb}:{category}]"
            );
            return ApiError::new(403, text).into_response();
        }
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Whom an administrator acts for, by the header or the parameter `Sudo`; the
/// scopes stay those of the administrator's token.
fn sudo(
    inner: &Inner,
    caller: Option<&Caller>,
    request: &Request<Body>,
) -> Result<Option<Caller>, ApiError> {
    let header = request.headers().get("sudo").map(HeaderValue::to_str);
    let name = match header {
        Some(Ok(name)) => name.to_owned(),
        Some(Err(_)) => return Err(ApiError::new(400, "the Sudo header is not text")),
        None => {
            let query = request.uri().query().unwrap_or_default();
            let pair = query.split('&').find_map(|pair| pair.strip_prefix("sudo="));
            let decoded = percent_encoding::percent_decode_str(pair.unwrap_or_default());
            decoded.decode_utf8_lossy().into_owned()
        }
    };
    if name.is_empty() {
        return Ok(None);
    }
    let Some(caller) = caller.filter(|caller| caller.user.admin) else {
        return Err(ApiError::new(403, "Only administrators allowed to sudo."));
    };
    let is_known = crate::names::check_owner(&name).is_ok();
    let user = if is_known {
        inner.records.user(&name)?
    } else {
        None
    };
    let user = user.ok_or_else(ApiError::missing)?;
    Ok(Some(Caller {
        user,
        scopes: caller.scopes.clone(),
    }))
}

/// A JSON answer with a status.
pub fn reply(status: u16, value: Value) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok((status, Json(value)).into_response())
}

/// An answer without content.
pub fn done(status: u16) -> Reply {
    Ok(StatusCode::from_u16(status)
        .unwrap_or(StatusCode::NO_CONTENT)
        .into_response())
}
