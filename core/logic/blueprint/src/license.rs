//! Whether a licence is told as SPDX tells licences.
//!
//! Called by lint, and by whoever writes SBOMs, whose formats have expressions in one
//! place and words in another.

use spdx::{Expression, ParseMode};

/// Names that the list of licences has given up, such as `GPL-2.0+`, are names still.
const MODE: ParseMode = ParseMode {
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    ..ParseMode::STRICT
};

/// Why a text is no licence expression (SPDX 2.3, annex D) of licences in SPDX's list or
/// of the writer's own (`LicenseRef-…`); `None` where it is one.
pub fn license_fault(text: &str) -> Option<String> {
    // Annex D has them in capitals only; later versions of SPDX do not mind.
    let is_small = |word: &&str| {
        let capitals = word.to_ascii_uppercase();
        matches!(capitals.as_str(), "AND" | "OR" | "WITH") && *word != capitals
    };
    if let Some(word) = text.split([' ', '\t', '(', ')']).find(is_small) {
        return Some(format!("the operator {word:?} is written in capitals"));
    }
    let parsed = Expression::parse_mode(text, MODE);
    parsed.err().map(|error| error.reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::license_fault;

    #[test]
    fn licences_are_expressions_or_words() {
        for (license, expected) in [
            ("Apache-2.0", true),
            ("Apache-2.0 OR MIT", true),
            (
                "(MIT AND BSD-3-Clause) OR GPL-2.0-or-later WITH Classpath-exception-2.0",
                true,
            ),
            ("GPL-2.0+", true),
            ("LicenseRef-acme", true),
            ("Acme's own licence", false),
            ("MIT License", false),
            ("MIT OR", false),
            ("OR MIT", false),
            ("", false),
            ("MIT or Apache-2.0", false),
            ("FooBar-9", false),
        ] {
            let fault = license_fault(license);
            assert_eq!(fault.is_none(), expected, "{license:?}: {fault:?}");
        }
    }
}
