//! The spine on NATS JetStream: a stream a stream, a key-value bucket a bucket.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, UpdateErrorKind};
use async_nats::jetstream::stream::{Config, Stream as NatsStream};
use async_nats::jetstream::{self, Context, ErrorCode, Message};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::{BucketChange, BucketRecord, Spine, SpineMessage, subjects_of};
use crate::PortError;

const PART: &str = "spine";
/// A page when no limit is given.
const PAGE: usize = 1_000;
/// How long the server remembers message ids.
const REMEMBERED: Duration = Duration::from_secs(120);
/// After a broken connection a reader waits so long before it asks again.
const PAUSE: Duration = Duration::from_secs(1);
/// The prefix of the streams that hold buckets.
const BUCKETS: &str = "KV_";

/// A spine on NATS JetStream; clones share the connection.
#[derive(Clone)]
pub struct NatsSpine {
    context: Context,
    /// Streams and buckets that are known to exist.
    known: Arc<Mutex<HashSet<String>>>,
}

impl NatsSpine {
    /// A spine on an open connection; the account must have JetStream.
    pub fn new(client: async_nats::Client) -> Self {
        Self {
            context: jetstream::new(client),
            known: Arc::default(),
        }
    }

    /// Connects to a server such as `nats://127.0.0.1:4222`.
    pub async fn connect(address: &str) -> Result<Self, PortError> {
        let client = async_nats::connect(address)
            .await
            .map_err(reach(format!("connect to {address}")))?;
        Ok(Self::new(client))
    }

    fn is_known(&self, name: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(name)
    }

    fn remember(&self, name: &str, exists: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if exists {
            known.insert(name.to_owned());
        } else {
            known.remove(name);
        }
    }

