//! Users of the identity provider, over Keycloak's admin REST API. One resource
//! is the embedded issuer's alone: `POST …/users/{id}/invitation`, which answers
//! with a one-time link where Keycloak would send a mail.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use crate::http::{Credentials, Surface, segment};
use crate::{PortError, Tokens};

const PAGE: usize = 100;

/// A user as the identity provider knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The provider's own id.
    pub id: String,
    /// The name by which they sign in.
    pub username: String,
    /// The mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether they may sign in.
    #[serde(default)]
    pub enabled: bool,
    /// Their groups, without a leading slash.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the control plane noted of them; users cannot change it.
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
    /// What they must do at their next sign-in.
    #[serde(default)]
    pub required_actions: Vec<String>,
}

impl User {
    /// Whether they have set a password.
    pub fn has_password(&self) -> bool {
        !self
            .required_actions
            .iter()
            .any(|action| action == "UPDATE_PASSWORD")
    }
}

/// A user to be made, without a password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewUser {
    /// The name by which they will sign in.
    pub username: String,
    /// The mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Their groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What is noted of them. On Keycloak the realm's user profile must let
    /// administrators edit attributes that it does not name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// A one-time link. Whoever has it becomes the user, so it is shown to nobody
/// but the one who asked for it, and never logged.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Invitation {
    /// The link.
    #[serde(rename = "link")]
    pub url: String,
    /// When it ends, RFC 3339.
    #[serde(rename = "expires")]
    pub expires_at: String,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Invitation")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A client of the identity provider's administration; clones share it.
#[derive(Clone)]
pub struct Identity {
    surface: Surface,
}

impl Identity {
    /// Administration at `{issuer}/admin/realms/catalyst` (embedded) or
    /// `https://{keycloak}/admin/realms/{realm}`; the tokens are those of a
    /// client that may manage users.
    pub fn new(http: reqwest::Client, admin: Url, tokens: Tokens) -> Self {
        Self {
            surface: Surface::new("issuer", http, &admin, Credentials::Tokens(tokens)),
        }
    }

    /// All users, by name.
    pub async fn user_list(&self) -> Result<Vec<User>, PortError> {
        let mut all = Vec::new();
        loop {
            let (first, max) = (all.len().to_string(), PAGE.to_string());
            let page: Vec<User> = self
                .surface
                .call(Method::GET, "/users", "list the users")
                .query(&[
                    ("first", first.as_str()),
                    ("max", max.as_str()),
                    ("briefRepresentation", "false"),
                ])
                .read()
                .await?;
            let is_last = page.len() < PAGE;
            all.extend(page.into_iter().map(plain_groups));
            if is_last {
                all.sort_by(|one, other| one.username.cmp(&other.username));
                return Ok(all);
            }
        }
    }

    /// The user of that name.
    pub async fn user_find(&self, username: &str) -> Result<Option<User>, PortError> {
        let found: Vec<User> = self
            .surface
            .call(
                Method::GET,
                "/users",
                format!("look for the user {username}"),
            )
            .query(&[("username", username), ("exact", "true")])
            .read()
            .await?;
        let is_same = |user: &User| user.username.eq_ignore_ascii_case(username);
        Ok(found.into_iter().find(is_same).map(plain_groups))
    }

    /// Makes a user; a conflict when the name is taken.
    pub async fn user_create(&self, new: NewUser) -> Result<User, PortError> {
        let action = format!("make the user {}", new.username);
        let mut body = json!(new);
        if let Some(fields) = body.as_object_mut() {
            fields.insert("enabled".to_owned(), json!(true));
        }
        let call = self
            .surface
            .call(Method::POST, "/users", action.as_str())
            .json(&body);
        call.ok().await?;
        self.user_find(&new.username)
            .await?
            .ok_or_else(|| PortError::Read {
                part: "issuer",
                action,
                reason: "it says that the user was made, and does not list them".to_owned(),
            })
    }

    /// Lets a user sign in, or ends their sessions and lets them no more.
    pub async fn user_set_enabled(&self, id: &str, enabled: bool) -> Result<(), PortError> {
        let action = if enabled { "enable" } else { "disable" };
        self.surface
            .call(Method::PUT, &one(id), format!("{action} a user"))
            .json(&json!({"enabled": enabled}))
            .ok()
            .await
            .map(drop)
    }

    /// Makes exactly these the groups of a user.
    pub async fn user_set_groups(&self, id: &str, groups: &[String]) -> Result<(), PortError> {
        self.surface
            .call(Method::PUT, &one(id), "set the groups of a user")
            .json(&json!({"groups": groups}))
            .ok()
            .await
            .map(drop)
    }

    /// Removes a user; their tokens end at once.
    pub async fn user_delete(&self, id: &str) -> Result<(), PortError> {
        self.surface
            .call(Method::DELETE, &one(id), "delete a user")
            .exists()
            .await
            .map(drop)
    }

    /// Ends a user's sessions.
    pub async fn user_sign_out(&self, id: &str) -> Result<(), PortError> {
        self.surface
            .call(
                Method::POST,
                &format!("{}/logout", one(id)),
                "sign a user out",
            )
            .exists()
            .await
            .map(drop)
    }

    /// A one-time link on which a user sets their password, and from which they
    /// go on to `return_to`. An earlier link ends.
    pub async fn user_invite(&self, id: &str, return_to: &str) -> Result<Invitation, PortError> {
        self.surface
            .call(
                Method::POST,
                &format!("{}/invitation", one(id)),
                "invite a user",
            )
            .json(&json!({"returnTo": return_to}))
            .read()
            .await
    }
}

fn one(id: &str) -> String {
    format!("/users/{}", segment(id))
}

/// Keycloak writes groups as paths.
fn plain_groups(mut user: User) -> User {
    for group in &mut user.groups {
        if let Some(name) = group.strip_prefix('/') {
            *group = name.to_owned();
        }
    }
    user
}
