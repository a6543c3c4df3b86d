//! Deleting Environments and Organizations: refused while there are Applications
//! in them, unless the request says that these and their data go too.
//!
//! What must stay true: no Application goes that nobody named. What cannot be
//! read counts as holding Applications, and whom a policy binds, whatever its rules
//! ask for, does not get round it by deleting the Environment, nor by deleting it
//! empty and making it anew.

use std::collections::BTreeMap;

use catalyst_api::{Accepted, ApplicationsChoice};
use catalyst_names::EnvironmentName;

use crate::applications::environment_name;
use crate::configuration as edit;
use crate::state::{Applications, Configuration, application_of_path};
use crate::users::{only_admin, only_sovereign_admin};
use crate::{Access, Actor, CommandError, Commands};

/// By Environment: the Applications that stand in its repository, or why they
/// cannot be read.
type Held = BTreeMap<String, Result<Vec<String>, String>>;

/// Whether the Environments may go as the request has it.
fn check(
    configuration: &Configuration,
    access: &Access,
    environments: &[String],
    held: &Held,
    choice: ApplicationsChoice,
    action: &str,
) -> Result<(), CommandError> {
    if choice == ApplicationsChoice::Keep {
        check_empty(environments, held, action)?;
    }
    check_policies(configuration, access, environments, action)
}

fn check_empty(environments: &[String], held: &Held, action: &str) -> Result<(), CommandError> {
    let mut found = Vec::new();
    let mut unread = Vec::new();
    for environment in environments {
        match held.get(environment) {
            Some(Ok(names)) => {
                found.extend(names.iter().map(|name| format!("{environment}/{name}")));
            }
            Some(Err(reason)) => unread.push(format!(
                "which Applications {environment} has cannot be read: {reason}"
            )),
            None => unread.push(format!(
                "the Environment {environment} was made a moment ago"
            )),
        }
    }
    let mut reasons = Vec::new();
    match found.as_slice() {
        [] => {}
        [one] => reasons.push(format!("there is an Application in it: {one}")),
        several => reasons.push(format!(
            "there are Applications in it: {}",
            several.join(", ")
        )),
    }
    reasons.extend(unread);
    if reasons.is_empty() {
        return Ok(());
    }
    Err(CommandError::Allow {
        action: action.to_owned(),
        reason: reasons.join("; "),
        next: Some(
            "delete the Applications first, or say that they and their data go too: `--applications drop`, or `applications=drop` in the request"
                .to_owned(),
        ),
    })
}

fn check_policies(
    configuration: &Configuration,
    access: &Access,
    environments: &[String],
    action: &str,
) -> Result<(), CommandError> {
    if access.is_sovereign_admin() {
        return Ok(());
    }
    for environment in environments {
        // What has no Environment's name is not known to be free of policies.
        let name = environment_name(environment, action)?;
        // Made anew, the Environment would be bound by nothing: to delete it is to
        // lift every rule.
        if access.can_loosen_policy(&name) {
            continue;
        }
        let policies = configuration.policies_of(&name);
        if let Some(policy) = policies.iter().find(|policy| !policy.spec.rules.is_empty()) {
            return Err(CommandError::Allow {
                action: action.to_owned(),
                reason: format!(
                    "the policy {} binds {environment}, and this would delete what it binds, which only those may do who may lift it",
                    policy.metadata.name
                ),
                next: Some(
                    "delete the Applications as the policy has it first, and ask a sovereign-admin to delete what is empty, or a security-officer to lift the policy"
                        .to_owned(),
                ),
            });
        }
    }
    Ok(())
}

/// The Environments of an Organization, by name.
fn environments_of(configuration: &Configuration, organization: &str) -> Vec<String> {
    configuration
        .environments
        .iter()
        .filter(|(_, environment)| environment.spec.organization == organization)
        .map(|(name, _)| name.clone())
        .collect()
}

/// Every Application that has a file, also where it cannot be read.
fn names_of(applications: &Applications) -> Vec<String> {
    applications
        .files
        .keys()
        .filter_map(|path| application_of_path(path))
        .map(str::to_owned)
        .collect()
}

