//! Why a part did not do what it was asked for.

/// A part refused, failed, or could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The part answered, and said no.
    #[error("cannot {action}: the {part} answered {status}: {reason}{}", hint(*status))]
    Ask {
        /// The part, in one word.
        part: &'static str,
        /// What was attempted, on what.
        action: String,
        /// The HTTP status.
        status: u16,
        /// What the part said.
        reason: String,
    },
    /// What stood there was not what the caller had seen.
    #[error("cannot {action}: {reason}; read again and repeat the change")]
    Change {
        /// The part, in one word.
        part: &'static str,
        /// What was attempted, on what.
        action: String,
        /// What had changed.
        reason: String,
    },
    /// No answer came.
    #[error("cannot {action}: the {part} gave no answer; it is tried again, see that it runs")]
    Reach {
        /// The part, in one word.
        part: &'static str,
        /// What was attempted, on what.
        action: String,
        /// What happened on the way.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not one that the part's protocol has.
    #[error("cannot {action}: the {part}'s answer cannot be read: {reason}; check its version")]
    Read {
        /// The part, in one word.
        part: &'static str,
        /// What was attempted, on what.
        action: String,
        /// What does not fit.
        reason: String,
    },
    /// A Kubernetes API refused, failed, or could not be reached.
    #[error("cannot {action}")]
    Kubernetes {
        /// What was attempted, on what.
        action: String,
        /// What the client says.
        #[source]
        source: Box<kube::Error>,
    },
    /// Something that the caller named or configured cannot be used.
    #[error("cannot {action}: {reason}")]
    Prepare {
        /// What was attempted, on what.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl PortError {
    /// Whether the same call may succeed later, all else unchanged.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Ask { status, .. } => matches!(status, 408 | 423 | 425 | 429 | 500..),
            Self::Reach { .. } => true,
            Self::Kubernetes { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => matches!(status.code, 408 | 409 | 429 | 500..),
                kube::Error::HyperError(_) | kube::Error::Service(_) => true,
                _ => false,
            },
            Self::Change { .. } | Self::Read { .. } | Self::Prepare { .. } => false,
        }
    }

    /// Whether the thing asked about is not there.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the thing stands otherwise than the caller had seen it, or is
    /// there already.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Change { .. }) || self.status() == Some(409)
    }

    /// Whether the part knows the caller and refuses it.
    pub fn is_denied(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// The HTTP status with which the part refused, if it did.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Ask { status, .. } => Some(*status),
            Self::Kubernetes { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Change { .. } | Self::Reach { .. } | Self::Read { .. } | Self::Prepare { .. } => {
                None
            }
        }
    }

    /// What the part itself said, for people; absent when it said nothing.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ask { reason, .. }
            | Self::Change { reason, .. }
            | Self::Read { reason, .. }
            | Self::Prepare { reason, .. } => Some(reason),
            Self::Kubernetes { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(&status.message),
                _ => None,
            },
            Self::Reach { .. } => None,
        }
    }

    /// A Kubernetes client's error, with what was attempted.
    pub fn kubernetes(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kubernetes {
            action,
            source: Box::new(source),
        }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => "; check the control plane's credentials there",
        403 => "; the account used lacks the right to do this",
        429 | 500.. => "; it is tried again",
        _ => "",
    }
}
