//! Wakes Flux, whoever publishes Blueprints, and fleet upgrades that wait for people, when
//! the forge says that somebody pushed or ended a pull request, so that what they did
//! counts at once and not at the next interval; and whoever admits Blueprints, when the
//! registry says so.

use std::collections::BTreeSet;

use catalyst_commands::source_of_repository;
use catalyst_names::{BlueprintName, EnvironmentName};
use catalyst_ports::RepositoryId;
use futures::FutureExt;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::context::Context;
use crate::desired::management::{CONFIG_REPOSITORY, FLUX_NAMESPACE, SYSTEM_ORGANIZATION};
use crate::environment::places;
use crate::error::ReconcileError;
use crate::kubernetes::{BLUEPRINT_SOURCE, Cluster, FLEET_UPGRADE, GIT_REPOSITORY, Kind};
use crate::object::{array, name, text};

/// Wakes whoever a repository concerns; the gateway calls it on every webhook.
#[derive(Clone)]
pub struct Wake {
    ctx: Context,
}

/// See [`Wake`].
pub fn waker(ctx: &Context) -> Wake {
    Wake { ctx: ctx.clone() }
}

impl Wake {
    /// Sets `reconcile.fluxcd.io/requestedAt` on every GitRepository of a
    /// repository: of the configuration in the management cluster, of an
    /// Environment in each of its vclusters; on the object of a source of Blueprints;
    /// and on the fleet upgrades that wait for a pull request of the repository, one of
    /// which may just have ended. A cluster that does not answer is passed over; the
    /// interval of whoever was to be woken catches up.
    pub async fn repository_pushed(&self, repository: &RepositoryId) {
        let (sources, upgrades) =
            futures::join!(self.sources(repository), self.waiting_upgrades(repository));
        let mut woken = Vec::new();
        for found in [sources, upgrades] {
            match found {
                Ok(found) => woken.extend(found),
                Err(error) => {
                    tracing::warn!(%repository, error = %error.chain(), "not found whom a pushed repository wakes");
                }
            }
        }
        let now = Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let requests = woken
            .iter()
            .map(|(cluster, object)| cluster.merge(object, "", &patch).boxed());
        for outcome in join_all(requests).await {
            if let Err(error) = outcome {
                tracing::warn!(%repository, error = %error.chain(), "not woken");
            }
        }
    }

    /// Has the repositories of the registry looked at that a source of Blueprints has;
    /// all others are nobody's. To be told twice is to be told once.
    pub async fn repositories_changed(&self, repositories: BTreeSet<String>) {
        let management = self.ctx.management();
        let found = management.list(BLUEPRINT_SOURCE, "", "").await;
        let sources: Option<BTreeSet<String>> = match found {
            Ok(found) => Some(found.iter().map(|it| name(it).to_owned()).collect()),
            // To look at one too many costs little.
            Err(error) => {
                tracing::debug!(error = %error.chain(), "sources of Blueprints not listed");
                None
            }
        };
        for repository in repositories {
            let Some((source, _)) = BlueprintName::of_repository(&repository) else {
                continue;
            };
            if sources.as_ref().is_none_or(|known| known.contains(source)) {
                self.ctx.repositories.add(repository);
            }
        }
    }

