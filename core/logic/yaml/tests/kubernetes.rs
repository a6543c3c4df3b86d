//! The reader held against `sigs.k8s.io/yaml` 1.6's own answers.
//!
//! `tests/kubernetes.json` has each input's answer as JSON, or `ERR` and why.
//! `tests/differences.txt` lists the inputs where we differ; it may only
//! shrink, and this test fails when it names anything but the exact list.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;

use serde_json::Value;

#[test]
fn reads_as_kubernetes_reads_but_for_the_listed_differences() {
    let cases: BTreeMap<String, String> =
        serde_json::from_str(include_str!("kubernetes.json")).unwrap();
    assert_eq!(cases.len(), 94);
    let mut differences = Vec::new();
    for (input, expected) in &cases {
        let got = catalyst_yaml::from_str(input);
        let same = match (&got, expected.strip_prefix("ERR ")) {
            (Err(_), Some(_)) => true,
            (Ok(value), None) => *value == serde_json::from_str::<Value>(expected).unwrap(),
            _ => false,
        };
        if !same {
            println!("{input:?}: expected {expected}, got {got:?}");
            differences.push(serde_json::to_string(input).unwrap());
        }
    }
    let ledger: Vec<&str> = include_str!("differences.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(differences, ledger);
}

/// As the oracle of `tests/real/helm` answers.
#[test]
fn block_scalars_and_tabs_are_read_as_libyaml_reads_them() {
    let read = |text: &str| catalyst_yaml::from_str(text).map_err(|error| error.message);
    let tab = "found a tab character where an indentation space is expected";
    let start = "found character that cannot start any token";
    for (text, expected) in [
        ("a: |\n  x\n  y", Ok("x\ny")),
        ("a: |\n  x\n  y\n", Ok("x\ny\n")),
        ("a: |\n  x\n  ", Ok("x\n")),
        ("a: >\n  x\n  y", Ok("x y")),
        ("a: |\n  x\n  y ", Ok("x\ny ")),
        ("a: |\n  x\n   ", Ok("x\n ")),
        ("a: |+\n  x", Ok("x")),
        ("a: |-\n  x", Ok("x")),
        ("a: |\n  x\n# c", Ok("x\n")),
        ("a: |\n  \tx", Err(tab)),
        ("a: |\n\n  \tx", Err(tab)),
        ("a: |2\n  \tx", Ok("\tx")),
        ("a: |\n  x\n  \ty\n", Ok("x\n\ty\n")),
        ("a:\n  \tx", Err(start)),
        ("\ta: x", Err(start)),
        ("a:\tx", Ok("x")),
        ("a: \"\\/\"", Err("found unknown escape character")),
        ("a: \"\\\\/\"", Ok("\\/")),
        ("a: '\\/'", Ok("\\/")),
    ] {
        let got = read(text).map(|value| value["a"].as_str().unwrap_or_default().to_owned());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(got, expected, "{text:?}");
    }
}

#[test]
fn what_follows_a_document_must_end_it() {
    assert!(catalyst_yaml::from_str("{a: 1}\n%x\n").is_err());
    assert!(catalyst_yaml::from_str("{a: 1}\nb: 2\n").is_ok());
    assert!(catalyst_yaml::from_str("a: 1\n---\n[\n").is_ok());
}

/// As the oracle of `tests/real/helm` answers.
#[test]
fn brackets_after_a_document_in_brackets_are_no_fault_of_it() {
    for (text, is_read) in [
        ("{a: 1} {", true),
        ("{a: 1} {{", true),
        ("{a: 1}\n{", true),
        ("{a: 1} # more\n{", true),
        ("{a: 1} }", true),
        ("{a: 1} ]", true),
        ("{a: 1} } {", true),
        ("{a: 1} [ }", true),
        ("{a: 1} {a: b", true),
        ("[1] ]]] [[[", true),
        (
            "{a: 1} [ map[a: b:2 c:map[d:[1 map[e:]] z:<nil>] x:]]\n",
            true,
        ),
        ("{a: 1} [ - ]", true),
        ("{", false),
        ("--- {", false),
        ("[1, {", false),
        ("[[{]", false),
        ("{a: 1}: {", false),
        ("a: {b: 1}\n}", false),
        ("a: 1\n{\n", false),
        ("{a: 1} {@", false),
        ("{a: 1} \"x", false),
    ] {
        let read = catalyst_yaml::from_str(text);
        assert_eq!(read.is_ok(), is_read, "{text:?}: {read:?}");
        if let Ok(value) = read {
            assert!(value["a"] == 1 || value[0] == 1, "{text:?}: {value}");
        }
    }
    let many = format!("{{a: 1}} {}", "[".repeat(100_000));
    assert!(catalyst_yaml::from_str(&many).is_err());
}

#[test]
fn faults_name_line_and_column() {
    let error = catalyst_yaml::from_str("a: 1\nb: [1,\n").unwrap_err();
    assert!(error.line >= 2, "{error}");
    let error = catalyst_yaml::from_str("ok: 1\nnull: 2\n").unwrap_err();
    assert_eq!((error.line, error.column), (2, 1), "{error}");
}

#[test]
fn small_texts_cannot_exhaust_memory_or_the_stack() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let error = catalyst_yaml::from_str(&bomb).unwrap_err();
    assert!(error.message.contains("excessive aliasing"), "{error}");
    let deep = "[".repeat(100_000);
    assert!(catalyst_yaml::from_str(&deep).is_err());
    assert!(catalyst_yaml::from_str("a: &x [*x]").is_err());
}

#[test]
fn documents_leaves_empty_ones_out() {
    let values = catalyst_yaml::documents("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n").unwrap();
    assert_eq!(
        values,
        vec![serde_json::json!({"a": 1}), serde_json::json!({"b": 2})]
    );
    assert!(catalyst_yaml::documents("a: 1\n---\nb: [").is_err());
}

#[test]
fn documents_know_the_line_on_which_they_start() {
    for (text, expected) in [
        ("", &[][..]),
        ("a: 1\n", &[1_usize][..]),
        ("# head\n\na: 1\n", &[3][..]),
        ("a: 1\n---\nb: 2\n", &[1, 2][..]),
        ("---\na: 1\n---\n# note\nb: 2\n", &[1, 3][..]),
        ("a: 1\n--- # the second\nb: 2\n---\nc: 3\n", &[1, 2, 4][..]),
        // An empty document is left out, and the one after it keeps its line.
        ("---\n---\na: 1\n", &[2][..]),
    ] {
        let documents = catalyst_yaml::documents_with_lines(text).unwrap();
        let lines: Vec<usize> = documents.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, expected, "{text:?}");
        let values: Vec<Value> = documents.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, catalyst_yaml::documents(text).unwrap(), "{text:?}");
    }
}
