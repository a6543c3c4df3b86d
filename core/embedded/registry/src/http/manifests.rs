//! Storing, reading and removing manifests.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use catalyst_names::BlueprintName;
use catalyst_store::CommitError;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::blobs::matches_etag;
use super::{CONTENT_DIGEST, Outcome, header_value, reply};
use crate::Inner;
use crate::digest::{Algorithm, Digest};
use crate::errors::{Code, OciError};
use crate::events::Change;
use crate::manifests::{
    DOCKER_LIST, DOCKER_MANIFEST, Manifest, OCI_INDEX, OCI_MANIFEST, default_platform, is_accepted,
    parse,
};
use crate::metadata::{LinkError, ManifestLink, NewManifest};
use crate::names::{Reference, RepositoryName, Tag};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

pub(super) async fn put(
    inner: &Arc<Inner>,
    repository: &RepositoryName,
    reference: &str,
    parts: Parts,
    body: Body,
) -> Outcome {
    let reference: Reference = reference.parse().map_err(|error: crate::NameError| {
        OciError::bad_request(Code::ManifestInvalid, error.to_string())
    })?;
    let body = read_body(body, inner.limits.manifest_bytes).await?;
    let algorithm = match &reference {
        Reference::Digest(digest) => digest.algorithm(),
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let digest = Digest::of(algorithm, &body);
    if let Reference::Digest(expected) = &reference
        && *expected != digest
    {
        let message = format!("the manifest received has the digest {digest}, not {expected}");
        return Err(OciError::bad_request(Code::DigestInvalid, message));
    }
    let content_type = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let manifest = parse(content_type, &body)
        .map_err(|error| OciError::bad_request(Code::ManifestInvalid, error.to_string()))?;
    let link = ManifestLink {
        media_type: manifest.media_type.clone(),
        size: body.len() as u64,
        pushed: inner.now(),
        subject: manifest.subject.clone(),
        blobs: manifest
            .blobs
            .iter()
            .map(|blob| blob.digest.clone())
            .collect(),
        manifests: manifest
            .manifests
            .iter()
            .map(|child| child.digest.clone())
            .collect(),
    };
    let referrer = manifest.referrer(&digest, body.len());
    let tag = match &reference {
        Reference::Tag(tag) => Some(tag.clone()),
        Reference::Digest(_) => None,
    };

    // From here to the commit, collection must not remove what we rely on. The
    // work is a task of its own, so a client that leaves cannot end it halfway.
    let task = {
        let inner = inner.clone();
        let repository = repository.clone();
        let digest = digest.clone();
        let link = link.clone();
        tokio::spawn(async move {
            let _gate = inner.gate.read().await;
            check_references(&inner, &repository, &manifest)?;
            let written = inner.blobs.write(&digest, body).await;
            written.map_err(|error| OciError::disk("store the manifest", &error))?;
            let is_there = inner.metadata.manifest(&repository, &digest).is_some();
            let named = tag
                .as_ref()
                .map(|tag| inner.metadata.tag(&repository, tag).as_ref() == Some(&digest));
            let new = NewManifest {
                repository: &repository,
                digest: &digest,
                link: &link,
                tag: tag.as_ref(),
                is_tag_fixed: tag.as_ref().is_some_and(|tag| is_version(&repository, tag)),
                referrer: Some(&referrer),
            };
            inner
                .metadata
                .link_manifest(new)
                .await
                .map_err(|error| match error {
                    LinkError::Tagged(published) => {
                        let tag = tag.as_ref().map(Tag::as_str).unwrap_or_default();
                        published_already(&repository, tag, &published)
                    }
                    LinkError::Commit(CommitError::Conflict { key, .. }) => {
                        let key = String::from_utf8_lossy(&key).into_owned();
                        let missing = key.rsplit('@').next().unwrap_or(&key).to_owned();
                        unknown_part(&repository, &missing)
                    }
                    LinkError::Commit(error) => error.into(),
                })?;
            if !is_there || named == Some(false) {
                inner.tell(&repository, Change::Pushed { digest, tag });
            }
            Ok::<_, OciError>(())
        })
    };
    task.await.map_err(|error| {
        tracing::error!(%error, "registry manifest task ended early");
        let message = "the manifest was not stored: the registry failed; push again";
        OciError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, message)
    })??;

    let mut headers = vec![
        (LOCATION, format!("/v2/{repository}/manifests/{digest}")),
        (CONTENT_DIGEST, digest.to_string()),
    ];
    if let Some(subject) = &link.subject {
        headers.push((SUBJECT, subject.to_string()));
    }
    reply(StatusCode::CREATED, &headers)
}

