//! Apply, partial failure, cancel, crash and resume, changed inputs, destroy, what is
//! left behind, and the token that is nowhere.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use catalyst_provisioner::tofu::{Limits, ResourceState, Stopped, TofuError, TofuEvent};
use serde_json::json;

use crate::machine::{binary, files, holds};
use crate::support::{Bench, CANARY, appears};

#[tokio::test]
async fn what_is_planned_is_applied_and_a_second_plan_is_empty() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    assert!(bench.tofu.version().await.unwrap().major >= 1);
    assert!(bench.tofu.state_list().await.unwrap().is_empty());
    assert!(bench.tofu.made().await.unwrap().is_empty());
    bench.prepare("blue-plain-text", "true", "true").await;
    assert_eq!(
        bench.plan().await,
        [
            "create terraform_data.first",
            "create terraform_data.second"
        ]
    );
    assert!(bench.tofu.has_plan());
    let (applied, events) = bench.apply().await;
    applied.unwrap();
    assert!(!bench.tofu.has_plan(), "a plan is used once");
    let done = events.iter().filter(|event| {
        matches!(event, TofuEvent::Resource { state: ResourceState::Done, action, .. } if action == "create")
    });
    assert_eq!(done.count(), 2, "{events:?}");
    assert!(
        events.contains(&TofuEvent::Summary {
            operation: "apply".to_owned(),
            add: 2,
            change: 0,
            remove: 0
        }),
        "{events:?}"
    );
    assert_eq!(
        bench.tofu.state_list().await.unwrap(),
        ["terraform_data.first", "terraform_data.second"]
    );
    let made = bench.tofu.made().await.unwrap();
    let addresses: Vec<&str> = made.iter().map(|made| made.address.as_str()).collect();
    assert_eq!(addresses, ["terraform_data.first", "terraform_data.second"]);
    assert!(made.iter().all(|made| made.id.len() == 36), "{made:?}");
    let outputs = bench.tofu.outputs().await.unwrap();
    assert_eq!(outputs["colour"], json!("blue-plain-text"));
    assert!(!outputs.contains_key("hidden"), "{outputs:?}");
    assert_eq!(bench.plan().await, Vec::<String>::new());

    // Encrypted from the first apply, and nobody else's to read.
    for (path, content) in files(folder.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("tfstate") || name.contains("tfplan") {
            assert!(!holds(&content, "blue-plain-text"), "{}", path.display());
        }
        if name == "terraform.tfstate" {
            assert!(holds(&content, "encrypted_data"), "{}", path.display());
        }
    }
    let mode = |path: &str| {
        let metadata = std::fs::metadata(folder.path().join(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("module"), 0o700);
    assert_eq!(mode("module/main.tf"), 0o600);
    assert_eq!(mode("module/tofu.auto.tfvars.json"), 0o600);
    assert_eq!(mode("passphrase"), 0o600);
}

#[tokio::test]
async fn a_state_that_could_not_be_saved_in_its_place_is_told_and_taken_as_the_error_says() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    bench.prepare("blue", "true", "true").await;
    bench.plan().await;
    bench.apply().await.0.unwrap();
    let module = folder.path().join("module");
    // As OpenTofu leaves it: encrypted like the other, which may not be there at all.
    std::fs::rename(
        module.join("terraform.tfstate"),
        module.join("errored.tfstate"),
    )
    .unwrap();
    assert!(bench.tofu.has_state());
    let error = bench.tofu.state_list().await.unwrap_err().to_string();
    assert!(error.contains("could not save its state"), "{error}");
    let command = error.split('`').nth(1).unwrap();
    let done = std::process::Command::new("sh")
        .args(["-ec", command])
        .current_dir(&module)
        .status()
        .unwrap();
    assert!(done.success(), "{command}");
    assert_eq!(
        bench.tofu.state_list().await.unwrap(),
        ["terraform_data.first", "terraform_data.second"]
    );
}

#[tokio::test]
async fn a_changed_input_is_planned_as_a_change() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    bench.prepare("blue", "true", "true").await;
    bench.plan().await;
    bench.apply().await.0.unwrap();
    bench.variables("green", "true", "true");
    assert_eq!(bench.plan().await, ["update terraform_data.first"]);
    bench.apply().await.0.unwrap();
    assert_eq!(
        bench.tofu.outputs().await.unwrap()["colour"],
        json!("green")
    );
}

