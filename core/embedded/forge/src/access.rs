//! Who asks, and what they may do.
//!
//! Every request passes [`authenticate`] once; every handler then asks for the
//! permission it needs through the functions here. What must stay true: an
//! outsider gets "not found", for every verb; a user or a membership that was
//! removed counts from the next request on.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Mutex;

use aws_lc_rs::{constant_time, digest, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use catalyst_store::Transaction;
use jiff::Timestamp;

use crate::Inner;
use crate::api::ApiError;
use crate::metadata::{MetadataError, Write, key_of};
use crate::names;
use crate::records::*;

/// Somebody who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user.
    pub user: UserRecord,
    /// What the token is good for; `None`: everything the user may do.
    pub scopes: Option<Vec<String>>,
}

impl Caller {
    /// The user's key.
    pub fn key(&self) -> String {
        key_of(&self.user.name)
    }

    /// Whether the token used is good for a category (`repository`, …).
    pub fn has_scope(&self, category: &str, write: bool) -> bool {
        let Some(scopes) = &self.scopes else {
            return true;
        };
        scopes.iter().any(|scope| {
            scope == "all"
                || scope.strip_prefix("write:") == Some(category)
                || (!write && scope.strip_prefix("read:") == Some(category))
        })
    }
}

/// Scopes that a token may be given.
pub fn is_scope(scope: &str) -> bool {
    const CATEGORIES: &[&str] = &[
        "activitypub",
        "admin",
        "issue",
        "misc",
        "notification",
        "organization",
        "package",
        "repository",
        "user",
    ];
    scope == "all"
        || scope
            .strip_prefix("read:")
            .or_else(|| scope.strip_prefix("write:"))
            .is_some_and(|category| CATEGORIES.contains(&category))
}

/// Passwords recognized lately, by a digest of user, password and stored
/// value, so that not every request pays for the derivation.
#[derive(Default)]
pub struct PasswordCache(Mutex<HashMap<Vec<u8>, ()>>);

/// SHA-256 in hexadecimal.
pub fn digest_of(secret: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}

/// A new token: 160 random bits, as Gitea writes them.
pub fn new_token() -> Result<String, ApiError> {
    let mut bytes = [0_u8; 20];
    rand::fill(&mut bytes).map_err(|_| ApiError::internal("the system gives no random bytes"))?;
    Ok(hex::encode(bytes))
}

const ITERATIONS: u32 = 210_000;

/// What is kept of a password.
pub async fn derive_password(password: String) -> Result<String, ApiError> {
    let mut salt = [0_u8; 16];
    rand::fill(&mut salt).map_err(|_| ApiError::internal("the system gives no random bytes"))?;
    let derive = move || {
        let mut key = [0_u8; 32];
        let rounds = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA512,
            rounds,
            &salt,
            password.as_bytes(),
            &mut key,
        );
        format!(
            "pbkdf2-sha512${ITERATIONS}${}${}",
            hex::encode(salt),
            hex::encode(key)
        )
    };
    tokio::task::spawn_blocking(derive)
        .await
        .map_err(|_| ApiError::internal("deriving the password was interrupted"))
}

/// Whether a user's password is this one.
pub async fn is_password(inner: &Inner, user: &UserRecord, password: &str) -> bool {
    let parts: Vec<&str> = user.password.split('$').collect();
    let ["pbkdf2-sha512", rounds, salt, key] = parts.as_slice() else {
        return false;
    };
    let (Ok(rounds), Ok(salt), Ok(key)) = (
        rounds.parse::<NonZeroU32>(),
        hex::decode(salt),
        hex::decode(key),
    ) else {
        return false;
    };
    let mark = digest::digest(
        &digest::SHA256,
        format!("{}\0{password}", user.password).as_bytes(),
    );
    let mark = mark.as_ref().to_vec();
    let known = |cache: &PasswordCache| {
        let cache = cache
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        cache.contains_key(&mark)
    };
    if known(&inner.password_cache) {
        return true;
    }
    let password = password.to_owned();
    let verify = move || {
        pbkdf2::verify(
            pbkdf2::PBKDF2_HMAC_SHA512,
            rounds,
            &salt,
            password.as_bytes(),
            &key,
        )
        .is_ok()
    };
    let right = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
    if right {
        let mut cache = inner
            .password_cache
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if cache.len() > 1024 {
            cache.clear();
        }
        cache.insert(mark, ());
    }
    right
}

