//! What one resource request carries through its steps.

use std::sync::Arc;

use http::HeaderMap;

use crate::catalog::Resource;
use crate::identity::Identity;
use crate::request::Params;
use crate::state::{Inner, ObjectKey};
use crate::status::ApiError;

/// One request for a resource.
pub(crate) struct Context {
    pub inner: Arc<Inner>,
    pub identity: Identity,
    /// Logical cluster; `*` for all.
    pub cluster: String,
    pub resource: Arc<Resource>,
    /// "" for none.
    pub namespace: String,
    /// "" for the collection.
    pub name: String,
    /// "" for none.
    pub subresource: String,
    pub params: Params,
    pub headers: HeaderMap,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

impl Context {
    /// A request of the API itself, as an administrator.
    pub fn internal(
        inner: &Arc<Inner>,
        cluster: &str,
        resource: Arc<Resource>,
        namespace: &str,
        name: &str,
    ) -> Self {
        Self {
            inner: Arc::clone(inner),
            identity: Identity::administrator("system:apiserver"),
            cluster: cluster.to_owned(),
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            params: Params::default(),
            headers: HeaderMap::new(),
            warnings: Vec::new(),
        }
    }

    /// Where an object of this request is kept.
    pub fn key(&self, name: &str) -> ObjectKey {
        let namespace = if self.resource.namespaced {
            self.namespace.as_str()
        } else {
            ""
        };
        ObjectKey::new(&self.resource.storage, &self.cluster, namespace, name)
    }

    /// 404 for this request's object.
    pub fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.resource.group, &self.resource.plural, &self.name)
    }

    /// Whether the request asks for everything but the write.
    pub fn dry_run(&self) -> Result<bool, ApiError> {
        let values = self.params.all("dryRun");
        match values.iter().find(|one| one.as_str() != "All") {
            Some(other) if !other.is_empty() => Err(ApiError::bad_request(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
            _ => Ok(values.iter().any(|one| one == "All")),
        }
    }

    /// Who the fields of this write belong to: the parameter, or the client's
    /// program name.
    pub fn field_manager(&self) -> String {
        let given = self.params.get("fieldManager");
        if !given.is_empty() {
            return given.to_owned();
        }
        let agent = self
            .headers
            .get(http::header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let program = agent.split('/').next().unwrap_or_default();
        if program.is_empty() {
            "unknown".to_owned()
        } else {
            program.to_owned()
        }
    }
}
