//! Fleet upgrades: what is seen of one Application, how a whole one goes, and the
//! reconcile against a Kubernetes API and a forge in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::{Empty, Memory, Told, with_parts};

const UPGRADE: &str = "/apis/catalyst.openova.io/v1alpha1/fleetupgrades/wiki-1";

fn object(version: &str, observed: i64, phase: &str, message: &str) -> Value {
    json!({
        "metadata": {"name": "wiki", "generation": 3},
        "spec": {"blueprint": {"version": version}},
        "status": {
            "observedGeneration": observed, "phase": phase,
            "conditions": [{"type": "Ready", "status": "False", "message": message}],
        },
    })
}

#[test]
fn an_application_is_upgraded_when_every_vcluster_runs_the_version() {
    let rolling = |why: &str| Look::RollingOut(why.to_owned());
    let running = || Some(object("2.0.0", 3, "Running", ""));
    let failed = Some(object("2.0.0", 3, "Failed", "no image"));
    for (objects, expected) in [
        (vec![], rolling("its Environment has no vcluster yet")),
        (vec![None], rolling("it is not in its vcluster")),
        (vec![running()], Look::Running),
        (vec![running(), running()], Look::Running),
        (vec![running(), None], rolling("it is not in its vcluster")),
        (
            vec![Some(object("1.0.0", 3, "Running", ""))],
            rolling("Flux has not applied the version yet"),
        ),
        // What is said is of the version before.
        (
            vec![Some(object("2.0.0", 2, "Failed", "old"))],
            rolling("the version is applied, and not looked at yet"),
        ),
        (
            vec![Some(object("2.0.0", 3, "Degraded", "1 of 2 pods"))],
            rolling("it is Degraded: 1 of 2 pods"),
        ),
        (
            vec![running(), None, failed],
            Look::Failed("it is Failed: no image".to_owned()),
        ),
        (
            vec![Some(object("2.0.0", 3, "Deleting", ""))],
            Look::Left("it is being deleted".to_owned()),
        ),
    ] {
        assert_eq!(seen(&objects, "2.0.0", &at(0)), expected, "{objects:?}");
    }
    let paused = [Some(object("2.0.0", 3, "Paused", ""))];
    assert!(matches!(seen(&paused, "2.0.0", &at(0)), Look::Failed(_)));
}

#[test]
fn a_release_that_failed_at_the_version_is_not_waited_for() {
    let released = |phase: &str, reason: &str, minute: u32| {
        let mut object = object("2.0.0", 3, phase, "1 of 2 pods");
        let conditions = object["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(json!({
            "type": "Released", "status": "False", "reason": reason,
            "message": "must be a number", "lastTransitionTime": at(minute),
        }));
        vec![Some(object)]
    };
    let failed = Look::Failed(
        "its release at the version failed, and what ran before runs: must be a number".to_owned(),
    );
    let rolling = |phase: &str| Look::RollingOut(format!("it is {phase}: 1 of 2 pods"));
    for (objects, expected) in [
        (released("Degraded", "VersionFailed", 6), failed.clone()),
        // Also while it is tried once more.
        (released("Updating", "VersionFailed", 6), failed),
        (
            released("Degraded", "UpgradeFailed", 6),
            rolling("Degraded"),
        ),
        // What failed before somebody went on may be mended, and not seen yet.
        (
            released("Degraded", "VersionFailed", 4),
            rolling("Degraded"),
        ),
        (released("Running", "VersionFailed", 6), Look::Running),
    ] {
        assert_eq!(seen(&objects, "2.0.0", &at(5)), expected, "{objects:?}");
    }
}

