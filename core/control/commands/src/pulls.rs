//! Pull requests of Environments: what stands against them, approval, merge, closing.

use std::collections::BTreeSet;

use catalyst_api::{Accepted, PullRequestView};
use catalyst_names::EnvironmentName;
use catalyst_ports::{Pull, PullState};

use crate::applications::{check_change, environment_name};
use crate::policy::{self, Brought, Facts};
use crate::state::{BRANCH, Configuration, application_of_path, application_path};
use crate::store::{AtCommit, environment_repository};
use crate::{Access, Actor, CommandError, Commands, documents};

impl Commands {
    /// The open and past pull requests of an Environment, newest first, without
    /// diffs.
    pub async fn pulls(
        &self,
        actor: &Actor,
        environment: &str,
    ) -> Result<Vec<PullRequestView>, CommandError> {
        let action = format!("list the pull requests of {environment}");
        let environment = environment_name(environment, &action)?;
        let configuration = self
            .readable_configuration(actor, &environment, &action)
            .await?;
        let repository = environment_repository(&environment);
        let pulls = self
            .config()
            .forge
            .pulls(&repository, None)
            .await
            .map_err(CommandError::reach(action.clone()))?;
        let mut views = Vec::with_capacity(pulls.len());
        for pull in pulls {
            views.push(
                self.pull_view(&environment, &configuration.content, &pull, &action)
                    .await?,
            );
        }
        Ok(views)
    }

    /// One pull request, with its diff.
    pub async fn pull(
        &self,
        actor: &Actor,
        environment: &str,
        number: u64,
    ) -> Result<PullRequestView, CommandError> {
        let action = format!("read pull request {number} of {environment}");
        let environment = environment_name(environment, &action)?;
        let configuration = self
            .readable_configuration(actor, &environment, &action)
            .await?;
        let pull = self.find_pull(&environment, number, &action).await?;
        let mut view = self
            .pull_view(&environment, &configuration.content, &pull, &action)
            .await?;
        let diff = self
            .config()
            .forge
            .pull_diff(&environment_repository(&environment), number)
            .await
            .map_err(CommandError::reach(action))?;
        view.diff = Some(diff);
        Ok(view)
    }

    /// Approves a pull request, which its author may not.
    pub async fn pull_approve(
        &self,
        actor: &Actor,
        environment: &str,
        number: u64,
    ) -> Result<PullRequestView, CommandError> {
        let action = format!("approve pull request {number} of {environment}");
        let environment = environment_name(environment, &action)?;
        let configuration = self
            .readable_configuration(actor, &environment, &action)
            .await?;
        let access = Access::of(actor, configuration.content.organizations.values());
        let is_approver = configuration
            .content
            .policies_of(&environment)
            .iter()
            .flat_map(|policy| &policy.spec.rules)
            .any(|rule| rule.approvers.contains(&actor.username));
        if !is_approver {
            check_change(&access, &environment, &action)?;
        }
        let pull = self.find_open_pull(&environment, number, &action).await?;
        let authors = self.authors(&environment, &pull, &action).await?;
        if authors.contains(&actor.username) {
            return Err(CommandError::Authorize {
                action,
                reason: "its author may not approve it".to_owned(),
            });
        }
        let repository = environment_repository(&environment);
        let forge = &self.config().forge;
        let approval = forge.review_approve(&repository, number, Some(&actor.username));
        self.let_in(actor, &repository, approval)
            .await
            .map_err(CommandError::reach(action.clone()))?;
        self.pull_view(&environment, &configuration.content, &pull, &action)
            .await
    }

    /// Merges a pull request once every policy is satisfied.
    pub async fn pull_merge(
        &self,
        actor: &Actor,
        environment: &str,
        number: u64,
    ) -> Result<Accepted, CommandError> {
        let action = format!("merge pull request {number} of {environment}");
        let environment = environment_name(environment, &action)?;
        let configuration = self
            .readable_configuration(actor, &environment, &action)
            .await?;
        let access = Access::of(actor, configuration.content.organizations.values());
        check_change(&access, &environment, &action)?;
        let pull = self.find_open_pull(&environment, number, &action).await?;
        let view = self
            .pull_view(&environment, &configuration.content, &pull, &action)
            .await?;
        if let Some(first) = view.blocked_by.first() {
            return Err(CommandError::Allow {
                action,
                reason: first.clone(),
                next: Some("settle what stands against it, then merge".to_owned()),
            });
        }
        let repository = environment_repository(&environment);
        let message = crate::message(
            actor,
            &format!("Merge pull request {number}: {}", pull.title),
            "merge",
            None,
        );
        // The forge asks the push check, which judges once more.
        let forge = &self.config().forge;
        let merge = forge.pull_merge(&repository, number, &message, Some(&actor.username));
        let commit = self
            .let_in(actor, &repository, merge)
            .await
            .map_err(CommandError::reach(action))?;
        Ok(Accepted {
            repository: repository.to_string(),
            commit: Some(commit),
            pull_request: Some(number),
            plan: None,
        })
    }

