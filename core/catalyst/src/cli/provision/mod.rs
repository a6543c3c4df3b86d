//! `catalyst provision`: a Sovereign on a cloud, from an API token to a running one.
//!
//! No client of a Sovereign: there is none yet. What is done and what comes next is
//! decided in `catalyst-provisioner`; here are words, questions and the display.

mod init;
mod progress;
mod status;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use catalyst_provisioner::directory::Directory;
use catalyst_provisioner::preflight;
use catalyst_provisioner::service::Outcome;
use catalyst_provisioner::tofu::{Limits, Planned, Stopped, TofuError};
use catalyst_provisioner::{
    Config, Event, Module, Options, PlannedChange, ProvisionError, Provisioner, Redactor, Secret,
    Waits, losses, render,
};
use clap::Subcommand;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::failure::{describe as describe_failure, hinted};
use super::output::{Output, ask, print, say, tell};
use progress::Display;

/// Provision a Sovereign on Hetzner Cloud
#[derive(Debug, clap::Args)]
pub struct Provision {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Schema(Schema),
    Render(Render),
    Plan(Plan),
    Apply(Apply),
    Resume(Resume),
    Status(Status),
    Destroy(Destroy),
    Archive(Archive),
    Restore(Restore),
}

/// Print the JSON Schema of sovereign.yaml
#[derive(Debug, clap::Args)]
struct Schema {}

/// Write clusters/<sovereign-fqdn>/, which Flux applies, for the Git repository
#[derive(Debug, clap::Args)]
struct Render {
    #[command(flatten)]
    config: ConfigFile,
    /// The Git checkout to write into.
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// Replace files that say something else.
    #[arg(long)]
    force: bool,
}

/// Look for problems and show what would be created; create nothing
#[derive(Debug, clap::Args)]
struct Plan {
    #[command(flatten)]
    work: Work,
    #[command(flatten)]
    removed: Removed,
}

/// Create the Sovereign, or change it to what sovereign.yaml says
#[derive(Debug, clap::Args)]
struct Apply {
    #[command(flatten)]
    work: Work,
    #[command(flatten)]
    removed: Removed,
    /// Carry the plan out without asking.
    #[arg(long, short)]
    yes: bool,
    /// The Sovereign's domain, where servers, networks, load balancers or volumes of it may
    /// be deleted or replaced; without it, that is asked for, with --yes too.
    #[arg(long, value_name = "FQDN")]
    allow_destroy: Option<String>,
}

/// Go on where an earlier run stopped
#[derive(Debug, clap::Args)]
struct Resume {
    #[command(flatten)]
    apply: Apply,
}

/// Say what was done when, and what comes next
#[derive(Debug, clap::Args)]
struct Status {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    form: Form,
}

/// Destroy everything that was created, and prove that nothing is left
#[derive(Debug, clap::Args)]
struct Destroy {
    #[command(flatten)]
    work: Work,
    #[command(flatten)]
    removed: Removed,
    /// Destroy without asking.
    #[arg(long, short)]
    yes: bool,
}

/// End phase 0: put OpenTofu's encrypted state away, so that nothing applies it again
#[derive(Debug, clap::Args)]
struct Archive {
    #[command(flatten)]
    work: Work,
}

/// Take the archived state back, to go on with OpenTofu, for example to destroy
#[derive(Debug, clap::Args)]
struct Restore {
    #[command(flatten)]
    work: Work,
    /// The archive to take back [default: the newest one in the directory].
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The description of the Sovereign.
    #[arg(long, short, value_name = "FILE", default_value = "sovereign.yaml")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    config: ConfigFile,
    /// Private directory of this Sovereign: record, state, secrets
    /// [default: catalyst/sovereigns/<fqdn> in the user's data directory].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Form {
    /// Form of what is printed: text for people, json for programs, an event a line.
    #[arg(long, short, value_enum, default_value_t)]
    output: Printed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Printed {
    #[default]
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
struct Work {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    form: Form,
    /// OpenTofu, 1.9 or later.
    #[arg(
        long,
        value_name = "PROGRAM",
        env = "CATALYST_TOFU",
        default_value = "tofu"
    )]
    tofu: PathBuf,
    /// OpenSSH's client.
    #[arg(
        long,
        value_name = "PROGRAM",
        env = "CATALYST_SSH",
        default_value = "ssh"
    )]
    ssh: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Removed {
    /// Go on where the token's project has nothing of what was created: all of it was
    /// removed by hand. Without this, such a token is taken for another project's.
    #[arg(long)]
    removed_by_hand: bool,
}

