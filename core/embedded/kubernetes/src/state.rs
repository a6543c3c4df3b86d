//! What the steps of a request share: the store, where objects are kept in it,
//! and what is derived from them and held per logical cluster.
//!
//! Keys: `kubernetes/clusters/{cluster}` for a cluster's existence,
//! `kubernetes/objects/{storage}/{cluster}/{namespace}/{name}` for its objects
//! (one resource of all clusters is one range), `kubernetes/addresses/{cluster}/{ip}`
//! for cluster IPs in use. Objects are kept without `resourceVersion`: that is
//! the revision of the last write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use catalyst_store::{CommitError, Condition, Entry, Operation, Revision, Transaction};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Config;
use crate::authorize::Policy;
use crate::catalog::{Catalog, Resource};
use crate::object::metadata_mut;
use crate::status::ApiError;

pub(crate) const CLUSTERS: &str = "kubernetes/clusters/";
pub(crate) const OBJECTS: &str = "kubernetes/objects/";

/// The shared state behind [`crate::Kubernetes`].
pub(crate) struct Inner {
    pub config: Config,
    pub keys: crate::authenticate::KeyCache,
    pub token_key: Vec<u8>,
    clusters: RwLock<BTreeMap<String, Arc<ClusterState>>>,
}

/// What is derived from a cluster's objects.
#[derive(Default)]
struct ClusterState {
    /// Told after the policy whenever somebody may have lost a right.
    rights: watch::Sender<()>,
    catalog: Derived<Catalog>,
    policy: Derived<Policy>,
}

/// A value that follows from objects. It is valid as long as the epoch it was made
/// in: a write that could change it raises the epoch after it is committed.
struct Derived<T> {
    epoch: AtomicU64,
    made: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            made: Mutex::new(None),
        }
    }
}

impl<T> Derived<T> {
    fn get(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        // Held while it is made: whoever comes meanwhile would make the same.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.epoch.load(Ordering::SeqCst);
        if let Some((of, value)) = made.as_ref()
            && *of == epoch
        {
            return Arc::clone(value);
        }
        let value = make();
        *made = Some((epoch, Arc::clone(&value)));
        value
    }

