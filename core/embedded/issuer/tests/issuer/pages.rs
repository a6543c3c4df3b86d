use http::StatusCode;

use crate::harness::*;

/// A page without what differs from run to run.
fn page(reply: &Reply) -> String {
    let token = reply.field("form_token");
    reply.body.replace(&token, "[form token]")
}

#[tokio::test]
async fn discovery_describes_the_endpoints() {
    let world = World::new().await;
    let reply = world
        .browser()
        .get("/oidc/.well-known/openid-configuration")
        .await;
    assert_eq!(reply.header("content-type"), "application/json");
    insta::assert_json_snapshot!("discovery", reply.json());
}

#[tokio::test]
async fn the_sign_in_page() {
    let world = World::new().await;
    let reply = world
        .browser()
        .get(&authorize_path("console", CONSOLE))
        .await;
    insta::assert_snapshot!("sign_in", page(&reply));
    insta::assert_snapshot!("sign_in_policy", reply.header("content-security-policy"));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
    ] {
        assert_eq!(reply.header(name), value);
    }
    let reply = world
        .browser()
        .sign_in(
            &authorize_path("console", CONSOLE),
            "<script>\"'",
            "wrong password here",
        )
        .await;
    assert!(!reply.body.contains("<script>"), "{}", reply.body);
    insta::assert_snapshot!("sign_in_refused", page(&reply));
}

#[tokio::test]
async fn the_set_password_page() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let return_to = url::Url::parse("https://web.example/welcome").unwrap();
    let link = world
        .issuer
        .user_invite(&user.id, &return_to)
        .await
        .unwrap();
    let path = link.url.strip_prefix("http://127.0.0.1:8080").unwrap();
    let reply = world.browser().get(path).await;
    insta::assert_snapshot!(
        "set_password",
        page(&reply).replace(&reply.field("token"), "[link token]")
    );
    assert!(
        reply
            .header("content-security-policy")
            .contains("form-action 'self' https://web.example;"),
        "{}",
        reply.header("content-security-policy")
    );
}

#[tokio::test]
async fn the_device_pages() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let entry = browser.get("/oidc/device?user_code=bcdfghjk").await;
    insta::assert_snapshot!("device_entry", page(&entry));
    let form = [("client_id", "cli"), ("scope", "openid")];
    let device = world
        .browser()
        .post("/oidc/device_authorization", &form)
        .await
        .json();
    let token = entry.field("form_token");
    let code = text(&device, "user_code");
    let form = [
        ("form_token", token.as_str()),
        ("user_code", code),
        ("action", "look"),
    ];
    let reply = browser.post("/oidc/device", &form).await;
    insta::assert_snapshot!("device_confirm", page(&reply).replace(code, "[user code]"));
}

#[tokio::test]
async fn the_error_and_sign_out_pages() {
    let world = World::new().await;
    world.user("ada").await;
    let reply = world
        .browser()
        .get(&authorize_path("console", "https://evil.example/"))
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    insta::assert_snapshot!("redirect_refused", reply.body);
    let mut browser = world.signed_in("ada").await;
    let reply = browser.get("/oidc/logout?client_id=console&state=x").await;
    insta::assert_snapshot!("sign_out", page(&reply));
}
