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
    change(inner, key, "status", |quota| {
        set(quota, &["status"], status.clone());
    })
    .await
}
