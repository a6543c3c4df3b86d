//! The life of one pod, from images to the last process.
//!
//! One task owns it: this file holds the pod, what the node asks of it, and the
//! task's loop; `prepare` makes all that comes before a container, `containers`
//! runs them, `probes` asks how they are. Begun and ended by the node.
//!
//! What must stay true: what the task finds on disk decides what is left to do,
//! so the same code starts a pod, adopts one after the node was killed, and
//! repairs one whose namespaces were lost.

mod containers;
mod prepare;
mod probes;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, broadcast, watch};

use super::{Container, Plan, PodDocument, files, quantity, quantity_millis};
use crate::NodeError;
use crate::cgroup::{Cgroups, Limits};
use crate::container::{Running, end_all, exec};
use crate::image::{Image, ImageStore, Puller};
use crate::network::Switch;
use crate::resolve::{Resolved, VolumeSource};
use crate::sandbox::Sandbox;
use crate::shim::spec::{ExecSpec, Ids};
use crate::status::{ContainerRecord, PodRecord, State};

/// Longest pause between two attempts.
const BACKOFF_LIMIT: Duration = Duration::from_secs(300);

/// What all pods of a node share.
pub(crate) struct Shared {
    pub shim: PathBuf,
    pub store: ImageStore,
    pub puller: Puller,
    pub cgroups: Cgroups,
    pub base: Option<u32>,
    pub switch: Arc<Switch>,
    pub volumes: Mutex<HashMap<PathBuf, String>>,
    pub volume_freed: Notify,
    pub changes: broadcast::Sender<(String, Value)>,
    pub pod_prefix: u8,
    pub name_server: Ipv4Addr,
    pub service_prefix: u8,
    pub backoff: Duration,
}

impl Shared {
    /// Ends what still runs of a pod and removes everything that dies with it;
    /// `containers` are the names of those it has or had.
    pub async fn end_pod(
        &self,
        uid: &str,
        folder: &Path,
        containers: Vec<String>,
        grace: Duration,
    ) {
        end_all(folder, grace).await;
        // Where it is reached does not matter any more.
        if let Some(sandbox) = Sandbox::adopt(folder, Ipv4Addr::UNSPECIFIED) {
            sandbox.end().await;
        }
        self.switch.detach(uid);
        for container in &containers {
            self.cgroups.remove(&control_group(uid, container));
        }
        let folder = folder.to_owned();
        let removed = tokio::task::spawn_blocking(move || files::force_remove(&folder)).await;
        if let Ok(Err(e)) = removed {
            tracing::warn!(pod = uid, error = %e, "something of the pod was left behind");
        }
        guard(&self.volumes).retain(|_, owner| owner != uid);
        self.volume_freed.notify_waiters();
    }
}

/// What a pod is to be.
#[derive(Clone)]
pub(crate) struct Input {
    pub document: PodDocument,
    pub resolved: Resolved,
    pub scope: String,
    pub policy_namespace: String,
}

/// A process to run in a container.
pub(crate) struct Command {
    pub container: String,
    pub args: Vec<String>,
}

impl Command {
    pub fn new(container: &str, args: Vec<String>) -> Self {
        Self {
            container: container.to_owned(),
            args,
        }
    }
}

/// One pod.
pub(crate) struct Life {
    shared: Arc<Shared>,
    pub uid: String,
    pub address: Ipv4Addr,
    pub folder: PathBuf,
    input: Mutex<Arc<Input>>,
    record: Mutex<PodRecord>,
    shown: Mutex<Value>,
    images: Mutex<BTreeMap<String, Image>>,
    running: Mutex<HashMap<String, Running>>,
    stop: watch::Sender<Option<Duration>>,
    finished: watch::Sender<bool>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

impl Life {
    /// Starts the task of a pod.
    pub fn begin(
        shared: Arc<Shared>,
        input: Input,
        address: Ipv4Addr,
        folder: PathBuf,
    ) -> Arc<Self> {
        let spec = &input.document.spec;
        let policy = spec.restart_policy.as_deref().unwrap_or("Always");
        let records = |list: &[Container]| {
            list.iter()
                .map(|c| ContainerRecord::new(&c.name, &c.image))
                .collect()
        };
        let record = PodRecord {
            uid: input.document.metadata.uid.clone(),
            address,
            start_time: now(),
            init: records(&spec.init_containers),
            main: records(&spec.containers),
            is_initialized: spec.init_containers.is_empty(),
            restarts_success: policy == "Always",
            restarts_failure: policy != "Never",
            trouble: None,
            ready_since: now(),
            was_ready: false,
        };
        let life = Arc::new(Self {
            shared,
            uid: record.uid.clone(),
            address,
            folder,
            shown: Mutex::new(record.json()),
            record: Mutex::new(record),
            input: Mutex::new(Arc::new(input)),
            images: Mutex::default(),
            running: Mutex::default(),
            stop: watch::Sender::new(None),
            finished: watch::Sender::new(false),
        });
        let task = life.clone();
        tokio::spawn(async move {
            task.run().await;
            task.finished.send_replace(true);
        });
        life
    }

