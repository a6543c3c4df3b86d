//! Releases as Helm stores them: a Secret a revision, type `helm.sh/release.v1`,
//! whose `release` is base64 of gzip of JSON.
//!
//! What must stay true: `helm list`, `history`, `get` and `rollback` read what
//! is written here, and what they wrote is read here.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::api::{Api, ApiError};
use crate::json::{digest, integer, list, set, text};

/// A release may unpack to this much.
const MAX_RELEASE: u64 = 64 << 20;

/// The release in a Secret's `data.release`, the outer base64 still on.
pub fn decode(data: &str) -> Option<Value> {
    let inner = STANDARD.decode(data).ok()?;
    let bytes = STANDARD.decode(inner).ok()?;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .take(MAX_RELEASE)
            .read_to_end(&mut out)
            .ok()?;
        out
    } else {
        bytes
    };
    serde_json::from_slice(&bytes).ok()
}

/// The opposite of [`decode`].
pub fn encode(release: &Value) -> Result<String, std::io::Error> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(release.to_string().as_bytes())?;
    Ok(STANDARD.encode(STANDARD.encode(encoder.finish()?)))
}

/// The revision's number.
pub fn version(release: &Value) -> i64 {
    integer(release, "/version")
}

/// Helm's word for the state: `deployed`, `failed`, `pending-install`, …
pub fn status(release: &Value) -> &str {
    text(release, "/info/status")
}

/// Sets state and description.
pub fn set_status(release: &mut Value, status: &str, description: &str) {
    set(release, &["info", "status"], status.into());
    set(release, &["info", "description"], description.into());
}

/// The objects that a release's manifest holds.
pub fn objects(release: &Value) -> Result<Vec<Value>, String> {
    let documents = catalyst_yaml::documents(text(release, "/manifest"))
        .map_err(|why| format!("could not read the stored manifest: {why}"))?;
    Ok(flatten(documents))
}

/// Lists are their items.
pub fn flatten(documents: Vec<Value>) -> Vec<Value> {
    let mut out = Vec::new();
    for document in documents {
        if text(&document, "/kind").ends_with("List") && document.get("items").is_some() {
            out.extend(list(&document, "/items").iter().cloned());
        } else if !text(&document, "/kind").is_empty() {
            out.push(document);
        }
    }
    out
}

