//! One logical cluster's Kubernetes API, for objects of any kind.
//!
//! Called by every reconciler. What must stay true: kinds are mapped to paths
//! by the cluster's own discovery, read once and again only for a kind that
//! was not there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt};
use http::{Method, Request};
use kube::api::WatchEvent;
use serde_json::{Value, json};

use crate::json::{describe, flag, group_version, list, text};

/// Whom a request counts for, instead of who makes it:
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>.
const IMPERSONATE: &str = "Impersonate-User";

/// A request that the API refused or did not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not {action}: {message}")]
pub struct ApiError {
    /// What was attempted, on what: `apply Deployment/shop/web`.
    pub action: String,
    /// The HTTP status; 0 when there was no answer.
    pub code: u16,
    /// Kubernetes' word for it, such as `NotFound`.
    pub reason: String,
    /// What the API said.
    pub message: String,
}

impl ApiError {
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Whether a field cannot change in place.
    pub fn is_immutable(&self) -> bool {
        self.code == 422
            && (self.message.contains("immutable")
                || self.message.contains("updates to statefulset spec"))
    }
}

/// Where a kind's objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub api_version: String,
    pub plural: String,
    pub namespaced: bool,
}

impl Mapping {
    /// The path of an object; of the collection for an empty name.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        let mut path = format!("/{root}/{}", self.api_version);
        if self.namespaced && !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(&self.plural);
        if !name.is_empty() {
            path.push('/');
            path.push_str(name);
        }
        path
    }
}

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Created,
    Configured,
    Unchanged,
}

type Kinds = Arc<HashMap<String, Mapping>>;

/// A client of one cluster; clones share its discovery.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
    kinds: Arc<Mutex<HashMap<String, Kinds>>>,
    user: Option<String>,
}

