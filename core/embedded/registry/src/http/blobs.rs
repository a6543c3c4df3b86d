//! Reading and unlinking blobs.

use std::io::SeekFrom;

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{CONTENT_DIGEST, Outcome, header_value, reply};
use crate::Inner;
use crate::digest::Digest;
use crate::errors::{Code, OciError};
use crate::names::RepositoryName;

/// Bytes read from disk at a time.
const CHUNK: usize = 64 << 10;

/// Which bytes a client asked for.
#[derive(Debug, PartialEq, Eq)]
enum Span {
    Whole,
    /// First and last byte, both included.
    Part(u64, u64),
    Unsatisfiable,
}

pub(super) async fn get(
    inner: &Inner,
    repository: &RepositoryName,
    digest: &str,
    is_head: bool,
    headers: &HeaderMap,
) -> Outcome {
    let digest: Digest = digest.parse()?;
    let unknown = || {
        let message = format!("`{repository}` has no blob {digest}; push it first");
        OciError::not_found(Code::BlobUnknown, message)
    };
    inner
        .metadata
        .blob(repository, &digest)
        .ok_or_else(unknown)?;
    if is_head {
        // The client may now skip sending it.
        inner.promise(repository, &digest);
    }
    let opened = inner.blobs.read(&digest).await;
    let (mut file, size) = opened
        .map_err(|error| OciError::disk("read the blob", &error))?
        .ok_or_else(unknown)?;
    let etag = format!("\"{digest}\"");
    if matches_etag(headers, &etag) {
        return reply(
            StatusCode::NOT_MODIFIED,
            &[(ETAG, etag), (CONTENT_DIGEST, digest.to_string())],
        );
    }
    let span = if is_head {
        Span::Whole
    } else {
        span(headers, size)
    };
    let (status, first, length) = match span {
        Span::Whole => (StatusCode::OK, 0, size),
        Span::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Span::Unsatisfiable => {
            let message = format!("the range lies outside the blob's {size} bytes");
            let error = OciError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                Code::RangeInvalid,
                message,
            );
            return Err(error.with_header(CONTENT_RANGE, header_value(&format!("bytes */{size}"))?));
        }
    };
    let body = if is_head {
        Body::empty()
    } else {
        if first > 0 {
            file.seek(SeekFrom::Start(first))
                .await
                .map_err(|error| OciError::disk("read the blob", &error))?;
        }
        Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(CONTENT_LENGTH, HeaderValue::from(length));
    out.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(CONTENT_DIGEST, header_value(&digest.to_string())?);
    out.insert(ETAG, header_value(&etag)?);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{size}", first + length - 1);
        out.insert(CONTENT_RANGE, header_value(&range)?);
    }
    Ok(response)
}

pub(super) async fn delete(inner: &Inner, repository: &RepositoryName, digest: &str) -> Outcome {
    let digest: Digest = digest.parse()?;
    let _gate = inner.gate.write().await;
    if inner.metadata.blob(repository, &digest).is_none() {
        let message = format!("`{repository}` has no blob {digest}");
        return Err(OciError::not_found(Code::BlobUnknown, message));
    }
    let user = inner
        .metadata
        .manifests(repository)
        .into_iter()
        .find(|(_, manifest)| manifest.blobs.contains(&digest));
    if let Some((manifest, _)) = user {
        let message =
            format!("the blob {digest} is part of the manifest {manifest}; delete that first");
        return Err(OciError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::Unsupported,
            message,
        ));
    }
    inner
        .metadata
        .unlink_blobs(repository, std::slice::from_ref(&digest))
        .await?;
    inner.metadata.forget_if_empty(repository).await?;
    reply(
        StatusCode::ACCEPTED,
        &[(CONTENT_DIGEST, digest.to_string())],
    )
}

/// Whether the client holds this content already.
pub(super) fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| {
            let item = item.trim();
            item == "*" || item.strip_prefix("W/").unwrap_or(item) == etag
        })
}

/// Reads `Range` (RFC 9110, section 14): one range is served, several or
/// nonsense are ignored, as the RFC allows.
fn span(headers: &HeaderMap, size: u64) -> Span {
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some((from, to)) = text
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Span::Whole;
    };
    match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(first), _) if !to.is_empty() && to.parse::<u64>().is_err() => {
            let _ = first;
            Span::Whole
        }
        (Ok(first), Ok(last)) if last < first => Span::Whole,
        (Ok(first), _) if first >= size => Span::Unsatisfiable,
        (Ok(first), Ok(last)) => Span::Part(first, last.min(size - 1)),
        (Ok(first), Err(_)) => Span::Part(first, size - 1),
        (Err(_), Ok(count)) if from.is_empty() => {
            if count == 0 || size == 0 {
                Span::Unsatisfiable
            } else {
                Span::Part(size.saturating_sub(count), size - 1)
            }
        }
        _ => Span::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read_as_rfc_9110_says() {
        let check = |header: &str, size, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, header.parse().unwrap());
            assert_eq!(span(&headers, size), expected, "{header} of {size}");
        };
        check("bytes=0-0", 10, Span::Part(0, 0));
        check("bytes=2-", 10, Span::Part(2, 9));
        check("bytes=2-99", 10, Span::Part(2, 9));
        check("bytes=-3", 10, Span::Part(7, 9));
        check("bytes=-30", 10, Span::Part(0, 9));
        check("bytes=10-", 10, Span::Unsatisfiable);
        check("bytes=0-", 0, Span::Unsatisfiable);
        check("bytes=-0", 10, Span::Unsatisfiable);
        check("bytes=5-2", 10, Span::Whole);
        check("bytes=1-2,4-5", 10, Span::Whole);
        check("bytes=x-2", 10, Span::Whole);
        check("lines=1-2", 10, Span::Whole);
    }
}
