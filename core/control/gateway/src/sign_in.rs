//! Browser sign-in: `/auth/sign-in`, `/auth/callback`, `/auth/sign-out`.
//!
//! Authorization code with PKCE (RFC 7636, S256), state and nonce, at the
//! issuer's public client for the console. What a running sign-in must
//! remember lies in a short-lived cookie of its own, one a sign-in, so that
//! several tabs may sign in at once. What must stay true: the browser is only
//! ever led to the issuer and to paths of the console; no token reaches it.

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, CACHE_CONTROL, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::Gateway;
use crate::authentication::cookie;
use crate::body::ApiQuery;
use crate::console;
use crate::problem::Refusal;
use crate::session::{ABSOLUTE, SessionError, random_name};

/// Seconds that a sign-in may take.
const SIGN_IN: i64 = 600;
/// How much of a state is in its cookie's name.
const STATE_PREFIX: usize = 12;

/// The routes, from the root.
pub fn router() -> Router<Gateway> {
    Router::new()
        .route("/auth/sign-in", get(begin))
        .route("/auth/callback", get(callback))
        .route("/auth/sign-out", post(sign_out))
}

/// What a sign-in remembers until the browser comes back.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    goes_on: String,
}

#[derive(Deserialize)]
struct Begin {
    #[serde(rename = "return")]
    goes_on: Option<String>,
}

async fn begin(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<Begin>,
) -> Result<Response, Refusal> {
    let goes_on = own_path(&gateway, query.goes_on.as_deref().unwrap_or("/"));
    if let Some(origin) = other_name(&headers, gateway.origin()) {
        let mut url = origin;
        url.set_path("/auth/sign-in");
        url.query_pairs_mut().append_pair("return", &goes_on);
        return Ok(see_other(url.as_str()));
    }
    let failed = |reason: String| {
        tracing::warn!(reason, "sign-in not begun");
        Refusal::unavailable("Sign in", "The issuer cannot be reached.")
    };
    let random = || random_name().map_err(|error| failed(error.to_string()));
    let pending = Pending {
        state: random()?,
        nonce: random()?,
        verifier: random()?,
        goes_on,
    };
    let discovery = gateway
        .issuer()
        .discovery()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let mut url =
        Url::parse(&discovery.authorization_endpoint).map_err(|error| failed(error.to_string()))?;
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, pending.verifier.as_bytes()));
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", gateway.issuer().console_client())
        .append_pair("redirect_uri", &gateway.callback_url())
        .append_pair("scope", &discovery.scopes())
        .append_pair("state", &pending.state)
        .append_pair("nonce", &pending.nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    let remembered = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&pending).unwrap_or_default());
    let mut response = see_other(url.as_str());
    set_cookie(
        &mut response,
        &gateway,
        &pending_cookie(&pending.state),
        &remembered,
        "/auth",
        SIGN_IN,
    );
    Ok(response)
}

/// What the issuer sends the browser back with.
#[derive(Deserialize)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

async fn callback(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<Callback>,
) -> Response {
    let state = query.state.as_deref().unwrap_or_default();
    let name = pending_cookie(state);
    let mut response = match finish(&gateway, &headers, &query, &name).await {
        Ok(response) => response,
        Err((status, reason)) => console::message(
            status,
            "You are not signed in",
            &reason,
            ("/auth/sign-in", "Sign in again"),
        ),
    };
    set_cookie(&mut response, &gateway, &name, "", "/auth", 0);
    response
}

async fn finish(
    gateway: &Gateway,
    headers: &HeaderMap,
    query: &Callback,
    name: &str,
) -> Result<Response, (StatusCode, String)> {
    let refuse = |reason: &str| (StatusCode::BAD_REQUEST, reason.to_owned());
    let state = query.state.as_deref().unwrap_or_default();
    let pending: Pending = cookie(headers, name)
        .and_then(|value| URL_SAFE_NO_PAD.decode(value).ok())
        .and_then(|value| serde_json::from_slice(&value).ok())
        .ok_or_else(|| {
            refuse("This browser did not begin this sign-in, or it took more than ten minutes.")
        })?;
    if !bool::from(pending.state.as_bytes().ct_eq(state.as_bytes())) {
        return Err(refuse("The answer belongs to another sign-in."));
    }
    let issuer = gateway.issuer();
    // RFC 9207: an answer of another issuer must not be taken for ours.
    let issuer_differs = |iss: &str| iss.trim_end_matches('/') != issuer.identifier();
    if query.iss.as_deref().is_some_and(issuer_differs) {
        return Err(refuse("The answer comes from another issuer."));
    }
    if let Some(error) = &query.error {
        let detail = query.error_description.as_deref().unwrap_or(error);
        return Err(refuse(&format!(
            "The issuer did not sign you in: {detail}."
        )));
    }
    let code = query
        .code
        .as_deref()
        .ok_or_else(|| refuse("The answer carries no code."))?;
    let failed = |error: crate::oidc::OidcError| {
        tracing::warn!(%error, "sign-in failed");
        let status = match error.retryable() {
            true => StatusCode::BAD_GATEWAY,
            false => StatusCode::BAD_REQUEST,
        };
        (status, "The issuer did not confirm the sign-in.".to_owned())
    };
    let tokens = issuer
        .redeem(code, &pending.verifier, &gateway.callback_url())
        .await
        .map_err(failed)?;
    let identity = tokens
        .id_token
        .as_ref()
        .ok_or_else(|| refuse("The issuer gave no identity token."))?;
    issuer
        .verify_identity(identity, &pending.nonce)
        .await
        .map_err(failed)?;
    // Signing in again in the same browser replaces the session.
    if let Some(old) = cookie(headers, gateway.session_cookie()) {
        close(gateway, old).await;
    }
    let session = gateway.sessions().open(tokens).await.map_err(|error| {
        tracing::warn!(%error, "session not opened");
        let reason = "Your session could not be kept; try again in a few seconds.";
        (StatusCode::SERVICE_UNAVAILABLE, reason.to_owned())
    })?;
    let mut response = see_other(&pending.goes_on);
    let cookie = gateway.session_cookie();
    set_cookie(&mut response, gateway, cookie, &session, "/", ABSOLUTE);
    Ok(response)
}

