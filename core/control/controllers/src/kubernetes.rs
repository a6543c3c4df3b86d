//! The Kubernetes API as the controllers use it: objects are JSON values, every
//! write is a server-side apply, a status patch, a create or a delete.
//!
//! Values instead of types, because what is written comes from pure functions
//! that make values, and what is read is looked at field by field. What must stay
//! true: an error names the verb, the object and the cluster; "not there" is an
//! answer, not an error.

use std::fmt;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::error::ReconcileError;
use crate::object::{array, name, namespace, text};

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many requests of one batch are under way at a time.
const PARALLEL: usize = 12;

/// A kind as the API server's paths spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// `v1`, `apps/v1`.
    pub api_version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`.
    pub plural: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $constant:ident = $api:literal, $kind:literal, $plural:literal;)+) => {
        $($(#[$doc])* pub const $constant: Kind = Kind { api_version: $api, kind: $kind, plural: $plural };)+
    };
}

kinds! {
    /// core
    NAMESPACE = "v1", "Namespace", "namespaces";
    /// core
    CONFIG_MAP = "v1", "ConfigMap", "configmaps";
    /// core
    SECRET = "v1", "Secret", "secrets";
    /// core
    POD = "v1", "Pod", "pods";
    /// core
    VOLUME_CLAIM = "v1", "PersistentVolumeClaim", "persistentvolumeclaims";
    /// RBAC
    ROLE_BINDING = "rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings";
    /// RBAC
    CLUSTER_ROLE_BINDING = "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings";
    /// Flux
    GIT_REPOSITORY = "source.toolkit.fluxcd.io/v1", "GitRepository", "gitrepositories";
    /// Flux
    OCI_REPOSITORY = "source.toolkit.fluxcd.io/v1", "OCIRepository", "ocirepositories";
    /// Flux
    KUSTOMIZATION = "kustomize.toolkit.fluxcd.io/v1", "Kustomization", "kustomizations";
    /// Flux
    HELM_RELEASE = "helm.toolkit.fluxcd.io/v2", "HelmRelease", "helmreleases";
    /// Who fulfils it makes an Organization's vcluster.
    VCLUSTER = "infrastructure.cluster.x-k8s.io/v1alpha1", "VCluster", "vclusters";
    /// Catalyst
    SOVEREIGN = "catalyst.openova.io/v1alpha1", "Sovereign", "sovereigns";
    /// Catalyst
    ORGANIZATION = "catalyst.openova.io/v1alpha1", "Organization", "organizations";
    /// Catalyst
    ENVIRONMENT = "catalyst.openova.io/v1alpha1", "Environment", "environments";
    /// Catalyst
    FLEET_UPGRADE = "catalyst.openova.io/v1alpha1", "FleetUpgrade", "fleetupgrades";
    /// Catalyst
    BLUEPRINT = "catalyst.openova.io/v1alpha1", "Blueprint", "blueprints";
    /// Catalyst
    BLUEPRINT_SOURCE = "catalyst.openova.io/v1alpha1", "BlueprintSource", "blueprintsources";
    /// Catalyst
    APPLICATION = "catalyst.openova.io/v1alpha1", "Application", "applications";
}

/// One Kubernetes API.
#[derive(Clone)]
pub struct Cluster {
    name: String,
    client: kube::Client,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cluster({})", self.name)
    }
}

impl Cluster {
    /// `name` is for messages.
    pub fn new(name: impl Into<String>, client: kube::Client) -> Self {
        Self {
            name: name.into(),
            client,
        }
    }

    /// The name given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client beneath.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Reads an object; an empty namespace stands for cluster-wide kinds.
    pub async fn get(
        &self,
        kind: Kind,
        space: &str,
        name: &str,
    ) -> Result<Option<Value>, ReconcileError> {
        let path = path(kind.api_version, kind.plural, space, Some(name));
        self.optional(
            "read",
            &describe(kind.kind, space, name),
            Method::GET,
            &path,
        )
        .await
    }

    /// Lists a kind, in one namespace or (empty) in all. A kind that is not served
    /// has no objects.
    pub async fn list(
        &self,
        kind: Kind,
        space: &str,
        labels: &str,
    ) -> Result<Vec<Value>, ReconcileError> {
        let mut at = path(kind.api_version, kind.plural, space, None);
        if !labels.is_empty() {
            at = format!("{at}?labelSelector={}", query(labels));
        }
        let answer = self
            .optional("list", &describe(kind.kind, space, ""), Method::GET, &at)
            .await?;
        Ok(items(answer, kind.api_version, kind.kind))
    }

    /// Lists what a namespace has of a resource that is known by group and plural
    /// alone, in the version that the API prefers. One that is not served has none.
    pub async fn list_resource(
        &self,
        group: &str,
        plural: &str,
        space: &str,
    ) -> Result<Vec<Value>, ReconcileError> {
        let api_version = if group.is_empty() {
            "v1".to_owned()
        } else {
            let at = format!("/apis/{}", query(group));
            let object = format!("the API group {group}");
            let found = self.optional("read", &object, Method::GET, &at).await?;
            let Some(found) = found else {
                return Ok(Vec::new());
            };
            text(&found, "/preferredVersion/groupVersion").to_owned()
        };
        let at = path(&api_version, &query(plural), space, None);
        let object = format!("the {plural} in {space}");
        let answer = self.optional("list", &object, Method::GET, &at).await?;
        let kind = answer
            .as_ref()
            .and_then(|list| text(list, "/kind").strip_suffix("List"))
            .unwrap_or_default()
            .to_owned();
        Ok(items(answer, &api_version, &kind))
    }

    /// Applies an object on the server's side, as `manager`, which takes the
    /// fields it names from others. Answers the object as it then is.
    pub async fn apply(&self, object: &Value, manager: &str) -> Result<Value, ReconcileError> {
        let path = path_of(object);
        let at = format!("{path}?fieldManager={manager}&force=true");
        self.send(
            "apply",
            &describe_object(object),
            Method::PATCH,
            &at,
            "application/apply-patch+yaml",
            Some(object),
        )
        .await
    }

    /// Applies objects that do not need each other, several at a time.
    pub async fn apply_all(&self, objects: &[Value], manager: &str) -> Result<(), ReconcileError> {
        let requests: Vec<_> = objects
            .iter()
            .map(|object| self.apply(object, manager).boxed())
            .collect();
        stream::iter(requests)
            .buffer_unordered(PARALLEL)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// Creates an object; false when one of that name is there already.
    pub async fn create(&self, object: &Value) -> Result<bool, ReconcileError> {
        let collection = path(
            text(object, "/apiVersion"),
            &plural(text(object, "/kind")),
            namespace(object),
            None,
        );
        let made: Result<Value, _> = self
            .send(
                "create",
                &describe_object(object),
                Method::POST,
                &collection,
                "application/json",
                Some(object),
            )
            .await;
        match made {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Merges `patch` into an object, or into its status; false when it is gone.
    pub async fn merge(
        &self,
        object: &Value,
        subresource: &str,
        patch: &Value,
    ) -> Result<bool, ReconcileError> {
        let at = match subresource {
            "" => path_of(object),
            part => format!("{}/{part}", path_of(object)),
        };
        let action = if subresource.is_empty() {
            "change"
        } else {
            "write the status of"
        };
        let merged: Result<Value, _> = self
            .send(
                action,
                &describe_object(object),
                Method::PATCH,
                &at,
                "application/merge-patch+json",
                Some(patch),
            )
            .await;
        match merged {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object; true when it was there.
    pub async fn delete(
        &self,
        kind: Kind,
        space: &str,
        name: &str,
    ) -> Result<bool, ReconcileError> {
        let at = path(kind.api_version, kind.plural, space, Some(name));
        self.delete_at(&describe(kind.kind, space, name), &at).await
    }

    /// Deletes the object that a value names; true when it was there.
    pub async fn delete_object(&self, object: &Value) -> Result<bool, ReconcileError> {
        self.delete_at(&describe_object(object), &path_of(object))
            .await
    }

    async fn delete_at(&self, object: &str, at: &str) -> Result<bool, ReconcileError> {
        let options =
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        let deleted: Result<Value, _> = self
            .send(
                "delete",
                object,
                Method::DELETE,
                at,
                "application/json",
                Some(&options),
            )
            .await;
        match deleted {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The last lines of a container's log; of its previous run if `previous`.
    pub async fn log(
        &self,
        space: &str,
        pod: &str,
        container: &str,
        lines: u32,
        previous: bool,
    ) -> Result<String, ReconcileError> {
        let at = format!(
            "{}/log?container={}&tailLines={lines}&previous={previous}",
            path("v1", "pods", space, Some(pod)),
            query(container)
        );
        let object = describe("Pod", space, pod);
        let request = self.request("read the log of", &object, Method::GET, &at, "", None)?;
        let read = tokio::time::timeout(PATIENCE, self.client.request_text(request));
        match read.await {
            Ok(answer) => answer.map_err(|source| self.failed("read the log of", &object, source)),
            Err(_) => Err(self.slow("read the log of", &object)),
        }
    }

    async fn optional(
        &self,
        action: &'static str,
        object: &str,
        method: Method,
        at: &str,
    ) -> Result<Option<Value>, ReconcileError> {
        match self.send(action, object, method, at, "", None).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if code(&error) == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        action: &'static str,
        object: &str,
        method: Method,
        at: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, ReconcileError> {
        let request = self.request(action, object, method, at, content_type, body)?;
        match tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await {
            Ok(answer) => answer.map_err(|source| self.failed(action, object, source)),
            Err(_) => Err(self.slow(action, object)),
        }
    }

    fn request(
        &self,
        action: &'static str,
        object: &str,
        method: Method,
        at: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Request<Vec<u8>>, ReconcileError> {
        let mut request = Request::builder().method(method).uri(at);
        if !content_type.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, content_type);
        }
        let bytes = body.map(|value| value.to_string().into_bytes());
        request.body(bytes.unwrap_or_default()).map_err(|error| {
            ReconcileError::invalid(action, object, format!("{at} is not a path: {error}"))
        })
    }

    fn failed(&self, action: &'static str, object: &str, source: kube::Error) -> ReconcileError {
        ReconcileError::Kubernetes {
            action,
            object: object.to_owned(),
            cluster: self.name.clone(),
            source: Box::new(source),
        }
    }

    fn slow(&self, action: &'static str, object: &str) -> ReconcileError {
        ReconcileError::missing(
            action,
            object,
            format!(
                "the cluster {} gave no answer within {} s; check that it runs",
                self.name,
                PATIENCE.as_secs()
            ),
        )
    }
}

/// The objects of a list.
fn items(list: Option<Value>, api_version: &str, kind: &str) -> Vec<Value> {
    list.as_ref()
        .map(|list| array(list, "/items"))
        .unwrap_or_default()
        .iter()
        .cloned()
        .map(|mut item| {
            // Lists leave out what all their items share.
            if let Some(fields) = item.as_object_mut() {
                fields
                    .entry("apiVersion")
                    .or_insert_with(|| json!(api_version));
                fields.entry("kind").or_insert_with(|| json!(kind));
            }
            item
        })
        .collect()
}

/// The HTTP status of a refusal by the Kubernetes API.
pub fn code(error: &ReconcileError) -> Option<u16> {
    match error {
        ReconcileError::Kubernetes { source, .. } => match source.as_ref() {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        _ => None,
    }
}

/// The path of an object, or of a collection without a name.
fn path(api_version: &str, plural: &str, space: &str, name: Option<&str>) -> String {
    let root = if api_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    let mut path = format!("/{root}/{api_version}");
    if !space.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(space);
    }
    path.push('/');
    path.push_str(plural);
    if let Some(name) = name {
        path.push('/');
        path.push_str(&query(name));
    }
    path
}

fn path_of(object: &Value) -> String {
    path(
        text(object, "/apiVersion"),
        &plural(text(object, "/kind")),
        namespace(object),
        Some(name(object)),
    )
}

/// The plural of a kind, as all kinds that the controllers write form it.
pub fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.as_bytes() {
        [.., before, b'y'] if !b"aeiou".contains(before) => {
            format!("{}ies", lower.trim_end_matches('y'))
        }
        [.., b's' | b'x'] => format!("{lower}es"),
        _ => format!("{lower}s"),
    }
}

/// Percent-encodes what stands in a path segment or a query value.
fn query(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn describe(kind: &str, space: &str, name: &str) -> String {
    match (space, name) {
        ("", "") => format!("the objects of kind {kind}"),
        ("", name) => format!("{kind} {name}"),
        (space, "") => format!("the objects of kind {kind} in {space}"),
        (space, name) => format!("{kind} {space}/{name}"),
    }
}

/// Kind, namespace and name, for people.
pub fn describe_object(object: &Value) -> String {
    describe(text(object, "/kind"), namespace(object), name(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_those_of_the_kinds_that_are_written() {
        for (kind, expected) in [
            ("NetworkPolicy", "networkpolicies"),
            ("GitRepository", "gitrepositories"),
            ("OCIRepository", "ocirepositories"),
            ("HTTPRoute", "httproutes"),
            ("HelmRelease", "helmreleases"),
            ("ClusterSecretStore", "clustersecretstores"),
            ("ResourceQuota", "resourcequotas"),
            ("Gateway", "gateways"),
            ("Ingress", "ingresses"),
            ("VCluster", "vclusters"),
            ("CustomResourceDefinition", "customresourcedefinitions"),
        ] {
            assert_eq!(plural(kind), expected);
        }
    }

    #[test]
    fn paths_follow_the_api() {
        for (object, expected) in [
            (
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "acme"}}),
                "/api/v1/namespaces/acme",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "acme"}}),
                "/api/v1/namespaces/acme/secrets/s",
            ),
            (
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "catalyst:read"}}),
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/catalyst%3Aread",
            ),
        ] {
            assert_eq!(path_of(&object), expected);
        }
        assert_eq!(query("a=b,c"), "a%3Db%2Cc");
    }
}
