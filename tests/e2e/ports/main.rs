//! The control plane's clients against the parts they are clients of.
//!
//! The cases know addresses only. Without more, the parts are the embedded ones
//! in this process; `CATALYST_TEST_FORGE` (base URL) with
//! `CATALYST_TEST_FORGE_TOKEN` (an administrator's), or `CATALYST_TEST_NATS`
//! (`nats://…`), put real ones in their place.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod forge;
mod home;
mod identity;
mod projector;
mod push_check;
mod registry;
#[path = "../../../core/catalyst/src/up/spine.rs"]
mod spine;
mod streams;
mod vault;
