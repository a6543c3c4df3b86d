//! Objects that Helm puts before templates, with their methods.
//!
//! Called by the executor for `.Capabilities.APIVersions.Has` and the like.
//! What must stay true: a chart sees only its own files.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::functions::date::{self, Time};
use crate::functions::semver::Version;
use crate::pattern::Pattern;
use crate::value::Value;

pub type FileMap = Arc<BTreeMap<String, Arc<Vec<u8>>>>;

pub enum Object {
    /// A Go struct: unknown fields are an error.
    Struct {
        type_name: &'static str,
        /// In the order in which Go declares them.
        fields: Vec<(&'static str, Value)>,
        /// What `String()` gives, for structs that have it.
        shown: Option<String>,
    },
    /// A list or a map of a type of its own, such as `[]string`.
    Typed {
        name: &'static str,
        value: Value,
        /// A nil slice.
        nil: bool,
    },
    /// `[]uint8`; `None` is a nil slice, which is empty but null in JSON.
    Bytes(Option<Rc<Vec<u8>>>),
    ApiVersions(Rc<Vec<String>>),
    Files(FileMap),
    Version(Version),
    Time(Time),
}

/// What a name means in an object, once it is not a method.
pub enum Found {
    /// Of a struct.
    Field(Value),
    /// Of a map, which answers to every name.
    Entry(Value),
    Nothing,
}

/// The signature of a method: its parameters' type letters.
pub fn method_parameters(object: &Object, name: &str) -> Option<&'static str> {
    Some(match (object, name) {
        (Object::ApiVersions(_), "Has") => "s",
        (Object::Files(_), "Get" | "GetBytes" | "Glob" | "Lines") => "s",
        (Object::Files(_), "AsConfig" | "AsSecrets") => "",
        (Object::Struct { shown: Some(_), .. }, "String") => "",
        (
            Object::Struct {
                type_name,
                shown: Some(_),
                ..
            },
            "GitVersion",
        ) if *type_name == KUBE_VERSION => "",
        (
            Object::Version(_),
            "Major" | "Minor" | "Patch" | "Prerelease" | "Metadata" | "Original" | "String",
        ) => "",
        (
            Object::Version(_),
            "Compare" | "Equal" | "LessThan" | "GreaterThan" | "LessThanEqual" | "GreaterThanEqual",
        ) => "v",
        (
            Object::Time(_),
            "Unix" | "Year" | "Day" | "Hour" | "Minute" | "Second" | "YearDay" | "UnixNano"
            | "UnixMilli" | "String" | "UTC" | "Local" | "Month" | "Weekday" | "Nanosecond",
        ) => "",
        (Object::Time(_), "Format") => "s",
        (Object::Time(_), "AddDate") => "iii",
        _ => return None,
    })
}

pub const KUBE_VERSION: &str = "chartutil.KubeVersion";

impl Object {
    /// What a method goes through, in bytes of text.
    pub fn cost(&self, name: &str, args: &[Value]) -> usize {
        let Self::Files(files) = self else {
            return 0;
        };
        match (name, args.first()) {
            ("Glob", Some(Value::Str(pattern))) => {
                let paths: usize = files.keys().map(String::len).sum();
                paths.saturating_mul(pattern.len()).saturating_mul(32)
            }
            ("AsConfig" | "AsSecrets", _) => files.values().map(|data| data.len()).sum(),
            ("Lines" | "Get" | "GetBytes", Some(Value::Str(path))) => {
                files.get(path.as_ref()).map_or(0, |data| data.len())
            }
            _ => 0,
        }
    }

