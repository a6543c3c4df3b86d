//! How something is: computed from the facts that are held, each time anew.
//!
//! Nothing is remembered between two computations, so a state can never stick,
//! and the same facts always give the same health.

use catalyst_api::Health;
use jiff::Timestamp;
use serde_json::Value;

use super::json::{condition, is_deleting, is_observed, shown_time, text};
use super::objects::{pod_problem, said_of_waiting, state};
use crate::fact::ObjectFact;

/// An object with the time at which it was observed.
pub type Seen<'a> = (&'a ObjectFact, Timestamp);

/// The health of an Organization or Environment, by its condition `Ready`.
pub fn of_object(object: &Value, time: Timestamp) -> Health {
    let ready = condition(object, "Ready");
    let since = |fallback: &str| {
        let changed = ready.map(|it| text(it, "/lastTransitionTime"));
        times([changed.unwrap_or_default(), fallback])
    };
    let created = text(object, "/metadata/creationTimestamp");
    let reason = ready.map_or("NotReconciled", |it| text(it, "/reason"));
    let message = ready.map_or("not reconciled yet", |it| text(it, "/message"));
    let status = ready.map_or("Unknown", |it| text(it, "/status"));
    let (phase, since) = if is_deleting(object) {
        let asked = text(object, "/metadata/deletionTimestamp");
        ("Deleting", times([asked, created]))
    } else {
        let phase = match status {
            "True" if is_observed(object) => "Running",
            "True" => "Updating",
            "False" => "Failed",
            _ => "Installing",
        };
        (phase, since(created))
    };
    Health {
        phase: phase.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_at: shown_time(time),
        since: since.unwrap_or_else(|| shown_time(time)),
    }
}

/// The health of a source of Blueprints: stale while its parts are away, as what was
/// published before goes on; degraded where all is published and something in the
/// registry is refused.
pub fn of_source(object: &Value, time: Timestamp) -> Health {
    let said = condition(object, "Ready").map_or("", |it| text(it, "/status"));
    let mut health = of_object(object, time);
    if said == "Unknown" {
        "Stale".clone_into(&mut health.phase);
    }
    let admitted = condition(object, "Admitted").filter(|it| text(it, "/status") == "False");
    if health.phase == "Running"
        && let Some(refused) = admitted
    {
        "Degraded".clone_into(&mut health.phase);
        text(refused, "/reason").clone_into(&mut health.reason);
        text(refused, "/message").clone_into(&mut health.message);
        let changed = text(refused, "/lastTransitionTime");
        health.since = times([changed, &health.since]).unwrap_or_default();
    }
    health
}

/// The health of an Application: what its controller says of it, corrected by
/// what is known since, with the cause out of its objects.
pub fn of_application(application: Seen<'_>, objects: &[Seen<'_>]) -> Health {
    let (fact, time) = application;
    let object = &fact.object;
    let newest = objects.iter().map(|it| it.1).chain([time]).max();
    let ready = condition(object, "Ready");
    let said = ready.map_or("", |it| text(it, "/message"));
    let reason = ready.map_or("", |it| text(it, "/reason"));
    let changed = ready.map_or("", |it| text(it, "/lastTransitionTime"));
    let created = text(object, "/metadata/creationTimestamp");
    let phase = text(object, "/status/phase");
    let cause = cause(objects);
    let health = |phase: &str, reason: &str, message: String, since: [&str; 2]| Health {
        phase: phase.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_at: shown_time(newest.unwrap_or(time)),
        since: times(since).unwrap_or_else(|| shown_time(time)),
    };
    let is_asked = object.pointer("/spec/deletion").is_some();
    if is_deleting(object) || is_asked {
        let message = first_of([said, "its objects are being removed"]);
        let asked = text(object, "/metadata/deletionTimestamp");
        return health("Deleting", "Deleting", message, [asked, changed]);
    }
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        let message = "reconciling is suspended by spec.paused".to_owned();
        return health("Paused", "Paused", message, [changed, created]);
    }
    if phase.is_empty() {
        let message = with_cause("waiting for its controller", cause.as_ref());
        return health("Installing", "NotReconciled", message, [created, ""]);
    }
    if !is_observed(object) && phase == "Running" {
        let message = "a change waits for its controller".to_owned();
        return health("Updating", "NotReconciled", message, [changed, created]);
    }
    // The controller said so before the pod failed.
    if phase == "Running"
        && let Some(cause) = cause.as_ref().filter(|cause| cause.is_running)
    {
        let message = with_cause("", Some(cause));
        return health("Degraded", &cause.reason, message, [&cause.since, changed]);
    }
    let reason = first_of([reason, phase]);
    let message = match phase {
        "Running" => said.to_owned(),
        _ => with_cause(said, cause.as_ref()),
    };
    health(phase, &reason, message, [changed, created])
}

/// Why an Application does not run.
struct Cause {
    reason: String,
    text: String,
    since: String,
    /// The words in it that are not this program's own.
    said: Vec<String>,
    /// Whether a running pod says so, and not a step on the way.
    is_running: bool,
}

