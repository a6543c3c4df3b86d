//! A database of records, as compact as its questions allow.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::Severity;
use jiff::Timestamp;

use crate::package::{canonical, split_ecosystem};
use crate::range::{Range, Standing};
use crate::record::{Affected, Record};
use crate::{Order, Package, RecordError, severity};

/// The most of a database that is kept, about.
const LIMIT: usize = 1024 * 1024 * 1024;
/// The longest summary that is kept, in characters.
const SUMMARY: usize = 200;

/// Records, by what they are about.
#[derive(Debug, Default)]
pub struct Index {
    advisories: Vec<Advisory>,
    /// Ecosystem → package → what is known of it.
    ecosystems: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<Entry>>>,
    newest: Option<Timestamp>,
}

#[derive(Debug)]
struct Advisory {
    id: Box<str>,
    aliases: Box<[Box<str>]>,
    summary: Box<str>,
}

/// What a record says of one package.
#[derive(Debug)]
struct Entry {
    advisory: usize,
    severity: Severity,
    score: Option<f64>,
    release: Option<Box<str>>,
    ranges: Box<[Range]>,
    /// Those that no range holds.
    versions: Box<[Box<str>]>,
}

/// Makes an [`Index`], record by record.
#[derive(Debug)]
pub struct Builder {
    index: Index,
    weight: usize,
    limit: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self::within(LIMIT)
    }
}

/// A vulnerability of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct Match<'a> {
    /// The record's id.
    pub id: &'a str,
    /// What others call it.
    pub aliases: BTreeSet<&'a str>,
    /// What is wrong, in a line.
    pub summary: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// By what score, if by one.
    pub score: Option<f64>,
    /// The versions that mend it.
    pub fixed_in: BTreeSet<&'a str>,
}

/// What a database says of a package.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer<'a> {
    /// What is known to be wrong with it; records that are the same by an alias are one.
    pub matches: Vec<Match<'a>>,
    /// Records of which nobody can tell whether they are about its version.
    pub untold: BTreeSet<&'a str>,
}

impl Builder {
    /// One that refuses what would take more than so many bytes, about.
    pub fn within(limit: usize) -> Self {
        Self {
            index: Index::default(),
            weight: 0,
            limit,
        }
    }

    /// Takes one record, a JSON document.
    pub fn add(&mut self, json: &[u8]) -> Result<(), RecordError> {
        let record: Record = serde_json::from_slice(json)?;
        if let Some(text) = &record.modified {
            let time = text.parse::<Timestamp>().map_err(|_| RecordError::Time {
                id: record.id.clone(),
                text: text.clone(),
            })?;
            self.index.newest = self.index.newest.max(Some(time));
        }
        if record.withdrawn.is_some() {
            return Ok(());
        }
        let advisory = self.index.advisories.len();
        let mut entries = Vec::new();
        for affected in record.affected.into_iter().flatten() {
            let vectors = match affected.severity.as_deref() {
                Some(own) if !own.is_empty() => own,
                _ => record.severity.as_deref().unwrap_or_default(),
            };
            let specific = [
                affected.ecosystem_specific.as_ref(),
                affected.database_specific.as_ref(),
                record.database_specific.as_ref(),
            ];
            let (severity, score) = severity::of(vectors, &specific);
            let entry = Entry {
                advisory,
                severity,
                score,
                release: None,
                ranges: Box::default(),
                versions: Box::default(),
            };
            entries.extend(read(affected, entry));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let aliases = record.aliases.into_iter().chain(record.upstream).flatten();
        let summary = record.summary.filter(|summary| !summary.is_empty());
        let summary = summary.or(record.details).unwrap_or_default();
        let line = summary.lines().next().unwrap_or_default();
        let advisory = Advisory {
            id: record.id.into_boxed_str(),
            aliases: aliases.map(String::into_boxed_str).collect(),
            summary: line.chars().take(SUMMARY).collect(),
        };
        self.weight += advisory.weight();
        for (ecosystem, name, entry) in &entries {
            self.weight += ecosystem.len() + name.len() + entry.weight();
        }
        if self.weight > self.limit {
            let limit = self.limit / (1024 * 1024);
            return Err(RecordError::TooMuch { limit });
        }
        self.index.advisories.push(advisory);
        for (ecosystem, name, entry) in entries {
            let packages = self.index.ecosystems.entry(ecosystem).or_default();
            packages.entry(name).or_default().push(entry);
        }
        Ok(())
    }

    /// All that was taken.
    pub fn finish(self) -> Index {
        self.index
    }
}

/// The ecosystem and the name of what a record is about, and what it says of it.
fn read(affected: Affected, blank: Entry) -> Option<(Box<str>, Box<str>, Entry)> {
    let named = affected.package?;
    let (ecosystem, release, name) = if named.ecosystem.is_empty() {
        let package = Package::of_purl(&named.purl?)?;
        (package.ecosystem, package.release, package.name)
    } else {
        let (ecosystem, release) = split_ecosystem(&named.ecosystem);
        let name = canonical(ecosystem, &named.name);
        (ecosystem.to_owned(), release, name)
    };
    let order = Order::of_ecosystem(&ecosystem);
    let ranges: Box<[Range]> = affected
        .ranges
        .into_iter()
        .flatten()
        .filter_map(|range| Range::read(range, order))
        .collect();
    // Records list each version that their ranges hold; to keep those would take
    // many times as much.
    let versions: Box<[Box<str>]> = affected
        .versions
        .into_iter()
        .flatten()
        .filter(|version| stands(&ranges, version) != Standing::Inside)
        .map(String::into_boxed_str)
        .collect();
    let entry = Entry {
        release: release.map(String::into_boxed_str),
        ranges,
        versions,
        ..blank
    };
    Some((ecosystem.into_boxed_str(), name.into_boxed_str(), entry))
}

fn stands(ranges: &[Range], version: &str) -> Standing {
    let mut standing = Standing::Outside;
    for range in ranges {
        match range.stands(version) {
            Standing::Inside => return Standing::Inside,
            Standing::Unknown => standing = Standing::Unknown,
            Standing::Outside => {}
        }
    }
    standing
}

impl Advisory {
    fn weight(&self) -> usize {
        let aliases = self.aliases.iter();
        self.id.len()
            + self.summary.len()
            + aliases.map(|alias| alias.len() + 16).sum::<usize>()
            + 64
    }
}

impl Entry {
    fn weight(&self) -> usize {
        let versions = self.versions.iter().map(|version| version.len() + 16);
        let ranges = self.ranges.iter().map(Range::weight);
        versions.chain(ranges).sum::<usize>() + 128
    }

