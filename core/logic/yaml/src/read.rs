//! Parser events → a JSON value, by go-yaml 2's rules.
//!
//! Called by `from_str` and `documents`. Depth and the number of nodes that
//! aliases may copy are bounded, so a small text cannot exhaust memory.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use granit_parser::{
    ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput,
    StructureStyle, Tag,
};
use serde_json::{Map, Number, Value};

use crate::number::go_json_number;
use crate::scalar::{Scalar, resolve, timestamp};
use crate::{Error, RepeatedKey};

/// Nesting beyond this is refused; no manifest comes near it.
const MAX_DEPTH: usize = 256;
/// Whoever reads may have little stack left, a task of tokio's for one.
const RED_ZONE: usize = 128 << 10;
const STACK: usize = 1 << 20;
/// Nodes that aliases may add to all documents of a text together.
const MAX_ALIASED_NODES: usize = 1_000_000;
/// Nodes of all documents of a text together: the smallest of them takes two bytes
/// of text and many times that in memory.
const MAX_NODES: usize = 1_000_000;

/// Bytes that are read again to find where the first document ends.
const MAX_READ_AGAIN: usize = 1 << 20;

pub struct Reader<'a> {
    text: &'a str,
    /// Flow collections around what is being read.
    flow: usize,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, (Value, usize)>,
    aliased: usize,
    nodes: usize,
    /// Where the document that was read last starts.
    line: usize,
    /// Reads `yes`, `no`, `on`, `off`, `y`, `n` as text, as go-yaml 3 does.
    words_are_text: bool,
    /// Reads a plain time as what Go makes of it in JSON, as go-yaml 3 does.
    reads_times: bool,
    /// Whether the scalar that was read last is one.
    was_time: bool,
    /// Keys that were given again, where somebody asked for them.
    repeated: Option<Vec<RepeatedKey>>,
    /// Whether the document that was read last is in brackets.
    is_flow: bool,
    /// Where what `is_of_brackets` was found, once that was the error.
    stray: Option<usize>,
}

