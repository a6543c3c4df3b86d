//! An Application's phase and conditions, from what was observed just now.
//!
//! Pure. Nothing is remembered between two calls: the same observations give the
//! same phase, so a phase can never be stuck.

use std::collections::BTreeMap;

use catalyst_resources::Phase;
use serde_json::Value;

use super::pods::{Problem, pod_problem};
use crate::conditions::Observation;
use crate::object::{array, condition, generation, is_deleting, name, text};

/// The condition that sums up all others.
pub const READY: &str = "Ready";
/// Whether the Blueprint is admitted and the Application could be expanded.
pub const EXPANDED: &str = "Expanded";
/// Whether the objects of the expansion stand in the vcluster.
pub const APPLIED: &str = "Applied";
/// What Flux says of the release.
pub const RELEASED: &str = "Released";
/// Whether its pods run.
pub const HEALTHY: &str = "Healthy";

/// The reason of one whose namespace an earlier Application has not left yet.
const HELD: &str = "NamespaceTerminating";

/// What was seen of an Application.
#[derive(Debug, Default)]
pub struct Observed<'a> {
    /// The Application itself.
    pub application: Option<&'a Value>,
    /// Why it could not be expanded: reason and message.
    pub not_expanded: Option<(String, String)>,
    /// What has to go before anything of it is applied.
    pub held: Option<String>,
    /// Objects that could not be applied, with the cause.
    pub not_applied: Vec<String>,
    /// Its OCIRepository.
    pub source: Option<&'a Value>,
    /// Its HelmRelease or Kustomization.
    pub release: Option<&'a Value>,
    /// Its pods.
    pub pods: &'a [Value],
    /// Pod name → last lines of the container that failed.
    pub logs: BTreeMap<String, String>,
}

/// The phase with the conditions that explain it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// In one word.
    pub phase: Phase,
    /// The causes, [`READY`] first.
    pub conditions: Vec<Observation>,
}

/// Computes phase and conditions.
pub fn phase(observed: &Observed<'_>) -> Verdict {
    let application = observed.application.unwrap_or(&Value::Null);
    let mut conditions = Vec::new();
    let expanded = match &observed.not_expanded {
        Some((reason, message)) => Observation::fails(EXPANDED, reason, message.clone()),
        None => Observation::holds(
            EXPANDED,
            "Expanded",
            "the Blueprint is admitted and the Application is expanded",
        ),
    };
    let applied = if let Some(why) = &observed.held {
        Observation::fails(APPLIED, HELD, why.clone())
    } else if observed.not_applied.is_empty() {
        Observation::holds(
            APPLIED,
            "Applied",
            "every object of the Application stands in the vcluster",
        )
    } else {
        Observation::fails(APPLIED, "NotApplied", observed.not_applied.join("; "))
    };
    let released = released(observed.release);
    let problems = problems(observed);
    let healthy = healthy(observed, &problems);
    let (phase, ready) = decide(application, observed, &problems, &released);
    conditions.push(ready);
    conditions.push(expanded);
    conditions.push(applied);
    conditions.extend(released.condition);
    conditions.push(healthy);
    Verdict { phase, conditions }
}

/// What Flux says of a release, sorted by what it means for users.
struct Released {
    state: State,
    was_deployed: bool,
    reason: String,
    message: String,
    condition: Option<Observation>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Flux has not come to a verdict on the current generation.
    Working,
    /// It waits for something else: a dependency, the artifact.
    Waiting,
    /// As wanted.
    Done,
    /// It tried, and failed.
    Failed,
}

