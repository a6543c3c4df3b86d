//! Organization: its place in the forge, the registry and the vault, and its
//! members' rights everywhere, from `spec.members` alone.
//!
//! What must stay true: one reconcile takes every right from a member who left.

mod deletion;

use std::collections::BTreeMap;

use catalyst_commands::source_repository;
use catalyst_names::OrganizationName;
use catalyst_ports::{Permission, RegistryRole, RepositoryOptions};
use catalyst_resources::{EnvironmentSpec, Member, OrganizationSpec, Role};
use futures::FutureExt;
use futures::future::join_all;
use serde_json::{Map, Value};

use crate::bootstrap::webhook;
use crate::conditions::{self, Observation};
use crate::context::{Context, spec};
use crate::controllers::Shared;
use crate::desired::management::{flux_user, vault_policy, vault_policy_name};
use crate::error::ReconcileError;
use crate::kubernetes::{ENVIRONMENT, ORGANIZATION};
use crate::object::{is_deleting, name};
use crate::runtime::Next;
use crate::{access, environment, finalizer, groups, secrets};

const READY: &str = "Ready";
/// The forge's teams, and who is in them. None administers repositories: who does
/// can delete or publish an Environment's, past every policy, and let in people
/// that no commit names.
const TEAMS: [(&str, Permission, &[Role]); 3] = [
    ("admins", Permission::Write, &[Role::OrgAdmin]),
    ("developers", Permission::Write, &[Role::OrgDeveloper]),
    (
        "viewers",
        Permission::Read,
        &[Role::OrgViewer, Role::SecurityOfficer],
    ),
];

/// Makes one Organization as it is wanted.
pub async fn reconcile(shared: &Shared, organization: &str) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let management = ctx.management();
    let Some(object) = management.get(ORGANIZATION, "", organization).await? else {
        return Ok(None);
    };
    if is_deleting(&object) {
        return deletion::delete(shared, &management, &object).await;
    }
    finalizer::add(&management, &object, finalizer::ORGANIZATION).await?;
    let outcome = ensure(shared, &object).await;
    let observed = match &outcome {
        Ok(()) => Observation::holds(
            READY,
            "Reconciled",
            "forge, registry, vault and members are as wanted",
        ),
        Err(error) => Observation::of_error(READY, error),
    };
    conditions::write(&management, &object, &[observed], Map::new()).await?;
    match outcome {
        // Saying it again does not help; the next commit does.
        Err(error) if !error.retryable() => Ok(None),
        other => other.map(|()| None),
    }
}

async fn ensure(shared: &Shared, object: &Value) -> Result<(), ReconcileError> {
    let ctx = &shared.ctx;
    let wanted: OrganizationSpec = spec(object)?;
    let organization = OrganizationName::new(name(object)).map_err(|error| {
        ReconcileError::invalid(
            "make",
            format!("the Organization {}", name(object)),
            error.to_string(),
        )
    })?;
    // Vclusters know groups; forge and registry know users only.
    let by_user = async {
        let resolved = groups::resolve(shared, &wanted.members).await?;
        let (forge, registry) = futures::join!(
            forge(ctx, &organization, &wanted.display_name, &resolved.members),
            registry(shared, &organization, &resolved.members),
        );
        forge.and(registry).and(resolved.outcome)
    };
    // Rights are taken before anything else can fail for other reasons; all
    // are tried, and the first failure is told.
    let (by_user, vault, clusters) = futures::join!(
        by_user,
        vault(ctx, &organization),
        access::of_organization(ctx, organization.as_str(), &wanted.members),
    );
    by_user.and(vault).and(clusters)
}

