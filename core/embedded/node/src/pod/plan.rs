//! From a container of a pod to the specification its shim gets.

use std::path::{Path, PathBuf};

use super::{Container, PodDocument, files};
use crate::NodeError;
use crate::image::{Image, ImageStore};
use crate::resolve::{Resolved, VolumeSource, expand};
use crate::shim::spec::{ContainerSpec, Ids, Mount, Process, User};

/// Bytes after which a container's log file is rotated.
const LOG_LIMIT: u64 = 10 << 20;
/// What containers may keep unless the pod says otherwise: chown,
/// dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
/// net_bind_service, sys_chroot, setfcap.
const CAPABILITIES: [u32; 11] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31];
const CAPABILITY_NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What is needed to run one container of a pod.
pub(crate) struct Plan<'a> {
    pub document: &'a PodDocument,
    pub container: &'a Container,
    pub image: &'a Image,
    pub store: &'a ImageStore,
    pub resolved: &'a Resolved,
    pub ids: Ids,
    /// The pod's folder.
    pub folder: &'a Path,
}

impl Plan<'_> {
    /// The container's own folder.
    pub fn container_folder(&self) -> PathBuf {
        self.folder.join("containers").join(&self.container.name)
    }

    /// Where the log of one run is.
    pub fn log(folder: &Path, container: &str, run: u32) -> PathBuf {
        folder
            .join("logs")
            .join(container)
            .join(format!("{run}.log"))
    }

    /// The user the container runs as.
    pub fn user(&self) -> Result<User, NodeError> {
        let fail = |reason: String| NodeError::Specification {
            reason: format!("container {}: {reason}", self.container.name),
        };
        let own = &self.container.security_context;
        let pod = &self.document.spec.security_context;
        let wanted = own.run_as_user.or(pod.run_as_user);
        let resolved = self
            .image
            .user(&self.store.layers, wanted.map(|u| u.to_string()).as_deref())
            .map_err(fail)?;
        if resolved.uid == 0 && own.run_as_non_root.or(pod.run_as_non_root) == Some(true) {
            return Err(fail(
                "runAsNonRoot is set and the image runs as root; set runAsUser".to_owned(),
            ));
        }
        if resolved.uid > 65_535 && matches!(self.ids, Ids::Ranged { .. }) {
            return Err(fail(format!(
                "user {} is above 65535, the last this node maps",
                resolved.uid
            )));
        }
        let mut groups: Vec<u32> = pod.supplemental_groups.clone();
        groups.extend(pod.fs_group);
        Ok(User {
            uid: resolved.uid,
            gid: own
                .run_as_group
                .or(pod.run_as_group)
                .unwrap_or(resolved.gid),
            groups,
            home: resolved.home,
        })
    }

    /// The program with its surroundings.
    pub fn process(&self, cgroup_procs: Vec<PathBuf>) -> Result<Process, NodeError> {
        let user = self.user()?;
        let mut env: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: &str| {
            env.retain(|(n, _)| n != name);
            env.push((name.to_owned(), value.to_owned()));
        };
        set(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        set("HOSTNAME", self.hostname());
        set(
            "HOME",
            if user.home.is_empty() {
                "/"
            } else {
                &user.home
            },
        );
        for variable in &self.image.env {
            if let Some((name, value)) = variable.split_once('=') {
                set(name, value);
            }
        }
        for (name, value) in self
            .resolved
            .env
            .get(&self.container.name)
            .into_iter()
            .flatten()
        {
            set(name, value);
        }
        let given = |list: &[String]| list.iter().map(|a| expand(a, &env)).collect::<Vec<_>>();
        let mut args = if self.container.command.is_empty() {
            self.image.entrypoint.clone()
        } else {
            given(&self.container.command)
        };
        if !self.container.args.is_empty() {
            args.extend(given(&self.container.args));
        } else if self.container.command.is_empty() {
            args.extend(self.image.cmd.iter().cloned());
        }
        let cwd = self
            .container
            .working_dir
            .clone()
            .unwrap_or_else(|| self.image.working_dir.clone());
        Ok(Process {
            args,
            env,
            cwd: if cwd.is_empty() { "/".to_owned() } else { cwd },
            user,
            capabilities: self.capabilities(),
            cgroup_procs,
        })
    }

    /// The pod's host name.
    pub fn hostname(&self) -> &str {
        let spec = &self.document.spec;
        spec.hostname
            .as_deref()
            .unwrap_or(&self.document.metadata.name)
    }

    fn capabilities(&self) -> Vec<u32> {
        let number = |name: &String| {
            let name = name.strip_prefix("CAP_").unwrap_or(name);
            CAPABILITY_NAMES
                .iter()
                .position(|n| *n == name)
                .map(|n| n as u32)
        };
        let wanted = &self.container.security_context.capabilities;
        let mut keep: Vec<u32> = if wanted.drop.iter().any(|d| d == "ALL") {
            Vec::new()
        } else {
            let dropped: Vec<u32> = wanted.drop.iter().filter_map(number).collect();
            CAPABILITIES
                .iter()
                .copied()
                .filter(|c| !dropped.contains(c))
                .collect()
        };
        keep.extend(wanted.add.iter().filter_map(number));
        keep
    }

    /// Who owns files made for the container, as the machine numbers users.
    pub fn owner(ids: Ids, uid: u32, gid: u32) -> Option<(u32, u32)> {
        match ids {
            Ids::Single { .. } => None,
            Ids::Ranged { base } => Some((base + uid.min(65_535), base + gid.min(65_535))),
        }
    }

    /// Prepares the container's folder and gives its specification.
    pub fn specification(
        &self,
        sandbox_pid: i32,
        run: u32,
        cgroup_procs: Vec<PathBuf>,
    ) -> Result<ContainerSpec, NodeError> {
        let process = self.process(cgroup_procs)?;
        let mounts = self.mounts(&process.user)?;
        let folder = self.container_folder();
        // A container that restarts begins with the image's files again.
        for name in ["upper", "work", "root"] {
            files::force_remove(&folder.join(name))?;
            files::make_folder(&folder.join(name), 0o755, Self::owner(self.ids, 0, 0))?;
        }
        let log = Self::log(self.folder, &self.container.name, run);
        if let Some(parent) = log.parent() {
            files::make_folder(parent, 0o700, None)?;
        }
        Ok(ContainerSpec {
            sandbox_pid,
            ids: self.ids,
            layers_dir: self.store.layers.clone(),
            layers: self.image.layers.iter().rev().cloned().collect(),
            upper: folder.join("upper"),
            work: folder.join("work"),
            root: folder.join("root"),
            mounts,
            process,
            read_only_root: self.container.security_context.read_only_root_filesystem == Some(true),
            log,
            log_limit: LOG_LIMIT,
            state: folder.join("state.json"),
            exit: folder.join("exit.json"),
        })
    }

    fn mounts(&self, user: &User) -> Result<Vec<Mount>, NodeError> {
        let mut mounts = Vec::new();
        for (file, target) in [
            ("hosts", "/etc/hosts"),
            ("resolv.conf", "/etc/resolv.conf"),
            ("hostname", "/etc/hostname"),
        ] {
            mounts.push(Mount {
                source: Some(self.folder.join("etc").join(file)),
                sub_path: None,
                target: PathBuf::from(target),
                read_only: true,
                size: None,
            });
        }
        let mut wanted: Vec<_> = self.container.volume_mounts.iter().collect();
        // Outer directories first, so that none covers an inner one.
        wanted.sort_by_key(|m| m.mount_path.split('/').count());
        for mount in wanted {
            let fail = |reason: String| NodeError::Specification {
                reason: format!(
                    "volume mount {} at {}: {reason}",
                    mount.name, mount.mount_path
                ),
            };
            let target = PathBuf::from(&mount.mount_path);
            let is_plain = target.is_absolute()
                && !target
                    .components()
                    .any(|c| c == std::path::Component::ParentDir);
            if !is_plain {
                return Err(fail("the path is not absolute or contains ..".to_owned()));
            }
            let source = self
                .resolved
                .volumes
                .get(&mount.name)
                .ok_or_else(|| fail("no such volume".to_owned()))?;
            let group = self
                .document
                .spec
                .security_context
                .fs_group
                .unwrap_or(user.gid);
            let owner = Self::owner(self.ids, user.uid, group);
            let (source, read_only) = match source {
                VolumeSource::EmptyDir { memory: true } => (None, mount.read_only),
                VolumeSource::EmptyDir { memory: false } => {
                    let path = self.folder.join("volumes").join(&mount.name);
                    if !path.is_dir() {
                        files::make_folder(&path, 0o777, Self::owner(self.ids, 0, group))?;
                    }
                    (Some(path), mount.read_only)
                }
                VolumeSource::Files(content) => {
                    let path = self.folder.join("volumes").join(&mount.name);
                    files::write_files(&path, content, owner)?;
                    (Some(path), true)
                }
                VolumeSource::Persistent(path) => {
                    if !path.is_dir() {
                        files::make_folder(path, 0o777, owner)?;
                    }
                    let path = path
                        .canonicalize()
                        .map_err(|e| NodeError::file("find the volume", path, e))?;
                    (Some(path), mount.read_only)
                }
            };
            mounts.push(Mount {
                source,
                sub_path: mount.sub_path.as_ref().map(PathBuf::from),
                target,
                read_only,
                size: None,
            });
        }
        Ok(mounts)
    }
}
