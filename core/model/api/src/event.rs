//! The live stream: what changed in the read model.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ApplicationView, BlueprintCard, BlueprintSourceView, DeletionView, EnvironmentView,
    OrganizationView, PolicyView, PullRequestView, UpgradeView,
};

/// One change of the read model. On the wire (`text/event-stream`) `id` is the
/// stream's position, `event` is `change`, and `data` is this as JSON; a client
/// that comes back with `Last-Event-ID` misses nothing, or is told `reset` as
/// the event's name and must read everything anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", content = "item", rename_all = "camelCase")]
pub enum StreamItem {
    /// An Organization came or changed.
    Organization(OrganizationView),
    /// An Environment came or changed.
    Environment(EnvironmentView),
    /// An Application came or changed.
    Application(Box<ApplicationView>),
    /// A Blueprint came or changed.
    Blueprint(BlueprintCard),
    /// A source of Blueprints came or changed.
    BlueprintSource(BlueprintSourceView),
    /// A policy came or changed.
    Policy(PolicyView),
    /// A pull request came or changed.
    PullRequest(PullRequestView),
    /// A deletion went on.
    Deletion(DeletionView),
    /// A fleet upgrade came or went on.
    Upgrade(UpgradeView),
    /// Something is gone.
    Removed(Removed),
}

/// Names something that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The kind as in [`StreamItem`]: organization, environment, application…
    pub kind: String,
    /// The name; an Application as `{environment}/{application}`.
    pub name: String,
    /// The Organization it belonged to, which decides who hears of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}
