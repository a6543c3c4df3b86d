//! The end of Events: each is kept for an hour after it was last written, as by a
//! kube-apiserver (`--event-ttl`).
//!
//! What must stay true: an event that is written again lives on; while none is due,
//! nothing is looked at and nothing written.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use catalyst_store::{CommitError, Condition, Revision, Transaction};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::object::text;
use crate::state::{Inner, ObjectKey, decode_entry, range_prefix};

const STORAGE: &str = "events";
/// How long an event is kept after it was last written.
const KEPT: Duration = Duration::from_secs(3600);
/// After how long a removal that the disk refused is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// How many are removed side by side: they share a write to the disk.
const AT_ONCE: usize = 64;

/// Runs until it is dropped.
pub(crate) async fn run(inner: Arc<Inner>) {
    let prefix = range_prefix(STORAGE, "*", None);
    loop {
        // The history was outrun, or this is the start: what the events say of
        // their time counts, since nobody saw them written.
        let page = inner.config.store.range(&prefix, None, 0);
        let (now, time) = (Instant::now(), Timestamp::now());
        let mut book = Book::default();
        for entry in &page.entries {
            let left = left(&decode_entry(entry), time);
            book.keep(entry.key.clone(), entry.modified, now + left);
        }
        let revision = page.revision;
        drop(page);
        let Ok(mut watch) = inner
            .config
            .store
            .watch(prefix.clone().into_bytes(), revision)
        else {
            continue;
        };
        loop {
            let events = tokio::select! {
                events = watch.next() => events,
                () = until(book.first()) => {
                    remove(&inner, &mut book).await;
                    continue;
                }
            };
            let Ok(events) = events else { break };
            for event in events {
                match event.current {
                    Some(entry) => book.keep(entry.key, entry.modified, Instant::now() + KEPT),
                    None => book.forget(&event.key),
                }
            }
        }
    }
}

/// When events end, and at which revision each was written.
#[derive(Default)]
struct Book {
    ends: HashMap<Bytes, (Instant, Revision)>,
    order: BTreeSet<(Instant, Bytes)>,
}

impl Book {
    fn keep(&mut self, key: Bytes, written: Revision, end: Instant) {
        self.forget(&key);
        self.ends.insert(key.clone(), (end, written));
        self.order.insert((end, key));
    }

    fn forget(&mut self, key: &Bytes) {
        if let Some((end, _)) = self.ends.remove(key) {
            self.order.remove(&(end, key.clone()));
        }
    }

    fn first(&self) -> Option<Instant> {
        self.order.first().map(|(end, _)| *end)
    }

    /// Takes out what has ended by now, some of it if it is much.
    fn ended(&mut self, now: Instant) -> Vec<(Bytes, Revision)> {
        let keys: Vec<Bytes> = self
            .order
            .iter()
            .take_while(|(end, _)| *end <= now)
            .take(AT_ONCE)
            .map(|(_, key)| key.clone())
            .collect();
        keys.into_iter()
            .filter_map(|key| {
                let (_, written) = *self.ends.get(&key)?;
                self.forget(&key);
                Some((key, written))
            })
            .collect()
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

async fn remove(inner: &Inner, book: &mut Book) {
    let removals = book
        .ended(Instant::now())
        .into_iter()
        .map(|(key, written)| async move {
            let cluster = ObjectKey::parse(&key)?.cluster;
            // One that was written meanwhile stays, and comes back by the watch.
            let transaction = Transaction::new()
                .when(Condition::Unmodified(key.clone(), written))
                .delete(key.clone());
            match inner.commit(&cluster, transaction).await {
                Ok(_) | Err(CommitError::Conflict { .. }) => None,
                Err(error) => {
                    tracing::debug!(%error, "an event that has ended is removed later");
                    Some((key, written))
                }
            }
        });
    for (key, written) in futures::future::join_all(removals)
        .await
        .into_iter()
        .flatten()
    {
        book.keep(key, written, Instant::now() + RETRY);
    }
}

/// How long an event that nobody saw written is kept from now on.
fn left(event: &Value, now: Timestamp) -> Duration {
    let times = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/deprecatedLastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ];
    let written = times
        .into_iter()
        .filter_map(|pointer| text(event, pointer).parse::<Timestamp>().ok())
        .max();
    let Some(written) = written else {
        return KEPT;
    };
    // One from the future was written by a clock that was ahead.
    let age = Duration::try_from(now.duration_since(written)).unwrap_or_default();
    KEPT.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use catalyst_store::{Options, Store};
    use serde_json::json;

    use super::*;
    use crate::state::encode_object;
    use crate::{Authenticators, Config};

    #[test]
    fn an_event_is_kept_for_an_hour_after_it_was_last_written() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for (event, seconds) in [
            (json!({}), 3600),
            (json!({"lastTimestamp": "2026-01-01T11:59:00Z"}), 3540),
            (json!({"lastTimestamp": "2026-01-01T10:00:00Z"}), 0),
            (json!({"lastTimestamp": "2026-01-01T13:00:00Z"}), 3600),
            (
                json!({"eventTime": "2026-01-01T11:00:00.5Z", "lastTimestamp": null,
                    "series": {"lastObservedTime": "2026-01-01T11:30:00.000000Z"}}),
                1800,
            ),
        ] {
            assert_eq!(left(&event, now), Duration::from_secs(seconds), "{event}");
        }
    }

    #[test]
    fn what_is_written_again_lives_on() {
        let (mut book, now) = (Book::default(), Instant::now());
        let key = |name: &'static str| Bytes::from_static(name.as_bytes());
        book.keep(key("a"), 1, now);
        book.keep(key("b"), 2, now);
        book.keep(key("c"), 3, now);
        book.keep(key("b"), 4, now + KEPT);
        book.forget(&key("c"));
        assert_eq!(book.ended(now), [(key("a"), 1)]);
        assert_eq!(book.first(), Some(now + KEPT));
        assert_eq!(book.ended(now + KEPT), [(key("b"), 4)]);
        assert_eq!((book.ends.len(), book.order.len()), (0, 0));
    }

    #[tokio::test]
    async fn events_from_before_the_start_end_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let inner = Arc::new(Inner::new(Config {
            store,
            authenticators: Authenticators::default(),
            token_key: vec![7; 32],
            root_ca: "CA".into(),
            pods: None,
        }));
        assert!(crate::clusters::create(&inner, "a", &[]).await.unwrap());
        let key = |name: &str| ObjectKey::new(STORAGE, "a", "default", name);
        let put = async |name: &str, time: &str| {
            let event = json!({"metadata": {"name": name}, "lastTimestamp": time});
            let put = Transaction::new().put(key(name).to_bytes(), encode_object(&event));
            inner.commit("a", put).await.unwrap();
        };
        let now = crate::state::now();
        put("old", "2020-01-01T00:00:00Z").await;
        put("new", &now).await;
        let running = tokio::spawn(run(Arc::clone(&inner)));
        let gone = async {
            while inner.read_key(&key("old")).is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone)
            .await
            .unwrap();
        assert!(inner.read_key(&key("new")).is_some());
        running.abort();
    }
}
