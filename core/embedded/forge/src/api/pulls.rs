//! Pull requests: open, show, merge, close, review.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use catalyst_store::Transaction;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::browse::{readable, remove_branch, show_commit, text};
use super::{Anyone, ApiError, Input, Known, Pages, Reply, done, reply};
use crate::Inner;
use crate::access::{self, Caller};
use crate::api::contents::shown_name;
use crate::git::quarantine::Quarantine;
use crate::git::write::{Merged, Person, merge_trees};
use crate::git::{self, Repository};
use crate::merge::{MergeError, Style, Words, merge};
use crate::metadata::{Write, key_of};
use crate::names;
use crate::push::{self, Change, PushError};
use crate::records::*;
use crate::shapes;

pub fn router() -> Router<Arc<Inner>> {
    let base = "/repos/{owner}/{repo}/pulls";
    Router::new()
        .route(base, get(list).post(open))
        .route(&format!("{base}/{{index}}"), get(one).patch(edit))
        .route(&format!("{base}/{{index}}/files"), get(files))
        .route(&format!("{base}/{{index}}/commits"), get(commits))
        .route(
            &format!("{base}/{{index}}/merge"),
            get(is_merged).post(merge_pull),
        )
        .route(
            &format!("{base}/{{index}}/reviews"),
            get(reviews).post(create_review),
        )
        .route(&format!("{base}/{{index}}/reviews/{{id}}"), get(review))
        .route(
            &format!("{base}/{{index}}/reviews/{{id}}/dismissals"),
            axum::routing::post(dismiss),
        )
}

type App = State<Arc<Inner>>;
type RepoPath = Path<(String, String)>;
type PullPath = Path<(String, String, String)>;

fn find(inner: &Inner, repo: &RepoRecord, index: &str) -> Result<PullRecord, ApiError> {
    let number: u64 = index.parse().map_err(|_| ApiError::missing())?;
    inner
        .records
        .pull(repo.id, number)?
        .ok_or_else(ApiError::missing)
}

