//! Sovereigns that this one provisions on a cloud, as jobs of its control plane.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Text that is given once and never shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hidden(…)")
    }
}

/// What is needed to provision and is no part of the description. Kept in the vault
/// until the Sovereign is destroyed, and never answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SovereignCredentials {
    /// API token of the Hetzner Cloud project, with the right to read and write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hetzner_token: Option<Hidden>,
    /// Private key of `sshPublicKey`, in OpenSSH's form, without a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ssh_private_key: Option<Hidden>,
    /// User of the Git repository, where `gitCredentials` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_username: Option<String>,
    /// Password or token of that user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub git_password: Option<Hidden>,
}

/// Provisions a Sovereign.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSovereign {
    /// What `sovereign.yaml` says, by the schema at `/api/v1/sovereigns/schema`; keys are
    /// given as text, not as files.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// The credentials.
    #[serde(default, deserialize_with = "unquoted")]
    pub credentials: SovereignCredentials,
    /// Whether it shall only be planned for now; resuming it with `create` then creates.
    #[serde(default)]
    pub plan_only: bool,
}

/// Asks for the files of a Sovereign in its Git repository; nothing is begun or kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderSovereign {
    /// What `sovereign.yaml` says, as provisioning takes it.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

/// What must lie in the Git repository of a Sovereign before it is provisioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderedSovereign {
    /// The folder of the repository, such as `clusters/omantel.example`.
    pub folder: String,
    /// Its files, in the order of their paths.
    pub files: Vec<RenderedFile>,
    /// What the Sovereign will be without, in words; absent where nothing is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
}

/// A file of that folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderedFile {
    /// Path below the folder, with slashes.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Plans a Sovereign. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSovereign {
    /// Another description of the same Sovereign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
    /// Credentials that take the place of those given before.
    #[serde(default, deserialize_with = "unquoted")]
    pub credentials: SovereignCredentials,
    /// Whether everything that was made was removed by hand: a token of a project that
    /// has nothing of it is refused otherwise.
    #[serde(default)]
    pub removed_by_hand: bool,
}

/// Goes on with a Sovereign. What is absent stays. What was only to be planned, and has
/// not been to the end, is planned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumeSovereign {
    /// Another description of the same Sovereign. Where a plan was asked for last, or
    /// every step is done, that is planned first; else it is planned and applied anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
    /// Credentials that take the place of those given before.
    #[serde(default, deserialize_with = "unquoted")]
    pub credentials: SovereignCredentials,
    /// Whether everything that was made was removed by hand: a token of a project that
    /// has nothing of it is refused otherwise.
    #[serde(default)]
    pub removed_by_hand: bool,
    /// Whether what is planned shall be done: needed once a plan that was asked for has
    /// ended, since this is what costs money, and refused before. Nothing is done where
    /// it is planned otherwise then: it ends as planned again, with the new plan shown.
    #[serde(default)]
    pub create: bool,
    /// The `planDigest` of the plan that shall be done; without it, the one shown last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The Sovereign's domain once more, where servers, networks, load balancers or volumes
    /// of it may be deleted or replaced: no plan that does so is carried out without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_destroy: Option<String>,
}

/// Destroys a Sovereign. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DestroySovereign {
    /// Credentials that take the place of those given before; of these, a destroy needs
    /// the token alone.
    #[serde(default, deserialize_with = "unquoted")]
    pub credentials: SovereignCredentials,
    /// Whether everything that was made was removed by hand: a token of a project that
    /// has nothing of it is refused otherwise.
    #[serde(default)]
    pub removed_by_hand: bool,
}

/// Where a Sovereign that is provisioned stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisioningState {
    /// A job is at work.
    Running,
    /// A job is at work, and was told to stop.
    Cancelling,
    /// A job was cut off: the control plane ended while it ran.
    Interrupted,
    /// It is known what would change.
    Planned,
    /// Every step is done.
    Provisioned,
    /// The last job failed.
    Failed,
    /// The last job was cancelled.
    Cancelled,
    /// Nothing is left of it.
    Destroyed,
    /// Phase 0 is over: it is changed in its Git repository.
    Archived,
    /// Its files in the control plane's data directory cannot be read.
    Unreadable,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisioningTask {
    /// Looks for problems and plans; creates nothing.
    Plan,
    /// Takes all steps, to the end.
    Provision,
    /// Destroys everything.
    Destroy,
    /// Puts OpenTofu's state away: phase 0 is over.
    Archive,
    /// Takes it back.
    Restore,
}

/// How many resources of the cloud are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceCount {
    /// Done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// A Sovereign that is provisioned, in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningSummary {
    /// Its domain.
    pub fqdn: String,
    /// Where it stands.
    pub state: ProvisioningState,
    /// Why nothing else is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Code of its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What its last job does, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<ProvisioningTask>,
    /// Who began that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The step that is under way, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How many resources the last job has done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceCount>,
}

/// A Sovereign that is provisioned, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningView {
    /// As in lists.
    #[serde(flatten)]
    pub summary: ProvisioningSummary,
    /// The steps, in their order.
    pub steps: Vec<ProvisioningStep>,
    /// What the last plan would change, where there was one.
    pub planned: Vec<PlannedResource>,
    /// Digest of that plan, by which it is agreed to; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// Why the last job failed, or did not do what was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it is without, or will be, in words; `next` begins with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What the module gave, such as `console_url`.
    #[schema(value_type = Object)]
    pub outputs: Map<String, Value>,
    /// The description, without credentials.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisioningStepState {
    /// It comes later.
    Pending,
    /// It is under way.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// It was begun and cut off.
    Interrupted,
}

/// One step of provisioning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningStep {
    /// Its name, such as `wait-ssh`.
    pub name: String,
    /// What it does, for people.
    pub title: String,
    /// Where it stands.
    pub state: ProvisioningStepState,
    /// When it ended, or began where it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// How long it usually takes.
    pub expected_seconds: u64,
    /// Versions that it used.
    pub versions: BTreeMap<String, String>,
}

/// What a plan would do with one resource of the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedResource {
    /// Address in the module.
    pub address: String,
    /// create, update, delete, replace, …
    pub action: String,
    /// Whether the Sovereign stands on it and would lose it: `allowDestroy` is needed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loses: bool,
}

/// Reads what may hold secrets: an error does not repeat what was given.
fn unquoted<'de, D: Deserializer<'de>, T: DeserializeOwned>(source: D) -> Result<T, D::Error> {
    let value = Value::deserialize(source)?;
    serde_json::from_value(value).map_err(|_| {
        D::Error::custom(
            "it must be an object with the texts hetznerToken, sshPrivateKey, gitUsername and gitPassword",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_neither_shown_nor_repeated_in_errors() {
        let good = json!({"config": {}, "credentials": {"hetznerToken": "canary", "sshPrivateKey": "canary", "gitPassword": "canary"}});
        let read: CreateSovereign = serde_json::from_value(good).unwrap();
        let token = read.credentials.hetzner_token.as_ref().unwrap();
        assert_eq!(token.reveal(), "canary");
        assert!(!format!("{read:?}").contains("canary"));
        for bad in [
            json!("canary"),
            json!({"hetznerToken": {"canary": 1}}),
            json!({"sshPrivateKey": ["canary"]}),
            json!({"gitUsername": ["canary"]}),
        ] {
            let body = json!({"config": {}, "credentials": bad});
            let error = serde_json::from_value::<CreateSovereign>(body.clone()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
            let error = serde_json::from_value::<ResumeSovereign>(body.clone()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
            let error = serde_json::from_value::<DestroySovereign>(body).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
