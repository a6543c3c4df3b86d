//! Deletions end, soon, and name what they left behind.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::install::{ENTRY, until_page, volume_of_the_database};
use super::push::clone;
use super::user::{DELETION, git};
use crate::sovereign::Sovereign;

const CHANGES: &str = "/environments/acme-dev/changes";
const ACME_DEV: &str = "lo-loc-rtz-dev-acme";

pub async fn a_push_that_removes_the_folder_keeps_the_data(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = directory.join("remove");
    // A policy binds acme-prod, so this happens to the probe of globex, by its own
    // org-admin.
    clone(sovereign, &mut people.mallory, "globex/globex-dev", &folder).await;
    git(&folder, &["rm", "-r", "--quiet", "applications/probe"]);
    git(&folder, &["commit", "--quiet", "-m", "Remove the probe"]);
    git(&folder, &["push", "--quiet"]);
    people
        .mallory
        .until_gone("/environments/globex-dev/applications/probe")
        .await;
    let cluster = "lo-loc-rtz-dev-globex";
    is_kept(sovereign, cluster, "probe").await;
    let is_it = |one: &Value| one["name"] == "globex-dev/probe";
    let ended = people.mallory.until_ended("the probe", is_it).await;
    assert_eq!(ended["leftBehind"], json!([left("probe")]), "{ended:#}");
}

/// How a deletion names the volume of a database that it kept.
fn left(database: &str) -> String {
    format!("PersistentVolumeClaim {database}/data-{database}-0: its data is kept, as was asked")
}

/// The claim of a database is there, marked, with its volume; the database is not.
async fn is_kept(sovereign: &Sovereign, cluster: &str, database: &str) {
    let in_it = |kind: &str| format!("/api/v1/namespaces/{database}/{kind}");
    let claims = list(sovereign, cluster, &in_it("persistentvolumeclaims")).await;
    let [claim] = claims["items"].as_array().unwrap().as_slice() else {
        panic!("not one claim: {claims:#}");
    };
    assert_eq!(claim["metadata"]["name"], format!("data-{database}-0"));
    assert_eq!(claim["metadata"]["labels"]["openova.io/kept"], "true");
    assert_eq!(claim["status"]["phase"], "Bound", "{claim:#}");
    let volumes = list(sovereign, cluster, "/api/v1/persistentvolumes").await;
    let is_its = |one: &Value| one["metadata"]["name"] == claim["spec"]["volumeName"];
    let volumes = volumes["items"].as_array().unwrap();
    assert!(volumes.iter().any(is_its), "{claim:#}");
    let sets = format!("/apis/apps/v1/namespaces/{database}/statefulsets");
    let sets = list(sovereign, cluster, &sets).await;
    assert_eq!(sets["items"], json!([]));
}

/// Kept by command, the data serves an Application of the same name again: by one
/// commit that asks for the deletion, and a second that removes the folder.
pub async fn kept_data_serves_an_application_of_the_same_name(
    sovereign: &Sovereign,
    people: &mut People,
) {
    for (name, left_behind) in [
        // It has no volume, so nothing of it stays.
        ("guestbook", Value::Null),
        ("guestbook-db", json!([left("guestbook-db")])),
    ] {
        let accepted = people
            .alice
            .post(
                CHANGES,
                json!({"command": "delete", "application": name, "data": "keep"}),
            )
            .await;
        people
            .alice
            .until_gone(&format!("/environments/acme-dev/applications/{name}"))
            .await;
        let full = format!("acme-dev/{name}");
        let ended = people
            .alice
            .until_ended(name, |one| one["name"] == full)
            .await;
        assert_eq!(ended["kind"], "Application");
        assert_eq!(ended["leftBehind"], left_behind, "{ended:#}");

        let folder = tempfile::tempdir().unwrap();
        let url = people.alice.repository(sovereign, "acme/acme-dev").await;
        git(folder.path(), &["clone", "--quiet", &url, "."]);
        let path = format!("applications/{name}");
        let log = ["log", "-2", "--format=%H %an %s", "--", &path];
        let log = git(folder.path(), &log);
        let asked = accepted["commit"].as_str().unwrap();
        let lines: Vec<&str> = log.lines().collect();
        let [second, first] = lines.as_slice() else {
            panic!("not two commits:\n{log}");
        };
        assert_eq!(
            *first,
            format!("{asked} alice Delete {name} from acme-dev (keep data)")
        );
        let removal = format!(" Remove {name} from acme-dev");
        assert!(second.ends_with(&removal), "{second}");
        let diff = git(folder.path(), &["show", "--format=", asked]);
        assert!(diff.contains("+  deletion:"), "{diff}");
        assert!(diff.contains("+    data: keep"), "{diff}");
        assert!(!folder.path().join(path).exists());
    }
    is_kept(sovereign, ACME_DEV, "guestbook-db").await;

    people
        .alice
        .post(
            CHANGES,
            json!({
                "command": "install", "name": "guestbook", "blueprint": "bp-guestbook",
                "version": "1.0.0", "config": {"title": "Visitors"},
            }),
        )
        .await;
    people
        .alice
        .until_phase("/environments/acme-dev/applications/guestbook", "Running")
        .await;
    until_page(sovereign, "guestbook.acme-dev", ENTRY).await;

    // The commit before is the one that removed it: nothing to go back to unasked.
    let (status, problem) = people
        .alice
        .refused(
            Method::POST,
            "/environments/acme-dev/plans",
            Some(json!({"command": "rollback", "application": "guestbook"})),
        )
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("since it was installed again"),
        "{problem:#}"
    );
}

