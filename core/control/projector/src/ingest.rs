//! Watches clusters and publishes what they say as facts.
//!
//! Run by [`crate::Projector::run`]. What must stay true: what a list shows is
//! the truth, so after every list what is held and not shown is said to be
//! gone; nothing enters the spine that [`crate::strip`] does not let through;
//! a cluster that cannot be reached changes no fact.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use catalyst_ports::{Clusters, PortError, Spine};
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fact::{Address, Fact, GoneFact, ObjectFact, address_of_object, revision_of};
use crate::kinds::{HOST, MANAGEMENT, VCLUSTER, Watched};
use crate::model;
use crate::place::split_vcluster;
use crate::state::State;
use crate::strip::strip;

/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// How often a cluster is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Objects a page.
const PAGE: u32 = 500;
/// A watch is opened anew after so many seconds, as the server would end it.
const WATCH_SECONDS: u32 = 290;

/// A cluster that is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The management cluster.
    Management,
    /// A host cluster.
    Host(String),
    /// A vcluster by its qualified name.
    Vcluster(String),
}

impl Target {
    /// The name that facts carry.
    pub fn name(&self) -> &str {
        match self {
            Self::Management => model::MANAGEMENT,
            Self::Host(name) | Self::Vcluster(name) => name,
        }
    }

    fn kinds(&self) -> &'static [Watched] {
        match self {
            Self::Management => MANAGEMENT,
            Self::Host(_) => HOST,
            Self::Vcluster(_) => VCLUSTER,
        }
    }

    async fn client(&self, clusters: &Clusters) -> Result<Option<kube::Client>, PortError> {
        match self {
            Self::Management => Ok(Some(clusters.management())),
            Self::Host(name) => clusters.host(name).await.map(Some),
            Self::Vcluster(name) => match split_vcluster(name) {
                Some((host, organization)) => {
                    clusters
                        .vcluster(&host.to_string(), organization.as_str())
                        .await
                }
                None => Ok(None),
            },
        }
    }

    fn forget(&self, clusters: &Clusters) {
        match self {
            Self::Management => {}
            Self::Host(name) => clusters.forget(name, None),
            Self::Vcluster(name) => {
                if let Some((host, organization)) = split_vcluster(name) {
                    clusters.forget(&host.to_string(), Some(organization.as_str()));
                }
            }
        }
    }
}

/// Watches a cluster until told to stop.
pub async fn watch_cluster(state: Arc<State>, target: Target, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    tasks.spawn(heartbeat(Arc::clone(&state), target.clone()));
    for watched in target.kinds() {
        let watch = Watch {
            state: Arc::clone(&state),
            target: target.clone(),
            watched,
            held: state.model().held(target.name(), watched.kind),
        };
        tasks.spawn(watch.run());
    }
    // Dropping the set ends the tasks.
    stop.cancelled().await;
}

