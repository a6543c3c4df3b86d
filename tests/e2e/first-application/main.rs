//! The first story, as far as it goes today, driven only from outside: start,
//! sign in, use Git, the registry and the Kubernetes API, be killed, go on.
//!
//! Uses HTTP and stock git always, stock kubectl and helm where they are on the path;
//! a client that could not be used is named on standard error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod authoring;
// What this program does not use of the helpers, another one does.
#[allow(dead_code)]
#[path = "../support/browser.rs"]
mod browser;
mod contract;
mod device;
#[allow(dead_code)]
#[path = "../support/pods.rs"]
mod pods;
#[allow(dead_code)]
#[path = "../support/process.rs"]
mod process;
mod readme;
mod ready;
#[allow(dead_code)]
#[path = "../support/registry.rs"]
mod registry;
#[allow(dead_code)]
#[path = "../support/sovereign.rs"]
mod sovereign;
mod story;
#[allow(dead_code)]
#[path = "../support/user.rs"]
mod user;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use browser::Browser;
use process::{client, succeed};
use sovereign::{Administrator, Sovereign, own_address};

const PASSWORD: &str = "correct horse battery staple";

#[tokio::test]
async fn a_sovereign_starts_serves_every_surface_and_survives_kill_9() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let sovereign = Sovereign::start(&data, &own_address());
    let http = reqwest::Client::new();
    becomes_ready(&http, &sovereign).await;

    let link = sovereign.addresses["signIn"]
        .as_str()
        .expect("the first start has a sign-in link")
        .to_owned();
    let mut browser = Browser::new();
    browser.set_password(&link, PASSWORD).await;
    let token = browser
        .token(sovereign.address("issuer"), "catalyst-cli")
        .await;
    browser.link_is_dead(&link).await;

    forge_takes_a_push(&sovereign, &token, directory.path()).await;
    registry_keeps_an_artifact(&sovereign, &token).await;
    let administrator = sovereign.administrator();
    kubernetes_keeps_an_object(&sovereign, &administrator, &token).await;
    strangers_are_refused(&sovereign, &administrator).await;
    kubectl_works(&sovereign);
    helm_works(&sovereign, &token, directory.path());
    match pods::obstacle() {
        None => pods::a_deployment_runs_as_a_container(&sovereign, &token, directory.path()).await,
        Some(why) => eprintln!("not run: containers, because of this machine:\n{why}"),
    }

    let port = sovereign.port();
    sovereign.kill();
    let sovereign = Sovereign::start(&data, &format!("127.0.0.1:{port}"));
    assert_eq!(
        sovereign.addresses.get("signIn"),
        None,
        "a sovereign-admin has a password already"
    );

    // Connections to the killed process are of no use to the new one.
    let http = reqwest::Client::new();
    becomes_ready(&http, &sovereign).await;
    let clone = directory.path().join("after");
    git(
        directory.path(),
        &[
            "clone",
            "--quiet",
            &repository(&sovereign, &token),
            clone.to_str().unwrap(),
        ],
    );
    assert_eq!(
        std::fs::read_to_string(clone.join("README.md")).unwrap(),
        "hello\n"
    );
    let manifest = http
        .get(sovereign.url("/v2/acme/hello/manifests/1.0.0"))
        .basic_auth("sovereign-admin", Some(&token))
        .send()
        .await
        .unwrap();
    assert_eq!(manifest.status(), StatusCode::OK);
    let object = sovereign
        .administrator()
        .http
        .get(sovereign.cluster(
            "lo-loc-rtz-dev",
            "/api/v1/namespaces/default/configmaps/greeting",
        ))
        .send()
        .await
        .unwrap();
    assert_eq!(
        object.json::<Value>().await.unwrap()["data"]["text"],
        "hello"
    );

    let stopping = Instant::now();
    sovereign.terminate();
    assert!(
        stopping.elapsed().as_secs() < 5,
        "stopping took {:?}",
        stopping.elapsed()
    );
}

/// The story itself; see the module for its chapters.
#[tokio::test]
async fn an_application_goes_live_and_leaves_again() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let obstacle = pods::obstacle();
    if let Some(why) = &obstacle {
        eprintln!("not run: Applications, because of this machine:\n{why}");
    }
    story::run(directory.path(), obstacle.is_none()).await;
}

