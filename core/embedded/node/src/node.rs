//! The node: what the assembly talks to.

use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::NodeError;
use crate::cgroup::Cgroups;
use crate::container::{LogLine, read_log};
use crate::doctor::{DEFAULT_BASE, Report, examine};
use crate::image::{ImageStore, Puller, Registry};
use crate::network::{DenyAll, Policy, Service, Switch};
use crate::pod::{Command, Life, PodDocument, Shared, force_remove};
use crate::resolve::Resolved;
use crate::sandbox::Sandbox;

/// How a node is set up.
#[derive(Clone)]
pub struct Config {
    /// Directory of layers and pods.
    pub data: PathBuf,
    /// Program to re-execute as a shim; its `main` begins with
    /// [`crate::shim::main_if_shim`]. Usually `/proc/self/exe`.
    pub shim: PathBuf,
    /// Client for registries; the assembly decides whom it trusts.
    pub client: reqwest::Client,
    /// How to reach the registry of a reference, by host.
    pub registry_of: Arc<dyn Fn(&str) -> Registry + Send + Sync>,
    /// Pods' addresses: network and prefix length.
    pub pod_network: (Ipv4Addr, u8),
    /// Services' addresses: network and prefix length. Name servers get the tenth.
    pub service_network: (Ipv4Addr, u8),
    /// Ports on which external names can be reached.
    pub egress_ports: Vec<u16>,
    /// First pause before a failed container starts again; doubles up to 5 minutes.
    pub backoff: Duration,
}

impl Config {
    /// Defaults for a data directory: own program as shim, registries directly.
    pub fn new(data: impl Into<PathBuf>, client: reqwest::Client) -> Self {
        Self {
            data: data.into(),
            shim: PathBuf::from("/proc/self/exe"),
            client,
            registry_of: Arc::new(|_| Registry::default()),
            pod_network: (Ipv4Addr::new(10, 244, 0, 0), 16),
            service_network: (Ipv4Addr::new(10, 96, 0, 0), 12),
            egress_ports: vec![80, 443],
            backoff: Duration::from_secs(10),
        }
    }
}

/// A node; dropping it leaves its pods running for the next one to adopt.
pub struct Node {
    shared: Arc<Shared>,
    pods_folder: PathBuf,
    pod_network: (Ipv4Addr, u8),
    report: Report,
    pods: Mutex<HashMap<String, Arc<Life>>>,
    addresses: Mutex<HashMap<String, Ipv4Addr>>,
    // Held, and let go of when it is dropped.
    _lock: Lock,
}

