//! Blueprints that do not work: charts that do not render, dependencies that
//! cannot be met, images that are not there, programs that crash. Each is
//! explained where people look: in the answer, or in the Application's health.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::pods::{obstacle, push_image};
use crate::sovereign::Sovereign;
use crate::user::{User, phase_of, try_git};

/// How soon an Application must say what is wrong.
const SOON: Duration = Duration::from_secs(45);

const CRASH: &str = r#"
#include <stdio.h>
int main(void) {
    puts("reading /etc/wiki.conf");
    fprintf(stderr, "cannot open /etc/wiki.conf: giving up\n");
    return 3;
}
"#;

/// A Blueprint's folder, as `catalyst blueprint new` begins it, with what a test
/// needs in it.
async fn begin(admin: &mut User, directory: &Path, name: &str, version: &str) -> PathBuf {
    let folder = directory.join(format!("{name}-{version}"));
    let path = folder.to_str().unwrap();
    succeeds(
        admin
            .catalyst(&["blueprint", "new", name, "--folder", path])
            .await,
    );
    for file in ["blueprint.yaml", "chart/Chart.yaml"] {
        edit(
            &folder.join(file),
            "version: 0.1.0",
            &format!("version: {version}"),
        );
    }
    folder
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed, "{from:?} is not in\n{text}");
    std::fs::write(file, changed).unwrap();
}

fn depends(folder: &Path, list: &str) {
    edit(
        &folder.join("blueprint.yaml"),
        "  manifests:\n",
        &format!("  depends: [{list}]\n  manifests:\n"),
    );
}

/// Publishes to the catalog; answers what was said.
async fn publish(admin: &mut User, folder: &Path) -> String {
    let path = folder.to_str().unwrap();
    let output = admin
        .catalyst(&["blueprint", "publish", path, "--source", "catalog"])
        .await;
    succeeds(output)
}

fn succeeds(output: std::process::Output) -> String {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}

async fn until_registered(admin: &mut User, name: &str, version: &str) {
    let path = format!("/blueprints/catalog/{name}?version={version}");
    admin.until("it is registered", &path, |_| true).await;
}

/// The Problem with which both Plan and install refuse a command.
async fn refused_twice(admin: &mut User, command: &Value) -> (StatusCode, Value) {
    let mut answers = Vec::new();
    for path in ["plans", "changes"] {
        let path = format!("/environments/acme-dev/{path}");
        answers.push(
            admin
                .refused(Method::POST, &path, Some(command.clone()))
                .await,
        );
    }
    assert_eq!(answers[0], answers[1], "Plan and install disagree");
    let none = admin.get("/environments/acme-dev/applications").await;
    let name = command["name"].as_str().unwrap();
    let is_there = none["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|one| one["name"] == name);
    assert!(!is_there, "{name} was refused, and is there: {none:#}");
    answers.remove(0)
}

#[tokio::test]
async fn blueprints_that_do_not_work_are_explained() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let sovereign = Sovereign::start(&directory.path().join("data"), "127.0.0.1:0");
    let mut admin = crate::admin(&sovereign).await;
    crate::acme_dev(&mut admin).await;
    succeeds(admin.catalyst(&["blueprint", "trust", "catalog"]).await);
    admin
        .until("the key is trusted", "/sovereign", |value| {
            value["trustedSigners"]
                .as_array()
                .is_some_and(|all| all.len() == 2)
        })
        .await;

    a_chart_that_does_not_render_names_template_and_line(&sovereign, &mut admin, directory.path())
        .await;
    a_cycle_is_told_as_a_chain(&mut admin, directory.path()).await;
    a_version_conflict_is_told_as_a_chain(&mut admin, directory.path()).await;
    if let Some(why) = obstacle() {
        eprintln!("not run: images and crashes, because of this machine:\n{why}");
        return;
    }
    an_image_that_is_not_there_is_named(&sovereign, &mut admin, directory.path()).await;
    a_crash_shows_its_last_lines(&sovereign, &mut admin, directory.path()).await;
    sovereign.terminate();
}

