//! The way back from the archive as far as it needs no OpenTofu: what keeps it from being
//! proved is told as what it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

// Other tests use the rest of them.
#[allow(dead_code)]
#[path = "support/hetzner.rs"]
mod hetzner;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use catalyst_provisioner::directory::Directory;
use catalyst_provisioner::record::{Life, Record};
use catalyst_provisioner::{Config, Provisioner};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::world::{World, description};

const SOVEREIGN: &str = "omantel.example";

/// Puts an archive of one encrypted state into a directory.
fn archived(path: &Path) {
    let directory = Directory::open(path, SOVEREIGN).unwrap();
    std::fs::write(path.join("passphrase"), "0".repeat(64)).unwrap();
    let folder = path.join("archive/20260101T000000Z");
    std::fs::create_dir_all(&folder).unwrap();
    let mut digests = BTreeMap::new();
    for (name, content) in [
        (
            "terraform.tfstate",
            r#"{"serial":1,"encrypted_data":"AAAA"}"#,
        ),
        ("tofu.auto.tfvars.json", "{}"),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
        digests.insert(name, hex::encode(Sha256::digest(content)));
    }
    let list = serde_json::json!({ "sha256": digests });
    std::fs::write(folder.join("archive.json"), list.to_string()).unwrap();
    let mut record = Record::new(SOVEREIGN, jiff::Timestamp::UNIX_EPOCH);
    record.life = Life::Archived;
    directory.save(&record).unwrap();
}

#[tokio::test]
async fn what_keeps_a_restore_from_being_proved_is_told_as_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    let world = World::new(Path::new("absent-tofu"), root.path(), "true").await;
    let text = description(1);
    let config = Config::parse("sovereign.yaml", &text, &|_| panic!("no file is named")).unwrap();
    let path = root.path().join("sovereign");
    archived(&path);
    let interrupted = CancellationToken::new();
    interrupted.cancel();
    for (cancel, expected) in [
        (CancellationToken::new(), "cannot run absent-tofu"),
        (interrupted, "it was interrupted"),
    ] {
        let directory = Directory::open(&path, SOVEREIGN).unwrap();
        let mut sink = |_| {};
        let mut run =
            Provisioner::new(&config, &world.options, directory, cancel, &mut sink).unwrap();
        let error = run.restore(None).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("passphrase"), "{error}");
        drop(run);
        // It stays archived, whatever it was.
        let record = Directory::look(&path, SOVEREIGN).unwrap();
        assert_eq!(record.life, Life::Archived);
        assert!(!path.join("module").exists());
    }
}
