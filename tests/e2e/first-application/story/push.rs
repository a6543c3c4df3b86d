//! A plain `git push` is as good as a command, and is held to the same rules.

use std::path::Path;

use super::People;
use super::install::until_page;
use super::user::{User, git, try_git};
use crate::sovereign::Sovereign;

const FILE: &str = "applications/guestbook/application.yaml";

/// A clone in which the user's name is set.
pub async fn clone(sovereign: &Sovereign, user: &mut User, repository: &str, folder: &Path) {
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder).unwrap();
    let url = user.repository(sovereign, repository).await;
    git(folder, &["clone", "--quiet", &url, "."]);
    git(folder, &["config", "user.name", &user.name]);
    git(
        folder,
        &[
            "config",
            "user.email",
            &format!("{}@acme.example", user.name),
        ],
    );
}

fn edit(folder: &Path, from: &str, to: &str) {
    let file = folder.join(FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed, "{from:?} is not in\n{text}");
    std::fs::write(file, changed).unwrap();
}

/// How the refusal of what stands on a line begins: file and line.
fn place(folder: &Path, text: &str) -> String {
    let file = std::fs::read_to_string(folder.join(FILE)).unwrap();
    let line = file.lines().position(|line| line.contains(text)).unwrap();
    format!("{FILE}:{}: ", line + 1)
}

pub async fn a_push_updates_the_application(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = directory.join("acme-dev");
    clone(sovereign, &mut people.bob, "acme/acme-dev", &folder).await;
    edit(&folder, "Visitors", "Guests of Acme");
    // Whom a commit names as its author is free text.
    let author = "--author=Robert of Acme <robert@acme.example>";
    let message = "Call it what it is";
    git(
        &folder,
        &["commit", "--quiet", "--all", author, "-m", message],
    );
    git(&folder, &["push", "--quiet"]);
    until_page(sovereign, "guestbook.acme-dev", "Guests of Acme").await;

    let history = people
        .alice
        .until(
            "who pushed is known",
            "/environments/acme-dev/applications/guestbook/history",
            |history| history["items"][0]["pushedBy"] == "bob",
        )
        .await;
    let newest = &history["items"][0];
    assert_eq!(newest["author"], "Robert of Acme", "{history:#}");
    assert_eq!(newest["subject"], "Call it what it is");
    assert!(newest.get("command").is_none(), "{newest:#}");
    let detail = people
        .alice
        .get(&format!(
            "/environments/acme-dev/applications/guestbook/history/{}",
            newest["commit"].as_str().unwrap()
        ))
        .await;
    let diff = detail["diff"].as_str().unwrap();
    for line in ["-    title: Visitors", "+    title: Guests of Acme"] {
        assert!(diff.contains(line), "no {line:?} in {diff}");
    }
}

/// What was acknowledged stays in the history, under the name of who did it, and
/// nobody reaches into another Organization from their own.
pub async fn a_push_takes_nothing_back_and_passes_for_nobody(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = directory.join("honest");
    let commit = ["commit", "--quiet", "--all", "--allow-empty", "-m"];
    let spoken = |pushed: std::process::Output| {
        let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
        assert!(!pushed.status.success(), "it went through");
        said
    };
    clone(sovereign, &mut people.bob, "acme/acme-dev", &folder).await;
    git(&folder, &["reset", "--quiet", "--hard", "HEAD~1"]);
    git(&folder, &[&commit[..], &["Begin anew"]].concat());
    let said = spoken(try_git(&folder, &["push", "--quiet", "--force"]));
    assert!(said.contains("only goes forward"), "{said}");

    clone(sovereign, &mut people.bob, "acme/acme-dev", &folder).await;
    let as_alice = ["-c", "user.name=Alice"];
    git(&folder, &[&as_alice, &commit[..], &["Not me"]].concat());
    let said = spoken(try_git(&folder, &["push", "--quiet"]));
    assert!(said.contains("names Alice as its author"), "{said}");

    clone(sovereign, &mut people.bob, "acme/acme-dev", &folder).await;
    let claim = "Change it\n\nCatalyst-Command: change";
    git(&folder, &[&commit[..], &[claim]].concat());
    let said = spoken(try_git(&folder, &["push", "--quiet"]));
    assert!(said.contains("Catalyst marks its own commits"), "{said}");

    for (from, to, reason) in [
        (
            "namespace: acme-dev",
            "namespace: globex-dev",
            "metadata.namespace must be the Environment's name; write `namespace: acme-dev`",
        ),
        (
            "source: catalog",
            "source: globex",
            "Blueprints of globex are not for acme; use catalog, catalog-sovereign or acme",
        ),
    ] {
        clone(sovereign, &mut people.bob, "acme/acme-dev", &folder).await;
        edit(&folder, from, to);
        git(&folder, &[&commit[..], &["Reach out"]].concat());
        let said = spoken(try_git(&folder, &["push", "--quiet"]));
        let expected = place(&folder, to) + reason;
        assert!(said.contains(&expected), "no {expected:?} in {said}");
    }
}

pub async fn bad_pushes_are_refused_with_file_and_line(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = directory.join("bad");
    for (from, to, line, reason) in [
        (
            "title: Guests of Acme",
            "title: Guests of Acme\n    replicas: many",
            "replicas: many",
            "config.replicas: the value is not of type \"integer\"",
        ),
        (
            "bp-guestbook",
            "bp-nowhere",
            "blueprint:",
            "the source catalog has no Blueprint bp-nowhere; look for it in the marketplace, or register it",
        ),
        (
            "name: guestbook",
            "name: other",
            "name: other",
            "metadata.name is \"other\", but the folder is \"guestbook\"; give both one name",
        ),
    ] {
        clone(sovereign, &mut people.bob, "acme/acme-dev", &folder).await;
        edit(&folder, from, to);
        git(&folder, &["commit", "--quiet", "--all", "-m", "Break it"]);
        let pushed = try_git(&folder, &["push", "--quiet"]);
        let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
        assert!(!pushed.status.success(), "{to:?} went through");
        let expected = place(&folder, line) + reason;
        assert!(said.contains(&expected), "no {expected:?} in {said}");
    }
    // Somebody else's repository is not even there, whatever is pushed.
    clone(sovereign, &mut people.bob, "acme/acme-dev", &folder).await;
    let before = git(&folder, &["rev-parse", "HEAD"]);
    git(&folder, &["config", "user.name", "mallory"]);
    let commit = ["commit", "--quiet", "--allow-empty", "-m", "Nothing wrong"];
    git(&folder, &commit);
    let url = people.mallory.repository(sovereign, "acme/acme-dev").await;
    let pushed = try_git(&folder, &["push", "--quiet", &url, "HEAD:main"]);
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(!pushed.status.success(), "mallory pushed");
    assert!(said.contains("not found"), "{said}");
    // Nor does a refused push leave a trace.
    let main = git(&folder, &["ls-remote", "origin", "refs/heads/main"]);
    assert_eq!(main, format!("{}\trefs/heads/main\n", before.trim()));
    let log = git(&folder, &["log", "--format=%s", before.trim()]);
    assert!(!log.contains("Break it"), "{log}");
    until_page(sovereign, "guestbook.acme-dev", "Guests of Acme").await;
}
