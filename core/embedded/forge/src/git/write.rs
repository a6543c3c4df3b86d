//! Changes to a repository: packs in, commits made, refs moved.
//!
//! Objects are made in a quarantine; [`Repository::move_refs`] is the only
//! place where a ref changes.

use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::quarantine::Quarantine;
use super::{GitError, Repository, Result, ZERO, failed};
use crate::records::RefUpdate;

/// Who signs a commit. Time is seconds since 1970 and the zone as Git writes it.
#[derive(Debug, Clone)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Mail address.
    pub email: String,
    /// Seconds since 1970.
    pub seconds: i64,
    /// Zone, `+0100`.
    pub zone: String,
}

impl Person {
    fn line(&self) -> String {
        let clean = |text: &str| -> String {
            let text: String = text
                .chars()
                .filter(|c| !c.is_control() && !"<>".contains(*c))
                .collect();
            text.trim().to_owned()
        };
        format!(
            "{} <{}> {} {}",
            clean(&self.name),
            clean(&self.email),
            self.seconds,
            self.zone
        )
    }
}

/// One file of a commit to be made.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Write a file with a mode (six digits).
    Put {
        /// Path from the root.
        path: String,
        /// Mode.
        mode: String,
        /// Content.
        content: Vec<u8>,
    },
    /// Remove a file.
    Remove {
        /// Path from the root.
        path: String,
    },
}

/// A commit to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The commit it follows; none for the first.
    pub parent: Option<String>,
    /// Who wrote it.
    pub author: Person,
    /// Who commits it.
    pub committer: Person,
    /// Message.
    pub message: String,
    /// Files.
    pub edits: Vec<Edit>,
}

/// Outcome of a three-way merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The tree.
    Clean(String),
    /// Paths that conflict.
    Conflict(Vec<String>),
}

/// Reads a pack into the quarantine with all object checks, and gives Git's
/// progress line by line to `progress`.
pub async fn index_pack(
    quarantine: &Quarantine,
    repository: &Repository,
    mut pack: mpsc::Receiver<Bytes>,
    largest: u64,
    progress: &mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    let limit = format!("--max-input-size={largest}");
    let mut arguments = vec![
        "index-pack",
        "--stdin",
        "--fix-thin",
        "--strict",
        limit.as_str(),
    ];
    arguments.push("-v");
    let view = quarantine.view(repository);
    let start = |source| GitError::Start {
        command: "index-pack".to_owned(),
        source,
    };
    let mut child = view
        .command(&arguments)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feed = async move {
        if let Some(mut stdin) = stdin {
            while let Some(chunk) = pack.recv().await {
                if stdin.write_all(&chunk).await.is_err() {
                    break;
                }
            }
        }
        // What Git no longer wants is read all the same, so that the client
        // comes to see the answer.
        while pack.recv().await.is_some() {}
    };
    let watch = async {
        let mut tail = Vec::new();
        if let Some(mut stderr) = stderr {
            let mut buffer = vec![0; 4096];
            while let Ok(length) = stderr.read(&mut buffer).await {
                let Some(chunk) = buffer.get(..length).filter(|chunk| !chunk.is_empty()) else {
                    break;
                };
                tail.extend_from_slice(chunk);
                let excess = tail.len().saturating_sub(8192);
                tail.drain(..excess);
                // Progress is dropped rather than waited for.
                let _ = progress.try_send(chunk.to_vec());
            }
        }
        tail
    };
    let (_, tail, output) = tokio::join!(feed, watch, child.wait_with_output());
    let output = output.map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&tail);
    let fatal = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
    let message = text
        .split(['\n', '\r'])
        .filter(fatal)
        .collect::<Vec<_>>()
        .join("; ");
    Err(GitError::Failed {
        command: "index-pack".to_owned(),
        message,
    })
}

