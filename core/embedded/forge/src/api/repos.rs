//! Repositories: make, show, change, delete; collaborators.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use catalyst_store::Transaction;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Anyone, ApiError, Input, Known, Pages, Reply, contents, done, orgs, reply};
use crate::Inner;
use crate::access::{self, Caller};
use crate::git;
use crate::metadata::{Remove, Write, key_of};
use crate::names;
use crate::records::*;
use crate::shapes;

pub fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/user/repos", get(mine).post(create_own))
        .route("/users/{user}/repos", get(of_user))
        .route("/admin/users/{user}/repos", axum::routing::post(create_for))
        .route("/orgs/{org}/repos", get(of_org).post(create_in_org))
        .route("/repos/search", get(search))
        .route("/repos/{owner}/{repo}", get(one).patch(edit).delete(remove))
        .route("/repos/{owner}/{repo}/collaborators", get(collaborators))
        .route(
            "/repos/{owner}/{repo}/collaborators/{user}",
            get(is_collaborator)
                .put(add_collaborator)
                .delete(drop_collaborator),
        )
        .route(
            "/repos/{owner}/{repo}/collaborators/{user}/permission",
            get(permission_of),
        )
}

type App = State<Arc<Inner>>;

fn show(
    inner: &Inner,
    caller: Option<&Caller>,
    pages: &Pages,
    repos: Vec<RepoRecord>,
) -> Result<(Vec<Value>, usize), ApiError> {
    let mut seen = Vec::new();
    for repo in repos {
        let permission = access::permission(inner, caller, &repo)?;
        if permission > Permission::None {
            seen.push((repo, permission));
        }
    }
    let (page, total) = pages.cut(seen);
    let mut items = Vec::new();
    for (repo, permission) in &page {
        items.push(shapes::repository(inner, repo, *permission)?);
    }
    Ok((items, total))
}

async fn mine(State(inner): App, Known(caller): Known, pages: Pages) -> Reply {
    let mut repos = inner.records.repos(None)?;
    let key = caller.key();
    let teams = inner.records.all_teams()?;
    let in_team = |repo: &RepoRecord| {
        teams.iter().any(|team| {
            team.org == key_of(&repo.owner)
                && team.members.contains(&key)
                && (team.all_repositories || team.repositories.contains(&key_of(&repo.name)))
        })
    };
    repos.retain(|repo| {
        key_of(&repo.owner) == key || repo.collaborators.contains_key(&key) || in_team(repo)
    });
    let (items, total) = show(&inner, Some(&caller), &pages, repos)?;
    Ok(pages.answer(&inner, &items, total))
}

async fn of_user(
    State(inner): App,
    Anyone(caller): Anyone,
    Path(user): Path<String>,
    pages: Pages,
) -> Reply {
    let user = access::user(&inner, caller.as_ref(), &user)?;
    let repos = inner.records.repos(Some(&user.name))?;
    let (items, total) = show(&inner, caller.as_ref(), &pages, repos)?;
    Ok(pages.answer(&inner, &items, total))
}

