//! A JSON value → YAML text, as `sigs.k8s.io/yaml`'s `Marshal` writes it.
//!
//! Called by `to_string`. What must stay true: reading the text gives the
//! value back, and the text equals Go's, so manifests do not change when
//! another tool rewrites them.

use serde_json::{Map, Number, Value};

use crate::number::format_float;
use crate::scalar::{Scalar, is_of_word, needs_quotes_for_old_readers, resolve};

/// Text is folded at the first blank after this column.
const BEST_WIDTH: usize = 80;
/// A longer key is written after `? `.
const MAX_SIMPLE_KEY: usize = 128;

pub fn document(value: &Value) -> String {
    let mut writer = Writer::default();
    writer.node(value, 0, 2, Place::Root);
    if !writer.out.ends_with('\n') {
        writer.out.push('\n');
    }
    writer.out
}

/// Where a node stands; decides whether its first line follows something.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    /// After `- `, `? ` or a lone `: `: the first entry stays on the line.
    Compact,
    /// After `key:`: entries start on the next line.
    Value,
}

#[derive(Default)]
struct Writer {
    out: String,
    column: usize,
}

/// What libyaml's analysis of a scalar allows.
struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
}

impl Writer {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column = if c == '\n' { 0 } else { self.column + 1 };
    }

    fn put_str(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
    }

    fn new_line(&mut self, indent: usize) {
        if self.column > 0 {
            self.put('\n');
        }
        for _ in 0..indent {
            self.put(' ');
        }
    }

    /// Writes a node whose entries stand at column `indent`; a scalar's
    /// further lines stand at `inner`.
    fn node(&mut self, value: &Value, indent: usize, inner: usize, place: Place) {
        match value {
            Value::Array(items) if items.is_empty() => self.blank_then("[]", place),
            Value::Object(map) if map.is_empty() => self.blank_then("{}", place),
            Value::Array(items) => self.sequence(items, indent, place),
            Value::Object(map) => self.mapping(map, indent, place),
            Value::Null => self.blank_then("null", place),
            Value::Bool(flag) => self.blank_then(if *flag { "true" } else { "false" }, place),
            Value::Number(number) => self.blank_then(&number_text(number), place),
            Value::String(text) => {
                if place == Place::Value {
                    self.put(' ');
                }
                self.text(text, inner, false);
            }
        }
    }

    fn blank_then(&mut self, text: &str, place: Place) {
        if place == Place::Value {
            self.put(' ');
        }
        self.put_str(text);
    }

    fn sequence(&mut self, items: &[Value], indent: usize, place: Place) {
        let mut on_line = place != Place::Value;
        for item in items {
            if !on_line {
                self.new_line(indent);
            }
            on_line = false;
            self.put_str("- ");
            self.node(item, indent + 2, indent + 2, Place::Compact);
        }
    }

    fn mapping(&mut self, map: &Map<String, Value>, indent: usize, place: Place) {
        // go-yaml's order is not transitive (a1b < a20 < a100 < a1b), which the
        // standard sort may answer with a panic; inserting cannot.
        let mut entries: Vec<(&String, &Value)> = Vec::with_capacity(map.len());
        for entry in map {
            let at = entries.partition_point(|known| compare_keys(known.0, entry.0).is_lt());
            entries.insert(at, entry);
        }
        let mut on_line = place != Place::Value;
        for (key, value) in entries {
            if !on_line {
                self.new_line(indent);
            }
            on_line = false;
            if is_simple_key(key) {
                self.text(key, indent + 2, true);
                self.put(':');
                // A sequence stands level with its key, a mapping two further.
                let deeper = match value {
                    Value::Array(_) => indent,
                    _ => indent + 2,
                };
                self.node(value, deeper, indent + 2, Place::Value);
            } else {
                self.put_str("? ");
                self.text(key, indent + 2, false);
                self.new_line(indent);
                self.put_str(": ");
                self.node(value, indent + 2, indent + 2, Place::Compact);
            }
        }
    }

    fn text(&mut self, text: &str, indent: usize, simple_key: bool) {
        if is_word(text) && resolve(text) == Scalar::Text {
            self.out.push_str(text);
            self.column += text.len();
            return;
        }
        let allowed = analyze(text);
        let can_be_plain = resolve(text) == Scalar::Text && !needs_quotes_for_old_readers(text);
        if text.contains('\n') && allowed.block && !simple_key {
            self.literal(text, indent);
        } else if text.contains('\n') || !can_be_plain {
            self.double_quoted(text, indent, !simple_key);
        } else if allowed.plain && !text.is_empty() && !(simple_key && text == "<<") {
            self.plain(text, indent, !simple_key);
        } else if allowed.single {
            self.single_quoted(text, indent, !simple_key);
        } else {
            self.double_quoted(text, indent, !simple_key);
        }
    }

    fn plain(&mut self, text: &str, indent: usize, fold: bool) {
        let mut blanks = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == ' ' {
                if fold && !blanks && self.column > BEST_WIDTH && chars.peek() != Some(&' ') {
                    self.new_line(indent);
                } else {
                    self.put(c);
                }
                blanks = true;
            } else {
                self.put(c);
                blanks = false;
            }
        }
    }

    fn single_quoted(&mut self, text: &str, indent: usize, fold: bool) {
        self.put('\'');
        let mut blanks = false;
        let mut first = true;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == ' ' {
                let next = chars.peek();
                let inside = !first && next.is_some_and(|next| *next != ' ');
                if fold && !blanks && self.column > BEST_WIDTH && inside {
                    self.new_line(indent);
                } else {
                    self.put(c);
                }
                blanks = true;
            } else {
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                blanks = false;
            }
            first = false;
        }
        self.put('\'');
    }

    fn double_quoted(&mut self, text: &str, indent: usize, fold: bool) {
        self.put('"');
        let mut blanks = false;
        let mut first = true;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if !is_printable(c) || is_break(c) || c == '"' || c == '\\' {
                self.escape(c);
                blanks = false;
            } else if c == ' ' {
                if fold && !blanks && self.column > BEST_WIDTH && !first && chars.peek().is_some() {
                    self.new_line(indent);
                    if chars.peek() == Some(&' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                blanks = true;
            } else {
                self.put(c);
                blanks = false;
            }
            first = false;
        }
        self.put('"');
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{b}' => 'v',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\u{1b}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => {
                let code = u32::from(c);
                let text = if code <= 0xff {
                    format!("\\x{code:02X}")
                } else if code <= 0xffff {
                    format!("\\u{code:04X}")
                } else {
                    format!("\\U{code:08X}")
                };
                self.put_str(&text);
                return;
            }
        };
        self.put('\\');
        self.put(short);
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n']) {
            self.put('2');
        }
        match text.strip_suffix('\n') {
            None => self.put('-'),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.put('+'),
            Some(_) => {}
        }
        self.put('\n');
        let mut at_start = true;
        for c in text.chars() {
            if c == '\n' {
                self.put(c);
                at_start = true;
            } else {
                if at_start {
                    self.new_line(indent);
                }
                at_start = false;
                self.put(c);
            }
        }
    }
}