    async fn sources(
        &self,
        repository: &RepositoryId,
    ) -> Result<Vec<(Cluster, Value)>, ReconcileError> {
        if repository.owner == SYSTEM_ORGANIZATION && repository.name == CONFIG_REPOSITORY {
            let management = self.ctx.management();
            let source = object(GIT_REPOSITORY, FLUX_NAMESPACE, CONFIG_REPOSITORY);
            return Ok(vec![(management, source)]);
        }
        if let Some(source) = source_of_repository(repository) {
            let object = object(BLUEPRINT_SOURCE, "", source);
            return Ok(vec![(self.ctx.management(), object)]);
        }
        let Some(environment) = environment_of(repository) else {
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        for place in places(&self.ctx, environment.as_str()).await? {
            if let Some(cluster) = self.ctx.vcluster(&place).await? {
                let source = object(GIT_REPOSITORY, environment.as_str(), environment.as_str());
                sources.push((cluster, source));
            }
        }
        Ok(sources)
    }

    /// The fleet upgrades that wait for a pull request of an Environment's repository;
    /// left alone, they ask the forge ever more rarely.
    async fn waiting_upgrades(
        &self,
        repository: &RepositoryId,
    ) -> Result<Vec<(Cluster, Value)>, ReconcileError> {
        let Some(environment) = environment_of(repository) else {
            return Ok(Vec::new());
        };
        let waits = |upgrade: &Value| {
            let mut applications = array(upgrade, "/status/applications").iter();
            applications.any(|it| {
                text(it, "/environment") == environment.as_str() && text(it, "/state") == "Proposed"
            })
        };
        let management = self.ctx.management();
        let upgrades = management.list(FLEET_UPGRADE, "", "").await?;
        let waiting = upgrades.iter().filter(|upgrade| waits(upgrade));
        let woken =
            waiting.map(|upgrade| (management.clone(), object(FLEET_UPGRADE, "", name(upgrade))));
        Ok(woken.collect())
    }
}

/// The Environment whose own repository it is, under its own Organization.
fn environment_of(repository: &RepositoryId) -> Option<EnvironmentName> {
    let environment = EnvironmentName::new(repository.name.as_str()).ok()?;
    let is_own = environment
        .parts()
        .is_ok_and(|(organization, _)| organization.as_str() == repository.owner);
    is_own.then_some(environment)
}

/// An object by its name; in no namespace where `space` is empty.
fn object(kind: Kind, space: &str, name: &str) -> Value {
    json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": name, "namespace": space},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::annotation;
    use crate::testing::{Empty, Memory, Told, shared_with, with_parts};

    #[tokio::test]
    async fn what_a_registry_tells_wakes_repositories_of_known_sources_alone() {
        let (memory, told) = (Memory::default(), Told::default());
        let (forge, others) = (Empty::serve().await, Empty::serve().await);
        let shared = shared_with(&memory, &told, &forge, &others);
        memory.put(
            "/apis/catalyst.openova.io/v1alpha1/blueprintsources/acme",
            json!({
                "apiVersion": BLUEPRINT_SOURCE.api_version, "kind": BLUEPRINT_SOURCE.kind,
                "metadata": {"name": "acme"}, "spec": {"repository": "acme/shared-blueprints"},
            }),
        );
        let changed = ["acme/bp-wiki", "acme/web", "acme", "globex/bp-wiki", ""];
        let changed =
            || -> BTreeSet<String> { changed.iter().map(|it| (*it).to_owned()).collect() };
        let wake = waker(&shared.ctx);
        wake.repositories_changed(changed()).await;
        wake.repositories_changed(changed()).await;
        assert_eq!(shared.blueprints.next().await, "acme/bp-wiki");
        let more = shared.blueprints.next().now_or_never();
        assert_eq!(more, None);
    }

    #[tokio::test]
    async fn the_fleet_upgrades_that_wait_for_a_repository_are_woken_by_it() {
        let (management, others) = (Memory::default(), Empty::serve().await);
        let at = |name: &str| format!("/apis/{}/fleetupgrades/{name}", FLEET_UPGRADE.api_version);
        for (name, environment, state) in [
            ("waits", "acme-prod", "Proposed"),
            ("rolls-out", "acme-prod", "RollingOut"),
            ("waits-elsewhere", "acme-dev", "Proposed"),
        ] {
            let mut upgrade = object(FLEET_UPGRADE, "", name);
            upgrade["status"] = json!({"applications": [
                {"environment": "acme-stg", "application": "wiki", "state": "Done"},
                {"environment": environment, "application": "wiki", "state": state},
            ]});
            management.put(&at(name), upgrade);
        }
        let address = others.address();
        let shared = with_parts(&management, &Told::default(), address, address);
        let woken = |name: &str| {
            let upgrade = management.get(&at(name)).unwrap();
            !annotation(&upgrade, "reconcile.fluxcd.io/requestedAt").is_empty()
        };
        let wake = waker(&shared.ctx);
        // Nobody's repository, and one that only has the name of an Environment's.
        for (owner, name) in [("acme", "notes"), ("globex", "acme-prod")] {
            wake.repository_pushed(&RepositoryId::new(owner, name))
                .await;
            assert!(!woken("waits"), "{owner}/{name}");
        }
        wake.repository_pushed(&RepositoryId::new("acme", "acme-prod"))
            .await;
        assert!(woken("waits"));
        assert!(!woken("rolls-out") && !woken("waits-elsewhere"));
    }
}
