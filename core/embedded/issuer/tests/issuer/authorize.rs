use http::StatusCode;

use crate::harness::*;

#[tokio::test]
async fn a_user_signs_in_and_the_client_gets_tokens_that_verify() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let mut browser = world.browser();
    let reply = browser
        .sign_in(&authorize_path("console", CONSOLE), "Ada", PASSWORD)
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(
        reply.header("location").starts_with("/oidc/authorize?"),
        "{}",
        reply.location()
    );

    let location = reply.header("location").to_owned();
    let reply = browser.get(&location).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(
        reply
            .header("location")
            .starts_with("http://127.0.0.1:8080/callback?code=")
    );
    assert_eq!(reply.query("state").as_deref(), Some("st&te"));
    assert_eq!(reply.query("iss").as_deref(), Some(ISSUER));
    let code = reply.query("code").unwrap();

    let reply = world.exchange("console", CONSOLE, &code, VERIFIER).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(reply.header("cache-control"), "no-store");
    let tokens = reply.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 300);

    let access = world
        .verified(text(&tokens, "access_token"), "catalyst")
        .await;
    assert_eq!(access["sub"], user.id);
    assert_eq!(access["preferred_username"], "ada");
    assert_eq!(access["email"], "ada@example.org");
    assert_eq!(access["name"], "Ada Lovelace");
    assert_eq!(access["groups"], serde_json::json!(["acme:developer"]));
    assert_eq!(access["exp"], START + 300);
    let identity = world.verified(text(&tokens, "id_token"), "console").await;
    assert_eq!(identity["sub"], user.id);
    assert_eq!(identity["nonce"], "n-1");
    assert_eq!(identity["auth_time"], START);
    assert_eq!(identity["groups"], serde_json::json!(["acme:developer"]));

    let reply = world
        .browser()
        .bearer(text(&tokens, "access_token"))
        .get("/oidc/userinfo")
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["preferred_username"], "ada");
    // An identity token is not an access token.
    let reply = world
        .browser()
        .bearer(text(&tokens, "id_token"))
        .get("/oidc/userinfo")
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.header("www-authenticate").starts_with("Bearer "));
}

#[tokio::test]
async fn a_second_client_needs_no_second_sign_in() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let redirect = "http://127.0.0.1:51234/callback";
    let code = browser.code("cli", redirect).await;
    let reply = world.exchange("cli", redirect, &code, VERIFIER).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

#[tokio::test]
async fn a_code_is_bound_to_verifier_redirect_and_client() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let wrong = "wrong-verifier-wrong-verifier-wrong-verifier";
    let other = "http://127.0.0.1:8080/other";
    let cases = [
        ("console", CONSOLE, wrong),
        ("console", CONSOLE, CHALLENGE),
        ("console", CONSOLE, ""),
        ("console", other, VERIFIER),
        ("console", "", VERIFIER),
        ("cli", CONSOLE, VERIFIER),
    ];
    for (client, redirect, verifier) in cases {
        let code = browser.code("console", CONSOLE).await;
        let reply = world.exchange(client, redirect, &code, verifier).await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{client} {redirect} {verifier}"
        );
        assert_eq!(
            reply.error(),
            "invalid_grant",
            "{client} {redirect} {verifier}"
        );
    }
    let reply = world
        .exchange("console", CONSOLE, "made-up", VERIFIER)
        .await;
    assert_eq!(reply.error(), "invalid_grant");
}

#[tokio::test]
async fn a_code_expires() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let code = browser.code("console", CONSOLE).await;
    world.pass(59);
    let late = browser.code("console", CONSOLE).await;
    world.pass(1);
    assert_eq!(
        world
            .exchange("console", CONSOLE, &code, VERIFIER)
            .await
            .error(),
        "invalid_grant"
    );
    let reply = world.exchange("console", CONSOLE, &late, VERIFIER).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reused_code_revokes_what_it_gave() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let code = browser.code("console", CONSOLE).await;
    let tokens = world
        .exchange("console", CONSOLE, &code, VERIFIER)
        .await
        .json();
    assert!(world.is_active(text(&tokens, "access_token")).await);
    assert_eq!(
        world
            .exchange("console", CONSOLE, &code, VERIFIER)
            .await
            .error(),
        "invalid_grant"
    );
    assert!(!world.is_active(text(&tokens, "access_token")).await);
    let reply = world
        .refresh("console", text(&tokens, "refresh_token"))
        .await;
    assert_eq!(reply.error(), "invalid_grant");
}