/// Makes one commit in the quarantine and gives its id.
pub async fn make_commit(quarantine: &Quarantine, draft: &Draft) -> Result<String> {
    let mut stream: Vec<u8> = b"feature done\ncommit refs/heads/draft\n".to_vec();
    let mut line = |text: String| stream.extend_from_slice(text.as_bytes());
    line(format!("author {}\n", draft.author.line()));
    line(format!("committer {}\n", draft.committer.line()));
    let message = normal_message(&draft.message);
    line(format!("data {}\n{message}\n", message.len()));
    if let Some(parent) = &draft.parent {
        line(format!("from {parent}\n"));
    }
    for edit in &draft.edits {
        match edit {
            Edit::Put {
                path,
                mode,
                content,
            } => {
                let head = format!("M {mode} inline {}\ndata {}\n", quote(path), content.len());
                stream.extend_from_slice(head.as_bytes());
                stream.extend_from_slice(content);
                stream.push(b'\n');
            }
            Edit::Remove { path } => {
                stream.extend_from_slice(format!("D {}\n", quote(path)).as_bytes());
            }
        }
    }
    stream.extend_from_slice(b"done\n");
    let scratch = quarantine.scratch();
    scratch
        .run_with(&["fast-import", "--quiet", "--date-format=raw"], &stream)
        .await?;
    let head = scratch.directory().join("refs/heads/draft");
    let id = tokio::fs::read_to_string(&head)
        .await
        .map_err(super::file_error("read", &head))?;
    Ok(id.trim().to_owned())
}

/// Makes a commit of a finished tree in the quarantine.
pub async fn make_commit_of_tree(
    quarantine: &Quarantine,
    tree: &str,
    parents: &[&str],
    author: &Person,
    committer: &Person,
    message: &str,
) -> Result<String> {
    let mut object = format!("tree {tree}\n");
    for parent in parents {
        object.push_str(&format!("parent {parent}\n"));
    }
    let message = normal_message(message);
    object.push_str(&format!(
        "author {}\ncommitter {}\n\n{message}",
        author.line(),
        committer.line()
    ));
    let arguments = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let output = quarantine
        .scratch()
        .run_with(&arguments, object.as_bytes())
        .await?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// Merges two commits into a tree in the quarantine.
pub async fn merge_trees(quarantine: &Quarantine, ours: &str, theirs: &str) -> Result<Merged> {
    let arguments = [
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--no-messages",
        ours,
        theirs,
    ];
    let scratch = quarantine.scratch();
    let output = scratch
        .output(scratch.command(&arguments), &arguments, &[])
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut fields = text.split('\0').filter(|field| !field.is_empty());
    let tree = fields.next().map(str::to_owned);
    match (output.status.code(), tree) {
        (Some(0), Some(tree)) => Ok(Merged::Clean(tree)),
        (Some(1), Some(_)) => Ok(Merged::Conflict(fields.map(str::to_owned).collect())),
        _ => Err(failed(&arguments, &output.stderr)),
    }
}

impl Repository {
    /// Moves refs, all or none, each only from its old value.
    pub async fn move_refs(&self, updates: &[RefUpdate]) -> Result<()> {
        let mut input = String::from("start\n");
        for RefUpdate { name, old, new } in updates {
            let line = match (old.as_str(), new.as_str()) {
                (_, ZERO) => format!("delete {name} {old}\n"),
                (ZERO, _) => format!("create {name} {new}\n"),
                _ => format!("update {name} {new} {old}\n"),
            };
            input.push_str(&line);
        }
        input.push_str("prepare\ncommit\n");
        self.run_with(&["update-ref", "--stdin"], input.as_bytes())
            .await?;
        Ok(())
    }

    /// Whether everything the new tips need is there.
    pub async fn is_connected(&self, tips: &[&str]) -> Result<()> {
        let input = tips.join("\n") + "\n";
        let arguments = [
            "rev-list",
            "--objects",
            "--stdin",
            "--not",
            "--all",
            "--quiet",
        ];
        self.run_with(&arguments, input.as_bytes())
            .await
            .map(|_| ())
    }

    /// Joins small packs when there are many; readers are not disturbed.
    pub async fn tidy(&self) -> Result<bool> {
        let packs = self.directory().join("objects/pack");
        let count = std::fs::read_dir(&packs).map_err(super::file_error("list", &packs))?;
        let is_pack = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".pack");
        if count
            .flatten()
            .filter(|entry| is_pack(entry.file_name()))
            .count()
            < 50
        {
            return Ok(false);
        }
        self.run(&["repack", "-d", "--geometric=2", "--quiet"])
            .await?;
        Ok(true)
    }
}

fn normal_message(message: &str) -> String {
    let text = message.replace("\r\n", "\n").replace('\0', "");
    format!("{}\n", text.trim_end())
}

fn quote(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
