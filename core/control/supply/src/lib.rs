//! The road of an artifact: pack, describe, sign, push; pull, verify.
//!
//! Called by `catalyst blueprint`, by the controllers of Blueprints and of their
//! sources, by the gateway, which reads SBOMs, and by the start of an embedded
//! Sovereign, which publishes the Blueprints it ships with. Images of Applications are built here too, without a
//! container engine ([`image`]).
//!
//! What must stay true:
//! - The same folder gives the same bytes, so the same digest. Only signatures
//!   differ between two runs, because ECDSA draws a nonce.
//! - Nothing that was pulled is used before its digest was compared, and nothing
//!   is trusted before [`Registry::verify`] said so.
//! - The caller installs rustls' crypto provider; this crate opens no socket
//!   before it is asked to.

mod admit;
mod advisories;
mod archive;
mod attestations;
mod auth;
mod bundles;
mod describe;
mod docker;
mod documents;
mod error;
mod folder;
pub mod image;
mod manifest;
mod open;
mod package;
mod parts;
mod publish;
mod reference;
mod registry;
mod staged;
mod upload;
mod verify;

pub use admit::Admitted;
pub use advisories::{AdvisoriesError, AdvisoriesStamp, advisories_stamp, read_advisories};
pub use archive::{ArchiveError, Entry, EntryKind};
pub use attestations::Attestation;
pub use auth::Credentials;
pub use describe::{Origin, cyclonedx, provenance, spdx};
pub use docker::{DockerConfig, DockerError};
pub use documents::Document;
pub use error::RegistryError;
pub use folder::{FolderError, MAX_BYTES, Unfit, is_part, read_folder, read_folder_with_unfit};
pub use manifest::{Blob, Descriptor, Manifest, digest, media};
pub use open::Opened;
pub use package::{PackError, PackOptions, Package, pack};
pub use parts::{ImagePart, PartsError, image_bill};
pub use publish::{Published, Pulled, VerifyError};
pub use reference::{Reference, ReferenceError};
pub use registry::{Patience, Registry};
