//! An object's status while it is reconciled: conditions as Flux words them,
//! written only where something changed.

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::json::{as_map, integer, list, merge_patch, now, set, some_text, text, unset};
use crate::key::Key;
use crate::state::Inner;

/// Condition types that Flux uses.
pub const READY: &str = "Ready";
pub const RECONCILING: &str = "Reconciling";
pub const STALLED: &str = "Stalled";

/// Longest message that the schemas allow, with room to spare.
const MAX_MESSAGE: usize = 20_000;

/// The object as read, and its status as it shall become.
pub struct Subject {
    pub key: Key,
    pub object: Value,
    pub status: Value,
    written: Value,
}

impl Subject {
    pub fn new(key: Key, object: Value) -> Self {
        let status = object.get("status").cloned().unwrap_or_else(|| json!({}));
        Self {
            key,
            written: status.clone(),
            object,
            status,
        }
    }

    pub fn generation(&self) -> i64 {
        integer(&self.object, "/metadata/generation")
    }

    pub fn uid(&self) -> &str {
        text(&self.object, "/metadata/uid")
    }

    pub fn is_deleting(&self) -> bool {
        self.object.pointer("/metadata/deletionTimestamp").is_some()
    }

    /// An annotation such as `reconcile.fluxcd.io/requestedAt`.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.object
            .pointer("/metadata/annotations")?
            .get(name)?
            .as_str()
    }

    /// Sets a condition; the time moves only when its status does.
    pub fn condition(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let generation = self.generation();
        let mut message = message.trim();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message = message.get(..end).unwrap_or_default();
        }
        let old = self.find(kind);
        let since = old
            .filter(|old| text(old, "/status") == status)
            .and_then(|old| some_text(old, "/lastTransitionTime"))
            .map_or_else(now, str::to_owned);
        let new = json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since, "observedGeneration": generation,
        });
        let mut all: Vec<Value> = list(&self.status, "/conditions").to_vec();
        match all.iter_mut().find(|one| text(one, "/type") == kind) {
            Some(one) => *one = new,
            None => all.push(new),
        }
        // Ready first, as Flux shows it.
        all.sort_by_key(|one| match text(one, "/type") {
            RECONCILING | STALLED => 0,
            READY => 1,
            _ => 2,
        });
        as_map(&mut self.status).insert("conditions".into(), Value::Array(all));
    }

    pub fn find(&self, kind: &str) -> Option<&Value> {
        list(&self.status, "/conditions")
            .iter()
            .find(|one| text(one, "/type") == kind)
    }

    pub fn is_true(&self, kind: &str) -> bool {
        self.find(kind)
            .is_some_and(|one| text(one, "/status") == "True")
    }

    /// Removes a condition.
    pub fn clear(&mut self, kind: &str) {
        if let Some(Value::Array(all)) = self.status.get_mut("conditions") {
            all.retain(|one| text(one, "/type") != kind);
        }
    }

    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        as_map(&mut self.status).insert(field.to_owned(), value.into());
    }

    pub fn unset(&mut self, field: &str) {
        unset(&mut self.status, &[field]);
    }

    /// All is well.
    pub fn ready(&mut self, reason: &str, message: &str) {
        self.condition(READY, "True", reason, message);
        self.clear(RECONCILING);
        self.clear(STALLED);
    }

    /// It failed and will be tried again.
    pub fn failing(&mut self, reason: &str, message: &str) {
        self.condition(READY, "False", reason, message);
        self.condition(RECONCILING, "True", "ProgressingWithRetry", message);
        self.clear(STALLED);
    }

    /// It failed, and trying again does not help.
    pub fn stalled(&mut self, reason: &str, message: &str) {
        self.condition(READY, "False", reason, message);
        self.condition(STALLED, "True", reason, message);
        self.clear(RECONCILING);
    }

    /// Work is going on.
    pub fn progressing(&mut self, message: &str) {
        self.condition(RECONCILING, "True", "Progressing", message);
        self.condition(READY, "Unknown", "Progressing", message);
        self.clear(STALLED);
    }

    /// Notes that the requests in the annotations were served.
    pub fn handled(&mut self) {
        if let Some(at) = self
            .annotation("reconcile.fluxcd.io/requestedAt")
            .map(str::to_owned)
        {
            self.set("lastHandledReconcileAt", at);
        }
    }

    /// Writes the status where it differs from what was written last.
    pub async fn write(&mut self, inner: &Inner) -> Result<(), ApiError> {
        let Some(patch) = merge_patch(&self.written, &self.status) else {
            return Ok(());
        };
        let api = inner.api(&self.key.cluster);
        let path = format!("{}/status", self.key.path());
        let manager = self.key.kind.controller();
        let answer = api.merge(&path, manager, &json!({ "status": patch })).await;
        match answer {
            Ok(_) => {}
            // Deleted meanwhile: there is nobody left to tell.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        self.written = self.status.clone();
        Ok(())
    }

    /// Puts Flux's finalizer on the object, or takes it off.
    pub async fn finalizer(&mut self, inner: &Inner, wanted: bool) -> Result<(), ApiError> {
        const FINALIZER: &str = "finalizers.fluxcd.io";
        let mut all: Vec<Value> = list(&self.object, "/metadata/finalizers").to_vec();
        let present = all.iter().any(|one| one == FINALIZER);
        if present == wanted {
            return Ok(());
        }
        if wanted {
            all.push(FINALIZER.into());
        } else {
            all.retain(|one| one != FINALIZER);
        }
        let patch = json!({"metadata": {
            "finalizers": all,
            "resourceVersion": text(&self.object, "/metadata/resourceVersion"),
        }});
        let api = inner.api(&self.key.cluster);
        let path = self.key.path();
        match api.merge(&path, self.key.kind.controller(), &patch).await {
            Ok(object) => {
                set(
                    &mut self.object,
                    &["metadata"],
                    object.get("metadata").cloned().unwrap_or_default(),
                );
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let key = Key {
            cluster: "c".into(),
            kind: Kind::Kustomization,
            namespace: "n".into(),
            name: "k".into(),
        };
        let old = json!({"type": "Ready", "status": "True", "reason": "R", "message": "m",
            "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": 1});
        let mut subject = Subject::new(
            key,
            json!({"metadata": {"generation": 2}, "status": {"conditions": [old]}}),
        );
        subject.ready("Other", "new message");
        let found = subject.find(READY).unwrap();
        assert_eq!(found["lastTransitionTime"], "2020-01-01T00:00:00Z");
        assert_eq!(found["message"], "new message");
        assert_eq!(found["observedGeneration"], 2);
        subject.failing("Broken", "why");
        assert_ne!(
            subject.find(READY).unwrap()["lastTransitionTime"],
            "2020-01-01T00:00:00Z"
        );
        assert!(subject.is_true(RECONCILING));
        subject.stalled("Broken", "why");
        assert!(!subject.is_true(RECONCILING));
        assert!(subject.is_true(STALLED));
    }
}
