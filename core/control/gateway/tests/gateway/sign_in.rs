//! Sign-in in a browser, sessions, and writes of foreign origins.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tokio::sync::Notify;
use url::Url;

use crate::world::{ORIGIN, World, wait};

/// What a browser keeps.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    async fn go(&mut self, world: &World, path: &str) -> (StatusCode, HeaderMap, Value) {
        self.send(world, "GET", path, &[]).await
    }

    pub async fn send(
        &mut self,
        world: &World,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.cookies {
            request = request.header("cookie", format!("{name}={value}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, headers, body) = world.send(request.body(Body::empty()).unwrap()).await;
        for cookie in headers.get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("; HttpOnly; SameSite=Lax"), "{text}");
            assert!(!text.contains("Domain="), "{text} is not host-only");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, headers, body)
    }

    /// Begins a sign-in and returns what the issuer was asked for.
    async fn begin(&mut self, world: &World, path: &str) -> BTreeMap<String, String> {
        let (status, headers, _) = self.go(world, path).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        let url = Url::parse(headers["location"].to_str().unwrap()).unwrap();
        assert!(
            url.as_str()
                .starts_with(&format!("{}/authorize?", world.issuer))
        );
        url.query_pairs().into_owned().collect()
    }

    /// The whole way; returns where it leads to.
    pub async fn sign_in(&mut self, world: &World, user: &str, path: &str) -> String {
        let asked = self.begin(world, path).await;
        let answer = grant(world, user, &asked);
        let (status, headers, body) = self.go(world, &answer).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{body}");
        headers["location"].to_str().unwrap().to_owned()
    }
}

/// The issuer lets the user in; returns where it sends the browser.
fn grant(world: &World, user: &str, asked: &BTreeMap<String, String>) -> String {
    let code = format!("code-of-{user}");
    let granted = (
        user.to_owned(),
        asked["code_challenge"].clone(),
        asked["nonce"].clone(),
    );
    world.parts().codes.insert(code.clone(), granted);
    format!(
        "/auth/callback?state={}&code={code}&iss={}",
        asked["state"], world.issuer
    )
}