impl Provision {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::Init(command) => command.run(),
            Command::Schema(_) => Output::Json.value(&Config::schema()),
            Command::Render(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Plan(command) => ended(&command.work.form, super::client(command.run())),
            Command::Apply(command) => ended(&command.work.form, super::client(command.run())),
            Command::Resume(command) => {
                ended(&command.apply.work.form, super::client(command.run()))
            }
            Command::Destroy(command) => ended(&command.work.form, super::client(command.run())),
            Command::Archive(command) => ended(&command.work.form, super::client(command.run())),
            Command::Restore(command) => ended(&command.work.form, super::client(command.run())),
        }
    }
}

/// Tells programs how it ended, whatever it came to: the last line of what they read.
fn ended(form: &Form, done: anyhow::Result<Outcome>) -> anyhow::Result<()> {
    if form.output == Printed::Json {
        let (outcome, failure) = match &done {
            Ok(outcome) => (*outcome, None),
            Err(error) if is_cancelled(error) => (Outcome::Cancelled, Some(words(error))),
            Err(error) => (Outcome::Failed, Some(words(error))),
        };
        progress::ended(outcome, failure);
    }
    done.map(drop)
}

/// What people read on standard error, without the mark that it is an error.
fn words(error: &anyhow::Error) -> String {
    let said = describe_failure(error);
    let said = said.trim();
    said.strip_prefix("error: ").unwrap_or(said).to_owned()
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<ProvisionError>(),
        Some(
            ProvisionError::Interrupted { .. }
                | ProvisionError::Tofu(TofuError::Stopped {
                    why: Stopped::Canceled,
                    ..
                })
        )
    )
}

impl ConfigFile {
    fn read(&self) -> anyhow::Result<Config> {
        let path = &self.config;
        let text = std::fs::read_to_string(path).map_err(|error| {
            hinted(
                format!("cannot read {}: {error}", path.display()),
                "name the description with --config; `catalyst provision init` writes one",
            )
        })?;
        let read = |path: &Path| std::fs::read_to_string(path);
        Ok(Config::parse(&path.display().to_string(), &text, &read)?)
    }
}

impl Place {
    fn directory(&self, config: &Config) -> anyhow::Result<PathBuf> {
        if let Some(given) = &self.directory {
            return Ok(given.clone());
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let data = match (set("XDG_DATA_HOME"), set("HOME")) {
            (Some(data), _) => PathBuf::from(data),
            (None, Some(home)) => PathBuf::from(home).join(".local/share"),
            (None, None) => {
                return Err(hinted(
                    "cannot tell where this Sovereign's directory is: neither XDG_DATA_HOME nor HOME is set",
                    "name it with --directory",
                ));
            }
        };
        Ok(data
            .join("catalyst/sovereigns")
            .join(&config.sovereign_fqdn))
    }
}

impl Render {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.config.read()?;
        if !self.into.is_dir() {
            return Err(hinted(
                format!(
                    "cannot render into {}: there is no such folder",
                    self.into.display()
                ),
                "name the checkout of the Git repository with --into; `git clone` makes one",
            ));
        }
        let (folder, changed) = render::write(&config, &self.into, self.force)?;
        let others = render::others(&config, &self.into)?;
        if !others.is_empty() {
            say(&format!(
                "note: in {}, Flux passes over what kustomization.yaml does not name: {}",
                folder.display(),
                others.join(", ")
            ));
        }
        say(&match changed {
            0 => format!("{} is as it should be", folder.display()),
            1 => format!("wrote one file below {}", folder.display()),
            several => format!("wrote {several} files below {}", folder.display()),
        });
        if changed > 0 {
            say(&format!(
                "Commit it and push it to {} (branch {}).",
                config.git_url, config.git_branch
            ));
        }
        Ok(())
    }
}

impl Work {
    /// For what needs a Sovereign that was begun: refused where there is none.
    fn reopen(&self) -> anyhow::Result<(Config, Options, Directory)> {
        let config = self.place.config.read()?;
        let path = self.place.directory(&config)?;
        Directory::look(&path, &config.sovereign_fqdn)?;
        let options = self.options()?;
        let directory = open(self, &config)?;
        Ok((config, options, directory))
    }

