//! Sovereign: the whole platform, as configured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// What is wanted of a Sovereign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SovereignSpec {
    /// The domain below which everything is reached.
    pub domain: String,
    /// The provider's code.
    pub provider: String,
    /// Where workloads and the control plane run.
    pub host_clusters: Vec<HostCluster>,
    /// Whose identity provider users come from.
    #[serde(default)]
    pub identity_topology: IdentityTopology,
    /// Registries that public Blueprints are mirrored from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalog_mirrors: Vec<String>,
    /// Who may publish Blueprints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_signers: Vec<TrustedSigner>,
    /// Who may publish Blueprints without a key of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyless_signers: Vec<KeylessSigner>,
    /// The authorities and logs that their certificates are held against: a sigstore
    /// TrustedRoot, JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root: Option<String>,
}

/// A Kubernetes cluster that vclusters run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostCluster {
    /// `{provider}-{region}-{building block}-{env type}`.
    pub name: String,
    /// The region's code.
    pub region: String,
    /// rtz, dmz or mgt.
    pub building_block: String,
    /// The stage it serves.
    pub env_type: String,
}

/// Whose identity provider users come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityTopology {
    /// Each Organization has its own.
    PerOrganization,
    /// All share the Sovereign's.
    #[default]
    SharedSovereign,
}

/// A key whose signatures count, for one source of Blueprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedSigner {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// The public key, PEM.
    pub public_key: String,
}

/// Somebody whose signatures by certificates count, for one source of Blueprints. Of
/// the subject and of the issuer there is either the text itself or an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeylessSigner {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// Whom the certificate must be made out to: a mail address or a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A regular expression that must be found in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_regexp: Option<String>,
    /// The OpenID Connect issuer that must have vouched for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// A regular expression that must be found in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_regexp: Option<String>,
}

/// What was observed of a Sovereign.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SovereignStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The details.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