/// The deepest cause that the objects tell: a pod's, then a release's or a
/// source's, then the newest warning.
fn cause(objects: &[Seen<'_>]) -> Option<Cause> {
    let of_kind = |kinds: &'static [&'static str]| {
        objects
            .iter()
            .map(|seen| &seen.0.object)
            .filter(move |object| kinds.contains(&text(object, "/kind")))
    };
    for pod in of_kind(&["Pod"]).filter(|pod| !is_deleting(pod)) {
        if let Some(problem) = pod_problem(pod) {
            let changed = condition(pod, "Ready").map_or("", |it| text(it, "/lastTransitionTime"));
            return Some(Cause {
                reason: "PodFailing".to_owned(),
                text: format!("pod {}: {problem}", text(pod, "/metadata/name")),
                since: changed.to_owned(),
                said: said_of_waiting(pod),
                is_running: true,
            });
        }
    }
    let delivery = &[
        "OCIRepository",
        "ExternalSecret",
        "HelmRelease",
        "Kustomization",
        "Job",
    ];
    for object in of_kind(delivery) {
        let failed = condition(object, "Ready")
            .or_else(|| condition(object, "Failed"))
            .filter(|found| {
                let is_failed = text(found, "/type") == "Failed";
                text(found, "/status") == if is_failed { "True" } else { "False" }
            });
        if let Some(found) = failed
            && state(object).0 == Some(false)
        {
            let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
            return Some(Cause {
                reason: first_of([text(found, "/reason"), "NotReady"]),
                text: format!("{kind} {name}: {}", text(found, "/message")),
                since: text(found, "/lastTransitionTime").to_owned(),
                said: vec![text(found, "/message").to_owned()],
                is_running: false,
            });
        }
    }
    newest_warning(objects)
}

