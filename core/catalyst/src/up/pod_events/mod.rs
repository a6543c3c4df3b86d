//! What happens to pods, in the words of a kubelet: the Events that
//! `kubectl describe pod` shows.
//!
//! Called by the kubelet with each word of the node on a pod; decides what of it is
//! new. Pure: what is told is written by the [`Recorder`]. What must stay true: a
//! pod that an earlier process left running and that is taken over has not
//! started; no event carries what a program wrote into its log.

mod recorder;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use catalyst_node::PULLING;
use serde_json::Value;

pub use recorder::Recorder;

const NORMAL: &str = "Normal";
const WARNING: &str = "Warning";

/// Something that happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// One CamelCase word.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
    /// The field path of the container it is about; empty for the whole pod.
    pub field: String,
}

impl Happening {
    fn of_pod(kind: &'static str, reason: &'static str, message: String) -> Self {
        Self {
            kind,
            reason,
            message,
            field: String::new(),
        }
    }
}

/// What has been told of one pod.
#[derive(Debug, Default)]
pub struct Told {
    trouble: String,
    /// By field path.
    containers: BTreeMap<String, Container>,
}

/// What has been told of one container.
#[derive(Debug, Default)]
struct Container {
    /// When the run began that was told last.
    started: String,
    /// Which end was told last.
    ended: String,
    /// What it was told last to wait for; empty once it waits no longer.
    waits: String,
    is_pulling: bool,
    /// Whether something was said about the image before the first run.
    is_image_told: bool,
}

impl Told {
    /// What an earlier process has told, as far as the pod's status shows it.
    pub fn of(pod: &Value) -> Self {
        let status = pod.get("status").unwrap_or(&Value::Null);
        let containers = containers(status).map(|(field, container)| {
            let started = [
                "/state/running/startedAt",
                "/state/terminated/startedAt",
                "/lastState/terminated/startedAt",
            ];
            let started = started.into_iter().map(|pointer| text(container, pointer));
            let known = Container {
                started: started
                    .into_iter()
                    .find(|time| !time.is_empty())
                    .unwrap_or_default()
                    .to_owned(),
                ended: end_of(container),
                waits: wait_of(container),
                ..Container::default()
            };
            (field, known)
        });
        Self {
            trouble: trouble_of(status),
            containers: containers.collect(),
        }
    }

    /// What is new in a status of the pod.
    pub fn news(&mut self, pod: &Value, status: &Value) -> Vec<Happening> {
        let mut news = Vec::new();
        let trouble = trouble_of(status);
        if trouble != self.trouble {
            news.extend(troubled(status));
            self.trouble = trouble;
        }
        for (field, container) in containers(status) {
            let known = self.containers.entry(field.clone()).or_default();
            for (kind, reason, message) in known.news(pod, container) {
                news.push(Happening {
                    kind,
                    reason,
                    message,
                    field: field.clone(),
                });
            }
        }
        news
    }
}

type Said = (&'static str, &'static str, String);

impl Container {
    fn news(&mut self, pod: &Value, container: &Value) -> Vec<Said> {
        let mut news = Vec::new();
        let (name, image) = (text(container, "/name"), text(container, "/image"));
        let was_pulling = self.is_pulling;
        let waits = wait_of(container);
        if waits != self.waits {
            news.extend(self.waiting(pod, container));
            self.waits = waits;
        }
        if was_pulling && self.is_pulling && !text(container, "/imageID").is_empty() {
            self.is_pulling = false;
            let message = format!("Successfully pulled image {image:?}");
            news.push((NORMAL, "Pulled", message));
        }
        let ended = end_of(container);
        if ended != self.ended && !ended.is_empty() {
            news.extend(over(container));
            self.ended = ended;
        }
        let started = text(container, "/state/running/startedAt");
        if !started.is_empty() && started != self.started {
            self.started = started.to_owned();
            if !self.is_image_told {
                let message = format!("Container image {image:?} already present on machine");
                news.push((NORMAL, "Pulled", message));
            }
            news.push((NORMAL, "Created", format!("Created container: {name}")));
            news.push((NORMAL, "Started", format!("Started container {name}")));
            // Said once: it does not go away between two runs.
            self.is_image_told = true;
        }
        news
    }

