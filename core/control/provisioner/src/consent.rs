//! What may be done of a plan: the one that was seen, and of what carries a Sovereign
//! only what was agreed to be lost. Pure.
//!
//! Called by the service between planning and creating, and by the command line before
//! it asks. What must stay true: where either is in doubt, nothing is done.

use sha2::{Digest as _, Sha256};

use crate::told::PlannedChange;

/// Kinds of what a Sovereign stands on, by the beginning of their names: with it go data,
/// the quorum of etcd, or addresses that DNS leads to.
const CARRYING: [&str; 4] = [
    "hcloud_server",
    "hcloud_network",
    "hcloud_load_balancer",
    "hcloud_volume",
];

/// The digest of what a plan would change, by address and action, in whatever order that
/// is told: SHA-256, as 64 hexadecimal digits.
pub fn digest(changes: &[PlannedChange]) -> String {
    let mut lines: Vec<String> = changes
        .iter()
        .map(|change| format!("{}\0{}\n", change.address, change.action))
        .collect();
    lines.sort();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
    }
    hex::encode(hash.finalize())
}

/// What a plan would delete or replace of what the Sovereign stands on, each as
/// `action address`.
pub fn losses(changes: &[PlannedChange]) -> Vec<String> {
    let is_loss = |change: &&PlannedChange| {
        matches!(change.action.as_str(), "delete" | "replace")
            && change
                .address
                .split('.')
                .any(|part| CARRYING.iter().any(|kind| part.starts_with(kind)))
    };
    changes
        .iter()
        .filter(is_loss)
        .map(|change| format!("{} {}", change.action, change.address))
        .collect()
}

/// What whoever asks for a job has agreed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Digest of the plan that was shown; `None` where none was to be shown first.
    pub plan: Option<String>,
    /// Whether what the Sovereign stands on may be deleted or replaced: its domain was
    /// named to say so.
    pub allows_losses: bool,
}

/// Why a plan is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// Another one was shown.
    #[error(
        "this plan is not the one that was shown, for what is there has changed since; look at it and agree to it"
    )]
    OtherPlan,
    /// It costs what nobody agreed to lose.
    #[error("it would {}, and the domain was not named to say that this is meant", .losses.join(", "))]
    Losses {
        /// As [`losses`] gives them.
        losses: Vec<String>,
    },
}

impl Agreement {
    /// What stands against carrying a plan out; nothing stands against one that changes
    /// nothing.
    pub fn objection(&self, changes: &[PlannedChange]) -> Option<Objection> {
        if changes.is_empty() {
            return None;
        }
        if self
            .plan
            .as_ref()
            .is_some_and(|seen| *seen != digest(changes))
        {
            return Some(Objection::OtherPlan);
        }
        let losses = losses(changes);
        match losses.is_empty() || self.allows_losses {
            true => None,
            false => Some(Objection::Losses { losses }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(changes: &[(&str, &str)]) -> Vec<PlannedChange> {
        let change = |(address, action): &(&str, &str)| PlannedChange {
            address: (*address).to_owned(),
            action: (*action).to_owned(),
        };
        changes.iter().map(change).collect()
    }

    #[test]
    fn a_digest_tells_plans_apart_and_not_their_order() {
        let (one, two) = (("a.b", "create"), ("a.c", "delete"));
        assert_eq!(digest(&plan(&[one, two])), digest(&plan(&[two, one])));
        for other in [
            plan(&[]),
            plan(&[one]),
            plan(&[("a.b", "delete"), ("a.c", "create")]),
            plan(&[one, ("a.c", "replace")]),
        ] {
            assert_ne!(digest(&other), digest(&plan(&[one, two])), "{other:?}");
        }
    }

    #[test]
    fn what_a_sovereign_stands_on_is_told_from_the_rest() {
        for (address, action, expected) in [
            ("hcloud_server.control_plane[1]", "delete", true),
            ("hcloud_server.worker[\"a.b\"]", "replace", true),
            ("module.nodes[0].hcloud_server.this", "delete", true),
            ("hcloud_network_subnet.nodes", "replace", true),
            ("hcloud_load_balancer.public", "delete", true),
            ("hcloud_volume.data", "delete", true),
            ("hcloud_server.control_plane[1]", "update", false),
            ("hcloud_server.control_plane[1]", "create", false),
            ("hcloud_firewall.nodes", "replace", false),
            ("hcloud_ssh_key.admin", "delete", false),
        ] {
            let found = losses(&plan(&[(address, action)]));
            assert_eq!(!found.is_empty(), expected, "{action} {address}");
        }
    }

    #[test]
    fn only_what_was_seen_and_agreed_to_is_carried_out() {
        let creates = plan(&[("hcloud_server.worker[0]", "create")]);
        let deletes = plan(&[("hcloud_server.worker[0]", "delete")]);
        let agreement = |seen: Option<&[PlannedChange]>, allows_losses| Agreement {
            plan: seen.map(digest),
            allows_losses,
        };
        for (seen, allows, now, objects) in [
            (None, false, &creates, false),
            (None, false, &deletes, true),
            (None, true, &deletes, false),
            (Some(&creates), false, &creates, false),
            (Some(&creates), true, &deletes, true),
            (Some(&deletes), false, &deletes, true),
            (Some(&deletes), true, &deletes, false),
            // What is not there any more need not be done.
            (Some(&creates), false, &plan(&[]), false),
        ] {
            let agreed = agreement(seen.map(Vec::as_slice), allows);
            let found = agreed.objection(now);
            assert_eq!(found.is_some(), objects, "{seen:?} {allows} {now:?}");
        }
        let said = agreement(None, false).objection(&deletes).unwrap();
        assert!(said.to_string().contains("delete hcloud_server.worker[0]"));
    }
}
