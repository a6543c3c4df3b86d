//! The logs of an Application's pods, as text or as one JSON object a line.
//!
//! Read through the Kubernetes API of the Environment's vclusters. An Application's
//! pods are those in its namespace, which no other has: what labels they bear is up to
//! its chart. In a text of several containers each line begins with `pod/container `.
//! Of a container that waits to start again the last run's lines are read, and a line
//! of its own says that it waits. One that comes before the others (an init container)
//! is read like them until it has done what it is for. What must stay true: following ends when the reader
//! goes, and within seconds when the reader loses the right to read; no line comes
//! twice; nothing is read ahead of a slow reader by more than a few lines.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use catalyst_api::{ApplicationView, EnvironmentView, LogLine};
use futures::{AsyncBufReadExt as _, AsyncReadExt as _, StreamExt as _};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams, LogParams};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Gateway;
use crate::caller::Caller;
use crate::problem::Refusal;
use crate::routes::applications::LogQuery;
use crate::stream::LOOK_AGAIN;

/// Lines of the past, if the caller does not say.
const TAIL: u32 = 200;
/// The most lines of the past.
const MOST: u32 = 100_000;
/// Longer lines are cut into pieces.
const LONGEST_LINE: u64 = 64 * 1024;
/// Lines that wait for a slow reader.
const AHEAD: usize = 64;
/// Of so many containers that are gone it is known how far they were read: one of a
/// StatefulSet comes back by its name.
const MOST_GONE: usize = 64;

/// How a container begins to say that others come before it.
const WAITS_FOR_ANOTHER: &str = "PodInitializing";

/// A container whose log is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Target {
    vcluster: usize,
    pod: String,
    container: String,
}

/// How far a container has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    /// It runs or has run, and so has a log.
    Begun,
    /// It has run, waits to start again, and why. `run` tells its last run from others.
    WaitsAgain { run: String, why: String },
    /// It has not started, and why.
    Waits(String),
    /// It came before the others and did what it is for: read by its name only.
    Over,
}

type Targets = BTreeMap<Target, Progress>;

/// What is being read (`None`), or has been read up to a time.
type Known = HashMap<Target, Option<Timestamp>>;

/// Answers with the log, or follows it.
pub async fn answer(
    gateway: &Gateway,
    caller: Caller,
    environment: &EnvironmentView,
    application: &ApplicationView,
    query: LogQuery,
) -> Result<Response, Refusal> {
    let name = format!("{}/{}", environment.name, application.summary.name);
    let logs = Logs {
        vclusters: vclusters(gateway, environment, application).await?,
        organization: environment.organization.clone(),
        container: query.container,
        tail: query.tail.unwrap_or(TAIL).min(MOST),
        follow: query.follow.unwrap_or(false),
        json: query.json.unwrap_or(false),
    };
    let targets = logs.targets().await.map_err(|error| {
        tracing::warn!(%error, application = name, "pods not listed");
        Refusal::unavailable(
            format!("Read the log of {name}"),
            "The Environment's vcluster does not answer.",
        )
    })?;
    logs.require_container(&name, &targets)?;
    logs.require_begun(&name, &targets)?;
    let content_type = match logs.json {
        true => "application/x-ndjson",
        false => "text/plain; charset=utf-8",
    };
    let (lines, received) = mpsc::channel(AHEAD);
    if logs.follow {
        tokio::spawn(follow(logs, gateway.clone(), caller, targets, lines));
    } else {
        tokio::spawn(past(logs, targets, lines));
    }
    let stream = futures::stream::unfold(received, |mut received| async move {
        let line: Bytes = received.recv().await?;
        Some((line, received))
    });
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")];
    let body = Body::from_stream(stream.map(Ok::<_, Infallible>));
    Ok((headers, body).into_response())
}

/// The pods' clients, one a vcluster that is there.
async fn vclusters(
    gateway: &Gateway,
    environment: &EnvironmentView,
    application: &ApplicationView,
) -> Result<Vec<Api<Pod>>, Refusal> {
    let suffix = format!("-{}", environment.organization);
    let mut found = Vec::new();
    // Before it has a place; to list pods of no namespace could be to list all.
    if application.namespace.is_empty() {
        return Ok(found);
    }
    for qualified in &environment.vclusters {
        let Some(host) = qualified.strip_suffix(&suffix) else {
            continue;
        };
        let client = gateway
            .clusters()
            .vcluster(host, &environment.organization)
            .await
            .map_err(|error| {
                tracing::warn!(%error, vcluster = qualified, "vcluster not reached");
                Refusal::unavailable(
                    format!("Reach the vcluster {qualified}"),
                    "The vcluster does not answer.",
                )
            })?;
        if let Some(client) = client {
            found.push(Api::namespaced(client, &application.namespace));
        }
    }
    Ok(found)
}

