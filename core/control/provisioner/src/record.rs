//! What was done when and with what versions, and what comes next.
//!
//! [`next`] is the one place that decides; the executor does as it says and writes the
//! record after each step, so a run that is cut off anywhere goes on where it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::preflight::Beside;

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Look for everything that would make a later step fail.
    Preflight,
    /// Put the module into the private directory.
    StageModule,
    /// Write the module's variables.
    WriteVariables,
    /// `tofu init`: providers, at the versions that the lock file has.
    Init,
    /// `tofu plan`: what would be made.
    Plan,
    /// `tofu apply` of exactly that plan.
    Apply,
    /// Until the first control plane takes SSH.
    WaitSsh,
    /// Until every node has joined.
    WaitKubernetes,
    /// Give the cluster its secrets.
    HandOver,
    /// Until Flux has read the Git repository.
    WaitFlux,
    /// Until each part is Ready.
    WaitParts,
    /// Let Crossplane observe everything that was made.
    Observe,
    /// Let Crossplane keep it.
    Adopt,
    /// Until everything is as it should be in the end.
    Checklist,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 14] = [
        Self::Preflight,
        Self::StageModule,
        Self::WriteVariables,
        Self::Init,
        Self::Plan,
        Self::Apply,
        Self::WaitSsh,
        Self::WaitKubernetes,
        Self::HandOver,
        Self::WaitFlux,
        Self::WaitParts,
        Self::Observe,
        Self::Adopt,
        Self::Checklist,
    ];

    /// What people read.
    pub fn title(self) -> &'static str {
        match self {
            Self::Preflight => "look for what would fail later",
            Self::StageModule => "stage the OpenTofu module",
            Self::WriteVariables => "write its variables",
            Self::Init => "initialise OpenTofu",
            Self::Plan => "plan",
            Self::Apply => "create the resources",
            Self::WaitSsh => "wait for SSH",
            Self::WaitKubernetes => "wait for the nodes",
            Self::HandOver => "hand secrets over",
            Self::WaitFlux => "wait for Flux",
            Self::WaitParts => "wait for the parts",
            Self::Observe => "let Crossplane observe the resources",
            Self::Adopt => "let Crossplane adopt the resources",
            Self::Checklist => "go through the checklist",
        }
    }

    /// How long it usually takes, in seconds. Estimates: see docs/SOVEREIGN-PROVISIONING.md.
    pub fn expected_seconds(self) -> u64 {
        match self {
            Self::Preflight | Self::Plan => 10,
            Self::StageModule | Self::WriteVariables => 1,
            Self::Init | Self::HandOver => 20,
            Self::Apply => 180,
            Self::WaitSsh | Self::WaitFlux | Self::Checklist => 60,
            Self::WaitKubernetes => 600,
            Self::Observe | Self::Adopt => 120,
            Self::WaitParts => 1200,
        }
    }

    /// Its place among all, from 1.
    pub fn number(self) -> usize {
        self as usize + 1
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Preflight => "preflight",
            Self::StageModule => "stage-module",
            Self::WriteVariables => "write-variables",
            Self::Init => "init",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::WaitSsh => "wait-ssh",
            Self::WaitKubernetes => "wait-kubernetes",
            Self::HandOver => "hand-over",
            Self::WaitFlux => "wait-flux",
            Self::WaitParts => "wait-parts",
            Self::Observe => "observe",
            Self::Adopt => "adopt",
            Self::Checklist => "checklist",
        })
    }
}

/// A step that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: u64,
    /// Digest of variables and module that it was done with.
    pub inputs: String,
    /// Versions that it used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
}

/// A step that was begun and is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The step.
    pub step: Step,
    /// When it was begun.
    pub at: Timestamp,
    /// How it failed; absent while it runs, and where the run was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Where a Sovereign stands as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Being provisioned, or provisioned.
    #[default]
    Provisioning,
    /// A destroy was begun and has not ended.
    Destroying,
    /// Nothing of it is left.
    Destroyed,
    /// Phase 0 is over: OpenTofu's state is put away, nothing may apply it again.
    Archived,
}

/// The part that is Catalyst itself.
pub const CATALYST: &str = "catalyst";

/// What was done for a Sovereign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Form of this record.
    pub version: u32,
    /// Domain of the Sovereign.
    pub sovereign: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// Where it stands.
    #[serde(default)]
    pub life: Life,
    /// Steps that are done.
    #[serde(default)]
    pub done: BTreeMap<Step, Done>,
    /// The step that is under way or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// Whether the cluster was ever given its secrets: those must then stay the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handed_over: bool,
    /// What of its description cannot change since its nodes have joined one another;
    /// empty before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, serde_json::Value>,
    /// Types of what Crossplane was ever given: it must let go of them before OpenTofu
    /// works on them again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub given: BTreeSet<String>,
    /// What its cluster was seen to have made by itself, once a destroy was begun.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub beside: BTreeSet<Beside>,
    /// Parts that the Sovereign is provisioned without: they are not to be had yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// The module's outputs, none of which is secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, serde_json::Value>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This step.
    Run(Step),
    /// Nothing: every step is done with these inputs.
    Finished,
    /// Nothing may be done.
    Refused(Refusal),
}

