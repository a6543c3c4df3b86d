//! What every request and answer passes: its id, and the headers that keep
//! browsers from doing what the console does not need.
//!
//! Laid around the whole router. What must stay true: every answer carries
//! `x-request-id` and the security headers, unless a handler has set a stricter
//! or purposely different policy for its own answer.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use catalyst_commands::RequestId;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use tracing::Instrument as _;

use crate::Gateway;
use crate::problem::Refusal;

/// The header that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id, and the answer its headers.
pub async fn pass(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let is_api = request.uri().path().starts_with("/api/");
    request.extensions_mut().insert(id.clone());
    let mut response = if request.method().is_safe() {
        next.run(request).await
    } else {
        to_the_end(request, next).await
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    let policy = if is_api {
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")
    } else {
        gateway.console_policy()
    };
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    if is_api {
        let no_store = HeaderValue::from_static("no-store");
        headers.entry(CACHE_CONTROL).or_insert(no_store);
    }
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if gateway.is_secure() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

/// Carries a change through although its client has gone: a command of several
/// writes must not stop half way because somebody closed a tab.
async fn to_the_end(request: Request, next: Next) -> Response {
    let ended = tokio::spawn(next.run(request).in_current_span()).await;
    ended.unwrap_or_else(|error| {
        tracing::error!(error = %error, "a request was not carried through");
        Refusal::internal(
            "The request was not carried through",
            "The control plane met a fault of its own.",
        )
        .next("look at what is there now, then try again; the control plane's log has the fault")
        .into_response()
    })
}

/// The content security policy of the console's pages. Forms may lead to the
/// issuer, where signing out goes on.
pub fn console_policy(issuer_origin: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; manifest-src 'self'; \
         form-action 'self' {issuer_origin}; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// The caller's own id if it is one, else a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::random)
}
