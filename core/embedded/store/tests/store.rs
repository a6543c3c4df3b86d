//! The store against a plain model, across reopening, damage and kill -9.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use catalyst_store::{CommitError, Condition, Event, OpenError, Options, Store, Transaction};
use proptest::prelude::*;

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(directory.path().join("store.redb"), Options::default()).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn keys(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| String::from_utf8_lossy(&event.key).into_owned())
        .collect()
}

#[test]
fn what_is_no_store_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    std::fs::write(&path, [0x5a; 9000]).unwrap();
    let error = Store::open(&path, Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    let said = error.to_string();
    let begin = format!("the store {} is damaged: ", path.display());
    assert!(said.starts_with(&begin), "{said}");
    assert!(
        said.contains("from a backup, or start with another"),
        "{said}"
    );
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let first = store
        .commit(Transaction::new().put("a/1", "one").put("a/2", "two"))
        .await
        .unwrap();
    let second = store
        .commit(Transaction::new().put("a/1", "uno"))
        .await
        .unwrap();
    assert_eq!((first, second), (1, 2));
    drop(store);

    let store = open(&directory);
    let entry = store.get("a/1").unwrap();
    assert_eq!(
        (entry.value.as_ref(), entry.created, entry.modified),
        (b"uno".as_slice(), 1, 2)
    );
    assert_eq!(store.revision(), 2);
    assert_eq!(store.range("a/", None, 0).entries.len(), 2);
}

#[tokio::test]
async fn a_failed_condition_applies_nothing_and_names_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store
        .commit(Transaction::new().put("a", "1"))
        .await
        .unwrap();
    let refused = store
        .commit(
            Transaction::new()
                .when(Condition::Absent("a".into()))
                .put("b", "2"),
        )
        .await
        .unwrap_err();
    match refused {
        CommitError::Conflict { key, found } => {
            assert_eq!(key, "a");
            assert_eq!(found.unwrap().value, "1");
        }
        other => panic!("unexpected {other}"),
    }
    assert_eq!(store.get("b"), None);
    assert_eq!(store.revision(), 1);

    let stale = Transaction::new()
        .when(Condition::Unmodified("a".into(), 7))
        .put("a", "2");
    assert!(store.commit(stale).await.is_err());
    let fresh = Transaction::new()
        .when(Condition::Unmodified("a".into(), 1))
        .put("a", "2");
    assert_eq!(store.commit(fresh).await.unwrap(), 2);
    assert!(
        store
            .commit(Transaction::new().when(Condition::Empty("a".into())))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_watch_sees_every_change_in_order_and_only_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store
        .commit(Transaction::new().put("x/1", "1"))
        .await
        .unwrap();
    let mut watch = store.watch("x/", 0).unwrap();
    store
        .commit(Transaction::new().put("y/1", "1"))
        .await
        .unwrap();
    store
        .commit(Transaction::new().put("x/2", "2").delete("x/1"))
        .await
        .unwrap();
    let events = watch.next().await.unwrap();
    assert_eq!(keys(&events), ["x/1", "x/2", "x/1"]);
    assert_eq!(events[2].current, None);
    assert_eq!(watch.position(), 3);

    let writer = store.clone();
    let task =
        tokio::spawn(async move { writer.commit(Transaction::new().delete_prefix("x/")).await });
    let events = tokio::time::timeout(Duration::from_secs(10), watch.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(keys(&events), ["x/2"]);
    assert_eq!(task.await.unwrap().unwrap(), 4);
}

#[tokio::test]
async fn a_watch_behind_the_history_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = Store::open(path, Options { history: 4 }).unwrap();
    let mut watch = store.watch("", 0).unwrap();
    for number in 0..10 {
        store
            .commit(Transaction::new().put(format!("k/{number}"), "v"))
            .await
            .unwrap();
    }
    let compacted = watch.next().await.unwrap_err();
    assert_eq!((compacted.requested, compacted.oldest), (0, 6));
    assert!(store.range_at("k/", None, 0, 5).is_err());
    assert_eq!(store.range_at("k/", None, 0, 6).unwrap().entries.len(), 6);
}

