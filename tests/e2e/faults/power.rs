//! Power cuts at random points while Applications are installed, changed and
//! deleted, and while every surface takes writes: nothing acknowledged is lost,
//! and the work goes on to its end.
//!
//! The points are drawn from a seed that is printed; `CATALYST_FAULTS_SEED`
//! repeats a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::registry::{MANIFEST, digest};
use crate::sovereign::{Sovereign, own_address};
use crate::user::{User, git, phase_of};

/// Power cuts; fewer when they take too long.
const ROUNDS: u32 = 10;
const AT_MOST: Duration = Duration::from_secs(60);
/// The longest time from a command to the power cut.
const LONGEST: u64 = 1500;
const APPLICATIONS: &str = "/environments/acme-dev/applications";
const APPLICATION: &str = "/environments/acme-dev/applications/store";

/// Numbers that look random (xorshift64*); never zero inside.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }
}

/// What was acknowledged, and so must be there.
#[derive(Default)]
struct Acknowledged {
    commits: BTreeSet<String>,
    objects: BTreeSet<String>,
    artifacts: BTreeSet<String>,
    /// What the last acknowledged command asked for; `None` after a deletion.
    connections: Option<u64>,
}

#[tokio::test]
async fn power_cuts_at_random_points_lose_nothing_that_was_acknowledged() {
    crate::begin();
    let seed = match std::env::var("CATALYST_FAULTS_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 20_261_123,
    };
    eprintln!("power cuts: CATALYST_FAULTS_SEED={seed}");
    let mut draw = Draw(seed);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let listen = own_address();
    let mut sovereign = Sovereign::start(&data, &listen);
    let mut admin = crate::admin(&sovereign).await;
    crate::acme_dev(&mut admin).await;

    let mut kept = Acknowledged::default();
    let began = Instant::now();
    let mut rounds = 0;
    let mut longest = LONGEST;
    let is_on = |rounds: u32, kept: &Acknowledged| match began.elapsed() {
        // A busy machine answers later, and answers are what this is about.
        elapsed if kept.commits.is_empty() => elapsed < AT_MOST * 3,
        elapsed => rounds < ROUNDS && elapsed < AT_MOST,
    };
    while is_on(rounds, &kept) {
        rounds += 1;
        let command = next_command(&mut admin, &mut draw).await;
        let until = Duration::from_millis(draw.below(longest));
        let answered = {
            let writes = write_until(&sovereign, &mut kept, rounds, admin.token().await);
            let asked = carry_out(&sovereign, admin.token().await, command.clone());
            let (answered, ()) = tokio::join!(
                async { tokio::time::timeout(until, asked).await.ok().flatten() },
                async { drop(tokio::time::timeout(until, writes).await) },
            );
            answered
        };
        sovereign.kill();
        sovereign = Sovereign::start(&data, &listen);
        admin.reconnect();
        if let Some(commit) = answered {
            kept.commits.insert(commit);
            kept.connections = command.as_ref().and_then(wanted_connections);
        } else if command.is_some() {
            longest += LONGEST / 3;
            // It may have happened or not; what Git says counts from here on.
            kept.connections = in_git(&sovereign, &mut admin, directory.path()).await;
        }
        everything_is_there(&sovereign, &mut admin, &kept, directory.path()).await;
    }
    eprintln!(
        "power cuts: {rounds}, {} commits, {} objects, {} artifacts acknowledged",
        kept.commits.len(),
        kept.objects.len(),
        kept.artifacts.len()
    );
    assert!(!kept.commits.is_empty() && !kept.objects.is_empty());

    // The story goes on: whatever was begun ends as it was asked for.
    if crate::pods::obstacle().is_some() {
        eprintln!("not run: the end of the story, because this machine runs no containers");
        return;
    }
    settle(&mut admin, kept.connections).await;
    sovereign.terminate();
}

fn wanted_connections(command: &Value) -> Option<u64> {
    command["config"]["maxConnections"].as_u64()
}

/// Something that can be asked for as things stand; `None` while a deletion is
/// under way, which the power cut then hits.
async fn next_command(admin: &mut User, draw: &mut Draw) -> Option<Value> {
    let connections = 50 + draw.below(100);
    // The read side may be a moment behind Git after a start.
    let (status, found) = admin.ask(Method::GET, APPLICATION, None).await;
    match (status, phase_of(&found)) {
        (StatusCode::NOT_FOUND, _) => Some(json!({
            "command": "install", "name": "store", "blueprint": "bp-postgres",
            "config": {"maxConnections": connections},
        })),
        (_, Some("Deleting" | "Uninstalling")) => None,
        _ if draw.below(3) == 0 => {
            Some(json!({"command": "delete", "application": "store", "data": "drop"}))
        }
        _ => Some(json!({
            "command": "change", "application": "store",
            "config": {"maxConnections": connections},
        })),
    }
}

