//! A pod's folder: its writable layers, volumes and generated files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::Path;

use crate::NodeError;
use crate::resolve::FileContent;

/// Creates a directory with a mode and, for a range of users, an owner.
pub(crate) fn make_folder(
    path: &Path,
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<(), NodeError> {
    fs::create_dir_all(path).map_err(|e| NodeError::file("create", path, e))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|e| NodeError::file("set the mode of", path, e))?;
    if let Some((uid, gid)) = owner {
        chown(path, Some(uid), Some(gid)).map_err(|e| NodeError::file("give away", path, e))?;
    }
    Ok(())
}

/// Makes a folder contain exactly these files, each replaced in one step.
pub(crate) fn write_files(
    folder: &Path,
    files: &BTreeMap<String, FileContent>,
    owner: Option<(u32, u32)>,
) -> Result<(), NodeError> {
    make_folder(folder, 0o755, owner)?;
    remove_unlisted(folder, folder, files)?;
    for (name, content) in files {
        let path = folder.join(name);
        let mut parent = folder.to_owned();
        if let Some(below) = Path::new(name).parent() {
            for part in below.components() {
                parent.push(part);
                make_folder(&parent, 0o755, owner)?;
            }
        }
        write_file(&path, &content.bytes, content.mode, owner)?;
    }
    Ok(())
}

/// Writes one file in one step.
pub(crate) fn write_file(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<(), NodeError> {
    use std::io::Write as _;
    if fs::read(path).is_ok_and(|current| current == bytes) {
        return Ok(());
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let temporary = path.with_file_name(format!(".{name}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(|e| NodeError::file("create", &temporary, e))?;
    file.write_all(bytes)
        .map_err(|e| NodeError::file("write", &temporary, e))?;
    if let Some((uid, gid)) = owner {
        chown(&temporary, Some(uid), Some(gid))
            .map_err(|e| NodeError::file("give away", &temporary, e))?;
    }
    fs::set_permissions(&temporary, fs::Permissions::from_mode(mode))
        .map_err(|e| NodeError::file("set the mode of", &temporary, e))?;
    fs::rename(&temporary, path).map_err(|e| NodeError::file("write", path, e))
}

fn remove_unlisted(
    root: &Path,
    folder: &Path,
    files: &BTreeMap<String, FileContent>,
) -> Result<(), NodeError> {
    let listing = fs::read_dir(folder).map_err(|e| NodeError::file("read", folder, e))?;
    for entry in listing.flatten() {
        let path = entry.path();
        let Ok(name) = path.strip_prefix(root) else {
            continue;
        };
        let name = name.to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if files.keys().any(|f| f.starts_with(&format!("{name}/"))) {
                remove_unlisted(root, &path, files)?;
            } else {
                force_remove(&path)?;
            }
        } else if !files.contains_key(&name) {
            fs::remove_file(&path).map_err(|e| NodeError::file("remove", &path, e))?;
        }
    }
    Ok(())
}

/// Removes a tree even where a container took its own permissions away. Links
/// are removed, never followed.
pub(crate) fn force_remove(path: &Path) -> Result<(), NodeError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(NodeError::file("look at", path, e)),
    };
    if !metadata.is_dir() {
        return fs::remove_file(path).map_err(|e| NodeError::file("remove", path, e));
    }
    if metadata.permissions().mode() & 0o700 != 0o700 {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(path)
        .map_err(|e| NodeError::file("read", path, e))?
        .flatten()
    {
        force_remove(&entry.path())?;
    }
    fs::remove_dir(path).map_err(|e| NodeError::file("remove", path, e))
}
