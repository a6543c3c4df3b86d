//! The steps as a service: jobs of the control plane that take what
//! `catalyst provision` takes, one at a time for each Sovereign.
//!
//! Called by the gateway. Each Sovereign has a folder: `sovereign.json` (what it shall
//! be, and its last job), `events.jsonl` (that job's events) and `run/`, the private
//! directory of [`crate::Provisioner`].
//!
//! What must stay true: credentials, and the secrets that were made for the Sovereign, are
//! handed in for each job and live in its memory only; events and failures are cleaned of
//! them before they are shown or kept; a job that was cut off is known as such, and what
//! comes next is still decided by the record.

mod begin;
mod job;
mod journal;
mod key;
mod left;
mod run;
mod schema;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use begin::Prepared;
pub use job::{Ended, Job, Live, Outcome, Standing, Status, Task};
pub use left::Left;
pub use schema::schema;
pub use words::in_service_words;

use crate::config::Config;
use crate::consent::Objection;
use crate::directory::{self, Directory, DirectoryError};
use crate::provisioner::Options;
use crate::record::{Record, Refusal};
use crate::render;
use crate::secret::{OwnSecrets, Redactor, Secret, hidden};
use crate::told::{Milestone, stamped};
use job::Kept;
use journal::Journal;

const DESCRIPTION: &str = "sovereign.json";
const EVENTS: &str = "events.jsonl";
const RUN: &str = "run";

/// Why a job was not begun, or not found.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No such Sovereign was ever begun here.
    #[error("nothing was ever begun for {sovereign} here")]
    Unknown {
        /// Its domain.
        sovereign: String,
    },
    /// It was begun already.
    #[error("{sovereign} was begun here already")]
    Known {
        /// Its domain.
        sovereign: String,
    },
    /// A job is at work.
    #[error("a job is at work on {sovereign}: to {}, since {since}", .task.title())]
    Busy {
        /// Its domain.
        sovereign: String,
        /// What the job does.
        task: Task,
        /// Since when.
        since: Timestamp,
    },
    /// No job is at work.
    #[error("no job is at work on {sovereign}")]
    Idle {
        /// Its domain.
        sovereign: String,
    },
    /// The description is another Sovereign's.
    #[error("the description is of {other}, not of {sovereign}")]
    OfAnother {
        /// The domain that was asked for.
        sovereign: String,
        /// The one in the description.
        other: String,
    },
    /// Nothing may be done.
    #[error("{sovereign}: {}", refused(.refusal))]
    Refused {
        /// Its domain.
        sovereign: String,
        /// Why.
        refusal: Refusal,
    },
    /// It is planned, and nobody has asked for it to be created.
    #[error("{sovereign} is planned ({}), and nobody has said yet that this shall be done", counted(*.changes))]
    Unasked {
        /// Its domain.
        sovereign: String,
        /// How many resources the plan would change.
        changes: usize,
    },
    /// It shall be created, and nobody has seen its plan.
    #[error(
        "{sovereign} cannot be created yet: no plan of it as it is described has ended, so that nobody has seen one"
    )]
    Unplanned {
        /// Its domain.
        sovereign: String,
    },
    /// Another plan was shown than the one that is agreed to.
    #[error(
        "{sovereign} cannot be changed: the plan that is named is not the last one that was shown"
    )]
    OtherPlan {
        /// Its domain.
        sovereign: String,
    },
    /// Its plan costs what nobody agreed to lose.
    #[error("{sovereign} cannot be changed by its plan: {objection}")]
    Losses {
        /// Its domain.
        sovereign: String,
        /// What it costs.
        objection: Objection,
    },
    /// What shall change cannot.
    #[error(
        "{sovereign} cannot be changed so: its nodes have joined one another, and since then {what}"
    )]
    Fixed {
        /// Its domain.
        sovereign: String,
        /// What would change, and what to do instead.
        what: String,
    },
    /// Something is left of it.
    #[error(
        "{sovereign} cannot be forgotten: it is not destroyed, and what was made for it would be paid for unseen"
    )]
    Remains {
        /// Its domain.
        sovereign: String,
    },
    /// The private directory.
    #[error("{}", unusable(.0))]
    Directory(#[from] DirectoryError),
    /// A file cannot be understood.
    #[error("cannot read {}: {reason}; restore it from a backup", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be written, or a job not begun.
    #[error("cannot use {}: {source}", .path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn counted(changes: usize) -> String {
    match changes {
        0 => "nothing would change".to_owned(),
        1 => "one resource would change".to_owned(),
        several => format!("{several} resources would change"),
    }
}

