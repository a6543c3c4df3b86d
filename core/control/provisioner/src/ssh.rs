//! The first control plane, through the system's `ssh`.
//!
//! Its host key is taken at the first meeting and kept beside the record; the server
//! was made minutes ago, and nobody knows its key yet (`docs/adr/0013-first-contact.md`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::config::{Config, at_home};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The program is not there.
    #[error("cannot run {}: {reason}; install OpenSSH's client, or name it with --ssh or CATALYST_SSH", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        reason: String,
    },
    /// It failed, here or there.
    #[error("cannot {action} on {host}: {reason}")]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// Where.
        host: String,
        /// What was said.
        reason: String,
    },
}

/// How the first control plane is reached.
#[derive(Debug, Clone)]
pub struct Ssh {
    program: PathBuf,
    port: u16,
    key: Option<PathBuf>,
    known_hosts: PathBuf,
    host: String,
}

impl Ssh {
    /// `program` as root on a host that is known later.
    pub fn new(program: &Path, port: u16, config: &Config, directory: &Path) -> Self {
        Self {
            program: program.to_owned(),
            port,
            key: config.ssh_private_key_file.as_deref().map(at_home),
            known_hosts: directory.join("known_hosts"),
            host: String::new(),
        }
    }

    /// The same, on this host.
    pub fn on(&self, host: &str) -> Self {
        Self {
            host: host.to_owned(),
            ..self.clone()
        }
    }

    /// Whether a connection to the port is taken.
    pub async fn is_open(&self) -> bool {
        let connect = tokio::net::TcpStream::connect((self.host.as_str(), self.port));
        matches!(
            tokio::time::timeout(Duration::from_secs(5), connect).await,
            Ok(Ok(_))
        )
    }

    /// Whether the program is there.
    pub async fn version(&self) -> Result<(), SshError> {
        let status = Command::new(&self.program)
            .arg("-V")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        let start = |reason: String| SshError::Start {
            program: self.program.clone(),
            reason,
        };
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(start(format!("it ended with {status}"))),
            Err(error) => Err(start(error.to_string())),
        }
    }

    /// Runs a command there and gives its standard output. `input` reaches it through
    /// a pipe. `action` completes the sentence "cannot …".
    pub async fn run(
        &self,
        action: &'static str,
        command: &str,
        input: Option<&[u8]>,
        limit: Duration,
    ) -> Result<String, SshError> {
        let failed = |reason: String| SshError::Failed {
            action,
            host: self.host.clone(),
            reason,
        };
        let mut process = Command::new(&self.program);
        process
            .args(self.arguments())
            .arg(command)
            .env_remove("HCLOUD_TOKEN")
            .env_remove("CATALYST_GIT_PASSWORD")
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = process.spawn().map_err(|error| SshError::Start {
            program: self.program.clone(),
            reason: error.to_string(),
        })?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A command that ends early has its reason on standard error.
                _ = stdin.write_all(input).await;
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(limit, both)
            .await
            .map_err(|_| failed(format!("it took longer than {} s", limit.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or_default();
        Err(failed(match last {
            "" => format!("it ended with {}", output.status),
            last => last.chars().take(500).collect(),
        }))
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut option = |text: String| arguments.extend(["-o".into(), text.into()]);
        option("BatchMode=yes".to_owned());
        option("ConnectTimeout=10".to_owned());
        option("StrictHostKeyChecking=accept-new".to_owned());
        // A list of files, with tokens that begin with a percent sign (ssh_config(5)).
        let known_hosts = self.known_hosts.display().to_string().replace('%', "%%");
        option(format!("UserKnownHostsFile=\"{known_hosts}\""));
        if let Some(key) = &self.key {
            option("IdentitiesOnly=yes".to_owned());
            arguments.extend(["-i".into(), key.into()]);
        }
        arguments.extend(["-p".into(), self.port.to_string().into()]);
        arguments.push(format!("root@{}", self.host).into());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_any_name_holds_the_one_file_of_known_hosts() {
        let text = "sovereignFqdn: omantel.example
region: fsn
sshPublicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me
adminCidrs: [203.0.113.7/32]
gitUrl: https://git.example/sovereigns
acmeEmail: platform@omantel.example
";
        let config = Config::parse("f", text, &|_| panic!("no file is named")).unwrap();
        for (directory, expected) in [
            ("/data", "UserKnownHostsFile=\"/data/known_hosts\""),
            ("/my data", "UserKnownHostsFile=\"/my data/known_hosts\""),
            ("/50%h", "UserKnownHostsFile=\"/50%%h/known_hosts\""),
        ] {
            let ssh = Ssh::new(Path::new("ssh"), 22, &config, Path::new(directory));
            let arguments = ssh.on("203.0.113.9").arguments();
            assert!(
                arguments.contains(&OsString::from(expected)),
                "{arguments:?}"
            );
        }
    }
}
