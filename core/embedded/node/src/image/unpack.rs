//! Unpacks a layer archive into a directory, never outside it.
//!
//! Every path is opened component by component from a handle on the root with
//! no link followed, so neither `..`, nor absolute names, nor links that an
//! earlier entry planted lead anywhere else. Whiteouts become what overlayfs
//! understands: a character device 0:0, and an attribute on opaque directories.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags};
use rustix::io::Errno;

use crate::NodeError;
use crate::interrupt::retry_on_interrupt;

/// Most bytes one layer may unpack to.
const SIZE_LIMIT: u64 = 16 << 30;
/// Most entries one layer may have.
const ENTRY_LIMIT: u64 = 2_000_000;

/// Unpacks a plain tar stream into `root`. With `base`, files belong to the
/// machine's user `base + n` for the archive's user n; without, to the caller.
pub fn unpack(archive: impl Read, root: &Path, base: Option<u32>) -> Result<(), NodeError> {
    let root = rustix::fs::open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| NodeError::file("open", root, e.into()))?;
    let mut archive = tar::Archive::new(archive);
    let mut unpacked = 0u64;
    let mut folders: Vec<(PathBuf, u32)> = Vec::new();
    let broken = |e: std::io::Error| NodeError::Unpack {
        entry: "(archive)".to_owned(),
        reason: format!("the archive is damaged: {e}"),
    };
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.into_owned();
        let fail = |reason: String| NodeError::Unpack {
            entry: name.display().to_string(),
            reason,
        };
        unpacked = unpacked.saturating_add(entry.size());
        if unpacked > SIZE_LIMIT || count as u64 >= ENTRY_LIMIT {
            return Err(fail(
                "the layer is larger than this node accepts".to_owned(),
            ));
        }
        let Some(path) = relative(&name).map_err(fail)? else {
            continue;
        };
        write_entry(&mut entry, &root, &path, base, &mut folders).map_err(fail)?;
    }
    // Modes last: a read-only directory must still take its own contents.
    for (path, mode) in folders.into_iter().rev() {
        if let Ok(folder) = open_folder(&root, &path) {
            let _ = rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode));
        }
    }
    Ok(())
}

/// The name without leading `/` and `.`; `None` for the root itself.
fn relative(name: &Path) -> Result<Option<PathBuf>, String> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err("its name leads out of the image".to_owned());
            }
        }
    }
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

fn write_entry<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    root: &OwnedFd,
    path: &Path,
    base: Option<u32>,
    folders: &mut Vec<(PathBuf, u32)>,
) -> Result<(), String> {
    let (Some(name), parent) = (path.file_name(), path.parent().unwrap_or(Path::new(""))) else {
        return Ok(());
    };
    let parent = make_folders(root, parent, base)?;
    if let Some(hidden) = name.as_bytes().strip_prefix(b".wh.") {
        return whiteout(&parent, hidden);
    }
    let header = entry.header().clone();
    let mode = header.mode().unwrap_or(0o644) & 0o7777;
    let owner = (header.uid().unwrap_or(0), header.gid().unwrap_or(0));
    let kind = header.entry_type();
    if kind.is_dir() {
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) if is_folder(&parent, name) => {}
            Err(Errno::EXIST) => {
                remove(&parent, name)?;
                rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                    .map_err(|e| e.to_string())?;
            }
            Err(e) => return Err(e.to_string()),
        }
        set_owner(&parent, name, owner, base)?;
        folders.push((path.to_owned(), usable(mode, base, 0o700)));
        return Ok(());
    }
    remove(&parent, name)?;
    if kind.is_file() || kind == tar::EntryType::Continuous || kind == tar::EntryType::GNUSparse {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let private = Mode::from_raw_mode(0o600);
        let file = retry_on_interrupt(|| rustix::fs::openat(&parent, name, flags, private))
            .map_err(|e| e.to_string())?;
        let mut file = File::from(file);
        std::io::copy(entry, &mut file).map_err(|e| e.to_string())?;
        set_owner(&parent, name, owner, base)?;
        // After the owner: changing it clears the set-user-id bit.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(usable(mode, base, 0o400)))
            .map_err(|e| e.to_string())?;
    } else if kind.is_symlink() {
        let target = entry
            .link_name()
            .ok()
            .flatten()
            .ok_or("the link has no target")?;
        rustix::fs::symlinkat(target.as_ref(), &parent, name).map_err(|e| e.to_string())?;
        set_owner(&parent, name, owner, base)?;
    } else if kind.is_hard_link() {
        let target = entry
            .link_name()
            .ok()
            .flatten()
            .ok_or("the link has no target")?;
        let target = relative(&target)?.ok_or("the link names the root")?;
        let (Some(target_name), target_parent) =
            (target.file_name(), target.parent().unwrap_or(Path::new("")))
        else {
            return Err("the link names the root".to_owned());
        };
        let target_parent =
            open_folder(root, target_parent).map_err(|e| format!("the hard link's target: {e}"))?;
        rustix::fs::linkat(&target_parent, target_name, &parent, name, AtFlags::empty())
            .map_err(|e| format!("the hard link's target: {e}"))?;
    } else if kind == tar::EntryType::Fifo {
        rustix::fs::mknodat(&parent, name, FileType::Fifo, Mode::from_raw_mode(mode), 0)
            .map_err(|e| e.to_string())?;
        set_owner(&parent, name, owner, base)?;
    }
    // Device nodes are left out: a container gets its own /dev, and the node
    // must not create devices an image asks for. Other kinds are metadata.
    Ok(())
}

