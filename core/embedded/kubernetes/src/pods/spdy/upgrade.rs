//! Taking a connection over from HTTP, to speak SPDY/3.1 on it.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use crate::status::ApiError;

/// What a client asks to upgrade to.
pub(in crate::pods) const NAME: &str = "SPDY/3.1";
/// What a client wants to speak over it, and what it is granted.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Whether a request asks for SPDY.
pub(in crate::pods) fn is_asked(headers: &HeaderMap) -> bool {
    let asked = headers.get(UPGRADE).map(|name| name.as_bytes());
    asked.is_some_and(|name| name.eq_ignore_ascii_case(NAME.as_bytes()))
}

/// A connection that can be taken over.
pub(in crate::pods) struct Upgrade {
    connection: OnUpgrade,
    protocol: &'static str,
}

impl Upgrade {
    /// Of a request that asks for it.
    ///
    /// # Errors
    ///
    /// When its client does not speak `protocol`, or its connection is not a plain
    /// one of HTTP/1.1.
    pub fn of(parts: &mut Parts, protocol: &'static str) -> Result<Self, ApiError> {
        let offered = parts.headers.get_all(STREAM_PROTOCOL).into_iter();
        let mut offered = offered
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','));
        if !offered.any(|one| one.trim() == protocol) {
            return Err(ApiError::bad_request(format!(
                "unable to upgrade: unable to negotiate a protocol: the server accepts {protocol}"
            )));
        }
        let connection = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
            ApiError::bad_request("unable to upgrade: this connection cannot be taken over")
        })?;
        Ok(Self {
            connection,
            protocol,
        })
    }

    /// The answer after which the connection is given to `serve`.
    pub fn on_upgrade<F>(
        self,
        serve: impl FnOnce(TokioIo<Upgraded>) -> F + Send + 'static,
    ) -> Result<Response, ApiError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self {
            connection,
            protocol,
        } = self;
        let answer = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, NAME)
            .header(STREAM_PROTOCOL, protocol)
            .body(Body::empty())
            .map_err(|error| ApiError::internal(error.to_string()))?;
        tokio::spawn(async move {
            match connection.await {
                Ok(connection) => serve(TokioIo::new(connection)).await,
                Err(error) => tracing::debug!(%error, "a connection was not taken over"),
            }
        });
        Ok(answer)
    }
}