/// What is read, and how.
struct Logs {
    vclusters: Vec<Api<Pod>>,
    organization: String,
    container: Option<String>,
    tail: u32,
    follow: bool,
    json: bool,
}

/// How lines are written.
#[derive(Clone)]
enum Form {
    /// As they are; with several containers each says whose it is.
    Text { is_several: Arc<AtomicBool> },
    /// An object each.
    Objects,
}

impl Form {
    /// The form that is asked for, and what tells it of several containers.
    fn of(logs: &Logs) -> (Self, Arc<AtomicBool>) {
        let is_several = Arc::new(AtomicBool::new(false));
        let form = match logs.json {
            true => Self::Objects,
            false => Self::Text {
                is_several: Arc::clone(&is_several),
            },
        };
        (form, is_several)
    }

    /// A line as text, with whose it is where there are several.
    fn text(&self, target: &Target, line: &[u8]) -> Vec<u8> {
        match self {
            Self::Text { is_several } if is_several.load(Ordering::Relaxed) => {
                let prefix = format!("{}/{} ", target.pod, target.container);
                [prefix.as_bytes(), line].concat()
            }
            _ => line.to_vec(),
        }
    }
}

impl Logs {
    /// All containers there are, with how far each has come.
    async fn targets(&self) -> Result<Targets, kube::Error> {
        let mut targets = BTreeMap::new();
        for (vcluster, api) in self.vclusters.iter().enumerate() {
            for pod in api.list(&ListParams::default()).await? {
                let Some(name) = pod.metadata.name.clone() else {
                    continue;
                };
                for (container, progress) in containers(&pod) {
                    let target = Target {
                        vcluster,
                        pod: name.clone(),
                        container,
                    };
                    targets.insert(target, progress);
                }
            }
        }
        Ok(targets)
    }

    /// Whether the log of a container is asked for: the one that was named, or each
    /// that runs, should run, or holds the others up.
    fn wants(&self, target: &Target, progress: &Progress) -> bool {
        match &self.container {
            Some(container) => *container == target.container,
            None => *progress != Progress::Over,
        }
    }

    fn wanted<'a>(&self, targets: &'a Targets) -> Vec<(&'a Target, &'a Progress)> {
        let all = targets.iter();
        all.filter(|(target, progress)| self.wants(target, progress))
            .collect()
    }

    /// Refuses a container that no pod has; without pods nobody can tell.
    fn require_container(&self, name: &str, targets: &Targets) -> Result<(), Refusal> {
        let Some(container) = &self.container else {
            return Ok(());
        };
        if targets.is_empty() || !self.wanted(targets).is_empty() {
            return Ok(());
        }
        let mut known: Vec<&str> = targets
            .keys()
            .map(|target| target.container.as_str())
            .collect();
        known.sort_unstable();
        known.dedup();
        Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("Read the log of the container {container} of {name}"),
            "No pod of the Application has such a container.",
        )
        .next(format!("Choose one of: {}.", known.join(", "))))
    }

    /// Refuses a log that has not begun, with the reason; one that is followed begins
    /// when its container does.
    fn require_begun(&self, name: &str, targets: &Targets) -> Result<(), Refusal> {
        let mut waiting = Vec::new();
        for (target, progress) in self.wanted(targets) {
            match progress {
                Progress::Begun | Progress::WaitsAgain { .. } | Progress::Over => return Ok(()),
                Progress::Waits(why) => waiting.push((target, why)),
            }
        }
        // One that waits for another knows nothing of the cause.
        let cause = waiting
            .iter()
            .find(|(_, why)| !why.starts_with(WAITS_FOR_ANOTHER));
        match cause.or(waiting.first()) {
            Some((target, why)) if !self.follow => Err(Refusal::new(
                StatusCode::CONFLICT,
                "not-started",
                format!("Read the log of {name}"),
                format!(
                    "The container {} in the pod {} has not started: {why}.",
                    target.container, target.pod
                ),
            )
            .next("Read it again once it has started, or follow it: it begins when the container does.")),
            _ => Ok(()),
        }
    }
}

