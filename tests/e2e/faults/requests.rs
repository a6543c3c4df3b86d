//! Requests that nobody should send, on every surface: each is refused with a
//! 4xx in the surface's own shape, soon; the process stays up and its memory
//! stays bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Body, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::sovereign::{Administrator, Sovereign};

/// Larger than any surface keeps in memory.
const OVERSIZED: u64 = 192 << 20;
/// What the process may need for all of this, beyond what it had: kilobytes.
const MEMORY: u64 = 128 << 10;

/// A request body of [`OVERSIZED`] bytes that is made while it is sent.
fn oversized(byte: u8) -> Body {
    const BLOCK: usize = 1 << 16;
    let block = bytes::Bytes::from(vec![byte; BLOCK]);
    let count = OVERSIZED / BLOCK as u64;
    Body::wrap_stream(futures::stream::iter(
        (0..count).map(move |_| Ok::<_, std::io::Error>(block.clone())),
    ))
}

/// The most memory that a process ever had, in kilobytes.
fn peak(sovereign: &Sovereign) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sovereign.process())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// What an error of a surface must look like.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// RFC 9457, with what, why and what next.
    Problem,
    /// Kubernetes' Status.
    Status,
    /// The OCI distribution's errors.
    Oci,
    /// OAuth's `error`, or a page for people.
    OAuth,
    /// Gitea's `message`, or Git's words.
    Words,
    /// Vault's `errors`.
    Vault,
}

