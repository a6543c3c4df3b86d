//! Reads what an Application's expansion needs besides itself: its Blueprint, the
//! Applications it depends on and those that depend on it, and its place.

use std::collections::BTreeSet;

use catalyst_names::{ApplicationName, EnvironmentName, HostClusterName};
use catalyst_plan::{AdmittedBlueprint, ApplicationContext, ResolvedDependency};
use catalyst_resources::{Application, BlueprintSpec, EnvironmentSpec};
use serde_json::Value;

use super::Unmade;
use crate::context::spec;
use crate::controllers::{ApplicationKey, Shared};
use crate::error::ReconcileError;
use crate::kubernetes::{APPLICATION, BLUEPRINT, Cluster};
use crate::object::{array, is_deleting, name, text};

/// Why an Application cannot be expanded, as its condition says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotExpanded {
    /// One CamelCase word.
    pub reason: String,
    /// The cause and what would help.
    pub message: String,
}

impl NotExpanded {
    /// A reason with its message.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// What surrounds an Application.
pub struct Surroundings {
    /// Its Blueprint.
    pub blueprint: AdmittedBlueprint,
    /// Who serves it.
    pub dependencies: Vec<ResolvedDependency>,
    /// Where it is, and whom it serves.
    pub place: ApplicationContext,
}

/// Reads all of it.
pub async fn read(
    shared: &Shared,
    at: &ApplicationKey,
    vcluster: &Cluster,
    application: &Application,
    environment: &Value,
) -> Result<Surroundings, Unmade> {
    let ctx = &shared.ctx;
    let (blueprint, siblings, sovereign) = futures::join!(
        blueprint(shared, application),
        vcluster.list(APPLICATION, &at.environment, ""),
        ctx.sovereign(),
    );
    let (blueprint, siblings, sovereign) = (blueprint?, siblings?, sovereign?);
    let wanted: EnvironmentSpec = spec(environment)?;
    let invalid = |error: catalyst_names::NameError| NotExpanded::new("Invalid", error.to_string());
    let environment = EnvironmentName::new(at.environment.as_str()).map_err(invalid)?;
    let host: HostClusterName = at.at.host.parse().map_err(invalid)?;
    let mut place = ApplicationContext::new(
        &sovereign.domain,
        &environment,
        &host,
        &ctx.addresses.registry_host,
        ctx.addresses.registry_insecure,
    )
    .map_err(invalid)?;
    place.quota = wanted.quota;
    place.trust(&sovereign);
    place.dependents = dependents(&siblings, &at.name)
        .into_iter()
        .filter_map(|name| ApplicationName::new(name).ok())
        .collect();
    let dependencies = dependencies(shared, application, &siblings).await?;
    Ok(Surroundings {
        blueprint,
        dependencies,
        place,
    })
}

/// The names of the Applications that depend on one, those being deleted left out:
/// their edges are gone once they are.
pub fn dependents(siblings: &[Value], on: &str) -> BTreeSet<String> {
    siblings
        .iter()
        .filter(|sibling| name(sibling) != on && depends_on(sibling, on))
        .map(|sibling| name(sibling).to_owned())
        .collect()
}

fn depends_on(application: &Value, on: &str) -> bool {
    application
        .pointer("/spec/dependencies")
        .and_then(Value::as_object)
        .is_some_and(|dependencies| {
            dependencies
                .values()
                .any(|one| text(one, "/application") == on)
        })
}

async fn blueprint(
    shared: &Shared,
    application: &Application,
) -> Result<AdmittedBlueprint, Unmade> {
    let wanted = &application.spec.blueprint;
    let object = BlueprintSpec::object_name(&wanted.source, &wanted.name, &wanted.version);
    let found = shared.ctx.management().get(BLUEPRINT, "", &object).await?;
    let Some(found) = found else {
        // Published a moment ago, perhaps; its admission wakes this Application.
        shared
            .blueprints
            .add(format!("{}/{}", wanted.source, wanted.name));
        return Err(NotExpanded::new(
            "BlueprintNotFound",
            format!(
                "the Blueprint {}/{} {} is not admitted; publish it, or name another version",
                wanted.source, wanted.name, wanted.version
            ),
        )
        .into());
    };
    AdmittedBlueprint::from_object(&found)
        .map_err(|error| NotExpanded::new("BlueprintUnreadable", error.to_string()).into())
}

async fn dependencies(
    shared: &Shared,
    application: &Application,
    siblings: &[Value],
) -> Result<Vec<ResolvedDependency>, Unmade> {
    let mut resolved = Vec::new();
    for (alias, dependency) in &application.spec.dependencies {
        let served_by = dependency.application.as_str();
        let missing = |what: &str| {
            NotExpanded::new(
                "DependencyMissing",
                format!("its dependency {alias} is served by the Application {served_by}, {what}"),
            )
        };
        let found = siblings
            .iter()
            .find(|sibling| name(sibling) == served_by)
            .ok_or_else(|| {
                missing("which is not in this Environment; install it, or name another")
            })?;
        if is_deleting(found) {
            return Err(missing("which is being deleted; name another").into());
        }
        let provider: Application = serde_json::from_value(found.clone())
            .map_err(|error| missing(&format!("which cannot be read: {error}")))?;
        let blueprint = blueprint(shared, &provider).await?;
        let name = ApplicationName::new(served_by)
            .map_err(|error| missing(&format!("which has no valid name: {error}")))?;
        resolved.push(ResolvedDependency::of(
            alias.as_str(),
            name,
            &blueprint,
            is_ready(found),
        ));
    }
    Ok(resolved)
}

/// Whether an Application said of its current generation that it is ready.
fn is_ready(application: &Value) -> bool {
    array(application, "/status/conditions")
        .iter()
        .any(|one| text(one, "/type") == super::phase::READY && text(one, "/status") == "True")
}

/// The Applications that must go before one. Those of which nothing is left but an
/// object that somebody else keeps need it no longer.
pub async fn remaining_dependents(
    vcluster: &Cluster,
    at: &ApplicationKey,
) -> Result<BTreeSet<String>, ReconcileError> {
    let mut siblings = vcluster.list(APPLICATION, &at.environment, "").await?;
    siblings.retain(|sibling| !super::deletion::is_ended(sibling));
    Ok(dependents(&siblings, &at.name))
}
