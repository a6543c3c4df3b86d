//! Objects on trial: written beside a repository, visible to the checks, and
//! either moved in or thrown away.
//!
//! A push or a REST write first lands here; the repository itself is not
//! touched until the pre-receive check has agreed. What must stay true:
//! dropping a quarantine leaves no trace, and [`Quarantine::accept`] returns
//! only when the objects are durable in the repository.

use std::path::{Path, PathBuf};

use super::{Repository, Result, file_error, initialise, sync_directory};

/// A place for new objects, removed when dropped.
#[derive(Debug)]
pub struct Quarantine {
    directory: PathBuf,
    home: PathBuf,
}

impl Quarantine {
    /// Opens an empty quarantine for a repository below `parent`.
    pub fn open(parent: &Path, repository: &Repository) -> Result<Self> {
        let directory = parent.join(format!("{}.git", uuid::Uuid::new_v4()));
        let home = repository.directory().join("objects");
        let quarantine = Self { directory, home };
        initialise(&quarantine.directory, "main")?;
        let alternates = quarantine.objects().join("info/alternates");
        let home =
            std::path::absolute(&quarantine.home).map_err(file_error("find", &quarantine.home))?;
        std::fs::write(&alternates, format!("{}\n", home.display()))
            .map_err(file_error("write", &alternates))?;
        Ok(quarantine)
    }

    /// Where its objects lie.
    pub fn objects(&self) -> PathBuf {
        self.directory.join("objects")
    }

    /// The repository (its refs) with the objects of the quarantine.
    pub fn view(&self, repository: &Repository) -> Repository {
        repository.with_objects(&self.objects())
    }

    /// A repository of its own, without refs, that shares the objects.
    pub fn scratch(&self) -> Repository {
        Repository::at(&self.directory)
    }

    /// Moves the objects into the repository. A pack's index comes last, since
    /// it is what makes the pack visible.
    pub fn accept(self) -> Result<()> {
        let from = self.objects();
        let packs = from.join("pack");
        let mut files = names(&packs)?;
        files.sort_by_key(|name| name.ends_with(".idx"));
        let mut moved = false;
        for name in &files {
            move_file(&packs.join(name), &self.home.join("pack").join(name))?;
            moved = true;
        }
        if moved {
            sync_directory(&self.home.join("pack"))?;
        }
        for fan in names(&from)?.into_iter().filter(|name| name.len() == 2) {
            let target = self.home.join(&fan);
            std::fs::create_dir_all(&target).map_err(file_error("make", &target))?;
            for name in names(&from.join(&fan))? {
                move_file(&from.join(&fan).join(&name), &target.join(&name))?;
            }
            sync_directory(&target)?;
        }
        sync_directory(&self.home)
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, directory = %self.directory.display(), "quarantine not removed");
        }
    }
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).map_err(file_error("list", directory))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(file_error("list", directory))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

fn move_file(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(file_error("move into the repository", to))
}
