//! Signing by a program that somebody names, for `catalyst blueprint publish`.
//!
//! The program decides by whom and how; what must stay true here: it is run without a
//! shell, it is told what is public and nothing else, and it ends.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::failure::hinted;

/// How long a program may take. Some ask a person, or a service that is slow.
const WITHIN: Duration = Duration::from_secs(600);

/// What a program signs and attests. All of it is public.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `host/path@sha256:…`.
    pub artifact: &'a str,
    /// The predicate of its provenance.
    pub provenance: &'a Value,
    /// Its SBOM in CycloneDX, which is a predicate as it is.
    pub cyclonedx: &'a Value,
    /// The same in SPDX.
    pub spdx: &'a Value,
}

/// Runs a program with the artifact as its argument, the provenance as its input, and in
/// its environment the files that have the SBOMs. What it says goes to standard error.
pub async fn run(program: &Path, wanted: &Wanted<'_>) -> anyhow::Result<()> {
    run_within(program, wanted, WITHIN).await
}

async fn run_within(program: &Path, wanted: &Wanted<'_>, within: Duration) -> anyhow::Result<()> {
    let artifact = wanted.artifact;
    // Gone again with the program's end.
    let folder = tempfile::tempdir().context("cannot make a folder for the SBOMs to attest")?;
    let mut command = Command::new(program);
    for (variable, name, document) in [
        ("SBOM_CYCLONEDX", "bom.json", wanted.cyclonedx),
        ("SBOM_SPDX", "bom.spdx.json", wanted.spdx),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, document.to_string())
            .with_context(|| format!("cannot write the SBOM to attest, {}", file.display()))?;
        command.env(variable, file);
    }
    let mut child = command
        .arg(artifact)
        .stdin(Stdio::piped())
        // Standard output is for what this program answers.
        .stdout(Stdio::from(std::io::stderr()))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {} to sign {artifact}", program.display()))?;
    let input = wanted.provenance.to_string();
    let ending = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read attests nothing, which is its own business.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait().await
    };
    let reason = match tokio::time::timeout(within, ending).await {
        Err(_) => format!("did not end within {within:?}"),
        Ok(Err(error)) => format!("cannot be waited for: {error}"),
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => format!("ended with {status}"),
    };
    Err(hinted(
        format!("{} did not sign {artifact}: it {reason}", program.display()),
        "see what it says above, and publish again; until then nobody finds the version, which has no tag",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::failure::describe;
    use super::*;

    const ARTIFACT: &str = "ghcr.io/acme/bp-x@sha256:00";

    /// Runs a shell script as the program; what became of it, and its folder.
    async fn run_script(script: &str, within: Duration) -> (Result<(), String>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("sign");
        let text = format!("#!/bin/sh\ncd {}\n{script}\n", folder.path().display());
        // By another process: a program that a thread of this one has open for writing,
        // or a child of it for a moment, cannot be run.
        let written = std::process::Command::new("sh")
            .args(["-c", "printf %s \"$1\" >\"$0\" && chmod 700 \"$0\""])
            .arg(&program)
            .arg(text)
            .status();
        assert!(written.unwrap().success());
        let (provenance, cyclonedx, spdx) = (json!({"a": 1}), json!({"b": 2}), json!({"c": 3}));
        let wanted = Wanted {
            artifact: ARTIFACT,
            provenance: &provenance,
            cyclonedx: &cyclonedx,
            spdx: &spdx,
        };
        let ran = run_within(&program, &wanted, within).await;
        let told = ran.map_err(|error| {
            describe(&error).replace(&folder.path().display().to_string(), "FOLDER")
        });
        (told, folder)
    }

    #[tokio::test]
    async fn the_program_is_told_what_to_sign_and_what_to_attest() {
        let script = "echo \"$#\" \"$1\" >told\ncat - \"$SBOM_CYCLONEDX\" \"$SBOM_SPDX\" >>told\necho \"$SBOM_SPDX\" >place";
        let (ran, folder) = run_script(script, WITHIN).await;
        assert_eq!(ran, Ok(()));
        let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
        assert_eq!(
            told,
            format!("1 {ARTIFACT}\n{{\"a\":1}}{{\"b\":2}}{{\"c\":3}}")
        );
        // The files are gone with the program.
        let place = std::fs::read_to_string(folder.path().join("place")).unwrap();
        assert!(!Path::new(place.trim()).exists(), "{place}");
        // One that reads nothing is no failure.
        assert_eq!(run_script("exec <&-", WITHIN).await.0, Ok(()));
    }

    #[tokio::test]
    async fn a_program_that_does_not_sign_is_named_with_what_became_of_it() {
        let (failed, _) = run_script("exit 3", WITHIN).await;
        insta::assert_snapshot!(failed.unwrap_err(), @r"
        error: FOLDER/sign did not sign ghcr.io/acme/bp-x@sha256:00: it ended with exit status: 3
        hint: see what it says above, and publish again; until then nobody finds the version, which has no tag
        ");
        let (late, _) = run_script("exec sleep 600", Duration::from_millis(50)).await;
        let late = late.unwrap_err();
        assert!(late.contains("did not end within 50ms"), "{late}");
        let nothing = json!({});
        let wanted = Wanted {
            artifact: ARTIFACT,
            provenance: &nothing,
            cyclonedx: &nothing,
            spdx: &nothing,
        };
        let absent = run(Path::new("/nowhere/sign"), &wanted).await;
        let said = describe(&absent.unwrap_err());
        assert!(
            said.starts_with("error: cannot run /nowhere/sign to sign ghcr.io/acme"),
            "{said}"
        );
    }
}
