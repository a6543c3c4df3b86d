//! What is told of pods, from the node's words on them.

use serde_json::json;

use super::*;

const IMAGE: &str = "registry.test/acme/web:1";

fn pod(status: Value) -> Value {
    json!({
        "metadata": {"name": "web-0", "namespace": "blog", "uid": "u"},
        "spec": {"containers": [{"name": "web", "image": IMAGE}]},
        "status": status,
    })
}

fn container(restarts: u64, image_id: &str, state: Value) -> Value {
    json!({"containerStatuses": [{
        "name": "web", "image": IMAGE, "imageID": image_id, "restartCount": restarts, "state": state,
    }]})
}

fn waiting(restarts: u64, reason: &str, message: &str) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    container(restarts, "", state)
}

fn running(restarts: u64, since: &str) -> Value {
    let state = json!({"running": {"startedAt": since}});
    container(restarts, "sha256:1", state)
}

fn ended(restarts: u64, at: &str, reason: &str, message: &str) -> Value {
    let state = json!({"terminated": {
        "exitCode": 1, "finishedAt": at, "reason": reason, "message": message,
    }});
    container(restarts, "sha256:1", state)
}

/// What is told of a pod while the node says one thing after the other.
fn told(told: &mut Told, words: &[Value]) -> Vec<String> {
    let pod = pod(json!({}));
    let news = words.iter().flat_map(|status| told.news(&pod, status));
    news.map(|one| format!("{} {}: {}", one.kind, one.reason, one.message))
        .collect()
}

fn of_new(words: &[Value]) -> Vec<String> {
    told(&mut Told::of(&pod(json!({}))), words)
}

#[test]
fn a_pod_pulls_and_starts() {
    let pulling = waiting(0, "ContainerCreating", &format!("{PULLING}{IMAGE}"));
    let mut pulled = pulling.clone();
    pulled["containerStatuses"][0]["imageID"] = json!("sha256:1");
    let words = [
        waiting(0, "PodInitializing", ""),
        pulling.clone(),
        pulling,
        pulled,
        running(0, "2026-01-01T00:00:00Z"),
        running(0, "2026-01-01T00:00:00Z"),
    ];
    assert_eq!(
        of_new(&words),
        [
            "Normal Pulling: Pulling image \"registry.test/acme/web:1\"",
            "Normal Pulled: Successfully pulled image \"registry.test/acme/web:1\"",
            "Normal Created: Created container: web",
            "Normal Started: Started container web",
        ]
    );
}

#[test]
fn an_image_that_is_there_is_not_pulled() {
    let words = [
        waiting(0, "ContainerCreating", ""),
        running(0, "2026-01-01T00:00:00Z"),
    ];
    assert_eq!(
        of_new(&words),
        [
            "Normal Pulled: Container image \"registry.test/acme/web:1\" already present on machine",
            "Normal Created: Created container: web",
            "Normal Started: Started container web",
        ]
    );
}

#[test]
fn an_image_that_is_nowhere_is_told_each_time() {
    let pulling = waiting(0, "ContainerCreating", &format!("{PULLING}{IMAGE}"));
    let words = [
        pulling.clone(),
        waiting(0, "ErrImagePull", "it has no 1"),
        pulling.clone(),
        waiting(0, "ImagePullBackOff", "it has no 1"),
        pulling,
        waiting(0, "ImagePullBackOff", "it has no 1"),
    ];
    let pulling = "Normal Pulling: Pulling image \"registry.test/acme/web:1\"";
    let failed = "Warning Failed: Failed to pull image \"registry.test/acme/web:1\": it has no 1";
    let back_off = "Normal BackOff: Back-off pulling image \"registry.test/acme/web:1\"";
    assert_eq!(
        of_new(&words),
        [
            pulling, failed, pulling, failed, back_off, pulling, failed, back_off
        ]
    );
}

