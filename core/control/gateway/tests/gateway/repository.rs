//! The repository of acme-dev, as far as the write side uses it: commits, branches
//! and pull requests, in Gitea's shapes.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_ports::blob_id;
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::Shared;

const REPOSITORY: &str = "/git/api/v1/repos/acme/acme-dev";

/// Commits in the order of their making, and at which of them branches stand.
#[derive(Default)]
pub struct Repository {
    commits: Vec<Commit>,
    branches: BTreeMap<String, usize>,
    /// What becomes of a pull request that somebody opens.
    pub opening: Opening,
}

/// What becomes of what is asked for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Opening {
    /// It is done, and said so.
    #[default]
    Done,
    /// It is done, and the answer is lost.
    Unheard,
    /// It fails.
    Failed,
}

struct Commit {
    parent: Option<usize>,
    message: String,
    author: String,
    files: BTreeMap<String, String>,
}

impl Repository {
    /// Makes a branch where `main` stands.
    pub fn branch(&mut self, name: &str) {
        let main = self.branches["main"];
        self.branches.insert(name.to_owned(), main);
    }

    /// The names of its branches.
    pub fn branches(&self) -> Vec<&str> {
        self.branches.keys().map(String::as_str).collect()
    }

    /// Commits to a branch, which begins where `main` stands; a text of `None`
    /// removes the file. Returns the commit's id.
    pub fn commit(
        &mut self,
        branch: &str,
        author: &str,
        message: &str,
        changes: &[(&str, Option<&str>)],
    ) -> String {
        let branches = &self.branches;
        let parent = branches.get(branch).or_else(|| branches.get("main"));
        let parent = parent.copied();
        let mut files = match parent {
            Some(parent) => self.commits[parent].files.clone(),
            None => BTreeMap::new(),
        };
        for (path, text) in changes {
            match text {
                Some(text) => files.insert((*path).to_owned(), (*text).to_owned()),
                None => files.remove(*path),
            };
        }
        let number = self.commits.len();
        self.commits.push(Commit {
            parent,
            message: message.to_owned(),
            author: author.to_owned(),
            files,
        });
        self.branches.insert(branch.to_owned(), number);
        id_of(number)
    }

    /// The commit that a branch or an id names.
    fn find(&self, reference: &str) -> Option<usize> {
        let by_id = || (0..self.commits.len()).find(|number| id_of(*number) == reference);
        self.branches.get(reference).copied().or_else(by_id)
    }

    fn history(&self, head: usize) -> BTreeSet<usize> {
        std::iter::successors(Some(head), |number| self.commits[*number].parent).collect()
    }

    fn branch_shape(&self, name: &str, number: usize) -> Value {
        let commit = &self.commits[number];
        json!({"name": name, "commit": {
            "id": id_of(number), "message": commit.message, "timestamp": "2026-01-01T00:00:00Z",
            "author": {"name": commit.author, "email": ""},
        }})
    }
}

fn id_of(number: usize) -> String {
    format!("{:040x}", number + 1)
}

/// Where the repository and its pull requests are served.
pub fn router(parts: Shared) -> Router {
    Router::new()
        .route(&format!("{REPOSITORY}/branches"), get(branches))
        .route(
            &format!("{REPOSITORY}/branches/{{*branch}}"),
            get(branch).delete(branch_delete),
        )
        .route(&format!("{REPOSITORY}/compare/{{*range}}"), get(compare))
        .route(&format!("{REPOSITORY}/git/trees/{{reference}}"), get(tree))
        .route(&format!("{REPOSITORY}/git/commits/{{id}}"), get(commit))
        .route(&format!("{REPOSITORY}/contents"), post(change))
        .route(&format!("{REPOSITORY}/contents/{{*file}}"), get(file))
        .route(&format!("{REPOSITORY}/pulls"), get(pulls).post(open))
        .with_state(parts)
}

