//! A fleet upgrade: every Application of a Blueprint, one Environment after the other,
//! until one fails; and on from there, also past a power cut.
//!
//! The Blueprint is made for it. In 1.0.0 nothing runs; from then on as many copies as is
//! asked for, of an image that nobody pushed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::promotion::approved_and_merged;
use super::publish::{edit, succeeds};
use super::user::{User, git};
use crate::sovereign::Sovereign;

const DEV: &str = "/environments/acme-dev/applications/leaflet";
const PROD: &str = "/environments/acme-prod/applications/leaflet";
const CHANGES: &str = "/environments/acme-dev/changes";
/// Within how many seconds one must run: longer than any of them takes that can.
const READY_WITHIN: &str = "20";

/// In acme-dev a copy is wanted, whose image is missing; so nothing is done in acme-prod
/// until somebody has put that right and says that it goes on.
pub async fn a_failure_stops_it_until_somebody_goes_on(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = begun(sovereign, people, directory).await;
    published(people, &folder, "1.0.0").await;
    installed(people).await;
    edit(
        &folder.join("chart/templates/deployment.yaml"),
        ("replicas: 0", "replicas: {{ int .Values.replicas }}"),
    );
    next_version(people, directory, "1.0.0", "1.1.0").await;

    let order = ["bp-leaflet", "--to", "1.1.0", "--waves", "dev,prod"];
    let order = [&order[..], &["--ready-within", READY_WITHIN]].concat();
    the_plan_says_who_and_who_not(people, &order).await;
    let started = [&order[..], &["--yes"]].concat();
    let started = upgrade(&mut people.alice, &started).await;
    let name = started["name"].as_str().unwrap().to_owned();
    let path = format!("/upgrades/{name}");
    let stopped = |view: &Value| {
        assert!(is_in_order(view), "{view:#}");
        view["phase"] == "Stopped"
    };
    people.alice.until("it has stopped", &path, stopped).await;
    let told = people.alice.catalyst(&["upgrade", "status", &name]).await;
    let told = String::from_utf8(told.stdout).unwrap();
    for words in [
        "Stopped",
        "wave 1 of 2: leaflet in acme-dev: it does not run after",
        "/acme/leaflet:0.1.0",
        "cannot be pulled",
    ] {
        assert!(told.contains(words), "no {words:?} in {told}");
    }
    let waits = |line: &str| line.contains("acme-prod") && line.contains("Waiting");
    assert!(told.lines().any(waits), "{told}");
    let none: Vec<Commit> = Vec::new();
    assert_eq!(commits(sovereign, people, "acme-prod", &name).await, none);
    strangers_learn_nothing_of_it(people, &name).await;

    // Mended by an ordinary commit, which by itself begins nothing.
    let mend = json!({
        "command": "change", "application": "leaflet", "config": {"replicas": 0},
    });
    people.alice.post(CHANGES, mend).await;
    runs(people, DEV, "1.1.0").await;
    let still = people.alice.get(&path).await;
    assert_eq!(still["phase"], "Stopped", "{still:#}");
    assert_eq!(commits(sovereign, people, "acme-prod", &name).await, none);
    succeeds(people.alice.catalyst(&["upgrade", "resume", &name]).await);
    let done = completed(people, &path).await;
    runs(people, PROD, "1.1.0").await;

    // One commit each, in alice's name; the second once the first ran.
    let mut times = Vec::new();
    for (wave, environment) in ["acme-dev", "acme-prod"].into_iter().enumerate() {
        let made = commits(sovereign, people, environment, &name).await;
        let [commit] = made.as_slice() else {
            panic!("not one commit in {environment}: {made:#?}");
        };
        assert_eq!(commit.author, "alice");
        let member = &done["waves"][wave]["applications"][0];
        assert_eq!(member["commit"], commit.id, "{member:#}");
        times.push(commit.time);
    }
    let since = &done["waves"][0]["applications"][0]["since"];
    let ran: Timestamp = since.as_str().unwrap().parse().unwrap();
    assert!(times[0] < ran.as_second(), "{done:#}");
    assert!(ran.as_second() <= times[1], "{done:#}");
}

