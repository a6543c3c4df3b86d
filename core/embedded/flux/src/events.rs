//! Kubernetes Events about reconciled objects, as Flux's controllers write them.

use serde_json::{Value, json};

use crate::json::{now, text};
use crate::state::Inner;
use crate::status::{READY, Subject};

/// Longest note that the API takes.
const MAX_NOTE: usize = 1000;

/// Says in the status that the object fails and why; with an Event where that
/// is new.
pub async fn failing(inner: &Inner, subject: &mut Subject, reason: &str, message: &str) {
    let told = subject.find(READY).map(|one| text(one, "/message")) == Some(message.trim());
    subject.failing(reason, message);
    if !told {
        emit(inner, subject, true, reason, message).await;
    }
}

/// Writes one Event; an Event that cannot be written is not worth failing for.
pub async fn emit(inner: &Inner, subject: &Subject, warning: bool, reason: &str, message: &str) {
    let key = &subject.key;
    let mut note: String = message.chars().take(MAX_NOTE).collect();
    if note.len() < message.len() {
        note.push('…');
    }
    let time = jiff::Timestamp::now();
    let controller = key.kind.controller();
    let event: Value = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{}.{:x}", key.name, time.as_nanosecond()),
            "namespace": key.namespace,
        },
        "involvedObject": {
            "apiVersion": key.kind.api_version(), "kind": key.kind.name(),
            "namespace": key.namespace, "name": key.name,
            "uid": subject.uid(),
            "resourceVersion": text(&subject.object, "/metadata/resourceVersion"),
        },
        "type": if warning { "Warning" } else { "Normal" },
        "reason": reason,
        "message": note,
        "source": {"component": controller},
        "reportingComponent": controller,
        "reportingInstance": controller,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
    });
    let collection = format!("/api/v1/namespaces/{}/events", key.namespace);
    if let Err(error) = inner.api(&key.cluster).create(&collection, &event).await {
        tracing::debug!(%error, %key, "an event was not written");
    }
}
