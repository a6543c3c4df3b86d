//! What a Sovereign's cluster made by itself, beside what OpenTofu made for it: volumes of
//! its claims, and load balancers of its Services. Neither is in OpenTofu's state, and
//! neither goes with the servers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hetzner::{Hetzner, HetznerError};
use super::judge::{label, text, titled};

const VOLUMES: &str = "volumes";
const BALANCERS: &str = "load_balancers";

/// Something that the cluster made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beside {
    /// Hetzner's name of the kind, such as `volumes`.
    pub kind: String,
    /// Hetzner's id.
    pub id: u64,
    /// Its name.
    pub name: String,
}

impl Beside {
    /// Kind and name.
    pub fn title(&self) -> String {
        titled(&self.kind, &self.name)
    }
}

/// What the cluster of the Sovereign of this object name made: volumes that carry its label
/// (the template has Hetzner's driver put it there) or hang on one of its servers, and load
/// balancers without its label in its network or before one of its servers.
pub async fn beside(hetzner: &Hetzner, sovereign: &str) -> Result<BTreeSet<Beside>, HetznerError> {
    let servers = own_ids(&hetzner.list("servers").await?, sovereign);
    let networks = own_ids(&hetzner.list("networks").await?, sovereign);
    let volumes = hetzner.list(VOLUMES).await?;
    let balancers = hetzner.list(BALANCERS).await?;

    let volumes = volumes.iter().filter(|item| {
        label(item) == sovereign || number(item, "/server").is_some_and(|id| servers.contains(&id))
    });
    let balancers = balancers.iter().filter(|item| {
        let is_within =
            |net: &Value| number(net, "/network").is_some_and(|id| networks.contains(&id));
        let is_before =
            |target: &Value| number(target, "/server/id").is_some_and(|id| servers.contains(&id));
        label(item) != sovereign
            && (list(item, "private_net").iter().any(is_within)
                || list(item, "targets").iter().any(is_before))
    });
    let volumes = volumes.filter_map(|item| named(VOLUMES, item));
    let balancers = balancers.filter_map(|item| named(BALANCERS, item));
    Ok(volumes.chain(balancers).collect())
}

/// Those of them that the project has yet.
pub async fn still_there(
    hetzner: &Hetzner,
    made: &BTreeSet<Beside>,
) -> Result<BTreeSet<Beside>, HetznerError> {
    let mut left = BTreeSet::new();
    for each in made {
        if hetzner.has(&each.kind, each.id).await? {
            left.insert(each.clone());
        }
    }
    Ok(left)
}

/// Ids of those that carry the Sovereign's label.
fn own_ids(items: &[Value], sovereign: &str) -> BTreeSet<u64> {
    let own = items.iter().filter(|item| label(item) == sovereign);
    own.filter_map(|item| number(item, "/id")).collect()
}

fn named(kind: &str, item: &Value) -> Option<Beside> {
    Some(Beside {
        kind: kind.to_owned(),
        id: number(item, "/id")?,
        name: text(item, "name").to_owned(),
    })
}

fn number(item: &Value, pointer: &str) -> Option<u64> {
    item.pointer(pointer).and_then(Value::as_u64)
}

fn list<'a>(item: &'a Value, name: &str) -> &'a [Value] {
    item.get(name)
        .and_then(Value::as_array)
        .map_or(&[] as &[Value], Vec::as_slice)
}