/// Whether a head can be merged into a base without conflict.
pub async fn is_mergeable(
    inner: &Inner,
    repo: &RepoRecord,
    base: &str,
    head: &str,
) -> Result<bool, ApiError> {
    let git = inner.git(repo);
    let quarantine = Quarantine::open(&inner.quarantine_directory(), &git)?;
    match merge_trees(&quarantine, base, head).await {
        Ok(Merged::Clean(_)) => Ok(true),
        Ok(Merged::Conflict(_)) => Ok(false),
        // Unrelated histories and the like.
        Err(git::GitError::Failed { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Filter {
    state: Option<String>,
    base_branch: Option<String>,
}

async fn list(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo)): RepoPath,
    Query(filter): Query<Filter>,
    pages: Pages,
) -> Reply {
    let (record, _) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let permission = access::permission(&inner, caller.as_ref(), &record)?;
    let mut pulls = inner.records.pulls(record.id)?;
    // Without a state all are listed, as Gitea does.
    match filter.state.as_deref().unwrap_or_default() {
        "open" => pulls.retain(|pull| pull.open),
        "closed" => pulls.retain(|pull| !pull.open),
        _ => {}
    }
    if let Some(base) = filter.base_branch.filter(|base| !base.is_empty()) {
        pulls.retain(|pull| pull.base == base);
    }
    pulls.reverse();
    let (pulls, total) = pages.cut(pulls);
    let mut items = Vec::new();
    for pull in &pulls {
        items.push(shapes::pull(&inner, &record, pull, permission).await?);
    }
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct PullInput {
    title: Option<String>,
    body: Option<String>,
    head: Option<String>,
    base: Option<String>,
    state: Option<String>,
}

async fn open(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): RepoPath,
    Input(input): Input<PullInput>,
) -> Reply {
    let (record, git) = readable(&inner, Some(&caller), &owner, &repo)?;
    let head = input.head.unwrap_or_default();
    // `owner:branch` names the same repository; there are no forks.
    let head = head
        .split_once(':')
        .map_or(head.as_str(), |(_, branch)| branch)
        .to_owned();
    let base = input.base.unwrap_or_default();
    let title = input.title.unwrap_or_default();
    if title.trim().is_empty() || title.len() > 255 {
        return Err(ApiError::new(
            422,
            "a pull request needs a title of at most 255 bytes",
        ));
    }
    names::check_branch(&head)?;
    names::check_branch(&base)?;
    if head == base {
        return Err(ApiError::new(422, "head and base are the same branch"));
    }
    let locks = inner.locks(record.id);
    let _refs = locks.refs.lock().await;
    let tip = |branch: String| {
        let git = git.clone();
        async move {
            let found = git.reference(&format!("refs/heads/{branch}")).await?;
            found.ok_or_else(|| ApiError::new(404, format!("branch {branch} does not exist")))
        }
    };
    let head_sha = tip(head.clone()).await?;
    let base_sha = tip(base.clone()).await?;
    let _guard = inner.records.exclusive().await;
    let pulls = inner.records.pulls(record.id)?;
    if let Some(same) = pulls
        .iter()
        .find(|pull| pull.open && pull.head == head && pull.base == base)
    {
        let text = format!(
            "pull request already exists for these targets [id: {}]",
            same.number
        );
        return Err(ApiError::new(409, text));
    }
    if git.count(&[&head_sha, &format!("^{base_sha}")], "").await? == 0 {
        return Err(ApiError::new(
            422,
            "there are no changes between the head and the base",
        ));
    }
    let mut record = inner
        .records
        .repo(&owner, &repo)?
        .ok_or_else(ApiError::missing)?;
    let number = record.next_number;
    record.next_number += 1;
    let name = format!("refs/pull/{number}/head");
    let old = git
        .reference(&name)
        .await?
        .unwrap_or_else(|| git::ZERO.to_owned());
    if old != head_sha {
        git.move_refs(&[RefUpdate {
            name,
            old,
            new: head_sha.clone(),
        }])
        .await?;
    }
    let pull = PullRecord {
        id: inner.records.number().await?,
        number,
        title,
        body: input.body.unwrap_or_default(),
        author: caller.key(),
        head,
        base,
        merge_base: git
            .merge_base(&base_sha, &head_sha)
            .await?
            .unwrap_or_default(),
        head_sha,
        base_sha,
        open: true,
        merge_commit: None,
        merged_by: None,
        merged: None,
        closed: None,
        created: Timestamp::now(),
        updated: Timestamp::now(),
    };
    let transaction = Transaction::new().repo(&record)?.pull(record.id, &pull)?;
    let transaction = with_event(
        &inner,
        transaction,
        &record,
        &caller,
        Event::Pull(number, "opened".to_owned()),
    )
    .await?;
    inner.records.commit(transaction).await?;
    inner.wake.notify_one();
    let permission = access::permission(&inner, Some(&caller), &record)?;
    reply(201, shapes::pull(&inner, &record, &pull, permission).await?)
}

async fn with_event(
    inner: &Inner,
    transaction: Transaction,
    repo: &RepoRecord,
    caller: &Caller,
    event: Event,
) -> Result<Transaction, ApiError> {
    let event = EventRecord {
        id: inner.records.number().await?,
        owner: key_of(&repo.owner),
        repository: key_of(&repo.name),
        user: caller.key(),
        event,
        prepared: false,
        merge: None,
    };
    Ok(transaction.event(&event)?)
}

async fn one(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, index)): PullPath,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    if let Some(number) = index.strip_suffix(".diff").or(index.strip_suffix(".patch")) {
        let pull = find(&inner, &record, number)?;
        let start = start_of(&git, &pull).await?;
        return Ok(text(git.patch(&start, &pull.head_sha).await?));
    }
    let pull = find(&inner, &record, &index)?;
    let permission = access::permission(&inner, caller.as_ref(), &record)?;
    reply(200, shapes::pull(&inner, &record, &pull, permission).await?)
}

/// Where a pull request's changes begin.
async fn start_of(git: &Repository, pull: &PullRecord) -> Result<String, ApiError> {
    if pull.open
        && let Some(base) = git.reference(&format!("refs/heads/{}", pull.base)).await?
        && let Some(found) = git.merge_base(&base, &pull.head_sha).await?
    {
        return Ok(found);
    }
    let known = !pull.merge_base.is_empty();
    Ok(if known {
        pull.merge_base.clone()
    } else {
        git::EMPTY_TREE.to_owned()
    })
}

