//! Preflight: everything that would make a later step fail, at once.

mod beside;
mod hetzner;
mod judge;
mod project;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use url::Url;

pub use beside::{Beside, beside, still_there};
pub use hetzner::{ADDRESS, Hetzner, HetznerError, TokenState};
pub use judge::{Finding, KINDS, Seen, judge};
pub use project::not_in_project;

use crate::config::Config;
use crate::secret::Secret;
use crate::ssh::Ssh;
use crate::tofu::Tofu;

/// A resolver that needs longer is as good as none.
const DNS_PATIENCE: Duration = Duration::from_secs(5);

/// Looks at tools, keys, the project and DNS.
pub async fn preflight(
    config: &Config,
    tofu: &Tofu,
    ssh: &Ssh,
    address: &Url,
    token: &Secret,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut resumed = false;
    match tofu.version().await {
        Ok(_) => match tofu.state_list().await {
            Ok(list) => resumed = !list.is_empty(),
            Err(error) => findings.push(Finding::problem("state", error.to_string())),
        },
        Err(error) => findings.push(Finding::problem("OpenTofu", error.to_string())),
    }
    if let Err(error) = ssh.version().await {
        findings.push(Finding::problem("ssh", error.to_string()));
    }
    if let Some(path) = &config.ssh_private_key_file {
        findings.extend(private_key(&crate::config::at_home(path)));
    }
    match Hetzner::new(address, token.clone()) {
        Ok(hetzner) => {
            let seen = look(&hetzner, resumed).await;
            findings.extend(judge(config, &seen));
            if let (Some(zone), Ok(TokenState::Writes)) = (&config.dns_zone, &seen.token) {
                findings.extend(zone_is_there(&hetzner, zone).await);
            }
        }
        Err(error) => findings.push(Finding::problem("Hetzner", error.to_string())),
    }
    if config.domain_mode == "byo" {
        findings.push(dns(config).await);
    }
    findings
}

async fn look(hetzner: &Hetzner, resumed: bool) -> Seen {
    let token = hetzner.token_state().await;
    let mut lists = BTreeMap::new();
    if !matches!(token, Ok(TokenState::Unknown)) {
        for kind in KINDS {
            let list = hetzner.list(kind).await;
            lists.insert(kind, list);
        }
    }
    Seen {
        token,
        lists,
        resumed,
    }
}

/// Kinds that the module makes; what uses stands before what is used.
const MADE: [&str; 6] = [
    "load_balancers",
    "servers",
    "placement_groups",
    "firewalls",
    "networks",
    "ssh_keys",
];

/// Kind and name of everything in the project that carries a Sovereign's label.
pub async fn left_over(
    address: &Url,
    token: &Secret,
    sovereign: &str,
) -> Result<Vec<String>, HetznerError> {
    let hetzner = Hetzner::new(address, token.clone())?;
    let mut left = Vec::new();
    for kind in MADE {
        let items = hetzner.list(kind).await?;
        let own = items.iter().filter(|item| judge::label(item) == sovereign);
        left.extend(own.map(|item| judge::titled(kind, judge::text(item, "name"))));
    }
    Ok(left)
}

async fn zone_is_there(hetzner: &Hetzner, zone: &str) -> Option<Finding> {
    let subject = format!("zone {zone}");
    match hetzner.list("zones").await {
        Ok(zones) => {
            let is_there = zones
                .iter()
                .any(|item| item.get("name").and_then(serde_json::Value::as_str) == Some(zone));
            (!is_there).then(|| {
                Finding::problem(
                    &subject,
                    "it is not in this project at Hetzner DNS; make it there and delegate it",
                )
            })
        }
        Err(error) => Some(Finding::problem(&subject, error.to_string())),
    }
}

/// Whether the domain leads anywhere yet. It cannot lead to the load balancer, which
/// does not exist; so nothing that is found here is a problem.
async fn dns(config: &Config) -> Finding {
    let fqdn = &config.sovereign_fqdn;
    let lookup = tokio::net::lookup_host((fqdn.as_str(), 443));
    match tokio::time::timeout(DNS_PATIENCE, lookup).await {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<String> =
                addresses.map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            Finding::note(
                "DNS",
                format!(
                    "{fqdn} leads to {}; when the load balancer is there, its records must be changed",
                    addresses.join(", ")
                ),
            )
        }
        // A resolver that is silent leads nowhere either.
        Ok(Err(_)) | Err(_) => Finding::note(
            "DNS",
            format!(
                "{fqdn} leads nowhere yet; when the load balancer is there, write its records, and see that the domain is delegated to your name servers"
            ),
        ),
    }
}

fn private_key(path: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let problem = |message: String| Some(Finding::problem("sshPrivateKeyFile", message));
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Err(error) => problem(format!("cannot read {}: {error}", path.display())),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => problem(format!(
            "others can read {}, so ssh refuses it; run `chmod 600` on it",
            path.display()
        )),
        Ok(_) => None,
    }
}
