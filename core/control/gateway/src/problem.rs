//! Refusals and failures on their way out: RFC 9457 problem details.
//!
//! Every handler, extractor and fallback answers errors through [`Refusal`], so
//! no caller ever meets an error that is not `application/problem+json`. What
//! must stay true: a refusal never carries a secret, and it never tells an
//! outsider whether something they may not see exists.

use axum::response::{IntoResponse, Response};
use catalyst_api::{Fault, Problem};
use catalyst_commands::CommandError;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An answer that is an error. Boxed, so that results stay small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<Problem>);

impl Refusal {
    /// A refusal from its parts; `kind` is the stable word for programs.
    pub fn new(
        status: StatusCode,
        kind: &str,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Problem {
            kind: kind.to_owned(),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            next: None,
            faults: Vec::new(),
        }))
    }

    /// With what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.0.next = Some(next.into());
        self
    }

    /// With one more fault.
    #[must_use]
    pub fn fault(mut self, pointer: Option<String>, message: impl Into<String>) -> Self {
        self.0.faults.push(Fault {
            pointer,
            message: message.into(),
            ..Fault::default()
        });
        self
    }

    /// The status that is answered.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem itself.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// Nobody is signed in.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Recognise the caller",
            detail,
        )
        .next("Sign in, or send a valid access token of the Sovereign's issuer as `Authorization: Bearer`.")
    }

    /// The caller is known and may not.
    pub fn forbidden(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", title, detail)
    }

    /// There is no such thing, or the caller may not know of it: both read
    /// alike.
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("Find {what} {name}"),
            format!("There is no {what} {name} that you may see."),
        )
        .next("Check the name, or ask an administrator of the Organization for a role in it.")
    }

    /// The control plane failed by a fault of its own, which its log has.
    pub fn internal(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, detail)
    }

    /// A part that is needed for the answer does not answer.
    pub fn unavailable(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            title,
            detail,
        )
        .next("Try again in a few seconds.")
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        error.problem().into()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&*self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"catalyst\""),
            );
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
