//! Questions about a repository: refs, commits, trees, differences.
//!
//! Revisions given here are either object ids or complete ref names, resolved
//! by [`Repository::resolve`]; free text from a client goes nowhere else.

use std::collections::HashMap;

use super::{EMPTY_TREE, GitError, Repository, Result};
use crate::names;

/// A ref and what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// Complete name.
    pub name: String,
    /// Object id.
    pub object: String,
    /// Kind of the object.
    pub kind: String,
}

/// Who did something, and when (RFC 3339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Name.
    pub name: String,
    /// Mail address.
    pub email: String,
    /// Time.
    pub date: String,
}

/// A commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Object id.
    pub id: String,
    /// Its tree.
    pub tree: String,
    /// Its parents.
    pub parents: Vec<String>,
    /// Who wrote it.
    pub author: Signature,
    /// Who committed it.
    pub committer: Signature,
    /// Complete message.
    pub message: String,
}

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Six octal digits.
    pub mode: String,
    /// `blob`, `tree` or `commit`.
    pub kind: String,
    /// Object id.
    pub id: String,
    /// Bytes, for blobs.
    pub size: Option<u64>,
    /// Path from the root.
    pub path: String,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path from the root.
    pub path: String,
    /// `added`, `modified` or `removed`.
    pub status: &'static str,
    /// Mode after.
    pub mode: String,
    /// Object after; zeros when removed.
    pub id: String,
    /// Lines added, when counted.
    pub additions: u64,
    /// Lines removed, when counted.
    pub deletions: u64,
}

/// Whether a text is an object id.
pub fn is_object_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

const LOG_FORMAT: &str =
    "--format=tformat:%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";

impl Repository {
    /// The commit that a client's word (branch, tag, complete ref, id or
    /// unambiguous abbreviation of one) stands for.
    pub async fn resolve(&self, word: &str) -> Result<Option<String>> {
        let mut candidates = Vec::new();
        if word == "HEAD" {
            candidates.push(word.to_owned());
        } else if names::check_ref(word).is_ok() && !word.starts_with('-') {
            if word.starts_with("refs/") {
                candidates.push(word.to_owned());
            }
            candidates.push(format!("refs/heads/{word}"));
            candidates.push(format!("refs/tags/{word}"));
        }
        let hexadecimal = word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if (7..=40).contains(&word.len()) && hexadecimal {
            candidates.push(word.to_owned());
        }
        if candidates.is_empty() {
            return Ok(None);
        }
        let mut input = String::new();
        for candidate in &candidates {
            input.push_str(&format!("{candidate}^{{commit}}\n"));
        }
        let output = self
            .run_with(&["cat-file", "--batch-check"], input.as_bytes())
            .await?;
        let text = String::from_utf8_lossy(&output);
        for line in text.lines() {
            let mut words = line.split(' ');
            if let (Some(id), Some("commit")) = (words.next(), words.next()) {
                return Ok(Some(id.to_owned()));
            }
        }
        Ok(None)
    }

    /// What a complete ref name points to, now.
    pub async fn reference(&self, name: &str) -> Result<Option<String>> {
        let refs = self.references(name).await?;
        Ok(refs
            .into_iter()
            .find(|found| found.name == name)
            .map(|found| found.object))
    }

    /// The refs below a complete prefix, by name.
    pub async fn references(&self, prefix: &str) -> Result<Vec<Ref>> {
        let format = "--format=%(refname) %(objectname) %(objecttype)";
        let output = self.text(&["for-each-ref", format, "--", prefix]).await?;
        let mut refs = Vec::new();
        for line in output.lines() {
            let mut words = line.rsplitn(3, ' ');
            if let (Some(kind), Some(object), Some(name)) =
                (words.next(), words.next(), words.next())
            {
                refs.push(Ref {
                    name: name.into(),
                    object: object.into(),
                    kind: kind.into(),
                });
            }
        }
        Ok(refs)
    }

