//! Runs a reconciler over a queue.
//!
//! A reconcile request is a key and nothing else; the reconciler reads what it
//! needs. The same path serves watch events, the sweep and requests of other
//! controllers. Called by [`crate::run`], once a kind.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
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
    F: Fn(K) -> W,
    W: Future<Output = Result<Next, ReconcileError>>,
{
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = running.next(), if !running.is_empty() => {}
            key = queue.next(), if running.len() < workers => {
                let attempt = reconcile(key.clone());
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
                    queue.done(key, outcome);
                });
            }
        }
    }
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
    use std::sync::{Arc, Mutex};

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
        let running = work("test", queue.clone(), 1, stop.clone(), |key| {
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
}
