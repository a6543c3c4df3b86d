//! The end of an Application: its release, its data as chosen, its namespace, and
//! the commit that removes its folder.
//!
//! `spec.deletion` says what becomes of the data; an Application whose folder was
//! simply removed keeps it. Dependents go first; one that others still need when
//! time is up is kept, and goes when they have gone. What is done once more finds
//! nothing left and ends at once, so a restart in between does no harm. What must
//! stay true: the end of a deletion is told once, whoever keeps the object.

use std::time::Duration;

use catalyst_names::EnvironmentName;
use catalyst_ports::RepositoryId;
use catalyst_resources::Phase;
use serde_json::{Map, Value, json};

use super::observe::namespace_of;
use super::phase::READY;
use super::surroundings::remaining_dependents;
use super::{PRUNED, selector};
use crate::conditions::{self, Observation};
use crate::controllers::{ApplicationKey, Shared};
use crate::desired::key;
use crate::error::ReconcileError;
use crate::kubernetes::{
    APPLICATION, Cluster, HELM_RELEASE, KUSTOMIZATION, NAMESPACE, OCI_REPOSITORY, SECRET,
    VOLUME_CLAIM, code,
};
use crate::object::{annotation, array, condition, has_finalizer, is_deleting, name, text};
use crate::runtime::Next;
use crate::saga::{Saga, in_time};
use crate::{clock, finalizer, remains, report, secrets};

/// Set once everything is gone, the second commit is made and the end is told.
const ENDED: &str = "deletion-ended-at";
/// When the deletion of one that was kept went on.
const RESUMED: &str = "deletion-resumed-at";
/// On a volume claim that outlives its Application.
const KEPT: &str = "kept";
/// The reason of an Application that others need beyond its deletion's bound.
const KEPT_FOR_OTHERS: &str = "KeptForDependents";
/// The reason of one of which nothing is left but the object.
const HELD_BY_OTHERS: &str = "FinalizersRemain";
/// The reason of one whose deletion has only its last commit before it.
const COMMIT_OUTSTANDING: &str = "CommitOutstanding";
/// How often the object may have changed under the controller's hands.
const MOST_CONFLICTS: u32 = 5;
/// How soon one that others hold is looked at again; their going wakes it, the
/// wait is for what no watch saw.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// The same for finalizers, of which no watch tells.
const LOOK_AT_FINALIZERS: Duration = Duration::from_secs(2);
/// By these Kubernetes itself keeps an object until its dependents are seen to.
const OF_KUBERNETES: [&str; 2] = ["foregroundDeletion", "orphan"];
/// How long Flux may take to apply the second commit before it is made again.
const COMMIT_AGAIN: i64 = 60;

/// How long each step may take at most, by what it waits for.
mod within {
    use std::time::Duration;

    /// Who depends on it.
    pub const DEPENDENTS: Duration = Duration::from_secs(2);
    /// What the object itself is to say.
    pub const WORD: Duration = Duration::from_secs(2);
    /// The release's own uninstall.
    pub const RELEASE: Duration = Duration::from_secs(19);
    /// Its finalizers, where that did not end.
    pub const FINALIZERS: Duration = Duration::from_secs(2);
    /// What the controller made.
    pub const DELIVERY: Duration = Duration::from_secs(4);
    /// Which volumes there are.
    pub const CLAIMS: Duration = Duration::from_secs(3);
    /// The secrets in the vault.
    pub const SECRETS: Duration = Duration::from_secs(3);
    /// The volumes.
    pub const VOLUMES: Duration = Duration::from_secs(4);
    /// The namespace, with its pods.
    pub const NAMESPACE: Duration = Duration::from_secs(10);
    /// The commit that removes its folder.
    pub const COMMIT: Duration = Duration::from_secs(4);
}

