//! From a place in a YAML document to its line in the text.
//!
//! The reader of values keeps no positions, so this walks the block structure by
//! indentation. Inside flow collections (`{…}`, `[…]`) it stops at the line that
//! holds them, and it always falls back to the nearest place it did find.

use crate::Problem;

/// One significant line: its number, how deep it is, and what it says.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// The line (from 1) of the entry that `path` names; keys and list indices are
/// both given as text. `None` only for an empty document.
pub(crate) fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let mut block: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .filter_map(|(index, raw)| read(index + 1, raw))
        .collect();
    let mut best = block.first()?.number;
    for part in path {
        let Some((number, inner)) = descend(&block, part) else {
            break;
        };
        best = number;
        block = inner;
    }
    Some(best)
}

/// The line (from 1) of the entry that a JSON pointer (RFC 6901) names in a
/// YAML text, or of the nearest one above it that is there.
pub fn line_of_pointer(text: &str, pointer: &str) -> Option<usize> {
    line_of(text, &catalyst_yaml::pointer::parts(pointer))
}

/// The keys that one map of a file's first document has more than once, as findings of
/// `rule`; of what is no YAML none.
pub(crate) fn repeated_keys(file: &str, text: &str, rule: &'static str) -> Vec<Problem> {
    let found = catalyst_yaml::repeated_keys(text).unwrap_or_default();
    let problem = |it: catalyst_yaml::RepeatedKey| Problem {
        file: file.to_owned(),
        line: Some(it.again),
        rule,
        message: format!("`{}` stands here again, after line {}", it.key, it.first),
        fix: "remove one of the two".to_owned(),
    };
    found.into_iter().map(problem).collect()
}

fn read(number: usize, raw: &str) -> Option<Line<'_>> {
    let text = raw.trim_start();
    let indent = raw.len() - text.len();
    let significant = !text.is_empty() && !text.starts_with('#') && text != "---";
    significant.then_some(Line {
        number,
        indent,
        text,
    })
}

/// Finds the entry `part` in a block and returns its line and what lies inside it.
fn descend<'a>(block: &[Line<'a>], part: &str) -> Option<(usize, Vec<Line<'a>>)> {
    let indent = block.first()?.indent;
    let is_list = block.first()?.text.starts_with('-');
    let mut index = 0;
    let starts: Vec<usize> = block
        .iter()
        .enumerate()
        .filter(|(_, line)| {
            // A list may sit level with the key that owns it, so after a list
            // ends a key at the same depth closes it.
            line.indent == indent && line.text.starts_with('-') == is_list
        })
        .map(|(position, _)| position)
        .collect();
    for (order, start) in starts.iter().enumerate() {
        let end = starts.get(order + 1).copied().unwrap_or(block.len());
        let line = block.get(*start)?;
        let rest = block.get(start + 1..end).unwrap_or_default();
        if is_list {
            if part.parse() == Ok(index) {
                return Some((line.number, item(line, rest)));
            }
            index += 1;
        } else if key(line.text) == Some(part) {
            return Some((line.number, rest.to_vec()));
        }
    }
    None
}

/// The inside of a list item: what follows the dash, seen as a line of its own.
fn item<'a>(line: &Line<'a>, rest: &[Line<'a>]) -> Vec<Line<'a>> {
    let after = line.text.get(1..).unwrap_or_default();
    let text = after.trim_start();
    let mut inner = Vec::with_capacity(rest.len() + 1);
    if !text.is_empty() {
        inner.push(Line {
            number: line.number,
            indent: line.indent + 1 + (after.len() - text.len()),
            text,
        });
    }
    inner.extend_from_slice(rest);
    inner
}

fn key(text: &str) -> Option<&str> {
    let (head, tail) = text.split_once(':')?;
    if !(tail.is_empty() || tail.starts_with([' ', '\t', '\r'])) {
        return None;
    }
    Some(head.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_through_maps_and_lists() {
        let text =
            "# head\na: 1\nb:\n  c:\n  - x: 1\n    y: 2\n\n  - {z: 3}\n  d:\n    - 5\n\"e f\": 7\n";
        for (pointer, line) in [
            ("/a", 2),
            ("/b", 3),
            ("/b/c", 4),
            ("/b/c/0", 5),
            ("/b/c/0/y", 6),
            ("/b/c/1/z", 8),
            ("/b/d/0", 10),
            ("/e f", 11),
            ("/b/unknown", 3),
            ("/nowhere", 2),
        ] {
            assert_eq!(line_of_pointer(text, pointer), Some(line), "{pointer}");
        }
        assert_eq!(line_of_pointer("", "/a"), None);
    }
}
