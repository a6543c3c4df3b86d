//! What both kinds of source say of what they fetched.
//!
//! Called by `git` and `oci` at the end of a reconciliation. What must stay
//! true: whoever hears of a new artifact finds it in the status already.

use serde_json::Value;

use crate::api::ApiError;
use crate::events;
use crate::json::text;
use crate::queue::Outcome;
use crate::reconcile::{interval, retry_interval};
use crate::state::Inner;
use crate::status::Subject;

/// The artifact is in storage; `by` is the word for what its revision is.
pub async fn stored(
    inner: &Inner,
    subject: &mut Subject,
    artifact: Value,
    by: &str,
    is_new: bool,
) -> Result<Outcome, ApiError> {
    let message = format!(
        "stored artifact for {by} '{}'",
        text(&artifact, "/revision")
    );
    subject.set("artifact", artifact);
    subject.condition("ArtifactInStorage", "True", "Succeeded", &message);
    subject.ready("Succeeded", &message);
    subject.clear("FetchFailed");
    if is_new {
        // The status first: whoever waits for the artifact reads that.
        subject.handled();
        subject.write(inner).await?;
        events::emit(inner, subject, false, "NewArtifact", &message).await;
    }
    Ok(Outcome::After(interval(subject)))
}

/// Nothing could be fetched. What was stored before is the kind's own affair.
pub async fn failed(inner: &Inner, subject: &mut Subject, reason: &str, message: &str) -> Outcome {
    subject.condition("FetchFailed", "True", reason, message);
    events::failing(inner, subject, reason, message).await;
    Outcome::Retry(retry_interval(subject))
}
