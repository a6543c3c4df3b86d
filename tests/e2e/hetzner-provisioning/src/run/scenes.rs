//! That destroying follows, whatever happened before: the run against an OpenTofu that
//! records how it is called, and does what a scene has it do. Of a cloud there is nothing
//! here; what the project would answer has the shapes of Hetzner's API.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catalyst_provisioner::{Config, Secret};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::*;
use crate::deadline::{Call, Deadline, Times};
use crate::settings::RUN_LABEL;
use crate::stand_in::{Api, TOKEN};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ci";
const RUN: &str = "4711";
/// With which commands OpenTofu is called where all goes well.
static MADE: [&str; 5] = ["version", "init", "plan", "apply", "output"];
static DESTROYED: [&str; 3] = ["init", "destroy", "state"];

/// What OpenTofu does in a scene, as lines of a shell. In each, `$scene` is the scene's
/// folder, and the module's is the working directory.
#[derive(Clone, Copy)]
struct Tofu {
    version: &'static str,
    init: &'static str,
    apply: &'static str,
    output: &'static str,
    destroy: &'static str,
}

const GOOD: Tofu = Tofu {
    version: "echo 'OpenTofu v1.10.0'",
    init: "",
    apply: "",
    output: r#"echo '{"control_plane_ip":{"value":"127.0.0.1"},"load_balancer_ip":{"value":"127.0.0.1"}}'"#,
    destroy: r#": > "$scene/listed""#,
};

const STOPS_WHEN_ASKED: &str = "trap 'exit 1' INT; while :; do sleep 0.05; done";
const NEVER_STOPS: &str = "trap '' INT; while :; do sleep 0.05; done";

impl Tofu {
    /// A program that does so. It is written by another process: what this one holds open
    /// for writing while another test starts a program cannot be run.
    fn written(self, scene: &Path) -> PathBuf {
        let Self {
            version,
            init,
            apply,
            output,
            destroy,
        } = self;
        let script = format!(
            r#"#!/bin/sh
scene='{}'
echo "$*" >> "$scene/calls"
case "$1" in
version) {version} ;;
init) {init} ;;
plan) ;;
apply)
    echo made > terraform.tfstate
    echo 'hcloud_server.worker[0]' > "$scene/listed"
    {apply} ;;
output) {output} ;;
destroy)
    cat terraform.tfstate > "$scene/destroyed-from"
    {destroy} ;;
state) cat "$scene/listed" ;;
esac
"#,
            scene.display()
        );
        let program = scene.join("tofu");
        let mut writer = Command::new("sh")
            .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
            .arg(&program)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = writer.stdin.take().unwrap();
        pipe.write_all(script.as_bytes()).unwrap();
        drop(pipe);
        assert!(writer.wait().unwrap().success());
        program
    }
}

/// A folder, a project and two open ports.
struct Scene {
    folder: TempDir,
    api: Api,
    times: Times,
    keep_on_failure: bool,
    _ports: [TcpListener; 2],
}

impl Scene {
    fn new() -> Self {
        // Whoever started the tests may have had interrupts ignored, as `nohup` and `&`
        // do: a shell inherits that, and cannot trap what it finds ignored. What is
        // handled here is at its default there.
        drop(signal(SignalKind::interrupt()).unwrap());
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let mut times = Times::usual();
        times.pause = Duration::from_millis(10);
        times.ssh.number = ports[0].local_addr().unwrap().port();
        times.https.number = ports[1].local_addr().unwrap().port();
        Self {
            folder: tempfile::tempdir().unwrap(),
            api: Api::new(),
            times,
            keep_on_failure: false,
            _ports: ports,
        }
    }

    fn settings(&self, tofu: Tofu) -> Settings {
        let values = json!({
            "sovereignFqdn": format!("e2e-{RUN}.openova.io"),
            "region": "fsn",
            "sshPublicKey": KEY,
            "adminCidrs": ["203.0.113.7/32"],
            "gitUrl": "https://git.example/sovereigns",
            "acmeEmail": "e2e@openova.io",
        });
        let config = Config::parse("the scene", &values.to_string(), &|_| {
            panic!("no file is named")
        });
        Settings {
            project: self.api.project(TOKEN),
            run: RUN.to_owned(),
            is_named: true,
            passphrase: Secret::new("0123456789abcdef"),
            config: config.unwrap(),
            folder: self.folder.path().join("e2e"),
            deadline: Deadline::usual(),
            times: self.times,
            tofu: tofu.written(self.folder.path()),
            keep_on_failure: self.keep_on_failure,
        }
    }

    /// Plays the run, but for the signals, and gives what it says and its report.
    async fn play(&self, tofu: Tofu) -> (anyhow::Result<()>, String) {
        let run = Run::new(self.settings(tofu)).unwrap();
        let work = {
            let run = run.clone();
            async move { provision(&run, &CancellationToken::new()).await }
        };
        let done = LocalSet::new()
            .run_until(always_destroyed(&run, work))
            .await;
        (done, self.report())
    }

