//! The engine held against helm 3.22's own answers.
//!
//! `tests/helm/cases.json`: `help` is the helper file of every case; each case
//! has definitions, the template, and what helm printed. A case's template is
//! the named template `case`, shown by `t.yaml` between two marks.
//! `tests/helm/differences.txt` lists where we differ; it may only shrink.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use catalyst_helm::{
    Capabilities, Chart, Environment, Host, Limits, NoLookup, ReleaseOptions, render,
};
use serde_json::Value;

/// A counting generator: enough for a test that asks for some bytes.
struct Numbers(AtomicU64);

impl Host for Numbers {
    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        for byte in bytes {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            *byte = (next >> 56) as u8;
        }
        Ok(())
    }
}

fn answer(help: &str, case: &Value) -> Result<String, String> {
    let mut files: BTreeMap<String, Vec<u8>> = [
        ("Chart.yaml", include_str!("helm/chart/Chart.yaml")),
        ("values.yaml", include_str!("helm/chart/values.yaml")),
        ("f.txt", include_str!("helm/chart/f.txt")),
        ("conf/a.ini", include_str!("helm/chart/conf/a.ini")),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect();
    let helpers = format!(
        "{help}{}{{{{ define \"case\" }}}}{}{{{{ end }}}}",
        case["defs"].as_str().unwrap(),
        case["case"].as_str().unwrap()
    );
    files.insert("templates/_helpers.tpl".to_owned(), helpers.into_bytes());
    files.insert(
        "templates/t.yaml".to_owned(),
        b"kind: T\nmetadata:\n  name: t\ntext: {{ include \"case\" . | toJson }}\n".to_vec(),
    );
    let chart = Chart::from_files(files).unwrap();
    let release = ReleaseOptions {
        name: "rel".to_owned(),
        namespace: "default".to_owned(),
        revision: 1,
        is_upgrade: false,
        service: "Helm".to_owned(),
    };
    let rendered = render(
        &chart,
        &Value::Null,
        &Environment {
            release: &release,
            capabilities: &Capabilities::default(),
            lookup: &NoLookup,
            host: &Numbers(AtomicU64::new(1)),
            limits: Limits::default(),
        },
    )
    .map_err(|error| error.to_string())?;
    Ok(rendered.manifests[0].object()["text"]
        .as_str()
        .unwrap()
        .to_owned())
}

#[test]
fn renders_as_helm_renders_but_for_the_listed_differences() {
    let all: Value = serde_json::from_str(include_str!("helm/cases.json")).unwrap();
    let help = all["help"].as_str().unwrap();
    let cases = all["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 152);
    let mut differences = Vec::new();
    for case in cases {
        let got = answer(help, case);
        let same = match (
            &got,
            case["exp"]["ok"].as_str(),
            case["exp"]["err"].as_str(),
        ) {
            (Ok(got), Some(expected), _) => got == expected,
            (Err(got), _, Some(expected)) => {
                let got = got.trim_start_matches("cannot render chart demo: ");
                let expected = expected.trim_start_matches("Error: ");
                // The recorded answers end with advice, and may be cut short.
                let expected = expected.split("\n\nUse --").next().unwrap();
                got == expected || (expected.len() > 180 && got.starts_with(expected))
            }
            _ => false,
        };
        if !same {
            println!(
                "{}: {}\n  expected {}\n  got {got:?}",
                case["name"], case["case"], case["exp"]
            );
            differences.push(case["name"].as_str().unwrap());
        }
    }
    differences.sort_unstable();
    let ledger: Vec<&str> = include_str!("helm/differences.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(differences, ledger);
}
