//! The read model on sequences as clusters and the forge make them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fact::{CommitFact, GoneFact, address_of_commit, address_of_object, address_of_pull};
use crate::kinds;
use crate::strip::strip;

const VCLUSTER: &str = "lo-loc-rtz-dev-acme";

fn settings() -> Settings {
    Settings {
        applications: "http://localhost:8080".parse().unwrap(),
        git: "http://localhost:8080/git".to_owned(),
    }
}

/// A spine's streams in memory: what a stream keeps, and all that was said.
#[derive(Default, Clone)]
struct Log {
    streams: BTreeMap<String, Vec<SpineMessage>>,
}

impl Log {
    fn say(&mut self, address: &Address, fact: &Fact) {
        self.say_json(address, &serde_json::to_value(fact).unwrap());
    }

    fn say_json(&mut self, address: &Address, payload: &Value) {
        let stream = self.streams.entry(address.stream.clone()).or_default();
        let sequence = stream.last().map_or(0, |it| it.sequence) + 1;
        let millisecond = 1_800_000_000_000 + i64::try_from(sequence).unwrap() * 1_000;
        stream.push(SpineMessage {
            sequence,
            subject: address.subject.clone(),
            time: Timestamp::from_millisecond(millisecond).unwrap(),
            payload: Bytes::from(payload.to_string()),
        });
    }

    fn object(&mut self, cluster: &str, kind: &str, object: Value) {
        let all = [kinds::MANAGEMENT, kinds::VCLUSTER].concat();
        let watched = *all.iter().find(|it| it.kind == kind).unwrap();
        let (address, application) =
            address_of_object(cluster, &watched, &object["metadata"]).unwrap();
        let fact = if object.get("gone").is_some() {
            Fact::Gone(GoneFact {
                cluster: cluster.to_owned(),
                application,
                kind: kind.to_owned(),
                name: object["metadata"]["name"].as_str().unwrap().to_owned(),
            })
        } else {
            Fact::Object(ObjectFact {
                cluster: cluster.to_owned(),
                application,
                object: strip(&object, &watched.api_version(), kind),
            })
        };
        self.say(&address, &fact);
    }

    /// As a stream is kept: only the newest of each subject.
    fn compacted(&self) -> Self {
        let mut kept = self.clone();
        for messages in kept.streams.values_mut() {
            let newest: BTreeMap<String, u64> = messages
                .iter()
                .map(|it| (it.subject.clone(), it.sequence))
                .collect();
            messages.retain(|it| newest[&it.subject] == it.sequence);
        }
        kept
    }

    fn project(&self) -> Model {
        let mut model = Model::new(settings());
        for (stream, messages) in &self.streams {
            for message in messages {
                model.apply(stream, message);
            }
        }
        model
    }
}

fn ready(status: &str, message: &str) -> Value {
    json!([{"type": "Ready", "status": status, "reason": "Because", "message": message,
            "lastTransitionTime": "2026-11-23T10:00:00Z"}])
}

fn organization() -> Value {
    json!({
        "metadata": {"name": "acme", "generation": 1, "creationTimestamp": "2026-11-23T09:00:00Z"},
        "spec": {"displayName": "Acme", "members": [{"user": "alice", "role": "org-admin"}]},
        "status": {"observedGeneration": 1, "conditions": ready("True", "ready")},
    })
}

fn environment() -> Value {
    json!({
        "metadata": {"name": "acme-dev", "generation": 1, "creationTimestamp": "2026-11-23T09:00:00Z"},
        "spec": {"organization": "acme", "envType": "dev"},
        "status": {"observedGeneration": 1, "vclusters": [VCLUSTER], "conditions": ready("True", "ready")},
    })
}

fn application(name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "acme-dev", "generation": 2, "creationTimestamp": "2026-11-23T09:30:00Z"},
        "spec": {"blueprint": {"source": "catalog", "name": "bp-wiki", "version": "1.2.0"}, "config": {"title": "Hi"}},
        "status": {"observedGeneration": 2, "phase": "Running", "conditions": ready("True", "all pods run")},
    });
    change(&mut object);
    object
}

