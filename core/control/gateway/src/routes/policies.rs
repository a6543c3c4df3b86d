//! Policies and deletions.

use axum::Json;
use axum::extract::State;
use catalyst_api::{Accepted, DeletionView, Page, PolicyView};
use http::StatusCode;

use super::{accepted, page};
use crate::Gateway;
use crate::body::{ApiJson, ApiPath};
use crate::caller::Caller;
use crate::problem::Refusal;

/// The policies that bind Environments the caller may see, by name; of each,
/// only those Environments are named.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policies", operation_id = "policy_list",
    responses((status = 200, description = "The policies.", body = Page<PolicyView>)))]
pub async fn policy_list(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<PolicyView>>, Refusal> {
    let policies = gateway.projector().policies().into_iter();
    Ok(page(
        policies
            .filter_map(|policy| caller.policy_seen(policy))
            .collect(),
    ))
}

/// Creates or replaces a policy.
#[utoipa::path(put, path = "/api/v1/policies/{name}", tag = "policies", operation_id = "policy_put",
    params(("name" = String, Path, description = "The policy's name.")),
    request_body = PolicyView,
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn policy_put(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
    ApiJson(policy): ApiJson<PolicyView>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    if policy.name != name {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "names-differ",
            format!("Write the policy {name}"),
            "The path and the body name different policies.",
        )
        .fault(Some("/name".to_owned()), format!("it is not {name:?}")));
    }
    accepted(gateway.commands().policy_put(&caller.actor, policy).await)
}

/// Deletes a policy.
#[utoipa::path(delete, path = "/api/v1/policies/{name}", tag = "policies", operation_id = "policy_delete",
    params(("name" = String, Path, description = "The policy's name.")),
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn policy_delete(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    accepted(gateway.commands().policy_delete(&caller.actor, &name).await)
}

/// Deletions that go on or ended, newest first.
#[utoipa::path(get, path = "/api/v1/deletions", tag = "deletions", operation_id = "deletion_list",
    responses((status = 200, description = "The deletions.", body = Page<DeletionView>)))]
pub async fn deletion_list(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<DeletionView>>, Refusal> {
    let mut deletions = gateway.projector().deletions();
    deletions.retain(|deletion| caller.deletion_seen(deletion));
    Ok(page(deletions))
}
