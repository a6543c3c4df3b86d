//! What the node tells a shim: plain values, sent as one JSON document.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How container user ids relate to the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// One user only: the node's own user appears as `uid` and `gid`.
    Single {
        /// The user id seen in the container.
        uid: u32,
        /// The group id seen in the container.
        gid: u32,
    },
    /// 65,536 users: container id n is the machine's `base + n`. Needs root.
    Ranged {
        /// The first machine id.
        base: u32,
    },
}

/// One pod's shared namespaces: user, network, IPC and host name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// User id mapping.
    pub ids: Ids,
    /// Host name inside.
    pub hostname: String,
    /// The pod's own address.
    pub address: Ipv4Addr,
    /// Addresses of the node's side of the network, each with its prefix length:
    /// every address of the prefix then leads to the node.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// Where the shim answers requests for sockets.
    pub socket: PathBuf,
    /// Where the shim writes its own [`crate::process::ProcessId`] before it
    /// makes anything, so that no shim is ever unknown to the next node.
    pub state: PathBuf,
}

/// One mount of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Directory or file of the machine; absent for a tmpfs.
    pub source: Option<PathBuf>,
    /// Path below `source`; resolved without following any symbolic link.
    pub sub_path: Option<PathBuf>,
    /// Absolute path inside the container.
    pub target: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Size limit of a tmpfs, in bytes.
    pub size: Option<u64>,
}

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id inside the container.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Further groups; ignored with a single mapped user.
    pub groups: Vec<u32>,
    /// Home directory, for a generated passwd entry.
    pub home: String,
}

/// A process to execute.
#[derive(Clone, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: String,
    /// Who runs it.
    pub user: User,
    /// Capability numbers that stay in the bounding set.
    pub capabilities: Vec<u32>,
    /// Files to write `0` to, so that the process joins these control groups.
    pub cgroup_procs: Vec<PathBuf>,
}

/// One container.
#[derive(Clone, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Process that holds the pod's namespaces.
    pub sandbox_pid: i32,
    /// User id mapping of the pod.
    pub ids: Ids,
    /// Directory that the layers are relative to.
    pub layers_dir: PathBuf,
    /// Names below `layers_dir`, topmost first.
    pub layers: Vec<String>,
    /// Writable layer.
    pub upper: PathBuf,
    /// Overlay work directory, on the same file system as `upper`.
    pub work: PathBuf,
    /// Empty directory to mount the root on.
    pub root: PathBuf,
    /// Volumes and generated files.
    pub mounts: Vec<Mount>,
    /// What to run.
    pub process: Process,
    /// Whether the root file system refuses writes.
    pub read_only_root: bool,
    /// Log file in CRI format.
    pub log: PathBuf,
    /// Bytes after which the log is rotated.
    pub log_limit: u64,
    /// Where the running state goes, see [`RunState`].
    pub state: PathBuf,
    /// Where the outcome goes, see [`ExitState`].
    pub exit: PathBuf,
}

/// A process to run inside a running container.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Process that holds the pod's namespaces.
    pub sandbox_pid: i32,
    /// The container's first process.
    pub init_pid: i32,
    /// User id mapping of the pod.
    pub ids: Ids,
    /// What to run.
    pub process: Process,
}

/// Written once the container's program runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The shim that waits for the container.
    pub shim: crate::process::ProcessId,
    /// The container's first process, as the machine numbers it.
    pub init: crate::process::ProcessId,
    /// When it started, RFC 3339.
    pub started_at: String,
}

/// Written once the container's program has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitState {
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When it ended, RFC 3339.
    pub finished_at: String,
    /// Why it never ran, when the shim could not start it.
    pub error: Option<String>,
}

/// A request for a socket in the pod's network namespace.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum SocketRequest {
    /// A TCP connection to an address of the pod.
    Connect(std::net::SocketAddrV4),
    /// A listening TCP socket.
    Listen(std::net::SocketAddrV4),
    /// A bound UDP socket.
    Udp(std::net::SocketAddrV4),
}
