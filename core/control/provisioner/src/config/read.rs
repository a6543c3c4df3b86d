//! From text to [`Config`], with every problem at once.
//!
//! serde stops at the first fault, so each property is judged alone, put into a
//! configuration that is right otherwise; what is wrong there is told and replaced,
//! and the rules that look at several properties judge what remains.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use catalyst_yaml::RepeatedKey;
use serde_json::{Map, Value, json};

use super::nearest::nearest;
use super::{Config, check};

/// How the public key's file is read.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The property, with dots below it; empty for the whole text.
    pub at: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => formatter.write_str(&self.message),
            at => write!(formatter, "{at}: {}", self.message),
        }
    }
}

/// A text that does not describe a Sovereign.
#[derive(Debug, thiserror::Error)]
#[error("cannot provision from {file}: {}{}", count(.problems.len()), lines(.problems))]
pub struct ConfigError {
    /// Where the text is from.
    pub file: String,
    /// What is wrong with it, by property.
    pub problems: Vec<Problem>,
}

fn count(problems: usize) -> String {
    match problems {
        1 => "one problem".to_owned(),
        several => format!("{several} problems"),
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}

/// Problems as they are found; a property that is wrong already is not judged again.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    wrong: BTreeSet<String>,
}

impl Problems {
    /// Tells a problem of a property, unless one is told already.
    pub(super) fn tell(&mut self, property: &str, message: impl Into<String>) {
        let top = property.split('.').next().unwrap_or_default();
        if self.wrong.insert(top.to_owned()) {
            self.found.push(Problem {
                at: property.to_owned(),
                message: message.into(),
            });
        }
    }

    /// Tells a problem of one item of a property, beside those of others.
    pub(super) fn tell_item(&mut self, property: &str, message: impl Into<String>) {
        let top = property.split('.').next().unwrap_or_default();
        self.wrong.insert(top.to_owned());
        self.found.push(Problem {
            at: property.to_owned(),
            message: message.into(),
        });
    }

    /// Whether all these properties can be relied on.
    pub(super) fn fine(&self, properties: &[&str]) -> bool {
        properties.iter().all(|name| !self.wrong.contains(*name))
    }
}

/// What a right configuration looks like where nothing else is given.
fn base() -> Map<String, Value> {
    let base = json!({
        "sovereignFqdn": "omantel.example",
        "region": "fsn",
        "adminCidrs": ["203.0.113.7/32"],
        "gitUrl": "https://git.example/sovereigns",
        "acmeEmail": "platform@omantel.example",
    });
    match base {
        Value::Object(base) => base,
        _ => Map::new(),
    }
}

pub(super) fn parse(
    file: &str,
    text: &str,
    read_file: ReadFile<'_>,
) -> Result<Config, ConfigError> {
    let read = catalyst_yaml::from_str(text).and_then(|given| {
        let repeated = catalyst_yaml::repeated_keys(text)?;
        Ok((given, repeated))
    });
    match read {
        Ok((given, repeated)) => judge_all(file, given, &repeated, read_file),
        Err(error) => Err(whole(file, error.to_string())),
    }
}

/// A refusal of the whole text.
fn whole(file: &str, message: String) -> ConfigError {
    ConfigError {
        file: file.to_owned(),
        problems: vec![Problem {
            at: String::new(),
            message,
        }],
    }
}

/// The configuration that a value describes.
pub(super) fn judge(
    file: &str,
    given: Value,
    read_file: ReadFile<'_>,
) -> Result<Config, ConfigError> {
    judge_all(file, given, &[], read_file)
}

/// The same, of a text that gives these keys again: which of them was meant nobody knows.
fn judge_all(
    file: &str,
    given: Value,
    repeated: &[RepeatedKey],
    read_file: ReadFile<'_>,
) -> Result<Config, ConfigError> {
    let given = match given {
        Value::Object(given) => given,
        Value::Null => {
            return Err(whole(
                file,
                "it is empty; `catalyst provision init` asks for what is needed".to_owned(),
            ));
        }
        other => {
            return Err(whole(
                file,
                format!(
                    "it is {}, not a mapping of properties to values",
                    describe(&other)
                ),
            ));
        }
    };
    let schema = Config::schema();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut problems = Problems::default();
    for RepeatedKey { key, first, again } in repeated {
        problems.tell(
            key,
            format!("it is given twice, in lines {first} and {again}; leave one of them out"),
        );
    }
    let mut merged = base();
    for (name, value) in &given {
        let Some(property) = properties.get(name) else {
            let known = properties.keys().map(String::as_str);
            problems.tell(
                name,
                match nearest(name, known) {
                    Some(near) => format!("there is no such property; did you mean {near}?"),
                    None => "there is no such property; `catalyst provision schema` lists all"
                        .to_owned(),
                },
            );
            continue;
        };
        let before = merged.insert(name.clone(), value.clone());
        if let Err(error) = serde_json::from_value::<Config>(Value::Object(merged.clone())) {
            for (at, message) in faults(name, value, property, &error, &merged) {
                problems.tell_item(&at, message);
            }
            match before {
                Some(before) => merged.insert(name.clone(), before),
                None => merged.remove(name),
            };
        }
    }
    for name in base().keys() {
        if !given.contains_key(name) {
            problems.tell(name, "it is missing, and has no default");
        }
    }
    let mut config: Config = serde_json::from_value(Value::Object(merged))
        .map_err(|error| whole(file, format!("it cannot be read: {error}")))?;
    read_key(&mut config, &mut problems, read_file);
    check::check(&config, &mut problems);
    if problems.found.is_empty() {
        return Ok(config);
    }
    let order: Vec<&String> = properties.keys().collect();
    let place = |problem: &Problem| {
        let top = problem.at.split('.').next().unwrap_or_default();
        order
            .iter()
            .position(|name| *name == top)
            .unwrap_or(usize::MAX)
    };
    problems.found.sort_by_key(place);
    Err(ConfigError {
        file: file.to_owned(),
        problems: problems.found,
    })
}

