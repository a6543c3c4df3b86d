//! `catalyst delete`: Applications, Environments and Organizations.

use catalyst_api::{Accepted, ApplicationSummary, EnvironmentView};

use super::api::{Api, Common};
use super::change::DeleteWhat;
use super::failure::hinted;
use super::output::say;
use super::prepare::{How, confirm, said};
use super::shown;
use super::stream::Stream;
use super::wait::{self, Patience};

/// Delete an Application, an Environment or an Organization.
#[derive(Debug, clap::Args)]
pub struct Delete {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Application(Application),
    /// Delete an Environment; refused while it has Applications, unless they go too.
    Environment(Whole),
    /// Delete an Organization with its Environments; refused while there are
    /// Applications, unless they go too.
    Organization(Whole),
}

/// Delete an Application.
#[derive(Debug, clap::Args)]
struct Application {
    #[command(flatten)]
    what: DeleteWhat,
    #[command(flatten)]
    how: How,
}

/// Delete what Applications are in.
#[derive(Debug, clap::Args)]
struct Whole {
    /// Its name.
    name: String,
    /// Whether its Applications stay, and it with them, or go with their data.
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    applications: Applications,
    /// Delete it without asking.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    common: Common,
}

/// What happens to the Applications in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Applications {
    /// They stay, so that nothing is deleted while there are any.
    #[default]
    Keep,
    /// They go with their data, for good.
    Drop,
}

impl Applications {
    /// The query that the API takes.
    fn query(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Keep => &[],
            Self::Drop => &[("applications", "drop")],
        }
    }
}

impl Delete {
    /// Deletes it.
    pub async fn run(&self) -> anyhow::Result<()> {
        match &self.what {
            What::Application(it) => {
                let environment = it.what.place.environment.clone();
                it.how.asked(environment, it.what.command()).await
            }
            What::Environment(it) => it.run("environment", "environments").await,
            What::Organization(it) => it.run("organization", "organizations").await,
        }
    }
}

impl Whole {
    async fn run(&self, kind: &str, path: &str) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        if !self.yes {
            self.ask(&api, kind, path).await?;
        }
        let mut stream = match self.patience.wait {
            true => Some(Stream::open(&api).await?),
            false => None,
        };
        let path = [path, &self.name];
        let query = self.applications.query();
        let accepted: Option<Accepted> = api.delete_with(&path, query).await?;
        let subject = format!("Delete {kind} {}", self.name);
        match &accepted {
            Some(accepted) => said(accepted, &subject, self.common.output)?,
            None => say(&subject),
        }
        let Some(stream) = &mut stream else {
            shown::until_going(&api, &path).await;
            return Ok(());
        };
        let ended = wait::deletion(&api, stream, kind, &self.name, &path);
        let left = self.patience.bounded(&subject, ended).await?;
        gone(&self.name, &left)
    }
}

impl Whole {
    /// Says what goes, and asks. Git decides in the end; this is so that nobody is
    /// asked about what would be refused.
    async fn ask(&self, api: &Api, kind: &str, path: &str) -> anyhow::Result<()> {
        let name = &self.name;
        let environments = match kind {
            "environment" => vec![name.clone()],
            _ => {
                let views: Vec<EnvironmentView> = api.list(&[path, name, "environments"]).await?;
                views.into_iter().map(|view| view.name).collect()
            }
        };
        let mut applications = Vec::new();
        for environment in &environments {
            let path = ["environments", environment, "applications"];
            let found: Vec<ApplicationSummary> = api.list(&path).await?;
            applications.extend(found.iter().map(|it| format!("{environment}/{}", it.name)));
        }
        if self.applications == Applications::Keep && !applications.is_empty() {
            return Err(hinted(
                format!(
                    "cannot delete the {kind} {name}, because it has Applications: {}",
                    applications.join(", ")
                ),
                "delete them first, or pass --applications drop: they and their data go too",
            ));
        }
        say(&going(kind, name, &environments, &applications));
        confirm(
            &format!("Delete the {kind} {name}?"),
            "delete it",
            "see what goes above, then pass --yes",
        )
    }
}

/// What goes, line by line.
fn going(kind: &str, name: &str, environments: &[String], applications: &[String]) -> String {
    let mut text = format!("Delete the {kind} {name}, for good");
    let mut list = |title: &str, items: &[String]| {
        if !items.is_empty() {
            text.push_str(&format!("\n\n{title}"));
        }
        for item in items {
            text.push_str(&format!("\n  - {item}"));
        }
    };
    if kind != "environment" {
        list("Its Environments, with their repositories", environments);
    }
    list("Applications, with their data", applications);
    text.push('\n');
    text
}

/// Says that a deletion has ended, and what it left behind.
pub fn gone(name: &str, left_behind: &[String]) -> anyhow::Result<()> {
    if left_behind.is_empty() {
        say(&format!("{name} is gone"));
        return Ok(());
    }
    // It may be the thing itself that somebody else keeps.
    say(&format!("The deletion of {name} has ended; left behind:"));
    for it in left_behind {
        say(&format!("  {it}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_goes_is_listed() {
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let environments = names(&["acme-dev", "acme-prod"]);
        let applications = names(&["acme-dev/wiki", "acme-prod/wiki"]);
        insta::assert_snapshot!(
            going("organization", "acme", &environments, &applications), @r"
        Delete the organization acme, for good

        Its Environments, with their repositories
          - acme-dev
          - acme-prod

        Applications, with their data
          - acme-dev/wiki
          - acme-prod/wiki
        ");
        let itself = names(&["acme-dev"]);
        assert_eq!(
            going("environment", "acme-dev", &itself, &[]),
            "Delete the environment acme-dev, for good\n"
        );
    }
}
