//! Whether a Kubernetes object is as wanted, and what it says about itself.

use catalyst_api::ObjectView;
use serde_json::Value;

use super::json::{condition, is_observed, list, number, shown_time, text};

/// An object as users see it.
pub fn object_view(object: &Value, time: jiff::Timestamp) -> ObjectView {
    let (ready, message) = state(object);
    let namespace = text(object, "/metadata/namespace");
    ObjectView {
        api_version: text(object, "/apiVersion").to_owned(),
        kind: text(object, "/kind").to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: text(object, "/metadata/name").to_owned(),
        ready,
        message,
        observed_at: shown_time(time),
    }
}

/// Whether an object is as wanted (`None` for kinds without a state), and why.
pub fn state(object: &Value) -> (Option<bool>, String) {
    match text(object, "/kind") {
        "Deployment" | "StatefulSet" => replicas(object),
        "Job" => job(object),
        "Pod" => pod(object),
        "PersistentVolumeClaim" => {
            let phase = text(object, "/status/phase");
            (Some(phase == "Bound"), phase.to_owned())
        }
        "HelmRelease" | "Kustomization" | "OCIRepository" | "GitRepository" | "ExternalSecret" => {
            by_condition(object, "Ready")
        }
        "HTTPRoute" => route(object),
        _ => (None, String::new()),
    }
}

fn by_condition(object: &Value, kind: &str) -> (Option<bool>, String) {
    match condition(object, kind) {
        None => (Some(false), "not reconciled yet".to_owned()),
        Some(found) => {
            let is_ready = text(found, "/status") == "True" && is_current(object);
            (Some(is_ready), text(found, "/message").to_owned())
        }
    }
}

/// Not every kind writes `observedGeneration`; what it leaves out is current.
fn is_current(object: &Value) -> bool {
    object.pointer("/status/observedGeneration").is_none() || is_observed(object)
}

fn replicas(object: &Value) -> (Option<bool>, String) {
    let wanted = object
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(1);
    let ready = number(object, "/status/readyReplicas");
    let updated = object
        .pointer("/status/updatedReplicas")
        .and_then(Value::as_i64)
        .unwrap_or(ready);
    let is_ready = ready >= wanted && updated >= wanted && is_current(object);
    (Some(is_ready), format!("{ready} of {wanted} ready"))
}

fn job(object: &Value) -> (Option<bool>, String) {
    let of = |kind| condition(object, kind).filter(|found| text(found, "/status") == "True");
    if let Some(failed) = of("Failed") {
        return (Some(false), text(failed, "/message").to_owned());
    }
    if of("Complete").is_some() {
        return (Some(true), "complete".to_owned());
    }
    (Some(false), "not complete yet".to_owned())
}

fn route(object: &Value) -> (Option<bool>, String) {
    let conditions = list(object, "/status/parents")
        .iter()
        .flat_map(|parent| list(parent, "/conditions"));
    for found in conditions {
        if text(found, "/type") == "Accepted" {
            let is_accepted = text(found, "/status") == "True";
            return (Some(is_accepted), text(found, "/message").to_owned());
        }
    }
    (None, String::new())
}

fn pod(object: &Value) -> (Option<bool>, String) {
    let phase = text(object, "/status/phase");
    if phase == "Succeeded" {
        return (Some(true), "complete".to_owned());
    }
    let is_ready = condition(object, "Ready").is_some_and(|ready| text(ready, "/status") == "True");
    match pod_problem(object) {
        Some(problem) => (Some(false), problem),
        None if is_ready => (Some(true), "ready".to_owned()),
        None => (Some(false), phase.to_lowercase()),
    }
}

/// Why a pod does not run, in its own words; `None` while it runs, ended well
/// or only starts.
pub fn pod_problem(pod: &Value) -> Option<String> {
    let containers = list(pod, "/status/initContainerStatuses")
        .iter()
        .chain(list(pod, "/status/containerStatuses"));
    for container in containers {
        let name = text(container, "/name");
        let waiting = text(container, "/state/waiting/reason");
        if !is_starting(waiting) {
            let said = text(container, "/state/waiting/message");
            let last = ended(container, "/lastState/terminated", said);
            let parts = [said.to_owned(), last.unwrap_or_default()];
            let rest: Vec<String> = parts.into_iter().filter(|it| !it.is_empty()).collect();
            let rest = rest.join("; ");
            return Some(joined(&format!("container {name}: {waiting}"), &rest));
        }
        let is_over = container.pointer("/state/terminated").is_some();
        if is_over && number(container, "/state/terminated/exitCode") != 0 {
            let said = ended(container, "/state/terminated", "").unwrap_or_default();
            return Some(joined(&format!("container {name}"), &said));
        }
    }
    let unscheduled = condition(pod, "PodScheduled")
        .filter(|found| text(found, "/status") == "False")
        .map(|found| text(found, "/message").to_owned());
    if unscheduled.is_some() {
        return unscheduled;
    }
    (text(pod, "/status/phase") == "Failed")
        .then(|| joined(text(pod, "/status/reason"), text(pod, "/status/message")))
}

/// What the first container of a pod that waits for more than its start says of it, in
/// the node's own words, and what it said itself before it ended; the empty ones left
/// out.
pub fn said_of_waiting(pod: &Value) -> Vec<String> {
    let waiting = list(pod, "/status/initContainerStatuses")
        .iter()
        .chain(list(pod, "/status/containerStatuses"))
        .find(|container| !is_starting(text(container, "/state/waiting/reason")));
    let places = ["/state/waiting/message", "/lastState/terminated/message"];
    waiting.map_or_else(Vec::new, |container| {
        let said = places.map(|place| text(container, place).trim().to_owned());
        said.into_iter().filter(|it| !it.is_empty()).collect()
    })
}

/// Whether a container with this reason to wait only starts, or does not wait.
fn is_starting(waiting: &str) -> bool {
    matches!(waiting, "" | "ContainerCreating" | "PodInitializing")
}

/// How a container ended, with its last words where they were not told before.
fn ended(container: &Value, pointer: &str, told: &str) -> Option<String> {
    let state = container.pointer(pointer)?;
    let code = number(state, "/exitCode");
    let head = match text(state, "/reason") {
        "" | "Error" => format!("exited with {code}"),
        reason => format!("{reason}, exited with {code}"),
    };
    let said = text(state, "/message").trim();
    Some(match told.contains(said) {
        true => head,
        false => joined(&head, said),
    })
}

fn joined(head: &str, rest: &str) -> String {
    match (head.is_empty(), rest.is_empty()) {
        (_, true) => head.to_owned(),
        (true, false) => rest.to_owned(),
        (false, false) => format!("{head}: {rest}"),
    }
}
