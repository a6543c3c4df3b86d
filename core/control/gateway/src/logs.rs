//! The logs of an Application's pods, as text or as one JSON object a line.
//!
//! Read through the Kubernetes API of the Environment's vclusters, pods found by
//! the label `openova.io/application`. In a text of several containers each line
//! begins with `pod/container `. What must stay true: following ends when the reader
//! goes, and within seconds when the reader loses the right to read; nothing is
//! read ahead of a slow reader by more than a few lines.

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
const LABEL: &str = "openova.io/application";

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
    /// It has not started, and why.
    Waits(String),
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
        selector: format!("{LABEL}={}", application.summary.name),
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
    selector: String,
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
}

impl Logs {
    /// All containers there are, with how far each has come.
    async fn targets(&self) -> Result<Targets, kube::Error> {
        let mut targets = BTreeMap::new();
        let parameters = ListParams::default().labels(&self.selector);
        for (vcluster, api) in self.vclusters.iter().enumerate() {
            for pod in api.list(&parameters).await? {
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

    fn wants(&self, target: &Target) -> bool {
        self.container
            .as_ref()
            .is_none_or(|container| *container == target.container)
    }

    /// Refuses a container that no pod has; without pods nobody can tell.
    fn require_container(&self, name: &str, targets: &Targets) -> Result<(), Refusal> {
        let Some(container) = &self.container else {
            return Ok(());
        };
        if targets.is_empty() || targets.keys().any(|target| self.wants(target)) {
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
        let mut waiting = None;
        for (target, progress) in targets.iter().filter(|(target, _)| self.wants(target)) {
            match progress {
                Progress::Begun => return Ok(()),
                Progress::Waits(why) => waiting = waiting.or(Some((target, why))),
            }
        }
        match waiting {
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

/// A pod's containers in order, and how far each has come.
fn containers(pod: &Pod) -> Vec<(String, Progress)> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let status = pod.status.as_ref();
    let known: Vec<&ContainerStatus> = status
        .and_then(|status| status.container_statuses.as_ref())
        .into_iter()
        .flatten()
        .collect();
    spec.containers
        .iter()
        .map(|container| {
            let status = known.iter().find(|known| known.name == container.name);
            (container.name.clone(), progress(status.copied()))
        })
        .collect()
}

fn progress(status: Option<&ContainerStatus>) -> Progress {
    let Some(status) = status else {
        return Progress::Waits("its pod has no place yet".to_owned());
    };
    let state = status.state.as_ref();
    let is_there = state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    if is_there || status.restart_count > 0 {
        return Progress::Begun;
    }
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let said = waiting.map(|waiting| [waiting.reason.as_deref(), waiting.message.as_deref()]);
    let said: Vec<&str> = said.into_iter().flatten().flatten().collect();
    Progress::Waits(match said.as_slice() {
        [] => "no reason is given".to_owned(),
        said => said.join(": "),
    })
}

/// Writes what there is, one container after the other.
async fn past(logs: Logs, targets: Targets, lines: mpsc::Sender<Bytes>) {
    let wanted: Vec<&Target> = targets.keys().filter(|target| logs.wants(target)).collect();
    let (form, is_several) = Form::of(&logs);
    is_several.store(wanted.len() > 1, Ordering::Relaxed);
    for target in wanted {
        let Some(api) = logs.vclusters.get(target.vcluster).cloned() else {
            continue;
        };
        let parameters = LogParams {
            container: Some(target.container.clone()),
            tail_lines: Some(logs.tail.into()),
            timestamps: logs.json,
            ..LogParams::default()
        };
        if targets.get(target) == Some(&Progress::Begun) {
            copy(api, target.clone(), parameters, form.clone(), lines.clone()).await;
        }
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
    let mut copies: JoinSet<Target> = JoinSet::new();
    let mut known = Known::new();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    looks.tick().await;
    loop {
        let wanted = targets.keys().filter(|target| logs.wants(target));
        if wanted.count() > 1 {
            is_several.store(true, Ordering::Relaxed);
        }
        for (target, progress) in &targets {
            let Some(api) = logs.vclusters.get(target.vcluster) else {
                continue;
            };
            let since = known.get(target);
            if !logs.wants(target) || *progress != Progress::Begun || since == Some(&None) {
                continue;
            }
            let since = since.copied().flatten();
            let parameters = LogParams {
                container: Some(target.container.clone()),
                follow: true,
                tail_lines: since.is_none().then(|| logs.tail.into()),
                since_time: since,
                timestamps: logs.json,
                ..LogParams::default()
            };
            known.insert(target.clone(), None);
            let (api, target) = (api.clone(), target.clone());
            let (form, lines) = (form.clone(), lines.clone());
            copies.spawn(async move {
                copy(api, target.clone(), parameters, form, lines).await;
                target
            });
        }
        tokio::select! {
            () = lines.closed() => return,
            Some(ended) = copies.join_next() => {
                if let Ok(target) = ended {
                    known.insert(target, Some(Timestamp::now()));
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

/// Copies one container's log, line by line.
async fn copy(
    api: Api<Pod>,
    target: Target,
    parameters: LogParams,
    form: Form,
    lines: mpsc::Sender<Bytes>,
) {
    let mut reader = match api.log_stream(&target.pod, &parameters).await {
        Ok(reader) => Box::pin(reader),
        Err(error) => {
            tracing::debug!(%error, pod = target.pod, "log not read");
            return;
        }
    };
    let prefix = format!("{}/{} ", target.pod, target.container);
    let mut time = None;
    let mut is_start = true;
    loop {
        let mut line = Vec::new();
        let mut piece = (&mut reader).take(LONGEST_LINE);
        match piece.read_until(b'\n', &mut line).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        let is_end = line.last() == Some(&b'\n');
        if is_end {
            line.pop();
        }
        let mut written = match &form {
            Form::Text { is_several } => {
                let is_several = is_several.load(Ordering::Relaxed);
                let prefix: &[u8] = if is_several { prefix.as_bytes() } else { b"" };
                [prefix, line.as_slice()].concat()
            }
            Form::Objects => object(&target, &line, is_start, &mut time),
        };
        is_start = is_end;
        written.push(b'\n');
        if lines.send(written.into()).await.is_err() {
            return;
        }
    }
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
