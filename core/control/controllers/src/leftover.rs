//! Vclusters that a deletion had to leave behind: noted in the management cluster,
//! and removed once nothing keeps them any more.
//!
//! The deletion of an Environment notes; the queue looks again for as long as the
//! note is there, through restarts. What must stay true: only what a deletion began
//! is ended here, and a vcluster that an Environment asks for again is none of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::context::Context;
use crate::controllers::{Shared, VclusterKey};
use crate::desired::{SYSTEM_NAMESPACE, key, labels};
use crate::environment::{is_wanted, remove_vcluster};
use crate::error::ReconcileError;
use crate::kubernetes::{CONFIG_MAP, Cluster};
use crate::object::{label, text};
use crate::runtime::{Next, ever_more_rarely};

/// Which notes there are: on each of them.
const LEFT_BEHIND: &str = "left-behind";
/// How soon one that somebody keeps is looked at again, at the soonest…
const SOONEST: Duration = Duration::from_secs(10);
/// …and at the latest.
const LATEST: Duration = Duration::from_secs(300);

/// Notes a vcluster; one that is noted stays so.
pub async fn note(management: &Cluster, at: &VclusterKey) -> Result<(), ReconcileError> {
    management.create(&noted(at)).await.map(drop)
}

/// Every vcluster that is noted, for the sweep.
pub async fn sweep(shared: &Shared) -> Result<(), ReconcileError> {
    let selector = format!("{}=vcluster", key(LEFT_BEHIND));
    let notes = shared
        .ctx
        .management()
        .list(CONFIG_MAP, SYSTEM_NAMESPACE, &selector)
        .await?;
    for note in &notes {
        shared.leftovers.add(VclusterKey {
            host: label(note, &key("host-cluster")).to_owned(),
            organization: label(note, &key("organization")).to_owned(),
        });
    }
    Ok(())
}

/// Removes one, if it is still noted and nobody wants it.
pub async fn reconcile(shared: &Shared, at: &VclusterKey) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let management = ctx.management();
    let noted = management
        .get(CONFIG_MAP, SYSTEM_NAMESPACE, &name_of(at))
        .await?;
    let Some(noted) = noted else {
        return Ok(None);
    };
    if is_somebody_elses(ctx, at).await? {
        return forget(&management, at).await;
    }
    let age = clock::seconds_since(text(&noted, "/metadata/creationTimestamp"));
    let again = ever_more_rarely(age.unwrap_or(0), SOONEST, LATEST);
    finish(&management, &ctx.host(&at.host).await?, at, again).await
}

/// Whether it is nobody's leftover: an Environment asks for it, or the Sovereign no
/// longer has the host cluster.
async fn is_somebody_elses(ctx: &Context, at: &VclusterKey) -> Result<bool, ReconcileError> {
    let sovereign = ctx.sovereign().await?;
    if !sovereign
        .host_clusters
        .iter()
        .any(|one| one.name == at.host)
    {
        tracing::warn!(
            host = at.host,
            organization = at.organization,
            "a vcluster was left behind on a host cluster that the Sovereign no longer has"
        );
        return Ok(true);
    }
    is_wanted(ctx, &at.host, &at.organization).await
}

async fn finish(
    management: &Cluster,
    host: &Cluster,
    at: &VclusterKey,
    again: Duration,
) -> Result<Next, ReconcileError> {
    match remove_vcluster(host, &at.organization).await {
        Ok(()) => {
            tracing::info!(
                host = at.host,
                organization = at.organization,
                "what was left of a vcluster removed"
            );
            forget(management, at).await
        }
        // Somebody keeps it, which the deletion has told.
        Err(ReconcileError::Missing { reason, .. }) => {
            tracing::debug!(
                host = at.host,
                organization = at.organization,
                reason,
                "a vcluster is left behind still"
            );
            Ok(Some(again))
        }
        Err(error) => Err(error),
    }
}

