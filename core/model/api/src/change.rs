//! What callers ask for on Applications, and what they get for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Installs a Blueprint as an Application.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// The Application's name.
    pub name: String,
    /// The Blueprint's source; `catalog` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `bp-…`.
    pub blueprint: String,
    /// SemVer; the newest whose dependencies can be met, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// An overlay of the Blueprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The config; values of secret properties are given plainly here, and only
    /// here: they go to the vault, and Git receives a reference.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Alias → an Application of the Environment that shall serve it; a new one
    /// is installed for every alias that is not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, String>,
}

/// Changes an Application. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Another version of the same Blueprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Another overlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Config, merged as RFC 7386 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Map<String, serde_json::Value>>,
    /// Whether reconciling is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// A change to plan or to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum ApplicationCommand {
    /// Install a Blueprint.
    Install {
        /// What.
        #[serde(flatten)]
        install: Install,
    },
    /// Change an Application.
    Change {
        /// Which.
        application: String,
        /// How.
        #[serde(flatten)]
        change: Change,
    },
    /// Go back to what a commit left the Application at, by a new commit.
    #[serde(rename_all = "camelCase")]
    Rollback {
        /// Which.
        application: String,
        /// A commit of its history; the one before the current if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Carry version and config into another Environment of the Organization,
    /// by pull request.
    Promote {
        /// Which.
        application: String,
        /// The destination.
        to: String,
    },
    /// Delete an Application.
    Delete {
        /// Which.
        application: String,
        /// `keep` or `drop`.
        data: DataChoice,
    },
}

/// What a deletion does with data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataChoice {
    /// Volumes and generated secrets stay.
    #[default]
    Keep,
    /// They go.
    Drop,
}

/// Carries out a change, as planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Execute {
    /// The change.
    #[serde(flatten)]
    pub command: ApplicationCommand,
    /// The digest of the plan that the caller saw; refused with 409 when the
    /// plan would differ by now. Absent: carried out unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// A change that was accepted: in Git, not necessarily running yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The repository, `owner/name`.
    pub repository: String,
    /// The commit; absent when nothing had to change, or a pull request waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The pull request that carries the change, where one was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// The digest of the plan that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// A pull request in an Environment's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestView {
    /// Its Environment.
    pub environment: String,
    /// Its number in the repository.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// What it carries, Markdown.
    pub body: String,
    /// Who opened it.
    pub author: String,
    /// The branch that it brings: `{user}/…` is that user's, `catalyst/…` a command's.
    pub head: String,
    /// When.
    pub created_at: String,
    /// open, merged or closed.
    pub state: String,
    /// Who approved it.
    pub approvals: Vec<String>,
    /// What still stands against merging, one sentence each; empty: mergeable.
    pub blocked_by: Vec<String>,
    /// A unified diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// Opens a pull request from a branch of an Environment's repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenPull {
    /// The branch that brings the change.
    pub branch: String,
    /// One line of at most 255 bytes; the subject of the branch's last commit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it carries, Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A branch that somebody pushed to an Environment's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BranchView {
    /// Its name, `{user}/…`.
    pub name: String,
    /// The id of its last commit.
    pub commit: String,
    /// The last commit's subject line.
    pub subject: String,
    /// Who made the last commit.
    pub author: String,
    /// When.
    pub at: String,
    /// How many commits it has that `main` does not.
    pub commits: u64,
    /// The open pull request that brings it to `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
}
