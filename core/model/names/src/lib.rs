//! Validated names and the rules that derive one from another.
//!
//! Everything that has a name in a Sovereign gets it here: parsed once at the
//! edge, carried as a type, printed with `Display`. Pure; used by every crate.

mod dimension;
mod label;
mod name;
mod place;

pub use dimension::{BuildingBlock, EnvType, Provider, Region};
pub use label::{ApplicationLabels, LABEL_PREFIX};
pub use name::{ApplicationName, BlueprintName, NameError, OrganizationName};
pub use place::{
    EnvironmentName, HostClusterName, LocationCode, VclusterName, application_host,
    workload_namespace,
};
