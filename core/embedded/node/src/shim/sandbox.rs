//! Holds one pod's namespaces and hands out sockets made inside them.
//!
//! The pod's network leads to one place, the node's side of it: a second network
//! namespace in which every address but the pod's own is local. The only way on
//! from there is a socket that this process opened on request of the node and
//! passed over its Unix socket.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{ForkResult, fork, getegid, geteuid, setsid};

use super::spec::{Ids, SandboxSpec, SocketRequest};
use super::{link, step, sys};

/// Makes the namespaces, says `ok` on standard output and serves until killed.
pub fn main(spec: &SandboxSpec) -> Result<i32, String> {
    // Fails only for a group leader, which already has what is wanted.
    let _ = setsid();
    let own = crate::process::ProcessId::of(std::process::id() as i32)
        .ok_or("the shim cannot see itself in /proc")?;
    super::run::write_json(&spec.state, &own)?;
    let listener = bind(spec)?;
    enter_user_namespace(spec.ids)?;
    step(
        "create the node's side of the network",
        unshare(CloneFlags::CLONE_NEWNET),
    )?;
    step(
        "bring up the node's side of the network",
        sys::configure_loopback(&spec.addresses),
    )?;
    let node_side = step("hold the node's side of the network", own_network())?;
    step(
        "create network, IPC and host name namespaces",
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS),
    )?;
    step("stay inspectable", sys::prctl(libc::PR_SET_DUMPABLE, 1))?;
    step(
        "set the host name",
        nix::unistd::sethostname(&spec.hostname),
    )?;
    step("bring up loopback", sys::configure_loopback(&[]))?;
    step(
        "link the pod to the node (the kernel needs veth)",
        link::make_pair(node_side.as_fd()),
    )?;
    step(
        "give the pod its address",
        link::configure_pod_side(spec.address),
    )?;
    let pod_side = step("hold the pod's network", own_network())?;
    step(
        "enter the node's side of the network",
        setns(&node_side, CloneFlags::CLONE_NEWNET),
    )?;
    step(
        "find the pod from the node's side",
        link::configure_node_side(spec.address),
    )?;
    step(
        "enter the pod's network",
        setns(&pod_side, CloneFlags::CLONE_NEWNET),
    )?;
    // Without this a program that is not root cannot serve port 80 of its own pod.
    step(
        "open low ports",
        std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    )?;
    println!("ok");
    detach();
    let node_side = Arc::new(node_side);
    for stream in listener.incoming().flatten() {
        let node_side = Arc::clone(&node_side);
        std::thread::spawn(move || answer(stream, &node_side));
    }
    Ok(0)
}

/// Binds through a directory handle, because a Unix socket's path may not be
/// longer than 107 bytes and data directories are.
fn bind(spec: &SandboxSpec) -> Result<UnixListener, String> {
    let folder = spec.socket.parent().ok_or("the socket has no folder")?;
    let name = spec.socket.file_name().ok_or("the socket has no name")?;
    let _ = std::fs::remove_file(&spec.socket);
    let folder = step("open the pod's folder", std::fs::File::open(folder))?;
    let path = std::path::Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    step("bind the socket", UnixListener::bind(path))
}

/// The kernel's word for "no more namespaces" is the one for a full disk.
fn new_user_namespace() -> Result<(), String> {
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Err(nix::errno::Errno::ENOSPC) => Err(
            "create a user namespace: this machine allows none, or no more \
             (user.max_user_namespaces; see sysctl)"
                .to_owned(),
        ),
        other => step("create a user namespace", other),
    }
}

