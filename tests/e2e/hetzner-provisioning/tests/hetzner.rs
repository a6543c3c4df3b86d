//! The harness for real where there is a token, and the proof that it does nothing
//! where there is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn harness() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hetzner-provisioning"))
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_sovereign_is_provisioned_on_hetzner_and_destroyed() {
    if std::env::var_os("HETZNER_TEST_TOKEN").is_none_or(|token| token.is_empty()) {
        // Straight to standard error: the test runner hides what tests print.
        writeln!(
            std::io::stderr(),
            "SKIPPED a_sovereign_is_provisioned_on_hetzner_and_destroyed: HETZNER_TEST_TOKEN is not set (docs/SOVEREIGN-PROVISIONING.md)"
        )
        .unwrap();
        return;
    }
    let status = harness().status().unwrap();
    assert!(status.success(), "{status}");
}

/// A `tofu` that would leave a trace of any call.
fn recording_tofu(folder: &Path) -> std::path::PathBuf {
    let trace = folder.join("called");
    let program = folder.join("tofu");
    std::fs::write(
        &program,
        format!("#!/bin/sh\necho \"$@\" >> {}\nexit 1\n", trace.display()),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    trace
}

#[test]
fn harness_without_hetzner_credentials_skips() {
    let folder = tempfile::tempdir().unwrap();
    let trace = recording_tofu(folder.path());
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    // The trap works: whoever calls tofu by that path leaves a trace.
    let probe = Command::new("sh")
        .args(["-c", "tofu probe"])
        .env("PATH", &path)
        .status()
        .unwrap();
    assert!(!probe.success());
    assert_eq!(std::fs::read_to_string(&trace).unwrap(), "probe\n");
    std::fs::remove_file(&trace).unwrap();

    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    for (words, token) in [
        (&[][..], None),
        (&[][..], Some("")),
        (&["destroy"][..], None),
        (&["sweep"][..], None),
    ] {
        let mut command = harness();
        command
            .args(words)
            .env_clear()
            .env("PATH", &path)
            .env("HETZNER_TEST_PROJECT_ID", "1234567")
            .current_dir(&work);
        if let Some(token) = token {
            command.env("HETZNER_TEST_TOKEN", token);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        let said = text(&output);
        assert!(
            said.starts_with("SKIPPED: HETZNER_TEST_TOKEN is not set"),
            "{said}"
        );
        assert!(said.contains("HETZNER_TEST_PROJECT_ID"), "{said}");
    }
    assert!(
        !trace.exists(),
        "tofu was called: {:?}",
        std::fs::read_to_string(&trace)
    );
    assert_eq!(
        std::fs::read_dir(&work).unwrap().count(),
        0,
        "something was written"
    );
}

#[test]
fn a_token_without_the_rest_fails_before_anything_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let trace = recording_tofu(folder.path());
    let output = harness()
        .env_clear()
        .env("PATH", folder.path())
        .env("HETZNER_TEST_TOKEN", "canary-e2e-token-12345")
        .env("HETZNER_TEST_PROJECT_ID", "not-a-number")
        .env("E2E_SSH_PUBLIC_KEY_FILE", "/absent.pub")
        .env("E2E_ADMIN_CIDR", "0.0.0.0/0")
        .env("E2E_REGION", "mars")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for expected in ["adminCidrs", "hetznerProjectId", "region", "/absent.pub"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("canary"), "{said}");
    assert!(!trace.exists());
}

/// A run talks to Hetzner Cloud and to nothing in its place, whoever names it.
#[test]
fn another_address_than_hetzners_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let trace = recording_tofu(folder.path());
    for words in [&[][..], &["destroy"][..], &["sweep"][..]] {
        let output = harness()
            .args(words)
            .env_clear()
            .env("PATH", folder.path())
            .env("HETZNER_TEST_TOKEN", "canary-e2e-token-12345")
            .env("HCLOUD_ENDPOINT", "http://127.0.0.1:9/v1")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("HCLOUD_ENDPOINT is set"), "{words:?}: {said}");
        assert!(!said.contains("canary"), "{words:?}: {said}");
    }
    assert!(!trace.exists());
}

#[test]
fn a_failing_tofu_fails_the_run_and_is_reported_without_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let trace = recording_tofu(folder.path());
    let key = folder.path().join("key.pub");
    std::fs::write(
        &key,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ci",
    )
    .unwrap();
    let output = harness()
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HETZNER_TEST_TOKEN", "canary-e2e-token-12345")
        .env("HETZNER_TEST_PROJECT_ID", "1234567")
        .env("E2E_RUN_ID", "123-1")
        .env("E2E_SSH_PUBLIC_KEY_FILE", &key)
        .env("E2E_ADMIN_CIDR", "203.0.113.7/32")
        .env("E2E_TOFU", folder.path().join("tofu"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("provisioning e2e-123-1.openova.io"), "{said}");
    assert!(said.contains("== apply: FAILED"), "{said}");
    assert!(said.contains("nothing to destroy"), "{said}");
    let report = std::fs::read_to_string(folder.path().join("e2e-hetzner/report.json")).unwrap();
    assert!(report.contains("\"verdict\": \"failed\""), "{report}");
    assert!(
        !said.contains("canary") && !report.contains("canary"),
        "{said}{report}"
    );
    assert_eq!(std::fs::read_to_string(&trace).unwrap(), "version\n");
}
