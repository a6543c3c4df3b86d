//! Objects that Helm puts before templates, with their methods.
//!
//! Called by the executor for `.Capabilities.APIVersions.Has` and the like.
//! What must stay true: a chart sees only its own files.

use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::functions::date::{self, Time};
use crate::functions::semver::Version;
use crate::glob::glob_match;
use crate::value::Value;

pub type FileMap = Rc<BTreeMap<String, Rc<Vec<u8>>>>;

pub enum Object {
    /// A Go struct: unknown fields are an error.
    Struct {
        type_name: &'static str,
        fields: BTreeMap<String, Value>,
        /// What `String()` gives, for structs that have it.
        shown: Option<String>,
    },
    ApiVersions(Rc<Vec<String>>),
    Files(FileMap),
    Version(Version),
    Time(Time),
}

/// The signature of a method: its parameters' type letters.
pub fn method_parameters(object: &Object, name: &str) -> Option<&'static str> {
    Some(match (object, name) {
        (Object::ApiVersions(_), "Has") => "s",
        (Object::Files(_), "Get" | "GetBytes" | "Glob" | "Lines") => "s",
        (Object::Files(_), "AsConfig" | "AsSecrets") => "",
        (Object::Struct { shown: Some(_), .. }, "String") => "",
        (Object::Struct { type_name, .. }, "GitVersion") if *type_name == KUBE_VERSION => "",
        (
            Object::Version(_),
            "Major" | "Minor" | "Patch" | "Prerelease" | "Metadata" | "Original" | "String",
        ) => "",
        (Object::Version(_), "Compare" | "Equal" | "LessThan" | "GreaterThan") => "a",
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

pub const KUBE_VERSION: &str = "*chartutil.KubeVersion";

impl Object {
    pub fn call(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        let first = args.first();
        let text = first.and_then(Value::as_str).unwrap_or_default();
        Ok(match (self, name) {
            (Self::ApiVersions(list), _) => Value::Bool(list.iter().any(|item| item == text)),
            (Self::Files(files), _) => return file_method(files, name, text),
            (Self::Struct { fields, shown, .. }, _) => match (name, shown) {
                ("GitVersion", _) => fields.get("Version").cloned().unwrap_or(Value::Nil),
                (_, Some(shown)) => Value::text(shown),
                _ => Value::Nil,
            },
            (Self::Version(version), _) => match name {
                "Major" => Value::Int64(number(version.major)),
                "Minor" => Value::Int64(number(version.minor)),
                "Patch" => Value::Int64(number(version.patch)),
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
                        _ => Value::Bool(order.is_gt()),
                    }
                }
            },
            (Self::Time(time), _) => date::method(*time, name, args)?,
        })
    }

    pub fn field(&self, name: &str) -> Option<Value> {
        match self {
            Self::Struct { fields, .. } => fields.get(name).cloned(),
            Self::Files(files) => files.get(name).map(|data| bytes_text(data)),
            _ => None,
        }
    }

    /// The value without its methods, for printing, ranging and encoding.
    pub fn plain(&self) -> Value {
        match self {
            Self::Struct { fields, .. } => Value::map(fields.clone()),
            Self::ApiVersions(list) => Value::texts(list.iter()),
            Self::Files(files) => Value::map(
                files
                    .iter()
                    .map(|(name, data)| (name.clone(), bytes_text(data)))
                    .collect(),
            ),
            Self::Version(version) => Value::text(&version.original),
            Self::Time(time) => Value::text(time.format("2006-01-02T15:04:05Z07:00")),
        }
    }

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
            _ => true,
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Struct { type_name, .. } => type_name,
            Self::ApiVersions(_) => "chartutil.VersionSet",
            Self::Files(_) => "engine.files",
            Self::Version(_) => "*semver.Version",
            Self::Time(_) => "time.Time",
        }
    }

    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Struct { type_name, .. } if type_name.starts_with('*') => "ptr",
            Self::Struct { .. } | Self::Time(_) => "struct",
            Self::ApiVersions(_) => "slice",
            Self::Files(_) => "map",
            Self::Version(_) => "ptr",
        }
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bytes_text(data: &[u8]) -> Value {
    Value::text(String::from_utf8_lossy(data))
}

fn file_method(files: &FileMap, name: &str, argument: &str) -> Result<Value, String> {
    let get = |name: &str| {
        files
            .get(name)
            .map(|data| String::from_utf8_lossy(data).into_owned())
            .unwrap_or_default()
    };
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    Ok(match name {
        "Get" | "GetBytes" => Value::text(get(argument)),
        "Lines" => {
            let text = get(argument);
            if !files.contains_key(argument) {
                return Ok(Value::list(Vec::new()));
            }
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Value::texts(text.split('\n'))
        }
        "Glob" => Value::object(Object::Files(Rc::new(
            files
                .iter()
                .filter(|(path, _)| glob_match(argument, path))
                .map(|(path, data)| (path.clone(), data.clone()))
                .collect(),
        ))),
        "AsConfig" | "AsSecrets" => {
            if files.is_empty() {
                return Ok(Value::text(""));
            }
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
