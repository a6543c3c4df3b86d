//! Applications of an Environment: state, logs, history.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use catalyst_api::{
    ApplicationSummary, ApplicationView, LogLine, Page, Revision, RevisionDetail,
    VulnerabilityReport,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::page;
use crate::Gateway;
use crate::body::{ApiPath, ApiQuery};
use crate::caller::Caller;
use crate::problem::Refusal;

/// The Applications of an Environment, by name.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/applications", tag = "applications", operation_id = "application_list",
    params(("environment" = String, Path, description = "`{organization}-{env type}`.")),
    responses((status = 200, description = "The Applications.", body = Page<ApplicationSummary>)))]
pub async fn application_list(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath(environment): ApiPath<String>,
) -> Result<Json<Page<ApplicationSummary>>, Refusal> {
    gateway.environment_seen(&caller, &environment)?;
    Ok(page(gateway.projector().applications(&environment)))
}

/// One Application.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/applications/{application}", tag = "applications", operation_id = "application_get",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("application" = String, Path, description = "The Application's name.")),
    responses((status = 200, description = "The Application.", body = ApplicationView)))]
pub async fn application_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, name)): ApiPath<(String, String)>,
) -> Result<Json<ApplicationView>, Refusal> {
    gateway
        .application_seen(&caller, &environment, &name)
        .map(Json)
}

/// What is known to be wrong with what an Application, and those that it depends on, are
/// made of.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/applications/{application}/vulnerabilities", tag = "applications", operation_id = "application_vulnerabilities",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("application" = String, Path, description = "The Application's name.")),
    responses((status = 200, description = "The findings, and what could not be looked at.", body = VulnerabilityReport)))]
pub async fn application_vulnerabilities(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, name)): ApiPath<(String, String)>,
) -> Result<Json<VulnerabilityReport>, Refusal> {
    let view = gateway.application_seen(&caller, &environment, &name)?;
    gateway.application_report(view).await.map(Json)
}

/// Which log lines.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// Only this container's lines.
    pub container: Option<String>,
    /// At most so many lines of the past from each container; 200 if absent.
    #[param(minimum = 0, maximum = 100_000)]
    pub tail: Option<u32>,
    /// Whether to go on with new lines as they come.
    pub follow: Option<bool>,
    /// Whether each line comes as a JSON object with its time, pod and container.
    pub json: Option<bool>,
}

/// The log of an Application's pods. With several containers every line begins
/// with `pod/container `.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/applications/{application}/logs", tag = "applications", operation_id = "application_logs",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("application" = String, Path, description = "The Application's name."), LogQuery),
    responses((status = 200, description = "Lines.",
        content((String = "text/plain"), (LogLine = "application/x-ndjson")))))]
pub async fn application_logs(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, name)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Response, Refusal> {
    let view = gateway.environment_seen(&caller, &environment)?;
    let application = gateway.application_seen(&caller, &environment, &name)?;
    crate::logs::answer(&gateway, caller, &view, &application, query).await
}

/// The commits that concern an Application, newest first.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/applications/{application}/history", tag = "applications", operation_id = "revision_list",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("application" = String, Path, description = "The Application's name.")),
    responses((status = 200, description = "The commits.", body = Page<Revision>)))]
pub async fn revision_list(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, name)): ApiPath<(String, String)>,
) -> Result<Json<Page<Revision>>, Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    let mut revisions = commands.history(&caller.actor, &environment, &name).await?;
    name_pushers(&gateway, &environment, &mut revisions);
    Ok(page(revisions))
}

/// Names who pushed, which the forge told when it happened and Git does not know.
fn name_pushers(gateway: &Gateway, environment: &str, revisions: &mut [Revision]) {
    let pushers = gateway.projector().pushers(environment);
    for revision in revisions {
        revision.pushed_by = pushers.get(&revision.commit).cloned();
    }
}

/// One commit with what it changed in the Application's folder.
#[utoipa::path(get, path = "/api/v1/environments/{environment}/applications/{application}/history/{commit}", tag = "applications", operation_id = "revision_get",
    params(("environment" = String, Path, description = "`{organization}-{env type}`."),
           ("application" = String, Path, description = "The Application's name."),
           ("commit" = String, Path, description = "The commit's id.")),
    responses((status = 200, description = "The commit.", body = RevisionDetail)))]
pub async fn revision_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((environment, name, commit)): ApiPath<(String, String, String)>,
) -> Result<Json<RevisionDetail>, Refusal> {
    caller.require_environment(&environment)?;
    let commands = gateway.commands();
    let mut detail = commands
        .revision(&caller.actor, &environment, &name, &commit)
        .await?;
    name_pushers(
        &gateway,
        &environment,
        std::slice::from_mut(&mut detail.revision),
    );
    Ok(Json(detail))
}
