//! Builds the container's view of the file system and moves into it.
//!
//! The image's own links must never be resolved against the machine, so the
//! root is changed first, and everything else is mounted from inside, with the
//! old root below a name the image cannot guess.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::spec::{ContainerSpec, Ids, Mount};
use super::step;

const NONE: Option<&str> = None;

/// Mounts everything and makes it the root. The caller is the first process of
/// a new process namespace.
pub fn enter(spec: &ContainerSpec) -> Result<(), String> {
    step("create a mount namespace", unshare(CloneFlags::CLONE_NEWNS))?;
    step(
        "separate mounts",
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE),
    )?;
    mount_overlay(spec)?;
    let old = PathBuf::from(format!("/.old-{}", uuid::Uuid::new_v4()));
    step("enter the root", std::env::set_current_dir(&spec.root))?;
    let inside = old.strip_prefix("/").unwrap_or(&old);
    step("prepare the old root", fs::create_dir(inside))?;
    step("change the root", nix::unistd::pivot_root(".", inside))?;
    step("enter the root", std::env::set_current_dir("/"))?;
    mount_proc(&old)?;
    mount_sys(&old)?;
    mount_dev(&old)?;
    for item in &spec.mounts {
        mount_one(item, &old, spec).map_err(|e| format!("mount {}: {e}", item.target.display()))?;
    }
    ensure_passwd(spec);
    step("leave the old root", umount2(&old, MntFlags::MNT_DETACH))?;
    let _ = fs::remove_dir(&old);
    if spec.read_only_root {
        step("make the root read-only", remount_read_only(Path::new("/")))?;
    }
    Ok(())
}

fn mount_overlay(spec: &ContainerSpec) -> Result<(), String> {
    // Relative layer names keep the options below the kernel's one page.
    step(
        "enter the layer store",
        std::env::set_current_dir(&spec.layers_dir),
    )?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        spec.layers.join(":"),
        spec.upper.display(),
        spec.work.display()
    );
    step(
        "mount the image (overlayfs)",
        mount(
            Some("overlay"),
            &spec.root,
            Some("overlay"),
            MsFlags::MS_NOSUID,
            Some(options.as_str()),
        ),
    )
}

fn mount_proc(old: &Path) -> Result<(), String> {
    folder(Path::new("/proc"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step(
        "mount /proc",
        mount(Some("proc"), "/proc", Some("proc"), flags, NONE),
    )?;
    // Kernel settings are the machine's, not the container's. Where the kernel
    // refuses, the process's lack of privilege still protects them.
    for path in ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"] {
        if mount(
            Some(path),
            path,
            NONE,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            NONE,
        )
        .is_ok()
        {
            let _ = remount_read_only(Path::new(path));
        }
    }
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        let _ = mount(
            Some(&old.join("dev/null")),
            path,
            NONE,
            MsFlags::MS_BIND,
            NONE,
        );
    }
    Ok(())
}

fn mount_sys(old: &Path) -> Result<(), String> {
    folder(Path::new("/sys"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    if mount(Some("sysfs"), "/sys", Some("sysfs"), flags, NONE).is_ok() {
        return Ok(());
    }
    // A nested user namespace does not own the pod's network, which sysfs shows.
    let source = old.join("sys");
    step(
        "mount /sys",
        mount(
            Some(&source),
            "/sys",
            NONE,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            NONE,
        ),
    )?;
    let _ = remount_read_only(Path::new("/sys"));
    Ok(())
}

fn mount_dev(old: &Path) -> Result<(), String> {
    folder(Path::new("/dev"))?;
    step(
        "mount /dev",
        mount(
            Some("tmpfs"),
            "/dev",
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
            Some("mode=755,size=65536k"),
        ),
    )?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let target = Path::new("/dev").join(name);
        step("prepare /dev", fs::write(&target, b""))?;
        let source = old.join("dev").join(name);
        step(
            &format!("mount /dev/{name}"),
            mount(Some(&source), &target, NONE, MsFlags::MS_BIND, NONE),
        )?;
    }
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        step("prepare /dev", symlink(to, Path::new("/dev").join(name)))?;
    }
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    step("prepare /dev/pts", fs::create_dir("/dev/pts"))?;
    // Terminals are a comfort; a kernel without them still runs services.
    let _ = mount(
        Some("devpts"),
        "/dev/pts",
        Some("devpts"),
        quiet,
        Some("newinstance,ptmxmode=0666,mode=0620"),
    );
    step("prepare /dev/shm", fs::create_dir("/dev/shm"))?;
    step(
        "mount /dev/shm",
        mount(
            Some("shm"),
            "/dev/shm",
            Some("tmpfs"),
            quiet | MsFlags::MS_NODEV,
            Some("mode=1777,size=65536k"),
        ),
    )?;
    Ok(())
}