impl Api {
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            kinds: Arc::default(),
            user: None,
        }
    }

    /// The same cluster, acting as a service account.
    pub fn acting_as(&self, namespace: &str, account: &str) -> Self {
        Self {
            user: Some(format!("system:serviceaccount:{namespace}:{account}")),
            ..self.clone()
        }
    }

    async fn send(
        &self,
        action: String,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let broken = |message: String| ApiError {
            action: action.clone(),
            code: 0,
            reason: String::new(),
            message,
        };
        let bytes = match body {
            Some(value) => serde_json::to_vec(value).map_err(|why| broken(why.to_string()))?,
            None => Vec::new(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, "application/json");
        if let Some(user) = &self.user {
            request = request.header(IMPERSONATE, user);
        }
        let request = request.body(bytes).map_err(|why| broken(why.to_string()))?;
        self.client
            .request(request)
            .await
            .map_err(|error| self.explained(failure(action.clone(), &error)))
    }

    /// Says why whoever is acted as may not do something, where that is so.
    fn explained(&self, error: ApiError) -> ApiError {
        match &self.user {
            Some(user) if error.code == 403 => ApiError {
                message: format!(
                    "{}; it was done as {user}: what a Blueprint brings acts in its own Application's namespace only, so take out of it what is of the cluster, of another namespace, or of Catalyst's own",
                    error.message
                ),
                ..error
            },
            _ => error,
        }
    }

    /// The object at a path; `None` where there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        let action = format!("read {path}");
        let answer = self
            .send(action, Method::GET, path, "application/json", None)
            .await;
        match answer {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an object in a collection.
    pub async fn create(&self, collection: &str, object: &Value) -> Result<Value, ApiError> {
        let action = format!("create {}", describe(object));
        self.send(
            action,
            Method::POST,
            collection,
            "application/json",
            Some(object),
        )
        .await
    }

    /// Merges a JSON merge patch into an object.
    pub async fn merge(&self, path: &str, manager: &str, patch: &Value) -> Result<Value, ApiError> {
        self.send(
            format!("patch {path}"),
            Method::PATCH,
            &format!("{path}?fieldManager={manager}"),
            "application/merge-patch+json",
            Some(patch),
        )
        .await
    }

    /// Deletes an object; true when it was there.
    pub async fn delete(&self, path: &str, propagation: &str) -> Result<bool, ApiError> {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation,
        });
        let answer = self
            .send(
                format!("delete {path}"),
                Method::DELETE,
                path,
                "application/json",
                Some(&options),
            )
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The objects of a collection.
    pub async fn list(&self, path: &str) -> Result<Value, ApiError> {
        self.send(
            format!("list {path}"),
            Method::GET,
            path,
            "application/json",
            None,
        )
        .await
    }

    /// What changes in a collection after a version.
    pub async fn watch(
        &self,
        path: &str,
        version: &str,
    ) -> Result<impl Stream<Item = Result<WatchEvent<Value>, ApiError>> + use<>, ApiError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let uri = format!(
            "{path}{separator}watch=true&allowWatchBookmarks=true&resourceVersion={version}"
        );
        let action = format!("watch {path}");
        let mut request = Request::get(uri);
        if let Some(user) = &self.user {
            request = request.header(IMPERSONATE, user);
        }
        let request = request.body(Vec::new()).map_err(|why| ApiError {
            action: action.clone(),
            code: 0,
            reason: String::new(),
            message: why.to_string(),
        })?;
        let events = self
            .client
            .request_events::<Value>(request)
            .await
            .map_err(|error| failure(action.clone(), &error))?;
        Ok(events.map(move |event| event.map_err(|error| failure(action.clone(), &error))))
    }

    /// Server-side apply, taking the fields from whoever has them.
    pub async fn apply(
        &self,
        path: &str,
        manager: &str,
        object: &Value,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        let dry = if dry_run { "&dryRun=All" } else { "" };
        self.send(
            format!("apply {}", describe(object)),
            Method::PATCH,
            &format!("{path}?fieldManager={manager}&force=true{dry}"),
            "application/apply-patch+yaml",
            Some(object),
        )
        .await
    }

    /// Where a kind's objects are, from discovery.
    pub async fn mapping(&self, api_version: &str, kind: &str) -> Result<Mapping, ApiError> {
        if let Some(found) = self.known(api_version, kind) {
            return Ok(found);
        }
        let (group, _) = group_version(api_version);
        let root = if group.is_empty() { "/api" } else { "/apis" };
        let answer = self.get(&format!("{root}/{api_version}")).await?;
        let mut kinds = HashMap::new();
        for resource in answer.iter().flat_map(|answer| list(answer, "/resources")) {
            let plural = text(resource, "/name");
            if plural.contains('/') {
                continue;
            }
            kinds.insert(
                text(resource, "/kind").to_owned(),
                Mapping {
                    api_version: api_version.to_owned(),
                    plural: plural.to_owned(),
                    namespaced: flag(resource, "/namespaced"),
                },
            );
        }
        let found = kinds.get(kind).cloned();
        if let Ok(mut cache) = self.kinds.lock() {
            cache.insert(api_version.to_owned(), Arc::new(kinds));
        }
        found.ok_or_else(|| ApiError {
            action: format!("find the kind {kind}"),
            code: 404,
            reason: "NoMatch".into(),
            message: format!("no matches for kind \"{kind}\" in version \"{api_version}\""),
        })
    }

    fn known(&self, api_version: &str, kind: &str) -> Option<Mapping> {
        self.kinds.lock().ok()?.get(api_version)?.get(kind).cloned()
    }

    /// The path of an object by its own kind, namespace and name.
    pub async fn path_of(&self, object: &Value) -> Result<String, ApiError> {
        let mapping = self
            .mapping(text(object, "/apiVersion"), text(object, "/kind"))
            .await?;
        Ok(mapping.path(
            text(object, "/metadata/namespace"),
            text(object, "/metadata/name"),
        ))
    }
}

fn failure(action: String, error: &kube::Error) -> ApiError {
    match error {
        kube::Error::Api(status) => ApiError {
            action,
            code: status.code,
            reason: status.reason.clone(),
            message: status.message.clone(),
        },
        other => ApiError {
            action,
            code: 0,
            reason: String::new(),
            message: other.to_string(),
        },
    }
}
