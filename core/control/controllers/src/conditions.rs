//! Status and conditions: computed afresh from what was observed, written only
//! when they differ from what stands there.
//!
//! Pure, but for [`write`], which every controller calls at the end of a reconcile.

use catalyst_resources::{Condition, ConditionStatus};
use serde_json::{Map, Value, json};

use crate::error::ReconcileError;
use crate::kubernetes::Cluster;
use crate::object::{condition, generation, text};

/// One aspect as just observed; when it last changed is found out by [`merge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What it is about, such as `Ready`.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One CamelCase word.
    pub reason: String,
    /// The cause, for people.
    pub message: String,
}

impl Observation {
    /// It holds.
    pub fn holds(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(kind, ConditionStatus::True, reason, message)
    }

    /// It does not hold.
    pub fn fails(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(kind, ConditionStatus::False, reason, message)
    }

    /// It is not known yet.
    pub fn unknown(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(kind, ConditionStatus::Unknown, reason, message)
    }

    fn new(
        kind: &'static str,
        status: ConditionStatus,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// What an error says about an aspect: waiting is not knowing.
    pub fn of_error(kind: &'static str, error: &ReconcileError) -> Self {
        let message = error.chain();
        if error.retryable() {
            Self::unknown(kind, error.reason(), message)
        } else {
            Self::fails(kind, error.reason(), message)
        }
    }
}

/// Observations as conditions. An aspect whose status has not changed keeps its
/// `lastTransitionTime`; one that was not observed this time is gone.
pub fn merge(object: &Value, observed: &[Observation], now: &str) -> Vec<Condition> {
    let generation = generation(object);
    observed
        .iter()
        .map(|one| {
            let word = json!(one.status);
            let since = condition(object, one.kind)
                .filter(|before| before.get("status") == Some(&word))
                .map(|before| text(before, "/lastTransitionTime"))
                .filter(|since| !since.is_empty())
                .unwrap_or(now);
            Condition {
                kind: one.kind.to_owned(),
                status: one.status,
                reason: one.reason.clone(),
                message: one.message.clone(),
                last_transition_time: since.to_owned(),
                observed_generation: Some(generation),
            }
        })
        .collect()
}

/// The merge patch that makes an object's status what was observed; nothing when
/// it is that already. `fields` are the status' further fields.
pub fn status_patch(
    object: &Value,
    observed: &[Observation],
    fields: Map<String, Value>,
    now: &str,
) -> Option<Value> {
    let mut status = fields;
    status.insert("observedGeneration".to_owned(), json!(generation(object)));
    status.insert("conditions".to_owned(), json!(merge(object, observed, now)));
    let is_same = status.iter().all(|(key, value)| {
        let before = object.get("status").and_then(|status| status.get(key));
        match before {
            Some(before) => before == value,
            // An empty list and an absent one say the same; so does null.
            None => value.is_null() || value.as_array().is_some_and(Vec::is_empty),
        }
    });
    (!is_same).then(|| json!({"status": status}))
}

/// Writes the status, unless it says so already.
pub async fn write(
    cluster: &Cluster,
    object: &Value,
    observed: &[Observation],
    fields: Map<String, Value>,
) -> Result<(), ReconcileError> {
    if let Some(patch) = status_patch(object, observed, fields, &crate::clock::now()) {
        cluster.merge(object, "status", &patch).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(conditions: Value) -> Value {
        json!({
            "metadata": {"name": "acme-dev", "generation": 3},
            "status": {"observedGeneration": 3, "conditions": conditions},
        })
    }

    const READY: &str = "Ready";

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let object = environment(json!([{
            "type": "Ready", "status": "True", "reason": "Reconciled", "message": "ready",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3,
        }]));
        let observed = [Observation::holds(READY, "Reconciled", "ready")];
        let later = "2026-02-02T00:00:00Z";
        assert_eq!(status_patch(&object, &observed, Map::new(), later), None);
    }

    #[test]
    fn a_new_message_is_written_and_keeps_the_transition_time() {
        let object = environment(json!([{
            "type": "Ready", "status": "True", "reason": "Reconciled", "message": "ready",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3,
        }]));
        let observed = [Observation::holds(READY, "Reconciled", "ready again")];
        let patch = status_patch(&object, &observed, Map::new(), "2026-02-02T00:00:00Z");
        assert_eq!(
            patch.unwrap().pointer("/status/conditions/0"),
            Some(&json!({
                "type": "Ready", "status": "True", "reason": "Reconciled", "message": "ready again",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3,
            }))
        );
    }

    #[test]
    fn a_new_status_gets_a_new_transition_time() {
        let object = environment(json!([{
            "type": "Ready", "status": "True", "reason": "Reconciled", "message": "ready",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3,
        }]));
        let observed = [Observation::fails(READY, "Failed", "no")];
        let patch = status_patch(&object, &observed, Map::new(), "2026-02-02T00:00:00Z").unwrap();
        assert_eq!(
            text(&patch, "/status/conditions/0/lastTransitionTime"),
            "2026-02-02T00:00:00Z"
        );
    }
}
