//! Records and Git objects as Gitea 1.26 writes them in JSON.
//!
//! Used by the REST handlers and by webhook payloads, so both always agree.

use serde_json::{Value, json};

use crate::Inner;
use crate::git::read::{Change, Commit, Signature};
use crate::metadata::{MetadataError, key_of};
use crate::records::*;

/// A user, or an organization where Gitea shows it as one.
pub fn user(inner: &Inner, record: &UserRecord) -> Value {
    json!({
        "id": record.id, "login": record.name, "login_name": "", "source_id": 0,
        "full_name": record.full_name, "email": record.email, "avatar_url": "",
        "html_url": format!("{}/{}", inner.base_url(), record.name),
        "language": "", "is_admin": record.admin, "last_login": record.created,
        "created": record.created, "restricted": false, "active": true,
        "prohibit_login": false, "location": "", "website": "", "description": "",
        "visibility": "private", "followers_count": 0, "following_count": 0,
        "starred_repos_count": 0, "username": record.name,
    })
}

/// The user behind a key; a bare name when the user is gone.
pub fn user_of(inner: &Inner, key: &str) -> Result<Value, MetadataError> {
    Ok(match inner.records.user(key)? {
        Some(record) => user(inner, &record),
        None => json!({"id": -1, "login": key, "username": key, "full_name": "", "email": ""}),
    })
}

/// An organization.
pub fn org(record: &OrgRecord) -> Value {
    json!({
        "id": record.id, "name": record.name, "username": record.name,
        "full_name": record.full_name, "email": "", "avatar_url": "",
        "description": record.description, "website": record.website,
        "location": record.location, "visibility": record.visibility,
        "repo_admin_change_team_access": true,
    })
}

/// A team.
pub fn team(record: &TeamRecord, org_record: Option<&OrgRecord>) -> Value {
    let units = ["repo.code", "repo.issues", "repo.pulls", "repo.releases"];
    let word = record.permission.as_str();
    let map: serde_json::Map<String, Value> = units
        .iter()
        .map(|unit| ((*unit).to_owned(), json!(word)))
        .collect();
    json!({
        "id": record.id, "name": record.name, "description": record.description,
        "organization": org_record.map(org), "permission": word,
        "includes_all_repositories": record.all_repositories,
        "can_create_org_repo": record.can_create, "units": units, "units_map": map,
    })
}

/// The owner of a repository: a user, or an organization as one.
fn owner(inner: &Inner, name: &str) -> Result<Value, MetadataError> {
    if let Some(record) = inner.records.org(name)? {
        return Ok(json!({
            "id": record.id, "login": record.name, "full_name": record.full_name, "email": "",
            "avatar_url": "", "html_url": format!("{}/{}", inner.base_url(), record.name),
            "visibility": record.visibility, "username": record.name,
        }));
    }
    user_of(inner, name)
}

/// A repository, with what the caller may do.
pub fn repository(
    inner: &Inner,
    record: &RepoRecord,
    permission: Permission,
) -> Result<Value, MetadataError> {
    let base = inner.base_url();
    let name = record.full_name();
    let open = inner
        .records
        .pulls(record.id)?
        .iter()
        .filter(|pull| pull.open)
        .count();
    Ok(json!({
        "id": record.id, "owner": owner(inner, &record.owner)?, "name": record.name,
        "full_name": name, "description": record.description,
        "empty": inner.git(record).is_empty(), "private": record.private, "fork": false,
        "template": false, "parent": null, "mirror": false,
        "language": "", "languages_url": format!("{base}/api/v1/repos/{name}/languages"),
        "html_url": format!("{base}/{name}"), "url": format!("{base}/api/v1/repos/{name}"),
        "link": "", "ssh_url": "", "clone_url": format!("{base}/{name}.git"),
        "original_url": "", "website": "", "stars_count": 0, "forks_count": 0,
        "watchers_count": 0, "open_issues_count": 0, "open_pr_counter": open,
        "release_counter": 0, "default_branch": record.default_branch, "archived": false,
        "created_at": record.created, "updated_at": record.updated,
        "permissions": {
            "admin": permission >= Permission::Admin,
            "push": permission >= Permission::Write,
            "pull": permission >= Permission::Read,
        },
        "has_code": true, "has_issues": false, "has_wiki": false, "has_pull_requests": true,
        "has_projects": false, "has_releases": false, "has_packages": false, "has_actions": false,
        "ignore_whitespace_conflicts": false, "allow_merge_commits": true, "allow_rebase": true,
        "allow_rebase_explicit": true, "allow_squash_merge": true,
        "allow_fast_forward_only_merge": true, "default_merge_style": "merge",
        "default_delete_branch_after_merge": false, "object_format_name": "sha1", "topics": [],
        "internal": false, "avatar_url": "",
    }))
}

