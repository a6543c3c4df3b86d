//! Reading what commands stand on: repositories by their head, Blueprints of
//! the management cluster, charts by digest, users. Kept as long as it is true.
//!
//! What must stay true: desired state is asked for on every command (one
//! request for the head), so no command decides by a stale commit. Blueprints
//! never change, so only their list grows old; users are kept for a second. Memory is
//! bounded by what there is now: of removed Environments nothing is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalyst_names::EnvironmentName;
use catalyst_plan::{AdmittedBlueprint, BlueprintContent};
use catalyst_ports::RepositoryId;
use catalyst_resources::Environment;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};

use crate::catalogue::Catalogue;
use crate::state::{Applications, BRANCH, CONFIG, Configuration};
use crate::validate::Place;
use crate::{Actor, CommandError, CommandsConfig};

const BLUEPRINTS_FOR: Duration = Duration::from_secs(2);
const USERS_FOR: Duration = Duration::from_secs(1);
const MOST_CONTENTS: usize = 64;
/// Members of this group administer the whole Sovereign.
const SOVEREIGN_ADMIN: &str = "sovereign-admin";

/// Text files of a repository at one commit.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub head: String,
    /// Path → object id and text.
    files: BTreeMap<String, (String, String)>,
}

impl Snapshot {
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.files
            .iter()
            .map(|(path, (_, text))| (path.clone(), text.clone()))
            .collect()
    }
}

/// What was read already.
#[derive(Default)]
pub(crate) struct Store {
    snapshots: Mutex<HashMap<RepositoryId, Arc<Snapshot>>>,
    configuration: Mutex<Option<(String, Arc<Configuration>)>>,
    applications: Mutex<HashMap<String, (String, Arc<Applications>)>>,
    catalogue: Mutex<Option<(Instant, Arc<Catalogue>)>>,
    contents: Mutex<HashMap<String, Arc<BlueprintContent>>>,
    users: Mutex<HashMap<String, (Instant, Actor)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A configuration and the commit it stands at.
#[derive(Clone)]
pub(crate) struct AtCommit<T> {
    pub head: String,
    pub content: Arc<T>,
}

pub(crate) fn config_repository() -> RepositoryId {
    RepositoryId::new(CONFIG.0, CONFIG.1)
}

pub(crate) fn environment_repository(environment: &EnvironmentName) -> RepositoryId {
    let owner = environment
        .parts()
        .map(|(organization, _)| organization.to_string())
        .unwrap_or_default();
    RepositoryId::new(owner, environment.as_str())
}

/// The files that commands read; everything else is left alone.
fn is_wanted(path: &str) -> bool {
    crate::state::kind_of(path).is_some() || crate::state::application_of_path(path).is_some()
}

impl Store {
    /// The repository at its head; `None` while it has no commit.
    async fn snapshot(
        &self,
        config: &CommandsConfig,
        repository: &RepositoryId,
        action: &str,
    ) -> Result<Option<Arc<Snapshot>>, CommandError> {
        let reach = || CommandError::reach(action);
        let Some(head) = config
            .forge
            .head(repository, BRANCH)
            .await
            .map_err(reach())?
        else {
            return Ok(None);
        };
        let known = lock(&self.snapshots).get(repository).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.head == head) {
            return Ok(Some(known.clone()));
        }
        let tree = config
            .forge
            .tree(repository, &head)
            .await
            .map_err(reach())?;
        let mut files = BTreeMap::new();
        for entry in tree.into_iter().filter(|entry| is_wanted(&entry.path)) {
            let kept = known
                .as_ref()
                .and_then(|known| known.files.get(&entry.path))
                .filter(|(sha, _)| *sha == entry.sha)
                .cloned();
            let file = match kept {
                Some(kept) => kept,
                None => {
                    let found = config.forge.file(repository, &head, &entry.path).await;
                    let Some(found) = found.map_err(reach())? else {
                        continue;
                    };
                    let text = String::from_utf8_lossy(&found.content).into_owned();
                    (entry.sha, text)
                }
            };
            files.insert(entry.path, file);
        }
        let snapshot = Arc::new(Snapshot { head, files });
        lock(&self.snapshots).insert(repository.clone(), snapshot.clone());
        Ok(Some(snapshot))
    }

