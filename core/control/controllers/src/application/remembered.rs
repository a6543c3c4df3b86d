//! What the application controller keeps between two looks, all of it to save
//! work: losing it changes nothing but the number of requests.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalyst_plan::BlueprintContent;
use serde_json::Value;

use crate::controllers::ApplicationKey;

/// How many artifacts are kept.
const CONTENTS: usize = 16;

/// See the module.
#[derive(Default)]
pub struct Remembered {
    applied: Mutex<HashMap<ApplicationKey, u64>>,
    contents: Mutex<BTreeMap<String, Arc<BlueprintContent>>>,
}

impl Remembered {
    /// Whether exactly these objects were applied last, and since the last sweep, for
    /// the Application object with this UID: another of its name may be in a vcluster
    /// that was made anew, where nothing stands.
    pub fn is_applied(&self, application: &ApplicationKey, uid: &str, objects: &[Value]) -> bool {
        lock(&self.applied).get(application) == Some(&fingerprint(uid, objects))
    }

    /// Notes that these objects stand in the vcluster.
    pub fn set_applied(&self, application: &ApplicationKey, uid: &str, objects: &[Value]) {
        lock(&self.applied).insert(application.clone(), fingerprint(uid, objects));
    }

    /// Has an Application applied anew at the next look.
    pub fn forget(&self, application: &ApplicationKey) {
        lock(&self.applied).remove(application);
    }

    /// Has everything applied anew, which finds what drifted unseen.
    pub fn forget_applied(&self) {
        lock(&self.applied).clear();
    }

    /// What an artifact holds.
    pub fn content(&self, digest: &str) -> Option<Arc<BlueprintContent>> {
        lock(&self.contents).get(digest).cloned()
    }

    /// Keeps what an artifact holds, in place of some other when there are many.
    pub fn keep_content(&self, digest: &str, content: Arc<BlueprintContent>) {
        let mut contents = lock(&self.contents);
        if contents.len() >= CONTENTS {
            contents.pop_first();
        }
        contents.insert(digest.to_owned(), content);
    }
}

fn fingerprint(uid: &str, objects: &[Value]) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    for object in objects {
        object.to_string().hash(&mut hasher);
    }
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controllers::VclusterKey;

    #[test]
    fn what_was_applied_for_one_was_not_for_the_next_of_its_name() {
        let at = ApplicationKey {
            at: VclusterKey {
                host: "lo-loc-rtz-dev".to_owned(),
                organization: "acme".to_owned(),
            },
            environment: "acme-dev".to_owned(),
            name: "guests".to_owned(),
        };
        let remembered = Remembered::default();
        let objects = [json!({"kind": "HelmRelease"})];
        remembered.set_applied(&at, "first", &objects);
        assert!(remembered.is_applied(&at, "first", &objects));
        assert!(!remembered.is_applied(&at, "second", &objects));
        assert!(!remembered.is_applied(&at, "first", &[]));
        remembered.forget(&at);
        assert!(!remembered.is_applied(&at, "first", &objects));
    }
}
