//! The Git forge, over Gitea's REST API (version 1).
//!
//! Users and organizations stand in `people.rs`, files and commits in
//! `content.rs`, pull requests in `pulls.rs`. The control plane calls as an
//! administrator; where somebody else acts, it says so with Gitea's `Sudo`.

mod content;
mod people;
mod pulls;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

pub use content::{
    Branch, ChangeFiles, Commit, CommitsQuery, FileChange, FileContent, Person, TreeEntry, blob_id,
};
pub use people::{Permission, TeamId};
pub use pulls::{NewPull, Pull, PullState, Review, ReviewState};

use crate::http::{Credentials, Surface, segment};
use crate::{PortError, Tokens};

/// Gitea gives at most this many entries a page.
pub(crate) const PAGE: usize = 50;

/// A repository, `{owner}/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RepositoryId {
    /// A user or an organization.
    pub owner: String,
    /// The repository.
    pub name: String,
}

impl RepositoryId {
    /// Composes an id.
    pub fn new(owner: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.name)
    }
}

impl FromStr for RepositoryId {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        match text.split_once('/') {
            Some((owner, name)) if !owner.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(owner, name))
            }
            _ => Err(PortError::Prepare {
                action: format!("name the repository {text:?}"),
                reason: "it is not {owner}/{name}".to_owned(),
            }),
        }
    }
}

/// What a repository shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryOptions {
    /// Whether reading needs a permission.
    pub private: bool,
    /// One line for people.
    pub description: String,
}

impl Default for RepositoryOptions {
    fn default() -> Self {
        Self {
            private: true,
            description: String::new(),
        }
    }
}

/// Where a webhook listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookTarget {
    /// Every repository of an organization, also those to come.
    Organization(String),
    /// One repository.
    Repository(RepositoryId),
}

impl HookTarget {
    fn path(&self) -> String {
        match self {
            Self::Organization(name) => format!("/orgs/{}/hooks", segment(name)),
            Self::Repository(id) => format!("{}/hooks", path(id)),
        }
    }
}

impl fmt::Display for HookTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(name) => formatter.write_str(name),
            Self::Repository(id) => id.fmt(formatter),
        }
    }
}

