//! The service as far as it needs no OpenTofu: jobs that fail, wait, are cancelled or cut
//! off before anything is created, and every refusal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

// Other tests use the rest of them.
#[allow(dead_code)]
#[path = "support/hetzner.rs"]
mod hetzner;
#[allow(dead_code)]
#[path = "support/machine.rs"]
mod machine;
#[path = "support/service.rs"]
mod support;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use catalyst_provisioner::directory::{Directory, DirectoryError};
use catalyst_provisioner::record::{Life, Record, Refusal, Step};
use catalyst_provisioner::service::{Live, Outcome, Service, ServiceError, Standing, Status, Task};
use catalyst_provisioner::{Config, Options, OwnSecret};
use sha2::{Digest as _, Sha256};

use crate::support::{CANARIES, config, credentials, has_no_canary, jobs, open, to_the_end};
use crate::world::World;

const SOVEREIGN: &str = "omantel.example";

async fn world(root: &Path) -> World {
    World::new(Path::new("absent-tofu"), root, "true").await
}

/// The service, with a Sovereign whose first job was to plan and has ended.
async fn ended(root: &Path, options: &Options) -> Service {
    let service = open(root, options);
    let task = Task::Plan;
    service
        .create(config(1), task, "sol", &credentials())
        .unwrap();
    service.settled(SOVEREIGN).await.unwrap();
    service
}

/// An API that takes connections and never answers: preflight waits for it.
struct Silent {
    listener: std::net::TcpListener,
}

impl Silent {
    fn new() -> Self {
        Self {
            listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    fn of(&self, options: &Options) -> Options {
        let address = format!("http://{}/v1", self.listener.local_addr().unwrap());
        Options {
            hetzner: address.parse().unwrap(),
            ..options.clone()
        }
    }
}

#[tokio::test]
async fn a_job_that_fails_says_why_and_what_to_do_and_keeps_no_credential() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let service = open(root.path(), &world.options);
    service
        .create(config(1), Task::Provision, "sol", &credentials())
        .unwrap();
    let mut follower = service.follow(SOVEREIGN, 0).unwrap();
    let events = to_the_end(&mut follower).await;
    let names: Vec<&str> = events
        .iter()
        .map(|(_, event)| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(names[..2], ["job-begun", "step-begun"]);
    assert_eq!(names[names.len() - 2..], ["step-failed", "job-ended"]);
    for (index, (id, event)) in events.iter().enumerate() {
        assert_eq!(*id, index as u64 + 1);
        assert!(event["at"].is_string(), "{event}");
        let said = event.to_string();
        assert!(
            !said.contains("CATALYST_") && !said.contains("--tofu"),
            "{said}"
        );
    }
    let status = service.settled(SOVEREIGN).await.unwrap();
    assert_eq!(status.standing(), Standing::Failed);
    assert_eq!(status.job.by, "sol");
    let failure = status.job.ended.clone().unwrap().failure.unwrap();
    for expected in [
        "preflight found one problem",
        "cannot run absent-tofu",
        "install OpenTofu 1.9.0 or later (https://opentofu.org",
        "on the control plane's machine",
    ] {
        assert!(failure.contains(expected), "{expected}: {failure}");
    }
    assert_eq!(
        status.record.unwrap().attempt.unwrap().step,
        Step::Preflight
    );

    // What is kept is private, and is all there after a restart.
    drop(follower);
    let again = open(root.path(), &world.options);
    let kept = again.status(SOVEREIGN).unwrap();
    assert_eq!(kept.standing(), Standing::Failed);
    assert_eq!(kept.job, status.job);
    let mut follower = again.follow(SOVEREIGN, 1).unwrap();
    assert_eq!(to_the_end(&mut follower).await, events[1..]);
    has_no_canary(root.path());
    let folder = jobs(root.path()).join(SOVEREIGN);
    for (path, expected) in [
        (jobs(root.path()), 0o700),
        (folder.clone(), 0o700),
        (folder.join("run"), 0o700),
        (folder.join("sovereign.json"), 0o600),
        (folder.join("events.jsonl"), 0o600),
    ] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", path.display());
    }
}

#[tokio::test]
async fn what_may_not_be_done_is_refused_before_anything_is_begun() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let service = open(root.path(), &world.options);
    let credentials = credentials();
    let go_on = |task| service.go_on(SOVEREIGN, None, task, "sol", &credentials);
    for error in [
        service.status(SOVEREIGN).err(),
        service.cancel(SOVEREIGN).err(),
        service.follow(SOVEREIGN, 0).err(),
        go_on(Task::Provision).err(),
    ] {
        let error = error.unwrap();
        assert!(matches!(error, ServiceError::Unknown { .. }), "{error}");
    }
    assert!(service.list().is_empty());

