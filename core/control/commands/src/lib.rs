//! The write side: the only code that changes desired state.
//!
//! A command is checked (access, names, config, dependencies, quota, policy),
//! made into a plan, and becomes exactly one commit or pull request. A plain
//! `git push` meets the same checks by [`Commands::check_push`]. Called by the
//! gateway for users, and by the controllers for the second commit of a
//! deletion.
//!
//! What must stay true:
//! - one command, one commit: nothing half-done stays in a repository;
//! - every verb denies across Organizations ([`access`]);
//! - a secret's value goes to the vault before anything is committed, and is
//!   never in a commit, plan, log or error.

pub mod access;
mod error;

use std::sync::Arc;

use catalyst_api::{
    Accepted, ApplicationCommand, BlueprintCard, CreateEnvironment, CreateOrganization, Execute,
    Invitation, Invite, PlanView, PolicyView, PullRequestView, RegisterBlueprint, Revision,
    RevisionDetail, SetRole, TrustSigner,
};
use catalyst_ports::{Clusters, Forge, Identity, Vault};
use catalyst_supply::Registry;

pub use access::{Access, Actor};
pub use error::CommandError;

/// What commands reach the parts by.
#[derive(Clone)]
pub struct CommandsConfig {
    /// The Git forge, as an administrator.
    pub forge: Forge,
    /// The identity provider.
    pub identity: Identity,
    /// The vault.
    pub vault: Vault,
    /// The registry, as an account that may pull everything.
    pub registry: Arc<Registry>,
    /// `host[:port]` of the registry.
    pub registry_host: String,
    /// Whether the registry is spoken to in plain HTTP (loopback only).
    pub registry_insecure: bool,
    /// The clusters.
    pub clusters: Clusters,
    /// The Sovereign's domain.
    pub domain: String,
    /// The console's address; invited users come back to it.
    pub console: String,
    /// The user by which the forge knows the control plane; its pushes were
    /// checked before they were made.
    pub service_user: String,
}

/// The commands; clones share caches.
#[derive(Clone)]
pub struct Commands {
    inner: Arc<CommandsConfig>,
}

fn not_yet<T>(action: &str) -> Result<T, CommandError> {
    Err(CommandError::NotYet {
        action: action.to_owned(),
    })
}

impl Commands {
    /// Commands on these parts.
    pub fn new(config: CommandsConfig) -> Self {
        Self {
            inner: Arc::new(config),
        }
    }

    /// Creates an Organization: one commit in `system/catalyst-config`.
    pub async fn organization_create(
        &self,
        _actor: &Actor,
        _request: CreateOrganization,
    ) -> Result<Accepted, CommandError> {
        not_yet("create the Organization")
    }

    /// Deletes an Organization with its Environments.
    pub async fn organization_delete(
        &self,
        _actor: &Actor,
        _organization: &str,
    ) -> Result<Accepted, CommandError> {
        not_yet("delete the Organization")
    }

    /// Gives a user a role in an Organization, in place of the one they had.
    pub async fn member_set(
        &self,
        _actor: &Actor,
        _organization: &str,
        _username: &str,
        _role: SetRole,
    ) -> Result<Accepted, CommandError> {
        not_yet("set the role")
    }

    /// Takes a user out of an Organization.
    pub async fn member_remove(
        &self,
        _actor: &Actor,
        _organization: &str,
        _username: &str,
    ) -> Result<Accepted, CommandError> {
        not_yet("remove the member")
    }

    /// Invites a user into an Organization: makes the user where there is none,
    /// gives the role by a commit, and returns the one-time link.
    pub async fn member_invite(
        &self,
        _actor: &Actor,
        _organization: &str,
        _invite: Invite,
    ) -> Result<Invitation, CommandError> {
        not_yet("invite the user")
    }

    /// Invites a user to the Sovereign.
    pub async fn user_invite(
        &self,
        _actor: &Actor,
        _invite: Invite,
    ) -> Result<Invitation, CommandError> {
        not_yet("invite the user")
    }

    /// Removes a user from every Organization, by one commit, and then from the
    /// identity provider.
    pub async fn user_remove(
        &self,
        _actor: &Actor,
        _username: &str,
    ) -> Result<Accepted, CommandError> {
        not_yet("remove the user")
    }

