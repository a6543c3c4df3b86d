//! Puts the controllers together: queues, watches of the management cluster,
//! sweeps and workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::application::Remembered;
use crate::context::Context;
use crate::groups::LastRead;
use crate::kubernetes::{
    BLUEPRINT, BLUEPRINT_SOURCE, ENVIRONMENT, FLEET_UPGRADE, ORGANIZATION, SOVEREIGN,
};
use crate::leaving::Leaving;
use crate::object::{is_deleting, name, text};
use crate::queue::Queue;
use crate::runtime::{Slot, sweep, work};
use crate::vclusters::Vclusters;
use crate::watching::{Interest, Seen, watch};
use crate::{
    access, application, blueprint, bootstrap, environment, fleet_upgrade, leftover, organization,
    source, sovereign,
};

/// A vcluster: an Organization on a host cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VclusterKey {
    /// The host cluster.
    pub host: String,
    /// Whose it is.
    pub organization: String,
}

/// An Application in one of its Environment's vclusters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApplicationKey {
    /// The vcluster.
    pub at: VclusterKey,
    /// The Environment, which is its namespace too.
    pub environment: String,
    /// The Application.
    pub name: String,
}

/// What all controllers share.
#[derive(Clone)]
pub struct Shared {
    /// The parts.
    pub ctx: Context,
    /// Names of Sovereigns.
    pub sovereigns: Queue<String>,
    /// Names of Organizations.
    pub organizations: Queue<String>,
    /// Names of Environments.
    pub environments: Queue<String>,
    /// Environments that are being deleted.
    pub leaving: Leaving,
    /// Vclusters that a deletion left behind.
    pub leftovers: Queue<VclusterKey>,
    /// Vclusters whose rights are to be looked at.
    pub access: Queue<VclusterKey>,
    /// Repositories of Blueprints in the registry, `source/name`.
    pub blueprints: Queue<String>,
    /// Names of fleet upgrades.
    pub fleet_upgrades: Queue<String>,
    /// Sources of Blueprints.
    pub sources: Queue<String>,
    /// Applications.
    pub applications: Queue<ApplicationKey>,
    /// What is followed.
    pub vclusters: Vclusters,
    /// What the application controller keeps between two looks.
    pub remembered: Arc<Remembered>,
    /// Why Blueprints were not admitted when that was last told.
    pub refusals: Arc<blueprint::Refusals>,
    /// What folders of sources were found to be.
    pub judged: Arc<source::Judged>,
    /// Who was in which group when that was last read.
    pub groups: Arc<LastRead>,
    /// The worker that this reconcile has.
    pub slot: Slot,
}

/// Runs all controllers until told to stop.
pub async fn run(ctx: Context, stop: CancellationToken) {
    let blueprints = ctx.repositories.clone();
    let shared = Shared {
        ctx,
        sovereigns: Queue::default(),
        organizations: Queue::default(),
        environments: Queue::default(),
        leaving: Leaving::default(),
        leftovers: Queue::default(),
        access: Queue::default(),
        blueprints,
        fleet_upgrades: Queue::default(),
        sources: Queue::default(),
        applications: Queue::default(),
        vclusters: Vclusters::new(stop.clone()),
        remembered: Arc::default(),
        refusals: Arc::default(),
        judged: Arc::default(),
        groups: Arc::default(),
        slot: Slot::default(),
    };
    if !first_bootstrap(&shared.ctx, &stop).await {
        return;
    }
    let mut tasks = JoinSet::new();
    watches(&shared, &stop, &mut tasks);
    sweeps(&shared, &stop, &mut tasks);
    groups(&shared, &stop, &mut tasks);
    workers(&shared, &stop, &mut tasks);
    while tasks.join_next().await.is_some() {}
}

/// Nothing can be watched before its kind is there.
async fn first_bootstrap(ctx: &Context, stop: &CancellationToken) -> bool {
    let mut wait = Duration::from_millis(100);
    loop {
        let attempt = tokio::select! {
            () = stop.cancelled() => return false,
            attempt = bootstrap::bootstrap(ctx) => attempt,
        };
        let Err(error) = attempt else {
            return true;
        };
        tracing::warn!(error = %error.chain(), "bootstrap failed, will be repeated");
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(Duration::from_secs(30));
    }
}

