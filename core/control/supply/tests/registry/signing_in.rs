//! Signing in at registries, with what `docker login` keeps.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    response::IntoResponse,
};
use catalyst_supply::{Credentials, DockerConfig, DockerError};
use serde_json::{Value, json};

use crate::fake::{Bench, listen};

fn basic(username: &str, password: &str) -> Credentials {
    Credentials::Basic {
        username: username.into(),
        password: password.into(),
    }
}

/// Docker's config with this in it, and the helpers of the tests.
fn config(content: &str) -> Result<DockerConfig, DockerError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), content).unwrap();
    let helpers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry/helpers");
    let search = format!("{}:/usr/local/bin:/usr/bin:/bin", helpers.display());
    DockerConfig::read(folder.path()).map(|config| config.with_search(search))
}

async fn kept(content: &Value, host: &str) -> Result<Credentials, DockerError> {
    config(&content.to_string())?.credentials(host).await
}

#[tokio::test]
async fn what_docker_keeps_in_its_file_is_found() {
    // "user:secret" and "user:a:b", in Base64; the latter padded, as Docker does.
    let (plain, padded) = ("dXNlcjpzZWNyZXQ=", "dXNlcjphOmIAAA==");
    let content = json!({"auths": {
        "ghcr.io": {"auth": plain},
        "r.example:5000": {"auth": padded},
        "https://old.example/v1/": {"auth": plain},
        "https://index.docker.io/v1/": {"auth": plain},
        "apart.example": {"username": "user", "password": "secret"},
        "identity.example": {"auth": plain, "identitytoken": "refresh"},
        "ready.example": {"auth": plain, "registrytoken": "ready"},
        "empty.example": {},
    }, "HttpHeaders": {"User-Agent": "x"}});
    for (host, expected) in [
        ("ghcr.io", basic("user", "secret")),
        ("r.example:5000", basic("user", "a:b")),
        ("r.example", Credentials::Anonymous),
        ("old.example", basic("user", "secret")),
        ("docker.io", basic("user", "secret")),
        ("registry-1.docker.io", basic("user", "secret")),
        ("apart.example", basic("user", "secret")),
        ("identity.example", Credentials::Identity("refresh".into())),
        ("ready.example", Credentials::Bearer("ready".into())),
        ("empty.example", Credentials::Anonymous),
        ("ghcr.io.example", Credentials::Anonymous),
    ] {
        let found = kept(&content, host).await.unwrap();
        assert!(found == expected, "{host}: {found:?}");
    }
    let nothing = tempfile::tempdir().unwrap();
    let config = DockerConfig::read(nothing.path()).unwrap();
    assert!(config.credentials("ghcr.io").await.unwrap() == Credentials::Anonymous);
}

