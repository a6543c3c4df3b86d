//! The end of an Environment: its Applications, its place in the vclusters, the
//! vclusters that nobody else uses, its secrets and its repository, in a minute.
//!
//! What must stay true: what could not be removed is named; a vcluster that could
//! not be is noted as a leftover before the end is told, and goes later.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use catalyst_names::EnvironmentName;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{is_wanted, places_of, repository_of, vcluster};
use crate::context::Context;
use crate::controllers::{Shared, VclusterKey};
use crate::desired::environment::Place;
use crate::desired::key;
use crate::error::ReconcileError;
use crate::kubernetes::{APPLICATION, Cluster, HELM_RELEASE, KUSTOMIZATION, NAMESPACE};
use crate::object::{array, is_deleting, name};
use crate::report::Part;
use crate::runtime::Next;
use crate::saga::{Saga, in_time};
use crate::{finalizer, leftover, remains, report, secrets};

/// Why namespaces stay in a vcluster that cannot be reached, and until when.
const NO_ANSWER: &str = "the vcluster gave no answer; once it does";

/// How long each step may take at most, by what it waits for.
mod within {
    use std::time::Duration;

    /// Where the Environment is.
    pub const PLACES: Duration = Duration::from_secs(3);
    /// Whether others are there too.
    pub const OTHERS: Duration = Duration::from_secs(3);
    /// Whether a vcluster answers.
    pub const ANSWER: Duration = Duration::from_secs(3);
    /// Flux.
    pub const FLUX: Duration = Duration::from_secs(3);
    /// The finalizers of Applications.
    pub const FINALIZERS: Duration = Duration::from_secs(3);
    /// Helm, where the vcluster goes anyway.
    pub const LAST_RELEASES: Duration = Duration::from_secs(10);
    /// Helm, where it stays.
    pub const RELEASES: Duration = Duration::from_secs(14);
    /// Namespaces of the Environment in a vcluster that stays.
    pub const NAMESPACES: Duration = Duration::from_secs(16);
    /// The vcluster.
    pub const VCLUSTER: Duration = Duration::from_secs(18);
    /// The note of one that stays.
    pub const NOTE: Duration = Duration::from_secs(2);
    /// Secrets, and at the same time the repository.
    pub const REST: Duration = Duration::from_secs(6);
}

/// Removes everything of an Environment, within the saga's bound.
pub async fn delete(
    shared: &Shared,
    management: &Cluster,
    object: &Value,
) -> Result<Next, ReconcileError> {
    // It may wait for the better part of a minute, in which others have their turn.
    shared.slot.step_aside();
    let ctx = &shared.ctx;
    let mut saga = Saga::of("Environment", object);
    report::progress(ctx, object, &saga, "its vclusters").await;
    let places = places(shared, management, object, &mut saga).await?;
    let ends = join_all(
        places
            .iter()
            .map(|place| leave(shared, place, saga.branch()).boxed()),
    )
    .await;
    for (part, leftover) in ends {
        saga.join(part);
        if let Some(at) = leftover {
            note(shared, management, &at).await?;
        }
    }
    report::progress(ctx, object, &saga, "repository and secrets").await;
    end(ctx, management, object, places.first(), saga).await
}

/// The last of an Environment: its secrets, its repository and its finalizer.
async fn end(
    ctx: &Context,
    management: &Cluster,
    object: &Value,
    place: Option<&Place>,
    mut saga: Saga,
) -> Result<Next, ReconcileError> {
    if let Some(place) = place {
        let (secrets, repository) = futures::join!(
            drop_secrets(ctx, place, saga.branch()),
            drop_repository(ctx, place, saga.branch()),
        );
        let away = report::unanswered(&[(Part::Forge, &repository), (Part::Vault, &secrets)]);
        saga.join(secrets);
        saga.join(repository);
        if !away.is_empty() {
            return report::parts_away(ctx, management, object, &saga, &away).await;
        }
    }
    report::end(ctx, management, object, &saga).await;
    finalizer::remove(management, object, finalizer::ENVIRONMENT).await?;
    Ok(None)
}

/// Where the Environment is. What cannot be read in time is tried again, until time
/// is up; what says nonsense has no place, or no longer.
async fn places(
    shared: &Shared,
    management: &Cluster,
    object: &Value,
    saga: &mut Saga,
) -> Result<Vec<Place>, ReconcileError> {
    let error = match in_time(within::PLACES, "find", places_of(&shared.ctx, object)).await {
        Ok(places) => return Ok(places),
        Err(error) => error,
    };
    if error.retryable() && !saga.is_overdue() {
        return Err(error);
    }
    // One that never had a place leaves nothing.
    let had: Vec<&str> = array(object, "/status/vclusters")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !had.is_empty() {
        let what = format!(
            "its namespaces in {}, its secrets and its repository",
            had.join(", ")
        );
        saga.leave(what, error.chain());
    }
    // Whoever removes them later asks whether others want them.
    let left: Vec<VclusterKey> = had
        .iter()
        .filter_map(|vcluster| vcluster_of(name(object), vcluster))
        .collect();
    for at in &left {
        note(shared, management, at).await?;
    }
    Ok(Vec::new())
}

