//! Secrets, over the Vault HTTP API: KV version 2 at the mount `secret`,
//! policies and tokens.
//!
//! What must stay true: a value leaves this module only as the caller's own
//! [`Secret`], whose `Debug` text shows names and never values.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use crate::PortError;
use crate::http::{Credentials, Surface, segment, segments};

/// A secret's newest version.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Counts up from 1.
    pub version: u64,
    /// Its keys and values.
    pub data: BTreeMap<String, Zeroizing<String>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("version", &self.version)
            .field("keys", &self.data.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A token to be made. It has no parent, so it outlives the control plane's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewToken {
    /// Names of its policies.
    pub policies: Vec<String>,
    /// What listings show.
    pub display_name: String,
    /// Ends after so many seconds unless it is renewed; the vault's default if
    /// absent.
    pub ttl_seconds: Option<u64>,
    /// Each renewal gives so many seconds again, without an end.
    pub period_seconds: Option<u64>,
}

/// A token that was made.
#[derive(Clone)]
pub struct VaultToken {
    /// The token; the vault does not tell it again.
    pub token: Zeroizing<String>,
    /// By this it can be revoked, and nothing else.
    pub accessor: String,
}

impl fmt::Debug for VaultToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VaultToken")
            .field("accessor", &self.accessor)
            .finish_non_exhaustive()
    }
}

/// A client of the vault; clones share it.
#[derive(Clone)]
pub struct Vault {
    surface: Surface,
}

#[derive(Deserialize)]
struct Enveloped<T> {
    data: T,
}

#[derive(Deserialize)]
struct Read {
    data: Option<BTreeMap<String, serde_json::Value>>,
    metadata: Version,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Authorized {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    accessor: String,
}

impl Vault {
    /// A vault at a base URL, below which `/v1/…` is served, asked with a token
    /// that may manage secrets, policies and tokens.
    pub fn new(http: reqwest::Client, base: Url, token: Zeroizing<String>) -> Self {
        let credentials = Credentials::Header("x-vault-token", token);
        let mut surface = Surface::new("vault", http, &base, credentials);
        surface.descend("/v1");
        Self { surface }
    }

    /// Writes a new version of a secret and returns its number. With `cas`, a
    /// conflict unless that is the newest version; 0 stands for "absent".
    pub async fn secret_put(
        &self,
        path: &str,
        data: &BTreeMap<String, Zeroizing<String>>,
        cas: Option<u64>,
    ) -> Result<u64, PortError> {
        let plain: BTreeMap<&str, &str> = data
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let options = match cas {
            Some(version) => json!({"cas": version}),
            None => json!({}),
        };
        let answer = self
            .surface
            .call(
                Method::POST,
                &place("data", path),
                format!("write the secret {path}"),
            )
            .json(&json!({"data": plain, "options": options}))
            .answer()
            .await?;
        // Vault says 400 of a failed comparison too.
        if answer.status.as_u16() == 400 && answer.reason().contains("check-and-set") {
            return Err(answer.conflict());
        }
        let written: Enveloped<Version> = answer.ok()?.decode()?;
        Ok(written.data.version)
    }

    /// Writes a secret where there is none. That it is there with the same values is
    /// fine; a conflict where it has others, which stay.
    pub async fn secret_keep(
        &self,
        path: &str,
        data: &BTreeMap<String, Zeroizing<String>>,
    ) -> Result<(), PortError> {
        match self.secret_put(path, data, Some(0)).await {
            Err(error) if error.is_conflict() => match self.secret_get(path).await? {
                Some(found) if found.data == *data => Ok(()),
                _ => Err(error),
            },
            outcome => outcome.map(drop),
        }
    }

    /// A secret's newest version; `None` when there is none, or it was deleted.
    pub async fn secret_get(&self, path: &str) -> Result<Option<Secret>, PortError> {
        let call = self.surface.call(
            Method::GET,
            &place("data", path),
            format!("read the secret {path}"),
        );
        let found: Option<Enveloped<Read>> = call.find().await?;
        let Some(Enveloped { data: read }) = found else {
            return Ok(None);
        };
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(read.data.map(|data| Secret {
            version: read.metadata.version,
            data: data
                .into_iter()
                .map(|(key, value)| (key, Zeroizing::new(text(value))))
                .collect(),
        }))
    }

    /// Removes a secret with all its versions.
    pub async fn secret_delete_all(&self, path: &str) -> Result<(), PortError> {
        self.surface
            .call(
                Method::DELETE,
                &place("metadata", path),
                format!("delete the secret {path}"),
            )
            .exists()
            .await
            .map(drop)
    }

    /// What lies in a folder: secrets by name, folders with a slash at the end.
    pub async fn secret_list(&self, folder: &str) -> Result<Vec<String>, PortError> {
        let folder = folder.trim_end_matches('/');
        let found: Option<Enveloped<Keys>> = self
            .surface
            .call(
                Method::GET,
                &place("metadata", folder),
                format!("list the secrets below {folder}"),
            )
            .query(&[("list", "true")])
            .find()
            .await?;
        Ok(found.map(|it| it.data.keys).unwrap_or_default())
    }

    /// Writes a policy, in Vault's HCL.
    pub async fn policy_put(&self, name: &str, policy: &str) -> Result<(), PortError> {
        self.surface
            .call(
                Method::PUT,
                &format!("/sys/policies/acl/{}", segment(name)),
                format!("write the vault's policy {name}"),
            )
            .json(&json!({"policy": policy}))
            .ok()
            .await
            .map(drop)
    }

    /// Removes a policy; tokens that have it lose what it granted at once.
    pub async fn policy_delete(&self, name: &str) -> Result<(), PortError> {
        self.surface
            .call(
                Method::DELETE,
                &format!("/sys/policies/acl/{}", segment(name)),
                format!("delete the vault's policy {name}"),
            )
            .exists()
            .await
            .map(drop)
    }

    /// Makes a token.
    pub async fn token_create(&self, new: NewToken) -> Result<VaultToken, PortError> {
        let seconds = |value: Option<u64>| value.map(|seconds| format!("{seconds}s"));
        let mut body = json!({
            "policies": new.policies, "display_name": new.display_name, "renewable": true,
        });
        if let Some(fields) = body.as_object_mut() {
            for (name, value) in [
                ("ttl", seconds(new.ttl_seconds)),
                ("period", seconds(new.period_seconds)),
            ] {
                if let Some(value) = value {
                    fields.insert(name.to_owned(), json!(value));
                }
            }
        }
        let made: Authorized = self
            .surface
            .call(
                Method::POST,
                "/auth/token/create-orphan",
                format!("make the vault token {}", new.display_name),
            )
            .json(&body)
            .read()
            .await?;
        Ok(VaultToken {
            token: Zeroizing::new(made.auth.client_token),
            accessor: made.auth.accessor,
        })
    }

    /// Ends a token by its accessor; one that ended already is fine.
    pub async fn token_revoke_accessor(&self, accessor: &str) -> Result<(), PortError> {
        let answer = self
            .surface
            .call(
                Method::POST,
                "/auth/token/revoke-accessor",
                "revoke a vault token",
            )
            .json(&json!({"accessor": accessor}))
            .answer()
            .await?;
        // What is no accessor (any more) is refused as invalid.
        let is_gone = matches!(answer.status.as_u16(), 400 | 403 | 404)
            && answer.reason().contains("invalid accessor");
        if is_gone {
            return Ok(());
        }
        answer.ok().map(drop)
    }
}

fn place(kind: &str, path: &str) -> String {
    format!("/secret/{kind}/{}", segments(path.trim_matches('/')))
}