/// A pod's containers in order, those that come before the others first, and how far
/// each has come.
fn containers(pod: &Pod) -> Vec<(String, Progress)> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let status = pod.status.as_ref();
    let of = |name: &str, known: Option<&Vec<ContainerStatus>>| {
        let known = known.into_iter().flatten().find(|it| it.name == name);
        let progress = progress(known);
        let state = known.and_then(|known| known.state.as_ref());
        let ended = state.and_then(|state| state.terminated.as_ref());
        (progress, ended.is_some_and(|ended| ended.exit_code == 0))
    };
    let before = spec.init_containers.iter().flatten().map(|container| {
        let known = status.and_then(|status| status.init_container_statuses.as_ref());
        let progress = match of(&container.name, known) {
            (_, true) => Progress::Over,
            (progress, false) => progress,
        };
        (container.name.clone(), progress)
    });
    let others = spec.containers.iter().map(|container| {
        let known = status.and_then(|status| status.container_statuses.as_ref());
        let (progress, _) = of(&container.name, known);
        (container.name.clone(), progress)
    });
    before.chain(others).collect()
}

fn progress(status: Option<&ContainerStatus>) -> Progress {
    let Some(status) = status else {
        return Progress::Waits("its pod has no place yet".to_owned());
    };
    let state = status.state.as_ref();
    let is_there = state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    if is_there {
        return Progress::Begun;
    }
    if status.restart_count > 0 {
        let last = status.last_state.as_ref();
        let ended = last.and_then(|state| state.terminated.as_ref());
        let at = ended.and_then(|ended| ended.finished_at.as_ref());
        let why = waiting.and_then(|waiting| waiting.reason.clone());
        return match why {
            Some(why) => Progress::WaitsAgain {
                // A pod of a StatefulSet that comes back counts from the start.
                run: format!("{} {at:?}", status.restart_count),
                why,
            },
            None => Progress::Begun,
        };
    }
    let said = waiting.map(|waiting| [waiting.reason.as_deref(), waiting.message.as_deref()]);
    let said: Vec<&str> = said.into_iter().flatten().flatten().collect();
    Progress::Waits(match said.as_slice() {
        [] => "no reason is given".to_owned(),
        said => said.join(": "),
    })
}

/// Writes what there is, one container after the other.
async fn past(logs: Logs, targets: Targets, lines: mpsc::Sender<Bytes>) {
    let wanted = logs.wanted(&targets);
    let (form, is_several) = Form::of(&logs);
    is_several.store(wanted.len() > 1, Ordering::Relaxed);
    for (target, progress) in wanted {
        let Some(api) = logs.vclusters.get(target.vcluster).cloned() else {
            continue;
        };
        let notice = match progress {
            Progress::Begun | Progress::Over => None,
            Progress::WaitsAgain { why, .. } => Some(waits_again(target, why)),
            Progress::Waits(_) => continue,
        };
        let reading = Reading {
            target: target.clone(),
            parameters: LogParams {
                container: Some(target.container.clone()),
                tail_lines: Some(logs.tail.into()),
                timestamps: logs.json,
                ..LogParams::default()
            },
            after: None,
            notice,
        };
        reading.copy(api, &form, &lines).await;
        if lines.is_closed() {
            return;
        }
    }
}

