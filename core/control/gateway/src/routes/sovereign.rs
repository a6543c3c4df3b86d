//! The Sovereign itself, who is asking, users and trusted signers.

use axum::Json;
use axum::extract::State;
use catalyst_api::{
    Accepted, Invitation, Invite, Me, Membership, Page, SovereignView, TrustSigner, UserView,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{accepted, page};
use crate::Gateway;
use crate::body::{ApiJson, ApiPath};
use crate::caller::Caller;
use crate::problem::Refusal;

/// The Sovereign and where its surfaces are. Anybody may read it.
#[utoipa::path(get, path = "/api/v1/sovereign", tag = "sovereign", operation_id = "sovereign_get",
    security(()),
    responses((status = 200, description = "The Sovereign.", body = SovereignView)))]
pub async fn sovereign_get(State(gateway): State<Gateway>) -> Result<Json<SovereignView>, Refusal> {
    gateway.sovereign().read().await.map(Json)
}

/// The trusted root that `cosign verify --trusted-root` takes. Anybody may read it.
#[utoipa::path(get, path = "/api/v1/sovereign/trusted-root", tag = "sovereign", operation_id = "trusted_root_get",
    security(()),
    responses((status = 200, description = "A sigstore TrustedRoot.", body = Object)))]
pub async fn trusted_root_get(State(gateway): State<Gateway>) -> Result<Json<Value>, Refusal> {
    // The JSON form of dev.sigstore.trustroot.v1.TrustedRoot. A Sovereign runs neither
    // a transparency log nor a certificate authority that signs: it tells those that
    // it is configured to believe. Where it trusts keys alone, which cosign is given by
    // `--key`, cosign asks for the document all the same, and would else fetch that of
    // a public service.
    let configured = gateway.sovereign().trusted_root().await?;
    let configured = configured.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Json(configured.unwrap_or_else(|| {
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [],
            "certificateAuthorities": [],
            "ctlogs": [],
            "timestampAuthorities": [],
        })
    })))
}

/// Who is asking, and what they may do.
#[utoipa::path(get, path = "/api/v1/me", tag = "sovereign", operation_id = "me_get",
    responses((status = 200, description = "The caller.", body = Me)))]
pub async fn me_get(caller: Caller) -> Json<Me> {
    Json(Me {
        username: caller.actor.username.clone(),
        email: caller.actor.email.clone(),
        sovereign_admin: caller.actor.sovereign_admin,
        organizations: caller.memberships(),
    })
}

/// The users, by name. Sovereign-admins see all; org-admins those of their
/// Organizations.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", operation_id = "user_list",
    responses((status = 200, description = "The users.", body = Page<UserView>)))]
pub async fn user_list(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<UserView>>, Refusal> {
    let administered = caller.administered();
    if !caller.actor.sovereign_admin && administered.is_empty() {
        return Err(Refusal::forbidden(
            "List the users",
            "Users are listed for sovereign-admins and org-admins only.",
        ));
    }
    let users = gateway.users().await?;
    let organizations = gateway.organizations().await?;
    let mut views: Vec<UserView> = users
        .into_iter()
        .map(|mut user| {
            user.organizations = organizations
                .memberships(&user.username)
                .into_iter()
                .filter(|membership: &Membership| {
                    caller.actor.sovereign_admin || administered.contains(&membership.organization)
                })
                .collect();
            user
        })
        .filter(|user| caller.actor.sovereign_admin || !user.organizations.is_empty())
        .collect();
    views.sort_by(|left, right| left.username.cmp(&right.username));
    Ok(page(views))
}

/// Invites a user to the Sovereign.
#[utoipa::path(post, path = "/api/v1/users/invitations", tag = "users", operation_id = "user_invite",
    request_body = Invite,
    responses((status = 201, description = "The invitation.", body = Invitation)))]
pub async fn user_invite(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiJson(invite): ApiJson<Invite>,
) -> Result<(StatusCode, Json<Invitation>), Refusal> {
    let invitation = gateway
        .commands()
        .user_invite(&caller.actor, invite)
        .await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// Removes a user from every Organization, then from the Sovereign.
#[utoipa::path(delete, path = "/api/v1/users/{user}", tag = "users", operation_id = "user_remove",
    params(("user" = String, Path, description = "The user's name.")),
    responses((status = 202, description = "In Git; the user is gone.", body = Accepted)))]
pub async fn user_remove(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(user): ApiPath<String>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let removed = gateway.commands().user_remove(&caller.actor, &user).await;
    gateway.issuer().forget();
    accepted(removed)
}

/// Adds a key whose signatures count for a source.
#[utoipa::path(post, path = "/api/v1/trusted-signers", tag = "sovereign", operation_id = "signer_trust",
    request_body = TrustSigner,
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn signer_trust(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiJson(signer): ApiJson<TrustSigner>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    accepted(gateway.commands().signer_trust(&caller.actor, signer).await)
}