fn refused(refusal: &Refusal) -> String {
    in_service_words(&refusal.to_string())
}

fn unusable(error: &DirectoryError) -> String {
    in_service_words(&error.to_string())
}

/// What a job needs beside the description. Kept nowhere here.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The cloud's token.
    pub hetzner_token: Secret,
    /// The private key of `sshPublicKey`, as OpenSSH writes it.
    pub ssh_private_key: Secret,
    /// User and password of a private Git repository.
    pub git: Option<(String, Secret)>,
    /// What was made for this Sovereign; see [`Prepared::needs`].
    pub own: OwnSecrets,
}

impl Credentials {
    /// Takes them out of texts, in the forms in which JSON has them.
    fn redactor(&self) -> Redactor {
        let password = self.git.as_ref().map(|(_, password)| password);
        let key = self.ssh_private_key.reveal();
        let plain = hidden(&self.hetzner_token, key, password).chain(self.own.all());
        Redactor::new(plain.flat_map(|text| {
            let quoted = serde_json::to_string(text).unwrap_or_default();
            let escaped = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            [Secret::new(text), Secret::new(escaped.unwrap_or_default())]
        }))
    }
}

/// What a Sovereign that is provisioned by this Catalyst is without, in words; `None` where
/// nothing is left out. Said before anything costs money.
pub fn without() -> Option<String> {
    let mut record = Record::new("", Timestamp::UNIX_EPOCH);
    record.left_out = render::held_back().into_iter().collect();
    record.without()
}

/// A handle to the service; clones share it.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    options: Options,
    /// By domain; nothing of what could not be read when it was looked for last.
    entries: Mutex<BTreeMap<String, Option<Arc<Entry>>>>,
    /// Tells that a job has ended, of whatever Sovereign.
    ends: watch::Sender<()>,
}

/// One Sovereign.
struct Entry {
    folder: PathBuf,
    state: Mutex<State>,
    /// Number of the last event; tells of the end of a job too.
    changed: watch::Sender<u64>,
    /// That of all Sovereigns.
    ends: watch::Sender<()>,
}

struct State {
    kept: Kept,
    journal: Journal,
    /// Cancels the job that is at work.
    live: Option<CancellationToken>,
}

impl Service {
    /// Opens the service in a folder (0700), which is made where nothing is, and gives
    /// what cannot be read in it: such a Sovereign is left alone. Of `options`, token
    /// and Git credentials are those of each job instead.
    pub fn open(root: &Path, options: Options) -> Result<(Self, Vec<ServiceError>), ServiceError> {
        let failed = |source| ServiceError::Access {
            path: root.to_owned(),
            source,
        };
        directory::private_folder(root).map_err(failed)?;
        let (ends, _) = watch::channel(());
        let mut entries = BTreeMap::new();
        let mut unreadable = Vec::new();
        for found in fs::read_dir(root).map_err(failed)? {
            let folder = found.map_err(failed)?.path();
            let Some(name) = folder.file_name().and_then(OsStr::to_str) else {
                continue;
            };
            if !folder.join(DESCRIPTION).exists() {
                continue;
            }
            let entry = match Entry::load(&folder, &ends) {
                Ok(entry) => Some(Arc::new(entry)),
                Err(error) => {
                    unreadable.push(error);
                    None
                }
            };
            entries.insert(name.to_owned(), entry);
        }
        let inner = Inner {
            root: root.to_owned(),
            options,
            entries: Mutex::new(entries),
            ends,
        };
        let service = Self {
            inner: Arc::new(inner),
        };
        Ok((service, unreadable))
    }

    /// Every Sovereign by domain, or why it cannot be read.
    pub fn list(&self) -> Vec<(String, Result<Status, ServiceError>)> {
        let names: Vec<String> = lock(&self.inner.entries).keys().cloned().collect();
        let statuses = names.into_iter().map(|name| {
            let status = self.status(&name);
            (name, status)
        });
        statuses.collect()
    }

    /// One Sovereign.
    pub fn status(&self, sovereign: &str) -> Result<Status, ServiceError> {
        self.entry(sovereign)?.status()
    }

    /// Refuses where a Sovereign was begun already and is not destroyed.
    pub fn require_new(&self, sovereign: &str) -> Result<(), ServiceError> {
        let entry = match self.entry(sovereign) {
            Err(ServiceError::Unknown { .. }) => return Ok(()),
            found => found?,
        };
        match entry.status()?.standing() {
            Standing::Destroyed => Ok(()),
            _ => Err(ServiceError::Known {
                sovereign: sovereign.to_owned(),
            }),
        }
    }