async fn edit(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, index)): PullPath,
    Input(input): Input<PullInput>,
) -> Reply {
    let record = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Read)?;
    let locks = inner.locks(record.id);
    let _refs = locks.refs.lock().await;
    let guard = inner.records.exclusive().await;
    let mut pull = find(&inner, &record, &index)?;
    let permission = access::permission(&inner, Some(&caller), &record)?;
    if permission < Permission::Write && pull.author != caller.key() {
        return Err(ApiError::new(
            403,
            "only the author or somebody who may write can change it",
        ));
    }
    if let Some(title) = input.title {
        if title.trim().is_empty() || title.len() > 255 {
            return Err(ApiError::new(
                422,
                "a pull request needs a title of at most 255 bytes",
            ));
        }
        pull.title = title;
    }
    pull.body = input.body.unwrap_or(pull.body);
    let mut action = "edited";
    let git = inner.git(&record);
    match input.state.as_deref() {
        Some("closed") if pull.open => {
            pull.merge_base = start_of(&git, &pull).await?;
            pull.open = false;
            pull.closed = Some(Timestamp::now());
            action = "closed";
        }
        Some("open") if !pull.open => {
            if pull.merged.is_some() {
                return Err(ApiError::new(
                    412,
                    "cannot change state of this pull request, it was already merged",
                ));
            }
            let head = git.reference(&format!("refs/heads/{}", pull.head)).await?;
            pull.head_sha = head.ok_or_else(|| ApiError::new(422, "the head branch is gone"))?;
            let name = format!("refs/pull/{}/head", pull.number);
            let old = git
                .reference(&name)
                .await?
                .unwrap_or_else(|| git::ZERO.to_owned());
            if old != pull.head_sha {
                git.move_refs(&[RefUpdate {
                    name,
                    old,
                    new: pull.head_sha.clone(),
                }])
                .await?;
            }
            pull.open = true;
            pull.closed = None;
            action = "reopened";
        }
        Some("open" | "closed") | None => {}
        Some(other) => {
            return Err(ApiError::new(
                422,
                format!("state {other:?} is not open or closed"),
            ));
        }
    }
    pull.updated = Timestamp::now();
    let transaction = Transaction::new().pull(record.id, &pull)?;
    let event = Event::Pull(pull.number, action.to_owned());
    let transaction = with_event(&inner, transaction, &record, &caller, event).await?;
    inner.records.commit(transaction).await?;
    drop(guard);
    inner.wake.notify_one();
    reply(201, shapes::pull(&inner, &record, &pull, permission).await?)
}

async fn files(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, index)): PullPath,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let pull = find(&inner, &record, &index)?;
    let start = start_of(&git, &pull).await?;
    let (changes, total) = pages.cut(git.changes(&start, &pull.head_sha, true).await?);
    let base = format!("{}/{}", inner.base_url(), record.full_name());
    let api = format!("{}/api/v1/repos/{}", inner.base_url(), record.full_name());
    let items: Vec<Value> = changes
        .iter()
        .map(|change| {
            let status = match change.status {
                "modified" => "changed",
                "removed" => "deleted",
                other => other,
            };
            json!({
                "filename": change.path, "status": status, "additions": change.additions,
                "deletions": change.deletions, "changes": change.additions + change.deletions,
                "html_url": format!("{base}/src/commit/{}/{}", pull.head_sha, change.path),
                "contents_url": format!("{api}/contents/{}?ref={}", change.path, pull.head_sha),
                "raw_url": format!("{base}/raw/commit/{}/{}", pull.head_sha, change.path),
            })
        })
        .collect();
    Ok(pages.answer(&inner, &items, total))
}

async fn commits(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, index)): PullPath,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let pull = find(&inner, &record, &index)?;
    let start = start_of(&git, &pull).await?;
    let exclude = format!("^{start}");
    let range: Vec<&str> = if start == git::EMPTY_TREE {
        vec![&pull.head_sha]
    } else {
        vec![&pull.head_sha, &exclude]
    };
    let total = git.count(&range, "").await?;
    let (skip, limit) = pages.0.window();
    let mut items = Vec::new();
    for commit in git.log(&range, "", skip, limit).await? {
        items.push(show_commit(&inner, &record, &git, &commit, true).await?);
    }
    Ok(pages.answer(&inner, &items, total))
}

async fn is_merged(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, index)): PullPath,
) -> Reply {
    let (record, _) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    if find(&inner, &record, &index)?.merged.is_some() {
        done(204)
    } else {
        Err(ApiError::missing())
    }
}

