//! What the forge calls: the webhook after a push, and the check before one; and what
//! registries call when something came or went.
//!
//! All are called by a machine that holds a secret, not by users, but for the one by
//! which a sovereign-admin learns what a registry has to show. What must stay true:
//! secrets are compared in constant time and never logged, and anything but a clear
//! yes of the write side means that a push is refused.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use catalyst_api::RegistryHook;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

use crate::Gateway;
use crate::body;
use crate::caller::Caller;
use crate::notifications::Notifications;
use crate::problem::Refusal;

/// Gitea's header: HMAC-SHA256 of the body, in hexadecimal.
const SIGNATURE: &str = "x-gitea-signature";

/// Receives the forge's push events, in Gitea's shape, signed with the
/// webhook's secret.
#[utoipa::path(post, path = "/api/v1/hooks/git", tag = "hooks", operation_id = "hook_git",
    security(()),
    params(("X-Gitea-Signature" = String, Header, description = "HMAC-SHA256 of the body, in hexadecimal.")),
    request_body = Object,
    responses((status = 204, description = "Taken.")))]
pub async fn git_pushed(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let payload = body::raw(payload, body::LARGEST_HOOK)?;
    let genuine = headers
        .get(SIGNATURE)
        .and_then(|value| hex::decode(value.as_bytes()).ok())
        .is_some_and(|signature| gateway.webhook_is_genuine(&payload, &signature));
    if !genuine {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "bad-signature",
            "Take an event of the forge",
            "The body is not signed with the webhook's secret.",
        ));
    }
    body::require_json(&headers)?;
    let event: Value = body::parse(&payload)?;
    gateway.git_event(event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the check said.
#[derive(Debug, Serialize, ToSchema)]
pub struct PushAnswer {
    /// Whether refs may move.
    pub allowed: bool,
    /// Lines for the pusher.
    pub messages: Vec<String>,
}

/// Decides whether refs may move, before they do.
#[utoipa::path(post, path = "/api/v1/checks/push", tag = "hooks", operation_id = "push_check",
    security(("forge" = [])),
    request_body = Object,
    responses((status = 200, description = "Allowed, or not and why.", body = PushAnswer)))]
pub async fn push_check(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<Json<PushAnswer>, Refusal> {
    if !is_known(&headers, gateway.check_token()) {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "bad-token",
            "Check a push",
            "The caller does not hold the forge's token.",
        ));
    }
    let payload = body::raw(payload, body::LARGEST_HOOK)?;
    body::require_json(&headers)?;
    let verdict = gateway.push_checked(body::parse(&payload)?).await;
    Ok(Json(PushAnswer {
        allowed: verdict.allowed,
        messages: verdict.messages,
    }))
}

/// Receives a registry's notifications, as CNCF Distribution or Harbor sends them, with
/// the registry's token: what they name is looked at, whoever sends them and how often.
#[utoipa::path(post, path = "/api/v1/hooks/registry", tag = "hooks", operation_id = "hook_registry",
    security(("registry" = [])),
    request_body = Object,
    responses((status = 204, description = "Taken; what is not a repository of Blueprints is passed over.")))]
pub async fn registry_changed(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    if !is_known(&headers, gateway.registry_token()) {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "bad-token",
            "Take notifications of a registry",
            "The caller does not hold the registry's token.",
        ));
    }
    // The type is not looked at: Distribution has one of its own.
    let payload = body::raw(payload, body::LARGEST_BODY)?;
    let told: Notifications = body::parse(&payload)?;
    let repositories = told.repositories();
    if !repositories.is_empty() {
        gateway.repositories_changed(repositories).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Where a registry has to post its notifications, and the token that it has to show; for
/// sovereign-admins, who connect registries.
#[utoipa::path(get, path = "/api/v1/hooks/registry", tag = "hooks", operation_id = "registry_hook_get",
    responses((status = 200, description = "The address and the token.", body = RegistryHook)))]
pub async fn registry_hook_get(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<RegistryHook>, Refusal> {
    if !caller.actor.sovereign_admin {
        return Err(Refusal::forbidden(
            "Show the registry's token",
            "The token that a registry shows is for sovereign-admins only.",
        )
        .next("Ask a sovereign-admin of this Sovereign to connect the registry."));
    }
    tracing::info!(by = %caller.actor.username, "the registry's token was shown");
    Ok(Json(gateway.registry_hook()))
}

/// Whether a caller shows this token; constant time.
fn is_known(headers: &HeaderMap, token: &[u8]) -> bool {
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|shown| bool::from(shown.as_bytes().ct_eq(token)))
}
