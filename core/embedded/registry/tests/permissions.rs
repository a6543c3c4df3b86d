//! Who may do what, over a real socket, and the administration of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics says what failed"
)]

mod common;

use catalyst_registry::Actions;
use common::{Served, header, refused, serve, sha256};
use reqwest::Response;
use serde_json::{Value, json};

async fn as_user(served: &Served, user: &str, method: &str, path: &str) -> Response {
    served
        .request(method, path)
        .basic_auth(user, Some("secret"))
        .send()
        .await
        .unwrap()
}

async fn push_as(served: &Served, user: &str, repository: &str, content: &str) -> Response {
    let digest = sha256(content.as_bytes());
    served
        .request(
            "POST",
            &format!("/v2/{repository}/blobs/uploads/?digest={digest}"),
        )
        .basic_auth(user, Some("secret"))
        .body(content.to_owned())
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn who_did_not_sign_in_is_asked_to_and_bad_credentials_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), true, |_| {}).await;
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/acme/web/tags/list",
        "/v2/acme/web/manifests/a",
    ] {
        let answer = served.send("GET", path).await;
        assert_eq!(
            header(&answer, "www-authenticate"),
            "Basic realm=\"Catalyst registry\", charset=\"UTF-8\""
        );
        refused(answer, 401, "UNAUTHORIZED").await;
    }
    assert_eq!(as_user(&served, "ann", "GET", "/v2/").await.status(), 200);
    let bearer = served
        .request("GET", "/v2/")
        .bearer_auth("ann-token")
        .send()
        .await
        .unwrap();
    assert_eq!(bearer.status(), 200);
    let wrong = served
        .request("GET", "/v2/")
        .basic_auth("ann", Some("guess"))
        .send()
        .await
        .unwrap();
    refused(wrong, 401, "UNAUTHORIZED").await;
    let down = served
        .request("GET", "/v2/")
        .bearer_auth("down")
        .send()
        .await
        .unwrap();
    refused(down, 503, "UNAVAILABLE").await;
}

#[tokio::test]
async fn each_action_needs_its_own_permission_and_a_refusal_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), true, |_| {}).await;
    let permissions = served.registry.permissions().clone();
    refused(
        push_as(&served, "ann", "acme/web", "content").await,
        403,
        "DENIED",
    )
    .await;
    permissions
        .grant("acme", "ann", Actions::PUSH)
        .await
        .unwrap();
    permissions
        .grant("acme", "bob", Actions::PULL)
        .await
        .unwrap();
    assert_eq!(
        push_as(&served, "ann", "acme/web", "content")
            .await
            .status(),
        201
    );
    let blob = format!("/v2/acme/web/blobs/{}", sha256(b"content"));
    assert_eq!(as_user(&served, "bob", "GET", &blob).await.status(), 200);
    refused(
        push_as(&served, "bob", "acme/web", "more").await,
        403,
        "DENIED",
    )
    .await;
    refused(
        as_user(&served, "ann", "DELETE", &blob).await,
        403,
        "DENIED",
    )
    .await;

    // To a stranger, what exists and what does not look the same.
    permissions
        .grant("globex", "bob", Actions::ALL)
        .await
        .unwrap();
    assert_eq!(
        push_as(&served, "bob", "globex/web", "private")
            .await
            .status(),
        201
    );
    let private = sha256(b"private");
    for road in [
        "tags/list".to_owned(),
        "manifests/1.0.0".to_owned(),
        format!("manifests/{private}"),
        format!("blobs/{private}"),
        format!("referrers/{private}"),
    ] {
        let mut answers = Vec::new();
        for name in ["globex/web", "globex/not", "initech/web"] {
            let answer = as_user(&served, "ann", "GET", &format!("/v2/{name}/{road}")).await;
            let status = answer.status();
            answers.push((status, answer.text().await.unwrap().replace(name, "")));
        }
        assert_eq!(answers[0], answers[1], "{road}");
        assert_eq!(answers[0], answers[2], "{road}");
    }
    // Mounting needs the right to read the source.
    let mount = format!("/v2/acme/web/blobs/uploads/?mount={private}&from=globex/web");
    assert_eq!(as_user(&served, "ann", "POST", &mount).await.status(), 202);
    let stolen = format!("/v2/acme/web/blobs/{private}");
    refused(
        as_user(&served, "ann", "GET", &stolen).await,
        404,
        "BLOB_UNKNOWN",
    )
    .await;
    // The catalog shows what one may read.
    let catalog: Value = as_user(&served, "ann", "GET", "/v2/_catalog")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(catalog, json!({"repositories": ["acme/web"]}));

    permissions
        .revoke("acme", "bob", Actions::ALL)
        .await
        .unwrap();
    refused(as_user(&served, "bob", "GET", &blob).await, 403, "DENIED").await;
}