#[derive(Deserialize)]
struct MergeInput {
    #[serde(rename = "Do", alias = "do")]
    style: Option<String>,
    #[serde(rename = "MergeTitleField", alias = "merge_title_field", default)]
    title: String,
    #[serde(rename = "MergeMessageField", alias = "merge_message_field", default)]
    message: String,
    #[serde(default)]
    head_commit_id: String,
    #[serde(default)]
    delete_branch_after_merge: bool,
}

async fn merge_pull(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, index)): PullPath,
    Input(input): Input<MergeInput>,
) -> Reply {
    let record = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Read)?;
    if access::permission(&inner, Some(&caller), &record)? < Permission::Write {
        return Err(ApiError::new(
            405,
            "the user may not merge this pull request",
        ));
    }
    let style = match input.style.as_deref().unwrap_or_default() {
        "merge" => Style::Merge,
        "squash" => Style::Squash,
        "rebase" => Style::Rebase,
        "rebase-merge" => Style::RebaseMerge,
        "fast-forward-only" => Style::FastForward,
        other => {
            return Err(ApiError::new(
                422,
                format!("[Do]: {other:?} is not a way to merge"),
            ));
        }
    };
    let locks = inner.locks(record.id);
    let _edit = locks.edit.lock().await;
    let pull = find(&inner, &record, &index)?;
    if !pull.open {
        return Err(ApiError::new(
            if pull.merged.is_some() { 405 } else { 404 },
            "the pull request is closed",
        ));
    }
    if !input.head_commit_id.is_empty() && input.head_commit_id != pull.head_sha {
        return Err(ApiError::new(409, "head out of date"));
    }
    let git = inner.git(&record);
    let name = format!("refs/heads/{}", pull.base);
    let base = git.reference(&name).await?;
    let base =
        base.ok_or_else(|| ApiError::new(409, format!("the base branch {} is gone", pull.base)))?;
    let merge_base = git
        .merge_base(&base, &pull.head_sha)
        .await?
        .unwrap_or_default();
    let quarantine = Quarantine::open(&inner.quarantine_directory(), &git)?;
    let person = Person {
        name: shown_name(&caller.user),
        email: caller.user.email.clone(),
        seconds: Timestamp::now().as_second(),
        zone: "+0000".to_owned(),
    };
    let message = merge_message(&git, &pull, style, &base, &input).await?;
    let words = Words {
        person: &person,
        message: &message,
    };
    let outcome = merge(&quarantine, &git, style, &base, &pull.head_sha, &words).await;
    let commit = outcome.map_err(|error| match error {
        MergeError::Conflict(_) => ApiError::new(409, error.to_string()),
        MergeError::Impossible(text) => ApiError::new(405, text),
        MergeError::Git(error) => error.into(),
    })?;
    let update = RefUpdate {
        name,
        old: base.clone(),
        new: commit.clone(),
    };
    let change = Change {
        repo: &record,
        caller: &caller,
        updates: vec![update],
        merge: Some(MergeRecord {
            number: pull.number,
            head_sha: pull.head_sha.clone(),
            base_sha: base,
            merge_base,
            commit,
        }),
    };
    push::apply(&inner, change, quarantine)
        .await
        .map_err(|error| match error {
            PushError::Refused(_) => ApiError::new(405, error.to_string()),
            other => other.into(),
        })?;
    if input.delete_branch_after_merge
        && let Err(error) = remove_branch(&inner, &caller, &record, &pull.head).await
    {
        tracing::info!(
            reason = error.message(),
            branch = pull.head,
            "merged branch not deleted"
        );
    }
    done(200)
}

async fn merge_message(
    git: &Repository,
    pull: &PullRecord,
    style: Style,
    base: &str,
    input: &MergeInput,
) -> Result<String, ApiError> {
    let title = match (input.title.trim(), style) {
        ("", Style::Squash) => format!("{} (#{})", pull.title, pull.number),
        ("", _) => format!(
            "Merge pull request '{}' (#{}) from {} into {}",
            pull.title, pull.number, pull.head, pull.base
        ),
        (title, _) => title.to_owned(),
    };
    let mut body = input.message.trim().to_owned();
    if body.is_empty() && style == Style::Squash {
        let range = [pull.head_sha.as_str(), &format!("^{base}")];
        for commit in git.log(&range, "", 0, 100).await?.iter().rev() {
            body.push_str(&format!(
                "* {}\n",
                commit.message.lines().next().unwrap_or_default()
            ));
        }
    }
    Ok(if body.is_empty() {
        title
    } else {
        format!("{title}\n\n{body}")
    })
}