#[tokio::test]
async fn helpers_are_asked_by_their_protocol() {
    let all = json!({"credsStore": "fake", "auths": {
        "unknown.example": {"auth": "dXNlcjpzZWNyZXQ="}, "known.example": {},
    }});
    let one = json!({"credsStore": "absent", "credHelpers": {"known.example": "fake"}});
    for (content, host, expected) in [
        (
            &all,
            "known.example",
            basic("user", "secret of known.example"),
        ),
        (
            &all,
            "known.example:5000",
            basic("user", "secret of known.example:5000"),
        ),
        (
            &all,
            "docker.io",
            basic("user", "secret of https://index.docker.io/v1/"),
        ),
        (
            &all,
            "identity.example",
            Credentials::Identity("refresh".into()),
        ),
        (&all, "empty.example", Credentials::Anonymous),
        // What the helper does not have may be in the file.
        (&all, "unknown.example", basic("user", "secret")),
        (
            &one,
            "known.example",
            basic("user", "secret of known.example"),
        ),
    ] {
        let found = kept(content, host).await.unwrap();
        assert!(found == expected, "{host}: {found:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_told_without_what_is_secret() {
    let fake = json!({"credsStore": "fake"}).to_string();
    for (content, host, said) in [
        ("{", "a.example", "line 1, column"),
        (
            r#"{"auths": {"a.example": "secret"}}"#,
            "a.example",
            "line 1, column",
        ),
        (
            r#"{"auths": {"a.example": {"auth": "secret!"}}}"#,
            "a.example",
            "not Base64",
        ),
        // "secret", without a colon.
        (
            r#"{"auths": {"a.example": {"auth": "c2VjcmV0"}}}"#,
            "a.example",
            "not Base64",
        ),
        (
            r#"{"credsStore": "../fake"}"#,
            "a.example",
            "not the name of a program",
        ),
        (r#"{"credsStore": "absent"}"#, "a.example", "No such file"),
        (&fake, "locked.example", "exit status: 1"),
        (&fake, "odd.example", "not what a helper says"),
        (&fake, "endless.example", "more than 1048576 bytes"),
    ] {
        let error = match config(content) {
            Ok(config) => config.credentials(host).await.unwrap_err(),
            Err(error) => error,
        };
        let error = format!("{error} {error:?}");
        assert!(error.contains(said), "{content} {host}: {error}");
        assert!(error.contains("config.json"), "{error}");
        assert!(!error.contains("secret"), "{content}: {error}");
    }
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(2 << 20));
    let error = config(&large).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
    let shown = format!(
        "{:?}",
        config(r#"{"auths": {"a": {"password": "secret"}}}"#).unwrap()
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn an_identity_token_is_exchanged_where_the_registry_says() {
    let bench = Bench::new().await;
    bench.publish().await;
    bench.shared.lock().unwrap().token_realm = Some(format!("http://{}/token", bench.host));
    bench.by_hand(|_, seen| {
        if !seen.target.starts_with("/token") {
            return None;
        }
        let form = String::from_utf8(seen.body.to_vec()).unwrap();
        let expected = "grant_type=refresh_token&service=test&client_id=catalyst&scope=repository%3Acatalog%2Fbp-x%3Apull&refresh_token=refresh";
        let is_right = seen.method == Method::POST
            && form == expected
            && seen.header("content-type") == "application/x-www-form-urlencoded";
        Some(match is_right {
            true => axum::Json(json!({"access_token": "good-token"})).into_response(),
            false => StatusCode::UNAUTHORIZED.into_response(),
        })
    });
    let at = bench.reference("bp-x:1.0.0");
    let registry = bench.registry(Credentials::Identity("refresh".into()));
    registry.pull(&at, "catalog", &bench.policy).await.unwrap();
    let wrong = bench.registry(Credentials::Identity("other".into()));
    let error = wrong.pull(&at, "catalog", &bench.policy).await.unwrap_err();
    assert!(error.to_string().contains("sign in"), "{error}");
    let stored = bench.shared.lock().unwrap();
    assert!(
        stored
            .seen
            .iter()
            .all(|seen| !seen.target.contains("refresh")),
        "it is in no address"
    );
}

#[tokio::test]
async fn a_token_service_cannot_send_the_secret_on() {
    for credentials in [
        Credentials::Identity("refresh".into()),
        basic("user", "secret"),
    ] {
        let told: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let kept = told.clone();
        let router = Router::new().fallback(move |request: Request| {
            let kept = kept.clone();
            async move {
                let authorization = format!("{:?}", request.headers().get("authorization"));
                let body = axum::body::to_bytes(request.into_body(), 1 << 20)
                    .await
                    .unwrap();
                let body = String::from_utf8(body.to_vec()).unwrap();
                kept.lock().unwrap().push((authorization, body));
                StatusCode::NOT_FOUND
            }
        });
        let stranger = listen(router).await;
        let bench = Bench::new().await;
        bench.publish().await;
        bench.shared.lock().unwrap().token_realm = Some(format!("http://{}/token", bench.host));
        bench.by_hand(move |_, seen| {
            let location = format!("http://{stranger}/token");
            seen.target
                .starts_with("/token")
                .then(|| (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response())
        });
        let at = bench.reference("bp-x:1.0.0");
        let registry = bench.registry(credentials);
        assert!(registry.pull(&at, "catalog", &bench.policy).await.is_err());
        for (authorization, body) in told.lock().unwrap().iter() {
            assert_eq!(authorization, "None");
            assert_eq!(body, "");
        }
    }
}

#[tokio::test]
async fn the_bearer_challenge_is_found_among_others_and_odd_answers_are_told() {
    let bench = Bench::new().await;
    bench.publish().await;
    let host = bench.host.clone();
    bench.by_hand(move |_, seen| {
        (!seen.target.starts_with("/token") && seen.header("authorization") != "Bearer good-token")
            .then(|| {
                let bearer = format!("Bearer realm=\"http://{host}/token\"");
                let mut answer = StatusCode::UNAUTHORIZED.into_response();
                let headers = answer.headers_mut();
                headers.append("www-authenticate", "Basic realm=\"x\"".parse().unwrap());
                headers.append("www-authenticate", bearer.parse().unwrap());
                answer
            })
    });
    let at = bench.reference("bp-x:1.0.0");
    let registry = bench.registry(basic("user", "secret"));
    registry.pull(&at, "catalog", &bench.policy).await.unwrap();
    let host = bench.host.clone();
    bench.by_hand(move |_, seen| {
        if seen.target.starts_with("/token") {
            return Some("secret, and no JSON".into_response());
        }
        let bearer = format!("Bearer realm=\"http://{host}/token\"");
        Some((StatusCode::UNAUTHORIZED, [("www-authenticate", bearer)]).into_response())
    });
    let registry = bench.registry(basic("user", "secret"));
    let error = registry
        .pull(&at, "catalog", &bench.policy)
        .await
        .unwrap_err();
    let error = format!("{error} {error:?}");
    assert!(error.contains("something else than a token"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
