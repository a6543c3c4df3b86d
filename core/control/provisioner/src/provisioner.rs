//! Carries out what [`crate::record::next`] decides, a step at a time, and tells it.

mod count;
mod destroy;
mod hand_off;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use crate::archive;
use crate::carried::Module;
use crate::cluster::{self, Progress};
use crate::config::{Config, at_home};
use crate::consent::Objection;
use crate::directory::{Directory, DirectoryError};
use crate::fixed;
use crate::preflight::{self, Finding, Hetzner, HetznerError};
use crate::record::{Life, Next, Record, Refusal, Step, next};
use crate::secret::{OwnSecret, OwnSecrets, Redactor, Secret, hidden};
use crate::ssh::{Ssh, SshError};
use crate::tofu::{Limits, Planned, Tofu, TofuError, TofuEvent, has_state};
use count::Count;

/// What is told while it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// A step begins.
    StepBegun {
        /// The step.
        step: Step,
        /// Its place among `of`.
        number: usize,
        /// How many there are.
        of: usize,
        /// How long it usually takes.
        expected_seconds: u64,
    },
    /// A step is done.
    StepDone {
        /// The step.
        step: Step,
        /// How long it took.
        seconds: u64,
    },
    /// A step failed.
    StepFailed {
        /// The step.
        step: Step,
        /// Why, and what to do.
        message: String,
    },
    /// What preflight found.
    Found(Finding),
    /// What OpenTofu tells.
    Tofu(TofuEvent),
    /// How many resources are done.
    Resources {
        /// Done.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// What is waited for.
    Waiting {
        /// The step.
        step: Step,
        /// What is not there yet, and why.
        what: String,
        /// Since when.
        seconds: u64,
        /// At most so long.
        limit_seconds: u64,
    },
}

/// Why a Sovereign was not provisioned.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The directory or the record.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// OpenTofu.
    #[error(transparent)]
    Tofu(#[from] TofuError),
    /// The first control plane.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The cloud's API.
    #[error(transparent)]
    Hetzner(#[from] HetznerError),
    /// Preflight found what would make it fail.
    #[error("cannot provision {sovereign}: preflight found {}", listed(.problems))]
    Preflight {
        /// The Sovereign.
        sovereign: String,
        /// What it found.
        problems: Vec<Finding>,
    },
    /// Nothing may be done.
    #[error("cannot provision {sovereign}: {refusal}")]
    Refused {
        /// The Sovereign.
        sovereign: String,
        /// Why.
        refusal: Refusal,
    },
    /// What shall change cannot.
    #[error("cannot change {sovereign}: its nodes have joined one another, and since then {what}")]
    Fixed {
        /// The Sovereign.
        sovereign: String,
        /// What would change, and what to do instead.
        what: String,
    },
    /// What is planned was not agreed to.
    #[error("{sovereign} is planned, and nothing was changed: {objection}")]
    Unagreed {
        /// The Sovereign.
        sovereign: String,
        /// What stands against it.
        objection: Objection,
    },
    /// Something did not come in time.
    #[error("cannot {}: after {seconds} s: {last}; look at the nodes (`journalctl -u catalyst-bootstrap`), then run `catalyst provision resume`", .step.title())]
    Late {
        /// The step.
        step: Step,
        /// How long was waited.
        seconds: u64,
        /// What was not there.
        last: String,
    },
    /// Somebody interrupted it.
    #[error("interrupted while it was to {}; run `catalyst provision resume` to go on", .step.title())]
    Interrupted {
        /// The step.
        step: Step,
    },
    /// The module gave no such output.
    #[error(
        "cannot go on: the module has no output {name}; see that Catalyst's own module is used"
    )]
    Output {
        /// The output.
        name: &'static str,
    },
    /// The project has things of this Sovereign that OpenTofu did not know.
    #[error("the destroy of {sovereign} left in the project what OpenTofu does not know: {}; remove it in Hetzner's console, then run `catalyst provision destroy` again", .left.join(", "))]
    Leaked {
        /// The Sovereign.
        sovereign: String,
        /// Kind and name of each.
        left: Vec<String>,
    },
    /// The project has what the Sovereign's cluster made by itself.
    #[error("the destroy of {sovereign} left what its cluster had made by itself: {}; what lies on a volume is lost with it, so that nothing of this is removed unasked: remove it in Hetzner's console, then run `catalyst provision destroy` again", .left.join(", "))]
    MadeByCluster {
        /// The Sovereign.
        sovereign: String,
        /// Kind and name of each.
        left: Vec<String>,
    },
    /// The token opens another project than the Sovereign's.
    #[error("cannot go on with {sovereign}: the token's project has nothing of what was made for it: no {}; set HCLOUD_TOKEN to one of the project's API tokens; if all of it was removed by hand, run it again with --removed-by-hand", few(.absent))]
    OfAnotherProject {
        /// The Sovereign.
        sovereign: String,
        /// Kind and id of what was looked for.
        absent: Vec<String>,
    },
    /// Crossplane sees something else than OpenTofu made.
    #[error("cannot {}: Crossplane sees something else than was made: {}; nothing was changed; look at it in the namespace crossplane-system, then run `catalyst provision resume`", .step.title(), .differences.join("; "))]
    NotTheSame {
        /// The step.
        step: Step,
        /// What differs.
        differences: Vec<String>,
    },
    /// The cluster answered with something else than it was asked for.
    #[error(
        "cannot {action}: what the control plane answered is no list of objects; run `catalyst provision resume` to ask again"
    )]
    NoList {
        /// What was attempted.
        action: &'static str,
    },
    /// The credentials of a private Git repository are not given.
    #[error(
        "cannot hand secrets over: gitCredentials is true, and CATALYST_GIT_USERNAME or CATALYST_GIT_PASSWORD is not set; set both, then run `catalyst provision resume`"
    )]
    GitCredentials,
    /// A secret of this machine could not be kept.
    #[error("cannot use {}: {source}", .path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The state was not put away.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
}