async fn of_org(
    State(inner): App,
    Anyone(caller): Anyone,
    Path(org): Path<String>,
    pages: Pages,
) -> Reply {
    let org = orgs::visible(&inner, caller.as_ref(), &org)?;
    let repos = inner.records.repos(Some(&org.name))?;
    let (items, total) = show(&inner, caller.as_ref(), &pages, repos)?;
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct Search {
    q: Option<String>,
}

async fn search(
    State(inner): App,
    Anyone(caller): Anyone,
    Query(query): Query<Search>,
    pages: Pages,
) -> Reply {
    let word = key_of(&query.q.unwrap_or_default());
    let mut repos = inner.records.repos(None)?;
    repos.retain(|repo| key_of(&repo.full_name()).contains(&word));
    let (items, total) = show(&inner, caller.as_ref(), &pages, repos)?;
    let mut response = pages.answer(&inner, &items, total);
    let body = json!({"ok": true, "data": items}).to_string();
    response
        .headers_mut()
        .remove(axum::http::header::CONTENT_LENGTH);
    *response.body_mut() = axum::body::Body::from(body);
    Ok(response)
}

#[derive(Deserialize)]
struct RepoInput {
    name: Option<String>,
    description: Option<String>,
    private: Option<bool>,
    default_branch: Option<String>,
    #[serde(default)]
    auto_init: bool,
}

/// Repositories are an organization's, as with Gitea's `MAX_CREATION_LIMIT = 0`:
/// nobody keeps what no Organization knows of.
async fn create_own(
    State(inner): App,
    Known(caller): Known,
    Input(input): Input<RepoInput>,
) -> Reply {
    if !caller.user.admin {
        return Err(ApiError::new(
            403,
            "user has reached maximum limit of repositories [limit: 0]",
        ));
    }
    let owner = caller.user.name.clone();
    make(&inner, &caller, owner, input).await
}

async fn create_for(
    State(inner): App,
    super::Admin(caller): super::Admin,
    Path(user): Path<String>,
    Input(input): Input<RepoInput>,
) -> Reply {
    let user = inner.records.user(&user)?.ok_or_else(ApiError::missing)?;
    make(&inner, &caller, user.name, input).await
}

async fn create_in_org(
    State(inner): App,
    Known(caller): Known,
    Path(org): Path<String>,
    Input(input): Input<RepoInput>,
) -> Reply {
    let org = orgs::visible(&inner, Some(&caller), &org)?;
    let key = caller.key();
    let teams = inner.records.teams(&org.name)?;
    let may = teams.iter().any(|team| {
        team.members.contains(&key) && (team.can_create || team.permission == Permission::Owner)
    });
    if !may && !caller.user.admin {
        return Err(ApiError::new(
            403,
            format!("you may not create repositories in {}", org.name),
        ));
    }
    make(&inner, &caller, org.name, input).await
}

async fn make(inner: &Inner, caller: &Caller, owner: String, input: RepoInput) -> Reply {
    let name = input.name.unwrap_or_default();
    names::check_repository(&name)?;
    let branch = input.default_branch.filter(|branch| !branch.is_empty());
    let branch = branch.unwrap_or_else(|| "main".to_owned());
    names::check_branch(&branch)?;
    let guard = inner.records.exclusive().await;
    if inner.records.repo(&owner, &name)?.is_some() {
        return Err(ApiError::new(
            409,
            "The repository with the same name already exists.",
        ));
    }
    let repo = RepoRecord {
        id: inner.records.number().await?,
        owner,
        name,
        description: input.description.unwrap_or_default(),
        private: input.private.unwrap_or(true),
        default_branch: branch,
        created: Timestamp::now(),
        updated: Timestamp::now(),
        next_number: 1,
        collaborators: std::collections::BTreeMap::new(),
    };
    prepare_directory(inner, &repo)?;
    inner
        .records
        .commit(Transaction::new().repo(&repo)?)
        .await?;
    drop(guard);
    if input.auto_init {
        contents::first_commit(inner, caller, &repo).await?;
    }
    reply(
        201,
        shapes::repository(
            inner,
            &repo,
            access::permission(inner, Some(caller), &repo)?,
        )?,
    )
}

/// An empty repository in its place. A directory without a record is the rest
/// of an interrupted creation or deletion.
fn prepare_directory(inner: &Inner, repo: &RepoRecord) -> Result<(), ApiError> {
    let directory = inner.directory_of(&repo.owner, &repo.name);
    let staging = inner
        .quarantine_directory()
        .join(format!("{}.new", uuid::Uuid::new_v4()));
    git::initialise(&staging, &repo.default_branch)?;
    discard(inner, &directory)?;
    let parent = directory.parent().unwrap_or(&directory);
    let place = || {
        std::fs::create_dir_all(parent)?;
        std::fs::rename(&staging, &directory)
    };
    place().map_err(git::file_error("make the repository", &directory))?;
    git::sync_directory(parent)?;
    Ok(())
}

/// Moves a directory out of the way at once; its removal may take time.
fn discard(inner: &Inner, directory: &std::path::Path) -> Result<(), ApiError> {
    let trash = inner
        .trash_directory()
        .join(uuid::Uuid::new_v4().to_string());
    match std::fs::rename(directory, &trash) {
        Ok(()) => {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = std::fs::remove_dir_all(&trash) {
                    tracing::warn!(%error, "deleted repository stays in the trash until the next start");
                }
            });
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(git::file_error("remove", directory)(error).into()),
    }
}

async fn one(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo)): Path<(String, String)>,
) -> Reply {
    let repo = access::repository(&inner, caller.as_ref(), &owner, &repo, Permission::Read)?;
    let permission = access::permission(&inner, caller.as_ref(), &repo)?;
    reply(200, shapes::repository(&inner, &repo, permission)?)
}