    pub fn call(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        let first = args.first();
        let text = first.and_then(Value::as_str).unwrap_or_default();
        Ok(match (self, name) {
            (Self::ApiVersions(list), _) => Value::Bool(list.iter().any(|item| item == text)),
            (Self::Files(files), _) => return file_method(files, name, text),
            (Self::Struct { fields, shown, .. }, _) => match (name, shown) {
                ("GitVersion", _) => fields
                    .iter()
                    .find(|field| field.0 == "Version")
                    .map_or(Value::Nil, |field| field.1.clone()),
                (_, Some(shown)) => Value::text(shown),
                _ => Value::Nil,
            },
            (Self::Version(version), _) => match name {
                "Major" => Value::Uint(version.major, "uint64"),
                "Minor" => Value::Uint(version.minor, "uint64"),
                "Patch" => Value::Uint(version.patch, "uint64"),
                "Prerelease" => Value::text(&version.pre),
                "Metadata" => Value::text(&version.build),
                "Original" => Value::text(&version.original),
                "String" => Value::text(version.to_string()),
                _ => {
                    let Some(Value::Object(other)) = first else {
                        return Err("the argument is not a version".to_owned());
                    };
                    let Self::Version(other) = other.as_ref() else {
                        return Err("the argument is not a version".to_owned());
                    };
                    let order = version.compare(other);
                    match name {
                        "Compare" => Value::Int(order as i64),
                        "Equal" => Value::Bool(order.is_eq()),
                        "LessThan" => Value::Bool(order.is_lt()),
                        "LessThanEqual" => Value::Bool(order.is_le()),
                        "GreaterThanEqual" => Value::Bool(order.is_ge()),
                        _ => Value::Bool(order.is_gt()),
                    }
                }
            },
            (Self::Time(time), _) => date::method(*time, name, args)?,
            (Self::Typed { .. } | Self::Bytes(_), _) => {
                return Err(format!("there is no method {name}"));
            }
        })
    }

    pub fn field(&self, name: &str) -> Found {
        match self {
            Self::Struct { fields, .. } => fields
                .iter()
                .find(|field| field.0 == name)
                .map_or(Found::Nothing, |field| Found::Field(field.1.clone())),
            Self::Files(files) => Found::Entry(
                files
                    .get(name)
                    .map_or_else(Value::nil_bytes, |data| Value::bytes(data)),
            ),
            Self::Typed {
                name: kind,
                value: Value::Map(map),
                ..
            } => Found::Entry(map.borrow().get(name).cloned().unwrap_or_else(|| {
                if *kind == "map[string]string" {
                    Value::text("")
                } else {
                    Value::Nil
                }
            })),
            Self::Version(_) => Found::Nothing,
            _ => Found::Nothing,
        }
    }

    /// Whether elements are `interface {}` in Go.
    pub fn holds_anything(&self) -> bool {
        match self {
            Self::Typed { name, .. } => matches!(
                *name,
                "chartutil.Values" | "[]interface {}" | "map[string]interface {}"
            ),
            _ => false,
        }
    }

    /// Whether a struct holds what Go cannot compare.
    pub fn has_lists(&self) -> bool {
        match self {
            Self::Struct { fields, .. } => fields
                .iter()
                .any(|(_, value)| matches!(value.kind_name(), "slice" | "map")),
            _ => false,
        }
    }

