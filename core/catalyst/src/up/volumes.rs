//! The folders of persistent volumes: made with the first pod that has one, removed
//! with its claim, as the default storage class promises (`reclaimPolicy: Delete`).
//!
//! What must stay true: a folder is one claim's and not one name's, so that nobody
//! finds what an earlier claim of the name left behind; and what no claim has goes,
//! also where the process ended before or in the middle of that.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::lock;
use super::reflector::Key;

/// Where volumes are: `{root}/{cluster}/{namespace}/{claim}.{uid of the claim}`.
pub struct Volumes {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Folders of claims that are there, or were once.
    known: HashSet<PathBuf>,
    /// Those of them that are being removed.
    going: HashSet<PathBuf>,
}

impl Volumes {
    /// Those below a folder, which need not be there yet.
    pub fn open(root: PathBuf) -> Self {
        let mut known = HashSet::new();
        for cluster in below(&root) {
            for space in below(&cluster) {
                known.extend(below(&space).filter(|folder| is_of_a_claim(folder)));
                // Goes if its last volume has; nothing makes one meanwhile.
                drop(fs::remove_dir(&space));
            }
            drop(fs::remove_dir(&cluster));
        }
        Self {
            root,
            state: Mutex::new(State {
                known,
                going: HashSet::new(),
            }),
        }
    }

    /// The folder of a claim; nothing while it is not bound.
    pub fn folder(&self, key: &Key, claim: &Value) -> Option<PathBuf> {
        let phase = claim.pointer("/status/phase").and_then(Value::as_str);
        self.place(key, claim).filter(|_| phase == Some("Bound"))
    }

    fn place(&self, (cluster, namespace, name): &Key, claim: &Value) -> Option<PathBuf> {
        let uid = claim.pointer("/metadata/uid").and_then(Value::as_str)?;
        let space = self.root.join(cluster).join(namespace);
        Some(space.join(format!("{name}.{uid}")))
    }

    /// Removes what no claim has any more and no pod holds; what cannot be removed is
    /// tried again with the next call.
    pub fn reclaim(
        self: &Arc<Self>,
        claims: &[(Key, Arc<Value>)],
        is_held: impl Fn(&Path) -> bool,
    ) {
        let claimed: HashSet<PathBuf> = claims
            .iter()
            .filter_map(|(key, claim)| self.place(key, claim))
            .collect();
        let mut state = lock(&self.state);
        let State { known, going } = &mut *state;
        known.extend(claimed.iter().cloned());
        for folder in known.iter() {
            if claimed.contains(folder) || is_held(folder) || !going.insert(folder.clone()) {
                continue;
            }
            let (volumes, folder) = (Arc::clone(self), folder.clone());
            // There may be much in it.
            tokio::task::spawn_blocking(move || volumes.remove(&folder));
        }
    }

    fn remove(&self, folder: &Path) {
        let removed = match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(folder = %folder.display(), %error, "volume not removed");
                false
            }
            _ => true,
        };
        let mut state = lock(&self.state);
        state.going.remove(folder);
        if removed {
            state.known.remove(folder);
        }
    }
}

/// What is in a folder; nothing where there is none.
fn below(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// Whether a folder's name ends in a UID, as those that are made here do.
fn is_of_a_claim(folder: &Path) -> bool {
    let uid = folder.extension().and_then(|uid| uid.to_str());
    uid.is_some_and(|uid| {
        uid.len() == 36 && uid.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-')
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    const FIRST: &str = "6f1c1b1e-0000-4000-8000-000000000001";
    const SECOND: &str = "6f1c1b1e-0000-4000-8000-000000000002";

    fn claim(uid: &str) -> (Key, Arc<Value>) {
        let key = (
            "dev-acme".to_owned(),
            "db".to_owned(),
            "data-db-0".to_owned(),
        );
        let claim = json!({"metadata": {"uid": uid}, "status": {"phase": "Bound"}});
        (key, Arc::new(claim))
    }

    /// A folder in which something is, as a pod leaves it.
    fn used(volumes: &Volumes, (key, claim): &(Key, Arc<Value>)) -> PathBuf {
        let folder = volumes.folder(key, claim).unwrap();
        fs::create_dir_all(folder.join("data")).unwrap();
        fs::write(folder.join("data/1"), "text").unwrap();
        folder
    }

    async fn gone(folder: &Path) {
        let started = Instant::now();
        while folder.exists() {
            assert!(started.elapsed() < Duration::from_secs(10), "it stays");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_folder_goes_with_its_claim_and_is_no_other_ones() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Arc::new(Volumes::open(root.path().join("volumes")));
        let (first, second) = (claim(FIRST), claim(SECOND));
        let old = used(&volumes, &first);
        volumes.reclaim(&[first], |_| false);
        // Made anew under its name, before anything of the first is gone.
        let new = used(&volumes, &second);
        assert_ne!(old, new);
        volumes.reclaim(std::slice::from_ref(&second), |folder| folder == old);
        assert!(old.exists(), "a pod holds it");
        volumes.reclaim(&[second], |_| false);
        gone(&old).await;
        assert!(new.join("data/1").exists());
    }

    #[tokio::test]
    async fn what_a_process_left_that_ended_goes_after_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let before = Volumes::open(root.path().to_owned());
        let (left, kept) = (claim(FIRST), claim(SECOND));
        let (old, new) = (used(&before, &left), used(&before, &kept));
        // Not one of ours.
        let strange = root.path().join("dev-acme/db/notes");
        fs::create_dir(&strange).unwrap();
        let after = Arc::new(Volumes::open(root.path().to_owned()));
        after.reclaim(&[kept], |_| false);
        gone(&old).await;
        assert!(new.exists() && strange.exists());
    }

    #[test]
    fn what_is_not_bound_has_no_folder_and_loses_none() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Arc::new(Volumes::open(root.path().to_owned()));
        let bound = claim(FIRST);
        let folder = used(&volumes, &bound);
        let lost = (bound.0, Arc::new(json!({"metadata": {"uid": FIRST}})));
        assert_eq!(volumes.folder(&lost.0, &lost.1), None);
        volumes.reclaim(&[lost], |_| false);
        assert!(lock(&volumes.state).going.is_empty() && folder.exists());
    }
}