/// A file that is locked.
struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a shim that is being started holds a copy of it
    /// until it is there, and with it the lock.
    fn drop(&mut self) {
        _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// A node shared between tasks.
pub type NodeHandle = Arc<Node>;

/// What is kept of a pod for the next node: never its environment.
#[derive(Serialize, Deserialize)]
struct Identity {
    uid: String,
    address: Ipv4Addr,
    /// Persistent volumes it holds, or waits for.
    volumes: Vec<PathBuf>,
}

/// Something left behind by an earlier node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// The pod's uid.
    pub uid: String,
    /// Whether its namespaces still live.
    pub is_alive: bool,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Opens the node. Pods of an earlier node keep running and keep their
    /// addresses and volumes until [`Self::apply`] adopts them or
    /// [`Self::retain`] ends them.
    pub async fn open(config: Config) -> Result<NodeHandle, NodeError> {
        let make = |path: &Path| {
            std::fs::create_dir_all(path).map_err(|e| NodeError::file("create", path, e))
        };
        make(&config.data)?;
        let data = config
            .data
            .canonicalize()
            .map_err(|e| NodeError::file("find", &config.data, e))?;
        if data.to_string_lossy().contains([':', ',', '\\']) {
            return Err(NodeError::Specification {
                reason: format!(
                    "the data directory {} contains one of : , \\ which overlayfs cannot take; choose another",
                    data.display()
                ),
            });
        }
        let lock_path = data.join("lock");
        let lock = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|e| NodeError::file("open", &lock_path, e))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| NodeError::Locked { path: data.clone() })?;
        let lock = Lock(lock);
        let (layers, images, pods_folder) =
            (data.join("layers"), data.join("images"), data.join("pods"));
        for folder in [&layers, &images, &pods_folder] {
            make(folder)?;
        }
        remove_unfinished(&layers);
        let report = examine(&config.shim, &data).await;
        let base = report.has_user_range.then_some(DEFAULT_BASE);
        let store = ImageStore {
            layers,
            images,
            base,
        };
        let switch = Switch::new(Arc::new(DenyAll), config.egress_ports.clone());
        let name_server = Ipv4Addr::from(u32::from(config.service_network.0) + 10);
        let left = identities(&pods_folder);
        let volumes = volumes_held(&pods_folder, &left);
        let addresses = left.into_iter().map(|i| (i.uid, i.address)).collect();
        let shared = Arc::new(Shared {
            shim: config.shim,
            puller: Puller::new(store.clone(), config.client, config.registry_of),
            store,
            cgroups: Cgroups::detect(),
            base,
            switch,
            volumes: Mutex::new(volumes),
            volume_freed: tokio::sync::Notify::new(),
            changes: broadcast::Sender::new(4096),
            pod_prefix: config.pod_network.1,
            name_server,
            service_prefix: config.service_network.1,
            backoff: config.backoff,
        });
        Ok(Arc::new(Self {
            shared,
            pods_folder,
            pod_network: config.pod_network,
            report,
            pods: Mutex::default(),
            addresses: Mutex::new(addresses),
            _lock: lock,
        }))
    }

    /// What this machine can and cannot run.
    pub fn doctor(&self) -> &Report {
        &self.report
    }

    /// The address a pod has or will have; the same for as long as it lives.
    pub fn address(&self, uid: &str) -> Result<Ipv4Addr, NodeError> {
        let mut addresses = guard(&self.addresses);
        if let Some(address) = addresses.get(uid) {
            return Ok(*address);
        }
        let (network, prefix) = self.pod_network;
        let size = 1u32.checked_shl(32 - u32::from(prefix)).unwrap_or(u32::MAX);
        let taken: std::collections::HashSet<Ipv4Addr> = addresses.values().copied().collect();
        let free = (2..size - 1)
            .map(|n| Ipv4Addr::from(u32::from(network) + n))
            .find(|a| !taken.contains(a));
        let address = free.ok_or_else(|| NodeError::Specification {
            reason: format!("all addresses of {network}/{prefix} are taken; remove pods"),
        })?;
        addresses.insert(uid.to_owned(), address);
        Ok(address)
    }

    /// Runs a pod, adopts it, or takes a newer version of it. `scope` names the
    /// cluster it belongs to; policies see its namespace as `<scope>/<namespace>`,
    /// or plainly when the scope is empty.
    pub fn apply(&self, pod: &Value, resolved: Resolved, scope: &str) -> Result<(), NodeError> {
        let document: PodDocument =
            serde_json::from_value(pod.clone()).map_err(|e| NodeError::Specification {
                reason: e.to_string(),
            })?;
        let uid = document.metadata.uid.clone();
        check_names(&document)?;
        let policy_namespace = match scope {
            "" => document.metadata.namespace.clone(),
            scope => format!("{scope}/{}", document.metadata.namespace),
        };
        let input = crate::pod::Input {
            document,
            resolved,
            scope: scope.to_owned(),
            policy_namespace,
        };
        if let Some(life) = guard(&self.pods).get(&uid).cloned() {
            return life.update(input);
        }
        let address = self.address(&uid)?;
        let folder = self.pods_folder.join(&uid);
        std::fs::create_dir_all(&folder).map_err(|e| NodeError::file("create", &folder, e))?;
        let identity = Identity {
            uid: uid.clone(),
            address,
            volumes: input.resolved.persistent(),
        };
        let path = folder.join("pod.json");
        let text = serde_json::to_vec(&identity).map_err(|e| NodeError::Specification {
            reason: e.to_string(),
        })?;
        std::fs::write(&path, text).map_err(|e| NodeError::file("write", &path, e))?;
        let life = Life::begin(self.shared.clone(), input, address, folder);
        guard(&self.pods).insert(uid, life);
        Ok(())
    }

    /// Ends a pod and waits until nothing of it is left. Without `grace` the
    /// pod's own counts. A pod that is not there is done.
    pub async fn remove(&self, uid: &str, grace: Option<Duration>) {
        let life = guard(&self.pods).get(uid).cloned();
        if let Some(life) = life {
            life.stop(grace.unwrap_or_else(|| life.grace()));
            life.finished().await;
            guard(&self.pods).remove(uid);
        } else if is_uid(uid) {
            self.end_left_behind(uid, grace.unwrap_or(Duration::from_secs(30)))
                .await;
        }
        guard(&self.addresses).remove(uid);
    }

    /// Pods of an earlier node that nobody has applied yet.
    pub fn left_behind(&self) -> Vec<LeftBehind> {
        let known = guard(&self.pods);
        identities(&self.pods_folder)
            .into_iter()
            .filter(|i| !known.contains_key(&i.uid))
            .map(|i| LeftBehind {
                is_alive: Sandbox::adopt(&self.pods_folder.join(&i.uid), i.address).is_some(),
                uid: i.uid,
            })
            .collect()
    }

    /// How many pods have processes now, those of an earlier node included.
    pub fn alive(&self) -> usize {
        identities(&self.pods_folder)
            .iter()
            .filter(|i| Sandbox::adopt(&self.pods_folder.join(&i.uid), i.address).is_some())
            .count()
    }

    /// Ends every pod not in `uids`, those of an earlier node included.
    pub async fn retain(self: &Arc<Self>, uids: &[String], grace: Option<Duration>) {
        let mut all: Vec<String> = guard(&self.pods).keys().cloned().collect();
        all.extend(self.left_behind().into_iter().map(|l| l.uid));
        let mut tasks = tokio::task::JoinSet::new();
        for uid in all.into_iter().filter(|u| !uids.contains(u)) {
            let node = self.clone();
            tasks.spawn(async move { node.remove(&uid, grace).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn end_left_behind(&self, uid: &str, grace: Duration) {
        let folder = self.pods_folder.join(uid);
        let containers = std::fs::read_dir(folder.join("containers"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        self.shared.end_pod(uid, &folder, containers, grace).await;
    }

    /// Whether a pod has a persistent volume, also one that an earlier process ran.
    pub fn holds(&self, volume: &Path) -> bool {
        guard(&self.shared.volumes).contains_key(volume)
    }

    /// A pod's `status`, as Kubernetes writes it.
    pub fn status(&self, uid: &str) -> Option<Value> {
        guard(&self.pods).get(uid).map(|l| l.status())
    }

    /// Status changes as they happen: uid and the new status.
    pub fn changes(&self) -> broadcast::Receiver<(String, Value)> {
        self.shared.changes.subscribe()
    }

    /// Replaces the Services of all scopes.
    pub async fn set_services(&self, services: Vec<Service>) {
        self.shared.switch.set_services(services).await;
    }

    /// Replaces the policy, which denies everything until it is set. Setting
    /// it again makes every pod's listeners follow what it now says.
    pub async fn set_policy(&self, policy: Arc<dyn Policy>) {
        self.shared.switch.set_policy(policy).await;
    }

    /// Connects to a port of a pod, for gateways and port forwarding.
    pub async fn connect(&self, uid: &str, port: u16) -> Result<tokio::net::TcpStream, NodeError> {
        let sandbox = self.sandbox(uid)?;
        sandbox
            .connect(SocketAddrV4::new(sandbox.address, port))
            .await
    }

    /// Connects to a port on the loopback address of a pod.
    pub async fn connect_loopback(
        &self,
        uid: &str,
        port: u16,
    ) -> Result<tokio::net::TcpStream, NodeError> {
        let sandbox = self.sandbox(uid)?;
        sandbox
            .connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
            .await
    }

    /// Runs a program in a container. The child's streams are pipes and its
    /// exit code the program's; dropping it ends the program.
    pub async fn exec(
        &self,
        uid: &str,
        container: &str,
        args: Vec<String>,
    ) -> Result<tokio::process::Child, NodeError> {
        let life = self.life(uid)?;
        life.exec(&Command::new(container, args)).await
    }

    /// The last lines of a container's log, or all it still has.
    pub fn logs(
        &self,
        uid: &str,
        container: &str,
        previous: bool,
        tail: Option<usize>,
    ) -> Result<Vec<LogLine>, NodeError> {
        let life = self.life(uid)?;
        let path = life
            .log(container, previous)
            .ok_or_else(|| missing(container))?;
        Ok(read_log(&path, tail))
    }

    /// Follows a container's log: `tail` old lines, then new ones until the
    /// container ends or the receiver is dropped.
    pub fn follow_logs(
        &self,
        uid: &str,
        container: &str,
        tail: Option<usize>,
    ) -> Result<tokio::sync::mpsc::Receiver<LogLine>, NodeError> {
        let life = self.life(uid)?;
        let path = life
            .log(container, false)
            .ok_or_else(|| missing(container))?;
        let (sender, receiver) = tokio::sync::mpsc::channel(256);
        let container = container.to_owned();
        tokio::spawn(async move {
            let mut last: Option<String> = None;
            let mut tail = tail;
            loop {
                // Asked before reading: what was written until then is read below.
                let is_running = life.is_running(&container);
                for line in read_log(&path, tail.take()) {
                    // Times have nanoseconds and only grow, so they tell old from new.
                    if last.as_ref().is_some_and(|l| line.time <= *l) {
                        continue;
                    }
                    last = Some(line.time.clone());
                    if sender.send(line).await.is_err() {
                        return;
                    }
                }
                if !is_running || sender.is_closed() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Ok(receiver)
    }

    fn life(&self, uid: &str) -> Result<Arc<Life>, NodeError> {
        guard(&self.pods)
            .get(uid)
            .cloned()
            .ok_or_else(|| missing(uid))
    }

    fn sandbox(&self, uid: &str) -> Result<Sandbox, NodeError> {
        self.shared.switch.sandbox(uid).ok_or_else(|| missing(uid))
    }
}

fn missing(what: &str) -> NodeError {
    NodeError::NotFound {
        what: what.to_owned(),
    }
}

fn is_uid(uid: &str) -> bool {
    !uid.is_empty()
        && uid.len() <= 128
        && uid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Names become paths: nothing that could leave the pod's folder gets through.
fn check_names(document: &PodDocument) -> Result<(), NodeError> {
    let fail = |reason: String| Err(NodeError::Specification { reason });
    if !is_uid(&document.metadata.uid) {
        return fail(format!(
            "metadata.uid {:?} is not usable as a name",
            document.metadata.uid
        ));
    }
    let mut seen = std::collections::HashSet::new();
    for container in document.containers() {
        if !is_uid(&container.name) || !seen.insert(&container.name) {
            return fail(format!(
                "container name {:?} is not valid or not unique",
                container.name
            ));
        }
    }
    for volume in &document.spec.volumes {
        let name = volume
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !is_uid(name) {
            return fail(format!("volume name {name:?} is not valid"));
        }
    }
    Ok(())
}

fn identities(pods: &Path) -> Vec<Identity> {
    let read = |entry: std::fs::DirEntry| {
        let text = std::fs::read(entry.path().join("pod.json")).ok()?;
        let identity: Identity = serde_json::from_slice(&text).ok()?;
        (entry.file_name().to_str() == Some(&identity.uid)).then_some(identity)
    };
    std::fs::read_dir(pods)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(read)
        .collect()
}

/// Who of the pods of an earlier node holds which persistent volume. A pod has its
/// namespaces made once every volume is its own; until then it only waited, and
/// what it waited for may be another's, who goes on with it.
fn volumes_held(pods: &Path, identities: &[Identity]) -> HashMap<PathBuf, String> {
    let has_begun = |one: &&Identity| Sandbox::files(&pods.join(&one.uid)).0.exists();
    let held = |one: &Identity| {
        let uid = one.uid.clone();
        let paths = one.volumes.clone().into_iter();
        paths.map(move |path| (path, uid.clone()))
    };
    identities.iter().filter(has_begun).flat_map(held).collect()
}

/// Downloads that a killed node did not finish.
fn remove_unfinished(layers: &Path) {
    for entry in std::fs::read_dir(layers).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            let _ = force_remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_lock_in_a_starting_shim_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        let take = |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive);
        take(&file).unwrap();
        let copy = file.try_clone().unwrap();
        let held = Lock(file);
        assert!(take(&other).is_err());
        drop(held);
        take(&other).unwrap();
        drop(copy);
    }

    #[test]
    fn a_volume_is_not_the_pods_that_waited_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pods = folder.path();
        let volume = PathBuf::from("/volumes/data");
        for uid in ["a", "b"] {
            std::fs::create_dir(pods.join(uid)).unwrap();
            let identity = Identity {
                uid: uid.to_owned(),
                address: Ipv4Addr::UNSPECIFIED,
                volumes: vec![volume.clone()],
            };
            let text = serde_json::to_vec(&identity).unwrap();
            std::fs::write(pods.join(uid).join("pod.json"), text).unwrap();
        }
        let held = || volumes_held(pods, &identities(pods));
        assert_eq!(held(), HashMap::new());
        // Whichever of the two is read first.
        for uid in ["a", "b"] {
            let (state, _) = Sandbox::files(&pods.join(uid));
            std::fs::write(&state, "{}").unwrap();
            assert_eq!(held(), HashMap::from([(volume.clone(), uid.to_owned())]));
            std::fs::remove_file(state).unwrap();
        }
    }
}