fn wanted() -> FleetUpgradeSpec {
    let wave = |stage: &str, application: &str| {
        json!({"stage": stage, "applications": [
            {"environment": format!("acme-{stage}"), "application": application, "from": "1.0.0"},
        ]})
    };
    serde_json::from_value(json!({
        "organization": "acme", "requestedBy": "ada", "timeoutSeconds": 60,
        "blueprint": {"source": "catalog", "name": "bp-wiki", "version": "2.0.0"},
        "waves": [wave("dev", "wiki"), wave("prod", "blog")],
    }))
    .unwrap()
}

fn at(minute: u32) -> String {
    format!("2026-01-01T00:{minute:02}:00Z")
}

/// Goes on from a status at a time, and tells of the phase, the states and whose turn it
/// is.
fn go_on(
    wanted: &FleetUpgradeSpec,
    before: &FleetUpgradeStatus,
    minute: u32,
    looks: &[((usize, usize), Look)],
) -> (FleetUpgradeStatus, String) {
    let mut run = Run::new(wanted, before, at(minute));
    for (place, look) in looks {
        run.take(*place, look.clone());
    }
    let turn = run.next_turn();
    run.settle();
    let (status, observed) = run.told();
    let states: Vec<String> = status
        .applications
        .iter()
        .map(|it| format!("{:?}", it.state))
        .collect();
    let turn = turn.map_or("nobody".to_owned(), |(wave, _)| format!("wave {wave}"));
    let line = format!(
        "{} {}, {turn}: {}",
        observed.reason,
        states.join(" "),
        observed.message
    );
    (status, line)
}

#[test]
fn an_upgrade_goes_on_stops_and_is_resumed() {
    let (dev, prod) = ((0, 0), (1, 0));
    let mut wanted = wanted();
    let mut status = FleetUpgradeStatus::default();
    let mut step = |wanted: &FleetUpgradeSpec, minute: u32, looks: &[((usize, usize), Look)]| {
        let (after, line) = go_on(wanted, &status, minute, looks);
        // What is kept is all that the next one knows.
        status = serde_json::from_value(json!(after)).unwrap();
        line
    };
    for (minute, look, expected) in [
        (
            0,
            None,
            "Progressing Waiting Waiting, wave 0: wave 1 of 2 goes on",
        ),
        (
            1,
            Some((dev, Look::Proposed(7))),
            "Progressing Proposed Waiting, nobody: wave 1 of 2 goes on",
        ),
        // People take the time that they take.
        (
            30,
            Some((dev, Look::Unchanged)),
            "Progressing Proposed Waiting, nobody: wave 1 of 2 goes on",
        ),
        (
            31,
            Some((dev, Look::RollingOut("1 of 2".to_owned()))),
            "Progressing RollingOut Waiting, nobody: wave 1 of 2 goes on",
        ),
        (
            32,
            Some((dev, Look::Running)),
            "Progressing Done Waiting, wave 1: wave 2 of 2 goes on",
        ),
        (
            33,
            Some((prod, Look::Committed(Some("c1".to_owned())))),
            "Progressing Done RollingOut, nobody: wave 2 of 2 goes on",
        ),
        (
            35,
            Some((prod, Look::RollingOut("it is Degraded".to_owned()))),
            "Stopped Done Failed, nobody: wave 2 of 2: blog in acme-prod: it does not run after 120 seconds: it is Degraded",
        ),
        // A stop lasts.
        (
            36,
            None,
            "Stopped Done Failed, nobody: wave 2 of 2: blog in acme-prod: it does not run after 120 seconds: it is Degraded",
        ),
    ] {
        let looks: Vec<_> = look.into_iter().collect();
        assert_eq!(step(&wanted, minute, &looks), expected);
    }
    wanted.attempt = 1;
    let line = step(&wanted, 37, &[]);
    assert_eq!(
        line,
        "Progressing Done Waiting, wave 1: wave 2 of 2 goes on"
    );
    let cancelled = FleetUpgradeSpec {
        cancelled: true,
        ..wanted.clone()
    };
    assert_eq!(
        step(&cancelled, 38, &[]),
        "Cancelled Done Waiting, nobody: somebody cancelled it; 1 were not begun"
    );
    let left = [(prod, Look::Left("it is gone".to_owned()))];
    assert_eq!(
        step(&wanted, 39, &left),
        "Completed Done Left, nobody: every Application runs at the version, or was left alone"
    );
}

