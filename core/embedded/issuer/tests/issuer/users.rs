use catalyst_issuer::{Error, NewUser, UserUpdate};
use http::StatusCode;
use url::Url;

use crate::harness::*;

fn console() -> Url {
    Url::parse("http://127.0.0.1:8080/welcome?first=1").unwrap()
}

fn path(link: &str) -> String {
    link.strip_prefix("http://127.0.0.1:8080")
        .unwrap()
        .to_owned()
}

async fn submit(browser: &mut Browser, link: &str, password: &str, again: &str) -> Reply {
    let page = browser.get(&path(link)).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let (form_token, token) = (page.field("form_token"), page.field("token"));
    let form = [
        ("form_token", form_token.as_str()),
        ("token", &token),
        ("password", password),
        ("again", again),
    ];
    browser.post("/oidc/set-password", &form).await
}

#[tokio::test]
async fn a_one_time_link_sets_the_password_and_signs_in() {
    let world = World::new().await;
    let new = NewUser {
        username: "Ada".into(),
        ..NewUser::default()
    };
    let user = world.issuer.user_create(new).await.unwrap();
    assert_eq!(user.username, "ada");
    assert!(!user.has_password);
    let link = world
        .issuer
        .user_invite(&user.id, &console())
        .await
        .unwrap();
    assert!(
        !format!("{link:?}").contains("token"),
        "the link is a secret"
    );

    let world = world.restart().await;
    let mut browser = world.browser();
    for (password, again) in [("short", "short"), (PASSWORD, "something else entirely")] {
        let reply = submit(&mut browser, &link.url, password, again).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            reply.body.contains("role=\"alert\""),
            "the link still works: {}",
            reply.body
        );
    }
    let mut second = browser.clone();
    let stale = second.get(&path(&link.url)).await;
    let reply = submit(&mut browser, &link.url, PASSWORD, PASSWORD).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    assert_eq!(reply.header("location"), console().as_str());
    assert!(
        browser
            .get(&authorize_path("console", CONSOLE))
            .await
            .query("code")
            .is_some()
    );

    assert_eq!(
        browser.get(&path(&link.url)).await.status,
        StatusCode::GONE,
        "once only"
    );
    let (form_token, token) = (stale.field("form_token"), stale.field("token"));
    let form = [
        ("form_token", form_token.as_str()),
        ("token", &token),
        ("password", "another password!"),
        ("again", "another password!"),
    ];
    assert_eq!(
        second.post("/oidc/set-password", &form).await.status,
        StatusCode::GONE
    );
    let reply = world
        .browser()
        .sign_in(&authorize_path("console", CONSOLE), "ada", PASSWORD)
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn links_end_with_time_with_a_newer_link_and_with_the_user() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let mut browser = world.browser();
    let first = world
        .issuer
        .user_invite(&user.id, &console())
        .await
        .unwrap();
    let second = world
        .issuer
        .user_invite(&user.id, &console())
        .await
        .unwrap();
    assert_eq!(
        browser.get(&path(&first.url)).await.status,
        StatusCode::GONE
    );
    assert_eq!(browser.get(&path(&second.url)).await.status, StatusCode::OK);
    world.pass(24 * 3600);
    assert_eq!(
        browser.get(&path(&second.url)).await.status,
        StatusCode::GONE
    );
    let third = world
        .issuer
        .user_invite(&user.id, &console())
        .await
        .unwrap();
    world.issuer.user_disable(&user.id).await.unwrap();
    assert_eq!(
        browser.get(&path(&third.url)).await.status,
        StatusCode::GONE
    );
    let error = world
        .issuer
        .user_invite(&user.id, &console())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::UserDisabled { .. }), "{error}");
    assert_eq!(
        browser.get("/oidc/set-password?token=made-up").await.status,
        StatusCode::GONE
    );
    assert_eq!(
        browser.get("/oidc/set-password").await.status,
        StatusCode::GONE
    );
}

#[tokio::test]
async fn a_link_never_leads_to_a_foreign_address() {
    let world = World::new().await;
    let user = world.user("ada").await;
    for url in [
        "https://evil.example/",
        "javascript:alert(1)",
        "http://127.0.0.1:9999/x",
        "data:text/html,x",
    ] {
        let error = world
            .issuer
            .user_invite(&user.id, &Url::parse(url).unwrap())
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::ReturnForeign { .. }),
            "{url}: {error}"
        );
    }
}

