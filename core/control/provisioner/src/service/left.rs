//! Secrets of a Sovereign that lie as files in its private directory. There this service
//! kept them before they had a place in the vault, and there the command line keeps its own.
//!
//! What must stay true: a file goes only once whoever keeps such secrets says that it has
//! what the file says, so that a crash at any moment leaves at least one of the two; and
//! neither a job nor a run of the command line is at work meanwhile.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::begin::access;
use super::{RUN, Service, ServiceError};
use crate::archive;
use crate::directory::Directory;
use crate::record::Life;
use crate::secret::{OwnSecret, Secret};

/// What was found, until it is dropped.
#[derive(Debug)]
pub struct Left {
    directory: Directory,
    found: Vec<(OwnSecret, Secret)>,
}

impl Service {
    /// The secrets of a Sovereign that lie in its directory; `None` where there is none. Of
    /// one that is destroyed nobody needs them any more: they go, with the state that they
    /// open, which whoever makes it anew could not.
    pub fn left(&self, sovereign: &str) -> Result<Option<Left>, ServiceError> {
        let entry = self.entry(sovereign)?;
        let run = entry.folder.join(RUN);
        // Most have none: they are neither locked nor written to.
        if !OwnSecret::ALL
            .iter()
            .any(|one| run.join(one.file()).exists())
        {
            return Ok(None);
        }
        entry.require_idle(sovereign)?;
        let directory = Directory::open(&run, sovereign)?;
        let is_destroyed = directory
            .read()?
            .is_some_and(|record| record.life == Life::Destroyed);
        let mut found = Vec::new();
        for one in OwnSecret::ALL {
            if let Some(secret) = read(&run.join(one.file()))? {
                found.push((one, secret));
            }
        }
        let left = Left { directory, found };
        if is_destroyed {
            // The state first: without its passphrase nobody would know it for empty.
            archive::clear(&left.directory).map_err(|error| ServiceError::Access {
                path: left.directory.module(),
                source: io::Error::other(error),
            })?;
            left.remove(|_, _| true)?;
            return Ok(None);
        }
        Ok((!left.found.is_empty()).then_some(left))
    }
}

impl Left {
    /// Each that was found, and what it says.
    pub fn secrets(&self) -> &[(OwnSecret, Secret)] {
        &self.found
    }

    /// Removes the files of those that are kept elsewhere now, for good.
    pub fn remove(self, is_kept: impl Fn(OwnSecret, &Secret) -> bool) -> Result<(), ServiceError> {
        let folder = self.directory.path();
        for (one, secret) in &self.found {
            if !is_kept(*one, secret) {
                continue;
            }
            let path = folder.join(one.file());
            // What a run that was cut off while it wrote the file may have left beside it.
            let beside = folder.join(format!("{}.new", one.file()));
            for path in [beside, path] {
                remove(&path)?;
            }
        }
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(access(folder))
    }
}

/// What a file keeps; `None` where there is no file, or nothing in it.
fn read(path: &Path) -> Result<Option<Secret>, ServiceError> {
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => Ok(match text.trim() {
            "" => None,
            text => Some(Secret::new(text)),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(access(path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), ServiceError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(access(path)(error)),
        _ => Ok(()),
    }
}
