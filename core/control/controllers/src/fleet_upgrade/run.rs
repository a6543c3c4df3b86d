//! How far a fleet upgrade is: what was seen becomes its status. Pure; time is a value.

use catalyst_blueprint::fleet::{Orders, Progress, Step, next_step};
use catalyst_resources::{
    FleetUpgradeSpec, FleetUpgradeStatus, UpgradeMember, UpgradePhase, UpgradeState,
    UpgradedApplication,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::application::{RELEASED, VERSION_FAILED};
use crate::conditions::Observation;
use crate::object::{condition, generation, text};

/// The condition that sums it up.
const COMPLETED: &str = "Completed";
/// The most failures that are told in one sentence.
const MOST_TOLD: usize = 5;

/// What was seen of an Application, or what its turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It has the version in Git, by this commit where it was made now.
    Committed(Option<String>),
    /// A pull request brings the version.
    Proposed(u64),
    /// It does not run yet, and why.
    RollingOut(String),
    /// It runs at the version.
    Running,
    /// There is nothing to do about it, and why.
    Left(String),
    /// It will not become so by waiting.
    Failed(String),
    /// It could not be done now, and why; it is tried again.
    Delayed(String),
    /// Nothing new.
    Unchanged,
}

/// A wave and a position in it.
pub type Place = (usize, usize);

/// A fleet upgrade as it is carried out.
pub struct Run {
    waves: Vec<Vec<(UpgradeMember, UpgradedApplication)>>,
    attempt: i32,
    timeout_seconds: i64,
    is_cancelled: bool,
    /// The attempt that ended in a stop, if it is this one.
    stopped_attempt: Option<i32>,
    now: String,
}

impl Run {
    /// Goes on from what was observed before; after a stop that somebody ended, what
    /// failed has its turn again.
    pub fn new(wanted: &FleetUpgradeSpec, before: &FleetUpgradeStatus, now: String) -> Self {
        let stopped_attempt = before
            .stopped_attempt
            .filter(|attempt| *attempt == wanted.attempt);
        let is_resumed = before.stopped_attempt.is_some() && stopped_attempt.is_none();
        let known = |member: &UpgradeMember| {
            let mut applications = before.applications.iter();
            let found = applications.find(|it| {
                it.environment == member.environment && it.application == member.application
            });
            let mut record = found.cloned().unwrap_or_else(|| UpgradedApplication {
                environment: member.environment.clone(),
                application: member.application.clone(),
                state: UpgradeState::Waiting,
                commit: None,
                pull_request: None,
                since: None,
                message: String::new(),
            });
            let is_failed = record.state == UpgradeState::Failed;
            if is_resumed && is_failed {
                record.state = UpgradeState::Waiting;
                record.since = None;
                record.message.clear();
            }
            (member.clone(), record)
        };
        let waves = wanted.waves.iter();
        Self {
            waves: waves
                .map(|wave| wave.applications.iter().map(known).collect())
                .collect(),
            attempt: wanted.attempt,
            timeout_seconds: i64::from(wanted.timeout_seconds),
            is_cancelled: wanted.cancelled,
            stopped_attempt,
            now,
        }
    }

    /// Has time go on.
    pub fn set_now(&mut self, now: String) {
        self.now = now;
    }

    /// An Application of it.
    pub fn member(&self, place: Place) -> Option<&UpgradeMember> {
        let (wave, position) = place;
        let (member, _) = self.waves.get(wave)?.get(position)?;
        Some(member)
    }

    /// What was begun and is not through.
    pub fn under_way(&self) -> Vec<(Place, &UpgradeMember, &UpgradedApplication)> {
        let mut found = Vec::new();
        for (wave, members) in self.waves.iter().enumerate() {
            for (position, (member, record)) in members.iter().enumerate() {
                if is_under_way(record.state) {
                    found.push(((wave, position), member, record));
                }
            }
        }
        found
    }

    /// Since when the one that came into a state last is in it.
    pub fn newest(&self, state: UpgradeState) -> Option<&str> {
        let records = self.waves.iter().flatten().map(|(_, record)| record);
        let in_state = records.filter(|record| record.state == state);
        in_state.filter_map(|record| record.since.as_deref()).max()
    }

