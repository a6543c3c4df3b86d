//! Removes from the project what runs left in it, by their labels: a runner may have died
//! with its state, and what was just being made is in no state at all.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use catalyst_provisioner::preflight::{Hetzner, HetznerError};
use serde_json::Value;

use crate::settings::{BEGUN_LABEL, Project, RUN_LABEL};

const OLD: u64 = 2 * 60 * 60;
/// How long a sweep goes on, and how often it looks.
pub const SWEEP: Patience = Patience {
    within: Duration::from_secs(300),
    pause: Duration::from_secs(5),
};
/// What uses comes before what is used.
const KINDS: [&str; 6] = [
    "load_balancers",
    "servers",
    "placement_groups",
    "firewalls",
    "networks",
    "ssh_keys",
];

/// How long removing goes on: servers are gone some seconds after they are deleted, and
/// what they used only then.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub within: Duration,
    /// Between two looks.
    pub pause: Duration,
}

/// Removes what runs of more than two hours ago left, and, where this run has a name, what
/// its earlier attempts did: their names would be in the way.
pub async fn sweep(
    project: &Project,
    own_run: Option<&str>,
    patience: Patience,
) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let hetzner = project.client()?;
    let is_chosen = |item: &Value| is_old(item, now) || own_run.is_some_and(|run| is_of(item, run));
    let found = remove(&hetzner, patience, is_chosen).await?;
    eprintln!("swept away: {}", or_nothing(&found));
    Ok(())
}

/// Removes everything that carries a run's label, and gives what was found.
pub async fn remove_run(
    project: &Project,
    run: &str,
    patience: Patience,
) -> anyhow::Result<Vec<String>> {
    remove(&project.client()?, patience, |item| is_of(item, run)).await
}

/// Deletes what is chosen until a look finds none of it, and gives what was found.
async fn remove(
    hetzner: &Hetzner,
    patience: Patience,
    is_chosen: impl Fn(&Value) -> bool,
) -> anyhow::Result<Vec<String>> {
    let begun = Instant::now();
    let mut found = Vec::new();
    loop {
        let seen = look_and_delete(hetzner, &is_chosen, &mut found).await;
        let is_over = begun.elapsed() >= patience.within;
        match seen {
            Ok(there) if there.is_empty() => return Ok(found),
            Ok(there) if is_over => bail!(
                "these are still there after {} s, remove them by hand: {}; found were {}",
                begun.elapsed().as_secs(),
                there.join(", "),
                found.join(", ")
            ),
            Err(error) if is_over || !may_pass(&error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot tell whether anything is left; found so far: {}",
                        or_nothing(&found)
                    )
                });
            }
            Ok(_) => {}
            Err(error) => eprintln!("   {error}; trying again"),
        }
        tokio::time::sleep(patience.pause).await;
    }
}

/// Asks once for the deletion of all that is chosen, and gives what was there.
async fn look_and_delete(
    hetzner: &Hetzner,
    is_chosen: &impl Fn(&Value) -> bool,
    found: &mut Vec<String>,
) -> Result<Vec<String>, HetznerError> {
    let mut there = Vec::new();
    for kind in KINDS {
        for item in hetzner.list(kind).await? {
            let id = item.get("id").and_then(Value::as_u64);
            let Some(id) = id.filter(|_| is_chosen(&item)) else {
                continue;
            };
            let title = title(kind, &item, id);
            if !found.contains(&title) {
                eprintln!("   found: {title}");
                found.push(title.clone());
            }
            there.push(title);
            // What is in use still is asked for again at the next look.
            hetzner.delete(kind, id).await?;
        }
    }
    Ok(there)
}

/// Whether the next request may be answered where this one was not.
fn may_pass(error: &HetznerError) -> bool {
    match error {
        HetznerError::Token(_) => false,
        HetznerError::Reach { .. } => true,
        HetznerError::Refused { status, .. } => *status == 429 || *status >= 500,
    }
}

/// Kind, name and number, and whose it is: `server e2e-4711-cp-1 (12, of run 4711)`.
fn title(kind: &str, item: &Value, id: u64) -> String {
    let kind = kind.trim_end_matches('s').replace('_', " ");
    let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
    let run = label(item, RUN_LABEL).unwrap_or_default();
    format!("{kind} {name} ({id}, of run {run})")
}

