//! Sending blobs: in one request, in chunks, or by mounting.

use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderMap, HeaderName, StatusCode, request::Parts};
use uuid::Uuid;

use super::{CONTENT_DIGEST, Outcome, query, reply};
use crate::Inner;
use crate::access::{Action, Principal};
use crate::digest::Digest;
use crate::errors::{Code, OciError};
use crate::metadata::{BlobLink, UploadRecord};
use crate::names::RepositoryName;
use crate::uploads::{AppendError, Upload, read_to_the_end};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const MIN_CHUNK: HeaderName = HeaderName::from_static("oci-chunk-min-length");

type Held = tokio::sync::OwnedMutexGuard<Upload>;

/// `POST …/blobs/uploads/`: mounts, takes a whole blob, or opens an upload.
pub(super) async fn start(
    inner: &Arc<Inner>,
    principal: &Principal,
    repository: &RepositoryName,
    parts: Parts,
    body: Body,
) -> Outcome {
    if let Some(mount) = query(&parts, "mount") {
        let digest: Digest = mount.parse()?;
        let from = query(&parts, "from");
        if is_mounted(inner, principal, repository, &digest, from.as_deref()).await? {
            return created(repository, &digest);
        }
        // Not to be had: the client sends the bytes instead.
        return open(inner, repository).await;
    }
    match query(&parts, "digest") {
        Some(digest) => {
            let digest = digest.parse()?;
            let id = Uuid::new_v4();
            let held = match inner.uploads.create(id).await {
                Ok(held) => held,
                Err(error) => {
                    read_to_the_end(&mut body.into_data_stream()).await;
                    return Err(disk(error));
                }
            };
            let length = content_length(&parts.headers);
            complete(inner, repository, id, held, digest, body, length).await
        }
        None => open(inner, repository).await,
    }
}

/// `PATCH`: appends a chunk.
pub(super) async fn append(
    inner: &Arc<Inner>,
    repository: &RepositoryName,
    id: &str,
    parts: Parts,
    body: Body,
) -> Outcome {
    let (id, mut held) = hold(inner, repository, id).await?;
    let announced = announced(&parts.headers, repository, id, held.offset())?;
    let limit = inner.limits.blob_bytes;
    // A task of its own: the bytes that arrived are written to the end even if
    // the client goes away.
    let work = tokio::spawn(async move {
        let outcome = held.append(body, announced, limit).await;
        outcome.map(|()| held.offset())
    });
    let offset = work.await.map_err(lost)?.map_err(append_error)?;
    progress(StatusCode::ACCEPTED, repository, id, offset)
}

/// `PUT`: the last chunk, if any, and the digest that everything must have.
pub(super) async fn finish(
    inner: &Arc<Inner>,
    repository: &RepositoryName,
    id: &str,
    parts: Parts,
    body: Body,
) -> Outcome {
    let (id, held) = hold(inner, repository, id).await?;
    let digest = query(&parts, "digest").ok_or_else(|| {
        let message = "the upload cannot be finished: the request lacks the `digest` parameter";
        OciError::bad_request(Code::DigestInvalid, message)
    })?;
    let digest = digest.parse()?;
    let announced = announced(&parts.headers, repository, id, held.offset())?;
    complete(inner, repository, id, held, digest, body, announced).await
}

/// `GET`: how far the upload is.
pub(super) async fn status(inner: &Arc<Inner>, repository: &RepositoryName, id: &str) -> Outcome {
    let (id, held) = hold(inner, repository, id).await?;
    progress(StatusCode::NO_CONTENT, repository, id, held.offset())
}

/// `DELETE`: gives the upload up.
pub(super) async fn cancel(inner: &Arc<Inner>, repository: &RepositoryName, id: &str) -> Outcome {
    let (id, mut held) = hold(inner, repository, id).await?;
    held.is_closed = true;
    inner.metadata.remove_uploads(&[id]).await?;
    inner.uploads.discard(id).await.map_err(disk)?;
    reply(StatusCode::NO_CONTENT, &[])
}

async fn open(inner: &Inner, repository: &RepositoryName) -> Outcome {
    let id = Uuid::new_v4();
    let _held = inner.uploads.create(id).await.map_err(disk)?;
    let record = UploadRecord {
        repository: repository.clone(),
        started: inner.now(),
    };
    if let Err(error) = inner.metadata.add_upload(id, &record).await {
        inner.uploads.discard(id).await.map_err(disk)?;
        return Err(error.into());
    }
    progress(StatusCode::ACCEPTED, repository, id, 0)
}

/// Links a blob of another repository, if the principal may read it there.
async fn is_mounted(
    inner: &Inner,
    principal: &Principal,
    repository: &RepositoryName,
    digest: &Digest,
    from: Option<&str>,
) -> Result<bool, OciError> {
    let Some(from) = from.and_then(|from| from.parse::<RepositoryName>().ok()) else {
        return Ok(false);
    };
    // Doubt counts as no: the client then sends the bytes it claims to have.
    if !matches!(
        inner.access.allows(principal, &from, Action::Pull).await,
        Ok(true)
    ) {
        return Ok(false);
    }
    let _gate = inner.gate.read().await;
    let Some(link) = inner.metadata.blob(&from, digest) else {
        return Ok(false);
    };
    let link = BlobLink {
        size: link.size,
        linked: inner.now(),
    };
    inner.metadata.link_blob(repository, digest, &link).await?;
    Ok(true)
}

