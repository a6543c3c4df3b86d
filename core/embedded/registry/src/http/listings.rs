//! Listing tags, referrers and repositories.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderName, HeaderValue, request::Parts};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::{Outcome, header_value, query};
use crate::Inner;
use crate::access::{Action, Principal};
use crate::digest::Digest;
use crate::errors::{Code, OciError};
use crate::manifests::OCI_INDEX;
use crate::names::RepositoryName;

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Names in a page that asked for none or for more.
const LONGEST_PAGE: usize = 10_000;

pub(super) fn tags(inner: &Inner, repository: &RepositoryName, parts: &Parts) -> Outcome {
    if !inner.metadata.has_repository(repository) {
        let message = format!("there is no repository `{repository}`; push something to it first");
        return Err(OciError::not_found(Code::NameUnknown, message));
    }
    let limit = page_size(parts)?;
    let last = query(parts, "last");
    // A page of nothing has no last element to go on from.
    let (tags, has_more) = match limit {
        0 => (Vec::new(), false),
        limit => inner.metadata.tags(repository, last.as_deref(), limit),
    };
    let tags: Vec<String> = tags.into_iter().map(|(tag, _)| tag).collect();
    let next = tags.last().filter(|_| has_more).cloned();
    let response = Json(json!({"name": repository, "tags": tags})).into_response();
    with_next(
        response,
        &format!("/v2/{repository}/tags/list"),
        limit,
        next.as_deref(),
    )
}

pub(super) fn referrers(
    inner: &Inner,
    repository: &RepositoryName,
    subject: &str,
    parts: &Parts,
) -> Outcome {
    let subject: Digest = subject.parse()?;
    let mut manifests = inner.metadata.referrers(repository, &subject);
    let filter = query(parts, "artifactType").filter(|kind| !kind.is_empty());
    if let Some(kind) = &filter {
        manifests.retain(|descriptor| {
            descriptor
                .get("artifactType")
                .and_then(|value| value.as_str())
                == Some(kind)
        });
    }
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    let mut response = Json(index).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    if filter.is_some() {
        response
            .headers_mut()
            .insert(FILTERS, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

/// Lists the repositories that the principal may read, and no others.
pub(super) async fn catalog(inner: &Arc<Inner>, principal: &Principal, parts: &Parts) -> Outcome {
    if principal.is_anonymous() && !inner.anonymous_ping {
        return Err(OciError::challenge(
            &inner.realm,
            "sign in to list repositories",
        ));
    }
    let limit = page_size(parts)?;
    let last = query(parts, "last");
    let mut names = Vec::new();
    let mut has_more = false;
    for repository in inner.metadata.repositories(last.as_deref()) {
        if limit == 0 {
            break;
        }
        let is_readable = inner
            .access
            .allows(principal, &repository, Action::Pull)
            .await;
        if !matches!(is_readable, Ok(true)) {
            continue;
        }
        if names.len() == limit {
            has_more = true;
            break;
        }
        names.push(repository.to_string());
    }
    let next = names.last().filter(|_| has_more).cloned();
    let response = Json(json!({"repositories": names})).into_response();
    with_next(response, "/v2/_catalog", limit, next.as_deref())
}

fn page_size(parts: &Parts) -> Result<usize, OciError> {
    match query(parts, "n") {
        None => Ok(LONGEST_PAGE),
        Some(text) => match text.parse::<usize>() {
            Ok(size) => Ok(size.min(LONGEST_PAGE)),
            Err(_) => Err(OciError::bad_request(
                Code::PaginationNumberInvalid,
                format!("`n={text}` is not a number of entries"),
            )),
        },
    }
}

fn with_next(mut response: Response, path: &str, limit: usize, next: Option<&str>) -> Outcome {
    if let Some(next) = next {
        let last = utf8_percent_encode(next, NON_ALPHANUMERIC);
        let link = format!("<{path}?n={limit}&last={last}>; rel=\"next\"");
        response.headers_mut().insert(LINK, header_value(&link)?);
    }
    Ok(response)
}
