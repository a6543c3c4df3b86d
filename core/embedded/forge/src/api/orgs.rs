//! Organizations, teams, their members and repositories.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use catalyst_store::Transaction;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Anyone, ApiError, Input, Known, Pages, Reply, done, reply};
use crate::Inner;
use crate::access::{self, Caller};
use crate::metadata::{Remove, Write, key_of};
use crate::names;
use crate::records::*;
use crate::shapes;

pub fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/orgs", get(list).post(create))
        .route("/orgs/{org}", get(one).patch(edit).delete(remove))
        .route("/user/orgs", get(mine))
        .route("/admin/users/{user}/orgs", axum::routing::post(create_for))
        .route("/orgs/{org}/members", get(members))
        .route(
            "/orgs/{org}/members/{user}",
            get(is_member).delete(remove_everywhere),
        )
        .route("/orgs/{org}/teams", get(teams).post(create_team))
        .route(
            "/teams/{id}",
            get(team).patch(edit_team).delete(delete_team),
        )
        .route("/teams/{id}/members", get(team_members))
        .route(
            "/teams/{id}/members/{user}",
            get(team_member).put(add_member).delete(drop_member),
        )
        .route("/teams/{id}/repos", get(team_repos))
        .route(
            "/teams/{id}/repos/{org}/{repo}",
            get(team_repo).put(add_repo).delete(drop_repo),
        )
}

type App = State<Arc<Inner>>;

/// An organization that the caller may know of.
pub fn visible(inner: &Inner, caller: Option<&Caller>, name: &str) -> Result<OrgRecord, ApiError> {
    let org = inner.records.org(name)?.ok_or_else(ApiError::missing)?;
    if !access::may_see_org(inner, caller, &org)? {
        return Err(ApiError::missing());
    }
    Ok(org)
}

/// An organization that the caller owns.
pub fn owned(inner: &Inner, caller: &Caller, name: &str) -> Result<OrgRecord, ApiError> {
    let org = visible(inner, Some(caller), name)?;
    if access::membership(inner, Some(caller), &org.name)? < Permission::Owner {
        return Err(ApiError::new(
            403,
            format!("only an owner of {} may do this", org.name),
        ));
    }
    Ok(org)
}

async fn list(State(inner): App, Anyone(caller): Anyone, pages: Pages) -> Reply {
    let mut orgs = Vec::new();
    for org in inner.records.orgs()? {
        if access::may_see_org(&inner, caller.as_ref(), &org)? {
            orgs.push(org);
        }
    }
    let (orgs, total) = pages.cut(orgs);
    let items: Vec<Value> = orgs.iter().map(shapes::org).collect();
    Ok(pages.answer(&inner, &items, total))
}

