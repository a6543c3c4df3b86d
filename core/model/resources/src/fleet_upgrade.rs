//! FleetUpgrade: the Applications of one Blueprint, brought to a version wave by
//! wave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BlueprintReference, Condition};

/// What is wanted of a fleet upgrade. Who is in which wave is settled when it is asked
/// for, so that what runs is what was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetUpgradeSpec {
    /// The Organization whose Applications these are; those of all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The Blueprint, at the version that they shall have.
    pub blueprint: BlueprintReference,
    /// The user in whose name the Applications are changed, with that user's rights.
    pub requested_by: String,
    /// Within how many seconds of its commit each must run.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: i32,
    /// One after the other.
    pub waves: Vec<UpgradeWave>,
    /// Raised to go on after a stop.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempt: i32,
    /// Whether nothing more of it is to begin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// Applications that are upgraded at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeWave {
    /// The stage of their Environments: prod, stg, uat, dev or poc.
    #[schemars(regex(pattern = r"^(prod|stg|uat|dev|poc)$"))]
    pub stage: String,
    /// Which.
    pub applications: Vec<UpgradeMember>,
}

/// An Application of a fleet upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeMember {
    /// Its Environment.
    pub environment: String,
    /// Its name.
    pub application: String,
    /// The version that it had when the upgrade was asked for.
    pub from: String,
}

/// What was observed of a fleet upgrade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetUpgradeStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The summary that users see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<UpgradePhase>,
    /// The wave that it is at, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<i32>,
    /// The attempt that ended in a stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_attempt: Option<i32>,
    /// How far each Application is, in the order of the waves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<UpgradedApplication>,
    /// The details.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A fleet upgrade's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradePhase {
    /// It goes on.
    Progressing,
    /// Something failed, and nothing more begins.
    Stopped,
    /// Somebody ended it.
    Cancelled,
    /// Every Application runs at the version, or was left alone.
    Completed,
}

/// How far one Application is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradedApplication {
    /// Its Environment.
    pub environment: String,
    /// Its name.
    pub application: String,
    /// How far it is.
    pub state: UpgradeState,
    /// The commit that gave it the version, where the upgrade made it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The pull request that brings the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<i64>,
    /// Since when it is in this state, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The cause, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How far an Application of a fleet upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradeState {
    /// Its turn has not come.
    Waiting,
    /// Its pull request waits to be merged.
    Proposed,
    /// It has the version in Git and does not run yet.
    RollingOut,
    /// It runs at the version.
    Done,
    /// It is gone, or has a newer version: nothing was done.
    Left,
    /// It was refused, failed, or took too long.
    Failed,
}
