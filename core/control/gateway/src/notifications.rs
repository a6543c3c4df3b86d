//! What registries tell, in either of two shapes: CNCF Distribution's notifications
//! (`{"events": [{"action": "push", "target": {"repository": …}}]}`) and Harbor's
//! webhooks (`{"type": "PUSH_ARTIFACT", "event_data": {"repository": …}}`).
//!
//! Pure. What must stay true: to pull is no change, for whoever looks at a repository
//! pulls from it.

use std::collections::BTreeSet;

use catalyst_names::BlueprintName;
use serde::Deserialize;

/// The body of a notification.
#[derive(Debug, Deserialize)]
pub struct Notifications {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(rename = "type", default)]
    kind: String,
    event_data: Option<EventData>,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    action: String,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    #[serde(default)]
    repository: String,
}

#[derive(Debug, Deserialize)]
struct EventData {
    repository: Option<HarborRepository>,
}

#[derive(Debug, Deserialize)]
struct HarborRepository {
    #[serde(default)]
    repo_full_name: String,
}

impl Notifications {
    /// The repositories of Blueprints in which something came or went.
    pub fn repositories(self) -> BTreeSet<String> {
        let of_harbor = self
            .event_data
            .filter(|_| matches!(self.kind.as_str(), "PUSH_ARTIFACT" | "DELETE_ARTIFACT"))
            .and_then(|data| data.repository)
            .map(|repository| repository.repo_full_name);
        self.events
            .into_iter()
            .filter(|event| matches!(event.action.as_str(), "push" | "delete"))
            .filter_map(|event| event.target)
            .map(|target| target.repository)
            .chain(of_harbor)
            .filter(|repository| BlueprintName::of_repository(repository).is_some())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(body: &Value, expected: &[&str]) {
        let told: Notifications = serde_json::from_value(body.clone()).unwrap();
        let found: Vec<String> = told.repositories().into_iter().collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn changes_of_repositories_of_blueprints_are_found_in_what_is_told() {
        let event = |action: &str, repository: &str| {
            json!({
                "id": "320678d8", "timestamp": "2026-01-01T00:00:00Z", "action": action,
                "target": {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 708,
                    "digest": "sha256:aa", "repository": repository, "tag": "1.0.0",
                },
                "request": {"method": "PUT"}, "actor": {}, "source": {},
            })
        };
        let harbor = |kind: &str| {
            json!({
                "type": kind, "occur_at": 1, "operator": "admin",
                "event_data": {
                    "resources": [{"digest": "sha256:aa", "tag": "1.0.0"}],
                    "repository": {
                        "name": "bp-wiki", "namespace": "acme", "repo_full_name": "acme/bp-wiki",
                    },
                },
            })
        };
        let many = [
            event("push", "acme/bp-wiki"),
            event("push", "acme/bp-wiki"),
            event("delete", "acme/bp-chat"),
            event("pull", "acme/bp-blog"),
            event("push", "acme/web"),
            event("push", "bp-wiki"),
            event("push", "acme/bp-wiki/more"),
            json!({"action": "push"}),
            json!({}),
        ];
        check(&json!({"events": many}), &["acme/bp-chat", "acme/bp-wiki"]);
        check(&json!({"events": []}), &[]);
        check(&json!({}), &[]);
        check(&harbor("PUSH_ARTIFACT"), &["acme/bp-wiki"]);
        check(&harbor("DELETE_ARTIFACT"), &["acme/bp-wiki"]);
        check(&harbor("PULL_ARTIFACT"), &[]);
    }
}
