//! What an object needs before it can be worked on: its source's artifact and
//! the objects in `dependsOn`.

use serde_json::Value;

use crate::api::ApiError;
use crate::json::{integer, list, text};
use crate::key::Kind;
use crate::state::Inner;
use crate::status::Subject;

/// The source that `reference` names, or why there is none.
pub async fn source(
    inner: &Inner,
    subject: &Subject,
    reference: &Value,
) -> Result<Result<Value, String>, ApiError> {
    if let Some(why) = inner.foreign(subject, text(reference, "/namespace")) {
        return Ok(Err(why));
    }
    let (kind, name) = (text(reference, "/kind"), text(reference, "/name"));
    let Some(kind) = Kind::from_name(kind) else {
        return Ok(Err(format!(
            "could not use the source {kind}/{name}: this kind of source is not supported here; use a GitRepository or an OCIRepository"
        )));
    };
    let key = subject
        .key
        .sibling(kind, text(reference, "/namespace"), name);
    let found = inner.api(&key.cluster).get(&key.path()).await?;
    Ok(found.ok_or_else(|| {
        format!(
            "Source artifact not found: the {} {}/{} does not exist",
            kind.name(),
            key.namespace,
            key.name
        )
    }))
}

/// The artifact of a source, or why there is none.
pub fn artifact(source: &Value) -> Result<Value, String> {
    source.pointer("/status/artifact").cloned().ok_or_else(|| {
        let why = refusal(source)
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        format!(
            "Source artifact not found, retrying when {}/{}/{} is ready{why}",
            text(source, "/kind"),
            text(source, "/metadata/namespace"),
            text(source, "/metadata/name")
        )
    })
}

/// Why the artifact of a source is not of its spec as it is now: what uses it then would
/// have the spec of one version and the content of another.
pub fn unsettled(source: &Value) -> Option<String> {
    if is_settled(source) {
        return None;
    }
    Some(format!(
        "{} '{}/{}' is not ready: {}",
        text(source, "/kind"),
        text(source, "/metadata/namespace"),
        text(source, "/metadata/name"),
        refusal(source).unwrap_or("latest generation of object has not been reconciled")
    ))
}

/// Whether an object's status speaks of its spec as it is now.
pub fn is_settled(object: &Value) -> bool {
    integer(object, "/status/observedGeneration") == integer(object, "/metadata/generation")
}

/// What an object that is not ready says of that.
fn refusal(object: &Value) -> Option<&str> {
    list(object, "/status/conditions")
        .iter()
        .find(|one| text(one, "/type") == "Ready" && text(one, "/status") == "False")
        .map(|one| text(one, "/message"))
}

/// Whether every object in `dependsOn` is ready, or which is not. With a
/// source, a dependency on the same source must have applied its revision.
pub async fn dependencies(
    inner: &Inner,
    subject: &Subject,
    source: Option<&Value>,
) -> Result<Result<(), String>, ApiError> {
    for one in list(&subject.object, "/spec/dependsOn") {
        if let Some(why) = inner.foreign(subject, text(one, "/namespace")) {
            return Ok(Err(why));
        }
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
    is_settled(object)
        && list(object, "/status/conditions")
            .iter()
            .any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "True")
}
