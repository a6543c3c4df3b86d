//! Tokens and policies: what is granted, what is refused, when it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics says what failed"
)]

mod common;

use common::{Opened, ROOT, open};
use serde_json::{Value, json};

const ACME: &str = r#"
path "secret/data/org/acme/*"     { capabilities = ["create", "read", "update", "patch", "delete"] }
path "secret/delete/org/acme/*"   { capabilities = ["update"] }
path "secret/undelete/org/acme/*" { capabilities = ["update"] }
path "secret/destroy/org/acme/*"  { capabilities = ["update"] }
path "secret/metadata/org/acme/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
"#;

/// Every verb of the KV API on a secret's path.
fn verbs(path: &str) -> Vec<(&'static str, String, Value)> {
    let data = json!({"data": {"k": "v"}});
    let versions = json!({"versions": [1]});
    vec![
        ("GET", format!("secret/data/{path}"), Value::Null),
        ("POST", format!("secret/data/{path}"), data.clone()),
        ("PUT", format!("secret/data/{path}"), data.clone()),
        ("PATCH", format!("secret/data/{path}"), data),
        ("DELETE", format!("secret/data/{path}"), Value::Null),
        ("POST", format!("secret/delete/{path}"), versions.clone()),
        ("POST", format!("secret/undelete/{path}"), versions.clone()),
        ("POST", format!("secret/destroy/{path}"), versions),
        ("GET", format!("secret/metadata/{path}"), Value::Null),
        (
            "POST",
            format!("secret/metadata/{path}"),
            json!({"max_versions": 5}),
        ),
        (
            "PATCH",
            format!("secret/metadata/{path}"),
            json!({"max_versions": 5}),
        ),
        ("LIST", format!("secret/metadata/{path}/"), Value::Null),
        (
            "GET",
            format!("secret/metadata/{path}?list=true"),
            Value::Null,
        ),
        ("DELETE", format!("secret/metadata/{path}"), Value::Null),
    ]
}

async fn status(vault: &Opened, token: &str) -> u16 {
    vault
        .call(token, "GET", "auth/token/lookup-self", Value::Null)
        .await
        .0
}

#[tokio::test]
async fn an_organization_reaches_its_own_paths_and_no_others_on_any_verb() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    vault.policy("acme", ACME).await;
    let token = vault.token(ROOT, json!({"policies": ["acme"]})).await;
    for path in ["org/acme/db", "org/globex/db", "org/acmex/db"] {
        vault.write(path, json!({"password": "canary"})).await;
        vault.write(&format!("{path}/below"), json!({})).await;
    }
    let denied = json!({"errors": ["permission denied"]});
    for path in ["org/globex/db", "org/acmex/db", "org/globex/absent", "org"] {
        for (method, path, body) in verbs(path) {
            let answer = vault.call(&token, method, &path, body.clone()).await;
            assert_eq!(answer, (403, denied.clone()), "{method} {path}");
            for nobody in ["", "hvs.none", "root-token-of-the-test"] {
                let answer = vault.call(nobody, method, &path, body.clone()).await;
                assert_eq!(answer, (403, denied.clone()), "{nobody:?} {method} {path}");
            }
        }
    }
    for (method, path, body) in verbs("org/acme/db") {
        let (status, body) = vault.call(&token, method, &path, body).await;
        // What was deleted on the way may be missing, but nothing is refused.
        assert!(
            matches!(status, 200 | 204 | 404),
            "{method} {path}: {status} {body}"
        );
    }
    for (method, path) in [
        ("GET", "sys/policies/acl/acme"),
        ("PUT", "sys/policies/acl/acme"),
        ("LIST", "sys/policies/acl"),
        ("GET", "sys/mounts"),
        ("POST", "auth/token/create"),
        ("POST", "auth/token/revoke"),
        ("GET", "other/thing"),
    ] {
        assert_eq!(
            vault.call(&token, method, path, Value::Null).await.0,
            403,
            "{method} {path}"
        );
    }
    // Nothing of the other Organization was changed.
    let (_, body) = vault
        .root("GET", "secret/metadata/org/globex/db", Value::Null)
        .await;
    assert_eq!(body["data"]["current_version"], 1);
}

#[tokio::test]
async fn create_and_update_are_granted_separately() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    vault
        .policy(
            "new",
            r#"path "secret/data/*" { capabilities = ["create"] }"#,
        )
        .await;
    let token = vault.token(ROOT, json!({"policies": ["new"]})).await;
    let write = async || {
        vault
            .call(&token, "POST", "secret/data/a", json!({"data": {}}))
            .await
            .0
    };
    assert_eq!((write().await, write().await), (200, 403));
}

