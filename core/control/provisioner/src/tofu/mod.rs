//! The OpenTofu driver: the real `tofu` binary on a staged module.
//!
//! What must stay true: secrets stand in the environment of `tofu` and nowhere else;
//! what it prints is cleaned of them before anybody sees it; it is always given the
//! time to save its state.

mod encryption;
mod events;
mod explain;
mod process;
mod state;
mod version;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rustix::fs::{FlockOperation, fcntl_lock};
use semver::Version;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use events::{Diagnostic, ResourceState, TofuEvent};
pub use explain::explain;
pub use process::Stopped;
use process::{Ended, Run};
pub use state::Made;

use crate::carried::Module;
use crate::directory;
use crate::secret::{Redactor, Secret};

/// The oldest that the module takes: its validations look at other variables.
const OLDEST: Version = Version::new(1, 9, 0);
const INIT: &str = "initialise the module";
const MAKE_PLAN: &str = "plan";
/// What alone changes anything in the cloud; both complete the sentence "cannot …".
const CREATE: &str = "create the resources";
const DESTROY: &str = "destroy the resources";
/// The state, in the module's folder, and where OpenTofu leaves what it could not save there.
const STATE: &str = "terraform.tfstate";
const BESIDE: &str = "errored.tfstate";
/// The saved plan, in the module's folder.
const PLAN: &str = "sovereign.tfplan";
/// What of our own environment OpenTofu and its providers may see: where programs and
/// certificates are, how to reach the network, where providers are cached.
const PASSED: [&str; 22] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "TF_CLI_CONFIG_FILE",
    "TF_PLUGIN_CACHE_DIR",
    "HCLOUD_ENDPOINT",
    "SSH_AUTH_SOCK",
    "TZ",
    "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE",
];

/// Why OpenTofu did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TofuError {
    /// The program is not there, or cannot be run.
    #[error("cannot run {}: {source}; install OpenTofu {OLDEST} or later (https://opentofu.org/docs/intro/install/), or name it with --tofu or CATALYST_TOFU", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program is too old.
    #[error("cannot use {}: it is OpenTofu {found}, and the module needs {OLDEST} or later; install a newer one, or name it with --tofu or CATALYST_TOFU", .program.display())]
    TooOld {
        /// The program.
        program: PathBuf,
        /// Its version.
        found: Version,
    },
    /// The program is another one, which takes the same words.
    #[error("cannot use {}: it is Terraform, which would keep the state in the clear; install OpenTofu {OLDEST} or later (https://opentofu.org/docs/intro/install/), or name it with --tofu or CATALYST_TOFU", .program.display())]
    Terraform {
        /// The program.
        program: PathBuf,
    },
    /// It ended with errors.
    #[error("cannot {action}: OpenTofu failed{}{}", told(.diagnostics, .said), after_failure(.action))]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// What it told.
        diagnostics: Vec<Diagnostic>,
        /// What else it printed.
        said: String,
    },
    /// It was stopped.
    #[error("cannot {action}: {}; {}", stopped(*.why, *.within), after_stop(.action))]
    Stopped {
        /// What was attempted.
        action: &'static str,
        /// Why.
        why: Stopped,
        /// The time it was given.
        within: Duration,
    },
    /// It had to be killed.
    #[error("cannot {action}: OpenTofu did not stop in good order and was killed; {}", after_kill(.action))]
    Killed {
        /// What was attempted.
        action: &'static str,
    },
    /// It could not write its state, and left it beside.
    #[error("cannot {action}: OpenTofu could not save its state and left it in {}; make room on the disk, then run `mv errored.tfstate terraform.tfstate` in that folder before anything else: it is the newer of the two, and encrypted like the other", .path.display())]
    StateBeside {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Something is left after a destroy.
    #[error("the destroy left {} behind: {}; run `catalyst provision destroy` again, and remove by hand in Hetzner's console what it cannot{}", resources(.left.len()), .left.join(", "), told(.diagnostics, ""))]
    Left {
        /// Addresses in the state.
        left: Vec<String>,
        /// What OpenTofu told.
        diagnostics: Vec<Diagnostic>,
    },
    /// It printed something else than was expected.
    #[error(
        "cannot {action}: what OpenTofu printed cannot be read: {reason}; see that --tofu names OpenTofu"
    )]
    Read {
        /// What was attempted.
        action: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A file of the module could not be read or written.
    #[error("cannot stage the module at {}: {source}; see that the disk has room", .path.display())]
    Stage {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl TofuError {
    /// Whether the passphrase does not open the state, or the state was tampered with.
    pub fn is_of_encryption(&self) -> bool {
        matches!(self, Self::Failed { said, .. } if encryption::does_not_open(said))
    }
}

fn told(diagnostics: &[Diagnostic], said: &str) -> String {
    let mut text = String::new();
    for found in diagnostics.iter().filter(|found| found.error) {
        text.push_str("\n  ");
        if let Some(address) = &found.address {
            text.push_str(&format!("{address}: "));
        }
        text.push_str(&found.summary);
        if !found.detail.is_empty() {
            text.push_str(&format!(": {}", found.detail.replace('\n', " ")));
        }
        if let Some(explanation) = &found.explanation {
            text.push_str(&format!("\n    {explanation}"));
        }
    }
    if text.is_empty() && !said.trim().is_empty() {
        text = format!(": {}", said.trim());
    }
    text
}

fn stopped(why: Stopped, within: Duration) -> String {
    match why {
        Stopped::Canceled => "it was interrupted".to_owned(),
        Stopped::TimedOut => format!("it took longer than {} s", within.as_secs()),
    }
}

/// Where what was stopped stands, and how to go on: only two change anything.
fn after_stop(action: &str) -> &'static str {
    match action {
        CREATE => "OpenTofu has saved its state, run `catalyst provision resume` to go on",
        DESTROY => "OpenTofu has saved its state, run `catalyst provision destroy` again to go on",
        _ => "nothing was changed by that, run `catalyst provision resume` to go on",
    }
}

/// What to do next, of what is a step of its own.
fn after_failure(action: &str) -> &'static str {
    match action {
        INIT | MAKE_PLAN | CREATE => {
            "\nput right what it names, then run `catalyst provision resume`"
        }
        DESTROY => "\nput right what it names, then run `catalyst provision destroy` again",
        _ => "",
    }
}

