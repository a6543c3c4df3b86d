//! What the state says was made. It has join tokens too, so it is read through a pipe,
//! and of what is not the cloud's nothing but the id is kept.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::process::{Ended, Stopped};
use super::{Tofu, TofuError};

/// A resource that the state has.
#[derive(Clone, PartialEq)]
pub struct Made {
    /// Address in the module, such as `hcloud_server.worker[0]`.
    pub address: String,
    /// OpenTofu's type of it, such as `hcloud_server`.
    pub kind: String,
    /// The provider's id of it.
    pub id: String,
    /// What the provider said of one of Hetzner's; of others nothing, for theirs are secrets.
    pub attributes: Map<String, Value>,
}

impl fmt::Debug for Made {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.address, self.id)
    }
}

/// How the types of Hetzner's provider begin.
const HETZNER: &str = "hcloud_";
/// How often it is tried, where an OpenTofu that still runs may be writing the state.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(200);

impl Tofu {
    /// Every resource in the state.
    pub async fn made(&self) -> Result<Vec<Made>, TofuError> {
        // OpenTofu makes the file before it has made anything, and then it is empty.
        let state = self.folder.join("terraform.tfstate");
        if std::fs::metadata(&state).map_or(0, |found| found.len()) == 0 {
            return Ok(Vec::new());
        }
        let mut tries = 1;
        loop {
            match self.made_once().await {
                Err(TofuError::Failed { .. } | TofuError::Read { .. }) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(BETWEEN).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn made_once(&self) -> Result<Vec<Made>, TofuError> {
        let action = "read the state";
        let within = self.limits.plan;
        let stopped = |why: Stopped| TofuError::Stopped {
            action,
            why,
            within,
        };
        let arguments = ["state", "pull"];
        let ended = self
            .prepared(&self.folder, &arguments, within)
            .read(&self.cancel)
            .await
            .map_err(|source| self.not_started(source))?
            .map_err(stopped)?;
        let ended = Ended {
            err: self.redactor.clean(&ended.err),
            ..ended
        };
        let Ended { out, .. } = self.judge(action, within, ended, &[])?;
        let out = Zeroizing::new(out);
        // No text of a parser's error: it may quote what it met.
        resources(&out).ok_or_else(|| TofuError::Read {
            action,
            reason: "it is no state of version 4".to_owned(),
        })
    }
}

#[derive(Deserialize)]
struct State {
    version: u64,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    index_key: Option<Value>,
    #[serde(default)]
    attributes: Map<String, Value>,
}

/// The managed resources of a state in OpenTofu's format 4.
fn resources(text: &str) -> Option<Vec<Made>> {
    let state: State = serde_json::from_str(text).ok()?;
    if state.version != 4 {
        return None;
    }
    let managed = state
        .resources
        .into_iter()
        .filter(|it| it.mode == "managed");
    let made = managed.flat_map(|resource| {
        let Resource {
            kind,
            name,
            instances,
            ..
        } = resource;
        instances.into_iter().map(move |instance| {
            let index = instance.index_key.map(|key| format!("[{key}]"));
            let id = instance.attributes.get("id");
            Made {
                address: format!("{kind}.{name}{}", index.unwrap_or_default()),
                id: match id {
                    Some(Value::String(id)) => id.clone(),
                    Some(Value::Number(id)) => id.to_string(),
                    _ => String::new(),
                },
                attributes: match kind.starts_with(HETZNER) {
                    true => instance.attributes,
                    false => Map::new(),
                },
                kind: kind.clone(),
            }
        })
    });
    Some(made.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_made_is_known_by_address_and_id_and_no_secret_is_kept() {
        let state = json!({
            "version": 4, "serial": 7,
            "resources": [
                {"mode": "managed", "type": "hcloud_network", "name": "sovereign", "instances": [
                    {"attributes": {"id": "4711", "name": "omantel-example"}}]},
                {"mode": "managed", "type": "hcloud_server", "name": "worker", "instances": [
                    {"index_key": 0, "attributes": {"id": 12}}]},
                {"mode": "managed", "type": "hcloud_load_balancer_service", "name": "public", "instances": [
                    {"index_key": "80", "attributes": {"id": "9__80"}}]},
                {"mode": "managed", "type": "random_password", "name": "server_token", "instances": [
                    {"attributes": {"id": "none", "result": "canary"}}]},
                {"mode": "data", "type": "hcloud_image", "name": "debian", "instances": [
                    {"attributes": {"id": 1}}]},
            ],
        });
        let made = resources(&state.to_string()).unwrap();
        let lines: Vec<String> = made.iter().map(|made| format!("{made:?}")).collect();
        assert_eq!(
            lines,
            [
                "hcloud_network.sovereign (4711)",
                "hcloud_server.worker[0] (12)",
                "hcloud_load_balancer_service.public[\"80\"] (9__80)",
                "random_password.server_token (none)",
            ]
        );
        assert_eq!(made[0].attributes["name"], "omantel-example");
        assert!(made[3].attributes.is_empty());
    }

    #[test]
    fn what_is_no_state_is_not_taken_for_an_empty_one() {
        for text in [
            "",
            "{}",
            r#"{"version":3,"resources":[]}"#,
            r#"{"version":4}"#,
            r#"{"version":4,"encrypted_data":"AAAA"}"#,
        ] {
            assert_eq!(resources(text), None, "{text}");
        }
        assert_eq!(resources(r#"{"version":4,"resources":[]}"#), Some(vec![]));
    }
}
