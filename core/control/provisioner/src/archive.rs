//! Phase 0 ends: OpenTofu's encrypted state is put away, and what could apply it again
//! is removed. From then on the Sovereign is changed in Git.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
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

/// Why nothing was put away.
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
    /// A file could not be read or written.
    #[error("cannot archive {}: {source}", .path.display())]
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
    let list = folder.join("archive.json");
    let text = json!({
        "at": now,
        "sha256": digests,
        "encryption": "TF_ENCRYPTION with pbkdf2 and aes_gcm; the passphrase is in the file `passphrase` of the Sovereign's directory",
    });
    let text = format!("{text:#}\n");
    directory::write(&list, text.as_bytes()).map_err(failed(&list))?;
    Ok(folder)
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
