//! Reading repositories: branches, tags, commits, comparisons, trees, blobs,
//! refs, raw files; making and deleting branches.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Anyone, ApiError, Input, Known, Pages, Reply, done, reply};
use crate::Inner;
use crate::access::{self, Caller};
use crate::git::quarantine::Quarantine;
use crate::git::read::Commit;
use crate::git::{self, Repository};
use crate::names;
use crate::push::{self, Change};
use crate::records::*;
use crate::shapes;

pub fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route(
            "/repos/{owner}/{repo}/branches",
            get(branches).post(create_branch),
        )
        .route(
            "/repos/{owner}/{repo}/branches/{*branch}",
            get(branch).delete(delete_branch),
        )
        .route("/repos/{owner}/{repo}/tags", get(tags))
        .route("/repos/{owner}/{repo}/commits", get(commits))
        .route("/repos/{owner}/{repo}/git/commits/{sha}", get(commit))
        .route("/repos/{owner}/{repo}/compare/{*range}", get(compare))
        .route("/repos/{owner}/{repo}/git/trees/{sha}", get(tree))
        .route("/repos/{owner}/{repo}/git/blobs/{sha}", get(blob))
        .route("/repos/{owner}/{repo}/git/refs", get(all_refs))
        .route("/repos/{owner}/{repo}/git/refs/{*name}", get(refs))
        .route("/repos/{owner}/{repo}/raw/{*path}", get(raw))
}

type App = State<Arc<Inner>>;
type RepoPath = Path<(String, String)>;
type RestPath = Path<(String, String, String)>;

/// A repository to read, with its Git.
pub fn readable(
    inner: &Inner,
    caller: Option<&Caller>,
    owner: &str,
    repo: &str,
) -> Result<(RepoRecord, Repository), ApiError> {
    let record = access::repository(inner, caller, owner, repo, Permission::Read)?;
    let git = inner.git(&record);
    Ok((record, git))
}

/// The commit for a client's word; empty for the default branch.
pub async fn resolve(
    record: &RepoRecord,
    git: &Repository,
    word: &str,
) -> Result<String, ApiError> {
    let word = if word.is_empty() {
        &record.default_branch
    } else {
        word
    };
    let found = git.resolve(word).await?;
    found.ok_or_else(|| {
        ApiError::new(
            404,
            format!(
                "{word:?} is not a branch, tag or commit of {}",
                record.full_name()
            ),
        )
    })
}

async fn show_branch(
    inner: &Inner,
    record: &RepoRecord,
    git: &Repository,
    name: &str,
    id: &str,
) -> Result<Value, ApiError> {
    let commit = git.commit(id).await?.ok_or_else(ApiError::missing)?;
    Ok(json!({
        "name": name, "commit": shapes::payload_commit(inner, record, &commit, &[]),
        "protected": false, "required_approvals": 0, "enable_status_check": false,
        "status_check_contexts": [], "user_can_push": true, "user_can_merge": true,
        "effective_branch_protection_name": "",
    }))
}

async fn branches(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo)): RepoPath,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let (refs, total) = pages.cut(git.references("refs/heads/").await?);
    let mut items = Vec::new();
    for found in &refs {
        let name = found.name.trim_start_matches("refs/heads/");
        items.push(show_branch(&inner, &record, &git, name, &found.object).await?);
    }
    Ok(pages.answer(&inner, &items, total))
}

async fn branch(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, name)): RestPath,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    names::check_branch(&name).map_err(|_| ApiError::missing())?;
    let id = git
        .reference(&format!("refs/heads/{name}"))
        .await?
        .ok_or_else(ApiError::missing)?;
    reply(200, show_branch(&inner, &record, &git, &name, &id).await?)
}

#[derive(Deserialize)]
struct BranchInput {
    new_branch_name: String,
    old_branch_name: Option<String>,
    old_ref_name: Option<String>,
}

async fn create_branch(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): RepoPath,
    Input(input): Input<BranchInput>,
) -> Reply {
    let record = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Write)?;
    let git = inner.git(&record);
    names::check_branch(&input.new_branch_name)?;
    let from = input
        .old_ref_name
        .or(input.old_branch_name)
        .unwrap_or_default();
    let id = resolve(&record, &git, &from).await?;
    let name = format!("refs/heads/{}", input.new_branch_name);
    if git.reference(&name).await?.is_some() {
        return Err(ApiError::new(409, "The branch already exists."));
    }
    move_ref(
        &inner,
        &caller,
        &record,
        RefUpdate {
            name,
            old: git::ZERO.to_owned(),
            new: id.clone(),
        },
    )
    .await?;
    reply(
        201,
        show_branch(&inner, &record, &git, &input.new_branch_name, &id).await?,
    )
}

async fn delete_branch(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, name)): RestPath,
) -> Reply {
    let record = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Write)?;
    names::check_branch(&name).map_err(|_| ApiError::missing())?;
    remove_branch(&inner, &caller, &record, &name).await?;
    done(204)
}

