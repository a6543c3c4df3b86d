//! The files of a build, seen from one kustomization's folder.

use std::collections::BTreeMap;

use crate::error::Fault;

/// A folder in the file map. Paths are joined and cleaned as text; there are
/// no links to follow.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    pub files: &'a BTreeMap<String, Vec<u8>>,
    pub anywhere: bool,
}

impl<'a> Files<'a> {
    pub fn at(&self, path: &str) -> Option<&'a [u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The content of `path`, which `folder`'s kustomization names.
    pub fn load(&self, folder: &str, path: &str) -> Result<&'a [u8], Fault> {
        if path.starts_with('/') {
            return Err(Fault::new(format!(
                "{path:?} is an absolute path; name it relative to the kustomization"
            )));
        }
        let full = join(folder, path)
            .ok_or_else(|| Fault::new(format!("{path:?} leads out of the source")))?;
        if !self.anywhere && !is_within(&full, folder) {
            return Err(Fault::new(format!(
                "{full:?} is not in or below {:?}; move it there, or put it behind a kustomization of its own",
                display(folder)
            )));
        }
        self.at(&full)
            .ok_or_else(|| Fault::new(format!("there is no file {full:?}")))
    }

    /// True where some file lies below `folder`.
    pub fn is_folder(&self, folder: &str) -> bool {
        folder.is_empty()
            || self
                .files
                .range(format!("{folder}/")..)
                .next()
                .is_some_and(|(path, _)| is_within(path, folder))
    }
}

/// `path` seen from `folder`, without `.` and `..`; nothing where it would
/// leave the root.
pub fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// True for what is below `folder`, and for `folder` itself.
pub fn is_within(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path == folder
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// A folder as users name it.
pub fn display(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

/// True for what kustomize would clone or download.
pub fn is_remote(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.contains("://")
        || lower.starts_with("git@")
        || lower.starts_with("git::")
        || lower.starts_with("github.com/")
        || lower.starts_with("github.com:")
        || lower.contains("?ref=")
        || lower.contains(".git/")
        || lower.ends_with(".git")
}
