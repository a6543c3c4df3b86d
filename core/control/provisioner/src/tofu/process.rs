//! One run of the `tofu` binary: started, watched, stopped in good order.
//!
//! OpenTofu writes to files, not into pipes: where this process dies, a pipe's reader
//! is gone, and OpenTofu with its next line, before it has saved its state. It runs in
//! a process group of its own, so that Ctrl-C at a terminal reaches it once, through
//! us; the second interrupt would make it drop everything.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often new lines are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Standard output, whole.
    pub(super) out: String,
    /// Standard error, whole.
    pub(super) err: String,
    pub(super) stopped: Option<Stopped>,
}

/// Why a run was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody asked for it.
    Canceled,
    /// It took too long.
    TimedOut,
}

/// What to run, and how long it may take.
pub(super) struct Run<'a> {
    pub(super) program: &'a Path,
    pub(super) folder: &'a Path,
    /// Where its output is kept while it runs.
    pub(super) output: &'a Path,
    pub(super) arguments: &'a [&'a str],
    pub(super) environment: &'a [(OsString, OsString)],
    pub(super) limit: Duration,
    /// From the interrupt until it is killed.
    pub(super) grace: Duration,
}

impl Run<'_> {
    /// Runs it to its end; each line of standard output is told as it comes.
    pub(super) async fn run(
        &self,
        cancel: &CancellationToken,
        mut on_line: impl FnMut(&str),
    ) -> io::Result<Ended> {
        let name = self.arguments.first().copied().unwrap_or("tofu");
        let out_path = self.output.join(format!("{name}.out"));
        let err_path = self.output.join(format!("{name}.err"));
        let mut lines = Lines::new(&out_path);
        let err = fresh(&err_path)?;
        let mut child = self
            .command()
            .stdout(fresh(&out_path)?)
            .stderr(err)
            .spawn()?;
        let stopped = self
            .watch(&mut child, cancel, || lines.read(&mut on_line))
            .await?;
        let status = child.wait().await?;
        // OpenTofu makes its own as the umask has it; until here the folder keeps others out.
        _ = crate::directory::private_files(self.folder);
        lines.read(&mut on_line)?;
        let ended = Ended {
            status,
            out: lines.all,
            err: std::fs::read_to_string(&err_path)?,
            stopped,
        };
        // Both may repeat what must not stay on disk; the caller has the clean text.
        std::fs::remove_file(out_path)?;
        std::fs::remove_file(err_path)?;
        Ok(ended)
    }

    /// Runs one that only reads, to its end. What it prints may hold secrets, so it comes
    /// through pipes and lies on no disk; and having nothing to save, it is killed at once
    /// where it is cancelled or takes too long.
    pub(super) async fn read(
        &self,
        cancel: &CancellationToken,
    ) -> io::Result<Result<Ended, Stopped>> {
        let child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        tokio::select! {
            output = child.wait_with_output() => {
                let output = output?;
                Ok(Ok(Ended {
                    status: output.status,
                    out: String::from_utf8_lossy(&output.stdout).into_owned(),
                    err: String::from_utf8_lossy(&output.stderr).into_owned(),
                    stopped: None,
                }))
            }
            () = cancel.cancelled() => Ok(Err(Stopped::Canceled)),
            () = tokio::time::sleep(self.limit) => Ok(Err(Stopped::TimedOut)),
        }
    }

    /// The program with its arguments and nothing of our own environment.
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .current_dir(self.folder)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    async fn watch(
        &self,
        child: &mut Child,
        cancel: &CancellationToken,
        mut read: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Option<Stopped>> {
        let deadline = Instant::now() + self.limit;
        let mut stopped = None;
        let mut last = None;
        let mut tick = tokio::time::interval(LOOK);
        loop {
            let kill = last.unwrap_or_else(|| deadline + self.grace);
            tokio::select! {
                status = child.wait() => {
                    status?;
                    return Ok(stopped);
                }
                _ = tick.tick() => read()?,
                () = cancel.cancelled(), if stopped.is_none() => {
                    stopped = Some(Stopped::Canceled);
                }
                () = tokio::time::sleep_until(deadline), if stopped.is_none() => {
                    stopped = Some(Stopped::TimedOut);
                }
                () = tokio::time::sleep_until(kill), if last.is_some() => {
                    signal_group(child, Signal::KILL);
                    child.wait().await?;
                    return Ok(stopped);
                }
            }
            if stopped.is_some() && last.is_none() {
                // To OpenTofu alone: it stops its providers itself, in order.
                interrupt(child);
                last = Some(Instant::now() + self.grace);
            }
        }
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
}

// A process that has just ended cannot be signalled, and need not be.
fn interrupt(child: &Child) {
    if let Some(pid) = pid(child) {
        _ = kill_process(pid, Signal::INT);
    }
}

fn signal_group(child: &Child, signal: Signal) {
    if let Some(pid) = pid(child) {
        _ = kill_process_group(pid, signal);
    }
}

/// Makes the folder for output, without what a run that was cut off left in it: that may
/// repeat a secret. An OpenTofu that still runs goes on writing to what had that name.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    crate::directory::private_folder(folder)
}

