//! The event spine's port on the embedded spine.
//!
//! Built by the assembly of the control plane. Held against
//! `catalyst_ports::contract` by `tests/e2e/ports`.

use std::collections::VecDeque;

use bytes::Bytes;
use catalyst_ports::{BucketChange, BucketRecord, PortError, Spine, SpineMessage};
use catalyst_spine::{BucketEvent, BucketWatch, Consumer, Limits, Message, SpineError, Subject};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

const PART: &str = "spine";
/// A page when no limit is given.
const PAGE: usize = 1_000;
const LIMITS: Limits = Limits {
    messages: u64::MAX,
    newest_only: true,
};

/// The embedded spine, as the control plane knows it; clones share it.
#[derive(Clone)]
pub struct EmbeddedSpine(catalyst_spine::Spine);

impl EmbeddedSpine {
    /// The port on a spine.
    pub fn new(spine: catalyst_spine::Spine) -> Self {
        Self(spine)
    }

    async fn publish_message(
        &self,
        stream: &str,
        subject: &str,
        message_id: &str,
        payload: Bytes,
    ) -> Result<u64, PortError> {
        let action = || format!("publish {subject}");
        let subject = parse(subject)?;
        self.0
            .publish(stream, subject, payload, Some(message_id), LIMITS)
            .await
            .map_err(|error| port_error(action(), error))
    }
}

impl Spine for EmbeddedSpine {
    fn publish<'a>(
        &'a self,
        stream: &'a str,
        subject: &'a str,
        message_id: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        Box::pin(self.publish_message(stream, subject, message_id, payload))
    }

    fn read<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<SpineMessage>, PortError>> {
        Box::pin(async move {
            let limit = if limit == 0 { PAGE } else { limit };
            let page = self
                .0
                .read(stream, after, limit)
                .map_err(|error| port_error(format!("read the stream {stream}"), error))?;
            page.into_iter().map(message).collect()
        })
    }

    fn follow(
        &self,
        stream: &str,
        after: u64,
    ) -> BoxStream<'static, Result<SpineMessage, PortError>> {
        let (spine, stream) = (self.0.clone(), stream.to_owned());
        let open: Option<Consumer> = None;
        stream::unfold((open, after), move |(mut open, after)| {
            let (spine, stream) = (spine.clone(), stream.clone());
            async move {
                let action = || format!("follow the stream {stream}");
                let follower = match open.take() {
                    Some(follower) => Ok(follower),
                    None => spine.tail(&stream, after),
                };
                let mut follower = match follower {
                    Ok(follower) => follower,
                    Err(error) => return Some((Err(port_error(action(), error)), (None, after))),
                };
                match follower.next().await {
                    Ok(found) => {
                        let after = found.sequence;
                        Some((message(found), (Some(follower), after)))
                    }
                    Err(error) => Some((Err(port_error(action(), error)), (None, after))),
                }
            }
        })
        .boxed()
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<String>, PortError>> {
        Box::pin(async move {
            self.0
                .streams()
                .map_err(|error| port_error("list the streams".to_owned(), error))
        })
    }

    fn purge<'a>(
        &'a self,
        stream: &'a str,
        subject: Option<(&'a str, u64)>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let parsed = match subject {
                Some((subject, through)) => Some((parse(subject)?, through)),
                None => None,
            };
            let subject = parsed
                .as_ref()
                .map(|(subject, through)| (subject, *through));
            self.0
                .purge(stream, subject)
                .await
                .map_err(|error| port_error(format!("purge the stream {stream}"), error))
        })
    }

    fn bucket_get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<BucketRecord>, PortError>> {
        Box::pin(async move {
            let action = format!("read {key} in the bucket {bucket}");
            let bucket = self
                .0
                .bucket(bucket)
                .map_err(|error| port_error(action, error))?;
            Ok(bucket.get(key).map(record))
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
            let action = format!("write {key} in the bucket {bucket}");
            let write = async {
                let bucket = self.0.bucket(bucket)?;
                match expected {
                    Some(expected) => bucket.update(key, value, expected).await,
                    None => bucket.put(key, value).await,
                }
            };
            write.await.map_err(|error| port_error(action, error))
        })
    }

    fn bucket_delete<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let action = format!("delete {key} in the bucket {bucket}");
            let delete = async { self.0.bucket(bucket)?.delete(key).await };
            delete.await.map_err(|error| port_error(action, error))
        })
    }

    fn bucket_watch(&self, bucket: &str) -> BoxStream<'static, Result<BucketChange, PortError>> {
        let (spine, bucket) = (self.0.clone(), bucket.to_owned());
        let open: Option<BucketWatch> = None;
        let ahead: VecDeque<BucketChange> = VecDeque::new();
        stream::unfold((open, ahead), move |(mut open, mut ahead)| {
            let (spine, bucket) = (spine.clone(), bucket.clone());
            async move {
                loop {
                    if let Some(change) = ahead.pop_front() {
                        return Some((Ok(change), (open, ahead)));
                    }
                    let changes = match &mut open {
                        Some(watch) => watch.next().await.map(|events| {
                            let changes = events.into_iter().map(|event| match event {
                                BucketEvent::Put(found) => BucketChange::Put(record(found)),
                                BucketEvent::Delete(key) => BucketChange::Delete(key),
                            });
                            changes.collect::<Vec<_>>()
                        }),
                        None => spine.bucket(&bucket).and_then(|bucket| {
                            let (records, watch) = bucket.watch()?;
                            open = Some(watch);
                            let records = records.into_iter().map(record);
                            Ok(records.map(BucketChange::Put).collect())
                        }),
                    };
                    match changes {
                        Ok(changes) => ahead.extend(changes),
                        Err(error) => {
                            let action = format!("watch the bucket {bucket}");
                            return Some((Err(port_error(action, error)), (None, ahead)));
                        }
                    }
                }
            }
        })
        .boxed()
    }
}

fn parse(subject: &str) -> Result<Subject, PortError> {
    Subject::new(subject).map_err(|error| PortError::Prepare {
        action: format!("use the subject {subject:?}"),
        reason: error.reason.to_owned(),
    })
}

fn message(found: Message) -> Result<SpineMessage, PortError> {
    let time = i64::try_from(found.time)
        .ok()
        .and_then(|time| Timestamp::from_millisecond(time).ok());
    Ok(SpineMessage {
        sequence: found.sequence,
        subject: found.subject.to_string(),
        time: time.ok_or_else(|| PortError::Read {
            part: PART,
            action: format!("read {}", found.subject),
            reason: "its time is out of range".to_owned(),
        })?,
        payload: found.payload,
    })
}

fn record(found: catalyst_spine::BucketRecord) -> BucketRecord {
    BucketRecord {
        key: found.key,
        value: found.value,
        revision: found.revision,
    }
}

fn port_error(action: String, error: SpineError) -> PortError {
    match error {
        SpineError::Conflict { .. } => PortError::Change {
            part: PART,
            action,
            reason: error.to_string(),
        },
        SpineError::Name { .. } => PortError::Prepare {
            action,
            reason: error.to_string(),
        },
        SpineError::Damaged { .. } => PortError::Read {
            part: PART,
            action,
            reason: error.to_string(),
        },
        SpineError::Behind(_) | SpineError::Store(_) => PortError::Reach {
            part: PART,
            action,
            source: Box::new(error),
        },
    }
}
