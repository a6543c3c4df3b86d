//! What every adapter of the [`Spine`] port must do, as a suite that each runs:
//! the embedded spine's in the binary's tests, NATS' against a real server.
//!
//! A case panics where the adapter fails it, so this is for tests only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;

use super::{BucketChange, Spine, SpineMessage};

/// Makes the spine under test, empty, or at least without the names that a run
/// of the suite uses.
pub type Factory<'a> = &'a (dyn Fn() -> BoxFuture<'a, Arc<dyn Spine>> + Send + Sync);

/// Nothing in the suite takes longer on a working spine.
const WITHIN: Duration = Duration::from_secs(20);

/// Runs every case, each on a spine of its own; names each as it begins.
pub async fn run(factory: Factory<'_>) {
    println!("messages keep their order");
    messages_keep_their_order(factory().await).await;
    println!("a stream keeps the newest of each subject");
    the_newest_of_each_subject_stays(factory().await).await;
    println!("a message id publishes once");
    a_message_id_publishes_once(factory().await).await;
    println!("concurrent publishers get different sequences");
    concurrent_publishers_get_different_sequences(factory().await).await;
    println!("a follower sees what was and what comes");
    a_follower_sees_what_was_and_what_comes(factory().await).await;
    println!("purging forgets and goes on counting");
    purging_forgets_and_goes_on_counting(factory().await).await;
    println!("streams are apart");
    streams_are_apart(factory().await).await;
    println!("a bucket compares before it sets");
    a_bucket_compares_before_it_sets(factory().await).await;
    println!("a bucket can be watched");
    a_bucket_can_be_watched(factory().await).await;
    println!("bad names are refused");
    bad_names_are_refused(factory().await).await;
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WITHIN, future)
        .await
        .expect("no answer in time")
}

async fn put(spine: &dyn Spine, stream: &str, name: &str, payload: &str) -> u64 {
    let subject = format!("ws.{stream}.git.{name}");
    let id = format!("{subject}/{payload}");
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    within(spine.publish(stream, &subject, &id, payload))
        .await
        .expect("publishing works")
}

async fn all(spine: &dyn Spine, stream: &str) -> Vec<(u64, String, String)> {
    let messages = within(spine.read(stream, 0, 0))
        .await
        .expect("reading works");
    messages.into_iter().map(shown).collect()
}

fn shown(message: SpineMessage) -> (u64, String, String) {
    let payload = String::from_utf8(message.payload.to_vec()).expect("text");
    (message.sequence, message.subject, payload)
}

fn seen(entries: &[(u64, &str, &str)], stream: &str) -> Vec<(u64, String, String)> {
    entries
        .iter()
        .map(|(sequence, name, payload)| {
            let subject = format!("ws.{stream}.git.{name}");
            (*sequence, subject, (*payload).to_owned())
        })
        .collect()
}

async fn messages_keep_their_order(spine: Arc<dyn Spine>) {
    let stream = "order-dev";
    assert_eq!(all(&*spine, stream).await, []);
    let before = jiff::Timestamp::now().as_millisecond();
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let sequence = put(&*spine, stream, name, name).await;
        assert_eq!(sequence, number as u64 + 1);
    }
    let expected = seen(&[(2, "b", "b"), (3, "c", "c")], stream);
    let page = within(spine.read(stream, 1, 2))
        .await
        .expect("reading works");
    for message in &page {
        let away = message.time.as_millisecond() - before;
        assert!(
            (-60_000..60_000).contains(&away),
            "time is off by {away} ms"
        );
    }
    assert_eq!(page.into_iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(within(spine.read(stream, 4, 0)).await.expect("reading"), []);
}

async fn the_newest_of_each_subject_stays(spine: Arc<dyn Spine>) {
    let stream = "newest-dev";
    put(&*spine, stream, "a", "1").await;
    put(&*spine, stream, "b", "1").await;
    put(&*spine, stream, "a", "2").await;
    put(&*spine, stream, "a", "3").await;
    assert_eq!(
        all(&*spine, stream).await,
        seen(&[(2, "b", "1"), (4, "a", "3")], stream)
    );
}

async fn a_message_id_publishes_once(spine: Arc<dyn Spine>) {
    let stream = "once-dev";
    assert_eq!(put(&*spine, stream, "a", "1").await, 1);
    assert_eq!(put(&*spine, stream, "b", "1").await, 2);
    assert_eq!(put(&*spine, stream, "a", "1").await, 1);
    assert_eq!(all(&*spine, stream).await.len(), 2);
}

async fn concurrent_publishers_get_different_sequences(spine: Arc<dyn Spine>) {
    let stream = "many-dev";
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let spine = Arc::clone(&spine);
            tokio::spawn(async move { put(&*spine, stream, &number.to_string(), "x").await })
        })
        .collect();
    let mut given = Vec::new();
    for task in tasks {
        given.push(within(task).await.expect("the task ends well"));
    }
    given.sort_unstable();
    assert_eq!(given, (1..=20).collect::<Vec<u64>>());
    let order: Vec<u64> = all(&*spine, stream).await.iter().map(|it| it.0).collect();
    assert_eq!(order, given);
}