fn or_nothing(found: &[String]) -> String {
    match found {
        [] => "nothing".to_owned(),
        several => several.join(", "),
    }
}

fn label<'a>(item: &'a Value, name: &str) -> Option<&'a str> {
    item.get("labels")?.get(name)?.as_str()
}

fn is_of(item: &Value, run: &str) -> bool {
    label(item, RUN_LABEL) == Some(run)
}

/// Whether an old run made it; nothing without both labels is touched.
fn is_old(item: &Value, now: u64) -> bool {
    let begun = label(item, BEGUN_LABEL).and_then(|text| text.parse::<u64>().ok());
    label(item, RUN_LABEL).is_some()
        && begun
            .and_then(|begun| begun.checked_add(OLD))
            .is_some_and(|old| old < now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stand_in::{Api, TOKEN};

    const QUICK: Patience = Patience {
        within: Duration::from_secs(60),
        pause: Duration::from_millis(10),
    };

    fn of(run: &str, begun: &str) -> Value {
        json!({RUN_LABEL: run, BEGUN_LABEL: begun})
    }

    #[test]
    fn only_what_an_old_run_made_is_swept() {
        let now = 1_000_000;
        for (labels, expected) in [
            (of("r1", "900000"), true),
            (of("r1", "999000"), false),
            (of("r1", "soon"), false),
            (of("r1", "99999999999999999999"), false),
            (json!({BEGUN_LABEL: "1"}), false),
            (json!({RUN_LABEL: "r1"}), false),
            (json!({}), false),
            (Value::Null, false),
        ] {
            let item = json!({"id": 7, "labels": labels});
            assert_eq!(is_old(&item, now), expected, "{item}");
        }
    }

    #[tokio::test]
    async fn a_sweep_takes_old_runs_and_earlier_attempts_of_its_own() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = now.as_secs().to_string();
        for (own, left) in [
            (None, vec!["/servers/2", "/servers/3", "/servers/4"]),
            (Some("2"), vec!["/servers/3", "/servers/4"]),
        ] {
            let api = Api::new();
            api.has("servers", 1, of("1", "1000"));
            api.has("servers", 2, of("2", &now));
            api.has("servers", 3, of("3", &now));
            api.has("servers", 4, json!({}));
            sweep(&api.project(TOKEN), own, QUICK).await.unwrap();
            assert_eq!(api.left(), left, "{own:?}");
        }
    }

    #[tokio::test]
    async fn what_is_in_use_is_removed_after_what_uses_it() {
        let api = Api::new();
        api.has("networks", 1, of("r1", "1"));
        api.is_in_use(1, 2);
        api.has("servers", 2, of("r1", "1"));
        let found = remove_run(&api.project(TOKEN), "r1", QUICK).await.unwrap();
        assert_eq!(
            found,
            [
                "server thing-2 (2, of run r1)",
                "network thing-1 (1, of run r1)"
            ]
        );
        assert_eq!(api.left(), Vec::<String>::new());
        let deletions = api.calls();
        let deletions: Vec<_> = deletions
            .iter()
            .filter_map(|call| call.strip_prefix("DELETE "))
            .collect();
        assert_eq!(
            deletions,
            ["/servers/2", "/networks/1", "/networks/1", "/networks/1"]
        );
    }

    #[tokio::test]
    async fn a_refusal_that_may_pass_is_borne_and_another_is_told_at_once() {
        let api = Api::new();
        api.has("ssh_keys", 1, of("r1", "1"));
        api.fails(3);
        let found = remove_run(&api.project(TOKEN), "r1", QUICK).await.unwrap();
        assert_eq!(found, ["ssh key thing-1 (1, of run r1)"]);

        let error = remove_run(&api.project("another"), "r1", QUICK).await;
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.contains("cannot tell whether anything is left"),
            "{error}"
        );
        assert!(error.contains("401"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_removed_is_named() {
        let api = Api::new();
        api.has("firewalls", 1, of("r1", "1"));
        api.is_in_use(1, usize::MAX);
        let patience = Patience {
            within: Duration::from_millis(100),
            ..QUICK
        };
        let error = remove_run(&api.project(TOKEN), "r1", patience).await;
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.contains("remove them by hand: firewall thing-1 (1, of run r1)"),
            "{error}"
        );
    }
}
