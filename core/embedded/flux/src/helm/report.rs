//! What the status and the events say of a release.
//!
//! Called wherever something came of a release. What must stay true: Ready
//! follows from Released and Remediated alone; `status.history` holds the last
//! five revisions, the newest first.

use serde_json::Value;

use super::{RELEASED, REMEDIATED, Run, release};
use crate::events;
use crate::json::{integer, list, text};
use crate::status::{READY, Subject};

impl Run<'_> {
    pub(super) fn describe(&self, number: i64) -> String {
        format!(
            "{}/{}.v{number} with chart {}@{}",
            self.place.namespace,
            self.place.name,
            self.package.chart.name(),
            self.package.chart.version()
        )
    }

    /// Counts a failed attempt at a revision and says so.
    pub(super) async fn failed(
        &self,
        subject: &mut Subject,
        word: &str,
        title: &str,
        number: i64,
        why: &str,
    ) {
        let message = format!(
            "Helm {word} failed for release {}: {why}",
            self.describe(number)
        );
        let reason = format!("{title}Failed");
        for field in ["failures", &format!("{word}Failures")] {
            let count = integer(&subject.status, &format!("/{field}")) + 1;
            subject.set(field, count);
        }
        subject.condition(RELEASED, "False", &reason, &message);
        subject.clear(REMEDIATED);
        events::emit(self.inner, subject, true, &reason, &message).await;
    }

    /// Puts a revision at the head of `status.history`.
    pub(super) fn observe(&self, subject: &mut Subject, one: &Value) {
        let new = release::snapshot(one, &self.digest);
        let mut history: Vec<Value> = list(&subject.status, "/history")
            .iter()
            .filter(|old| integer(old, "/version") != release::version(one))
            .cloned()
            .collect();
        if release::status(one) == "deployed" {
            for old in &mut history {
                if text(old, "/status") == "deployed" {
                    crate::json::set(old, &["status"], "superseded".into());
                }
            }
        }
        history.insert(0, new);
        history.truncate(5);
        subject.set("history", history);
    }

    pub(super) fn given_up(&self, subject: &Subject) -> String {
        let word = text(&subject.status, "/lastAttemptedReleaseAction");
        let count = integer(&subject.status, &format!("/{word}Failures"));
        format!("Failed to {word} after {count} attempt(s)")
    }

    /// Ready, from Released and Remediated.
    pub(super) fn summarize(&self, subject: &mut Subject) {
        let chosen = [REMEDIATED, RELEASED]
            .iter()
            .find_map(|kind| subject.find(kind).map(|one| (*kind, one.clone())));
        let Some((kind, one)) = chosen else {
            return;
        };
        let good = kind == RELEASED && text(&one, "/status") == "True";
        let (reason, message) = (text(&one, "/reason"), text(&one, "/message"));
        if good {
            subject.ready(reason, message);
        } else {
            subject.condition(READY, "False", reason, message);
            if !subject.is_true("Stalled") {
                subject.condition("Reconciling", "True", "ProgressingWithRetry", message);
            }
        }
    }
}
