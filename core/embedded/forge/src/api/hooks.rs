//! Webhooks of repositories and organizations.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use catalyst_store::Transaction;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{ApiError, Input, Known, Pages, Reply, done, orgs, reply};
use crate::Inner;
use crate::access::{self, Caller};
use crate::metadata::{Remove, Write};
use crate::records::*;
use crate::shapes;

pub fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route(
            "/repos/{owner}/{repo}/hooks",
            get(repo_list).post(repo_create),
        )
        .route(
            "/repos/{owner}/{repo}/hooks/{id}",
            get(repo_one).patch(repo_edit).delete(repo_delete),
        )
        .route("/orgs/{org}/hooks", get(org_list).post(org_create))
        .route(
            "/orgs/{org}/hooks/{id}",
            get(org_one).patch(org_edit).delete(org_delete),
        )
}

type App = State<Arc<Inner>>;

#[derive(Deserialize)]
struct HookInput {
    #[serde(rename = "type")]
    kind: Option<String>,
    config: Option<std::collections::BTreeMap<String, String>>,
    events: Option<Vec<String>>,
    branch_filter: Option<String>,
    authorization_header: Option<String>,
    active: Option<bool>,
}

fn repo_scope(
    inner: &Inner,
    caller: &Caller,
    owner: &str,
    repo: &str,
) -> Result<HookScope, ApiError> {
    let record = access::repository(inner, Some(caller), owner, repo, Permission::Admin)?;
    Ok(HookScope::Repository(record.id))
}

fn org_scope(inner: &Inner, caller: &Caller, org: &str) -> Result<HookScope, ApiError> {
    Ok(HookScope::Organization(orgs::owned(inner, caller, org)?.id))
}

fn check_url(url: &str) -> Result<(), ApiError> {
    let parsed = reqwest::Url::parse(url).ok();
    let fine =
        parsed.is_some_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    if fine {
        Ok(())
    } else {
        Err(ApiError::new(422, "Invalid url"))
    }
}

fn list(inner: &Inner, scope: &HookScope, pages: &Pages) -> Reply {
    let (hooks, total) = pages.cut(inner.records.hooks(scope)?);
    let items: Vec<Value> = hooks.iter().map(shapes::hook).collect();
    Ok(pages.answer(inner, &items, total))
}

async fn create(inner: &Inner, scope: HookScope, input: HookInput) -> Reply {
    if input.kind.as_deref() != Some("gitea") {
        return Err(ApiError::new(422, "only hooks of type gitea are served"));
    }
    let config = input.config.unwrap_or_default();
    let url = config.get("url").cloned().unwrap_or_default();
    check_url(&url)?;
    if config.get("content_type").is_none_or(|kind| kind != "json") {
        return Err(ApiError::new(422, "only the content type json is served"));
    }
    let hook = HookRecord {
        id: inner.records.number().await?,
        scope,
        url,
        secret: config.get("secret").cloned().unwrap_or_default(),
        authorization: input.authorization_header.unwrap_or_default(),
        events: input
            .events
            .filter(|events| !events.is_empty())
            .unwrap_or_else(|| vec!["push".to_owned()]),
        branch_filter: input.branch_filter.unwrap_or_default(),
        active: input.active.unwrap_or(false),
        created: Timestamp::now(),
        updated: Timestamp::now(),
    };
    inner
        .records
        .commit(Transaction::new().hook(&hook)?)
        .await?;
    reply(201, shapes::hook(&hook))
}

fn find(inner: &Inner, scope: &HookScope, id: u64) -> Result<HookRecord, ApiError> {
    let hook = inner.records.hook(id)?.filter(|hook| hook.scope == *scope);
    hook.ok_or_else(ApiError::missing)
}

async fn edit(inner: &Inner, scope: &HookScope, id: u64, input: HookInput) -> Reply {
    let _guard = inner.records.exclusive().await;
    let mut hook = find(inner, scope, id)?;
    if let Some(config) = input.config {
        if let Some(url) = config.get("url") {
            check_url(url)?;
            hook.url.clone_from(url);
        }
        if let Some(secret) = config.get("secret") {
            hook.secret.clone_from(secret);
        }
    }
    hook.events = input.events.unwrap_or(hook.events);
    hook.branch_filter = input.branch_filter.unwrap_or(hook.branch_filter);
    hook.authorization = input.authorization_header.unwrap_or(hook.authorization);
    hook.active = input.active.unwrap_or(hook.active);
    hook.updated = Timestamp::now();
    inner
        .records
        .commit(Transaction::new().hook(&hook)?)
        .await?;
    reply(200, shapes::hook(&hook))
}

async fn delete(inner: &Inner, scope: &HookScope, id: u64) -> Reply {
    let _guard = inner.records.exclusive().await;
    let hook = find(inner, scope, id)?;
    inner
        .records
        .commit(Transaction::new().without_hook(hook.id))
        .await?;
    done(204)
}

type RepoPath = Path<(String, String)>;
type RepoHook = Path<(String, String, u64)>;
type OrgHook = Path<(String, u64)>;

async fn repo_list(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): RepoPath,
    pages: Pages,
) -> Reply {
    list(&inner, &repo_scope(&inner, &caller, &owner, &repo)?, &pages)
}

async fn repo_create(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): RepoPath,
    Input(input): Input<HookInput>,
) -> Reply {
    let scope = repo_scope(&inner, &caller, &owner, &repo)?;
    create(&inner, scope, input).await
}

async fn repo_one(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, id)): RepoHook,
) -> Reply {
    let scope = repo_scope(&inner, &caller, &owner, &repo)?;
    reply(200, shapes::hook(&find(&inner, &scope, id)?))
}

async fn repo_edit(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, id)): RepoHook,
    Input(input): Input<HookInput>,
) -> Reply {
    let scope = repo_scope(&inner, &caller, &owner, &repo)?;
    edit(&inner, &scope, id, input).await
}

async fn repo_delete(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, id)): RepoHook,
) -> Reply {
    let scope = repo_scope(&inner, &caller, &owner, &repo)?;
    delete(&inner, &scope, id).await
}

async fn org_list(
    State(inner): App,
    Known(caller): Known,
    Path(org): Path<String>,
    pages: Pages,
) -> Reply {
    list(&inner, &org_scope(&inner, &caller, &org)?, &pages)
}

async fn org_create(
    State(inner): App,
    Known(caller): Known,
    Path(org): Path<String>,
    Input(input): Input<HookInput>,
) -> Reply {
    let scope = org_scope(&inner, &caller, &org)?;
    create(&inner, scope, input).await
}

async fn org_one(State(inner): App, Known(caller): Known, Path((org, id)): OrgHook) -> Reply {
    let scope = org_scope(&inner, &caller, &org)?;
    reply(200, shapes::hook(&find(&inner, &scope, id)?))
}

async fn org_edit(
    State(inner): App,
    Known(caller): Known,
    Path((org, id)): OrgHook,
    Input(input): Input<HookInput>,
) -> Reply {
    let scope = org_scope(&inner, &caller, &org)?;
    edit(&inner, &scope, id, input).await
}

async fn org_delete(State(inner): App, Known(caller): Known, Path((org, id)): OrgHook) -> Reply {
    let scope = org_scope(&inner, &caller, &org)?;
    delete(&inner, &scope, id).await
}
