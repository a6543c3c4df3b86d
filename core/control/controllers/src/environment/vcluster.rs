//! An Organization's vcluster on a host cluster: asked for, and removed.
//!
//! What must stay true: nobody is waited for longer than a moment; who keeps what
//! is to go is named.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::runtime::watcher::watch_object;

use crate::bootstrap::MANAGER;
use crate::context::Context;
use crate::desired::environment::{Place, host_objects};
use crate::error::ReconcileError;
use crate::kubernetes::{Cluster, NAMESPACE, SECRET, VCLUSTER};
use crate::object::is_deleting;
use crate::remains;

/// How long a vcluster may take to come up before others have their turn.
pub const WITHIN: Duration = Duration::from_secs(2);
/// What goes with the request for a vcluster.
const WITH_IT: &str = "and the rest of the vcluster with it";

/// Asks the host cluster for the Organization's vcluster, and waits a moment for
/// its kubeconfig, by watch; nothing while that is not there.
pub async fn ask(ctx: &Context, place: &Place) -> Result<Option<Cluster>, ReconcileError> {
    let host = ctx.host(&place.host_cluster.to_string()).await?;
    for object in host_objects(place) {
        host.apply(&object, MANAGER).await?;
    }
    if let Some(vcluster) = ctx.vcluster(place).await? {
        return Ok(Some(vcluster));
    }
    let organization = place.organization.as_str();
    let secrets: Api<Secret> = Api::namespaced(host.client().clone(), organization);
    let wanted = kubeconfig_of(organization);
    let seen = watch_object(secrets, &wanted);
    pin_mut!(seen);
    let appears = async {
        while let Some(event) = seen.next().await {
            if let Ok(Some(_)) = event {
                return;
            }
        }
    };
    if tokio::time::timeout(WITHIN, appears).await.is_err() {
        return Ok(None);
    }
    ctx.clusters
        .forget(&place.host_cluster.to_string(), Some(organization));
    ctx.vcluster(place).await
}

/// What is waited for while there is no vcluster, for people.
pub fn awaited(place: &Place) -> String {
    let organization = place.organization.as_str();
    format!(
        "the Secret {organization}/{} has not appeared on {} yet; see the VCluster {organization}/{organization} there",
        kubeconfig_of(organization),
        place.host_cluster
    )
}

/// Removes an Organization's vcluster from a host cluster: the request for it, its
/// kubeconfig, then its namespace. An error until nothing of it is there, which says
/// what is and who keeps it.
pub async fn remove(host: &Cluster, organization: &str) -> Result<(), ReconcileError> {
    if let Some(request) = host.get(VCLUSTER, organization, organization).await? {
        if !is_deleting(&request) {
            host.delete_object(&request).await?;
        }
        return Err(remains::of(&request, WITH_IT));
    }
    host.delete(SECRET, organization, &kubeconfig_of(organization))
        .await?;
    if let Some(space) = host.get(NAMESPACE, "", organization).await? {
        if !is_deleting(&space) {
            host.delete_object(&space).await?;
        }
        return Err(remains::of_namespace(host, &space).await);
    }
    Ok(())
}

/// Where the kubeconfig of an Organization's vcluster is put.
fn kubeconfig_of(organization: &str) -> String {
    format!("vc-{organization}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Memory, VCLUSTER_REQUEST, VCLUSTER_SPACE};

    const KUBECONFIG: &str = "/api/v1/namespaces/acme/secrets/vc-acme";

    #[tokio::test]
    async fn a_vcluster_goes_with_its_namespace_once_nobody_keeps_it() {
        let memory = Memory::with_held_vcluster();
        let host = memory.cluster();
        memory.put(
            KUBECONFIG,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vc-acme", "namespace": "acme"}}),
        );
        for _ in 0..2 {
            let error = remove(&host, "acme").await.unwrap_err();
            assert!(error.retryable());
            assert_eq!(
                error.chain(),
                "could not remove VCluster acme/acme: its finalizers keep it (example.com/hold); once whoever set them has removed them, it goes, and the rest of the vcluster with it"
            );
        }
        assert!(is_deleting(&memory.get(VCLUSTER_REQUEST).unwrap()));
        // What its namespace holds is of use to whoever looks into it.
        assert!(memory.get(KUBECONFIG).is_some());
        assert!(!is_deleting(&memory.get(VCLUSTER_SPACE).unwrap()));

        memory.merge(VCLUSTER_REQUEST, &json!({"metadata": {"finalizers": null}}));
        assert_eq!(memory.get(VCLUSTER_REQUEST), None);
        let error = remove(&host, "acme").await.unwrap_err();
        assert_eq!(
            error.chain(),
            "could not remove Namespace acme: it is still on its way out"
        );
        assert_eq!(memory.get(KUBECONFIG), None);
        assert_eq!(memory.get(VCLUSTER_SPACE), None);
        remove(&host, "acme").await.unwrap();
    }
}
