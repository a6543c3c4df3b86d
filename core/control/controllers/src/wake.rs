//! Wakes Flux, and whoever publishes Blueprints, when the forge says that somebody
//! pushed, so that a commit is applied at once and not at the next interval; and whoever
//! admits Blueprints, when the registry says so.

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
use crate::kubernetes::{BLUEPRINT_SOURCE, Cluster, GIT_REPOSITORY};
use crate::object::name;

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
    /// Environment in each of its vclusters; and on the object of a source of
    /// Blueprints. A cluster that does not answer is passed over; the source's own
    /// interval catches up.
    pub async fn repository_pushed(&self, repository: &RepositoryId) {
        let sources = match self.sources(repository).await {
            Ok(sources) => sources,
            Err(error) => {
                tracing::warn!(%repository, error = %error.chain(), "sources of a pushed repository not found");
                return;
            }
        };
        let now = Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let requests = sources
            .iter()
            .map(|(cluster, source)| cluster.merge(source, "", &patch).boxed());
        for outcome in join_all(requests).await {
            if let Err(error) = outcome {
                tracing::warn!(%repository, error = %error.chain(), "source not woken");
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
            return Ok(vec![(
                management,
                source(FLUX_NAMESPACE, CONFIG_REPOSITORY),
            )]);
        }
        if let Some(source) = source_of_repository(repository) {
            let object = json!({
                "apiVersion": BLUEPRINT_SOURCE.api_version, "kind": BLUEPRINT_SOURCE.kind,
                "metadata": {"name": source},
            });
            return Ok(vec![(self.ctx.management(), object)]);
        }
        // Only an Environment's own repository, under its own Organization.
        let Ok(environment) = EnvironmentName::new(repository.name.as_str()) else {
            return Ok(Vec::new());
        };
        match environment.parts() {
            Ok((organization, _)) if organization.as_str() == repository.owner => {}
            _ => return Ok(Vec::new()),
        }
        let mut sources = Vec::new();
        for place in places(&self.ctx, environment.as_str()).await? {
            if let Some(cluster) = self.ctx.vcluster(&place).await? {
                sources.push((cluster, source(environment.as_str(), environment.as_str())));
            }
        }
        Ok(sources)
    }
}

fn source(space: &str, name: &str) -> Value {
    json!({
        "apiVersion": GIT_REPOSITORY.api_version, "kind": GIT_REPOSITORY.kind,
        "metadata": {"name": name, "namespace": space},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Empty, Memory, Told, shared_with};

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
}