    async fn stream_ensure(&self, name: &str) -> Result<NatsStream, PortError> {
        check_name("stream", name)?;
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subjects_of(name)],
            max_messages_per_subject: 1,
            duplicate_window: REMEMBERED,
            ..Config::default()
        };
        let stream = self
            .context
            .get_or_create_stream(config)
            .await
            .map_err(reach(format!("make the stream {name}")))?;
        self.remember(name, true);
        Ok(stream)
    }

    async fn stream_find(&self, name: &str) -> Result<Option<NatsStream>, PortError> {
        check_name("stream", name)?;
        match self.context.get_stream(name).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(inner)
                    if inner.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(reach(format!("look for the stream {name}"))(error)),
            },
        }
    }

    async fn bucket(&self, name: &str) -> Result<kv::Store, PortError> {
        check_name("bucket", name)?;
        let config = kv::Config {
            bucket: name.to_owned(),
            history: 1,
            ..kv::Config::default()
        };
        let action = || format!("open the bucket {name}");
        if self.is_known(&format!("{BUCKETS}{name}")) {
            return self
                .context
                .get_key_value(name)
                .await
                .map_err(reach(action()));
        }
        let bucket = self
            .context
            .create_key_value(config)
            .await
            .map_err(reach(action()))?;
        self.remember(&format!("{BUCKETS}{name}"), true);
        Ok(bucket)
    }

    async fn publish_message(
        &self,
        stream: &str,
        subject: &str,
        message_id: &str,
        payload: Bytes,
    ) -> Result<u64, PortError> {
        if !self.is_known(stream) {
            self.stream_ensure(stream).await?;
        }
        let action = format!("publish {subject}");
        let mut is_second = false;
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", message_id);
            let sent = async {
                self.context
                    .publish_with_headers(subject.to_owned(), headers, payload.clone())
                    .await?
                    .await
            };
            match sent.await {
                Ok(acknowledged) => return Ok(acknowledged.sequence),
                // Somebody removed the stream behind our back.
                Err(error)
                    if !is_second && matches!(error.kind(), PublishErrorKind::StreamNotFound) =>
                {
                    is_second = true;
                    self.stream_ensure(stream).await?;
                }
                Err(error) => return Err(reach(action)(error)),
            }
        }
    }

    async fn read_page(
        &self,
        stream: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SpineMessage>, PortError> {
        let Some(found) = self.stream_find(stream).await? else {
            return Ok(Vec::new());
        };
        if found.cached_info().state.last_sequence <= after {
            return Ok(Vec::new());
        }
        let action = format!("read the stream {stream}");
        let config = pull::Config {
            deliver_policy: from(after),
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(60),
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = found
            .create_consumer(config)
            .await
            .map_err(reach(action.as_str()))?;
        let limit = if limit == 0 { PAGE } else { limit };
        let batch = consumer
            .fetch()
            .max_messages(limit)
            .messages()
            .await
            .map_err(reach(action.as_str()))?;
        let page: Vec<SpineMessage> = batch
            .map(|message| match message {
                Ok(message) => read_message(&message),
                Err(error) => Err(PortError::Reach {
                    part: PART,
                    action: action.clone(),
                    source: error,
                }),
            })
            .try_collect()
            .await?;
        // It would end by itself; an error here harms nobody.
        let _ = found
            .delete_consumer(&consumer.cached_info().name)
            .await
            .is_ok();
        Ok(page)
    }

    async fn messages(&self, stream: &str, after: u64) -> Result<pull::Ordered, PortError> {
        let found = self.stream_ensure(stream).await?;
        let config = pull::OrderedConfig {
            deliver_policy: from(after),
            ..pull::OrderedConfig::default()
        };
        let action = format!("follow the stream {stream}");
        let consumer = found
            .create_consumer(config)
            .await
            .map_err(reach(action.as_str()))?;
        consumer.messages().await.map_err(reach(action))
    }

    async fn changes(&self, bucket: &str) -> Result<kv::Watch, PortError> {
        self.bucket(bucket)
            .await?
            .watch_with_history(">")
            .await
            .map_err(reach(format!("watch the bucket {bucket}")))
    }
}

impl Spine for NatsSpine {
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
        Box::pin(self.read_page(stream, after, limit))
    }

    fn follow(
        &self,
        stream: &str,
        after: u64,
    ) -> BoxStream<'static, Result<SpineMessage, PortError>> {
        let (spine, stream) = (self.clone(), stream.to_owned());
        let open: Option<pull::Ordered> = None;
        stream::unfold((open, after, false), move |(mut open, after, is_broken)| {
            let (spine, stream) = (spine.clone(), stream.clone());
            async move {
                if is_broken {
                    tokio::time::sleep(PAUSE).await;
                }
                let opened = match open.take() {
                    Some(messages) => Ok(messages),
                    None => spine.messages(&stream, after).await,
                };
                let mut messages = match opened {
                    Ok(messages) => messages,
                    Err(error) => return Some((Err(error), (None, after, true))),
                };
                let action = || format!("follow the stream {stream}");
                let next = match messages.next().await {
                    Some(Ok(message)) => read_message(&message),
                    Some(Err(error)) => Err(reach(action())(error)),
                    None => Err(PortError::Read {
                        part: PART,
                        action: action(),
                        reason: "it ended".to_owned(),
                    }),
                };
                match next {
                    Ok(message) => {
                        let after = message.sequence;
                        Some((Ok(message), (Some(messages), after, false)))
                    }
                    Err(error) => Some((Err(error), (None, after, true))),
                }
            }
        })
        .boxed()
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<String>, PortError>> {
        Box::pin(async move {
            let names: Vec<String> = self
                .context
                .stream_names()
                .try_collect()
                .await
                .map_err(reach("list the streams"))?;
            let mut names: Vec<String> = names
                .into_iter()
                .filter(|name| !name.starts_with(BUCKETS) && !name.starts_with("OBJ_"))
                .collect();
            names.sort();
            Ok(names)
        })
    }

    fn purge<'a>(
        &'a self,
        stream: &'a str,
        subject: Option<(&'a str, u64)>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let Some(found) = self.stream_find(stream).await? else {
                return Ok(());
            };
            let purge = match subject {
                // JetStream purges what lies before the sequence that it is given.
                Some((subject, through)) => {
                    found.purge().filter(subject).sequence(through + 1).await
                }
                None => found.purge().await,
            };
            purge
                .map(drop)
                .map_err(reach(format!("purge the stream {stream}")))
        })
    }

    fn bucket_get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<BucketRecord>, PortError>> {
        Box::pin(async move {
            let entry = self
                .bucket(bucket)
                .await?
                .entry(key)
                .await
                .map_err(reach(format!("read {key} in the bucket {bucket}")))?;
            Ok(entry
                .filter(|entry| entry.operation == Operation::Put)
                .map(record))
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
            let store = self.bucket(bucket).await?;
            let action = format!("write {key} in the bucket {bucket}");
            let late = |action: String| PortError::Change {
                part: PART,
                action,
                reason: "the key is not at the expected revision".to_owned(),
            };
            match expected {
                None => store.put(key, value).await.map_err(reach(action)),
                Some(0) => store
                    .create(key, value)
                    .await
                    .map_err(|error| match error.kind() {
                        CreateErrorKind::AlreadyExists => late(action),
                        _ => reach(action)(error),
                    }),
                Some(revision) => {
                    store
                        .update(key, value, revision)
                        .await
                        .map_err(|error| match error.kind() {
                            UpdateErrorKind::WrongLastRevision => late(action),
                            _ => reach(action)(error),
                        })
                }
            }
        })
    }

    fn bucket_delete<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            self.bucket(bucket)
                .await?
                .delete(key)
                .await
                .map_err(reach(format!("delete {key} in the bucket {bucket}")))
        })
    }

    fn bucket_watch(&self, bucket: &str) -> BoxStream<'static, Result<BucketChange, PortError>> {
        let (spine, bucket) = (self.clone(), bucket.to_owned());
        let open: Option<kv::Watch> = None;
        stream::unfold((open, false), move |(mut open, is_broken)| {
            let (spine, bucket) = (spine.clone(), bucket.clone());
            async move {
                if is_broken {
                    tokio::time::sleep(PAUSE).await;
                }
                let watch = match open.take() {
                    Some(watch) => Ok(watch),
                    None => spine.changes(&bucket).await,
                };
                let mut watch = match watch {
                    Ok(watch) => watch,
                    Err(error) => return Some((Err(error), (None, true))),
                };
                let action = || format!("watch the bucket {bucket}");
                match watch.next().await {
                    Some(Ok(entry)) => {
                        let change = match entry.operation {
                            Operation::Put => BucketChange::Put(record(entry)),
                            Operation::Delete | Operation::Purge => BucketChange::Delete(entry.key),
                        };
                        Some((Ok(change), (Some(watch), false)))
                    }
                    Some(Err(error)) => Some((Err(reach(action())(error)), (None, true))),
                    None => {
                        let error = PortError::Read {
                            part: PART,
                            action: action(),
                            reason: "it ended".to_owned(),
                        };
                        Some((Err(error), (None, true)))
                    }
                }
            }
        })
        .boxed()
    }
}

