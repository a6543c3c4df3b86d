//! Text as Go's `encoding/json` quotes it.
//!
//! Called by the Helm engine for `toJson` and friends, and by Kustomize for what it
//! hashes.

use std::fmt::Write as _;

/// Writes `text` in quotes to `out`. With `html`, as Go does unless told otherwise,
/// `<`, `>` and `&` are escaped; U+2028 and U+2029 are in any case.
pub fn go_json_string(out: &mut String, text: &str, html: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' '
                || matches!(c, '\u{2028}' | '\u{2029}')
                || (html && matches!(c, '<' | '>' | '&')) =>
            {
                // Writing to a String does not fail.
                _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_go_quotes_it() {
        let text = "a\"\\\n\r\t\u{8}\u{c}\u{1}<>&\u{2028}\u{7f}ü";
        for (html, expected) in [
            (
                true,
                "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u003c\\u003e\\u0026\\u2028\u{7f}ü\"",
            ),
            (
                false,
                "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001<>&\\u2028\u{7f}ü\"",
            ),
        ] {
            let mut out = String::new();
            go_json_string(&mut out, text, html);
            assert_eq!(out, expected);
        }
    }
}
