use catalyst_issuer::UserUpdate;
use http::StatusCode;

use crate::harness::*;

#[tokio::test]
async fn refresh_tokens_rotate_and_survive_a_restart() {
    let world = World::new().await;
    world.user("ada").await;
    let first = world.tokens("ada").await;
    let world = world.restart().await;
    world.pass(301);
    let second = world
        .refresh("console", text(&first, "refresh_token"))
        .await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.body);
    let second = second.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let access = world
        .verified(text(&second, "access_token"), "catalyst")
        .await;
    assert_eq!(access["iat"], START + 301);
    assert_eq!(access["auth_time"], START);
    assert!(
        !world.is_active(text(&first, "access_token")).await,
        "expired"
    );
    assert!(world.is_active(text(&second, "access_token")).await);
    assert!(world.is_active(text(&second, "access_token")).await);
    let third = world
        .refresh("console", text(&second, "refresh_token"))
        .await;
    assert_eq!(third.status, StatusCode::OK);
}

#[tokio::test]
async fn a_replayed_refresh_token_revokes_the_family() {
    let world = World::new().await;
    world.user("ada").await;
    let first = world.tokens("ada").await;
    let other = world.tokens("ada").await;
    let second = world
        .refresh("console", text(&first, "refresh_token"))
        .await
        .json();
    let reply = world
        .refresh("console", text(&first, "refresh_token"))
        .await;
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (StatusCode::BAD_REQUEST, "invalid_grant")
    );
    let reply = world
        .refresh("console", text(&second, "refresh_token"))
        .await;
    assert_eq!(reply.error(), "invalid_grant", "the newest one is dead too");
    assert!(!world.is_active(text(&second, "access_token")).await);
    let reply = world
        .browser()
        .bearer(text(&second, "access_token"))
        .get("/oidc/userinfo")
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(
        world.is_active(text(&other, "access_token")).await,
        "another sign-in is untouched"
    );
}

#[tokio::test]
async fn a_refresh_token_used_twice_at_once_revokes_the_family() {
    let world = World::new().await;
    world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let token = text(&tokens, "refresh_token");
    let (one, two) = tokio::join!(
        world.refresh("console", token),
        world.refresh("console", token)
    );
    let good: Vec<_> = [one, two]
        .into_iter()
        .filter(|reply| reply.status == StatusCode::OK)
        .collect();
    assert_eq!(good.len(), 1);
    let reply = world
        .refresh("console", text(&good[0].json(), "refresh_token"))
        .await;
    assert_eq!(reply.error(), "invalid_grant");
}

#[tokio::test]
async fn a_made_up_or_foreign_refresh_token_revokes_nothing() {
    let world = World::new().await;
    world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let token = text(&tokens, "refresh_token");
    let grant = token.split('.').next().unwrap();
    for (client, forged) in [
        ("console", format!("{grant}.made.up")),
        ("console", grant.to_owned()),
        ("console", "x".to_owned()),
        ("cli", token.to_owned()),
    ] {
        assert_eq!(
            world.refresh(client, &forged).await.error(),
            "invalid_grant",
            "{forged}"
        );
    }
    assert_eq!(world.refresh("console", token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn refreshing_ends_when_idle_and_in_total() {
    const DAY: i64 = 24 * 3600;
    let world = World::new().await;
    world.user("ada").await;
    let idle = world.tokens("ada").await;
    let mut used = text(&world.tokens("ada").await, "refresh_token").to_owned();
    for _ in 0..6 {
        world.pass(13 * DAY);
        let reply = world.refresh("console", &used).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        used = text(&reply.json(), "refresh_token").to_owned();
    }
    assert_eq!(
        world
            .refresh("console", text(&idle, "refresh_token"))
            .await
            .error(),
        "invalid_grant"
    );
    world.pass(12 * DAY);
    assert_eq!(
        world.refresh("console", &used).await.error(),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_but_not_for_more() {
    let world = World::new().await;
    world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let refresh = async |token: &str, scope: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "console"),
            ("refresh_token", token),
            ("scope", scope),
        ];
        world.token(&form).await
    };
    let reply = refresh(text(&tokens, "refresh_token"), "openid offline_access").await;
    assert_eq!(reply.error(), "invalid_scope");
    let reply = refresh(text(&tokens, "refresh_token"), "email").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["scope"], "email");
    assert!(reply.json().get("id_token").is_none());
}

#[tokio::test]
async fn a_client_gets_tokens_for_itself() {
    let world = World::new().await;
    let form = [("grant_type", "client_credentials")];
    let reply = world
        .browser()
        .basic("control-plane", "admin-secret")
        .post("/oidc/token", &form)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let tokens = reply.json();
    assert!(tokens.get("refresh_token").is_none());
    let claims = world
        .verified(text(&tokens, "access_token"), "catalyst")
        .await;
    assert_eq!(claims["sub"], "control-plane");
    assert_eq!(
        claims["preferred_username"],
        "service-account-control-plane"
    );
    assert_eq!(claims["groups"], serde_json::json!(["system"]));
    assert!(world.is_active(text(&tokens, "access_token")).await);
    let reply = world
        .browser()
        .bearer(text(&tokens, "access_token"))
        .get("/oidc/userinfo")
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "there is no user");

    let post = [
        ("grant_type", "client_credentials"),
        ("client_id", "api"),
        ("client_secret", "api-secret"),
    ];
    assert_eq!(world.token(&post).await.status, StatusCode::OK);
    let public = [
        ("grant_type", "client_credentials"),
        ("client_id", "console"),
    ];
    assert_eq!(world.token(&public).await.error(), "unauthorized_client");
}