/// A forge with these files, text by repository and path; whoever reads sees what stands
/// there at the moment.
#[derive(Clone, Default)]
struct Files {
    texts: Arc<Mutex<BTreeMap<(String, String), String>>>,
}

impl Files {
    fn put(&self, environment: &str, application: &str, version: &str) {
        let text = format!(
            "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata: {{name: {application}, namespace: {environment}}}\nspec:\n  blueprint: {{source: catalog, name: bp-wiki, version: {version}}}\n"
        );
        let path = format!("applications/{application}/application.yaml");
        let mut texts = self.texts.lock().unwrap();
        texts.insert((environment.to_owned(), path), text);
    }

    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let files = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(files.clone().answer(stream));
            }
        });
        address
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let (status, body) = match self.found(path) {
            Some(value) => ("200 OK", value.to_string()),
            None => ("404 Not Found", String::new()),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn found(&self, path: &str) -> Option<Value> {
        let inner = path.strip_prefix("/api/v1/repos/acme/")?;
        let (environment, what) = inner.split_once('/')?;
        let texts = self.texts.lock().unwrap();
        let own = texts.iter().filter(|((it, _), _)| it == environment);
        let own: Vec<(&str, &str)> = own
            .map(|((_, path), text)| (path.as_str(), text.as_str()))
            .collect();
        // A digest of the texts will do for a head and for an object's id.
        let all: String = own.iter().map(|(_, text)| *text).collect();
        if own.is_empty() {
            return None;
        }
        if what == "branches/main" {
            return Some(json!({"name": "main", "commit": {"id": hex_of(&all)}}));
        }
        if what.starts_with("git/trees/") {
            let entries: Vec<Value> = own
                .iter()
                .map(|(path, text)| {
                    json!({"path": path, "type": "blob", "sha": hex_of(text), "size": text.len()})
                })
                .collect();
            return Some(json!({"sha": hex_of(&all), "tree": entries, "truncated": false}));
        }
        let wanted = what.strip_prefix("contents/")?;
        let (_, text) = own.into_iter().find(|(path, _)| *path == wanted)?;
        Some(json!({"type": "file", "sha": hex_of(text), "content": STANDARD.encode(text)}))
    }
}

fn hex_of(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(20);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// What the object's status says: the phase, and each state.
fn status_of(management: &Memory) -> (String, Vec<String>) {
    let object = management.get(UPGRADE).unwrap();
    let states = array(&object, "/status/applications")
        .iter()
        .map(|it| text(it, "/state").to_owned())
        .collect();
    (text(&object, "/status/phase").to_owned(), states)
}

/// Reconciles, and says whether it is to be looked at again.
async fn check(shared: &Shared, management: &Memory, phase: &str, states: &[&str]) -> bool {
    let next = reconcile(shared, "wiki-1").await.unwrap();
    let (found, all) = status_of(management);
    assert_eq!((found.as_str(), all.join(" ")), (phase, states.join(" ")));
    next.is_some()
}

#[tokio::test]
async fn whoever_comes_next_goes_on_where_the_last_one_stood() {
    let (management, told, files) = (Memory::default(), Told::default(), Files::default());
    management.put(
        UPGRADE,
        json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "FleetUpgrade",
            "metadata": {"name": "wiki-1", "generation": 1}, "spec": wanted(),
        }),
    );
    // Committed by whoever went before, and not noted any more.
    files.put("acme-dev", "wiki", "2.0.0");
    files.put("acme-prod", "blog", "1.0.0");
    let (forge, others) = (files.serve().await, Empty::serve().await);
    let shared = with_parts(&management, &told, &forge, others.address());

    // Seen to be there: not committed again. What comes after waits for it.
    assert!(
        check(
            &shared,
            &management,
            "Progressing",
            &["RollingOut", "Waiting"]
        )
        .await
    );
    assert!(
        check(
            &shared,
            &management,
            "Progressing",
            &["RollingOut", "Waiting"]
        )
        .await
    );

    // It runs. The next one's turn fails, as the user is not known any more, and with
    // that the upgrade stops, until somebody goes on.
    let mut object = management.get(UPGRADE).unwrap();
    object["status"]["applications"][0]["state"] = json!("Done");
    management.put(UPGRADE, object);
    assert!(!check(&shared, &management, "Stopped", &["Done", "Failed"]).await);
    files.put("acme-prod", "blog", "2.0.0");
    assert!(!check(&shared, &management, "Stopped", &["Done", "Failed"]).await);
    management.merge(UPGRADE, &json!({"spec": {"attempt": 1}}));
    assert!(check(&shared, &management, "Progressing", &["Done", "RollingOut"]).await);

    // Cancelled, it follows what is under way, and begins nothing.
    management.merge(UPGRADE, &json!({"spec": {"cancelled": true}}));
    assert!(check(&shared, &management, "Cancelled", &["Done", "RollingOut"]).await);
}