#[tokio::test]
async fn pages_of_one_revision_do_not_see_later_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for number in 0..5 {
        store
            .commit(Transaction::new().put(format!("k/{number}"), "old"))
            .await
            .unwrap();
    }
    let first = store.range("k/", None, 2);
    assert_eq!(
        (first.entries.len(), first.remaining, first.revision),
        (2, 3, 5)
    );
    store
        .commit(
            Transaction::new()
                .put("k/3", "new")
                .delete("k/4")
                .put("k/9", "new"),
        )
        .await
        .unwrap();
    let rest = store
        .range_at("k/", Some(b"k/1"), 0, first.revision)
        .unwrap();
    let seen: Vec<_> = rest
        .entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.value.clone()))
        .collect();
    let old = |key: &'static str| (key.into(), "old".into());
    assert_eq!(seen, [old("k/2"), old("k/3"), old("k/4")]);
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(&directory);
    let refused = Store::open(directory.path().join("store.redb"), Options::default())
        .err()
        .unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    DeletePrefix(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..24u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0..24u8).prop_map(Step::Delete),
        1 => (0..3u8).prop_map(Step::DeletePrefix),
        1 => Just(Step::Reopen),
    ]
}

fn key(number: u8) -> String {
    format!("{}/{}", number / 8, number % 8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Current state, every held earlier state, and a watch from the last
    /// reopening all agree with a plain map.
    #[test]
    fn the_store_agrees_with_a_model(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = runtime();
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(&directory);
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        let mut earlier = vec![(0, model.clone())];
        let mut replayed = model.clone();
        let mut watch = store.watch("", 0).unwrap();
        for step in steps {
            let transaction = match step {
                Step::Put(number, value) => {
                    model.insert(key(number), value.to_string());
                    Transaction::new().put(key(number), value.to_string())
                }
                Step::Delete(number) => {
                    model.remove(&key(number));
                    Transaction::new().delete(key(number))
                }
                Step::DeletePrefix(number) => {
                    model.retain(|key, _| !key.starts_with(&format!("{number}/")));
                    Transaction::new().delete_prefix(format!("{number}/"))
                }
                Step::Reopen => {
                    drop(watch);
                    drop(store);
                    store = open(&directory);
                    watch = store.watch("", store.revision()).unwrap();
                    replayed = model.clone();
                    earlier = vec![(store.revision(), model.clone())];
                    continue;
                }
            };
            let revision = runtime.block_on(store.commit(transaction)).unwrap();
            earlier.push((revision, model.clone()));
            for event in watch.ready().unwrap() {
                let name = String::from_utf8(event.key.to_vec()).unwrap();
                match event.current {
                    Some(entry) => replayed.insert(name, String::from_utf8(entry.value.to_vec()).unwrap()),
                    None => replayed.remove(&name),
                };
            }
            prop_assert_eq!(&replayed, &model);
        }
        for (revision, expected) in earlier {
            let page = store.range_at("", None, 0, revision).unwrap();
            let found: BTreeMap<String, String> = page
                .entries
                .iter()
                .map(|entry| {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    (text(&entry.key), text(&entry.value))
                })
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}

const CHILD: &str = "CATALYST_STORE_TEST_CHILD";

/// Not a check of its own: run as a child by the test below, it writes without
/// end and prints each number once it was acknowledged.
#[test]
fn child_that_writes_until_killed() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let store = Store::open(path, Options::default()).unwrap();
    runtime().block_on(async {
        let mut number = store.range("n/", None, 0).entries.len();
        loop {
            let both = Transaction::new()
                .put(format!("n/{number:08}"), number.to_string())
                .put("last", number.to_string());
            store.commit(both).await.unwrap();
            println!("acknowledged {number}");
            number += 1;
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = None;
        let mut seen = 0;
        while seen < 40 * round {
            let line = lines
                .next()
                .expect("the child writes until it is killed")
                .unwrap();
            if let Some(number) = line.split("acknowledged ").nth(1) {
                acknowledged = Some(number.parse::<usize>().unwrap());
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let store = Store::open(&path, Options::default()).unwrap();
        let page = store.range("n/", None, 0);
        assert!(
            page.entries.len() > acknowledged.unwrap(),
            "an acknowledged write is gone"
        );
        let last: usize = String::from_utf8(store.get("last").unwrap().value.to_vec())
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(last + 1, page.entries.len(), "a transaction was torn");
    }
}
