use http::StatusCode;
use serde_json::Value;

use crate::harness::*;

async fn begin(world: &World) -> Value {
    let form = [("client_id", "cli"), ("scope", "openid profile")];
    let reply = world
        .browser()
        .post("/oidc/device_authorization", &form)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    reply.json()
}

async fn poll(world: &World, device: &Value) -> Reply {
    let form = [
        ("grant_type", DEVICE_GRANT),
        ("client_id", "cli"),
        ("device_code", text(device, "device_code")),
    ];
    world.token(&form).await
}

async fn decide(browser: &mut Browser, code: &str, action: &str) -> Reply {
    let token = browser.get("/oidc/device").await.field("form_token");
    let form = [
        ("form_token", token.as_str()),
        ("user_code", code),
        ("action", action),
    ];
    browser.post("/oidc/device", &form).await
}

#[tokio::test]
async fn a_device_gets_tokens_once_its_user_agrees() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let device = begin(&world).await;
    assert_eq!(
        device["verification_uri"],
        "http://127.0.0.1:8080/oidc/device"
    );
    assert_eq!(
        (&device["expires_in"], &device["interval"]),
        (&600.into(), &5.into())
    );
    assert_eq!(poll(&world, &device).await.error(), "authorization_pending");
    assert_eq!(poll(&world, &device).await.error(), "slow_down");
    world.pass(10);
    assert_eq!(poll(&world, &device).await.error(), "authorization_pending");

    // The link asks for a sign-in first, then comes back with the code.
    let complete = text(&device, "verification_uri_complete");
    let path = complete.strip_prefix("http://127.0.0.1:8080").unwrap();
    let mut browser = world.browser();
    let reply = browser.sign_in(path, "ada", PASSWORD).await;
    let location = reply.header("location").to_owned();
    assert_eq!(location, path);
    let page = browser.get(&location).await;
    assert_eq!(page.field("user_code"), text(&device, "user_code"));
    let page = decide(
        &mut browser,
        &text(&device, "user_code").to_lowercase(),
        "look",
    )
    .await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body.contains("Catalyst CLI") && page.body.contains("ada"),
        "{}",
        page.body
    );
    world.pass(10);
    assert_eq!(
        poll(&world, &device).await.error(),
        "authorization_pending",
        "looking is not agreeing"
    );
    let page = decide(&mut browser, text(&device, "user_code"), "approve").await;
    assert_eq!(page.status, StatusCode::OK);

    drop(browser);
    let world = world.restart().await;
    let reply = poll(&world, &device).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let tokens = reply.json();
    let claims = world
        .verified(text(&tokens, "access_token"), "catalyst")
        .await;
    assert_eq!(claims["sub"], user.id);
    assert_eq!(
        world
            .refresh("cli", text(&tokens, "refresh_token"))
            .await
            .status,
        StatusCode::OK
    );
    world.pass(60);
    assert_eq!(
        poll(&world, &device).await.error(),
        "invalid_grant",
        "once only"
    );
}

#[tokio::test]
async fn a_device_is_told_that_its_user_refused() {
    let world = World::new().await;
    world.user("ada").await;
    let device = begin(&world).await;
    let mut browser = world.signed_in("ada").await;
    assert_eq!(
        decide(&mut browser, text(&device, "user_code"), "deny")
            .await
            .status,
        StatusCode::OK
    );
    let reply = decide(&mut browser, text(&device, "user_code"), "approve").await;
    assert_eq!(
        reply.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "decided is decided"
    );
    assert_eq!(poll(&world, &device).await.error(), "access_denied");
    world.pass(60);
    assert_eq!(poll(&world, &device).await.error(), "invalid_grant");
}

#[tokio::test]
async fn device_codes_expire_and_belong_to_their_client() {
    let world = World::new().await;
    world.user("ada").await;
    let device = begin(&world).await;
    let form = [
        ("grant_type", DEVICE_GRANT),
        ("client_id", "console"),
        ("device_code", text(&device, "device_code")),
    ];
    assert_eq!(world.token(&form).await.error(), "unauthorized_client");
    let form = [("client_id", "console")];
    let reply = world
        .browser()
        .post("/oidc/device_authorization", &form)
        .await;
    assert_eq!(reply.error(), "unauthorized_client");
    world.pass(600);
    assert_eq!(poll(&world, &device).await.error(), "expired_token");
    let mut browser = world.signed_in("ada").await;
    let reply = decide(&mut browser, text(&device, "user_code"), "approve").await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_user_removed_after_agreeing_gives_the_device_nothing() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let device = begin(&world).await;
    let mut browser = world.signed_in("ada").await;
    decide(&mut browser, text(&device, "user_code"), "approve").await;
    world.issuer.user_delete(&user.id).await.unwrap();
    assert_eq!(poll(&world, &device).await.error(), "invalid_grant");
}

#[tokio::test]
async fn guessing_at_codes_is_slowed() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    for _ in 0..5 {
        let reply = decide(&mut browser, "BBBB-BBBB", "approve").await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let reply = decide(&mut browser, "BBBB-BBBC", "approve").await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.header("retry-after"), "1");
}

#[tokio::test]
async fn agreeing_needs_the_form_of_this_browser() {
    let world = World::new().await;
    world.user("ada").await;
    let device = begin(&world).await;
    let mut browser = world.signed_in("ada").await;
    let form = [
        ("user_code", text(&device, "user_code")),
        ("action", "approve"),
    ];
    assert_eq!(
        browser.post("/oidc/device", &form).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(poll(&world, &device).await.error(), "authorization_pending");
}

#[tokio::test]
async fn waiting_devices_are_bounded() {
    let world = World::new().await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let mut browser = world.browser();
        requests.spawn(async move {
            let form = [("client_id", "cli"), ("scope", "openid")];
            browser
                .post("/oidc/device_authorization", &form)
                .await
                .status
        });
    }
    assert!(
        requests
            .join_all()
            .await
            .iter()
            .all(|status| *status == StatusCode::OK)
    );
    let form = [("client_id", "cli"), ("scope", "openid")];
    let reply = world
        .browser()
        .post("/oidc/device_authorization", &form)
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.header("retry-after"), "60");
    world.pass(600);
    begin(&world).await;
}
