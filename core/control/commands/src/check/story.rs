//! What a push tells of itself, over commits: who pushed what. Whichever repository it
//! is to, its story takes nothing back, names nobody else and passes for no command of
//! Catalyst's.

use std::collections::{BTreeMap, BTreeSet};

use super::{is_zero, main_reference};
use crate::configuration::check_username;
use crate::push::{PushCheck, PushCommit, PushRef};
use crate::state::BRANCH;
use crate::{CommandError, Commands};

impl Commands {
    /// New commits that name another user as their author: who changed what is
    /// read from commits.
    pub(super) async fn authorship_faults(
        &self,
        push: &PushCheck,
        action: &str,
    ) -> Result<Vec<String>, CommandError> {
        let mut faults = Vec::new();
        // A merge writes a commit of its own, under the name of who merges.
        if push.pull_request.is_some() {
            return Ok(faults);
        }
        let named: BTreeMap<&str, &PushCommit> = push
            .commits
            .iter()
            .map(|commit| (commit.author.trim(), commit))
            .collect();
        for (author, commit) in named {
            if author.eq_ignore_ascii_case(&push.pusher) {
                continue;
            }
            if self.is_somebody(author, action).await? {
                faults.push(format!(
                    "commit {}: it names {author} as its author, and you are {}; set your own name (git config user.name {}) and write it anew (git commit --amend --reset-author)",
                    short(&commit.id),
                    push.pusher,
                    push.pusher
                ));
            }
        }
        Ok(faults)
    }

    /// Whether a name is a user's, or Catalyst's own; however it is written.
    async fn is_somebody(&self, name: &str, action: &str) -> Result<bool, CommandError> {
        let lower = name.to_lowercase();
        if lower == "catalyst" || name == self.config().service_user {
            return Ok(true);
        }
        for name in BTreeSet::from([name, lower.as_str()]) {
            // Most names of people have a space, and are nobody's user name.
            if check_username(name, action).is_err() {
                continue;
            }
            let found = self.store().actor(self.config(), name, action).await?;
            if !found.username.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Whether a line of a message says something that only Catalyst says.
fn is_trailer(line: &str) -> bool {
    line.trim_start()
        .get(.."catalyst-".len())
        .is_some_and(|start| start.eq_ignore_ascii_case("catalyst-"))
        && line.contains(':')
}

/// What is wrong with the story that a push tells, in whichever repository: one
/// that takes back what the desired state once was, or passes for a command of
/// Catalyst's. Who removes [`BRANCH`] could push it anew with another story.
pub(super) fn story_faults(push: &PushCheck) -> Vec<String> {
    let main = main_reference();
    let mut faults = Vec::new();
    let is_removed = |moved: &PushRef| moved.name == main && is_zero(&moved.new);
    if push.refs.iter().any(is_removed) {
        faults.push(format!(
            "{BRANCH} is the desired state and cannot be removed; take changes back with git revert"
        ));
    }
    if push.forced.contains(&main) {
        faults.push(format!(
            "{BRANCH} only goes forward, so that no change is lost from its history; fetch and merge, and take changes back with git revert"
        ));
    }
    // What a merge brings was judged when it was pushed.
    if push.pull_request.is_none() {
        let claimed = push
            .commits
            .iter()
            .filter(|commit| commit.message.lines().skip(1).any(is_trailer));
        faults.extend(claimed.map(|commit| {
            format!(
                "commit {}: its message has a line that begins with \"Catalyst-\", by which Catalyst marks its own commits; write it anew without (git commit --amend)",
                short(&commit.id)
            )
        }));
    }
    faults
}

/// A branch bears the name of who pushes to it, so that whoever wrote a change
/// is known when it is approved: names in commits are free text.
pub(super) fn branch_faults(push: &PushCheck) -> Vec<String> {
    if push.pull_request.is_some() {
        return Vec::new();
    }
    let own = format!("refs/heads/{}/", push.pusher);
    push.refs
        .iter()
        .filter(|moved| {
            moved.name.starts_with("refs/heads/")
                && moved.name != main_reference()
                && !moved.name.starts_with(&own)
        })
        .map(|moved| {
            let branch = moved.name.trim_start_matches("refs/heads/");
            format!(
                "{branch}: branches here bear the name of who pushes them; push it as {}/{branch}",
                push.pusher
            )
        })
        .collect()
}
