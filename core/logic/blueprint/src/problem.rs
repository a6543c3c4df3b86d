//! One thing wrong with a file, as an editor or a reviewer wants it.

use serde::Serialize;

/// A finding: where, which rule, what is wrong, and how to put it right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Path inside the Blueprint's folder.
    pub file: String,
    /// Line, counted from 1, where it could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The rule's name, stable across releases.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(
            formatter,
            ": [{}] {}; {}",
            self.rule, self.message, self.fix
        )
    }
}
