//! ResourceQuota status: what a namespace uses of what it may.

use super::*;
use crate::quota;

pub(super) async fn reconcile(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    quota: &Value,
) -> Result<(), ApiError> {
    let status = quota::status(inner, &key.cluster, quota);
    if quota.get("status") == Some(&status) {
        return Ok(());
    }
    // Counted anew with what is written to: an object may have come in since, and its
    // admission has booked it.
    change(inner, key, "status", |quota| {
        let status = quota::status(inner, &key.cluster, quota);
        set(quota, &["status"], status);
    })
    .await
}
