//! Bounded deletion: every deletion is a list of steps with one deadline over all.
//!
//! What must stay true: a step whose target is gone is done; a step that fails or
//! takes too long does not stop the others; what was left behind is reported by
//! name, and the deletion ends anyway. Only where a part gave no answer is it tried
//! again, by whoever called ([`Saga::is_unanswered`]).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use catalyst_api::DeletionView;
use catalyst_ports::PortError;
use serde_json::Value;
use tokio::time::Instant;

use crate::clock;
use crate::error::ReconcileError;
use crate::object::{name, text};

/// What users are promised: no deletion takes longer.
#[cfg(test)]
pub const PROMISED: Duration = Duration::from_secs(60);
/// When a deletion begins to give up on what is left.
pub const LIMIT: Duration = Duration::from_secs(50);
/// What a step gets even when time is up.
pub const FLOOR: Duration = Duration::from_secs(2);
/// How often the cause of a failed step is given another chance.
const PAUSE: Duration = Duration::from_millis(200);

/// One deletion under way.
#[derive(Debug)]
pub struct Saga {
    kind: &'static str,
    name: String,
    started_at: String,
    deadline: Instant,
    left_behind: BTreeMap<String, String>,
    /// What of that a part gave no answer about.
    unanswered: BTreeSet<String>,
}

impl Saga {
    /// Begins, or goes on after a restart: `started_at` is when somebody asked for
    /// the deletion (RFC 3339), and what has passed since counts.
    pub fn new(kind: &'static str, name: impl Into<String>, started_at: &str) -> Self {
        let (started_at, passed) = match clock::seconds_since(started_at) {
            Some(passed) => (started_at.to_owned(), passed),
            None => (clock::now(), 0),
        };
        let passed = Duration::from_secs(u64::try_from(passed).unwrap_or(0));
        // Even a deletion that was forgotten for a day gets a little time.
        let left = LIMIT.saturating_sub(passed).max(Duration::from_secs(10));
        Self {
            kind,
            name: name.into(),
            started_at,
            deadline: Instant::now() + left,
            left_behind: BTreeMap::new(),
            unanswered: BTreeSet::new(),
        }
    }

    /// The deletion of an object, which counts from when it was deleted.
    pub fn of(kind: &'static str, object: &Value) -> Self {
        Self::new(
            kind,
            name(object),
            text(object, "/metadata/deletionTimestamp"),
        )
    }

    /// The same deletion, with a clock that begins at `started_at`.
    pub fn anew(self, started_at: &str) -> Self {
        Self::new(self.kind, self.name, started_at)
    }

    /// A part of the same deletion that goes on beside others: its clock is the
    /// same, and it has left nothing behind yet.
    pub fn branch(&self) -> Self {
        Self {
            kind: self.kind,
            name: self.name.clone(),
            started_at: self.started_at.clone(),
            deadline: self.deadline,
            left_behind: BTreeMap::new(),
            unanswered: BTreeSet::new(),
        }
    }

    /// Takes over what a part has left behind.
    pub fn join(&mut self, part: Self) {
        self.left_behind.extend(part.left_behind);
        self.unanswered.extend(part.unanswered);
    }

    /// A deletion whose steps have one attempt each.
    #[cfg(test)]
    pub fn hurried(kind: &'static str, name: &str) -> Self {
        Self {
            deadline: Instant::now(),
            ..Self::new(kind, name, &clock::now())
        }
    }

    /// Whether its time is up since it was asked for.
    pub fn is_overdue(&self) -> bool {
        clock::seconds_since(&self.started_at)
            .and_then(|passed| u64::try_from(passed).ok())
            .is_some_and(|passed| Duration::from_secs(passed) >= LIMIT)
    }

