//! Kustomizations.

use serde_json::{Value, json};

use super::home::PASSWORD;
use super::{World, message};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        files_are_applied_and_listed,
        what_is_no_longer_there_is_pruned,
        what_goes_takes_its_objects_along,
        nothing_is_pruned_unless_asked,
        an_object_may_refuse_to_be_pruned,
        a_folder_that_is_absent_is_told,
        files_that_do_not_build_are_told,
        an_object_that_is_refused_is_told,
        a_source_that_is_absent_is_told,
        namespace_and_labels_are_set,
        variables_are_substituted,
        patches_and_images_are_set,
        one_waits_for_another,
        what_is_suspended_stays,
        drift_is_corrected,
        a_request_is_answered,
        health_is_waited_for,
    ]
}

fn one(namespace: &str) -> String {
    format!("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/app")
}

fn all(namespace: &str) -> String {
    one(namespace).trim_end_matches("/app").to_owned()
}

fn source_path(namespace: &str) -> String {
    format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/gitrepositories/app")
}

fn maps(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: \"{value}\"\n"
    )
}

fn kustomization(namespace: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": name}, "spec": {"interval": "10m", "retryInterval": "1s", "path": "./", "prune": true,
            "targetNamespace": namespace, "timeout": "30s",
            "sourceRef": {"kind": "GitRepository", "name": "app"}}});
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

/// A namespace with a source of these files and a Kustomization of it.
async fn begin(
    world: &World,
    namespace: &str,
    files: &[(&str, &str)],
    spec: Value,
) -> super::home::Repository {
    world.namespace(namespace).await;
    let repository = world.repository(namespace);
    repository.push(files);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git"},
        "stringData": {"username": "flux", "password": PASSWORD}});
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    world.post(&secrets, secret).await;
    let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "app"},
        "spec": {"url": repository.url, "interval": "10m", "ref": {"branch": "main"}, "secretRef": {"name": "git"}}});
    world
        .post(source_path(namespace).trim_end_matches("/app"), source)
        .await;
    world
        .ready(&source_path(namespace), "True", "Succeeded")
        .await;
    world
        .post(&all(namespace), kustomization(namespace, "app", spec))
        .await;
    repository
}

async fn again(
    world: &World,
    namespace: &str,
    repository: &super::home::Repository,
    files: &[(&str, &str)],
) -> String {
    let commit = repository.push(files);
    world.request(&source_path(namespace), &commit).await;
    commit
}