fn after_kill(action: &str) -> &'static str {
    match action {
        CREATE | DESTROY => {
            "what it was at work on may be missing from its state: compare the project in Hetzner's console with `catalyst provision status` before you go on"
        }
        _ => "nothing was changed by that, run `catalyst provision resume` to go on",
    }
}

/// Whether the folder of a module has a state, in its place or beside it.
pub(crate) fn has_state(module: &Path) -> bool {
    [STATE, BESIDE]
        .iter()
        .any(|name| module.join(name).exists())
}

/// What a plan would change. Where changes are counted and none is named, it is not known
/// what they are, and it must not pass for a plan of nothing.
fn planned(events: Vec<TofuEvent>) -> Result<Planned, TofuError> {
    let mut counted = 0;
    let mut changes = Vec::new();
    for event in events {
        match event {
            TofuEvent::Planned { address, action } => changes.push((address, action)),
            TofuEvent::Summary {
                operation,
                add,
                change,
                remove,
            } if operation == "plan" => counted = add + change + remove,
            _ => {}
        }
    }
    if changes.is_empty() && counted > 0 {
        return Err(TofuError::Read {
            action: "plan",
            reason: format!("it counts changes, {counted}, and names none"),
        });
    }
    Ok(Planned { changes })
}

fn resources(count: usize) -> String {
    match count {
        1 => "one resource".to_owned(),
        several => format!("{several} resources"),
    }
}

/// How long each may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Downloading providers.
    pub init: Duration,
    /// Planning.
    pub plan: Duration,
    /// Creating.
    pub apply: Duration,
    /// Destroying.
    pub destroy: Duration,
    /// From an interrupt until it is killed; a server may take minutes to be made.
    pub grace: Duration,
    /// For another OpenTofu that holds the state's lock.
    pub lock: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            init: minutes(10),
            plan: minutes(10),
            apply: minutes(30),
            destroy: minutes(20),
            grace: minutes(5),
            lock: minutes(10),
        }
    }
}

/// What a plan would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Planned {
    /// Address and action of each resource that would change.
    pub changes: Vec<(String, String)>,
}

impl Planned {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many resources an action would meet.
    pub fn count(&self, action: &str) -> usize {
        self.changes
            .iter()
            .filter(|(_, other)| other == action)
            .count()
    }
}

