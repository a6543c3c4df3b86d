//! The one writer: a thread that collects transactions into batches.
//!
//! While one batch is being synced to disk the next one gathers, so the cost
//! of a sync is shared by all who wait for it. A batch is evaluated in order
//! on top of the state, written, published, answered; in that order, so that
//! nobody reads what could still be lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::disk::Disk;
use crate::state::{Shared, State};
use crate::{
    CommitError, Condition, Entry, Event, OpenError, Operation, Options, Revision, Transaction,
    is_disk_full,
};

/// Transactions that may wait for the writer before callers are held back.
const QUEUE: usize = 4096;
/// The most transactions that share one sync.
const BATCH: usize = 1024;

struct Request {
    transaction: Transaction,
    reply: oneshot::Sender<Result<Revision, CommitError>>,
}

pub(crate) struct Inner {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Inner {
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let (disk, contents) = Disk::open(path)?;
        let shared = Arc::new(Shared::new(
            contents.entries,
            contents.revision,
            options.history,
        ));
        let (requests, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            disk,
            shared: Arc::clone(&shared),
            in_doubt: None,
        };
        let thread = std::thread::Builder::new()
            .name("catalyst-store".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|error| OpenError::Disk {
                path: path.to_owned(),
                source: error.into(),
            })?;
        Ok(Self {
            shared,
            requests: Some(requests),
            writer: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn state(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn state_handle(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let requests = self.requests.as_ref().ok_or(CommitError::Closed)?;
        let (reply, answer) = oneshot::channel();
        requests
            .send(Request { transaction, reply })
            .await
            .map_err(|_| CommitError::Closed)?;
        answer.await.map_err(|_| CommitError::Closed)?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests = None;
        let thread = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The writer ends once the queue is empty; its result is ().
            drop(thread.join());
        }
    }
}

struct Writer {
    disk: Disk,
    shared: Arc<Shared>,
    /// A batch whose write failed in a way that leaves open whether it is on
    /// disk. Settled before anything else is written.
    in_doubt: Option<Evaluated>,
}

/// A batch, evaluated but not yet visible.
struct Evaluated {
    changes: BTreeMap<Bytes, Option<Entry>>,
    events: Vec<Event>,
    revision: Revision,
}

impl Writer {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        while let Some(first) = requests.blocking_recv() {
            batch.push(first);
            while batch.len() < BATCH {
                match requests.try_recv() {
                    Ok(request) => batch.push(request),
                    Err(_) => break,
                }
            }
            self.apply(batch.drain(..));
        }
    }

    fn apply(&mut self, batch: impl Iterator<Item = Request>) {
        if let Err(error) = self.settle() {
            for request in batch {
                answer(request.reply, Err(error.clone()));
            }
            return;
        }
        let mut answers = Vec::new();
        let evaluated = {
            let state = self.shared.read();
            let mut pending = Pending::new(&state);
            for request in batch {
                answers.push((request.reply, pending.evaluate(&request.transaction)));
            }
            pending.finish()
        };
        if !evaluated.events.is_empty() {
            if let Err(error) = self.disk.write(&evaluated.changes, evaluated.revision) {
                tracing::error!(error = %error, "store write failed");
                let error = refused(error.as_ref());
                self.in_doubt = Some(evaluated);
                for (reply, _) in answers {
                    answer(reply, Err(error.clone()));
                }
                return;
            }
            self.shared.publish(evaluated.events, evaluated.revision);
        }
        for (reply, result) in answers {
            answer(reply, result);
        }
    }

    /// Finds out what became of a batch in doubt, and makes memory agree.
    fn settle(&mut self) -> Result<(), CommitError> {
        let Some(batch) = self.in_doubt.take() else {
            return Ok(());
        };
        match self.disk.written_revision() {
            Ok(revision) => {
                if revision == batch.revision {
                    self.shared.publish(batch.events, batch.revision);
                }
                Ok(())
            }
            Err(error) => {
                self.in_doubt = Some(batch);
                Err(refused(error.as_ref()))
            }
        }
    }
}

/// What the disk said, for those who wait.
fn refused(error: &(dyn std::error::Error + 'static)) -> CommitError {
    CommitError::Disk {
        reason: error.to_string().into(),
        is_full: is_disk_full(error),
    }
}

fn answer(
    reply: oneshot::Sender<Result<Revision, CommitError>>,
    result: Result<Revision, CommitError>,
) {
    // A caller that went away does not undo what was decided.
    drop(reply.send(result));
}

/// The state as the transactions of this batch leave it.
struct Pending<'a> {
    state: &'a State,
    changes: BTreeMap<Bytes, Option<Entry>>,
    events: Vec<Event>,
    revision: Revision,
}

impl<'a> Pending<'a> {
    fn new(state: &'a State) -> Self {
        Self {
            state,
            changes: BTreeMap::new(),
            events: Vec::new(),
            revision: state.revision(),
        }
    }