#[tokio::test]
async fn a_changed_policy_counts_for_the_next_request() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    vault.write("a", json!({})).await;
    vault
        .policy(
            "p",
            r#"{"path": {"secret/data/a": {"capabilities": ["read"]}}}"#,
        )
        .await;
    let token = vault.token(ROOT, json!({"policies": ["p"]})).await;
    let read = async || {
        vault
            .call(&token, "GET", "secret/data/a", Value::Null)
            .await
            .0
    };
    assert_eq!(read().await, 200);
    let asked = json!({"paths": ["secret/data/a", "secret/data/b"]});
    let (_, body) = vault
        .call(&token, "POST", "sys/capabilities-self", asked)
        .await;
    assert_eq!(body["data"]["secret/data/a"], json!(["read"]));
    assert_eq!(body["data"]["secret/data/b"], json!(["deny"]));
    let (_, body) = vault.root("GET", "sys/policies/acl/p", Value::Null).await;
    assert!(
        body["data"]["policy"]
            .as_str()
            .unwrap()
            .contains("secret/data/a")
    );
    let (status, body) = vault
        .root(
            "PUT",
            "sys/policies/acl/p",
            json!({"policy": "path { broken"}),
        )
        .await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(read().await, 200);
    let (_, body) = vault.root("LIST", "sys/policies/acl", Value::Null).await;
    assert_eq!(body["data"]["keys"], json!(["default", "p", "root"]));
    assert_eq!(
        vault
            .root("DELETE", "sys/policies/acl/p", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(read().await, 403);
    assert_eq!(
        vault
            .root("DELETE", "sys/policies/acl/default", Value::Null)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_token_ends_at_its_time_and_renewal_extends_it_within_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    let request = json!({"policies": ["default"], "ttl": "1m", "explicit_max_ttl": "2m"});
    let token = vault.token(ROOT, request).await;
    vault.advance(59);
    assert_eq!(status(&vault, &token).await, 200);
    let (code, body) = vault
        .call(&token, "POST", "auth/token/renew-self", json!({}))
        .await;
    assert_eq!((code, &body["auth"]["lease_duration"]), (200, &json!(60)));
    vault.advance(59);
    let (_, body) = vault
        .call(
            &token,
            "POST",
            "auth/token/renew-self",
            json!({"increment": "1h"}),
        )
        .await;
    assert_eq!(body["auth"]["lease_duration"], 2);
    vault.advance(2);
    assert_eq!(status(&vault, &token).await, 403);
    assert_eq!(vault.vault.sweep().await.unwrap(), 1);
    let fixed = vault
        .token(
            ROOT,
            json!({"policies": ["default"], "ttl": 5, "renewable": false}),
        )
        .await;
    assert_eq!(
        vault
            .call(&fixed, "POST", "auth/token/renew-self", Value::Null)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn revoking_a_token_ends_those_made_below_it_but_not_orphans() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    let source = r#"path "auth/token/create*" { capabilities = ["update", "sudo"] }"#;
    vault.policy("maker", source).await;
    let parent = vault.token(ROOT, json!({"policies": ["maker"]})).await;
    let child = vault.token(&parent, json!({"policies": ["maker"]})).await;
    let grandchild = vault.token(&child, json!({"policies": ["default"]})).await;
    let orphan = vault
        .token(&child, json!({"policies": ["default"], "no_parent": true}))
        .await;
    let short = vault
        .token(&parent, json!({"policies": ["maker"], "ttl": 10}))
        .await;
    let below_short = vault
        .token(&short, json!({"policies": ["default"], "ttl": 1000}))
        .await;
    assert_eq!(
        vault
            .root("POST", "auth/token/revoke", json!({"token": child}))
            .await
            .0,
        204
    );
    for (token, expected) in [
        (&parent, 200),
        (&child, 403),
        (&grandchild, 403),
        (&orphan, 200),
        (&below_short, 200),
    ] {
        assert_eq!(status(&vault, token).await, expected);
    }
    // A parent that expires takes its children along.
    vault.advance(11);
    assert_eq!(status(&vault, &below_short).await, 403);
    assert_eq!(vault.vault.sweep().await.unwrap(), 2);
    assert_eq!(
        vault
            .call(&orphan, "POST", "auth/token/revoke-self", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(status(&vault, &orphan).await, 403);
}

#[tokio::test]
async fn nobody_makes_a_token_stronger_than_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    vault
        .policy(
            "maker",
            r#"path "auth/token/create" { capabilities = ["update"] }"#,
        )
        .await;
    vault
        .policy("strong", r#"path "*" { capabilities = ["read"] }"#)
        .await;
    let token = vault.token(ROOT, json!({"policies": ["maker"]})).await;
    for request in [
        json!({"policies": ["strong"]}),
        json!({"policies": ["root"]}),
        json!({"no_parent": true}),
        json!({"period": "1h"}),
        json!({"num_uses": 1}),
        json!({"ttl": "soon"}),
    ] {
        let (status, body) = vault
            .call(&token, "POST", "auth/token/create", request.clone())
            .await;
        assert_eq!(status, 400, "{request}: {body}");
    }
    let child = vault.token(&token, json!({})).await;
    let (_, body) = vault
        .call(&child, "GET", "auth/token/lookup-self", Value::Null)
        .await;
    assert_eq!(body["data"]["policies"], json!(["default", "maker"]));
}

#[tokio::test]
async fn probes_and_the_command_line_find_what_they_ask_first() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path()).await;
    let (status, body) = vault.call("", "GET", "sys/health", Value::Null).await;
    assert_eq!(
        (status, &body["sealed"], &body["initialized"]),
        (200, &json!(false), &json!(true))
    );
    let (_, body) = vault.root("GET", "sys/mounts", Value::Null).await;
    assert_eq!(body["data"]["secret/"]["options"]["version"], "2");
    assert_eq!(body["secret/"]["type"], "kv");
    let token = vault.token(ROOT, json!({"policies": ["default"]})).await;
    let (_, body) = vault
        .call(
            &token,
            "GET",
            "sys/internal/ui/mounts/secret/a",
            Value::Null,
        )
        .await;
    assert_eq!(body["data"]["path"], "secret/");
}
