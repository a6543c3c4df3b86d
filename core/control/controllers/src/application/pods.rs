//! What is wrong with a pod, in words for people. Pure.

use serde_json::Value;

use crate::object::{array, condition, is_deleting, name, text};

/// So many restarts, and waiting is not the cure.
const MANY_RESTARTS: i64 = 3;

/// Why a pod does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One CamelCase word.
    pub reason: &'static str,
    /// Which pod and container, and what it said.
    pub message: String,
    /// Whether waiting will hardly help.
    pub is_lasting: bool,
    /// The container whose log tells more, and whether its previous run does.
    pub log: Option<(String, bool)>,
}

/// Looks for the first problem of a pod; none for one that runs, starts, ended
/// well or is being deleted.
pub fn pod_problem(pod: &Value) -> Option<Problem> {
    if is_deleting(pod) || text(pod, "/status/phase") == "Succeeded" {
        return None;
    }
    let pod_name = name(pod);
    if let Some(scheduled) = condition(pod, "PodScheduled")
        && text(scheduled, "/status") == "False"
    {
        return Some(Problem {
            reason: "Unschedulable",
            message: format!(
                "the pod {pod_name} finds no place: {}",
                text(scheduled, "/message")
            ),
            is_lasting: true,
            log: None,
        });
    }
    let containers = array(pod, "/status/initContainerStatuses")
        .iter()
        .chain(array(pod, "/status/containerStatuses"));
    for container in containers {
        if let Some(problem) = container_problem(pod_name, container) {
            return Some(problem);
        }
    }
    (text(pod, "/status/phase") == "Failed").then(|| Problem {
        reason: "PodFailed",
        message: format!(
            "the pod {pod_name} failed: {}",
            first_of(pod, &["/status/message", "/status/reason"])
        ),
        is_lasting: true,
        log: None,
    })
}

fn container_problem(pod: &str, container: &Value) -> Option<Problem> {
    let container_name = name_of(container);
    let restarts = container
        .get("restartCount")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let waiting = text(container, "/state/waiting/reason");
    let said = first_of(
        container,
        &["/state/waiting/message", "/state/waiting/reason"],
    );
    match waiting {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
        | "ImageInspectError" => {
            return Some(Problem {
                reason: "ImageNotPulled",
                message: format!(
                    "the image {} of the container {container_name} in the pod {pod} cannot be pulled: {said}",
                    text(container, "/image")
                ),
                is_lasting: true,
                log: None,
            });
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            return Some(Problem {
                reason: "ContainerNotStarted",
                message: format!(
                    "the container {container_name} in the pod {pod} cannot be started: {said}"
                ),
                // A Secret may be on its way.
                is_lasting: waiting != "CreateContainerConfigError",
                log: None,
            });
        }
        _ => {}
    }
    let (ended, previous) = match exit(container, "/state/terminated") {
        Some(ended) => (Some(ended), false),
        None if waiting == "CrashLoopBackOff" => (exit(container, "/lastState/terminated"), true),
        None => (None, false),
    };
    if waiting != "CrashLoopBackOff" && ended.is_none() {
        return None;
    }
    let how = ended.unwrap_or_else(|| said.to_owned());
    Some(Problem {
        reason: "CrashLoop",
        message: format!("the container {container_name} in the pod {pod} ended with {how}"),
        is_lasting: restarts >= MANY_RESTARTS,
        log: Some((container_name.to_owned(), previous)),
    })
}

/// How a container ended, if it did and not well.
fn exit(container: &Value, pointer: &str) -> Option<String> {
    let ended = container.pointer(pointer)?;
    let code = ended.get("exitCode").and_then(Value::as_i64)?;
    if code == 0 {
        return None;
    }
    let reason = text(ended, "/reason");
    Some(if reason.is_empty() || reason == "Error" {
        format!("exit code {code}")
    } else {
        format!("exit code {code} ({reason})")
    })
}

fn name_of(container: &Value) -> &str {
    text(container, "/name")
}

fn first_of<'a>(value: &'a Value, pointers: &[&str]) -> &'a str {
    pointers
        .iter()
        .map(|pointer| text(value, pointer))
        .find(|text| !text.is_empty())
        .unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_that_cannot_be_had_is_told_with_its_cause_once() {
        let pod = json!({"metadata": {"name": "web-0"}, "status": {"phase": "Pending", "containerStatuses": [{
            "name": "web", "image": "ghcr.io/acme/web:9",
            "state": {"waiting": {"reason": "ErrImagePull", "message": "the registry at https://ghcr.io has no 9 of acme/web; check name and tag"}},
        }]}});
        assert_eq!(
            pod_problem(&pod).unwrap().message,
            "the image ghcr.io/acme/web:9 of the container web in the pod web-0 cannot be pulled: the registry at https://ghcr.io has no 9 of acme/web; check name and tag"
        );
    }

    #[test]
    fn pods_and_what_is_wrong_with_them() {
        type Case<'a> = (&'a str, Value, Option<(&'a str, bool)>);
        let cases: &[Case<'_>] = &[
            (
                "starting",
                json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ContainerCreating"}}}]}}),
                None,
            ),
            (
                "ended well",
                json!({"status": {"phase": "Succeeded", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 0}}}]}}),
                None,
            ),
            (
                "being deleted",
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Failed"}}),
                None,
            ),
            (
                "no place",
                json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node has 64 cpus"}]}}),
                Some(("Unschedulable", true)),
            ),
            (
                "waits for a Secret",
                json!({"status": {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret not found"}}}]}}),
                Some(("ContainerNotStarted", false)),
            ),
            (
                "init container failed",
                json!({"status": {"initContainerStatuses": [{"name": "i", "restartCount": 0, "state": {"terminated": {"exitCode": 1}}}]}}),
                Some(("CrashLoop", false)),
            ),
            (
                "evicted",
                json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "the node ran out of memory"}}),
                Some(("PodFailed", true)),
            ),
        ];
        for (what, pod, expected) in cases {
            let found = pod_problem(pod);
            assert_eq!(
                found.as_ref().map(|one| (one.reason, one.is_lasting)),
                *expected,
                "{what}"
            );
        }
    }
}
