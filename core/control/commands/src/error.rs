//! Why a command was refused or failed, for its caller.
//!
//! What must stay true: every refusal says what was attempted, on what, why,
//! and what to do next; no message holds the value of a secret.

use catalyst_api::{Fault, Problem};
use catalyst_ports::PortError;

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The caller may not do this.
    #[error("cannot {action}: {reason}")]
    Authorize {
        /// What was attempted, on what.
        action: String,
        /// Which role is missing.
        reason: String,
    },
    /// What is named is not there, or not for the caller.
    #[error("cannot {action}: there is no {what}")]
    Find {
        /// What was attempted, on what.
        action: String,
        /// What is not there.
        what: String,
        /// What to do next.
        next: String,
    },
    /// The request itself is wrong.
    #[error("cannot {action}: {reason}")]
    Validate {
        /// What was attempted, on what.
        action: String,
        /// Why it is refused, in a sentence.
        reason: String,
        /// What to do next.
        next: Option<String>,
        /// Every fault with its place.
        faults: Vec<Fault>,
    },
    /// The dependencies cannot be met.
    #[error("cannot {action}: {reason}")]
    Solve {
        /// What was attempted, on what.
        action: String,
        /// The chain that leads to the conflict.
        reason: String,
    },
    /// A policy, a quota or the state of things stands against it.
    #[error("cannot {action}: {reason}")]
    Allow {
        /// What was attempted, on what.
        action: String,
        /// What stands against it.
        reason: String,
        /// What to do next.
        next: Option<String>,
    },
    /// The state is not the one that the caller saw.
    #[error("cannot {action}: {reason}")]
    Match {
        /// What was attempted, on what.
        action: String,
        /// What differs.
        reason: String,
        /// What to do next.
        next: String,
    },
    /// A Blueprint's artifact was not admitted.
    #[error("cannot {action}: {reason}")]
    Admit {
        /// What was attempted, on what.
        action: String,
        /// The verdict.
        reason: String,
        /// Whether the same may succeed later.
        retryable: bool,
    },
    /// A part did not do what it was asked for.
    #[error("cannot {action}")]
    Reach {
        /// What was attempted, on what.
        action: String,
        /// What the part said.
        #[source]
        source: PortError,
    },
    /// Something that stands in Git or in the management cluster cannot be
    /// used.
    #[error("cannot {action}: {reason}")]
    Read {
        /// What was attempted, on what.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CommandError {
    /// Whether the same command may succeed later, all else unchanged.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Reach { source, .. } => source.retryable(),
            Self::Admit { retryable, .. } => *retryable,
            Self::Authorize { .. }
            | Self::Find { .. }
            | Self::Validate { .. }
            | Self::Solve { .. }
            | Self::Allow { .. }
            | Self::Match { .. }
            | Self::Read { .. } => false,
        }
    }

    /// Whether somebody else wrote meanwhile, so that the command is to be
    /// carried out anew on what stands there now.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Reach { source, .. } if source.is_conflict())
    }

    /// What failed and why, in one line, with a part's own words.
    pub fn told(&self) -> String {
        match self {
            Self::Reach { action, source } => format!("cannot {action}: {source}"),
            other => other.to_string(),
        }
    }

    /// What was attempted, on what.
    pub fn action(&self) -> &str {
        match self {
            Self::Authorize { action, .. }
            | Self::Find { action, .. }
            | Self::Validate { action, .. }
            | Self::Solve { action, .. }
            | Self::Allow { action, .. }
            | Self::Match { action, .. }
            | Self::Admit { action, .. }
            | Self::Reach { action, .. }
            | Self::Read { action, .. } => action,
        }
    }

    /// The answer for an API client.
    pub fn problem(&self) -> Problem {
        let (kind, status, detail, next, faults) = match self {
            Self::Authorize { reason, .. } => (
                "forbidden",
                403,
                reason.clone(),
                Some("ask somebody with that role".to_owned()),
                Vec::new(),
            ),
            Self::Find { what, next, .. } => (
                "not-found",
                404,
                format!("there is no {what}"),
                Some(next.clone()),
                Vec::new(),
            ),
            Self::Validate {
                reason,
                next,
                faults,
                ..
            } => ("invalid", 422, reason.clone(), next.clone(), faults.clone()),
            Self::Solve { reason, .. } => (
                "dependency-conflict",
                409,
                reason.clone(),
                Some("choose other versions or other Applications to depend on".to_owned()),
                Vec::new(),
            ),
            Self::Allow { reason, next, .. } => {
                ("refused", 409, reason.clone(), next.clone(), Vec::new())
            }
            Self::Match { reason, next, .. } => (
                "changed-meanwhile",
                409,
                reason.clone(),
                Some(next.clone()),
                Vec::new(),
            ),
            Self::Admit {
                reason, retryable, ..
            } => (
                "not-admitted",
                if *retryable { 503 } else { 422 },
                reason.clone(),
                Some(if *retryable {
                    "try again in a moment".to_owned()
                } else {
                    "publish the Blueprint again, signed by a key that the Sovereign trusts for its source, or delete its tag from the registry".to_owned()
                }),
                Vec::new(),
            ),
            Self::Reach { source, .. } => (
                "part-failed",
                if source.retryable() { 503 } else { 502 },
                source.to_string(),
                Some(
                    "try again in a moment; if it stays so, see the control plane's log".to_owned(),
                ),
                Vec::new(),
            ),
            Self::Read { reason, .. } => (
                "unusable-state",
                500,
                reason.clone(),
                Some("mend what stands there, in Git".to_owned()),
                Vec::new(),
            ),
        };
        Problem {
            kind: kind.to_owned(),
            title: capitalised(self.action()),
            status,
            detail: capitalised(&detail),
            next: next.map(|next| capitalised(&next)),
            faults,
        }
    }

    /// A failure of a part, with what was attempted.
    pub(crate) fn reach(action: impl Into<String>) -> impl FnOnce(PortError) -> Self {
        let action = action.into();
        move |source| Self::Reach { action, source }
    }

    /// A refusal with one reason.
    pub(crate) fn validate(action: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Validate {
            action: action.into(),
            reason: reason.into(),
            next: None,
            faults: Vec::new(),
        }
    }
}

