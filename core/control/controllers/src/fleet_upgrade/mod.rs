//! FleetUpgrade: carries it out, a wave at a time, by ordinary commands in the name of
//! who asked for it, and says in its status how far each Application is.
//!
//! What there is to know stands in Git and in that status alone, which is written after
//! every step, so that whoever comes after a `kill -9` goes on where this one stood: what
//! was committed is seen to be, and a pull request that is there is found, not opened
//! again. What must stay true: `catalyst_blueprint::fleet` says what begins; a stop lasts
//! until somebody raises `spec.attempt`; nothing is rolled back here, because no rollback
//! brings data back, and what failed is what somebody has to look at.

mod run;

use std::time::Duration;

use catalyst_commands::{CommandError, Standing, Turn};
use catalyst_ports::PullState;
use catalyst_resources::{
    FleetUpgradeSpec, FleetUpgradeStatus, UpgradeMember, UpgradeState, UpgradedApplication,
};
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::conditions;
use crate::context::{Context, spec};
use crate::controllers::Shared;
use crate::error::ReconcileError;
use crate::kubernetes::{APPLICATION, Cluster, ENVIRONMENT, FLEET_UPGRADE};
use crate::object::{array, generation, is_deleting, name, text};
use crate::runtime::{Next, ever_more_rarely};

use run::{Look, Run, seen};

/// How many Applications are looked at at a time.
const PARALLEL: usize = 12;
/// How soon, and how rarely at most, what rolls out is looked at.
const LOOK: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];
/// The same for what waits for people: the forge says when they have done something, and
/// this only finds what it could not say.
const LOOK_AT_PULL: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(900)];

/// Goes on with one fleet upgrade.
pub async fn reconcile(shared: &Shared, upgrade: &str) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let management = ctx.management();
    let Some(object) = management.get(FLEET_UPGRADE, "", upgrade).await? else {
        return Ok(None);
    };
    if is_deleting(&object) {
        return Ok(None);
    }
    let wanted: FleetUpgradeSpec = spec(&object)?;
    let mut run = Run::new(&wanted, &before(&object), clock::now());
    look(ctx, &wanted, &mut run).await;
    let mut failure = None;
    // One after the other, each noted before the next: nothing begins beside a failure.
    while let Some(place) = run.next_turn() {
        // A wave may be large, and somebody may cancel it meanwhile.
        let current = management.get(FLEET_UPGRADE, "", upgrade).await?;
        if current.is_none_or(|it| generation(&it) != generation(&object)) {
            return Ok(Some(Duration::ZERO));
        }
        run.set_now(clock::now());
        let outcome = turn(ctx, upgrade, &wanted, &mut run, place).await;
        write(&management, &object, &run).await?;
        if let Err(error) = outcome {
            failure = Some(error);
            break;
        }
    }
    run.settle();
    write(&management, &object, &run).await?;
    match failure {
        Some(error) => Err(error),
        None => Ok(again(&run)),
    }
}

/// Every fleet upgrade, for the sweep.
pub async fn sweep(shared: &Shared) -> Result<(), ReconcileError> {
    let all = shared.ctx.management().list(FLEET_UPGRADE, "", "").await?;
    for one in &all {
        shared.fleet_upgrades.add(name(one).to_owned());
    }
    Ok(())
}