/// Carries a deletion on.
pub async fn delete(
    shared: &Shared,
    at: &ApplicationKey,
    vcluster: &Cluster,
    object: &Value,
) -> Result<Next, ReconcileError> {
    // It may wait for the better part of a minute, in which others have their turn.
    shared.slot.step_aside();
    let ctx = &shared.ctx;
    let is_gone_from_git = is_deleting(object);
    if is_gone_from_git && !has_finalizer(object, finalizer::APPLICATION) {
        // Ended and told; what keeps the object is somebody else's.
        return Ok(None);
    }
    let ended = ended(object);
    if !is_gone_from_git && clock::seconds_since(ended).is_some_and(|passed| passed < COMMIT_AGAIN)
    {
        // Flux is about to remove the object.
        return Ok(Some(Duration::from_secs(60)));
    }
    let is_told = !ended.is_empty();
    let mut saga = Saga::new(
        "Application",
        format!("{}/{}", at.environment, at.name),
        &started(object),
    );
    if !is_told {
        let dependents = remaining_dependents(vcluster, at);
        let dependents = in_time(within::DEPENDENTS, "find", dependents).await?;
        if !dependents.is_empty() {
            let names: Vec<String> = dependents.into_iter().collect();
            return wait_for(shared, at, vcluster, object, &names.join(", "), saga).await;
        }
        if is_kept(object) {
            // Its first deletion was told as ended; this is another one.
            let now = clock::now();
            annotate(vcluster, object, &[(RESUMED, json!(now))]).await?;
            saga = saga.anew(&now);
        }
    }
    // That it waits for its last commit alone stays told until it is made.
    let is_quiet = is_told || is_uncommitted(object);
    if !is_uncommitted(object) {
        let uninstalling = "its release is being uninstalled";
        tell(vcluster, object, "Deleting", uninstalling).await?;
    }
    progress(shared, &saga, is_quiet, "its release").await;
    release(vcluster, at, &mut saga).await;
    progress(shared, &saga, is_quiet, "its data and namespace").await;
    delivery(vcluster, at, &mut saga).await;
    let dropped = text(object, "/spec/deletion/data") == "drop";
    data(shared, vcluster, at, dropped, &mut saga).await?;
    shared.remembered.forget(at);
    if is_gone_from_git {
        return let_go(shared, at, vcluster, object, saga, is_told).await;
    }
    let finished = async {
        let finished = ctx
            .commands
            .finish_deletion(&at.environment, &at.name)
            .await;
        finished.map_err(|error| ReconcileError::missing("remove", folder(at), error.told()))
    };
    if let Err(error) = in_time(within::COMMIT, "commit", finished).await {
        let waiting = format!(
            "the commit that ends it, and that is tried again: {}",
            error.chain()
        );
        progress(shared, &saga, is_told, &waiting).await;
        let message = format!("it waits for {waiting}");
        tell(vcluster, object, COMMIT_OUTSTANDING, &message).await?;
        return Err(error);
    }
    // The commit is known here at once, whether or not the forge tells of it.
    wake(shared, at).await;
    if !is_told {
        hold(at, &foreign_finalizers(object), &mut saga);
        report::end(ctx, vcluster, object, &saga).await;
    }
    annotate(vcluster, object, &[(ENDED, json!(clock::now()))]).await?;
    Ok(Some(Duration::from_secs(60)))
}

/// Whether the deletion of an Application has ended, whoever keeps the object.
pub fn is_ended(object: &Value) -> bool {
    let is_released = is_deleting(object) && !has_finalizer(object, finalizer::APPLICATION);
    is_released || !ended(object).is_empty()
}

/// Takes the marks of an earlier deletion from an Application that came back.
pub async fn forget(vcluster: &Cluster, object: &Value) -> Result<(), ReconcileError> {
    let marks: Vec<(&str, Value)> = [ENDED, RESUMED]
        .into_iter()
        .filter(|mark| !annotation(object, &key(mark)).is_empty())
        .map(|mark| (mark, Value::Null))
        .collect();
    if marks.is_empty() {
        return Ok(());
    }
    annotate(vcluster, object, &marks).await
}

/// When the end was told; empty while it was not. A mark without the wish is of an
/// earlier life.
fn ended(object: &Value) -> &str {
    if is_wished(object) {
        annotation(object, &key(ENDED))
    } else {
        ""
    }
}

