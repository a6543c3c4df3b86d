//! Opening pull requests from branches that somebody pushed.
//!
//! What must stay true: what is asked for twice is one pull request, so that
//! nobody has to find out which of two to approve.

use catalyst_api::{Accepted, BranchView, Fault, OpenPull};
use catalyst_ports::{NewPull, Pull, PullState, RepositoryId};

use crate::applications::{check_change, environment_name};
use crate::state::BRANCH;
use crate::store::environment_repository;
use crate::{Access, Actor, CommandError, Commands};

/// What the branches of commands begin with; nobody else may push to those.
const OF_COMMANDS: &str = "catalyst/";
/// The longest title that the forge takes, in bytes.
const LONGEST_TITLE: usize = 255;

impl Commands {
    /// The branches that were pushed to an Environment's repository, by name; those
    /// that commands made are left out.
    pub async fn branches(
        &self,
        actor: &Actor,
        environment: &str,
    ) -> Result<Vec<BranchView>, CommandError> {
        let action = format!("list the branches of {environment}");
        let environment = environment_name(environment, &action)?;
        self.readable_configuration(actor, &environment, &action)
            .await?;
        let repository = environment_repository(&environment);
        let forge = &self.config().forge;
        let reach = || CommandError::reach(action.as_str());
        let branches = forge.branches(&repository).await.map_err(reach())?;
        let open = self.open_pulls(&repository, &action).await?;
        let mut views = Vec::new();
        for branch in branches {
            if branch.name == BRANCH || branch.name.starts_with(OF_COMMANDS) {
                continue;
            }
            let commits = forge
                .ahead(&repository, BRANCH, &branch.name)
                .await
                .map_err(reach())?;
            let pull = open.iter().find(|pull| pull.head == branch.name);
            views.push(BranchView {
                commit: branch.commit,
                subject: subject_of(&branch.message),
                author: branch.author.name,
                at: branch.at,
                commits,
                pull_request: pull.map(|pull| pull.number),
                name: branch.name,
            });
        }
        Ok(views)
    }

    /// Opens a pull request that brings a branch to [`BRANCH`], as the actor. One
    /// that is open from that branch already is the answer instead.
    pub async fn pull_open(
        &self,
        actor: &Actor,
        environment: &str,
        request: OpenPull,
    ) -> Result<Accepted, CommandError> {
        let branch = request.branch.trim();
        let action = format!("open a pull request from the branch {branch} of {environment}");
        let environment = environment_name(environment, &action)?;
        let configuration = self
            .readable_configuration(actor, &environment, &action)
            .await?;
        let access = Access::of(actor, configuration.content.organizations.values());
        check_change(&access, &environment, &action)?;
        check_branch(branch, &action)?;
        let title = request.title.as_deref().map(str::trim).unwrap_or_default();
        check_title(title, &action)?;
        let repository = environment_repository(&environment);
        let forge = &self.config().forge;
        let reach = || CommandError::reach(action.as_str());
        let head = forge.head(&repository, branch).await.map_err(reach())?;
        let Some(head) = head else {
            return Err(CommandError::Find {
                action,
                what: format!("branch {branch} in {repository}"),
                next: format!("push it first: git push origin HEAD:{branch}"),
            });
        };
        let mut accepted = Accepted {
            repository: repository.to_string(),
            commit: None,
            pull_request: None,
            plan: None,
        };
        let open = self.open_pulls(&repository, &action).await?;
        if let Some(pull) = open.iter().find(|pull| pull.head == branch) {
            accepted.pull_request = Some(pull.number);
            return Ok(accepted);
        }
        let commits = forge.ahead(&repository, BRANCH, branch).await;
        if commits.map_err(reach())? == 0 {
            return Err(CommandError::Allow {
                action,
                reason: format!("there is no commit in {branch} that {BRANCH} does not have"),
                next: Some("push a commit to it first".to_owned()),
            });
        }
        let title = match title {
            "" => {
                let last = forge.commit(&repository, &head).await.map_err(reach())?;
                let subject = last.map(|commit| subject_of(&commit.message));
                subject
                    .filter(|subject| !subject.is_empty())
                    .unwrap_or_else(|| branch.to_owned())
            }
            given => given.to_owned(),
        };
        let new = NewPull {
            title,
            body: request.body.unwrap_or_default(),
            head: branch.to_owned(),
            base: BRANCH.to_owned(),
        };
        let opening = forge.pull_create(&repository, new, Some(&actor.username));
        let pull = self
            .let_in(actor, &repository, opening)
            .await
            .map_err(reach())?;
        accepted.pull_request = Some(pull.number);
        Ok(accepted)
    }

