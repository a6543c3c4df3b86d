//! Values as templates see them: Go's, with Go's names.
//!
//! Used by the whole crate. Maps are shared and mutable, because `set`,
//! `merge` and friends change the map they are given, and charts rely on it.
//! Lists are not: Go's `append` gives a new one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Number};

use crate::bounds;
use crate::functions::semver::Version;
use crate::objects::Object;
use crate::table::{Table, frozen_json, thawed};

pub use crate::table::Shared;

#[derive(Clone)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Int64(i64),
    /// An unsigned number, and Go's name of its type.
    Uint(u64, &'static str),
    Float(f64),
    Str(Arc<str>),
    List(Rc<Vec<Value>>),
    Map(Shared),
    Object(Rc<Object>),
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Str(Arc::from(text.as_ref()))
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    pub fn texts<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::typed("[]string", items.into_iter().map(Self::text).collect())
    }

    /// A list of Go's type `name`, which is not `[]interface {}`.
    pub fn typed(name: &'static str, items: Vec<Self>) -> Self {
        Self::object(Object::Typed {
            name,
            value: Self::list(items),
            nil: false,
        })
    }

    /// A nil slice: empty, but null in JSON.
    pub fn nil_list(name: &'static str) -> Self {
        Self::object(Object::Typed {
            name,
            value: Self::list(Vec::new()),
            nil: true,
        })
    }

    pub fn bytes(data: &[u8]) -> Self {
        Self::object(Object::Bytes(Some(Rc::new(data.to_vec()))))
    }

    /// A file that is not there.
    pub fn nil_bytes() -> Self {
        Self::object(Object::Bytes(None))
    }

    pub fn map(entries: BTreeMap<String, Self>) -> Self {
        Self::Map(Table::shared(entries))
    }

    pub fn object(object: Object) -> Self {
        Self::Object(Rc::new(object))
    }

    /// Values as Helm reads them from YAML: every number is a float64.
    pub fn from_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(flag) => Self::Bool(*flag),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or_default()),
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => {
                Self::list(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(map) => Self::map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Self::from_json(value)))
                    .collect(),
            ),
        }
    }

    /// The value as JSON; `None` where Go's encoder would refuse it.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        self.to_json_within(bounds::DEPTH, &Cell::new(bounds::VALUES))
    }

    fn to_json_within(&self, depth: usize, budget: &Cell<usize>) -> Option<serde_json::Value> {
        if let Self::Map(map) = self
            && let Some(frozen) = map.frozen()
        {
            return frozen_json(&frozen, depth, budget);
        }
        // What holds itself has no JSON.
        let deeper = bounds::enter(depth, budget)?;
        Some(match self {
            Self::Nil => serde_json::Value::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Int(number) | Self::Int64(number) => (*number).into(),
            Self::Uint(number, _) => (*number).into(),
            Self::Float(number) => float_json(*number)?,
            Self::Str(text) => text.as_ref().into(),
            Self::List(items) => items
                .iter()
                .map(|item| item.to_json_within(deeper, budget))
                .collect::<Option<Vec<_>>>()?
                .into(),
            Self::Map(map) => {
                let mut out = Map::new();
                for (key, value) in map.borrow().iter() {
                    out.insert(key.clone(), value.to_json_within(deeper, budget)?);
                }
                out.into()
            }
            Self::Object(object) => {
                object.to_json(&|value| value.to_json_within(deeper, budget))?
            }
        })
    }

    pub fn deep_copy(&self) -> Self {
        self.deep_copy_within(bounds::DEPTH, &Cell::new(bounds::VALUES))
    }

    fn deep_copy_within(&self, depth: usize, budget: &Cell<usize>) -> Self {
        bounds::visit();
        let (Some(deeper), Some(left)) = (depth.checked_sub(1), budget.get().checked_sub(1)) else {
            bounds::exceed();
            return self.clone();
        };
        budget.set(left);
        match self {
            Self::List(items) => Self::list(
                items
                    .iter()
                    .map(|v| v.deep_copy_within(deeper, budget))
                    .collect(),
            ),
            Self::Map(map) => match map.frozen() {
                Some(frozen) => Self::Map(thawed(&frozen)),
                None => Self::map(
                    map.borrow()
                        .iter()
                        .map(|(key, value)| (key.clone(), value.deep_copy_within(deeper, budget)))
                        .collect(),
                ),
            },
            Self::Object(object) => match object.as_ref() {
                Object::Typed { name, value, nil } => Self::object(Object::Typed {
                    name,
                    value: value.deep_copy_within(deeper, budget),
                    nil: *nil,
                }),
                // Go's copy does not reach what a version keeps to itself.
                Object::Version(_) => match Version::parse("0.0.0") {
                    Some(version) => Self::object(Object::Version(version)),
                    None => self.clone(),
                },
                _ => self.clone(),
            },
            other => other.clone(),
        }
    }

    /// text/template's truth.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) | Self::Int64(number) => *number != 0,
            Self::Uint(number, _) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => map.len() > 0,
            Self::Object(object) => object.is_true(),
        }
    }

    /// Go's name of the type, as `%T` prints it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint(_, name) => name,
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Object(object) => object.type_name(),
        }
    }

    /// `reflect.Kind` as sprig's `kindOf` prints it.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint(_, name) => name,
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Object(object) => object.kind_name(),
        }
    }

    /// `reflect.DeepEqual`.
    pub fn deep_equal(&self, other: &Self) -> bool {
        self.deep_equal_within(other, bounds::DEPTH, &Cell::new(bounds::VALUES))
    }

    fn deep_equal_within(&self, other: &Self, depth: usize, budget: &Cell<usize>) -> bool {
        bounds::visit();
        let (Some(deeper), Some(left)) = (depth.checked_sub(1), budget.get().checked_sub(1)) else {
            bounds::exceed();
            return true;
        };
        budget.set(left);
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Int64(a), Self::Int64(b)) => a == b,
            (Self::Uint(a, kind), Self::Uint(b, other)) => a == b && kind == other,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b.iter())
                        .all(|(a, b)| a.deep_equal_within(b, deeper, budget))
            }
            (Self::Map(a), Self::Map(b)) => {
                if Rc::ptr_eq(a, b) {
                    return true;
                }
                let (a, b) = (a.borrow(), b.borrow());
                a.len() == b.len()
                    && a.iter().all(|(key, value)| {
                        b.get(key)
                            .is_some_and(|other| value.deep_equal_within(other, deeper, budget))
                    })
            }
            (Self::Object(a), Self::Object(b)) => {
                Rc::ptr_eq(a, b)
                    || a.type_name() == b.type_name()
                        && a.is_nil() == b.is_nil()
                        && a.plain().deep_equal_within(&b.plain(), deeper, budget)
            }
            _ => false,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; objects that are lists in Go count.
    pub fn items(&self) -> Option<Rc<Vec<Self>>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Object(object) if object.kind_name() == "slice" => match object.plain() {
                Self::List(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// The map; objects that are maps in Go count.
    pub fn entries(&self) -> Option<Shared> {
        match self {
            Self::Map(map) => Some(map.clone()),
            Self::Object(object) if object.kind_name() == "map" => match object.plain() {
                Self::Map(map) => Some(map),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A float64 as Go's encoder writes it; `None` where it refuses.
pub fn float_json(number: f64) -> Option<serde_json::Value> {
    // Most numbers of values are whole, and small.
    if number.fract() == 0.0 && number.abs() < 1e15 && (number != 0.0 || number.is_sign_positive())
    {
        return Some((number as i64).into());
    }
    let text = catalyst_yaml::go_json_number(number)?;
    Some(match text.parse::<i64>() {
        Ok(whole) => whole.into(),
        Err(_) => serde_json::Value::Number(Number::from_f64(number)?),
    })
}