fn watches(shared: &Shared, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    let management = shared.ctx.management();
    let one = shared.clone();
    tasks.spawn(watch(
        management.clone(),
        SOVEREIGN,
        Interest::Wanted,
        stop.clone(),
        move |object, _| {
            one.sovereigns.add(name(object).to_owned());
            // Placement and trusted signers concern everything.
            for application in one.vclusters.applications() {
                one.applications.add(application);
            }
            let shared = one.clone();
            tokio::spawn(async move {
                // What fails here, the sweep does.
                let _ = environment::sweep(&shared).await;
                let _ = blueprint::sweep(&shared).await;
                let _ = source::sweep(&shared).await;
            });
        },
    ));
    let one = shared.clone();
    tasks.spawn(watch(
        management.clone(),
        ORGANIZATION,
        Interest::Wanted,
        stop.clone(),
        move |object, seen| {
            one.organizations.add(name(object).to_owned());
            one.sources.add(name(object).to_owned());
            if seen == Seen::Gone {
                return;
            }
            // An Environment may wait for its Organization.
            let (shared, organization) = (one.clone(), name(object).to_owned());
            tokio::spawn(async move {
                let found = organization::environments_of(&shared.ctx, &organization).await;
                for environment in found.unwrap_or_default() {
                    if crate::object::condition(&environment, "Ready")
                        .is_none_or(|ready| text(ready, "/status") != "True")
                    {
                        shared.environments.add(name(&environment).to_owned());
                    }
                }
            });
        },
    ));
    let one = shared.clone();
    tasks.spawn(watch(
        management.clone(),
        ENVIRONMENT,
        Interest::Wanted,
        stop.clone(),
        move |object, seen| {
            let is_leaving = seen == Seen::There && is_deleting(object);
            one.leaving.saw(name(object), is_leaving);
            one.environments.add(name(object).to_owned());
            // A deleted Environment may be what its Organization waits for.
            if seen == Seen::Gone {
                one.organizations
                    .add(text(object, "/spec/organization").to_owned());
            }
            for application in one.vclusters.applications() {
                if application.environment == name(object) {
                    one.applications.add(application);
                }
            }
        },
    ));
    let one = shared.clone();
    tasks.spawn(watch(
        management.clone(),
        FLEET_UPGRADE,
        Interest::Wanted,
        stop.clone(),
        move |object, _| one.fleet_upgrades.add(name(object).to_owned()),
    ));
    let one = shared.clone();
    tasks.spawn(watch(
        management.clone(),
        BLUEPRINT_SOURCE,
        Interest::Wanted,
        stop.clone(),
        move |object, _| one.sources.add(name(object).to_owned()),
    ));
    let one = shared.clone();
    tasks.spawn(watch(
        management,
        BLUEPRINT,
        Interest::Everything,
        stop.clone(),
        move |object, _| {
            for application in one.vclusters.of_blueprint(name(object)) {
                one.applications.add(application);
            }
        },
    ));
}

fn sweeps(shared: &Shared, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    macro_rules! sweep {
        ($kind:literal, $list:expr) => {{
            let (shared, stop) = (shared.clone(), stop.clone());
            tasks.spawn(async move {
                let list = $list;
                sweep($kind, stop, || list(&shared)).await;
            });
        }};
    }
    sweep!("bootstrap", async |shared: &Shared| bootstrap::bootstrap(
        &shared.ctx
    )
    .await);
    sweep!("Sovereign", async |shared: &Shared| {
        let name = crate::desired::management::sovereign_name(&shared.ctx.addresses.domain);
        shared.sovereigns.add(name);
        Ok(())
    });
    sweep!("Organization", async |shared: &Shared| organization::sweep(
        shared
    )
    .await);
    sweep!("Environment", async |shared: &Shared| environment::sweep(
        shared
    )
    .await);
    sweep!("leftover", async |shared: &Shared| leftover::sweep(shared)
        .await);
    sweep!("Blueprint", async |shared: &Shared| blueprint::sweep(
        shared
    )
    .await);
    sweep!("FleetUpgrade", async |shared: &Shared| {
        fleet_upgrade::sweep(shared).await
    });
    sweep!("BlueprintSource", async |shared: &Shared| source::sweep(
        shared
    )
    .await);
    sweep!("Application", async |shared: &Shared| {
        shared.remembered.forget_applied();
        for application in shared.vclusters.applications() {
            shared.applications.add(application);
        }
        Ok(())
    });
}

fn groups(shared: &Shared, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    let (shared, stop) = (shared.clone(), stop.clone());
    tasks.spawn(async move { crate::groups::follow(&shared, stop).await });
}

fn workers(shared: &Shared, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    macro_rules! worker {
        ($kind:literal, $queue:ident, $workers:literal, $reconcile:path) => {{
            let (shared, stop) = (shared.clone(), stop.clone());
            tasks.spawn(async move {
                let queue = shared.$queue.clone();
                work($kind, queue, $workers, stop, |key, slot| {
                    let shared = Shared {
                        slot,
                        ..shared.clone()
                    };
                    async move { $reconcile(&shared, &key).await }
                })
                .await;
            });
        }};
    }
    worker!("Sovereign", sovereigns, 1, sovereign::reconcile);
    worker!("Organization", organizations, 8, organization::reconcile);
    worker!("Environment", environments, 16, environment::reconcile);
    worker!("leftover", leftovers, 2, leftover::reconcile);
    worker!("access", access, 4, access::reconcile);
    worker!("Blueprint", blueprints, 4, blueprint::reconcile);
    worker!("FleetUpgrade", fleet_upgrades, 4, fleet_upgrade::reconcile);
    worker!("BlueprintSource", sources, 2, source::reconcile);
    worker!("Application", applications, 16, application::reconcile);
}