/// The vcluster that an Environment's status names: host cluster and Organization.
fn vcluster_of(environment: &str, vcluster: &str) -> Option<VclusterKey> {
    let (organization, _) = EnvironmentName::new(environment).ok()?.parts().ok()?;
    let host = vcluster
        .strip_suffix(organization.as_str())?
        .strip_suffix('-')?;
    Some(VclusterKey {
        host: host.to_owned(),
        organization: organization.to_string(),
    })
}

/// Removes an Environment from one vcluster, and the vcluster with its last
/// Environment. Answers with the vcluster if that should have gone and is still
/// there.
async fn leave(shared: &Shared, place: &Place, mut saga: Saga) -> (Saga, Option<VclusterKey>) {
    let ctx = &shared.ctx;
    let at = VclusterKey {
        host: place.host_cluster.to_string(),
        organization: place.organization.to_string(),
    };
    let others = is_wanted(ctx, &at.host, &at.organization);
    let is_shared = match in_time(within::OTHERS, "find", others).await {
        Ok(is_shared) => is_shared,
        Err(error) => {
            // Whoever removes it later asks again.
            saga.leave(format!("the vcluster {}", place.vcluster()), error.chain());
            leave_namespaces(
                place,
                "whether others use the vcluster is not known; if it stays",
                &mut saga,
            );
            return (saga, Some(at));
        }
    };
    let vcluster = answering(ctx, place).await;
    if is_shared {
        match vcluster {
            Some(vcluster) => empty(&vcluster, place, &mut saga).await,
            None => leave_namespaces(place, NO_ANSWER, &mut saga),
        }
        return (saga, None);
    }
    // What runs inside goes with it; what Helm would do at an uninstall is given a
    // short moment first. One that cannot be reached is as good as gone.
    let mut inside = saga.branch();
    if let Some(vcluster) = &vcluster {
        quiesce(vcluster, place, &mut inside, within::LAST_RELEASES).await;
    }
    let is_wanted_after_all = AtomicBool::new(false);
    let what = format!("the vcluster {}", place.vcluster());
    let is_gone = saga
        .step(&what, within::VCLUSTER, || async {
            // Since the others were asked for, one more may have come.
            if is_wanted(ctx, &at.host, &at.organization).await? {
                is_wanted_after_all.store(true, Ordering::Relaxed);
                return Ok(true);
            }
            shared.vclusters.leave(&at);
            let host = ctx.host(&at.host).await?;
            vcluster::remove(&host, &at.organization).await?;
            Ok(true)
        })
        .await;
    ctx.clusters
        .forget(&at.host, Some(at.organization.as_str()));
    if is_wanted_after_all.into_inner() {
        // What `empty` begins with is done.
        saga.join(inside);
        match vcluster {
            Some(vcluster) => drop_namespaces(&vcluster, place, &mut saga).await,
            None => leave_namespaces(place, NO_ANSWER, &mut saga),
        }
        return (saga, None);
    }
    if is_gone {
        return (saga, None);
    }
    saga.join(inside);
    (saga, Some(at))
}

/// Has a vcluster that could not be removed removed later. Without the note nobody
/// would, so the end waits for it.
async fn note(
    shared: &Shared,
    management: &Cluster,
    at: &VclusterKey,
) -> Result<(), ReconcileError> {
    in_time(within::NOTE, "note", leftover::note(management, at)).await?;
    shared.leftovers.add(at.clone());
    Ok(())
}

/// The vcluster, if it can be reached.
async fn answering(ctx: &Context, place: &Place) -> Option<Cluster> {
    let probe = async {
        let vcluster = ctx.vcluster(place).await.ok()??;
        vcluster.get(NAMESPACE, "", "default").await.ok()?;
        Some(vcluster)
    };
    tokio::time::timeout(within::ANSWER, probe).await.ok()?
}