/// Writes what there is and what comes, of containers that come and go.
async fn follow(
    logs: Logs,
    gateway: Gateway,
    caller: Caller,
    mut targets: Targets,
    lines: mpsc::Sender<Bytes>,
) {
    let (form, is_several) = Form::of(&logs);
    let mut copies: JoinSet<(Target, Option<Timestamp>)> = JoinSet::new();
    let mut known = Known::new();
    // The runs after which it was said that a container waits.
    let mut told: HashMap<Target, String> = HashMap::new();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    looks.tick().await;
    loop {
        let wanted = logs.wanted(&targets);
        if wanted.len() > 1 {
            is_several.store(true, Ordering::Relaxed);
        }
        for (target, progress) in wanted {
            let Some(api) = logs.vclusters.get(target.vcluster) else {
                continue;
            };
            let since = known.get(target);
            if since == Some(&None) {
                continue;
            }
            let notice = match progress {
                Progress::Begun => None,
                // Read to its end; it begins no more.
                Progress::Over if since.is_some() => continue,
                Progress::Over => None,
                Progress::WaitsAgain { run, .. } if told.get(target) == Some(run) => continue,
                Progress::WaitsAgain { run, why } => {
                    told.insert(target.clone(), run.clone());
                    Some(waits_again(target, why))
                }
                Progress::Waits(_) => continue,
            };
            let since = since.copied().flatten();
            let reading = Reading {
                target: target.clone(),
                parameters: LogParams {
                    container: Some(target.container.clone()),
                    // What waits writes nothing; its next run is read when it begins.
                    follow: notice.is_none(),
                    tail_lines: since.is_none().then(|| logs.tail.into()),
                    // A kubelet is asked in whole seconds: what was read comes again.
                    since_time: since.and_then(|at| Timestamp::from_second(at.as_second()).ok()),
                    timestamps: true,
                    ..LogParams::default()
                },
                after: since,
                notice,
            };
            known.insert(target.clone(), None);
            let (api, form, lines) = (api.clone(), form.clone(), lines.clone());
            copies.spawn(async move {
                let last = reading.copy(api, &form, &lines).await;
                (reading.target, last.or(since))
            });
        }
        tokio::select! {
            () = lines.closed() => return,
            Some(ended) = copies.join_next() => {
                if let Ok((target, last)) = ended {
                    known.insert(target, Some(last.unwrap_or_else(Timestamp::now)));
                }
                continue;
            }
            _ = looks.tick() => {}
        }
        match gateway.caller(caller.credential.clone()).await {
            Ok(now) if now.can_read(&logs.organization) => {}
            _ => return,
        }
        match logs.targets().await {
            Ok(found) => {
                targets = found;
                forget_gone(&mut known, &targets);
                told.retain(|target, _| targets.contains_key(target));
            }
            Err(error) => tracing::debug!(%error, "pods not listed while following a log"),
        }
    }
}

/// Forgets what has been gone the longest, where much is: who follows for weeks sees
/// pods without end.
fn forget_gone(known: &mut Known, targets: &Targets) {
    let mut gone: Vec<(Timestamp, Target)> = known
        .iter()
        .filter(|(target, _)| !targets.contains_key(*target))
        .filter_map(|(target, until)| Some(((*until)?, target.clone())))
        .collect();
    gone.sort();
    let too_many = gone.len().saturating_sub(MOST_GONE);
    for (_, target) in gone.into_iter().take(too_many) {
        known.remove(&target);
    }
}

/// What is said of a container that has ended and is to start again.
fn waits_again(target: &Target, why: &str) -> String {
    format!(
        "(the container {} in the pod {} waits to start again: {why})",
        target.container, target.pod
    )
}

/// One container's log, from somewhere on.
struct Reading {
    target: Target,
    parameters: LogParams,
    /// Lines up to this time have been read.
    after: Option<Timestamp>,
    /// What is said of the container at the end.
    notice: Option<String>,
}

impl Reading {
    /// Copies the log line by line, then says what there is to say; the time of the
    /// last line, where lines come with times.
    async fn copy(
        &self,
        api: Api<Pod>,
        form: &Form,
        lines: &mpsc::Sender<Bytes>,
    ) -> Option<Timestamp> {
        let last = self.copy_lines(api, form, lines).await;
        if let Some(notice) = &self.notice {
            let said = match form {
                Form::Text { .. } => form.text(&self.target, notice.as_bytes()),
                Form::Objects => notice_object(&self.target, notice),
            };
            // A reader that went away is told nothing more.
            let _ = lines.send(ended(said)).await;
        }
        last
    }