/// OpenTofu on one Sovereign's module.
pub struct Tofu {
    program: PathBuf,
    folder: PathBuf,
    output: PathBuf,
    environment: Vec<(OsString, OsString)>,
    redactor: Redactor,
    limits: Limits,
    cancel: CancellationToken,
}

impl Tofu {
    /// A driver of `program` on the module in `directory`/module. `secrets` are
    /// variables of its environment whose values are taken out of what it prints.
    pub fn new(
        program: &Path,
        directory: &Path,
        passphrase: &Secret,
        secrets: &[(&str, Secret)],
        limits: Limits,
        cancel: CancellationToken,
    ) -> Self {
        let encryption = encryption::configuration(passphrase);
        let mut environment: Vec<(OsString, OsString)> = PASSED
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
            // OpenTofu warns of a file that is not there, amid what it prints for programs.
            .filter(|(name, value)| name != "TF_CLI_CONFIG_FILE" || Path::new(value).exists())
            .collect();
        let mut set = |name: &str, value: &str| environment.push((name.into(), value.into()));
        set("TF_ENCRYPTION", encryption.reveal());
        set("TF_IN_AUTOMATION", "1");
        set("TF_INPUT", "0");
        set("CHECKPOINT_DISABLE", "1");
        for (name, secret) in secrets {
            set(name, secret.reveal());
        }
        Self {
            program: program.to_owned(),
            folder: directory.join("module"),
            output: directory.join("output"),
            environment,
            redactor: Redactor::new(
                secrets
                    .iter()
                    .map(|(_, secret)| secret.clone())
                    .chain([passphrase.clone()]),
            ),
            limits,
            cancel,
        }
    }

