//! How bad a vulnerability is: by CVSS, else by the database's own word.

use std::str::FromStr;

use catalyst_api::Severity;
use serde_json::Value;

use crate::record::Score;

/// The worst of the vectors, or what a database says in a word.
pub fn of(vectors: &[Score], specific: &[Option<&Value>]) -> (Severity, Option<f64>) {
    let scores = vectors.iter().filter_map(|vector| score(&vector.score));
    if let Some(worst) = scores.reduce(f64::max) {
        return (by_score(worst), Some(worst));
    }
    let words = specific.iter().copied().flatten().flat_map(|value| {
        ["severity", "urgency", "cvss"]
            .into_iter()
            .filter_map(move |key| value.get(key).and_then(Value::as_str))
    });
    let mut worst = (Severity::Unknown, None);
    for word in words {
        let found = match score(word) {
            Some(score) => (by_score(score), Some(score)),
            None => (by_word(word), None),
        };
        if found.0 > worst.0 {
            worst = found;
        }
    }
    worst
}

/// The base score of a vector. One of 0 is that of a vector that lacks metrics.
fn score(vector: &str) -> Option<f64> {
    let score = cvss::Cvss::from_str(vector).ok()?.score();
    (score >= 0.1).then_some(score)
}

/// CVSS 3.1, 5: the scale of words.
fn by_score(score: f64) -> Severity {
    match score {
        score if score >= 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::High,
        score if score >= 4.0 => Severity::Medium,
        _ => Severity::Low,
    }
}

fn by_word(word: &str) -> Severity {
    match word.to_ascii_lowercase().as_str() {
        "critical" => Severity::Critical,
        "high" | "important" => Severity::High,
        "medium" | "moderate" => Severity::Medium,
        "low" | "unimportant" | "negligible" | "minor" => Severity::Low,
        _ => Severity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn severity_is_by_the_worst_vector_else_by_word() {
        let critical = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
        let high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";
        let low = "CVSS:3.1/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N";
        for (vectors, specific, expected) in [
            (vec![critical], json!({}), (Severity::Critical, Some(9.8))),
            (vec![low, high], json!({}), (Severity::High, Some(7.5))),
            (
                vec![high],
                json!({"severity": "LOW"}),
                (Severity::High, Some(7.5)),
            ),
            (
                vec![],
                json!({"severity": "MODERATE"}),
                (Severity::Medium, None),
            ),
            (
                vec![],
                json!({"urgency": "unimportant"}),
                (Severity::Low, None),
            ),
            (
                vec![],
                json!({"cvss": critical}),
                (Severity::Critical, Some(9.8)),
            ),
            (
                vec!["CVSS:3.1/AV:N"],
                json!({"severity": "high"}),
                (Severity::High, None),
            ),
            (
                vec!["nonsense"],
                json!({"severity": 7}),
                (Severity::Unknown, None),
            ),
            (vec![], json!("HIGH"), (Severity::Unknown, None)),
        ] {
            let vectors: Vec<Score> = vectors
                .into_iter()
                .map(|score| Score {
                    score: score.to_owned(),
                })
                .collect();
            assert_eq!(of(&vectors, &[Some(&specific)]), expected, "{specific}");
        }
    }

    #[test]
    fn the_fourth_version_of_cvss_counts_too() {
        let vectors = [Score {
            score: "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N".to_owned(),
        }];
        assert_eq!(of(&vectors, &[]), (Severity::Critical, Some(9.3)));
    }
}
