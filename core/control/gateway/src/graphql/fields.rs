//! Which handler of REST answers a field, or carries out a command.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use catalyst_api::{
    ApplicationCommand, ApplicationsChoice, CreateEnvironment, Execute, OpenPull, Page,
    StartUpgrade, UpgradeRequest,
};
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::node::Context;
use crate::body::{ApiJson, ApiPath, ApiQuery, parse, parse_known};
use crate::problem::Refusal;
use crate::routes::{
    applications, blueprints, environments, organizations, policies, pulls, sovereign, upgrades,
};

/// What a field of an object gives that is no property of it.
///
/// `kind` is the object's type, `of` is what REST answered as it, and `given` are the
/// field's arguments, by the schema.
pub async fn answer(
    context: &Context,
    kind: &str,
    of: &Value,
    field: &str,
    given: Map<String, Value>,
) -> Result<Value, Refusal> {
    if kind == "Mutation" {
        return command(context, field, given).await;
    }
    let caller = context.caller.clone();
    let gateway = State(context.gateway.clone());
    let own = |name: &str| text(of.get(name));
    let arg = |name: &str| text(given.get(name));
    let arg_if_any = |name: &str| given.get(name).and_then(Value::as_str).map(str::to_owned);
    match (kind, field) {
        ("Query", "me") => value(&sovereign::me_get(caller).await.0),
        ("Query", "sovereign") => one(sovereign::sovereign_get(gateway).await),
        ("Query", "organizations") => list(organizations::organization_list(caller, gateway).await),
        ("Query", "organization") => {
            let path = ApiPath(arg("name"));
            one(organizations::organization_get(caller, gateway, path).await)
        }
        ("Membership" | "Environment" | "Upgrade", "organization") => {
            let Some(name) = of.get("organization").filter(|name| !name.is_null()) else {
                return Ok(Value::Null);
            };
            let path = ApiPath(text(Some(name)));
            one(organizations::organization_get(caller, gateway, path).await)
        }
        ("Query", "environments") => list(environments::environment_list(caller, gateway).await),
        ("Organization", "environments") => {
            let path = ApiPath(own("name"));
            list(organizations::environment_list(caller, gateway, path).await)
        }
        ("Query", "environment") => {
            let path = ApiPath(arg("name"));
            one(environments::environment_get(caller, gateway, path).await)
        }
        ("Application" | "PullRequest", "environment") => {
            let path = ApiPath(own("environment"));
            one(environments::environment_get(caller, gateway, path).await)
        }
        ("Query", "applications") => {
            let path = ApiPath(arg("environment"));
            list(applications::application_list(caller, gateway, path).await)
        }
        ("Environment", "applications") => {
            let path = ApiPath(own("name"));
            list(applications::application_list(caller, gateway, path).await)
        }
        ("Query", "application") => {
            let path = ApiPath((arg("environment"), arg("name")));
            one(applications::application_get(caller, gateway, path).await)
        }
        ("Environment", "application") => {
            let path = ApiPath((own("name"), arg("name")));
            one(applications::application_get(caller, gateway, path).await)
        }
        ("UpgradedApplication", "application") => {
            let path = ApiPath((own("environment"), own("application")));
            one(applications::application_get(caller, gateway, path).await)
        }
        ("Application", "revisions") => {
            let path = ApiPath((own("environment"), own("name")));
            list(applications::revision_list(caller, gateway, path).await)
        }
        ("Application", "revision") => {
            let path = ApiPath((own("environment"), own("name"), arg("commit")));
            one(applications::revision_get(caller, gateway, path).await)
        }
        ("Application", "vulnerabilities") => {
            let path = ApiPath((own("environment"), own("name")));
            one(applications::application_vulnerabilities(caller, gateway, path).await)
        }
        ("Query", "blueprints") => {
            let query = blueprints::SearchQuery {
                q: arg_if_any("q"),
                category: arg_if_any("category"),
                tag: arg_if_any("tag"),
            };
            list(blueprints::blueprint_list(caller, gateway, ApiQuery(query)).await)
        }
        ("Query", "blueprint") => {
            let path = (arg("source"), arg("name"));
            blueprint(context, path, arg_if_any("version")).await
        }
        ("Application", "blueprint") => {
            let path = (own("source"), own("blueprint"));
            blueprint(context, path, Some(own("version"))).await
        }
        // Of a dependency, `version` is a range.
        ("Dependency", "blueprint") => {
            blueprint(context, (own("source"), own("blueprint")), None).await
        }
        ("Upgrade", "blueprint") => {
            let path = (own("source"), own("blueprint"));
            blueprint(context, path, Some(own("to"))).await
        }
        ("Blueprint", "vulnerabilities") => {
            let path = ApiPath((own("source"), own("name"), own("version")));
            one(blueprints::blueprint_vulnerabilities(caller, gateway, path).await)
        }
        ("Query", "blueprintSources") => {
            list(blueprints::blueprint_source_list(caller, gateway).await)
        }
        ("Query", "pullRequests") => {
            list(pulls::pull_list(caller, gateway, ApiPath(arg("environment"))).await)
        }
        ("Environment", "pullRequests") => {
            list(pulls::pull_list(caller, gateway, ApiPath(own("name"))).await)
        }
        ("Query", "pullRequest") => {
            let path = ApiPath((arg("environment"), number(&given)?));
            one(pulls::pull_get(caller, gateway, path).await)
        }
        ("Query", "branches") => {
            list(pulls::branch_list(caller, gateway, ApiPath(arg("environment"))).await)
        }
        ("Environment", "branches") => {
            list(pulls::branch_list(caller, gateway, ApiPath(own("name"))).await)
        }
        ("Query", "upgrades") => list(upgrades::upgrade_list(caller, gateway).await),
        ("Query", "upgrade") => {
            one(upgrades::upgrade_get(caller, gateway, ApiPath(arg("name"))).await)
        }
        ("Query", "policies") => list(policies::policy_list(caller, gateway).await),
        ("Environment", "policies") => {
            let names = of.get("policies").and_then(Value::as_array);
            let names: BTreeSet<&str> = names
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let Json(mut page) = policies::policy_list(caller, gateway).await?;
            page.items
                .retain(|policy| names.contains(policy.name.as_str()));
            value(&page.items)
        }
        ("Query", "deletions") => list(policies::deletion_list(caller, gateway).await),
        _ => Err(unknown(kind, field)),
    }
}

