//! Refusals and failures, as RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `application/problem+json`: what was attempted, on what, why it failed, and
/// what to do next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A stable word for programs, such as `dependency-conflict`; RFC 9457's
    /// `type` is this behind `about:catalyst/`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was attempted, and on what: "Install wiki into acme-dev".
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Why it failed, in a sentence or two.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Every single fault, where there are several or where they have a place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// One fault with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Repository path of the file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// JSON pointer (RFC 6901) into the request or the file's document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// The most faults that one sentence tells.
const MAX_TOLD: usize = 5;

impl Problem {
    /// Why it failed, with the faults, where a list of them has no place:
    /// `The config does not fit: config.title is too long; config.size is missing`.
    pub fn detail_with_faults(&self) -> String {
        if self.faults.is_empty() {
            return self.detail.clone();
        }
        let mut told: Vec<String> = self.faults.iter().take(MAX_TOLD).map(Fault::told).collect();
        let more = self.faults.len().saturating_sub(MAX_TOLD);
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        format!("{}: {}", self.detail, told.join("; "))
    }
}

impl Fault {
    /// The place, as people write it, and what is wrong there.
    fn told(&self) -> String {
        let place = self.pointer.as_deref().unwrap_or_default();
        match place.trim_start_matches('/').replace('/', ".") {
            place if place.is_empty() => self.message.clone(),
            place => format!("{place} {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_stand_behind_the_reason_where_they_have_no_list() {
        let fault = |pointer: &str, message: &str| Fault {
            pointer: Some(pointer.to_owned()),
            message: message.to_owned(),
            ..Fault::default()
        };
        let mut problem = Problem {
            detail: "The config does not fit".to_owned(),
            ..Problem::default()
        };
        assert_eq!(problem.detail_with_faults(), "The config does not fit");
        problem.faults = vec![
            fault("/config/title", "is longer than 60 characters"),
            fault("", "needs a size"),
        ];
        assert_eq!(
            problem.detail_with_faults(),
            "The config does not fit: config.title is longer than 60 characters; needs a size"
        );
        problem.faults = vec![fault("/config/a", "is wrong"); 7];
        let told = problem.detail_with_faults();
        assert!(told.ends_with("config.a is wrong; and 2 more"), "{told}");
    }
}
