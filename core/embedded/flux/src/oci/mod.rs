//! OCIRepository: a layer of an OCI artifact, verified, as an artifact.
//!
//! What must stay true: with `spec.verify` nothing is stored that nobody trusted
//! signed; a digest in `spec.ref` is never answered by other bytes; a spec counts as
//! observed once the artifact in the status is its own, or none is there.

mod registry;
mod trust;
mod verify;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::api::ApiError;
use crate::json::{duration, flag, list, some_text, text};
use crate::queue::Outcome;
use crate::reconcile::interval;
use crate::state::Inner;
use crate::status::Subject;
use crate::{artifact, range, source};
use registry::{Login, MAX_LAYER, PullError, Repository};
use trust::Trusted;
use verify::VerifyError;

const VERIFIED: &str = "SourceVerified";

struct Failure {
    reason: &'static str,
    message: String,
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        Self {
            reason: if error.is_denied() {
                "AuthenticationFailed"
            } else {
                "OCIArtifactPullFailed"
            },
            message: error.to_string(),
        }
    }
}

fn failure(reason: &'static str, message: impl Into<String>) -> Failure {
    Failure {
        reason,
        message: message.into(),
    }
}

/// Reconciles one OCIRepository.
pub async fn reconcile(inner: &Inner, subject: &mut Subject) -> Result<Outcome, ApiError> {
    let spec = subject.object.get("spec").cloned().unwrap_or_default();
    for field in ["certSecretRef", "proxySecretRef"] {
        if spec.get(field).is_some() {
            let why = format!(
                "could not pull {}: spec.{field} is not supported here; remove it",
                text(&spec, "/url")
            );
            subject.set("observedGeneration", subject.generation());
            subject.stalled("OCIArtifactPullFailed", &why);
            return Ok(Outcome::After(interval(subject)));
        }
    }
    if spec.get("verify").is_none() {
        subject.clear(VERIFIED);
    }
    let previous = subject.status.get("artifact").cloned();
    match pull(inner, subject, &spec, previous.as_ref()).await? {
        Ok(artifact) => {
            subject.set("observedGeneration", subject.generation());
            let is_new = previous
                .as_ref()
                .map(|one| (text(one, "/digest"), text(one, "/revision")))
                != Some((text(&artifact, "/digest"), text(&artifact, "/revision")));
            for (from, to) in [
                ("ignore", "observedIgnore"),
                ("layerSelector", "observedLayerSelector"),
            ] {
                match spec.get(from) {
                    Some(value) => subject.set(to, value.clone()),
                    None => subject.unset(to),
                }
            }
            source::stored(inner, subject, artifact, "digest", is_new).await
        }
        Err(Failure { reason, message }) => {
            if reason == "VerificationError" {
                subject.condition(VERIFIED, "False", reason, &message);
            }
            // What was stored before nobody vouches for.
            if spec.get("verify").is_some() && !subject.is_true(VERIFIED) {
                subject.unset("artifact");
                subject.clear("ArtifactInStorage");
            }
            // What is left in storage may be of an earlier spec.
            if subject.status.get("artifact").is_none() {
                subject.set("observedGeneration", subject.generation());
            }
            Ok(source::failed(inner, subject, reason, &message).await)
        }
    }
}

async fn pull(
    inner: &Inner,
    subject: &mut Subject,
    spec: &Value,
    previous: Option<&Value>,
) -> Result<Result<Value, Failure>, ApiError> {
    let repository = match repository(inner, subject, spec).await? {
        Ok(repository) => repository,
        Err(failure) => return Ok(Err(failure)),
    };
    let trusted = match trust::trusted(inner, subject, spec).await? {
        Ok(trusted) => trusted,
        Err(failure) => return Ok(Err(failure)),
    };
    Ok(fetch(
        inner,
        subject,
        spec,
        previous,
        &repository,
        trusted.as_ref(),
    )
    .await)
}

async fn fetch(
    inner: &Inner,
    subject: &mut Subject,
    spec: &Value,
    previous: Option<&Value>,
    repository: &Repository,
    trusted: Option<&Trusted>,
) -> Result<Value, Failure> {
    let (tag, target) = target(repository, spec).await?;
    let (bytes, digest) = repository.manifest(&target).await?;
    let revision = match tag {
        Some(tag) => format!("{tag}@{digest}"),
        None => digest.clone(),
    };
    if let Some(trusted) = trusted {
        match verify::verify(repository, &bytes, &digest, &trusted.signers()).await {
            Ok(signer) => {
                let message = match trusted {
                    Trusted::Keys(_) => {
                        format!("verified signature of revision {revision} by key {signer}")
                    }
                    Trusted::Identities(..) => {
                        format!("verified signature of revision {revision} by {signer}")
                    }
                };
                subject.condition(VERIFIED, "True", "Succeeded", &message);
            }
            Err(refused @ VerifyError::Refused(_)) => {
                return Err(failure("VerificationError", refused.to_string()));
            }
            // No verdict: the artifact before, if it was verified, stays.
            Err(VerifyError::Pull(error)) => return Err(error.into()),
        }
    }
    let same = |observed: &str, wanted: &str| subject.status.get(observed) == spec.get(wanted);
    if let Some(previous) = previous
        && text(previous, "/revision") == revision
        && same("observedIgnore", "ignore")
        && same("observedLayerSelector", "layerSelector")
        && inner.artifacts.has(previous).await
    {
        return Ok(previous.clone());
    }
    let manifest: Value = serde_json::from_slice(&bytes).map_err(|error| {
        failure(
            "OCIArtifactPullFailed",
            format!("the manifest of {revision} is not JSON: {error}"),
        )
    })?;
    let layer =
        layer(&manifest, spec).map_err(|why| failure("OCIArtifactLayerOperationFailed", why))?;
    let blob = repository.blob(text(layer, "/digest"), MAX_LAYER).await?;
    let copied = text(spec, "/layerSelector/operation") == "copy";
    let ignore = spec
        .get("ignore")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let archive = if copied {
        blob.to_vec()
    } else {
        tokio::task::spawn_blocking(move || {
            let mut files = artifact::unpack(&blob)?;
            crate::git::ignore::apply(&mut files, ignore.as_deref());
            artifact::pack(&files)
        })
        .await
        .map_err(|why| failure("OCIArtifactLayerOperationFailed", why.to_string()))?
        .map_err(|why| failure("OCIArtifactLayerOperationFailed", why.to_string()))?
    };
    let file = format!("{}.tar.gz", digest.trim_start_matches("sha256:"));
    let mut stored = inner
        .artifacts
        .put(&subject.key, &file, &revision, archive, previous)
        .await
        .map_err(|why| failure("StorageOperationFailed", why.to_string()))?;
    if let Some(annotations) = manifest.get("annotations").filter(|all| all.is_object()) {
        crate::json::set(&mut stored, &["metadata"], annotations.clone());
    }
    Ok(stored)
}

