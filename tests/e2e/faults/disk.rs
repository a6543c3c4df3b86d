//! A full disk: what cannot be kept is refused with that reason, what was
//! acknowledged stays, reading goes on, and so does everything once there is
//! room again.
//!
//! The data lies on a small memory file system in a mount namespace of its own,
//! held by a process that sleeps; the Sovereign is started inside it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::registry::digest;
use crate::sovereign::{Sovereign, own_address, with_arguments};
use crate::user::{User, try_git};

/// Enough for a Sovereign that is used.
const ENOUGH: &str = "56m";
/// Enough to begin, and too little for the images that ship with it.
const TOO_LITTLE: &str = "3m";

/// A file system that can be filled.
struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of a size, in the words of tmpfs(5); `None`, with a word to the reader, where that is not allowed.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let namespaces = if is_root { "-m" } else { "-Urm" };
        let script = format!(
            "mount -t tmpfs -o size={size} none '{}' && echo mounted && exec sleep 600",
            folder.display()
        );
        let mut holder = Command::new("unshare")
            .args([namespaces, "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let read = BufReader::new(holder.stdout.take()?).read_line(&mut line);
        if read.is_ok() && line == "mounted\n" {
            let folder = folder.to_owned();
            return Some(Self { holder, folder });
        }
        drop(holder.kill());
        drop(holder.wait());
        eprintln!("not run: a full disk, because this machine mounts no tmpfs for us");
        None
    }

    /// The beginning of a command that runs where the disk is seen.
    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(self.holder.id().to_string());
        if !rustix::process::geteuid().is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.args(["-m", "--"]);
        command
    }

    /// The command that becomes a Sovereign whose data is on this disk.
    fn command(&self, listen: &str) -> Command {
        let mut command = self.inside();
        command.arg(env!("CARGO_BIN_EXE_catalyst"));
        with_arguments(command, &self.folder.join("data"), listen)
    }

    /// A path on the disk, as seen from here.
    fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    /// Takes all that is left, to the last byte.
    fn fill(&self) {
        let mut filler = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.seen(&self.folder.join("filler")))
            .unwrap();
        for block in [1 << 20, 4096, 1] {
            let zeros = vec![0; block];
            while filler.write_all(&zeros).is_ok() {}
        }
    }

    /// Makes it larger.
    fn grow(&self, size: &str) {
        let mut command = self.inside();
        command.args(["mount", "-o"]);
        command.arg(format!("remount,size={size}"));
        assert!(command.arg(&self.folder).status().unwrap().success());
    }

    fn make_room(&self) {
        std::fs::remove_file(self.seen(&self.folder.join("filler"))).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn start(disk: &SmallDisk, listen: &str) -> Sovereign {
    let mut sovereign = Sovereign::start_by(disk.command(listen));
    let kubeconfig = disk.seen(Path::new(sovereign.address("kubeconfig")));
    sovereign.addresses["kubeconfig"] = json!(kubeconfig);
    sovereign
}

/// Tries a write on a surface; its status and what was said.
async fn write(
    sovereign: &Sovereign,
    admin: &mut User,
    surface: &str,
    number: usize,
) -> (StatusCode, String) {
    let token = admin.token().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = match surface {
        "api" => http
            .post(format!("{}/organizations", sovereign.address("api")))
            .bearer_auth(&token)
            .json(&json!({"name": format!("more{number}")})),
        "git" => http
            .post(sovereign.url("/git/api/v1/orgs"))
            .bearer_auth(&token)
            .json(&json!({"username": format!("forge{number}")})),
        "registry" => {
            let content = vec![u8::try_from(number).unwrap(); 1 << 20];
            let digest = digest(&content);
            http.post(sovereign.url(&format!("/v2/acme/full/blobs/uploads/?digest={digest}")))
                .basic_auth("sovereign-admin", Some(&token))
                .body(content)
        }
        "kubernetes" => sovereign
            .administrator()
            .http
            .post(sovereign.cluster("lo-loc-mgt-prod", "/api/v1/namespaces/default/configmaps"))
            .json(&json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("full{number}")},
                // Large enough that no slack in the store takes it.
                "data": {"text": "x".repeat(600 * 1024)},
            })),
        other => panic!("{other}"),
    };
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// The way out is the last thing that is said.
fn names_the_full_disk(disk: &SmallDisk, error: &str) {
    let data = disk.folder.join("data");
    let last = format!(
        "hint: the disk of {} is full; free space and start again\n",
        data.display()
    );
    assert!(error.ends_with(&last), "{error}");
}

