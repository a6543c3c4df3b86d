//! OpenTofu on the staged module, each call of it within the time that is left.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use catalyst_provisioner::tofu::{Limits, ResourceState, Tofu, TofuEvent};
use tokio_util::sync::CancellationToken;

use crate::deadline::{Budget, Call};
use crate::settings::Settings;

/// Nobody else works on this state, but for an OpenTofu whose harness was killed.
const LOCK: Duration = Duration::from_secs(300);

/// A driver for one call, which ends within the budget.
pub fn driver(
    settings: &Settings,
    budget: Budget,
    call: Call,
    cancel: &CancellationToken,
) -> anyhow::Result<Tofu> {
    let limits = limits(budget, call)?;
    Ok(limited(settings, limits, cancel.clone()))
}

/// A driver that destroys within the budget, and lists the state behind it. It hears no
/// signal: what has been asked to stop has come here for that.
pub fn destroyer(settings: &Settings, budget: Budget) -> anyhow::Result<Tofu> {
    let limits = Limits {
        plan: settings.times.read.most,
        ..limits(budget, settings.times.destroy)?
    };
    Ok(limited(settings, limits, CancellationToken::new()))
}

fn limits(budget: Budget, call: Call) -> anyhow::Result<Limits> {
    let limit = budget
        .grant(call, SystemTime::now())
        .context("cannot call OpenTofu: too little time is left, and what comes behind keeps its own; see which step took it")?;
    Ok(Limits {
        init: limit,
        plan: limit,
        apply: limit,
        destroy: limit,
        grace: call.grace,
        lock: LOCK.min(limit / 2),
    })
}

fn limited(settings: &Settings, limits: Limits, cancel: CancellationToken) -> Tofu {
    Tofu::new(
        &settings.tofu,
        &settings.folder,
        &settings.passphrase,
        &[("HCLOUD_TOKEN", settings.project.token.clone())],
        limits,
        cancel,
    )
}

/// Tells what OpenTofu has done.
pub fn tell(event: TofuEvent) {
    match event {
        TofuEvent::Resource {
            address,
            action,
            state,
            seconds,
        } if state != ResourceState::Begun => {
            eprintln!("   {address}: {action} {state:?}, {seconds} s");
        }
        TofuEvent::Diagnostic(found) => eprintln!("   {}: {}", found.summary, found.detail),
        _ => {}
    }
}
