//! What an object needs before it can be worked on: its source's artifact and
//! the objects in `dependsOn`.

use serde_json::Value;

use crate::api::ApiError;
use crate::json::{integer, list, text};
use crate::key::Kind;
use crate::state::Inner;
use crate::status::Subject;

/// The artifact of the source that `reference` names, or why there is none.
pub async fn artifact(
    inner: &Inner,
    subject: &Subject,
    reference: &Value,
) -> Result<Result<Value, String>, ApiError> {
    let (kind, name) = (text(reference, "/kind"), text(reference, "/name"));
    let Some(kind) = Kind::from_name(kind) else {
        return Ok(Err(format!(
            "could not use the source {kind}/{name}: this kind of source is not supported here; use a GitRepository or an OCIRepository"
        )));
    };
    let key = subject
        .key
        .sibling(kind, text(reference, "/namespace"), name);
    let Some(source) = inner.api(&key.cluster).get(&key.path()).await? else {
        return Ok(Err(format!(
            "Source artifact not found: the {} {}/{} does not exist",
            kind.name(),
            key.namespace,
            key.name
        )));
    };
    Ok(match source.pointer("/status/artifact") {
        Some(artifact) => Ok(artifact.clone()),
        None => {
            let why = list(&source, "/status/conditions")
                .iter()
                .find(|one| text(one, "/type") == "Ready" && text(one, "/status") == "False")
                .map(|one| format!(": {}", text(one, "/message")))
                .unwrap_or_default();
            Err(format!(
                "Source artifact not found, retrying when {}/{}/{} is ready{why}",
                kind.name(),
                key.namespace,
                key.name
            ))
        }
    })
}

/// Whether every object in `dependsOn` is ready, or which is not. With a
/// source, a dependency on the same source must have applied its revision.
pub async fn dependencies(
    inner: &Inner,
    subject: &Subject,
    source: Option<&Value>,
) -> Result<Result<(), String>, ApiError> {
    for one in list(&subject.object, "/spec/dependsOn") {
        let key = subject.key.sibling(
            subject.key.kind,
            text(one, "/namespace"),
            text(one, "/name"),
        );
        let place = format!("{}/{}", key.namespace, key.name);
        let Some(other) = inner.api(&key.cluster).get(&key.path()).await? else {
            return Ok(Err(format!(
                "unable to get '{place}' dependency: it does not exist"
            )));
        };
        if !is_ready(&other) {
            return Ok(Err(format!("dependency '{place}' is not ready")));
        }
        let reference = |object: &Value| {
            let found = object.pointer("/spec/sourceRef").cloned();
            let namespace = text(object, "/metadata/namespace").to_owned();
            found.map(|found| {
                let namespace = match text(&found, "/namespace") {
                    "" => namespace,
                    other => other.to_owned(),
                };
                (
                    text(&found, "/kind").to_owned(),
                    namespace,
                    text(&found, "/name").to_owned(),
                )
            })
        };
        if let Some(source) = source
            && reference(&other).is_some()
            && reference(&other) == reference(&subject.object)
            && text(&other, "/status/lastAppliedRevision") != text(source, "/revision")
        {
            return Ok(Err(format!(
                "dependency '{place}' revision is not up to date"
            )));
        }
    }
    Ok(Ok(()))
}

fn is_ready(object: &Value) -> bool {
    integer(object, "/status/observedGeneration") == integer(object, "/metadata/generation")
        && list(object, "/status/conditions")
            .iter()
            .any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "True")
}