    /// Creates an Environment of an Organization.
    pub async fn environment_create(
        &self,
        _actor: &Actor,
        _organization: &str,
        _request: CreateEnvironment,
    ) -> Result<Accepted, CommandError> {
        not_yet("create the Environment")
    }

    /// Deletes an Environment with its Applications.
    pub async fn environment_delete(
        &self,
        _actor: &Actor,
        _environment: &str,
    ) -> Result<Accepted, CommandError> {
        not_yet("delete the Environment")
    }

    /// Writes a policy, whole.
    pub async fn policy_put(
        &self,
        _actor: &Actor,
        _policy: PolicyView,
    ) -> Result<Accepted, CommandError> {
        not_yet("set the policy")
    }

    /// Removes a policy.
    pub async fn policy_delete(
        &self,
        _actor: &Actor,
        _name: &str,
    ) -> Result<Accepted, CommandError> {
        not_yet("delete the policy")
    }

    /// Trusts a key for a source of Blueprints.
    pub async fn signer_trust(
        &self,
        _actor: &Actor,
        _request: TrustSigner,
    ) -> Result<Accepted, CommandError> {
        not_yet("trust the signer")
    }

    /// Verifies an artifact in the registry and writes its Blueprint object.
    pub async fn blueprint_register(
        &self,
        _actor: &Actor,
        _request: RegisterBlueprint,
    ) -> Result<BlueprintCard, CommandError> {
        not_yet("register the Blueprint")
    }

    /// What a change would do; writes nothing.
    pub async fn plan(
        &self,
        _actor: &Actor,
        _environment: &str,
        _command: ApplicationCommand,
    ) -> Result<PlanView, CommandError> {
        not_yet("plan the change")
    }

    /// Makes a change: one commit, or one pull request where a policy or the
    /// change asks for it.
    pub async fn execute(
        &self,
        _actor: &Actor,
        _environment: &str,
        _execute: Execute,
    ) -> Result<Accepted, CommandError> {
        not_yet("make the change")
    }

    /// The open and past pull requests of an Environment, newest first, without
    /// diffs.
    pub async fn pulls(
        &self,
        _actor: &Actor,
        _environment: &str,
    ) -> Result<Vec<PullRequestView>, CommandError> {
        not_yet("list the pull requests")
    }

    /// One pull request, with its diff.
    pub async fn pull(
        &self,
        _actor: &Actor,
        _environment: &str,
        _number: u64,
    ) -> Result<PullRequestView, CommandError> {
        not_yet("read the pull request")
    }

    /// Approves a pull request, which its author may not.
    pub async fn pull_approve(
        &self,
        _actor: &Actor,
        _environment: &str,
        _number: u64,
    ) -> Result<PullRequestView, CommandError> {
        not_yet("approve the pull request")
    }

    /// Merges a pull request once every policy is satisfied.
    pub async fn pull_merge(
        &self,
        _actor: &Actor,
        _environment: &str,
        _number: u64,
    ) -> Result<Accepted, CommandError> {
        not_yet("merge the pull request")
    }

    /// The commits that concern an Application, newest first, at most 50.
    pub async fn history(
        &self,
        _actor: &Actor,
        _environment: &str,
        _application: &str,
    ) -> Result<Vec<Revision>, CommandError> {
        not_yet("read the history")
    }

    /// One commit with what it changed in the Application's folder.
    pub async fn revision(
        &self,
        _actor: &Actor,
        _environment: &str,
        _application: &str,
        _commit: &str,
    ) -> Result<RevisionDetail, CommandError> {
        not_yet("read the revision")
    }

    /// The verdict on a push, before refs move. Never an error: what cannot be
    /// judged is refused.
    pub async fn check_push(&self, _push: PushCheck) -> PushVerdict {
        PushVerdict {
            allowed: false,
            messages: vec!["the change was refused: the check is not built yet".to_owned()],
        }
    }

    /// The second commit of a deletion: removes the Application's folder, as
    /// Catalyst. Nothing happens when it is gone already.
    pub async fn finish_deletion(
        &self,
        _environment: &str,
        _application: &str,
    ) -> Result<Accepted, CommandError> {
        not_yet("finish the deletion")
    }
}

mod push;
pub use push::{PushCheck, PushFile, PushRef, PushVerdict};
