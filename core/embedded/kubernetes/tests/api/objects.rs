//! Objects: created, read, changed, applied, listed, watched.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Api, MAPS, config_map};

#[tokio::test]
async fn objects_are_created_read_changed_and_deleted() {
    let api = Api::start().await;
    let created = api.post(MAPS, config_map("x", "1")).await;
    assert_eq!(created.code, 201, "{}", created.body);
    assert!(!created.body["metadata"]["uid"].as_str().unwrap().is_empty());
    let again = api.post(MAPS, config_map("x", "1")).await;
    assert_eq!(
        (again.code, again.body["reason"].as_str()),
        (409, Some("AlreadyExists"))
    );
    assert_eq!(again.body["message"], "configmaps \"x\" already exists");

    let read = api.get(&format!("{MAPS}/x")).await.body;
    assert_eq!(
        read["metadata"]["resourceVersion"],
        created.body["metadata"]["resourceVersion"]
    );
    let mut changed = read.clone();
    changed["data"]["key"] = json!("2");
    let updated = api
        .call(Method::PUT, &format!("{MAPS}/x"), changed.clone())
        .await;
    assert_eq!(updated.code, 200, "{}", updated.body);
    let stale = api.call(Method::PUT, &format!("{MAPS}/x"), changed).await;
    assert_eq!(
        (stale.code, stale.body["reason"].as_str()),
        (409, Some("Conflict"))
    );

    let same = api
        .patch(
            &format!("{MAPS}/x"),
            "merge-patch+json",
            json!({"data": {"key": "2"}}),
        )
        .await;
    assert_eq!(
        same.body["metadata"]["resourceVersion"],
        updated.body["metadata"]["resourceVersion"]
    );
    let json = json!([{"op": "replace", "path": "/data/key", "value": "3"}]);
    assert_eq!(
        api.patch(&format!("{MAPS}/x"), "json-patch+json", json)
            .await
            .body["data"]["key"],
        "3"
    );

    assert_eq!(
        api.call(Method::DELETE, &format!("{MAPS}/x"), Value::Null)
            .await
            .body["status"],
        "Success"
    );
    let missing = api.get(&format!("{MAPS}/x")).await;
    assert_eq!(
        (missing.code, missing.body["message"].as_str()),
        (404, Some("configmaps \"x\" not found"))
    );
}

#[tokio::test]
async fn server_side_apply_creates_conflicts_and_forces() {
    let api = Api::start().await;
    let path = |manager: &str, extra: &str| format!("{MAPS}/s?fieldManager={manager}{extra}");
    let created = api
        .patch(&path("one", ""), "apply-patch+yaml", config_map("s", "1"))
        .await;
    assert_eq!(created.code, 201, "{}", created.body);
    assert_eq!(
        created.body["metadata"]["managedFields"][0]["operation"],
        "Apply"
    );
    let same = api
        .patch(&path("one", ""), "apply-patch+yaml", config_map("s", "1"))
        .await;
    assert_eq!(
        same.body["metadata"]["resourceVersion"],
        created.body["metadata"]["resourceVersion"]
    );
    let conflict = api
        .patch(&path("two", ""), "apply-patch+yaml", config_map("s", "2"))
        .await;
    assert_eq!(conflict.code, 409);
    assert_eq!(
        conflict.body["message"],
        "Apply failed with 1 conflict: conflict with \"one\": .data.key"
    );
    let forced = api
        .patch(
            &path("two", "&force=true"),
            "apply-patch+yaml",
            config_map("s", "2"),
        )
        .await;
    assert_eq!(
        (forced.code, forced.body["data"]["key"].as_str()),
        (200, Some("2"))
    );
}

#[tokio::test]
async fn lists_page_over_one_snapshot_and_select() {
    let api = Api::start().await;
    for index in 0..5 {
        let mut map = config_map(&format!("m{index}"), "1");
        map["metadata"]["labels"] = json!({"odd": (index % 2).to_string()});
        assert_eq!(api.post(MAPS, map).await.code, 201);
    }
    let names = |body: &Value| -> Vec<String> {
        body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = api.get(&format!("{MAPS}?limit=2")).await.body;
    assert_eq!(names(&first), ["kube-root-ca.crt", "m0"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    api.call(Method::DELETE, &format!("{MAPS}/m1"), Value::Null)
        .await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = api
        .get(&format!("{MAPS}?limit=9&continue={token}"))
        .await
        .body;
    assert_eq!(names(&second), ["m1", "m2", "m3", "m4"]);
    assert_eq!(
        names(&api.get(&format!("{MAPS}?labelSelector=odd%3D0")).await.body),
        ["m0", "m2", "m4"]
    );
    assert_eq!(
        names(
            &api.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm2"))
                .await
                .body
        ),
        ["m2"]
    );
    assert_eq!(
        api.get(&format!("{MAPS}?fieldSelector=data%3Dm2"))
            .await
            .code,
        400
    );
}

#[tokio::test]
async fn a_watch_sees_objects_enter_and_leave_its_selection() {
    let api = Api::start().await;
    let path = format!("{MAPS}?watch=1&labelSelector=on&timeoutSeconds=20");
    let request = Api::request(Method::GET, &path, "application/json", Body::empty());
    let mut body = api
        .kubernetes
        .router()
        .oneshot(request)
        .await
        .unwrap()
        .into_body();
    api.post(MAPS, config_map("w", "1")).await;
    for patch in [
        json!({"metadata": {"labels": {"on": "1"}}}),
        json!({"data": {"key": "2"}}),
        json!({"metadata": {"labels": {"on": null}}}),
    ] {
        assert_eq!(
            api.patch(&format!("{MAPS}/w"), "merge-patch+json", patch)
                .await
                .code,
            200
        );
    }
    let mut text = String::new();
    while text.lines().count() < 3 {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    let kinds: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let api = Api::start().await;
    assert_eq!(
        api.post(&format!("{MAPS}?dryRun=All"), config_map("x", "1"))
            .await
            .code,
        201
    );
    assert_eq!(api.get(&format!("{MAPS}/x")).await.code, 404);
}

#[tokio::test]
async fn malformed_requests_are_refused_as_kubernetes_refuses_them() {
    let api = Api::start().await;
    let send = |kind: &'static str, body: &'static str| {
        api.send(Api::request(Method::POST, MAPS, kind, Body::from(body)))
    };
    assert_eq!(send("application/json", "{").await.code, 400);
    assert_eq!(send("text/plain", "{}").await.code, 415);
    assert_eq!(send("application/json", "[]").await.code, 400);
    assert_eq!(
        send("application/json", r#"{"kind":"Secret","apiVersion":"v1"}"#)
            .await
            .code,
        400
    );
    assert_eq!(
        send("application/json", r#"{"metadata":{"name":"UPPER"}}"#)
            .await
            .code,
        422
    );
    assert_eq!(
        send("application/json", r#"{"metadata":{}}"#).await.code,
        422
    );
    assert_eq!(api.get("a/api/v1/nothing").await.code, 404);
    assert_eq!(
        api.call(Method::POST, "a/api/v1/namespaces/default", json!({}))
            .await
            .code,
        405
    );
}
