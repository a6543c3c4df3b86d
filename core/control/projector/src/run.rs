//! The projector's tasks: follows streams, watches clusters, sweeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalyst_ports::{PortError, SYSTEM_STREAM, Spine};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ingest::{self, Target};
use crate::model::{self, Model, Settings};
use crate::state::State;

/// Messages read at once while a model is built.
const PAGE: usize = 1_000;
/// How often silence is looked for.
const LISTEN: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(60);
/// What is gone is purged after so long. Longer than a spine remembers message
/// ids, so that something that comes back is not taken for what was.
const PURGE_AFTER: SignedDuration = SignedDuration::from_secs(600);

/// A model of all that the spine holds.
pub async fn load(spine: &dyn Spine, settings: Settings) -> Result<Model, PortError> {
    let mut model = Model::new(settings);
    catch_up(spine, &mut model, SYSTEM_STREAM).await?;
    for environment in model.environments() {
        catch_up(spine, &mut model, &environment).await?;
    }
    Ok(model)
}

async fn catch_up(spine: &dyn Spine, model: &mut Model, stream: &str) -> Result<(), PortError> {
    loop {
        let page = spine.read(stream, model.cursor(stream), PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        model.load(stream, &page);
    }
}

/// Runs until told to stop; everything that was started has then ended.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let topology = Arc::new(Notify::new());
    let mut running: BTreeMap<Job, CancellationToken> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut listen = tokio::time::interval(LISTEN);
    let mut silent = BTreeSet::new();
    let mut idle: BTreeMap<String, Timestamp> = BTreeMap::new();
    loop {
        let wanted = jobs(&state);
        running.retain(|job, stop| {
            let is_wanted = wanted.contains(job);
            if !is_wanted {
                stop.cancel();
            }
            is_wanted
        });
        for job in wanted {
            if running.contains_key(&job) {
                continue;
            }
            let stop = stop.child_token();
            tasks.spawn(start(
                Arc::clone(&state),
                job.clone(),
                Arc::clone(&topology),
                stop.clone(),
            ));
            running.insert(job, stop);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = topology.notified() => {}
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            _ = sweep.tick() => sweep_once(&state, &mut idle).await,
            _ = listen.tick() => silent = note_silence(&state, &silent),
        }
    }
    tasks.shutdown().await;
}

/// Something that goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Follow(String),
    Watch(Target),
}

/// What must go on, by what the model knows of the Sovereign.
fn jobs(state: &State) -> BTreeSet<Job> {
    let model = state.model();
    let mut jobs = BTreeSet::from([
        Job::Follow(SYSTEM_STREAM.to_owned()),
        Job::Watch(Target::Management),
    ]);
    jobs.extend(model.environments().into_iter().map(Job::Follow));
    let hosts = model.host_clusters().into_iter().map(Target::Host);
    let vclusters = model.vclusters().into_iter().map(Target::Vcluster);
    jobs.extend(hosts.chain(vclusters).map(Job::Watch));
    jobs
}

async fn start(state: Arc<State>, job: Job, topology: Arc<Notify>, stop: CancellationToken) {
    match job {
        Job::Watch(target) => ingest::watch_cluster(state, target, stop).await,
        Job::Follow(stream) => {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follow(&state, &stream, &topology) => {}
            }
        }
    }
}

async fn follow(state: &State, stream: &str, topology: &Notify) {
    let after = state.model().cursor(stream);
    let mut messages = state.spine.follow(stream, after);
    while let Some(message) = messages.next().await {
        match message {
            Ok(message) => {
                let _taking = state.taking.lock().await;
                let changes = state.model_mut().apply(stream, &message);
                state.announce(changes);
                if stream == SYSTEM_STREAM {
                    topology.notify_one();
                }
            }
            Err(error) => {
                tracing::warn!(stream, error = %error, "stream not followed for a moment");
            }
        }
    }
}

/// Tells followers of clusters that fell silent, or are heard again.
fn note_silence(state: &State, before: &BTreeSet<String>) -> BTreeSet<String> {
    let now = state.silent();
    let changed: BTreeSet<&String> = before.symmetric_difference(&now).collect();
    if changed.is_empty() {
        return now;
    }
    let items: Vec<_> = {
        let model = state.model();
        [
            model::Kind::Organization,
            model::Kind::Environment,
            model::Kind::Application,
            model::Kind::BlueprintSource,
        ]
        .into_iter()
        .flat_map(|kind| model.views(kind))
        .filter(|(_, view)| view.clusters.iter().any(|it| changed.contains(it)))
        .map(|(_, view)| (state.shown(view), view.organization.clone()))
        .collect()
    };
    for (item, organization) in items {
        state.hub.publish(item, organization);
    }
    now
}

/// Purges what is gone, and streams and clusters that nobody has any more.
/// `idle` says since when.
async fn sweep_once(state: &State, idle: &mut BTreeMap<String, Timestamp>) {
    let now = state.now();
    let before = now.saturating_sub(PURGE_AFTER).unwrap_or(now);
    let gone = state.model().purgeable(before);
    for (address, sequence) in gone {
        let purged = state
            .spine
            .purge(&address.stream, Some((&address.subject, sequence)));
        match purged.await {
            Ok(()) => state.model_mut().purged(&address),
            Err(error) => {
                tracing::warn!(subject = address.subject, error = %error, "message not purged");
                return;
            }
        }
    }
    let (environments, vclusters, hosts, clusters) = {
        let model = state.model();
        (
            model.environments(),
            model.vclusters(),
            model.host_clusters(),
            model.clusters(),
        )
    };
    let streams = match state.spine.streams().await {
        Ok(streams) => streams,
        Err(error) => {
            tracing::warn!(error = %error, "streams not listed");
            return;
        }
    };
    let lost_streams: Vec<String> = streams
        .into_iter()
        .filter(|stream| model::is_environment_stream(stream) && !environments.contains(stream))
        .collect();
    let lost_clusters: Vec<String> = clusters
        .into_iter()
        .filter(|cluster| {
            cluster != model::MANAGEMENT && !vclusters.contains(cluster) && !hosts.contains(cluster)
        })
        .collect();
    idle.retain(|name, _| lost_streams.contains(name) || lost_clusters.contains(name));
    let is_due = |idle: &mut BTreeMap<String, Timestamp>, name: &String| {
        let since = *idle.entry(name.clone()).or_insert(now);
        now.duration_since(since) >= PURGE_AFTER
    };
    for stream in lost_streams {
        if !is_due(idle, &stream) {
            continue;
        }
        let _taking = state.taking.lock().await;
        if let Err(error) = state.spine.purge(&stream, None).await {
            tracing::warn!(stream, error = %error, "stream not purged");
            continue;
        }
        let changes = state.model_mut().forget(&stream);
        state.announce(changes);
    }
    for cluster in lost_clusters {
        if !is_due(idle, &cluster) {
            continue;
        }
        let held = state.model().held_of_cluster(&cluster);
        for (address, kind, revision) in held {
            ingest::bury(state, &cluster, &kind, &address, &revision).await;
        }
    }
}
