//! Discovery (OpenID Connect Discovery 1.0) and the key set.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use serde_json::json;

use crate::Issuer;
use crate::tokens::SCOPES;

pub(super) async fn discovery(State(issuer): State<Issuer>) -> Response {
    let base = issuer.identifier();
    let at = |path: &str| format!("{base}/{path}");
    let client_methods = ["client_secret_basic", "client_secret_post"];
    let public_too = ["client_secret_basic", "client_secret_post", "none"];
    let document = json!({
        "issuer": base,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "userinfo_endpoint": at("userinfo"),
        "jwks_uri": at("jwks"),
        "revocation_endpoint": at("revoke"),
        "introspection_endpoint": at("introspect"),
        "device_authorization_endpoint": at("device_authorization"),
        "end_session_endpoint": at("logout"),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            super::token::DEVICE_GRANT,
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": public_too,
        "revocation_endpoint_auth_methods_supported": public_too,
        "introspection_endpoint_auth_methods_supported": client_methods,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account", "consent"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "azp", "sid",
            "preferred_username", "name", "given_name", "family_name", "email", "email_verified",
            "groups",
        ],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    ([(CACHE_CONTROL, "public, max-age=300")], Json(document)).into_response()
}

pub(super) async fn jwks(State(issuer): State<Issuer>) -> Response {
    let cache = format!("public, max-age={}", issuer.keys().jwks_max_age());
    ([(CACHE_CONTROL, cache)], Json(issuer.keys().jwks())).into_response()
}
