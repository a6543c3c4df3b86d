//! `catalyst up`: an embedded Sovereign in one process.
//!
//! Opens the data directory, builds the parts in dependency order, serves them
//! on one port, says where they are, and drains on SIGINT or SIGTERM. The only
//! place that knows all parts; each knows nothing of the others.
//!
//! What must stay true: from the signal to the end of the process it takes less
//! than 5 s, whatever anybody has open.

mod access;
mod api;
mod client;
mod control;
mod data;
mod gateway;
mod host_clusters;
mod identity;
mod kubeconfig;
mod kubelet;
mod metrics;
mod network_policy;
mod notifications;
mod parts;
pub mod payload;
mod pod_backend;
mod pod_events;
mod reach;
mod reflector;
mod report;
mod server;
mod spine;
mod this_node;
mod tls;
mod vclusters;
mod volumes;
mod workloads;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use catalyst_kubernetes::ApiError;
use catalyst_ports::PortError;
use catalyst_supply::RegistryError;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Hinted;
use crate::cli::output::tell;
use data::DataDirectory;
use kubeconfig::Administrator;
use parts::{Parts, Site};
use reach::Reach;
use report::{Addresses, Output, Progress};
use server::Surfaces;
use tls::Authority;

/// The status with which a part says that it has no room (RFC 4918, section 11.5).
const INSUFFICIENT_STORAGE: u16 = 507;
/// How long something that a killed process left behind may hold the address.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// From the signal to the end of the process. What was acknowledged is on disk by
/// then, so whatever would take longer is cut off.
const STOP_WITHIN: Duration = Duration::from_millis(4500);
/// Of that, what may go by before the store is closed.
const DRAIN_WITHIN: Duration = Duration::from_millis(3500);
/// How long the control plane may take to stop.
const CONTROL_WITHIN: Duration = Duration::from_secs(1);
/// How long pods that are ended too have between being asked and being killed; a
/// hook before it may take as long.
const POD_GRACE: Duration = Duration::from_millis(1500);
/// A name has 253 characters (RFC 1035), of which `APPLICATION.ENVIRONMENT.` may take
/// 40 + 1 + 37 + 1.
const LONGEST_DOMAIN: usize = 253 - 79;

/// Start an embedded Sovereign in the foreground; Ctrl-C stops it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that everything is kept in; `catalyst` in your data directory
    /// ($XDG_DATA_HOME, or ~/.local/share) unless given.
    #[arg(long, value_name = "DIR", env = "CATALYST_DATA")]
    data: Option<PathBuf>,
    /// The one address and port that everything is served on; anywhere but on
    /// loopback, over TLS only.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The domain of the Sovereign: an Application is reached at
    /// APPLICATION.ENVIRONMENT.DOMAIN.
    #[arg(long, default_value = "localhost", value_parser = domain)]
    domain: String,
    /// How the addresses are printed, once everything is ready.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// End the pods too when it stops; without this they go on running, and the next
    /// start takes them over.
    #[arg(long)]
    stop_pods: bool,
    /// The OSV database that Blueprints and Applications are compared with: an all.zip of
    /// osv.dev, a folder of those, or records as JSON. It is read again when it changes.
    #[arg(long, value_name = "PATH", env = "CATALYST_VULNERABILITIES")]
    vulnerabilities: Option<PathBuf>,
}

/// What asks the process to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    /// Waits for one of them.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let directory = match &arguments.data {
        Some(directory) => directory.clone(),
        None => default_directory()?,
    };
    let result = runtime.block_on(serve(arguments, &directory));
    // What still runs was told to stop. The last of it to go closes the store.
    let left = match &result {
        Ok(deadline) => deadline.saturating_duration_since(Instant::now()),
        Err(_) => Duration::ZERO,
    };
    runtime.shutdown_timeout(left);
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_full_disk(&error) => {
            let directory = directory.display();
            Err(error.context(Hinted::new(
                format!("cannot start with the data directory {directory}"),
                format!("the disk of {directory} is full; free space and start again"),
            )))
        }
        Err(error) => Err(error),
    }
}