async fn applied(world: &World, namespace: &str, commit: &str) -> Value {
    let revision = format!("main@sha1:{commit}");
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let found = world
            .ready(&one(namespace), "True", "ReconciliationSucceeded")
            .await;
        if found["status"]["lastAppliedRevision"] == revision.as_str() {
            return found;
        }
        assert!(tokio::time::Instant::now() < until, "{:#}", found["status"]);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn files_are_applied_and_listed(world: World) {
    let files = [("a.yaml", map("a", "1")), ("deep/b.yaml", map("b", "1"))];
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    begin(&world, "kustomize-1", &files, json!({})).await;
    let found = world
        .ready(&one("kustomize-1"), "True", "ReconciliationSucceeded")
        .await;
    let revision = found["status"]["lastAppliedRevision"].as_str().unwrap();
    assert!(revision.starts_with("main@sha1:"), "{revision}");
    assert_eq!(
        message(&found, "Ready"),
        format!("Applied revision: {revision}")
    );
    assert_eq!(found["status"]["lastAttemptedRevision"], revision);
    let mut entries = found["status"]["inventory"]["entries"]
        .as_array()
        .unwrap()
        .clone();
    entries.sort_by_key(|it| it["id"].as_str().unwrap().to_owned());
    assert_eq!(
        entries,
        [
            json!({"id": "kustomize-1_a__ConfigMap", "v": "v1"}),
            json!({"id": "kustomize-1_b__ConfigMap", "v": "v1"})
        ]
    );
    let live = world.get(&maps("kustomize-1", "a")).await.unwrap();
    assert_eq!(
        live["metadata"]["labels"],
        json!({"kustomize.toolkit.fluxcd.io/name": "app",
        "kustomize.toolkit.fluxcd.io/namespace": "kustomize-1"})
    );
    assert_eq!(
        found["metadata"]["finalizers"],
        json!(["finalizers.fluxcd.io"])
    );
}

async fn what_is_no_longer_there_is_pruned(world: World) {
    let (a, b) = (map("a", "1"), map("b", "1"));
    let repository = begin(
        &world,
        "kustomize-2",
        &[("a.yaml", &a), ("b.yaml", &b)],
        json!({}),
    )
    .await;
    world
        .ready(&one("kustomize-2"), "True", "ReconciliationSucceeded")
        .await;
    let commit = again(&world, "kustomize-2", &repository, &[("a.yaml", &a)]).await;
    applied(&world, "kustomize-2", &commit).await;
    assert!(world.get(&maps("kustomize-2", "b")).await.is_none());
    assert!(world.get(&maps("kustomize-2", "a")).await.is_some());
}

async fn what_goes_takes_its_objects_along(world: World) {
    begin(
        &world,
        "kustomize-3",
        &[("a.yaml", &map("a", "1"))],
        json!({}),
    )
    .await;
    world
        .ready(&one("kustomize-3"), "True", "ReconciliationSucceeded")
        .await;
    world.delete(&one("kustomize-3")).await;
    world.gone(&one("kustomize-3")).await;
    world.gone(&maps("kustomize-3", "a")).await;
}

async fn nothing_is_pruned_unless_asked(world: World) {
    let (a, b) = (map("a", "1"), map("b", "1"));
    let files = [("a.yaml", a.as_str()), ("b.yaml", b.as_str())];
    let repository = begin(&world, "kustomize-4", &files, json!({"prune": false})).await;
    world
        .ready(&one("kustomize-4"), "True", "ReconciliationSucceeded")
        .await;
    let commit = again(&world, "kustomize-4", &repository, &[("a.yaml", &a)]).await;
    applied(&world, "kustomize-4", &commit).await;
    assert!(world.get(&maps("kustomize-4", "b")).await.is_some());
    world.delete(&one("kustomize-4")).await;
    world.gone(&one("kustomize-4")).await;
    assert!(world.get(&maps("kustomize-4", "a")).await.is_some());
}

async fn an_object_may_refuse_to_be_pruned(world: World) {
    let kept = map("b", "1").replace(
        "  name: b\n",
        "  name: b\n  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}\n",
    );
    let a = map("a", "1");
    let repository = begin(
        &world,
        "kustomize-5",
        &[("a.yaml", &a), ("b.yaml", &kept)],
        json!({}),
    )
    .await;
    world
        .ready(&one("kustomize-5"), "True", "ReconciliationSucceeded")
        .await;
    let commit = again(&world, "kustomize-5", &repository, &[("a.yaml", &a)]).await;
    applied(&world, "kustomize-5", &commit).await;
    assert!(world.get(&maps("kustomize-5", "b")).await.is_some());
}

async fn a_folder_that_is_absent_is_told(world: World) {
    begin(
        &world,
        "kustomize-6",
        &[("a.yaml", &map("a", "1"))],
        json!({"path": "./absent"}),
    )
    .await;
    let found = world
        .ready(&one("kustomize-6"), "False", "ArtifactFailed")
        .await;
    let said = message(&found, "Ready");
    assert!(
        said.contains("kustomization path not found") && said.contains("absent"),
        "{said}"
    );
}

async fn files_that_do_not_build_are_told(world: World) {
    let files = [("kustomization.yaml", "resources: [absent.yaml]\n")];
    begin(&world, "kustomize-7", &files, json!({})).await;
    let found = world
        .ready(&one("kustomize-7"), "False", "BuildFailed")
        .await;
    assert!(message(&found, "Ready").contains("absent.yaml"));
}

async fn an_object_that_is_refused_is_told(world: World) {
    begin(
        &world,
        "kustomize-8",
        &[("a.yaml", &map("Bad_Name", "1"))],
        json!({}),
    )
    .await;
    let found = world
        .ready(&one("kustomize-8"), "False", "ReconciliationFailed")
        .await;
    let said = message(&found, "Ready");
    assert!(said.contains("ConfigMap/kustomize-8/Bad_Name"), "{said}");
}

async fn a_source_that_is_absent_is_told(world: World) {
    world.namespace("kustomize-9").await;
    world
        .post(
            &all("kustomize-9"),
            kustomization("kustomize-9", "app", json!({})),
        )
        .await;
    let found = world
        .ready(&one("kustomize-9"), "False", "ArtifactFailed")
        .await;
    let said = message(&found, "Ready");
    assert!(
        said.contains("GitRepository") && said.contains("not found"),
        "{said}"
    );
}

async fn namespace_and_labels_are_set(world: World) {
    world.namespace("kustomize-10-target").await;
    let spec = json!({"targetNamespace": "kustomize-10-target", "namePrefix": "pre-",
        "commonMetadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}});
    begin(&world, "kustomize-10", &[("a.yaml", &map("a", "1"))], spec).await;
    world
        .ready(&one("kustomize-10"), "True", "ReconciliationSucceeded")
        .await;
    let live = world
        .get(&maps("kustomize-10-target", "pre-a"))
        .await
        .unwrap();
    assert_eq!(live["metadata"]["labels"]["team"], "x");
    assert_eq!(live["metadata"]["annotations"]["note"], "y");
}

async fn variables_are_substituted(world: World) {
    world.namespace("kustomize-11").await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vars"}, "data": {"two": "from-map", "one": "lost"}});
    world
        .post("/api/v1/namespaces/kustomize-11/configmaps", body)
        .await;
    let repository = world.repository("kustomize-11");
    repository.push(&[(
        "a.yaml",
        &map("a", "${one} ${two} ${three:=three} $${four}"),
    )]);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git"},
        "stringData": {"username": "flux", "password": PASSWORD}});
    world
        .post("/api/v1/namespaces/kustomize-11/secrets", secret)
        .await;
    let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "app"},
        "spec": {"url": repository.url, "interval": "10m", "ref": {"branch": "main"}, "secretRef": {"name": "git"}}});
    world
        .post(source_path("kustomize-11").trim_end_matches("/app"), source)
        .await;
    let build = json!({"postBuild": {"substitute": {"one": "1"}, "substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}});
    world
        .post(
            &all("kustomize-11"),
            kustomization("kustomize-11", "app", build),
        )
        .await;
    world
        .ready(&one("kustomize-11"), "True", "ReconciliationSucceeded")
        .await;
    let live = world.get(&maps("kustomize-11", "a")).await.unwrap();
    assert_eq!(live["data"]["key"], "1 from-map three ${four}");
}

async fn patches_and_images_are_set(world: World) {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: 'web:1'}]}\n";
    let patch = "- op: add\n  path: /spec/minReadySeconds\n  value: 3\n";
    let spec = json!({"images": [{"name": "web", "newName": "other", "newTag": "2"}],
        "patches": [{"patch": patch, "target": {"kind": "Deployment"}}]});
    begin(&world, "kustomize-12", &[("a.yaml", deployment)], spec).await;
    world
        .ready(&one("kustomize-12"), "True", "ReconciliationSucceeded")
        .await;
    let live = world
        .get("/apis/apps/v1/namespaces/kustomize-12/deployments/web")
        .await
        .unwrap();
    assert_eq!(live["spec"]["minReadySeconds"], 3);
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        "other:2"
    );
}

