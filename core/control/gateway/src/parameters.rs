//! The query parameters that each operation of the REST API takes, from the same
//! declarations as the OpenAPI document, and the refusal of all others: a slip in the
//! name of a parameter would else change the answer in silence.
//!
//! Laid around the routes of the API. What must stay true: whatever the document names is
//! let through, and so is how a list is read page by page (`limit`, `after`), which every
//! list may be asked by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use catalyst_blueprint::nearest;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::openapi::openapi;
use crate::problem::Refusal;

/// What a client may say of the page of a list that it wants; lists are one page as yet.
const PAGES: [&str; 2] = [LIMIT, "after"];
const LIMIT: &str = "limit";
/// Those who call these are programs of others, such as registries.
const OF_OTHERS: [&str; 2] = ["/api/v1/hooks/", "/api/v1/checks/"];

/// Method and path of an operation → its parameters.
type Operations = BTreeMap<(String, String), BTreeSet<String>>;

static OPERATIONS: LazyLock<Operations> = LazyLock::new(|| operations(&openapi()));

fn operations(document: &Value) -> Operations {
    let mut found = Operations::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let parameters = operation.get("parameters").and_then(Value::as_array);
            let names = parameters
                .into_iter()
                .flatten()
                .filter(|it| it.get("in").and_then(Value::as_str) == Some("query"))
                .filter_map(|it| it.get("name")?.as_str().map(str::to_owned));
            let key = (method.to_uppercase(), path.clone());
            found.entry(key).or_default().extend(names);
        }
    }
    found
}

/// Refuses a request with a parameter that its operation does not take.
pub async fn check(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map(|it| it.as_str().trim_end_matches('/'));
    let query = request.uri().query().unwrap_or_default();
    let refusal = path.and_then(|path| refusal(request.method(), path, query));
    match refusal {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(method: &Method, path: &str, query: &str) -> Option<Refusal> {
    if query.is_empty() || OF_OTHERS.iter().any(|others| path.starts_with(others)) {
        return None;
    }
    let known = OPERATIONS.get(&(method.as_str().to_owned(), path.to_owned()))?;
    let is_page = |name: &str| *method == Method::GET && PAGES.contains(&name);
    let no_number = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == LIMIT && is_page(name) && value.parse::<u32>().is_err());
    if let Some((_, value)) = no_number {
        let value: String = value.chars().take(60).collect();
        let refused = Refusal::new(
            StatusCode::BAD_REQUEST,
            "malformed-query",
            "Read the request's query parameters",
            format!("The parameter {LIMIT:?} is {value:?}, and no whole number."),
        );
        return Some(refused.next("Give how many items are wanted at most, or leave it out."));
    }
    let (unknown, _) = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| !known.contains(&**name) && !is_page(name))?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let next = match nearest(&unknown, known.iter().copied()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None if known.is_empty() => "Leave it out: this operation takes none.".to_owned(),
        None => format!("Leave it out, or use one of {}.", known.join(", ")),
    };
    let name: String = unknown.chars().take(60).collect();
    Some(
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "malformed-query",
            "Read the request's query parameters",
            format!("There is no parameter {name:?} here."),
        )
        .next(next),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_not_known_is_refused_with_the_nearest() {
        let application = "/api/v1/environments/{environment}/applications/{application}";
        let logs = format!("{application}/logs");
        for (method, path, query, next) in [
            (Method::GET, "/api/v1/blueprints", "q=wiki&tag=web", None),
            (Method::GET, "/api/v1/blueprints", "limit=100&after=x", None),
            (Method::GET, "/api/v1/blueprints", "", None),
            (
                Method::GET,
                "/api/v1/sovereigns",
                "limit=abc",
                Some("Give how many items are wanted at most, or leave it out."),
            ),
            (
                Method::GET,
                "/api/v1/blueprints",
                "catgory=data",
                Some("Did you mean `category`?"),
            ),
            (
                Method::GET,
                "/api/v1/blueprints",
                "q=wiki&colour=red",
                Some("Leave it out, or use one of category, q, tag."),
            ),
            (Method::GET, &logs, "%74ial=5", Some("Did you mean `tail`?")),
            (
                Method::GET,
                "/api/v1/me",
                "verbose=1",
                Some("Leave it out: this operation takes none."),
            ),
            // Pages are of what is read.
            (
                Method::POST,
                "/api/v1/upgrades",
                "limit=1",
                Some("Leave it out: this operation takes none."),
            ),
            (Method::POST, "/api/v1/hooks/registry", "x=1", None),
            (Method::GET, "/api/v1/nothing", "x=1", None),
        ] {
            let refused = refusal(&method, path, query);
            let found = refused.as_ref().map(|it| it.problem().next.clone());
            let found = found.map(Option::unwrap_or_default);
            assert_eq!(found.as_deref(), next, "{method} {path}?{query}");
            if let Some(refused) = refused {
                assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
            }
        }
    }
}
