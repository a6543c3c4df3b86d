//! Whether an object has reached what its spec asks for (kstatus' rules, as
//! Flux and Helm 4 wait by them; Jobs must have completed).

use serde_json::Value;

use crate::json::{integer, list, some_text, text};

/// What an object says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Current,
    /// Not there yet, and why.
    InProgress(String),
    /// It will not get there, and why.
    Failed(String),
    /// It is being deleted.
    Terminating,
}

impl Readiness {
    /// kstatus' word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::InProgress(_) => "InProgress",
            Self::Failed(_) => "Failed",
            Self::Terminating => "Terminating",
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Self::InProgress(why) | Self::Failed(why) => why,
            Self::Current | Self::Terminating => "",
        }
    }
}

fn waiting(why: impl Into<String>) -> Readiness {
    Readiness::InProgress(why.into())
}

/// Judges one object.
pub fn readiness(object: &Value) -> Readiness {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Readiness::Terminating;
    }
    let generation = integer(object, "/metadata/generation");
    if let Some(observed) = object
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64)
        && observed != generation
    {
        return waiting(format!(
            "generation is {generation}, but only {observed} was observed"
        ));
    }
    if let Some(one) = condition(object, "Stalled", "True") {
        return Readiness::Failed(said(one));
    }
    if let Some(one) = condition(object, "Reconciling", "True") {
        return waiting(said(one));
    }
    match (
        crate::json::group_version(text(object, "/apiVersion")).0,
        text(object, "/kind"),
    ) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => match text(object, "/status/phase") {
            "Bound" => Readiness::Current,
            phase => waiting(format!("the claim is not bound; phase: {phase}")),
        },
        ("", "Service") => service(object),
        ("", "Namespace") => Readiness::Current,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => custom(object),
    }
}

fn condition<'a>(object: &'a Value, kind: &str, status: &str) -> Option<&'a Value> {
    list(object, "/status/conditions")
        .iter()
        .find(|one| text(one, "/type") == kind && text(one, "/status") == status)
}

fn said(condition: &Value) -> String {
    match (text(condition, "/reason"), text(condition, "/message")) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn replicas(object: &Value) -> i64 {
    object
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(1)
}

/// The first count that falls short.
fn short(object: &Value, wanted: i64, counts: &[(&str, &str)]) -> Option<Readiness> {
    counts.iter().find_map(|(field, word)| {
        let count = integer(object, &format!("/status/{field}"));
        (count < wanted).then(|| waiting(format!("{word}: {count}/{wanted}")))
    })
}

fn deployment(object: &Value) -> Readiness {
    if let Some(one) = list(object, "/status/conditions").iter().find(|one| {
        text(one, "/type") == "Progressing" && text(one, "/reason") == "ProgressDeadlineExceeded"
    }) {
        return Readiness::Failed(said(one));
    }
    if object.pointer("/status/observedGeneration").is_none() && replicas(object) > 0 {
        return waiting("its controller has not seen it yet");
    }
    let wanted = replicas(object);
    if let Some(lacking) = short(
        object,
        wanted,
        &[("replicas", "replicas"), ("updatedReplicas", "updated")],
    ) {
        return lacking;
    }
    let total = integer(object, "/status/replicas");
    let updated = integer(object, "/status/updatedReplicas");
    if total > updated {
        return waiting(format!("pending termination: {}", total - updated));
    }
    short(
        object,
        wanted.max(updated),
        &[("availableReplicas", "available")],
    )
    .or_else(|| short(object, wanted, &[("readyReplicas", "ready")]))
    .unwrap_or(Readiness::Current)
}

fn stateful_set(object: &Value) -> Readiness {
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Readiness::Current;
    }
    let wanted = replicas(object);
    if object.pointer("/status/observedGeneration").is_none() && wanted > 0 {
        return waiting("its controller has not seen it yet");
    }
    let partition = integer(object, "/spec/updateStrategy/rollingUpdate/partition");
    if let Some(lacking) = short(
        object,
        wanted,
        &[("replicas", "replicas"), ("readyReplicas", "ready")],
    ) {
        return lacking;
    }
    if partition > 0 {
        return short(
            object,
            wanted - partition,
            &[("updatedReplicas", "updated")],
        )
        .unwrap_or(Readiness::Current);
    }
    let (current, update) = (
        text(object, "/status/currentRevision"),
        text(object, "/status/updateRevision"),
    );
    if !update.is_empty() && current != update {
        return waiting(format!(
            "waiting for the update to finish: {}/{wanted} updated",
            integer(object, "/status/updatedReplicas")
        ));
    }
    Readiness::Current
}

fn daemon_set(object: &Value) -> Readiness {
    let Some(wanted) = object
        .pointer("/status/desiredNumberScheduled")
        .and_then(Value::as_i64)
    else {
        return waiting("its controller has not seen it yet");
    };
    short(
        object,
        wanted,
        &[
            ("currentNumberScheduled", "scheduled"),
            ("updatedNumberScheduled", "updated"),
            ("numberAvailable", "available"),
            ("numberReady", "ready"),
        ],
    )
    .unwrap_or(Readiness::Current)
}

fn replica_set(object: &Value) -> Readiness {
    if let Some(one) = condition(object, "ReplicaFailure", "True") {
        return waiting(said(one));
    }
    short(
        object,
        replicas(object),
        &[
            ("replicas", "replicas"),
            ("availableReplicas", "available"),
            ("readyReplicas", "ready"),
        ],
    )
    .unwrap_or(Readiness::Current)
}

