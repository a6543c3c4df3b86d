//! What a Blueprint says, and what follows from it.
//!
//! Reads `blueprint.yaml` ([`Blueprint`]), finds everything wrong with a
//! Blueprint's folder at once ([`lint`]), validates an Application's config and
//! derives the form that asks for it ([`ConfigSchema`]), decides which
//! Applications an install needs ([`solve`]), and puts together the values a
//! chart receives ([`merge_values`]) and a connection secret holds
//! ([`ConnectionSecret::render`]), finds Blueprints by what somebody types
//! ([`search()`]), and says what of a fleet upgrade is next ([`fleet`]).
//!
//! What lint asks for stands in one table ([`RULES`]), which its reports
//! ([`sarif`]) and the documentation share.
//!
//! Called by the command side (plan, install, promote), by the forge's
//! pre-receive check, by the application controller, and by `catalyst blueprint
//! lint`.
//!
//! What must stay true:
//! - The same input gives the same answer: no clock, no randomness, no I/O, and
//!   nothing depends on the order of a hash map.
//! - A config schema never makes anything fetch a URL.
//! - No message quotes the value of a config property; some of them are secrets.

mod catalog;
mod config;
mod connection;
mod examples;
mod expression;
mod file;
pub mod fleet;
mod form;
mod host;
mod icon;
mod keys;
mod license;
mod lint;
mod locate;
mod migrate;
mod problem;
mod reach;
mod reading;
mod rules;
mod sarif;
mod search;
mod shape;
mod solve;
mod suggest;
mod upgrades;
mod values;
mod visibility;
mod way;
mod words;

pub use catalog::Catalog;
pub use config::{ConfigForm, ConfigProblem, ConfigSchema, SchemaError};
pub use connection::{ConnectionError, ConnectionScope};
pub use examples::ConfigExample;
pub use expression::{ExpressionError, Scope, evaluate_condition, interpolate};
pub use file::{
    Blueprint, Card, ConnectionSecret, Dependency, HttpProvision, ManifestKind, ManifestSource,
    Manifests, Metadata, Mode, Observability, Owner, PlacementSchema, Provides, Rotation, Spec,
    Upgrades,
};
pub use form::{Field, FieldKind};
pub use host::{HostAccess, HostAccessKind, HostUse};
pub use keys::ConfigKey;
pub use license::license_fault;
pub use lint::lint;
pub use locate::line_of_pointer;
pub use migrate::{MovedValue, ValueMigration};
pub use problem::Problem;
pub use reading::Reading;
pub use rules::{Level, RULES, Rule, rule};
pub use sarif::{sarif, uri};
pub use search::{Described, search};
pub use solve::{Choice, Existing, Link, Request, Solution, SolveError, SolvedApplication, solve};
pub use suggest::nearest;
pub use upgrades::lint_dependencies;
pub use values::{ValuesInput, merge_values, overlay, promote_config};
pub use visibility::{Visibility, is_shared_source};
