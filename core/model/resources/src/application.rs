//! Application: one installation of a Blueprint in an Environment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// What a user wants of an Application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSpec {
    /// The Blueprint and its exact version.
    pub blueprint: BlueprintReference,
    /// Which of the Blueprint's overlays to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Values for the Blueprint's configSchema; secrets by reference only.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Alias of a dependency to the Application that serves it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, DependencyReference>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// Whether reconciling is suspended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Set by the delete commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DeletionRequest>,
}

/// A Blueprint at an exact version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlueprintReference {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// The Blueprint's name, `bp-…`.
    pub name: String,
    /// SemVer, exact.
    pub version: String,
}

/// The Application that serves a dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DependencyReference {
    /// Its name, in the same Environment.
    pub application: String,
}

/// Where an Application runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// How it spreads over regions.
    pub mode: PlacementMode,
    /// The regions' codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// How an Application spreads over regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementMode {
    /// In one region.
    SingleRegion,
    /// In all of them, all serving.
    ActiveActive,
    /// In all of them, one serving.
    ActiveHotstandby,
}

/// What a deletion does with data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletionRequest {
    /// Keep or drop volumes and generated secrets.
    pub data: DataDisposal,
}

/// Whether data outlives its Application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataDisposal {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
}

/// What was observed of an Application.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The summary that users see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The details.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// An Application's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Being installed for the first time.
    Installing,
    /// Everything is as wanted.
    Running,
    /// A change is being rolled out.
    Updating,
    /// Running, but not all of it.
    Degraded,
    /// Not running, and it will not become so by waiting.
    Failed,
    /// Suspended by a user.
    Paused,
    /// A change waits for an approval.
    PendingApproval,
    /// Nothing was heard for too long.
    Stale,
    /// Being removed.
    Deleting,
}
