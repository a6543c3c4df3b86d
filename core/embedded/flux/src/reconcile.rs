//! From a key to the kind's own reconciler, with what all kinds have in common.

use std::sync::Arc;
use std::time::Duration;

use crate::api::ApiError;
use crate::json::{duration, flag, text};
use crate::key::{Key, Kind};
use crate::queue::Outcome;
use crate::state::Inner;
use crate::status::Subject;

/// The longest delay between two attempts where the object names none.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Works on one key. Never fails: failures are outcomes.
pub async fn reconcile(inner: &Arc<Inner>, key: &Key) -> Outcome {
    match attempt(inner, key).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!(%key, %error, "a reconciliation was cut short");
            Outcome::Retry(LONGEST_RETRY)
        }
    }
}

async fn attempt(inner: &Arc<Inner>, key: &Key) -> Result<Outcome, ApiError> {
    let api = inner.api(&key.cluster);
    let Some(object) = api.get(&key.path()).await? else {
        if matches!(key.kind, Kind::GitRepository | Kind::OciRepository) {
            inner.artifacts.remove(key).await;
        }
        inner.forget_cluster(&key.cluster);
        return Ok(Outcome::Forget);
    };
    let mut subject = Subject::new(key.clone(), object);
    if subject.is_deleting() {
        match key.kind {
            Kind::GitRepository | Kind::OciRepository => inner.artifacts.remove(key).await,
            Kind::Kustomization => {
                if !crate::kustomization::finalize(inner, &mut subject).await? {
                    return Ok(Outcome::Retry(LONGEST_RETRY));
                }
            }
            Kind::HelmRelease => {
                if !crate::helm::finalize(inner, &mut subject).await? {
                    return Ok(Outcome::Retry(LONGEST_RETRY));
                }
            }
        }
        subject.finalizer(inner, false).await?;
        return Ok(Outcome::Wait);
    }
    subject.finalizer(inner, true).await?;
    if flag(&subject.object, "/spec/suspend") {
        return Ok(Outcome::Wait);
    }
    let outcome = match key.kind {
        Kind::GitRepository => crate::git::reconcile(inner, &mut subject).await?,
        Kind::OciRepository => crate::oci::reconcile(inner, &mut subject).await?,
        Kind::Kustomization => crate::kustomization::reconcile(inner, &mut subject).await?,
        Kind::HelmRelease => crate::helm::reconcile(inner, &mut subject).await?,
    };
    subject.handled();
    subject.write(inner).await?;
    Ok(outcome)
}

/// `spec.interval`, never below a second.
pub fn interval(subject: &Subject) -> Duration {
    duration(text(&subject.object, "/spec/interval"))
        .unwrap_or(LONGEST_RETRY)
        .max(Duration::from_secs(1))
}

/// `spec.retryInterval`, or what the interval allows.
pub fn retry_interval(subject: &Subject) -> Duration {
    duration(text(&subject.object, "/spec/retryInterval"))
        .unwrap_or_else(|| interval(subject).min(Duration::from_secs(300)))
}
