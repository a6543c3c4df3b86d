//! Why a reconcile did not end well.

use catalyst_ports::PortError;

/// What was attempted, on what, and why it failed. The queue repeats every
/// failure; [`ReconcileError::retryable`] only says whether waiting may help.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The Kubernetes API.
    #[error("could not {action} {object} in the cluster {cluster}")]
    Kubernetes {
        /// The verb.
        action: &'static str,
        /// Kind, namespace and name.
        object: String,
        /// Where.
        cluster: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// Another part: forge, registry, vault, issuer, spine.
    #[error("could not {action} {object}")]
    Port {
        /// The verb.
        action: &'static str,
        /// On what.
        object: String,
        /// Why.
        #[source]
        source: PortError,
    },
    /// Something that must be there first is not there (yet).
    #[error("could not {action} {object}: {reason}")]
    Missing {
        /// The verb.
        action: &'static str,
        /// On what.
        object: String,
        /// Why, and what would help.
        reason: String,
    },
    /// An object says something that cannot be done; waiting does not help.
    #[error("could not {action} {object}: {reason}")]
    Invalid {
        /// The verb.
        action: &'static str,
        /// On what.
        object: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
}

impl ReconcileError {
    /// Something that must be there first is not there (yet).
    pub fn missing(
        action: &'static str,
        object: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Missing {
            action,
            object: object.into(),
            reason: reason.into(),
        }
    }

    /// An object says something that cannot be done.
    pub fn invalid(
        action: &'static str,
        object: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            action,
            object: object.into(),
            reason: reason.into(),
        }
    }

    /// Puts what was attempted before a part's own words; for `map_err`.
    pub fn port(action: &'static str, object: impl Into<String>) -> impl FnOnce(PortError) -> Self {
        let object = object.into();
        move |source| Self::Port {
            action,
            object,
            source,
        }
    }

    /// Whether the same attempt may do better later without anybody's help.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Kubernetes { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => !matches!(status.code, 400 | 403 | 422),
                _ => true,
            },
            Self::Port { source, .. } => source.retryable(),
            Self::Missing { .. } => true,
            Self::Invalid { .. } => false,
        }
    }

    /// The whole chain of causes in one line, for conditions and logs.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            // kube prints the whole Status; its message is what was meant.
            let said = cause
                .downcast_ref::<Box<kube::Error>>()
                .map(AsRef::as_ref)
                .or_else(|| cause.downcast_ref::<kube::Error>());
            if let Some(kube::Error::Api(status)) = said {
                text.push_str(&status.message);
                break;
            }
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// One CamelCase word for the reason of a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes { .. } => "KubernetesFailed",
            Self::Port { .. } => "PartFailed",
            Self::Missing { .. } => "Waiting",
            Self::Invalid { .. } => "Invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Box<kube::Error> {
        let status = serde_json::json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": "there is no such kind"});
        Box::new(kube::Error::Api(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn a_refusal_of_the_kubernetes_api_is_told_in_its_own_words_only() {
        let own = ReconcileError::Kubernetes {
            action: "apply",
            object: "HTTPRoute wiki/wiki".to_owned(),
            cluster: "lo-loc-rtz-dev-acme".to_owned(),
            source: refused(),
        };
        assert_eq!(
            own.chain(),
            "could not apply HTTPRoute wiki/wiki in the cluster lo-loc-rtz-dev-acme: there is no such kind"
        );
        let by_port = ReconcileError::port("reach", "the host cluster lo")(PortError::Kubernetes {
            action: "read its kubeconfig".to_owned(),
            source: refused(),
        });
        assert_eq!(
            by_port.chain(),
            "could not reach the host cluster lo: cannot read its kubeconfig: there is no such kind"
        );
    }
}