/// The whole of which a list has an item in short.
pub async fn whole(context: &Context, kind: &str, of: &Value) -> Result<Value, Refusal> {
    let own = |name: &str| text(of.get(name));
    match kind {
        "Application" => {
            let path = ApiPath((own("environment"), own("name")));
            let gateway = State(context.gateway.clone());
            one(applications::application_get(context.caller.clone(), gateway, path).await)
        }
        "Blueprint" => {
            let path = (own("source"), own("name"));
            blueprint(context, path, Some(own("version"))).await
        }
        _ => Ok(Value::Null),
    }
}

async fn blueprint(
    context: &Context,
    path: (String, String),
    version: Option<String>,
) -> Result<Value, Refusal> {
    let caller = context.caller.clone();
    let gateway = State(context.gateway.clone());
    let query = ApiQuery(blueprints::VersionQuery { version });
    one(blueprints::blueprint_get(caller, gateway, ApiPath(path), query).await)
}

/// Carries out a command.
async fn command(
    context: &Context,
    field: &str,
    mut given: Map<String, Value>,
) -> Result<Value, Refusal> {
    let caller = context.caller.clone();
    let gateway = State(context.gateway.clone());
    let change = match field {
        "installApplication" => Some("install"),
        "changeApplication" => Some("change"),
        "rollbackApplication" => Some("rollback"),
        "promoteApplication" => Some("promote"),
        "deleteApplication" => Some("delete"),
        _ => None,
    };
    if let Some(command) = change {
        let path = ApiPath(text(given.remove("environment").as_ref()));
        let mut body = input(given);
        body.insert("command".to_owned(), Value::from(command));
        let body: Execute = known(body)?;
        return done(environments::change_create(caller, gateway, path, ApiJson(body)).await);
    }
    let arg = |name: &str| text(given.get(name));
    match field {
        "planChange" => {
            let path = ApiPath(arg("environment"));
            let body: ApplicationCommand = match given.remove("command") {
                Some(body) => parse_known(&bytes(&body)?)?,
                None => known(Map::new())?,
            };
            one(environments::plan_create(caller, gateway, path, ApiJson(body)).await)
        }
        "createEnvironment" => {
            let path = ApiPath(arg("organization"));
            given.remove("organization");
            let body: CreateEnvironment = known(input(given))?;
            done(organizations::environment_create(caller, gateway, path, ApiJson(body)).await)
        }
        "deleteEnvironment" => {
            let path = ApiPath(arg("name"));
            let choice: Option<ApplicationsChoice> = match given.get("applications") {
                Some(choice) => parse(&bytes(choice)?)?,
                None => None,
            };
            let query = ApiQuery(environments::DeletionQuery {
                applications: choice,
            });
            done(environments::environment_delete(caller, gateway, path, query).await)
        }
        "openPullRequest" => {
            let path = ApiPath(arg("environment"));
            given.remove("environment");
            let body: OpenPull = known(input(given))?;
            done(pulls::pull_open(caller, gateway, path, ApiJson(body)).await)
        }
        "approvePullRequest" => {
            let path = ApiPath((arg("environment"), number(&given)?));
            one(pulls::pull_approve(caller, gateway, path).await)
        }
        "mergePullRequest" => {
            let path = ApiPath((arg("environment"), number(&given)?));
            done(pulls::pull_merge(caller, gateway, path).await)
        }
        "closePullRequest" => {
            let path = ApiPath((arg("environment"), number(&given)?));
            one(pulls::pull_close(caller, gateway, path).await)
        }
        "planUpgrade" => {
            let body: UpgradeRequest = known(input(given))?;
            one(upgrades::upgrade_plan(caller, gateway, ApiJson(body)).await)
        }
        "startUpgrade" => {
            let body: StartUpgrade = known(input(given))?;
            done(upgrades::upgrade_start(caller, gateway, ApiJson(body)).await)
        }
        "cancelUpgrade" => {
            done(upgrades::upgrade_cancel(caller, gateway, ApiPath(arg("name"))).await)
        }
        "resumeUpgrade" => {
            done(upgrades::upgrade_resume(caller, gateway, ApiPath(arg("name"))).await)
        }
        _ => Err(unknown("Mutation", field)),
    }
}