    /// The Sovereign's configuration as it stands now.
    pub async fn configuration(
        &self,
        config: &CommandsConfig,
        action: &str,
    ) -> Result<AtCommit<Configuration>, CommandError> {
        let repository = config_repository();
        let snapshot = self
            .snapshot(config, &repository, action)
            .await?
            .ok_or_else(|| CommandError::Read {
                action: action.to_owned(),
                reason: format!(
                    "there is no commit in {repository} yet; the Sovereign is still starting"
                ),
            })?;
        let head = snapshot.head.clone();
        if let Some((known, content)) = lock(&self.configuration).as_ref()
            && *known == head
        {
            let content = content.clone();
            return Ok(AtCommit { head, content });
        }
        let content = Arc::new(Configuration::read(snapshot.texts()));
        self.keep(&head, &content);
        Ok(AtCommit { head, content })
    }

    /// Keeps a configuration, and nothing more of Environments that it does not have:
    /// there is no end to those that come and go.
    fn keep(&self, head: &str, content: &Arc<Configuration>) {
        let is_there = |environment: &str| content.environments.contains_key(environment);
        let own = config_repository();
        lock(&self.snapshots)
            .retain(|repository, _| *repository == own || is_there(&repository.name));
        lock(&self.applications).retain(|environment, _| is_there(environment));
        *lock(&self.configuration) = Some((head.to_owned(), content.clone()));
    }

    /// An Environment's Applications as they stand now; none while the
    /// repository is empty.
    pub async fn applications(
        &self,
        config: &CommandsConfig,
        environment: &EnvironmentName,
        action: &str,
    ) -> Result<Option<AtCommit<Applications>>, CommandError> {
        let repository = environment_repository(environment);
        let Some(snapshot) = self.snapshot(config, &repository, action).await? else {
            return Ok(None);
        };
        let head = snapshot.head.clone();
        let key = environment.to_string();
        if let Some((known, content)) = lock(&self.applications).get(&key)
            && *known == head
        {
            let content = content.clone();
            return Ok(Some(AtCommit { head, content }));
        }
        let content = Arc::new(Applications::read(snapshot.texts()));
        lock(&self.applications).insert(key, (head.clone(), content.clone()));
        Ok(Some(AtCommit { head, content }))
    }

    /// Every admitted Blueprint; `fresh` when something was not in the last
    /// list.
    pub async fn catalogue(
        &self,
        config: &CommandsConfig,
        fresh: bool,
        action: &str,
    ) -> Result<Arc<Catalogue>, CommandError> {
        if let Some((read_at, known)) = lock(&self.catalogue).as_ref()
            && !fresh
            && read_at.elapsed() < BLUEPRINTS_FOR
        {
            return Ok(known.clone());
        }
        let api = blueprints(config);
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(catalyst_ports::PortError::kubernetes("list the Blueprints"))
            .map_err(CommandError::reach(action))?;
        let mut catalogue = Catalogue::default();
        for object in list {
            let name = object.metadata.name.clone().unwrap_or_default();
            let value = serde_json::to_value(&object).unwrap_or_default();
            match AdmittedBlueprint::from_object(&value) {
                Ok(blueprint) => catalogue.insert(blueprint),
                Err(error) => tracing::warn!(%error, name, "Blueprint object cannot be read"),
            }
        }
        let catalogue = Arc::new(catalogue);
        *lock(&self.catalogue) = Some((Instant::now(), catalogue.clone()));
        Ok(catalogue)
    }

    /// Forgets the list of Blueprints, after one was added.
    pub fn forget_catalogue(&self) {
        *lock(&self.catalogue) = None;
    }

    /// What an admitted artifact carries, by digest.
    pub async fn content(
        &self,
        config: &CommandsConfig,
        blueprint: &AdmittedBlueprint,
        action: &str,
    ) -> Result<Arc<BlueprintContent>, CommandError> {
        if let Some(known) = lock(&self.contents).get(&blueprint.digest) {
            return Ok(known.clone());
        }
        let files = config
            .registry
            .manifests_by_digest(
                &config.registry_address(),
                &blueprint.repository,
                &blueprint.digest,
            )
            .await
            .map_err(|error| CommandError::Admit {
                action: action.to_owned(),
                reason: error.to_string(),
                retryable: error.retryable(),
            })?;
        let content = Arc::new(BlueprintContent { files });
        let mut contents = lock(&self.contents);
        if contents.len() >= MOST_CONTENTS {
            contents.clear();
        }
        contents.insert(blueprint.digest.clone(), content.clone());
        Ok(content)
    }

