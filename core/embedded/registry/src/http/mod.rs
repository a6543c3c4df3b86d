//! The `/v2/` surface: who asks, what for, may they; then the handler.
//!
//! Repository names contain slashes, so paths are taken apart here from the
//! right instead of by the router's patterns.

mod blobs;
mod listings;
mod manifests;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderName, HeaderValue, Method, StatusCode, request::Parts};
use percent_encoding::percent_decode_str;

use crate::Inner;
use crate::access::{AccessError, Action, Credentials, Principal};
use crate::errors::{Code, OciError};
use crate::names::RepositoryName;

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

type Outcome = Result<Response, OciError>;

/// The thing below a repository that a path names.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Blob(&'a str),
    Uploads,
    Upload(&'a str),
    Manifest(&'a str),
    Tags,
    Referrers(&'a str),
}

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/v2", any(serve))
        .route("/v2/", any(serve))
        .route("/v2/{*path}", any(serve))
        .with_state(inner)
}

async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let mut response = match dispatch(&inner, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    response
        .headers_mut()
        .insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

async fn dispatch(inner: &Arc<Inner>, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let principal = authenticate(inner, &parts).await?;
    let decoded = percent_decode_str(parts.uri.path())
        .decode_utf8_lossy()
        .into_owned();
    let path = decoded.strip_prefix("/v2").unwrap_or(&decoded);
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return ping(inner, &principal, &parts.method);
    }
    if path == "_catalog" {
        return listings::catalog(inner, &principal, &parts).await;
    }
    let Some((name, target)) = split(path) else {
        // No valid repository could be meant, so there is nothing to hide.
        return Err(OciError::not_found(
            Code::NameUnknown,
            format!("`/v2/{path}` is no address of this registry"),
        ));
    };
    let repository: RepositoryName = name.parse()?;
    let action = action(&parts.method, &target).ok_or_else(|| {
        let message = format!("{} is not possible on `/v2/{path}`", parts.method);
        OciError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
    })?;
    authorize(inner, &principal, &repository, action).await?;
    match (target, &parts.method) {
        (Target::Blob(digest), &Method::DELETE) => blobs::delete(inner, &repository, digest).await,
        (Target::Blob(digest), method) => {
            blobs::get(
                inner,
                &repository,
                digest,
                method == Method::HEAD,
                &parts.headers,
            )
            .await
        }
        (Target::Uploads, _) => uploads::start(inner, &principal, &repository, parts, body).await,
        (Target::Upload(id), &Method::PATCH) => {
            uploads::append(inner, &repository, id, parts, body).await
        }
        (Target::Upload(id), &Method::PUT) => {
            uploads::finish(inner, &repository, id, parts, body).await
        }
        (Target::Upload(id), &Method::DELETE) => uploads::cancel(inner, &repository, id).await,
        (Target::Upload(id), _) => uploads::status(inner, &repository, id).await,
        (Target::Manifest(reference), &Method::PUT) => {
            manifests::put(inner, &repository, reference, parts, body).await
        }
        (Target::Manifest(reference), &Method::DELETE) => {
            manifests::delete(inner, &repository, reference).await
        }
        (Target::Manifest(reference), method) => {
            let is_head = method == Method::HEAD;
            manifests::get(inner, &repository, reference, is_head, &parts.headers).await
        }
        (Target::Tags, _) => listings::tags(inner, &repository, &parts),
        (Target::Referrers(digest), _) => listings::referrers(inner, &repository, digest, &parts),
    }
}

fn ping(inner: &Inner, principal: &Principal, method: &Method) -> Outcome {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(OciError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::Unsupported,
            "`/v2/` answers GET and HEAD only",
        ));
    }
    if principal.is_anonymous() && !inner.anonymous_ping {
        return Err(OciError::challenge(
            &inner.realm,
            "sign in to use this registry",
        ));
    }
    Ok(axum::Json(serde_json::json!({})).into_response())
}

/// Who sent the request.
pub(crate) async fn authenticate(inner: &Inner, parts: &Parts) -> Result<Principal, OciError> {
    let outcome = match Credentials::from_headers(&parts.headers) {
        // Robots are the registry's own; everybody else is the access's.
        Ok(Credentials::Basic { username, password })
            if username.starts_with(crate::robots::PREFIX) =>
        {
            if inner.permissions.is_robot(&username, &password) {
                Ok(Principal::named(&username))
            } else {
                Err(AccessError::Rejected)
            }
        }
        Ok(credentials) => inner.access.authenticate(&credentials).await,
        Err(error) => Err(error),
    };
    outcome.map_err(|error| access_error(inner, &error))
}