fn from(after: u64) -> DeliverPolicy {
    DeliverPolicy::ByStartSequence {
        start_sequence: after + 1,
    }
}

fn record(entry: kv::Entry) -> BucketRecord {
    BucketRecord {
        key: entry.key,
        value: entry.value,
        revision: entry.revision,
    }
}

fn read_message(message: &Message) -> Result<SpineMessage, PortError> {
    let unreadable = |reason: String| PortError::Read {
        part: PART,
        action: format!("read {}", message.subject),
        reason,
    };
    let info = message
        .info()
        .map_err(|error| unreadable(error.to_string()))?;
    let nanoseconds = info.published.unix_timestamp_nanos();
    let milliseconds = i64::try_from(nanoseconds.div_euclid(1_000_000)).unwrap_or_default();
    Ok(SpineMessage {
        sequence: info.stream_sequence,
        subject: message.subject.to_string(),
        time: Timestamp::from_millisecond(milliseconds)
            .map_err(|error| unreadable(error.to_string()))?,
        payload: message.payload.clone(),
    })
}

fn reach<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    action: impl Into<String>,
) -> impl FnOnce(E) -> PortError {
    let action = action.into();
    move |source| PortError::Reach {
        part: PART,
        action,
        source: source.into(),
    }
}

fn check_name(what: &str, name: &str) -> Result<(), PortError> {
    let is_fine = (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_fine {
        return Ok(());
    }
    Err(PortError::Prepare {
        action: format!("use the {what} {name:?}"),
        reason: "a name has 1 to 128 letters, digits, '-' and '_'".to_owned(),
    })
}
