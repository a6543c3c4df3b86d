//! The Sovereign itself, who is signed in, users and trusted signers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::OrganizationRole;

/// The Sovereign and where its surfaces are. Anybody may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SovereignView {
    /// Its name.
    pub name: String,
    /// The domain below which Applications are reached.
    pub domain: String,
    /// The version of Catalyst that serves this.
    pub version: String,
    /// Where the surfaces are.
    pub addresses: Addresses,
    /// Stages for which it has a host cluster, in promotion order: poc, dev,
    /// uat, stg, prod.
    pub env_types: Vec<String>,
    /// Its host clusters.
    pub host_clusters: Vec<String>,
    /// Who may publish Blueprints, by source.
    pub trusted_signers: Vec<TrustedSignerView>,
    /// Who may without a key of their own, by certificates that hold against the
    /// trusted root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyless_signers: Vec<KeylessSignerView>,
}

/// Base URLs of the surfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// The console.
    pub console: String,
    /// Base of this API, `…/api/v1`.
    pub api: String,
    /// Base of the forge; a repository is `{git}/{owner}/{repository}.git`.
    pub git: String,
    /// `host:port` of the registry.
    pub registry: String,
    /// The OpenID Connect issuer.
    pub issuer: String,
    /// Base of the Vault HTTP API.
    pub vault: String,
}

/// A key whose signatures count for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedSignerView {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// PEM.
    pub public_key: String,
    /// `sha256:…` of the key's DER.
    pub fingerprint: String,
}

/// Somebody whose signatures by certificates count for one source. Of the subject and
/// of the issuer there is either the text itself or an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeylessSignerView {
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

/// Adds a trusted signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustSigner {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// PEM, P-256.
    pub public_key: String,
}

/// Who is asking, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The user's name.
    pub username: String,
    /// The user's mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether they administer the whole Sovereign.
    pub sovereign_admin: bool,
    /// Their Organizations and roles, by name.
    pub organizations: Vec<Membership>,
}

/// One role of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The Organization.
    pub organization: String,
    /// What they may do there.
    pub role: OrganizationRole,
    /// Environments that an org-developer may change; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
}

/// A user of the Sovereign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// The user's name.
    pub username: String,
    /// The user's mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether they have set a password yet.
    pub active: bool,
    /// Whether they administer the whole Sovereign.
    pub sovereign_admin: bool,
    /// Their Organizations and roles.
    pub organizations: Vec<Membership>,
}

/// Invites a user to the Sovereign, and into an Organization where the path
/// names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// The new user's name; an existing user is only given the role.
    pub username: String,
    /// The user's mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The role in the Organization of the path; org-viewer if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<OrganizationRole>,
    /// Environments that an org-developer may change; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// Whether they shall administer the whole Sovereign; only on `/users`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sovereign_admin: bool,
}

/// An invitation that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// The user.
    pub username: String,
    /// The one-time link on which they set a password; absent when the user
    /// had one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When the link ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The commit that gave the role, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}
