//! Why a registry did not do what was asked, in words for whoever asked.

use reqwest::{Response, StatusCode};

use crate::{Reference, registry::read};

/// The longest words of a registry that are repeated.
const MAX_DETAIL: usize = 300;

/// Why the registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer.
    #[error(
        "could not {action} {reference}: the registry did not answer; check its address and that it runs"
    )]
    Unreachable {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No answer within the time that is given to one.
    #[error(
        "could not {action} {reference}: the registry took too long; try again, and look at the network between"
    )]
    TimedOut {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
    },
    /// An answer that refuses.
    #[error("could not {action} {reference}: the registry answered {status}{}; {}", if detail.is_empty() { String::new() } else { format!(" ({detail})") }, next_step(*status))]
    Refused {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// The status.
        status: u16,
        /// The registry's own words.
        detail: String,
    },
    /// Bytes that are not what they are called.
    #[error(
        "could not {action} {reference}: the bytes received are {actual}, not {expected}; the registry or something before it altered them"
    )]
    Altered {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// What was asked for.
        expected: String,
        /// What came.
        actual: String,
    },
    /// An answer that makes no sense.
    #[error("could not {action} {reference}: {reason}")]
    Malformed {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// What is wrong.
        reason: String,
    },
}

impl RegistryError {
    /// Whether the same request may do better later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Refused { status, .. } => matches!(*status, 408 | 429 | 500..),
            Self::Altered { .. } | Self::Malformed { .. } => false,
        }
    }

    /// Whether the registry has no room (RFC 4918, section 11.5).
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused { status: 507, .. })
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// What became of a request that got no answer, or only part of one.
    pub(crate) fn failed(at: &Reference, action: &'static str, source: reqwest::Error) -> Self {
        let reference = at.to_string();
        if source.is_timeout() {
            return Self::TimedOut { action, reference };
        }
        if source.is_redirect() {
            return malformed(
                at,
                action,
                "the registry sends from one address to the next",
            );
        }
        Self::Unreachable {
            action,
            reference,
            // The address may carry an upload's session, which is no one's business.
            source: source.without_url(),
        }
    }
}

fn next_step(status: u16) -> &'static str {
    match status {
        401 => "sign in with an account that may do this",
        // A right is missing, or the registry forbids it to everybody.
        403 => "do as it says, or sign in with an account that may do this",
        404 => "check the name and the version",
        413 => "make the artifact smaller or raise the registry's limit",
        507 => "free space where the registry keeps its data, then try again",
        408 | 429 | 500.. => "try again in a while",
        _ => "see the registry's log",
    }
}

pub(crate) fn malformed(at: &Reference, action: &'static str, reason: &str) -> RegistryError {
    RegistryError::Malformed {
        action,
        reference: at.to_string(),
        reason: reason.to_owned(),
    }
}

/// The answer, if it is a good one.
pub(crate) async fn accept(
    at: &Reference,
    action: &'static str,
    response: Response,
) -> Result<Response, RegistryError> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refused(at, action, response).await)
}

/// What a registry says when it refuses.
async fn refused(at: &Reference, action: &'static str, response: Response) -> RegistryError {
    let status: StatusCode = response.status();
    let body = read(at, action, response, 64 * 1024)
        .await
        .unwrap_or_default();
    let detail = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|value| {
            value
                .pointer("/errors/0/message")
                .and_then(|message| message.as_str())
                .map(readable)
        })
        .unwrap_or_default();
    RegistryError::Refused {
        action,
        reference: at.to_string(),
        status: status.as_u16(),
        detail,
    }
}

/// Somebody else's words for a terminal or a log: of bounded length, and without
/// what would move the cursor or end the line.
pub(crate) fn readable(words: &str) -> String {
    words
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_DETAIL)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_s_words_stay_short_and_on_their_line() {
        assert_eq!(readable("no\u{1b}[2J\r\nway"), "no[2Jway");
        assert_eq!(readable(&"a".repeat(1000)).len(), MAX_DETAIL);
    }
}
