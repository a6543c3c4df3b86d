//! Environments: reading, deleting, kubeconfig, plans, changes.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalyst_api::{
    Accepted, ApplicationCommand, ApplicationsChoice, EnvironmentView, Execute, Page, PlanView,
};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{accepted, page};
use crate::Gateway;
use crate::body::{ApiJson, ApiPath, ApiQuery};
use crate::caller::Caller;
use crate::problem::Refusal;

/// The Environments that the caller may see, by name.
#[utoipa::path(get, path = "/api/v1/environments", tag = "environments", operation_id = "environment_list",
    responses((status = 200, description = "The Environments.", body = Page<EnvironmentView>)))]
pub async fn environment_list(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<EnvironmentView>>, Refusal> {
    let mut environments = gateway.projector().environments();
    environments.retain(|environment| caller.can_read(&environment.organization));
    Ok(page(environments))
}

/// One Environment.
#[utoipa::path(get, path = "/api/v1/environments/{environment}", tag = "environments", operation_id = "environment_get",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    responses((status = 200, description = "The Environment.", body = EnvironmentView)))]
pub async fn environment_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<EnvironmentView>, Refusal> {
    gateway.environment_seen(&caller, &name).map(Json)
}

/// What goes with what is deleted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeletionQuery {
    /// `drop`: the Applications in it and their data go too. Refused while there are any if absent.
    #[param(value_type = Option<String>)]
    pub applications: Option<ApplicationsChoice>,
}

/// Deletes an Environment; refused while it has Applications, unless they go too.
#[utoipa::path(delete, path = "/api/v1/environments/{environment}", tag = "environments", operation_id = "environment_delete",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."), DeletionQuery),
    responses((status = 202, description = "In Git; the deletion goes on.", body = Accepted)))]
pub async fn environment_delete(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<DeletionQuery>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_environment(&name)?;
    let choice = query.applications.unwrap_or_default();
    accepted(
        gateway
            .commands()
            .environment_delete(&caller.actor, &name, choice)
            .await,
    )
}

/// A kubeconfig for the Environment's vclusters that carries the caller's own
/// token; it ends with the token.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/kubeconfig", tag = "environments", operation_id = "environment_kubeconfig",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    responses((status = 200, description = "The kubeconfig.", body = String, content_type = "text/yaml")))]
pub async fn environment_kubeconfig(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
) -> Result<Response, Refusal> {
    let environment = gateway.environment_seen(&caller, &name)?;
    let text = crate::kubeconfig::render(&environment, &caller, gateway.vclusters())?;
    let headers = [
        (CONTENT_TYPE, "text/yaml; charset=utf-8".to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.kubeconfig\""),
        ),
    ];
    Ok((headers, text).into_response())
}

/// Says what a change would do; writes nothing.
#[utoipa::path(post, path = "/api/v1/environments/{environment}/plans", tag = "changes", operation_id = "plan_create",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    request_body = ApplicationCommand,
    responses((status = 200, description = "The plan.", body = PlanView)))]
pub async fn plan_create(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
    ApiJson(command): ApiJson<ApplicationCommand>,
) -> Result<Json<PlanView>, Refusal> {
    caller.require_environment(&name)?;
    let plan = gateway
        .commands()
        .plan(&caller.actor, &name, command)
        .await?;
    Ok(Json(plan))
}

/// Makes a change: one commit, or a pull request where a policy asks for it.
#[utoipa::path(post, path = "/api/v1/environments/{environment}/changes", tag = "changes", operation_id = "change_create",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    request_body = Execute,
    responses((status = 202, description = "In Git.", body = Accepted)))]
pub async fn change_create(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(name): ApiPath<String>,
    ApiJson(execute): ApiJson<Execute>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    caller.require_environment(&name)?;
    accepted(
        gateway
            .commands()
            .execute(&caller.actor, &name, execute)
            .await,
    )
}
