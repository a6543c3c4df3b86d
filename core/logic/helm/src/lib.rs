//! Helm charts and values in, manifests out.
//!
//! An engine for Go's text/template with sprig's and Helm's functions, a chart
//! reader, and Helm's ordering. Called by the GitOps stand-in, by Blueprint
//! lint and render, and by `catalyst chart template`. Pure and synchronous:
//! archives are bytes in, clock and randomness come through [`Host`].
//!
//! What must stay true: a chart renders as Helm 3 renders it, byte for byte,
//! errors included; no chart can crash, hang or exhaust the process.

mod ast;
mod chart;
mod exec;
mod format;
mod functions;
mod glob;
mod lexer;
mod manifest;
mod objects;
mod parser;
mod render;
mod value;
mod values;

pub use chart::{Chart, ChartError};
pub use exec::Limits;
pub use render::{
    Capabilities, Environment, Hook, Host, Lookup, Manifest, NoHost, NoLookup, ReleaseOptions,
    RenderError, Rendered, render,
};