/// Deletes a branch that is not the default one.
pub async fn remove_branch(
    inner: &Inner,
    caller: &Caller,
    record: &RepoRecord,
    name: &str,
) -> Result<(), ApiError> {
    if name == record.default_branch {
        return Err(ApiError::new(403, "can not delete default branch"));
    }
    let full = format!("refs/heads/{name}");
    let old = inner
        .git(record)
        .reference(&full)
        .await?
        .ok_or_else(ApiError::missing)?;
    move_ref(
        inner,
        caller,
        record,
        RefUpdate {
            name: full,
            old,
            new: git::ZERO.to_owned(),
        },
    )
    .await
}

/// Moves one ref to an object that is already there.
pub async fn move_ref(
    inner: &Inner,
    caller: &Caller,
    record: &RepoRecord,
    update: RefUpdate,
) -> Result<(), ApiError> {
    let quarantine = Quarantine::open(&inner.quarantine_directory(), &inner.git(record))?;
    let change = Change {
        repo: record,
        caller,
        updates: vec![update],
        merge: None,
    };
    push::apply(inner, change, quarantine).await?;
    Ok(())
}

async fn tags(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo)): RepoPath,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let (refs, total) = pages.cut(git.references("refs/tags/").await?);
    let mut items = Vec::new();
    for found in &refs {
        let commit = git.resolve(&found.name).await?;
        let api = format!("{}/api/v1/repos/{}", inner.base_url(), record.full_name());
        let shown = commit.map(|id| json!({"sha": id, "url": format!("{api}/git/commits/{id}")}));
        let name = found.name.trim_start_matches("refs/tags/");
        items.push(json!({"name": name, "id": found.object, "message": "", "commit": shown}));
    }
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct LogQuery {
    sha: Option<String>,
    path: Option<String>,
    stat: Option<bool>,
    files: Option<bool>,
    not: Option<String>,
}

/// A commit with its files, for a listing or alone.
pub async fn show_commit(
    inner: &Inner,
    record: &RepoRecord,
    git: &Repository,
    commit: &Commit,
    files: bool,
) -> Result<Value, ApiError> {
    if !files {
        return Ok(shapes::commit(inner, record, commit, None)?);
    }
    let parent = commit
        .parents
        .first()
        .map_or(git::EMPTY_TREE, String::as_str);
    let changes = git.changes(parent, &commit.id, true).await?;
    Ok(shapes::commit(inner, record, commit, Some(&changes))?)
}

async fn commits(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo)): RepoPath,
    Query(query): Query<LogQuery>,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    if git.is_empty() {
        return Err(ApiError::new(409, "Git Repository is empty."));
    }
    let tip = resolve(&record, &git, query.sha.as_deref().unwrap_or_default()).await?;
    let mut range = vec![tip];
    if let Some(not) = query.not.filter(|not| !not.is_empty()) {
        range.push(format!("^{}", resolve(&record, &git, &not).await?));
    }
    let range: Vec<&str> = range.iter().map(String::as_str).collect();
    let path = query.path.unwrap_or_default();
    if !path.is_empty() {
        names::check_path(path.trim_end_matches('/'))?;
    }
    let (skip, limit) = pages.0.window();
    let total = git.count(&range, &path).await?;
    let files = query.files.unwrap_or(true) || query.stat.unwrap_or(true);
    let mut items = Vec::new();
    for commit in git.log(&range, &path, skip, limit).await? {
        items.push(show_commit(&inner, &record, &git, &commit, files).await?);
    }
    Ok(pages.answer(&inner, &items, total))
}

async fn commit(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, sha)): RestPath,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    if let Some(id) = sha.strip_suffix(".diff").or(sha.strip_suffix(".patch")) {
        let id = resolve(&record, &git, id).await?;
        let commit = git.commit(&id).await?.ok_or_else(ApiError::missing)?;
        let parent = commit
            .parents
            .first()
            .map_or(git::EMPTY_TREE, String::as_str);
        return Ok(text(git.patch(parent, &id).await?));
    }
    let id = resolve(&record, &git, &sha).await?;
    let commit = git.commit(&id).await?.ok_or_else(ApiError::missing)?;
    reply(
        200,
        show_commit(&inner, &record, &git, &commit, true).await?,
    )
}

/// Plain text that no browser runs.
pub fn text(content: Vec<u8>) -> axum::response::Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}

async fn compare(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, range)): RestPath,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let parts = range.split_once("...").or_else(|| range.split_once(".."));
    let (base, head) = parts.ok_or_else(|| ApiError::new(404, "give a range as base...head"))?;
    let base = resolve(&record, &git, base).await?;
    let head = resolve(&record, &git, head).await?;
    let exclude = format!("^{base}");
    let range = [head.as_str(), exclude.as_str()];
    let total = git.count(&range, "").await?;
    let mut items = Vec::new();
    for commit in git.log(&range, "", 0, 250).await? {
        items.push(show_commit(&inner, &record, &git, &commit, true).await?);
    }
    let start = git.merge_base(&base, &head).await?.unwrap_or(base);
    let files: Vec<Value> = git
        .changes(&start, &head, false)
        .await?
        .iter()
        .map(|change| json!({"filename": change.path, "status": change.status}))
        .collect();
    reply(
        200,
        json!({"total_commits": total, "commits": items, "files": files}),
    )
}

