//! What happened to an Application: its commits, what one of them changed, and
//! what the Application was then.

use std::collections::BTreeMap;

use catalyst_api::{Revision, RevisionDetail};
use catalyst_names::EnvironmentName;
use catalyst_ports::{Commit, CommitsQuery, PortError};
use catalyst_resources::{Application, EnvironmentPolicy};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};

use crate::applications::environment_name;
use crate::policy::{self, Brought, Facts};
use crate::state::{BRANCH, application_path};
use crate::store::{environment_repository, place_of};
use crate::{Access, Actor, CommandError, Commands, documents};

/// The most commits that are listed or looked at.
const MOST: usize = 50;

impl Commands {
    /// The commits that concern an Application, newest first, at most 50.
    pub async fn history(
        &self,
        actor: &Actor,
        environment: &str,
        application: &str,
    ) -> Result<Vec<Revision>, CommandError> {
        let action = format!("read the history of {application} in {environment}");
        let environment = self
            .readable(actor, environment, application, &action)
            .await?;
        let commits = self
            .commits_of(&environment, application, BRANCH, MOST, &action)
            .await?;
        let applied = self
            .applied_commit(&environment, application, &action)
            .await;
        Ok(commits
            .iter()
            .map(|commit| revision(commit, applied.as_deref()))
            .collect())
    }

    /// One commit with what it changed in the Application's folder.
    pub async fn revision(
        &self,
        actor: &Actor,
        environment: &str,
        application: &str,
        commit: &str,
    ) -> Result<RevisionDetail, CommandError> {
        let action = format!("read the commit {commit} of {application} in {environment}");
        let environment = self
            .readable(actor, environment, application, &action)
            .await?;
        let repository = environment_repository(&environment);
        check_commit_id(commit, &action)?;
        let forge = &self.config().forge;
        let found = forge
            .commit(&repository, commit)
            .await
            .map_err(CommandError::reach(action.clone()))?
            .ok_or_else(|| CommandError::Find {
                action: action.clone(),
                what: format!("commit {commit} in {repository}"),
                next: "look at the Application's history".to_owned(),
            })?;
        let diff = forge
            .commit_diff(&repository, commit)
            .await
            .map_err(CommandError::reach(action.clone()))?;
        let applied = self
            .applied_commit(&environment, application, &action)
            .await;
        Ok(RevisionDetail {
            revision: revision(&found, applied.as_deref()),
            diff: only_folder(&diff, &format!("applications/{application}/")),
        })
    }

    async fn readable(
        &self,
        actor: &Actor,
        environment: &str,
        application: &str,
        action: &str,
    ) -> Result<EnvironmentName, CommandError> {
        let environment = environment_name(environment, action)?;
        let configuration = self.store().configuration(self.config(), action).await?;
        let access = Access::of(actor, configuration.content.organizations.values());
        self.check_readable(&access, &environment, action)?;
        catalyst_names::ApplicationName::new(application)
            .map_err(|error| CommandError::validate(action, error.to_string()))?;
        Ok(environment)
    }

    async fn commits_of(
        &self,
        environment: &EnvironmentName,
        application: &str,
        reference: &str,
        limit: usize,
        action: &str,
    ) -> Result<Vec<Commit>, CommandError> {
        self.config()
            .forge
            .commits(
                &environment_repository(environment),
                CommitsQuery {
                    reference: reference.to_owned(),
                    path: Some(format!("applications/{application}")),
                    limit,
                    page: 1,
                },
            )
            .await
            .map_err(CommandError::reach(action))
    }

    /// The commit of an Application's history that its vcluster runs; unknown
    /// when the vcluster does not say.
    async fn applied_commit(
        &self,
        environment: &EnvironmentName,
        application: &str,
        action: &str,
    ) -> Option<String> {
        let configuration = self
            .store()
            .configuration(self.config(), action)
            .await
            .ok()?;
        let place = place_of(
            &configuration.content,
            environment,
            &self.config().domain,
            action,
        )
        .ok()?;
        let host = place.host_clusters.first()?.to_string();
        let client = self
            .config()
            .clusters
            .vcluster(&host, place.organization.as_str())
            .await
            .ok()??;
        let kind = GroupVersionKind::gvk("kustomize.toolkit.fluxcd.io", "v1", "Kustomization");
        let resource = ApiResource::from_gvk_with_plural(&kind, "kustomizations");
        let api: Api<DynamicObject> = Api::namespaced_with(client, environment.as_str(), &resource);
        let found = api.get_opt(environment.as_str()).await.ok()??;
        let revision = found
            .data
            .pointer("/status/lastAppliedRevision")?
            .as_str()?;
        // `main@sha1:<commit>`.
        let commit = revision.rsplit(':').next()?;
        let newest = self
            .commits_of(environment, application, commit, 1, action)
            .await
            .ok()?;
        newest.first().map(|commit| commit.id.clone())
    }

