//! The control plane is killed while it provisions a Sovereign: the job is known as
//! interrupted and gone on with, by the credentials in the vault, which lie nowhere in
//! the clear.

use std::path::Path;
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::sovereign::{Sovereign, own_address, program, with_arguments};

const SOVEREIGN: &str = "/sovereigns/omantel.example";
const CANARIES: [&str; 3] = [
    "canary-hetzner-0a1b2c3d4e",
    "canary-key-0123456789",
    "canary-git-password",
];

/// Nobody answers in the place of Hetzner, so that preflight waits; and there is no
/// OpenTofu. Adds what it logs, everything, to a file.
fn start(data: &Path, listen: &str, endpoint: &str) -> Sovereign {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(data.with_extension("log"));
    let mut command = with_arguments(Command::new(program()), data, listen);
    command
        .env("HCLOUD_ENDPOINT", endpoint)
        .env("CATALYST_TOFU", "absent-tofu")
        .env("CATALYST_LOG", "warn,catalyst=debug")
        .stderr(log.unwrap());
    Sovereign::start_by(command)
}

/// That no file below a folder has a canary.
fn look_through(path: &Path) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            look_through(&entry.unwrap().path());
        }
        return;
    }
    // Sockets have nothing to read.
    let Ok(content) = std::fs::read(path) else {
        return;
    };
    for canary in CANARIES {
        let is_there = content
            .windows(canary.len())
            .any(|window| window == canary.as_bytes());
        assert!(!is_there, "{} has {canary}", path.display());
    }
}

#[tokio::test]
async fn a_control_plane_that_is_killed_goes_on_with_what_it_provisions() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let listen = own_address();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1", silent.local_addr().unwrap());
    let sovereign = start(&data, &listen, &endpoint);
    let mut admin = crate::admin(&sovereign).await;
    let [token, key, password] = CANARIES;
    let body = json!({
        "config": {
            "sovereignFqdn": "omantel.example",
            "region": "fsn",
            "sshPublicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me",
            "adminCidrs": ["203.0.113.7/32"],
            "gitUrl": "https://git.example/sovereigns",
            "gitCredentials": true,
            "acmeEmail": "platform@omantel.example",
        },
        "credentials": {
            "hetznerToken": token,
            "sshPrivateKey": format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{key}\n-----END OPENSSH PRIVATE KEY-----"),
            "gitUsername": "flux",
            "gitPassword": password,
        },
    });
    admin.post("/sovereigns", body).await;
    let is_in_preflight = |view: &serde_json::Value| {
        view["state"] == "running" && view["steps"][0]["state"] == "running"
    };
    admin
        .until("preflight is under way", SOVEREIGN, is_in_preflight)
        .await;
    let resume = format!("{SOVEREIGN}/resume");
    let nothing = json!({});
    let (status, problem) = admin.ask(Method::POST, &resume, Some(&nothing)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["type"], "busy");

    sovereign.kill();
    let sovereign = start(&data, &listen, &endpoint);
    admin.reconnect();
    let view = admin.get(SOVEREIGN).await;
    assert_eq!(view["state"], "interrupted", "{view}");
    assert_eq!(view["steps"][0]["state"], "interrupted", "{view}");
    assert!(view["next"].as_str().unwrap().contains("Resume it"));

    // No credential is given again.
    admin.post(&resume, nothing).await;
    admin
        .until("preflight is under way again", SOVEREIGN, is_in_preflight)
        .await;
    let cancel = format!("{SOVEREIGN}/cancel");
    admin.post(&cancel, json!({})).await;
    let view = admin
        .until("the job has ended", SOVEREIGN, |view| {
            view["state"] == "cancelled"
        })
        .await;
    let failure = view["failure"].as_str().unwrap();
    assert!(failure.contains("resume it to go on"), "{failure}");
    sovereign.terminate();
    look_through(directory.path());
}