    /// Refuses where a job is at work; otherwise gives what is known.
    pub fn require_idle(&self, sovereign: &str) -> Result<Status, ServiceError> {
        let entry = self.entry(sovereign)?;
        entry.require_idle(sovereign)?;
        entry.status()
    }

    /// Prepares and begins the first job of a Sovereign, or the first one after its destroy.
    pub fn create(
        &self,
        config: Config,
        task: Task,
        by: &str,
        credentials: &Credentials,
    ) -> Result<(), ServiceError> {
        self.prepare_new(config, task, by)?.begin(credentials)
    }

    /// Prepares and begins another job of a Sovereign; with another description, if one is given.
    pub fn go_on(
        &self,
        sovereign: &str,
        config: Option<Config>,
        task: Task,
        by: &str,
        credentials: &Credentials,
    ) -> Result<(), ServiceError> {
        self.prepare_next(sovereign, config, task, by)?
            .begin(credentials)
    }

    /// Tells the job that is at work to stop; OpenTofu is given the time to save its state.
    pub fn cancel(&self, sovereign: &str) -> Result<(), ServiceError> {
        let entry = self.entry(sovereign)?;
        let state = lock(&entry.state);
        match &state.live {
            Some(live) => {
                live.cancel();
                Ok(())
            }
            None => Err(ServiceError::Idle {
                sovereign: sovereign.to_owned(),
            }),
        }
    }

    /// Forgets a Sovereign of which nothing is left, and removes what is kept of it here, its
    /// archives too.
    pub fn forget(&self, sovereign: &str) -> Result<(), ServiceError> {
        let entry = self.entry(sovereign)?;
        entry.require_idle(sovereign)?;
        // Keeps jobs and runs of the command line out until all of it is gone.
        let _directory = Directory::open(&entry.folder.join(RUN), sovereign)?;
        if entry.status()?.standing() != Standing::Destroyed {
            return Err(ServiceError::Remains {
                sovereign: sovereign.to_owned(),
            });
        }
        let mut entries = lock(&self.inner.entries);
        let description = entry.folder.join(DESCRIPTION);
        // First of all: what has none is no Sovereign, wherever this is cut off.
        fs::remove_file(&description).map_err(begin::access(&description))?;
        entries.remove(sovereign);
        fs::remove_dir_all(&entry.folder).map_err(begin::access(&entry.folder))
    }

    /// The events of the last job and of those to come, after one of this number; all
    /// that are kept after 0.
    pub fn follow(&self, sovereign: &str, after: u64) -> Result<Follower, ServiceError> {
        let entry = self.entry(sovereign)?;
        Ok(Follower {
            changed: entry.changed.subscribe(),
            entry,
            after,
        })
    }

    /// Waits until no job is at work.
    pub async fn settled(&self, sovereign: &str) -> Result<Status, ServiceError> {
        let entry = self.entry(sovereign)?;
        let mut changed = entry.changed.subscribe();
        while lock(&entry.state).live.is_some() {
            // The entry holds the sender.
            _ = changed.changed().await;
        }
        entry.status()
    }

    /// Changes whenever a job has ended, of whatever Sovereign.
    pub fn ends(&self) -> watch::Receiver<()> {
        self.inner.ends.subscribe()
    }

    fn entry(&self, sovereign: &str) -> Result<Arc<Entry>, ServiceError> {
        let mut entries = lock(&self.inner.entries);
        match entries.get_mut(sovereign) {
            Some(Some(entry)) => Ok(Arc::clone(entry)),
            // It may have been put right since.
            Some(unread) => {
                let folder = self.inner.root.join(sovereign);
                let entry = Arc::new(Entry::load(&folder, &self.inner.ends)?);
                *unread = Some(Arc::clone(&entry));
                Ok(entry)
            }
            None => Err(ServiceError::Unknown {
                sovereign: sovereign.to_owned(),
            }),
        }
    }
}

impl Entry {
    fn new(folder: &Path, kept: Kept, journal: Journal, ends: &watch::Sender<()>) -> Self {
        let (changed, _) = watch::channel(journal.last());
        Self {
            folder: folder.to_owned(),
            state: Mutex::new(State {
                kept,
                journal,
                live: None,
            }),
            changed,
            ends: ends.clone(),
        }
    }

    fn load(folder: &Path, ends: &watch::Sender<()>) -> Result<Self, ServiceError> {
        let path = folder.join(DESCRIPTION);
        let kept = Kept::read(&path)?;
        let name = kept.config.sovereign_fqdn.clone();
        if folder.file_name() != Some(OsStr::new(&name)) {
            return Err(ServiceError::Unreadable {
                path,
                reason: format!("it is of {name}, in the folder of another"),
            });
        }
        let journal = Journal::load(&folder.join(EVENTS));
        Ok(Self::new(folder, kept, journal, ends))
    }