    /// Takes a newer version of the pod: configuration files are rewritten,
    /// the rest of a pod does not change while it lives.
    pub fn update(&self, input: Input) -> Result<(), NodeError> {
        let ids = self.ids();
        for (name, source) in &input.resolved.volumes {
            let path = self.folder.join("volumes").join(name);
            if let (VolumeSource::Files(content), true) = (source, path.is_dir()) {
                let owner = ids.and_then(|i| {
                    let plan = input.document.spec.containers.first()?;
                    let user = plan.security_context.run_as_user.or(input
                        .document
                        .spec
                        .security_context
                        .run_as_user);
                    Plan::owner(
                        i,
                        user.unwrap_or(0),
                        input.document.spec.security_context.fs_group.unwrap_or(0),
                    )
                });
                files::write_files(&path, content, owner)?;
            }
        }
        *guard(&self.input) = Arc::new(input);
        Ok(())
    }

    /// Asks the pod to end; a second call may only shorten the grace.
    pub fn stop(&self, grace: Duration) {
        self.stop.send_if_modified(|current| {
            let shorter = current.is_none_or(|c| grace < c);
            if shorter {
                *current = Some(grace);
            }
            shorter
        });
    }

    /// Waits until nothing of the pod is left.
    pub async fn finished(&self) {
        let mut finished = self.finished.subscribe();
        let _ = finished.wait_for(|f| *f).await;
    }

    /// The pod's status.
    pub fn status(&self) -> Value {
        guard(&self.shown).clone()
    }