fn commit_user(signature: &Signature) -> Value {
    json!({"name": signature.name, "email": signature.email, "date": signature.date})
}

fn verification() -> Value {
    json!({"verified": false, "reason": "gpg.error.not_signed_commit", "signature": "",
           "signer": null, "payload": "", "verified_at": null})
}

/// The account with a mail address, if there is one.
fn account(inner: &Inner, email: &str) -> Result<Value, MetadataError> {
    let users = inner.records.users()?;
    let found = users
        .iter()
        .find(|user| user.email.eq_ignore_ascii_case(email));
    Ok(found.map_or(Value::Null, |record| user(inner, record)))
}

/// A commit, with its files when they are given.
pub fn commit(
    inner: &Inner,
    repo: &RepoRecord,
    commit: &Commit,
    changes: Option<&[Change]>,
) -> Result<Value, MetadataError> {
    let api = format!("{}/api/v1/repos/{}", inner.base_url(), repo.full_name());
    let url = format!("{api}/git/commits/{}", commit.id);
    let html = |id: &str| format!("{}/{}/commit/{id}", inner.base_url(), repo.full_name());
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|id| {
            json!({"url": format!("{api}/git/commits/{id}"), "sha": id, "created": commit.committer.date})
        })
        .collect();
    let mut value = json!({
        "url": url, "sha": commit.id, "created": commit.committer.date, "html_url": html(&commit.id),
        "commit": {
            "url": url, "author": commit_user(&commit.author),
            "committer": commit_user(&commit.committer), "message": commit.message,
            "tree": {"url": format!("{api}/git/trees/{}", commit.tree), "sha": commit.tree,
                     "created": commit.committer.date},
            "verification": verification(),
        },
        "author": account(inner, &commit.author.email)?,
        "committer": account(inner, &commit.committer.email)?,
        "parents": parents,
    });
    if let (Some(changes), Some(object)) = (changes, value.as_object_mut()) {
        let files: Vec<Value> = changes
            .iter()
            .map(|c| json!({"filename": c.path, "status": c.status}))
            .collect();
        let additions: u64 = changes.iter().map(|change| change.additions).sum();
        let deletions: u64 = changes.iter().map(|change| change.deletions).sum();
        let total = additions + deletions;
        let stats = json!({"total": total, "additions": additions, "deletions": deletions});
        object.insert("files".to_owned(), json!(files));
        object.insert("stats".to_owned(), stats);
    }
    Ok(value)
}

/// A commit as branches and push payloads show it.
pub fn payload_commit(
    inner: &Inner,
    repo: &RepoRecord,
    commit: &Commit,
    changes: &[Change],
) -> Value {
    let of = |status: &str| -> Vec<&str> {
        changes
            .iter()
            .filter(|c| c.status == status)
            .map(|c| c.path.as_str())
            .collect()
    };
    let person = |signature: &Signature| {
        let users = inner.records.users().unwrap_or_default();
        let found = users
            .iter()
            .find(|user| user.email.eq_ignore_ascii_case(&signature.email));
        let name = found.map(|user| user.name.as_str()).unwrap_or_default();
        json!({"name": signature.name, "email": signature.email, "username": name})
    };
    json!({
        "id": commit.id, "message": commit.message,
        "url": format!("{}/{}/commit/{}", inner.base_url(), repo.full_name(), commit.id),
        "author": person(&commit.author), "committer": person(&commit.committer),
        "verification": verification(), "timestamp": commit.committer.date,
        "added": of("added"), "removed": of("removed"), "modified": of("modified"),
    })
}

