//! Jobs: pods until enough have succeeded, or too many have failed.

use super::*;
use crate::object::{integer, set_condition, set_default};
use crate::state::now;

pub(super) async fn reconcile(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    job: &Value,
) -> Result<(), ApiError> {
    if has_condition(job, "Complete") || has_condition(job, "Failed") {
        return Ok(());
    }
    let pods = controlled(inner, "pods", key, job);
    let phase = |wanted: &str| {
        pods.iter()
            .filter(|pod| text(pod, "/status/phase") == wanted)
            .count() as i64
    };
    let (succeeded, failed) = (phase("Succeeded"), phase("Failed"));
    let completions = integer(job, "/spec/completions");
    let parallelism = integer(job, "/spec/parallelism").unwrap_or(1).max(0);
    let limit = integer(job, "/spec/backoffLimit").unwrap_or(6);
    let suspended = job.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let active: Vec<&Value> = pods.iter().filter(|pod| is_active(pod)).collect();
    let running = active.len() as i64;
    let complete = match completions {
        Some(wanted) => succeeded >= wanted,
        None => succeeded > 0 && running == 0,
    };
    let has_failed = !complete && failed > limit;
    let wanted = if complete || has_failed || suspended {
        0
    } else {
        completions.map_or(parallelism, |total| parallelism.min(total - succeeded))
    };
    for _ in running..wanted {
        let mut pod = pod_of(job);
        crate::object::set(
            &mut pod,
            &["metadata", "generateName"],
            json!(format!("{}-", key.name)),
        );
        create_one(inner, &key.cluster, pod).await?;
    }
    let surplus = usize::try_from((running - wanted).max(0)).unwrap_or(0);
    for pod in active.iter().take(surplus) {
        remove(inner, key, "pods", pod).await?;
    }
    let pods = controlled(inner, "pods", key, job);
    let active = pods.iter().filter(|pod| is_active(pod)).count();
    let ready = pods
        .iter()
        .filter(|pod| is_active(pod) && is_ready(pod))
        .count();
    change(inner, key, "status", |current| {
        let time = now();
        set_default(current, &["status", "startTime"], json!(time));
        for (field, value) in [
            ("active", active as i64),
            ("ready", ready as i64),
            ("succeeded", succeeded),
            ("failed", failed),
        ] {
            crate::object::set(current, &["status", field], json!(value));
        }
        if complete {
            set_condition(
                current,
                "SuccessCriteriaMet",
                "True",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
                &time,
            );
            set_condition(
                current,
                "Complete",
                "True",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
                &time,
            );
            set_default(current, &["status", "completionTime"], json!(time));
        } else if has_failed {
            let message = "Job has reached the specified backoff limit";
            set_condition(
                current,
                "FailureTarget",
                "True",
                "BackoffLimitExceeded",
                message,
                &time,
            );
            set_condition(
                current,
                "Failed",
                "True",
                "BackoffLimitExceeded",
                message,
                &time,
            );
        }
    })
    .await
}