async fn forge(
    ctx: &Context,
    organization: &OrganizationName,
    display_name: &str,
    members: &[Member],
) -> Result<(), ReconcileError> {
    let owner = organization.as_str();
    let failed = |action: &'static str, what: &str| {
        ReconcileError::port(action, format!("{what} of {owner}"))
    };
    ctx.forge
        .organization_ensure(owner, display_name)
        .await
        .map_err(failed("make", "the forge organization"))?;
    let teams = TEAMS.iter().map(|(team, permission, roles)| {
        set_team(ctx, owner, team, *permission, users(members, roles)).boxed()
    });
    let flux = async {
        let username = flux_user(organization);
        let password = secrets::forge_password(&ctx.vault, &username).await?;
        ctx.forge
            .user_with_password_ensure(&username, &ctx.mail(&username), &password)
            .await
            .map_err(failed("make", "Flux's forge user"))?;
        ctx.forge
            .team_ensure(owner, "readers", Permission::Read)
            .await
            .map_err(failed("make", "the team of Flux"))?;
        ctx.forge
            .team_members_set(owner, "readers", &[username])
            .await
            .map_err(failed("set", "the team of Flux"))
    };
    let repository = async {
        let options = RepositoryOptions {
            private: true,
            description: format!("Blueprints of {owner}"),
        };
        let shared = source_repository(owner);
        ctx.forge
            .repository_ensure(&shared, options)
            .await
            .map_err(failed("make", "the repository of Blueprints"))?;
        environment::closed(ctx, &shared).await
    };
    // What fails stops nothing else: a member whom the forge cannot make must not
    // keep another one's right, or the webhook, from being set.
    let (teams, flux, repository, webhook) =
        futures::join!(join_all(teams), flux, repository, webhook(ctx, owner));
    first_failure(teams).and(flux).and(repository).and(webhook)
}

/// The first failure of what was all tried.
fn first_failure(outcomes: Vec<Result<(), ReconcileError>>) -> Result<(), ReconcileError> {
    outcomes.into_iter().collect()
}

async fn set_team(
    ctx: &Context,
    owner: &str,
    team: &'static str,
    permission: Permission,
    members: Vec<String>,
) -> Result<(), ReconcileError> {
    ctx.forge
        .team_ensure(owner, team, permission)
        .await
        .map_err(ReconcileError::port(
            "make",
            format!("the team {team} of {owner}"),
        ))?;
    ctx.forge
        .team_members_set(owner, team, &members)
        .await
        .map_err(ReconcileError::port(
            "set",
            format!("the team {team} of {owner}"),
        ))
}

async fn registry(
    shared: &Shared,
    organization: &OrganizationName,
    members: &[Member],
) -> Result<(), ReconcileError> {
    let ctx = &shared.ctx;
    let project = organization.as_str();
    let failed = |action: &'static str, project: &str| {
        ReconcileError::port(action, format!("the registry project {project}"))
    };
    ctx.registry_admin
        .project_ensure(project, false)
        .await
        .map_err(failed("make", project))?;
    ctx.registry_admin
        .project_members_set(project, &registry_members(members))
        .await
        .map_err(failed("set the members of", project))?;
    shared_registry(shared).await
}

/// Everybody who belongs to some Organization may pull what the Sovereign's owner
/// curates.
async fn shared_registry(shared: &Shared) -> Result<(), ReconcileError> {
    let ctx = &shared.ctx;
    let mut members = Vec::new();
    for object in ctx.management().list(ORGANIZATION, "", "").await? {
        let Ok(wanted) = spec::<OrganizationSpec>(&object) else {
            continue;
        };
        if is_deleting(&object) {
            continue;
        }
        members.extend(wanted.members);
    }
    let resolved = groups::resolve(shared, &members).await?;
    let readers: Vec<_> = registry_members(&resolved.members)
        .into_iter()
        .map(|(user, _)| (user, RegistryRole::Guest))
        .collect();
    ctx.registry_admin
        .project_members_set("catalog-sovereign", &readers)
        .await
        .map_err(ReconcileError::port(
            "set the members of",
            "the registry project catalog-sovereign",
        ))?;
    resolved.outcome
}

