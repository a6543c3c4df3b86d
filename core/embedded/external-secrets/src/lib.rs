//! Fills Secrets from the vault: the embedded stand-in for External Secrets
//! Operator (`external-secrets.io/v1`).
//!
//! The binary installs [`custom_resource_definitions`] in every logical cluster
//! and keeps [`run`] going. Stores are of the `vault` provider with a token, KV
//! version 2; everything else that the schema lets through is refused in the
//! ExternalSecret's `Ready` condition, by name.
//!
//! What must stay true:
//! - a value is never logged, never in a condition, never in an error;
//! - nothing is asked of the vault but when an ExternalSecret or its store
//!   changed, its target was touched, or its refresh interval is over;
//! - an ExternalSecret reads with its own store's token and no other.

mod desired;
mod queue;
mod reconcile;
mod vault;

use std::sync::Arc;

use serde_json::Value;

pub use queue::run;

/// Gives a client of one logical cluster, by its name.
pub type Connect = Arc<dyn Fn(&str) -> kube::Client + Send + Sync>;

/// What the reconciler needs.
#[derive(Clone)]
pub struct Config {
    /// Clients of single clusters, for reading stores and writing Secrets.
    pub connect: Connect,
    /// A client that lists and watches across all clusters; objects carry the
    /// annotation `openova.io/cluster`.
    pub everywhere: kube::Client,
    /// For the vault.
    pub http: reqwest::Client,
}

/// The CustomResourceDefinitions of the kinds that are reconciled.
pub fn custom_resource_definitions() -> Vec<Value> {
    [
        include_str!("../crds/externalsecrets.json"),
        include_str!("../crds/clustersecretstores.json"),
        include_str!("../crds/secretstores.json"),
    ]
    .iter()
    .filter_map(|text| serde_json::from_str(text).ok())
    .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_definition_is_readable() {
        let kinds: Vec<_> = super::custom_resource_definitions()
            .iter()
            .map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            kinds,
            ["ExternalSecret", "ClusterSecretStore", "SecretStore"]
        );
    }
}
