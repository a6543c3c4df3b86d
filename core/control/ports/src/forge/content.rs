//! Files and commits of a repository.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Forge, PAGE, RepositoryId, path, text};
use crate::PortError;
use crate::http::{Answer, segment, segments};

/// A file in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Its path, without a leading slash.
    pub path: String,
    /// The object id of its content.
    pub sha: String,
    /// Its size in bytes.
    #[serde(default)]
    pub size: u64,
}

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// The bytes.
    pub content: Vec<u8>,
    /// Their object id.
    pub sha: String,
}

/// Who made a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
}

/// What happens to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path, without a leading slash.
    pub path: String,
    /// The new content; `None` removes the file.
    pub content: Option<Vec<u8>>,
}

/// A change of files, made as one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFiles {
    /// The branch that the change starts from, and goes to.
    pub branch: String,
    /// Goes to this new branch instead.
    pub new_branch: Option<String>,
    /// The commit at which the branch must stand.
    pub expected_head: Option<String>,
    /// The whole message, trailers included.
    pub message: String,
    /// Whose change it is.
    pub author: Person,
    /// Who commits it.
    pub committer: Person,
    /// The files.
    pub files: Vec<FileChange>,
}

/// Which commits are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitsQuery {
    /// A branch, tag or commit to go back from; the default branch if empty.
    pub reference: String,
    /// Only commits that touch this file or folder.
    pub path: Option<String>,
    /// How many, 50 at most.
    pub limit: usize,
    /// Which page, from 1.
    pub page: usize,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// The ids of its parents.
    pub parents: Vec<String>,
    /// Whose change it is.
    pub author: Person,
    /// When it was committed, RFC 3339.
    pub at: String,
    /// The whole message.
    pub message: String,
}

/// A branch, and the commit at which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its name, without `refs/heads/`.
    pub name: String,
    /// The commit's id.
    pub commit: String,
    /// Whose change the commit is.
    pub author: Person,
    /// When it was committed, RFC 3339.
    pub at: String,
    /// Its whole message.
    pub message: String,
}

#[derive(Deserialize)]
struct Tree {
    /// Gitea says `null` of a commit without files.
    tree: Option<Vec<TreeNode>>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct TreeNode {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    entry: TreeEntry,
}

impl Forge {
    /// The commit at which a branch stands; `None` when there is no such
    /// branch or repository.
    pub async fn head(&self, id: &RepositoryId, branch: &str) -> Result<Option<String>, PortError> {
        let place = format!("{}/branches/{}", path(id), segments(branch));
        let action = format!("read the branch {branch} of {id}");
        let found: Option<Value> = self
            .surface
            .call(Method::GET, &place, action)
            .find()
            .await?;
        Ok(found
            .map(|branch| text(&branch, "/commit/id"))
            .filter(|commit| !commit.is_empty()))
    }

    /// Every branch of a repository, by name; none when it is empty or not there.
    pub async fn branches(&self, id: &RepositoryId) -> Result<Vec<Branch>, PortError> {
        let place = format!("{}/branches", path(id));
        let action = format!("list the branches of {id}");
        let found: Vec<Value> = self.pages(&place, &[], &action).await?;
        let mut branches: Vec<Branch> = found.iter().map(read_branch).collect();
        branches.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(branches)
    }

    /// Deletes a branch, if it is there.
    pub async fn branch_delete(&self, id: &RepositoryId, branch: &str) -> Result<(), PortError> {
        let place = format!("{}/branches/{}", path(id), segments(branch));
        let action = format!("delete the branch {branch} of {id}");
        self.surface
            .call(Method::DELETE, &place, action)
            .exists()
            .await
            .map(drop)
    }

    /// How many commits a branch has that another one does not; 0 when either is
    /// not there.
    pub async fn ahead(&self, id: &RepositoryId, base: &str, head: &str) -> Result<u64, PortError> {
        let range = format!("{}...{}", segments(base), segments(head));
        let place = format!("{}/compare/{range}", path(id));
        let action = format!("compare {head} of {id} with {base}");
        let found: Option<Value> = self
            .surface
            .call(Method::GET, &place, action)
            .find()
            .await?;
        let total = found.and_then(|it| it.get("total_commits").and_then(Value::as_u64));
        Ok(total.unwrap_or(0))
    }

