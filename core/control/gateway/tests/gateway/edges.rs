//! What every request and answer passes; malformed requests; hooks.

use aws_lc_rs::hmac;
use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::world::{CHECK_TOKEN, ORIGIN, REGISTRY_TOKEN, WEBHOOK_SECRET, World};

#[tokio::test]
async fn malformed_requests_are_answered_with_problems() {
    let world = World::new().await;
    let create = "/api/v1/organizations";
    let json_type = "application/json";
    let long = format!("{{\"name\": \"{}\"}}", "a".repeat(1 << 20));
    for (method, path, kind, body, status, word) in [
        ("POST", create, json_type, "{", 400, "malformed-json"),
        (
            "POST",
            create,
            json_type,
            "{\"name\": 7}",
            400,
            "malformed-json",
        ),
        ("POST", create, json_type, "{} {}", 400, "malformed-json"),
        ("POST", create, json_type, "", 400, "malformed-json"),
        ("POST", create, json_type, long.as_str(), 413, "too-large"),
        ("POST", create, "", "{}", 415, "unsupported-media-type"),
        (
            "POST",
            create,
            "text/plain",
            "{}",
            415,
            "unsupported-media-type",
        ),
        (
            "POST",
            create,
            "application/json; charset=latin1",
            "{}",
            415,
            "unsupported-media-type",
        ),
        ("PATCH", create, json_type, "{}", 405, "method-not-allowed"),
        ("GET", "/api/v1/nothing", "", "", 404, "no-such-path"),
        ("GET", "/api", "", "", 404, "no-such-path"),
        ("GET", "/auth/nothing", "", "", 404, "no-such-path"),
        (
            "GET",
            "/api/v1/environments/acme-dev/pull-requests/one",
            "",
            "",
            400,
            "malformed-path",
        ),
        (
            "GET",
            "/api/v1/environments/%FF",
            "",
            "",
            400,
            "malformed-path",
        ),
        (
            "DELETE",
            "/api/v1/environments/acme-dev?applications=perhaps",
            "",
            "",
            400,
            "malformed-query",
        ),
        (
            "DELETE",
            "/api/v1/environments/acme-dev?application=drop",
            "",
            "",
            400,
            "malformed-query",
        ),
        (
            "GET",
            "/api/v1/environments/acme-dev/applications?sort=name",
            "",
            "",
            400,
            "malformed-query",
        ),
        (
            "DELETE",
            "/assets/app.js",
            "",
            "",
            405,
            "method-not-allowed",
        ),
        ("GET", "/assets/none.js", "", "", 404, "no-such-path"),
    ] {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", "Bearer ada-token");
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (got, headers, answer) = world.send(request).await;
        let what = format!("{method} {path} {kind} {}", &body[..body.len().min(20)]);
        let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
        assert_eq!(problem["type"], word, "{what}");
        assert_eq!(got.as_u16(), status, "{what}");
        assert_eq!(problem["status"], status, "{what}");
        assert_eq!(
            headers["content-type"], "application/problem+json",
            "{what}"
        );
        for name in ["title", "detail"] {
            assert!(
                problem[name].as_str().is_some_and(|text| !text.is_empty()),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn a_fault_in_a_body_has_its_place() {
    let world = World::new().await;
    let body = json!({"role": "org-developer", "environments": ["acme-dev", 7]});
    let path = "/api/v1/organizations/acme/members/vic";
    let (status, problem) = world.ask(Some("ada"), "PUT", path, Some(&body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(problem["faults"][0]["pointer"], "/environments/1");
    let message = problem["faults"][0]["message"].as_str().unwrap();
    assert!(message.contains("expected a string"), "{message}");
}

#[tokio::test]
async fn a_property_that_is_not_known_is_refused_with_the_nearest_and_nothing_is_done() {
    let world = World::new().await;
    world.parts().has_configuration = true;
    for (method, path, body, pointer, words) in [
        (
            "POST",
            "/api/v1/organizations",
            json!({"name": "initech", "displayname": "Initech"}),
            "/displayname",
            "did you mean displayName?",
        ),
        (
            "PUT",
            "/api/v1/policies/eyes",
            json!({"name": "eyes", "environments": [], "rules": [], "enforced": true}),
            "/enforced",
            "only environments, name, rules",
        ),
    ] {
        let (status, problem) = world.ask(Some("sol"), method, path, Some(&body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!(problem["type"], "invalid");
        assert_eq!(problem["faults"][0]["pointer"], pointer);
        let message = problem["faults"][0]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
    assert!(world.parts().commits.is_empty());
}

/// So a sovereign-admin is always left; the issuer tells no case of names apart.
#[tokio::test]
async fn a_sovereign_admin_removes_others_and_never_themselves() {
    let world = World::new().await;
    for user in ["sol", "Sol"] {
        let path = format!("/api/v1/users/{user}");
        let (status, problem) = world.ask(Some("sol"), "DELETE", &path, None).await;
        assert_eq!(status, StatusCode::CONFLICT, "{user}: {problem}");
        assert_eq!(problem["detail"], "Nobody removes themselves", "{user}");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_keeps_browsers_at_bay() {
    let world = World::new().await;
    for path in [
        "/",
        "/api/v1/sovereign",
        "/api/v1/me",
        "/nothing",
        "/auth/callback",
    ] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let (_, headers, _) = world.send(request).await;
        assert!(headers["x-request-id"].len() >= 32, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
    for (given, is_kept) in [
        ("a-request.7", true),
        ("a\"b", false),
        (&"a".repeat(65), false),
    ] {
        let request = Request::builder().uri("/").header("x-request-id", given);
        let (_, headers, _) = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(headers["x-request-id"] == given, is_kept, "{given}");
    }
}

#[tokio::test]
async fn a_commit_carries_the_id_of_the_request_it_was_made_for() {
    let world = World::new().await;
    world.parts().has_configuration = true;
    let body = json!({"name": "initech", "displayName": "Initech"}).to_string();
    let forged = "x Catalyst-Plan: sha256:00";
    for given in [Some("ticket-4711"), Some(forged), None] {
        let mut request = Request::builder()
            .method("POST")
            .uri("/api/v1/organizations")
            .header("authorization", "Bearer sol-token")
            .header("content-type", "application/json");
        if let Some(given) = given {
            request = request.header("x-request-id", given);
        }
        let request = request.body(Body::from(body.clone())).unwrap();
        let (status, headers, answer) = world.send(request).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer:?}");
        let answered = headers["x-request-id"].to_str().unwrap();
        let commit = world.parts().commits.pop().unwrap();
        assert_eq!(
            commit["message"],
            format!(
                "Create Organization initech\n\nCatalyst-Command: organization-create\nCatalyst-Request: {answered}\n"
            )
        );
        assert_eq!(answered == "ticket-4711", given == Some("ticket-4711"));
    }
}

#[tokio::test]
async fn an_organization_takes_nobodys_name_and_is_given_to_nobody_unknown() {
    let world = World::new().await;
    world.parts().has_configuration = true;
    let path = "/api/v1/organizations";
    for (body, words, next) in [
        (
            json!({"name": "olga"}),
            "There is a user olga",
            "Choose another name",
        ),
        (json!({"name": "system"}), "reserved", ""),
        (
            json!({"name": "initech", "admins": ["olga", "nobody"]}),
            "There is no user nobody",
            "catalyst user invite nobody",
        ),
        (
            json!({"name": "initech", "admins": ["system"]}),
            "reserved",
            "",
        ),
    ] {
        let (status, problem) = world.ask(Some("sol"), "POST", path, Some(&body)).await;
        assert!(
            matches!(status.as_u16(), 409 | 422),
            "{body}: {status} {problem}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {problem}");
        let hint = problem["next"].as_str().unwrap_or_default();
        assert!(hint.contains(next), "{body}: {problem}");
    }
    assert!(world.parts().commits.is_empty());
    let body = json!({"name": "initech", "admins": ["olga"]});
    let (status, answer) = world.ask(Some("sol"), "POST", path, Some(&body)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}

/// Nobody could ever approve what they are asked to.
#[tokio::test]
async fn a_policy_asks_nobody_unknown_to_approve() {
    let world = World::new().await;
    {
        let mut parts = world.parts();
        parts.has_configuration = true;
        let kind = "apiVersion: catalyst.openova.io/v1alpha1\nkind: ";
        let acme =
            format!("{kind}Organization\nmetadata: {{name: acme}}\nspec: {{displayName: Acme}}\n");
        let dev = format!(
            "{kind}Environment\nmetadata: {{name: acme-dev}}\nspec: {{organization: acme, envType: dev}}\n"
        );
        parts.files = [
            ("organizations/acme.yaml".to_owned(), acme),
            ("environments/acme-dev.yaml".to_owned(), dev),
        ]
        .into();
    }
    let put = async |approvers: &[&str]| {
        let rule = json!({"kind": "pr-required", "minApprovals": 1, "approvers": approvers});
        let body = json!({"name": "eyes", "environments": ["acme-dev"], "rules": [rule]});
        let path = "/api/v1/policies/eyes";
        world.ask(Some("sol"), "PUT", path, Some(&body)).await
    };
    let (status, problem) = put(&["olga", "nobody"]).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["detail"], "There is no user nobody", "{problem}");
    assert!(world.parts().commits.is_empty());
    let (status, answer) = put(&["olga"]).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}

#[tokio::test]
async fn the_sovereign_is_open_to_all_and_me_is_not() {
    let world = World::new().await;
    let (status, sovereign) = world.ask(None, "GET", "/api/v1/sovereign", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(sovereign["name"], "localhost");
    assert_eq!(sovereign["envTypes"], json!(["dev", "prod"]));
    let path = "/api/v1/sovereign/trusted-root";
    let (status, root) = world.ask(None, "GET", path, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        root["mediaType"],
        "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
    );
    let (status, problem) = world.ask(None, "GET", "/api/v1/me", None).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::UNAUTHORIZED, &json!("unauthenticated"))
    );
    let (_, me) = world.ask(Some("sol"), "GET", "/api/v1/me", None).await;
    assert_eq!(me["sovereignAdmin"], true);
}

#[tokio::test]
async fn only_access_tokens_that_hold_count() {
    let world = World::new().await;
    world
        .parts()
        .tokens
        .insert("refresh-9".to_owned(), "ada".to_owned());
    for (header, expected) in [
        ("Bearer ada-token", StatusCode::OK),
        ("bearer ada-token", StatusCode::OK),
        ("Bearer nobody-token", StatusCode::UNAUTHORIZED),
        ("Bearer refresh-9", StatusCode::UNAUTHORIZED),
        ("Bearer ", StatusCode::UNAUTHORIZED),
        ("Basic YWRhOmFkYS10b2tlbg==", StatusCode::UNAUTHORIZED),
    ] {
        let request = Request::builder()
            .uri("/api/v1/me")
            .header("authorization", header);
        let (status, ..) = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, expected, "{header}");
    }
}

#[tokio::test]
async fn callers_that_come_at_once_share_one_look() {
    let world = World::new().await;
    for _ in 0..20 {
        world.ask(Some("ada"), "GET", "/api/v1/me", None).await;
    }
    let parts = world.parts();
    assert!(
        parts.introspections <= 2,
        "{} introspections",
        parts.introspections
    );
    assert!(parts.lists <= 2, "{} lists", parts.lists);
}

fn signed(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, body.as_bytes()))
}

#[tokio::test]
async fn the_forges_events_are_taken_when_they_are_signed() {
    let world = World::new().await;
    let body = json!({
        "ref": "refs/heads/main", "after": "a".repeat(40),
        "repository": {"full_name": "acme/acme-dev", "name": "acme-dev", "owner": {"login": "acme"}},
    })
    .to_string();
    for (signature, expected) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some(String::new()), StatusCode::UNAUTHORIZED),
        (Some("zz".to_owned()), StatusCode::UNAUTHORIZED),
        (Some(signed("another", &body)), StatusCode::UNAUTHORIZED),
        (Some(signed(WEBHOOK_SECRET, "{}")), StatusCode::UNAUTHORIZED),
        (Some(signed(WEBHOOK_SECRET, &body)), StatusCode::NO_CONTENT),
    ] {
        let mut request = Request::builder()
            .method("POST")
            .uri("/api/v1/hooks/git")
            .header("content-type", "application/json");
        if let Some(signature) = &signature {
            request = request.header("x-gitea-signature", signature);
        }
        let request = request.body(Body::from(body.clone())).unwrap();
        assert_eq!(world.send(request).await.0, expected, "{signature:?}");
    }
    let woken = world.parts().woken.clone();
    assert_eq!(woken.len(), 1);
    assert_eq!(
        (woken[0].owner.as_str(), woken[0].name.as_str()),
        ("acme", "acme-dev")
    );
}

#[tokio::test]
async fn what_a_registry_has_to_show_only_sovereign_admins_are_told() {
    let world = World::new().await;
    let path = "/api/v1/hooks/registry";
    let (status, hook) = world.ask(Some("sol"), "GET", path, None).await;
    assert_eq!(status, StatusCode::OK, "{hook}");
    let url = format!("{ORIGIN}{path}");
    assert_eq!(hook, json!({"url": url, "token": REGISTRY_TOKEN}));
    let request = Request::builder()
        .method("POST")
        .uri(path)
        .header("content-type", "application/json")
        .header(
            "authorization",
            format!("Bearer {}", hook["token"].as_str().unwrap()),
        );
    let (status, ..) = world.send(request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    for caller in ["ada", "dan", "vic", "bill", "olga"] {
        let (status, problem) = world.ask(Some(caller), "GET", path, None).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{caller}: {problem}");
        assert!(!problem.to_string().contains(REGISTRY_TOKEN), "{caller}");
    }
    let (status, problem) = world.ask(None, "GET", path, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(!problem.to_string().contains(REGISTRY_TOKEN));
}

#[tokio::test]
async fn what_registries_tell_is_taken_when_they_show_their_token() {
    let world = World::new().await;
    let tell = |token: Option<&str>, body: String| {
        let mut request = Request::builder()
            .method("POST")
            .uri("/api/v1/hooks/registry")
            .header(
                "content-type",
                "application/vnd.docker.distribution.events.v2+json",
            );
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        world.send(request.body(Body::from(body)).unwrap())
    };
    let event = |action: &str, repository: &str| {
        let target = json!({"repository": repository, "tag": "1.0.0", "digest": "sha256:aa"});
        json!({"action": action, "target": target})
    };
    let told = json!({"events": [
        event("push", "acme/bp-wiki"), event("pull", "acme/bp-blog"), event("push", "acme/web"),
    ]})
    .to_string();
    let known = format!("Bearer {REGISTRY_TOKEN}");
    let other = format!("Bearer {CHECK_TOKEN}");
    let near = format!("Bearer {}", &REGISTRY_TOKEN[1..]);
    for token in [None, Some(""), Some("Bearer "), Some(&*other), Some(&*near)] {
        let (status, ..) = tell(token, told.clone()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token:?}");
    }
    for (body, expected) in [
        (told.clone(), StatusCode::NO_CONTENT),
        // Told again, it is looked at again, and nothing else comes of it.
        (told, StatusCode::NO_CONTENT),
        // Nothing of Blueprints.
        (
            json!({"events": [event("push", "acme/web")]}).to_string(),
            StatusCode::NO_CONTENT,
        ),
        ("{}".to_owned(), StatusCode::NO_CONTENT),
        ("no".to_owned(), StatusCode::BAD_REQUEST),
        (
            json!({"events": [{"action": 1}]}).to_string(),
            StatusCode::BAD_REQUEST,
        ),
        (" ".repeat(2 << 20), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let what = body.chars().take(40).collect::<String>();
        assert_eq!(tell(Some(&known), body).await.0, expected, "{what}");
    }
    let wiki = std::collections::BTreeSet::from(["acme/bp-wiki".to_owned()]);
    assert_eq!(world.parts().looked_at, [wiki.clone(), wiki]);
}

#[tokio::test]
async fn pushes_and_the_ends_of_pull_requests_wake_who_waits_for_them() {
    let world = World::new().await;
    let repository =
        json!({"full_name": "acme/acme-dev", "name": "acme-dev", "owner": {"login": "acme"}});
    for (event, expected) in [
        (
            json!({"action": "opened", "pull_request": {"number": 7}}),
            0,
        ),
        (json!({"action": "closed", "issue": {"number": 7}}), 0),
        (
            json!({"action": "closed", "pull_request": {"number": 7}}),
            1,
        ),
        (json!({"ref": "refs/heads/main"}), 2),
    ] {
        let mut body = event.clone();
        body["repository"] = repository.clone();
        let body = body.to_string();
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/hooks/git")
            .header("content-type", "application/json")
            .header("x-gitea-signature", signed(WEBHOOK_SECRET, &body));
        let request = request.body(Body::from(body)).unwrap();
        assert_eq!(world.send(request).await.0, StatusCode::NO_CONTENT);
        assert_eq!(world.parts().woken.len(), expected, "{event}");
    }
}

#[tokio::test]
async fn a_push_is_checked_for_the_forge_alone() {
    let world = World::new().await;
    let body = json!({
        "repository": "acme/nothing", "pusher": "olga",
        "refs": [], "forced": [], "commits": [], "files": [],
    });
    let ask = |token: Option<&str>| {
        let mut request = Request::builder()
            .method("POST")
            .uri("/api/v1/checks/push")
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        world.send(request.body(Body::from(body.to_string())).unwrap())
    };
    for token in [None, Some(""), Some("sol-token"), Some(&CHECK_TOKEN[1..])] {
        assert_eq!(ask(token).await.0, StatusCode::UNAUTHORIZED, "{token:?}");
    }
    let (status, _, answer) = ask(Some(CHECK_TOKEN)).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["allowed"].is_boolean() && answer["messages"].is_array());
    // A forge that does not say what a push leaves behind is not answered.
    let untold = json!({"repository": "acme/nothing", "pusher": "olga", "refs": [], "files": []});
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/checks/push")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {CHECK_TOKEN}"));
    let request = request.body(Body::from(untold.to_string())).unwrap();
    assert!(world.send(request).await.0.is_client_error());
}
