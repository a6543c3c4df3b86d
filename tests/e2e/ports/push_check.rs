//! A push while whoever judges it gives no answer: refused with the reason, and the
//! same push is taken once there is an answer again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use catalyst_forge::CheckConfig;
use catalyst_ports::{Forge, RepositoryId, RepositoryOptions, Tokens};
use catalyst_store::{Options, Store};
use serde_json::json;
use tokio::net::TcpListener;

const ADMINISTRATOR: &str = "administrator-of-the-pushes";

/// How the control plane is.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Well,
    Silent,
    Failing,
    Babbling,
}

async fn judge(State(mood): State<Arc<Mutex<Mood>>>) -> Response {
    let mood = *mood.lock().unwrap();
    match mood {
        Mood::Well => axum::Json(json!({"allowed": true, "messages": []})).into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Babbling => "yes".into_response(),
    }
}

/// A port of this machine, and its address.
async fn port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
}

/// Stock git; what it said, and whether it was content.
async fn git(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = tokio::process::Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@acme.example"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("NO_PROXY", "127.0.0.1")
        .env("LC_ALL", "C")
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let said = [text(&output.stdout), text(&output.stderr)].concat();
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_nobody_judges_changes_nothing_and_is_taken_later() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mood = Arc::new(Mutex::new(Mood::Well));
    let control_plane = Router::new()
        .route("/check", post(judge))
        .with_state(Arc::clone(&mood));
    let (listener, judges_at) = port().await;
    serve(listener, control_plane);

    let (listener, address) = port().await;
    let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
    let data = folder.path().join("forge");
    let base = format!("http://{address}/git");
    let mut config = catalyst_forge::Config::new(&data, store, base.as_str());
    config.admin_token = Some(ADMINISTRATOR.to_owned());
    let mut check = CheckConfig::at(format!("http://{judges_at}/check"));
    check.timeout = Duration::from_millis(500);
    config.check = Some(check);
    let forge = catalyst_forge::Forge::open(config).await.unwrap();
    serve(listener, Router::new().nest("/git", forge.router()));

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = Forge::new(http, base.parse().unwrap(), Tokens::fixed(ADMINISTRATOR));
    client.organization_ensure("acme", "Acme").await.unwrap();
    let id = RepositoryId::new("acme", "acme-dev");
    let options = RepositoryOptions::default();
    client.repository_ensure(&id, options).await.unwrap();

    let work = folder.path().join("work");
    let remote = format!("http://catalyst:{ADMINISTRATOR}@{address}/git/acme/acme-dev.git");
    let (cloned, said) = git(folder.path(), &["clone", "-q", &remote, "work"]).await;
    assert!(cloned, "{said}");
    let push = ["push", "origin", "HEAD:refs/heads/main"];
    let commit = async |text: &str| {
        std::fs::write(work.join("README.md"), text).unwrap();
        for arguments in [&["add", "."][..], &["commit", "-qm", text][..]] {
            let (done, said) = git(&work, arguments).await;
            assert!(done, "{said}");
        }
        git(&work, &["rev-parse", "HEAD"]).await.1
    };
    let bare = data.join("repositories/acme/acme-dev.git");
    let main = async || git(&bare, &["rev-parse", "refs/heads/main"]).await.1;

    let before = commit("One").await;
    let (taken, said) = git(&work, &push).await;
    assert!(taken, "{said}");
    assert_eq!(main().await, before);

    let next = commit("Two").await;
    for (what, why) in [
        (Mood::Failing, "no usable answer (status 500)"),
        (Mood::Babbling, "no usable answer"),
        (Mood::Silent, "did not answer within 0.5 s"),
    ] {
        *mood.lock().unwrap() = what;
        let (taken, said) = git(&work, &push).await;
        assert!(!taken, "{what:?}: {said}");
        for words in ["nothing was changed", why, "! [remote rejected]"] {
            assert!(said.contains(words), "{what:?}, {words}: {said}");
        }
        assert_eq!(main().await, before, "{what:?}");
        let (is_there, _) = git(&bare, &["cat-file", "-e", &next]).await;
        assert!(!is_there, "{what:?}: the commit was kept");
    }

    *mood.lock().unwrap() = Mood::Well;
    let (taken, said) = git(&work, &push).await;
    assert!(taken, "{said}");
    assert_eq!(main().await, next);
}
