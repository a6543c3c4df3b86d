//! The end of an Organization: its Environments first, then at the same time what
//! it has in the forge, in the registry and in the vault, in a minute.

use catalyst_ports::RepositoryId;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::Value;

use super::{environments_of, shared_registry};
use crate::context::Context;
use crate::controllers::Shared;
use crate::error::ReconcileError;
use crate::kubernetes::{BLUEPRINT, BLUEPRINT_SOURCE, Cluster, ENVIRONMENT};
use crate::object::{is_deleting, name, text};
use crate::report::Part;
use crate::runtime::Next;
use crate::saga::Saga;
use crate::source::signing_key_path;
use crate::{finalizer, report, secrets};

/// How long each step may take at most, by what it waits for.
mod within {
    use std::time::Duration;

    /// The Environments, whose own ends go on if they take longer.
    pub const ENVIRONMENTS: Duration = Duration::from_secs(39);
    /// The list of repositories.
    pub const LIST: Duration = Duration::from_secs(3);
    /// All repositories at once.
    pub const REPOSITORIES: Duration = Duration::from_secs(5);
    /// The forge organization.
    pub const ORGANIZATION: Duration = Duration::from_secs(3);
    /// A user or a robot.
    pub const USER: Duration = Duration::from_secs(3);
    /// The registry project.
    pub const PROJECT: Duration = Duration::from_secs(4);
    /// Its Blueprints.
    pub const BLUEPRINTS: Duration = Duration::from_secs(3);
    /// Who may pull what all share.
    pub const MEMBERS: Duration = Duration::from_secs(3);
    /// The vault policy.
    pub const POLICY: Duration = Duration::from_secs(3);
    /// The secrets.
    pub const SECRETS: Duration = Duration::from_secs(8);
}

/// Removes everything of an Organization, within the saga's bound.
pub async fn delete(
    shared: &Shared,
    management: &Cluster,
    object: &Value,
) -> Result<Next, ReconcileError> {
    // It may wait for the better part of a minute, in which others have their turn.
    shared.slot.step_aside();
    let ctx = &shared.ctx;
    let owner = name(object);
    let mut saga = Saga::of("Organization", object);
    report::progress(ctx, object, &saga, "its Environments").await;
    environments(ctx, management, owner, &mut saga).await;
    report::progress(ctx, object, &saga, "forge, registry and vault").await;
    end(shared, management, object, saga).await
}

/// The last of an Organization: all that it has beside its Environments.
async fn end(
    shared: &Shared,
    management: &Cluster,
    object: &Value,
    mut saga: Saga,
) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let owner = name(object);
    let (forge, registry, vault) = futures::join!(
        in_forge(ctx, owner, saga.branch()),
        in_registry(shared, management, owner, saga.branch()),
        in_vault(ctx, owner, saga.branch()),
    );
    let away = report::unanswered(&[
        (Part::Forge, &forge),
        (Part::Registry, &registry),
        (Part::Vault, &vault),
    ]);
    for part in [forge, registry, vault] {
        saga.join(part);
    }
    if !away.is_empty() {
        return report::parts_away(ctx, management, object, &saga, &away).await;
    }
    report::end(ctx, management, object, &saga).await;
    finalizer::remove(management, object, finalizer::ORGANIZATION).await?;
    Ok(None)
}

/// The commit that deletes an Organization deletes its Environments; what a push
/// left over goes now.
async fn environments(ctx: &Context, management: &Cluster, owner: &str, saga: &mut Saga) {
    saga.step("its Environments", within::ENVIRONMENTS, || async {
        let left = environments_of(ctx, owner).await?;
        for environment in &left {
            if !is_deleting(environment) {
                management
                    .delete(ENVIRONMENT, "", name(environment))
                    .await?;
            }
        }
        if left.is_empty() {
            return Ok(true);
        }
        let names: Vec<&str> = left.iter().map(name).collect();
        Err(ReconcileError::missing(
            "end",
            names.join(", "),
            "it goes on; see its own deletion",
        ))
    })
    .await;
}

