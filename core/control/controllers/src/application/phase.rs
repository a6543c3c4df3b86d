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
/// The reason of [`RELEASED`] where the version that is wanted was tried and failed, and
/// was undone or given up: what runs is what ran before. An Application may be Degraded
/// for many reasons; for this one no waiting for the version helps.
pub const VERSION_FAILED: &str = "VersionFailed";
/// Whether its pods run.
pub const HEALTHY: &str = "Healthy";

/// The reason of one whose namespace an earlier Application has not left yet.
const HELD: &str = "NamespaceTerminating";
/// What undid a failed attempt, as Flux says it: there only until the next one.
const REMEDIATED: &str = "Remediated";

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
    let released = released(
        observed.release,
        text(application, "/spec/blueprint/version"),
    );
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

fn released(release: Option<&Value>, version: &str) -> Released {
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
    let ready = condition(release, "Ready");
    let mut reason = ready.map(|one| text(one, "/reason")).unwrap_or_default();
    let said = ready.map(|one| text(one, "/message")).unwrap_or_default();
    let state = match ready.map(|one| text(one, "/status")) {
        _ if number(release, "/status/observedGeneration") < generation(release) => State::Working,
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
    let failure = failure(release);
    let mut message = match (state, said.is_empty()) {
        (_, false) => said.to_owned(),
        (State::Working, true) => "Flux is rolling it out".to_owned(),
        (_, true) => reason.to_owned(),
    };
    // That it was undone is no cause; why it had to be is.
    if let (State::Failed, Some(failure)) = (state, &failure)
        && condition(release, REMEDIATED).is_some_and(|it| text(it, "/reason") == reason)
    {
        reason = failure.reason;
        message.clone_from(&failure.message);
    }
    let given_up = failure.filter(|_| is_version_failed(release, version));
    if let (State::Working | State::Waiting, Some(failure)) = (state, &given_up) {
        message = format!("{message}; the attempt before failed: {}", failure.message);
    }
    let word = if reason.is_empty() {
        "Progressing"
    } else {
        reason
    };
    let condition = Some(match (state, given_up) {
        (State::Done, _) => Observation::holds(RELEASED, word, message.clone()),
        (_, Some(failure)) => Observation::fails(RELEASED, VERSION_FAILED, failure.message),
        (State::Failed, None) => Observation::fails(RELEASED, word, message.clone()),
        (State::Working | State::Waiting, None) => {
            Observation::unknown(RELEASED, word, message.clone())
        }
    });
    Released {
        state,
        was_deployed,
        reason: word.to_owned(),
        message,
        condition,
    }
}

/// Why the last attempt at a release failed, whatever was done about it since.
struct Failure<'a> {
    reason: &'a str,
    message: String,
}

fn failure(release: &Value) -> Option<Failure<'_>> {
    let failed = condition(release, "Released").filter(|it| text(it, "/status") == "False")?;
    let said = text(failed, "/message");
    let undone = condition(release, REMEDIATED);
    let message = match undone.filter(|it| text(it, "/status") == "False") {
        // What could not even be undone is worse.
        Some(undone) => format!("{said}; {}", text(undone, "/message")),
        None => said.to_owned(),
    };
    let is_told = !said.is_empty();
    is_told.then(|| Failure {
        reason: text(failed, "/reason"),
        message,
    })
}

/// Whether it is this version that Flux tried to upgrade to last, as its spec is now, and
/// that it undid or gave up. The failures are counted anew with every other version and
/// spec, while conditions stay until an attempt has come to something.
fn is_version_failed(release: &Value, version: &str) -> bool {
    // Flux tells artifacts of one version apart by what follows.
    let bare = |version: &str| version.split('+').next().map(str::to_owned);
    let is_undone = condition(release, REMEDIATED).is_some();
    let stalled = condition(release, "Stalled");
    let is_given_up = stalled.is_some_and(|it| text(it, "/status") == "True");
    bare(text(release, "/status/lastAttemptedRevision")) == bare(version)
        && number(release, "/status/lastAttemptedGeneration") == generation(release)
        && number(release, "/status/upgradeFailures") > 0
        && (is_undone || is_given_up)
}

