//! An error about one field, printed as Kubernetes prints it.

use std::fmt;

use serde_json::Value;

/// The class of a field error; decides the words and the `reason` of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldErrorKind {
    /// A value that must be there is not.
    Required,
    /// The same key or set member occurs twice.
    Duplicate,
    /// The value breaks a rule.
    Invalid,
    /// The value has the wrong JSON type.
    TypeInvalid,
    /// The value is none of the allowed ones.
    NotSupported,
    /// The field may not be set, or not be set so, here.
    Forbidden,
    /// The string is too long; the value is not printed.
    TooLong,
    /// The list or map has too many entries.
    TooMany,
    /// What the value refers to does not exist.
    NotFound,
    /// Something went wrong that is not the user's doing.
    Internal,
}

impl FieldErrorKind {
    /// The `reason` of a status cause, such as `FieldValueInvalid`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(
            self,
            Self::Required | Self::Forbidden | Self::TooLong | Self::Internal
        )
    }
}

/// What is wrong with one field. `Display` is Kubernetes' line, such as
/// `spec.replicas: Invalid value: -1: must be greater than or equal to 0`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Where: `spec.ports[0].name`, `metadata.labels[a.b/c]`. Empty for the
    /// whole object, which prints as `<nil>`.
    pub path: String,
    /// The class of the error.
    pub kind: FieldErrorKind,
    /// The detail; may be empty.
    pub message: String,
    /// The offending value, where it is shown.
    pub bad_value: Option<Value>,
}

impl FieldError {
    /// A value is missing.
    pub fn required(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Required, None, message)
    }

    /// A key or set member occurs twice.
    pub fn duplicate(path: impl Into<String>, value: Value) -> Self {
        Self::new(path, FieldErrorKind::Duplicate, Some(value), "")
    }

    /// A value breaks a rule.
    pub fn invalid(path: impl Into<String>, value: Value, message: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Invalid, Some(value), message)
    }

    /// A value has the wrong type; `value` is what Kubernetes shows in its place.
    pub fn type_invalid(path: impl Into<String>, value: Value, message: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::TypeInvalid, Some(value), message)
    }

    /// A value is none of the allowed ones.
    pub fn not_supported<S: AsRef<str>>(
        path: impl Into<String>,
        value: Value,
        allowed: &[S],
    ) -> Self {
        let quoted: Vec<String> = allowed.iter().map(|one| go_quote(one.as_ref())).collect();
        let message = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::new(path, FieldErrorKind::NotSupported, Some(value), message)
    }

    /// The field may not be set here.
    pub fn forbidden(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Forbidden, None, message)
    }

    /// A string is longer than `max` bytes.
    pub fn too_long(path: impl Into<String>, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        let message = format!("may not be more than {max} {unit}");
        Self::new(path, FieldErrorKind::TooLong, None, message)
    }

    /// A list or map has more than `max` entries.
    pub fn too_many(path: impl Into<String>, actual: usize, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let message = format!("must have at most {max} {unit}");
        Self::new(path, FieldErrorKind::TooMany, Some(actual.into()), message)
    }

    fn new(
        path: impl Into<String>,
        kind: FieldErrorKind,
        bad_value: Option<Value>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            kind,
            message: message.into(),
            bad_value,
        }
    }

    /// The line without the path: the `message` of a status cause.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_owned();
        if self.kind.shows_value()
            && let Some(value) = &self.bad_value
        {
            text.push_str(": ");
            match value {
                Value::String(string) => text.push_str(&go_quote(string)),
                other => text.push_str(&other.to_string()),
            }
        }
        if !self.message.is_empty() {
            text.push_str(": ");
            text.push_str(&self.message);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "<nil>"
        } else {
            &self.path
        };
        write!(f, "{path}: {}", self.body())
    }
}

impl std::error::Error for FieldError {}

/// Quotes as Go's `%q` does for printable text and the usual escapes.
pub(crate) fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c if (0x80..0xa0).contains(&(c as u32)) => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A path that costs nothing until it must be printed.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Root(&'a str),
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(crate) fn root(base: &'a str) -> Self {
        Self {
            parent: None,
            segment: Segment::Root(base),
        }
    }

    pub(crate) fn field(&'a self, name: &'a str) -> Path<'a> {
        self.push(Segment::Field(name))
    }

    pub(crate) fn key(&'a self, key: &'a str) -> Path<'a> {
        self.push(Segment::Key(key))
    }

    pub(crate) fn index(&'a self, index: usize) -> Path<'a> {
        self.push(Segment::Index(index))
    }

    fn push(&'a self, segment: Segment<'a>) -> Path<'a> {
        Path {
            parent: Some(self),
            segment,
        }
    }

    fn write(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(out);
        }
        match self.segment {
            Segment::Root(base) => out.push_str(base),
            Segment::Field(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Segment::Key(key) => {
                out.push('[');
                out.push_str(key);
                out.push(']');
            }
            Segment::Index(index) => {
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
        }
    }

    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}