#[tokio::test]
async fn a_code_used_twice_at_once_gives_nothing_that_lasts() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let code = browser.code("console", CONSOLE).await;
    let (one, two) = tokio::join!(
        world.exchange("console", CONSOLE, &code, VERIFIER),
        world.exchange("console", CONSOLE, &code, VERIFIER),
    );
    let good: Vec<_> = [one, two]
        .into_iter()
        .filter(|reply| reply.status == StatusCode::OK)
        .collect();
    assert_eq!(good.len(), 1);
    assert!(!world.is_active(text(&good[0].json(), "access_token")).await);
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_registered() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    for redirect in [
        "https://evil.example/",
        "http://127.0.0.1:8080/callback/../evil",
        "http://127.0.0.1:8080/callback?x=1",
        "http://127.0.0.1:8081/callback#",
        "http://127.0.0.1:8080@evil.example/callback",
        "//evil.example/callback",
        "javascript:alert(1)",
        "",
    ] {
        let reply = browser.get(&authorize_path("console", redirect)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{redirect}");
        assert_eq!(reply.header("location"), "", "{redirect}");
    }
    let reply = browser.get(&authorize_path("nobody", CONSOLE)).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let twice = format!(
        "{}&redirect_uri=https://evil.example/",
        authorize_path("console", CONSOLE)
    );
    assert_eq!(browser.get(&twice).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_sign_in_never_leads_elsewhere() {
    let world = World::new().await;
    world.user("ada").await;
    for target in [
        "https://evil.example/",
        "//evil.example",
        "/evil",
        "../evil",
        "authorize@evil.example",
        "logout",
        "",
    ] {
        let mut browser = world.browser();
        let page = browser.get(&authorize_path("console", CONSOLE)).await;
        let token = page.field("form_token");
        let form = [
            ("form_token", token.as_str()),
            ("return", target),
            ("username", "ada"),
            ("password", PASSWORD),
        ];
        let reply = browser.post("/oidc/sign-in", &form).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{target}");
        assert_eq!(reply.header("location"), "", "{target}");
    }
    // A return with control characters stays on our own page.
    let mut browser = world.browser();
    let token = browser.get("/oidc/device").await.field("form_token");
    let form = [
        ("form_token", token.as_str()),
        (
            "return",
            "device?user_code=\r\nLocation: https://evil.example",
        ),
        ("username", "ada"),
        ("password", PASSWORD),
    ];
    let reply = browser.post("/oidc/sign-in", &form).await;
    assert!(
        reply
            .header("location")
            .starts_with("/oidc/device?user_code="),
        "{}",
        reply.location()
    );
}

#[tokio::test]
async fn faulty_requests_are_reported_to_the_client() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let base =
        format!("/oidc/authorize?client_id=console&redirect_uri={CONSOLE}&state=s&scope=openid");
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    for (query, error) in [
        (
            format!("&response_type=token{pkce}"),
            "unsupported_response_type",
        ),
        (pkce.clone(), "invalid_request"),
        ("&response_type=code".to_owned(), "invalid_request"),
        (
            format!("&response_type=code&code_challenge={CHALLENGE}"),
            "invalid_request",
        ),
        (
            format!("&response_type=code&code_challenge={CHALLENGE}&code_challenge_method=plain"),
            "invalid_request",
        ),
        (
            "&response_type=code&code_challenge=x&code_challenge_method=S256".to_owned(),
            "invalid_request",
        ),
        (
            format!("&response_type=code&response_mode=fragment{pkce}"),
            "invalid_request",
        ),
        (
            format!("&response_type=code&prompt=none%20login{pkce}"),
            "invalid_request",
        ),
        (
            format!("&response_type=code&request=x{pkce}"),
            "request_not_supported",
        ),
        (
            format!("&response_type=code&request_uri=x{pkce}"),
            "request_uri_not_supported",
        ),
        (
            format!("&response_type=code&max_age=soon{pkce}"),
            "invalid_request",
        ),
    ] {
        let reply = browser.get(&format!("{base}{query}")).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{query}");
        assert!(reply.header("location").starts_with(CONSOLE), "{query}");
        assert_eq!(reply.query("error").as_deref(), Some(error), "{query}");
        assert_eq!(reply.query("state").as_deref(), Some("s"), "{query}");
        assert_eq!(reply.query("iss").as_deref(), Some(ISSUER), "{query}");
        assert_eq!(reply.query("code"), None, "{query}");
    }
}

#[tokio::test]
async fn prompt_and_max_age_decide_whether_the_user_is_asked() {
    let world = World::new().await;
    world.user("ada").await;
    let ask = |more: &[(&str, &str)]| authorize_with("console", CONSOLE, more);
    let reply = world.browser().get(&ask(&[("prompt", "none")])).await;
    assert_eq!(reply.query("error").as_deref(), Some("login_required"));

    let mut browser = world.signed_in("ada").await;
    assert!(
        browser
            .get(&ask(&[("prompt", "none")]))
            .await
            .query("code")
            .is_some()
    );
    assert!(
        browser
            .get(&ask(&[("max_age", "60")]))
            .await
            .query("code")
            .is_some()
    );
    world.pass(61);
    assert_eq!(
        browser.get(&ask(&[("max_age", "60")])).await.status,
        StatusCode::OK
    );
    let reply = browser
        .sign_in(&ask(&[("prompt", "login")]), "ada", PASSWORD)
        .await;
    let location = reply.header("location").to_owned();
    let reply = browser.get(&location).await;
    let code = reply.query("code").expect("asked once, not for ever");
    let tokens = world
        .exchange("console", CONSOLE, &code, VERIFIER)
        .await
        .json();
    let identity = world.verified(text(&tokens, "id_token"), "console").await;
    assert_eq!(identity["auth_time"], START + 61);
}

#[tokio::test]
async fn a_confidential_client_proves_itself_and_keeps_its_query() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    let redirect = "https://web.example/cb?tenant=1";
    let reply = browser.get(&authorize_path("web", redirect)).await;
    assert!(
        reply
            .header("location")
            .starts_with("https://web.example/cb?tenant=1&code=")
    );
    let code = reply.query("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", redirect),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let reply = world
        .browser()
        .basic("web", "wrong")
        .post("/oidc/token", &form)
        .await;
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (StatusCode::UNAUTHORIZED, "invalid_client")
    );
    assert!(reply.header("www-authenticate").starts_with("Basic "));
    let mut bare = form.to_vec();
    bare.push(("client_id", "web"));
    assert_eq!(world.token(&bare).await.error(), "invalid_client");
    // RFC 6749, 2.3.1: the secret is form-encoded inside Basic.
    let reply = world
        .browser()
        .basic("web", "web+secret%2B1")
        .post("/oidc/token", &form)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert!(
        reply.json().get("refresh_token").is_none(),
        "the client may not refresh"
    );
    assert!(world.is_active(text(&reply.json(), "access_token")).await);
}