    /// Puts the module's files into its folder; files of an earlier one go, state and
    /// providers stay. Staging again changes nothing.
    pub fn stage(&self, module: &Module) -> Result<(), TofuError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TofuError::Stage { path, source }
        };
        directory::private_folder(&self.folder).map_err(failed(&self.folder))?;
        let mut wanted = BTreeMap::new();
        for (name, content) in module.files() {
            wanted.insert(self.folder.join(name), content);
        }
        for entry in fs::read_dir(&self.folder).map_err(failed(&self.folder))? {
            let path = entry.map_err(failed(&self.folder))?.path();
            let of_module = path
                .extension()
                .is_some_and(|extension| extension == "tf" || extension == "tftpl");
            if of_module && !wanted.contains_key(&path) {
                fs::remove_file(&path).map_err(failed(&path))?;
            }
        }
        for (path, content) in wanted {
            if fs::read(&path).is_ok_and(|there| there == content) {
                continue;
            }
            if let Some(parent) = path.parent() {
                directory::private_folder(parent).map_err(failed(parent))?;
            }
            directory::write(&path, content).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Writes the variables, `tofu.auto.tfvars.json`.
    pub fn write_variables(&self, variables: &Value) -> Result<(), TofuError> {
        let path = self.folder.join("tofu.auto.tfvars.json");
        let text = serde_json::to_vec_pretty(variables)
            .map_err(io::Error::other)
            .and_then(|text| directory::write(&path, &text));
        text.map_err(|source| TofuError::Stage { path, source })
    }

    /// Downloads providers; what the lock file names is kept to.
    pub async fn init(&self, sink: &mut dyn FnMut(TofuEvent)) -> Result<(), TofuError> {
        self.told(INIT, &["init", "-json"], self.limits.init, sink)
            .await
            .map(drop)
    }

    /// Plans and keeps the plan for [`Self::apply`].
    pub async fn plan(&self, sink: &mut dyn FnMut(TofuEvent)) -> Result<Planned, TofuError> {
        let out = format!("-out={PLAN}");
        let lock = self.lock();
        let arguments = ["plan", "-json", &out, &lock];
        let events = self
            .told(MAKE_PLAN, &arguments, self.limits.plan, sink)
            .await?;
        planned(events)
    }

    /// Whether a plan is kept.
    pub fn has_plan(&self) -> bool {
        self.folder.join(PLAN).exists()
    }

    /// Carries out the kept plan, which is used up by it.
    pub async fn apply(&self, sink: &mut dyn FnMut(TofuEvent)) -> Result<(), TofuError> {
        let lock = self.lock();
        let arguments = ["apply", "-json", &lock, PLAN];
        let applied = self.told(CREATE, &arguments, self.limits.apply, sink).await;
        self.forget_plan()?;
        applied.map(drop)
    }

    /// Removes the kept plan.
    pub fn forget_plan(&self) -> Result<(), TofuError> {
        let path = self.folder.join(PLAN);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TofuError::Stage {
                path,
                source: error,
            }),
            _ => Ok(()),
        }
    }

    /// Destroys everything, and proves by the state that nothing is left.
    pub async fn destroy(&self, sink: &mut dyn FnMut(TofuEvent)) -> Result<(), TofuError> {
        let lock = self.lock();
        let arguments = ["destroy", "-json", "-auto-approve", &lock];
        let destroyed = self
            .told(DESTROY, &arguments, self.limits.destroy, sink)
            .await;
        let diagnostics = match destroyed {
            Ok(_) => Vec::new(),
            // What is left decides, and is named with the reasons.
            Err(TofuError::Failed {
                diagnostics,
                action,
                said,
            }) => {
                let left = self.state_list().await?;
                if left.is_empty() {
                    return Err(TofuError::Failed {
                        diagnostics,
                        action,
                        said,
                    });
                }
                return Err(TofuError::Left { left, diagnostics });
            }
            Err(other) => return Err(other),
        };
        let left = self.state_list().await?;
        if left.is_empty() {
            Ok(())
        } else {
            Err(TofuError::Left { left, diagnostics })
        }
    }

    /// Whether anything was ever applied; also where all that is known of it lies beside.
    pub fn has_state(&self) -> bool {
        has_state(&self.folder)
    }

    /// Whether an OpenTofu is at work on the state, which an earlier run left behind: it holds
    /// the lock of the file, as `fcntl` knows it. What cannot be told is no.
    pub fn is_at_work(&self) -> bool {
        let path = self.folder.join(STATE);
        // Let go of at once, with the file.
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .is_ok_and(|state| {
                fcntl_lock(&state, FlockOperation::NonBlockingLockExclusive).is_err()
            })
    }

    /// Providers and their versions, as the lock file pins them.
    pub fn providers(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.folder.join(".terraform.lock.hcl")).unwrap_or_default();
        let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
        let mut found = BTreeMap::new();
        let mut provider = None;
        for line in text.lines().map(str::trim) {
            if line.starts_with("provider ") {
                provider = quoted(line);
            } else if line.starts_with("version ") {
                found.extend(provider.take().zip(quoted(line)));
            }
        }
        found
    }

    /// Addresses of everything in the state.
    pub async fn state_list(&self) -> Result<Vec<String>, TofuError> {
        // Without a state, `tofu state list` fails; nothing was made.
        if !self.has_state() {
            return Ok(Vec::new());
        }
        let arguments = ["state", "list"];
        let ended = self.quiet("list the state", &arguments).await?;
        Ok(ended.out.lines().map(str::to_owned).collect())
    }

    /// The module's outputs that are not secret.
    pub async fn outputs(&self) -> Result<BTreeMap<String, Value>, TofuError> {
        let action = "read the outputs";
        let ended = self.quiet(action, &["output", "-json"]).await?;
        let all: BTreeMap<String, Value> =
            serde_json::from_str(&ended.out).map_err(|error| TofuError::Read {
                action,
                reason: error.to_string(),
            })?;
        Ok(all
            .into_iter()
            .filter(|(_, output)| output.get("sensitive") != Some(&Value::Bool(true)))
            .filter_map(|(name, mut output)| Some((name, output.get_mut("value")?.take())))
            .collect())
    }

    fn lock(&self) -> String {
        format!("-lock-timeout={}s", self.limits.lock.as_secs())
    }

    /// Runs a command that prints one JSON object a line, and gives its events.
    async fn told(
        &self,
        action: &'static str,
        arguments: &[&str],
        limit: Duration,
        sink: &mut dyn FnMut(TofuEvent),
    ) -> Result<Vec<TofuEvent>, TofuError> {
        let mut events = Vec::new();
        let ended = self
            .run_in(action, &self.folder, arguments, limit, |line| {
                if let Some(event) = events::parse(line) {
                    sink(event.clone());
                    events.push(event);
                }
            })
            .await?;
        self.judge(action, limit, ended, &events)?;
        Ok(events)
    }

    async fn quiet(&self, action: &'static str, arguments: &[&str]) -> Result<Ended, TofuError> {
        let limit = self.limits.plan;
        let ended = self
            .run_in(action, &self.folder, arguments, limit, |_| {})
            .await?;
        self.judge(action, limit, ended, &[])
    }

    fn judge(
        &self,
        action: &'static str,
        within: Duration,
        ended: Ended,
        events: &[TofuEvent],
    ) -> Result<Ended, TofuError> {
        let beside = self.folder.join(BESIDE);
        if beside.exists() {
            return Err(TofuError::StateBeside {
                action,
                path: beside,
            });
        }
        if ended.status.success() {
            // Even where it was asked to stop: it had done everything by then.
            return Ok(ended);
        }
        if ended.status.code().is_none() {
            return Err(TofuError::Killed { action });
        }
        if let Some(why) = ended.stopped {
            return Err(TofuError::Stopped {
                action,
                why,
                within,
            });
        }
        let diagnostics = events.iter().filter_map(|event| match event {
            TofuEvent::Diagnostic(found) => Some(found.clone()),
            _ => None,
        });
        // One that said nothing has at least ended somehow.
        let said = if ended.err.trim().is_empty() {
            format!("it ended with {}", ended.status)
        } else {
            ended.err
        };
        Err(TofuError::Failed {
            action,
            diagnostics: diagnostics.collect(),
            said,
        })
    }

    async fn run_in(
        &self,
        action: &'static str,
        folder: &Path,
        arguments: &[&str],
        limit: Duration,
        mut on_line: impl FnMut(&str),
    ) -> Result<Ended, TofuError> {
        if self.cancel.is_cancelled() {
            // Interrupted in its first moments, it would die of the signal.
            return Err(TofuError::Stopped {
                action,
                why: Stopped::Canceled,
                within: limit,
            });
        }
        process::clear(&self.output).map_err(|source| TofuError::Stage {
            path: self.output.clone(),
            source,
        })?;
        let ended = self
            .prepared(folder, arguments, limit)
            .run(&self.cancel, |line| on_line(&self.redactor.clean(line)))
            .await
            .map_err(|source| self.not_started(source))?;
        Ok(Ended {
            out: self.redactor.clean(&ended.out),
            err: self.redactor.clean(&ended.err),
            ..ended
        })
    }

    fn prepared<'a>(
        &'a self,
        folder: &'a Path,
        arguments: &'a [&'a str],
        limit: Duration,
    ) -> Run<'a> {
        Run {
            program: &self.program,
            folder,
            output: &self.output,
            arguments,
            environment: &self.environment,
            limit,
            grace: self.limits.grace,
        }
    }

    fn not_started(&self, source: io::Error) -> TofuError {
        TofuError::Start {
            program: self.program.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_names_nothing_of_what_it_counts_is_none() {
        let summary = |operation: &str, add| TofuEvent::Summary {
            operation: operation.to_owned(),
            add,
            change: 0,
            remove: 0,
        };
        let change = TofuEvent::Planned {
            address: "hcloud_network.sovereign".to_owned(),
            action: "create".to_owned(),
        };
        assert!(planned(vec![summary("plan", 0)]).unwrap().is_empty());
        assert!(planned(Vec::new()).unwrap().is_empty());
        let found = planned(vec![change, summary("plan", 1)]).unwrap();
        assert_eq!(found.count("create"), 1);
        let error = planned(vec![summary("plan", 1)]).unwrap_err().to_string();
        assert!(
            error.contains("counts changes, 1, and names none"),
            "{error}"
        );
    }

    #[test]
    fn only_what_was_changed_is_said_to_be_saved_or_in_doubt() {
        for (action, is_saved, next) in [
            (CREATE, true, "provision resume`"),
            (DESTROY, true, "provision destroy` again"),
            ("initialise the module", false, "provision resume`"),
            ("plan", false, "provision resume`"),
        ] {
            let stopped = TofuError::Stopped {
                action,
                why: Stopped::Canceled,
                within: Duration::from_secs(1),
            };
            let said = stopped.to_string();
            assert_eq!(said.contains("saved its state"), is_saved, "{said}");
            assert!(said.contains(next), "{said}");
            let said = TofuError::Killed { action }.to_string();
            assert_eq!(said.contains("missing from its state"), is_saved, "{said}");
            assert_ne!(said.contains("nothing was changed"), is_saved, "{said}");
        }
    }
}
