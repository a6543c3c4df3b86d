//! Files: read them, and change one or many in exactly one commit.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::browse::{readable, resolve, show_commit};
use super::{Anyone, ApiError, Input, Known, Reply, reply};
use crate::Inner;
use crate::access::{self, Caller};
use crate::git::quarantine::Quarantine;
use crate::git::read::TreeEntry;
use crate::git::write::{Draft, Edit, Person, make_commit};
use crate::git::{self, Repository};
use crate::merge::{seconds_of, zone_of};
use crate::names;
use crate::push::{self, Change, PushError};
use crate::records::*;

/// How often a change is tried again when pushes move the branch meanwhile.
const ATTEMPTS: usize = 5;

pub fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route(
            "/repos/{owner}/{repo}/contents",
            get(root).post(change_many),
        )
        .route("/repos/{owner}/{repo}/contents/", get(root))
        .route(
            "/repos/{owner}/{repo}/contents/{*path}",
            get(read).post(create).put(update).delete(remove),
        )
}

type App = State<Arc<Inner>>;
type RestPath = Path<(String, String, String)>;

#[derive(Deserialize)]
struct AtRef {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

fn show_entry(
    inner: &Inner,
    record: &RepoRecord,
    commit: &str,
    entry: &TreeEntry,
    content: Option<&[u8]>,
) -> Value {
    let base = inner.base_url();
    let name = record.full_name();
    let path = percent_encoding::utf8_percent_encode(&entry.path, PATH).to_string();
    let kind = match (entry.kind.as_str(), entry.mode.as_str()) {
        ("tree", _) => "dir",
        ("commit", _) => "submodule",
        (_, "120000") => "symlink",
        _ => "file",
    };
    let area = if kind == "dir" { "trees" } else { "blobs" };
    let url = format!("{base}/api/v1/repos/{name}/contents/{path}?ref={commit}");
    let git_url = format!("{base}/api/v1/repos/{name}/git/{area}/{}", entry.id);
    let html = format!("{base}/{name}/src/commit/{commit}/{path}");
    let raw = format!("{base}/api/v1/repos/{name}/raw/{path}?ref={commit}");
    json!({
        "name": entry.path.rsplit('/').next(), "path": entry.path, "sha": entry.id,
        "type": kind, "size": entry.size.unwrap_or(0),
        "encoding": content.map(|_| "base64"), "content": content.map(|bytes| BASE64.encode(bytes)),
        "target": null, "url": url, "html_url": html, "git_url": git_url,
        "download_url": (kind == "file").then_some(raw), "submodule_git_url": null,
        "_links": {"self": url, "git": git_url, "html": html},
    })
}

const PATH: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

async fn root(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo)): Path<(String, String)>,
    Query(query): Query<AtRef>,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let commit = resolve(
        &record,
        &git,
        query.reference.as_deref().unwrap_or_default(),
    )
    .await?;
    let entries = git.tree(&commit, false).await?;
    let items: Vec<Value> = entries
        .iter()
        .map(|entry| show_entry(&inner, &record, &commit, entry, None))
        .collect();
    reply(200, json!(items))
}

async fn read(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, path)): RestPath,
    Query(query): Query<AtRef>,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let commit = resolve(
        &record,
        &git,
        query.reference.as_deref().unwrap_or_default(),
    )
    .await?;
    let path = path.trim_end_matches('/');
    names::check_path(path).map_err(|_| ApiError::missing())?;
    let entry = git
        .entry(&commit, path)
        .await?
        .ok_or_else(ApiError::missing)?;
    if entry.kind == "tree" {
        let mut items = Vec::new();
        for mut child in git.tree(&entry.id, false).await? {
            child.path = format!("{path}/{}", child.path);
            items.push(show_entry(&inner, &record, &commit, &child, None));
        }
        return reply(200, json!(items));
    }
    let content = if entry.kind == "blob" {
        Some(git.blob(&entry.id).await?)
    } else {
        None
    };
    reply(
        200,
        show_entry(&inner, &record, &commit, &entry, content.as_deref()),
    )
}

