//! Prints what an embedded Sovereign costs on this machine, beside the bounds it
//! must keep and, where a peer is at hand, the peer in the same run.
//!
//! Run by `make bench`. Figures are medians; nothing here asserts a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../e2e/support/browser.rs"]
#[allow(dead_code)]
mod browser;
mod peer;
#[path = "../e2e/support/sovereign.rs"]
#[allow(dead_code)]
mod sovereign;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use browser::Browser;
use sovereign::{Administrator, Sovereign};

const STARTS: usize = 7;
const ENVIRONMENTS: usize = 9;
const PUSHES: usize = 15;
const REST: Duration = Duration::from_secs(20);

fn main() {
    // Asked for by `cargo test --benches`: there is nothing to test.
    if std::env::args().any(|word| word == "--test") {
        return;
    }
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let directory = tempfile::tempdir().unwrap();
    let (mut cold, mut warm, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..STARTS {
        let data = directory.path().join(format!("start-{round}"));
        let sovereign = Sovereign::start(&data, "127.0.0.1:0");
        cold.push(millis(&sovereign.addresses["readyMillis"]));
        memory.push(resident(sovereign.process()));
        sovereign.terminate();
        let sovereign = Sovereign::start(&data, "127.0.0.1:0");
        warm.push(millis(&sovereign.addresses["readyMillis"]));
        sovereign.terminate();
    }
    let peer = peer::kubernetes(directory.path()).await;

    let data = directory.path().join("data");
    let sovereign = Sovereign::start(&data, "127.0.0.1:0");
    let mut browser = Browser::new();
    browser
        .set_password(sovereign.address("signIn"), "correct horse battery staple")
        .await;
    let token = browser
        .token(sovereign.address("issuer"), "catalyst-cli")
        .await;
    let user = User {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        api: sovereign.address("api").to_owned(),
        token,
    };
    let administrator = sovereign.administrator();
    let mut environments = Vec::new();
    for number in 0..ENVIRONMENTS {
        let organization = format!("org-{number}");
        user.post("/organizations", json!({"name": organization}))
            .await;
        user.running(&format!("/organizations/{organization}"))
            .await;
        environments.push(environment(&sovereign, &administrator, &user, &organization).await);
    }
    user.running("/environments/org-0-dev").await;
    let pushes = pushes(&sovereign, &administrator, &user, directory.path()).await;
    let before = processor(sovereign.process());
    tokio::time::sleep(REST).await;
    let used = processor(sovereign.process()) - before;
    let rest = 100.0 * used / REST.as_secs_f64();
    sovereign.terminate();

    println!(
        "{:<46} {:>10} {:>10} {:>10}  ratio",
        "figure", "here", "bound", "peer"
    );
    let kubernetes = |pick: fn(&peer::Figures) -> f64| peer.as_ref().map(pick);
    line(
        "start to ready, empty directory, ms",
        median(&mut cold),
        Some(1000.0),
        kubernetes(|figures| figures.start),
    );
    line(
        "start to ready, used directory, ms",
        median(&mut warm),
        None,
        None,
    );
    line(
        "resident memory once ready, MB",
        median(&mut memory),
        Some(100.0),
        kubernetes(|figures| figures.memory),
    );
    line(
        "Environment asked for to vcluster answering, ms",
        median(&mut environments),
        Some(300.0),
        None,
    );
    line(
        "push acknowledged to object applied, ms",
        median(&mut pushes.clone()),
        Some(100.0),
        None,
    );
    line("one core at rest, %", rest, Some(1.0), None);
    match peer {
        Some(_) => println!("peer: kube-apiserver 1.34 and etcd 3.6, started in this run"),
        None => println!("peer: not run; `make test-real` builds kube-apiserver and etcd"),
    }
}

struct User {
    http: reqwest::Client,
    api: String,
    token: String,
}

impl User {
    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.api));
        let answer = request
            .bearer_auth(&self.token)
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn running(&self, path: &str) {
        let started = Instant::now();
        loop {
            let request = self.http.get(format!("{}{path}", self.api));
            let answer = request.bearer_auth(&self.token).send().await.unwrap();
            let value: Value = answer.json().await.unwrap_or_default();
            if value.pointer("/health/phase") == Some(&json!("Running")) {
                return;
            }
            assert!(started.elapsed().as_secs() < 60, "{path}: {value}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Milliseconds from the request for an Environment until its vcluster answers.
async fn environment(
    sovereign: &Sovereign,
    administrator: &Administrator,
    user: &User,
    organization: &str,
) -> f64 {
    let ready = sovereign.cluster(&format!("lo-loc-rtz-dev-{organization}"), "/readyz");
    let started = Instant::now();
    let path = format!("/organizations/{organization}/environments");
    user.post(&path, json!({"envType": "dev"})).await;
    loop {
        let answer = administrator.http.get(&ready).send().await.unwrap();
        if answer.status() == StatusCode::OK {
            return elapsed(started);
        }
        assert!(started.elapsed().as_secs() < 60);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Milliseconds from the end of `git push` until the object in the vcluster is
/// what was pushed.
async fn pushes(
    sovereign: &Sovereign,
    administrator: &Administrator,
    user: &User,
    directory: &Path,
) -> Vec<f64> {
    user.post(
        "/environments/org-0-dev/changes",
        json!({"command": "install", "name": "database", "blueprint": "bp-postgres"}),
    )
    .await;
    let clone = directory.join("clone");
    let url =
        sovereign
            .address("git")
            .replacen("://", &format!("://sovereign-admin:{}@", user.token), 1);
    git(
        directory,
        &[
            "clone",
            "--quiet",
            &format!("{url}/org-0/org-0-dev.git"),
            "clone",
        ],
    );
    let file = clone.join("applications/database/application.yaml");
    let base = std::fs::read_to_string(&file).unwrap();
    let object = sovereign.cluster(
        "lo-loc-rtz-dev-org-0",
        "/apis/catalyst.openova.io/v1alpha1/namespaces/org-0-dev/applications/database",
    );
    let mut taken = Vec::new();
    for number in 0..PUSHES {
        let connections = 20 + number;
        let paused = "  paused: true\n  config:\n    maxConnections: ";
        let text = base.replacen("spec:\n", &format!("spec:\n{paused}{connections}\n"), 1);
        std::fs::write(&file, text).unwrap();
        git(&clone, &["commit", "--quiet", "--all", "-m", "Change it"]);
        git(&clone, &["push", "--quiet"]);
        let started = Instant::now();
        loop {
            let answer = administrator.http.get(&object).send().await.unwrap();
            let value: Value = answer.json().await.unwrap_or_default();
            if value.pointer("/spec/config/maxConnections") == Some(&json!(connections)) {
                break;
            }
            assert!(started.elapsed().as_secs() < 60, "{value}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        taken.push(elapsed(started));
    }
    taken
}

fn git(folder: &Path, words: &[&str]) {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Bench",
            "-c",
            "user.email=bench@example.com",
        ])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn line(what: &str, here: f64, bound: Option<f64>, peer: Option<f64>) {
    let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let ratio = peer.map_or("-".to_owned(), |peer| format!("{:.2}", here / peer));
    println!(
        "{what:<46} {here:>10.1} {:>10} {:>10}  {ratio}",
        show(bound),
        show(peer)
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn millis(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn elapsed(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Resident memory of a process, in MB.
pub fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kilobytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes / 1024.0
}

/// Processor time that a process has used, in seconds.
fn processor(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<f64> = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    // USER_HZ is 100 on every Linux that matters here.
    fields.iter().sum::<f64>() / 100.0
}
