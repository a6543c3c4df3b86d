//! Sovereigns that this one provisions on a cloud; for sovereign-admins alone.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use catalyst_api::{
    CreateSovereign, DestroySovereign, Page, PlanSovereign, ProvisioningSummary, ProvisioningView,
    RenderSovereign, RenderedSovereign, ResumeSovereign,
};
use catalyst_provisioner::service::Task;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::page;
use crate::Gateway;
use crate::body::{ApiJson, ApiJsonIfAny, ApiPath, ApiQuery};
use crate::caller::SovereignAdmin;
use crate::problem::Refusal;
use crate::provisioning;
use crate::stream::position;

/// The Sovereigns that are provisioned from here, by domain.
#[utoipa::path(get, path = "/api/v1/sovereigns", tag = "sovereigns", operation_id = "provisioning_list",
    responses((status = 200, description = "The Sovereigns.", body = Page<ProvisioningSummary>)))]
pub async fn provisioning_list(
    _: SovereignAdmin,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<ProvisioningSummary>>, Refusal> {
    gateway.provisioned().map(page)
}

/// Begins to provision a Sovereign, as a job that goes on by itself.
#[utoipa::path(post, path = "/api/v1/sovereigns", tag = "sovereigns", operation_id = "provisioning_create",
    request_body = CreateSovereign,
    responses((status = 202, description = "The job is at work.", body = ProvisioningView)))]
pub async fn provisioning_create(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiJson(body): ApiJson<CreateSovereign>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    begun(gateway.provision(&caller, body).await)
}

/// The JSON Schema (2020-12) of a description: `sovereign.yaml`, with keys as text.
#[utoipa::path(get, path = "/api/v1/sovereigns/schema", tag = "sovereigns", operation_id = "provisioning_schema",
    responses((status = 200, description = "The schema.", body = Object)))]
pub async fn provisioning_schema(_: SovereignAdmin) -> Json<Value> {
    Json(catalyst_provisioner::service::schema())
}

/// The files that must lie in the Sovereign's Git repository before it is provisioned; a
/// description is refused as provisioning would, and nothing is begun or kept.
#[utoipa::path(post, path = "/api/v1/sovereigns/render", tag = "sovereigns", operation_id = "provisioning_render",
    request_body = RenderSovereign,
    responses((status = 200, description = "The files.", body = RenderedSovereign)))]
pub async fn provisioning_render(
    _: SovereignAdmin,
    ApiJson(body): ApiJson<RenderSovereign>,
) -> Result<Json<RenderedSovereign>, Refusal> {
    provisioning::rendered(body).map(Json)
}

/// A Sovereign that is provisioned: its steps, resources, versions, and what to do next.
#[utoipa::path(get, path = "/api/v1/sovereigns/{fqdn}", tag = "sovereigns", operation_id = "provisioning_get",
    params(("fqdn" = String, Path, description = "The Sovereign's domain.")),
    responses((status = 200, description = "The Sovereign.", body = ProvisioningView)))]
pub async fn provisioning_get(
    _: SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
) -> Result<Json<ProvisioningView>, Refusal> {
    gateway.provisioning_seen(&fqdn).map(Json)
}

/// Whether it is meant.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConfirmationQuery {
    /// The Sovereign's domain once more: everything on it is destroyed, data included.
    pub confirm: Option<String>,
}

/// Whether it is meant, where a request has no body to say the rest.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DestructionQuery {
    /// The Sovereign's domain once more: everything on it is destroyed, data included.
    pub confirm: Option<String>,
    /// Whether everything that was made was removed by hand: a token of a project that
    /// has nothing of it is refused otherwise.
    #[serde(rename = "removedByHand")]
    pub removed_by_hand: Option<bool>,
}

/// Destroys a Sovereign with everything on it, and proves that nothing is left.
#[utoipa::path(delete, path = "/api/v1/sovereigns/{fqdn}", tag = "sovereigns", operation_id = "provisioning_destroy",
    params(("fqdn" = String, Path, description = "The Sovereign's domain."), DestructionQuery),
    responses((status = 202, description = "The job is at work.", body = ProvisioningView)))]
pub async fn provisioning_destroy(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
    ApiQuery(query): ApiQuery<DestructionQuery>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    let body = DestroySovereign {
        removed_by_hand: query.removed_by_hand.unwrap_or_default(),
        ..DestroySovereign::default()
    };
    let confirmed = query.confirm.as_deref();
    begun(
        gateway
            .provisioning_destroy(&caller, &fqdn, confirmed, body)
            .await,
    )
}

/// Destroys a Sovereign as `DELETE` does, with other credentials if given.
#[utoipa::path(post, path = "/api/v1/sovereigns/{fqdn}/destroy", tag = "sovereigns", operation_id = "provisioning_destroy_with",
    params(("fqdn" = String, Path, description = "The Sovereign's domain."), ConfirmationQuery),
    request_body = Option<DestroySovereign>,
    responses((status = 202, description = "The job is at work.", body = ProvisioningView)))]
