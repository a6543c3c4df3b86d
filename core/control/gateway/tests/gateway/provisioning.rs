//! Sovereigns that are provisioned behind the API. No OpenTofu is here, so that jobs end in
//! preflight, but for `on_opentofu`, which runs jobs to their end on the real one, where
//! there is one.

mod on_opentofu;
mod requests;
mod secrets;
mod standing;

use std::path::Path;
use std::time::Duration;

use catalyst_provisioner::Options;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::hetzner::{Project, Server, TOKEN};
use crate::world::{World, no_tools};

pub const SOVEREIGNS: &str = "/api/v1/sovereigns";
const SOVEREIGN: &str = "/api/v1/sovereigns/omantel.example";
const EVENTS: &str = "/api/v1/sovereigns/omantel.example/events";
const PASSWORD: &str = "canary-git-password";
/// What is made for a Sovereign.
const OWN: [&str; 3] = ["statePassphrase", "openbaoSeal", "giteaAdmin"];
/// In OpenSSH's form and of the description's public key; what would be private in it opens
/// nothing.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQAAACDjKqp5Fc65tEnRulDqKii7Gm4B+QvaJFotHYdpfRiiZQAAABMA\ncanarykey0123456789abcde\n-----END OPENSSH PRIVATE KEY-----";

pub fn config() -> Value {
    json!({
        "sovereignFqdn": "omantel.example",
        "region": "fsn",
        "sshPublicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me",
        "adminCidrs": ["203.0.113.7/32"],
        "gitUrl": "https://git.example/sovereigns",
        "gitCredentials": true,
        "acmeEmail": "platform@omantel.example",
        "controlPlaneCount": 1,
        "workerCount": 0,
    })
}

fn credentials() -> Value {
    json!({
        "hetznerToken": TOKEN, "sshPrivateKey": KEY,
        "gitUsername": "flux", "gitPassword": PASSWORD,
    })
}

fn body() -> Value {
    json!({"config": config(), "credentials": credentials()})
}

/// Asks as the sovereign-admin; no answer repeats a credential.
pub async fn sol(world: &World, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let (status, answer) = world.ask(Some("sol"), method, path, body).await;
    has_no_canary(&answer.to_string());
    (status.as_u16(), answer)
}

fn has_no_canary(text: &str) {
    for canary in [TOKEN, PASSWORD, "canarykey0123456789abcde"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

/// Asks for the Sovereign once no job is at work on it.
async fn settled(world: &World) -> Value {
    let settled = world.provisioning.settled("omantel.example").await;
    settled.unwrap();
    let (status, view) = sol(world, "GET", SOVEREIGN, None).await;
    assert_eq!(status, 200, "{view}");
    view
}

/// A gateway that provisions in a project where nothing is, which is there as long as
/// the second is held.
async fn of_an_empty_project(folder: &Path) -> (World, Server) {
    let project = Project::empty().serve().await;
    let options = Options {
        hetzner: project.address.clone(),
        ..no_tools()
    };
    (World::provisioning_in(folder, options).await, project)
}

/// Has the gateway tidy up what the vault has, as the control plane does.
fn tidy(world: &World) {
    let gateway = world.gateway.clone();
    let again = Duration::from_millis(20);
    tokio::spawn(async move {
        gateway
            .tidy_credentials(CancellationToken::new(), again)
            .await;
    });
}
