//! The plain part of YAML, read at once: what manifests and values files are written in.
//!
//! Called before the reader, which is right about everything and takes ten times as
//! long. What must stay true: an answer from here is the reader's answer; whatever is
//! unusual, and whatever is wrong, is left to the reader, which also words the error. So
//! each function gives `None` where it is not sure, and knows no errors.
//!
//! Known here: block mappings and sequences, plain and quoted scalars of one line,
//! literal blocks, flow collections of one line, comments. Not known: anchors, aliases,
//! tags, merges, directives, several documents, scalars over several lines, folded
//! blocks, complex keys, keys that are no text.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::read::plain_value;
use crate::scalar::{Scalar, is_of_word, resolve};

/// Nesting that is read without a look at the stack.
const MAX_DEPTH: usize = 32;
/// Longer texts could hold more values than the reader allows.
const MAX_TEXT: usize = 1 << 20;
/// libyaml takes no longer key without a `?`.
const MAX_KEY: usize = 1024;

/// The only document of `text`, a mapping or a sequence; `None` where the reader has to
/// judge.
pub fn document(text: &str) -> Option<Value> {
    let mut quick = Quick::new(text)?;
    let indent = quick.line.indent;
    let value = quick.block(indent, 0)?;
    quick.line.is_end.then_some(value)
}

/// Of the only document of `text`, a mapping, the entries of `keys`; `None` where the
/// reader has to judge. The others are read as well, and not kept.
pub fn entries(text: &str, keys: &[&str]) -> Option<Value> {
    let mut quick = Quick::new(text)?;
    if quick.line.is_end || is_item(quick.line.text) {
        return None;
    }
    let value = quick.mapping(quick.line.indent, 0, Some(keys))?;
    quick.line.is_end.then_some(value)
}

/// A line that is neither empty nor only a comment.
#[derive(Clone, Copy, Default)]
struct Line<'a> {
    indent: usize,
    /// Without the blanks around it.
    text: &'a str,
    /// After the last line; its indentation is 0.
    is_end: bool,
}

struct Quick<'a> {
    /// What follows `line`.
    rest: &'a str,
    line: Line<'a>,
    /// Whether anybody wants what is read; if not, it comes out as null.
    is_kept: bool,
}

impl<'a> Quick<'a> {
    /// At the first line of a document.
    fn new(text: &'a str) -> Option<Self> {
        if text.len() > MAX_TEXT || !is_printable(text) {
            return None;
        }
        let mut quick = Self {
            rest: text,
            line: Line::default(),
            is_kept: true,
        };
        quick.next()?;
        if quick.line.indent == 0 && quick.line.text == "---" {
            quick.next()?;
        }
        Some(quick)
    }

    /// Goes to the next line that says something.
    fn next(&mut self) -> Option<()> {
        loop {
            if self.rest.is_empty() {
                self.line = Line {
                    is_end: true,
                    ..Line::default()
                };
                return Some(());
            }
            let (line, rest, _) = first_line(self.rest)?;
            self.rest = rest;
            if memchr::memchr(b'\t', line.as_bytes()).is_some() {
                return None;
            }
            let text = line.trim_start_matches(' ');
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let indent = line.len() - text.len();
            let text = text.trim_end_matches(' ');
            let is_mark = indent == 0
                && (text.starts_with("---") || text.starts_with("...") || text.starts_with('%'));
            if is_mark && text != "---" {
                return None;
            }
            self.line = Line {
                indent,
                text,
                is_end: false,
            };
            return Some(());
        }
    }

    /// The collection that begins at this line, whose column is `indent`.
    fn block(&mut self, indent: usize, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH || self.line.is_end {
            return None;
        }
        if is_item(self.line.text) {
            self.sequence(indent, depth)
        } else {
            self.mapping(indent, depth, None)
        }
    }

    /// Where `only` is given, no other entries are kept.
    fn mapping(&mut self, indent: usize, depth: usize, only: Option<&[&str]>) -> Option<Value> {
        let mut map = Map::new();
        while !self.line.is_end && self.line.indent == indent {
            let (key, after) = key(self.line.text)?;
            if let Some(only) = only {
                self.is_kept = only.contains(&key.as_ref());
            }
            let value = match content(after) {
                "" => self.below(indent, true, depth)?,
                text => self.value(text, indent)?,
            };
            if self.is_kept {
                map.insert(key.into_owned(), value);
            }
        }
        self.is_left(indent).then_some(Value::Object(map))
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        while !self.line.is_end && self.line.indent == indent && is_item(self.line.text) {
            let after = self.line.text.get(1..)?;
            let text = after.trim_start_matches(' ');
            let item = match content(text) {
                "" => self.below(indent, false, depth)?,
                content if is_item(content) || key(text).is_some() => {
                    // A collection that begins on the line of its dash.
                    let inner = indent + 1 + (after.len() - text.len());
                    self.line = Line {
                        indent: inner,
                        text,
                        is_end: false,
                    };
                    self.block(inner, depth + 1)?
                }
                content => self.value(content, indent)?,
            };
            if self.is_kept {
                items.push(item);
            }
        }
        // What is left at this column belongs to a mapping around, which judges it.
        (self.line.is_end || self.line.indent <= indent).then_some(Value::Array(items))
    }

