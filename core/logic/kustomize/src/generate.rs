//! ConfigMaps and Secrets made from files and literals, and their name hash.

use std::collections::BTreeMap;

use base64::Engine as _;
use catalyst_yaml::go_json_string;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::Fault;
use crate::files::Files;
use crate::kustomization::{Generator, GeneratorOptions};
use crate::resource::{Behavior, Resource};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ConfigMap,
    Secret,
}

/// Makes the object that `generator` describes.
pub fn generate(
    kind: Kind,
    generator: &Generator,
    global: Option<&GeneratorOptions>,
    files: Files<'_>,
    folder: &str,
) -> Result<Resource, Fault> {
    if generator.name.is_empty() {
        return Err(Fault::new("an entry has no name"));
    }
    let options = merge_options(generator.options.as_ref(), global);
    let pairs = pairs(generator, files, folder)?;
    let mut object = Map::new();
    object.insert("apiVersion".into(), json!("v1"));
    object.insert("metadata".into(), metadata(generator, &options));
    match kind {
        Kind::ConfigMap => {
            object.insert("kind".into(), json!("ConfigMap"));
            let mut add = |field: &str, key: String, text: String| {
                if let Value::Object(map) = object
                    .entry(field)
                    .or_insert_with(|| Value::Object(Map::new()))
                {
                    map.insert(key, Value::String(text));
                }
            };
            for (key, value) in pairs {
                match String::from_utf8(value) {
                    Ok(text) => add("data", key, text),
                    Err(error) => add("binaryData", key, folded_base64(error.as_bytes())),
                }
            }
        }
        Kind::Secret => {
            object.insert("kind".into(), json!("Secret"));
            let kind = if generator.r#type.is_empty() {
                "Opaque"
            } else {
                &generator.r#type
            };
            object.insert("type".into(), json!(kind));
            let data = pairs
                .into_iter()
                .map(|(key, value)| (key, Value::String(folded_base64(&value))))
                .collect();
            object.insert("data".into(), Value::Object(data));
        }
    }
    if options.immutable {
        object.insert("immutable".into(), Value::Bool(true));
    }
    let mut resource = Resource::new(Value::Object(object));
    resource.needs_hash = !options.disable_name_suffix_hash;
    resource.behavior = match generator.behavior.as_str() {
        "replace" => Behavior::Replace,
        "merge" => Behavior::Merge,
        _ => Behavior::Create,
    };
    Ok(resource)
}

/// An entry's own labels and annotations win over the global ones; the two
/// switches add up.
fn merge_options(
    own: Option<&GeneratorOptions>,
    global: Option<&GeneratorOptions>,
) -> GeneratorOptions {
    let mut merged = own.cloned().unwrap_or_default();
    if let Some(global) = global {
        for (key, value) in &global.labels {
            merged
                .labels
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        for (key, value) in &global.annotations {
            merged
                .annotations
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        merged.disable_name_suffix_hash |= global.disable_name_suffix_hash;
        merged.immutable |= global.immutable;
    }
    merged
}

fn metadata(generator: &Generator, options: &GeneratorOptions) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".into(), json!(generator.name));
    if !generator.namespace.is_empty() {
        metadata.insert("namespace".into(), json!(generator.namespace));
    }
    if !options.labels.is_empty() {
        metadata.insert("labels".into(), json!(options.labels));
    }
    if !options.annotations.is_empty() {
        metadata.insert("annotations".into(), json!(options.annotations));
    }
    Value::Object(metadata)
}

/// Keys and values of all sources; a key may come up once.
fn pairs(
    generator: &Generator,
    files: Files<'_>,
    folder: &str,
) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for path in &generator.envs {
        all.extend(env_lines(path, files.load(folder, path)?)?);
    }
    for literal in &generator.literals {
        let (key, value) = literal
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| {
                Fault::new(format!(
                    "invalid literal source {literal}, expected key=value"
                ))
            })?;
        all.push((key.to_owned(), without_quotes(value).as_bytes().to_vec()));
    }
    for source in &generator.files {
        let (key, path) = match source.split_once('=') {
            None => (source.rsplit('/').next().unwrap_or(source), source.as_str()),
            Some(("", path)) => {
                return Err(Fault::new(format!(
                    "missing key name for file path {path:?}"
                )));
            }
            Some((key, "")) => {
                return Err(Fault::new(format!(
                    "missing file path for key name {key:?}"
                )));
            }
            Some((_, path)) if path.contains('=') => {
                return Err(Fault::new(format!(
                    "source {source:?} key name or file path contains '='"
                )));
            }
            Some(pair) => pair,
        };
        all.push((key.to_owned(), files.load(folder, path)?.to_vec()));
    }
    let mut pairs = BTreeMap::new();
    for (key, value) in all {
        if pairs.contains_key(&key) {
            return Err(Fault::new(format!(
                "{} illegally repeats the key {key:?}",
                generator.name
            )));
        }
        pairs.insert(key, value);
    }
    Ok(pairs)
}

/// `KEY=value` lines; blank lines and comments are left out.
fn env_lines(path: &str, content: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let text = std::str::from_utf8(content)
        .map_err(|_| Fault::new(format!("{path:?} is not UTF-8 text")))?;
    Ok(text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            (key.to_owned(), value.as_bytes().to_vec())
        })
        .collect())
}

/// Removes one pair of equal quotes around `text`.
fn without_quotes(text: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(text)
}

/// Base64; from 70 characters on, in lines of 70.
fn folded_base64(bytes: &[u8]) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    if encoded.len() < 70 {
        return encoded;
    }
    let mut folded = String::with_capacity(encoded.len() + encoded.len() / 70 + 1);
    for (at, c) in encoded.chars().enumerate() {
        if at > 0 && at % 70 == 0 {
            folded.push('\n');
        }
        folded.push(c);
    }
    folded.push('\n');
    folded
}

/// The suffix that makes a changed ConfigMap or Secret a new object: ten
/// characters of the SHA-256 of its content, written so that no word appears.
pub fn name_hash(value: &Value) -> String {
    let field = |name: &str| value.get(name).cloned().unwrap_or_else(|| json!(""));
    let mut content = BTreeMap::new();
    content.insert("kind", field("kind"));
    // kustomize leaves the name itself out of the hash.
    content.insert("name", json!(""));
    content.insert("data", field("data"));
    let optional = if value.get("kind").and_then(Value::as_str) == Some("Secret") {
        content.insert("type", field("type"));
        "stringData"
    } else {
        "binaryData"
    };
    if value.get(optional).is_some_and(Value::is_object) {
        content.insert(optional, field(optional));
    }
    let mut text = String::from("{");
    for (at, (key, value)) in content.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        go_json_string(&mut text, key, true);
        text.push(':');
        go_json(value, &mut text);
    }
    text.push('}');
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(10)
        .map(|nibble| match nibble {
            0 => 'g',
            1 => 'h',
            3 => 'k',
            10 => 'm',
            14 => 't',
            other => char::from_digit(u32::from(other), 16).unwrap_or('x'),
        })
        .collect()
}

/// JSON as Go's `encoding/json` writes it: keys sorted, `<`, `>` and `&`
/// escaped.
fn go_json(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                go_json_string(out, key, true);
                out.push(':');
                go_json(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                go_json(item, out);
            }
            out.push(']');
        }
        Value::String(text) => go_json_string(out, text, true),
        other => out.push_str(&other.to_string()),
    }
}
