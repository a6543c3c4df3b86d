//! What `catalyst up` tells whoever started it.
//!
//! Prose about progress goes to standard error; the addresses, which are the
//! command's result, go to standard output. A Sovereign runs on when nobody reads
//! either, as other servers do.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::output::{offer, tell};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object on one line.
    Json,
}

/// Where the surfaces of a running Sovereign are.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// The console.
    pub console: String,
    /// One-time link with which the first sovereign-admin sets a password;
    /// absent once that has happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<String>,
    /// Base of Catalyst's own API.
    pub api: String,
    /// Its description.
    pub openapi: String,
    /// The Kubernetes API's base, `…/clusters`.
    pub kubernetes: String,
    /// Base of the Git forge.
    pub git: String,
    /// The registry's host and port.
    pub registry: String,
    /// The OpenID Connect issuer.
    pub issuer: String,
    /// Base of the vault.
    pub vault: String,
    /// Path of the administrator's kubeconfig.
    pub kubeconfig: String,
    /// From the start of the process to all parts being ready.
    pub ready_millis: u64,
}

/// Progress on standard error, one line a part.
pub struct Progress {
    output: Output,
    start: Instant,
    last: Instant,
}

impl Progress {
    /// Starts the clock.
    pub fn new(output: Output) -> Self {
        let now = Instant::now();
        Self {
            output,
            start: now,
            last: now,
        }
    }

    /// A part has become ready.
    pub fn ready(&mut self, part: &str) {
        let took = self.last.elapsed();
        self.last = Instant::now();
        if self.output == Output::Text {
            tell(&format!(
                "  {part:<14} ready  {:>7.1} ms",
                milliseconds(took)
            ));
        }
    }

    /// Time since the start, in whole milliseconds.
    pub fn elapsed_millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Everything is ready: writes the result.
    pub fn finish(&self, addresses: &Addresses) -> std::io::Result<()> {
        let text = match self.output {
            Output::Json => format!("{}\n", serde_json::to_string(addresses)?),
            Output::Text => describe(addresses),
        };
        match offer(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

fn describe(addresses: &Addresses) -> String {
    let mut text = format!("Sovereign ready in {} ms\n", addresses.ready_millis);
    let sign_in = addresses.sign_in.as_ref();
    for (name, address) in [
        ("console", Some(&addresses.console)),
        ("sign in", sign_in),
        ("kubernetes", Some(&addresses.kubernetes)),
        ("kubeconfig", Some(&addresses.kubeconfig)),
        ("git", Some(&addresses.git)),
        ("registry", Some(&addresses.registry)),
        ("issuer", Some(&addresses.issuer)),
        ("vault", Some(&addresses.vault)),
    ] {
        if let Some(address) = address {
            _ = writeln!(text, "  {name:<10}  {address}");
        }
    }
    text + "Press Ctrl-C to stop.\n"
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_where_everything_is() {
        let of = |path: &str| format!("http://a{path}");
        let mut addresses = Addresses {
            console: of("/"),
            sign_in: Some(of("/oidc/set-password?token=t")),
            api: of("/api/v1"),
            openapi: of("/api/v1/openapi.json"),
            kubernetes: of("/clusters"),
            git: of("/git"),
            registry: "a".to_owned(),
            issuer: of("/oidc"),
            vault: of("/vault"),
            kubeconfig: "/data/kubeconfig".to_owned(),
            ready_millis: 7,
        };
        insta::assert_snapshot!(describe(&addresses), @r"
        Sovereign ready in 7 ms
          console     http://a/
          sign in     http://a/oidc/set-password?token=t
          kubernetes  http://a/clusters
          kubeconfig  /data/kubeconfig
          git         http://a/git
          registry    a
          issuer      http://a/oidc
          vault       http://a/vault
        Press Ctrl-C to stop.
        ");
        addresses.sign_in = None;
        assert!(!describe(&addresses).contains("sign in"));
    }
}
