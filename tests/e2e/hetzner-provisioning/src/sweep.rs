//! Removes what runs of more than two hours ago left in the project: a runner may have
//! died with its state.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use catalyst_provisioner::preflight::Hetzner;
use serde_json::Value;

use crate::settings::{BEGUN_LABEL, RUN_LABEL, Settings};

const OLD: u64 = 2 * 60 * 60;
/// Servers are gone some seconds after they are deleted; what they used comes then.
const PATIENCE: Duration = Duration::from_secs(300);
/// What uses comes before what is used.
const KINDS: [&str; 6] = [
    "load_balancers",
    "servers",
    "placement_groups",
    "firewalls",
    "networks",
    "ssh_keys",
];

pub async fn sweep(settings: &Settings) -> anyhow::Result<()> {
    let address = settings
        .hetzner
        .parse()
        .context("HCLOUD_ENDPOINT is not a URL")?;
    let hetzner = Hetzner::new(&address, settings.token.clone())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let begun = Instant::now();
    loop {
        let mut left = Vec::new();
        for kind in KINDS {
            for item in hetzner.list(kind).await? {
                let Some((id, run)) = old(&item, now) else {
                    continue;
                };
                let gone = hetzner.delete(kind, id).await?;
                eprintln!(
                    "swept {kind} {id} of run {run}{}",
                    if gone { "" } else { ": still in use" }
                );
                if !gone {
                    left.push(format!("{kind} {id}"));
                }
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "these are still in use after {} s: {}",
                PATIENCE.as_secs(),
                left.join(", ")
            );
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Number and run of a thing that an old run made; nothing without both labels is touched.
fn old(item: &Value, now: u64) -> Option<(u64, &str)> {
    let labels = item.get("labels")?;
    let run = labels.get(RUN_LABEL)?.as_str()?;
    let begun: u64 = labels.get(BEGUN_LABEL)?.as_str()?.parse().ok()?;
    let id = item.get("id")?.as_u64()?;
    (begun.checked_add(OLD)? < now).then_some((id, run))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_an_old_run_made_is_swept() {
        let now = 1_000_000;
        let labels =
            |begun: &str| json!({"id": 7, "labels": {RUN_LABEL: "r1", BEGUN_LABEL: begun}});
        for (item, expected) in [
            (labels("900000"), Some((7, "r1"))),
            (labels("999000"), None),
            (labels("soon"), None),
            (labels("99999999999999999999"), None),
            (json!({"id": 7, "labels": {BEGUN_LABEL: "1"}}), None),
            (json!({"id": 7, "labels": {RUN_LABEL: "r1"}}), None),
            (json!({"id": 7, "labels": {}}), None),
            (json!({"id": 7}), None),
        ] {
            assert_eq!(old(&item, now), expected, "{item}");
        }
    }
}
