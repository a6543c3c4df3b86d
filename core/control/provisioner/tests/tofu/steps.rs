//! The steps from preflight to the parts, on the real OpenTofu. The module makes
//! `terraform_data` resources; `ssh` is a script that answers as a control plane would,
//! so what is shown here is the order, the record and going on, not a cloud.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use catalyst_provisioner::directory::Directory;
use catalyst_provisioner::record::{Life, Record, Refusal, Step};
use catalyst_provisioner::{Config, Event, ProvisionError, Provisioner, Secret};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::hetzner::{Project, TOKEN};
use crate::machine::{binary, files, holds};
use crate::support::kill_while_creating;
use crate::world::{World, description, gate};

impl World {
    fn directory(&self) -> PathBuf {
        self.root.join("sovereign")
    }

    fn record(&self) -> Record {
        Directory::look(&self.directory(), "omantel.example").unwrap()
    }

    /// One run to the end: what it would change, how it ended, what it told.
    async fn run(&self, config: &Config) -> (usize, Result<(), ProvisionError>, Vec<Event>) {
        let mut events = Vec::new();
        let mut sink = |event| events.push(event);
        let directory = Directory::open(&self.directory(), &config.sovereign_fqdn).unwrap();
        let mut run = Provisioner::new(
            config,
            &self.options,
            directory,
            CancellationToken::new(),
            &mut sink,
        )
        .unwrap();
        let result = async {
            let planned = run.plan().await?;
            let changes = planned.map_or(0, |planned| planned.changes.len());
            run.finish().await?;
            Ok(changes)
        }
        .await;
        drop(run);
        match result {
            Ok(changes) => (changes, Ok(()), events),
            Err(error) => (0, Err(error), events),
        }
    }

    async fn destroy(&self, config: &Config) -> Result<(), ProvisionError> {
        let directory = Directory::open(&self.directory(), &config.sovereign_fqdn).unwrap();
        let mut sink = |_| {};
        let cancel = CancellationToken::new();
        Provisioner::new(config, &self.options, directory, cancel, &mut sink)
            .unwrap()
            .destroy()
            .await
    }

    /// How a run is refused before it begins.
    fn refused(&self, config: &Config) -> String {
        let directory = Directory::open(&self.directory(), &config.sovereign_fqdn).unwrap();
        let mut sink = |_| {};
        let cancel = CancellationToken::new();
        match Provisioner::new(config, &self.options, directory, cancel, &mut sink) {
            Ok(_) => panic!("it was not refused"),
            Err(error) => error.to_string(),
        }
    }

    async fn restore(&self, config: &Config) -> Result<(PathBuf, usize), ProvisionError> {
        let directory = Directory::open(&self.directory(), &config.sovereign_fqdn).unwrap();
        let mut sink = |_| {};
        let cancel = CancellationToken::new();
        Provisioner::new(config, &self.options, directory, cancel, &mut sink)
            .unwrap()
            .restore(None)
            .await
    }

    fn archive(&self, config: &Config) -> Result<PathBuf, ProvisionError> {
        let directory = Directory::open(&self.directory(), &config.sovereign_fqdn).unwrap();
        let mut sink = |_| {};
        let cancel = CancellationToken::new();
        Provisioner::new(config, &self.options, directory, cancel, &mut sink)
            .unwrap()
            .archive()
    }
}

fn config(more: u16) -> Config {
    let text = description(more);
    Config::parse("sovereign.yaml", &text, &|_| panic!("no file is named")).unwrap()
}

/// What Crossplane was given last under this name.
fn given(world: &World, name: &str) -> Value {
    let text = std::fs::read_to_string(world.root.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn policies(list: &Value) -> Vec<&Value> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| &item["spec"]["managementPolicies"])
        .collect()
}

/// A world whose state tells of Hetzner's network 4711, which is there.
async fn with_network(binary: &Path, root: &Path) -> World {
    let mut world = World::new(binary, root, "true").await;
    world.makes_network(4711);
    // What it is called now is nobody's business.
    let network = json!({"id": 4711, "name": "renamed", "labels": {}});
    let project = Project::empty().with("networks", [network]);
    world.options.hetzner = project.serve().await.address.clone();
    world
}