/// Without a range of users everything is the caller's, who must be able to
/// read it to run it and to delete it again.
fn usable(mode: u32, base: Option<u32>, least: u32) -> u32 {
    if base.is_some() {
        mode
    } else {
        (mode & 0o1777) | least
    }
}

fn whiteout(parent: &OwnedFd, hidden: &[u8]) -> Result<(), String> {
    if hidden == b".wh..opq" {
        return rustix::fs::fsetxattr(parent, "user.overlay.opaque", b"y", XattrFlags::empty())
            .map_err(|e| format!("mark an opaque directory: {e}"));
    }
    if hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.starts_with(b".wh.") {
        return Err("the whiteout names nothing that can be hidden".to_owned());
    }
    let name = OsStr::from_bytes(hidden);
    remove(parent, name)?;
    rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
        .map_err(|e| format!("create a whiteout: {e}"))
}

/// Opens a folder below the root, creating what is missing. A link on the way
/// is replaced by a folder when it is a leaf of an earlier entry of the same
/// layer, as other engines resolve it inside the image.
fn make_folders(root: &OwnedFd, path: &Path, base: Option<u32>) -> Result<OwnedFd, String> {
    match open_folder(root, path) {
        Ok(folder) => return Ok(folder),
        Err(Errno::NOENT) => {}
        Err(e) => return Err(format!("its folder cannot be used: {e}")),
    }
    let mut current = root.try_clone().map_err(|e| e.to_string())?;
    for part in path.components() {
        let part = part.as_os_str();
        match rustix::fs::mkdirat(&current, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => set_owner(&current, part, (0, 0), base)?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.to_string()),
        }
        current = open_folder(&current, Path::new(part))
            .map_err(|e| format!("its folder cannot be used: {e}"))?;
    }
    Ok(current)
}

/// Opens a folder below `root`; links inside the image are resolved as if the
/// image were the whole file system.
fn open_folder(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    retry_on_interrupt(|| rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve))
}

fn is_folder(parent: &OwnedFd, name: &OsStr) -> bool {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory)
}

/// Removes whatever an earlier entry left under the name.
fn remove(parent: &OwnedFd, name: &OsStr) -> Result<(), String> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) if is_folder(parent, name) => {
            let folder = rustix::fs::openat(
                parent,
                name,
                OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(|e| e.to_string())?;
            let listing = rustix::fs::Dir::read_from(&folder).map_err(|e| e.to_string())?;
            for item in listing {
                let item = item.map_err(|e| e.to_string())?;
                let child = OsStr::from_bytes(item.file_name().to_bytes());
                if child != "." && child != ".." {
                    remove(&folder, child)?;
                }
            }
            rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(|e| e.to_string())
        }
        Err(e) => Err(e.to_string()),
    }
}

fn set_owner(
    parent: &OwnedFd,
    name: &OsStr,
    owner: (u64, u64),
    base: Option<u32>,
) -> Result<(), String> {
    let Some(base) = base else { return Ok(()) };
    // Ids above the range belong to nobody.
    let shift = |id: u64| {
        base + u32::try_from(id)
            .ok()
            .filter(|id| *id < 65_536)
            .unwrap_or(65_534)
    };
    rustix::fs::chownat(
        parent,
        name,
        Some(Uid::from_raw(shift(owner.0))),
        Some(Gid::from_raw(shift(owner.1))),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(|e| format!("set its owner: {e}"))
}
