//! What an ExternalSecret asks for, and the Secret that follows from it. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// On Secrets that this reconciler fills; the operator's own words.
pub const MANAGED: &str = "reconcile.external-secrets.io/managed";
/// Digest of a filled Secret's data.
pub const DATA_HASH: &str = "reconcile.external-secrets.io/data-hash";

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Path in the vault, below the store's mount.
    pub path: String,
    /// A version; the newest if absent.
    pub version: Option<String>,
    /// What becomes of it.
    pub take: Take,
    /// How values are decoded.
    pub decoding: Decoding,
}

/// What becomes of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// One property (the whole, as JSON, if absent) under a key.
    One {
        /// The property.
        property: Option<String>,
        /// The Secret's key.
        key: String,
    },
    /// Every key under its own name.
    All,
}

/// How values are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// As they are.
    None,
    /// Base64.
    Base64,
    /// Base64 with the URL's alphabet.
    Base64Url,
}

/// What an ExternalSecret wants, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `SecretStore` or `ClusterSecretStore`.
    pub store_kind: String,
    /// The store's name.
    pub store: String,
    /// What to read.
    pub reads: Vec<Read>,
    /// Name of the Secret.
    pub target: String,
    /// Owner, Orphan, Merge or None.
    pub creation: String,
    /// The Secret's type.
    pub secret_type: Option<String>,
    /// Labels and annotations that the target shall carry.
    pub labels: BTreeMap<String, String>,
    /// See `labels`.
    pub annotations: BTreeMap<String, String>,
    /// Seconds until it is read again; 0 for never.
    pub refresh: u64,
}

/// Reads an ExternalSecret; says what of it is not supported.
pub fn parse(object: &Value) -> Result<Wanted, String> {
    let text = |at: &str| {
        object
            .pointer(at)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let name = text("/metadata/name").unwrap_or_default();
    for unsupported in [
        "/spec/target/template/data",
        "/spec/target/template/templateFrom",
        "/spec/target/manifest",
    ] {
        if object.pointer(unsupported).is_some() {
            return Err(format!(
                "{} is not supported here; remove it",
                unsupported.trim_start_matches('/').replace('/', ".")
            ));
        }
    }
    let mut reads = Vec::new();
    for (index, entry) in list(object, "/spec/data").enumerate() {
        let key = entry.get("secretKey").and_then(Value::as_str);
        let key = key.ok_or_else(|| format!("spec.data[{index}] has no secretKey"))?;
        let reference = entry
            .get("remoteRef")
            .filter(|_| entry.get("sourceRef").is_none())
            .ok_or_else(|| format!("spec.data[{index}].sourceRef is not supported here"))?;
        let property = reference.get("property").and_then(Value::as_str);
        let take = Take::One {
            property: property.map(str::to_owned),
            key: key.to_owned(),
        };
        reads.push(read(reference, take)?);
    }
    for (index, entry) in list(object, "/spec/dataFrom").enumerate() {
        let supported = entry.get("extract").filter(|_| {
            ["find", "rewrite", "sourceRef"]
                .iter()
                .all(|field| entry.get(*field).is_none())
        });
        let reference = supported.ok_or_else(|| {
            format!(
                "spec.dataFrom[{index}] may only have extract here, no find, rewrite or sourceRef"
            )
        })?;
        reads.push(read(reference, Take::All)?);
    }
    let strings = |at: &str| -> BTreeMap<String, String> {
        let map = object.pointer(at).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    };
    let refresh = match text("/spec/refreshPolicy").as_deref() {
        Some("CreatedOnce" | "OnChange") => 0,
        _ => duration(&text("/spec/refreshInterval").unwrap_or_else(|| "1h".to_owned()))?,
    };
    Ok(Wanted {
        store_kind: text("/spec/secretStoreRef/kind").unwrap_or_else(|| "SecretStore".to_owned()),
        store: text("/spec/secretStoreRef/name").ok_or("spec.secretStoreRef.name is missing")?,
        reads,
        target: text("/spec/target/name").unwrap_or(name),
        creation: text("/spec/target/creationPolicy").unwrap_or_else(|| "Owner".to_owned()),
        secret_type: text("/spec/target/template/type"),
        labels: strings("/spec/target/template/metadata/labels"),
        annotations: strings("/spec/target/template/metadata/annotations"),
        refresh,
    })
}

fn list<'a>(object: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    let items = object.pointer(at).and_then(Value::as_array);
    items.into_iter().flatten()
}

