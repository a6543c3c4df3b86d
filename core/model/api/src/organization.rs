//! Organizations, members, Environments and their policies.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Health;

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrganizationRole {
    /// Everything in the Organization.
    OrgAdmin,
    /// Install and configure in named Environments.
    OrgDeveloper,
    /// Read.
    OrgViewer,
    /// Policy, rotation, audit.
    SecurityOfficer,
    /// Plans and invoices.
    BillingAdmin,
}

/// An Organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationView {
    /// Its slug.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Its members, by user name.
    pub members: Vec<MemberView>,
    /// Its Environments, by name.
    pub environments: Vec<String>,
    /// How it is.
    pub health: Health,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// The user; or `group` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A group of the identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What they may do.
    pub role: OrganizationRole,
    /// Environments that an org-developer may change; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
}

/// Creates an Organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateOrganization {
    /// Its slug; never changes.
    pub name: String,
    /// The name that people read; the slug if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Users who become org-admin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admins: Vec<String>,
}

/// Gives a member a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetRole {
    /// What they may do.
    pub role: OrganizationRole,
    /// Environments that an org-developer may change; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
}

/// An Environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentView {
    /// `{organization}-{env type}`.
    pub name: String,
    /// Its Organization.
    pub organization: String,
    /// Its stage.
    pub env_type: String,
    /// Qualified names of its vclusters.
    pub vclusters: Vec<String>,
    /// The repository's clone URL.
    pub repository: String,
    /// The last commit that was applied to the vcluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,
    /// How many Applications it has.
    pub applications: u32,
    /// Names of the policies that bind it.
    pub policies: Vec<String>,
    /// How it is.
    pub health: Health,
}

/// What the deletion of an Environment or an Organization does with the
/// Applications in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationsChoice {
    /// They stay, so that nothing is deleted while there are any.
    #[default]
    Keep,
    /// They go, and their data with them.
    Drop,
}

/// Creates an Environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateEnvironment {
    /// prod, stg, uat, dev or poc.
    pub env_type: String,
    /// Host clusters; the Sovereign's one for the stage if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_clusters: Vec<String>,
}

/// A policy and the Environments it binds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyView {
    /// Its name.
    pub name: String,
    /// The Environments.
    pub environments: Vec<String>,
    /// The EnvironmentPolicy rules, as `docs/spec/environment-policy.md` has
    /// them.
    #[schema(value_type = Vec<Object>)]
    pub rules: Vec<serde_json::Value>,
}

/// A deletion that ended or goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionView {
    /// Organization, Environment or Application.
    pub kind: String,
    /// The object; an Application as `{environment}/{application}`.
    pub name: String,
    /// When it was asked for.
    pub started_at: String,
    /// When it ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// What is being waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What was left behind, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<String>,
}
