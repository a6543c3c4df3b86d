//! The containers of a pod: started, attended, put into words, started again.
//!
//! Called by the pod's task once the pod is prepared, for init containers one
//! after the other, for the rest all at once. What must stay true: a container
//! that an earlier node started is adopted before a new one is made, and nobody
//! sees it wait or unready in between; how often a container was started again
//! outlives the node; every outcome ends up in the record.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{BACKOFF_LIMIT, Input, Life, guard, limits, now};
use crate::NodeError;
use crate::container::{Running, read_log};
use crate::pod::{Container, Probe, files};
use crate::sandbox::Sandbox;
use crate::shim::spec::ExitState;
use crate::status::{State, Terminated};

/// A run this long makes the next failure count as the first.
const BACKOFF_RESET: Duration = Duration::from_secs(600);
/// Log lines and bytes that a crash reason carries.
const CRASH_LINES: usize = 12;
const CRASH_BYTES: usize = 2048;

/// Why a container's loop returned.
enum End {
    Done,
    Failed,
    Stopped,
}

impl Life {
    /// Runs the containers. True when the pod was stopped, false when its
    /// namespaces were lost.
    pub(super) async fn live(self: &Arc<Self>, sandbox: &Sandbox) -> bool {
        let input = self.input();
        let goes_on = self.goes_on(&input);
        let work = async {
            // What comes first has ended before the rest began.
            let init: &[Container] = if goes_on {
                &[]
            } else {
                &input.document.spec.init_containers
            };
            for container in init {
                match self.run_container(container, sandbox, true).await {
                    End::Done => {}
                    End::Failed => {
                        self.stopped().await;
                        return;
                    }
                    End::Stopped => return,
                }
            }
            if goes_on {
                self.take_over(&input).await;
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

    /// Whether some of a pod's containers run that an earlier node started.
    pub(super) fn goes_on(&self, input: &Input) -> bool {
        let mut containers = input.document.spec.containers.iter();
        Sandbox::adopt(&self.folder, self.address).is_some()
            && containers.any(|container| self.left_running(&container.name).is_some())
    }

    fn left_running(&self, container: &str) -> Option<Running> {
        let found = Running::adopt(&self.folder.join("containers").join(container))?;
        found.state.shim.is_alive().then_some(found)
    }

    /// Takes over what an earlier node started, all of it in one step, and as
    /// ready as it was.
    async fn take_over(&self, input: &Input) {
        let document = &input.document;
        let mut ended = Vec::new();
        for container in &document.spec.init_containers {
            let folder = self.folder.join("containers").join(&container.name);
            if let Some(found) = Running::adopt(&folder) {
                let started_at = found.state.started_at.clone();
                let exit = found.ended().await;
                let terminated = self.explain(container, exit, Some(started_at), None);
                ended.push((container, terminated));
            }
        }
        let mut running = Vec::new();
        for container in &document.spec.containers {
            if let Some(found) = self.left_running(&container.name) {
                let folder = self.folder.join("containers").join(&container.name);
                running.push((
                    container,
                    found.state.started_at.clone(),
                    read_count(&folder),
                ));
                guard(&self.running).insert(container.name.clone(), found);
            }
        }
        let images = guard(&self.images).clone();
        self.change(|record| {
            record.resume(&document.status);
            record.is_initialized = true;
            for (container, terminated) in ended {
                let mut records = record.init.iter_mut();
                if let Some(found) = records.find(|one| one.name == container.name) {
                    found.is_ready = terminated.is_success();
                    found.state = State::Terminated(terminated);
                }
            }
            for (container, started_at, restarts) in running {
                let mut records = record.main.iter_mut();
                if let Some(found) = records.find(|one| one.name == container.name) {
                    let was = |field| document.was(&container.name, field);
                    let image = images.get(&container.image);
                    found.image_id =
                        image.map_or_else(String::new, |image| image.id(&container.image));
                    found.restarts = restarts;
                    found.is_started = container.startup_probe.is_none() || was("started");
                    found.is_ready =
                        found.is_started && (container.readiness_probe.is_none() || was("ready"));
                    found.state = State::Running { started_at };
                }
            }
        });
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
                        let state = State::Running {
                            started_at: started_at.clone(),
                        };
                        // One that was taken over is what it was, until a probe says otherwise.
                        if c.state != state {
                            c.state = state;
                            c.is_started = !has_startup;
                            c.is_ready = is_ready && !is_init;
                        }
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
}

fn seconds(time: Duration) -> String {
    if time.as_secs() > 0 {
        format!("{}s", time.as_secs())
    } else {
        format!("{}ms", time.as_millis())
    }
}

fn read_count(folder: &Path) -> u32 {
    std::fs::read_to_string(folder.join("restarts"))
        .ok()
        .and_then(|t| t.trim().parse().ok())
        .unwrap_or(0)
}
