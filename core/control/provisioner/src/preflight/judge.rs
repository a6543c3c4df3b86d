//! What would make a later step fail, from what was seen. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::hetzner::{HetznerError, TokenState};
use crate::config::{Config, Derived};

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whether provisioning would fail by it; otherwise it is worth knowing.
    pub problem: bool,
    /// What it is about.
    pub subject: String,
    /// What was found, and what to do.
    pub message: String,
}

impl Finding {
    pub(super) fn problem(subject: &str, message: impl Into<String>) -> Self {
        Self {
            problem: true,
            subject: subject.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn note(subject: &str, message: impl Into<String>) -> Self {
        Self {
            problem: false,
            ..Self::problem(subject, message)
        }
    }
}

/// What was seen of the project.
#[derive(Debug)]
pub struct Seen {
    /// What the token may do.
    pub token: Result<TokenState, HetznerError>,
    /// Everything of each kind, by Hetzner's name of the kind.
    pub lists: BTreeMap<&'static str, Result<Vec<Value>, HetznerError>>,
    /// Whether OpenTofu's state has resources of this Sovereign already.
    pub resumed: bool,
}

/// Kinds that are listed.
pub const KINDS: [&str; 12] = [
    "servers",
    "load_balancers",
    "networks",
    "firewalls",
    "ssh_keys",
    "placement_groups",
    "primary_ips",
    "server_types",
    "locations",
    "load_balancer_types",
    "volumes",
    "images",
];

/// Judges what was seen against what the module would make.
pub fn judge(config: &Config, seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    // One failure of the network is told once.
    let mut told = BTreeSet::new();
    match &seen.token {
        Ok(TokenState::Writes) => {}
        Ok(TokenState::Unknown) => {
            findings.push(Finding::problem("token", "Hetzner does not know it; set HCLOUD_TOKEN to one of the project's API tokens"));
            // Nothing else can be seen with it.
            return findings;
        }
        Ok(TokenState::ReadsOnly) => findings.push(Finding::problem("token", "it may only read; make one with the right to read and write in Hetzner's console (Security, API tokens)")),
        Err(error) => {
            told.insert(error.cause());
            findings.push(Finding::problem("token", error.to_string()));
        }
    }
    let derived = config.derived();
    for (kind, list) in &seen.lists {
        if let Err(error) = list
            && told.insert(error.cause())
        {
            let subject = kind.replace('_', " ");
            findings.push(Finding::problem(&subject, error.to_string()));
        }
    }
    collisions(config, &derived, seen, &mut findings);
    limits(config, &derived, seen, &mut findings);
    types(config, &derived, seen, &mut findings);
    findings
}

impl Seen {
    fn of(&self, kind: &str) -> &[Value] {
        match self.lists.get(kind) {
            Some(Ok(items)) => items,
            _ => &[],
        }
    }

    fn was_seen(&self, kind: &str) -> bool {
        matches!(self.lists.get(kind), Some(Ok(_)))
    }
}

pub(super) fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn label(item: &Value) -> &str {
    item.pointer("/labels/openova.io~1sovereign")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A thing by kind and name, such as `load balancer omantel-public`.
pub(super) fn titled(kind: &str, name: &str) -> String {
    format!("{} {name}", kind.trim_end_matches('s').replace('_', " "))
}

/// Names that the module gives, by kind.
fn names(config: &Config, derived: &Derived) -> Vec<(&'static str, String)> {
    let name = &derived.name;
    let mut all = vec![
        ("networks", name.clone()),
        ("firewalls", format!("{name}-nodes")),
        ("ssh_keys", format!("{name}-admin")),
        ("placement_groups", format!("{name}-control-planes")),
        ("load_balancers", format!("{name}-public")),
    ];
    let numbered = |count: u16, kind: &'static str, part: &'static str| {
        (1..=count).map(move |index| (kind, format!("{name}-{part}-{index}")))
    };
    all.extend(numbered(config.control_plane_count, "servers", "cp"));
    all.extend(numbered(config.worker_count, "servers", "worker"));
    let groups = config.worker_count.div_ceil(10);
    all.extend(numbered(groups, "placement_groups", "workers"));
    if config.control_plane_count > 1 {
        all.push(("load_balancers", format!("{name}-join")));
    }
    all
}

fn collisions(config: &Config, derived: &Derived, seen: &Seen, findings: &mut Vec<Finding>) {
    let mut left_over = Vec::new();
    for (kind, name) in names(config, derived) {
        let Some(item) = seen.of(kind).iter().find(|item| text(item, "name") == name) else {
            continue;
        };
        let what = titled(kind, &name);
        if label(item) != derived.name {
            findings.push(Finding::problem(
                &what,
                "something else of this name is in the project; rename it, or use another project",
            ));
        } else if !seen.resumed {
            left_over.push(what);
        }
    }
    if !left_over.is_empty() {
        findings.push(Finding::problem(
            "left over",
            format!(
                "the project has resources of {} that this directory knows nothing of: {}; resume from the directory that made them, or remove them",
                config.sovereign_fqdn,
                left_over.join(", ")
            ),
        ));
    }
    let body = |key: &str| key.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let own = body(config.ssh_public_key.as_deref().unwrap_or_default());
    let same = seen
        .of("ssh_keys")
        .iter()
        .find(|item| body(text(item, "public_key")) == own && label(item) != derived.name);
    if let Some(item) = same {
        findings.push(Finding::problem("SSH key", format!("the project has this key already, as {:?}, and takes each key once; use another key, or remove that one", text(item, "name"))));
    }
}

fn limits(config: &Config, derived: &Derived, seen: &Seen, findings: &mut Vec<Finding>) {
    let servers = u32::from(config.control_plane_count) + u32::from(config.worker_count);
    let balancers = if config.control_plane_count > 1 { 2 } else { 1 };
    let own_servers: Vec<u64> = seen
        .of("servers")
        .iter()
        .filter(|item| label(item) == derived.name)
        .filter_map(|item| item.get("id").and_then(Value::as_u64))
        .collect();
    // What this Sovereign has already is counted among what it needs. A primary IP or a
    // volume carries no label of ours; its server does.
    let others = |kind: &str| {
        let of_own_server = |item: &Value| {
            ["assignee_id", "server"]
                .into_iter()
                .filter_map(|name| item.get(name).and_then(Value::as_u64))
                .any(|id| own_servers.contains(&id))
        };
        let all = seen.of(kind).iter();
        all.filter(|item| label(item) != derived.name && !of_own_server(item))
            .collect::<Vec<_>>()
    };
    for (kind, what, limit, needed) in [
        ("servers", "servers", config.limits.servers, servers),
        (
            "load_balancers",
            "load balancers",
            config.limits.load_balancers,
            balancers,
        ),
        ("networks", "networks", config.limits.networks, 1),
        (
            "primary_ips",
            "primary IPs",
            config.limits.primary_ips,
            2 * servers,
        ),
        ("volumes", "volumes", config.limits.volumes, derived.volumes),
    ] {
        let Some(limit) = limit.filter(|_| seen.was_seen(kind)) else {
            continue;
        };
        let others = u32::try_from(others(kind).len()).unwrap_or(u32::MAX);
        findings.extend(over(what, needed, others, limit));
    }
    // A type that Hetzner does not have is a problem of its own.
    let needed = cores_of(seen, &config.control_plane_server_type)
        .zip(match config.worker_count {
            0 => Some(0),
            _ => cores_of(seen, &config.worker_server_type),
        })
        .map(|(control_plane, worker)| {
            control_plane * u64::from(config.control_plane_count)
                + worker * u64::from(config.worker_count)
        })
        .and_then(|cores| u32::try_from(cores).ok());
    if let (Some(limit), Some(needed), true) =
        (config.limits.cores, needed, seen.was_seen("servers"))
    {
        let others: u64 = others("servers")
            .into_iter()
            .filter_map(|item| item.pointer("/server_type/cores").and_then(Value::as_u64))
            .sum();
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        findings.extend(over("cores", needed, others, limit));
    }
}

/// The cores of a server type.
fn cores_of(seen: &Seen, name: &str) -> Option<u64> {
    let all = seen.of("server_types").iter();
    all.filter(|item| text(item, "name") == name)
        .find_map(|item| item.get("cores").and_then(Value::as_u64))
        .filter(|cores| *cores <= u64::from(u16::MAX))
}

/// What is told where a limit would be passed.
fn over(what: &str, needed: u32, others: u32, limit: u32) -> Option<Finding> {
    (others.saturating_add(needed) > limit).then(|| Finding::problem(what, format!("the Sovereign needs {needed} and others have {others}, together more than the project's limit of {limit}; ask for a higher limit in Hetzner's console, or plan fewer nodes")))
}

fn types(config: &Config, derived: &Derived, seen: &Seen, findings: &mut Vec<Finding>) {
    let location = &derived.location;
    let images = image(config, seen, findings);
    if seen.was_seen("locations") {
        let known: Vec<&str> = seen
            .of("locations")
            .iter()
            .map(|item| text(item, "name"))
            .collect();
        if !known.contains(&location.as_str()) {
            findings.push(Finding::problem(
                "region",
                format!(
                    "Hetzner has no location {location}, only {}",
                    known.join(", ")
                ),
            ));
            return;
        }
    }
    let mut wanted = vec![&config.control_plane_server_type];
    if config.worker_count > 0 && !wanted.contains(&&config.worker_server_type) {
        wanted.push(&config.worker_server_type);
    }
    for name in wanted.into_iter().filter(|_| seen.was_seen("server_types")) {
        let what = format!("server type {name}");
        let all = seen.of("server_types");
        let Some(item) = all.iter().find(|item| text(item, "name") == name) else {
            findings.push(Finding::problem(&what, "Hetzner has no such type"));
            continue;
        };
        let at = |item: &Value| {
            item.get("locations")
                .and_then(Value::as_array)
                .and_then(|all| all.iter().find(|at| text(at, "name") == location).cloned())
        };
        let Some(here) = at(item) else {
            let others: Vec<&str> = all
                .iter()
                .filter(|item| at(item).is_some())
                .map(|item| text(item, "name"))
                .collect();
            findings.push(Finding::problem(
                &what,
                format!(
                    "it is not offered in {location}; there are {}",
                    others.join(", ")
                ),
            ));
            continue;
        };
        let architecture = text(item, "architecture");
        if !images.is_empty()
            && !architecture.is_empty()
            && !images
                .iter()
                .any(|it| text(it, "architecture") == architecture)
        {
            findings.push(Finding::problem(
                &what,
                format!(
                    "its processors are {architecture}, and there is no image {} for them; choose another type, or another image",
                    config.image
                ),
            ));
        }
        if here.get("deprecation").is_some_and(|it| !it.is_null()) {
            findings.push(Finding::note(
                &what,
                format!("Hetzner is about to withdraw it in {location}"),
            ));
        }
        // Hetzner's own word on stock, which has been wrong in both directions.
        if here.get("available") == Some(&Value::Bool(false)) {
            findings.push(Finding::note(
                &what,
                format!("Hetzner says that none is free in {location} now; creating it may fail"),
            ));
        }
    }
    let mut balancers = vec![&config.load_balancer_type];
    if config.control_plane_count > 1 && !balancers.contains(&&config.join_load_balancer_type) {
        balancers.push(&config.join_load_balancer_type);
    }
    for name in balancers {
        let known = seen.of("load_balancer_types");
        let found = known.iter().find(|item| text(item, "name") == name);
        let what = format!("load balancer type {name}");
        // Its prices are by location: where it has none, it is not sold.
        let prices = found.and_then(|item| item.get("prices").and_then(Value::as_array));
        let is_sold = prices.is_none_or(|prices| {
            prices.is_empty() || prices.iter().any(|it| text(it, "location") == location)
        });
        if seen.was_seen("load_balancer_types") && found.is_none() {
            findings.push(Finding::problem(&what, "Hetzner has no such type"));
        } else if !is_sold {
            findings.push(Finding::problem(
                &what,
                format!("it is not offered in {location}"),
            ));
        }
    }
}

/// The images that the description may mean, one for each architecture; of Hetzner's own
/// by name, of the project's snapshots by number. None where nothing can be said of them.
fn image<'a>(config: &Config, seen: &'a Seen, findings: &mut Vec<Finding>) -> Vec<&'a Value> {
    let name = config.image.as_str();
    let what = format!("image {name}");
    let is_named = |item: &&Value| match name.parse::<u64>() {
        Ok(id) => item.get("id").and_then(Value::as_u64) == Some(id),
        Err(_) => text(item, "name") == name && text(item, "type") == "system",
    };
    let found: Vec<&Value> = seen.of("images").iter().filter(is_named).collect();
    if seen.was_seen("images") && found.is_empty() {
        let known: BTreeSet<&str> = seen
            .of("images")
            .iter()
            .filter(|item| text(item, "type") == "system" && is_current(item))
            .map(|item| text(item, "name"))
            .filter(|name| name.starts_with("ubuntu-") || name.starts_with("debian-"))
            .collect();
        let known: Vec<&str> = known.into_iter().collect();
        let message = match known.is_empty() {
            true => "neither Hetzner nor the project has it".to_owned(),
            false => format!(
                "neither Hetzner nor the project has it; there are {}",
                known.join(", ")
            ),
        };
        findings.push(Finding::problem(&what, message));
    } else if found.iter().any(|item| {
        item.get("status")
            .is_some_and(|status| status != "available")
    }) {
        findings.push(Finding::problem(
            &what,
            "it is not available: it is still being made, or its making failed",
        ));
    } else if found.iter().any(|item| !is_current(item)) {
        findings.push(Finding::note(
            &what,
            "Hetzner is about to withdraw it; choose a newer one",
        ));
    }
    found
}

/// Whether Hetzner has not told when it withdraws an image.
fn is_current(item: &Value) -> bool {
    item.get("deprecated").is_none_or(Value::is_null)
}
