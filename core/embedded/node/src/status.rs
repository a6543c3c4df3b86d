//! A pod's status as Kubernetes writes it, computed from what was observed.

use serde_json::{Value, json};

use crate::shim::spec::ExitState;

/// What a container in `ContainerCreating` says while a registry is asked for its
/// image, before the image's name. One whose image is here says nothing.
pub const PULLING: &str = "pulling image ";

/// What is known about one container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContainerRecord {
    pub name: String,
    pub image: String,
    pub image_id: String,
    pub state: State,
    pub last: Option<Terminated>,
    pub restarts: u32,
    pub is_ready: bool,
    pub is_started: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Waiting { reason: String, message: String },
    Running { started_at: String },
    Terminated(Terminated),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terminated {
    pub exit: ExitState,
    pub started_at: Option<String>,
    pub reason: String,
    pub message: String,
}

/// What is known about one pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodRecord {
    pub uid: String,
    pub address: std::net::Ipv4Addr,
    pub start_time: String,
    pub init: Vec<ContainerRecord>,
    pub main: Vec<ContainerRecord>,
    /// Whether init containers have all succeeded.
    pub is_initialized: bool,
    /// Whether containers are started again after success, after failure.
    pub restarts_success: bool,
    pub restarts_failure: bool,
    /// Why the pod as a whole cannot go on, as reason and message.
    pub trouble: Option<(String, String)>,
    /// When readiness last changed.
    pub ready_since: String,
    pub was_ready: bool,
}

impl ContainerRecord {
    pub fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            image_id: String::new(),
            state: State::Waiting {
                reason: "PodInitializing".to_owned(),
                message: String::new(),
            },
            last: None,
            restarts: 0,
            is_ready: false,
            is_started: false,
        }
    }

    fn json(&self, uid: &str) -> Value {
        let state = match &self.state {
            State::Waiting { reason, message } if message.is_empty() => {
                json!({"waiting": {"reason": reason}})
            }
            State::Waiting { reason, message } => {
                json!({"waiting": {"reason": reason, "message": message}})
            }
            State::Running { started_at } => json!({"running": {"startedAt": seconds(started_at)}}),
            State::Terminated(t) => json!({"terminated": t.json()}),
        };
        let last = self
            .last
            .as_ref()
            .map_or_else(|| json!({}), |t| json!({"terminated": t.json()}));
        json!({
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "containerID": format!("catalyst://{uid}/{}/{}", self.name, self.restarts),
            "ready": self.is_ready,
            "started": self.is_started,
            "restartCount": self.restarts,
            "state": state,
            "lastState": last,
        })
    }
}

impl Terminated {
    pub fn is_success(&self) -> bool {
        self.exit.code == 0
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "exitCode": self.exit.code,
            "reason": self.reason,
            "finishedAt": seconds(&self.exit.finished_at),
        });
        if let Some(map) = value.as_object_mut() {
            if let Some(started) = &self.started_at {
                map.insert("startedAt".to_owned(), seconds(started));
            }
            if let Some(signal) = self.exit.signal {
                map.insert("signal".to_owned(), json!(signal));
            }
            if !self.message.is_empty() {
                map.insert("message".to_owned(), json!(self.message));
            }
        }
        value
    }
}

/// Kubernetes writes times in whole seconds.
fn seconds(time: &str) -> Value {
    let parsed: Result<jiff::Timestamp, _> = time.parse();
    match parsed {
        Ok(time) => json!(format!("{time:.0}")),
        Err(_) => Value::Null,
    }
}

impl PodRecord {
    /// Goes on from what an earlier node said of the pod: since when it is there,
    /// and since when it is ready or not.
    pub fn resume(&mut self, status: &Value) {
        let text = |value: &Value, field: &str| {
            let found = value.get(field).and_then(Value::as_str);
            found.map(str::to_owned)
        };
        if let Some(time) = text(status, "startTime") {
            self.start_time = time;
        }
        let conditions = status.get("conditions").and_then(Value::as_array);
        let ready = conditions
            .into_iter()
            .flatten()
            .find(|one| one.get("type").and_then(Value::as_str) == Some("Ready"));
        if let Some(ready) = ready
            && let Some(time) = text(ready, "lastTransitionTime")
        {
            self.ready_since = time;
            self.was_ready = text(ready, "status").as_deref() == Some("True");
        }
    }

    pub fn is_ready(&self) -> bool {
        self.trouble.is_none()
            && self.is_initialized
            && !self.main.is_empty()
            && self.main.iter().all(|c| c.is_ready)
    }

