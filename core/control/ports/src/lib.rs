//! Clients of the parts: forge, identity, vault, registry, Kubernetes, spine.
//!
//! Used by every crate of the control plane; each client speaks its part's
//! public protocol and knows an address, never which home it is in.
//!
//! What must stay true:
//! - a client decides nothing: it says what a part answered, as a [`PortError`]
//!   that names the attempt, the thing, the cause and what to do next;
//! - `*_ensure` and `*_delete` may be called again and again; what is already
//!   so, or already gone, is success;
//! - no secret stands in an error, a log line or a `Debug` text.

mod clusters;
mod error;
mod forge;
mod http;
mod identity;
mod registry;
mod spine;
mod tokens;
mod vault;

pub use clusters::{Clusters, HOST_KUBECONFIG_NAMESPACE};
pub use error::PortError;
pub use forge::{
    Branch, ChangeFiles, Commit, CommitsQuery, FileChange, FileContent, Forge, HookTarget, NewPull,
    Permission, Person, Pull, PullState, RepositoryId, RepositoryOptions, Review, ReviewState,
    TeamId, TreeEntry, blob_id,
};
pub use identity::{Identity, Invitation, NewUser, User};
pub use registry::{RegistryAdmin, RegistryRole};
pub use spine::{
    BucketChange, BucketRecord, NatsSpine, SYSTEM_STREAM, Spine, SpineMessage, contract,
    deletion_subject, subject, subjects_of,
};
pub use tokens::Tokens;
pub use vault::{NewToken, Secret, Vault, VaultToken};
