//! Releases of Blueprints: what `tools/blueprint-release` says of ranges and tags, what
//! it refuses to publish, and the workflow that calls it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::git::git;
use crate::support::{Home, Outcome, finish};

/// Runs the script in the home, a repository, with a program that does not sign.
fn script(home: &Home, words: &[&str]) -> Outcome {
    script_with(home, words, "")
}

/// The same with images in a folder.
fn script_with(home: &Home, words: &[&str], images: &str) -> Outcome {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/blueprint-release");
    let mut command = Command::new(program);
    command
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.folder.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("CATALYST", env!("CARGO_BIN_EXE_catalyst"))
        .env("SIGN_WITH", "false")
        .env("IMAGES", images)
        .current_dir(home.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(command.spawn().unwrap())
}

fn commit(home: &Home) {
    git(home, &["add", "--all"]).worked();
    let by = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    git(
        home,
        &[by.as_slice(), &["commit", "-qm", "A change"]].concat(),
    )
    .worked();
}

fn repository() -> Home {
    let home = Home::new("");
    git(&home, &["init", "-q", "-b", "main"]).worked();
    home
}

#[test]
fn a_range_is_the_blueprints_that_a_branch_changes() {
    let home = repository();
    let begin = |folder: &str| {
        home.write(&format!("{folder}/blueprint.yaml"), "kind: Blueprint\n");
    };
    for name in ["a", "b", "gone", "moved"] {
        begin(&format!("platform/{name}"));
    }
    begin("examples/d");
    commit(&home);
    git(&home, &["checkout", "-qb", "topic"]).worked();
    assert_eq!(script(&home, &["changed", "main"]).worked(), "[]\n");
    home.write("platform/a/chart/values.yaml", "a: 1\n");
    home.write("platform/a/README.md", "# A\n");
    home.write("examples/d/card/a \"quoted\"\nname", "");
    begin("products/new");
    std::fs::remove_dir_all(home.path("platform/gone")).unwrap();
    git(&home, &["mv", "platform/moved", "products/moved"]).worked();
    // None of these is a Blueprint's.
    home.write("platform/README.md", "# All\n");
    home.write("platform/shared/values.yaml", "");
    home.write("docs/platform/b/README.md", "# B\n");
    commit(&home);
    // What others do meanwhile is not the branch's.
    git(&home, &["checkout", "-q", "main"]).worked();
    home.write("platform/b/README.md", "# B\n");
    commit(&home);
    git(&home, &["checkout", "-q", "topic"]).worked();
    let changed = "[\"examples/d\",\"platform/a\",\"products/moved\",\"products/new\"]\n";
    assert_eq!(script(&home, &["changed", "main"]).worked(), changed);
    git(&home, &["checkout", "-q", "main"]).worked();
    assert_eq!(
        script(&home, &["changed", "main", "topic"]).worked(),
        changed
    );

    let unknown = script(&home, &["changed", "nowhere"]);
    insta::assert_snapshot!(unknown.failed(), @"blueprint-release: cannot tell what changed: nowhere is no commit here; fetch it, with all that it comes from");
    git(&home, &["checkout", "-q", "--orphan", "stranger"]).worked();
    commit(&home);
    let apart = script(&home, &["changed", "main"]);
    insta::assert_snapshot!(apart.failed(), @"blueprint-release: cannot tell what changed: main and HEAD have no commit in common; fetch all that they come from");
    git(&home, &["checkout", "-qb", "odd"]).worked();
    begin("platform/A $(name)");
    commit(&home);
    let odd = script(&home, &["changed", "stranger"]);
    insta::assert_snapshot!(odd.failed(), @"blueprint-release: platform/A $(name) cannot be a Blueprint's folder; name it with small letters, digits and hyphens");
}

#[test]
fn a_tag_names_one_folder_and_one_version() {
    let home = repository();
    for folder in ["platform/a-1", "products/b", "examples/d"] {
        home.write(&format!("{folder}/blueprint.yaml"), "kind: Blueprint\n");
    }
    for (tag, folder) in [
        ("platform/a-1/v1.2.3", "platform/a-1"),
        ("platform/a-1/v1.2.3-rc.1", "platform/a-1"),
        ("products/b/v0.1.0", "products/b"),
    ] {
        let said = script(&home, &["tagged", tag]);
        assert_eq!(said.worked(), format!("[\"{folder}\"]\n"), "{tag}");
    }
    for tag in [
        "v1.2.3",
        "platform/a-1/1.2.3",
        "platform/a-1/v1.2",
        "platform/a-1/v1.2.3+build",
        "platform/a-1/v1.2.3-",
        "platform/a-1/v1.2.3\"",
        "platform/../b/v1.2.3",
        "platform/a-1/b/v1.2.3",
        "platform/A/v1.2.3",
        "examples/d/v1.2.3",
        "",
    ] {
        let said = script(&home, &["tagged", tag]);
        let told = said.failed();
        assert!(
            told.contains("is not the tag of a release"),
            "{tag}: {told}"
        );
    }
    let none = script(&home, &["tagged", "platform/none/v1.0.0"]);
    insta::assert_snapshot!(none.failed(), @"blueprint-release: platform/none/v1.0.0 releases platform/none, which holds no blueprint.yaml");
    let usage = script(&home, &["publish"]);
    assert_eq!(usage.code, 2);
    assert!(usage.err.contains("release TAG"), "{}", usage.err);
}

#[test]
fn what_is_not_what_its_tag_says_is_not_released() {
    let home = repository();
    for folder in ["platform/wiki", "platform/notes"] {
        let new = ["blueprint", "new", "bp-wiki", "--folder", folder];
        home.run_unknown(&new).worked();
    }
    commit(&home);
    let tag = |name: &str| git(&home, &["tag", name]);
    // Nobody listens there.
    let release = |tag: &str| script(&home, &["release", tag, "127.0.0.1:9/acme"]);
    let wiki = "platform/wiki/v0.1.0";
    insta::assert_snapshot!(release(wiki).failed(), @"blueprint-release: there is no tag platform/wiki/v0.1.0 here; fetch it");
    for name in [wiki, "platform/wiki/v0.2.0", "platform/notes/v0.1.0"] {
        tag(name).worked();
    }
    insta::assert_snapshot!(release("platform/wiki/v0.2.0").failed(), @"blueprint-release: platform/wiki/v0.2.0 says version 0.2.0 and platform/wiki/blueprint.yaml 0.1.0; tag what it says");
    insta::assert_snapshot!(release("platform/notes/v0.1.0").failed(), @"blueprint-release: platform/notes holds bp-wiki; the tag would publish bp-notes: name one after the other");
    let untested = release(wiki);
    let told = untested.failed();
    assert!(told.contains("no such case under tests/"), "{told}");

    home.write("platform/wiki/tests/large/size", "large\n");
    let update = ["blueprint", "test", "platform/wiki", "--update"];
    home.run_unknown(&update).worked();
    let apart = "blueprint-release: what is checked out is not what platform/wiki/v0.1.0 names; check the tag out, without changes of your own\n";
    assert_eq!(release(wiki).failed(), apart);
    commit(&home);
    assert_eq!(release(wiki).failed(), apart);
    git(&home, &["tag", "--force", wiki]).worked();
    // All that can be checked here is in order, and so it is pushed.
    let pushed = release(wiki);
    let told = pushed.failed();
    assert!(
        told.contains("could not push to 127.0.0.1:9/acme/bp-wiki:0.1.0"),
        "{told}"
    );
    // Nothing is pushed where the images are not what somebody built.
    let unbuilt = script_with(&home, &["release", wiki, "127.0.0.1:9/acme"], "nowhere");
    let told = unbuilt.failed();
    assert!(told.contains("there are no images in nowhere"), "{told}");
    // The chart names its image there, so that one is the first that is asked for.
    let values = std::fs::read_to_string(home.path("platform/wiki/chart/values.yaml")).unwrap();
    assert!(values.contains("registry.example.org/wiki"), "{values}");
    home.write("built/images.json", "{}");
    let there = ["release", wiki, "registry.example.org"];
    let undigested = script_with(&home, &there, "built");
    let told = undigested.failed();
    assert!(told.contains("without a digest"), "{told}");
}

fn workflow() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../.github/workflows/blueprint-release.yaml"
    );
    catalyst_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_workflow_publishes_what_a_tag_names_and_nothing_else() {
    let workflow = workflow();
    // YAML 1.1 reads the word `on` as true.
    let on = workflow.get("on").or_else(|| workflow.get("true")).unwrap();
    let triggers: Vec<&String> = on.as_object().unwrap().keys().collect();
    assert_eq!(triggers, ["pull_request", "push"]);
    let tags = json!({"tags": ["platform/*/v*", "products/*/v*"]});
    assert_eq!(on["push"], tags);
    let jobs = workflow["jobs"].as_object().unwrap();
    // What it builds goes the same way, and nothing is pushed before it is there.
    let needs = json!(["plan", "build", "images"]);
    assert_eq!(jobs["release"]["needs"], needs);
    let publish = jobs["release"]["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(publish["env"]["IMAGES"], "${{ runner.temp }}/images");
    for (name, job) in jobs {
        let expected = match name.as_str() {
            "release" => json!({"contents": "read", "packages": "write", "id-token": "write"}),
            _ => json!({"contents": "read"}),
        };
        assert_eq!(job["permissions"], expected, "{name}");
    }
    assert_eq!(jobs["release"]["if"], "github.event_name == 'push'");
    assert_eq!(jobs["check"]["if"], "github.event_name == 'pull_request'");
}

#[test]
fn the_workflows_steps_call_the_script_and_no_name_becomes_part_of_one() {
    let workflow = workflow();
    let mut called = Vec::new();
    let mut with_secrets = Vec::new();
    for job in workflow["jobs"].as_object().unwrap().values() {
        for step in job["steps"].as_array().unwrap() {
            if step.to_string().contains("secrets.") {
                with_secrets.push(step["name"].as_str().unwrap());
            }
            let Some(run) = step.get("run").and_then(Value::as_str) else {
                continue;
            };
            assert!(!run.contains("${{"), "{run}");
            let calls = run.split("tools/blueprint-release ").skip(1);
            called.extend(calls.map(|rest| rest.split_whitespace().next().unwrap()));
        }
    }
    called.sort_unstable();
    assert_eq!(called, ["changed", "check", "release", "tagged"]);
    assert_eq!(with_secrets, ["Sign in to the registry"]);
}
