//! The node's errors, named after what was attempted.

use std::path::PathBuf;

/// Why a node operation failed, in words a status message can carry: whole, with what
/// it comes from.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file or directory of the node could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another node process holds the data directory.
    #[error("cannot open the node at {}: another process runs a node there; stop it or choose another directory", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// An image could not be fetched.
    #[error("cannot pull image {reference}: {reason}")]
    Pull {
        /// The reference as the pod names it.
        reference: String,
        /// Why, and what to do next.
        reason: String,
    },
    /// A layer archive could not be unpacked.
    #[error("cannot unpack a layer: entry {entry}: {reason}")]
    Unpack {
        /// The archive entry.
        entry: String,
        /// Why it was refused.
        reason: String,
    },
    /// The shim could not make a container or a pod's namespaces.
    #[error("cannot start {what}: {reason}")]
    Start {
        /// What was to be started.
        what: String,
        /// The step that failed and the kernel's answer.
        reason: String,
    },
    /// A request to a pod's network namespace failed.
    #[error("cannot {action} in the network of the pod: {reason}")]
    Network {
        /// What was attempted.
        action: String,
        /// Why it failed.
        reason: String,
    },
    /// No such pod or container on this node.
    #[error("{what} does not run on this node")]
    NotFound {
        /// The pod or container.
        what: String,
    },
    /// The pod's specification cannot be run.
    #[error("cannot run the pod: {reason}")]
    Specification {
        /// The field and what is wrong with it.
        reason: String,
    },
}

impl NodeError {
    /// Wraps an I/O error with what was attempted on which path.
    pub fn file(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.into(),
            source,
        }
    }

    /// Why an image is not there, without its name, for places that show it anyway.
    pub fn of_image(&self) -> String {
        match self {
            Self::Pull { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// Whether the same call may succeed later without a change of the input.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Specification { .. } | Self::Locked { .. } | Self::Unpack { .. } => false,
            Self::File { .. }
            | Self::Pull { .. }
            | Self::Start { .. }
            | Self::Network { .. }
            | Self::NotFound { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_whole() {
        let full = std::io::Error::other("the disk is full");
        let error = NodeError::file("write", "/pods/hosts", full);
        assert_eq!(
            error.to_string(),
            "cannot write /pods/hosts: the disk is full"
        );
        let error = NodeError::Pull {
            reference: "web:1".to_owned(),
            reason: "nobody answers".to_owned(),
        };
        assert_eq!(error.to_string(), "cannot pull image web:1: nobody answers");
        assert_eq!(error.of_image(), "nobody answers");
    }
}