    fn stands(&self, version: &str) -> Standing {
        if self.versions.iter().any(|listed| **listed == *version) {
            return Standing::Inside;
        }
        stands(&self.ranges, version)
    }
}

impl Index {
    /// How many records it has that can find something.
    pub fn records(&self) -> usize {
        self.advisories.len()
    }

    /// When the newest of its records was changed.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The ecosystems that it is about, without releases.
    pub fn ecosystems(&self) -> impl Iterator<Item = &str> {
        self.ecosystems.keys().map(AsRef::as_ref)
    }

    /// What is known of a package's version. A package of a distribution whose release
    /// nobody names is compared with every release's records.
    pub fn ask(&self, package: &Package) -> Answer<'_> {
        let entries = self
            .ecosystems
            .get(package.ecosystem.as_str())
            .and_then(|packages| packages.get(package.name.as_str()));
        let mut answer = Answer::default();
        // Some packages have thousands of records.
        let mut by_name = BTreeMap::new();
        for entry in entries.into_iter().flatten() {
            let is_of_it = match (&entry.release, &package.release) {
                (Some(of), Some(wanted)) => **of == **wanted,
                _ => true,
            };
            let Some(advisory) = self.advisories.get(entry.advisory).filter(|_| is_of_it) else {
                continue;
            };
            match entry.stands(&package.version) {
                Standing::Inside => {
                    let fixed = entry.ranges.iter();
                    let found = Match {
                        id: &advisory.id,
                        aliases: advisory.aliases.iter().map(AsRef::as_ref).collect(),
                        summary: &advisory.summary,
                        severity: entry.severity,
                        score: entry.score,
                        fixed_in: fixed
                            .filter_map(|range| range.fixed_after(&package.version))
                            .collect(),
                    };
                    answer.take(found, &mut by_name);
                }
                Standing::Unknown => {
                    answer.untold.insert(&advisory.id);
                }
                Standing::Outside => {}
            }
        }
        let told: BTreeSet<&str> = answer.matches.iter().map(|found| found.id).collect();
        answer.untold.retain(|id| !told.contains(id));
        answer
    }
}