/// The text as a sentence begins, unless it begins with what is plainly a name: of a
/// field, a file or a thing. A name that is one small word looks like any other, so
/// no reason begins with a name that users choose.
fn capitalised(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    let is_word = word
        .trim_end_matches([',', ';', ':'])
        .chars()
        .all(|letter| letter.is_ascii_lowercase());
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if is_word => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_why_and_what_next() {
        let problem = CommandError::Find {
            action: "delete the Application wiki of acme-dev".to_owned(),
            what: "Application wiki in acme-dev".to_owned(),
            next: "look at the Environment's list".to_owned(),
        }
        .problem();
        assert_eq!(problem.status, 404);
        assert_eq!(problem.title, "Delete the Application wiki of acme-dev");
        assert_eq!(problem.detail, "There is no Application wiki in acme-dev");
        assert_eq!(
            problem.next.as_deref(),
            Some("Look at the Environment's list")
        );
    }

    #[test]
    fn what_a_part_said_is_told_with_what_was_attempted() {
        let source = PortError::Ask {
            part: "forge",
            action: "read main of acme/acme-dev".to_owned(),
            status: 503,
            reason: "it is starting".to_owned(),
        };
        let failed = CommandError::reach("check the push to acme/acme-dev")(source);
        assert_eq!(
            failed.told(),
            "cannot check the push to acme/acme-dev: cannot read main of acme/acme-dev: the forge answered 503: it is starting; it is tried again"
        );
        let refused = CommandError::validate("install wiki", "it is no name");
        assert_eq!(refused.told(), "cannot install wiki: it is no name");
    }

    #[test]
    fn names_stay_as_they_are_written() {
        for (text, expected) in [
            ("the plan would differ", "The plan would differ"),
            ("it: no", "It: no"),
            ("acme-dev is not ready", "acme-dev is not ready"),
            ("config.title: too long", "config.title: too long"),
            (
                "sovereign.yaml cannot be read",
                "sovereign.yaml cannot be read",
            ),
            (
                "minApprovals must be 0 to 10",
                "minApprovals must be 0 to 10",
            ),
            ("`wiki` is no version", "`wiki` is no version"),
            ("2 depend on it", "2 depend on it"),
            ("", ""),
        ] {
            assert_eq!(capitalised(text), expected);
        }
    }
}