/// An empty file that only its owner may read.
fn fresh(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Lines of a file that is still being written.
struct Lines {
    path: PathBuf,
    all: String,
    /// Bytes read so far, and those of a line that has not ended.
    at: u64,
    rest: Vec<u8>,
}

impl Lines {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            all: String::new(),
            at: 0,
            rest: Vec::new(),
        }
    }

    fn read(&mut self, on_line: &mut impl FnMut(&str)) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let read = file.read_to_end(&mut self.rest)?;
        self.at += read as u64;
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.all.push_str(&line);
            on_line(line.trim_end());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::signal::unix::{SignalKind, signal};

    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        cancel: CancellationToken,
        limit: Duration,
        grace: Duration,
    }

    impl Scene {
        fn new() -> Self {
            // Whoever started the tests may have had interrupts ignored, as `nohup` and
            // `&` do: a shell inherits that, and cannot trap what it finds ignored. What
            // is handled here is at its default there.
            drop(signal(SignalKind::interrupt()).unwrap());
            Self {
                folder: tempfile::tempdir().unwrap(),
                cancel: CancellationToken::new(),
                limit: Duration::from_secs(60),
                grace: Duration::from_secs(60),
            }
        }

        /// Runs a shell's words; canceled when it prints `ready`, if `cancels`.
        async fn run(&self, script: &str, cancels: bool) -> Ended {
            let output = self.folder.path().join("output");
            clear(&output).unwrap();
            let environment = [
                (OsString::from("PATH"), std::env::var_os("PATH").unwrap()),
                (OsString::from("GIVEN"), OsString::from("yes")),
            ];
            let run = Run {
                program: Path::new("/bin/sh"),
                folder: self.folder.path(),
                output: &output,
                arguments: &["-c", script],
                environment: &environment,
                limit: self.limit,
                grace: self.grace,
            };
            let mut told = String::new();
            let ended = run
                .run(&self.cancel, |line| {
                    told.push_str(line);
                    told.push('\n');
                    if cancels && line == "ready" {
                        self.cancel.cancel();
                    }
                })
                .await
                .unwrap();
            assert_eq!(told, ended.out);
            assert_eq!(std::fs::read_dir(&output).unwrap().count(), 0);
            ended
        }
    }

    #[tokio::test]
    async fn both_streams_come_whole_and_only_the_given_environment_is_seen() {
        let scene = Scene::new();
        let script = "echo one; echo two >&2; echo \"$GIVEN-$CARGO_PKG_NAME-$HOME\"; exit 4";
        let ended = scene.run(script, false).await;
        assert_eq!(ended.out, "one\nyes--\n");
        assert_eq!(ended.err, "two\n");
        assert_eq!(ended.status.code(), Some(4));
        assert_eq!(ended.stopped, None);
    }

    #[tokio::test]
    async fn its_output_is_private_while_it_runs_and_its_process_group_its_own() {
        let script = "stat -c %a output/*; echo $$ $(ps -o pgid= -p $$)";
        let ended = Scene::new().run(script, false).await;
        let lines: Vec<&str> = ended.out.lines().collect();
        assert_eq!(lines[..2], ["600", "600"]);
        let (pid, group) = lines[2].split_once(' ').unwrap();
        assert_eq!(pid, group.trim());
    }

    #[tokio::test]
    async fn it_is_interrupted_once_and_given_time_to_end() {
        let script = "trap 'echo int; sleep 0.5; echo saved; exit 3' INT; echo ready; while :; do sleep 0.05; done";
        let ended = Scene::new().run(script, true).await;
        assert_eq!(ended.out, "ready\nint\nsaved\n");
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.stopped, Some(Stopped::Canceled));
    }

    #[tokio::test]
    async fn it_is_interrupted_when_its_time_is_up() {
        let mut scene = Scene::new();
        scene.limit = Duration::from_millis(300);
        let script = "trap 'exit 3' INT; while :; do sleep 0.05; done";
        let ended = scene.run(script, false).await;
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.stopped, Some(Stopped::TimedOut));
    }

    #[tokio::test]
    async fn what_does_not_heed_the_interrupt_is_killed_with_what_it_started() {
        let mut scene = Scene::new();
        scene.grace = Duration::from_millis(300);
        let script = "trap '' INT; sleep 600 & echo $! > child; echo ready; wait; sleep 600";
        let ended = scene.run(script, true).await;
        assert_eq!(ended.status.code(), None);
        let child = std::fs::read_to_string(scene.folder.path().join("child")).unwrap();
        let stat = PathBuf::from(format!("/proc/{}/stat", child.trim()));
        // Gone, or dead and not yet collected by whoever inherited it.
        let begun = Instant::now();
        while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
            assert!(begun.elapsed() < Duration::from_secs(10), "it lives on");
            tokio::time::sleep(LOOK).await;
        }
    }
}
