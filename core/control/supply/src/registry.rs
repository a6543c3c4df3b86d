//! A client of the OCI distribution protocol, as far as artifacts need it.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE},
};
use serde::{Deserialize, Serialize};

use crate::{
    Blob, Descriptor, Manifest, Reference,
    auth::{self, Challenge, Credentials},
    digest, media,
};

/// The largest manifest that is read (the specification's limit).
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// Why the registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer.
    #[error(
        "could not {action} {reference}: the registry did not answer; check its address and that it runs"
    )]
    Unreachable {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer that refuses.
    #[error("could not {action} {reference}: the registry answered {status}{}; {}", if detail.is_empty() { String::new() } else { format!(" ({detail})") }, next_step(*status))]
    Refused {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// The status.
        status: u16,
        /// The registry's own words.
        detail: String,
    },
    /// Bytes that are not what they are called.
    #[error(
        "could not {action} {reference}: the bytes received are {actual}, not {expected}; the registry or something before it altered them"
    )]
    Altered {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// What was asked for.
        expected: String,
        /// What came.
        actual: String,
    },
    /// An answer that makes no sense.
    #[error("could not {action} {reference}: {reason}")]
    Malformed {
        /// What was attempted.
        action: &'static str,
        /// On what.
        reference: String,
        /// What is wrong.
        reason: String,
    },
}

impl RegistryError {
    /// Whether the same request may do better later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Altered { .. } | Self::Malformed { .. } => false,
        }
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

fn next_step(status: u16) -> &'static str {
    match status {
        401 => "sign in with an account that may do this",
        // A right is missing, or the registry forbids it to everybody.
        403 => "do as it says, or sign in with an account that may do this",
        404 => "check the name and the version",
        413 => "make the artifact smaller or raise the registry's limit",
        429 | 500.. => "try again in a while",
        _ => "see the registry's log",
    }
}

/// An index of manifests: a list of referrers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Descriptor>,
}

/// A registry client. Cheap to share behind an `Arc`; tokens are kept per scope.
#[derive(Debug)]
pub struct Registry {
    client: reqwest::Client,
    credentials: Credentials,
    tokens: Mutex<BTreeMap<String, String>>,
}

impl Registry {
    /// A client that signs in with `credentials` wherever it is asked to. The
    /// HTTP client carries the trust in the registry's certificate.
    pub fn new(client: reqwest::Client, credentials: Credentials) -> Self {
        Self {
            client,
            credentials,
            tokens: Mutex::new(BTreeMap::new()),
        }
    }

