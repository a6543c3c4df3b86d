//! Sovereign-admins, let into a repository for as long as they act there.
//!
//! What must stay true: nobody is let in for longer than something is done in their
//! name, and for no shorter, however much is done at once. Whom an interruption of
//! the process leaves let in the controllers remove with their next look at the
//! repository ([`Commands::guests_remove`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use catalyst_ports::{Permission, PortError, RepositoryId};
use tokio::sync::Mutex;

use crate::{Actor, Commands};

/// User, in lower case → how many things are being done in their name. Held while
/// the forge is told, so that no two tell it otherwise.
type Present = BTreeMap<String, usize>;

/// Who is let in where.
#[derive(Default)]
pub(crate) struct Guests {
    repositories: Lock<HashMap<String, Arc<Mutex<Present>>>>,
}

impl Guests {
    fn of(&self, repository: &RepositoryId) -> Arc<Mutex<Present>> {
        let mut repositories = self
            .repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Whoever acts in one holds it.
        repositories.retain(|_, present| Arc::strong_count(present) > 1);
        Arc::clone(repositories.entry(repository.to_string()).or_default())
    }
}

impl Commands {
    /// Carries out what the forge is to do in the actor's name. A sovereign-admin
    /// need not be in a team of the Organization, so they are let into the repository
    /// for as long as it takes. They are not made an administrator of the forge: they
    /// would stay one, with every token they made there, when they are none here any
    /// more.
    pub(crate) async fn let_in<T: Send>(
        &self,
        actor: &Actor,
        repository: &RepositoryId,
        act: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        if !actor.sovereign_admin {
            return act.await;
        }
        let present = self.inner.guests.of(repository);
        self.begin(actor, repository, &present).await?;
        let done = act.await;
        self.end(actor, repository, &present).await;
        done
    }

    /// Takes a repository from everybody who was let in by name, but for those in
    /// whose name something is being done there; answers who that was.
    pub async fn guests_remove(&self, repository: &RepositoryId) -> Result<Vec<String>, PortError> {
        let present = self.inner.guests.of(repository);
        let present = present.lock().await;
        let staying: Vec<String> = present.keys().cloned().collect();
        self.config()
            .forge
            .collaborators_remove(repository, &staying)
            .await
    }

    async fn begin(
        &self,
        actor: &Actor,
        repository: &RepositoryId,
        present: &Mutex<Present>,
    ) -> Result<(), PortError> {
        let mut present = present.lock().await;
        let user = actor.username.to_ascii_lowercase();
        if !present.contains_key(&user) {
            self.config()
                .forge
                .collaborator_ensure(repository, &actor.username, Permission::Write)
                .await?;
        }
        *present.entry(user).or_insert(0) += 1;
        Ok(())
    }

    /// The last thing done in their name takes the repository from them.
    async fn end(&self, actor: &Actor, repository: &RepositoryId, present: &Mutex<Present>) {
        let mut present = present.lock().await;
        let user = actor.username.to_ascii_lowercase();
        if let Some(count) = present.get_mut(&user)
            && *count > 1
        {
            *count -= 1;
            return;
        }
        present.remove(&user);
        let (forge, user) = (&self.config().forge, &actor.username);
        if let Err(error) = forge.collaborator_remove(repository, user).await {
            tracing::warn!(%error, %repository, user, "a sovereign-admin stays let in for now");
        }
    }
}