    /// Every file at a branch, tag or commit, by path. Not found when there is
    /// no such thing.
    pub async fn tree(
        &self,
        id: &RepositoryId,
        reference: &str,
    ) -> Result<Vec<TreeEntry>, PortError> {
        let place = format!("{}/git/trees/{}", path(id), segment(reference));
        let action = format!("list the files of {id} at {reference}");
        let mut files = Vec::new();
        for page in 1_usize.. {
            let page = page.to_string();
            let mut answer = self
                .surface
                .call(Method::GET, &place, action.as_str())
                .query(&[
                    ("recursive", "true"),
                    ("per_page", "1000"),
                    ("page", page.as_str()),
                ])
                .answer()
                .await?;
            // Gitea says 400 of a reference that is not there.
            if answer.status == StatusCode::BAD_REQUEST {
                answer.status = StatusCode::NOT_FOUND;
            }
            let tree: Tree = answer.ok()?.decode()?;
            let nodes = tree.tree.unwrap_or_default();
            let is_last = !tree.truncated || nodes.is_empty();
            let found = nodes.into_iter().filter(|node| node.kind == "blob");
            files.extend(found.map(|node| node.entry));
            if is_last {
                break;
            }
        }
        Ok(files)
    }

    /// One file at a branch, tag or commit; `None` when there is none.
    pub async fn file(
        &self,
        id: &RepositoryId,
        reference: &str,
        file: &str,
    ) -> Result<Option<FileContent>, PortError> {
        let place = format!("{}/contents/{}", path(id), segments(file));
        let action = format!("read {file} of {id} at {reference}");
        let found: Option<Value> = self
            .surface
            .call(Method::GET, &place, action.as_str())
            .query(&[("ref", reference)])
            .find()
            .await?;
        // A folder is answered as a list.
        let Some(found) = found.filter(|found| text(found, "/type") == "file") else {
            return Ok(None);
        };
        let encoded: String = text(&found, "/content").split_ascii_whitespace().collect();
        let content = BASE64.decode(encoded).map_err(|_| PortError::Read {
            part: "forge",
            action,
            reason: "the content is not base64".to_owned(),
        })?;
        Ok(Some(FileContent {
            content,
            sha: text(&found, "/sha"),
        }))
    }

    /// Changes files in exactly one commit, and returns its id; files that are
    /// as wanted already are left out, and when that leaves none, nothing is
    /// written and the branch's commit is returned.
    ///
    /// A conflict when the branch is not at `expected_head`, or when one of the
    /// files was changed meanwhile: the forge compares each file's object id as
    /// it writes, so no change of another is ever lost.
    pub async fn change_files(
        &self,
        id: &RepositoryId,
        change: ChangeFiles,
    ) -> Result<String, PortError> {
        let action = format!("commit to {} of {id}", change.branch);
        let head = self.head(id, &change.branch).await?;
        if let Some(expected) = &change.expected_head
            && head.as_ref() != Some(expected)
        {
            return Err(PortError::Change {
                part: "forge",
                action,
                reason: format!(
                    "{} stands at {}, not at {expected}",
                    change.branch,
                    head.as_deref().unwrap_or("no commit")
                ),
            });
        }
        let present = match &head {
            Some(head) => self.tree(id, head).await?,
            None => Vec::new(),
        };
        let files = file_operations(&present, &change.files);
        if files.is_empty() {
            return head.ok_or_else(|| PortError::Prepare {
                action,
                reason: "the change names no file to write".to_owned(),
            });
        }
        let body = json!({
            "branch": change.branch,
            "new_branch": change.new_branch.clone().unwrap_or_default(),
            "message": change.message,
            "author": change.author,
            "committer": change.committer,
            "files": files,
        });
        let place = format!("{}/contents", path(id));
        let answer = self
            .surface
            .call(Method::POST, &place, action)
            .json(&body)
            .answer()
            .await?;
        if is_late(&answer) {
            return Err(answer.conflict());
        }
        let made: Value = answer.ok()?.decode()?;
        Ok(text(&made, "/commit/sha"))
    }

    /// Commits, newest first; none for an empty repository or a path that no
    /// commit touches.
    pub async fn commits(
        &self,
        id: &RepositoryId,
        query: CommitsQuery,
    ) -> Result<Vec<Commit>, PortError> {
        let limit = query.limit.clamp(1, PAGE).to_string();
        let page = query.page.max(1).to_string();
        let action = format!("list the commits of {id}");
        let answer = self
            .surface
            .call(Method::GET, &format!("{}/commits", path(id)), action)
            .query(&[
                ("sha", query.reference.as_str()),
                ("path", query.path.as_deref().unwrap_or_default()),
                ("limit", limit.as_str()),
                ("page", page.as_str()),
                ("stat", "false"),
                ("files", "false"),
                ("verification", "false"),
            ])
            .answer()
            .await?;
        // Gitea says 409 of an empty repository.
        if matches!(answer.status.as_u16(), 404 | 409) {
            return Ok(Vec::new());
        }
        let found: Vec<Value> = answer.ok()?.decode()?;
        Ok(found.iter().map(read_commit).collect())
    }