pub async fn deletions_end_and_say_what_they_left(
    sovereign: &Sovereign,
    people: &mut People,
    data: &Path,
) {
    // A database that something depends on stays.
    let database = "/environments/acme-dev/applications/guestbook-db";
    let (status, problem) = people
        .alice
        .refused(
            Method::POST,
            "/environments/acme-dev/changes",
            Some(json!({"command": "delete", "application": "guestbook-db", "data": "drop"})),
        )
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    assert!(problem.to_string().contains("guestbook"), "{problem:#}");
    until_page(sovereign, "guestbook.acme-dev", "Visitors").await;

    // Now the data goes as well.
    let kept = volume_of_the_database(data);
    let is_database = |one: &Value| one["name"] == "acme-dev/guestbook-db";
    let before = people.alice.until_ended("it", is_database).await;
    for name in ["guestbook", "guestbook-db"] {
        people
            .alice
            .post(
                CHANGES,
                json!({"command": "delete", "application": name, "data": "drop"}),
            )
            .await;
        people
            .alice
            .until_gone(&format!("/environments/acme-dev/applications/{name}"))
            .await;
    }
    let is_second = |one: &Value| is_database(one) && one["startedAt"] != before["startedAt"];
    let ended = people.alice.until_ended("the database", is_second).await;
    assert_eq!(ended["leftBehind"], Value::Null, "{ended:#}");
    let claims = list(sovereign, ACME_DEV, "/api/v1/persistentvolumeclaims").await;
    assert_eq!(claims["items"], json!([]), "data: drop left {claims:#}");
    // The volumes follow their claims, and the files them.
    let started = Instant::now();
    loop {
        let volumes = list(sovereign, ACME_DEV, "/api/v1/persistentvolumes").await;
        if volumes["items"] == json!([]) && !kept.exists() {
            break;
        }
        assert!(
            started.elapsed() < DELETION,
            "{} stays, or {volumes:#}",
            kept.display()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (_, answer) = people.alice.ask(Method::GET, database, None).await;
    assert_eq!(answer["status"], 404, "{answer:#}");

    // The second commit removed the folder.
    let folder = tempfile::tempdir().unwrap();
    let url = people.alice.repository(sovereign, "acme/acme-dev").await;
    let started = Instant::now();
    loop {
        let clone = tempfile::tempdir_in(folder.path()).unwrap();
        git(clone.path(), &["clone", "--quiet", &url, "."]);
        let is_there = |name: &str| clone.path().join("applications").join(name).exists();
        if !is_there("guestbook") && !is_there("guestbook-db") {
            break;
        }
        assert!(started.elapsed() < DELETION, "a folder is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    people.admin.delete("/environments/acme-dev").await;
    people.admin.until_gone("/environments/acme-dev").await;

    // Even when the vcluster is gone already.
    let vcluster = sovereign.cluster(
        "lo-loc-rtz-prod",
        "/apis/infrastructure.cluster.x-k8s.io/v1alpha1/namespaces/acme/vclusters/acme",
    );
    let deleted = sovereign
        .administrator()
        .http
        .delete(vcluster)
        .send()
        .await
        .unwrap();
    assert!(deleted.status().is_success());
    // What holds an Application goes only when that is said, and by whom no policy
    // binds.
    for path in ["/environments/acme-prod", "/organizations/acme"] {
        let (status, problem) = people.admin.refused(Method::DELETE, path, None).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("acme-prod/guestbook"), "{problem:#}");
    }
    let all = "/environments/acme-prod?applications=drop";
    let (status, problem) = people.alice.refused(Method::DELETE, all, None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    assert!(problem.to_string().contains("policy"), "{problem:#}");
    people.admin.delete(all).await;
    people.admin.until_gone("/environments/acme-prod").await;
    people.admin.delete("/organizations/acme").await;
    people.admin.until_gone("/organizations/acme").await;

    for (kind, name) in [("Environment", "acme-dev"), ("Organization", "acme")] {
        let is_it = |one: &Value| one["kind"] == kind && one["name"] == name;
        let ended = people.admin.until_ended(name, is_it).await;
        assert_eq!(ended["leftBehind"], Value::Null, "{ended:#}");
    }
    let is_it = |one: &Value| one["name"] == "acme-prod";
    people.admin.until_ended("acme-prod", is_it).await;
    // The neighbour was never touched.
    assert_eq!(
        people.mallory.get("/environments/globex-dev").await["health"]["phase"],
        "Running"
    );
}

/// What a cluster lists below a path.
pub async fn list(sovereign: &Sovereign, cluster: &str, path: &str) -> Value {
    let http = sovereign.administrator().http;
    let answer = http
        .get(sovereign.cluster(cluster, path))
        .send()
        .await
        .unwrap();
    answer.json().await.unwrap()
}
