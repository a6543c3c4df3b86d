//! The one queue of reconcile requests.
//!
//! A request is a key, nothing else. What must stay true: a key is never
//! worked on twice at a time; a request that arrives during its work is
//! served after it; one that is due earlier wins over one due later.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::key::Key;

/// What to do with a key after its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well: again after this time.
    After(Duration),
    /// It failed: again with growing delays, at most this one.
    Retry(Duration),
    /// Nothing to do until an event comes.
    Wait,
    /// The object is gone.
    Forget,
}

/// The first delay after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(500);

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    waiting: HashSet<Key>,
    running: HashSet<Key>,
    again: HashSet<Key>,
    delayed: BTreeMap<(Instant, u64), Key>,
    due: HashMap<Key, (Instant, u64)>,
    failures: HashMap<Key, u32>,
    counter: u64,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut state)
    }

    /// Asks for `key` to be worked on at once.
    pub fn add(&self, key: Key) {
        self.with(|state| state.add(key));
        self.changed.notify_one();
    }

    /// Waits for a key to work on; [`Queue::done`] must follow.
    pub async fn next(&self) -> Key {
        loop {
            let sleep = self.with(|state| state.take(Instant::now()));
            match sleep {
                Ok(key) => return key,
                Err(Some(until)) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Err(None) => self.changed.notified().await,
            }
        }
    }

    /// Ends the work on a key.
    pub fn done(&self, key: &Key, outcome: Outcome) {
        self.with(|state| state.done(key, outcome, Instant::now()));
        self.changed.notify_one();
    }
}

impl State {
    fn add(&mut self, key: Key) {
        if self.running.contains(&key) {
            self.again.insert(key);
            return;
        }
        if let Some(due) = self.due.remove(&key) {
            self.delayed.remove(&due);
        }
        if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn take(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        while let Some((at, _)) = self.delayed.keys().next().copied() {
            if at > now {
                break;
            }
            if let Some((_, key)) = self.delayed.pop_first() {
                self.due.remove(&key);
                self.add(key);
            }
        }
        match self.ready.pop_front() {
            Some(key) => {
                self.waiting.remove(&key);
                self.running.insert(key.clone());
                Ok(key)
            }
            None => Err(self.delayed.keys().next().map(|(at, _)| *at)),
        }
    }

    fn done(&mut self, key: &Key, outcome: Outcome, now: Instant) {
        self.running.remove(key);
        let delay = match outcome {
            Outcome::After(delay) => {
                self.failures.remove(key);
                Some(delay)
            }
            Outcome::Retry(most) => {
                let failures = self.failures.entry(key.clone()).or_default();
                let delay = FIRST_RETRY.saturating_mul(1 << (*failures).min(12));
                *failures += 1;
                Some(delay.min(most))
            }
            Outcome::Wait => {
                self.failures.remove(key);
                None
            }
            Outcome::Forget => {
                self.failures.remove(key);
                None
            }
        };
        if self.again.remove(key) {
            self.add(key.clone());
        } else if let Some(delay) = delay {
            self.counter += 1;
            let due = (now + delay, self.counter);
            self.delayed.insert(due, key.clone());
            self.due.insert(key.clone(), due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn key(name: &str) -> Key {
        Key {
            cluster: "c".into(),
            kind: Kind::Kustomization,
            namespace: "n".into(),
            name: name.into(),
        }
    }

    #[tokio::test]
    async fn a_key_is_worked_on_once_at_a_time_and_again_when_asked_meanwhile() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(queue.next().await, key("a"));
        queue.add(key("a"));
        let busy = tokio::time::timeout(Duration::from_millis(20), queue.next()).await;
        assert!(busy.is_err());
        queue.done(&key("a"), Outcome::Wait);
        assert_eq!(queue.next().await, key("a"));
        queue.done(&key("a"), Outcome::Wait);
        let idle = tokio::time::timeout(Duration::from_millis(20), queue.next()).await;
        assert!(idle.is_err());
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_the_bound() {
        let mut state = State::default();
        let start = Instant::now();
        let most = Duration::from_secs(3);
        let mut delays = Vec::new();
        for _ in 0..5 {
            state.running.insert(key("a"));
            state.done(&key("a"), Outcome::Retry(most), start);
            delays.push((state.due[&key("a")].0 - start).as_millis());
            state.add(key("a"));
            assert_eq!(state.take(start), Ok(key("a")));
        }
        assert_eq!(delays, [500, 1000, 2000, 3000, 3000]);
        state.done(&key("a"), Outcome::After(most), start);
        assert!(state.failures.is_empty());
    }

    #[test]
    fn an_event_overtakes_the_interval() {
        let mut state = State::default();
        let start = Instant::now();
        state.done(&key("a"), Outcome::After(Duration::from_secs(60)), start);
        assert!(matches!(state.take(start), Err(Some(_))));
        state.add(key("a"));
        assert_eq!(state.take(start), Ok(key("a")));
        assert!(state.delayed.is_empty());
    }
}