    /// What an Application was at a commit of its history; at the one before
    /// the newest when none is named.
    pub(crate) async fn application_then(
        &self,
        environment: &EnvironmentName,
        application: &str,
        to: Option<&str>,
        action: &str,
    ) -> Result<(String, Application), CommandError> {
        // Only what desired state once was: a commit of a branch that nobody
        // merged never passed its policies.
        let history = self
            .commits_of(environment, application, BRANCH, MOST, action)
            .await?;
        let Some(to) = to else {
            return self
                .application_before(environment, application, &history, action)
                .await;
        };
        check_commit_id(to, action)?;
        let commit = history
            .iter()
            .map(|known| &known.id)
            .find(|id| id.starts_with(to))
            .cloned()
            .ok_or_else(|| CommandError::Find {
                action: action.to_owned(),
                what: format!("commit {to} in the history of {application}"),
                next: "look at the Application's history".to_owned(),
            })?;
        match self
            .usable_at(environment, application, &commit, action)
            .await?
        {
            Some(then) => Ok((commit, then)),
            None => Err(CommandError::Allow {
                action: action.to_owned(),
                reason: format!("there was no Application {application} at {commit}"),
                next: Some("choose another commit of its history".to_owned()),
            }),
        }
    }

    /// What an Application was before the newest commit of its history. A commit that
    /// asks for its deletion is no state to go back to, and what stands before its
    /// folder was removed was another Application of the same name.
    async fn application_before(
        &self,
        environment: &EnvironmentName,
        application: &str,
        history: &[Commit],
        action: &str,
    ) -> Result<(String, Application), CommandError> {
        let nothing = |since: &str, next: Option<&str>| CommandError::Allow {
            action: action.to_owned(),
            reason: format!("there is no earlier state of {application}{since}"),
            next: next.map(str::to_owned),
        };
        for commit in history.iter().skip(1) {
            match self
                .usable_at(environment, application, &commit.id, action)
                .await?
            {
                Some(then) if then.spec.deletion.is_some() => {}
                Some(then) => return Ok((commit.id.clone(), then)),
                None => {
                    return Err(nothing(
                        " since it was installed again",
                        Some("name a commit of its history to go further back"),
                    ));
                }
            }
        }
        Err(nothing("", None))
    }

    /// What an Application was at a commit; `None` if there was none.
    async fn usable_at(
        &self,
        environment: &EnvironmentName,
        application: &str,
        commit: &str,
        action: &str,
    ) -> Result<Option<Application>, CommandError> {
        let found = self
            .application_at(environment, application, commit)
            .await
            .map_err(CommandError::reach(action))?;
        found.transpose().map_err(|reason| CommandError::Read {
            action: action.to_owned(),
            reason: format!("what stands at {commit} cannot be used: {reason}"),
        })
    }

    async fn application_at(
        &self,
        environment: &EnvironmentName,
        application: &str,
        commit: &str,
    ) -> Result<Option<Result<Application, String>>, PortError> {
        let path = application_path(application);
        let found = self
            .config()
            .forge
            .file(&environment_repository(environment), commit, &path)
            .await?;
        Ok(found.map(|found| {
            let text = String::from_utf8_lossy(&found.content);
            documents::parse(&path, &text, "Application").map_err(|faults| {
                faults
                    .first()
                    .map(documents::line_of_fault)
                    .unwrap_or_default()
            })
        }))
    }

    /// What windows and soaks are judged by.
    pub(crate) async fn entry_facts(
        &self,
        policies: &[&EnvironmentPolicy],
        brought: Vec<Brought>,
        action: &str,
    ) -> Result<Facts, CommandError> {
        let mut running = BTreeMap::new();
        for source in policy::soak_sources(policies) {
            let Ok(environment) = EnvironmentName::new(source.clone()) else {
                continue;
            };
            for brought in &brought {
                let found = self
                    .running_since(&environment, &brought.application, action)
                    .await?;
                if let Some(found) = found {
                    running.insert((source.clone(), brought.application.clone()), found);
                }
            }
        }
        Ok(Facts {
            now: Timestamp::now(),
            brought,
            running,
            ..Facts::default()
        })
    }

