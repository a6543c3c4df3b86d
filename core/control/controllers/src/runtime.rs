//! Runs a reconciler over a queue.
//!
//! A reconcile request is a key and nothing else; the reconciler reads what it
//! needs. The same path serves watch events, the sweep and requests of other
//! controllers. Called by [`crate::run`], once a kind.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::error::ReconcileError;
use crate::queue::{Outcome, Queue};

/// How often everything is looked at, whether or not anything happened.
pub const SWEEP: Duration = Duration::from_secs(300);

/// After how long to look again without an event; nothing: when something changes.
pub type Next = Option<Duration>;

/// How soon to look again at what has been waited for so many seconds, and of which
/// no watch tells: ever more rarely, a tenth of that time later.
pub fn ever_more_rarely(waited: i64, soonest: Duration, latest: Duration) -> Duration {
    let waited = Duration::from_secs(u64::try_from(waited).unwrap_or(0));
    (waited / 10).clamp(soonest, latest)
}

/// For each worker, how many keys may be gone on with beside it.
const ASIDE: usize = 16;

/// The worker that a key is worked on by; clones share it. One of nobody does nothing.
#[derive(Clone, Default)]
pub struct Slot {
    worker: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    aside: Option<Arc<Semaphore>>,
}

impl Slot {
    fn new(worker: OwnedSemaphorePermit, aside: &Arc<Semaphore>) -> Self {
        Self {
            worker: Arc::new(Mutex::new(Some(worker))),
            aside: Some(Arc::clone(aside)),
        }
    }

    /// Leaves the worker to other keys, and goes on beside: for what mostly waits for
    /// others, so that nobody waits for those too. The key stays the one that is worked
    /// on. Where too many have stepped aside already, the worker is kept.
    pub fn step_aside(&self) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(aside) = &self.aside
            && worker.is_some()
            && let Ok(place) = Arc::clone(aside).try_acquire_owned()
        {
            *worker = Some(place);
        }
    }

    /// A slot of one worker, and the workers, of whom there is no other.
    #[cfg(test)]
    pub fn of_one_worker() -> (Self, Arc<Semaphore>) {
        let workers = Arc::new(Semaphore::new(1));
        let slot = Self {
            worker: Arc::new(Mutex::new(Arc::clone(&workers).try_acquire_owned().ok())),
            aside: Some(Arc::new(Semaphore::new(1))),
        };
        (slot, workers)
    }

    fn end(&self) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        *worker = None;
    }
}

/// Works on keys, `workers` at a time, until told to stop; what is under way then
/// is dropped, which level-based reconcilers survive.
pub async fn work<K, F, W>(
    kind: &'static str,
    queue: Queue<K>,
    workers: usize,
    stop: CancellationToken,
    reconcile: F,
) where
    K: Clone + Eq + Hash + Ord + Debug + Send + 'static,
    F: Fn(K, Slot) -> W,
    W: Future<Output = Result<Next, ReconcileError>>,
{
    let aside = Arc::new(Semaphore::new(workers.saturating_mul(ASIDE)));
    let workers = Arc::new(Semaphore::new(workers));
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = running.next(), if !running.is_empty() => {}
            (key, worker) = next(&queue, &workers) => {
                let slot = Slot::new(worker, &aside);
                let attempt = reconcile(key.clone(), slot.clone());
                let queue = queue.clone();
                running.push(async move {
                    let outcome = match attempt.await {
                        Ok(None) => Outcome::Settled,
                        Ok(Some(wait)) => Outcome::Again(wait),
                        Err(error) => {
                            report(kind, &key, &error, queue.failures(&key));
                            Outcome::Failed
                        }
                    };
                    // Whoever else has the slot keeps no worker by it.
                    slot.end();
                    queue.done(key, outcome);
                });
            }
        }
    }
}

/// The next key, once a worker is free for it.
async fn next<K: Clone + Eq + Hash + Ord>(
    queue: &Queue<K>,
    workers: &Arc<Semaphore>,
) -> (K, OwnedSemaphorePermit) {
    let Ok(worker) = Arc::clone(workers).acquire_owned().await else {
        // Nobody closes it.
        return std::future::pending().await;
    };
    (queue.next().await, worker)
}

