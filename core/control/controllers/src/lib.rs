//! Controllers: what stands in Git and in the registry becomes real, and stays so.
//!
//! Level-based: a reconcile request is a key; one queue a kind; the same path
//! serves watch events and the sweep every five minutes; retries belong to the
//! queue. Called by the binary: [`run`] until told to stop, [`waker`] for the
//! forge's webhook. Entry points, a module a kind: [`bootstrap`], `sovereign`,
//! `organization`, `environment`, `leftover`, `access`, `source`, `blueprint`,
//! `fleet_upgrade`, `application`.
//!
//! What must stay true:
//! - What shall exist is decided by pure functions ([`desired`], `catalyst-plan`);
//!   the controllers carry it out.
//! - Every write is idempotent; a status is written only when it differs.
//! - Nothing here writes desired state to Git, but for the very first commits and,
//!   by `catalyst-commands`, the commit that ends a deletion, the one that declares the
//!   key of a source, and those that a fleet upgrade makes in the name of who asked for
//!   it.
//! - A deletion ends within a minute and names what it left behind; while forge,
//!   registry or vault is away, it says so instead, and is tried again.
//! - Secrets go from vault to Kubernetes Secret and nowhere else: not into
//!   conditions, logs, events or errors.

mod access;
mod application;
mod blueprint;
pub mod bootstrap;
mod clock;
mod conditions;
mod context;
mod controllers;
pub mod desired;
mod environment;
mod error;
mod finalizer;
mod fleet_upgrade;
mod groups;
mod kubernetes;
mod leaving;
mod leftover;
mod object;
mod organization;
mod queue;
mod remains;
mod report;
mod runtime;
mod saga;
mod secrets;
mod source;
mod sovereign;
#[cfg(test)]
mod testing;
mod vclusters;
mod wake;
mod watching;

pub use context::{Addresses, Context};
pub use controllers::run;
pub use error::ReconcileError;
pub use wake::{Wake, waker};