/// Takes the rest of the bytes, checks them, and links the blob.
async fn complete(
    inner: &Arc<Inner>,
    repository: &RepositoryName,
    id: Uuid,
    mut held: Held,
    digest: Digest,
    body: Body,
    announced: Option<u64>,
) -> Outcome {
    let inner = inner.clone();
    let repository = repository.clone();
    let work = tokio::spawn(async move {
        let limit = inner.limits.blob_bytes;
        let is_recorded = inner.metadata.upload(id).is_some();
        let outcome = match held.append(body, announced, limit).await {
            Ok(()) => link(&inner, &repository, &held, &digest).await,
            Err(error) => Err(append_error(error)),
        };
        // An upload of several requests outlives a chunk that did not fit or
        // broke off; one whose content is wrong is of no use to anyone.
        let can_go_on = matches!(&outcome, Err(error)
            if error.is(Code::SizeInvalid) || error.is(Code::BlobUploadInvalid));
        let is_over = !(can_go_on && is_recorded);
        if is_over {
            held.is_closed = true;
            if is_recorded {
                inner.metadata.remove_uploads(&[id]).await?;
            }
            inner.uploads.discard(id).await.map_err(disk)?;
        }
        outcome?;
        created(&repository, &digest)
    });
    work.await.map_err(lost)?
}

async fn link(
    inner: &Inner,
    repository: &RepositoryName,
    upload: &Upload,
    digest: &Digest,
) -> Result<(), OciError> {
    let found = upload.digest(digest.algorithm()).await.map_err(disk)?;
    if found != *digest {
        let message = format!(
            "the {} bytes received have the digest {found}, not {digest}",
            upload.offset()
        );
        return Err(OciError::bad_request(Code::DigestInvalid, message));
    }
    let _gate = inner.gate.read().await;
    inner
        .blobs
        .adopt(upload.path().to_owned(), digest)
        .await
        .map_err(disk)?;
    let blob = BlobLink {
        size: upload.offset(),
        linked: inner.now(),
    };
    inner.metadata.link_blob(repository, digest, &blob).await?;
    Ok(())
}

/// Finds an upload of this repository and waits for its turn.
async fn hold(
    inner: &Inner,
    repository: &RepositoryName,
    id: &str,
) -> Result<(Uuid, Held), OciError> {
    let unknown = || {
        let message = format!("`{repository}` has no such upload; start a new one");
        OciError::not_found(Code::BlobUploadUnknown, message)
    };
    let id: Uuid = id.parse().map_err(|_| unknown())?;
    let is_ours = |record: UploadRecord| record.repository == *repository;
    if !inner.metadata.upload(id).is_some_and(is_ours) {
        return Err(unknown());
    }
    let upload = inner
        .uploads
        .get(id)
        .await
        .map_err(disk)?
        .ok_or_else(unknown)?;
    let held = upload.lock_owned().await;
    if held.is_closed {
        Err(unknown())
    } else {
        Ok((id, held))
    }
}

/// How many bytes the request says it brings, after checking that they belong
/// exactly behind those received.
fn announced(
    headers: &HeaderMap,
    repository: &RepositoryName,
    id: Uuid,
    offset: u64,
) -> Result<Option<u64>, OciError> {
    let length = content_length(headers);
    let Some(range) = headers.get(CONTENT_RANGE) else {
        return Ok(length);
    };
    let invalid = || {
        let message = "the Content-Range header must be `<first>-<last>`, in bytes";
        OciError::bad_request(Code::BlobUploadInvalid, message)
    };
    let text = range.to_str().map_err(|_| invalid())?;
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split('/').next().unwrap_or(text);
    let (first, last) = text.split_once('-').ok_or_else(invalid)?;
    let first: u64 = first.trim().parse().map_err(|_| invalid())?;
    let last: u64 = last.trim().parse().map_err(|_| invalid())?;
    if first != offset {
        let message =
            format!("the chunk starts at byte {first}, but {offset} bytes were received so far");
        let error = OciError::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            Code::BlobUploadInvalid,
            message,
        );
        return Err(error
            .with_header(RANGE, super::header_value(&received(offset))?)
            .with_header(LOCATION, super::header_value(&location(repository, id))?));
    }
    let count = last
        .checked_sub(first)
        .and_then(|span| span.checked_add(1))
        .ok_or_else(invalid)?;
    if length.is_some_and(|length| length != count) {
        let message = "the Content-Range and Content-Length headers disagree";
        return Err(OciError::bad_request(Code::SizeInvalid, message));
    }
    Ok(Some(count))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn created(repository: &RepositoryName, digest: &Digest) -> Outcome {
    reply(
        StatusCode::CREATED,
        &[
            (LOCATION, format!("/v2/{repository}/blobs/{digest}")),
            (CONTENT_DIGEST, digest.to_string()),
        ],
    )
}

fn progress(status: StatusCode, repository: &RepositoryName, id: Uuid, offset: u64) -> Outcome {
    reply(
        status,
        &[
            (LOCATION, location(repository, id)),
            (RANGE, received(offset)),
            (UPLOAD_ID, id.to_string()),
            (MIN_CHUNK, "1".to_owned()),
        ],
    )
}

fn location(repository: &RepositoryName, id: Uuid) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// The `Range` header has no form for "nothing yet"; registries say `0-0`.
fn received(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn append_error(error: AppendError) -> OciError {
    match error {
        AppendError::TooLarge { .. } => OciError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::SizeInvalid,
            error.to_string(),
        ),
        AppendError::Length { .. } => OciError::bad_request(Code::SizeInvalid, error.to_string()),
        AppendError::Interrupted { .. } => {
            OciError::bad_request(Code::BlobUploadInvalid, error.to_string())
        }
        AppendError::Disk(source) => disk(source),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
fn disk(error: std::io::Error) -> OciError {
    OciError::disk("store the blob", &error)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
fn lost(error: tokio::task::JoinError) -> OciError {
    tracing::error!(%error, "registry upload task ended early");
    OciError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unknown,
        "the upload was interrupted inside the registry; ask for its status and go on",
    )
}
