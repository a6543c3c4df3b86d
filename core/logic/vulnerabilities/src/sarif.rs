//! Findings as SARIF 2.1.0, which code hosts show beside the file that they are of.

use std::collections::BTreeMap;

use catalyst_api::{Finding, Severity, VulnerabilityReport};
use serde_json::{Value, json};

/// The schema of what [`sarif`] writes.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A report as a SARIF log. `place` is the file that the findings are shown at, as a
/// URI reference; `version` is that of the program.
pub fn sarif(report: &VulnerabilityReport, place: &str, version: &str) -> Value {
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    for finding in &report.findings {
        rules.entry(&finding.id).or_insert_with(|| rule(finding));
    }
    let ids: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| result(finding, &ids, place))
        .collect();
    let notices = report.gaps.iter().chain([&report.database.message]);
    let notices: Vec<Value> = notices
        .map(|gap| json!({"level": "warning", "message": {"text": gap}}))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "catalyst blueprint scan",
                "version": version,
                "informationUri": "https://github.com/openova-io/catalyst",
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": true, "toolExecutionNotifications": notices}],
            "results": results,
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    let summary = match finding.summary.as_str() {
        "" => finding.id.as_str(),
        summary => summary,
    };
    let mut rule = json!({
        "id": finding.id,
        "shortDescription": {"text": summary},
        "help": {"text": help(finding)},
        "helpUri": format!("https://osv.dev/vulnerability/{}", finding.id),
        "defaultConfiguration": {"level": level(finding.severity)},
    });
    // Code hosts tell severities apart by it.
    if let (Some(score), Some(rule)) = (finding.score, rule.as_object_mut()) {
        let properties = json!({"security-severity": format!("{score:.1}"), "tags": ["security"]});
        rule.insert("properties".to_owned(), properties);
    }
    rule
}

fn result(finding: &Finding, ids: &[&str], place: &str) -> Value {
    let mut result = json!({
        "ruleId": finding.id,
        "level": level(finding.severity),
        "message": {"text": format!(
            "{} {} has {} ({}); {}. By way of: {}",
            finding.component,
            finding.version,
            finding.id,
            finding.severity.word(),
            help(finding),
            finding.path.join(" > "),
        )},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": place},
            // Hosts show nothing that has no line.
            "region": {"startLine": 1},
        }}],
        "partialFingerprints": {"component/v1": format!("{}@{}", finding.id, finding.purl)},
    });
    let index = ids.iter().position(|id| *id == finding.id);
    if let (Some(index), Some(result)) = (index, result.as_object_mut()) {
        result.insert("ruleIndex".to_owned(), json!(index));
    }
    result
}

fn help(finding: &Finding) -> String {
    match finding.fixed_in.as_slice() {
        [] => "no version is known that mends it".to_owned(),
        fixed => format!("mended in {}", fixed.join(", ")),
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Unknown => "warning",
        Severity::Low => "note",
    }
}

#[cfg(test)]
mod tests {
    use catalyst_api::{DatabaseState, SeverityCounts, VulnerabilityDatabase};

    use super::*;

    #[test]
    fn a_log_has_all_that_readers_require() {
        let finding = |id: &str, score: Option<f64>| Finding {
            id: id.to_owned(),
            aliases: Vec::new(),
            summary: String::new(),
            severity: Severity::High,
            score,
            component: "glibc".to_owned(),
            version: "2.36".to_owned(),
            purl: "pkg:deb/debian/glibc@2.36".to_owned(),
            fixed_in: vec!["2.37".to_owned()],
            path: vec!["image x".to_owned(), "glibc 2.36".to_owned()],
        };
        let findings = vec![
            finding("B", Some(7.5)),
            finding("A", None),
            finding("B", None),
        ];
        let report = VulnerabilityReport {
            database: VulnerabilityDatabase {
                state: DatabaseState::Current,
                message: "Fresh.".to_owned(),
                modified: None,
                records: 2,
                ecosystems: Vec::new(),
            },
            components: 1,
            counts: SeverityCounts::of(&findings),
            findings,
            gaps: vec!["A gap.".to_owned()],
        };
        let log = sarif(&report, "platform/x/blueprint.yaml", "1.2.3");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let ids: Vec<&str> = rules.iter().map(|it| it["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["A", "B"]);
        assert_eq!(rules[1]["properties"]["security-severity"], "7.5");
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(ids[index], result["ruleId"]);
            assert_eq!(result["level"], "error");
            let text = result["message"]["text"].as_str().unwrap();
            assert!(
                text.contains("mended in 2.37. By way of: image x > glibc 2.36"),
                "{text}"
            );
        }
        let notices = &run["invocations"][0]["toolExecutionNotifications"];
        assert_eq!(notices.as_array().unwrap().len(), 2);
    }
}
