//! Kubernetes `Status` errors.
//!
//! Every refusal of this crate is an [`ApiError`]; clients branch on `code`
//! and `reason`, people read `message`, so all three must be what a real API
//! server answers in the same situation.

use axum::response::{IntoResponse, Response};
use catalyst_schema::FieldError;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// A refusal, in the terms of `metav1.Status`.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
    /// `Status.details`, or null.
    pub details: Value,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

/// `deployments.apps`, or `pods` for the core group.
pub fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

impl ApiError {
    /// The cause of a refusal because the disk has no room.
    pub const STORAGE_FULL: &'static str = "StorageFull";

    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.details = json!({"name": name, "group": group, "kind": kind});
        if let Some(details) = self.details.as_object_mut() {
            details.retain(|_, value| value.as_str() != Some(""));
        }
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 with a message composed by the caller.
    pub fn forbidden(group: &str, resource: &str, name: &str, message: &str) -> Self {
        let shown = qualified(resource, group);
        let text = if name.is_empty() {
            format!("{shown} is forbidden: {message}")
        } else {
            format!("{shown} {name:?} is forbidden: {message}")
        };
        Self::new(403, "Forbidden", text).about(group, resource, name)
    }

    /// 403 for a path that is not a resource.
    pub fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        Self::new(
            403,
            "Forbidden",
            format!("forbidden: User {user:?} cannot {verb} path {path:?}"),
        )
    }

    /// 404 for an object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::new(
            404,
            "NotFound",
            format!("{} {name:?} not found", qualified(resource, group)),
        )
        .about(group, resource, name)
    }

    /// 404 for a container that does not run, in a kubelet's words.
    pub fn container_not_found(container: &str) -> Self {
        Self::new(
            404,
            "NotFound",
            format!("container not found ({container:?})"),
        )
    }

    /// 404 for a path nothing is served at.
    pub fn no_such_path() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 409 because the name is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{} {name:?} already exists", qualified(resource, group)),
        )
        .about(group, resource, name)
    }

    /// 409 because the object is not as the request supposes.
    pub fn conflict(group: &str, resource: &str, name: &str, detail: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {} {name:?}: {detail}",
                qualified(resource, group)
            ),
        )
        .about(group, resource, name)
    }

    /// 409 because the object has been modified since it was read.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 of server-side apply: `(message, field)` of each conflict.
    pub fn apply_conflict(message: String, conflicts: &[(String, String)]) -> Self {
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|(message, field)| json!({"reason": "FieldManagerConflict", "message": message, "field": field}))
            .collect();
        let mut error = Self::new(409, "Conflict", message);
        error.details = json!({"causes": causes});
        error
    }

    /// 410: the history asked for is no longer held.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// 415.
    pub fn unsupported_media_type(supported: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {supported}"
            ),
        )
    }

    /// 406.
    pub fn not_acceptable(supported: &str) -> Self {
        Self::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {supported}"),
        )
    }

    /// 422 with the fields at fault.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> = errors
            .iter()
            .map(|error| {
                if error.path.is_empty() {
                    error.body()
                } else {
                    format!("{}: {}", error.path, error.body())
                }
            })
            .collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.kind.reason(), "message": error.body(), "field": error.path}))
            .collect();
        let mut answer = Self::new(
            422,
            "Invalid",
            format!("{} {name:?} is invalid: {text}", qualified(kind, group)),
        )
        .about(group, kind, name);
        if let Some(details) = answer.details.as_object_mut() {
            details.insert("causes".into(), Value::Array(causes));
        }
        answer
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {}", message.into()),
        )
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 503, as the disk has no room, which the cause says to programs.
    pub fn storage_full(message: impl Into<String>) -> Self {
        let message = message.into();
        let details = json!({"causes": [{"reason": Self::STORAGE_FULL, "message": message}]});
        Self {
            details,
            ..Self::unavailable(message)
        }
    }

    /// Whether it is one because the disk has no room.
    pub fn is_storage_full(&self) -> bool {
        let cause = self.details.pointer("/causes/0/reason");
        cause.is_some_and(|reason| reason == Self::STORAGE_FULL)
    }

    /// 504.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {}", message.into()))
    }

    /// The error as a `Status` object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null()
            && let Some(map) = status.as_object_mut()
        {
            map.insert("details".into(), self.details.clone());
        }
        status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, self.to_status().to_string()).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}
