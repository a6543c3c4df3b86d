//! Environment: a repository, a place in the Organization's vcluster on each of
//! its host clusters, and Flux between them.
//!
//! What does not depend on each other is done at the same time: a vcluster shall
//! answer, with Flux in it, within 300 ms of the commit. What must stay true: one
//! that is to go is made no further, whatever was being waited for.

mod deletion;
mod vcluster;

use std::time::Duration;

use catalyst_names::{EnvironmentName, HostClusterName};
use catalyst_ports::{NewToken, RepositoryId, RepositoryOptions};
use catalyst_resources::{EnvironmentSpec, custom_resource_definitions};
use futures::FutureExt;
use futures::future::{join_all, try_join, try_join3};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

pub use vcluster::remove as remove_vcluster;

use crate::bootstrap::{MANAGER, first_commit};
use crate::conditions::{self, Observation};
use crate::context::{Context, spec};
use crate::controllers::{Shared, VclusterKey};
use crate::desired::environment::{
    self as desired, Access, Place, VAULT_TOKEN, choose_host_clusters,
};
use crate::desired::management::{SHARED_SOURCES, flux_user, vault_policy, vault_policy_name};
use crate::desired::{SYSTEM_NAMESPACE, key};
use crate::error::ReconcileError;
use crate::kubernetes::{
    Cluster, ENVIRONMENT, GIT_REPOSITORY, KUSTOMIZATION, ORGANIZATION, SECRET,
};
use crate::object::{annotation, condition, generation, is_deleting, name, text};
use crate::runtime::{Next, ever_more_rarely};
use crate::{access, clock, finalizer, organization, secrets};

const READY: &str = "Ready";
const REPOSITORY: &str = "RepositoryReady";
const VCLUSTERS: &str = "VclustersReady";
const SYNCED: &str = "Synced";

/// How soon an Environment whose Organization is being made is looked at again.
const WAIT_FOR_ORGANIZATION: Duration = Duration::from_millis(200);
/// How soon one whose vcluster does not answer is, at the soonest and at the latest.
const VCLUSTER_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// How soon one that Flux has not applied yet is.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The vault token of a vcluster ends so long after nobody renewed it…
const TOKEN_PERIOD: u64 = 32 * 24 * 3600;
/// …and is replaced when it is this old, since nobody renews it.
const TOKEN_AGE: i64 = 8 * 24 * 3600;

/// Makes one Environment as it is wanted.
pub async fn reconcile(shared: &Shared, environment: &str) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let management = ctx.management();
    let Some(object) = management.get(ENVIRONMENT, "", environment).await? else {
        return Ok(None);
    };
    if is_deleting(&object) {
        return deletion::delete(shared, &management, &object).await;
    }
    tokio::select! {
        made = make(shared, &management, &object) => made,
        // The queue has it again: its end begins now.
        () = shared.leaving.of(environment) => Ok(None),
    }
}