fn number_text(number: &Number) -> String {
    if let Some(whole) = number.as_i64() {
        return whole.to_string();
    }
    if let Some(whole) = number.as_u64() {
        return whole.to_string();
    }
    let float = number.as_f64().unwrap_or_default();
    // Go reaches this point through JSON, where whole floats have no point.
    match crate::number::go_json_number(float) {
        Some(text) if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() => text,
        _ => format_float(float),
    }
}

fn is_simple_key(key: &str) -> bool {
    key.len() <= MAX_SIMPLE_KEY && !key.contains(is_break)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// libyaml's idea of printable: the basic plane without control characters,
/// the byte order mark and non-characters.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

/// Whether a text is plain wherever it stands and was never a number or a date, as most
/// keys and values are.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(is_of_word)
}

fn analyze(text: &str) -> Analysis {
    let mut found = Analysis {
        plain: true,
        single: true,
        block: !text.is_empty(),
    };
    if text.starts_with("---") || text.starts_with("...") {
        found.plain = false;
    }
    let mut before_blank = true;
    let mut before_space = false;
    let mut before_break = false;
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        let last = chars.peek().is_none();
        let blank_follows = chars
            .peek()
            .is_none_or(|next| matches!(next, ' ' | '\t') || is_break(*next));
        let indicator = if first {
            matches!(
                c,
                '#' | ','
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | '&'
                    | '*'
                    | '!'
                    | '|'
                    | '>'
                    | '\''
                    | '"'
                    | '%'
                    | '@'
                    | '`'
            ) || (matches!(c, '?' | ':' | '-') && blank_follows)
        } else {
            (c == ':' && blank_follows) || (c == '#' && before_blank)
        };
        if indicator {
            found.plain = false;
        }
        if !is_printable(c) || (is_break(c) && c != '\n') {
            found = Analysis {
                plain: false,
                single: false,
                block: false,
            };
        }
        if c == ' ' {
            if first || last {
                found.plain = false;
            }
            if last {
                found.block = false;
            }
            if before_break {
                found.plain = false;
                found.single = false;
            }
            before_space = true;
            before_break = false;
        } else if c == '\n' {
            found.plain = false;
            if before_space {
                found.single = false;
                found.block = false;
            }
            before_space = false;
            before_break = true;
        } else {
            before_space = false;
            before_break = false;
        }
        before_blank = matches!(c, ' ' | '\t') || is_break(c);
        first = false;
    }
    found
}

/// go-yaml's key order: letters after everything else, runs of digits by
/// their number.
fn compare_keys(a: &str, b: &str) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let mut places = a.char_indices().zip(b.chars());
    let Some(((at, l), r)) = places.find(|((_, l), r)| l != r) else {
        // Of two that are alike as far as the shorter one goes, it comes first.
        return a.len().cmp(&b.len());
    };
    let (before, left) = a.split_at_checked(at).unwrap_or((a, ""));
    let right = b.get(at..).unwrap_or_default();
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => return l.cmp(&r),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero right after other digits belongs to their number.
    let mut start = 0_u64;
    if l == '0' || r == '0' {
        for c in before.chars().rev() {
            if !c.is_ascii_digit() {
                break;
            }
            if c != '0' {
                start = 1;
                break;
            }
        }
    }
    let run = |text: &str| {
        let digits = text.chars().map_while(|c| c.to_digit(10));
        digits.fold((start, 0_usize), |(number, count), digit| {
            let number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            (number, count + 1)
        })
    };
    run(left).cmp(&run(right)).then(l.cmp(&r))
}