#[tokio::test]
async fn a_link_needs_the_form_of_this_browser() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let link = world
        .issuer
        .user_invite(&user.id, &console())
        .await
        .unwrap();
    let token = link.url.split('=').next_back().unwrap();
    let form = [
        ("token", token),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    let reply = world.browser().post("/oidc/set-password", &form).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(
        world.browser().get(&path(&link.url)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_removed_user_loses_everything_at_once() {
    let world = World::new().await;
    for remove in ["delete", "disable", "sign out", "set password"] {
        let user = world.user("ada").await;
        let tokens = world.tokens("ada").await;
        let mut browser = world.signed_in("ada").await;
        let code = browser.code("console", CONSOLE).await;
        match remove {
            "delete" => world.issuer.user_delete(&user.id).await.unwrap(),
            "disable" => drop(world.issuer.user_disable(&user.id).await.unwrap()),
            "sign out" => world.issuer.user_sign_out(&user.id).await.unwrap(),
            _ => world
                .issuer
                .user_set_password(&user.id, "another password!")
                .await
                .unwrap(),
        }
        assert!(
            !world.is_active(text(&tokens, "access_token")).await,
            "{remove}"
        );
        let reply = world
            .refresh("console", text(&tokens, "refresh_token"))
            .await;
        assert_eq!(reply.error(), "invalid_grant", "{remove}");
        let reply = world
            .browser()
            .bearer(text(&tokens, "access_token"))
            .get("/oidc/userinfo")
            .await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{remove}");
        let reply = world.exchange("console", CONSOLE, &code, VERIFIER).await;
        assert_eq!(reply.error(), "invalid_grant", "{remove}");
        let reply = browser.get(&authorize_path("console", CONSOLE)).await;
        assert_eq!(reply.status, StatusCode::OK, "{remove}: asked to sign in");
        if remove == "disable" {
            let reply = world
                .browser()
                .sign_in(&authorize_path("console", CONSOLE), "ada", PASSWORD)
                .await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN);
            world.issuer.user_enable(&user.id).await.unwrap();
            assert!(
                !world.is_active(text(&tokens, "access_token")).await,
                "stays dead"
            );
        }
        if remove != "delete" {
            world.issuer.user_delete(&user.id).await.unwrap();
        }
        assert_eq!(world.issuer.user_list().unwrap(), vec![]);
    }
}

#[tokio::test]
async fn users_are_kept_unique_and_valid() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let create = async |username: &str, email: Option<&str>| {
        let email = email.map(str::to_owned);
        let new = NewUser {
            username: username.to_owned(),
            email,
            ..NewUser::default()
        };
        world.issuer.user_create(new).await
    };
    assert!(matches!(
        create(" ADA", None).await,
        Err(Error::UsernameTaken { .. })
    ));
    for (username, email) in [
        ("", None),
        ("a/b", None),
        ("ä", None),
        ("service-account-x", None),
        ("bob", Some("no-address")),
        ("bob", Some("a@b@c")),
        ("bob", Some("a@b\r\nx")),
    ] {
        let result = create(username, email).await;
        assert!(
            matches!(result, Err(Error::UserInvalid { .. })),
            "{username:?} {email:?}"
        );
    }
    let error = world
        .issuer
        .user_set_password(&user.id, "short")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::PasswordInvalid { .. }));
    let error = world.issuer.user_get("nobody").unwrap_err();
    assert!(matches!(error, Error::UserUnknown { .. }));

    let update = UserUpdate {
        groups: Some(vec!["b".into(), "a".into(), "b".into()]),
        email: Some(String::new()),
        ..UserUpdate::default()
    };
    let changed = world.issuer.user_update(&user.id, update).await.unwrap();
    assert_eq!(changed.groups, ["a", "b"]);
    assert_eq!(changed.email, None);
    assert_eq!(changed.first_name.as_deref(), Some("Ada"));
    assert_eq!(world.issuer.user_find("ADA").unwrap(), Some(changed));
    assert!(create("bob", Some("bob@example.org")).await.is_ok());
    let names: Vec<_> = world
        .issuer
        .user_list()
        .unwrap()
        .into_iter()
        .map(|user| user.username)
        .collect();
    assert_eq!(names, ["ada", "bob"]);
}

#[tokio::test]
async fn new_groups_show_in_introspection_at_once() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let update = UserUpdate {
        groups: Some(vec!["globex:viewer".into()]),
        ..UserUpdate::default()
    };
    world.issuer.user_update(&user.id, update).await.unwrap();
    let answer = world.introspect(text(&tokens, "access_token")).await;
    assert_eq!(answer["groups"], serde_json::json!(["globex:viewer"]));
}
