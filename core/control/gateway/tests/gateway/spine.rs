//! A spine in memory, as far as the projector and sessions use one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use catalyst_ports::{BucketChange, BucketRecord, PortError, Spine, SpineMessage};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

#[derive(Clone, Default)]
pub struct MemorySpine {
    held: Arc<Mutex<Held>>,
    changed: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct Held {
    sequence: u64,
    /// Stream → subject → newest message.
    streams: BTreeMap<String, BTreeMap<String, SpineMessage>>,
    buckets: BTreeMap<String, BTreeMap<String, (Bytes, u64)>>,
}

impl MemorySpine {
    /// Keys and values of a bucket.
    pub fn bucket(&self, name: &str) -> Vec<(String, Bytes)> {
        let held = self.held.lock().unwrap();
        let records = held.buckets.get(name).into_iter().flatten();
        records
            .map(|(key, (value, _))| (key.clone(), value.clone()))
            .collect()
    }

    fn after(&self, stream: &str, after: u64) -> Vec<SpineMessage> {
        let held = self.held.lock().unwrap();
        let messages = held
            .streams
            .get(stream)
            .into_iter()
            .flat_map(BTreeMap::values);
        let mut found: Vec<SpineMessage> = messages
            .filter(|message| message.sequence > after)
            .cloned()
            .collect();
        found.sort_by_key(|message| message.sequence);
        found
    }
}

impl Spine for MemorySpine {
    fn publish<'a>(
        &'a self,
        stream: &'a str,
        subject: &'a str,
        _message_id: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        Box::pin(async move {
            let mut held = self.held.lock().unwrap();
            held.sequence += 1;
            let sequence = held.sequence;
            let message = SpineMessage {
                sequence,
                subject: subject.to_owned(),
                time: jiff::Timestamp::now(),
                payload,
            };
            let stream = held.streams.entry(stream.to_owned()).or_default();
            stream.insert(subject.to_owned(), message);
            drop(held);
            self.changed.send_replace(sequence);
            Ok(sequence)
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<SpineMessage>, PortError>> {
        Box::pin(async move {
            let mut found = self.after(stream, after);
            found.truncate(if limit == 0 { 1_000 } else { limit });
            Ok(found)
        })
    }

    fn follow(
        &self,
        stream: &str,
        after: u64,
    ) -> BoxStream<'static, Result<SpineMessage, PortError>> {
        let start = (
            self.clone(),
            stream.to_owned(),
            after,
            self.changed.subscribe(),
        );
        stream::unfold(start, |(spine, name, after, mut changed)| async move {
            loop {
                changed.borrow_and_update();
                if let Some(message) = spine.after(&name, after).into_iter().next() {
                    let after = message.sequence;
                    return Some((Ok(message), (spine, name, after, changed)));
                }
                changed.changed().await.ok()?;
            }
        })
        .boxed()
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<String>, PortError>> {
        Box::pin(async { Ok(self.held.lock().unwrap().streams.keys().cloned().collect()) })
    }

    fn purge<'a>(
        &'a self,
        stream: &'a str,
        subject: Option<(&'a str, u64)>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let mut held = self.held.lock().unwrap();
            if let Some(stream) = held.streams.get_mut(stream) {
                stream.retain(|held, message| {
                    subject
                        .is_some_and(|(subject, upto)| held != subject || message.sequence > upto)
                });
            }
            Ok(())
        })
    }

    fn bucket_get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<BucketRecord>, PortError>> {
        Box::pin(async move {
            let held = self.held.lock().unwrap();
            let found = held.buckets.get(bucket).and_then(|bucket| bucket.get(key));
            Ok(found.map(|(value, revision)| BucketRecord {
                key: key.to_owned(),
                value: value.clone(),
                revision: *revision,
            }))
        })
    }

    fn bucket_put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        value: Bytes,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        Box::pin(async move {
            let mut held = self.held.lock().unwrap();
            held.sequence += 1;
            let revision = held.sequence;
            let bucket = held.buckets.entry(bucket.to_owned()).or_default();
            let found = bucket.get(key).map_or(0, |(_, revision)| *revision);
            if expected.is_some_and(|expected| expected != found) {
                return Err(PortError::Change {
                    part: "spine",
                    action: format!("write {key}"),
                    reason: format!("it is at revision {found}"),
                });
            }
            bucket.insert(key.to_owned(), (value, revision));
            Ok(revision)
        })
    }

    fn bucket_delete<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            if let Some(bucket) = self.held.lock().unwrap().buckets.get_mut(bucket) {
                bucket.remove(key);
            }
            Ok(())
        })
    }

    fn bucket_watch(&self, _bucket: &str) -> BoxStream<'static, Result<BucketChange, PortError>> {
        stream::pending().boxed()
    }
}