    /// Whether the line is outside of what stands at column `indent`.
    fn is_left(&self, indent: usize) -> bool {
        self.line.is_end || self.line.indent < indent
    }

    /// What stands on the lines below a key or a dash at column `indent`.
    fn below(&mut self, indent: usize, in_mapping: bool, depth: usize) -> Option<Value> {
        self.next()?;
        if self.line.is_end {
            return Some(Value::Null);
        }
        if self.line.indent > indent {
            let inner = self.line.indent;
            return self.block(inner, depth + 1);
        }
        // A sequence may stand in its key's column.
        if in_mapping && self.line.indent == indent && is_item(self.line.text) {
            return self.sequence(indent, depth + 1);
        }
        Some(Value::Null)
    }

    /// A value on the line of its key or dash, which stands at column `indent`; goes on
    /// to the line after it.
    fn value(&mut self, text: &'a str, indent: usize) -> Option<Value> {
        if text.starts_with('|') {
            return self.literal(text, indent);
        }
        let value = if text.len() == word(text) {
            self.plain_value(text)?
        } else if text.starts_with(['"', '\'', '[', '{']) {
            let (value, rest) = flow(text, 0)?;
            if !content(rest).is_empty() || (!rest.is_empty() && !rest.starts_with(' ')) {
                return None;
            }
            value
        } else {
            self.plain_value(plain(text)?)?
        };
        self.next()?;
        // More of the scalar, or an error.
        (self.line.is_end || self.line.indent <= indent).then_some(value)
    }

    fn plain_value(&self, text: &str) -> Option<Value> {
        // A letter begins no number, of which some are refused.
        match self.is_kept || !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            true => plain_value(text),
            false => Some(Value::Null),
        }
    }

    fn literal(&mut self, header: &str, indent: usize) -> Option<Value> {
        let header = content(header);
        if !matches!(header, "|" | "|-" | "|+") {
            return None;
        }
        // Empty lines before the first of the text count.
        let mut out = String::new();
        let mut column = None;
        // Line feeds since the last line that says something.
        let mut feeds = 0;
        let mut ended_by_text = false;
        loop {
            if self.rest.is_empty() {
                break;
            }
            let (line, rest, is_whole) = first_line(self.rest)?;
            let text = line.trim_start_matches(' ');
            let blanks = line.len() - text.len();
            if text.is_empty() {
                // Blanks beyond the column are text; none are looked for before it is known.
                if !is_whole || column.map_or(blanks > 0, |column| blanks > column) {
                    return None;
                }
                feeds += 1;
                self.rest = rest;
                continue;
            }
            if column.is_none() {
                if blanks <= indent || text.starts_with('\t') {
                    return None;
                }
                column = Some(blanks);
            }
            let column = column?;
            if blanks < column {
                break;
            }
            out.extend(std::iter::repeat_n('\n', feeds));
            out.push_str(line.get(column..)?);
            feeds = usize::from(is_whole);
            ended_by_text = !is_whole;
            self.rest = rest;
        }
        if out.is_empty() || (ended_by_text && header == "|+") {
            return None;
        }
        match header {
            "|" if !ended_by_text => out.push('\n'),
            "|+" => out.extend(std::iter::repeat_n('\n', feeds)),
            _ => {}
        }
        self.next()?;
        (self.line.is_end || self.line.indent <= indent).then_some(Value::String(out))
    }
}

/// The first line of a text, what follows it, and whether a line feed ends it.
fn first_line(text: &str) -> Option<(&str, &str, bool)> {
    match memchr::memchr(b'\n', text.as_bytes()) {
        Some(at) => Some((text.get(..at)?, text.get(at + 1..)?, true)),
        None => Some((text, "", false)),
    }
}

/// Whether a line is an item of a sequence.
fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// `text` without a comment, where nothing but a comment is there; what comes before one
/// is cut by who reads it.
fn content(text: &str) -> &str {
    let text = text.trim_matches(' ');
    if text.starts_with('#') { "" } else { text }
}

/// The key that a line begins with, and what follows its colon.
fn key(text: &str) -> Option<(Cow<'_, str>, &str)> {
    if text.starts_with(['"', '\'']) {
        let (value, rest) = flow(text, 0)?;
        if text.len() - rest.len() > MAX_KEY {
            return None;
        }
        let after = rest.strip_prefix(':')?;
        let Value::String(key) = value else {
            return None;
        };
        return (after.is_empty() || after.starts_with(' ')).then_some((key.into(), after));
    }
    let (word, after) = text.split_at_checked(word(text))?;
    let (key, after) = if !word.is_empty() && (after == ":" || after.starts_with(": ")) {
        (word, after)
    } else {
        let (key, after) = text.split_at_checked(colon(text)?)?;
        let key = key.trim_end_matches(' ');
        if !is_plain(key) || key == "<<" {
            return None;
        }
        (key, after)
    };
    if key.len() > MAX_KEY || resolve(key) != Scalar::Text {
        return None;
    }
    Some((key.into(), after.get(1..)?))
}

