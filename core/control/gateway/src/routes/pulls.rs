//! Pull requests of an Environment's repository.

use axum::Json;
use axum::extract::State;
use catalyst_api::{Accepted, BranchView, OpenPull, Page, PullRequestView};
use http::StatusCode;

use super::{accepted, page};
use crate::Gateway;
use crate::body::{ApiJson, ApiPath};
use crate::caller::Caller;
use crate::problem::Refusal;

/// The pull requests of an Environment, newest first.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/pull-requests", tag = "pull-requests", operation_id = "pull_list",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    responses((status = 200, description = "The pull requests.", body = Page<PullRequestView>)))]
pub async fn pull_list(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(environment): ApiPath<String>,
) -> Result<Json<Page<PullRequestView>>, Refusal> {
    caller.require_environment(&environment)?;
    let pulls = gateway
        .commands()
        .pulls(&caller.actor, &environment)
        .await?;
    Ok(page(pulls))
}

/// Opens a pull request from a pushed branch; one that is open from it is the answer instead.
#[utoipa::path(post, path = "/api/v1/environments/{environment}/pull-requests", tag = "pull-requests", operation_id = "pull_open",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    request_body = OpenPull,
    responses((status = 202, description = "It is open; `pullRequest` is its number.", body = Accepted)))]
pub async fn pull_open(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(environment): ApiPath<String>,
    ApiJson(request): ApiJson<OpenPull>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    accepted(
        commands
            .pull_open(&caller.actor, &environment, request)
            .await,
    )
}

/// The branches that were pushed to an Environment's repository, by name.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/branches", tag = "pull-requests", operation_id = "branch_list",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    responses((status = 200, description = "The branches, without `main` and those that commands made.", body = Page<BranchView>)))]
pub async fn branch_list(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(environment): ApiPath<String>,
) -> Result<Json<Page<BranchView>>, Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    let branches = commands.branches(&caller.actor, &environment).await?;
    Ok(page(branches))
}

/// One pull request with its diff.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/pull-requests/{number}", tag = "pull-requests", operation_id = "pull_get",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("number" = u64, Path, description = "Its number in the repository.")),
    responses((status = 200, description = "The pull request.", body = PullRequestView)))]
pub async fn pull_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, number)): ApiPath<(String, u64)>,
) -> Result<Json<PullRequestView>, Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    let pull = commands.pull(&caller.actor, &environment, number).await?;
    Ok(Json(pull))
}

/// Approves a pull request.
#[utoipa::path(post, path = "/api/v1/environments/{environment}/pull-requests/{number}/approval", tag = "pull-requests", operation_id = "pull_approve",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("number" = u64, Path, description = "Its number in the repository.")),
    responses((status = 200, description = "The pull request, approved.", body = PullRequestView)))]
pub async fn pull_approve(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, number)): ApiPath<(String, u64)>,
) -> Result<Json<PullRequestView>, Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    let pull = commands
        .pull_approve(&caller.actor, &environment, number)
        .await?;
    Ok(Json(pull))
}

/// Merges a pull request.
#[utoipa::path(post, path = "/api/v1/environments/{environment}/pull-requests/{number}/merge", tag = "pull-requests", operation_id = "pull_merge",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("number" = u64, Path, description = "Its number in the repository.")),
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn pull_merge(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, number)): ApiPath<(String, u64)>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    accepted(
        commands
            .pull_merge(&caller.actor, &environment, number)
            .await,
    )
}

/// Closes a pull request without merging it, for whoever opened it or may merge it.
#[utoipa::path(post, path = "/api/v1/environments/{environment}/pull-requests/{number}/close", tag = "pull-requests", operation_id = "pull_close",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("number" = u64, Path, description = "Its number in the repository.")),
    responses((status = 200, description = "The pull request, closed.", body = PullRequestView)))]
pub async fn pull_close(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, number)): ApiPath<(String, u64)>,
) -> Result<Json<PullRequestView>, Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    let pull = commands
        .pull_close(&caller.actor, &environment, number)
        .await?;
    Ok(Json(pull))
}
