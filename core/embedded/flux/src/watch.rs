//! Watches every kind across all clusters and fills the queue.
//!
//! What must stay true: after any interruption a fresh list makes up for what
//! was missed; nothing polls while a watch stands.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::WatchEvent;
use serde_json::Value;

use crate::api::{Api, ApiError};
use crate::json::{list, text};
use crate::key::{Key, Kind};
use crate::state::Inner;

/// Before asking again for a kind that no cluster serves yet.
const UNSERVED: Duration = Duration::from_millis(500);

/// Follows one kind for as long as the process lives.
pub async fn follow(inner: Arc<Inner>, kind: Kind) {
    let api = Api::new(inner.everywhere.clone());
    let path = format!("/apis/{}/{}", kind.api_version(), kind.plural());
    let mut failures = 0u32;
    loop {
        match follow_once(&inner, &api, kind, &path).await {
            Ok(()) => failures = 0,
            Err(error) if error.is_not_found() => tokio::time::sleep(UNSERVED).await,
            Err(error) => {
                tracing::debug!(%error, kind = kind.name(), "a watch ended");
                failures += 1;
                let delay = Duration::from_millis(50).saturating_mul(1 << failures.min(8));
                tokio::time::sleep(delay).await;
            }
        }
    }
}

async fn follow_once(inner: &Inner, api: &Api, kind: Kind, path: &str) -> Result<(), ApiError> {
    let all = api.list(path).await?;
    let mut listed = HashSet::new();
    for item in list(&all, "/items") {
        if let Some(key) = Key::of(kind, item) {
            wake(inner, inner.index.observe(&key, item));
            listed.insert(key);
        }
    }
    wake(inner, inner.index.retain(kind, &listed));
    let mut version = text(&all, "/metadata/resourceVersion").to_owned();
    loop {
        let mut events = Box::pin(api.watch(path, &version).await?);
        while let Some(event) = events.next().await {
            match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    keep(&mut version, &object);
                    if let Some(key) = Key::of(kind, &object) {
                        wake(inner, inner.index.observe(&key, &object));
                    }
                }
                WatchEvent::Deleted(object) => {
                    keep(&mut version, &object);
                    if let Some(key) = Key::of(kind, &object) {
                        wake(inner, inner.index.remove(&key));
                    }
                }
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                WatchEvent::Error(status) => {
                    return Err(ApiError {
                        action: format!("watch {path}"),
                        code: status.code,
                        reason: status.reason.clone(),
                        message: status.message.clone(),
                    });
                }
            }
        }
    }
}

fn keep(version: &mut String, object: &Value) {
    let new = text(object, "/metadata/resourceVersion");
    if !new.is_empty() {
        new.clone_into(version);
    }
}

fn wake(inner: &Inner, keys: Vec<Key>) {
    for key in keys {
        inner.queue.add(key);
    }
}