fn begun(events: &[Event]) -> Vec<Step> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::StepBegun { step, .. } => Some(*step),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn every_step_is_taken_once_and_a_second_run_takes_none() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    let (changes, result, events) = world.run(&config(2)).await;
    result.unwrap();
    assert_eq!(changes, 4);
    assert_eq!(begun(&events), Step::ALL);
    assert!(
        events.contains(&Event::Resources { done: 4, total: 4 }),
        "{events:?}"
    );
    // Whoever writes the records has the time of the waits for it, and is told once more.
    let told_records: Vec<usize> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| {
            matches!(event, Event::Found(found)
                if found.subject == "DNS records" && found.message.ends_with("omantel.example A 203.0.113.9"))
        })
        .map(|(index, _)| index)
        .collect();
    let at = |wanted: Step| {
        let is_it =
            |event: &Event| matches!(event, Event::StepBegun { step, .. } if *step == wanted);
        events.iter().position(is_it).unwrap()
    };
    assert_eq!(told_records.len(), 2, "{events:?}");
    assert!((at(Step::Apply)..at(Step::WaitSsh)).contains(&told_records[0]));
    assert!(told_records[1] > at(Step::Checklist));

    let record = world.record();
    assert_eq!(record.done.len(), Step::ALL.len());
    assert_eq!(
        record.outputs["console_url"],
        "https://console.omantel.example"
    );
    assert!(record.done[&Step::Init].versions.contains_key("tofu"));
    assert_eq!(record.done[&Step::Apply].versions["k3s"], "v1.35.1+k3s1");

    let handed: Value =
        serde_json::from_slice(&std::fs::read(root.path().join("handed")).unwrap()).unwrap();
    let token = handed["items"][0]["data"]["token"].as_str().unwrap();
    let token = base64::engine::general_purpose::STANDARD
        .decode(token)
        .unwrap();
    assert_eq!(token, TOKEN.as_bytes());
    assert_eq!(handed["items"].as_array().unwrap().len(), 5);

    let (changes, result, again) = world.run(&config(2)).await;
    result.unwrap();
    assert_eq!((changes, begun(&again)), (0, vec![]));
    assert_eq!(world.record(), record);

    // The token and Git's password were handed over, and are nowhere else.
    let told = serde_json::to_string(&events).unwrap();
    for canary in [TOKEN, "canary-git-password"] {
        assert!(!told.contains(canary), "{told}");
        for (path, content) in files(&world.directory()) {
            assert!(!holds(&content, canary), "{} has {canary}", path.display());
        }
    }
}

#[tokio::test]
async fn a_run_that_waited_in_vain_goes_on_where_it_stood() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    world.node("failed");
    world.options.waits.kubernetes = Duration::from_millis(500);
    let (_, result, events) = world.run(&config(1)).await;
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("step cilium failed and is tried again: line 7"),
        "{error}"
    );
    assert_eq!(begun(&events).last(), Some(&Step::WaitKubernetes));
    let attempt = world.record().attempt.unwrap();
    assert_eq!(attempt.step, Step::WaitKubernetes);
    assert_eq!(attempt.failure, Some(error));

    world.node("done");
    let (changes, result, events) = world.run(&config(1)).await;
    result.unwrap();
    assert_eq!(changes, 0);
    assert_eq!(
        begun(&events),
        &Step::ALL[Step::WaitKubernetes.number() - 1..]
    );
}