/// A node before its meaning as key or value is known.
struct Node {
    value: Value,
    /// Set for a plain `<<`, which as a key merges.
    is_merge: bool,
    /// The key this node makes, where it can be one and is no text: that is its own.
    key: Option<String>,
    at: Marker,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Other crates of a build may switch comments on; to us they are nothing.
        let mut options = Options::default();
        options.set_emit_comments(false);
        Self {
            text,
            flow: 0,
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            aliased: 0,
            nodes: 0,
            line: 1,
            words_are_text: false,
            reads_times: false,
            was_time: false,
            repeated: None,
            is_flow: false,
            stray: None,
        }
    }

    /// Notes keys that a mapping has twice, for [`Self::into_repeated`].
    pub fn noting_repeated(text: &'a str) -> Self {
        Self {
            repeated: Some(Vec::new()),
            ..Self::new(text)
        }
    }

    /// The keys that were given again, in order.
    pub fn into_repeated(self) -> Vec<RepeatedKey> {
        self.repeated.unwrap_or_default()
    }

    pub fn with_words_as_text(text: &'a str) -> Self {
        Self {
            words_are_text: true,
            ..Self::new(text)
        }
    }

    pub fn with_times(text: &'a str) -> Self {
        Self {
            reads_times: true,
            ..Self::with_words_as_text(text)
        }
    }

    /// The line on which the document that was read last starts, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The next document, or `None` at the end of the text.
    pub fn next_document(&mut self) -> Result<Option<Value>, Error> {
        loop {
            let Some((event, span)) = self.advance()? else {
                return Ok(None);
            };
            match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    self.line = span.start.line();
                    let Some((event, span)) = self.advance()? else {
                        return Ok(Some(Value::Null));
                    };
                    if matches!(event, Event::DocumentEnd) {
                        return Ok(Some(Value::Null));
                    }
                    self.is_flow = is_flow(&event);
                    let value = self.node(event, span, 0)?.value;
                    // What follows may be no end of it.
                    self.advance()?;
                    return Ok(Some(value));
                }
                _ => {}
            }
        }
    }

    fn advance(&mut self) -> Result<Option<(Event<'a>, Span)>, Error> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Err(error)) => {
                    if is_of_brackets(error.kind()) {
                        self.stray = error.marker().byte_offset();
                    }
                    return Err(scan_error(&error));
                }
                Some(Ok((Event::Anchor(..), _))) => {}
                Some(Ok(next)) => return Ok(Some(next)),
            }
        }
    }

    fn need(&mut self, at: Marker) -> Result<(Event<'a>, Span), Error> {
        self.advance()?
            .ok_or_else(|| fault(at, "did not find expected node content"))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Error> {
        let at = span.start;
        if depth > MAX_DEPTH {
            return Err(fault(
                at,
                format!("nesting is deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.check_indentation(at)?;
        let before = self.nodes;
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(fault(at, format!("there are more than {MAX_NODES} values")));
        }
        let (mut node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text = self.scalar_text(text, style, span)?;
                let time = self.time(&text, style, tag.as_deref());
                self.was_time = time.is_some();
                let (text, style) = match time {
                    Some(time) => (Cow::Owned(time), ScalarStyle::DoubleQuoted),
                    None => (text, style),
                };
                let word = self.words_are_text && tag.is_none() && is_word(&text);
                let style = if word {
                    ScalarStyle::DoubleQuoted
                } else {
                    style
                };
                (scalar_node(&text, style, tag.as_deref(), at)?, anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                let flow = usize::from(style == StructureStyle::Flow);
                self.flow += flow;
                let items = stacker::maybe_grow(RED_ZONE, STACK, || self.sequence(at, depth))?;
                self.flow -= flow;
                (collection(Value::Array(items), at), anchor)
            }
            Event::MappingStart(style, anchor, _) => {
                let flow = usize::from(style == StructureStyle::Flow);
                self.flow += flow;
                let map = stacker::maybe_grow(RED_ZONE, STACK, || self.mapping(at, depth))?;
                self.flow -= flow;
                (collection(Value::Object(map), at), anchor)
            }
            Event::Alias(id) => return self.alias(id, at),
            Event::UnresolvedAlias(name) => {
                return Err(fault(at, format!("unknown anchor '{name}' referenced")));
            }
            _ => return Err(fault(at, "did not find expected node content")),
        };
        if anchor != 0 {
            self.anchors
                .insert(anchor, (node.value.clone(), self.nodes - before));
        }
        node.at = at;
        Ok(node)
    }

    /// What Go makes of a scalar that is a time, by its form or its tag.
    fn time(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<String> {
        let may_be = match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) => tag
                .suffix_in_namespace("tag:yaml.org,2002:")
                .is_some_and(|name| &*name == "timestamp"),
        };
        if self.reads_times && may_be {
            timestamp(text)
        } else {
            None
        }
    }

    /// libyaml takes no tab before what begins a line of a block.
    fn check_indentation(&self, at: Marker) -> Result<(), Error> {
        let before = at
            .byte_offset()
            .filter(|_| self.flow == 0 && at.col() > 0)
            .and_then(|at| self.text.get(..at))
            .unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        if line.contains('\t')
            && line
                .bytes()
                .all(|b| matches!(b, b' ' | b'\t' | b'-' | b'?'))
        {
            return Err(fault(at, "found character that cannot start any token"));
        }
        Ok(())
    }

    /// What a quoted or block scalar is to libyaml: the first line of a block may not
    /// begin with a tab, and where the text ends within its last line no line feed is
    /// added.
    fn scalar_text(
        &self,
        value: Cow<'a, str>,
        style: ScalarStyle,
        span: Span,
    ) -> Result<Cow<'a, str>, Error> {
        if matches!(style, ScalarStyle::Plain | ScalarStyle::SingleQuoted) {
            return Ok(value);
        }
        let (Some(start), Some(end)) = (span.start.byte_offset(), span.end.byte_offset()) else {
            return Ok(value);
        };
        let source = self.text.get(start..end).unwrap_or_default();
        if style == ScalarStyle::DoubleQuoted {
            // Of YAML 1.2; libyaml does not know it.
            let escapes = |text: &str| {
                let mut chars = text.chars();
                while let Some(c) = chars.next() {
                    if c == '\\' && chars.next() == Some('/') {
                        return true;
                    }
                }
                false
            };
            if source.contains("\\/") && escapes(source) {
                return Err(fault(span.start, "found unknown escape character"));
            }
            return Ok(value);
        }
        // The span begins with the text; the line with the mark is above it.
        let before = self.text.get(..start).unwrap_or_default().trim_end();
        let header = before.rsplit(['|', '>']).next().unwrap_or_default();
        let has_indent = header
            .trim_start_matches(['+', '-'])
            .starts_with(|c: char| c.is_ascii_digit());
        if value.trim_start_matches('\n').starts_with('\t') && !has_indent {
            return Err(fault(
                span.start,
                "found a tab character where an indentation space is expected",
            ));
        }
        let after = self.text.get(end..).unwrap_or_default();
        // The last line is text where it reaches beyond the indentation.
        let ends_in_text = match source.rsplit_once('\n') {
            Some((_, last)) => last.len() > span.start.col(),
            None => !source.is_empty(),
        };
        if after.is_empty() && ends_in_text {
            return Ok(match value.strip_suffix('\n') {
                Some(whole) => Cow::Owned(whole.to_owned()),
                None => value,
            });
        }
        Ok(value)
    }

    fn alias(&mut self, id: usize, at: Marker) -> Result<Node, Error> {
        let Some((value, size)) = self.anchors.get(&id) else {
            return Err(fault(at, "an anchor's value contains itself"));
        };
        self.aliased += size;
        self.nodes += size;
        if self.aliased > MAX_ALIASED_NODES {
            return Err(fault(at, "document contains excessive aliasing"));
        }
        let value = value.clone();
        let key = match &value {
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Ok(Node {
            value,
            is_merge: false,
            key,
            at,
        })
    }

    fn sequence(&mut self, start: Marker, depth: usize) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.need(start)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?.value);
        }
    }

    fn mapping(&mut self, start: Marker, depth: usize) -> Result<Map<String, Value>, Error> {
        let mut map = Map::new();
        let mut lines = HashMap::new();
        loop {
            let (event, span) = self.need(start)?;
            if matches!(event, Event::MappingEnd) {
                return Ok(map);
            }
            self.was_time = false;
            let key = self.node(event, span, depth + 1)?;
            let line = key.at.line();
            if self.was_time {
                return Err(fault(key.at, "a time cannot be a key; quote it"));
            }
            let (event, span) = self.need(start)?;
            let value = self.node(event, span, depth + 1)?;
            if key.is_merge {
                merge(&mut map, value)?;
            } else {
                let name = match (key.key, key.value) {
                    (Some(name), _) | (None, Value::String(name)) => name,
                    (None, other) => return Err(fault(key.at, no_key(&other))),
                };
                if let Some(repeated) = &mut self.repeated
                    && let Some(first) = lines.insert(name.clone(), line)
                {
                    repeated.push(RepeatedKey {
                        key: name.clone(),
                        first,
                        again: line,
                    });
                }
                map.insert(name, value.value);
            }
        }
    }
}

