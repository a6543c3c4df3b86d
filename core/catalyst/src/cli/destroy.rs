//! `catalyst delete`: Applications, Environments and Organizations.

use catalyst_api::Accepted;

use super::api::Common;
use super::change::DeleteWhat;
use super::output::say;
use super::prepare::{How, said};
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
    Environment(Whole),
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

/// Delete it with everything in it; refused while it has Applications.
#[derive(Debug, clap::Args)]
struct Whole {
    /// Its name.
    name: String,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    common: Common,
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
        let mut stream = match self.patience.wait {
            true => Some(Stream::open(&api).await?),
            false => None,
        };
        let path = [path, &self.name];
        let accepted: Option<Accepted> = api.delete(&path).await?;
        let subject = format!("Delete {kind} {}", self.name);
        match &accepted {
            Some(accepted) => said(accepted, &subject, self.common.output)?,
            None => say(&subject),
        }
        if let Some(stream) = &mut stream {
            let ended = wait::deletion(&api, stream, kind, &self.name, &path);
            let left = self.patience.bounded(&subject, ended).await?;
            gone(&self.name, &left)?;
        }
        Ok(())
    }
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