    /// The pull requests that wait to enter [`BRANCH`].
    async fn open_pulls(
        &self,
        repository: &RepositoryId,
        action: &str,
    ) -> Result<Vec<Pull>, CommandError> {
        let mut open = self
            .config()
            .forge
            .pulls(repository, Some(PullState::Open))
            .await
            .map_err(CommandError::reach(action))?;
        open.retain(|pull| pull.base == BRANCH);
        Ok(open)
    }
}

/// A message's first line, as long as a title may be.
fn subject_of(message: &str) -> String {
    let mut subject = String::new();
    for letter in message.lines().next().unwrap_or_default().trim().chars() {
        if subject.len() + letter.len_utf8() > LONGEST_TITLE {
            break;
        }
        subject.push(letter);
    }
    subject
}

/// Refuses what Git takes for no branch (git-check-ref-format), as it becomes part
/// of the forge's paths, and [`BRANCH`] itself.
fn check_branch(branch: &str, action: &str) -> Result<(), CommandError> {
    let refuse = |message: String| CommandError::Validate {
        action: action.to_owned(),
        reason: message.clone(),
        next: Some("name a branch that you pushed, `{user}/…`".to_owned()),
        faults: vec![Fault {
            pointer: Some("/branch".to_owned()),
            message,
            ..Fault::default()
        }],
    };
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let is_name = branch.len() <= 255
        && branch.split('/').all(is_part)
        && !branch.starts_with('-')
        && !branch.ends_with('.')
        && !branch.contains("..")
        && !branch.contains("@{")
        && !branch.contains(|letter: char| {
            letter.is_control() || letter.is_whitespace() || "~^:?*[\\".contains(letter)
        });
    if !is_name {
        return Err(refuse(format!("{branch:?} is no branch's name")));
    }
    if branch == BRANCH {
        return Err(refuse(format!(
            "the change goes to {BRANCH}, so it cannot come from there"
        )));
    }
    Ok(())
}

fn check_title(title: &str, action: &str) -> Result<(), CommandError> {
    if title.len() <= LONGEST_TITLE && !title.contains(char::is_control) {
        return Ok(());
    }
    let message = format!("a title is one line of at most {LONGEST_TITLE} bytes");
    Err(CommandError::Validate {
        action: action.to_owned(),
        reason: message.clone(),
        next: Some("shorten it; the body has room for the rest".to_owned()),
        faults: vec![Fault {
            pointer: Some("/title".to_owned()),
            message,
            ..Fault::default()
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_branches_reach_the_forge() {
        for good in ["ada/blog", "ada/fix.2", "Ada.L/a_b-c", "ada/größer"] {
            assert!(check_branch(good, "open").is_ok(), "{good}");
        }
        for bad in [
            "",
            "/ada",
            "ada/",
            "ada//blog",
            "ada/../../system",
            "ada/.git",
            "ada/a..b",
            "ada/a b",
            "ada/a\n",
            "ada/a?x=1",
            "ada/a.lock",
            "ada/a.",
            "-ada",
            "ada@{1}",
        ] {
            let problem = check_branch(bad, "open it").unwrap_err().problem();
            assert_eq!(problem.status, 422, "{bad}");
            let pointer = problem.faults.first().and_then(|it| it.pointer.as_deref());
            assert_eq!(pointer, Some("/branch"), "{bad}");
        }
        let own = check_branch("main", "open it").unwrap_err().to_string();
        assert!(own.contains("the change goes to main"), "{own}");
    }

    #[test]
    fn a_title_is_one_line_that_the_forge_takes() {
        let (long, longer) = ("x".repeat(255), "x".repeat(256));
        for (title, fine) in [
            ("", true),
            ("Änder’ blog", true),
            ("a\nb", false),
            (long.as_str(), true),
            (longer.as_str(), false),
        ] {
            assert_eq!(check_title(title, "open").is_ok(), fine, "{title}");
        }
        assert_eq!(subject_of("Change blog \n\nbecause"), "Change blog");
        assert_eq!(subject_of(""), "");
        // Cut between letters, never within one.
        assert_eq!(subject_of(&"ä".repeat(200)), "ä".repeat(127));
    }
}
