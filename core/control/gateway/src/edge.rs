//! What every request and answer passes: its id, and the headers that keep
//! browsers from doing what the console does not need.
//!
//! Laid around the whole router. What must stay true: every answer carries
//! `x-request-id` and the security headers, unless a handler has set a stricter
//! or purposely different policy for its own answer.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use catalyst_commands::RequestId;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use crate::Gateway;

/// The header that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id, and the answer its headers.
pub async fn pass(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let is_api = request.uri().path().starts_with("/api/");
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
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
