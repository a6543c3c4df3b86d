//! The driver on the real OpenTofu, with a module of `terraform_data` resources.
//!
//! `CATALYST_TOFU` names the binary; the lane `tests/real/provisioner` builds it and
//! sets `CATALYST_REQUIRE_TOFU`, with which nothing may be left out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod driver;
// The tests of preflight use the rest of it.
#[allow(dead_code)]
#[path = "../support/hetzner.rs"]
mod hetzner;
#[allow(dead_code)]
#[path = "../support/service.rs"]
mod jobs;
#[path = "../support/machine.rs"]
mod machine;
mod rules;
mod service;
mod steps;
mod support;
#[path = "../support/world.rs"]
mod world;
