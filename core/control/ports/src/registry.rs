//! Administration of the OCI registry, over Harbor's REST API
//! (`/api/v2.0/projects`) and the distribution API's listings.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::http::{Credentials, Surface, segment, segments};
use crate::{PortError, Tokens};

const PAGE: usize = 100;

/// What a member of a project may do; the numbers are Harbor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistryRole {
    /// Pull.
    Guest,
    /// Push too.
    Developer,
    /// Delete too.
    Maintainer,
}

impl RegistryRole {
    fn id(self) -> u8 {
        match self {
            Self::Guest => 3,
            Self::Developer => 2,
            Self::Maintainer => 4,
        }
    }
}

/// A client of the registry's administration; clones share it.
#[derive(Clone)]
pub struct RegistryAdmin {
    surface: Surface,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    public: String,
}

#[derive(Deserialize)]
struct Member {
    id: u64,
    entity_name: String,
    entity_type: String,
    role_id: u8,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Vec<String>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Robot {
    id: u64,
    name: String,
    #[serde(default)]
    permissions: Vec<RobotPermission>,
}

#[derive(Deserialize)]
struct RobotPermission {
    namespace: String,
}

impl Robot {
    fn permissions(&self) -> BTreeSet<&str> {
        self.permissions
            .iter()
            .map(|permission| permission.namespace.as_str())
            .collect()
    }
}

impl RegistryAdmin {
    /// A registry at a base URL (`http://host:port`), asked as an administrator.
    pub fn new(http: reqwest::Client, base: Url, tokens: Tokens) -> Self {
        Self {
            surface: Surface::new("registry", http, &base, Credentials::Tokens(tokens)),
        }
    }

    /// Makes a project, or sets whether everyone may pull from it.
    pub async fn project_ensure(&self, name: &str, public: bool) -> Result<(), PortError> {
        let action = format!("make the registry's project {name}");
        let found: Option<Project> = self
            .surface
            .call(Method::GET, &one(name), action.as_str())
            .header("X-Is-Resource-Name", "true")
            .find()
            .await?;
        let wanted = json!({"public": public.to_string()});
        let call = match found {
            Some(found) if (found.metadata.public == "true") == public => return Ok(()),
            Some(_) => self
                .surface
                .call(Method::PUT, &one(name), action)
                .header("X-Is-Resource-Name", "true")
                .json(&json!({"metadata": wanted})),
            None => self
                .surface
                .call(Method::POST, "/api/v2.0/projects", action)
                .json(&json!({"project_name": name, "metadata": wanted})),
        };
        let answer = call.answer().await?;
        if answer.status.as_u16() == 409 {
            return Ok(());
        }
        answer.ok().map(drop)
    }

    /// Makes exactly these users the members of a project; groups are left as
    /// they are. Returns those whom the registry does not know yet (Harbor
    /// learns of a user at their first sign-in) and could therefore not add.
    pub async fn project_members_set(
        &self,
        name: &str,
        members: &[(String, RegistryRole)],
    ) -> Result<Vec<String>, PortError> {
        let action = format!("set the members of the registry's project {name}");
        let place = format!("{}/members", one(name));
        let call = |method: Method, place: &str| {
            self.surface
                .call(method, place, action.as_str())
                .header("X-Is-Resource-Name", "true")
        };
        let mut present: Vec<Member> = Vec::new();
        for page in 1_usize.. {
            let (page, size) = (page.to_string(), PAGE.to_string());
            let found: Vec<Member> = call(Method::GET, &place)
                .query(&[("page", page.as_str()), ("page_size", size.as_str())])
                .read()
                .await?;
            let before = present.len();
            // A registry that does not page gives the same members again.
            for member in found {
                if !present.iter().any(|other| other.id == member.id) {
                    present.push(member);
                }
            }
            if present.len() - before < PAGE {
                break;
            }
        }
        present.retain(|member| member.entity_type == "u");
        for member in &present {
            let wanted = members
                .iter()
                .find(|(user, _)| *user == member.entity_name)
                .map(|(_, role)| role.id());
            let place = format!("{place}/{}", member.id);
            match wanted {
                None => {
                    call(Method::DELETE, &place).exists().await?;
                }
                Some(role) if role != member.role_id => {
                    call(Method::PUT, &place)
                        .json(&json!({"role_id": role}))
                        .ok()
                        .await?;
                }
                Some(_) => {}
            }
        }
        let mut unknown = Vec::new();
        for (user, role) in members {
            if present.iter().any(|member| member.entity_name == *user) {
                continue;
            }
            let body = json!({"role_id": role.id(), "member_user": {"username": user}});
            let answer = call(Method::POST, &place).json(&body).answer().await?;
            match answer.status.as_u16() {
                404 => unknown.push(user.clone()),
                409 => {}
                _ => drop(answer.ok()?),
            }
        }
        Ok(unknown)
    }

    /// Removes a project with all its repositories.
    pub async fn project_delete(&self, name: &str) -> Result<(), PortError> {
        let action = format!("delete the registry's project {name}");
        for repository in self.repositories(name).await? {
            let short = repository
                .strip_prefix(&format!("{name}/"))
                .unwrap_or(&repository);
            // Harbor takes the slashes of the name encoded twice.
            let encoded = segment(&segment(short));
            let place = format!("{}/repositories/{encoded}", one(name));
            self.surface
                .call(Method::DELETE, &place, action.as_str())
                .exists()
                .await?;
        }
        self.surface
            .call(Method::DELETE, &one(name), action)
            .header("X-Is-Resource-Name", "true")
            .exists()
            .await
            .map(drop)
    }

