//! Prints what an embedded Sovereign costs on this machine, beside the bounds it
//! must keep and, where a peer is at hand, the peer in the same run.
//!
//! Run by `make bench`. Figures are medians where they say nothing else; nothing here
//! asserts a time. What is measured is a copy of the release binary with nothing beside
//! it, so that it is seen to carry the console, the Blueprints and their images.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../e2e/support/browser.rs"]
#[allow(dead_code)]
mod browser;
mod catalog;
mod charts;
mod figures;
mod peer;
mod populated;
#[path = "../e2e/support/sovereign.rs"]
#[allow(dead_code)]
mod sovereign;
#[path = "../e2e/support/user.rs"]
#[allow(dead_code)]
mod user;

use std::path::{Path, PathBuf};
use std::process::Command;

use figures::{head, line, median, percentile, resident};
use populated::ORGANIZATIONS;
use sovereign::{Sovereign, with_arguments};

const STARTS: usize = 7;

fn main() {
    // Asked for by `cargo test --benches`: there is nothing to test.
    if std::env::args().any(|word| word == "--test") {
        return;
    }
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == charts::ONCE) {
        charts::once(words);
        return;
    }
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let directory = tempfile::tempdir().unwrap();
    let program = copy_of_the_binary(directory.path());
    let (mut cold, mut again, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..STARTS {
        let data = directory.path().join(format!("start-{round}"));
        let sovereign = Sovereign::start_by(alone(&program, &data, "127.0.0.1:0"));
        cold.push(millis(&sovereign));
        memory.push(resident(sovereign.process()));
        the_console_is_carried(&sovereign).await;
        sovereign.terminate();
        let sovereign = Sovereign::start_by(alone(&program, &data, "127.0.0.1:0"));
        again.push(millis(&sovereign));
        sovereign.terminate();
    }
    let peer = peer::kubernetes(directory.path()).await;
    let populated = populated::measure(&program, directory.path()).await;
    let catalog = catalog::measure();

    head();
    let kubernetes = |pick: fn(&peer::Figures) -> f64| peer.as_ref().map(pick);
    line(
        "start to ready, empty directory, ms",
        median(&cold),
        Some(1000.0),
        kubernetes(|figures| figures.start),
    );
    line(
        "start to ready, once more, no Application, ms",
        median(&again),
        None,
        None,
    );
    if let Some(running) = &populated.running {
        line(
            &format!("start to ready, 1 Application, {ORGANIZATIONS} Organizations, ms"),
            median(&running.restarts),
            None,
            None,
        );
    }
    line(
        "resident memory once ready, MB",
        median(&memory),
        Some(100.0),
        kubernetes(|figures| figures.memory),
    );
    if let Some(running) = &populated.running {
        line(
            &format!("resident memory, 1 Application, {ORGANIZATIONS} Organizations, MB"),
            running.memory,
            None,
            None,
        );
    }
    line("release binary, MB", size(&program), None, None);
    line(
        "Environment asked for to vcluster answering, ms",
        median(&populated.environments),
        Some(300.0),
        None,
    );
    if let Some(running) = &populated.running {
        line(
            "push acknowledged to Application applied, ms",
            median(&running.applications),
            Some(100.0),
            None,
        );
        line(
            "push acknowledged to workload applied, ms",
            median(&running.workloads),
            Some(100.0),
            None,
        );
    }
    line(
        "solving among 1,000 Blueprints × 20 versions, p99, ms",
        percentile(&catalog.solving, 0.99),
        Some(20.0),
        None,
    );
    line(
        "searching among them, p95, ms",
        percentile(&catalog.searching, 0.95),
        Some(20.0),
        None,
    );
    line(
        "one core at rest, no Application, %",
        populated.rest,
        Some(1.0),
        None,
    );
    if let Some(running) = &populated.running {
        line(
            "one core at rest, 1 Application, %",
            running.rest,
            Some(1.0),
            None,
        );
    }
    charts::measure(&program, peer::tool("helm"), directory.path());
    match peer {
        Some(_) => println!("peer: kube-apiserver 1.34 and etcd 3.6, started in this run"),
        None => println!("peer: not run; `make test-real` builds kube-apiserver and etcd"),
    }
    if populated.running.is_none() {
        println!("an Application: not run; see what `catalyst doctor` says of this machine");
    }
}

/// The release binary, copied elsewhere alone.
fn copy_of_the_binary(directory: &Path) -> PathBuf {
    let folder = directory.join("alone");
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("catalyst");
    std::fs::copy(sovereign::program(), &program).unwrap();
    program
}

/// A command that becomes a Sovereign and knows nothing of where the binary was built.
fn alone(program: &Path, data: &Path, listen: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", program.parent().unwrap());
    // Git is found by it.
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    with_arguments(command, data, listen)
}

/// The page, not the word that it was built without one.
async fn the_console_is_carried(sovereign: &Sovereign) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(sovereign.address("console")).send().await.unwrap();
    let page = answer.text().await.unwrap();
    assert!(
        page.contains("<script"),
        "the binary carries no console: {page}"
    );
}

fn millis(sovereign: &Sovereign) -> f64 {
    sovereign.addresses["readyMillis"].as_f64().unwrap()
}

/// In MB.
fn size(program: &Path) -> f64 {
    std::fs::metadata(program).unwrap().len() as f64 / f64::from(1 << 20)
}
