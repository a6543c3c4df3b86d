//! Fleet upgrades: the Applications of one Blueprint, brought to a version wave by
//! wave.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::MovedSetting;

/// Which Applications shall have which version, and in what order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeRequest {
    /// The Blueprint's source; `catalog` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `bp-…`.
    pub blueprint: String,
    /// The version that they shall have, SemVer.
    pub to: String,
    /// The Organization whose Applications are meant. If absent, those of all for a
    /// sovereign-admin, and for an org-admin those of the one Organization of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Stages in the order of their turn; of others nothing is upgraded. If empty: poc,
    /// dev, uat, stg, prod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<String>,
    /// The most Applications that are upgraded at a time, 1 to 500; all of a stage if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Within how many seconds of its commit each must run, 1 to 86400; 1800 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

/// Begins a fleet upgrade, as planned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartUpgrade {
    /// What.
    #[serde(flatten)]
    pub request: UpgradeRequest,
    /// The digest of the plan that the caller saw; refused with 409 when the plan would
    /// differ by now. Absent: begun unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// What a fleet upgrade would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradePlanView {
    /// `sha256:…` over everything below and the plan of each Application, but for
    /// warnings.
    pub digest: String,
    /// The Blueprint's source.
    pub source: String,
    /// The Blueprint.
    pub blueprint: String,
    /// The version that they shall have.
    pub to: String,
    /// The Organization; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// One after the other.
    pub waves: Vec<PlannedWave>,
    /// Applications that are left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<BlockedUpgrade>,
}

/// Applications that are upgraded at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedWave {
    /// The stage of their Environments.
    pub stage: String,
    /// Which.
    pub applications: Vec<PlannedUpgrade>,
}

/// What a fleet upgrade would do to one Application, as things stand now; what it does
/// is planned anew when its turn comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedUpgrade {
    /// Its Environment.
    pub environment: String,
    /// Its name.
    pub application: String,
    /// The version that it has.
    pub from: String,
    /// Policies that turn this into a pull request, for which the wave waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// What becomes of settings that the new version has otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<MovedSetting>,
    /// How many Kubernetes objects come.
    pub creates: u32,
    /// How many change.
    pub updates: u32,
    /// How many go.
    pub deletes: u32,
    /// What the caller should know but need not mend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// An Application that a fleet upgrade leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockedUpgrade {
    /// Its Environment.
    pub environment: String,
    /// Its name.
    pub application: String,
    /// The version that it has.
    pub from: String,
    /// Why it cannot have the new one.
    pub reason: String,
    /// What to do about it, such as by which versions to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A fleet upgrade that was accepted: in Git, not necessarily begun yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeAccepted {
    /// The name by which it is asked after.
    pub name: String,
    /// The repository that declares it, `owner/name`.
    pub repository: String,
    /// The commit that declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The digest of its plan.
    pub plan: String,
}

/// A fleet upgrade and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeView {
    /// Its name.
    pub name: String,
    /// The Blueprint's source.
    pub source: String,
    /// The Blueprint.
    pub blueprint: String,
    /// The version that its Applications shall have.
    pub to: String,
    /// The Organization; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// In whose name the Applications are changed.
    pub requested_by: String,
    /// Progressing, Stopped, Cancelled or Completed.
    pub phase: String,
    /// The cause, for people.
    pub message: String,
    /// The wave that it is at, counted from 1; absent before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// All waves, in order.
    pub waves: Vec<WaveView>,
    /// When the newest fact behind this was observed.
    pub observed_at: String,
}

/// A wave and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveView {
    /// The stage of its Environments.
    pub stage: String,
    /// Its Applications.
    pub applications: Vec<UpgradedApplicationView>,
}

/// An Application of a fleet upgrade and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradedApplicationView {
    /// Its Environment.
    pub environment: String,
    /// Its name.
    pub application: String,
    /// The version that it had.
    pub from: String,
    /// Waiting, Proposed, RollingOut, Done, Left or Failed.
    pub state: String,
    /// The commit that gave it the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The pull request that brings the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The cause, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