async fn heartbeat(state: Arc<State>, target: Target) {
    loop {
        let ask = async {
            let client = target.client(&state.clusters).await.ok()??;
            client.apiserver_version().await.ok()
        };
        match tokio::time::timeout(ANSWER_WITHIN, ask).await {
            Ok(Some(_)) => state.heard(target.name()),
            _ => target.forget(&state.clusters),
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// The watch of one kind in one cluster.
struct Watch {
    state: Arc<State>,
    target: Target,
    watched: &'static Watched,
    /// What the spine holds, by its revision.
    held: BTreeMap<Address, String>,
}

/// Why a watch starts over.
enum Ended {
    /// The server's history does not reach back; a list is needed.
    Expired,
    /// The kind is not served (yet), or the cluster is not there (yet).
    Absent,
    /// It failed.
    Failed(PortError),
}

impl Watch {
    async fn run(mut self) {
        let mut pause = PAUSE.0;
        loop {
            let started = Instant::now();
            let ended = self.session().await;
            if started.elapsed() > PAUSE.1 {
                pause = PAUSE.0;
            }
            match ended {
                Ended::Expired => pause = PAUSE.0,
                Ended::Absent => {}
                Ended::Failed(error) => {
                    tracing::debug!(
                        cluster = self.target.name(),
                        kind = self.watched.kind,
                        error = %error,
                        "watch interrupted"
                    );
                    self.target.forget(&self.state.clusters);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Lists, then follows; ends with a reason to start over.
    async fn session(&mut self) -> Ended {
        let client = match self.target.client(&self.state.clusters).await {
            Ok(Some(client)) => client,
            Ok(None) => return Ended::Absent,
            Err(error) => return Ended::Failed(error),
        };
        let resource = self.watched.resource();
        let api: Api<DynamicObject> = match self.watched.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let mut version = match self.list(&api).await {
            Ok(version) => version,
            Err(ended) => return ended,
        };
        loop {
            match self.follow(&api, &version).await {
                Ok(newest) => version = newest,
                Err(ended) => return ended,
            }
        }
    }

    /// Publishes all that is there, says of the rest that it is gone, and
    /// returns the version of the list.
    async fn list(&mut self, api: &Api<DynamicObject>) -> Result<String, Ended> {
        let mut seen = BTreeMap::new();
        let mut parameters = ListParams::default().limit(PAGE);
        if let Some(fields) = self.watched.fields {
            parameters = parameters.fields(fields);
        }
        loop {
            let (items, metadata) = if self.watched.metadata_only {
                let list = api.list_metadata(&parameters).await;
                let list = list.map_err(|error| self.ended("list", error))?;
                let items: Vec<Value> = list.items.iter().map(json_of_names).collect();
                (items, list.metadata)
            } else {
                let list = api.list(&parameters).await;
                let list = list.map_err(|error| self.ended("list", error))?;
                let items: Vec<Value> = list.items.iter().map(json_of).collect();
                (items, list.metadata)
            };
            for item in items {
                if let Some((address, revision)) = self.publish(&item).await {
                    seen.insert(address, revision);
                }
            }
            match metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => {
                    self.bury(&seen).await;
                    self.state.heard(self.target.name());
                    return Ok(metadata.resource_version.unwrap_or_default());
                }
            }
        }
    }

    /// Says of what is held and was not seen that it is gone.
    async fn bury(&mut self, seen: &BTreeMap<Address, String>) {
        let gone: Vec<Address> = self
            .held
            .keys()
            .filter(|address| !seen.contains_key(*address))
            .cloned()
            .collect();
        for address in gone {
            self.publish_gone(&address).await;
        }
    }

    /// Follows changes until the server ends the watch; the newest version.
    async fn follow(&mut self, api: &Api<DynamicObject>, version: &str) -> Result<String, Ended> {
        let mut parameters = WatchParams::default().timeout(WATCH_SECONDS);
        if let Some(fields) = self.watched.fields {
            parameters = parameters.fields(fields);
        }
        let mut newest = version.to_owned();
        let mut events = if self.watched.metadata_only {
            let events = api.watch_metadata(&parameters, version).await;
            let events = events.map_err(|error| self.ended("watch", error))?;
            events.map_ok(|event| map(event, json_of_names)).boxed()
        } else {
            let events = api.watch(&parameters, version).await;
            let events = events.map_err(|error| self.ended("watch", error))?;
            events.map_ok(|event| map(event, json_of)).boxed()
        };
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| self.ended("watch", error))?;
            self.state.heard(self.target.name());
            match event {
                Seen::Present(object) => {
                    newest = version_of(&object).unwrap_or(newest);
                    self.publish(&object).await;
                }
                Seen::Gone(object) => {
                    newest = version_of(&object).unwrap_or(newest);
                    if let Some((address, _)) = self.address(&object) {
                        self.publish_gone(&address).await;
                    }
                }
                Seen::Version(version) => newest = version,
                Seen::Expired => return Err(Ended::Expired),
            }
        }
        Ok(newest)
    }

    fn address(&self, object: &Value) -> Option<(Address, Option<String>)> {
        let metadata = object.get("metadata")?;
        address_of_object(self.target.name(), self.watched, metadata)
    }

    /// Publishes an object, unless the spine holds it at this revision.
    async fn publish(&mut self, object: &Value) -> Option<(Address, String)> {
        let (address, application) = self.address(object)?;
        let object = strip(object, &self.watched.api_version(), self.watched.kind);
        let revision = revision_of(&object);
        if self.held.get(&address) == Some(&revision) {
            return Some((address, revision));
        }
        let fact = Fact::Object(ObjectFact {
            cluster: self.target.name().to_owned(),
            application,
            object,
        });
        // Two subjects never share a revision's id.
        let id = format!("{}/{revision}", address.subject);
        if publish_fact(&*self.state.spine, &address, &id, &fact).await {
            self.held.insert(address.clone(), revision.clone());
        }
        Some((address, revision))
    }

    async fn publish_gone(&mut self, address: &Address) {
        let Some(revision) = self.held.get(address) else {
            return;
        };
        let (cluster, kind) = (self.target.name(), self.watched.kind);
        if bury(&self.state, cluster, kind, address, revision).await {
            self.held.remove(address);
        }
    }

    /// What an error means for the watch.
    fn ended(&self, verb: &str, error: kube::Error) -> Ended {
        match &error {
            kube::Error::Api(status) if status.code == 410 => Ended::Expired,
            kube::Error::Api(status) if status.code == 404 => Ended::Absent,
            _ => Ended::Failed(PortError::kubernetes(format!(
                "{verb} {} of {}",
                self.watched.plural,
                self.target.name()
            ))(error)),
        }
    }
}

/// Says that an object is gone; whether the spine took it.
pub async fn bury(
    state: &State,
    cluster: &str,
    kind: &str,
    address: &Address,
    revision: &str,
) -> bool {
    let (application, name) = state.model().owner_of(address).unwrap_or_default();
    let fact = Fact::Gone(GoneFact {
        cluster: cluster.to_owned(),
        application,
        kind: kind.to_owned(),
        name,
    });
    let id = format!("{}/{revision}/gone", address.subject);
    publish_fact(&*state.spine, address, &id, &fact).await
}

/// Publishes a fact, however long the spine is away: a fact that is left out
/// would be missed until the next list. Whether the spine took it: one that it refuses
/// is offered again by the next list, or when its object changes.
async fn publish_fact(spine: &dyn Spine, address: &Address, id: &str, fact: &Fact) -> bool {
    let payload = match serde_json::to_vec(fact) {
        Ok(payload) => Bytes::from(payload),
        Err(error) => {
            tracing::error!(subject = address.subject, %error, "fact not written as JSON");
            return false;
        }
    };
    let mut pause = PAUSE.0;
    loop {
        let published = spine.publish(&address.stream, &address.subject, id, payload.clone());
        match published.await {
            Ok(_) => return true,
            Err(error) if error.retryable() => {
                tracing::warn!(subject = address.subject, %error, "fact not published yet");
            }
            Err(error) => {
                tracing::error!(subject = address.subject, %error, "fact not published");
                return false;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// What a watch says.
enum Seen {
    Present(Value),
    Gone(Value),
    Version(String),
    Expired,
}

fn map<K>(event: WatchEvent<K>, json: impl Fn(&K) -> Value) -> Seen {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => Seen::Present(json(&object)),
        WatchEvent::Deleted(object) => Seen::Gone(json(&object)),
        WatchEvent::Bookmark(bookmark) => Seen::Version(bookmark.metadata.resource_version),
        // Whatever the server complains of, a list mends.
        WatchEvent::Error(_) => Seen::Expired,
    }
}

fn json_of(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn json_of_names(object: &PartialObjectMeta<DynamicObject>) -> Value {
    serde_json::json!({"metadata": object.metadata})
}

fn version_of(object: &Value) -> Option<String> {
    let version = object.pointer("/metadata/resourceVersion")?.as_str()?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests;