/// The first of many names.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let text = shown.join(", no ");
    match names.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text}, nor any of {more} more"),
    }
}

fn listed(problems: &[Finding]) -> String {
    let count = match problems.len() {
        1 => "one problem".to_owned(),
        several => format!("{several} problems"),
    };
    let begin = format!("{count}; nothing was created");
    problems.iter().fold(begin, |text, found| {
        format!(
            "{text}\n  {}: {}",
            found.subject,
            found.message.replace('\n', "\n    ")
        )
    })
}

/// How long the cluster is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// SSH on the first control plane.
    pub ssh: Duration,
    /// Every node joined.
    pub kubernetes: Duration,
    /// Git read by Flux.
    pub flux: Duration,
    /// Every part Ready.
    pub parts: Duration,
    /// Every resource observed, and then adopted, by Crossplane.
    pub adoption: Duration,
    /// The checklist; whoever writes DNS records needs time for it.
    pub checklist: Duration,
    /// Between two looks.
    pub between: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            ssh: minutes(5),
            kubernetes: minutes(60),
            flux: minutes(10),
            parts: minutes(60),
            adoption: minutes(15),
            checklist: minutes(30),
            between: Duration::from_secs(5),
        }
    }
}

/// What is used to provision.
#[derive(Debug, Clone)]
pub struct Options {
    /// OpenTofu.
    pub tofu: PathBuf,
    /// OpenSSH's client.
    pub ssh: PathBuf,
    /// Where the nodes take SSH.
    pub ssh_port: u16,
    /// Hetzner's API, for preflight.
    pub hetzner: Url,
    /// The module.
    pub module: Module,
    /// The cloud's token.
    pub token: Secret,
    /// User and password of a private Git repository.
    pub git: Option<(String, Secret)>,
    /// The secrets that were made for the Sovereign; files of its directory where absent.
    pub own: Option<OwnSecrets>,
    /// How long OpenTofu may take.
    pub limits: Limits,
    /// How long the cluster may take.
    pub waits: Waits,
}

