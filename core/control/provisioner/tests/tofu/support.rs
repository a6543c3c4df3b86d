//! A module without a cloud, and a driver of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use catalyst_provisioner::tofu::{Limits, Tofu, TofuEvent};
use catalyst_provisioner::{Module, Secret};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub const CANARY: &str = "canary-token-7f3a9c1e5b";

/// `second` is made after `first`. While it is made it says so in `started`, with the
/// process that makes it, and goes on once `gate` exists.
const MODULE: &str = r#"
variable "colour" {
  type = string
}
variable "making" {
  type    = string
  default = "true"
}
variable "unmaking" {
  type    = string
  default = "true"
}
resource "terraform_data" "first" {
  input = var.colour
}
resource "terraform_data" "second" {
  input      = var.unmaking
  depends_on = [terraform_data.first]
  provisioner "local-exec" {
    command = var.making
  }
  provisioner "local-exec" {
    when    = destroy
    command = self.input
  }
}
output "colour" {
  value = terraform_data.first.output
}
output "hidden" {
  value     = "a secret"
  sensitive = true
}
"#;

/// The binary; `None` where the test is left out, visibly.
pub fn binary() -> Option<PathBuf> {
    match std::env::var_os("CATALYST_TOFU") {
        Some(path) => {
            let path = PathBuf::from(path);
            assert!(
                path.is_file(),
                "CATALYST_TOFU names {}, which is no file",
                path.display()
            );
            Some(path)
        }
        None if std::env::var_os("CATALYST_REQUIRE_TOFU").is_some() => {
            panic!(
                "CATALYST_TOFU is not set: run tests/real/provisioner/run, which builds OpenTofu"
            )
        }
        None => {
            eprintln!("left out: CATALYST_TOFU names no OpenTofu; `make test-real` runs this");
            None
        }
    }
}

pub fn module() -> Module {
    Module::new([("main.tf".to_owned(), MODULE.as_bytes().to_vec())])
}

pub struct Bench {
    pub directory: PathBuf,
    pub cancel: CancellationToken,
    pub tofu: Tofu,
}

impl Bench {
    pub fn new(binary: &Path, directory: &Path) -> Self {
        Self::with_limits(binary, directory, Limits::default())
    }

    pub fn with_limits(binary: &Path, directory: &Path, limits: Limits) -> Self {
        let cancel = CancellationToken::new();
        let passphrase = Secret::kept(&directory.join("passphrase")).unwrap();
        let tofu = Tofu::new(
            binary,
            directory,
            &passphrase,
            &[("HCLOUD_TOKEN", Secret::new(CANARY))],
            limits,
            cancel.clone(),
        );
        Self {
            directory: directory.to_owned(),
            cancel,
            tofu,
        }
    }

    /// A command for `making` that waits for the gate.
    pub fn gated(&self) -> String {
        let folder = self.directory.display();
        format!(
            "echo $PPID > {folder}/started.new && mv {folder}/started.new {folder}/started && until [ -e {folder}/gate ]; do sleep 0.05; done"
        )
    }

    pub fn started(&self) -> PathBuf {
        self.directory.join("started")
    }

    pub fn open_gate(&self) {
        std::fs::write(self.directory.join("gate"), "").unwrap();
    }

    pub async fn prepare(&self, colour: &str, making: &str, unmaking: &str) {
        self.tofu.stage(&module()).unwrap();
        self.variables(colour, making, unmaking);
        self.tofu.init(&mut |_| {}).await.unwrap();
    }

    pub fn variables(&self, colour: &str, making: &str, unmaking: &str) {
        self.tofu
            .write_variables(&json!({"colour": colour, "making": making, "unmaking": unmaking}))
            .unwrap();
    }

    /// What a plan would change, as `action address`.
    pub async fn plan(&self) -> Vec<String> {
        let planned = self.tofu.plan(&mut |_| {}).await.unwrap();
        planned
            .changes
            .iter()
            .map(|(address, action)| format!("{action} {address}"))
            .collect()
    }

    pub async fn apply(
        &self,
    ) -> (
        Result<(), catalyst_provisioner::tofu::TofuError>,
        Vec<TofuEvent>,
    ) {
        let mut events = Vec::new();
        let result = self.tofu.apply(&mut |event| events.push(event)).await;
        (result, events)
    }
}

/// Waits until a file is there.
pub async fn appears(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(180),
            "{} did not appear",
            path.display()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every file below a folder, with its content.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found
}

pub fn holds(content: &[u8], text: &str) -> bool {
    content
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