pub(super) async fn get(
    inner: &Inner,
    repository: &RepositoryName,
    reference: &str,
    is_head: bool,
    headers: &HeaderMap,
) -> Outcome {
    let (mut digest, mut link, is_tag) = find(inner, repository, reference)?;
    let accept = || {
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
    };
    let mut body = read(inner, repository, &digest).await?;
    // Content asked for by digest is what it is; behind a tag there may be
    // something that the client cannot use.
    if is_tag && !is_accepted(accept(), &link.media_type) {
        let narrower = match link.media_type.as_str() {
            OCI_INDEX => Some(OCI_MANIFEST),
            DOCKER_LIST => Some(DOCKER_MANIFEST),
            _ => None,
        };
        let child = narrower
            .filter(|kind| is_accepted(accept(), kind))
            .and_then(|_| default_platform(&body))
            .and_then(|child| Some((inner.metadata.manifest(repository, &child)?, child)))
            .filter(|(child, _)| is_accepted(accept(), &child.media_type));
        let Some((child_link, child)) = child else {
            let message = format!(
                "`{repository}:{reference}` is a {}, which the Accept header does not name",
                link.media_type
            );
            return Err(OciError::not_found(Code::ManifestUnknown, message));
        };
        body = read(inner, repository, &child).await?;
        (digest, link) = (child, child_link);
    }
    let etag = format!("\"{digest}\"");
    if matches_etag(headers, &etag) {
        return reply(
            StatusCode::NOT_MODIFIED,
            &[(ETAG, etag), (CONTENT_DIGEST, digest.to_string())],
        );
    }
    let length = body.len();
    let mut response = Response::new(if is_head {
        Body::empty()
    } else {
        Body::from(body)
    });
    let out = response.headers_mut();
    out.insert(CONTENT_LENGTH, HeaderValue::from(length));
    out.insert(CONTENT_TYPE, header_value(&link.media_type)?);
    out.insert(CONTENT_DIGEST, header_value(&digest.to_string())?);
    out.insert(ETAG, header_value(&etag)?);
    if let Some(subject) = &link.subject {
        out.insert(SUBJECT, header_value(&subject.to_string())?);
    }
    Ok(response)
}

pub(super) async fn delete(inner: &Inner, repository: &RepositoryName, reference: &str) -> Outcome {
    let _gate = inner.gate.write().await;
    let (digest, link, _) = find(inner, repository, reference)?;
    match reference.parse() {
        Ok(Reference::Tag(tag)) => {
            inner.metadata.unlink_tag(repository, &tag).await?;
            inner.tell(repository, Change::Untagged(tag));
        }
        _ => {
            inner
                .metadata
                .unlink_manifest(repository, &digest, &link)
                .await?;
            inner.metadata.forget_if_empty(repository).await?;
            inner.tell(repository, Change::Deleted(digest));
        }
    }
    reply(StatusCode::ACCEPTED, &[])
}

/// What a reference names, and whether it does so by tag.
fn find(
    inner: &Inner,
    repository: &RepositoryName,
    reference: &str,
) -> Result<(Digest, ManifestLink, bool), OciError> {
    // A reference that cannot exist is answered like one that does not.
    let (digest, is_tag) = match reference.parse() {
        Ok(Reference::Digest(digest)) => (Some(digest), false),
        Ok(Reference::Tag(tag)) => (inner.metadata.tag(repository, &tag), true),
        Err(_) => (None, false),
    };
    digest
        .and_then(|digest| {
            let link = inner.metadata.manifest(repository, &digest)?;
            Some((digest, link, is_tag))
        })
        .ok_or_else(|| unknown(repository, reference))
}

async fn read(
    inner: &Inner,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<u8>, OciError> {
    inner
        .blobs
        .read_all(digest)
        .await
        .map_err(|error| OciError::disk("read the manifest", &error))?
        .ok_or_else(|| unknown(repository, &digest.to_string()))
}

fn unknown(repository: &RepositoryName, reference: &str) -> OciError {
    let separator = if reference.contains(':') { '@' } else { ':' };
    let message = format!("there is no manifest `{repository}{separator}{reference}`");
    OciError::not_found(Code::ManifestUnknown, message)
}

fn unknown_part(repository: &RepositoryName, digest: &str) -> OciError {
    let message = format!(
        "the manifest refers to {digest}, which `{repository}` does not hold; push that first"
    );
    OciError::bad_request(Code::ManifestBlobUnknown, message)
}

/// Whether a tag is the version of a Blueprint, which is its content once it is
/// published: what Applications were installed from must not change under its name.
fn is_version(repository: &RepositoryName, tag: &Tag) -> bool {
    BlueprintName::of_repository(repository.as_str()).is_some()
        && semver::Version::parse(tag.as_str()).is_ok()
}

fn published_already(repository: &RepositoryName, tag: &str, published: &Digest) -> OciError {
    let message = format!(
        "`{repository}:{tag}` is published already, with other content ({published}), and a version of a Blueprint stays what it is; publish the changed one under a new version"
    );
    OciError::new(StatusCode::FORBIDDEN, Code::Denied, message)
}

/// Everything referred to must be in the same repository, in the size given.
fn check_references(
    inner: &Inner,
    repository: &RepositoryName,
    manifest: &Manifest,
) -> Result<(), OciError> {
    let blobs = manifest.blobs.iter().map(|part| {
        (
            part,
            inner
                .metadata
                .blob(repository, &part.digest)
                .map(|link| link.size),
        )
    });
    let children = manifest.manifests.iter().map(|part| {
        (
            part,
            inner
                .metadata
                .manifest(repository, &part.digest)
                .map(|link| link.size),
        )
    });
    for (part, size) in blobs.chain(children) {
        match size {
            None => return Err(unknown_part(repository, &part.digest.to_string())),
            Some(size) if size != part.size => {
                let message = format!(
                    "the manifest says that {} has {} bytes, but it has {size}",
                    part.digest, part.size
                );
                return Err(OciError::bad_request(Code::ManifestInvalid, message));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

async fn read_body(body: Body, limit: usize) -> Result<bytes::Bytes, OciError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the manifest is larger than the {limit} bytes allowed");
            Err(OciError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::SizeInvalid,
                message,
            ))
        }
        Err(_) => Err(OciError::bad_request(
            Code::ManifestInvalid,
            "the request's body broke off; push the manifest again",
        )),
    }
}
