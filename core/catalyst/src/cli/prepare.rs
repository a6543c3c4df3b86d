//! `catalyst plan` and `apply`, and the words that are short for them: what a change
//! would do, and doing exactly that.

use std::io::IsTerminal;
use std::path::PathBuf;

use catalyst_api::{Accepted, ApplicationCommand, ApplicationView, Execute, PlanView};
use reqwest::Method;

use super::api::{Api, Common, is_changed_meanwhile};
use super::apply::{self, Application};
use super::change::{self, Asked, InstallWhat, PromoteWhat, RollbackWhat, What};
use super::failure::hinted;
use super::output::{Output, print, say};
use super::stream::Stream;
use super::wait::{self, Patience, Wanted};
use super::{output, plan, shown};

/// How often a change is planned anew because things changed meanwhile.
const MOST_PLANS: u32 = 5;

/// Show what a change would do, and change nothing.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Plan {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    from: FromFile,
    /// Show every line that would change.
    #[arg(long, global = true)]
    diff: bool,
    #[command(flatten)]
    common: Common,
}

/// Carry out a change: a commit, or a pull request where a policy wants one.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Apply {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    from: FromFile,
    #[command(flatten)]
    how: How,
}

/// Install a Blueprint as an Application; short for `apply install`.
#[derive(Debug, clap::Args)]
pub struct Install {
    #[command(flatten)]
    what: InstallWhat,
    #[command(flatten)]
    how: How,
}

/// Go back to an earlier commit of an Application; short for `apply rollback`.
#[derive(Debug, clap::Args)]
pub struct Rollback {
    #[command(flatten)]
    what: RollbackWhat,
    #[command(flatten)]
    how: How,
}

/// Open a pull request that carries an Application into another Environment; short for
/// `apply promote`.
#[derive(Debug, clap::Args)]
pub struct Promote {
    #[command(flatten)]
    what: PromoteWhat,
    #[command(flatten)]
    how: How,
}

/// A manifest instead of words.
#[derive(Debug, clap::Args)]
struct FromFile {
    /// Applications as they shall be (YAML); `-` is standard input.
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// The Environment; the manifest's namespace unless given.
    #[arg(long, short, value_name = "NAME")]
    environment: Option<String>,
}

/// How a change is carried out.
#[derive(Debug, clap::Args)]
pub struct How {
    /// Carry the plan out without asking.
    #[arg(long, short, global = true)]
    yes: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    common: Common,
}

/// What a command leads to: known at once, or after a look at what there is.
enum Goal {
    Asked(Asked),
    Manifests(Vec<(String, Application)>),
}

impl FromFile {
    fn goal(&self, what: Option<&What>) -> anyhow::Result<Goal> {
        if let Some(what) = what {
            return what.asked().map(Goal::Asked);
        }
        let Some(file) = &self.file else {
            return Err(hinted(
                "there is nothing to do",
                "name a file with -f, or a change such as `install`; see --help",
            ));
        };
        let mut manifests = Vec::new();
        for application in apply::read(file)? {
            let name = application.metadata.name.clone();
            let environment = match (&self.environment, &application.metadata.namespace) {
                (Some(given), Some(own)) if given != own => {
                    return Err(hinted(
                        format!("{name} is for {own}, not for {given}"),
                        "leave --environment or the manifest's namespace away",
                    ));
                }
                (Some(given), _) => given.clone(),
                (None, Some(own)) => own.clone(),
                (None, None) => {
                    return Err(hinted(
                        format!("nothing says which Environment {name} is for"),
                        "name it with --environment, such as -e acme-dev",
                    ));
                }
            };
            manifests.push((environment, application));
        }
        Ok(Goal::Manifests(manifests))
    }
}

