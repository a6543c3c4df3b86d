//! Waiting for objects to be ready, or gone, by watching them.
//!
//! What must stay true: it ends at its deadline, when an object cannot get
//! there any more, or when the work was overtaken by a newer spec or a
//! deletion, and it names the object and the cause.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use kube::api::WatchEvent;
use serde_json::Value;
use tokio::time::Instant;

use crate::api::{Api, ApiError, Mapping};
use crate::json::{integer, list, text};
use crate::readiness::{Readiness, pod_cause, readiness};

/// How often to look whether the work was overtaken.
const LOOK: Duration = Duration::from_millis(200);

/// Which object to wait for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Target {
    pub fn of(object: &Value) -> Self {
        Self {
            api_version: text(object, "/apiVersion").to_owned(),
            kind: text(object, "/kind").to_owned(),
            namespace: text(object, "/metadata/namespace").to_owned(),
            name: text(object, "/metadata/name").to_owned(),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(formatter, "{}/{}", self.kind, self.name)
        } else {
            write!(formatter, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Why waiting ended before its aim.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    #[error("overtaken by a newer specification or a deletion")]
    Overtaken,
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    Ready,
    Gone,
}

type States = BTreeMap<Target, Option<Readiness>>;

/// Waits until every target is where `aim` says.
pub async fn until(
    api: &Api,
    aim: Aim,
    targets: &[Target],
    timeout: Duration,
    overtaken: impl Fn() -> bool,
) -> Result<(), WaitError> {
    let deadline = Instant::now() + timeout;
    loop {
        let mut states: States = targets.iter().map(|one| (one.clone(), None)).collect();
        let mut places: BTreeMap<String, Mapping> = BTreeMap::new();
        for target in targets {
            match api.mapping(&target.api_version, &target.kind).await {
                Ok(mapping) => {
                    places.insert(mapping.path(&target.namespace, ""), mapping);
                }
                // A kind that is gone has no objects.
                Err(error) if error.is_not_found() && aim == Aim::Gone => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut versions = Vec::new();
        for path in places.keys() {
            let all = match api.list(path).await {
                Err(error) if error.is_not_found() && aim == Aim::Gone => continue,
                all => all?,
            };
            for item in list(&all, "/items") {
                let mut item = item.clone();
                // Items of a list may leave out what the list says.
                let kind = text(&all, "/kind").trim_end_matches("List").to_owned();
                if item.get("kind").is_none() {
                    crate::json::set(&mut item, &["kind"], kind.into());
                    let version = text(&all, "/apiVersion").to_owned();
                    crate::json::set(&mut item, &["apiVersion"], version.into());
                }
                note(&mut states, &item, false);
            }
            versions.push((path, text(&all, "/metadata/resourceVersion").to_owned()));
        }
        if is_over(&states, aim)? {
            return Ok(());
        }
        let mut events: SelectAll<BoxStream<'static, Result<WatchEvent<Value>, ApiError>>> =
            SelectAll::new();
        for (path, version) in versions {
            events.push(api.watch(path, &version).await?.boxed());
        }
        loop {
            if overtaken() {
                return Err(WaitError::Overtaken);
            }
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep_until(deadline) => {
                    return Err(WaitError::Failed(timed_out(api, &states, aim, timeout).await));
                }
                () = tokio::time::sleep(LOOK) => continue,
            };
            match event {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    note(&mut states, &object, false);
                }
                Some(Ok(WatchEvent::Deleted(object))) => note(&mut states, &object, true),
                Some(Ok(WatchEvent::Bookmark(_))) => {}
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => break,
            }
            if is_over(&states, aim)? {
                return Ok(());
            }
        }
        // A watch ended: look at everything afresh, but not in a hot loop.
        if Instant::now() >= deadline {
            return Err(WaitError::Failed(
                timed_out(api, &states, aim, timeout).await,
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn note(states: &mut States, object: &Value, gone: bool) {
    if let Some(state) = states.get_mut(&Target::of(object)) {
        *state = (!gone).then(|| readiness(object));
    }
}

fn is_over(states: &States, aim: Aim) -> Result<bool, WaitError> {
    if aim == Aim::Gone {
        return Ok(states.values().all(Option::is_none));
    }
    if let Some((target, Some(state))) = states
        .iter()
        .find(|(_, state)| matches!(state, Some(Readiness::Failed(_))))
    {
        return Err(WaitError::Failed(format!(
            "{target} status: 'Failed': {}",
            state.message()
        )));
    }
    Ok(states
        .values()
        .all(|state| matches!(state, Some(Readiness::Current))))
}

async fn timed_out(api: &Api, states: &States, aim: Aim, timeout: Duration) -> String {
    let mut lacking = Vec::new();
    for (target, state) in states {
        let text = match (aim, state) {
            (Aim::Gone, Some(_)) => format!("{target} still exists"),
            (Aim::Gone, None) | (Aim::Ready, Some(Readiness::Current)) => continue,
            (Aim::Ready, None) => format!("{target} status: 'NotFound'"),
            (Aim::Ready, Some(state)) => {
                let mut text = format!("{target} status: '{}'", state.word());
                if !state.message().is_empty() {
                    text.push_str(": ");
                    text.push_str(state.message());
                }
                if let Some(cause) = cause(api, target).await {
                    text.push_str("; ");
                    text.push_str(&cause);
                }
                text
            }
        };
        lacking.push(text);
    }
    format!(
        "timed out after {}s waiting for: [{}]",
        timeout.as_secs_f32(),
        lacking.join(", ")
    )
}

/// What the pods of a workload say.
async fn cause(api: &Api, target: &Target) -> Option<String> {
    let mapping = api.mapping(&target.api_version, &target.kind).await.ok()?;
    let object = api
        .get(&mapping.path(&target.namespace, &target.name))
        .await
        .ok()??;
    let labels = object
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object)?;
    let selector: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}%3D{}", value.as_str()?)))
        .collect();
    let path = format!(
        "/api/v1/namespaces/{}/pods?labelSelector={}",
        target.namespace,
        selector.join("%2C")
    );
    let pods = api.list(&path).await.ok()?;
    list(&pods, "/items")
        .iter()
        .filter(|pod| {
            !list(pod, "/status/conditions")
                .iter()
                .any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "True")
        })
        .max_by_key(|pod| {
            list(pod, "/status/containerStatuses")
                .iter()
                .map(|one| integer(one, "/restartCount"))
                .sum::<i64>()
        })
        .map(|pod| format!("pod {}: {}", text(pod, "/metadata/name"), pod_cause(pod)))
}
