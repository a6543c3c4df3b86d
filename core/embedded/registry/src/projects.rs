//! Namespaces and their members over HTTP, in the shape of the part of
//! Harbor's REST API that the control plane uses: `/api/v2.0/projects`,
//! `…/{project}/members` and `…/{project}/repositories`; robots are in `robots`.
//!
//! Only administrators get in. A project is addressed by its name.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Inner;
use crate::access::Actions;
use crate::events::Change;
use crate::names::RepositoryName;
use crate::permissions::{GROUP, Member, Namespace, PermissionError};

pub(crate) type Outcome = Result<Response, Failure>;

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/api/v2.0/projects", get(list).head(head).post(create))
        .route(
            "/api/v2.0/projects/{project}",
            get(show).put(update).delete(remove),
        )
        .route(
            "/api/v2.0/projects/{project}/members",
            get(members).post(add_member),
        )
        .route(
            "/api/v2.0/projects/{project}/members/{id}",
            get(show_member).put(update_member).delete(remove_member),
        )
        .route(
            "/api/v2.0/projects/{project}/repositories",
            get(repositories),
        )
        .route(
            "/api/v2.0/projects/{project}/repositories/{*repository}",
            axum::routing::delete(remove_repository),
        )
        .merge(crate::robots::router())
        .layer(from_fn_with_state(inner.clone(), administrators_only))
        .with_state(inner)
}

/// A refused or failed request, in Harbor's error shape.
pub(crate) struct Failure(
    pub(crate) StatusCode,
    pub(crate) &'static str,
    pub(crate) String,
);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"errors": [{"code": self.1, "message": self.2}]});
        (self.0, Json(body)).into_response()
    }
}

