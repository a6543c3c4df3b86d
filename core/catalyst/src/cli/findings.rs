//! The findings of `catalyst blueprint lint`: how they are printed, and which of them
//! make the command fail.

use std::path::Path;

use catalyst_blueprint::Problem;

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
fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}
