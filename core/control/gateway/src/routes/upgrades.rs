//! Fleet upgrades.

use axum::Json;
use axum::extract::State;
use catalyst_api::{
    Accepted, Page, StartUpgrade, UpgradeAccepted, UpgradePlanView, UpgradeRequest, UpgradeView,
};
use http::StatusCode;

use super::{accepted, page};
use crate::Gateway;
use crate::body::{ApiJson, ApiPath};
use crate::caller::Caller;
use crate::problem::Refusal;

/// The fleet upgrades of Organizations that the caller may read, by name; those of all
/// Organizations for sovereign-admins only.
#[utoipa::path(get, path = "/api/v1/upgrades", tag = "upgrades", operation_id = "upgrade_list",
    responses((status = 200, description = "The fleet upgrades.", body = Page<UpgradeView>)))]
pub async fn upgrade_list(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<UpgradeView>>, Refusal> {
    let mut upgrades = gateway.projector().upgrades();
    upgrades.retain(|upgrade| caller.upgrade_seen(upgrade));
    Ok(page(upgrades))
}

/// One fleet upgrade.
#[utoipa::path(get, path = "/api/v1/upgrades/{name}", tag = "upgrades", operation_id = "upgrade_get",
    params(("name" = String, Path, description = "The fleet upgrade's name.")),
    responses((status = 200, description = "The fleet upgrade.", body = UpgradeView)))]
pub async fn upgrade_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<UpgradeView>, Refusal> {
    gateway
        .projector()
        .upgrade(&name)
        .filter(|upgrade| caller.upgrade_seen(upgrade))
        .map(Json)
        .ok_or_else(|| Refusal::not_found("Fleet upgrade", &name))
}

/// Says what a fleet upgrade would do, wave by wave, and what is left out and why;
/// writes nothing.
#[utoipa::path(post, path = "/api/v1/upgrade-plans", tag = "upgrades", operation_id = "upgrade_plan",
    request_body = UpgradeRequest,
    responses((status = 200, description = "The plan.", body = UpgradePlanView)))]
pub async fn upgrade_plan(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiJson(request): ApiJson<UpgradeRequest>,
) -> Result<Json<UpgradePlanView>, Refusal> {
    let commands = gateway.commands();
    let plan = commands.upgrade_plan(&caller.actor, &request).await?;
    Ok(Json(plan))
}

/// Begins a fleet upgrade.
#[utoipa::path(post, path = "/api/v1/upgrades", tag = "upgrades", operation_id = "upgrade_start",
    request_body = StartUpgrade,
    responses((status = 202, description = "In Git.", body = UpgradeAccepted)))]
pub async fn upgrade_start(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiJson(start): ApiJson<StartUpgrade>,
) -> Result<(StatusCode, Json<UpgradeAccepted>), Refusal> {
    let commands = gateway.commands();
    let started = commands.upgrade_start(&caller.actor, &start).await?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}

/// Has nothing more of a fleet upgrade begin; what was begun goes on by itself.
#[utoipa::path(post, path = "/api/v1/upgrades/{name}/cancel", tag = "upgrades", operation_id = "upgrade_cancel",
    params(("name" = String, Path, description = "The fleet upgrade's name.")),
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn upgrade_cancel(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let commands = gateway.commands();
    accepted(commands.upgrade_cancel(&caller.actor, &name).await)
}

/// Goes on with a fleet upgrade that stopped, in the name of the caller: what failed has
/// its turn again.
#[utoipa::path(post, path = "/api/v1/upgrades/{name}/resume", tag = "upgrades", operation_id = "upgrade_resume",
    params(("name" = String, Path, description = "The fleet upgrade's name.")),
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn upgrade_resume(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let commands = gateway.commands();
    accepted(commands.upgrade_resume(&caller.actor, &name).await)
}
