//! The issuer as its clients meet it: requests in, answers out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod admin;
mod authorize;
mod device;
mod harness;
mod keys;
mod logout;
mod pages;
mod sign_in;
mod socket;
mod tokens;
mod users;
