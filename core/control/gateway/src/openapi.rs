//! The OpenAPI document: made from the handlers' own declarations.
//!
//! `core/control/gateway/openapi.json` is this document, kept in the tree so
//! that the console's types and the command line are checked against it; a test
//! fails when the two differ.

use axum::Json;
use catalyst_api::{Problem, StreamItem};
use serde_json::Value;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::graphql;
use crate::problem::PROBLEM_JSON;
use crate::routes::{
    applications, blueprints, environments, hooks, organizations, policies, pulls, sovereign,
    sovereigns, upgrades,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Catalyst",
        description = "The REST API of a Sovereign. Lists are pages; errors are problem details (RFC 9457); times are RFC 3339 in UTC; changes are accepted once they are in Git.",
        version = "v1",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        sovereign::sovereign_get, sovereign::trusted_root_get, sovereign::me_get,
        sovereign::user_list, sovereign::user_invite, sovereign::user_remove,
        sovereign::signer_trust,
        organizations::organization_list, organizations::organization_create,
        organizations::organization_get, organizations::organization_delete,
        organizations::member_list, organizations::member_set, organizations::member_remove,
        organizations::member_invite, organizations::environment_list,
        organizations::environment_create,
        environments::environment_list, environments::environment_get,
        environments::environment_delete, environments::environment_kubeconfig,
        environments::plan_create, environments::change_create,
        applications::application_list, applications::application_get,
        applications::application_logs, applications::application_vulnerabilities,
        applications::revision_list, applications::revision_get,
        pulls::pull_list, pulls::pull_open, pulls::pull_get, pulls::pull_approve,
        pulls::pull_merge, pulls::pull_close, pulls::branch_list,
        blueprints::blueprint_list, blueprints::blueprint_register, blueprints::blueprint_get,
        blueprints::blueprint_icon, blueprints::blueprint_source_list,
        blueprints::blueprint_vulnerabilities,
        policies::policy_list, policies::policy_put, policies::policy_delete,
        policies::deletion_list,
        upgrades::upgrade_list, upgrades::upgrade_get, upgrades::upgrade_plan,
        upgrades::upgrade_start, upgrades::upgrade_cancel, upgrades::upgrade_resume,
        sovereigns::provisioning_list, sovereigns::provisioning_create,
        sovereigns::provisioning_schema, sovereigns::provisioning_render,
        sovereigns::provisioning_get,
        sovereigns::provisioning_destroy, sovereigns::provisioning_destroy_with,
        sovereigns::provisioning_plan,
        sovereigns::provisioning_resume, sovereigns::provisioning_archive,
        sovereigns::provisioning_restore, sovereigns::provisioning_cancel, sovereigns::provisioning_forget,
        sovereigns::provisioning_events,
        crate::stream::stream_get, openapi_get,
        graphql::graphql_post, graphql::graphql_get, graphql::graphql_schema_get,
        hooks::git_pushed, hooks::push_check, hooks::registry_changed, hooks::registry_hook_get,
    ),
    components(schemas(Problem, StreamItem)),
    modifiers(&Everywhere),
    security(("bearer" = []), ("session" = [])),
)]
struct Document;

/// What holds for every operation: how callers are recognised, and that errors
/// are problems.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some("An access token of the Sovereign's issuer."))
                    .build(),
            ),
        );
        components.add_security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                "catalyst_session",
                "The console's session, from `/auth/sign-in`.",
            ))),
        );
        components.add_security_scheme(
            "forge",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some(
                        "The token that the forge and the control plane share.",
                    ))
                    .build(),
            ),
        );
        components.add_security_scheme(
            "registry",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some(
                        "The token that a registry and the control plane share.",
                    ))
                    .build(),
            ),
        );
        let problem = ResponseBuilder::new()
            .description("Refused or failed.")
            .content(
                PROBLEM_JSON,
                ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name("Problem")))
                    .build(),
            )
            .build();
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                let responses = &mut operation.responses.responses;
                responses.insert("default".to_owned(), RefOr::T(problem.clone()));
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        item.get.as_mut(),
        item.put.as_mut(),
        item.post.as_mut(),
        item.delete.as_mut(),
    ]
    .into_iter()
    .flatten()
}

/// The document as JSON, keys sorted.
pub fn openapi() -> Value {
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}

/// The OpenAPI document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "sovereign", operation_id = "openapi_get",
    security(()),
    responses((status = 200, description = "This document.", body = Object)))]
pub async fn openapi_get() -> Json<Value> {
    Json(openapi())
}