/// Repositories, the organization, and the user that Flux signs in as.
async fn in_forge(ctx: &Context, owner: &str, mut saga: Saga) -> Saga {
    let listed = tokio::time::timeout(within::LIST, ctx.forge.repositories(owner)).await;
    let repositories = match listed {
        Ok(Ok(repositories)) => repositories,
        // The organization's own end names what stays.
        Ok(Err(error)) if !error.retryable() => Vec::new(),
        Ok(Err(_)) | Err(_) => {
            let what = format!("the repositories of {owner}");
            saga.miss(&what, "the forge gave no list of them");
            Vec::new()
        }
    };
    let ends = repositories.into_iter().map(|repository| {
        let id = RepositoryId::new(owner, repository);
        drop_repository(ctx, id, saga.branch()).boxed()
    });
    for part in join_all(ends).await {
        saga.join(part);
    }
    let what = format!("the forge organization {owner}");
    saga.delete(&what, within::ORGANIZATION, || {
        ctx.forge.organization_delete(owner)
    })
    .await;
    let user = format!("flux-{owner}");
    let what = format!("the forge user {user}");
    saga.delete(&what, within::USER, || ctx.forge.user_delete(&user))
        .await;
    saga
}

async fn drop_repository(ctx: &Context, id: RepositoryId, mut saga: Saga) -> Saga {
    let what = format!("the repository {id}");
    saga.delete(&what, within::REPOSITORIES, || {
        ctx.forge.repository_delete(&id)
    })
    .await;
    saga
}

/// The robot of Flux, the project with its Blueprints, and what its members could pull
/// of all.
async fn in_registry(shared: &Shared, management: &Cluster, owner: &str, mut saga: Saga) -> Saga {
    let registry = &shared.ctx.registry_admin;
    let robot = format!("flux-{owner}");
    let what = format!("the registry robot {robot}");
    saga.delete(&what, within::USER, || registry.robot_delete(&robot))
        .await;
    let what = format!("the registry project {owner}");
    saga.delete(&what, within::PROJECT, || registry.project_delete(owner))
        .await;
    // Whoever has the name next must not find what the registry no longer has.
    let what = format!("the Blueprints of {owner}");
    saga.step(&what, within::BLUEPRINTS, || async {
        drop_blueprints(management, owner).await?;
        Ok(true)
    })
    .await;
    // The rest of the Organizations keep their right to the shared project.
    let what = "the members of catalog-sovereign";
    saga.step(what, within::MEMBERS, || async {
        shared_registry(shared).await?;
        Ok(true)
    })
    .await;
    saga
}

async fn drop_blueprints(management: &Cluster, source: &str) -> Result<(), ReconcileError> {
    for blueprint in management.list(BLUEPRINT, "", "").await? {
        if text(&blueprint, "/spec/source") == source {
            management.delete(BLUEPRINT, "", name(&blueprint)).await?;
        }
    }
    management.delete(BLUEPRINT_SOURCE, "", source).await?;
    Ok(())
}

