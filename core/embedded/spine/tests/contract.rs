//! What every adapter of the spine must do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use catalyst_spine::{BucketEvent, Filter, Limits, Spine, SpineError, Subject};
use catalyst_store::{Options, Store};
use proptest::prelude::*;

fn open(directory: &tempfile::TempDir) -> Spine {
    Spine::new(Store::open(directory.path().join("store.redb"), Options::default()).unwrap())
}

fn subject(text: &str) -> Subject {
    Subject::new(text).unwrap()
}

async fn publish(spine: &Spine, about: &str, payload: &'static str) -> u64 {
    spine
        .publish("acme-dev", subject(about), payload, None, Limits::default())
        .await
        .unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("no answer within 10 s")
}

#[tokio::test]
async fn messages_come_in_order_and_survive_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    assert_eq!(publish(&spine, "ws.acme-dev.git.1", "a").await, 1);
    assert_eq!(publish(&spine, "ws.acme-dev.git.2", "b").await, 2);
    drop(spine);
    let spine = open(&directory);
    assert_eq!(publish(&spine, "ws.acme-dev.flux.x", "c").await, 3);
    let read = spine.read("acme-dev", 1, 0).unwrap();
    let seen: Vec<_> = read
        .iter()
        .map(|message| (message.sequence, message.payload.as_ref()))
        .collect();
    assert_eq!(seen, [(2, b"b".as_slice()), (3, b"c".as_slice())]);
    assert_eq!(spine.read("other", 0, 0).unwrap(), []);
}

#[tokio::test]
async fn concurrent_publishers_leave_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let spine = spine.clone();
            tokio::spawn(async move {
                let about = subject(&format!("n.{number}"));
                spine
                    .publish("acme-dev", about, "x", None, Limits::default())
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut given = Vec::new();
    for task in tasks {
        given.push(within(task).await.unwrap());
    }
    given.sort_unstable();
    assert_eq!(given, (1..=50).collect::<Vec<u64>>());
    assert_eq!(spine.read("acme-dev", 0, 0).unwrap().len(), 50);
}

#[tokio::test]
async fn a_message_id_publishes_once() {
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    let limits = Limits {
        messages: 2,
        ..Limits::default()
    };
    let publish = |id: &'static str| spine.publish("s", subject("a"), "x", Some(id), limits);
    assert_eq!(publish("one").await.unwrap(), 1);
    assert_eq!(publish("one").await.unwrap(), 1);
    assert_eq!(publish("two").await.unwrap(), 2);
    assert_eq!(publish("three").await.unwrap(), 3);
    let held: Vec<_> = spine
        .read("s", 0, 0)
        .unwrap()
        .iter()
        .map(|message| message.sequence)
        .collect();
    assert_eq!(held, [2, 3]);
    assert_eq!(
        publish("one").await.unwrap(),
        4,
        "an id is forgotten with its message"
    );
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    publish(&spine, "ws.git.1", "a").await;
    publish(&spine, "ws.flux.1", "skipped").await;
    publish(&spine, "ws.git.2", "b").await;
    let filter = || Filter::new("ws.git.*").unwrap();
    let mut consumer = spine.consumer("acme-dev", "projector", filter()).unwrap();
    let first = within(consumer.next()).await.unwrap();
    assert_eq!(first.payload, "a");
    consumer.acknowledge(first.sequence).await.unwrap();
    assert_eq!(within(consumer.next()).await.unwrap().payload, "b");
    drop(consumer);

    let mut consumer = spine.consumer("acme-dev", "projector", filter()).unwrap();
    assert_eq!(
        within(consumer.next()).await.unwrap().payload,
        "b",
        "what was not acknowledged comes again"
    );
    let later = spine.clone();
    let publisher = tokio::spawn(async move { publish(&later, "ws.git.3", "c").await });
    assert_eq!(within(consumer.next()).await.unwrap().payload, "c");
    publisher.await.unwrap();
}

#[tokio::test]
async fn a_bucket_compares_before_it_sets_and_can_be_watched() {
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    let bucket = spine.bucket("facts").unwrap();
    let created = bucket.update("k", "1", 0).await.unwrap();
    let (records, mut watch) = bucket.watch().unwrap();
    assert_eq!(records.len(), 1);
    let refused = bucket.update("k", "2", 0).await.unwrap_err();
    assert!(
        matches!(refused, SpineError::Conflict { found, .. } if found == created),
        "{refused}"
    );
    bucket.update("k", "2", created).await.unwrap();
    bucket.delete("k").await.unwrap();
    let mut events = within(watch.next()).await.unwrap();
    while events.len() < 2 {
        events.extend(within(watch.next()).await.unwrap());
    }
    assert!(matches!(&events[0], BucketEvent::Put(record) if record.value == "2"));
    assert_eq!(events[1], BucketEvent::Delete("k".into()));
    assert_eq!(bucket.get("k"), None);
}

#[tokio::test]
async fn deleting_a_stream_leaves_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    publish(&spine, "a", "1").await;
    spine
        .publish("acme-dev2", subject("a"), "2", None, Limits::default())
        .await
        .unwrap();
    spine.delete_stream("acme-dev").await.unwrap();
    assert_eq!(spine.read("acme-dev", 0, 0).unwrap(), []);
    assert_eq!(spine.read("acme-dev2", 0, 0).unwrap().len(), 1);
    assert_eq!(publish(&spine, "a", "1").await, 1);
}

