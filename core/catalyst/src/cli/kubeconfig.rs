//! `catalyst kubeconfig`: kubectl's way into an Environment's vcluster.

use std::path::{Path, PathBuf};

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Connection;
use super::change::In;
use super::credential::KUBERNETES_API;
use super::credentials::write_private;
use super::output::{print, say};

/// Print a kubeconfig for an Environment, with your rights.
///
/// It asks `catalyst` for tokens and works for as long as you are signed in. With
/// CATALYST_TOKEN, or where no `catalyst` will be at hand, it holds a token and
/// ends with it.
#[derive(Debug, clap::Args)]
pub struct Kubeconfig {
    /// Write it to a file that only you can read.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Put the token itself into it, for use without `catalyst`.
    #[arg(long)]
    embed_token: bool,
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
        let mut text = response.text().await.context("the answer broke off")?;
        if Connection::renews() && !self.embed_token {
            let program = std::env::current_exe().context("cannot tell where catalyst is")?;
            text = asking(&text, &program, &self.connection.server()?.url)?;
        }
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

/// The same kubeconfig with a program to ask in the place of every token.
fn asking(text: &str, program: &Path, server: &str) -> anyhow::Result<String> {
    let mut config = catalyst_yaml::from_str(text).context("cannot read the kubeconfig")?;
    let users = config.get_mut("users").and_then(Value::as_array_mut);
    for user in users.into_iter().flatten() {
        if let Some(user) = user.get_mut("user") {
            *user = json!({"exec": {
                "apiVersion": KUBERNETES_API,
                "command": program,
                "args": ["credential", "--server", server],
                "interactiveMode": "Never",
                "installHint": "Sign in with `catalyst login`, or get another kubeconfig with `catalyst kubeconfig`.",
                "provideClusterInfo": false,
            }});
        }
    }
    Ok(catalyst_yaml::to_string(&config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_give_way_to_a_program_to_ask() {
        let given = json!({
            "clusters": [{"name": "a", "cluster": {"server": "https://a"}}],
            "users": [{"name": "ada", "user": {"token": "hunter2"}}],
        });
        let text = asking(&given.to_string(), Path::new("/bin/catalyst"), "http://a").unwrap();
        assert!(!text.contains("hunter2"));
        insta::assert_snapshot!(text, @r"
        clusters:
        - cluster:
            server: https://a
          name: a
        users:
        - name: ada
          user:
            exec:
              apiVersion: client.authentication.k8s.io/v1
              args:
              - credential
              - --server
              - http://a
              command: /bin/catalyst
              installHint: Sign in with `catalyst login`, or get another kubeconfig with `catalyst
                kubeconfig`.
              interactiveMode: Never
              provideClusterInfo: false
        ");
    }
}
