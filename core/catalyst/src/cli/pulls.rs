//! `catalyst approve` and `merge`: pull requests of an Environment's repository.

use catalyst_api::Accepted;
use reqwest::Method;

use super::api::{Common, Connection};
use super::change::In;
use super::output::say;
use super::prepare::said;

/// Approve a pull request.
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// Its number.
    number: u64,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    connection: Connection,
}

/// Merge a pull request whose policies are met.
#[derive(Debug, clap::Args)]
pub struct Merge {
    /// Its number.
    number: u64,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    common: Common,
}

impl Approve {
    /// Approves it as the caller.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.connection.api().await?;
        let number = self.number.to_string();
        let environment = &self.place.environment;
        let path = [
            "environments",
            environment,
            "pull-requests",
            &number,
            "approval",
        ];
        api.send(api.request(Method::POST, &path)).await?;
        say(&format!("Approved pull request {number} of {environment}"));
        Ok(())
    }
}

impl Merge {
    /// Merges it as the caller.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let number = self.number.to_string();
        let environment = &self.place.environment;
        let path = [
            "environments",
            environment,
            "pull-requests",
            &number,
            "merge",
        ];
        let response = api.send(api.request(Method::POST, &path)).await?;
        let accepted: Accepted = response.json().await?;
        let subject = format!("Merge pull request {number} of {environment}");
        said(&accepted, &subject, self.common.output)
    }
}