/// What the README and the pages of the kinds show works as it stands.
#[tokio::test]
async fn the_documentation_is_true() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    if let Some(why) = pods::obstacle() {
        eprintln!("not run: Applications, because of this machine:\n{why}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let sovereign = Sovereign::start_logging_with(&data, "127.0.0.1:0", &["--stop-pods"]);
    readme::every_line_works(&sovereign, directory.path()).await;
    readme::every_example_is_taken(&sovereign).await;
    sovereign.terminate();
}

/// What the page for authors shows works as it stands; no Application runs.
#[tokio::test]
async fn the_page_for_authors_is_true() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let sovereign = Sovereign::start_logging(&data, "127.0.0.1:0");
    authoring::every_block_works(&sovereign, directory.path()).await;
    sovereign.terminate();
}

#[test]
fn a_taken_port_and_a_used_data_directory_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let sovereign = Sovereign::start(&data, "127.0.0.1:0");

    let other = directory.path().join("other");
    let (status, error) = Sovereign::fail(&other, &format!("127.0.0.1:{}", sovereign.port()));
    assert_eq!(status, Some(1));
    assert!(
        error.contains("cannot listen on") && error.contains("--listen"),
        "{error}"
    );

    let (status, error) = Sovereign::fail(&data, "127.0.0.1:0");
    assert_eq!(status, Some(1));
    assert!(error.contains("another process is using it"), "{error}");
}

/// The line with the addresses comes just before `/readyz` turns 200.
async fn becomes_ready(http: &reqwest::Client, sovereign: &Sovereign) {
    let asked = async {
        loop {
            let answer = http.get(sovereign.url("/readyz")).send().await.unwrap();
            if answer.status() == StatusCode::OK {
                return;
            }
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked)
        .await
        .expect("not ready within 10 s");
}

fn repository(sovereign: &Sovereign, token: &str) -> String {
    let host = sovereign.address("registry");
    format!("http://sovereign-admin:{token}@{host}/git/acme/notes.git")
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Jane",
            "-c",
            "user.email=jane@acme.example",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn forge_takes_a_push(sovereign: &Sovereign, token: &str, directory: &Path) {
    let http = reqwest::Client::new();
    let post = |path: &str, body: Value| {
        http.post(sovereign.url(&format!("/git/api/v1{path}")))
            .bearer_auth(token)
            .json(&body)
            .send()
    };
    let created = post(
        "/orgs",
        json!({"username": "acme", "visibility": "private"}),
    )
    .await
    .unwrap();
    assert_eq!(
        created.status(),
        StatusCode::CREATED,
        "{}",
        created.text().await.unwrap()
    );
    let created = post(
        "/orgs/acme/repos",
        json!({"name": "notes", "private": true}),
    )
    .await
    .unwrap();
    assert_eq!(
        created.status(),
        StatusCode::CREATED,
        "{}",
        created.text().await.unwrap()
    );

    let work = directory.join("work");
    std::fs::create_dir(&work).unwrap();
    git(&work, &["init", "--quiet"]);
    std::fs::write(work.join("README.md"), "hello\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "Say hello"]);
    git(
        &work,
        &["push", "--quiet", &repository(sovereign, token), "main"],
    );
    let head = git(&work, &["rev-parse", "HEAD"]);
    let remote = git(
        &work,
        &[
            "ls-remote",
            &repository(sovereign, token),
            "refs/heads/main",
        ],
    );
    assert!(remote.starts_with(head.trim()), "{remote}");
}

async fn registry_keeps_an_artifact(sovereign: &Sovereign, token: &str) {
    let digest = registry::push_blob(sovereign, token, "acme/hello", b"{}".to_vec()).await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": registry::MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2},
        "layers": [],
    });
    registry::push_manifest(sovereign, token, "acme/hello", "1.0.0", &manifest).await;
}

async fn kubernetes_keeps_an_object(
    sovereign: &Sovereign,
    administrator: &Administrator,
    token: &str,
) {
    let maps = sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces/default/configmaps");
    let greeting = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "greeting"},
        "data": {"text": "hello"},
    });
    let created = administrator
        .http
        .post(&maps)
        .json(&greeting)
        .send()
        .await
        .unwrap();
    assert_eq!(
        created.status(),
        StatusCode::CREATED,
        "{}",
        created.text().await.unwrap()
    );
    let read = administrator
        .anonymous
        .get(format!("{maps}/greeting"))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(
        read.status(),
        StatusCode::OK,
        "{}",
        read.text().await.unwrap()
    );
    let elsewhere = sovereign.cluster(
        "lo-loc-rtz-prod",
        "/api/v1/namespaces/default/configmaps/greeting",
    );
    let read = administrator.http.get(elsewhere).send().await.unwrap();
    assert_eq!(
        read.status(),
        StatusCode::NOT_FOUND,
        "clusters must not share objects"
    );
    let kinds = sovereign.cluster("lo-loc-mgt-prod", "/apis/catalyst.openova.io/v1alpha1");
    let kinds: Value = administrator
        .http
        .get(kinds)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let served = kinds["resources"]
        .as_array()
        .unwrap()
        .iter()
        .any(|kind| kind["name"] == "organizations");
    assert!(served, "{kinds}");
}

