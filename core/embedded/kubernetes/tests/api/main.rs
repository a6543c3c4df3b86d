//! The API as a client sees it, driven in process; a module an idea.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod access;
mod custom_resources;
mod events;
mod exec;
mod lifecycle;
mod objects;
mod port_forward;
mod storage_and_quota;
mod streams;
mod support;
mod workloads;
