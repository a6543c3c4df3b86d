//! The Protobuf messages of the built-in kinds, as a table.
//!
//! `data/protobuf.txt.gz` holds one line a kind (`@group/version/Kind message`)
//! and one line a message (`name number=field:type …`), made from the struct
//! tags of `k8s.io/api`. After the field's name `*` says that absence is kept
//! apart from zero, `!` that the field is written even when empty; `+` in its
//! place says that the message's fields stand in the parent.

use std::collections::HashMap;
use std::sync::OnceLock;

static TABLE: &[u8] = include_bytes!("../../data/protobuf.txt.gz");

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Text,
    Bool,
    Integer,
    Double,
    Bytes,
    /// A message by its position in the table.
    Message(usize),
    List(Box<Type>),
    Map(Box<Type>),
    /// A list that Go gives a name: a message with the list as field 1.
    NamedList(Box<Type>),
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// JSON in bytes: RawExtension and FieldsV1.
    Json,
}

#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    /// "" where the message's fields stand in the parent.
    pub name: String,
    pub optional: bool,
    pub required: bool,
    pub kind: Type,
}

#[derive(Debug, Default)]
pub(super) struct Messages {
    kinds: HashMap<String, usize>,
    messages: Vec<Vec<Field>>,
}

impl Messages {
    /// The table, unpacked at first use.
    pub fn get() -> &'static Self {
        static PARSED: OnceLock<Messages> = OnceLock::new();
        PARSED.get_or_init(|| Self::parse(&crate::schemas::unpack(TABLE)))
    }

    /// The message of a kind; deletion options are known in every group.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<usize> {
        let key = match api_version.split_once('/') {
            _ if matches!(kind, "DeleteOptions" | "Status") => format!("@/v1/{kind}"),
            Some(_) => format!("@{api_version}/{kind}"),
            None => format!("@/{api_version}/{kind}"),
        };
        self.kinds.get(&key).copied()
    }

    pub fn fields(&self, message: usize) -> &[Field] {
        self.messages.get(message).map_or(&[], Vec::as_slice)
    }

    fn parse(text: &str) -> Self {
        let mut positions: HashMap<&str, usize> = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('@')) {
            let name = line.split(' ').next().unwrap_or_default();
            let next = positions.len();
            positions.insert(name, next);
        }
        let mut messages = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            let Some(first) = words.next() else { continue };
            if first.starts_with('@') {
                if let Some(at) = words.next().and_then(|name| positions.get(name)) {
                    messages.kinds.insert(first.to_owned(), *at);
                }
            } else {
                let fields = words.filter_map(|word| field(word, &positions)).collect();
                messages.messages.push(fields);
            }
        }
        messages
    }
}

fn field(word: &str, positions: &HashMap<&str, usize>) -> Option<Field> {
    let (number, rest) = word.split_once('=')?;
    let (name, kind) = rest.split_once(':')?;
    Some(Field {
        number: number.parse().ok()?,
        optional: name.ends_with('*'),
        required: name.ends_with('!'),
        name: name.trim_end_matches(['*', '!', '+']).to_owned(),
        kind: type_of(kind, positions)?,
    })
}

fn type_of(text: &str, positions: &HashMap<&str, usize>) -> Option<Type> {
    let (first, rest) = text.split_at_checked(1)?;
    let inner = || type_of(rest, positions).map(Box::new);
    Some(match first {
        "s" => Type::Text,
        "b" => Type::Bool,
        "i" => Type::Integer,
        "d" => Type::Double,
        "y" => Type::Bytes,
        "m" => Type::Message(*positions.get(rest)?),
        "[" => Type::List(inner()?),
        "{" => Type::Map(inner()?),
        "W" => Type::NamedList(inner()?),
        "Q" => Type::Quantity,
        "I" => Type::IntOrString,
        "T" => Type::Time,
        "U" => Type::MicroTime,
        "R" | "F" => Type::Json,
        _ => return None,
    })
}