/// A policy binds acme-prod by now, so that its wave is a pull request; how the upgrade is
/// called, and that one's number.
pub async fn a_wave_waits_for_a_pull_request(
    people: &mut People,
    directory: &Path,
) -> (String, u64) {
    next_version(people, directory, "1.1.0", "1.2.0").await;
    let mut order = json!({"blueprint": "bp-leaflet", "to": "1.2.0", "waves": ["dev", "prod"]});
    let plan = people.alice.post("/upgrade-plans", order.clone()).await;
    let of = |wave: usize| plan["waves"][wave]["applications"][0]["policies"].clone();
    assert_eq!(of(0), Value::Null, "{plan:#}");
    assert_eq!(of(1), json!(["acme-prod-approval"]), "{plan:#}");
    let unseen = order.clone();
    order["plan"] = plan["digest"].clone();
    let started = people.alice.post("/upgrades", order).await;
    let name = started["name"].as_str().unwrap().to_owned();
    let proposed = |view: &Value| {
        assert!(is_in_order(view), "{view:#}");
        state(view, 1) == "Proposed"
    };
    let path = format!("/upgrades/{name}");
    let view = people.alice.until("it is proposed", &path, proposed).await;
    assert_eq!(view["phase"], "Progressing", "{view:#}");
    runs(people, DEV, "1.2.0").await;
    runs(people, PROD, "1.1.0").await;
    // Of the same Applications, one at a time.
    let (status, problem) = people
        .alice
        .refused(Method::POST, "/upgrades", Some(unseen))
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("not over: {name}")), "{problem:#}");
    let number = view["waves"][1]["applications"][0]["pullRequest"].as_u64();
    (name, number.expect("a pull request"))
}

/// Nothing is opened or committed a second time by whoever comes after; and what is
/// cancelled leaves what it has begun, and begins nothing more.
pub async fn it_goes_on_after_a_power_cut(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
    (name, number): &(String, u64),
) {
    approved_and_merged(people, *number).await;
    let done = completed(people, &format!("/upgrades/{name}")).await;
    let member = &done["waves"][1]["applications"][0];
    assert_eq!(member["pullRequest"], *number, "{done:#}");
    runs(people, PROD, "1.2.0").await;
    assert_eq!(
        leaflet_pulls(people).await,
        [(*number, "merged".to_owned())]
    );
    let made = commits(sovereign, people, "acme-dev", name).await;
    assert_eq!(made.len(), 1, "{made:#?}");

    next_version(people, directory, "1.2.0", "1.3.0").await;
    let order = ["bp-leaflet", "--to", "1.3.0", "--waves", "prod", "--yes"];
    let started = upgrade(&mut people.alice, &order).await;
    let name = started["name"].as_str().unwrap().to_owned();
    let path = format!("/upgrades/{name}");
    let proposed = |view: &Value| state(view, 0) == "Proposed";
    people.alice.until("it is proposed", &path, proposed).await;
    let cancel = ["upgrade", "cancel", &name];
    let cancelled = people.alice.catalyst(&cancel).await;
    assert!(cancelled.status.success(), "{cancelled:?}");
    let is_cancelled = |view: &Value| view["phase"] == "Cancelled";
    let view = people
        .alice
        .until("it is cancelled", &path, is_cancelled)
        .await;
    let message = view["message"].as_str().unwrap();
    assert!(message.contains("still open"), "{view:#}");
    let resumed = people.alice.catalyst(&["upgrade", "resume", &name]).await;
    let said = String::from_utf8_lossy(&resumed.stderr);
    assert_eq!(resumed.status.code(), Some(1), "{said}");
    assert!(said.contains("was cancelled"), "{said}");
    runs(people, PROD, "1.2.0").await;
    acme_dev_is_as_before(people).await;
}

/// The Blueprint's folder, as 1.0.0.
async fn begun(sovereign: &Sovereign, people: &mut People, directory: &Path) -> PathBuf {
    let folder = folder_of(directory);
    let at = folder.to_str().unwrap();
    let new = ["blueprint", "new", "bp-leaflet", "--folder", at];
    succeeds(people.admin.catalyst(&new).await);
    let version = ("version: 0.1.0", "version: 1.0.0");
    let image = format!("{}/acme/leaflet", sovereign.address("registry"));
    for (file, change) in [
        ("blueprint.yaml", version),
        ("blueprint.yaml", ("minimum: 1\n", "minimum: 0\n")),
        ("chart/Chart.yaml", version),
        (
            "chart/values.yaml",
            ("registry.example.org/leaflet", image.as_str()),
        ),
        ("chart/values.yaml", ("replicas: 1", "replicas: 0")),
        (
            "chart/templates/deployment.yaml",
            ("{{ int .Values.replicas }}", "0"),
        ),
    ] {
        edit(&folder.join(file), change);
    }
    folder
}

