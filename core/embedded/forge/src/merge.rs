//! How a pull request's commits reach its base: merge, squash, rebase,
//! fast-forward.
//!
//! Called by the pull request handlers. Objects are made in a quarantine; the
//! refs are moved by `push`.

use crate::git::quarantine::Quarantine;
use crate::git::write::{Merged, Person, make_commit_of_tree, merge_trees};
use crate::git::{GitError, Repository};

/// How to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A commit with two parents.
    Merge,
    /// One commit with everything.
    Squash,
    /// The commits again, on top of the base.
    Rebase,
    /// The commits again, then a commit with two parents.
    RebaseMerge,
    /// Only if the base has not moved.
    FastForward,
}

/// Why commits cannot be brought together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Both sides changed the same places.
    #[error("these files conflict: {}", .0.join(", "))]
    Conflict(Vec<String>),
    /// A rule of the style does not hold.
    #[error("{0}")]
    Impossible(String),
    /// Git failed.
    #[error("git cannot merge")]
    Git(#[from] GitError),
}

/// Who merges, and with which words.
pub struct Words<'a> {
    /// Author and committer of what is made.
    pub person: &'a Person,
    /// Complete message.
    pub message: &'a str,
}

/// Makes the commit that the base shall point to.
pub async fn merge(
    quarantine: &Quarantine,
    repository: &Repository,
    style: Style,
    base: &str,
    head: &str,
    words: &Words<'_>,
) -> Result<String, MergeError> {
    let Words { person, message } = words;
    match style {
        Style::FastForward => {
            if repository.merge_base(base, head).await?.as_deref() != Some(base) {
                let text = "the base has commits that the head lacks; no fast-forward is possible";
                return Err(MergeError::Impossible(text.to_owned()));
            }
            Ok(head.to_owned())
        }
        Style::Merge => {
            let tree = clean(merge_trees(quarantine, base, head).await?)?;
            Ok(
                make_commit_of_tree(quarantine, &tree, &[base, head], person, person, message)
                    .await?,
            )
        }
        Style::Squash => {
            let tree = clean(merge_trees(quarantine, base, head).await?)?;
            Ok(make_commit_of_tree(quarantine, &tree, &[base], person, person, message).await?)
        }
        Style::Rebase => rebase(quarantine, repository, base, head, person).await,
        Style::RebaseMerge => {
            let tip = rebase(quarantine, repository, base, head, person).await?;
            let tree = format!("{tip}^{{tree}}");
            let tree = quarantine
                .scratch()
                .text(&["rev-parse", "--verify", &tree])
                .await?;
            Ok(
                make_commit_of_tree(quarantine, &tree, &[base, &tip], person, person, message)
                    .await?,
            )
        }
    }
}

fn clean(merged: Merged) -> Result<String, MergeError> {
    match merged {
        Merged::Clean(tree) => Ok(tree),
        Merged::Conflict(paths) => Err(MergeError::Conflict(paths)),
    }
}

async fn rebase(
    quarantine: &Quarantine,
    repository: &Repository,
    base: &str,
    head: &str,
    person: &Person,
) -> Result<String, MergeError> {
    let range = format!("{base}..{head}");
    let mut commits = repository
        .log(&["--topo-order", &range], "", 0, 1001)
        .await?;
    if commits.len() > 1000 {
        return Err(MergeError::Impossible(
            "more than 1000 commits cannot be rebased".to_owned(),
        ));
    }
    commits.retain(|commit| commit.parents.len() < 2);
    commits.reverse();
    let scratch = quarantine.scratch();
    let mut tip = base.to_owned();
    for commit in commits {
        let Some(parent) = commit.parents.first() else {
            let text = "a commit without parents cannot be rebased".to_owned();
            return Err(MergeError::Impossible(text));
        };
        if *parent == tip {
            tip = commit.id;
            continue;
        }
        let tree = pick(quarantine, &scratch, parent, &tip, &commit.tree).await?;
        let author = Person {
            name: commit.author.name.clone(),
            email: commit.author.email.clone(),
            seconds: seconds_of(&commit.author.date),
            zone: zone_of(&commit.author.date),
        };
        tip = make_commit_of_tree(quarantine, &tree, &[&tip], &author, person, &commit.message)
            .await?;
    }
    Ok(tip)
}

/// The tree of one commit's changes on top of `tip`. merge-tree takes its base
/// from history (older releases know no other way), so the three trees are
/// dressed as commits whose history says just that.
async fn pick(
    quarantine: &Quarantine,
    scratch: &Repository,
    parent: &str,
    tip: &str,
    tree: &str,
) -> Result<String, MergeError> {
    let nobody = Person {
        name: "Catalyst".to_owned(),
        email: "catalyst@localhost".to_owned(),
        seconds: 0,
        zone: "+0000".to_owned(),
    };
    let parent_tree = scratch
        .text(&["rev-parse", "--verify", &format!("{parent}^{{tree}}")])
        .await?;
    let tip_tree = scratch
        .text(&["rev-parse", "--verify", &format!("{tip}^{{tree}}")])
        .await?;
    let root = make_commit_of_tree(quarantine, &parent_tree, &[], &nobody, &nobody, "base").await?;
    let ours =
        make_commit_of_tree(quarantine, &tip_tree, &[&root], &nobody, &nobody, "ours").await?;
    let theirs =
        make_commit_of_tree(quarantine, tree, &[&root], &nobody, &nobody, "theirs").await?;
    clean(merge_trees(quarantine, &ours, &theirs).await?)
}

/// Seconds since 1970 of an RFC 3339 time as Git writes it; 0 when unreadable.
pub fn seconds_of(date: &str) -> i64 {
    date.parse::<jiff::Timestamp>()
        .map_or(0, |time| time.as_second())
}

/// The zone of an RFC 3339 time as Git writes it.
pub fn zone_of(date: &str) -> String {
    let zone = date
        .get(19..)
        .unwrap_or_default()
        .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let zone = zone.replace(':', "");
    if zone.len() == 5 && zone.starts_with(['+', '-']) {
        zone
    } else {
        "+0000".to_owned()
    }
}