/// Whether a failure comes of a full disk, met by this process itself or by one of
/// the parts that it asks.
fn is_full_disk(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let by_api = cause
            .downcast_ref::<ApiError>()
            .is_some_and(ApiError::is_storage_full);
        let by_registry = cause
            .downcast_ref::<RegistryError>()
            .is_some_and(RegistryError::is_full);
        let by_part = cause
            .downcast_ref::<PortError>()
            .is_some_and(|error| error.status() == Some(INSUFFICIENT_STORAGE));
        // What is in a box is a type of its own.
        let boxed = || cause.downcast_ref::<Box<kube::Error>>().map(|it| &**it);
        let by_kubernetes = match cause.downcast_ref::<kube::Error>().or_else(boxed) {
            Some(kube::Error::Api(status)) => has_cause(status, ApiError::STORAGE_FULL),
            _ => false,
        };
        by_api || by_registry || by_part || by_kubernetes || catalyst_store::is_disk_full(cause)
    })
}

fn has_cause(status: &kube::core::Status, reason: &str) -> bool {
    let details = status.details.iter();
    details
        .flat_map(|details| &details.causes)
        .any(|cause| cause.reason == reason)
}

/// Takes the address. Of a process that was killed, a child that had not come to its own
/// program yet may hold it for a moment longer.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + LEFT_BEHIND;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                tokio::time::sleep(LEFT_BEHIND / 20).await;
            }
            bound => return bound,
        }
    }
}

/// Serves until a signal comes; answers by when the process must have ended.
async fn serve(arguments: &Arguments, directory: &Path) -> anyhow::Result<Instant> {
    let mut progress = Progress::new(arguments.output);
    let stop = CancellationToken::new();
    let mut signals = Signals::listen()?;

    // Before anything is written: who cannot be reached leaves nothing behind.
    let listener = listen(arguments.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; choose another address with --listen",
            arguments.listen
        )
    })?;
    let address = listener
        .local_addr()
        .context("cannot read the address listened on")?;
    let data = DataDirectory::open(directory)?;
    let authority = Arc::new(Authority::open(&data, &arguments.domain)?);
    let tls = Arc::new(authority.server_config(&arguments.domain, address.ip())?);
    // Clients on this machine use plain HTTP on loopback; anywhere else TLS.
    let scheme = if address.ip().is_loopback() {
        "http"
    } else {
        "https"
    };
    let host = if address.ip().is_unspecified() {
        format!("{}:{}", arguments.domain, address.port())
    } else {
        address.to_string()
    };
    let base = format!("{scheme}://{host}");

    let site = Site {
        kubernetes: format!("https://{host}/clusters"),
        kubernetes_here: format!("https://{}/clusters", reach::local(address)),
        base,
        host,
        domain: arguments.domain.clone(),
        authority: authority.certificate().to_owned(),
        vulnerabilities: arguments.vulnerabilities.clone(),
    };

    let reach = Reach::new(&site.authority, &site.domain, address)?;
    let parts = tokio::select! {
        parts = Parts::open(&data, &site, &authority, &reach, &mut progress) => parts?,
        // Nobody was served yet, so there is nothing to drain.
        () = signals.any() => return Ok(Instant::now() + STOP_WITHIN),
    };
    let surfaces = Surfaces {
        router: parts.router(),
        gateway: parts.gateway(),
        metrics: parts.metrics(),
    };
    // The port is bound already, so what is asked of the issuer waits for it.
    parts.connect();
    let server = tokio::spawn(server::serve(listener, tls, surfaces, stop.clone()));

    let Site {
        base,
        host,
        kubernetes,
        ..
    } = site;
    let kubeconfig = data.join("kubeconfig");
    let mut administrator = Administrator::new(
        kubeconfig.clone(),
        kubernetes.clone(),
        parts.clusters(),
        authority,
    );
    administrator.renew(OffsetDateTime::now_utc())?;
    progress.ready("server");
    let mut tasks = JoinSet::new();
    let mut maintenance = Box::pin(parts.maintain(administrator, stop.clone()));
    let getting_ready = async {
        parts.control().start(&stop, &mut tasks).await?;
        parts.control().publish().await
    };
    let is_ready = tokio::select! {
        done = getting_ready => {
            done?;
            true
        }
        () = maintenance.as_mut() => bail!("the maintenance of the parts ended by itself"),
        () = signals.any() => false,
    };
    if is_ready {
        progress.ready("blueprints");
        let sign_in = parts.first_sign_in().await?;
        progress.finish(&Addresses {
            console: format!("{base}/"),
            sign_in,
            api: format!("{base}/api/v1"),
            openapi: format!("{base}/api/v1/openapi.json"),
            kubernetes,
            git: format!("{base}/git"),
            registry: host,
            issuer: format!("{base}/oidc"),
            vault: format!("{base}/vault"),
            kubeconfig: kubeconfig.display().to_string(),
            ready_millis: progress.elapsed_millis(),
        })?;
        parts.set_ready();
        tokio::select! {
            () = signals.any() => {}
            () = maintenance.as_mut() => bail!("the maintenance of the parts ended by itself"),
        }
    }
    let deadline = Instant::now() + STOP_WITHIN;
    tracing::info!("stopping");
    stop.cancel();
    drop(maintenance);
    drain(parts, tasks, server, arguments, directory, deadline).await?;
    Ok(deadline)
}

