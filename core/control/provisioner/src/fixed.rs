//! What of a description cannot change any more once the nodes have joined one another.
//! Pure.
//!
//! A control plane less may cost etcd its quorum, another network or region moves every
//! server; and a node more never joins, for the bootstrap has erased its tokens.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::Config;

/// Names as `sovereign.yaml` has them.
const FIXED: [&str; 8] = [
    "region",
    "networkCidr",
    "subnetCidr",
    "podCidr",
    "serviceCidr",
    "image",
    "controlPlaneCount",
    WORKERS,
];
const WORKERS: &str = "workerCount";

/// What is to stay, of a description.
pub fn of(config: &Config) -> BTreeMap<String, Value> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(config) else {
        return BTreeMap::new();
    };
    FIXED
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), all.remove(name)?)))
        .collect()
}

/// What a description would change of that, and what to do instead; `None` where nothing.
/// `made` is empty before the nodes have joined.
pub fn changed(made: &BTreeMap<String, Value>, config: &Config) -> Option<String> {
    let asked = of(config);
    let differ: Vec<(&String, &Value, &Value)> = made
        .iter()
        .filter_map(|(name, was)| Some((name, was, asked.get(name)?)))
        .filter(|(_, was, asked)| was != asked)
        .collect();
    if differ.is_empty() {
        return None;
    }
    let told: Vec<String> = differ
        .iter()
        .map(|(name, was, asked)| format!("{name} is {was} and cannot become {asked}"))
        .collect();
    let mut instead = vec!["put back what it was"];
    if differ.iter().any(|(name, ..)| *name == WORKERS) {
        instead.push("add or remove a worker by hand, as docs/SOVEREIGN-PROVISIONING.md says");
    }
    if differ.iter().any(|(name, ..)| *name != WORKERS) {
        instead.push("destroy it and make it anew");
    }
    Some(format!("{}; {}", told.join(", "), instead.join(", or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let given = serde_json::json!({
            "sovereignFqdn": "omantel.example",
            "region": "fsn",
            "adminCidrs": ["203.0.113.7/32"],
            "gitUrl": "https://git.example/sovereigns",
            "acmeEmail": "platform@omantel.example",
            "controlPlaneCount": 3,
            "workerCount": 2,
        });
        let mut config = serde_json::from_value(given).unwrap();
        change(&mut config);
        config
    }

    #[test]
    fn what_nodes_have_joined_by_stays_and_the_rest_may_change() {
        let made = of(&config(|_| ()));
        assert_eq!(made.len(), FIXED.len(), "{made:?}");
        let anew = "destroy it and make it anew";
        let by_hand = "by hand";
        for (asked, expected) in [
            (config(|_| ()), None),
            (
                config(|it| it.admin_cidrs.push("198.51.100.0/24".to_owned())),
                None,
            ),
            (config(|it| it.worker_server_type = "cx53".to_owned()), None),
            (config(|it| it.control_plane_count = 1), Some(anew)),
            (config(|it| it.region = "nbg".to_owned()), Some(anew)),
            (config(|it| it.image = "debian-13".to_owned()), Some(anew)),
            (
                config(|it| it.pod_cidr = "10.99.0.0/16".to_owned()),
                Some(anew),
            ),
            (config(|it| it.worker_count = 3), Some(by_hand)),
        ] {
            let found = changed(&made, &asked);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            if let (Some(found), Some(expected)) = (&found, expected) {
                assert!(found.contains(expected), "{found}");
            }
        }
        // Nothing has joined yet.
        let none = BTreeMap::new();
        assert_eq!(changed(&none, &config(|it| it.worker_count = 9)), None);
        let found = changed(&made, &config(|it| it.control_plane_count = 1)).unwrap();
        assert!(
            found.starts_with("controlPlaneCount is 3 and cannot become 1; "),
            "{found}"
        );
    }
}
