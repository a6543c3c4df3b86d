//! Applications as observed: phase, cause and freshness, objects, history.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How something is, in one word with its cause and freshness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Installing, Running, Updating, Degraded, Failed, Paused,
    /// PendingApproval, Stale or Deleting; for Organizations and Environments
    /// the same words where they apply.
    pub phase: String,
    /// One CamelCase word for programs.
    pub reason: String,
    /// The cause, for people: which object, what it said, last log lines.
    pub message: String,
    /// When the newest fact behind this was observed.
    pub observed_at: String,
    /// When `phase` last changed.
    pub since: String,
}

/// An Application in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSummary {
    /// Its Environment.
    pub environment: String,
    /// Its name.
    pub name: String,
    /// The Blueprint's source.
    pub source: String,
    /// The Blueprint.
    pub blueprint: String,
    /// The version wanted.
    pub version: String,
    /// How it is.
    pub health: Health,
    /// Where it is opened; absent without a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An Application, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationView {
    /// As in lists.
    #[serde(flatten)]
    pub summary: ApplicationSummary,
    /// The overlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The config as committed; secrets by reference.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// Alias → the Application that serves it.
    pub dependencies: BTreeMap<String, String>,
    /// Applications that depend on this one.
    pub dependents: Vec<String>,
    /// The namespace of its workloads.
    pub namespace: String,
    /// The commit that the vcluster runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,
    /// The newest commit that touched its folder, with who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<Revision>,
    /// The version whose release was deployed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_version: Option<String>,
    /// Its objects in the vcluster, by kind and name.
    pub objects: Vec<ObjectView>,
}

/// A Kubernetes object of an Application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectView {
    /// Group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; absent for cluster-wide kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether it is as wanted; absent for kinds without a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// What it says about itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When this was observed.
    pub observed_at: String,
}

/// A commit that concerns an Application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// The commit's id.
    pub commit: String,
    /// Who made the change.
    pub author: String,
    /// The author's mail address.
    pub author_email: String,
    /// When.
    pub at: String,
    /// The subject line.
    pub subject: String,
    /// `Catalyst-Command`, where the change came through a command; a plain
    /// push has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The user who pushed or merged it, as the forge knew them; the author of a push
    /// is free text. Absent for commands, whose author is the user, and where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<String>,
    /// Whether the vcluster runs this commit now.
    pub applied: bool,
}

/// A commit with what it changed in the Application's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionDetail {
    /// The commit.
    #[serde(flatten)]
    pub revision: Revision,
    /// A unified diff.
    pub diff: String,
}

/// A line that a container of an Application wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When it was written, as precise as the node says; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// What was written, without the line's end.
    pub line: String,
    /// Whether the container did not write it, but it is said of the container: that it
    /// waits to start again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_notice: bool,
}