/// Puts the key of `sshPublicKeyFile` where the key itself would stand.
fn read_key(config: &mut Config, problems: &mut Problems, read_file: ReadFile<'_>) {
    if !problems.fine(&["sshPublicKey", "sshPublicKeyFile"]) {
        return;
    }
    match (&config.ssh_public_key, &config.ssh_public_key_file) {
        (Some(_), Some(_)) => problems.tell(
            "sshPublicKeyFile",
            "sshPublicKey is given too; leave one of them out",
        ),
        (None, None) => problems.tell(
            "sshPublicKey",
            "it is missing; give the key itself, or its file as sshPublicKeyFile",
        ),
        (Some(_), None) => {}
        (None, Some(path)) => {
            let path = at_home(path);
            match read_file(&path) {
                Ok(key) if key.contains("PRIVATE KEY") => problems.tell(
                    "sshPublicKeyFile",
                    format!(
                        "{} is a private key; name the file that ends in .pub",
                        path.display()
                    ),
                ),
                Ok(key) => config.ssh_public_key = Some(key.trim().to_owned()),
                Err(error) => problems.tell(
                    "sshPublicKeyFile",
                    format!(
                        "cannot read {}: {error}; `ssh-keygen -t ed25519` makes a key",
                        path.display()
                    ),
                ),
            }
        }
    }
}

/// A number that is not counted with, which YAML takes for one where it is not quoted.
pub(super) fn number_or_text<'de, D>(from: D) -> Result<Option<String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    use serde::Deserialize as _;
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        other => Err(serde::de::Error::custom(format!(
            "it must be a number, and is {}",
            describe(&other)
        ))),
    }
}

/// A path whose `~` is the home directory, as a shell would have it.
pub(crate) fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}

/// Why serde refused a value, in terms of what the property may be.
fn wrong_type(value: &Value, property: &Value, error: &serde_json::Error) -> String {
    let kinds: Vec<&str> = match property.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = kinds.iter().any(|kind| {
        matches!(
            (*kind, value),
            ("string", Value::String(_))
                | ("boolean", Value::Bool(_))
                | ("array", Value::Array(_))
                | ("object", Value::Object(_))
                | ("null", Value::Null)
        )
    });
    let wanted = kinds.iter().find_map(|kind| match *kind {
        "string" => Some("text (quote it where it looks like a number)"),
        "integer" => Some("a whole number, not negative"),
        "boolean" => Some("true or false"),
        "array" => Some("a list"),
        "object" => Some("a mapping"),
        _ => None,
    });
    match wanted {
        Some(wanted) if !fits => format!("it must be {wanted}, and is {}", describe(value)),
        // The type is right and something inside it is not: serde knows what.
        _ => with_nearest(&error.to_string()),
    }
}

/// What is wrong with a value: of a mapping, each entry is judged alone, for serde stops at
/// the first.
fn faults(
    name: &str,
    value: &Value,
    property: &Value,
    error: &serde_json::Error,
    merged: &Map<String, Value>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (key, entry) in value.as_object().into_iter().flatten() {
        let mut alone = merged.clone();
        alone.insert(name.to_owned(), json!({ key: entry }));
        let Err(error) = serde_json::from_value::<Config>(Value::Object(alone)) else {
            continue;
        };
        let message = with_nearest(&error.to_string());
        let at = match message.starts_with("there is no property") {
            true => name.to_owned(),
            false => format!("{name}.{key}"),
        };
        found.push((at, message));
    }
    if found.is_empty() {
        found.push((name.to_owned(), wrong_type(value, property, error)));
    }
    found
}

/// serde's message; where it is of an unknown property, with the one that was meant.
fn with_nearest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (true, Some(given)) = (message.starts_with("unknown field"), quoted.next()) else {
        return message.to_owned();
    };
    let known: Vec<&str> = quoted.collect();
    match nearest(given, known.iter().copied()) {
        Some(near) => format!("there is no property {given} in it; did you mean {near}?"),
        None => format!(
            "there is no property {given} in it, only {}",
            known.join(", ")
        ),
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
