//! What all reconcilers share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::api::{Api, ApiError};
use crate::artifact::Artifacts;
use crate::index::Index;
use crate::json::some_text;
use crate::queue::Queue;
use crate::status::Subject;

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
    pub default_service_account: Option<String>,
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

    /// The API as the service account that an object's spec names, or by default has.
    pub fn api_for(&self, subject: &Subject) -> Api {
        let api = self.api(&subject.key.cluster);
        let named = some_text(&subject.object, "/spec/serviceAccountName");
        match named.or(self.default_service_account.as_deref()) {
            Some(account) => api.acting_as(&subject.key.namespace, account),
            None => api,
        }
    }

    /// Whether the namespace that an object's account works in is gone or going: with it go
    /// the account's rights, and all that the account could remove.
    pub async fn is_going(&self, subject: &Subject, namespace: &str) -> Result<bool, ApiError> {
        let named = some_text(&subject.object, "/spec/serviceAccountName");
        if named.is_none() && self.default_service_account.is_none() {
            return Ok(false);
        }
        let api = self.api(&subject.key.cluster);
        let found = api.get(&format!("/api/v1/namespaces/{namespace}")).await?;
        Ok(found.is_none_or(|found| found.pointer("/metadata/deletionTimestamp").is_some()))
    }

    /// Why an object may not refer to a namespace ("" for its own), where none may refer
    /// to another's.
    pub fn foreign(&self, subject: &Subject, namespace: &str) -> Option<String> {
        let own = subject.key.namespace.as_str();
        let is_foreign =
            self.default_service_account.is_some() && !namespace.is_empty() && namespace != own;
        is_foreign.then(|| {
            format!(
                "could not refer to the namespace {namespace}: references across namespaces are not allowed here; put what is referred to into {own}"
            )
        })
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
