//! Flux's kinds, end to end: the embedded Kubernetes API, stock Git, Flux's
//! stand-in, and what a user of them sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod helm;
mod kustomize;
mod world;
