//! The README's commands, typed as they stand and in their order, in a fresh folder:
//! a newcomer's first hour.
//!
//! A line that needs a person or does not end by itself is used as far as it goes:
//! nobody is there to sign in, so a token stands in for `login`; `open` is left
//! once its page was read, and `--watch` once it has shown something. kubectl is used
//! where it is on the path.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::process::client;
use crate::sovereign::{Sovereign, program};
use crate::user::User;

pub const README: &str = include_str!("../../../README.md");

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";
/// Where the README's Sovereign listens.
const SHOWN: &str = "http://127.0.0.1:8080";

/// The commands of every block that uses the command line.
fn commands() -> Vec<String> {
    README
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| {
            let program = line.split(' ').next().unwrap_or_default();
            ["catalyst", "git", "kubectl"].contains(&program)
        })
        .map(|line| line.split(" #").next().unwrap().trim().to_owned())
        .collect()
}

/// Whether a line is said to need no Sovereign.
fn needs_none(words: &[&str]) -> bool {
    match words {
        [_, "chart" | "kustomize", ..] => true,
        [_, "blueprint", verb, ..] => !matches!(*verb, "trust" | "publish" | "verify"),
        _ => false,
    }
}

/// Ends when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A command line in a shell where `catalyst` is what is tested. `folder` is the user's
/// home, and holds what is on the path and where they are, too.
pub struct Terminal<'a> {
    pub folder: &'a Path,
    pub server: String,
    pub token: String,
}

/// The address that the command line is told.
pub fn server_of(sovereign: &Sovereign) -> String {
    let api = sovereign.address("api");
    api.trim_end_matches("/api/v1").to_owned()
}

impl Terminal<'_> {
    /// Makes what is in the folder.
    pub fn prepare(folder: &Path) {
        for name in ["bin", ".config", "work"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(program(), folder.join("bin/catalyst")).unwrap();
    }

    fn shell(&self, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.folder.join("work"))
            .env(
                "PATH",
                format!("{}:{path}", self.folder.join("bin").display()),
            )
            .env("HOME", self.folder)
            .env("XDG_CONFIG_HOME", self.folder.join(".config"))
            .env("CATALYST_SERVER", &self.server)
            .env("CATALYST_TOKEN", &self.token)
            .env("GIT_CONFIG_GLOBAL", self.folder.join(".config/git"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            // What is on this machine is no proxy's business.
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("BROWSER")
            .stdin(Stdio::null());
        command
    }

    /// What a command that works prints.
    pub fn run(&self, line: &str) -> String {
        let output = self.shell(line).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "$ {line}\n{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The first line that a command prints; it goes on until it is dropped.
    fn first_line(&self, line: &str) -> (Running, String) {
        let exec = format!("exec {line}");
        let mut child = self.shell(&exec).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        (Running(child), first)
    }

    /// The commit that the Application was installed by.
    fn installed_by(&self) -> String {
        let history = self.run("catalyst history guests -e acme-dev --output json");
        let history: Value = serde_json::from_str(&history).unwrap();
        let entries = history.as_array().or(history["items"].as_array());
        let first = entries.and_then(|all| all.last());
        first.unwrap_or_else(|| panic!("{history:#}"))["commit"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Each example of a page in `docs/spec` is what the API takes, unknown fields and
/// wrong values refused. Uses the Environment that the README makes.
pub async fn every_example_is_taken(sovereign: &Sovereign) {
    let http = sovereign.administrator().http;
    for (page, plural) in [
        (
            include_str!("../../../docs/spec/application.md"),
            "applications",
        ),
        (
            include_str!("../../../docs/spec/blueprint.md"),
            "blueprints",
        ),
        (
            include_str!("../../../docs/spec/blueprint-source.md"),
            "blueprintsources",
        ),
        (
            include_str!("../../../docs/spec/environment.md"),
            "environments",
        ),
        (
            include_str!("../../../docs/spec/environment-policy.md"),
            "environmentpolicies",
        ),
        (
            include_str!("../../../docs/spec/fleet-upgrade.md"),
            "fleetupgrades",
        ),
        (
            include_str!("../../../docs/spec/organization.md"),
            "organizations",
        ),
        (
            include_str!("../../../docs/spec/sovereign.md"),
            "sovereigns",
        ),
    ] {
        let example = page.split("```yaml\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let mut object = catalyst_yaml::from_str(example).unwrap();
        let namespace = object["metadata"]["namespace"].as_str();
        let (cluster, place) = match namespace {
            Some(namespace) => ("lo-loc-rtz-dev-acme", format!("namespaces/{namespace}/")),
            None => ("lo-loc-mgt-prod", String::new()),
        };
        object["metadata"]["name"] = "example".into();
        let path = format!("/apis/catalyst.openova.io/v1alpha1/{place}{plural}");
        let url = sovereign.cluster(cluster, &path);
        let query = "?dryRun=All&fieldValidation=Strict";
        let answer = http
            .post(format!("{url}{query}"))
            .json(&object)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let said = answer.text().await.unwrap();
        assert_eq!(status, reqwest::StatusCode::CREATED, "{plural}: {said}");
    }
}

pub async fn every_line_works(sovereign: &Sovereign, directory: &Path) {
    let link = sovereign.address("signIn").to_owned();
    let mut admin = User::join(sovereign, "sovereign-admin", &link).await;
    let folder = directory.join("terminal");
    Terminal::prepare(&folder);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut typed = Vec::new();
    for line in commands() {
        let words: Vec<&str> = line.split_whitespace().collect();
        typed.push(words[1].to_owned());
        let mut terminal = Terminal {
            folder: &folder,
            server: server_of(sovereign),
            token: admin.token().await,
        };
        if needs_none(&words) {
            terminal.server = NOWHERE.to_owned();
            terminal.token.clear();
        }
        if words[0] == "kubectl" {
            if client("kubectl").is_some() {
                let pods = terminal.run(&line);
                assert!(pods.lines().any(|pod| pod.starts_with("guests ")), "{pods}");
            }
        } else if words[0] == "git" {
            terminal.run(&line.replace(SHOWN, &terminal.server));
            let cloned = folder.join("work/acme-dev/applications/guests/application.yaml");
            assert!(cloned.exists(), "{} is not there", cloned.display());
        } else if words[1] == "login" {
            assert!(terminal.run("catalyst whoami").contains("sovereign-admin"));
        } else if words[1] == "open" {
            let (_running, address) = terminal.first_line(&line);
            let page = http.get(address.trim()).send().await.unwrap();
            let page = page.text().await.unwrap();
            assert!(page.contains("Hello"), "{page}");
        } else if line.contains("--watch") {
            let (_running, shown) = terminal.first_line(&line);
            assert!(!shown.trim().is_empty());
        } else if line.contains("COMMIT") {
            terminal.run(&line.replace("COMMIT", &terminal.installed_by()));
            let spec = terminal.run("catalyst get application guests -e acme-dev --output json");
            assert!(spec.contains("Hello"), "{spec}");
        } else {
            terminal.run(&line);
        }
    }
    for verb in [
        "login",
        "create",
        "install",
        "open",
        "kubeconfig",
        "credential",
        "clone",
        "rollback",
        "promote",
        "merge",
        "delete",
        "blueprint",
        "chart",
        "kustomize",
    ] {
        assert!(
            typed.iter().any(|one| one == verb),
            "{verb} is not in the README"
        );
    }
}