/// Waits for the Applications that need this one; keeps it when time is up.
async fn wait_for(
    shared: &Shared,
    at: &ApplicationKey,
    vcluster: &Cluster,
    object: &Value,
    dependents: &str,
    mut saga: Saga,
) -> Result<Next, ReconcileError> {
    let is_kept = is_kept(object);
    if !is_kept && !saga.is_overdue() {
        let waiting = format!("its dependents: {dependents}");
        progress(shared, &saga, false, &waiting).await;
        let message = format!("it waits for {waiting}");
        tell(vcluster, object, "DependentsRemain", &message).await?;
        return Ok(Some(LOOK_AGAIN));
    }
    let why = format!(
        "it is kept, because others depend on it: {dependents}; delete those, or let them depend on another Application, and it goes"
    );
    if !is_kept {
        saga.leave(application(at), why.clone());
        report::end(&shared.ctx, vcluster, object, &saga).await;
    }
    tell(vcluster, object, KEPT_FOR_OTHERS, &why).await?;
    Ok(None)
}

/// Whether the deletion was told as ended because others need the Application.
fn is_kept(object: &Value) -> bool {
    reason(object) == KEPT_FOR_OTHERS
}

/// Whether only the commit that ends the deletion is waited for.
fn is_uncommitted(object: &Value) -> bool {
    reason(object) == COMMIT_OUTSTANDING
}

fn reason(object: &Value) -> &str {
    condition(object, READY).map_or("", |ready| text(ready, "/reason"))
}

/// The last of an object that Git no longer has: gives others who hold it the time
/// that is left, tells the end, and takes the controller's own finalizer.
async fn let_go(
    shared: &Shared,
    at: &ApplicationKey,
    vcluster: &Cluster,
    object: &Value,
    mut saga: Saga,
    is_told: bool,
) -> Result<Next, ReconcileError> {
    // The status written meanwhile has made what was read an older version.
    let fresh = vcluster.get(APPLICATION, &at.environment, &at.name).await?;
    let held_by = fresh.as_ref().map(foreign_finalizers).unwrap_or_default();
    if !is_told {
        if !held_by.is_empty() && !saga.is_overdue() {
            let waiting = format!("others, whose finalizers are on it: {}", held_by.join(", "));
            progress(shared, &saga, false, &waiting).await;
            return Ok(Some(LOOK_AT_FINALIZERS));
        }
        hold(at, &held_by, &mut saga);
        report::end(&shared.ctx, vcluster, object, &saga).await;
    }
    if let Some(fresh) = fresh.filter(|_| !held_by.is_empty()) {
        tell(vcluster, &fresh, HELD_BY_OTHERS, &held(&held_by)).await?;
    }
    release_object(vcluster, at).await?;
    for neighbour in shared.vclusters.neighbours(at) {
        shared.applications.add(neighbour);
    }
    Ok(None)
}

/// Takes the controller's finalizer. Others may be writing the object too; reading
/// it anew is better than telling the end once more.
async fn release_object(vcluster: &Cluster, at: &ApplicationKey) -> Result<(), ReconcileError> {
    let mut attempts = 0;
    loop {
        let found = vcluster.get(APPLICATION, &at.environment, &at.name).await?;
        let Some(object) = found else {
            return Ok(());
        };
        attempts += 1;
        match finalizer::remove(vcluster, &object, finalizer::APPLICATION).await {
            Err(error) if code(&error) == Some(409) && attempts < MOST_CONFLICTS => {}
            outcome => return outcome,
        }
    }
}

/// Notes that the object outlives its deletion, and who keeps it.
fn hold(at: &ApplicationKey, held_by: &[String], saga: &mut Saga) {
    if !held_by.is_empty() {
        saga.leave(application(at), held(held_by));
    }
}

fn held(by: &[String]) -> String {
    format!(
        "finalizers that are not Catalyst's keep the object: {}; it goes when whoever set them has removed them",
        by.join(", ")
    )
}

