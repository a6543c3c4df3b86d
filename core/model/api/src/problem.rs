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
