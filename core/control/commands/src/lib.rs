//! The write side: the only code that changes desired state.
//!
//! A command is checked (access, names, config, dependencies, quota, policy),
//! made into a plan, and becomes exactly one commit or pull request. A plain
//! `git push` meets the same checks by [`Commands::check_push`]. Called by the
//! gateway for users, and by the controllers for the second commit of a
//! deletion, the turns of a fleet upgrade and the key of a source.
//!
//! What must stay true:
//! - one command, one commit: nothing half-done stays in a repository;
//! - every verb denies across Organizations ([`access`]);
//! - a secret's value goes to the vault before anything is committed, and is
//!   never in a commit, plan, log or error.

pub mod access;
mod admins;
mod applications;
mod catalogue;
mod change;
mod check;
mod configuration;
mod deletions;
mod documents;
mod error;
mod fleet;
mod guests;
mod history;
mod loosening;
mod mail;
mod objects;
mod opening;
mod policy;
mod promote;
mod pulls;
mod push;
mod registration;
mod request;
mod sources;
mod state;
mod store;
mod usernames;
mod users;
mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalyst_ports::{
    ChangeFiles, Clusters, FileChange, Forge, Identity, Person, RepositoryId, Vault,
};
use catalyst_supply::Registry;

pub use access::{Access, Actor};
pub use error::CommandError;
pub use fleet::{Standing, Turn};
pub use push::{PushCheck, PushFile, PushRef, PushVerdict};
pub use request::RequestId;
pub use sources::{
    FolderFiles, Judgement, blueprint_of_folder, content_problem, is_blueprint_folder,
    judge_folder, place_in_source, source_of_repository, source_repository,
};
pub use users::{admitted_blueprint, card, trust_policy};

/// How often a command is decided anew when somebody else was faster.
const MOST_ATTEMPTS: usize = 6;

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

impl CommandsConfig {
    /// The registry's address, with its scheme where that is not TLS.
    pub(crate) fn registry_address(&self) -> String {
        if self.registry_insecure {
            format!("http://{}", self.registry_host)
        } else {
            self.registry_host.clone()
        }
    }
}

/// The commands; clones share caches.
#[derive(Clone)]
pub struct Commands {
    inner: Arc<Inner>,
}

struct Inner {
    config: CommandsConfig,
    store: store::Store,
    guests: guests::Guests,
}

impl Commands {
    /// Commands on these parts.
    pub fn new(config: CommandsConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                store: store::Store::default(),
                guests: guests::Guests::default(),
            }),
        }
    }

    pub(crate) fn config(&self) -> &CommandsConfig {
        &self.inner.config
    }

    pub(crate) fn store(&self) -> &store::Store {
        &self.inner.store
    }

    fn catalyst(&self) -> Person {
        Person {
            name: "Catalyst".to_owned(),
            email: format!("catalyst@{}", self.config().domain),
        }
    }

    /// The control plane itself, as the author of what nobody asked for.
    pub(crate) fn service(&self) -> Actor {
        let person = self.catalyst();
        Actor {
            username: person.name,
            email: Some(person.email),
            ..Actor::default()
        }
    }

    /// Writes files in one commit, if the branch still stands at `head`.
    #[allow(clippy::too_many_arguments)]
    pub(crate) async fn commit(
        &self,
        actor: &Actor,
        repository: &RepositoryId,
        head: &str,
        new_branch: Option<String>,
        message: String,
        files: BTreeMap<String, Option<String>>,
        action: &str,
    ) -> Result<String, CommandError> {
        let author = Person {
            name: actor.username.clone(),
            email: actor
                .email
                .clone()
                .unwrap_or_else(|| format!("{}@noreply.{}", actor.username, self.config().domain)),
        };
        let change = ChangeFiles {
            branch: state::BRANCH.to_owned(),
            new_branch,
            expected_head: Some(head.to_owned()),
            message,
            author,
            committer: self.catalyst(),
            files: files
                .into_iter()
                .map(|(path, text)| FileChange {
                    path,
                    content: text.map(String::into_bytes),
                })
                .collect(),
        };
        self.config()
            .forge
            .change_files(repository, change)
            .await
            .map_err(CommandError::reach(action))
    }
}

/// A commit's message with its trailers; who asks for something outside of a
/// request is given an id for it.
pub(crate) fn message(actor: &Actor, subject: &str, command: &str, plan: Option<&str>) -> String {
    let request = actor.request.clone().unwrap_or_else(RequestId::random);
    let plan = plan
        .map(|digest| format!("Catalyst-Plan: {digest}\n"))
        .unwrap_or_default();
    format!("{subject}\n\nCatalyst-Command: {command}\n{plan}Catalyst-Request: {request}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_names_the_request_it_was_made_for() {
        let actor = Actor {
            request: RequestId::parse("ticket-4711"),
            ..Actor::default()
        };
        assert_eq!(
            message(&actor, "Install wiki", "install", Some("sha256:00")),
            "Install wiki\n\nCatalyst-Command: install\nCatalyst-Plan: sha256:00\nCatalyst-Request: ticket-4711\n"
        );
        // What nobody asked for by a request is still told apart.
        let own = || message(&Actor::default(), "Remove wiki", "finish-deletion", None);
        assert!(own().contains("Catalyst-Request: "));
        assert_ne!(own(), own());
    }
}