/// Ends what Flux does for the Environment, and has Helm uninstall the releases.
async fn quiesce(vcluster: &Cluster, place: &Place, saga: &mut Saga, most: Duration) {
    let space = place.environment.as_str();
    // Suspended, so that it does not remove the Applications one by one.
    let what = inside("the Kustomization of the repository", place);
    saga.step(&what, within::FLUX, || async {
        let sync = json!({
            "apiVersion": KUSTOMIZATION.api_version, "kind": KUSTOMIZATION.kind,
            "metadata": {"name": space, "namespace": space},
        });
        vcluster
            .merge(&sync, "", &json!({"spec": {"suspend": true}}))
            .await?;
        vcluster.delete(KUSTOMIZATION, space, space).await?;
        Ok(true)
    })
    .await;
    let what = inside("the finalizers of its Applications", place);
    saga.step(&what, within::FINALIZERS, || async {
        for application in vcluster.list(APPLICATION, space, "").await? {
            finalizer::remove(vcluster, &application, finalizer::APPLICATION).await?;
        }
        Ok(true)
    })
    .await;
    let what = inside("releases of its Applications", place);
    saga.step(&what, most, || async {
        let mut left = 0;
        for kind in [HELM_RELEASE, KUSTOMIZATION] {
            for release in vcluster.list(kind, space, "").await? {
                left += 1;
                if !is_deleting(&release) {
                    vcluster.delete_object(&release).await?;
                }
            }
        }
        Ok(left == 0)
    })
    .await;
}

/// Removes the Environment's namespaces from a vcluster that others use too.
async fn empty(vcluster: &Cluster, place: &Place, saga: &mut Saga) {
    quiesce(vcluster, place, saga, within::RELEASES).await;
    drop_namespaces(vcluster, place, saga).await;
}

async fn drop_namespaces(vcluster: &Cluster, place: &Place, saga: &mut Saga) {
    let selector = selector(place);
    let what = inside("its namespaces", place);
    saga.step(&what, within::NAMESPACES, || async {
        let spaces = vcluster.list(NAMESPACE, "", &selector).await?;
        for space in &spaces {
            if !is_deleting(space) {
                vcluster.delete_object(space).await?;
            }
        }
        if spaces.is_empty() {
            return Ok(true);
        }
        let mut kept = Vec::new();
        for space in &spaces {
            kept.push(remains::of_namespace(vcluster, space).await.chain());
        }
        Err(ReconcileError::missing(
            "remove",
            "all of them",
            kept.join("; "),
        ))
    })
    .await;
}

/// Names the namespaces that nobody removes, and what to do about them.
fn leave_namespaces(place: &Place, why: &str, saga: &mut Saga) {
    saga.leave(
        inside("its namespaces", place),
        format!(
            "{why}, delete the namespaces with the label {}",
            selector(place)
        ),
    );
}

/// What the Environment's namespaces are labelled with.
fn selector(place: &Place) -> String {
    format!("{}={}", key("environment"), place.environment)
}

async fn drop_secrets(ctx: &Context, place: &Place, mut saga: Saga) -> Saga {
    let folder = format!("org/{}/env/{}", place.organization, place.env_type);
    let what = format!("the secrets below {folder}");
    saga.ask(&what, within::REST, || {
        secrets::delete_below(&ctx.vault, &folder)
    })
    .await;
    saga
}

async fn drop_repository(ctx: &Context, place: &Place, mut saga: Saga) -> Saga {
    let repository = repository_of(place);
    let what = format!("the repository {repository}");
    saga.delete(&what, within::REST, || {
        ctx.forge.repository_delete(&repository)
    })
    .await;
    saga
}