#[test]
fn a_first_start_that_fills_the_disk_says_so_and_works_once_there_is_room() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(directory.path(), TOO_LITTLE) else {
        return;
    };
    let (code, error) = Sovereign::fail_by(disk.command("127.0.0.1:0"));
    assert_eq!(code, Some(1), "{error}");
    names_the_full_disk(&disk, &error);
    disk.grow(ENOUGH);
    start(&disk, "127.0.0.1:0").terminate();
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_acknowledged_is_lost() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(directory.path(), ENOUGH) else {
        return;
    };

    // Full from the start: it says so and leaves.
    disk.fill();
    let (code, error) = Sovereign::fail_by(disk.command("127.0.0.1:0"));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    names_the_full_disk(&disk, &error);
    disk.make_room();

    // Full while it runs.
    let listen = own_address();
    let sovereign = start(&disk, &listen);
    let mut admin = crate::admin(&sovereign).await;
    admin.post("/organizations", json!({"name": "acme"})).await;
    admin.until_phase("/organizations/acme", "Running").await;
    let clone = tempfile::tempdir().unwrap();
    big_commit(&sovereign, &mut admin, &clone.path().join("x")).await;
    disk.fill();
    let mut acknowledged = Vec::new();
    for surface in ["kubernetes", "registry", "git", "api"] {
        let mut refused = None;
        // The store's file has some room of its own left.
        for number in 0..40 {
            let (status, said) = write(&sovereign, &mut admin, surface, number).await;
            if status.is_success() {
                acknowledged.push((surface, number));
                continue;
            }
            refused = Some((status, said));
            break;
        }
        let (status, said) = refused.unwrap_or_else(|| panic!("{surface} is never refused"));
        assert!(
            matches!(
                status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE
            ),
            "{surface}: {status} {said}"
        );
        let said = said.to_lowercase();
        assert!(
            said.contains("no space left") || said.contains("disk is full"),
            "{surface}: {said}"
        );
    }
    a_push_is_refused(clone.path().join("x").as_path());
    // Reading goes on.
    let (status, value) = admin.ask(Method::GET, "/organizations/acme", None).await;
    assert_eq!(status, StatusCode::OK, "{value:#}");

    // There is room again: without a restart, everything works as before.
    disk.make_room();
    for surface in ["kubernetes", "registry", "git", "api"] {
        let began = Instant::now();
        loop {
            let (status, said) = write(&sovereign, &mut admin, surface, 100).await;
            if status.is_success() {
                acknowledged.push((surface, 100));
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{surface} stays refused: {status} {said}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    admin.until_phase("/organizations/more100", "Running").await;
    let folder = clone.path().join("x");
    crate::user::git(&folder, &["push", "--quiet", "origin", "HEAD:main"]);
    // Full, and the power goes; then there is room again.
    disk.fill();
    sovereign.kill();
    let (code, error) = Sovereign::fail_by(disk.command(&listen));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    names_the_full_disk(&disk, &error);
    disk.make_room();
    let sovereign = start(&disk, &listen);
    admin.reconnect();
    for (surface, number) in acknowledged {
        is_there(&sovereign, &mut admin, surface, number).await;
    }
    admin.until_phase("/organizations/acme", "Running").await;
    sovereign.terminate();
}

/// A clone with a commit that is not small.
async fn big_commit(sovereign: &Sovereign, admin: &mut User, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let url = admin.repository(sovereign, "acme/shared-blueprints").await;
    let git = |words: &[&str]| crate::user::git(folder, words);
    git(&["clone", "--quiet", &url, "."]);
    // Does not compress, so that it is not small on the other side either.
    let mut noise = vec![0; 4 << 20];
    aws_lc_rs::rand::fill(&mut noise).unwrap();
    std::fs::write(folder.join("noise"), noise).unwrap();
    git(&["config", "user.name", "Ada"]);
    git(&["config", "user.email", "ada@acme.example"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "Noise"]);
}

/// A push is refused in words, and the branch stays where it was.
fn a_push_is_refused(folder: &Path) {
    let git = |words: &[&str]| try_git(folder, words);
    let before = git(&["ls-remote", "origin", "main"]);
    let said = String::from_utf8_lossy(&before.stderr).into_owned();
    assert!(before.status.success(), "reading needs no room: {said}");
    let pushed = git(&["push", "--quiet", "origin", "HEAD:main"]);
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(!pushed.status.success(), "{said}");
    assert!(
        said.contains("No space left on device") || said.contains("disk is full"),
        "{said}"
    );
    let after = git(&["ls-remote", "origin", "main"]).stdout;
    assert_eq!(after, before.stdout);
}

/// Whether what was acknowledged is there.
async fn is_there(sovereign: &Sovereign, admin: &mut User, surface: &str, number: usize) {
    let token = admin.token().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = match surface {
        "api" => http
            .get(format!(
                "{}/organizations/more{number}",
                sovereign.address("api")
            ))
            .bearer_auth(&token),
        "git" => http
            .get(sovereign.url(&format!("/git/api/v1/orgs/forge{number}")))
            .bearer_auth(&token),
        "registry" => {
            let digest = digest(&vec![u8::try_from(number).unwrap(); 1 << 20]);
            http.get(sovereign.url(&format!("/v2/acme/full/blobs/{digest}")))
                .basic_auth("sovereign-admin", Some(&token))
        }
        "kubernetes" => sovereign.administrator().http.get(sovereign.cluster(
            "lo-loc-mgt-prod",
            &format!("/api/v1/namespaces/default/configmaps/full{number}"),
        )),
        other => panic!("{other}"),
    };
    let answer = request.send().await.unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::OK,
        "{surface} {number} was acknowledged and is gone"
    );
    if surface == "kubernetes" {
        let object: Value = answer.json().await.unwrap();
        assert_eq!(object["data"]["text"].as_str().unwrap().len(), 600 * 1024);
    }
}