    fn options(&self) -> anyhow::Result<Options> {
        // Whether there is one is told with everything else, where one is needed.
        let token = set("HCLOUD_TOKEN").unwrap_or_default();
        let password = set("CATALYST_GIT_PASSWORD").map(Secret::new);
        if password
            .as_ref()
            .is_some_and(|it| it.reveal().len() < Redactor::SHORTEST)
        {
            return Err(hinted(
                format!(
                    "cannot use CATALYST_GIT_PASSWORD: it has fewer than {} characters, so that it cannot be told from other text and kept out of the record",
                    Redactor::SHORTEST
                ),
                "set it to a longer one, or to a token",
            ));
        }
        Ok(Options {
            token: Secret::new(token),
            git: set("CATALYST_GIT_USERNAME").zip(password),
            ..around(&self.tofu, &self.ssh)?
        })
    }
}

/// The options of whoever has no command line: programs by the same variables, no
/// credentials.
pub fn surroundings() -> anyhow::Result<Options> {
    let program = |variable: &str, name: &str| {
        PathBuf::from(set(variable).unwrap_or_else(|| name.to_owned()))
    };
    around(
        &program("CATALYST_TOFU", "tofu"),
        &program("CATALYST_SSH", "ssh"),
    )
}

/// The options with these programs, without credentials.
fn around(tofu: &Path, ssh: &Path) -> anyhow::Result<Options> {
    let endpoint = set("HCLOUD_ENDPOINT");
    let address = endpoint.as_deref().unwrap_or(preflight::ADDRESS);
    let hetzner: Url = address
        .parse()
        .with_context(|| format!("cannot reach Hetzner at HCLOUD_ENDPOINT, {address}"))?;
    Ok(Options {
        tofu: found(tofu),
        ssh: found(ssh),
        ssh_port: 22,
        hetzner,
        module: Module::hetzner(),
        token: Secret::new(""),
        git: None,
        own: None,
        limits: Limits::default(),
        waits: Waits::default(),
    })
}

/// A variable of the environment that says something.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A program that is named by a path, from any folder; a bare name is looked for in PATH.
fn found(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
    }
    program.to_owned()
}

impl Plan {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let config = self.work.place.config.read()?;
        let options = self.work.options()?;
        let directory = open(&self.work, &config)?;
        let mut display = Display::new(self.work.form.output);
        let mut sink = |event: Event| display.tell(&event);
        let run = Provisioner::new(&config, &options, directory, interrupts()?, &mut sink)?;
        let mut run = run.removed_by_hand(self.removed.removed_by_hand);
        let planned = run.plan().await?;
        // Where nothing would change, later steps may still be undone.
        let outcome = match run.is_finished()? {
            true => Outcome::Provisioned,
            false => Outcome::Planned,
        };
        drop(run);
        display.planned(planned.as_ref())?;
        Ok(outcome)
    }
}

impl Apply {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let config = self.work.place.config.read()?;
        let sovereign = &config.sovereign_fqdn;
        if let Some(named) = self.allow_destroy.as_ref().filter(|it| *it != sovereign) {
            return Err(hinted(
                format!("cannot apply to {sovereign}: --allow-destroy names {named}"),
                "name the Sovereign of the description, or leave --allow-destroy away",
            ));
        }
        let options = self.work.options()?;
        let directory = open(&self.work, &config)?;
        let cancel = interrupts()?;
        let display = std::cell::RefCell::new(Display::new(self.work.form.output));
        let mut sink = |event: Event| display.borrow_mut().tell(&event);
        let run = Provisioner::new(&config, &options, directory, cancel.clone(), &mut sink)?;
        let mut run = run.removed_by_hand(self.removed.removed_by_hand);
        if let Some(planned) = run.plan().await? {
            display.borrow_mut().planned(Some(&planned))?;
            let losses = losses(&PlannedChange::of(&planned));
            if !losses.is_empty() && self.allow_destroy.is_none() {
                let question = format!(
                    "This takes away what {sovereign} stands on ({}), with the data on it.",
                    losses.join(", ")
                );
                let hint = format!(
                    "look at `catalyst provision plan`; where it is meant, pass --allow-destroy {sovereign}"
                );
                confirm_by_name(&question, sovereign, &hint, &cancel).await?;
            } else if !self.yes && !planned.is_empty() {
                confirm(&describe(&planned), sovereign, &cancel).await?;
            }
        }
        let record = run.finish().await?;
        display.borrow_mut().finished(record)?;
        Ok(Outcome::Provisioned)
    }
}

fn describe(planned: &Planned) -> String {
    match planned.changes.len() {
        1 => "Carry out this one change?".to_owned(),
        several => format!("Carry out these {several} changes?"),
    }
}

impl Resume {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let place = &self.apply.work.place;
        let config = place.config.read()?;
        // There must be something to go on with.
        Directory::look(&place.directory(&config)?, &config.sovereign_fqdn)?;
        self.apply.run().await
    }
}

