//! kube-apiserver with etcd: what the smallest control plane elsewhere costs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the peer costs.
pub struct Figures {
    /// Start to `/readyz`, in milliseconds.
    pub start: f64,
    /// Both processes' resident memory, in MB.
    pub memory: f64,
}

struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Starts both, where `make test-real` has built them.
pub async fn kubernetes(directory: &Path) -> Option<Figures> {
    let etcd = tool("etcd")?;
    let apiserver = tool("kube-apiserver")?;
    let work = directory.join("peer");
    std::fs::create_dir_all(&work).unwrap();
    let key = work.join("sa.key");
    let made = Command::new("openssl")
        .args(["genrsa", "-out"])
        .arg(&key)
        .arg("2048")
        .stderr(Stdio::null())
        .status()
        .ok()?;
    if !made.success() {
        return None;
    }
    let started = Instant::now();
    let mut running = Running(Vec::new());
    let quiet = |command: &mut Command| {
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    running.0.push(quiet(
        Command::new(etcd)
            .arg("--data-dir")
            .arg(work.join("etcd"))
            .args(["--listen-client-urls", "http://127.0.0.1:23790"])
            .args(["--advertise-client-urls", "http://127.0.0.1:23790"])
            .args(["--listen-peer-urls", "http://127.0.0.1:23800"]),
    ));
    running.0.push(quiet(
        Command::new(apiserver)
            .args(["--etcd-servers", "http://127.0.0.1:23790"])
            .args(["--secure-port", "26443", "--bind-address", "127.0.0.1"])
            .arg("--cert-dir")
            .arg(work.join("certs"))
            .args(["--service-account-issuer", "https://localhost"])
            .arg("--service-account-key-file")
            .arg(&key)
            .arg("--service-account-signing-key-file")
            .arg(&key)
            .args(["--service-cluster-ip-range", "10.96.0.0/16"])
            .args(["--authorization-mode", "RBAC"]),
    ));
    let http = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .unwrap();
    loop {
        let asked = http.get("https://127.0.0.1:26443/readyz").send().await;
        if asked.is_ok_and(|answer| answer.status().is_success()) {
            break;
        }
        if started.elapsed() > Duration::from_secs(60) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let start = started.elapsed().as_secs_f64() * 1000.0;
    let memory = running
        .0
        .iter()
        .map(|child| crate::figures::resident(child.id()))
        .sum();
    Some(Figures { start, memory })
}

/// The newest of a real part's builds.
pub fn tool(name: &str) -> Option<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    // Built under its version: `kube-apiserver-v1.34.0`.
    let tools = std::fs::read_dir(cache.join("catalyst/bin")).ok()?;
    tools
        .filter_map(|tool| Some(tool.ok()?.path()))
        .filter(|path| {
            let file = path.file_name().and_then(|file| file.to_str());
            file.is_some_and(|file| file.starts_with(&format!("{name}-v")))
        })
        .max()
}
