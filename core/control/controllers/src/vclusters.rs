//! Follows what happens in every vcluster: watches there become keys in queues.
//!
//! Also keeps what is needed to turn an object into the key of its Application
//! (which namespace is whose, which Blueprint and which dependencies an
//! Application names). It is an index for waking only: reconcilers read for
//! themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalyst_resources::BlueprintSpec;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::controllers::{ApplicationKey, Shared, VclusterKey};
use crate::desired::key;
use crate::kubernetes::{
    APPLICATION, Cluster, GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION, NAMESPACE, OCI_REPOSITORY,
    POD,
};
use crate::object::{label, name, namespace, text};
use crate::watching::{Interest, Seen, watch};

/// The vclusters that are followed; clones share them.
#[derive(Clone)]
pub struct Vclusters {
    stop: CancellationToken,
    followed: Arc<Mutex<HashMap<VclusterKey, CancellationToken>>>,
    index: Arc<Mutex<Index>>,
}

#[derive(Default)]
struct Index {
    /// Where an Application's workloads are → the Application.
    spaces: HashMap<(VclusterKey, String), ApplicationKey>,
    /// What Applications name.
    applications: BTreeMap<ApplicationKey, Named>,
    /// Applications whose objects were touched by others since they were applied.
    touched: BTreeSet<ApplicationKey>,
}

#[derive(Clone, Default)]
struct Named {
    blueprint: String,
    dependencies: Vec<String>,
}

impl Vclusters {
    /// Follows nothing yet; `stop` ends all watches.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            followed: Arc::default(),
            index: Arc::default(),
        }
    }

    /// Follows a vcluster, unless it is followed already.
    pub fn follow(&self, shared: &Shared, at: &VclusterKey, vcluster: Cluster) {
        let stop = {
            let mut followed = lock(&self.followed);
            if followed.contains_key(at) {
                return;
            }
            let stop = self.stop.child_token();
            followed.insert(at.clone(), stop.clone());
            stop
        };
        let (shared, at) = (shared.clone(), at.clone());
        tokio::spawn(async move { follow(shared, at, vcluster, stop).await });
    }

    /// Follows a vcluster no longer.
    pub fn leave(&self, at: &VclusterKey) {
        if let Some(stop) = lock(&self.followed).remove(at) {
            stop.cancel();
        }
        let mut index = lock(&self.index);
        index.spaces.retain(|(place, _), _| place != at);
        index
            .applications
            .retain(|application, _| application.at != *at);
        index.touched.retain(|application| application.at != *at);
    }

    /// Every Application that is known.
    pub fn applications(&self) -> Vec<ApplicationKey> {
        lock(&self.index).applications.keys().cloned().collect()
    }

    /// The Applications of a Blueprint object.
    pub fn of_blueprint(&self, blueprint: &str) -> Vec<ApplicationKey> {
        let index = lock(&self.index);
        let of_it = index
            .applications
            .iter()
            .filter(|(_, named)| named.blueprint == blueprint);
        of_it.map(|(application, _)| application.clone()).collect()
    }

    /// The Applications that an Application depends on, and those that depend on it.
    pub fn neighbours(&self, of: &ApplicationKey) -> Vec<ApplicationKey> {
        let index = lock(&self.index);
        let own = index.applications.get(of).cloned().unwrap_or_default();
        let is_beside =
            |other: &ApplicationKey| other.at == of.at && other.environment == of.environment;
        index
            .applications
            .iter()
            .filter(|(other, named)| {
                is_beside(other)
                    && (own.dependencies.contains(&other.name)
                        || named.dependencies.contains(&of.name))
            })
            .map(|(other, _)| other.clone())
            .collect()
    }

    /// Whether somebody touched an Application's objects since the last time this
    /// was asked.
    pub fn take_touched(&self, application: &ApplicationKey) -> bool {
        lock(&self.index).touched.remove(application)
    }
}

/// What is done with each object that is seen.
type Handler = Box<dyn Fn(&Value, Seen) + Send + Sync>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(shared: Shared, at: VclusterKey, vcluster: Cluster, stop: CancellationToken) {
    let application = {
        let at = at.clone();
        move |environment: &str, name: &str| ApplicationKey {
            at: at.clone(),
            environment: environment.to_owned(),
            name: name.to_owned(),
        }
    };
    let of =
        |kind, interest, on: Handler| watch(vcluster.clone(), kind, interest, stop.clone(), on);
    let index = Arc::clone(&shared.vclusters.index);
    let applications = of(APPLICATION, Interest::Wanted, {
        let (shared, index, application) =
            (shared.clone(), Arc::clone(&index), application.clone());
        Box::new(move |object, seen| {
            let key = application(namespace(object), name(object));
            // Before and after: an edge that goes concerns the other end too.
            let mut woken = shared.vclusters.neighbours(&key);
            match seen {
                Seen::There => {
                    lock(&index).applications.insert(key.clone(), named(object));
                }
                Seen::Gone => {
                    lock(&index).applications.remove(&key);
                }
            }
            woken.extend(shared.vclusters.neighbours(&key));
            woken.push(key);
            for key in woken {
                shared.applications.add(key);
            }
        })
    });
    let delivered = |kind| {
        let (shared, index, application) =
            (shared.clone(), Arc::clone(&index), application.clone());
        of(
            kind,
            Interest::Everything,
            Box::new(move |object, seen| {
                let environment = label(object, &key("environment"));
                let owner = label(object, &key("application"));
                if !owner.is_empty() {
                    let key = application(environment, owner);
                    if seen == Seen::Gone {
                        lock(&index).touched.insert(key.clone());
                    }
                    shared.applications.add(key);
                } else if name(object) == namespace(object) {
                    shared.environments.add(namespace(object).to_owned());
                }
            }),
        )
    };
    let spaces = of(NAMESPACE, Interest::Wanted, {
        let (shared, index, application, at) = (
            shared.clone(),
            Arc::clone(&index),
            application.clone(),
            at.clone(),
        );
        Box::new(move |object, seen| {
            let environment = label(object, &key("environment"));
            let owner = label(object, &key("application"));
            let place = (at.clone(), name(object).to_owned());
            if seen == Seen::There && !owner.is_empty() {
                let key = application(environment, owner);
                lock(&index).spaces.insert(place, key);
            } else {
                lock(&index).spaces.remove(&place);
            }
            if !environment.is_empty() {
                shared.access.add(at.clone());
            }
        })
    });
    let pods = of(POD, Interest::Everything, {
        let (shared, index, at) = (shared.clone(), Arc::clone(&index), at.clone());
        Box::new(move |object, _| {
            let place = (at.clone(), namespace(object).to_owned());
            let owner = lock(&index).spaces.get(&place).cloned();
            if let Some(owner) = owner {
                shared.applications.add(owner);
            }
        })
    });
    let flux = async {
        futures::join!(
            delivered(HELM_RELEASE),
            delivered(KUSTOMIZATION),
            delivered(OCI_REPOSITORY),
            delivered(GIT_REPOSITORY),
        )
    };
    futures::join!(applications, flux, spaces, pods);
}

fn named(object: &Value) -> Named {
    let blueprint = |field: &str| text(object, &format!("/spec/blueprint/{field}"));
    Named {
        blueprint: BlueprintSpec::object_name(
            blueprint("source"),
            blueprint("name"),
            blueprint("version"),
        ),
        dependencies: object
            .pointer("/spec/dependencies")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|dependencies| dependencies.values())
            .map(|dependency| text(dependency, "/application").to_owned())
            .collect(),
    }
}
