//! The node's side of a pod's namespaces: starts them, and obtains sockets
//! that live in the pod's network.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::NodeError;
use crate::interrupt::retry_on_interrupt;
use crate::process::ProcessId;
use crate::shim::SHIM_ARGUMENT;
use crate::shim::spec::{SandboxSpec, SocketRequest};

/// Longest a shim may take to make its namespaces.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A running pod's namespaces.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The process that holds them.
    pub process: ProcessId,
    /// The pod's address.
    pub address: Ipv4Addr,
    folder: PathBuf,
}

impl Sandbox {
    /// Creates a pod's namespaces in `folder`.
    pub async fn start(
        shim: &Path,
        folder: &Path,
        spec: &SandboxSpec,
        address: Ipv4Addr,
    ) -> Result<Self, NodeError> {
        start_shim(shim, "sandbox", spec, "the pod's namespaces")
            .await
            .map_err(|error| match error {
                // Whoever reads this in a pod's status can do something about it.
                NodeError::Start { what, reason } => NodeError::Start {
                    what,
                    reason: format!("{reason}. {}", crate::doctor::advice()),
                },
                other => other,
            })?;
        Self::adopt(folder, address).ok_or_else(|| NodeError::Start {
            what: "the pod's namespaces".to_owned(),
            reason: "the process that holds them ended at once".to_owned(),
        })
    }

    /// Where [`SandboxSpec::state`] and [`SandboxSpec::socket`] are for a pod's folder.
    pub fn files(folder: &Path) -> (PathBuf, PathBuf) {
        (folder.join("sandbox.json"), folder.join("net.sock"))
    }

    /// Takes over namespaces that an earlier node made, if they still live.
    pub fn adopt(folder: &Path, address: Ipv4Addr) -> Option<Self> {
        let process: ProcessId =
            serde_json::from_slice(&std::fs::read(Self::files(folder).0).ok()?).ok()?;
        process.is_alive().then(|| Self {
            process,
            address,
            folder: folder.to_owned(),
        })
    }

    /// Ends the namespaces and waits until they are gone.
    pub async fn end(&self) {
        self.process.signal(rustix::process::Signal::KILL);
        self.process.ended().await;
    }

    /// Connects to a port of the pod.
    pub async fn connect(&self, address: SocketAddrV4) -> Result<tokio::net::TcpStream, NodeError> {
        let fd = self.request(SocketRequest::Connect(address)).await?;
        let stream = std::net::TcpStream::from(fd);
        let attempt = || {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            tokio::net::TcpStream::from_std(stream)
        };
        attempt().map_err(|e| network(SocketRequest::Connect(address), &e.to_string()))
    }

    /// Listens inside the pod's network.
    pub async fn listen(
        &self,
        address: SocketAddrV4,
    ) -> Result<tokio::net::TcpListener, NodeError> {
        let fd = self.request(SocketRequest::Listen(address)).await?;
        let listener = std::net::TcpListener::from(fd);
        let attempt = || {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        };
        attempt().map_err(|e| network(SocketRequest::Listen(address), &e.to_string()))
    }

    /// Binds a UDP socket inside the pod's network.
    pub async fn udp(&self, address: SocketAddrV4) -> Result<tokio::net::UdpSocket, NodeError> {
        let fd = self.request(SocketRequest::Udp(address)).await?;
        let socket = std::net::UdpSocket::from(fd);
        let attempt = || {
            socket.set_nonblocking(true)?;
            tokio::net::UdpSocket::from_std(socket)
        };
        attempt().map_err(|e| network(SocketRequest::Udp(address), &e.to_string()))
    }

    async fn request(&self, request: SocketRequest) -> Result<OwnedFd, NodeError> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || {
            ask(&folder, request).map_err(|reason| network(request, &reason))
        })
        .await
        .map_err(|e| network(request, &e.to_string()))?
    }
}

fn network(request: SocketRequest, reason: &str) -> NodeError {
    let action = match request {
        SocketRequest::Connect(address) => format!("connect to {address}"),
        SocketRequest::Listen(address) => format!("listen on {address}"),
        SocketRequest::Udp(address) => format!("bind UDP {address}"),
    };
    NodeError::Network {
        action,
        reason: reason.to_owned(),
    }
}

fn ask(folder: &Path, request: SocketRequest) -> Result<OwnedFd, String> {
    // Through a handle: the path itself may be longer than a socket's may be.
    let handle = std::fs::File::open(folder).map_err(|e| e.to_string())?;
    let path = Path::new("/proc/self/fd")
        .join(handle.as_raw_fd().to_string())
        .join("net.sock");
    let mut stream = retry_on_interrupt(|| UnixStream::connect(&path))
        .map_err(|e| format!("the pod's namespaces do not answer: {e}"))?;
    let deadline = Some(Duration::from_secs(10));
    stream
        .set_read_timeout(deadline)
        .map_err(|e| e.to_string())?;
    let mut line = serde_json::to_vec(&request).map_err(|e| e.to_string())?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|e| e.to_string())?;
    match crate::shim::receive_fd(&stream) {
        Ok((_, Some(fd))) => Ok(fd),
        Ok((text, None)) => Err(text.strip_prefix("error ").unwrap_or(&text).to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

/// Encodes a specification as the shim reads it.
pub(crate) fn encode(spec: &impl serde::Serialize) -> Result<Vec<u8>, NodeError> {
    let text = serde_json::to_vec(spec).map_err(|e| NodeError::Specification {
        reason: e.to_string(),
    })?;
    let mut message = (text.len() as u32).to_be_bytes().to_vec();
    message.extend_from_slice(&text);
    Ok(message)
}

/// A shim command with nothing of the node's environment in it.
pub(crate) fn shim_command(shim: &Path, mode: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(shim);
    command
        .arg(SHIM_ARGUMENT)
        .arg(mode)
        .env_clear()
        .current_dir("/");
    command
}

/// Starts a shim and waits until it says that its part is done.
pub(crate) async fn start_shim(
    shim: &Path,
    mode: &str,
    spec: &impl serde::Serialize,
    what: &str,
) -> Result<(), NodeError> {
    let fail = |reason: String| NodeError::Start {
        what: what.to_owned(),
        reason,
    };
    let message = encode(spec)?;
    let mut child = shim_command(shim, mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| {
            fail(format!(
                "the shim {} cannot be executed: {e}",
                shim.display()
            ))
        })?;
    let mut input = child.stdin.take();
    let output = child.stdout.take();
    let mut line = String::new();
    let talk = async {
        if let Some(input) = &mut input {
            input.write_all(&message).await?;
            input.flush().await?;
        }
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut line).await?;
        }
        std::io::Result::Ok(())
    };
    let talked = tokio::time::timeout(START_DEADLINE, talk).await;
    if line.trim_end() != "ok" {
        let _ = child.start_kill();
        let _ = child.wait().await;
        let reason = match (talked, line.trim_end().strip_prefix("error ")) {
            (_, Some(reason)) => reason.to_owned(),
            (Err(_), None) => format!(
                "the shim did not answer within {} s",
                START_DEADLINE.as_secs()
            ),
            (Ok(Err(e)), None) => format!("the shim ended: {e}"),
            (Ok(Ok(())), None) => {
                "the shim ended without a word; was the program built to call main_if_shim first?"
                    .to_owned()
            }
        };
        return Err(fail(reason));
    }
    // Collects the shim when it ends, so that no zombie stays.
    tokio::spawn(async move {
        let _ = child.wait().await;
    });
    Ok(())
}
