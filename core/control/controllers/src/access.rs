//! Carries out who may do what in vclusters: applies the RBAC of
//! [`crate::desired::access`] and removes what it no longer names.
//!
//! Called with every reconcile of an Organization, so that a member who left
//! loses all in that same reconcile, and when a vcluster's namespaces change.

use std::collections::BTreeSet;

use catalyst_resources::{Member, OrganizationSpec};
use futures::FutureExt;
use futures::future::{join_all, try_join};
use serde_json::Value;

use crate::bootstrap::MANAGER;
use crate::context::{Context, spec};
use crate::controllers::{Shared, VclusterKey};
use crate::desired::access::{self, Space};
use crate::desired::key;
use crate::environment::places_of_organization;
use crate::error::ReconcileError;
use crate::kubernetes::{CLUSTER_ROLE_BINDING, Cluster, NAMESPACE, ORGANIZATION, ROLE_BINDING};
use crate::object::{is_deleting, label, name, namespace, text};
use crate::runtime::Next;

/// One vcluster, when its namespaces changed.
pub async fn reconcile(shared: &Shared, at: &VclusterKey) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let found = ctx
        .management()
        .get(ORGANIZATION, "", &at.organization)
        .await?;
    let Some(object) = found.filter(|object| !is_deleting(object)) else {
        return Ok(None);
    };
    let wanted: OrganizationSpec = spec(&object)?;
    if let Some(vcluster) = ctx.vcluster_of(&at.host, &at.organization).await? {
        in_vcluster(&vcluster, &wanted.members).await?;
    }
    Ok(None)
}

/// Every vcluster of an Organization. One that fails does not keep the others
/// from losing a member.
pub async fn of_organization(
    ctx: &Context,
    organization: &str,
    members: &[Member],
) -> Result<(), ReconcileError> {
    let hosts: BTreeSet<String> = places_of_organization(ctx, organization)
        .await?
        .into_iter()
        .map(|place| place.host_cluster.to_string())
        .collect();
    let each = hosts
        .iter()
        .map(|host| on_host(ctx, host, organization, members).boxed());
    join_all(each).await.into_iter().collect()
}

async fn on_host(
    ctx: &Context,
    host: &str,
    organization: &str,
    members: &[Member],
) -> Result<(), ReconcileError> {
    match ctx.vcluster_of(host, organization).await? {
        Some(vcluster) => in_vcluster(&vcluster, members).await,
        None => Ok(()),
    }
}

/// Makes a vcluster's roles and bindings exactly what the members call for.
pub async fn in_vcluster(vcluster: &Cluster, members: &[Member]) -> Result<(), ReconcileError> {
    let spaces: Vec<Space> = vcluster
        .list(NAMESPACE, "", &key("environment"))
        .await?
        .iter()
        .filter(|space| !is_deleting(space))
        .map(|space| Space {
            name: name(space).to_owned(),
            environment: label(space, &key("environment")).to_owned(),
        })
        .collect();
    let wanted = access::objects(members, &spaces);
    // Rights go before rights come.
    let selector = access::selector();
    let (bindings, cluster_bindings) = try_join(
        vcluster.list(ROLE_BINDING, "", &selector),
        vcluster.list(CLUSTER_ROLE_BINDING, "", &selector),
    )
    .await?;
    let superfluous = superfluous(bindings.iter().chain(&cluster_bindings), &wanted);
    for binding in superfluous {
        vcluster.delete_object(binding).await?;
    }
    vcluster.apply_all(&wanted, MANAGER).await
}

fn superfluous<'a>(present: impl Iterator<Item = &'a Value>, wanted: &[Value]) -> Vec<&'a Value> {
    let id = |object: &Value| {
        (
            text(object, "/kind").to_owned(),
            namespace(object).to_owned(),
            name(object).to_owned(),
        )
    };
    let wanted: BTreeSet<_> = wanted.iter().map(id).collect();
    present.filter(|one| !wanted.contains(&id(one))).collect()
}
