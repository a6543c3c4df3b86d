//! `catalyst provision`, as far as it needs neither a cloud nor OpenTofu. The commands
//! are those of docs/SOVEREIGN-PROVISIONING.md.

use std::process::Stdio;

use crate::support::{Home, Outcome, finish, mode};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me\n";
const CANARY: &str = "canary-hcloud-token-123";

fn home() -> Home {
    let home = Home::new("");
    std::fs::create_dir(home.path(".ssh")).unwrap();
    home.write(".ssh/id_ed25519.pub", KEY);
    home
}

/// The example of the procedure.
fn description() -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/SOVEREIGN-PROVISIONING.md"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let example = text.split("```yaml\n").nth(1).unwrap();
    example.split("```").next().unwrap().to_owned()
}

fn with_token(home: &Home, words: &[&str]) -> Outcome {
    let mut command = home.command(words);
    command.env("HCLOUD_TOKEN", CANARY);
    finish(command.spawn().unwrap())
}

#[test]
fn the_description_in_the_procedure_is_right_and_renders() {
    let home = home();
    home.write("sovereign.yaml", &description());
    std::fs::create_dir(home.path("sovereigns")).unwrap();
    let outcome = home.run_unknown(&["provision", "render", "--into", "sovereigns"]);
    outcome.worked();
    assert!(
        outcome
            .err
            .contains("files below sovereigns/clusters/omantel.example"),
        "{}",
        outcome.err
    );
    let settings = home.path("sovereigns/clusters/omantel.example/settings.yaml");
    let settings = std::fs::read_to_string(settings).unwrap();
    assert!(settings.contains("location: fsn1"), "{settings}");
    let again = home.run_unknown(&["provision", "render", "--into", "sovereigns"]);
    assert!(again.err.contains("is as it should be"), "{}", again.err);
    assert!(!again.err.contains("note:"), "{}", again.err);
    home.write("sovereigns/clusters/omantel.example/99-old.yaml", "");
    let other = home.run_unknown(&["provision", "render", "--into", "sovereigns"]);
    assert!(
        other.err.contains("does not name: 99-old.yaml"),
        "{}",
        other.err
    );
    let nowhere = home.run_unknown(&["provision", "render", "--into", "absent"]);
    assert!(
        nowhere.failed().contains("there is no such folder"),
        "{}",
        nowhere.err
    );
    assert!(!home.path("absent").exists());
}

#[test]
fn init_asks_and_writes_what_render_takes() {
    let home = home();
    home.write(".ssh/id_ed25519", "");
    let answers = "omantel.example\n\n\n\n\n203.0.113.7/32\n1\n\n0\nhttps://git.example/s\n\nops@omantel.example\n\n";
    let outcome = home.run_with(&["provision", "init"], answers);
    assert_eq!(outcome.worked(), "sovereign.yaml\n");
    home.run_unknown(&["provision", "render"]).worked();
    // Before the first question.
    let nowhere = home.run_with(&["provision", "init", "-c", "absent/s.yaml"], "");
    assert!(
        nowhere.failed().contains("there is no folder absent"),
        "{}",
        nowhere.err
    );
    let refused = home.run_with(&["provision", "init"], answers);
    assert!(
        refused.failed().contains("it is there already"),
        "{}",
        refused.err
    );
}