impl Destroy {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let (config, options, directory) = self.work.reopen()?;
        let cancel = interrupts()?;
        if !self.yes {
            let sovereign = &config.sovereign_fqdn;
            let question =
                format!("This destroys {sovereign} with everything on it, data included.");
            let hint = "see with `catalyst provision status` that it is this one; where it is meant, pass --yes";
            confirm_by_name(&question, sovereign, hint, &cancel).await?;
        }
        let mut display = Display::new(self.work.form.output);
        let mut sink = |event: Event| display.tell(&event);
        let run = Provisioner::new(&config, &options, directory, cancel, &mut sink)?;
        let mut run = run.removed_by_hand(self.removed.removed_by_hand);
        run.destroy().await?;
        drop(run);
        display.destroyed(&config.sovereign_fqdn)?;
        Ok(Outcome::Destroyed)
    }
}

impl Archive {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let (config, options, directory) = self.work.reopen()?;
        let mut sink = |_: Event| {};
        let mut run = Provisioner::new(&config, &options, directory, interrupts()?, &mut sink)?;
        let folder = run.archive()?;
        let sovereign = &config.sovereign_fqdn;
        match self.work.form.output {
            Printed::Json => progress::told(
                &json!({"event": "archived", "sovereign": sovereign, "archive": folder}),
            ),
            Printed::Text => {
                say(
                    "The state is put away, encrypted; keep a copy of the whole directory where backups are.",
                );
                print(&format!("{}\n", folder.display()))
            }
        }?;
        Ok(Outcome::Archived)
    }
}

impl Restore {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let (config, options, directory) = self.work.reopen()?;
        let mut sink = |_: Event| {};
        let mut run = Provisioner::new(&config, &options, directory, interrupts()?, &mut sink)?;
        let (folder, resources) = run.restore(self.from.as_deref()).await?;
        let sovereign = &config.sovereign_fqdn;
        match self.work.form.output {
            Printed::Json => progress::told(&json!({
                "event": "restored", "sovereign": sovereign, "restored": folder, "resources": resources,
            })),
            Printed::Text => {
                say(&format!(
                    "OpenTofu has its state again, with {resources} resources. What Flux and Crossplane changed since is not in it: look at `catalyst provision plan` before you apply."
                ));
                print(&format!("{}\n", folder.display()))
            }
        }?;
        Ok(Outcome::Restored)
    }
}

fn open(work: &Work, config: &Config) -> anyhow::Result<Directory> {
    let path = std::path::absolute(work.place.directory(config)?)?;
    Ok(Directory::open(&path, &config.sovereign_fqdn)?)
}

/// Canceled by Ctrl-C or SIGTERM; what goes on then ends in good order.
fn interrupts() -> anyhow::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let canceled = cancel.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tell(
                "Stopping in good order: where OpenTofu is at work, it ends what it is making, and saves its state.",
            );
            canceled.cancel();
        }
    });
    Ok(cancel)
}

/// Asks; only yes goes on.
async fn confirm(
    question: &str,
    sovereign: &str,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let hint = "look at `catalyst provision plan`, then pass --yes";
    let said = answer(&format!("{question} [y/N]"), sovereign, hint, cancel).await?;
    match said.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(anyhow::anyhow!("nothing was changed")),
    }
}

/// Asks for the Sovereign's domain; only that goes on.
async fn confirm_by_name(
    question: &str,
    sovereign: &str,
    hint: &str,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let question = format!("{question} Type its domain, {sovereign}, to go on:");
    match answer(&question, sovereign, hint, cancel).await? == sovereign {
        true => Ok(()),
        false => Err(anyhow::anyhow!(
            "nothing was changed: the answer was not {sovereign}"
        )),
    }
}

/// Asks, and gives the answer; an empty one where it is interrupted. `hint` says what to
/// do where nobody can be asked.
async fn answer(
    question: &str,
    sovereign: &str,
    hint: &str,
    cancel: &CancellationToken,
) -> anyhow::Result<String> {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() {
        return Err(hinted(
            format!("nobody can be asked whether to go on with {sovereign}"),
            hint,
        ));
    }
    ask(question);
    let (send, receive) = tokio::sync::oneshot::channel();
    // A thread of its own: it may wait for a line for ever, and the process need not.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        _ = send.send(read.map(|_| answer));
    });
    let answer = tokio::select! {
        answer = receive => answer.context("nobody answered")??,
        () = cancel.cancelled() => String::new(),
    };
    Ok(answer.trim().to_owned())
}