    /// Closes a pull request without merging it: whoever opened it, and whoever
    /// may merge it.
    pub async fn pull_close(
        &self,
        actor: &Actor,
        environment: &str,
        number: u64,
    ) -> Result<PullRequestView, CommandError> {
        let action = format!("close pull request {number} of {environment}");
        let environment = environment_name(environment, &action)?;
        let configuration = self
            .readable_configuration(actor, &environment, &action)
            .await?;
        let access = Access::of(actor, configuration.content.organizations.values());
        let pull = self.find_open_pull(&environment, number, &action).await?;
        check_close(&access, &environment, &pull, actor, &action)?;
        let repository = environment_repository(&environment);
        let forge = &self.config().forge;
        let closing = forge.pull_close(&repository, number, Some(&actor.username));
        self.let_in(actor, &repository, closing)
            .await
            .map_err(CommandError::reach(action.clone()))?;
        let closed = self.find_pull(&environment, number, &action).await?;
        self.pull_view(&environment, &configuration.content, &closed, &action)
            .await
    }

    pub(crate) async fn readable_configuration(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        action: &str,
    ) -> Result<AtCommit<Configuration>, CommandError> {
        let configuration = self.store().configuration(self.config(), action).await?;
        let access = Access::of(actor, configuration.content.organizations.values());
        self.check_readable(&access, environment, action)?;
        Ok(configuration)
    }

    pub(crate) async fn find_pull(
        &self,
        environment: &EnvironmentName,
        number: u64,
        action: &str,
    ) -> Result<Pull, CommandError> {
        let repository = environment_repository(environment);
        self.config()
            .forge
            .pull(&repository, number)
            .await
            .map_err(CommandError::reach(action))?
            .ok_or_else(|| CommandError::Find {
                action: action.to_owned(),
                what: format!("pull request {number} in {repository}"),
                next: "look at the list of pull requests".to_owned(),
            })
    }

    async fn find_open_pull(
        &self,
        environment: &EnvironmentName,
        number: u64,
        action: &str,
    ) -> Result<Pull, CommandError> {
        let pull = self.find_pull(environment, number, action).await?;
        if pull.state == PullState::Open && pull.base == BRANCH {
            return Ok(pull);
        }
        Err(CommandError::Allow {
            action: action.to_owned(),
            reason: match pull.state {
                PullState::Merged => "it was merged already".to_owned(),
                PullState::Closed => "it was closed".to_owned(),
                PullState::Open => format!("it does not go to {BRANCH}"),
            },
            next: None,
        })
    }

    /// Who made a pull request: its author, whose branch it brings (only they may
    /// push to it), and whom its last commit names.
    async fn authors(
        &self,
        environment: &EnvironmentName,
        pull: &Pull,
        action: &str,
    ) -> Result<Vec<String>, CommandError> {
        let repository = environment_repository(environment);
        let head = self
            .config()
            .forge
            .commit(&repository, &pull.head_commit)
            .await
            .map_err(CommandError::reach(action))?;
        let mut authors = vec![pull.author.clone()];
        authors.extend(pull.head.split_once('/').map(|(owner, _)| owner.to_owned()));
        authors.extend(head.map(|commit| commit.author.name));
        Ok(authors)
    }

