//! What the projector's tasks share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use catalyst_api::{Health, StreamItem};
use catalyst_ports::{Clusters, Spine};
use jiff::{SignedDuration, Timestamp};

use crate::hub::Hub;
use crate::model::{Change, Model, View, shown_time};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// After so long a silence of its cluster, what is known of something is stale.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_secs(90);

/// The read model, who follows it, and when each cluster was last heard.
pub struct State {
    /// The spine.
    pub spine: Arc<dyn Spine>,
    /// The clusters.
    pub clusters: Clusters,
    /// Who follows.
    pub hub: Hub,
    /// Held by whoever takes messages in, so that none is lost while the model
    /// is exchanged.
    pub taking: tokio::sync::Mutex<()>,
    clock: Clock,
    model: RwLock<Model>,
    heard: Mutex<BTreeMap<String, Timestamp>>,
}

impl State {
    /// A state around a model.
    pub fn new(
        spine: Arc<dyn Spine>,
        clusters: Clusters,
        model: Model,
        hub: Hub,
        clock: Clock,
    ) -> Self {
        Self {
            spine,
            clusters,
            hub,
            taking: tokio::sync::Mutex::default(),
            clock,
            model: RwLock::new(model),
            heard: Mutex::default(),
        }
    }

    /// The model, to read.
    pub fn model(&self) -> RwLockReadGuard<'_, Model> {
        self.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model, to change.
    pub fn model_mut(&self) -> RwLockWriteGuard<'_, Model> {
        self.model.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Notes that a cluster has just said something.
    pub fn heard(&self, cluster: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(cluster.to_owned(), self.now());
    }

    /// Since when a cluster is silent, if that is too long. One that is asked
    /// about for the first time, since it is new, is silent from now on.
    pub fn silent_since(&self, cluster: &str) -> Option<Timestamp> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let last = *heard.entry(cluster.to_owned()).or_insert(now);
        (self.now().duration_since(last) > STALE_AFTER).then_some(last)
    }

    /// The clusters that are silent for too long.
    pub fn silent(&self) -> BTreeSet<String> {
        let mut clusters = self.model().clusters();
        clusters.insert(crate::model::MANAGEMENT.to_owned());
        clusters.retain(|cluster| self.silent_since(cluster).is_some());
        clusters
    }

    /// What a view shows as of now: stale when one of its clusters is silent.
    pub fn shown(&self, view: &View) -> StreamItem {
        let mut item = view.item.clone();
        let silent = view
            .clusters
            .iter()
            .find_map(|cluster| Some((cluster, self.silent_since(cluster)?)));
        if let Some((cluster, since)) = silent
            && let Some(health) = health_of(&mut item)
        {
            *health = stale(health, cluster, since);
        }
        item
    }

    /// Tells followers of changes.
    pub fn announce(&self, changes: Vec<Change>) {
        for change in changes {
            let item = match self.model().view(change.key.0, &change.key.1) {
                Some(view) => self.shown(view),
                None => change.item,
            };
            self.hub.publish(item, change.organization);
        }
    }
}

fn health_of(item: &mut StreamItem) -> Option<&mut Health> {
    match item {
        StreamItem::Organization(item) => Some(&mut item.health),
        StreamItem::Environment(item) => Some(&mut item.health),
        StreamItem::Application(item) => Some(&mut item.summary.health),
        StreamItem::BlueprintSource(item) => Some(&mut item.health),
        _ => None,
    }
}

fn stale(health: &Health, cluster: &str, since: Timestamp) -> Health {
    let since = shown_time(since);
    Health {
        phase: "Stale".to_owned(),
        reason: "NothingHeard".to_owned(),
        message: format!(
            "nothing was heard from the cluster {cluster} since {since}; before, it was {}: {}",
            health.phase, health.message
        ),
        observed_at: health.observed_at.clone(),
        since,
    }
}