/// Sends a command; its commit, if it was acknowledged.
async fn carry_out(sovereign: &Sovereign, token: String, command: Option<Value>) -> Option<String> {
    let Some(command) = command else {
        return std::future::pending().await;
    };
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(format!(
            "{}/environments/acme-dev/changes",
            sovereign.address("api")
        ))
        .bearer_auth(token)
        .json(&command)
        .send()
        .await
        .ok()?;
    let status = answer.status();
    let value: Value = answer.json().await.ok()?;
    // What the read side did not know yet is refused, never half done.
    assert!(
        status.is_success() || status == StatusCode::CONFLICT || status == StatusCode::NOT_FOUND,
        "{command}: {status} {value:#}"
    );
    let commit = value["commit"].as_str()?.to_owned();
    // It runs on until the power is cut.
    tokio::task::yield_now().await;
    Some(commit)
}

/// Writes to the Kubernetes API and the registry until the power is cut.
async fn write_until(sovereign: &Sovereign, kept: &mut Acknowledged, round: u32, token: String) {
    let administrator = sovereign.administrator();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for number in 0.. {
        let name = format!("round-{round}-{number}");
        let created = administrator
            .http
            .post(sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces/default/configmaps"))
            .json(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}))
            .send()
            .await
            .unwrap();
        assert_eq!(created.status(), StatusCode::CREATED);
        kept.objects.insert(name.clone());

        let content = name.clone().into_bytes();
        let config = digest(&content);
        let path = format!("/v2/acme/power/blobs/uploads/?digest={config}");
        let size = content.len();
        let stored = http
            .post(sovereign.url(&path))
            .basic_auth("sovereign-admin", Some(&token))
            .body(content)
            .send()
            .await
            .unwrap();
        assert_eq!(stored.status(), StatusCode::CREATED);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": "text/plain", "digest": config, "size": size},
        });
        let tagged = http
            .put(sovereign.url(&format!("/v2/acme/power/manifests/{name}")))
            .header("content-type", MANIFEST)
            .basic_auth("sovereign-admin", Some(&token))
            .body(manifest.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(tagged.status(), StatusCode::CREATED);
        kept.artifacts.insert(name);
    }
}

/// A fresh clone of the Environment's repository.
async fn clone(sovereign: &Sovereign, admin: &mut User, directory: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(directory).unwrap();
    let url = admin.repository(sovereign, "acme/acme-dev").await;
    git(folder.path(), &["clone", "--quiet", &url, "."]);
    folder
}

/// How many connections Git asks for; `None` when the Application is not there,
/// or on its way out.
async fn in_git(sovereign: &Sovereign, admin: &mut User, directory: &Path) -> Option<u64> {
    let folder = clone(sovereign, admin, directory).await;
    let file = folder.path().join("applications/store/application.yaml");
    let text = std::fs::read_to_string(file).ok()?;
    let application = catalyst_yaml::from_str(&text).unwrap();
    if !application["spec"]["deletion"].is_null() {
        return None;
    }
    application["spec"]["config"]["maxConnections"].as_u64()
}

async fn everything_is_there(
    sovereign: &Sovereign,
    admin: &mut User,
    kept: &Acknowledged,
    directory: &Path,
) {
    let folder = clone(sovereign, admin, directory).await;
    git(folder.path(), &["fsck", "--strict", "--no-progress"]);
    let log = git(folder.path(), &["log", "--format=%H"]);
    let log: BTreeSet<&str> = log.lines().collect();
    for commit in &kept.commits {
        assert!(log.contains(commit.as_str()), "{commit} is gone from Git");
    }
    assert_eq!(
        in_git(sovereign, admin, directory).await,
        kept.connections,
        "Git does not say what was acknowledged last"
    );
    let administrator = sovereign.administrator();
    let objects: Value = administrator
        .http
        .get(sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces/default/configmaps"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let there: BTreeSet<&str> = objects["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    for name in &kept.objects {
        assert!(there.contains(name.as_str()), "the object {name} is gone");
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = admin.token().await;
    if let Some(name) = kept.artifacts.last() {
        let tags: Value = http
            .get(sovereign.url("/v2/acme/power/tags/list"))
            .basic_auth("sovereign-admin", Some(&token))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let tags: BTreeSet<&str> = tags["tags"]
            .as_array()
            .unwrap_or_else(|| panic!("{name}: {tags}"))
            .iter()
            .map(|tag| tag.as_str().unwrap())
            .collect();
        for name in &kept.artifacts {
            assert!(tags.contains(name.as_str()), "the artifact {name} is gone");
        }
    }
}

/// Waits until things are as Git says, then goes through a whole life once more.
async fn settle(admin: &mut User, connections: Option<u64>) {
    if connections.is_some() {
        admin.until_phase(APPLICATION, "Running").await;
    } else {
        admin
            .until_answer("store is gone", APPLICATION, |status, _| {
                status == StatusCode::NOT_FOUND
            })
            .await;
        admin
            .post(
                "/environments/acme-dev/changes",
                json!({"command": "install", "name": "store", "blueprint": "bp-postgres"}),
            )
            .await;
        admin.until_phase(APPLICATION, "Running").await;
    }
    admin
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "delete", "application": "store", "data": "drop"}),
        )
        .await;
    admin
        .until("nothing is left", APPLICATIONS, |value| {
            value["items"] == json!([])
        })
        .await;
}
