//! What `catalyst up` owes to whoever starts it: what it prints and when, what its
//! one port serves, what works before anybody has signed in, and how it ends; and
//! that the command line signs in at the issuer it brings.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::device;
use crate::readme::README;
use crate::sovereign::{Sovereign, own_address, program, with_arguments};
use crate::user::PASSWORD;

const CHECK_TOOLS: &str = include_str!("../../../tools/check-tools");
const MANAGEMENT: &str = "lo-loc-mgt-prod";
/// Longer than any start takes; a wait that ends by this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn http() -> reqwest::Client {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn one_line_comes_before_readiness_and_all_that_it_names_works_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let printed = directory.path().join("printed");
    let listen = own_address();
    let mut command = with_arguments(
        Command::new(program()),
        &directory.path().join("data"),
        &listen,
    );
    let child = command.stdout(File::create(&printed).unwrap()).spawn();
    let mut sovereign = Sovereign::of(child.unwrap());

    // Once it says that it is ready, the line is there, and whole.
    until_ready(&listen).await;
    let line = std::fs::read_to_string(&printed).unwrap();
    assert!(
        line.ends_with('\n') && line.lines().count() == 1,
        "{line:?}"
    );
    sovereign.addresses = serde_json::from_str(&line).unwrap();
    let names = sovereign.addresses.as_object().unwrap().keys();
    assert_eq!(
        names.map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from([
            "console",
            "signIn",
            "api",
            "openapi",
            "git",
            "registry",
            "issuer",
            "vault",
            "kubeconfig",
            "readyMillis",
            // Beyond the contract: the base of the kubeconfig's servers.
            "kubernetes",
        ])
    );
    assert!(sovereign.addresses["readyMillis"].is_u64(), "{line}");

    the_kubeconfig_is_an_administrators(&sovereign).await;
    every_surface_is_on_the_one_port(&sovereign, &listen).await;
    the_command_line_signs_in(&sovereign, directory.path()).await;
    device::devices_sign_in_by_codes(&sovereign, directory.path()).await;

    let asked = Instant::now();
    sovereign.interrupt();
    let took = asked.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "stopping on SIGINT took {took:?}"
    );
    assert_eq!(std::fs::read_to_string(&printed).unwrap(), line);
}

async fn until_ready(listen: &str) {
    let http = http();
    let asked = async {
        loop {
            match http.get(format!("http://{listen}/readyz")).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => return,
                Ok(answer) => assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE),
                // Nobody listens yet.
                Err(error) => assert!(error.is_connect(), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let is_ready = tokio::time::timeout(PATIENCE, asked).await;
    assert!(is_ready.is_ok(), "not ready within {PATIENCE:?}");
}

/// Nobody has signed in so far.
async fn the_kubeconfig_is_an_administrators(sovereign: &Sovereign) {
    let file = sovereign.address("kubeconfig");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let config = catalyst_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(config["current-context"], MANAGEMENT);
    let user = &config["users"][0]["user"];
    assert!(user["client-certificate-data"].is_string());
    assert!(user.get("token").is_none() && user.get("exec").is_none());

    let http = sovereign.administrator().http;
    let post = async |path: &str, object: Value| -> Value {
        let url = sovereign.cluster(MANAGEMENT, path);
        let answer = http.post(url).json(&object).send().await.unwrap();
        let status = answer.status();
        let said = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{path}: {said}");
        serde_json::from_str(&said).unwrap()
    };
    let review = post(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}),
    )
    .await;
    let who = &review["status"]["userInfo"];
    assert_eq!(who["username"], "sovereign-admin");
    let groups = who["groups"].as_array().unwrap();
    assert!(groups.contains(&json!("system:masters")), "{who}");
    post(
        "/api/v1/namespaces",
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "early"}}),
    )
    .await;
}