async fn a_follower_sees_what_was_and_what_comes(spine: Arc<dyn Spine>) {
    let stream = "follow-dev";
    let mut early = spine.follow(stream, 0);
    put(&*spine, stream, "a", "1").await;
    put(&*spine, stream, "b", "1").await;
    let mut late = spine.follow(stream, 1);
    put(&*spine, stream, "c", "1").await;
    for (follower, expected) in [
        (
            &mut early,
            [(1, "a", "1"), (2, "b", "1"), (3, "c", "1")].as_slice(),
        ),
        (&mut late, [(2, "b", "1"), (3, "c", "1")].as_slice()),
    ] {
        let mut got = Vec::new();
        while got.len() < expected.len() {
            let next = within(follower.next()).await.expect("it does not end");
            got.push(shown(next.expect("following works")));
        }
        assert_eq!(got, seen(expected, stream));
    }
    put(&*spine, stream, "a", "2").await;
    let next = within(late.next()).await.expect("it does not end");
    assert_eq!(next.expect("following works").sequence, 4);
}

async fn purging_forgets_and_goes_on_counting(spine: Arc<dyn Spine>) {
    let stream = "purge-dev";
    within(spine.purge("absent-dev", None))
        .await
        .expect("purging nothing works");
    put(&*spine, stream, "a", "1").await;
    put(&*spine, stream, "b", "1").await;
    let subject = format!("ws.{stream}.git.a");
    for through in [0, 1] {
        within(spine.purge(stream, Some((&subject, through))))
            .await
            .expect("purging works");
        assert_eq!(all(&*spine, stream).await.len(), 2 - through as usize);
    }
    assert_eq!(all(&*spine, stream).await, seen(&[(2, "b", "1")], stream));
    within(spine.purge(stream, None))
        .await
        .expect("purging works");
    assert_eq!(all(&*spine, stream).await, []);
    assert_eq!(put(&*spine, stream, "c", "1").await, 3);
    assert_eq!(all(&*spine, stream).await, seen(&[(3, "c", "1")], stream));
}

async fn streams_are_apart(spine: Arc<dyn Spine>) {
    put(&*spine, "apart-dev", "a", "1").await;
    put(&*spine, "apart-dev2", "a", "2").await;
    let id = "x";
    within(spine.publish(
        "sys",
        "sys.organization.apart",
        id,
        Bytes::from_static(b"o"),
    ))
    .await
    .expect("publishing works");
    within(spine.purge("apart-dev", None))
        .await
        .expect("purging works");
    assert_eq!(all(&*spine, "apart-dev2").await.len(), 1);
    let names = within(spine.streams()).await.expect("listing works");
    for name in ["apart-dev2", "sys"] {
        assert!(names.iter().any(|it| it == name), "{name} in {names:?}");
    }
}

async fn a_bucket_compares_before_it_sets(spine: Arc<dyn Spine>) {
    let bucket = "compare";
    let value = |text: &'static str| Bytes::from_static(text.as_bytes());
    let put = |text, expected| spine.bucket_put(bucket, "k", value(text), expected);
    assert_eq!(
        within(spine.bucket_get(bucket, "k")).await.expect("get"),
        None
    );
    let first = within(put("1", Some(0)))
        .await
        .expect("an absent key is made");
    let late = within(put("2", Some(0))).await.expect_err("it is there");
    assert!(late.is_conflict(), "{late}");
    let second = within(put("2", Some(first)))
        .await
        .expect("it is at that revision");
    assert!(second > first);
    let late = within(put("3", Some(first)))
        .await
        .expect_err("it has moved");
    assert!(late.is_conflict(), "{late}");
    let third = within(put("3", None)).await.expect("whatever stands there");
    let found = within(spine.bucket_get(bucket, "k")).await.expect("get");
    let found = found.expect("it is there");
    assert_eq!((found.value, found.revision), (value("3"), third));
    within(spine.bucket_delete(bucket, "k"))
        .await
        .expect("deleting works");
    within(spine.bucket_delete(bucket, "k"))
        .await
        .expect("again");
    assert_eq!(
        within(spine.bucket_get(bucket, "k")).await.expect("get"),
        None
    );
    within(put("4", Some(0)))
        .await
        .expect("an absent key is made");
}

async fn a_bucket_can_be_watched(spine: Arc<dyn Spine>) {
    let bucket = "watched";
    let put = |key: &'static str, text: &'static str| {
        spine.bucket_put(bucket, key, Bytes::from_static(text.as_bytes()), None)
    };
    within(put("old", "1")).await.expect("put");
    let mut watch = spine.bucket_watch(bucket);
    let mut next = async || {
        let change = within(watch.next()).await.expect("it does not end");
        match change.expect("watching works") {
            BucketChange::Put(record) => {
                format!("{}={}", record.key, String::from_utf8_lossy(&record.value))
            }
            BucketChange::Delete(key) => format!("{key} is gone"),
        }
    };
    assert_eq!(next().await, "old=1");
    within(put("new", "2")).await.expect("put");
    assert_eq!(next().await, "new=2");
    within(spine.bucket_delete(bucket, "old"))
        .await
        .expect("delete");
    assert_eq!(next().await, "old is gone");
}

async fn bad_names_are_refused(spine: Arc<dyn Spine>) {
    for bad in ["", "a/b", "a.b", "a b", "ü"] {
        assert!(within(spine.read(bad, 0, 0)).await.is_err(), "{bad:?}");
        assert!(within(spine.bucket_get(bad, "k")).await.is_err(), "{bad:?}");
    }
}
