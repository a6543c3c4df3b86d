//! A Sovereign's directory, and beside it the world that it is provisioned in: a module of
//! `terraform_data` resources, a server in the shapes of Hetzner's API, and a script that
//! answers in the place of `ssh` as a control plane would, with the very objects that the
//! cluster template renders to.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalyst_provisioner::tofu::Limits;
use catalyst_provisioner::{Config, Module, Options, Secret, Waits, render};
use serde_json::{Value, json};

use crate::hetzner::{Project, TOKEN};

const MODULE: &str = r#"
variable "sovereign_fqdn" {
  type = string
}
variable "admin_cidrs" {
  type = list(string)
}
resource "terraform_data" "network" {
  input = var.sovereign_fqdn
}
resource "terraform_data" "server" {
  count      = length(var.admin_cidrs)
  input      = "server"
  depends_on = [terraform_data.network]
  provisioner "local-exec" {
    command = "GATE"
  }
}
output "control_plane_ip" {
  value = "127.0.0.1"
}
output "load_balancer_ip" {
  value = "203.0.113.9"
}
output "dns_records" {
  value = [{ name = var.sovereign_fqdn, type = "A", value = "203.0.113.9" }]
}
output "console_url" {
  value = "https://console.${var.sovereign_fqdn}"
}
"#;

/// The world.
pub struct World {
    pub root: PathBuf,
    pub options: Options,
    // Port 22 of the control plane.
    _listener: tokio::net::TcpListener,
}

const READY: &str = r#"{"type":"Ready","status":"True","reason":"ReconciliationSucceeded"}"#;

impl World {
    pub async fn new(binary: &Path, root: &Path, gate: &str) -> Self {
        let server = Project::empty().serve().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = Self {
            root: root.to_owned(),
            options: Options {
                tofu: binary.to_owned(),
                ssh: root.join("ssh"),
                ssh_port: listener.local_addr().unwrap().port(),
                hetzner: server.address.clone(),
                module: Module::new([(
                    "main.tf".to_owned(),
                    MODULE.replace("GATE", gate).into_bytes(),
                )]),
                token: Secret::new(TOKEN),
                git: Some(("flux".to_owned(), Secret::new("canary-git-password"))),
                own: None,
                limits: Limits::default(),
                waits: Waits {
                    between: Duration::from_millis(20),
                    ..Waits::default()
                },
            },
            _listener: listener,
        };
        world.node("done");
        world.reconcile(|_| false);
        world.write(
            "source",
            &format!(r#"{{"status":{{"conditions":[{READY}]}}}}"#),
        );
        world.write("tokens", "");
        world.bootstrapped("done");
        world.write(
            "openbao",
            r#"pod/openbao-0 {"initialized":true,"sealed":false,"cluster_id":"a"}"#,
        );
        // Without Catalyst, nothing answers in the console's place.
        world.write("console", "404 203.0.113.9");
        world.write("auth", "302 203.0.113.9");
        let here = root.display();
        world.write(
            "ssh",
            &format!(
                r#"#!/bin/sh
test -z "$HCLOUD_TOKEN" || exit 9
for last; do
    test "$before" != -i || cat "$last" >{here}/key
    before=$last
done
case $last in
-V | true) ;;
*status.json) cat {here}/status ;;
*gitrepositories*) cat {here}/source ;;
*kustomizations*) cat {here}/parts ;;
*helmreleases*) cat {here}/releases ;;
*bootstrap.kubernetes.io*) cat {here}/tokens ;;
*bao\ status*) cat {here}/openbao ;;
*get\ nodes*) cat {here}/nodes ;;
curl*https://console.omantel.example/) cat {here}/console ;;
curl*https://auth.omantel.example/) cat {here}/auth ;;
*manager=catalyst-adoption*) cat >{here}/applied.new && mv {here}/applied.new {here}/applied ;;
*manager=catalyst-release*) cat >{here}/released ;;
*crossplane-system\ get\ *) cat {here}/managed ;;
*crossplane-system\ delete\ *) echo "$last" >>{here}/forgotten ;;
catalyst-hand-over) cat >{here}/handed ;;
*) echo "unknown: $last" >&2; exit 1 ;;
esac
"#
            ),
        );
        std::fs::set_permissions(root.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        world
    }

    /// Has OpenTofu's state tell of its resources as of Hetzner's network of this id, in
    /// the place of the provider, which would have written that; and has Crossplane see it.
    pub fn makes_network(&mut self, id: u64) {
        let (tofu, wrapper) = (self.options.tofu.clone(), self.root.join("tofu"));
        let script = format!(
            r#"#!/bin/sh
test "$1 $2" = "state pull" || exec {tofu} "$@"
{tofu} "$@" | sed 's/"terraform_data"/"hcloud_network"/g
    s|"id":"[^"]*"|"id":"{id}","name":"omantel-example","ip_range":"10.0.0.0/16"|g'
"#,
            tofu = tofu.display()
        );
        self.write("tofu", &script);
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.options.tofu = wrapper;
        tokio::spawn(crossplane(self.root.clone()));
    }

    /// Has Flux apply what the cluster template renders to: what nobody has suspended is
    /// Ready, its releases too. `is_published` says of which parts `suspend` was removed.
    pub fn reconcile(&self, is_published: impl Fn(&str) -> bool) {
        let text = description(1);
        let config =
            Config::parse("sovereign.yaml", &text, &|_| panic!("no file is named")).unwrap();
        let files = render::render(&config);
        let conditions = json!([serde_json::from_str::<Value>(READY).unwrap()]);
        let (mut parts, mut releases) = (Vec::new(), Vec::new());
        for part in render::parts() {
            let own = files
                .iter()
                .find(|file| file.path.ends_with(&format!("-{part}.yaml")));
            let suspend = own.unwrap().text.contains("\n  suspend: true\n") && !is_published(&part);
            let below = format!("parts/{part}/");
            let held = files
                .iter()
                .filter(|file| file.path.starts_with(&below))
                .flat_map(|file| file.text.split("\n---\n"));
            // A health gate waits for ever on an object that is suspended by itself.
            let hangs = held
                .clone()
                .any(|text| text.contains("\n  suspend: true\n"));
            let found: Vec<Value> = held
                .filter(|text| text.contains("kind: HelmRelease\n"))
                .map(|text| {
                    let name = text.split_once("\n  name: ").unwrap().1.lines().next();
                    json!({"metadata": {"name": name}, "status": {"conditions": conditions}})
                })
                .collect();
            let mut object = json!({"metadata": {"name": part}, "spec": {"suspend": suspend}});
            if !suspend {
                releases.extend(found);
            }
            if !suspend && !hangs {
                object["status"] = json!({"conditions": conditions});
            }
            parts.push(object);
        }
        assert!(releases.len() > 10, "{releases:?}");
        self.write("parts", &json!({"items": parts}).to_string());
        self.write("releases", &json!({"items": releases}).to_string());
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.root.join(name), text).unwrap();
    }

    /// What a second node says of its bootstrap.
    pub fn bootstrapped(&self, state: &str) {
        let node = |name: &str, state: &str| json!({"metadata": {"name": name, "annotations": {"openova.io/bootstrap": state}}});
        let items = [node("cp-1", "done"), node("worker-1", state)];
        self.write("nodes", &json!({"items": items}).to_string());
    }

    /// How far the node says it is.
    pub fn node(&self, state: &str) {
        self.write(
            "status",
            &format!(r#"{{"state":"{state}","step":"cilium","message":"line 7"}}"#),
        );
    }
}

