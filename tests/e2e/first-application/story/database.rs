//! A database that is there already serves another Application as well, and outlives
//! it.

use serde_json::{Value, json};

use super::People;
use super::deletion::list;
use super::install::{ENTRY, page, post_entry, until_page};
use super::push::clone;
use super::user::git;
use crate::sovereign::Sovereign;

const ACME_DEV: &str = "lo-loc-rtz-dev-acme";
const CHANGES: &str = "/environments/acme-dev/changes";
const APPLICATIONS: &str = "/environments/acme-dev/applications";
/// Written in the second guestbook.
pub const SECOND_ENTRY: &str = "Greetings from the second guestbook";

/// Instead of a database of its own, a new Application may have one that is there.
/// Both write to it then, into one table, since its connection names one database;
/// and when the new one goes with its data, nothing of the other's does.
pub async fn a_database_that_is_there_can_be_picked(sovereign: &Sovereign, people: &mut People) {
    let mut second = json!({
        "command": "install", "name": "second", "blueprint": "bp-guestbook", "version": "1.0.0",
        "config": {"title": "The second"},
    });
    let path = "/environments/acme-dev/plans";
    let plan = people.alice.post(path, second.clone()).await;
    let database = &plan["applications"][1];
    assert_eq!(database["name"], "second-db", "{plan:#}");
    assert_eq!(database["action"], "create");
    assert_eq!(database["alias"], "db");
    assert_eq!(database["alternatives"], json!(["guestbook-db"]));

    second["dependencies"] = json!({"db": "guestbook-db"});
    let plan = people.alice.post(path, second.clone()).await;
    assert_eq!(names(&plan["applications"]), ["second"], "{plan:#}");
    let is_new_database = |one: &Value| one["kind"] == "StatefulSet" && one["action"] == "create";
    let objects = plan["objects"].as_array().unwrap();
    assert!(!objects.iter().any(is_new_database), "{plan:#}");

    let before = database_of_acme_dev(sovereign).await;
    second["plan"] = plan["digest"].clone();
    it_is_installed_by_one_commit(sovereign, people, second).await;
    let running = people
        .alice
        .until_phase(&format!("{APPLICATIONS}/second"), "Running")
        .await;
    assert_eq!(running["dependencies"], json!({"db": "guestbook-db"}));
    let all = people.alice.get(APPLICATIONS).await;
    let mut all = names(&all["items"]);
    all.sort_unstable();
    assert_eq!(all, ["guestbook", "guestbook-db", "second"]);
    assert_eq!(database_of_acme_dev(sovereign).await, before);

    until_page(sovereign, "second.acme-dev", "The second").await;
    post_entry(sovereign, "second.acme-dev", SECOND_ENTRY).await;
    for application in ["guestbook.acme-dev", "second.acme-dev"] {
        let shown = page(sovereign, application).await;
        for entry in [ENTRY, SECOND_ENTRY] {
            assert!(shown.contains(entry), "no {entry:?} in {shown}");
        }
    }

    it_goes_without_the_database(people).await;
    assert_eq!(database_of_acme_dev(sovereign).await, before);
    let shown = page(sovereign, "guestbook.acme-dev").await;
    assert!(shown.contains(SECOND_ENTRY), "{shown}");
}

/// The names of Applications in a list.
fn names(applications: &Value) -> Vec<&str> {
    let applications = applications.as_array().unwrap().iter();
    applications
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

/// The commit adds the Application's file to what was there, and nothing else.
async fn it_is_installed_by_one_commit(sovereign: &Sovereign, people: &mut People, install: Value) {
    let folder = tempfile::tempdir().unwrap();
    let repository = "acme/acme-dev";
    clone(sovereign, &mut people.alice, repository, folder.path()).await;
    let before = git(folder.path(), &["rev-parse", "HEAD"]);
    let accepted = people.alice.post(CHANGES, install).await;
    git(folder.path(), &["pull", "--quiet", "--ff-only"]);
    let range = format!("{}..HEAD", before.trim());
    let commits = git(folder.path(), &["rev-list", &range]);
    assert_eq!(commits.trim(), accepted["commit"].as_str().unwrap());
    let changed = git(folder.path(), &["diff", "--name-status", &range]);
    assert_eq!(
        changed.trim(),
        "A\tapplications/second/application.yaml",
        "{range}"
    );
}

/// alice deletes the second guestbook with all its data, of which it has none.
async fn it_goes_without_the_database(people: &mut People) {
    let database = format!("{APPLICATIONS}/guestbook-db");
    people
        .alice
        .until("both depend on the database", &database, |value| {
            value["dependents"] == json!(["guestbook", "second"])
        })
        .await;
    let delete = json!({"command": "delete", "application": "second", "data": "drop"});
    people.alice.post(CHANGES, delete).await;
    let second = format!("{APPLICATIONS}/second");
    people.alice.until_gone(&second).await;
    let is_it = |one: &Value| one["name"] == "acme-dev/second";
    let ended = people.alice.until_ended("second", is_it).await;
    assert_eq!(ended["leftBehind"], Value::Null, "{ended:#}");
    for application in ["guestbook", "guestbook-db"] {
        let path = format!("{APPLICATIONS}/{application}");
        people.alice.until_phase(&path, "Running").await;
    }
    people
        .alice
        .until("one depends on the database", &database, |value| {
            value["dependents"] == json!(["guestbook"])
        })
        .await;
}

/// What tells whether acme-dev's database was touched: its pod, how often that was
/// started again, and its volume.
async fn database_of_acme_dev(sovereign: &Sovereign) -> Value {
    let only = async |kind: &str| -> Value {
        let path = format!("/api/v1/namespaces/guestbook-db/{kind}");
        let all = list(sovereign, ACME_DEV, &path).await;
        let [one] = all["items"].as_array().unwrap().as_slice() else {
            panic!("not one of {kind}: {all:#}");
        };
        one.clone()
    };
    let pod = only("pods").await;
    let claim = only("persistentvolumeclaims").await;
    let database = json!({
        "pod": pod["metadata"]["uid"],
        "restarts": pod["status"]["containerStatuses"][0]["restartCount"],
        "claim": claim["metadata"]["uid"],
        "volume": claim["spec"]["volumeName"],
    });
    let mut known = database.as_object().unwrap().values();
    assert!(known.all(|one| !one.is_null()), "{database:#}");
    database
}
