//! YAML as Kubernetes reads it and as Go writes it.
//!
//! Reading follows `sigs.k8s.io/yaml` 1.6 (YAML 1.1 scalars: `yes` is true,
//! `0644` is 420; the last of two equal keys wins; keys become strings).
//! Writing follows the same library's `Marshal`, byte for byte: sorted keys,
//! sequences level with their key, text folded after column 80.
//! [`pointer`] names a place in what is read.
//!
//! Called by the Helm engine, Kustomize, the Blueprint reader, the forge's
//! checks and the command line. What must stay true: a value written here and
//! read again, here or by Go, is the same value; no input makes it panic.

mod number;
pub mod pointer;
mod quick;
mod read;
mod scalar;
mod text;
mod write;

use serde_json::Value;

pub use number::{format_float, go_json_number};
pub use text::go_json_string;

/// Why a text is not YAML that Kubernetes would accept, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the YAML at line {line}, column {column}: {message}")]
pub struct Error {
    /// The reason, in libyaml's words where it has some.
    pub message: String,
    /// Line of the fault, counted from 1.
    pub line: usize,
    /// Column of the fault, counted from 1.
    pub column: usize,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>, line: usize, column: usize) -> Self {
        Self {
            message: message.into(),
            line,
            column,
        }
    }
}

/// Reads the first document of `text`; an empty text is null.
///
/// What follows the first document is not looked at, as in
/// `sigs.k8s.io/yaml`'s `Unmarshal`.
pub fn from_str(text: &str) -> Result<Value, Error> {
    if let Some(value) = quick::document(text) {
        return Ok(value);
    }
    Ok(read::first_document(text)?.unwrap_or(Value::Null))
}

/// Reads the first document of `text`, and gives of a mapping only the entries of `keys`.
/// What is wrong anywhere in the document is an error all the same.
pub fn entries_from_str(text: &str, keys: &[&str]) -> Result<Value, Error> {
    if let Some(value) = quick::entries(text, keys) {
        return Ok(value);
    }
    let mut value = from_str(text)?;
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, _| keys.contains(&key.as_str()));
    }
    Ok(value)
}

/// Reads every document of `text` in order; empty documents are left out.
pub fn documents(text: &str) -> Result<Vec<Value>, Error> {
    Ok(values(collect(read::Reader::new(text))?))
}

/// Like [`documents`], each with the line on which it starts, counted from 1: that
/// of its `---`, or of its first word where it has none.
pub fn documents_with_lines(text: &str) -> Result<Vec<(usize, Value)>, Error> {
    collect(read::Reader::new(text))
}

/// Like [`documents`], but `yes`, `no`, `on`, `off`, `y` and `n` are text: so
/// reads go-yaml 3, and with it Kustomize the objects it works on.
pub fn documents_with_words_as_text(text: &str) -> Result<Vec<Value>, Error> {
    Ok(values(collect(read::Reader::with_words_as_text(text))?))
}

/// Like [`documents_with_words_as_text`], and a plain time, `2024-01-02`, is the text that
/// Go makes of it in JSON, `2024-01-02T00:00:00Z`: so is what Kustomize writes. A time as a
/// key is refused, as it is there.
pub fn documents_with_times(text: &str) -> Result<Vec<Value>, Error> {
    Ok(values(collect(read::Reader::with_times(text))?))
}

/// A key that one mapping has more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatedKey {
    /// The key.
    pub key: String,
    /// Line of the one before, counted from 1.
    pub first: usize,
    /// Line of the one that takes its place.
    pub again: usize,
}

/// Keys that mappings of the first document of `text` have more than once, in order. All
/// other functions let the last one win, as Kubernetes does; whoever reads what a person
/// wrote may refuse it.
pub fn repeated_keys(text: &str) -> Result<Vec<RepeatedKey>, Error> {
    let mut reader = read::Reader::noting_repeated(text);
    reader.next_document()?;
    Ok(reader.into_repeated())
}

fn collect(mut reader: read::Reader<'_>) -> Result<Vec<(usize, Value)>, Error> {
    let mut documents = Vec::new();
    while let Some(document) = reader.next_document()? {
        if !document.is_null() {
            documents.push((reader.line(), document));
        }
    }
    Ok(documents)
}

fn values(documents: Vec<(usize, Value)>) -> Vec<Value> {
    documents
        .into_iter()
        .map(|(_, document)| document)
        .collect()
}

/// Writes `value` as one YAML document that ends with a line feed.
#[must_use]
pub fn to_string(value: &Value) -> String {
    write::document(value)
}