    /// Whether no branch exists.
    pub fn is_empty(&self) -> bool {
        fn any_file(directory: &std::path::Path) -> bool {
            let Ok(entries) = std::fs::read_dir(directory) else {
                return false;
            };
            entries.flatten().any(|entry| match entry.file_type() {
                Ok(kind) if kind.is_dir() => any_file(&entry.path()),
                Ok(_) => true,
                Err(_) => false,
            })
        }
        let packed = std::fs::read_to_string(self.directory().join("packed-refs"));
        !any_file(&self.directory().join("refs/heads"))
            && !packed.is_ok_and(|text| text.contains(" refs/heads/"))
    }

    /// Commits from a range or tips, newest first. `path` may be empty.
    pub async fn log(
        &self,
        range: &[&str],
        path: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Commit>> {
        let skip = format!("--skip={skip}");
        let limit = format!("--max-count={limit}");
        let mut arguments = vec!["log", "-z", LOG_FORMAT, skip.as_str(), limit.as_str()];
        arguments.extend_from_slice(range);
        arguments.push("--");
        let literal = format!(":(literal){path}");
        if !path.is_empty() {
            arguments.push(&literal);
        }
        let output = self.run(&arguments).await?;
        parse_log(&output)
    }

    /// How many commits a range holds.
    pub async fn count(&self, range: &[&str], path: &str) -> Result<usize> {
        let mut arguments = vec!["rev-list", "--count"];
        arguments.extend_from_slice(range);
        arguments.push("--");
        let literal = format!(":(literal){path}");
        if !path.is_empty() {
            arguments.push(&literal);
        }
        let text = self.text(&arguments).await?;
        text.parse().map_err(|_| GitError::Unreadable {
            command: "rev-list".to_owned(),
        })
    }

    /// One commit.
    pub async fn commit(&self, id: &str) -> Result<Option<Commit>> {
        Ok(self
            .log(&["--no-walk", id], "", 0, 1)
            .await?
            .into_iter()
            .next())
    }

    /// The entries of a tree-ish, in Git's order.
    pub async fn tree(&self, treeish: &str, recursive: bool) -> Result<Vec<TreeEntry>> {
        let mut arguments = vec!["ls-tree", "-z", "--long", "--full-tree"];
        if recursive {
            arguments.extend(["-r", "-t"]);
        }
        arguments.push(treeish);
        let output = self.run(&arguments).await?;
        let text = String::from_utf8_lossy(&output);
        let mut entries = Vec::new();
        for line in text.split('\0').filter(|line| !line.is_empty()) {
            let Some((head, path)) = line.split_once('\t') else {
                continue;
            };
            let mut words = head.split_ascii_whitespace();
            if let (Some(mode), Some(kind), Some(id)) = (words.next(), words.next(), words.next()) {
                let size = words.next().and_then(|size| size.parse().ok());
                let (mode, kind, id, path) = (mode.into(), kind.into(), id.into(), path.into());
                entries.push(TreeEntry {
                    mode,
                    kind,
                    id,
                    size,
                    path,
                });
            }
        }
        Ok(entries)
    }

    /// The entry at a path of a commit; the root is a tree.
    pub async fn entry(&self, commit: &str, path: &str) -> Result<Option<TreeEntry>> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = format!("{commit}:{parent}");
        if !self.succeeds(&["cat-file", "-e", &parent]).await? {
            return Ok(None);
        }
        let found = match self.tree(&parent, false).await {
            Ok(entries) => entries.into_iter().find(|entry| entry.path == name),
            // The parent is a file, not a tree.
            Err(GitError::Failed { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(found.map(|entry| TreeEntry {
            path: path.to_owned(),
            ..entry
        }))
    }

    /// The content of a blob.
    pub async fn blob(&self, id: &str) -> Result<Vec<u8>> {
        self.run(&["cat-file", "blob", id]).await
    }

    /// Kind and size of objects; absent ones are left out.
    pub async fn sizes(&self, ids: &[&str]) -> Result<HashMap<String, (String, u64)>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let input = ids.join("\n") + "\n";
        let output = self
            .run_with(&["cat-file", "--batch-check"], input.as_bytes())
            .await?;
        let mut sizes = HashMap::new();
        for line in String::from_utf8_lossy(&output).lines() {
            let mut words = line.split(' ');
            if let (Some(id), Some(kind), Some(size)) = (words.next(), words.next(), words.next())
                && let Ok(size) = size.parse()
            {
                sizes.insert(id.to_owned(), (kind.to_owned(), size));
            }
        }
        Ok(sizes)
    }

    /// Files that differ between two commits (or trees); the empty tree stands
    /// for the time before the first commit. Lines are counted when asked.
    pub async fn changes(&self, old: &str, new: &str, count: bool) -> Result<Vec<Change>> {
        let old = if old == super::ZERO { EMPTY_TREE } else { old };
        let raw = self
            .run(&[
                "diff-tree",
                "-r",
                "-z",
                "--raw",
                "--no-abbrev",
                "--no-renames",
                old,
                new,
            ])
            .await?;
        let mut changes = Vec::new();
        let text = String::from_utf8_lossy(&raw);
        let mut fields = text.split('\0');
        while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
            let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
            let [_, mode, _, _, letter] = words.as_slice() else {
                continue;
            };
            let status = match *letter {
                "A" => "added",
                "D" => "removed",
                _ => "modified",
            };
            let object = words.get(3).copied().unwrap_or_default();
            changes.push(Change {
                path: path.to_owned(),
                status,
                mode: (*mode).to_owned(),
                id: object.to_owned(),
                additions: 0,
                deletions: 0,
            });
        }
        if changes.iter().any(|change| change.id.len() != 40) {
            return Err(GitError::Unreadable {
                command: "diff-tree".to_owned(),
            });
        }
        if count && !changes.is_empty() {
            let counted = self
                .run(&[
                    "diff-tree",
                    "-r",
                    "-z",
                    "--numstat",
                    "--no-renames",
                    old,
                    new,
                ])
                .await?;
            let mut lines = HashMap::new();
            for line in String::from_utf8_lossy(&counted).split('\0') {
                let mut words = line.splitn(3, '\t');
                if let (Some(add), Some(del), Some(path)) =
                    (words.next(), words.next(), words.next())
                {
                    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
                    lines.insert(path.to_owned(), (number(add), number(del)));
                }
            }
            for change in &mut changes {
                if let Some((additions, deletions)) = lines.get(&change.path) {
                    change.additions = *additions;
                    change.deletions = *deletions;
                }
            }
        }
        Ok(changes)
    }

    /// The best common ancestor.
    pub async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>> {
        let arguments = ["merge-base", one, other];
        let output = self
            .output(self.command(&arguments), &arguments, &[])
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(Some(text)),
            Some(1) => Ok(None),
            _ => Err(super::failed(&arguments, &output.stderr)),
        }
    }

    /// A patch in unified form.
    pub async fn patch(&self, old: &str, new: &str) -> Result<Vec<u8>> {
        self.run(&["diff", "--no-ext-diff", "--no-textconv", old, new])
            .await
    }
}

fn parse_log(output: &[u8]) -> Result<Vec<Commit>> {
    let text = String::from_utf8_lossy(output);
    let fields: Vec<&str> = text.split('\0').collect();
    let mut commits = Vec::new();
    for record in fields.chunks(10) {
        let [id, tree, parents, an, ae, ad, cn, ce, cd, message] = record else {
            continue;
        };
        let signature = |name: &str, email: &str, date: &str| Signature {
            name: name.to_owned(),
            email: email.to_owned(),
            date: date.to_owned(),
        };
        commits.push(Commit {
            id: (*id).to_owned(),
            tree: (*tree).to_owned(),
            parents: parents
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            author: signature(an, ae, ad),
            committer: signature(cn, ce, cd),
            message: (*message).to_owned(),
        });
    }
    Ok(commits)
}
