//! The life of one pod, from images to the last process.
//!
//! One task owns it. What it finds on disk decides what is left to do, so the
//! same code starts a pod, adopts one after the node was killed, and repairs
//! one whose namespaces were lost.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Notify, broadcast, watch};

use super::{Container, Plan, PodDocument, Probe, files, quantity, quantity_millis};
use crate::NodeError;
use crate::cgroup::{Cgroups, Limits};
use crate::container::{Running, end_all, exec, read_log};
use crate::image::{Image, ImageStore, Puller};
use crate::network::{PodRef, Switch};
use crate::resolve::{Resolved, VolumeSource};
use crate::sandbox::Sandbox;
use crate::shim::spec::{ExecSpec, ExitState, Ids, SandboxSpec};
use crate::status::{ContainerRecord, PodRecord, State, Terminated};

/// Longest pause between two attempts.
const BACKOFF_LIMIT: Duration = Duration::from_secs(300);
/// A run this long makes the next failure count as the first.
const BACKOFF_RESET: Duration = Duration::from_secs(600);
/// Log lines and bytes that a crash reason carries.
const CRASH_LINES: usize = 12;
const CRASH_BYTES: usize = 2048;

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

/// Why a container's loop returned.
enum End {
    Done,
    Failed,
    Stopped,
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

