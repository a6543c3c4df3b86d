use http::StatusCode;

use crate::harness::*;

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let world = World::new().await;
    world.user("ada").await;
    let path = authorize_path("console", CONSOLE);
    let mut bodies = Vec::new();
    for username in ["ada", "bob"] {
        let mut browser = world.browser();
        let reply = browser
            .sign_in(&path, username, "wrong password here")
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert!(!browser.cookies.contains_key("catalyst-session"));
        bodies.push(
            reply
                .body
                .replace(&reply.field("form_token"), "")
                .replace(username, ""),
        );
    }
    assert!(bodies[0].contains("User name or password is wrong."));
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn a_user_without_a_password_cannot_sign_in() {
    let world = World::new().await;
    let new = catalyst_issuer::NewUser {
        username: "new".into(),
        ..Default::default()
    };
    world.issuer.user_create(new).await.unwrap();
    let mut browser = world.browser();
    for password in ["", "anything at all"] {
        let reply = browser
            .sign_in(&authorize_path("console", CONSOLE), "new", password)
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn guessing_at_an_account_meets_growing_delays_that_survive_a_restart() {
    let world = World::new().await;
    world.user("ada").await;
    let path = authorize_path("console", CONSOLE);
    for _ in 0..5 {
        let reply = world
            .browser()
            .sign_in(&path, "ada", "wrong password here")
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
    let reply = world.browser().sign_in(&path, "ada", PASSWORD).await;
    assert_eq!(
        reply.status,
        StatusCode::TOO_MANY_REQUESTS,
        "even the right one waits"
    );
    assert_eq!(reply.header("retry-after"), "1");
    let world = world.restart().await;
    let reply = world.browser().sign_in(&path, "ADA ", PASSWORD).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    for delay in [2, 4, 8] {
        world.pass(delay / 2);
        let reply = world
            .browser()
            .sign_in(&path, "ada", "wrong password here")
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        let reply = world.browser().sign_in(&path, "ada", PASSWORD).await;
        assert_eq!(reply.header("retry-after"), delay.to_string());
    }
    world.pass(8);
    let reply = world.browser().sign_in(&path, "ada", PASSWORD).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    // The right password starts the count afresh.
    for _ in 0..4 {
        let reply = world
            .browser()
            .sign_in(&path, "ada", "wrong password here")
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
    let reply = world.browser().sign_in(&path, "ada", PASSWORD).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn guessing_from_an_address_is_slowed_whatever_the_accounts() {
    let world = World::new().await;
    world.user("ada").await;
    let path = authorize_path("console", CONSOLE);
    for guess in 0..21 {
        let reply = world
            .browser()
            .sign_in(&path, &format!("user{guess}"), "wrong password here")
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{guess}");
    }
    let reply = world.browser().sign_in(&path, "ada", PASSWORD).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    let mut elsewhere = world.browser();
    elsewhere.address = "192.0.2.9:5555".parse().unwrap();
    let reply = elsewhere.sign_in(&path, "ada", PASSWORD).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn parallel_guesses_do_not_slip_through_together() {
    let world = World::new().await;
    world.user("ada").await;
    let path = authorize_path("console", CONSOLE);
    let mut browser = world.browser();
    let page = browser.get(&path).await;
    let (token, target) = (page.field("form_token"), page.field("return"));
    let mut guesses = tokio::task::JoinSet::new();
    for guess in 0..20 {
        let (mut browser, token, target) = (browser.clone(), token.clone(), target.clone());
        guesses.spawn(async move {
            let password = format!("wrong password {guess}");
            let form = [
                ("form_token", token.as_str()),
                ("return", &target),
                ("username", "ada"),
                ("password", &password),
            ];
            browser.post("/oidc/sign-in", &form).await.status
        });
    }
    let statuses = guesses.join_all().await;
    let checked = statuses
        .iter()
        .filter(|status| **status == StatusCode::FORBIDDEN)
        .count();
    assert_eq!(checked, 5, "{statuses:?}");
}

#[tokio::test]
async fn a_form_from_elsewhere_is_refused() {
    let world = World::new().await;
    world.user("ada").await;
    let path = authorize_path("console", CONSOLE);
    let mut browser = world.browser();
    let page = browser.get(&path).await;
    let (token, target) = (page.field("form_token"), page.field("return"));
    let form = |token: &str| {
        vec![
            ("form_token".to_owned(), token.to_owned()),
            ("return".to_owned(), target.clone()),
            ("username".to_owned(), "ada".to_owned()),
            ("password".to_owned(), PASSWORD.to_owned()),
        ]
    };
    let post = async |browser: crate::harness::Browser, token: &str| {
        let form = form(token);
        let pairs: Vec<(&str, &str)> = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut browser = browser;
        browser.post("/oidc/sign-in", &pairs).await
    };
    let mut foreign = world.browser();
    let foreign_token = foreign.get(&path).await.field("form_token");
    let mut doubled = browser.clone();
    let cookie = doubled.cookies["catalyst-browser"].clone();
    doubled
        .cookies
        .insert("other=1; catalyst-browser".to_owned(), cookie);
    for (attempt, browser, token) in [
        ("without a token", browser.clone(), ""),
        (
            "with another browser's token",
            browser.clone(),
            foreign_token.as_str(),
        ),
        ("without the cookie", world.browser(), token.as_str()),
        ("with the cookie twice", doubled, token.as_str()),
        (
            "from another origin",
            browser.clone().with("origin", "http://app.localhost:8080"),
            &token,
        ),
        (
            "from nowhere",
            browser.clone().with("origin", "null"),
            &token,
        ),
        (
            "from the same site",
            browser.clone().with("sec-fetch-site", "same-site"),
            &token,
        ),
    ] {
        let reply = post(browser, token).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{attempt}");
        assert!(!reply.headers.contains_key("set-cookie"), "{attempt}");
    }
    let own = browser
        .with("origin", "http://127.0.0.1:8080")
        .with("sec-fetch-site", "same-origin");
    assert_eq!(post(own, &token).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn cookies_are_host_only_and_closed_to_scripts() {
    let world = World::new().await;
    world.user("ada").await;
    let reply = world
        .browser()
        .sign_in(&authorize_path("console", CONSOLE), "ada", PASSWORD)
        .await;
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("catalyst-session="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/oidc; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );

    let dir = tempfile::tempdir().unwrap();
    let mut config = config(store(dir.path()), &world.time, 1);
    config.issuer = url::Url::parse("https://id.example.org/oidc/").unwrap();
    let issuer = catalyst_issuer::Issuer::open(config).await.unwrap();
    assert_eq!(issuer.identifier(), "https://id.example.org/oidc");
    let router = axum::Router::new().nest("/oidc", issuer.router());
    let secure = World {
        issuer,
        router,
        time: world.time.clone(),
        dir,
    };
    let reply = secure
        .browser()
        .get(&authorize_path("console", CONSOLE))
        .await;
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-catalyst-browser="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_session_ends_after_its_time() {
    let world = World::new().await;
    world.user("ada").await;
    let mut browser = world.signed_in("ada").await;
    world.pass(12 * 3600 - 1);
    assert!(
        browser
            .get(&authorize_path("console", CONSOLE))
            .await
            .query("code")
            .is_some()
    );
    world.pass(1);
    assert_eq!(
        browser
            .get(&authorize_path("console", CONSOLE))
            .await
            .status,
        StatusCode::OK
    );
}

/// The clock was ten days ahead when people signed in, and is set right. What
/// was made then must neither hold for ten days more nor lock anybody out.
#[tokio::test]
async fn what_a_clock_that_was_ahead_made_does_not_outlive_its_correction() {
    const TEN_DAYS: i64 = 864_000;
    let world = World::new().await;
    world.user("ada").await;
    world.pass(TEN_DAYS);
    let tokens = world.tokens("ada").await;
    let mut browser = world.signed_in("ada").await;
    let path = authorize_path("console", CONSOLE);
    for _ in 0..5 {
        world
            .browser()
            .sign_in(&path, "ada", "wrong password here")
            .await;
    }
    assert_eq!(
        world.introspect(text(&tokens, "access_token")).await["active"],
        true
    );

    world.pass(-TEN_DAYS);
    // The session's cookie is kept as browsers keep them over a restart.
    let asked = browser.get(&path).await;
    assert_eq!(asked.status, StatusCode::OK, "it asks for a sign-in");
    drop(browser);
    let world = world.restart().await;
    let access = world.introspect(text(&tokens, "access_token")).await;
    assert_eq!(access["active"], false);
    let refreshed = world
        .refresh("console", text(&tokens, "refresh_token"))
        .await;
    assert_eq!(refreshed.status, StatusCode::BAD_REQUEST);
    let fresh = world.tokens("ada").await;
    assert_eq!(
        world.introspect(text(&fresh, "access_token")).await["active"],
        true
    );
}
