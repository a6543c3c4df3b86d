//! Publishing to a stream's log, and reading it.
//!
//! Keys: `spine/log/{stream}/{sequence, 16 hex digits}` for messages,
//! `spine/head/{stream}` for the last sequence, `spine/id/{stream}/{id}` for
//! the ids of the messages still held, `spine/newest/{stream}/{subject}` for a
//! subject's newest message where only that one is kept.

use std::time::SystemTime;

use bytes::Bytes;
use catalyst_store::Transaction;
use serde::{Deserialize, Serialize};

use crate::{Spine, SpineError, Subject, check_name};

/// Position in a stream; the first message has 1.
pub type Sequence = u64;

/// A message as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it stands in its stream.
    pub sequence: Sequence,
    /// What it is about.
    pub subject: Subject,
    /// When it was published, in milliseconds since 1970.
    pub time: u64,
    /// The publisher's own bytes.
    pub payload: Bytes,
}

/// How much of a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Older messages are dropped once a stream holds more than this many.
    pub messages: u64,
    /// Whether a message takes the place of the one before it on its subject.
    pub newest_only: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 1_000_000,
            newest_only: false,
        }
    }
}

/// What precedes the payload in a stored message, as JSON behind its length.
#[derive(Serialize, Deserialize)]
struct Header {
    subject: Subject,
    #[serde(default)]
    time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl Spine {
    /// Appends a message and waits until it is durable. With an `id`, the same
    /// id published again while the first is held returns the first's sequence.
    pub async fn publish(
        &self,
        stream: &str,
        subject: Subject,
        payload: impl Into<Bytes>,
        id: Option<&str>,
        limits: Limits,
    ) -> Result<Sequence, SpineError> {
        check_name("stream", stream)?;
        let payload = payload.into();
        let writer = self.writer(stream);
        let _in_order = writer.lock().await;

        let mut transaction = Transaction::new();
        if let Some(entry) = id.and_then(|id| self.store.get(id_key(stream, id))) {
            return read_number(&entry.key, &entry.value);
        }
        let sequence = self.last_sequence(stream)? + 1;
        if let Some(id) = id {
            transaction = transaction.put(id_key(stream, id), sequence.to_string());
        }
        if limits.newest_only {
            let newest = newest_key(stream, &subject);
            if let Some(entry) = self.store.get(&newest) {
                let before = read_number(&entry.key, &entry.value)?;
                transaction = self.drop_one(transaction, stream, before)?;
            }
            transaction = transaction.put(newest, sequence.to_string());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let time = now.map_or(0, |elapsed| elapsed.as_millis());
        transaction = transaction
            .put(
                log_key(stream, sequence),
                encode(
                    &Header {
                        subject,
                        time: u64::try_from(time).unwrap_or(u64::MAX),
                        id: id.map(str::to_owned),
                    },
                    &payload,
                ),
            )
            .put(head_key(stream), sequence.to_string());
        if let Some(oldest) = sequence
            .checked_sub(limits.messages.max(1))
            .filter(|oldest| *oldest > 0)
        {
            transaction = self.drop_through(transaction, stream, oldest)?;
        }
        self.store
            .commit(transaction)
            .await
            .map_err(SpineError::Store)?;
        Ok(sequence)
    }

    /// The sequence of the last message; 0 for an empty stream.
    pub fn last_sequence(&self, stream: &str) -> Result<Sequence, SpineError> {
        match self.store.get(head_key(stream)) {
            Some(entry) => read_number(&entry.key, &entry.value),
            None => Ok(0),
        }
    }

    /// Messages after a sequence, oldest first, at most `limit` (0: no limit).
    pub fn read(
        &self,
        stream: &str,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, SpineError> {
        check_name("stream", stream)?;
        let start = log_key(stream, after);
        let page = self
            .store
            .range(log_prefix(stream), Some(start.as_bytes()), limit);
        page.entries
            .iter()
            .map(|entry| decode(&entry.key, &entry.value).map(|(message, _)| message))
            .collect()
    }

    /// Names of the streams that were published to.
    pub fn streams(&self) -> Result<Vec<String>, SpineError> {
        let prefix = head_prefix();
        let page = self.store.range(&prefix, None, 0);
        let name = |key: &[u8]| {
            let name = key.strip_prefix(prefix.as_bytes())?;
            String::from_utf8(name.to_vec()).ok()
        };
        page.entries
            .iter()
            .map(|entry| name(&entry.key).ok_or_else(|| damaged(&entry.key)))
            .collect()
    }

    /// Forgets the messages of a stream, or those of one subject up to a
    /// sequence; sequences go on from where they were.
    pub async fn purge(
        &self,
        stream: &str,
        subject: Option<(&Subject, Sequence)>,
    ) -> Result<(), SpineError> {
        check_name("stream", stream)?;
        let writer = self.writer(stream);
        let _in_order = writer.lock().await;
        let transaction = match subject {
            None => Transaction::new()
                .delete_prefix(log_prefix(stream))
                .delete_prefix(format!("spine/id/{stream}/"))
                .delete_prefix(newest_prefix(stream)),
            Some((subject, through)) => self.drop_subject(stream, subject, through)?,
        };
        self.store
            .commit(transaction)
            .await
            .map(drop)
            .map_err(SpineError::Store)
    }

    /// Forgets a stream, its messages and its consumers' cursors.
    pub async fn delete_stream(&self, stream: &str) -> Result<(), SpineError> {
        check_name("stream", stream)?;
        let writer = self.writer(stream);
        let _in_order = writer.lock().await;
        let transaction = Transaction::new()
            .delete(head_key(stream))
            .delete_prefix(log_prefix(stream))
            .delete_prefix(format!("spine/id/{stream}/"))
            .delete_prefix(newest_prefix(stream))
            .delete_prefix(format!("spine/cursor/{stream}/"));
        self.store
            .commit(transaction)
            .await
            .map(drop)
            .map_err(SpineError::Store)
    }

    fn drop_subject(
        &self,
        stream: &str,
        subject: &Subject,
        through: Sequence,
    ) -> Result<Transaction, SpineError> {
        let mut transaction = Transaction::new();
        // Where only the newest is kept, its place is known.
        if let Some(entry) = self.store.get(newest_key(stream, subject)) {
            let newest = read_number(&entry.key, &entry.value)?;
            if newest <= through {
                transaction = self.drop_one(transaction.delete(entry.key), stream, newest)?;
            }
            return Ok(transaction);
        }
        for message in self.read(stream, 0, 0)? {
            if message.subject == *subject && message.sequence <= through {
                transaction = self.drop_one(transaction, stream, message.sequence)?;
            }
        }
        Ok(transaction)
    }

    fn drop_one(
        &self,
        mut transaction: Transaction,
        stream: &str,
        sequence: Sequence,
    ) -> Result<Transaction, SpineError> {
        let Some(entry) = self.store.get(log_key(stream, sequence)) else {
            return Ok(transaction);
        };
        if let (_, Some(id)) = decode(&entry.key, &entry.value)? {
            transaction = transaction.delete(id_key(stream, &id));
        }
        Ok(transaction.delete(entry.key))
    }

    fn drop_through(
        &self,
        mut transaction: Transaction,
        stream: &str,
        oldest: Sequence,
    ) -> Result<Transaction, SpineError> {
        let last = log_key(stream, oldest);
        // Bounded, so that a lowered limit does not make one publish pay for all.
        for entry in self.store.range(log_prefix(stream), None, 64).entries {
            if entry.key.as_ref() > last.as_bytes() {
                break;
            }
            if let (_, Some(id)) = decode(&entry.key, &entry.value)? {
                transaction = transaction.delete(id_key(stream, &id));
            }
            transaction = transaction.delete(entry.key);
        }
        Ok(transaction)
    }
}

pub(crate) fn log_prefix(stream: &str) -> String {
    format!("spine/log/{stream}/")
}

fn log_key(stream: &str, sequence: Sequence) -> String {
    format!("spine/log/{stream}/{sequence:016x}")
}

fn head_prefix() -> String {
    "spine/head/".to_owned()
}

fn head_key(stream: &str) -> String {
    format!("{}{stream}", head_prefix())
}

fn newest_prefix(stream: &str) -> String {
    format!("spine/newest/{stream}/")
}

fn newest_key(stream: &str, subject: &Subject) -> String {
    format!("{}{subject}", newest_prefix(stream))
}

fn id_key(stream: &str, id: &str) -> String {
    format!("spine/id/{stream}/{id}")
}

pub(crate) fn damaged(key: &[u8]) -> SpineError {
    SpineError::Damaged {
        key: String::from_utf8_lossy(key).into_owned(),
    }
}

pub(crate) fn read_number(key: &[u8], value: &[u8]) -> Result<u64, SpineError> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged(key))
}

fn encode(header: &Header, payload: &[u8]) -> Vec<u8> {
    // A header of two strings always serialises; an empty one would be found
    // damaged on reading, not silently accepted.
    let header = serde_json::to_vec(header).unwrap_or_default();
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(4 + header.len() + payload.len());
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&header);
    record.extend_from_slice(payload);
    record
}

fn decode(key: &Bytes, record: &Bytes) -> Result<(Message, Option<String>), SpineError> {
    let parse = || {
        let number = key.rsplit(|byte| *byte == b'/').next()?;
        let sequence = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
        let (length, rest) = record.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (header, payload) = rest.split_at_checked(length)?;
        let header: Header = serde_json::from_slice(header).ok()?;
        let message = Message {
            sequence,
            subject: header.subject,
            time: header.time,
            payload: record.slice_ref(payload),
        };
        Some((message, header.id))
    };
    parse().ok_or_else(|| damaged(key))
}
