//! The findings of `catalyst blueprint lint`: how they are printed, and which of them
//! make the command fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use catalyst_blueprint::{Blueprint, Problem, Reading};

use super::output::{Output, plain, print, say};

/// The form of what is printed on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// One line a finding, for people.
    #[default]
    Table,
    /// One JSON array.
    Json,
    /// One YAML list.
    Yaml,
    /// A SARIF 2.1.0 log, for code hosts and editors.
    Sarif,
}

/// The dependencies of a folder's Blueprint that no version in these folders can
/// serve; on Blueprints that are not there nothing is said.
pub fn of_dependencies(
    files: &BTreeMap<String, Vec<u8>>,
    catalog: &[PathBuf],
) -> anyhow::Result<Vec<Problem>> {
    let mut versions: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    for folder in catalog {
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read the catalog {}", folder.display()))?;
        for entry in entries {
            let file = entry?.path().join(Blueprint::FILE);
            // What else lies there is no Blueprint, or one with problems of its own.
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if let Ok(found) = Blueprint::parse(&text) {
                let known = versions.entry(found.name().to_owned()).or_default();
                known.insert(found.version().clone());
            }
        }
    }
    Ok(match Reading::of(files) {
        Ok(reading) => reading.lint_dependencies(&versions),
        Err(_) => Vec::new(),
    })
}

/// Prints what was found; a failure where there are errors, not where there are
/// warnings only.
pub fn report(folder: &Path, problems: &[Problem], form: Form) -> anyhow::Result<()> {
    match form {
        Form::Table => {
            for problem in problems {
                print(&format!("{}\n", plain(&problem.to_string())))?;
            }
        }
        Form::Json => Output::Json.value(&problems)?,
        Form::Yaml => Output::Yaml.value(&problems)?,
        Form::Sarif => {
            let place = folder.to_string_lossy();
            let version = env!("CARGO_PKG_VERSION");
            Output::Json.value(&catalyst_blueprint::sarif(problems, &place, version))?;
        }
    }
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    let folder = folder.display();
    match (errors, warnings) {
        (0, 0) => say(&format!("{folder}: nothing to complain about")),
        (0, _) => say(&format!("{folder} has {}", counted(warnings, "warning"))),
        (_, 0) => anyhow::bail!("{folder} has {}", counted(errors, "problem")),
        _ => anyhow::bail!(
            "{folder} has {} and {}",
            counted(errors, "problem"),
            counted(warnings, "warning")
        ),
    }
    Ok(())
}

/// `1 warning`, `2 warnings`.
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}