/// Each answers in its own way, by plain HTTP on loopback; by TLS too.
async fn every_surface_is_on_the_one_port(sovereign: &Sovereign, listen: &str) {
    let http = http();
    let of = |name: &str, rest: &str| format!("{}{rest}", sovereign.address(name));
    for (url, status, said) in [
        (of("console", ""), 200, "<html"),
        (of("api", "/me"), 401, "\"status\":401"),
        (of("openapi", ""), 200, "\"/api/v1/environments/"),
        (of("git", "/api/v1/version"), 200, "\"version\""),
        (
            of(
                "git",
                "/system/catalyst-config.git/info/refs?service=git-upload-pack",
            ),
            401,
            "sign in",
        ),
        (sovereign.url("/v2/"), 401, "UNAUTHORIZED"),
        (
            of("issuer", "/.well-known/openid-configuration"),
            200,
            "\"authorization_endpoint\"",
        ),
        (of("vault", "/v1/sys/health"), 200, "\"initialized\":true"),
        (sovereign.url("/healthz"), 200, "ok"),
        (sovereign.url("/metrics"), 200, "catalyst_sovereign_ready 1"),
    ] {
        assert!(url.starts_with(&format!("http://{listen}/")), "{url}");
        let answer = http.get(&url).send().await.unwrap();
        let found = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(found.as_u16(), status, "{url}: {text}");
        assert!(text.contains(said), "{url} says no {said:?}: {text}");
    }
    assert_eq!(sovereign.address("registry"), listen);
    no_application_answers(&sovereign.url("/"), "nobody.acme-dev.localhost").await;
    let secure = sovereign.administrator().anonymous;
    let url = format!("https://{listen}/healthz");
    let answer = secure.get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

/// Applications are asked for by host name, so the console does not answer there.
async fn no_application_answers(url: &str, host: &str) {
    let answer = http().get(url).header("host", host).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let said = answer.text().await.unwrap();
    let expected = format!("No Application answers at {host}.");
    assert!(said.starts_with(&expected), "{said}");
}

/// The command line of somebody without a screen, who keeps their keys in a folder.
pub fn command_line(config: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(words).env("XDG_CONFIG_HOME", config);
    for variable in [
        "CATALYST_SERVER",
        "CATALYST_TOKEN",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "BROWSER",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Signs in by a browser at the Sovereign's own issuer, and is known from then on.
async fn the_command_line_signs_in(sovereign: &Sovereign, directory: &Path) {
    let mut browser = Browser::new();
    browser
        .set_password(sovereign.address("signIn"), PASSWORD)
        .await;
    let config = directory.join("config");
    std::fs::create_dir(&config).unwrap();
    let catalyst = |words: &[&str]| command_line(&config, words);
    let server = sovereign.address("console").trim_end_matches('/');
    let mut login = catalyst(&["login", "--server", server])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(login.stderr.take().unwrap()).lines();
    let mut before = Vec::new();
    let page = said.find_map(|line| {
        let line = line.unwrap();
        let page = line.trim().strip_prefix("http");
        let page = page.map(|rest| format!("http{rest}"));
        before.push(line);
        page
    });
    let page = page.unwrap_or_else(|| panic!("it names no page to sign in on: {before:?}"));
    assert!(page.starts_with(sovereign.address("issuer")), "{page}");
    let shown = browser.follow(&page).await;
    assert!(shown.contains("You are signed in"), "{shown}");
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    assert!(login.wait().unwrap().success(), "{rest:?}");

    let who = catalyst(&["whoami", "--output", "json"]).output().unwrap();
    let error = String::from_utf8_lossy(&who.stderr);
    assert!(who.status.success(), "{error}");
    let who: Value = serde_json::from_slice(&who.stdout).unwrap();
    assert_eq!(who["username"], "sovereign-admin");
    assert_eq!(who["sovereignAdmin"], true);
}

#[tokio::test]
async fn people_are_told_of_every_part_and_every_address_as_the_readme_shows() {
    let directory = tempfile::tempdir().unwrap();
    let (shown, told) = (directory.path().join("out"), directory.path().join("err"));
    let child = Command::new(program())
        .args(["up", "--listen", "127.0.0.1:0"])
        .args(["--domain", "sovereign.example", "--data"])
        // The README's is called so.
        .arg(directory.path().join("catalyst"))
        .stdout(File::create(&shown).unwrap())
        .stderr(File::create(&told).unwrap())
        .spawn();
    let sovereign = Sovereign::of(child.unwrap());
    let shown = until_ends(&shown, "Press Ctrl-C to stop.\n").await;

    let host = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix("registry "))
        .unwrap_or_else(|| panic!("no registry in\n{shown}"))
        .trim();
    let readme = README.split("```text\n").nth(1).unwrap();
    let readme = readme.split("```").next().unwrap();
    let readme = readme.replace("127.0.0.1:8080", host) + "Press Ctrl-C to stop.\n";
    assert_eq!(shown.lines().count(), readme.lines().count(), "{shown}");
    for (line, expected) in shown.lines().zip(readme.lines()) {
        match expected.split_once('…') {
            Some((head, tail)) => assert!(
                line.starts_with(head) && line.ends_with(tail),
                "{line:?} is not {expected:?}"
            ),
            None => assert_eq!(line, expected),
        }
    }

    let told = std::fs::read_to_string(&told).unwrap();
    let parts: Vec<&str> = told.lines().filter_map(part_that_is_ready).collect();
    assert_eq!(
        parts,
        [
            "store",
            "node",
            "issuer",
            "kubernetes",
            "kubelet",
            "gateway",
            "forge",
            "registry",
            "vault",
            "control plane",
            "server",
            "blueprints",
        ],
        "{told}"
    );

    let url = format!("http://{host}/");
    no_application_answers(&url, "nobody.acme-dev.sovereign.example").await;
    sovereign.terminate();

    let help = Command::new(program()).args(["up", "-h"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let help: Vec<&str> = help.split_whitespace().collect();
    let help = help.join(" ");
    for part in [
        "--data <DIR>",
        "[default: 127.0.0.1:8080]",
        "[default: localhost]",
        "[default: text] [possible values: text, json]",
    ] {
        assert!(help.contains(part), "no {part:?} in {help}");
    }
}

/// `  store          ready      1.3 ms`
fn part_that_is_ready(line: &str) -> Option<&str> {
    let (part, took) = line.strip_prefix("  ")?.split_once(" ready ")?;
    took.trim().strip_suffix(" ms")?.parse::<f64>().ok()?;
    Some(part.trim())
}

/// Reads a file until it ends as wanted.
async fn until_ends(file: &Path, with: &str) -> String {
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap();
        if text.ends_with(with) {
            return text;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "no {with:?} within {PATIENCE:?}: {text}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An address of this machine that others could reach it by; none where it has no
/// network. Nothing is sent.
fn own_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback()).then_some(ip)
}

#[tokio::test]
async fn anywhere_but_on_loopback_it_insists_on_tls() {
    let http = http();
    let Some(ip) = own_ip() else {
        eprintln!("not run: plain HTTP from elsewhere, because this machine has no network");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let own = own_address();
    let port = own.rsplit_once(':').unwrap().1;
    // All that it does at its start, it does over TLS then.
    let sovereign = Sovereign::start(&directory.path().join("data"), &format!("0.0.0.0:{port}"));
    for name in ["console", "api", "openapi", "git", "issuer", "vault"] {
        let address = sovereign.address(name);
        let expected = format!("https://localhost:{port}/");
        assert!(address.starts_with(&expected), "{name}: {address}");
    }
    for (url, status) in [
        (format!("http://{ip}:{port}/healthz"), StatusCode::FORBIDDEN),
        (format!("http://127.0.0.1:{port}/healthz"), StatusCode::OK),
    ] {
        let answer = http.get(&url).send().await.unwrap();
        let found = answer.status();
        let said = answer.text().await.unwrap();
        assert_eq!(found, status, "{url}: {said}");
        let names_the_way = said.contains("use https://");
        assert_eq!(names_the_way, status == StatusCode::FORBIDDEN, "{said}");
    }
    // By its name, at the address that others have.
    let kubeconfig = std::fs::read_to_string(sovereign.address("kubeconfig")).unwrap();
    let secure = trusting(&kubeconfig)
        .resolve("localhost", SocketAddr::new(ip, 0))
        .build()
        .unwrap();
    let answer = secure.get(format!("https://localhost:{port}/healthz"));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.remote_addr().map(|peer| peer.ip()), Some(ip));
    // A newcomer's command line does not know the authority yet, and is told of it.
    let ask = |more: &[&str]| {
        let server = format!("https://localhost:{port}");
        let output = Command::new(program())
            .args(["whoami", "--server", &server])
            .args(more)
            .env("CATALYST_TOKEN", "nobodys")
            .env_remove("CATALYST_CERTIFICATE_AUTHORITY")
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let said = ask(&[]);
    assert!(said.contains("--certificate-authority FILE"), "{said}");
    let authority = directory.path().join("data/ca.crt");
    let said = ask(&["--certificate-authority", authority.to_str().unwrap()]);
    assert!(said.contains("the token in CATALYST_TOKEN"), "{said}");
    sovereign.terminate();
}

/// A client that trusts the authority of a kubeconfig and no other.
fn trusting(kubeconfig: &str) -> reqwest::ClientBuilder {
    use base64::Engine;
    let config = catalyst_yaml::from_str(kubeconfig).unwrap();
    let authority = config["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
    let authority = base64::engine::general_purpose::STANDARD.decode(authority.unwrap());
    let root = reqwest::Certificate::from_pem(&authority.unwrap()).unwrap();
    reqwest::Client::builder().tls_certs_only([root]).no_proxy()
}

#[test]
fn what_the_build_lacks_is_named_with_the_way_to_get_it() {
    let nothing = tempfile::tempdir().unwrap();
    let mut check = Command::new("/bin/sh")
        .args(["-s", "--", "git", "cargo", "node"])
        .env("PATH", nothing.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut script = check.stdin.take().unwrap();
    script.write_all(CHECK_TOOLS.as_bytes()).unwrap();
    drop(script);
    let output = check.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = [
        "missing: git; install git 2.38 or later (Debian: apt-get install git)",
        "missing: cargo; install Rust 1.95 or later from https://rustup.rs",
        "missing: node; install Node.js 20 or later (https://nodejs.org)",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
