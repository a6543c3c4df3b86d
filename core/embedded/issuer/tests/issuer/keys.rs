use catalyst_issuer::{Error, Issuer};
use http::StatusCode;

use crate::harness::*;

const DAY: i64 = 24 * 3600;

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

async fn service_token(world: &World) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "api"),
        ("client_secret", "api-secret"),
    ];
    text(&world.token(&form).await.json(), "access_token").to_owned()
}

async fn published(world: &World) -> Vec<String> {
    world
        .jwks()
        .await
        .keys
        .into_iter()
        .map(|key| key.common.key_id.unwrap())
        .collect()
}

#[tokio::test]
async fn a_new_key_is_published_before_use_and_the_old_one_kept_while_needed() {
    let world = World::new().await;
    let first = published(&world).await;
    assert_eq!(first.len(), 1);

    world.pass(30 * DAY - 3601);
    world.issuer.maintain().await.unwrap();
    assert_eq!(published(&world).await, first, "not yet");
    world.pass(1);
    world.issuer.maintain().await.unwrap();
    let both = published(&world).await;
    assert_eq!(both.len(), 2, "one hour before its first use");
    assert_eq!(both[0], first[0]);

    world.pass(3599);
    let old = service_token(&world).await;
    assert_eq!(kid(&old), both[0]);
    world.pass(1);
    let new = service_token(&world).await;
    assert_eq!(kid(&new), both[1]);
    world.issuer.maintain().await.unwrap();
    world.verified(&old, "catalyst").await;
    world.verified(&new, "catalyst").await;
    assert!(world.is_active(&old).await);

    world.pass(359);
    world.issuer.maintain().await.unwrap();
    assert_eq!(
        published(&world).await,
        both,
        "a verifier's clock may be behind"
    );
    world.pass(1);
    world.issuer.maintain().await.unwrap();
    assert_eq!(published(&world).await, both[1..]);
    assert!(!world.is_active(&old).await);

    let world = world.restart().await;
    assert_eq!(published(&world).await, both[1..]);
}

#[tokio::test]
async fn keys_can_be_rotated_ahead_of_time() {
    let world = World::new().await;
    world.issuer.rotate_keys().await.unwrap();
    let both = published(&world).await;
    assert_eq!(both.len(), 2);
    assert_eq!(kid(&service_token(&world).await), both[0]);
    world.pass(3600);
    assert_eq!(kid(&service_token(&world).await), both[1]);
}

#[tokio::test]
async fn tokens_and_sessions_survive_a_restart() {
    let world = World::new().await;
    world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let mut browser = world.signed_in("ada").await;
    let code = browser.code("console", CONSOLE).await;
    let before = published(&world).await;
    let cookies = browser.cookies.clone();
    drop(browser);
    let world = world.restart().await;
    assert_eq!(published(&world).await, before);
    assert!(world.is_active(text(&tokens, "access_token")).await);
    let mut browser = world.browser();
    browser.cookies = cookies;
    assert!(
        browser
            .get(&authorize_path("console", CONSOLE))
            .await
            .query("code")
            .is_some()
    );
    let reply = world.exchange("console", CONSOLE, &code, VERIFIER).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

#[tokio::test]
async fn another_encryption_key_is_noticed() {
    let World {
        issuer,
        router,
        time,
        dir,
    } = World::new().await;
    drop((issuer, router));
    let Err(error) = Issuer::open(config(store(dir.path()), &time, 2)).await else {
        panic!("opened with another key");
    };
    assert!(matches!(error, Error::EncryptionKey { .. }), "{error}");
}

#[tokio::test]
async fn the_disk_holds_no_secret() {
    let world = World::new().await;
    let user = world.user("ada").await;
    let tokens = world.tokens("ada").await;
    let mut browser = world.signed_in("ada").await;
    let code = browser.code("console", CONSOLE).await;
    let return_to = url::Url::parse(CONSOLE).unwrap();
    let link = world
        .issuer
        .user_invite(&user.id, &return_to)
        .await
        .unwrap();
    let form = [("client_id", "cli"), ("scope", "openid")];
    let device = world
        .browser()
        .post("/oidc/device_authorization", &form)
        .await
        .json();
    let refresh = text(&tokens, "refresh_token").to_owned();
    let mut secrets = vec![
        PASSWORD.to_owned(),
        text(&tokens, "access_token").to_owned(),
        code,
        link.url.split('=').next_back().unwrap().to_owned(),
        browser.cookies["catalyst-session"].clone(),
        text(&device, "device_code").to_owned(),
        text(&device, "user_code").replace('-', ""),
        "api-secret".to_owned(),
    ];
    secrets.extend(refresh.split('.').skip(1).map(str::to_owned));
    let dir = {
        let World {
            issuer,
            router,
            dir,
            ..
        } = world;
        drop((issuer, router, browser));
        dir
    };
    let entries = store(dir.path()).range("issuer/", None, 0).entries;
    assert!(entries.len() > 8, "{}", entries.len());
    for entry in entries {
        let key = String::from_utf8(entry.key.to_vec()).unwrap();
        let value = String::from_utf8(entry.value.to_vec()).unwrap();
        for secret in &secrets {
            assert!(
                !value.contains(secret) && !key.contains(secret),
                "{secret} in {key}"
            );
        }
    }
}

#[tokio::test]
async fn maintenance_removes_what_has_expired_and_otherwise_writes_nothing() {
    let world = World::new().await;
    world.user("ada").await;
    world.tokens("ada").await;
    world
        .browser()
        .sign_in(
            &authorize_path("console", CONSOLE),
            "ada",
            "wrong password here",
        )
        .await;
    let World {
        issuer,
        router,
        time,
        dir,
    } = world;
    time.fetch_add(20 * DAY, std::sync::atomic::Ordering::SeqCst);
    issuer.maintain().await.unwrap();
    drop((issuer, router));
    let store = store(dir.path());
    let kinds: Vec<String> = store
        .range("issuer/", None, 0)
        .entries
        .iter()
        .map(|entry| {
            String::from_utf8_lossy(&entry.key)
                .split('/')
                .nth(1)
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["key", "user", "username"]);
    let issuer = Issuer::open(config(store.clone(), &time, 1)).await.unwrap();
    let revision = store.revision();
    issuer.maintain().await.unwrap();
    assert_eq!(store.revision(), revision);
}

#[tokio::test]
async fn a_faulty_configuration_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let time = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(START));
    let store = store(dir.path());
    let refused = async |change: fn(&mut catalyst_issuer::Config)| {
        let mut config = config(store.clone(), &time, 1);
        change(&mut config);
        match Issuer::open(config).await {
            Err(Error::Configuration { reason }) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("accepted"),
        }
    };
    let reason =
        refused(|config| config.issuer = url::Url::parse("http://id.example.org/oidc").unwrap())
            .await;
    assert!(reason.contains("use https"), "{reason}");
    let reason = refused(|config| config.clients[1].id = "console".into()).await;
    assert!(reason.contains("registered twice"), "{reason}");
    let reason = refused(|config| config.clients[0].admin = true).await;
    assert!(reason.contains("public"), "{reason}");
    let reason = refused(|config| {
        config.clients[0]
            .redirect_uris
            .push("javascript:alert(1)".into())
    })
    .await;
    assert!(reason.contains("unsafe scheme"), "{reason}");
}
