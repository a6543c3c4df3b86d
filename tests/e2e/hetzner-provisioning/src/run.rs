//! Provision, look, destroy. Destroying comes whatever happened before: success,
//! failure, panic, time-out, SIGTERM.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use catalyst_provisioner::Module;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::deadline::{Budget, Granted, Port};
use crate::destroy::destroy;
use crate::driver::{driver, tell};
use crate::report::Report;
use crate::settings::Settings;

/// A connection shows less than it seems to.
const CONNECTED: &str = "the load balancer takes connections; it may do so before any node behind it answers, and whether one does is not looked at";

/// A run, and what is known of it.
pub struct Run {
    pub settings: Settings,
    /// Whether anything of this run's name may be in the project.
    pub may_have_made: Cell<bool>,
    report: RefCell<Report>,
}

impl Run {
    fn new(settings: Settings) -> anyhow::Result<Rc<Self>> {
        private_folder(&settings)?;
        let report = Report::new(&settings.config.sovereign_fqdn, settings.redactor());
        Ok(Rc::new(Self {
            settings,
            may_have_made: Cell::new(false),
            report: RefCell::new(report),
        }))
    }

    /// Notes how a step ended that nothing cuts short and whose failure fails the run.
    pub fn note<T>(&self, step: &str, begun: Instant, result: &anyhow::Result<T>) {
        let result = result.as_ref().map(|_| "");
        self.report
            .borrow_mut()
            .note(step, begun, false, result, false);
    }

    /// Notes a step's result, and gives it back.
    fn noted<T>(
        &self,
        step: &str,
        begun: Instant,
        granted: Granted,
        result: anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let told = result.as_ref().map(|_| "");
        self.report
            .borrow_mut()
            .note(step, begun, granted.is_cut, told, false);
        result
    }

    fn has_failed(&self) -> bool {
        self.report.borrow().has_failed()
    }
}

/// The whole test.
pub async fn provision_and_destroy(settings: Settings) -> anyhow::Result<()> {
    let run = Run::new(settings)?;
    eprintln!(
        "provisioning {}; state and report in {}",
        run.settings.config.sovereign_fqdn,
        run.settings.folder.display()
    );
    let cancel = canceled_by_signals()?;
    let work = {
        let run = run.clone();
        async move { provision(&run, &cancel).await }
    };
    always_destroyed(&run, work).await
}

/// Does the work, and destroys behind it, whatever became of it.
async fn always_destroyed(
    run: &Run,
    work: impl Future<Output = anyhow::Result<()>> + 'static,
) -> anyhow::Result<()> {
    let settings = &run.settings;
    let fqdn = &settings.config.sovereign_fqdn;
    let begun = Instant::now();
    // A task of its own, so that even its panic comes back here, and destroying follows.
    // A step that failed has noted itself.
    if let Err(panic) = tokio::task::spawn_local(work).await {
        let failed: anyhow::Result<()> = Err(anyhow!("the harness failed by itself: {panic}"));
        run.note("harness", begun, &failed);
    }
    if settings.keep_on_failure && run.has_failed() {
        eprintln!(
            "KEPT, because E2E_KEEP_ON_FAILURE is true: {fqdn} goes on costing money; run `E2E_RUN_ID={} hetzner-provisioning destroy`, or wait for a sweep, which removes it once it is two hours old",
            settings.run
        );
    } else {
        destroy(run).await;
    }
    run.report.borrow().write(&settings.folder)?;
    if run.has_failed() {
        bail!("{fqdn}: see the steps above");
    }
    Ok(())
}

/// For a second job: destroys what a run that was cut off left, by the state that it
/// uploaded, if it did, and by its label.
pub async fn destroy_what_is_left(settings: Settings) -> anyhow::Result<()> {
    if !settings.is_named {
        bail!(
            "cannot destroy what a run left: E2E_RUN_ID is not set; it names the run, which its state and its labels go by"
        );
    }
    let run = Run::new(settings)?;
    run.may_have_made.set(true);
    destroy(&run).await;
    if run.has_failed() {
        bail!(
            "{}: see the steps above",
            run.settings.config.sovereign_fqdn
        );
    }
    Ok(())
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

async fn provision(run: &Run, cancel: &CancellationToken) -> anyhow::Result<()> {
    let settings = &run.settings;
    let times = &settings.times;
    let grant = |asked| settings.deadline.grant(asked, SystemTime::now());

    let granted = grant(times.making);
    let budget = Budget::of(granted.time, SystemTime::now());
    let begun = Instant::now();
    let applied = apply(run, budget, cancel).await;
    let addresses = run.noted("apply", begun, granted, applied)?;

    let granted = grant(times.ssh.within);
    let begun = Instant::now();
    let answered = reach(addresses.control_plane, times.ssh, granted, cancel).await;
    run.noted("TCP/22 on the control plane", begun, granted, answered)?;

    let granted = grant(times.https.within);
    let begun = Instant::now();
    let answered = reach(addresses.load_balancer, times.https, granted, cancel).await;
    run.report.borrow_mut().note(
        "TCP/443 on the load balancer",
        begun,
        granted.is_cut,
        answered.as_ref().map(|()| CONNECTED),
        true,
    );
    Ok(())
}

struct Addresses {
    control_plane: Ipv4Addr,
    load_balancer: Ipv4Addr,
}

async fn apply(run: &Run, budget: Budget, cancel: &CancellationToken) -> anyhow::Result<Addresses> {
    let settings = &run.settings;
    let times = &settings.times;
    let in_time = |call| driver(settings, budget, call, cancel);
    in_time(times.read)?.version().await?;
    let tofu = in_time(times.init)?;
    tofu.stage(&Module::hetzner())?;
    tofu.write_variables(&settings.config.variables())?;
    tofu.init(&mut tell).await?;
    in_time(times.plan)?.plan(&mut tell).await?;
    let tofu = in_time(times.apply)?;
    run.may_have_made.set(true);
    tofu.apply(&mut tell).await?;
    let outputs = in_time(times.read)?.outputs().await?;
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
    port: Port,
    granted: Granted,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let (number, within) = (port.number, granted.time);
    let again = async {
        loop {
            let connect = tokio::net::TcpStream::connect((address, number));
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(5), connect).await {
                return;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    tokio::select! {
        () = again => Ok(()),
        () = tokio::time::sleep(within) => {
            bail!("{address}:{number} took no connection within {} s", within.as_secs())
        }
        () = cancel.cancelled() => bail!("interrupted while waiting for {address}:{number}"),
    }
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

#[cfg(test)]
mod scenes;
