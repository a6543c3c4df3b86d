//! The functions templates may call: text/template's, sprig's and Helm's.
//!
//! Found by the parser, called by the executor. Each function
//! has its parameters' types as letters — s string, i int, f float64, b bool,
//! a anything, m map, l list, a trailing `*` for "any number of the last" —
//! which the executor checks as Go's reflection does.

mod build;
mod cases;
mod crypto;
pub mod data;
pub mod date;
mod date_parse;
mod encode;
mod helm;
mod math;
mod pretty;
mod regexp;
pub mod semver;
mod strings;
mod toml;
mod url;
mod zone;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::exec::{Engine, Outcome};
use crate::value::Value;

pub type Call = fn(&mut Engine<'_>, &[Value]) -> Outcome<Value>;

pub struct Function {
    pub name: &'static str,
    pub parameters: &'static str,
    pub call: Call,
}

/// One row of a table: name, parameters, function.
pub type Row = (&'static str, &'static str, Call);

static FUNCTIONS: LazyLock<HashMap<&'static str, Function>> = LazyLock::new(|| {
    [
        build::TABLE,
        strings::TABLE,
        data::TABLE,
        math::TABLE,
        encode::TABLE,
        crypto::TABLE,
        date::TABLE,
        semver::TABLE,
        helm::TABLE,
        toml::TABLE,
        url::TABLE,
    ]
    .into_iter()
    .flatten()
    .map(|&(name, parameters, call)| {
        let function = Function {
            name,
            parameters,
            call,
        };
        (name, function)
    })
    .collect()
});

pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.get(name)
}

/// The argument at `at`; absent ones are nil.
pub fn arg(args: &[Value], at: usize) -> Value {
    args.get(at).cloned().unwrap_or(Value::Nil)
}

/// The text argument at `at`; the executor has checked its type.
pub fn text(args: &[Value], at: usize) -> &str {
    args.get(at).and_then(Value::as_str).unwrap_or_default()
}

/// The integer argument at `at`.
pub fn int(args: &[Value], at: usize) -> i64 {
    match args.get(at) {
        Some(Value::Int(number) | Value::Int64(number)) => *number,
        _ => 0,
    }
}

/// sprig's `strval`.
pub fn strval(value: &Value) -> String {
    match value {
        Value::Object(object) => match object.as_ref() {
            crate::objects::Object::Bytes(data) => data.as_ref().map_or_else(String::new, |data| {
                String::from_utf8_lossy(data).into_owned()
            }),
            _ => crate::format::show(value),
        },
        _ => crate::format::show(value),
    }
}

/// sprig's `strslice`: a list's items as text, without nils.
pub fn strslice(value: &Value) -> Vec<String> {
    let size = |item: &Value| item.as_str().map_or(0, str::len);
    match value.items() {
        Some(items) if items.iter().map(size).sum::<usize>() > crate::bounds::TEXT => {
            crate::bounds::exceed();
            Vec::new()
        }
        Some(items) => items
            .iter()
            .filter(|item| !matches!(item, Value::Nil))
            .map(strval)
            .collect(),
        None if matches!(value, Value::Nil) => Vec::new(),
        None => vec![strval(value)],
    }
}

/// The items of a list, or the error sprig gives for anything else.
pub fn items(value: &Value, doing: &str) -> Outcome<std::rc::Rc<Vec<Value>>> {
    match value {
        Value::Nil => Err(data::NIL_POINTER.into()),
        value => value
            .items()
            .ok_or_else(|| format!("Cannot {doing} on type {}", value.kind_name()).into()),
    }
}
