//! Environment: a stage of an Organization; one repository, one or more
//! vclusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Quota};

/// What is wanted of an Environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// The Organization that owns it.
    pub organization: String,
    /// The stage: prod, stg, uat, dev or poc.
    #[schemars(regex(pattern = r"^(prod|stg|uat|dev|poc)$"))]
    pub env_type: String,
    /// Where its vclusters run; the Sovereign's default for the stage if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<EnvironmentPlacement>,
    /// The most that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// Host clusters by name, or regions from which the Sovereign picks them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentPlacement {
    /// Host clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_clusters: Vec<String>,
    /// Regions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// What was observed of an Environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Qualified names of its vclusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vclusters: Vec<String>,
    /// The details.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
