//! The Kubernetes API of the world: lists in which nothing changes, pods and their logs.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::Server;

pub fn routes() -> Router<Server> {
    Router::new()
        .route("/version", get(version))
        .route("/apis/catalyst.openova.io/v1alpha1/{plural}", get(own_kind))
        .route("/api/v1/namespaces/{namespace}/pods", get(pods))
        .route("/api/v1/namespaces/{namespace}/pods/{pod}/log", get(log))
        .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(secret))
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "catalyst.openova.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "uid": format!("{kind}-{name}"), "resourceVersion": "1", "generation": 1},
        "spec": spec,
    })
}

/// Who signed every Blueprint here: the fingerprint of [`SIGNING_KEY`].
const SIGNER: &str = "sha256:b900594abf122c63d439878310eee1e49d899da6482539484bc029d77ee20e50";
const SIGNING_KEY: &str = "      -----BEGIN PUBLIC KEY-----
      MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtggXkooXRMB+YRoM3niW9w2jqArT
      KR4uMELj0JC9GiWVQDb4ed3Tycv9cTdroSfBz2I1QyqwZH17cCHMd1QHqg==
      -----END PUBLIC KEY-----
";

/// A Sovereign's file, with that signer trusted for all sources: without, no Blueprint is
/// offered, whatever else is the matter with it.
pub fn trusting(sovereign: &str) -> String {
    let signers = ["acme", "catalog", "globex"]
        .map(|source| format!("  - source: {source}\n    publicKey: |\n{SIGNING_KEY}"))
        .concat();
    format!("{sovereign}  trustedSigners:\n{signers}")
}

/// A Blueprint as it was admitted.
pub fn blueprint(source: &str, name: &str, mut card: Value) -> Value {
    card["license"] = json!("Apache-2.0");
    let said = json!({
        "version": "1.0.0", "card": card, "owner": {"team": "one"},
        "manifests": {"source": {"kind": "HelmChart"}},
    });
    let admitted = json!({
        "source": source, "name": name, "version": "1.0.0", "digest": format!("sha256:{}", "a".repeat(64)),
        "signer": SIGNER, "repository": format!("{source}/{name}"), "blueprint": said,
    });
    object("Blueprint", &format!("{source}.{name}-1.0.0"), admitted)
}

/// A source of Blueprints with a folder that lint finds something in.
fn source(name: &str) -> Value {
    let spec = json!({"repository": format!("{name}/shared-blueprints")});
    let mut source = object("BlueprintSource", name, spec);
    source["status"] = json!({
        "observedGeneration": 1,
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "Refused", "message": "1 problem",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "revision": "c1",
        "blueprints": [{"name": "bp-plans"}],
        "problems": [{
            "file": "bp-plans/chart/values.yaml", "line": 3, "rule": "image-tag",
            "message": "the image has the tag latest", "fix": "name a version",
        }],
        "refused": [{
            "name": "bp-plans", "version": "0.9.0", "reason": "it is not signed",
            "fix": "publish it signed",
        }],
    });
    source
}

/// A fleet upgrade of an Organization, or of all, that has stopped.
pub fn fleet_upgrade(name: &str, organization: Option<&str>) -> Value {
    let stopped = json!({"environment": "acme-dev", "application": "blog", "state": "Failed"});
    let mut upgrade = object(
        "FleetUpgrade",
        name,
        json!({
            "organization": organization, "requestedBy": "ada", "timeoutSeconds": 60,
            "blueprint": {"source": "catalog", "name": "bp-blog", "version": "2.0.0"},
            "waves": [{"stage": "dev", "applications": [
                {"environment": "acme-dev", "application": "blog", "from": "1.0.0"},
            ]}],
            "attempt": 0,
        }),
    );
    upgrade["status"] =
        json!({"phase": "Stopped", "wave": 1, "stoppedAttempt": 0, "applications": [stopped]});
    upgrade
}

/// An Environment that runs on its stage's host cluster.
fn environment(organization: &str, stage: &str) -> Value {
    let mut environment = object(
        "Environment",
        &format!("{organization}-{stage}"),
        json!({"organization": organization, "envType": stage}),
    );
    environment["status"] = json!({"vclusters": [format!("lo-loc-rtz-{stage}-{organization}")]});
    environment
}

/// What stands in the management cluster.
pub fn objects() -> BTreeMap<String, Vec<Value>> {
    let host = |name: &str, block: &str, stage: &str| json!({"name": name, "region": "loc", "buildingBlock": block, "envType": stage});
    let sovereign = json!({
        "domain": "localhost", "provider": "local",
        "hostClusters": [
            host("lo-loc-mgt-prod", "mgt", "prod"), host("lo-loc-rtz-prod", "rtz", "prod"),
            host("lo-loc-rtz-dev", "rtz", "dev"),
        ],
    });
    let mut blog = object(
        "Application",
        "blog",
        json!({"blueprint": {"source": "catalog", "name": "bp-blog", "version": "1.0.0"}}),
    );
    blog["metadata"]["namespace"] = json!("acme-dev");
    let policy = json!({"appliesTo": {"environments": ["acme-dev", "globex-dev"]}, "rules": []});
    BTreeMap::from([
        (
            "sovereigns".to_owned(),
            vec![object("Sovereign", "localhost", sovereign)],
        ),
        (
            "environments".to_owned(),
            vec![environment("acme", "dev"), environment("globex", "dev")],
        ),
        ("applications".to_owned(), vec![blog]),
        (
            "blueprints".to_owned(),
            vec![
                blueprint(
                    "acme",
                    "bp-plans",
                    json!({"title": "Plans", "tagline": "Kept in PostgreSQL", "category": "Office"}),
                ),
                blueprint(
                    "catalog",
                    "bp-blog",
                    json!({"title": "Blog", "category": "Web"}),
                ),
                blueprint(
                    "catalog",
                    "bp-postgres",
                    json!({"title": "PostgreSQL", "category": "Data", "tags": ["sql"]}),
                ),
            ],
        ),
        (
            "blueprintsources".to_owned(),
            ["acme", "catalog", "globex"].map(source).into(),
        ),
        (
            "environmentpolicies".to_owned(),
            vec![object("EnvironmentPolicy", "both", policy)],
        ),
        (
            "fleetupgrades".to_owned(),
            vec![
                fleet_upgrade("both", Some("acme")),
                fleet_upgrade("everywhere", None),
            ],
        ),
    ])
}

