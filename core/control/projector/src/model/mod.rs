//! The read model: facts in, views out. Pure: no clock, no network.
//!
//! What must stay true: a view is a function of the newest fact of each
//! subject, and of nothing else. So the order in which streams are read does
//! not matter, a stream that forgot what was said twice gives the same views,
//! and a model that is built anew from the spine is byte-equal to the old one.

mod blueprints;
mod health;
mod json;
mod objects;
mod sources;
#[cfg(test)]
mod tests;
mod upgrades;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{Removed, StreamItem};
use catalyst_blueprint::Visibility;
use catalyst_ports::{SYSTEM_STREAM, SpineMessage};
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use crate::fact::{Address, Fact, Held, ObjectFact, PullFact, ReviewFact, read};

pub use json::shown_time;
pub use views::{MANAGEMENT, is_environment_stream};

/// Commits of an Environment's repository that are remembered.
const COMMITS: usize = 500;
/// Deletions that are remembered.
const DELETIONS: usize = 200;

/// What views need to know of the Sovereign.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Applications are reached: scheme and port count.
    pub applications: Url,
    /// The forge's base URL.
    pub git: String,
}

/// What a view is of; the order is that of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An Organization.
    Organization,
    /// An Environment.
    Environment,
    /// An Application, `{environment}/{application}`.
    Application,
    /// A Blueprint, `{source}/{name}`.
    Blueprint,
    /// A source of Blueprints.
    BlueprintSource,
    /// A policy.
    Policy,
    /// A pull request, `{environment}/{number}`, the number in ten digits.
    PullRequest,
    /// A deletion, `{kind}/{name}`.
    Deletion,
    /// A fleet upgrade.
    Upgrade,
}

impl Kind {
    /// The word that [`Removed`] uses.
    fn word(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Environment => "environment",
            Self::Application => "application",
            Self::Blueprint => "blueprint",
            Self::BlueprintSource => "blueprintSource",
            Self::Policy => "policy",
            Self::PullRequest => "pullRequest",
            Self::Deletion => "deletion",
            Self::Upgrade => "upgrade",
        }
    }
}

/// Names a view.
pub type Key = (Kind, String);

/// A view with what decides who sees it and when it is stale.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// What is shown.
    pub item: StreamItem,
    /// The Organization that it belongs to; `None`: the Sovereign.
    pub organization: Option<String>,
    /// The clusters that it was learned from.
    pub clusters: BTreeSet<String>,
}

/// A change of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which view.
    pub key: Key,
    /// What it shows now, or that it is gone.
    pub item: StreamItem,
    /// The Organization that it belongs to; `None`: the Sovereign.
    pub organization: Option<String>,
}

/// The facts of a stream, by subject.
type Facts = BTreeMap<String, Held>;

/// The facts that are held, and the views that follow from them.
pub struct Model {
    settings: Settings,
    streams: BTreeMap<String, Facts>,
    /// Objects that are gone: their last messages may be purged.
    gone: BTreeMap<Address, (u64, Timestamp)>,
    cursors: BTreeMap<String, u64>,
    deletions: BTreeMap<String, (u64, catalyst_api::DeletionView)>,
    views: BTreeMap<Key, View>,
}

