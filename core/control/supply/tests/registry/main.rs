//! The whole road against a small registry that runs inside the test. Control
//! crates may not depend on the embedded registry, so it is written here, with
//! just the protocol's behaviour and a hand to alter what it stores and says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod attestations;
mod fake;
mod hostile;
mod pages;
mod publishing;
mod signing_in;
mod uploads;
