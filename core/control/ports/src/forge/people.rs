//! Users, organizations and teams of the forge.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Forge, RepositoryId};
use crate::PortError;
use crate::http::segment;

/// A team's number.
pub type TeamId = u64;

/// What a team may do with every repository of its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Clone and look.
    Read,
    /// Push, open and merge pull requests.
    Write,
    /// Change the repositories' settings too.
    Admin,
}

impl Permission {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Organization {
    #[serde(default)]
    full_name: String,
}

#[derive(Deserialize)]
struct Team {
    id: TeamId,
    name: String,
    #[serde(default)]
    permission: String,
    #[serde(default)]
    includes_all_repositories: bool,
    #[serde(default)]
    units_map: std::collections::BTreeMap<String, String>,
}

impl Team {
    /// Whether the team has this permission already. Gitea calls a team of
    /// units `none` or by their highest; the unit of the code decides.
    fn has(&self, permission: Permission) -> bool {
        let word = permission.word();
        let by_unit = self.units_map.get("repo.code").map(String::as_str);
        self.includes_all_repositories && (self.permission == word || by_unit == Some(word))
    }
}

impl Forge {
    /// Makes a user who signs in elsewhere; whoever is there stays as they are.
    pub async fn user_ensure(&self, username: &str, email: &str) -> Result<(), PortError> {
        if self.is_known(username) || self.user_exists(username).await? {
            self.remember(username, true);
            return Ok(());
        }
        // Gitea wants a password for every local user; nobody learns this one.
        let password = zeroize::Zeroizing::new(format!(
            "Aa1!{}{}",
            uuid::Uuid::new_v4().simple(),
            uuid::Uuid::new_v4().simple()
        ));
        let made = self.user_create(username, email, &password).await;
        // The forge makes users on first sight too: whoever came in between is
        // the user that was wanted.
        match made {
            Err(_) if self.user_exists(username).await? => {
                self.remember(username, true);
                Ok(())
            }
            made => made,
        }
    }

    /// Makes a user with a password of the forge's own, for programs that can
    /// do nothing but Basic authentication; sets the password anew when the
    /// user is there.
    pub async fn user_with_password_ensure(
        &self,
        username: &str,
        email: &str,
        password: &str,
    ) -> Result<(), PortError> {
        if !self.user_exists(username).await? {
            return self.user_create(username, email, password).await;
        }
        let body = json!({
            "login_name": username, "source_id": 0, "email": email,
            "password": password, "must_change_password": false,
        });
        let place = format!("/admin/users/{}", segment(username));
        let action = format!("set the password of the forge's user {username}");
        let call = self.surface.call(Method::PATCH, &place, action);
        call.json(&body).ok().await.map(drop)
    }

    /// Removes a user from the forge, with tokens and memberships.
    pub async fn user_delete(&self, username: &str) -> Result<(), PortError> {
        self.remember(username, false);
        let place = format!("/admin/users/{}", segment(username));
        let action = format!("delete the forge's user {username}");
        self.surface
            .call(Method::DELETE, &place, action)
            .exists()
            .await
            .map(drop)
    }

    async fn user_exists(&self, username: &str) -> Result<bool, PortError> {
        let place = format!("/users/{}", segment(username));
        let action = format!("look for the forge's user {username}");
        self.surface
            .call(Method::GET, &place, action)
            .exists()
            .await
    }

    async fn user_create(
        &self,
        username: &str,
        email: &str,
        password: &str,
    ) -> Result<(), PortError> {
        let body = json!({
            "username": username, "email": email, "password": password,
            "must_change_password": false, "send_notify": false,
        });
        let action = format!("make the forge's user {username}");
        let call = self.surface.call(Method::POST, "/admin/users", action);
        call.json(&body).ok().await?;
        self.remember(username, true);
        Ok(())
    }

    /// Makes an organization that only its members see, or brings the name
    /// that people read up to date.
    pub async fn organization_ensure(
        &self,
        name: &str,
        display_name: &str,
    ) -> Result<(), PortError> {
        let place = format!("/orgs/{}", segment(name));
        let action = format!("make the forge's organization {name}");
        let found: Option<Organization> = self
            .surface
            .call(Method::GET, &place, action.as_str())
            .find()
            .await?;
        let call = match found {
            Some(found) if found.full_name == display_name => return Ok(()),
            Some(_) => self
                .surface
                .call(Method::PATCH, &place, action)
                .json(&json!({"full_name": display_name, "visibility": "private"})),
            None => self
                .surface
                .call(Method::POST, "/orgs", action)
                .json(&json!({
                    "username": name, "full_name": display_name, "visibility": "private",
                })),
        };
        call.ok().await.map(drop)
    }

    /// Whether an organization is there.
    pub async fn organization_exists(&self, name: &str) -> Result<bool, PortError> {
        let place = format!("/orgs/{}", segment(name));
        let action = format!("look for the forge's organization {name}");
        self.surface
            .call(Method::GET, &place, action)
            .exists()
            .await
    }

    /// Removes an organization; it must have no repositories any more.
    pub async fn organization_delete(&self, name: &str) -> Result<(), PortError> {
        let place = format!("/orgs/{}", segment(name));
        let action = format!("delete the forge's organization {name}");
        self.surface
            .call(Method::DELETE, &place, action)
            .exists()
            .await
            .map(drop)
    }

