//! Runs pods as containers from OCI images, without any container engine.
//!
//! The assembly opens a [`Node`], hands it pods with [`Node::apply`] and reads
//! their status back. Containers are made of namespaces by a *shim*: the
//! program re-executes itself, so [`shim::main_if_shim`] must be the first call
//! in `main`. What must stay true:
//!
//! - a container outlives the node process, and a node that starts again either
//!   adopts or ends every process its predecessor left behind;
//! - no bytes leave or enter a pod except through the node, which asks the
//!   [`network::Policy`] first;
//! - nothing an image contains is ever resolved against the host's file system;
//! - an exclusive volume never has two pods.

pub mod cgroup;
pub mod container;
pub mod dns;
pub mod doctor;
pub mod error;
pub mod image;
mod interrupt;
pub mod network;
pub mod node;
mod pod;
mod probe;
pub mod process;
pub mod resolve;
pub mod sandbox;
pub mod shim;
pub mod source;
mod status;

pub use error::NodeError;
pub use node::{Config, Node, NodeHandle};
pub use resolve::{EnvironmentVariable, FileContent, Resolved, VolumeSource};
pub use status::PULLING;
