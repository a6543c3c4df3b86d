//! `catalyst kubeconfig`: kubectl's way into an Environment's vcluster.

use std::path::PathBuf;

use anyhow::Context;
use reqwest::Method;

use super::api::Connection;
use super::change::In;
use super::credentials::write_private;
use super::output::{print, say};

/// Print a kubeconfig for an Environment; it holds your token, and ends with it.
#[derive(Debug, clap::Args)]
pub struct Kubeconfig {
    /// Write it to a file that only you can read.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    connection: Connection,
}

impl Kubeconfig {
    /// Prints or writes it.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.connection.api().await?;
        let path = ["environments", &self.place.environment, "kubeconfig"];
        let response = api.send(api.request(Method::GET, &path)).await?;
        let text = response.text().await.context("the answer broke off")?;
        match &self.file {
            Some(file) => {
                write_private(file, text.as_bytes())?;
                say(&format!("export KUBECONFIG={}", file.display()));
                Ok(())
            }
            None => print(&text),
        }
    }
}
