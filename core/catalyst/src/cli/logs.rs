//! `catalyst logs` and `history` of an Application.

use anyhow::Context;
use catalyst_api::{ApplicationView, LogLine, ObjectView, Revision, RevisionDetail};
use reqwest::{Method, Response};

use super::api::{Api, Common};
use super::change::In;
use super::failure::hinted;
use super::output::{Output, bytes, plain, print, say};

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
        if self.follow {
            // It may be long until there is a line.
            self.say_what_keeps_it_silent(&api).await;
        }
        let is_silent = match output.is_table() {
            true => copied(api.send(request).await?).await?,
            false => {
                request = request.query(&[("json", true)]);
                objects(api.send(request).await?, output).await?
            }
        };
        if is_silent && !self.follow {
            self.say_what_keeps_it_silent(&api).await;
        }
        Ok(())
    }

    /// Says which pods do not run, and why. The log is what was asked for: that this
    /// cannot be told is no failure.
    async fn say_what_keeps_it_silent(&self, api: &Api) {
        let path = [
            "environments",
            &self.place.environment,
            "applications",
            &self.name,
        ];
        match api.get::<ApplicationView>(&path).await {
            Ok(view) => {
                for line in silence(&view) {
                    say(&line);
                }
            }
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "Application not looked at");
            }
        }
    }
}

/// Why an Application may have written nothing, a line a pod that does not run.
fn silence(view: &ApplicationView) -> Vec<String> {
    let pods: Vec<&ObjectView> = view
        .objects
        .iter()
        .filter(|object| object.kind == "Pod")
        .collect();
    if pods.is_empty() {
        let health = &view.summary.health;
        let name = &view.summary.name;
        return vec![match health.message.as_str() {
            "" => format!("{name} has no pods: {}", health.phase),
            message => format!("{name} has no pods: {} ({message})", health.phase),
        }];
    }
    pods.iter()
        .filter(|pod| pod.ready == Some(false))
        .map(|pod| format!("pod {} does not run: {}", pod.name, pod.message))
        .collect()
}

/// Copies an answer to standard output; whether there was nothing in it.
async fn copied(mut response: Response) -> anyhow::Result<bool> {
    let mut is_silent = true;
    while let Some(chunk) = response.chunk().await.context(BROKE_OFF)? {
        is_silent = is_silent && chunk.is_empty();
        bytes(&chunk)?;
    }
    Ok(is_silent)
}

/// Prints the lines of an answer, each of which is an object; whether there was none.
async fn objects(mut response: Response, output: Output) -> anyhow::Result<bool> {
    let mut held: Vec<u8> = Vec::new();
    let mut is_silent = true;
    while let Some(chunk) = response.chunk().await.context(BROKE_OFF)? {
        held.extend_from_slice(&chunk);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            let line: LogLine = serde_json::from_slice(&line).context(
                "cannot read the Sovereign's answer; its version may differ from this one's",
            )?;
            is_silent = false;
            output.document(&line)?;
        }
    }
    Ok(is_silent)
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