    let create = || service.create(config(1), Task::Plan, "sol", &credentials);
    create().unwrap();
    service.settled(SOVEREIGN).await.unwrap();
    let error = create().unwrap_err();
    assert!(matches!(error, ServiceError::Known { .. }), "{error}");
    let error = service.cancel(SOVEREIGN).unwrap_err();
    assert!(matches!(error, ServiceError::Idle { .. }), "{error}");
    let other = Config {
        sovereign_fqdn: "acme.example".to_owned(),
        ..config(1)
    };
    let error = service
        .go_on(SOVEREIGN, Some(other), Task::Plan, "sol", &credentials)
        .unwrap_err();
    assert!(matches!(error, ServiceError::OfAnother { .. }), "{error}");
    assert_eq!(service.list().len(), 1);

    // A run of the command line works in the same directory.
    let folder = jobs(root.path()).join(SOVEREIGN);
    let directory = Directory::open(&folder.join("run"), SOVEREIGN).unwrap();
    let error = go_on(Task::Provision).unwrap_err();
    assert!(
        matches!(error, ServiceError::Directory(DirectoryError::Busy { .. })),
        "{error}"
    );
    drop(directory);
    // What it left the Sovereign at binds the service too.
    for (life, task, expected) in [
        (Life::Destroying, Task::Provision, Refusal::Destroying),
        (Life::Destroying, Task::Plan, Refusal::Destroying),
        (Life::Archived, Task::Provision, Refusal::Archived),
        (Life::Archived, Task::Destroy, Refusal::Archived),
        (Life::Archived, Task::Archive, Refusal::Archived),
        (Life::Destroying, Task::Archive, Refusal::Destroying),
        (Life::Provisioning, Task::Restore, Refusal::NotArchived),
        (Life::Provisioning, Task::Archive, Refusal::Unfinished),
        (Life::Destroyed, Task::Archive, Refusal::NothingMade),
    ] {
        let directory = Directory::open(&folder.join("run"), SOVEREIGN).unwrap();
        let mut record = Record::new(SOVEREIGN, jiff::Timestamp::UNIX_EPOCH);
        record.life = life;
        directory.save(&record).unwrap();
        drop(directory);
        let error = go_on(task).unwrap_err();
        assert!(
            matches!(&error, ServiceError::Refused { refusal, .. } if *refusal == expected),
            "{life:?} {task:?}: {error}"
        );
        let status = service.status(SOVEREIGN).unwrap();
        assert_eq!(status.record, Some(record));
    }
    // Nor may what its nodes have joined by become another.
    let directory = Directory::open(&folder.join("run"), SOVEREIGN).unwrap();
    let mut record = Record::new(SOVEREIGN, jiff::Timestamp::UNIX_EPOCH);
    let count = ("controlPlaneCount".to_owned(), serde_json::json!(3));
    record.fixed = BTreeMap::from([count]);
    directory.save(&record).unwrap();
    drop(directory);
    for task in [Task::Plan, Task::Provision] {
        let error = go_on(task).unwrap_err();
        assert!(matches!(error, ServiceError::Fixed { .. }), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("controlPlaneCount is 3 and cannot become 1"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn only_what_is_destroyed_is_forgotten_and_nothing_of_it_stays() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let service = ended(root.path(), &world.options).await;
    let error = service.forget(SOVEREIGN).unwrap_err();
    assert!(matches!(error, ServiceError::Remains { .. }), "{error}");
    let folder = jobs(root.path()).join(SOVEREIGN);
    let directory = Directory::open(&folder.join("run"), SOVEREIGN).unwrap();
    let mut record = Record::new(SOVEREIGN, jiff::Timestamp::UNIX_EPOCH);
    record.destroyed();
    directory.save(&record).unwrap();
    // A run of the command line is at work.
    let error = service.forget(SOVEREIGN).unwrap_err();
    assert!(matches!(error, ServiceError::Directory(_)), "{error}");
    drop(directory);
    service.forget(SOVEREIGN).unwrap();
    assert!(!folder.exists());
    let error = service.forget(SOVEREIGN).unwrap_err();
    assert!(matches!(error, ServiceError::Unknown { .. }), "{error}");
    assert!(open(root.path(), &world.options).list().is_empty());
    // It may be begun anew.
    ended(root.path(), &world.options).await;
}

#[tokio::test]
async fn a_plan_that_changes_nothing_is_no_end_while_later_steps_are_undone() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let service = ended(root.path(), &world.options).await;
    let inputs = inputs(&world.options);
    let now = jiff::Timestamp::now();
    let run = jobs(root.path()).join(SOVEREIGN).join("run");
    let mut record = Record::new(SOVEREIGN, now);
    for step in Step::ALL {
        record.begin(step, now);
        if step > Step::Apply {
            record.fail("it did not come in time".to_owned());
            Directory::open(&run, SOVEREIGN)
                .unwrap()
                .save(&record)
                .unwrap();
            let status = plan(&service).await;
            assert_eq!(status.standing(), Standing::Planned, "{step}");
            assert!(status.planned.is_empty(), "{step}");
        }
        record.finish(step, now, &inputs, BTreeMap::new());
    }
    Directory::open(&run, SOVEREIGN)
        .unwrap()
        .save(&record)
        .unwrap();
    let status = plan(&service).await;
    assert_eq!(status.standing(), Standing::Provisioned);
}

/// What the record says that `config(1)` was done with.
fn inputs(options: &Options) -> String {
    let mut hash = Sha256::new();
    hash.update(config(1).variables().to_string());
    hash.update(options.module.digest());
    hex::encode(hash.finalize())
}

#[tokio::test]
async fn what_a_step_failed_with_is_kept_without_credentials() {
    let root = tempfile::tempdir().unwrap();
    let mut world = world(root.path()).await;
    world.options.waits.ssh = Duration::ZERO;
    // As a proxy would that repeats what it was given.
    let said = format!("no: {}", CANARIES.join(" "));
    world.write("ssh", &format!("#!/bin/sh\necho '{said}' >&2\nexit 1\n"));
    let service = ended(root.path(), &world.options).await;
    let now = jiff::Timestamp::now();
    let mut record = Record::new(SOVEREIGN, now);
    for step in Step::ALL.into_iter().filter(|step| *step <= Step::Apply) {
        record.begin(step, now);
        record.finish(step, now, &inputs(&world.options), BTreeMap::new());
    }
    let address = serde_json::json!("127.0.0.1");
    record
        .outputs
        .insert("control_plane_ip".to_owned(), address);
    let run = jobs(root.path()).join(SOVEREIGN).join("run");
    Directory::open(&run, SOVEREIGN)
        .unwrap()
        .save(&record)
        .unwrap();
    service
        .go_on(SOVEREIGN, None, Task::Provision, "sol", &credentials())
        .unwrap();
    let status = service.settled(SOVEREIGN).await.unwrap();
    let attempt = status.record.unwrap().attempt.unwrap();
    assert_eq!(attempt.step, Step::WaitSsh);
    let failure = attempt.failure.unwrap();
    assert!(
        failure.contains("no: [secret] [secret] [secret]"),
        "{failure}"
    );
    has_no_canary(root.path());
}

async fn plan(service: &Service) -> Status {
    service
        .go_on(SOVEREIGN, None, Task::Plan, "sol", &credentials())
        .unwrap();
    service.settled(SOVEREIGN).await.unwrap()
}

#[tokio::test]
async fn a_job_that_cannot_be_begun_leaves_no_trace_of_itself() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let service = open(root.path(), &world.options);
    let folder = jobs(root.path()).join(SOVEREIGN);
    let (file, events) = (folder.join("sovereign.json"), folder.join("events.jsonl"));
    std::fs::create_dir_all(&events).unwrap();
    let create = || service.create(config(1), Task::Plan, "sol", &credentials());
    let error = create().unwrap_err();
    assert!(matches!(error, ServiceError::Access { .. }), "{error}");
    assert!(!file.exists());
    assert!(service.list().is_empty());
    assert!(open(root.path(), &world.options).list().is_empty());

    std::fs::remove_dir(&events).unwrap();
    create().unwrap();
    let before = service.settled(SOVEREIGN).await.unwrap();
    let kept = std::fs::read(&file).unwrap();
    // Neither the events can be written, nor the description.
    let new = folder.join("sovereign.json.new");
    for blocked in [&events, &new] {
        _ = std::fs::remove_file(blocked);
        std::fs::create_dir(blocked).unwrap();
        let error = service
            .go_on(
                SOVEREIGN,
                Some(config(2)),
                Task::Provision,
                "ada",
                &credentials(),
            )
            .unwrap_err();
        assert!(matches!(error, ServiceError::Access { .. }), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), kept);
        assert_eq!(service.status(SOVEREIGN).unwrap().job, before.job);
        std::fs::remove_dir(blocked).unwrap();
    }
    let status = plan(&service).await;
    assert_eq!(status.standing(), Standing::Failed);
}