    /// The version that an Application has in an Environment, and since when.
    async fn running_since(
        &self,
        environment: &EnvironmentName,
        application: &str,
        action: &str,
    ) -> Result<Option<(String, Timestamp)>, CommandError> {
        let commits = self
            .commits_of(environment, application, BRANCH, MOST, action)
            .await?;
        let mut found: Option<(String, Timestamp)> = None;
        for commit in commits {
            let then = self
                .application_at(environment, application, &commit.id)
                .await
                .map_err(CommandError::reach(action))?;
            let (Some(Ok(then)), Ok(at)) = (then, commit.at.parse::<Timestamp>()) else {
                break;
            };
            let version = then.spec.blueprint.version;
            match &found {
                Some((newest, _)) if *newest != version => break,
                _ => found = Some((version, at)),
            }
        }
        Ok(found)
    }
}

fn check_commit_id(commit: &str, action: &str) -> Result<(), CommandError> {
    let is_id = (7..=64).contains(&commit.len()) && commit.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id {
        return Ok(());
    }
    Err(CommandError::validate(
        action,
        format!("{commit:?} is no commit id; take one of the Application's history"),
    ))
}

fn revision(commit: &Commit, applied: Option<&str>) -> Revision {
    let mut lines = commit.message.lines();
    let subject = lines.next().unwrap_or_default().to_owned();
    let command = lines
        .filter_map(|line| line.strip_prefix("Catalyst-Command:"))
        .next_back()
        .map(|word| word.trim().to_owned());
    Revision {
        commit: commit.id.clone(),
        author: commit.author.name.clone(),
        author_email: commit.author.email.clone(),
        at: commit.at.clone(),
        subject,
        command,
        // The forge tells it when it happens, and the read side keeps it.
        pushed_by: None,
        applied: applied == Some(commit.id.as_str()),
    }
}

/// The parts of a diff that concern files of a folder.
fn only_folder(diff: &str, folder: &str) -> String {
    let mut out = String::new();
    let mut is_wanted = false;
    for line in diff.split_inclusive('\n') {
        if let Some(files) = line.strip_prefix("diff --git ") {
            is_wanted = files.split_ascii_whitespace().any(|file| {
                file.trim_start_matches(['a', 'b'])
                    .starts_with(&format!("/{folder}"))
            });
        }
        if is_wanted {
            out.push_str(line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_ports::Person;

    #[test]
    fn a_revision_names_its_command() {
        let commit = Commit {
            id: "abc".to_owned(),
            parents: Vec::new(),
            author: Person {
                name: "ada".to_owned(),
                email: "ada@x".to_owned(),
            },
            at: "2026-11-23T10:00:00Z".to_owned(),
            message: "Install wiki\n\nCatalyst-Command: install\nCatalyst-Plan: sha256:1\n"
                .to_owned(),
        };
        let shown = revision(&commit, Some("abc"));
        assert_eq!(shown.command.as_deref(), Some("install"));
        assert_eq!(shown.subject, "Install wiki");
        assert!(shown.applied);
        let plain = Commit {
            message: "tweak".to_owned(),
            ..commit
        };
        assert_eq!(revision(&plain, None).command, None);
    }

    #[test]
    fn a_diff_is_cut_down_to_the_folder() {
        let diff = "diff --git a/applications/wiki/application.yaml b/applications/wiki/application.yaml\n-a\n+b\ndiff --git a/applications/wiki-db/application.yaml b/applications/wiki-db/application.yaml\n-c\n+d\n";
        assert_eq!(
            only_folder(diff, "applications/wiki/"),
            "diff --git a/applications/wiki/application.yaml b/applications/wiki/application.yaml\n-a\n+b\n"
        );
    }

    #[test]
    fn only_ids_pass_as_commits() {
        for (text, fine) in [
            ("0123456789abcdef0123456789abcdef01234567", true),
            ("0123456", true),
            ("main", false),
            ("../../x", false),
            ("", false),
        ] {
            assert_eq!(check_commit_id(text, "read").is_ok(), fine, "{text}");
        }
    }
}
