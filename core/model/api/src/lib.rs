//! The shapes of Catalyst's REST API (`/api/v1`): what the gateway answers, the
//! projector keeps, the command line decodes and the console is typed by.
//!
//! No behaviour and no I/O. Times are RFC 3339 in UTC with milliseconds; names
//! are validated where they are used; every field is `camelCase` on the wire.

mod application;
mod blueprint;
mod change;
mod event;
mod organization;
mod plan;
mod problem;
mod provisioning;
mod sovereign;
mod upgrade;
mod vulnerability;

pub use application::*;
pub use blueprint::*;
pub use change::*;
pub use event::*;
pub use organization::*;
pub use plan::*;
pub use problem::*;
pub use provisioning::*;
pub use sovereign::*;
pub use upgrade::*;
pub use vulnerability::*;

/// A list in a stable order.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the order that the operation documents.
    pub items: Vec<T>,
    /// Pass as `after` to read on; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