    /// The log file of the current or previous run of a container.
    pub fn log(&self, container: &str, previous: bool) -> Option<PathBuf> {
        let record = guard(&self.record);
        let found = record
            .init
            .iter()
            .chain(&record.main)
            .find(|c| c.name == container)?;
        let run = if previous {
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
        format!("catalyst-{}-{container}", self.uid)
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

    /// Volumes, images, namespaces, network: everything before a container.
    async fn prepare(&self) -> Result<Sandbox, NodeError> {
        self.take_volumes().await;
        let input = self.input();
        for container in input.document.containers() {
            self.pull(container).await;
        }
        files::make_folder(&self.folder, 0o700, None)?;
        let ids = match self.ids() {
            Some(ids) => ids,
            None => {
                // Says which container has no usable user, and why.
                for container in &input.document.spec.containers {
                    if let Some(image) = guard(&self.images).get(&container.image).cloned() {
                        self.plan(&input, container, &image, Ids::Single { uid: 0, gid: 0 })
                            .user()?;
                    }
                }
                return Err(NodeError::Specification {
                    reason: "it has no containers".to_owned(),
                });
            }
        };
        self.write_etc(&input)?;
        let sandbox = match Sandbox::adopt(&self.folder, self.address) {
            Some(sandbox) => sandbox,
            None => {
                files::force_remove(&self.folder.join("containers"))?;
                let (state, socket) = Sandbox::files(&self.folder);
                let hostname: String = input.document.hostname().chars().take(63).collect();
                let spec = SandboxSpec {
                    ids,
                    hostname,
                    address: self.address,
                    addresses: vec![
                        // Any address of the range that no pod is given.
                        (
                            last_of(self.address, self.shared.pod_prefix),
                            self.shared.pod_prefix,
                        ),
                        (self.shared.name_server, self.shared.service_prefix),
                        (Ipv4Addr::new(198, 18, 0, 0), 15),
                    ],
                    socket,
                    state,
                };
                Sandbox::start(&self.shared.shim, &self.folder, &spec, self.address).await?
            }
        };
        let pod = PodRef {
            uid: self.uid.clone(),
            namespace: input.policy_namespace.clone(),
            name: input.document.metadata.name.clone(),
            labels: input.document.metadata.labels.clone(),
            address: self.address,
        };
        self.shared
            .switch
            .attach(
                pod,
                input.scope.clone(),
                input.document.metadata.namespace.clone(),
                sandbox.clone(),
                self.shared.name_server,
            )
            .await?;
        Ok(sandbox)
    }

    /// Waits until every persistent volume is this pod's alone.
    async fn take_volumes(&self) {
        let input = self.input();
        let wanted: Vec<PathBuf> = input
            .resolved
            .volumes
            .values()
            .filter_map(|v| match v {
                VolumeSource::Persistent(path) => Some(path.clone()),
                _ => None,
            })
            .collect();
        loop {
            let freed = self.shared.volume_freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let taken_by = {
                let mut volumes = guard(&self.shared.volumes);
                let other = wanted.iter().find_map(|path| {
                    let owner = volumes.get(path).filter(|o| **o != self.uid)?;
                    Some((path.clone(), owner.clone()))
                });
                if other.is_none() {
                    for path in &wanted {
                        volumes.insert(path.clone(), self.uid.clone());
                    }
                }
                other
            };
            let Some((path, owner)) = taken_by else {
                return;
            };
            let message = format!(
                "the volume at {} is still used by pod {owner}; this pod starts when that one has ended",
                path.display()
            );
            self.change(|r| r.trouble = Some(("VolumeInUse".to_owned(), message)));
            freed.await;
        }
    }

    /// Pulls a container's image, as often as it takes.
    async fn pull(&self, container: &Container) {
        let always = match container.image_pull_policy.as_deref() {
            Some(policy) => policy == "Always",
            None => container.image.ends_with(":latest") || !container.image.contains([':', '@']),
        };
        let mut delay = self.shared.backoff;
        loop {
            self.wait_state(&container.name, "ContainerCreating", String::new());
            let pulled = match (
                container.image_pull_policy.as_deref(),
                self.shared.store.get(&container.image),
            ) {
                (Some("Never"), None) => Err(NodeError::Pull {
                    reference: container.image.clone(),
                    reason: "it is not on this node and imagePullPolicy is Never".to_owned(),
                }),
                (Some("Never"), Some(image)) => Ok(image),
                _ => self.shared.puller.pull(&container.image, always).await,
            };
            match pulled {
                Ok(image) => {
                    let id = format!("{}@{}", container.image, image.digest);
                    guard(&self.images).insert(container.image.clone(), image);
                    self.change_container(&container.name, |c| c.image_id = id);
                    return;
                }
                Err(e) => {
                    let reason = if delay == self.shared.backoff {
                        "ErrImagePull"
                    } else {
                        "ImagePullBackOff"
                    };
                    self.wait_state(&container.name, reason, e.to_string());
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(BACKOFF_LIMIT);
                }
            }
        }
    }

    fn write_etc(&self, input: &Input) -> Result<(), NodeError> {
        let folder = self.folder.join("etc");
        files::make_folder(&folder, 0o755, None)?;
        let document = &input.document;
        let namespace = &document.metadata.namespace;
        let hostname = document.hostname();
        let mut hosts = format!("127.0.0.1 localhost\n{} ", self.address);
        if let Some(subdomain) = &document.spec.subdomain {
            hosts.push_str(&format!(
                "{hostname}.{subdomain}.{namespace}.svc.cluster.local "
            ));
        }
        hosts.push_str(&format!("{hostname}\n"));
        for alias in &document.spec.host_aliases {
            hosts.push_str(&format!("{} {}\n", alias.ip, alias.hostnames.join(" ")));
        }
        let resolver = format!(
            "nameserver {}\nsearch {namespace}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
            self.shared.name_server
        );
        for (name, text) in [
            ("hosts", hosts),
            ("resolv.conf", resolver),
            ("hostname", format!("{hostname}\n")),
        ] {
            files::write_file(&folder.join(name), text.as_bytes(), 0o644, None)?;
        }
        Ok(())
    }

    /// Runs the containers. True when the pod was stopped, false when its
    /// namespaces were lost.
    async fn live(self: &Arc<Self>, sandbox: &Sandbox) -> bool {
        let input = self.input();
        let work = async {
            for container in &input.document.spec.init_containers {
                match self.run_container(container, sandbox, true).await {
                    End::Done => {}
                    End::Failed => {
                        self.stopped().await;
                        return;
                    }
                    End::Stopped => return,
                }
            }
            self.change(|r| r.is_initialized = true);
            let mut tasks = tokio::task::JoinSet::new();
            for container in input.document.spec.containers.clone() {
                let (life, sandbox) = (self.clone(), sandbox.clone());
                tasks.spawn(async move { life.run_container(&container, &sandbox, false).await });
            }
            while tasks.join_next().await.is_some() {}
            self.stopped().await;
        };
        tokio::select! {
            () = work => true,
            () = sandbox.process.ended() => {
                let message = "the process that holds the pod's namespaces was killed; the pod starts again".to_owned();
                self.change(|r| r.trouble = Some(("SandboxChanged".to_owned(), message)));
                guard(&self.running).clear();
                false
            }
        }
    }

    async fn run_container(&self, container: &Container, sandbox: &Sandbox, is_init: bool) -> End {
        let name = &container.name;
        let mut delay = self.shared.backoff;
        let folder = self.folder.join("containers").join(name);
        let mut adopted = Running::adopt(&folder);
        if adopted.is_some() {
            let restarts = read_count(&folder);
            self.change_container(name, |c| c.restarts = restarts);
        }
        loop {
            if self.stop.borrow().is_some() && adopted.is_none() {
                return End::Stopped;
            }
            let began = Instant::now();
            let started = match adopted.take() {
                Some(running) => Ok(running),
                None => self.start_container(container, sandbox).await,
            };
            let terminated = match started {
                Ok(running) => {
                    let started_at = running.state.started_at.clone();
                    guard(&self.running).insert(name.clone(), running.clone());
                    let has_startup = container.startup_probe.is_some();
                    let is_ready = is_init || (!has_startup && container.readiness_probe.is_none());
                    self.change_container(name, |c| {
                        c.state = State::Running {
                            started_at: started_at.clone(),
                        };
                        c.is_started = !has_startup;
                        c.is_ready = is_ready && !is_init;
                    });
                    let (exit, why) = self.attend(container, sandbox, &running).await;
                    guard(&self.running).remove(name);
                    self.explain(container, exit, Some(started_at), why)
                }
                Err(e) => self.explain(
                    container,
                    ExitState {
                        code: 128,
                        signal: None,
                        finished_at: now(),
                        error: Some(e.to_string()),
                    },
                    None,
                    None,
                ),
            };
            self.shared.cgroups.remove(&self.group(name));
            let is_success = terminated.is_success();
            let failure = terminated.clone();
            self.change_container(name, |c| {
                c.is_ready = is_init && is_success;
                c.is_started = false;
                c.state = State::Terminated(terminated);
            });
            if self.stop.borrow().is_some() {
                return End::Stopped;
            }
            let (again_success, again_failure) = {
                let record = guard(&self.record);
                (record.restarts_success && !is_init, record.restarts_failure)
            };
            match (is_success, again_success, again_failure) {
                (true, false, _) => return End::Done,
                (false, _, false) => return End::Failed,
                _ => {}
            }
            if began.elapsed() >= BACKOFF_RESET {
                delay = self.shared.backoff;
            }
            let message = format!(
                "back-off {} restarting failed container {name}: {}",
                seconds(delay),
                failure.message
            );
            let restarts = {
                let count = read_count(&folder) + 1;
                let _ = files::write_file(
                    &folder.join("restarts"),
                    count.to_string().as_bytes(),
                    0o600,
                    None,
                );
                // The outcome has been dealt with: an adopting node must not see it again.
                let _ = std::fs::remove_file(folder.join("state.json"));
                count
            };
            let reason = match &failure.exit.error {
                Some(_) if failure.started_at.is_none() => "CreateContainerError",
                _ => "CrashLoopBackOff",
            };
            self.change_container(name, |c| {
                c.restarts = restarts;
                c.last = Some(failure);
                c.state = State::Waiting {
                    reason: reason.to_owned(),
                    message,
                };
            });
            if self.pause(delay).await {
                return End::Stopped;
            }
            delay = (delay * 2).min(BACKOFF_LIMIT);
        }
    }

    async fn start_container(
        &self,
        container: &Container,
        sandbox: &Sandbox,
    ) -> Result<Running, NodeError> {
        let input = self.input();
        let missing = || NodeError::NotFound {
            what: format!("image {}", container.image),
        };
        let image = guard(&self.images)
            .get(&container.image)
            .cloned()
            .ok_or_else(missing)?;
        let ids = self.ids().ok_or_else(missing)?;
        let run = read_count(&self.folder.join("containers").join(&container.name));
        let groups = self
            .shared
            .cgroups
            .create(&self.group(&container.name), limits(container));
        let pid = sandbox.process.pid;
        let plan = self.plan(&input, container, &image, ids);
        let spec = tokio::task::block_in_place(|| plan.specification(pid, run, groups))?;
        Running::start(&self.shared.shim, &spec, &container.name).await
    }

    /// Stays with a running container until it has ended; gives the outcome
    /// and, when the node ended it, why.
    async fn attend(
        &self,
        container: &Container,
        sandbox: &Sandbox,
        running: &Running,
    ) -> (ExitState, Option<String>) {
        tokio::select! {
            exit = running.ended() => (exit, None),
            why = self.watch_probes(container, sandbox) => {
                (running.stop(self.grace()).await, Some(why))
            }
            grace = self.stopped() => {
                if let (Some(hook), false) = (&container.lifecycle.pre_stop, grace.is_zero()) {
                    let port_of = |p: &Value| container.port(p);
                    let hook = Probe { timeout_seconds: Some(grace.as_secs().max(1)), ..hook.clone() };
                    if let Err(e) = crate::probe::check(self, &container.name, &hook, sandbox, port_of).await {
                        tracing::warn!(container = %container.name, error = %e, "the preStop hook failed");
                    }
                }
                // A second, shorter request overtakes the first.
                let mut stop = self.stop.subscribe();
                stop.mark_unchanged();
                let exit = tokio::select! {
                    exit = running.stop(grace) => exit,
                    _ = stop.changed() => {
                        let shorter = stop.borrow().unwrap_or_default();
                        running.stop(shorter).await
                    }
                };
                (exit, None)
            }
        }
    }

    /// Runs the probes; returns only when the container must be ended.
    async fn watch_probes(&self, container: &Container, sandbox: &Sandbox) -> String {
        if let Some(probe) = &container.startup_probe {
            if let Err(e) = self.probe_until(container, sandbox, probe, true).await {
                return format!("startup probe failed: {e}");
            }
            let is_ready = container.readiness_probe.is_none();
            self.change_container(&container.name, |c| {
                c.is_started = true;
                c.is_ready = is_ready;
            });
        }
        let readiness = async {
            let Some(probe) = &container.readiness_probe else {
                return std::future::pending::<()>().await;
            };
            tokio::time::sleep(Duration::from_secs(probe.initial_delay_seconds)).await;
            let (mut good, mut bad) = (0u32, 0u32);
            loop {
                let result = self.probe(container, sandbox, probe).await;
                (good, bad) = if result.is_ok() {
                    (good + 1, 0)
                } else {
                    (0, bad + 1)
                };
                if good >= probe.success_threshold.unwrap_or(1) {
                    self.change_container(&container.name, |c| c.is_ready = true);
                } else if bad >= probe.failure_threshold.unwrap_or(3) {
                    self.change_container(&container.name, |c| c.is_ready = false);
                }
                tokio::time::sleep(period(probe)).await;
            }
        };
        let liveness = async {
            let Some(probe) = &container.liveness_probe else {
                return std::future::pending::<String>().await;
            };
            match self.probe_until(container, sandbox, probe, false).await {
                Err(e) => format!("liveness probe failed: {e}"),
                Ok(()) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = readiness => String::new(),
            why = liveness => why,
        }
    }

    async fn probe(
        &self,
        container: &Container,
        sandbox: &Sandbox,
        probe: &Probe,
    ) -> Result<(), String> {
        crate::probe::check(self, &container.name, probe, sandbox, |p| container.port(p)).await
    }

    /// Probes until it has failed too often, or, with `once`, succeeded.
    async fn probe_until(
        &self,
        container: &Container,
        sandbox: &Sandbox,
        probe: &Probe,
        once: bool,
    ) -> Result<(), String> {
        tokio::time::sleep(Duration::from_secs(probe.initial_delay_seconds)).await;
        let mut bad = 0u32;
        loop {
            match self.probe(container, sandbox, probe).await {
                Ok(()) if once => return Ok(()),
                Ok(()) => bad = 0,
                Err(e) => {
                    bad += 1;
                    if bad >= probe.failure_threshold.unwrap_or(3) {
                        return Err(e);
                    }
                }
            }
            tokio::time::sleep(period(probe)).await;
        }
    }

    /// Puts an outcome into words, with the last log lines of a crash.
    fn explain(
        &self,
        container: &Container,
        exit: ExitState,
        started_at: Option<String>,
        why: Option<String>,
    ) -> Terminated {
        let out_of_memory = exit.code == 137
            && self
                .shared
                .cgroups
                .memory_kills(&self.group(&container.name))
                > 0;
        let reason = match &exit {
            _ if out_of_memory => "OOMKilled",
            ExitState { error: Some(_), .. } if started_at.is_none() => "StartError",
            ExitState { code: 0, .. } => "Completed",
            _ => "Error",
        };
        let mut message = why.or_else(|| exit.error.clone()).unwrap_or_default();
        if exit.code != 0 && started_at.is_some() {
            let lines = self
                .log(&container.name, false)
                .map(|p| read_log(&p, Some(CRASH_LINES)))
                .unwrap_or_default();
            let text: String = lines.iter().map(|l| format!("{}\n", l.text)).collect();
            if !message.is_empty() && !text.is_empty() {
                message.push('\n');
            }
            let skip = text.chars().count().saturating_sub(CRASH_BYTES);
            message.extend(text.trim_end().chars().skip(skip));
        }
        Terminated {
            exit,
            started_at,
            reason: reason.to_owned(),
            message,
        }
    }

    /// Ends what still runs and removes everything that dies with the pod.
    async fn clean_up(&self) {
        let grace = self.stop.borrow().unwrap_or_default();
        end_all(&self.folder, grace).await;
        if let Some(sandbox) = Sandbox::adopt(&self.folder, self.address) {
            sandbox.end().await;
        }
        self.shared.switch.detach(&self.uid);
        for container in self.input().document.containers() {
            self.shared.cgroups.remove(&self.group(&container.name));
        }
        let folder = self.folder.clone();
        let removed = tokio::task::spawn_blocking(move || files::force_remove(&folder)).await;
        if let Ok(Err(e)) = removed {
            tracing::warn!(pod = %self.uid, error = %e, "something of the pod was left behind");
        }
        guard(&self.shared.volumes).retain(|_, owner| *owner != self.uid);
        self.shared.volume_freed.notify_waiters();
    }
}

impl PodDocument {
    /// Init containers, then the others.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.spec
            .init_containers
            .iter()
            .chain(&self.spec.containers)
    }

    /// The pod's host name.
    pub fn hostname(&self) -> &str {
        self.spec.hostname.as_deref().unwrap_or(&self.metadata.name)
    }
}

fn period(probe: &Probe) -> Duration {
    Duration::from_secs(probe.period_seconds.unwrap_or(10).max(1))
}

fn seconds(time: Duration) -> String {
    if time.as_secs() > 0 {
        format!("{}s", time.as_secs())
    } else {
        format!("{}ms", time.as_millis())
    }
}

fn read_count(folder: &std::path::Path) -> u32 {
    std::fs::read_to_string(folder.join("restarts"))
        .ok()
        .and_then(|t| t.trim().parse().ok())
        .unwrap_or(0)
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

/// The last address of a range before its broadcast address.
fn last_of(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    Ipv4Addr::from((u32::from(address) | hosts).saturating_sub(1))
}
