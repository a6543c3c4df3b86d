//! `catalyst blueprint test`: the cases under a Blueprint's `tests/`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use catalyst_blueprint::Blueprint;
use catalyst_plan::{CaseOutcome, run_cases};
use catalyst_supply::read_folder;
use serde::Serialize;

use super::blueprint::refused;
use super::failure::hinted;
use super::findings::counted;
use super::live::{Live, Step};
use super::output::{Output, plain, print, say};

/// Render the cases under a Blueprint's tests/, and compare.
///
/// A case is a folder: config.yaml holds an Application's config, as in Git; size
/// the name of one of the Blueprint's sizes; expected.yaml the objects. Each object
/// is also held against the schema of its kind. With --live, each case that renders as
/// expected is then installed in an Environment, upgraded from the release before, and
/// removed; phase holds Failed where that is how its Application must end up.
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
    #[command(flatten)]
    live: Live,
}

/// What became of a case, where it was rendered and where it ran.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tried {
    #[serde(flatten)]
    outcome: CaseOutcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    live: Vec<Step>,
}

impl Tried {
    fn is_passed(&self) -> bool {
        self.outcome.is_passed() && !self.live.iter().any(Step::is_failed)
    }
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
        let tried = self.tried(outcomes)?;
        match self.output {
            Output::Table => {
                for case in &tried {
                    print(&lines(case))?;
                }
            }
            output => output.value(&tried)?,
        }
        let failed = tried.iter().filter(|it| !it.is_passed()).count();
        if failed > 0 {
            let all = tried.len();
            let is_rendered = tried.iter().all(|it| it.outcome.is_passed());
            return Err(hinted(
                format!("{failed} of {} failed", counted(all, "case")),
                match is_rendered {
                    true => {
                        "each says above what it was told; mend the Blueprint, and publish it under a new version"
                    }
                    false => "mend the manifests, or take what they render with --update",
                },
            ));
        }
        match tried.len() {
            1 => say("The only case passed"),
            all => say(&format!("All {all} cases passed")),
        }
        Ok(())
    }

    /// Has those that render as expected run too, if that is asked for.
    fn tried(&self, outcomes: Vec<CaseOutcome>) -> anyhow::Result<Vec<Tried>> {
        let cases = outcomes.iter().filter(|it| it.is_passed());
        let cases = cases.filter_map(|it| Some((it.name.as_str(), it.case.as_ref()?)));
        let mut steps = match self.live.is_wanted() {
            true => super::client(self.live.steps(&self.folder, cases.collect()))?,
            false => BTreeMap::new(),
        };
        let tried = outcomes.into_iter().map(|outcome| Tried {
            live: steps.remove(&outcome.name).unwrap_or_default(),
            outcome,
        });
        Ok(tried.collect())
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
fn lines(tried: &Tried) -> String {
    let outcome = &tried.outcome;
    let verdict = match tried.is_passed() {
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
    for step in &tried.live {
        for line in step.lines() {
            text.push_str(&format!("  {}\n", plain(&line)));
        }
    }
    text
}
