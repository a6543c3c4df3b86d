//! Which kinds are watched where.

use kube::api::ApiResource;

/// A kind to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// API group; empty for the core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Name of the resource in paths.
    pub plural: &'static str,
    /// Whether only names and labels are asked for, so that the content never
    /// leaves the cluster.
    pub metadata_only: bool,
    /// A field selector.
    pub fields: Option<&'static str>,
    /// The only namespace that is looked at.
    pub namespace: Option<&'static str>,
}

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Watched {
    Watched {
        group,
        version,
        kind,
        plural,
        metadata_only: false,
        fields: None,
        namespace: None,
    }
}

const fn own(name: &'static str, plural: &'static str) -> Watched {
    kind(
        catalyst_resources::GROUP,
        catalyst_resources::VERSION,
        name,
        plural,
    )
}

const fn names_only(watched: Watched) -> Watched {
    Watched {
        metadata_only: true,
        ..watched
    }
}

const fn in_namespace(watched: Watched, namespace: &'static str) -> Watched {
    Watched {
        namespace: Some(namespace),
        ..watched
    }
}

/// In the management cluster.
pub const MANAGEMENT: &[Watched] = &[
    own("Sovereign", "sovereigns"),
    own("Organization", "organizations"),
    own("Environment", "environments"),
    own("EnvironmentPolicy", "environmentpolicies"),
    own("Blueprint", "blueprints"),
    own("BlueprintSource", "blueprintsources"),
    own("FleetUpgrade", "fleetupgrades"),
    in_namespace(
        kind(
            "kustomize.toolkit.fluxcd.io",
            "v1",
            "Kustomization",
            "kustomizations",
        ),
        "flux-system",
    ),
    in_namespace(
        kind(
            "source.toolkit.fluxcd.io",
            "v1",
            "GitRepository",
            "gitrepositories",
        ),
        "flux-system",
    ),
];

/// In host clusters.
pub const HOST: &[Watched] = &[kind(
    "infrastructure.cluster.x-k8s.io",
    "v1alpha1",
    "VCluster",
    "vclusters",
)];

/// In vclusters.
pub const VCLUSTER: &[Watched] = &[
    own("Application", "applications"),
    kind(
        "helm.toolkit.fluxcd.io",
        "v2",
        "HelmRelease",
        "helmreleases",
    ),
    kind(
        "kustomize.toolkit.fluxcd.io",
        "v1",
        "Kustomization",
        "kustomizations",
    ),
    kind(
        "source.toolkit.fluxcd.io",
        "v1",
        "OCIRepository",
        "ocirepositories",
    ),
    kind(
        "source.toolkit.fluxcd.io",
        "v1",
        "GitRepository",
        "gitrepositories",
    ),
    kind("apps", "v1", "Deployment", "deployments"),
    kind("apps", "v1", "StatefulSet", "statefulsets"),
    kind("batch", "v1", "Job", "jobs"),
    kind("", "v1", "Pod", "pods"),
    kind("", "v1", "Service", "services"),
    kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    names_only(kind("", "v1", "ConfigMap", "configmaps")),
    names_only(kind("", "v1", "Secret", "secrets")),
    kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    kind(
        "external-secrets.io",
        "v1",
        "ExternalSecret",
        "externalsecrets",
    ),
    Watched {
        fields: Some("type=Warning"),
        ..kind("", "v1", "Event", "events")
    },
];

impl Watched {
    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// What the client library wants to know.
    pub fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: self.api_version(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }
}
