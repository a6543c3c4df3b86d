//! The service on the real OpenTofu: a job to its end, one that is cancelled, and one
//! that is cut off while it creates.

use std::path::{Path, PathBuf};

use catalyst_provisioner::Agreement;
use catalyst_provisioner::record::Step;
use catalyst_provisioner::service::{Outcome, Service, Standing, Status, Task};

use crate::jobs::{KEY, config, credentials, has_no_canary, open, to_the_end};
use crate::machine::binary;
use crate::support::{appears, kill_while_creating};
use crate::world::{World, gate};

const SOVEREIGN: &str = "omantel.example";

async fn go_on(service: &Service, task: Task) -> Status {
    service
        .go_on(SOVEREIGN, None, task, "sol", &credentials())
        .unwrap();
    service.settled(SOVEREIGN).await.unwrap()
}

#[tokio::test]
async fn a_sovereign_is_planned_provisioned_destroyed_and_made_anew() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    let service = open(root.path(), &world.options);
    service
        .create(config(2), Task::Plan, "sol", &credentials())
        .unwrap();
    let status = service.settled(SOVEREIGN).await.unwrap();
    assert_eq!(status.standing(), Standing::Planned, "{:?}", status.job);
    assert_eq!(status.planned.len(), 4);
    assert!(
        status
            .planned
            .iter()
            .all(|change| change.action == "create")
    );

    let last = service.follow(SOVEREIGN, 0).unwrap().next().await.0;
    let status = go_on(&service, Task::Provision).await;
    assert_eq!(status.standing(), Standing::Provisioned, "{:?}", status.job);
    assert_eq!(status.resources, Some((4, 4)));
    assert_eq!(status.record.unwrap().done.len(), Step::ALL.len());
    let mut follower = service.follow(SOVEREIGN, last).unwrap();
    let events = to_the_end(&mut follower).await;
    let finished = &events[events.len() - 2].1;
    assert_eq!(finished["event"], "finished");
    assert_eq!(
        finished["outputs"]["console_url"],
        "https://console.omantel.example"
    );
    // ssh read the key, which lies on no disk.
    let key = std::fs::read_to_string(root.path().join("key")).unwrap();
    assert_eq!(key, KEY);
    has_no_canary(root.path());

    // A second run takes no step, and a plan of it changes nothing.
    let status = go_on(&service, Task::Plan).await;
    assert_eq!(status.standing(), Standing::Provisioned);
    // Put away and taken back, with the passphrase that each job is given.
    let status = go_on(&service, Task::Archive).await;
    assert_eq!(status.standing(), Standing::Archived, "{:?}", status.job);
    has_no_canary(root.path());
    let last = service.follow(SOVEREIGN, 0).unwrap().next().await.0;
    let status = go_on(&service, Task::Restore).await;
    assert_eq!(status.standing(), Standing::Provisioned, "{:?}", status.job);
    let mut follower = service.follow(SOVEREIGN, last).unwrap();
    let events = to_the_end(&mut follower).await;
    let restored = events
        .iter()
        .find(|(_, event)| event["event"] == "restored");
    assert_eq!(restored.unwrap().1["resources"], 4, "{events:?}");
    let status = go_on(&service, Task::Destroy).await;
    assert_eq!(status.standing(), Standing::Destroyed, "{:?}", status.job);
    service
        .create(config(0), Task::Provision, "sol", &credentials())
        .unwrap();
    let status = service.settled(SOVEREIGN).await.unwrap();
    assert_eq!(status.standing(), Standing::Provisioned, "{:?}", status.job);
    assert_eq!(status.resources, Some((2, 2)));
    has_no_canary(root.path());
}

#[tokio::test]
async fn a_plan_that_differs_from_the_one_that_was_shown_is_shown_and_not_carried_out() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    let service = open(root.path(), &world.options);
    service
        .create(config(1), Task::Plan, "sol", &credentials())
        .unwrap();
    let shown = service.settled(SOVEREIGN).await.unwrap();
    let carry_out = async |agreed: Agreement| {
        service
            .prepare_next(SOVEREIGN, None, Task::Provision, "sol")
            .unwrap()
            .agreed(agreed)
            .begin(&credentials())
            .unwrap();
        service.settled(SOVEREIGN).await.unwrap()
    };
    let other = Agreement {
        plan: Some("another".to_owned()),
        allows_losses: true,
    };
    let status = carry_out(other).await;
    assert_eq!(status.standing(), Standing::Planned, "{:?}", status.job);
    let failure = status.job.ended.clone().unwrap().failure.unwrap();
    assert!(failure.contains("not the one that was shown"), "{failure}");
    assert_eq!(status.digest, shown.digest);
    let last = status.record.as_ref().unwrap().done.keys().next_back();
    assert_eq!(last, Some(&Step::Plan));

    let agreed = status.agreement(Task::Provision, None, None).unwrap();
    assert_eq!(agreed.plan, shown.digest);
    let status = carry_out(agreed).await;
    assert_eq!(status.standing(), Standing::Provisioned, "{:?}", status.job);
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_it_creates_keeps_what_was_made() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), &gate(root.path())).await;
    let service = open(root.path(), &world.options);
    service
        .create(config(0), Task::Provision, "sol", &credentials())
        .unwrap();
    appears(&root.path().join("started")).await;
    service.cancel(SOVEREIGN).unwrap();
    std::fs::write(root.path().join("gate"), "").unwrap();
    let status = service.settled(SOVEREIGN).await.unwrap();
    let ended = status.job.ended.clone().unwrap();
    // OpenTofu may have been done when the interrupt came; then the wait heeds it.
    assert_eq!(ended.outcome, Outcome::Cancelled, "{ended:?}");
    let status = go_on(&service, Task::Provision).await;
    assert_eq!(status.standing(), Standing::Provisioned, "{:?}", status.job);
}

/// The other half of the next test: the control plane that is killed.
#[tokio::test]
async fn the_service_that_is_killed() {
    let Some(root) = std::env::var_os("CATALYST_TEST_KILLED_CREATING") else {
        return;
    };
    let root = PathBuf::from(root);
    let service = gated(&root, &binary().unwrap()).await.1;
    service
        .create(config(0), Task::Provision, "sol", &credentials())
        .unwrap();
    service.settled(SOVEREIGN).await.unwrap();
    panic!("nobody killed it");
}

async fn gated(root: &Path, binary: &Path) -> (World, Service) {
    let world = World::new(binary, root, &gate(root)).await;
    let service = open(root, &world.options);
    (world, service)
}

#[tokio::test]
async fn a_job_cut_off_while_it_creates_is_interrupted_and_gone_on_with() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    kill_while_creating(
        "service::the_service_that_is_killed",
        "CATALYST_TEST_KILLED_CREATING",
        root.path(),
    )
    .await;
    let (_world, service) = gated(root.path(), &binary).await;
    let status = service.status(SOVEREIGN).unwrap();
    assert_eq!(status.standing(), Standing::Interrupted);
    assert_eq!(status.record.unwrap().attempt.unwrap().step, Step::Apply);
    std::fs::write(root.path().join("gate"), "").unwrap();
    let status = go_on(&service, Task::Provision).await;
    assert_eq!(status.standing(), Standing::Provisioned, "{:?}", status.job);
    has_no_canary(root.path());
}