    /// Makes a team with all repositories of its organization, those to come
    /// too, or brings its permission up to date.
    pub async fn team_ensure(
        &self,
        organization: &str,
        team: &str,
        permission: Permission,
    ) -> Result<TeamId, PortError> {
        let action = format!("make the team {team} of {organization}");
        let found = self.team_find(organization, team, &action).await?;
        if let Some(found) = &found
            && found.has(permission)
        {
            return Ok(found.id);
        }
        let word = permission.word();
        let body = json!({
            "name": team, "permission": word, "includes_all_repositories": true,
            "can_create_org_repo": false,
            "units_map": {"repo.code": word, "repo.pulls": word},
        });
        let (method, place) = match &found {
            Some(found) => (Method::PATCH, format!("/teams/{}", found.id)),
            None => (
                Method::POST,
                format!("/orgs/{}/teams", segment(organization)),
            ),
        };
        let call = self.surface.call(method, &place, action);
        let made: Team = call.json(&body).read().await?;
        Ok(made.id)
    }

    /// Makes exactly these users the members of a team. Users that the forge
    /// has not seen yet are made, with an address that receives nothing.
    pub async fn team_members_set(
        &self,
        organization: &str,
        team: &str,
        members: &[String],
    ) -> Result<(), PortError> {
        let action = format!("set the members of the team {team} of {organization}");
        let found = self.team_find(organization, team, &action).await?;
        let Some(found) = found else {
            return Err(PortError::Prepare {
                action,
                reason: "there is no such team; make it first".to_owned(),
            });
        };
        let place = format!("/teams/{}/members", found.id);
        let present: Vec<User> = self.pages(&place, &[], &action).await?;
        let is_same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        // One whom the forge does not take, or let go, stops none of the others.
        let mut failures = Vec::new();
        for user in &present {
            if members.iter().any(|member| is_same(member, &user.login)) {
                continue;
            }
            let one = format!("{place}/{}", segment(&user.login));
            let removed = self
                .surface
                .call(Method::DELETE, &one, action.as_str())
                .exists()
                .await;
            failures.extend(removed.err());
        }
        for member in members {
            if present.iter().any(|user| is_same(member, &user.login)) {
                continue;
            }
            let added = self.team_member_add(&place, member, &action).await;
            failures.extend(added.err());
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Puts a user into the team at a place, and makes the user first where there
    /// is none.
    async fn team_member_add(
        &self,
        place: &str,
        member: &str,
        action: &str,
    ) -> Result<(), PortError> {
        let one = format!("{place}/{}", segment(member));
        let add = || self.surface.call(Method::PUT, &one, action);
        if add().exists().await? {
            return Ok(());
        }
        self.remember(member, false);
        self.user_ensure(member, &format!("{member}@noreply.localhost"))
            .await?;
        add().ok().await.map(drop)
    }

    /// Lets a user into a repository by name, beside the teams of its organization;
    /// whom the forge has not seen yet is made.
    pub async fn collaborator_ensure(
        &self,
        id: &RepositoryId,
        username: &str,
        permission: Permission,
    ) -> Result<(), PortError> {
        self.user_ensure(username, &format!("{username}@noreply.localhost"))
            .await?;
        let place = format!("{}/collaborators/{}", super::path(id), segment(username));
        let action = format!("let {username} into {id}");
        let body = json!({"permission": permission.word()});
        let call = self.surface.call(Method::PUT, &place, action);
        call.json(&body).ok().await.map(drop)
    }

    /// Takes a repository from a user who was let in by name; what their teams may
    /// stays.
    pub async fn collaborator_remove(
        &self,
        id: &RepositoryId,
        username: &str,
    ) -> Result<(), PortError> {
        let place = format!("{}/collaborators/{}", super::path(id), segment(username));
        let action = format!("let {username} into {id} no more");
        self.surface
            .call(Method::DELETE, &place, action)
            .exists()
            .await
            .map(drop)
    }

    /// Takes a repository from everybody who was let in by name, beside the teams of
    /// its organization, but for those named; answers who that was. Asks once when
    /// there is nobody.
    pub async fn collaborators_remove(
        &self,
        id: &RepositoryId,
        but_for: &[String],
    ) -> Result<Vec<String>, PortError> {
        let place = format!("{}/collaborators", super::path(id));
        let action = format!("remove the collaborators of {id}");
        let present: Vec<User> = self.pages(&place, &[], &action).await?;
        let mut removed = Vec::new();
        for user in present {
            let stays = |name: &String| name.eq_ignore_ascii_case(&user.login);
            if but_for.iter().any(stays) {
                continue;
            }
            let one = format!("{place}/{}", segment(&user.login));
            self.surface
                .call(Method::DELETE, &one, action.as_str())
                .exists()
                .await?;
            removed.push(user.login);
        }
        Ok(removed)
    }

    async fn team_find(
        &self,
        organization: &str,
        team: &str,
        action: &str,
    ) -> Result<Option<Team>, PortError> {
        let place = format!("/orgs/{}/teams", segment(organization));
        let teams: Vec<Team> = self.pages(&place, &[], action).await?;
        Ok(teams
            .into_iter()
            .find(|found| found.name.eq_ignore_ascii_case(team)))
    }
}
