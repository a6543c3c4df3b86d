//! What the watches have shown: enough of each object to know whom a change
//! concerns.
//!
//! Written by the watches, read by reconcilers to see whether their work was
//! overtaken. Pure but for its lock.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;

use crate::depend::is_settled;
use crate::json::{integer, list, text};
use crate::key::{Key, Kind};

/// Annotations by which people and the control plane ask for work.
const REQUESTS: [&str; 3] = [
    "reconcile.fluxcd.io/requestedAt",
    "reconcile.fluxcd.io/forceAt",
    "reconcile.fluxcd.io/resetAt",
];

/// What matters of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    uid: String,
    generation: i64,
    deleting: bool,
    requests: Vec<String>,
    source: Option<Key>,
    depends_on: Vec<Key>,
    artifact: String,
    settled: bool,
    ready: String,
}

impl Seen {
    fn of(key: &Key, object: &Value) -> Self {
        let reference = ["/spec/sourceRef", "/spec/chartRef"]
            .iter()
            .find_map(|pointer| object.pointer(pointer));
        let source = reference.and_then(|reference| {
            let kind = Kind::from_name(text(reference, "/kind"))?;
            Some(key.sibling(
                kind,
                text(reference, "/namespace"),
                text(reference, "/name"),
            ))
        });
        let ready = list(object, "/status/conditions")
            .iter()
            .find(|one| text(one, "/type") == "Ready")
            .map(|one| text(one, "/status"))
            .unwrap_or_default();
        Self {
            uid: text(object, "/metadata/uid").to_owned(),
            generation: integer(object, "/metadata/generation"),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            requests: REQUESTS
                .iter()
                .map(|name| {
                    object
                        .pointer("/metadata/annotations")
                        .and_then(|all| all.get(*name))
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned()
                })
                .collect(),
            source,
            depends_on: list(object, "/spec/dependsOn")
                .iter()
                .map(|one| key.sibling(key.kind, text(one, "/namespace"), text(one, "/name")))
                .collect(),
            artifact: artifact_word(object.pointer("/status/artifact").unwrap_or(&Value::Null)),
            settled: is_settled(object),
            ready: format!(
                "{ready} {} {}",
                integer(object, "/status/observedGeneration"),
                text(object, "/status/lastAppliedRevision")
            ),
        }
    }
}

/// What tells an artifact from every other of its source.
pub fn artifact_word(artifact: &Value) -> String {
    format!(
        "{} {}",
        text(artifact, "/revision"),
        text(artifact, "/digest")
    )
}

/// Everything seen, of all clusters.
#[derive(Default)]
pub struct Index {
    seen: Mutex<HashMap<Key, Seen>>,
}

