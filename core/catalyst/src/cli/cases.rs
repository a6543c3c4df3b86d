//! `catalyst blueprint test`: the cases under a Blueprint's `tests/`.

use std::path::PathBuf;

use anyhow::Context;
use catalyst_blueprint::Blueprint;
use catalyst_plan::{CaseOutcome, run_cases};
use catalyst_supply::read_folder;

use super::blueprint::refused;
use super::failure::hinted;
use super::output::{Output, plain, print, say};

/// Render the cases under a Blueprint's tests/, and compare.
///
/// A case is a folder: config.yaml holds an Application's config, as in Git; size
/// the name of one of the Blueprint's sizes; expected.yaml the objects. Each object
/// is also held against the schema of its kind.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// The Blueprint's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Run this case only. May be given more than once.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Write what is rendered to each case's expected.yaml.
    #[arg(long)]
    update: bool,
    /// How the outcome is printed.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORM")]
    output: Output,
}

impl Test {
    /// Carries it out.
    pub fn run(&self) -> anyhow::Result<()> {
        let files = read_folder(&self.folder)?;
        let text = files.get(Blueprint::FILE).map(Vec::as_slice);
        let text = String::from_utf8_lossy(text.unwrap_or_default());
        let blueprint =
            Blueprint::parse(&text).map_err(|problems| refused(&self.folder, &problems))?;
        let mut outcomes = run_cases(&blueprint, &files, catalyst_kubernetes::schema_set());
        if !self.case.is_empty() {
            outcomes.retain(|outcome| self.case.contains(&outcome.name));
        }
        if outcomes.is_empty() {
            return Err(hinted(
                format!("{} has no such case under tests/", self.folder.display()),
                "make a folder such as tests/small, with `small` in a file `size`, and run this with --update",
            ));
        }
        if self.update {
            for outcome in &mut outcomes {
                self.write(outcome)?;
            }
        }
        match self.output {
            Output::Table => {
                for outcome in &outcomes {
                    print(&lines(outcome))?;
                }
            }
            output => output.value(&outcomes)?,
        }
        let failed = outcomes.iter().filter(|it| !it.is_passed()).count();
        if failed > 0 {
            let all = outcomes.len();
            return Err(hinted(
                format!("{failed} of {all} cases failed"),
                "mend the manifests, or take what they render with --update",
            ));
        }
        say(&format!("All {} cases passed", outcomes.len()));
        Ok(())
    }

    /// Has what a case renders be what is expected.
    fn write(&self, outcome: &mut CaseOutcome) -> anyhow::Result<()> {
        let Some(rendered) = &outcome.rendered else {
            return Ok(());
        };
        if !outcome.diff.is_empty() {
            let file = self.folder.join(outcome.expected_file());
            std::fs::write(&file, rendered)
                .with_context(|| format!("cannot write {}", file.display()))?;
            say(&format!("Wrote {}", file.display()));
            outcome.diff.clear();
        }
        Ok(())
    }
}

/// A case and what is wrong with it.
fn lines(outcome: &CaseOutcome) -> String {
    let verdict = match outcome.is_passed() {
        true => "passed",
        false => "failed",
    };
    let mut text = format!("{verdict} {}\n", plain(&outcome.name));
    for problem in &outcome.problems {
        text.push_str(&format!("  {}\n", plain(problem)));
    }
    for object in &outcome.unchecked {
        text.push_str(&format!(
            "  not checked, its kind is unknown: {}\n",
            plain(object)
        ));
    }
    for line in outcome.diff.lines() {
        text.push_str(&format!("  {}\n", plain(line)));
    }
    text
}
