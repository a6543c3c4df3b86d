//! `/api/v1/graphql`: the REST API's reads and commands as one graph.
//!
//! GraphQL over HTTP as <https://graphql.github.io/graphql-over-http/draft/> says it. The
//! schema is `schema.graphql` beside the crate's manifest; `fields` calls the handler of
//! REST that a field is, so that both surfaces decide by the same lines.
//!
//! What must stay true: nothing is answered that the handler of REST does not answer to the
//! same caller; a GET changes nothing; no operation is dearer than [`limits`] say.

mod fields;
mod limits;
mod node;
mod operation;

use std::cmp::Ordering;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::body::{ApiJson, ApiQuery};
use crate::caller::Caller;
use crate::problem::Refusal;
use operation::{Asked, Outcome};

/// The media type of answers: a status of an error means that nothing was carried out.
const GRAPHQL_JSON: &str = "application/graphql-response+json";
/// The older one: whatever is well-formed is answered with 200.
const PLAIN_JSON: &str = "application/json";

/// A document of GraphQL, and with what to execute which of its operations.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GraphqlRequest {
    /// The document, at most 16 KiB.
    pub query: String,
    /// The operation that is meant, where the document has several.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// The operation's variables.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub variables: Option<Map<String, Value>>,
    /// Not heeded.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub extensions: Option<Map<String, Value>>,
}

/// The same in a URL.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GraphqlQuery {
    /// The document, at most 16 KiB.
    pub query: String,
    /// The operation that is meant, where the document has several.
    pub operation_name: Option<String>,
    /// The operation's variables, a JSON object.
    pub variables: Option<String>,
    /// Not heeded.
    pub extensions: Option<String>,
}

/// Executes a query or a mutation of GraphQL.
#[utoipa::path(post, path = "/api/v1/graphql", tag = "graphql", operation_id = "graphql_post",
    request_body = GraphqlRequest,
    responses((status = 200, description = "`data`, and `errors` where a field was refused; each has the problem in `extensions.problem`.",
        body = Object, content_type = "application/graphql-response+json")))]
pub async fn graphql_post(
    caller: Caller,
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<GraphqlRequest>,
) -> Result<Response, Refusal> {
    let media = answered_as(&headers)?;
    let GraphqlRequest {
        query: document,
        operation_name,
        variables,
        extensions,
    } = request;
    drop(extensions);
    let asked = Asked {
        document,
        operation_name,
        variables: variables.unwrap_or_default(),
        may_change: true,
    };
    let outcome = operation::run(gateway, caller, asked).await?;
    Ok(answer(&outcome, media))
}

/// Executes a query of GraphQL.
#[utoipa::path(get, path = "/api/v1/graphql", tag = "graphql", operation_id = "graphql_get",
    params(GraphqlQuery),
    responses((status = 200, description = "`data`, and `errors` where a field was refused; each has the problem in `extensions.problem`.",
        body = Object, content_type = "application/graphql-response+json")))]
pub async fn graphql_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<GraphqlQuery>,
) -> Result<Response, Refusal> {
    let media = answered_as(&headers)?;
    let GraphqlQuery {
        query: document,
        operation_name,
        variables,
        extensions,
    } = query;
    drop(extensions);
    let variables = match variables.filter(|text| !text.is_empty()) {
        Some(text) => {
            serde_json::from_str::<Option<Map<String, Value>>>(&text).map_err(|error| {
                Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "malformed-query",
                    "Read the request's query parameters",
                    format!("The parameter `variables` is no JSON object: {error}"),
                )
                .next("Give the variables as one JSON object, percent-encoded.")
            })?
        }
        None => None,
    };
    let asked = Asked {
        document,
        operation_name,
        variables: variables.unwrap_or_default(),
        may_change: false,
    };
    let outcome = operation::run(gateway, caller, asked).await?;
    Ok(answer(&outcome, media))
}

/// The schema of GraphQL, in its own language. Anybody may read it.
#[utoipa::path(get, path = "/api/v1/graphql/schema", tag = "graphql", operation_id = "graphql_schema_get",
    security(()),
    responses((status = 200, description = "The schema.", body = String, content_type = "text/plain")))]
pub async fn graphql_schema_get() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; charset=utf-8")],
        operation::SDL,
    )
}

/// The media type that the caller likes best of those there are.
fn answered_as(headers: &HeaderMap) -> Result<&'static str, Refusal> {
    let accepts: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .collect();
    if accepts.is_empty() {
        return Ok(GRAPHQL_JSON);
    }
    let mut best: Option<(&'static str, f32)> = None;
    for range in accepts {
        let mut parts = range.split(';').map(str::trim);
        let media = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            Some(GRAPHQL_JSON | "application/*" | "*/*") => GRAPHQL_JSON,
            Some(PLAIN_JSON) => PLAIN_JSON,
            _ => continue,
        };
        let weight: f32 = parts
            .find_map(|parameter| parameter.strip_prefix("q="))
            .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        // Of two that are liked alike, the first.
        let is_better = best
            .is_none_or(|(_, other)| matches!(weight.partial_cmp(&other), Some(Ordering::Greater)));
        if weight > 0.0 && is_better {
            best = Some((media, weight));
        }
    }
    best.map(|(media, _)| media).ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_ACCEPTABLE,
            "not-acceptable",
            "Answer a request of GraphQL",
            "The request accepts none of the media types that there are.",
        )
        .next(format!("Send `Accept: {GRAPHQL_JSON}` or `{PLAIN_JSON}`."))
    })
}

fn answer(outcome: &Outcome, media: &'static str) -> Response {
    let (status, body) = match outcome {
        Outcome::Executed(response) => (StatusCode::OK, Json(response).into_response()),
        Outcome::Refused(refused) => {
            let status = match media {
                PLAIN_JSON => StatusCode::OK,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, Json(refused).into_response())
        }
        Outcome::Changes(refusal) => {
            let allow = [(ALLOW, HeaderValue::from_static("POST"))];
            return (allow, refusal.clone()).into_response();
        }
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media)),
        (VARY, HeaderValue::from_static("accept")),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_the_one_that_is_liked_best() {
        for (accept, expected) in [
            (None, Some(GRAPHQL_JSON)),
            (Some(""), Some(GRAPHQL_JSON)),
            (Some("*/*"), Some(GRAPHQL_JSON)),
            (Some("application/json"), Some(PLAIN_JSON)),
            (Some("Application/JSON; charset=utf-8"), Some(PLAIN_JSON)),
            (
                Some("application/graphql-response+json, application/json;q=0.9"),
                Some(GRAPHQL_JSON),
            ),
            (
                Some("application/graphql-response+json;q=0.5, application/json"),
                Some(PLAIN_JSON),
            ),
            (Some("application/json, */*"), Some(PLAIN_JSON)),
            (Some("text/html, application/json;q=0"), None),
            (Some("text/html"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            let found = answered_as(&headers).ok();
            assert_eq!(found, expected, "{accept:?}");
        }
    }
}