pub async fn provisioning_destroy_with(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
    ApiQuery(query): ApiQuery<ConfirmationQuery>,
    ApiJsonIfAny(body): ApiJsonIfAny<DestroySovereign>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    let confirmed = query.confirm.as_deref();
    begun(
        gateway
            .provisioning_destroy(&caller, &fqdn, confirmed, body)
            .await,
    )
}

/// Looks for problems and plans; creates nothing.
#[utoipa::path(post, path = "/api/v1/sovereigns/{fqdn}/plan", tag = "sovereigns", operation_id = "provisioning_plan",
    params(("fqdn" = String, Path, description = "The Sovereign's domain.")),
    request_body = Option<PlanSovereign>,
    responses((status = 202, description = "The job is at work.", body = ProvisioningView)))]
pub async fn provisioning_plan(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
    ApiJsonIfAny(body): ApiJsonIfAny<PlanSovereign>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    let body = ResumeSovereign {
        config: body.config,
        credentials: body.credentials,
        removed_by_hand: body.removed_by_hand,
        ..ResumeSovereign::default()
    };
    begun(
        gateway
            .provisioning_go_on(&caller, &fqdn, Some(Task::Plan), body)
            .await,
    )
}

/// Goes on where the last job stopped, with another description or credentials if given.
/// What was only to be planned is planned; what is planned is done with `create`.
#[utoipa::path(post, path = "/api/v1/sovereigns/{fqdn}/resume", tag = "sovereigns", operation_id = "provisioning_resume",
    params(("fqdn" = String, Path, description = "The Sovereign's domain.")),
    request_body = Option<ResumeSovereign>,
    responses((status = 202, description = "The job is at work.", body = ProvisioningView)))]
pub async fn provisioning_resume(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
    ApiJsonIfAny(body): ApiJsonIfAny<ResumeSovereign>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    begun(gateway.provisioning_go_on(&caller, &fqdn, None, body).await)
}

/// Puts OpenTofu's state away, once every step is done: nothing applies it again.
#[utoipa::path(post, path = "/api/v1/sovereigns/{fqdn}/archive", tag = "sovereigns", operation_id = "provisioning_archive",
    params(("fqdn" = String, Path, description = "The Sovereign's domain.")),
    responses((status = 202, description = "The job is at work.", body = ProvisioningView)))]
pub async fn provisioning_archive(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    let as_it_is = ResumeSovereign::default();
    let begins = gateway.provisioning_go_on(&caller, &fqdn, Some(Task::Archive), as_it_is);
    begun(begins.await)
}

/// Takes the archived state back, where OpenTofu can read it; else it stays archived.
#[utoipa::path(post, path = "/api/v1/sovereigns/{fqdn}/restore", tag = "sovereigns", operation_id = "provisioning_restore",
    params(("fqdn" = String, Path, description = "The Sovereign's domain.")),
    responses((status = 202, description = "The job is at work.", body = ProvisioningView)))]
pub async fn provisioning_restore(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    let as_it_is = ResumeSovereign::default();
    let begins = gateway.provisioning_go_on(&caller, &fqdn, Some(Task::Restore), as_it_is);
    begun(begins.await)
}

/// Tells the job at work to stop; what is being made is ended and kept.
#[utoipa::path(post, path = "/api/v1/sovereigns/{fqdn}/cancel", tag = "sovereigns", operation_id = "provisioning_cancel",
    params(("fqdn" = String, Path, description = "The Sovereign's domain.")),
    responses((status = 202, description = "The job was told.", body = ProvisioningView)))]
pub async fn provisioning_cancel(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    begun(gateway.provisioning_cancel(&caller, &fqdn))
}

/// Forgets a Sovereign of which nothing is left, with its archives and its last job.
#[utoipa::path(post, path = "/api/v1/sovereigns/{fqdn}/forget", tag = "sovereigns", operation_id = "provisioning_forget",
    params(("fqdn" = String, Path, description = "The Sovereign's domain.")),
    responses((status = 204, description = "It is forgotten.")))]
pub async fn provisioning_forget(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
) -> Result<StatusCode, Refusal> {
    gateway.provisioning_forget(&caller, &fqdn).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the last job told, and what this and later ones tell: events as
/// `catalyst provision --output json` prints them, between `job-begun` and `job-ended`;
/// `id` is the position to send as `Last-Event-ID` when coming back.
#[utoipa::path(get, path = "/api/v1/sovereigns/{fqdn}/events", tag = "sovereigns", operation_id = "provisioning_events",
    params(("fqdn" = String, Path, description = "The Sovereign's domain."),
           ("Last-Event-ID" = Option<String>, Header, description = "The position to go on from.")),
    responses((status = 200, description = "Events; `data` is one JSON object.", body = Object, content_type = "text/event-stream")))]
pub async fn provisioning_events(
    SovereignAdmin(caller): SovereignAdmin,
    State(gateway): State<Gateway>,
    ApiPath(fqdn): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let after = position(&headers)?.unwrap_or_default();
    provisioning::events(gateway, caller, &fqdn, after)
}

fn begun(
    view: Result<ProvisioningView, Refusal>,
) -> Result<(StatusCode, Json<ProvisioningView>), Refusal> {
    Ok((StatusCode::ACCEPTED, Json(view?)))
}
