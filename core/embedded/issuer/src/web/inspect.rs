//! What a token says and whether it holds: userinfo (OpenID Connect Core,
//! 5.3), introspection (RFC 7662), revocation (RFC 7009).
//!
//! Introspection takes one parameter more, as RFC 7662, section 2.1, allows:
//! with `allow_expired=true` it answers for the sign-in that an access token came
//! from, whether or not the token has expired meanwhile. That is for whoever keeps
//! something open that the token opened, and never for letting anybody in.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HeaderMap;
use serde_json::{Value, json};

use super::token::authenticate;
use super::{ApiError, Params, bearer, private_headers};
use crate::Issuer;
use crate::tokens::{has_scope, profile};

pub(super) async fn userinfo(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let token = bearer(&headers).ok_or_else(ApiError::invalid_token)?;
    let claims = issuer
        .introspect(token)?
        .ok_or_else(ApiError::invalid_token)?;
    let user = issuer
        .user_of(&claims)?
        .ok_or_else(ApiError::invalid_token)?;
    if !has_scope(&claims.scope, "openid") {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            "the access token lacks the scope openid",
        ));
    }
    Ok((
        private_headers(),
        Json(Value::Object(profile(&user, &claims.scope))),
    )
        .into_response())
}

pub(super) async fn introspect(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let params = Params::form(&headers, &body)?;
    let client = authenticate(&issuer, &headers, &params)?;
    if client.secret.is_none() {
        return Err(ApiError::invalid_client(
            "public clients may not introspect tokens",
        ));
    }
    let token = params.require("token")?;
    let found = match params.get("allow_expired") {
        Some("true") => issuer.introspect_sign_in(token)?,
        _ => issuer.introspect(token)?,
    };
    let answer = match found {
        Some(claims) => {
            // The user as it is now, not as it was when the token was signed.
            let user = issuer.user_of(&claims)?;
            let mut answer = json!(claims);
            if let Some(object) = answer.as_object_mut() {
                object.insert("active".into(), json!(true));
                object.insert("token_type".into(), json!("Bearer"));
                object.insert("username".into(), json!(claims.preferred_username));
                if let Some(user) = user {
                    object.insert("groups".into(), json!(user.groups));
                }
            }
            answer
        }
        None => match issuer.refresh_alive(token)? {
            // Only its own client may learn about a refresh token.
            Some((found, user)) if found.value.approval.client == client.id => json!({
                "active": true,
                "iss": issuer.identifier(),
                "sub": user.id,
                "username": user.username,
                "client_id": client.id,
                "scope": found.value.approval.scope,
                "exp": found.value.expires,
                "iat": found.value.created,
            }),
            _ => json!({ "active": false }),
        },
    };
    Ok((private_headers(), Json(answer)).into_response())
}

pub(super) async fn revoke(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let params = Params::form(&headers, &body)?;
    let client = authenticate(&issuer, &headers, &params)?;
    issuer
        .token_revoke(client, params.require("token")?)
        .await?;
    Ok((StatusCode::OK, private_headers()).into_response())
}