#[tokio::test]
async fn one_job_at_a_time_is_at_work_and_it_can_be_cancelled() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let silent = Silent::new();
    let service = open(root.path(), &silent.of(&world.options));
    let credentials = credentials();
    service
        .create(config(1), Task::Provision, "sol", &credentials)
        .unwrap();
    assert_eq!(service.status(SOVEREIGN).unwrap().live, Some(Live::Working));
    for task in [Task::Plan, Task::Provision, Task::Destroy] {
        let error = service
            .go_on(SOVEREIGN, None, task, "sol", &credentials)
            .unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, ServiceError::Busy { .. }), "{said}");
        assert!(said.contains("to provision, since"), "{said}");
    }
    // Another control plane on the same data.
    let other = open(root.path(), &world.options);
    let error = other
        .go_on(SOVEREIGN, None, Task::Provision, "sol", &credentials)
        .unwrap_err();
    assert!(
        matches!(error, ServiceError::Directory(DirectoryError::Busy { .. })),
        "{error}"
    );
    service.cancel(SOVEREIGN).unwrap();
    let status = service.settled(SOVEREIGN).await.unwrap();
    assert_eq!(status.standing(), Standing::Cancelled);
    let ended = status.job.ended.unwrap();
    assert_eq!(ended.outcome, Outcome::Cancelled);
    let failure = ended.failure.unwrap();
    assert!(failure.contains("resume it to go on"), "{failure}");
}