#[tokio::test]
async fn a_changed_description_is_planned_and_applied() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    world.run(&config(1)).await.1.unwrap();
    // OpenTofu's own files too are the owner's alone.
    let module = world.directory().join("module");
    for name in ["terraform.tfstate", "main.tf", "tofu.auto.tfvars.json"] {
        let mode = std::fs::metadata(module.join(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
    let (changes, result, events) = world.run(&config(3)).await;
    result.unwrap();
    assert_eq!(changes, 2);
    assert_eq!(begun(&events), Step::ALL);
}

#[tokio::test]
async fn what_nodes_have_joined_by_cannot_change_any_more() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    world.run(&config(0)).await.1.unwrap();
    let before = world.record();
    let other = Config {
        worker_count: 2,
        ..config(0)
    };
    let error = world.run(&other).await.1.unwrap_err().to_string();
    for expected in ["workerCount is 1 and cannot become 2", "by hand"] {
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(world.record(), before);
    // What is gone is made anew as it shall be; here a node is still missing.
    world.destroy(&config(0)).await.unwrap();
    let mut world = world;
    world.options.waits.checklist = Duration::ZERO;
    let error = world.run(&other).await.1.unwrap_err().to_string();
    assert!(error.contains("2 of 3 have joined"), "{error}");
}

#[tokio::test]
async fn what_is_destroyed_can_be_made_anew_and_what_is_archived_is_left_alone() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    let config = config(0);
    let unfinished = world.archive(&config).unwrap_err().to_string();
    assert!(unfinished.contains("is not done"), "{unfinished}");
    world.run(&config).await.1.unwrap();
    world.destroy(&config).await.unwrap();
    assert_eq!(world.record().life, Life::Destroyed);
    world.destroy(&config).await.unwrap();
    let (changes, result, _) = world.run(&config).await;
    result.unwrap();
    assert_eq!(changes, 2);

    let folder = world.archive(&config).unwrap();
    let state = std::fs::read(folder.join("terraform.tfstate")).unwrap();
    assert!(holds(&state, "encrypted_data"));
    assert!(folder.join("archive.json").is_file());
    assert!(!world.directory().join("module").exists());
    for result in [world.run(&config).await.1, world.destroy(&config).await] {
        assert!(
            matches!(
                result,
                Err(ProvisionError::Refused {
                    refusal: Refusal::Archived,
                    ..
                })
            ),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn what_is_archived_can_be_taken_back_and_destroyed_if_it_can_be_read() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    let config = config(1);
    world.run(&config).await.1.unwrap();
    let error = world.restore(&config).await.unwrap_err().to_string();
    assert!(error.contains("its state is not archived"), "{error}");
    let folder = world.archive(&config).unwrap();
    let before = world.record();

    // Another passphrase opens nothing, and a lost one is not made anew.
    let passphrase = world.directory().join("passphrase");
    let good = std::fs::read(&passphrase).unwrap();
    std::fs::write(&passphrase, "0".repeat(64)).unwrap();
    let error = world.restore(&config).await.unwrap_err().to_string();
    assert!(error.contains("it stays archived"), "{error}");
    assert!(!world.directory().join("module").exists());
    assert_eq!(world.record(), before);
    std::fs::remove_file(&passphrase).unwrap();
    let error = world.refused(&config);
    assert!(error.contains("passphrase: it is gone"), "{error}");
    std::fs::write(&passphrase, &good).unwrap();

    let restored = world.restore(&config).await.unwrap();
    assert_eq!(restored, (folder, 3));
    assert_eq!(world.record().life, Life::Provisioning);
    // As it was: a run with the same description takes no step.
    let (changes, result, events) = world.run(&config).await;
    result.unwrap();
    assert_eq!((changes, begun(&events)), (0, vec![]));
    // It can be archived once more, and the way back leads to the end.
    world.archive(&config).unwrap();
    world.restore(&config).await.unwrap();
    world.destroy(&config).await.unwrap();
    assert_eq!(world.record().life, Life::Destroyed);
}

#[tokio::test]
async fn a_secret_that_is_in_use_is_never_replaced() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = World::new(&binary, root.path(), "true").await;
    world.run(&config(0)).await.1.unwrap();
    std::fs::remove_file(world.directory().join("openbao-seal")).unwrap();
    // A change goes through all steps again, the hand-over among them.
    let error = world.run(&config(1)).await.1.unwrap_err().to_string();
    assert!(error.contains("openbao-seal: it is gone"), "{error}");
    assert!(!world.directory().join("openbao-seal").exists());
    std::fs::remove_file(world.directory().join("passphrase")).unwrap();
    let error = world.refused(&config(1));
    assert!(error.contains("passphrase: it is gone"), "{error}");
}

#[tokio::test]
async fn a_problem_that_preflight_finds_stops_before_anything_is_made() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    let project = Project {
        rights: "read",
        ..Project::empty()
    };
    world.options.hetzner = project.serve().await.address.clone();
    world.options.ssh = root.path().join("absent-ssh");
    let (_, result, _) = world.run(&config(1)).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("2 problems"), "{error}");
    assert!(
        error.contains("absent-ssh") && error.contains("may only read"),
        "{error}"
    );
    assert!(!world.directory().join("module").exists());
}