fn folder_of(directory: &Path) -> PathBuf {
    directory.join("leaflet")
}

/// The same Blueprint once more, under another number.
async fn next_version(people: &mut People, directory: &Path, from: &str, to: &str) {
    let folder = folder_of(directory);
    let (from, next) = (format!("version: {from}"), format!("version: {to}"));
    for file in ["blueprint.yaml", "chart/Chart.yaml"] {
        edit(&folder.join(file), (&from, &next));
    }
    published(people, &folder, to).await;
}

/// Publishes what is in the folder; the key is trusted already.
async fn published(people: &mut People, folder: &Path, version: &str) {
    let folder = folder.to_str().unwrap();
    let publish = ["blueprint", "publish", folder, "--source", "catalog"];
    succeeds(people.admin.catalyst(&publish).await);
    let what = format!("{version} is registered");
    let path = "/blueprints/catalog/bp-leaflet";
    people
        .alice
        .until(&what, path, |value| value["version"] == version)
        .await;
}

/// 1.0.0 in both Environments; and another one, which is paused.
async fn installed(people: &mut People) {
    for (environment, name, config) in [
        ("acme-dev", "leaflet", json!({"replicas": 1})),
        ("acme-prod", "leaflet", json!({})),
        ("acme-dev", "draft", json!({})),
    ] {
        let install = json!({
            "command": "install", "name": name, "blueprint": "bp-leaflet", "version": "1.0.0",
            "config": config,
        });
        let changes = format!("/environments/{environment}/changes");
        people.alice.post(&changes, install).await;
    }
    paused(people, true).await;
    for path in [DEV, PROD] {
        runs(people, path, "1.0.0").await;
    }
}

async fn paused(people: &mut People, is_paused: bool) {
    let change = json!({"command": "change", "application": "draft", "paused": is_paused});
    people.alice.post(CHANGES, change).await;
}

/// As later chapters know it.
async fn acme_dev_is_as_before(people: &mut People) {
    paused(people, false).await;
    let draft = "/environments/acme-dev/applications/draft";
    people.alice.until_phase(draft, "Running").await;
    for name in ["leaflet", "draft"] {
        let delete = json!({"command": "delete", "application": name, "data": "drop"});
        people.alice.post(CHANGES, delete).await;
    }
    for path in [DEV, draft] {
        people.alice.until_gone(path).await;
    }
}

/// Waits until an Application runs at a version.
async fn runs(people: &mut People, path: &str, version: &str) {
    people
        .alice
        .until(&format!("{version} runs"), path, |value| {
            value["deployedVersion"] == version && value["health"]["phase"] == "Running"
        })
        .await;
}

/// What `catalyst upgrade` answers, as JSON.
async fn upgrade(user: &mut User, words: &[&str]) -> Value {
    let words = [&["upgrade"][..], words, &["--output", "json"]].concat();
    succeeds(user.catalyst(&words).await)
}

/// The waves are in the order that was asked for, and whoever is left out is named with
/// the reason; nobody is shown it who could not begin it, and nothing is written.
async fn the_plan_says_who_and_who_not(people: &mut People, order: &[&str]) {
    let words = [order, &["--plan"]].concat();
    let plan = upgrade(&mut people.alice, &words).await;
    let waves = json!([
        ["dev", ["acme-dev/leaflet from 1.0.0"]],
        ["prod", ["acme-prod/leaflet from 1.0.0"]],
    ]);
    assert_eq!(outline(&plan["waves"]), waves, "{plan:#}");
    assert_eq!(plan["organization"], "acme");
    let [left_out] = plan["blocked"].as_array().unwrap().as_slice() else {
        panic!("not one is left out: {plan:#}");
    };
    assert_eq!(left_out["application"], "draft");
    let reason = left_out["reason"].as_str().unwrap();
    assert!(reason.contains("it is paused"), "{plan:#}");
    for (user, reason) in [
        (&mut people.bob, "takes an org-admin of acme"),
        (&mut people.mallory, "that you belong to"),
    ] {
        let words = [&["upgrade"][..], &words, &["--organization", "acme"]].concat();
        let refused = user.catalyst(&words).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("draft"), "{said}");
    }
    let none = people.alice.get("/upgrades").await;
    assert_eq!(none["items"], json!([]));
}