fn released(release: Option<&Value>) -> Released {
    let Some(release) = release else {
        return Released {
            state: State::Working,
            was_deployed: false,
            reason: "Progressing".to_owned(),
            message: "its release is being made".to_owned(),
            condition: None,
        };
    };
    let was_deployed = array(release, "/status/history")
        .iter()
        .any(|one| matches!(text(one, "/status"), "deployed" | "superseded"))
        || !text(release, "/status/lastAppliedRevision").is_empty();
    let observed = release
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let ready = condition(release, "Ready");
    let reason = ready.map(|one| text(one, "/reason")).unwrap_or_default();
    let said = ready.map(|one| text(one, "/message")).unwrap_or_default();
    let state = match ready.map(|one| text(one, "/status")) {
        _ if observed < generation(release) => State::Working,
        Some("True") => State::Done,
        Some("False") => match reason {
            "DependencyNotReady" | "ArtifactFailed" | "SourceNotReady" | "HelmChartNotReady" => {
                State::Waiting
            }
            "Progressing" | "ProgressingWithRetry" => State::Working,
            _ => State::Failed,
        },
        _ => State::Working,
    };
    let message = match (state, said.is_empty()) {
        (_, false) => said.to_owned(),
        (State::Working, true) => "Flux is rolling it out".to_owned(),
        (_, true) => reason.to_owned(),
    };
    let word = if reason.is_empty() {
        "Progressing"
    } else {
        reason
    };
    let condition = Some(match state {
        State::Done => Observation::holds(RELEASED, word, message.clone()),
        State::Failed => Observation::fails(RELEASED, word, message.clone()),
        State::Working | State::Waiting => Observation::unknown(RELEASED, word, message.clone()),
    });
    Released {
        state,
        was_deployed,
        reason: word.to_owned(),
        message,
        condition,
    }
}

fn problems(observed: &Observed<'_>) -> Vec<Problem> {
    observed
        .pods
        .iter()
        .filter_map(|pod| {
            let mut problem = pod_problem(pod)?;
            if let Some(lines) = observed.logs.get(name(pod))
                && !lines.is_empty()
            {
                problem.message = format!("{}; its last lines:\n{lines}", problem.message);
            }
            Some(problem)
        })
        .collect()
}

fn healthy(observed: &Observed<'_>, problems: &[Problem]) -> Observation {
    match problems.first() {
        Some(first) => Observation::fails(HEALTHY, first.reason, join(problems)),
        None if observed.pods.is_empty() => {
            Observation::unknown(HEALTHY, "NoPods", "it has no pods")
        }
        None => Observation::holds(HEALTHY, "Healthy", "its pods run"),
    }
}

fn join(problems: &[Problem]) -> String {
    let messages: Vec<&str> = problems
        .iter()
        .take(3)
        .map(|problem| problem.message.as_str())
        .collect();
    messages.join("\n")
}

