//! Users and their access tokens.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{delete, get};
use catalyst_store::Transaction;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Anyone, ApiError, Input, Known, Pages, Reply, done, reply};
use crate::Inner;
use crate::access::{self, Caller};
use crate::metadata::{Remove, Write, key_of};
use crate::names;
use crate::records::*;
use crate::shapes;

pub fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/user", get(myself))
        .route("/users/search", get(search))
        .route("/users/{user}", get(one))
        .route("/users/{user}/tokens", get(tokens).post(create_token))
        .route("/users/{user}/tokens/{token}", delete(delete_token))
        .route("/admin/users", get(all).post(create))
        .route(
            "/admin/users/{user}",
            axum::routing::patch(edit).delete(remove),
        )
}

type App = State<Arc<Inner>>;

async fn myself(State(inner): App, Known(caller): Known) -> Reply {
    reply(200, shapes::user(&inner, &caller.user))
}

async fn one(State(inner): App, Anyone(caller): Anyone, Path(name): Path<String>) -> Reply {
    let user = access::user(&inner, caller.as_ref(), &name)?;
    reply(200, shapes::user(&inner, &user))
}

#[derive(Deserialize)]
struct Search {
    q: Option<String>,
}

async fn search(
    State(inner): App,
    Known(caller): Known,
    Query(query): Query<Search>,
    pages: Pages,
) -> Reply {
    let word = key_of(&query.q.unwrap_or_default());
    let known = access::acquaintances(&inner, &caller)?;
    let mut users = inner.records.users()?;
    users.retain(|user| {
        let key = key_of(&user.name);
        key.contains(&word) && known.as_ref().is_none_or(|known| known.contains(&key))
    });
    let (users, _) = pages.cut(users);
    let data: Vec<Value> = users
        .iter()
        .map(|user| shapes::user(&inner, user))
        .collect();
    reply(200, json!({"ok": true, "data": data}))
}