fn found(value: Option<Value>) -> Response {
    match value {
        Some(value) => Json(value).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn branches(State(parts): State<Shared>) -> Json<Value> {
    let parts = parts.lock().unwrap();
    let repository = &parts.repository;
    let shapes = repository.branches.iter();
    Json(
        shapes
            .map(|(name, number)| repository.branch_shape(name, *number))
            .collect(),
    )
}

async fn branch(State(parts): State<Shared>, Path(name): Path<String>) -> Response {
    let parts = parts.lock().unwrap();
    let repository = &parts.repository;
    let number = repository.branches.get(&name);
    found(number.map(|number| repository.branch_shape(&name, *number)))
}

async fn branch_delete(State(parts): State<Shared>, Path(name): Path<String>) -> StatusCode {
    let mut parts = parts.lock().unwrap();
    match parts.repository.branches.remove(&name) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn compare(State(parts): State<Shared>, Path(range): Path<String>) -> Response {
    let parts = parts.lock().unwrap();
    let repository = &parts.repository;
    let (base, head) = range.split_once("...").unwrap();
    let commits = repository.find(base).zip(repository.find(head));
    found(commits.map(|(base, head)| {
        let base = repository.history(base);
        let ahead = repository.history(head).difference(&base).count();
        json!({"total_commits": ahead})
    }))
}

async fn tree(State(parts): State<Shared>, Path(reference): Path<String>) -> Response {
    let parts = parts.lock().unwrap();
    let repository = &parts.repository;
    found(repository.find(&reference).map(|number| {
        let files = repository.commits[number].files.iter();
        let entries: Vec<Value> = files
            .map(|(path, text)| {
                json!({"path": path, "type": "blob", "sha": blob_id(text.as_bytes()), "size": 1})
            })
            .collect();
        json!({"sha": reference, "tree": entries, "truncated": false})
    }))
}

async fn commit(State(parts): State<Shared>, Path(id): Path<String>) -> Response {
    let parts = parts.lock().unwrap();
    let repository = &parts.repository;
    found(repository.find(&id).map(|number| {
        let commit = &repository.commits[number];
        let parents: Vec<Value> = commit
            .parent
            .iter()
            .map(|parent| json!({"sha": id_of(*parent)}))
            .collect();
        json!({"sha": id, "parents": parents, "commit": {
            "message": commit.message, "author": {"name": commit.author, "email": ""},
            "committer": {"date": "2026-01-01T00:00:00Z"},
        }})
    }))
}

async fn file(
    State(parts): State<Shared>,
    Path(path): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let parts = parts.lock().unwrap();
    let repository = &parts.repository;
    let text = repository
        .find(&query["ref"])
        .and_then(|number| repository.commits[number].files.get(&path));
    found(text.map(|text| {
        json!({"type": "file", "sha": blob_id(text.as_bytes()), "content": STANDARD.encode(text)})
    }))
}

async fn change(State(parts): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let words = |name: &str| body[name].as_str().unwrap();
    let changes: Vec<(String, Option<String>)> = body["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let text = file["content"].as_str().map(|content| {
                let bytes = STANDARD.decode(content).unwrap();
                String::from_utf8(bytes).unwrap()
            });
            (file["path"].as_str().unwrap().to_owned(), text)
        })
        .collect();
    let changes: Vec<(&str, Option<&str>)> = changes
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_deref()))
        .collect();
    let branch = match words("new_branch") {
        "" => words("branch"),
        new => new,
    };
    let author = body["author"]["name"].as_str().unwrap();
    let mut parts = parts.lock().unwrap();
    let id = parts
        .repository
        .commit(branch, author, words("message"), &changes);
    (StatusCode::CREATED, Json(json!({"commit": {"sha": id}})))
}

async fn pulls(
    State(parts): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let parts = parts.lock().unwrap();
    let wanted = query.get("state").filter(|state| *state != "all");
    let newest_first = parts.pulls.values().rev();
    let shown = newest_first.filter(|pull| wanted.is_none_or(|state| pull["state"] == *state));
    Json(shown.cloned().collect())
}

async fn open(
    State(parts): State<Shared>,
    headers: http::HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut parts = parts.lock().unwrap();
    let lost = (StatusCode::BAD_GATEWAY, Json(Value::Null));
    let opening = parts.repository.opening;
    if opening == Opening::Failed {
        return lost;
    }
    let head = body["head"].as_str().unwrap();
    let sha = id_of(parts.repository.branches[head]);
    let number = u64::try_from(parts.pulls.len()).unwrap() + 1;
    let pull = json!({
        "number": number, "title": body["title"], "body": body["body"],
        "user": {"login": headers["sudo"].to_str().unwrap()},
        "created_at": "2026-01-01T00:00:00Z", "state": "open", "merged": false,
        "mergeable": true, "base": {"ref": body["base"]}, "head": {"ref": head, "sha": sha},
    });
    parts.pulls.insert(number, pull.clone());
    match opening {
        Opening::Unheard => lost,
        _ => (StatusCode::CREATED, Json(pull)),
    }
}
