//! What all reconcilers share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::api::Api;
use crate::artifact::Artifacts;
use crate::index::Index;
use crate::queue::Queue;

/// Gives the client of a logical cluster.
pub type Connect = Arc<dyn Fn(&str) -> kube::Client + Send + Sync>;

/// Begins an HTTP client.
pub type BeginClient = Arc<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>;

/// Everything behind [`crate::Flux`].
pub struct Inner {
    pub connect: Connect,
    pub everywhere: kube::Client,
    pub http: reqwest::Client,
    pub client: BeginClient,
    pub index: Index,
    pub queue: Queue,
    pub artifacts: Arc<Artifacts>,
    pub apis: Mutex<HashMap<String, Api>>,
}

impl Inner {
    /// The API of a cluster; made once.
    pub fn api(&self, cluster: &str) -> Api {
        let mut apis = self
            .apis
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        apis.entry(cluster.to_owned())
            .or_insert_with(|| Api::new((self.connect)(cluster)))
            .clone()
    }

    /// Forgets a cluster of which nothing is left.
    pub fn forget_cluster(&self, cluster: &str) {
        if !self.index.has_cluster(cluster)
            && let Ok(mut apis) = self.apis.lock()
        {
            apis.remove(cluster);
        }
    }
}
