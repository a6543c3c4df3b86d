//! The vault of the small world: secrets of the mount `secret`, one version each.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::Server;

pub fn routes() -> Router<Server> {
    Router::new()
        .route(
            "/vault/v1/secret/data/{*path}",
            post(secret_write).get(secret_read),
        )
        .route("/vault/v1/secret/metadata/{*path}", delete(secret_remove))
}

fn away(server: &Server) -> Option<Response> {
    let mut parts = server.parts.lock().unwrap();
    if parts.vault_is_up {
        return None;
    }
    parts.vault_refusals += 1;
    Some(StatusCode::SERVICE_UNAVAILABLE.into_response())
}

async fn secret_write(
    State(server): State<Server>,
    Path(path): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    if let Some(away) = away(&server) {
        return away;
    }
    let mut parts = server.parts.lock().unwrap();
    parts.secrets.insert(path, body["data"].clone());
    Json(json!({"data": {"version": 1}})).into_response()
}

async fn secret_read(State(server): State<Server>, Path(path): Path<String>) -> Response {
    if let Some(away) = away(&server) {
        return away;
    }
    match server.parts.lock().unwrap().secrets.get(&path) {
        Some(data) => {
            Json(json!({"data": {"data": data, "metadata": {"version": 1}}})).into_response()
        }
        None => (StatusCode::NOT_FOUND, Json(json!({"errors": []}))).into_response(),
    }
}

async fn secret_remove(State(server): State<Server>, Path(path): Path<String>) -> Response {
    if let Some(away) = away(&server) {
        return away;
    }
    server.parts.lock().unwrap().secrets.remove(&path);
    StatusCode::NO_CONTENT.into_response()
}