#[test]
fn the_schema_is_one_json_document() {
    let outcome = home().run_unknown(&["provision", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(outcome.worked()).unwrap();
    assert_eq!(schema["title"], "sovereign.yaml");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn every_problem_of_a_description_is_told_at_once() {
    let home = home();
    home.write(
        "sovereign.yaml",
        "region: mars\nadminCidr: []\nworkerCount: many\n",
    );
    let outcome = home.run_unknown(&["provision", "render"]);
    insta::assert_snapshot!(outcome.failed());
    let words = ["provision", "plan", "--config", "absent.yaml", "-o", "json"];
    let absent = home.run_unknown(&words);
    assert!(
        absent.failed().contains("cannot read absent.yaml"),
        "{}",
        absent.err
    );
    // Programs are told too, before there was any step.
    let told: serde_json::Value = serde_json::from_str(&absent.out).unwrap();
    assert_eq!(told["event"], "job-ended");
    let failure = told["failure"].as_str().unwrap();
    assert!(failure.starts_with("cannot read absent.yaml"), "{told}");
}

#[test]
fn without_a_token_or_a_record_nothing_is_begun() {
    let home = home();
    home.write("sovereign.yaml", &description());
    let mut command = home.command(&["provision", "plan"]);
    command
        .env("HCLOUD_TOKEN", CANARY)
        .env("CATALYST_GIT_PASSWORD", "short-1");
    let outcome = finish(command.stdin(Stdio::null()).spawn().unwrap());
    let said = outcome.failed();
    assert!(
        said.contains("CATALYST_GIT_PASSWORD: it has fewer than 8") && !said.contains("short-1"),
        "{said}"
    );
    // With a token or without: there is nothing that one would be needed for.
    for words in [
        &["provision", "resume"][..],
        &["provision", "destroy"],
        &["provision", "archive"],
        &["provision", "restore"],
        &["provision", "status"],
    ] {
        for outcome in [with_token(&home, words), home.run_unknown(words)] {
            assert!(
                outcome.failed().contains("nothing was begun"),
                "{}",
                outcome.err
            );
        }
    }
    assert!(!home.path(".local").exists());

    // That there is none is one problem among the others.
    for words in [
        ["provision", "plan", "--tofu", "absent-tofu"],
        ["provision", "apply", "--tofu", "absent-tofu"],
    ] {
        let outcome = home.run_unknown(&words);
        let said = outcome.failed();
        for expected in ["set HCLOUD_TOKEN", "cannot run absent-tofu"] {
            assert_eq!(said.matches(expected).count(), 1, "{said}");
        }
    }
}

#[test]
fn preflight_tells_what_is_missing_and_the_record_keeps_it_without_the_token() {
    let home = home();
    home.write("sovereign.yaml", &description());
    home.write(".ssh/id_ed25519", "not looked into");
    // Nobody answers there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", nobody.local_addr().unwrap());
    drop(nobody);
    let words = [
        "provision",
        "apply",
        "--yes",
        "--tofu",
        "absent-tofu",
        "--output",
        "json",
    ];
    let mut command = home.command(&words);
    command
        .env("HCLOUD_TOKEN", CANARY)
        .env("HCLOUD_ENDPOINT", address);
    let outcome = finish(command.stdin(Stdio::null()).spawn().unwrap());
    let said = outcome.failed().to_owned();
    for expected in [
        "preflight found",
        "OpenTofu: cannot run absent-tofu",
        "others can read",
        "Hetzner gave no answer",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let events: Vec<serde_json::Value> = outcome
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "step-begun");
    assert_eq!(events[events.len() - 2]["event"], "step-failed");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "job-ended");
    assert_eq!(last["outcome"], "failed");
    let failure = last["failure"].as_str().unwrap();
    assert!(
        failure.starts_with("cannot provision omantel.example: preflight"),
        "{failure}"
    );
    assert!(
        events.iter().all(|event| event["at"].is_string()),
        "{events:?}"
    );

    let status = home.run_unknown(&["provision", "status"]);
    assert!(status.worked().contains("preflight"), "{}", status.out);
    assert!(
        status.err.contains("catalyst provision resume"),
        "{}",
        status.err
    );
    let directory = home.path(".local/share/catalyst/sovereigns/omantel.example");
    // The directory says itself whose it is.
    let place = directory.display().to_string();
    let words = [
        "provision",
        "status",
        "--output",
        "json",
        "--config",
        "absent.yaml",
        "--directory",
        &place,
    ];
    let told: serde_json::Value = serde_json::from_str(home.run_unknown(&words).worked()).unwrap();
    assert_eq!(told["sovereign"], "omantel.example");
    assert!(
        told["next"].as_str().unwrap().contains("provision resume"),
        "{told}"
    );
    assert_eq!(mode(&directory), 0o700);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(CANARY), "{}", path.display());
        }
    }
    for text in [&outcome.out, &outcome.err, &status.out, &status.err] {
        assert!(!text.contains(CANARY), "{text}");
    }

    // Nobody destroys it by a slip, in a script neither.
    let destroy = home.run_unknown(&["provision", "destroy"]);
    for expected in [
        "nobody can be asked",
        "catalyst provision status",
        "pass --yes",
    ] {
        assert!(destroy.failed().contains(expected), "{}", destroy.err);
    }
    let words = ["provision", "apply", "--allow-destroy", "acme.example"];
    let other = home.run_unknown(&words);
    assert!(
        other
            .failed()
            .contains("cannot apply to omantel.example: --allow-destroy names acme.example"),
        "{}",
        other.err
    );

    // The same directory for another Sovereign.
    home.write(
        "other.yaml",
        &description().replace("omantel.example", "acme.example"),
    );
    let directory = directory.display().to_string();
    let other = with_token(
        &home,
        &[
            "provision",
            "plan",
            "--config",
            "other.yaml",
            "--directory",
            &directory,
        ],
    );
    assert!(
        other
            .failed()
            .contains("it is the directory of omantel.example"),
        "{}",
        other.err
    );
}
