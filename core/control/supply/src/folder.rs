//! What belongs to a Blueprint's folder, and reading it from disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
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
        if kind_of(&path)?.is_some() {
            add(&path, name.to_owned(), &mut files, &mut total)?;
        }
    }
    for part in PARTS {
        let path = folder.join(part);
        if kind_of(&path)?.is_some_and(|kind| kind.is_dir()) {
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
        let inner = format!("{prefix}/{name}");
        match kind_of(&path)? {
            Some(kind) if kind.is_dir() => walk(&path, &inner, files, total)?,
            Some(kind) if kind.is_file() => add(&path, inner, files, total)?,
            _ => {}
        }
    }
    Ok(())
}

/// What is there, if something is. A link is refused: it could carry a file from outside
/// the folder into the artifact.
fn kind_of(path: &Path) -> Result<Option<fs::FileType>, FolderError> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_symlink() => Err(FolderError::Unsupported {
            path,
            reason: "it is a symbolic link; copy the file in its place",
        }),
        Ok(found) => Ok(Some(found.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::Read { path, source }),
    }
}

fn add(
    path: &Path,
    name: String,
    files: &mut BTreeMap<String, Vec<u8>>,
    total: &mut u64,
) -> Result<(), FolderError> {
    let left = MAX_BYTES.saturating_sub(*total);
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(left + 1).read_to_end(&mut bytes))
        .map_err(|source| FolderError::Read {
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

    #[test]
    fn a_link_is_refused_wherever_it_stands_and_so_is_what_is_too_large() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let (secret, all) = (outside.path().join("secret"), outside.path());
        for (link, target) in [
            ("README.md", secret.as_path()),
            ("blueprint.yaml", secret.as_path()),
            ("chart", all),
            ("card/icon.svg", secret.as_path()),
            ("card/more", all),
            ("tests", Path::new("/nowhere")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            if link != "blueprint.yaml" {
                fs::write(folder.path().join("blueprint.yaml"), "x").unwrap();
            }
            let path = folder.path().join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, &path).unwrap();
            let error = read_folder(folder.path()).unwrap_err().to_string();
            assert!(error.contains("symbolic link"), "{link}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("blueprint.yaml"), "x").unwrap();
        let large = fs::File::create(folder.path().join("README.md")).unwrap();
        // Of a file of 1 TiB no more is read than there may be.
        large.set_len(1 << 40).unwrap();
        let error = read_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("larger than 32 MiB"), "{error}");
    }
}
