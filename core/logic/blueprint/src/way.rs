//! The way from one version to another where there is no direct one.

use std::collections::BTreeMap;

use semver::Version;

use crate::{Catalog, Upgrades};

/// The most versions in between that are looked at, the newest of them.
const MAX_BETWEEN: usize = 100;

impl Catalog {
    /// The versions by which an Application gets from one version to another, each
    /// accepting upgrades from the one before: the fewest, and of as many the newest. The
    /// last is `to`; `None` where nothing that is listed leads there. What leads to a
    /// release is none to stop at.
    pub fn upgrade_way(
        &self,
        source: &str,
        name: &str,
        from: &Version,
        to: &Version,
    ) -> Option<Vec<Version>> {
        let all = self.versions(source, name)?;
        let between = all.iter().rev().filter(|(version, blueprint)| {
            *version > from
                && *version < to
                && version.pre.is_empty()
                && blueprint.spec.visibility.is_listed(source)
        });
        let mut open: Vec<&Version> = between
            .map(|(version, _)| version)
            .take(MAX_BETWEEN)
            .collect();
        let leads = |one: &Version, other: &Version| {
            let upgrades = all.get(other).map(|it| &it.spec.upgrades);
            upgrades.is_some_and(|it| it.check(one, other).is_ok())
        };
        // Breadth first from the end, so that each version that is met knows the next one
        // on a shortest way.
        let mut next: BTreeMap<&Version, &Version> = BTreeMap::new();
        let mut reached = vec![to];
        while !reached.is_empty() {
            if let Some(&first) = reached.iter().find(|it| leads(from, it)) {
                let follow = |it: &&Version| next.get(*it).copied();
                let way = std::iter::successors(Some(first), follow);
                return Some(way.cloned().collect());
            }
            let mut before = Vec::new();
            open.retain(|&one| match reached.iter().find(|it| leads(one, it)) {
                Some(&after) => {
                    next.insert(one, after);
                    before.push(one);
                    false
                }
                None => true,
            });
            reached = before;
        }
        None
    }
}

impl Upgrades {
    /// The newest release before `to`, of those in `versions`, that may be upgraded to
    /// it; otherwise why there is none. What is no version is passed over.
    pub fn newest_before(&self, versions: &[String], to: &Version) -> Result<Version, String> {
        let mut earlier: Vec<Version> = versions
            .iter()
            .filter_map(|text| Version::parse(text).ok())
            .filter(|version| version < to && version.pre.is_empty())
            .collect();
        earlier.sort_unstable_by(|one, other| other.cmp(one));
        let mut reason = format!("there is no release before {to}");
        for (index, version) in earlier.into_iter().enumerate() {
            match self.check(&version, to) {
                Ok(()) => return Ok(version),
                // That of the newest says most.
                Err(why) if index == 0 => reason = why,
                Err(_) => {}
            }
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blueprint;

    fn catalog(versions: &[(&str, &str)]) -> Catalog {
        let mut catalog = Catalog::new();
        for (version, rest) in versions {
            let text = format!(
                "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {{name: bp-a}}\nspec:\n  version: {version}\n  card: {{title: A, license: MIT}}\n  manifests: {{source: {{kind: HelmChart}}}}\n  {rest}\n"
            );
            catalog.insert("catalog", Blueprint::parse(&text).unwrap());
        }
        catalog
    }

    #[test]
    fn the_way_is_the_shortest_by_the_newest() {
        let catalog = catalog(&[
            ("1.0.0", ""),
            ("1.1.0", ""),
            ("1.2.0", ""),
            ("1.3.0", "visibility: unlisted"),
            ("2.0.0-rc.1", "upgrades: {from: [1.x]}"),
            ("2.0.0", "upgrades: {from: [1.x]}"),
            (
                "2.1.0",
                "upgrades: {from: [\">=1.1, <3\"], blocks: [\"=2.0.0\"]}",
            ),
            ("3.0.0", "upgrades: {from: [2.x]}"),
            ("4.0.0", "upgrades: {from: [2.x, 3.x], blocks: [\"<2.1\"]}"),
            ("5.0.0", "upgrades: {from: [\"=4.9.0\"]}"),
        ]);
        for (from, to, expected) in [
            ("1.0.0", "1.2.0", Some(&["1.2.0"][..])),
            ("1.0.0", "2.0.0", Some(&["2.0.0"])),
            ("1.0.0", "3.0.0", Some(&["2.0.0", "3.0.0"])),
            ("1.1.0", "3.0.0", Some(&["2.1.0", "3.0.0"])),
            ("1.0.0", "4.0.0", Some(&["2.0.0", "3.0.0", "4.0.0"])),
            ("1.2.0", "4.0.0", Some(&["2.1.0", "4.0.0"])),
            ("4.0.0", "5.0.0", None),
            ("1.0.0", "6.0.0", None),
        ] {
            let (one, other) = (from.parse().unwrap(), to.parse().unwrap());
            let found = catalog.upgrade_way("catalog", "bp-a", &one, &other);
            let expected: Option<Vec<Version>> =
                expected.map(|way| way.iter().map(|it| it.parse().unwrap()).collect());
            assert_eq!(found, expected, "{from} to {to}");
        }
        let (one, other) = (Version::new(1, 0, 0), Version::new(2, 0, 0));
        assert_eq!(catalog.upgrade_way("acme", "bp-a", &one, &other), None);
    }

    #[test]
    fn what_a_version_is_upgraded_from_is_the_newest_release_that_it_accepts() {
        let versions: Vec<String> = ["1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0", "x"]
            .map(str::to_owned)
            .to_vec();
        for (upgrades, to, expected) in [
            ("{}", "2.0.0", Ok("1.10.0")),
            ("{}", "2.1.0", Ok("2.0.0")),
            ("{blocks: [\"=1.10.0\"]}", "2.0.0", Ok("1.9.0")),
            ("{from: [1.0.x]}", "2.0.0", Ok("1.0.0")),
            ("{from: [3.x]}", "2.0.0", Err("cannot follow 1.10.0")),
            ("{}", "1.0.0", Err("there is no release before 1.0.0")),
        ] {
            let value = catalyst_yaml::from_str(upgrades).unwrap();
            let parsed: Upgrades = serde_json::from_value(value).unwrap();
            let found = parsed.newest_before(&versions, &to.parse().unwrap());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => panic!("{upgrades} to {to}: {found:?}, not {expected:?}"),
            }
        }
    }
}