    /// Takes in what was seen of an Application.
    pub fn take(&mut self, (wave, position): Place, look: Look) {
        let members = self.waves.get_mut(wave);
        let Some((_, record)) = members.and_then(|members| members.get_mut(position)) else {
            return;
        };
        let (state, message) = match look {
            Look::Unchanged => (record.state, record.message.clone()),
            Look::Delayed(why) => (record.state, why),
            Look::Committed(commit) => {
                record.commit = commit.or(record.commit.take());
                (UpgradeState::RollingOut, String::new())
            }
            Look::Proposed(number) => {
                record.pull_request = i64::try_from(number).ok();
                let message = format!("it waits for pull request {number}");
                (UpgradeState::Proposed, message)
            }
            Look::RollingOut(why) => (UpgradeState::RollingOut, why),
            Look::Running => (UpgradeState::Done, String::new()),
            Look::Left(why) => (UpgradeState::Left, why),
            Look::Failed(why) => (UpgradeState::Failed, why),
        };
        if state != record.state || record.since.is_none() {
            record.since = Some(self.now.clone());
        }
        record.state = state;
        record.message = message;
        let waited = record
            .since
            .as_deref()
            .map_or(0, |since| seconds(since, &self.now));
        if state == UpgradeState::RollingOut && waited > self.timeout_seconds {
            record.state = UpgradeState::Failed;
            record.since = Some(self.now.clone());
            record.message = match record.message.as_str() {
                "" => format!("it does not run after {waited} seconds"),
                why => format!("it does not run after {waited} seconds: {why}"),
            };
        }
    }

    /// The Application whose turn it is, if it is one's.
    pub fn next_turn(&self) -> Option<Place> {
        match self.step() {
            Step::Begin { wave, members } => Some((wave, *members.first()?)),
            Step::Wait { .. } | Step::Stop { .. } | Step::Cancel | Step::Complete => None,
        }
    }

    /// What is next.
    fn step(&self) -> Step {
        let wave = |members: &Vec<(UpgradeMember, UpgradedApplication)>| -> Vec<Progress> {
            let records = members.iter();
            records.map(|(_, record)| progress(record.state)).collect()
        };
        let waves: Vec<Vec<Progress>> = self.waves.iter().map(wave).collect();
        let orders = Orders {
            is_cancelled: self.is_cancelled,
            is_stopped: self.stopped_attempt.is_some(),
        };
        next_step(&waves, orders)
    }

    /// Notes a stop, which lasts until somebody asks for another attempt.
    pub fn settle(&mut self) {
        if let Step::Stop { .. } = self.step() {
            self.stopped_attempt = Some(self.attempt);
        }
    }

    /// The status, and the condition that sums it up.
    pub fn told(&self) -> (FleetUpgradeStatus, Observation) {
        let step = self.step();
        let count = self.waves.len();
        let (phase, wave, observed) = match &step {
            Step::Begin { wave, .. } | Step::Wait { wave } => {
                let delay = self.delay().unwrap_or_default();
                let message = format!("wave {} of {count} goes on{delay}", wave + 1);
                let observed = Observation::unknown(COMPLETED, "Progressing", message);
                (UpgradePhase::Progressing, Some(*wave), observed)
            }
            Step::Stop { wave } => {
                let message = format!("wave {} of {count}: {}", wave + 1, self.failures());
                let observed = Observation::fails(COMPLETED, "Stopped", message);
                (UpgradePhase::Stopped, Some(*wave), observed)
            }
            Step::Cancel => {
                let observed = Observation::fails(COMPLETED, "Cancelled", self.left_waiting());
                (UpgradePhase::Cancelled, None, observed)
            }
            Step::Complete => {
                let message = "every Application runs at the version, or was left alone";
                let observed = Observation::holds(COMPLETED, "Completed", message);
                (UpgradePhase::Completed, None, observed)
            }
        };
        let records = self.waves.iter().flatten();
        let status = FleetUpgradeStatus {
            observed_generation: None,
            phase: Some(phase),
            wave: wave.and_then(|wave| i32::try_from(wave + 1).ok()),
            stopped_attempt: self.stopped_attempt,
            applications: records.map(|(_, record)| record.clone()).collect(),
            conditions: Vec::new(),
        };
        (status, observed)
    }

    /// Whose turn could not be had yet, and why.
    fn delay(&self) -> Option<String> {
        let mut records = self.waves.iter().flatten().map(|(_, record)| record);
        let delayed = records
            .find(|record| record.state == UpgradeState::Waiting && !record.message.is_empty())?;
        Some(format!(
            "; {} in {} is tried again: {}",
            delayed.application, delayed.environment, delayed.message
        ))
    }