impl Commands {
    /// Deletes an Environment; while it has Applications only if these go too.
    pub async fn environment_delete(
        &self,
        actor: &Actor,
        environment: &str,
        choice: ApplicationsChoice,
    ) -> Result<Accepted, CommandError> {
        let action = format!("delete the Environment {environment}");
        let name = environment_name(environment, &action)?;
        let owner = owner_of(&name);
        let gone = [name.to_string()];
        let state = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(actor, state.content.organizations.values());
        only_admin(&access, &owner, &action)?;
        let held = self.held(&gone, choice, &action).await;
        self.edit_configuration(actor, "environment-delete", &action, |state, access| {
            only_admin(access, &owner, &action)?;
            let edit = edit::delete_environment(state, &name, &action)?;
            check(state, access, &gone, &held, choice, &action)?;
            Ok(edit)
        })
        .await
    }

    /// Deletes an Organization with its Environments; while these have
    /// Applications only if they go too.
    pub async fn organization_delete(
        &self,
        actor: &Actor,
        organization: &str,
        choice: ApplicationsChoice,
    ) -> Result<Accepted, CommandError> {
        let action = format!("delete the Organization {organization}");
        only_sovereign_admin(&Access::of(actor, &[]), &action)?;
        let state = self.store().configuration(self.config(), &action).await?;
        let environments = environments_of(&state.content, organization);
        let held = self.held(&environments, choice, &action).await;
        self.edit_configuration(actor, "organization-delete", &action, |state, access| {
            only_sovereign_admin(access, &action)?;
            let edit = edit::delete_organization(state, organization, &action)?;
            let gone = environments_of(state, organization);
            check(state, access, &gone, &held, choice, &action)?;
            Ok(edit)
        })
        .await
    }

    /// What stands in the Environments' repositories; nothing is asked where it
    /// goes anyhow.
    async fn held(
        &self,
        environments: &[String],
        choice: ApplicationsChoice,
        action: &str,
    ) -> Held {
        let mut held = Held::new();
        if choice == ApplicationsChoice::Drop {
            return held;
        }
        for environment in environments {
            let found = self.applications_in(environment, action).await;
            let found = found.map_err(|error| error.problem().detail);
            held.insert(environment.clone(), found);
        }
        held
    }

    async fn applications_in(
        &self,
        environment: &str,
        action: &str,
    ) -> Result<Vec<String>, CommandError> {
        let name = environment_name(environment, action)?;
        let found = self
            .store()
            .applications(self.config(), &name, action)
            .await?;
        Ok(found
            .map(|found| names_of(&found.content))
            .unwrap_or_default())
    }
}