async fn strangers_are_refused(sovereign: &Sovereign, administrator: &Administrator) {
    let http = reqwest::Client::new();
    let status = |url: String| {
        let http = http.clone();
        async move { http.get(url).send().await.unwrap().status() }
    };
    assert_eq!(
        status(sovereign.url("/clusters/lo-loc-rtz-dev/api")).await,
        StatusCode::UPGRADE_REQUIRED
    );
    assert_eq!(
        status(sovereign.url("/v2/acme/hello/manifests/1.0.0")).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        status(sovereign.url("/git/api/v1/repos/acme/notes")).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        status(sovereign.url("/vault/v1/secret/data/org/acme/x")).await,
        StatusCode::FORBIDDEN
    );
    let secrets = sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces/default/secrets");
    let refused = administrator.anonymous.get(secrets).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let forged = http
        .get(sovereign.url("/v2/acme/hello/manifests/1.0.0"))
        .header(
            "authorization",
            format!("Basic {}", STANDARD.encode("sovereign-admin:forged")),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
}

fn kubectl_works(sovereign: &Sovereign) {
    let kubectl = |arguments: &[&str]| {
        let mut command = client("kubectl")?;
        let context = ["--context", "lo-loc-rtz-dev"];
        command
            .arg("--kubeconfig")
            .arg(sovereign.address("kubeconfig"))
            .args(context)
            .args(arguments);
        Some(succeed(&mut command))
    };
    let Some(out) = kubectl(&["get", "namespaces", "-o", "name"]) else {
        return;
    };
    assert!(out.lines().any(|line| line == "namespace/default"), "{out}");
    let out = kubectl(&["get", "configmap", "greeting"]).unwrap();
    assert!(out.contains("NAME") && out.contains("greeting"), "{out}");
    let out = kubectl(&["describe", "configmap", "greeting"]).unwrap();
    assert!(out.contains("hello"), "{out}");
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "passing", "namespace": "default"},
        "data": {"a": "b"},
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    kubectl(&["apply", "--server-side", "-f", path]).unwrap();
    kubectl(&["delete", "-f", path]).unwrap();
}

fn helm_works(sovereign: &Sovereign, token: &str, directory: &Path) {
    let host = sovereign.address("registry");
    let work = directory.join("helm");
    let helm = |arguments: &[&str]| {
        let mut command = client("helm")?;
        for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
            command.env(variable, &work);
        }
        command.current_dir(&work).args(arguments);
        Some(succeed(&mut command))
    };
    std::fs::create_dir(&work).unwrap();
    if helm(&["create", "web"]).is_none() {
        return;
    }
    helm(&["package", "web"]).unwrap();
    helm(&[
        "registry",
        "login",
        host,
        "--username",
        "sovereign-admin",
        "--password",
        token,
        "--plain-http",
    ])
    .unwrap();
    helm(&[
        "push",
        "web-0.1.0.tgz",
        &format!("oci://{host}/acme/charts"),
        "--plain-http",
    ])
    .unwrap();
    let pulled = work.join("pulled");
    std::fs::create_dir(&pulled).unwrap();
    let chart = format!("oci://{host}/acme/charts/web");
    helm(&[
        "pull",
        &chart,
        "--version",
        "0.1.0",
        "--plain-http",
        "--destination",
        pulled.to_str().unwrap(),
    ])
    .unwrap();
    let read = |path: &Path| std::fs::read(path.join("web-0.1.0.tgz")).unwrap();
    assert!(
        read(&work) == read(&pulled),
        "the chart came back different"
    );
}