/// Lets everything that was told to stop come to its end, then closes the store.
async fn drain(
    mut parts: Parts,
    mut tasks: JoinSet<()>,
    mut server: JoinHandle<()>,
    arguments: &Arguments,
    directory: &Path,
    deadline: Instant,
) -> anyhow::Result<()> {
    let control = async {
        // What the control plane is in the middle of is taken up at the next start.
        let ended = async { while tasks.join_next().await.is_some() {} };
        drop(tokio::time::timeout(CONTROL_WITHIN, ended).await);
        tasks.abort_all();
    };
    let pods = async {
        if arguments.stop_pods {
            parts.end_pods(POD_GRACE).await;
        }
    };
    let ended = async { tokio::join!(&mut server, control, pods).0 };
    let served = tokio::time::timeout(DRAIN_WITHIN, ended).await;
    server.abort();
    let alive = parts.pods_alive();
    if alive > 0 && arguments.output == Output::Text {
        tell(&about_pods(alive, directory));
    }
    if tokio::time::timeout_at(deadline.into(), parts.close())
        .await
        .is_err()
    {
        tracing::warn!("the store was not closed in time; nothing that was acknowledged is lost");
    }
    match served {
        Ok(served) => served.context("the server ended badly"),
        Err(_) => {
            tracing::warn!("what had not ended in time was cut off");
            Ok(())
        }
    }
}

/// Takes a lock, whether or not somebody panicked who had it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What whoever stopped a Sovereign must know about pods that outlive it.
fn about_pods(alive: usize, directory: &Path) -> String {
    let (pods, them) = match alive {
        1 => ("1 pod goes".to_owned(), "it"),
        _ => (format!("{alive} pods go"), "them"),
    };
    let directory = directory.display();
    format!(
        "{pods} on running; the next `catalyst up` with this data directory takes {them} over. \
         To end {them} as well, start `catalyst up --data {directory} --stop-pods` and stop it."
    )
}

/// Reads a domain below which Applications can have names (RFC 1123), in small letters.
fn domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an IP address, which has no names below it.
    let is_address = text
        .rsplit('.')
        .next()
        .is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
    if text.len() > LONGEST_DOMAIN {
        return Err(format!(
            "it is longer than {LONGEST_DOMAIN} characters, which leaves no room for the names below it"
        ));
    }
    if is_address || !text.split('.').all(is_label) {
        return Err(
            "it is no domain: write labels of letters, digits and hyphens with dots between them, such as sovereign.example"
                .to_owned(),
        );
    }
    Ok(text.to_ascii_lowercase())
}