/// The first document of a text whose others nobody reads; `None` if it has none.
///
/// After a document in brackets libyaml looks at no more than the next token, and what
/// stands between brackets, or that they match no others, is no fault of a token. Our
/// scanner judges that as well, and before it gives the document.
pub fn first_document(text: &str) -> Result<Option<Value>, Error> {
    let mut reader = Reader::new(text);
    let whole = reader.next_document();
    let mut left = MAX_READ_AGAIN;
    while let Some(before) = reader.stray.and_then(|at| reader.text.get(..at))
        && let Some(rest) = left.checked_sub(before.len())
    {
        left = rest;
        reader = Reader::new(before);
        match reader.next_document() {
            Ok(value) if reader.is_flow => return Ok(value),
            Ok(_) => break,
            Err(_) => {}
        }
    }
    whole
}

/// Whether the fault is one that libyaml's parser finds, not its scanner.
fn is_of_brackets(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::MisplacedFlowCollectionEnd
            | ErrorKind::MismatchedFlowCollectionEnd { .. }
            | ErrorKind::FlowMappingValueAdjacentCollection
            | ErrorKind::BlockEntryInFlowCollection
            | ErrorKind::PlainScalarStartsWithDashFlowIndicator
            | ErrorKind::InvalidTrailingDoubleQuotedScalar
            | ErrorKind::InvalidTrailingSingleQuotedScalar
    )
}

fn is_flow(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::SequenceStart(StructureStyle::Flow, ..)
            | Event::MappingStart(StructureStyle::Flow, ..)
    )
}

/// A boolean of YAML 1.1 that YAML 1.2 reads as text.
fn is_word(text: &str) -> bool {
    matches!(text, "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON")
        || matches!(text, "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF")
}

/// Applies `<<: value`; of several maps the first wins.
fn merge(map: &mut Map<String, Value>, node: Node) -> Result<(), Error> {
    const WRONG: &str = "map merge requires map or sequence of maps as the value";
    match node.value {
        Value::Object(from) => map.extend(from),
        Value::Array(list) => {
            for item in list.into_iter().rev() {
                let Value::Object(from) = item else {
                    return Err(fault(node.at, WRONG));
                };
                map.extend(from);
            }
        }
        _ => return Err(fault(node.at, WRONG)),
    }
    Ok(())
}

fn collection(value: Value, at: Marker) -> Node {
    Node {
        value,
        is_merge: false,
        key: None,
        at,
    }
}

