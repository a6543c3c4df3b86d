//! Watches: what changes in a cluster becomes keys in queues.

use std::collections::HashMap;

use futures::{StreamExt, pin_mut};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::{Cluster, Kind};
use crate::object::{name, namespace};

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is there: new, changed, or seen again.
    There,
    /// It is gone.
    Gone,
}

/// Which changes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// All of them.
    Everything,
    /// All but those of the status: for kinds whose status is written here.
    Wanted,
}

/// Follows a kind in all namespaces until told to stop, through every breaking of
/// the connection; a kind that is not served yet is asked for again and again,
/// ever more slowly.
pub async fn watch(
    cluster: Cluster,
    kind: Kind,
    interest: Interest,
    stop: CancellationToken,
    on: impl Fn(&Value, Seen),
) {
    let (group, version) = kind
        .api_version
        .split_once('/')
        .unwrap_or(("", kind.api_version));
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(group, version, kind.kind),
        kind.plural,
    );
    let api: Api<DynamicObject> = Api::all_with(cluster.client().clone(), &resource);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    pin_mut!(events);
    let mut seen: HashMap<(String, String), Value> = HashMap::new();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                Some(event) => event,
                None => return,
            },
        };
        let (object, what) = match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                (object, Seen::There)
            }
            Ok(watcher::Event::Delete(object)) => (object, Seen::Gone),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => continue,
            Err(error) => {
                tracing::debug!(cluster = cluster.name(), kind = kind.kind, error = %error, "watch interrupted");
                continue;
            }
        };
        let Ok(object) = serde_json::to_value(object) else {
            continue;
        };
        if interest == Interest::Wanted {
            let key = (namespace(&object).to_owned(), name(&object).to_owned());
            match what {
                Seen::Gone => {
                    seen.remove(&key);
                }
                Seen::There => {
                    let wanted = wanted(&object);
                    if seen.insert(key, wanted.clone()) == Some(wanted) {
                        continue;
                    }
                }
            }
        }
        on(&object, what);
    }
}

/// What of an object is somebody's wish, not an observation.
fn wanted(object: &Value) -> Value {
    let field = |pointer: &str| object.pointer(pointer).cloned().unwrap_or(Value::Null);
    Value::Array(
        [
            "/metadata/uid",
            "/metadata/generation",
            "/metadata/deletionTimestamp",
            "/metadata/annotations",
            "/metadata/labels",
        ]
        .into_iter()
        .map(field)
        .collect(),
    )
}
