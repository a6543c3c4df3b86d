//! KV version 2: secrets with versions, check-and-set, soft deletion and
//! destruction. One sealed record a secret, at `vault/kv/<path>`, changed only
//! under the condition that nobody else changed it meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_store::{CommitError, Condition, Revision, Transaction};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Inner;
use crate::durations;
use crate::http::Failure;

const KV: &str = "vault/kv/";

/// Versions kept when nothing else was said.
const KEPT: u64 = 10;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Secret {
    created: Timestamp,
    updated: Timestamp,
    current: u64,
    versions: BTreeMap<u64, Version>,
    #[serde(default)]
    settings: Settings,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Settings {
    max_versions: u64,
    cas_required: bool,
    delete_version_after: u64,
    custom: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Version {
    created: Timestamp,
    /// When it was, or will be, deleted.
    deleted: Option<Timestamp>,
    is_destroyed: bool,
    data: Option<Value>,
}

/// What is done to some versions of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Delete,
    Undelete,
    Destroy,
}

/// The outcome of a read.
pub(crate) enum Read {
    /// The data, and beside it the version's metadata.
    Found(Value),
    /// There was such a version; only its metadata is left.
    Gone(Value),
    Missing,
}

impl Secret {
    fn new(now: Timestamp) -> Self {
        Self {
            created: now,
            updated: now,
            current: 0,
            versions: BTreeMap::new(),
            settings: Settings::default(),
        }
    }

    fn version_view(&self, number: u64, version: &Version) -> Value {
        json!({
            "created_time": version.created.to_string(),
            "custom_metadata": self.settings.custom,
            "deletion_time": version.deleted.map_or_else(String::new, |it| it.to_string()),
            "destroyed": version.is_destroyed,
            "version": number,
        })
    }

    /// Adds a version and drops those beyond the number kept.
    fn push(&mut self, data: Value, now: Timestamp) -> Value {
        let after = self.settings.delete_version_after;
        let deleted = (after > 0)
            .then(|| i64::try_from(after).ok())
            .flatten()
            .and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
        self.current += 1;
        self.updated = now;
        let version = Version {
            created: now,
            deleted,
            is_destroyed: false,
            data: Some(data),
        };
        let view = self.version_view(self.current, &version);
        self.versions.insert(self.current, version);
        self.trim();
        view
    }

    fn trim(&mut self) {
        let kept = match self.settings.max_versions {
            0 => KEPT,
            kept => kept,
        };
        let oldest = (self.current + 1).saturating_sub(kept);
        self.versions.retain(|number, _| *number >= oldest);
    }

    /// The data of the current version, if it can be read.
    fn readable(&self, number: u64, now: Timestamp) -> Option<&Value> {
        self.versions.get(&number)?.readable(now)
    }

    /// Refuses a write that was prepared for another version.
    fn check_cas(&self, options: &Value) -> Result<(), Failure> {
        match options.get("cas") {
            None | Some(Value::Null) if self.settings.cas_required => Err(Failure::bad_request(
                "check-and-set parameter required for this call",
            )),
            None | Some(Value::Null) => Ok(()),
            Some(value) => {
                let asked = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                match asked {
                    Some(asked) if asked == self.current => Ok(()),
                    Some(_) => Err(Failure::bad_request(
                        "check-and-set parameter did not match the current version",
                    )),
                    None => Err(Failure::bad_request(
                        "the `cas` option must be a version's number",
                    )),
                }
            }
        }
    }
}

impl Version {
    fn readable(&self, now: Timestamp) -> Option<&Value> {
        if self.is_destroyed || self.deleted.is_some_and(|deleted| deleted <= now) {
            None
        } else {
            self.data.as_ref()
        }
    }
}

impl Inner {
    /// Whether something was ever written there: decides between `create` and
    /// `update`.
    pub(crate) fn kv_exists(&self, path: &str) -> bool {
        self.store.get(format!("{KV}{path}")).is_some()
    }

    /// Reads a version, 0 for the current one.
    pub(crate) fn kv_read(&self, path: &str, number: u64) -> Read {
        let Some((secret, _)) = self.kv_get(path) else {
            return Read::Missing;
        };
        let number = if number == 0 { secret.current } else { number };
        let Some(version) = secret.versions.get(&number) else {
            return Read::Missing;
        };
        let metadata = secret.version_view(number, version);
        match version.readable(self.now()) {
            Some(data) => Read::Found(json!({"data": data, "metadata": metadata})),
            None => Read::Gone(json!({"data": null, "metadata": metadata})),
        }
    }

    /// Writes a new version; returns its metadata.
    pub(crate) async fn kv_write(
        &self,
        path: &str,
        data: Value,
        options: &Value,
    ) -> Result<Value, Failure> {
        self.kv_change(path, true, |secret, now| {
            secret.check_cas(options)?;
            Ok(secret.push(data.clone(), now))
        })
        .await
    }

    /// Merges into the current version (RFC 7396) and writes the result.
    pub(crate) async fn kv_patch(
        &self,
        path: &str,
        patch: &Value,
        options: &Value,
    ) -> Result<Value, Failure> {
        self.kv_change(path, false, |secret, now| {
            secret.check_cas(options)?;
            let mut data = secret
                .readable(secret.current, now)
                .cloned()
                .ok_or_else(Failure::missing)?;
            merge(&mut data, patch);
            Ok(secret.push(data, now))
        })
        .await
    }

    /// Deletes, restores or destroys versions; an empty list means the current
    /// one. Versions that do not exist are passed over.
    pub(crate) async fn kv_decide(
        &self,
        path: &str,
        numbers: &[u64],
        fate: Fate,
    ) -> Result<(), Failure> {
        let outcome = self
            .kv_change(path, false, |secret, now| {
                let current = [secret.current];
                let numbers = if numbers.is_empty() {
                    &current[..]
                } else {
                    numbers
                };
                for number in numbers {
                    let Some(version) = secret.versions.get_mut(number) else {
                        continue;
                    };
                    match fate {
                        Fate::Delete if version.readable(now).is_some() => {
                            version.deleted = Some(now);
                        }
                        Fate::Undelete if !version.is_destroyed => version.deleted = None,
                        Fate::Destroy => {
                            version.is_destroyed = true;
                            version.data = None;
                        }
                        Fate::Delete | Fate::Undelete => {}
                    }
                }
                secret.updated = now;
                Ok(Value::Null)
            })
            .await;
        match outcome {
            Err(failure) if failure.is_missing() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    pub(crate) fn kv_metadata(&self, path: &str) -> Option<Value> {
        let (secret, _) = self.kv_get(path)?;
        let versions: Map<String, Value> = secret
            .versions
            .iter()
            .map(|(number, version)| {
                let view = json!({
                    "created_time": version.created.to_string(),
                    "deletion_time": version.deleted.map_or_else(String::new, |it| it.to_string()),
                    "destroyed": version.is_destroyed,
                });
                (number.to_string(), view)
            })
            .collect();
        Some(json!({
            "cas_required": secret.settings.cas_required,
            "created_time": secret.created.to_string(),
            "current_version": secret.current,
            "custom_metadata": secret.settings.custom,
            "delete_version_after": durations::format(secret.settings.delete_version_after),
            "max_versions": secret.settings.max_versions,
            "oldest_version": secret.versions.keys().next().copied().unwrap_or(0),
            "updated_time": secret.updated.to_string(),
            "versions": versions,
        }))
    }

    /// Changes a secret's settings. A merge changes custom metadata key by
    /// key; otherwise it is replaced. Only an ordinary write may make a secret
    /// that has no versions yet.
    pub(crate) async fn kv_configure(
        &self,
        path: &str,
        body: &Value,
        is_merge: bool,
    ) -> Result<(), Failure> {
        self.kv_change(path, !is_merge, |secret, now| {
            let settings = &mut secret.settings;
            let wrong = |name: &str| Failure::bad_request(format!("`{name}` cannot be read"));
            if let Some(value) = body.get("max_versions") {
                settings.max_versions = value.as_u64().ok_or_else(|| wrong("max_versions"))?;
            }
            if let Some(value) = body.get("cas_required") {
                settings.cas_required = value.as_bool().ok_or_else(|| wrong("cas_required"))?;
            }
            if let Some(value) = body.get("delete_version_after") {
                settings.delete_version_after =
                    durations::parse(value).ok_or_else(|| wrong("delete_version_after"))?;
            }
            if let Some(value) = body.get("custom_metadata") {
                settings.custom = custom_metadata(settings.custom.take(), value, is_merge)
                    .ok_or_else(|| wrong("custom_metadata"))?;
            }
            secret.updated = now;
            secret.trim();
            Ok(Value::Null)
        })
        .await
        .map(drop)
    }

    /// Removes a secret with all versions, for good.
    pub(crate) async fn kv_purge(&self, path: &str) -> Result<(), Failure> {
        self.store
            .commit(Transaction::new().delete(format!("{KV}{path}")))
            .await?;
        Ok(())
    }

    /// The names one level below a folder (empty, or ending in `/`); those
    /// that are folders themselves end in `/`.
    pub(crate) fn kv_list(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{KV}{folder}");
        let page = self.store.range(&prefix, None, 0);
        let names: BTreeSet<String> = page
            .entries
            .iter()
            .filter_map(|entry| std::str::from_utf8(&entry.key).ok()?.strip_prefix(&prefix))
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => format!("{name}/"),
                None => rest.to_owned(),
            })
            .collect();
        names.into_iter().collect()
    }

    fn kv_get(&self, path: &str) -> Option<(Secret, Revision)> {
        self.get_record(&format!("{KV}{path}"))
    }

    async fn kv_change(
        &self,
        path: &str,
        may_create: bool,
        change: impl Fn(&mut Secret, Timestamp) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        let key = format!("{KV}{path}");
        loop {
            let now = self.now();
            let is_there = self.store.get(&key).is_some();
            let (mut secret, condition) = match self.kv_get(path) {
                Some((secret, modified)) => {
                    (secret, Condition::Unmodified(key.clone().into(), modified))
                }
                // A record that cannot be opened is not overwritten.
                None if is_there => return Err(Failure::sealing()),
                None if may_create => (Secret::new(now), Condition::Absent(key.clone().into())),
                None => return Err(Failure::missing()),
            };
            let answer = change(&mut secret, now)?;
            let sealed = self.close_record(&key, &secret)?;
            let transaction = Transaction::new().when(condition).put(key.clone(), sealed);
            match self.store.commit(transaction).await {
                Ok(_) => return Ok(answer),
                // Someone was quicker: decide again on what is there now.
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads and opens a record. One that cannot be opened counts as absent,
    /// with a word in the log (never its content).
    pub(crate) fn get_record<T: DeserializeOwned>(&self, key: &str) -> Option<(T, Revision)> {
        let entry = self.store.get(key)?;
        let Some(text) = self.seal.open(key, &entry.value) else {
            tracing::error!(key, "vault record cannot be opened");
            return None;
        };
        match serde_json::from_slice(&text) {
            Ok(record) => Some((record, entry.modified)),
            Err(_) => {
                tracing::error!(key, "vault record cannot be read");
                None
            }
        }
    }

    /// Seals a record for its key.
    pub(crate) fn close_record<T: Serialize>(
        &self,
        key: &str,
        record: &T,
    ) -> Result<Vec<u8>, Failure> {
        let text = serde_json::to_vec(record).map_err(|_| Failure::sealing())?;
        let text = zeroize::Zeroizing::new(text);
        self.seal.close(key, &text).ok_or_else(Failure::sealing)
    }
}

/// New custom metadata: texts only, at most 64 of them. The outer `None` means
/// that the value does not fit.
fn custom_metadata(
    held: Option<Map<String, Value>>,
    value: &Value,
    is_merge: bool,
) -> Option<Option<Map<String, Value>>> {
    let Value::Object(given) = value else {
        return value.is_null().then_some(None);
    };
    let mut result = if is_merge {
        held.unwrap_or_default()
    } else {
        Map::new()
    };
    for (name, value) in given {
        match value {
            Value::String(text) if name.len() <= 128 && text.len() <= 512 => {
                result.insert(name.clone(), value.clone());
            }
            Value::Null if is_merge => {
                result.remove(name);
            }
            _ => return None,
        }
    }
    (result.len() <= 64).then_some(Some(result))
}

/// JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
