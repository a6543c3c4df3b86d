//! The read side: what happens in the Sovereign, as one read model.
//!
//! Two halves meet at the event spine. *Ingest* watches the management cluster,
//! host clusters and vclusters, takes the forge's webhooks, and publishes what
//! they say as facts (`fact.rs`; `strip.rs` says what may pass). *Projection*
//! reads the spine in order and keeps views (`model/`): a function of the
//! newest fact of each subject and of nothing else. The gateway asks
//! [`Projector`], and nobody else for state.
//!
//! What must stay true:
//! - No value of a Secret, ConfigMap, environment variable or Helm value enters
//!   the spine.
//! - The read model may be dropped at any time: built anew from the spine it is
//!   byte-equal ([`Projector::snapshot_bytes`], [`Projector::rebuild`]).
//! - Status is computed from facts and never latched; whether it is stale is
//!   decided when it is asked for, by the clock.
//!
//! Streams keep the newest message of each subject (the `Spine` port's
//! contract), so the log itself is the snapshot: a start reads as many messages
//! as there are things, and goes on from the last one. What is gone, and what
//! belongs to no Environment any more, is purged after a while.

mod fact;
mod hooks;
mod hub;
mod ingest;
mod kinds;
mod model;
mod place;
mod run;
mod state;
mod strip;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use catalyst_api::{
    ApplicationSummary, ApplicationView, BlueprintCard, BlueprintDetail, BlueprintSourceView,
    DeletionView, EnvironmentView, OrganizationView, PolicyView, PullRequestView, StreamItem,
    UpgradeView,
};
use catalyst_blueprint::Visibility;
use catalyst_ports::{Clusters, PortError, Spine};
use futures::Stream;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::hub::Hub;
use crate::model::{Kind, Settings, View};
use crate::state::State;

pub use crate::hub::{Changed, Update};
pub use crate::state::Clock;

/// The bucket in which runs of the process are counted.
const BUCKET: &str = "projector";
const RUNS: &str = "runs";

/// What a projector is built from.
#[derive(Clone)]
pub struct Config {
    /// The event spine.
    pub spine: Arc<dyn Spine>,
    /// The clusters to watch.
    pub clusters: Clusters,
    /// Where Applications are reached: its scheme and port stand in their URLs.
    pub applications: Url,
    /// The forge's base URL; a repository is `{git}/{owner}/{name}.git`.
    pub git: String,
    /// Tells the time, for staleness.
    pub clock: Clock,
}

impl Config {
    /// The system's clock.
    pub fn system_clock() -> Clock {
        Arc::new(jiff::Timestamp::now)
    }
}

/// The read side; clones share it.
#[derive(Clone)]
pub struct Projector {
    state: Arc<State>,
    settings: Settings,
}

impl Projector {
    /// Builds the read model from the spine.
    pub async fn open(config: Config) -> Result<Self, PortError> {
        let settings = Settings {
            applications: config.applications,
            git: config.git.trim_end_matches('/').to_owned(),
        };
        let run = next_run(&*config.spine).await?;
        let model = run::load(&*config.spine, settings.clone()).await?;
        let hub = Hub::new(run);
        let state = State::new(config.spine, config.clusters, model, hub, config.clock);
        Ok(Self {
            state: Arc::new(state),
            settings,
        })
    }

