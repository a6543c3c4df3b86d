//! What the forge remembers beside Git: the records kept in the store.
//!
//! Written and read by `metadata` alone; shown to clients by `shapes`. Every
//! field added later needs a serde default, so that an older data directory
//! still opens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What somebody may do with a repository, or a team grants; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Not even know that it exists.
    None,
    /// Read and clone.
    Read,
    /// Push.
    Write,
    /// Change settings, hooks and access.
    Admin,
    /// An organization's owners.
    Owner,
}

impl Permission {
    /// The word Gitea uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// A person or a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserRecord {
    /// Number, unique over users and organizations.
    pub id: u64,
    /// Name as written at creation; compared without case.
    pub name: String,
    /// Shown name, may be empty.
    pub full_name: String,
    /// Mail address, used for commits.
    pub email: String,
    /// May do everything.
    pub admin: bool,
    /// Derived from a password, see `access`; empty where there is none.
    #[serde(default)]
    pub password: String,
    /// When it came into being.
    pub created: Timestamp,
}

/// An organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrgRecord {
    /// Number, unique over users and organizations.
    pub id: u64,
    /// Name as written at creation.
    pub name: String,
    /// Shown name.
    pub full_name: String,
    /// Free text.
    pub description: String,
    /// Free text.
    pub website: String,
    /// Free text.
    pub location: String,
    /// `public`, `limited` (signed-in users) or `private` (members).
    pub visibility: String,
    /// When it came into being.
    pub created: Timestamp,
}

/// A team of an organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TeamRecord {
    /// Number.
    pub id: u64,
    /// The organization's key (lower case).
    pub org: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What members may do with the team's repositories.
    pub permission: Permission,
    /// Whether the team has every repository of the organization.
    pub all_repositories: bool,
    /// Whether members may create repositories.
    pub can_create: bool,
    /// Keys of the members.
    pub members: Vec<String>,
    /// Keys (names in lower case) of the organization's repositories given to the team.
    pub repositories: Vec<String>,
}

/// A repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RepoRecord {
    /// Number.
    pub id: u64,
    /// Owner's name as written.
    pub owner: String,
    /// Name as written.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Whether reading needs a permission.
    pub private: bool,
    /// Short name of the branch that HEAD points to.
    pub default_branch: String,
    /// When it came into being.
    pub created: Timestamp,
    /// When a ref last moved.
    pub updated: Timestamp,
    /// Number of the next pull request.
    pub next_number: u64,
    /// Keys of users given a permission of their own.
    #[serde(default)]
    pub collaborators: std::collections::BTreeMap<String, Permission>,
}

impl RepoRecord {
    /// `owner/name` as shown.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// An access token; the secret itself is not kept, its SHA-256 is the key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Number.
    pub id: u64,
    /// SHA-256 of the secret, hexadecimal.
    pub digest: String,
    /// Key of the user.
    pub user: String,
    /// Name, unique for the user.
    pub name: String,
    /// Last eight characters, so that people can tell tokens apart.
    pub last_eight: String,
    /// Gitea scopes, e.g. `all`, `read:repository`.
    pub scopes: Vec<String>,
    /// When it came into being.
    pub created: Timestamp,
}

/// Where a hook is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookScope {
    /// A repository's number.
    Repository(u64),
    /// An organization's number.
    Organization(u64),
}

/// A webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HookRecord {
    /// Number.
    pub id: u64,
    /// Where it listens.
    pub scope: HookScope,
    /// Where it posts to.
    pub url: String,
    /// Key of the HMAC; empty for none.
    pub secret: String,
    /// Value of the Authorization header; empty for none.
    pub authorization: String,
    /// Event names.
    pub events: Vec<String>,
    /// Glob of branches (`*` matches all).
    pub branch_filter: String,
    /// Whether it fires.
    pub active: bool,
    /// When it came into being.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// A pull request; head and base are branches of one repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullRecord {
    /// Number, unique in the store.
    pub id: u64,
    /// Number shown, unique in the repository.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Free text.
    pub body: String,
    /// Key of the user who opened it.
    pub author: String,
    /// Branch that brings the changes.
    pub head: String,
    /// Branch that receives them.
    pub base: String,
    /// Head commit as last seen.
    pub head_sha: String,
    /// Base commit when it was opened or merged.
    pub base_sha: String,
    /// Where the two parted; kept when merged.
    pub merge_base: String,
    /// Whether it is open.
    pub open: bool,
    /// Commit that merged it.
    pub merge_commit: Option<String>,
    /// Key of the user who merged it.
    pub merged_by: Option<String>,
    /// When it was merged.
    pub merged: Option<Timestamp>,
    /// When it was closed.
    pub closed: Option<Timestamp>,
    /// When it was opened.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// A review of a pull request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewRecord {
    /// Number.
    pub id: u64,
    /// Key of the reviewer.
    pub user: String,
    /// `APPROVED`, `REQUEST_CHANGES` or `COMMENT`.
    pub state: String,
    /// Free text.
    pub body: String,
    /// Head commit that was reviewed.
    pub commit: String,
    /// Whether the reviewer could write when reviewing.
    pub official: bool,
    /// Whether it was dismissed.
    #[serde(default)]
    pub dismissed: bool,
    /// When it was given.
    pub created: Timestamp,
}

/// A status reported on a commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusRecord {
    /// Number.
    pub id: u64,
    /// `pending`, `success`, `error`, `failure` or `warning`.
    pub state: String,
    /// What reports.
    pub context: String,
    /// Free text.
    pub description: String,
    /// Where to read more.
    pub target_url: String,
    /// Key of the reporter.
    pub creator: String,
    /// When it was reported.
    pub created: Timestamp,
}

/// A ref that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    /// Complete ref name.
    #[serde(rename = "ref")]
    pub name: String,
    /// Object before; zeros for a new ref.
    pub old: String,
    /// Object after; zeros for a removed ref.
    pub new: String,
}

/// Something that webhooks are told about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// Refs moved.
    Push(Vec<RefUpdate>),
    /// A pull request changed: its number and Gitea's action.
    Pull(u64, String),
    /// A pull request was reviewed: its number and the review's.
    Review(u64, u64),
}

/// An event waiting to become deliveries. `prepared` events were written
/// before their refs moved; after a crash the refs tell whether they happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventRecord {
    /// Number; the order of events.
    pub id: u64,
    /// Key of the repository's owner.
    pub owner: String,
    /// Key of the repository.
    pub repository: String,
    /// Key of the user who caused it.
    pub user: String,
    /// What happened.
    pub event: Event,
    /// Whether it is not certain that it happened.
    pub prepared: bool,
    /// The merge that a push carries out, so that both are recorded together.
    #[serde(default)]
    pub merge: Option<MergeRecord>,
}

/// What a pull request becomes once its base has moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeRecord {
    /// The pull request's number.
    pub number: u64,
    /// Head that was merged.
    pub head_sha: String,
    /// Base before.
    pub base_sha: String,
    /// Where the two parted.
    pub merge_base: String,
    /// Base after.
    pub commit: String,
}

/// One request to one hook, kept until the receiver accepts it or it expires.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Number; the order of deliveries.
    pub id: u64,
    /// Identity that the receiver sees; the same on every attempt.
    pub uuid: String,
    /// The hook.
    pub hook: u64,
    /// Gitea's event name.
    pub event: String,
    /// Gitea's event type, finer than the name.
    pub event_type: String,
    /// Body.
    pub payload: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was queued.
    pub created: Timestamp,
}