    /// Who a user name is, by the identity provider; nobody special where it
    /// does not know them.
    pub async fn actor(
        &self,
        config: &CommandsConfig,
        username: &str,
        action: &str,
    ) -> Result<Actor, CommandError> {
        if let Some((read_at, known)) = lock(&self.users).get(username)
            && read_at.elapsed() < USERS_FOR
        {
            return Ok(known.clone());
        }
        let found = config
            .identity
            .user_find(username)
            .await
            .map_err(CommandError::reach(action))?
            .filter(|user| user.enabled);
        let actor = match found {
            Some(user) => Actor {
                username: user.username,
                email: user.email,
                sovereign_admin: user.groups.iter().any(|group| group == SOVEREIGN_ADMIN),
                groups: user.groups,
                request: None,
            },
            // Unknown or switched off: no name, so no role.
            None => Actor::default(),
        };
        let mut users = lock(&self.users);
        users.retain(|_, (read_at, _)| read_at.elapsed() < USERS_FOR);
        users.insert(username.to_owned(), (Instant::now(), actor.clone()));
        Ok(actor)
    }
}

/// The management cluster's Blueprint objects.
pub(crate) fn blueprints(config: &CommandsConfig) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(
        catalyst_resources::GROUP,
        catalyst_resources::VERSION,
        "Blueprint",
    );
    let resource = ApiResource::from_gvk_with_plural(&kind, "blueprints");
    Api::all_with(config.clusters.management(), &resource)
}

/// The place that an Environment is.
pub(crate) fn place_of(
    configuration: &Configuration,
    environment: &EnvironmentName,
    domain: &str,
    action: &str,
) -> Result<Place, CommandError> {
    let found: &Environment = configuration
        .environments
        .get(environment.as_str())
        .ok_or_else(|| CommandError::Find {
            action: action.to_owned(),
            what: format!("Environment {environment}"),
            next: "look at the Organization's list of Environments".to_owned(),
        })?;
    let unusable = |reason: String| CommandError::Read {
        action: action.to_owned(),
        reason,
    };
    let (organization, env_type) = environment
        .parts()
        .map_err(|error| unusable(error.to_string()))?;
    Ok(Place {
        environment: environment.clone(),
        organization,
        env_type,
        domain: domain.to_owned(),
        host_clusters: configuration.placement(found).map_err(unusable)?,
        quota: found.spec.quota.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_removed_environments_nothing_is_kept() {
        let store = Store::default();
        let names = ["acme-dev", "acme-prod", "globex-dev"];
        let configuration = |names: &[&str]| {
            let files = names.iter().map(|name| {
                let (organization, env_type) = name.split_once('-').unwrap();
                let text = format!(
                    "apiVersion: catalyst.openova.io/v1alpha1\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {{organization: {organization}, envType: {env_type}}}\n"
                );
                (format!("environments/{name}.yaml"), text)
            });
            Arc::new(Configuration::read(files.collect()))
        };
        for name in names {
            let environment = EnvironmentName::new(name).unwrap();
            let repository = environment_repository(&environment);
            lock(&store.snapshots).insert(repository, Arc::default());
            let known = (String::new(), Arc::new(Applications::read(BTreeMap::new())));
            lock(&store.applications).insert(name.to_owned(), known);
        }
        lock(&store.snapshots).insert(config_repository(), Arc::default());
        let kept = || {
            let snapshots = lock(&store.snapshots);
            let mut snapshots: Vec<String> = snapshots.keys().map(ToString::to_string).collect();
            snapshots.sort();
            let mut applications: Vec<String> = lock(&store.applications).keys().cloned().collect();
            applications.sort();
            (snapshots, applications)
        };

        store.keep("first", &configuration(&names));
        assert_eq!(kept().1, names);
        store.keep("second", &configuration(&["globex-dev"]));
        let (snapshots, applications) = kept();
        assert_eq!(snapshots, ["globex/globex-dev", "system/catalyst-config"]);
        assert_eq!(applications, ["globex-dev"]);
    }
}