async fn reviews(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, index)): PullPath,
    pages: Pages,
) -> Reply {
    let (record, _) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let pull = find(&inner, &record, &index)?;
    let (reviews, total) = pages.cut(inner.records.reviews(record.id, pull.number)?);
    let mut items = Vec::new();
    for review in &reviews {
        items.push(shapes::review(&inner, &record, &pull, review)?);
    }
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct ReviewInput {
    #[serde(default)]
    event: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    commit_id: String,
}

async fn create_review(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, index)): PullPath,
    Input(input): Input<ReviewInput>,
) -> Reply {
    let record = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Read)?;
    let _guard = inner.records.exclusive().await;
    let pull = find(&inner, &record, &index)?;
    let own = pull.author == caller.key();
    let state = match input.event.as_str() {
        "APPROVED" if own => {
            return Err(ApiError::new(422, "approve your own pull is not allowed"));
        }
        "REQUEST_CHANGES" if own => {
            return Err(ApiError::new(422, "reject your own pull is not allowed"));
        }
        "APPROVED" => "APPROVED",
        "REQUEST_CHANGES" => "REQUEST_CHANGES",
        "COMMENT" => "COMMENT",
        other => {
            return Err(ApiError::new(
                422,
                format!("review event {other:?} is not APPROVED, REQUEST_CHANGES or COMMENT"),
            ));
        }
    };
    if !pull.open {
        return Err(ApiError::new(422, "the pull request is closed"));
    }
    if state != "APPROVED" && input.body.trim().is_empty() {
        return Err(ApiError::new(422, "body is empty"));
    }
    // An approval counts for what was looked at, not for what came after.
    let commit = if input.commit_id.is_empty() {
        pull.head_sha.clone()
    } else {
        input.commit_id
    };
    if !git::read::is_object_id(&commit) {
        return Err(ApiError::new(422, "commit_id is not a complete object id"));
    }
    let review = ReviewRecord {
        id: inner.records.number().await?,
        user: caller.key(),
        state: state.to_owned(),
        body: input.body,
        commit,
        official: access::permission(&inner, Some(&caller), &record)? >= Permission::Write,
        dismissed: false,
        created: Timestamp::now(),
    };
    let mut transaction = Transaction::new();
    if state != "COMMENT" {
        // A new verdict takes the place of the same user's earlier one.
        for mut earlier in inner.records.reviews(record.id, pull.number)? {
            let is_verdict = earlier.state != "COMMENT";
            if is_verdict && earlier.user == review.user && !earlier.dismissed {
                earlier.dismissed = true;
                transaction = transaction.review(record.id, pull.number, &earlier)?;
            }
        }
    }
    let transaction = transaction.review(record.id, pull.number, &review)?;
    let event = Event::Review(pull.number, review.id);
    let transaction = with_event(&inner, transaction, &record, &caller, event).await?;
    inner.records.commit(transaction).await?;
    inner.wake.notify_one();
    reply(200, shapes::review(&inner, &record, &pull, &review)?)
}

type ReviewPath = Path<(String, String, String, u64)>;

async fn review(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, index, id)): ReviewPath,
) -> Reply {
    let (record, _) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let pull = find(&inner, &record, &index)?;
    let review = inner
        .records
        .review(record.id, pull.number, id)?
        .ok_or_else(ApiError::missing)?;
    reply(200, shapes::review(&inner, &record, &pull, &review)?)
}

async fn dismiss(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, index, id)): ReviewPath,
) -> Reply {
    let record = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Admin)?;
    let _guard = inner.records.exclusive().await;
    let pull = find(&inner, &record, &index)?;
    let mut review = inner
        .records
        .review(record.id, pull.number, id)?
        .ok_or_else(ApiError::missing)?;
    review.dismissed = true;
    inner
        .records
        .commit(Transaction::new().review(record.id, pull.number, &review)?)
        .await?;
    reply(200, shapes::review(&inner, &record, &pull, &review)?)
}