/// Something in a vcluster, by name.
fn inside(what: impl Display, place: &Place) -> String {
    format!("{what} in {}", place.vcluster())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::object::{condition, text};
    use crate::report::{END_WITHIN, EVENT_WITHIN, PROGRESS_WITHIN};
    use crate::saga::{FLOOR, LIMIT, PROMISED};
    use crate::testing::{
        Empty, Memory, Told, held_namespace, leaves_its_worker, shared, shared_with,
    };

    const PATH: &str = "/apis/catalyst.openova.io/v1alpha1/environments/acme-dev";

    fn place() -> Place {
        let environment = EnvironmentName::new("acme-dev").unwrap();
        let (organization, env_type) = environment.parts().unwrap();
        Place {
            domain: "sovereign.example".to_owned(),
            organization,
            environment,
            env_type,
            host_cluster: "lo-loc-rtz-dev".parse().unwrap(),
        }
    }

    #[test]
    fn the_status_says_which_vclusters_an_environment_had() {
        let found = |vcluster| vcluster_of("acme-dev", vcluster);
        let at = VclusterKey {
            host: "lo-loc-rtz-dev".to_owned(),
            organization: "acme".to_owned(),
        };
        assert_eq!(found("lo-loc-rtz-dev-acme"), Some(at));
        assert_eq!(found("lo-loc-rtz-dev-globex"), None);
        assert_eq!(vcluster_of("nonsense", "lo-loc-rtz-dev-acme"), None);
    }

    #[tokio::test]
    async fn what_keeps_its_namespaces_is_told_by_name() {
        let memory = Memory::default();
        for space in ["acme-dev", "wiki"] {
            let labels = json!({"openova.io/environment": "acme-dev"});
            held_namespace(&memory, space, &labels);
        }
        let mut saga = Saga::hurried("Environment", "acme-dev");
        drop_namespaces(&memory.cluster(), &place(), &mut saga).await;
        let told = saga.left_behind();
        assert_eq!(told.len(), 1, "{told:#?}");
        for space in ["acme-dev", "wiki"] {
            let held = format!(
                "could not remove Namespace {space}: what is in it keeps it: Widget {space}/held (finalizers: example.com/hold)"
            );
            assert!(told[0].contains(&held), "{told:#?}");
        }
    }

    #[tokio::test]
    async fn it_keeps_no_worker_while_it_waits() {
        let memory = Memory::default();
        let object = json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Environment",
            "metadata": {"name": "acme-dev", "deletionTimestamp": clock::now()},
            "spec": {"organization": "acme", "envType": "dev"},
        });
        let shared = shared(&memory, &Told::default());
        leaves_its_worker(shared, async |shared: &Shared| {
            delete(shared, &memory.cluster(), &object).await
        })
        .await;
    }

    #[tokio::test]
    async fn it_ends_once_every_part_answers_and_says_so_until_then() {
        let (memory, told) = (Memory::default(), Told::default());
        let (forge, others) = (Empty::serve().await, Empty::serve().await);
        let shared = shared_with(&memory, &told, &forge, &others);
        memory.put(
            PATH,
            json!({
                "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Environment",
                "metadata": {
                    "name": "acme-dev", "deletionTimestamp": clock::now(),
                    "finalizers": [finalizer::ENVIRONMENT],
                },
                "spec": {"organization": "acme", "envType": "dev"},
            }),
        );
        let look = async || {
            let object = memory.get(PATH).unwrap();
            let saga = Saga::hurried("Environment", "acme-dev");
            end(
                &shared.ctx,
                &memory.cluster(),
                &object,
                Some(&place()),
                saga,
            )
            .await
        };
        for (part, reason, words) in [
            (&forge, "ForgeAway", "the forge, which gives no answer"),
            (&others, "VaultAway", "the vault, which gives no answer"),
        ] {
            part.set_away(true);
            for _ in 0..2 {
                let error = look().await.unwrap_err();
                assert!(error.retryable(), "{error}");
                let object = memory.get(PATH).unwrap();
                let ready = condition(&object, "Ready").unwrap();
                assert_eq!(text(ready, "/reason"), reason);
                let views = told.take();
                assert!(
                    views.iter().all(|view| view.ended_at.is_none()),
                    "{views:#?}"
                );
                let waiting = views.last().and_then(|view| view.waiting_for.as_deref());
                assert!(waiting.unwrap().starts_with(words), "{views:#?}");
            }
            part.set_away(false);
        }
        assert_eq!(look().await.unwrap(), None);
        assert_eq!(told.take_ends().len(), 1);
        assert_eq!(memory.get(PATH), None);
    }

    /// Change it with the steps: what each waits for at most, one after the other.
    #[test]
    fn all_steps_together_take_no_longer_than_is_promised() {
        let before = [vcluster::WITHIN, PROGRESS_WITHIN, within::PLACES];
        let inside = [
            within::OTHERS,
            within::ANSWER,
            within::FLUX,
            within::FINALIZERS,
        ];
        let last = [within::LAST_RELEASES, within::VCLUSTER, within::NOTE];
        let shared = [within::RELEASES, within::NAMESPACES];
        let after = [PROGRESS_WITHIN, within::REST, EVENT_WITHIN, END_WITHIN];
        for path in [&last[..], &shared[..]] {
            let steps = before.iter().chain(&inside).chain(path).chain(&after);
            let sum: Duration = steps.sum();
            assert!(sum <= PROMISED, "{sum:?}");
        }
        // A vcluster that is wanted after all: by then time may be up, and each step
        // that is left has the least it can have.
        let late = [
            LIMIT,
            FLOOR,
            PROGRESS_WITHIN,
            FLOOR,
            EVENT_WITHIN,
            END_WITHIN,
        ];
        let sum: Duration = late.iter().sum();
        assert!(sum <= PROMISED, "{sum:?}");
    }
}
