//! A container from the node's side: start it, wait for it, stop it, run
//! something more in it, read its log.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::NodeError;
use crate::sandbox::{encode, shim_command, start_shim};
use crate::shim::spec::{ContainerSpec, ExecSpec, ExitState, RunState};

/// A running container.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its processes.
    pub state: RunState,
    exit: PathBuf,
}

impl Running {
    /// Starts a container.
    pub async fn start(shim: &Path, spec: &ContainerSpec, name: &str) -> Result<Self, NodeError> {
        // Leftovers of an earlier run must not be taken for this one's.
        for file in [&spec.state, &spec.exit] {
            let _ = std::fs::remove_file(file);
        }
        start_shim(shim, "run", spec, &format!("container {name}")).await?;
        let state = read(&spec.state).ok_or_else(|| NodeError::Start {
            what: format!("container {name}"),
            reason: "its state was not recorded".to_owned(),
        })?;
        Ok(Self {
            state,
            exit: spec.exit.clone(),
        })
    }

    /// Takes over a container that an earlier node started: it runs, or it
    /// ended and left its outcome.
    pub fn adopt(folder: &Path) -> Option<Self> {
        let running = Self {
            state: read(&folder.join("state.json"))?,
            exit: folder.join("exit.json"),
        };
        (running.state.shim.is_alive() || running.exit.is_file()).then_some(running)
    }

    /// Waits for the end and gives the outcome.
    pub async fn ended(&self) -> ExitState {
        self.state.shim.ended().await;
        // Without its shim a container is killed by the kernel; be sure of it.
        self.state.init.signal(rustix::process::Signal::KILL);
        self.state.init.ended().await;
        read(&self.exit).unwrap_or_else(|| ExitState {
            code: 137,
            signal: Some(9),
            finished_at: jiff::Timestamp::now().to_string(),
            error: Some(
                "the process that watched the container was killed, and the container with it"
                    .to_owned(),
            ),
        })
    }

    /// Asks the program to end, and ends it after `grace`.
    pub async fn stop(&self, grace: Duration) -> ExitState {
        if !grace.is_zero() {
            self.state.init.signal(rustix::process::Signal::TERM);
            if let Ok(exit) = tokio::time::timeout(grace, self.ended()).await {
                return exit;
            }
        }
        self.state.init.signal(rustix::process::Signal::KILL);
        self.ended().await
    }
}

/// Ends whatever runs in a pod's folder, without a node's memory of it.
pub async fn end_all(folder: &Path, grace: Duration) {
    let containers = std::fs::read_dir(folder.join("containers"));
    let mut stops = tokio::task::JoinSet::new();
    for entry in containers.into_iter().flatten().flatten() {
        if let Some(running) = Running::adopt(&entry.path()) {
            stops.spawn(async move { running.stop(grace).await });
        }
    }
    while stops.join_next().await.is_some() {}
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Starts one more process in a container. Its standard streams are pipes; the
/// exit code is the process's. Dropping the child ends the process.
pub async fn exec(shim: &Path, spec: &ExecSpec) -> Result<tokio::process::Child, NodeError> {
    let fail = |reason: String| NodeError::Start {
        what: "a process in the container".to_owned(),
        reason,
    };
    let message = encode(spec)?;
    let mut child = shim_command(shim, "exec")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| fail(e.to_string()))?;
    if let Some(input) = &mut child.stdin {
        input
            .write_all(&message)
            .await
            .map_err(|e| fail(e.to_string()))?;
        input.flush().await.map_err(|e| fail(e.to_string()))?;
    }
    Ok(child)
}

/// One line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, RFC 3339.
    pub time: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Its text, without the line end.
    pub text: String,
    /// Whether the line goes on in the next entry.
    pub is_partial: bool,
}

impl LogLine {
    /// Parses one line in CRI format.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, ' ');
        let (time, stream, tag) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            time: time.to_owned(),
            stream: stream.to_owned(),
            is_partial: tag == "P",
            text: fields.next().unwrap_or_default().to_owned(),
        })
    }
}

/// The last `tail` lines of a log, or all of them, rotated files included.
pub fn read_log(path: &Path, tail: Option<usize>) -> Vec<LogLine> {
    let mut lines: Vec<LogLine> = Vec::new();
    for number in (0..=3u32).rev() {
        let mut name = path.to_owned().into_os_string();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        let bytes = std::fs::read(&name).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        lines.extend(text.lines().filter_map(LogLine::parse));
    }
    let skip = tail.map_or(0, |t| lines.len().saturating_sub(t));
    lines.split_off(skip)
}
