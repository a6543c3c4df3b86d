//! What tests of the service share.

use std::path::{Path, PathBuf};

use catalyst_provisioner::service::{Credentials, Follower, Service};
use catalyst_provisioner::{Config, Options, OwnSecrets, Secret};
use serde_json::Value;

use crate::hetzner::TOKEN;
use crate::machine::{files, holds};
use crate::world::description;

pub const PASSWORD: &str = "canary-git-password";
/// In OpenSSH's form and of the description's public key; what would be private in it opens
/// nothing.
pub const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQAAACDjKqp5Fc65tEnRulDqKii7Gm4B+QvaJFotHYdpfRiiZQAAABMA\ncanarykey0123456789abcde\n-----END OPENSSH PRIVATE KEY-----\n";
const PASSPHRASE: &str = "canarypassphrase0123456789";
/// 64 hexadecimal digits.
const SEAL: &str = "5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1";
/// None of them may be found where anybody can read.
pub const CANARIES: [&str; 6] = [
    TOKEN,
    PASSWORD,
    "canarykey0123456789abcde",
    PASSPHRASE,
    SEAL,
    "canary-gitea-admin",
];

pub fn credentials() -> Credentials {
    Credentials {
        hetzner_token: Secret::new(TOKEN),
        ssh_private_key: Secret::new(KEY),
        git: Some(("flux".to_owned(), Secret::new(PASSWORD))),
        own: OwnSecrets {
            passphrase: Secret::new(PASSPHRASE),
            openbao_seal: Secret::new(SEAL),
            gitea_admin: Secret::new("canary-gitea-admin"),
        },
    }
}

pub fn config(more: u16) -> Config {
    let text = description(more);
    Config::parse("sovereign.yaml", &text, &|_| panic!("no file is named")).unwrap()
}

pub fn open(root: &Path, options: &Options) -> Service {
    let (service, unreadable) = Service::open(&jobs(root), options.clone()).unwrap();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    service
}

pub fn jobs(root: &Path) -> PathBuf {
    root.join("data/sovereigns")
}

/// The events of the last job, to its end.
pub async fn to_the_end(follower: &mut Follower) -> Vec<(u64, Value)> {
    let mut found = Vec::new();
    loop {
        let (id, text) = follower.next().await;
        let event: Value = serde_json::from_str(&text).unwrap();
        let is_last = event["event"] == "job-ended";
        found.push((id, event));
        if is_last {
            return found;
        }
    }
}

/// That no credential lies anywhere in what the service keeps.
pub fn has_no_canary(root: &Path) {
    for (path, content) in files(&jobs(root)) {
        for canary in CANARIES {
            assert!(!holds(&content, canary), "{} has {canary}", path.display());
        }
    }
}