async fn vault(ctx: &Context, organization: &OrganizationName) -> Result<(), ReconcileError> {
    let policy = vault_policy_name(organization);
    ctx.vault
        .policy_put(&policy, &vault_policy(organization))
        .await
        .map_err(ReconcileError::port(
            "write",
            format!("the vault policy {policy}"),
        ))
}

/// The users with one of these roles, sorted, each once.
fn users(members: &[Member], roles: &[Role]) -> Vec<String> {
    let mut users: Vec<String> = members
        .iter()
        .filter(|member| roles.contains(&member.role))
        .filter_map(|member| member.user.clone())
        .collect();
    users.sort();
    users.dedup();
    users
}

/// Who may do what in an Organization's registry project: publishing is an
/// org-admin's, as the API has it. The highest of several roles counts.
fn registry_members(members: &[Member]) -> Vec<(String, RegistryRole)> {
    let mut found = BTreeMap::new();
    for member in members {
        let role = match member.role {
            Role::OrgAdmin => RegistryRole::Maintainer,
            Role::OrgDeveloper | Role::OrgViewer | Role::SecurityOfficer => RegistryRole::Guest,
            Role::BillingAdmin => continue,
        };
        if let Some(user) = &member.user {
            let entry = found.entry(user.clone()).or_insert(role);
            *entry = (*entry).max(role);
        }
    }
    found.into_iter().collect()
}

/// The Environment objects of an Organization.
pub async fn environments_of(
    ctx: &Context,
    organization: &str,
) -> Result<Vec<Value>, ReconcileError> {
    let mut all = ctx.management().list(ENVIRONMENT, "", "").await?;
    all.retain(|one| {
        spec::<EnvironmentSpec>(one).is_ok_and(|spec| spec.organization == organization)
    });
    Ok(all)
}

/// Every Organization, for the sweep.
pub async fn sweep(shared: &Shared) -> Result<(), ReconcileError> {
    let all = shared.ctx.management().list(ORGANIZATION, "", "").await?;
    for one in &all {
        shared.organizations.add(name(one).to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user: &str, role: Role) -> Member {
        Member {
            user: Some(user.to_owned()),
            group: None,
            role,
            environments: Vec::new(),
        }
    }

    #[test]
    fn teams_follow_the_roles() {
        let members = [
            member("zoe", Role::OrgAdmin),
            member("ada", Role::OrgAdmin),
            member("ada", Role::OrgDeveloper),
            member("vic", Role::OrgViewer),
            member("bill", Role::BillingAdmin),
        ];
        let of = |team: &str| {
            let (_, _, roles) = TEAMS.iter().find(|(name, _, _)| *name == team).unwrap();
            users(&members, roles)
        };
        assert_eq!(of("admins"), ["ada", "zoe"]);
        assert_eq!(of("developers"), ["ada"]);
        assert_eq!(of("viewers"), ["vic"]);
    }

    #[test]
    fn the_first_failure_of_several_is_told() {
        let failed = |what: &str| {
            let reason = "it is taken".to_owned();
            Err(ReconcileError::invalid("make", what.to_owned(), reason))
        };
        assert!(first_failure(vec![Ok(()), Ok(())]).is_ok());
        let told = first_failure(vec![Ok(()), failed("one"), failed("two")]);
        let told = told.unwrap_err().chain();
        assert!(told.contains("one") && !told.contains("two"), "{told}");
    }

    #[test]
    fn nobody_but_the_control_plane_administers_an_environments_repository() {
        for (team, permission, _) in TEAMS {
            assert_ne!(permission, Permission::Admin, "{team}");
        }
    }

    #[test]
    fn the_registry_gives_the_highest_of_several_roles_and_nothing_to_accountants() {
        let members = [
            member("ada", Role::OrgViewer),
            member("ada", Role::OrgAdmin),
            member("dev", Role::OrgDeveloper),
            member("bill", Role::BillingAdmin),
        ];
        assert_eq!(
            registry_members(&members),
            [
                ("ada".to_owned(), RegistryRole::Maintainer),
                ("dev".to_owned(), RegistryRole::Guest),
            ]
        );
    }
}
