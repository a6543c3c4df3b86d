//! Deletions end, soon, and name what they left behind.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::install::until_page;
use super::push::clone;
use super::user::{User, git};
use crate::sovereign::Sovereign;

/// How long any deletion may take.
const BOUND: Duration = Duration::from_secs(60);

pub async fn a_push_that_removes_the_folder_keeps_the_data(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = directory.join("remove");
    clone(sovereign, &mut people.bob, "acme/acme-prod", &folder).await;
    // A policy binds acme-prod, so this one happens in globex-dev's neighbour:
    // the probe of globex, by its own org-admin.
    clone(sovereign, &mut people.mallory, "globex/globex-dev", &folder).await;
    git(&folder, &["rm", "-r", "--quiet", "applications/probe"]);
    git(&folder, &["commit", "--quiet", "-m", "Remove the probe"]);
    git(&folder, &["push", "--quiet"]);
    gone(
        &mut people.mallory,
        "/environments/globex-dev/applications/probe",
    )
    .await;
    let claims = list(
        sovereign,
        "lo-loc-rtz-dev-globex",
        "/api/v1/namespaces/probe/persistentvolumeclaims",
    )
    .await;
    assert_eq!(claims["items"].as_array().unwrap().len(), 1, "{claims:#}");
}

pub async fn deletions_end_and_say_what_they_left(sovereign: &Sovereign, people: &mut People) {
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

    for (name, data) in [("guestbook", "keep"), ("guestbook-db", "drop")] {
        people
            .alice
            .post(
                "/environments/acme-dev/changes",
                json!({"command": "delete", "application": name, "data": data}),
            )
            .await;
        gone(
            &mut people.alice,
            &format!("/environments/acme-dev/applications/{name}"),
        )
        .await;
    }
    let claims = list(
        sovereign,
        "lo-loc-rtz-dev-acme",
        "/api/v1/persistentvolumeclaims",
    )
    .await;
    assert_eq!(claims["items"], json!([]), "data: drop left {claims:#}");
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
        assert!(started.elapsed() < BOUND, "a folder is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    people.admin.delete("/environments/acme-dev").await;
    gone(&mut people.admin, "/environments/acme-dev").await;

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
    gone(&mut people.admin, "/environments/acme-prod").await;
    people.admin.delete("/organizations/acme").await;
    gone(&mut people.admin, "/organizations/acme").await;

    let deletions = people.admin.get("/deletions").await;
    let ended: Vec<_> = deletions["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["endedAt"].is_string())
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for name in ["acme-dev", "acme-prod", "acme"] {
        assert!(ended.contains(&name), "{name} is not among {ended:?}");
    }
    // The neighbour was never touched.
    assert_eq!(
        people.mallory.get("/environments/globex-dev").await["health"]["phase"],
        "Running"
    );
}

/// Waits until something is gone, no longer than a deletion may take.
async fn gone(user: &mut User, path: &str) {
    let started = Instant::now();
    user.until_answer(&format!("{path} is gone"), path, |status, _| {
        status == StatusCode::NOT_FOUND
    })
    .await;
    assert!(
        started.elapsed() < BOUND,
        "{path} took {:?}",
        started.elapsed()
    );
}

async fn list(sovereign: &Sovereign, cluster: &str, path: &str) -> Value {
    let http = sovereign.administrator().http;
    let answer = http
        .get(sovereign.cluster(cluster, path))
        .send()
        .await
        .unwrap();
    answer.json().await.unwrap()
}