async fn one_waits_for_another(world: World) {
    let spec = json!({"dependsOn": [{"name": "first"}]});
    begin(&world, "kustomize-13", &[("a.yaml", &map("a", "1"))], spec).await;
    let found = world
        .ready(&one("kustomize-13"), "False", "DependencyNotReady")
        .await;
    assert!(message(&found, "Ready").contains("kustomize-13/first"));
    assert!(world.get(&maps("kustomize-13", "a")).await.is_none());
    world
        .post(
            &all("kustomize-13"),
            kustomization("kustomize-13", "first", json!({})),
        )
        .await;
    world
        .ready(&one("kustomize-13"), "True", "ReconciliationSucceeded")
        .await;
}

async fn what_is_suspended_stays(world: World) {
    let (a, b) = (map("a", "1"), map("b", "1"));
    let files = [("app/a.yaml", a.as_str()), ("other/b.yaml", b.as_str())];
    let spec = json!({"path": "./app"});
    let repository = begin(&world, "kustomize-14", &files, spec).await;
    world
        .ready(&one("kustomize-14"), "True", "ReconciliationSucceeded")
        .await;
    world
        .merge(&one("kustomize-14"), json!({"spec": {"suspend": true}}))
        .await;
    let (a, b) = (map("a", "2"), map("b", "2"));
    let files = [("app/a.yaml", a.as_str()), ("other/b.yaml", b.as_str())];
    let commit = again(&world, "kustomize-14", &repository, &files).await;
    world.request(&one("kustomize-14"), "while-suspended").await;
    // Asked for later, and not suspended: the other had its turn before.
    let other = kustomization("kustomize-14", "other", json!({"path": "./other"}));
    world.post(&all("kustomize-14"), other).await;
    world
        .until(&maps("kustomize-14", "b"), |it| {
            it.is_some_and(|it| it["data"]["key"] == "2")
        })
        .await;
    assert_eq!(
        world.get(&maps("kustomize-14", "a")).await.unwrap()["data"]["key"],
        "1"
    );
    world
        .merge(&one("kustomize-14"), json!({"spec": {"suspend": false}}))
        .await;
    applied(&world, "kustomize-14", &commit).await;
    assert_eq!(
        world.get(&maps("kustomize-14", "a")).await.unwrap()["data"]["key"],
        "2"
    );
}