    fn report(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("e2e/report.json")).unwrap()
    }

    /// Which commands OpenTofu was called with.
    fn calls(&self) -> Vec<String> {
        let calls = self.folder.path().join("calls");
        let calls = std::fs::read_to_string(calls).unwrap_or_default();
        let commands = calls.lines().map(|line| line.split(' ').next().unwrap());
        commands.map(str::to_owned).collect()
    }

    /// Puts things into the project: two of this run, one of another, one of nobody.
    fn made_more(&self) {
        self.api.has("networks", 1, json!({RUN_LABEL: RUN}));
        self.api.has("servers", 2, json!({RUN_LABEL: RUN}));
        self.api.has("servers", 3, json!({RUN_LABEL: "4712"}));
        self.api.has("servers", 4, json!({}));
    }
}

fn called(parts: &[&[&str]]) -> Vec<String> {
    let words = parts.iter().copied().flatten();
    words.map(|word| (*word).to_owned()).collect()
}

/// So long at most, and so long to stop.
fn short(most: u64, grace: u64) -> Call {
    Call {
        most: Duration::from_millis(most),
        least: Duration::from_millis(1),
        grace: Duration::from_millis(grace),
        kept: Duration::ZERO,
    }
}

#[tokio::test]
async fn destroying_follows_success_and_the_project_is_asked_whether_anything_is_left() {
    let scene = Scene::new();
    let (done, report) = scene.play(GOOD).await;
    assert!(done.is_ok(), "{report}");
    assert_eq!(scene.calls(), called(&[&MADE, &DESTROYED]));
    assert_eq!(
        scene.api.calls(),
        [
            "GET /load_balancers",
            "GET /servers",
            "GET /placement_groups",
            "GET /firewalls",
            "GET /networks",
            "GET /ssh_keys"
        ]
    );
    assert!(!report.contains("failed"), "{report}");
    // A connection to the load balancer is not told for more than it is.
    assert!(
        report.contains("whether one does is not looked at"),
        "{report}"
    );
}

#[tokio::test]
async fn destroying_follows_every_failure() {
    let fails = Tofu {
        apply: "exit 1",
        ..GOOD
    };
    let answers_nonsense = Tofu {
        output: "echo '{}'",
        ..GOOD
    };
    let hangs = Tofu {
        apply: STOPS_WHEN_ASKED,
        ..GOOD
    };
    let is_killed = Tofu {
        apply: NEVER_STOPS,
        ..GOOD
    };
    let usual = Times::usual().apply;
    for (tofu, limit, calls, said) in [
        (fails, usual, &MADE[..4], "OpenTofu failed"),
        (answers_nonsense, usual, &MADE[..], "not an IPv4 address"),
        (
            hangs,
            short(2_000, 60_000),
            &MADE[..4],
            "it took longer than",
        ),
        (is_killed, short(2_000, 200), &MADE[..4], "was killed"),
    ] {
        let mut scene = Scene::new();
        scene.times.apply = limit;
        let (done, report) = scene.play(tofu).await;
        assert!(done.is_err(), "{said}: {report}");
        assert_eq!(scene.calls(), called(&[calls, &DESTROYED]), "{said}");
        assert!(report.contains(said), "{said}: {report}");
        // Destroying itself did what it should.
        assert_eq!(report.matches("\"failed\"").count(), 1, "{said}: {report}");
    }
}

#[tokio::test]
async fn destroying_follows_sigterm() {
    let scene = Scene::new();
    let tofu = Tofu {
        apply: "trap 'exit 1' INT; kill -TERM $PPID; while :; do sleep 0.05; done",
        ..GOOD
    };
    let settings = scene.settings(tofu);
    let done = LocalSet::new()
        .run_until(provision_and_destroy(settings))
        .await;
    let report = scene.report();
    assert!(done.is_err(), "{report}");
    assert_eq!(scene.calls(), called(&[&MADE[..4], &DESTROYED]));
    assert!(report.contains("it was interrupted"), "{report}");
}

#[tokio::test]
async fn destroying_follows_a_panic() {
    let scene = Scene::new();
    let run = Run::new(scene.settings(GOOD)).unwrap();
    let work = {
        let run = run.clone();
        async move {
            let made = provision(&run, &CancellationToken::new()).await;
            assert!(made.is_err(), "a mistake of the harness");
            made
        }
    };
    let done = LocalSet::new()
        .run_until(always_destroyed(&run, work))
        .await;
    let report = scene.report();
    assert!(done.is_err(), "{report}");
    assert_eq!(scene.calls(), called(&[&MADE, &DESTROYED]));
    assert!(report.contains("the harness failed by itself"), "{report}");
}

#[tokio::test]
async fn what_the_state_still_has_is_named_and_fails_the_run() {
    for destroy in ["exit 0", "exit 1"] {
        let scene = Scene::new();
        let (done, report) = scene.play(Tofu { destroy, ..GOOD }).await;
        assert!(done.is_err(), "{destroy}: {report}");
        assert_eq!(scene.calls(), called(&[&MADE, &DESTROYED]), "{destroy}");
        assert!(
            report.contains("left one resource behind: hcloud_server.worker[0]"),
            "{destroy}: {report}"
        );
    }
}

