//! What the service keeps of a Sovereign beside the record of its steps, and what that
//! says of where it stands.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ServiceError;
use crate::config::Config;
use crate::consent::{self, Agreement};
use crate::directory;
use crate::record::{Life, Record, Step};
use crate::told::PlannedChange;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Preflight and plan; creates nothing.
    Plan,
    /// All steps, to the end.
    Provision,
    /// Destroys everything.
    Destroy,
    /// Puts OpenTofu's state away.
    Archive,
    /// Takes it back.
    Restore,
}

impl Task {
    /// What people read, after "to".
    pub fn title(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Provision => "provision",
            Self::Destroy => "destroy",
            Self::Archive => "archive",
            Self::Restore => "restore",
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is known what would change, which may be nothing; steps are left to take.
    Planned,
    /// Every step is done.
    Provisioned,
    /// Nothing is left.
    Destroyed,
    /// The state is put away.
    Archived,
    /// The state is there again, of what was provisioned.
    Restored,
    /// Something failed.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// How and when a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why it failed, or did not do what was planned, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The last job of a Sovereign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// What it does.
    pub task: Task,
    /// Who began it.
    pub by: String,
    /// When.
    pub begun: Timestamp,
    /// Whether a plan was the last that was asked for before it, where it says nothing
    /// itself of what shall be created; see [`Self::is_plan_only`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan_only: bool,
    /// How it ended; absent while it runs, and where it was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

impl Job {
    /// Whether nobody has asked for anything to be created since a plan was asked for.
    pub fn is_plan_only(&self) -> bool {
        self.task == Task::Plan || self.plan_only
    }

    /// The same of a job after this one.
    pub(super) fn is_plan_only_before(&self, next: Task) -> bool {
        match next {
            Task::Plan => true,
            Task::Provision => false,
            // None of them is a word about what shall be created.
            Task::Destroy | Task::Archive | Task::Restore => self.is_plan_only(),
        }
    }
}

/// Where a Sovereign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A job is at work.
    Running,
    /// A job is at work, and was told to stop.
    Cancelling,
    /// A job was cut off: the control plane ended while it ran.
    Interrupted,
    /// It is known what would change.
    Planned,
    /// Every step is done.
    Provisioned,
    /// The last job failed.
    Failed,
    /// The last job was cancelled.
    Cancelled,
    /// Nothing is left of it.
    Destroyed,
    /// Phase 0 is over.
    Archived,
}

/// A job that is at work in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// It goes on.
    Working,
    /// It was told to stop.
    Stopping,
}

/// All that is known of a Sovereign.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// What it shall be.
    pub config: Config,
    /// The last job.
    pub job: Job,
    /// Whether it is at work.
    pub live: Option<Live>,
    /// What was done; `None` before the first step.
    pub record: Option<Record>,
    /// How many resources the last job has done, of how many.
    pub resources: Option<(u64, u64)>,
    /// What the last job would change.
    pub planned: Vec<PlannedChange>,
    /// Digest of that; `None` where no plan was told.
    pub digest: Option<String>,
}

impl Status {
    /// Where it stands.
    pub fn standing(&self) -> Standing {
        let ended = self.job.ended.as_ref();
        let record = self.record.as_ref();
        standing(
            self.live,
            ended.map(|ended| ended.outcome),
            record.map(|record| record.life),
            ended
                .zip(record)
                .and_then(|(ended, record)| since(ended.at, record)),
        )
    }

