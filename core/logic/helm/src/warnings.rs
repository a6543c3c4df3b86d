//! What Helm warns of and goes on.
//!
//! Gathered by the renderer's parts, handed out with what they made. What must stay
//! true: a chart cannot make more of them, or longer ones, than the bounds below;
//! and none shows a value, which may be a secret, where Helm shows it.

use std::fmt;

/// Warnings of one rendering.
const MOST: usize = 100;
/// Characters of one.
const LONGEST: usize = 500;

/// Each is kept once: Helm says some as often as it merges values.
#[derive(Debug, Default)]
pub struct Warnings(Vec<String>);

impl Warnings {
    pub fn add(&mut self, text: &str) {
        if self.0.len() >= MOST {
            return;
        }
        let text: String = text.chars().take(LONGEST).collect();
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    pub fn into_texts(self) -> Vec<String> {
        self.0
    }
}

/// Where a value is, written only where something is said of it.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Top,
    Below(&'a Place<'a>, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top | Self::Below(_, "") => Ok(()),
            Self::Below(Self::Top, key) => f.write_str(key),
            Self::Below(above, key) => write!(f, "{above}.{key}"),
        }
    }
}