/// The user behind an Authorization header: `Ok(None)` without one, an error
/// when it is not good.
pub async fn authenticate(inner: &Inner, header: Option<&str>) -> Result<Option<Caller>, ApiError> {
    let Some(header) = header else {
        return Ok(None);
    };
    let refused = || ApiError::new(401, "the token or password is not valid");
    let (scheme, rest) = header.split_once(' ').ok_or_else(refused)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        return by_token(inner, rest).await?.map(Some).ok_or_else(refused);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(refused());
    }
    let text = BASE64
        .decode(rest)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(refused)?;
    let (name, password) = text.split_once(':').ok_or_else(refused)?;
    if password.is_empty() || password == "x-oauth-basic" {
        return by_token(inner, name).await?.map(Some).ok_or_else(refused);
    }
    if let Some(caller) = by_token(inner, password).await? {
        return Ok(Some(caller));
    }
    if names::check_owner(name).is_ok()
        && let Some(user) = inner.records.user(name)?
        && is_password(inner, &user, password).await
    {
        return Ok(Some(Caller { user, scopes: None }));
    }
    Err(refused())
}

async fn by_token(inner: &Inner, token: &str) -> Result<Option<Caller>, ApiError> {
    if token.is_empty() || token.len() > 16_384 {
        return Ok(None);
    }
    let found = digest_of(token);
    if let Some(admin) = &inner.config.admin_token {
        let same =
            constant_time::verify_slices_are_equal(digest_of(admin).as_bytes(), found.as_bytes());
        if same.is_ok() {
            let user = inner.records.user(&inner.config.admin_name)?;
            return Ok(user.map(|user| Caller { user, scopes: None }));
        }
    }
    if let Some(record) = inner.records.token(&found)? {
        let same =
            constant_time::verify_slices_are_equal(record.digest.as_bytes(), found.as_bytes());
        let user = if same.is_ok() {
            inner.records.user(&record.user)?
        } else {
            None
        };
        return Ok(user.map(|user| Caller {
            user,
            scopes: Some(record.scopes),
        }));
    }
    let Some(verifier) = &inner.config.verifier else {
        return Ok(None);
    };
    let Some(identity) = verifier.verify(token).await else {
        return Ok(None);
    };
    if names::check_owner(&identity.username).is_err() {
        return Ok(None);
    }
    if inner.records.org(&identity.username)?.is_some() {
        return Ok(None);
    }
    let mut user = ensure_user(
        inner,
        &identity.username,
        identity.email.as_deref(),
        identity.admin,
    )
    .await?;
    // The issuer is the authority, on every request.
    user.admin = identity.admin;
    Ok(Some(Caller { user, scopes: None }))
}

/// The user of that name, made when absent.
pub async fn ensure_user(
    inner: &Inner,
    name: &str,
    email: Option<&str>,
    admin: bool,
) -> Result<UserRecord, MetadataError> {
    if let Some(user) = inner.records.user(name)? {
        return Ok(user);
    }
    let _guard = inner.records.exclusive().await;
    if let Some(user) = inner.records.user(name)? {
        return Ok(user);
    }
    let user = UserRecord {
        id: inner.records.number().await?,
        name: name.to_owned(),
        full_name: String::new(),
        email: email.map_or_else(
            || format!("{}@noreply.localhost", key_of(name)),
            str::to_owned,
        ),
        admin,
        password: String::new(),
        created: Timestamp::now(),
    };
    inner
        .records
        .commit(Transaction::new().user(&user)?)
        .await?;
    Ok(user)
}