fn crashing_pod() -> Value {
    json!({
        "metadata": {"name": "wiki-0", "namespace": "wiki"},
        "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T11:00:00Z"}],
            "containerStatuses": [{"name": "web", "ready": false, "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no database"}}}]},
    })
}

/// A whole life: made, changed, failing, mended, deleted.
fn story() -> Log {
    let mut log = Log::default();
    log.object(MANAGEMENT, "Organization", organization());
    log.object(MANAGEMENT, "Environment", environment());
    log.object(VCLUSTER, "Application", application("db", |_| {}));
    log.object(
        VCLUSTER,
        "Application",
        application("wiki", |it| {
            it["spec"]["dependencies"] = json!({"db": {"application": "db"}});
        }),
    );
    log.object(VCLUSTER, "Kustomization", json!({
        "metadata": {"name": "acme-dev", "namespace": "acme-dev", "generation": 1},
        "status": {"observedGeneration": 1, "lastAppliedRevision": "main@sha1:c1", "conditions": ready("True", "applied")},
    }));
    log.object(VCLUSTER, "HelmRelease", json!({
        "metadata": {"name": "wiki", "namespace": "acme-dev", "generation": 1, "labels": {"openova.io/application": "wiki"}},
        "status": {"observedGeneration": 1, "conditions": ready("True", "installed"),
            "history": [{"chartVersion": "1.2.0+abcdef", "status": "deployed", "version": 1}]},
    }));
    log.object(
        VCLUSTER,
        "HTTPRoute",
        json!({
            "metadata": {"name": "wiki", "namespace": "wiki"},
            "spec": {"hostnames": ["wiki.acme-dev.localhost"]},
        }),
    );
    for (commit, file) in [
        ("c1", "applications/wiki/application.yaml"),
        ("c2", "applications/db/application.yaml"),
    ] {
        let fact = Fact::Commit(CommitFact {
            commit: commit.to_owned(),
            author: "Alice".to_owned(),
            email: "alice@acme.example".to_owned(),
            at: "2026-11-23T09:30:00Z".to_owned(),
            subject: format!("Change {file}"),
            command: None,
            pusher: "alice".to_owned(),
            files: vec![file.to_owned()],
        });
        log.say(&address_of_commit("acme-dev", commit), &fact);
    }
    log.object(VCLUSTER, "Pod", crashing_pod());
    log.object(
        VCLUSTER,
        "Deployment",
        json!({
            "metadata": {"name": "wiki", "namespace": "wiki", "generation": 1},
            "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "readyReplicas": 0},
        }),
    );
    log.say(
        &address_of_pull("acme-dev", 1, None),
        &Fact::Pull(PullFact {
            number: 1,
            title: "Promote".to_owned(),
            body: String::new(),
            author: "alice".to_owned(),
            created_at: "2026-11-23T09:30:00Z".to_owned(),
            state: "open".to_owned(),
            branch: "alice/wiki".to_owned(),
            head: "h1".to_owned(),
        }),
    );
    log.object(
        VCLUSTER,
        "Pod",
        json!({"gone": true, "metadata": {"name": "wiki-0", "namespace": "wiki"}}),
    );
    log.object(
        VCLUSTER,
        "Application",
        json!({"gone": true, "metadata": {"name": "db", "namespace": "acme-dev"}}),
    );
    let deletion = Address {
        stream: SYSTEM_STREAM.to_owned(),
        subject: catalyst_ports::deletion_subject("Application", "acme-dev/db"),
    };
    log.say_json(&deletion, &json!({
        "kind": "Application", "name": "acme-dev/db", "startedAt": "2026-11-23T12:00:00Z", "endedAt": "2026-11-23T12:00:05Z",
    }));
    log
}