/// What a provider of Crossplane does with what it is given: tells what it sees, and that
/// all is well. With a file `seen-id` it sees another resource than it was told of.
async fn crossplane(root: PathBuf) {
    let ready = |kind: &str| json!({"type": kind, "status": "True", "reason": "Available"});
    let mut last = String::new();
    loop {
        let given = std::fs::read_to_string(root.join("applied")).unwrap_or_default();
        let other = std::fs::read_to_string(root.join("seen-id")).ok();
        let now = format!("{other:?}{given}");
        if !given.is_empty() && now != last {
            let mut list: Value = serde_json::from_str(&given).unwrap();
            for item in list["items"].as_array_mut().unwrap() {
                let id = &item["metadata"]["annotations"]["crossplane.io/external-name"];
                let id = other.as_ref().map_or_else(|| id.clone(), |id| json!(id));
                let mut seen = item["spec"]["forProvider"].clone();
                seen["id"] = id;
                let conditions = [ready("Synced"), ready("Ready")];
                item["status"] = json!({"atProvider": seen, "conditions": conditions});
            }
            std::fs::write(root.join("managed.new"), list.to_string()).unwrap();
            std::fs::rename(root.join("managed.new"), root.join("managed")).unwrap();
            last = now;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A description of omantel.example, as text, of which the world's module makes so many
/// servers more than one: a network that may reach it stands for each, which may change
/// after the nodes have joined.
pub fn description(more: u16) -> String {
    let others: String = (0..more)
        .map(|number| format!(", 198.51.100.{number}/32"))
        .collect();
    format!(
        "sovereignFqdn: omantel.example
region: fsn
sshPublicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me
adminCidrs: [203.0.113.7/32{others}]
gitUrl: https://git.example/sovereigns
gitCredentials: true
acmeEmail: platform@omantel.example
controlPlaneCount: 1
workerCount: 1
"
    )
}

/// A command for the world's module that says that it has begun, and goes on once
/// `gate` is there.
pub fn gate(root: &Path) -> String {
    let here = root.display();
    format!("touch {here}/started; until [ -e {here}/gate ]; do sleep 0.05; done")
}
