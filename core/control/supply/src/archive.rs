//! Archives whose bytes depend on nothing but what is in them: entries sorted,
//! owners and times zero, modes fixed, gzip header without time, name or system.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use tar::{Builder, EntryType, Header};

/// The most bytes an archive may unpack to.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024;

/// What a path in an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file's bytes, and whether it may be executed.
    File {
        /// The bytes.
        bytes: Vec<u8>,
        /// Mode 0755 instead of 0644.
        executable: bool,
    },
    /// A folder with its mode.
    Folder {
        /// Permission bits, such as 0o1777 for `/tmp`.
        mode: u32,
    },
    /// A symbolic link to a path.
    Link(String),
}

/// A path and what it is. Paths are relative, with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: String,
    /// What.
    pub kind: EntryKind,
}

impl Entry {
    /// A plain file.
    pub fn file(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            kind: EntryKind::File {
                bytes: bytes.into(),
                executable: false,
            },
        }
    }

    /// A program.
    pub fn program(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            kind: EntryKind::File {
                bytes: bytes.into(),
                executable: true,
            },
        }
    }
}

/// Why an archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive cannot be written.
    #[error("could not write the archive: {0}")]
    Write(#[source] io::Error),
    /// The archive cannot be read.
    #[error("could not read the archive: {0}; pull it again")]
    Read(#[source] io::Error),
    /// A path that leads out of the archive, or is given twice.
    #[error("could not use the archive: the path `{path}` {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It unpacks to more than is reasonable.
    #[error("could not use the archive: it unpacks to more than {MAX_UNPACKED} bytes")]
    TooLarge,
}

/// A tar of the entries, sorted by path.
pub(crate) fn tar_bytes(entries: &[Entry]) -> Result<Vec<u8>, ArchiveError> {
    let mut sorted: BTreeMap<&str, &EntryKind> = BTreeMap::new();
    for entry in entries {
        check_path(&entry.path)?;
        if sorted.insert(&entry.path, &entry.kind).is_some() {
            return Err(ArchiveError::Path {
                path: entry.path.clone(),
                reason: "is given twice",
            });
        }
    }
    write_tar(sorted.into_iter()).map_err(ArchiveError::Write)
}

/// A tar in the order given, for charts, whose Chart.yaml comes first.
pub(crate) fn tar_in_order(entries: &[Entry]) -> Result<Vec<u8>, ArchiveError> {
    entries
        .iter()
        .try_for_each(|entry| check_path(&entry.path))?;
    write_tar(
        entries
            .iter()
            .map(|entry| (entry.path.as_str(), &entry.kind)),
    )
    .map_err(ArchiveError::Write)
}

fn write_tar<'a>(entries: impl Iterator<Item = (&'a str, &'a EntryKind)>) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind) in entries {
        let mut header = Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        match kind {
            EntryKind::File { bytes, executable } => {
                header.set_entry_type(EntryType::Regular);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, bytes.as_slice())?;
            }
            EntryKind::Folder { mode } => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(*mode);
                builder.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            EntryKind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                builder.append_link(&mut header, path, target)?;
            }
        }
    }
    builder.into_inner()
}

/// Compresses; the header carries no time, no name and an unknown system.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).map_err(ArchiveError::Write)?;
    encoder.finish().map_err(ArchiveError::Write)
}

/// The files of a gzipped tar, path → bytes. Anything but files and folders, and
/// any path that leads outside, is refused.
pub(crate) fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, ArchiveError> {
    let limited = GzDecoder::new(bytes).take(MAX_UNPACKED + 1);
    let mut archive = tar::Archive::new(limited);
    let mut files = BTreeMap::new();
    let mut total = 0u64;
    for entry in archive.entries().map_err(ArchiveError::Read)? {
        let mut entry = entry.map_err(ArchiveError::Read)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular => {}
            _ => {
                return Err(ArchiveError::Path {
                    path,
                    reason: "is neither a file nor a folder",
                });
            }
        }
        check_path(&path)?;
        let mut content = Vec::new();
        entry
            .read_to_end(&mut content)
            .map_err(ArchiveError::Read)?;
        total += content.len() as u64;
        if total > MAX_UNPACKED {
            return Err(ArchiveError::TooLarge);
        }
        // Readers differ in which of two they take.
        if files.insert(path.clone(), content).is_some() {
            return Err(ArchiveError::Path {
                path,
                reason: "is given twice",
            });
        }
    }
    // To the end, so that what is cut off behind the last file is noticed too.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(ArchiveError::Read)?;
    if rest.limit() == 0 {
        return Err(ArchiveError::TooLarge);
    }
    Ok(files)
}

fn check_path(path: &str) -> Result<(), ArchiveError> {
    let reason = if path.is_empty() || path.starts_with('/') {
        "is empty or absolute"
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "leads outside or is not plain"
    } else {
        return Ok(());
    };
    Err(ArchiveError::Path {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_entries_changes_nothing() {
        let one = [Entry::file("b", "2"), Entry::program("a/c", "1")];
        let two = [Entry::program("a/c", "1"), Entry::file("b", "2")];
        let packed = gzip(&tar_bytes(&one).unwrap()).unwrap();
        assert_eq!(packed, gzip(&tar_bytes(&two).unwrap()).unwrap());
        assert_eq!(&packed[..10], &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        let files = unpack(&packed).unwrap();
        assert_eq!(files["a/c"], b"1");
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn paths_that_lead_outside_are_refused() {
        for path in ["../x", "/x", "a/../../x", "", "a//b"] {
            assert!(tar_bytes(&[Entry::file(path, "")]).is_err(), "{path}");
        }
        assert!(tar_bytes(&[Entry::file("a", ""), Entry::file("a", "")]).is_err());
        let link = Entry {
            path: "l".into(),
            kind: EntryKind::Link("/etc/passwd".into()),
        };
        let packed = gzip(&tar_bytes(&[link]).unwrap()).unwrap();
        assert!(matches!(unpack(&packed), Err(ArchiveError::Path { .. })));
    }

    #[test]
    fn what_is_given_twice_or_ends_early_is_refused() {
        let once = [Entry::file("a", "1")];
        let twice = [Entry::file("a", "1"), Entry::file("a", "2")];
        let packed = gzip(&tar_in_order(&twice).unwrap()).unwrap();
        let error = unpack(&packed).unwrap_err().to_string();
        assert!(error.contains("given twice"), "{error}");
        let packed = gzip(&tar_in_order(&once).unwrap()).unwrap();
        for end in [0, 1, 10, packed.len() / 2, packed.len() - 1] {
            assert!(unpack(&packed[..end]).is_err(), "cut to {end}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0u8; 65 * 1024 * 1024];
        let packed = gzip(&tar_bytes(&[Entry::file("z", zeros)]).unwrap()).unwrap();
        assert!(unpack(&packed).is_err());
    }
}
