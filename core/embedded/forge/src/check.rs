//! The pre-receive check: before refs move, somebody else is asked.
//!
//! Used by `push` for every push and every REST write. The request is a JSON
//! object ([`Request`]), the answer `{"allowed": bool, "messages": [text]}`.
//! What must stay true: anything but a 200 with a well-formed answer in time
//! means refused.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::git::{self, GitError, Repository};
use crate::records::RefUpdate;
use crate::{CheckConfig, Inner};

/// At most so many files are described.
const MOST_FILES: usize = 10_000;
/// At most so many new commits are described.
const MOST_COMMITS: usize = 10_000;
/// An answer is cut off after so many bytes.
const LARGEST_ANSWER: usize = 1 << 20;

/// What is asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `owner/name`.
    pub repository: String,
    /// User name.
    pub pusher: String,
    /// Refs that are to move.
    pub refs: Vec<RefUpdate>,
    /// Those of the refs that leave commits behind: the new one does not come
    /// after the old one.
    pub forced: Vec<String>,
    /// Commits that no ref held before, newest first.
    pub commits: Vec<NewCommit>,
    /// Whether there are more commits than are listed.
    pub commits_truncated: bool,
    /// The pull request that is being merged, if that is what happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// Files that change, for every ref against its old value.
    pub files: Vec<File>,
    /// Whether there are more files than are listed.
    pub files_truncated: bool,
}

/// A commit that is new to the repository.
#[derive(Debug, Serialize)]
pub struct NewCommit {
    /// Its id.
    pub id: String,
    /// Whom it names as its author.
    pub author: String,
    /// The whole message.
    pub message: String,
}

/// A file that is to change.
#[derive(Debug, Serialize)]
pub struct File {
    /// The ref on which it changes.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Path from the root.
    pub path: String,
    /// `added`, `modified` or `removed`.
    pub status: &'static str,
    /// Git's mode after the change.
    pub mode: String,
    /// Bytes after the change.
    pub size: u64,
    /// `utf-8` or `base64`; absent when there is no content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'static str>,
    /// Content after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Whether the content was left out because of its size.
    pub truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Answer {
    allowed: bool,
    #[serde(default)]
    messages: Vec<String>,
}

/// What the check said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether refs may move.
    pub allowed: bool,
    /// Lines for the pusher.
    pub messages: Vec<String>,
}

impl Verdict {
    fn refused(message: impl Into<String>) -> Self {
        Self {
            allowed: false,
            messages: vec![message.into()],
        }
    }
}

/// Asks about refs whose new objects are visible through `view`.
pub async fn ask(
    inner: &Inner,
    view: &Repository,
    repository: String,
    default_branch: &str,
    pusher: String,
    refs: &[RefUpdate],
    pull_request: Option<u64>,
) -> Verdict {
    let Some(config) = &inner.config.check else {
        return Verdict {
            allowed: true,
            messages: Vec::new(),
        };
    };
    let unread = |error: GitError, what: &str| {
        tracing::warn!(%error, repository, what, "not readable for the check");
        Verdict::refused(format!(
            "nothing was changed: the {what} of the change cannot be read for the pre-receive check"
        ))
    };
    let commits = match commits_of(view, refs).await {
        Ok(commits) => commits,
        Err(error) => return unread(error, "commits"),
    };
    let described = describe(view, default_branch, refs, &commits, config).await;
    let (files, files_truncated) = match described {
        Ok(described) => described,
        Err(error) => return unread(error, "files"),
    };
    let (forced, commits) = match story_of(view, refs, &commits).await {
        Ok(story) => story,
        Err(error) => return unread(error, "commits"),
    };
    let request = Request {
        repository: repository.clone(),
        pusher,
        refs: refs.to_vec(),
        forced,
        commits_truncated: commits.len() >= MOST_COMMITS,
        commits,
        pull_request,
        files,
        files_truncated,
    };
    match tokio::time::timeout(config.timeout, post(inner, config, &request)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(reason)) => {
            tracing::warn!(%reason, repository, "pre-receive check gave no answer");
            Verdict::refused(format!(
                "nothing was changed: the pre-receive check, without which no change is taken, gave no usable answer ({reason}); try again later"
            ))
        }
        Err(_) => {
            let seconds = config.timeout.as_secs_f32();
            tracing::warn!(repository, "pre-receive check timed out");
            Verdict::refused(format!(
                "nothing was changed: the pre-receive check, without which no change is taken, did not answer within {seconds} s; try again later"
            ))
        }
    }
}

async fn post(inner: &Inner, config: &CheckConfig, request: &Request) -> Result<Verdict, String> {
    let mut post = inner.http.post(&config.url).json(request);
    if let Some(token) = &config.token {
        post = post.bearer_auth(token);
    }
    // The URL may hold a secret; the error is shown without it.
    let mut response = post
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| error.without_url().to_string())?
    {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            return Err("the answer is too long".to_owned());
        }
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(Verdict {
        allowed: answer.allowed,
        messages: answer.messages,
    })
}