async fn version() -> Json<Value> {
    Json(json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    }))
}

/// A list, or a watch in which nothing happens.
async fn own_kind(
    State(server): State<Server>,
    Path(plural): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let mut parts = server.parts.lock().unwrap();
    if query.get("watch").is_some_and(|watch| watch == "true") {
        let nothing = stream::pending::<Result<Bytes, std::io::Error>>();
        return Body::from_stream(nothing).into_response();
    }
    let items: Vec<Value> = if plural == "organizations" {
        parts.lists += 1;
        let organizations = parts.organizations.iter();
        organizations
            .map(|(name, members)| {
                object(
                    "Organization",
                    name,
                    json!({"displayName": name, "members": members}),
                )
            })
            .collect()
    } else {
        match parts.objects.get(&plural) {
            Some(objects) => objects.clone(),
            None => return StatusCode::NOT_FOUND.into_response(),
        }
    };
    Json(json!({
        "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "List",
        "metadata": {"resourceVersion": "100"}, "items": items,
    }))
    .into_response()
}

/// Two pods of one container each, and maybe of one before it.
async fn pods(
    State(server): State<Server>,
    Path(namespace): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    // A chart gives its pods what labels it likes.
    assert_eq!(query.get("labelSelector"), None);
    let parts = server.parts.lock().unwrap();
    let pod = |name: &str| {
        let has_ended = parts.ended.contains(name);
        let is_held_up = parts.unprepared.contains(name);
        let is_running = !has_ended && !is_held_up && !parts.unstarted.contains(name);
        let state = match is_running {
            true => json!({"running": {}}),
            false if is_held_up => json!({"waiting": {"reason": "PodInitializing"}}),
            false if has_ended => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            false => {
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "the registry has no web"}})
            }
        };
        let restarts = parts.restarts.get(name).copied().unwrap_or_default();
        let mut pod = json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [{"name": "web"}]},
            "status": {"containerStatuses": [{
                "name": "web", "ready": is_running, "restartCount": restarts, "image": "", "imageID": "",
                "state": state,
            }]},
        });
        if is_held_up || parts.prepared.contains(name) {
            let state = match is_held_up {
                true => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
                false => json!({"terminated": {"exitCode": 0}}),
            };
            pod["spec"]["initContainers"] = json!([{"name": "prepare"}]);
            pod["status"]["initContainerStatuses"] = json!([{
                "name": "prepare", "ready": !is_held_up, "restartCount": u32::from(is_held_up),
                "image": "", "imageID": "", "state": state,
            }]);
        }
        pod
    };
    Json(json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod("blog-0"), pod("blog-1")],
    }))
}

/// Two lines, and one more of each run after the first; followed, it does not end. From
/// when on is not heeded: a kubelet is asked in whole seconds, and gives lines again.
async fn log(
    State(server): State<Server>,
    Path((_, pod)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Body {
    if query["container"] == "prepare" {
        return Body::from(format!("{pod} is prepared\n"));
    }
    assert_eq!(query["container"], "web");
    let time = match query.get("timestamps").map(String::as_str) {
        Some("true") => "2026-01-01T00:00:00.5Z ",
        _ => "",
    };
    let mut text = format!("{time}hello from {pod}\n{time}no end");
    let (restarts, has_ended) = {
        let parts = server.parts.lock().unwrap();
        let restarts = parts.restarts.get(&pod).copied().unwrap_or_default();
        (restarts, parts.ended.contains(&pod))
    };
    // What waits to start again has the log of the run before.
    for run in 1..restarts + u32::from(!has_ended) {
        let time = time.replace("00.5Z", &format!("{run:02}.5Z"));
        text.push_str(&format!("\n{time}run {run}"));
    }
    if restarts > 0 {
        text.push('\n');
    }
    let lines = stream::iter([Ok::<_, std::io::Error>(text)]);
    if query.get("follow").is_some_and(|follow| follow == "true") {
        Body::from_stream(lines.chain(stream::pending()))
    } else {
        Body::from_stream(lines)
    }
}

/// Every cluster's kubeconfig leads back here.
async fn secret(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
) -> Json<Value> {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server.base}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        "users": [{"name": "here", "user": {"token": "admin"}}],
    });
    let content = STANDARD.encode(kubeconfig.to_string());
    Json(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1"},
        "data": {"kubeconfig": content, "config": content},
    }))
}