/// A number; 0 where there is none.
fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
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

    /// A release at the version before, after an attempt at 1.1.0 of the chart that failed.
    fn failed_upgrade(ready: (&str, &str, &str), remediated: Option<(&str, &str)>) -> Value {
        let mut release = release(ready, true);
        let status = &mut release["status"];
        status["lastAttemptedRevision"] = json!("1.1.0+0123456789ab");
        status["lastAttemptedGeneration"] = json!(1);
        status["upgradeFailures"] = json!(1);
        let conditions = status["conditions"].as_array_mut().unwrap();
        conditions.push(json!({
            "type": "Released", "status": "False", "reason": "UpgradeFailed",
            "message": "Helm upgrade failed: spec.replicas: must be a number",
        }));
        if let Some((status, reason)) = remediated {
            conditions.push(json!({
                "type": "Remediated", "status": status, "reason": reason,
                "message": format!("Helm rollback: {reason}"),
            }));
        }
        release
    }

    /// What is said of it: phase, reason and message of Ready, then of Released.
    fn told(release: &Value, version: &str) -> (Phase, [String; 2], [String; 2]) {
        let app =
            json!({"metadata": {"generation": 1}, "spec": {"blueprint": {"version": version}}});
        let verdict = phase(&Observed {
            application: Some(&app),
            release: Some(release),
            pods: &[running()],
            ..Observed::default()
        });
        let of = |kind: &str| {
            let mut conditions = verdict.conditions.iter();
            let found = conditions.find(|it| it.kind == kind).unwrap();
            [found.reason.clone(), found.message.clone()]
        };
        (verdict.phase, of(READY), of(RELEASED))
    }

    #[test]
    fn an_upgrade_that_was_rolled_back_says_why_it_had_to_be() {
        let why = "Helm upgrade failed: spec.replicas: must be a number";
        let rolled_back = ("True", "RollbackSucceeded");
        let ready = ("False", "RollbackSucceeded", "Helm rollback succeeded");
        let release = failed_upgrade(ready, Some(rolled_back));
        let (phase, ready, released) = told(&release, "1.1.0");
        assert_eq!(phase, Phase::Degraded);
        assert_eq!(ready, ["UpgradeFailed", why]);
        assert_eq!(released, [VERSION_FAILED, why]);

        // While it is tried again, what is known stays known.
        let ready = ("Unknown", "Progressing", "running upgrade");
        let release = failed_upgrade(ready, Some(rolled_back));
        let (phase, ready, released) = told(&release, "1.1.0");
        assert_eq!(phase, Phase::Updating);
        let both = format!("running upgrade; the attempt before failed: {why}");
        assert_eq!(ready, ["Progressing", both.as_str()]);
        assert_eq!(released, [VERSION_FAILED, why]);

        let ready = ("False", "RollbackFailed", "no such revision");
        let release = failed_upgrade(ready, Some(("False", "RollbackFailed")));
        let (phase, ready, released) = told(&release, "1.1.0");
        let both = format!("{why}; Helm rollback: RollbackFailed");
        assert_eq!(phase, Phase::Degraded);
        assert_eq!(ready, ["UpgradeFailed", both.as_str()]);
        assert_eq!(released, [VERSION_FAILED, both.as_str()]);
    }

    #[test]
    fn a_version_has_failed_once_it_is_undone_or_given_up_and_not_before() {
        let why = ("False", "UpgradeFailed", "must be a number");
        let undone = failed_upgrade(why, Some(("True", "RollbackSucceeded")));
        let tried = failed_upgrade(why, None);
        let mut given_up = tried.clone();
        given_up["status"]["conditions"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "Stalled", "status": "True", "reason": "RetriesExceeded"}));
        // What it says is of a spec before; nothing was tried with this one.
        let mut changed = undone.clone();
        changed["metadata"]["generation"] = json!(2);
        // Another version is begun, and no attempt at it has come to anything.
        let mut begun = undone.clone();
        begun["status"]["lastAttemptedRevision"] = json!("1.2.0");
        begun["status"]["upgradeFailures"] = json!(0);
        for (what, release, version, expected) in [
            ("undone", &undone, "1.1.0", true),
            ("given up", &given_up, "1.1.0", true),
            ("it is tried again soon", &tried, "1.1.0", false),
            ("another is wanted by now", &undone, "1.2.0", false),
            ("another is tried", &begun, "1.2.0", false),
            ("its spec has changed", &changed, "1.1.0", false),
        ] {
            let (_, _, [reason, _]) = told(release, version);
            assert_eq!(reason == VERSION_FAILED, expected, "{what}: {reason}");
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