    /// What resuming it does, with another description if one is given. Nothing is created
    /// of which nobody has seen the plan: what was only to be planned is planned, however
    /// often that is cut off; and what is planned is created where whoever resumes it says
    /// so, by `creates`.
    pub fn resumed(&self, config: Option<&Config>, creates: bool) -> Result<Task, ServiceError> {
        let is_planned = self.standing() == Standing::Planned;
        let is_same = config.is_none_or(|config| *config == self.config);
        let is_seen = is_planned && is_same && self.digest.is_some();
        // What runs well is not changed by a plan that nobody has seen.
        let changes_well = !is_same && self.standing() == Standing::Provisioned;
        let is_plan_first = is_planned || changes_well || self.job.is_plan_only();
        let sovereign = || self.config.sovereign_fqdn.clone();
        match (is_seen, creates) {
            (true, true) => Ok(Task::Provision),
            (true, false) => Err(ServiceError::Unasked {
                sovereign: sovereign(),
                changes: self.planned.len(),
            }),
            (false, _) if !is_plan_first => Ok(Task::Provision),
            (false, false) => Ok(Task::Plan),
            (false, true) => Err(ServiceError::Unplanned {
                sovereign: sovereign(),
            }),
        }
    }
}

impl Status {
    /// What is agreed to by whoever has a job do a task: the plan of this digest, where one
    /// is `named`, or else the one that is shown; and where the domain is named by
    /// `allow_destroy`, that what the Sovereign stands on is deleted or replaced. Refused
    /// where it is known already that the plan would not be carried out.
    pub fn agreement(
        &self,
        task: Task,
        named: Option<&str>,
        allow_destroy: Option<&str>,
    ) -> Result<Agreement, ServiceError> {
        if task != Task::Provision {
            return Ok(Agreement::default());
        }
        let sovereign = self.config.sovereign_fqdn.clone();
        let shown = self.digest.as_deref();
        if named.is_some() && named != shown {
            return Err(ServiceError::OtherPlan { sovereign });
        }
        let is_planned = self.standing() == Standing::Planned;
        let agreed = Agreement {
            plan: named.or(shown.filter(|_| is_planned)).map(str::to_owned),
            allows_losses: allow_destroy == Some(sovereign.as_str()),
        };
        let losses = consent::losses(&self.planned);
        if is_planned && !agreed.allows_losses && !losses.is_empty() {
            let objection = consent::Objection::Losses { losses };
            return Err(ServiceError::Losses {
                sovereign,
                objection,
            });
        }
        Ok(agreed)
    }
}

/// Where the command line, which works in the same directory, left a Sovereign; `None`
/// where it took no step since the last job had ended.
fn since(ended: Timestamp, record: &Record) -> Option<Standing> {
    if record.changed() <= ended {
        return None;
    }
    Some(match &record.attempt {
        Some(attempt) if attempt.failure.is_some() => Standing::Failed,
        Some(_) => Standing::Interrupted,
        None if record.done.len() == Step::ALL.len() => Standing::Provisioned,
        None if record.done.keys().next_back() == Some(&Step::Plan) => Standing::Planned,
        None => Standing::Interrupted,
    })
}

fn standing(
    live: Option<Live>,
    outcome: Option<Outcome>,
    life: Option<Life>,
    since: Option<Standing>,
) -> Standing {
    let outcome = match (live, outcome) {
        (Some(Live::Working), _) => return Standing::Running,
        (Some(Live::Stopping), _) => return Standing::Cancelling,
        (None, None) => return Standing::Interrupted,
        (None, Some(outcome)) => outcome,
    };
    if let (Some(Life::Provisioning), Some(since)) = (life, since) {
        return since;
    }
    match (life, outcome) {
        (Some(Life::Archived), _) => Standing::Archived,
        (Some(Life::Destroyed), _) => Standing::Destroyed,
        // Begun by the command line: a job that began it has failed or was cancelled.
        (
            Some(Life::Destroying),
            Outcome::Planned
            | Outcome::Provisioned
            | Outcome::Destroyed
            | Outcome::Archived
            | Outcome::Restored,
        ) => Standing::Interrupted,
        (_, Outcome::Destroyed) => Standing::Destroyed,
        (_, Outcome::Planned) => Standing::Planned,
        // Only what is provisioned is archived; it may have been restored by the command line.
        (_, Outcome::Provisioned | Outcome::Archived | Outcome::Restored) => Standing::Provisioned,
        (_, Outcome::Cancelled) => Standing::Cancelled,
        (_, Outcome::Failed) => Standing::Failed,
    }
}