async fn close(gateway: &Gateway, name: &str) -> Option<crate::session::Closed> {
    match gateway.sessions().close(name).await {
        Ok(closed) => closed,
        Err(SessionError::Renew(error)) => {
            tracing::warn!(%error, "tokens of a closed session not ended");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "session not closed");
            None
        }
    }
}

/// Ends the session here and, by way of the browser, at the issuer. A program
/// in the page gets `{"location"}` to go to; a form is led there.
async fn sign_out(State(gateway): State<Gateway>, headers: HeaderMap) -> Result<Response, Refusal> {
    gateway.require_own_origin(&headers)?;
    let name = cookie(&headers, gateway.session_cookie());
    let closed = match name {
        Some(name) => match gateway.sessions().close(name).await {
            Ok(closed) => closed,
            Err(error) => {
                tracing::warn!(%error, "session not closed");
                return Err(Refusal::unavailable(
                    "Sign out",
                    "The session could not be ended.",
                ));
            }
        },
        None => None,
    };
    let location = match closed.and_then(|closed| closed.identity) {
        Some(identity) => issuer_sign_out(&gateway, &identity).await,
        None => None,
    };
    let location = location.unwrap_or_else(|| "/".to_owned());
    let wants_json = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    let mut response = if wants_json {
        axum::Json(json!({"location": location})).into_response()
    } else {
        see_other(&location)
    };
    let cookie = gateway.session_cookie();
    set_cookie(&mut response, &gateway, cookie, "", "/", 0);
    Ok(response)
}

/// The issuer's own sign-out (RP-Initiated Logout 1.0), back to the console.
async fn issuer_sign_out(gateway: &Gateway, identity: &str) -> Option<String> {
    let discovery = gateway.issuer().discovery().await.ok()?;
    let mut url = Url::parse(discovery.end_session_endpoint.as_deref()?).ok()?;
    url.query_pairs_mut()
        .append_pair("client_id", gateway.issuer().console_client())
        .append_pair("id_token_hint", identity)
        .append_pair(
            "post_logout_redirect_uri",
            &format!("{}/", gateway.origin()),
        );
    Some(url.into())
}

/// The console's origin, where the browser came by another name of this same
/// machine: the issuer leads back to the origin, which would not see a cookie
/// that was set for `localhost`.
fn other_name(headers: &HeaderMap, origin: &str) -> Option<Url> {
    let origin = Url::parse(origin).ok()?;
    let host = headers.get(HOST)?.to_str().ok()?;
    let asked = Url::parse(&format!("{}://{host}", origin.scheme())).ok()?;
    let is_here = |url: &Url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_same_port = asked.port_or_known_default() == origin.port_or_known_default();
    (is_here(&asked) && is_here(&origin) && is_same_port && asked.host() != origin.host())
        .then_some(origin)
}

/// A path of the console, whatever was asked for: never another host.
fn own_path(gateway: &Gateway, asked: &str) -> String {
    let base = Url::parse(gateway.origin()).ok();
    let joined = base.as_ref().and_then(|base| base.join(asked).ok());
    match (base, joined) {
        (Some(base), Some(url))
            if asked.starts_with('/')
                && url.origin() == base.origin()
                // Back to a sign-in would turn in a circle.
                && !url.path().starts_with("/auth/") =>
        {
            let query = url.query().map(|query| format!("?{query}"));
            format!("{}{}", url.path(), query.unwrap_or_default())
        }
        _ => "/".to_owned(),
    }
}

fn pending_cookie(state: &str) -> String {
    let prefix: String = state
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || "-_".contains(*character))
        .take(STATE_PREFIX)
        .collect();
    format!("catalyst_sign_in_{prefix}")
}

/// Host-only, `HttpOnly`, `SameSite=Lax`; `Secure` wherever the console is
/// served over TLS. Zero seconds remove it.
fn set_cookie(
    response: &mut Response,
    gateway: &Gateway,
    name: &str,
    value: &str,
    path: &str,
    seconds: i64,
) {
    let secure = if gateway.is_secure() { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return Refusal::unavailable("Lead the browser on", "The address cannot be used.")
            .into_response();
    };
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
