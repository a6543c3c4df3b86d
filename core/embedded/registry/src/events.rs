//! What came and went, for whoever looks at what lies in the registry.

use std::sync::Arc;

use crate::digest::Digest;
use crate::names::{RepositoryName, Tag};

/// Something that came into a repository, or went from it. What was there already, and
/// is pushed again, is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub change: Change,
}

/// What came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A manifest, or a tag that names it now.
    Pushed {
        /// The manifest's.
        digest: Digest,
        /// What it was pushed by, if by a tag.
        tag: Option<Tag>,
    },
    /// A tag; what it named stays.
    Untagged(Tag),
    /// A manifest, with all tags that named it.
    Deleted(Digest),
    /// The repository, with all that it held.
    Emptied,
}

/// Is told of every event once it is on disk. It must not wait.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;