async fn edit(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): Path<(String, String)>,
    Input(input): Input<RepoInput>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let mut repo = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Admin)?;
    if input.name.as_ref().is_some_and(|name| *name != repo.name) {
        return Err(ApiError::new(422, "a repository cannot be renamed"));
    }
    if let Some(branch) = input.default_branch {
        names::check_branch(&branch)?;
        let git = inner.git(&repo);
        if git
            .reference(&format!("refs/heads/{branch}"))
            .await?
            .is_none()
            && !git.is_empty()
        {
            return Err(ApiError::new(
                422,
                format!("branch {branch} does not exist"),
            ));
        }
        git::set_head(git.directory(), &branch)?;
        repo.default_branch = branch;
    }
    repo.description = input.description.unwrap_or(repo.description);
    repo.private = input.private.unwrap_or(repo.private);
    inner
        .records
        .commit(Transaction::new().repo(&repo)?)
        .await?;
    reply(200, shapes::repository(&inner, &repo, Permission::Admin)?)
}

async fn remove(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): Path<(String, String)>,
) -> Reply {
    let repo = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Admin)?;
    let locks = inner.locks(repo.id);
    let _refs = locks.refs.lock().await;
    let _guard = inner.records.exclusive().await;
    let mut transaction = Transaction::new().without_repo(&repo);
    for hook in inner.records.hooks(&HookScope::Repository(repo.id))? {
        transaction = transaction.without_hook(hook.id);
    }
    let key = key_of(&repo.name);
    for mut team in inner.records.teams(&repo.owner)? {
        if team.repositories.contains(&key) {
            team.repositories.retain(|name| *name != key);
            transaction = transaction.team(&team)?;
        }
    }
    inner.records.commit(transaction).await?;
    discard(&inner, &inner.directory_of(&repo.owner, &repo.name))?;
    done(204)
}

async fn collaborators(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): Path<(String, String)>,
    pages: Pages,
) -> Reply {
    let repo = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Write)?;
    let (keys, total) = pages.cut(repo.collaborators.keys().collect());
    let mut items = Vec::new();
    for key in keys {
        items.push(shapes::user_of(&inner, key)?);
    }
    Ok(pages.answer(&inner, &items, total))
}

type UserPath = Path<(String, String, String)>;

async fn is_collaborator(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, user)): UserPath,
) -> Reply {
    let repo = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Read)?;
    if repo.collaborators.contains_key(&key_of(&user)) {
        return done(204);
    }
    Err(ApiError::missing())
}

#[derive(Deserialize)]
struct Given {
    permission: Option<Permission>,
}

async fn add_collaborator(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, user)): UserPath,
    Input(input): Input<Given>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let mut repo = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Admin)?;
    let user = inner.records.user(&user)?.ok_or_else(ApiError::missing)?;
    let permission = input.permission.unwrap_or(Permission::Write);
    if permission > Permission::Admin || permission == Permission::None {
        return Err(ApiError::new(422, "permission is not read, write or admin"));
    }
    repo.collaborators.insert(key_of(&user.name), permission);
    inner
        .records
        .commit(Transaction::new().repo(&repo)?)
        .await?;
    done(204)
}

async fn drop_collaborator(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, user)): UserPath,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let mut repo = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Admin)?;
    repo.collaborators.remove(&key_of(&user));
    inner
        .records
        .commit(Transaction::new().repo(&repo)?)
        .await?;
    done(204)
}

async fn permission_of(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, user)): UserPath,
) -> Reply {
    let repo = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Read)?;
    // Refused whoever it is about, so that it does not tell who there is.
    let own = shapes::same_name(&caller.user.name, &user);
    if !own && access::permission(&inner, Some(&caller), &repo)? < Permission::Admin {
        return Err(ApiError::new(
            403,
            "only an administrator of the repository may see this",
        ));
    }
    let record = inner.records.user(&user)?.ok_or_else(ApiError::missing)?;
    let other = Caller {
        user: record,
        scopes: None,
    };
    let word = access::permission(&inner, Some(&other), &repo)?.as_str();
    let shown = shapes::user(&inner, &other.user);
    reply(
        200,
        json!({"permission": word, "role_name": word, "user": shown}),
    )
}
