//! Names that are derived: from dimensions, Organizations and Applications.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::text_name;
use crate::{
    ApplicationName, BuildingBlock, EnvType, NameError, OrganizationName, Provider, Region,
};

/// A host cluster, `{provider}-{region}-{building block}-{env type}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostClusterName {
    provider: Provider,
    region: String,
    building_block: BuildingBlock,
    env_type: EnvType,
}

impl HostClusterName {
    /// Composes a name from its dimensions.
    pub fn new(
        provider: Provider,
        region: &Region,
        building_block: BuildingBlock,
        env_type: EnvType,
    ) -> Self {
        Self {
            provider,
            region: region.code.clone(),
            building_block,
            env_type,
        }
    }

    /// Who runs the cluster's machines.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The region's code.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// What the cluster is for.
    pub fn building_block(&self) -> BuildingBlock {
        self.building_block
    }

    /// The stage that the cluster serves.
    pub fn env_type(&self) -> EnvType {
        self.env_type
    }

    /// The four-letter code of the place; `region` supplies the letter, which
    /// a Sovereign may define.
    pub fn location_code(&self, region: &Region) -> LocationCode {
        LocationCode([
            self.provider.letter(),
            region.letter,
            self.building_block.letter(),
            self.env_type.letter(),
        ])
    }
}

impl fmt::Display for HostClusterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}-{}-{}-{}",
            self.provider, self.region, self.building_block, self.env_type
        )
    }
}

impl std::str::FromStr for HostClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |reason: String| NameError::new("host cluster name", text, reason);
        let parts: Vec<&str> = text.split('-').collect();
        let [provider, region, building_block, env_type] = parts.as_slice() else {
            return Err(refuse(
                "it is not {provider}-{region}-{building block}-{env type}".to_owned(),
            ));
        };
        let provider: Provider = provider
            .parse()
            .map_err(|error: NameError| refuse(error.to_string()))?;
        // The letter plays no part in the name; any valid one will do.
        let region = Region::new(region, 'a').map_err(|error| refuse(error.to_string()))?;
        let building_block = building_block
            .parse()
            .map_err(|error: NameError| refuse(error.to_string()))?;
        let env_type = env_type
            .parse()
            .map_err(|error: NameError| refuse(error.to_string()))?;
        Ok(Self::new(provider, &region, building_block, env_type))
    }
}

impl TryFrom<String> for HostClusterName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<HostClusterName> for String {
    fn from(name: HostClusterName) -> Self {
        name.to_string()
    }
}

/// The four one-letter codes of a place, such as `hfrp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationCode([char; 4]);

impl LocationCode {
    /// The DNS name of a control-plane component in this place.
    pub fn component_host(self, component: &str, sovereign_domain: &str) -> String {
        format!("{component}.{self}.{sovereign_domain}")
    }
}

impl fmt::Display for LocationCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|letter| write!(formatter, "{letter}"))
    }
}

/// An Organization's own Kubernetes API on a host cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VclusterName {
    /// Where it runs.
    pub host_cluster: HostClusterName,
    /// Whose it is.
    pub organization: OrganizationName,
}

impl fmt::Display for VclusterName {
    /// The qualified name, `{host cluster}-{organization}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.host_cluster, self.organization)
    }
}

text_name! {
    /// An Environment, `{organization}-{env type}`; also the name of its Git
    /// repository and of its objects' namespace.
    EnvironmentName, check_environment
}

fn split_environment(text: &str) -> Result<(OrganizationName, EnvType), NameError> {
    let refuse = |reason: String| NameError::new("Environment name", text, reason);
    let (organization, env_type) = text
        .rsplit_once('-')
        .ok_or_else(|| refuse("it is not {organization}-{env type}".to_owned()))?;
    let organization =
        OrganizationName::new(organization).map_err(|error| refuse(error.to_string()))?;
    let env_type = env_type
        .parse()
        .map_err(|error: NameError| refuse(error.to_string()))?;
    Ok((organization, env_type))
}

fn check_environment(text: &str) -> Result<(), NameError> {
    split_environment(text).map(drop)
}

impl EnvironmentName {
    /// Composes the name of an Organization's Environment.
    pub fn of(organization: &OrganizationName, env_type: EnvType) -> Result<Self, NameError> {
        Self::new(format!("{organization}-{env_type}"))
    }

    /// The Organization that owns the Environment and the stage it stands for.
    pub fn parts(&self) -> Result<(OrganizationName, EnvType), NameError> {
        split_environment(self.as_str())
    }
}

/// The host name under which an Application is reached.
pub fn application_host(
    application: &ApplicationName,
    environment: &EnvironmentName,
    sovereign_domain: &str,
) -> String {
    format!("{application}.{environment}.{sovereign_domain}")
}

/// The namespace of an Application's workloads in a vcluster: the Application's
/// name where the host cluster serves the Environment's own stage, and behind
/// the stage where several Environments share one vcluster.
pub fn workload_namespace(
    application: &ApplicationName,
    env_type: EnvType,
    host_cluster: &HostClusterName,
) -> String {
    if host_cluster.env_type() == env_type {
        application.to_string()
    } else {
        format!("{env_type}-{application}")
    }
}