impl Goal {
    /// The changes; a manifest's is found by a look at what there is.
    async fn changes(self, api: &Api) -> anyhow::Result<Vec<Asked>> {
        let manifests = match self {
            Self::Asked(asked) => return Ok(vec![asked]),
            Self::Manifests(manifests) => manifests,
        };
        let mut changes = Vec::new();
        for (environment, application) in manifests {
            let name = &application.metadata.name;
            let path = ["environments", &environment, "applications", name];
            let current: Option<ApplicationView> = api.find(&path).await?;
            let command = apply::command(&application, current.as_ref())?;
            changes.push(Asked {
                environment,
                command,
            });
        }
        Ok(changes)
    }
}

/// What a change would do.
pub async fn plan_of(api: &Api, asked: &Asked) -> anyhow::Result<PlanView> {
    let path = ["environments", &asked.environment, "plans"];
    api.put(Method::POST, &path, &asked.command).await
}

/// Carries out a change as it was planned. Where things changed meanwhile it is planned
/// anew, and `agree` is asked of the plan before and of the one that counts now. What was
/// done and by which plan; nothing where nothing is left to do, which is said.
pub async fn carried_out(
    api: &Api,
    asked: &Asked,
    mut found: PlanView,
    mut agree: impl FnMut(&PlanView, &PlanView) -> anyhow::Result<()>,
) -> anyhow::Result<Option<(Accepted, PlanView)>> {
    for _ in 1..MOST_PLANS {
        match execute(api, asked, &found.digest).await {
            Err(error) if is_changed_meanwhile(&error) => {}
            outcome => return Ok(Some((outcome?, found))),
        }
        let now = plan_of(api, asked).await?;
        if is_nothing(&now) {
            return Ok(None);
        }
        agree(&found, &now)?;
        found = now;
    }
    let accepted = execute(api, asked, &found.digest).await?;
    Ok(Some((accepted, found)))
}

/// Carries out a change, if its plan is still the one of this digest.
async fn execute(api: &Api, asked: &Asked, plan: &str) -> anyhow::Result<Accepted> {
    let path = ["environments", &asked.environment, "changes"];
    let execute = Execute {
        command: asked.command.clone(),
        plan: Some(plan.to_owned()),
    };
    api.put(Method::POST, &path, &execute).await
}

impl Plan {
    /// Prints the plans.
    pub async fn run(&self) -> anyhow::Result<()> {
        let goal = self.from.goal(self.what.as_ref())?;
        let api = self.common.connection.api().await?;
        for asked in goal.changes(&api).await? {
            let found = plan_of(&api, &asked).await?;
            plan::show(&found, self.common.output, self.diff)?;
        }
        Ok(())
    }
}

impl Apply {
    /// Plans, asks and carries out.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.how
            .carry_out(self.from.goal(self.what.as_ref())?)
            .await
    }
}

impl Install {
    /// Plans, asks and carries out.
    pub async fn run(&self) -> anyhow::Result<()> {
        let environment = self.what.place.environment.clone();
        let command = self.what.command()?;
        self.how.asked(environment, command).await
    }
}

impl Rollback {
    /// Plans, asks and carries out.
    pub async fn run(&self) -> anyhow::Result<()> {
        let environment = self.what.place.environment.clone();
        self.how.asked(environment, self.what.command()).await
    }
}

impl Promote {
    /// Plans, asks and carries out.
    pub async fn run(&self) -> anyhow::Result<()> {
        let environment = self.what.place.environment.clone();
        self.how.asked(environment, self.what.command()).await
    }
}

impl How {
    /// Plans, asks and carries out one change.
    pub async fn asked(
        &self,
        environment: String,
        command: ApplicationCommand,
    ) -> anyhow::Result<()> {
        self.carry_out(Goal::Asked(Asked {
            environment,
            command,
        }))
        .await
    }

