//! Opening pull requests: from a branch that somebody pushed, and for a command
//! whose change goes that way.
//!
//! What must stay true: what is asked for twice is one pull request, so that
//! nobody has to find out which of two to approve.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{Accepted, BranchView, Fault, OpenPull};
use catalyst_ports::{NewPull, Pull, PullState, RepositoryId, TreeEntry, blob_id};

use crate::applications::{check_change, environment_name};
use crate::state::BRANCH;
use crate::store::environment_repository;
use crate::{Access, Actor, CommandError, Commands};

/// What the branches of commands begin with; nobody else may push to those.
pub(crate) const OF_COMMANDS: &str = "catalyst/";
/// The longest title that the forge takes, in bytes.
const LONGEST_TITLE: usize = 255;

/// A command's change on its way into a pull request.
pub(crate) struct Proposal {
    pub repository: RepositoryId,
    /// The commit of [`BRANCH`] that it stands on.
    pub head: String,
    /// What its branch begins with.
    pub prefix: String,
    pub title: String,
    /// Markdown.
    pub body: String,
    /// The commit's message.
    pub message: String,
    /// Texts by path; `None` where a file is removed.
    pub files: BTreeMap<String, Option<String>>,
}

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

    /// Opens the pull request for a command's change, and returns its number: that
    /// of the one that does the same, where a command opened it before.
    pub(crate) async fn propose(
        &self,
        actor: &Actor,
        change: Proposal,
        action: &str,
    ) -> Result<u64, CommandError> {
        if let Some(number) = self.open_alike(&change, action).await? {
            return Ok(number);
        }
        let request = uuid::Uuid::new_v4().simple().to_string();
        let branch = format!("{}{}", change.prefix, request.get(..8).unwrap_or(&request));
        self.commit(
            actor,
            &change.repository,
            &change.head,
            Some(branch.clone()),
            change.message,
            change.files,
            action,
        )
        .await?;
        let new = NewPull {
            title: change.title,
            body: change.body,
            head: branch.clone(),
            base: BRANCH.to_owned(),
        };
        let forge = &self.config().forge;
        let opening = forge.pull_create(&change.repository, new, Some(&actor.username));
        let error = match self.let_in(actor, &change.repository, opening).await {
            Ok(pull) => return Ok(pull.number),
            Err(error) => error,
        };
        let opened = self.opened_or_undone(&change.repository, &branch, action);
        match opened.await {
            Some(number) => Ok(number),
            None => Err(CommandError::reach(action)(error)),
        }
    }

    /// After a pull request from a command's branch could not be opened: its number
    /// if only the forge's answer was lost; else the branch goes, as nobody would
    /// come back to it.
    async fn opened_or_undone(
        &self,
        repository: &RepositoryId,
        branch: &str,
        action: &str,
    ) -> Option<u64> {
        match self.open_pulls(repository, action).await {
            Ok(open) => {
                if let Some(pull) = open.iter().find(|pull| pull.head == branch) {
                    return Some(pull.number);
                }
            }
            Err(error) => {
                tracing::warn!(%error, %repository, branch, "branch without a pull request stays");
                return None;
            }
        }
        if let Err(error) = self.config().forge.branch_delete(repository, branch).await {
            tracing::warn!(%error, %repository, branch, "branch without a pull request stays");
        }
        None
    }

    /// The open pull request of a command that does just what this change does.
    /// Plans are no measure of that: they tell of live objects, too.
    async fn open_alike(
        &self,
        change: &Proposal,
        action: &str,
    ) -> Result<Option<u64>, CommandError> {
        let repository = &change.repository;
        let forge = &self.config().forge;
        let reach = || CommandError::reach(action);
        let mut open = self.open_pulls(repository, action).await?;
        open.retain(|pull| pull.head.starts_with(&change.prefix));
        if open.is_empty() {
            return Ok(None);
        }
        let now = forge
            .tree(repository, &change.head)
            .await
            .map_err(reach())?;
        for pull in open {
            let head = &pull.head_commit;
            let made = forge.commit(repository, head).await.map_err(reach())?;
            // A command's branch is one commit on what stood there then.
            let Some([base]) = made.as_ref().map(|commit| commit.parents.as_slice()) else {
                continue;
            };
            let before = forge.tree(repository, base).await.map_err(reach())?;
            let after = forge.tree(repository, head).await.map_err(reach())?;
            if is_alike(&change.files, &now, &before, &after) {
                return Ok(Some(pull.number));
            }
        }
        Ok(None)
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

/// Whether a branch's commit, from `before` to `after`, makes of what stands there
/// `now` just what these files say.
fn is_alike(
    files: &BTreeMap<String, Option<String>>,
    now: &[TreeEntry],
    before: &[TreeEntry],
    after: &[TreeEntry],
) -> bool {
    let (now, before, after) = (ids(now), ids(before), ids(after));
    let touched: BTreeSet<&str> = before
        .keys()
        .chain(after.keys())
        .copied()
        .filter(|path| before.get(path) != after.get(path))
        .collect();
    let wanted: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    touched == wanted
        && files.iter().all(|(path, text)| {
            let path = path.as_str();
            let id = text.as_ref().map(|text| blob_id(text.as_bytes()));
            after.get(path).copied() == id.as_deref() && now.get(path) == before.get(path)
        })
}

/// Object ids by path.
fn ids(entries: &[TreeEntry]) -> BTreeMap<&str, &str> {
    entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry.sha.as_str()))
        .collect()
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

    fn tree(files: &[(&str, &str)]) -> Vec<TreeEntry> {
        files
            .iter()
            .map(|(path, text)| TreeEntry {
                path: (*path).to_owned(),
                sha: blob_id(text.as_bytes()),
                size: 0,
            })
            .collect()
    }

    #[test]
    fn a_pull_request_is_the_same_when_it_makes_the_same_of_what_is_there() {
        let base = [("a", "1"), ("b", "1"), ("c", "1")];
        // The change: a is written, b goes.
        let made = [("a", "2"), ("c", "1")];
        let files = |of: &[(&str, Option<&str>)]| -> BTreeMap<String, Option<String>> {
            of.iter()
                .map(|(path, text)| ((*path).to_owned(), text.map(str::to_owned)))
                .collect()
        };
        let wanted = files(&[("a", Some("2")), ("b", None)]);
        let is_same = |wanted: &BTreeMap<_, _>, now: &[(&str, &str)]| {
            is_alike(wanted, &tree(now), &tree(&base), &tree(&made))
        };
        assert!(is_same(&wanted, &base));
        // What it does not touch may have moved on.
        assert!(is_same(&wanted, &[("a", "1"), ("b", "1"), ("c", "7")]));
        // What it touches may not: the two would be merged into something else.
        assert!(!is_same(&wanted, &[("a", "0"), ("b", "1"), ("c", "1")]));
        for (other, why) in [
            (files(&[("a", Some("3")), ("b", None)]), "another text"),
            (files(&[("a", Some("2"))]), "less than it does"),
            (
                files(&[("a", Some("2")), ("b", None), ("c", Some("2"))]),
                "more than it does",
            ),
            (files(&[("a", Some("2")), ("b", Some("1"))]), "b stays"),
        ] {
            assert!(!is_same(&other, &base), "{why}");
        }
    }
}
