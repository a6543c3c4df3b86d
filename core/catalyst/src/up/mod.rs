//! `catalyst up`: an embedded Sovereign in one process.
//!
//! Opens the data directory, builds the parts in dependency order, serves them
//! on one port, says where they are, and drains on SIGINT or SIGTERM. The only
//! place that knows all parts; each knows nothing of the others.

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
mod parts;
mod payload;
mod pod_backend;
mod reflector;
mod report;
mod server;
mod spine;
mod tls;
mod vclusters;
mod workloads;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use data::DataDirectory;
use parts::{Parts, Site};
use report::{Addresses, Output, Progress};
use server::Surfaces;
use tls::Authority;

/// How long the control plane may take to stop.
const STOP_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Start an embedded Sovereign in the foreground.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where everything is kept.
    #[arg(long, value_name = "DIR", env = "CATALYST_DATA")]
    data: Option<PathBuf>,
    /// Address and port of every surface.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The domain below which Applications are reached.
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// How the addresses are printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Runs until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let result = runtime.block_on(serve(arguments));
    // What still runs has been told to stop and was given its time.
    runtime.shutdown_background();
    result
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let mut progress = Progress::new(arguments.output);
    let directory = match &arguments.data {
        Some(directory) => directory.clone(),
        None => default_directory()?,
    };
    let data = DataDirectory::open(&directory)?;
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;

    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; choose another address with --listen",
            arguments.listen
        )
    })?;
    let address = listener
        .local_addr()
        .context("cannot read the address listened on")?;
    let authority = Authority::open(&data, &arguments.domain)?;
    let names = [arguments.domain.clone(), format!("*.{}", arguments.domain)];
    let tls = Arc::new(authority.server_config(&names, address.ip())?);
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
        base,
        host,
        domain: arguments.domain.clone(),
        authority: authority.certificate().to_owned(),
    };

    let http = reqwest::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_pem(site.authority.as_bytes())?)
        .no_proxy()
        .build()
        .context("cannot build the HTTP client")?;
    let parts = Parts::open(&data, &site, &authority, http, &mut progress).await?;
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
    let administrator = authority.issue_client("sovereign-admin", &["system:masters"])?;
    kubeconfig::write(
        &kubeconfig,
        &kubernetes,
        &parts.clusters(),
        authority.certificate(),
        &administrator,
    )?;
    progress.ready("server");
    let mut tasks = JoinSet::new();
    parts.control().start(&stop, &mut tasks).await?;
    let mut maintenance = Box::pin(parts.maintain(stop.clone()));
    tokio::select! {
        published = parts.control().publish() => published?,
        () = maintenance.as_mut() => bail!("the maintenance of the parts ended by itself"),
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    }
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
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = maintenance.as_mut() => bail!("the maintenance of the parts ended by itself"),
    }
    tracing::info!("stopping");
    stop.cancel();
    drop(maintenance);
    // What the control plane is in the middle of is taken up at the next start.
    let ended = async { while tasks.join_next().await.is_some() {} };
    drop(tokio::time::timeout(STOP_WITHIN, ended).await);
    tasks.abort_all();
    server.await.context("the server ended badly")?;
    parts.close().await;
    Ok(())
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
