//! Deletions whose vcluster was taken away under them: each ends within its bound,
//! what could not be removed is named, and it goes once nobody keeps it any more.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::sovereign::{Administrator, Sovereign, own_address};
use crate::user::User;

const MANAGEMENT: &str = "lo-loc-mgt-prod";
const HOST: &str = "lo-loc-rtz-dev";
const HOLD: &str = "example.com/hold";
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than the vcluster is tried to be removed, shorter than with a wait for it
/// to be made before that.
const AT_ONCE: Duration = Duration::from_secs(35);

/// Where an Organization asks its host cluster for the vcluster.
fn vcluster(sovereign: &Sovereign, organization: &str) -> String {
    let group = "/apis/infrastructure.cluster.x-k8s.io/v1alpha1";
    let path = format!("{group}/namespaces/{organization}/vclusters/{organization}");
    sovereign.cluster(HOST, &path)
}

async fn read(administrator: &Administrator, url: &str) -> (StatusCode, Value) {
    let answer = administrator.http.get(url).send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or_default())
}

/// Has the request for a vcluster deleted, and waits until it is gone, or is another
/// one: the control plane asks again for as long as the Environment is wanted.
async fn take_away(administrator: &Administrator, url: &str) {
    let (_, before) = read(administrator, url).await;
    let uid = &before["metadata"]["uid"];
    assert!(uid.is_string(), "{before:#}");
    let deleted = administrator.http.delete(url).send().await.unwrap();
    assert!(deleted.status().is_success());
    let started = Instant::now();
    loop {
        let (status, now) = read(administrator, url).await;
        if status == StatusCode::NOT_FOUND || now["metadata"]["uid"] != *uid {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "it stays: {now:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn organization_with_dev(admin: &mut User, name: &str) {
    admin.post("/organizations", json!({"name": name})).await;
    let path = format!("/organizations/{name}");
    admin.until_phase(&path, "Running").await;
    let dev = json!({"envType": "dev"});
    admin.post(&format!("{path}/environments"), dev).await;
    let path = format!("/environments/{name}-dev");
    admin.until_phase(&path, "Running").await;
}

#[tokio::test]
async fn deletions_end_without_their_vcluster_and_name_what_they_left() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let (data, listen) = (directory.path().join("data"), own_address());
    let sovereign = Sovereign::start(&data, &listen);
    let mut admin = crate::admin(&sovereign).await;
    let administrator = sovereign.administrator();

    // An Organization with everything that is below it.
    organization_with_dev(&mut admin, "globex").await;
    take_away(&administrator, &vcluster(&sovereign, "globex")).await;
    admin.delete("/organizations/globex").await;
    admin.until_gone("/organizations/globex").await;
    let is_it = |one: &Value| one["kind"] == "Organization" && one["name"] == "globex";
    let ended = admin.until_ended("globex", is_it).await;
    assert_eq!(ended["leftBehind"], Value::Null, "{ended:#}");
    admin.until_gone("/environments/globex-dev").await;

    // An Environment whose vcluster is gone, but for an object that somebody holds.
    organization_with_dev(&mut admin, "acme").await;
    let url = vcluster(&sovereign, "acme");
    let (_, object) = read(&administrator, &url).await;
    let mut finalizers = object["metadata"]["finalizers"].as_array().unwrap().clone();
    finalizers.push(json!(HOLD));
    patch_finalizers(&administrator, &url, &json!(finalizers)).await;
    let deleted = administrator.http.delete(&url).send().await.unwrap();
    assert!(deleted.status().is_success());
    let inside = sovereign.cluster(&format!("{HOST}-acme"), "/readyz");
    let started = Instant::now();
    while read(&administrator, &inside).await.0 == StatusCode::OK {
        assert!(started.elapsed() < PATIENCE, "the vcluster still answers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.delete("/environments/acme-dev").await;
    admin.until_gone("/environments/acme-dev").await;
    let is_it = |one: &Value| one["kind"] == "Environment" && one["name"] == "acme-dev";
    let ended = admin.until_ended("acme-dev", is_it).await;
    let left = format!(
        "the vcluster {HOST}-acme: could not remove VCluster acme/acme: its finalizers keep it ({HOLD}); once whoever set them has removed them, it goes, and the rest of the vcluster with it"
    );
    assert_eq!(ended["leftBehind"], json!([left]), "{ended:#}");

    // One that waits for its vcluster is deleted without waiting any longer.
    let dev = json!({"envType": "dev"});
    admin.post("/organizations/acme/environments", dev).await;
    until_it_waits_for_its_vcluster(&sovereign, &administrator).await;
    let asked = Instant::now();
    admin.delete("/environments/acme-dev").await;
    let before = ended["startedAt"].clone();
    let is_the_next = |one: &Value| is_it(one) && one["startedAt"] != before;
    let ended = admin.until_ended("acme-dev again", is_the_next).await;
    let took = asked.elapsed();
    assert!(took < AT_ONCE, "it took {took:?}");
    assert_eq!(ended["leftBehind"], json!([left]), "{ended:#}");

    // What is left holds up nothing above it, and is not forgotten by who begins
    // again.
    admin.delete("/organizations/acme").await;
    admin.until_gone("/organizations/acme").await;
    sovereign.kill();
    let sovereign = Sovereign::start(&data, &listen);
    let administrator = sovereign.administrator();
    let notes = sovereign.cluster(
        MANAGEMENT,
        "/api/v1/namespaces/catalyst-system/configmaps?labelSelector=openova.io%2Fleft-behind",
    );
    let (_, noted) = read(&administrator, &notes).await;
    assert_eq!(noted["items"].as_array().unwrap().len(), 1, "{noted:#}");

    // It goes when whoever holds it lets go, and its namespace with it.
    let (_, object) = read(&administrator, &url).await;
    assert_eq!(object["metadata"]["finalizers"], json!([HOLD]));
    patch_finalizers(&administrator, &url, &Value::Null).await;
    let (status, object) = read(&administrator, &url).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{object:#}");
    let space = sovereign.cluster(HOST, "/api/v1/namespaces/acme");
    until("the namespace is gone", &administrator, &space, |it| {
        it.0 == StatusCode::NOT_FOUND
    })
    .await;
    until("nothing is noted", &administrator, &notes, |it| {
        it.1["items"] == json!([])
    })
    .await;
    sovereign.terminate();
}

/// What the last Environment of a name had in its vcluster, the next one has not.
#[tokio::test]
async fn an_environment_that_is_made_again_gets_its_applications_anew() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let sovereign = Sovereign::start(&directory.path().join("data"), &own_address());
    let mut admin = crate::admin(&sovereign).await;
    let administrator = sovereign.administrator();
    let releases = sovereign.cluster(
        &format!("{HOST}-initech"),
        "/apis/helm.toolkit.fluxcd.io/v2/namespaces/initech-dev/helmreleases",
    );
    let install = json!({"command": "install", "name": "store", "blueprint": "bp-postgres"});
    organization_with_dev(&mut admin, "initech").await;
    for _ in 0..2 {
        let changes = "/environments/initech-dev/changes";
        admin.post(changes, install.clone()).await;
        until("the release is there", &administrator, &releases, |it| {
            it.1["items"][0]["metadata"]["name"] == "store"
        })
        .await;
        let whole = "/environments/initech-dev";
        admin.delete(&format!("{whole}?applications=drop")).await;
        admin.until_gone(whole).await;
        let dev = json!({"envType": "dev"});
        let environments = "/organizations/initech/environments";
        admin.post(environments, dev).await;
        admin.until_phase(whole, "Running").await;
    }
    sovereign.terminate();
}

async fn until_it_waits_for_its_vcluster(sovereign: &Sovereign, administrator: &Administrator) {
    let group = "/apis/catalyst.openova.io/v1alpha1";
    let url = sovereign.cluster(MANAGEMENT, &format!("{group}/environments/acme-dev"));
    until("it waits", administrator, &url, |(_, object)| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|one| {
            let said = one["message"].as_str().unwrap_or_default();
            one["type"] == "VclustersReady" && said.contains("has not appeared")
        })
    })
    .await;
}

/// Reads until what is read is as wanted.
async fn until(
    what: &str,
    administrator: &Administrator,
    url: &str,
    wanted: impl Fn(&(StatusCode, Value)) -> bool,
) {
    let started = Instant::now();
    loop {
        let found = read(administrator, url).await;
        if wanted(&found) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not yet: {found:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn patch_finalizers(administrator: &Administrator, url: &str, finalizers: &Value) {
    let answer = administrator
        .http
        .patch(url)
        .header("content-type", "application/merge-patch+json")
        .body(json!({"metadata": {"finalizers": finalizers}}).to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{}", answer.text().await.unwrap());
}
