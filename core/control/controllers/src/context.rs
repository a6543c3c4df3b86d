//! What the controllers need of the world around them.

use std::sync::Arc;

use catalyst_commands::Commands;
use catalyst_ports::{Clusters, Forge, Identity, RegistryAdmin, Spine, Vault};
use catalyst_resources::SovereignSpec;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::desired::environment::Place;
use crate::desired::management::sovereign_name;
use crate::error::ReconcileError;
use crate::kubernetes::{Cluster, SOVEREIGN, describe_object};
use crate::queue::Queue;

/// The parts, by their clients; nothing tells which home they are in.
#[derive(Clone)]
pub struct Context {
    /// Kubernetes: the management cluster, host clusters and vclusters.
    pub clusters: Clusters,
    /// The forge, as its administrator.
    pub forge: Forge,
    /// The vault, with a token that may write policies, tokens and secrets.
    pub vault: Vault,
    /// The registry's projects.
    pub registry_admin: RegistryAdmin,
    /// The registry's artifacts.
    pub registry: Arc<catalyst_supply::Registry>,
    /// The identity provider: who is in which group.
    pub identity: Identity,
    /// Where the progress of deletions is published.
    pub spine: Arc<dyn Spine>,
    /// The write side: makes the commit that ends an Application's deletion and those
    /// of fleet upgrades, and admits Blueprints.
    pub commands: Commands,
    /// Where the parts are, as clusters and the forge reach them.
    pub addresses: Addresses,
    /// What `sovereign.yaml` says in the very first commit; never looked at again.
    pub initial: SovereignSpec,
    /// Repositories of Blueprints in the registry, `source/name`, to be looked at.
    pub repositories: Queue<String>,
}

/// Where things are.
#[derive(Clone)]
pub struct Addresses {
    /// The Sovereign's domain.
    pub domain: String,
    /// `host[:port]` of the registry.
    pub registry_host: String,
    /// Whether the registry speaks plain HTTP (loopback only).
    pub registry_insecure: bool,
    /// The vault's base URL, as External Secrets reaches it.
    pub vault: String,
    /// Where the forge posts its events: `…/api/v1/hooks/git`.
    pub webhook_url: String,
    /// The key of their signature.
    pub webhook_secret: Zeroizing<String>,
}

impl Context {
    /// The management cluster.
    pub(crate) fn management(&self) -> Cluster {
        Cluster::new("management", self.clusters.management())
    }

    /// A host cluster.
    pub(crate) async fn host(&self, name: &str) -> Result<Cluster, ReconcileError> {
        let client = self
            .clusters
            .host(name)
            .await
            .map_err(ReconcileError::port(
                "reach",
                format!("the host cluster {name}"),
            ))?;
        Ok(Cluster::new(name, client))
    }

    /// An Organization's vcluster on a host cluster; none while there is none.
    pub(crate) async fn vcluster_of(
        &self,
        host: &str,
        organization: &str,
    ) -> Result<Option<Cluster>, ReconcileError> {
        let name = format!("{host}-{organization}");
        let client =
            self.clusters
                .vcluster(host, organization)
                .await
                .map_err(ReconcileError::port(
                    "reach",
                    format!("the vcluster {name}"),
                ))?;
        Ok(client.map(|client| Cluster::new(name, client)))
    }

    /// The vcluster of a place.
    pub(crate) async fn vcluster(&self, place: &Place) -> Result<Option<Cluster>, ReconcileError> {
        self.vcluster_of(&place.host_cluster.to_string(), place.organization.as_str())
            .await
    }

    /// A mail address that receives nothing, for users who are machines.
    pub(crate) fn mail(&self, username: &str) -> String {
        format!("{username}@{}", self.addresses.domain)
    }

    /// What the Sovereign says of itself; what the first commit says until it is
    /// applied.
    pub(crate) async fn sovereign(&self) -> Result<SovereignSpec, ReconcileError> {
        let name = sovereign_name(&self.addresses.domain);
        let found = self.management().get(SOVEREIGN, "", &name).await?;
        match found {
            None => Ok(self.initial.clone()),
            Some(object) => spec(&object),
        }
    }
}

/// The spec of an object, as its type.
pub(crate) fn spec<T: DeserializeOwned>(object: &Value) -> Result<T, ReconcileError> {
    serde_json::from_value(object.get("spec").cloned().unwrap_or_default()).map_err(|error| {
        ReconcileError::invalid(
            "read",
            describe_object(object),
            format!("its spec does not fit its kind: {error}; correct it in Git"),
        )
    })
}
