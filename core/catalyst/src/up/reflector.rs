//! A local copy of one kind of object across all logical clusters, kept by
//! listing once and watching from there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::Notify;

use super::api::ApiClient;

/// Annotation in which the API names an object's logical cluster when it
/// answers across all of them.
const CLUSTER: &str = "/metadata/annotations/openova.io~1cluster";
const PAUSE: Duration = Duration::from_millis(200);

/// Logical cluster, namespace, name.
pub type Key = (String, String, String);

/// The copy; clones share it.
#[derive(Clone)]
pub struct Reflector {
    copy: Arc<Mutex<Copy>>,
}

#[derive(Default)]
struct Copy {
    objects: BTreeMap<Key, Arc<Value>>,
    by_uid: HashMap<String, Key>,
}

impl Copy {
    fn put(&mut self, key: Key, object: Value) {
        if let Some(uid) = uid_of(&object) {
            self.by_uid.insert(uid, key.clone());
        }
        let before = self.objects.insert(key, Arc::new(object));
        // Another object under the same name has another uid.
        if let Some(uid) = before.as_deref().and_then(uid_of) {
            let is_current = self
                .by_uid
                .get(&uid)
                .and_then(|key| self.objects.get(key))
                .is_some_and(|now| uid_of(now).as_ref() == Some(&uid));
            if !is_current {
                self.by_uid.remove(&uid);
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(uid) = self.objects.remove(key).as_deref().and_then(uid_of) {
            self.by_uid.remove(&uid);
        }
    }
}

impl Reflector {
    /// Starts following `path` (below a cluster, such as `/api/v1/pods`);
    /// `changed` is woken after every change. Returns once the first list is
    /// in. Runs until the task set is dropped.
    pub async fn start(
        api: ApiClient,
        path: &'static str,
        changed: Arc<Notify>,
        tasks: &mut tokio::task::JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let reflector = Self {
            copy: Arc::default(),
        };
        let mut version = reflector.list(&api, path).await?;
        let following = reflector.clone();
        tasks.spawn(async move {
            loop {
                if let Err(error) = following.follow(&api, path, &version, &changed).await {
                    tracing::debug!(
                        path,
                        error = format!("{error:#}"),
                        "watch ended; listing again"
                    );
                }
                // Also after an orderly end: a server that ends every watch
                // at once must not be asked without pause.
                tokio::time::sleep(PAUSE).await;
                match following.list(&api, path).await {
                    Ok(listed) => version = listed,
                    Err(error) => tracing::warn!(path, error = format!("{error:#}"), "list failed"),
                }
                changed.notify_one();
            }
        });
        Ok(reflector)
    }

    /// All objects, in key order.
    pub fn snapshot(&self) -> Vec<(Key, Arc<Value>)> {
        self.lock()
            .objects
            .iter()
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect()
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }

    /// Where the object with a uid is.
    pub fn key_of_uid(&self, uid: &str) -> Option<Key> {
        self.lock().by_uid.get(uid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Copy> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self, api: &ApiClient, path: &str) -> anyhow::Result<String> {
        let list = api.get(&format!("/clusters/*{path}")).await?;
        let items = list
            .get("items")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut fresh = Copy::default();
        for item in items {
            if let Some(key) = key_of(&item) {
                fresh.put(key, item);
            }
        }
        *self.lock() = fresh;
        let version = list
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str);
        Ok(version
            .context("the list has no resourceVersion")?
            .to_owned())
    }

    async fn follow(
        &self,
        api: &ApiClient,
        path: &str,
        version: &str,
        changed: &Notify,
    ) -> anyhow::Result<()> {
        let query = format!("/clusters/*{path}?watch=true&resourceVersion={version}");
        let mut events = api.watch(&query).await?;
        while let Some(event) = events.next().await {
            let mut event = event?;
            let kind = event
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let object = event.get_mut("object").map(Value::take).unwrap_or_default();
            let key = key_of(&object);
            match (kind.as_str(), key) {
                ("ADDED" | "MODIFIED", Some(key)) => self.lock().put(key, object),
                ("DELETED", Some(key)) => self.lock().remove(&key),
                ("BOOKMARK", _) => continue,
                _ => anyhow::bail!("the watch said {kind}: {object}"),
            }
            changed.notify_one();
        }
        Ok(())
    }
}

fn uid_of(object: &Value) -> Option<String> {
    object
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn key_of(object: &Value) -> Option<Key> {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Some((
        text(CLUSTER)?,
        text("/metadata/namespace").unwrap_or_default(),
        text("/metadata/name")?,
    ))
}
