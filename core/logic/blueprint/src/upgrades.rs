//! Whether what a Blueprint says about versions fits together: its upgrade paths
//! with each other and with its own version, its dependencies with the versions
//! that there are.
//!
//! Ranges are compared on the versions at and beside their bounds: between two
//! bounds a range is all or nothing, so these stand for all others.

use std::collections::{BTreeMap, BTreeSet};

use semver::{Version, VersionReq};

use crate::{Blueprint, Problem, Upgrades, locate};

/// One thing wrong with `spec.upgrades`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON pointer in `blueprint.yaml`.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: &'static str,
}

/// Everything in which upgrade paths contradict each other or the version that they
/// lead to. Ranges that cannot be read are another rule's.
pub(crate) fn faults(own: &Version, upgrades: &Upgrades) -> Vec<Fault> {
    let parsed = |ranges: &[String]| -> Vec<(usize, String, VersionReq)> {
        ranges
            .iter()
            .enumerate()
            .filter_map(|(index, text)| Some((index, text.clone(), VersionReq::parse(text).ok()?)))
            .collect()
    };
    let (from, blocks) = (parsed(&upgrades.from), parsed(&upgrades.blocks));
    let mut versions = BTreeSet::from([Version::new(0, 0, 0), own.clone()]);
    for (_, _, range) in from.iter().chain(&blocks) {
        beside(range, &mut versions);
    }
    let mut faults = Vec::new();
    for (index, text, range) in &blocks {
        if range.matches(own) {
            faults.push(Fault {
                pointer: format!("/spec/upgrades/blocks/{index}"),
                message: format!("`{text}` blocks version {own} itself"),
                fix: "block earlier versions only",
            });
        }
    }
    for (index, text, range) in &from {
        let below: Vec<&Version> = versions
            .iter()
            .filter(|version| *version < own && range.matches(version))
            .collect();
        let pointer = format!("/spec/upgrades/from/{index}");
        if below.is_empty() {
            faults.push(Fault {
                pointer,
                message: format!("no version below {own} is in `{text}`"),
                fix: "name versions that come before this one",
            });
            continue;
        }
        let blocking = |version: &Version| blocks.iter().find(|(_, _, it)| it.matches(version));
        if let Some(by) = below.into_iter().map(blocking).collect::<Option<Vec<_>>>() {
            let by: BTreeSet<&str> = by.iter().map(|(_, text, _)| text.as_str()).collect();
            let by: Vec<&str> = by.into_iter().collect();
            faults.push(Fault {
                pointer,
                message: format!(
                    "`from` accepts `{text}`, and `blocks` refuses all of it with `{}`",
                    by.join("`, `")
                ),
                fix: "take it out of one of the two",
            });
        }
    }
    faults
}

/// The versions at the bounds of a range, and the nearest on both sides of each.
fn beside(range: &VersionReq, versions: &mut BTreeSet<Version>) {
    for bound in &range.comparators {
        let (major, minor, patch) = (
            bound.major,
            bound.minor.unwrap_or(0),
            bound.patch.unwrap_or(0),
        );
        let at = Version::new(major, minor, patch);
        versions.insert(Version {
            pre: bound.pre.clone(),
            ..at.clone()
        });
        versions.insert(at);
        versions.insert(Version::new(major, minor, patch.saturating_add(1)));
        versions.insert(Version::new(major, minor.saturating_add(1), 0));
        versions.insert(Version::new(major.saturating_add(1), 0, 0));
        let last = u64::MAX;
        if patch > 0 {
            versions.insert(Version::new(major, minor, patch - 1));
        } else if minor > 0 {
            versions.insert(Version::new(major, minor - 1, last));
        } else if major > 0 {
            versions.insert(Version::new(major - 1, last, last));
        }
    }
}