#[tokio::test]
async fn what_was_made_before_a_failure_is_kept_and_the_rest_is_made_later() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    let failing = "echo 'server limit reached (resource_limit_exceeded, 4711)'; exit 1";
    bench.prepare("blue", failing, "true").await;
    bench.plan().await;
    let (applied, events) = bench.apply().await;
    let error = applied.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot create the resources: OpenTofu failed"),
        "{error}"
    );
    assert!(error.contains("terraform_data.second"), "{error}");
    assert!(error.contains("Ask for a higher limit"), "{error}");
    let failed = |event: &TofuEvent| matches!(event, TofuEvent::Resource { state: ResourceState::Failed, address, .. } if address == "terraform_data.second");
    assert!(events.iter().any(failed), "{events:?}");
    let left = bench.tofu.state_list().await.unwrap();
    assert!(
        left.contains(&"terraform_data.first".to_owned()),
        "{left:?}"
    );

    bench.variables("blue", "true", "true");
    let again = bench.plan().await;
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].ends_with("terraform_data.second"), "{again:?}");
    bench.apply().await.0.unwrap();
    assert_eq!(bench.plan().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_apply_saves_what_it_made() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    bench.prepare("blue", &bench.gated(), "true").await;
    bench.plan().await;
    let started = bench.started();
    let cancel = async {
        appears(&started).await;
        bench.cancel.cancel();
    };
    let ((applied, _), ()) = tokio::join!(bench.apply(), cancel);
    match applied.unwrap_err() {
        TofuError::Stopped { why, .. } => assert_eq!(why, Stopped::Canceled),
        other => panic!("{other}"),
    }
    // Who goes on has a driver that nobody interrupted.
    let bench = Bench::new(&binary, folder.path());
    let left = bench.tofu.state_list().await.unwrap();
    assert!(
        left.contains(&"terraform_data.first".to_owned()),
        "{left:?}"
    );
    bench.variables("blue", "true", "true");
    assert_eq!(bench.plan().await.len(), 1);
    bench.apply().await.0.unwrap();
}

#[tokio::test]
async fn an_apply_that_takes_too_long_is_ended_in_good_order() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        apply: Duration::from_secs(10),
        ..Limits::default()
    };
    let bench = Bench::with_limits(&binary, folder.path(), limits);
    bench.prepare("blue", &bench.gated(), "true").await;
    bench.plan().await;
    match bench.apply().await.0.unwrap_err() {
        error @ TofuError::Stopped {
            why: Stopped::TimedOut,
            ..
        } => {
            assert!(error.to_string().contains("longer than 10 s"), "{error}");
        }
        other => panic!("{other}"),
    }
    let bench = Bench::new(&binary, folder.path());
    bench.variables("blue", "true", "true");
    bench.plan().await;
    bench.apply().await.0.unwrap();
}

#[tokio::test]
async fn opentofu_killed_outright_is_told_and_can_be_gone_on_with() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    bench.prepare("blue", &bench.gated(), "true").await;
    bench.plan().await;
    let started = bench.started();
    let kill = async {
        appears(&started).await;
        let pid = std::fs::read_to_string(&started).unwrap();
        assert!(
            Command::new("kill")
                .args(["-9", pid.trim()])
                .status()
                .unwrap()
                .success()
        );
    };
    let ((applied, _), ()) = tokio::join!(bench.apply(), kill);
    let error = applied.unwrap_err();
    assert!(matches!(error, TofuError::Killed { .. }), "{error}");
    // The command that it left behind ends.
    bench.open_gate();
    bench.variables("blue", "true", "true");
    // OpenTofu writes its state now and then only: what it had made seconds ago may be
    // planned again. Who reads the error knows to look.
    assert!(
        error.to_string().contains("may be missing from its state"),
        "{error}"
    );
    let again = bench.plan().await;
    assert!(
        again
            .iter()
            .any(|line| line.ends_with("terraform_data.second")),
        "{again:?}"
    );
    bench.apply().await.0.unwrap();
    assert_eq!(bench.plan().await, Vec::<String>::new());
}

