//! The writer held against `sigs.k8s.io/yaml` 1.6's `Marshal`, and against
//! our own reader.
//!
//! `tests/go-marshal.txt` has pairs of lines: a value as JSON, and the YAML
//! Go wrote for it as a JSON string.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;
use serde_json::{Map, Value};

#[test]
fn writes_byte_for_byte_as_go_writes() {
    let lines: Vec<&str> = include_str!("go-marshal.txt").lines().collect();
    let mut seen = 0;
    for pair in lines.chunks(2) {
        let value: Value = serde_json::from_str(pair[0]).unwrap();
        let expected: String = serde_json::from_str(pair[1]).unwrap();
        let written = catalyst_yaml::to_string(&value);
        assert_eq!(written, expected, "for {}", pair[0]);
        seen += 1;
    }
    assert!(seen >= 14);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9:#\\- ,\\[\\]{}'\"\n\t.~_|>&*!%@`?]{0,12}",
        "[ \na]{0,6}",
        ".{0,8}",
        "[a-z]{1,9}( [a-z]{1,9}){8,20}",
        Just("yes".to_owned()),
        Just("0644".to_owned()),
        Just("1e3".to_owned()),
        Just("null".to_owned()),
        Just("<<".to_owned()),
        Just("2020-01-01".to_owned()),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e14..1e14f64).prop_map(|f| Value::from(f + 0.5)),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any_text(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Whole floats come back as integers, as they do from Go.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e18 => {
                Value::from(float as i64)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, normal(v))).collect()),
        other => other,
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(value in any_value()) {
        let text = catalyst_yaml::to_string(&value);
        let read = catalyst_yaml::from_str(&text);
        prop_assert_eq!(read, Ok(normal(value)), "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,60}|[\\[\\]{}:,\\-? \n\ta&*!|>'\"#%]{0,40}") {
        let _ = catalyst_yaml::from_str(&text);
        let _ = catalyst_yaml::documents(&text);
    }
}
