//! What a change would do, decided before anything is written.
//!
//! [`expand`] turns an Application into the objects of its vcluster;
//! [`render_objects`] says what its manifests will create; [`plan`] compares
//! what is wanted with what is there and gives an immutable [`Plan`], named by
//! its digest. Called by the command side and by the application controller.
//! For authors of Blueprints, [`lint_blueprint`] renders one with everything its
//! schema allows, and says what is wrong with the result.
//!
//! What must stay true:
//! - The same input gives the same objects and the same plan.
//! - Nothing here ever holds the value of a secret from the vault.
//! - [`expand`] is the only place that knows which objects an Application has.

mod account;
mod author;
mod blueprint;
mod compare;
mod context;
mod delivery;
mod derived;
mod expand;
mod guard;
mod plan;
mod reach;
mod render;
mod secrets;

pub use author::{
    BlueprintChanges, BlueprintVersion, Case, CaseOutcome, Example, ExampleError, MovedKey,
    NamedChange, SetChange, UpgradeVerdict, compare_blueprints, images, lint_blueprint,
    lint_blueprint_by, render_example, run_cases,
};
pub use blueprint::{AdmittedBlueprint, BlueprintObjectError, WITHDRAWN};
pub use context::{
    ApplicationContext, HttpBackend, ResolvedDependency, config_secret_name,
    connection_secret_name, release_account_name, secret_path, signers_secret_name,
};
pub use delivery::keyless_identity;
pub use derived::derived;
pub use expand::{ExpandError, Expansion, expand};
pub use plan::{OwnedObject, Plan, PlanInput, digest_of, plan};
pub use reach::check_reach;
pub use render::{BlueprintContent, RenderedObject, expand_rendered, http_backend, render_objects};
pub use secrets::CONNECTION;
