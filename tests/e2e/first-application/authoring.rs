//! The commands of `docs/BLUEPRINT-AUTHORING.md`, typed as they stand, block by block
//! and in their order, in a fresh folder. Only the address of the Sovereign is another.
//!
//! A block that uses a client which this machine does not have is left out, unless
//! the lane demands every client.

use std::path::Path;

use crate::process::client;
use crate::readme::{Terminal, server_of};
use crate::sovereign::Sovereign;
use crate::user::User;

const PAGE: &str = include_str!("../../../docs/BLUEPRINT-AUTHORING.md");
/// Where the page's Sovereign listens.
const SHOWN: &str = "127.0.0.1:8080";
/// What the page uses and a machine may lack.
const CLIENTS: [&str; 3] = ["helm", "cosign", "curl"];

fn blocks() -> impl Iterator<Item = &'static str> {
    PAGE.split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
}

/// The programs that a block runs, at the beginning of a line or behind a pipe.
fn programs(block: &str) -> impl Iterator<Item = &str> {
    block
        .lines()
        .flat_map(|line| line.split('|'))
        .filter_map(|part| part.split_whitespace().next())
}

pub async fn every_block_works(sovereign: &Sovereign, directory: &Path) {
    let link = sovereign.address("signIn").to_owned();
    let mut admin = User::join(sovereign, "sovereign-admin", &link).await;
    let folder = directory.join("authoring");
    Terminal::prepare(&folder);
    let mut verbs = Vec::new();
    for block in blocks() {
        let missing = CLIENTS
            .iter()
            .find(|name| programs(block).any(|it| it == **name) && client(name).is_none());
        if missing.is_some() {
            continue;
        }
        for line in block.lines() {
            if let Some(rest) = line.split("catalyst blueprint ").nth(1) {
                verbs.push(rest.split(' ').next().unwrap());
            }
        }
        let terminal = Terminal {
            folder: &folder,
            server: server_of(sovereign),
            token: admin.token().await,
        };
        let here = block.replace(SHOWN, sovereign.address("registry"));
        terminal.run(&format!("set -eu\n{here}"));
    }
    for verb in [
        "new", "lint", "render", "test", "inspect", "package", "trust", "publish", "diff", "verify",
    ] {
        assert!(verbs.contains(&verb), "{verb} is not in the page");
    }
    // What was published is what the page says.
    let packed = folder.join("work/bp-notes-0.1.0.oci.tar");
    assert!(packed.exists(), "{} is not there", packed.display());
    let versions = serde_json::json!(["0.2.0", "0.1.0"]);
    let path = "/blueprints/acme/bp-notes";
    admin
        .until("both versions are shown", path, |detail| {
            detail["versions"] == versions
        })
        .await;
}
