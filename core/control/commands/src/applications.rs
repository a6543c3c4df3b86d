//! Plan and execute: from a command on an Application to one commit or one
//! pull request.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{Accepted, ApplicationCommand, Execute, PlanView};
use catalyst_names::{ApplicationName, EnvironmentName, NameError};
use catalyst_plan::{Plan, secret_path};
use catalyst_resources::Application;
use catalyst_signature::TrustPolicy;
use zeroize::Zeroizing;

use crate::catalogue::Catalogue;
use crate::change::{self, Draft, Ground};
use crate::opening::{OF_COMMANDS, Proposal};
use crate::policy::{self, Brought};
use crate::state::{Applications, Configuration, application_path};
use crate::store::{AtCommit, environment_repository, place_of};
use crate::users::policy_of;
use crate::validate::{Place, changed_faults, tree_faults};
use crate::{Access, Actor, CommandError, Commands, documents};

/// The values of a secret, by key.
type SecretData = BTreeMap<String, Zeroizing<String>>;

/// A secret that a change brings, and where it goes.
struct BroughtSecret {
    application: String,
    name: String,
    path: String,
    data: SecretData,
}

/// A command that was decided, with all that carrying it out needs.
struct Decision {
    plan: Plan,
    draft: Draft,
    /// The Environment that is written to.
    place: Place,
    head: String,
    /// Whether the change goes by pull request.
    by_pull: bool,
    /// For promotions: where secrets are copied from.
    source: Option<EnvironmentName>,
}

/// What a command is called in trailers and branches.
pub(crate) fn command_word(command: &ApplicationCommand) -> &'static str {
    match command {
        ApplicationCommand::Install { .. } => "install",
        ApplicationCommand::Change { .. } => "change",
        ApplicationCommand::Rollback { .. } => "rollback",
        ApplicationCommand::Promote { .. } => "promote",
        ApplicationCommand::Delete { .. } => "delete",
    }
}

fn application_of(command: &ApplicationCommand) -> &str {
    match command {
        ApplicationCommand::Install { install } => &install.name,
        ApplicationCommand::Change { application, .. }
        | ApplicationCommand::Rollback { application, .. }
        | ApplicationCommand::Promote { application, .. }
        | ApplicationCommand::Delete { application, .. } => application,
    }
}

fn action_of(command: &ApplicationCommand, environment: &str) -> String {
    let name = application_of(command);
    match command {
        ApplicationCommand::Install { .. } => format!("install {name} into {environment}"),
        ApplicationCommand::Change { .. } => format!("change {name} in {environment}"),
        ApplicationCommand::Rollback { .. } => format!("roll back {name} in {environment}"),
        ApplicationCommand::Promote { to, .. } => {
            format!("promote {name} from {environment} to {to}")
        }
        ApplicationCommand::Delete { .. } => format!("delete {name} from {environment}"),
    }
}

/// An Environment's name, or that there is none such.
pub(crate) fn environment_name(text: &str, action: &str) -> Result<EnvironmentName, CommandError> {
    EnvironmentName::new(text).map_err(|_| CommandError::Find {
        action: action.to_owned(),
        what: format!("Environment {text}"),
        next: "look at the list of Environments".to_owned(),
    })
}

impl Commands {
    /// What a change would do; writes nothing.
    pub async fn plan(
        &self,
        actor: &Actor,
        environment: &str,
        command: ApplicationCommand,
    ) -> Result<PlanView, CommandError> {
        let decision = self.decide(actor, environment, &command).await?;
        Ok(decision.plan.view().clone())
    }

