//! Organizations, their members, and the creation of their Environments.

use axum::Json;
use axum::extract::State;
use catalyst_api::{
    Accepted, CreateEnvironment, CreateOrganization, EnvironmentView, Invitation, Invite,
    MemberView, OrganizationView, Page, SetRole,
};
use http::StatusCode;

use super::environments::DeletionQuery;
use super::{accepted, page};
use crate::Gateway;
use crate::body::{ApiJson, ApiPath, ApiQuery};
use crate::caller::Caller;
use crate::problem::Refusal;

/// The caller's Organizations, by name.
#[utoipa::path(get, path = "/api/v1/organizations", tag = "organizations", operation_id = "organization_list",
    responses((status = 200, description = "The Organizations.", body = Page<OrganizationView>)))]
pub async fn organization_list(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<OrganizationView>>, Refusal> {
    let mut organizations = gateway.projector().organizations();
    organizations.retain(|organization| caller.can_see(&organization.name));
    Ok(page(organizations))
}

/// Creates an Organization.
#[utoipa::path(post, path = "/api/v1/organizations", tag = "organizations", operation_id = "organization_create",
    request_body = CreateOrganization,
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn organization_create(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiJson(body): ApiJson<CreateOrganization>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    accepted(
        gateway
            .commands()
            .organization_create(&caller.actor, body)
            .await,
    )
}

/// One Organization.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}", tag = "organizations", operation_id = "organization_get",
    params(("organization" = String, Path, description = "The Organization's slug.")),
    responses((status = 200, description = "The Organization.", body = OrganizationView)))]
pub async fn organization_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<OrganizationView>, Refusal> {
    gateway.organization_seen(&caller, &name).map(Json)
}

/// Deletes an Organization with its Environments; refused while these have
/// Applications, unless they go too.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}", tag = "organizations", operation_id = "organization_delete",
    params(("organization" = String, Path, description = "The Organization's slug."), DeletionQuery),
    responses((status = 202, description = "In Git; the deletion goes on.", body = Accepted)))]
pub async fn organization_delete(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<DeletionQuery>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_organization(&name)?;
    let choice = query.applications.unwrap_or_default();
    accepted(
        gateway
            .commands()
            .organization_delete(&caller.actor, &name, choice)
            .await,
    )
}

/// The members of an Organization.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/members", tag = "organizations", operation_id = "member_list",
    params(("organization" = String, Path, description = "The Organization's slug.")),
    responses((status = 200, description = "The members.", body = Page<MemberView>)))]
pub async fn member_list(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<Page<MemberView>>, Refusal> {
    caller.require_organization(&name)?;
    let organizations = gateway.organizations().await?;
    organizations
        .members(&name)
        .map(page)
        .ok_or_else(|| Refusal::not_found("Organization", &name))
}

/// Gives a member a role.
#[utoipa::path(put, path = "/api/v1/organizations/{organization}/members/{user}", tag = "organizations", operation_id = "member_set",
    params(("organization" = String, Path, description = "The Organization's slug."),
           ("user" = String, Path, description = "The user's name.")),
    request_body = SetRole,
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn member_set(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((organization, user)): ApiPath<(String, String)>,
    ApiJson(role): ApiJson<SetRole>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_organization(&organization)?;
    let commands = gateway.commands();
    accepted(
        commands
            .member_set(&caller.actor, &organization, &user, role)
            .await,
    )
}

/// Takes a member's role away.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}/members/{user}", tag = "organizations", operation_id = "member_remove",
    params(("organization" = String, Path, description = "The Organization's slug."),
           ("user" = String, Path, description = "The user's name.")),
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn member_remove(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((organization, user)): ApiPath<(String, String)>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_organization(&organization)?;
    let commands = gateway.commands();
    accepted(
        commands
            .member_remove(&caller.actor, &organization, &user)
            .await,
    )
}

/// Invites a user into an Organization.
#[utoipa::path(post, path = "/api/v1/organizations/{organization}/invitations", tag = "organizations", operation_id = "member_invite",
    params(("organization" = String, Path, description = "The Organization's slug.")),
    request_body = Invite,
    responses((status = 201, description = "The invitation.", body = Invitation)))]
pub async fn member_invite(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(organization): ApiPath<String>,
    ApiJson(invite): ApiJson<Invite>,
) -> Result<(StatusCode, Json<Invitation>), Refusal> {
    caller.require_organization(&organization)?;
    let commands = gateway.commands();
    let invitation = commands
        .member_invite(&caller.actor, &organization, invite)
        .await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// The Environments of an Organization, by name.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/environments", tag = "environments", operation_id = "organization_environment_list",
    params(("organization" = String, Path, description = "The Organization's slug.")),
    responses((status = 200, description = "The Environments.", body = Page<EnvironmentView>)))]
pub async fn environment_list(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<Page<EnvironmentView>>, Refusal> {
    caller.require_organization(&name)?;
    let mut environments = gateway.projector().environments();
    environments.retain(|environment| environment.organization == name && caller.can_read(&name));
    Ok(page(environments))
}

/// Creates an Environment.
#[utoipa::path(post, path = "/api/v1/organizations/{organization}/environments", tag = "environments", operation_id = "environment_create",
    params(("organization" = String, Path, description = "The Organization's slug.")),
    request_body = CreateEnvironment,
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn environment_create(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(organization): ApiPath<String>,
    ApiJson(body): ApiJson<CreateEnvironment>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_organization(&organization)?;
    let commands = gateway.commands();
    accepted(
        commands
            .environment_create(&caller.actor, &organization, body)
            .await,
    )
}
