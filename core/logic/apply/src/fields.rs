//! Sets of field paths in the form `managedFields` stores them (FieldsV1).
//!
//! An element of a path is kept exactly as FieldsV1 writes it: `f:name`,
//! `k:{"name":"web"}`, `v:"text"`, `i:0`; so reading and printing are free, and
//! equal paths are equal strings.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// Why a FieldsV1 document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FieldSetError {
    /// Not an object where an object must be.
    #[error("reading fieldsV1: expected an object below {0:?}")]
    NotAnObject(String),
    /// A key with an unknown prefix or unreadable content.
    #[error("reading fieldsV1: invalid path element {0:?}")]
    InvalidElement(String),
}

/// A set of field paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    // No entry is both a non-member and childless.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    member: bool,
    children: FieldSet,
}

impl Entry {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

/// One path of a set. `Display` is the form conflicts use:
/// `.spec.containers[name="web"].image`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<String>);

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for element in &self.0 {
            f.write_str(&display_element(element))?;
        }
        Ok(())
    }
}

/// `.name`, `[key="value"]`, `[="value"]` or `[0]`.
pub(crate) fn display_element(element: &str) -> String {
    match element.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("k:", json)) => {
            let parts: Vec<String> = match serde_json::from_str::<Map<String, Value>>(json) {
                Ok(map) => map
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect(),
                Err(_) => vec![json.to_owned()],
            };
            format!("[{}]", parts.join(","))
        }
        Some(("v:", json)) => format!("[={json}]"),
        Some(("i:", index)) => format!("[{index}]"),
        _ => element.to_owned(),
    }
}

pub(crate) fn field_element(name: &str) -> String {
    format!("f:{name}")
}

impl FieldSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of plain field paths, such as `["metadata", "labels"]`.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            let elements: Vec<String> = path.iter().map(|name| field_element(name)).collect();
            set.insert(&elements);
        }
        set
    }

    /// Reads a `fieldsV1` document.
    pub fn from_fields_v1(document: &Value) -> Result<Self, FieldSetError> {
        Self::read(document, "").map(|(set, _)| set)
    }

    fn read(document: &Value, at: &str) -> Result<(Self, bool), FieldSetError> {
        let map = document
            .as_object()
            .ok_or_else(|| FieldSetError::NotAnObject(at.to_owned()))?;
        let mut set = Self::new();
        let mut member = map.is_empty();
        for (key, value) in map {
            if key == "." {
                member = true;
                continue;
            }
            let key = canonical(key).ok_or_else(|| FieldSetError::InvalidElement(key.clone()))?;
            let (children, member) = Self::read(value, &key)?;
            set.entries.insert(key, Entry { member, children });
        }
        Ok((set, member))
    }

    /// Prints the set as a `fieldsV1` document.
    pub fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for (key, entry) in &self.entries {
            let mut value = entry.children.to_fields_v1();
            if let Value::Object(inner) = &mut value
                && entry.member
                && !entry.children.is_empty()
            {
                inner.insert(".".into(), Value::Object(Map::new()));
            }
            map.insert(key.clone(), value);
        }
        Value::Object(map)
    }

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a path; the empty path is no path.
    pub fn insert(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let entry = self.entries.entry(first.clone()).or_default();
        if rest.is_empty() {
            entry.member = true;
        } else {
            entry.children.insert(rest);
        }
    }

    /// Whether this one element is a member at this level.
    pub(crate) fn has(&self, element: &str) -> bool {
        self.entries.get(element).is_some_and(|entry| entry.member)
    }

    /// The paths below an element.
    pub(crate) fn below(&self, element: &str) -> Option<&FieldSet> {
        self.entries
            .get(element)
            .map(|entry| &entry.children)
            .filter(|children| !children.is_empty())
    }

    /// Whether the path is in the set.
    pub fn contains(&self, path: &[String]) -> bool {
        match path {
            [] => false,
            [last] => self.has(last),
            [first, rest @ ..] => self.below(first).is_some_and(|set| set.contains(rest)),
        }
    }

    /// Sets what is known about one element: whether it is a member, and what is
    /// below it. Leaves no empty entry behind.
    pub(crate) fn put(&mut self, element: String, member: bool, children: FieldSet) {
        let entry = Entry { member, children };
        if !entry.is_empty() {
            self.entries.insert(element, entry);
        }
    }

    /// Elements at this level that have paths below them.
    pub(crate) fn parents(&self) -> impl Iterator<Item = (&str, bool, &FieldSet)> {
        self.entries
            .iter()
            .map(|(key, entry)| (key.as_str(), entry.member, &entry.children))
    }

    /// Paths in either set.
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.absorb(other);
        out
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        for (key, theirs) in &other.entries {
            let ours = self.entries.entry(key.clone()).or_default();
            ours.member |= theirs.member;
            ours.children.absorb(&theirs.children);
        }
    }

    /// Paths in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for (key, ours) in &self.entries {
            if let Some(theirs) = other.entries.get(key) {
                let children = ours.children.intersection(&theirs.children);
                out.put(key.clone(), ours.member && theirs.member, children);
            }
        }
        out
    }

    /// Paths of this set that are not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for (key, ours) in &self.entries {
            match other.entries.get(key) {
                None => {
                    out.entries.insert(key.clone(), ours.clone());
                }
                Some(theirs) => {
                    let children = ours.children.difference(&theirs.children);
                    out.put(key.clone(), ours.member && !theirs.member, children);
                }
            }
        }
        out
    }

    /// Paths of this set that are neither in the other nor below one of its members.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for (key, ours) in &self.entries {
            match other.entries.get(key) {
                None => {
                    out.entries.insert(key.clone(), ours.clone());
                }
                Some(theirs) if theirs.member => {}
                Some(theirs) => {
                    let children = ours.children.recursive_difference(&theirs.children);
                    out.put(key.clone(), ours.member, children);
                }
            }
        }
        out
    }

    /// Every path, those of one level before those below it.
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut out = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut out);
        out
    }

    fn collect_paths(&self, prefix: &mut Vec<String>, out: &mut Vec<FieldPath>) {
        for (key, entry) in &self.entries {
            if entry.member {
                let mut path = prefix.clone();
                path.push(key.clone());
                out.push(FieldPath(path));
            }
        }
        for (key, entry) in &self.entries {
            prefix.push(key.clone());
            entry.children.collect_paths(prefix, out);
            prefix.pop();
        }
    }
}

/// Checks an element and writes it with sorted keys and no spaces.
fn canonical(element: &str) -> Option<String> {
    let (prefix, rest) = element.split_at_checked(2)?;
    match prefix {
        "f:" => Some(element.to_owned()),
        "k:" => {
            let map: BTreeMap<String, Value> = serde_json::from_str(rest).ok()?;
            key_element(map)
        }
        "v:" => {
            let value: Value = serde_json::from_str(rest).ok()?;
            Some(format!("v:{value}"))
        }
        "i:" => rest.parse::<i64>().ok().map(|index| format!("i:{index}")),
        _ => None,
    }
}

/// The element of an entry of a keyed list.
pub(crate) fn key_element(keys: BTreeMap<String, Value>) -> Option<String> {
    // Built by hand so that the order of keys never depends on how the JSON
    // library was configured.
    let mut out = String::from("k:{");
    for (index, (key, value)) in keys.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&Value::String(key.clone()).to_string());
        out.push(':');
        out.push_str(&value.to_string());
    }
    out.push('}');
    Some(out)
}