/// The other half of the next test: the control plane that is killed.
#[tokio::test]
async fn the_service_that_is_killed() {
    let Some(root) = std::env::var_os("CATALYST_TEST_KILLED_SERVICE") else {
        return;
    };
    let root = PathBuf::from(root);
    let world = world(&root).await;
    let silent = Silent::new();
    let service = open(&root, &silent.of(&world.options));
    service
        .create(config(1), Task::Provision, "sol", &credentials())
        .unwrap();
    let mut follower = service.follow(SOVEREIGN, 0).unwrap();
    while !follower.next().await.1.contains("step-begun") {}
    std::fs::write(root.join("begun"), "").unwrap();
    service.settled(SOVEREIGN).await.unwrap();
    panic!("nobody killed it");
}

#[tokio::test]
async fn a_job_that_was_cut_off_is_shown_as_interrupted_and_gone_on_with() {
    let root = tempfile::tempdir().unwrap();
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args(["the_service_that_is_killed", "--exact"])
        .env("CATALYST_TEST_KILLED_SERVICE", root.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !root.path().join("begun").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.kill().unwrap();
    run.wait().unwrap();

    let world = world(root.path()).await;
    let service = open(root.path(), &world.options);
    let status = service.status(SOVEREIGN).unwrap();
    assert_eq!(status.standing(), Standing::Interrupted);
    assert_eq!(
        status.record.unwrap().attempt.unwrap().step,
        Step::Preflight
    );
    let error = service
        .create(config(1), Task::Provision, "sol", &credentials())
        .unwrap_err();
    assert!(matches!(error, ServiceError::Known { .. }), "{error}");
    let last = {
        let mut follower = service.follow(SOVEREIGN, 0).unwrap();
        let (first, _) = follower.next().await;
        assert_eq!(first, 1);
        follower.next().await.0
    };
    service
        .go_on(SOVEREIGN, None, Task::Provision, "ada", &credentials())
        .unwrap();
    // Whoever followed the job that was cut off hears of the next one.
    let mut follower = service.follow(SOVEREIGN, last).unwrap();
    let events = to_the_end(&mut follower).await;
    assert_eq!(events[0].0, last + 1);
    assert_eq!(events[0].1["event"], "job-begun");
    let status = service.settled(SOVEREIGN).await.unwrap();
    assert_eq!(status.standing(), Standing::Failed);
    assert_eq!(status.job.by, "ada");
    has_no_canary(root.path());
}

#[tokio::test]
async fn a_sovereign_that_cannot_be_read_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let _first = ended(root.path(), &world.options).await;
    let folder = jobs(root.path()).join(SOVEREIGN);
    let file = folder.join("sovereign.json");
    let good = std::fs::read_to_string(&file).unwrap();
    for bad in ["{", &good.replacen("\"version\": 1", "\"version\": 2", 1)] {
        std::fs::write(&file, bad).unwrap();
        let opened =
            catalyst_provisioner::service::Service::open(&jobs(root.path()), world.options.clone());
        let (service, unreadable) = opened.unwrap();
        assert_eq!(unreadable.len(), 1);
        let said = unreadable[0].to_string();
        assert!(said.contains("sovereign.json"), "{said}");
        for error in [
            service.create(config(1), Task::Plan, "sol", &credentials()),
            service.go_on(SOVEREIGN, None, Task::Plan, "sol", &credentials()),
            service.cancel(SOVEREIGN),
            service.status(SOVEREIGN).map(drop),
            service.follow(SOVEREIGN, 0).map(drop),
        ] {
            let error = error.unwrap_err();
            assert!(matches!(error, ServiceError::Unreadable { .. }), "{error}");
        }
        // It hides no other, and is listed itself.
        let acme = Config {
            sovereign_fqdn: "acme.example".to_owned(),
            ..config(1)
        };
        if service.status("acme.example").is_err() {
            service
                .create(acme, Task::Plan, "sol", &credentials())
                .unwrap();
            service.settled("acme.example").await.unwrap();
        }
        let list = service.list();
        let names: Vec<_> = list
            .iter()
            .map(|(name, status)| (name.as_str(), status.is_ok()))
            .collect();
        assert_eq!(names, [("acme.example", true), (SOVEREIGN, false)]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), bad);
        // It is put back while the service is open.
        std::fs::write(&file, &good).unwrap();
        let status = service.status(SOVEREIGN).unwrap();
        assert_eq!(status.standing(), Standing::Failed);
    }
    let record = folder.join("run/provision.json");
    std::fs::write(&record, "{").unwrap();
    let service = open(root.path(), &world.options);
    let error = service.status(SOVEREIGN).unwrap_err();
    assert!(
        matches!(&error, ServiceError::Unreadable { path, .. } if *path == record),
        "{error}"
    );
    assert!(service.list()[0].1.is_ok());
}

