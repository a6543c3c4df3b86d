//! `catalyst logs` and `history` of an Application.

use anyhow::Context;
use catalyst_api::{Revision, RevisionDetail};
use reqwest::Method;

use super::api::{Common, Connection};
use super::change::In;
use super::output::{bytes, plain, print};

/// Show what an Application writes.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// The Application.
    name: String,
    /// Go on as more is written.
    #[arg(long, short)]
    follow: bool,
    /// One container only.
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// The last lines only.
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    connection: Connection,
}

/// Show the commits of an Application; with a commit, what it changed.
#[derive(Debug, clap::Args)]
pub struct History {
    /// The Application.
    name: String,
    /// One commit only, with its diff.
    commit: Option<String>,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    common: Common,
}

impl Logs {
    /// Copies the log to standard output.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.connection.api().await?;
        let path = [
            "environments",
            &self.place.environment,
            "applications",
            &self.name,
            "logs",
        ];
        let mut request = api.request(Method::GET, &path);
        if let Some(container) = &self.container {
            request = request.query(&[("container", container)]);
        }
        if let Some(tail) = self.tail {
            request = request.query(&[("tail", tail)]);
        }
        if self.follow {
            request = request.query(&[("follow", true)]);
        }
        let mut response = api.send(request).await?;
        while let Some(chunk) = response.chunk().await.context("the log broke off")? {
            bytes(&chunk)?;
        }
        Ok(())
    }
}

impl History {
    /// Prints the commits, newest first, or one with its diff.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let output = self.common.output;
        let path = [
            "environments",
            &self.place.environment,
            "applications",
            &self.name,
            "history",
        ];
        let Some(commit) = &self.commit else {
            return output.list(&api.list::<Revision>(&path).await?);
        };
        let mut path = path.to_vec();
        path.push(commit);
        let detail: RevisionDetail = api.get(&path).await?;
        if !output.is_table() {
            return output.value(&detail);
        }
        output.item(&detail.revision)?;
        print(&format!("\n{}", plain(&detail.diff)))
    }
}