    /// Makes a change: one commit, or one pull request where a policy or the
    /// change asks for it.
    pub async fn execute(
        &self,
        actor: &Actor,
        environment: &str,
        execute: Execute,
    ) -> Result<Accepted, CommandError> {
        let action = action_of(&execute.command, environment);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let decision = self.decide(actor, environment, &execute.command).await?;
            let digest = decision.plan.digest().to_owned();
            if let Some(seen) = &execute.plan
                && *seen != digest
            {
                return Err(CommandError::Match {
                    action,
                    reason: "the plan would differ from the one you saw".to_owned(),
                    next: "look at the new plan, then carry it out".to_owned(),
                });
            }
            let word = command_word(&execute.command);
            match self.carry_out(actor, word, &action, decision).await {
                Err(error) if error.is_conflict() && attempts < crate::MOST_ATTEMPTS => {}
                result => return result,
            }
        }
    }

    async fn carry_out(
        &self,
        actor: &Actor,
        word: &'static str,
        action: &str,
        decision: Decision,
    ) -> Result<Accepted, CommandError> {
        let repository = environment_repository(&decision.place.environment);
        let digest = decision.plan.digest().to_owned();
        let mut accepted = Accepted {
            repository: repository.to_string(),
            commit: None,
            pull_request: None,
            plan: Some(digest.clone()),
        };
        if decision.plan.is_empty() {
            return Ok(accepted);
        }
        self.store_secrets(action, &decision).await?;
        let subject = &decision.draft.subject;
        let message = crate::message(actor, subject, word, Some(&digest));
        let files = decision.plan.files().clone();
        if !decision.by_pull {
            let commit = self
                .commit(
                    actor,
                    &repository,
                    &decision.head,
                    None,
                    message,
                    files,
                    action,
                )
                .await?;
            accepted.commit = Some(commit);
            return Ok(accepted);
        }
        let name = decision
            .draft
            .planned
            .first()
            .map(|planned| planned.name.as_str())
            .unwrap_or_default();
        let change = Proposal {
            prefix: format!("{OF_COMMANDS}{word}-{name}-"),
            title: subject.clone(),
            body: pull_body(&decision.plan),
            head: decision.head.clone(),
            repository,
            message,
            files,
        };
        let number = self.propose(actor, change, action).await?;
        accepted.pull_request = Some(number);
        Ok(accepted)
    }

    /// Puts the values of secrets into the vault, before anything refers to them; none
    /// in the place of another.
    async fn store_secrets(&self, action: &str, decision: &Decision) -> Result<(), CommandError> {
        let brought = self
            .brought_secrets(
                &decision.place,
                decision.source.as_ref(),
                &decision.draft,
                action,
            )
            .await?;
        for secret in brought {
            self.config()
                .vault
                .secret_keep(&secret.path, &secret.data)
                .await
                .map_err(CommandError::reach(action))?;
        }
        Ok(())
    }

    /// Names of a draft's secrets under which the vault has other values already.
    async fn taken_names(
        &self,
        place: &Place,
        source: Option<&EnvironmentName>,
        draft: &Draft,
        action: &str,
    ) -> Result<BTreeSet<(String, String)>, CommandError> {
        let mut taken = BTreeSet::new();
        for secret in self.brought_secrets(place, source, draft, action).await? {
            let found = self.secret_at(&secret.path, action).await?;
            if found.is_some_and(|found| found != secret.data) {
                taken.insert((secret.application, secret.name));
            }
        }
        Ok(taken)
    }

    /// The secrets that a draft brings: new ones, and those of the Environment that it
    /// is promoted from.
    async fn brought_secrets(
        &self,
        place: &Place,
        source: Option<&EnvironmentName>,
        draft: &Draft,
        action: &str,
    ) -> Result<Vec<BroughtSecret>, CommandError> {
        let invalid = |error: NameError| CommandError::validate(action, error.to_string());
        let brought = |application: &str,
                       name: &str,
                       data: SecretData|
         -> Result<BroughtSecret, CommandError> {
            let named = ApplicationName::new(application).map_err(invalid)?;
            Ok(BroughtSecret {
                path: secret_path(&place.organization, place.env_type, &named, name),
                application: application.to_owned(),
                name: name.to_owned(),
                data,
            })
        };
        let mut all = Vec::new();
        for secret in &draft.secrets {
            let value = Zeroizing::new(secret.value.to_string());
            let data = BTreeMap::from([("value".to_owned(), value)]);
            all.push(brought(&secret.application, &secret.name, data)?);
        }
        let Some(source) = source else {
            return Ok(all);
        };
        let (organization, env_type) = source.parts().map_err(invalid)?;
        for (application, there, here) in &draft.copies {
            let named = ApplicationName::new(application.as_str()).map_err(invalid)?;
            let from = secret_path(&organization, env_type, &named, there);
            let Some(data) = self.secret_at(&from, action).await? else {
                return Err(CommandError::Read {
                    action: action.to_owned(),
                    reason: format!("the secret {there} of {application} in {source} has no value"),
                });
            };
            all.push(brought(application, here, data)?);
        }
        Ok(all)
    }

    async fn secret_at(
        &self,
        path: &str,
        action: &str,
    ) -> Result<Option<SecretData>, CommandError> {
        let found = self.config().vault.secret_get(path).await;
        let found = found.map_err(CommandError::reach(action))?;
        Ok(found.map(|found| found.data))
    }

    async fn decide(
        &self,
        actor: &Actor,
        environment: &str,
        command: &ApplicationCommand,
    ) -> Result<Decision, CommandError> {
        let action = action_of(command, environment);
        let environment = environment_name(environment, &action)?;
        let configuration = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(actor, configuration.content.organizations.values());
        self.check_readable(&access, &environment, &action)?;
        let destination = match command {
            ApplicationCommand::Promote { to, .. } => {
                let to = environment_name(to, &action)?;
                check_promotion(&access, &environment, &to, &action)?;
                to
            }
            _ => {
                check_change(&access, &environment, &action)?;
                environment.clone()
            }
        };
        let place = place_of(
            &configuration.content,
            &destination,
            &self.config().domain,
            &action,
        )?;
        let tree = self.tree(&destination, &action).await?;
        let source = match command {
            ApplicationCommand::Promote { .. } => Some(self.tree(&environment, &action).await?),
            _ => None,
        };
        let promoted_from = source.as_ref().map(|_| &environment);
        let policy = policy_of(&configuration.content);
        let mut taken = BTreeSet::new();
        let (catalogue, mut draft) = loop {
            let (catalogue, draft) = self
                .drafted(
                    command,
                    &environment,
                    &place,
                    &tree,
                    source.as_ref(),
                    &taken,
                    access.is_sovereign_admin(),
                    &policy,
                    &action,
                )
                .await?;
            let more = self
                .taken_names(&place, promoted_from, &draft, &action)
                .await?;
            if more.is_empty() {
                break (catalogue, draft);
            }
            taken.extend(more);
        };
        self.check_quota(
            &configuration.content,
            &place,
            &tree.content,
            &draft,
            &action,
        )
        .await?;
        change::show_host_access(&mut draft, &catalogue);
        let after = after_draft(&tree.content, &draft);
        check_after(&tree.content, &after, &draft, &place, &catalogue, &action)?;

        let policies = configuration.content.policies_of(&destination);
        let mut names = policy::pull_policies(&policies);
        let mut by_pull =
            policy::needs_pull(&policies) || matches!(command, ApplicationCommand::Promote { .. });
        let facts = self
            .entry_facts(&policies, brought(&tree.content, &draft), &action)
            .await?;
        for block in policy::entry_blocks(&policies, &facts) {
            by_pull = true;
            draft.warnings.push(format!("it has to wait: {block}"));
        }
        if by_pull && names.is_empty() {
            names = policies
                .iter()
                .map(|policy| policy.metadata.name.clone())
                .collect();
        }
        let planned = self
            .planned(
                &configuration.content,
                &place,
                &catalogue,
                &tree.content,
                &after,
                &draft,
                names,
                &action,
            )
            .await?;
        Ok(Decision {
            plan: planned,
            draft,
            place,
            head: tree.head,
            by_pull,
            source: matches!(command, ApplicationCommand::Promote { .. }).then_some(environment),
        })
    }

    /// An Environment's Applications; not there yet while its repository is
    /// empty.
    pub(crate) async fn tree(
        &self,
        environment: &EnvironmentName,
        action: &str,
    ) -> Result<AtCommit<Applications>, CommandError> {
        self.store()
            .applications(self.config(), environment, action)
            .await?
            .ok_or_else(|| CommandError::Allow {
                action: action.to_owned(),
                reason: format!("the Environment {environment} is not ready yet"),
                next: Some("wait until it is Running, then try again".to_owned()),
            })
    }

    /// The draft, and what of the catalogue it stands on: what may be used there.
    #[allow(clippy::too_many_arguments)]
    async fn drafted(
        &self,
        command: &ApplicationCommand,
        environment: &EnvironmentName,
        place: &Place,
        tree: &AtCommit<Applications>,
        source: Option<&AtCommit<Applications>>,
        taken: &BTreeSet<(String, String)>,
        is_sovereign_admin: bool,
        policy: &TrustPolicy,
        action: &str,
    ) -> Result<(Catalogue, Draft), CommandError> {
        let mut is_fresh = false;
        loop {
            let catalogue = self
                .store()
                .catalogue(self.config(), is_fresh, action)
                .await?
                .narrowed(place.organization.as_str(), is_sovereign_admin)
                .offered(policy, &tree.content);
            let ground = Ground {
                action: action.to_owned(),
                place,
                catalogue: &catalogue,
                tree: &tree.content,
                taken,
            };
            let drafted = self.draft(command, environment, &ground, source).await;
            match drafted {
                // It may have been registered a moment ago.
                Err(CommandError::Find { .. } | CommandError::Solve { .. }) if !is_fresh => {
                    is_fresh = true;
                }
                drafted => return Ok((catalogue, drafted?)),
            }
        }
    }

    async fn draft(
        &self,
        command: &ApplicationCommand,
        environment: &EnvironmentName,
        ground: &Ground<'_>,
        source: Option<&AtCommit<Applications>>,
    ) -> Result<Draft, CommandError> {
        match command {
            ApplicationCommand::Install { install } => change::install(ground, install),
            ApplicationCommand::Change {
                application,
                change,
            } => change::change(ground, application, change),
            ApplicationCommand::Delete { application, data } => {
                change::delete(ground, application, *data)
            }
            ApplicationCommand::Promote { application, .. } => {
                let empty = Applications::default();
                let source = source.map_or(&empty, |source| source.content.as_ref());
                crate::promote::promote(ground, application, source, environment.as_str())
            }
            ApplicationCommand::Rollback { application, to } => {
                let (commit, then) = self
                    .application_then(environment, application, to.as_deref(), &ground.action)
                    .await?;
                change::rollback(ground, application, &then, &commit)
            }
        }
    }

    async fn check_quota(
        &self,
        configuration: &Configuration,
        place: &Place,
        tree: &Applications,
        draft: &Draft,
        action: &str,
    ) -> Result<(), CommandError> {
        let new = draft
            .changed
            .keys()
            .filter(|name| !tree.applications.contains_key(*name))
            .count();
        if new == 0 {
            return Ok(());
        }
        let refuse = |of: String, most: i32, have: usize| CommandError::Allow {
            action: action.to_owned(),
            reason: format!(
                "the quota of {of} is {most} Application{}; it has {have}, and this would add {new}",
                if most == 1 { "" } else { "s" }
            ),
            next: Some("delete an Application, or ask for a larger quota".to_owned()),
        };
        let exceeds =
            |most: i32, have: usize| usize::try_from(most).is_ok_and(|most| have + new > most);
        let have = tree.applications.len();
        if let Some(most) = place.quota.as_ref().and_then(|quota| quota.applications)
            && exceeds(most, have)
        {
            return Err(refuse(place.environment.to_string(), most, have));
        }
        let organization = place.organization.as_str();
        let most = configuration
            .organizations
            .get(organization)
            .and_then(|found| found.spec.quota.as_ref())
            .and_then(|quota| quota.applications);
        let Some(most) = most else { return Ok(()) };
        let mut have = have;
        for (name, other) in &configuration.environments {
            if other.spec.organization != organization || name == place.environment.as_str() {
                continue;
            }
            let name = environment_name(name, action)?;
            let found = self
                .store()
                .applications(self.config(), &name, action)
                .await?;
            have += found.map_or(0, |found| found.content.applications.len());
        }
        if exceeds(most, have) {
            return Err(refuse(organization.to_owned(), most, have));
        }
        Ok(())
    }

    /// The second commit of a deletion: removes the Application's folder, as
    /// Catalyst. Nothing happens when it is gone already.
    pub async fn finish_deletion(
        &self,
        environment: &str,
        application: &str,
    ) -> Result<Accepted, CommandError> {
        let action = format!("finish the deletion of {application} in {environment}");
        let name = environment_name(environment, &action)?;
        let repository = environment_repository(&name);
        let service = self.service();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut accepted = Accepted {
                repository: repository.to_string(),
                commit: None,
                pull_request: None,
                plan: None,
            };
            let found = self
                .store()
                .applications(self.config(), &name, &action)
                .await?;
            let Some(tree) = found else {
                return Ok(accepted);
            };
            // Installed anew meanwhile: not ours to remove.
            let is_going = tree
                .content
                .applications
                .get(application)
                .is_some_and(|application| application.spec.deletion.is_some());
            if !is_going {
                return Ok(accepted);
            }
            let folder = format!("applications/{application}/");
            let files = self
                .config()
                .forge
                .tree(&repository, &tree.head)
                .await
                .map_err(CommandError::reach(action.clone()))?
                .into_iter()
                .filter(|entry| entry.path.starts_with(&folder))
                .map(|entry| (entry.path, None))
                .collect();
            let subject = format!("Remove {application} from {environment}");
            let message = crate::message(&service, &subject, "finish-deletion", None);
            let made = self
                .commit(
                    &service,
                    &repository,
                    &tree.head,
                    None,
                    message,
                    files,
                    &action,
                )
                .await;
            match made {
                Ok(commit) => {
                    accepted.commit = Some(commit);
                    return Ok(accepted);
                }
                Err(error) if error.is_conflict() && attempts < crate::MOST_ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn check_readable(
        &self,
        access: &Access,
        environment: &EnvironmentName,
        action: &str,
    ) -> Result<(), CommandError> {
        if access.can_read_environment(environment) {
            return Ok(());
        }
        // Whether it exists is nobody else's business.
        Err(CommandError::Find {
            action: action.to_owned(),
            what: format!("Environment {environment} that you may read"),
            next: "ask an org-admin of its Organization for a role".to_owned(),
        })
    }
}

pub(crate) fn check_change(
    access: &Access,
    environment: &EnvironmentName,
    action: &str,
) -> Result<(), CommandError> {
    if access.can_change(environment) {
        return Ok(());
    }
    Err(CommandError::Authorize {
        action: action.to_owned(),
        reason: format!("changing {environment} takes the role org-admin, or org-developer for it"),
    })
}

fn check_promotion(
    access: &Access,
    from: &EnvironmentName,
    to: &EnvironmentName,
    action: &str,
) -> Result<(), CommandError> {
    let owner = |environment: &EnvironmentName| environment.parts().map(|(owner, _)| owner).ok();
    if owner(from) != owner(to) {
        return Err(CommandError::validate(
            action,
            format!("the Environments {from} and {to} belong to different Organizations"),
        ));
    }
    if from == to {
        return Err(CommandError::validate(
            action,
            "source and destination are the same",
        ));
    }
    // The pull request is merged by somebody who may change the destination.
    check_change(access, from, action).or_else(|_| check_change(access, to, action))
}

fn after_draft(tree: &Applications, draft: &Draft) -> Applications {
    let mut after = tree.clone();
    for (name, application) in &draft.changed {
        let path = application_path(name);
        match application {
            Some(application) => {
                let is_same = after.applications.get(name) == Some(application);
                if !is_same {
                    let before = after.files.get(&path).cloned();
                    let text = documents::write(application, before.as_deref());
                    after.files.insert(path, text);
                    after.applications.insert(name.clone(), application.clone());
                }
            }
            None => {
                after.files.remove(&path);
                after.applications.remove(name);
            }
        }
    }
    after
}

/// What a push would be refused for, a command is refused for, too.
fn check_after(
    before: &Applications,
    after: &Applications,
    draft: &Draft,
    place: &Place,
    catalogue: &Catalogue,
    action: &str,
) -> Result<(), CommandError> {
    let touched: BTreeSet<String> = draft
        .changed
        .iter()
        .filter_map(|(name, application)| {
            application
                .as_ref()
                .filter(|application| application.spec.deletion.is_none())
                .map(|_| name.clone())
        })
        .collect();
    let mut faults = Vec::new();
    for name in &touched {
        faults.extend(changed_faults(name, before, after, place, catalogue));
    }
    // An upgrade of a provider concerns those that depend on it.
    let with_dependents: BTreeSet<String> = touched
        .iter()
        .flat_map(|name| after.dependents(name))
        .chain(touched.iter().cloned())
        .collect();
    faults.extend(tree_faults(after, &with_dependents, place, catalogue));
    match faults.first() {
        None => Ok(()),
        Some(first) => Err(CommandError::Validate {
            action: action.to_owned(),
            reason: format!("it would not fit: {}", first.message),
            next: Some("correct it and try again".to_owned()),
            faults,
        }),
    }
}

/// Versions that a change brings: of Applications that are new or move.
fn brought(tree: &Applications, draft: &Draft) -> Vec<Brought> {
    draft
        .changed
        .iter()
        .filter_map(|(name, application)| {
            let after: &Application = application.as_ref()?;
            let before = tree.applications.get(name);
            let moves = before.is_none_or(|before| before.spec.blueprint != after.spec.blueprint);
            moves.then(|| Brought {
                application: name.clone(),
                version: after.spec.blueprint.version.clone(),
            })
        })
        .collect()
}

fn pull_body(plan: &Plan) -> String {
    let view = plan.view();
    let mut body = String::new();
    for application in &view.applications {
        let action = serde_json::to_value(application.action)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default();
        body.push_str(&format!(
            "- {action} `{}` ({} {}): {}\n",
            application.name, application.blueprint, application.version, application.because
        ));
    }
    for warning in &view.warnings {
        body.push_str(&format!("\n> {warning}\n"));
    }
    body.push_str(&format!("\nPlan: `{}`\n", view.digest));
    body
}