    /// Pushes bytes, unless the registry has them.
    pub async fn push_blob(&self, at: &Reference, blob: &Blob) -> Result<(), RegistryError> {
        const ACTION: &str = "push to";
        let wanted = &blob.descriptor.digest;
        let url = at.url(&format!("blobs/{wanted}"));
        let head = self
            .send(at, ACTION, true, || self.client.head(&url))
            .await?;
        if head.status().is_success() {
            return Ok(());
        }
        let start = at.url("blobs/uploads/");
        let response = self
            .send(at, ACTION, true, || self.client.post(&start))
            .await?;
        let response = accept(at, ACTION, response).await?;
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| response.url().join(location).ok());
        let Some(mut location) = location else {
            return Err(malformed(at, ACTION, "the upload has no Location"));
        };
        location.query_pairs_mut().append_pair("digest", wanted);
        let response = self
            .send(at, ACTION, true, || {
                self.client
                    .put(location.clone())
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .body(blob.bytes.clone())
            })
            .await?;
        accept(at, ACTION, response).await.map(drop)
    }

    /// Pushes a manifest under a tag or its digest. True when the registry keeps
    /// the list of referrers itself.
    pub async fn push_manifest(
        &self,
        at: &Reference,
        target: &str,
        manifest: &Blob,
    ) -> Result<bool, RegistryError> {
        const ACTION: &str = "push to";
        let url = at.url(&format!("manifests/{target}"));
        let response = self
            .send(at, ACTION, true, || {
                self.client
                    .put(&url)
                    .header(CONTENT_TYPE, &manifest.descriptor.media_type)
                    .body(manifest.bytes.clone())
            })
            .await?;
        let response = accept(at, ACTION, response).await?;
        Ok(response.headers().contains_key("OCI-Subject"))
    }

    /// Pushes a manifest about another, with everything in it, and enters it in
    /// the tag of referrers where the registry keeps no list.
    pub async fn push_referrer(
        &self,
        at: &Reference,
        manifest: &Manifest,
        blobs: &[Blob],
    ) -> Result<Descriptor, RegistryError> {
        for blob in blobs {
            self.push_blob(at, blob).await?;
        }
        let blob = manifest
            .to_blob()
            .map_err(|error| malformed(at, "push to", &error.to_string()))?;
        let kept = self
            .push_manifest(at, &blob.descriptor.digest, &blob)
            .await?;
        let mut descriptor = blob.descriptor;
        descriptor.artifact_type.clone_from(&manifest.artifact_type);
        descriptor.annotations.clone_from(&manifest.annotations);
        if let (false, Some(subject)) = (kept, &manifest.subject) {
            let tag = subject.digest.replacen(':', "-", 1);
            let mut manifests = self.tagged_referrers(at, &tag).await?;
            manifests.retain(|known| known.digest != descriptor.digest);
            manifests.push(descriptor.clone());
            let index = Index {
                schema_version: 2,
                media_type: media::INDEX.to_owned(),
                manifests,
            };
            let bytes = serde_json::to_vec(&index)
                .map_err(|error| malformed(at, "push to", &error.to_string()))?;
            self.push_manifest(at, &tag, &Blob::new(media::INDEX, bytes))
                .await?;
        }
        Ok(descriptor)
    }

    /// A manifest's bytes by tag or digest; a digest is compared.
    pub async fn manifest(&self, at: &Reference, target: &str) -> Result<Bytes, RegistryError> {
        const ACTION: &str = "pull";
        let url = at.url(&format!("manifests/{target}"));
        let accepted = format!("{}, {}", media::MANIFEST, media::INDEX);
        let response = self
            .send(at, ACTION, false, || {
                self.client.get(&url).header(ACCEPT, &accepted)
            })
            .await?;
        let response = accept(at, ACTION, response).await?;
        let bytes = read(at, ACTION, response, MAX_MANIFEST).await?;
        if crate::reference::is_digest(target) {
            compare(at, ACTION, target, &bytes)?;
        }
        Ok(bytes)
    }

    /// A blob's bytes, compared with their digest and size.
    pub async fn blob(&self, at: &Reference, wanted: &Descriptor) -> Result<Bytes, RegistryError> {
        const ACTION: &str = "pull";
        let url = at.url(&format!("blobs/{}", wanted.digest));
        let response = self
            .send(at, ACTION, false, || self.client.get(&url))
            .await?;
        let response = accept(at, ACTION, response).await?;
        let bytes = read(at, ACTION, response, wanted.size).await?;
        compare(at, ACTION, &wanted.digest, &bytes)?;
        Ok(bytes)
    }

    /// What refers to a manifest, by the registry's list or by the tag.
    pub async fn referrers(
        &self,
        at: &Reference,
        subject: &str,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        const ACTION: &str = "list what refers to";
        let url = at.url(&format!("referrers/{subject}"));
        let response = self
            .send(at, ACTION, false, || self.client.get(&url))
            .await?;
        if response.status() == StatusCode::NOT_FOUND {
            return self
                .tagged_referrers(at, &subject.replacen(':', "-", 1))
                .await;
        }
        let response = accept(at, ACTION, response).await?;
        let bytes = read(at, ACTION, response, MAX_MANIFEST).await?;
        serde_json::from_slice::<Index>(&bytes)
            .map(|index| index.manifests)
            .map_err(|error| malformed(at, ACTION, &format!("the list is not an index: {error}")))
    }

    async fn tagged_referrers(
        &self,
        at: &Reference,
        tag: &str,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        match self.manifest(at, tag).await {
            Ok(bytes) => serde_json::from_slice::<Index>(&bytes)
                .map(|index| index.manifests)
                .map_err(|error| {
                    malformed(
                        at,
                        "pull",
                        &format!("the tag {tag} is not an index: {error}"),
                    )
                }),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Sends a request, signing in once when the registry asks for it.
    async fn send(
        &self,
        at: &Reference,
        action: &'static str,
        writes: bool,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let unreachable = |source: reqwest::Error| RegistryError::Unreachable {
            action,
            reference: at.to_string(),
            // The address may carry an upload's session, which is no one's business.
            source: source.without_url(),
        };
        let actions = if writes { "pull,push" } else { "pull" };
        let scope = format!("repository:{}:{actions}", at.repository);
        let key = format!("{} {scope}", at.origin());
        let token = self
            .tokens
            .lock()
            .ok()
            .and_then(|tokens| tokens.get(&key).cloned());
        let response = self
            .authorize(request(), token.as_deref())
            .send()
            .await
            .map_err(unreachable)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let challenge = response
            .headers()
            .get(WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok())
            .and_then(Challenge::parse);
        let Some(challenge) = challenge.filter(|challenge| challenge.scheme == "bearer") else {
            return Ok(response);
        };
        let token = auth::fetch_token(
            &self.client,
            &challenge,
            &at.host,
            &scope,
            &self.credentials,
        )
        .await
        .map_err(unreachable)?;
        let Some(token) = token else {
            return Ok(response);
        };
        let response = self
            .authorize(request(), Some(&token))
            .send()
            .await
            .map_err(unreachable)?;
        if let Ok(mut tokens) = self.tokens.lock() {
            tokens.insert(key, token);
        }
        Ok(response)
    }

    fn authorize(&self, request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
        let request = request.timeout(Duration::from_secs(300));
        match (token, &self.credentials) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Credentials::Bearer(token)) => request.bearer_auth(token),
            (None, Credentials::Basic { username, password }) => {
                request.basic_auth(username, Some(password))
            }
            (None, Credentials::Anonymous) => request,
        }
    }

    /// Whether the registry answers and lets these credentials in.
    pub async fn ping(&self, at: &Reference) -> Result<(), RegistryError> {
        const ACTION: &str = "reach the registry of";
        let url = format!("{}/v2/", at.origin());
        let response = self
            .send(at, ACTION, false, || self.client.request(Method::GET, &url))
            .await?;
        accept(at, ACTION, response).await.map(drop)
    }
}

