//! A module without a cloud, and a driver of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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

/// Runs one test of this program by itself, with its folder in a variable, and kills it
/// while OpenTofu creates.
pub async fn kill_while_creating(test: &str, variable: &str, root: &Path) {
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(variable, root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    appears(&root.join("started")).await;
    run.kill().unwrap();
    run.wait().unwrap();
}
