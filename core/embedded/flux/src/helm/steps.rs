//! One reconciliation, step by step, until the release is as wanted or has to wait.
//!
//! Called once the input is gathered. What must stay true: every step is
//! decided from what is stored now, never from what the step before meant to
//! do; one attempt a run, the queue spaces them out.

use std::time::Duration;

use serde_json::Value;

use super::attempt::Step;
use super::decide::{self, Observed, Wanted};
use super::release;
use super::{RELEASED, REMEDIATED, RETRY, Run, render};
use crate::api::ApiError;
use crate::events;
use crate::json::{duration, integer, text};
use crate::queue::Outcome;
use crate::reconcile::interval;
use crate::status::Subject;

/// Steps of one reconciliation: attempt, undo, and what lies between.
const MOST_STEPS: usize = 6;

impl Run<'_> {
    pub(super) async fn reconcile(&self, subject: &mut Subject) -> Result<Outcome, ApiError> {
        let storage = self.storage();
        let config = release::digest_of(&render::or_empty(&self.values));
        let mut force = self.take_requests(subject, &config);
        let observed = Observed::of(&self.spec);
        let wanted = Wanted {
            chart_name: self.package.chart.name(),
            chart_version: self.package.chart.version(),
            config_digest: &config,
            oci_digest: &self.digest,
            observed: &observed,
        };
        let mut attempted = false;
        for _ in 0..MOST_STEPS {
            let history = storage.history().await?;
            let latest = history.last();
            let state = decide::state(latest, &subject.status, &wanted);
            let next = decide::next(&state, &self.spec, &subject.status, &history, force);
            tracing::debug!(key = %subject.key, ?state, ?next, "a release was looked at");
            match next {
                decide::Action::Nothing => return self.settled(subject, latest).await,
                decide::Action::GiveUp => {
                    let message = self.given_up(subject);
                    subject.condition("Stalled", "True", "RetriesExceeded", &message);
                    subject.clear("Reconciling");
                    self.summarize(subject);
                    return Ok(Outcome::After(interval(subject)));
                }
                decide::Action::Unlock => {
                    if let Some(mut locked) = latest.cloned() {
                        release::set_status(
                            &mut locked,
                            "failed",
                            "Release unlocked from a stale pending state",
                        );
                        storage.update(&locked).await?;
                        self.observe(subject, &locked);
                    }
                }
                decide::Action::Install | decide::Action::Upgrade(_) if attempted => {
                    // One attempt a run: the queue spaces them out.
                    self.summarize(subject);
                    let delay = decide::retries_on_failure(&self.spec, &subject.status)
                        .then(|| self.retry_interval(subject));
                    return Ok(Outcome::Retry(delay.unwrap_or(RETRY)));
                }
                decide::Action::Install | decide::Action::Upgrade(_) => {
                    attempted = true;
                    let is_upgrade = matches!(next, decide::Action::Upgrade(_));
                    match self
                        .attempt(subject, &storage, &history, is_upgrade)
                        .await?
                    {
                        Step::Went => force = false,
                        Step::Overtaken => return Ok(Outcome::After(Duration::ZERO)),
                        Step::NotStarted => return Ok(Outcome::Retry(RETRY)),
                    }
                }
                decide::Action::Rollback(number) => {
                    self.rollback(subject, &storage, &history, number).await?;
                }
                decide::Action::Uninstall => {
                    self.undo_install(subject, &storage).await?;
                }
            }
            if subject.is_deleting() {
                break;
            }
        }
        self.summarize(subject);
        Ok(Outcome::Retry(RETRY))
    }

    fn retry_interval(&self, subject: &Subject) -> Duration {
        let action = text(&subject.status, "/lastAttemptedReleaseAction");
        duration(text(
            &self.spec,
            &format!("/{action}/strategy/retryInterval"),
        ))
        .unwrap_or(Duration::from_secs(300))
    }

    /// Serves the annotations and resets the counts where something changed.
    /// True when an upgrade is forced.
    fn take_requests(&self, subject: &mut Subject, config: &str) -> bool {
        let token = |subject: &Subject, name: &str| {
            subject
                .annotation(&format!("reconcile.fluxcd.io/{name}"))
                .map(str::to_owned)
        };
        let requested = token(subject, "requestedAt");
        let asked = |subject: &mut Subject, name: &str, field: &str| {
            let Some(at) = token(subject, name) else {
                return false;
            };
            let is_new = Some(text(&subject.status, &format!("/{field}"))) != Some(at.as_str());
            // A token counts only together with the request of the same name.
            let counts = is_new && requested.as_ref() == Some(&at);
            subject.set(field, at);
            counts
        };
        let reset = asked(subject, "resetAt", "lastHandledResetAt");
        let force = asked(subject, "forceAt", "lastHandledForceAt");
        let revision = self.package.chart.version().to_owned();
        let changed = integer(&subject.status, "/lastAttemptedGeneration") != subject.generation()
            || text(&subject.status, "/lastAttemptedRevision") != revision
            || text(&subject.status, "/lastAttemptedRevisionDigest") != self.digest
            || text(&subject.status, "/lastAttemptedConfigDigest") != config;
        if changed || reset {
            forget_failures(subject);
            subject.clear("Stalled");
        }
        subject.set("lastAttemptedGeneration", subject.generation());
        subject.set("lastAttemptedRevision", revision);
        subject.set("lastAttemptedRevisionDigest", self.digest.as_str());
        subject.set("lastAttemptedConfigDigest", config);
        subject.set("storageNamespace", self.place.storage.as_str());
        force
    }

    /// The release is as wanted: look for drift, and say that all is well.
    async fn settled(
        &self,
        subject: &mut Subject,
        latest: Option<&Value>,
    ) -> Result<Outcome, ApiError> {
        if let Some(latest) = latest
            && let Err(why) = self.correct_drift(subject, latest).await
        {
            events::failing(
                self.inner,
                subject,
                "DriftCorrectionFailed",
                &why.to_string(),
            )
            .await;
            return Ok(Outcome::Retry(RETRY));
        }
        if !subject.is_true(RELEASED)
            && let Some(latest) = latest
        {
            let message = format!(
                "Helm release {} is in sync",
                self.describe(release::version(latest))
            );
            subject.condition(RELEASED, "True", "UpgradeSucceeded", &message);
        }
        subject.clear(REMEDIATED);
        self.summarize(subject);
        forget_failures(subject);
        Ok(Outcome::After(interval(subject)))
    }
}

fn forget_failures(subject: &mut Subject) {
    for field in ["failures", "installFailures", "upgradeFailures"] {
        subject.unset(field);
    }
}