/// The newest warning about an object that is there and not as wanted.
fn newest_warning(objects: &[Seen<'_>]) -> Option<Cause> {
    let is_unwell = |event: &Value| {
        objects.iter().any(|(fact, _)| {
            let object = &fact.object;
            text(object, "/kind") == text(event, "/involvedObject/kind")
                && text(object, "/metadata/name") == text(event, "/involvedObject/name")
                && state(object).0 == Some(false)
        })
    };
    let events = objects
        .iter()
        .map(|seen| &seen.0.object)
        .filter(|object| text(object, "/kind") == "Event" && is_unwell(object));
    let event = events.max_by_key(|event| {
        (
            text(event, "/lastTimestamp").to_owned(),
            text(event, "/metadata/name").to_owned(),
        )
    })?;
    let kind = text(event, "/involvedObject/kind");
    let name = text(event, "/involvedObject/name");
    Some(Cause {
        reason: first_of([text(event, "/reason"), "Warning"]),
        text: format!("{kind} {name}: {}", text(event, "/message")),
        since: text(event, "/lastTimestamp").to_owned(),
        said: said_of_event(text(event, "/message")),
        is_running: false,
    })
}

/// What an event says, and without what a kubelet puts before the words it was given:
/// those are the ones that others tell as well.
fn said_of_event(message: &str) -> Vec<String> {
    let of_image = message
        .strip_prefix("Failed to pull image \"")
        .and_then(|rest| rest.split_once("\": "))
        .map(|(_, reason)| reason);
    let given = of_image.or_else(|| message.strip_prefix("Error: "));
    std::iter::once(message)
        .chain(given)
        .map(str::to_owned)
        .collect()
}

/// A sentence and its cause, unless the sentence names the cause already, be it with
/// other words around what was said.
fn with_cause(said: &str, cause: Option<&Cause>) -> String {
    let is_told = |cause: &Cause| {
        let mut words = cause.said.iter().chain([&cause.text]);
        words.any(|words| !words.is_empty() && said.contains(words.as_str()))
    };
    match cause {
        Some(cause) if is_told(cause) => said.to_owned(),
        Some(cause) if said.is_empty() => cause.text.clone(),
        Some(cause) => format!("{said}; {}", cause.text),
        None => said.to_owned(),
    }
}

fn first_of(texts: [&str; 2]) -> String {
    let found = texts.into_iter().find(|text| !text.is_empty());
    found.unwrap_or_default().to_owned()
}

/// The first of several times that can be read, as times are shown.
fn times(texts: [&str; 2]) -> Option<String> {
    let parsed = texts.into_iter().find_map(|text| text.parse().ok());
    parsed.map(shown_time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_is_as_good_as_the_worst_that_is_known_of_it() {
        let since = |second: u8| format!("2026-01-01T00:00:0{second}.000Z");
        let of = |ready: &str, admitted: Option<&str>| {
            let mut conditions = vec![
                json!({"type": "Ready", "status": ready, "reason": "R", "message": "r", "lastTransitionTime": since(1)}),
            ];
            conditions.extend(admitted.map(|status| {
                json!({"type": "Admitted", "status": status, "reason": "A", "message": "a", "lastTransitionTime": since(2)})
            }));
            let health = of_source(
                &json!({
                    "metadata": {"name": "acme", "generation": 1},
                    "status": {"observedGeneration": 1, "conditions": conditions},
                }),
                Timestamp::UNIX_EPOCH,
            );
            (health.phase, health.reason, health.message, health.since)
        };
        for (ready, admitted, phase, reason, changed) in [
            ("True", Some("True"), "Running", "R", 1),
            // Of before that was told.
            ("True", None, "Running", "R", 1),
            ("True", Some("False"), "Degraded", "A", 2),
            ("False", Some("False"), "Failed", "R", 1),
            ("Unknown", Some("False"), "Stale", "R", 1),
        ] {
            let expected = (
                phase.to_owned(),
                reason.to_owned(),
                reason.to_lowercase(),
                since(changed),
            );
            assert_eq!(of(ready, admitted), expected);
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let fact = |object: Value| ObjectFact {
            cluster: "lo-loc-rtz-dev-acme".into(),
            application: Some("guests".into()),
            object,
        };
        let words = "cannot pull image r/x:1: r has no 1 of x";
        let pod = fact(json!({
            "kind": "Pod", "metadata": {"name": "guests-1"},
            "status": {"phase": "Pending", "containerStatuses": [{
                "name": "web", "state": {"waiting": {"reason": "ErrImagePull", "message": words}},
            }]},
        }));
        let told = |message: &str| {
            let application = fact(json!({
                "kind": "Application", "metadata": {"name": "guests"}, "spec": {},
                "status": {"phase": "Failed", "conditions": [
                    {"type": "Ready", "status": "False", "reason": "X", "message": message},
                ]},
            }));
            let time = Timestamp::UNIX_EPOCH;
            of_application((&application, time), &[(&pod, time)]).message
        };
        let its_own = format!("the container web in the pod guests-1 has no image: {words}");
        assert_eq!(told(&its_own), its_own);
        let cause = format!("pod guests-1: container web: ErrImagePull: {words}");
        assert_eq!(told(""), cause);
        assert_eq!(told("install failed"), format!("install failed; {cause}"));
    }

    #[test]
    fn an_event_does_not_tell_again_what_its_controller_says() {
        let fact = |object: Value| ObjectFact {
            cluster: "lo-loc-rtz-dev-acme".into(),
            application: Some("guests".into()),
            object,
        };
        let reason = "the registry has no 9 of acme/web; check name and tag";
        // It pulls once more, so that only the event tells of the last time.
        let pod = fact(json!({
            "kind": "Pod", "metadata": {"name": "guests-1"},
            "status": {"phase": "Pending", "containerStatuses": [{
                "name": "web", "state": {"waiting": {"reason": "ContainerCreating"}},
            }]},
        }));
        let told = |warning: &str, message: &str| {
            let event = fact(json!({
                "kind": "Event", "metadata": {"name": "guests-1.1"},
                "type": "Warning", "reason": "Failed", "message": warning,
                "lastTimestamp": "2026-01-01T00:00:00Z",
                "involvedObject": {"kind": "Pod", "name": "guests-1"},
            }));
            let application = fact(json!({
                "kind": "Application", "metadata": {"name": "guests"}, "spec": {},
                "status": {"phase": "Failed", "conditions": [
                    {"type": "Ready", "status": "False", "reason": "X", "message": message},
                ]},
            }));
            let time = Timestamp::UNIX_EPOCH;
            of_application((&application, time), &[(&pod, time), (&event, time)]).message
        };
        let image = format!("the image r/acme/web:9 of web cannot be pulled: {reason}");
        for (warning, message, expected) in [
            (
                format!("Failed to pull image \"r/acme/web:9\": {reason}"),
                image.as_str(),
                image.clone(),
            ),
            (
                format!("Error: {reason}"),
                image.as_str(),
                image.clone(),
            ),
            // Another cause is news.
            (
                "Failed to pull image \"r/acme/web:9\": nobody answers".to_owned(),
                "install failed",
                "install failed; Pod guests-1: Failed to pull image \"r/acme/web:9\": nobody answers"
                    .to_owned(),
            ),
        ] {
            assert_eq!(told(&warning, message), expected);
        }
    }

    #[test]
    fn the_last_words_of_a_container_are_told_once() {
        let last = "/bin/start: there is no room";
        let pod = json!({
            "kind": "Pod", "metadata": {"name": "db-0"},
            "status": {"containerStatuses": [{
                "name": "db",
                "state": {"waiting": {
                    "reason": "CrashLoopBackOff", "message": format!("back-off 10s: {last}"),
                }},
                "lastState": {"terminated": {"exitCode": 1, "message": last}},
            }]},
        });
        let problem =
            format!("container db: CrashLoopBackOff: back-off 10s: {last}; exited with 1");
        assert_eq!(pod_problem(&pod), Some(problem.clone()));
        let cause = Cause {
            reason: "PodFailing".to_owned(),
            text: format!("pod db-0: {problem}"),
            since: String::new(),
            said: said_of_waiting(&pod),
            is_running: true,
        };
        let by_its_controller = format!("db in the pod db-0 ended; its last lines:\n{last}");
        assert_eq!(
            with_cause(&by_its_controller, Some(&cause)),
            by_its_controller
        );
        let other = "install failed";
        assert_eq!(
            with_cause(other, Some(&cause)),
            format!("{other}; {}", cause.text)
        );
    }
}