/// One run for one Sovereign.
pub struct Provisioner<'a> {
    config: &'a Config,
    options: &'a Options,
    directory: Directory,
    record: Record,
    inputs: String,
    /// How many resources the plan of this run would change.
    planned: usize,
    /// Whether it is known that the token opens the Sovereign's project.
    is_own_project: bool,
    /// Whether somebody said that what was made was removed by hand.
    is_removed: bool,
    tofu: Tofu,
    ssh: Ssh,
    /// Of what the record keeps, which goes into backups.
    redactor: Redactor,
    cancel: CancellationToken,
    sink: &'a mut dyn FnMut(Event),
}

impl<'a> Provisioner<'a> {
    /// Takes hold of the Sovereign's directory.
    pub fn new(
        config: &'a Config,
        options: &'a Options,
        directory: Directory,
        cancel: CancellationToken,
        sink: &'a mut dyn FnMut(Event),
    ) -> Result<Self, ProvisionError> {
        let record = match directory.read()? {
            Some(record) => record,
            None => {
                let record = Record::new(&config.sovereign_fqdn, Timestamp::now());
                directory.save(&record)?;
                record
            }
        };
        let passphrase = match &options.own {
            Some(own) => own.passphrase.clone(),
            // Another passphrase than the state's own would only hide what was lost.
            None => kept(
                &directory,
                OwnSecret::Passphrase,
                needs_passphrase(&directory, &record),
            )?,
        };
        let tofu = Tofu::new(
            &options.tofu,
            directory.path(),
            &passphrase,
            &[("HCLOUD_TOKEN", options.token.clone())],
            options.limits,
            cancel.clone(),
        );
        let ssh = Ssh::new(&options.ssh, options.ssh_port, config, directory.path());
        Ok(Self {
            config,
            options,
            directory,
            record,
            inputs: inputs(config, &options.module),
            planned: 0,
            is_own_project: false,
            is_removed: false,
            tofu,
            ssh,
            redactor: redactor(config, options, &passphrase),
            cancel,
            sink,
        })
    }

    /// Says whether everything that was made was removed by hand: that nothing of it is
    /// found is then no sign of another project's token.
    #[must_use]
    pub fn removed_by_hand(mut self, is_removed: bool) -> Self {
        self.is_removed = is_removed;
        self
    }

    /// Refuses a token of another project before anything is done with it. To OpenTofu
    /// what such a token does not find is gone: it would make it anew there, or call it
    /// destroyed.
    async fn require_own_project(&mut self) -> Result<(), ProvisionError> {
        if self.is_own_project {
            return Ok(());
        }
        let made = self.tofu.made().await?;
        let hetzner = Hetzner::new(&self.options.hetzner, self.options.token.clone())?;
        let absent = preflight::not_in_project(&hetzner, &made).await?;
        if !absent.is_empty() && !self.is_removed {
            return Err(ProvisionError::OfAnotherProject {
                sovereign: self.config.sovereign_fqdn.clone(),
                absent,
            });
        }
        self.is_own_project = true;
        Ok(())
    }

    /// Does what comes before creating, and gives the plan; `None` where creating is
    /// done with these inputs. A plan of an earlier run is not used: it is made anew. And
    /// preflight looks again each time: what it saw may be long ago, and by another token.
    pub async fn plan(&mut self) -> Result<Option<Planned>, ProvisionError> {
        match self.next()? {
            Some(step) if step <= Step::Apply => {}
            _ => return Ok(None),
        }
        if let Some(what) = fixed::changed(&self.record.fixed, self.config) {
            let sovereign = self.config.sovereign_fqdn.clone();
            return Err(ProvisionError::Fixed { sovereign, what });
        }
        // Nobody can be asked without a token; preflight tells that, with all else.
        if preflight::token_fault(&self.options.token).is_none() {
            self.require_own_project().await?;
        }
        self.record.done.remove(&Step::Plan);
        self.step(Step::Preflight).await?;
        let mut planned = None;
        while let Some(step) = self.next()?.filter(|step| *step <= Step::Plan) {
            planned = self.step(step).await?;
        }
        Ok(planned)
    }

