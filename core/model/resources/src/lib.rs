//! The `catalyst.openova.io` kinds: one file a kind, one declaration from which
//! the CustomResourceDefinitions are made.
//!
//! Types are what a manifest may say; whether it makes sense (names, policies,
//! versions) is decided where it is used. Pure; used by every tier.

mod application;
mod blueprint;
mod blueprint_source;
mod condition;
mod crd;
mod environment;
mod environment_policy;
mod fleet_upgrade;
mod organization;
mod sovereign;

use serde::{Deserialize, Serialize};

pub use application::{
    ApplicationSpec, ApplicationStatus, BlueprintReference, DataDisposal, DeletionRequest,
    DependencyReference, Phase, Placement, PlacementMode,
};
pub use blueprint::{BlueprintSpec, BlueprintStatus};
pub use blueprint_source::{
    BlueprintSourceSpec, BlueprintSourceStatus, RefusedArtifact, SourceBlueprint, SourceProblem,
};
pub use condition::{Condition, ConditionStatus};
pub use crd::{Kind, Scope, custom_resource_definitions};
pub use environment::{EnvironmentPlacement, EnvironmentSpec, EnvironmentStatus};
pub use environment_policy::{
    ChangeWindow, EnvironmentPolicySpec, PolicyRule, PolicyTarget, RuleKind,
};
pub use fleet_upgrade::{
    FleetUpgradeSpec, FleetUpgradeStatus, UpgradeMember, UpgradePhase, UpgradeState, UpgradeWave,
    UpgradedApplication,
};
pub use organization::{Member, OrganizationSpec, OrganizationStatus, Quota, Role};
pub use sovereign::{
    HostCluster, IdentityTopology, KeylessSigner, SovereignSpec, SovereignStatus, TrustedSigner,
};

/// The API group of every kind here.
pub const GROUP: &str = "catalyst.openova.io";
/// The one version so far.
pub const VERSION: &str = "v1alpha1";

/// Metadata as far as these kinds need it; the rest passes through untouched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The object's name.
    pub name: String,
    /// The object's namespace, for namespaced kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Changes with every change of `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// A whole object of a kind with this spec and status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    bound(deserialize = "S: Deserialize<'de>, T: Deserialize<'de>")
)]
pub struct Object<S, T> {
    /// `catalyst.openova.io/v1alpha1`.
    pub api_version: String,
    /// The kind's name.
    pub kind: String,
    /// Name, namespace, generation and the rest.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: S,
    /// What was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<T>,
}

/// An Application.
pub type Application = Object<ApplicationSpec, ApplicationStatus>;
/// An admitted Blueprint.
pub type Blueprint = Object<BlueprintSpec, BlueprintStatus>;
/// A source of Blueprints.
pub type BlueprintSource = Object<BlueprintSourceSpec, BlueprintSourceStatus>;
/// An Environment.
pub type Environment = Object<EnvironmentSpec, EnvironmentStatus>;
/// An EnvironmentPolicy; it has no status.
pub type EnvironmentPolicy = Object<EnvironmentPolicySpec, serde_json::Value>;
/// A fleet upgrade.
pub type FleetUpgrade = Object<FleetUpgradeSpec, FleetUpgradeStatus>;
/// An Organization.
pub type Organization = Object<OrganizationSpec, OrganizationStatus>;
/// A Sovereign.
pub type Sovereign = Object<SovereignSpec, SovereignStatus>;