#[tokio::test]
async fn a_browser_signs_in_and_out() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let asked = browser.begin(&world, "/auth/sign-in").await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "catalyst-console"),
        ("redirect_uri", "http://127.0.0.1:8080/auth/callback"),
        // Only scopes that this issuer has.
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked[name], value);
    }
    let to = browser
        .sign_in(
            &world,
            "ada",
            "/auth/sign-in?return=/organizations/acme?tab=a",
        )
        .await;
    assert_eq!(to, "/organizations/acme?tab=a");
    let (status, _, me) = browser.go(&world, "/api/v1/me").await;
    assert_eq!(
        (status, me["username"].as_str()),
        (StatusCode::OK, Some("ada"))
    );
    assert_eq!(me["organizations"][0]["role"], "org-admin");
    let cookie = browser.cookies["catalyst_session"].clone();
    for (key, record) in world.sessions() {
        let record = String::from_utf8_lossy(&record);
        assert!(
            !key.contains(&cookie) && !record.contains("refresh-"),
            "kept readable"
        );
    }

    let own = [("origin", ORIGIN), ("accept", "application/json")];
    let (status, _, body) = browser.send(&world, "POST", "/auth/sign-out", &own).await;
    assert_eq!(status, StatusCode::OK);
    let location = Url::parse(body["location"].as_str().unwrap()).unwrap();
    let query: BTreeMap<String, String> = location.query_pairs().into_owned().collect();
    assert_eq!(query["post_logout_redirect_uri"], format!("{ORIGIN}/"));
    assert!(query.contains_key("id_token_hint"));
    assert!(world.sessions().is_empty());
    let revoked: Vec<String> = world.parts().revoked.iter().cloned().collect();
    assert_eq!(revoked, ["access-1", "refresh-1"]);
    browser
        .cookies
        .insert("catalyst_session".to_owned(), cookie);
    assert_eq!(
        browser.go(&world, "/api/v1/me").await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_sign_in_never_leads_elsewhere() {
    let world = World::new().await;
    for (asked, expected) in [
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/%5Cevil.example", "/%5Cevil.example"),
        ("/\\evil.example", "/"),
        ("/auth/sign-in", "/"),
        ("javascript:alert(1)", "/"),
        ("/a b", "/a%20b"),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
        let path = format!("/auth/sign-in?return={encoded}");
        let to = Browser::default().sign_in(&world, "ada", &path).await;
        assert_eq!(to, expected, "{asked}");
    }
}

/// The issuer leads back to 127.0.0.1, where a cookie of localhost is not seen.
#[tokio::test]
async fn a_sign_in_begins_at_the_consoles_own_name() {
    let world = World::new().await;
    let path = "/auth/sign-in?return=%2Forganizations";
    for (host, is_other_name) in [
        ("localhost:8080", true),
        ("[::1]:8080", true),
        ("127.0.0.1:8080", false),
        ("localhost:5173", false),
        ("console.example:8080", false),
    ] {
        let mut browser = Browser::default();
        let (status, headers, _) = browser.send(&world, "GET", path, &[("host", host)]).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        let to = headers["location"].to_str().unwrap();
        assert_eq!(
            to == format!("{ORIGIN}{path}"),
            is_other_name,
            "{host}: {to}"
        );
        assert_eq!(browser.cookies.is_empty(), is_other_name, "{host}");
    }
}

#[tokio::test]
async fn answers_that_are_not_ours_sign_nobody_in() {
    let world = World::new().await;
    // Another browser's answer.
    let asked = Browser::default().begin(&world, "/auth/sign-in").await;
    let answer = grant(&world, "ada", &asked);
    let mut other = Browser::default();
    assert_eq!(other.go(&world, &answer).await.0, StatusCode::BAD_REQUEST);

    // Another issuer's.
    let mut browser = Browser::default();
    let asked = browser.begin(&world, "/auth/sign-in").await;
    let answer = grant(&world, "ada", &asked).replace(&world.issuer, "https://evil.example");
    assert_eq!(browser.go(&world, &answer).await.0, StatusCode::BAD_REQUEST);

    // Another sign-in's identity token, and one that is not signed by the issuer.
    for foreign_key in [false, true] {
        let mut browser = Browser::default();
        let mut asked = browser.begin(&world, "/auth/sign-in").await;
        if foreign_key {
            world.parts().signs_with_own_key = false;
        } else {
            asked.insert("nonce".to_owned(), "another".to_owned());
        }
        let answer = grant(&world, "ada", &asked);
        assert_eq!(browser.go(&world, &answer).await.0, StatusCode::BAD_REQUEST);
        assert!(!browser.cookies.contains_key("catalyst_session"));
    }
    assert!(world.sessions().is_empty());
}

#[tokio::test]
async fn a_write_by_cookie_comes_from_the_consoles_own_origin() {
    let world = World::new().await;
    let mut browser = Browser::default();
    browser.sign_in(&world, "ada", "/auth/sign-in").await;
    for (headers, is_refused) in [
        (&[("origin", ORIGIN)][..], false),
        (
            &[("origin", ORIGIN), ("sec-fetch-site", "same-origin")][..],
            false,
        ),
        (&[("sec-fetch-site", "same-origin")][..], false),
        (&[][..], true),
        (
            &[("origin", "http://blog.acme-dev.localhost:8080")][..],
            true,
        ),
        (&[("origin", "null")][..], true),
        (
            &[("origin", ORIGIN), ("sec-fetch-site", "same-site")][..],
            true,
        ),
        (&[("sec-fetch-site", "same-site")][..], true),
        (&[("sec-fetch-site", "none")][..], true),
    ] {
        let path = "/api/v1/organizations/acme/environments";
        let (status, _, problem) = browser.send(&world, "POST", path, headers).await;
        // What is let through is refused later, for its missing body.
        let expected = if is_refused {
            "foreign-origin"
        } else {
            "unsupported-media-type"
        };
        assert_eq!(problem["type"], expected, "{headers:?} got {status}");
    }
    let foreign = [("origin", "http://blog.acme-dev.localhost:8080")];
    let (status, ..) = browser
        .send(&world, "POST", "/auth/sign-out", &foreign)
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(browser.go(&world, "/api/v1/me").await.0, StatusCode::OK);
}

#[tokio::test]
async fn tabs_that_come_at_once_renew_a_session_once() {
    let world = World::new().await;
    world.parts().lifetime = 10;
    let mut browser = Browser::default();
    browser.sign_in(&world, "ada", "/auth/sign-in").await;
    world.parts().lifetime = 300;
    let cookie = format!("catalyst_session={}", browser.cookies["catalyst_session"]);
    let tabs = (0..8).map(|_| {
        let request = Request::builder()
            .uri("/api/v1/me")
            .header("cookie", &cookie);
        world.send(request.body(Body::empty()).unwrap())
    });
    for (status, ..) in futures::future::join_all(tabs).await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(world.parts().renewals, 1);
}

#[tokio::test]
async fn who_leaves_while_a_session_is_renewed_finds_it_renewed() {
    let world = World::new().await;
    world.parts().lifetime = 10;
    let mut browser = Browser::default();
    browser.sign_in(&world, "ada", "/auth/sign-in").await;
    world.parts().lifetime = 300;
    let held = Arc::new(Notify::new());
    world.parts().held_renewal = Some(Arc::clone(&held));
    tokio::select! {
        answer = browser.go(&world, "/api/v1/me") => panic!("the issuer keeps it: {answer:?}"),
        () = wait("the issuer has renewed it", || world.parts().renewals == 1) => {}
    }
    held.notify_one();
    let (status, ..) = browser.go(&world, "/api/v1/me").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.parts().renewals, 1);
}

#[tokio::test]
async fn a_removed_users_session_ends() {
    let world = World::new().await;
    let mut browser = Browser::default();
    browser.sign_in(&world, "dan", "/auth/sign-in").await;
    assert_eq!(browser.go(&world, "/api/v1/me").await.0, StatusCode::OK);
    world.parts().users.remove("dan");
    let begun = std::time::Instant::now();
    while browser.go(&world, "/api/v1/me").await.0 != StatusCode::UNAUTHORIZED {
        assert!(begun.elapsed().as_secs() < 4, "still let in");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(world.sessions().is_empty());
}

#[tokio::test]
async fn a_cookie_that_is_given_twice_counts_for_nothing() {
    let world = World::new().await;
    let mut browser = Browser::default();
    browser.sign_in(&world, "ada", "/auth/sign-in").await;
    let planted = [("cookie", "catalyst_session=planted")];
    let (status, ..) = browser.send(&world, "GET", "/api/v1/me", &planted).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_the_issuer_nobody_is_recognised_and_nobody_signed_out() {
    let world = World::new().await;
    let mut browser = Browser::default();
    browser.sign_in(&world, "ada", "/auth/sign-in").await;
    world.parts().issuer_is_up = false;
    let (status, headers, _) = browser.go(&world, "/api/v1/me").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
    world.parts().issuer_is_up = true;
    assert_eq!(browser.go(&world, "/api/v1/me").await.0, StatusCode::OK);
}
