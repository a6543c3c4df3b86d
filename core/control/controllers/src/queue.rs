//! A queue of keys to reconcile: one a kind.
//!
//! Called by watches, sweeps and other controllers ([`Queue::add`]), and by the
//! workers of [`crate::runtime`]. What must stay true:
//! - A key is in the queue at most once, and is worked on by one worker at a time.
//! - A key that is added while it is worked on is worked on once more afterwards.
//! - Back-off belongs to the queue: reconcilers never retry by themselves.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How an attempt on a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do until something changes.
    Settled,
    /// Look again after this long.
    Again(Duration),
    /// It failed: look again after a wait that grows.
    Failed,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    running: HashSet<K>,
    again: HashSet<K>,
    waiting: HashMap<K, Instant>,
    due: BTreeMap<Instant, Vec<K>>,
    failures: HashMap<K, u32>,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            queued: HashSet::new(),
            running: HashSet::new(),
            again: HashSet::new(),
            waiting: HashMap::new(),
            due: BTreeMap::new(),
            failures: HashMap::new(),
        }
    }
}

/// The queue; clones share it.
#[derive(Debug)]
pub struct Queue<K> {
    state: Arc<Mutex<State<K>>>,
    changed: Arc<Notify>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            changed: Arc::clone(&self.changed),
        }
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            changed: Arc::default(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// Asks for a key to be worked on now. An earlier request to do so later is
    /// thereby met.
    pub fn add(&self, key: K) {
        let mut state = self.lock();
        state.add(key);
        drop(state);
        self.changed.notify_one();
    }

    /// The next key to work on. [`Queue::done`] must follow.
    pub async fn next(&self) -> K {
        loop {
            let changed = self.changed.notified();
            let earliest = {
                let mut state = self.lock();
                if let Some(key) = state.take(Instant::now()) {
                    if !state.ready.is_empty() {
                        // One notification may stand for several additions.
                        self.changed.notify_one();
                    }
                    return key;
                }
                state.due.keys().next().copied()
            };
            match earliest {
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Ends the work on a key.
    pub fn done(&self, key: K, outcome: Outcome) {
        let mut state = self.lock();
        state.done(key, outcome, Instant::now());
        drop(state);
        self.changed.notify_one();
    }

    /// How many times in a row a key has failed.
    pub fn failures(&self, key: &K) -> u32 {
        self.lock().failures.get(key).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn add(&mut self, key: K) {
        self.forget_wait(&key);
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if self.queued.contains(&key) || self.waiting.get(&key).is_some_and(|known| *known <= at) {
            return;
        }
        self.forget_wait(&key);
        self.waiting.insert(key.clone(), at);
        self.due.entry(at).or_default().push(key);
    }

    fn take(&mut self, now: Instant) -> Option<K> {
        self.promote(now);
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: K, outcome: Outcome, now: Instant) {
        self.running.remove(&key);
        let is_again = self.again.remove(&key);
        match outcome {
            Outcome::Settled => {
                self.failures.remove(&key);
            }
            Outcome::Again(wait) => {
                self.failures.remove(&key);
                self.add_at(key.clone(), now + wait);
            }
            Outcome::Failed => {
                let failures = self.failures.entry(key.clone()).or_insert(0);
                *failures = failures.saturating_add(1);
                let wait = back_off(*failures);
                self.add_at(key.clone(), now + wait);
            }
        }
        if is_again {
            self.add(key);
        }
    }

    fn forget_wait(&mut self, key: &K) {
        if let Some(at) = self.waiting.remove(key)
            && let Some(keys) = self.due.get_mut(&at)
        {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.due.remove(&at);
            }
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some((at, _)) = self.due.first_key_value()
            && *at <= now
        {
            for key in self
                .due
                .pop_first()
                .map(|(_, keys)| keys)
                .unwrap_or_default()
            {
                self.waiting.remove(&key);
                self.add(key);
            }
        }
    }
}

/// How long to wait after so many failures in a row.
fn back_off(failures: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_queued_once() {
        let mut state = State::default();
        let now = Instant::now();
        for key in ["a", "b", "a"] {
            state.add(key);
        }
        assert_eq!(state.take(now), Some("a"));
        assert_eq!(state.take(now), Some("b"));
        assert_eq!(state.take(now), None);
    }

    #[test]
    fn a_key_added_while_worked_on_comes_again_afterwards_and_not_before() {
        let mut state = State::default();
        let now = Instant::now();
        state.add("a");
        assert_eq!(state.take(now), Some("a"));
        state.add("a");
        state.add("a");
        assert_eq!(state.take(now), None, "two workers must not hold one key");
        state.done("a", Outcome::Settled, now);
        assert_eq!(state.take(now), Some("a"));
        state.done("a", Outcome::Settled, now);
        assert_eq!(state.take(now), None);
    }

    #[test]
    fn failures_wait_longer_each_time_and_success_forgets_them() {
        let mut state = State::default();
        let mut now = Instant::now();
        state.add("a");
        for wait in [100, 200, 400, 800] {
            assert_eq!(state.take(now), Some("a"));
            state.done("a", Outcome::Failed, now);
            now += Duration::from_millis(wait - 1);
            assert_eq!(state.take(now), None, "not before {wait} ms");
            now += Duration::from_millis(1);
        }
        assert_eq!(state.failures.get("a"), Some(&4));
        assert_eq!(state.take(now), Some("a"));
        state.done("a", Outcome::Settled, now);
        assert!(state.failures.is_empty());
        assert_eq!(back_off(40), LONGEST_WAIT);
    }

    #[test]
    fn an_event_does_not_wait_for_the_back_off() {
        let mut state = State::default();
        let now = Instant::now();
        state.add_at("a", now + Duration::from_secs(60));
        assert_eq!(state.take(now), None);
        state.add("a");
        assert_eq!(state.take(now), Some("a"));
        state.done("a", Outcome::Settled, now);
        assert_eq!(
            state.take(now + Duration::from_secs(120)),
            None,
            "the later request was met by the earlier one"
        );
    }

    #[test]
    fn the_earlier_of_two_waits_counts() {
        let mut state = State::default();
        let now = Instant::now();
        for wait in [60, 10, 30] {
            state.add_at("a", now + Duration::from_secs(wait));
        }
        assert_eq!(state.take(now + Duration::from_secs(9)), None);
        assert_eq!(state.take(now + Duration::from_secs(10)), Some("a"));
        assert!(state.due.is_empty() && state.waiting.is_empty());
    }

    #[tokio::test]
    async fn every_waiting_worker_gets_a_key() {
        let queue = Queue::default();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await })
            })
            .collect();
        tokio::task::yield_now().await;
        for key in ["a", "b", "c"] {
            queue.add(key);
        }
        let mut seen = Vec::new();
        for worker in workers {
            let key = tokio::time::timeout(Duration::from_secs(10), worker).await;
            seen.push(key.unwrap().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_waiting_worker_wakes_when_a_wait_ends() {
        let queue = Queue::default();
        queue.done("later", Outcome::Again(Duration::from_millis(20)));
        let key = tokio::time::timeout(Duration::from_secs(10), queue.next()).await;
        assert_eq!(key.unwrap(), "later");
    }
}