    /// A robot account that may pull from these projects, with this secret.
    /// Answers its user name, which Harbor forms from `name`.
    pub async fn robot_ensure(
        &self,
        name: &str,
        secret: &Zeroizing<String>,
        projects: &[&str],
    ) -> Result<String, PortError> {
        let action = format!("make the registry's robot account {name}");
        let permissions: Vec<Value> = projects
            .iter()
            .map(|project| {
                json!({
                    "kind": "project", "namespace": project,
                    "access": [{"resource": "repository", "action": "pull"}],
                })
            })
            .collect();
        let known = self.robot(name).await?;
        let body = json!({
            "name": name, "level": "system", "duration": -1, "disable": false,
            "secret": secret.as_str(), "permissions": permissions,
        });
        let robot = match known {
            Some(robot) => {
                let place = format!("/api/v2.0/robots/{}", robot.id);
                if robot.permissions() != projects.iter().copied().collect() {
                    let mut changed = body;
                    if let Some(fields) = changed.as_object_mut() {
                        fields.insert("name".to_owned(), json!(robot.name));
                        fields.remove("secret");
                    }
                    self.surface
                        .call(Method::PUT, &place, action.as_str())
                        .json(&changed)
                        .ok()
                        .await?;
                }
                robot
            }
            None => {
                self.surface
                    .call(Method::POST, "/api/v2.0/robots", action.as_str())
                    .json(&body)
                    .read()
                    .await?
            }
        };
        // Harbor draws a secret of its own at creation; this sets ours.
        self.surface
            .call(
                Method::PATCH,
                &format!("/api/v2.0/robots/{}", robot.id),
                action,
            )
            .json(&json!({"secret": secret.as_str()}))
            .ok()
            .await?;
        Ok(robot.name)
    }

    /// Removes a robot account; one that is not there is as good as removed.
    pub async fn robot_delete(&self, name: &str) -> Result<(), PortError> {
        let Some(robot) = self.robot(name).await? else {
            return Ok(());
        };
        self.surface
            .call(
                Method::DELETE,
                &format!("/api/v2.0/robots/{}", robot.id),
                format!("delete the registry's robot account {name}"),
            )
            .exists()
            .await
            .map(drop)
    }

    async fn robot(&self, name: &str) -> Result<Option<Robot>, PortError> {
        let action = format!("find the registry's robot account {name}");
        let mut seen = 0;
        for page in 1_usize.. {
            let (page, size) = (page.to_string(), PAGE.to_string());
            let found: Vec<Robot> = self
                .surface
                .call(Method::GET, "/api/v2.0/robots", action.as_str())
                .query(&[("page", page.as_str()), ("page_size", size.as_str())])
                .read()
                .await?;
            let count = found.len();
            let wanted = found
                .into_iter()
                .find(|robot| robot.name.rsplit('$').next() == Some(name));
            // A registry that does not page gives the same robots again.
            if wanted.is_some() || count < PAGE || count == seen {
                return Ok(wanted);
            }
            seen = count;
        }
        Ok(None)
    }

    /// The repositories of a project by their whole names; none when it is not
    /// there.
    pub async fn repositories(&self, project: &str) -> Result<Vec<String>, PortError> {
        let place = format!("{}/repositories", one(project));
        let action = format!("list the repositories of the registry's project {project}");
        let mut all: Vec<String> = Vec::new();
        for page in 1_usize.. {
            let (page, size) = (page.to_string(), PAGE.to_string());
            let found: Option<Vec<Named>> = self
                .surface
                .call(Method::GET, &place, action.as_str())
                .query(&[("page", page.as_str()), ("page_size", size.as_str())])
                .find()
                .await?;
            let before = all.len();
            for named in found.unwrap_or_default() {
                if !all.contains(&named.name) {
                    all.push(named.name);
                }
            }
            if all.len() - before < PAGE {
                break;
            }
        }
        Ok(all)
    }

    /// Every repository of the registry.
    pub async fn catalog(&self) -> Result<Vec<String>, PortError> {
        let mut all: Vec<String> = Vec::new();
        loop {
            let (size, last) = (PAGE.to_string(), all.last().cloned().unwrap_or_default());
            let mut call = self
                .surface
                .call(Method::GET, "/v2/_catalog", "list the registry's catalog")
                .query(&[("n", size.as_str())]);
            if !last.is_empty() {
                call = call.query(&[("last", last.as_str())]);
            }
            let page: Catalog = call.read().await?;
            let is_last = page.repositories.len() < PAGE;
            all.extend(page.repositories);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The tags of a repository; none when it is not there.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, PortError> {
        let place = format!("/v2/{}/tags/list", segments(repository));
        let action = format!("list the tags of {repository}");
        let found: Option<Tags> = self
            .surface
            .call(Method::GET, &place, action)
            .find()
            .await?;
        Ok(found.and_then(|it| it.tags).unwrap_or_default())
    }
}

fn one(name: &str) -> String {
    format!("/api/v2.0/projects/{}", segment(name))
}
