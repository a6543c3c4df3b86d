//! A Sovereign's private directory on the machine that provisions it.
//!
//! It holds the record of what was done, the staged module with OpenTofu's encrypted
//! state, and the secrets that this machine made. Folders are 0700, files 0600; one
//! run works in it at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::record::Record;

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another run works in it.
    #[error("cannot provision {sovereign}: another run is at work in {} ({holder}); wait for it, or end it", .path.display())]
    Busy {
        /// The Sovereign.
        sovereign: String,
        /// The directory.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// It is another Sovereign's.
    #[error("cannot provision {sovereign} in {}: it is the directory of {other}; name another with --directory", .path.display())]
    OfAnother {
        /// The Sovereign that was asked for.
        sovereign: String,
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        other: String,
    },
    /// It holds something else.
    #[error("cannot provision {sovereign} in {}: it has files and no record of a Sovereign; name an empty or new directory with --directory", .path.display())]
    Foreign {
        /// The Sovereign that was asked for.
        sovereign: String,
        /// The directory.
        path: PathBuf,
    },
    /// Nothing was ever begun there.
    #[error("cannot find the record of {sovereign}: nothing was begun in {}; run `catalyst provision apply` first, or name its directory with --directory", .path.display())]
    Absent {
        /// The Sovereign that was asked for.
        sovereign: String,
        /// The directory.
        path: PathBuf,
    },
    /// The record cannot be understood.
    #[error("cannot read the record {}: {reason}; it was not written by this version of Catalyst", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No Sovereign's record is there.
    #[error(
        "cannot tell where a Sovereign stands: nothing was begun in {}; see that it is a Sovereign's directory",
        .path.display()
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Access {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The directory, held by this run until it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    sovereign: String,
    // Held, and let go of when it is dropped.
    _lock: Lock,
}

/// A file that is locked.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a program that is being started holds a copy of it
    /// until it is there, and with it the lock.
    fn drop(&mut self) {
        _ = flock(&self.0, FlockOperation::Unlock);
    }
}

const RECORD: &str = "provision.json";
const LOCK: &str = "lock";

impl Directory {
    /// Opens the directory of a Sovereign, making it where nothing is, and keeps
    /// other runs out.
    pub fn open(path: &Path, sovereign: &str) -> Result<Self, DirectoryError> {
        private_folder(path).map_err(failed("make the folder", path))?;
        let lock_path = path.join(LOCK);
        let is_new = !path.join(RECORD).exists();
        if is_new && !lock_path.exists() {
            let mut entries = fs::read_dir(path).map_err(failed("list", path))?;
            if entries.next().is_some() {
                return Err(DirectoryError::Foreign {
                    sovereign: sovereign.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        if let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(failed("lock", &lock_path)(error.into()));
            }
            let mut holder = String::new();
            _ = lock.read_to_string(&mut holder);
            return Err(DirectoryError::Busy {
                sovereign: sovereign.to_owned(),
                path: path.to_owned(),
                holder: match holder.trim() {
                    "" => "it does not say which".to_owned(),
                    holder => holder.to_owned(),
                },
            });
        }
        let line = format!(
            "process {}, since {}",
            std::process::id(),
            jiff::Timestamp::now()
        );
        lock.set_len(0)
            .and_then(|()| lock.write_all(line.as_bytes()))
            .map_err(failed("write", &lock_path))?;
        let directory = Self {
            path: path.to_owned(),
            sovereign: sovereign.to_owned(),
            _lock: Lock(lock),
        };
        // Refuses the directory of another Sovereign before anything is changed in it.
        directory.read()?;
        Ok(directory)
    }

    /// The record as it stands, without keeping other runs out; for `status`.
    pub fn look(path: &Path, sovereign: &str) -> Result<Record, DirectoryError> {
        read_record(path, sovereign)?.ok_or_else(|| DirectoryError::Absent {
            sovereign: sovereign.to_owned(),
            path: path.to_owned(),
        })
    }

    /// The record of whatever Sovereign the directory is, without keeping other runs out.
    pub fn look_at(path: &Path) -> Result<Record, DirectoryError> {
        read_any(path)?.ok_or_else(|| DirectoryError::Empty {
            path: path.to_owned(),
        })
    }

    /// Who is at work in a Sovereign's directory, as it says itself; `None` where nobody is.
    /// The lock is shared for a moment, so that another who looks is not taken for one.
    pub fn holder(path: &Path) -> Option<String> {
        let mut file = File::open(path.join(LOCK)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                drop(Lock(file));
                None
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                _ = file.read_to_string(&mut holder);
                Some(holder.trim().to_owned())
            }
            Err(_) => None,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the module and OpenTofu's state are.
    pub fn module(&self) -> PathBuf {
        self.path.join("module")
    }

    /// The record; `None` where nothing was begun yet.
    pub fn read(&self) -> Result<Option<Record>, DirectoryError> {
        read_record(&self.path, &self.sovereign)
    }

    /// Replaces the record; a power cut leaves the old or the new one.
    pub fn save(&self, record: &Record) -> Result<(), DirectoryError> {
        let path = self.path.join(RECORD);
        let mut text = serde_json::to_vec_pretty(record)
            .map_err(|error| failed("write", &path)(io::Error::other(error)))?;
        text.push(b'\n');
        write(&path, &text).map_err(failed("write", &path))
    }
}

fn read_record(path: &Path, sovereign: &str) -> Result<Option<Record>, DirectoryError> {
    match read_any(path)? {
        Some(record) if record.sovereign != sovereign => Err(DirectoryError::OfAnother {
            sovereign: sovereign.to_owned(),
            path: path.to_owned(),
            other: record.sovereign,
        }),
        found => Ok(found),
    }
}

fn read_any(path: &Path) -> Result<Option<Record>, DirectoryError> {
    let file = path.join(RECORD);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &file)(error)),
    };
    let unreadable = |reason: String| DirectoryError::Record {
        path: file.clone(),
        reason,
    };
    let record: Record =
        serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if record.version != Record::VERSION {
        return Err(unreadable(format!("it has the form {}", record.version)));
    }
    Ok(Some(record))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Access {
        action,
        path,
        source,
    }
}

/// Makes a folder that only its owner may enter, with those above it; takes others'
/// rights away where it exists.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Takes others' rights away from the files of a folder, not of those below it.
pub(crate) fn private_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of a link it would be those of what it leads to.
        if entry.file_type()?.is_file() {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// Replaces a file that only its owner may read: written whole, on disk, then renamed.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = folder.join(name);
    // What a run that was cut off left behind may have other rights.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::{FlockOperation, flock};

    use super::{Directory, Lock};

    #[test]
    fn who_is_at_work_is_told_while_they_are() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("sovereign");
        assert_eq!(Directory::holder(&path), None);
        let directory = Directory::open(&path, "omantel.example").unwrap();
        for _ in 0..2 {
            let holder = Directory::holder(&path).unwrap();
            let process = format!("process {}, since ", std::process::id());
            assert!(holder.starts_with(&process), "{holder}");
        }
        drop(directory);
        assert_eq!(Directory::holder(&path), None);
        Directory::open(&path, "omantel.example").unwrap();
    }

    #[test]
    fn a_copy_of_the_lock_in_a_starting_program_holds_nobody_up() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let file = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        let take = |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive);
        take(&file).unwrap();
        let copy = file.try_clone().unwrap();
        let held = Lock(file);
        assert!(take(&other).is_err());
        drop(held);
        take(&other).unwrap();
        drop(copy);
    }
}
