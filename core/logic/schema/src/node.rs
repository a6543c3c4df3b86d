//! The parsed form of one schema. Value rules that most nodes lack sit behind a
//! box, because a set has thousands of nodes and lives as long as the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use regex::Regex;
use serde_json::{Map, Number, Value};

use crate::{GroupVersionKind, SchemaError};

/// Definition names and their indices in a set.
pub(crate) type Names = HashMap<String, usize>;

/// Schemas nest; a document deeper than this is hostile.
const MAX_DEPTH: usize = 128;

/// A JSON type as a schema names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonType {
    /// `object`
    Object,
    /// `array`
    Array,
    /// `string`
    String,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
}

impl JsonType {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    /// The word a schema uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// How the entries of a list are owned and merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListType {
    /// The list is one value.
    Atomic,
    /// Entries are scalars, each at most once.
    Set,
    /// Entries are objects told apart by key fields.
    Map,
}

/// How the fields of an object are owned and merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapType {
    /// The object is one value.
    Atomic,
    /// Each field is its own.
    Granular,
}

#[derive(Debug)]
pub(crate) enum Additional {
    Allowed(bool),
    Schema(Box<Node>),
}

/// Rules on values; absent for most nodes.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) enumeration: Vec<Value>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) minimum: Option<Number>,
    pub(crate) maximum: Option<Number>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) exclusive_maximum: bool,
    pub(crate) multiple_of: Option<Number>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// A regular expression, compiled when first needed: most never are.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// None when the expression does not compile.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| compile_pattern(&self.source).ok())
            .as_ref()
    }
}