#[derive(Debug, Default, Clone, Deserialize)]
struct PersonInput {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

#[derive(Debug, Default, Clone, Deserialize)]
struct Dates {
    author: Option<String>,
    committer: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct FileInput {
    operation: String,
    path: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    sha: String,
    #[serde(default)]
    from_path: String,
}

/// Gitea's options for any change of files.
#[derive(Debug, Default, Clone, Deserialize)]
struct ChangeInput {
    #[serde(default)]
    branch: String,
    #[serde(default)]
    new_branch: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    author: PersonInput,
    #[serde(default)]
    committer: PersonInput,
    #[serde(default)]
    dates: Dates,
    #[serde(default)]
    signoff: bool,
    #[serde(default)]
    files: Vec<FileInput>,
}

#[derive(Deserialize)]
struct OneInput {
    #[serde(flatten)]
    change: ChangeInput,
    #[serde(default)]
    content: String,
    #[serde(default)]
    sha: String,
    #[serde(default)]
    from_path: String,
}

/// What a change made.
struct Made {
    commit: String,
    record: RepoRecord,
    branch_tree: HashMap<String, TreeEntry>,
}

async fn change_many(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo)): Path<(String, String)>,
    Input(input): Input<ChangeInput>,
) -> Reply {
    let paths: Vec<String> = input.files.iter().map(|file| file.path.clone()).collect();
    let made = change(&inner, &caller, &owner, &repo, input).await?;
    let git = inner.git(&made.record);
    let mut files = Vec::new();
    for path in &paths {
        files.push(
            made.branch_tree
                .get(path)
                .map(|entry| show_entry(&inner, &made.record, &made.commit, entry, None)),
        );
    }
    let commit = shown_commit(&inner, &made, &git).await?;
    reply(
        201,
        json!({"files": files, "commit": commit, "verification": null}),
    )
}

async fn shown_commit(inner: &Inner, made: &Made, git: &Repository) -> Result<Value, ApiError> {
    let commit = git
        .commit(&made.commit)
        .await?
        .ok_or_else(ApiError::missing)?;
    let mut value = show_commit(inner, &made.record, git, &commit, false).await?;
    // Gitea writes file commits flat: the inner object's fields beside the sha.
    if let Some(object) = value.as_object_mut()
        && let Some(Value::Object(inside)) = object.remove("commit")
    {
        object.extend(inside);
    }
    Ok(value)
}

async fn one(
    inner: &Inner,
    caller: &Caller,
    (owner, repo, path): (String, String, String),
    input: OneInput,
    operation: &str,
    status: u16,
) -> Reply {
    let OneInput {
        mut change,
        content,
        sha,
        from_path,
    } = input;
    if change.message.is_empty() {
        let verb = match operation {
            "create" => "Add",
            "delete" => "Delete",
            _ => "Update",
        };
        change.message = format!("{verb} {path}");
    }
    change.files = vec![FileInput {
        operation: operation.to_owned(),
        path: path.clone(),
        content,
        sha,
        from_path,
    }];
    let made = self::change(inner, caller, &owner, &repo, change).await?;
    let git = inner.git(&made.record);
    let entry = made
        .branch_tree
        .get(&path)
        .map(|entry| show_entry(inner, &made.record, &made.commit, entry, None));
    let commit = shown_commit(inner, &made, &git).await?;
    reply(
        status,
        json!({"content": entry, "commit": commit, "verification": null}),
    )
}

async fn create(
    State(inner): App,
    Known(caller): Known,
    Path(path): RestPath,
    Input(input): Input<OneInput>,
) -> Reply {
    one(&inner, &caller, path, input, "create", 201).await
}

async fn update(
    State(inner): App,
    Known(caller): Known,
    Path(path): RestPath,
    Input(input): Input<OneInput>,
) -> Reply {
    // Without a sha Gitea takes the file for a new one.
    if input.sha.is_empty() {
        return one(&inner, &caller, path, input, "create", 201).await;
    }
    one(&inner, &caller, path, input, "update", 200).await
}

async fn remove(
    State(inner): App,
    Known(caller): Known,
    Path(path): RestPath,
    Input(input): Input<OneInput>,
) -> Reply {
    if input.sha.is_empty() {
        return Err(ApiError::new(422, "[SHA]: Required"));
    }
    one(&inner, &caller, path, input, "delete", 200).await
}

/// The first commit of a repository made with `auto_init`.
pub async fn first_commit(
    inner: &Inner,
    caller: &Caller,
    repo: &RepoRecord,
) -> Result<(), ApiError> {
    let readme = format!("# {}\n\n{}\n", repo.name, repo.description);
    let file = FileInput {
        operation: "create".to_owned(),
        path: "README.md".to_owned(),
        content: BASE64.encode(readme.trim_end().to_owned() + "\n"),
        sha: String::new(),
        from_path: String::new(),
    };
    let input = ChangeInput {
        message: "Initial commit".to_owned(),
        files: vec![file],
        ..ChangeInput::default()
    };
    change(inner, caller, &repo.owner, &repo.name, input)
        .await
        .map(|_| ())
}

