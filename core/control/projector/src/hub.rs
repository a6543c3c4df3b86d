//! Who follows the read model: a ring of recent changes, read by position.
//!
//! What must stay true: a subscriber sees every change in order, or is told to
//! read everything anew; memory is bounded however slow a subscriber is; a
//! position of an earlier run of the process is never taken for one of this.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use catalyst_api::StreamItem;
use futures::stream::{self, Stream};
use tokio::sync::watch;

/// Changes that are held for those who come back.
const HELD: usize = 4_096;
/// A run of the process has its own range of positions.
const RUN: u32 = 32;

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Something changed.
    Change(Arc<Changed>),
    /// Read everything anew; changes go on after this position.
    Reset {
        /// The position.
        id: u64,
    },
}

/// A change with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The position; grows by at least one from change to change.
    pub id: u64,
    /// What is so now.
    pub item: StreamItem,
    /// The Organization that it belongs to: only its members may see it. `None`
    /// is the Sovereign's own.
    pub organization: Option<String>,
}

/// The ring; clones share it.
#[derive(Clone)]
pub struct Hub {
    ring: Arc<Mutex<Ring>>,
    newest: Arc<watch::Sender<u64>>,
}

struct Ring {
    newest: u64,
    /// Positions up to this one are not held any more.
    before: u64,
    changes: VecDeque<Arc<Changed>>,
}

impl Hub {
    /// A ring of the process' `run`th run.
    pub fn new(run: u64) -> Self {
        let start = run << RUN;
        Self {
            ring: Arc::new(Mutex::new(Ring {
                newest: start,
                before: start,
                changes: VecDeque::new(),
            })),
            newest: Arc::new(watch::Sender::new(start)),
        }
    }

    /// Tells everybody of a change.
    pub fn publish(&self, item: StreamItem, organization: Option<String>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.newest += 1;
        let id = ring.newest;
        ring.changes.push_back(Arc::new(Changed {
            id,
            item,
            organization,
        }));
        if ring.changes.len() > HELD
            && let Some(oldest) = ring.changes.pop_front()
        {
            ring.before = oldest.id;
        }
        drop(ring);
        self.newest.send_replace(id);
    }

    /// Tells everybody to read everything anew.
    pub fn reset(&self) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.newest += 1;
        ring.before = ring.newest;
        ring.changes.clear();
        let id = ring.newest;
        drop(ring);
        self.newest.send_replace(id);
    }

    /// Updates after a position; without one, or with one that is not held any
    /// more, a reset comes first. It does not end.
    pub fn subscribe(&self, after: Option<u64>) -> impl Stream<Item = Update> + Send + 'static {
        let start = (self.clone(), self.newest.subscribe(), after);
        stream::unfold(start, |(hub, mut newest, after)| async move {
            loop {
                newest.borrow_and_update();
                if let Some(update) = hub.next(after) {
                    let after = match &update {
                        Update::Change(change) => change.id,
                        Update::Reset { id } => *id,
                    };
                    return Some((update, (hub, newest, Some(after))));
                }
                // The hub that is held here is a sender, so this cannot fail.
                newest.changed().await.ok()?;
            }
        })
    }

    fn next(&self, after: Option<u64>) -> Option<Update> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let held = |after: &u64| (ring.before..=ring.newest).contains(after);
        let Some(after) = after.filter(held) else {
            return Some(Update::Reset { id: ring.newest });
        };
        let position = ring.changes.partition_point(|change| change.id <= after);
        let change = ring.changes.get(position)?;
        Some(Update::Change(Arc::clone(change)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_api::Removed;
    use futures::StreamExt;

    fn item(name: &str) -> StreamItem {
        StreamItem::Removed(Removed {
            kind: "application".to_owned(),
            name: name.to_owned(),
            organization: None,
        })
    }

    async fn ids(hub: &Hub, after: Option<u64>, count: usize) -> Vec<(bool, u64)> {
        let updates = hub.subscribe(after).take(count).collect::<Vec<_>>();
        let updates = tokio::time::timeout(std::time::Duration::from_secs(5), updates)
            .await
            .expect("updates in time");
        updates
            .into_iter()
            .map(|update| match update {
                Update::Change(change) => (false, change.id),
                Update::Reset { id } => (true, id),
            })
            .collect()
    }

    #[tokio::test]
    async fn who_comes_back_misses_nothing_or_is_told_to_read_anew() {
        let hub = Hub::new(2);
        let start = 2 << 32;
        for name in ["a", "b", "c"] {
            hub.publish(item(name), None);
        }
        let change = |number: u64| (false, start + number);
        let reset = |number: u64| (true, start + number);
        assert_eq!(
            ids(&hub, Some(start), 3).await,
            [change(1), change(2), change(3)]
        );
        assert_eq!(ids(&hub, Some(start + 2), 1).await, [change(3)]);
        assert_eq!(ids(&hub, None, 1).await, [reset(3)]);
        // Positions of another run, and of the future.
        assert_eq!(ids(&hub, Some(7), 1).await, [reset(3)]);
        assert_eq!(ids(&hub, Some(start + 99), 1).await, [reset(3)]);
        hub.reset();
        assert_eq!(ids(&hub, Some(start + 3), 1).await, [reset(4)]);
        for number in 0..5_000 {
            hub.publish(item(&number.to_string()), None);
        }
        assert_eq!(
            ids(&hub, Some(start + 4), 1).await,
            [reset(5_004)],
            "too old"
        );
        assert_eq!(ids(&hub, Some(start + 5_003), 1).await, [change(5_004)]);
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_to_read_anew() {
        let hub = Hub::new(0);
        let mut slow = Box::pin(hub.subscribe(Some(0)));
        for number in 0..10_000 {
            hub.publish(item(&number.to_string()), None);
        }
        assert_eq!(slow.next().await, Some(Update::Reset { id: 10_000 }));
        let waiting = tokio::spawn(async move { slow.next().await });
        hub.publish(item("next"), Some("acme".to_owned()));
        let next = waiting.await.unwrap();
        assert!(matches!(next, Some(Update::Change(change)) if change.id == 10_001));
    }
}
