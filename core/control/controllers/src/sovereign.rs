//! Sovereign: says in its status whether its host clusters answer.

use std::collections::BTreeMap;

use catalyst_resources::SovereignSpec;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::Map;

use crate::conditions::{self, Observation};
use crate::context::{Context, spec};
use crate::controllers::Shared;
use crate::error::ReconcileError;
use crate::kubernetes::{NAMESPACE, SOVEREIGN};
use crate::runtime::Next;

/// Looks at one Sovereign.
pub async fn reconcile(shared: &Shared, name: &str) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let management = ctx.management();
    let Some(object) = management.get(SOVEREIGN, "", name).await? else {
        return Ok(None);
    };
    let wanted: SovereignSpec = spec(&object)?;
    let asked = wanted
        .host_clusters
        .iter()
        .map(|cluster| ask(ctx, &cluster.name).boxed());
    let silent: BTreeMap<&str, String> = join_all(asked)
        .await
        .into_iter()
        .zip(&wanted.host_clusters)
        .filter_map(|(answer, cluster)| Some((cluster.name.as_str(), answer.err()?.chain())))
        .collect();
    let observed = if silent.is_empty() {
        Observation::holds("Ready", "HostClustersAnswer", "every host cluster answers")
    } else {
        let said: Vec<String> = silent
            .iter()
            .map(|(name, error)| format!("{name}: {error}"))
            .collect();
        Observation::fails("Ready", "HostClusterSilent", said.join("; "))
    };
    conditions::write(&management, &object, &[observed], Map::new()).await?;
    Ok(None)
}

async fn ask(ctx: &Context, host: &str) -> Result<(), ReconcileError> {
    let host = ctx.host(host).await?;
    host.get(NAMESPACE, "", "kube-system").await.map(drop)
}
