//! What belongs to a Blueprint's folder, and reading it from disk.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The most bytes the parts of a Blueprint may have together.
pub const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// The files that belong to a Blueprint beside its parts.
const FILES: [&str; 2] = ["blueprint.yaml", "README.md"];
/// What belongs to a Blueprint; anything else in the folder (its source, its
/// build) stays out of the artifact.
const PARTS: [&str; 5] = ["chart", "manifests", "compositions", "card", "tests"];

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system said no.
    #[error("could not read {path}: {source}; check that it exists and may be read")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something that cannot go into an artifact.
    #[error("could not read {path}: {reason}")]
    Unsupported {
        /// What was met.
        path: PathBuf,
        /// Why it cannot.
        reason: &'static str,
    },
}

/// Whether a file belongs to the Blueprint in whose folder it has this path.
pub fn is_part(path: &str) -> bool {
    FILES.contains(&path)
        || path
            .split_once('/')
            .is_some_and(|(part, _)| PARTS.contains(&part))
}

/// The folder's files as path → bytes, as lint and pack take them.
pub fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, FolderError> {
    let mut files = BTreeMap::new();
    let mut total = 0;
    for name in FILES {
        let path = folder.join(name);
        if path.exists() {
            add(&path, name.to_owned(), &mut files, &mut total)?;
        }
    }
    for part in PARTS {
        let path = folder.join(part);
        if path.is_dir() {
            walk(&path, part, &mut files, &mut total)?;
        }
    }
    if files.is_empty() {
        return Err(FolderError::Read {
            path: folder.join("blueprint.yaml"),
            source: io::Error::from(io::ErrorKind::NotFound),
        });
    }
    Ok(files)
}

fn walk(
    folder: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
    total: &mut u64,
) -> Result<(), FolderError> {
    let failed = |source| FolderError::Read {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(FolderError::Unsupported {
                path,
                reason: "its name is not UTF-8; rename it",
            });
        };
        let kind = entry.file_type().map_err(failed)?;
        let inner = format!("{prefix}/{name}");
        if kind.is_symlink() {
            // A link could carry a file from outside the folder into the artifact.
            return Err(FolderError::Unsupported {
                path,
                reason: "it is a symbolic link; copy the file in its place",
            });
        } else if kind.is_dir() {
            walk(&path, &inner, files, total)?;
        } else if kind.is_file() {
            add(&path, inner, files, total)?;
        }
    }
    Ok(())
}

fn add(
    path: &Path,
    name: String,
    files: &mut BTreeMap<String, Vec<u8>>,
    total: &mut u64,
) -> Result<(), FolderError> {
    let bytes = fs::read(path).map_err(|source| FolderError::Read {
        path: path.to_owned(),
        source,
    })?;
    *total += bytes.len() as u64;
    if *total > MAX_BYTES {
        return Err(FolderError::Unsupported {
            path: path.to_owned(),
            reason: "the Blueprint's files are larger than 32 MiB together; keep images and archives elsewhere",
        });
    }
    files.insert(name, bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_from_disk_and_what_is_read_from_git_are_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [
            ("blueprint.yaml", true),
            ("README.md", true),
            ("chart/Chart.yaml", true),
            ("card/icon.svg", true),
            ("tests/plain/config.yaml", true),
            ("src/main.rs", false),
            ("Makefile", false),
            ("yanked.yaml", false),
        ];
        for (path, _) in paths {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
        let read = read_folder(folder.path()).unwrap();
        for (path, expected) in paths {
            assert_eq!(is_part(path), expected, "{path}");
            assert_eq!(read.contains_key(path), expected, "{path}");
        }
    }
}
