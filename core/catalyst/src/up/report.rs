//! What `catalyst up` tells whoever started it.
//!
//! Prose about progress goes to standard error; the addresses, which are the
//! command's result, go to standard output.

use std::io::Write;
use std::time::{Duration, Instant};

use serde::Serialize;

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
            eprintln!("  {part:<14} ready  {:>7.1} ms", milliseconds(took));
        }
    }

    /// Time since the start, in whole milliseconds.
    pub fn elapsed_millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Everything is ready: writes the result.
    pub fn finish(&self, addresses: &Addresses) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        match self.output {
            Output::Json => {
                serde_json::to_writer(&mut out, addresses)?;
                writeln!(out)?;
            }
            Output::Text => {
                writeln!(out, "Sovereign ready in {} ms", addresses.ready_millis)?;
                writeln!(out, "  console     {}", addresses.console)?;
                if let Some(link) = &addresses.sign_in {
                    writeln!(out, "  sign in     {link}")?;
                }
                writeln!(out, "  kubernetes  {}", addresses.kubernetes)?;
                writeln!(out, "  kubeconfig  {}", addresses.kubeconfig)?;
                writeln!(out, "  git         {}", addresses.git)?;
                writeln!(out, "  registry    {}", addresses.registry)?;
                writeln!(out, "  issuer      {}", addresses.issuer)?;
                writeln!(out, "  vault       {}", addresses.vault)?;
                writeln!(out, "Press Ctrl-C to stop.")?;
            }
        }
        out.flush()
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
