//! What authors of Blueprints ask before anybody installs one: does it render, and
//! is what it renders fit to run?
//!
//! Called by `catalyst blueprint`. What must stay true: an example goes the way of
//! an Application ([`crate::expand()`]), so that what is said of it is true of those.

mod breaking;
mod cases;
mod compare;
mod example;
mod lint;
mod objects;
mod pods;
mod schemas;
mod secrets;
mod source;

pub use cases::{Case, CaseOutcome, run_cases};
pub use compare::{
    BlueprintChanges, BlueprintVersion, MovedKey, NamedChange, SetChange, UpgradeVerdict,
    compare_blueprints, images,
};
pub use example::{Example, ExampleError, render_example};
pub use lint::{lint_blueprint, lint_blueprint_by};
