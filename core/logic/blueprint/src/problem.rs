//! One thing wrong with a file, as an editor or a reviewer wants it.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::{Level, rule};

/// A finding: where, which rule, what is wrong, and how to put it right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path inside the Blueprint's folder.
    pub file: String,
    /// Line, counted from 1, where it could be told.
    pub line: Option<usize>,
    /// The rule's name, stable across releases.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl Problem {
    /// How much it weighs: what its rule says. What no rule of lint is, such as a
    /// finding in an `application.yaml`, is an error.
    pub fn level(&self) -> Level {
        rule(self.rule).map_or(Level::Error, |rule| rule.level)
    }

    /// Whether it stands against packing and publishing.
    pub fn is_error(&self) -> bool {
        self.level() == Level::Error
    }
}

impl Serialize for Problem {
    /// `{file, line?, rule, level, message, fix}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let length = if self.line.is_some() { 6 } else { 5 };
        let mut fields = serializer.serialize_struct("Problem", length)?;
        fields.serialize_field("file", &self.file)?;
        match &self.line {
            Some(line) => fields.serialize_field("line", line)?,
            None => fields.skip_field("line")?,
        }
        fields.serialize_field("rule", self.rule)?;
        fields.serialize_field("level", &self.level())?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("fix", &self.fix)?;
        fields.end()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        formatter.write_str(": ")?;
        if !self.is_error() {
            formatter.write_str("warning ")?;
        }
        write!(formatter, "[{}] {}; {}", self.rule, self.message, self.fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_the_level_and_the_line_where_there_is_one() {
        let mut problem = Problem {
            file: "a.yaml".to_owned(),
            line: Some(3),
            rule: "yaml",
            message: "wrong".to_owned(),
            fix: "right".to_owned(),
        };
        let expected = serde_json::json!({"file": "a.yaml", "line": 3, "rule": "yaml",
            "level": "error", "message": "wrong", "fix": "right"});
        assert_eq!(serde_json::to_value(&problem).unwrap(), expected);
        problem.line = None;
        let value = serde_json::to_value(&problem).unwrap();
        assert_eq!(value.get("line"), None);
        assert_eq!(problem.to_string(), "a.yaml: [yaml] wrong; right");
    }
}
