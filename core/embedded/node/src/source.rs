//! Where pods come from: the seam between the node and a Kubernetes API.

use std::future::Future;

use serde_json::Value;

use crate::NodeError;
use crate::network::Service;
use crate::resolve::Resolved;

/// A pod to run, with everything it refers to.
pub struct DesiredPod {
    /// The pod object.
    pub pod: Value,
    /// Its references as values; an error becomes the pod's status.
    pub resolved: Resolved,
    /// The cluster the pod belongs to; names and Services stay inside one.
    pub scope: String,
}

/// What the node needs from a Kubernetes API. Implemented by the assembly.
pub trait PodSource: Send + Sync {
    /// The pods bound to this node now.
    fn pods(&self) -> impl Future<Output = Result<Vec<DesiredPod>, NodeError>> + Send;
    /// Services with their ready backends now.
    fn services(&self) -> impl Future<Output = Result<Vec<Service>, NodeError>> + Send;
    /// Returns when any of these may have changed.
    fn changed(&self) -> impl Future<Output = ()> + Send;
    /// Writes a pod's status.
    fn write_status(
        &self,
        uid: &str,
        status: &Value,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
}