fn decide(
    application: &Value,
    observed: &Observed<'_>,
    problems: &[Problem],
    released: &Released,
) -> (Phase, Observation) {
    let not_ready = |phase: Phase, reason: &str, message: String| {
        (phase, Observation::fails(READY, reason, message))
    };
    let underway = |reason: &str, message: String| {
        let phase = if released.was_deployed {
            Phase::Updating
        } else {
            Phase::Installing
        };
        (phase, Observation::unknown(READY, reason, message))
    };
    // Not running and not coming, or running as before and not as wanted.
    let failed = if released.was_deployed {
        Phase::Degraded
    } else {
        Phase::Failed
    };
    if is_deleting(application) || application.pointer("/spec/deletion").is_some() {
        return not_ready(
            Phase::Deleting,
            "Deleting",
            "it is being deleted".to_owned(),
        );
    }
    if let Some((reason, message)) = &observed.not_expanded {
        return not_ready(failed, reason, message.clone());
    }
    if application.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return not_ready(
            Phase::Paused,
            "Paused",
            "reconciling is paused; set spec.paused to false to go on".to_owned(),
        );
    }
    if let Some(why) = &observed.held {
        return underway(HELD, why.clone());
    }
    if !observed.not_applied.is_empty() {
        return not_ready(failed, "NotApplied", observed.not_applied.join("; "));
    }
    if let Some(source) = observed
        .source
        .and_then(|source| condition(source, "Ready"))
        && text(source, "/status") == "False"
        && (released.state != State::Working || text(source, "/reason") == "VerificationError")
    {
        let message = format!("its artifact cannot be used: {}", text(source, "/message"));
        return not_ready(failed, text(source, "/reason"), message);
    }
    let lasting = problems.iter().find(|problem| problem.is_lasting);
    match released.state {
        State::Failed => {
            let message = if problems.is_empty() {
                released.message.clone()
            } else {
                format!("{}\n{}", released.message, join(problems))
            };
            not_ready(failed, &released.reason, message)
        }
        State::Waiting => underway(&released.reason, released.message.clone()),
        State::Working | State::Done if lasting.is_some() => {
            let reason = lasting.map_or("Unhealthy", |problem| problem.reason);
            not_ready(failed, reason, join(problems))
        }
        State::Working if problems.is_empty() => {
            underway(&released.reason, released.message.clone())
        }
        State::Working => underway(&released.reason, join(problems)),
        State::Done => match problems.first() {
            Some(first) => not_ready(Phase::Degraded, first.reason, join(problems)),
            None => (
                Phase::Running,
                Observation::holds(READY, "Running", released.message.clone()),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release(ready: (&str, &str, &str), deployed: bool) -> Value {
        let history = if deployed {
            json!([{"status": "deployed", "chartVersion": "1.0.0"}])
        } else {
            json!([])
        };
        json!({
            "metadata": {"name": "guestbook", "generation": 1},
            "status": {
                "observedGeneration": 1, "history": history,
                "conditions": [{"type": "Ready", "status": ready.0, "reason": ready.1, "message": ready.2}],
            },
        })
    }

    fn source(status: &str, reason: &str, message: &str) -> Value {
        json!({"status": {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message}]}})
    }

    fn running() -> Value {
        json!({
            "metadata": {"name": "guestbook-0"},
            "status": {"phase": "Running", "containerStatuses": [{"name": "web", "ready": true, "state": {"running": {}}}]},
        })
    }

    fn crashing(restarts: i64) -> Value {
        json!({
            "metadata": {"name": "guestbook-0"},
            "status": {"phase": "Running", "containerStatuses": [{
                "name": "web", "ready": false, "restartCount": restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
            }]},
        })
    }

    fn no_image() -> Value {
        json!({
            "metadata": {"name": "guestbook-0"},
            "status": {"phase": "Pending", "containerStatuses": [{
                "name": "web", "image": "registry/x:1", "ready": false,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "registry/x:1 does not exist"}},
            }]},
        })
    }

    #[test]
    fn phases_by_what_is_observed() {
        let app = json!({"metadata": {"generation": 1}, "spec": {}});
        let paused = json!({"metadata": {"generation": 1}, "spec": {"paused": true}});
        let deleting =
            json!({"metadata": {"generation": 1}, "spec": {"deletion": {"data": "keep"}}});
        let verified = source("True", "Succeeded", "stored");
        let unverified = source("False", "VerificationError", "no matching signatures");
        let installed = release(("True", "InstallSucceeded", "install succeeded"), true);
        let installing = release(("Unknown", "Progressing", "running install"), false);
        let upgrading = release(("Unknown", "Progressing", "running upgrade"), true);
        let waiting = release(
            (
                "False",
                "DependencyNotReady",
                "dependency 'acme-dev/db' is not ready",
            ),
            false,
        );
        let install_failed = release(("False", "InstallFailed", "timed out"), false);
        let upgrade_failed = release(("False", "UpgradeFailed", "bad values"), true);
        let mut stale_generation = installed.clone();
        stale_generation["metadata"]["generation"] = json!(2);
        let none: &[Value] = &[];
        let fine = [running()];
        let crash_once = [crashing(1)];
        let crash_often = [crashing(5)];
        let image = [no_image()];
        type Case<'a> = (
            &'a str,
            &'a Value,
            Option<&'a Value>,
            Option<&'a Value>,
            &'a [Value],
            Phase,
            &'a str,
            &'a str,
        );
        let cases: &[Case<'_>] = &[
            (
                "just committed",
                &app,
                None,
                None,
                none,
                Phase::Installing,
                "Progressing",
                "release",
            ),
            (
                "installing",
                &app,
                Some(&verified),
                Some(&installing),
                none,
                Phase::Installing,
                "Progressing",
                "running install",
            ),
            (
                "waits for its database",
                &app,
                Some(&verified),
                Some(&waiting),
                none,
                Phase::Installing,
                "DependencyNotReady",
                "acme-dev/db",
            ),
            (
                "installed",
                &app,
                Some(&verified),
                Some(&installed),
                &fine,
                Phase::Running,
                "Running",
                "install succeeded",
            ),
            (
                "new generation",
                &app,
                Some(&verified),
                Some(&stale_generation),
                &fine,
                Phase::Updating,
                "InstallSucceeded",
                "install",
            ),
            (
                "upgrading",
                &app,
                Some(&verified),
                Some(&upgrading),
                &fine,
                Phase::Updating,
                "Progressing",
                "running upgrade",
            ),
            (
                "install failed",
                &app,
                Some(&verified),
                Some(&install_failed),
                none,
                Phase::Failed,
                "InstallFailed",
                "timed out",
            ),
            (
                "upgrade failed, the old version runs",
                &app,
                Some(&verified),
                Some(&upgrade_failed),
                &fine,
                Phase::Degraded,
                "UpgradeFailed",
                "bad values",
            ),
            (
                "not signed",
                &app,
                Some(&unverified),
                None,
                none,
                Phase::Failed,
                "VerificationError",
                "no matching signatures",
            ),
            (
                "crashed once while installing",
                &app,
                Some(&verified),
                Some(&installing),
                &crash_once,
                Phase::Installing,
                "Progressing",
                "exit code 3",
            ),
            (
                "crashes again and again",
                &app,
                Some(&verified),
                Some(&installing),
                &crash_often,
                Phase::Failed,
                "CrashLoop",
                "exit code 3",
            ),
            (
                "crashes after it ran",
                &app,
                Some(&verified),
                Some(&installed),
                &crash_once,
                Phase::Degraded,
                "CrashLoop",
                "exit code 3",
            ),
            (
                "image does not exist",
                &app,
                Some(&verified),
                Some(&installing),
                &image,
                Phase::Failed,
                "ImageNotPulled",
                "registry/x:1 does not exist",
            ),
            (
                "paused",
                &paused,
                Some(&verified),
                Some(&installed),
                &fine,
                Phase::Paused,
                "Paused",
                "spec.paused",
            ),
            (
                "deleting",
                &deleting,
                Some(&verified),
                Some(&installed),
                &fine,
                Phase::Deleting,
                "Deleting",
                "deleted",
            ),
        ];
        for (what, application, source, release, pods, expected, reason, part) in cases {
            let verdict = phase(&Observed {
                application: Some(*application),
                source: *source,
                release: *release,
                pods,
                ..Observed::default()
            });
            assert_eq!(verdict.phase, *expected, "{what}");
            let ready = &verdict.conditions[0];
            assert_eq!(
                (ready.kind, ready.reason.as_str()),
                (READY, *reason),
                "{what}"
            );
            assert!(ready.message.contains(part), "{what}: {}", ready.message);
        }
    }

    #[test]
    fn the_last_lines_of_a_crashed_container_are_in_the_message() {
        let app = json!({"metadata": {"generation": 1}, "spec": {}});
        let installing = release(("Unknown", "Progressing", "running install"), false);
        let verdict = phase(&Observed {
            application: Some(&app),
            release: Some(&installing),
            pods: &[crashing(4)],
            logs: BTreeMap::from([(
                "guestbook-0".to_owned(),
                "no such table: entries".to_owned(),
            )]),
            ..Observed::default()
        });
        assert!(
            verdict.conditions[0]
                .message
                .ends_with("its last lines:\nno such table: entries")
        );
    }

    #[test]
    fn what_cannot_be_expanded_says_why_and_leaves_a_running_one_degraded() {
        let app = json!({"metadata": {"generation": 2}, "spec": {}});
        let installed = release(("True", "UpgradeSucceeded", "done"), true);
        for (release, expected) in [(None, Phase::Failed), (Some(&installed), Phase::Degraded)] {
            let verdict = phase(&Observed {
                application: Some(&app),
                not_expanded: Some(("BlueprintNotFound".to_owned(), "no such version".to_owned())),
                release,
                ..Observed::default()
            });
            assert_eq!(verdict.phase, expected);
            assert_eq!(verdict.conditions[0].reason, "BlueprintNotFound");
            assert_eq!(verdict.conditions[0].message, "no such version");
        }
    }

    #[test]
    fn one_that_waits_for_its_namespace_is_on_its_way() {
        let app = json!({"metadata": {"generation": 1}, "spec": {}});
        let verdict = phase(&Observed {
            application: Some(&app),
            held: Some("it waits for the namespace db".to_owned()),
            ..Observed::default()
        });
        assert_eq!(verdict.phase, Phase::Installing);
        let said: Vec<_> = verdict
            .conditions
            .iter()
            .map(|one| (one.kind, one.reason.as_str()))
            .collect();
        assert!(said.contains(&(READY, HELD)), "{said:?}");
        assert!(said.contains(&(APPLIED, HELD)), "{said:?}");
    }
}