/// A body of REST: the fields of `input`, and the arguments beside it. What is null is
/// absent.
fn input(mut given: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(fields)) = given.remove("input") {
        given.extend(fields);
    }
    given.retain(|_, value| !value.is_null());
    given
}

/// Reads a body as REST does, which tells what is wrong where.
fn known<T: DeserializeOwned + ToSchema>(body: Map<String, Value>) -> Result<T, Refusal> {
    parse_known(&bytes(&Value::Object(body))?)
}

fn bytes(value: &Value) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|error| unwritten(&error))
}

/// A text that the schema says is there.
fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(given: &Map<String, Value>) -> Result<u64, Refusal> {
    given.get("number").and_then(Value::as_u64).ok_or_else(|| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "malformed-path",
            "Find a pull request",
            "A pull request has no negative number.",
        )
    })
}

fn value<T: Serialize>(answer: &T) -> Result<Value, Refusal> {
    serde_json::to_value(answer).map_err(|error| unwritten(&error))
}

fn one<T: Serialize>(answer: Result<Json<T>, Refusal>) -> Result<Value, Refusal> {
    value(&answer?.0)
}

fn list<T: Serialize>(answer: Result<Json<Page<T>>, Refusal>) -> Result<Value, Refusal> {
    value(&answer?.0.items)
}

fn done<T: Serialize>(answer: Result<(StatusCode, Json<T>), Refusal>) -> Result<Value, Refusal> {
    value(&answer?.1.0)
}

fn unwritten(error: &serde_json::Error) -> Refusal {
    tracing::error!(%error, "an answer could not be written");
    internal("The answer could not be written.")
}

/// The schema has what nothing answers; a test asks for each.
fn unknown(kind: &str, field: &str) -> Refusal {
    tracing::error!(kind, field, "a field of the schema has no handler");
    internal("Nothing answers this field.")
}

fn internal(detail: &str) -> Refusal {
    Refusal::internal("Answer a field of GraphQL", detail)
        .next("The control plane's log has the fault.")
}