async fn change(
    inner: &Inner,
    caller: &Caller,
    owner: &str,
    repo: &str,
    input: ChangeInput,
) -> Result<Made, ApiError> {
    let record = access::repository(inner, Some(caller), owner, repo, Permission::Write)?;
    if input.files.is_empty() {
        return Err(ApiError::new(422, "a change needs at least one file"));
    }
    let from = if input.branch.is_empty() {
        record.default_branch.clone()
    } else {
        input.branch.clone()
    };
    let to = if input.new_branch.is_empty() {
        from.clone()
    } else {
        input.new_branch.clone()
    };
    names::check_branch(&from)?;
    names::check_branch(&to)?;
    let locks = inner.locks(record.id);
    let _edit = locks.edit.lock().await;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match attempt(inner, caller, &record, &input, &from, &to).await {
            Ok(made) => return Ok(made),
            Err(Attempt::Moved(error)) => last = Some(ApiError::from(error)),
            Err(Attempt::Final(error)) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| ApiError::new(409, "the branch moved meanwhile; try again")))
}

enum Attempt {
    Moved(PushError),
    Final(ApiError),
}

impl<E: Into<ApiError>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

async fn attempt(
    inner: &Inner,
    caller: &Caller,
    record: &RepoRecord,
    input: &ChangeInput,
    from: &str,
    to: &str,
) -> Result<Made, Attempt> {
    let git = inner.git(record);
    let target = format!("refs/heads/{to}");
    let base = git.reference(&format!("refs/heads/{from}")).await?;
    let old = if to == from {
        base.clone()
    } else {
        git.reference(&target).await?
    };
    if base.is_none() && !git.is_empty() {
        return Err(ApiError::new(404, format!("branch does not exist [name: {from}]")).into());
    }
    if to != from && old.is_some() {
        return Err(ApiError::new(422, format!("branch already exists [name: {to}]")).into());
    }
    let mut tree: HashMap<String, TreeEntry> = HashMap::new();
    if let Some(base) = &base {
        for entry in git.tree(base, true).await? {
            tree.insert(entry.path.clone(), entry);
        }
    }
    let edits = plan_edits(&git, &mut tree, &input.files).await?;
    let (author, committer) = people(caller, input);
    let mut message = input.message.clone();
    if message.trim().is_empty() {
        message = format!("Change {} files", input.files.len());
    }
    if input.signoff {
        message = format!(
            "{}\n\nSigned-off-by: {} <{}>",
            message.trim_end(),
            committer.name,
            committer.email
        );
    }
    let quarantine = Quarantine::open(&inner.quarantine_directory(), &git)?;
    let draft = Draft {
        parent: base.clone(),
        author,
        committer,
        message,
        edits,
    };
    let commit = make_commit(&quarantine, &draft).await?;
    let view = quarantine.view(&git);
    let entries = view.tree(&commit, true).await?;
    let branch_tree = entries
        .into_iter()
        .map(|entry| (entry.path.clone(), entry))
        .collect();
    let update = RefUpdate {
        name: target,
        old: old.unwrap_or_else(|| git::ZERO.to_owned()),
        new: commit.clone(),
    };
    let change = Change {
        repo: record,
        caller,
        updates: vec![update],
        merge: None,
    };
    match push::apply(inner, change, quarantine).await {
        Ok(_) => Ok(Made {
            commit,
            record: record.clone(),
            branch_tree,
        }),
        Err(error @ PushError::Moved(_)) => Err(Attempt::Moved(error)),
        Err(error) => Err(error.into()),
    }
}

