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

use super::derived::usual_server_types;
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

/// Properties, without regard to their spelling, by which somebody gives a token where none
/// belongs.
const SECRETS: [&str; 9] = [
    "token",
    "apitoken",
    "hetznertoken",
    "hetznerapitoken",
    "hcloudtoken",
    "cloudtoken",
    "gitpassword",
    "gittoken",
    "credentials",
];

const NO_SECRET: &str = "remove it: no secret is part of the description; the token is given as HCLOUD_TOKEN, and the password of Git as CATALYST_GIT_PASSWORD; what was committed or sent on with the description should be revoked";

/// A name without regard to its spelling.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.collect::<String>().to_ascii_lowercase()
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
                    _ if SECRETS.contains(&plain(name).as_str()) => NO_SECRET.to_owned(),
                    Some(near) => format!("there is no such property; did you mean {near}?"),
                    None => "there is no such property; `catalyst provision schema` lists all"
                        .to_owned(),
                },
            );
            continue;
        };
        let before = merged.insert(name.clone(), value.clone());
        if serde_json::from_value::<Config>(Value::Object(merged.clone())).is_err() {
            let mut found = Vec::new();
            faults(name, value, property, &schema, &mut found);
            if found.is_empty() {
                let message = "it does not have the form that is needed; `catalyst provision schema` lists all";
                found.push((name.clone(), message.to_owned()));
            }
            for (at, message) in found {
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
    let (control_planes, workers) = usual_server_types(&config.region);
    if !given.contains_key("controlPlaneServerType") {
        control_planes.clone_into(&mut config.control_plane_server_type);
    }
    if !given.contains_key("workerServerType") {
        workers.clone_into(&mut config.worker_server_type);
    }
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
pub fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}

/// What is wrong with a value by its schema, as far as its types go: serde stops at the
/// first fault, and names it in Rust's words. The forms of texts are judged by [`check`].
fn faults(
    at: &str,
    value: &Value,
    schema: &Value,
    root: &Value,
    found: &mut Vec<(String, String)>,
) {
    let schema = resolved(schema, root);
    if let Some(known) = choices(schema) {
        if !value.as_str().is_some_and(|text| known.contains(&text)) {
            let known = known.join(", ");
            found.push((
                at.to_owned(),
                format!("it is {}, and not one of {known}", describe(value)),
            ));
        }
        return;
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    if !kinds.iter().any(|kind| is_of(kind, value)) {
        let wanted = kinds.iter().find_map(|kind| match *kind {
            "string" => Some("text (quote it where it looks like a number)"),
            "integer" => Some("a whole number, not negative"),
            "boolean" => Some("true or false"),
            "array" => Some("a list"),
            "object" => Some("a mapping"),
            _ => None,
        });
        let wanted = wanted.unwrap_or("left out");
        found.push((
            at.to_owned(),
            format!("it must be {wanted}, and is {}", describe(value)),
        ));
        return;
    }
    match value {
        Value::Number(number) if kinds.contains(&"integer") => {
            let most = match schema.get("format").and_then(Value::as_str) {
                Some("uint16") => u64::from(u16::MAX),
                Some("uint32") => u64::from(u32::MAX),
                _ => u64::MAX,
            };
            if number.as_u64().is_some_and(|number| number > most) {
                found.push((at.to_owned(), format!("{number} is too large")));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    faults(at, item, schema, root, found);
                }
            }
        }
        Value::Object(entries) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for name in strings(schema.get("required")) {
                if !entries.contains_key(name) {
                    found.push((at.to_owned(), format!("it has no {name}, which is needed")));
                }
            }
            for (name, entry) in entries {
                let known = properties.and_then(|properties| properties.get(name));
                let of_others = schema
                    .get("additionalProperties")
                    .filter(|it| it.is_object());
                match (known.or(of_others), properties) {
                    (Some(schema), _) => {
                        faults(&format!("{at}.{name}"), entry, schema, root, found);
                    }
                    (None, Some(properties)) => {
                        found.push((at.to_owned(), unknown(name, properties)));
                    }
                    (None, None) => {}
                }
            }
        }
        _ => {}
    }
}

/// Whether a value is of a type of JSON Schema's; a number is one that can be counted with.
fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

/// A schema, or the one that it refers to.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str);
    target
        .and_then(|target| root.pointer(target.strip_prefix('#')?))
        .unwrap_or(schema)
}

/// The words of a closed choice.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    let variants = schema.get("oneOf")?.as_array()?.iter();
    variants
        .map(|variant| variant.get("const").and_then(Value::as_str))
        .collect()
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str)
}

/// What is said of a property that a mapping does not have.
fn unknown(given: &str, properties: &Map<String, Value>) -> String {
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
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