    fn status(&self) -> Result<Status, ServiceError> {
        let state = lock(&self.state);
        let config = state.kept.config.clone();
        let record = match Directory::look(&self.folder.join(RUN), &config.sovereign_fqdn) {
            Ok(record) => Some(record),
            Err(DirectoryError::Absent { .. }) => None,
            Err(DirectoryError::Record { path, reason }) => {
                return Err(ServiceError::Unreadable { path, reason });
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Status {
            config,
            job: state.kept.job.clone(),
            live: state
                .live
                .as_ref()
                .map(|cancel| match cancel.is_cancelled() {
                    true => Live::Stopping,
                    false => Live::Working,
                }),
            record,
            resources: state.journal.resources(),
            planned: state.journal.planned().to_vec(),
            digest: state.journal.digest().map(str::to_owned),
        })
    }

    fn require_idle(&self, sovereign: &str) -> Result<(), ServiceError> {
        let state = lock(&self.state);
        match state.live {
            None => Ok(()),
            Some(_) => Err(ServiceError::Busy {
                sovereign: sovereign.to_owned(),
                task: state.kept.job.task,
                since: state.kept.job.begun,
            }),
        }
    }

    fn end(&self, outcome: Outcome, failure: Option<String>) {
        let milestone = Milestone::JobEnded {
            outcome,
            failure: failure.clone(),
        };
        let mut state = lock(&self.state);
        state.kept.job.ended = Some(Ended {
            at: Timestamp::now(),
            outcome,
            failure,
        });
        // Where it cannot be written, the job is known as interrupted after a restart,
        // and going on finds in the record what was done.
        _ = state.kept.write(&self.folder.join(DESCRIPTION));
        if let Ok(event) = stamped(&milestone) {
            state.journal.append(&event, &event.to_string());
        }
        state.journal.close();
        state.live = None;
        let last = state.journal.last();
        drop(state);
        self.changed.send_replace(last);
        self.ends.send_replace(());
    }
}

/// Follows the events of a Sovereign.
pub struct Follower {
    entry: Arc<Entry>,
    changed: watch::Receiver<u64>,
    after: u64,
}

impl Follower {
    /// The next event: its number, and itself as JSON. Nothing is lost where this is
    /// dropped while it waits.
    pub async fn next(&mut self) -> (u64, Arc<str>) {
        loop {
            if let Some((id, event)) = lock(&self.entry.state).journal.after(self.after) {
                self.after = id;
                return (id, event);
            }
            // The entry holds the sender.
            _ = self.changed.changed().await;
        }
    }
}

/// Takes a lock, whether or not somebody panicked who had it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provisioner::ProvisionError;

    #[test]
    fn errors_say_what_to_do_here_and_not_on_the_command_line() {
        for step in crate::record::Step::ALL {
            let error = ProvisionError::Interrupted { step }.to_string();
            let said = in_service_words(&error);
            assert!(said.ends_with("; resume it to go on"), "{said}");
        }
        let sovereign = "omantel.example".to_owned();
        let refusal = Refusal::Destroying;
        let said = ServiceError::Refused { sovereign, refusal }.to_string();
        assert!(said.ends_with("; destroy it until it has"), "{said}");
    }

    #[test]
    fn what_a_sovereign_is_without_follows_from_what_the_template_holds_back() {
        let held_back = render::held_back();
        let without = without();
        assert_eq!(without.is_none(), held_back.is_empty());
        for part in held_back {
            let said = without.as_deref().unwrap();
            assert!(said.contains(&part), "{part}: {said}");
        }
    }

    #[test]
    fn credentials_are_taken_out_of_json_whatever_they_hold() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary-key-line-1\ncanary-key-line-2\n-----END OPENSSH PRIVATE KEY-----\n";
        let credentials = Credentials {
            hetzner_token: Secret::new("canary-token"),
            ssh_private_key: Secret::new(key),
            git: Some(("flux".to_owned(), Secret::new("canary-\"quoted\""))),
            own: OwnSecrets {
                passphrase: Secret::new("canary-passphrase"),
                openbao_seal: Secret::new("canary-seal"),
                gitea_admin: Secret::new("canary-admin"),
            },
        };
        let event = serde_json::json!({
            "message": format!("{key} canary-token canary-\"quoted\" canary-passphrase canary-seal canary-admin"), "user": "flux",
        });
        let text = credentials.redactor().clean(&event.to_string());
        assert!(!text.contains("canary"), "{text}");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["user"], "flux");
    }
}
