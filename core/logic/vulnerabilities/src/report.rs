//! Bills compared with a database.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{
    DatabaseState, Finding, SeverityCounts, VulnerabilityDatabase, VulnerabilityReport,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Bill, Component, Index};

/// A database whose newest record is older is old: of those that matter, none is
/// without a change for so long.
const FRESH: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most findings and gaps of one report.
const MOST: usize = 10_000;
/// How many are looked for at most: a bill may list one package any number of times, and
/// a package may have thousands.
const MOST_FOUND: usize = 10 * MOST;

/// A bill, and the way to it.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// What leads to the bill's subject, itself the last.
    pub path: Vec<String>,
    /// What that is made of.
    pub bill: &'a Bill,
}

/// What there is to say of a database that was read.
pub fn database(index: &Index, now: Timestamp) -> VulnerabilityDatabase {
    let newest = index.newest();
    let (state, message) = match newest {
        None => (
            DatabaseState::Old,
            "The vulnerability database does not say when its records were changed; mirror it again."
                .to_owned(),
        ),
        Some(newest) => {
            let age = now.duration_since(newest);
            let told = age_in_words(age);
            match age > FRESH {
                true => (
                    DatabaseState::Old,
                    format!(
                        "The vulnerability database is old: its newest record was changed {told}; what was found since is not in it. Mirror it again."
                    ),
                ),
                false => (
                    DatabaseState::Current,
                    format!("The newest record of the vulnerability database was changed {told}."),
                ),
            }
        }
    };
    VulnerabilityDatabase {
        state,
        message,
        modified: newest.map(|newest| newest.to_string()),
        records: u64::try_from(index.records()).unwrap_or(u64::MAX),
        ecosystems: index.ecosystems().map(str::to_owned).collect(),
    }
}

fn age_in_words(age: SignedDuration) -> String {
    match age.as_hours() {
        ..1 => "within the last hour".to_owned(),
        1 => "1 hour ago".to_owned(),
        hours @ 2..48 => format!("{hours} hours ago"),
        hours => format!("{} days ago", hours / 24),
    }
}

/// What there is to say where nobody trusted vouches for the bill of materials of
/// something.
pub fn unsigned_bill(of: &str) -> String {
    format!(
        "Nobody trusted attests the list of what {of} is made of, so that it may leave something out; publish it again to have it attested."
    )
}