    /// The grace period the pod asks for.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(
            self.input()
                .document
                .spec
                .termination_grace_period_seconds
                .unwrap_or(30),
        )
    }

    /// The log file of the current or previous run of a container. Of one that waits to
    /// be started again the last run is both, as a kubelet has it.
    pub fn log(&self, container: &str, previous: bool) -> Option<PathBuf> {
        let record = guard(&self.record);
        let found = record
            .init
            .iter()
            .chain(&record.main)
            .find(|c| c.name == container)?;
        let waits_again = matches!(found.state, State::Waiting { .. }) && found.last.is_some();
        let run = if previous || waits_again {
            found.restarts.checked_sub(1)?
        } else {
            found.restarts
        };
        Some(Plan::log(&self.folder, container, run))
    }

    /// Whether a container runs now.
    pub fn is_running(&self, container: &str) -> bool {
        guard(&self.running).contains_key(container)
    }

    /// Runs one more process in a container.
    pub async fn exec(&self, command: &Command) -> Result<tokio::process::Child, NodeError> {
        let gone = || NodeError::NotFound {
            what: format!("container {} of pod {}", command.container, self.uid),
        };
        let running = guard(&self.running)
            .get(&command.container)
            .cloned()
            .ok_or_else(gone)?;
        let sandbox = self.shared.switch.sandbox(&self.uid).ok_or_else(gone)?;
        let input = self.input();
        let container = input
            .document
            .containers()
            .find(|c| c.name == command.container)
            .ok_or_else(gone)?;
        let image = guard(&self.images)
            .get(&container.image)
            .cloned()
            .ok_or_else(gone)?;
        let ids = self.ids().ok_or_else(gone)?;
        let plan = self.plan(&input, container, &image, ids);
        let mut process = plan.process(
            self.shared
                .cgroups
                .create(&self.group(&command.container), limits(container)),
        )?;
        process.args = command.args.clone();
        let spec = ExecSpec {
            sandbox_pid: sandbox.process.pid,
            init_pid: running.state.init.pid,
            ids,
            process,
        };
        exec(&self.shared.shim, &spec).await
    }

    fn input(&self) -> Arc<Input> {
        guard(&self.input).clone()
    }

    fn plan<'a>(
        &'a self,
        input: &'a Input,
        container: &'a Container,
        image: &'a Image,
        ids: Ids,
    ) -> Plan<'a> {
        Plan {
            document: &input.document,
            container,
            image,
            store: &self.shared.store,
            resolved: &input.resolved,
            ids,
            folder: &self.folder,
        }
    }

    /// The pod's user mapping; known once the first image is.
    fn ids(&self) -> Option<Ids> {
        if let Some(base) = self.shared.base {
            return Some(Ids::Ranged { base });
        }
        let input = self.input();
        let container = input.document.spec.containers.first()?;
        let image = guard(&self.images).get(&container.image).cloned()?;
        let user = self
            .plan(&input, container, &image, Ids::Single { uid: 0, gid: 0 })
            .user()
            .ok()?;
        Some(Ids::Single {
            uid: user.uid,
            gid: user.gid,
        })
    }

    fn group(&self, container: &str) -> String {
        control_group(&self.uid, container)
    }

    /// Changes the record and publishes the status when it changed.
    fn change(&self, edit: impl FnOnce(&mut PodRecord)) {
        let status = {
            let mut record = guard(&self.record);
            edit(&mut record);
            let is_ready = record.is_ready();
            if is_ready != record.was_ready {
                record.was_ready = is_ready;
                record.ready_since = now();
            }
            record.json()
        };
        {
            let mut shown = guard(&self.shown);
            if *shown == status {
                return;
            }
            *shown = status.clone();
        }
        let _ = self.shared.changes.send((self.uid.clone(), status));
    }

    fn change_container(&self, name: &str, edit: impl FnOnce(&mut ContainerRecord)) {
        self.change(|record| {
            if let Some(found) = record
                .init
                .iter_mut()
                .chain(&mut record.main)
                .find(|c| c.name == name)
            {
                edit(found);
            }
        });
    }

    fn wait_state(&self, name: &str, reason: &str, message: String) {
        let reason = reason.to_owned();
        self.change_container(name, |c| {
            c.is_ready = false;
            c.is_started = false;
            c.state = State::Waiting { reason, message };
        });
    }

    /// Sleeps; true when the pod was asked to stop meanwhile.
    async fn pause(&self, time: Duration) -> bool {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            () = tokio::time::sleep(time) => false,
            _ = stop.wait_for(Option::is_some) => true,
        }
    }

    async fn stopped(&self) -> Duration {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(Option::is_some).await {
            Ok(grace) => grace.unwrap_or_default(),
            Err(_) => Duration::ZERO,
        }
    }

    async fn run(self: &Arc<Self>) {
        let mut delay = self.shared.backoff;
        loop {
            let outcome = tokio::select! {
                outcome = self.prepare() => outcome,
                _ = self.stopped() => break,
            };
            match outcome {
                Ok(sandbox) => {
                    self.change(|r| r.trouble = None);
                    if self.live(&sandbox).await {
                        break;
                    }
                    // The namespaces are lost: what ran in them is of no use.
                    end_all(&self.folder, Duration::ZERO).await;
                    self.shared.switch.detach(&self.uid);
                }
                Err(e) => {
                    let message = e.to_string();
                    self.change(|r| {
                        r.trouble = Some(("FailedCreatePodSandBox".to_owned(), message))
                    });
                }
            }
            if self.pause(delay).await {
                break;
            }
            delay = (delay * 2).min(BACKOFF_LIMIT);
        }
        self.clean_up().await;
    }

    async fn clean_up(&self) {
        let grace = self.stop.borrow().unwrap_or_default();
        let input = self.input();
        let containers = input.document.containers().map(|c| c.name.clone());
        self.shared
            .end_pod(&self.uid, &self.folder, containers.collect(), grace)
            .await;
    }
}

/// The control group of a container, by the name that a later node knows too.
fn control_group(uid: &str, container: &str) -> String {
    format!("catalyst-{uid}-{container}")
}

fn limits(container: &Container) -> Limits {
    let text = |name: &str| {
        let value = container.resources.limits.get(name)?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    };
    Limits {
        memory: text("memory").and_then(|t| quantity(&t)),
        cpu_millis: text("cpu").and_then(|t| quantity_millis(&t)),
    }
}
