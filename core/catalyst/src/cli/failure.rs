//! Failures as people read them: what was attempted, why it failed, every fault with
//! its place, and what to do next.

use std::fmt::Write as _;

use catalyst_api::{Fault, Problem};

use super::output::plain;

/// A refusal of the API.
#[derive(Debug, thiserror::Error)]
#[error("{}", sentence(.0))]
pub struct Refused(pub Problem);

/// A failure of this program's own, with what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    message: String,
    hint: String,
    is_signed_out: bool,
}

/// A failure with what to do next.
pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Hinted::new(message, hint).into()
}

/// A failure because nobody is signed in (any more), with what to do next.
pub fn signed_out(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    let hinted = Hinted::new(message, hint);
    Hinted {
        is_signed_out: true,
        ..hinted
    }
    .into()
}

/// Whether a failure is that the caller is not, or no longer, signed in; trying again
/// does not help.
pub fn is_signed_out(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Hinted>()
        .is_some_and(|hinted| hinted.is_signed_out)
        || error
            .downcast_ref::<Refused>()
            .is_some_and(|Refused(problem)| problem.status == 401)
}

impl Hinted {
    /// For `context`, which keeps the type.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            is_signed_out: false,
        }
    }
}

fn sentence(problem: &Problem) -> String {
    match (problem.title.as_str(), problem.detail.as_str()) {
        (title, "") => title.to_owned(),
        ("", detail) => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    }
}

/// The lines that standard error gets: the error and what caused it, outermost
/// first, then faults, then hints.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut hints = Vec::new();
    // A context is no link of the chain that can be asked for its type.
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        hints.push(hinted.hint.clone());
    }
    let mut before = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let message = plain(&cause.to_string());
        // Some say their cause themselves.
        if depth == 0 || !before.ends_with(&message) {
            let lead = if depth == 0 { "error: " } else { "  because: " };
            _ = writeln!(text, "{lead}{message}");
        }
        before = message;
        if let Some(Refused(problem)) = cause.downcast_ref() {
            for line in problem.faults.iter().filter_map(|it| said(it, problem)) {
                _ = writeln!(text, "  {}", plain(&line));
            }
            hints.extend(problem.next.clone());
        }
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            hints.push(hinted.hint.clone());
        }
    }
    hints.dedup();
    for hint in hints {
        _ = writeln!(text, "hint: {}", plain(&hint));
    }
    text
}

/// A fault with its place; only the place where the problem's own sentence says what
/// is wrong already.
fn said(fault: &Fault, problem: &Problem) -> Option<String> {
    let is_said = problem.detail.contains(&fault.message);
    match (place(fault), is_said) {
        (Some(place), false) => Some(format!("{place}: {}", fault.message)),
        (Some(place), true) => Some(format!("at {place}")),
        (None, false) => Some(fault.message.clone()),
        (None, true) => None,
    }
}

/// Where it is: a line of a file, whose faults name the field themselves, or a field
/// of what was sent.
fn place(fault: &Fault) -> Option<String> {
    match (&fault.file, fault.line) {
        (Some(file), Some(line)) => Some(format!("{file}:{line}")),
        (Some(file), None) => Some(file.clone()),
        (None, _) => fault.pointer.clone().filter(|it| !it.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn refusals_show_every_fault_and_what_to_do() {
        let problem = Problem {
            kind: "config-invalid".into(),
            title: "Install guests into acme-dev".into(),
            status: 422,
            detail: "The config does not fit bp-guestbook 1.0.0.".into(),
            next: Some("Correct the config and plan again.".into()),
            faults: vec![
                Fault {
                    pointer: Some("/config/title".into()),
                    message: "is longer than 80 characters".into(),
                    ..Fault::default()
                },
                Fault {
                    file: Some("applications/guests/application.yaml".into()),
                    line: Some(7),
                    pointer: Some("/spec/blueprint/version".into()),
                    message: "spec.blueprint.version: there is no such version\u{1b}[2J".into(),
                },
            ],
        };
        insta::assert_snapshot!(describe(&anyhow::Error::new(Refused(problem))), @r"
        error: Install guests into acme-dev: The config does not fit bp-guestbook 1.0.0.
          /config/title: is longer than 80 characters
          applications/guests/application.yaml:7: spec.blueprint.version: there is no such version?[2J
        hint: Correct the config and plan again.
        ");
    }

    #[test]
    fn what_the_sentence_says_is_not_said_again() {
        let fault = |pointer: &str, message: &str| Fault {
            pointer: Some(pointer.into()),
            message: message.into(),
            ..Fault::default()
        };
        let problem = Problem {
            title: "Change guests in acme-dev".into(),
            detail: "It would not fit: the dependency db is missing".into(),
            faults: vec![
                fault("/spec/dependencies", "the dependency db is missing"),
                fault("", "the dependency db is missing"),
                fault("/spec/size", "there is no size huge"),
            ],
            ..Problem::default()
        };
        insta::assert_snapshot!(describe(&anyhow::Error::new(Refused(problem))), @r"
        error: Change guests in acme-dev: It would not fit: the dependency db is missing
          at /spec/dependencies
          /spec/size: there is no size huge
        ");
    }

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        let error = anyhow::anyhow!("no such file")
            .context("cannot read the database osv: no such file")
            .context("cannot scan wiki");
        insta::assert_snapshot!(describe(&error), @r"
        error: cannot scan wiki
          because: cannot read the database osv: no such file
        ");
    }

    #[test]
    fn a_hint_may_stand_above_a_cause() {
        let error = anyhow::anyhow!("refused").context(Hinted::new("cannot reach it", "start it"));
        insta::assert_snapshot!(describe(&error), @r"
        error: cannot reach it
          because: refused
        hint: start it
        ");
    }

    #[test]
    fn causes_stand_below_the_error_and_hints_last() {
        let error = Err::<(), _>(hinted("not signed in", "run `catalyst login`"))
            .context("cannot read the Organizations")
            .unwrap_err();
        insta::assert_snapshot!(describe(&error), @r"
        error: cannot read the Organizations
          because: not signed in
        hint: run `catalyst login`
        ");
    }
}