/// Compares what the client believes with what is there, and gives the edits.
async fn plan_edits(
    git: &Repository,
    tree: &mut HashMap<String, TreeEntry>,
    files: &[FileInput],
) -> Result<Vec<Edit>, ApiError> {
    let mut edits = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for file in files {
        names::check_path(&file.path)?;
        let path = &file.path;
        if !seen.insert(path.clone()) {
            return Err(ApiError::new(
                422,
                format!("{path} is named twice in one change"),
            ));
        }
        let source = if file.from_path.is_empty() {
            path
        } else {
            &file.from_path
        };
        let found = tree.get(source).cloned();
        let content = || {
            BASE64.decode(file.content.as_bytes()).map_err(|error| {
                ApiError::new(422, format!("the content of {path} is not base64: {error}"))
            })
        };
        match file.operation.as_str() {
            "create" => {
                if found.is_some() {
                    return Err(ApiError::new(
                        422,
                        format!("repository file already exists [path: {path}]"),
                    ));
                }
                let content = content()?;
                place(tree, path)?;
                edits.push(Edit::Put {
                    path: path.clone(),
                    mode: "100644".to_owned(),
                    content,
                });
            }
            operation @ ("update" | "rename" | "delete") => {
                let missing = || {
                    ApiError::new(
                        404,
                        format!("repository file does not exist [path: {source}]"),
                    )
                };
                let found = found
                    .filter(|entry| entry.kind != "tree")
                    .ok_or_else(missing)?;
                if file.sha.is_empty() && operation != "rename" {
                    return Err(ApiError::new(
                        422,
                        format!("the sha of {source} is required"),
                    ));
                }
                if !file.sha.is_empty() && file.sha != found.id {
                    let text = format!(
                        "sha does not match [given: {}, expected: {}]",
                        file.sha, found.id
                    );
                    return Err(ApiError::new(422, text));
                }
                if operation == "delete" {
                    tree.remove(source);
                    edits.push(Edit::Remove {
                        path: source.clone(),
                    });
                    continue;
                }
                let keep = operation == "rename" && file.content.is_empty();
                let content = if keep {
                    git.blob(&found.id).await?
                } else {
                    content()?
                };
                if source != path {
                    if tree.contains_key(path) {
                        return Err(ApiError::new(
                            422,
                            format!("repository file already exists [path: {path}]"),
                        ));
                    }
                    tree.remove(source);
                    edits.push(Edit::Remove {
                        path: source.clone(),
                    });
                    place(tree, path)?;
                }
                edits.push(Edit::Put {
                    path: path.clone(),
                    mode: found.mode,
                    content,
                });
            }
            other => {
                let text = format!("operation {other:?} is not create, update, rename or delete");
                return Err(ApiError::new(422, text));
            }
        }
    }
    Ok(edits)
}

/// Takes a place for a new file; a file cannot lie inside another file.
fn place(tree: &mut HashMap<String, TreeEntry>, path: &str) -> Result<(), ApiError> {
    for (at, _) in path.match_indices('/') {
        let parent = path.get(..at).unwrap_or_default();
        if tree.get(parent).is_some_and(|entry| entry.kind != "tree") {
            return Err(ApiError::new(
                422,
                format!("{parent} is a file; {path} cannot lie in it"),
            ));
        }
    }
    let (mode, kind) = ("100644".to_owned(), "blob".to_owned());
    let entry = TreeEntry {
        mode,
        kind,
        id: String::new(),
        size: None,
        path: path.to_owned(),
    };
    tree.insert(path.to_owned(), entry);
    Ok(())
}

fn people(caller: &Caller, input: &ChangeInput) -> (Person, Person) {
    let now = Timestamp::now().as_second();
    let (given_author, given_committer) = (&input.author, &input.committer);
    let person = |first: &PersonInput, second: &PersonInput, date: Option<&String>| {
        let chosen = [first, second]
            .into_iter()
            .find(|person| !person.email.is_empty());
        let (mut name, email) = chosen.map_or_else(
            || (shown_name(&caller.user), caller.user.email.clone()),
            |person| (person.name.clone(), person.email.clone()),
        );
        if name.trim().is_empty() {
            name.clone_from(&email);
        }
        let (seconds, zone) = date
            .filter(|date| date.parse::<Timestamp>().is_ok())
            .map_or((now, "+0000".to_owned()), |date| {
                (seconds_of(date), zone_of(date))
            });
        Person {
            name,
            email,
            seconds,
            zone,
        }
    };
    (
        person(given_author, given_committer, input.dates.author.as_ref()),
        person(
            given_committer,
            given_author,
            input.dates.committer.as_ref(),
        ),
    )
}

/// The name under which a user's commits are made.
pub fn shown_name(user: &UserRecord) -> String {
    if user.full_name.trim().is_empty() {
        user.name.clone()
    } else {
        user.full_name.clone()
    }
}
