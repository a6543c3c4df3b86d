//! Phase 0 ends: OpenTofu's encrypted state is put away, and what could apply it again
//! is removed. From then on the Sovereign is changed in Git. The way back takes what was
//! put away, where it is whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::directory::{self, Directory};
use crate::record::Step;

/// What is put away, from the module's folder.
const KEPT: [&str; 3] = [
    "terraform.tfstate",
    "tofu.auto.tfvars.json",
    ".terraform.lock.hcl",
];

/// The list of what was put away.
const LIST: &str = "archive.json";

/// Why nothing was put away, or taken back.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Something is still to be done.
    #[error("cannot archive: the step to {} is not done; run `catalyst provision resume` first", .step.title())]
    Unfinished {
        /// The step.
        step: Step,
    },
    /// The state is not encrypted.
    #[error("cannot archive {}: it is not encrypted, and holds secrets; look at who wrote it", .path.display())]
    Clear {
        /// The file.
        path: PathBuf,
    },
    /// Nothing was put away.
    #[error(
        "cannot restore {sovereign}: its state is not archived; see `catalyst provision status`"
    )]
    NotArchived {
        /// The Sovereign.
        sovereign: String,
    },
    /// There is nothing to take back.
    #[error("cannot restore from {}: there is no archive in it; name one with --from, or put the directory back from its copy", .path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// What was put away is no longer what it was.
    #[error("cannot restore from {}: {reason}; put the archive back from its copy", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What was put away cannot be read.
    #[error(
        "cannot restore {sovereign}: the archived state cannot be read, so it stays archived: {reason}; see that `passphrase` in its directory is the one that it was archived with"
    )]
    Unreadable {
        /// The Sovereign.
        sovereign: String,
        /// What OpenTofu said.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot archive or restore {}: {source}", .path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Access { path, source }
}

/// Copies state, variables, provider lock, module and the passphrase's name into a folder of its
/// own, with a list of their digests, and gives the folder.
pub(crate) fn put_away(directory: &Directory, now: Timestamp) -> Result<PathBuf, ArchiveError> {
    let module = directory.module();
    let folder = directory
        .path()
        .join("archive")
        .join(now.strftime("%Y%m%dT%H%M%SZ").to_string());
    directory::private_folder(&folder).map_err(failed(&folder))?;
    let mut digests = serde_json::Map::new();
    for name in KEPT {
        let path = module.join(name);
        let content = match fs::read(&path) {
            Ok(content) => content,
            // A module without providers has no lock file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.starts_with('.') => {
                continue;
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        if name == "terraform.tfstate" && !is_encrypted(&content) {
            return Err(ArchiveError::Clear { path });
        }
        let copy = folder.join(name);
        directory::write(&copy, &content).map_err(failed(&copy))?;
        digests.insert(
            name.to_owned(),
            json!(hex::encode(Sha256::digest(&content))),
        );
    }
    let list = folder.join(LIST);
    let text = json!({
        "at": now,
        "sha256": digests,
        "encryption": "TF_ENCRYPTION with pbkdf2 and aes_gcm; the passphrase is in the file `passphrase` of the Sovereign's directory, or in the vault of the control plane that did this",
    });
    let text = format!("{text:#}\n");
    directory::write(&list, text.as_bytes()).map_err(failed(&list))?;
    Ok(folder)
}

#[derive(Deserialize)]
struct List {
    sha256: BTreeMap<String, String>,
}

/// Puts what lies in an archive, the newest of the directory if none is named, back into
/// the module's folder, and gives the archive's folder. It is looked at whole before
/// anything is written.
pub(crate) fn take_back(
    directory: &Directory,
    from: Option<&Path>,
) -> Result<PathBuf, ArchiveError> {
    let folder = match from {
        Some(from) => from.to_owned(),
        None => newest(&directory.path().join("archive"))?,
    };
    let path = folder.join(LIST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ArchiveError::Absent { path: folder });
        }
        Err(error) => return Err(failed(&path)(error)),
    };
    let list: List = serde_json::from_slice(&text).map_err(|error| ArchiveError::Damaged {
        path,
        reason: error.to_string(),
    })?;
    let mut files = Vec::new();
    for name in KEPT {
        let path = folder.join(name);
        let damaged = |reason: &str| ArchiveError::Damaged {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let Some(digest) = list.sha256.get(name) else {
            // A module without providers had no lock file.
            if name.starts_with('.') {
                continue;
            }
            return Err(damaged("it is not in the archive's list"));
        };
        let content = fs::read(&path).map_err(|error| damaged(&error.to_string()))?;
        if hex::encode(Sha256::digest(&content)) != *digest {
            return Err(damaged("it was changed since it was archived"));
        }
        if name == "terraform.tfstate" && !is_encrypted(&content) {
            return Err(ArchiveError::Clear { path });
        }
        files.push((name, content));
    }
    let module = directory.module();
    directory::private_folder(&module).map_err(failed(&module))?;
    for (name, content) in files {
        let path = module.join(name);
        directory::write(&path, &content).map_err(failed(&path))?;
    }
    Ok(folder)
}

