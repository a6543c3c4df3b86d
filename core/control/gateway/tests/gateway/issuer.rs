//! The issuer of the world: OpenID Connect and what the gateway asks Keycloak for.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::{Query, RawForm, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::world::{CONTROL_SECRET, ORIGIN, Server};

/// What tokens are signed with, and what they are not.
pub struct Keys {
    own: Vec<u8>,
    foreign: Vec<u8>,
    jwk: Value,
}

pub fn routes() -> Router<Server> {
    Router::new()
        .route("/oidc/.well-known/openid-configuration", get(discovery))
        .route("/oidc/jwks", get(jwks))
        .route("/oidc/token", post(token))
        .route("/oidc/introspect", post(introspect))
        .route("/oidc/revoke", post(revoke))
        .route("/oidc/admin/realms/catalyst/users", get(users))
}

pub fn keys() -> Keys {
    let random = SystemRandom::new();
    let make = || {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .unwrap()
            .as_ref()
            .to_vec()
    };
    let own = make();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &own).unwrap();
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
        "x": part(1..33), "y": part(33..65),
    });
    Keys {
        own,
        foreign: make(),
        jwk,
    }
}

async fn discovery(State(server): State<Server>) -> Json<Value> {
    let base = format!("{}/oidc", server.base);
    Json(json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"),
        "introspection_endpoint": format!("{base}/introspect"),
        "revocation_endpoint": format!("{base}/revoke"),
        "end_session_endpoint": format!("{base}/logout"),
        "scopes_supported": ["openid", "profile", "email"],
    }))
}

async fn jwks(State(server): State<Server>) -> Json<Value> {
    Json(json!({"keys": [server.keys.jwk]}))
}

fn form(bytes: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

async fn introspect(
    State(server): State<Server>,
    headers: http::HeaderMap,
    RawForm(body): RawForm,
) -> Response {
    let mut parts = server.parts.lock().unwrap();
    if !parts.issuer_is_up {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    parts.introspections += 1;
    let expected = STANDARD.encode(format!("catalyst:{CONTROL_SECRET}"));
    assert_eq!(headers["authorization"], format!("Basic {expected}"));
    let token = form(&body)["token"].clone();
    let user = parts
        .tokens
        .get(&token)
        .filter(|_| !parts.revoked.contains(&token));
    let answer = match user.and_then(|user| Some((user, parts.users.get(user)?))) {
        // As Keycloak answers about a refresh token.
        Some(_) if token.starts_with("refresh") => json!({"active": true, "typ": "Refresh"}),
        Some((user, groups)) => json!({
            "active": true, "token_type": "Bearer", "username": user,
            "email": format!("{user}@example.test"), "groups": groups,
        }),
        None => json!({"active": false}),
    };
    Json(answer).into_response()
}

async fn token(State(server): State<Server>, RawForm(body): RawForm) -> Response {
    let form = form(&body);
    let answer = granted(&server, &form);
    let held = server.parts.lock().unwrap().held_renewal.clone();
    if let Some(held) = held.filter(|_| form["grant_type"] == "refresh_token") {
        held.notified().await;
    }
    answer
}

fn granted(server: &Server, form: &BTreeMap<String, String>) -> Response {
    let mut parts = server.parts.lock().unwrap();
    if !parts.issuer_is_up {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    assert_eq!(form["client_id"], "catalyst-console");
    let refused = || {
        let error = json!({"error": "invalid_grant"});
        (StatusCode::BAD_REQUEST, Json(error)).into_response()
    };
    let (user, nonce) = match form["grant_type"].as_str() {
        "authorization_code" => {
            assert_eq!(form["redirect_uri"], format!("{ORIGIN}/auth/callback"));
            let Some((user, challenge, nonce)) = parts.codes.remove(&form["code"]) else {
                return refused();
            };
            let verifier = digest(&SHA256, form["code_verifier"].as_bytes());
            if URL_SAFE_NO_PAD.encode(verifier) != challenge {
                return refused();
            }
            (user, Some(nonce))
        }
        _ => {
            let Some(user) = parts.refresh.remove(&form["refresh_token"]) else {
                return refused();
            };
            if !parts.users.contains_key(&user) {
                return refused();
            }
            parts.renewals += 1;
            (user, None)
        }
    };
    parts.made += 1;
    let (access, refresh) = (
        format!("access-{}", parts.made),
        format!("refresh-{}", parts.made),
    );
    parts.tokens.insert(access.clone(), user.clone());
    parts.tokens.insert(refresh.clone(), user.clone());
    parts.refresh.insert(refresh.clone(), user.clone());
    let key = match parts.signs_with_own_key {
        true => &server.keys.own,
        false => &server.keys.foreign,
    };
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": parts.issuer, "aud": "catalyst-console", "sub": user, "exp": now + 300,
        "iat": now, "nonce": nonce,
    });
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("one".to_owned());
    let identity = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(key)).unwrap();
    Json(json!({
        "access_token": access, "refresh_token": refresh, "id_token": identity,
        "expires_in": parts.lifetime, "token_type": "Bearer",
    }))
    .into_response()
}

async fn revoke(State(server): State<Server>, RawForm(body): RawForm) -> StatusCode {
    let mut parts = server.parts.lock().unwrap();
    let token = form(&body)["token"].clone();
    parts.refresh.remove(&token);
    parts.revoked.insert(token);
    StatusCode::OK
}

async fn users(
    State(server): State<Server>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    if query.get("first").is_some_and(|first| first != "0") {
        return Json(json!([]));
    }
    let parts = server.parts.lock().unwrap();
    let users = parts.users.iter().map(|(user, groups)| {
        json!({"id": user, "username": user, "enabled": true, "groups": groups, "requiredActions": []})
    });
    Json(users.collect())
}
