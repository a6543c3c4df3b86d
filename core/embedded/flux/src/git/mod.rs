//! GitRepository: a branch, tag, range or commit of a Git server as an artifact.
//!
//! What must stay true: nothing is fetched while the reference has not moved;
//! credentials go into a request header and nowhere else.

pub mod ignore;
mod pack;
mod protocol;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::api::ApiError;
use crate::artifact;
use crate::json::{duration, some_text, text};
use crate::queue::Outcome;
use crate::reconcile::{interval, retry_interval};
use crate::state::Inner;
use crate::status::Subject;
use crate::{range, source};
use protocol::{Credentials, GitError, Reference, Remote};

/// Reconciles one GitRepository.
pub async fn reconcile(inner: &Inner, subject: &mut Subject) -> Result<Outcome, ApiError> {
    subject.set("observedGeneration", subject.generation());
    let spec = subject.object.get("spec").cloned().unwrap_or_default();
    if let Some(why) = unsupported(&spec) {
        subject.stalled("GitOperationFailed", &why);
        return Ok(Outcome::After(interval(subject)));
    }
    let (http, credentials) = match credentials(inner, subject, &spec).await? {
        Ok(found) => found,
        Err(why) => {
            subject.failing("AuthenticationFailed", &why);
            return Ok(Outcome::Retry(retry_interval(subject)));
        }
    };
    let remote = Remote {
        http: &http,
        url: text(&spec, "/url"),
        credentials: &credentials,
        timeout: duration(text(&spec, "/timeout")).unwrap_or(Duration::from_secs(60)),
    };
    let previous = subject.status.get("artifact").cloned();
    match fetch(inner, subject, &remote, &spec, previous.as_ref()).await {
        Ok(artifact) => {
            let is_new = previous.as_ref().map(|one| text(one, "/digest"))
                != Some(text(&artifact, "/digest"));
            match some_text(&spec, "/ignore") {
                Some(ignore) => subject.set("observedIgnore", ignore),
                None => subject.unset("observedIgnore"),
            }
            source::stored(inner, subject, artifact, "revision", is_new).await
        }
        Err((reason, message)) => Ok(source::failed(inner, subject, reason, &message).await),
    }
}

/// What this stand-in cannot do, said instead of left out.
fn unsupported(spec: &Value) -> Option<String> {
    let url = text(spec, "/url");
    if url.starts_with("ssh://") {
        return Some(format!(
            "could not fetch {url}: this source-controller reads Git over HTTP only; use an http(s) URL"
        ));
    }
    for field in [
        "verify",
        "include",
        "recurseSubmodules",
        "proxySecretRef",
        "sparseCheckout",
    ] {
        if spec.get(field).is_some_and(|value| {
            value != &Value::Bool(false) && value.as_array().is_none_or(|all| !all.is_empty())
        }) {
            return Some(format!(
                "could not fetch {url}: spec.{field} is not supported here; remove it"
            ));
        }
    }
    None
}

