//! GitRepository and Kustomization.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{PASSWORD, World, of};

const SOURCES: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/gitrepositories";
const KUSTOMIZATIONS: &str =
    "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/default/kustomizations";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: \"{value}\"\n"
    )
}

async fn source(world: &World, name: &str, url: &str) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{name}-git")},
        "stringData": {"username": "flux", "password": PASSWORD}});
    world
        .post("/api/v1/namespaces/default/secrets", secret)
        .await;
    world
        .post(
            SOURCES,
            json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": name},
                "spec": {"url": url, "interval": "10m", "ref": {"branch": "main"}, "secretRef": {"name": format!("{name}-git")}}}),
        )
        .await;
}

fn kustomization(name: &str, source: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": name},
        "spec": {"interval": "10m", "prune": true, "path": "./", "targetNamespace": "default",
            "sourceRef": {"kind": "GitRepository", "name": source}}});
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

async fn nudge(world: &World, path: &str, token: &str) {
    world
        .merge(
            path,
            json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_applied_at_once_and_what_is_removed_is_pruned() {
    let world = World::start().await;
    let repository = world.repository("app");
    let first = repository.push(&[("a.yaml", &map("a", "1")), ("sub/b.yaml", &map("b", "1"))]);
    source(&world, "app", &repository.url).await;
    world
        .post(KUSTOMIZATIONS, kustomization("app", "app", json!({})))
        .await;
    let path = format!("{KUSTOMIZATIONS}/app");
    let message = world
        .condition(&path, "Ready", "True", "ReconciliationSucceeded")
        .await;
    assert_eq!(message, format!("Applied revision: main@sha1:{first}"));
    let object = world.get(&path).await.unwrap();
    let ids: Vec<&str> = object["status"]["inventory"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["default_a__ConfigMap", "default_b__ConfigMap"]);
    assert_eq!(
        object["metadata"]["finalizers"],
        json!(["finalizers.fluxcd.io"])
    );
    let live = world.get(&format!("{MAPS}/a")).await.unwrap();
    assert_eq!(
        live["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"],
        "app"
    );
    assert_eq!(
        live["metadata"]["managedFields"][0]["manager"],
        "kustomize-controller"
    );

    // The artifact is there for others too.
    let git = world.get(&format!("{SOURCES}/app")).await.unwrap();
    let artifact = &git["status"]["artifact"];
    let bytes = reqwest::get(artifact["url"].as_str().unwrap())
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(artifact["digest"], crate::world::digest(&bytes));
    assert!(of(&git, "ArtifactInStorage").is_some());

    // Woken as the control plane wakes it, a change is live at once.
    let mut times = Vec::new();
    for turn in 0..9 {
        let value = format!("v{turn}");
        repository.push(&[("a.yaml", &map("a", &value))]);
        let start = Instant::now();
        nudge(&world, &format!("{SOURCES}/app"), &value).await;
        world
            .until(&format!("{MAPS}/a"), |one| {
                one.unwrap()["data"]["key"] == value
            })
            .await;
        times.push(start.elapsed());
    }
    times.sort();
    println!("nudge to applied: p50 {:?}, all {times:?}", times[4]);
    // Generous for a debug build on a busy machine; the figure is `make bench`'s.
    assert!(times[4] < Duration::from_secs(2), "{times:?}");
    world.until(&format!("{MAPS}/b"), |one| one.is_none()).await;
    let git = world.get(&format!("{SOURCES}/app")).await.unwrap();
    assert_eq!(git["status"]["lastHandledReconcileAt"], "v8");

    // Deleting the Kustomization removes what it applied.
    world.delete(&path).await;
    world.until(&path, |one| one.is_none()).await;
    world.until(&format!("{MAPS}/a"), |one| one.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_corrected_and_exceptions_are_honoured() {
    let world = World::start().await;
    let repository = world.repository("app");
    let kept = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kept\n  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}\n";
    repository.push(&[("a.yaml", &map("a", "1")), ("kept.yaml", kept)]);
    source(&world, "app", &repository.url).await;
    world
        .post(KUSTOMIZATIONS, kustomization("app", "app", json!({})))
        .await;
    let path = format!("{KUSTOMIZATIONS}/app");
    world
        .condition(&path, "Ready", "True", "ReconciliationSucceeded")
        .await;
    world
        .merge(&format!("{MAPS}/a"), json!({"data": {"key": "drifted"}}))
        .await;
    nudge(&world, &path, "1").await;
    world
        .until(&format!("{MAPS}/a"), |one| {
            one.unwrap()["data"]["key"] == "1"
        })
        .await;
    let handled = |one: Option<&Value>| one.unwrap()["status"]["lastHandledReconcileAt"] == "1";
    world.until(&path, handled).await;
    // Suspended, nothing is corrected.
    world.merge(&path, json!({"spec": {"suspend": true}})).await;
    world
        .merge(&format!("{MAPS}/a"), json!({"data": {"key": "drifted"}}))
        .await;
    nudge(&world, &path, "2").await;
    // Asked for later, and not suspended: the other had its turn before.
    let absent = json!({"path": "./absent"});
    world
        .post(KUSTOMIZATIONS, kustomization("other", "app", absent))
        .await;
    world
        .condition(
            &format!("{KUSTOMIZATIONS}/other"),
            "Ready",
            "False",
            "ArtifactFailed",
        )
        .await;
    let drifted = world.get(&format!("{MAPS}/a")).await.unwrap();
    assert_eq!(drifted["data"]["key"], "drifted");
    assert!(handled(world.get(&path).await.as_ref()));
    world
        .merge(&path, json!({"spec": {"suspend": false}}))
        .await;
    world
        .until(&format!("{MAPS}/a"), |one| {
            one.unwrap()["data"]["key"] == "1"
        })
        .await;
    repository.push(&[("a.yaml", &map("a", "1"))]);
    nudge(&world, &format!("{SOURCES}/app"), "3").await;
    world
        .until(&path, |one| {
            one.unwrap()["status"]["inventory"]["entries"]
                .as_array()
                .unwrap()
                .len()
                == 1
        })
        .await;
    assert!(world.get(&format!("{MAPS}/kept")).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_go_first_and_faults_say_what_is_wrong() {
    let world = World::start().await;
    let repository = world.repository("app");
    repository.push(&[
        ("base/a.yaml", &map("${name}", "1")),
        ("late/b.yaml", &map("b", "1")),
        ("broken/c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Not_A_Name\n"),
        ("slow/d.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: slow}\nspec:\n  selector: {matchLabels: {app: slow}}\n  template:\n    metadata: {labels: {app: slow}}\n    spec: {containers: [{name: web, image: none}]}\n"),
        ("overlay/kustomization.yaml", "resources: [e.yaml]\nnamePrefix: pre-\n"),
        ("overlay/e.yaml", &map("e", "1")),
    ]);
    source(&world, "app", &repository.url).await;
    let late = kustomization(
        "late",
        "app",
        json!({"path": "./late", "dependsOn": [{"name": "base"}]}),
    );
    world.post(KUSTOMIZATIONS, late).await;
    let path = |name: &str| format!("{KUSTOMIZATIONS}/{name}");
    world
        .condition(&path("late"), "Ready", "False", "DependencyNotReady")
        .await;
    assert!(world.get(&format!("{MAPS}/b")).await.is_none());
    let base = kustomization(
        "base",
        "app",
        json!({"path": "./base", "postBuild": {"substitute": {"name": "filled"}}}),
    );
    world.post(KUSTOMIZATIONS, base).await;
    world
        .condition(&path("late"), "Ready", "True", "ReconciliationSucceeded")
        .await;
    assert!(world.get(&format!("{MAPS}/filled")).await.is_some());
    assert!(world.get(&format!("{MAPS}/b")).await.is_some());

    world
        .post(
            KUSTOMIZATIONS,
            kustomization("overlay", "app", json!({"path": "./overlay"})),
        )
        .await;
    world
        .condition(&path("overlay"), "Ready", "True", "ReconciliationSucceeded")
        .await;
    assert!(world.get(&format!("{MAPS}/pre-e")).await.is_some());

    world
        .post(
            KUSTOMIZATIONS,
            kustomization("broken", "app", json!({"path": "./broken"})),
        )
        .await;
    let message = world
        .condition(&path("broken"), "Ready", "False", "ReconciliationFailed")
        .await;
    assert!(
        message.contains("ConfigMap/default/Not_A_Name"),
        "{message}"
    );

    world
        .post(
            KUSTOMIZATIONS,
            kustomization("nowhere", "app", json!({"path": "./nowhere"})),
        )
        .await;
    let message = world
        .condition(&path("nowhere"), "Ready", "False", "ArtifactFailed")
        .await;
    assert!(message.contains("path not found"), "{message}");

    world
        .post(
            KUSTOMIZATIONS,
            kustomization("sops", "app", json!({"decryption": {"provider": "sops"}})),
        )
        .await;
    world
        .condition(&path("sops"), "Stalled", "True", "BuildFailed")
        .await;

    let slow = kustomization(
        "slow",
        "app",
        json!({"path": "./slow", "wait": true, "timeout": "1s"}),
    );
    world.post(KUSTOMIZATIONS, slow).await;
    let message = world
        .condition(&path("slow"), "Ready", "False", "HealthCheckFailed")
        .await;
    assert!(
        message.contains("Deployment/default/slow status: 'InProgress'"),
        "{message}"
    );

    let events = world
        .get("/api/v1/namespaces/default/events")
        .await
        .unwrap();
    let reasons: Vec<&str> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    for wanted in [
        "NewArtifact",
        "Progressing",
        "ReconciliationSucceeded",
        "HealthCheckFailed",
    ] {
        assert!(reasons.contains(&wanted), "{wanted} is not in {reasons:?}");
    }
}

/// As the application controller has a Kustomization change its version.
#[tokio::test(flavor = "multi_thread")]
async fn a_spec_whose_source_is_to_come_changes_nothing_before() {
    let world = World::start().await;
    let repository = world.repository("app");
    repository.push(&[("a.yaml", &map("a", "old ${greeting:=none}"))]);
    source(&world, "app", &repository.url).await;
    let build = json!({"postBuild": {"substitute": {"greeting": "hi"}}});
    world
        .post(KUSTOMIZATIONS, kustomization("app", "app", build))
        .await;
    let value = |one: Option<&Value>| one.map(|it| it["data"]["key"].clone());
    let object = format!("{MAPS}/a");
    world
        .until(&object, |one| value(one) == Some(json!("old hi")))
        .await;

    let path = format!("{KUSTOMIZATIONS}/app");
    world
        .merge(
            &path,
            json!({"spec": {
                "sourceRef": {"name": "next"},
                "postBuild": {"substitute": {"greeting": null, "welcome": "hello"}},
            }}),
        )
        .await;
    world
        .condition(&path, "Ready", "False", "ArtifactFailed")
        .await;
    let live = world.get(&object).await;
    assert_eq!(value(live.as_ref()), Some(json!("old hi")));

    let next = world.repository("next");
    next.push(&[("a.yaml", &map("a", "new ${welcome:=none}"))]);
    source(&world, "next", &next.url).await;
    world
        .until(&object, |one| {
            let found = value(one).unwrap();
            assert_ne!(
                found,
                json!("old none"),
                "the old one with the new settings"
            );
            found == json!("new hello")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_missing_branch_are_told_apart() {
    let world = World::start().await;
    let repository = world.repository("app");
    repository.push(&[("a.yaml", &map("a", "1"))]);
    let object = |name: &str, spec: Value| json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": name}, "spec": spec});
    world
        .post(
            SOURCES,
            object("denied", json!({"url": repository.url, "interval": "1m"})),
        )
        .await;
    world
        .condition(
            &format!("{SOURCES}/denied"),
            "Ready",
            "False",
            "AuthenticationFailed",
        )
        .await;
    source(&world, "app", &repository.url).await;
    let spec = json!({"url": repository.url, "interval": "1m", "ref": {"branch": "none"}, "secretRef": {"name": "app-git"}});
    world.post(SOURCES, object("missing", spec)).await;
    let message = world
        .condition(
            &format!("{SOURCES}/missing"),
            "Ready",
            "False",
            "GitOperationFailed",
        )
        .await;
    assert!(message.contains("refs/heads/none"), "{message}");
    assert!(!message.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_cluster_is_forgotten_and_another_goes_on() {
    let world = World::start().await;
    let repository = world.repository("app");
    repository.push(&[("a.yaml", &map("a", "1"))]);
    source(&world, "app", &repository.url).await;
    world
        .post(KUSTOMIZATIONS, kustomization("app", "app", json!({})))
        .await;
    world
        .condition(
            &format!("{KUSTOMIZATIONS}/app"),
            "Ready",
            "True",
            "ReconciliationSucceeded",
        )
        .await;
    assert!(world.kubernetes.delete_cluster("acme").await.unwrap());
    let crds = catalyst_flux::custom_resource_definitions();
    assert!(
        world
            .kubernetes
            .create_cluster("acme", &crds)
            .await
            .unwrap()
    );
    source(&world, "app", &repository.url).await;
    world
        .post(KUSTOMIZATIONS, kustomization("app", "app", json!({})))
        .await;
    world
        .condition(
            &format!("{KUSTOMIZATIONS}/app"),
            "Ready",
            "True",
            "ReconciliationSucceeded",
        )
        .await;
    assert!(world.get(&format!("{MAPS}/a")).await.is_some());
}
