//! Processes named so that a reused number is never mistaken for the old one.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

/// A process by number and start time (clock ticks since boot, field 22 of
/// `/proc/<pid>/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process number.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub start: u64,
}

impl ProcessId {
    /// Looks the running process `pid` up; `None` when there is none.
    pub fn of(pid: i32) -> Option<Self> {
        let (start, _) = stat(pid)?;
        Some(Self { pid, start })
    }

    /// Whether this very process still runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        matches!(stat(self.pid), Some((start, state)) if start == self.start && state != 'Z' && state != 'X')
    }

    /// Opens a handle on the process, or `None` when it is gone.
    pub fn open(self) -> Option<OwnedFd> {
        let pid = rustix::process::Pid::from_raw(self.pid)?;
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK).ok()?;
        // The handle may be of a successor with the same number: ask again.
        self.is_alive().then_some(fd)
    }

    /// Sends a signal; a process that is gone counts as done.
    pub fn signal(self, signal: rustix::process::Signal) {
        if let Some(fd) = self.open() {
            // Gone between the two calls is the outcome that was wanted.
            let _ = rustix::process::pidfd_send_signal(&fd, signal);
        }
    }

    /// Waits until the process has ended.
    pub async fn ended(self) {
        let Some(fd) = self.open() else { return };
        // SAFETY: an OwnedFd stays open and names the same descriptor until it
        // is dropped, which the registration outlives in no case.
        let registered = unsafe {
            tokio::io::unix::AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE)
        };
        match registered {
            Ok(fd) => {
                while self.is_alive() {
                    match fd.readable().await {
                        // A wake-up is a hint; the process table decides.
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => return,
                    }
                }
            }
            Err(_) => {
                while self.is_alive() {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Start time and state letter of a process.
fn stat(pid: i32) -> Option<(u64, char)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself contain blanks and parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((start, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_number_is_another_process() {
        let own = ProcessId::of(std::process::id() as i32).unwrap();
        assert!(own.is_alive());
        let other = ProcessId {
            start: own.start + 1,
            ..own
        };
        assert!(!other.is_alive());
        assert!(other.open().is_none());
    }
}
