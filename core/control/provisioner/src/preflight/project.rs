//! Whether a token opens the project in which a Sovereign was made. Hetzner tells of no
//! token which project it is of; but an id is never given twice, so that what was made
//! is found in its own project and in no other.

use super::hetzner::{Hetzner, HetznerError};
use super::judge::titled;
use crate::tofu::Made;

/// OpenTofu's types whose ids Hetzner's API takes, and its own names of them; first what
/// is least often removed by hand.
const KINDS: [(&str, &str); 6] = [
    ("hcloud_network", "networks"),
    ("hcloud_ssh_key", "ssh_keys"),
    ("hcloud_firewall", "firewalls"),
    ("hcloud_placement_group", "placement_groups"),
    ("hcloud_load_balancer", "load_balancers"),
    ("hcloud_server", "servers"),
];

/// What of the state can be asked for: Hetzner's name of the kind, and the id.
fn askable(made: &[Made]) -> Vec<(&'static str, u64)> {
    let of_kind = |(kind, list): (&str, &'static str)| {
        let ids = made.iter().filter(move |it| it.kind == kind);
        let ids = ids.filter_map(|it| it.id.parse::<u64>().ok());
        ids.map(|id| (list, id))
            .collect::<Vec<(&'static str, u64)>>()
    };
    KINDS.into_iter().flat_map(of_kind).collect()
}

/// What was made and cannot be found with this token: everything, or, where one thing is
/// found and so the project is the right one, nothing.
pub async fn not_in_project(hetzner: &Hetzner, made: &[Made]) -> Result<Vec<String>, HetznerError> {
    let mut absent = Vec::new();
    for (kind, id) in askable(made) {
        if hetzner.has(kind, id).await? {
            return Ok(Vec::new());
        }
        absent.push(titled(kind, &id.to_string()));
    }
    Ok(absent)
}