    /// Whether every step is done with these inputs.
    pub fn is_finished(&self) -> Result<bool, ProvisionError> {
        self.next().map(|step| step.is_none())
    }

    /// Goes on to the end. What is created was planned before, by [`Self::plan`].
    pub async fn finish(&mut self) -> Result<&Record, ProvisionError> {
        while let Some(step) = self.next()? {
            // What comes after creating hands the token over to the cluster. And planning
            // has waited for an OpenTofu that was still at work: it has said since what it made.
            self.is_own_project &= step != Step::Apply;
            self.require_own_project().await?;
            self.step(step).await?;
        }
        Ok(&self.record)
    }

    /// Puts the encrypted state away once everything is done, and gives the folder.
    pub fn archive(&mut self) -> Result<PathBuf, ProvisionError> {
        if self.record.life == Life::Archived {
            return Err(self.refused(Refusal::Archived));
        }
        if let Some(step) = self.next()? {
            return Err(archive::ArchiveError::Unfinished { step }.into());
        }
        let folder = archive::put_away(&self.directory, Timestamp::now())?;
        self.record.life = Life::Archived;
        self.directory.save(&self.record)?;
        archive::clear(&self.directory)?;
        Ok(folder)
    }

    /// Takes the archived state back, from the newest archive if none is named, and gives
    /// that archive's folder and how many resources the state has. It is proved that
    /// OpenTofu can read it; else, for whatever reason, it stays archived.
    pub async fn restore(
        &mut self,
        from: Option<&Path>,
    ) -> Result<(PathBuf, usize), ProvisionError> {
        let sovereign = self.config.sovereign_fqdn.clone();
        if self.record.life != Life::Archived {
            return Err(archive::ArchiveError::NotArchived { sovereign }.into());
        }
        let folder = archive::take_back(&self.directory, from)?;
        let readable = async {
            self.tofu.stage(&self.options.module)?;
            self.tofu.state_list().await
        };
        let resources = match readable.await {
            Ok(list) => list.len(),
            Err(error) => {
                archive::clear(&self.directory)?;
                if !error.is_of_encryption() {
                    return Err(error.into());
                }
                let reason = error.to_string();
                return Err(archive::ArchiveError::Unreadable { sovereign, reason }.into());
            }
        };
        self.record.life = Life::Provisioning;
        self.directory.save(&self.record)?;
        Ok((folder, resources))
    }

    fn refused(&self, refusal: Refusal) -> ProvisionError {
        ProvisionError::Refused {
            sovereign: self.config.sovereign_fqdn.clone(),
            refusal,
        }
    }

    fn next(&self) -> Result<Option<Step>, ProvisionError> {
        match next(&self.record, &self.inputs) {
            Next::Run(step) => Ok(Some(step)),
            Next::Finished => Ok(None),
            Next::Refused(refusal) => Err(self.refused(refusal)),
        }
    }

    /// Carries out one step, between two writes of the record.
    async fn step(&mut self, step: Step) -> Result<Option<Planned>, ProvisionError> {
        self.record.begin(step, Timestamp::now());
        self.directory.save(&self.record)?;
        (self.sink)(Event::StepBegun {
            step,
            number: step.number(),
            of: Step::ALL.len(),
            expected_seconds: step.expected_seconds(),
        });
        let begun = Instant::now();
        let mut versions = BTreeMap::new();
        let mut planned = None;
        match self.work(step, &mut versions, &mut planned).await {
            Ok(()) => {
                self.record
                    .finish(step, Timestamp::now(), &self.inputs, versions);
                if step == Step::WaitKubernetes {
                    self.record.fixed = fixed::of(self.config);
                }
                self.directory.save(&self.record)?;
                (self.sink)(Event::StepDone {
                    step,
                    seconds: begun.elapsed().as_secs(),
                });
                Ok(planned)
            }
            Err(error) => {
                let message = self.redactor.clean(&error.to_string());
                self.record.fail(message.clone());
                self.directory.save(&self.record)?;
                (self.sink)(Event::StepFailed { step, message });
                Err(error)
            }
        }
    }