/// Why a node is no key, in go-yaml's words.
fn no_key(value: &Value) -> String {
    match value {
        Value::Null => "unsupported map key: null".to_owned(),
        value => format!("invalid map key: {}", go_syntax(value)),
    }
}

/// As Go's `%#v` prints what go-yaml read.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), go_syntax(value)))
                .collect();
            format!(
                "map[interface {{}}]interface {{}}{{{}}}",
                entries.join(", ")
            )
        }
        value => value.to_string(),
    }
}

/// What a plain scalar without a tag is; `None` where it is refused.
pub fn plain_value(text: &str) -> Option<Value> {
    Some(match resolve(text) {
        Scalar::Null => Value::Null,
        Scalar::Bool(flag) => Value::Bool(flag),
        Scalar::Int(number) => Value::from(number),
        Scalar::Uint(number) => Value::from(number),
        Scalar::Float(number) => float_value(number, Marker::default()).ok()?,
        Scalar::Text => Value::from(text),
    })
}

fn scalar_node(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: Marker,
) -> Result<Node, Error> {
    let core = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
    let core = core.as_deref();
    let plain = style == ScalarStyle::Plain;
    let resolved = match (tag, core) {
        (None, _) if plain => resolve(text),
        (Some(tag), None) if tag.handle().is_empty() && tag.suffix() == "!" => Scalar::Text,
        (_, Some("binary")) => return binary(text, at),
        (_, Some(name @ ("bool" | "int" | "float" | "null" | "timestamp"))) => {
            tagged(text, name, at)?
        }
        _ => Scalar::Text,
    };
    let is_merge = plain && text == "<<" && (tag.is_none() || core == Some("merge"));
    let (value, key) = match resolved {
        Scalar::Null => (Value::Null, None),
        Scalar::Bool(flag) => (Value::Bool(flag), Some(flag.to_string())),
        Scalar::Int(number) => (Value::from(number), Some(number.to_string())),
        Scalar::Uint(number) => (Value::from(number), Some(number.to_string())),
        Scalar::Float(number) => (float_value(number, at)?, Some(float_key(number))),
        Scalar::Text => (Value::from(text), None),
    };
    Ok(Node {
        value,
        is_merge,
        key,
        at,
    })
}

fn tagged(text: &str, name: &str, at: Marker) -> Result<Scalar, Error> {
    let resolved = resolve(text);
    match (name, &resolved) {
        ("bool", Scalar::Bool(_))
        | ("int", Scalar::Int(_) | Scalar::Uint(_))
        | ("float", Scalar::Float(_))
        | ("null", Scalar::Null) => Ok(resolved),
        ("float", Scalar::Int(number)) => Ok(Scalar::Float(*number as f64)),
        ("float", Scalar::Uint(number)) => Ok(Scalar::Float(*number as f64)),
        ("timestamp", Scalar::Text) => Ok(Scalar::Text),
        _ => Err(fault(at, format!("cannot decode `{text}` as a !!{name}"))),
    }
}

fn binary(text: &str, at: Marker) -> Result<Node, Error> {
    let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = base64::engine::general_purpose::STANDARD
        .decode(packed)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .ok_or_else(|| fault(at, "!!binary value contains invalid base64 data"))?;
    Ok(Node {
        value: Value::from(text),
        is_merge: false,
        key: None,
        at,
    })
}

/// A float as it survives the way through JSON: whole ones become integers.
fn float_value(number: f64, at: Marker) -> Result<Value, Error> {
    let Some(text) = go_json_number(number) else {
        return Err(fault(
            at,
            format!("unsupported value: {}", crate::number::format_float(number)),
        ));
    };
    if text != "-0" {
        if let Ok(whole) = text.parse::<i64>() {
            return Ok(Value::from(whole));
        }
        if let Ok(whole) = text.parse::<u64>() {
            return Ok(Value::from(whole));
        }
    }
    Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
}

/// `sigs.k8s.io/yaml` prints float keys with the precision of 32 bits.
fn float_key(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let narrow = number as f32;
    // The shortest digits of the narrow number, printed by Go's rules.
    format!("{narrow:e}")
        .parse::<f64>()
        .map_or_else(|_| number.to_string(), crate::number::format_float)
}

fn fault(at: Marker, message: impl Into<String>) -> Error {
    Error::new(message, at.line(), at.col() + 1)
}

/// The parser's faults, in libyaml's words where both know the fault.
fn scan_error(error: &ScanError) -> Error {
    let at = error.marker();
    let words = error.kind().to_string();
    let message = if words.contains("while parsing a node") || words.starts_with("unclosed bracket")
    {
        "did not find expected node content".to_owned()
    } else {
        words
    };
    Error::new(message, at.line(), at.col() + 1)
}
