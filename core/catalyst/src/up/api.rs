//! A client of the Kubernetes API inside the process: the same requests and
//! answers as over the wire, without the wire. Speaks with the identity that it
//! is given; the API checks it like any other.

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use catalyst_kubernetes::Identity;
use futures::{Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// A client with one identity.
#[derive(Clone)]
pub struct ApiClient {
    router: Router,
    identity: Identity,
}

/// An answer that is not a success.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}: {status} {message}")]
pub struct ApiRefusal {
    method: Method,
    path: String,
    /// The HTTP status.
    pub status: StatusCode,
    message: String,
}

/// Whether an answer says that what was asked for is not there.
pub fn is_gone(error: &anyhow::Error) -> bool {
    has_status(error, StatusCode::NOT_FOUND)
}

/// Whether an answer says that somebody else was faster.
pub fn is_conflict(error: &anyhow::Error) -> bool {
    has_status(error, StatusCode::CONFLICT)
}

fn has_status(error: &anyhow::Error, status: StatusCode) -> bool {
    error
        .downcast_ref::<ApiRefusal>()
        .is_some_and(|refusal| refusal.status == status)
}

impl ApiClient {
    /// A client that asks `router` as `identity`.
    pub fn new(router: Router, identity: Identity) -> Self {
        Self { router, identity }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let body = match body {
            Some(value) => Body::from(serde_json::to_vec(value)?),
            None => Body::empty(),
        };
        let response = self.open(method, path, content_type, body).await?;
        let bytes = response
            .into_body()
            .collect()
            .await
            .context("the answer broke off")?
            .to_bytes();
        serde_json::from_slice(&bytes).with_context(|| format!("the answer to {path} is not JSON"))
    }

    /// Reads an object or a list.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, "application/json", None).await
    }

    /// Follows a watch path, one event an item; ends when the server ends it.
    pub async fn watch(
        &self,
        path: &str,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Value>> + use<>> {
        let response = self
            .open(Method::GET, path, "application/json", Body::empty())
            .await?;
        let chunks = response.into_body().into_data_stream();
        let lines = futures::stream::unfold(
            (chunks, Vec::new()),
            |(mut chunks, mut pending)| async move {
                loop {
                    if let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = pending.drain(..=end).collect();
                        let event =
                            serde_json::from_slice(&line).context("a watch event is not JSON");
                        return Some((event, (chunks, pending)));
                    }
                    match chunks.next().await? {
                        Ok(chunk) => pending.extend_from_slice(&chunk),
                        Err(error) => {
                            let failure = Err(error).context("the watch broke off");
                            return Some((failure, (chunks, pending)));
                        }
                    }
                }
            },
        );
        Ok(Box::pin(lines))
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Body,
    ) -> anyhow::Result<http::Response<Body>> {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(CONTENT_TYPE, content_type)
            .extension(self.identity.clone())
            .body(body)
            .with_context(|| format!("{path} is not a path"))?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = response
            .into_body()
            .collect()
            .await
            .context("the refusal broke off")?
            .to_bytes();
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let message = said
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        bail!(ApiRefusal {
            method,
            path: path.to_owned(),
            status,
            message
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Path;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn a_refusal_says_what_stands_against_it() {
        let answer = |Path(code): Path<u16>| async move { StatusCode::from_u16(code).unwrap() };
        let router = Router::new().route("/{code}", get(answer));
        let api = ApiClient::new(router, Identity::administrator("test"));
        for (code, gone, conflict) in [
            (404, true, false),
            (409, false, true),
            (403, false, false),
            (500, false, false),
        ] {
            let error = api.get(&format!("/{code}")).await.unwrap_err();
            assert_eq!(
                (is_gone(&error), is_conflict(&error)),
                (gone, conflict),
                "{code}"
            );
        }
    }
}
