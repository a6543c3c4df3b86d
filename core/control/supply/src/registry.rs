//! A client of the OCI distribution protocol, as far as artifacts need it.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, LINK, WWW_AUTHENTICATE},
};
use serde::{Deserialize, Serialize};

use crate::{
    Blob, Descriptor, Manifest, Reference, RegistryError,
    auth::{self, Access, Challenge, Credentials},
    digest,
    error::{accept, malformed},
    media,
    reference::{is_digest, is_tag},
    upload::CHUNK,
};

/// The largest manifest that is read (the specification's limit).
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// The largest blob that is read: twice what an archive in an artifact may hold.
const MAX_BLOB: u64 = 128 * 1024 * 1024;
/// The most pages of one list that are read.
const MAX_PAGES: usize = 64;
/// The most blobs whose place is remembered.
const MAX_PLACES: usize = 4096;

/// How long things may take. A registry that is slower is taken for one that does
/// not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A request without much in it, answer and all.
    pub answer: Duration,
    /// A request that carries a blob, one way or the other.
    pub transfer: Duration,
    /// Everything that is asked for one verdict on a signature.
    pub verdict: Duration,
    /// Before an upload is taken up that broke off twice without getting further;
    /// longer each time.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            transfer: Duration::from_secs(300),
            verdict: Duration::from_secs(90),
            pause: Duration::from_millis(200),
        }
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
    pub(crate) client: Client,
    credentials: Credentials,
    tokens: Mutex<BTreeMap<String, String>>,
    /// Origin and digest → a repository that has the blob, to take it from there.
    places: Mutex<BTreeMap<(String, String), String>>,
    pub(crate) patience: Patience,
    pub(crate) chunk: usize,
}

impl Registry {
    /// A client that signs in with `credentials` wherever it is asked to. The
    /// HTTP client carries the trust in the registry's certificate.
    pub fn new(client: Client, credentials: Credentials) -> Self {
        Self {
            client,
            credentials,
            tokens: Mutex::new(BTreeMap::new()),
            places: Mutex::new(BTreeMap::new()),
            patience: Patience::default(),
            chunk: CHUNK,
        }
    }

    /// The same with other limits of time.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The same, sending blobs in pieces of this many bytes, at least 1, unless the
    /// registry asks for larger ones; 8 MiB unless this is called.
    #[must_use]
    pub fn with_chunk(mut self, bytes: usize) -> Self {
        self.chunk = bytes.max(1);
        self
    }

    /// Remembers that a repository has a blob.
    pub(crate) fn remember(&self, at: &Reference, digest: &str) {
        if let Ok(mut places) = self.places.lock() {
            if places.len() >= MAX_PLACES {
                places.clear();
            }
            places.insert((at.origin(), digest.to_owned()), at.repository.clone());
        }
    }