/// The tag, where one is meant, and what to ask the registry for.
async fn target(
    repository: &Repository,
    spec: &Value,
) -> Result<(Option<String>, String), Failure> {
    if let Some(digest) = some_text(spec, "/ref/digest") {
        return Ok((None, digest.to_owned()));
    }
    if let Some(wanted) = some_text(spec, "/ref/semver") {
        let filter = match some_text(spec, "/ref/semverFilter") {
            Some(filter) => Some(regex::Regex::new(filter).map_err(|why| {
                failure(
                    "OCIArtifactPullFailed",
                    format!("spec.ref.semverFilter is not a regular expression: {why}"),
                )
            })?),
            None => None,
        };
        let tags = repository.tags().await?;
        let candidates = tags
            .iter()
            .map(String::as_str)
            .filter(|tag| filter.as_ref().is_none_or(|filter| filter.is_match(tag)));
        let found = range::highest(wanted, candidates)
            .map_err(|why| failure("OCIArtifactPullFailed", why))?
            .ok_or_else(|| {
                failure(
                    "OCIArtifactPullFailed",
                    format!(
                        "no tag of {}/{} is within {wanted:?}",
                        repository.host, repository.name
                    ),
                )
            })?;
        return Ok((Some(found.to_owned()), found.to_owned()));
    }
    let tag = some_text(spec, "/ref/tag").unwrap_or("latest");
    Ok((Some(tag.to_owned()), tag.to_owned()))
}

/// The layer that the selector names; the first one without it.
fn layer<'a>(manifest: &'a Value, spec: &Value) -> Result<&'a Value, String> {
    let layers = list(manifest, "/layers");
    match some_text(spec, "/layerSelector/mediaType") {
        None => layers
            .first()
            .ok_or_else(|| "the artifact has no layers".to_owned()),
        Some(wanted) => layers
            .iter()
            .find(|layer| text(layer, "/mediaType") == wanted)
            .ok_or_else(|| {
                let found: Vec<&str> = layers.iter().map(|one| text(one, "/mediaType")).collect();
                format!(
                    "the artifact has no layer of media type {wanted} (it has {})",
                    found.join(", ")
                )
            }),
    }
}

async fn secret(inner: &Inner, subject: &Subject, name: &str) -> Result<Option<Value>, ApiError> {
    let path = format!(
        "/api/v1/namespaces/{}/secrets/{name}",
        subject.key.namespace
    );
    inner.api(&subject.key.cluster).get(&path).await
}

async fn repository(
    inner: &Inner,
    subject: &Subject,
    spec: &Value,
) -> Result<Result<Repository, Failure>, ApiError> {
    let repository = match Repository::new(
        inner.http.clone(),
        text(spec, "/url"),
        flag(spec, "/insecure"),
        duration(text(spec, "/timeout")).unwrap_or(Duration::from_secs(60)),
    ) {
        Ok(repository) => repository,
        Err(why) => return Ok(Err(failure("URLInvalid", why))),
    };
    let Some(name) = some_text(spec, "/secretRef/name") else {
        return Ok(Ok(repository));
    };
    let Some(found) = secret(inner, subject, name).await? else {
        return Ok(Err(failure(
            "AuthenticationFailed",
            format!(
                "could not sign in at {}: the Secret {name} does not exist; create it with type kubernetes.io/dockerconfigjson",
                repository.host
            ),
        )));
    };
    let config = found
        .get("data")
        .and_then(|data| data.get(".dockerconfigjson"))
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok());
    let login: Result<Option<Login>, String> = match config {
        Some(config) => registry::login(&config, &repository.host),
        None => Err("it has no .dockerconfigjson".into()),
    };
    Ok(match login {
        Ok(login) => Ok(repository.signed_in(login)),
        Err(why) => Err(failure(
            "AuthenticationFailed",
            format!("could not use the Secret {name}: {why}"),
        )),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_layer_is_the_selected_one_or_the_first() {
        let manifest = json!({"layers": [{"mediaType": "a"}, {"mediaType": "b"}]});
        let pick = |spec: Value| layer(&manifest, &spec).map(|one| text(one, "/mediaType"));
        assert_eq!(pick(json!({})), Ok("a"));
        assert_eq!(pick(json!({"layerSelector": {"mediaType": "b"}})), Ok("b"));
        let error = pick(json!({"layerSelector": {"mediaType": "c"}})).unwrap_err();
        assert!(error.contains("it has a, b"), "{error}");
    }
}
