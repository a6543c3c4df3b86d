//! The end-to-end test of provisioning: a real project at Hetzner Cloud, or nothing.
//!
//! `hetzner-provisioning` provisions and destroys; `destroy` destroys what a run that was
//! cut off left, by its state and by its label; `sweep` removes what runs of more than two
//! hours ago left. Without `HETZNER_TEST_TOKEN` each says that it skips, and does nothing:
//! there is no stand-in for the cloud here. What the variables mean is in
//! docs/SOVEREIGN-PROVISIONING.md.

mod deadline;
mod destroy;
mod driver;
mod report;
mod run;
mod settings;
#[cfg(test)]
mod stand_in;
mod sweep;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use settings::{Project, Settings};

fn main() -> ExitCode {
    let project = match Project::from_environment() {
        Ok(Some(project)) => project,
        Ok(None) => {
            eprintln!(
                "SKIPPED: HETZNER_TEST_TOKEN is not set. Set it to an API token of a Hetzner project for tests, and HETZNER_TEST_PROJECT_ID to the project's number, to provision for real. Nothing was called."
            );
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("FAILED before anything was created: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("FAILED: another TLS provider is installed");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("FAILED: cannot start the asynchronous runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let redactor = project.redactor();
    let tasks = tokio::task::LocalSet::new();
    match tasks.block_on(&runtime, perform(project)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {}", redactor.clean(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

async fn perform(project: Project) -> anyhow::Result<()> {
    let judged = |project| Settings::from_environment(project).context("nothing was created");
    let word = std::env::args().nth(1);
    match word.as_deref() {
        None => run::provision_and_destroy(judged(project)?).await,
        Some("destroy") => run::destroy_what_is_left(judged(project)?).await,
        // It needs the token alone, and the name of its own run where there is one.
        Some("sweep") => {
            let own_run = settings::own_run()?;
            sweep::sweep(&project, own_run.as_deref(), sweep::SWEEP).await
        }
        Some(other) => {
            bail!("there is no command {other}; there are destroy and sweep, and none to provision")
        }
    }
}