#[tokio::test]
async fn a_stream_of_newest_messages_forgets_what_was_said_again() {
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    let limits = Limits {
        newest_only: true,
        ..Limits::default()
    };
    let publish = |about: &'static str, id: &'static str| {
        spine.publish("acme-dev", subject(about), id, Some(id), limits)
    };
    for (about, id, sequence) in [("a", "a1", 1), ("b", "b1", 2), ("a", "a2", 3)] {
        assert_eq!(publish(about, id).await.unwrap(), sequence);
    }
    let held = || {
        let read = spine.read("acme-dev", 0, 0).unwrap();
        read.into_iter()
            .map(|message| (message.sequence, message.payload))
            .collect::<Vec<_>>()
    };
    assert_eq!(held(), [(2, "b1".into()), (3, "a2".into())]);
    let about = subject("a");
    spine.purge("acme-dev", Some((&about, 2))).await.unwrap();
    assert_eq!(held().len(), 2, "a newer message stays");
    spine.purge("acme-dev", Some((&about, 3))).await.unwrap();
    assert_eq!(held(), [(2, "b1".into())]);
    spine.purge("acme-dev", None).await.unwrap();
    assert_eq!(held(), []);
    assert_eq!(publish("a", "a2").await.unwrap(), 4);
    assert_eq!(spine.streams().unwrap(), ["acme-dev"]);
}

#[test]
fn bad_names_and_subjects_are_refused() {
    for bad in ["", "a..b", ".a", "a.", "a b", "a.*", ">", "a\n"] {
        assert!(Subject::new(bad).is_err(), "{bad:?}");
    }
    for bad in ["a.>.b", "a*", "x.>y"] {
        assert!(Filter::new(bad).is_err(), "{bad:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let spine = open(&directory);
    for bad in ["", "a/b", "a.b", "ü"] {
        assert!(spine.bucket(bad).is_err(), "{bad:?}");
        assert!(spine.read(bad, 0, 0).is_err(), "{bad:?}");
    }
}

#[test]
fn filters_match_as_nats_does() {
    let cases = [
        (">", "a.b", true),
        ("a.*", "a.b", true),
        ("a.*", "a.b.c", false),
        ("a.>", "a", false),
        ("a.>", "a.b.c", true),
        ("*.b", "a.b", true),
        ("a.b", "a.b", true),
        ("a.b", "a.bc", false),
    ];
    for (filter, about, expected) in cases {
        assert_eq!(
            Filter::new(filter).unwrap().matches(&subject(about)),
            expected,
            "{filter} {about}"
        );
    }
}

proptest! {
    #[test]
    fn different_parts_never_make_the_same_subject(
        one in proptest::collection::vec("[a-z._% *>]{0,5}", 1..5),
        other in proptest::collection::vec("[a-z._% *>]{0,5}", 1..5),
    ) {
        let make = |parts: &[String]| Subject::from_parts(parts.iter().map(String::as_str)).unwrap();
        prop_assert_eq!(make(&one) == make(&other), one == other);
    }
}
