//! What the API tells of a Sovereign that is provisioned.

use catalyst_api::{
    PlannedResource, ProvisioningState, ProvisioningStep, ProvisioningStepState,
    ProvisioningSummary, ProvisioningTask, ProvisioningView, ResourceCount,
};
use catalyst_provisioner::losses;
use catalyst_provisioner::record::{Life, Record, Step};
use catalyst_provisioner::service::{self, ServiceError, Standing, Status, Task};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// As in lists.
pub fn summary(status: &Status) -> ProvisioningSummary {
    let attempt = status.record.as_ref().and_then(|it| it.attempt.as_ref());
    ProvisioningSummary {
        fqdn: status.config.sovereign_fqdn.clone(),
        region: Some(status.config.region.clone()),
        state: state(status.standing()),
        unreadable: None,
        task: Some(match status.job.task {
            Task::Plan => ProvisioningTask::Plan,
            Task::Provision => ProvisioningTask::Provision,
            Task::Destroy => ProvisioningTask::Destroy,
            Task::Archive => ProvisioningTask::Archive,
            Task::Restore => ProvisioningTask::Restore,
        }),
        by: Some(status.job.by.clone()),
        begun_at: Some(time(status.job.begun)),
        ended_at: status.job.ended.as_ref().map(|ended| time(ended.at)),
        step: attempt.map(|attempt| attempt.step.to_string()),
        resources: status
            .resources
            .map(|(done, total)| ResourceCount { done, total }),
    }
}

/// Of one that cannot be read.
pub fn unreadable(fqdn: String, error: &ServiceError) -> ProvisioningSummary {
    ProvisioningSummary {
        fqdn,
        region: None,
        state: ProvisioningState::Unreadable,
        unreadable: Some(error.to_string()),
        task: None,
        by: None,
        begun_at: None,
        ended_at: None,
        step: None,
        resources: None,
    }
}

/// The whole.
pub fn view(status: &Status) -> ProvisioningView {
    let record = status.record.as_ref();
    let ended = status.job.ended.as_ref();
    ProvisioningView {
        summary: summary(status),
        steps: Step::ALL
            .into_iter()
            .map(|each| step(each, record, status.live.is_some()))
            .collect(),
        planned: status
            .planned
            .iter()
            .map(|change| PlannedResource {
                address: change.address.clone(),
                action: change.action.clone(),
                loses: !losses(std::slice::from_ref(change)).is_empty(),
            })
            .collect(),
        plan_digest: status.digest.clone(),
        failure: ended.and_then(|ended| ended.failure.clone()),
        without: without(status),
        next: next(status).map(|next| match without(status) {
            Some(without) => format!("{without} {next}"),
            None => next.to_owned(),
        }),
        outputs: record
            .map(|record| record.outputs.clone().into_iter().collect())
            .unwrap_or_default(),
        config: match serde_json::to_value(&status.config) {
            Ok(Value::Object(config)) => config,
            _ => Map::new(),
        },
    }
}

fn step(step: Step, record: Option<&Record>, is_live: bool) -> ProvisioningStep {
    // What a destroy has begun to undo is done no more.
    let is_undone =
        step >= Step::Apply && record.is_some_and(|record| record.life == Life::Destroying);
    let done = record.and_then(|record| record.done.get(&step));
    let done = done.filter(|_| !is_undone);
    let attempt = record.and_then(|record| record.attempt.as_ref());
    let attempt = attempt.filter(|attempt| attempt.step == step);
    let state = match (done, attempt) {
        (Some(_), _) => ProvisioningStepState::Done,
        (None, None) => ProvisioningStepState::Pending,
        (None, Some(attempt)) if attempt.failure.is_some() => ProvisioningStepState::Failed,
        (None, Some(_)) if is_live => ProvisioningStepState::Running,
        (None, Some(_)) => ProvisioningStepState::Interrupted,
    };
    ProvisioningStep {
        name: step.to_string(),
        title: step.title().to_owned(),
        state,
        at: done
            .map(|done| done.at)
            .or_else(|| attempt.map(|attempt| attempt.at))
            .map(time),
        seconds: done.map(|done| done.seconds),
        expected_seconds: step.expected_seconds(),
        versions: done.map(|done| done.versions.clone()).unwrap_or_default(),
    }
}

fn state(standing: Standing) -> ProvisioningState {
    match standing {
        Standing::Running => ProvisioningState::Running,
        Standing::Cancelling => ProvisioningState::Cancelling,
        Standing::Interrupted => ProvisioningState::Interrupted,
        Standing::Planned => ProvisioningState::Planned,
        Standing::Provisioned => ProvisioningState::Provisioned,
        Standing::Failed => ProvisioningState::Failed,
        Standing::Cancelled => ProvisioningState::Cancelled,
        Standing::Destroyed => ProvisioningState::Destroyed,
        Standing::Archived => ProvisioningState::Archived,
    }
}

/// What it is without, or will be, which is said before it costs anything.
fn without(status: &Status) -> Option<String> {
    match status.standing() {
        Standing::Provisioned | Standing::Archived => {
            status.record.as_ref().and_then(Record::without)
        }
        Standing::Planned => service::without(),
        _ => None,
    }
}

/// What to do next; a destroy that has begun can only be gone on with.
fn next(status: &Status) -> Option<&'static str> {
    let is_destroying = status
        .record
        .as_ref()
        .is_some_and(|record| record.life == Life::Destroying);
    Some(match status.standing() {
        Standing::Running => return None,
        Standing::Cancelling => {
            "Wait: OpenTofu ends what it is making and saves its state, for which it has five minutes."
        }
        Standing::Interrupted | Standing::Failed | Standing::Cancelled if is_destroying => {
            "Put right what is told, if anything is, and destroy it again: that goes on where it stood."
        }
        Standing::Interrupted | Standing::Failed | Standing::Cancelled
            if status.job.is_plan_only() =>
        {
            "Put right what is told, if anything is, and resume it: it is planned again, and nothing is created before you have seen the plan. Another description or other credentials can be given with that."
        }
        Standing::Interrupted => {
            "The control plane ended while this was at work. Resume it: it goes on where it stood."
        }
        Standing::Failed => {
            "Put right what is told and resume it; another description or other credentials can be given with that."
        }
        Standing::Cancelled => "Resume it to go on, or destroy it.",
        Standing::Planned if status.planned.is_empty() => {
            "Nothing would change. Resume it with `create` to take the steps that are left."
        }
        Standing::Planned if !losses(&status.planned).is_empty() => {
            "Nothing of the plan is done yet. It deletes or replaces what the Sovereign stands on: look at it, and only where that is meant carry it out: resume it with `create`, and its domain as `allowDestroy`."
        }
        Standing::Planned => {
            "Nothing of the plan is done yet. Look at it, and carry it out: resume it with `create`."
        }
        Standing::Provisioned => {
            "Archive its state once you want OpenTofu to change it no more: from then on it is changed in its Git repository."
        }
        Standing::Destroyed => {
            "Nothing is left of it in the project, nor of what its cluster had made. Provision it to make it anew."
        }
        Standing::Archived => {
            "Change it in its Git repository. Restore it to have OpenTofu change or destroy it."
        }
    })
}

/// As everywhere in the API: RFC 3339 in UTC with milliseconds.
fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}
