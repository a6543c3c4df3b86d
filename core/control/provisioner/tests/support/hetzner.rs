//! A server that speaks the shapes of Hetzner's API, for parsing and decisions only:
//! it creates nothing and stands for no cloud.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use url::Url;

pub const TOKEN: &str = "canary-hetzner-0a1b2c3d4e";

/// What the project has, by kind.
#[derive(Clone, Default)]
pub struct Project {
    pub lists: BTreeMap<String, Vec<Value>>,
    /// The token's rights: "write", "read" or "none".
    pub rights: &'static str,
}

#[derive(Clone)]
struct Shared {
    project: Arc<Project>,
    calls: Arc<Mutex<Vec<String>>>,
}

pub struct Server {
    pub address: Url,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Method and path of each request.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Project {
    /// A project with nothing in it, and what Hetzner offers.
    pub fn empty() -> Self {
        let at = |name: &str| json!({"id": 1, "name": name, "available": true, "recommended": true, "deprecation": null});
        let mut project = Self {
            rights: "write",
            ..Self::default()
        };
        let server_type = |name: &str, cores: u16, places: &[&str]| json!({"id": 1, "name": name, "architecture": if name.starts_with("cax") { "arm" } else { "x86" }, "cores": cores, "locations": places.iter().map(|it| at(it)).collect::<Vec<_>>()});
        let image = |id: u64, name: &str, architecture: &str, deprecated: Value| json!({"id": id, "name": name, "type": "system", "status": "available", "architecture": architecture, "deprecated": deprecated});
        for (kind, items) in [
            (
                "server_types",
                vec![
                    server_type("cx33", 4, &["fsn1", "nbg1"]),
                    server_type("cx43", 8, &["fsn1"]),
                    server_type("cpx32", 4, &["ash"]),
                    server_type("cax21", 4, &["fsn1"]),
                ],
            ),
            (
                "locations",
                vec![
                    json!({"name": "fsn1"}),
                    json!({"name": "nbg1"}),
                    json!({"name": "ash"}),
                ],
            ),
            (
                "load_balancer_types",
                vec![
                    json!({"name": "lb11", "prices": [{"location": "fsn1"}, {"location": "nbg1"}, {"location": "ash"}]}),
                    json!({"name": "lb21", "prices": [{"location": "ash"}]}),
                ],
            ),
            (
                "images",
                vec![
                    image(114, "ubuntu-24.04", "x86", Value::Null),
                    image(115, "ubuntu-24.04", "arm", Value::Null),
                    image(116, "debian-12", "x86", Value::Null),
                    image(117, "ubuntu-20.04", "x86", json!("2025-05-31T00:00:00Z")),
                    image(118, "rocky-9", "x86", Value::Null),
                ],
            ),
            ("zones", vec![json!({"name": "pool.example"})]),
        ] {
            project.lists.insert(kind.to_owned(), items);
        }
        project
    }

    pub fn with(mut self, kind: &str, items: impl IntoIterator<Item = Value>) -> Self {
        self.lists.entry(kind.to_owned()).or_default().extend(items);
        self
    }

    pub async fn serve(self) -> Server {
        // Another test of this process may have installed it.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared {
            project: Arc::new(self),
            calls: calls.clone(),
        };
        let router = axum::Router::new()
            .route("/v1/{kind}", get(list).post(create))
            .route("/v1/{kind}/{id}", get(one))
            .route("/v1/zones/{zone}/rrsets", get(records))
            .with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Server {
            address: address.parse().unwrap(),
            calls,
        }
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> (StatusCode, Json<Value>) {
    (
        status,
        Json(json!({"error": {"code": code, "message": message}})),
    )
}

fn signed_in(shared: &Shared, headers: &HeaderMap) -> Result<(), (StatusCode, Json<Value>)> {
    let given = headers.get("authorization").and_then(|it| it.to_str().ok());
    if shared.project.rights == "none" || given != Some(&format!("Bearer {TOKEN}")) {
        return Err(refusal(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "unable to authenticate",
        ));
    }
    Ok(())
}

async fn list(
    State(shared): State<Shared>,
    Path(kind): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    shared.calls.lock().unwrap().push(format!("GET /{kind}"));
    if let Err(refused) = signed_in(&shared, &headers) {
        return refused;
    }
    let all = shared.project.lists.get(&kind).cloned().unwrap_or_default();
    let number = |name: &str| query[name].parse::<usize>().unwrap();
    let (page, size) = (number("page"), number("per_page"));
    // As Hetzner's: what is to be withdrawn is among them for who asks for it.
    let is_whole = query
        .get("include_deprecated")
        .is_some_and(|it| it == "true");
    let is_shown = |item: &&Value| is_whole || item.get("deprecated").is_none_or(Value::is_null);
    let all: Vec<&Value> = all.iter().filter(is_shown).collect();
    let items: Vec<Value> = all
        .iter()
        .skip((page - 1) * size)
        .take(size)
        .map(|item| (*item).clone())
        .collect();
    let next = (page * size < all.len()).then_some(page + 1);
    let meta = json!({"pagination": {"page": page, "per_page": size, "next_page": next, "total_entries": all.len()}});
    (StatusCode::OK, Json(json!({kind: items, "meta": meta})))
}

/// Record sets, all of which are of the one zone.
async fn records(
    shared: State<Shared>,
    Path(_zone): Path<String>,
    query: Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    list(shared, Path("rrsets".to_owned()), query, headers).await
}

async fn one(
    State(shared): State<Shared>,
    Path((kind, id)): Path<(String, u64)>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let call = format!("GET /{kind}/{id}");
    shared.calls.lock().unwrap().push(call);
    if let Err(refused) = signed_in(&shared, &headers) {
        return refused;
    }
    let all = shared.project.lists.get(&kind);
    let found = all.and_then(|all| all.iter().find(|item| item["id"] == id));
    match found {
        // Hetzner names it by the kind in the singular.
        Some(item) => (
            StatusCode::OK,
            Json(json!({ kind.trim_end_matches('s'): item })),
        ),
        None => refusal(StatusCode::NOT_FOUND, "not_found", "not found"),
    }
}

async fn create(
    State(shared): State<Shared>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    shared
        .calls
        .lock()
        .unwrap()
        .push(format!("POST /{kind} {body}"));
    if let Err(refused) = signed_in(&shared, &headers) {
        return refused;
    }
    if shared.project.rights == "read" {
        return refusal(
            StatusCode::FORBIDDEN,
            "token_readonly",
            "token is only allowed to perform GET requests",
        );
    }
    refusal(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_input",
        "invalid input in fields 'name', 'public_key'",
    )
}