/// The value with the keys of all maps in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let sorted: Map<String, Value> = keys
                .into_iter()
                .filter_map(|key| Some((key.clone(), canonical(map.get(key)?))))
                .collect();
            Value::Object(sorted)
        }
        Value::Array(all) => Value::Array(all.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// `sha256:…` of a value whatever the order of its keys.
pub fn digest_of(value: &Value) -> String {
    digest(canonical(value).to_string().as_bytes())
}

/// What says whether a stored release is still the one that was observed.
pub fn observation(release: &Value) -> String {
    digest_of(&json!({
        "name": release.get("name"), "namespace": release.get("namespace"),
        "version": release.get("version"), "config": release.get("config"),
        "manifest": release.get("manifest"),
        "chart": release.pointer("/chart/metadata"),
        "status": release.pointer("/info/status"),
    }))
}

/// An entry of `status.history`.
pub fn snapshot(release: &Value, oci_digest: &str) -> Value {
    let seconds = |pointer: &str| {
        text(release, pointer)
            .parse::<jiff::Timestamp>()
            .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .ok()
    };
    let mut entry = json!({
        "apiVersion": "v2",
        "digest": observation(release),
        "name": text(release, "/name"),
        "namespace": text(release, "/namespace"),
        "version": version(release),
        "status": status(release),
        "chartName": text(release, "/chart/metadata/name"),
        "chartVersion": text(release, "/chart/metadata/version"),
        "appVersion": release.pointer("/chart/metadata/appVersion").map(|version| match version {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }).unwrap_or_default(),
        "configDigest": digest_of(release.get("config").unwrap_or(&Value::Null)),
        "firstDeployed": seconds("/info/first_deployed").unwrap_or_else(crate::json::now),
        "lastDeployed": seconds("/info/last_deployed").unwrap_or_else(crate::json::now),
    });
    if let Some(deleted) = seconds("/info/deleted") {
        set(&mut entry, &["deleted"], deleted.into());
    }
    if !oci_digest.is_empty() {
        set(&mut entry, &["ociDigest"], oci_digest.into());
    }
    entry
}

/// The releases of one name in one namespace.
pub struct Storage {
    pub api: Api,
    pub namespace: String,
    pub name: String,
}

impl Storage {
    fn secret_name(&self, version: i64) -> String {
        format!("sh.helm.release.v1.{}.v{version}", self.name)
    }

    fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    /// All revisions, oldest first.
    pub async fn history(&self) -> Result<Vec<Value>, ApiError> {
        let path = format!(
            "{}?labelSelector=owner%3Dhelm%2Cname%3D{}",
            self.collection(),
            self.name
        );
        let found = match self.api.list(&path).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all: Vec<Value> = list(&found, "/items")
            .iter()
            .filter_map(|secret| decode(text(secret, "/data/release")))
            .collect();
        all.sort_by_key(version);
        Ok(all)
    }

    fn secret(&self, release: &Value, time_label: &str) -> Result<Value, ApiError> {
        let data = encode(release).map_err(|why| ApiError {
            action: format!("store the release {}", self.name),
            code: 0,
            reason: String::new(),
            message: why.to_string(),
        })?;
        let seconds = jiff::Timestamp::now().as_second().to_string();
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.secret_name(version(release)),
                "namespace": self.namespace,
                "labels": {
                    "name": self.name,
                    "owner": "helm",
                    "status": status(release),
                    "version": version(release).to_string(),
                    time_label: seconds,
                },
            },
            "type": "helm.sh/release.v1",
            "data": {"release": data},
        }))
    }

    /// Stores a new revision.
    pub async fn create(&self, release: &Value) -> Result<(), ApiError> {
        let secret = self.secret(release, "createdAt")?;
        self.api.create(&self.collection(), &secret).await.map(drop)
    }

    /// Replaces a stored revision; one that is gone stays gone.
    pub async fn update(&self, release: &Value) -> Result<(), ApiError> {
        let secret = self.secret(release, "modifiedAt")?;
        let path = format!(
            "{}/{}",
            self.collection(),
            self.secret_name(version(release))
        );
        let patch = json!({
            "metadata": {"labels": secret.pointer("/metadata/labels")},
            "data": secret.get("data"),
        });
        match self.api.merge(&path, "helm-controller", &patch).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a stored revision.
    pub async fn delete(&self, version: i64) -> Result<(), ApiError> {
        let path = format!("{}/{}", self.collection(), self.secret_name(version));
        self.api.delete(&path, "Background").await.map(drop)
    }

    /// Removes the oldest revisions beyond `most` (0: none); what is deployed
    /// stays.
    pub async fn trim(&self, most: usize) -> Result<(), ApiError> {
        if most == 0 {
            return Ok(());
        }
        let all = self.history().await?;
        let surplus = all.len().saturating_sub(most);
        let old: Vec<i64> = all
            .iter()
            .filter(|release| status(release) != "deployed")
            .map(version)
            .take(surplus)
            .collect();
        for one in old {
            self.delete(one).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_survives_its_storage() {
        let release = json!({"name": "web", "version": 3, "info": {"status": "deployed"}, "manifest": "---\n# Source: x\na: 1\n"});
        let stored = encode(&release).unwrap();
        // Helm's own layers: base64 of base64 of gzip.
        let inner = STANDARD.decode(&stored).unwrap();
        let bytes = STANDARD.decode(inner).unwrap();
        assert!(bytes.starts_with(&[0x1f, 0x8b, 0x08]));
        assert_eq!(decode(&stored), Some(release));
        assert_eq!(decode("!"), None);
    }

    #[test]
    fn digests_do_not_depend_on_the_order_of_keys() {
        let one: Value =
            serde_json::from_str(r#"{"a":1,"b":{"c":[{"x":1,"y":2}],"d":2}}"#).unwrap();
        let two: Value =
            serde_json::from_str(r#"{"b":{"d":2,"c":[{"y":2,"x":1}]},"a":1}"#).unwrap();
        assert_eq!(digest_of(&one), digest_of(&two));
        assert_ne!(digest_of(&one), digest_of(&json!({"a": 1})));
    }

    #[test]
    fn an_observation_changes_with_what_matters_only() {
        let release =
            json!({"name": "web", "version": 1, "manifest": "m", "info": {"status": "deployed"}});
        let mut other = release.clone();
        other["info"]["description"] = "x".into();
        assert_eq!(observation(&release), observation(&other));
        other["manifest"] = "n".into();
        assert_ne!(observation(&release), observation(&other));
    }
}