async fn mine(State(inner): App, Known(caller): Known, pages: Pages) -> Reply {
    let teams = inner.records.all_teams()?;
    let key = caller.key();
    let mut orgs = inner.records.orgs()?;
    orgs.retain(|org| {
        teams
            .iter()
            .any(|t| t.org == key_of(&org.name) && t.members.contains(&key))
    });
    let (orgs, total) = pages.cut(orgs);
    let items: Vec<Value> = orgs.iter().map(shapes::org).collect();
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct OrgInput {
    username: Option<String>,
    full_name: Option<String>,
    description: Option<String>,
    website: Option<String>,
    location: Option<String>,
    visibility: Option<String>,
}

fn check_visibility(word: &str) -> Result<(), ApiError> {
    if ["public", "limited", "private"].contains(&word) {
        return Ok(());
    }
    Err(ApiError::new(
        422,
        format!("visibility {word:?} is not public, limited or private"),
    ))
}

async fn create(State(inner): App, Known(caller): Known, Input(input): Input<OrgInput>) -> Reply {
    if !caller.user.admin {
        return Err(ApiError::new(
            403,
            "only an administrator may create organizations",
        ));
    }
    make(&inner, &caller.user, input).await
}

async fn create_for(
    State(inner): App,
    super::Admin(_): super::Admin,
    Path(user): Path<String>,
    Input(input): Input<OrgInput>,
) -> Reply {
    let user = inner.records.user(&user)?.ok_or_else(ApiError::missing)?;
    make(&inner, &user, input).await
}

async fn make(inner: &Inner, owner: &UserRecord, input: OrgInput) -> Reply {
    let name = input.username.unwrap_or_default();
    names::check_owner(&name)?;
    let visibility = input.visibility.unwrap_or_else(|| "private".to_owned());
    check_visibility(&visibility)?;
    let _guard = inner.records.exclusive().await;
    if inner.records.user(&name)?.is_some() || inner.records.org(&name)?.is_some() {
        return Err(ApiError::new(
            422,
            format!("user already exists [name: {name}]"),
        ));
    }
    let org = OrgRecord {
        id: inner.records.number().await?,
        name,
        full_name: input.full_name.unwrap_or_default(),
        description: input.description.unwrap_or_default(),
        website: input.website.unwrap_or_default(),
        location: input.location.unwrap_or_default(),
        visibility,
        created: Timestamp::now(),
    };
    let owners = TeamRecord {
        id: inner.records.number().await?,
        org: key_of(&org.name),
        name: "Owners".to_owned(),
        description: String::new(),
        permission: Permission::Owner,
        all_repositories: true,
        can_create: true,
        members: vec![key_of(&owner.name)],
        repositories: Vec::new(),
    };
    inner
        .records
        .commit(Transaction::new().org(&org)?.team(&owners)?)
        .await?;
    reply(201, shapes::org(&org))
}

async fn one(State(inner): App, Anyone(caller): Anyone, Path(name): Path<String>) -> Reply {
    reply(200, shapes::org(&visible(&inner, caller.as_ref(), &name)?))
}

async fn edit(
    State(inner): App,
    Known(caller): Known,
    Path(name): Path<String>,
    Input(input): Input<OrgInput>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let mut org = owned(&inner, &caller, &name)?;
    org.full_name = input.full_name.unwrap_or(org.full_name);
    org.description = input.description.unwrap_or(org.description);
    org.website = input.website.unwrap_or(org.website);
    org.location = input.location.unwrap_or(org.location);
    org.visibility = input.visibility.unwrap_or(org.visibility);
    check_visibility(&org.visibility)?;
    inner.records.commit(Transaction::new().org(&org)?).await?;
    reply(200, shapes::org(&org))
}

async fn remove(State(inner): App, Known(caller): Known, Path(name): Path<String>) -> Reply {
    let _guard = inner.records.exclusive().await;
    let org = owned(&inner, &caller, &name)?;
    let repos = inner.records.repos(Some(&org.name))?;
    if !repos.is_empty() {
        let text = format!(
            "organization {} still has {} repositories, first {}; delete them first",
            org.name,
            repos.len(),
            repos
                .first()
                .map(|repo| repo.name.as_str())
                .unwrap_or_default()
        );
        return Err(ApiError::new(422, text));
    }
    let mut transaction = Transaction::new().without_org(&org.name);
    for team in inner.records.teams(&org.name)? {
        transaction = transaction.without_team(team.id);
    }
    for hook in inner.records.hooks(&HookScope::Organization(org.id))? {
        transaction = transaction.without_hook(hook.id);
    }
    inner.records.commit(transaction).await?;
    done(204)
}

fn member_keys(inner: &Inner, org: &OrgRecord) -> Result<Vec<String>, ApiError> {
    let teams = inner.records.teams(&org.name)?;
    let mut keys: Vec<String> = teams.into_iter().flat_map(|team| team.members).collect();
    keys.sort();
    keys.dedup();
    Ok(keys)
}

fn members_only(inner: &Inner, caller: &Caller, name: &str) -> Result<OrgRecord, ApiError> {
    let org = visible(inner, Some(caller), name)?;
    if access::membership(inner, Some(caller), &org.name)? == Permission::None {
        return Err(ApiError::new(
            403,
            format!("only members of {} may see this", org.name),
        ));
    }
    Ok(org)
}

fn show_users(inner: &Inner, pages: &Pages, keys: Vec<String>) -> Reply {
    let (keys, total) = pages.cut(keys);
    let mut items = Vec::new();
    for key in &keys {
        items.push(shapes::user_of(inner, key)?);
    }
    Ok(pages.answer(inner, &items, total))
}

async fn members(
    State(inner): App,
    Known(caller): Known,
    Path(name): Path<String>,
    pages: Pages,
) -> Reply {
    let org = members_only(&inner, &caller, &name)?;
    show_users(&inner, &pages, member_keys(&inner, &org)?)
}

async fn is_member(
    State(inner): App,
    Known(caller): Known,
    Path((name, user)): Path<(String, String)>,
) -> Reply {
    let org = members_only(&inner, &caller, &name)?;
    if member_keys(&inner, &org)?.contains(&key_of(&user)) {
        return done(204);
    }
    Err(ApiError::missing())
}

async fn remove_everywhere(
    State(inner): App,
    Known(caller): Known,
    Path((name, user)): Path<(String, String)>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let org = owned(&inner, &caller, &name)?;
    let key = key_of(&user);
    let mut transaction = Transaction::new();
    for mut team in inner.records.teams(&org.name)? {
        if team.members.contains(&key) {
            keep_an_owner(&team)?;
            team.members.retain(|member| *member != key);
            transaction = transaction.team(&team)?;
        }
    }
    inner.records.commit(transaction).await?;
    done(204)
}

fn keep_an_owner(team: &TeamRecord) -> Result<(), ApiError> {
    if team.permission == Permission::Owner && team.members.len() == 1 {
        return Err(ApiError::new(
            403,
            "the last owner of an organization cannot be removed",
        ));
    }
    Ok(())
}

async fn teams(
    State(inner): App,
    Known(caller): Known,
    Path(name): Path<String>,
    pages: Pages,
) -> Reply {
    let org = members_only(&inner, &caller, &name)?;
    let (teams, total) = pages.cut(inner.records.teams(&org.name)?);
    let items: Vec<Value> = teams
        .iter()
        .map(|team| shapes::team(team, Some(&org)))
        .collect();
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct TeamInput {
    name: Option<String>,
    description: Option<String>,
    permission: Option<String>,
    includes_all_repositories: Option<bool>,
    can_create_org_repo: Option<bool>,
    units_map: Option<std::collections::BTreeMap<String, String>>,
}

fn team_permission(input: &TeamInput) -> Result<Option<Permission>, ApiError> {
    let from_units = || {
        let units = input.units_map.as_ref()?;
        units.get("repo.code").cloned()
    };
    let Some(word) = input
        .permission
        .clone()
        .filter(|word| !word.is_empty())
        .or_else(from_units)
    else {
        return Ok(None);
    };
    match word.as_str() {
        "none" => Ok(Some(Permission::None)),
        "read" => Ok(Some(Permission::Read)),
        "write" => Ok(Some(Permission::Write)),
        "admin" => Ok(Some(Permission::Admin)),
        _ => Err(ApiError::new(
            422,
            format!("permission {word:?} is not read, write or admin"),
        )),
    }
}

/// Refuses a name that is none, or that another team of the organization has;
/// `own` is the team that is to get it.
fn check_team_name(
    inner: &Inner,
    org: &OrgRecord,
    name: &str,
    own: Option<u64>,
) -> Result<(), ApiError> {
    names::check_team(name)?;
    let teams = inner.records.teams(&org.name)?;
    if teams
        .iter()
        .any(|other| Some(other.id) != own && shapes::same_name(&other.name, name))
    {
        return Err(ApiError::new(
            422,
            format!("team already exists [name: {name}]"),
        ));
    }
    Ok(())
}

async fn save_team(inner: &Inner, team: &TeamRecord) -> Result<(), ApiError> {
    inner.records.commit(Transaction::new().team(team)?).await?;
    Ok(())
}

async fn create_team(
    State(inner): App,
    Known(caller): Known,
    Path(name): Path<String>,
    Input(input): Input<TeamInput>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let org = owned(&inner, &caller, &name)?;
    let permission = team_permission(&input)?.unwrap_or(Permission::Read);
    let name = input.name.unwrap_or_default();
    check_team_name(&inner, &org, &name, None)?;
    let team = TeamRecord {
        id: inner.records.number().await?,
        org: key_of(&org.name),
        name,
        description: input.description.unwrap_or_default(),
        permission,
        all_repositories: input.includes_all_repositories.unwrap_or(false),
        can_create: input.can_create_org_repo.unwrap_or(false),
        members: Vec::new(),
        repositories: Vec::new(),
    };
    save_team(&inner, &team).await?;
    reply(201, shapes::team(&team, Some(&org)))
}

/// A team and its organization: for members to see, for owners to change.
fn find_team(
    inner: &Inner,
    caller: &Caller,
    id: u64,
    change: bool,
) -> Result<(TeamRecord, OrgRecord), ApiError> {
    let team = inner.records.team(id)?.ok_or_else(ApiError::missing)?;
    let role = access::membership(inner, Some(caller), &team.org)?;
    if role == Permission::None {
        return Err(ApiError::missing());
    }
    if change && role < Permission::Owner {
        return Err(ApiError::new(
            403,
            format!("only an owner of {} may do this", team.org),
        ));
    }
    let org = inner
        .records
        .org(&team.org)?
        .ok_or_else(ApiError::missing)?;
    Ok((team, org))
}

async fn team(State(inner): App, Known(caller): Known, Path(id): Path<u64>) -> Reply {
    let (team, org) = find_team(&inner, &caller, id, false)?;
    reply(200, shapes::team(&team, Some(&org)))
}

async fn edit_team(
    State(inner): App,
    Known(caller): Known,
    Path(id): Path<u64>,
    Input(input): Input<TeamInput>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let (mut team, org) = find_team(&inner, &caller, id, true)?;
    let permission = team_permission(&input)?;
    if team.permission != Permission::Owner {
        team.permission = permission.unwrap_or(team.permission);
        team.all_repositories = input
            .includes_all_repositories
            .unwrap_or(team.all_repositories);
        team.can_create = input.can_create_org_repo.unwrap_or(team.can_create);
        if let Some(name) = input.name {
            check_team_name(&inner, &org, &name, Some(id))?;
            team.name = name;
        }
    }
    team.description = input.description.unwrap_or(team.description);
    save_team(&inner, &team).await?;
    reply(200, shapes::team(&team, Some(&org)))
}

async fn delete_team(State(inner): App, Known(caller): Known, Path(id): Path<u64>) -> Reply {
    let _guard = inner.records.exclusive().await;
    let (team, _) = find_team(&inner, &caller, id, true)?;
    if team.permission == Permission::Owner {
        return Err(ApiError::new(422, "the owners' team cannot be deleted"));
    }
    inner
        .records
        .commit(Transaction::new().without_team(id))
        .await?;
    done(204)
}

async fn team_members(
    State(inner): App,
    Known(caller): Known,
    Path(id): Path<u64>,
    pages: Pages,
) -> Reply {
    let (team, _) = find_team(&inner, &caller, id, false)?;
    show_users(&inner, &pages, team.members)
}

async fn team_member(
    State(inner): App,
    Known(caller): Known,
    Path((id, user)): Path<(u64, String)>,
) -> Reply {
    let (team, _) = find_team(&inner, &caller, id, false)?;
    if !team.members.contains(&key_of(&user)) {
        return Err(ApiError::missing());
    }
    reply(200, shapes::user_of(&inner, &key_of(&user))?)
}

async fn add_member(
    State(inner): App,
    Known(caller): Known,
    Path((id, user)): Path<(u64, String)>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let (mut team, _) = find_team(&inner, &caller, id, true)?;
    let user = inner.records.user(&user)?.ok_or_else(ApiError::missing)?;
    let key = key_of(&user.name);
    if !team.members.contains(&key) {
        team.members.push(key);
        save_team(&inner, &team).await?;
    }
    done(204)
}

async fn drop_member(
    State(inner): App,
    Known(caller): Known,
    Path((id, user)): Path<(u64, String)>,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let (mut team, _) = find_team(&inner, &caller, id, true)?;
    let key = key_of(&user);
    if !team.members.contains(&key) {
        return Err(ApiError::missing());
    }
    keep_an_owner(&team)?;
    team.members.retain(|member| *member != key);
    save_team(&inner, &team).await?;
    done(204)
}

async fn team_repos(
    State(inner): App,
    Known(caller): Known,
    Path(id): Path<u64>,
    pages: Pages,
) -> Reply {
    let (team, _) = find_team(&inner, &caller, id, false)?;
    let mut repos = inner.records.repos(Some(&team.org))?;
    repos.retain(|repo| team.all_repositories || team.repositories.contains(&key_of(&repo.name)));
    // A member of another team of the organization sees only what is theirs.
    let mut items = Vec::new();
    for repo in &repos {
        let permission = access::permission(&inner, Some(&caller), repo)?;
        if permission > Permission::None {
            items.push(shapes::repository(&inner, repo, permission)?);
        }
    }
    let (items, total) = pages.cut(items);
    Ok(pages.answer(&inner, &items, total))
}

async fn team_repo(
    State(inner): App,
    Known(caller): Known,
    Path((id, org, repo)): Path<(u64, String, String)>,
) -> Reply {
    let (team, _) = find_team(&inner, &caller, id, false)?;
    let record = access::repository(&inner, Some(&caller), &org, &repo, Permission::Read)?;
    let has = team.all_repositories || team.repositories.contains(&key_of(&repo));
    if !has || key_of(&record.owner) != team.org {
        return Err(ApiError::missing());
    }
    let permission = access::permission(&inner, Some(&caller), &record)?;
    reply(200, shapes::repository(&inner, &record, permission)?)
}

async fn change_repo(
    inner: &Inner,
    caller: &Caller,
    (id, org, repo): (u64, String, String),
    has: bool,
) -> Reply {
    let _guard = inner.records.exclusive().await;
    let (mut team, _) = find_team(inner, caller, id, true)?;
    let record = access::repository(inner, Some(caller), &org, &repo, Permission::Admin)?;
    if key_of(&record.owner) != team.org {
        return Err(ApiError::new(
            422,
            "the repository belongs to another organization",
        ));
    }
    let key = key_of(&record.name);
    team.repositories.retain(|name| *name != key);
    if has {
        team.repositories.push(key);
    }
    save_team(inner, &team).await?;
    done(204)
}

async fn add_repo(
    State(inner): App,
    Known(caller): Known,
    Path(path): Path<(u64, String, String)>,
) -> Reply {
    change_repo(&inner, &caller, path, true).await
}

async fn drop_repo(
    State(inner): App,
    Known(caller): Known,
    Path(path): Path<(u64, String, String)>,
) -> Reply {
    change_repo(&inner, &caller, path, false).await
}
