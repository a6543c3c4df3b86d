use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::*;

const USERS: &str = "/oidc/admin/realms/catalyst/users";

async fn administrator(world: &World) -> Browser {
    let form = [("grant_type", "client_credentials")];
    let reply = world
        .browser()
        .basic("control-plane", "admin-secret")
        .post("/oidc/token", &form)
        .await;
    world.browser().bearer(text(&reply.json(), "access_token"))
}

#[tokio::test]
async fn the_control_plane_invites_changes_and_removes_users_over_the_wire() {
    let world = World::new().await;
    let mut admin = administrator(&world).await;
    let body = json!({
        "username": "ada", "email": "ada@example.org", "firstName": "Ada", "enabled": true,
        "groups": ["acme:org-admin"], "attributes": {},
    });
    let reply = admin.json(Method::POST, USERS, &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    let location = reply.header("location").to_owned();
    let path = location
        .strip_prefix("http://127.0.0.1:8080")
        .unwrap()
        .to_owned();
    let reply = admin.json(Method::POST, USERS, &body).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert!(text(&reply.json(), "errorMessage").contains("taken"));

    let user = admin.get(&path).await.json();
    assert_eq!(user["username"], "ada");
    assert_eq!(user["requiredActions"], json!(["UPDATE_PASSWORD"]));
    assert_eq!(user["createdTimestamp"], START * 1000);
    let invitation = json!({ "returnTo": CONSOLE });
    let reply = admin
        .json(Method::POST, &format!("{path}/invitation"), &invitation)
        .await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    let link = text(&reply.json(), "link").to_owned();
    let page = world
        .browser()
        .get(link.strip_prefix("http://127.0.0.1:8080").unwrap())
        .await;
    assert_eq!(page.status, StatusCode::OK);
    let foreign = json!({ "returnTo": "https://evil.example/" });
    let reply = admin
        .json(Method::POST, &format!("{path}/invitation"), &foreign)
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);

    let credential = json!({ "type": "password", "value": PASSWORD, "temporary": false });
    let reply = admin
        .json(Method::PUT, &format!("{path}/reset-password"), &credential)
        .await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    let tokens = world.tokens("ada").await;

    let reply = admin
        .json(Method::PUT, &path, &json!({ "groups": ["acme:viewer"] }))
        .await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let user = admin.get(&path).await.json();
    assert_eq!(user["groups"], json!(["acme:viewer"]));
    assert_eq!(user["email"], "ada@example.org");
    assert_eq!(
        admin
            .json(Method::PUT, &path, &json!({ "username": "eve" }))
            .await
            .status,
        400
    );

    let reply = admin
        .json(Method::POST, &format!("{path}/logout"), &json!({}))
        .await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert!(!world.is_active(text(&tokens, "access_token")).await);
    assert_eq!(
        admin.send(Method::DELETE, &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(admin.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        admin.send(Method::DELETE, &path, None).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn users_are_searched_and_paged() {
    let world = World::new().await;
    for name in ["ada", "adam", "bob"] {
        world.user(name).await;
    }
    let mut admin = administrator(&world).await;
    for (query, expected) in [
        ("", vec!["ada", "adam", "bob"]),
        ("?search=ADAM", vec!["adam"]),
        ("?search=lovelace", vec!["ada", "adam", "bob"]),
        ("?username=ada", vec!["ada", "adam"]),
        ("?username=ada&exact=true", vec!["ada"]),
        ("?email=bob@example.org&exact=true", vec!["bob"]),
        ("?first=1&max=1", vec!["adam"]),
        ("?search=nobody", vec![]),
    ] {
        let users = admin.get(&format!("{USERS}{query}")).await.json();
        let names: Vec<_> = users
            .as_array()
            .unwrap()
            .iter()
            .map(|user| text(user, "username"))
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    assert_eq!(
        admin.get(&format!("{USERS}?max=many")).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn only_a_privileged_client_may_manage_users() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let form = [("grant_type", "client_credentials")];
    let reply = world
        .browser()
        .basic("api", "api-secret")
        .post("/oidc/token", &form)
        .await;
    let service = text(&reply.json(), "access_token").to_owned();
    let tokens = world.tokens("ada").await;
    for (token, status) in [
        (service.as_str(), StatusCode::FORBIDDEN),
        (text(&tokens, "access_token"), StatusCode::FORBIDDEN),
        (text(&tokens, "id_token"), StatusCode::UNAUTHORIZED),
        ("nonsense", StatusCode::UNAUTHORIZED),
    ] {
        let path = format!("{USERS}/{}", user.id);
        let mut browser = world.browser().bearer(token);
        assert_eq!(browser.get(USERS).await.status, status);
        assert_eq!(browser.get(&path).await.status, status);
        assert_eq!(
            browser
                .json(Method::POST, USERS, &json!({ "username": "eve" }))
                .await
                .status,
            status
        );
        assert_eq!(
            browser
                .json(Method::PUT, &path, &json!({ "enabled": false }))
                .await
                .status,
            status
        );
        assert_eq!(
            browser.send(Method::DELETE, &path, None).await.status,
            status
        );
        for (method, action) in [
            (Method::POST, "logout"),
            (Method::PUT, "reset-password"),
            (Method::POST, "invitation"),
        ] {
            let path = format!("{path}/{action}");
            assert_eq!(
                browser.json(method, &path, &json!({})).await.status,
                status,
                "{action}"
            );
        }
    }
    assert_eq!(
        world.browser().get(USERS).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert!(world.issuer.user_get(&user.id).unwrap().enabled);
    let mut admin = administrator(&world).await;
    world.pass(300);
    assert_eq!(
        admin.get(USERS).await.status,
        StatusCode::UNAUTHORIZED,
        "expired"
    );
}

#[tokio::test]
async fn a_malformed_body_is_refused_without_being_quoted() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let mut admin = administrator(&world).await;
    let path = format!("{USERS}/{}/reset-password", user.id);
    let body = json!({ "type": "password", "value": { "hunter2": 1 } });
    let reply = admin.json(Method::PUT, &path, &body).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(!reply.body.contains("hunter2"), "{}", reply.body);
    assert_eq!(
        admin.json(Method::POST, USERS, &json!({})).await.status,
        StatusCode::BAD_REQUEST
    );
}