/// Sends a request; what is wrong with the answer, if anything is.
async fn refused(
    what: &str,
    request: RequestBuilder,
    wanted: &[u16],
    shape: Shape,
) -> Result<(), String> {
    let answer = match request.send().await {
        Ok(answer) => answer,
        // A server that has said no may close while the rest is still coming.
        Err(error) if what.contains("oversized") && !error.is_timeout() => return Ok(()),
        Err(error) => return Err(format!("{what}: {error:?}")),
    };
    let status = answer.status();
    let kind = answer
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let text = answer.text().await.unwrap_or_default();
    if !wanted.contains(&status.as_u16()) {
        return Err(format!("{what}: {status}, not {wanted:?}: {text}"));
    }
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let is_shaped = match shape {
        Shape::Problem => {
            kind == "application/problem+json"
                && value["status"] == status.as_u16()
                && ["type", "title", "detail"]
                    .iter()
                    .all(|name| value[name].as_str().is_some_and(|text| !text.is_empty()))
        }
        Shape::Status => {
            value["kind"] == "Status"
                && value["code"] == status.as_u16()
                && value["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
        }
        Shape::Oci => value["errors"][0]["code"].is_string(),
        Shape::OAuth => value["error"].is_string() || kind.starts_with("text/html"),
        Shape::Words => !text.trim().is_empty(),
        Shape::Vault => value["errors"].is_array(),
    };
    if !is_shaped || text.contains("panicked") || text.contains(".rs:") {
        return Err(format!("{what}: {status} {kind}: {text}"));
    }
    Ok(())
}

#[tokio::test]
async fn bad_requests_are_refused_on_every_surface_and_cost_little() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let sovereign = Sovereign::start(&directory.path().join("data"), "127.0.0.1:0");
    let mut admin = crate::admin(&sovereign).await;
    let token = admin.token().await;
    let administrator = sovereign.administrator();
    // What every surface needs once is not counted.
    for path in [
        "/api/v1/sovereign",
        "/v2/",
        "/oidc/.well-known/openid-configuration",
    ] {
        drop(
            http()
                .get(sovereign.url(path))
                .bearer_auth(&token)
                .send()
                .await,
        );
    }
    let before = peak(&sovereign);
    let mut faults = Vec::new();

    catalyst(&sovereign, &token, &mut faults).await;
    forge(&sovereign, &token, &mut faults).await;
    registry(&sovereign, &token, &mut faults).await;
    issuer(&sovereign, &mut faults).await;
    vault(&sovereign, &token, &mut faults).await;
    kubernetes(&sovereign, &administrator, &mut faults).await;
    sockets(&sovereign, &mut faults);
    let grown = peak(&sovereign) - before;
    eprintln!("bad requests: memory grew by {grown} kB at most, from {before} kB");
    assert!(grown < MEMORY, "memory grew by {grown} kB");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // It is the same process, and it is well.
    let ready = http().get(sovereign.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    admin.get("/me").await;
    sovereign.terminate();
}

async fn catalyst(sovereign: &Sovereign, token: &str, faults: &mut Vec<String>) {
    let ask = |method: Method, path: &str| {
        http()
            .request(method, sovereign.url(&format!("/api/v1{path}")))
            .bearer_auth(token)
    };
    let post = |body: Body| {
        ask(Method::POST, "/organizations")
            .header("content-type", "application/json")
            .body(body)
    };
    let deep = "[".repeat(100_000);
    let long = json!({"name": "a".repeat(900_000)}).to_string();
    for (what, request, wanted) in [
        ("oversized JSON", post(oversized(b' ')), [413, 413]),
        ("broken JSON", post("{\"name\": ".into()), [400, 422]),
        ("deep JSON", post(deep.into()), [400, 422]),
        ("no UTF-8", post(vec![b'"', 0xff, b'"'].into()), [400, 422]),
        (
            "a number for a name",
            post("{\"name\": 7}".into()),
            [400, 422],
        ),
        ("a long name", post(long.into()), [422, 422]),
        (
            "a path for a name",
            post("{\"name\": \"../../x\"}".into()),
            [422, 422],
        ),
        ("nothing", post("".into()), [400, 422]),
        (
            "a form",
            ask(Method::POST, "/organizations").form(&[("name", "acme")]),
            [415, 415],
        ),
        ("no such path", ask(Method::GET, "/nothing"), [404, 404]),
        (
            "no such method",
            ask(Method::PATCH, "/organizations"),
            [405, 405],
        ),
        (
            "a bad position",
            ask(Method::GET, "/stream").header("last-event-id", "soon"),
            [400, 422],
        ),
        (
            "a bad number",
            ask(Method::GET, "/environments/acme-dev/pull-requests/x"),
            [400, 404],
        ),
        (
            "a path with %ff",
            ask(Method::GET, "/environments/%ff"),
            [400, 404],
        ),
        (
            "a path with %00",
            ask(Method::GET, "/environments/a%00b"),
            [400, 404],
        ),
        (
            "a forged hook",
            ask(Method::POST, "/hooks/git")
                .header("x-gitea-signature", "00")
                .json(&json!({})),
            [401, 403],
        ),
        (
            "an oversized hook",
            ask(Method::POST, "/hooks/git").body(oversized(b' ')),
            [401, 413],
        ),
        (
            "a forged push check",
            ask(Method::POST, "/checks/push").json(&json!({})),
            [401, 403],
        ),
        (
            "no token at all",
            http().get(sovereign.url("/api/v1/me")),
            [401, 401],
        ),
        (
            "a token that is none",
            http()
                .get(sovereign.url("/api/v1/me"))
                .bearer_auth("\u{1}x".trim_start_matches('\u{1}')),
            [401, 401],
        ),
    ] {
        faults.extend(
            refused(
                &format!("/api/v1: {what}"),
                request,
                &wanted,
                Shape::Problem,
            )
            .await
            .err(),
        );
    }
}

async fn forge(sovereign: &Sovereign, token: &str, faults: &mut Vec<String>) {
    let api = |method: Method, path: &str| {
        http()
            .request(method, sovereign.url(&format!("/git/api/v1{path}")))
            .bearer_auth(token)
    };
    let orgs = |body: Body| {
        api(Method::POST, "/orgs")
            .header("content-type", "application/json")
            .body(body)
    };
    let git = |method: Method, path: &str| {
        http()
            .request(method, sovereign.url(&format!("/git{path}")))
            .basic_auth("sovereign-admin", Some(token))
    };
    let config = "/system/catalyst-config.git";
    for (what, request, wanted) in [
        ("oversized JSON", orgs(oversized(b' ')), vec![413]),
        ("broken JSON", orgs("{".into()), vec![400, 422]),
        (
            "a path for a name",
            orgs("{\"username\": \"../x\"}".into()),
            vec![400, 422],
        ),
        ("no such path", api(Method::GET, "/nothing"), vec![404]),
        (
            "a file outside",
            api(
                Method::GET,
                "/repos/system/catalyst-config/contents/..%2f..%2fconfig",
            ),
            vec![400, 404, 422],
        ),
        (
            "another service",
            git(Method::GET, &format!("{config}/info/refs?service=git-evil")),
            vec![400, 403, 404],
        ),
        (
            "a repository outside",
            git(
                Method::GET,
                "/..%2f..%2fetc/passwd.git/info/refs?service=git-upload-pack",
            ),
            vec![400, 404],
        ),
        (
            "a push that is none",
            git(Method::POST, &format!("{config}/git-receive-pack"))
                .header("content-type", "application/x-git-receive-pack-request")
                .body("zzzznothing"),
            vec![400, 422],
        ),
        (
            "a push of another type",
            git(Method::POST, &format!("{config}/git-receive-pack"))
                .header("content-type", "text/plain")
                .body("0000"),
            vec![400, 415],
        ),
        (
            "an oversized push that is none",
            git(Method::POST, &format!("{config}/git-receive-pack"))
                .header("content-type", "application/x-git-receive-pack-request")
                .body(oversized(b'z')),
            vec![400, 413, 422],
        ),
        (
            "gzip that is none",
            git(Method::POST, &format!("{config}/git-upload-pack"))
                .header("content-type", "application/x-git-upload-pack-request")
                .header("content-encoding", "gzip")
                .body("this is no gzip at all, whatever the header says"),
            vec![400, 415, 422],
        ),
    ] {
        faults.extend(
            refused(&format!("/git: {what}"), request, &wanted, Shape::Words)
                .await
                .err(),
        );
    }
}

async fn registry(sovereign: &Sovereign, token: &str, faults: &mut Vec<String>) {
    let ask = |method: Method, path: &str| {
        http()
            .request(method, sovereign.url(&format!("/v2{path}")))
            .basic_auth("sovereign-admin", Some(token))
    };
    let manifest = |body: Body| {
        ask(Method::PUT, "/acme/x/manifests/1")
            .header("content-type", crate::registry::MANIFEST)
            .body(body)
    };
    let zeros = format!("sha256:{}", "0".repeat(64));
    for (what, request, wanted) in [
        ("an oversized manifest", manifest(oversized(b' ')), vec![400, 413]),
        ("a manifest that is none", manifest("{".into()), vec![400]),
        (
            "a manifest of what is not there",
            manifest(
                json!({"schemaVersion": 2, "mediaType": crate::registry::MANIFEST,
                    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": zeros, "size": 2},
                    "layers": []})
                .to_string()
                .into(),
            ),
            vec![400, 404],
        ),
        ("a bad name", ask(Method::GET, "/ACME/X/manifests/1"), vec![400, 404]),
        ("a name outside", ask(Method::GET, "/..%2f..%2fx/manifests/1"), vec![400, 404]),
        ("a bad digest", ask(Method::GET, "/acme/x/blobs/sha256:zz"), vec![400, 404]),
        (
            "another digest",
            ask(Method::POST, &format!("/acme/x/blobs/uploads/?digest={zeros}")).body("content"),
            vec![400],
        ),
        ("no such upload", ask(Method::PATCH, "/acme/x/blobs/uploads/nothing").body("x"), vec![400, 404]),
        (
            "an oversized blob of a stranger",
            http()
                .post(sovereign.url(&format!("/v2/acme/x/blobs/uploads/?digest={zeros}")))
                .body(oversized(b'x')),
            vec![401],
        ),
        ("a bad page", ask(Method::GET, "/_catalog?n=many"), vec![400]),
    ] {
        faults.extend(refused(&format!("/v2: {what}"), request, &wanted, Shape::Oci).await.err());
    }
}

async fn issuer(sovereign: &Sovereign, faults: &mut Vec<String>) {
    let post = |path: &str| {
        http()
            .post(sovereign.url(&format!("/oidc{path}")))
            .header("content-type", "application/x-www-form-urlencoded")
    };
    let token = post("/token");
    for (what, request, wanted) in [
        ("an oversized form", post("/token").body(oversized(b'a')), vec![400, 413]),
        ("an empty form", token.body(""), vec![400, 401]),
        ("a form that is none", post("/token").body("%zz=%ff&&&=\u{0}"), vec![400, 401]),
        ("another type", http().post(sovereign.url("/oidc/token")).json(&json!({})), vec![400, 415]),
        (
            "a code that is none",
            post("/token").body("grant_type=authorization_code&client_id=catalyst-cli&code=x&redirect_uri=http://127.0.0.1:1/callback&code_verifier=y"),
            vec![400],
        ),
        (
            "a foreign redirect",
            http().get(sovereign.url("/oidc/authorize?response_type=code&client_id=catalyst-cli&redirect_uri=https://evil.example/")),
            vec![400],
        ),
        ("no client", http().get(sovereign.url("/oidc/authorize")), vec![400]),
        ("an oversized sign-in", post("/sign-in").body(oversized(b'a')), vec![400, 413]),
        ("a sign-in from nowhere", post("/sign-in").body("username=x&password=y"), vec![400, 403]),
        ("a used link", http().get(sovereign.url("/oidc/set-password?token=x")), vec![400, 404, 410]),
    ] {
        faults.extend(refused(&format!("/oidc: {what}"), request, &wanted, Shape::OAuth).await.err());
    }
}

async fn vault(sovereign: &Sovereign, token: &str, faults: &mut Vec<String>) {
    let ask = |method: Method, path: &str| {
        http()
            .request(method, sovereign.url(&format!("/vault/v1{path}")))
            .header("x-vault-token", token)
    };
    for (what, request, wanted) in [
        (
            "an oversized secret of a stranger",
            ask(Method::PUT, "/secret/data/x").body(oversized(b' ')),
            vec![403, 413],
        ),
        (
            "broken JSON",
            ask(Method::PUT, "/secret/data/x").body("{"),
            vec![400, 403],
        ),
        ("no such path", ask(Method::GET, "/nothing"), vec![403, 404]),
        (
            "a path outside",
            ask(Method::GET, "/secret/data/..%2f..%2fx"),
            vec![400, 403, 404],
        ),
        (
            "no token",
            http().get(sovereign.url("/vault/v1/secret/data/org/acme/x")),
            vec![400, 403],
        ),
    ] {
        faults.extend(
            refused(&format!("/vault: {what}"), request, &wanted, Shape::Vault)
                .await
                .err(),
        );
    }
}

async fn kubernetes(
    sovereign: &Sovereign,
    administrator: &Administrator,
    faults: &mut Vec<String>,
) {
    let ask = |method: Method, path: &str| {
        administrator
            .http
            .request(method, sovereign.cluster("lo-loc-rtz-dev", path))
    };
    let maps = "/api/v1/namespaces/default/configmaps";
    let post = |body: Body| {
        ask(Method::POST, maps)
            .header("content-type", "application/json")
            .body(body)
    };
    let laughs = {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(",");
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: laughs}}\n{text}")
    };
    let large = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"},
        "data": {"text": "x".repeat(2 << 20)}});
    for (what, request, wanted) in [
        ("oversized JSON", post(oversized(b' ')), vec![413]),
        (
            "a ConfigMap of 2 MiB",
            post(large.to_string().into()),
            vec![413, 422],
        ),
        ("broken JSON", post("{\"kind\":".into()), vec![400]),
        ("deep JSON", post("[".repeat(100_000).into()), vec![400]),
        (
            "another kind",
            post("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"}}".into()),
            vec![400],
        ),
        (
            "no name",
            post("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"}".into()),
            vec![400, 422],
        ),
        (
            "a path for a name",
            post(
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"../x\"}}"
                    .into(),
            ),
            vec![422],
        ),
        (
            "aliases without end",
            ask(Method::POST, maps)
                .header("content-type", "application/yaml")
                .body(laughs),
            vec![400, 413, 415, 422],
        ),
        (
            "another type",
            ask(Method::POST, maps)
                .header("content-type", "text/plain")
                .body("x"),
            vec![415],
        ),
        (
            "a patch that is none",
            ask(Method::PATCH, &format!("{maps}/kube-root-ca.crt"))
                .header("content-type", "application/json-patch+json")
                .body("[{\"op\":\"frobnicate\"}]"),
            vec![400, 404, 422],
        ),
        (
            "a bad page",
            ask(Method::GET, &format!("{maps}?limit=many")),
            vec![400],
        ),
        (
            "a bad continuation",
            ask(Method::GET, &format!("{maps}?limit=1&continue=zzz")),
            vec![400, 410],
        ),
        (
            "a bad revision",
            ask(Method::GET, &format!("{maps}?watch=1&resourceVersion=soon")),
            vec![400],
        ),
        (
            "a bad selector",
            ask(Method::GET, &format!("{maps}?labelSelector=a%3D%3D%3Db,,")),
            vec![400],
        ),
        (
            "no such kind",
            ask(Method::GET, "/apis/nothing/v1/things"),
            vec![404],
        ),
        (
            "no such cluster",
            administrator
                .http
                .get(sovereign.cluster("nowhere", "/api/v1/pods")),
            vec![403, 404],
        ),
        (
            "no one",
            administrator
                .anonymous
                .get(sovereign.cluster("lo-loc-rtz-dev", maps)),
            vec![401],
        ),
    ] {
        faults.extend(
            refused(
                &format!("/clusters: {what}"),
                request,
                &wanted,
                Shape::Status,
            )
            .await
            .err(),
        );
    }
}

/// What is not even HTTP, or not TLS: closed or answered 4xx, in bounded time.
fn sockets(sovereign: &Sovereign, faults: &mut Vec<String>) {
    let mut endless = b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    for number in 0..20_000 {
        endless.extend(format!("X-{number}: {}\r\n", "y".repeat(60)).bytes());
    }
    let long_path = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(2 << 20)
    );
    let cases: [(&str, &[u8]); 8] = [
        ("noise", &[0x80; 4096]),
        ("a TLS record of noise", &[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]),
        ("an SSH client", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("half a request", b"GET / HT"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("two lengths", b"POST /oidc/token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("headers without end", &endless),
        ("a path without end", long_path.as_bytes()),
    ];
    let address = sovereign.address("registry");
    // Many that say nothing do not keep others out.
    let idle: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for (what, sent) in cases {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        // It may close before all is sent.
        drop(stream.write_all(sent));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let is_closed = !read.is_err_and(|error| error.kind() != ErrorKind::ConnectionReset);
        if !is_closed || text.starts_with("HTTP/1.1 2") || text.starts_with("HTTP/1.1 5") {
            faults.push(format!("{what}: closed {is_closed}, {text}"));
        }
    }
    drop(idle);
}