#[tokio::test]
async fn what_is_in_no_state_is_removed_by_the_runs_label_and_fails_the_run() {
    let scene = Scene::new();
    scene.made_more();
    let (done, report) = scene.play(GOOD).await;
    assert!(done.is_err(), "{report}");
    assert!(
        report.contains("server thing-2 (2, of run 4711), network thing-1 (1, of run 4711)"),
        "{report}"
    );
    assert_eq!(scene.api.left(), ["/servers/3", "/servers/4"]);
    assert!(!report.contains("canary"), "{report}");
}

#[tokio::test]
async fn destroying_ends_in_time_and_by_label_where_opentofu_does_not() {
    let mut scene = Scene::new();
    scene.made_more();
    scene.times.destroying = Duration::from_secs(4);
    scene.times.init_again = short(60_000, 100);
    scene.times.destroy = short(60_000, 300);
    scene.times.destroy.kept = Duration::from_secs(2);
    let tofu = Tofu {
        destroy: NEVER_STOPS,
        ..GOOD
    };
    let run = Run::new(scene.settings(tofu)).unwrap();
    run.may_have_made.set(true);
    std::fs::create_dir_all(run.settings.folder.join("module")).unwrap();
    std::fs::write(run.settings.folder.join("module/terraform.tfstate"), "").unwrap();
    let begun = Instant::now();
    destroy(&run).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(run.has_failed());
    assert_eq!(scene.calls(), ["init", "destroy"]);
    assert_eq!(scene.api.left(), ["/servers/3", "/servers/4"]);
}

#[tokio::test]
async fn what_one_call_of_opentofu_takes_the_next_has_no_more() {
    let mut scene = Scene::new();
    scene.times.making = Duration::from_secs(5);
    scene.times.init = short(60_000, 100);
    scene.times.plan = short(60_000, 100);
    scene.times.apply = short(60_000, 100);
    scene.times.read = short(2_000, 100);
    let tofu = Tofu {
        init: "sleep 3",
        apply: STOPS_WHEN_ASKED,
        ..GOOD
    };
    let run = Run::new(scene.settings(tofu)).unwrap();
    let begun = Instant::now();
    let budget = Budget::of(scene.times.making, SystemTime::now());
    let made = apply(&run, budget, &CancellationToken::new()).await;
    let took = begun.elapsed();
    // With five seconds of its own, creating would have ended after eight.
    assert!(took < Duration::from_secs(7), "{took:?}");
    let error = format!("{:#}", made.err().unwrap());
    assert!(error.contains("it took longer than"), "{error}");
    assert_eq!(scene.calls(), MADE[..4]);
}

#[tokio::test]
async fn without_a_state_what_a_run_left_is_looked_for_by_its_label() {
    for (left, is_good) in [(true, false), (false, true)] {
        let scene = Scene::new();
        if left {
            scene.made_more();
        }
        let settings = scene.settings(GOOD);
        let done = destroy_what_is_left(settings).await;
        assert_eq!(done.is_ok(), is_good, "{done:?}");
        assert_eq!(scene.calls(), Vec::<String>::new());
        assert!(scene.api.calls().len() >= 6);
        let others: &[&str] = match left {
            true => &["/servers/3", "/servers/4"],
            false => &[],
        };
        assert_eq!(scene.api.left(), others);
    }
}

#[tokio::test]
async fn a_run_without_a_name_is_not_taken_for_one_that_left_nothing() {
    let scene = Scene::new();
    let settings = Settings {
        is_named: false,
        ..scene.settings(GOOD)
    };
    let error = destroy_what_is_left(settings)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("E2E_RUN_ID is not set"), "{error}");
}

#[tokio::test]
async fn nobody_is_asked_where_nothing_can_have_been_made() {
    let scene = Scene::new();
    let version = "exit 1";
    let (done, report) = scene.play(Tofu { version, ..GOOD }).await;
    assert!(done.is_err(), "{report}");
    assert_eq!(scene.calls(), ["version"]);
    assert_eq!(scene.api.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_state_that_could_not_be_saved_is_destroyed_from() {
    let scene = Scene::new();
    let tofu = Tofu {
        apply: "echo newer > errored.tfstate; exit 1",
        ..GOOD
    };
    let (done, report) = scene.play(tofu).await;
    assert!(done.is_err(), "{report}");
    assert_eq!(scene.calls(), called(&[&MADE[..4], &DESTROYED]));
    let from = std::fs::read_to_string(scene.folder.path().join("destroyed-from"));
    assert_eq!(from.unwrap(), "newer\n");
    assert_eq!(report.matches("\"failed\"").count(), 1, "{report}");
}

#[tokio::test]
async fn what_is_to_be_kept_on_failure_is_kept() {
    let mut scene = Scene::new();
    scene.keep_on_failure = true;
    scene.made_more();
    let apply = "exit 1";
    let (done, report) = scene.play(Tofu { apply, ..GOOD }).await;
    assert!(done.is_err(), "{report}");
    assert_eq!(scene.calls(), MADE[..4]);
    assert_eq!(scene.api.calls(), Vec::<String>::new());
}
