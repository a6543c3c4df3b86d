//! The forge of the small world: the Sovereign's configuration, and the pull requests
//! and collaborators of acme-dev.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::Server;

pub fn routes() -> Router<Server> {
    Router::new()
        .route(
            "/git/api/v1/repos/system/catalyst-config/branches/main",
            get(configuration_head),
        )
        .route(
            "/git/api/v1/repos/system/catalyst-config/git/trees/{head}",
            get(configuration_tree),
        )
        .route(
            "/git/api/v1/repos/system/catalyst-config/contents",
            post(configuration_commit),
        )
        .route(
            "/git/api/v1/repos/system/catalyst-config/contents/{*file}",
            get(configuration_file),
        )
        .route("/git/api/v1/users/{user}", get(forge_user))
        .route(
            "/git/api/v1/repos/acme/acme-dev/pulls/{number}",
            get(pull).patch(pull_edit),
        )
        .route(
            "/git/api/v1/repos/acme/acme-dev/pulls/{number}/reviews",
            get(pull_reviews),
        )
        .route(
            "/git/api/v1/repos/acme/acme-dev/collaborators",
            get(collaborators),
        )
        .route(
            "/git/api/v1/repos/acme/acme-dev/collaborators/{user}",
            put(collaborator_add).delete(collaborator_remove),
        )
}

async fn configuration_head(State(server): State<Server>) -> Response {
    if server.parts.lock().unwrap().has_configuration {
        Json(json!({"name": "main", "commit": {"id": "first"}})).into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

async fn configuration_tree(State(server): State<Server>) -> Json<Value> {
    let parts = server.parts.lock().unwrap();
    let files = parts.files.keys();
    let tree: Vec<Value> = files
        .map(|path| json!({"path": path, "type": "blob", "sha": path, "size": 1}))
        .collect();
    Json(json!({"sha": "first", "tree": tree, "truncated": false}))
}

async fn configuration_file(State(server): State<Server>, Path(file): Path<String>) -> Response {
    let found = server.parts.lock().unwrap().files.get(&file).cloned();
    match found {
        Some(text) => {
            let content = STANDARD.encode(text);
            Json(json!({"type": "file", "sha": file, "content": content})).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn forge_user(Path(user): Path<String>) -> Json<Value> {
    Json(json!({"login": user}))
}

async fn pull(State(server): State<Server>, Path(number): Path<u64>) -> Response {
    let found = server.parts.lock().unwrap().pulls.get(&number).cloned();
    match found {
        Some(pull) => Json(pull).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Whom neither the Organization's teams nor anybody let in is told that nothing is there.
async fn pull_edit(
    State(server): State<Server>,
    Path(number): Path<u64>,
    headers: http::HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let held = server.parts.lock().unwrap().held.get(&number).cloned();
    if let Some(held) = held {
        server.parts.lock().unwrap().asked.insert(number);
        held.notified().await;
    }
    let mut parts = server.parts.lock().unwrap();
    let user = headers["sudo"].to_str().unwrap().to_owned();
    let members = &parts.organizations["acme"];
    let is_member = members.iter().any(|member| member["user"] == user.as_str());
    if !is_member && !parts.let_in.contains(&user) {
        return StatusCode::NOT_FOUND.into_response();
    }
    parts.closers.push(user);
    let pull = parts.pulls.get_mut(&number).unwrap();
    pull["state"] = body["state"].clone();
    (StatusCode::CREATED, Json(pull.clone())).into_response()
}

async fn collaborators(State(server): State<Server>) -> Json<Value> {
    let parts = server.parts.lock().unwrap();
    Json(
        parts
            .let_in
            .iter()
            .map(|user| json!({"login": user}))
            .collect(),
    )
}

async fn collaborator_add(State(server): State<Server>, Path(user): Path<String>) -> StatusCode {
    server.parts.lock().unwrap().let_in.insert(user);
    StatusCode::NO_CONTENT
}

async fn collaborator_remove(State(server): State<Server>, Path(user): Path<String>) -> StatusCode {
    server.parts.lock().unwrap().let_in.remove(&user);
    StatusCode::NO_CONTENT
}

async fn pull_reviews() -> Json<Value> {
    Json(json!([]))
}

async fn configuration_commit(
    State(server): State<Server>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    server.parts.lock().unwrap().commits.push(body);
    let made = json!({"commit": {"sha": "second"}});
    (StatusCode::CREATED, Json(made))
}
