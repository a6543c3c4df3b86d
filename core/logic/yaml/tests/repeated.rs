//! Keys that a mapping has twice, with both lines.

#![allow(clippy::unwrap_used)]

use catalyst_yaml::repeated_keys;

#[test]
fn keys_that_one_mapping_has_twice_are_found_with_both_lines() {
    for (text, expected) in [
        ("a: 1\nb: 2\n", vec![]),
        ("a: 1\n\nb: 2\n# c\na: 3\n", vec![("a", 1, 5)]),
        ("a: 1\n\"a\": 2\na: 3\n", vec![("a", 1, 2), ("a", 2, 3)]),
        // The same key of two mappings is none.
        ("x: {a: 1}\ny: {a: 1}\n", vec![]),
        ("- a: 1\n- a: 2\n", vec![]),
        ("x:\n  a: 1\n  a: 2\n", vec![("a", 2, 3)]),
        ("x: {a: 1, a: 2}\n", vec![("a", 1, 1)]),
        // What is merged may be given otherwise.
        ("x: &x {a: 1}\ny:\n  <<: *x\n  a: 2\n", vec![]),
        ("a: 1\n---\na: 2\na: 3\n", vec![]),
        ("", vec![]),
    ] {
        let found = repeated_keys(text).unwrap();
        let found: Vec<(&str, usize, usize)> = found
            .iter()
            .map(|it| (it.key.as_str(), it.first, it.again))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
    assert!(repeated_keys("a: [").is_err());
}