async fn make(
    shared: &Shared,
    management: &Cluster,
    object: &Value,
) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    finalizer::add(management, object, finalizer::ENVIRONMENT).await?;
    let places = match places_of(ctx, object).await {
        Ok(places) => places,
        Err(error) if !error.retryable() => {
            let observed = [Observation::of_error(READY, &error)];
            conditions::write(management, object, &observed, Map::new()).await?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let wanted: EnvironmentSpec = spec(object)?;
    if let Some(organization) = missing_organization(ctx, &wanted).await? {
        let observed = [Observation::unknown(READY, "Waiting", organization)];
        conditions::write(management, object, &observed, Map::new()).await?;
        return Ok(Some(WAIT_FOR_ORGANIZATION));
    }
    // Repository and vclusters are made side by side; Flux is told of the
    // repository only once that is there, so that it has nothing to fail on.
    let (made, seen) = watch::channel(false);
    let repository = async {
        let outcome = repository(ctx, &places).await;
        made.send_replace(true);
        outcome
    };
    let (repository, clusters) = futures::join!(
        repository,
        join_all(
            places
                .iter()
                .map(|place| in_cluster(shared, place, &wanted, seen.clone()).boxed())
        ),
    );
    let mut synced = Vec::new();
    let mut awaited = Vec::new();
    let mut failures = Vec::new();
    for one in clusters {
        match one {
            Ok(Progress::Flux(sync)) => synced.push(sync),
            Ok(Progress::Awaited(what)) => awaited.push(what),
            Err(error) => failures.push(error),
        }
    }
    let observed = observe(&repository, &failures, &awaited, &synced);
    let vclusters: Vec<String> = places.iter().map(Place::vcluster).collect();
    let mut fields = Map::new();
    fields.insert("vclusters".to_owned(), json!(vclusters));
    conditions::write(management, object, &observed, fields).await?;
    repository?;
    match failures.into_iter().next() {
        Some(error) => Err(error),
        None if !awaited.is_empty() => {
            let [soonest, latest] = VCLUSTER_AGAIN;
            Ok(Some(ever_more_rarely(waiting_for(object), soonest, latest)))
        }
        // Changes wake this; looking again by itself costs nothing to speak of
        // while something is on its way, and a lost event costs no minutes.
        None if synced.iter().any(|sync| !sync.is_ready) => Ok(Some(LOOK_AGAIN)),
        None => Ok(None),
    }
}

/// For how many seconds the vclusters of an Environment have been waited for.
fn waiting_for(object: &Value) -> i64 {
    condition(object, VCLUSTERS)
        .filter(|one| text(one, "/status") == "Unknown")
        .and_then(|one| clock::seconds_since(text(one, "/lastTransitionTime")))
        .unwrap_or(0)
}

/// The reason to wait, when the Organization is not there, or nothing of it is.
async fn missing_organization(
    ctx: &Context,
    wanted: &EnvironmentSpec,
) -> Result<Option<String>, ReconcileError> {
    let found = ctx
        .management()
        .get(ORGANIZATION, "", &wanted.organization)
        .await?;
    let Some(found) = found else {
        return Ok(Some(format!(
            "the Organization {} is not there; create it first",
            wanted.organization
        )));
    };
    // Flux reads the repository as a user who is made with the Organization.
    let was_reconciled = found.pointer("/status/conditions").is_some();
    Ok(
        (!was_reconciled)
            .then(|| format!("the Organization {} is being made", wanted.organization)),
    )
}

fn observe(
    repository: &Result<(), ReconcileError>,
    failures: &[ReconcileError],
    awaited: &[String],
    synced: &[Sync],
) -> Vec<Observation> {
    let repository = match repository {
        Ok(()) => Observation::holds(REPOSITORY, "Made", "the repository is there"),
        Err(error) => Observation::of_error(REPOSITORY, error),
    };
    let vclusters = match (failures.first(), awaited.first()) {
        (Some(error), _) => Observation::of_error(VCLUSTERS, error),
        (None, Some(what)) => Observation::unknown(VCLUSTERS, "Waiting", what.clone()),
        (None, None) => Observation::holds(VCLUSTERS, "Answering", "every vcluster answers"),
    };
    let sync = match synced.iter().find(|sync| !sync.is_ready) {
        Some(sync) if sync.is_failed => {
            Observation::fails(SYNCED, &sync.reason, sync.message.clone())
        }
        Some(sync) => Observation::unknown(SYNCED, &sync.reason, sync.message.clone()),
        None if synced.is_empty() => {
            Observation::unknown(SYNCED, "Waiting", "no vcluster answers yet")
        }
        None => Observation::holds(SYNCED, "Applied", "the repository is applied"),
    };
    let all = [repository, vclusters, sync];
    let ready = all
        .iter()
        .find(|one| one.status != catalyst_resources::ConditionStatus::True)
        .map_or_else(
            || {
                Observation::holds(
                    READY,
                    "Reconciled",
                    "its vclusters answer and its repository is applied",
                )
            },
            |cause| Observation {
                kind: READY,
                ..cause.clone()
            },
        );
    std::iter::once(ready).chain(all).collect()
}

/// Where an Environment's vclusters are; nothing when it is not there.
pub async fn places(ctx: &Context, environment: &str) -> Result<Vec<Place>, ReconcileError> {
    match ctx.management().get(ENVIRONMENT, "", environment).await? {
        Some(object) => places_of(ctx, &object).await,
        None => Ok(Vec::new()),
    }
}

/// Where the vclusters of an Organization's Environments are, those being deleted
/// among them.
pub async fn places_of_organization(
    ctx: &Context,
    organization: &str,
) -> Result<Vec<Place>, ReconcileError> {
    let mut all = Vec::new();
    for object in organization::environments_of(ctx, organization).await? {
        all.extend(places_if_any(ctx, &object).await?);
    }
    Ok(all)
}

/// Whether an Environment that is to stay has its Organization's vcluster on a
/// host cluster. What cannot be read is not taken for a no.
pub async fn is_wanted(
    ctx: &Context,
    host: &str,
    organization: &str,
) -> Result<bool, ReconcileError> {
    for object in organization::environments_of(ctx, organization).await? {
        if is_deleting(&object) {
            continue;
        }
        let places = places_if_any(ctx, &object).await?;
        if places
            .iter()
            .any(|place| place.host_cluster.to_string() == host)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the Environment's vclusters are; one that says nonsense has no place.
async fn places_if_any(ctx: &Context, object: &Value) -> Result<Vec<Place>, ReconcileError> {
    match places_of(ctx, object).await {
        Err(error) if !error.retryable() => Ok(Vec::new()),
        places => places,
    }
}

/// Where the Environment's vclusters are.
pub async fn places_of(ctx: &Context, object: &Value) -> Result<Vec<Place>, ReconcileError> {
    let what = || format!("the Environment {}", name(object));
    let wanted: EnvironmentSpec = spec(object)?;
    let invalid = |reason: String| ReconcileError::invalid("place", what(), reason);
    let environment =
        EnvironmentName::new(name(object)).map_err(|error| invalid(error.to_string()))?;
    let (organization, env_type) = environment
        .parts()
        .map_err(|error| invalid(error.to_string()))?;
    if organization.as_str() != wanted.organization || env_type.code() != wanted.env_type {
        return Err(invalid(format!(
            "its name says {organization} and {env_type}, its spec {} and {}; make them agree",
            wanted.organization, wanted.env_type
        )));
    }
    let sovereign = ctx.sovereign().await?;
    let hosts = choose_host_clusters(&wanted, &sovereign.host_clusters)
        .map_err(|error| invalid(error.to_string()))?;
    hosts
        .into_iter()
        .map(|host| {
            let host_cluster: HostClusterName = host
                .parse()
                .map_err(|error: catalyst_names::NameError| invalid(error.to_string()))?;
            Ok(Place {
                domain: sovereign.domain.clone(),
                organization: organization.clone(),
                environment: environment.clone(),
                env_type,
                host_cluster,
            })
        })
        .collect()
}

/// An Environment's repository.
pub fn repository_of(place: &Place) -> RepositoryId {
    RepositoryId::new(place.organization.as_str(), place.environment.as_str())
}

async fn repository(ctx: &Context, places: &[Place]) -> Result<(), ReconcileError> {
    let Some(place) = places.first() else {
        return Ok(());
    };
    let repository = repository_of(place);
    let failed =
        |action: &'static str| ReconcileError::port(action, format!("the repository {repository}"));
    // The Organization's own reconcile may not have come so far.
    let owner = place.organization.as_str();
    let exists = ctx
        .forge
        .organization_exists(owner)
        .await
        .map_err(failed("make"))?;
    if !exists {
        ctx.forge
            .organization_ensure(owner, owner)
            .await
            .map_err(failed("make"))?;
    }
    let options = RepositoryOptions {
        private: true,
        description: format!("What runs in {}", place.environment),
    };
    ctx.forge
        .repository_ensure(&repository, options)
        .await
        .map_err(failed("make"))?;
    closed(ctx, &repository).await?;
    let files = desired::repository_files(&place.environment);
    let message = format!("Create the Environment {}", place.environment);
    first_commit(ctx, &repository, &message, files).await
}

/// Who may read and write a repository is what its Organization's members are, in
/// Git; whom somebody let in by hand goes, and whom an interruption left let in.
pub async fn closed(ctx: &Context, repository: &RepositoryId) -> Result<(), ReconcileError> {
    let removed = ctx
        .commands
        .guests_remove(repository)
        .await
        .map_err(ReconcileError::port(
            "close",
            format!("the repository {repository}"),
        ))?;
    if !removed.is_empty() {
        tracing::warn!(%repository, collaborators = ?removed, "collaborators whom no commit names removed");
    }
    Ok(())
}

/// How far an Environment is on one host cluster.
enum Progress {
    /// Its vcluster does not answer yet; what is waited for.
    Awaited(String),
    /// What Flux says in it.
    Flux(Sync),
}

/// What Flux says in one vcluster.
struct Sync {
    is_ready: bool,
    is_failed: bool,
    reason: String,
    message: String,
}

/// Everything of an Environment on one host cluster.
async fn in_cluster(
    shared: &Shared,
    place: &Place,
    wanted: &EnvironmentSpec,
    mut repository_made: watch::Receiver<bool>,
) -> Result<Progress, ReconcileError> {
    let ctx = &shared.ctx;
    let (vcluster, (password, robot), ()) = try_join3(
        vcluster::ask(ctx, place),
        credentials(ctx, place),
        policy(ctx, place),
    )
    .await?;
    let Some(vcluster) = vcluster else {
        return Ok(Progress::Awaited(vcluster::awaited(place)));
    };
    let definitions: Vec<Value> = custom_resource_definitions()
        .into_iter()
        .filter(|(kind, _)| kind.in_environment)
        .map(|(_, definition)| definition)
        .collect();
    let foundation = desired::foundation(place);
    try_join(
        vcluster.apply_all(&definitions, MANAGER),
        vcluster.apply_all(&foundation, MANAGER),
    )
    .await?;
    let username = flux_user(&place.organization);
    let clone_url = ctx.forge.clone_url(&repository_of(place));
    let contents = desired::contents(
        place,
        &Access {
            clone_url: &clone_url,
            username: &username,
            robot: &robot,
            password: &password,
            registry_host: &ctx.addresses.registry_host,
            vault: &ctx.addresses.vault,
            quota: wanted.quota.as_ref(),
        },
    );
    let rights_of_flux = desired::account(place);
    let contents = async {
        // Before what acts with them.
        vcluster.apply_all(&rights_of_flux, MANAGER).await?;
        // The sender lives until it has spoken.
        let _ = repository_made.wait_for(|made| *made).await;
        vcluster.apply_all(&contents, MANAGER).await
    };
    try_join3(
        contents,
        vault_token(ctx, place, &vcluster),
        rights(ctx, place, &vcluster),
    )
    .await?;
    shared.vclusters.follow(
        shared,
        &VclusterKey {
            host: place.host_cluster.to_string(),
            organization: place.organization.to_string(),
        },
        vcluster.clone(),
    );
    sync(place, &vcluster).await.map(Progress::Flux)
}

/// The password of the Organization's Flux, and the name of the robot by which it
/// pulls Blueprints: its Organization's own and the shared ones, nobody else's.
async fn credentials(
    ctx: &Context,
    place: &Place,
) -> Result<(Zeroizing<String>, String), ReconcileError> {
    let user = flux_user(&place.organization);
    let password = secrets::forge_password(&ctx.vault, &user).await?;
    let organization = place.organization.as_str();
    let [catalog, curated] = SHARED_SOURCES;
    let projects = [catalog, curated, organization];
    ctx.registry_admin
        .project_ensure(organization, false)
        .await
        .map_err(ReconcileError::port(
            "make",
            format!("the registry project {organization}"),
        ))?;
    let robot = ctx
        .registry_admin
        .robot_ensure(&user, &password, &projects)
        .await
        .map_err(ReconcileError::port(
            "make",
            format!("the registry robot {user}"),
        ))?;
    Ok((password, robot))
}

/// The vault policy comes before the token that names it.
async fn policy(ctx: &Context, place: &Place) -> Result<(), ReconcileError> {
    let policy = vault_policy_name(&place.organization);
    ctx.vault
        .policy_put(&policy, &vault_policy(&place.organization))
        .await
        .map_err(ReconcileError::port(
            "write",
            format!("the vault policy {policy}"),
        ))
}

/// The token by which External Secrets reads the Organization's secrets: made
/// once, replaced when it is old.
async fn vault_token(
    ctx: &Context,
    place: &Place,
    vcluster: &Cluster,
) -> Result<(), ReconcileError> {
    let present = vcluster.get(SECRET, SYSTEM_NAMESPACE, VAULT_TOKEN).await?;
    let issued = present
        .as_ref()
        .map(|secret| annotation(secret, &key("issued-at")));
    let age = issued.and_then(clock::seconds_since);
    if age.is_some_and(|age| age < TOKEN_AGE) {
        return Ok(());
    }
    let what = format!("the vault token of {}", place.vcluster());
    let made = ctx
        .vault
        .token_create(NewToken {
            policies: vec![vault_policy_name(&place.organization)],
            display_name: place.vcluster(),
            period_seconds: Some(TOKEN_PERIOD),
            ..NewToken::default()
        })
        .await
        .map_err(ReconcileError::port("make", what.clone()))?;
    let secret = desired::vault_token(&made.token, &made.accessor, &clock::now());
    vcluster.apply(&secret, MANAGER).await?;
    let old = present
        .as_ref()
        .map(|secret| annotation(secret, &key("vault-accessor")))
        .filter(|accessor| !accessor.is_empty());
    if let Some(accessor) = old {
        ctx.vault
            .token_revoke_accessor(accessor)
            .await
            .map_err(ReconcileError::port("revoke", what))?;
    }
    Ok(())
}

async fn rights(ctx: &Context, place: &Place, vcluster: &Cluster) -> Result<(), ReconcileError> {
    let found = ctx
        .management()
        .get(ORGANIZATION, "", place.organization.as_str())
        .await?;
    match found.filter(|object| !is_deleting(object)) {
        Some(object) => {
            let wanted: catalyst_resources::OrganizationSpec = spec(&object)?;
            access::in_vcluster(vcluster, &wanted.members).await
        }
        None => Ok(()),
    }
}

async fn sync(place: &Place, vcluster: &Cluster) -> Result<Sync, ReconcileError> {
    let space = place.environment.as_str();
    let (source, applied) = try_join(
        vcluster.get(GIT_REPOSITORY, space, space),
        vcluster.get(KUSTOMIZATION, space, space),
    )
    .await?;
    let objects: Vec<Value> = [source, applied].into_iter().flatten().collect();
    Ok(said_by_flux(&place.vcluster(), &objects))
}

/// What Flux says in a vcluster by its objects, the source before what is applied from
/// it: a source that cannot be had says so itself, and what only waits for it has not
/// failed.
fn said_by_flux(vcluster: &str, objects: &[Value]) -> Sync {
    for object in objects {
        let observed = object
            .pointer("/status/observedGeneration")
            .and_then(Value::as_i64);
        let ready = condition(object, READY);
        let status = ready.map(|one| text(one, "/status")).unwrap_or_default();
        if status == "True" && observed == Some(generation(object)) {
            continue;
        }
        let said = ready.map(|one| text(one, "/message")).unwrap_or_default();
        let reason = ready.map(|one| text(one, "/reason")).unwrap_or_default();
        return Sync {
            is_ready: false,
            is_failed: status == "False" && !is_waiting(reason, said),
            reason: if reason.is_empty() {
                "Progressing"
            } else {
                reason
            }
            .to_owned(),
            message: if said.is_empty() {
                format!("Flux has not applied the repository in {vcluster} yet")
            } else {
                said.to_owned()
            },
        };
    }
    Sync {
        is_ready: true,
        is_failed: false,
        reason: "Applied".to_owned(),
        message: String::new(),
    }
}

/// Whether what Flux says only waits for another object and goes on by itself. A source
/// without an artifact has the reason of an artifact that is no good: the words, which
/// begin alike in Flux's kustomize-controller, tell them apart.
fn is_waiting(reason: &str, said: &str) -> bool {
    match reason {
        "DependencyNotReady" | "SourceNotReady" => true,
        "ArtifactFailed" => said.to_lowercase().contains("artifact not found"),
        _ => false,
    }
}

/// Every Environment, for the sweep.
pub async fn sweep(shared: &Shared) -> Result<(), ReconcileError> {
    for object in shared.ctx.management().list(ENVIRONMENT, "", "").await? {
        shared.environments.add(name(&object).to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use catalyst_resources::ConditionStatus;

    use super::*;

    fn sync(is_ready: bool) -> Sync {
        Sync {
            is_ready,
            is_failed: false,
            reason: "Progressing".to_owned(),
            message: "Flux is at it".to_owned(),
        }
    }

    #[test]
    fn a_wait_counts_from_when_it_began_and_only_while_it_lasts() {
        let object = |status| {
            json!({"status": {"conditions": [{
                "type": VCLUSTERS, "status": status, "lastTransitionTime": "2020-01-01T00:00:00Z",
            }]}})
        };
        assert!(waiting_for(&object("Unknown")) > 600);
        for other in [object("True"), object("False"), json!({})] {
            assert_eq!(waiting_for(&other), 0, "{other:#}");
        }
    }

    #[test]
    fn a_vcluster_that_is_waited_for_is_told_as_such_and_not_as_a_failure() {
        let failure = || ReconcileError::invalid("reach", "the vcluster", "it is no vcluster");
        let cases: [(&[ReconcileError], &[String], &[Sync], _, _); 4] = [
            (&[], &[], &[sync(true)], ConditionStatus::True, "Reconciled"),
            (
                &[],
                &[],
                &[sync(false)],
                ConditionStatus::Unknown,
                "Progressing",
            ),
            (
                &[],
                &["the Secret".to_owned()],
                &[],
                ConditionStatus::Unknown,
                "Waiting",
            ),
            (
                &[failure()],
                &["the Secret".to_owned()],
                &[],
                ConditionStatus::False,
                "Invalid",
            ),
        ];
        for (failures, awaited, synced, status, reason) in cases {
            let observed = observe(&Ok(()), failures, awaited, synced);
            let ready = observed.iter().find(|one| one.kind == READY).unwrap();
            assert_eq!((ready.status, ready.reason.as_str()), (status, reason));
        }
    }

    #[test]
    fn only_what_flux_gives_up_on_is_a_failure() {
        let object = |status: &str, reason: &str, said: &str| {
            json!({
                "metadata": {"generation": 1},
                "status": {"observedGeneration": 1, "conditions": [
                    {"type": "Ready", "status": status, "reason": reason, "message": said},
                ]},
            })
        };
        let new = json!({"metadata": {"generation": 1}});
        let fetched = object("True", "Succeeded", "stored artifact");
        let not_there =
            "Source artifact not found, retrying when GitRepository/acme-dev/acme-dev is ready";
        let gone = "Source is not ready, artifact not found, retrying in 30s";
        // The source, what is applied from it, and whether that has failed.
        let cases = [
            (&new, new.clone(), false),
            (
                &object("Unknown", "Progressing", "cloning"),
                new.clone(),
                false,
            ),
            (&fetched, new.clone(), false),
            (
                &fetched,
                object("Unknown", "Progressing", "building"),
                false,
            ),
            (
                &fetched,
                object("False", "ArtifactFailed", not_there),
                false,
            ),
            (&fetched, object("False", "ArtifactFailed", gone), false),
            (
                &fetched,
                object("False", "SourceNotReady", "no chart yet"),
                false,
            ),
            (
                &fetched,
                object("False", "DependencyNotReady", "db is not ready"),
                false,
            ),
            (
                &fetched,
                object("False", "ArtifactFailed", "kustomization path not found"),
                true,
            ),
            (
                &fetched,
                object("False", "BuildFailed", "no such file"),
                true,
            ),
            (
                &fetched,
                object("False", "HealthCheckFailed", "timed out"),
                true,
            ),
            // The source says itself that it cannot be had.
            (
                &object("False", "GitOperationFailed", "authentication required"),
                object("False", "ArtifactFailed", not_there),
                true,
            ),
        ];
        for (source, applied, is_failed) in cases {
            let case = format!("{source} {applied}");
            let sync = said_by_flux("hz-fsn-rtz-dev-acme", &[source.clone(), applied]);
            assert!(!sync.is_ready, "{case}");
            let status = match is_failed {
                true => ConditionStatus::False,
                false => ConditionStatus::Unknown,
            };
            let observed = observe(&Ok(()), &[], &[], &[sync]);
            assert_eq!(observed[0].status, status, "{case}");
        }
    }
}