/// Refuses what the principal may not do: the anonymous are asked to sign in,
/// others are refused in the same words whether or not the repository exists.
async fn authorize(
    inner: &Inner,
    principal: &Principal,
    repository: &RepositoryName,
    action: Action,
) -> Result<(), OciError> {
    match inner.access.allows(principal, repository, action).await {
        Ok(true) => Ok(()),
        Ok(false) if principal.is_anonymous() => Err(OciError::challenge(
            &inner.realm,
            "sign in to use this repository",
        )),
        Ok(false) => {
            let verb = match action {
                Action::Pull => "pull from",
                Action::Push => "push to",
                Action::Delete => "delete from",
            };
            let message = format!(
                "you may not {verb} `{repository}`, or it does not exist; ask its Organization's administrator"
            );
            Err(OciError::new(StatusCode::FORBIDDEN, Code::Denied, message))
        }
        Err(error) => Err(access_error(inner, &error)),
    }
}

fn access_error(inner: &Inner, error: &AccessError) -> OciError {
    match error {
        AccessError::Rejected => OciError::challenge(&inner.realm, error.to_string()),
        AccessError::Unavailable(_) => OciError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            error.to_string(),
        ),
    }
}

fn action(method: &Method, target: &Target<'_>) -> Option<Action> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match (target, method) {
        (Target::Blob(_) | Target::Manifest(_), &Method::DELETE) => Some(Action::Delete),
        (Target::Manifest(_), &Method::PUT)
        | (Target::Uploads, &Method::POST)
        | (Target::Upload(_), &Method::PATCH | &Method::PUT | &Method::DELETE | &Method::GET) => {
            Some(Action::Push)
        }
        (Target::Blob(_) | Target::Manifest(_) | Target::Tags | Target::Referrers(_), _)
            if is_read =>
        {
            Some(Action::Pull)
        }
        _ => None,
    }
}

/// Takes the end of the path off the repository's name.
fn split(path: &str) -> Option<(&str, Target<'_>)> {
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Some((name, Target::Tags));
    }
    if let Some(name) = path
        .strip_suffix("/blobs/uploads/")
        .or_else(|| path.strip_suffix("/blobs/uploads"))
    {
        return Some((name, Target::Uploads));
    }
    let (front, last) = path.rsplit_once('/')?;
    if let Some(name) = front.strip_suffix("/blobs/uploads") {
        return Some((name, Target::Upload(last)));
    }
    let (name, kind) = front.rsplit_once('/')?;
    match kind {
        "blobs" => Some((name, Target::Blob(last))),
        "manifests" => Some((name, Target::Manifest(last))),
        "referrers" => Some((name, Target::Referrers(last))),
        _ => None,
    }
}

/// One parameter of the query string, decoded.
pub(crate) fn query(parts: &Parts, name: &str) -> Option<String> {
    parts.uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| {
            percent_decode_str(&value.replace('+', "%20"))
                .decode_utf8_lossy()
                .into_owned()
        })
    })
}

/// A response without body; header values that cannot be sent are our fault.
pub(crate) fn reply(status: StatusCode, headers: &[(HeaderName, String)]) -> Outcome {
    let mut response = status.into_response();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name.clone(), header_value(value)?);
    }
    Ok(response)
}

pub(crate) fn header_value(text: &str) -> Result<HeaderValue, OciError> {
    HeaderValue::from_str(text).map_err(|_| {
        OciError::bad_request(
            Code::Unsupported,
            format!("`{}` cannot be sent", text.escape_debug()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_apart_from_the_right() {
        let check = |path, expected| assert_eq!(split(path), expected, "{path}");
        check("a/b/tags/list", Some(("a/b", Target::Tags)));
        check("a/blobs/uploads/", Some(("a", Target::Uploads)));
        check("a/blobs/uploads", Some(("a", Target::Uploads)));
        check("a/b/blobs/uploads/1", Some(("a/b", Target::Upload("1"))));
        check("a/blobs/x", Some(("a", Target::Blob("x"))));
        check(
            "manifests/manifests/x",
            Some(("manifests", Target::Manifest("x"))),
        );
        check("a/referrers/x", Some(("a", Target::Referrers("x"))));
        check("a/b/c", None);
        check("a", None);
    }
}
