//! Whether the Sovereign's domain can lead to it: its delegation, and with a zone at Hetzner
//! DNS what stands there already. What was seen goes in, findings come out: pure.

use serde_json::Value;

use super::dns::Delegation;
use super::judge::{Finding, label, text};
use crate::config::Config;

/// What was seen of the zone that records are to be written into.
#[derive(Debug)]
pub struct ZoneSeen {
    /// The zone as Hetzner has it; absent where the project has no such zone.
    pub zone: Option<Value>,
    /// Its record sets.
    pub records: Vec<Value>,
    /// Its name servers, as a resolver tells them; absent where none answers.
    pub servers: Option<Vec<String>>,
    /// Whether OpenTofu's state has resources of this Sovereign already.
    pub resumed: bool,
}

/// Judges the zone of a Sovereign whose records are written for it.
pub fn judge_zone(config: &Config, seen: &ZoneSeen) -> Vec<Finding> {
    let Some(name) = &config.dns_zone else {
        return Vec::new();
    };
    let subject = format!("zone {name}");
    let Some(zone) = &seen.zone else {
        let message = "it is not in this project at Hetzner DNS; make it there and delegate it";
        return vec![Finding::problem(&subject, message)];
    };
    let mut findings = Vec::new();
    findings.extend(undelegated(&subject, zone, seen));
    findings.extend(taken(config, name, &subject, seen));
    findings
}

/// Hetzner looks at the delegation now and then, a resolver remembers it for a while: who
/// says that it is as it should be is believed.
fn undelegated(subject: &str, zone: &Value, seen: &ZoneSeen) -> Option<Finding> {
    let assigned: Vec<String> = zone
        .pointer("/authoritative_nameservers/assigned")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|server| server.trim_end_matches('.').to_ascii_lowercase())
        .collect();
    let told = zone.pointer("/authoritative_nameservers/delegation_status");
    let of_hetzner = match told.and_then(Value::as_str) {
        Some("valid" | "partially-valid") => Some(true),
        Some("invalid" | "lame" | "unregistered") => Some(false),
        _ => None,
    };
    let servers = seen.servers.as_ref().filter(|_| !assigned.is_empty());
    let of_resolver = servers.map(|servers| servers.iter().any(|server| assigned.contains(server)));
    match (of_hetzner, of_resolver) {
        (Some(true), _) | (_, Some(true)) => None,
        (None, None) => Some(Finding::note(
            subject,
            "whether it is delegated to Hetzner's name servers could not be told",
        )),
        _ => {
            let others = match servers.map(Vec::as_slice) {
                None => "Hetzner finds others, or none".to_owned(),
                Some([]) => "nobody answers for it".to_owned(),
                Some(others) => format!("{} answer for it", others.join(", ")),
            };
            Some(Finding::problem(
                subject,
                format!(
                    "it is not delegated to Hetzner's name servers: {others}; give its registrar those that Hetzner's console shows ({}), or nobody finds what is written into it",
                    assigned.join(", ")
                ),
            ))
        }
    }
}

/// Records that stand where the module writes its own.
fn taken(config: &Config, zone: &str, subject: &str, seen: &ZoneSeen) -> Option<Finding> {
    let below = format!(".{zone}");
    let fqdn = &config.sovereign_fqdn;
    let name = fqdn.strip_suffix(&below).unwrap_or(fqdn);
    let names = [name.to_owned(), format!("*.{name}")];
    let own = config.derived().name;
    // An alias stands beside no other record.
    let is_taken = |item: &&Value| {
        names.iter().any(|name| text(item, "name") == name)
            && ["A", "AAAA", "CNAME"].contains(&text(item, "type"))
            && !(seen.resumed && label(item) == own)
    };
    let found = seen.records.iter().filter(is_taken);
    let found: Vec<String> = found
        .map(|item| format!("{} {}", text(item, "name"), text(item, "type")))
        .collect();
    (!found.is_empty()).then(|| {
        Finding::problem(
            subject,
            format!(
                "it has records already where those of {fqdn} belong: {}; remove them, or give the Sovereign another domain",
                found.join(", ")
            ),
        )
    })
}

/// What whoever writes the records has to know. The domain cannot lead to the load balancer,
/// which does not exist; so nothing that is found here is a problem.
pub fn judge_domain(fqdn: &str, delegation: &Delegation, addresses: &[String]) -> Finding {
    let delegated = match delegation {
        Delegation::To { zone, servers } if zone == fqdn => format!(
            "{fqdn} is delegated to {}; when the load balancer is there, write its records there",
            servers.join(", ")
        ),
        Delegation::To { zone, servers } if zone.contains('.') => format!(
            "{fqdn} is not delegated by itself: its records belong into the zone {zone}, at {}; when the load balancer is there, write them there, or delegate it to name servers of yours",
            servers.join(", ")
        ),
        Delegation::To { .. } | Delegation::Nowhere => format!(
            "{fqdn} is delegated to nobody; register its domain or delegate it, and write its records when the load balancer is there"
        ),
        Delegation::Unknown => format!(
            "whether {fqdn} is delegated could not be told, for no resolver of this machine answers; see that it is, and write its records when the load balancer is there"
        ),
    };
    match addresses {
        [] => Finding::note("DNS", delegated),
        addresses => Finding::note(
            "DNS",
            format!(
                "{delegated}; it leads to {} now, which they take the place of",
                addresses.join(", ")
            ),
        ),
    }
}
