//! The marketplace, the plan, the install; the page and the database behind it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::People;
use super::database::SECOND_ENTRY;
use super::user::git;
use crate::sovereign::Sovereign;

const APPLICATION: &str = "/environments/acme-dev/applications/guestbook";
pub const ENTRY: &str = "Greetings from the first visitor";

fn wanted() -> Value {
    json!({
        "command": "install", "name": "guestbook", "blueprint": "bp-guestbook",
        "version": "1.0.0", "config": {"title": "Visitors"},
    })
}

pub async fn a_plan_shows_everything_and_writes_nothing(people: &mut People) {
    let before = people.alice.get("/environments/acme-dev").await["appliedRevision"].clone();
    let plan = people
        .alice
        .post("/environments/acme-dev/plans", wanted())
        .await;
    let applications: Vec<_> = plan["applications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["blueprint"].as_str().unwrap(),
                one["action"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        applications,
        [("bp-guestbook", "create"), ("bp-postgres", "create")],
        "{plan:#}"
    );
    let kinds: Vec<_> = plan["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    for kind in [
        "Namespace",
        "OCIRepository",
        "HelmRelease",
        "NetworkPolicy",
        "HTTPRoute",
        "ExternalSecret",
        "Deployment",
        "StatefulSet",
        "Service",
        // Nobody applies these; they come to be by those above.
        "PersistentVolumeClaim",
        "Secret",
    ] {
        assert!(kinds.contains(&kind), "no {kind} among {kinds:?}");
    }
    assert!(plan["digest"].as_str().unwrap().starts_with("sha256:"));
    // Planned again, it is the same plan; and nothing was written.
    let again = people
        .alice
        .post("/environments/acme-dev/plans", wanted())
        .await;
    assert_eq!(again["digest"], plan["digest"]);
    let after = people.alice.get("/environments/acme-dev").await["appliedRevision"].clone();
    assert_eq!(before, after);
    let none = people
        .alice
        .get("/environments/acme-dev/applications")
        .await;
    assert_eq!(none["items"], json!([]));

    // What is wrong with a form is said where it is wrong.
    let mut bad = wanted();
    bad["config"] = json!({"title": "", "colour": "blue"});
    let (status, problem) = people
        .alice
        .refused(
            reqwest::Method::POST,
            "/environments/acme-dev/plans",
            Some(bad),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem:#}");
    let pointers = problem["faults"].to_string();
    assert!(
        pointers.contains("title") && pointers.contains("colour"),
        "{problem:#}"
    );
}

pub async fn the_guestbook_goes_live(sovereign: &Sovereign, people: &mut People) {
    let plan = people
        .alice
        .post("/environments/acme-dev/plans", wanted())
        .await;
    let mut execute = wanted();
    execute["plan"] = plan["digest"].clone();
    let accepted = people
        .alice
        .post("/environments/acme-dev/changes", execute)
        .await;
    assert_eq!(accepted["repository"], "acme/acme-dev");
    let running = people.alice.until_phase(APPLICATION, "Running").await;
    assert_eq!(running["version"], "1.0.0");
    assert_eq!(running["health"]["phase"], "Running");
    assert!(
        running["url"]
            .as_str()
            .unwrap()
            .contains("guestbook.acme-dev.localhost")
    );
    let database = running["dependencies"]["db"].as_str().unwrap().to_owned();
    people
        .alice
        .until_phase(
            &format!("/environments/acme-dev/applications/{database}"),
            "Running",
        )
        .await;

    // One install, dependencies included, is one commit, by the one who asked.
    let folder = tempfile::tempdir().unwrap();
    let url = people.alice.repository(sovereign, "acme/acme-dev").await;
    git(folder.path(), &["clone", "--quiet", &url, "."]);
    let log = git(
        folder.path(),
        &[
            "log",
            "-1",
            "--format=%H|%an|%cn|%(trailers:key=Catalyst-Command,valueonly,separator=)",
        ],
    );
    let [commit, author, committer, command] =
        <[&str; 4]>::try_from(log.trim().split('|').collect::<Vec<_>>()).unwrap();
    assert_eq!(commit, accepted["commit"].as_str().unwrap());
    assert_eq!((author, committer), ("alice", "Catalyst"));
    assert!(!command.is_empty());
    let files = git(folder.path(), &["show", "--name-only", "--format=", "HEAD"]);
    let mut files: Vec<_> = files.lines().collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            format!("applications/{database}/application.yaml"),
            "applications/guestbook/application.yaml".to_owned(),
        ]
        .iter()
        .map(String::as_str)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );

    let page = page(sovereign, "guestbook.acme-dev").await;
    assert!(page.contains("Visitors"), "{page}");
    post_entry(sovereign, "guestbook.acme-dev", ENTRY).await;
    assert!(
        self::page(sovereign, "guestbook.acme-dev")
            .await
            .contains(ENTRY)
    );
    assert_eq!(
        status(sovereign, "guestbook.globex-dev").await,
        StatusCode::NOT_FOUND
    );
}

