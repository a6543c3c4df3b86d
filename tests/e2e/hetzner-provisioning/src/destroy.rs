//! Destroys, and proves that nothing is left: by the state, as OpenTofu does it, and then
//! by the run's label. What was just being made when OpenTofu was killed is in no state,
//! and a state may be lost, or be older than what it tells of.

use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, bail};
use catalyst_provisioner::Module;
use tokio_util::sync::CancellationToken;

use crate::deadline::Budget;
use crate::driver::{destroyer, driver, tell};
use crate::run::Run;
use crate::settings::Settings;
use crate::sweep::{self, Patience};

const STATE: &str = "module/terraform.tfstate";

/// Both, whatever becomes of the first; each is noted in the report.
pub async fn destroy(run: &Run) {
    let settings = &run.settings;
    let budget = Budget::of(settings.times.destroying, SystemTime::now());
    let begun = Instant::now();
    let destroyed = by_state(settings, budget).await;
    run.note("destroy, nothing left in the state", begun, &destroyed);
    if !run.may_have_made.get() && !settings.folder.join(STATE).exists() {
        // Nothing of this run's name can be there, so that nobody need be asked.
        return;
    }
    let begun = Instant::now();
    let removed = by_label(settings, budget).await;
    run.note("nothing left by the run's label", begun, &removed);
}

async fn by_state(settings: &Settings, budget: Budget) -> anyhow::Result<()> {
    take_what_lies_beside(&settings.folder)?;
    let never = CancellationToken::new();
    let tofu = driver(settings, budget, settings.times.init_again, &never)?;
    if !tofu.has_state() {
        eprintln!(
            "nothing to destroy: there is no state in {}",
            settings.folder.display()
        );
        return Ok(());
    }
    tofu.stage(&Module::hetzner())?;
    tofu.write_variables(&settings.config.variables())?;
    tofu.init(&mut tell).await?;
    Ok(destroyer(settings, budget)?.destroy(&mut tell).await?)
}

/// A state that OpenTofu could not save it leaves beside, encrypted like the other, and
/// newer; as long as it lies there, the driver does nothing.
fn take_what_lies_beside(folder: &Path) -> anyhow::Result<()> {
    let beside = folder.join("module/errored.tfstate");
    if !beside.exists() {
        return Ok(());
    }
    std::fs::rename(&beside, folder.join(STATE)).with_context(|| {
        format!(
            "cannot put {} into the place of the older state",
            beside.display()
        )
    })
}

async fn by_label(settings: &Settings, budget: Budget) -> anyhow::Result<()> {
    let patience = Patience {
        within: budget.left(SystemTime::now()),
        pause: settings.times.pause,
    };
    let found = sweep::remove_run(&settings.project, &settings.run, patience).await?;
    if found.is_empty() {
        return Ok(());
    }
    bail!(
        "OpenTofu left these behind, which are removed now: {}",
        found.join(", ")
    )
}