/// Each wave's stage, and its Applications with the versions that they have.
fn outline(waves: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |one: &Value| {
        let (environment, name) = (text(&one["environment"]), text(&one["application"]));
        format!("{environment}/{name} from {}", text(&one["from"]))
    };
    let wave = |one: &Value| {
        let members = one["applications"].as_array().unwrap();
        let members: Vec<String> = members.iter().map(of).collect();
        json!([one["stage"], members])
    };
    waves.as_array().unwrap().iter().map(wave).collect()
}

/// How far the only Application of a wave is.
fn state(view: &Value, wave: usize) -> &str {
    let member = &view["waves"][wave]["applications"][0];
    member["state"].as_str().unwrap()
}

/// Whether nothing of the second wave was begun before the first was through.
fn is_in_order(view: &Value) -> bool {
    state(view, 0) == "Done" || state(view, 1) == "Waiting"
}

/// Waits until all of it is through, in its order.
async fn completed(people: &mut People, path: &str) -> Value {
    let is_over = |view: &Value| {
        assert!(is_in_order(view), "{view:#}");
        view["phase"] == "Completed"
    };
    people.alice.until("it is over", path, is_over).await
}

/// Of another Organization's upgrade there is nothing to be seen or steered; a member of
/// the same sees it, and no more.
async fn strangers_learn_nothing_of_it(people: &mut People, name: &str) {
    let path = format!("/upgrades/{name}");
    let none = people.mallory.get("/upgrades").await;
    assert_eq!(none["items"], json!([]));
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::POST, format!("{path}/cancel")),
        (Method::POST, format!("{path}/resume")),
    ] {
        let (status, problem) = people.mallory.refused(method.clone(), &path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        let said = problem.to_string();
        assert!(!said.contains("acme") && !said.contains("alice"), "{said}");
        if method == Method::POST {
            let (status, problem) = people.bob.refused(method, &path, None).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{problem:#}");
        }
    }
    // Her own Organization has none of it.
    let order = json!({"blueprint": "bp-leaflet", "to": "1.1.0"});
    let plan = people.mallory.post("/upgrade-plans", order).await;
    assert_eq!(plan["organization"], "globex");
    assert_eq!(plan["waves"], json!([]), "{plan:#}");
    assert_eq!(plan["blocked"], Value::Null, "{plan:#}");
    let seen = people.bob.get(&path).await;
    assert_eq!(seen["requestedBy"], "alice", "{seen:#}");
}

/// A commit of an Environment's repository; its time is in seconds.
#[derive(Debug, PartialEq)]
struct Commit {
    id: String,
    author: String,
    time: i64,
}

/// The commits that bear a fleet upgrade's name.
async fn commits(
    sovereign: &Sovereign,
    people: &mut People,
    environment: &str,
    upgrade: &str,
) -> Vec<Commit> {
    let folder = tempfile::tempdir().unwrap();
    let repository = format!("acme/{environment}");
    let url = people.alice.repository(sovereign, &repository).await;
    git(folder.path(), &["clone", "--quiet", &url, "."]);
    let format = "--format=%H|%an|%ct|%(trailers:key=Catalyst-Request,valueonly,separator=)";
    let log = git(folder.path(), &["log", format]);
    log.lines()
        .filter_map(|line| {
            let [id, author, time, request] =
                <[&str; 4]>::try_from(line.split('|').collect::<Vec<_>>()).unwrap();
            (request == upgrade).then(|| Commit {
                id: id.to_owned(),
                author: author.to_owned(),
                time: time.parse().unwrap(),
            })
        })
        .collect()
}

/// The pull requests of acme-prod that are about the leaflet: number and state.
async fn leaflet_pulls(people: &mut People) -> Vec<(u64, String)> {
    let all = people
        .alice
        .get("/environments/acme-prod/pull-requests")
        .await;
    let all = all["items"].as_array().unwrap().iter();
    all.filter(|pull| pull["title"].as_str().unwrap().contains("leaflet"))
        .map(|pull| {
            let state = pull["state"].as_str().unwrap().to_owned();
            (pull["number"].as_u64().unwrap(), state)
        })
        .collect()
}