async fn accept(
    at: &Reference,
    action: &'static str,
    response: Response,
) -> Result<Response, RegistryError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body = read(at, action, response, 64 * 1024)
        .await
        .unwrap_or_default();
    let detail = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|value| {
            value
                .pointer("/errors/0/message")
                .and_then(|message| message.as_str())
                .map(str::to_owned)
        })
        .unwrap_or_default();
    Err(RegistryError::Refused {
        action,
        reference: at.to_string(),
        status,
        detail,
    })
}

/// Reads a body of at most `limit` bytes.
async fn read(
    at: &Reference,
    action: &'static str,
    mut response: Response,
    limit: u64,
) -> Result<Bytes, RegistryError> {
    let mut bytes = BytesMut::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|source| RegistryError::Unreachable {
                action,
                reference: at.to_string(),
                source: source.without_url(),
            })?;
        let Some(chunk) = chunk else {
            return Ok(bytes.freeze());
        };
        if (bytes.len() + chunk.len()) as u64 > limit {
            let reason = format!("the answer is longer than the {limit} bytes expected");
            return Err(malformed(at, action, &reason));
        }
        bytes.extend_from_slice(&chunk);
    }
}

fn compare(
    at: &Reference,
    action: &'static str,
    expected: &str,
    bytes: &[u8],
) -> Result<(), RegistryError> {
    let actual = digest(bytes);
    if actual == expected {
        return Ok(());
    }
    Err(RegistryError::Altered {
        action,
        reference: at.to_string(),
        expected: expected.to_owned(),
        actual,
    })
}

fn malformed(at: &Reference, action: &'static str, reason: &str) -> RegistryError {
    RegistryError::Malformed {
        action,
        reference: at.to_string(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_forbids_everybody_is_no_matter_of_the_account_alone() {
        let refused = |status, detail: &str| {
            let error = RegistryError::Refused {
                action: "push to",
                reference: "r/catalog/bp-wiki:1.0.0".to_owned(),
                status,
                detail: detail.to_owned(),
            };
            error.to_string()
        };
        assert_eq!(
            refused(403, "publish it under a new version"),
            "could not push to r/catalog/bp-wiki:1.0.0: the registry answered 403 (publish it under a new version); do as it says, or sign in with an account that may do this"
        );
        assert_eq!(
            refused(401, ""),
            "could not push to r/catalog/bp-wiki:1.0.0: the registry answered 401; sign in with an account that may do this"
        );
    }
}