/// A pull request.
pub async fn pull(
    inner: &Inner,
    repo: &RepoRecord,
    record: &PullRecord,
    permission: Permission,
) -> Result<Value, crate::api::ApiError> {
    let git = inner.git(repo);
    let base_now = git
        .reference(&format!("refs/heads/{}", record.base))
        .await?;
    let base_sha = match (&base_now, record.open) {
        (Some(now), true) => now.clone(),
        _ => record.base_sha.clone(),
    };
    let merge_base = if record.open {
        git.merge_base(&base_sha, &record.head_sha)
            .await?
            .unwrap_or_default()
    } else {
        record.merge_base.clone()
    };
    let mergeable = record.open
        && base_now.is_some()
        && crate::api::pulls::is_mergeable(inner, repo, &base_sha, &record.head_sha).await?;
    let shown = repository(inner, repo, permission)?;
    let side = |branch: &str, sha: &str| json!({"label": branch, "ref": branch, "sha": sha, "repo_id": repo.id, "repo": shown});
    let html = format!(
        "{}/{}/pulls/{}",
        inner.base_url(),
        repo.full_name(),
        record.number
    );
    let merged_by = match &record.merged_by {
        Some(key) => user_of(inner, key)?,
        None => Value::Null,
    };
    let comments = inner.records.reviews(repo.id, record.number)?.len();
    Ok(json!({
        "id": record.id, "number": record.number,
        "url": html, "html_url": html,
        "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"),
        "user": user_of(inner, &record.author)?, "title": record.title, "body": record.body,
        "labels": [], "milestone": null, "assignee": null, "assignees": null,
        "requested_reviewers": [], "requested_reviewers_teams": [],
        "state": if record.open { "open" } else { "closed" }, "draft": false, "is_locked": false,
        "comments": 0, "review_comments": comments, "mergeable": mergeable,
        "merged": record.merged.is_some(), "merged_at": record.merged,
        "merge_commit_sha": record.merge_commit, "merged_by": merged_by,
        "allow_maintainer_edit": false,
        "base": side(&record.base, &base_sha), "head": side(&record.head, &record.head_sha),
        "merge_base": merge_base, "due_date": null, "created_at": record.created,
        "updated_at": record.updated, "closed_at": record.closed, "pin_order": 0,
    }))
}

/// A review.
pub fn review(
    inner: &Inner,
    repo: &RepoRecord,
    pull: &PullRecord,
    record: &ReviewRecord,
) -> Result<Value, MetadataError> {
    let html = format!(
        "{}/{}/pulls/{}",
        inner.base_url(),
        repo.full_name(),
        pull.number
    );
    Ok(json!({
        "id": record.id, "user": user_of(inner, &record.user)?, "team": null,
        "state": record.state, "body": record.body, "commit_id": record.commit,
        "stale": record.commit != pull.head_sha, "official": record.official,
        "dismissed": record.dismissed, "comments_count": 0,
        "submitted_at": record.created, "updated_at": record.created,
        "html_url": format!("{html}#pullrequestreview-{}", record.id), "pull_request_url": html,
    }))
}

/// A webhook, without its secrets.
pub fn hook(record: &HookRecord) -> Value {
    json!({
        "id": record.id, "type": "gitea", "branch_filter": record.branch_filter,
        "config": {"content_type": "json", "url": record.url}, "events": record.events,
        "authorization_header": "", "active": record.active,
        "updated_at": record.updated, "created_at": record.created,
    })
}

/// A commit status.
pub fn status(
    inner: &Inner,
    repo: &RepoRecord,
    commit: &str,
    record: &StatusRecord,
) -> Result<Value, MetadataError> {
    let api = format!("{}/api/v1/repos/{}", inner.base_url(), repo.full_name());
    Ok(json!({
        "id": record.id, "status": record.state, "target_url": record.target_url,
        "description": record.description, "url": format!("{api}/statuses/{commit}"),
        "context": record.context, "creator": user_of(inner, &record.creator)?,
        "created_at": record.created, "updated_at": record.created,
    }))
}

/// A token, without its secret.
pub fn token(record: &TokenRecord, secret: &str) -> Value {
    json!({
        "id": record.id, "name": record.name, "sha1": secret,
        "token_last_eight": record.last_eight, "scopes": record.scopes,
        "created_at": record.created,
    })
}

/// Whether two names are the same.
pub fn same_name(one: &str, other: &str) -> bool {
    key_of(one) == key_of(other)
}
