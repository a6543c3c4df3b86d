//! Robot accounts: programs that pull or push with a secret of their own, in the
//! shape of Harbor's `/api/v2.0/robots`. Kept in the store under
//! `registry/robot/<name>`; of a secret only its SHA-256 is kept, which is
//! enough for secrets that are drawn, not chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use catalyst_store::{CommitError, Condition, Entry, Store, Transaction};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Inner;
use crate::access::Actions;
use crate::metadata::{read, write};
use crate::permissions::PermissionError;
use crate::projects::{Failure, Outcome};

const ROBOT: &str = "registry/robot/";
/// What every robot's user name starts with.
pub const PREFIX: &str = "robot$";
const SHORTEST_SECRET: usize = 16;

/// A robot as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    secret: String,
    /// Namespace to what may be done there.
    permissions: BTreeMap<String, Actions>,
}

/// Robots kept in this store.
#[derive(Clone)]
pub(crate) struct Robots {
    store: Store,
}

impl Robots {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Whether the robot of this user name has this secret.
    pub(crate) fn verify(&self, username: &str, secret: &str) -> bool {
        let known = self.record(username);
        let hash = known.as_ref().map_or_else(
            // Asked for all the same, so that the time tells nothing.
            || hash(""),
            |record| record.secret.clone(),
        );
        let is_same: bool = hash.as_bytes().ct_eq(self::hash(secret).as_bytes()).into();
        is_same && known.is_some()
    }

    /// What a robot may do in a namespace.
    pub(crate) fn actions(&self, username: &str, namespace: &str) -> Actions {
        self.record(username)
            .and_then(|record| record.permissions.get(namespace).copied())
            .unwrap_or_default()
    }

    fn record(&self, username: &str) -> Option<Record> {
        let name = username.strip_prefix(PREFIX)?;
        read(&self.store.get(key(name))?)
    }

    fn all(&self) -> Vec<(u64, String, Record)> {
        let page = self.store.range(ROBOT, None, 0);
        page.entries.iter().filter_map(parts).collect()
    }

    async fn put(&self, name: &str, record: &Record, is_new: bool) -> Result<(), Failure> {
        let condition = if is_new {
            Condition::Absent(key(name))
        } else {
            Condition::Present(key(name))
        };
        let transaction = Transaction::new()
            .when(condition)
            .put(key(name), write(record));
        match self.store.commit(transaction).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) if is_new => Err(Failure(
                StatusCode::CONFLICT,
                "CONFLICT",
                format!("there is a robot `{name}` already; change it instead"),
            )),
            Err(CommitError::Conflict { .. }) => Err(unknown()),
            Err(error) => Err(PermissionError::Store(error).into()),
        }
    }
}

fn parts(entry: &Entry) -> Option<(u64, String, Record)> {
    let name = std::str::from_utf8(&entry.key).ok()?.strip_prefix(ROBOT)?;
    Some((entry.created, name.to_owned(), read(entry)?))
}

fn key(name: &str) -> Bytes {
    format!("{ROBOT}{name}").into()
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// The routes; whoever merges them sees that administrators only get in.
pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/api/v2.0/robots", get(list).post(create))
        .route(
            "/api/v2.0/robots/{id}",
            get(show).put(update).patch(refresh).delete(remove),
        )
}

#[derive(Deserialize)]
struct RobotRequest {
    #[serde(default)]
    name: String,
    secret: Option<String>,
    #[serde(default)]
    permissions: Vec<Permission>,
}

#[derive(Deserialize)]
struct Permission {
    namespace: String,
    #[serde(default)]
    access: Vec<Access>,
}

#[derive(Deserialize)]
struct Access {
    resource: String,
    action: String,
}

#[derive(Deserialize)]
struct SecretRequest {
    #[serde(default)]
    secret: Option<String>,
}

async fn list(State(inner): State<Arc<Inner>>) -> Response {
    let all = inner.permissions.robots().all();
    let shown: Vec<_> = all
        .iter()
        .map(|(id, name, record)| robot(*id, name, record))
        .collect();
    ([("x-total-count", shown.len().to_string())], Json(shown)).into_response()
}

