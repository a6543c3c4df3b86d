//! Preflight: everything that would make a later step fail, at once.

mod beside;
mod dns;
mod git;
mod hetzner;
mod judge;
mod key;
mod project;
mod zone;

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

pub use beside::{Beside, beside, still_there};
pub use dns::Delegation;
pub(crate) use hetzner::token_fault;
pub use hetzner::{ADDRESS, Hetzner, HetznerError, TokenState};
pub use judge::{Finding, KINDS, Seen, judge};
pub use key::{KeyFault, judge_private_key};
pub use project::not_in_project;
pub use zone::{ZoneSeen, judge_domain, judge_zone};

use crate::config::Config;
use crate::secret::Secret;
use crate::ssh::Ssh;
use crate::tofu::Tofu;

/// A resolver that needs longer is as good as none.
const DNS_PATIENCE: Duration = Duration::from_secs(5);

/// Looks at tools, keys, the project, DNS and the Git repository, for which `git` is user and
/// password.
pub async fn preflight(
    config: &Config,
    tofu: &Tofu,
    ssh: &Ssh,
    address: &Url,
    token: &Secret,
    git: Option<&(String, Secret)>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut resumed = false;
    match tofu.version().await {
        Ok(_) => match tofu.state_list().await {
            // What is being made is in the state a little later.
            Ok(list) => resumed = !list.is_empty() || tofu.is_at_work(),
            Err(error) => findings.push(Finding::problem("state", error.to_string())),
        },
        Err(error) => findings.push(Finding::problem("OpenTofu", error.to_string())),
    }
    if let Err(error) = ssh.version().await {
        findings.push(Finding::problem("ssh", error.to_string()));
    }
    if let Some(path) = &config.ssh_private_key_file {
        let public = config.ssh_public_key.as_deref().unwrap_or_default();
        findings.extend(key::private_key(&crate::config::at_home(path), public).await);
    }
    match Hetzner::new(address, token.clone()) {
        Ok(hetzner) => {
            let seen = look(&hetzner, resumed).await;
            findings.extend(judge(config, &seen));
            if let (Some(zone), Ok(TokenState::Writes)) = (&config.dns_zone, &seen.token) {
                findings.extend(look_at_zone(config, &hetzner, zone, resumed).await);
            }
        }
        Err(HetznerError::Token(fault)) => findings.push(Finding::problem("token", fault)),
        Err(error) => findings.push(Finding::problem("Hetzner", error.to_string())),
    }
    let of_dns = async {
        match config.domain_mode.as_str() {
            "byo" => Some(dns(config).await),
            _ => None,
        }
    };
    let (of_dns, of_git) = tokio::join!(of_dns, git::repository(config, git));
    findings.extend(of_dns);
    findings.extend(of_git);
    findings
}

async fn look(hetzner: &Hetzner, resumed: bool) -> Seen {
    let token = hetzner.token_state().await;
    let mut lists = BTreeMap::new();
    // Who does not answer once is not asked ten times more.
    let is_of_use = !matches!(
        token,
        Ok(TokenState::Unknown) | Err(HetznerError::Reach { .. })
    );
    if is_of_use {
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

async fn look_at_zone(
    config: &Config,
    hetzner: &Hetzner,
    name: &str,
    resumed: bool,
) -> Vec<Finding> {
    match see_zone(hetzner, name, resumed).await {
        Ok(seen) => judge_zone(config, &seen),
        Err(error) => vec![Finding::problem(&format!("zone {name}"), error.to_string())],
    }
}

async fn see_zone(hetzner: &Hetzner, name: &str, resumed: bool) -> Result<ZoneSeen, HetznerError> {
    let zones = hetzner.list("zones").await?;
    let zone = zones
        .into_iter()
        .find(|item| judge::text(item, "name") == name);
    let records = match &zone {
        Some(_) => hetzner.records(name).await?,
        None => Vec::new(),
    };
    let resolvers = dns::resolvers();
    let servers = dns::name_servers(&resolvers, name);
    Ok(ZoneSeen {
        zone,
        records,
        servers: tokio::time::timeout(DNS_PATIENCE, servers)
            .await
            .unwrap_or_default(),
        resumed,
    })
}

/// Whether the domain is delegated, and whether it leads anywhere yet.
async fn dns(config: &Config) -> Finding {
    let fqdn = config.sovereign_fqdn.as_str();
    let resolvers = dns::resolvers();
    let delegated = tokio::time::timeout(DNS_PATIENCE, dns::delegation(&resolvers, fqdn));
    let leads = tokio::time::timeout(DNS_PATIENCE, tokio::net::lookup_host((fqdn, 443)));
    let (delegated, leads) = tokio::join!(delegated, leads);
    // A resolver that is silent leads nowhere either.
    let mut addresses: Vec<String> = match leads {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip().to_string()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    addresses.dedup();
    judge_domain(fqdn, &delegated.unwrap_or(Delegation::Unknown), &addresses)
}
