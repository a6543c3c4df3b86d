//! What each step did and how long it took: on standard error as it goes, and as
//! `report.json` for CI to keep.

use std::path::Path;
use std::time::Instant;

use catalyst_provisioner::Redactor;
use serde::Serialize;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should; the run fails.
    Failed,
    /// Not as it should; the run does not fail by it.
    SoftFailure,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    step: String,
    verdict: Verdict,
    seconds: u64,
    /// Whether its time was cut short, so that destroying keeps its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut_short: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// The report of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    sovereign: String,
    steps: Vec<Entry>,
    #[serde(skip)]
    redactor: Redactor,
}

impl Report {
    pub fn new(sovereign: &str, redactor: Redactor) -> Self {
        Self {
            sovereign: sovereign.to_owned(),
            steps: Vec::new(),
            redactor,
        }
    }

    /// Notes how a step ended: what its success shows, where its name does not say it,
    /// or why it failed.
    pub fn note(
        &mut self,
        step: &str,
        begun: Instant,
        cut_short: bool,
        result: Result<&str, &anyhow::Error>,
        soft: bool,
    ) {
        let seconds = begun.elapsed().as_secs();
        let (verdict, message) = match result {
            Ok(shows) => (Verdict::Passed, shows.to_owned()),
            Err(error) if soft => (Verdict::SoftFailure, format!("{error:#}")),
            Err(error) => (Verdict::Failed, format!("{error:#}")),
        };
        let message = self.redactor.clean(&message);
        let cut = if cut_short {
            ", its time cut short"
        } else {
            ""
        };
        let word = match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::SoftFailure => "SOFT FAILURE",
        };
        eprintln!("== {step}: {word} in {seconds} s{cut}");
        if !message.is_empty() {
            eprintln!("   {message}");
        }
        self.steps.push(Entry {
            step: step.to_owned(),
            verdict,
            seconds,
            cut_short,
            message,
        });
    }

    /// Whether a step failed the run.
    pub fn has_failed(&self) -> bool {
        self.steps
            .iter()
            .any(|entry| entry.verdict == Verdict::Failed)
    }

    /// Writes `report.json` into a folder.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(folder.join("report.json"), text + "\n")?;
        Ok(())
    }
}
