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
    #[error("could not read {path}; check that it exists and may be read")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something that cannot go into an artifact.
    #[error("could not read {path}: {reason}; {fix}")]
    Unfit {
        /// What was met.
        path: PathBuf,
        /// Why it cannot.
        reason: &'static str,
        /// What to do about it.
        fix: &'static str,
    },
}

/// Whether a file belongs to the Blueprint in whose folder it has this path.
pub fn is_part(path: &str) -> bool {
    FILES.contains(&path)
        || path
            .split_once('/')
            .is_some_and(|(part, _)| PARTS.contains(&part))
}

/// Something in a folder that cannot go into an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unfit {
    /// Its path in the folder, with `/`.
    pub path: String,
    /// What it is.
    pub reason: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

/// Files as path → bytes.
type Files = BTreeMap<String, Vec<u8>>;

/// The folder's files as path → bytes, as lint and pack take them.
pub fn read_folder(folder: &Path) -> Result<Files, FolderError> {
    let (files, unfit) = read_folder_with_unfit(folder)?;
    match unfit.into_iter().next() {
        None => Ok(files),
        Some(unfit) => Err(FolderError::Unfit {
            path: folder.join(unfit.path),
            reason: unfit.reason,
            fix: unfit.fix,
        }),
    }
}

/// The same with all that cannot go into an artifact, in the order of the paths, for who
/// tells of everything at once.
pub fn read_folder_with_unfit(folder: &Path) -> Result<(Files, Vec<Unfit>), FolderError> {
    let mut reader = Reader::default();
    for name in FILES {
        let path = folder.join(name);
        match kind_of(&path)? {
            Some(kind) if kind.is_symlink() => reader.link(name.to_owned()),
            Some(kind) if kind.is_file() => reader.add(&path, name.to_owned())?,
            Some(_) => reader.unfit.push(Unfit {
                path: name.to_owned(),
                reason: "it is no file",
                fix: "put a file in its place",
            }),
            None => {}
        }
    }
    for part in PARTS {
        let path = folder.join(part);
        match kind_of(&path)? {
            Some(kind) if kind.is_symlink() => reader.link(part.to_owned()),
            Some(kind) if kind.is_dir() => reader.walk(&path, part)?,
            _ => {}
        }
    }
    if reader.files.is_empty() && reader.unfit.is_empty() {
        return Err(FolderError::Read {
            path: folder.join("blueprint.yaml"),
            source: io::Error::from(io::ErrorKind::NotFound),
        });
    }
    reader.unfit.sort();
    Ok((reader.files, reader.unfit))
}

/// What is there, if something is.
fn kind_of(path: &Path) -> Result<Option<fs::FileType>, FolderError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A folder on its way to being read.
#[derive(Default)]
struct Reader {
    files: BTreeMap<String, Vec<u8>>,
    unfit: Vec<Unfit>,
    total: u64,
}

impl Reader {
    /// A link could carry a file from outside the folder into the artifact.
    fn link(&mut self, path: String) {
        self.unfit.push(Unfit {
            path,
            reason: "it is a symbolic link",
            fix: "copy the file in its place",
        });
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> Result<(), FolderError> {
        let failed = |source| FolderError::Read {
            path: folder.to_owned(),
            source,
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name();
            let inner = format!("{prefix}/{}", name.to_string_lossy());
            if name.to_str().is_none() {
                self.unfit.push(Unfit {
                    path: inner,
                    reason: "its name is not UTF-8",
                    fix: "rename it",
                });
                continue;
            }
            match kind_of(&path)? {
                Some(kind) if kind.is_symlink() => self.link(inner),
                Some(kind) if kind.is_dir() => self.walk(&path, &inner)?,
                Some(kind) if kind.is_file() => self.add(&path, inner)?,
                Some(_) => self.unfit.push(Unfit {
                    path: inner,
                    reason: "it is neither a file nor a folder",
                    fix: "remove it",
                }),
                // Gone meanwhile.
                None => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, name: String) -> Result<(), FolderError> {
        let left = MAX_BYTES.saturating_sub(self.total);
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(left + 1).read_to_end(&mut bytes))
            .map_err(|source| FolderError::Read {
                path: path.to_owned(),
                source,
            })?;
        self.total += bytes.len() as u64;
        if self.total > MAX_BYTES {
            return Err(FolderError::Unfit {
                path: path.to_owned(),
                reason: "the Blueprint's files are larger than 32 MiB together",
                fix: "keep images and archives elsewhere",
            });
        }
        self.files.insert(name, bytes);
        Ok(())
    }
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

    #[test]
    fn all_that_cannot_be_packed_is_told_beside_what_can() {
        let folder = tempfile::tempdir().unwrap();
        let chart = folder.path().join("chart");
        fs::create_dir_all(&chart).unwrap();
        fs::write(folder.path().join("blueprint.yaml"), "x").unwrap();
        fs::write(chart.join("Chart.yaml"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", chart.join("b")).unwrap();
        // Neither a file nor a folder, and nothing waits for it as for a FIFO.
        let _socket = std::os::unix::net::UnixListener::bind(chart.join("a")).unwrap();
        let (files, unfit) = read_folder_with_unfit(folder.path()).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["blueprint.yaml", "chart/Chart.yaml"]);
        let told: Vec<(&str, &str)> = unfit
            .iter()
            .map(|it| (it.path.as_str(), it.reason))
            .collect();
        assert_eq!(
            told,
            [
                ("chart/a", "it is neither a file nor a folder"),
                ("chart/b", "it is a symbolic link"),
            ]
        );
        let error = read_folder(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("it is neither a file nor a folder; remove it"),
            "{error}"
        );
    }
}
