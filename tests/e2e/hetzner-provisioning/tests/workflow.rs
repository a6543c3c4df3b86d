//! What must stay true of the workflows, whatever else changes in them, beside what holds
//! for each (`tests/architecture/tests/workflows.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

fn named(name: &str) -> (String, Value) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../.github/workflows");
    let text = std::fs::read_to_string(Path::new(folder).join(name)).unwrap();
    let value = catalyst_yaml::from_str(&text).unwrap();
    (text, value)
}

fn workflow() -> (String, Value) {
    named("test-hetzner-e2e.yaml")
}

fn sweeping() -> Value {
    named("sweep-hetzner-e2e.yaml").1
}

fn triggers(workflow: &Value) -> &Value {
    // YAML 1.1 reads the word `on` as true.
    workflow.get("on").or_else(|| workflow.get("true")).unwrap()
}

/// A step of a job, by how its name begins, and where it stands.
fn step<'a>(workflow: &'a Value, job: &str, name: &str) -> (usize, &'a Value) {
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
    let is_named = |step: &Value| step["name"].as_str().is_some_and(|it| it.starts_with(name));
    let at = steps.iter().position(is_named).unwrap();
    (at, &steps[at])
}

#[test]
fn it_starts_by_hand_or_by_a_label_and_never_for_a_fork() {
    let (_, workflow) = workflow();
    let on = triggers(&workflow);
    let triggers: Vec<&String> = on.as_object().unwrap().keys().collect();
    assert_eq!(triggers, ["pull_request", "workflow_dispatch"]);
    assert_eq!(on["pull_request"]["types"], json!(["labeled"]));
    assert_eq!(
        on["workflow_dispatch"]["inputs"]["keep-on-failure"]["default"],
        json!(false)
    );
    let gate = workflow["jobs"]["provision"]["if"].as_str().unwrap();
    assert!(
        gate.contains("github.event.label.name == 'test/hetzner-e2e'"),
        "{gate}"
    );
    assert!(
        gate.contains("head.repo.full_name == github.repository"),
        "{gate}"
    );
}

#[test]
fn it_has_time_to_destroy_and_runs_alone_with_least_rights() {
    let (text, workflow) = workflow();
    let jobs = &workflow["jobs"];
    assert_eq!(jobs["provision"]["timeout-minutes"], json!(55));
    assert!(
        text.contains("54 * 60"),
        "the deadline lies within the job's time"
    );
    assert_eq!(jobs["destroy"]["timeout-minutes"], json!(25));
    assert_eq!(jobs["destroy"]["needs"], json!("provision"));
    assert!(
        jobs["destroy"]["if"]
            .as_str()
            .unwrap()
            .starts_with("always()")
    );
    assert_eq!(workflow["concurrency"]["cancel-in-progress"], json!(false));
    assert_eq!(workflow["permissions"], json!({}));
    for job in ["provision", "destroy"] {
        assert_eq!(
            jobs[job]["permissions"],
            json!({"contents": "read"}),
            "{job}"
        );
    }
}

#[test]
fn whoever_will_do_nothing_pushes_no_waiting_run_out_of_the_queue() {
    let (_, workflow) = workflow();
    let gate = workflow["jobs"]["provision"]["if"].as_str().unwrap();
    let group = workflow["concurrency"]["group"].as_str().unwrap();
    assert_eq!(
        group,
        format!(
            "${{{{ ({gate}) && 'hetzner-e2e' || format('hetzner-e2e-nothing-{{0}}', github.run_id) }}}}"
        )
    );
}

#[test]
fn every_attempt_of_every_job_goes_by_the_same_name_while_there_is_a_state() {
    let (text, workflow) = workflow();
    assert_eq!(workflow["env"]["E2E_RUN_ID"], json!("${{ github.run_id }}"));
    assert!(!text.contains("run_attempt"));
    let (_, harness) = step(&workflow, "provision", "Keep the harness");
    let (_, state) = step(&workflow, "provision", "Keep report");
    assert_eq!(
        harness["with"]["retention-days"],
        state["with"]["retention-days"]
    );
    for kept in [harness, state] {
        assert_eq!(kept["with"]["overwrite"], json!(true), "{kept}");
    }
}

#[test]
fn whatever_state_there_is_is_kept_once_it_is_saved() {
    let (_, workflow) = workflow();
    let (made, _) = step(&workflow, "provision", "Provision and destroy");
    let (saved, saves) = step(&workflow, "provision", "Let OpenTofu save");
    let (kept, keeps) = step(&workflow, "provision", "Keep report");
    assert!(made < saved && saved < kept);
    for step in [saves, keeps] {
        assert_eq!(step["if"], json!("always()"), "{step}");
    }
    let paths = keeps["with"]["path"].as_str().unwrap();
    let paths: Vec<&str> = paths.lines().collect();
    assert_eq!(
        paths,
        [
            "e2e-hetzner/report.json",
            "e2e-hetzner/module/terraform.tfstate",
            "e2e-hetzner/module/errored.tfstate"
        ]
    );
}