async fn all(State(inner): App, _: Admin, pages: Pages) -> Reply {
    let (users, total) = pages.cut(inner.records.users()?);
    let items: Vec<Value> = users
        .iter()
        .map(|user| shapes::user(&inner, user))
        .collect();
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct UserInput {
    username: Option<String>,
    email: Option<String>,
    full_name: Option<String>,
    password: Option<String>,
    admin: Option<bool>,
}

async fn create(State(inner): App, _: Admin, Input(input): Input<UserInput>) -> Reply {
    let name = input.username.unwrap_or_default();
    names::check_owner(&name)?;
    let email = input.email.unwrap_or_default();
    check_email(&email)?;
    let password = match input.password.filter(|password| !password.is_empty()) {
        Some(password) => access::derive_password(password).await?,
        None => String::new(),
    };
    let _guard = inner.records.exclusive().await;
    if inner.records.user(&name)?.is_some() || inner.records.org(&name)?.is_some() {
        return Err(ApiError::new(
            422,
            format!("user already exists [name: {name}]"),
        ));
    }
    let taken = |user: &UserRecord| user.email.eq_ignore_ascii_case(&email);
    if inner.records.users()?.iter().any(taken) {
        return Err(ApiError::new(
            422,
            format!("e-mail already in use [email: {email}]"),
        ));
    }
    let user = UserRecord {
        id: inner.records.number().await?,
        name,
        full_name: input.full_name.unwrap_or_default(),
        email,
        admin: input.admin.unwrap_or(false),
        password,
        created: Timestamp::now(),
    };
    inner
        .records
        .commit(Transaction::new().user(&user)?)
        .await?;
    reply(201, shapes::user(&inner, &user))
}

fn check_email(email: &str) -> Result<(), ApiError> {
    let fine = email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    let bad = |c: char| c.is_control() || c.is_whitespace() || "<>,".contains(c);
    if !fine || email.len() > 254 || email.chars().any(bad) {
        return Err(ApiError::new(
            422,
            format!("e-mail address {email:?} is not valid"),
        ));
    }
    Ok(())
}

async fn edit(
    State(inner): App,
    _: Admin,
    Path(name): Path<String>,
    Input(input): Input<UserInput>,
) -> Reply {
    let known = inner.records.user(&name)?.ok_or_else(ApiError::missing)?;
    let password = match input.password.filter(|password| !password.is_empty()) {
        Some(password) => {
            // Set to what it is, it stays recognized, and nobody has to derive it anew.
            let is_known = access::is_password(&inner, &known, &password).await;
            match is_known {
                true => None,
                false => Some(access::derive_password(password).await?),
            }
        }
        None => None,
    };
    let _guard = inner.records.exclusive().await;
    let mut user = inner.records.user(&name)?.ok_or_else(ApiError::missing)?;
    if let Some(email) = input.email {
        check_email(&email)?;
        user.email = email;
    }
    user.full_name = input.full_name.unwrap_or(user.full_name);
    user.password = password.unwrap_or(user.password);
    user.admin = input.admin.unwrap_or(user.admin);
    inner
        .records
        .commit(Transaction::new().user(&user)?)
        .await?;
    reply(200, shapes::user(&inner, &user))
}

async fn remove(State(inner): App, Admin(caller): Admin, Path(name): Path<String>) -> Reply {
    let _guard = inner.records.exclusive().await;
    let user = inner.records.user(&name)?.ok_or_else(ApiError::missing)?;
    if shapes::same_name(&user.name, &inner.config.admin_name) || caller.user.id == user.id {
        return Err(ApiError::new(422, "this administrator cannot be deleted"));
    }
    if !inner.records.repos(Some(&user.name))?.is_empty() {
        let text = format!(
            "user {} still owns repositories; delete them first",
            user.name
        );
        return Err(ApiError::new(422, text));
    }
    let key = key_of(&user.name);
    let mut transaction = Transaction::new().without_user(&user.name);
    for token in inner.records.tokens(&key)? {
        transaction = transaction.without_token(&token.digest);
    }
    for mut team in inner.records.all_teams()? {
        if team.members.contains(&key) {
            team.members.retain(|member| *member != key);
            transaction = transaction.team(&team)?;
        }
    }
    for mut repo in inner.records.repos(None)? {
        if repo.collaborators.remove(&key).is_some() {
            transaction = transaction.repo(&repo)?;
        }
    }
    inner.records.commit(transaction).await?;
    done(204)
}

/// The user whose tokens the caller may manage.
fn token_owner(inner: &Inner, caller: &Caller, name: &str) -> Result<UserRecord, ApiError> {
    let user = inner.records.user(name)?;
    let own = shapes::same_name(&caller.user.name, name);
    if !own && !caller.user.admin {
        return Err(ApiError::new(
            403,
            "only the user or an administrator may manage tokens",
        ));
    }
    let limited = caller
        .scopes
        .as_ref()
        .is_some_and(|scopes| !scopes.iter().any(|s| s == "all"));
    if limited {
        return Err(ApiError::new(
            403,
            "a token with limited scopes cannot manage tokens",
        ));
    }
    user.ok_or_else(ApiError::missing)
}

async fn tokens(
    State(inner): App,
    Known(caller): Known,
    Path(name): Path<String>,
    pages: Pages,
) -> Reply {
    let user = token_owner(&inner, &caller, &name)?;
    let (tokens, total) = pages.cut(inner.records.tokens(&user.name)?);
    let items: Vec<Value> = tokens
        .iter()
        .map(|token| shapes::token(token, ""))
        .collect();
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct TokenInput {
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
}

async fn create_token(
    State(inner): App,
    Known(caller): Known,
    Path(name): Path<String>,
    Input(input): Input<TokenInput>,
) -> Reply {
    let user = token_owner(&inner, &caller, &name)?;
    if input.name.trim().is_empty() || input.name.len() > 255 {
        return Err(ApiError::new(
            422,
            "a token needs a name of at most 255 bytes",
        ));
    }
    if input.scopes.is_empty() {
        return Err(ApiError::new(400, "access token must have a scope"));
    }
    if let Some(bad) = input.scopes.iter().find(|scope| !access::is_scope(scope)) {
        return Err(ApiError::new(
            400,
            format!("invalid access token scope provided: {bad}"),
        ));
    }
    let _guard = inner.records.exclusive().await;
    if inner
        .records
        .tokens(&user.name)?
        .iter()
        .any(|token| token.name == input.name)
    {
        return Err(ApiError::new(
            400,
            "access token name has been used already",
        ));
    }
    let secret = access::new_token()?;
    let last_eight = secret
        .get(secret.len() - 8..)
        .unwrap_or_default()
        .to_owned();
    let token = TokenRecord {
        id: inner.records.number().await?,
        digest: access::digest_of(&secret),
        user: key_of(&user.name),
        name: input.name,
        last_eight,
        scopes: input.scopes,
        created: Timestamp::now(),
    };
    inner
        .records
        .commit(Transaction::new().token(&token)?)
        .await?;
    reply(201, shapes::token(&token, &secret))
}

async fn delete_token(
    State(inner): App,
    Known(caller): Known,
    Path((name, word)): Path<(String, String)>,
) -> Reply {
    let user = token_owner(&inner, &caller, &name)?;
    let _guard = inner.records.exclusive().await;
    let tokens = inner.records.tokens(&user.name)?;
    let found = tokens
        .iter()
        .find(|token| token.id.to_string() == word || token.name == word);
    let token = found.ok_or_else(ApiError::missing)?;
    inner
        .records
        .commit(Transaction::new().without_token(&token.digest))
        .await?;
    done(204)
}