/// Why nothing may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A destroy was begun.
    #[error(
        "its destroy was begun and has not ended; run `catalyst provision destroy` until it has"
    )]
    Destroying,
    /// Phase 0 is over.
    #[error(
        "its state is archived, and Flux and Crossplane own it now; change it in its Git repository; `catalyst provision restore` is the way back"
    )]
    Archived,
    /// There is nothing to put away.
    #[error("nothing of it is there, and with that no state to put away")]
    NothingMade,
    /// It is too early to put anything away.
    #[error(
        "not every step is done as it is described, and only then is its state put away; run `catalyst provision resume`"
    )]
    Unfinished,
    /// There is nothing to take back.
    #[error("its state is not archived; see `catalyst provision status`")]
    NotArchived,
}

/// Decides what comes next with inputs of this digest.
pub fn next(record: &Record, inputs: &str) -> Next {
    match record.life {
        Life::Destroying => return Next::Refused(Refusal::Destroying),
        Life::Archived => return Next::Refused(Refusal::Archived),
        // What is gone is made anew: its record was emptied when it went.
        Life::Destroyed | Life::Provisioning => {}
    }
    Step::ALL
        .into_iter()
        .find(|step| {
            record
                .done
                .get(step)
                .is_none_or(|done| done.inputs != inputs)
        })
        .map_or(Next::Finished, Next::Run)
}

impl Record {
    /// The form that this version writes and reads.
    pub const VERSION: u32 = 1;