    /// Another repository of the same registry that has a blob, if one is known.
    pub(crate) fn place(&self, at: &Reference, digest: &str) -> Option<String> {
        let places = self.places.lock().ok()?;
        places
            .get(&(at.origin(), digest.to_owned()))
            .filter(|repository| **repository != at.repository)
            .cloned()
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
            .send(at, ACTION, Access::Push, || {
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
        self.manifest_within(at, target, MAX_MANIFEST).await
    }

    /// The same of at most `most` bytes.
    pub(crate) async fn manifest_within(
        &self,
        at: &Reference,
        target: &str,
        most: u64,
    ) -> Result<Bytes, RegistryError> {
        const ACTION: &str = "pull";
        if !is_digest(target) && !is_tag(target) {
            let reason = "the manifest asked for is named neither by a tag nor by a digest";
            return Err(malformed(at, ACTION, reason));
        }
        let url = at.url(&format!("manifests/{target}"));
        let accepted = format!("{}, {}", media::MANIFEST, media::INDEX);
        let response = self
            .send(at, ACTION, Access::Pull, || {
                self.client.get(&url).header(ACCEPT, &accepted)
            })
            .await?;
        let response = accept(at, ACTION, response).await?;
        let bytes = read(at, ACTION, response, most).await?;
        if is_digest(target) {
            compare(at, ACTION, target, &bytes)?;
        }
        Ok(bytes)
    }

    /// A blob's bytes, compared with their digest and size.
    pub async fn blob(&self, at: &Reference, wanted: &Descriptor) -> Result<Bytes, RegistryError> {
        const ACTION: &str = "pull";
        // Digest and size are the word of a manifest, whoever wrote that.
        if !is_digest(&wanted.digest) {
            return Err(malformed(
                at,
                ACTION,
                "a part of it is named by something else than sha256: and 64 hexadecimal digits",
            ));
        }
        if wanted.size > MAX_BLOB {
            let reason = format!(
                "a part of it is said to have {} bytes, more than the {MAX_BLOB} that are read",
                wanted.size
            );
            return Err(malformed(at, ACTION, &reason));
        }
        let url = at.url(&format!("blobs/{}", wanted.digest));
        let response = self
            .send(at, ACTION, Access::Pull, || {
                self.client.get(&url).timeout(self.patience.transfer)
            })
            .await?;
        let response = accept(at, ACTION, response).await?;
        let bytes = read(at, ACTION, response, wanted.size).await?;
        compare(at, ACTION, &wanted.digest, &bytes)?;
        Ok(bytes)
    }

    /// What refers to a manifest, by the registry's list, to its last page, or by the
    /// tag.
    pub async fn referrers(
        &self,
        at: &Reference,
        subject: &str,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        const ACTION: &str = "list what refers to";
        let mut url = at.url(&format!("referrers/{subject}"));
        let mut found = Vec::new();
        let mut left = MAX_MANIFEST;
        for page in 0..MAX_PAGES {
            let response = self
                .send(at, ACTION, Access::Pull, || self.client.get(&url))
                .await?;
            if page == 0 && response.status() == StatusCode::NOT_FOUND {
                return self
                    .tagged_referrers(at, &subject.replacen(':', "-", 1))
                    .await;
            }
            let response = accept(at, ACTION, response).await?;
            let following =
                following(at, &url, &response).map_err(|reason| malformed(at, ACTION, reason))?;
            let bytes = read(at, ACTION, response, left).await?;
            left = left.saturating_sub(bytes.len() as u64);
            let index: Index = serde_json::from_slice(&bytes).map_err(|error| {
                malformed(at, ACTION, &format!("the list is not an index: {error}"))
            })?;
            found.extend(index.manifests);
            match following {
                Some(following) => url = following,
                None => return Ok(found),
            }
        }
        let reason = format!("the list has more than the {MAX_PAGES} pages that are read");
        Err(malformed(at, ACTION, &reason))
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
    pub(crate) async fn send(
        &self,
        at: &Reference,
        action: &'static str,
        access: Access<'_>,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let scopes = access.scopes(at);
        let key = format!("{} {}", at.origin(), scopes.join(" "));
        let token = self
            .tokens
            .lock()
            .ok()
            .and_then(|tokens| tokens.get(&key).cloned());
        let response = self.once(at, action, request(), token.as_deref()).await?;
        // Only the registry itself may say where passwords go, not a place that it
        // redirects to.
        if response.status() != StatusCode::UNAUTHORIZED || !at.is_origin_of(response.url()) {
            return Ok(response);
        }
        let challenge = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?))
            .find(|challenge| challenge.scheme == "bearer");
        let Some(challenge) = challenge else {
            return Ok(response);
        };
        let token = auth::fetch_token(
            &self.client,
            &challenge,
            (at, action),
            &scopes,
            &self.credentials,
            &self.patience,
        )
        .await?;
        let Some(token) = token else {
            return Ok(response);
        };
        let response = self.once(at, action, request(), Some(&token)).await?;
        if let Ok(mut tokens) = self.tokens.lock() {
            tokens.insert(key, token);
        }
        Ok(response)
    }

    /// Sends a request as it is, with what signs it in if it goes to the registry
    /// itself: an upload's address is the registry's word, and may be elsewhere.
    async fn once(
        &self,
        at: &Reference,
        action: &'static str,
        request: RequestBuilder,
        token: Option<&str>,
    ) -> Result<Response, RegistryError> {
        let failed = |source| RegistryError::failed(at, action, source);
        let (client, request) = request.build_split();
        let mut request = request.map_err(failed)?;
        request.timeout_mut().get_or_insert(self.patience.answer);
        let is_own = at.is_origin_of(request.url());
        let request = RequestBuilder::from_parts(client, request);
        let request = match (token, &self.credentials) {
            _ if !is_own => request,
            (Some(token), _) => request.bearer_auth(token),
            (None, Credentials::Bearer(token)) => request.bearer_auth(token),
            (None, Credentials::Basic { username, password }) => {
                request.basic_auth(username, Some(password))
            }
            (None, Credentials::Anonymous | Credentials::Identity(_)) => request,
        };
        request.send().await.map_err(failed)
    }

    /// Whether the registry answers and lets these credentials in.
    pub async fn ping(&self, at: &Reference) -> Result<(), RegistryError> {
        const ACTION: &str = "reach the registry of";
        let url = format!("{}/v2/", at.origin());
        let response = self
            .send(at, ACTION, Access::Pull, || self.client.get(&url))
            .await?;
        accept(at, ACTION, response).await.map(drop)
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(
    at: &Reference,
    action: &'static str,
    mut response: Response,
    limit: u64,
) -> Result<Bytes, RegistryError> {
    let too_long = || {
        let reason = format!("the answer is longer than the {limit} bytes expected");
        malformed(at, action, &reason)
    };
    if response
        .content_length()
        .is_some_and(|length| length > limit)
    {
        return Err(too_long());
    }
    let mut bytes = BytesMut::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|source| RegistryError::failed(at, action, source))?;
        let Some(chunk) = chunk else {
            return Ok(bytes.freeze());
        };
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// Where a list goes on that is not at its end (OCI distribution specification 1.1,
/// "Listing Referrers"; RFC 8288). That has to be in the same registry.
fn following(
    at: &Reference,
    url: &str,
    response: &Response,
) -> Result<Option<String>, &'static str> {
    let links = response.headers().get_all(LINK).iter();
    let mut targets = links.filter_map(|link| next_of(link.to_str().ok()?));
    let Some(target) = targets.next() else {
        return Ok(None);
    };
    let next = Url::parse(url).and_then(|url| url.join(target));
    match next {
        Ok(next) if at.is_origin_of(&next) => Ok(Some(next.to_string())),
        _ => Err("the list goes on at a place that is not in the registry"),
    }
}

/// The target of a link to what comes next.
fn next_of(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"') == "next"
    };
    parameters.split(';').any(is_next).then_some(target)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_what_comes_next_is_told_from_others() {
        for (link, expected) in [
            (
                "</v2/a/referrers/x?last=1>; rel=\"next\"",
                Some("/v2/a/referrers/x?last=1"),
            ),
            (
                "<https://r.example/x>;rel=next",
                Some("https://r.example/x"),
            ),
            (" <x>; title=\"a\"; REL=\"next\"", Some("x")),
            ("<x>; rel=\"prev\"", None),
            ("<x>", None),
            ("x; rel=\"next\"", None),
            ("<x; rel=\"next\"", None),
            ("", None),
        ] {
            assert_eq!(next_of(link), expected, "{link}");
        }
    }
}