    /// Watches clusters and follows the spine until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        run::run(Arc::clone(&self.state), stop).await;
    }

    /// Drops the read model and builds it anew from the spine; followers are
    /// told to read everything anew.
    pub async fn rebuild(&self) -> Result<(), PortError> {
        let _taking = self.state.taking.lock().await;
        let model = run::load(&*self.state.spine, self.settings.clone()).await?;
        *self.state.model_mut() = model;
        self.state.hub.reset();
        Ok(())
    }

    /// Every view in a fixed order, without staleness: equal facts give equal
    /// bytes.
    pub fn snapshot_bytes(&self) -> Vec<u8> {
        self.state.model().snapshot_bytes()
    }

    /// Takes an event of the forge's webhook, Gitea's JSON, whose signature was
    /// checked. Events that concern no Environment are fine.
    pub async fn git_event(&self, event: &serde_json::Value) -> Result<(), PortError> {
        for fact in hooks::facts_of_event(event) {
            let payload = serde_json::to_vec(&fact.fact).map_err(|error| PortError::Prepare {
                action: format!("record {}", fact.address.subject),
                reason: error.to_string(),
            })?;
            let address = &fact.address;
            self.state
                .spine
                .publish(
                    &address.stream,
                    &address.subject,
                    &fact.message_id,
                    Bytes::from(payload),
                )
                .await?;
        }
        Ok(())
    }

    /// What changes after a position. Without a position, or with one that is
    /// too old or of an earlier run, the first update is a reset: read
    /// everything anew, what changes after that reading is not missed.
    pub fn subscribe(&self, after: Option<u64>) -> impl Stream<Item = Update> + Send + 'static {
        self.state.hub.subscribe(after)
    }

    /// All Organizations, by name.
    pub fn organizations(&self) -> Vec<OrganizationView> {
        self.all(Kind::Organization, "", organization)
    }

    /// An Organization.
    pub fn organization(&self, name: &str) -> Option<OrganizationView> {
        self.one(Kind::Organization, name, organization)
    }

    /// All Environments, by name.
    pub fn environments(&self) -> Vec<EnvironmentView> {
        self.all(Kind::Environment, "", environment)
    }

    /// An Environment.
    pub fn environment(&self, name: &str) -> Option<EnvironmentView> {
        self.one(Kind::Environment, name, environment)
    }

    /// The Applications of an Environment, by name.
    pub fn applications(&self, environment: &str) -> Vec<ApplicationSummary> {
        let prefix = format!("{environment}/");
        let views = self.all(Kind::Application, &prefix, application);
        views.into_iter().map(|view| view.summary).collect()
    }

    /// An Application.
    pub fn application(&self, environment: &str, name: &str) -> Option<ApplicationView> {
        let name = format!("{environment}/{name}");
        self.one(Kind::Application, &name, application)
    }

    /// The users who pushed or merged the newest commits of an Environment's
    /// repository, by commit; of commands, and of what the forge never told, none.
    pub fn pushers(&self, environment: &str) -> BTreeMap<String, String> {
        self.state.model().pushers(environment)
    }

    /// The newest listed version of every Blueprint, by source and name; of an
    /// Organization's own also what is private to it.
    pub fn blueprints(&self) -> Vec<BlueprintCard> {
        self.all(Kind::Blueprint, "", |item| match item {
            StreamItem::Blueprint(item) => Some(item),
            _ => None,
        })
    }

    /// One version of a Blueprint to somebody who `knows` of such as have this
    /// visibility; if none is named, the newest that is listed, or of all where none is.
    pub fn blueprint(
        &self,
        source: &str,
        name: &str,
        version: Option<&str>,
        knows: impl Fn(Visibility) -> bool,
    ) -> Option<BlueprintDetail> {
        let model = self.state.model();
        model.blueprint(source, name, version, knows)
    }

    /// The icon of a version, SVG, to somebody who `knows` of such.
    pub fn blueprint_icon(
        &self,
        source: &str,
        name: &str,
        version: &str,
        knows: impl Fn(Visibility) -> bool,
    ) -> Option<String> {
        let versions = self.state.model().blueprint_versions(source, name);
        let found = versions.into_iter().find(|it| it.version() == version)?;
        found
            .icon
            .filter(|_| knows(found.blueprint.spec.visibility))
    }

    /// Every source of Blueprints, by name, with what of it only its own may know.
    pub fn blueprint_sources(&self) -> Vec<BlueprintSourceView> {
        self.all(Kind::BlueprintSource, "", |item| match item {
            StreamItem::BlueprintSource(item) => Some(item),
            _ => None,
        })
    }

    /// All policies, by name.
    pub fn policies(&self) -> Vec<PolicyView> {
        self.all(Kind::Policy, "", |item| match item {
            StreamItem::Policy(item) => Some(item),
            _ => None,
        })
    }

    /// The pull requests of an Environment, newest first, without diffs.
    pub fn pull_requests(&self, environment: &str) -> Vec<PullRequestView> {
        let prefix = format!("{environment}/");
        let mut pulls = self.all(Kind::PullRequest, &prefix, pull_request);
        pulls.reverse();
        pulls
    }

    /// One pull request, without its diff.
    pub fn pull_request(&self, environment: &str, number: u64) -> Option<PullRequestView> {
        let name = model::pull_name(environment, number);
        self.one(Kind::PullRequest, &name, pull_request)
    }

    /// Deletions that go on or ended lately, the newest first.
    pub fn deletions(&self) -> Vec<DeletionView> {
        let mut deletions = self.all(Kind::Deletion, "", |item| match item {
            StreamItem::Deletion(item) => Some(item),
            _ => None,
        });
        deletions.sort_by(|one, other| other.started_at.cmp(&one.started_at));
        deletions
    }

    /// The fleet upgrades, by name.
    pub fn upgrades(&self) -> Vec<UpgradeView> {
        self.all(Kind::Upgrade, "", upgrade)
    }

    /// A fleet upgrade.
    pub fn upgrade(&self, name: &str) -> Option<UpgradeView> {
        self.one(Kind::Upgrade, name, upgrade)
    }

    fn all<T>(&self, kind: Kind, prefix: &str, unwrap: impl Fn(StreamItem) -> Option<T>) -> Vec<T> {
        let model = self.state.model();
        model
            .views(kind)
            .filter(|(name, _)| name.starts_with(prefix))
            .filter_map(|(_, view)| unwrap(self.state.shown(view)))
            .collect()
    }

    fn one<T>(
        &self,
        kind: Kind,
        name: &str,
        unwrap: impl Fn(StreamItem) -> Option<T>,
    ) -> Option<T> {
        let shown = |view: &View| unwrap(self.state.shown(view));
        self.state.model().view(kind, name).and_then(shown)
    }
}

