//! StatefulSets: pods with stable names and claims of their own, in order.

use super::*;
use crate::object::integer;

const REVISION: &str = "controller-revision-hash";

pub(super) async fn reconcile(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    set: &Value,
) -> Result<(), ApiError> {
    let wanted = integer(set, "/spec/replicas").unwrap_or(1).max(0);
    let ordered = text(set, "/spec/podManagementPolicy") != "Parallel";
    let revision = format!(
        "{}-{}",
        key.name,
        template_hash(set.pointer("/spec/template").unwrap_or(&Value::Null))
    );
    let ordinal = |pod: &Value| -> Option<i64> {
        name(pod)
            .strip_prefix(&format!("{}-", key.name))?
            .parse()
            .ok()
    };
    let mut pods = controlled(inner, "pods", key, set);
    pods.sort_by_key(|pod| ordinal(pod).unwrap_or(i64::MAX));
    let mut blocked = false;
    for index in 0..wanted {
        match pods.iter().find(|pod| ordinal(pod) == Some(index)) {
            None => {
                claims(inner, key, set, index).await?;
                ensure(inner, key, pod(set, key, index, &revision)).await?;
                blocked = true;
            }
            Some(found) if is_finished(found) && !is_deleting(found) => {
                remove(inner, key, "pods", found).await?;
                blocked = true;
            }
            Some(found) => blocked |= !is_ready(found),
        }
        if ordered && blocked {
            break;
        }
    }
    // Scaling down and rolling: the highest first, one at a time, each only when the others are ready.
    let surplus: Vec<&Value> = pods
        .iter()
        .filter(|pod| ordinal(pod).is_none_or(|index| index >= wanted))
        .collect();
    let moving = pods.iter().any(is_deleting);
    if ordered {
        if let Some(last) = surplus.last()
            && !moving
        {
            remove(inner, key, "pods", last).await?;
        }
    } else {
        for pod in &surplus {
            remove(inner, key, "pods", pod).await?;
        }
    }
    let label = |pod: &Value| {
        pod.pointer("/metadata/labels")
            .and_then(|all| all.get(REVISION))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let partition = integer(set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    if text(set, "/spec/updateStrategy/type") != "OnDelete" && surplus.is_empty() && !moving {
        let stale = pods.iter().rev().find(|pod| {
            ordinal(pod).is_some_and(|index| index >= partition)
                && label(pod).as_deref() != Some(&revision)
        });
        // A stale pod that is not ready would block its own repair.
        let others_ready = stale.is_some_and(|stale| {
            pods.iter()
                .all(|pod| is_ready(pod) || name(pod) == name(stale))
        });
        if let Some(stale) = stale
            && (others_ready || !is_ready(stale))
        {
            remove(inner, key, "pods", stale).await?;
        }
    }
    let pods = controlled(inner, "pods", key, set);
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let updated = pods
        .iter()
        .filter(|pod| label(pod).as_deref() == Some(&revision))
        .count();
    let done = i64::try_from(updated).is_ok_and(|updated| updated >= wanted);
    let previous = text(set, "/status/currentRevision");
    let current = if done || previous.is_empty() {
        revision.clone()
    } else {
        previous.to_owned()
    };
    let status = json!({
        "replicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated,
        "currentReplicas": if current == revision { updated } else { pods.len() - updated },
        "currentRevision": current, "updateRevision": revision, "collisionCount": 0,
        "observedGeneration": integer(set, "/metadata/generation").unwrap_or(0),
    });
    change(inner, key, "status", |current| {
        crate::object::set(current, &["status"], status.clone())
    })
    .await
}

fn pod(set: &Value, key: &ObjectKey, index: i64, revision: &str) -> Value {
    let own = format!("{}-{index}", key.name);
    let mut pod = pod_of(set);
    for (path, value) in [
        (["metadata", "name"].as_slice(), json!(own)),
        (&["metadata", "labels", REVISION], json!(revision)),
        (
            &["metadata", "labels", "statefulset.kubernetes.io/pod-name"],
            json!(own),
        ),
        (
            &["metadata", "labels", "apps.kubernetes.io/pod-index"],
            json!(index.to_string()),
        ),
        (&["spec", "hostname"], json!(own)),
        (
            &["spec", "subdomain"],
            json!(text(set, "/spec/serviceName")),
        ),
    ] {
        crate::object::set(&mut pod, path, value);
    }
    let mut volumes: Vec<Value> = array(&pod, "/spec/volumes").to_vec();
    for template in array(set, "/spec/volumeClaimTemplates") {
        volumes.retain(|volume| text(volume, "/name") != name(template));
        volumes.push(json!({
            "name": name(template), "persistentVolumeClaim": {"claimName": format!("{}-{own}", name(template))},
        }));
    }
    if !volumes.is_empty() {
        crate::object::set(&mut pod, &["spec", "volumes"], json!(volumes));
    }
    pod
}

/// A pod's claims; they outlive it.
async fn claims(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    set: &Value,
    index: i64,
) -> Result<(), ApiError> {
    for template in array(set, "/spec/volumeClaimTemplates") {
        let mut claim = template.clone();
        let own = format!("{}-{}-{index}", name(template), key.name);
        for (path, value) in [
            (["apiVersion"].as_slice(), json!("v1")),
            (&["kind"], json!("PersistentVolumeClaim")),
            (&["metadata", "name"], json!(own)),
            (&["metadata", "namespace"], json!(key.namespace)),
        ] {
            crate::object::set(&mut claim, path, value);
        }
        for (label, value) in set
            .pointer("/spec/selector/matchLabels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            crate::object::set(&mut claim, &["metadata", "labels", label], value.clone());
        }
        ensure(inner, key, claim).await?;
    }
    Ok(())
}