/// The other half of the next test: the run that is killed.
#[tokio::test]
async fn the_run_that_is_killed() {
    let Some(folder) = std::env::var_os("CATALYST_TEST_KILLED_RUN") else {
        return;
    };
    let bench = Bench::new(&binary().unwrap(), folder.as_ref());
    bench.prepare("blue", &bench.gated(), "true").await;
    bench.plan().await;
    bench.apply().await.0.unwrap();
}

#[tokio::test]
async fn opentofu_outlives_a_killed_run_and_the_next_run_waits_for_it() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args(["driver::the_run_that_is_killed", "--exact"])
        .env("CATALYST_TEST_KILLED_RUN", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    appears(&bench.started()).await;
    run.kill().unwrap();
    run.wait().unwrap();

    assert!(bench.tofu.is_at_work());
    // Started while the first still holds the lock: it waits, and finds all made.
    let open = async {
        appears(&folder.path().join("output/plan.out")).await;
        bench.open_gate();
    };
    let (planned, ()) = tokio::join!(bench.plan(), open);
    assert_eq!(planned, Vec::<String>::new());
    assert!(!bench.tofu.is_at_work());
    assert_eq!(bench.tofu.state_list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_destroy_leaves_an_empty_state_or_names_what_it_left() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    bench
        .prepare("blue", "true", "echo still in use; exit 1")
        .await;
    bench.plan().await;
    bench.apply().await.0.unwrap();
    let error = bench.tofu.destroy(&mut |_| {}).await.unwrap_err();
    match &error {
        TofuError::Left { left, .. } => {
            assert!(
                left.contains(&"terraform_data.second".to_owned()),
                "{left:?}"
            );
        }
        other => panic!("{other}"),
    }
    assert!(
        error.to_string().contains("terraform_data.second"),
        "{error}"
    );

    bench.variables("blue", "true", "true");
    bench.plan().await;
    bench.apply().await.0.unwrap();
    bench.tofu.destroy(&mut |_| {}).await.unwrap();
    assert_eq!(bench.tofu.state_list().await.unwrap(), Vec::<String>::new());
    // Once more: nothing is there, and that is what was wanted.
    bench.tofu.destroy(&mut |_| {}).await.unwrap();
}

#[tokio::test]
async fn the_token_reaches_the_provider_and_nothing_else() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    let told = folder.path().join("told");
    // Says the token aloud, as a provider in distress might, and looks at the arguments.
    let making = format!(
        "tr '\\0' ' ' < /proc/$PPID/cmdline > {told}; test ${{#HCLOUD_TOKEN}} -eq {length} && echo saw $HCLOUD_TOKEN; exit 1",
        told = told.display(),
        length = CANARY.len()
    );
    bench.prepare("blue", &making, "true").await;
    let mut events = Vec::new();
    bench
        .tofu
        .plan(&mut |event| events.push(event))
        .await
        .unwrap();
    let (applied, applying) = bench.apply().await;
    events.extend(applying);
    let error = applied.unwrap_err();
    let error = format!("{error} {error:?}");
    assert!(
        error.contains("saw [secret]"),
        "the provider got no token: {error}"
    );
    assert!(!error.contains(CANARY), "{error}");
    let events = serde_json::to_string(&events).unwrap();
    assert!(!events.contains(CANARY), "{events}");
    let arguments = std::fs::read_to_string(&told).unwrap();
    assert!(arguments.contains("apply -json"), "{arguments}");
    let passphrase = std::fs::read_to_string(folder.path().join("passphrase")).unwrap();
    for (path, content) in files(folder.path()) {
        assert!(!holds(&content, CANARY), "{} has the token", path.display());
        assert!(
            path.ends_with("passphrase") || !holds(&content, passphrase.trim()),
            "{} has the passphrase",
            path.display()
        );
    }
}

#[tokio::test]
async fn a_state_of_another_passphrase_is_refused() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&binary, folder.path());
    bench.prepare("blue", "true", "true").await;
    bench.plan().await;
    bench.apply().await.0.unwrap();
    std::fs::remove_file(folder.path().join("passphrase")).unwrap();
    let other = Bench::new(&binary, folder.path());
    let error = other.tofu.plan(&mut |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("OpenTofu failed"), "{error}");
}