fn default_directory() -> anyhow::Result<PathBuf> {
    if let Some(base) = std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(base).join("catalyst"));
    }
    match std::env::var_os("HOME").filter(|value| !value.is_empty()) {
        Some(home) => Ok(PathBuf::from(home).join(".local/share/catalyst")),
        None => bail!(
            "cannot choose a data directory: neither XDG_DATA_HOME nor HOME is set; pass --data DIR"
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_stops_it_is_told_of_the_pods_and_the_way_to_end_them() {
        assert_eq!(
            about_pods(1, Path::new("/data")),
            "1 pod goes on running; the next `catalyst up` with this data directory takes it over. \
             To end it as well, start `catalyst up --data /data --stop-pods` and stop it."
        );
        assert!(about_pods(3, Path::new("/data")).starts_with("3 pods go on running; "));
    }

    #[test]
    fn a_full_disk_is_told_from_other_causes() {
        let registry = |status| RegistryError::Refused {
            action: "push to",
            reference: "127.0.0.1:8080/catalog/bp-x".to_owned(),
            status,
            detail: String::new(),
        };
        let part = |status| PortError::Ask {
            part: "forge",
            action: "make the repository".to_owned(),
            status,
            reason: "no".to_owned(),
        };
        let kubernetes = |causes: &[&str]| {
            let causes: Vec<_> = causes.iter().map(|it| json!({"reason": it})).collect();
            let status = json!({"code": 503, "details": {"causes": causes}});
            let status: kube::core::Status = serde_json::from_value(status).unwrap();
            PortError::kubernetes("write the object")(kube::Error::Api(Box::new(status)))
        };
        let store = |is_full| catalyst_store::CommitError::Disk {
            reason: "no".into(),
            is_full,
        };
        let system = std::io::Error::from_raw_os_error;
        let of = |error: anyhow::Error| is_full_disk(&error.context("cannot put the image there"));
        assert!(of(system(libc::ENOSPC).into()));
        assert!(of(system(libc::EDQUOT).into()));
        assert!(of(std::io::Error::other(system(libc::ENOSPC)).into()));
        assert!(of(registry(507).into()));
        assert!(of(part(507).into()));
        assert!(of(kubernetes(&["Other", ApiError::STORAGE_FULL]).into()));
        assert!(of(ApiError::storage_full("no").into()));
        assert!(of(store(true).into()));
        assert!(!of(registry(503).into()));
        assert!(!of(part(503).into()));
        assert!(!of(kubernetes(&[]).into()));
        assert!(!of(ApiError::unavailable("no").into()));
        assert!(!of(store(false).into()));
        assert!(!of(system(libc::EADDRINUSE).into()));
        // Words alone are nobody's.
        assert!(!of(anyhow::anyhow!("disk is full of noise")));
    }

    #[test]
    fn a_domain_is_one_below_which_names_can_be() {
        for (text, expected) in [
            ("localhost", Some("localhost")),
            ("Sovereign.Example", Some("sovereign.example")),
            ("a-1.b.c2", Some("a-1.b.c2")),
            ("bad domain", None),
            ("", None),
            (".example", None),
            ("example.", None),
            ("a..b", None),
            ("-a.example", None),
            ("a_b.example", None),
            ("*.example", None),
            ("https://a.example", None),
            ("127.0.0.1", None),
            ("::1", None),
            ("exämple.org", None),
        ] {
            assert_eq!(domain(text).ok().as_deref(), expected, "{text:?}");
        }
        let long = ["a"; 88].join(".");
        assert!(domain(&long).is_err_and(|why| why.contains("longer")));
    }

    #[test]
    fn there_is_time_to_close_the_store_after_the_last_request() {
        for (shorter, longer) in [
            (server::DRAIN + server::CUT, DRAIN_WITHIN),
            (CONTROL_WITHIN, DRAIN_WITHIN),
            (2 * POD_GRACE, DRAIN_WITHIN),
            (DRAIN_WITHIN, STOP_WITHIN),
            (STOP_WITHIN, Duration::from_secs(5)),
        ] {
            assert!(shorter < longer, "{shorter:?} {longer:?}");
        }
    }
}