    /// What is known of an open pull request, for its policies.
    pub(crate) async fn pull_facts(
        &self,
        environment: &EnvironmentName,
        configuration: &Configuration,
        pull: &Pull,
        action: &str,
    ) -> Result<Facts, CommandError> {
        let policies = configuration.policies_of(environment);
        let repository = environment_repository(environment);
        let brought = if policy::soak_sources(&policies).is_empty() {
            Vec::new()
        } else {
            self.brought_by(environment, pull, action).await?
        };
        let mut facts = self.entry_facts(&policies, brought, action).await?;
        facts.authors = self.authors(environment, pull, action).await?;
        facts.head.clone_from(&pull.head_commit);
        facts.reviews = self
            .config()
            .forge
            .reviews(&repository, pull.number)
            .await
            .map_err(CommandError::reach(action))?;
        let reviewers: BTreeSet<&String> =
            facts.reviews.iter().map(|review| &review.user).collect();
        let mut may_approve = Vec::new();
        for reviewer in reviewers {
            let actor = self.store().actor(self.config(), reviewer, action).await?;
            let access = Access::of(&actor, configuration.organizations.values());
            if access.can_change(environment) {
                may_approve.push(reviewer.clone());
            }
        }
        facts.may_approve = may_approve;
        Ok(facts)
    }

    /// Versions that a pull request brings.
    async fn brought_by(
        &self,
        environment: &EnvironmentName,
        pull: &Pull,
        action: &str,
    ) -> Result<Vec<Brought>, CommandError> {
        let repository = environment_repository(environment);
        let forge = &self.config().forge;
        let now = self.tree(environment, action).await?;
        let files = forge
            .tree(&repository, &pull.head_commit)
            .await
            .map_err(CommandError::reach(action))?;
        let mut brought = Vec::new();
        for entry in files {
            let Some(name) = application_of_path(&entry.path) else {
                continue;
            };
            let found = forge
                .file(&repository, &pull.head_commit, &entry.path)
                .await
                .map_err(CommandError::reach(action))?;
            let Some(found) = found else { continue };
            let text = String::from_utf8_lossy(&found.content);
            if now
                .content
                .files
                .get(&application_path(name))
                .map(String::as_str)
                == Some(&*text)
            {
                continue;
            }
            let parsed: Result<catalyst_resources::Application, _> =
                documents::parse(&entry.path, &text, "Application");
            if let Ok(after) = parsed {
                let before = now.content.applications.get(name);
                if before.is_none_or(|before| before.spec.blueprint != after.spec.blueprint) {
                    brought.push(Brought {
                        application: name.to_owned(),
                        version: after.spec.blueprint.version,
                    });
                }
            }
        }
        Ok(brought)
    }

    async fn pull_view(
        &self,
        environment: &EnvironmentName,
        configuration: &Configuration,
        pull: &Pull,
        action: &str,
    ) -> Result<PullRequestView, CommandError> {
        let mut view = PullRequestView {
            environment: environment.to_string(),
            number: pull.number,
            title: pull.title.clone(),
            body: pull.body.clone(),
            author: pull.author.clone(),
            head: pull.head.clone(),
            created_at: pull.created_at.clone(),
            state: match pull.state {
                PullState::Open => "open",
                PullState::Merged => "merged",
                PullState::Closed => "closed",
            }
            .to_owned(),
            approvals: Vec::new(),
            blocked_by: Vec::new(),
            diff: None,
        };
        let policies = configuration.policies_of(environment);
        let facts = if pull.state == PullState::Open {
            self.pull_facts(environment, configuration, pull, action)
                .await?
        } else {
            Facts {
                head: pull.head_commit.clone(),
                reviews: self
                    .config()
                    .forge
                    .reviews(&environment_repository(environment), pull.number)
                    .await
                    .map_err(CommandError::reach(action))?,
                ..Facts::default()
            }
        };
        view.approvals = policy::approvers(&facts);
        if pull.state == PullState::Open {
            view.blocked_by = policy::merge_blocks(&policies, &facts);
            if !pull.mergeable {
                view.blocked_by.push(format!(
                    "it conflicts with what {BRANCH} has become; make the change anew"
                ));
            }
        }
        Ok(view)
    }
}

fn check_close(
    access: &Access,
    environment: &EnvironmentName,
    pull: &Pull,
    actor: &Actor,
    action: &str,
) -> Result<(), CommandError> {
    let is_own = !actor.username.is_empty() && pull.author == actor.username;
    if is_own || access.can_change(environment) {
        return Ok(());
    }
    Err(CommandError::Authorize {
        action: action.to_owned(),
        reason: format!(
            "only who opened it, an org-admin, or an org-developer for {environment} may close it"
        ),
    })
}
