//! Services and egress: every connection that leaves a pod ends at a listener
//! the node holds inside that pod's network, and goes on only if the
//! [`Policy`] says so.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::sandbox::Sandbox;

/// How long reaching a backend may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// First of the addresses that stand for external names inside a pod (RFC 2544).
const EXTERNAL_FIRST: u32 = u32::from_be_bytes([198, 18, 0, 1]);
/// How many external names one pod may use.
const EXTERNAL_LIMIT: usize = 4096;

/// A pod as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRef {
    /// Its uid.
    pub uid: String,
    /// Its namespace, qualified by cluster when several clusters share the node.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Who may talk to whom. Asked for every connection.
pub trait Policy: Send + Sync {
    /// Whether `from` may connect to a port of `to`.
    fn is_allowed(&self, from: &PodRef, to: &PodRef, port: u16) -> bool;
    /// Whether `from` may connect to an address that is no pod's. `host` is the
    /// name it asked for, when it asked for one.
    fn is_external_allowed(
        &self,
        from: &PodRef,
        host: Option<&str>,
        address: IpAddr,
        port: u16,
    ) -> bool;
    /// Whether `from` may look the names of a namespace up.
    fn is_visible(&self, from: &PodRef, namespace: &str) -> bool {
        let _ = (from, namespace);
        true
    }
}

/// Nobody may talk to anybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenyAll;

impl Policy for DenyAll {
    fn is_allowed(&self, _: &PodRef, _: &PodRef, _: u16) -> bool {
        false
    }
    fn is_external_allowed(&self, _: &PodRef, _: Option<&str>, _: IpAddr, _: u16) -> bool {
        false
    }
}

/// A Service with its ready backends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Namespace, written as in [`PodRef::namespace`].
    pub namespace: String,
    /// Namespace as pods write it in host names.
    pub dns_namespace: String,
    /// Pods of which scope see the Service by name; equal scopes match.
    pub scope: String,
    /// Name.
    pub name: String,
    /// Cluster address; absent for a headless Service.
    pub cluster_ip: Option<Ipv4Addr>,
    /// Port and ready backends.
    pub ports: Vec<ServicePort>,
    /// Host names of backends, for a headless Service: `<name>.<service>`.
    pub hostnames: BTreeMap<String, Ipv4Addr>,
}

/// One port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// The Service's port.
    pub port: u16,
    /// Ready backends: pods of this node, or addresses the node reaches itself.
    pub targets: Vec<SocketAddrV4>,
}

/// What all pods' networks share.
pub(crate) struct Switch {
    pods: RwLock<HashMap<String, Member>>,
    services: RwLock<Arc<Vec<Service>>>,
    policy: RwLock<Arc<dyn Policy>>,
    pub(crate) egress_ports: Vec<u16>,
}

#[derive(Clone)]
struct Member {
    pod: Arc<PodRef>,
    scope: String,
    dns_namespace: String,
    sandbox: Sandbox,
    links: Arc<Links>,
}

/// Listeners of one pod.
#[derive(Default)]
struct Links {
    listeners: Mutex<HashMap<SocketAddrV4, (Destination, JoinHandle<()>)>>,
    external: Mutex<HashMap<String, Ipv4Addr>>,
    resolver: Mutex<Vec<JoinHandle<()>>>,
    sync: tokio::sync::Mutex<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        for (_, task) in guard(&self.listeners).values() {
            task.abort();
        }
        for task in guard(&self.resolver).iter() {
            task.abort();
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    Service(SocketAddrV4),
    Pod(SocketAddrV4),
    External(String, u16),
}

/// Answer to a name lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    Addresses(Vec<Ipv4Addr>),
    Unknown,
    Refused,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Switch {
    pub(crate) fn new(policy: Arc<dyn Policy>, egress_ports: Vec<u16>) -> Arc<Self> {
        Arc::new(Self {
            pods: RwLock::default(),
            services: RwLock::default(),
            policy: RwLock::new(policy),
            egress_ports,
        })
    }

    pub(crate) fn policy(&self) -> Arc<dyn Policy> {
        self.policy
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn services(&self) -> Arc<Vec<Service>> {
        self.services
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn members(&self) -> Vec<Member> {
        self.pods
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    fn member(&self, uid: &str) -> Option<Member> {
        self.pods
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uid)
            .cloned()
    }

    fn member_at(&self, address: Ipv4Addr) -> Option<Member> {
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        pods.values().find(|m| m.pod.address == address).cloned()
    }

    /// The namespaces of a running pod.
    pub(crate) fn sandbox(&self, uid: &str) -> Option<Sandbox> {
        self.member(uid).map(|m| m.sandbox)
    }

    /// Replaces the Services; listeners follow before this returns.
    pub(crate) async fn set_services(self: &Arc<Self>, services: Vec<Service>) {
        {
            let mut current = self
                .services
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if **current == services {
                return;
            }
            *current = Arc::new(services);
        }
        self.sync_all().await;
    }

    /// Replaces the policy; open connections that it forbids are cut.
    pub(crate) async fn set_policy(self: &Arc<Self>, policy: Arc<dyn Policy>) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
        self.sync_all().await;
    }

    /// Connects a pod: from now on Services and names work in it.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        pod: PodRef,
        scope: String,
        dns_namespace: String,
        sandbox: Sandbox,
        name_server: Ipv4Addr,
    ) -> Result<(), crate::NodeError> {
        let uid = pod.uid.clone();
        let links = Arc::new(Links::default());
        let tasks = crate::dns::serve(self, &uid, &sandbox, name_server).await?;
        *guard(&links.resolver) = tasks;
        let member = Member {
            pod: Arc::new(pod),
            scope,
            dns_namespace,
            sandbox,
            links,
        };
        self.pods
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid, member);
        // A new pod is also a new backend address for the others.
        self.sync_all().await;
        Ok(())
    }

