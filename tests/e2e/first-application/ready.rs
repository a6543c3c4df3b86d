//! What holds from the moment that `catalyst up` prints its line: what ships with it
//! can be installed, on loopback, and over TLS anywhere else, whatever proxies the
//! environment names.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::pods::obstacle;
use crate::sovereign::{Administrator, Sovereign, own_address, program, with_arguments};
use crate::user::User;

const APPLICATION: &str = "/environments/acme-dev/applications/guestbook";
const MANAGEMENT: &str = "lo-loc-mgt-prod";
const HOST: &str = "lo-loc-rtz-dev";
const DOMAIN: &str = "sovereign.example";
/// Longer than anything here takes; a wait that ends by this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// From signing in to a guestbook that is there. Each call follows when the API
/// says of what it needs that it is there, and none may be refused.
async fn the_guestbook_is_installed(sovereign: &Sovereign) -> User {
    let link = sovereign.address("signIn").to_owned();
    let mut admin = User::join(sovereign, "sovereign-admin", &link).await;
    admin.get("/blueprints/catalog/bp-guestbook").await;
    admin.post("/organizations", json!({"name": "acme"})).await;
    admin.until_phase("/organizations/acme", "Running").await;
    let dev = json!({"envType": "dev"});
    admin.post("/organizations/acme/environments", dev).await;
    admin.until_phase("/environments/acme-dev", "Running").await;
    let mut install =
        json!({"command": "install", "name": "guestbook", "blueprint": "bp-guestbook"});
    let plan = admin
        .post("/environments/acme-dev/plans", install.clone())
        .await;
    install["plan"] = plan["digest"].clone();
    admin.post("/environments/acme-dev/changes", install).await;
    admin.until("it is there", APPLICATION, |_| true).await;
    admin
}

#[tokio::test]
async fn what_ships_can_be_installed_as_soon_as_the_line_is_there() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let sovereign = Sovereign::start_logging_with(&data, "127.0.0.1:0", &["--stop-pods"]);
    the_guestbook_is_installed(&sovereign).await;
    sovereign.terminate();
}

/// Lets nothing through, and keeps what it was asked for.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                drop(stream.read_line(&mut line).await);
                kept.lock().unwrap().push(line.trim_end().to_owned());
                let refusal =
                    "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                drop(stream.write_all(refusal.as_bytes()).await);
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn until_asked_for(&self, host: &str) {
        let started = Instant::now();
        let wanted = format!("CONNECT {host}:443 ");
        while !self.asked().iter().any(|line| line.starts_with(&wanted)) {
            let asked = self.asked();
            assert!(started.elapsed() < PATIENCE, "not for {host}: {asked:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn create(administrator: &Administrator, url: &str, object: &Value) {
    let answer = administrator.http.post(url).json(object).send().await;
    let answer = answer.unwrap();
    let status = answer.status();
    let said = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{said}");
}

// The proxy answers while the start is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_goes_live_over_tls_and_past_a_proxy() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start().await;
    let own = own_address();
    let port = own.rsplit_once(':').unwrap().1;
    let mut command = with_arguments(
        Command::new(program()),
        &directory.path().join("data"),
        &format!("0.0.0.0:{port}"),
    );
    // No name server knows the domain.
    command.args(["--domain", DOMAIN, "--stop-pods"]);
    for name in ["NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    for name in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env(name, &proxy.url);
        command.env(name.to_lowercase(), &proxy.url);
    }
    let sovereign = Sovereign::start_by(command);
    let mut admin = the_guestbook_is_installed(&sovereign).await;

    // What is not the Sovereign's is asked for by the proxy.
    let administrator = sovereign.administrator();
    let sources = "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/gitrepositories";
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "wiki"},
        "spec": {"interval": "1h", "url": "https://git.example/acme/wiki.git", "ref": {"branch": "main"}},
    });
    create(
        &administrator,
        &sovereign.cluster(MANAGEMENT, sources),
        &source,
    )
    .await;
    proxy.until_asked_for("git.example").await;
    match obstacle() {
        None => {
            a_foreign_image_is_asked_for(&sovereign, &administrator, &proxy).await;
            the_guestbook_answers(&sovereign, &mut admin, port).await;
        }
        Some(why) => eprintln!("not run: containers, because of this machine:\n{why}"),
    }
    // Of its own, nothing ever is.
    let asked = proxy.asked();
    let is_own = |line: &String| {
        [DOMAIN, "localhost", "127.0.0.1"]
            .iter()
            .any(|own| line.contains(own))
    };
    assert!(!asked.iter().any(is_own), "{asked:#?}");
    sovereign.terminate();
}

async fn a_foreign_image_is_asked_for(
    sovereign: &Sovereign,
    administrator: &Administrator,
    proxy: &Proxy,
) {
    let pods = sovereign.cluster(HOST, "/api/v1/namespaces/default/pods");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/nothing:1"}]},
    });
    create(administrator, &pods, &pod).await;
    proxy.until_asked_for("registry.example").await;
    let deleted = administrator.http.delete(format!("{pods}/stranger"));
    assert!(deleted.send().await.unwrap().status().is_success());
}

/// Its images came from the Sovereign's registry, its password from the vault; and
/// whoever opens its page is shown a certificate of its name.
async fn the_guestbook_answers(sovereign: &Sovereign, admin: &mut User, port: &str) {
    let running = admin.until_phase(APPLICATION, "Running").await;
    let host = format!("guestbook.acme-dev.{DOMAIN}");
    let url = running["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://{host}:{port}")), "{url}");
    let page = sovereign.trust().client_of(&host).get(url).send().await;
    let page = page.unwrap();
    let status = page.status();
    assert_eq!(status, StatusCode::OK, "{}", page.text().await.unwrap());
}
