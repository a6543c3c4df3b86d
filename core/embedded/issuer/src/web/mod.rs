//! The endpoints, and what they share: parameters, errors, headers.

mod admin;
mod authorize;
mod browser;
mod device;
mod inspect;
mod link;
mod logout;
mod metadata;
mod pages;
mod token;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, PRAGMA,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use serde_json::json;
use url::form_urlencoded;

use crate::Issuer;
use crate::error::Error;
use crate::records::Seconds;

pub(crate) use device::Polls;

/// No request to the issuer needs more.
const LARGEST_BODY: usize = 64 * 1024;

pub(crate) fn router(issuer: Issuer) -> Router {
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(metadata::discovery),
        )
        .route("/jwks", get(metadata::jwks))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/sign-in", post(authorize::sign_in))
        .route("/set-password", get(link::show).post(link::submit))
        .route("/token", post(token::token))
        .route("/device_authorization", post(device::begin))
        .route("/device", get(device::show).post(device::submit))
        .route("/userinfo", get(inspect::userinfo).post(inspect::userinfo))
        .route("/introspect", post(inspect::introspect))
        .route("/revoke", post(inspect::revoke))
        .route("/logout", get(logout::get).post(logout::post))
        .route(
            "/admin/realms/catalyst/users",
            get(admin::list).post(admin::create),
        )
        .route(
            "/admin/realms/catalyst/users/{id}",
            get(admin::show).put(admin::update).delete(admin::remove),
        )
        .route(
            "/admin/realms/catalyst/users/{id}/logout",
            post(admin::sign_out),
        )
        .route(
            "/admin/realms/catalyst/users/{id}/reset-password",
            put(admin::set_password),
        )
        .route(
            "/admin/realms/catalyst/users/{id}/invitation",
            post(admin::invite),
        )
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(axum::middleware::map_response(in_our_shape))
        .with_state(issuer)
}

/// A body that is too large is refused before any handler sees it, in words
/// that OAuth's clients cannot read; this gives it their shape.
async fn in_our_shape(response: Response) -> Response {
    if response.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return response;
    }
    let body = json!({
        "error": "invalid_request",
        "error_description": format!("the request is larger than {LARGEST_BODY} bytes"),
    });
    (response.status(), private_headers(), Json(body)).into_response()
}

/// Decoded parameters of a query or a form, each at most once.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Fails with the name of a repeated parameter (RFC 6749, section 3.1).
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut params = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if params
                .insert(name.clone().into_owned(), value.into_owned())
                .is_some()
            {
                return Err(name.chars().take(40).collect());
            }
        }
        Ok(Self(params))
    }

    /// A form's parameters; the body must be declared as one.
    pub(super) fn form(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let declared = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| {
                kind.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !declared {
            return Err(ApiError::invalid_request(
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        Self::parse(body).map_err(|name| {
            ApiError::invalid_request(format!("the parameter {name} is given more than once"))
        })
    }

    /// A parameter; an empty one counts as omitted (RFC 6749, section 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn require(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name)
            .ok_or_else(|| ApiError::invalid_request(format!("the parameter {name} is missing")))
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The parameters as a query.
    pub(super) fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }
}

/// The caller's address, as the listener saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(info.map(|ConnectInfo(address)| address.ip())))
    }
}

/// An error for programs (RFC 6749, section 5.2).
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    description: String,
    challenge: Option<&'static str>,
    retry_after: Option<Seconds>,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            description: description.into(),
            challenge: None,
            retry_after: None,
        }
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(super) fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    pub(super) fn invalid_client(description: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description);
        error.challenge = Some("Basic realm=\"catalyst\"");
        error
    }

    pub(super) fn invalid_token() -> Self {
        let mut error = Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the access token is missing, expired, revoked or not ours; get a new one",
        );
        error.challenge = Some("Bearer realm=\"catalyst\", error=\"invalid_token\"");
        error
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::UserUnknown { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Error::UsernameTaken { .. } => (StatusCode::CONFLICT, "conflict"),
            Error::UserInvalid { .. }
            | Error::UserDisabled { .. }
            | Error::PasswordInvalid { .. }
            | Error::ReturnForeign { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
            Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            // Whoever can make room must hear of it; no retry helps before.
            Error::Store(cause) if cause.is_full() => {
                tracing::error!(error = &error as &dyn std::error::Error, "request failed");
                return Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "server_error",
                    "the issuer's disk is full; free space and try again",
                );
            }
            Error::Store(cause) if cause.retryable() || error.is_conflict() => {
                tracing::error!(error = &error as &dyn std::error::Error, "request failed");
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            Error::Store(_)
            | Error::Configuration { .. }
            | Error::EncryptionKey { .. }
            | Error::Record { .. }
            | Error::Cryptography { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error")
            }
        };
        let mut api = Self::new(status, code, error.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            api.retry_after = Some(2);
        }
        api
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "error": self.code,
            "error_description": self.description,
            // Keycloak's clients read this one.
            "errorMessage": self.description,
        });
        let mut response = (self.status, private_headers(), Json(body)).into_response();
        if let Some(challenge) = self.challenge {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error for people.
#[derive(Debug)]
pub(super) struct PageError {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) message: String,
}

impl PageError {
    pub(super) fn bad_request(title: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            title,
            message: message.into(),
        }
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        let api = ApiError::from(error);
        Self {
            status: api.status,
            title: "That did not work",
            message: api.description,
        }
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self {
            status: error.status,
            title: "That request cannot be used",
            message: error.description,
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        pages::message(self.status, self.title, &self.message)
    }
}

/// What must not be cached anywhere.
pub(super) fn private_headers() -> [(http::HeaderName, HeaderValue); 2] {
    [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (PRAGMA, HeaderValue::from_static("no-cache")),
    ]
}

/// Sends a browser on with GET, whatever it came with.
pub(super) fn see_other(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let mut response = (StatusCode::SEE_OTHER, private_headers()).into_response();
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(_) => PageError::bad_request(
            "That request cannot be used",
            "the address to return to has characters that a header cannot carry",
        )
        .into_response(),
    }
}

/// The token of `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use catalyst_store::CommitError;

    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_one_that_fails() {
        let answer = |is_full| {
            let reason = "the disk said no".into();
            let error = Error::Store(CommitError::Disk { reason, is_full });
            ApiError::from(error).into_response()
        };
        let full = answer(true);
        assert_eq!(full.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(full.headers().get(RETRY_AFTER), None);
        let failing = answer(false);
        assert_eq!(failing.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(failing.headers().contains_key(RETRY_AFTER));
        // People read it on a page.
        let error = Error::Store(CommitError::Disk {
            reason: "the disk said no".into(),
            is_full: true,
        });
        let page = PageError::from(error);
        assert_eq!(page.status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(page.message.contains("free space"), "{}", page.message);
    }
}