/// What the second job runs is run here, with programs that only say how they are called.
#[test]
fn the_second_job_destroys_with_a_state_and_without_one() {
    let (_, workflow) = workflow();
    let (_, destroys) = step(&workflow, "destroy", "Destroy what is left");
    let script = destroys["run"].as_str().unwrap();
    for (downloaded, taken, called) in [
        (&["harness"][..], &[][..], true),
        (
            &["harness", "state/module/terraform.tfstate"][..],
            &["terraform.tfstate"][..],
            true,
        ),
        (
            &[
                "harness",
                "state/report.json",
                "state/module/errored.tfstate",
                "state/module/terraform.tfstate",
            ][..],
            &["errored.tfstate", "terraform.tfstate"][..],
            true,
        ),
        (&[][..], &[][..], false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let program = |path: &str| {
            std::fs::write(at(path), "#!/bin/sh\necho \"$0 $*\" >> called\n").unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(at(path), mode).unwrap();
        };
        std::fs::create_dir(at("bin")).unwrap();
        program("bin/ssh-keygen");
        for path in downloaded {
            if *path == "harness" {
                std::fs::create_dir(at("harness")).unwrap();
                program("harness/hetzner-provisioning");
                continue;
            }
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), "").unwrap();
        }
        let status = Command::new("bash")
            .args(["-e", "-c", script])
            .current_dir(folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()))
            .env("RUNNER_TEMP", folder.path())
            .status()
            .unwrap();
        assert!(status.success(), "{downloaded:?}");
        let calls = std::fs::read_to_string(at("called")).unwrap_or_default();
        assert_eq!(
            calls.ends_with("harness/hetzner-provisioning destroy\n"),
            called,
            "{downloaded:?}: {calls}"
        );
        let mut states: Vec<String> = std::fs::read_dir(at("e2e-hetzner/module"))
            .map(|entries| {
                entries
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect()
            })
            .unwrap_or_default();
        states.sort();
        assert_eq!(states, taken, "{downloaded:?}");
    }
}

/// With a curl that gives the address, or fails as without a network.
#[test]
fn without_its_own_address_a_run_ends_before_anything_is_made() {
    let (_, workflow) = workflow();
    let (_, prepares) = step(&workflow, "provision", "Make a key");
    for (curl, expected) in [
        ("echo 203.0.113.7", Some("E2E_ADMIN_CIDR=203.0.113.7/32")),
        ("exit 22", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for (name, script) in [("curl", curl), ("ssh-keygen", "exit 0")] {
            std::fs::write(at(name), format!("#!/bin/sh\n{script}\n")).unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(at(name), mode).unwrap();
        }
        let status = Command::new("bash")
            .args(["-e", "-c", prepares["run"].as_str().unwrap()])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("E2E_RUN_ID", "4711")
            .env("RUNNER_TEMP", folder.path())
            .env("GITHUB_ENV", at("environment"))
            .status()
            .unwrap();
        assert_eq!(status.success(), expected.is_some(), "{curl}");
        let written = std::fs::read_to_string(at("environment")).unwrap_or_default();
        let found = written.lines().find(|line| line.starts_with("E2E_ADMIN"));
        assert_eq!(found, expected, "{curl}");
    }
}

#[test]
fn the_project_is_swept_on_a_schedule_beside_the_runs() {
    let sweeping = sweeping();
    let triggers: Vec<&String> = triggers(&sweeping).as_object().unwrap().keys().collect();
    assert_eq!(triggers, ["schedule", "workflow_dispatch"]);
    let (_, runs) = workflow();
    assert_ne!(
        sweeping["concurrency"]["group"],
        json!("hetzner-e2e"),
        "it would push out a run that waits"
    );
    // It has no run of its own, whose earlier attempts would be removed whatever their age.
    assert!(!sweeping.to_string().contains("E2E_RUN_ID"));
    for (workflow, job) in [(&sweeping, "sweep"), (&runs, "provision")] {
        let (_, sweeps) = step(workflow, job, "Remove what old runs");
        let line = sweeps["run"].as_str().unwrap();
        assert!(line.ends_with("./hetzner-provisioning sweep"), "{line}");
    }
}

#[test]
fn secrets_reach_only_the_harness() {
    let (_, runs) = workflow();
    for (workflow, expected) in [(runs, 3), (sweeping(), 1)] {
        let mut with_secrets = 0;
        for job in workflow["jobs"].as_object().unwrap().values() {
            for step in job["steps"].as_array().unwrap() {
                if step.to_string().contains("secrets.") {
                    with_secrets += 1;
                    assert!(step.get("uses").is_none(), "{step}");
                    assert!(
                        step["run"]
                            .as_str()
                            .unwrap()
                            .contains("hetzner-provisioning"),
                        "{step}"
                    );
                }
            }
        }
        assert_eq!(with_secrets, expected);
    }
}