#[derive(Deserialize)]
struct TreeQuery {
    recursive: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
}

/// What Gitea says of a tree that is not there.
fn absent() -> ApiError {
    ApiError::new(400, "object does not exist")
}

async fn tree(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, sha)): RestPath,
    Query(query): Query<TreeQuery>,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let id = match git.resolve(&sha).await? {
        Some(commit) => {
            git.commit(&commit)
                .await?
                .ok_or_else(ApiError::missing)?
                .tree
        }
        None if git::read::is_object_id(&sha) => {
            let kinds = git.sizes(&[&sha]).await?;
            let is_tree = kinds.get(&sha).is_some_and(|(kind, _)| kind == "tree");
            is_tree.then_some(sha).ok_or_else(absent)?
        }
        None => return Err(absent()),
    };
    let recursive = query
        .recursive
        .is_some_and(|word| word == "true" || word == "1");
    let entries = git.tree(&id, recursive).await?;
    let total = entries.len();
    let size = query
        .per_page
        .filter(|size| *size > 0)
        .unwrap_or(1000)
        .min(1000);
    let page = query.page.unwrap_or(1).max(1);
    let skip = (page - 1).saturating_mul(size);
    let api = format!(
        "{}/api/v1/repos/{}/git",
        inner.base_url(),
        record.full_name()
    );
    let items: Vec<Value> = entries
        .iter()
        .skip(skip)
        .take(size)
        .map(|entry| {
            let kind = if entry.kind == "tree" {
                "trees"
            } else {
                "blobs"
            };
            json!({"path": entry.path, "mode": entry.mode, "type": entry.kind,
                   "size": entry.size.unwrap_or(0), "sha": entry.id,
                   "url": format!("{api}/{kind}/{}", entry.id)})
        })
        .collect();
    let truncated = skip + items.len() < total;
    reply(
        200,
        json!({"sha": id, "url": format!("{api}/trees/{id}"), "tree": items,
                      "truncated": truncated, "page": page, "total_count": total}),
    )
}

async fn blob(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, sha)): RestPath,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    if !git::read::is_object_id(&sha) {
        return Err(ApiError::new(400, "a blob is named by its complete id"));
    }
    let sizes = git.sizes(&[&sha]).await?;
    let size = sizes
        .get(&sha)
        .filter(|(kind, _)| kind == "blob")
        .map(|(_, size)| *size);
    let size = size.ok_or_else(ApiError::missing)?;
    let content = BASE64.encode(git.blob(&sha).await?);
    let url = format!(
        "{}/api/v1/repos/{}/git/blobs/{sha}",
        inner.base_url(),
        record.full_name()
    );
    reply(
        200,
        json!({"content": content, "encoding": "base64", "url": url, "sha": sha, "size": size}),
    )
}

fn show_ref(inner: &Inner, record: &RepoRecord, found: &git::read::Ref) -> Value {
    let api = format!(
        "{}/api/v1/repos/{}/git",
        inner.base_url(),
        record.full_name()
    );
    json!({
        "ref": found.name, "url": format!("{api}/{}", found.name),
        "object": {"type": found.kind, "sha": found.object,
                   "url": format!("{api}/{}s/{}", found.kind, found.object)},
    })
}

async fn all_refs(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo)): RepoPath,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let (refs, total) = pages.cut(git.references("refs/").await?);
    let items: Vec<Value> = refs
        .iter()
        .map(|found| show_ref(&inner, &record, found))
        .collect();
    Ok(pages.answer(&inner, &items, total))
}

async fn refs(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, name)): RestPath,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let full = format!("refs/{}", name.trim_end_matches('/'));
    names::check_ref(&full).map_err(|_| ApiError::missing())?;
    let mut refs = git.references("refs/").await?;
    refs.retain(|found| found.name.starts_with(&full));
    if refs.is_empty() {
        return Err(ApiError::missing());
    }
    // An exact match is one object, anything else a list, as in Gitea.
    if let Some(exact) = refs.iter().find(|found| found.name == full) {
        return reply(200, show_ref(&inner, &record, exact));
    }
    let (refs, total) = pages.cut(refs);
    let items: Vec<Value> = refs
        .iter()
        .map(|found| show_ref(&inner, &record, found))
        .collect();
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct AtRef {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

async fn raw(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, path)): RestPath,
    Query(query): Query<AtRef>,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let commit = resolve(
        &record,
        &git,
        query.reference.as_deref().unwrap_or_default(),
    )
    .await?;
    names::check_path(&path).map_err(|_| ApiError::missing())?;
    let entry = git
        .entry(&commit, &path)
        .await?
        .filter(|entry| entry.kind == "blob");
    let entry = entry.ok_or_else(ApiError::missing)?;
    let mut response = text(git.blob(&entry.id).await?);
    if let Ok(value) = header::HeaderValue::from_str(&format!("\"{}\"", entry.id)) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Ok(response)
}
