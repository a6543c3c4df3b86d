//! A tiny image, a tiny registry and a node for the tests.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalyst_node::image::Registry;
use catalyst_node::{Config, Node, NodeHandle};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Where compiled helpers are; the ordinary user's run gets copies it may read.
fn helper(name: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    std::env::var_os(name).map_or_else(default, PathBuf::from)
}

pub fn shim() -> PathBuf {
    helper("CATALYST_TEST_SHIM", || {
        PathBuf::from(env!("CARGO_BIN_EXE_catalyst-node-shim"))
    })
}

/// The static test program, compiled once per test run.
pub fn tool() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            helper("CATALYST_TEST_TOOL", || {
                let source =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/support/tool.c");
                let target =
                    std::env::temp_dir().join(format!("catalyst-tool-{}", std::process::id()));
                let output = std::process::Command::new("cc")
                    .args(["-static", "-O1", "-w", "-o"])
                    .arg(&target)
                    .arg(source)
                    .output()
                    .expect("a C compiler is needed: install gcc");
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                target
            })
        })
        .clone()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// One entry of a layer.
pub enum Entry<'a> {
    File(&'a str, &'a [u8], u32),
    Folder(&'a str),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
}

pub fn layer(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        let (name, kind, link, bytes, mode): (&str, _, _, &[u8], u32) = match entry {
            Entry::File(name, bytes, mode) => (name, tar::EntryType::Regular, None, bytes, *mode),
            Entry::Folder(name) => (name, tar::EntryType::Directory, None, &[], 0o755),
            Entry::Link(name, to) => (name, tar::EntryType::Symlink, Some(*to), &[], 0o777),
            Entry::Hard(name, to) => (name, tar::EntryType::Link, Some(*to), &[], 0o644),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        // Written by hand, because the library refuses the names the tests need.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(link) = link {
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A registry in memory.
#[derive(Default)]
pub struct Blobs(pub HashMap<String, Vec<u8>>);

impl Blobs {
    /// Adds an image of gzip layers under a repository and tag.
    pub fn image(&mut self, name: &str, tag: &str, layers: &[Vec<u8>], config: Value) {
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for (number, plain) in layers.iter().enumerate() {
            diff_ids.push(digest(plain));
            // Every compression a registry may hold, in turn.
            let (packed, kind) = match number % 3 {
                0 => {
                    let mut encoder =
                        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                    encoder.write_all(plain).unwrap();
                    (
                        encoder.finish().unwrap(),
                        "application/vnd.oci.image.layer.v1.tar+gzip",
                    )
                }
                1 => (
                    zstd::encode_all(plain.as_slice(), 1).unwrap(),
                    "application/vnd.oci.image.layer.v1.tar+zstd",
                ),
                _ => (plain.clone(), "application/vnd.oci.image.layer.v1.tar"),
            };
            descriptors
                .push(json!({"mediaType": kind, "digest": digest(&packed), "size": packed.len()}));
            self.0
                .insert(format!("{name}/blobs/{}", digest(&packed)), packed);
        }
        let config = serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}
        }))
        .unwrap();
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
            "layers": descriptors
        }))
        .unwrap();
        self.0
            .insert(format!("{name}/blobs/{}", digest(&config)), config);
        self.0.insert(
            format!("{name}/manifests/{}", digest(&manifest)),
            manifest.clone(),
        );
        self.0.insert(format!("{name}/manifests/{tag}"), manifest);
    }

    /// Serves the registry; user `u` with password `p` is required.
    pub async fn serve(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let blobs = Arc::new(self.0);
        let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let blobs = blobs.clone();
            async move {
                let is_known = request
                    .headers()
                    .get("authorization")
                    .is_some_and(|h| h == "Basic dTpw");
                if !is_known {
                    return (axum::http::StatusCode::UNAUTHORIZED, Vec::new());
                }
                match blobs.get(request.uri().path().trim_start_matches("/v2/")) {
                    Some(bytes) => (axum::http::StatusCode::OK, bytes.clone()),
                    None => (axum::http::StatusCode::NOT_FOUND, Vec::new()),
                }
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }
}

/// The standard test image.
pub fn standard() -> Blobs {
    let tool = std::fs::read(tool()).unwrap();
    let mut blobs = Blobs::default();
    let lower = layer(&[
        Entry::Folder("etc"),
        Entry::File(
            "etc/passwd",
            b"root:x:0:0::/root:/bin/sh\nnamed:x:77:78::/home/named:/bin/sh\n",
            0o644,
        ),
        Entry::Folder("tmp"),
        Entry::Folder("gone"),
        Entry::File("gone/file", b"hidden", 0o644),
        Entry::Folder("opaque"),
        Entry::File("opaque/old", b"old", 0o644),
        Entry::File("tool", &tool, 0o755),
    ]);
    let upper = layer(&[
        Entry::File("gone/.wh.file", b"", 0o644),
        Entry::Folder("opaque"),
        Entry::File("opaque/.wh..wh..opq", b"", 0o644),
        Entry::File("opaque/new", b"new", 0o644),
        Entry::Hard("same", "opaque/new"),
        Entry::Link("abs", "/opaque"),
    ]);
    let config = json!({"Entrypoint": ["/tool"], "Cmd": ["wait"], "Env": ["FROM_IMAGE=yes"], "WorkingDir": "/opaque"});
    blobs.image("test/tool", "1", &[lower, upper], config);
    blobs
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::new()
}

pub fn config(data: &Path, registry: &str) -> Config {
    let registry = registry.to_owned();
    let mut config = Config::new(data, client());
    config.shim = shim();
    config.registry_of = Arc::new(move |_| Registry {
        mirror: Some(registry.clone()),
        credentials: Some(("u".to_owned(), "p".to_owned())),
    });
    config.backoff = Duration::from_millis(100);
    config
}

pub async fn node(data: &Path) -> NodeHandle {
    let url = standard().serve().await;
    Node::open(config(data, &url)).await.unwrap()
}

pub const IMAGE: &str = "registry.test/test/tool:1";

/// A pod of one container `main`.
pub fn pod(name: &str, args: &[&str]) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 5,
                 "containers": [{"name": "main", "image": IMAGE, "args": args}]}
    })
}

/// Waits until a pod's status satisfies a condition, at most 20 s.
pub async fn until(node: &Node, uid: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut changes = node.changes();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = node.status(uid).unwrap_or(Value::Null);
        if is_it(&status) {
            return status;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "{what} never came; the status is {status:#}"
        );
        let _ = tokio::time::timeout(left, changes.recv()).await;
    }
}

pub async fn running(node: &Node, uid: &str) -> Value {
    until(node, uid, "ready", |s| condition(s, "Ready")).await
}

pub fn condition(status: &Value, kind: &str) -> bool {
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    all.iter()
        .any(|c| c["type"] == kind && c["status"] == "True")
}

/// Runs the tool in a container; gives exit code and output.
pub async fn tool_in(node: &Node, uid: &str, args: &[&str]) -> (i32, String) {
    let mut all = vec!["/tool".to_owned()];
    all.extend(args.iter().map(|a| (*a).to_owned()));
    let mut child = node.exec(uid, "main", all).await.unwrap();
    drop(child.stdin.take());
    let output = tokio::time::timeout(Duration::from_secs(15), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}
