//! What is told beside the steps: the plan, the end, and a job's begin and end. The
//! command line (`--output json`) and the service tell the same shapes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::consent;
use crate::service::{Outcome, Task};
use crate::tofu::Planned;

/// What a plan would do with one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// Address in the module.
    pub address: String,
    /// create, update, delete, replace, …
    pub action: String,
}

impl PlannedChange {
    /// What a plan would change.
    pub fn of(planned: &Planned) -> Vec<Self> {
        let changes = planned.changes.iter();
        changes
            .map(|(address, action)| Self {
                address: address.clone(),
                action: action.clone(),
            })
            .collect()
    }
}

/// What is told beside the events of steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Milestone {
    /// What would change; nothing where creating is done.
    Planned {
        /// Each resource that would change.
        changes: Vec<PlannedChange>,
        /// What tells this plan from others, by which it is agreed to.
        digest: String,
    },
    /// Everything is done.
    Finished {
        /// Domain of the Sovereign.
        sovereign: String,
        /// The module's outputs.
        outputs: BTreeMap<String, Value>,
        /// Parts that it is provisioned without.
        #[serde(skip_serializing_if = "BTreeSet::is_empty")]
        left_out: BTreeSet<String>,
    },
    /// Nothing is left.
    Destroyed {
        /// Domain of the Sovereign.
        sovereign: String,
    },
    /// Phase 0 is over.
    Archived {
        /// Domain of the Sovereign.
        sovereign: String,
    },
    /// OpenTofu has its state again.
    Restored {
        /// Domain of the Sovereign.
        sovereign: String,
        /// How many resources the state has.
        resources: usize,
    },
    /// The service begins a job.
    JobBegun {
        /// What it does.
        task: Task,
    },
    /// The service ended a job, or the command line a run.
    JobEnded {
        /// How.
        outcome: Outcome,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
}

impl Milestone {
    /// The milestone of a plan.
    pub fn planned(planned: Option<&Planned>) -> Self {
        let changes = planned.map(PlannedChange::of).unwrap_or_default();
        Self::Planned {
            digest: consent::digest(&changes),
            changes,
        }
    }
}

/// An event with the time at which it is told.
pub fn stamped(event: &impl Serialize) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(event)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("at".to_owned(), json!(Timestamp::now()));
    }
    Ok(value)
}