type Failure = (&'static str, String);

async fn fetch(
    inner: &Inner,
    subject: &Subject,
    remote: &Remote<'_>,
    spec: &Value,
    previous: Option<&Value>,
) -> Result<Value, Failure> {
    let failed = |error: GitError| match error {
        GitError::Denied { .. } => ("AuthenticationFailed", error.to_string()),
        error => ("GitOperationFailed", error.to_string()),
    };
    let wanted = spec.get("ref").cloned().unwrap_or_default();
    let (revision, commit) = resolve(remote, &wanted).await.map_err(failed)?;
    let ignore = spec.get("ignore").and_then(Value::as_str);
    if let Some(previous) = previous
        && text(previous, "/revision") == revision
        && subject.status.get("observedIgnore").and_then(Value::as_str) == ignore
        && inner.artifacts.has(previous).await
    {
        return Ok(previous.clone());
    }
    let pack = remote.pack(&commit).await.map_err(failed)?;
    let ignore = ignore.map(str::to_owned);
    let id = commit.clone();
    let archive = tokio::task::spawn_blocking(move || {
        let objects = pack::Objects::read(&pack).map_err(|why| why.to_string())?;
        let mut files = objects.files(&id).map_err(|why| why.to_string())?;
        ignore::apply(&mut files, ignore.as_deref());
        artifact::pack(&files).map_err(|why| why.to_string())
    })
    .await
    .map_err(|why| ("GitOperationFailed", why.to_string()))?
    .map_err(|why| ("GitOperationFailed", format!("{}: {why}", remote.url)))?;
    inner
        .artifacts
        .put(
            &subject.key,
            &format!("{commit}.tar.gz"),
            &revision,
            archive,
            previous,
        )
        .await
        .map_err(|why| ("StorageOperationFailed", why.to_string()))
}

/// The revision as Flux names it, and the commit.
async fn resolve(remote: &Remote<'_>, wanted: &Value) -> Result<(String, String), GitError> {
    let missing = |what: String| GitError::NoReference {
        url: remote.url.to_owned(),
        what,
    };
    if let Some(commit) = some_text(wanted, "/commit") {
        let revision = match some_text(wanted, "/branch") {
            Some(branch) => format!("{branch}@sha1:{commit}"),
            None => format!("sha1:{commit}"),
        };
        return Ok((revision, commit.to_owned()));
    }
    let exact = |found: &[Reference], name: &str| {
        found
            .iter()
            .find(|one| one.name == name)
            .map(|one| one.commit().to_owned())
    };
    if let Some(name) = some_text(wanted, "/name") {
        let found = remote.references(&[name]).await?;
        let commit = exact(&found, name).ok_or_else(|| missing(format!("the reference {name}")))?;
        return Ok((format!("{name}@sha1:{commit}"), commit));
    }
    if let Some(range) = some_text(wanted, "/semver") {
        let found = remote.references(&["refs/tags/"]).await?;
        let tags = found
            .iter()
            .filter_map(|one| one.name.strip_prefix("refs/tags/"));
        let tag = range::highest(range, tags)
            .map_err(&missing)?
            .ok_or_else(|| missing(format!("a tag within {range:?}")))?;
        let commit = exact(&found, &format!("refs/tags/{tag}"))
            .ok_or_else(|| missing(format!("the tag {tag}")))?;
        return Ok((format!("{tag}@sha1:{commit}"), commit));
    }
    let (short, full) = match (some_text(wanted, "/tag"), some_text(wanted, "/branch")) {
        (Some(tag), _) => (tag, format!("refs/tags/{tag}")),
        (None, Some(branch)) => (branch, format!("refs/heads/{branch}")),
        (None, None) => ("master", "refs/heads/master".to_owned()),
    };
    let found = remote.references(&[&full]).await?;
    let commit = exact(&found, &full).ok_or_else(|| missing(full.clone()))?;
    Ok((format!("{short}@sha1:{commit}"), commit))
}

/// The HTTP client and credentials that `secretRef` gives.
async fn credentials(
    inner: &Inner,
    subject: &Subject,
    spec: &Value,
) -> Result<Result<(reqwest::Client, Credentials), String>, ApiError> {
    let Some(name) = some_text(spec, "/secretRef/name") else {
        return Ok(Ok((inner.http.clone(), Credentials::Anonymous)));
    };
    let path = format!(
        "/api/v1/namespaces/{}/secrets/{name}",
        subject.key.namespace
    );
    let Some(secret) = inner.api(&subject.key.cluster).get(&path).await? else {
        return Ok(Err(format!(
            "could not sign in at {}: the Secret {name} does not exist; create it with username and password",
            text(spec, "/url")
        )));
    };
    let field = |key: &str| {
        let value = secret.get("data")?.get(key)?.as_str()?;
        let bytes = STANDARD.decode(value).ok()?;
        String::from_utf8(bytes).ok()
    };
    let found = match (field("bearerToken"), field("username"), field("password")) {
        (Some(token), _, _) => Credentials::Bearer(token.trim().to_owned()),
        (_, Some(username), Some(password)) => Credentials::Basic { username, password },
        _ => Credentials::Anonymous,
    };
    let http = match field("ca.crt").or_else(|| field("caFile")) {
        None => inner.http.clone(),
        Some(pem) => {
            let client = reqwest::Certificate::from_pem(pem.as_bytes())
                .and_then(|root| (inner.client)().add_root_certificate(root).build());
            match client {
                Ok(client) => client,
                Err(why) => {
                    return Ok(Err(format!(
                        "could not use the certificate authority in the Secret {name}: {why}"
                    )));
                }
            }
        }
    };
    Ok(Ok((http, found)))
}