    async fn copy_lines(
        &self,
        api: Api<Pod>,
        form: &Form,
        lines: &mpsc::Sender<Bytes>,
    ) -> Option<Timestamp> {
        let target = &self.target;
        let mut reader = match api.log_stream(&target.pod, &self.parameters).await {
            Ok(reader) => Box::pin(reader),
            Err(error) => {
                tracing::debug!(%error, pod = target.pod, "log not read");
                return None;
            }
        };
        let mut last = None;
        let mut time = None;
        let mut is_start = true;
        let mut is_old = false;
        loop {
            let mut line = Vec::new();
            let mut piece = (&mut reader).take(LONGEST_LINE);
            match piece.read_until(b'\n', &mut line).await {
                Ok(read) if read > 0 => {}
                _ => return last,
            }
            let is_end = line.last() == Some(&b'\n');
            if is_end {
                line.pop();
            }
            let stamp = match is_start && self.parameters.timestamps {
                true => stamp(&line),
                false => None,
            };
            if is_start {
                is_old = stamp.is_some_and(|(at, _)| self.after.is_some_and(|after| at <= after));
            }
            let written = match form {
                _ if is_old => None,
                Form::Text { .. } => {
                    let (_, text) = stamp.unzip();
                    Some(form.text(target, text.unwrap_or(&line)))
                }
                Form::Objects => Some(object(target, &line, is_start, &mut time)),
            };
            last = stamp.map(|(at, _)| at).or(last);
            is_start = is_end;
            if let Some(written) = written
                && lines.send(ended(written)).await.is_err()
            {
                return last;
            }
        }
    }
}

/// The time at a line's start, and what comes after it.
fn stamp(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let end = line.iter().position(|byte| *byte == b' ')?;
    let time = std::str::from_utf8(line.get(..end)?).ok()?;
    Some((time.parse().ok()?, line.get(end + 1..)?))
}

fn ended(mut line: Vec<u8>) -> Bytes {
    line.push(b'\n');
    line.into()
}

fn notice_object(target: &Target, notice: &str) -> Vec<u8> {
    let object = LogLine {
        time: None,
        pod: target.pod.clone(),
        container: target.container.clone(),
        line: notice.to_owned(),
        is_notice: true,
    };
    serde_json::to_vec(&object).unwrap_or_default()
}

/// A piece of a line as an object. At the line's start stands its time; a further
/// piece has that of the piece before, whatever it begins with.
fn object(target: &Target, line: &[u8], is_start: bool, time: &mut Option<String>) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let line = match text.split_once(' ') {
        Some((first, rest)) if is_start && first.parse::<Timestamp>().is_ok() => {
            *time = Some(first.to_owned());
            rest
        }
        _ => &*text,
    };
    let object = LogLine {
        time: time.clone(),
        pod: target.pod.clone(),
        container: target.container.clone(),
        line: line.to_owned(),
        is_notice: false,
    };
    serde_json::to_vec(&object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(pod: impl Into<String>) -> Target {
        Target {
            vcluster: 0,
            pod: pod.into(),
            container: "wiki".to_owned(),
        }
    }

    #[test]
    fn of_containers_that_are_gone_the_latest_are_known() {
        let (there, read) = (container("there"), container("read"));
        let targets = Targets::from([(there.clone(), Progress::Begun)]);
        let mut known = Known::from([
            (there.clone(), Some(Timestamp::UNIX_EPOCH)),
            (read.clone(), None),
        ]);
        let gone = 1..=2 * i64::try_from(MOST_GONE).unwrap();
        for second in gone.clone() {
            let until = Timestamp::from_second(second).unwrap();
            known.insert(container(format!("gone-{second}")), Some(until));
            forget_gone(&mut known, &targets);
        }
        assert_eq!(known.len(), 2 + MOST_GONE);
        // Neither what is there nor what is still read.
        assert!(known.contains_key(&there) && known.contains_key(&read));
        let newest = container(format!("gone-{}", gone.end()));
        assert!(known.contains_key(&newest) && !known.contains_key(&container("gone-1")));
    }

    #[test]
    fn only_the_start_of_a_line_says_its_time() {
        let target = container("wiki-0");
        let mut time = None;
        for (piece, is_start, said, left) in [
            (
                "2026-01-02T03:04:05Z one",
                true,
                "2026-01-02T03:04:05Z",
                "one",
            ),
            // The application's own words, though they look like a time.
            (
                "2020-02-02T02:02:02Z two",
                false,
                "2026-01-02T03:04:05Z",
                "2020-02-02T02:02:02Z two",
            ),
            (
                "2026-01-02T03:04:06Z three",
                true,
                "2026-01-02T03:04:06Z",
                "three",
            ),
        ] {
            let written = object(&target, piece.as_bytes(), is_start, &mut time);
            let written: Value = serde_json::from_slice(&written).unwrap();
            assert_eq!(written["time"], json!(said), "{piece}");
            assert_eq!(written["line"], json!(left), "{piece}");
        }
    }
}
