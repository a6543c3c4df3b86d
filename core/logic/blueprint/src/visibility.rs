//! Who knows of a version: what its `visibility` means where it lies.
//!
//! What must stay true: everything that shows a Blueprint, or answers by whether
//! there is one, asks here; what somebody may not know of answers as if it were
//! not there.

use serde::{Deserialize, Serialize};

/// Who sees a Blueprint in the marketplace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody who may see its source.
    #[default]
    Listed,
    /// Whoever of them knows its name.
    Unlisted,
    /// The members of the Organization that its source belongs to.
    Private,
}

/// Whether a source is the Sovereign's, and so for everybody, and no Organization's.
pub fn is_shared_source(source: &str) -> bool {
    matches!(source, "catalog" | "catalog-sovereign")
}

impl Visibility {
    /// Whether somebody who may see `source` may know of a version there. A source
    /// that is shared belongs to no Organization: what is private there is for
    /// sovereign-admins.
    pub fn is_known(self, source: &str, is_sovereign_admin: bool) -> bool {
        self != Self::Private || is_sovereign_admin || !is_shared_source(source)
    }

    /// Whether lists and searches show it to those who may see `source`. What is
    /// private in a shared source is in no list, so that one list does for all.
    pub fn is_listed(self, source: &str) -> bool {
        self != Self::Unlisted && self.is_known(source, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_word_means_where() {
        for (visibility, source, known, to_admins, listed) in [
            (Visibility::Listed, "catalog", true, true, true),
            (Visibility::Listed, "acme", true, true, true),
            (Visibility::Unlisted, "catalog", true, true, false),
            (Visibility::Unlisted, "acme", true, true, false),
            (Visibility::Private, "catalog", false, true, false),
            (Visibility::Private, "catalog-sovereign", false, true, false),
            (Visibility::Private, "acme", true, true, true),
        ] {
            let found = (
                visibility.is_known(source, false),
                visibility.is_known(source, true),
                visibility.is_listed(source),
            );
            assert_eq!(
                found,
                (known, to_admins, listed),
                "{visibility:?} in {source}"
            );
        }
    }
}
