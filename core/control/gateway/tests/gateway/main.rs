//! The gateway over HTTP, with an issuer and a Kubernetes API beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod access;
mod edges;
mod forge;
mod hidden;
mod live;
mod pulls;
mod repository;
mod sign_in;
mod spine;
mod world;