    /// The record of a Sovereign for which nothing was done yet.
    pub fn new(sovereign: &str, now: Timestamp) -> Self {
        Self {
            version: Self::VERSION,
            sovereign: sovereign.to_owned(),
            begun: now,
            life: Life::Provisioning,
            done: BTreeMap::new(),
            attempt: None,
            handed_over: false,
            fixed: BTreeMap::new(),
            given: BTreeSet::new(),
            beside: BTreeSet::new(),
            left_out: BTreeSet::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// Whether Catalyst itself runs on it, and with it the console.
    pub fn has_console(&self) -> bool {
        !self.left_out.contains(CATALYST)
    }

    /// What it is provisioned without, in words; `None` where nothing is left out.
    pub fn without(&self) -> Option<String> {
        if self.left_out.is_empty() {
            return None;
        }
        let parts: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
        let console = match self.has_console() {
            true => "",
            false => " Until then it has no console and no API of Catalyst's.",
        };
        Some(format!(
            "It is without {}, of which nothing that can be installed is published yet: Flux installs a part once `suspend` is removed from its Kustomization in Git.{console}",
            parts.join(", ")
        ))
    }

    /// When a step was begun or ended last.
    pub fn changed(&self) -> Timestamp {
        let steps = self.done.values().map(|done| done.at);
        let attempt = self.attempt.iter().map(|attempt| attempt.at);
        steps.chain(attempt).fold(self.begun, Ord::max)
    }

    /// Notes that a step begins. What comes after it has to be done again; and a plan
    /// is good for one apply, so a later run plans anew and applies what it showed. Of what
    /// preflight finds, only the plan is made.
    pub fn begin(&mut self, step: Step, now: Timestamp) {
        self.life = Life::Provisioning;
        let stays = |done: &Step| match step {
            Step::Preflight => *done != step && *done < Step::Plan,
            _ => *done < step,
        };
        self.done.retain(|done, _| stays(done));
        if step == Step::Apply {
            self.done.remove(&Step::Plan);
        }
        self.attempt = Some(Attempt {
            step,
            at: now,
            failure: None,
        });
    }

    /// Notes that the step under way is done.
    pub fn finish(
        &mut self,
        step: Step,
        now: Timestamp,
        inputs: &str,
        versions: BTreeMap<String, String>,
    ) {
        let begun = self.attempt.take().map_or(now, |attempt| attempt.at);
        let done = Done {
            at: now,
            seconds: u64::try_from(now.duration_since(begun).as_secs()).unwrap_or_default(),
            inputs: inputs.to_owned(),
            versions,
        };
        if step == Step::Apply {
            // The plan that it carried out.
            self.done.insert(
                Step::Plan,
                Done {
                    seconds: 0,
                    versions: BTreeMap::new(),
                    ..done.clone()
                },
            );
        }
        self.handed_over |= step == Step::HandOver;
        self.done.insert(step, done);
    }

    /// Notes how the step under way failed.
    pub fn fail(&mut self, failure: String) {
        if let Some(attempt) = &mut self.attempt {
            attempt.failure = Some(failure);
        }
    }

    /// Notes that nothing is left.
    pub fn destroyed(&mut self) {
        self.life = Life::Destroyed;
        self.done.clear();
        self.attempt = None;
        self.handed_over = false;
        self.fixed.clear();
        self.given.clear();
        self.beside.clear();
        self.left_out.clear();
        self.outputs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::new("omantel.example", Timestamp::UNIX_EPOCH)
    }

    fn run(record: &mut Record, step: Step, inputs: &str) {
        record.begin(step, Timestamp::UNIX_EPOCH);
        record.finish(step, Timestamp::UNIX_EPOCH, inputs, BTreeMap::new());
    }

    /// Runs to the end and gives the steps that were taken.
    fn to_the_end(record: &mut Record, inputs: &str) -> Vec<Step> {
        let mut taken = Vec::new();
        while let Next::Run(step) = next(record, inputs) {
            run(record, step, inputs);
            taken.push(step);
            assert!(taken.len() < 100, "it does not end: {taken:?}");
        }
        assert_eq!(next(record, inputs), Next::Finished);
        taken
    }

    #[test]
    fn every_step_is_taken_once_in_order_and_then_none() {
        let mut record = record();
        assert_eq!(to_the_end(&mut record, "a"), Step::ALL);
        assert_eq!(to_the_end(&mut record, "a"), []);
    }

    #[test]
    fn killed_within_any_step_a_run_takes_that_step_again_and_those_after_it() {
        for killed in Step::ALL {
            let mut record = record();
            for step in Step::ALL {
                record.begin(step, Timestamp::UNIX_EPOCH);
                if step == killed {
                    break;
                }
                record.finish(step, Timestamp::UNIX_EPOCH, "a", BTreeMap::new());
            }
            // What is on disk is what was written.
            let text = serde_json::to_string(&record).unwrap();
            let mut record: Record = serde_json::from_str(&text).unwrap();
            let again = match killed {
                Step::Apply => Step::Plan,
                other => other,
            };
            let taken = to_the_end(&mut record, "a");
            assert_eq!(taken, Step::ALL[again.number() - 1..], "{killed}");
        }
    }

    #[test]
    fn changed_inputs_are_planned_and_applied_from_the_start() {
        let mut record = record();
        to_the_end(&mut record, "a");
        assert_eq!(to_the_end(&mut record, "b"), Step::ALL);
        // Changed half way, nothing of the old inputs counts.
        run(&mut record, Step::Preflight, "c");
        assert_eq!(next(&record, "b"), Next::Run(Step::Preflight));
        assert_eq!(next(&record, "c"), Next::Run(Step::StageModule));
    }

    #[test]
    fn who_looks_again_stages_nothing_again_and_plans_anew() {
        let mut record = record();
        for step in Step::ALL.into_iter().take_while(|step| *step <= Step::Plan) {
            run(&mut record, step, "a");
        }
        record.begin(Step::Preflight, Timestamp::UNIX_EPOCH);
        assert_eq!(next(&record, "a"), Next::Run(Step::Preflight));
        run(&mut record, Step::Preflight, "a");
        assert_eq!(next(&record, "a"), Next::Run(Step::Plan));
        // Other inputs are staged.
        run(&mut record, Step::Preflight, "b");
        assert_eq!(next(&record, "b"), Next::Run(Step::StageModule));
    }

    #[test]
    fn what_is_being_destroyed_or_archived_is_left_alone_and_what_is_gone_is_made_anew() {
        let mut record = record();
        to_the_end(&mut record, "a");
        record.life = Life::Destroying;
        assert_eq!(next(&record, "a"), Next::Refused(Refusal::Destroying));
        record.life = Life::Archived;
        assert_eq!(next(&record, "b"), Next::Refused(Refusal::Archived));
        record.destroyed();
        assert_eq!(to_the_end(&mut record, "a"), Step::ALL);
        assert_eq!(record.life, Life::Provisioning);
    }

    #[test]
    fn a_failure_is_kept_until_the_step_is_tried_again() {
        let mut record = record();
        record.begin(Step::Init, Timestamp::UNIX_EPOCH);
        record.fail("no network".to_owned());
        let attempt = record.attempt.clone().unwrap();
        assert_eq!(attempt.failure.as_deref(), Some("no network"));
        run(&mut record, Step::Init, "a");
        assert_eq!(record.attempt, None);
    }

    #[test]
    fn what_is_left_out_is_said_until_nothing_is() {
        let mut record = record();
        assert_eq!((record.without(), record.has_console()), (None, true));
        record.left_out.insert("other".to_owned());
        let said = record.without().unwrap();
        assert!(said.starts_with("It is without other, "), "{said}");
        assert!(!said.contains("console") && record.has_console(), "{said}");
        record.left_out.insert(CATALYST.to_owned());
        let said = record.without().unwrap();
        assert!(
            said.contains("catalyst, other") && said.contains("no console"),
            "{said}"
        );
        assert!(!record.has_console());
        record.destroyed();
        assert_eq!(record.without(), None);
    }

    #[test]
    fn names_of_steps_are_those_of_the_record() {
        for step in Step::ALL {
            assert_eq!(serde_json::to_value(step).unwrap(), step.to_string());
            assert_eq!(Step::ALL[step.number() - 1], step);
        }
    }
}