async fn a_chart_that_does_not_render_names_template_and_line(
    sovereign: &Sovereign,
    admin: &mut User,
    directory: &Path,
) {
    let folder = begin(admin, directory, "bp-brittle", "1.0.0").await;
    // Renders with all that is tried when it is published, and not with seven copies.
    let template = folder.join("chart/templates/deployment.yaml");
    edit(
        &template,
        "spec:\n",
        "{{- if eq (int .Values.replicas) 7 }}\n{{ fail \"seven copies are too many\" }}\n{{- end }}\nspec:\n",
    );
    let text = std::fs::read_to_string(&template).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("fail")).unwrap();
    publish(admin, &folder).await;
    until_registered(admin, "bp-brittle", "1.0.0").await;

    let command = json!({"command": "install", "name": "brittle", "blueprint": "bp-brittle",
        "config": {"replicas": 7}});
    let (status, problem) = refused_twice(admin, &command).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem:#}");
    let said = problem.to_string();
    let place = format!("templates/deployment.yaml:{line}:");
    for part in [place.as_str(), "seven copies are too many"] {
        assert!(said.contains(part), "no {part:?} in {problem:#}");
    }

    // By push: refused as well, or the Application says the same.
    let folder = directory.join("acme-dev");
    std::fs::create_dir(&folder).unwrap();
    let url = admin.repository(sovereign, "acme/acme-dev").await;
    let git = |words: &[&str]| try_git(&folder, words);
    assert!(git(&["clone", "--quiet", &url, "."]).status.success());
    let mut good = command.clone();
    good["config"]["replicas"] = json!(1);
    admin.post("/environments/acme-dev/changes", good).await;
    let began = Instant::now();
    while copies(sovereign).await != 1 {
        assert!(began.elapsed() < SOON, "it is not there within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(git(&["pull", "--quiet"]).status.success());
    edit(
        &folder.join("applications/brittle/application.yaml"),
        "replicas: 1",
        "replicas: 7",
    );
    for (name, value) in [
        ("user.name", "sovereign-admin"),
        ("user.email", "a@b.example"),
    ] {
        assert!(git(&["config", name, value]).status.success());
    }
    assert!(
        git(&["commit", "--quiet", "--all", "-m", "Seven"])
            .status
            .success()
    );
    let pushed = git(&["push", "--quiet"]);
    let said = if pushed.status.success() {
        let path = "/environments/acme-dev/applications/brittle";
        let found = explained(admin, path, "seven copies are too many").await;
        found["health"].to_string()
    } else {
        String::from_utf8_lossy(&pushed.stderr).into_owned()
    };
    for part in [place.as_str(), "seven copies are too many"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    // What stood there stands.
    assert_eq!(copies(sovereign).await, 1);
}

/// How many copies of the brittle Application its vcluster asks for.
async fn copies(sovereign: &Sovereign) -> Value {
    let path = "/apis/apps/v1/namespaces/brittle/deployments/brittle";
    let url = sovereign.cluster("lo-loc-rtz-dev-acme", path);
    let answer = sovereign.administrator().http.get(url).send().await;
    let deployment: Value = answer.unwrap().json().await.unwrap();
    deployment["spec"]["replicas"].clone()
}

async fn a_cycle_is_told_as_a_chain(admin: &mut User, directory: &Path) {
    // Each step alone is in order; the last closes the ring.
    let first = begin(admin, directory, "bp-hen", "1.0.0").await;
    publish(admin, &first).await;
    until_registered(admin, "bp-hen", "1.0.0").await;
    let egg = begin(admin, directory, "bp-egg", "1.0.0").await;
    depends(&egg, "{blueprint: bp-hen, version: ^1.1, alias: hen}");
    publish(admin, &egg).await;
    let second = begin(admin, directory, "bp-hen", "1.1.0").await;
    depends(&second, "{blueprint: bp-egg, version: ^1.0, alias: egg}");
    publish(admin, &second).await;
    until_registered(admin, "bp-hen", "1.1.0").await;
    until_registered(admin, "bp-egg", "1.0.0").await;

    let command = json!({"command": "install", "name": "hen", "blueprint": "bp-hen",
        "version": "1.1.0"});
    let (status, problem) = refused_twice(admin, &command).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    assert_eq!(problem["type"], "dependency-conflict", "{problem:#}");
    assert_eq!(
        problem["detail"],
        "Cannot install bp-hen 1.1.0: its dependencies form a cycle: bp-hen 1.1.0 → bp-egg 1.0.0 \
         → bp-hen; one of these Blueprints must drop its dependency; bp-hen 1.0.0 can be installed"
    );
}

async fn a_version_conflict_is_told_as_a_chain(admin: &mut User, directory: &Path) {
    let middle = begin(admin, directory, "bp-middle", "2.3.0").await;
    depends(&middle, "{blueprint: bp-postgres, version: ^9, alias: db}");
    publish(admin, &middle).await;
    let top = begin(admin, directory, "bp-top", "1.0.0").await;
    depends(&top, "{blueprint: bp-middle, version: ^2, alias: middle}");
    publish(admin, &top).await;
    until_registered(admin, "bp-top", "1.0.0").await;
    until_registered(admin, "bp-middle", "2.3.0").await;

    let command = json!({"command": "install", "name": "top", "blueprint": "bp-top"});
    let (status, problem) = refused_twice(admin, &command).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    assert_eq!(problem["type"], "dependency-conflict", "{problem:#}");
    // Who wants what, and what there is instead.
    assert_eq!(
        problem["detail"],
        "Cannot install bp-top 1.0.0: bp-top 1.0.0 needs bp-middle ^2; bp-middle 2.3.0 will not \
         do, because bp-middle 2.3.0 needs bp-postgres ^9, but catalog lists only 1.4.0; publish a \
         version in that range"
    );
    let next = "Choose other versions or other Applications to depend on";
    assert_eq!(problem["next"], next, "{problem:#}");
}

/// A Blueprint with one container and nothing to answer.
async fn one_container(admin: &mut User, directory: &Path, name: &str, image: &str) {
    let folder = begin(admin, directory, name, "1.0.0").await;
    let (repository, tag) = image.rsplit_once(':').unwrap();
    let values = folder.join("chart/values.yaml");
    let short = name.trim_start_matches("bp-");
    edit(
        &values,
        &format!("registry.example.org/{short}"),
        repository,
    );
    edit(&values, "tag: 0.1.0", &format!("tag: \"{tag}\""));
    publish(admin, &folder).await;
    until_registered(admin, name, "1.0.0").await;
}

/// Waits until an Application's health says something, in one message.
async fn explained(admin: &mut User, path: &str, what: &str) -> Value {
    let began = Instant::now();
    loop {
        let (_, found) = admin.ask(Method::GET, path, None).await;
        if found["health"].to_string().contains(what) {
            return found;
        }
        assert!(
            began.elapsed() < SOON,
            "{path} does not say {what:?} within {SOON:?}: {found:#}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_troubled(admin: &mut User, path: &str) -> Value {
    let began = Instant::now();
    loop {
        let (_, found) = admin.ask(Method::GET, path, None).await;
        if matches!(phase_of(&found), Some("Degraded" | "Failed")) {
            return found;
        }
        assert!(began.elapsed() < SOON, "{path} is not troubled: {found:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn an_image_that_is_not_there_is_named(
    sovereign: &Sovereign,
    admin: &mut User,
    directory: &Path,
) {
    let image = format!("{}/acme/no-such-image:1.2.3", sovereign.address("registry"));
    one_container(admin, directory, "bp-imageless", &image).await;
    admin
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "install", "name": "imageless", "blueprint": "bp-imageless"}),
        )
        .await;
    let path = "/environments/acme-dev/applications/imageless";
    explained(admin, path, "acme/no-such-image").await;
    let found = until_troubled(admin, path).await;
    let said = found["health"].to_string();
    // The image, and what the registry answered.
    assert!(said.contains("acme/no-such-image:1.2.3"), "{said}");
    let registry = "has no 1.2.3 of acme/no-such-image; check name and tag";
    assert!(said.contains(registry), "{said}");
    // Once each: what the node and the control plane say of it repeats nothing.
    for part in [registry, "cannot be pulled"] {
        let message = found["health"]["message"].as_str().unwrap_or_default();
        assert_eq!(message.matches(part).count(), 1, "{message}");
    }
    assert!(!said.contains("cannot pull"), "{said}");
    the_pod_tells_it_as_events(sovereign).await;
}

/// What `kubectl describe pod` shows: the events of a pod, by its uid.
async fn the_pod_tells_it_as_events(sovereign: &Sovereign) {
    let administrator = sovereign.administrator();
    let ask = async |path: &str| -> Value {
        let path = format!("/api/v1/namespaces/imageless/{path}");
        let url = sovereign.cluster("lo-loc-rtz-dev-acme", &path);
        let answer = administrator.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    };
    let pods = ask("pods").await;
    let of = |field: &str| pods["items"][0]["metadata"][field].as_str().unwrap();
    let selector = format!(
        "involvedObject.name%3D{}%2CinvolvedObject.namespace%3Dimageless%2CinvolvedObject.uid%3D{}",
        of("name"),
        of("uid")
    );
    let wanted = [
        ("Normal", "Pulling", "acme/no-such-image:1.2.3"),
        ("Warning", "Failed", "has no 1.2.3 of acme/no-such-image"),
        ("Normal", "BackOff", "acme/no-such-image:1.2.3"),
    ];
    let began = Instant::now();
    loop {
        let events = ask(&format!("events?fieldSelector={selector}&limit=500")).await;
        let is_told = |(kind, reason, part): &(&str, &str, &str)| {
            events["items"].as_array().unwrap().iter().any(|event| {
                event["type"] == *kind
                    && event["reason"] == *reason
                    && event["message"].as_str().unwrap().contains(part)
                    && event["involvedObject"]["uid"] == of("uid")
                    && event["count"].as_u64() >= Some(1)
            })
        };
        if wanted.iter().all(is_told) {
            return;
        }
        assert!(
            began.elapsed() < SOON,
            "not told within {SOON:?}: {events:#}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn a_crash_shows_its_last_lines(sovereign: &Sovereign, admin: &mut User, directory: &Path) {
    let token = admin.token().await;
    let image = push_image(sovereign, &token, directory, "crash", CRASH).await;
    one_container(admin, directory, "bp-crasher", &image).await;
    admin
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "install", "name": "crasher", "blueprint": "bp-crasher"}),
        )
        .await;
    let path = "/environments/acme-dev/applications/crasher";
    explained(admin, path, "cannot open /etc/wiki.conf: giving up").await;
    let found = until_troubled(admin, path).await;
    let said = found["health"]["message"].as_str().unwrap_or_default();
    for part in [
        "ended with exit code 3; its last lines:\n",
        "reading /etc/wiki.conf",
        "cannot open /etc/wiki.conf: giving up",
    ] {
        assert!(said.contains(part), "no {part:?} in {found:#}");
    }
    // What does not run can be removed.
    admin
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "delete", "application": "crasher", "data": "drop"}),
        )
        .await;
    admin
        .until_answer("crasher is gone", path, |status, _| {
            status == StatusCode::NOT_FOUND
        })
        .await;
}