    /// One commit; `None` when the repository does not have it.
    pub async fn commit(
        &self,
        id: &RepositoryId,
        commit: &str,
    ) -> Result<Option<Commit>, PortError> {
        let place = format!("{}/git/commits/{}", path(id), segment(commit));
        let action = format!("read the commit {commit} of {id}");
        let found: Option<Value> = self
            .surface
            .call(Method::GET, &place, action)
            .query(&[("stat", "false"), ("files", "false")])
            .find()
            .await?;
        Ok(found.as_ref().map(read_commit))
    }

    /// What a commit changed against its first parent, as a unified diff.
    pub async fn commit_diff(&self, id: &RepositoryId, commit: &str) -> Result<String, PortError> {
        let place = format!("{}/git/commits/{}.diff", path(id), segment(commit));
        let action = format!("read what the commit {commit} of {id} changed");
        let answer = self.surface.call(Method::GET, &place, action).ok().await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// Gitea's file operations; each names the object id that it replaces.
fn file_operations(present: &[TreeEntry], files: &[FileChange]) -> Vec<Value> {
    let present: HashMap<&str, &str> = present
        .iter()
        .map(|entry| (entry.path.as_str(), entry.sha.as_str()))
        .collect();
    let operation = |file: &FileChange| {
        let old = present.get(file.path.as_str()).copied();
        let path = file.path.as_str();
        match (&file.content, old) {
            (None, None) => None,
            (None, Some(sha)) => Some(json!({"operation": "delete", "path": path, "sha": sha})),
            (Some(content), None) => Some(json!({
                "operation": "create", "path": path, "content": BASE64.encode(content),
            })),
            (Some(content), Some(sha)) if blob_id(content) == sha => None,
            (Some(content), Some(sha)) => Some(json!({
                "operation": "update", "path": path, "sha": sha, "content": BASE64.encode(content),
            })),
        }
    };
    files.iter().filter_map(operation).collect()
}

/// The id that Git gives to a file's content.
pub fn blob_id(content: &[u8]) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", content.len()).as_bytes());
    context.update(content);
    hex::encode(context.finish())
}

/// Whether a refusal says that the files or the branch are no longer what the
/// request names: Gitea says so in words, with 404, 409 or 422.
fn is_late(answer: &Answer) -> bool {
    match answer.status.as_u16() {
        409 => true,
        404 | 422 => {
            let reason = answer.reason().to_lowercase();
            [
                "sha does not match",
                "file already exists",
                "file does not exist",
                "branch already exists",
                "commit id does not match",
            ]
            .iter()
            .any(|words| reason.contains(words))
        }
        _ => false,
    }
}

/// A branch out of Gitea's shape.
fn read_branch(value: &Value) -> Branch {
    Branch {
        name: text(value, "/name"),
        commit: text(value, "/commit/id"),
        author: Person {
            name: text(value, "/commit/author/name"),
            email: text(value, "/commit/author/email"),
        },
        at: text(value, "/commit/timestamp"),
        message: text(value, "/commit/message"),
    }
}

/// A commit out of Gitea's shape.
fn read_commit(value: &Value) -> Commit {
    let parents = value.get("parents").and_then(Value::as_array);
    Commit {
        id: text(value, "/sha"),
        parents: parents
            .map(|parents| parents.iter().map(|it| text(it, "/sha")).collect())
            .unwrap_or_default(),
        author: Person {
            name: text(value, "/commit/author/name"),
            email: text(value, "/commit/author/email"),
        },
        at: text(value, "/commit/committer/date"),
        message: text(value, "/commit/message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_id_that_git_gives_it() {
        // printf 'hello\n' | git hash-object --stdin
        assert_eq!(
            blob_id(b"hello\n"),
            "ce013625030ba8dba906f756967f9e9ca394464a"
        );
    }

    #[test]
    fn files_become_the_operations_that_are_needed() {
        let entry = |path: &str, content: &[u8]| TreeEntry {
            path: path.to_owned(),
            sha: blob_id(content),
            size: 0,
        };
        let change = |path: &str, content: Option<&str>| FileChange {
            path: path.to_owned(),
            content: content.map(|text| text.as_bytes().to_vec()),
        };
        let present = [
            entry("same", b"1"),
            entry("other", b"1"),
            entry("gone", b"1"),
        ];
        let wanted = [
            change("same", Some("1")),
            change("other", Some("2")),
            change("gone", None),
            change("absent", None),
            change("new", Some("3")),
        ];
        let operations: Vec<String> = file_operations(&present, &wanted)
            .iter()
            .map(|it| format!("{} {}", text(it, "/operation"), text(it, "/path")))
            .collect();
        assert_eq!(operations, ["update other", "delete gone", "create new"]);
    }
}