/// What somebody may do with a repository.
pub fn permission(
    inner: &Inner,
    caller: Option<&Caller>,
    repo: &RepoRecord,
) -> Result<Permission, MetadataError> {
    let mut best = if repo.private {
        Permission::None
    } else {
        Permission::Read
    };
    let Some(caller) = caller else {
        return Ok(best);
    };
    if caller.user.admin {
        return Ok(Permission::Owner);
    }
    let key = caller.key();
    if key == key_of(&repo.owner) {
        return Ok(Permission::Owner);
    }
    if let Some(given) = repo.collaborators.get(&key) {
        best = best.max(*given);
    }
    let name = key_of(&repo.name);
    for team in inner.records.teams(&repo.owner)? {
        let has_repository = team.all_repositories || team.repositories.contains(&name);
        if has_repository && team.members.contains(&key) {
            best = best.max(team.permission);
        }
    }
    Ok(best)
}

/// What somebody is in an organization: the highest permission of their teams,
/// `None` for an outsider.
pub fn membership(
    inner: &Inner,
    caller: Option<&Caller>,
    org: &str,
) -> Result<Permission, MetadataError> {
    let Some(caller) = caller else {
        return Ok(Permission::None);
    };
    if caller.user.admin {
        return Ok(Permission::Owner);
    }
    let key = caller.key();
    let teams = inner.records.teams(org)?;
    let mine = teams.iter().filter(|team| team.members.contains(&key));
    Ok(mine
        .map(|team| team.permission)
        .max()
        .unwrap_or(Permission::None))
}

/// Whether somebody may know of an organization.
pub fn may_see_org(
    inner: &Inner,
    caller: Option<&Caller>,
    org: &OrgRecord,
) -> Result<bool, MetadataError> {
    Ok(match org.visibility.as_str() {
        "public" => true,
        "limited" if caller.is_some() => true,
        _ => membership(inner, caller, &org.name)? > Permission::None,
    })
}

/// The keys of the users of whom somebody may know: themself, and whoever is in
/// a team of an organization with them; `None` for everybody, whom administrators
/// may know. Gitea shows users of private visibility so on their pages; its API
/// keeps them from members of the same organization too.
pub fn acquaintances(
    inner: &Inner,
    caller: &Caller,
) -> Result<Option<HashSet<String>>, MetadataError> {
    if caller.user.admin {
        return Ok(None);
    }
    let key = caller.key();
    let teams = inner.records.all_teams()?;
    let organizations: HashSet<&str> = teams
        .iter()
        .filter(|team| team.members.contains(&key))
        .map(|team| team.org.as_str())
        .collect();
    let mut known: HashSet<String> = teams
        .iter()
        .filter(|team| organizations.contains(team.org.as_str()))
        .flat_map(|team| team.members.iter().cloned())
        .collect();
    known.insert(key);
    Ok(Some(known))
}

/// A user of whom somebody may know; not found for everybody else.
pub fn user(inner: &Inner, caller: Option<&Caller>, name: &str) -> Result<UserRecord, ApiError> {
    let caller = caller.ok_or_else(ApiError::missing)?;
    let user = inner.records.user(name)?.ok_or_else(ApiError::missing)?;
    let known = acquaintances(inner, caller)?;
    if known.is_some_and(|known| !known.contains(&key_of(&user.name))) {
        return Err(ApiError::missing());
    }
    Ok(user)
}

/// A repository for somebody with at least `need`; not found for outsiders.
pub fn repository(
    inner: &Inner,
    caller: Option<&Caller>,
    owner: &str,
    name: &str,
    need: Permission,
) -> Result<RepoRecord, ApiError> {
    if names::check_owner(owner).is_err() || names::check_repository(name).is_err() {
        return Err(ApiError::missing());
    }
    let repo = inner.records.repo(owner, name)?;
    let repo = repo.ok_or_else(ApiError::missing)?;
    let has = permission(inner, caller, &repo)?;
    if has == Permission::None {
        return Err(ApiError::missing());
    }
    if has < need {
        if caller.is_none() {
            return Err(ApiError::new(401, "sign in with a token to do this"));
        }
        let text = format!(
            "{} {} permission on {} is needed, you have {}",
            if need == Permission::Admin { "an" } else { "a" },
            need.as_str(),
            repo.full_name(),
            has.as_str()
        );
        return Err(ApiError::new(403, text));
    }
    Ok(repo)
}
