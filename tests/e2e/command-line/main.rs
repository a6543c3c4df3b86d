//! The command line over the wire: the real binary against a server that speaks the
//! REST API's and the issuer's contracts, and charts against what helm printed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod blueprint;
mod chart;
mod commands;
mod git;
mod pipes;
mod provision;
mod pulls;
mod releases;
mod secure;
mod server;
mod sign_in;
mod support;
mod waits;