fn wiki(model: &Model) -> catalyst_api::ApplicationView {
    match &model.view(Kind::Application, "acme-dev/wiki").unwrap().item {
        StreamItem::Application(view) => (**view).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_pushed_is_named_and_for_commands_nobody() {
    let mut log = story();
    for (commit, command, pusher) in [
        ("c3", Some("change"), "catalyst"),
        ("c4", None, "bob"),
        ("c5", None, ""),
    ] {
        let fact = Fact::Commit(CommitFact {
            commit: commit.to_owned(),
            author: "Robert".to_owned(),
            email: "r@acme.example".to_owned(),
            at: "2026-11-23T09:40:00Z".to_owned(),
            subject: "Change wiki".to_owned(),
            command: command.map(str::to_owned),
            pusher: pusher.to_owned(),
            files: vec!["applications/wiki/application.yaml".to_owned()],
        });
        log.say(&address_of_commit("acme-dev", commit), &fact);
    }
    let expected = [("c1", "alice"), ("c2", "alice"), ("c4", "bob")];
    let expected = expected.map(|(commit, user)| (commit.to_owned(), user.to_owned()));
    let model = log.project();
    assert_eq!(model.pushers("acme-dev"), BTreeMap::from(expected));
    assert_eq!(model.pushers("globex-dev"), BTreeMap::new());
}

#[test]
fn an_application_is_shown_with_all_that_is_known_of_it() {
    let view = wiki(&story().project());
    assert_eq!(view.summary.health.phase, "Running");
    assert_eq!(
        view.summary.url.as_deref(),
        Some("http://wiki.acme-dev.localhost:8080/")
    );
    assert_eq!(view.namespace, "wiki");
    assert_eq!(
        view.dependencies,
        BTreeMap::from([("db".to_owned(), "db".to_owned())])
    );
    assert_eq!(view.applied_revision.as_deref(), Some("c1"));
    assert_eq!(view.deployed_version.as_deref(), Some("1.2.0"));
    let change = view.last_change.unwrap();
    assert_eq!((change.commit.as_str(), change.applied), ("c1", true));
    assert_eq!(change.author, "Alice");
    assert_eq!(change.pushed_by.as_deref(), Some("alice"));
    let objects: Vec<_> = view
        .objects
        .iter()
        .map(|it| (it.kind.as_str(), it.ready, it.message.as_str()))
        .collect();
    assert_eq!(
        objects,
        [
            ("Deployment", Some(false), "0 of 1 ready"),
            ("HTTPRoute", None, ""),
            ("HelmRelease", Some(true), "installed"),
        ]
    );
}

#[test]
fn health_follows_the_facts() {
    type Edit = fn(&mut Value);
    let check = |edit: Edit, extra: Option<(&str, Value)>, expected: [&str; 3]| {
        let mut log = Log::default();
        log.object(MANAGEMENT, "Environment", environment());
        log.object(VCLUSTER, "Application", application("wiki", edit));
        if let Some((kind, object)) = extra {
            log.object(VCLUSTER, kind, object);
        }
        let health = wiki(&log.project()).summary.health;
        let found = [
            health.phase.as_str(),
            health.message.as_str(),
            health.since.as_str(),
        ];
        assert_eq!(found, expected);
    };
    let ten = "2026-11-23T10:00:00.000Z";
    check(|_| {}, None, ["Running", "all pods run", ten]);
    check(
        |_| {},
        Some(("Pod", crashing_pod())),
        [
            "Degraded",
            "pod wiki-0: container web: CrashLoopBackOff: exited with 1: no database",
            "2026-11-23T11:00:00.000Z",
        ],
    );
    check(
        |it| it["status"]["phase"] = json!("Failed"),
        Some(("Pod", crashing_pod())),
        [
            "Failed",
            "all pods run; pod wiki-0: container web: CrashLoopBackOff: exited with 1: no database",
            ten,
        ],
    );
    check(
        |it| it["status"] = Value::Null,
        None,
        [
            "Installing",
            "waiting for its controller",
            "2026-11-23T09:30:00.000Z",
        ],
    );
    check(
        |it| it["metadata"]["generation"] = json!(3),
        None,
        ["Updating", "a change waits for its controller", ten],
    );
    check(
        |it| it["spec"]["paused"] = json!(true),
        None,
        ["Paused", "reconciling is suspended by spec.paused", ten],
    );
    check(
        |it| it["spec"]["deletion"] = json!({"data": "keep"}),
        None,
        ["Deleting", "all pods run", ten],
    );
    check(
        |it| it["status"]["phase"] = json!("Installing"),
        Some((
            "OCIRepository",
            json!({
                "metadata": {"name": "wiki", "namespace": "acme-dev", "labels": {"openova.io/application": "wiki"}},
                "status": {"conditions": ready("False", "no such digest")},
            }),
        )),
        [
            "Installing",
            "all pods run; OCIRepository wiki: no such digest",
            ten,
        ],
    );
}

#[test]
fn a_pull_request_tells_whose_branch_it_brings() {
    let model = story().project();
    let (_, view) = model.views(Kind::PullRequest).next().unwrap();
    let StreamItem::PullRequest(pull) = &view.item else {
        panic!("{:?}", view.item);
    };
    assert_eq!(
        (pull.author.as_str(), pull.head.as_str()),
        ("alice", "alice/wiki")
    );
}

#[test]
fn what_is_gone_is_shown_no_more() {
    let log = story();
    let model = log.project();
    assert!(model.view(Kind::Application, "acme-dev/db").is_none());
    assert!(
        model
            .view(Kind::Deletion, "Application/acme-dev/db")
            .is_some()
    );
    let mut ended = log;
    ended.object(
        MANAGEMENT,
        "Environment",
        json!({"gone": true, "metadata": {"name": "acme-dev"}}),
    );
    let mut model = ended.project();
    assert_eq!(model.views(Kind::Application).count(), 0);
    assert_eq!(model.views(Kind::Environment).count(), 0);
    assert_eq!(model.views(Kind::PullRequest).count(), 0);
    // Purging what nobody sees changes nothing.
    let before = model.snapshot_bytes();
    assert_eq!(model.forget("acme-dev"), []);
    assert_eq!(model.snapshot_bytes(), before);
}

#[test]
fn a_message_taken_in_twice_changes_nothing() {
    let log = story();
    let mut model = log.project();
    for (stream, messages) in &log.streams {
        for message in messages {
            assert_eq!(model.apply(stream, message), []);
        }
    }
}

#[test]
fn a_model_built_from_what_a_stream_keeps_is_byte_equal() {
    let log = story();
    assert_eq!(
        log.project().snapshot_bytes(),
        log.compacted().project().snapshot_bytes()
    );
    let mut loaded = Model::new(settings());
    for (stream, messages) in &log.compacted().streams {
        loaded.load(stream, messages);
    }
    assert_eq!(loaded.snapshot_bytes(), log.project().snapshot_bytes());
}

#[test]
fn changes_name_their_organization() {
    let log = story();
    let mut model = Model::new(settings());
    for (stream, messages) in &log.streams {
        for change in messages.iter().flat_map(|it| model.apply(stream, it)) {
            assert_eq!(
                change.organization.as_deref(),
                Some("acme"),
                "{:?}",
                change.key
            );
        }
    }
}

/// What may happen, in any order.
fn event() -> impl Strategy<Value = (u8, u8)> {
    (0_u8..9, 0_u8..4)
}

fn happen(log: &mut Log, (what, which): (u8, u8)) {
    let name = ["wiki", "db", "shop", "blog"][usize::from(which)];
    let stage = ["dev", "uat"][usize::from(which % 2)];
    let gone = |name: &str, namespace: &str| json!({"gone": true, "metadata": {"name": name, "namespace": namespace}});
    let mut of_stage = environment();
    of_stage["metadata"]["name"] = json!(format!("acme-{stage}"));
    match what {
        0 => log.object(MANAGEMENT, "Organization", organization()),
        1 => log.object(MANAGEMENT, "Environment", of_stage),
        2 => log.object(
            MANAGEMENT,
            "Environment",
            json!({"gone": true, "metadata": of_stage["metadata"]}),
        ),
        3 => log.object(
            VCLUSTER,
            "Application",
            application(name, |it| {
                it["metadata"]["namespace"] = json!(format!("acme-{stage}"));
                it["spec"]["dependencies"] = json!({"db": {"application": "db"}});
            }),
        ),
        4 => log.object(
            VCLUSTER,
            "Application",
            gone(name, &format!("acme-{stage}")),
        ),
        5 => {
            let mut pod = crashing_pod();
            pod["metadata"]["namespace"] = json!(name);
            log.object(VCLUSTER, "Pod", pod);
        }
        6 => log.object(VCLUSTER, "Pod", gone("wiki-0", name)),
        7 => log.object(
            MANAGEMENT,
            "EnvironmentPolicy",
            json!({
                "metadata": {"name": name},
                "spec": {"appliesTo": {"environments": [format!("acme-{stage}")]},
                         "rules": [{"kind": "pr-required", "minApprovals": 1}]},
            }),
        ),
        _ => log.say(
            &address_of_pull(&format!("acme-{stage}"), u64::from(which), None),
            &Fact::Pull(PullFact {
                number: u64::from(which),
                title: name.to_owned(),
                body: String::new(),
                author: "alice".to_owned(),
                created_at: String::new(),
                state: "open".to_owned(),
                branch: "alice/wiki".to_owned(),
                head: "h".to_owned(),
            }),
        ),
    }
}

#[test]
fn a_source_of_blueprints_is_told_of_as_it_comes_changes_and_goes() {
    let source = |name: &str, reason: &str| {
        json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "BlueprintSource",
            "metadata": {"name": name, "generation": 1},
            "spec": {"repository": format!("{name}/shared-blueprints")},
            "status": {
                "observedGeneration": 1, "revision": "c1",
                "blueprints": [{"name": "bp-wiki", "version": "1.0.0"}],
                "refused": [{"name": "bp-wiki", "version": "1.1.0", "reason": reason, "fix": "sign it"}],
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Published", "message": "",
                        "lastTransitionTime": "2026-11-23T10:00:00Z"},
                    {"type": "Admitted", "status": "False", "reason": "ArtifactsRefused", "message": reason,
                        "lastTransitionTime": "2026-11-23T10:00:00Z"},
                ],
            },
        })
    };
    let mut log = Log::default();
    log.object(
        MANAGEMENT,
        "BlueprintSource",
        source("acme", "it is not signed"),
    );
    log.object(
        MANAGEMENT,
        "BlueprintSource",
        source("catalog", "it is not signed"),
    );
    let shown = |log: &Log, name: &str| {
        let model = log.project();
        let view = model.view(Kind::BlueprintSource, name)?;
        let StreamItem::BlueprintSource(item) = view.item.clone() else {
            panic!("{:?}", view.item);
        };
        Some((item, view.organization.clone()))
    };
    let (item, organization) = shown(&log, "acme").unwrap();
    assert_eq!(organization.as_deref(), Some("acme"));
    assert_eq!(item.health.phase, "Degraded");
    assert!(
        item.repository.ends_with("/acme/shared-blueprints.git"),
        "{}",
        item.repository
    );
    // What all share is the Sovereign's.
    assert_eq!(shown(&log, "catalog").unwrap().1, None);

    log.object(
        MANAGEMENT,
        "BlueprintSource",
        source("acme", "nobody trusts its signer"),
    );
    let (item, _) = shown(&log, "acme").unwrap();
    assert_eq!(item.refused[0].reason, "nobody trusts its signer");

    let gone = json!({"gone": true, "metadata": {"name": "acme"}});
    log.object(MANAGEMENT, "BlueprintSource", gone);
    assert!(shown(&log, "acme").is_none());
}

