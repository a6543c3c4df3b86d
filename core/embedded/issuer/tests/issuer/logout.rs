use http::StatusCode;

use crate::harness::*;

const AFTER: &str = "http://127.0.0.1:8080/";

async fn signed_in(world: &World) -> (Browser, serde_json::Value) {
    let mut browser = world.signed_in("ada").await;
    let code = browser.code("console", CONSOLE).await;
    let tokens = world
        .exchange("console", CONSOLE, &code, VERIFIER)
        .await
        .json();
    (browser, tokens)
}

#[tokio::test]
async fn a_logout_with_the_users_identity_token_happens_at_once() {
    let world = World::new().await;
    world.user("ada").await;
    let (mut browser, tokens) = signed_in(&world).await;
    world.pass(4000);
    let refreshed = world
        .refresh("console", text(&tokens, "refresh_token"))
        .await
        .json();
    // The hint has expired; that does not matter.
    let path = format!(
        "/oidc/logout?id_token_hint={}&post_logout_redirect_uri={AFTER}&state=s",
        text(&tokens, "id_token")
    );
    let reply = browser.get(&path).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    assert_eq!(reply.header("location"), "http://127.0.0.1:8080/?state=s");
    assert!(!browser.cookies.contains_key("catalyst-session"));
    assert_eq!(
        browser
            .get(&authorize_path("console", CONSOLE))
            .await
            .status,
        StatusCode::OK
    );
    assert!(!world.is_active(text(&refreshed, "access_token")).await);
    let reply = world
        .refresh("console", text(&refreshed, "refresh_token"))
        .await;
    assert_eq!(reply.error(), "invalid_grant");
}

#[tokio::test]
async fn without_a_hint_the_user_is_asked() {
    let world = World::new().await;
    world.user("ada").await;
    let (mut browser, tokens) = signed_in(&world).await;
    let path = format!("/oidc/logout?client_id=console&post_logout_redirect_uri={AFTER}");
    let page = browser.get(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        world.is_active(text(&tokens, "access_token")).await,
        "not yet"
    );
    let token = page.field("form_token");
    let form = [
        ("form_token", token.as_str()),
        ("client_id", "console"),
        ("post_logout_redirect_uri", AFTER),
    ];
    let mut foreign = browser.clone().with("origin", "http://app.localhost:8080");
    assert_eq!(
        foreign.post("/oidc/logout", &form).await.status,
        StatusCode::FORBIDDEN
    );
    let reply = browser.post("/oidc/logout", &form[1..]).await;
    assert_eq!(
        reply.status,
        StatusCode::OK,
        "a post without our form asks as well"
    );
    assert!(world.is_active(text(&tokens, "access_token")).await);
    let reply = browser.post("/oidc/logout", &form).await;
    assert_eq!(reply.header("location"), AFTER);
    assert!(!world.is_active(text(&tokens, "access_token")).await);
}

#[tokio::test]
async fn another_users_hint_signs_nobody_out() {
    let world = World::new().await;
    world.user("ada").await;
    world.user("bob").await;
    let bobs = world.tokens("bob").await;
    let (mut browser, tokens) = signed_in(&world).await;
    let reply = browser
        .get(&format!(
            "/oidc/logout?id_token_hint={}",
            text(&bobs, "id_token")
        ))
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let forged = tampered(text(&tokens, "id_token"));
    let reply = browser
        .get(&format!("/oidc/logout?id_token_hint={forged}"))
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(world.is_active(text(&tokens, "access_token")).await);
    assert!(
        browser
            .get(&authorize_path("console", CONSOLE))
            .await
            .query("code")
            .is_some()
    );
}

#[tokio::test]
async fn a_logout_never_leads_to_a_foreign_address() {
    let world = World::new().await;
    world.user("ada").await;
    let (mut browser, tokens) = signed_in(&world).await;
    let hint = text(&tokens, "id_token");
    for path in [
        format!("/oidc/logout?id_token_hint={hint}&post_logout_redirect_uri=https://evil.example/"),
        format!("/oidc/logout?post_logout_redirect_uri={AFTER}"),
        format!("/oidc/logout?client_id=cli&post_logout_redirect_uri={AFTER}"),
        format!("/oidc/logout?id_token_hint={hint}&client_id=cli"),
    ] {
        let reply = browser.get(&path).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(reply.header("location"), "", "{path}");
    }
    assert!(world.is_active(text(&tokens, "access_token")).await);
}