    /// What failed, in a sentence.
    fn failures(&self) -> String {
        let records = self.waves.iter().flatten().map(|(_, record)| record);
        let failed: Vec<String> = records
            .filter(|record| record.state == UpgradeState::Failed)
            .map(|it| format!("{} in {}: {}", it.application, it.environment, it.message))
            .collect();
        let more = failed.len().saturating_sub(MOST_TOLD);
        let told: Vec<String> = failed.into_iter().take(MOST_TOLD).collect();
        match (told.is_empty(), more) {
            // What had failed is no part of it any more.
            (true, _) => "something failed before; resume to go on".to_owned(),
            (false, 0) => told.join("; "),
            (false, more) => format!("{}; and {more} more", told.join("; ")),
        }
    }

    fn left_waiting(&self) -> String {
        let records = || self.waves.iter().flatten().map(|(_, record)| record.state);
        let never = records().filter(|it| *it == UpgradeState::Waiting).count();
        let proposed = records().filter(|it| *it == UpgradeState::Proposed).count();
        match proposed {
            0 => format!("somebody cancelled it; {never} were not begun"),
            _ => format!(
                "somebody cancelled it; {never} were not begun, and {proposed} have a pull request that is still open"
            ),
        }
    }
}

fn is_under_way(state: UpgradeState) -> bool {
    matches!(state, UpgradeState::Proposed | UpgradeState::RollingOut)
}

fn progress(state: UpgradeState) -> Progress {
    match state {
        UpgradeState::Waiting => Progress::Waiting,
        UpgradeState::Proposed => Progress::Proposed,
        UpgradeState::RollingOut => Progress::RollingOut,
        UpgradeState::Done => Progress::Done,
        UpgradeState::Left => Progress::Left,
        UpgradeState::Failed => Progress::Failed,
    }
}

/// Seconds between two RFC 3339 times; none where one cannot be read.
fn seconds(from: &str, to: &str) -> i64 {
    let read = |text: &str| text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    match (read(from), read(to)) {
        (Some(from), Some(to)) => to - from,
        _ => 0,
    }
}

/// How the rollout of a version goes that began `since`, by an Application as its
/// Environment's vclusters have it: as in the one of them where it goes worst.
pub fn seen(objects: &[Option<Value>], version: &str, since: &str) -> Look {
    let mut looks: Vec<Look> = objects
        .iter()
        .map(|object| seen_in_one(object.as_ref(), version, since))
        .collect();
    if looks.is_empty() {
        return Look::RollingOut("its Environment has no vcluster yet".to_owned());
    }
    let worst = looks
        .iter()
        .position(|look| matches!(look, Look::Failed(_)))
        .or_else(|| looks.iter().position(|look| matches!(look, Look::Left(_))))
        .or_else(|| looks.iter().position(|look| *look != Look::Running));
    match worst {
        Some(position) => looks.swap_remove(position),
        None => Look::Running,
    }
}

fn seen_in_one(object: Option<&Value>, version: &str, since: &str) -> Look {
    let Some(object) = object else {
        return Look::RollingOut("it is not in its vcluster".to_owned());
    };
    if text(object, "/spec/blueprint/version") != version {
        return Look::RollingOut("Flux has not applied the version yet".to_owned());
    }
    let observed = object.pointer("/status/observedGeneration");
    if observed.and_then(Value::as_i64).unwrap_or(0) < generation(object) {
        return Look::RollingOut("the version is applied, and not looked at yet".to_owned());
    }
    let said = condition(object, "Ready").map_or("", |ready| text(ready, "/message"));
    let told = |word: &str| match said {
        "" => format!("it is {word}"),
        said => format!("it is {word}: {said}"),
    };
    match text(object, "/status/phase") {
        "Running" => Look::Running,
        "Failed" => Look::Failed(told("Failed")),
        "Paused" => Look::Failed("it is paused; resume it, then this".to_owned()),
        "Deleting" => Look::Left("it is being deleted".to_owned()),
        "" => Look::RollingOut("nothing is known of it yet".to_owned()),
        phase => match version_failure(object, since) {
            Some(why) => Look::Failed(format!(
                "its release at the version failed, and what ran before runs: {why}"
            )),
            None => Look::RollingOut(told(phase)),
        },
    }
}

/// Why the version failed, which no waiting helps. What had failed before the rollout
/// began is what somebody resumed it after: that may be mended, and not seen yet.
fn version_failure<'a>(object: &'a Value, since: &str) -> Option<&'a str> {
    let released = condition(object, RELEASED)?;
    let failed = text(released, "/lastTransitionTime");
    let is_new = seconds(since, failed) > 0;
    (is_new && text(released, "/reason") == VERSION_FAILED).then(|| text(released, "/message"))
}