impl Index {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Key, Seen>) -> T) -> T {
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut seen)
    }

    /// Takes an object in; returns the keys that have work to do because of it.
    pub fn observe(&self, key: &Key, object: &Value) -> Vec<Key> {
        let new = Seen::of(key, object);
        self.with(|all| {
            let old = all.insert(key.clone(), new.clone());
            let mut wake = Vec::new();
            let asked = old.as_ref().is_none_or(|old| {
                old.uid != new.uid
                    || old.generation != new.generation
                    || old.deleting != new.deleting
                    || old.requests != new.requests
            });
            if asked {
                wake.push(key.clone());
            }
            let artifact = old.as_ref().map(|old| old.artifact.as_str()) != Some(&new.artifact);
            // Who uses it may have waited for its status to be about its spec, which need not
            // change the artifact.
            let settled = new.settled && old.as_ref().is_some_and(|old| !old.settled);
            let ready = old.as_ref().map(|old| old.ready.as_str()) != Some(&new.ready);
            if artifact || settled || ready {
                let concerned = all.iter().filter(|(other, seen)| {
                    other.cluster == key.cluster
                        && ((artifact || settled) && seen.source.as_ref() == Some(key)
                            || ready && seen.depends_on.contains(key))
                });
                wake.extend(concerned.map(|(other, _)| other.clone()));
            }
            wake
        })
    }

    /// Takes an object out; its key has work to do once more, to notice.
    pub fn remove(&self, key: &Key) -> Vec<Key> {
        self.with(|all| match all.remove(key) {
            Some(_) => vec![key.clone()],
            None => Vec::new(),
        })
    }

    /// Takes out what a fresh list of a kind no longer shows.
    pub fn retain(&self, kind: Kind, listed: &std::collections::HashSet<Key>) -> Vec<Key> {
        self.with(|all| {
            let gone: Vec<Key> = all
                .keys()
                .filter(|key| key.kind == kind && !listed.contains(*key))
                .cloned()
                .collect();
            for key in &gone {
                all.remove(key);
            }
            gone
        })
    }

    /// Whether anything of a cluster is known.
    pub fn has_cluster(&self, cluster: &str) -> bool {
        self.with(|all| all.keys().any(|key| key.cluster == cluster))
    }

    /// The [`artifact_word`] of the source of the object at `key`, as it was seen last.
    pub fn artifact_for(&self, key: &Key) -> Option<String> {
        self.with(|all| {
            let source = all.get(key)?.source.clone()?;
            Some(all.get(&source)?.artifact.clone())
        })
    }

    /// Whether the object at `key` is no longer the one that a reconciler read:
    /// changed, being deleted, or gone.
    pub fn overtaken(&self, key: &Key, uid: &str, generation: i64, deleting: bool) -> bool {
        self.with(|all| {
            all.get(key).is_none_or(|seen| {
                // The watch may be behind what the reconciler read, never ahead
                // of it without meaning a change.
                seen.uid != uid || seen.generation > generation || seen.deleting && !deleting
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use serde_json::json;

    fn key(kind: Kind, name: &str) -> Key {
        Key {
            cluster: "c".into(),
            kind,
            namespace: "n".into(),
            name: name.into(),
        }
    }

    fn source(revision: &str) -> Value {
        json!({"metadata": {"uid": "1", "generation": 1}, "status": {"artifact": {"revision": revision, "digest": "d"}}})
    }

    #[test]
    fn a_change_wakes_whom_it_concerns_and_nobody_else() {
        let index = Index::default();
        let (git, app, late) = (
            key(Kind::GitRepository, "s"),
            key(Kind::Kustomization, "app"),
            key(Kind::Kustomization, "late"),
        );
        let spec = json!({"metadata": {"uid": "2", "generation": 1}, "spec": {"sourceRef": {"kind": "GitRepository", "name": "s"}}});
        assert_eq!(index.observe(&app, &spec), from_ref(&app));
        let depends = json!({"metadata": {"uid": "3", "generation": 1}, "spec": {"dependsOn": [{"name": "app"}], "sourceRef": {"kind": "GitRepository", "name": "other"}}});
        assert_eq!(index.observe(&late, &depends), from_ref(&late));
        assert_eq!(
            index.observe(&git, &source("a")),
            [git.clone(), app.clone()]
        );
        assert_eq!(index.observe(&git, &source("a")), []);
        assert_eq!(index.observe(&git, &source("b")), from_ref(&app));
        assert_eq!(index.artifact_for(&app).as_deref(), Some("b d"));
        assert_eq!(index.artifact_for(&git), None);
        let mut changed = source("b");
        changed["metadata"]["generation"] = json!(2);
        assert_eq!(index.observe(&git, &changed), from_ref(&git));
        changed["status"]["observedGeneration"] = json!(2);
        assert_eq!(index.observe(&git, &changed), from_ref(&app));
        assert_eq!(index.observe(&git, &changed), []);
        let mut ready = spec.clone();
        ready["status"] =
            json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(index.observe(&app, &ready), from_ref(&late));
        let mut asked = ready.clone();
        asked["metadata"]["annotations"] = json!({"reconcile.fluxcd.io/requestedAt": "now"});
        assert_eq!(index.observe(&app, &asked), from_ref(&app));
        assert!(!index.overtaken(&app, "2", 1, false));
        assert!(index.overtaken(&app, "2", 0, false));
        assert_eq!(index.remove(&app), from_ref(&app));
        assert!(index.overtaken(&app, "2", 1, false));
    }
}