#[test]
fn a_fleet_upgrade_is_shown_with_how_far_each_application_is() {
    let member = |stage: &str| json!({"environment": format!("acme-{stage}"), "application": "wiki", "from": "1.0.0"});
    let mut upgrade = json!({
        "metadata": {"name": "wiki-1", "generation": 1},
        "spec": {
            "organization": "acme", "requestedBy": "alice", "timeoutSeconds": 60,
            "blueprint": {"source": "catalog", "name": "bp-wiki", "version": "2.0.0"},
            "waves": [
                {"stage": "dev", "applications": [member("dev")]},
                {"stage": "prod", "applications": [member("prod")]},
            ],
        },
    });
    let mut log = Log::default();
    log.object(MANAGEMENT, "FleetUpgrade", upgrade.clone());
    let shown = |log: &Log| match &log.project().view(Kind::Upgrade, "wiki-1").unwrap().item {
        StreamItem::Upgrade(item) => item.clone(),
        other => panic!("{other:?}"),
    };
    let new = shown(&log);
    assert_eq!((new.phase.as_str(), new.wave), ("Progressing", None));
    let states = |item: &catalyst_api::UpgradeView| -> Vec<String> {
        let all = item.waves.iter().flat_map(|wave| &wave.applications);
        all.map(|it| format!("{} {}", it.environment, it.state))
            .collect()
    };
    assert_eq!(states(&new), ["acme-dev Waiting", "acme-prod Waiting"]);

    upgrade["status"] = json!({
        "observedGeneration": 1, "phase": "Stopped", "wave": 1, "stoppedAttempt": 0,
        "applications": [{
            "environment": "acme-dev", "application": "wiki", "state": "Failed",
            "pullRequest": 7, "since": "2026-11-23T10:00:00Z", "message": "it is Failed",
        }],
        "conditions": [{"type": "Completed", "status": "False", "reason": "Stopped",
            "message": "wave 1 of 2: it is Failed", "lastTransitionTime": "2026-11-23T10:00:00Z"}],
    });
    log.object(MANAGEMENT, "FleetUpgrade", upgrade);
    let stopped = shown(&log);
    assert_eq!((stopped.phase.as_str(), stopped.wave), ("Stopped", Some(1)));
    assert_eq!(stopped.message, "wave 1 of 2: it is Failed");
    assert_eq!(states(&stopped), ["acme-dev Failed", "acme-prod Waiting"]);
    assert_eq!(stopped.waves[0].applications[0].pull_request, Some(7));
    let model = log.project();
    let view = model.view(Kind::Upgrade, "wiki-1").unwrap();
    assert_eq!(view.organization.as_deref(), Some("acme"));

    let gone = json!({"gone": true, "metadata": {"name": "wiki-1"}});
    log.object(MANAGEMENT, "FleetUpgrade", gone);
    assert!(log.project().view(Kind::Upgrade, "wiki-1").is_none());
}