#[test]
fn a_crash_is_told_without_the_log() {
    let words = [
        running(0, "2026-01-01T00:00:00Z"),
        ended(0, "2026-01-01T00:00:01Z", "Error", "password is hunter2"),
        waiting(
            1,
            "CrashLoopBackOff",
            "back-off 10s restarting failed container web: password is hunter2",
        ),
        running(1, "2026-01-01T00:00:11Z"),
    ];
    let told = of_new(&words);
    assert_eq!(
        told.get(3..).unwrap(),
        [
            "Warning BackOff: Back-off restarting failed container web in pod web-0_blog(u)",
            "Normal Created: Created container: web",
            "Normal Started: Started container web",
        ]
    );
    assert!(!told.concat().contains("hunter2"));
}

#[test]
fn what_the_node_ends_and_what_cannot_start_is_told() {
    let words = [
        running(0, "2026-01-01T00:00:00Z"),
        ended(
            0,
            "2026-01-01T00:00:01Z",
            "Error",
            "liveness probe failed: nobody answers\nthe log",
        ),
        ended(
            1,
            "2026-01-01T00:00:11Z",
            "StartError",
            "cannot start web: no such program",
        ),
    ];
    assert_eq!(
        of_new(&words).get(3..).unwrap(),
        [
            "Warning Unhealthy: Liveness probe failed: nobody answers",
            "Normal Killing: Container web failed liveness probe, will be restarted",
            "Warning Failed: Error: cannot start web: no such program",
        ]
    );
}

#[test]
fn a_pod_that_cannot_go_on_says_why_once() {
    let troubled = |reason: &str, message: &str| json!({"reason": reason, "message": message});
    let words = [
        troubled("FailedCreatePodSandBox", "no user namespaces"),
        troubled("FailedCreatePodSandBox", "no user namespaces"),
        json!({}),
        troubled("VolumeInUse", "pod v holds it"),
        troubled("ContainersNotReady", "of no matter"),
    ];
    assert_eq!(
        of_new(&words),
        [
            "Warning FailedCreatePodSandBox: Failed to create pod sandbox: no user namespaces",
            "Warning FailedMount: pod v holds it",
        ]
    );
}

#[test]
fn a_pod_that_is_taken_over_has_not_started() {
    let before = running(2, "2026-01-01T00:00:00Z");
    let mut known = Told::of(&pod(before.clone()));
    let words = [waiting(0, "ContainerCreating", ""), before];
    assert_eq!(told(&mut known, &words), [""; 0]);
    let again = [running(3, "2026-01-01T01:00:00Z")];
    assert_eq!(told(&mut known, &again).len(), 3);
    // Nor does what was told by then happen again.
    let waits = waiting(4, "CrashLoopBackOff", "…");
    assert_eq!(told(&mut Told::of(&pod(waits.clone())), &[waits]), [""; 0]);
}

#[test]
fn a_pod_that_is_not_taken_says_what_it_lacks() {
    let said = |why: &str, unbound: &[&str]| {
        let one = refused(why, unbound);
        format!("{} {}: {}", one.kind, one.reason, one.message)
    };
    for (why, unbound, expected) in [
        (
            "cannot run the pod: volume data: persistentvolumeclaim \"data\" not found or not bound",
            &["data"][..],
            "Warning FailedScheduling: 0/1 nodes are available: persistentvolumeclaim \"data\" not found or not bound",
        ),
        (
            "cannot run the pod: volume v: secret \"nope\" not found",
            &[][..],
            "Warning FailedMount: MountVolume.SetUp failed for volume v: secret \"nope\" not found",
        ),
        (
            "cannot run the pod: environment variable A: secret \"nope\" not found",
            &[][..],
            "Warning Failed: Error: environment variable A: secret \"nope\" not found",
        ),
    ] {
        assert_eq!(said(why, unbound), expected);
    }
}

#[test]
fn containers_that_run_are_told_to_stop() {
    let running = pod(running(0, "2026-01-01T00:00:00Z"));
    let expected = Happening {
        kind: "Normal",
        reason: "Killing",
        message: "Stopping container web".to_owned(),
        field: "spec.containers{web}".to_owned(),
    };
    assert_eq!(ending(&running), [expected]);
    let waits = pod(waiting(0, "ContainerCreating", ""));
    assert_eq!(ending(&waits), []);
}
