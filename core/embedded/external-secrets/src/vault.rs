//! The few requests that reading secrets takes (Vault HTTP API, KV version 2).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use serde_json::Value;
use zeroize::Zeroizing;

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// Why a secret was not read. Never holds a value or a token.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No answer.
    #[error("cannot reach the vault at {server} to read {path}")]
    Unreachable {
        /// The store's server.
        server: String,
        /// The secret's path.
        path: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The store's token may not read it.
    #[error("the vault does not let this store's token read {path}")]
    Denied {
        /// The secret's path.
        path: String,
    },
    /// Nothing there.
    #[error("the vault holds nothing at {path}")]
    Absent {
        /// The secret's path.
        path: String,
    },
    /// Something else.
    #[error("the vault answered {status} when {path} was read")]
    Refused {
        /// The secret's path.
        path: String,
        /// HTTP status.
        status: StatusCode,
    },
}

/// Where and with what a store reads.
pub struct VaultStore {
    /// Base URL.
    pub server: String,
    /// Mount of the KV engine.
    pub mount: String,
    /// Token.
    pub token: Zeroizing<String>,
}

impl VaultStore {
    /// The current version of a secret: its keys and values.
    pub async fn read(
        &self,
        http: &reqwest::Client,
        path: &str,
        version: Option<&str>,
    ) -> Result<BTreeMap<String, Value>, VaultError> {
        let encode = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        let mut url = format!(
            "{}/v1/{}/data/{}",
            self.server.trim_end_matches('/'),
            encode(self.mount.trim_matches('/')),
            encode(path.trim_matches('/'))
        );
        if let Some(version) = version {
            url = format!("{url}?version={}", encode(version));
        }
        let unreachable = |source: reqwest::Error| VaultError::Unreachable {
            server: self.server.clone(),
            path: path.to_owned(),
            source: source.without_url(),
        };
        let answer = http
            .get(url)
            .header("X-Vault-Token", self.token.as_str())
            .send()
            .await
            .map_err(unreachable)?;
        let path = path.to_owned();
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(VaultError::Denied { path }),
            StatusCode::NOT_FOUND => return Err(VaultError::Absent { path }),
            status => return Err(VaultError::Refused { path, status }),
        }
        let mut body: Value = answer.json().await.map_err(unreachable)?;
        match body.pointer_mut("/data/data").map(Value::take) {
            Some(Value::Object(fields)) => Ok(fields.into_iter().collect()),
            _ => Err(VaultError::Absent { path }),
        }
    }
}