impl From<PermissionError> for Failure {
    fn from(error: PermissionError) -> Self {
        let (status, code) = match &error {
            PermissionError::Name(_) | PermissionError::Principal(_) => {
                (StatusCode::BAD_REQUEST, "BAD_REQUEST")
            }
            PermissionError::Exists(_) => (StatusCode::CONFLICT, "CONFLICT"),
            PermissionError::Unknown(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            PermissionError::Store(source) => {
                tracing::error!(error = %source, "registry permission not written");
                (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
            }
        };
        Self(status, code, error.to_string())
    }
}

#[derive(Deserialize)]
struct Listing {
    name: Option<String>,
    page: Option<usize>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
struct Exists {
    project_name: String,
}

#[derive(Deserialize, Default)]
struct ProjectRequest {
    project_name: Option<String>,
    public: Option<bool>,
    #[serde(default)]
    metadata: ProjectMetadata,
}

#[derive(Deserialize, Default)]
struct ProjectMetadata {
    /// Harbor writes its booleans here as strings.
    public: Option<String>,
}

#[derive(Deserialize)]
struct MemberRequest {
    role_id: u8,
    member_user: Option<MemberUser>,
    member_group: Option<MemberGroup>,
}

#[derive(Deserialize)]
struct MemberUser {
    username: String,
}

#[derive(Deserialize)]
struct MemberGroup {
    group_name: String,
}

impl ProjectRequest {
    fn is_public(&self) -> Option<bool> {
        self.metadata
            .public
            .as_ref()
            .map(|text| text == "true")
            .or(self.public)
    }
}

async fn administrators_only(
    State(inner): State<Arc<Inner>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    match crate::http::authenticate(&inner, &parts).await {
        Ok(principal) if principal.is_administrator => {
            next.run(Request::from_parts(parts, body)).await
        }
        Ok(principal) if principal.is_anonymous() => Failure(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "sign in to administer the registry".to_owned(),
        )
        .into_response(),
        Ok(_) => Failure(
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            "only an administrator may do this".to_owned(),
        )
        .into_response(),
        Err(error) => error.into_response(),
    }
}

async fn list(State(inner): State<Arc<Inner>>, Query(query): Query<Listing>) -> Response {
    let size = query.page_size.unwrap_or(100).clamp(1, 100);
    let skip = query
        .page
        .unwrap_or(1)
        .saturating_sub(1)
        .saturating_mul(size);
    let mut all = inner.permissions.namespaces();
    all.retain(|it| {
        query
            .name
            .as_ref()
            .is_none_or(|name| it.name.contains(name.as_str()))
    });
    let total = all.len();
    let page: Vec<_> = all
        .iter()
        .skip(skip)
        .take(size)
        .map(|it| project(&inner, it))
        .collect();
    ([("x-total-count", total.to_string())], Json(page)).into_response()
}

async fn head(State(inner): State<Arc<Inner>>, Query(query): Query<Exists>) -> StatusCode {
    match inner.permissions.namespace(&query.project_name) {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    }
}

async fn create(State(inner): State<Arc<Inner>>, Json(request): Json<ProjectRequest>) -> Outcome {
    let name = request.project_name.clone().unwrap_or_default();
    inner
        .permissions
        .namespace_create(&name, request.is_public().unwrap_or(false))
        .await?;
    Ok((
        StatusCode::CREATED,
        [(LOCATION, format!("/api/v2.0/projects/{name}"))],
    )
        .into_response())
}

async fn show(State(inner): State<Arc<Inner>>, Path(name): Path<String>) -> Outcome {
    let namespace = known(&inner, &name)?;
    Ok(Json(project(&inner, &namespace)).into_response())
}

async fn update(
    State(inner): State<Arc<Inner>>,
    Path(name): Path<String>,
    Json(request): Json<ProjectRequest>,
) -> Outcome {
    let namespace = known(&inner, &name)?;
    let is_public = request.is_public().unwrap_or(namespace.is_public);
    inner.permissions.namespace_update(&name, is_public).await?;
    Ok(StatusCode::OK.into_response())
}

async fn remove(State(inner): State<Arc<Inner>>, Path(name): Path<String>) -> Outcome {
    known(&inner, &name)?;
    let held = held(&inner, &name);
    if !held.is_empty() {
        let message = format!(
            "the project `{name}` still holds {} repositories; delete them first",
            held.len()
        );
        return Err(Failure(
            StatusCode::PRECONDITION_FAILED,
            "PRECONDITION",
            message,
        ));
    }
    inner.permissions.namespace_delete(&name).await?;
    Ok(StatusCode::OK.into_response())
}

async fn members(State(inner): State<Arc<Inner>>, Path(name): Path<String>) -> Outcome {
    let namespace = known(&inner, &name)?;
    let members = inner.permissions.members(&name);
    let shown: Vec<_> = members.iter().map(|it| member(&namespace, it)).collect();
    Ok(([("x-total-count", shown.len().to_string())], Json(shown)).into_response())
}

async fn add_member(
    State(inner): State<Arc<Inner>>,
    Path(name): Path<String>,
    Json(request): Json<MemberRequest>,
) -> Outcome {
    known(&inner, &name)?;
    let principal = match (request.member_user, request.member_group) {
        (Some(user), None) if !user.username.starts_with(GROUP) => user.username,
        (None, Some(group)) => format!("{GROUP}{}", group.group_name),
        _ => {
            let message = "give either member_user.username or member_group.group_name";
            return Err(Failure(
                StatusCode::BAD_REQUEST,
                "BAD_REQUEST",
                message.to_owned(),
            ));
        }
    };
    let actions = actions_of_role(request.role_id)?;
    if !inner.permissions.actions(&name, &principal).is_empty() {
        let message =
            format!("`{principal}` is a member of `{name}` already; change the role instead");
        return Err(Failure(StatusCode::CONFLICT, "CONFLICT", message));
    }
    inner
        .permissions
        .set_actions(&name, &principal, actions)
        .await?;
    let id = inner
        .permissions
        .members(&name)
        .iter()
        .find(|it| it.principal == principal)
        .map(|it| it.id);
    let location = format!(
        "/api/v2.0/projects/{name}/members/{}",
        id.unwrap_or_default()
    );
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

async fn show_member(
    State(inner): State<Arc<Inner>>,
    Path((name, id)): Path<(String, u64)>,
) -> Outcome {
    let namespace = known(&inner, &name)?;
    Ok(Json(member(&namespace, &known_member(&inner, &name, id)?)).into_response())
}

async fn update_member(
    State(inner): State<Arc<Inner>>,
    Path((name, id)): Path<(String, u64)>,
    Json(request): Json<MemberRequest>,
) -> Outcome {
    let found = known_member(&inner, &name, id)?;
    let actions = actions_of_role(request.role_id)?;
    inner
        .permissions
        .set_actions(&name, &found.principal, actions)
        .await?;
    Ok(StatusCode::OK.into_response())
}

async fn remove_member(
    State(inner): State<Arc<Inner>>,
    Path((name, id)): Path<(String, u64)>,
) -> Outcome {
    let found = known_member(&inner, &name, id)?;
    inner
        .permissions
        .set_actions(&name, &found.principal, Actions::default())
        .await?;
    Ok(StatusCode::OK.into_response())
}

async fn repositories(State(inner): State<Arc<Inner>>, Path(name): Path<String>) -> Outcome {
    known(&inner, &name)?;
    let shown: Vec<_> = held(&inner, &name)
        .iter()
        .map(|it| json!({"name": it, "artifact_count": inner.metadata.manifests(it).len()}))
        .collect();
    Ok(([("x-total-count", shown.len().to_string())], Json(shown)).into_response())
}

/// Removes a repository with all that it holds. Harbor's clients encode the
/// slashes of the name twice; both forms are understood.
async fn remove_repository(
    State(inner): State<Arc<Inner>>,
    Path((name, repository)): Path<(String, String)>,
) -> Outcome {
    let repository = repository.replace("%2F", "/").replace("%2f", "/");
    let unknown = || {
        let message = format!("there is no repository `{name}/{repository}`");
        Failure(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    };
    let full: RepositoryName = format!("{name}/{repository}")
        .parse()
        .map_err(|_| unknown())?;
    let _gate = inner.gate.write().await;
    if !inner.metadata.has_repository(&full) {
        return Err(unknown());
    }
    inner
        .metadata
        .remove_repository(&full)
        .await
        .map_err(|error| Failure::from(PermissionError::Store(error)))?;
    inner.tell(&full, Change::Emptied);
    Ok(StatusCode::OK.into_response())
}

fn known(inner: &Inner, name: &str) -> Result<Namespace, Failure> {
    inner
        .permissions
        .namespace(name)
        .ok_or_else(|| PermissionError::Unknown(name.to_owned()).into())
}

fn known_member(inner: &Inner, name: &str, id: u64) -> Result<Member, Failure> {
    known(inner, name)?;
    inner
        .permissions
        .members(name)
        .into_iter()
        .find(|it| it.id == id)
        .ok_or_else(|| {
            Failure(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                format!("`{name}` has no member {id}"),
            )
        })
}

fn held(inner: &Inner, namespace: &str) -> Vec<RepositoryName> {
    let mut all = inner.metadata.repositories(None);
    all.retain(|it| it.namespace() == namespace);
    all
}

fn project(inner: &Inner, namespace: &Namespace) -> Value {
    json!({
        "project_id": namespace.id,
        "name": namespace.name,
        "metadata": {"public": namespace.is_public.to_string()},
        "repo_count": held(inner, &namespace.name).len(),
    })
}

fn member(namespace: &Namespace, member: &Member) -> Value {
    let (kind, name) = match member.principal.strip_prefix(GROUP) {
        Some(group) => ("g", group),
        None => ("u", member.principal.as_str()),
    };
    let (role_id, role_name) = role_of_actions(member.actions);
    json!({
        "id": member.id,
        "project_id": namespace.id,
        "entity_name": name,
        "entity_type": kind,
        "role_id": role_id,
        "role_name": role_name,
    })
}

/// Harbor's roles: 1 project admin, 2 developer, 3 guest, 4 maintainer,
/// 5 limited guest.
fn actions_of_role(role: u8) -> Result<Actions, Failure> {
    match role {
        1 | 4 => Ok(Actions::ALL),
        2 => Ok(Actions::PUSH),
        3 | 5 => Ok(Actions::PULL),
        _ => {
            let message = format!("there is no role {role}; use 1 to 5");
            Err(Failure(StatusCode::BAD_REQUEST, "BAD_REQUEST", message))
        }
    }
}

fn role_of_actions(actions: Actions) -> (u8, &'static str) {
    if actions.delete {
        (4, "maintainer")
    } else if actions.push {
        (2, "developer")
    } else {
        (3, "guest")
    }
}
