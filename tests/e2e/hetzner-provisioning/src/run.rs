//! Provision, look, destroy. Destroying comes whatever happened before: success,
//! failure, panic, time-out, SIGTERM.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use catalyst_provisioner::Module;
use catalyst_provisioner::tofu::{Limits, ResourceState, Tofu, TofuEvent};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::deadline::{DESTROY, Granted};
use crate::report::Report;
use crate::settings::Settings;

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// The whole test.
pub async fn provision_and_destroy(settings: Settings) -> anyhow::Result<()> {
    private_folder(&settings)?;
    let fqdn = settings.config.sovereign_fqdn.clone();
    eprintln!(
        "provisioning {fqdn}; state and report in {}",
        settings.folder.display()
    );
    let cancel = canceled_by_signals()?;
    let settings = std::rc::Rc::new(settings);
    let report = std::rc::Rc::new(tokio::sync::Mutex::new(Report::new(
        &fqdn,
        settings.redactor(),
    )));
    // A task of its own, so that even its panic comes back here, and destroying follows.
    let work = tokio::task::spawn_local({
        let (settings, report) = (settings.clone(), report.clone());
        async move { provision(&settings, &report, &cancel).await }
    });
    let worked = work.await;
    let mut report = report.lock().await;
    // A step that failed has noted itself.
    if let Err(panic) = worked {
        let failed = Err(anyhow!("the harness failed by itself: {panic}"));
        report.note("harness", Instant::now(), false, &failed, false);
    }
    if settings.keep_on_failure && report.has_failed() {
        eprintln!(
            "KEPT, because E2E_KEEP_ON_FAILURE is true: {fqdn} goes on costing money; run `hetzner-provisioning destroy`, or wait for a later run's sweep"
        );
    } else {
        let begun = Instant::now();
        let destroyed = destroy(&settings).await;
        report.note("destroy, nothing left", begun, false, &destroyed, false);
    }
    report.write(&settings.folder)?;
    if report.has_failed() {
        bail!("{fqdn}: see the steps above");
    }
    Ok(())
}

/// For a second job: destroys from the state that a run that was cut off left.
pub async fn destroy_what_is_left(settings: Settings) -> anyhow::Result<()> {
    private_folder(&settings)?;
    destroy(&settings).await
}

fn private_folder(settings: &Settings) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(&settings.folder)
        .and_then(|()| {
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&settings.folder, mode)
        })
        .with_context(|| format!("cannot make {}", settings.folder.display()))
}

fn driver(settings: &Settings, limits: Limits, cancel: CancellationToken) -> Tofu {
    Tofu::new(
        &settings.tofu,
        &settings.folder,
        &settings.passphrase,
        &[("HCLOUD_TOKEN", settings.token.clone())],
        limits,
        cancel,
    )
}

fn tell(event: TofuEvent) {
    match event {
        TofuEvent::Resource {
            address,
            action,
            state,
            seconds,
        } if state != ResourceState::Begun => {
            eprintln!("   {address}: {action} {state:?}, {seconds} s");
        }
        TofuEvent::Diagnostic(found) => eprintln!("   {}: {}", found.summary, found.detail),
        _ => {}
    }
}

type Shared = tokio::sync::Mutex<Report>;

async fn provision(
    settings: &Settings,
    report: &Shared,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let grant = |asked| settings.deadline.grant(asked, SystemTime::now());
    let granted = grant(minutes(30));
    let limits = Limits {
        apply: granted.time,
        init: granted.time.min(minutes(10)),
        plan: granted.time.min(minutes(10)),
        ..Limits::default()
    };
    let tofu = driver(settings, limits, cancel.clone());
    let begun = Instant::now();
    let applied = apply(settings, &tofu).await;
    let addresses = noted(report, "apply", begun, granted, applied).await?;

    let granted = grant(minutes(5));
    let begun = Instant::now();
    let answered = reach(addresses.control_plane, 22, granted.time, cancel).await;
    noted(
        report,
        "TCP/22 on the control plane",
        begun,
        granted,
        answered,
    )
    .await?;

    let granted = grant(minutes(15));
    let begun = Instant::now();
    let answered = reach(addresses.load_balancer, 443, granted.time, cancel).await;
    report.lock().await.note(
        "TCP/443 on the load balancer",
        begun,
        granted.is_cut,
        &answered,
        true,
    );
    Ok(())
}

/// Notes a step's result, and goes on only with a good one.
async fn noted<T>(
    report: &Shared,
    step: &str,
    begun: Instant,
    granted: Granted,
    result: anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (told, result) = match result {
        Ok(value) => (Ok(()), Ok(value)),
        Err(error) => {
            let message = anyhow!("{error:#}");
            (Err(error), Err(message))
        }
    };
    report
        .lock()
        .await
        .note(step, begun, granted.is_cut, &told, false);
    result
}

struct Addresses {
    control_plane: Ipv4Addr,
    load_balancer: Ipv4Addr,
}

async fn apply(settings: &Settings, tofu: &Tofu) -> anyhow::Result<Addresses> {
    tofu.version().await?;
    tofu.stage(&Module::hetzner())?;
    tofu.write_variables(&settings.config.variables())?;
    tofu.init(&mut tell).await?;
    tofu.plan(&mut tell).await?;
    tofu.apply(&mut tell).await?;
    let outputs = tofu.outputs().await?;
    let address = |name: &str| -> anyhow::Result<Ipv4Addr> {
        let text = outputs
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.parse()
            .with_context(|| format!("the output {name} is {text:?}, not an IPv4 address"))
    };
    Ok(Addresses {
        control_plane: address("control_plane_ip")?,
        load_balancer: address("load_balancer_ip")?,
    })
}

/// Waits until a port takes a connection.
async fn reach(
    address: Ipv4Addr,
    port: u16,
    within: Duration,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let again = async {
        loop {
            let connect = tokio::net::TcpStream::connect((address, port));
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(5), connect).await {
                return;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    tokio::select! {
        () = again => Ok(()),
        () = tokio::time::sleep(within) => {
            bail!("{address}:{port} took no connection within {} s", within.as_secs())
        }
        () = cancel.cancelled() => bail!("interrupted while waiting for {address}:{port}"),
    }
}

/// Destroys, and proves by the state that nothing is left. It hears no signal: what has
/// been asked to stop has come here for that.
async fn destroy(settings: &Settings) -> anyhow::Result<()> {
    let limits = Limits {
        destroy: DESTROY,
        ..Limits::default()
    };
    let tofu = driver(settings, limits, CancellationToken::new());
    if !tofu.has_state() {
        eprintln!(
            "nothing to destroy: there is no state in {}",
            settings.folder.display()
        );
        return Ok(());
    }
    tofu.stage(&Module::hetzner())?;
    tofu.write_variables(&settings.config.variables())?;
    tofu.init(&mut tell).await?;
    Ok(tofu.destroy(&mut tell).await?)
}

fn canceled_by_signals() -> anyhow::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind).context("cannot listen for signals")?;
        let canceled = cancel.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                eprintln!(
                    "asked to stop: what is being made is ended in good order, then everything is destroyed"
                );
                canceled.cancel();
            }
        });
    }
    Ok(cancel)
}