impl Model {
    /// A model without facts.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            streams: BTreeMap::new(),
            gone: BTreeMap::new(),
            cursors: BTreeMap::new(),
            deletions: BTreeMap::new(),
            views: BTreeMap::new(),
        }
    }

    /// The sequence up to which a stream was taken in.
    pub fn cursor(&self, stream: &str) -> u64 {
        self.cursors.get(stream).copied().unwrap_or_default()
    }

    /// Takes a message in, and says what changes. A message that was taken in
    /// before changes nothing.
    pub fn apply(&mut self, stream: &str, message: &SpineMessage) -> Vec<Change> {
        let touched = self.take(stream, message);
        self.recompute(touched)
    }

    /// Takes many messages in at once; what changes is said together.
    pub fn load(&mut self, stream: &str, messages: &[SpineMessage]) -> Vec<Change> {
        let mut touched = BTreeSet::new();
        for message in messages {
            touched.extend(self.take(stream, message));
        }
        self.recompute(touched)
    }

    /// Forgets an Environment's stream, because it was purged.
    pub fn forget(&mut self, stream: &str) -> Vec<Change> {
        let known: BTreeSet<Key> = self.keys_of_environment(stream);
        self.streams.remove(stream);
        self.cursors.remove(stream);
        self.gone.retain(|address, _| address.stream != stream);
        self.recompute(known)
    }

    /// The views, by kind and name.
    pub fn views(&self, kind: Kind) -> impl Iterator<Item = (&str, &View)> {
        self.views
            .range((kind, String::new())..)
            .take_while(move |((found, _), _)| *found == kind)
            .map(|((_, name), view)| (name.as_str(), view))
    }

    /// One view.
    pub fn view(&self, kind: Kind, name: &str) -> Option<&View> {
        self.views.get(&(kind, name.to_owned()))
    }

    /// Every view as JSON, in a fixed order: equal facts give equal bytes.
    pub fn snapshot_bytes(&self) -> Vec<u8> {
        let views: Vec<_> = self
            .views
            .iter()
            .map(|((kind, name), view)| (kind.word(), name, &view.item))
            .collect();
        serde_json::to_vec(&views).unwrap_or_default()
    }

    /// Names of the Environments that exist.
    pub fn environments(&self) -> Vec<String> {
        self.system_objects("Environment")
            .map(|(fact, _)| json::text(&fact.object, "/metadata/name").to_owned())
            .collect()
    }

    /// Qualified names of the vclusters that Environments have.
    pub fn vclusters(&self) -> BTreeSet<String> {
        self.system_objects("Environment")
            .flat_map(|(fact, _)| json::list(&fact.object, "/status/vclusters"))
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// Names of the Sovereign's host clusters.
    pub fn host_clusters(&self) -> BTreeSet<String> {
        self.system_objects("Sovereign")
            .flat_map(|(fact, _)| json::list(&fact.object, "/spec/hostClusters"))
            .map(|host| json::text(host, "/name").to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The objects that are held of a cluster's kind, with their revisions.
    pub fn held(&self, cluster: &str, kind: &str) -> BTreeMap<Address, String> {
        self.held_of_cluster(cluster)
            .into_iter()
            .filter(|(_, found, _)| found == kind)
            .map(|(address, _, revision)| (address, revision))
            .collect()
    }

    /// All objects that are held of a cluster: place, kind and revision.
    pub fn held_of_cluster(&self, cluster: &str) -> Vec<(Address, String, String)> {
        let mut held = Vec::new();
        for (stream, facts) in &self.streams {
            for (subject, it) in facts {
                if let Fact::Object(fact) = &it.fact
                    && fact.cluster == cluster
                {
                    let address = Address {
                        stream: stream.clone(),
                        subject: subject.clone(),
                    };
                    let kind = json::text(&fact.object, "/kind").to_owned();
                    held.push((address, kind, crate::fact::revision_of(&fact.object)));
                }
            }
        }
        held
    }

    /// The Application that an object belongs to, and the object's name.
    pub fn owner_of(&self, address: &Address) -> Option<(Option<String>, String)> {
        let held = self.streams.get(&address.stream)?.get(&address.subject)?;
        match &held.fact {
            Fact::Object(fact) => {
                let name = json::text(&fact.object, "/metadata/name").to_owned();
                Some((fact.application.clone(), name))
            }
            _ => None,
        }
    }

    /// Clusters of which objects are held.
    pub fn clusters(&self) -> BTreeSet<String> {
        let facts = self.streams.values().flat_map(Facts::values);
        facts
            .filter_map(|held| match &held.fact {
                Fact::Object(fact) => Some(fact.cluster.clone()),
                _ => None,
            })
            .collect()
    }

    /// Messages that say no more than that something is gone, or was forgotten
    /// for newer ones, since before a time: subjects and sequences.
    pub fn purgeable(&self, before: Timestamp) -> Vec<(Address, u64)> {
        self.gone
            .iter()
            .filter(|(_, (_, time))| *time < before)
            .map(|(address, (sequence, _))| (address.clone(), *sequence))
            .collect()
    }

    /// Notes that a message was purged.
    pub fn purged(&mut self, address: &Address) {
        self.gone.remove(address);
    }

    /// Every admitted version of a Blueprint, newest first.
    pub fn blueprint_versions(
        &self,
        source: &str,
        name: &str,
    ) -> Vec<catalyst_plan::AdmittedBlueprint> {
        views::blueprint_versions(self, source, name)
    }

    /// One version of a Blueprint, whole, to somebody who `knows` of such.
    pub fn blueprint(
        &self,
        source: &str,
        name: &str,
        version: Option<&str>,
        knows: impl Fn(Visibility) -> bool,
    ) -> Option<catalyst_api::BlueprintDetail> {
        blueprints::detail(&self.blueprint_versions(source, name), version, knows)
    }

    /// Who pushed or merged the commits of an Environment's repository, by commit.
    pub fn pushers(&self, environment: &str) -> BTreeMap<String, String> {
        views::pushers(self, environment)
    }

    fn facts(&self, stream: &str) -> impl Iterator<Item = (&String, &Held)> {
        self.streams.get(stream).into_iter().flatten()
    }

    /// Objects of a kind of the management cluster and of host clusters.
    fn system_objects<'a>(
        &'a self,
        kind: &'a str,
    ) -> impl Iterator<Item = (&'a ObjectFact, Timestamp)> {
        self.facts(SYSTEM_STREAM)
            .filter_map(move |(_, held)| match &held.fact {
                Fact::Object(fact) if json::text(&fact.object, "/kind") == kind => {
                    Some((fact, held.time))
                }
                _ => None,
            })
    }

    /// Takes a message in, and names the views that it may change.
    fn take(&mut self, stream: &str, message: &SpineMessage) -> BTreeSet<Key> {
        let cursor = self.cursors.entry(stream.to_owned()).or_default();
        if message.sequence <= *cursor {
            return BTreeSet::new();
        }
        *cursor = message.sequence;
        if stream == SYSTEM_STREAM && message.subject.starts_with("sys.deletion.") {
            return self.take_deletion(message);
        }
        let Some(held) = read(message) else {
            return BTreeSet::new();
        };
        let before = self
            .streams
            .get(stream)
            .and_then(|facts| facts.get(&message.subject))
            .map(|before| self.touched(stream, &before.fact));
        let mut touched = self.touched(stream, &held.fact);
        touched.extend(before.into_iter().flatten());
        let address = Address {
            stream: stream.to_owned(),
            subject: message.subject.clone(),
        };
        let is_commit = matches!(held.fact, Fact::Commit(_));
        let facts = self.streams.entry(stream.to_owned()).or_default();
        if matches!(held.fact, Fact::Gone(_)) {
            facts.remove(&message.subject);
            self.gone.insert(address, (held.sequence, held.time));
        } else {
            facts.insert(message.subject.clone(), held);
            self.gone.remove(&address);
        }
        if is_commit {
            self.forget_commits(stream);
        }
        touched
    }

    fn take_deletion(&mut self, message: &SpineMessage) -> BTreeSet<Key> {
        let Ok(view) = serde_json::from_slice::<catalyst_api::DeletionView>(&message.payload)
        else {
            tracing::warn!(subject = message.subject, "message is no deletion");
            return BTreeSet::new();
        };
        let key = |view: &catalyst_api::DeletionView| {
            (Kind::Deletion, format!("{}/{}", view.kind, view.name))
        };
        let mut touched = BTreeSet::from([key(&view)]);
        self.deletions
            .insert(message.subject.clone(), (message.sequence, view));
        while self.deletions.len() > DELETIONS {
            let oldest = self.deletions.iter().min_by_key(|(_, held)| held.0);
            let Some((subject, sequence)) = oldest.map(|(it, held)| (it.clone(), held.0)) else {
                break;
            };
            if let Some((_, view)) = self.deletions.remove(&subject) {
                touched.insert(key(&view));
            }
            let address = Address {
                stream: SYSTEM_STREAM.to_owned(),
                subject,
            };
            self.gone.insert(address, (sequence, message.time));
        }
        touched
    }

    /// Keeps the newest commits of a stream.
    fn forget_commits(&mut self, stream: &str) {
        let Some(facts) = self.streams.get_mut(stream) else {
            return;
        };
        let commits: Vec<(u64, String)> = facts
            .iter()
            .filter(|(_, held)| matches!(held.fact, Fact::Commit(_)))
            .map(|(subject, held)| (held.sequence, subject.clone()))
            .collect();
        let Some(excess) = commits.len().checked_sub(COMMITS) else {
            return;
        };
        let mut commits = commits;
        commits.sort_unstable();
        for (sequence, subject) in commits.into_iter().take(excess) {
            if let Some(held) = facts.remove(&subject) {
                let address = Address {
                    stream: stream.to_owned(),
                    subject,
                };
                self.gone.insert(address, (sequence, held.time));
            }
        }
    }

    /// The views that a fact may change, as long as it is or was held.
    fn touched(&self, stream: &str, fact: &Fact) -> BTreeSet<Key> {
        if stream == SYSTEM_STREAM {
            return self.touched_by_system(fact);
        }
        let mut keys = BTreeSet::from([(Kind::Environment, stream.to_owned())]);
        let application = |name: &str| (Kind::Application, format!("{stream}/{name}"));
        let (kind, owner) = match fact {
            Fact::Object(fact) => (json::text(&fact.object, "/kind"), &fact.application),
            Fact::Gone(fact) => (fact.kind.as_str(), &fact.application),
            Fact::Pull(PullFact { number, .. }) | Fact::Review(ReviewFact { number, .. }) => {
                keys.insert((Kind::PullRequest, pull_name(stream, *number)));
                return keys;
            }
            Fact::Commit(_) => ("Commit", &None),
        };
        match (kind, owner) {
            // Applications name each other, and all have the applied revision.
            ("Application" | "Kustomization" | "Commit", owner) => {
                keys.extend(self.keys_of_environment(stream));
                keys.extend(owner.as_deref().map(application));
            }
            (_, Some(owner)) => {
                keys.insert(application(owner));
            }
            (_, None) => {}
        }
        keys
    }

    fn touched_by_system(&self, fact: &Fact) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        let (kind, name) = match fact {
            Fact::Object(fact) => (
                json::text(&fact.object, "/kind"),
                json::text(&fact.object, "/metadata/name"),
            ),
            Fact::Gone(fact) => (fact.kind.as_str(), fact.name.as_str()),
            Fact::Commit(_) | Fact::Pull(_) | Fact::Review(_) => return keys,
        };
        match (kind, fact) {
            ("Organization", _) => {
                keys.insert((Kind::Organization, name.to_owned()));
            }
            ("Environment", _) => {
                keys.extend(self.keys_of_environment(name));
                keys.insert((Kind::Environment, name.to_owned()));
                // Its Organization lists it.
                keys.extend(self.all(Kind::Organization));
                let owner = name.rsplit_once('-').map_or("", |(owner, _)| owner);
                keys.insert((Kind::Organization, owner.to_owned()));
            }
            ("EnvironmentPolicy", _) => {
                keys.insert((Kind::Policy, name.to_owned()));
                keys.extend(self.all(Kind::Environment));
                keys.extend(self.all(Kind::PullRequest));
            }
            ("FleetUpgrade", _) => {
                keys.insert((Kind::Upgrade, name.to_owned()));
            }
            ("Blueprint", Fact::Object(fact)) => {
                let source = json::text(&fact.object, "/spec/source");
                let name = json::text(&fact.object, "/spec/name");
                keys.insert((Kind::Blueprint, format!("{source}/{name}")));
            }
            ("BlueprintSource", _) => {
                keys.insert((Kind::BlueprintSource, name.to_owned()));
            }
            ("VCluster" | "Kustomization" | "GitRepository", _) => {
                keys.extend(self.all(Kind::Environment));
            }
            _ => {}
        }
        keys
    }

    fn all(&self, kind: Kind) -> BTreeSet<Key> {
        self.views(kind)
            .map(|(name, _)| (kind, name.to_owned()))
            .collect()
    }

    /// Every view of an Environment that is there or could come into being.
    fn keys_of_environment(&self, environment: &str) -> BTreeSet<Key> {
        let prefix = format!("{environment}/");
        let mut keys: BTreeSet<Key> = [Kind::Application, Kind::PullRequest]
            .into_iter()
            .flat_map(|kind| self.all(kind))
            .filter(|(_, name)| name.starts_with(&prefix))
            .collect();
        keys.insert((Kind::Environment, environment.to_owned()));
        for (_, held) in self.facts(environment) {
            match &held.fact {
                Fact::Object(fact) if json::text(&fact.object, "/kind") == "Application" => {
                    let name = json::text(&fact.object, "/metadata/name");
                    keys.insert((Kind::Application, format!("{prefix}{name}")));
                }
                Fact::Pull(pull) => {
                    keys.insert((Kind::PullRequest, pull_name(environment, pull.number)));
                }
                _ => {}
            }
        }
        keys
    }

    fn recompute(&mut self, keys: BTreeSet<Key>) -> Vec<Change> {
        let mut changes = Vec::new();
        for key in keys {
            let now = views::compute(self, &key);
            let before = self.views.get(&key);
            match (before, now) {
                (Some(before), Some(now)) if *before == now => {}
                (_, Some(now)) => {
                    changes.push(Change {
                        key: key.clone(),
                        item: now.item.clone(),
                        organization: now.organization.clone(),
                    });
                    self.views.insert(key, now);
                }
                (Some(before), None) => {
                    let organization = before.organization.clone();
                    let removed = Removed {
                        kind: key.0.word().to_owned(),
                        name: shown_name(&key),
                        organization: organization.clone(),
                    };
                    changes.push(Change {
                        key: key.clone(),
                        item: StreamItem::Removed(removed),
                        organization,
                    });
                    self.views.remove(&key);
                }
                (None, None) => {}
            }
        }
        changes
    }
}

/// The name of a pull request's view; ten digits keep them in order.
pub fn pull_name(environment: &str, number: u64) -> String {
    format!("{environment}/{number:010}")
}

/// The name as users know it.
fn shown_name((kind, name): &Key) -> String {
    match (kind, name.split_once('/')) {
        (Kind::PullRequest, Some((environment, number))) => {
            format!("{environment}/{}", number.trim_start_matches('0'))
        }
        _ => name.clone(),
    }
}
