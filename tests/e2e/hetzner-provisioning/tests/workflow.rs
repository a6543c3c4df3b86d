//! What must stay true of the workflow, whatever else changes in it, beside what holds
//! for each (`tests/architecture/tests/workflows.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use serde_json::{Value, json};

fn workflow() -> (String, Value) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../.github/workflows/test-hetzner-e2e.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let value = catalyst_yaml::from_str(&text).unwrap();
    (text, value)
}

#[test]
fn it_starts_by_hand_or_by_a_label_and_never_for_a_fork() {
    let (_, workflow) = workflow();
    // YAML 1.1 reads the word `on` as true.
    let on = workflow.get("on").or_else(|| workflow.get("true")).unwrap();
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
fn secrets_reach_only_the_harness() {
    let (_, workflow) = workflow();
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
    assert_eq!(with_secrets, 3);
}