    /// Forgets a pod and closes its listeners.
    pub(crate) fn detach(&self, uid: &str) {
        self.pods
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }

    async fn sync_all(self: &Arc<Self>) {
        for member in self.members() {
            self.sync(&member).await;
        }
    }

    /// Makes a pod's listeners what Services and policy ask for.
    async fn sync(self: &Arc<Self>, member: &Member) {
        let _turn = member.links.sync.lock().await;
        let mut desired: HashMap<SocketAddrV4, Destination> = HashMap::new();
        for service in self.services().iter().filter(|s| s.scope == member.scope) {
            for port in &service.ports {
                let open = port.targets.iter().any(|t| self.may_reach(member, *t));
                match service.cluster_ip {
                    Some(address) if open || port.targets.is_empty() => {
                        let listen = SocketAddrV4::new(address, port.port);
                        // A Service without backends refuses instead of hanging.
                        if open {
                            desired.insert(listen, Destination::Service(listen));
                        }
                    }
                    Some(_) => {}
                    None => {
                        for target in port
                            .targets
                            .iter()
                            .filter(|t| *t.ip() != member.pod.address)
                        {
                            if self.may_reach(member, *target) {
                                desired.insert(*target, Destination::Pod(*target));
                            }
                        }
                    }
                }
            }
        }
        let external: Vec<(String, Ipv4Addr)> = guard(&member.links.external)
            .iter()
            .map(|(n, a)| (n.clone(), *a))
            .collect();
        for (name, address) in external {
            for port in &self.egress_ports {
                desired.insert(
                    SocketAddrV4::new(address, *port),
                    Destination::External(name.clone(), *port),
                );
            }
        }
        guard(&member.links.listeners).retain(|address, (destination, task)| {
            let keep = desired.get(address) == Some(destination) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        for (address, destination) in desired {
            if guard(&member.links.listeners).contains_key(&address) {
                continue;
            }
            match member.sandbox.listen(address).await {
                Ok(listener) => {
                    let task = tokio::spawn(accept(
                        Arc::downgrade(self),
                        member.pod.uid.clone(),
                        listener,
                        destination.clone(),
                    ));
                    guard(&member.links.listeners).insert(address, (destination, task));
                }
                Err(e) => {
                    tracing::warn!(pod = %member.pod.name, %address, error = %e, "cannot offer a Service")
                }
            }
        }
    }

    fn may_reach(&self, from: &Member, target: SocketAddrV4) -> bool {
        match self.member_at(*target.ip()) {
            Some(to) => self.policy().is_allowed(&from.pod, &to.pod, target.port()),
            None => self.policy().is_external_allowed(
                &from.pod,
                None,
                IpAddr::V4(*target.ip()),
                target.port(),
            ),
        }
    }

    /// Opens the way to a destination, if there is one and the policy allows it.
    async fn open(
        &self,
        from: &Member,
        destination: &Destination,
        turn: usize,
    ) -> Option<TcpStream> {
        match destination {
            Destination::Pod(target) => self.open_target(from, *target).await,
            Destination::Service(listen) => {
                let services = self.services();
                let targets: Vec<SocketAddrV4> = services
                    .iter()
                    .filter(|s| s.scope == from.scope && s.cluster_ip == Some(*listen.ip()))
                    .flat_map(|s| &s.ports)
                    .filter(|p| p.port == listen.port())
                    .flat_map(|p| p.targets.iter().copied())
                    .collect();
                for step in 0..targets.len() {
                    let target = targets.get((turn + step) % targets.len())?;
                    if let Some(stream) = self.open_target(from, *target).await {
                        return Some(stream);
                    }
                }
                None
            }
            Destination::External(host, port) => {
                let lookup = tokio::time::timeout(
                    CONNECT_DEADLINE,
                    tokio::net::lookup_host((host.as_str(), *port)),
                );
                for address in lookup.await.ok()?.ok()? {
                    if !self.policy().is_external_allowed(
                        &from.pod,
                        Some(host),
                        address.ip(),
                        *port,
                    ) {
                        continue;
                    }
                    let attempt =
                        tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await;
                    if let Ok(Ok(stream)) = attempt {
                        return Some(stream);
                    }
                }
                None
            }
        }
    }

    async fn open_target(&self, from: &Member, target: SocketAddrV4) -> Option<TcpStream> {
        if !self.may_reach(from, target) {
            return None;
        }
        match self.member_at(*target.ip()) {
            Some(to) => to.sandbox.connect(target).await.ok(),
            None => {
                let attempt =
                    tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(target)).await;
                attempt.ok()?.ok()
            }
        }
    }

    /// Looks a name up as the pod sees it.
    pub(crate) async fn lookup(self: &Arc<Self>, uid: &str, name: &str) -> Lookup {
        let Some(member) = self.member(uid) else {
            return Lookup::Refused;
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" {
            return Lookup::Addresses(vec![Ipv4Addr::LOCALHOST]);
        }
        if let Some(inside) = name
            .strip_suffix(".svc.cluster.local")
            .or_else(|| name.strip_suffix(".svc"))
        {
            return self.lookup_service(&member, inside);
        }
        if name.ends_with(".cluster.local") {
            return Lookup::Unknown;
        }
        if !name.contains('.') {
            // A resolver without search domains asks for the bare name.
            return self.lookup_service(&member, &format!("{name}.{}", member.dns_namespace));
        }
        if let found @ Lookup::Addresses(_) = self.lookup_service(&member, &name) {
            return found;
        }
        self.lookup_external(&member, name).await
    }

    fn lookup_service(&self, member: &Member, name: &str) -> Lookup {
        let parts: Vec<&str> = name.split('.').collect();
        let (host, service, namespace) = match parts.as_slice() {
            [service, namespace] => (None, *service, *namespace),
            [host, service, namespace] => (Some(*host), *service, *namespace),
            _ => return Lookup::Unknown,
        };
        let services = self.services();
        let found = services
            .iter()
            .find(|s| s.scope == member.scope && s.name == service && s.dns_namespace == namespace);
        let Some(found) = found.filter(|s| self.policy().is_visible(&member.pod, &s.namespace))
        else {
            return Lookup::Unknown;
        };
        match (host, found.cluster_ip) {
            (Some(host), _) => match found.hostnames.get(host) {
                Some(address) => Lookup::Addresses(vec![*address]),
                None => Lookup::Unknown,
            },
            (None, Some(address)) => Lookup::Addresses(vec![address]),
            (None, None) => {
                let mut addresses: Vec<Ipv4Addr> = found
                    .ports
                    .iter()
                    .flat_map(|p| &p.targets)
                    .map(|t| *t.ip())
                    .collect();
                addresses.sort_unstable();
                addresses.dedup();
                Lookup::Addresses(addresses)
            }
        }
    }

    /// Gives an external name an address of its own inside the pod, where the
    /// node listens and decides connection by connection.
    async fn lookup_external(self: &Arc<Self>, member: &Member, name: String) -> Lookup {
        let resolved = match tokio::time::timeout(
            CONNECT_DEADLINE,
            tokio::net::lookup_host((name.as_str(), 0)),
        )
        .await
        {
            Ok(Ok(addresses)) => addresses.map(|a| a.ip()).collect::<Vec<_>>(),
            Ok(Err(_)) => return Lookup::Unknown,
            Err(_) => return Lookup::Refused,
        };
        let policy = self.policy();
        let open = resolved.iter().any(|address| {
            self.egress_ports
                .iter()
                .any(|port| policy.is_external_allowed(&member.pod, Some(&name), *address, *port))
        });
        if !open {
            return Lookup::Refused;
        }
        let address = {
            let mut external = guard(&member.links.external);
            let next = external.len();
            if next >= EXTERNAL_LIMIT && !external.contains_key(&name) {
                return Lookup::Refused;
            }
            *external
                .entry(name)
                .or_insert_with(|| Ipv4Addr::from(EXTERNAL_FIRST + next as u32))
        };
        self.sync(member).await;
        Lookup::Addresses(vec![address])
    }
}

/// Accepts the connections of one pod to one destination.
async fn accept(
    switch: std::sync::Weak<Switch>,
    uid: String,
    listener: tokio::net::TcpListener,
    destination: Destination,
) {
    // Connections live in this task, so that closing the listener cuts them.
    let mut connections = tokio::task::JoinSet::new();
    let mut turn = 0usize;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((mut stream, _)) = accepted else {
            // Out of descriptors: let some close before trying again.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        turn = turn.wrapping_add(1);
        let (switch, uid, destination) = (switch.clone(), uid.clone(), destination.clone());
        connections.spawn(async move {
            let Some(switch) = switch.upgrade() else {
                return;
            };
            let Some(member) = switch.member(&uid) else {
                return;
            };
            let opened = switch.open(&member, &destination, turn).await;
            // Held no longer than needed: a pod that leaves must be dropped.
            drop((member, switch));
            match opened {
                Some(mut backend) => {
                    let _ = stream.set_nodelay(true);
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut backend).await;
                }
                None => {
                    // A reset, so that the client fails now and not at its first read.
                    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                }
            }
        });
    }
}
