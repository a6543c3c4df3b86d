//! The current state and the recent history, in memory.
//!
//! Written only by the commit thread, after a batch is on disk; read by
//! everybody. `history` holds every event with a revision above `oldest`,
//! without gaps, so any state from `oldest` on can be rebuilt by undoing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{Compacted, Entry, Event, Page, Revision};

/// The state behind its lock, and the signal that it moved.
pub(crate) struct Shared {
    state: RwLock<State>,
    moved: watch::Sender<Revision>,
}

impl Shared {
    pub(crate) fn new(
        entries: BTreeMap<Bytes, Entry>,
        revision: Revision,
        capacity: usize,
    ) -> Self {
        Self {
            state: RwLock::new(State {
                entries,
                revision,
                history: VecDeque::new(),
                oldest: revision,
                capacity,
            }),
            moved: watch::Sender::new(revision),
        }
    }

    /// Shared access. A poisoned lock is entered: the state is changed only by
    /// [`State::publish`], whose steps leave every entry whole.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a durable batch visible and wakes the watchers.
    pub(crate) fn publish(&self, events: Vec<Event>, revision: Revision) {
        self.state
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .publish(events, revision);
        self.moved.send_replace(revision);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.moved.subscribe()
    }
}

pub(crate) struct State {
    entries: BTreeMap<Bytes, Entry>,
    revision: Revision,
    history: VecDeque<Event>,
    oldest: Revision,
    capacity: usize,
}

impl State {
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    /// Every entry below a prefix, in key order.
    pub(crate) fn below<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Entry> + 'a {
        self.entries_after(prefix, None)
    }

    pub(crate) fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Page {
        page(self.entries_after(prefix, after), limit, self.revision)
    }

    pub(crate) fn range_at(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        revision: Revision,
    ) -> Result<Page, Compacted> {
        let newer = self.newer_than(revision)?;
        // Walking backwards, the last write to a slot is the oldest event
        // after `revision`, whose `previous` is what stood there then.
        let mut then: BTreeMap<&Bytes, Option<&Entry>> = BTreeMap::new();
        for event in newer.rev() {
            let behind = after.is_none_or(|after| event.key.as_ref() > after);
            if behind && event.key.starts_with(prefix) {
                then.insert(&event.key, event.previous.as_ref());
            }
        }
        let revision = revision.min(self.revision);
        if then.is_empty() {
            return Ok(page(self.entries_after(prefix, after), limit, revision));
        }
        let mut merged: BTreeMap<&Bytes, &Entry> = self
            .entries_after(prefix, after)
            .filter(|entry| !then.contains_key(&entry.key))
            .map(|entry| (&entry.key, entry))
            .collect();
        merged.extend(
            then.iter()
                .filter_map(|(key, entry)| entry.map(|entry| (*key, entry))),
        );
        Ok(page(merged.into_values(), limit, revision))
    }

    /// The events after a revision, oldest first.
    pub(crate) fn newer_than(
        &self,
        revision: Revision,
    ) -> Result<impl DoubleEndedIterator<Item = &Event>, Compacted> {
        if revision < self.oldest {
            return Err(Compacted {
                requested: revision,
                oldest: self.oldest,
            });
        }
        let start = self
            .history
            .partition_point(|event| event.revision <= revision);
        Ok(self.history.range(start..))
    }

    fn entries_after<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = &'a Entry> + 'a {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.entries
            .range::<[u8], _>((start, Bound::Unbounded))
            .map(|(_, entry)| entry)
            .take_while(move |entry| entry.key.starts_with(prefix))
    }

    fn publish(&mut self, events: Vec<Event>, revision: Revision) {
        for event in events {
            match &event.current {
                Some(entry) => {
                    self.entries.insert(event.key.clone(), entry.clone());
                }
                None => {
                    self.entries.remove(&event.key);
                }
            }
            self.history.push_back(event);
        }
        self.revision = revision;
        // Whole revisions leave together, so that `oldest` stays exact.
        while self.history.len() > self.capacity {
            let Some(front) = self.history.front() else {
                break;
            };
            let leaving = front.revision;
            while self
                .history
                .front()
                .is_some_and(|event| event.revision == leaving)
            {
                self.history.pop_front();
            }
            self.oldest = leaving;
        }
    }
}

fn page<'a>(
    mut entries: impl Iterator<Item = &'a Entry>,
    limit: usize,
    revision: Revision,
) -> Page {
    let most = if limit == 0 { usize::MAX } else { limit };
    let taken: Vec<Entry> = entries.by_ref().take(most).cloned().collect();
    Page {
        entries: taken,
        revision,
        remaining: entries.count(),
    }
}