    /// The items that a list or a map has.
    pub fn size(&self) -> usize {
        match self {
            Self::Typed { value, .. } => match value {
                Value::List(items) => items.len(),
                Value::Map(map) => map.len(),
                _ => 0,
            },
            Self::Bytes(data) => data.as_ref().map_or(0, |data| data.len()),
            Self::Files(files) => files.len(),
            Self::ApiVersions(list) => list.len(),
            _ => 0,
        }
    }

    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Typed { nil: true, .. } | Self::Bytes(None))
    }

    /// As `encoding/json` writes it; `inner` writes what it holds.
    pub fn to_json(
        &self,
        inner: &dyn Fn(&Value) -> Option<serde_json::Value>,
    ) -> Option<serde_json::Value> {
        Some(match self {
            Self::Typed { nil: true, .. } => serde_json::Value::Null,
            Self::Bytes(None) => serde_json::Value::Null,
            Self::Bytes(Some(data)) => STANDARD.encode(data.as_slice()).into(),
            Self::Files(files) => files
                .iter()
                .map(|(name, data)| {
                    let text = STANDARD.encode(data.as_slice());
                    (name.clone(), serde_json::Value::from(text))
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Self::Struct {
                type_name, fields, ..
            } => {
                let mut out = serde_json::Map::new();
                for (name, value) in fields.iter() {
                    let Some(key) = json_name(type_name, name) else {
                        out.insert((*name).to_owned(), inner(value)?);
                        continue;
                    };
                    if value.is_true() {
                        out.insert(key.to_owned(), inner(value)?);
                    }
                }
                out.into()
            }
            Self::Time(time) => time.format("2006-01-02T15:04:05.999999999Z07:00").into(),
            Self::Version(version) => version.to_string().into(),
            other => inner(&other.plain())?,
        })
    }

    /// The value without its methods, for printing, ranging and encoding.
    pub fn plain(&self) -> Value {
        match self {
            Self::Struct { fields, .. } => Value::map(
                fields
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
            ),
            Self::Typed { value, .. } => value.clone(),
            Self::Bytes(data) => Value::list(
                data.iter()
                    .flat_map(|data| data.iter())
                    .map(|byte| Value::Uint(u64::from(*byte), "uint8"))
                    .collect(),
            ),
            Self::ApiVersions(list) => Value::list(list.iter().map(Value::text).collect()),
            Self::Files(files) => Value::map(
                files
                    .iter()
                    .map(|(name, data)| (name.clone(), Value::bytes(data)))
                    .collect(),
            ),
            Self::Version(version) => Value::text(&version.original),
            Self::Time(time) => Value::text(time.format("2006-01-02T15:04:05Z07:00")),
        }
    }

    /// What `String()` of the value itself gives.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Struct { .. } => None,
            _ => self.shown(),
        }
    }

    /// What `String()` of a pointer to the value gives.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Struct { shown, .. } => shown.clone(),
            Self::Version(version) => Some(version.to_string()),
            Self::Time(time) => Some(time.format("2006-01-02 15:04:05.999999999 -0700 MST")),
            _ => None,
        }
    }

    pub fn is_true(&self) -> bool {
        match self {
            Self::ApiVersions(list) => !list.is_empty(),
            Self::Files(files) => !files.is_empty(),
            Self::Typed { value, .. } => value.is_true(),
            Self::Bytes(_) => self.size() > 0,
            _ => true,
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Struct { type_name, .. } => type_name,
            Self::ApiVersions(_) => "chartutil.VersionSet",
            Self::Typed { name, .. } => name,
            Self::Bytes(_) => "[]uint8",
            Self::Files(_) => "engine.files",
            Self::Version(_) => "*semver.Version",
            Self::Time(_) => "time.Time",
        }
    }

    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Struct { type_name, .. } if type_name.starts_with('*') => "ptr",
            Self::Struct { .. } | Self::Time(_) => "struct",
            Self::ApiVersions(_) | Self::Bytes(_) => "slice",
            Self::Typed { value, .. } => value.kind_name(),
            Self::Files(_) => "map",
            Self::Version(_) => "ptr",
        }
    }
}

/// The key of a struct's field in JSON, where it is left out when empty.
pub fn json_name(type_name: &str, field: &str) -> Option<&'static str> {
    match type_name {
        "version.BuildInfo" => Some(match field {
            "Version" => "version",
            "GitCommit" => "git_commit",
            "GitTreeState" => "git_tree_state",
            _ => "go_version",
        }),
        CHART => crate::render::CHART_FIELDS
            .iter()
            .find(|known| known.0 == field)
            .map(|known| known.1),
        _ => None,
    }
}

pub const CHART: &str = "struct { chart.Metadata; IsRoot bool }";

fn file_method(files: &FileMap, name: &str, argument: &str) -> Result<Value, String> {
    let get = |name: &str| {
        files
            .get(name)
            .map(|data| String::from_utf8_lossy(data).into_owned())
            .unwrap_or_default()
    };
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    Ok(match name {
        "Get" => Value::text(get(argument)),
        "GetBytes" => Value::bytes(files.get(argument).map_or(&[], |data| data.as_slice())),
        "Lines" => {
            let text = get(argument);
            if text.is_empty() {
                return Ok(Value::texts::<&str>([]));
            }
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Value::texts(text.split('\n'))
        }
        "Glob" => {
            let pattern = Pattern::new(argument);
            Value::object(Object::Files(Arc::new(
                files
                    .iter()
                    .filter(|(path, _)| pattern.matches(path))
                    .map(|(path, data)| (path.clone(), data.clone()))
                    .collect(),
            )))
        }
        "AsConfig" | "AsSecrets" => {
            let map = files
                .iter()
                .map(|(path, data)| {
                    let content = if name == "AsConfig" {
                        String::from_utf8_lossy(data).into_owned()
                    } else {
                        STANDARD.encode(data.as_slice())
                    };
                    (base(path), serde_json::Value::from(content))
                })
                .collect();
            let text = catalyst_yaml::to_string(&serde_json::Value::Object(map));
            Value::text(text.strip_suffix('\n').unwrap_or(&text))
        }
        _ => return Err(format!("files have no method {name}")),
    })
}