/// Compares bills with a database. Without an index nothing is compared, and
/// `database` says why.
pub fn report(
    index: Option<&Index>,
    database: VulnerabilityDatabase,
    parts: &[Part<'_>],
    gaps: Vec<String>,
) -> VulnerabilityReport {
    report_within(MOST_FOUND, index, database, parts, gaps)
}

fn report_within(
    most_found: usize,
    index: Option<&Index>,
    database: VulnerabilityDatabase,
    parts: &[Part<'_>],
    gaps: Vec<String>,
) -> VulnerabilityReport {
    let known: BTreeSet<&str> = index.into_iter().flat_map(Index::ecosystems).collect();
    // Parts of the same bill tell the same gaps.
    let mut gaps: BTreeSet<String> = gaps.into_iter().collect();
    let mut findings = Vec::new();
    let mut components = 0_u32;
    let mut lacking: BTreeMap<&str, usize> = BTreeMap::new();
    for part in parts {
        gaps.extend(part.bill.gaps.iter().cloned());
        let Some(index) = index else {
            continue;
        };
        for component in &part.bill.components {
            if findings.len() >= most_found {
                gaps.insert(format!(
                    "There are {most_found} findings and more, so that the rest was not compared."
                ));
                break;
            }
            let ecosystem = component.package.ecosystem.as_str();
            if !known.contains(ecosystem) {
                *lacking.entry(ecosystem).or_default() += 1;
                continue;
            }
            components = components.saturating_add(1);
            compare(index, part, component, &mut findings, &mut gaps);
        }
    }
    for (ecosystem, count) in lacking {
        gaps.insert(format!(
            "The database has no records of {ecosystem}, of which there {} here.",
            match count {
                1 => "is 1 package".to_owned(),
                many => format!("are {many} packages"),
            }
        ));
    }
    findings.sort_by(|left: &Finding, right: &Finding| {
        right
            .severity
            .cmp(&left.severity)
            .then_with(|| left.component.cmp(&right.component))
            .then_with(|| left.id.cmp(&right.id))
            .then_with(|| left.path.cmp(&right.path))
    });
    findings.dedup();
    let counts = SeverityCounts::of(&findings);
    if findings.len() > MOST {
        gaps.insert(format!(
            "There are {} findings, of which the worst {MOST} are listed.",
            findings.len()
        ));
        findings.truncate(MOST);
    }
    let mut gaps: Vec<String> = gaps.into_iter().collect();
    if gaps.len() > MOST {
        let more = gaps.len() - MOST;
        gaps.truncate(MOST);
        gaps.push(format!("And {more} more."));
    }
    VulnerabilityReport {
        database,
        components,
        counts,
        findings,
        gaps,
    }
}

fn compare(
    index: &Index,
    part: &Part<'_>,
    component: &Component,
    findings: &mut Vec<Finding>,
    gaps: &mut BTreeSet<String>,
) {
    let answer = index.ask(&component.package);
    for id in answer.untold {
        gaps.insert(format!(
            "Whether {id} is about {} {} cannot be told: nothing here puts its versions in order.",
            component.name, component.version
        ));
    }
    for found in answer.matches {
        let mut path = part.path.clone();
        path.extend(component.path.iter().map(|step| String::from(&**step)));
        findings.push(Finding {
            id: found.id.to_owned(),
            aliases: found.aliases.into_iter().map(str::to_owned).collect(),
            summary: found.summary.to_owned(),
            severity: found.severity,
            score: found.score,
            component: component.name.clone(),
            version: component.version.clone(),
            purl: component.purl.clone(),
            fixed_in: found.fixed_in.into_iter().map(str::to_owned).collect(),
            path,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Builder;

    fn index(modified: &str) -> Index {
        let mut builder = Builder::default();
        for (id, name, score) in [("A-1", "low", "LOW"), ("A-2", "bad", "CRITICAL")] {
            let record = json!({
                "id": id, "modified": modified, "database_specific": {"severity": score},
                "affected": [{
                    "package": {"ecosystem": "npm", "name": name},
                    "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.0.0"}]}],
                }],
            });
            builder.add(record.to_string().as_bytes()).unwrap();
        }
        builder.finish()
    }

    fn bill(components: &[Value]) -> Bill {
        Bill::of_cyclonedx(&json!({"bomFormat": "CycloneDX", "components": components})).unwrap()
    }

    fn library(name: &str, version: &str, kind: &str) -> Value {
        json!({"type": "library", "name": name, "version": version, "purl": format!("pkg:{kind}/{name}@{version}")})
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_worst_is_told_first_with_the_way_to_it() {
        let index = index("2026-01-01T00:00:00Z");
        let bill = bill(&[
            library("low", "1.0.0", "npm"),
            library("bad", "1.0.0", "npm"),
            library("bad", "2.0.0", "npm"),
        ]);
        let parts = [Part {
            path: vec!["Blueprint bp-shop 1.0.0".to_owned()],
            bill: &bill,
        }];
        let database = database(&index, at("2026-01-02T00:00:00Z"));
        let report = report(Some(&index), database, &parts, Vec::new());
        assert_eq!(report.components, 3);
        assert_eq!((report.counts.critical, report.counts.low), (1, 1));
        let told: Vec<String> = report
            .findings
            .iter()
            .map(|it| format!("{} {} {:?}", it.id, it.path.join(" > "), it.fixed_in))
            .collect();
        assert_eq!(
            told,
            [
                r#"A-2 Blueprint bp-shop 1.0.0 > bad 1.0.0 ["2.0.0"]"#,
                r#"A-1 Blueprint bp-shop 1.0.0 > low 1.0.0 ["2.0.0"]"#,
            ]
        );
        assert!(report.gaps.is_empty(), "{:?}", report.gaps);
    }

    #[test]
    fn what_lists_one_package_again_and_again_is_compared_up_to_a_bound() {
        let index = index("2026-01-01T00:00:00Z");
        let bill = bill(&vec![library("bad", "1.0.0", "npm"); 50]);
        let parts = ["one", "two"].map(|place| Part {
            path: vec![place.to_owned()],
            bill: &bill,
        });
        for (most, compared, listed) in [(60, 60, 2), (100, 100, 2), (50, 50, 1)] {
            let database = database(&index, at("2026-01-02T00:00:00Z"));
            let report = report_within(most, Some(&index), database, &parts, Vec::new());
            assert_eq!(report.components, compared);
            assert_eq!(report.findings.len(), listed);
            let told = report.gaps.iter().any(|gap| gap.contains("not compared"));
            assert_eq!(told, compared < 100, "{most}: {:?}", report.gaps);
        }
    }

    #[test]
    fn what_the_database_does_not_know_is_told() {
        let index = index("2026-01-01T00:00:00Z");
        let bill = bill(&[
            library("a", "1", "gem"),
            library("b", "1", "gem"),
            library("bad", "newest", "npm"),
        ]);
        let parts = [Part {
            path: Vec::new(),
            bill: &bill,
        }];
        let database = database(&index, at("2026-01-02T00:00:00Z"));
        let report = report(Some(&index), database, &parts, vec!["Own.".to_owned()]);
        assert_eq!(report.components, 1);
        assert!(report.findings.is_empty());
        assert_eq!(
            report.gaps,
            [
                "Own.",
                "The database has no records of RubyGems, of which there are 2 packages here.",
                "Whether A-2 is about bad newest cannot be told: nothing here puts its versions in order.",
            ]
        );
    }

    #[test]
    fn a_database_says_how_old_it_is() {
        let index = index("2026-01-01T00:00:00Z");
        for (now, state, told) in [
            (
                "2025-12-31T00:00:00Z",
                DatabaseState::Current,
                "within the last hour",
            ),
            ("2026-01-01T01:30:00Z", DatabaseState::Current, "1 hour ago"),
            (
                "2026-01-02T01:00:00Z",
                DatabaseState::Current,
                "25 hours ago",
            ),
            ("2026-01-08T00:00:00Z", DatabaseState::Current, "7 days ago"),
            ("2026-01-08T00:00:01Z", DatabaseState::Old, "7 days ago"),
            ("2026-03-02T00:00:00Z", DatabaseState::Old, "60 days ago"),
        ] {
            let database = database(&index, at(now));
            assert_eq!(database.state, state, "{now}");
            assert!(database.message.contains(told), "{}", database.message);
        }
        assert_eq!(
            database(&index, at("2026-01-01T00:00:00Z")).ecosystems,
            ["npm"]
        );
        let empty = database(&Builder::default().finish(), at("2026-01-01T00:00:00Z"));
        assert_eq!(empty.state, DatabaseState::Old);
        assert_eq!(empty.records, 0);
    }
}
