//! What the forge asks before refs move, and the answer.

use serde::{Deserialize, Serialize};

/// The forge's question.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushCheck {
    /// `owner/name`.
    pub repository: String,
    /// The user who pushes, merges or writes by REST.
    pub pusher: String,
    /// Refs that are to move.
    #[serde(default)]
    pub refs: Vec<PushRef>,
    /// Those of the refs that leave commits behind. A forge that does not say
    /// cannot be judged, so it must.
    pub forced: Vec<String>,
    /// Commits that no ref held before, newest first.
    pub commits: Vec<PushCommit>,
    /// Whether there are more commits than are listed.
    #[serde(default)]
    pub commits_truncated: bool,
    /// The pull request that is being merged, if that is what happens.
    #[serde(default)]
    pub pull_request: Option<u64>,
    /// Files that change, for every ref against its old value.
    #[serde(default)]
    pub files: Vec<PushFile>,
    /// Whether there are more files than are listed.
    #[serde(default)]
    pub files_truncated: bool,
}

/// A commit that is new to the repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PushCommit {
    /// Its id.
    pub id: String,
    /// Whom it names as its author.
    pub author: String,
    /// The whole message.
    pub message: String,
}

/// A ref that is to move.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PushRef {
    /// `refs/heads/main`.
    #[serde(rename = "ref")]
    pub name: String,
    /// Object before; zeros for a new ref.
    pub old: String,
    /// Object after; zeros for a removed ref.
    pub new: String,
}

/// A file that is to change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PushFile {
    /// The ref on which it changes.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Path from the root.
    pub path: String,
    /// `added`, `modified` or `removed`.
    pub status: String,
    /// Git's mode after the change.
    #[serde(default)]
    pub mode: String,
    /// Bytes after the change.
    #[serde(default)]
    pub size: u64,
    /// `utf-8` or `base64`; absent when there is no content.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Content after the change.
    #[serde(default)]
    pub content: Option<String>,
    /// Whether the content was left out because of its size.
    #[serde(default)]
    pub truncated: bool,
}

/// The answer to the forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushVerdict {
    /// Whether refs may move.
    pub allowed: bool,
    /// Lines for the pusher.
    pub messages: Vec<String>,
}