/// The policy, the secrets, the password that Flux signs in with, and the key that
/// signed its Blueprints.
async fn in_vault(ctx: &Context, owner: &str, mut saga: Saga) -> Saga {
    let policy = format!("org-{owner}");
    let what = format!("the vault policy {policy}");
    saga.delete(&what, within::POLICY, || ctx.vault.policy_delete(&policy))
        .await;
    let folder = format!("org/{owner}");
    let password = secrets::forge_password_path(&format!("flux-{owner}"));
    let signing_key = signing_key_path(owner);
    let what = format!("the secrets below {folder}");
    saga.ask(&what, within::SECRETS, || async {
        secrets::delete_below(&ctx.vault, &folder).await?;
        for secret in [&password, &signing_key] {
            let deleted = ctx.vault.secret_delete_all(secret).await;
            deleted.map_err(ReconcileError::port(
                "delete",
                format!("the secret {secret}"),
            ))?;
        }
        Ok(())
    })
    .await;
    saga
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::clock;
    use crate::object::condition;
    use crate::report::{END_WITHIN, EVENT_WITHIN, PROGRESS_WITHIN};
    use crate::saga::PROMISED;
    use crate::testing::{Empty, Memory, Told, leaves_its_worker, shared, shared_with};

    const PATH: &str = "/apis/catalyst.openova.io/v1alpha1/organizations/acme";

    #[tokio::test]
    async fn its_blueprints_go_and_no_others() {
        let memory = Memory::default();
        let path = |name: &str| format!("/apis/catalyst.openova.io/v1alpha1/blueprints/{name}");
        for (name, source) in [("acme-wiki", "acme"), ("catalog-wiki", "catalog")] {
            memory.put(
                &path(name),
                json!({
                    "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Blueprint",
                    "metadata": {"name": name}, "spec": {"source": source},
                }),
            );
        }
        let of_source = "/apis/catalyst.openova.io/v1alpha1/blueprintsources/acme";
        memory.put(of_source, json!({"metadata": {"name": "acme"}}));
        drop_blueprints(&memory.cluster(), "acme").await.unwrap();
        assert_eq!(memory.get(of_source), None);
        assert_eq!(memory.get(&path("acme-wiki")), None);
        assert!(memory.get(&path("catalog-wiki")).is_some());
    }

    #[tokio::test]
    async fn it_keeps_no_worker_while_it_waits() {
        let memory = Memory::default();
        let object = json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Organization",
            "metadata": {"name": "acme", "deletionTimestamp": clock::now()},
            "spec": {"displayName": "Acme"},
        });
        let shared = shared(&memory, &Told::default());
        leaves_its_worker(shared, async |shared: &Shared| {
            delete(shared, &memory.cluster(), &object).await
        })
        .await;
    }

    #[tokio::test]
    async fn it_ends_once_every_part_answers_and_says_so_until_then() {
        let (memory, told) = (Memory::default(), Told::default());
        let (forge, others) = (Empty::serve().await, Empty::serve().await);
        let shared = shared_with(&memory, &told, &forge, &others);
        memory.put(
            PATH,
            json!({
                "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Organization",
                "metadata": {
                    "name": "acme", "deletionTimestamp": clock::now(),
                    "finalizers": [finalizer::ORGANIZATION],
                },
                "spec": {"displayName": "Acme"},
            }),
        );
        let look = async || {
            let object = memory.get(PATH).unwrap();
            let saga = Saga::hurried("Organization", "acme");
            end(&shared, &memory.cluster(), &object, saga).await
        };
        for (part, reason, words) in [
            (&forge, "ForgeAway", "the forge, which gives no answer"),
            (
                &others,
                "RegistryAway",
                "the registry and the vault, which give no answer",
            ),
        ] {
            part.set_away(true);
            for _ in 0..2 {
                let error = look().await.unwrap_err();
                assert!(error.retryable(), "{error}");
                let object = memory.get(PATH).unwrap();
                let ready = condition(&object, "Ready").unwrap();
                assert_eq!(text(ready, "/reason"), reason);
                let views = told.take();
                assert!(
                    views.iter().all(|view| view.ended_at.is_none()),
                    "{views:#?}"
                );
                let waiting = views.last().and_then(|view| view.waiting_for.as_deref());
                assert!(waiting.unwrap().starts_with(words), "{views:#?}");
            }
            part.set_away(false);
        }
        assert_eq!(look().await.unwrap(), None);
        assert_eq!(told.take_ends().len(), 1);
        assert_eq!(memory.get(PATH), None);
    }

    /// Change it with the steps: what each waits for at most, one after the other.
    #[test]
    fn all_steps_together_take_no_longer_than_is_promised() {
        let before = [PROGRESS_WITHIN, within::ENVIRONMENTS, PROGRESS_WITHIN];
        let forge = [
            within::LIST,
            within::REPOSITORIES,
            within::ORGANIZATION,
            within::USER,
        ];
        let registry = [
            within::USER,
            within::PROJECT,
            within::BLUEPRINTS,
            within::MEMBERS,
        ];
        let vault = [within::POLICY, within::SECRETS];
        for part in [&forge[..], &registry[..], &vault[..]] {
            let steps = before
                .iter()
                .chain(part)
                .chain([&EVENT_WITHIN, &END_WITHIN]);
            let sum: Duration = steps.sum();
            assert!(sum <= PROMISED, "{sum:?}");
        }
    }
}