#[tokio::test]
async fn a_part_that_is_away_fails_nothing() {
    let (management, told) = (Memory::default(), Told::default());
    management.put(
        UPGRADE,
        json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "FleetUpgrade",
            "metadata": {"name": "wiki-1", "generation": 1}, "spec": wanted(),
        }),
    );
    let others = Empty::serve().await;
    others.set_away(true);
    let shared = with_parts(&management, &told, others.address(), others.address());
    let error = reconcile(&shared, "wiki-1").await.unwrap_err();
    assert!(error.retryable(), "{error}");
    let (phase, states) = status_of(&management);
    assert_eq!(phase, "Progressing");
    assert_eq!(states, ["Waiting", "Waiting"]);
    // Whoever looks at it learns what it waits for.
    let object = management.get(UPGRADE).unwrap();
    let why = text(&object, "/status/applications/0/message");
    assert!(why.contains("acme-dev"), "{object}");
    let told = text(&object, "/status/conditions/0/message");
    let begin = "wave 1 of 2 goes on; wiki in acme-dev is tried again: ";
    assert_eq!(told, format!("{begin}{why}"));
}

#[tokio::test]
async fn what_is_taken_back_or_removed_meanwhile_is_not_waited_for() {
    let (management, told, files) = (Memory::default(), Told::default(), Files::default());
    management.put(
        UPGRADE,
        json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "FleetUpgrade",
            "metadata": {"name": "wiki-1", "generation": 1}, "spec": wanted(),
        }),
    );
    files.put("acme-dev", "wiki", "2.0.0");
    files.put("acme-prod", "blog", "2.0.0");
    let (forge, others) = (files.serve().await, Empty::serve().await);
    let shared = with_parts(&management, &told, &forge, others.address());
    let rolling = ["RollingOut", "Waiting"];
    assert!(check(&shared, &management, "Progressing", &rolling).await);

    files.put("acme-dev", "wiki", "1.0.0");
    assert!(!check(&shared, &management, "Stopped", &["Failed", "Waiting"]).await);
    let object = management.get(UPGRADE).unwrap();
    let why = text(&object, "/status/applications/0/message");
    assert!(why.contains("the version in Git any more"), "{why}");

    files.put("acme-dev", "wiki", "2.0.0");
    management.merge(UPGRADE, &json!({"spec": {"attempt": 1}}));
    assert!(check(&shared, &management, "Progressing", &rolling).await);
    files.texts.lock().unwrap().clear();
    files.put("acme-prod", "blog", "2.0.0");
    let states = ["Left", "RollingOut"];
    assert!(check(&shared, &management, "Progressing", &states).await);
}
