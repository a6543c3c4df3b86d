//! Third step: the body as an object.

use axum::body::{Body, Bytes};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::catalog::split_api_version;
use crate::context::Context;
use crate::object::text;
use crate::protobuf;
use crate::status::ApiError;

/// Bodies larger than this are refused, as upstream does.
const LIMIT: usize = 3 * 1024 * 1024;

/// The media type without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Reads the whole body.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ApiError::too_large(LIMIT))
        }
        Err(error) => Err(ApiError::bad_request(format!(
            "reading the request body: {error}"
        ))),
    }
}

/// Parses JSON, YAML or Protobuf.
pub(crate) fn parse(bytes: &[u8], kind: &str) -> Result<Value, ApiError> {
    match kind {
        ""
        | "application/json"
        | "*/*"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json"
        | "application/json-patch+json" => serde_json::from_slice(bytes).map_err(|error| {
            ApiError::bad_request(format!(
                "the object provided is unrecognized (must be of type JSON): {error}"
            ))
        }),
        "application/yaml" | "application/apply-patch+yaml" => {
            let text = std::str::from_utf8(bytes)
                .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
            catalyst_yaml::from_str(text)
                .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
        }
        protobuf::MEDIA => protobuf::decode(bytes).map_err(|error| match error {
            // Custom resources, which have no messages.
            protobuf::ReadError::UnknownKind { .. } => unsupported(),
            error => ApiError::bad_request(error.to_string()),
        }),
        _ => Err(unsupported()),
    }
}

fn unsupported() -> ApiError {
    ApiError::unsupported_media_type(
        "application/json, application/yaml, application/vnd.kubernetes.protobuf",
    )
}

/// An object of the request's kind; the kind may be left out where the path
/// already says it.
pub(crate) fn object(context: &Context, bytes: &[u8]) -> Result<Value, ApiError> {
    let mut object = parse(bytes, content_type(&context.headers))?;
    check_kind(context, &mut object)?;
    Ok(object)
}

/// Refuses an object of another kind, and fills in the kind.
pub(crate) fn check_kind(context: &Context, object: &mut Value) -> Result<(), ApiError> {
    let resource = &context.resource;
    let (group, version, kind) = match resource.subresource(&context.subresource) {
        Some(sub) => (sub.group.as_str(), sub.version.as_str(), sub.kind.as_str()),
        None => (
            resource.group.as_str(),
            resource.version.as_str(),
            resource.kind.as_str(),
        ),
    };
    let Some(map) = object.as_object_mut() else {
        return Err(ApiError::bad_request(
            "the object provided is not a JSON object",
        ));
    };
    let expected = crate::catalog::api_version(group, version);
    map.entry("apiVersion")
        .or_insert_with(|| Value::String(expected.clone()));
    map.entry("kind")
        .or_insert_with(|| Value::String(kind.to_owned()));
    let (found_version, found_kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    if found_kind != kind {
        return Err(ApiError::bad_request(format!(
            "{found_kind} in version {:?} cannot be handled as a {kind}: the kind in the data does not match the expected one",
            split_api_version(found_version).1
        )));
    }
    if found_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({found_version}) does not match the expected API version ({expected})"
        )));
    }
    if object
        .get("metadata")
        .is_some_and(|metadata| !metadata.is_object() && !metadata.is_null())
    {
        return Err(ApiError::bad_request("metadata: expected an object"));
    }
    Ok(())
}
