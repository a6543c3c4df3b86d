//! Which program it is, and of which version.
//!
//! Terraform takes the same words, and with `-json` answers in the same form; but it heeds
//! no `TF_ENCRYPTION`, so that the state would lie on the disk in the clear. Only the
//! sentence that is meant for people names the program.

use std::io;
use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::process::{Ended, Stopped};
use super::{OLDEST, Tofu, TofuError};

/// A program that only says its version needs no longer.
const PATIENCE: Duration = Duration::from_secs(10);
const ACTION: &str = "ask OpenTofu for its version";

impl Tofu {
    /// The program's version; refuses one that is too old, and another program.
    pub async fn version(&self) -> Result<Version, TofuError> {
        self.version_within(PATIENCE).await
    }

    async fn version_within(&self, within: Duration) -> Result<Version, TofuError> {
        let read = self
            .prepared(Path::new("/"), &["version"], within)
            .read(&self.cancel)
            .await
            .map_err(|source| self.not_started(source))?;
        let ended = match read {
            Ok(ended) => Ended {
                out: self.redactor.clean(&ended.out),
                err: self.redactor.clean(&ended.err),
                ..ended
            },
            Err(why @ Stopped::Canceled) => {
                return Err(TofuError::Stopped {
                    action: ACTION,
                    why,
                    within,
                });
            }
            Err(Stopped::TimedOut) => {
                let reason = format!("it did not say its version within {} s", within.as_secs());
                return Err(self.not_started(io::Error::other(reason)));
            }
        };
        let ended = self.judge(ACTION, within, ended, &[])?;
        // What it has to say of its settings may stand before that line.
        let after = |name: &str| {
            let mut lines = ended.out.lines();
            lines.find_map(|line| line.trim().strip_prefix(name))
        };
        if after("Terraform v").is_some() {
            return Err(TofuError::Terraform {
                program: self.program.clone(),
            });
        }
        let read = |reason: String| TofuError::Read {
            action: ACTION,
            reason,
        };
        let text = after("OpenTofu v")
            .and_then(|rest| rest.split_whitespace().next())
            .ok_or_else(|| read("it does not name OpenTofu".to_owned()))?;
        let found: Version = text
            .parse()
            .map_err(|_| read(format!("{text:?} is no version")))?;
        if (found.major, found.minor) < (OLDEST.major, OLDEST.minor) {
            return Err(TofuError::TooOld {
                program: self.program.clone(),
                found,
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::super::Limits;
    use super::*;
    use crate::secret::Secret;

    /// What a program that runs this script is taken for.
    async fn version(script: &str, within: Duration) -> Result<Version, TofuError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tofu");
        // By another process: what this one has open for writing, none can be begun from.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 700 \"$1\"";
        let written = std::process::Command::new("sh")
            .args(["-c", write, "sh"])
            .arg(&program)
            .arg(script)
            .status()
            .unwrap();
        assert!(written.success());
        let tofu = Tofu::new(
            &program,
            folder.path(),
            &Secret::new("canary-passphrase"),
            &[],
            Limits::default(),
            CancellationToken::new(),
        );
        tofu.version_within(within).await
    }

    #[tokio::test]
    async fn only_opentofu_that_is_new_enough_is_taken() {
        let minute = Duration::from_secs(60);
        for (script, expected) in [
            ("printf 'OpenTofu v1.12.6\\non linux_amd64\\n'", "1.12.6"),
            (
                "printf '\\nWarning: no file\\n\\nOpenTofu v1.10.0-beta1 (FIPS)\\n'",
                "1.10.0-beta1",
            ),
            ("echo OpenTofu v1.8.9", "it is OpenTofu 1.8.9"),
            (
                "echo Terraform v1.13.3; echo on linux_amd64",
                "it is Terraform, which would keep the state in the clear",
            ),
            (
                "echo '{\"terraform_version\":\"1.13.3\",\"terraform_outdated\":false}'",
                "it does not name OpenTofu",
            ),
            ("echo OpenTofu vNext", "is no version"),
            ("exit 3", "OpenTofu failed: it ended with exit status: 3"),
            ("echo no >&2; exit 3", "OpenTofu failed: no"),
        ] {
            let said = match version(script, minute).await {
                Ok(version) => version.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(expected), "{script}: {said}");
        }
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_not_waited_for() {
        let error = version("exec sleep 600", Duration::from_secs(1)).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("did not say its version within 1 s"),
            "{error}"
        );
    }
}