fn read(reference: &Value, take: Take) -> Result<Read, String> {
    let text = |field: &str| reference.get(field).and_then(Value::as_str);
    Ok(Read {
        path: text("key")
            .ok_or("a remote reference has no key")?
            .to_owned(),
        version: text("version").map(str::to_owned),
        take,
        decoding: match text("decodingStrategy") {
            None | Some("None") => Decoding::None,
            Some("Base64") => Decoding::Base64,
            Some("Base64URL") => Decoding::Base64Url,
            Some(other) => return Err(format!("decodingStrategy {other} is not supported here")),
        },
    })
}

/// Seconds in a Go duration of hours, minutes and seconds, such as `1h30m`.
fn duration(text: &str) -> Result<u64, String> {
    let refuse = || format!("refreshInterval {text:?} is not a duration such as 1h or 30s");
    let mut total = 0_u64;
    let mut number = String::new();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return Err(refuse()),
        };
        let value: u64 = number.parse().map_err(|_| refuse())?;
        total = total.saturating_add(value.saturating_mul(unit));
        number.clear();
    }
    match number.as_str() {
        "" => Ok(total),
        "0" if text == "0" => Ok(0),
        _ => Err(refuse()),
    }
}

/// Adds what was read to the Secret's data.
pub fn fill(
    data: &mut BTreeMap<String, Vec<u8>>,
    read: &Read,
    mut found: BTreeMap<String, Value>,
) -> Result<(), String> {
    match &read.take {
        Take::All => {
            for (key, value) in found {
                data.insert(key, decode(bytes(value), read.decoding, &read.path)?);
            }
        }
        Take::One {
            property: Some(property),
            key,
        } => {
            let value = found.remove(property).ok_or_else(|| {
                format!("the secret at {} has no property {property:?}", read.path)
            })?;
            data.insert(
                key.clone(),
                decode(bytes(value), read.decoding, &read.path)?,
            );
        }
        Take::One {
            property: None,
            key,
        } => {
            let whole = Value::Object(found.into_iter().collect());
            data.insert(key.clone(), whole.to_string().into_bytes());
        }
    }
    Ok(())
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

fn decode(value: Vec<u8>, decoding: Decoding, path: &str) -> Result<Vec<u8>, String> {
    let decoded = match decoding {
        Decoding::None => return Ok(value),
        Decoding::Base64 => STANDARD.decode(value),
        Decoding::Base64Url => URL_SAFE.decode(value),
    };
    // The decoder's own error would quote bytes of the secret.
    decoded.map_err(|_| format!("a value at {path} is not Base64"))
}

/// A digest of a Secret's data, to tell whether somebody touched it.
pub fn data_hash(data: &Map<String, Value>) -> String {
    let mut hasher = Sha256::new();
    for (key, value) in data {
        hasher.update(key.as_bytes());
        hasher.update([0]);
        hasher.update(value.as_str().unwrap_or_default().as_bytes());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())
}

/// The Secret to apply.
pub fn secret(external: &Value, wanted: &Wanted, data: &BTreeMap<String, Vec<u8>>) -> Value {
    let encoded: Map<String, Value> = data
        .iter()
        .map(|(key, value)| (key.clone(), json!(STANDARD.encode(value))))
        .collect();
    let mut labels = wanted.labels.clone();
    labels.insert(MANAGED.to_owned(), "true".to_owned());
    let mut annotations = wanted.annotations.clone();
    annotations.insert(DATA_HASH.to_owned(), data_hash(&encoded));
    let metadata = |at: &str| external.pointer(at).cloned().unwrap_or_default();
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": wanted.target,
            "namespace": metadata("/metadata/namespace"),
            "labels": labels,
            "annotations": annotations,
        },
        "data": encoded,
    });
    if let Some(fields) = object.as_object_mut()
        && let Some(secret_type) = &wanted.secret_type
    {
        fields.insert("type".to_owned(), json!(secret_type));
    }
    if wanted.creation == "Owner"
        && let Some(fields) = object.get_mut("metadata").and_then(Value::as_object_mut)
    {
        fields.insert(
            "ownerReferences".to_owned(),
            json!([{
                "apiVersion": "external-secrets.io/v1",
                "kind": "ExternalSecret",
                "name": metadata("/metadata/name"),
                "uid": metadata("/metadata/uid"),
                "controller": true,
                "blockOwnerDeletion": true,
            }]),
        );
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(spec: Value) -> Value {
        json!({"metadata": {"name": "db", "namespace": "blog", "uid": "u"}, "spec": spec})
    }

    #[test]
    fn an_ordinary_one_is_understood() {
        let object = external(json!({
            "refreshInterval": "1h30m",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "sovereign"},
            "target": {"name": "db-connection"},
            "data": [{"secretKey": "url", "remoteRef": {"key": "org/acme/x", "property": "url"}}],
            "dataFrom": [{"extract": {"key": "org/acme/y"}}],
        }));
        let wanted = parse(&object).unwrap();
        assert_eq!(wanted.refresh, 5400);
        assert_eq!(wanted.reads.len(), 2);
        assert_eq!(wanted.target, "db-connection");
        let mut data = BTreeMap::new();
        let found: BTreeMap<_, _> = [
            ("url".to_owned(), json!("postgres://x")),
            ("port".to_owned(), json!(5432)),
        ]
        .into();
        fill(&mut data, &wanted.reads[0], found.clone()).unwrap();
        assert_eq!(data.keys().collect::<Vec<_>>(), ["url"]);
        fill(&mut data, &wanted.reads[1], found).unwrap();
        assert_eq!(data["port"], b"5432");
        let secret = secret(&object, &wanted, &data);
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(secret["data"]["url"], STANDARD.encode("postgres://x"));
        assert_eq!(
            secret["metadata"]["annotations"][DATA_HASH],
            data_hash(secret["data"].as_object().unwrap())
        );
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (spec, reason) in [
            (
                json!({"secretStoreRef": {"name": "s"}, "dataFrom": [{"find": {}}]}),
                "may only have extract",
            ),
            (
                json!({"secretStoreRef": {"name": "s"}, "target": {"template": {"data": {}}}}),
                "spec.target.template.data is not supported",
            ),
            (
                json!({"secretStoreRef": {"name": "s"}, "refreshInterval": "soon"}),
                "not a duration",
            ),
            (json!({}), "secretStoreRef.name is missing"),
        ] {
            let error = parse(&external(spec.clone())).unwrap_err();
            assert!(error.contains(reason), "{spec}: {error}");
        }
    }

    #[test]
    fn a_missing_property_and_bad_base64_never_show_a_value() {
        let read = |property: &str, decoding| Read {
            path: "p".to_owned(),
            version: None,
            take: Take::One {
                property: Some(property.to_owned()),
                key: "k".to_owned(),
            },
            decoding,
        };
        let found: BTreeMap<_, _> = [("a".to_owned(), json!("hunter2!"))].into();
        let mut data = BTreeMap::new();
        for read in [read("b", Decoding::None), read("a", Decoding::Base64)] {
            let error = fill(&mut data, &read, found.clone()).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(data.is_empty());
    }
}
