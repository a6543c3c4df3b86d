//! A machine that allows no user namespaces: `catalyst doctor` and the pod say
//! exactly why and what to do; everything that needs no container works.
//!
//! The switch is turned off inside a user namespace of the test's own, so that
//! nothing else on the machine notices.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::sovereign::{Sovereign, with_arguments};

/// A command that becomes `catalyst` where no user namespace can be made.
fn without_namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_catalyst"),
    ]);
    command
}

#[tokio::test]
async fn missing_user_namespaces_are_named_by_the_doctor_and_by_the_pod() {
    crate::begin();
    let version = without_namespaces().arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!("not run: missing user namespaces, because there is no unshare to take them");
        return;
    }
    let doctor = without_namespaces().arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(1), "{said}");
    for part in [
        "no ",
        "user namespace",
        "User namespaces are switched off",
        "sysctl -w user.max_user_namespaces=",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert!(!said.contains("No space left"), "{said}");

    let directory = tempfile::tempdir().unwrap();
    let command = with_arguments(
        without_namespaces(),
        &directory.path().join("data"),
        "127.0.0.1:0",
    );
    let sovereign = Sovereign::start_by(command);
    let administrator = sovereign.administrator();
    let pods = sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces/default/pods");
    // An image that ships with the Sovereign: its absence is not the reason.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stuck"},
        "spec": {"containers": [{"name": "main",
            "image": format!("{}/catalyst/mirror/ghcr.io/openova-io/postgres:18.4.0", sovereign.address("registry"))}]},
    });
    let created = administrator
        .http
        .post(&pods)
        .json(&pod)
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let began = Instant::now();
    loop {
        let answer = administrator.http.get(format!("{pods}/stuck")).send().await;
        let status = answer.unwrap().json::<Value>().await.unwrap()["status"].clone();
        let said = status.to_string();
        if said.contains("User namespaces are switched off")
            && said.contains("sysctl -w user.max_user_namespaces=")
        {
            assert_ne!(status["phase"], "Running", "{status:#}");
            assert!(!said.contains("No space left"), "{said}");
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the pod does not say why: {status:#}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The rest of the Sovereign is as well as ever, and stops in time.
    let mut admin = crate::admin(&sovereign).await;
    admin.post("/organizations", json!({"name": "acme"})).await;
    admin.until_phase("/organizations/acme", "Running").await;
    let deleted = administrator
        .http
        .delete(format!("{pods}/stuck"))
        .send()
        .await;
    assert!(deleted.unwrap().status().is_success());
    sovereign.terminate();
}
