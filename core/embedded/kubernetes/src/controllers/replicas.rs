//! ReplicaSets: as many pods as asked for.

use super::*;
use crate::object::integer;

pub(super) async fn reconcile(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    set: &Value,
) -> Result<(), ApiError> {
    let wanted = usize::try_from(integer(set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
    let mut pods: Vec<Value> = controlled(inner, "pods", key, set)
        .into_iter()
        .filter(is_active)
        .collect();
    for _ in pods.len()..wanted {
        let mut pod = pod_of(set);
        crate::object::set(
            &mut pod,
            &["metadata", "generateName"],
            json!(format!("{}-", key.name)),
        );
        create_one(inner, &key.cluster, pod).await?;
    }
    // Too many: the least useful first.
    pods.sort_by_key(|pod| (is_ready(pod), !text(pod, "/spec/nodeName").is_empty()));
    for pod in pods.iter().take(pods.len().saturating_sub(wanted)) {
        remove(inner, key, "pods", pod).await?;
    }
    let pods: Vec<Value> = controlled(inner, "pods", key, set)
        .into_iter()
        .filter(is_active)
        .collect();
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let status = json!({
        "replicas": pods.len(), "fullyLabeledReplicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready,
        "observedGeneration": integer(set, "/metadata/generation").unwrap_or(0),
    });
    change(inner, key, "status", |current| {
        crate::object::set(current, &["status"], status.clone())
    })
    .await
}