proptest! {
    /// However streams are interleaved, and whatever they have forgotten, the
    /// model is the same; and telling changes as they come leaves nothing out.
    #[test]
    fn interleavings_and_compaction_give_equal_models(
        events in proptest::collection::vec(event(), 0..60),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let mut log = Log::default();
        for event in events {
            happen(&mut log, event);
        }
        let expected = log.project().snapshot_bytes();
        prop_assert_eq!(&log.compacted().project().snapshot_bytes(), &expected);

        let mut waiting: Vec<(String, std::collections::VecDeque<SpineMessage>)> = log
            .streams
            .iter()
            .map(|(stream, messages)| (stream.clone(), messages.iter().cloned().collect()))
            .collect();
        let mut model = Model::new(settings());
        let mut told: BTreeMap<Key, StreamItem> = BTreeMap::new();
        let mut order = order.iter().cycle();
        while !waiting.is_empty() {
            let at = order.next().unwrap().index(waiting.len());
            let (stream, messages) = &mut waiting[at];
            match messages.pop_front() {
                Some(message) => {
                    for change in model.apply(stream, &message) {
                        match change.item {
                            StreamItem::Removed(_) => told.remove(&change.key),
                            item => told.insert(change.key, item),
                        };
                    }
                }
                None => drop(waiting.swap_remove(at)),
            }
        }
        prop_assert_eq!(&model.snapshot_bytes(), &expected);
        let shown: BTreeMap<Key, StreamItem> = model
            .views
            .iter()
            .map(|(key, view)| (key.clone(), view.item.clone()))
            .collect();
        prop_assert_eq!(told, shown);
    }
}