async fn create(State(inner): State<Arc<Inner>>, Json(request): Json<RobotRequest>) -> Outcome {
    let name = request.name.trim_start_matches(PREFIX).to_owned();
    if !crate::names::is_component(&name) {
        return Err(bad(format!(
            "`{name}` is not a robot's name; use lower-case letters, digits and single `.`, `_` or dashes between them"
        )));
    }
    let secret = secret_of(request.secret)?;
    let record = Record {
        secret: hash(&secret),
        permissions: permissions_of(&request.permissions)?,
    };
    let robots = inner.permissions.robots();
    robots.put(&name, &record, true).await?;
    let (id, _, _) = find(&robots, |_, known| known == name)?;
    Ok((
        StatusCode::CREATED,
        [(LOCATION, format!("/api/v2.0/robots/{id}"))],
        Json(json!({"id": id, "name": format!("{PREFIX}{name}"), "secret": secret})),
    )
        .into_response())
}

async fn show(State(inner): State<Arc<Inner>>, Path(id): Path<u64>) -> Outcome {
    let (id, name, record) = find(&inner.permissions.robots(), |known, _| known == id)?;
    Ok(Json(robot(id, &name, &record)).into_response())
}

async fn update(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<u64>,
    Json(request): Json<RobotRequest>,
) -> Outcome {
    let robots = inner.permissions.robots();
    let (_, name, mut record) = find(&robots, |known, _| known == id)?;
    record.permissions = permissions_of(&request.permissions)?;
    robots.put(&name, &record, false).await?;
    Ok(StatusCode::OK.into_response())
}

/// Gives a robot another secret: the one named, or a drawn one.
async fn refresh(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<u64>,
    Json(request): Json<SecretRequest>,
) -> Outcome {
    let robots = inner.permissions.robots();
    let (_, name, mut record) = find(&robots, |known, _| known == id)?;
    let secret = secret_of(request.secret)?;
    record.secret = hash(&secret);
    robots.put(&name, &record, false).await?;
    Ok(Json(json!({"secret": secret})).into_response())
}

async fn remove(State(inner): State<Arc<Inner>>, Path(id): Path<u64>) -> Outcome {
    let robots = inner.permissions.robots();
    let (_, name, _) = find(&robots, |known, _| known == id)?;
    let transaction = Transaction::new().delete(key(&name));
    robots
        .store
        .commit(transaction)
        .await
        .map_err(|error| Failure::from(PermissionError::Store(error)))?;
    Ok(StatusCode::OK.into_response())
}

fn find(
    robots: &Robots,
    is_it: impl Fn(u64, &str) -> bool,
) -> Result<(u64, String, Record), Failure> {
    let all = robots.all();
    all.into_iter()
        .find(|(id, name, _)| is_it(*id, name))
        .ok_or_else(unknown)
}

fn secret_of(given: Option<String>) -> Result<String, Failure> {
    match given.filter(|secret| !secret.is_empty()) {
        Some(secret) if secret.len() < SHORTEST_SECRET => Err(bad(format!(
            "a robot's secret has at least {SHORTEST_SECRET} characters"
        ))),
        Some(secret) => Ok(secret),
        None => Ok(format!(
            "{}{}",
            uuid::Uuid::new_v4().simple(),
            uuid::Uuid::new_v4().simple()
        )),
    }
}

fn permissions_of(asked: &[Permission]) -> Result<BTreeMap<String, Actions>, Failure> {
    let mut permissions = BTreeMap::<String, Actions>::new();
    for permission in asked {
        let mut actions = Actions::default();
        for access in &permission.access {
            actions = match (access.resource.as_str(), access.action.as_str()) {
                ("repository", "pull" | "list" | "read") => actions.with(Actions::PULL),
                ("repository", "push") => actions.with(Actions::PUSH),
                ("repository" | "artifact", "delete") => actions.with(Actions::ALL),
                (resource, action) => {
                    return Err(bad(format!(
                        "a robot cannot be allowed {action} {resource}"
                    )));
                }
            };
        }
        let held = permissions.entry(permission.namespace.clone()).or_default();
        *held = held.with(actions);
    }
    Ok(permissions)
}

fn robot(id: u64, name: &str, record: &Record) -> Value {
    let permissions: Vec<_> = record
        .permissions
        .iter()
        .map(|(namespace, actions)| {
            let mut access = Vec::new();
            for (action, held) in [
                ("pull", crate::Action::Pull),
                ("push", crate::Action::Push),
                ("delete", crate::Action::Delete),
            ] {
                if actions.allows(held) {
                    access.push(json!({"resource": "repository", "action": action}));
                }
            }
            json!({"kind": "project", "namespace": namespace, "access": access})
        })
        .collect();
    json!({
        "id": id, "name": format!("{PREFIX}{name}"), "level": "system", "duration": -1,
        "disable": false, "editable": true, "permissions": permissions,
    })
}

fn bad(message: String) -> Failure {
    Failure(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
}

fn unknown() -> Failure {
    Failure(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "there is no such robot".to_owned(),
    )
}
