//! `/api/v1`: one handler an operation, each declared with its OpenAPI path.
//!
//! A handler reads the request, asks [`crate::caller::Caller`] whether the
//! caller may see what it is about, and hands on to the read or the write side.
//! What must stay true: a read is filtered here, a write is decided by the
//! write side, and what a caller may not see is answered as if it were not
//! there.

pub mod applications;
pub mod blueprints;
pub mod environments;
pub mod hooks;
pub mod organizations;
pub mod policies;
pub mod pulls;
pub mod sovereign;
pub mod sovereigns;
pub mod upgrades;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, post, put};
use catalyst_api::{Accepted, Page};
use catalyst_commands::CommandError;
use http::StatusCode;

use crate::Gateway;
use crate::body::{LARGEST_BODY, LARGEST_HOOK};
use crate::parameters;
use crate::problem::Refusal;

/// All operations, with paths from the root.
pub fn router() -> Router<Gateway> {
    let environment = Router::new()
        .route(
            "/",
            get(environments::environment_get).delete(environments::environment_delete),
        )
        .route("/kubeconfig", get(environments::environment_kubeconfig))
        .route("/plans", post(environments::plan_create))
        .route("/changes", post(environments::change_create))
        .route("/applications", get(applications::application_list))
        .route(
            "/applications/{application}",
            get(applications::application_get),
        )
        .route(
            "/applications/{application}/logs",
            get(applications::application_logs),
        )
        .route(
            "/applications/{application}/vulnerabilities",
            get(applications::application_vulnerabilities),
        )
        .route(
            "/applications/{application}/history",
            get(applications::revision_list),
        )
        .route(
            "/applications/{application}/history/{commit}",
            get(applications::revision_get),
        )
        .route("/branches", get(pulls::branch_list))
        .route(
            "/pull-requests",
            get(pulls::pull_list).post(pulls::pull_open),
        )
        .route("/pull-requests/{number}", get(pulls::pull_get))
        .route(
            "/pull-requests/{number}/approval",
            post(pulls::pull_approve),
        )
        .route("/pull-requests/{number}/merge", post(pulls::pull_merge))
        .route("/pull-requests/{number}/close", post(pulls::pull_close));
    let organization = Router::new()
        .route(
            "/",
            get(organizations::organization_get).delete(organizations::organization_delete),
        )
        .route("/members", get(organizations::member_list))
        .route(
            "/members/{user}",
            put(organizations::member_set).delete(organizations::member_remove),
        )
        .route("/invitations", post(organizations::member_invite))
        .route(
            "/environments",
            get(organizations::environment_list).post(organizations::environment_create),
        );
    let sovereigns = Router::new()
        .route(
            "/",
            get(sovereigns::provisioning_list).post(sovereigns::provisioning_create),
        )
        .route("/schema", get(sovereigns::provisioning_schema))
        .route("/render", post(sovereigns::provisioning_render))
        .route(
            "/{fqdn}",
            get(sovereigns::provisioning_get).delete(sovereigns::provisioning_destroy),
        )
        .route("/{fqdn}/events", get(sovereigns::provisioning_events))
        .route(
            "/{fqdn}/destroy",
            post(sovereigns::provisioning_destroy_with),
        )
        .route("/{fqdn}/plan", post(sovereigns::provisioning_plan))
        .route("/{fqdn}/resume", post(sovereigns::provisioning_resume))
        .route("/{fqdn}/archive", post(sovereigns::provisioning_archive))
        .route("/{fqdn}/restore", post(sovereigns::provisioning_restore))
        .route("/{fqdn}/cancel", post(sovereigns::provisioning_cancel))
        .route("/{fqdn}/forget", post(sovereigns::provisioning_forget));
    let hooks = Router::new()
        .route("/hooks/git", post(hooks::git_pushed))
        .route("/checks/push", post(hooks::push_check))
        .layer(DefaultBodyLimit::max(LARGEST_HOOK));
    let api = Router::new()
        .route("/sovereign", get(sovereign::sovereign_get))
        .route("/sovereign/trusted-root", get(sovereign::trusted_root_get))
        .route("/me", get(sovereign::me_get))
        .route("/users", get(sovereign::user_list))
        .route("/users/invitations", post(sovereign::user_invite))
        .route("/users/{user}", delete(sovereign::user_remove))
        .route("/trusted-signers", post(sovereign::signer_trust))
        .route(
            "/organizations",
            get(organizations::organization_list).post(organizations::organization_create),
        )
        .nest("/organizations/{organization}", organization)
        .route("/environments", get(environments::environment_list))
        .nest("/environments/{environment}", environment)
        .route(
            "/blueprints",
            get(blueprints::blueprint_list).post(blueprints::blueprint_register),
        )
        .route(
            "/blueprints/{source}/{name}",
            get(blueprints::blueprint_get),
        )
        .route(
            "/blueprints/{source}/{name}/{version}/icon",
            get(blueprints::blueprint_icon),
        )
        .route("/blueprint-sources", get(blueprints::blueprint_source_list))
        .route(
            "/blueprints/{source}/{name}/{version}/vulnerabilities",
            get(blueprints::blueprint_vulnerabilities),
        )
        .route("/policies", get(policies::policy_list))
        .route(
            "/policies/{name}",
            put(policies::policy_put).delete(policies::policy_delete),
        )
        .route("/deletions", get(policies::deletion_list))
        .route("/upgrade-plans", post(upgrades::upgrade_plan))
        .route(
            "/upgrades",
            get(upgrades::upgrade_list).post(upgrades::upgrade_start),
        )
        .route("/upgrades/{name}", get(upgrades::upgrade_get))
        .route("/upgrades/{name}/cancel", post(upgrades::upgrade_cancel))
        .route("/upgrades/{name}/resume", post(upgrades::upgrade_resume))
        .nest("/sovereigns", sovereigns)
        .route("/stream", get(crate::stream::stream_get))
        .route("/openapi.json", get(crate::openapi::openapi_get))
        .route(
            "/graphql",
            get(crate::graphql::graphql_get).post(crate::graphql::graphql_post),
        )
        .route("/graphql/schema", get(crate::graphql::graphql_schema_get))
        .route(
            "/hooks/registry",
            get(hooks::registry_hook_get).post(hooks::registry_changed),
        )
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .merge(hooks);
    Router::new()
        .nest("/api/v1", api)
        .route_layer(middleware::from_fn(parameters::check))
}

/// A whole list as one page.
pub fn page<T>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page { items, next: None })
}

/// The answer to a command that became a commit or a pull request.
pub fn accepted(
    result: Result<Accepted, CommandError>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    Ok((StatusCode::ACCEPTED, Json(result?)))
}
