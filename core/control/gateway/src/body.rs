//! What a request carries: path, query and JSON body, read strictly.
//!
//! Handlers take these instead of axum's own extractors, whose rejections are
//! plain text. What must stay true: every rejection is a [`Refusal`] that says
//! what is wrong, and where in the body by JSON pointer; no property of a body is
//! passed over.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use catalyst_yaml::pointer::escape;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use utoipa::ToSchema;

use crate::known::unknown;
use crate::problem::Refusal;

/// The most bytes of a JSON body.
pub const LARGEST_BODY: usize = 1 << 20;
/// The most bytes of what the forge sends: it describes whole pushes.
pub const LARGEST_HOOK: usize = 32 << 20;

/// A JSON body of exactly `application/json`.
pub struct ApiJson<T>(pub T);

/// The same where it may be left out, which says nothing.
pub struct ApiJsonIfAny<T>(pub T);

/// Path parameters.
pub struct ApiPath<T>(pub T);

/// Query parameters.
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for ApiJson<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        require_json(request.headers())?;
        let body = raw(Bytes::from_request(request, state).await, LARGEST_BODY)?;
        parse_known(&body).map(Self)
    }
}

impl<S, T> FromRequest<S> for ApiJsonIfAny<T>
where
    S: Send + Sync,
    T: DeserializeOwned + ToSchema + Default,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let is_json = require_json(request.headers());
        let body = raw(Bytes::from_request(request, state).await, LARGEST_BODY)?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        is_json?;
        parse_known(&body).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(error) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "malformed-path",
                "Read the request's path",
                error.body_text(),
            )),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "malformed-query",
                "Read the request's query parameters",
                error.body_text(),
            )
            .next("The OpenAPI document at /api/v1/openapi.json lists every parameter.")),
        }
    }
}

/// The whole body, or why it could not be read; `largest` is the bound of its route, in bytes.
pub fn raw(body: Result<Bytes, BytesRejection>, largest: usize) -> Result<Bytes, Refusal> {
    body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Read the request's body",
            format!(
                "The body is larger than this operation takes, which is {} MiB at most.",
                largest >> 20
            ),
        ),
        _ => Refusal::new(
            StatusCode::BAD_REQUEST,
            "unreadable-body",
            "Read the request's body",
            "The body broke off or could not be read.",
        ),
    })
}

/// Refuses everything that does not call itself `application/json`. A form of
/// another site cannot, so this is a fence of its own against forged writes.
pub fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = parts.all(|parameter| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.eq_ignore_ascii_case("charset")
                || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    if essence.eq_ignore_ascii_case("application/json") && is_utf8 {
        return Ok(());
    }
    let detail = if given.is_empty() {
        "The request does not say what its body is.".to_owned()
    } else {
        format!("The body is called {given:?}.")
    };
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "Read the request's body",
        detail,
    )
    .next("Send JSON in UTF-8 with `Content-Type: application/json`."))
}

/// Reads JSON of the API's own shapes, and refuses what they do not know.
pub fn parse_known<T: DeserializeOwned + ToSchema>(body: &[u8]) -> Result<T, Refusal> {
    // Of what is no JSON, reading it says where.
    let unknown = match serde_json::from_slice::<Value>(body) {
        Ok(value) => unknown(&T::name(), &value),
        Err(_) => Vec::new(),
    };
    if unknown.is_empty() {
        return parse(body);
    }
    let refused = Refusal::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid",
        "Read the request's body",
        "The body has what this operation does not know; nothing was done.",
    )
    .next("Put right what is listed. The OpenAPI document at /api/v1/openapi.json has every body's shape.");
    Err(unknown.into_iter().fold(refused, |refused, (at, message)| {
        refused.fault(Some(at), message)
    }))
}

/// Reads JSON; the place of a fault is a JSON pointer (RFC 6901).
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let malformed = |pointer: Option<String>, reason: String| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "malformed-json",
            "Read the request's body",
            "The body is not what this operation takes.",
        )
        .next("The OpenAPI document at /api/v1/openapi.json has every body's shape.")
        .fault(pointer, reason)
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        malformed(Some(pointer), in_words(&error.into_inner().to_string()))
    })?;
    deserializer
        .end()
        .map_err(|error| malformed(None, error.to_string()))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            // The variant of a union is not part of the document.
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// What serde says of a value, without Rust's names for what was given and wanted. What it
/// says in other forms stays as it is.
fn in_words(message: &str) -> String {
    if let Some((name, place)) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split_once('`'))
    {
        return format!("`{name}` is missing{place}");
    }
    // A struct may be given as a list, too, which then is too short or too long.
    let of_length = message
        .strip_prefix("invalid length ")
        .and_then(|rest| rest.split_once(", expected "))
        .filter(|(_, wanted)| wanted.starts_with("struct "))
        .map(|(_, wanted)| ("sequence", wanted));
    let of_type = || {
        message
            .strip_prefix("invalid type: ")
            .or_else(|| message.strip_prefix("invalid value: "))
            .and_then(|rest| rest.rsplit_once(", expected "))
    };
    let Some((given, rest)) = of_length.or_else(of_type) else {
        return message.to_owned();
    };
    let (wanted, place) = match rest.find(" at line ") {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let given = match given.split(' ').next().unwrap_or_default() {
        "map" => "an object",
        "sequence" => "a list",
        "null" | "unit" => "null",
        _ => given,
    };
    let wanted = match wanted.split(' ').next().unwrap_or_default() {
        "struct" | "map" => "an object",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative and not too large",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number, not too large",
        "f32" | "f64" => "a number",
        _ => match wanted {
            "a map" => "an object",
            "a sequence" => "a list",
            other => other,
        },
    };
    format!("it is {given}, expected {wanted}{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Wanted {
        #[serde(rename = "name")]
        _name: String,
        #[serde(default, rename = "count")]
        _count: u16,
    }

    #[test]
    fn what_was_wanted_is_said_without_the_names_of_rust() {
        for (body, expected) in [
            ("[]", "it is a list, expected an object"),
            ("5", "it is integer `5`, expected an object"),
            ("{}", "`name` is missing"),
            (r#"{"name": {}}"#, "it is an object, expected a string"),
            (r#"{"name": null}"#, "it is null, expected a string"),
            (
                r#"{"name": "a", "count": -1}"#,
                "it is integer `-1`, expected a whole number, not negative",
            ),
        ] {
            let error = serde_json::from_str::<Wanted>(body).unwrap_err();
            let said = in_words(&error.to_string());
            assert!(said.starts_with(expected), "{body}: {said}");
        }
        assert_eq!(in_words("something else"), "something else");
    }
}
