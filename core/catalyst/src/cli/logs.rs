//! `catalyst logs` and `history` of an Application.

use anyhow::Context;
use catalyst_api::{LogLine, Revision, RevisionDetail};
use reqwest::{Method, Response};

use super::api::Common;
use super::change::In;
use super::failure::hinted;
use super::output::{Output, bytes, plain, print};

const BROKE_OFF: &str = "the log broke off";

/// Show what an Application's containers write.
///
/// As a table, lines come as they were written; with several containers, each begins
/// with its pod and container. As JSON and YAML, each line is an object of its own,
/// with its time, pod and container.
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
    /// How many of the last lines of each container; 200 unless given.
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    common: Common,
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
        let api = self.common.connection.api().await?;
        let output = self.common.output;
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
        if !output.is_table() {
            request = request.query(&[("json", true)]);
            return objects(api.send(request).await?, output).await;
        }
        let mut response = api.send(request).await?;
        while let Some(chunk) = response.chunk().await.context(BROKE_OFF)? {
            bytes(&chunk)?;
        }
        Ok(())
    }
}

/// Prints the lines of an answer, each of which is an object.
async fn objects(mut response: Response, output: Output) -> anyhow::Result<()> {
    let mut held: Vec<u8> = Vec::new();
    while let Some(chunk) = response.chunk().await.context(BROKE_OFF)? {
        held.extend_from_slice(&chunk);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            let line: LogLine = serde_json::from_slice(&line).context(
                "cannot read the Sovereign's answer; its version may differ from this one's",
            )?;
            output.document(&line)?;
        }
    }
    Ok(())
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
            let revisions: Vec<Revision> = api.list(&path).await?;
            // What is there came by a commit.
            if revisions.is_empty() {
                let (name, environment) = (&self.name, &self.place.environment);
                return Err(hinted(
                    format!("there is no {name} in {environment}, and never was"),
                    format!("`catalyst get applications -e {environment}` lists what there is"),
                ));
            }
            return output.list(&revisions);
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
