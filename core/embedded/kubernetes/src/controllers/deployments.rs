//! Deployments: one ReplicaSet a template, the newest grown as the older ones
//! shrink.

use super::*;
use crate::object::{integer, set_condition};
use crate::state::now;

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

fn revision(object: &Value) -> i64 {
    object
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(REVISION))
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// A count, or a percentage of `total`.
fn share(value: Option<&Value>, total: i64, round_up: bool) -> i64 {
    match value {
        Some(Value::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            if round_up {
                (percent * total + 99) / 100
            } else {
                percent * total / 100
            }
        }
        Some(other) => other.as_i64().unwrap_or(0),
        None => 0,
    }
}

pub(super) async fn reconcile(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    deployment: &Value,
) -> Result<(), ApiError> {
    let template = deployment
        .pointer("/spec/template")
        .cloned()
        .unwrap_or_default();
    let hash = template_hash(&template);
    let own = format!("{}-{hash}", key.name);
    let sets = controlled(inner, REPLICA_SETS, key, deployment);
    let wanted = integer(deployment, "/spec/replicas").unwrap_or(1).max(0);
    let paused = deployment.pointer("/spec/paused") == Some(&Value::Bool(true));
    let newest = sets.iter().map(revision).max().unwrap_or(0);
    let current = sets.iter().find(|one| name(one) == own);
    let number = match current {
        Some(found) if revision(found) == newest => newest,
        _ => newest + 1,
    };
    let older: Vec<&Value> = sets.iter().filter(|one| name(one) != own).collect();
    let replicas = |set: &Value| integer(set, "/spec/replicas").unwrap_or(0);
    let ready = |set: &Value| integer(set, "/status/readyReplicas").unwrap_or(0);
    let rolling = text(deployment, "/spec/strategy/type") != "Recreate";
    let (surge, missing) = if rolling {
        let surge = share(
            deployment.pointer("/spec/strategy/rollingUpdate/maxSurge"),
            wanted,
            true,
        );
        let missing = share(
            deployment.pointer("/spec/strategy/rollingUpdate/maxUnavailable"),
            wanted,
            false,
        );
        (surge, if surge == 0 { missing.max(1) } else { missing })
    } else {
        (0, wanted)
    };
    let older_replicas: i64 = older.iter().map(|one| replicas(one)).sum();
    let older_pods: i64 = older
        .iter()
        .map(|one| {
            controlled(inner, "pods", key, one)
                .iter()
                .filter(|pod| !is_finished(pod))
                .count() as i64
        })
        .sum();
    let held = current.map_or(0, replicas);
    let room = if rolling {
        (wanted + surge - older_replicas).max(held.min(wanted))
    } else if older_pods > 0 {
        0
    } else {
        wanted
    };
    let target = room.min(wanted);
    if current.is_none() && !paused {
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": own, "namespace": key.namespace, "ownerReferences": owner_reference(deployment),
                "labels": template.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({})),
                "annotations": {REVISION: number.to_string()},
            },
            "spec": {"replicas": target, "selector": deployment.pointer("/spec/selector"), "template": template},
        });
        for path in [
            ["metadata", "labels", HASH].as_slice(),
            &["spec", "selector", "matchLabels", HASH],
            &["spec", "template", "metadata", "labels", HASH],
        ] {
            crate::object::set(&mut set, path, json!(hash));
        }
        ensure(inner, key, set).await?;
    } else if let Some(found) = current
        && (held != target || revision(found) != number)
    {
        let place = ObjectKey::new(REPLICA_SETS, &key.cluster, &key.namespace, &own);
        change(inner, &place, "", |set| {
            crate::object::set(set, &["spec", "replicas"], json!(target));
            crate::object::set(
                set,
                &["metadata", "annotations", REVISION],
                json!(number.to_string()),
            );
        })
        .await?;
    }
    if !paused {
        // Older sets give up what is not needed to stay available.
        let available: i64 = sets.iter().map(ready).sum();
        let mut spare = if rolling {
            (available - (wanted - missing)).max(0)
        } else {
            older_replicas
        };
        for set in &older {
            // Pods that are not ready can go at once.
            let useless = (replicas(set) - ready(set)).max(0);
            let give = useless + spare.min(replicas(set) - useless);
            spare -= give - useless;
            if give > 0 {
                let place = ObjectKey::new(REPLICA_SETS, &key.cluster, &key.namespace, name(set));
                let left = replicas(set) - give;
                change(inner, &place, "", |set| {
                    crate::object::set(set, &["spec", "replicas"], json!(left))
                })
                .await?;
            }
        }
        let limit =
            usize::try_from(integer(deployment, "/spec/revisionHistoryLimit").unwrap_or(10))
                .unwrap_or(0);
        let mut idle: Vec<&&Value> = older
            .iter()
            .filter(|one| replicas(one) == 0 && integer(one, "/status/replicas").unwrap_or(0) == 0)
            .collect();
        idle.sort_by_key(|one| revision(one));
        for set in idle.iter().take(idle.len().saturating_sub(limit)) {
            remove(inner, key, REPLICA_SETS, set).await?;
        }
    }
    status(inner, key, deployment, &own, wanted, missing, number).await
}

async fn status(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    deployment: &Value,
    own: &str,
    wanted: i64,
    missing: i64,
    number: i64,
) -> Result<(), ApiError> {
    let sets = controlled(inner, REPLICA_SETS, key, deployment);
    let sum = |pointer: &str| {
        sets.iter()
            .filter_map(|one| integer(one, pointer))
            .sum::<i64>()
    };
    let updated = sets
        .iter()
        .find(|one| name(one) == own)
        .and_then(|one| integer(one, "/status/replicas"))
        .unwrap_or(0);
    let (total, ready) = (sum("/status/replicas"), sum("/status/readyReplicas"));
    let (available, complete) = (
        ready >= wanted - missing,
        updated == wanted && ready >= wanted && total == updated,
    );
    let generation = integer(deployment, "/metadata/generation").unwrap_or(0);
    change(inner, key, "status", |current| {
        let conditions = current.pointer("/status/conditions").cloned();
        let mut status = json!({
            "observedGeneration": generation, "replicas": total, "updatedReplicas": updated, "readyReplicas": ready,
            "availableReplicas": ready, "unavailableReplicas": (wanted - ready).max(0),
        });
        if let Some(conditions) = conditions {
            crate::object::set(&mut status, &["conditions"], conditions);
        }
        crate::object::set(current, &["status"], status);
        let time = now();
        if available {
            set_condition(current, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", &time);
        } else {
            set_condition(current, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", &time);
        }
        if complete {
            let message = format!("ReplicaSet {own:?} has successfully progressed.");
            set_condition(current, "Progressing", "True", "NewReplicaSetAvailable", &message, &time);
        } else {
            let message = format!("ReplicaSet {own:?} is progressing.");
            set_condition(current, "Progressing", "True", "ReplicaSetUpdated", &message, &time);
        }
    })
    .await?;
    change(inner, key, "", |current| {
        crate::object::set(
            current,
            &["metadata", "annotations", REVISION],
            json!(number.to_string()),
        );
    })
    .await
}
