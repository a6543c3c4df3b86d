//! What names an object: group, version, kind, name, namespace.

use serde::Deserialize;

/// Group, version and kind; as a selector, an empty part matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Gvk {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl Gvk {
    pub fn of(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    pub fn is_selected_by(&self, selector: &Self) -> bool {
        let fits = |own: &str, wanted: &str| wanted.is_empty() || own == wanted;
        fits(&self.group, &selector.group)
            && fits(&self.version, &selector.version)
            && fits(&self.kind, &selector.kind)
    }

    /// True only for kinds of Kubernetes itself that are known to have no
    /// namespace; a custom resource counts as namespaced.
    pub fn is_cluster_scoped(&self) -> bool {
        let kinds: &[&str] = match self.group.as_str() {
            "" => &["ComponentStatus", "Namespace", "Node", "PersistentVolume"],
            "admissionregistration.k8s.io" => &[
                "MutatingWebhookConfiguration",
                "ValidatingWebhookConfiguration",
            ],
            "apiextensions.k8s.io" => &["CustomResourceDefinition"],
            "apiregistration.k8s.io" => &["APIService"],
            "certificates.k8s.io" => &["CertificateSigningRequest"],
            "flowcontrol.apiserver.k8s.io" => &["FlowSchema", "PriorityLevelConfiguration"],
            "networking.k8s.io" => &["IngressClass"],
            "node.k8s.io" => &["RuntimeClass"],
            "policy" => &["PodSecurityPolicy"],
            "rbac.authorization.k8s.io" => &["ClusterRole", "ClusterRoleBinding"],
            "scheduling.k8s.io" => &["PriorityClass"],
            "storage.k8s.io" => &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"],
            _ => &[],
        };
        let known_version = match self.group.as_str() {
            "" => self.version == "v1",
            "flowcontrol.apiserver.k8s.io" | "policy" => self.version == "v1beta1",
            _ => self.version == "v1" || self.version == "v1beta1",
        };
        known_version && kinds.contains(&self.kind.as_str())
    }
}

/// Kind, version and group as kustomize prints them.
impl std::fmt::Display for Gvk {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or = |text: &str, none: &'static str| {
            if text.is_empty() {
                none.to_owned()
            } else {
                text.to_owned()
            }
        };
        write!(
            out,
            "{}.{}.{}",
            or(&self.kind, "[noKind]"),
            or(&self.version, "[noVer]"),
            or(&self.group, "[noGrp]")
        )
    }
}

/// One object's full name. Two of them are one object when kind and name are
/// equal and the namespaces mean the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Id {
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
}

pub const NO_NAMESPACE: &str = "_non_namespaceable_";

impl Id {
    /// The namespace the object lands in; no namespace means `default`.
    pub fn effective_namespace(&self) -> &str {
        if self.gvk.is_cluster_scoped() {
            NO_NAMESPACE
        } else if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        }
    }

    pub fn same_namespace(&self, other: &Self) -> bool {
        self.effective_namespace() == other.effective_namespace()
    }

    pub fn same_object(&self, other: &Self) -> bool {
        self.gvk == other.gvk && self.name == other.name && self.same_namespace(other)
    }

    /// `selector`'s empty parts match anything.
    pub fn is_selected_by(&self, selector: &Self) -> bool {
        (selector.name.is_empty() || selector.name == self.name)
            && (selector.namespace.is_empty() || selector.same_namespace(self))
            && self.gvk.is_selected_by(&selector.gvk)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.name.is_empty() {
            "[noName]"
        } else {
            &self.name
        };
        let namespace = if self.namespace.is_empty() {
            "[noNs]"
        } else {
            &self.namespace
        };
        write!(out, "{}/{name}.{namespace}", self.gvk)
    }
}
