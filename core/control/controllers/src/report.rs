//! Tells the world how a deletion goes: a message on the spine, which the
//! projector shows, and a Kubernetes Event where something was left behind.

use std::time::Duration;

use bytes::Bytes;
use catalyst_api::DeletionView;
use catalyst_ports::{SYSTEM_STREAM, deletion_subject};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::conditions::{self, Observation};
use crate::context::Context;
use crate::error::ReconcileError;
use crate::kubernetes::{Cluster, describe_object};
use crate::object::{condition, name, namespace, text};
use crate::runtime::Next;
use crate::saga::Saga;

const READY: &str = "Ready";

/// A part that a deletion waits for: whoever has the name next would find there what
/// it still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Repositories and their organization.
    Forge,
    /// Images and Blueprints.
    Registry,
    /// Secrets and who reads them.
    Vault,
}

impl Part {
    const ALL: [Self; 3] = [Self::Forge, Self::Registry, Self::Vault];

    /// The reason of what cannot be deleted before it answers.
    fn away(self) -> &'static str {
        match self {
            Self::Forge => "ForgeAway",
            Self::Registry => "RegistryAway",
            Self::Vault => "VaultAway",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Forge => "the forge",
            Self::Registry => "the registry",
            Self::Vault => "the vault",
        }
    }
}

/// What a deletion waits for, for people.
fn awaited(parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    let names = names.join(" and ");
    match parts {
        [_] => format!("{names}, which gives no answer; it is asked again, see that it runs"),
        _ => format!("{names}, which give no answer; they are asked again, see that they run"),
    }
}

/// How long a deletion waits for the spine to take word of how far it is…
pub const PROGRESS_WITHIN: Duration = Duration::from_secs(1);
/// …and that it has ended, which nobody tells a second time.
pub const END_WITHIN: Duration = Duration::from_secs(3);

/// How long a deletion waits for the Event of what it left behind.
pub const EVENT_WITHIN: Duration = Duration::from_secs(1);

/// Publishes how far a deletion is. A spine that does not answer stops no deletion.
pub async fn deletion(ctx: &Context, view: &DeletionView) {
    let Ok(payload) = serde_json::to_vec(view) else {
        return;
    };
    let subject = deletion_subject(&view.kind, &view.name);
    // The same state said twice is one message.
    let id = format!(
        "{subject}/{}/{}/{}/{}",
        view.started_at,
        view.ended_at.as_deref().unwrap_or_default(),
        view.waiting_for.as_deref().unwrap_or_default(),
        view.left_behind.len()
    );
    let published = ctx
        .spine
        .publish(SYSTEM_STREAM, &subject, &id, Bytes::from(payload));
    let within = match view.ended_at {
        Some(_) => END_WITHIN,
        None => PROGRESS_WITHIN,
    };
    match tokio::time::timeout(within, published).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(subject, error = %error, "progress of a deletion not published");
        }
        Err(_) => tracing::warn!(subject, "progress of a deletion not published in time"),
    }
}

/// Says what is waited for, unless the object says that these are parts that give no
/// answer.
pub async fn progress(ctx: &Context, object: &Value, saga: &Saga, waiting_for: &str) {
    if !is_part_away(object) {
        deletion(ctx, &saga.view(Some(waiting_for.to_owned()), false)).await;
    }
}

/// The parts that gave no answer, of those whose share of a deletion is over.
pub fn unanswered(shares: &[(Part, &Saga)]) -> Vec<Part> {
    let away = shares.iter().filter(|(_, saga)| saga.is_unanswered());
    away.map(|(part, _)| *part).collect()
}

/// Tells that a deletion cannot end before some parts answer, and has the queue try
/// it again, ever more rarely. What is in them is not left behind: whoever has the
/// name next would find it there.
pub async fn parts_away(
    ctx: &Context,
    cluster: &Cluster,
    object: &Value,
    saga: &Saga,
    parts: &[Part],
) -> Result<Next, ReconcileError> {
    let awaited = awaited(parts);
    let why = format!("its deletion waits for {awaited}");
    deletion(ctx, &saga.view(Some(awaited), false)).await;
    let reason = parts.first().map_or("Waiting", |part| part.away());
    let observed = [Observation::fails(READY, reason, why)];
    conditions::write(cluster, object, &observed, Map::new()).await?;
    let what = describe_object(object);
    Err(ReconcileError::missing(
        "delete",
        what,
        saga.left_behind().join("; "),
    ))
}

/// Whether an object says that its deletion waits for parts that give no answer.
fn is_part_away(object: &Value) -> bool {
    condition(object, READY).is_some_and(|ready| {
        let reason = text(ready, "/reason");
        Part::ALL.iter().any(|part| part.away() == reason)
    })
}

/// Tells the end of a deletion, and what it left behind.
pub async fn end(ctx: &Context, cluster: &Cluster, object: &Value, saga: &Saga) {
    let left = saga.left_behind();
    if !left.is_empty() {
        warning(cluster, object, "LeftBehind", &left.join("; ")).await;
    }
    deletion(ctx, &saga.view(None, true)).await;
}

/// Records a warning beside an object, for whoever asks `kubectl get events`.
pub async fn warning(cluster: &Cluster, about: &Value, reason: &str, message: &str) {
    let space = match namespace(about) {
        "" => "default",
        space => space,
    };
    let now = clock::now();
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "type": "Warning",
        "metadata": {"name": event_name(about, &now), "namespace": space},
        "involvedObject": {
            "apiVersion": text(about, "/apiVersion"), "kind": text(about, "/kind"),
            "name": name(about), "namespace": namespace(about), "uid": text(about, "/metadata/uid"),
        },
        "reason": reason, "message": message, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": "catalyst"}, "reportingComponent": "catalyst", "reportingInstance": "catalyst",
    });
    match tokio::time::timeout(EVENT_WITHIN, cluster.create(&event)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(error = %error.chain(), "event not recorded"),
        Err(_) => tracing::debug!("event not recorded in time"),
    }
}

fn event_name(about: &Value, now: &str) -> String {
    let stamp: String = now.chars().filter(char::is_ascii_digit).collect();
    format!("{}.{stamp}", name(about))
}
