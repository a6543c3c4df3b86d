//! The specification's error answers: a status, a code, and a message that
//! says what was attempted, why it failed and what to do.

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalyst_store::CommitError;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::digest::DigestError;
use crate::names::NameError;

/// Codes of the distribution specification, and `UNKNOWN` for our own faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    PaginationNumberInvalid,
    RangeInvalid,
    Unavailable,
    Unknown,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A refused or failed request.
#[derive(Debug)]
pub(crate) struct OciError {
    status: StatusCode,
    code: Code,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl OciError {
    pub(crate) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn not_found(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Asks for credentials in the way that docker, helm and OCI clients know.
    pub(crate) fn challenge(realm: &str, message: impl Into<String>) -> Self {
        let quoted = realm.replace(['"', '\\'], "");
        let error = Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message);
        match HeaderValue::from_str(&format!("Basic realm=\"{quoted}\", charset=\"UTF-8\"")) {
            Ok(value) => error.with_header(WWW_AUTHENTICATE, value),
            Err(_) => error.with_header(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"registry\""),
            ),
        }
    }

    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == code
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A failure of the disk; the details go to the log, not to the client.
    pub(crate) fn disk(attempted: &str, error: &std::io::Error) -> Self {
        tracing::error!(attempted, %error, "registry disk failure");
        if error.kind() == std::io::ErrorKind::StorageFull {
            Self::full(attempted)
        } else {
            Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unknown,
                format!("cannot {attempted}: the registry's disk failed; see its log"),
            )
        }
    }

    fn full(attempted: &str) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            Code::Unknown,
            format!("cannot {attempted}: the registry's disk is full; free space and push again"),
        )
    }
}

impl From<CommitError> for OciError {
    fn from(error: CommitError) -> Self {
        tracing::error!(%error, "registry metadata not written");
        if error.is_full() {
            return Self::full("record the change");
        }
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            "the registry could not record the change; try again",
        )
    }
}

impl From<NameError> for OciError {
    fn from(error: NameError) -> Self {
        Self::bad_request(Code::NameInvalid, error.to_string())
    }
}

impl From<DigestError> for OciError {
    fn from(error: DigestError) -> Self {
        Self::bad_request(Code::DigestInvalid, error.to_string())
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let body = json!({"errors": [{"code": self.code.as_str(), "message": self.message}]});
        let mut response = (self.status, Json(body)).into_response();
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_whoever_met_it() {
        let file = OciError::disk(
            "store the blob",
            &std::io::Error::from(std::io::ErrorKind::StorageFull),
        );
        let store = OciError::from(CommitError::Disk {
            reason: "No space left on device (os error 28)".into(),
            is_full: true,
        });
        for error in [file, store] {
            assert_eq!(error.status, StatusCode::INSUFFICIENT_STORAGE);
            assert!(error.message.contains("disk is full"), "{}", error.message);
        }
        let failing = OciError::from(CommitError::Disk {
            reason: "Input/output error (os error 5)".into(),
            is_full: false,
        });
        assert_eq!(failing.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