/// Whether no job of the Sovereign may begin, since something is at work in its directory.
fn is_kept_out(service: &Service) -> bool {
    matches!(
        service.prepare_next(SOVEREIGN, None, Task::Plan, "sol"),
        Err(ServiceError::Directory(DirectoryError::Busy { .. }))
    )
}

#[tokio::test]
async fn secrets_in_files_go_only_once_they_are_kept_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let service = ended(root.path(), &world.options).await;
    assert!(service.left(SOVEREIGN).unwrap().is_none());
    let error = service.left("absent.example").unwrap_err();
    assert!(matches!(error, ServiceError::Unknown { .. }), "{error}");

    // As this service left them before they had a place in the vault; one was cut off.
    let run = jobs(root.path()).join(SOVEREIGN).join("run");
    for (name, text) in [
        ("passphrase", "canary-passphrase\n"),
        ("passphrase.new", "canary-passphrase"),
        ("openbao-seal", "canary-seal"),
        ("gitea-admin", ""),
    ] {
        std::fs::write(run.join(name), text).unwrap();
    }
    // Whoever took them and ended before it said so finds them again.
    for _ in 0..2 {
        let left = service.left(SOVEREIGN).unwrap().unwrap();
        let found: Vec<(OwnSecret, &str)> = left
            .secrets()
            .iter()
            .map(|(one, secret)| (*one, secret.reveal()))
            .collect();
        let expected = [
            (OwnSecret::Passphrase, "canary-passphrase"),
            (OwnSecret::OpenbaoSeal, "canary-seal"),
        ];
        assert_eq!(found, expected);
        assert!(!format!("{left:?}").contains("canary"));
        assert!(is_kept_out(&service));
    }
    assert!(!is_kept_out(&service));
    let held = Directory::open(&run, SOVEREIGN).unwrap();
    let error = service.left(SOVEREIGN).unwrap_err();
    let is_busy = matches!(error, ServiceError::Directory(DirectoryError::Busy { .. }));
    assert!(is_busy, "{error}");
    drop(held);

    let left = service.left(SOVEREIGN).unwrap().unwrap();
    left.remove(|one, _| one == OwnSecret::Passphrase).unwrap();
    for (name, is_there) in [
        ("passphrase", false),
        ("passphrase.new", false),
        ("openbao-seal", true),
    ] {
        assert_eq!(run.join(name).exists(), is_there, "{name}");
    }
    let left = service.left(SOVEREIGN).unwrap().unwrap();
    left.remove(|_, _| true).unwrap();
    assert!(service.left(SOVEREIGN).unwrap().is_none());
}

#[tokio::test]
async fn of_what_is_destroyed_neither_secrets_in_files_stay_nor_what_they_open() {
    let root = tempfile::tempdir().unwrap();
    let world = world(root.path()).await;
    let service = ended(root.path(), &world.options).await;
    let run = jobs(root.path()).join(SOVEREIGN).join("run");
    let record = std::fs::read_to_string(run.join("provision.json")).unwrap();
    let destroyed = record.replacen("\"provisioning\"", "\"destroyed\"", 1);
    std::fs::write(run.join("provision.json"), destroyed).unwrap();
    std::fs::write(run.join("passphrase"), "canary-passphrase").unwrap();
    std::fs::create_dir_all(run.join("module")).unwrap();
    std::fs::write(run.join("module/terraform.tfstate"), "{}").unwrap();
    assert!(service.left(SOVEREIGN).unwrap().is_none());
    assert!(!run.join("passphrase").exists() && !run.join("module").exists());
    // It may be made anew, with a passphrase that opens nothing of before.
    let prepared = service.prepare_new(config(1), Task::Plan, "sol").unwrap();
    for one in OwnSecret::ALL {
        assert!(!prepared.needs(one).unwrap(), "{one:?}");
    }
}