#[tokio::test]
async fn what_was_fine_yesterday_is_looked_at_again_before_anything_is_made() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "exit 1").await;
    let error = world.run(&config(0)).await.1.unwrap_err().to_string();
    assert!(error.contains("create the resources"), "{error}");
    let project = Project {
        rights: "read",
        ..Project::empty()
    };
    world.options.hetzner = project.serve().await.address.clone();
    let (_, result, events) = world.run(&config(0)).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("may only read"), "{error}");
    assert_eq!(begun(&events), [Step::Preflight]);
    assert_eq!(world.record().attempt.unwrap().step, Step::Preflight);
}

#[tokio::test]
async fn without_a_token_everything_else_is_told_too() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    world.options.ssh = root.path().join("absent-ssh");
    world.options.token = Secret::new("");
    let error = world.run(&config(0)).await.1.unwrap_err().to_string();
    for expected in ["2 problems", "absent-ssh", "token: no token is given"] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[tokio::test]
async fn a_destroy_that_leaves_something_in_the_project_names_it() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    world.run(&config(0)).await.1.unwrap();
    // Made, and never seen by the state: OpenTofu was killed in between.
    let leaked = json!({"id": 7, "name": "omantel-example-worker-1", "labels": {"openova.io/sovereign": "omantel-example"}});
    let project = Project::empty().with("servers", [leaked]);
    let empty = world.options.hetzner.clone();
    world.options.hetzner = project.serve().await.address.clone();
    let error = world.destroy(&config(0)).await.unwrap_err().to_string();
    assert!(error.contains("server omantel-example-worker-1"), "{error}");
    assert_eq!(world.record().life, Life::Destroying);
    let refused = world.run(&config(0)).await.1.unwrap_err().to_string();
    assert!(refused.contains("catalyst provision destroy"), "{refused}");
    world.options.hetzner = empty;
    world.destroy(&config(0)).await.unwrap();
    assert_eq!(world.record().life, Life::Destroyed);
}

#[tokio::test]
async fn what_the_cluster_made_by_itself_is_named_until_it_is_gone() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    world.run(&config(0)).await.1.unwrap();
    let empty = world.options.hetzner.clone();
    // While its server is there, the volume is known by it; afterwards it hangs on nothing.
    let server = json!({"id": 7, "name": "omantel-example-cp-1", "labels": {"openova.io/sovereign": "omantel-example"}});
    let volume =
        |server: Value| json!({"id": 9, "name": "pvc-0a1b", "server": server, "labels": {}});
    let before = Project::empty()
        .with("servers", [server])
        .with("volumes", [volume(json!(7))]);
    world.options.hetzner = before.serve().await.address.clone();
    let error = world.destroy(&config(0)).await.unwrap_err().to_string();
    assert!(error.contains("server omantel-example-cp-1"), "{error}");

    let after = Project::empty().with("volumes", [volume(Value::Null)]);
    world.options.hetzner = after.serve().await.address.clone();
    let error = world.destroy(&config(0)).await.unwrap_err().to_string();
    assert!(
        error.contains("made by itself: volume pvc-0a1b; "),
        "{error}"
    );
    assert_eq!(world.record().life, Life::Destroying);
    world.options.hetzner = empty;
    world.destroy(&config(0)).await.unwrap();
    assert_eq!(world.record().life, Life::Destroyed);
    assert!(world.record().beside.is_empty());
}

