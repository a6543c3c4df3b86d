//! Last step: the answer in the form the client asked for: the objects, their
//! metadata alone, or a table.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::object::{as_map, set};
use crate::protobuf;
use crate::status::ApiError;
use crate::table;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Metadata,
    Table,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Yaml,
    /// JSON all the same for what has no message, such as custom resources.
    Protobuf,
}

/// The first acceptable form of the `Accept` header, and how to write it.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<(Form, Media), ApiError> {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if accept.trim().is_empty() {
        return Ok((Form::Whole, Media::Json));
    }
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let media = match media {
            "application/json" | "*/*" | "application/*" => Media::Json,
            "application/yaml" => Media::Yaml,
            protobuf::MEDIA => Media::Protobuf,
            _ => continue,
        };
        let parameters: Vec<&str> = parts.collect();
        let of = |key: &str| {
            parameters
                .iter()
                .find_map(|one| one.strip_prefix(key))
                .unwrap_or_default()
        };
        match of("as=") {
            "" => return Ok((Form::Whole, media)),
            "Table" if of("v=") == "v1" && media != Media::Protobuf => {
                return Ok((Form::Table, media));
            }
            "PartialObjectMetadata" | "PartialObjectMetadataList" if of("v=") == "v1" => {
                return Ok((Form::Metadata, media));
            }
            _ => {}
        }
    }
    Err(ApiError::not_acceptable(
        "application/json, application/yaml, application/vnd.kubernetes.protobuf",
    ))
}

/// The object as the served version shows it.
pub(crate) fn present(resource: &Resource, mut object: Value, cluster: Option<&str>) -> Value {
    crate::catalog::convert(resource, &mut object);
    if let Some(cluster) = cluster {
        set(
            &mut object,
            &["metadata", "annotations", "openova.io/cluster"],
            json!(cluster),
        );
    }
    object
}

/// The object in a form.
pub(crate) fn shape(resource: &Resource, object: Value, form: Form, include: &str) -> Value {
    match form {
        Form::Whole => object,
        Form::Metadata => metadata_only(object),
        Form::Table => {
            let version = object
                .pointer("/metadata/resourceVersion")
                .cloned()
                .unwrap_or_default();
            table::table(
                resource,
                vec![object],
                json!({"resourceVersion": version}),
                include,
            )
        }
    }
}

fn metadata_only(mut object: Value) -> Value {
    let metadata = as_map(&mut object)
        .remove("metadata")
        .unwrap_or_else(|| json!({}));
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

/// One object as an answer.
pub(crate) fn one(
    resource: &Resource,
    headers: &HeaderMap,
    include: &str,
    code: StatusCode,
    object: Value,
) -> Result<Response, ApiError> {
    let (form, media) = negotiate(headers)?;
    let object = present(resource, object, None);
    Ok(respond(
        code,
        &shape(resource, object, form, include),
        media,
    ))
}

/// A list as an answer.
pub(crate) fn list(
    resource: &Resource,
    headers: &HeaderMap,
    include: &str,
    items: Vec<Value>,
    metadata: Value,
) -> Result<Response, ApiError> {
    let (form, media) = negotiate(headers)?;
    let document = match form {
        Form::Whole => {
            let items: Vec<Value> = items
                .into_iter()
                .map(|mut item| {
                    // Custom resources name their kind in lists, built-in ones do not.
                    if resource.custom.is_none() {
                        let map = as_map(&mut item);
                        map.remove("apiVersion");
                        map.remove("kind");
                    }
                    item
                })
                .collect();
            json!({"kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": metadata, "items": items})
        }
        Form::Metadata => {
            let items: Vec<Value> = items.into_iter().map(metadata_only).collect();
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items,
            })
        }
        Form::Table => table::table(resource, items, metadata, include),
    };
    Ok(respond(StatusCode::OK, &document, media))
}

/// A document as an answer.
pub(crate) fn respond(code: StatusCode, document: &Value, media: Media) -> Response {
    let packed = (media == Media::Protobuf)
        .then(|| protobuf::encode(document))
        .flatten();
    let (bytes, media) = match (packed, media) {
        (Some(bytes), _) => (bytes, protobuf::MEDIA),
        (None, Media::Yaml) => (
            catalyst_yaml::to_string(document).into_bytes(),
            "application/yaml",
        ),
        (None, _) => (document.to_string().into_bytes(), "application/json"),
    };
    let mut response = (code, bytes).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// Headers that every answer carries.
pub(crate) fn finish(mut response: Response) -> Response {
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}
