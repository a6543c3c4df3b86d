//! Blueprints from the forge: a push is linted before it is taken, and published after.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::push::clone;
use super::user::{User, git, try_git};
use crate::sovereign::Sovereign;

/// How long a plan may stand on what was.
const PATIENCE: Duration = Duration::from_secs(30);
const DETAIL: &str = "/blueprints/acme/bp-notes";
const VERSION: &str = "/blueprints/acme/bp-notes?version=0.1.0";

/// A clone of the repository of acme's Blueprints, as it is now.
async fn cloned(sovereign: &Sovereign, user: &mut User, directory: &Path) -> PathBuf {
    let folder = directory.join("shared-blueprints");
    clone(sovereign, user, "acme/shared-blueprints", &folder).await;
    folder
}

fn commit(folder: &Path, message: &str) {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "-m", message]);
}

/// Commits everything and pushes it.
fn push(folder: &Path, message: &str) {
    commit(folder, message);
    git(folder, &["push", "--quiet", "origin", "HEAD:main"]);
}

/// The same, and what is said to a push that is refused; its commit goes.
fn refused(folder: &Path, message: &str) -> String {
    commit(folder, message);
    let pushed = try_git(folder, &["push", "--quiet", "origin", "HEAD:main"]);
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(!pushed.status.success(), "it went through: {said}");
    git(folder, &["reset", "--quiet", "--hard", "HEAD~1"]);
    said
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// What a Plan to install it says: what it prints, or why not.
async fn planned(user: &mut User) -> Result<String, String> {
    let words = "plan install team-notes -b acme/bp-notes@0.1.0 -e acme-dev";
    let words: Vec<&str> = words.split(' ').collect();
    let output = user.catalyst(&words).await;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Plans until that is refused with these words, or, without any, is not: the list of
/// Blueprints that a plan stands on may be a moment old.
async fn until_planned(user: &mut User, refused: Option<&str>) {
    let begun = Instant::now();
    loop {
        let outcome = planned(user).await;
        let is_as_wanted = match (&outcome, refused) {
            (Ok(_), None) => true,
            (Err(why), Some(words)) => why.contains(words),
            _ => false,
        };
        if is_as_wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{refused:?}: {outcome:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn a_push_publishes_a_blueprint(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let alice = &mut people.alice;
    let folder = cloned(sovereign, alice, directory).await;
    let notes = folder.join("notes");
    let place = notes.to_str().unwrap();
    let made = ["blueprint", "new", "bp-notes", "--folder", place];
    assert!(alice.catalyst(&made).await.status.success());
    // Its images are nobody's yet, so lint warns, which stands against nothing.
    push(&folder, "Write notes down");
    let detail = alice
        .until("the Blueprint is published", DETAIL, |it| {
            it["version"] == "0.1.0"
        })
        .await;

    // Signed by a key of the Organization's own, which counts for it alone.
    let sources_of = |known: &Value| -> Vec<Value> {
        let signers = known["trustedSigners"].as_array().unwrap().iter();
        signers
            .filter(|it| it["fingerprint"] == detail["signer"])
            .map(|it| it["source"].clone())
            .collect()
    };
    alice
        .until("its key is trusted for acme", "/sovereign", |known| {
            sources_of(known) == [json!("acme")]
        })
        .await;
    let registry = sovereign.address("registry").to_owned();
    let artifact = format!("{registry}/acme/bp-notes:0.1.0");
    let verified = alice.catalyst(&["blueprint", "verify", &artifact]).await;
    let digest = String::from_utf8(verified.stdout).unwrap();
    assert_eq!(json!(digest.trim()), detail["digest"]);
    // The command line makes the same of the same folder.
    let file = directory.join("notes.oci.tar");
    let file = file.to_str().unwrap();
    let package = ["blueprint", "package", place, "--file", file];
    let packed = alice.catalyst(&package).await;
    assert_eq!(String::from_utf8(packed.stdout).unwrap(), digest);

    until_planned(alice, None).await;
    let sources = "/blueprint-sources";
    let published = json!([{"name": "bp-notes", "version": "0.1.0"}]);
    let said = alice
        .until("all is published", sources, |it| {
            let item = &it["items"][0];
            item["blueprints"] == published && item["health"]["phase"] == "Running"
        })
        .await;
    let source = &said["items"][0];
    assert_eq!(source["source"], "acme");
    assert_eq!(source["problems"], json!([]), "{said:#}");
    assert_eq!(source["signer"], detail["signer"]);
    // Nobody else knows of any of it.
    let others = people.mallory.get(sources).await;
    assert!(!others.to_string().contains("acme"), "{others:#}");
    let (status, _) = people.mallory.refused(Method::GET, DETAIL, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

pub async fn a_bad_push_publishes_nothing(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let alice = &mut people.alice;
    let folder = cloned(sovereign, alice, directory).await;
    let notes = folder.join("notes");
    let before = alice.get(DETAIL).await;
    edit(&notes.join("blueprint.yaml"), "  version:", "  versoin:");
    let said = refused(&folder, "Slip");
    assert!(said.contains("notes/blueprint.yaml:"), "{said}");
    assert!(said.contains("[unknown-field]"), "{said}");
    // A version is its content.
    edit(&notes.join("README.md"), "\n", "\nMore.\n");
    let said = refused(&folder, "Say more");
    assert!(said.contains("[published] bp-notes 0.1.0"), "{said}");
    assert!(said.contains("bump the version"), "{said}");
    assert_eq!(alice.get(DETAIL).await, before);
    // Who may not publish may not push what is published.
    let folder = cloned(sovereign, &mut people.bob, directory).await;
    std::fs::write(folder.join("README.md"), "Mine.\n").unwrap();
    let said = refused(&folder, "Mine");
    assert!(said.contains("takes an org-admin of acme"), "{said}");
}

pub async fn what_is_taken_back_is_not_offered(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let alice = &mut people.alice;
    let folder = cloned(sovereign, alice, directory).await;
    let yanked = folder.join("notes/yanked.yaml");
    std::fs::write(&yanked, "0.1.0: it forgets\n").unwrap();
    push(&folder, "Take it back");
    let said = |it: &Value, words: &str| {
        it["withdrawn"]
            .as_str()
            .is_some_and(|it| it.contains(words))
    };
    alice
        .until("it is withdrawn", VERSION, |it| said(it, "it forgets"))
        .await;
    let cards = alice.get("/blueprints").await;
    assert!(!cards.to_string().contains("bp-notes"), "{cards:#}");
    until_planned(alice, Some("it was withdrawn (it forgets)")).await;

    std::fs::remove_file(&yanked).unwrap();
    push(&folder, "It remembers");
    alice
        .until("it is offered again", VERSION, |it| {
            it.get("withdrawn").is_none()
        })
        .await;
    until_planned(alice, None).await;

    std::fs::remove_dir_all(folder.join("notes")).unwrap();
    push(&folder, "No notes any more");
    alice
        .until("it is gone with its folder", VERSION, |it| {
            said(it, "folder")
        })
        .await;
    until_planned(alice, Some("it was withdrawn")).await;
}