/// The dependencies for which none of the known versions will do. `versions` are
/// those that there are, by Blueprint; of a Blueprint that is not among them
/// nothing is known, and nothing is said. `text` is the `blueprint.yaml`.
pub fn lint_dependencies(
    text: &str,
    blueprint: &Blueprint,
    versions: &BTreeMap<String, BTreeSet<Version>>,
) -> Vec<Problem> {
    unserved(text, blueprint, versions, |_| true)
}

/// The same of those dependencies that are of interest, by their index.
pub(crate) fn unserved(
    text: &str,
    blueprint: &Blueprint,
    versions: &BTreeMap<String, BTreeSet<Version>>,
    is_of_interest: impl Fn(usize) -> bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, dependency) in blueprint.spec.depends.iter().enumerate() {
        let Some(known) = versions.get(&dependency.blueprint) else {
            continue;
        };
        if !is_of_interest(index) {
            continue;
        }
        let Ok(range) = VersionReq::parse(&dependency.version) else {
            continue;
        };
        if known.iter().any(|version| range.matches(version)) {
            continue;
        }
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        problems.push(Problem {
            file: Blueprint::FILE.to_owned(),
            line: locate::line_of_pointer(text, &format!("/spec/depends/{index}/version")),
            rule: "dependency-version",
            message: format!(
                "no version of {} is in `{}`; there are {}",
                dependency.blueprint,
                dependency.version,
                known.join(", ")
            ),
            fix: "name a range that holds one of them, or publish one".to_owned(),
        });
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(own: &str, from: &[&str], blocks: &[&str]) -> Vec<String> {
        let texts = |ranges: &[&str]| ranges.iter().map(|it| (*it).to_owned()).collect();
        let upgrades = Upgrades {
            from: texts(from),
            blocks: texts(blocks),
            values: Vec::new(),
        };
        faults(&own.parse().unwrap(), &upgrades)
            .into_iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.message))
            .collect()
    }

    #[test]
    fn paths_that_lead_somewhere_are_left_alone() {
        for (own, from, blocks) in [
            ("1.3.0", &["1.2.x"][..], &["1.0.x"][..]),
            ("1.3.0", &[], &[]),
            ("1.3.0", &["1.x"], &["1.1.x"]),
            ("1.3.0", &[">=1.0, <1.3"], &["=1.2.9"]),
            ("2.0.0", &["^1.4", "*"], &["<1.4"]),
            ("1.3.0-rc.2", &["=1.3.0-rc.1"], &[]),
            ("1.0.0", &["0"], &["0.1", "0.2"]),
            ("1.0.0", &["not a range"], &["neither"]),
        ] {
            assert_eq!(
                told(own, from, blocks),
                Vec::<String>::new(),
                "{own} {from:?}"
            );
        }
    }

    #[test]
    fn contradictions_are_told() {
        for (own, from, blocks, expected) in [
            (
                "1.3.0",
                &["2.x"][..],
                &[][..],
                "/spec/upgrades/from/0: no version below 1.3.0 is in `2.x`",
            ),
            (
                "1.3.0",
                &["1.2.x", ">=1.3"],
                &[],
                "/spec/upgrades/from/1: no version below 1.3.0 is in `>=1.3`",
            ),
            (
                "1.3.0",
                &[],
                &["<1.0", "1.x"],
                "/spec/upgrades/blocks/1: `1.x` blocks version 1.3.0 itself",
            ),
            (
                "1.3.0",
                &["1.1.x"],
                &["<1.2"],
                "/spec/upgrades/from/0: `from` accepts `1.1.x`, and `blocks` refuses all of it with `<1.2`",
            ),
            (
                "1.3.0",
                &[">=1.1, <1.3"],
                &["1.1.x", "1.2.x"],
                "/spec/upgrades/from/0: `from` accepts `>=1.1, <1.3`, and `blocks` refuses all of it with `1.1.x`, `1.2.x`",
            ),
        ] {
            assert_eq!(told(own, from, blocks), [expected]);
        }
    }
}