async fn drift_is_corrected(world: World) {
    begin(
        &world,
        "kustomize-15",
        &[("a.yaml", &map("a", "1"))],
        json!({}),
    )
    .await;
    world
        .ready(&one("kustomize-15"), "True", "ReconciliationSucceeded")
        .await;
    world
        .merge(
            &maps("kustomize-15", "a"),
            json!({"data": {"key": "drifted", "own": "kept"}}),
        )
        .await;
    world.request(&one("kustomize-15"), "now").await;
    let found = world
        .until(&maps("kustomize-15", "a"), |it| {
            it.unwrap()["data"]["key"] == "1"
        })
        .await;
    assert_eq!(found["data"]["own"], "kept");
}

async fn a_request_is_answered(world: World) {
    begin(
        &world,
        "kustomize-16",
        &[("a.yaml", &map("a", "1"))],
        json!({}),
    )
    .await;
    world
        .ready(&one("kustomize-16"), "True", "ReconciliationSucceeded")
        .await;
    world.request(&one("kustomize-16"), "the-request").await;
    world
        .until(&one("kustomize-16"), |it| {
            it.unwrap()["status"]["lastHandledReconcileAt"] == "the-request"
        })
        .await;
}

async fn health_is_waited_for(world: World) {
    let job = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: 'web:1'}]}\n";
    begin(
        &world,
        "kustomize-17",
        &[("a.yaml", job)],
        json!({"wait": true, "timeout": "2s"}),
    )
    .await;
    let found = world
        .ready(&one("kustomize-17"), "False", "HealthCheckFailed")
        .await;
    let said = message(&found, "Ready");
    assert!(said.contains("Deployment/kustomize-17/web"), "{said}");
    assert_eq!(
        super::home::of(&found, "Healthy").unwrap()["status"],
        "False"
    );
}
