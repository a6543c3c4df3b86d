//! Provisioning: from an API token to a running Sovereign.
//!
//! Called by `catalyst provision`, and by the gateway as a [`service`]. OpenTofu makes
//! what must exist before Kubernetes does, once; Flux then applies
//! `clusters/<sovereign-fqdn>/`.
//!
//! What must stay true:
//! - everything that can be known to be wrong is told at once, before anything is made;
//! - what comes next is decided in one place, from the record of what was done;
//! - the cloud's token goes from here to the environment of OpenTofu and to what is
//!   handed over to the cluster, nowhere else.

pub mod adoption;
mod archive;
mod carried;
mod checklist;
mod cluster;
pub mod config;
mod consent;
pub mod directory;
mod fixed;
pub mod preflight;
mod provisioner;
pub mod record;
pub mod render;
mod secret;
pub mod service;
mod ssh;
pub mod tofu;
mod told;

pub use carried::Module;
pub use cluster::Progress;
pub use config::{Config, ConfigError, Problem};
pub use consent::{Agreement, Objection, losses};
pub use provisioner::{Event, Options, ProvisionError, Provisioner, Waits};
pub use secret::{OwnSecret, OwnSecrets, Redactor, Secret};
pub use told::{Milestone, PlannedChange, stamped};