/// The newest archive: their names are the times when they were made.
fn newest(folder: &Path) -> Result<PathBuf, ArchiveError> {
    let absent = || ArchiveError::Absent {
        path: folder.to_owned(),
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent()),
        Err(error) => return Err(failed(folder)(error)),
    };
    let mut newest = None;
    for entry in entries {
        let path = entry.map_err(failed(folder))?.path();
        newest = newest.max(Some(path));
    }
    newest.ok_or_else(absent)
}

/// Removes the module's folder, so that nothing applies it again.
pub(crate) fn clear(directory: &Directory) -> Result<(), ArchiveError> {
    let module = directory.module();
    match fs::remove_dir_all(&module) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&module)(error)),
        _ => Ok(()),
    }
}

/// Whether a state is one that OpenTofu has encrypted: it says so, and names no resource.
fn is_encrypted(state: &[u8]) -> bool {
    let state: Value = serde_json::from_slice(state).unwrap_or_default();
    state.get("encrypted_data").is_some_and(Value::is_string) && state.get("resources").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = r#"{"serial":1,"encrypted_data":"AAAA","encryption_version":"v0"}"#;

    fn write(folder: &Path, name: &str, text: &str) {
        directory::private_folder(folder).unwrap();
        directory::write(&folder.join(name), text.as_bytes()).unwrap();
    }

    /// A directory whose state was put away, with the archive's folder.
    fn archived(root: &Path) -> (Directory, PathBuf) {
        let directory = Directory::open(root, "omantel.example").unwrap();
        let module = directory.module();
        write(&module, "terraform.tfstate", STATE);
        write(&module, "tofu.auto.tfvars.json", "{}");
        write(&module, ".terraform.lock.hcl", "provider");
        let old = Timestamp::UNIX_EPOCH;
        put_away(&directory, old).unwrap();
        write(&module, "tofu.auto.tfvars.json", r#"{"newer": true}"#);
        let folder = put_away(&directory, Timestamp::now()).unwrap();
        clear(&directory).unwrap();
        (directory, folder)
    }

    #[test]
    fn what_was_put_away_last_is_taken_back_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let (directory, folder) = archived(root.path());
        let module = directory.module();
        assert!(!module.exists());
        assert_eq!(take_back(&directory, None).unwrap(), folder);
        for (name, expected) in [
            ("terraform.tfstate", STATE),
            ("tofu.auto.tfvars.json", r#"{"newer": true}"#),
            (".terraform.lock.hcl", "provider"),
        ] {
            let path = module.join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), expected, "{name}");
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let old = root.path().join("archive/19700101T000000Z");
        assert_eq!(take_back(&directory, Some(&old)).unwrap(), old);
        let variables = module.join("tofu.auto.tfvars.json");
        assert_eq!(fs::read_to_string(variables).unwrap(), "{}");
    }

    #[test]
    fn an_archive_that_is_not_whole_is_not_taken_back_and_nothing_is_written() {
        let clear_state = r#"{"version":4,"resources":[]}"#;
        for (name, text, expected) in [
            ("terraform.tfstate", Some("{}"), "was changed"),
            ("terraform.tfstate", None, "No such file"),
            ("tofu.auto.tfvars.json", Some("{} "), "was changed"),
            (LIST, Some("{"), "archive.json"),
            (LIST, Some(r#"{"sha256": {}}"#), "not in the archive's list"),
            (LIST, None, "there is no archive in it"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let (directory, folder) = archived(root.path());
            match text {
                Some(text) => write(&folder, name, text),
                None => fs::remove_file(folder.join(name)).unwrap(),
            }
            let error = take_back(&directory, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{name} {text:?}: {error}");
            assert!(!directory.module().exists(), "{name} {text:?}");
        }
        // Whoever wrote the list anew as well does not get a state in the clear back.
        let root = tempfile::tempdir().unwrap();
        let (directory, folder) = archived(root.path());
        let digest = |text: &str| hex::encode(Sha256::digest(text.as_bytes()));
        write(&folder, "terraform.tfstate", clear_state);
        let variables = digest(r#"{"newer": true}"#);
        let list = json!({"sha256": {"terraform.tfstate": digest(clear_state), "tofu.auto.tfvars.json": variables}});
        write(&folder, LIST, &list.to_string());
        let error = take_back(&directory, None).unwrap_err();
        assert!(matches!(error, ArchiveError::Clear { .. }), "{error}");

        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path(), "omantel.example").unwrap();
        let error = take_back(&directory, None).unwrap_err();
        assert!(matches!(error, ArchiveError::Absent { .. }), "{error}");
    }

    #[test]
    fn only_an_encrypted_state_is_put_away() {
        for (state, expected) in [
            (
                r#"{"serial":1,"encrypted_data":"AAAA","encryption_version":"v0"}"#,
                true,
            ),
            (r#"{"version":4,"resources":[]}"#, false),
            (r#"{"encrypted_data":"AAAA","resources":[]}"#, false),
            ("", false),
        ] {
            assert_eq!(is_encrypted(state.as_bytes()), expected, "{state}");
        }
    }
}