/// The refs that leave commits behind, and the commits that are new.
async fn story_of(
    view: &Repository,
    refs: &[RefUpdate],
    commits: &Commits,
) -> git::Result<(Vec<String>, Vec<NewCommit>)> {
    let mut forced = Vec::new();
    let mut tips: Vec<&str> = Vec::new();
    for update in refs.iter().filter(|update| update.new != git::ZERO) {
        let new = commits.get(&update.new);
        if update.old != git::ZERO {
            let goes_on = match (commits.get(&update.old), new) {
                (Some(old), Some(new)) => view.merge_base(old, new).await?.as_ref() == Some(old),
                // A tag of something else than a commit has no story.
                _ => false,
            };
            if !goes_on {
                forced.push(update.name.clone());
            }
        }
        tips.extend(new.map(String::as_str));
    }
    if tips.is_empty() {
        return Ok((forced, Vec::new()));
    }
    let mut range = tips;
    range.extend(["--not", "--all"]);
    let commits = view.log(&range, "", 0, MOST_COMMITS).await?;
    let commits = commits.into_iter().map(|commit| NewCommit {
        id: commit.id,
        author: commit.author.name,
        message: commit.message,
    });
    Ok((forced, commits.collect()))
}

async fn describe(
    view: &Repository,
    default_branch: &str,
    refs: &[RefUpdate],
    commits: &Commits,
    config: &CheckConfig,
) -> git::Result<(Vec<File>, bool)> {
    let mut files = Vec::new();
    let mut remaining = config.largest_total;
    for update in refs.iter().filter(|update| update.new != git::ZERO) {
        // A tag may point to something without files.
        let Some(new) = commits.get(&update.new) else {
            continue;
        };
        let old = match commits.get(&update.old) {
            Some(old) => old.clone(),
            None if update.old == git::ZERO => parting(view, default_branch, new).await?,
            None => git::EMPTY_TREE.to_owned(),
        };
        let changes = view.changes(&old, new, false).await?;
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        let sizes = view.sizes(&ids).await?;
        for change in changes {
            if files.len() == MOST_FILES {
                return Ok((files, true));
            }
            let blob = sizes.get(&change.id).filter(|(kind, _)| kind == "blob");
            let size = blob.map_or(0, |(_, size)| *size);
            let fits = size <= config.largest_file && size <= remaining;
            let (mut encoding, mut content) = (None, None);
            if blob.is_some() && fits {
                remaining -= size;
                let (kind, text) = match String::from_utf8(view.blob(&change.id).await?) {
                    Ok(text) => ("utf-8", text),
                    Err(error) => ("base64", BASE64.encode(error.as_bytes())),
                };
                (encoding, content) = (Some(kind), Some(text));
            }
            files.push(File {
                reference: update.name.clone(),
                truncated: blob.is_some() && !fits,
                path: change.path,
                status: change.status,
                mode: change.mode,
                size,
                encoding,
                content,
            });
        }
    }
    Ok((files, false))
}

/// By the id of an object: the commit that it is, or that it is a tag of.
type Commits = HashMap<String, String>;

/// The commits that the refs lead from and to; Git is asked once for all.
async fn commits_of(view: &Repository, refs: &[RefUpdate]) -> git::Result<Commits> {
    let ids: Vec<&str> = refs
        .iter()
        .filter(|update| update.new != git::ZERO)
        .flat_map(|update| [update.old.as_str(), update.new.as_str()])
        .filter(|id| *id != git::ZERO)
        .collect();
    if ids.is_empty() {
        return Ok(Commits::new());
    }
    let mut input = String::new();
    for id in &ids {
        input.push_str(&format!("{id}^{{commit}}\n"));
    }
    let output = view
        .run_with(&["cat-file", "--batch-check"], input.as_bytes())
        .await?;
    // One line for each, in the order asked.
    let mut commits = Commits::new();
    for (id, line) in ids
        .into_iter()
        .zip(String::from_utf8_lossy(&output).lines())
    {
        let mut words = line.split(' ');
        if let (Some(commit), Some("commit")) = (words.next(), words.next()) {
            commits.insert(id.to_owned(), commit.to_owned());
        }
    }
    Ok(commits)
}

/// Where a new ref parted from the default branch: what its files are compared
/// with.
async fn parting(view: &Repository, default_branch: &str, new: &str) -> git::Result<String> {
    let main = view
        .reference(&format!("refs/heads/{default_branch}"))
        .await?;
    let parted = match main {
        Some(main) => view.merge_base(&main, new).await?,
        None => None,
    };
    Ok(parted.unwrap_or_else(|| git::EMPTY_TREE.to_owned()))
}
