//! kube clients of the embedded Kubernetes API, without the wire: for the
//! stand-ins that need every logical cluster (Flux, External Secrets), as their
//! real counterparts run inside the cluster they serve.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use catalyst_kubernetes::Identity;
use http::{Request, Response, Uri};
use tower::ServiceExt;

/// A client of one logical cluster (`*`: all of them, to list and watch) with
/// an identity that the API checks like any other.
pub fn in_process(router: &Router, identity: &Identity, cluster: &str) -> kube::Client {
    let (router, identity) = (router.clone(), identity.clone());
    let prefix = format!("/clusters/{cluster}");
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let router = router.clone();
        let request = addressed(request.map(Body::new), &prefix, &identity);
        async move {
            match request {
                Ok(request) => router.oneshot(request).await,
                Err(error) => Ok::<_, Infallible>(
                    Response::builder()
                        .status(http::StatusCode::BAD_REQUEST)
                        .body(Body::from(error.to_string()))
                        .unwrap_or_default(),
                ),
            }
        }
    });
    kube::Client::new(service, "default")
}

fn addressed(
    request: Request<Body>,
    prefix: &str,
    identity: &Identity,
) -> Result<Request<Body>, http::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    parts.uri = Uri::builder()
        .path_and_query(format!("{prefix}{path}"))
        .build()?;
    parts.extensions.insert(identity.clone());
    Ok(Request::from_parts(parts, body))
}