/// What lies in the Sovereign's file; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    version: u32,
    pub(super) config: Config,
    pub(super) job: Job,
}

impl Kept {
    const VERSION: u32 = 1;

    pub(super) fn new(config: Config, job: Job) -> Self {
        Self {
            version: Self::VERSION,
            config,
            job,
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self, ServiceError> {
        let unreadable = |reason: String| ServiceError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let kept: Self =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if kept.version != Self::VERSION {
            return Err(unreadable(format!("it has the form {}", kept.version)));
        }
        Ok(kept)
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), ServiceError> {
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::other)
            .and_then(|text| directory::write(path, &text));
        written.map_err(|source| ServiceError::Access {
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_sovereign_stands_follows_from_its_job_and_its_record() {
        let (working, stopping) = (Some(Live::Working), Some(Live::Stopping));
        for (live, outcome, life, expected) in [
            (working, None, None, Standing::Running),
            (working, None, Some(Life::Destroying), Standing::Running),
            (
                stopping,
                None,
                Some(Life::Provisioning),
                Standing::Cancelling,
            ),
            (None, None, None, Standing::Interrupted),
            (None, None, Some(Life::Provisioning), Standing::Interrupted),
            (None, Some(Outcome::Failed), None, Standing::Failed),
            (
                None,
                Some(Outcome::Failed),
                Some(Life::Destroying),
                Standing::Failed,
            ),
            (
                None,
                Some(Outcome::Cancelled),
                Some(Life::Provisioning),
                Standing::Cancelled,
            ),
            (
                None,
                Some(Outcome::Planned),
                Some(Life::Provisioning),
                Standing::Planned,
            ),
            (
                None,
                Some(Outcome::Provisioned),
                Some(Life::Provisioning),
                Standing::Provisioned,
            ),
            (
                None,
                Some(Outcome::Provisioned),
                Some(Life::Archived),
                Standing::Archived,
            ),
            (
                None,
                Some(Outcome::Destroyed),
                Some(Life::Destroyed),
                Standing::Destroyed,
            ),
            (
                None,
                Some(Outcome::Archived),
                Some(Life::Archived),
                Standing::Archived,
            ),
            (
                None,
                Some(Outcome::Failed),
                Some(Life::Archived),
                Standing::Archived,
            ),
            (
                None,
                Some(Outcome::Restored),
                Some(Life::Provisioning),
                Standing::Provisioned,
            ),
            // By the command line, in the same directory.
            (
                None,
                Some(Outcome::Provisioned),
                Some(Life::Destroyed),
                Standing::Destroyed,
            ),
        ] {
            assert_eq!(
                standing(live, outcome, life, None),
                expected,
                "{live:?} {outcome:?} {life:?}"
            );
        }
    }

    /// A Sovereign whose last job was this, and ended so.
    fn after(task: Task, plan_only: bool, outcome: Option<Outcome>) -> Status {
        let given = serde_json::json!({
            "sovereignFqdn": "omantel.example",
            "region": "fsn",
            "adminCidrs": ["203.0.113.7/32"],
            "gitUrl": "https://git.example/sovereigns",
            "acmeEmail": "platform@omantel.example",
        });
        let at = Timestamp::UNIX_EPOCH;
        Status {
            config: serde_json::from_value(given).unwrap(),
            job: Job {
                task,
                by: "sol".to_owned(),
                begun: at,
                plan_only,
                ended: outcome.map(|outcome| Ended {
                    at,
                    outcome,
                    failure: None,
                }),
            },
            live: None,
            record: None,
            resources: None,
            planned: Vec::new(),
            digest: Some(consent::digest(&[])),
        }
    }

    #[test]
    fn nothing_is_created_of_which_nobody_has_seen_the_plan() {
        let (asked, plan, create) = ("asked", Ok(Task::Plan), Ok(Task::Provision));
        for (task, plan_only, outcome, silent, creates) in [
            // Cancelled, failed or cut off, before it could be shown.
            (
                Task::Plan,
                false,
                Some(Outcome::Cancelled),
                plan,
                Err("unplanned"),
            ),
            (
                Task::Plan,
                false,
                Some(Outcome::Failed),
                plan,
                Err("unplanned"),
            ),
            (Task::Plan, false, None, plan, Err("unplanned")),
            (
                Task::Destroy,
                true,
                Some(Outcome::Failed),
                plan,
                Err("unplanned"),
            ),
            // Shown.
            (
                Task::Plan,
                false,
                Some(Outcome::Planned),
                Err(asked),
                create,
            ),
            // Asked for already.
            (
                Task::Provision,
                false,
                Some(Outcome::Failed),
                create,
                create,
            ),
            (Task::Provision, false, None, create, create),
            (
                Task::Destroy,
                false,
                Some(Outcome::Cancelled),
                create,
                create,
            ),
        ] {
            let status = after(task, plan_only, outcome);
            for (says, expected) in [(false, silent), (true, creates)] {
                let found = status.resumed(None, says).map_err(|error| match error {
                    ServiceError::Unasked { .. } => asked,
                    ServiceError::Unplanned { .. } => "unplanned",
                    other => panic!("{other}"),
                });
                assert_eq!(found, expected, "{task:?} {outcome:?} {says}");
            }
        }
        // The plan that was shown is of another description.
        let planned = after(Task::Plan, false, Some(Outcome::Planned));
        let same = planned.config.clone();
        let mut other = same.clone();
        other.worker_count += 1;
        assert_eq!(planned.resumed(Some(&same), true).unwrap(), Task::Provision);
        assert_eq!(planned.resumed(Some(&other), false).unwrap(), Task::Plan);
        let error = planned.resumed(Some(&other), true).unwrap_err();
        assert!(matches!(error, ServiceError::Unplanned { .. }), "{error}");
        // Nor is what runs changed unseen; what has failed is put right at once.
        for (outcome, expected) in [
            (Outcome::Provisioned, Task::Plan),
            (Outcome::Failed, Task::Provision),
        ] {
            let status = after(Task::Provision, false, Some(outcome));
            assert_eq!(status.resumed(Some(&other), false).unwrap(), expected);
            assert_eq!(status.resumed(Some(&same), false).unwrap(), Task::Provision);
        }
    }

    #[test]
    fn what_is_agreed_to_is_the_plan_that_was_shown() {
        let mut status = after(Task::Plan, false, Some(Outcome::Planned));
        let change = |action: &str| PlannedChange {
            address: "hcloud_server.worker[0]".to_owned(),
            action: action.to_owned(),
        };
        let mut show = |action: &str| {
            status.planned = vec![change(action)];
            status.digest = Some(consent::digest(&status.planned));
            status.clone()
        };
        let (creates, deletes) = (show("create"), show("delete"));
        let (own, other) = ("omantel.example", "acme.example");
        let create = creates.digest.as_deref();
        for (status, named, allow, expected) in [
            (&creates, None, None, Ok((create, false))),
            (&creates, create, None, Ok((create, false))),
            (&creates, Some("another"), Some(own), Err("other plan")),
            (&deletes, create, Some(own), Err("other plan")),
            (&deletes, None, None, Err("losses")),
            (&deletes, None, Some(other), Err("losses")),
            (
                &deletes,
                None,
                Some(own),
                Ok((deletes.digest.as_deref(), true)),
            ),
        ] {
            let found = status.agreement(Task::Provision, named, allow);
            let found = found.map_err(|error| match error {
                ServiceError::OtherPlan { .. } => "other plan",
                ServiceError::Losses { .. } => "losses",
                other => panic!("{other}"),
            });
            let expected = expected.map(|(plan, allows_losses)| Agreement {
                plan: plan.map(str::to_owned),
                allows_losses,
            });
            assert_eq!(found, expected, "{named:?} {allow:?}");
        }
        // What was asked for without a plan to look at first goes on, and loses nothing.
        let mut failed = after(Task::Provision, false, Some(Outcome::Failed));
        failed.planned = vec![change("delete")];
        let agreed = failed.agreement(Task::Provision, None, None).unwrap();
        assert_eq!(agreed, Agreement::default());
        // Of a plan that nobody was told of, nobody has seen anything.
        let mut untold = after(Task::Plan, false, Some(Outcome::Planned));
        untold.digest = None;
        assert_eq!(untold.resumed(None, false).unwrap(), Task::Plan);
        let error = untold.resumed(None, true).unwrap_err();
        assert!(matches!(error, ServiceError::Unplanned { .. }), "{error}");
    }

    #[test]
    fn that_only_a_plan_was_asked_for_outlives_what_says_nothing_of_it() {
        let mut job = after(Task::Plan, false, None).job;
        for (task, expected) in [
            (Task::Destroy, true),
            (Task::Archive, true),
            (Task::Provision, false),
            (Task::Destroy, false),
            (Task::Plan, true),
            (Task::Restore, true),
        ] {
            job.plan_only = job.is_plan_only_before(task);
            job.task = task;
            assert_eq!(job.is_plan_only(), expected, "{task:?}");
        }
        // What earlier control planes kept does not say it.
        let mut kept = serde_json::to_value(after(Task::Plan, false, None).job).unwrap();
        kept.as_object_mut().unwrap().remove("planOnly");
        let kept: Job = serde_json::from_value(kept).unwrap();
        assert!(kept.is_plan_only());
    }

    #[test]
    fn what_the_command_line_did_since_the_last_job_decides() {
        let ended = Timestamp::UNIX_EPOCH;
        let later = ended + jiff::SignedDuration::from_secs(1);
        let record = |through: Option<Step>, now: Timestamp| {
            let mut record = Record::new("omantel.example", ended);
            for step in Step::ALL {
                if through.is_some_and(|through| step <= through) {
                    record.begin(step, now);
                    record.finish(step, now, "a", std::collections::BTreeMap::new());
                }
            }
            record
        };
        let attempt = |failure: Option<&str>| {
            let mut record = record(Some(Step::Apply), later);
            record.begin(Step::WaitSsh, later);
            if let Some(failure) = failure {
                record.fail(failure.to_owned());
            }
            record
        };
        let all = Step::ALL.last().copied();
        for (outcome, record, expected) in [
            // Made anew by the command line, after a job had destroyed it.
            (
                Outcome::Destroyed,
                record(all, later),
                Standing::Provisioned,
            ),
            (
                Outcome::Destroyed,
                record(Some(Step::Plan), later),
                Standing::Planned,
            ),
            (
                Outcome::Destroyed,
                record(Some(Step::Apply), later),
                Standing::Interrupted,
            ),
            (Outcome::Destroyed, attempt(Some("no")), Standing::Failed),
            (Outcome::Destroyed, attempt(None), Standing::Interrupted),
            // Gone on with, or made worse.
            (Outcome::Failed, record(all, later), Standing::Provisioned),
            (Outcome::Provisioned, attempt(Some("no")), Standing::Failed),
            // Nothing was done since.
            (Outcome::Destroyed, record(None, ended), Standing::Destroyed),
            (
                Outcome::Failed,
                record(Some(Step::Plan), ended),
                Standing::Failed,
            ),
            (
                Outcome::Planned,
                record(Some(Step::Plan), ended),
                Standing::Planned,
            ),
        ] {
            let since = since(ended, &record);
            let found = standing(None, Some(outcome), Some(record.life), since);
            assert_eq!(found, expected, "{outcome:?} {record:?}");
        }
        // A destroy leaves no time in the record, and says so by itself.
        for (outcome, expected) in [
            (Outcome::Destroyed, Standing::Interrupted),
            (Outcome::Provisioned, Standing::Interrupted),
            (Outcome::Cancelled, Standing::Cancelled),
        ] {
            let found = standing(None, Some(outcome), Some(Life::Destroying), None);
            assert_eq!(found, expected, "{outcome:?}");
        }
    }
}