fn owner_of(environment: &EnvironmentName) -> String {
    environment
        .parts()
        .map(|(owner, _)| owner.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use catalyst_api::ApplicationsChoice::{Drop, Keep};

    use super::*;

    fn configuration() -> Configuration {
        let mut files = BTreeMap::new();
        for (organization, env_type) in [
            ("acme", "dev"),
            ("acme", "prod"),
            ("acme", "stg"),
            ("globex", "dev"),
        ] {
            files.insert(
                format!("environments/{organization}-{env_type}.yaml"),
                format!(
                    "apiVersion: catalyst.openova.io/v1alpha1\nkind: Environment\nmetadata: {{name: {organization}-{env_type}}}\nspec: {{organization: {organization}, envType: {env_type}}}\n"
                ),
            );
        }
        for (name, environment, rule) in [
            ("careful", "acme-prod", "{kind: pr-required}"),
            (
                "hours",
                "acme-dev",
                "{kind: change-window, window: {cron: \"0 8 * * *\", duration: 2h}}",
            ),
            (
                "patience",
                "acme-stg",
                "{kind: soak, sourceEnvironment: acme-dev, duration: 1d}",
            ),
        ] {
            files.insert(
                format!("policies/{name}.yaml"),
                format!(
                    "apiVersion: catalyst.openova.io/v1alpha1\nkind: EnvironmentPolicy\nmetadata: {{name: {name}}}\nspec:\n  appliesTo: {{environments: [{environment}]}}\n  rules:\n  - {rule}\n"
                ),
            );
        }
        let configuration = Configuration::read(files);
        assert_eq!(configuration.environments.len(), 4);
        assert_eq!(configuration.policies.len(), 3);
        configuration
    }

    fn access(sovereign_admin: bool) -> Access {
        let actor = Actor {
            username: "ada".to_owned(),
            sovereign_admin,
            ..Actor::default()
        };
        Access::of(&actor, &[])
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// By Environment: names with a space between them, or why there are none.
    fn held(of: &[(&str, Result<&str, &str>)]) -> Held {
        let mut held = Held::new();
        for (environment, found) in of {
            let found = match found {
                Ok(names) => Ok(names.split_whitespace().map(str::to_owned).collect()),
                Err(reason) => Err((*reason).to_owned()),
            };
            held.insert((*environment).to_owned(), found);
        }
        held
    }

    #[test]
    fn what_has_applications_stays_and_they_are_named() {
        let configuration = configuration();
        let both = environments_of(&configuration, "acme");
        assert_eq!(both, ["acme-dev", "acme-prod", "acme-stg"]);
        let refusal = |held: &Held| {
            let admin = access(true);
            let checked = check(&configuration, &admin, &both, held, Keep, "delete acme");
            checked.err().map(|error| error.problem())
        };
        let empty = held(&[
            ("acme-dev", Ok("")),
            ("acme-prod", Ok("")),
            ("acme-stg", Ok("")),
        ]);
        assert!(refusal(&empty).is_none());
        let some = held(&[
            ("acme-dev", Ok("db wiki")),
            ("acme-prod", Ok("wiki")),
            ("acme-stg", Ok("")),
        ]);
        let problem = refusal(&some).unwrap();
        assert_eq!((problem.status, problem.kind.as_str()), (409, "refused"));
        assert_eq!(
            problem.detail,
            "There are Applications in it: acme-dev/db, acme-dev/wiki, acme-prod/wiki"
        );
        assert!(
            problem
                .next
                .unwrap_or_default()
                .contains("applications=drop")
        );
        // Whoever says so may; nothing needs to be read for it.
        for held in [&some, &Held::new()] {
            let admin = access(true);
            assert!(check(&configuration, &admin, &both, held, Drop, "delete acme").is_ok());
        }
    }

    #[test]
    fn what_cannot_be_read_counts_as_having_applications() {
        let configuration = configuration();
        let gone = names(&["acme-dev"]);
        for (held, words) in [
            (held(&[("acme-dev", Err("the forge is away"))]), "is away"),
            // Made after the others were looked at.
            (held(&[("acme-prod", Ok(""))]), "a moment ago"),
        ] {
            let admin = access(true);
            let refused = check(&configuration, &admin, &gone, &held, Keep, "delete it");
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
            assert!(check(&configuration, &admin, &gone, &held, Drop, "delete it").is_ok());
        }
        // A file that cannot be read is an Application as well.
        let path = "applications/wiki/application.yaml".to_owned();
        let files = BTreeMap::from([(path, "{".to_owned())]);
        assert_eq!(names_of(&Applications::read(files)), ["wiki"]);
    }

    #[test]
    fn nobody_deletes_past_a_policy() {
        let configuration = configuration();
        let deletion = |environment: &str, sovereign_admin| {
            let access = access(sovereign_admin);
            let gone = names(&[environment]);
            let nothing = Held::new();
            check(&configuration, &access, &gone, &nothing, Drop, "delete it")
        };
        let problem = deletion("acme-prod", false).unwrap_err().problem();
        assert_eq!(problem.status, 409);
        assert!(problem.detail.contains("The policy careful binds"));
        let next = problem.next.unwrap_or_default();
        assert!(next.contains("as the policy has it first"), "{next}");
        assert!(next.contains("sovereign-admin"), "{next}");
        assert!(deletion("acme-prod", true).is_ok());
        // Whatever the policy's kind; what is bound by none goes.
        for (environment, words) in [("acme-dev", "hours binds"), ("acme-stg", "patience binds")] {
            let problem = deletion(environment, false).unwrap_err().problem();
            assert_eq!(problem.status, 409);
            assert!(problem.detail.contains(words), "{problem:?}");
            assert!(deletion(environment, true).is_ok());
        }
        assert!(deletion("globex-dev", false).is_ok());
        // Nor what is empty: made anew it would be bound by nothing.
        let empty = held(&[
            ("acme-dev", Ok("")),
            ("acme-prod", Ok("")),
            ("acme-stg", Ok("")),
            ("globex-dev", Ok("")),
        ]);
        for (environment, sovereign_admin, may) in [
            ("acme-prod", false, false),
            ("acme-prod", true, true),
            ("acme-dev", false, false),
            ("acme-stg", false, false),
            ("acme-stg", true, true),
            ("globex-dev", false, true),
        ] {
            let access = access(sovereign_admin);
            let gone = names(&[environment]);
            let checked = check(&configuration, &access, &gone, &empty, Keep, "delete it");
            assert_eq!(checked.is_ok(), may, "{environment}: {checked:?}");
        }
    }
}
