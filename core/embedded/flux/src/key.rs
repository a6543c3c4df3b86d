//! What names an object that this part reconciles.

use serde_json::Value;

use crate::json::text;

/// The kinds reconciled here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    GitRepository,
    OciRepository,
    Kustomization,
    HelmRelease,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::GitRepository,
        Self::OciRepository,
        Self::Kustomization,
        Self::HelmRelease,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::GitRepository => "GitRepository",
            Self::OciRepository => "OCIRepository",
            Self::Kustomization => "Kustomization",
            Self::HelmRelease => "HelmRelease",
        }
    }

    pub fn api_version(self) -> &'static str {
        match self {
            Self::GitRepository | Self::OciRepository => "source.toolkit.fluxcd.io/v1",
            Self::Kustomization => "kustomize.toolkit.fluxcd.io/v1",
            Self::HelmRelease => "helm.toolkit.fluxcd.io/v2",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::GitRepository => "gitrepositories",
            Self::OciRepository => "ocirepositories",
            Self::Kustomization => "kustomizations",
            Self::HelmRelease => "helmreleases",
        }
    }

    /// The controller that Flux runs for the kind; events name it.
    pub fn controller(self) -> &'static str {
        match self {
            Self::GitRepository | Self::OciRepository => "source-controller",
            Self::Kustomization => "kustomize-controller",
            Self::HelmRelease => "helm-controller",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One object of one logical cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub cluster: String,
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Key {
    /// The key of an object that a watch across clusters showed.
    pub fn of(kind: Kind, object: &Value) -> Option<Self> {
        let cluster = object
            .pointer("/metadata/annotations")?
            .get("openova.io/cluster")?
            .as_str()?;
        Some(Self {
            cluster: cluster.to_owned(),
            kind,
            namespace: text(object, "/metadata/namespace").to_owned(),
            name: text(object, "/metadata/name").to_owned(),
        })
    }

    /// Another object of the same cluster; `namespace` "" means this one's.
    pub fn sibling(&self, kind: Kind, namespace: &str, name: &str) -> Self {
        let namespace = if namespace.is_empty() {
            &self.namespace
        } else {
            namespace
        };
        Self {
            cluster: self.cluster.clone(),
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The object's path in the Kubernetes API.
    pub fn path(&self) -> String {
        format!(
            "/apis/{}/namespaces/{}/{}/{}",
            self.kind.api_version(),
            self.namespace,
            self.kind.plural(),
            self.name
        )
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}/{}/{} in {}",
            self.kind.name(),
            self.namespace,
            self.name,
            self.cluster
        )
    }
}
