//! Which ExternalSecret is looked at when: at once after a change, after its
//! refresh interval otherwise, with back-off while it fails.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::desired::{DATA_HASH, MANAGED, data_hash};
use crate::reconcile::{SyncError, reconcile, resource};

const CLUSTER: &str = "openova.io/cluster";
/// The first wait after a failure; it doubles up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(30);
const AT_ONCE: usize = 8;

/// Logical cluster, namespace, name.
type Key = (String, String, String);

struct Entry {
    object: Value,
    /// What of the object was last acted on: generation and force-sync.
    handled: Option<String>,
    failures: u32,
}

#[derive(Default)]
struct Queue {
    entries: BTreeMap<Key, Entry>,
    due: HashMap<Key, Instant>,
    running: HashSet<Key>,
}

impl Queue {
    fn wake(&mut self, key: &Key) {
        self.due.insert(key.clone(), Instant::now());
    }

    fn seen(&mut self, key: Key, object: Value) {
        let mark = mark(&object);
        let entry = self.entries.entry(key.clone()).or_insert(Entry {
            object: Value::Null,
            handled: None,
            failures: 0,
        });
        entry.object = object;
        if entry.handled.as_deref() != Some(mark.as_str()) {
            entry.handled = Some(mark);
            entry.failures = 0;
            self.wake(&key);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let waiting = self
            .due
            .iter()
            .filter(|(key, _)| !self.running.contains(*key));
        waiting.map(|(_, at)| *at).min()
    }

    fn take_due(&mut self, now: Instant) -> Option<(Key, Value)> {
        let key = self
            .due
            .iter()
            .find(|(key, at)| **at <= now && !self.running.contains(*key))
            .map(|(key, _)| key.clone())?;
        self.due.remove(&key);
        let object = self.entries.get(&key)?.object.clone();
        self.running.insert(key.clone());
        Some((key, object))
    }

    fn done(&mut self, key: &Key, result: Result<Option<Duration>, SyncError>) {
        self.running.remove(key);
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let wait = match result {
            Ok(refresh) => {
                entry.failures = 0;
                refresh
            }
            Err(error) => {
                let wait = FIRST_RETRY
                    .saturating_mul(1 << entry.failures.min(10))
                    .min(LAST_RETRY);
                entry.failures = entry.failures.saturating_add(1);
                tracing::debug!(key = ?key, error = %error, "ExternalSecret not synced");
                error.retryable().then_some(wait)
            }
        };
        if let Some(wait) = wait {
            self.due
                .entry(key.clone())
                .or_insert_with(|| Instant::now() + wait);
        }
    }
}

/// Keeps Secrets filled until told to stop.
pub async fn run(config: Config, stop: CancellationToken) {
    let mut externals = pin!(follow(&config, "ExternalSecret", None));
    let mut stores = pin!(futures::stream::select(
        follow(&config, "ClusterSecretStore", None),
        follow(&config, "SecretStore", None),
    ));
    let mut secrets = pin!(follow(&config, "Secret", Some(MANAGED)));
    let mut queue = Queue::default();
    let mut work: JoinSet<(Key, Result<Option<Duration>, SyncError>)> = JoinSet::new();
    loop {
        while work.len() < AT_ONCE
            && let Some((key, object)) = queue.take_due(Instant::now())
        {
            let (client, http) = ((config.connect)(&key.0), config.http.clone());
            work.spawn(async move {
                let result = reconcile(&client, &http, &object).await;
                (key, result)
            });
        }
        let next = queue.next_due().filter(|_| work.len() < AT_ONCE);
        tokio::select! {
            () = stop.cancelled() => return,
            Some(event) = externals.next() => match event {
                Event::Apply(object) | Event::InitApply(object) => {
                    if let Some(key) = key_of(&object) {
                        queue.seen(key, whole(object));
                    }
                }
                Event::Delete(object) => {
                    if let Some(key) = key_of(&object) {
                        queue.entries.remove(&key);
                        queue.due.remove(&key);
                    }
                }
                Event::Init | Event::InitDone => {}
            },
            Some(event) = stores.next() => {
                if let Event::Apply(object) = event
                    && let Some((cluster, _, _)) = key_of(&object)
                {
                    let keys: Vec<Key> = queue
                        .entries
                        .keys()
                        .filter(|key| key.0 == cluster)
                        .cloned()
                        .collect();
                    keys.iter().for_each(|key| queue.wake(key));
                }
            }
            Some(event) = secrets.next() => {
                if let Some(key) = touched(event) {
                    queue.wake(&key);
                }
            }
            Some(done) = work.join_next() => match done {
                Ok((key, result)) => queue.done(&key, result),
                Err(error) => tracing::error!(error = %error, "a reconciliation broke off"),
            },
            () = wait_until(next) => {}
        }
    }
}

async fn wait_until(next: Option<Instant>) {
    match next {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn follow(
    config: &Config,
    kind: &str,
    label: Option<&str>,
) -> impl Stream<Item = Event<DynamicObject>> + use<> {
    let resource = match kind {
        "Secret" => resource("", "v1", kind),
        _ => resource("external-secrets.io", "v1", kind),
    };
    let api: Api<DynamicObject> = Api::all_with(config.everywhere.clone(), &resource);
    let mut options = watcher::Config::default();
    if let Some(label) = label {
        options = options.labels(label);
    }
    let kind = kind.to_owned();
    watcher(api, options)
        .default_backoff()
        .filter_map(move |event| {
            let event = event
                .inspect_err(
                    |error| tracing::debug!(kind, error = %error, "watch ended; starting again"),
                )
                .ok();
            futures::future::ready(event)
        })
}

/// The owner of a Secret that is gone or no longer holds what was put there.
fn touched(event: Event<DynamicObject>) -> Option<Key> {
    let (secret, is_deleted) = match event {
        Event::Apply(secret) => (secret, false),
        Event::Delete(secret) => (secret, true),
        _ => return None,
    };
    let (cluster, namespace, _) = key_of(&secret)?;
    let owners = secret
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.kind == "ExternalSecret")?;
    let hash = secret.metadata.annotations.as_ref()?.get(DATA_HASH)?;
    let holds = secret.data.get("data").and_then(Value::as_object);
    let is_same = holds.is_some_and(|data| data_hash(data) == *hash);
    (is_deleted || !is_same).then(|| (cluster, namespace, owner.name.clone()))
}

fn key_of(object: &DynamicObject) -> Option<Key> {
    let cluster = object.metadata.annotations.as_ref()?.get(CLUSTER)?.clone();
    Some((
        cluster,
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone()?,
    ))
}

fn whole(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn mark(object: &Value) -> String {
    let at = |pointer: &str| object.pointer(pointer).map(Value::to_string);
    [
        at("/metadata/uid"),
        at("/metadata/generation"),
        at("/metadata/annotations/force-sync"),
    ]
    .into_iter()
    .map(Option::unwrap_or_default)
    .collect::<Vec<_>>()
    .join(" ")
}