/// Bytes of what is plain wherever it stands, as most keys and values are: a letter or a
/// digit, and what may follow one.
fn word(text: &str) -> usize {
    let length = text.bytes().take_while(|b| is_of_word(*b)).count();
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins { length } else { 0 }
}

/// Where the first colon is that ends a key.
fn colon(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b':', bytes).find(|at| bytes.get(at + 1).is_none_or(|next| *next == b' '))
}

/// Whether a text is a plain scalar to its end, in a block.
fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = match bytes.next() {
        Some(b'-') => !matches!(bytes.next(), None | Some(b' ')),
        Some(first) => !b"?:,[]{}#&*!|>'\"%@`".contains(&first),
        None => false,
    };
    first && comment(text).is_none()
}

/// Where a comment begins, with the blank before it.
fn comment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'#', bytes)
        .find(|at| *at > 0 && bytes.get(at - 1) == Some(&b' '))
        .map(|at| at - 1)
}

/// A plain scalar that takes the line to its end, or to a comment.
fn plain(text: &str) -> Option<&str> {
    let text = match comment(text) {
        Some(at) => text.get(..at)?.trim_end_matches(' '),
        None => text,
    };
    (is_plain(text) && colon(text).is_none()).then_some(text)
}

/// A value in quotes or brackets, and what follows it on its line.
fn flow(text: &str, depth: usize) -> Option<(Value, &str)> {
    if depth > MAX_DEPTH {
        return None;
    }
    let inner = text.get(1..)?;
    match text.as_bytes().first()? {
        b'\'' => single_quoted(inner),
        b'"' => double_quoted(inner),
        b'[' => {
            let mut items = Vec::new();
            let mut rest = inner.trim_start_matches(' ');
            if let Some(rest) = rest.strip_prefix(']') {
                return Some((Value::Array(items), rest));
            }
            loop {
                let (item, after) = flow_node(rest, depth + 1)?;
                items.push(item);
                let after = after.trim_start_matches(' ');
                if let Some(after) = after.strip_prefix(']') {
                    return Some((Value::Array(items), after));
                }
                rest = after.strip_prefix(',')?.trim_start_matches(' ');
            }
        }
        b'{' => {
            let mut map = Map::new();
            let mut rest = inner.trim_start_matches(' ');
            if let Some(rest) = rest.strip_prefix('}') {
                return Some((Value::Object(map), rest));
            }
            loop {
                let (key, after) = flow_node(rest, depth + 1)?;
                let Value::String(key) = key else {
                    return None;
                };
                if key == "<<" || rest.len() - after.len() > MAX_KEY {
                    return None;
                }
                // Without a blank it is one only after quotes.
                let after = after.strip_prefix(':')?;
                if !after.starts_with(' ') && !rest.starts_with('"') {
                    return None;
                }
                let (value, after) = flow_node(after.trim_start_matches(' '), depth + 1)?;
                map.insert(key, value);
                let after = after.trim_start_matches(' ');
                if let Some(after) = after.strip_prefix('}') {
                    return Some((Value::Object(map), after));
                }
                rest = after.strip_prefix(',')?.trim_start_matches(' ');
            }
        }
        _ => None,
    }
}

/// A value within brackets: plain ones are words of few characters.
fn flow_node(text: &str, depth: usize) -> Option<(Value, &str)> {
    if text.starts_with(['"', '\'', '[', '{']) {
        return flow(text, depth);
    }
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || b"-_./=".contains(b);
    let length = text.bytes().take_while(|b| is_word(b)).count();
    let (word, rest) = text.split_at_checked(length)?;
    if matches!(word, "" | "-") {
        return None;
    }
    // Whatever else goes on with a plain scalar is the reader's.
    rest.trim_start_matches(' ')
        .starts_with([',', ']', '}', ':'])
        .then_some((plain_value(word)?, rest))
}

fn single_quoted(text: &str) -> Option<(Value, &str)> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('\'')?;
        out.push_str(before);
        let Some(more) = after.strip_prefix('\'') else {
            return Some((Value::String(out), after));
        };
        out.push('\'');
        rest = more;
    }
}

fn double_quoted(text: &str) -> Option<(Value, &str)> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
        let (before, after) = rest.split_at_checked(at)?;
        out.push_str(before);
        if let Some(after) = after.strip_prefix('"') {
            return Some((Value::String(out), after));
        }
        out.push(match after.as_bytes().get(1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'"' => '"',
            b'\\' => '\\',
            _ => return None,
        });
        rest = after.get(2..)?;
    }
}

/// Whether a text has no character that YAML treats in a way of its own, but for line
/// feeds and tabs.
fn is_printable(text: &str) -> bool {
    // All of a line at once, without a way out in between: so it takes many bytes in a step.
    let is_odd = |b: u8| !matches!(b, b' '..=b'~' | b'\n' | b'\t');
    let has_odd = |part: &[u8]| part.iter().fold(false, |odd, b| odd | is_odd(*b));
    if !text.as_bytes().chunks(256).any(has_odd) {
        return true;
    }
    text.chars().all(
        |c| matches!(c, ' '..='~' | '\n' | '\t' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}'),
    )
}