    async fn carry_out(&self, goal: Goal) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        for asked in goal.changes(&api).await? {
            self.change(&api, asked).await?;
        }
        Ok(())
    }

    async fn change(&self, api: &Api, asked: Asked) -> anyhow::Result<()> {
        let output = self.common.output;
        let found = plan_of(api, &asked).await?;
        if is_nothing(&found) {
            return Ok(());
        }
        if !self.yes {
            say(&plan::describe(&found, false));
            confirm_in(&asked.environment)?;
        }
        let name = change::application(&asked.command).to_owned();
        let path = ["environments", &asked.environment, "applications", &name];
        let before: Option<ApplicationView> = api.find(&path).await?;
        let before = before.and_then(|view| view.applied_revision);
        // Open before the change is made, so that no step is missed.
        let mut stream = match self.patience.wait {
            true => Some(Stream::open(api).await?),
            false => None,
        };
        let is_delete = matches!(asked.command, ApplicationCommand::Delete { .. });
        let destination = change::destination(&asked.environment, &asked.command).to_owned();
        let agree = |before: &PlanView, now: &PlanView| {
            // Who said yes beforehand saw no plan that this one could differ from.
            if self.yes {
                return Ok(());
            }
            say(&plan::changed(before, now));
            confirm_in(&asked.environment)
        };
        let Some((accepted, found)) = carried_out(api, &asked, found, agree).await? else {
            return Ok(());
        };
        said(&accepted, &found.subject, output)?;
        // People decide on it, so there is nothing to wait for yet.
        if let Some(number) = accepted.pull_request {
            return super::pulls::next(api, &destination, number).await;
        }
        let wanted = Wanted {
            environment: &asked.environment,
            application: &name,
            commit: accepted.commit.as_deref(),
            before: before.as_deref(),
        };
        let Some(stream) = &mut stream else {
            match is_delete {
                true => shown::until_going(api, &path).await,
                false => shown::until(api, &path, |view| is_shown(&wanted, view)).await,
            }
            return Ok(());
        };
        if is_delete {
            let full = format!("{}/{name}", asked.environment);
            let ended = wait::deletion(api, stream, "application", &full, &path);
            let left = self
                .patience
                .bounded(&format!("deleting {name}"), ended)
                .await?;
            return super::destroy::gone(&name, &left);
        }
        let running = wait::application(api, stream, &wanted);
        let view = self.patience.bounded(&name, running).await?;
        show_address(&view, output)
    }
}

fn is_shown(wanted: &Wanted<'_>, view: Option<&ApplicationView>) -> bool {
    view.is_some_and(|view| wait::is_of(wanted, view))
}

/// Where an Application that runs is, for people.
pub fn show_address(view: &ApplicationView, output: Output) -> anyhow::Result<()> {
    match (&view.summary.url, output) {
        (Some(url), Output::Table) => print(&format!("{}\n", output::plain(url))),
        _ => Ok(()),
    }
}

/// Says what became of a change: where it is, and what it still waits for.
pub fn said(accepted: &Accepted, subject: &str, output: Output) -> anyhow::Result<()> {
    if !output.is_table() {
        return output.value(accepted);
    }
    let repository = &accepted.repository;
    say(&match (&accepted.commit, accepted.pull_request) {
        // Also the commit that merged a pull request.
        (Some(commit), _) => format!(
            "{subject}: commit {} in {repository}",
            super::rows::short(commit)
        ),
        (None, Some(number)) => format!("{subject}: pull request {number} in {repository}"),
        (None, None) => format!("{subject}: nothing had to change"),
    });
    Ok(())
}

/// Whether there is nothing to carry out, which is said then.
fn is_nothing(found: &PlanView) -> bool {
    let is_nothing = plan::is_empty(found);
    if is_nothing {
        say(&format!("{}: nothing changes", found.subject));
    }
    is_nothing
}

/// Asks whether to carry out the plan that was shown.
fn confirm_in(environment: &str) -> anyhow::Result<()> {
    confirm(
        &format!("Carry this out in {environment}?"),
        "carry the plan out",
        "look at it with `catalyst plan`, then pass --yes",
    )
}

/// Asks whether to go on; where nobody can be asked, nothing is done.
pub fn confirm(question: &str, what: &str, hint: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(hinted(
            format!("nobody can be asked whether to {what}"),
            hint,
        ));
    }
    output::ask(&format!("{question} [y/N]"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(anyhow::anyhow!("nothing was changed")),
    }
}