/// What was observed last; nothing where that cannot be read any more, as it is found out
/// anew.
fn before(object: &Value) -> FleetUpgradeStatus {
    let status = object.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

async fn write(management: &Cluster, object: &Value, run: &Run) -> Result<(), ReconcileError> {
    let (status, observed) = run.told();
    let mut fields = Map::new();
    // Absent ones are null, so that the patch takes them away.
    fields.insert("phase".to_owned(), json!(status.phase));
    fields.insert("wave".to_owned(), json!(status.wave));
    fields.insert("stoppedAttempt".to_owned(), json!(status.stopped_attempt));
    fields.insert("applications".to_owned(), json!(status.applications));
    conditions::write(management, object, &[observed], fields).await
}

/// When to look again; nothing where nothing is under way.
fn again(run: &Run) -> Next {
    let waited = |state: UpgradeState, [soonest, latest]: [Duration; 2]| -> Next {
        let since = run.newest(state)?;
        let waited = clock::seconds_since(since).unwrap_or(0);
        Some(ever_more_rarely(waited, soonest, latest))
    };
    let rolling = waited(UpgradeState::RollingOut, LOOK);
    let proposed = waited(UpgradeState::Proposed, LOOK_AT_PULL);
    match (rolling, proposed) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Looks at everything that was begun and is not through.
async fn look(ctx: &Context, wanted: &FleetUpgradeSpec, run: &mut Run) {
    let looks: Vec<_> = run
        .under_way()
        .into_iter()
        .map(|(place, member, record)| {
            async move { (place, look_at(ctx, wanted, member, record).await) }.boxed()
        })
        .collect();
    let found: Vec<_> = stream::iter(looks).buffered(PARALLEL).collect().await;
    for (place, look) in found {
        run.take(place, look);
    }
}

async fn look_at(
    ctx: &Context,
    wanted: &FleetUpgradeSpec,
    member: &UpgradeMember,
    record: &UpgradedApplication,
) -> Look {
    let commands = &ctx.commands;
    let is_proposed = record.state == UpgradeState::Proposed;
    let since = record.since.as_deref().unwrap_or_default();
    match commands.upgrade_standing(wanted, member).await {
        Ok(Standing::There) => return rollout(ctx, wanted, member, since).await,
        Ok(Standing::Left(why)) => return Look::Left(why),
        Ok(Standing::Behind) if is_proposed => {}
        // Nothing will ever roll it out.
        Ok(Standing::Behind) => {
            return Look::Failed(
                "it does not have the version in Git any more; look at its history, then resume or cancel"
                    .to_owned(),
            );
        }
        Err(error) if is_proposed => return unknown(&error),
        // The cluster knows without the forge how it goes.
        Err(_) => return rollout(ctx, wanted, member, since).await,
    }
    let pull = record.pull_request.and_then(|it| u64::try_from(it).ok());
    let Some(number) = pull else {
        return Look::Failed("its pull request is not known; resume to open it".to_owned());
    };
    match commands.upgrade_pull(member, number).await {
        Ok(PullState::Closed) => Look::Failed(format!(
            "its pull request {number} was closed and not merged"
        )),
        Ok(PullState::Open | PullState::Merged) => Look::Unchanged,
        Err(error) => unknown(&error),
    }
}

/// What a look says that could not be had: waiting may help, or nothing does.
fn unknown(error: &CommandError) -> Look {
    if error.retryable() {
        Look::Unchanged
    } else {
        Look::Failed(told(error))
    }
}

/// What failed, why, and what to do.
fn told(error: &CommandError) -> String {
    let problem = error.problem();
    let detail = problem.detail_with_faults();
    match problem.next {
        Some(next) => format!("{detail}; {next}"),
        None => detail,
    }
}

/// How the rollout of an Application goes, in all vclusters of its Environment.
async fn rollout(
    ctx: &Context,
    wanted: &FleetUpgradeSpec,
    member: &UpgradeMember,
    since: &str,
) -> Look {
    match applications(ctx, member).await {
        Ok(objects) => seen(&objects, &wanted.blueprint.version, since),
        // Who stays silent for too long runs out of time.
        Err(error) => Look::RollingOut(error.chain()),
    }
}

async fn applications(
    ctx: &Context,
    member: &UpgradeMember,
) -> Result<Vec<Option<Value>>, ReconcileError> {
    let environment = ctx
        .management()
        .get(ENVIRONMENT, "", &member.environment)
        .await?;
    let Some(environment) = environment else {
        return Ok(Vec::new());
    };
    let organization = text(&environment, "/spec/organization");
    let suffix = format!("-{organization}");
    let mut found = Vec::new();
    let vclusters = array(&environment, "/status/vclusters").iter();
    for vcluster in vclusters.filter_map(Value::as_str) {
        let host = vcluster.strip_suffix(suffix.as_str()).unwrap_or(vcluster);
        let object = match ctx.vcluster_of(host, organization).await? {
            Some(cluster) => {
                let (space, name) = (&member.environment, &member.application);
                cluster.get(APPLICATION, space, name).await?
            }
            None => None,
        };
        found.push(object);
    }
    Ok(found)
}

/// Gives one Application its turn. An error is one after which the same may succeed; what
/// cannot is written down as the Application's failure.
async fn turn(
    ctx: &Context,
    upgrade: &str,
    wanted: &FleetUpgradeSpec,
    run: &mut Run,
    place: (usize, usize),
) -> Result<(), ReconcileError> {
    let Some(member) = run.member(place) else {
        return Ok(());
    };
    let look = match ctx.commands.upgrade_turn(upgrade, wanted, member).await {
        Ok(Turn::Committed(commit)) => Look::Committed(commit),
        Ok(Turn::Proposed(number)) => Look::Proposed(number),
        Ok(Turn::Left(why)) => Look::Left(why),
        Err(error) if error.retryable() => {
            let object = format!("{}/{}", member.environment, member.application);
            let why = error.told();
            run.take(place, Look::Delayed(why.clone()));
            return Err(ReconcileError::missing("upgrade", object, why));
        }
        Err(error) => Look::Failed(told(&error)),
    };
    run.take(place, look);
    Ok(())
}

#[cfg(test)]
mod tests;
