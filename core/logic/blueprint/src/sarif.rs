//! Findings as SARIF 2.1.0, which code hosts and editors show beside the lines
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>).
//!
//! Called by `catalyst blueprint lint --output sarif`.

use serde_json::{Value, json};

use crate::{Problem, RULES};

/// The schema of what [`sarif`] writes.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// One run of lint as a SARIF log. `folder` is the Blueprint's, as the user named
/// it: the places are below it. `version` is that of the program.
pub fn sarif(problems: &[Problem], folder: &str, version: &str) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": {"text": rule.about},
                "help": {"text": rule.fix},
                "defaultConfiguration": {"level": rule.level.word()},
            })
        })
        .collect();
    let results: Vec<Value> = problems
        .iter()
        .map(|problem| result(problem, folder))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "catalyst blueprint lint",
                "version": version,
                "informationUri": "https://github.com/openova-io/catalyst",
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(problem: &Problem, folder: &str) -> Value {
    let mut result = json!({
        "ruleId": problem.rule,
        "level": problem.level().word(),
        "message": {"text": format!("{}; {}", problem.message, problem.fix)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(folder, &problem.file)},
            // Of what belongs to a file as a whole, the first line: hosts show
            // nothing that has no line.
            "region": {"startLine": problem.line.unwrap_or(1).max(1)},
        }}],
    });
    let index = RULES.iter().position(|rule| rule.id == problem.rule);
    if let (Some(index), Some(result)) = (index, result.as_object_mut()) {
        result.insert("ruleIndex".to_owned(), json!(index));
    }
    result
}

/// The place of a file as a URI reference (RFC 3986): relative where the folder is.
pub fn uri(folder: &str, file: &str) -> String {
    let mut folder = folder.trim_end_matches('/');
    while let Some(rest) = folder.strip_prefix("./") {
        folder = rest.trim_start_matches('/');
    }
    let path = match folder {
        // The root, too, has nothing left.
        "" | "." => file.to_owned(),
        folder => format!("{folder}/{file}"),
    };
    let mut uri = String::with_capacity(path.len());
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn problem(file: &str, line: Option<usize>, rule: &'static str) -> Problem {
        Problem {
            file: file.to_owned(),
            line,
            rule,
            message: "something is wrong".to_owned(),
            fix: "put it right".to_owned(),
        }
    }

    /// What the schema of SARIF 2.1.0 requires of a log, and what code hosts
    /// require beyond it.
    #[test]
    fn a_log_has_all_that_readers_require() {
        let problems = [
            problem("blueprint.yaml", Some(7), "range"),
            problem("README.md", None, "missing-file"),
        ];
        let log = sarif(&problems, "platform/postgres", "1.2.3");
        assert_eq!(log["version"], "2.1.0");
        assert!(log["$schema"].as_str().unwrap().ends_with("2.1.0.json"));
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert!(!driver["name"].as_str().unwrap().is_empty());
        assert_eq!(driver["version"], "1.2.3");
        let rules = driver["rules"].as_array().unwrap();
        let ids: BTreeSet<&str> = rules.iter().map(|it| it["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), RULES.len(), "ids are unique");
        for rule in rules {
            for field in ["/shortDescription/text", "/help/text"] {
                assert!(!rule.pointer(field).unwrap().as_str().unwrap().is_empty());
            }
        }
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        for result in results {
            let level = result["level"].as_str().unwrap();
            assert!(["error", "warning", "note", "none"].contains(&level));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
        }
        let place = |index: usize| &results[index]["locations"][0]["physicalLocation"];
        assert_eq!(
            *place(0),
            json!({
                "artifactLocation": {"uri": "platform/postgres/blueprint.yaml"},
                "region": {"startLine": 7},
            })
        );
        assert_eq!(place(1)["region"], json!({"startLine": 1}));
    }

    #[test]
    fn places_are_references_that_readers_can_follow() {
        for (folder, file, expected) in [
            (".", "chart/a.yaml", "chart/a.yaml"),
            ("./wiki/", "a.yaml", "wiki/a.yaml"),
            ("/srv/my wiki", "a.yaml", "file:///srv/my%20wiki/a.yaml"),
            ("wiki", "card/ä#1.svg", "wiki/card/%C3%A4%231.svg"),
        ] {
            assert_eq!(uri(folder, file), expected);
        }
    }
}