    async fn work(
        &mut self,
        step: Step,
        versions: &mut BTreeMap<String, String>,
        planned: &mut Option<Planned>,
    ) -> Result<(), ProvisionError> {
        if step == Step::Apply {
            self.try_to_let_go().await;
        }
        let sink = &mut *self.sink;
        match step {
            Step::Preflight => self.preflight().await?,
            Step::StageModule => {
                self.tofu.stage(&self.options.module)?;
                versions.insert("module".to_owned(), self.options.module.digest());
                versions.insert("catalyst".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
            }
            Step::WriteVariables => self.tofu.write_variables(&self.config.variables())?,
            Step::Init => {
                versions.insert("tofu".to_owned(), self.tofu.version().await?.to_string());
                self.tofu
                    .init(&mut |event| sink(Event::Tofu(event)))
                    .await?;
                versions.extend(self.tofu.providers());
            }
            Step::Plan => {
                if self.tofu.is_at_work() {
                    sink(Event::Found(Finding {
                        problem: false,
                        subject: "OpenTofu".to_owned(),
                        message: format!(
                            "one that an earlier run left behind is still at work; it is waited for, at most {} s",
                            self.options.limits.lock.as_secs()
                        ),
                    }));
                }
                let found = self
                    .tofu
                    .plan(&mut |event| sink(Event::Tofu(event)))
                    .await?;
                self.planned = found.changes.len();
                *planned = Some(found);
            }
            Step::Apply => {
                let mut count = Count::new(self.planned, sink);
                self.tofu.apply(&mut |event| count.tell(event)).await?;
                self.record.outputs = self.tofu.outputs().await?;
                versions.extend(self.config.versions());
                self.tell_records();
            }
            Step::WaitSsh => {
                let ssh = self.control_plane()?;
                self.wait(step, self.options.waits.ssh, async || {
                    if !ssh.is_open().await {
                        return Progress::Waiting("port 22 takes no connection".to_owned());
                    }
                    told(ssh.run("sign in", "true", None, MINUTE).await, |_| {
                        Progress::Ready
                    })
                })
                .await?;
            }
            Step::WaitKubernetes => {
                let ssh = self.control_plane()?;
                self.wait(step, self.options.waits.kubernetes, async || {
                    let said = ssh.run(
                        "ask how far the node is",
                        cluster::BOOTSTRAP_STATUS,
                        None,
                        MINUTE,
                    );
                    told(said.await, cluster::bootstrap)
                })
                .await?;
            }
            Step::HandOver => self.hand_over().await?,
            Step::WaitFlux => {
                let ssh = self.control_plane()?;
                self.wait(step, self.options.waits.flux, async || {
                    let said = ssh.run("ask Flux for its source", cluster::SOURCE, None, MINUTE);
                    told(said.await, |text| {
                        cluster::readiness(&serde_json::from_str(text).unwrap_or_default())
                    })
                })
                .await?;
            }
            Step::WaitParts => self.wait_parts().await?,
            Step::Observe => self.observe().await?,
            Step::Adopt => self.adopt().await?,
            Step::Checklist => self.checklist().await?,
        }
        Ok(())
    }

    async fn preflight(&mut self) -> Result<(), ProvisionError> {
        let looked = preflight::preflight(
            self.config,
            &self.tofu,
            &self.ssh,
            &self.options.hetzner,
            &self.options.token,
            self.options.git.as_ref(),
        );
        let found = tokio::select! {
            found = looked => found,
            () = self.cancel.cancelled() => {
                return Err(ProvisionError::Interrupted { step: Step::Preflight });
            }
        };
        for finding in &found {
            (self.sink)(Event::Found(finding.clone()));
        }
        let problems: Vec<Finding> = found.into_iter().filter(|found| found.problem).collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(ProvisionError::Preflight {
            sovereign: self.config.sovereign_fqdn.clone(),
            problems,
        })
    }

    fn control_plane(&self) -> Result<Ssh, ProvisionError> {
        let name = "control_plane_ip";
        let address = self.record.outputs.get(name).and_then(Value::as_str);
        Ok(self.ssh.on(address.ok_or(ProvisionError::Output { name })?))
    }

    /// Looks again and again until it is so, the time is up, or somebody interrupts.
    async fn wait(
        &mut self,
        step: Step,
        limit: Duration,
        look: impl AsyncFn() -> Progress,
    ) -> Result<(), ProvisionError> {
        let begun = Instant::now();
        let mut last = String::new();
        loop {
            let found = tokio::select! {
                found = look() => found,
                () = self.cancel.cancelled() => return Err(ProvisionError::Interrupted { step }),
            };
            let Progress::Waiting(what) = found else {
                return Ok(());
            };
            let seconds = begun.elapsed().as_secs();
            if what != last {
                (self.sink)(Event::Waiting {
                    step,
                    what: what.clone(),
                    seconds,
                    limit_seconds: limit.as_secs(),
                });
                last = what;
            }
            if begun.elapsed() >= limit {
                return Err(ProvisionError::Late {
                    step,
                    seconds,
                    last,
                });
            }
            tokio::select! {
                () = tokio::time::sleep(self.options.waits.between) => {}
                () = self.cancel.cancelled() => return Err(ProvisionError::Interrupted { step }),
            }
        }
    }
}

/// Digest of what the steps are done with: the module, and what it is given.
pub(crate) fn inputs(config: &Config, module: &Module) -> String {
    let mut hash = Sha256::new();
    hash.update(config.variables().to_string());
    hash.update(module.digest());
    hex::encode(hash.finalize())
}

/// Takes the credentials of a run, and what was made for its Sovereign, out of texts.
fn redactor(config: &Config, options: &Options, passphrase: &Secret) -> Redactor {
    let path = config.ssh_private_key_file.as_deref().map(at_home);
    // One that cannot be read is used by nobody here.
    let key = path.and_then(|path| std::fs::read_to_string(path).ok());
    let key = Zeroizing::new(key.unwrap_or_default());
    let password = options.git.as_ref().map(|(_, password)| password);
    let own = options.own.iter().flat_map(OwnSecrets::all);
    let all = hidden(&options.token, &key, password)
        .chain(own)
        .chain([passphrase.reveal()]);
    Redactor::new(all.map(Secret::new))
}

const MINUTE: Duration = Duration::from_secs(60);

/// What an answer over SSH means; none is one more reason to wait.
fn told(said: Result<String, SshError>, judge: impl FnOnce(&str) -> Progress) -> Progress {
    match said {
        Ok(text) => judge(&text),
        Err(error) => Progress::Waiting(error.to_string()),
    }
}

/// All of several as one: Ready, or those that are not with the first one's reason.
fn all(what: &str, parts: &[(String, Progress)]) -> Progress {
    let waiting: Vec<(&str, &str)> = parts
        .iter()
        .filter_map(|(part, progress)| match progress {
            Progress::Ready => None,
            Progress::Waiting(why) => Some((part.as_str(), why.as_str())),
        })
        .collect();
    let Some((first, why)) = waiting.first() else {
        return Progress::Ready;
    };
    let ready = parts.len() - waiting.len();
    Progress::Waiting(format!(
        "{ready} of {} {what} are Ready; {first}: {why}",
        parts.len()
    ))
}

/// Whether something is there that opens with the passphrase alone.
pub(crate) fn needs_passphrase(directory: &Directory, record: &Record) -> bool {
    record.life == Life::Archived || has_state(&directory.module())
}

/// A secret of the directory; where it was in use before, it must be there.
fn kept(directory: &Directory, one: OwnSecret, in_use: bool) -> Result<Secret, ProvisionError> {
    let path = directory.path().join(one.file());
    if in_use && !path.exists() {
        return Err(ProvisionError::Keep {
            path,
            source: std::io::Error::other(
                "it is gone, and what was made with it cannot be read without it; restore it from a copy of the directory",
            ),
        });
    }
    Secret::kept(&path).map_err(|source| ProvisionError::Keep { path, source })
}