#[tokio::test]
async fn faulty_token_requests_are_refused() {
    let world = World::new().await;
    for (form, error) in [
        (vec![("client_id", "console")], "invalid_request"),
        (
            vec![("client_id", "console"), ("grant_type", "password")],
            "unsupported_grant_type",
        ),
        (
            vec![("client_id", "nobody"), ("grant_type", "refresh_token")],
            "invalid_client",
        ),
        (vec![("grant_type", "refresh_token")], "invalid_request"),
        (
            vec![("client_id", "console"), ("grant_type", "refresh_token")],
            "invalid_request",
        ),
        (
            vec![
                ("client_id", "console"),
                ("client_secret", "x"),
                ("grant_type", "refresh_token"),
            ],
            "invalid_client",
        ),
        (
            vec![
                ("client_id", "console"),
                ("client_id", "cli"),
                ("grant_type", "refresh_token"),
            ],
            "invalid_request",
        ),
        (
            vec![
                ("client_id", "console"),
                ("grant_type", DEVICE_GRANT),
                ("device_code", "x"),
            ],
            "unauthorized_client",
        ),
    ] {
        let reply = world.token(&form).await;
        assert_eq!(reply.error(), error, "{form:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let body = serde_json::json!({ "grant_type": "client_credentials" });
    let reply = world
        .browser()
        .json(http::Method::POST, "/oidc/token", &body)
        .await;
    assert_eq!(reply.error(), "invalid_request");
    let large = "x".repeat(70_000);
    let reply = world
        .token(&[("client_id", "console"), ("grant_type", &large)])
        .await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    let reply = world
        .browser()
        .basic("api", "api-secret")
        .post(
            "/oidc/token",
            &[
                ("grant_type", "client_credentials"),
                ("client_secret", "api-secret"),
            ],
        )
        .await;
    assert_eq!(reply.error(), "invalid_request", "two ways at once");
}

#[tokio::test]
async fn revocation_ends_tokens_of_the_client_that_asks() {
    let world = World::new().await;
    world.user("ada").await;
    let revoke = async |client: &str, token: &str| {
        world
            .browser()
            .post("/oidc/revoke", &[("client_id", client), ("token", token)])
            .await
            .status
    };
    let tokens = world.tokens("ada").await;
    let (access, refresh) = (
        text(&tokens, "access_token"),
        text(&tokens, "refresh_token"),
    );
    assert_eq!(revoke("cli", refresh).await, StatusCode::OK);
    assert_eq!(revoke("cli", access).await, StatusCode::OK);
    assert!(
        world.is_active(access).await,
        "another client revokes nothing"
    );
    assert_eq!(revoke("console", access).await, StatusCode::OK);
    assert!(!world.is_active(access).await);
    let second = world.refresh("console", refresh).await.json();
    assert!(world.is_active(text(&second, "access_token")).await);
    assert_eq!(
        revoke("console", text(&second, "refresh_token")).await,
        StatusCode::OK
    );
    assert!(!world.is_active(text(&second, "access_token")).await);
    assert_eq!(
        world
            .refresh("console", text(&second, "refresh_token"))
            .await
            .error(),
        "invalid_grant"
    );
    assert_eq!(revoke("console", "unknown").await, StatusCode::OK);
    assert_eq!(revoke("nobody", refresh).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn introspection_answers_only_what_the_asker_may_know() {
    let world = World::new().await;
    world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let access = text(&tokens, "access_token");
    let answer = world.introspect(access).await;
    assert_eq!(answer["active"], true);
    assert_eq!(answer["username"], "ada");
    assert_eq!(answer["client_id"], "console");
    for inactive in [
        tampered(access),
        text(&tokens, "id_token").to_owned(),
        text(&tokens, "refresh_token").to_owned(),
        "nonsense".to_owned(),
    ] {
        assert_eq!(
            world.introspect(&inactive).await,
            serde_json::json!({ "active": false })
        );
    }
    let form = [("client_id", "console"), ("token", access)];
    let reply = world.browser().post("/oidc/introspect", &form).await;
    assert_eq!(
        reply.status,
        StatusCode::UNAUTHORIZED,
        "public clients may not ask"
    );
    world.pass(300);
    assert!(!world.is_active(access).await, "expired");
}

#[tokio::test]
async fn what_a_token_opened_may_outlive_it_but_not_the_sign_in() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let mut opened = Vec::new();
    for _ in 0..4 {
        opened.push(world.tokens("ada").await);
    }
    let access = |number: usize| text(&opened[number], "access_token");
    assert!(world.is_signed_in(access(0)).await);
    assert!(!world.is_signed_in(&tampered(access(0))).await);

    // One token is revoked, its sign-in is not: it does not come back.
    let form = [("client_id", "console"), ("token", access(3))];
    let revoked = world.browser().post("/oidc/revoke", &form).await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert!(!world.is_signed_in(access(3)).await);
    world.pass(3600);
    world.issuer.maintain().await.unwrap();
    let refresh = text(&opened[3], "refresh_token");
    let refreshed = world.refresh("console", refresh).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    assert!(!world.is_signed_in(access(3)).await);
    assert!(!world.is_active(access(0)).await, "expired");
    assert!(world.is_signed_in(access(0)).await);

    // The groups are those of now.
    let groups = Some(vec!["acme:viewer".to_owned()]);
    let update = UserUpdate {
        groups,
        ..UserUpdate::default()
    };
    world.issuer.user_update(&ada.id, update).await.unwrap();
    let form = [("token", access(0)), ("allow_expired", "true")];
    let answer = world.introspect_with(&form).await;
    assert_eq!(answer["groups"], serde_json::json!(["acme:viewer"]));

    // One sign-in ends alone, and all of them end with the user.
    let form = [
        ("client_id", "console"),
        ("token", text(&opened[0], "refresh_token")),
    ];
    let revoked = world.browser().post("/oidc/revoke", &form).await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert!(!world.is_signed_in(access(0)).await);
    assert!(world.is_signed_in(access(1)).await);
    world.issuer.user_disable(&ada.id).await.unwrap();
    assert!(!world.is_signed_in(access(1)).await);
    world.issuer.user_enable(&ada.id).await.unwrap();
    assert!(!world.is_signed_in(access(2)).await);
}

#[tokio::test]
async fn a_token_signed_with_another_algorithm_or_key_is_refused() {
    let world = World::new().await;
    world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let access = text(&tokens, "access_token");
    let mut parts: Vec<String> = access.split('.').map(str::to_owned).collect();
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = URL_SAFE_NO_PAD.decode(&parts[0]).unwrap();
    let header = String::from_utf8(header).unwrap();
    parts[0] = URL_SAFE_NO_PAD.encode(header.replace("ES256", "none"));
    parts[2] = String::new();
    assert!(!world.is_active(&parts.join(".")).await);

    let other = World::new().await;
    other.user("ada").await;
    let foreign = other.tokens("ada").await;
    assert!(!world.is_active(text(&foreign, "access_token")).await);
}