#[tokio::test]
async fn a_public_namespace_is_read_without_signing_in() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), true, |_| {}).await;
    let permissions = served.registry.permissions();
    permissions.namespace_create("catalog", true).await.unwrap();
    permissions
        .grant("catalog", "ann", Actions::PUSH)
        .await
        .unwrap();
    assert_eq!(
        push_as(&served, "ann", "catalog/web", "content")
            .await
            .status(),
        201
    );
    let blob = format!("/v2/catalog/web/blobs/{}", sha256(b"content"));
    assert_eq!(served.send("GET", &blob).await.status(), 200);
    refused(
        served.send("POST", "/v2/catalog/web/blobs/uploads/").await,
        401,
        "UNAUTHORIZED",
    )
    .await;
    permissions
        .namespace_update("catalog", false)
        .await
        .unwrap();
    refused(served.send("GET", &blob).await, 401, "UNAUTHORIZED").await;
}

#[tokio::test]
async fn projects_and_members_are_administered_over_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), true, |_| {}).await;
    let send = async |user: &str, method: &str, path: &str, body: Value| {
        served
            .request(method, &format!("/api/v2.0/projects{path}"))
            .basic_auth(user, Some("secret"))
            .json(&body)
            .send()
            .await
            .unwrap()
    };
    let project = json!({"project_name": "acme", "metadata": {"public": "false"}});
    assert_eq!(served.send("GET", "/api/v2.0/projects").await.status(), 401);
    assert_eq!(send("ann", "POST", "", project.clone()).await.status(), 403);
    let created = send("root", "POST", "", project.clone()).await;
    assert_eq!(
        (created.status().as_u16(), header(&created, "location")),
        (201, "/api/v2.0/projects/acme")
    );
    assert_eq!(send("root", "POST", "", project).await.status(), 409);
    assert_eq!(
        send("root", "POST", "", json!({"project_name": "A/b"}))
            .await
            .status(),
        400
    );
    assert_eq!(
        send("root", "HEAD", "?project_name=acme", json!({}))
            .await
            .status(),
        200
    );
    assert_eq!(
        send("root", "HEAD", "?project_name=none", json!({}))
            .await
            .status(),
        404
    );

    let member = json!({"role_id": 2, "member_user": {"username": "ann"}});
    let added = send("root", "POST", "/acme/members", member.clone()).await;
    assert_eq!(added.status(), 201);
    let member_path = header(&added, "location").replace("/api/v2.0/projects", "");
    assert_eq!(
        send("root", "POST", "/acme/members", member).await.status(),
        409
    );
    assert_eq!(
        push_as(&served, "ann", "acme/web", "content")
            .await
            .status(),
        201
    );
    let members: Value = send("root", "GET", "/acme/members", json!({}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&members[0]["entity_name"], &members[0]["role_id"]),
        (&json!("ann"), &json!(2))
    );
    assert_eq!(
        send("root", "PUT", &member_path, json!({"role_id": 3}))
            .await
            .status(),
        200
    );
    refused(
        push_as(&served, "ann", "acme/web", "content").await,
        403,
        "DENIED",
    )
    .await;
    assert_eq!(
        send("root", "PUT", &member_path, json!({"role_id": 9}))
            .await
            .status(),
        400
    );
    assert_eq!(
        send("root", "DELETE", &member_path, json!({}))
            .await
            .status(),
        200
    );
    assert_eq!(
        send("root", "GET", &member_path, json!({})).await.status(),
        404
    );
    refused(
        as_user(&served, "ann", "GET", "/v2/acme/web/tags/list").await,
        403,
        "DENIED",
    )
    .await;

    // A project with content is not removed by mistake.
    assert_eq!(
        send("root", "DELETE", "/acme", json!({})).await.status(),
        412
    );
    let held: Value = send("root", "GET", "/acme/repositories", json!({}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(held[0]["name"], "acme/web");
    assert_eq!(
        send("root", "DELETE", "/acme/repositories/web", json!({}))
            .await
            .status(),
        200
    );
    assert_eq!(
        send("root", "DELETE", "/acme/repositories/web", json!({}))
            .await
            .status(),
        404
    );
    assert_eq!(
        send("root", "DELETE", "/acme", json!({})).await.status(),
        200
    );
    assert_eq!(send("root", "GET", "/acme", json!({})).await.status(), 404);
}

#[tokio::test]
async fn a_robot_does_what_it_was_made_for_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), true, |_| {}).await;
    let send = async |user: &str, method: &str, path: &str, body: Value| {
        served
            .request(method, &format!("/api/v2.0/robots{path}"))
            .basic_auth(user, Some("secret"))
            .json(&body)
            .send()
            .await
            .unwrap()
    };
    push_as(&served, "root", "acme/web", "content").await;
    push_as(&served, "root", "globex/web", "content").await;
    let wanted = json!({
        "name": "flux-acme", "level": "system", "duration": -1, "secret": "a secret that is long enough",
        "permissions": [{"kind": "project", "namespace": "acme", "access": [{"resource": "repository", "action": "pull"}]}],
    });
    assert_eq!(send("ann", "POST", "", wanted.clone()).await.status(), 403);
    let created = send("root", "POST", "", wanted.clone()).await;
    assert_eq!(created.status(), 201);
    let path = header(&created, "location").replace("/api/v2.0/robots", "");
    let robot: Value = created.json().await.unwrap();
    assert_eq!(robot["name"], "robot$flux-acme");
    assert_eq!(send("root", "POST", "", wanted).await.status(), 409);
    let short = json!({"name": "weak", "secret": "short", "permissions": []});
    assert_eq!(send("root", "POST", "", short).await.status(), 400);

    let ask = async |secret: &str, method: &str, path: &str| {
        served
            .request(method, path)
            .basic_auth("robot$flux-acme", Some(secret))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let secret = "a secret that is long enough";
    assert_eq!(ask(secret, "GET", "/v2/acme/web/tags/list").await, 200);
    assert_eq!(ask(secret, "GET", "/v2/globex/web/tags/list").await, 403);
    assert_eq!(
        ask(secret, "POST", "/v2/acme/web/blobs/uploads/").await,
        403
    );
    assert_eq!(ask(secret, "GET", "/api/v2.0/projects").await, 403);
    assert_eq!(ask("another", "GET", "/v2/acme/web/tags/list").await, 401);
    // Nobody becomes a robot by bearing its name.
    refused(
        as_user(&served, "robot$flux-acme", "GET", "/v2/acme/web/tags/list").await,
        401,
        "UNAUTHORIZED",
    )
    .await;

    let fresh: Value = send("root", "PATCH", &path, json!({}))
        .await
        .json()
        .await
        .unwrap();
    let fresh = fresh["secret"].as_str().unwrap().to_owned();
    assert_eq!(ask(secret, "GET", "/v2/acme/web/tags/list").await, 401);
    assert_eq!(ask(&fresh, "GET", "/v2/acme/web/tags/list").await, 200);
    assert_eq!(send("root", "DELETE", &path, json!({})).await.status(), 200);
    assert_eq!(ask(&fresh, "GET", "/v2/acme/web/tags/list").await, 401);
}

#[tokio::test]
async fn permissions_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), true, |_| {}).await;
    served
        .registry
        .permissions()
        .grant("acme", "ann", Actions::PUSH)
        .await
        .unwrap();
    served.stop().await;
    let served = serve(folder.path(), true, |_| {}).await;
    assert_eq!(
        push_as(&served, "ann", "acme/web", "content")
            .await
            .status(),
        201
    );
}