    fn phase(&self) -> &'static str {
        let done = |c: &ContainerRecord| match &c.state {
            State::Terminated(t) => Some(t.is_success()),
            _ => None,
        };
        let is_final = |success: bool| {
            if success {
                !self.restarts_success
            } else {
                !self.restarts_failure
            }
        };
        if self.init.iter().any(|c| done(c) == Some(false)) && !self.restarts_failure {
            return "Failed";
        }
        if !self.is_initialized {
            return "Pending";
        }
        let ends: Vec<Option<bool>> = self.main.iter().map(done).collect();
        if !ends.is_empty() && ends.iter().all(|e| e.is_some_and(is_final)) {
            return if ends.iter().all(|e| *e == Some(true)) {
                "Succeeded"
            } else {
                "Failed"
            };
        }
        let never_ran =
            |c: &ContainerRecord| matches!(c.state, State::Waiting { .. }) && c.last.is_none();
        if self.main.iter().all(never_ran) {
            "Pending"
        } else {
            "Running"
        }
    }

    /// The `status` of the pod, but for what was decided when it was made.
    pub fn json(&self) -> Value {
        let phase = self.phase();
        let is_ready = self.is_ready();
        let unready: Vec<&str> = self
            .main
            .iter()
            .filter(|c| !c.is_ready)
            .map(|c| c.name.as_str())
            .collect();
        let condition = |kind: &str, is_true: bool, reason: &str, message: String| {
            let mut value = json!({
                "type": kind,
                "status": if is_true { "True" } else { "False" },
                "lastTransitionTime": seconds(if kind.ends_with("Ready") { &self.ready_since } else { &self.start_time }),
            });
            if let (false, Some(map)) = (is_true, value.as_object_mut()) {
                map.insert("reason".to_owned(), json!(reason));
                map.insert("message".to_owned(), json!(message));
            }
            value
        };
        let (reason, message) = match &self.trouble {
            Some((reason, message)) => (reason.as_str(), message.clone()),
            None if phase == "Succeeded" => ("PodCompleted", String::new()),
            None => (
                "ContainersNotReady",
                format!("containers with unready status: [{}]", unready.join(" ")),
            ),
        };
        let uninitialized = self
            .init
            .iter()
            .map(|c| c.name.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        let conditions = vec![
            condition("PodScheduled", true, "", String::new()),
            condition(
                "Initialized",
                self.is_initialized,
                "ContainersNotInitialized",
                format!("containers with incomplete status: [{uninitialized}]"),
            ),
            condition("ContainersReady", is_ready, reason, message.clone()),
            condition("Ready", is_ready, reason, message),
        ];
        let list = |records: &[ContainerRecord]| {
            records
                .iter()
                .map(|c| c.json(&self.uid))
                .collect::<Vec<_>>()
        };
        let mut status = json!({
            "phase": phase,
            "conditions": conditions,
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
            "podIP": self.address.to_string(),
            "podIPs": [{"ip": self.address.to_string()}],
            "startTime": seconds(&self.start_time),
            "containerStatuses": list(&self.main),
        });
        if let Some(map) = status.as_object_mut() {
            if !self.init.is_empty() {
                map.insert("initContainerStatuses".to_owned(), json!(list(&self.init)));
            }
            if let Some((reason, message)) = &self.trouble {
                map.insert("reason".to_owned(), json!(reason));
                map.insert("message".to_owned(), json!(message));
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> PodRecord {
        let mut main = ContainerRecord::new("main", "image");
        main.is_ready = true;
        main.state = State::Running {
            started_at: "2026-01-01T00:00:01.5Z".to_owned(),
        };
        PodRecord {
            uid: "u".to_owned(),
            address: std::net::Ipv4Addr::new(10, 0, 0, 2),
            start_time: "2026-01-01T00:00:00Z".to_owned(),
            init: Vec::new(),
            main: vec![main],
            is_initialized: true,
            restarts_success: true,
            restarts_failure: true,
            trouble: None,
            ready_since: "2026-01-01T00:00:02Z".to_owned(),
            was_ready: true,
        }
    }

    #[test]
    fn what_was_decided_when_the_pod_was_made_is_left_alone() {
        assert_eq!(record().json().get("qosClass"), None);
    }

    #[test]
    fn a_record_that_goes_on_says_what_was_said_before() {
        let before = record().json();
        let mut after = PodRecord {
            start_time: "2026-02-02T00:00:00Z".to_owned(),
            ready_since: "2026-02-02T00:00:00Z".to_owned(),
            was_ready: false,
            ..record()
        };
        assert_ne!(after.json(), before);
        after.resume(&before);
        assert_eq!(after.json(), before);
        assert!(after.was_ready);
        // Nothing to go on from is no reason to forget.
        after.resume(&Value::Null);
        assert_eq!(after.json(), before);
    }
}
