//! Events, as `kubectl describe` asks for them.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{Answer, Api};

const EVENTS: &str = "a/api/v1/namespaces/default/events";

fn event(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "p", "uid": uid,
            "fieldPath": "spec.containers{c}",
        },
        "type": "Warning", "reason": "BackOff", "message": "Back-off", "count": 1,
        "source": {"component": "kubelet", "host": "local"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
    })
}

/// What jane is answered.
async fn ask(api: &Api, method: Method, path: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/clusters/{path}"))
        .header("authorization", "Bearer jane-token")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    api.send(request).await
}

#[tokio::test]
async fn a_viewer_finds_the_events_of_a_pod_and_writes_none() {
    let api = Api::start().await;
    let bindings = "a/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "jane"}],
    });
    assert_eq!(api.post(bindings, binding).await.code, 201);
    for (name, uid) in [("p.1", "u1"), ("p.2", "u2")] {
        let made = api.post(EVENTS, event(name, uid)).await;
        assert_eq!(made.code, 201, "{}", made.body);
    }
    let counted = json!({"count": 2, "lastTimestamp": "2026-01-01T00:01:00Z"});
    let patched = api
        .patch(&format!("{EVENTS}/p.1"), "merge-patch+json", counted)
        .await;
    assert_eq!(patched.code, 200, "{}", patched.body);

    // What kubectl sends, with the kind and without.
    let of_pod =
        "involvedObject.name%3Dp%2CinvolvedObject.namespace%3Ddefault%2CinvolvedObject.uid%3Du1";
    for selector in [
        of_pod.to_owned(),
        format!("{of_pod}%2CinvolvedObject.kind%3DPod"),
    ] {
        let path = format!("{EVENTS}?fieldSelector={selector}&limit=500");
        let found = ask(&api, Method::GET, &path, Value::Null).await;
        assert_eq!(found.code, 200, "{}", found.body);
        let items = found.body["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{}", found.body);
        assert_eq!(items[0]["metadata"]["name"], "p.1");
        assert_eq!(items[0]["count"], 2);
    }
    let refused = ask(&api, Method::POST, EVENTS, event("p.3", "u1")).await;
    assert_eq!(refused.code, 403, "{}", refused.body);
    let elsewhere = EVENTS.replace("default", "kube-system");
    let refused = ask(&api, Method::GET, &elsewhere, Value::Null).await;
    assert_eq!(refused.code, 403, "{}", refused.body);
}