fn job(object: &Value) -> Readiness {
    if let Some(one) = condition(object, "Failed", "True") {
        return Readiness::Failed(format!("the job failed: {}", said(one)));
    }
    if condition(object, "Complete", "True").is_some() {
        return Readiness::Current;
    }
    if condition(object, "Suspended", "True").is_some() {
        return Readiness::Current;
    }
    waiting(format!(
        "the job is not complete: {} active, {} succeeded, {} failed",
        integer(object, "/status/active"),
        integer(object, "/status/succeeded"),
        integer(object, "/status/failed")
    ))
}

fn pod(object: &Value) -> Readiness {
    match text(object, "/status/phase") {
        "Succeeded" => Readiness::Current,
        "Failed" => Readiness::Failed(format!("the pod failed: {}", pod_cause(object))),
        "Running" if condition(object, "Ready", "True").is_some() => Readiness::Current,
        phase => waiting(format!("phase {phase}: {}", pod_cause(object))),
    }
}

fn service(object: &Value) -> Readiness {
    let is_balancer = text(object, "/spec/type") == "LoadBalancer";
    if is_balancer && some_text(object, "/spec/clusterIP").is_none() {
        return waiting("the service has no cluster address yet");
    }
    Readiness::Current
}

fn definition(object: &Value) -> Readiness {
    if let Some(one) = condition(object, "NamesAccepted", "False") {
        return Readiness::Failed(said(one));
    }
    if condition(object, "Established", "True").is_some() {
        return Readiness::Current;
    }
    waiting("the definition is not established yet")
}

fn custom(object: &Value) -> Readiness {
    let ready = list(object, "/status/conditions")
        .iter()
        .find(|one| text(one, "/type") == "Ready");
    match ready {
        Some(one) if text(one, "/status") != "True" => waiting(said(one)),
        Some(_) => Readiness::Current,
        None => match object.pointer("/metadata/generation") {
            // A kind with a Ready condition has none before its controller saw
            // the object: -1 is how Flux's own kinds say so.
            _ if integer(object, "/status/observedGeneration") == -1 => {
                waiting("its controller has not seen it yet")
            }
            _ => Readiness::Current,
        },
    }
}

/// Why a pod does not run, in one line: what its containers or its scheduling
/// say.
pub fn pod_cause(pod: &Value) -> String {
    let states = list(pod, "/status/initContainerStatuses")
        .iter()
        .chain(list(pod, "/status/containerStatuses"));
    for status in states {
        let name = text(status, "/name");
        for state in [
            "/state/waiting",
            "/state/terminated",
            "/lastState/terminated",
        ] {
            let Some(found) = status.pointer(state) else {
                continue;
            };
            let reason = text(found, "/reason");
            let harmless = ["", "ContainerCreating", "PodInitializing", "Completed"];
            if harmless.contains(&reason) {
                continue;
            }
            let message = match text(found, "/message") {
                "" => match integer(found, "/exitCode") {
                    0 => String::new(),
                    code => format!(": exit code {code}"),
                },
                message => format!(": {message}"),
            };
            return format!("container {name}: {reason}{message}");
        }
    }
    if let Some(one) = condition(pod, "PodScheduled", "False") {
        return said(one);
    }
    if let Some(message) = some_text(pod, "/status/message") {
        return message.to_owned();
    }
    match condition(pod, "Ready", "False") {
        Some(one) => said(one),
        None => format!("phase {}", text(pod, "/status/phase")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn word(object: Value) -> &'static str {
        readiness(&object).word()
    }

    #[test]
    fn objects_are_judged_as_kstatus_judges_them() {
        let deployment = |status: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
        let full = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2});
        let mut stale = full.clone();
        stale["observedGeneration"] = json!(1);
        let mut old_left = full.clone();
        old_left["replicas"] = json!(3);
        let mut late = full.clone();
        late["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]);
        let job = |conditions: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"startTime": "x", "conditions": conditions}});
        for (object, wanted) in [
            (deployment(full), "Current"),
            (deployment(stale), "InProgress"),
            (deployment(json!({})), "InProgress"),
            (deployment(old_left), "InProgress"),
            (deployment(late), "Failed"),
            (job(json!([])), "InProgress"),
            (
                job(json!([{"type": "Complete", "status": "True"}])),
                "Current",
            ),
            (
                job(
                    json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]),
                ),
                "Failed",
            ),
            (json!({"apiVersion": "v1", "kind": "ConfigMap"}), "Current"),
            (
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "x"}}),
                "Terminating",
            ),
            (
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}}),
                "InProgress",
            ),
            (
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Bound"}}),
                "Current",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
                "Current",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}}),
                "InProgress",
            ),
            (
                json!({"apiVersion": "example.org/v1", "kind": "Thing", "status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
                "InProgress",
            ),
            (
                json!({"apiVersion": "example.org/v1", "kind": "Thing", "status": {"conditions": [{"type": "Stalled", "status": "True"}]}}),
                "Failed",
            ),
            (
                json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}),
                "InProgress",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 1}, "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"}}),
                "InProgress",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 1}, "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "b", "updateRevision": "b"}}),
                "Current",
            ),
        ] {
            assert_eq!(word(object.clone()), wanted, "{object}");
        }
    }

    #[test]
    fn a_pods_cause_is_its_containers_word() {
        let pod = json!({"status": {"phase": "Running", "containerStatuses": [
            {"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}]}});
        assert_eq!(
            pod_cause(&pod),
            "container web: CrashLoopBackOff: back-off 10s"
        );
    }
}
