//! Finalizers: what keeps an object until its deletion was carried out.

use serde_json::{Value, json};

use crate::error::ReconcileError;
use crate::kubernetes::Cluster;
use crate::object::{array, has_finalizer, text};

/// On Organizations.
pub const ORGANIZATION: &str = "openova.io/organization";
/// On Environments.
pub const ENVIRONMENT: &str = "openova.io/environment";
/// On Applications.
pub const APPLICATION: &str = "openova.io/application";

/// Adds a finalizer unless it is there.
pub async fn add(cluster: &Cluster, object: &Value, finalizer: &str) -> Result<(), ReconcileError> {
    if has_finalizer(object, finalizer) {
        return Ok(());
    }
    let mut all = array(object, "/metadata/finalizers").to_vec();
    all.push(json!(finalizer));
    set(cluster, object, all).await
}

/// Removes a finalizer; the object goes with the last of them.
pub async fn remove(
    cluster: &Cluster,
    object: &Value,
    finalizer: &str,
) -> Result<(), ReconcileError> {
    if !has_finalizer(object, finalizer) {
        return Ok(());
    }
    let mut all = array(object, "/metadata/finalizers").to_vec();
    all.retain(|one| one.as_str() != Some(finalizer));
    set(cluster, object, all).await
}

/// The version makes sure that nobody else's finalizer is lost.
async fn set(cluster: &Cluster, object: &Value, all: Vec<Value>) -> Result<(), ReconcileError> {
    let version = text(object, "/metadata/resourceVersion");
    let patch = json!({"metadata": {"finalizers": all, "resourceVersion": version}});
    cluster.merge(object, "", &patch).await.map(drop)
}