    fn waiting(&mut self, pod: &Value, container: &Value) -> Vec<Said> {
        let (name, image) = (text(container, "/name"), text(container, "/image"));
        let said = text(container, "/state/waiting/message");
        match text(container, "/state/waiting/reason") {
            "ContainerCreating" if said.starts_with(PULLING) => {
                self.is_pulling = true;
                self.is_image_told = true;
                vec![(NORMAL, "Pulling", format!("Pulling image {image:?}"))]
            }
            reason @ ("ErrImagePull" | "ImagePullBackOff") => {
                self.is_pulling = false;
                let message = format!("Failed to pull image {image:?}: {said}");
                let mut news = vec![(WARNING, "Failed", message)];
                if reason == "ImagePullBackOff" {
                    let message = format!("Back-off pulling image {image:?}");
                    news.push((NORMAL, "BackOff", message));
                }
                news
            }
            "CrashLoopBackOff" => {
                // Without the message, which ends with lines of the log.
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}_{}({})",
                    text(pod, "/metadata/name"),
                    text(pod, "/metadata/namespace"),
                    text(pod, "/metadata/uid"),
                );
                vec![(WARNING, "BackOff", message)]
            }
            _ => Vec::new(),
        }
    }
}

/// What is told of a container that has ended.
fn over(container: &Value) -> Vec<Said> {
    let said = text(container, "/state/terminated/message");
    if text(container, "/state/terminated/reason") == "StartError" {
        return vec![(WARNING, "Failed", format!("Error: {said}"))];
    }
    // The node says first why it ended a container; what the log says comes after.
    let why = said.lines().next().unwrap_or_default();
    for (probe, shown) in [("liveness", "Liveness"), ("startup", "Startup")] {
        if let Some(why) = why.strip_prefix(&format!("{probe} probe failed: ")) {
            let name = text(container, "/name");
            return vec![
                (WARNING, "Unhealthy", format!("{shown} probe failed: {why}")),
                (
                    NORMAL,
                    "Killing",
                    format!("Container {name} failed {probe} probe, will be restarted"),
                ),
            ];
        }
    }
    Vec::new()
}

/// What is told of a pod that as a whole cannot go on.
fn troubled(status: &Value) -> Option<Happening> {
    let said = text(status, "/message");
    let (kind, reason, message) = match text(status, "/reason") {
        "FailedCreatePodSandBox" => (
            WARNING,
            "FailedCreatePodSandBox",
            format!("Failed to create pod sandbox: {said}"),
        ),
        "VolumeInUse" => (WARNING, "FailedMount", said.to_owned()),
        "SandboxChanged" => (
            NORMAL,
            "SandboxChanged",
            "Pod sandbox changed, it will be killed and re-created.".to_owned(),
        ),
        _ => return None,
    };
    Some(Happening::of_pod(kind, reason, message))
}

/// What is told of a pod that the node does not take, with the claims that hold
/// it up.
pub fn refused(why: &str, unbound: &[&str]) -> Happening {
    if let [first, ..] = unbound {
        let message = format!(
            "0/1 nodes are available: persistentvolumeclaim {first:?} not found or not bound"
        );
        return Happening::of_pod(WARNING, "FailedScheduling", message);
    }
    let why = why.strip_prefix("cannot run the pod: ").unwrap_or(why);
    if why.starts_with("volume ") {
        let message = format!("MountVolume.SetUp failed for {why}");
        return Happening::of_pod(WARNING, "FailedMount", message);
    }
    Happening::of_pod(WARNING, "Failed", format!("Error: {why}"))
}

/// What is told of a pod that is asked to end.
pub fn ending(pod: &Value) -> Vec<Happening> {
    let status = pod.get("status").unwrap_or(&Value::Null);
    containers(status)
        .filter(|(_, container)| container.pointer("/state/running").is_some())
        .map(|(field, container)| Happening {
            kind: NORMAL,
            reason: "Killing",
            message: format!("Stopping container {}", text(container, "/name")),
            field,
        })
        .collect()
}

/// The containers of a status with their field paths.
fn containers(status: &Value) -> impl Iterator<Item = (String, &Value)> {
    [
        ("/initContainerStatuses", "initContainers"),
        ("/containerStatuses", "containers"),
    ]
    .into_iter()
    .flat_map(move |(list, field)| {
        let found = status.pointer(list).and_then(Value::as_array);
        found.into_iter().flatten().map(move |container| {
            let name = text(container, "/name");
            (format!("spec.{field}{{{name}}}"), container)
        })
    })
}

fn trouble_of(status: &Value) -> String {
    format!("{} {}", text(status, "/reason"), text(status, "/message"))
}

/// What a container waits for; empty when it waits for nothing.
fn wait_of(container: &Value) -> String {
    let Some(waiting) = container.pointer("/state/waiting") else {
        return String::new();
    };
    let (reason, message) = (text(waiting, "/reason"), text(waiting, "/message"));
    format!("{} {reason} {message}", restarts(container))
}

/// Which end of a container a status shows; empty for none.
fn end_of(container: &Value) -> String {
    match container.pointer("/state/terminated") {
        Some(ended) => format!("{} {}", restarts(container), text(ended, "/finishedAt")),
        None => String::new(),
    }
}

fn restarts(container: &Value) -> u64 {
    let count = container.get("restartCount").and_then(Value::as_u64);
    count.unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
