//! The gateway over HTTP, with an issuer and a Kubernetes API beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod access;
mod cluster;
mod described;
mod edges;
mod forge;
mod graphql;
mod hidden;
// The provisioner's tests use the rest of it.
#[allow(dead_code)]
#[path = "../../../provisioner/tests/support/hetzner.rs"]
mod hetzner;
mod issuer;
mod live;
#[allow(dead_code)]
#[path = "../../../provisioner/tests/support/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../../../provisioner/tests/support/world.rs"]
mod provisioned;
mod provisioning;
mod pulls;
mod repository;
mod sign_in;
mod spine;
mod spoken;
mod upgrades;
mod vault;
mod world;
