//! What surrounds an Application when it is expanded: where it runs, who serves
//! it, and whom it serves.

use catalyst_blueprint::ManifestKind;
use catalyst_names::{
    ApplicationName, EnvType, EnvironmentName, HostClusterName, NameError, OrganizationName,
    VclusterName, application_host, workload_namespace,
};
use catalyst_resources::{KeylessSigner, Quota, SovereignSpec, TrustedSigner};

use crate::AdmittedBlueprint;

/// The place of an Application: one Environment on one host cluster.
#[derive(Debug, Clone)]
pub struct ApplicationContext {
    /// The Sovereign, as its labels name it: its domain.
    pub sovereign: String,
    /// The domain below which Applications are reached.
    pub domain: String,
    /// `host[:port]` of the registry.
    pub registry_host: String,
    /// Whether the registry is spoken to in plain HTTP (loopback only).
    pub registry_insecure: bool,
    /// Whose Environment it is.
    pub organization: OrganizationName,
    /// The Environment.
    pub environment: EnvironmentName,
    /// Its stage.
    pub env_type: EnvType,
    /// The host cluster of the vcluster that is written to.
    pub host_cluster: HostClusterName,
    /// The Environment's quota, where it has one.
    pub quota: Option<Quota>,
    /// The Sovereign's trusted signers; only those of the Blueprint's source
    /// are used.
    pub trusted_signers: Vec<TrustedSigner>,
    /// Those of them who sign by certificates.
    pub keyless_signers: Vec<KeylessSigner>,
    /// What certificates are held against.
    pub trusted_root: Option<String>,
    /// Where the page is served, once it is known what the chart creates.
    pub http_backend: Option<HttpBackend>,
    /// Applications of the Environment that depend on this one.
    pub dependents: Vec<ApplicationName>,
}

impl ApplicationContext {
    /// A context without quota, signers, page or dependents.
    pub fn new(
        domain: &str,
        environment: &EnvironmentName,
        host_cluster: &HostClusterName,
        registry_host: &str,
        registry_insecure: bool,
    ) -> Result<Self, NameError> {
        let (organization, env_type) = environment.parts()?;
        Ok(Self {
            sovereign: domain.to_owned(),
            domain: domain.to_owned(),
            registry_host: registry_host.to_owned(),
            registry_insecure,
            organization,
            environment: environment.clone(),
            env_type,
            host_cluster: host_cluster.clone(),
            quota: None,
            trusted_signers: Vec::new(),
            keyless_signers: Vec::new(),
            trusted_root: None,
            http_backend: None,
            dependents: Vec::new(),
        })
    }

    /// Takes over whom the Sovereign trusts.
    pub fn trust(&mut self, sovereign: &SovereignSpec) {
        self.trusted_signers.clone_from(&sovereign.trusted_signers);
        self.keyless_signers.clone_from(&sovereign.keyless_signers);
        self.trusted_root.clone_from(&sovereign.trusted_root);
    }

    /// The qualified name of the vcluster.
    pub fn vcluster(&self) -> VclusterName {
        VclusterName {
            host_cluster: self.host_cluster.clone(),
            organization: self.organization.clone(),
        }
    }

    /// The namespace of an Application's workloads here.
    pub fn workload_namespace(&self, application: &ApplicationName) -> String {
        workload_namespace(application, self.env_type, &self.host_cluster)
    }

    /// The host name under which an Application is reached.
    pub fn host(&self, application: &ApplicationName) -> String {
        application_host(application, &self.environment, &self.domain)
    }

    /// The in-cluster host name of a service that is called as its Application.
    pub fn service_host(&self, application: &ApplicationName) -> String {
        format!("{application}.{}.svc", self.workload_namespace(application))
    }

    /// Path of one of an Application's secrets below the vault's mount.
    pub fn secret_path(&self, application: &ApplicationName, name: &str) -> String {
        secret_path(&self.organization, self.env_type, application, name)
    }
}

/// Path of a secret below the vault's mount:
/// `org/{organization}/env/{env type}/{application}/{name}`.
pub fn secret_path(
    organization: &OrganizationName,
    env_type: EnvType,
    application: &ApplicationName,
    name: &str,
) -> String {
    format!("org/{organization}/env/{env_type}/{application}/{name}")
}

/// A Service and its port that an Application's page is served on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpBackend {
    /// The Service in the workload namespace.
    pub service: String,
    /// Its port's number.
    pub port: u16,
}

/// A dependency with the Application that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedDependency {
    /// What the dependent calls it.
    pub alias: String,
    /// The Application that serves it, in the same Environment.
    pub application: ApplicationName,
    /// How its manifests are written: Flux's `dependsOn` has no kind.
    pub kind: ManifestKind,
    /// Keys of the connection secret it provides; empty without one.
    pub connection_keys: Vec<String>,
    /// Whether it is Ready; counts only where the kinds differ.
    pub ready: bool,
}

impl ResolvedDependency {
    /// A dependency served by an Application of `blueprint`.
    pub fn of(
        alias: impl Into<String>,
        application: ApplicationName,
        blueprint: &AdmittedBlueprint,
        ready: bool,
    ) -> Self {
        let spec = &blueprint.blueprint.spec;
        Self {
            alias: alias.into(),
            application,
            kind: spec.manifests.source.kind,
            connection_keys: spec
                .provides
                .connection_secret
                .as_ref()
                .map(|secret| secret.keys.clone())
                .unwrap_or_default(),
            ready,
        }
    }
}

/// The name of the Secret by which an Application is connected to.
pub fn connection_secret_name(application: &ApplicationName) -> String {
    format!("{application}-connection")
}

/// The name of the Secret with an Application's secret config.
pub fn config_secret_name(application: &ApplicationName) -> String {
    format!("{application}-config")
}

/// The name of the service account that its release acts as, in the Environment's
/// namespace.
pub fn release_account_name(application: &ApplicationName) -> String {
    format!("{application}-release")
}

/// The name of the Secret with the keys that its Blueprint may be signed by.
pub fn signers_secret_name(application: &ApplicationName) -> String {
    format!("{application}-signers")
}
