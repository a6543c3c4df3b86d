//! `catalyst up` that cannot start says why, exits 1 and touches nothing; one that
//! nobody listens to runs on.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use redb::TableDefinition;
use reqwest::StatusCode;

use crate::sovereign::{Sovereign, own_address, program};

/// Longer than a start or an end takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_taken_port_is_named_and_the_way_out_too() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = directory.path().join("data");
    let (code, error) = Sovereign::fail(&data, &address);
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(
        error,
        format!(
            "error: cannot listen on {address}; choose another address with --listen\n  \
             because: Address already in use (os error 98)\n"
        )
    );
    assert!(!data.exists(), "nothing was begun");
    // What is there already stays as it is.
    Sovereign::start(&data, "127.0.0.1:0").terminate();
    let kept = std::fs::read(data.join("root.key")).unwrap();
    let (code, error) = Sovereign::fail(&data, &address);
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(std::fs::read(data.join("root.key")).unwrap(), kept);
}

/// The store's file, as errors name it.
fn store(data: &Path) -> PathBuf {
    data.canonicalize().unwrap().join("store.redb")
}

#[test]
fn a_data_directory_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let running = Sovereign::start(&data, "127.0.0.1:0");
    let kubeconfig = std::fs::read(data.join("kubeconfig")).unwrap();
    let (code, error) = Sovereign::fail(&data, "127.0.0.1:0");
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(
        error,
        format!(
            "error: cannot open the store {}: another process is using it; stop that one, or use \
             another data directory\n",
            store(&data).display()
        )
    );
    // The one that runs is not disturbed: its kubeconfig still names its port.
    assert_eq!(std::fs::read(data.join("kubeconfig")).unwrap(), kubeconfig);
    let ready = TcpStream::connect(running.address("registry"));
    assert!(ready.is_ok(), "it does not answer any more: {ready:?}");
    running.terminate();
}

#[test]
fn a_data_directory_of_a_newer_release_is_refused_and_kept() {
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    Sovereign::start(&data, "127.0.0.1:0").terminate();
    let file = data.join("store.redb");
    let set_format = |format: u64| {
        let database = redb::Database::open(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut meta = transaction.open_table(META).unwrap();
        let before = meta.insert("format", format).unwrap().unwrap().value();
        drop(meta);
        transaction.commit().unwrap();
        before
    };
    let ours = set_format(99);
    let (code, error) = Sovereign::fail(&data, "127.0.0.1:0");
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(
        error,
        format!(
            "error: cannot open the store {}: its format is version 99, this release reads up to \
             {ours}; start the newer release that wrote it, or use another data directory\n",
            store(&data).display()
        )
    );
    // Nothing was changed: with its own release it opens again.
    assert_eq!(set_format(ours), 99);
    let again = Sovereign::start(&data, "127.0.0.1:0");
    assert!(again.addresses["console"].is_string());
    again.terminate();
}

#[test]
fn a_damaged_store_and_a_lost_key_are_told_apart_from_an_empty_directory() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("store.redb"), [0x5a; 9000]).unwrap();
    let (code, error) = Sovereign::fail(&data, "127.0.0.1:0");
    assert_eq!(code, Some(1), "{error}");
    let said = format!("error: the store {} is damaged: ", store(&data).display());
    assert!(error.starts_with(&said), "{error}");
    let next = "; restore its data directory from a backup, or start with another one (--data)\n";
    assert!(error.ends_with(next), "{error}");
    assert_eq!(
        std::fs::read(data.join("store.redb")).unwrap(),
        [0x5a; 9000],
        "what was there is not written over"
    );

    // A directory that is no directory, and one whose name cannot be made.
    let file = directory.path().join("file");
    std::fs::write(&file, "text").unwrap();
    for (path, reason) in [
        (file.clone(), "it is a file, not a directory"),
        (file.join("below"), "data directory"),
    ] {
        let (code, error) = Sovereign::fail(&path, "127.0.0.1:0");
        assert_eq!(code, Some(1), "{error}");
        assert!(
            error.contains(reason) && error.contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}

/// Ends when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_sovereign_runs_on_when_nobody_reads_what_it_says() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let listen = own_address();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = Command::new(program())
        .args(["up", "--listen", &listen, "--data"])
        .arg(directory.path().join("data"))
        .env("CATALYST_LOG", "info")
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn();
    let mut running = Running(child.unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{listen}/readyz");
    let started = Instant::now();
    loop {
        let answer = http.get(&url).send().await;
        if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            break;
        }
        assert_eq!(running.0.try_wait().unwrap(), None, "it ended by itself");
        assert!(started.elapsed() < PATIENCE, "it is not ready");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let asked = Command::new("kill")
        .args(["-TERM", &running.0.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(asked.elapsed() < PATIENCE, "it does not stop");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(status.success(), "{status}");
}