fn mount_one(item: &Mount, old: &Path, spec: &ContainerSpec) -> Result<(), String> {
    let Some(source) = &item.source else {
        folder(&item.target)?;
        let options = match item.size {
            Some(size) => format!("mode=1777,size={size}"),
            None => "mode=1777".to_owned(),
        };
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        return step(
            "mount a tmpfs",
            mount(
                Some("tmpfs"),
                &item.target,
                Some("tmpfs"),
                flags,
                Some(options.as_str()),
            ),
        );
    };
    let base = old.join(source.strip_prefix("/").unwrap_or(source));
    let handle = open_source(&base, item, spec)?;
    let is_folder = step(
        "look at the volume",
        fs::File::from(step("copy a handle", handle.try_clone())?).metadata(),
    )?
    .is_dir();
    if is_folder {
        folder(&item.target)?;
    } else {
        file(&item.target)?;
    }
    let through = old
        .join("proc/self/fd")
        .join(handle.as_raw_fd().to_string());
    step(
        "bind the volume",
        mount(
            Some(&through),
            &item.target,
            NONE,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            NONE,
        ),
    )?;
    if item.read_only {
        step("make it read-only", remount_read_only(&item.target))?;
    }
    Ok(())
}

/// Opens a volume or a path below it. Containers write volumes, so a link in
/// one could point anywhere: none is followed.
fn open_source(
    base: &Path,
    item: &Mount,
    spec: &ContainerSpec,
) -> Result<std::os::fd::OwnedFd, String> {
    let root = step(
        "open the volume",
        rustix::fs::open(base, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
    )?;
    let Some(sub_path) = item.sub_path.as_ref().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(root);
    };
    let open = || {
        rustix::fs::openat2(
            &root,
            sub_path.as_path(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        )
    };
    match open() {
        Ok(handle) => Ok(handle),
        Err(rustix::io::Errno::NOENT) => {
            let mut folder = step("copy a handle", root.try_clone())?;
            for part in sub_path.components() {
                let std::path::Component::Normal(part) = part else {
                    return Err(format!("subPath {} leaves the volume", sub_path.display()));
                };
                if rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)).is_ok()
                    && let Ids::Ranged { base } = spec.ids
                {
                    let _ = rustix::fs::chownat(
                        &folder,
                        part,
                        Some(rustix::fs::Uid::from_raw(base + spec.process.user.uid)),
                        Some(rustix::fs::Gid::from_raw(base + spec.process.user.gid)),
                        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
                    );
                }
                folder = step(
                    "open the subPath",
                    rustix::fs::openat2(
                        &folder,
                        part,
                        OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY,
                        Mode::empty(),
                        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
                    ),
                )?;
            }
            Ok(folder)
        }
        Err(e) => Err(format!(
            "subPath {} cannot be used: {e}",
            sub_path.display()
        )),
    }
}

/// Remounts one mount read-only, keeping the flags that a user namespace may
/// not clear.
fn remount_read_only(path: &Path) -> nix::Result<()> {
    use nix::sys::statvfs::{FsFlags, statvfs};
    let current = statvfs(path)?.flags();
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    for (has, keep) in [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if current.contains(has) {
            flags |= keep;
        }
    }
    mount(NONE, path, NONE, flags, NONE)
}

fn folder(path: &Path) -> Result<(), String> {
    step(
        &format!("create {}", path.display()),
        fs::create_dir_all(path),
    )
}

fn file(path: &Path) -> Result<(), String> {
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    if path.symlink_metadata().is_ok_and(|m| !m.is_symlink()) {
        return Ok(());
    }
    // A link as the place of a mount would mount somewhere else.
    let _ = fs::remove_file(path);
    step(
        &format!("create {}", path.display()),
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path),
    )?;
    Ok(())
}

/// Programs such as PostgreSQL's initdb refuse a user without a passwd entry.
fn ensure_passwd(spec: &ContainerSpec) {
    let user = &spec.process.user;
    let append = |path: &str, id: u32, line: String| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let field = id.to_string();
        if text
            .lines()
            .any(|l| l.split(':').nth(2) == Some(field.as_str()))
        {
            return;
        }
        let separator = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let _ = fs::create_dir_all("/etc");
        let _ = fs::write(path, format!("{text}{separator}{line}\n"));
    };
    let home = if user.home.is_empty() {
        "/"
    } else {
        &user.home
    };
    append(
        "/etc/passwd",
        user.uid,
        format!("user{0}:x:{0}:{1}::{home}:/bin/sh", user.uid, user.gid),
    );
    append("/etc/group", user.gid, format!("group{0}:x:{0}:", user.gid));
}