fn organization(item: StreamItem) -> Option<OrganizationView> {
    match item {
        StreamItem::Organization(item) => Some(item),
        _ => None,
    }
}

fn environment(item: StreamItem) -> Option<EnvironmentView> {
    match item {
        StreamItem::Environment(item) => Some(item),
        _ => None,
    }
}

fn application(item: StreamItem) -> Option<ApplicationView> {
    match item {
        StreamItem::Application(item) => Some(*item),
        _ => None,
    }
}

fn pull_request(item: StreamItem) -> Option<PullRequestView> {
    match item {
        StreamItem::PullRequest(item) => Some(item),
        _ => None,
    }
}

fn upgrade(item: StreamItem) -> Option<UpgradeView> {
    match item {
        StreamItem::Upgrade(item) => Some(item),
        _ => None,
    }
}

/// Counts this run of the process, so that positions of earlier ones are told
/// apart.
async fn next_run(spine: &dyn Spine) -> Result<u64, PortError> {
    loop {
        let found = spine.bucket_get(BUCKET, RUNS).await?;
        let (before, revision) = match &found {
            Some(record) => {
                let text = String::from_utf8_lossy(&record.value);
                (text.parse::<u64>().unwrap_or_default(), record.revision)
            }
            None => (0, 0),
        };
        let run = before + 1;
        let value = Bytes::from(run.to_string());
        match spine.bucket_put(BUCKET, RUNS, value, Some(revision)).await {
            Ok(_) => return Ok(run),
            // Another process started at the same moment.
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
}