    /// Runs a step until it says true, at most for `most` and never past the
    /// deadline. False and errors that may pass are tried again; what remains is
    /// noted as left behind under `what`.
    pub async fn step<F, W>(&mut self, what: &str, most: Duration, attempt: F) -> bool
    where
        F: Fn() -> W,
        W: Future<Output = Result<bool, ReconcileError>>,
    {
        let end = self.deadline.min(Instant::now() + most);
        let mut cause = None;
        // At least one attempt, with a moment to it, even when time is up.
        let floor = Instant::now() + FLOOR;
        loop {
            match tokio::time::timeout_at(end.max(floor), attempt()).await {
                Ok(Ok(true)) => {
                    self.left_behind.remove(what);
                    return true;
                }
                Ok(Ok(false)) => cause = Some("it was still there when time was up".to_owned()),
                Ok(Err(error)) => {
                    cause = Some(error.chain());
                    if !error.retryable() {
                        break;
                    }
                }
                // What an attempt before this one met says more.
                Err(_) => {
                    cause.get_or_insert_with(|| "no answer came in time".to_owned());
                }
            }
            if Instant::now() + PAUSE >= end {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.left_behind
            .insert(what.to_owned(), cause.unwrap_or_default());
        false
    }

    /// Has a part delete something, as a step.
    pub async fn delete<F, W>(&mut self, what: &str, most: Duration, ask: F) -> bool
    where
        F: Fn() -> W,
        W: Future<Output = Result<(), PortError>>,
    {
        self.ask(what, most, || async {
            ask().await.map_err(ReconcileError::port("delete", what))
        })
        .await
    }

    /// Has a part do something, as a step; where it gave no answer, that is noted.
    pub async fn ask<F, W>(&mut self, what: &str, most: Duration, ask: F) -> bool
    where
        F: Fn() -> W,
        W: Future<Output = Result<(), ReconcileError>>,
    {
        let is_answered = AtomicBool::new(false);
        let is_done = self
            .step(what, most, || async {
                let answer = ask().await;
                let is_answer = !answer.as_ref().is_err_and(ReconcileError::retryable);
                is_answered.store(is_answer, Ordering::Relaxed);
                answer.map(|()| true)
            })
            .await;
        if !is_done && !is_answered.into_inner() {
            self.unanswered.insert(what.to_owned());
        }
        is_done
    }

    /// Notes something that a part gave no answer about, with the reason.
    pub fn miss(&mut self, what: &str, why: impl Into<String>) {
        self.leave(what, why);
        self.unanswered.insert(what.to_owned());
    }

    /// Whether some part gave no answer, so that more may come of asking again.
    pub fn is_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Notes something that stays, with the reason.
    pub fn leave(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.left_behind.insert(what.into(), why.into());
    }

    /// What stays, a line each: name and cause.
    pub fn left_behind(&self) -> Vec<String> {
        self.left_behind
            .iter()
            .map(|(what, why)| format!("{what}: {why}"))
            .collect()
    }

    /// How far it is, for users.
    pub fn view(&self, waiting_for: Option<String>, is_ended: bool) -> DeletionView {
        DeletionView {
            kind: self.kind.to_owned(),
            name: self.name.clone(),
            started_at: self.started_at.clone(),
            ended_at: is_ended.then(clock::now),
            waiting_for,
            left_behind: self.left_behind(),
        }
    }
}

/// Waits for an answer outside of a step, but not for long.
pub async fn in_time<T>(
    most: Duration,
    action: &'static str,
    answer: impl Future<Output = Result<T, ReconcileError>>,
) -> Result<T, ReconcileError> {
    match tokio::time::timeout(most, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(ReconcileError::missing(
            action,
            "what its deletion is about",
            format!("no answer came within {} s", most.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_step_that_cannot_succeed_is_left_behind_by_name_and_stops_nothing() {
        let mut saga = Saga::new("Organization", "acme", &clock::now());
        let refused = saga
            .step("registry project acme", Duration::from_secs(5), || async {
                Err(ReconcileError::invalid(
                    "delete",
                    "project acme",
                    "it is locked",
                ))
            })
            .await;
        let done = saga
            .step(
                "forge organization acme",
                Duration::from_secs(5),
                || async { Ok(true) },
            )
            .await;
        assert!(!refused && done);
        assert_eq!(
            saga.left_behind(),
            ["registry project acme: could not delete project acme: it is locked"]
        );
        let view = saga.view(None, true);
        assert!(view.ended_at.is_some());
        assert_eq!(view.left_behind.len(), 1);
    }

    #[tokio::test]
    async fn what_fails_at_first_is_tried_again_within_the_bound() {
        let mut saga = Saga::new("Environment", "acme-dev", &clock::now());
        let attempts = AtomicUsize::new(0);
        let done = saga
            .step("vcluster", Duration::from_secs(10), || async {
                Ok(attempts.fetch_add(1, Ordering::SeqCst) >= 1)
            })
            .await;
        assert!(done);
        assert!(saga.left_behind().is_empty());
    }

    #[tokio::test]
    async fn a_step_that_never_ends_is_bounded() {
        let mut saga = Saga::new("Environment", "acme-dev", &clock::now());
        let before = Instant::now();
        let done = saga
            .step("vcluster", Duration::from_millis(100), std::future::pending)
            .await;
        assert!(!done);
        assert!(before.elapsed() < Duration::from_secs(5));
        assert_eq!(saga.left_behind(), ["vcluster: no answer came in time"]);
    }

    #[tokio::test]
    async fn what_an_attempt_met_says_more_than_that_the_last_one_was_cut_off() {
        let mut saga = Saga::new("Environment", "acme-dev", &clock::now());
        let attempts = AtomicUsize::new(0);
        saga.step("vcluster", Duration::from_secs(1), || async {
            if attempts.fetch_add(1, Ordering::SeqCst) > 0 {
                std::future::pending::<()>().await;
            }
            Ok(false)
        })
        .await;
        assert_eq!(
            saga.left_behind(),
            ["vcluster: it was still there when time was up"]
        );
    }

    #[tokio::test]
    async fn only_what_a_part_gave_no_answer_about_may_be_asked_for_again() {
        let refusal = |status| PortError::Ask {
            part: "forge",
            action: "delete it".to_owned(),
            status,
            reason: String::new(),
        };
        for (answer, expected) in [(Some(503), true), (Some(403), false), (None, false)] {
            let mut part = Saga::hurried("Organization", "acme");
            let ask = || async { answer.map_or(Ok(()), |status| Err(refusal(status))) };
            let is_gone = part.delete("its wiki", Duration::from_secs(5), ask).await;
            assert_eq!(is_gone, answer.is_none());
            let mut saga = Saga::hurried("Organization", "acme");
            saga.join(part);
            assert_eq!(saga.is_unanswered(), expected, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn parts_share_the_clock_and_what_each_left_behind_is_told() {
        let mut saga = Saga::new("Organization", "acme", &clock::now());
        saga.leave("forge organization acme", "it is locked");
        let mut part = saga.branch();
        assert_eq!(part.deadline, saga.deadline);
        assert_eq!(part.left_behind(), Vec::<String>::new());
        part.leave("registry project acme", "it is locked too");
        saga.join(part);
        assert_eq!(
            saga.left_behind(),
            [
                "forge organization acme: it is locked",
                "registry project acme: it is locked too"
            ]
        );
    }

    #[test]
    fn a_deletion_asked_for_long_ago_still_gets_a_moment() {
        let saga = Saga::new("Environment", "acme-dev", "2020-01-01T00:00:00Z");
        assert!(saga.deadline > Instant::now());
        assert!(saga.is_overdue());
        assert!(!saga.anew(&clock::now()).is_overdue());
        let saga = Saga::new("Environment", "acme-dev", "2020-01-01T00:00:00Z");
        assert_eq!(saga.view(None, false).started_at, "2020-01-01T00:00:00Z");
    }
}
