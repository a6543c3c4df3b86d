//! Plans: what a change would do, before anything is written.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::HostAccessView;

/// What a change would do, object by object. Immutable; named by its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// `sha256:…` over what Git and the catalogue say of everything below; how far a
    /// rollout is, and warnings, are no part of it.
    pub digest: String,
    /// The Environment.
    pub environment: String,
    /// The subject line that the commit would have.
    pub subject: String,
    /// Applications that come, change or go, the asked-for one first.
    pub applications: Vec<PlannedApplication>,
    /// Files of the repository that change.
    pub files: Vec<PlannedFile>,
    /// Kubernetes objects that change, in the order they are applied; after each what
    /// it makes anew.
    pub objects: Vec<PlannedObject>,
    /// Whether a policy turns this into a pull request, and which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// What the caller should know but need not mend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What happens to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedAction {
    /// It comes into being.
    Create,
    /// It changes.
    Update,
    /// It goes.
    Delete,
    /// It stays as it is.
    None,
}

/// An Application of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedApplication {
    /// What happens.
    pub action: PlannedAction,
    /// Its name.
    pub name: String,
    /// The Blueprint's source.
    pub source: String,
    /// The Blueprint.
    pub blueprint: String,
    /// The version after the change.
    pub version: String,
    /// The version before it, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_version: Option<String>,
    /// Why it is part of this: asked for, or whose dependency, under what alias.
    pub because: String,
    /// Existing Applications that could serve instead of a new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// The alias that `alternatives` are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What of the machines they run on its pods take, as the Blueprint declares it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_access: Vec<HostAccessView>,
    /// What becomes of settings that the version after the change has otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<MovedSetting>,
}

/// A setting of an Application that an upgrade moves or drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovedSetting {
    /// JSON pointer into the config before.
    pub from: String,
    /// JSON pointer into the config after; dropped if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A file of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedFile {
    /// What happens.
    pub action: PlannedAction,
    /// Its path in the repository.
    pub path: String,
    /// A unified diff.
    pub diff: String,
}

/// A Kubernetes object of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedObject {
    /// What happens.
    pub action: PlannedAction,
    /// The Application it belongs to.
    pub application: String,
    /// Group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; absent for cluster-wide kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What makes it, as `KIND NAME`, where nobody applies it: the StatefulSet of a
    /// claim, the ExternalSecret of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// The storage that a claim of a StatefulSet asks for, such as `8Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// What changes, field by field, for people; secret values are never in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}