    fn get(&self, key: &[u8]) -> Option<Entry> {
        match self.changes.get(key) {
            Some(change) => change.clone(),
            None => self.state.get(key),
        }
    }

    fn keys_below(&self, prefix: &[u8]) -> Vec<Bytes> {
        let stored = self.state.below(prefix).map(|entry| &entry.key);
        let unchanged = stored.filter(|key| !self.changes.contains_key(*key));
        let written = self
            .changes
            .iter()
            .filter(|(key, change)| change.is_some() && key.starts_with(prefix))
            .map(|(key, _)| key);
        unchanged.chain(written).cloned().collect()
    }

    fn evaluate(&mut self, transaction: &Transaction) -> Result<Revision, CommitError> {
        for condition in &transaction.conditions {
            self.check(condition)?;
        }
        let revision = self.revision + 1;
        let before = self.events.len();
        for operation in &transaction.operations {
            match operation {
                Operation::Put(key, value) => self.put(key, value, revision),
                Operation::Delete(key) => self.delete(key, revision),
                Operation::DeletePrefix(prefix) => {
                    for key in self.keys_below(prefix) {
                        self.delete(&key, revision);
                    }
                }
            }
        }
        if self.events.len() > before {
            self.revision = revision;
        }
        Ok(self.revision)
    }

    fn check(&self, condition: &Condition) -> Result<(), CommitError> {
        let (holds, key, found) = match condition {
            Condition::Absent(key) => {
                let found = self.get(key);
                (found.is_none(), key, found)
            }
            Condition::Present(key) => {
                let found = self.get(key);
                (found.is_some(), key, found)
            }
            Condition::Unmodified(key, revision) => {
                let found = self.get(key);
                (
                    found
                        .as_ref()
                        .is_some_and(|entry| entry.modified == *revision),
                    key,
                    found,
                )
            }
            Condition::Empty(prefix) => (self.keys_below(prefix).is_empty(), prefix, None),
        };
        if holds {
            Ok(())
        } else {
            Err(CommitError::Conflict {
                key: key.clone(),
                found,
            })
        }
    }

    fn put(&mut self, key: &Bytes, value: &Bytes, revision: Revision) {
        let previous = self.get(key);
        let created = previous.as_ref().map_or(revision, |entry| entry.created);
        let entry = Entry {
            key: key.clone(),
            value: value.clone(),
            created,
            modified: revision,
        };
        self.record(key, previous, Some(entry), revision);
    }

    fn delete(&mut self, key: &Bytes, revision: Revision) {
        if let Some(previous) = self.get(key) {
            self.record(key, Some(previous), None, revision);
        }
    }

    fn record(
        &mut self,
        key: &Bytes,
        previous: Option<Entry>,
        current: Option<Entry>,
        revision: Revision,
    ) {
        self.changes.insert(key.clone(), current.clone());
        self.events.push(Event {
            revision,
            key: key.clone(),
            current,
            previous,
        });
    }

    fn finish(self) -> Evaluated {
        Evaluated {
            changes: self.changes,
            events: self.events,
            revision: self.revision,
        }
    }
}