/// Finalizers that neither this controller nor Kubernetes itself takes away.
fn foreign_finalizers(object: &Value) -> Vec<String> {
    array(object, "/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .filter(|one| *one != finalizer::APPLICATION && !OF_KUBERNETES.contains(one))
        .map(str::to_owned)
        .collect()
}

fn folder(at: &ApplicationKey) -> String {
    format!(
        "its folder from the repository {}/{}",
        at.at.organization, at.environment
    )
}

fn application(at: &ApplicationKey) -> String {
    format!("the Application {}/{}", at.environment, at.name)
}

/// Says what is waited for, unless the end was told already.
async fn progress(shared: &Shared, saga: &Saga, is_told: bool, waiting_for: &str) {
    if !is_told {
        report::deletion(&shared.ctx, &saga.view(Some(waiting_for.to_owned()), false)).await;
    }
}

async fn annotate(
    vcluster: &Cluster,
    object: &Value,
    marks: &[(&str, Value)],
) -> Result<(), ReconcileError> {
    let annotations: Map<String, Value> = marks
        .iter()
        .map(|(mark, value)| (key(mark), value.clone()))
        .collect();
    let patch = json!({"metadata": {"annotations": annotations}});
    let merged = vcluster.merge(object, "", &patch);
    in_time(within::WORD, "annotate", merged).await.map(drop)
}

async fn wake(shared: &Shared, at: &ApplicationKey) {
    let repository = RepositoryId::new(at.at.organization.as_str(), at.environment.as_str());
    crate::wake::waker(&shared.ctx)
        .repository_pushed(&repository)
        .await;
}

/// When the deletion was asked for. Kubernetes itself notes when Flux wrote the
/// wish, and when the object was deleted, so that it counts from then on even while
/// this controller can write nothing; its own condition, which may be older than
/// the wish, only stands in where that note is missing.
fn started(object: &Value) -> String {
    let since = || {
        condition(object, READY)
            .filter(|_| text(object, "/status/phase") == "Deleting")
            .map(|ready| text(ready, "/lastTransitionTime"))
    };
    let wished = is_wished(object)
        .then(|| wished(object).or_else(since))
        .flatten();
    let resumed = annotation(object, &key(RESUMED));
    let asked = text(object, "/metadata/deletionTimestamp");
    [resumed, wished.unwrap_or_default(), asked]
        .into_iter()
        .find(|time| !time.is_empty())
        .map_or_else(clock::now, str::to_owned)
}

/// When somebody last wrote `spec.deletion`, as the API server keeps account of
/// who wrote which fields.
fn wished(object: &Value) -> Option<&str> {
    array(object, "/metadata/managedFields")
        .iter()
        .filter(|entry| entry.pointer("/fieldsV1/f:spec/f:deletion").is_some())
        .map(|entry| text(entry, "/time"))
        .filter(|time| !time.is_empty())
        .min()
}

fn is_wished(object: &Value) -> bool {
    object
        .pointer("/spec/deletion")
        .is_some_and(|one| !one.is_null())
}

async fn tell(
    vcluster: &Cluster,
    object: &Value,
    reason: &str,
    message: &str,
) -> Result<(), ReconcileError> {
    let mut fields = Map::new();
    fields.insert("phase".to_owned(), json!(Phase::Deleting));
    let observed = [Observation::fails(READY, reason, message)];
    let written = conditions::write(vcluster, object, &observed, fields);
    in_time(within::WORD, "tell", written).await
}

/// Has Flux uninstall the release, which its own finalizer does.
async fn release(vcluster: &Cluster, at: &ApplicationKey, saga: &mut Saga) {
    let space = at.environment.as_str();
    let what = format!("the release {space}/{}", at.name);
    let is_done = saga
        .step(&what, within::RELEASE, || async {
            let mut is_gone = true;
            for kind in [HELM_RELEASE, KUSTOMIZATION] {
                let Some(release) = vcluster.get(kind, space, &at.name).await? else {
                    continue;
                };
                is_gone = false;
                // A suspended one would be let go without an uninstall.
                if release.pointer("/spec/suspend") == Some(&json!(true)) {
                    vcluster
                        .merge(&release, "", &json!({"spec": {"suspend": false}}))
                        .await?;
                }
                if !is_deleting(&release) {
                    vcluster.delete_object(&release).await?;
                }
            }
            Ok(is_gone)
        })
        .await;
    if !is_done {
        // Nobody uninstalls it; the namespace goes with all that is in it, and
        // what the release has elsewhere is what the report names.
        saga.step(
            &format!("the finalizers of {what}"),
            within::FINALIZERS,
            || async {
                for kind in [HELM_RELEASE, KUSTOMIZATION] {
                    if let Some(release) = vcluster.get(kind, space, &at.name).await? {
                        let patch = json!({"metadata": {"finalizers": null}});
                        vcluster.merge(&release, "", &patch).await?;
                    }
                }
                Ok(true)
            },
        )
        .await;
    }
}

/// Removes what this controller made, but for the namespace with its fence.
async fn delivery(vcluster: &Cluster, at: &ApplicationKey, saga: &mut Saga) {
    let selector = selector(at);
    saga.step("its delivery objects", within::DELIVERY, || async {
        for kind in PRUNED.iter().copied().chain([SECRET, OCI_REPOSITORY]) {
            for object in vcluster.list(kind, "", &selector).await? {
                let is_fence = kind.kind == "NetworkPolicy" && name(&object) == "default-deny";
                if !is_fence && !is_deleting(&object) {
                    vcluster.delete_object(&object).await?;
                }
            }
        }
        Ok(true)
    })
    .await;
}

/// Drops volumes, secrets and namespace; or keeps volumes and secrets, and the
/// namespace only if there is a volume in it.
async fn data(
    shared: &Shared,
    vcluster: &Cluster,
    at: &ApplicationKey,
    dropped: bool,
    saga: &mut Saga,
) -> Result<(), ReconcileError> {
    let space = namespace_of(at)?;
    let listed = vcluster.list(VOLUME_CLAIM, &space, "");
    let listed = match tokio::time::timeout(within::CLAIMS, listed).await {
        Ok(listed) => listed.map_err(|error| error.chain()),
        Err(_) => Err("no answer came in time".to_owned()),
    };
    let claims = match listed {
        Ok(claims) => claims,
        Err(_) if dropped => Vec::new(),
        // Volumes that cannot be seen must not go with their namespace.
        Err(cause) => {
            saga.leave(
                format!("the namespace {space}"),
                format!("whether it holds volumes to keep could not be read: {cause}"),
            );
            return Ok(());
        }
    };
    if dropped {
        let folder = secrets_folder(at)?;
        saga.step(
            &format!("the secrets below {folder}"),
            within::SECRETS,
            || async {
                secrets::delete_below(&shared.ctx.vault, &folder).await?;
                Ok(true)
            },
        )
        .await;
        saga.step(
            &format!("the volumes in {space}"),
            within::VOLUMES,
            || async {
                let claims = vcluster.list(VOLUME_CLAIM, &space, "").await?;
                for claim in &claims {
                    if !is_deleting(claim) {
                        vcluster.delete_object(claim).await?;
                    }
                }
                // Those that a pod still holds go with the namespace.
                Ok(true)
            },
        )
        .await;
    } else if !claims.is_empty() {
        saga.step(
            &format!("the labels of the volumes kept in {space}"),
            within::VOLUMES,
            || async {
                let mut labels = Map::new();
                labels.insert(key(KEPT), json!("true"));
                labels.insert(key("application"), json!(at.name));
                labels.insert(key("environment"), json!(at.environment));
                for claim in &claims {
                    vcluster
                        .merge(claim, "", &json!({"metadata": {"labels": labels}}))
                        .await?;
                }
                Ok(true)
            },
        )
        .await;
        for claim in &claims {
            saga.leave(
                format!("PersistentVolumeClaim {space}/{}", name(claim)),
                "its data is kept, as was asked",
            );
        }
        return Ok(());
    }
    saga.step(
        &format!("the namespace {space}"),
        within::NAMESPACE,
        || async {
            let Some(present) = vcluster.get(NAMESPACE, "", &space).await? else {
                return Ok(true);
            };
            // Never one that another Application or Environment owns.
            let is_own = crate::object::label(&present, &key("application")) == at.name
                && crate::object::label(&present, &key("environment")) == at.environment;
            if !is_own {
                return Ok(true);
            }
            if !is_deleting(&present) {
                vcluster.delete_object(&present).await?;
            }
            Err(remains::of_namespace(vcluster, &present).await)
        },
    )
    .await;
    Ok(())
}

fn secrets_folder(at: &ApplicationKey) -> Result<String, ReconcileError> {
    let parts = EnvironmentName::new(at.environment.as_str()).and_then(|name| name.parts());
    let (organization, env_type) = parts.map_err(|error| {
        ReconcileError::invalid(
            "delete",
            format!("the secrets of {}/{}", at.environment, at.name),
            error.to_string(),
        )
    })?;
    Ok(format!("org/{organization}/env/{env_type}/{}", at.name))
}

#[cfg(test)]
mod tests;
