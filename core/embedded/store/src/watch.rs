//! Following the changes below a prefix.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::state::Shared;
use crate::{Compacted, Event, Revision};

/// An ordered, gapless view of the changes below a prefix.
pub struct Watch {
    shared: Arc<Shared>,
    prefix: Bytes,
    position: Revision,
    moved: watch::Receiver<Revision>,
}

impl Watch {
    pub(crate) fn new(
        shared: Arc<Shared>,
        prefix: Bytes,
        after: Revision,
    ) -> Result<Self, Compacted> {
        let moved = shared.subscribe();
        shared.read().newer_than(after).map(drop)?;
        Ok(Self {
            shared,
            prefix,
            position: after,
            moved,
        })
    }

    /// The revision up to which everything has been delivered.
    pub fn position(&self) -> Revision {
        self.position
    }

    /// Waits for the next changes: at least one event. Cancel-safe. Waits
    /// forever once the store is closed.
    pub async fn next(&mut self) -> Result<Vec<Event>, Compacted> {
        loop {
            self.moved.borrow_and_update();
            let events = self.ready()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if self.moved.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The changes since the last call, without waiting; may be empty.
    pub fn ready(&mut self) -> Result<Vec<Event>, Compacted> {
        let state = self.shared.read();
        let events = state
            .newer_than(self.position)?
            .filter(|event| event.key.starts_with(&self.prefix))
            .cloned()
            .collect();
        self.position = self.position.max(state.revision());
        Ok(events)
    }
}