async fn forget(management: &Cluster, at: &VclusterKey) -> Result<Next, ReconcileError> {
    management
        .delete(CONFIG_MAP, SYSTEM_NAMESPACE, &name_of(at))
        .await?;
    Ok(None)
}

fn name_of(at: &VclusterKey) -> String {
    format!("{LEFT_BEHIND}.{}-{}", at.host, at.organization)
}

fn noted(at: &VclusterKey) -> Value {
    let labels = labels(&[
        (LEFT_BEHIND, "vcluster"),
        ("host-cluster", &at.host),
        ("organization", &at.organization),
    ]);
    json!({
        "apiVersion": CONFIG_MAP.api_version, "kind": CONFIG_MAP.kind,
        "metadata": {"name": name_of(at), "namespace": SYSTEM_NAMESPACE, "labels": labels},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Memory, Told, VCLUSTER_REQUEST, VCLUSTER_SPACE, shared};

    const NOTE: &str =
        "/api/v1/namespaces/catalyst-system/configmaps/left-behind.lo-loc-rtz-dev-acme";
    const ENVIRONMENT: &str = "/apis/catalyst.openova.io/v1alpha1/environments/acme-dev";

    fn at() -> VclusterKey {
        VclusterKey {
            host: "lo-loc-rtz-dev".to_owned(),
            organization: "acme".to_owned(),
        }
    }

    /// A management cluster of a Sovereign with one host cluster, and a note.
    async fn world() -> (Memory, Shared) {
        let memory = Memory::default();
        memory.put(
            "/apis/catalyst.openova.io/v1alpha1/sovereigns/sovereign-example",
            json!({
                "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Sovereign",
                "metadata": {"name": "sovereign-example"},
                "spec": {
                    "domain": "sovereign.example", "provider": "lo",
                    "hostClusters": [{"name": "lo-loc-rtz-dev", "region": "loc", "buildingBlock": "rtz", "envType": "dev"}],
                },
            }),
        );
        let shared = shared(&memory, &Told::default());
        note(&memory.cluster(), &at()).await.unwrap();
        (memory, shared)
    }

    fn environment() -> Value {
        json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Environment",
            "metadata": {"name": "acme-dev", "uid": "1"},
            "spec": {"organization": "acme", "envType": "dev"},
        })
    }

    #[tokio::test]
    async fn what_was_left_behind_is_found_by_the_sweep_and_goes_with_its_note() {
        let (memory, shared) = world().await;
        sweep(&shared).await.unwrap();
        let found = tokio::time::timeout(Duration::from_secs(10), shared.leftovers.next()).await;
        assert_eq!(found.unwrap(), at());

        let host = Memory::with_held_vcluster();
        let management = memory.cluster();
        let again = Duration::from_secs(10);
        let look = async || {
            finish(&management, &host.cluster(), &at(), again)
                .await
                .unwrap()
        };
        assert_eq!(look().await, Some(again));
        assert!(memory.get(NOTE).is_some() && host.get(VCLUSTER_SPACE).is_some());

        host.merge(VCLUSTER_REQUEST, &json!({"metadata": {"finalizers": null}}));
        assert_eq!(look().await, Some(again));
        assert_eq!(look().await, None);
        assert_eq!((memory.get(NOTE), host.get(VCLUSTER_SPACE)), (None, None));
    }

    #[tokio::test]
    async fn a_vcluster_that_is_asked_for_again_is_nobodys_leftover() {
        let (memory, shared) = world().await;
        // Its end is what left the vcluster behind.
        let mut ending = environment();
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        memory.put(ENVIRONMENT, ending);
        assert!(!is_somebody_elses(&shared.ctx, &at()).await.unwrap());

        memory.put(ENVIRONMENT, environment());
        assert_eq!(reconcile(&shared, &at()).await.unwrap(), None);
        assert_eq!(memory.get(NOTE), None);
        // And without a note nothing is touched.
        assert_eq!(reconcile(&shared, &at()).await.unwrap(), None);
    }
}
