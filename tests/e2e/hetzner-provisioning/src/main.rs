//! The end-to-end test of provisioning: a real project at Hetzner Cloud, or nothing.
//!
//! `hetzner-provisioning` provisions and destroys; `destroy` destroys from the state of
//! a run that was cut off; `sweep` removes what runs of more than two hours ago left.
//! Without `HETZNER_TEST_TOKEN` each says that it skips, and does nothing: there is no
//! stand-in for the cloud here. What the variables mean is in docs/SOVEREIGN-PROVISIONING.md.

mod deadline;
mod report;
mod run;
mod settings;
mod sweep;

use std::process::ExitCode;

use settings::Settings;

fn main() -> ExitCode {
    let settings = match Settings::from_environment() {
        Ok(Some(settings)) => settings,
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
    let redactor = settings.redactor();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let tasks = tokio::task::LocalSet::new();
    let done = match words.first().map(String::as_str) {
        None => tasks.block_on(&runtime, run::provision_and_destroy(settings)),
        Some("destroy") => tasks.block_on(&runtime, run::destroy_what_is_left(settings)),
        Some("sweep") => tasks.block_on(&runtime, sweep::sweep(&settings)),
        Some(other) => Err(anyhow::anyhow!(
            "there is no command {other}; there are destroy and sweep, and none to provision"
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {}", redactor.clean(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
