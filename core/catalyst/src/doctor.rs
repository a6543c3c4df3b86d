//! `catalyst doctor`: what this machine can and cannot run.

use std::path::Path;

use anyhow::{Context, bail};
use catalyst_node::doctor::Finding;

use crate::cli::output::{Output, print};

/// Say what this machine can and cannot run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How the findings are printed.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORM")]
    output: Output,
}

/// Tries what containers and the forge need; fails when `catalyst up` could not run
/// pods, or would not start.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let folder = std::env::temp_dir().join(format!("catalyst-doctor-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let mut report = runtime.block_on(catalyst_node::doctor::examine(
        Path::new("/proc/self/exe"),
        &folder,
    ));
    std::fs::remove_dir_all(&folder)
        .with_context(|| format!("cannot remove {}", folder.display()))?;
    let git = runtime.block_on(catalyst_forge::git_version());
    report.can_run &= git.is_ok();
    report.findings.push(Finding {
        what: "git".to_owned(),
        works: git.is_ok(),
        detail: git.unwrap_or_else(|error| error.to_string()),
    });
    match arguments.output {
        Output::Table => {
            for finding in &report.findings {
                let mark = if finding.works { "yes" } else { "no " };
                let detail = if finding.detail.is_empty() {
                    String::new()
                } else {
                    format!(": {}", finding.detail)
                };
                print(&format!("{mark}  {}{detail}\n", finding.what))?;
            }
        }
        output => output.value(&report)?,
    }
    if !report.can_run {
        bail!("this machine cannot run a Sovereign with pods; see the findings above");
    }
    Ok(())
}
