//! What is read at once, held against the reader.

use proptest::prelude::*;

use super::{document, entries};
use crate::Error;
use crate::read::Reader;

fn reader(text: &str) -> Result<serde_json::Value, Error> {
    Ok(Reader::new(text).next_document()?.unwrap_or_default())
}

/// Lines of every kind that is known here, and of those that are not.
const WORDS: &[&str] = &[
    "a",
    "b",
    "key",
    "a b",
    "-",
    "- ",
    "- - ",
    "-a",
    "--x",
    "---",
    "...",
    "%",
    "?",
    "? ",
    ":",
    ": ",
    ":a",
    "a:",
    "a: ",
    "b:",
    "b: ",
    "c : ",
    "a:b",
    "\"a\"",
    "\"a\": ",
    "'b': ",
    "'it''s'",
    "\"x\\n\\\"\"",
    "\"\\x41\"",
    "\"\\/\"",
    "\"open",
    "'open",
    "|",
    "|-",
    "|+",
    "|2",
    ">",
    "| # c",
    "# c",
    " # c",
    "#c",
    "[]",
    "{}",
    "[a, b]",
    "[\"a\", 'b', 1]",
    "{a: b}",
    "{\"a\":\"b\"}",
    "{a: [1, {b: c}]}",
    "[a",
    "a]",
    "{a}",
    "[a,]",
    "{a: }",
    "[-]",
    "[-1]",
    "[--x]",
    "[---]",
    ",",
    "&x",
    "*x",
    "!t",
    "!!str 1",
    "<<",
    "<<: ",
    "1",
    "-1",
    "0644",
    "1_000",
    "1.5",
    "1e3",
    ".inf",
    ".nan",
    "0x1F",
    "yes",
    "no",
    "null",
    "~",
    "true: ",
    "1: ",
    "2024-01-02",
    "1:30",
    "\t",
    "\tx",
    "x\t",
    "@",
    "`",
    "%a",
    "ü",
    "\u{2028}",
    "\u{feff}",
    "\u{85}",
    "http://x/y#z",
    "a #c",
    "a#c",
];

fn line() -> impl Strategy<Value = String> {
    let indent = prop_oneof![4 => 0..3_usize, 1 => 3..7_usize].prop_map(|n| " ".repeat(n));
    let words = prop::collection::vec(prop::sample::select(WORDS), 0..3);
    let end = prop::sample::select(&["", "", "", "", " ", "  "][..]);
    (indent, words, end).prop_map(|(indent, words, end)| format!("{indent}{}{end}", words.concat()))
}

/// Texts that are mostly right: keys, items and values where they may stand.
fn entry() -> impl Strategy<Value = String> {
    let indent = (0..4_usize).prop_map(|n| "  ".repeat(n));
    let head =
        prop::sample::select(&["a: ", "b: ", "c:", "- ", "- a: ", "- - ", "'q': ", "", "-"][..]);
    let value = prop::sample::select(WORDS);
    (indent, head, value).prop_map(|(indent, head, value)| format!("{indent}{head}{value}"))
}

fn text() -> impl Strategy<Value = String> {
    let lines = prop_oneof![
        prop::collection::vec(line(), 0..7),
        prop::collection::vec(entry(), 1..9),
        prop::collection::vec(prop_oneof![line(), entry()], 1..9),
    ];
    (lines, any::<bool>()).prop_map(|(lines, ends)| {
        let mut text = lines.join("\n");
        if ends {
            text.push('\n');
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_read_at_once_is_what_the_reader_reads(text in text()) {
        if let Some(value) = document(&text) {
            prop_assert_eq!(Ok(value), reader(&text), "{:?}", text);
        }
    }

    /// What is not kept is judged as if it were.
    #[test]
    fn entries_that_are_kept_are_the_readers(text in text()) {
        if let Some(value) = entries(&text, &["a", "q"]) {
            let mut whole = reader(&text);
            if let Ok(serde_json::Value::Object(map)) = &mut whole {
                map.retain(|key, _| key == "a" || key == "q");
            }
            prop_assert_eq!(Ok(value), whole, "{:?}", text);
        }
        prop_assert_eq!(
            crate::entries_from_str(&text, &["a"]).is_ok(),
            crate::from_str(&text).is_ok(),
            "{:?}", text
        );
    }
}

/// What it is for is read by it, and not left to the reader.
#[test]
fn manifests_are_read_at_once() {
    let text = "\
# A comment
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {}
  annotations:
    \"a/b\": 'it''s'   # why
spec:
  replicas: 2
  template:
    spec:
      containers:
      - name: web
        image: \"a:1\"
        command: [\"sh\", -c, --x=1]
        args:
          - --port=80

          - |
            one
              two

            three
        env: []
      -
        name: b
        ports:
        - containerPort: 80
          protocol: TCP
  empty:
";
    let value = document(text).unwrap();
    assert_eq!(Ok(&value), reader(text).as_ref());
    let head = entries(text, &["kind", "metadata"]).unwrap();
    assert_eq!(head["metadata"], value["metadata"]);
    assert_eq!(head.as_object().unwrap().len(), 2);
    assert_eq!(
        value["spec"]["template"]["spec"]["containers"][0]["args"][1],
        "one\n  two\n\nthree\n"
    );
    for text in [
        "a: |\n  x\n  y",
        "--- \na: 1",
        "- a\n- b: 1\n  c: 2\n- - d",
        "a: {\"b\":\"c\"}",
    ] {
        assert_eq!(
            document(text).ok_or(()),
            reader(text).map_err(drop),
            "{text:?}"
        );
    }
}
