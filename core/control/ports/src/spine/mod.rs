//! The event spine: durable ordered streams, and buckets of keys.
//!
//! A port with two adapters: [`NatsSpine`] on NATS JetStream, and one on the
//! embedded spine, in the binary. Both pass [`contract`].

pub mod contract;
mod nats;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;

pub use nats::NatsSpine;

use crate::PortError;

/// The stream of everything that belongs to no Environment.
pub const SYSTEM_STREAM: &str = "sys";

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpineMessage {
    /// Where it stands in its stream; the first message has 1.
    pub sequence: u64,
    /// What it is about.
    pub subject: String,
    /// When the spine received it, to the millisecond.
    pub time: Timestamp,
    /// The publisher's own bytes.
    pub payload: Bytes,
}

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRecord {
    /// The key.
    pub key: String,
    /// The value as written.
    pub value: Bytes,
    /// Changes with every write of the key, and grows.
    pub revision: u64,
}

/// A change of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketChange {
    /// The key was written.
    Put(BucketRecord),
    /// The key was removed.
    Delete(String),
}

/// What every spine does.
///
/// - A stream is named by an Environment, or [`SYSTEM_STREAM`]; it comes into
///   being when it is first published to. Its name says which subjects it
///   takes: [`subjects_of`].
/// - Messages of a stream have one order. A publisher's message is durable
///   before its sequence is returned.
/// - A stream keeps the newest message of each subject, and only that: it is
///   the state of the world in the order in which it last changed, so reading
///   it whole is cheap, however long it has been written to.
/// - The same message id published again shortly after returns the first's
///   sequence and writes nothing.
/// - Names of streams and buckets have 1 to 128 letters, digits, `-` and `_`;
///   keys have letters, digits and `-_./=`.
pub trait Spine: Send + Sync {
    /// Appends a message and returns its sequence once it is durable.
    fn publish<'a>(
        &'a self,
        stream: &'a str,
        subject: &'a str,
        message_id: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<u64, PortError>>;

    /// Messages with a sequence greater than `after`, oldest first, at most
    /// `limit` (0: 1,000). None when there is no such stream.
    fn read<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<SpineMessage>, PortError>>;

    /// All messages with a sequence greater than `after`, in order, those to
    /// come too; it does not end. After an error it may be asked on.
    fn follow(
        &self,
        stream: &str,
        after: u64,
    ) -> BoxStream<'static, Result<SpineMessage, PortError>>;

    /// Names of all streams.
    fn streams(&self) -> BoxFuture<'_, Result<Vec<String>, PortError>>;

    /// Forgets what a stream holds, or what it holds under one subject up to a
    /// sequence (a newer message stays); the stream goes on counting.
    fn purge<'a>(
        &'a self,
        stream: &'a str,
        subject: Option<(&'a str, u64)>,
    ) -> BoxFuture<'a, Result<(), PortError>>;

    /// The record of a key.
    fn bucket_get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<BucketRecord>, PortError>>;

    /// Writes a key and returns its new revision. With `expected`, a conflict
    /// unless the key is at that revision; 0 stands for "absent".
    fn bucket_put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        value: Bytes,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PortError>>;

    /// Removes a key; an absent one stays so.
    fn bucket_delete<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), PortError>>;

    /// Every record as a put, then every change; it does not end. A slow reader
    /// may miss writes of a key that was written again, never the last one.
    fn bucket_watch(&self, bucket: &str) -> BoxStream<'static, Result<BucketChange, PortError>>;
}

/// The subject made of the given parts: an empty one becomes `_`, and what a
/// token of a subject cannot hold is percent-encoded, so that different parts
/// never make the same subject.
pub fn subject<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let tokens: Vec<String> = parts.into_iter().map(token).collect();
    tokens.join(".")
}

/// The subjects that a stream takes, as a filter.
pub fn subjects_of(stream: &str) -> String {
    if stream == SYSTEM_STREAM {
        format!("{SYSTEM_STREAM}.>")
    } else {
        format!("ws.{stream}.>")
    }
}

/// The subject, in [`SYSTEM_STREAM`], of a deletion's progress. The payload is
/// `catalyst_api::DeletionView` as JSON; `kind` and `name` are its own.
pub fn deletion_subject(kind: &str, name: &str) -> String {
    subject([SYSTEM_STREAM, "deletion", &kind.to_lowercase(), name])
}

fn token(part: &str) -> String {
    if part.is_empty() {
        return "_".to_owned();
    }
    let mut token = String::with_capacity(part.len());
    for character in part.chars() {
        let is_plain = character.is_ascii_alphanumeric() || "-:=@".contains(character);
        // A lone underscore stands for "none", so a real one is encoded.
        if is_plain || (character == '_' && part != "_") {
            token.push(character);
            continue;
        }
        let mut buffer = [0; 4];
        for byte in character.encode_utf8(&mut buffer).bytes() {
            token.push_str(&format!("%{byte:02X}"));
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_tokens_that_never_run_together() {
        let check = |parts: &[&str], expected: &str| {
            assert_eq!(subject(parts.iter().copied()), expected);
        };
        check(&["ws", "acme-dev", "git"], "ws.acme-dev.git");
        check(&["a.b", "", "_"], "a%2Eb._.%5F");
        check(&["a*", "b >", "ü", "x_y"], "a%2A.b%20%3E.%C3%BC.x_y");
        assert_eq!(
            deletion_subject("Application", "acme-dev/wiki"),
            "sys.deletion.application.acme-dev%2Fwiki"
        );
    }
}