/// The folder of acme-dev's database, of whose claim it bears name and UID.
pub fn volume_of_the_database(data: &Path) -> PathBuf {
    let space = data.join("volumes/lo-loc-rtz-dev-acme/guestbook-db");
    let folders: Vec<PathBuf> = std::fs::read_dir(&space)
        .unwrap_or_else(|error| panic!("{}: {error}", space.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    let [folder] = folders.as_slice() else {
        panic!("not one volume: {folders:?}");
    };
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("data-guestbook-db-0."), "{name}");
    folder.clone()
}

/// PostgreSQL has written the entries down; looked at while nothing runs.
pub fn the_entries_are_in_postgres(data: &Path) {
    let folder = volume_of_the_database(data).join("data");
    for entry in [ENTRY, SECOND_ENTRY] {
        let found = Command::new("grep")
            .args(["-rlaF", "--", entry])
            .arg(&folder)
            .output()
            .unwrap();
        let files = String::from_utf8_lossy(&found.stdout);
        let said = String::from_utf8_lossy(&found.stderr);
        if said.contains("Permission denied") {
            // The database's user has a number of its own then.
            eprintln!("not looked at: PostgreSQL's files, because whoever runs this may not");
            return;
        }
        let is_its = |file: &str| file.contains("/base/") || file.contains("/pg_wal/");
        assert!(
            files.lines().any(is_its),
            "{entry:?} is not in {}: {files}{said}",
            folder.display()
        );
    }
}

pub async fn the_entry_survived(sovereign: &Sovereign, people: &mut People) {
    people.alice.until_phase(APPLICATION, "Running").await;
    until_page(sovereign, "guestbook.acme-dev", ENTRY).await;
}

/// Each Application connects to its own database, and none to another's: neither from
/// another Environment or Organization, nor from beside it in the same vcluster.
pub async fn no_other_application_reaches_the_database(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    for (user, environment) in [
        (&mut people.alice, "acme-prod"),
        (&mut people.mallory, "globex-dev"),
    ] {
        user.post(
            &format!("/environments/{environment}/changes"),
            json!({"command": "install", "name": "probe", "blueprint": "bp-postgres"}),
        )
        .await;
        user.until_phase(
            &format!("/environments/{environment}/applications/probe"),
            "Running",
        )
        .await;
    }
    let token = people.admin.token().await;
    let image = crate::pods::push_probe(sovereign, &token, directory).await;
    let dev = database_addresses(sovereign, "lo-loc-rtz-dev-acme", "guestbook-db").await;
    let prod = database_addresses(sovereign, "lo-loc-rtz-prod-acme", "probe").await;
    let globex = database_addresses(sovereign, "lo-loc-rtz-dev-globex", "probe").await;
    let places = [
        (
            ("lo-loc-rtz-dev-acme", "guestbook", "guestbook"),
            vec![(&dev.0, true), (&prod.0, false), (&globex.0, false)],
        ),
        // Where the Service is known, and nothing keeps the pod in: only what guards
        // the database refuses it.
        (
            ("lo-loc-rtz-dev-acme", "default", "stranger"),
            vec![(&dev.0, false), (&dev.1, false)],
        ),
        (
            ("lo-loc-rtz-prod-acme", "probe", "probe"),
            vec![
                (&prod.0, true),
                (&dev.0, false),
                (&dev.1, false),
                (&globex.0, false),
            ],
        ),
        (
            ("lo-loc-rtz-dev-globex", "probe", "probe"),
            vec![
                (&globex.0, true),
                (&dev.0, false),
                (&dev.1, false),
                (&prod.0, false),
            ],
        ),
    ];
    let image = image.as_str();
    let looked = places.into_iter().map(|(place, addresses)| async move {
        for (address, reaches) in addresses {
            let to = (address.as_str(), 5432);
            let answered = crate::pods::connects(sovereign, image, place, to).await;
            assert_eq!(answered, reaches, "{place:?} to {address}:5432");
        }
    });
    futures::future::join_all(looked).await;
}

/// The addresses of a database: its Service's and its pod's.
async fn database_addresses(
    sovereign: &Sovereign,
    cluster: &str,
    database: &str,
) -> (String, String) {
    let http = sovereign.administrator().http;
    let read = async |path: &str| -> Value {
        let path = format!("/api/v1/namespaces/{database}/{path}");
        let url = sovereign.cluster(cluster, &path);
        http.get(url).send().await.unwrap().json().await.unwrap()
    };
    let service = read(&format!("services/{database}")).await;
    let pods = read("pods").await;
    let text = |value: &Value| {
        value
            .as_str()
            .unwrap_or_else(|| panic!("{service} {pods}"))
            .to_owned()
    };
    (
        text(&service["spec"]["clusterIP"]),
        text(&pods["items"][0]["status"]["podIP"]),
    )
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn ask(sovereign: &Sovereign, application: &str) -> (StatusCode, String) {
    let host = format!("{application}.localhost");
    let answer = http()
        .get(sovereign.url("/"))
        .header("host", host)
        .send()
        .await
        .unwrap();
    (answer.status(), answer.text().await.unwrap())
}

pub async fn status(sovereign: &Sovereign, application: &str) -> StatusCode {
    ask(sovereign, application).await.0
}

pub async fn page(sovereign: &Sovereign, application: &str) -> String {
    let (status, text) = ask(sovereign, application).await;
    assert_eq!(status, StatusCode::OK, "{application}: {text}");
    text
}

/// Reads the page until it contains a text.
pub async fn until_page(sovereign: &Sovereign, application: &str, text: &str) {
    let started = Instant::now();
    loop {
        let (status, page) = ask(sovereign, application).await;
        if status == StatusCode::OK && page.contains(text) {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(90),
            "{application} does not show {text:?}: {status} {page}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn post_entry(sovereign: &Sovereign, application: &str, text: &str) {
    let host = format!("{application}.localhost");
    let answer = http()
        .post(sovereign.url("/"))
        .header("host", &host)
        .header("origin", format!("http://{host}"))
        .form(&[("author", "Ada"), ("message", text)])
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(
        status.is_success() || status.is_redirection(),
        "{status}: {}",
        answer.text().await.unwrap()
    );
}
