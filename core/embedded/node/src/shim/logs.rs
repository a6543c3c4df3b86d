//! Container logs in the CRI format: `<time> <stream> <F|P> <text>`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::interrupt::retry_on_interrupt;

/// Longest piece of a line written at once; the rest follows as a new piece.
const PIECE: usize = 16 * 1024;

/// Rotated files kept beside the current one: `<log>.1` is the newest.
const KEPT: u32 = 3;

/// One log file with its size.
pub struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Log {
    /// Opens the log for appending.
    pub fn open(path: &Path, limit: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            limit,
        })
    }

    /// Appends one piece of a line. Losing log text on a full disk is better
    /// than stopping the container, so errors end here.
    pub fn line(&mut self, stream: &str, tag: &str, text: &[u8]) {
        if self.size >= self.limit {
            self.rotate();
        }
        let mut record = format!("{} {stream} {tag} ", super::run::now()).into_bytes();
        record.extend_from_slice(text);
        record.push(b'\n');
        if self.file.write_all(&record).is_ok() {
            self.size += record.len() as u64;
        }
    }

    fn rotate(&mut self) {
        let numbered = |n: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..KEPT).rev() {
            let _ = std::fs::rename(numbered(n), numbered(n + 1));
        }
        let _ = std::fs::rename(&self.path, numbered(1));
        if let Ok(fresh) = Self::open(&self.path, self.limit) {
            *self = fresh;
        }
    }
}

/// One stream of a container, cut into lines.
pub struct Stream {
    name: &'static str,
    from: File,
    pending: Vec<u8>,
}

impl Stream {
    /// Takes the reading end of a container's pipe.
    pub fn new(name: &'static str, from: File) -> Self {
        Self {
            name,
            from,
            pending: Vec::new(),
        }
    }

    /// Copies what is there; false once the stream has closed.
    fn copy(&mut self, log: &mut Log) -> bool {
        let mut buffer = vec![0u8; PIECE];
        let length = match retry_on_interrupt(|| self.from.read(&mut buffer)) {
            Ok(0) | Err(_) => {
                if !self.pending.is_empty() {
                    log.line(self.name, "F", &self.pending);
                }
                return false;
            }
            Ok(length) => length,
        };
        self.pending
            .extend_from_slice(buffer.get(..length).unwrap_or_default());
        let mut rest = self.pending.as_slice();
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            log.line(self.name, "F", rest.get(..end).unwrap_or_default());
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        while rest.len() >= PIECE {
            let (piece, after) = rest.split_at(PIECE);
            log.line(self.name, "P", piece);
            rest = after;
        }
        self.pending = rest.to_vec();
        true
    }
}

/// Copies streams into the log until all have closed. In one thread: a process
/// that has unshared its process namespace cannot create another.
pub fn copy(mut streams: Vec<Stream>, log: &mut Log) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    while !streams.is_empty() {
        let mut waiting: Vec<PollFd<'_>> = streams
            .iter()
            .map(|s| PollFd::new(s.from.as_fd(), PollFlags::POLLIN))
            .collect();
        if retry_on_interrupt(|| poll(&mut waiting, PollTimeout::NONE)).is_err() {
            return;
        }
        let ready: Vec<bool> = waiting.iter().map(|w| w.any().unwrap_or(false)).collect();
        let mut ready = ready.into_iter();
        streams.retain_mut(|stream| !ready.next().unwrap_or(false) || stream.copy(log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_split_and_files_rotate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut log = Log::open(&path, 20_000).unwrap();
        let mut write = |name: &'static str, text: &str| {
            let input = folder.path().join("input");
            std::fs::write(&input, text).unwrap();
            copy(
                vec![Stream::new(name, File::open(input).unwrap())],
                &mut log,
            );
        };
        let long = "x".repeat(PIECE + 10);
        write("stdout", &format!("{long}\nshort\nmore\nlast"));
        let current = std::fs::read_to_string(&path).unwrap();
        assert!(current.contains(" stdout F short\n") && current.ends_with(" stdout F last\n"));
        assert!(!folder.path().join("0.log.1").exists());
        write("stderr", &format!("{long}\n"));
        write("stderr", "after\n");
        let current = std::fs::read_to_string(&path).unwrap();
        assert!(current.contains(" stderr F after\n") && !current.contains("short"));
        assert!(
            std::fs::read_to_string(folder.path().join("0.log.1"))
                .unwrap()
                .contains("short")
        );
    }
}