/// Creates a user namespace with the given mapping and becomes its first user.
pub fn enter_user_namespace(ids: Ids) -> Result<(), String> {
    match ids {
        Ids::Single { uid, gid } => {
            let (euid, egid) = (geteuid(), getegid());
            new_user_namespace()?;
            step("stay inspectable", sys::prctl(libc::PR_SET_DUMPABLE, 1))?;
            step(
                "give up groups",
                std::fs::write("/proc/self/setgroups", "deny"),
            )?;
            step(
                "map the user",
                std::fs::write("/proc/self/uid_map", format!("{uid} {euid} 1")),
            )?;
            step(
                "map the group",
                std::fs::write("/proc/self/gid_map", format!("{gid} {egid} 1")),
            )
        }
        Ids::Ranged { base } => {
            // Only a process that is still outside may write a map of many
            // users, so a child does it.
            let (ready_reader, ready_writer) = step("make a pipe", std::io::pipe())?;
            let parent = std::process::id();
            // SAFETY: the process has one thread.
            match step("fork", unsafe { fork() })? {
                ForkResult::Child => {
                    drop(ready_writer);
                    let mut line = String::new();
                    let read = BufReader::new(ready_reader).read_line(&mut line);
                    let written = read.is_ok()
                        && line == "go\n"
                        && std::fs::write(
                            format!("/proc/{parent}/uid_map"),
                            format!("0 {base} 65536"),
                        )
                        .is_ok()
                        && std::fs::write(
                            format!("/proc/{parent}/gid_map"),
                            format!("0 {base} 65536"),
                        )
                        .is_ok();
                    std::process::exit(i32::from(!written));
                }
                ForkResult::Parent { child } => {
                    drop(ready_reader);
                    new_user_namespace()?;
                    let mut writer = ready_writer;
                    step("ask for the user map", writer.write_all(b"go\n"))?;
                    drop(writer);
                    if super::run::wait(child) != (0, None) {
                        return Err(format!(
                            "map users: the kernel refused ids {base} to {}",
                            base + 65535
                        ));
                    }
                    let root = nix::unistd::Uid::from_raw(0);
                    let group = nix::unistd::Gid::from_raw(0);
                    step("give up groups", nix::unistd::setgroups(&[]))?;
                    step(
                        "become the namespace's group",
                        nix::unistd::setresgid(group, group, group),
                    )?;
                    step(
                        "become the namespace's root",
                        nix::unistd::setresuid(root, root, root),
                    )
                }
            }
        }
    }
}

/// Lets go of the node's pipes: the pod outlives the node.
pub fn detach() {
    let _ = std::io::stdout().flush();
    if let Ok(null) = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
    {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
}

/// The network namespace of this thread.
fn own_network() -> std::io::Result<OwnedFd> {
    std::fs::File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
}

fn answer(stream: UnixStream, node_side: &OwnedFd) {
    let mut line = String::new();
    let Ok(copy) = stream.try_clone() else { return };
    if BufReader::new(copy).read_line(&mut line).is_err() {
        return;
    }
    let result = serde_json::from_str::<SocketRequest>(&line)
        .map_err(|e| e.to_string())
        .and_then(|request| open(request, node_side).map_err(|e| e.to_string()));
    let _ = match result {
        Ok(fd) => sys::send_fd(&stream, b"ok", Some(fd.as_raw_fd())),
        Err(reason) => sys::send_fd(&stream, format!("error {reason}").as_bytes(), None),
    };
}

/// Opens a socket: to the pod in the pod's own network, for the pod on the node's
/// side of it. The thread ends after this, so it need not come back.
fn open(request: SocketRequest, node_side: &OwnedFd) -> std::io::Result<OwnedFd> {
    if !matches!(request, SocketRequest::Connect(_)) {
        setns(node_side, CloneFlags::CLONE_NEWNET)?;
    }
    match request {
        SocketRequest::Connect(address) => {
            TcpStream::connect_timeout(&SocketAddr::V4(address), Duration::from_secs(5))
                .map(OwnedFd::from)
        }
        SocketRequest::Listen(address) => TcpListener::bind(address).map(OwnedFd::from),
        SocketRequest::Udp(address) => UdpSocket::bind(address).map(OwnedFd::from),
    }
}
