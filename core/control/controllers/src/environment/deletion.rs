//! The end of an Environment: its Applications, its place in the vclusters, the
//! vclusters that nobody else uses, its secrets and its repository, in a minute.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{places_of, places_of_organization, repository_of};
use crate::context::Context;
use crate::controllers::{Shared, VclusterKey};
use crate::desired::environment::Place;
use crate::desired::key;
use crate::error::ReconcileError;
use crate::kubernetes::{
    APPLICATION, Cluster, HELM_RELEASE, KUSTOMIZATION, NAMESPACE, SECRET, VCLUSTER,
};
use crate::object::{is_deleting, name, text};
use crate::runtime::Next;
use crate::saga::Saga;
use crate::{finalizer, report, secrets};

/// Removes everything of an Environment, within the saga's bound.
pub async fn delete(
    shared: &Shared,
    management: &Cluster,
    object: &Value,
) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let environment = name(object);
    let mut saga = Saga::new(
        "Environment",
        environment,
        text(object, "/metadata/deletionTimestamp"),
    );
    report::deletion(ctx, &saga.view(Some("its vclusters".to_owned()), false)).await;
    // An Environment that never had a place leaves only what its name says.
    let places = places_of(ctx, object).await.unwrap_or_default();
    let ends = join_all(places.iter().map(|place| leave(shared, place).boxed())).await;
    for (place, left) in places.iter().zip(ends) {
        for (what, why) in left {
            saga.leave(format!("{what} in {}", place.vcluster()), why);
        }
    }
    report::deletion(
        ctx,
        &saga.view(Some("repository and secrets".to_owned()), false),
    )
    .await;
    if let Some(place) = places.first() {
        let step = Duration::from_secs(8);
        let folder = format!("org/{}/env/{}", place.organization, place.env_type);
        saga.step(&format!("the secrets below {folder}"), step, || async {
            secrets::delete_below(&ctx.vault, &folder).await?;
            Ok(true)
        })
        .await;
        let repository = repository_of(place);
        saga.step(&format!("the repository {repository}"), step, || async {
            let deleted = ctx.forge.repository_delete(&repository).await;
            deleted.map_err(ReconcileError::port(
                "delete",
                format!("the repository {repository}"),
            ))?;
            Ok(true)
        })
        .await;
    }
    report::end(ctx, management, object, &saga).await;
    finalizer::remove(management, object, finalizer::ENVIRONMENT).await?;
    Ok(None)
}

/// Removes an Environment from one vcluster, and the vcluster with its last
/// Environment. Answers what stays, with the cause.
async fn leave(shared: &Shared, place: &Place) -> Vec<(String, String)> {
    let ctx = &shared.ctx;
    let mut saga = Saga::new("Environment", place.environment.as_str(), "");
    let is_last = is_last(ctx, place).await;
    if let Ok(false) = is_last
        && let Some(vcluster) = answering(ctx, place).await
    {
        empty(&vcluster, place, &mut saga).await;
    }
    match is_last {
        Ok(true) => {
            // What runs inside goes with it; what Helm would do at an uninstall
            // is given a short moment first.
            if let Some(vcluster) = answering(ctx, place).await {
                quiesce(&vcluster, place, &mut saga, Duration::from_secs(10)).await;
            }
            shared.vclusters.leave(&VclusterKey {
                host: place.host_cluster.to_string(),
                organization: place.organization.to_string(),
            });
            remove_vcluster(ctx, place, &mut saga).await;
        }
        Ok(false) => {}
        Err(error) => saga.leave(format!("the vcluster {}", place.vcluster()), error.chain()),
    }
    saga.left_behind()
        .into_iter()
        .map(|line| match line.split_once(": ") {
            Some((what, why)) => (what.to_owned(), why.to_owned()),
            None => (line, String::new()),
        })
        .collect()
}

/// Whether no other Environment of the Organization is on this host cluster.
async fn is_last(ctx: &Context, place: &Place) -> Result<bool, ReconcileError> {
    let others = places_of_organization(ctx, place.organization.as_str()).await?;
    for other in others {
        if other.host_cluster == place.host_cluster && other.environment != place.environment {
            let environment = other.environment.as_str();
            let found = ctx
                .management()
                .get(crate::kubernetes::ENVIRONMENT, "", environment)
                .await?;
            if found.is_some_and(|found| !is_deleting(&found)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The vcluster, if it can be reached; one that cannot is as good as gone.
async fn answering(ctx: &Context, place: &Place) -> Option<Cluster> {
    let probe = async {
        let vcluster = ctx.vcluster(place).await.ok()??;
        vcluster.get(NAMESPACE, "", "default").await.ok()?;
        Some(vcluster)
    };
    tokio::time::timeout(Duration::from_secs(3), probe)
        .await
        .ok()?
}

/// Ends what Flux does for the Environment, and has Helm uninstall the releases.
async fn quiesce(vcluster: &Cluster, place: &Place, saga: &mut Saga, most: Duration) {
    let space = place.environment.as_str();
    // Suspended, so that it does not remove the Applications one by one.
    saga.step(
        "the Kustomization of the repository",
        Duration::from_secs(5),
        || async {
            let sync = json!({
                "apiVersion": KUSTOMIZATION.api_version, "kind": KUSTOMIZATION.kind,
                "metadata": {"name": space, "namespace": space},
            });
            vcluster
                .merge(&sync, "", &json!({"spec": {"suspend": true}}))
                .await?;
            vcluster.delete(KUSTOMIZATION, space, space).await?;
            Ok(true)
        },
    )
    .await;
    saga.step(
        "the finalizers of its Applications",
        Duration::from_secs(5),
        || async {
            for application in vcluster.list(APPLICATION, space, "").await? {
                finalizer::remove(vcluster, &application, finalizer::APPLICATION).await?;
            }
            Ok(true)
        },
    )
    .await;
    saga.step("releases of its Applications", most, || async {
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
    quiesce(vcluster, place, saga, Duration::from_secs(15)).await;
    let selector = format!("{}={}", key("environment"), place.environment);
    saga.step("its namespaces", Duration::from_secs(20), || async {
        let spaces = vcluster.list(NAMESPACE, "", &selector).await?;
        for space in &spaces {
            if !is_deleting(space) {
                vcluster.delete_object(space).await?;
            }
        }
        Ok(spaces.is_empty())
    })
    .await;
}

async fn remove_vcluster(ctx: &Context, place: &Place, saga: &mut Saga) {
    let organization = place.organization.as_str();
    let what = format!(
        "the VCluster {organization}/{organization} on {}",
        place.host_cluster
    );
    saga.step(&what, Duration::from_secs(20), || async {
        let host = ctx.host(&place.host_cluster.to_string()).await?;
        match host.get(VCLUSTER, organization, organization).await? {
            Some(object) => {
                if !is_deleting(&object) {
                    host.delete_object(&object).await?;
                }
                Ok(false)
            }
            None => {
                host.delete(SECRET, organization, &format!("vc-{organization}"))
                    .await?;
                host.delete(NAMESPACE, "", organization).await?;
                Ok(true)
            }
        }
    })
    .await;
    ctx.clusters
        .forget(&place.host_cluster.to_string(), Some(organization));
}
