//! The one road by which refs move: check, make durable, move, tell.
//!
//! Called by the Git transport, by REST writes and by merges. What must stay
//! true: nothing is visible before the check has agreed; a ref that moved has
//! its event in the store, also after a crash in between.

use catalyst_store::Transaction;
use jiff::Timestamp;

use crate::Inner;
use crate::access::Caller;
use crate::check;
use crate::git::quarantine::Quarantine;
use crate::git::{self, GitError};
use crate::metadata::{MetadataError, Remove, Write, key_of};
use crate::records::*;

/// Why refs did not move.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The check, or a rule of the forge, said no.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// A ref is no longer where the change started from.
    #[error("the branch moved meanwhile; fetch and try again")]
    Moved(#[source] GitError),
    /// Git failed.
    #[error("the objects cannot be taken over")]
    Git(#[from] GitError),
    /// The records could not be written.
    #[error("the change cannot be recorded")]
    Records(#[from] MetadataError),
}

/// A change of refs on its way.
pub struct Change<'a> {
    /// The repository.
    pub repo: &'a RepoRecord,
    /// Who makes it.
    pub caller: &'a Caller,
    /// Refs that move.
    pub updates: Vec<RefUpdate>,
    /// The pull request that this merges.
    pub merge: Option<MergeRecord>,
}

/// Carries out a change whose new objects lie in `quarantine`; gives the
/// check's messages.
pub async fn apply(
    inner: &Inner,
    change: Change<'_>,
    quarantine: Quarantine,
) -> Result<Vec<String>, PushError> {
    let Change {
        repo,
        caller,
        updates,
        merge,
    } = change;
    let repository = inner.git(repo);
    let view = quarantine.view(&repository);
    let tips: Vec<&str> = updates
        .iter()
        .map(|update| update.new.as_str())
        .filter(|id| *id != git::ZERO)
        .collect();
    if !tips.is_empty() {
        view.is_connected(&tips)
            .await
            .map_err(|error| match error {
                GitError::Failed { .. } => PushError::Refused(vec![
                    "the push lacks objects that its commits need".to_owned(),
                ]),
                other => other.into(),
            })?;
    }
    only_commits_on_branches(&view, &updates).await?;
    let (name, pusher) = (repo.full_name(), caller.user.name.clone());
    let verdict = check::ask(
        inner,
        &view,
        name,
        &repo.default_branch,
        pusher,
        &updates,
        merge.as_ref().map(|merge| merge.number),
    )
    .await;
    if !verdict.allowed {
        let mut messages = verdict.messages;
        if messages.is_empty() {
            messages.push("the pre-receive check refused the change and gave no reason".to_owned());
        }
        return Err(PushError::Refused(messages));
    }
    let locks = inner.locks(repo.id);
    let _refs = locks.refs.lock().await;
    // The repository may have gone while the check was thinking.
    let still_there = inner
        .records
        .repo(&repo.owner, &repo.name)?
        .is_some_and(|r| r.id == repo.id);
    if !still_there {
        return Err(PushError::Refused(vec![
            "the repository was deleted meanwhile".to_owned(),
        ]));
    }
    if !tips.is_empty() {
        quarantine.accept()?;
    }
    let mut moves = updates.clone();
    moves.extend(pull_heads(inner, repo, &repository, &updates).await?);
    let mut event = EventRecord {
        id: inner.records.number().await?,
        owner: key_of(&repo.owner),
        repository: key_of(&repo.name),
        user: caller.key(),
        event: Event::Push(updates.clone()),
        prepared: true,
        merge,
    };
    inner
        .records
        .commit(Transaction::new().event(&event)?)
        .await?;
    if let Err(error) = repository.move_refs(&moves).await {
        inner
            .records
            .commit(Transaction::new().without_event(event.id))
            .await?;
        return Err(match error {
            GitError::Failed { .. } => PushError::Moved(error),
            other => other.into(),
        });
    }
    event.prepared = false;
    settle(inner, &repository, event, &updates).await?;
    inner.wake.notify_one();
    Ok(verdict.messages)
}

/// Records what follows from refs that have moved: the event is certain, open
/// pull requests have a new head, a merged one is closed, an empty repository has a default branch.
/// Also used after a crash, for events found `prepared`.
pub async fn settle(
    inner: &Inner,
    repository: &git::Repository,
    mut event: EventRecord,
    updates: &[RefUpdate],
) -> Result<(), PushError> {
    let _guard = inner.records.exclusive().await;
    let merge = event.merge.take();
    let mut transaction = Transaction::new().event(&event)?;
    if let Some(mut repo) = inner.records.repo(&event.owner, &event.repository)? {
        for mut pull in inner
            .records
            .pulls(repo.id)?
            .into_iter()
            .filter(|pull| pull.open)
        {
            let head = format!("refs/heads/{}", pull.head);
            let moved = updates.iter().find(|update| update.name == head);
            if let Some(update) = moved.filter(|update| update.new != git::ZERO) {
                pull.head_sha.clone_from(&update.new);
                pull.updated = Timestamp::now();
                transaction = transaction.pull(repo.id, &pull)?;
            }
        }
        if let Some(merge) = merge
            && let Some(mut pull) = inner.records.pull(repo.id, merge.number)?
        {
            let closed = EventRecord {
                id: inner.records.number().await?,
                event: Event::Pull(merge.number, "closed".to_owned()),
                ..event.clone()
            };
            transaction = transaction.event(&closed)?;
            pull.open = false;
            pull.head_sha = merge.head_sha;
            pull.base_sha = merge.base_sha;
            pull.merge_base = merge.merge_base;
            pull.merge_commit = Some(merge.commit);
            pull.merged_by = Some(event.user.clone());
            pull.merged = Some(Timestamp::now());
            pull.closed = pull.merged;
            pull.updated = Timestamp::now();
            transaction = transaction.pull(repo.id, &pull)?;
        }
        repo.updated = Timestamp::now();
        let branches: Vec<&str> = updates
            .iter()
            .filter(|update| update.new != git::ZERO)
            .filter_map(|update| update.name.strip_prefix("refs/heads/"))
            .collect();
        let default = format!("refs/heads/{}", repo.default_branch);
        if let Some(first) = branches.first()
            && !branches.contains(&repo.default_branch.as_str())
            && repository.reference(&default).await?.is_none()
        {
            git::set_head(repository.directory(), first)?;
            repo.default_branch = (*first).to_owned();
        }
        transaction = transaction.repo(&repo)?;
    }
    inner.records.commit(transaction).await?;
    Ok(())
}

/// Moves of `refs/pull/N/head` that go with a branch.
async fn pull_heads(
    inner: &Inner,
    repo: &RepoRecord,
    repository: &git::Repository,
    updates: &[RefUpdate],
) -> Result<Vec<RefUpdate>, PushError> {
    let mut moves = Vec::new();
    for pull in inner
        .records
        .pulls(repo.id)?
        .into_iter()
        .filter(|pull| pull.open)
    {
        let head = format!("refs/heads/{}", pull.head);
        let Some(update) = updates.iter().find(|update| update.name == head) else {
            continue;
        };
        if update.new == git::ZERO {
            continue;
        }
        let name = format!("refs/pull/{}/head", pull.number);
        let old = repository
            .reference(&name)
            .await?
            .unwrap_or_else(|| git::ZERO.to_owned());
        if old != update.new {
            moves.push(RefUpdate {
                name,
                old,
                new: update.new.clone(),
            });
        }
    }
    Ok(moves)
}

async fn only_commits_on_branches(
    view: &git::Repository,
    updates: &[RefUpdate],
) -> Result<(), PushError> {
    let tips: Vec<&str> = updates
        .iter()
        .filter(|update| update.name.starts_with("refs/heads/") && update.new != git::ZERO)
        .map(|update| update.new.as_str())
        .collect();
    let kinds = view.sizes(&tips).await?;
    for tip in tips {
        if kinds.get(tip).is_none_or(|(kind, _)| kind != "commit") {
            return Err(PushError::Refused(vec![format!(
                "{tip} is not a commit; a branch needs one"
            )]));
        }
    }
    Ok(())
}