/// Compiles an expression as Go reads it: `\d`, `\w` and `\s` are ASCII.
pub(crate) fn compile_pattern(source: &str) -> Result<Regex, regex::Error> {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class {
                    "0-9A-Za-z_"
                } else {
                    "[0-9A-Za-z_]"
                }),
                Some('s') => out.push_str(if in_class {
                    r"\t\n\f\r "
                } else {
                    r"[\t\n\f\r ]"
                }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if in_class => {
                // Go takes a bracket inside a class literally unless it opens a
                // named class; Rust would open a nested class.
                if chars.as_str().starts_with(':') {
                    out.push('[');
                    for c in chars.by_ref() {
                        out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                } else {
                    out.push_str(r"\[");
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
                let rest = chars.as_str();
                let negated = rest.starts_with('^');
                if negated {
                    chars.next();
                    out.push('^');
                }
                if chars.as_str().starts_with(']') {
                    chars.next();
                    out.push_str(r"\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    Regex::new(&out)
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) reference: Option<usize>,
    pub(crate) kind: Option<JsonType>,
    pub(crate) format: Option<Box<str>>,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Value>,
    pub(crate) properties: BTreeMap<String, Node>,
    pub(crate) required: Vec<String>,
    pub(crate) additional: Option<Additional>,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded_resource: bool,
    pub(crate) int_or_string: bool,
    pub(crate) list_type: Option<ListType>,
    pub(crate) map_keys: Vec<String>,
    pub(crate) map_type: Option<MapType>,
    pub(crate) patch_strategy: Option<Box<str>>,
    pub(crate) merge_key: Option<Box<str>>,
    pub(crate) kinds: Vec<GroupVersionKind>,
    pub(crate) rules: Option<Box<Rules>>,
}

/// The schema that allows everything.
pub(crate) fn anything() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    NODE.get_or_init(|| Node {
        preserve_unknown: true,
        ..Node::default()
    })
}

/// The schema of a plain string.
pub(crate) fn string() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    NODE.get_or_init(|| Node {
        kind: Some(JsonType::String),
        ..Node::default()
    })
}

impl Node {
    pub(crate) fn parse(document: &Value, path: &str, names: &Names) -> Result<Self, SchemaError> {
        let mut parser = Parser {
            names,
            path: vec![path.to_owned()],
        };
        parser.node(document)
    }

    /// An object (or anything at all) with nothing said about its content.
    pub(crate) fn is_free_form(&self) -> bool {
        matches!(self.kind, None | Some(JsonType::Object))
            && self.properties.is_empty()
            && self.additional.is_none()
            && self.items.is_none()
            && self.rules.as_ref().is_none_or(|rules| {
                rules.one_of.is_empty() && rules.any_of.is_empty() && rules.all_of.is_empty()
            })
            && !self.int_or_string
    }
}

struct Parser<'a> {
    names: &'a Names,
    path: Vec<String>,
}

impl Parser<'_> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, SchemaError> {
        Err(SchemaError::Malformed {
            path: self.path.join("."),
            reason: reason.into(),
        })
    }

    fn below<T>(
        &mut self,
        segment: String,
        run: impl FnOnce(&mut Self) -> Result<T, SchemaError>,
    ) -> Result<T, SchemaError> {
        if self.path.len() > MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.path.push(segment);
        let result = run(self);
        self.path.pop();
        result
    }

    fn child(&mut self, segment: &str, value: &Value) -> Result<Node, SchemaError> {
        self.below(segment.to_owned(), |parser| parser.node(value))
    }

    fn nodes(&mut self, word: &str, value: Option<&Value>) -> Result<Vec<Node>, SchemaError> {
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.child(&format!("{word}[{index}]"), item))
                .collect(),
            Some(_) => self.fail(format!("{word} must be a list")),
        }
    }

    fn node(&mut self, document: &Value) -> Result<Node, SchemaError> {
        let map = match document {
            Value::Object(map) => map,
            Value::Bool(true) => return Ok(Node::default()),
            _ => return self.fail("expected an object"),
        };
        let mut node = Node {
            reference: self.reference(map)?,
            kind: self.kind(map)?,
            format: text(map, "format"),
            nullable: flag(map, "nullable"),
            default: map.get("default").filter(|value| !value.is_null()).cloned(),
            required: strings(map, "required"),
            preserve_unknown: flag(map, "x-kubernetes-preserve-unknown-fields"),
            embedded_resource: flag(map, "x-kubernetes-embedded-resource"),
            int_or_string: flag(map, "x-kubernetes-int-or-string")
                || map.get("format").and_then(Value::as_str) == Some("int-or-string"),
            map_keys: strings(map, "x-kubernetes-list-map-keys"),
            patch_strategy: text(map, "x-kubernetes-patch-strategy"),
            merge_key: text(map, "x-kubernetes-patch-merge-key"),
            kinds: kinds(map),
            ..Node::default()
        };
        node.list_type = match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
            None => None,
            Some("atomic") => Some(ListType::Atomic),
            Some("set") => Some(ListType::Set),
            Some("map") => Some(ListType::Map),
            Some(other) => return self.fail(format!("unknown list type {other:?}")),
        };
        node.map_type = match map.get("x-kubernetes-map-type").and_then(Value::as_str) {
            None => None,
            Some("atomic") => Some(MapType::Atomic),
            Some("granular") => Some(MapType::Granular),
            Some(other) => return self.fail(format!("unknown map type {other:?}")),
        };
        match map.get("properties") {
            None | Some(Value::Null) => {}
            Some(Value::Object(properties)) => {
                for (name, value) in properties {
                    let child = self.child(&format!("properties[{name}]"), value)?;
                    node.properties.insert(name.clone(), child);
                }
            }
            Some(_) => return self.fail("properties must be an object"),
        }
        node.additional = match map.get("additionalProperties") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(allowed)) => Some(Additional::Allowed(*allowed)),
            Some(value) => Some(Additional::Schema(Box::new(
                self.child("additionalProperties", value)?,
            ))),
        };
        node.items = match map.get("items") {
            None | Some(Value::Null) => None,
            Some(value) => Some(Box::new(self.child("items", value)?)),
        };
        self.rules(map, &mut node)?;
        Ok(node)
    }

    fn kind(&self, map: &Map<String, Value>) -> Result<Option<JsonType>, SchemaError> {
        match map.get("type") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => match JsonType::parse(text) {
                Some(kind) => Ok(Some(kind)),
                None => self.fail(format!("unknown type {text:?}")),
            },
            Some(_) => self.fail("type must be one word"),
        }
    }

    /// A `$ref`, or the single one inside `allOf`, which is how OpenAPI v3
    /// writes a reference with attributes beside it.
    fn reference(&self, map: &Map<String, Value>) -> Result<Option<usize>, SchemaError> {
        let direct = map.get("$ref").and_then(Value::as_str);
        let wrapped = match map
            .get("allOf")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            Some([only]) => only.get("$ref").and_then(Value::as_str),
            _ => None,
        };
        let Some(written) = direct.or(wrapped) else {
            return Ok(None);
        };
        let name = written.rsplit('/').next().unwrap_or(written);
        match self.names.get(name) {
            Some(index) => Ok(Some(*index)),
            None => Err(SchemaError::UnknownReference {
                path: self.path.join("."),
                reference: written.to_owned(),
            }),
        }
    }

    fn rules(&mut self, map: &Map<String, Value>, node: &mut Node) -> Result<(), SchemaError> {
        const WORDS: [&str; 18] = [
            "enum",
            "pattern",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "uniqueItems",
            "minProperties",
            "maxProperties",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
        ];
        if !WORDS.iter().any(|word| map.contains_key(*word)) {
            return Ok(());
        }
        let number = |word: &str| map.get(word).and_then(Value::as_number).cloned();
        let count = |word: &str| map.get(word).and_then(as_count);
        let all_of = if node.reference.is_some() {
            Vec::new()
        } else {
            self.nodes("allOf", map.get("allOf"))?
        };
        let rules = Rules {
            enumeration: match map.get("enum") {
                Some(Value::Array(values)) => values.clone(),
                _ => Vec::new(),
            },
            pattern: map
                .get("pattern")
                .and_then(Value::as_str)
                .filter(|source| !source.is_empty())
                .map(|source| Pattern {
                    source: source.to_owned(),
                    compiled: OnceLock::new(),
                }),
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive_minimum: flag(map, "exclusiveMinimum"),
            exclusive_maximum: flag(map, "exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: flag(map, "uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            all_of,
            any_of: self.nodes("anyOf", map.get("anyOf"))?,
            one_of: self.nodes("oneOf", map.get("oneOf"))?,
            not: match map.get("not") {
                None | Some(Value::Null) => None,
                Some(value) => Some(Box::new(self.child("not", value)?)),
            },
        };
        node.rules = Some(Box::new(rules));
        Ok(())
    }
}

fn as_count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let float = value.as_f64()?;
        (float >= 0.0 && float.fract() == 0.0).then_some(float as u64)
    })
}

fn flag(map: &Map<String, Value>, word: &str) -> bool {
    map.get(word).and_then(Value::as_bool).unwrap_or(false)
}

fn text(map: &Map<String, Value>, word: &str) -> Option<Box<str>> {
    map.get(word)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(Into::into)
}

fn strings(map: &Map<String, Value>, word: &str) -> Vec<String> {
    map.get(word)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn kinds(map: &Map<String, Value>) -> Vec<GroupVersionKind> {
    let part = |entry: &Value, word: &str| {
        entry
            .get(word)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    map.get("x-kubernetes-group-version-kind")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|entry| GroupVersionKind {
            group: part(entry, "group"),
            version: part(entry, "version"),
            kind: part(entry, "kind"),
        })
        .collect()
}
