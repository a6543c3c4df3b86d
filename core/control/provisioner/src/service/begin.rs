//! How a job begins: every refusal first, while nothing has changed yet; then, with the
//! credentials, the job itself.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::job::Kept;
use super::journal::Journal;
use super::key::KeyFile;
use super::run::{Run, Teller};
use super::{Credentials, DESCRIPTION, EVENTS, Entry, Job, RUN, Service, ServiceError, Task, lock};
use crate::config::Config;
use crate::consent::Agreement;
use crate::directory::{self, Directory};
use crate::fixed;
use crate::provisioner::{Options, inputs, needs_passphrase};
use crate::record::{Life, Next, Refusal, next};
use crate::secret::OwnSecret;

/// A job that may be begun. It keeps every other one out, and runs of the command line
/// too, until it is begun or dropped.
pub struct Prepared {
    service: Service,
    config: Config,
    task: Task,
    by: String,
    directory: Directory,
    is_removed: bool,
    agreed: Agreement,
}

impl Service {
    /// Prepares the first job of a Sovereign, or the first one after its destroy.
    pub fn prepare_new(
        &self,
        config: Config,
        task: Task,
        by: &str,
    ) -> Result<Prepared, ServiceError> {
        self.require_new(&config.sovereign_fqdn)?;
        self.prepare(config, task, by)
    }

    /// Prepares another job of a Sovereign; with another description, if one is given.
    pub fn prepare_next(
        &self,
        sovereign: &str,
        config: Option<Config>,
        task: Task,
        by: &str,
    ) -> Result<Prepared, ServiceError> {
        let entry = self.entry(sovereign)?;
        let config = config.unwrap_or_else(|| lock(&entry.state).kept.config.clone());
        if config.sovereign_fqdn != sovereign {
            return Err(ServiceError::OfAnother {
                sovereign: sovereign.to_owned(),
                other: config.sovereign_fqdn,
            });
        }
        self.prepare(config, task, by)
    }

    fn prepare(&self, config: Config, task: Task, by: &str) -> Result<Prepared, ServiceError> {
        let sovereign = &config.sovereign_fqdn;
        let folder = self.inner.root.join(sovereign);
        match self.entry(sovereign) {
            Ok(entry) => entry.require_idle(sovereign)?,
            Err(ServiceError::Unknown { .. }) => {}
            // What cannot be read is not written over.
            Err(error) => return Err(error),
        }
        directory::private_folder(&folder).map_err(access(&folder))?;
        let directory = Directory::open(&folder.join(RUN), sovereign)?;
        let record = directory.read()?;
        let life = record.as_ref().map(|record| record.life);
        let is_finished = record.as_ref().is_some_and(|record| {
            let inputs = inputs(&config, &self.inner.options.module);
            next(record, &inputs) == Next::Finished
        });
        let refusal = match (life, task) {
            (Some(Life::Archived), Task::Restore) | (Some(Life::Destroying), Task::Destroy) => None,
            (Some(Life::Archived), _) => Some(Refusal::Archived),
            (_, Task::Restore) => Some(Refusal::NotArchived),
            (Some(Life::Destroying), _) => Some(Refusal::Destroying),
            (Some(Life::Destroyed) | None, Task::Archive) => Some(Refusal::NothingMade),
            (_, Task::Archive) if !is_finished => Some(Refusal::Unfinished),
            _ => None,
        };
        if let Some(refusal) = refusal {
            let sovereign = sovereign.clone();
            return Err(ServiceError::Refused { sovereign, refusal });
        }
        if let (Some(record), Task::Plan | Task::Provision) = (&record, task)
            && let Some(what) = fixed::changed(&record.fixed, &config)
        {
            let sovereign = sovereign.clone();
            return Err(ServiceError::Fixed { sovereign, what });
        }
        Ok(Prepared {
            service: self.clone(),
            config,
            task,
            by: by.to_owned(),
            directory,
            is_removed: false,
            agreed: Agreement::default(),
        })
    }
}

impl Prepared {
    /// Says whether everything that was made was removed by hand.
    #[must_use]
    pub fn removed_by_hand(mut self, is_removed: bool) -> Self {
        self.is_removed = is_removed;
        self
    }

    /// Says what of a plan was agreed to; see [`super::Status::agreement`].
    #[must_use]
    pub fn agreed(mut self, agreed: Agreement) -> Self {
        self.agreed = agreed;
        self
    }

    /// Whether something was made that needs a secret which was made for it: another in
    /// its place would open nothing.
    pub fn needs(&self, one: OwnSecret) -> Result<bool, ServiceError> {
        let Some(record) = self.directory.read()? else {
            return Ok(false);
        };
        Ok(match one {
            OwnSecret::Passphrase => needs_passphrase(&self.directory, &record),
            OwnSecret::OpenbaoSeal | OwnSecret::GiteaAdmin => record.handed_over,
        })
    }

    /// Begins the job. Nothing but the files of the service can refuse it any more.
    pub fn begin(self, credentials: &Credentials) -> Result<(), ServiceError> {
        let Self {
            service,
            config,
            task,
            by,
            directory,
            is_removed,
            agreed,
        } = self;
        let sovereign = config.sovereign_fqdn.clone();
        let folder = service.inner.root.join(&sovereign);
        let key = KeyFile::new(&credentials.ssh_private_key).map_err(access(&folder))?;
        let job = Job {
            task,
            by,
            begun: Timestamp::now(),
            plan_only: task == Task::Plan,
            ended: None,
        };
        let mut kept = Kept::new(config.clone(), job);
        let cancel = CancellationToken::new();
        let mut entries = lock(&service.inner.entries);
        let entry = match entries.get(&sovereign) {
            Some(Some(entry)) => Arc::clone(entry),
            Some(None) | None => {
                let journal = Journal::load(&folder.join(EVENTS));
                let ends = &service.inner.ends;
                Arc::new(Entry::new(&folder, kept.clone(), journal, ends))
            }
        };
        {
            let mut state = lock(&entry.state);
            kept.job.plan_only = state.kept.job.is_plan_only_before(task);
            state.journal.renew().map_err(access(&folder))?;
            // Last of all: what is on disk as begun was begun.
            if let Err(error) = kept.write(&folder.join(DESCRIPTION)) {
                state.journal.close();
                return Err(error);
            }
            state.kept = kept;
            state.live = Some(cancel.clone());
        }
        entries.insert(sovereign, Some(Arc::clone(&entry)));
        drop(entries);
        let run = Run {
            teller: Teller::new(entry, credentials.redactor()),
            config: Config {
                ssh_private_key_file: Some(key.path()),
                ..config
            },
            options: Options {
                token: credentials.hetzner_token.clone(),
                git: credentials.git.clone(),
                own: Some(credentials.own.clone()),
                ..service.inner.options.clone()
            },
            directory,
            task,
            is_removed,
            agreed,
            cancel,
            key,
        };
        // A thread of its own: what the steps do is bound to one, and must not be cut
        // off when whoever asked for it goes away.
        let thread = std::thread::Builder::new()
            .name("provisioning".to_owned())
            .spawn(move || run.run_on());
        // Where there is none, the job was ended with what it was given.
        thread.map(drop).map_err(access(&folder))
    }
}

pub(super) fn access(path: &Path) -> impl FnOnce(io::Error) -> ServiceError + use<> {
    let path = path.to_owned();
    move |source| ServiceError::Access { path, source }
}
