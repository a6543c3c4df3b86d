//! KV version 2 through the router.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics says what failed"
)]

mod common;

use common::{ROOT, open, try_open};
use serde_json::{Value, json};

#[tokio::test]
async fn versions_are_written_read_deleted_restored_and_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    assert_eq!(
        vault.root("GET", "secret/data/a", Value::Null).await,
        (404, json!({"errors": []}))
    );
    for number in 1..=2 {
        let body = json!({"data": {"n": number}});
        let (status, body) = vault.root("POST", "secret/data/a", body).await;
        assert_eq!((status, &body["data"]["version"]), (200, &json!(number)));
    }
    let (status, body) = vault.root("GET", "secret/data/a", Value::Null).await;
    assert_eq!((status, &body["data"]["data"]), (200, &json!({"n": 2})));
    assert_eq!(body["data"]["metadata"]["version"], 2);
    assert!(body["request_id"].is_string() && body["lease_id"] == "");
    let (_, body) = vault
        .root("GET", "secret/data/a?version=1", Value::Null)
        .await;
    assert_eq!(body["data"]["data"], json!({"n": 1}));
    assert_eq!(
        vault
            .root("GET", "secret/data/a?version=9", Value::Null)
            .await
            .0,
        404
    );

    assert_eq!(
        vault.root("DELETE", "secret/data/a", Value::Null).await,
        (204, Value::Null)
    );
    let (status, body) = vault.root("GET", "secret/data/a", Value::Null).await;
    assert_eq!((status, &body["data"]["data"]), (404, &Value::Null));
    assert_ne!(body["data"]["metadata"]["deletion_time"], "");
    let one = json!({"versions": [2]});
    assert_eq!(
        vault.root("POST", "secret/undelete/a", one.clone()).await.0,
        204
    );
    assert_eq!(vault.root("GET", "secret/data/a", Value::Null).await.0, 200);
    assert_eq!(
        vault
            .root("POST", "secret/delete/a", json!({"versions": ["1"]}))
            .await
            .0,
        204
    );
    assert_eq!(
        vault
            .root("GET", "secret/data/a?version=1", Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        vault.root("PUT", "secret/destroy/a", one.clone()).await.0,
        204
    );
    assert_eq!(vault.root("POST", "secret/undelete/a", one).await.0, 204);
    let (status, body) = vault.root("GET", "secret/data/a", Value::Null).await;
    assert_eq!(
        (status, &body["data"]["metadata"]["destroyed"]),
        (404, &json!(true))
    );
    assert_eq!(
        vault.root("POST", "secret/delete/a", json!({})).await.0,
        400
    );
    assert_eq!(
        vault
            .root("DELETE", "secret/metadata/a", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        vault.root("GET", "secret/metadata/a", Value::Null).await.0,
        404
    );
}

#[tokio::test]
async fn check_and_set_refuses_a_write_prepared_for_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    let write = async |cas: Value| {
        let body = json!({"data": {"k": "v"}, "options": {"cas": cas}});
        vault.root("POST", "secret/data/a", body).await
    };
    assert_eq!(write(json!(1)).await.0, 400);
    assert_eq!(write(json!(0)).await.0, 200);
    let (status, body) = write(json!(0)).await;
    let expected = "check-and-set parameter did not match the current version";
    assert_eq!((status, &body["errors"]), (400, &json!([expected])));
    assert_eq!(write(json!(1)).await.0, 200);
    vault
        .root("POST", "secret/metadata/a", json!({"cas_required": true}))
        .await;
    assert_eq!(write(Value::Null).await.0, 400);
    assert_eq!(write(json!(2)).await.0, 200);
    assert_eq!(
        vault
            .root("POST", "secret/data/a", json!({"options": {"cas": 3}}))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_patch_merges_into_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    let patch = json!({"data": {"b": null, "c": {"y": 2}}});
    assert_eq!(
        vault.root("PATCH", "secret/data/a", patch.clone()).await.0,
        404
    );
    vault
        .write("a", json!({"a": 1, "b": 2, "c": {"x": 1}}))
        .await;
    let (status, body) = vault.root("PATCH", "secret/data/a", patch).await;
    assert_eq!((status, &body["data"]["version"]), (200, &json!(2)));
    let (_, body) = vault.root("GET", "secret/data/a", Value::Null).await;
    assert_eq!(body["data"]["data"], json!({"a": 1, "c": {"x": 1, "y": 2}}));
}

#[tokio::test]
async fn metadata_limits_versions_and_expires_them() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    let settings = json!({"max_versions": 2, "delete_version_after": "1m", "custom_metadata": {"owner": "acme"}});
    assert_eq!(
        vault.root("POST", "secret/metadata/a", settings).await.0,
        204
    );
    for number in 1..=3 {
        vault.write("a", json!({"n": number})).await;
    }
    let (_, body) = vault.root("GET", "secret/metadata/a", Value::Null).await;
    let data = &body["data"];
    assert_eq!(
        (&data["current_version"], &data["oldest_version"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(data["custom_metadata"], json!({"owner": "acme"}));
    assert_eq!(data["delete_version_after"], "1m0s");
    assert_eq!(data["versions"].as_object().unwrap().len(), 2);
    let merge = json!({"custom_metadata": {"team": "web"}});
    assert_eq!(vault.root("PATCH", "secret/metadata/a", merge).await.0, 204);
    assert_eq!(vault.root("GET", "secret/data/a", Value::Null).await.0, 200);
    vault.advance(61);
    let (status, body) = vault.root("GET", "secret/data/a", Value::Null).await;
    assert_eq!(status, 404);
    let custom = &body["data"]["metadata"]["custom_metadata"];
    assert_eq!(*custom, json!({"owner": "acme", "team": "web"}));
    let wrong = json!({"custom_metadata": {"a": 1}});
    assert_eq!(vault.root("POST", "secret/metadata/a", wrong).await.0, 400);
}

#[tokio::test]
async fn listing_shows_names_and_folders_of_one_level() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    for path in [
        "org/acme/db",
        "org/acme/web/key",
        "org/acme/web",
        "org/globex/db",
    ] {
        vault.write(path, json!({})).await;
    }
    for (method, path) in [
        ("LIST", "secret/metadata/org/acme"),
        ("LIST", "secret/metadata/org/acme/"),
        ("GET", "secret/metadata/org/acme/?list=true"),
    ] {
        let (status, body) = vault.root(method, path, Value::Null).await;
        assert_eq!(
            (status, &body["data"]["keys"]),
            (200, &json!(["db", "web", "web/"]))
        );
    }
    let (_, body) = vault.root("LIST", "secret/metadata", Value::Null).await;
    assert_eq!(body["data"]["keys"], json!(["org/"]));
    assert_eq!(
        vault
            .root("LIST", "secret/metadata/none", Value::Null)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn malformed_requests_are_refused_without_repeating_them() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    for (method, path, body, status) in [
        ("POST", "secret/data/a", json!([1]), 400),
        ("POST", "secret/data/a", json!({"data": "canary"}), 400),
        ("POST", "secret/data/", json!({"data": {}}), 404),
        ("POST", "secret/data/a//b", json!({"data": {}}), 400),
        ("POST", "secret/data/a/%2e%2e/b", json!({"data": {}}), 400),
        ("GET", "secret/data/%ff", Value::Null, 400),
        ("GET", "secret/data/a?version=x", Value::Null, 400),
        ("TRACE", "secret/data/a", Value::Null, 405),
        ("GET", "other/data/a", Value::Null, 404),
        (
            "POST",
            "secret/data/a",
            json!({"data": {"k": "x".repeat(1 << 20)}}),
            413,
        ),
    ] {
        let (found, body) = vault.root(method, path, body).await;
        assert_eq!(found, status, "{method} {path}: {body}");
        assert!(body["errors"].is_array(), "{body}");
        assert!(!body.to_string().contains("canary"), "{body}");
    }
}

#[tokio::test]
async fn nothing_on_disk_shows_a_value_a_token_or_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    vault
        .write("a", json!({"password": "canary-value-4711"}))
        .await;
    let custom = json!({"custom_metadata": {"note": "canary-custom-4711"}});
    vault.root("POST", "secret/metadata/a", custom).await;
    vault
        .policy(
            "p",
            r#"path "secret/data/canary-policy-4711" { capabilities = ["read"] }"#,
        )
        .await;
    let token = vault.token(ROOT, json!({"policies": ["p"]})).await;
    drop(vault);
    let file = std::fs::read(folder.path().join("store")).unwrap();
    let holds = |text: &str| {
        file.windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(
        holds("vault/kv/a"),
        "the file is read where the store writes"
    );
    for canary in [
        "canary-value-4711",
        "canary-custom-4711",
        "canary-policy-4711",
        &token,
        ROOT,
    ] {
        assert!(!holds(canary), "{canary} is on disk in the clear");
    }

    // After a restart with the same key everything is there; with another, an error.
    assert!(matches!(
        try_open(folder.path(), 8).await.err(),
        Some(catalyst_vault::OpenError::Key)
    ));
    let vault = open(folder.path()).await;
    let (_, body) = vault.root("GET", "secret/data/a", Value::Null).await;
    assert_eq!(
        body["data"]["data"],
        json!({"password": "canary-value-4711"})
    );
    let (status, _) = vault
        .call(&token, "GET", "auth/token/lookup-self", Value::Null)
        .await;
    assert_eq!(status, 200);
}
