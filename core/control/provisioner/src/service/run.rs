//! A job at work: the steps in their order, and what it tells.

use std::cell::Cell;
use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::key::KeyFile;
use super::{Entry, Outcome, Task, in_service_words, lock};
use crate::config::Config;
use crate::consent::Agreement;
use crate::directory::Directory;
use crate::provisioner::{Event, Options, ProvisionError, Provisioner};
use crate::secret::Redactor;
use crate::told::{Milestone, PlannedChange, stamped};

/// Shows and keeps what a job tells, without its credentials.
pub(super) struct Teller {
    entry: Arc<Entry>,
    redactor: Redactor,
    ended: Cell<bool>,
}

impl Teller {
    pub(super) fn new(entry: Arc<Entry>, redactor: Redactor) -> Self {
        Self {
            entry,
            redactor,
            ended: Cell::new(false),
        }
    }

    fn tell(&self, event: &impl Serialize) {
        let Ok(event) = stamped(event) else { return };
        let text = in_service_words(&self.redactor.clean(&event.to_string()));
        let last = lock(&self.entry.state).journal.append(&event, &text);
        self.entry.changed.send_replace(last);
    }

    fn end(&self, outcome: Outcome, failure: Option<String>) {
        self.ended.set(true);
        self.entry.end(outcome, failure);
    }
}

/// Ends the job, even where a fault of our own unwinds it.
impl Drop for Teller {
    fn drop(&mut self) {
        if !self.ended.get() {
            let fault = "the control plane met a fault of its own; its log has it";
            self.end(Outcome::Failed, Some(fault.to_owned()));
        }
    }
}

/// A job at work.
pub(super) struct Run {
    pub(super) teller: Teller,
    pub(super) config: Config,
    pub(super) options: Options,
    pub(super) directory: Directory,
    pub(super) task: Task,
    /// Whether everything that was made was removed by hand.
    pub(super) is_removed: bool,
    /// What of a plan was agreed to.
    pub(super) agreed: Agreement,
    pub(super) cancel: CancellationToken,
    /// Held until the job has ended: its path is in the configuration.
    pub(super) key: KeyFile,
}

impl Run {
    pub(super) fn run_on(self) {
        let Self {
            teller,
            config,
            options,
            directory,
            task,
            is_removed,
            agreed,
            cancel,
            key: _key,
        } = self;
        teller.tell(&Milestone::JobBegun { task });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let done = match runtime {
            Ok(runtime) => {
                let work = async {
                    let mut sink = |event: Event| teller.tell(&event);
                    let cancel = cancel.clone();
                    let run = Provisioner::new(&config, &options, directory, cancel, &mut sink)?;
                    let run = run.removed_by_hand(is_removed);
                    work(run, &teller, &config, task, &agreed).await
                };
                runtime.block_on(work).map_err(|error| {
                    let outcome = match &error {
                        // It is known what would change, and nothing has.
                        ProvisionError::Unagreed { .. } => Outcome::Planned,
                        _ if cancel.is_cancelled() => Outcome::Cancelled,
                        _ => Outcome::Failed,
                    };
                    (outcome, error.to_string())
                })
            }
            Err(error) => Err((Outcome::Failed, format!("cannot begin: {error}"))),
        };
        match done {
            Ok(outcome) => teller.end(outcome, None),
            Err((outcome, failure)) => {
                let failure = in_service_words(&teller.redactor.clean(&failure));
                teller.end(outcome, Some(failure));
            }
        }
    }
}

/// What `catalyst provision` does, in the same order; its question is answered by what
/// whoever began the job has agreed to.
async fn work(
    mut run: Provisioner<'_>,
    teller: &Teller,
    config: &Config,
    task: Task,
    agreed: &Agreement,
) -> Result<Outcome, ProvisionError> {
    let sovereign = config.sovereign_fqdn.clone();
    match task {
        Task::Plan => {
            let planned = run.plan().await?;
            teller.tell(&Milestone::planned(planned.as_ref()));
            // Where nothing would change, later steps may still be undone.
            Ok(match run.is_finished()? {
                true => Outcome::Provisioned,
                false => Outcome::Planned,
            })
        }
        Task::Provision => {
            if let Some(planned) = run.plan().await? {
                teller.tell(&Milestone::planned(Some(&planned)));
                if let Some(objection) = agreed.objection(&PlannedChange::of(&planned)) {
                    return Err(ProvisionError::Unagreed {
                        sovereign,
                        objection,
                    });
                }
            }
            let record = run.finish().await?;
            teller.tell(&Milestone::Finished {
                sovereign,
                outputs: record.outputs.clone(),
                left_out: record.left_out.clone(),
            });
            Ok(Outcome::Provisioned)
        }
        Task::Destroy => {
            run.destroy().await?;
            teller.tell(&Milestone::Destroyed { sovereign });
            Ok(Outcome::Destroyed)
        }
        Task::Archive => {
            run.archive()?;
            teller.tell(&Milestone::Archived { sovereign });
            Ok(Outcome::Archived)
        }
        Task::Restore => {
            let (_, resources) = run.restore(None).await?;
            teller.tell(&Milestone::Restored {
                sovereign,
                resources,
            });
            Ok(Outcome::Restored)
        }
    }
}