#[tokio::test]
async fn a_token_of_another_project_makes_nothing_and_destroys_nothing() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = with_network(&binary, root.path()).await;
    let own = world.options.hetzner.clone();
    let other = Project::empty().serve().await.address.clone();
    world.run(&config(0)).await.1.unwrap();
    let before = (world.record(), files(&world.directory().join("module")));

    world.options.hetzner = other.clone();
    for result in [
        world.destroy(&config(0)).await,
        world.run(&config(1)).await.1,
    ] {
        let error = result.unwrap_err().to_string();
        for expected in ["no network 4711", "HCLOUD_TOKEN", "--removed-by-hand"] {
            assert!(error.contains(expected), "{error}");
        }
        let now = (world.record(), files(&world.directory().join("module")));
        assert!(now == before, "something has changed");
    }

    // With its own token it is gone on with.
    world.options.hetzner = own;
    let (changes, result, _) = world.run(&config(1)).await;
    result.unwrap();
    assert_eq!(changes, 1);

    // Whoever removed everything by hand says so, and OpenTofu finds that out.
    world.options.hetzner = other;
    let directory = Directory::open(&world.directory(), "omantel.example").unwrap();
    let mut sink = |_| {};
    let cancel = CancellationToken::new();
    let description = config(1);
    Provisioner::new(&description, &world.options, directory, cancel, &mut sink)
        .unwrap()
        .removed_by_hand(true)
        .destroy()
        .await
        .unwrap();
    assert_eq!(world.record().life, Life::Destroyed);
}

#[tokio::test]
async fn crossplane_keeps_what_was_made_and_lets_go_of_it_before_it_is_destroyed() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = with_network(&binary, root.path()).await;
    world.run(&config(1)).await.1.unwrap();
    let applied = given(&world, "applied");
    let first = &applied["items"][0];
    assert_eq!(first["kind"], "Network");
    assert_eq!(first["metadata"]["name"], "network-network");
    assert_eq!(
        first["metadata"]["annotations"]["crossplane.io/external-name"],
        "4711"
    );
    assert_eq!(first["spec"]["forProvider"]["ipRange"], "10.0.0.0/16");
    let kept = json!(["Observe", "Create", "Update", "LateInitialize"]);
    assert_eq!(policies(&applied), [&kept, &kept, &kept]);
    assert!(!root.path().join("released").exists());

    // Before OpenTofu changes anything, Crossplane lets go; what is gone it forgets.
    world.run(&config(0)).await.1.unwrap();
    let observed = json!(["Observe"]);
    assert_eq!(policies(&given(&world, "released")), [&observed; 3]);
    assert_eq!(policies(&given(&world, "applied")), [&kept, &kept]);

    std::fs::remove_file(root.path().join("released")).unwrap();
    world.destroy(&config(0)).await.unwrap();
    assert_eq!(policies(&given(&world, "released")), [&observed; 2]);
    assert!(world.record().given.is_empty());
}

#[tokio::test]
async fn what_crossplane_sees_otherwise_it_is_not_given_to_keep() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = with_network(&binary, root.path()).await;
    world.write("seen-id", "4712");
    let error = world.run(&config(0)).await.1.unwrap_err().to_string();
    assert!(error.contains("its id is 4712 and not 4711"), "{error}");
    assert_eq!(world.record().attempt.unwrap().step, Step::Observe);
    let observed = json!(["Observe"]);
    assert_eq!(policies(&given(&world, "applied")), [&observed; 2]);
    // It has to be put right before phase 0 can end.
    let unfinished = world.archive(&config(0)).unwrap_err().to_string();
    assert!(
        unfinished.contains("let Crossplane observe"),
        "{unfinished}"
    );

    std::fs::remove_file(root.path().join("seen-id")).unwrap();
    let managed = root.path().join("managed");
    let begins = std::time::Instant::now();
    while std::fs::read_to_string(&managed).unwrap().contains("4712") {
        assert!(begins.elapsed() < Duration::from_secs(60), "it sees it yet");
        tokio::task::yield_now().await;
    }
    let (_, result, events) = world.run(&config(0)).await;
    result.unwrap();
    assert_eq!(begun(&events), &Step::ALL[Step::Observe.number() - 1..]);
}

#[tokio::test]
async fn an_answer_that_is_no_list_does_not_pass_for_nothing_to_let_go_of() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let world = with_network(&binary, root.path()).await;
    world.run(&config(0)).await.1.unwrap();
    let managed = std::fs::read_to_string(root.path().join("managed")).unwrap();
    world.write("managed", "Welcome to omantel");
    let error = world.run(&config(1)).await.1.unwrap_err().to_string();
    assert!(error.contains("is no list of objects"), "{error}");
    assert_eq!(world.record().attempt.unwrap().step, Step::Observe);
    world.write("managed", &managed);
    world.run(&config(1)).await.1.unwrap();
}