impl<'a> Answer<'a> {
    /// Adds a match, or what it says more to the one that it is the same as: the first
    /// that has one of its names, which `by_name` knows.
    fn take(&mut self, found: Match<'a>, by_name: &mut BTreeMap<&'a str, usize>) {
        let mut its = found.aliases.clone();
        its.insert(found.id);
        let same = its.iter().filter_map(|name| by_name.get(name).copied());
        let place = same.min().unwrap_or(self.matches.len());
        by_name.extend(its.iter().map(|name| (*name, place)));
        let Some(known) = self.matches.get_mut(place) else {
            self.matches.push(found);
            return;
        };
        known.aliases.extend(its);
        known.fixed_in.extend(found.fixed_in);
        if found.severity > known.severity {
            (known.severity, known.score) = (found.severity, found.score);
        }
        if known.summary.is_empty() {
            known.summary = found.summary;
        }
        let id = known.id;
        known.aliases.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn index(records: &[Value]) -> Index {
        let mut builder = Builder::default();
        for record in records {
            builder.add(record.to_string().as_bytes()).unwrap();
        }
        builder.finish()
    }

    fn ids(index: &Index, purl: &str) -> Vec<String> {
        let package = Package::of_purl(purl).unwrap();
        let answer = index.ask(&package);
        answer.matches.iter().map(|it| it.id.to_owned()).collect()
    }

    fn record(id: &str, affected: Value) -> Value {
        json!({"id": id, "modified": "2026-01-01T00:00:00Z", "affected": [affected]})
    }

    #[test]
    fn packages_are_found_by_ecosystem_release_and_version() {
        let until =
            json!([{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.36-9"}]}]);
        let index = index(&[
            record(
                "D12",
                json!({"package": {"ecosystem": "Debian:12", "name": "glibc"}, "ranges": until}),
            ),
            record(
                "D13",
                json!({"package": {"ecosystem": "Debian:13", "name": "glibc"}, "ranges": until}),
            ),
            record(
                "D",
                json!({"package": {"ecosystem": "Debian", "name": "glibc"}, "ranges": until}),
            ),
            record(
                "P",
                json!({"package": {"purl": "pkg:cargo/time"}, "versions": ["0.1.0"]}),
            ),
            record(
                "N",
                json!({"package": {"ecosystem": "NuGet", "name": "Newtonsoft.Json"}, "versions": ["12.0.1"]}),
            ),
        ]);
        let glibc = "pkg:deb/debian/libc6@2.36-8?upstream=glibc";
        assert_eq!(
            ids(&index, &format!("{glibc}&distro=debian-12")),
            ["D12", "D"]
        );
        assert_eq!(ids(&index, glibc), ["D12", "D13", "D"]);
        assert!(ids(&index, "pkg:deb/debian/glibc@2.36-9?distro=debian-12").is_empty());
        assert_eq!(ids(&index, "pkg:cargo/time@0.1.0"), ["P"]);
        assert!(ids(&index, "pkg:npm/time@0.1.0").is_empty());
        assert_eq!(ids(&index, "pkg:nuget/newtonsoft.json@12.0.1"), ["N"]);
        let ecosystems: Vec<&str> = index.ecosystems().collect();
        assert_eq!(ecosystems, ["Debian", "NuGet", "crates.io"]);
    }

    #[test]
    fn what_is_withdrawn_finds_nothing() {
        let mut record = record(
            "R",
            json!({"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0"]}),
        );
        assert_eq!(ids(&index(&[record.clone()]), "pkg:npm/x@1.0.0"), ["R"]);
        record["withdrawn"] = json!("2026-01-02T00:00:00Z");
        let index = index(&[record]);
        assert!(ids(&index, "pkg:npm/x@1.0.0").is_empty());
        assert_eq!(index.records(), 0);
    }

    #[test]
    fn records_of_one_vulnerability_are_one_match() {
        let affected = |fixed: &str| {
            json!({
                "package": {"ecosystem": "crates.io", "name": "time"},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
            })
        };
        let mut first = record("RUSTSEC-2020-0071", affected("0.2.23"));
        first["aliases"] = json!(["CVE-2020-26235"]);
        let mut second = record("GHSA-wcg3", affected("0.2.23"));
        second["aliases"] = json!(["CVE-2020-26235"]);
        second["database_specific"] = json!({"severity": "MODERATE"});
        second["summary"] = json!("Segmentation fault\nin time");
        let index = index(&[first, second]);
        let package = Package::of_purl("pkg:cargo/time@0.1.40").unwrap();
        let answer = index.ask(&package);
        assert_eq!(
            answer.matches,
            [Match {
                id: "RUSTSEC-2020-0071",
                aliases: BTreeSet::from(["CVE-2020-26235", "GHSA-wcg3"]),
                summary: "Segmentation fault",
                severity: Severity::Medium,
                score: None,
                fixed_in: BTreeSet::from(["0.2.23"]),
            }]
        );
        assert!(answer.untold.is_empty());
    }

    #[test]
    fn what_nobody_can_tell_is_told() {
        let range = json!([{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}]);
        let index = index(&[
            record(
                "A",
                json!({"package": {"ecosystem": "Packagist", "name": "a/b"}, "ranges": range}),
            ),
            record(
                "B",
                json!({"package": {"ecosystem": "PyPI", "name": "b"}, "ranges": range}),
            ),
        ]);
        for (purl, expected) in [
            ("pkg:composer/a/b@1", vec!["A"]),
            ("pkg:pypi/b@latest", vec!["B"]),
            ("pkg:pypi/b@1", vec![]),
        ] {
            let package = Package::of_purl(purl).unwrap();
            let untold: Vec<&str> = index.ask(&package).untold.into_iter().collect();
            assert_eq!(untold, expected, "{purl}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused_and_so_is_too_much() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"id": 1}"#,
            r#"{"id": "x", "modified": "yesterday"}"#,
        ] {
            assert!(Builder::default().add(bad.as_bytes()).is_err(), "{bad}");
        }
        let record = record(
            "R",
            json!({"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0"]}),
        );
        let mut builder = Builder::within(1000);
        let mut taken = 0;
        let refused = loop {
            match builder.add(record.to_string().as_bytes()) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 100, "nothing stops it");
        };
        assert!(matches!(refused, RecordError::TooMuch { .. }));
        assert_eq!(builder.finish().records(), taken);
    }
}