    fn outdate(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where an object is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    pub storage: String,
    pub cluster: String,
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(storage: &str, cluster: &str, namespace: &str, name: &str) -> Self {
        Self {
            storage: storage.to_owned(),
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub fn parse(key: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(key).ok()?.strip_prefix(OBJECTS)?;
        let mut parts = text.splitn(4, '/');
        Some(Self::new(
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
        ))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        format!(
            "{OBJECTS}{}/{}/{}/{}",
            self.storage, self.cluster, self.namespace, self.name
        )
        .into_bytes()
    }
}

/// The range of a resource: of all clusters (`*`), one cluster, one namespace.
pub(crate) fn range_prefix(storage: &str, cluster: &str, namespace: Option<&str>) -> String {
    match (cluster, namespace) {
        ("*", _) => format!("{OBJECTS}{storage}/"),
        (cluster, Some(namespace)) => format!("{OBJECTS}{storage}/{cluster}/{namespace}/"),
        (cluster, None) => format!("{OBJECTS}{storage}/{cluster}/"),
    }
}

/// The object in an entry, with its resource version.
pub(crate) fn decode_entry(entry: &Entry) -> Value {
    let mut object: Value = serde_json::from_slice(&entry.value).unwrap_or_else(|error| {
        tracing::error!(key = %String::from_utf8_lossy(&entry.key), %error, "a stored object does not parse");
        json!({})
    });
    metadata_mut(&mut object).insert(
        "resourceVersion".into(),
        Value::String(entry.modified.to_string()),
    );
    object
}

/// The bytes to store for an object.
pub(crate) fn encode_object(object: &Value) -> Vec<u8> {
    let mut object = object.clone();
    metadata_mut(&mut object).remove("resourceVersion");
    object.to_string().into_bytes()
}

/// The time as Kubernetes writes it.
pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

impl Inner {
    pub fn new(config: Config) -> Self {
        let mut clusters = BTreeMap::new();
        for entry in config.store.range(CLUSTERS, None, 0).entries {
            if let Some(name) = std::str::from_utf8(&entry.key)
                .ok()
                .and_then(|key| key.strip_prefix(CLUSTERS))
            {
                clusters.insert(name.to_owned(), Arc::default());
            }
        }
        let token_key = config.token_key.clone();
        Self {
            config,
            keys: Default::default(),
            token_key,
            clusters: RwLock::new(clusters),
        }
    }

    pub fn clusters(&self) -> Vec<String> {
        self.clusters
            .read()
            .map(|all| all.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub fn has_cluster(&self, name: &str) -> bool {
        self.clusters.read().is_ok_and(|all| all.contains_key(name))
    }

    pub fn remember_cluster(&self, name: &str) {
        if let Ok(mut all) = self.clusters.write() {
            all.entry(name.to_owned()).or_default();
        }
    }

    pub fn forget_cluster(&self, name: &str) {
        if let Ok(mut all) = self.clusters.write() {
            all.remove(name);
        }
    }

    fn cluster(&self, name: &str) -> Option<Arc<ClusterState>> {
        self.clusters.read().ok()?.get(name).cloned()
    }

    /// The resources a cluster serves.
    pub fn catalog(&self, cluster: &str) -> Arc<Catalog> {
        let Some(state) = self.cluster(cluster) else {
            return Arc::clone(Catalog::builtin());
        };
        state.catalog.get(|| {
            Catalog::with_custom(crate::crd::resources(
                &self.read_all(crate::crd::STORAGE, cluster),
            ))
        })
    }

    /// The grants of a cluster.
    pub fn policy(&self, cluster: &str) -> Arc<Policy> {
        let Some(state) = self.cluster(cluster) else {
            return Arc::default();
        };
        state.policy.get(|| Arc::new(Policy::load(self, cluster)))
    }

    /// Hears of every change that may take a right away in a cluster, and of the
    /// cluster's end; nothing for a cluster that is not there.
    pub fn rights(&self, cluster: &str) -> Option<watch::Receiver<()>> {
        Some(self.cluster(cluster)?.rights.subscribe())
    }

    /// A resource for any cluster: the built-in one, or the first custom one.
    pub fn resource_anywhere(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<Arc<Resource>> {
        if let Some(found) = Catalog::builtin().resource(group, version, plural) {
            return Some(Arc::clone(found));
        }
        self.clusters().iter().find_map(|cluster| {
            self.catalog(cluster)
                .resource(group, version, plural)
                .cloned()
        })
    }

    /// The stored object, with its resource version.
    pub fn read_object(
        &self,
        storage: &str,
        cluster: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        self.read_key(&ObjectKey::new(storage, cluster, namespace, name))
    }

    pub fn read_key(&self, key: &ObjectKey) -> Option<Value> {
        self.config
            .store
            .get(key.to_bytes())
            .map(|entry| decode_entry(&entry))
    }

    /// Every object of a resource in a cluster.
    pub fn read_all(&self, storage: &str, cluster: &str) -> Vec<Value> {
        let page = self
            .config
            .store
            .range(range_prefix(storage, cluster, None), None, 0);
        page.entries.iter().map(decode_entry).collect()
    }

    /// Commits changes to one cluster, which must exist.
    pub async fn commit(
        &self,
        cluster: &str,
        transaction: Transaction,
    ) -> Result<Revision, CommitError> {
        let concerns = Concerns::of(&transaction);
        let transaction =
            transaction.when(Condition::Present(format!("{CLUSTERS}{cluster}").into()));
        let store = self.config.store.clone();
        let Some(state) = self.cluster(cluster).filter(|_| concerns.any()) else {
            return store.commit(transaction).await;
        };
        // A task of its own: whoever asked may hang up before the answer, and what
        // is derived must change all the same once the write is there.
        let committed = tokio::spawn(async move {
            let result = store.commit(transaction).await;
            if concerns.catalog {
                state.catalog.outdate();
            }
            if concerns.policy {
                state.policy.outdate();
            }
            if concerns.rights {
                state.rights.send_replace(());
            }
            result
        });
        // It ends early only with the runtime.
        committed.await.unwrap_or(Err(CommitError::Closed))
    }
}

/// What a transaction may change besides the objects that it writes.
#[derive(Default)]
struct Concerns {
    catalog: bool,
    policy: bool,
    /// Somebody's right to what they have open.
    rights: bool,
}

impl Concerns {
    fn of(transaction: &Transaction) -> Self {
        let mut concerns = Self::default();
        for operation in &transaction.operations {
            let (Operation::Put(key, _) | Operation::Delete(key) | Operation::DeletePrefix(key)) =
                operation;
            let storage = std::str::from_utf8(key)
                .ok()
                .and_then(|key| key.strip_prefix(OBJECTS))
                .and_then(|key| key.split('/').next())
                .unwrap_or_default();
            let is_policy = storage.ends_with(".rbac.authorization.k8s.io");
            concerns.policy |= is_policy;
            concerns.catalog |= storage == crate::crd::STORAGE;
            // A service account's tokens end with it.
            concerns.rights |= is_policy
                || (storage == "serviceaccounts" && !matches!(operation, Operation::Put(..)));
        }
        concerns
    }

    fn any(&self) -> bool {
        self.catalog || self.policy || self.rights
    }
}

/// A commit that failed for another reason than its conditions.
pub(crate) fn commit_failed(error: &CommitError) -> ApiError {
    match error {
        CommitError::Conflict { key, .. } => ApiError::internal(format!(
            "a write met an unexpected state at {}",
            String::from_utf8_lossy(key)
        )),
        CommitError::Disk { is_full: true, .. } => ApiError::storage_full(error.to_string()),
        CommitError::Disk { .. } | CommitError::Closed => ApiError::unavailable(error.to_string()),
    }
}
