//! The end of an Application: its release, its data as chosen, its namespace, and
//! the commit that removes its folder.
//!
//! `spec.deletion` says what becomes of the data; an Application whose folder was
//! simply removed keeps it. Dependents go first. What is done once more finds
//! nothing left and ends at once, so a restart in between does no harm.

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
    VOLUME_CLAIM,
};
use crate::object::{annotation, is_deleting, name, text};
use crate::runtime::Next;
use crate::saga::Saga;
use crate::{clock, finalizer, organization, report, secrets};

/// Set once everything is gone and the second commit is made.
const ENDED: &str = "deletion-ended-at";
/// On a volume claim that outlives its Application.
const KEPT: &str = "kept";
/// How long Flux may take to apply the second commit before it is made again.
const COMMIT_AGAIN: i64 = 60;

/// Carries a deletion on.
pub async fn delete(
    shared: &Shared,
    at: &ApplicationKey,
    vcluster: &Cluster,
    object: &Value,
) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let is_gone_from_git = is_deleting(object);
    let ended = annotation(object, &key(ENDED));
    if !is_gone_from_git && clock::seconds_since(ended).is_some_and(|passed| passed < COMMIT_AGAIN)
    {
        // Flux is about to remove the object.
        return Ok(Some(Duration::from_secs(60)));
    }
    let dropped = text(object, "/spec/deletion/data") == "drop";
    let mut saga = Saga::new(
        "Application",
        format!("{}/{}", at.environment, at.name),
        &started(object),
    );
    tell(
        vcluster,
        object,
        "Deleting",
        "its release is being uninstalled",
    )
    .await?;
    let dependents = remaining_dependents(vcluster, at).await?;
    if !dependents.is_empty() && ended.is_empty() {
        let names: Vec<String> = dependents.into_iter().collect();
        let waiting = format!("its dependents: {}", names.join(", "));
        report::deletion(ctx, &saga.view(Some(waiting.clone()), false)).await;
        tell(
            vcluster,
            object,
            "DependentsRemain",
            &format!("it waits for {waiting}"),
        )
        .await?;
        // Their going wakes this one; the wait is for what no watch saw.
        return Ok(Some(Duration::from_secs(5)));
    }
    report::deletion(ctx, &saga.view(Some("its release".to_owned()), false)).await;
    release(vcluster, at, &mut saga).await;
    report::deletion(
        ctx,
        &saga.view(Some("its data and namespace".to_owned()), false),
    )
    .await;
    delivery(vcluster, at, &mut saga).await;
    data(shared, vcluster, at, dropped, &mut saga).await?;
    if !is_gone_from_git {
        let finished = ctx
            .commands
            .finish_deletion(&at.environment, &at.name)
            .await;
        finished.map_err(|error| {
            ReconcileError::missing(
                "remove",
                format!(
                    "the folder of {} from the repository {}",
                    at.name, at.environment
                ),
                error.to_string(),
            )
        })?;
    }
    if !is_gone_from_git {
        // The commit is known here at once, whether or not the forge tells of it.
        wake(shared, at).await;
    }
    organization::finish(ctx, vcluster, object, &saga).await?;
    shared.remembered.forget(at);
    if is_gone_from_git {
        // The status written meanwhile has made `object` an older version.
        if let Some(fresh) = vcluster.get(APPLICATION, &at.environment, &at.name).await? {
            finalizer::remove(vcluster, &fresh, finalizer::APPLICATION).await?;
        }
        for neighbour in shared.vclusters.neighbours(at) {
            shared.applications.add(neighbour);
        }
        return Ok(None);
    }
    let mut annotations = Map::new();
    annotations.insert(key(ENDED), json!(clock::now()));
    let patch = json!({"metadata": {"annotations": annotations}});
    vcluster.merge(object, "", &patch).await?;
    Ok(Some(Duration::from_secs(60)))
}

async fn wake(shared: &Shared, at: &ApplicationKey) {
    let repository = RepositoryId::new(at.at.organization.as_str(), at.environment.as_str());
    crate::wake::waker(&shared.ctx)
        .repository_pushed(&repository)
        .await;
}

/// When the deletion was asked for: when this controller first saw it, which its
/// own condition remembers.
fn started(object: &Value) -> String {
    let since = crate::object::condition(object, READY)
        .filter(|_| text(object, "/status/phase") == "Deleting")
        .map(|ready| text(ready, "/lastTransitionTime").to_owned());
    let asked = text(object, "/metadata/deletionTimestamp").to_owned();
    match since {
        Some(since) if !since.is_empty() && object.pointer("/spec/deletion").is_some() => since,
        _ if !asked.is_empty() => asked,
        _ => clock::now(),
    }
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
    conditions::write(vcluster, object, &observed, fields).await
}

/// Has Flux uninstall the release, which its own finalizer does.
async fn release(vcluster: &Cluster, at: &ApplicationKey, saga: &mut Saga) {
    let space = at.environment.as_str();
    let what = format!("the release {space}/{}", at.name);
    let is_done = saga
        .step(&what, Duration::from_secs(25), || async {
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
            Duration::from_secs(3),
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
    saga.step("its delivery objects", Duration::from_secs(8), || async {
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
    let claims = match vcluster.list(VOLUME_CLAIM, &space, "").await {
        Ok(claims) => claims,
        Err(_) if dropped => Vec::new(),
        // Volumes that cannot be seen must not go with their namespace.
        Err(error) => {
            saga.leave(
                format!("the namespace {space}"),
                format!(
                    "whether it holds volumes to keep could not be read: {}",
                    error.chain()
                ),
            );
            return Ok(());
        }
    };
    if dropped {
        let folder = secrets_folder(at)?;
        saga.step(
            &format!("the secrets below {folder}"),
            Duration::from_secs(5),
            || async {
                secrets::delete_below(&shared.ctx.vault, &folder).await?;
                Ok(true)
            },
        )
        .await;
        saga.step(
            &format!("the volumes in {space}"),
            Duration::from_secs(10),
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
            Duration::from_secs(5),
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
        Duration::from_secs(15),
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
            Ok(false)
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
