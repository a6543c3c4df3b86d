//! How Kubernetes objects change: server-side apply with field ownership,
//! strategic merge, JSON merge and JSON patches, and a diff for people.
//!
//! Called by the Kubernetes API for every write, and by the planner for diffs.
//! Pure: values in, values out; time is a string the caller supplies.
//!
//! What must stay true:
//! - Applying the same configuration twice changes nothing, not even a time.
//! - A field that another manager owns is never removed or, without force,
//!   changed by an apply.
//! - Everything works without a schema: maps are then merged field by field and
//!   lists are one value.

mod diff;
mod fields;
mod json;
mod managed;
mod server_side;
mod shape;
mod strategic;
mod walk;

pub use diff::{Change, ChangeKind, diff, render_changes};
pub use fields::{FieldPath, FieldSet, FieldSetError};
pub use json::{PatchError, json_merge_patch, json_patch};
pub use managed::{ManagedFieldsError, ManagerEntry, OperationKind};
pub use server_side::{
    ApplyError, Conflict, Conflicts, Operation, apply, managers, update_managed_fields,
};
pub use strategic::{StrategicError, strategic_merge_patch};