/// A client of the forge; clones share it.
#[derive(Clone)]
pub struct Forge {
    surface: Surface,
    base: String,
    /// Users that were seen to exist, so that acting for them asks only once.
    known_users: Arc<Mutex<HashSet<String>>>,
    /// What this client made each webhook's secret, by number and digest: the
    /// forge does not tell.
    known_hooks: Arc<Mutex<HashMap<String, [u8; 32]>>>,
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    config: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Forge {
    /// A forge at a base URL, below which Git is served at
    /// `{base}/{owner}/{name}.git` and REST at `{base}/api/v1`. The tokens are
    /// an administrator's.
    pub fn new(http: reqwest::Client, base: Url, tokens: Tokens) -> Self {
        let text = base.as_str().trim_end_matches('/').to_owned();
        let mut surface = Surface::new("forge", http, &base, Credentials::Tokens(tokens));
        surface.descend("/api/v1");
        Self {
            surface,
            base: text,
            known_users: Arc::default(),
            known_hooks: Arc::default(),
        }
    }

    /// The base URL, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The URL that Git clones from and pushes to.
    pub fn clone_url(&self, id: &RepositoryId) -> String {
        format!("{}/{}/{}.git", self.base, id.owner, id.name)
    }

    /// Makes a repository with the default branch `main`, or brings its options
    /// up to date.
    pub async fn repository_ensure(
        &self,
        id: &RepositoryId,
        options: RepositoryOptions,
    ) -> Result<(), PortError> {
        #[derive(Deserialize)]
        struct Repository {
            #[serde(default)]
            private: bool,
            #[serde(default)]
            description: String,
        }
        let action = format!("make the repository {id}");
        let found: Option<Repository> = self
            .surface
            .call(Method::GET, &path(id), action.as_str())
            .find()
            .await?;
        let wanted = json!({"private": options.private, "description": options.description});
        match found {
            Some(found)
                if found.private == options.private && found.description == options.description =>
            {
                Ok(())
            }
            Some(_) => {
                let call = self.surface.call(Method::PATCH, &path(id), action);
                call.json(&wanted).ok().await.map(drop)
            }
            None => {
                let mut body = wanted;
                if let Some(fields) = body.as_object_mut() {
                    fields.insert("name".to_owned(), json!(id.name));
                    fields.insert("default_branch".to_owned(), json!("main"));
                    fields.insert("auto_init".to_owned(), json!(false));
                }
                let place = format!("/orgs/{}/repos", segment(&id.owner));
                let call = self.surface.call(Method::POST, &place, action);
                let answer = call.json(&body).answer().await?;
                // Somebody else was as quick.
                if answer.status.as_u16() == 409 {
                    return Ok(());
                }
                answer.ok().map(drop)
            }
        }
    }

    /// Whether a repository is there, for the control plane.
    pub async fn repository_exists(&self, id: &RepositoryId) -> Result<bool, PortError> {
        let action = format!("look for the repository {id}");
        self.surface
            .call(Method::GET, &path(id), action)
            .exists()
            .await
    }

    /// Removes a repository with all that it holds.
    pub async fn repository_delete(&self, id: &RepositoryId) -> Result<(), PortError> {
        let action = format!("delete the repository {id}");
        self.surface
            .call(Method::DELETE, &path(id), action)
            .exists()
            .await
            .map(drop)
    }

    /// The names of an organization's repositories; none when it is not there.
    pub async fn repositories(&self, organization: &str) -> Result<Vec<String>, PortError> {
        let place = format!("/orgs/{}/repos", segment(organization));
        let found: Vec<Named> = self
            .pages(
                &place,
                &[],
                &format!("list the repositories of {organization}"),
            )
            .await?;
        Ok(found.into_iter().map(|named| named.name).collect())
    }

    /// Makes a webhook for pushes and pull requests with this secret; it is
    /// known by its URL. A secret of which this client does not know that the
    /// webhook has it is set by a new webhook in place of the old, because
    /// Gitea leaves the secret of one that is changed as it was. Deliveries are signed with the secret
    /// (`X-Gitea-Signature`, HMAC-SHA256 in hexadecimal).
    pub async fn webhook_ensure(
        &self,
        target: &HookTarget,
        url: &str,
        secret: &str,
    ) -> Result<(), PortError> {
        let action = format!("make the webhook of {target}");
        let hooks: Vec<Hook> = self.pages(&target.path(), &[], &action).await?;
        let of_url = |hook: &&Hook| hook.config.get("url").is_some_and(|there| there == url);
        let found: Vec<&Hook> = hooks.iter().filter(of_url).collect();
        let one = |hook: &Hook| format!("{}/{}", target.path(), hook.id);
        let digest = secret_digest(secret);
        if let [hook] = found.as_slice()
            && hook.active
            && self.hooks().get(&one(hook)) == Some(&digest)
        {
            return Ok(());
        }
        let body = json!({
            "type": "gitea",
            "config": {"url": url, "content_type": "json", "secret": secret},
            "events": ["push", "pull_request", "pull_request_review"],
            "branch_filter": "*",
            "active": true,
        });
        let call = self
            .surface
            .call(Method::POST, &target.path(), action.as_str());
        let made: Hook = call.json(&body).read().await?;
        self.hooks().insert(one(&made), digest);
        // Only now, so that no push goes untold.
        for hook in found {
            self.hooks().remove(&one(hook));
            let call = self
                .surface
                .call(Method::DELETE, &one(hook), action.as_str());
            call.exists().await?;
        }
        Ok(())
    }

    fn hooks(&self) -> MutexGuard<'_, HashMap<String, [u8; 32]>> {
        self.known_hooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Every entry of a listing; none when what is listed is not there.
    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        place: &str,
        query: &[(&str, &str)],
        action: &str,
    ) -> Result<Vec<T>, PortError> {
        let mut all = Vec::new();
        for page in 1_usize.. {
            let (page, limit) = (page.to_string(), PAGE.to_string());
            let found: Option<Vec<T>> = self
                .surface
                .call(Method::GET, place, action)
                .query(&[("page", page.as_str()), ("limit", limit.as_str())])
                .query(query)
                .find()
                .await?;
            let found = found.unwrap_or_default();
            let is_last = found.len() < PAGE;
            all.extend(found);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    fn is_known(&self, username: &str) -> bool {
        let users = self
            .known_users
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        users.contains(username)
    }

    fn remember(&self, username: &str, exists: bool) {
        let mut users = self
            .known_users
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if exists {
            users.insert(username.to_owned());
        } else {
            users.remove(username);
        }
    }
}

/// The REST path of a repository.
pub(crate) fn path(id: &RepositoryId) -> String {
    format!("/repos/{}/{}", segment(&id.owner), segment(&id.name))
}

/// A text of a JSON object, wherever it stands; empty when it is not there.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Remembered instead of the secret.
fn secret_digest(secret: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