/// A first failure is often a race that the next attempt wins; only those that
/// stay are worth a warning.
fn report<K: Debug>(kind: &'static str, key: &K, error: &ReconcileError, failures: u32) {
    let cause = error.chain();
    if failures < 3 && error.retryable() {
        tracing::debug!(kind, key = ?key, failures, error = %cause, "reconcile failed, will be repeated");
    } else {
        tracing::warn!(kind, key = ?key, failures, error = %cause, "reconcile failed, will be repeated");
    }
}

/// Calls `list` at once and then every [`SWEEP`]; a failure is repeated soon.
pub async fn sweep<F, W>(kind: &'static str, stop: CancellationToken, list: F)
where
    F: Fn() -> W,
    W: Future<Output = Result<(), ReconcileError>>,
{
    loop {
        let wait = match list().await {
            Ok(()) => SWEEP,
            Err(error) => {
                tracing::debug!(kind, error = %error.chain(), "sweep failed, will be repeated");
                Duration::from_secs(5)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{pin_mut, poll};

    use super::*;

    #[test]
    fn what_is_waited_for_for_long_is_looked_at_ever_more_rarely() {
        let cases = [
            (-5, 10),
            (0, 10),
            (100, 10),
            (120, 12),
            (2_000, 200),
            (3_000, 300),
            (86_400, 300),
        ];
        for (waited, seconds) in cases {
            let [soonest, latest, expected] = [10, 300, seconds].map(Duration::from_secs);
            let again = ever_more_rarely(waited, soonest, latest);
            assert_eq!(again, expected, "after {waited} s");
        }
    }

    #[tokio::test]
    async fn a_failing_key_is_repeated_until_it_succeeds_and_does_not_block_others() {
        let queue = Queue::default();
        let stop = CancellationToken::new();
        let attempts = Arc::new(AtomicUsize::new(0));
        let order = Arc::new(Mutex::new(Vec::new()));
        queue.add("failing");
        queue.add("fine");
        let running = work("test", queue.clone(), 1, stop.clone(), |key, _| {
            let attempts = Arc::clone(&attempts);
            let order = Arc::clone(&order);
            let stop = stop.clone();
            async move {
                order.lock().unwrap().push(key);
                if key == "failing" && attempts.fetch_add(1, Ordering::SeqCst) < 2 {
                    return Err(ReconcileError::missing(
                        "read",
                        "a thing",
                        "it is not there",
                    ));
                }
                if key == "failing" {
                    stop.cancel();
                }
                Ok(None)
            }
        });
        tokio::time::timeout(Duration::from_secs(10), running)
            .await
            .unwrap();
        assert_eq!(
            *order.lock().unwrap(),
            ["failing", "fine", "failing", "failing"]
        );
    }

    /// How many of so many keys are begun by one worker, when each steps aside and
    /// none ends.
    async fn begun(keys: usize) -> usize {
        let queue = Queue::default();
        for key in 0..keys {
            queue.add(key);
        }
        let begun = AtomicUsize::new(0);
        let count = &begun;
        let stop = CancellationToken::new();
        let running = work("test", queue, 1, stop, move |_, slot: Slot| async move {
            count.fetch_add(1, Ordering::SeqCst);
            slot.step_aside();
            std::future::pending().await
        });
        pin_mut!(running);
        for _ in 0..keys {
            assert!(poll!(running.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        begun.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn keys_that_step_aside_keep_no_other_key_waiting_up_to_a_bound() {
        assert_eq!(begun(ASIDE + 1).await, ASIDE + 1);
        // The last of them keeps the worker.
        assert_eq!(begun(ASIDE + 2).await, ASIDE + 1);
    }

    #[tokio::test]
    async fn a_slot_that_outlives_its_key_keeps_nothing() {
        let (queue, stop) = (Queue::default(), CancellationToken::new());
        queue.add("first");
        queue.add("second");
        let kept = Arc::new(Mutex::new(Vec::new()));
        let running = work("test", queue.clone(), 1, stop.clone(), |key, slot: Slot| {
            let (kept, stop) = (Arc::clone(&kept), stop.clone());
            async move {
                kept.lock().unwrap().push(slot);
                if key == "second" {
                    stop.cancel();
                }
                Ok(None)
            }
        });
        let ended = tokio::time::timeout(Duration::from_secs(10), running).await;
        assert!(ended.is_ok());
        let kept = kept.lock().unwrap();
        kept[0].step_aside();
        assert!(kept[0].worker.lock().unwrap().is_none());
    }
}