#[tokio::test]
async fn the_checklist_waits_for_dns_and_says_what_to_write() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    world.options.waits.checklist = Duration::from_millis(500);
    world.write("auth", "200 198.51.100.1");
    let error = world.run(&config(0)).await.1.unwrap_err().to_string();
    for expected in [
        "5 of 6 points",
        "198.51.100.1",
        "203.0.113.9",
        "DNS records",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    world.write("auth", "302 203.0.113.9");
    let (_, result, events) = world.run(&config(0)).await;
    result.unwrap();
    assert_eq!(begun(&events), [Step::Checklist]);
}

#[tokio::test]
async fn a_node_whose_bootstrap_has_not_ended_is_named() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    world.options.waits.checklist = Duration::from_millis(500);
    world.bootstrapped("failed");
    let error = world.run(&config(0)).await.1.unwrap_err().to_string();
    assert!(error.contains("the bootstrap of worker-1"), "{error}");
    world.bootstrapped("done");
    world.run(&config(0)).await.1.unwrap();
}

#[tokio::test]
async fn members_of_openbao_that_are_clusters_of_their_own_are_told() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    world.options.waits.checklist = Duration::from_millis(500);
    let members = |second: &str| {
        [("0", "a"), ("1", second)].map(|(name, cluster)| {
            format!(r#"pod/openbao-{name} {{"initialized":true,"sealed":false,"cluster_id":"{cluster}"}}"#)
        })
    };
    world.write("openbao", &members("b").join("\n"));
    let error = world.run(&config(0)).await.1.unwrap_err().to_string();
    assert!(
        error.contains("OpenBao: its members are 2 clusters"),
        "{error}"
    );
    world.write("openbao", &members("a").join("\n"));
    world.run(&config(0)).await.1.unwrap();
}

#[tokio::test]
async fn what_is_not_published_is_left_out_and_told_and_waited_for_once_it_is() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(&binary, root.path(), "true").await;
    let (_, result, events) = world.run(&config(0)).await;
    result.unwrap();
    let record = world.record();
    assert!(!record.has_console());
    let without = record.without().unwrap();
    assert!(without.starts_with("It is without catalyst"), "{without}");
    let told = events.iter().any(
        |event| matches!(event, Event::Found(found) if !found.problem && found.message == without),
    );
    assert!(told, "{events:?}");

    // Published, it is waited for, and its console has to answer.
    world.reconcile(|_| true);
    world.options.waits.checklist = Duration::from_millis(500);
    let error = world.run(&config(1)).await.1.unwrap_err().to_string();
    assert!(
        error.contains("console.omantel.example answers 404"),
        "{error}"
    );
    world.write("console", "200 203.0.113.9");
    world.run(&config(1)).await.1.unwrap();
    assert_eq!(world.record().without(), None);
    assert!(world.record().has_console());
}

/// The other half of the next test: the run that is killed.
#[tokio::test]
async fn the_run_that_is_killed() {
    let Some(root) = std::env::var_os("CATALYST_TEST_KILLED_STEPS") else {
        return;
    };
    let root = PathBuf::from(root);
    let gate = gate(&root);
    let world = World::new(&binary().unwrap(), &root, &gate).await;
    world.run(&config(0)).await.1.unwrap();
}

#[tokio::test]
async fn a_run_killed_while_it_creates_is_gone_on_with() {
    let Some(binary) = binary() else { return };
    let root = tempfile::tempdir().unwrap();
    kill_while_creating(
        "steps::the_run_that_is_killed",
        "CATALYST_TEST_KILLED_STEPS",
        root.path(),
    )
    .await;
    let world = World::new(&binary, root.path(), &gate(root.path())).await;
    assert_eq!(world.record().attempt.unwrap().step, Step::Apply);
    std::fs::write(root.path().join("gate"), "").unwrap();
    let (changes, result, events) = world.run(&config(0)).await;
    result.unwrap();
    // OpenTofu went on by itself and had made everything.
    assert_eq!(changes, 0);
    // Who goes on looks again first.
    let begun = begun(&events);
    assert_eq!(begun[0], Step::Preflight);
    assert_eq!(begun[1..], Step::ALL[Step::Plan.number() - 1..]);
}
