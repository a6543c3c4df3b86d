//! Reading a stream at one's own pace, across restarts.

use std::collections::VecDeque;

use catalyst_store::{Transaction, Watch};

use crate::stream::{log_prefix, read_number};
use crate::{Filter, Message, Sequence, Spine, SpineError, check_name};

/// Messages that are read ahead of the caller.
const READ_AHEAD: usize = 256;

/// A durable reader: its cursor is in the store. Messages after the cursor are
/// delivered again after a restart, so handling must be idempotent.
pub struct Consumer {
    spine: Spine,
    stream: String,
    cursor_key: String,
    filter: Filter,
    read: Sequence,
    ahead: VecDeque<Message>,
    watch: Watch,
}

impl Spine {
    /// Reads on after `sequence`, for somebody who keeps their own cursor.
    pub fn tail(&self, stream: &str, sequence: Sequence) -> Result<Consumer, SpineError> {
        let mut consumer = self.consumer(stream, "tail", Filter::all())?;
        consumer.read = sequence;
        Ok(consumer)
    }

    /// Opens the consumer of that name, at its cursor; a new one starts at the
    /// stream's first message.
    pub fn consumer(
        &self,
        stream: &str,
        name: &str,
        filter: Filter,
    ) -> Result<Consumer, SpineError> {
        check_name("stream", stream)?;
        check_name("consumer", name)?;
        let cursor_key = format!("spine/cursor/{stream}/{name}");
        let read = match self.store.get(&cursor_key) {
            Some(entry) => read_number(&entry.key, &entry.value)?,
            None => 0,
        };
        // The watch starts before the first read, so nothing falls between.
        let watch = self
            .store
            .watch(log_prefix(stream), self.store.revision())?;
        let spine = self.clone();
        Ok(Consumer {
            spine,
            stream: stream.to_owned(),
            cursor_key,
            filter,
            read,
            ahead: VecDeque::new(),
            watch,
        })
    }
}

impl Consumer {
    /// Waits for the next message that passes the filter. Cancel-safe.
    pub async fn next(&mut self) -> Result<Message, SpineError> {
        loop {
            while let Some(message) = self.ahead.pop_front() {
                if self.filter.matches(&message.subject) {
                    return Ok(message);
                }
            }
            let batch = self.spine.read(&self.stream, self.read, READ_AHEAD)?;
            if let Some(last) = batch.last() {
                self.read = last.sequence;
                self.ahead = batch.into();
                continue;
            }
            // Events only say that there is more; the log itself is read. A
            // watch that fell behind says the same.
            if self.watch.next().await.is_err() {
                self.watch = self
                    .spine
                    .store
                    .watch(log_prefix(&self.stream), self.spine.store.revision())?;
            }
        }
    }

    /// Records that everything up to `sequence` has been handled.
    pub async fn acknowledge(&self, sequence: Sequence) -> Result<(), SpineError> {
        let transaction = Transaction::new().put(self.cursor_key.clone(), sequence.to_string());
        self.spine
            .store
            .commit(transaction)
            .await
            .map(drop)
            .map_err(SpineError::Store)
    }
}
