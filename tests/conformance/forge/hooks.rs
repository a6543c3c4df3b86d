//! Webhooks.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::Request;
use catalyst_ports::{HookTarget, RepositoryId};
use http_body_util::BodyExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::world::World;
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_push_is_told_to_the_repositorys_hook,
        a_push_is_told_to_the_organizations_hook,
        a_pull_request_is_told,
        hooks_are_listed_without_their_secret,
        a_hook_of_a_new_secret_signs_with_it,
        a_deleted_hook_is_silent,
    ]
}

const SECRET: &str = "of the hook";

type Seen = Arc<Mutex<Vec<(http::HeaderMap, Vec<u8>)>>>;

/// Receives what a hook tells.
struct Listener {
    url: String,
    seen: Seen,
}

impl Listener {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen = Seen::default();
        let told = Arc::clone(&seen);
        let router = axum::Router::new().fallback(move |request: Request| {
            let told = Arc::clone(&told);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes().to_vec();
                told.lock().unwrap().push((parts.headers, body));
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen }
    }

    /// The first delivery of an event that satisfies; its signature is good.
    async fn wait(&self, event: &str, secret: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = self.seen.lock().unwrap().clone();
            for (headers, body) in &seen {
                let value: Value = serde_json::from_slice(body).unwrap();
                if headers["x-gitea-event"] != event || !wanted(&value) {
                    continue;
                }
                let key =
                    aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
                let signature = hex::encode(aws_lc_rs::hmac::sign(&key, body));
                assert_eq!(headers["x-gitea-signature"], signature);
                assert_eq!(
                    headers["x-hub-signature-256"],
                    format!("sha256={signature}")
                );
                assert_eq!(headers["content-type"], "application/json");
                assert!(headers.contains_key("x-gitea-delivery"));
                return value;
            }
            assert!(
                Instant::now() < until,
                "no {event}; {} deliveries",
                seen.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn a_push_is_told_to_the_repositorys_hook(world: World) {
    let id = world.repository("hooks-1").await;
    let listener = Listener::start().await;
    let target = HookTarget::Repository(id.clone());
    world
        .forge
        .webhook_ensure(&target, &listener.url, SECRET)
        .await
        .unwrap();
    let first = world.commit(&id, &[("a", Some("1"))]).await;
    let second = world
        .commit(&id, &[("a", Some("2")), ("b", Some("1"))])
        .await;
    let told = listener
        .wait("push", SECRET, |it| it["after"] == second.as_str())
        .await;
    assert_eq!(told["before"], first);
    assert_eq!(told["ref"], "refs/heads/main");
    assert_eq!(told["repository"]["full_name"], "hooks-1/dev");
    assert_eq!(told["repository"]["clone_url"], world.forge.clone_url(&id));
    assert_eq!(told["commits"].as_array().unwrap().len(), 1);
    let commit = &told["commits"][0];
    assert_eq!(commit["id"], second);
    assert_eq!(commit["message"].as_str().unwrap().trim(), "Change");
    assert_eq!(commit["author"]["name"], "alice");
    assert_eq!(
        (&commit["added"], &commit["modified"]),
        (&json!(["b"]), &json!(["a"]))
    );
    assert!(told["pusher"]["login"].is_string());
    assert_eq!(told["total_commits"], 1);
    assert_eq!(told["head_commit"]["id"], second);
}

async fn a_push_is_told_to_the_organizations_hook(world: World) {
    let id = world.repository("hooks-2").await;
    let listener = Listener::start().await;
    let target = HookTarget::Organization("hooks-2".to_owned());
    world
        .forge
        .webhook_ensure(&target, &listener.url, SECRET)
        .await
        .unwrap();
    let first = world.commit(&id, &[("a", Some("1"))]).await;
    let told = listener
        .wait("push", SECRET, |it| it["after"] == first.as_str())
        .await;
    assert_eq!(told["before"], "0".repeat(40));
    // Repositories that come later are told of too.
    let late = RepositoryId::new("hooks-2", "late");
    let options = catalyst_ports::RepositoryOptions::default();
    world.forge.repository_ensure(&late, options).await.unwrap();
    world.commit(&late, &[("a", Some("1"))]).await;
    // By name: the same change in the same second is the same commit.
    let is_late = |it: &Value| it["repository"]["full_name"] == "hooks-2/late";
    listener.wait("push", SECRET, is_late).await;
}

async fn a_pull_request_is_told(world: World) {
    let id = world.repository("hooks-3").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let listener = Listener::start().await;
    let target = HookTarget::Repository(id.clone());
    world
        .forge
        .webhook_ensure(&target, &listener.url, SECRET)
        .await
        .unwrap();
    let (number, head) = world.pull(&id, "side", &[("a", Some("2"))], None).await;
    let told = listener
        .wait("pull_request", SECRET, |it| it["action"] == "opened")
        .await;
    assert_eq!(told["number"], number);
    assert_eq!(told["pull_request"]["head"]["sha"], head);
    assert_eq!(told["pull_request"]["base"]["ref"], "main");
    world
        .forge
        .pull_merge(&id, number, "Take", None)
        .await
        .unwrap();
    let told = listener
        .wait("pull_request", SECRET, |it| it["action"] == "closed")
        .await;
    assert_eq!(told["pull_request"]["merged"], true);
}

async fn hooks_are_listed_without_their_secret(world: World) {
    let id = world.repository("hooks-4").await;
    let target = HookTarget::Repository(id);
    let url = "http://127.0.0.1:9/hook";
    world
        .forge
        .webhook_ensure(&target, url, SECRET)
        .await
        .unwrap();
    world
        .forge
        .webhook_ensure(&target, url, SECRET)
        .await
        .unwrap();
    let (status, found) = world.get("/repos/hooks-4/dev/hooks").await;
    assert_eq!((status, found.as_array().unwrap().len()), (200, 1));
    assert_eq!(found[0]["config"]["url"], url);
    assert_eq!(found[0]["active"], true);
    assert!(!found.to_string().contains(SECRET));
}

async fn a_hook_of_a_new_secret_signs_with_it(world: World) {
    let id = world.repository("hooks-5").await;
    let listener = Listener::start().await;
    let target = HookTarget::Repository(id.clone());
    for secret in ["first", "second"] {
        world
            .forge
            .webhook_ensure(&target, &listener.url, secret)
            .await
            .unwrap();
    }
    let commit = world.commit(&id, &[("a", Some("1"))]).await;
    listener
        .wait("push", "second", |it| it["after"] == commit.as_str())
        .await;
}

async fn a_deleted_hook_is_silent(world: World) {
    let id = world.repository("hooks-6").await;
    let (gone, there) = (Listener::start().await, Listener::start().await);
    let target = HookTarget::Repository(id.clone());
    for listener in [&gone, &there] {
        world
            .forge
            .webhook_ensure(&target, &listener.url, SECRET)
            .await
            .unwrap();
    }
    let (_, found) = world.get("/repos/hooks-6/dev/hooks").await;
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 2);
    let one = found
        .iter()
        .find(|it| it["config"]["url"] == gone.url.as_str())
        .unwrap();
    let path = format!("/repos/hooks-6/dev/hooks/{}", one["id"]);
    assert_eq!(world.ask(Method::DELETE, &path, Value::Null).await.0, 204);
    let commit = world.commit(&id, &[("a", Some("1"))]).await;
    there
        .wait("push", SECRET, |it| it["after"] == commit.as_str())
        .await;
    assert!(gone.seen.lock().unwrap().is_empty());
}
