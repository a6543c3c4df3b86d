//! The private key that ssh signs in with. ssh takes keys from files only, and a key
//! that was given to the service must lie on no disk: so it is a file in memory, which
//! goes when the job ends or the process dies.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::secret::Secret;

/// A key in memory; its path is good for programs of the same user while this lives.
#[derive(Debug)]
pub(super) struct KeyFile(File);

impl KeyFile {
    pub(super) fn new(key: &Secret) -> io::Result<Self> {
        let mut file = File::from(memfd_create("ssh-key", MemfdFlags::CLOEXEC)?);
        // ssh refuses a key that others could read.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(key.reveal().trim().as_bytes())?;
        // OpenSSH does not read a key whose last line does not end.
        file.write_all(b"\n")?;
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.0.as_raw_fd()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_reads_the_key_while_it_is_held_and_nobody_else_may() {
        let key = KeyFile::new(&Secret::new("canary-key\nsecond")).unwrap();
        let path = key.path();
        // Twice: each reads from the start.
        for _ in 0..2 {
            let read = Command::new("cat").arg(&path).output().unwrap();
            assert_eq!(read.stdout, b"canary-key\nsecond\n");
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let behind = std::fs::read_link(&path).unwrap();
        let behind = behind.to_str().unwrap();
        assert!(behind.starts_with("/memfd:ssh-key"), "{behind}");
    }
}
